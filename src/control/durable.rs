//! What the store says: commits that are durable come into force, failed ones go back or are refused.
//!
//! The core mirrors the store: [`Core::remember`] and [`Core::forget`] take records in, at start and after each commit alike.

use std::collections::BTreeSet;

use crate::model::Now;

use super::change::{Refusal, RefusalKind};
use super::commits::InFlight;
use super::core::{Cause, Core, StoreState};
use super::event::{Effect, Effects, Notice};
use super::record::{Key, Op, Record, Revision};

impl Core {
    pub(super) fn committed(&mut self, commit: u64, revision: Revision, now: Now, effects: &mut Effects) {
        self.store_is_up(effects);
        self.revision = self.revision.max(revision);
        self.journal.audit.done(true, now);
        match self.take_in_flight(commit) {
            Some(InFlight::Change { ticket, ops, mut applied, notices, rated }) => {
                applied.revision = revision;
                self.count_changes(rated, now);
                self.apply(ops, revision, now);
                effects.extend(notices.into_iter().map(|notice| {
                    Effect::Tell(match notice {
                        Notice::Traffic { service, text, actor, reason, .. } => Notice::Traffic { service, text, actor, reason, revision },
                        other => other,
                    })
                }));
                self.replies.push((ticket, *applied));
            }
            Some(InFlight::Learned(batch)) => {
                self.commits.retry_at = None;
                effects.extend(batch.answers.into_iter().map(|(ticket, reply)| Effect::Reply { ticket, reply }));
                self.replies.extend(batch.latency_told.into_iter().map(|(ticket, applied)| (ticket, *applied)));
                self.serials.serve(&batch.serials, true);
            }
            None => (),
        }
        self.next_commit(now, effects);
    }

    pub(super) fn commit_failed(&mut self, commit: u64, why: String, conflict: bool, now: Now, effects: &mut Effects) {
        if !conflict {
            if self.store == StoreState::Up {
                effects.push(Effect::Tell(Notice::Store {
                    up: false,
                    text: format!("the store refuses writes: {why}; DNS goes on with what it has, changes are refused"),
                }));
            }
            self.store = StoreState::Down(why.clone());
        }
        self.journal.audit.done(false, now);
        match self.take_in_flight(commit) {
            Some(InFlight::Change { ticket, ops, .. }) => {
                if ticket == super::shifts::BY_ITSELF {
                    self.shift_commit_failed(&ops, &why, now, effects);
                    self.schedule_commit_failed(&ops, &why, now);
                }
                let refusal = if conflict {
                    Refusal {
                        revision: Some(self.revision),
                        ..Refusal::new(RefusalKind::RevisionMismatch, format!("something changed meanwhile: {why}; nothing was changed, look and try again"))
                    }
                } else {
                    Refusal::new(RefusalKind::StoreUnavailable, format!("{why}; nothing was changed, DNS answers as before"))
                };
                effects.push(Effect::Reply { ticket, reply: Err(refusal) });
            }
            Some(InFlight::Learned(mut batch)) => {
                // It is in memory, and is written when the store works again.
                effects.extend(std::mem::take(&mut batch.answers).into_iter().map(|(ticket, reply)| Effect::Reply { ticket, reply }));
                let undurable = || Refusal::new(RefusalKind::StoreUnavailable, format!("{why}; it counts until a restart, push it again to keep it"));
                effects.extend(std::mem::take(&mut batch.latency_told).into_iter().map(|(ticket, _)| Effect::Reply { ticket, reply: Err(undurable()) }));
                // Secondaries must not lag because the store does; it will be told again.
                self.serials.serve(&batch.serials, false);
                self.commits.learned.put_back(*batch);
                self.commits.retry_at = Some(now.mono + super::commits::RETRY);
            }
            None => (),
        }
        self.next_commit(now, effects);
    }

    /// Brings durable records into force.
    fn apply(&mut self, ops: Vec<Op>, revision: Revision, now: Now) {
        let estate = self.configuration.estate.clone();
        let mut overridden = BTreeSet::new();
        self.ahead.stale();
        for op in ops {
            let key = op.key().clone();
            if let Key::Override(id) = key {
                overridden.extend(self.overrides.kept.get(&id).map(|kept| (kept.record.target.clone(), kept.record.services.clone())));
            }
            match op {
                Op::Put(key, record) => self.remember(key, record, revision, now),
                Op::Delete(key) => self.forget(&key),
            }
            match &key {
                Key::Traffic(name) => {
                    if let Some(service) = estate.service_named(name) {
                        self.rethink(service);
                    }
                }
                Key::Memory(name) => {
                    let memory = self.spare_memories.get(name).map(|memory| super::memory::recall(&estate, memory)).unwrap_or_default();
                    let memory = self.shares.memory(memory);
                    if let Some(service) = estate.service_named(name)
                        && let Some(state) = self.services.get_mut(service.index())
                    {
                        state.memory = memory;
                        self.spare_memories.remove(name);
                        self.touch(service, Cause::Operator);
                    }
                }
                Key::Override(id) => {
                    overridden.extend(self.overrides.kept.get(id).map(|kept| (kept.record.target.clone(), kept.record.services.clone())));
                }
                _ => (),
            }
        }
        if !overridden.is_empty() {
            self.overrides.resolve(&estate);
            for (target, services) in overridden {
                self.touch_overridden(&target, &services, Cause::Operator);
            }
        }
    }

