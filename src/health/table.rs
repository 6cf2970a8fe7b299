//! The verdicts of all targets, and what endpoints and pools look like from them.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{CombinedId, EndpointId, Estate, Family, JudgementId, Now, PoolId, TargetId, Timestamp, Watch};

use super::composite::{self, MemberHealth};
use super::pools::{self, PoolObserved};
use super::quality::{Counts, Quality};
use super::verdict::Standing;
use super::{Outcome, ProbeReport, Reason, State};

/// What is known of one target, whoever judges it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetHealth {
    /// The last probe of this run.
    pub last: Option<ProbeReport>,
    /// The last failed probe of this run.
    pub last_failed: Option<ProbeReport>,
    /// What is known beside Up and Down; degraded by the monitor's thresholds.
    pub quality: Quality,
}

/// The verdict on one target by one set of thresholds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgementHealth {
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
    /// `mono` of the first fail of the present streak; for the failover duration. A streak ends when its fails are forgiven or the verdict is Up again.
    pub failing_since: Option<Duration>,
}

/// The verdict on an endpoint with a composite monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CombinedHealth {
    state: State,
    /// It stands on a stale verdict: were those Unknown, it would be.
    stale: bool,
    /// When it last changed. After a restart: when the last of its members did, since nothing is stored of it.
    since: Timestamp,
    /// Of what took it Down; `None` while it is not.
    failing_since: Option<Duration>,
}

/// What is known of an endpoint that is watched, by whatever watches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointHealth<'h> {
    /// Observed.
    pub state: State,
    /// Not confirmed by this run's outcomes.
    pub stale: bool,
    /// Since when it is so.
    pub since: Timestamp,
    /// `mono` of the first fail of what took it down, or is about to.
    pub failing_since: Option<Duration>,
    /// The last probe of this run.
    pub last: Option<&'h ProbeReport>,
    /// The last failed probe of this run; of a composite's that has counting members Down: of one of those.
    pub last_failed: Option<&'h ProbeReport>,
    /// Of a composite: the monitor that `last_failed` comes from.
    pub failed_by: Option<&'h str>,
}

/// A verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub judgement: JudgementId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// The mark `stale` went away (perhaps without a change of state).
    pub confirmed: bool,
    /// The first fail of what made it Down.
    pub failing_since: Option<Duration>,
}

/// An endpoint's observed state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub endpoint: EndpointId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
}

/// What one outcome changed: nearly always nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Verdicts that changed, or are no longer stale.
    pub transitions: Vec<Transition>,
    /// Endpoints that changed by them.
    pub turns: Vec<Turn>,
}

/// Observations of this node, by target and judgement, with endpoints and pools derived. One writer: `control`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthTable {
    targets: Vec<TargetHealth>,
    judgements: Vec<JudgementHealth>,
    combined: Vec<CombinedHealth>,
    pools: Vec<[PoolObserved; 2]>,
    /// Targets that are degraded or told a weight. Nearly always none: then nobody need ask.
    shaped: usize,
}

