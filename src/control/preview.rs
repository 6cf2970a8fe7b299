//! What a reload would do, without doing it: refusals, sentences, and where traffic would go on today's health.
//!
//! It decides with the same `decide` on the state that the reload itself would make: verdicts, guard, memories and overrides carried over by name.
//! Never here: a change of anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::client::ClassId;
use crate::health::{Guard, HealthTable};
use crate::model::{Answering, Estate, Family, Node, Now, PolicyForm, PoolId, Service, ServiceId, Timestamp};
use crate::policy::{self, Facts, Memory};

use super::change::Fault;
use super::core::Core;
use super::event::Configuration;
use super::kinds::{self, Eyes, KindMove, Shown, real, same};
use super::overrides::Overrides;
use super::record::Revision;
use super::reload::counted;

/// What a reload would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReloadPreview {
    /// Why it would be refused; empty: it would be taken.
    pub refusals: Vec<Fault>,
    /// Sentences worth reading.
    pub messages: Vec<String>,
    /// Services whose answers would move.
    pub moves: Vec<PreviewMove>,
}

/// A service whose answers would move: effective shares by pool (0 to 1), without those of nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewMove {
    /// Which; in the file's order, those that go away last.
    pub service: Arc<str>,
    /// Now; empty: it is new.
    pub before: Vec<(Arc<str>, f64)>,
    /// Then; empty: it goes away.
    pub after: Vec<(Arc<str>, f64)>,
    /// Clients who fare otherwise than those of whom nothing is known, of whom the above is true.
    pub by_client: Vec<KindMove>,
}

/// A service whose traffic is not what the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Which.
    pub service: Arc<str>,
    /// The file's policy.
    pub file: PolicyForm,
    /// The operators'.
    pub operators: PolicyForm,
    /// Whose: the store's counter, who, why, when.
    pub revision: Revision,
    /// Who set it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// It does not count: the file manages the service, or lacks names that it uses.
    pub set_aside: bool,
}

/// What is known beside another configuration, as taking it would leave it.
pub(super) struct Carried {
    pub(super) health: HealthTable,
    pub(super) guard: Guard,
    pub(super) overrides: Overrides,
    /// Pools whose data is too old.
    pub(super) outdated: BTreeMap<PoolId, Arc<str>>,
    /// Pools over their load.
    pub(super) crowded: BTreeMap<PoolId, policy::Crowded>,
}

impl Carried {
    /// What policy would decide from. Nothing is planned there: what waits belongs to what runs.
    pub(super) fn facts<'a>(&'a self, next: &'a Configuration) -> Facts<'a> {
        let Self { health, guard, overrides, outdated, crowded } = self;
        let (estate, clients) = (&next.estate, &next.clients);
        Facts { estate, health, guard, overrides: &overrides.resolved, outdated, crowded, clients, planned: &policy::NO_PLANS }
    }
}

impl Core {
    /// What exists, and what shapes responses.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What taking `next` would do now.
    pub fn preview(&self, next: &Configuration, now: Now) -> ReloadPreview {
        let mut messages = self.messages_of(next);
        messages.extend(self.unproven(&next.estate));
        let mut refusals = self.unusable_after(next);
        refusals.extend(self.reload_faults(next, now));
        ReloadPreview { refusals, messages, moves: self.moves_of(next, now) }
    }

    /// Services whose traffic operators have set to something else than `next` says, in its order.
    pub fn drift(&self, next: &Configuration) -> Vec<Drift> {
        let mut drift = Vec::new();
        for service in &next.estate.services {
            let Some((record, revision)) = self.traffic.get(&service.name) else { continue };
            let Some(form) = record.form.as_ref().filter(|form| **form != *service.form) else { continue };
            drift.push(Drift {
                service: service.name.clone(),
                file: (*service.form).clone(),
                operators: form.clone(),
                revision: *revision,
                actor: record.actor.clone(),
                reason: record.reason.clone(),
                at: record.at,
                set_aside: next.estate.managed.contains_key(&service.name) || next.estate.resolve_for(service, form).is_err(),
            });
        }
        drift
    }

