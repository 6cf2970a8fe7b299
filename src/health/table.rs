//! The verdicts of all targets, and what pools look like from them.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{EndpointId, Estate, Family, Now, PoolId, TargetId, Timestamp, Watch};

use super::pools::{self, PoolObserved};
use super::verdict::Standing;
use super::{Outcome, ProbeReport, Reason, State};

/// What is known of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetHealth {
    /// The verdict.
    pub state: State,
    /// Loaded from the store and not yet confirmed by an outcome (SEMANTICS, 13).
    pub stale: bool,
    /// Wall time at which the verdict last changed (kept across restarts).
    pub since: Timestamp,
    /// Counted fails while Up.
    pub fails: u16,
    /// Passes in a row.
    pub passes: u16,
    /// The last probe of this run.
    pub last: Option<ProbeReport>,
    /// The last failed probe of this run.
    pub last_failed: Option<ProbeReport>,
    /// `mono` of the first fail of the present streak; for the failover duration. A streak ends when its fails are forgiven or the target is Up again.
    pub failing_since: Option<Duration>,
}

/// A verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub target: TargetId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// The mark `stale` went away (perhaps without a change of state).
    pub confirmed: bool,
}

/// Observations of this node, by target, with pools derived. One writer: `control`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthTable {
    targets: Vec<TargetHealth>,
    pools: Vec<[PoolObserved; 2]>,
}

impl HealthTable {
    /// All Unknown (`Always` endpoints are Up) for this estate.
    pub fn new(estate: &Estate, now: Now) -> Self {
        let unknown = TargetHealth { since: now.wall, ..TargetHealth::default() };
        let targets = estate.targets.iter().map(|_| unknown.clone()).collect();
        let mut table = Self { targets, pools: vec![Default::default(); estate.pools.len()] };
        for pool in (0..estate.pools.len()).map(PoolId::at) {
            table.derive(estate, pool, now);
        }
        table
    }

    /// After a reload: verdicts and counters of targets with the same key are carried over, others start Unknown. A pool of the same name that was Up and
    /// still is keeps its `up_since`: adding an endpoint is no break.
    pub fn carried_over(&self, from: &Estate, to: &Estate, now: Now) -> Self {
        let mut table = Self::new(to, now);
        let known: HashMap<&str, &TargetHealth> = from.targets.iter().map(|target| &*target.key).zip(&self.targets).collect();
        for (target, health) in to.targets.iter().zip(&mut table.targets) {
            if let Some(known) = known.get(&*target.key) {
                health.clone_from(known);
            }
        }
        let before: HashMap<&str, [PoolObserved; 2]> = from.pools.iter().map(|pool| &*pool.name).zip(self.pools.iter().copied()).collect();
        let derived = to.pools.iter().enumerate().map(|(at, pool)| {
            let before = before.get(&*pool.name).copied().unwrap_or_default();
            pools::derive(&table, to, PoolId::at(at), before, now)
        });
        table.pools = derived.collect();
        table
    }

    /// A stored verdict: holds at once, marked stale, counters at 0 (SEMANTICS, 13). Which ones are young enough is the caller's to say.
    pub fn restore(&mut self, estate: &Estate, target: TargetId, state: State, since: Timestamp, now: Now) {
        let Some(health) = self.targets.get_mut(target.index()) else { return };
        *health = TargetHealth { state, stale: state != State::Unknown, since, ..TargetHealth::default() };
        self.derive_pools_of(estate, target, now);
    }

    /// What a predecessor knew of a target a moment ago, on the same clock: verdict, counters and marks go on.
    pub fn inherit(&mut self, estate: &Estate, target: TargetId, left: TargetHealth, now: Now) {
        let Some(health) = self.targets.get_mut(target.index()) else { return };
        *health = left;
        self.derive_pools_of(estate, target, now);
    }

