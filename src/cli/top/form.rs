//! Forms: what a change needs to know before it can be previewed.
//!
//! Pure. A form becomes a [`Change`], which is what the commands of the same names take; the server checks it, not the form.

use crate::admin::api::{Kind, Overview, Service, ServicePool};
use crate::cli::args::{EndArgs, FailoverArgs, OverrideArgs, SplitArgs, TargetKind, Write};
use crate::model::{Choice, Share, parse_duration};

use super::state::Key;

/// A change that can be previewed and made: the arguments of a command.
#[derive(Clone, Debug)]
pub enum Change {
    /// `windrose drain`
    Drain(OverrideArgs),
    /// `windrose undrain`
    Undrain(EndArgs),
    /// `windrose split`
    Split(SplitArgs),
    /// `windrose failover`
    Failover(FailoverArgs),
}

impl Change {
    /// The same, as a dry run.
    pub fn dry(&self) -> Self {
        let mut change = self.clone();
        let write = match &mut change {
            Self::Drain(args) => &mut args.write,
            Self::Undrain(args) => &mut args.write,
            Self::Split(args) => &mut args.write,
            Self::Failover(args) => &mut args.write,
        };
        write.dry_run = true;
        change
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Typed.
    Text(String),
    /// One of several.
    Choice {
        /// All of them.
        of: Vec<String>,
        /// Which.
        at: usize,
    },
}

/// One line of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// What it is.
    pub label: String,
    /// What it holds.
    pub value: Value,
    /// Beside it.
    pub hint: &'static str,
}

/// What a form is for.
#[derive(Clone, Debug)]
enum Subject {
    Drain,
    Undrain,
    /// Service, and its revision as it was shown.
    Split(String, u64),
    Failover(String, u64),
}

/// Fields to fill in.
#[derive(Clone, Debug)]
pub struct Form {
    /// Above it.
    pub title: String,
    /// In order; the last one is the reason.
    pub fields: Vec<Field>,
    /// Which field is typed into.
    pub focus: usize,
    /// What is wrong with it.
    pub fault: Option<String>,
    subject: Subject,
}

/// What a key did to a form.
#[derive(Debug)]
pub enum Filled {
    /// It is still being filled in.
    Not,
    /// It was left.
    Left,
    /// It is complete.
    Yes(Change),
}

impl Form {
    fn new(title: String, subject: Subject, mut fields: Vec<Field>) -> Self {
        fields.push(text("reason", String::new(), "for history and audit"));
        Self { title, fields, focus: 0, fault: None, subject }
    }

    /// Drains the region or pool of a row; if it is drained already, ends that.
    pub fn drain(overview: &Overview, service: &Service, pool: &ServicePool) -> Self {
        let known = pool.overrides.iter().filter_map(|id| overview.overrides.iter().find(|known| known.id == *id));
        let drains: Vec<String> = known.filter(|known| known.kind == Kind::Drain).map(|known| known.target.clone()).collect();
        if pool.drained && !drains.is_empty() {
            return Self::new(format!("End the drain of {}", pool.pool), Subject::Undrain, vec![choice("drain of", drains)]);
        }
        let targets = vec![format!("region/{}", pool.region), format!("pool/{}", pool.pool)];
        let services = vec!["all services".to_string(), service.name.clone()];
        let lasts = text("for", "2h".to_string(), "30m, 2h; empty: no end");
        Self::new(format!("Drain {}", pool.pool), Subject::Drain, vec![choice("drain", targets), choice("services", services), lasts])
    }

