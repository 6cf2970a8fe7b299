//! After events: decide what they touched, compile, publish once, write down what was learned.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Estate, Family, Now, ServiceId};
use crate::policy::{self, Decision};
use crate::snapshot::{Compiled, Snapshot, compile};

use super::commits::{InFlight, Learned};
use super::core::{Cause, Core, Hurry, Serving, StoreState};
use super::event::{Effect, Effects, Notice};
use super::record::{Key, LearnedVerdict, Op, Record};

impl Core {
    /// Decides and compiles what the events since the last call have touched; publishes once. Call when the queue is empty, at most 10 ms after an event.
    pub fn settle(&mut self, now: Now, effects: &mut Effects) {
        self.begin_serving(now);
        self.end_overrides(now, effects);
        while let Some((at, service)) = self.wakes.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.wakes.remove(&(at, service));
            if let Some(state) = self.services.get_mut(service.index()) {
                state.wake_at = None;
            }
            self.touch(service, Cause::Health { failing_since: None });
        }
        let changes = self.decide_dirty(now, effects);
        self.publish(changes, effects);
        if self.serving == Serving::Due {
            self.serving = Serving::Told;
            effects.push(Effect::Serve);
        }
        for (ticket, mut applied) in std::mem::take(&mut self.replies) {
            applied.at = now.wall;
            applied.clients_follow_by = now.wall.plus(self.longest_ttl(applied.moves.iter().map(|change| change.service)));
            effects.push(Effect::Reply { ticket, reply: Ok(applied) });
        }
        if let Some(Hurry(hurry)) = self.plan_due.take() {
            effects.push(Effect::Probe { plan: self.plan, estate: self.configuration.estate.clone(), hurry });
        }
        self.next_commit(now, effects);
        self.wake(effects);
    }

    /// The first round is over, or its time is. What was decided before does not count as "was answering".
    fn begin_serving(&mut self, now: Now) {
        if let Serving::FirstRound { until, unknown } = self.serving
            && (unknown == 0 || until <= now.mono)
        {
            self.serving = Serving::Due;
            for service in 0..self.services.len() {
                self.touch(ServiceId::at(service), Cause::Config);
            }
        }
    }

    fn end_overrides(&mut self, now: Now, effects: &mut Effects) {
        let ended = self.overrides.ended(now);
        if ended.is_empty() {
            return;
        }
        for id in ended {
            if let Some(kept) = self.overrides.kept.remove(&id) {
                let text = format!("o-{id}: {} of {} ended", kept.record.kind.word(), kept.record.target);
                effects.push(Effect::Tell(Notice::Override { text, actor: None }));
                self.commits.learned.ended.insert(id);
                self.touch_overridden(&kept.record.target, &kept.record.services, Cause::Operator);
            }
        }
        let estate = self.configuration.estate.clone();
        self.overrides.resolve(&estate);
    }

    fn decide_dirty(&mut self, now: Now, effects: &mut Effects) -> Vec<(ServiceId, Arc<Compiled>)> {
        let mut changes = Vec::new();
        let estate = self.configuration.estate.clone();
        for (service, cause) in std::mem::take(&mut self.dirty) {
            if matches!(cause, Cause::Health { .. }) && self.overrides.frozen.contains_key(&service) {
                continue;
            }
            let Some(state) = self.services.get(service.index()) else { continue };
            let decision = policy::decide(estate.service(service), &state.tree, &self.facts(), &state.memory, now);
            if let Some(compiled) = self.decided(&estate, service, decision, cause, now, effects) {
                changes.push((service, compiled));
            }
        }
        changes
    }

    /// Takes a decision; gives its compiled form if answers change.
    fn decided(&mut self, estate: &Estate, service: ServiceId, decision: Decision, cause: Cause, now: Now, effects: &mut Effects) -> Option<Arc<Compiled>> {
        let serving = self.serving != Serving::Told && matches!(self.serving, Serving::FirstRound { .. });
        let state = self.services.get_mut(service.index())?;
        if !serving && state.memory != decision.memory {
            state.memory = decision.memory.clone();
            self.commits.learned.memories.insert(service);
        }
        if state.wake_at != decision.wake_at {
            state.wake_at.take().map(|at| self.wakes.remove(&(at, service)));
            state.wake_at = decision.wake_at;
            decision.wake_at.map(|at| self.wakes.insert((at, service)));
        }
        let same = state.compiled.is_some() && state.decision.families == decision.families && state.decision.ttl == decision.ttl;
        if same {
            state.decision = decision;
            return None;
        }
        let first = state.compiled.is_none();
        let before = regions(estate, &state.decision);
        let after = regions(estate, &decision);
        let compiled = compile(estate, service, &decision, &mut self.cells);
        state.decision = decision;
        state.compiled = Some(compiled.clone());
        if !first && before != after && self.serving == Serving::Told {
            let (trigger, took) = match cause {
                Cause::Health { failing_since } => ("health", failing_since.map(|since| now.mono.saturating_sub(since))),
                Cause::Config => ("config", None),
                Cause::Operator => ("operator", None),
            };
            let join = |regions: BTreeSet<Arc<str>>| regions.iter().map(|region| &**region).collect::<Vec<_>>().join("+");
            let service = estate.service(service).name.clone();
            effects.push(Effect::Tell(Notice::Failover { service, from: join(before), to: join(after), trigger, took }));
        }
        Some(compiled)
    }

    fn publish(&mut self, changes: Vec<(ServiceId, Arc<Compiled>)>, effects: &mut Effects) {
        let next = match &self.snapshot {
            Some(snapshot) if !self.rebuild => {
                if changes.is_empty() {
                    return;
                }
                snapshot.with(self.generation + 1, changes)
            }
            _ => {
                let decisions = self.services.iter().filter_map(|state| state.compiled.clone()).collect();
                Snapshot::build(self.generation + 1, &self.configuration.zones, &self.configuration.estate, decisions, &mut self.cells)
                    .with_settings(self.configuration.answers.clone())
            }
        };
        self.rebuild = false;
        self.generation += 1;
        let next = Arc::new(next);
        self.snapshot = Some(next.clone());
        effects.push(Effect::Publish(next));
    }

    /// The longest TTL among these services, as they answer now.
    pub(super) fn longest_ttl(&self, services: impl Iterator<Item = ServiceId>) -> Duration {
        let longest = services.map(|service| self.configuration.estate.service(service).ttl).max();
        Duration::from_secs(u64::from(longest.unwrap_or(0)))
    }

    /// Hands the store the next thing to do, if it is idle.
    pub(super) fn next_commit(&mut self, now: Now, effects: &mut Effects) {
        while self.commits.in_flight.is_none()
            && let Some(waiting) = self.commits.waiting.pop_front()
        {
            self.start_change(waiting, now, effects);
        }
        let due = self.commits.retry_at.is_none_or(|at| at <= now.mono);
        if self.commits.in_flight.is_some() || self.store == StoreState::Absent || self.commits.learned.is_empty() || !due {
            return;
        }
        // Memory goes with the verdict that caused it, so a batch is taken only when everything touched has been decided (SEMANTICS, 19).
        if !self.dirty.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.commits.learned);
        let ops = self.learned_ops(&batch, now);
        self.commits.alive_at = now.mono;
        let commit = self.commits.number();
        self.commits.in_flight = Some((commit, InFlight::Learned(batch)));
        effects.push(Effect::Commit { commit, expect: Vec::new(), ops, learned: true });
    }

    fn learned_ops(&self, batch: &Learned, now: Now) -> Vec<Op> {
        let estate = &self.configuration.estate;
        let Learned { verdicts, memories, ended, forgotten, alive: _ } = batch;
        let mut ops = vec![Op::Put(Key::Alive, Record::Alive(now.wall))];
        for target in verdicts {
            let health = self.health.target(*target);
            ops.push(Op::Put(Key::Verdict(estate.target(*target).key.clone()), Record::Verdict(LearnedVerdict { state: health.state, since: health.since })));
        }
        for service in memories {
            if let Some(state) = self.services.get(service.index()) {
                let memory = super::memory::remember(estate, &state.memory);
                ops.push(Op::Put(Key::Memory(estate.service(*service).name.clone()), Record::Memory(memory)));
            }
        }
        ops.extend(ended.iter().map(|id| Op::Delete(Key::Override(*id))));
        ops.extend(forgotten.iter().map(|key| Op::Delete(Key::Verdict(key.clone()))));
        ops
    }

    /// Asks for the next tick, if it is another moment than the one asked for last.
    fn wake(&mut self, effects: &mut Effects) {
        let first_round = match self.serving {
            Serving::FirstRound { until, .. } => Some(until),
            _ => None,
        };
        let hold = self.wakes.first().map(|(at, _)| *at);
        let retry = self.commits.retry_at.filter(|_| self.commits.in_flight.is_none());
        let next = [first_round, hold, self.overrides.next_end(), retry].into_iter().flatten().min();
        if next != self.told_wake {
            self.told_wake = next;
            effects.push(Effect::WakeAt(next));
        }
    }
}

/// Regions that a decision answers with, in either family.
fn regions(estate: &Estate, decision: &Decision) -> BTreeSet<Arc<str>> {
    let leaves = Family::ALL.iter().flat_map(|family| &decision.families[family.index()].leaves);
    leaves.flat_map(|leaf| &leaf.pools).map(|pool| estate.region(estate.pool(*pool).region).name.clone()).collect()
}
