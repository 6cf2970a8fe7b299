//! Who uses what, gathered once for a whole list: services by pool and by endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::control::Core;
use crate::health::State;
use crate::model::{AllDown, EndpointId, Family, PoolId, ServiceId};

/// Services by pool and endpoint.
#[derive(Debug, Default)]
pub(in crate::admin) struct Board {
    /// Policies that name the pool, or whose last resort it is.
    pub users: BTreeMap<PoolId, BTreeSet<Arc<str>>>,
    /// Services that wait for failback to it.
    pub held: BTreeMap<PoolId, BTreeSet<Arc<str>>>,
    /// Services that answer with the endpoint now.
    pub serving: BTreeMap<EndpointId, BTreeSet<Arc<str>>>,
}

impl Board {
    /// One pass over all services.
    pub(in crate::admin) fn of(core: &Core) -> Self {
        let mut board = Self::default();
        for (at, service) in core.estate().services.iter().enumerate() {
            let view = core.service(ServiceId::at(at));
            let name = &service.name;
            let mut uses = |pool: PoolId| {
                board.users.entry(pool).or_default().insert(name.clone());
            };
            view.policy.pools(&mut uses);
            if let AllDown::Pool(pool) = service.when_all_down {
                uses(pool);
            }
            for hold in view.memory.held.iter().filter(|hold| is_back(core, hold.pool, hold.family)) {
                board.held.entry(hold.pool).or_default().insert(name.clone());
            }
            for endpoint in view.decision.of_anybody().flatten().flat_map(|family| &family.leaves).flat_map(|leaf| &leaf.endpoints) {
                board.serving.entry(*endpoint).or_default().insert(name.clone());
            }
        }
        board
    }
}

/// A held pool is "returned, waiting" only once it is up; until then it is just down.
pub(super) fn is_back(core: &Core, pool: PoolId, family: Family) -> bool {
    core.health().pool(pool, family).state == State::Up
}