    /// Sets shares, or puts another child first, as the policy wants; or says why neither can be.
    pub fn split(service: &Service) -> Result<Self, String> {
        let (name, revision) = (service.name.clone(), service.traffic.revision);
        match &service.traffic.policy.choice {
            Choice::Weighted(children) => {
                let fields = children.iter().map(|(child, share)| text(child, share.percent().to_string(), "%")).collect();
                Ok(Self::new(format!("Split {name}"), Subject::Split(name, revision), fields))
            }
            Choice::Failover(children) => {
                // The one after the first is what one wants.
                let first =
                    Field { value: Value::Choice { of: children.clone(), at: 1.min(children.len().saturating_sub(1)) }, ..choice("put first", Vec::new()) };
                Ok(Self::new(format!("Fail over {name}"), Subject::Failover(name, revision), vec![first]))
            }
            Choice::Multivalue(_) => Err(format!("{name} answers with all of its pools at once (multivalue): there is nothing to split. Drain one with d.")),
            choice @ (Choice::Geo(_) | Choice::Nearest(_)) => {
                Err(format!("{name} answers by who asks ({}): there is nothing to split. Drain one with d.", choice.word()))
            }
        }
    }

    /// A key was hit.
    pub fn key(&mut self, key: Key) -> Filled {
        self.fault = None;
        let last = self.fields.len().saturating_sub(1);
        match key {
            Key::Esc => return Filled::Left,
            Key::Tab | Key::Down => self.focus = if self.focus < last { self.focus + 1 } else { 0 },
            Key::BackTab | Key::Up => self.focus = self.focus.checked_sub(1).unwrap_or(last),
            Key::Enter if self.focus < last => self.focus += 1,
            Key::Enter => match self.change() {
                Ok(change) => return Filled::Yes(change),
                Err(fault) => self.fault = Some(fault),
            },
            key => self.edit(key),
        }
        Filled::Not
    }

    fn edit(&mut self, key: Key) {
        let Some(field) = self.fields.get_mut(self.focus) else { return };
        match (&mut field.value, key) {
            (Value::Text(text), Key::Char(c)) if !c.is_control() => text.push(c),
            (Value::Text(text), Key::Backspace) => {
                text.pop();
            }
            (Value::Choice { of, at }, Key::Right | Key::Char(' ')) => *at = (*at + 1) % of.len().max(1),
            (Value::Choice { of, at }, Key::Left) => *at = at.checked_sub(1).unwrap_or(of.len().saturating_sub(1)),
            _ => (),
        }
    }

    /// What a field says.
    fn value(&self, at: usize) -> &str {
        match self.fields.get(at).map(|field| &field.value) {
            Some(Value::Text(text)) => text.trim(),
            Some(Value::Choice { of, at }) => of.get(*at).map(String::as_str).unwrap_or_default(),
            None => "",
        }
    }

    /// What it asks for, or what is missing.
    fn change(&self) -> Result<Change, String> {
        let reason = self.value(self.fields.len().saturating_sub(1)).to_string();
        if reason.is_empty() {
            return Err("say why: it stands in history, events and audit".to_string());
        }
        let write = Write { reason, ..Write::default() };
        match &self.subject {
            Subject::Drain => {
                let (kind, name) = target(self.value(0))?;
                let services = if matches!(self.fields.get(1).map(|field| &field.value), Some(Value::Choice { at: 0, .. })) {
                    Vec::new()
                } else {
                    vec![self.value(1).to_string()]
                };
                let lasts = match self.value(2) {
                    "" => None,
                    span => Some(parse_duration(span)?),
                };
                Ok(Change::Drain(OverrideArgs { kind, name, lasts, services, write }))
            }
            Subject::Undrain => {
                let (kind, name) = target(self.value(0))?;
                Ok(Change::Undrain(EndArgs { kind, name, write }))
            }
            Subject::Split(service, revision) => {
                let children = self.fields.iter().enumerate().take(self.fields.len().saturating_sub(1));
                let shares = children.map(|(at, field)| {
                    let typed = self.value(at).trim_end_matches('%');
                    let share = typed.parse().ok().and_then(Share::from_percent);
                    share
                        .map(|share| (field.label.clone(), share))
                        .ok_or_else(|| format!("{}: `{typed}` is not a share; write per cent from 0 to 100", field.label))
                });
                let shares = shares.collect::<Result<Vec<_>, _>>()?;
                Ok(Change::Split(SplitArgs { service: service.clone(), shares, write: Write { if_revision: Some(*revision), ..write } }))
            }
            Subject::Failover(service, revision) => {
                let to = Some(self.value(0).to_string());
                Ok(Change::Failover(FailoverArgs { service: service.clone(), to, write: Write { if_revision: Some(*revision), ..write } }))
            }
        }
    }
}

