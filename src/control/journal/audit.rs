//! The audit: who changed what, from where, why, from what to what, on which health; written in the very commit that makes the change.
//!
//! Refused calls stand in it, too ([`denied`](super::denied)). Old entries are cut off by age and number: the anchor keeps the hash at the cut, and
//! an entry of the chain itself says what went. Never here: secrets; a token's record shows its name, scope and end.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::control::change::{Applied, Change};
use crate::control::commits::Waiting;
use crate::control::core::Core;
use crate::control::event::Notice;
use crate::control::record::{GateRecord, Key, Op, OverrideRecord, Record, TokenRecord, TrafficRecord};
use crate::control::reload_guards::ReloadBy;
use crate::control::schedules::{ScheduleRecord, ScheduleState};
use crate::control::shifts::{Move as ShiftMove, Order, ShiftRecord};
use crate::health::State;
use crate::model::{AuditSettings, Now, Timestamp};

use super::chain::{Anchor, Hash, Head, NOTHING, hash_of, hex, seal, unhex};

/// Of one change, so many moves and pools are kept.
const SHOWN_MAX: usize = 32;

/// Least time between two cuts by age.
const CUT_EVERY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Where a call came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address of the peer, or `socket`; empty: from within.
    pub peer: String,
    /// `X-Request-Id` of the reply.
    pub request: String,
    /// It has an `Idempotency-Key`: what it changes is claimed in the same commit.
    pub claim: Option<crate::control::Claim>,
}

/// A call to the API that was refused, or that changed something without a commit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Who, as far as known.
    pub actor: String,
    /// From where.
    pub origin: Origin,
    /// `PUT /api/v1/services/{service}/traffic`
    pub what: String,
    /// The path as asked for.
    pub path: String,
    /// How it ended.
    pub status: u16,
    /// One sentence.
    pub detail: String,
}

/// An entry before it has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditDraft {
    /// Calls that it stands for.
    pub(super) count: u64,
    fields: Map<String, Value>,
}

impl AuditDraft {
    fn new(fields: Value) -> Self {
        let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
        Self { count: 1, fields: fields.into_iter().filter(|(_, value)| !value.is_null()).collect() }
    }

    pub(super) fn denied(call: &Call) -> Self {
        Self::of_call(call, "denied", "denied")
    }

    fn of_call(call: &Call, verb: &str, outcome: &str) -> Self {
        let Call { actor, origin: Origin { peer, request, claim: _ }, what, path, status, detail } = call;
        Self::new(json!({
            "actor": actor, "peer": peer, "request": request, "verb": verb, "outcome": outcome, "subject": path, "call": what, "status": status, "detail": detail,
        }))
    }

    pub(super) fn folded(count: u64, calls: Vec<Value>) -> Self {
        let fields =
            json!({ "actor": "windrose", "verb": "denied", "outcome": "denied", "detail": format!("{count} more calls were refused"), "calls": calls });
        Self { count, ..Self::new(fields) }
    }
}

/// The chain as far as the core must know it.
#[derive(Debug, Default)]
pub(in crate::control) struct Audit {
    pub settings: AuditSettings,
    /// The last entry that was cut off.
    anchor: (u64, Hash),
    /// The entries after it: when, and their hashes.
    entries: VecDeque<(Timestamp, Hash)>,
    /// What the commit in flight adds.
    adding: Vec<(Timestamp, Hash)>,
    /// So many entries the commit in flight cuts off.
    cutting: usize,
    cut_at: Option<Timestamp>,
}

impl Audit {
    pub(super) fn head(&self) -> Option<Head> {
        self.entries.back().map(|(_, hash)| Head { number: self.anchor.0 + self.entries.len() as u64, hash: hex(hash) })
    }

    pub(super) fn anchor(&self) -> Option<Anchor> {
        let (number, hash) = &self.anchor;
        (*number > 0).then(|| Anchor { number: *number, hash: hex(hash) })
    }

