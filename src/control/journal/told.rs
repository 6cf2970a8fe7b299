//! From notices to events: CloudEvents 1.0 in JSON, one form for the list, the stream and webhooks.
//!
//! A notice of a new kind needs one arm in [`Context::drafts`]. Never here: who listens.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::event::{ConfirmationStand, Notice};
use crate::control::hosts::HostStands;
use crate::health::State;
use crate::model::{Estate, Timestamp};
use crate::policy::RegionState;

/// Kinds of events, all of them: what stands behind `windrose.` in `type`, and the label values of `windrose_events_total`.
pub const EVENT_KINDS: [&str; 59] = [
    "endpoint.up",
    "endpoint.down",
    "endpoint.unknown",
    "endpoint.degraded",
    "endpoint.sound",
    "region.up",
    "region.down",
    "region.degraded",
    "region.guarded",
    "region.unguarded",
    "latency.ran_out",
    "latency.measured",
    "pool.outdated",
    "pool.fresh",
    "pool.shedding",
    "pool.shed_ended",
    "pool.load_unknown",
    "service.up",
    "service.down",
    "failover.started",
    "failover.ended",
    "failback.done",
    "failback.waiting",
    "traffic.changed",
    "traffic.unusable",
    "override.created",
    "override.extended",
    "override.ended",
    "override.expired",
    "guard.refused",
    "guard.overridden",
    ASKED,
    MADE,
    LOST,
    "gate.changed",
    "shift.started",
    "shift.step",
    "shift.paused",
    "shift.resumed",
    "shift.degraded",
    "shift.completed",
    "shift.aborted",
    "schedule.created",
    "schedule.cancelled",
    "schedule.done",
    "schedule.refused",
    "schedule.missed",
    "config.reloaded",
    "config.failed",
    "database.replaced",
    "database.failed",
    "certificate.expiring",
    "host.moved",
    "host.unresolved",
    "host.resolved",
    "node.blind",
    "node.sees",
    "store.lost",
    "store.recovered",
];

/// Services that one move tells by name; the others are counted in one event.
const MOVES_TOLD: usize = 200;

/// Services whose way back is remembered.
const AWAY_MAX: usize = 10_000;

/// What becomes of a change that a second person must confirm.
const ASKED: &str = "confirmation.asked";
const MADE: &str = "confirmation.made";
const LOST: &str = "confirmation.lost";

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Grows, and is never given twice, also not after a restart.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// `failover.started`; in the JSON with `windrose.` before it.
    pub kind: Arc<str>,
    /// `critical`, `warning`, `info`.
    pub severity: Arc<str>,
    /// The service that it is about.
    pub service: Option<Arc<str>>,
    /// The region that it is about.
    pub region: Option<Arc<str>>,
    /// One sentence.
    pub summary: Arc<str>,
    /// The whole event: a JSON object on one line.
    pub text: Arc<str>,
}

/// An event without its number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Draft {
    pub kind: Cow<'static, str>,
    severity: Cow<'static, str>,
    subject: String,
    service: Option<Arc<str>>,
    pub region: Option<Arc<str>>,
    summary: String,
    /// What only this kind has.
    more: Value,
}

impl Draft {
    fn new(kind: &'static str, severity: &'static str, subject: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { kind: kind.into(), severity: severity.into(), subject: subject.into(), service: None, region: None, summary: summary.into(), more: Value::Null }
    }

    fn of_service(self, service: &Arc<str>) -> Self {
        Self { service: Some(service.clone()), ..self }
    }

    fn of_region(self, region: &Arc<str>) -> Self {
        Self { region: Some(region.clone()), ..self }
    }

    fn with(self, more: Value) -> Self {
        Self { more, ..self }
    }
}

impl Happening {
    pub(super) fn new(draft: Draft, sequence: u64, source: &str, at: Timestamp) -> Self {
        let Draft { kind, severity, subject, service, region, summary, more } = draft;
        debug_assert!(EVENT_KINDS.contains(&&*kind), "{kind} is not among the kinds of events");
        let mut data = json!({ "severity": severity, "summary": summary });
        if let Value::Object(fields) = &mut data {
            fields.extend(service.as_ref().map(|service| ("service".to_string(), json!(service))));
            fields.extend(region.as_ref().map(|region| ("region".to_string(), json!(region))));
            if let Value::Object(more) = more {
                fields.extend(more);
            }
            fields.extend(service.as_ref().map(|service| ("links".to_string(), json!({ "api": format!("/api/v1/services/{service}") }))));
        }
        let text = json!({
            "specversion": "1.0",
            // The moment and the number: unique also should a store be lost.
            "id": format!("{:x}-{sequence}", at.0.max(0)),
            "source": source,
            "type": format!("windrose.{kind}"),
            "time": at.to_string(),
            "subject": subject,
            "sequence": sequence,
            "datacontenttype": "application/json",
            "data": data,
        });
        Self { sequence, at, kind: kind.into(), severity: severity.into(), service, region, summary: summary.into(), text: text.to_string().into() }
    }

