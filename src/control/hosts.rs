//! Host names that answers are made from: what the resolver has found becomes a fact like any other.
//!
//! ```text
//!  resolved ─▶ other addresses, or another TTL? ─▶ services of the pools that have the name are decided again, people are told, the store keeps it
//! ```
//!
//! The last good addresses are kept for restarts, however old. A service that is frozen, or a node that is blind, keeps who answers, but not the addresses
//! that these had: where a gateway has moved is no decision of ours. Never here: asking the resolver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::health::{HostFound, HostHealth};
use crate::model::{HostId, Now, PoolId, ServiceId};
use crate::policy;
use crate::snapshot::Compiled;
use crate::wire::Name;

use super::core::{Cause, Core, Serving};
use super::event::{Effect, Effects, Notice};
use super::record::{Key, Op, Record};

impl Core {
    /// How a host name stands now.
    pub(super) fn resolved(&mut self, name: &Name, stands: HostHealth, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let Some(host) = estate.host_named(name) else { return };
        let before = self.health.host(host).clone();
        if before == stands {
            return;
        }
        let (found, trouble) = (stands.found.clone(), stands.trouble.clone());
        if before == HostHealth::default()
            && let Serving::FirstRound { unknown, .. } = &mut self.serving
        {
            *unknown = unknown.saturating_sub(1);
        }
        self.health.resolved(&estate, host, stands, now);
        self.tell_host(host, &before, (found.as_deref(), trouble.as_deref()), effects);
        if before.found.as_ref().map(|found| found.at) != found.as_ref().map(|found| found.at) {
            self.commits.learned.hosts.insert(name.clone());
        }
        let same = matches!((&before.found, &found), (Some(before), Some(found)) if before.answers_like(found));
        if same || found.is_none() {
            return;
        }
        let moved = before.found.as_ref().map(|before| &before.addresses) != found.as_ref().map(|found| &found.addresses);
        self.commits.learned.moved |= moved;
        let pools: BTreeSet<PoolId> = estate.endpoints_at(host).map(|endpoint| estate.endpoint(endpoint).pool).collect();
        pools.into_iter().for_each(|pool| self.touch_pool(pool, Cause::Health { failing_since: None }));
    }

    /// Addresses that changed, trouble that begins, trouble that ends.
    fn tell_host(&self, host: HostId, before: &HostHealth, (found, trouble): (Option<&HostFound>, Option<&str>), effects: &mut Effects) {
        let name = self.configuration.estate.host(host);
        let mut tell = |stands: HostStands, text: String| effects.push(Effect::Tell(Notice::Host { host: name.to_string().into(), stands, text }));
        match (&before.trouble, trouble, found) {
            (None, Some(trouble), Some(found)) => {
                tell(
                    HostStands::Old,
                    format!("host name {name} can't be resolved any more, its addresses of {} serve on: {trouble}", found.at.whole_seconds()),
                );
            }
            (None, Some(trouble), None) => tell(HostStands::Old, format!("host name {name} can't be resolved, nothing answers for it: {trouble}")),
            (Some(_), None, Some(found)) => tell(HostStands::Good, format!("host name {name} is resolved again: {}", addresses_text(found))),
            _ => {}
        }
        if let (Some(before), Some(found)) = (&before.found, found)
            && before.addresses != found.addresses
        {
            tell(HostStands::Moved, format!("host name {name} has other addresses: {}, before {}", addresses_text(found), addresses_text(before)));
        }
    }

    /// For a service whose decision stands: the same endpoints with the addresses that they have now. `None`: they have the same.
    pub(super) fn readdress(&mut self, service: ServiceId) -> Option<(ServiceId, Compiled)> {
        let estate = self.configuration.estate.clone();
        if estate.hosts.is_empty() {
            return None;
        }
        let state = self.services.get(service.index())?;
        let (rules, slot) = (state.rules.clone(), state.slot);
        let decision = policy::readdressed(&state.decided.as_ref()?.decision, &self.facts())?;
        let decided = self.shares.decided(&estate, &rules, decision, &mut self.cells);
        let compiled = decided.alike.of(slot, &mut self.cells);
        self.services.get_mut(service.index())?.decided = Some(decided);
        Some((service, compiled))
    }

    /// What is known of host names, for a resolver that begins.
    pub fn known_hosts(&self) -> impl Iterator<Item = (&Name, &HostFound)> {
        let hosts = self.configuration.estate.hosts.iter().enumerate();
        hosts.filter_map(|(at, name)| Some((name, &**self.health.host(HostId::at(at)).found.as_ref()?)))
    }

    /// What is written of these names.
    pub(super) fn host_ops(&self, names: &BTreeSet<Name>) -> Vec<Op> {
        let found = |name: &Name| self.health.host(self.configuration.estate.host_named(name)?).found.clone();
        names.iter().filter_map(|name| Some(Op::Put(Key::Host(name.clone()), Record::Host(found(name)?)))).collect()
    }

    /// What the store, or a predecessor, knew of host names. Names that answers are no longer made from are forgotten.
    pub(super) fn recall_hosts(&mut self, known: &BTreeMap<Name, Arc<HostFound>>, now: Now) {
        let estate = self.configuration.estate.clone();
        for (name, found) in known {
            match estate.host_named(name) {
                Some(host) => self.health.resolved(&estate, host, HostHealth { found: Some(found.clone()), trouble: None }, now),
                None => drop(self.commits.learned.hosts_gone.insert(name.clone())),
            }
        }
    }

    /// Names of which nothing is known yet: the first round waits for them, too.
    pub(super) fn unresolved(&self) -> usize {
        (0..self.configuration.estate.hosts.len()).filter(|at| *self.health.host(HostId::at(*at)) == HostHealth::default()).count()
    }
}

/// What became of a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStands {
    /// It is resolved again.
    Good,
    /// It has other addresses.
    Moved,
    /// It can't be resolved: what is known of it is old.
    Old,
}

/// `192.0.2.1, 192.0.2.2`
fn addresses_text(found: &HostFound) -> String {
    found.all().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}
