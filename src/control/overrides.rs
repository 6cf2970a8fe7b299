//! Overrides: kept by name, resolved against the present estate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Estate, Now, ServiceId};
use crate::policy;

use super::record::{OverrideRecord, OverrideTargetName, OverrideWord, Revision};

/// One override and the moment it ends.
#[derive(Debug)]
pub(super) struct Kept {
    pub record: OverrideRecord,
    pub revision: Revision,
    /// `mono` at which it ends; converted once, when set or loaded (SEMANTICS, 28).
    pub ends: Option<Duration>,
    /// Its target exists in the present estate.
    pub matched: bool,
}

/// All of them, by number, with what policy sees.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub kept: BTreeMap<u64, Kept>,
    /// What policy sees: those whose target exists.
    pub resolved: Vec<policy::Override>,
    /// Services that are frozen, by which override.
    pub frozen: BTreeMap<ServiceId, u64>,
}

impl Overrides {
    /// Keeps a new or changed override. Call [`Self::resolve`] afterwards.
    pub(super) fn keep(&mut self, id: u64, record: OverrideRecord, revision: Revision, now: Now) {
        let ends = record.ends.map(|ends| now.mono + ends.since(now.wall));
        self.kept.insert(id, Kept { record, revision, ends, matched: false });
    }

    /// Looks all targets up again.
    pub(super) fn resolve(&mut self, estate: &Estate) {
        self.resolved.clear();
        self.frozen.clear();
        for (id, kept) in &mut self.kept {
            let services: Vec<ServiceId> = kept.record.services.iter().filter_map(|name| estate.service_named(name)).collect();
            let nobody_left = services.is_empty() && !kept.record.services.is_empty();
            kept.matched = !nobody_left
                && match (&kept.record.target, kept.record.kind) {
                    (OverrideTargetName::Service(name), _) => match estate.service_named(name) {
                        Some(service) => {
                            self.frozen.insert(service, *id);
                            true
                        }
                        None => false,
                    },
                    (target, kind) => match (target_of(estate, target), kind_of(kind)) {
                        (Some(target), Some(kind)) => {
                            let services = (!kept.record.services.is_empty()).then_some(services);
                            self.resolved.push(policy::Override { id: Arc::from(format!("o-{id}")), kind, target, services });
                            true
                        }
                        _ => false,
                    },
                };
        }
    }

    /// Overrides whose end has come.
    pub(super) fn ended(&self, now: Now) -> Vec<u64> {
        self.kept.iter().filter(|(_, kept)| kept.ends.is_some_and(|ends| ends <= now.mono)).map(|(id, _)| *id).collect()
    }

    /// The next end.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.kept.values().filter_map(|kept| kept.ends).min()
    }
}

/// The target in the present estate.
pub(super) fn target_of(estate: &Estate, target: &OverrideTargetName) -> Option<policy::OverrideTarget> {
    match target {
        OverrideTargetName::Region(name) => estate.region_named(name).map(policy::OverrideTarget::Region),
        OverrideTargetName::Pool(name) => estate.pool_named(name).map(policy::OverrideTarget::Pool),
        OverrideTargetName::Endpoint(pool, name) => {
            estate.pool_named(pool).and_then(|pool| estate.endpoint_named(pool, name)).map(policy::OverrideTarget::Endpoint)
        }
        OverrideTargetName::Service(_) => None,
    }
}

fn kind_of(word: OverrideWord) -> Option<policy::OverrideKind> {
    match word {
        OverrideWord::Drain => Some(policy::OverrideKind::Drain),
        OverrideWord::ForceUp => Some(policy::OverrideKind::ForceUp),
        OverrideWord::ForceDown => Some(policy::OverrideKind::ForceDown),
        OverrideWord::Freeze => None,
    }
}

/// The services that an override touches (its own list, else all that use the target); `None`: all of them.
pub(super) fn pools_of(estate: &Estate, target: &OverrideTargetName) -> Vec<crate::model::PoolId> {
    use crate::model::PoolId;
    match target {
        OverrideTargetName::Region(name) => match estate.region_named(name) {
            Some(region) => (0..estate.pools.len()).map(PoolId::at).filter(|pool| estate.pool(*pool).region == region).collect(),
            None => Vec::new(),
        },
        OverrideTargetName::Pool(name) | OverrideTargetName::Endpoint(name, _) => estate.pool_named(name).into_iter().collect(),
        OverrideTargetName::Service(_) => Vec::new(),
    }
}