    /// From the store's text; `None` if it is not an event.
    pub(super) fn read(sequence: u64, text: Arc<str>) -> Option<Self> {
        let value: Value = serde_json::from_str(&text).ok()?;
        let word = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(Arc::<str>::from);
        let data = value.get("data")?;
        let time = humantime::parse_rfc3339(value.get("time")?.as_str()?).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self {
            sequence: value.get("sequence").and_then(Value::as_u64).filter(|named| *named == sequence)?,
            at: Timestamp(i64::try_from(time.as_millis()).ok()?),
            kind: value.get("type")?.as_str()?.strip_prefix("windrose.")?.into(),
            severity: word(data, "severity")?,
            service: word(data, "service"),
            region: word(data, "region"),
            summary: word(data, "summary")?,
            text,
        })
    }
}

/// What was told before: it makes a beginning of one notice, an end of another.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    /// Services that moved away, and from which regions.
    away: BTreeMap<Arc<str>, String>,
    /// Overrides in force.
    overrides: BTreeSet<u64>,
    regions: BTreeMap<Arc<str>, RegionState>,
}

impl Context {
    /// Takes up where the process before ended.
    pub(super) fn begin(&mut self, overrides: BTreeSet<u64>, ring: &VecDeque<Arc<Happening>>) {
        self.overrides = overrides;
        for happening in ring {
            let Some(service) = &happening.service else { continue };
            match &*happening.kind {
                "failover.started" | "service.down" if !self.away.contains_key(service) => {
                    let from = serde_json::from_str::<Value>(&happening.text).ok().and_then(|event| Some(joined(event.get("data")?.get("from")?)));
                    self.away.extend(from.map(|from| (service.clone(), from)));
                }
                "failover.ended" => drop(self.away.remove(service)),
                _ => (),
            }
        }
    }

    /// Confirmations that the ring tells of: the last number, and those that nobody has told the end of: number, who, when.
    pub(super) fn confirmations(ring: &VecDeque<Arc<Happening>>) -> (u64, BTreeMap<u64, (String, Timestamp)>) {
        let (mut last, mut open) = (0, BTreeMap::new());
        for happening in ring.iter().filter(|happening| [ASKED, MADE, LOST].contains(&&*happening.kind)) {
            let event: Value = serde_json::from_str(&happening.text).unwrap_or_default();
            let Some((data, id)) = event.get("data").and_then(|data| Some((data, data.get("confirmation")?.as_u64()?))) else { continue };
            last = last.max(id);
            if *happening.kind == *ASKED {
                let actor = data.get("actor").and_then(Value::as_str).unwrap_or_default();
                open.insert(id, (actor.to_string(), happening.at));
            } else {
                open.remove(&id);
            }
        }
        (last, open)
    }