impl HealthTable {
    /// All Unknown (`Always` endpoints are Up) for this estate.
    pub fn new(estate: &Estate, now: Now) -> Self {
        let unknown = JudgementHealth { since: now.wall, ..JudgementHealth::default() };
        let mut table = Self {
            targets: vec![TargetHealth::default(); estate.targets.len()],
            judgements: vec![unknown; estate.judgements.len()],
            combined: vec![CombinedHealth::default(); estate.combined.len()],
            pools: vec![Default::default(); estate.pools.len()],
            shaped: 0,
        };
        for combined in (0..estate.combined.len()).map(CombinedId::at) {
            table.recall(estate, combined);
        }
        for pool in (0..estate.pools.len()).map(PoolId::at) {
            table.derive(estate, pool, now);
        }
        table
    }

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
        let known = self.combined_by_name(from);
        for endpoint in (0..to.endpoints.len()).map(EndpointId::at) {
            let Watch::Combined(id) = to.endpoint(endpoint).watch else { continue };
            table.recall(to, id);
            let known = known.get(&name_of(to, endpoint));
            if let Some((combined, known)) = table.combined.get_mut(id.index()).zip(known).filter(|(combined, known)| combined.state == known.state) {
                (combined.since, combined.failing_since) = (known.since, known.failing_since);
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
    pub fn restore(&mut self, estate: &Estate, judgement: JudgementId, state: State, since: Timestamp, now: Now) {
        let left = JudgementHealth { state, stale: state != State::Unknown, since, ..JudgementHealth::default() };
        self.inherit(estate, judgement, left, now);
    }

    /// What a predecessor knew a moment ago, on the same clock: verdict, counters and marks go on.
    pub fn inherit(&mut self, estate: &Estate, judgement: JudgementId, left: JudgementHealth, now: Now) {
        let Some(health) = self.judgements.get_mut(judgement.index()) else { return };
        *health = left;
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
        for (observed, left) in self.pools.get_mut(pool.index()).into_iter().flatten().zip(left) {
            observed.up_since = observed.up_since.map(|now| left.map_or(now, |left| left.min(now)));
        }
    }

    /// One outcome into all verdicts on its target (SEMANTICS, 12). O(1) unless one changes; then its endpoints and their pools are derived anew.
    pub fn observe(&mut self, estate: &Estate, target: TargetId, mut report: ProbeReport, now: Now) -> Observed {
        let mut observed = Observed::default();
        let Some(health) = self.targets.get_mut(target.index()) else { return observed };
        // What this node could not do says nothing of the target: shown, not counted.
        if let Outcome::Fail { reason: Reason::Internal, .. } = report.outcome {
            health.last_failed = Some(report.clone());
            health.last = Some(report);
            return observed;
        }
        let monitor = estate.monitor(estate.target(target).monitor);
        let was_shaped = health.quality.is_shaped();
        let counts = health.quality.observe(&mut report, monitor, &monitor.thresholds, now);
        match (was_shaped, health.quality.is_shaped()) {
            (false, true) => self.shaped += 1,
            (true, false) => self.shaped -= 1,
            _ => {}
        }
        if counts == Counts::Nothing {
            health.last = Some(report);
            return observed;
        }
        let passed = counts != Counts::Fail;
        if !passed {
            health.last_failed = Some(report.clone());
        }
        health.last = Some(report);
        for judgement in estate.judgements_of(target) {
            if let Some(transition) = self.judge(estate, judgement, passed, now) {
                self.follow(estate, transition, now, &mut observed);
            }
        }
        observed
    }

    /// What was told of a target no longer holds (`push`): from now on all verdicts on it are `silent`, whatever the thresholds; `report` says why in words.
    pub fn fall_silent(&mut self, estate: &Estate, target: TargetId, silent: State, report: ProbeReport, now: Now) -> Observed {
        let mut observed = Observed::default();
        let Some(health) = self.targets.get_mut(target.index()) else { return observed };
        health.last_failed = Some(report.clone());
        health.last = Some(report);
        for judgement in estate.judgements_of(target) {
            if let Some(transition) = self.silence(judgement, silent, now) {
                self.follow(estate, transition, now, &mut observed);
            }
        }
        observed
    }

    /// One verdict ends. `None`: neither the state nor the stale mark changed.
    fn silence(&mut self, judgement: JudgementId, silent: State, now: Now) -> Option<Transition> {
        let health = self.judgements.get_mut(judgement.index())?;
        let (before, was_stale) = (health.state, health.stale);
        health.failing_since = if silent == State::Down { health.failing_since.or(Some(now.mono)) } else { None };
        if before != silent {
            health.since = now.wall;
        }
        (health.state, health.stale, health.fails, health.passes) = (silent, false, 0, 0);
        if before == silent && !was_stale {
            return None;
        }
        Some(Transition { judgement, from: before, to: silent, confirmed: was_stale, failing_since: health.failing_since })
    }

    /// A verdict changed, or was confirmed: its endpoints and their pools.
    fn follow(&mut self, estate: &Estate, transition: Transition, now: Now, observed: &mut Observed) {
        self.turn(estate, &transition, now, &mut observed.turns);
        self.derive_pools_of(estate, &estate.judgement(transition.judgement).endpoints, now);
        observed.transitions.push(transition);
    }

    /// One outcome into one verdict. `None`: neither the state nor the stale mark changed.
    fn judge(&mut self, estate: &Estate, judgement: JudgementId, passed: bool, now: Now) -> Option<Transition> {
        let health = self.judgements.get_mut(judgement.index())?;
        let before = Standing { state: health.state, fails: health.fails, passes: health.passes };
        let after = before.after(passed, &estate.judgement(judgement).thresholds);
        let failing_before = health.failing_since;
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
        if after.state == before.state && !confirmed {
            return None;
        }
        let failing_since = if after.state == State::Down { health.failing_since.or(failing_before) } else { None };
        Some(Transition { judgement, from: before.state, to: after.state, confirmed, failing_since })
    }

    /// The endpoints that a change of verdict turns.
    fn turn(&mut self, estate: &Estate, transition: &Transition, now: Now, turns: &mut Vec<Turn>) {
        let Transition { judgement, from, to, failing_since, confirmed: _ } = *transition;
        for endpoint in &estate.judgement(judgement).endpoints {
            let (from, to) = match estate.endpoint(*endpoint).watch {
                Watch::Combined(id) => self.combine(estate, id, failing_since, now),
                _ => (from, to),
            };
            if from != to {
                turns.push(Turn { endpoint: *endpoint, from, to });
            }
        }
    }

    /// A member of a composite changed: before and after. `failing_since`: of the member.
    fn combine(&mut self, estate: &Estate, id: CombinedId, failing_since: Option<Duration>, now: Now) -> (State, State) {
        let (state, stale) = self.evaluate(estate, id);
        let Some(combined) = self.combined.get_mut(id.index()) else { return (state, state) };
        let before = combined.state;
        combined.stale = stale;
        if before != state {
            let failing_since = if state == State::Down { failing_since } else { None };
            *combined = CombinedHealth { state, stale, since: now.wall, failing_since };
        }
        (before, state)
    }

    /// A composite's verdict anew, where nobody saw how it came about: since its last member changed.
    fn recall(&mut self, estate: &Estate, id: CombinedId) {
        let (state, stale) = self.evaluate(estate, id);
        let members = || estate.combined(id).judgements.iter().map(|judgement| self.judgement(*judgement));
        let since = members().map(|member| member.since).max().unwrap_or_default();
        let failing = members().filter(|member| member.state == State::Down).filter_map(|member| member.failing_since).max();
        let failing_since = if state == State::Down { failing } else { None };
        if let Some(combined) = self.combined.get_mut(id.index()) {
            *combined = CombinedHealth { state, stale, since, failing_since };
        }
    }

    /// State, and whether it stands on stale verdicts.
    fn evaluate(&self, estate: &Estate, id: CombinedId) -> (State, bool) {
        let combined = estate.combined(id);
        let state = composite::evaluate(estate, combined, &|judgement| self.judgement(judgement).state);
        let confirmed = |judgement| Some(self.judgement(judgement)).filter(|health| !health.stale).map_or(State::Unknown, |health| health.state);
        (state, state != State::Unknown && composite::evaluate(estate, combined, &confirmed) != state)
    }

    fn combined_by_name<'e>(&'e self, estate: &'e Estate) -> HashMap<(&'e str, &'e str), &'e CombinedHealth> {
        let endpoints = (0..estate.endpoints.len()).map(EndpointId::at);
        let known = endpoints.filter_map(|id| match estate.endpoint(id).watch {
            Watch::Combined(combined) => Some((name_of(estate, id), self.combined.get(combined.index())?)),
            _ => None,
        });
        known.collect()
    }

    /// What probes of one target said.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn target(&self, target: TargetId) -> &TargetHealth {
        &self.targets[target.index()]
    }

    /// One verdict.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn judgement(&self, judgement: JudgementId) -> &JudgementHealth {
        &self.judgements[judgement.index()]
    }

