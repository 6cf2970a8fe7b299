//! Pools as policy sees them, and who of a pool answers (SEMANTICS, 3 to 5 and 7).

use crate::health::{PoolObserved, State, pool_state, requirements_state};
use crate::model::{EndpointId, Factor, Family, Node, PoolId, Weight};

use super::effective::Effective;

/// One pool in one family. A pool without endpoints of the family is judged by those of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) pool: PoolId,
    /// It has endpoints of this family; else it gives NODATA when chosen.
    pub(super) present: bool,
    /// Effective state.
    pub(super) state: State,
    /// Effective state of what is not drained: draining one endpoint of a pool that needs both drains the pool.
    pub(super) usable: State,
    /// What probes say of it.
    pub(super) observed: PoolObserved,
    /// Some endpoint is not `force_down`: it may answer on rung `all_down`.
    pub(super) permitted: bool,
    /// Nothing of what is permitted is undrained.
    pub(super) drained: bool,
    /// Its data is too old: it is on no rung.
    pub(super) outdated: bool,
    /// It would be Down even if every endpoint without an override were Up: not health took it away, but an operator.
    pub(super) forced_away: bool,
    /// What it counts of its share in weighted nodes: the mean over its serving endpoints, a degraded one its factor, a sound one 1.
    pub(super) factor: f64,
}

impl Judged {
    pub(super) fn new(effective: &Effective<'_>, pool: PoolId, family: Family) -> Self {
        let Effective { facts, .. } = effective;
        let present = effective.members(pool, family).next().is_some();
        let by = if present { family } else { family.other() };
        let (mut all, mut undrained, mut hoped) = (Count::default(), Count::default(), Count::default());
        let (mut permitted, mut drained) = (false, true);
        for endpoint in effective.members(pool, by) {
            let state = effective.state(endpoint);
            let is_drained = effective.drained(endpoint).is_some();
            all.add(state);
            hoped.add(if effective.forced(endpoint).is_some() { state } else { State::Up });
            if !is_drained {
                undrained.add(state);
            }
            if !effective.forced_down(endpoint) {
                permitted = true;
                drained &= is_drained;
            }
        }
        let min_up = facts.estate.pool(pool).min_up;
        let required = requirements_state(facts.estate, pool, &|endpoint| effective.state(endpoint));
        let hope = |endpoint| if effective.forced(endpoint).is_some() { effective.state(endpoint) } else { State::Up };
        let required_hoped = requirements_state(facts.estate, pool, &hope);
        let mut judged = Self {
            pool,
            present,
            state: all.state(min_up).and(required),
            usable: undrained.state(min_up).and(required),
            observed: effective.observed(pool, family),
            permitted,
            drained: permitted && drained,
            outdated: false,
            forced_away: hoped.state(min_up).and(required_hoped) == State::Down,
            factor: 1.0,
        };
        if facts.health.shapes_any() && judged.state != State::Down {
            judged.factor = mean_factor(effective, &serving(effective, pool, by, judged.among()));
        }
        judged
    }

    /// On no rung from now on.
    fn hold_back(&mut self) {
        (self.outdated, self.permitted, self.drained) = (true, false, false);
    }

    /// Whom it answers with above rung `all_down`.
    pub(super) fn among(&self) -> Among {
        if self.is_up_but_drained() { Among::Drained } else { Among::Undrained }
    }

    /// Up (or Unknown, which policy treats as Up) and not drained.
    pub(super) fn is_usable(&self) -> bool {
        self.usable != State::Down && !self.outdated
    }

    /// Up (or Unknown), but only by drained endpoints.
    pub(super) fn is_up_but_drained(&self) -> bool {
        self.usable == State::Down && self.state != State::Down && !self.outdated
    }
}

#[derive(Default)]
struct Count {
    up: usize,
    unknown: usize,
}

impl Count {
    fn add(&mut self, state: State) {
        self.up += usize::from(state == State::Up);
        self.unknown += usize::from(state == State::Unknown);
    }

    fn state(&self, min_up: u32) -> State {
        pool_state(self.up, self.unknown, min_up)
    }
}

/// All pools of a tree in one family, judged once.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) family: Family,
    /// Each once, in file order.
    pub(super) judged: Vec<Judged>,
    /// Positions in `judged`, ordered by pool.
    by_pool: Vec<usize>,
}

impl Pools {
    pub(super) fn new(effective: &Effective<'_>, tree: &[PoolId], family: Family) -> Self {
        let judged: Vec<Judged> = tree.iter().map(|pool| Judged::new(effective, *pool, family)).collect();
        let mut by_pool: Vec<usize> = (0..judged.len()).collect();
        by_pool.sort_by_key(|at| judged.get(*at).map(|judged| judged.pool));
        Self { family, judged, by_pool }
    }

    /// Keeps pools off whose data is too old. `answering`: who answered until now, in either family. What answers alone is not synchronised from
    /// anywhere any more, so it does not grow old: where all who answer are too old, they stay.
    pub(super) fn hold_back(&mut self, effective: &Effective<'_>, answering: &[PoolId]) {
        let outdated = |pool: PoolId| effective.outdated(pool).is_some();
        let stays = answering.iter().all(|pool| outdated(*pool));
        let kept = |pool: PoolId| stays && answering.contains(&pool);
        self.judged.iter_mut().filter(|judged| outdated(judged.pool) && !kept(judged.pool)).for_each(Judged::hold_back);
    }

