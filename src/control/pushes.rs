//! What outside systems tell of endpoints (`push = true`), how long it holds, and what follows when they fall silent.
//!
//! ```text
//!           push                              push
//!  waiting ──────▶ holds until its ttl ends ─────────▶ holds anew
//!     │ ttl_max since the start      │ no push
//!     └──────────────▶ silent ◀──────┘      silence = "unknown": no verdict; "down": Down, whatever the thresholds
//!                         └── push ──▶ holds
//! ```
//!
//! A push is an outcome like any other: thresholds, the guard and blindness treat it so (SEMANTICS, 12, 26 and 27). After a start nobody knows how long the
//! last push was meant to hold, so silence is borne for `ttl_max`; a stored verdict is stale until then (SEMANTICS, 13). A reload and an upgrade keep ends.
//!
//! Never here: a probe.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{Outcome, ProbeReport, Reason, State};
use crate::model::{Check, EndpointId, Estate, Now, PushCheck, Silence, TargetId, Timestamp, did_you_mean, duration_text, harmless};

use super::change::{Actor, Applied, Beside, Fault, Refusal, RefusalKind};
use super::core::Core;
use super::event::{Effect, Effects, Ticket};

/// Longest sentence that is kept of a push, in characters.
pub const SENTENCE_CHARS_MAX: usize = 256;

/// What an outside system tells. Names are not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Who.
    pub actor: Actor,
    /// Of which pool's endpoint.
    pub pool: String,
    /// Its name in the pool.
    pub endpoint: String,
    /// Which of its monitors; needed if it has several that are told.
    pub monitor: Option<String>,
    /// All is well.
    pub passed: bool,
    /// Why not, one sentence; may be empty.
    pub message: String,
    /// How long it holds; `None`: as the monitor says.
    pub ttl: Option<Duration>,
}

/// How a monitor that is told stands with one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The monitor's name.
    pub monitor: String,
    /// Its verdict.
    pub state: State,
    /// Until when what was told holds; `None`: it is silent.
    pub until: Option<Timestamp>,
}

/// What a predecessor heard, by target key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushLegacy {
    target: Arc<str>,
    heard: Heard,
}

/// Of one target; times are `mono`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// When it was last told, or since when it is waited for.
    at: Duration,
    /// It was told.
    told: bool,
    /// When silence begins; `None`: it has.
    until: Option<Duration>,
}

/// All targets that are told.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    heard: BTreeMap<TargetId, Heard>,
    /// The same by `until`.
    ends: BTreeSet<(Duration, TargetId)>,
    /// In file order of their monitors.
    by_endpoint: HashMap<EndpointId, Vec<TargetId>>,
    /// What metrics are told when they know the estate.
    untold: Vec<(TargetId, ProbeReport)>,
}

/// How a target is told; `None`: it is probed.
fn check_of(estate: &Estate, target: TargetId) -> Option<&PushCheck> {
    match &estate.monitor(estate.target(target).monitor).check {
        Check::Push(check) => Some(check),
        _ => None,
    }
}

impl Pushes {
    /// Nothing was told yet.
    pub(super) fn new(estate: &Estate, now: Now) -> Self {
        let mut pushes = Self::default();
        for target in (0..estate.targets.len()).map(TargetId::at) {
            let Some(check) = check_of(estate, target) else { continue };
            // An endpoint may be judged twice by what it is told once.
            for endpoint in estate.endpoints_of(target).collect::<BTreeSet<_>>() {
                pushes.by_endpoint.entry(endpoint).or_default().push(target);
            }
            pushes.hear(target, Heard { at: now.mono, told: false, until: Some(now.mono + check.ttl_max) });
        }
        pushes
    }

    /// The same for another estate: what is known goes on.
    pub(super) fn carried_over(&self, from: &Estate, to: &Estate, now: Now) -> Self {
        let mut pushes = Self::new(to, now);
        pushes.inherit(&self.legacy(from), to);
        pushes
    }

    pub(super) fn legacy(&self, estate: &Estate) -> Vec<PushLegacy> {
        self.heard.iter().map(|(target, heard)| PushLegacy { target: estate.target(*target).key.clone(), heard: *heard }).collect()
    }