    /// An entry of the store, at start. In the order of numbers.
    pub(super) fn recall(&mut self, number: u64, text: &str) {
        let fields: Value = serde_json::from_str(text).unwrap_or_default();
        // What was changed behind our back breaks the chain where it is, and nowhere else.
        let named = |key: &str| fields.get(key).and_then(Value::as_str);
        let hash = named("hash").and_then(unhex).unwrap_or_else(|| hash_of(text));
        let at = named("at").and_then(|at| humantime::parse_rfc3339(at).ok()).and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let at = at.and_then(|at| i64::try_from(at.as_millis()).ok()).map(Timestamp);
        // Damage must not make an entry old, so that it would be cut off with what it shows.
        let at = at.or(self.entries.back().map(|(at, _)| *at)).unwrap_or(Timestamp(i64::MAX));
        if self.entries.is_empty() && self.anchor.0 + 1 < number {
            // The anchor is lost: the chain can be followed from here on, and `verify` says that it has no beginning.
            self.anchor = (number - 1, NOTHING);
        }
        let next = self.anchor.0 + self.entries.len() as u64 + 1;
        // Numbers go on where entries are missing: what is written next must not take the place of another.
        self.entries.extend((next..number).map(|_| (at, NOTHING)));
        self.entries.push_back((at, hash));
    }

    pub(super) fn recall_anchor(&mut self, text: &str) {
        let fields: Value = serde_json::from_str(text).unwrap_or_default();
        let hash = fields.get("hash").and_then(Value::as_str).and_then(unhex);
        if let (Some(number), Some(hash)) = (fields.get("number").and_then(Value::as_u64), hash) {
            self.anchor = (number, hash);
        }
    }

    /// Operations that add these to the chain. One commit is in flight at a time; [`Self::done`] says how it went.
    pub(super) fn begin<'a>(&mut self, drafts: impl IntoIterator<Item = &'a AuditDraft>, cut: bool, now: Now) -> Vec<Op> {
        let mut ops = Vec::new();
        let mut drafts: Vec<AuditDraft> = drafts.into_iter().cloned().collect();
        self.adding.clear();
        self.cutting = if cut { self.superfluous(now) } else { 0 };
        if let Some((_, hash)) = self.cutting.checked_sub(1).and_then(|last| self.entries.get(last)) {
            let (first, last) = (self.anchor.0 + 1, self.anchor.0 + self.cutting as u64);
            let anchor = json!({ "number": last, "hash": hex(hash) });
            ops.push(Op::Put(Key::AuditAnchor, Record::Line(anchor.to_string().into())));
            ops.extend((first..=last).map(|number| Op::Delete(Key::Audit(number))));
            let detail = format!("entries {first} to {last} were cut off by [audit] keep and entries_max");
            drafts.push(AuditDraft::new(json!({
                "actor": "windrose", "verb": "audit.cut", "outcome": "done", "subject": "audit", "detail": detail, "anchor": anchor,
            })));
        }
        let mut number = self.anchor.0 + self.entries.len() as u64;
        let mut previous = self.entries.back().map_or(self.anchor.1, |(_, hash)| *hash);
        for AuditDraft { fields: more, .. } in drafts {
            number += 1;
            let mut fields = Map::new();
            fields.insert("number".to_string(), json!(number));
            fields.insert("at".to_string(), json!(now.wall.to_string()));
            fields.extend(more);
            fields.insert("previous".to_string(), json!(hex(&previous)));
            let (text, hash) = seal(fields);
            ops.push(Op::Put(Key::Audit(number), Record::Line(text.into())));
            self.adding.push((now.wall, hash));
            previous = hash;
        }
        ops
    }

    /// The commit that [`Self::begin`] was for is durable, or was not made.
    pub(in crate::control) fn done(&mut self, durable: bool, now: Now) {
        let (adding, cutting) = (std::mem::take(&mut self.adding), std::mem::take(&mut self.cutting));
        if !durable {
            return;
        }
        self.entries.extend(adding);
        if 0 < cutting {
            self.cut_at = Some(now.wall);
            for (_, hash) in self.entries.drain(..cutting) {
                self.anchor = (self.anchor.0 + 1, hash);
            }
        }
    }

    pub(super) fn is_cut_due(&self, now: Now) -> bool {
        let pause = self.cut_at.is_some_and(|at| now.wall.since(at) < CUT_EVERY);
        self.settings.entries_max < self.entries.len() || !pause && self.superfluous(now) > 0
    }

    /// Entries that are too old or too many; a tenth more than needed, so that not every entry costs a cut.
    fn superfluous(&self, now: Now) -> usize {
        let AuditSettings { keep, entries_max } = self.settings;
        let old = self.entries.iter().take_while(|(at, _)| keep < now.wall.since(*at)).count();
        let many = if entries_max < self.entries.len() { self.entries.len() - entries_max + entries_max / 10 + 1 } else { 0 };
        old.max(many).min(self.entries.len())
    }
}

