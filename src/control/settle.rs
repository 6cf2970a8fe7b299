//! After events: decide what they touched, compile, publish once, write down what was learned.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, hash_map::Entry};

use crate::model::{Now, ServiceId};
use crate::policy::{self, Memory, Step};
use crate::snapshot::{Compiled, Explained, Snapshot, Why};

use super::commits::{InFlight, Learned};
use super::core::{Cause, Core, Hurry, Serving, StoreState};
use super::event::{Effect, Effects, Notice};
use super::record::{Key, LearnedMemory, LearnedVerdict, Op, Record, Source};
use super::services::{Decided, Rules};

/// Services that were moved alike by one publish.
#[derive(Debug)]
pub(super) struct Moved {
    from: Arc<Decided>,
    to: Arc<Decided>,
    trigger: &'static str,
    took: Option<Duration>,
    services: Vec<ServiceId>,
}

/// Services with the same key come to the same [`Outcome`].
#[derive(PartialEq, Eq, Hash)]
struct Group {
    rules: *const Rules,
    memory: *const Memory,
    decided: Option<*const Decided>,
    cause: Cause,
    /// When it is going to change by itself.
    planned: Option<Duration>,
}

/// As `_explain` queries get it.
fn told(step: &Step) -> Box<str> {
    format!("{}: {}", step.topic, step.text).into()
}

/// What deciding gave.
struct Outcome {
    decided: Arc<Decided>,
    memory: Arc<Memory>,
    /// Why guards put off the end of a hold.
    waits: Option<Arc<str>>,
    /// Answers change.
    changes: bool,
    /// Its place in `moved`, if its regions change.
    moved: Option<usize>,
    /// The steps of the decision, if somebody may ask for them.
    steps: Option<Arc<[Box<str>]>>,
}

impl Core {
    /// [`Self::settle_answers`] and [`Self::follow_up`].
    pub fn settle(&mut self, now: Now, effects: &mut Effects) {
        self.settle_answers(now, effects);
        self.follow_up(now, effects);
    }

    /// Decides and compiles what the events since the last call have touched; publishes once. Call when the queue is empty, at most 10 ms after an event.
    pub fn settle_answers(&mut self, now: Now, effects: &mut Effects) {
        let from = effects.len();
        self.begin_serving(now);
        self.end_overrides(now, effects);
        self.fall_silent(now, effects);
        self.give_up_asking(now, effects);
        if self.freshness.next_at().is_some_and(|at| at <= now.mono) {
            self.review_freshness(now, effects);
        }
        if self.loads.next_at().is_some_and(|at| at <= now.mono) {
            self.review_loads(now, effects);
        }
        if self.latency.next_at().is_some_and(|at| at <= now.mono) {
            self.review_latency(now, effects);
        }
        self.guard_advances(now, effects);
        self.watch_shifts(now, effects);
        self.watch_schedules(now);
        self.look_ahead(now);
        while let Some((at, services)) = self.wakes.take_due(now.mono) {
            for service in services {
                if let Some(state) = self.services.get_mut(service.index()).filter(|state| state.wake_at == Some(at)) {
                    state.wake_at = None;
                    self.touch(service, Cause::Health { failing_since: None });
                }
            }
        }
        let changes = self.decide_dirty(now);
        self.publish(changes, now, effects);
        if self.serving == Serving::Due {
            self.serving = Serving::Told;
            effects.push(Effect::Serve);
        }
        self.tell_secondaries(effects);
        for (ticket, mut applied) in std::mem::take(&mut self.replies) {
            applied.at = now.wall;
            // What is only scheduled answers later.
            let from = applied.schedule.as_ref().map_or(now.wall, |(_, record)| record.due);
            applied.clients_follow_by = from.plus(self.longest_ttl(applied.moves.iter().map(|change| change.service)));
            effects.push(Effect::Reply { ticket, reply: Ok(applied) });
        }
        self.note(from, now, effects);
    }