    pub(super) fn inherit(&mut self, legacy: &[PushLegacy], estate: &Estate) {
        let left: HashMap<&str, Heard> = legacy.iter().map(|PushLegacy { target, heard }| (&**target, *heard)).collect();
        for target in self.heard.keys().copied().collect::<Vec<_>>() {
            if let Some(heard) = left.get(&*estate.target(target).key) {
                self.hear(target, *heard);
            }
        }
    }

    fn hear(&mut self, target: TargetId, heard: Heard) {
        let before = self.heard.insert(target, heard).and_then(|before| before.until);
        if let Some(before) = before {
            self.ends.remove(&(before, target));
        }
        if let Some(until) = heard.until {
            self.ends.insert((until, target));
        }
    }

    /// When the next one falls silent.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// One that is silent from now on, and what was heard of it.
    fn take_silent(&mut self, now: Duration) -> Option<(TargetId, Heard)> {
        let target = self.ends.first().filter(|(until, _)| *until <= now).map(|(_, target)| *target)?;
        let heard = *self.heard.get(&target)?;
        self.hear(target, Heard { until: None, ..heard });
        Some((target, heard))
    }
}

impl Core {
    /// How the monitors that are told stand with an endpoint; empty: it has none.
    pub fn told(&self, endpoint: EndpointId, now: Now) -> Vec<Told> {
        let estate = self.estate();
        let targets = self.pushes.by_endpoint.get(&endpoint).into_iter().flatten();
        let told = targets.map(|target| Told {
            monitor: estate.monitor(estate.target(*target).monitor).name.clone(),
            state: self.told_state(endpoint, *target),
            until: self.pushes.heard.get(target).and_then(|heard| heard.until).map(|until| now.wall.plus(until.saturating_sub(now.mono))),
        });
        told.collect()
    }

    /// Metrics know an estate from the order to probe it on.
    fn tell_metrics(&mut self, target: TargetId, report: ProbeReport, effects: &mut Effects) {
        match self.plan_due {
            Some(_) => self.pushes.untold.push((target, report)),
            None => effects.push(Effect::Heard { target, report }),
        }
    }

    /// Now they do.
    pub(super) fn tell_metrics_the_rest(&mut self, effects: &mut Effects) {
        effects.extend(self.pushes.untold.drain(..).map(|(target, report)| Effect::Heard { target, report }));
    }

    /// The verdict of what is told of an endpoint, by the endpoint's own thresholds.
    fn told_state(&self, endpoint: EndpointId, target: TargetId) -> State {
        let estate = self.estate();
        let judgement = estate.judgements_on(endpoint).iter().find(|id| estate.judgement(**id).target == target);
        judgement.map_or(State::Unknown, |id| self.health.judgement(*id).state)
    }

    /// An outside system has told something.
    pub(super) fn pushed(&mut self, ticket: Ticket, push: Push, now: Now, effects: &mut Effects) {
        let (target, ttl) = match self.understood(&push) {
            Ok(understood) => understood,
            Err(refusal) => {
                effects.push(Effect::Reply { ticket, reply: Err(refusal) });
                return;
            }
        };
        let Push { actor: Actor(actor), passed, message, .. } = push;
        self.pushes.hear(target, Heard { at: now.mono, told: true, until: Some(now.mono + ttl) });
        self.sign_of_life(now);
        let outcome = if passed {
            Outcome::Pass
        } else {
            let said = harmless(message.trim(), SENTENCE_CHARS_MAX);
            let message = if said.is_empty() { format!("pushed by {actor}, without a word") } else { format!("{said} (pushed by {actor})") };
            Outcome::Fail { reason: Reason::Pushed, message }
        };
        let report = heard(outcome, now);
        let estate = self.configuration.estate.clone();
        self.tell_metrics(target, report.clone(), effects);
        self.probes.note(target, &report);
        let observed = self.health.observe(&estate, target, report, now);
        self.judged(&observed, now, effects);
        self.replies.push((ticket, Applied::nothing(self.revision, now.wall)));
    }