    /// Since when a predecessor has seen a pool up, per family: an unbroken Up keeps its clock.
    pub fn inherit_clocks(&mut self, pool: PoolId, left: [Option<Duration>; 2]) {
        for (observed, left) in self.pools.get_mut(pool.index()).into_iter().flatten().zip(left) {
            observed.up_since = observed.up_since.map(|now| left.map_or(now, |left| left.min(now)));
        }
    }

    /// One outcome into the verdict (SEMANTICS, 12). O(1) unless the verdict changes; then the pools of the target's endpoints are derived anew.
    /// `None`: neither the state nor the stale mark changed.
    pub fn observe(&mut self, estate: &Estate, target: TargetId, report: ProbeReport, now: Now) -> Option<Transition> {
        let health = self.targets.get_mut(target.index())?;
        // What this node could not do says nothing of the target: shown, not counted.
        if matches!(report.outcome, Outcome::Fail { reason: Reason::Internal, .. }) {
            health.last_failed = Some(report.clone());
            health.last = Some(report);
            return None;
        }
        let passed = report.outcome == Outcome::Pass;
        let before = Standing { state: health.state, fails: health.fails, passes: health.passes };
        let after = before.after(passed, &estate.monitor(estate.target(target).monitor).thresholds);

        health.failing_since = match after.state {
            State::Up if after.fails == 0 => None,
            _ if passed => health.failing_since,
            _ => health.failing_since.or(Some(now.mono)),
        };
        // The first agreeing outcome clears the mark; one that changes the state agrees with the new one.
        let agrees = passed == (after.state == State::Up);
        let confirmed = health.stale && agrees;
        health.stale &= !agrees;
        if after.state != before.state {
            health.since = now.wall;
        }
        (health.state, health.fails, health.passes) = (after.state, after.fails, after.passes);
        if !passed {
            health.last_failed = Some(report.clone());
        }
        health.last = Some(report);

        if after.state == before.state && !confirmed {
            return None;
        }
        self.derive_pools_of(estate, target, now);
        Some(Transition { target, from: before.state, to: after.state, confirmed })
    }

    /// What was told of a target no longer holds (`push`): from now on it is `silent`, whatever the thresholds; `report` says why in words.
    pub fn fall_silent(&mut self, estate: &Estate, target: TargetId, silent: State, report: ProbeReport, now: Now) -> Option<Transition> {
        let health = self.targets.get_mut(target.index())?;
        let (before, was_stale) = (health.state, health.stale);
        health.failing_since = if silent == State::Down { health.failing_since.or(Some(now.mono)) } else { None };
        if before != silent {
            health.since = now.wall;
        }
        (health.state, health.stale, health.fails, health.passes) = (silent, false, 0, 0);
        health.last_failed = Some(report.clone());
        health.last = Some(report);
        if before == silent && !was_stale {
            return None;
        }
        self.derive_pools_of(estate, target, now);
        Some(Transition { target, from: before, to: silent, confirmed: was_stale })
    }

