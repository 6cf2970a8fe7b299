//! What was known before: by the store, by a predecessor of this process, under another configuration.

use std::collections::HashMap;
use std::time::Duration;

use crate::health::State;
use crate::health::pools::{self, PoolObserved};
use crate::health::quality::Quality;
use crate::model::{EndpointId, Estate, JudgementId, Now, PoolId, TargetId, Timestamp, Watch};

use super::combined::CombinedHealth;
use super::{HealthTable, JudgementHealth, TargetHealth};

impl HealthTable {
    /// After a reload: reports of targets and verdicts of judgements with the same key are carried over, others start Unknown; a judgement by new
    /// thresholds starts from a verdict on the same target. A pool of the same name that was Up and still is keeps its `up_since`: adding an endpoint
    /// is no break.
    pub fn carried_over(&self, from: &Estate, to: &Estate, now: Now) -> Self {
        let mut table = Self::new(to, now);
        let known: HashMap<&str, &TargetHealth> = from.targets.iter().map(|target| &*target.key).zip(&self.targets).collect();
        for (target, health) in to.targets.iter().zip(&mut table.targets) {
            if let Some(known) = known.get(&*target.key) {
                health.clone_from(known);
            }
        }
        table.shaped = table.targets.iter().filter(|health| health.quality.is_shaped()).count();
        let known = ByKey::new(from.judgements.iter().map(|judgement| &*judgement.key).zip(&self.judgements));
        for (judgement, health) in to.judgements.iter().zip(&mut table.judgements) {
            if let Some(known) = known.get(&judgement.key) {
                health.clone_from(known);
            }
        }
        table.streaks = table.judgements.iter().filter(|health| 0 < health.against()).count();
        let known: HashMap<_, _> = from.hosts.iter().zip(&self.hosts).collect();
        for (name, host) in to.hosts.iter().zip(&mut table.hosts) {
            if let Some(known) = known.get(name) {
                host.clone_from(known);
            }
        }
        let known = self.combined_by_name(from);
        for endpoint in (0..to.endpoints.len()).map(EndpointId::at) {
            let Watch::Combined(id) = to.endpoint(endpoint).watch else { continue };
            table.recall(to, id);
            let known = known.get(&name_of(to, endpoint));
            if let Some((combined, known)) = table.combined.get_mut(id.index()).zip(known).filter(|(combined, known)| combined.state == known.state) {
                (combined.since, combined.failing_since) = (known.since, known.failing_since);
            }
        }
        let before: HashMap<&str, [PoolObserved; 3]> = from.pools.iter().map(|pool| &*pool.name).zip(self.pools.iter().copied()).collect();
        let derived = to.pools.iter().enumerate().map(|(at, pool)| {
            let before = before.get(&*pool.name).copied().unwrap_or_default();
            pools::derive(&table, to, PoolId::at(at), before, now)
        });
        table.pools = derived.collect();
        table
    }

    /// A stored verdict: holds at once, marked stale, counters at 0 (SEMANTICS, 13). Which ones are young enough is the caller's to say.
    pub fn restore(&mut self, estate: &Estate, judgement: JudgementId, state: State, since: Timestamp, now: Now) {
        let left = JudgementHealth { state, stale: state != State::Unknown, since, ..JudgementHealth::default() };
        self.inherit(estate, judgement, left, now);
    }

    /// What a predecessor knew a moment ago, on the same clock: verdict, counters and marks go on.
    pub fn inherit(&mut self, estate: &Estate, judgement: JudgementId, left: JudgementHealth, now: Now) {
        let Some(health) = self.judgements.get_mut(judgement.index()) else { return };
        let (before, after) = (health.against(), left.against());
        *health = left;
        self.count_streak(before, after);
        let endpoints = &estate.judgement(judgement).endpoints;
        for endpoint in endpoints {
            if let Watch::Combined(id) = estate.endpoint(*endpoint).watch {
                self.recall(estate, id);
            }
        }
        self.derive_pools_of(estate, endpoints, now);
    }

    /// What a predecessor knew of a target beside verdicts.
    pub fn inherit_quality(&mut self, target: TargetId, left: Quality) {
        let Some(health) = self.targets.get_mut(target.index()) else { return };
        self.shaped = self.shaped + usize::from(left.is_shaped()) - usize::from(health.quality.is_shaped());
        health.quality = left;
    }

    /// Since when a predecessor has seen a pool up, per family: an unbroken Up keeps its clock.
    pub fn inherit_clocks(&mut self, pool: PoolId, left: [Option<Duration>; 2]) {
        // By name as by the first family: that is told of no other.
        let [v4, v6] = left;
        for (observed, left) in self.pools.get_mut(pool.index()).into_iter().flatten().zip([v4, v6, v4]) {
            observed.up_since = observed.up_since.map(|now| left.map_or(now, |left| left.min(now)));
        }
    }

    fn combined_by_name<'e>(&'e self, estate: &'e Estate) -> HashMap<(&'e str, &'e str), &'e CombinedHealth> {
        let endpoints = (0..estate.endpoints.len()).map(EndpointId::at);
        let known = endpoints.filter_map(|id| match estate.endpoint(id).watch {
            Watch::Combined(combined) => Some((name_of(estate, id), self.combined.get(combined.index())?)),
            _ => None,
        });
        known.collect()
    }
}

/// Pool and endpoint: an endpoint's name across reloads.
fn name_of(estate: &Estate, id: EndpointId) -> (&str, &str) {
    let endpoint = estate.endpoint(id);
    (&estate.pool(endpoint.pool).name, &endpoint.name)
}

/// What was known by judgement keys: the judgement's own, else any on the same target.
#[derive(Debug)]
pub struct ByKey<'k, T> {
    own: HashMap<&'k str, T>,
    of_target: HashMap<&'k str, T>,
}

impl<'k, T: Copy> ByKey<'k, T> {
    /// From keys in any order; the monitor's own judgement goes before others of its target.
    pub fn new(known: impl Iterator<Item = (&'k str, T)>) -> Self {
        let (mut own, mut of_target) = (HashMap::new(), HashMap::new());
        for (key, known) in known {
            own.insert(key, known);
            let target = crate::model::Judgement::target_key(key);
            if target == key {
                of_target.insert(target, known);
            } else {
                of_target.entry(target).or_insert(known);
            }
        }
        Self { own, of_target }
    }

    /// Where a judgement with this key starts from.
    pub fn get(&self, key: &str) -> Option<T> {
        self.own.get(key).or_else(|| self.of_target.get(crate::model::Judgement::target_key(key))).copied()
    }
}
