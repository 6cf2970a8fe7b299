//! Effective health: what observed health looks like through the overrides that a service sees (SEMANTICS, 2 and 18).
//!
//! The order of overrides never matters: of several that say the same, the one with the least id is named. Two health overrides on one
//! target (one limited to services, one not) are settled in favour of `force_down`. One that names the target counts more than a pattern that its
//! name fits, and that more than a tag that it has.

use std::net::IpAddr;
use std::sync::Arc;

use crate::health::{PoolObserved, State};
use crate::model::{Answering, EndpointId, Factor, Family, PoolId, Service, ServiceId};

use super::{Facts, Override, OverrideKind, OverrideTarget};

/// Facts, with the overrides that count for one service.
pub(super) struct Effective<'a> {
    pub(super) facts: Facts<'a>,
    overrides: Vec<&'a Override>,
    /// The service answers with host names: which families these have does not matter. All is decided as IPv4.
    pub(super) by_name: bool,
}

impl<'a> Effective<'a> {
    /// As `service` sees it; `None`: only overrides that count for all services.
    pub(super) fn new(facts: &Facts<'a>, service: Option<ServiceId>) -> Self {
        let counts = |limit: &Option<Vec<ServiceId>>| match (limit, service) {
            (None, _) => true,
            (Some(services), Some(service)) => services.contains(&service),
            (Some(_), None) => false,
        };
        let by_name = service.is_some_and(|service| facts.estate.service(service).answer == Answering::Cname);
        Self { facts: *facts, overrides: facts.overrides.iter().filter(|o| counts(&o.services)).collect(), by_name }
    }

    /// As `service`, which stands in the estate, sees it.
    pub(super) fn of(facts: &Facts<'a>, service: &Service) -> Self {
        // Looking the service up is needed only for overrides that are limited to services.
        let limited = facts.overrides.iter().any(|o| o.services.is_some());
        let services = &facts.estate.services;
        let find = || services.element_offset(service).map(ServiceId::at).or_else(|| facts.estate.service_named(&service.name));
        Self { by_name: service.answer == Answering::Cname, ..Self::new(facts, limited.then(find).flatten()) }
    }

