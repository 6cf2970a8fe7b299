//! Overrides: kept by name, resolved against the present estate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Estate, Now, ServiceId};
use crate::policy;

use super::record::{OverrideRecord, OverrideTargetName, OverrideWord, Revision};
use super::targets::targets_of;

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
    /// What policy sees: one for each thing that a target fits now.
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
                    (target, kind) => match kind_of(kind) {
                        Some(kind) => {
                            let services = (!kept.record.services.is_empty()).then_some(services);
                            let (number, reach) = (Arc::<str>::from(format!("o-{id}")), target.reach());
                            let before = self.resolved.len();
                            let found = targets_of(estate, target).into_iter();
                            self.resolved.extend(found.map(|target| policy::Override { id: number.clone(), kind, target, reach, services: services.clone() }));
                            before < self.resolved.len()
                        }
                        None => false,
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

fn kind_of(word: OverrideWord) -> Option<policy::OverrideKind> {
    match word {
        OverrideWord::Drain => Some(policy::OverrideKind::Drain),
        OverrideWord::ForceUp => Some(policy::OverrideKind::ForceUp),
        OverrideWord::ForceDown => Some(policy::OverrideKind::ForceDown),
        OverrideWord::Approve => Some(policy::OverrideKind::Approve),
        OverrideWord::Freeze => None,
    }
}
