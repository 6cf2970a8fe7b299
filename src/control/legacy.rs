//! What a core leaves to the one that takes over from it without a break (a binary upgrade).
//!
//! The store keeps verdicts and memories for a restart, which begins with doubts: stale marks, counters at 0, failback clocks anew (SEMANTICS, 13).
//! A hand-over has no gap to doubt: counters, clocks and marks go on where they were. Everything is by name, since the file may have changed; times
//! are `mono` of one clock that both cores share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{ByKey, Guard, GuardNames, HostFound, JudgementHealth, Quality, State};
use crate::model::{Estate, Family, JudgementId, Now, PoolId, ServiceId, TargetId, Timestamp};
use crate::policy::{Hold, Memory, Stage};

use super::core::{Core, Hurry, Serving};
use super::probes::ProbesLegacy;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Legacy {
    /// `mono` when it was made.
    pub mono: Duration,
    /// By judgement key (the field has the name that it had when a target had one verdict).
    pub targets: Vec<(Arc<str>, TargetLegacy)>,
    /// By pool name: since when it is up without a break, per family.
    pub pools: Vec<(Arc<str>, [Option<Duration>; 2])>,
    /// By service name; services that remember nothing are left out.
    pub memories: Vec<(Arc<str>, MemoryLegacy)>,
    /// Delays and blindness.
    #[serde(default)]
    pub guard: GuardNames,
    /// What is known beside verdicts, by target key; targets of which nothing is are left out.
    #[serde(default)]
    pub qualities: Vec<(Arc<str>, Quality)>,
    /// The last probes, by target key.
    #[serde(default)]
    pub probes: Vec<(Arc<str>, ProbesLegacy)>,
    /// What was told, and until when it holds.
    #[serde(default)]
    pub pushes: Vec<super::pushes::PushLegacy>,
    /// The last good addresses of host names.
    #[serde(default)]
    pub hosts: Vec<(String, Arc<HostFound>)>,
    /// How fresh data is, by region.
    #[serde(default)]
    pub freshness: Vec<(Arc<str>, super::freshness::DataTold)>,
    /// How much is asked of pools, and who sheds, by pool.
    #[serde(default)]
    pub loads: Vec<(Arc<str>, super::load::LoadTold)>,
    /// What was measured of latency, by network; `None`: it is of a release that knew nothing of it. [`super::Latency::take`] reads it.
    #[serde(default)]
    pub latency: Option<Vec<super::latency::LatencyLegacy>>,
}

/// A verdict with its counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetLegacy {
    /// Up or Down.
    up: bool,
    stale: bool,
    since: Timestamp,
    fails: u16,
    passes: u16,
    failing_since: Option<Duration>,
    #[serde(default)]
    streak_at: Duration,
}

/// A service's memory by pool names; `true` stands for IPv6.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryLegacy {
    held: Vec<(Arc<str>, bool)>,
    used: Vec<(Arc<str>, bool)>,
    last: [Vec<Arc<str>>; 2],
    all_down: [bool; 2],
    /// Pool, IPv6, step, since.
    #[serde(default)]
    stages: Vec<(Arc<str>, bool, u8, Duration)>,
    #[serde(default)]
    first: [Option<Arc<str>>; 2],
}

impl TargetLegacy {
    /// `None` while there is no verdict.
    fn of(health: &JudgementHealth) -> Option<Self> {
        let JudgementHealth { state, stale, since, fails, passes, failing_since, streak_at } = health;
        let up = match state {
            State::Up => true,
            State::Down => false,
            State::Unknown => return None,
        };
        Some(Self { up, stale: *stale, since: *since, fails: *fails, passes: *passes, failing_since: *failing_since, streak_at: *streak_at })
    }

    fn health(&self) -> JudgementHealth {
        let Self { up, stale, since, fails, passes, failing_since, streak_at } = self.clone();
        JudgementHealth { state: if up { State::Up } else { State::Down }, stale, since, fails, passes, failing_since, streak_at }
    }
}

impl MemoryLegacy {
    fn of(estate: &Estate, memory: &Memory) -> Self {
        // `fallen` is made again by the first decision.
        let Memory { held, stages, first, last, used, all_down, fallen: _ } = memory;
        let name = |pool: &PoolId| estate.pool(*pool).name.clone();
        let holds = |holds: &[Hold]| holds.iter().map(|hold| (name(&hold.pool), hold.family == Family::V6)).collect();
        let stages = stages.iter().map(|stage| (name(&stage.hold.pool), stage.hold.family == Family::V6, stage.step, stage.since));
        Self {
            held: holds(held),
            used: holds(used),
            last: [0, 1].map(|family| last[family].iter().map(name).collect()),
            all_down: *all_down,
            stages: stages.collect(),
            first: first.clone(),
        }
    }

    /// Pools that no longer exist are forgotten.
    fn memory(&self, estate: &Estate) -> Memory {
        let Self { held, used, last, all_down, stages, first } = self;
        let family = |v6| if v6 { Family::V6 } else { Family::V4 };
        let holds = |holds: &[(Arc<str>, bool)]| {
            let mut holds: Vec<Hold> = holds.iter().filter_map(|(name, v6)| Some(Hold { pool: estate.pool_named(name)?, family: family(*v6) })).collect();
            holds.sort();
            holds
        };
        let last = [0, 1].map(|family| last[family].iter().filter_map(|name| estate.pool_named(name)).collect());
        let stage = |(name, v6, step, since): &(Arc<str>, bool, u8, Duration)| {
            Some(Stage { hold: Hold { pool: estate.pool_named(name)?, family: family(*v6) }, step: *step, since: *since })
        };
        let mut stages: Vec<Stage> = stages.iter().filter_map(stage).collect();
        stages.sort();
        Memory { held: holds(held), stages, first: first.clone(), last, used: holds(used), all_down: *all_down, ..Memory::default() }
    }
}