    /// The pool's endpoints that answer in a family, in file order.
    pub(super) fn members(&self, pool: PoolId, family: Family) -> impl Iterator<Item = EndpointId> + use<'a> {
        let Facts { estate, health, .. } = self.facts;
        let by_name = self.by_name;
        estate.pool(pool).endpoints.iter().copied().filter(move |endpoint| match by_name {
            true => family == Family::V4 && estate.host_of(*endpoint).is_some(),
            false => health.is_in_family(estate, *endpoint, family),
        })
    }

    /// What probes say of a pool.
    pub(super) fn observed(&self, pool: PoolId, family: Family) -> PoolObserved {
        if self.by_name { self.facts.health.pool_by_name(pool) } else { self.facts.health.pool(pool, family) }
    }

    /// What the resolver has found for endpoints with host names, in one family; `None`: all of them have addresses in the file, as nearly always.
    pub(super) fn addresses(&self, endpoints: &[EndpointId], family: Family) -> Option<Box<[Arc<[IpAddr]>]>> {
        let Facts { estate, health, .. } = &self.facts;
        if self.by_name || estate.hosts.is_empty() || !endpoints.iter().any(|endpoint| estate.host_of(*endpoint).is_some()) {
            return None;
        }
        let found = |endpoint: &EndpointId| {
            let found = health.host_of(estate, *endpoint).and_then(|host| host.found.as_ref());
            found.and_then(|found| found.addresses.get(family.index())).cloned().unwrap_or_else(|| Arc::from([]))
        };
        Some(endpoints.iter().map(found).collect())
    }

    /// The state that policy sees: an override's, else the observed one unless the guard keeps it.
    pub(super) fn state(&self, endpoint: EndpointId) -> State {
        match self.forced(endpoint) {
            Some(forced) if forced.kind == OverrideKind::ForceDown => State::Down,
            Some(_) => State::Up,
            None if self.is_kept(endpoint) => State::Up,
            None => self.facts.health.endpoint(self.facts.estate, endpoint),
        }
    }

    /// The guard keeps it: Up, although it turned. An override counts more.
    pub(super) fn is_kept(&self, endpoint: EndpointId) -> bool {
        self.facts.guard.keeps_any() && self.facts.guard.keeps(endpoint) && self.forced(endpoint).is_none()
    }

    /// It is degraded, and counts so much beside a sound one. Who is forced is as the operator says, who is kept as it was.
    pub(super) fn degraded(&self, endpoint: EndpointId) -> Option<Factor> {
        let health = self.facts.health;
        let degraded = health.shapes_any().then(|| health.degraded(self.facts.estate, endpoint)).flatten();
        degraded.filter(|_| self.forced(endpoint).is_none())
    }

    /// The health override in force: the endpoint's beats the pool's beats the region's.
    pub(super) fn forced(&self, endpoint: EndpointId) -> Option<&'a Override> {
        self.levels_of_endpoint(endpoint).find_map(|target| self.find(target, |o| o.kind.forces()))
    }

    pub(super) fn forced_down(&self, endpoint: EndpointId) -> bool {
        self.forced(endpoint).is_some_and(|forced| forced.kind == OverrideKind::ForceDown)
    }

    /// The drain in force: drained if any of endpoint, pool, region is.
    pub(super) fn drained(&self, endpoint: EndpointId) -> Option<&'a Override> {
        self.levels_of_endpoint(endpoint).find_map(|target| self.find(target, |o| o.kind == OverrideKind::Drain))
    }

    /// The health override of the pool as a whole: its own, else its region's.
    pub(super) fn pool_forced(&self, pool: PoolId) -> Option<&'a Override> {
        self.levels_of_pool(pool).find_map(|target| self.find(target, |o| o.kind.forces()))
    }

    /// The drain of the pool as a whole: its own, else its region's.
    pub(super) fn pool_drained(&self, pool: PoolId) -> Option<&'a Override> {
        self.levels_of_pool(pool).find_map(|target| self.find(target, |o| o.kind == OverrideKind::Drain))
    }

    /// Why its data is too old to be used, unless somebody has approved that.
    pub(super) fn outdated(&self, pool: PoolId) -> Option<&'a Arc<str>> {
        self.facts.outdated.get(&pool).filter(|_| self.approved(pool).is_none())
    }

    /// Who says that its data may be old: an override of the pool, or of its region.
    pub(super) fn approved(&self, pool: PoolId) -> Option<&'a Override> {
        self.levels_of_pool(pool).find_map(|target| self.find(target, |o| o.kind == OverrideKind::Approve))
    }

    fn find(&self, target: OverrideTarget, wanted: impl Fn(&Override) -> bool) -> Option<&'a Override> {
        self.overrides.iter().copied().filter(|o| o.target == target && wanted(o)).min_by_key(|o| (o.reach, o.kind != OverrideKind::ForceDown, &o.id))
    }

    /// What an override of this endpoint may be about, nearest first. Nothing while there are no overrides, which is nearly always.
    fn levels_of_endpoint(&self, endpoint: EndpointId) -> impl Iterator<Item = OverrideTarget> + use<'_, 'a> {
        let own = (!self.overrides.is_empty()).then_some(OverrideTarget::Endpoint(endpoint));
        own.into_iter().chain(self.levels_of_pool(self.facts.estate.endpoint(endpoint).pool))
    }

    fn levels_of_pool(&self, pool: PoolId) -> impl Iterator<Item = OverrideTarget> + use<'_, 'a> {
        let levels = [OverrideTarget::Pool(pool), OverrideTarget::Region(self.facts.estate.pool(pool).region)];
        levels.into_iter().filter(|_| !self.overrides.is_empty())
    }
}