    /// What to tell of a notice.
    pub(super) fn drafts(&mut self, notice: &Notice, estate: &Estate, drafts: &mut Vec<Draft>) {
        let draft = match notice {
            Notice::Endpoint { endpoint, labels: [pool, region, _], state, message } => {
                let (kind, severity) = match state {
                    State::Up => ("endpoint.up", "info"),
                    State::Down => ("endpoint.down", "warning"),
                    State::Unknown => ("endpoint.unknown", "info"),
                };
                let because = if message.is_empty() { String::new() } else { format!(": {message}") };
                let cause = json!({ "endpoint": endpoint, "pool": pool, "message": message });
                Draft::new(kind, severity, format!("endpoint/{endpoint}"), format!("{endpoint} is {}{because}", state.word()))
                    .of_region(region)
                    .with(json!({ "endpoint": endpoint, "pool": pool, "cause": cause }))
            }
            Notice::Degraded { endpoint, labels: [pool, region, _], begins, message } => {
                let (kind, severity) = if *begins { ("endpoint.degraded", "warning") } else { ("endpoint.sound", "info") };
                let how = if *begins { "degraded" } else { "sound again" };
                let because = if *begins && !message.is_empty() { format!(": {message}") } else { String::new() };
                Draft::new(kind, severity, format!("endpoint/{endpoint}"), format!("{endpoint} is {how}{because}"))
                    .of_region(region)
                    .with(json!({ "endpoint": endpoint, "pool": pool, "message": message }))
            }
            Notice::Certificate { text } => Draft::new("certificate.expiring", "warning", "certificate", text.clone()),
            Notice::GuardRefused { guards, text, actor } => {
                Draft::new("guard.refused", "warning", "guards", text.clone()).with(json!({ "guards": guards, "actor": actor }))
            }
            Notice::GuardOverridden { guards, text, actor, reason } => {
                Draft::new("guard.overridden", "warning", "guards", text.clone()).with(json!({ "guards": guards, "actor": actor, "reason": reason }))
            }
            Notice::Confirmation { id, stand, text, actor } => {
                let (kind, severity) = match stand {
                    ConfirmationStand::Asked => (ASKED, "warning"),
                    ConfirmationStand::Made => (MADE, "info"),
                    ConfirmationStand::Lost => (LOST, "warning"),
                };
                Draft::new(kind, severity, format!("confirmation/c-{id}"), text.clone()).with(json!({ "confirmation": id, "actor": actor }))
            }
            Notice::Gate { gate, on, text, actor } => {
                Draft::new("gate.changed", "info", format!("gate/{gate}"), text.clone()).with(json!({ "gate": gate, "on": on, "actor": actor }))
            }
            Notice::FailbackWaits { service, text } => Draft::new("failback.waiting", "info", format!("service/{service}"), text.clone()).of_service(service),
            Notice::Failover { services, from, to, trigger, took } => {
                let detected = took.map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0);
                let more = json!({ "from": regions(from), "to": regions(to), "trigger": trigger, "detected_in_seconds": detected });
                for service in services.iter().take(MOVES_TOLD) {
                    let (kind, severity, summary) = self.moved(service, from, to, trigger);
                    // The one region that lost its answers, if it is one: storms are folded by it.
                    let lost: Vec<&str> = from.split('+').filter(|region| !to.split('+').any(|still| still == *region)).collect();
                    let mut draft = Draft::new(kind, severity, format!("service/{service}"), summary).of_service(service).with(more.clone());
                    if let [one] = lost.as_slice() {
                        draft.region = estate.region_named(one).map(|id| estate.region(id).name.clone());
                    }
                    drafts.push(draft);
                }
                match services.len().saturating_sub(MOVES_TOLD) {
                    0 => return,
                    others => Draft::new("failover.started", "warning", "service/*", format!("{others} more services moved from {from} to {to} ({trigger})"))
                        .with(json!({ "services": others, "from": regions(from), "to": regions(to), "trigger": trigger })),
                }
            }
            Notice::Traffic { service, text, actor, reason, revision } => {
                Draft::new("traffic.changed", "info", format!("service/{service}"), format!("{text} by {actor}"))
                    .of_service(service)
                    .with(json!({ "actor": actor, "reason": reason, "revision": revision.0 }))
            }
            Notice::Override { text, actor } => {
                let id = text.strip_prefix("o-").and_then(|rest| rest.split(':').next()).and_then(|number| number.parse::<u64>().ok());
                let kind = match (id, actor) {
                    (None, _) => "failback.done",
                    (Some(id), None) => {
                        self.overrides.remove(&id);
                        "override.expired"
                    }
                    (Some(id), Some(_)) if text.ends_with(" ended") && self.overrides.remove(&id) => "override.ended",
                    (Some(id), Some(_)) if self.overrides.insert(id) => "override.created",
                    (Some(_), Some(_)) => "override.extended",
                };
                let subject = id.map_or("override".to_string(), |id| format!("override/o-{id}"));
                Draft::new(kind, "info", subject, text.clone()).with(json!({ "actor": actor }))
            }
            Notice::Reloaded { text } => Draft::new("config.reloaded", "info", "config", text.clone()),
            Notice::ReloadFailed { text } => Draft::new("config.failed", "warning", "config", text.clone()),
            Notice::Database { sound: true, text } => Draft::new("database.replaced", "info", "geo", text.clone()),
            Notice::Database { sound: false, text } => Draft::new("database.failed", "warning", "geo", text.clone()),
            Notice::Host { host, stands, text } => {
                let (kind, severity) = match stands {
                    HostStands::Good => ("host.resolved", "info"),
                    HostStands::Moved => ("host.moved", "info"),
                    HostStands::Old => ("host.unresolved", "warning"),
                };
                Draft::new(kind, severity, format!("host/{host}"), text.clone())
            }
            Notice::Guarded { region, begins, text } => {
                let (kind, severity) = if *begins { ("region.guarded", "critical") } else { ("region.unguarded", "info") };
                Draft::new(kind, severity, format!("region/{region}"), text.clone()).of_region(region)
            }
            Notice::Latency { ran_out, text } => {
                let (kind, severity) = if *ran_out { ("latency.ran_out", "warning") } else { ("latency.measured", "info") };
                Draft::new(kind, severity, "latency", text.clone())
            }
            Notice::Freshness { pool, region, begins, text } => {
                let (kind, severity) = if *begins { ("pool.outdated", "critical") } else { ("pool.fresh", "info") };
                Draft::new(kind, severity, format!("pool/{pool}"), text.clone()).of_region(region).with(json!({ "pool": pool }))
            }
            Notice::Load { pool, region, happened, text } => {
                let (kind, severity) = match *happened {
                    "shedding" => ("pool.shedding", "warning"),
                    "shed_ended" => ("pool.shed_ended", "info"),
                    _ => ("pool.load_unknown", "warning"),
                };
                Draft::new(kind, severity, format!("pool/{pool}"), text.clone()).of_region(region).with(json!({ "pool": pool }))
            }
            Notice::Blind { begins, text } => {
                let (kind, severity) = if *begins { ("node.blind", "critical") } else { ("node.sees", "info") };
                Draft::new(kind, severity, "node", text.clone())
            }
            Notice::Store { up, text } => {
                let (kind, severity) = if *up { ("store.recovered", "info") } else { ("store.lost", "critical") };
                Draft::new(kind, severity, "store", text.clone())
            }
            Notice::TrafficUnusable { service, text } => {
                Draft::new("traffic.unusable", "warning", format!("service/{service}"), format!("traffic of {service} can't be used: {text}"))
                    .of_service(service)
            }
            Notice::Schedule { services, schedule, happened, text, actor } => {
                let (kind, severity) = match *happened {
                    "created" => ("schedule.created", "info"),
                    "cancelled" => ("schedule.cancelled", "info"),
                    "done" => ("schedule.done", "info"),
                    "refused" => ("schedule.refused", "warning"),
                    _ => ("schedule.missed", "warning"),
                };
                let draft = Draft::new(kind, severity, format!("schedule/t-{schedule}"), text.clone());
                let draft = if let [one] = services.as_slice() { draft.of_service(one) } else { draft };
                draft.with(json!({ "schedule": format!("t-{schedule}"), "services": services, "actor": actor }))
            }
            Notice::Shift { service, shift, happened, text, actor } => {
                let (kind, severity) = match *happened {
                    "started" => ("shift.started", "info"),
                    "step" => ("shift.step", "info"),
                    "paused" => ("shift.paused", "warning"),
                    "resumed" => ("shift.resumed", "info"),
                    "degraded" => ("shift.degraded", "warning"),
                    "completed" => ("shift.completed", "info"),
                    _ => ("shift.aborted", "warning"),
                };
                Draft::new(kind, severity, format!("shift/s-{shift}"), text.clone())
                    .of_service(service)
                    .with(json!({ "shift": format!("s-{shift}"), "actor": actor }))
            }
        };
        drafts.push(draft);
    }

    /// A service's answers moved: does that begin something, or end it?
    fn moved(&mut self, service: &Arc<str>, from: &str, to: &str, trigger: &str) -> (&'static str, &'static str, String) {
        let nobody = |regions: &str| if regions.is_empty() { "nobody".to_string() } else { regions.replace('+', ", ") };
        let summary = format!("{service}: answers moved from {} to {} ({trigger})", nobody(from), nobody(to));
        let all_of =
            |these: &str, those: &str| these.split('+').filter(|region| !region.is_empty()).all(|region| those.split('+').any(|other| other == region));
        if to.is_empty() {
            self.leaves(service, from);
            return ("service.down", "critical", format!("{service}: nobody answers any more, before that {} ({trigger})", nobody(from)));
        }
        let home = self.away.get(service).is_some_and(|home| all_of(home, to) && all_of(to, home));
        if home || !from.is_empty() && all_of(from, to) && !self.away.contains_key(service) {
            self.away.remove(service);
            return ("failover.ended", "info", summary);
        }
        if from.is_empty() {
            return ("service.up", "info", summary);
        }
        self.leaves(service, from);
        ("failover.started", if trigger == "operator" { "info" } else { "critical" }, summary)
    }

    fn leaves(&mut self, service: &Arc<str>, from: &str) {
        if self.away.len() < AWAY_MAX && !from.is_empty() {
            self.away.entry(service.clone()).or_insert_with(|| from.to_string());
        }
    }

    /// A region after verdicts of its pools changed.
    pub(super) fn region(&mut self, region: &Arc<str>, state: RegionState) -> Option<Draft> {
        let before = self.regions.insert(region.clone(), state);
        let (kind, severity) = match (before, state) {
            (before, now) if before == Some(now) => return None,
            (_, RegionState::Down) => ("region.down", "critical"),
            // The first round of probes finds most of the world up: that is no news.
            (Some(RegionState::Down | RegionState::Degraded), RegionState::Up) => ("region.up", "info"),
            (_, RegionState::Degraded) => ("region.degraded", "warning"),
            _ => return None,
        };
        Some(Draft::new(kind, severity, format!("region/{region}"), format!("region {region} is {}", state.word())).of_region(region))
    }
}

/// `a+b` as a list.
fn regions(joined: &str) -> Vec<&str> {
    joined.split('+').filter(|region| !region.is_empty()).collect()
}

/// The other way.
fn joined(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("+")
}
