//! Which services have series of their own (`metrics.services_max`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::model::{Estate, ServiceId};

/// Stands for every service without series of its own, so that totals stay totals. No service can be called this: names begin with a letter or digit.
pub const OTHERS: &str = "_others";

/// The services with series of their own: the first `services_max` in file order, and those that ask with `metrics = true`.
#[derive(Debug, Default)]
pub struct Tracked {
    ids: Vec<ServiceId>,
    names: BTreeSet<Arc<str>>,
    /// The same, for looking up.
    own: HashSet<Arc<str>>,
    others: bool,
}

impl Tracked {
    /// Of one estate.
    pub fn new(estate: &Estate, services_max: usize) -> Self {
        let tracked = estate.services.iter().enumerate().filter(|(at, service)| *at < services_max || service.metrics);
        let ids: Vec<ServiceId> = tracked.map(|(at, _)| ServiceId::at(at)).collect();
        let names: BTreeSet<Arc<str>> = ids.iter().map(|id| estate.service(*id).name.clone()).collect();
        let own = names.iter().cloned().collect();
        let others = ids.len() < estate.services.len();
        Self { ids, names, own, others }
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

    /// This service has series of its own.
    pub fn has(&self, service: &str) -> bool {
        self.own.contains(service)
    }
}