    /// Of an endpoint; `None` if nothing probes it.
    pub fn watched<'h>(&'h self, estate: &'h Estate, endpoint: EndpointId) -> Option<EndpointHealth<'h>> {
        match estate.endpoint(endpoint).watch {
            Watch::Judgement(id) => {
                let JudgementHealth { state, stale, since, failing_since, fails: _, passes: _ } = *self.judgement(id);
                let TargetHealth { last, last_failed, quality: _ } = self.target(estate.judgement(id).target);
                Some(EndpointHealth { state, stale, since, failing_since, last: last.as_ref(), last_failed: last_failed.as_ref(), failed_by: None })
            }
            Watch::Combined(id) => {
                let CombinedHealth { state, stale, since, failing_since } = *self.combined.get(id.index())?;
                let reports = |choose: fn(&TargetHealth) -> Option<&ProbeReport>| estate.targets_of(endpoint).filter_map(move |id| choose(self.target(id)));
                let last = reports(|target| target.last.as_ref()).max_by_key(|report| report.at);
                let members = self.members(estate, endpoint);
                let down = MemberHealth::counting(&members, State::Down);
                let failed = down.into_iter().find_map(|member| Some((member.target?.last_failed.as_ref()?, member.monitor)));
                let (last_failed, failed_by) = match failed {
                    Some((report, monitor)) => (Some(report), Some(monitor)),
                    None => (reports(|target| target.last_failed.as_ref()).max_by_key(|report| report.at), None),
                };
                Some(EndpointHealth { state, stale, since, failing_since, last, last_failed, failed_by })
            }
            Watch::Always | Watch::Nothing => None,
        }
    }

