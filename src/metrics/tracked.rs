//! Which services and endpoints have series of their own (`metrics.services_max`, `metrics.endpoints_max`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::model::{EndpointId, Estate, ServiceId};

/// Stands for every service (pool, endpoint) without series of its own, so that totals stay totals. None can be called this: names begin with a letter or digit.
pub const OTHERS: &str = "_others";

/// How many have series of their own: the keys of `[metrics]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesMax {
    /// Services.
    pub services: usize,
    /// Endpoints. Each costs some 5 kB of every scrape, which nobody can swallow for 100,000 of them.
    pub endpoints: usize,
}

/// The services with series of their own: the first `services_max` in file order, and those that ask with `metrics = true`. And the first `endpoints_max` endpoints.
#[derive(Debug, Default)]
pub struct Tracked {
    ids: Vec<ServiceId>,
    names: BTreeSet<Arc<str>>,
    /// The same, for looking up.
    own: HashSet<Arc<str>>,
    others: bool,
    endpoints: usize,
}

impl Tracked {
    /// Of one estate.
    pub fn new(estate: &Estate, max: SeriesMax) -> Self {
        let tracked = estate.services.iter().enumerate().filter(|(at, service)| *at < max.services || service.metrics);
        let ids: Vec<ServiceId> = tracked.map(|(at, _)| ServiceId::at(at)).collect();
        let names: BTreeSet<Arc<str>> = ids.iter().map(|id| estate.service(*id).name.clone()).collect();
        let own = names.iter().cloned().collect();
        let others = ids.len() < estate.services.len();
        Self { ids, names, own, others, endpoints: max.endpoints }
    }

    /// In file order.
    pub fn ids(&self) -> &[ServiceId] {
        &self.ids
    }

    /// Their names.
    pub fn names(&self) -> &BTreeSet<Arc<str>> {
        &self.names
    }

    /// There are services without series of their own.
    pub fn others(&self) -> bool {
        self.others
    }

    /// This endpoint has series of its own.
    pub fn has_endpoint(&self, endpoint: EndpointId) -> bool {
        endpoint.index() < self.endpoints
    }

    /// This service has series of its own.
    pub fn has(&self, service: &str) -> bool {
        self.own.contains(service)
    }
}