impl Core {
    /// The audit's operations for an operator's change that is about to be committed with `ops`.
    pub(in crate::control) fn audit_change(&mut self, waiting: &Waiting, ops: &[Op], applied: &Applied, now: Now) -> Vec<Op> {
        let Waiting { actor, reason, change, origin: Origin { peer, request, claim: _ }, .. } = waiting;
        let mut subjects: Vec<String> = Vec::new();
        let (mut before, mut after) = (Value::Null, Value::Null);
        for op in ops {
            let Some((subject, was)) = self.described(op.key()) else { continue };
            let becomes = if let Op::Put(_, record) = op { describe(record) } else { Value::Null };
            if subjects.is_empty() {
                (before, after) = (was, becomes);
            } else {
                // More than one thing at once: each under its name.
                if let [first] = subjects.as_slice() {
                    (before, after) = (json!({ (first.as_str()): before }), json!({ (first.as_str()): after }));
                }
                before[&subject] = was;
                after[&subject] = becomes;
            }
            subjects.push(subject);
        }
        let (verb, subject) = verb_of(change);
        let verb = ops.iter().find_map(came_of).unwrap_or(verb);
        let subject = subjects.first().cloned().or(subject).unwrap_or_default();
        let mut pools: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut moves = Map::new();
        for change in applied.moves.iter().take(SHOWN_MAX) {
            let shares = |shares: &[(Arc<str>, f64)]| shares.iter().map(|(pool, share)| (pool.to_string(), percent(*share))).collect::<Map<_, _>>();
            pools.extend(change.before.iter().chain(&change.after).map(|(pool, _)| pool.clone()));
            moves.insert(change.name.to_string(), json!({ "before": shares(&change.before), "after": shares(&change.after) }));
        }
        let health: Map<String, Value> =
            pools.into_iter().take(SHOWN_MAX).filter_map(|pool| Some((pool.to_string(), json!(self.pool_evidence(&pool)?)))).collect();
        let draft = AuditDraft::new(json!({
            "actor": actor.0, "peer": peer, "request": request, "verb": verb, "outcome": "done", "subject": subject,
            "reason": reason, "revision": self.revision.0 + 1, "moved": applied.moves.len(), "moves": moves, "health": health,
        }));
        let mut draft = draft;
        let overridden: BTreeSet<&String> = ops.iter().flat_map(guards_overridden).collect();
        if !overridden.is_empty() {
            draft.fields.insert("break_glass".to_string(), json!(overridden));
        }
        draft.fields.insert("before".to_string(), before);
        draft.fields.insert("after".to_string(), after);
        self.journal.audit.begin([&draft], false, now)
    }

    /// A call was refused, or did something that needs no commit.
    pub(in crate::control) fn called(&mut self, call: Call, now: Now) {
        if self.store == crate::control::core::StoreState::Absent {
            return;
        }
        let draft = if call.status < 400 {
            let verb = call.what.rsplit('/').next().map(|last| format!("server.{last}")).unwrap_or_default();
            Some(AuditDraft::of_call(&call, &verb, "done"))
        } else {
            self.journal.denials.denied(call, now)
        };
        self.commits.learned.journal.audit.extend(draft);
    }