    /// The members of an endpoint's composite monitor; none if it has another one.
    pub fn members<'h>(&'h self, estate: &'h Estate, endpoint: EndpointId) -> Vec<MemberHealth<'h>> {
        match estate.endpoint(endpoint).watch {
            Watch::Combined(id) => composite::members(self, estate, estate.combined(id)),
            Watch::Judgement(_) | Watch::Always | Watch::Nothing => Vec::new(),
        }
    }

    /// Observed state of an endpoint: its verdict, Up for `Always`, Unknown for `Nothing`.
    pub fn endpoint(&self, estate: &Estate, endpoint: EndpointId) -> State {
        match estate.endpoint(endpoint).watch {
            Watch::Always => State::Up,
            Watch::Judgement(judgement) => self.judgement(judgement).state,
            Watch::Combined(combined) => self.combined.get(combined.index()).map_or(State::Unknown, |combined| combined.state),
            Watch::Nothing => State::Unknown,
        }
    }

    /// The endpoint is Up, and outcomes of this run (or `always`) say so.
    pub fn endpoint_confirmed_up(&self, estate: &Estate, endpoint: EndpointId) -> bool {
        match estate.endpoint(endpoint).watch {
            Watch::Always => true,
            Watch::Judgement(judgement) => self.judgement(judgement).state == State::Up && !self.judgement(judgement).stale,
            Watch::Combined(combined) => self.combined.get(combined.index()).is_some_and(|combined| combined.state == State::Up && !combined.stale),
            Watch::Nothing => false,
        }
    }

