//! Plans for a service's traffic: set, failover, undo, failback (SEMANTICS, 11, 15 and 17).

use std::sync::Arc;

use crate::client::Questions;
use crate::model::{Choice, Node, Now, PolicyForm, ResolveError, ServiceId, Share, Watch};
use crate::policy;

use super::change::{Actor, Beside, Change, Fault, Refusal, RefusalKind, UndoTo};
use super::commits::Waiting;
use super::core::Core;
use super::event::Notice;
use super::guards::Act;
use super::plan::{Imagined, Plan, unknown};
use super::plan_guards::{Deed, whole};
use super::record::{History, Key, Op, Record, Revision, TrafficRecord};

/// Past changes of a service's traffic that are kept.
const HISTORY_MAX: u64 = 1000;

impl Core {
    /// [`Self::set_traffic`] by a person: not while a shift is under way, unless they say that it ends.
    pub(super) fn move_traffic(&self, service: ServiceId, form: Option<PolicyForm>, act: Act, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let name = &self.configuration.estate.service(service).name;
        let ends = matches!(waiting.change, Change::EndingShift(_));
        match self.in_progress(name) {
            Some(refusal) if !ends => Err(refusal),
            Some(_) => Ok(self.ended_by(service, waiting, self.set_traffic(service, form, act, waiting, now)?, now.wall)),
            None => self.set_traffic(service, form, act, waiting, now),
        }
    }

    /// Sets a service's policy (`None`: back to the file's) under a new revision, with its history; ends its holds.
    pub(super) fn set_traffic(&self, service: ServiceId, form: Option<PolicyForm>, act: Act, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let estate = &self.configuration.estate;
        let definition = estate.service(service);
        let tree = match &form {
            Some(form) => self.checked(service, form, waiting)?,
            None => definition.policy.clone(),
        };
        let name = definition.name.clone();
        let before = self.traffic.get(&name).and_then(|(record, _)| record.form.clone());
        let sequence = self.traffic.get(&name).map_or(1, |(record, _)| record.sequence + 1);
        let memory = self.service_memory(service).forget_returns();
        let Waiting { actor: Actor(actor), reason, .. } = waiting;
        let verb = if act == Act::Split { "set" } else { act.word() };
        let (actor, reason, at) = (actor.clone(), reason.clone(), now.wall);
        let record = TrafficRecord { form: form.clone(), sequence, actor: actor.clone(), reason: reason.clone(), at };
        let overridden = Vec::new();
        let history = History { form: form.clone(), before, verb: verb.to_string(), actor: actor.clone(), reason: reason.clone(), at, overridden };
        let mut ops = vec![
            Op::Put(Key::Traffic(name.clone()), Record::Traffic(record)),
            Op::Put(Key::History(name.clone(), sequence), Record::History(history)),
            Op::Put(Key::Memory(name.clone()), Record::Memory(Arc::new(super::memory::remember(estate, &memory)))),
        ];
        if sequence > HISTORY_MAX {
            ops.push(Op::Delete(Key::History(name.clone(), sequence - HISTORY_MAX)));
        }
        let mut plan = self.plan_of(ops, now);
        let text = format!("{name}: traffic set to {}", form.as_ref().map_or("the file's policy".to_string(), policy_text));
        plan.notices.push(Notice::Traffic { service: name.clone(), text, actor, reason, revision: Revision(0) });
        let imagined = [Imagined { service, tree, memory, as_is: false }];
        let present = self.service(service).form;
        let partly = |fraction: f64| (act == Act::Split).then(|| part_of_the_way(&name, present, form.as_ref()?, fraction)).flatten();
        let deed = Deed { act, imagined: &imagined, overrides: &self.overrides, all: true, partly: &partly };
        let mut plan = self.through_guards(plan, &deed, waiting, now)?;
        plan.applied.clients_follow_by = now.wall.plus(self.longest_ttl([service].into_iter()));
        plan.applied.form = form;
        Ok(plan)
    }