    /// A configuration is about to be taken: no commit of the store's, so it goes with the next batch.
    pub(in crate::control) fn audit_reload(&mut self, by: &ReloadBy, hash: &str, overridden: &[Notice]) {
        if self.store == crate::control::core::StoreState::Absent {
            return;
        }
        let ReloadBy { actor, origin: Origin { peer, request, claim: _ }, reason, break_glass: _ } = by;
        let (mut actor, mut broken) = (actor, None);
        for notice in overridden {
            if let Notice::GuardOverridden { guards, actor: both, .. } = notice {
                (actor, broken) = (both, Some(guards));
            }
        }
        let draft = AuditDraft::new(json!({
            "actor": actor, "peer": peer, "request": request, "verb": "server.reload", "outcome": "done", "subject": "config", "reason": reason,
            "break_glass": broken, "before": &*self.configuration.hash, "after": hash,
        }));
        self.commits.learned.journal.audit.push(draft);
    }

    /// What stands at a key now, and what it is called. `None`: the audit does not show keys of this kind.
    fn described(&self, key: &Key) -> Option<(String, Value)> {
        Some(match key {
            Key::Traffic(service) => {
                (format!("service/{service}"), self.traffic.get(service).map_or(Value::Null, |(record, _)| describe(&Record::Traffic(record.clone()))))
            }
            Key::Override(id) => {
                let kept = self.overrides.kept.get(id).map(|kept| Record::Override(kept.record.clone()));
                (format!("override/o-{id}"), kept.map_or(Value::Null, |record| describe(&record)))
            }
            Key::Token(id) => (format!("token/{id}"), self.tokens.get(id).map_or(Value::Null, |record| describe(&Record::Token(record.clone())))),
            Key::Shift(id) => {
                let kept = self.shifts.kept.get(id);
                (format!("shift/s-{id}"), kept.map_or(Value::Null, |(record, _)| describe(&Record::Shift(record.clone()))))
            }
            Key::Schedule(id) => {
                let kept = self.schedules.kept.get(id);
                (format!("schedule/t-{id}"), kept.map_or(Value::Null, |kept| describe(&Record::Schedule(kept.record.clone()))))
            }
            Key::Gate(name) => (format!("gate/{name}"), self.gates.get(name).map_or(Value::Null, |(record, _)| describe(&Record::Gate(record.clone())))),
            _ => return None,
        })
    }

    /// `up 2/2`: what was seen of a pool when it was decided over.
    fn pool_evidence(&self, name: &str) -> Option<String> {
        let estate = &self.configuration.estate;
        let pool = estate.pool(estate.pool_named(name)?);
        let states: Vec<State> = pool.endpoints.iter().map(|endpoint| self.health.endpoint(estate, *endpoint)).collect();
        let (up, unknown) = (states.iter().filter(|state| **state == State::Up).count(), states.iter().filter(|state| **state == State::Unknown).count());
        Some(format!("{} {up}/{}", crate::health::pool_state(up, unknown, pool.min_up).word(), states.len()))
    }
}

/// Guards that did not hold a change back though they would have.
fn guards_overridden(op: &Op) -> &[String] {
    match op {
        Op::Put(_, Record::History(history)) => &history.overridden,
        Op::Put(_, Record::Override(record)) => &record.overridden,
        _ => &[],
    }
}