fn text(label: &str, value: String, hint: &'static str) -> Field {
    Field { label: label.to_string(), value: Value::Text(value), hint }
}

fn choice(label: &str, of: Vec<String>) -> Field {
    Field { label: label.to_string(), value: Value::Choice { of, at: 0 }, hint: "" }
}

/// `region/eu-west`, as the API names targets.
fn target(text: &str) -> Result<(TargetKind, String), String> {
    let (kind, name) = text.split_once('/').unwrap_or(("", text));
    let kind = match kind {
        "region" => TargetKind::Region,
        "pool" => TargetKind::Pool,
        "endpoint" => TargetKind::Endpoint,
        "tag" => TargetKind::Tag,
        _ => return Err(format!("`{text}` can't be ended from here: windrose undrain")),
    };
    Ok((kind, name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::overview;

    fn typed(form: &mut Form, text: &str) {
        text.chars().for_each(|c| {
            form.key(Key::Char(c));
        });
    }

    #[test]
    fn a_drain_wants_a_reason_and_names_region_services_and_time() {
        let seen = overview();
        let mut form = Form::drain(&seen, &seen.services[1], &seen.services[1].pools[0]);
        form.key(Key::Down);
        form.key(Key::Right);
        form.key(Key::Down);
        form.key(Key::Down);
        assert!(matches!(form.key(Key::Enter), Filled::Not), "no reason yet");
        assert!(form.fault.as_deref().is_some_and(|fault| fault.starts_with("say why")));
        typed(&mut form, "CHG-7");
        let Filled::Yes(Change::Drain(args)) = form.key(Key::Enter) else { panic!("{:?}", form.fault) };
        assert_eq!(
            (args.kind, args.name.as_str(), args.services, args.lasts.map(|span| span.as_secs())),
            (TargetKind::Region, "eu-west", vec!["search".to_string()], Some(7200))
        );
        assert_eq!((args.write.reason.as_str(), args.write.dry_run), ("CHG-7", false));
    }

    #[test]
    fn what_is_drained_is_offered_its_end() {
        let seen = overview();
        let mut form = Form::drain(&seen, &seen.services[2], &seen.services[2].pools[0]);
        form.key(Key::Down);
        typed(&mut form, "done");
        let Filled::Yes(Change::Undrain(args)) = form.key(Key::Enter) else { panic!("{:?}", form.fault) };
        assert_eq!((args.kind, args.name.as_str()), (TargetKind::Region, "prod"));
    }

    #[test]
    fn a_split_is_bound_to_the_revision_that_was_shown() {
        let seen = overview();
        let mut form = Form::split(&seen.services[1]).unwrap();
        for text in ["50", "5O", "x"] {
            form.key(Key::Backspace);
            form.key(Key::Backspace);
            typed(&mut form, text);
            form.key(Key::Down);
        }
        form.focus = 2;
        assert!(matches!(form.key(Key::Enter), Filled::Not));
        assert_eq!(form.fault.as_deref(), Some("us: `5O` is not a share; write per cent from 0 to 100"));
        form.focus = 1;
        form.key(Key::Backspace);
        typed(&mut form, "0");
        form.focus = 2;
        let Filled::Yes(Change::Split(args)) = form.key(Key::Enter) else { panic!("{:?}", form.fault) };
        assert_eq!((args.shares.len(), args.shares[0].1.percent(), args.write.if_revision), (2, 50.0, Some(42)));
    }

    #[test]
    fn a_failover_policy_is_offered_another_first_pool() {
        let seen = overview();
        let mut form = Form::split(&seen.services[0]).unwrap();
        form.key(Key::Down);
        typed(&mut form, "drill");
        let Filled::Yes(change) = form.key(Key::Enter) else { panic!("{:?}", form.fault) };
        let Change::Failover(args) = change.dry() else { panic!("{change:?}") };
        assert_eq!((args.to.as_deref(), args.write.dry_run), (Some("dr"), true));
    }
}