    /// The tree of a form that an operator wrote; every fault with its pointer.
    fn checked(&self, service: ServiceId, form: &PolicyForm, waiting: &Waiting) -> Result<Arc<Node>, Refusal> {
        let word = form.choice.word();
        let fault = |pointer: String, code, message: String, hint: &str| Fault { pointer, code, message, hint: hint.to_string() };
        let mut faults: Vec<Fault> = form
            .faults()
            .into_iter()
            .map(|message| fault(format!("/policy/{word}"), "policy", message, "shares are per cent, sum 100, and at least one is above 0"))
            .collect();
        let tree = self.configuration.estate.resolve_for(self.configuration.estate.service(service), form);
        if let Err(errors) = &tree {
            faults.extend(errors.iter().map(|error| {
                let (code, hint) = match error {
                    ResolveError::UnknownNetwork { .. } => ("unknown-network", "name a [network.NAME] of the file; see `windrose export`"),
                    ResolveError::NoPlace { .. } => ("no-place", "give the region coordinates in the file: [region.NAME] with location"),
                    ResolveError::Nameless { .. } => ("no-host", "use pools whose endpoints have a host; see `windrose describe service`"),
                    _ => ("unknown-child", "name pools and policies of the file; see `windrose get pools`"),
                };
                let pointer = match error {
                    ResolveError::Unknown { name, .. } | ResolveError::Nameless { name, .. } => format!("/policy/{word}/{name}"),
                    _ => format!("/policy/{word}"),
                };
                fault(pointer, code, error.to_string(), hint)
            }));
        }
        if let Ok(tree) = &tree {
            tree.pools(&mut |pool| {
                let pool = self.configuration.estate.pool(pool);
                if pool.endpoints.iter().any(|id| self.configuration.estate.endpoint(*id).watch == Watch::Nothing) {
                    let message = format!("nothing watches pool `{}`; it can only be a last resort (`when_all_down`)", pool.name);
                    faults.push(fault(format!("/policy/{word}/{}", pool.name), "unwatched-pool", message, "give the pool a monitor in the file"));
                }
            });
        }
        let (estate, clients) = (&self.configuration.estate, waiting.clients.as_ref().unwrap_or(&self.configuration.clients));
        if let Ok(tree) = &tree
            && faults.is_empty()
            && tree.asks_about_clients()
        {
            if !clients.answers(&Questions::of_tree(tree, estate)) {
                let why = "clients must be told apart as this policy asks first; nothing was changed";
                return Err(Refusal { beside: Some(Box::new(Beside::Asks(form.clone()))), ..Refusal::new(RefusalKind::InvalidRequest, why) });
            }
            if let Some(why) = policy::too_many_variants(tree, clients, estate) {
                faults.push(fault(format!("/policy/{word}"), "policy", format!("this policy {why}"), "tell fewer clients apart"));
            }
        }
        match tree {
            Ok(tree) if faults.is_empty() => Ok(tree),
            _ => Err(Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, "this policy can't be used; nothing was changed") }),
        }
    }

    pub(super) fn failover_form(&self, service: ServiceId, to: Option<&str>) -> Result<PolicyForm, Refusal> {
        let view = self.service(service);
        let (form, name) = (view.form, &view.service.name);
        if matches!(form.choice, Choice::Multivalue(_) | Choice::Geo(_) | Choice::Nearest(_)) {
            let word = form.choice.word();
            let detail = format!("`{name}` is a {word}, which has no order to switch; set another policy with PUT /api/v1/services/{name}/traffic");
            return Err(Refusal::new(RefusalKind::PolicyMismatch, detail));
        }
        let estate = &self.configuration.estate;
        let usable = |child: &str| {
            policy::child_named(view.policy, estate, child).is_some_and(|node| policy::child_state(&self.facts(), Some(service), node).is_usable())
        };
        let to = match to {
            Some(to) => {
                if policy::child_named(view.policy, estate, to).is_none() {
                    return Err(unknown(&format!("child of `{name}` called"), to, form.choice.children().into_iter().map(String::as_str)));
                }
                if !usable(to) {
                    let outdated =
                        policy::child_named(view.policy, estate, to).is_some_and(|node| policy::child_state(&self.facts(), Some(service), node).outdated);
                    let why = if outdated { "has data that is too old" } else { "is not up, or it is drained" };
                    let detail = format!("`{to}` {why}, so traffic of `{name}` can't go there");
                    let hint = if outdated {
                        format!(
                            "synchronise it, choose another with --to, or approve it with `windrose approve pool {to} --reason \"…\"`; see `windrose describe pool {to}`"
                        )
                    } else {
                        format!("wait for `{to}`, choose another with --to, or force it with `windrose force-up pool {to}`; see `windrose describe pool {to}`")
                    };
                    let fault = Fault { pointer: "/to".to_string(), code: "target-not-up", message: detail.clone(), hint };
                    return Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::TargetNotUp, format!("{detail}; nothing was changed")) });
                }
                to.to_string()
            }
            None => {
                let family = self.main_family(service);
                let shares: Vec<(String, f64)> = policy::child_shares(&view.decision.families[family.index()], view.policy, estate)
                    .into_iter()
                    .map(|(child, share)| (child.to_string(), share))
                    .collect();
                policy::edit::next_target(&self.in_file_order(service, form), &shares, &usable).ok_or_else(|| {
                    Refusal::new(
                        RefusalKind::TargetNotUp,
                        format!("no other child of `{name}` is up and not drained, so there is nowhere to go; nothing was changed"),
                    )
                })?
            }
        };
        policy::edit::failover(form, &to).map_err(|error| Refusal::new(RefusalKind::PolicyMismatch, error.to_string()))
    }

    /// The children of a form in the order of the file's policy; those that it lacks come last, in their own order.
    fn in_file_order(&self, service: ServiceId, form: &PolicyForm) -> PolicyForm {
        let file: Vec<&String> = self.configuration.estate.service(service).form.choice.children();
        let mut children: Vec<String> = form.choice.children().into_iter().cloned().collect();
        children.sort_by_key(|name| file.iter().position(|child| *child == name).unwrap_or(usize::MAX));
        PolicyForm::new(Choice::Failover(children))
    }

    pub(super) fn undo_form(&self, service: ServiceId, to: UndoTo) -> Result<Option<PolicyForm>, Refusal> {
        let name = &self.configuration.estate.service(service).name;
        let nothing =
            || Refusal::new(RefusalKind::NothingToUndo, format!("traffic of `{name}` has not been changed by an operator yet; there is nothing to undo"));
        let history = self.history.get(name).ok_or_else(nothing)?;
        match to {
            UndoTo::File => Ok(None),
            UndoTo::Before => history.values().next_back().map(|(_, last)| last.before.clone()).ok_or_else(nothing),
            UndoTo::Revision(Revision(0)) => Ok(None),
            UndoTo::Revision(wanted) => history
                .values()
                .find(|(revision, _)| *revision == wanted)
                .map(|(_, history)| history.form.clone())
                .ok_or_else(|| Refusal::new(RefusalKind::NotFound, format!("`{name}` has no revision {}; see `windrose history {name}`", wanted.0))),
        }
    }

    pub(super) fn end_holds(&self, service: ServiceId, pool: Option<&str>, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let estate = &self.configuration.estate;
        let name = estate.service(service).name.clone();
        let pool = match pool {
            Some(wanted) => Some(estate.pool_named(wanted).ok_or_else(|| unknown("pool", wanted, estate.pools.iter().map(|pool| &*pool.name)))?),
            None => None,
        };
        let mut memory = self.service_memory(service);
        let tree = self.service(service).policy.clone();
        let mut ended = memory.end_holds(pool);
        // One_way: back to the order that is written, if it begins with this pool.
        if pool.is_some_and(|pool| policy::leads(&tree, pool)) {
            ended |= std::mem::take(&mut memory.first) != [None, None];
        }
        if !ended {
            let mut plan = self.plan_of(Vec::new(), now);
            plan.applied.messages.push(format!("nothing of `{name}` was held"));
            return Ok(plan);
        }
        let ops = vec![Op::Put(Key::Memory(name.clone()), Record::Memory(Arc::new(super::memory::remember(estate, &memory))))];
        let mut plan = self.plan_of(ops, now);
        let Actor(actor) = &waiting.actor;
        plan.notices.push(Notice::Override { text: format!("{name}: holds ended (failback)"), actor: Some(actor.clone()) });
        let imagined = [Imagined { service, tree, memory, as_is: false }];
        self.through_guards(plan, &Deed { act: Act::Failback, imagined: &imagined, overrides: &self.overrides, all: true, partly: &whole }, waiting, now)
    }
}