impl Core {
    /// What a successor needs to go on as if nothing had happened.
    pub fn legacy(&self, now: Now) -> Legacy {
        let estate = &self.configuration.estate;
        let targets = estate.judgements.iter().enumerate();
        let targets = targets.filter_map(|(at, judgement)| Some((judgement.key.clone(), TargetLegacy::of(self.health.judgement(JudgementId::at(at)))?)));
        let pools = estate.pools.iter().enumerate();
        let pools = pools.map(|(at, pool)| (pool.name.clone(), Family::ALL.map(|family| self.health.pool(PoolId::at(at), family).up_since)));
        let memories = estate.services.iter().zip(&self.services).filter(|(_, state)| *state.memory != Memory::default());
        let memories = memories.map(|(service, state)| (service.name.clone(), MemoryLegacy::of(estate, &state.memory)));
        let qualities = estate.targets.iter().enumerate().map(|(at, target)| (target.key.clone(), self.health.target(TargetId::at(at)).quality.clone()));
        let qualities = qualities.filter(|(_, quality)| *quality != Quality::default()).collect();
        let (targets, pools, memories) = (targets.collect(), pools.collect(), memories.collect());
        Legacy {
            mono: now.mono,
            targets,
            pools,
            memories,
            qualities,
            guard: self.guard.names(estate),
            probes: self.probes.legacy(estate),
            pushes: self.pushes.legacy(estate),
            freshness: self.freshness.legacy(),
            hosts: self.known_hosts().map(|(name, found)| (name.to_string(), Arc::new(found.clone()))).collect(),
            loads: self.loads.legacy(),
            latency: Some(self.latency.legacy()),
        }
    }

    /// Goes on from what a predecessor left. Call between [`Core::start`] and the first [`Core::settle`]; `now.mono` must go on from `legacy.mono`.
    pub fn continue_from(&mut self, legacy: &Legacy, now: Now) {
        let estate = self.configuration.estate.clone();
        let known = ByKey::new(legacy.targets.iter().map(|(key, left)| (&**key, left)));
        for (at, judgement) in estate.judgements.iter().enumerate() {
            let Some(left) = known.get(&judgement.key).map(TargetLegacy::health) else { continue };
            let id = JudgementId::at(at);
            // What the store could not be told any more is written by this one.
            if self.health.judgement(id).state != left.state || self.health.judgement(id).since != left.since {
                self.commits.learned.verdicts.insert(id);
            }
            self.health.inherit(&estate, id, left, now);
        }
        let qualities: HashMap<&str, &Quality> = legacy.qualities.iter().map(|(key, quality)| (&**key, quality)).collect();
        for (at, target) in estate.targets.iter().enumerate() {
            if let Some(quality) = qualities.get(&*target.key) {
                self.health.inherit_quality(TargetId::at(at), (*quality).clone());
            }
        }
        let hosts: BTreeMap<_, _> = legacy.hosts.iter().filter_map(|(name, found)| Some((name.parse().ok()?, found.clone()))).collect();
        self.recall_hosts(&hosts, now);
        self.commits.learned.hosts.extend(hosts.into_keys());
        self.probes.inherit(&legacy.probes, &estate);
        self.pushes.inherit(&legacy.pushes, &estate);
        for (region, told) in &legacy.freshness {
            self.freshness.remember(region.clone(), told.clone(), now);
            self.commits.learned.freshness.insert(region.clone());
        }
        self.review_freshness(now, &mut Vec::new());
        for (pool, told) in &legacy.loads {
            self.loads.remember(pool.clone(), told.clone(), now);
            self.commits.learned.loads.insert(pool.clone());
        }
        self.review_loads(now, &mut Vec::new());
        let clocks: HashMap<&str, [Option<Duration>; 2]> = legacy.pools.iter().map(|(name, up_since)| (&**name, *up_since)).collect();
        for (at, pool) in estate.pools.iter().enumerate() {
            if let Some(up_since) = clocks.get(&*pool.name) {
                self.health.inherit_clocks(PoolId::at(at), *up_since);
            }
        }
        self.guard = Guard::from_names(&legacy.guard, &estate, &self.health, now);
        let left: HashMap<&str, &MemoryLegacy> = legacy.memories.iter().map(|(name, memory)| (&**name, memory)).collect();
        for (at, service) in estate.services.iter().enumerate() {
            let Some(memory) = left.get(&*service.name).map(|left| self.shares.memory(left.memory(&estate))) else { continue };
            if let Some(state) = self.services.get_mut(at).filter(|state| state.memory != memory) {
                state.memory = memory;
                self.commits.learned.memories.push(ServiceId::at(at));
            }
        }
        let mut probed = estate.judgements.iter().enumerate().filter(|(_, judgement)| estate.is_probed(judgement.target));
        if probed.any(|(at, _)| self.health.judgement(JudgementId::at(at)).state != State::Unknown) {
            self.serving = Serving::Due;
            self.plan_due = Some(Hurry(false));
        }
        (0..self.services.len()).for_each(|at| self.touch(ServiceId::at(at), super::core::Cause::Config));
    }

    /// Something accepted or learned is not in the store yet, and may still get there.
    pub fn is_writing(&self) -> bool {
        let learned = self.store == super::core::StoreState::Up && !self.commits.learned.is_empty();
        self.commits.in_flight.is_some() || !self.commits.waiting.is_empty() || learned
    }
}