    fn moves_of(&self, next: &Configuration, now: Now) -> Vec<PreviewMove> {
        let (old, estate) = (&self.configuration.estate, &next.estate);
        let carried = self.carried_to(estate, now);
        let facts = carried.facts(next);
        let eyes = Eyes::new(&self.configuration.clients, &next.clients);
        let mut before: HashMap<&str, ServiceId> = old.services.iter().enumerate().map(|(at, service)| (&*service.name, ServiceId::at(at))).collect();
        let mut moves = Vec::new();
        for service in &estate.services {
            let was = before.remove(&*service.name);
            let memory = self.memory_after(service, was, estate);
            let tree = self.tree_after(service, estate);
            let family = family_of(estate, facts.health, service, &tree);
            let decision = policy::decide(service, &tree, &facts, &memory, now);
            let after = |class| {
                let shares = policy::effective(&decision.of_class(class).0[family.index()], &tree);
                real(shares.into_iter().map(|(pool, share)| (estate.pool(pool).name.clone(), share)).collect())
            };
            let before = |class| {
                was.map_or_else(Vec::new, |id| {
                    let (view, family) = (self.service(id), self.shown_family(id));
                    let shares = policy::effective(&view.decision.of_class(class).0[family.index()], view.policy);
                    real(shares.into_iter().map(|(pool, share)| (old.pool(pool).name.clone(), share)).collect())
                })
            };
            let kinds = eyes.kinds(was.map_or(&self.undecided, |id| self.service(id).decision), &decision);
            let shown = kinds.into_iter().map(|kind| Shown { kind, part: None, before: before(kind.before), after: after(kind.after) });
            let by_client = kinds::listed(&eyes, shown.collect());
            let (before, after) = (before(ClassId::UNKNOWN), after(ClassId::UNKNOWN));
            if was.is_none() || !same(&before, &after) || !by_client.is_empty() {
                moves.push(PreviewMove { service: service.name.clone(), before, after, by_client });
            }
        }
        let mut gone: Vec<ServiceId> = before.into_values().collect();
        gone.sort_unstable();
        moves.extend(gone.into_iter().map(|id| PreviewMove {
            service: old.service(id).name.clone(),
            before: real(self.effective(id, self.shown_family(id))),
            after: Vec::new(),
            by_client: Vec::new(),
        }));
        moves
    }

    /// What is known, as taking `estate` would leave it.
    pub(super) fn carried_to(&self, estate: &Estate, now: Now) -> Carried {
        let old = &self.configuration.estate;
        let health = self.health.carried_over(old, estate, now);
        let guard = Guard::from_names(&self.guard.names(old), estate, &health, now);
        let mut overrides = Overrides::default();
        for (id, kept) in &self.overrides.kept {
            overrides.keep(*id, kept.record.clone(), kept.revision, now);
        }
        overrides.resolve(estate);
        Carried { health, guard, overrides, outdated: self.outdated_in(estate, now), crowded: self.crowded_in(estate, now) }
    }

    /// What a service of `estate`, which `was` that one, would remember.
    pub(super) fn memory_after(&self, service: &Service, was: Option<ServiceId>, estate: &Estate) -> Memory {
        match (was, self.spare_memories.get(&service.name)) {
            (Some(id), _) => super::memory::carried(&self.configuration.estate, &self.service_memory(id), estate),
            (None, Some(spare)) => super::memory::recall(estate, spare),
            (None, None) => Memory::default(),
        }
    }

    /// The operators' tree where it would count, else the file's.
    pub(super) fn tree_after(&self, service: &Service, estate: &Estate) -> Arc<Node> {
        let form = self.traffic.get(&service.name).and_then(|(record, _)| record.form.as_ref()).filter(|_| !estate.managed.contains_key(&service.name));
        form.and_then(|form| estate.resolve_for(service, form).ok()).unwrap_or_else(|| service.policy.clone())
    }

    /// What taking `next` would have to say, but for what it takes.
    pub(super) fn messages_of(&self, next: &Configuration) -> Vec<String> {
        let mut messages = self.overruled(next);
        messages.extend(self.taken_over(&next.estate));
        messages.extend(self.unmatched_after(&next.estate));
        messages.extend(self.unraised_serials(next));
        messages.extend(next.needs_restart.iter().map(|key| format!("`{key}` changed and needs a restart; the old value stays until then")));
        messages
    }

    /// Targets that nobody has probed yet.
    fn unproven(&self, next: &Estate) -> Option<String> {
        let known: std::collections::HashSet<&str> = self.configuration.estate.targets.iter().map(|target| &*target.key).collect();
        let new = next.targets.iter().filter(|target| !known.contains(&*target.key)).count();
        (0 < new).then(|| format!("{} not probed before: without a verdict at first, which policy takes for up", counted(new, "target")))
    }

    /// Overrides that would have nothing left to act on.
    fn unmatched_after(&self, next: &Estate) -> Vec<String> {
        let lost = self.overrides.kept.iter().filter(|(_, kept)| kept.matched && kept.record.target.matches(next).is_empty());
        lost.map(|(id, kept)| {
            format!("o-{id} ({} of {}) matches nothing any more; it is kept and acts again when something fits", kept.record.kind.word(), kept.record.target)
        })
        .collect()
    }
}

/// IPv4 unless no pool of the tree has an IPv4 endpoint.
pub(super) fn family_of(estate: &Estate, health: &HealthTable, service: &Service, tree: &Node) -> Family {
    let (mut v4, mut v6) = (false, false);
    tree.pools(&mut |pool| {
        v4 |= health.pool_has(estate, pool, Family::V4);
        v6 |= health.pool_has(estate, pool, Family::V6);
    });
    // Services that answer with host names are decided as IPv4.
    if v6 && !v4 && service.answer == Answering::Addresses { Family::V6 } else { Family::V4 }
}