/// A record as the audit shows it.
fn describe(record: &Record) -> Value {
    match record {
        Record::Traffic(TrafficRecord { form, .. }) => form.as_ref().map_or(json!("file"), |form| serde_json::to_value(form).unwrap_or_default()),
        Record::Override(OverrideRecord { kind, target, services, reason, ends, actor: _, at: _, overridden: _ }) => json!({
            "kind": kind.word(), "target": target.to_string(), "services": services, "reason": reason, "ends": ends.map(|ends| ends.to_string()),
        }),
        Record::Token(TokenRecord { name, scope, services, ends, hash: _, at: _ }) => {
            json!({ "name": name, "scope": scope.word(), "services": services, "ends": ends.map(|ends| ends.to_string()) })
        }
        Record::Shift(record) => {
            let ShiftRecord { service, to, steps, phase, step, halt, .. } = &**record;
            json!({
                "service": service, "to": to, "phase": phase.word(), "step": step + 1, "steps": steps.len(), "halt": halt.as_ref().map(|halt| &halt.message),
            })
        }
        Record::Schedule(record) => {
            let ScheduleRecord { change, due, state, outcome, actor, .. } = &**record;
            let (does, about) = verb_of(change);
            json!({ "does": does, "about": about, "due": due.to_string(), "state": state.word(), "outcome": outcome, "asked_by": actor })
        }
        Record::Gate(GateRecord { on, .. }) => json!(if *on { "on" } else { "off" }),
        _ => Value::Null,
    }
}

/// The word for a wish, and what it is about where no record says so.
fn verb_of(change: &Change) -> (&'static str, Option<String>) {
    let of = |service: &String| Some(format!("service/{service}"));
    match change {
        Change::Traffic { service, .. } => ("traffic.set", of(service)),
        Change::Failover { service, .. } => ("traffic.failover", of(service)),
        Change::Failback { service, .. } => ("traffic.failback", of(service)),
        Change::Undo { service, .. } => ("traffic.undo", of(service)),
        Change::Override { .. } => ("override.begin", None),
        Change::Extend { .. } => ("override.extend", None),
        Change::EndOverride { .. } => ("override.end", None),
        Change::Gate { name, .. } => ("gate.switch", Some(format!("gate/{name}"))),
        // The audit tells of the change that was confirmed.
        Change::Confirm { id } => ("confirm", Some(format!("c-{id}"))),
        Change::Token { .. } => ("token.create", None),
        Change::RevokeToken { .. } => ("token.revoke", None),
        Change::Shift { service, .. } => ("shift.begin", of(service)),
        Change::ShiftOrder { id, order } => (order_verb(*order), Some(format!("shift/s-{id}"))),
        Change::ShiftMove { id, what: ShiftMove::Advance { .. } } => ("shift.step", Some(format!("shift/s-{id}"))),
        Change::ShiftMove { id, what: ShiftMove::Halt { .. } } => ("shift.halt", Some(format!("shift/s-{id}"))),
        Change::Schedule { .. } => ("schedule.create", None),
        Change::CancelSchedule { id } => ("schedule.cancel", Some(format!("schedule/t-{id}"))),
        Change::Fire { id } => ("schedule.done", Some(format!("schedule/t-{id}"))),
        // The shift that it ends stands among what was changed.
        Change::EndingShift(change) => verb_of(change),
    }
}

/// What a schedule's moment came to.
fn came_of(op: &Op) -> Option<&'static str> {
    match op {
        Op::Put(Key::Schedule(_), Record::Schedule(record)) => match record.state {
            ScheduleState::Waiting => None,
            ScheduleState::Done => Some("schedule.done"),
            ScheduleState::Refused => Some("schedule.refused"),
            ScheduleState::Missed => Some("schedule.missed"),
        },
        _ => None,
    }
}

fn order_verb(order: Order) -> &'static str {
    match order {
        Order::Pause => "shift.pause",
        Order::Resume => "shift.resume",
        Order::Promote { .. } => "shift.promote",
        Order::Abort => "shift.abort",
        Order::Retry => "shift.retry",
    }
}

/// Per cent with at most three decimals: short enough to be read back exactly as written.
fn percent(share: f64) -> Value {
    let rounded = (share * 100_000.0).round() / 1000.0;
    if rounded.fract() == 0.0 { json!(rounded as i64) } else { json!(rounded) }
}