    /// What can wait until the answers are out: telling people, writing down what was learned, the next plan and tick. Call after each
    /// [`Self::settle_answers`], when its effects have been carried out.
    pub fn follow_up(&mut self, now: Now, effects: &mut Effects) {
        let first = effects.len();
        for Moved { from, to, trigger, took, services } in std::mem::take(&mut self.moved) {
            let services = services.iter().map(|service| self.configuration.estate.service(*service).name.clone()).collect();
            let (from, to) = (from.regions.clone(), to.regions.clone());
            effects.push(Effect::Tell(Notice::Failover { services, from, to, trigger, took }));
        }
        for (service, text) in std::mem::take(&mut self.waiting_told) {
            let service = self.configuration.estate.service(service).name.clone();
            effects.push(Effect::Tell(Notice::FailbackWaits { service, text: text.to_string() }));
        }
        if let Some(Hurry(hurry)) = self.plan_due.take() {
            effects.push(Effect::Probe { plan: self.plan, estate: self.configuration.estate.clone(), hurry });
            self.tell_metrics_the_rest(effects);
        }
        self.classify(effects);
        self.note(first, now, effects);
        self.advance_journal(now);
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
            self.ahead.stale();
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

    fn decide_dirty(&mut self, now: Now) -> Vec<(ServiceId, Compiled)> {
        let touched = self.dirty.take();
        let mut changes = Vec::with_capacity(touched.len());
        let mut outcomes: HashMap<Group, Outcome> = HashMap::new();
        // Services that see other overrides than the rest are decided one by one.
        let apart: HashSet<ServiceId> = self.overrides.resolved.iter().filter_map(|limited| limited.services.as_ref()).flatten().copied().collect();
        let estate = self.configuration.estate.clone();
        let first_round = matches!(self.serving, Serving::FirstRound { .. });
        for (service, cause) in touched {
            if cause <= Cause::Guard && self.overrides.frozen.contains_key(&service) {
                changes.extend(self.readdress(service));
                continue;
            }
            if cause < Cause::Guard && self.guard.blind().is_some() {
                self.put_off.touch(service, cause);
                changes.extend(self.readdress(service));
                continue;
            }
            if self.stands(cause) {
                self.put_off.touch(service, Cause::Health { failing_since: None });
            }
            let Some(state) = self.services.get(service.index()) else { continue };
            let group = Group {
                rules: &*state.rules,
                memory: &*state.memory,
                decided: state.decided.as_ref().map(Arc::as_ptr),
                cause,
                planned: self.ahead.planned(&estate.service(service).name),
            };
            let alone;
            // So are those whose returned pools other guards may keep out, or that have a time of their own.
            let own_guards = !state.memory.held.is_empty() && (state.rules.failback.is_scattered() || estate.rules.names(&estate.service(service).name));
            let outcome = if own_guards || apart.contains(&service) {
                alone = self.decide(service, cause, now);
                alone.as_ref()
            } else {
                match outcomes.entry(group) {
                    Entry::Occupied(known) => Some(&*known.into_mut()),
                    Entry::Vacant(place) => self.decide(service, cause, now).map(|outcome| &*place.insert(outcome)),
                }
            };
            let (Some(outcome), Some(state)) = (outcome, self.services.get_mut(service.index())) else { continue };
            if !first_round && !Arc::ptr_eq(&state.memory, &outcome.memory) {
                state.memory = outcome.memory.clone();
                self.commits.learned.memories.push(service);
            }
            let wake_at = outcome.decided.decision.wake_at;
            if state.wake_at != wake_at {
                state.wake_at.into_iter().for_each(|at| self.wakes.remove(at));
                wake_at.into_iter().for_each(|at| self.wakes.insert(at, service));
                state.wake_at = wake_at;
            }
            state.decided = Some(outcome.decided.clone());
            let begins = outcome.waits.as_ref().filter(|waits| state.waits.as_ref() != Some(waits)).cloned();
            state.waits = outcome.waits.clone();
            if let Some(steps) = &outcome.steps {
                let name = &estate.service(service).name;
                let whose: Arc<str> = match (state.rules.source, self.traffic.get(name)) {
                    (Source::Operator, Some((_, revision))) => format!("the operators' policy, revision {}", revision.0).into(),
                    _ => "the file's policy".into(),
                };
                if state.why.as_ref().is_none_or(|known| (&known.steps, &known.whose) != (steps, &whose)) {
                    state.why = Some(Arc::new(Why { service: name.clone(), whose, at: now.wall, steps: steps.clone() }));
                    self.whys.push(service);
                }
            }
            if let Some(text) = begins {
                self.waiting_told.push((service, text));
            }
            if outcome.changes {
                changes.push((service, outcome.decided.alike.of(state.slot, &mut self.cells)));
            }
            if let Some(moved) = outcome.moved.and_then(|at| self.moved.get_mut(at)) {
                moved.services.push(service);
            }
        }
        self.add_renumbered(&mut changes);
        changes
    }

    /// Who was not decided anew is published by the new numbers of classes all the same.
    fn add_renumbered(&mut self, changes: &mut Vec<(ServiceId, Compiled)>) {
        let renumbered = std::mem::take(&mut self.renumbered);
        let changed: HashSet<ServiceId> = if renumbered.is_empty() { HashSet::new() } else { changes.iter().map(|(service, _)| *service).collect() };
        for service in renumbered.into_iter().filter(|service| !changed.contains(service)) {
            if let Some((state, decided)) = self.services.get(service.index()).and_then(|state| Some((state, state.decided.clone()?))) {
                changes.push((service, decided.alike.of(state.slot, &mut self.cells)));
            }
        }
    }

    /// Decided anew because of the file, or by a process that takes over, while this node is blind: no hold ends by its time, for nobody saw that
    /// the pool stayed up (SEMANTICS, 27).
    fn stands(&self, cause: Cause) -> bool {
        cause == Cause::Config && self.guard.blind().is_some()
    }

    /// Decides for one service, and for all in its group.
    fn decide(&mut self, service: ServiceId, cause: Cause, now: Now) -> Option<Outcome> {
        let estate = self.configuration.estate.clone();
        let state = self.services.get(service.index())?;
        let (rules, before) = (state.rules.clone(), state.decided.clone());
        let held = state.memory.clone();
        let explains = !self.configuration.answers.explain.is_empty();
        let mut steps: Vec<Box<str>> = Vec::new();
        let mut decision = match explains {
            true => policy::explain(estate.service(service), &rules.tree, &self.facts(), &held, now, &mut |step| steps.push(told(&step()))),
            false => policy::decide(estate.service(service), &rules.tree, &self.facts(), &held, now),
        };
        if self.stands(cause) {
            decision = policy::decide_holding(estate.service(service), &rules.tree, &self.facts(), &held, now);
            steps.push("blind: this node is blind, so no hold ends by its time".into());
        }
        let (decision, waits) = self.unless_failback_waits(service, &rules, &held, decision, now);
        let memory = self.shares.memory(decision.memory.clone());
        let decided = self.shares.decided(&estate, &rules, decision, &mut self.cells);
        let same = |before: &Decided| before.decision.answers_like(&decided.decision);
        let changes = !before.as_deref().is_some_and(same);
        let from = before.filter(|before| self.serving == Serving::Told && before.regions != decided.regions);
        let moved = from.map(|from| {
            let (trigger, took) = match cause {
                Cause::Health { failing_since } => ("health", failing_since.map(|since| now.mono.saturating_sub(since))),
                Cause::Guard => ("guard", None),
                Cause::Config | Cause::Clients => ("config", None),
                Cause::Operator => ("operator", None),
            };
            self.moved_alike(Moved { from, to: decided.clone(), trigger, took, services: Vec::new() })
        });
        steps.extend(waits.iter().map(|why| format!("guards: its time is over, and guards put that off: {why}").into()));
        let steps = explains.then(|| steps.into());
        Some(Outcome { decided, memory, waits, changes, moved, steps })
    }

    /// The place in `moved` of those who move like this.
    fn moved_alike(&mut self, new: Moved) -> usize {
        let alike =
            |moved: &Moved| (&moved.from.regions, &moved.to.regions, moved.trigger, moved.took) == (&new.from.regions, &new.to.regions, new.trigger, new.took);
        self.moved.iter().position(alike).unwrap_or_else(|| {
            self.moved.push(new);
            self.moved.len() - 1
        })
    }

    fn publish(&mut self, changes: Vec<(ServiceId, Compiled)>, now: Now, effects: &mut Effects) {
        self.transferable_changed(&changes);
        self.raise_serials(now);
        let explains = !self.configuration.answers.explain.is_empty();
        let next = match &self.snapshot {
            Some(snapshot) if !self.rebuild => {
                if changes.is_empty() && !self.serials.publish && self.whys.is_empty() && !self.reclassified {
                    return;
                }
                let whys = self.whys.iter().filter_map(|id| Some((*id, self.services.get(id.index())?.why.clone()?)));
                let explained = snapshot.explained().map(|explained| explained.clone().with(whys));
                snapshot.with(self.generation + 1, changes).with_explained(explained)
            }
            _ => {
                // Whatever makes the index stale makes every service dirty.
                debug_assert_eq!(changes.len(), self.services.len());
                let decisions = changes.into_iter().map(|(_, compiled)| compiled).collect();
                let next = Snapshot::build(self.generation + 1, &self.configuration.zones, &self.configuration.estate, decisions, &mut self.cells)
                    .with_settings(self.configuration.answers.clone())
                    .with_explained(explains.then(|| Explained::new(self.services.iter().map(|state| state.why.clone()))));
                let next = self.renew_serials(next);
                self.raise_serials(now);
                next
            }
        };
        let next = next.with_serials(self.serials.table()).with_clients(self.configuration.clients.clone());
        self.reclassified = false;
        self.serials.publish = false;
        self.whys.clear();
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
        let mut batch = std::mem::take(&mut self.commits.learned);
        batch.probes.extend(self.probes.take_due(now));
        batch.memories.sort_unstable();
        batch.memories.dedup();
        let mut ops = self.learned_ops(&batch, now);
        ops.extend(self.journal_ops(&batch, now));
        self.commits.alive_at = now.mono;
        let commit = self.commits.number();
        self.commits.in_flight = Some((commit, InFlight::Learned(Box::new(batch))));
        effects.push(Effect::Commit { commit, expect: Vec::new(), ops, learned: true });
    }

    fn learned_ops(&self, batch: &Learned, now: Now) -> Vec<Op> {
        let estate = &self.configuration.estate;
        let Learned {
            verdicts,
            probes,
            memories,
            ended,
            forgotten,
            serials,
            used,
            freshness,
            loads,
            hosts,
            moved: _,
            hosts_gone,
            latency,
            latency_told: _,
            replies,
            journal: _,
            answers: _,
            alive: _,
        } = batch;
        let mut ops = vec![Op::Put(Key::Alive, Record::Alive(now.wall))];
        for judgement in verdicts {
            let health = self.health.judgement(*judgement);
            ops.push(Op::Put(
                Key::Verdict(estate.judgement(*judgement).key.clone()),
                Record::Verdict(LearnedVerdict { state: health.state, since: health.since }),
            ));
        }
        for target in probes {
            ops.push(Op::Put(Key::Probes(estate.target(*target).key.clone()), Record::Probes(self.learned_probes(*target))));
        }
        let mut remembered: HashMap<*const Memory, Arc<LearnedMemory>> = HashMap::new();
        for service in memories {
            if let Some(state) = self.services.get(service.index()) {
                let memory = remembered.entry(&*state.memory).or_insert_with(|| Arc::new(super::memory::remember(estate, &state.memory))).clone();
                ops.push(Op::Put(Key::Memory(estate.service(*service).name.clone()), Record::Memory(memory)));
            }
        }
        ops.extend(serials.iter().filter_map(|zone| Some(Op::Put(Key::Serial(zone.clone()), Record::Serial(self.serials.to_store(zone)?)))));
        ops.extend(self.tokens_used.ops(used));
        ops.extend(self.freshness.ops(freshness));
        ops.extend(self.host_ops(hosts));
        ops.extend(hosts_gone.iter().map(|name| Op::Delete(Key::Host(name.clone()))));
        ops.extend(self.loads.ops(loads));
        ops.extend(self.latency.ops(latency, now));
        ops.extend(self.kept_replies.ops(replies.iter()));
        ops.extend(ended.iter().map(|id| Op::Delete(Key::Override(*id))));
        ops.extend(forgotten.iter().flat_map(|key| [Op::Delete(Key::Verdict(key.clone())), Op::Delete(Key::Probes(key.clone()))]));
        ops
    }

    /// Asks for the next tick, if it is another moment than the one asked for last.
    fn wake(&mut self, effects: &mut Effects) {
        let first_round = match self.serving {
            Serving::FirstRound { until, .. } => Some(until),
            _ => None,
        };
        let hold = self.wakes.first();
        let retry = self.commits.retry_at.filter(|_| self.commits.in_flight.is_none());
        let shifts = self.shifts.next_at(&self.configuration.estate).filter(|_| self.serving == Serving::Told);
        let schedules = self.schedules.next_at().filter(|_| self.serving == Serving::Told && self.store != StoreState::Absent);
        let ahead = self.ahead.next_at().filter(|_| first_round.is_none());
        let due = [
            self.overrides.next_end(),
            self.guard.next_at(),
            self.pushes.next_at(),
            self.freshness.next_at(),
            self.loads.next_at(),
            self.latency.next_at(),
            self.asking.next_at(),
            self.serials.next_at(),
            self.journal_wake(),
            shifts,
            schedules,
            ahead,
        ];
        let next = [first_round, hold, retry].into_iter().chain(due).flatten().min();
        if next != self.told_wake {
            self.told_wake = next;
            effects.push(Effect::WakeAt(next));
        }
    }
}