    /// Observed state of a pool in one family.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn pool(&self, pool: PoolId, family: Family) -> PoolObserved {
        self.pools[pool.index()][family.index()]
    }

    /// Some target is degraded or told a weight.
    pub fn shapes_any(&self) -> bool {
        0 < self.shaped
    }

    /// The same verdicts, with nothing known beside them.
    #[cfg(test)]
    pub(crate) fn sound(&self) -> Self {
        let mut sound = self.clone();
        sound.targets.iter_mut().for_each(|health| health.quality = Quality::default());
        sound.shaped = 0;
        sound
    }

    /// Every verdict has an outcome or comes from the store: the first round is over.
    pub fn complete(&self) -> bool {
        self.judgements.iter().all(|judgement| judgement.state != State::Unknown)
    }

    /// Verdicts that no outcome of this run has confirmed: stale or Unknown.
    pub fn unconfirmed(&self) -> usize {
        self.judgements.iter().filter(|judgement| judgement.stale || judgement.state == State::Unknown).count()
    }

    /// Derives the pools that these endpoints stand in.
    fn derive_pools_of(&mut self, estate: &Estate, endpoints: &[EndpointId], now: Now) {
        for pool in estate.pools_moved_by(endpoints.iter().copied()) {
            self.derive(estate, pool, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::estate;
    use crate::health::{Outcome, Reason};

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: Timestamp(seconds as i64 * 1000) }
    }

    fn report(passed: bool, now: Now) -> ProbeReport {
        let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Refused, message: "connection refused".into() } };
        ProbeReport::new(outcome, now.wall, Duration::from_millis(1))
    }

    /// Feeds `+` and `-` to a target, one a second from `start`; returns the transitions as `U→D`, `confirmed`.
    fn feed(table: &mut HealthTable, estate: &Estate, target: u32, outcomes: &str, start: u64) -> Vec<(State, State, bool)> {
        let times = (start..).map(at);
        let observe = |(outcome, now)| table.observe(estate, TargetId(target), report(outcome == '+', now), now).transitions;
        let told = outcomes.chars().zip(times).flat_map(observe);
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
        assert_eq!(table.judgement(JudgementId(0)).since, Timestamp(1000));
    }

    #[test]
    fn s13_a_restored_verdict_holds_at_once_is_stale_and_has_full_thresholds() {
        let (estate, mut table) = one();
        table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
        assert_eq!(table.endpoint(&estate, EndpointId(0)), State::Up);
        assert_eq!(table.pool(PoolId(0), Family::V4), PoolObserved { state: State::Up, up_since: None }, "policy uses it, failback does not count it");
        assert_eq!(feed(&mut table, &estate, 0, "--", 1), []);
        assert!(table.judgement(JudgementId(0)).stale, "a fail disagrees with Up");
        assert_eq!(feed(&mut table, &estate, 0, "-", 3), [(State::Up, State::Down, true)]);
        assert!(!table.judgement(JudgementId(0)).stale);
    }

    #[test]
    fn s13_the_first_agreeing_outcome_clears_the_mark() {
        let (estate, mut table) = one();
        table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
        table.restore(&estate, JudgementId(1), State::Down, Timestamp(-6000), at(0));
        assert_eq!(table.unconfirmed(), 2);
        assert_eq!(feed(&mut table, &estate, 0, "-+", 1), [(State::Up, State::Up, true)]);
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(2)));
        assert_eq!(feed(&mut table, &estate, 1, "++-", 3), [(State::Down, State::Down, true)]);
        assert_eq!(table.judgement(JudgementId(1)).since, Timestamp(-6000), "it did not change now");
        assert_eq!(table.unconfirmed(), 0);
    }

    #[test]
    fn what_this_node_could_not_try_is_shown_and_moves_nothing() {
        let (estate, mut table) = one();
        let outcome = Outcome::Fail { reason: Reason::Internal, message: "this node could not probe".into() };
        let internal = |now| ProbeReport { outcome: outcome.clone(), ..report(false, now) };
        assert_eq!(table.observe(&estate, TargetId(0), internal(at(1)), at(1)), Observed::default());
        assert_eq!(table.judgement(JudgementId(0)).state, State::Unknown);
        feed(&mut table, &estate, 0, "+", 2);
        for second in 3..20 {
            assert_eq!(table.observe(&estate, TargetId(0), internal(at(second)), at(second)), Observed::default());
        }
        let health = table.judgement(JudgementId(0));
        assert_eq!((health.state, health.fails, health.failing_since), (State::Up, 0, None));
        assert_eq!(table.target(TargetId(0)).last.as_ref().map(|last| &last.outcome), Some(&outcome), "people see why");
        assert_eq!(feed(&mut table, &estate, 0, "---", 20), [(State::Up, State::Down, false)]);
        table.observe(&estate, TargetId(0), internal(at(30)), at(30));
        assert_eq!(table.judgement(JudgementId(0)).state, State::Down);
    }

    #[test]
    fn silence_is_a_verdict_without_thresholds_and_clears_the_mark() {
        let (estate, mut table) = one();
        table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
        let silence = table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(5)), at(5));
        let ended = Transition { judgement: JudgementId(0), from: State::Up, to: State::Unknown, confirmed: true, failing_since: None };
        assert_eq!(silence, Observed { transitions: vec![ended], turns: vec![Turn { endpoint: EndpointId(0), from: State::Up, to: State::Unknown }] });
        assert_eq!(table.pool(PoolId(0), Family::V4).state, State::Unknown);
        assert!(!table.judgement(JudgementId(0)).stale);
        assert_eq!(table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(6)), at(6)), Observed::default());
        assert_eq!(feed(&mut table, &estate, 0, "-", 7), [(State::Unknown, State::Down, false)]);
        feed(&mut table, &estate, 1, "+", 8);
        let silence = table.fall_silent(&estate, TargetId(1), State::Down, report(false, at(9)), at(9));
        assert_eq!(silence.transitions.iter().map(|ended| (ended.from, ended.to)).collect::<Vec<_>>(), [(State::Up, State::Down)]);
        assert_eq!(table.judgement(JudgementId(1)).failing_since, Some(Duration::from_secs(9)));
    }

    #[test]
    fn s13_a_stale_down_comes_up_by_up_after_passes() {
        let (estate, mut table) = one();
        table.restore(&estate, JudgementId(0), State::Down, Timestamp(-5000), at(0));
        assert_eq!(feed(&mut table, &estate, 0, "++++", 1), []);
        assert_eq!(feed(&mut table, &estate, 0, "+", 5), [(State::Down, State::Up, true)]);
    }

    #[test]
    fn failing_since_is_the_first_fail_of_the_streak_until_it_is_forgiven_or_up_again() {
        let (estate, mut table) = one();
        let since = |table: &HealthTable| table.judgement(JudgementId(0)).failing_since.map(|mono| mono.as_secs());
        feed(&mut table, &estate, 0, "+", 1);
        assert_eq!(since(&table), None);
        feed(&mut table, &estate, 0, "-+", 2);
        assert_eq!(since(&table), Some(2), "not forgiven yet");
        feed(&mut table, &estate, 0, "++++", 4);
        assert_eq!(since(&table), None);
        feed(&mut table, &estate, 0, "---", 10);
        assert_eq!((table.judgement(JudgementId(0)).state, since(&table)), (State::Down, Some(10)));
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
        let Watch::Judgement(a) = a else { panic!("probed") };
        assert_eq!((carried.judgement(a).fails, carried.judgement(a).failing_since), (2, Some(Duration::from_secs(2))), "counters go on");
    }

    #[test]
    fn one_outcome_is_judged_by_everybody_with_a_judgement_of_the_target() {
        let estate = estate("pool strict: 10.0.0.1 down_after=1\npool patient: 10.0.0.1 down_after=4");
        assert_eq!((estate.targets.len(), estate.judgements.len()), (1, 2));
        let mut table = HealthTable::new(&estate, at(0));
        let states = |table: &HealthTable| [0, 1].map(|pool| table.pool(PoolId(pool), Family::V4).state);
        assert_eq!(feed(&mut table, &estate, 0, "+", 1).len(), 2);
        assert_eq!(feed(&mut table, &estate, 0, "-", 2), [(State::Up, State::Down, false)]);
        assert_eq!(states(&table), [State::Down, State::Up]);
        let observed = table.observe(&estate, TargetId(0), report(false, at(3)), at(3));
        assert_eq!(observed, Observed::default(), "nothing changed");
        feed(&mut table, &estate, 0, "--", 4);
        assert_eq!(states(&table), [State::Down, State::Down]);
        assert_eq!(table.judgement(JudgementId(1)).failing_since, Some(Duration::from_secs(2)));
    }

    const PORTAL: &str = "composite portal: all web database ~disk\npool prod: 10.0.0.1 monitor=portal";

    #[test]
    fn a_composite_follows_its_members_at_once_and_each_is_debounced_by_itself() {
        let estate = estate(PORTAL);
        let mut table = HealthTable::new(&estate, at(0));
        let endpoint = EndpointId(0);
        assert_eq!(table.endpoint(&estate, endpoint), State::Unknown);
        feed(&mut table, &estate, 0, "+", 1);
        assert_eq!(table.endpoint(&estate, endpoint), State::Unknown, "the database is not known");
        feed(&mut table, &estate, 1, "+", 2);
        assert_eq!((table.endpoint(&estate, endpoint), table.watched(&estate, endpoint).unwrap().since), (State::Up, Timestamp(2000)));
        feed(&mut table, &estate, 2, "-", 3);
        assert_eq!(table.endpoint(&estate, endpoint), State::Up, "a disk is only watched");
        feed(&mut table, &estate, 1, "--", 4);
        assert_eq!(table.endpoint(&estate, endpoint), State::Up);
        let observed = table.observe(&estate, TargetId(1), report(false, at(6)), at(6));
        assert_eq!(observed.turns, [Turn { endpoint, from: State::Up, to: State::Down }]);
        let watched = table.watched(&estate, endpoint).unwrap();
        assert_eq!((watched.state, watched.since, watched.failing_since), (State::Down, Timestamp(6000), Some(Duration::from_secs(4))));
        assert_eq!((watched.failed_by, watched.last_failed.map(|report| report.at)), (Some("database"), Some(Timestamp(6000))));
        assert_eq!(table.pool(PoolId(0), Family::V4).state, State::Down);
        let members: Vec<(&str, State)> = table.members(&estate, endpoint).iter().map(|member| (member.monitor, member.state)).collect();
        assert_eq!(members, [("web", State::Up), ("database", State::Down), ("disk", State::Down)]);
    }

    #[test]
    fn a_composite_is_stale_while_it_stands_on_a_stale_member() {
        let estate = estate("composite either: any a b\npool prod: 10.0.0.1 monitor=either");
        let mut table = HealthTable::new(&estate, at(0));
        table.restore(&estate, JudgementId(0), State::Up, Timestamp(-9000), at(0));
        table.restore(&estate, JudgementId(1), State::Down, Timestamp(-5000), at(0));
        let watched = |table: &HealthTable| table.watched(&estate, EndpointId(0)).map(|health| (health.state, health.stale, health.since)).unwrap();
        assert_eq!(watched(&table), (State::Up, true, Timestamp(-5000)));
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, None, "failback does not count it");
        feed(&mut table, &estate, 1, "-", 1);
        assert_eq!(watched(&table), (State::Up, true, Timestamp(-5000)), "up because of the other");
        feed(&mut table, &estate, 0, "+", 2);
        assert_eq!(watched(&table), (State::Up, false, Timestamp(-5000)));
        assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(2)));
    }

    #[test]
    fn s16_a_reload_keeps_what_a_composite_is_and_since_when() {
        let from = estate(PORTAL);
        let mut table = HealthTable::new(&from, at(0));
        (0..3).for_each(|target| drop(feed(&mut table, &from, target, "+", 1)));
        feed(&mut table, &from, 1, "---", 10);
        let to =
            estate("pool more: 10.0.0.7\ncomposite portal: all web database\npool prod: 10.0.0.1 monitor=portal\npool web: 10.0.0.1 monitor=web down_after=9");
        let carried = table.carried_over(&from, &to, at(100));
        let prod = to.pool(to.pool_named("prod").unwrap()).endpoints[0];
        let watched = carried.watched(&to, prod).unwrap();
        assert_eq!((watched.state, watched.since, watched.failing_since), (State::Down, Timestamp(12000), Some(Duration::from_secs(10))));
        let web = to.pool(to.pool_named("web").unwrap()).endpoints[0];
        assert_eq!(carried.endpoint(&to, web), State::Up, "who changes thresholds starts from what is known of the target");
    }

    #[test]
    fn a_pool_is_no_better_than_what_it_requires() {
        let estate = estate("pool db: 10.9.0.1 2001:db8::1 10.9.0.3 min_up=1\npool portal: 10.0.0.1 requires=db:2");
        let mut table = HealthTable::new(&estate, at(0));
        let portal = |table: &HealthTable| table.pool(PoolId(1), Family::V4);
        feed(&mut table, &estate, 3, "+", 1);
        assert_eq!(portal(&table).state, State::Unknown);
        feed(&mut table, &estate, 0, "+", 2);
        feed(&mut table, &estate, 1, "+", 3);
        assert_eq!(portal(&table), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(3)) }, "of any family");
        feed(&mut table, &estate, 0, "---", 4);
        assert_eq!(portal(&table).state, State::Unknown, "the third has no verdict yet");
        feed(&mut table, &estate, 2, "-", 7);
        assert_eq!(portal(&table), PoolObserved { state: State::Down, up_since: None });
        assert_eq!(table.pool(PoolId(0), Family::V6).state, State::Up);
    }
}