    /// Takes a record into the mirror of the store: at start, and when a commit is durable.
    pub(super) fn remember(&mut self, key: Key, record: Record, revision: Revision, now: Now) {
        match (key, record) {
            (Key::Traffic(service), Record::Traffic(record)) => drop(self.traffic.insert(service, (record, revision))),
            (Key::History(service, sequence), Record::History(history)) => {
                self.history.entry(service).or_default().insert(sequence, (revision, history));
            }
            (Key::Override(id), Record::Override(record)) => self.overrides.keep(id, record, revision, now),
            (Key::Token(id), Record::Token(record)) => drop(self.tokens.insert(id, record)),
            (Key::TokenUsed(id), Record::TokenUsed(at)) => self.tokens_used.remember(id, at),
            (Key::Freshness(region), Record::Freshness(told)) => self.freshness.remember(region, told, now),
            (Key::Load(pool), Record::Load(told)) => self.loads.remember(pool, told, now),
            (Key::Memory(service), Record::Memory(memory)) => drop(self.spare_memories.insert(service, memory)),
            (Key::Serial(zone), Record::Serial(serial)) => self.serials.remember(zone, serial),
            (Key::Gate(name), Record::Gate(record)) => self.gate_switched(name, record, revision),
            (Key::Shift(id), Record::Shift(record)) => self.shifts.keep(id, record, revision, &self.configuration.estate.shifts, now),
            (Key::Schedule(id), Record::Schedule(record)) => self.schedules.keep(id, record, revision, now),
            (Key::LastChange, Record::LastChange(_)) => self.last_change = Some(revision),
            (Key::Reply(id), Record::Line(text)) => self.kept_replies.recall(id, &text),
            (Key::EventPending(number), _) => self.commits.learned.journal.told(number),
            // What a commit wrote of the audit is known already; latency is taken out of what was stored before.
            (Key::Latency(_) | Key::Verdict(_) | Key::Probes(_) | Key::Host(_) | Key::Alive | Key::Audit(_), _) => (),
            (key, _) => debug_assert!(false, "{key:?} holds a record of another kind"),
        }
    }

    /// Takes a removal into the mirror.
    pub(super) fn forget(&mut self, key: &Key) {
        match key {
            Key::Traffic(service) => drop(self.traffic.remove(service)),
            Key::History(service, sequence) => {
                self.history.get_mut(service).map(|entries| entries.remove(sequence));
            }
            Key::Override(id) => drop(self.overrides.kept.remove(id)),
            Key::Token(id) => drop(self.tokens.remove(id)),
            Key::TokenUsed(id) => self.tokens_used.forget(id),
            Key::Memory(service) => drop(self.spare_memories.remove(service)),
            Key::Gate(name) => drop(self.gates.remove(name)),
            Key::Shift(id) => self.shifts.forget(*id),
            Key::Schedule(id) => self.schedules.forget(*id),
            Key::LastChange => self.last_change = None,
            Key::Freshness(region) => self.freshness.forget(region),
            Key::Load(pool) => self.loads.forget(pool),
            Key::Reply(id) => self.kept_replies.forget(id),
            Key::Verdict(_) | Key::Probes(_) | Key::Host(_) | Key::Serial(_) | Key::Alive | Key::Latency(_) => (),
            Key::Audit(_) | Key::AuditAnchor | Key::EventPending(_) | Key::Event(_) | Key::EventMark | Key::Webhook(_) | Key::Delivery(..) => (),
        }
    }

    fn store_is_up(&mut self, effects: &mut Effects) {
        if let StoreState::Down(_) = self.store {
            self.store = StoreState::Up;
            effects.push(Effect::Tell(Notice::Store { up: true, text: "the store works again".to_string() }));
        }
    }

    fn take_in_flight(&mut self, commit: u64) -> Option<InFlight> {
        match self.commits.in_flight.take() {
            Some((number, in_flight)) if number == commit => Some(in_flight),
            other => {
                self.commits.in_flight = other;
                None
            }
        }
    }
}