    pub(super) fn get(&self, pool: PoolId) -> Option<&Judged> {
        let at = |at: &usize| self.judged.get(*at);
        let found = self.by_pool.binary_search_by_key(&Some(pool), |position| at(position).map(|judged| judged.pool)).ok()?;
        self.by_pool.get(found).and_then(at)
    }
}

/// The pools of a tree, each once, in file order.
pub(super) fn pools_of(policy: &Node) -> Vec<PoolId> {
    let (mut pools, mut seen) = (Vec::new(), std::collections::HashSet::new());
    policy.pools(&mut |pool| {
        if seen.insert(pool) {
            pools.push(pool);
        }
    });
    pools
}

/// Whom a pool may answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Undrained endpoints.
    Undrained,
    /// Drained ones, too.
    Drained,
    /// Whatever is not `force_down`, best first: undrained ones that are Up or Unknown, drained such ones, undrained others, the rest.
    Permitted,
}

/// The serving set (SEMANTICS, 4) in the order of tiers, then file: all Up endpoints of the first tier, and Up ones of the next tiers until there are `min_active`.
pub(super) fn serving(effective: &Effective<'_>, pool: PoolId, family: Family, among: Among) -> Vec<EndpointId> {
    let estate = effective.facts.estate;
    let of_family = || effective.members(pool, family);
    let undrained = |endpoint: &EndpointId| effective.drained(*endpoint).is_none();
    let candidates: Vec<EndpointId> = match among {
        Among::Undrained => up_ones(effective, pool, of_family().filter(undrained).collect()),
        Among::Drained => up_ones(effective, pool, of_family().collect()),
        Among::Permitted => {
            let permitted: Vec<EndpointId> = of_family().filter(|endpoint| !effective.forced_down(*endpoint)).collect();
            let alive = |endpoint: &EndpointId| effective.state(*endpoint) != State::Down;
            let choices: [&dyn Fn(&EndpointId) -> bool; 4] = [&|e| alive(e) && undrained(e), &alive, &undrained, &|_| true];
            let choose = |choice: &dyn Fn(&EndpointId) -> bool| permitted.iter().copied().filter(|e| choice(e)).collect::<Vec<_>>();
            choices.into_iter().map(choose).find(|chosen| !chosen.is_empty()).unwrap_or_default()
        }
    };
    let tier = |endpoint: EndpointId| estate.endpoint(endpoint).tier;
    let Some(first) = of_family().map(tier).min() else { return Vec::new() };
    let first_tier = of_family().filter(|endpoint| tier(*endpoint) == first).count();
    let min_active = estate.pool(pool).min_active.map_or(first_tier, |number| number as usize).max(1);
    let mut ordered = candidates;
    ordered.sort_by_key(|endpoint| tier(*endpoint));
    let active = ordered.iter().filter(|endpoint| tier(**endpoint) == first).count().max(min_active);
    ordered.truncate(active);
    ordered
}

/// Summed as whole numbers: the order of endpoints never matters.
fn mean_factor(effective: &Effective<'_>, serving: &[EndpointId]) -> f64 {
    let thousandths = |endpoint: &EndpointId| u64::from(effective.degraded(*endpoint).unwrap_or(Factor::ONE).thousandths());
    let all = serving.len() as u64 * u64::from(Factor::ONE.thousandths());
    if all == 0 { 1.0 } else { serving.iter().map(thousandths).sum::<u64>() as f64 / all as f64 }
}

/// Weights of these endpoints, in millionths: told ones instead of the file's, degraded ones times their factor. `None`: the file's hold, as nearly always.
pub(super) fn weights(effective: &Effective<'_>, endpoints: &[EndpointId]) -> Option<Box<[u64]>> {
    let facts = &effective.facts;
    if !facts.health.shapes_any() {
        return None;
    }
    let shape = |endpoint: EndpointId| (facts.health.told_weight(facts.estate, endpoint), effective.degraded(endpoint).unwrap_or(Factor::ONE));
    let shapes: Vec<(Option<Weight>, Factor)> = endpoints.iter().map(|endpoint| shape(*endpoint)).collect();
    let (_, first) = *shapes.first()?;
    if shapes.iter().all(|(told, factor)| told.is_none() && *factor == first) {
        return None;
    }
    let weight = |(endpoint, (told, factor)): (&EndpointId, &(Option<Weight>, Factor))| {
        let weight = told.unwrap_or_else(|| Weight::whole(facts.estate.endpoint(*endpoint).weight));
        u64::from(weight.thousandths()) * u64::from(factor.thousandths())
    };
    Some(endpoints.iter().zip(&shapes).map(weight).collect())
}

/// The Up ones; Unknown ones count as Up where there are fewer than `min_up` Up (SEMANTICS, 3).
fn up_ones(effective: &Effective<'_>, pool: PoolId, mut endpoints: Vec<EndpointId>) -> Vec<EndpointId> {
    let up = endpoints.iter().filter(|endpoint| effective.state(**endpoint) == State::Up).count();
    let enough = effective.facts.estate.pool(pool).min_up.max(1) as usize <= up;
    endpoints.retain(|endpoint| match effective.state(*endpoint) {
        State::Up => true,
        State::Unknown => !enough,
        State::Down => false,
    });
    endpoints
}