    /// Of one target.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn target(&self, target: TargetId) -> &TargetHealth {
        &self.targets[target.index()]
    }

    /// Of the target that judges an endpoint; `None` if none does.
    pub fn target_of(&self, estate: &Estate, endpoint: EndpointId) -> Option<&TargetHealth> {
        match estate.endpoint(endpoint).watch {
            Watch::Target(target) => Some(self.target(target)),
            Watch::Always | Watch::Nothing => None,
        }
    }

    /// Observed state of an endpoint: its target's, Up for `Always`, Unknown for `Nothing`.
    pub fn endpoint(&self, estate: &Estate, endpoint: EndpointId) -> State {
        match estate.endpoint(endpoint).watch {
            Watch::Always => State::Up,
            Watch::Target(target) => self.target(target).state,
            Watch::Nothing => State::Unknown,
        }
    }

    /// The endpoint is Up, and an outcome of this run (or `always`) says so.
    pub fn endpoint_confirmed_up(&self, estate: &Estate, endpoint: EndpointId) -> bool {
        self.endpoint(estate, endpoint) == State::Up && self.target_of(estate, endpoint).is_none_or(|target| !target.stale)
    }

    /// Observed state of a pool in one family.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn pool(&self, pool: PoolId, family: Family) -> PoolObserved {
        self.pools[pool.index()][family.index()]
    }

    /// Every target has an outcome or a stored verdict: the first round is over.
    pub fn complete(&self) -> bool {
        self.targets.iter().all(|target| target.state != State::Unknown)
    }

    /// Targets that no outcome of this run has confirmed: stale or Unknown.
    pub fn unconfirmed(&self) -> usize {
        self.targets.iter().filter(|target| target.stale || target.state == State::Unknown).count()
    }

    /// Derives the pools that `target` has a say in.
    fn derive_pools_of(&mut self, estate: &Estate, target: TargetId, now: Now) {
        for endpoint in &estate.target(target).endpoints {
            self.derive(estate, estate.endpoint(*endpoint).pool, now);
        }
    }

    fn derive(&mut self, estate: &Estate, pool: PoolId, now: Now) {
        let before = self.pools.get(pool.index()).copied().unwrap_or_default();
        let derived = pools::derive(self, estate, pool, before, now);
        if let Some(slot) = self.pools.get_mut(pool.index()) {
            *slot = derived;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Reason;
    use crate::health::testing::estate;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: Timestamp(seconds as i64 * 1000) }
    }

    fn report(passed: bool, now: Now) -> ProbeReport {
        let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Refused, message: "connection refused".into() } };
        ProbeReport { outcome, at: now.wall, took: Duration::from_millis(1), phases: Vec::new(), status: None, certificate_expires: None, warning: None }
    }

    /// Feeds `+` and `-` to a target, one a second from `start`; returns the transitions as `U→D`, `confirmed`.
    fn feed(table: &mut HealthTable, estate: &Estate, target: u32, outcomes: &str, start: u64) -> Vec<(State, State, bool)> {
        let times = (start..).map(at);
        let told = outcomes.chars().zip(times).filter_map(|(outcome, now)| table.observe(estate, TargetId(target), report(outcome == '+', now), now));
        told.map(|Transition { from, to, confirmed, .. }| (from, to, confirmed)).collect()
    }

    fn one() -> (Estate, HealthTable) {
        let estate = estate("pool prod: 10.0.0.1 10.0.0.2");
        let table = HealthTable::new(&estate, at(0));
        (estate, table)
    }

    #[test]
    fn outcomes_without_a_transition_tell_nothing_and_keep_the_pool_as_it_is() {
        let (estate, mut table) = one();
        assert_eq!(feed(&mut table, &estate, 0, "+", 1), [(State::Unknown, State::Up, false)]);
        let pool = table.pool(PoolId(0), Family::V4);
        assert_eq!(pool, PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
        assert_eq!(feed(&mut table, &estate, 0, "+++--+", 2), []);
        assert_eq!(table.pool(PoolId(0), Family::V4), pool);
        assert_eq!(table.target(TargetId(0)).since, Timestamp(1000));
    }

    #[test]
    fn s13_a_restored_verdict_holds_at_once_is_stale_and_has_full_thresholds() {
        let (estate, mut table) = one();
        table.restore(&estate, TargetId(0), State::Up, Timestamp(-5000), at(0));
        assert_eq!(table.endpoint(&estate, EndpointId(0)), State::Up);
        assert_eq!(table.pool(PoolId(0), Family::V4), PoolObserved { state: State::Up, up_since: None }, "policy uses it, failback does not count it");
        assert_eq!(feed(&mut table, &estate, 0, "--", 1), []);
        assert!(table.target(TargetId(0)).stale, "a fail disagrees with Up");
        assert_eq!(feed(&mut table, &estate, 0, "-", 3), [(State::Up, State::Down, true)]);
        assert!(!table.target(TargetId(0)).stale);
    }

    #[test]
    fn s13_the_first_agreeing_outcome_clears_the_mark() {
        let (estate, mut table) = one();
        table.restore(&estate, TargetId(0), State::Up, Timestamp(-5000), at(0));
        table.restore(&estate, TargetId(1), State::Down, Timestamp(-6000), at(0));
        assert_eq!(table.unconfirmed(), 2);
        assert_eq!(feed(&mut table, &estate, 0, "-+", 1), [(State::Up, State::Up, true)]);
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(2)));
        assert_eq!(feed(&mut table, &estate, 1, "++-", 3), [(State::Down, State::Down, true)]);
        assert_eq!(table.target(TargetId(1)).since, Timestamp(-6000), "it did not change now");
        assert_eq!(table.unconfirmed(), 0);
    }

    #[test]
    fn what_this_node_could_not_try_is_shown_and_moves_nothing() {
        let (estate, mut table) = one();
        let outcome = Outcome::Fail { reason: Reason::Internal, message: "this node could not probe".into() };
        let internal = |now| ProbeReport { outcome: outcome.clone(), ..report(false, now) };
        assert_eq!(table.observe(&estate, TargetId(0), internal(at(1)), at(1)), None);
        assert_eq!(table.target(TargetId(0)).state, State::Unknown);
        feed(&mut table, &estate, 0, "+", 2);
        for second in 3..20 {
            assert_eq!(table.observe(&estate, TargetId(0), internal(at(second)), at(second)), None);
        }
        let health = table.target(TargetId(0));
        assert_eq!((health.state, health.fails, health.failing_since), (State::Up, 0, None));
        assert_eq!(health.last.as_ref().map(|last| &last.outcome), Some(&outcome), "people see why");
        assert_eq!(feed(&mut table, &estate, 0, "---", 20), [(State::Up, State::Down, false)]);
        table.observe(&estate, TargetId(0), internal(at(30)), at(30));
        assert_eq!(table.target(TargetId(0)).state, State::Down);
    }

    #[test]
    fn silence_is_a_verdict_without_thresholds_and_clears_the_mark() {
        let (estate, mut table) = one();
        table.restore(&estate, TargetId(0), State::Up, Timestamp(-5000), at(0));
        let silence = table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(5)), at(5));
        assert_eq!(silence, Some(Transition { target: TargetId(0), from: State::Up, to: State::Unknown, confirmed: true }));
        assert_eq!(table.pool(PoolId(0), Family::V4).state, State::Unknown);
        assert!(!table.target(TargetId(0)).stale);
        assert_eq!(table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(6)), at(6)), None);
        assert_eq!(feed(&mut table, &estate, 0, "-", 7), [(State::Unknown, State::Down, false)]);
        feed(&mut table, &estate, 1, "+", 8);
        let silence = table.fall_silent(&estate, TargetId(1), State::Down, report(false, at(9)), at(9));
        assert_eq!(silence.map(|silence| (silence.from, silence.to)), Some((State::Up, State::Down)));
        assert_eq!(table.target(TargetId(1)).failing_since, Some(Duration::from_secs(9)));
    }

    #[test]
    fn s13_a_stale_down_comes_up_by_up_after_passes() {
        let (estate, mut table) = one();
        table.restore(&estate, TargetId(0), State::Down, Timestamp(-5000), at(0));
        assert_eq!(feed(&mut table, &estate, 0, "++++", 1), []);
        assert_eq!(feed(&mut table, &estate, 0, "+", 5), [(State::Down, State::Up, true)]);
    }

    #[test]
    fn failing_since_is_the_first_fail_of_the_streak_until_it_is_forgiven_or_up_again() {
        let (estate, mut table) = one();
        let since = |table: &HealthTable| table.target(TargetId(0)).failing_since.map(|mono| mono.as_secs());
        feed(&mut table, &estate, 0, "+", 1);
        assert_eq!(since(&table), None);
        feed(&mut table, &estate, 0, "-+", 2);
        assert_eq!(since(&table), Some(2), "not forgiven yet");
        feed(&mut table, &estate, 0, "++++", 4);
        assert_eq!(since(&table), None);
        feed(&mut table, &estate, 0, "---", 10);
        assert_eq!((table.target(TargetId(0)).state, since(&table)), (State::Down, Some(10)));
        feed(&mut table, &estate, 0, "++++", 20);
        assert_eq!(since(&table), Some(10));
        feed(&mut table, &estate, 0, "+", 24);
        assert_eq!(since(&table), None);
    }

    #[test]
    fn the_last_failed_report_is_kept_apart_from_good_ones() {
        let (estate, mut table) = one();
        feed(&mut table, &estate, 0, "+-++", 1);
        let health = table.target(TargetId(0));
        assert_eq!(health.last, Some(report(true, at(4))));
        assert_eq!(health.last_failed, Some(report(false, at(2))));
    }

    #[test]
    fn a_pool_is_unbroken_up_while_its_endpoints_take_turns() {
        let (estate, mut table) = one();
        feed(&mut table, &estate, 0, "+", 1);
        feed(&mut table, &estate, 1, "+", 5);
        feed(&mut table, &estate, 0, "---", 10);
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(1)));
        feed(&mut table, &estate, 1, "---", 20);
        assert_eq!(table.pool(PoolId(0), Family::V4), PoolObserved { state: State::Down, up_since: None });
        feed(&mut table, &estate, 0, "+++++", 30);
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(34)));
    }

    #[test]
    fn one_target_judges_every_pool_that_has_its_address() {
        let estate = estate("pool a: 10.0.0.1; pool b: 10.0.0.1 10.0.0.2 min_up=2");
        let mut table = HealthTable::new(&estate, at(0));
        assert_eq!(estate.targets.len(), 2);
        feed(&mut table, &estate, 0, "-", 1);
        assert_eq!((table.pool(PoolId(0), Family::V4).state, table.pool(PoolId(1), Family::V4).state), (State::Down, State::Down));
    }

    #[test]
    fn s7_a_pool_without_the_family_looks_like_its_other_family() {
        let estate = estate("pool a: 10.0.0.1; pool both: 10.0.0.2 2001:db8::2; pool always: 10.0.0.3 monitor=always; pool none: 10.0.0.4 monitor=none");
        let mut table = HealthTable::new(&estate, at(0));
        assert!(!table.complete());
        feed(&mut table, &estate, 0, "-", 1);
        feed(&mut table, &estate, 1, "-", 1);
        feed(&mut table, &estate, 2, "+", 1);
        let states = |pool: u32| Family::ALL.map(|family| table.pool(PoolId(pool), family).state);
        assert_eq!(states(0), [State::Down, State::Down]);
        assert_eq!(states(1), [State::Down, State::Up]);
        assert_eq!(states(2), [State::Up, State::Up]);
        assert_eq!(states(3), [State::Unknown, State::Unknown]);
        assert!(table.complete(), "what nobody watches is not waited for");
    }

    #[test]
    fn s16_a_reload_keeps_health_of_unchanged_targets_and_clocks_of_unbroken_pools() {
        let from = estate("pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3");
        let mut table = HealthTable::new(&from, at(0));
        for target in 0..3 {
            feed(&mut table, &from, target, "+--", 1);
        }
        let to = estate("pool c: 10.0.0.9; pool b: 10.0.0.8 10.0.0.2; pool a: 10.0.0.1 min_up=1; pool d: 10.0.0.3");
        let carried = table.carried_over(&from, &to, at(100));
        let pool = |name: &str| carried.pool(to.pool_named(name).unwrap(), Family::V4);
        assert_eq!(pool("a"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
        assert_eq!(pool("b"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
        assert_eq!(pool("c"), PoolObserved { state: State::Unknown, up_since: None });
        assert_eq!(pool("d"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(100)) }, "a new pool of an old target");
        let a = to.endpoint(to.pool(to.pool_named("a").unwrap()).endpoints[0]).watch;
        let Watch::Target(a) = a else { panic!("probed") };
        assert_eq!((carried.target(a).fails, carried.target(a).failing_since), (2, Some(Duration::from_secs(2))), "counters go on");
    }
}