/// `failover prod > dr`, `weighted prod 80 %, dr 20 %`.
pub(super) fn policy_text(form: &PolicyForm) -> String {
    match &form.choice {
        Choice::Failover(children) => format!("failover {}", children.join(" > ")),
        Choice::Multivalue(children) => format!("multivalue {}", children.join(", ")),
        Choice::Nearest(nearest) => format!("{} {}", nearest.by.word(), nearest.among.join(", ")),
        Choice::Geo(_) => format!("geo {}", form.choice.children().into_iter().cloned().collect::<Vec<_>>().join(", ")),
        Choice::Weighted(children) => format!("weighted {}", children.iter().map(|(name, share)| format!("{name} {share} %")).collect::<Vec<_>>().join(", ")),
    }
}

/// `windrose split search prod=50 dr=50`: as far as `fraction` of the way from one setting to another, if both are shares of the same children.
fn part_of_the_way(service: &str, from: &PolicyForm, to: &PolicyForm, fraction: f64) -> Option<String> {
    let from = shares_of(from)?;
    let to = shares_of(to)?;
    let mut parts = Vec::with_capacity(to.len());
    let mut left = 100.0;
    for (at, (child, wanted)) in to.iter().enumerate() {
        let (_, present) = from.iter().find(|(known, _)| known == child)?;
        // Rounded towards where it is, so that the limit holds; the last one takes what is left.
        let share = present + ((wanted - present) * fraction).trunc();
        let share = if at + 1 == to.len() { left } else { share };
        left -= share;
        parts.push(format!("{child}={}", Share::from_percent(share)?));
    }
    (from.len() == to.len()).then(|| format!("windrose split {service} {}", parts.join(" ")))
}

/// Children with their shares in per cent; the first of a failover has all.
fn shares_of(form: &PolicyForm) -> Option<Vec<(&str, f64)>> {
    match &form.choice {
        Choice::Weighted(children) => Some(children.iter().map(|(name, share)| (name.as_str(), share.percent())).collect()),
        Choice::Failover(children) => Some(children.iter().enumerate().map(|(at, name)| (name.as_str(), if at == 0 { 100.0 } else { 0.0 })).collect()),
        Choice::Multivalue(_) | Choice::Geo(_) | Choice::Nearest(_) => None,
    }
}