    /// The target that is meant, and how long what is told of it holds.
    fn understood(&self, push: &Push) -> Result<(TargetId, Duration), Refusal> {
        let estate = self.estate();
        let nothing = |what: &str, name: &str, near: Option<String>| {
            let hint = near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let detail = format!("there is no {what} `{}`{hint}", harmless(name, 100));
            Refusal { beside: near.map(Beside::Nearest).map(Box::new), ..Refusal::new(RefusalKind::NotFound, detail) }
        };
        let pools = || estate.pools.iter().map(|pool| &*pool.name);
        let pool = estate.pool_named(&push.pool).ok_or_else(|| nothing("pool", &push.pool, did_you_mean(&push.pool, pools())))?;
        let names = estate.pool(pool).endpoints.iter().map(|id| &*estate.endpoint(*id).name);
        let endpoint = estate.endpoint_named(pool, &push.endpoint);
        let endpoint = endpoint.ok_or_else(|| nothing("endpoint", &format!("{}/{}", push.pool, push.endpoint), did_you_mean(&push.endpoint, names)))?;

        let label = estate.endpoint_label(endpoint);
        let monitor_of = |target: &TargetId| estate.monitor(estate.target(*target).monitor).name.as_str();
        let targets = self.pushes.by_endpoint.get(&endpoint).map(Vec::as_slice).unwrap_or_default();
        let all = targets.iter().map(monitor_of).collect::<Vec<_>>().join(", ");
        let fault = |pointer: &str, message: String, hint: String| {
            let faults = vec![Fault { pointer: pointer.into(), code: "invalid-value", message: message.clone(), hint }];
            Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, message) }
        };
        let target = match (&push.monitor, targets) {
            (_, []) => return Err(fault("", format!("{label} has no monitor that is told"), "give it one with push = true in the file".into())),
            (None, [only]) => only,
            (None, _) => return Err(fault("/monitor", format!("{label} has several monitors that are told"), format!("name one of {all}"))),
            (Some(name), targets) => {
                let known = || fault("/monitor", format!("{label} is not told by a monitor `{}`", harmless(name, 100)), format!("it is by {all}"));
                targets.iter().find(|target| monitor_of(target) == name).ok_or_else(known)?
            }
        };
        let check = check_of(estate, *target).copied().unwrap_or(PushCheck { ttl: Duration::ZERO, ttl_max: Duration::ZERO, silence: Silence::Unknown });
        let ttl = push.ttl.unwrap_or(check.ttl);
        if ttl.is_zero() || check.ttl_max < ttl {
            let message = format!("a push may hold for at most {} here, and for more than nothing", duration_text(check.ttl_max));
            return Err(fault("/ttl", message, format!("ttl_max in [monitor.{}] says so", monitor_of(target))));
        }
        Ok((*target, ttl))
    }

    /// What was told no longer holds.
    pub(super) fn fall_silent(&mut self, now: Now, effects: &mut Effects) {
        while let Some((target, Heard { at, told, until })) = self.pushes.take_silent(now.mono) {
            let estate = self.configuration.estate.clone();
            let Some(check) = check_of(&estate, target) else { continue };
            let (quiet, held) = (seconds(now.mono.saturating_sub(at)), seconds(until.unwrap_or_default().saturating_sub(at)));
            let message = match told {
                true => format!("no push for {quiet}; the last one held for {held}"),
                false => format!("no push for {quiet}, since this server began to wait"),
            };
            let silent = match check.silence {
                Silence::Unknown => State::Unknown,
                Silence::Down => State::Down,
            };
            let report = heard(Outcome::Fail { reason: Reason::Silence, message }, now);
            self.tell_metrics(target, report.clone(), effects);
            self.probes.note(target, &report);
            let observed = self.health.fall_silent(&estate, target, silent, report, now);
            self.judged(&observed, now, effects);
        }
    }
}

/// Nobody waited for it.
fn heard(outcome: Outcome, now: Now) -> ProbeReport {
    ProbeReport::new(outcome, now.wall, Duration::ZERO)
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs())
}
