//! One pool, endpoint or subtree as people and metrics see it.

use std::sync::Arc;

use crate::health::{PoolObserved, State};
use crate::model::{EndpointId, Estate, Factor, Family, Node, PoolId, ServiceId, Weight};

use super::effective::Effective;
use super::pool::{Among, Judged, Pools, pools_of, serving};
use super::tree::Admission;
use super::{Facts, Override};

/// A pool in one family.
#[derive(Clone, Debug)]
pub struct PoolView<'a> {
    /// What policy sees.
    pub state: State,
    /// What probes say.
    pub observed: PoolObserved,
    /// The health override of the pool or its region.
    pub forced: Option<&'a Override>,
    /// Some endpoint of it (of either family) is seen as Up by the guard although it is Down.
    pub guarded: bool,
    /// Drained in effect: nothing undrained of it is up, but something drained may be, or the whole pool is drained.
    pub drained: bool,
    /// The drain of the pool or its region; `None` if it is drained endpoint by endpoint.
    pub drained_by: Option<&'a Override>,
    /// Who would answer if the pool were chosen now (SEMANTICS, 4); empty while it is Down or has no endpoint of this family.
    pub serving: Vec<EndpointId>,
    /// What it counts of its share in weighted nodes, more than 0 and at most 1: less than 1 if endpoints of its serving set are degraded.
    pub factor: f64,
    /// Why its data is too old.
    pub outdated: Option<&'a std::sync::Arc<str>>,
    /// Who approved that.
    pub approved_by: Option<&'a Override>,
}

/// A pool as `service` sees it; `None`: by the overrides that count for all services.
pub fn pool_view<'a>(facts: &Facts<'a>, service: Option<ServiceId>, pool: PoolId, family: Family) -> PoolView<'a> {
    let effective = Effective::new(facts, service);
    let judged = Judged::new(&effective, pool, family);
    let among = if judged.is_usable() { Among::Undrained } else { Among::Drained };
    let serving = if judged.state == State::Down { Vec::new() } else { serving(&effective, pool, family, among) };
    let drained_by = effective.pool_drained(pool);
    PoolView {
        state: judged.state,
        observed: judged.observed,
        forced: effective.pool_forced(pool),
        guarded: facts.guard.keeps_any() && facts.estate.pool(pool).endpoints.iter().any(|endpoint| effective.is_kept(*endpoint)),
        drained: drained_by.is_some() || judged.drained || judged.is_up_but_drained(),
        drained_by,
        serving,
        factor: judged.factor,
        outdated: facts.outdated.get(&pool),
        approved_by: effective.approved(pool),
    }
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointView<'a> {
    /// What policy sees.
    pub state: State,
    /// What probes say.
    pub observed: State,
    /// The observed verdict comes from the store and is not confirmed yet.
    pub stale: bool,
    /// Up, but degraded: what it counts beside a sound one.
    pub degraded: Option<Factor>,
    /// The weight that it told, within its bounds, instead of the file's.
    pub told: Option<Weight>,
    /// The weight in force: the file's or the told one, times the factor of a degraded endpoint.
    pub weight: f64,
    /// The health override in force: its own, its pool's or its region's.
    pub forced: Option<&'a Override>,
    /// Observed Down, but seen as Up by the blast guard, or because the node is blind.
    pub guarded: bool,
    /// The drain in force.
    pub drained: Option<&'a Override>,
    /// It would answer if its pool were chosen now.
    pub serving: bool,
}

/// An endpoint as `service` sees it; `None`: by the overrides that count for all services.
pub fn endpoint_view<'a>(facts: &Facts<'a>, service: Option<ServiceId>, endpoint: EndpointId) -> EndpointView<'a> {
    let effective = Effective::new(facts, service);
    let item = facts.estate.endpoint(endpoint);
    let (degraded, told) = (effective.degraded(endpoint), facts.health.told_weight(facts.estate, endpoint));
    let families = || Family::ALL.into_iter().filter(|family| effective.members(item.pool, *family).any(|member| member == endpoint));
    EndpointView {
        state: effective.state(endpoint),
        observed: facts.health.endpoint(facts.estate, endpoint),
        stale: facts.health.watched(facts.estate, endpoint).is_some_and(|health| health.stale),
        degraded,
        told,
        weight: told.unwrap_or_else(|| Weight::whole(item.weight)).as_f64() * degraded.map_or(1.0, Factor::as_f64),
        forced: effective.forced(endpoint),
        guarded: effective.is_kept(endpoint),
        drained: effective.drained(endpoint),
        serving: families().any(|family| pool_view(facts, service, item.pool, family).serving.contains(&endpoint)),
    }
}

/// A child of the root as a target of `failover` (SEMANTICS, 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildState {
    /// The best of its families. Unlike in decisions, Unknown is not Up here.
    pub state: State,
    /// Up, but in no family without its drained pools.
    pub drained: bool,
    /// Up, but in no family without pools whose data is too old.
    pub outdated: bool,
}

impl ChildState {
    /// Traffic may be moved here.
    pub fn is_usable(self) -> bool {
        self.state == State::Up && !self.drained && !self.outdated
    }
}

/// How a pool or subtree stands as `service` sees it. Holds don't count: an operator's change ends them.
pub fn child_state(facts: &Facts<'_>, service: Option<ServiceId>, child: &Node) -> ChildState {
    let effective = Effective::new(facts, service);
    let tree = pools_of(child);
    let pools = Family::ALL.map(|family| Pools::new(&effective, &tree, family));
    let any = |counts: &dyn Fn(&Judged) -> bool| pools.iter().any(|pools| Admission::plain(&|pool| pools.get(pool).is_some_and(counts)).is_up(child));
    let state = match () {
        () if any(&|judged| judged.state == State::Up) => State::Up,
        () if any(&|judged| judged.state != State::Down) => State::Unknown,
        () => State::Down,
    };
    let fresh = |judged: &Judged| effective.outdated(judged.pool).is_none();
    ChildState {
        state,
        drained: state == State::Up && !any(&|judged| judged.usable == State::Up),
        outdated: state == State::Up && !any(&|judged| judged.state == State::Up && fresh(judged)),
    }
}

/// The child of a policy's root that is called `name`: a pool or a named policy.
pub fn child_named<'n>(policy: &'n Node, estate: &Estate, name: &str) -> Option<&'n Node> {
    match policy {
        Node::Pool(pool) => (*estate.pool(*pool).name == *name).then_some(policy),
        Node::Policy { choice, .. } => choice.children().into_iter().map(|child| &**child).find(|child| &*node_name(estate, child) == name),
    }
}

/// What people call a node: its pool, its policy, or (a service's root) the word of its choice.
pub fn node_name(estate: &Estate, node: &Node) -> Arc<str> {
    match node {
        Node::Pool(pool) => estate.pool(*pool).name.clone(),
        Node::Policy { name: Some(name), .. } => name.clone(),
        Node::Policy { choice, .. } => choice.word().into(),
    }
}
