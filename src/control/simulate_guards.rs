//! What guards say to a simulation: the node's own, which mistrust what it sees, and those that people's changes must pass.
//!
//! Health is never held up by the guards of changes (S26 and S27 guard it). They are told nevertheless: whoever wants by hand what is simulated would be
//! refused by them, and what an outage leaves may be less than they ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{EndpointId, Estate, GuardKind, Node, RegionId, ServiceId, Watch, duration_text};
use crate::policy::{self, Facts, OverrideKind, OverrideTarget};

use super::guards::{self, Act, GuardFinding, Proposal, RegionChange};
use super::kinds::{Eyes, Kind};
use super::plan_guards::whole;
use super::simulate::{Fate, Group, Picture, few, is, is_within};

/// Guards that a fall can be weighed by: what is left, and what it must carry.
const OF_A_FALL: [GuardKind; 2] = [GuardKind::MinServingRegions, GuardKind::Capacity];
/// Guards that another configuration can be weighed by, too: it asks for other shares.
const OF_A_FILE: [GuardKind; 4] = [GuardKind::MinServingRegions, GuardKind::MaxStep, GuardKind::HealthyTargets, GuardKind::Capacity];

/// What a policy asks for, by region, per cent.
pub(super) fn asked(estate: &Estate, tree: &Node) -> Vec<(Arc<str>, f64)> {
    let mut asked: Vec<(Arc<str>, f64)> = Vec::new();
    for (pool, share) in policy::desired(tree) {
        let region = &estate.region(estate.pool(pool).region).name;
        match asked.iter_mut().find(|(known, _)| known == region) {
            Some((_, sum)) => *sum += share * 100.0,
            None => asked.push((region.clone(), share * 100.0)),
        }
    }
    asked
}

/// Regions with a pool of the tree that is up, and not drained.
pub(super) fn able(facts: &Facts<'_>, service: ServiceId, tree: &Node) -> Vec<Arc<str>> {
    let mut able: Vec<Arc<str>> = Vec::new();
    tree.pools(&mut |pool| {
        let region = &facts.estate.region(facts.estate.pool(pool).region).name;
        if !able.contains(region) && policy::child_state(facts, Some(service), &Node::Pool(pool)).is_usable() {
            able.push(region.clone());
        }
    });
    able
}

impl Picture {
    /// Guards of changes that don't hold, were it a person who does this.
    pub(super) fn change_guards(&self) -> Vec<GuardFinding> {
        let facts = Facts {
            estate: &self.estate,
            health: &self.health,
            guard: &self.guard,
            overrides: &self.fallen,
            outdated: &self.outdated,
            crowded: &self.crowded,
            clients: &self.clients,
            planned: &crate::policy::NO_PLANS,
        };
        let (act, kinds) = if self.changed { (Act::Split, &OF_A_FILE[..]) } else { (Act::ForceDown, &OF_A_FALL[..]) };
        let eyes = Eyes::new(&self.clients_before, &self.clients);
        let mut found = Vec::new();
        for group in &self.groups {
            let of_kinds: Vec<(Kind, Vec<RegionChange>)> =
                group.kinds.iter().map(|fate| (fate.kind, self.region_changes(group, fate, &eyes, &facts))).collect();
            let mut names: Vec<Arc<str>> = group.services.iter().map(|id| self.estate.service(*id).name.clone()).collect();
            // Limits may be a service's own.
            let apart = names.iter().any(|name| self.estate.rules.names(name));
            let each: Vec<Vec<Arc<str>>> = if apart { names.drain(..).map(|name| vec![name]).collect() } else { vec![names] };
            for services in each {
                let Some(service) = services.first() else { continue };
                let check = |regions: &[RegionChange]| {
                    let proposal = Proposal {
                        service,
                        act,
                        automatic: !self.changed,
                        reason: "simulated",
                        regions,
                        now: self.now.wall,
                        recent: 0,
                        rate_free_at: None,
                        gate_is_on: &|_| true,
                        partly: &whole,
                    };
                    guards::check(&self.estate.rules, &proposal)
                };
                let findings = eyes.of_all(of_kinds.iter().map(|(kind, regions)| (*kind, check(regions))).collect());
                let broken: Vec<GuardFinding> = findings.into_iter().filter(|one| !one.ok && kinds.contains(&one.guard)).collect();
                if !broken.is_empty() {
                    found.push((broken, services));
                }
            }
        }
        guards::merge(found)
    }

    /// A service's regions before and after, for one kind of clients.
    fn region_changes(&self, group: &Group, fate: &Fate, eyes: &Eyes<'_>, facts: &Facts<'_>) -> Vec<RegionChange> {
        let tree = eyes.tree_after(&group.tree, fate.kind.after, &self.estate);
        let wanted = asked(&self.estate, &tree);
        let can = group.services.first().map(|id| able(facts, *id, &tree)).unwrap_or_default();
        let parts = fate.before.iter().chain(&fate.after).map(|part| &part.region);
        let names: BTreeSet<&Arc<str>> = parts.chain(fate.asked.iter().chain(&wanted).map(|(region, _)| region)).chain(&fate.could).collect();
        let of = |asked: &[(Arc<str>, f64)], name: &str| asked.iter().find(|(region, _)| **region == *name).map_or(0.0, |(_, share)| *share);
        let change = |name: &Arc<str>| {
            let [before, after] = [&fate.before, &fate.after].map(|parts| Group::share(parts, name) * 100.0);
            let (desired_before, desired_after) = (of(&fate.asked, name), of(&wanted, name));
            let (could, can) = (fate.could.contains(name), can.contains(name));
            let unfit = (!can && desired_before + 0.01 < desired_after).then(|| format!("{name} is not up, or drained"));
            RegionChange { name: name.clone(), before, after, desired_before, desired_after, could, can, unfit: unfit.into_iter().collect(), back: None }
        };
        names.into_iter().map(change).collect()
    }

    /// What this node's guards against its own mistakes would do.
    pub(super) fn guards(&self, falls: &[OverrideTarget], fallen: &BTreeSet<EndpointId>) -> Vec<String> {
        let (estate, rules) = (&self.estate, self.estate.guard);
        let mut guards = Vec::new();
        let mut regions: BTreeMap<RegionId, (usize, usize)> = BTreeMap::new();
        for (at, endpoint) in estate.endpoints.iter().enumerate().filter(|(_, endpoint)| !matches!(endpoint.watch, Watch::Always | Watch::Nothing)) {
            let (down, all) = regions.entry(estate.pool(endpoint.pool).region).or_default();
            *all += 1;
            *down += usize::from(fallen.contains(&EndpointId::at(at)));
        }
        let whole: Vec<&str> = regions.iter().filter(|(_, (down, all))| down == all).map(|(id, _)| &*estate.region(*id).name).collect();
        let share = |(down, all): &(usize, usize)| *down * 100 >= *all * usize::from(rules.blind_share);
        let endpoints: usize = regions.values().map(|(_, all)| all).sum();
        let blind = 0 < rules.blind_share && 2 <= regions.len() && 5 <= endpoints && !rules.window.is_zero() && regions.values().all(share);
        if blind && !falls.is_empty() {
            guards.push(format!(
                "blind: if this happens within {}, at least {} % of endpoints turn in every region; this node takes itself for blind and keeps its answers",
                duration_text(rules.window),
                rules.blind_share
            ));
        } else if 1 < whole.len() && !rules.window.is_zero() {
            guards.push(format!(
                "blast: of {} the first leaves the answers at once, another within {} is held as up for {} at most",
                few(&whole),
                duration_text(rules.window),
                duration_text(rules.window * 2)
            ));
        }
        guards
    }

    /// Where what would happen differs from what is shown.
    pub(super) fn caveats(&self, falls: &[OverrideTarget], fallen: &BTreeSet<EndpointId>) -> Vec<String> {
        let estate = &*self.estate;
        let mut messages = Vec::new();
        let unseen: Vec<String> = fallen.iter().filter(|id| estate.endpoint(**id).watch == Watch::Always).map(|id| estate.endpoint_label(*id)).collect();
        if !unseen.is_empty() {
            let names: Vec<&str> = unseen.iter().map(String::as_str).collect();
            messages
                .push(format!("{} not probed (always = \"up\"): this node would not notice, and would go on answering; here it counts as down", is(&names)));
        }
        let forced = self.overrides.iter().filter(|one| one.kind == OverrideKind::ForceUp && falls.iter().any(|fall| is_within(estate, one.target, *fall)));
        let forced: BTreeSet<&str> = forced.map(|one| &*one.id).collect();
        if !forced.is_empty() {
            let names: Vec<&str> = forced.into_iter().collect();
            messages.push(format!("force_up by {} would keep in the answers what is down, as long as it stands; here it counts as down", few(&names)));
        }
        let touched = estate.pools_moved_by(fallen.iter().copied());
        let uses = |group: &&Group| {
            let mut uses = false;
            group.tree.pools(&mut |pool| uses |= touched.contains(&pool));
            uses
        };
        let frozen: Vec<String> = self.groups.iter().filter(|group| group.frozen.is_some()).filter(uses).map(|group| self.name_of(group)).collect();
        if !frozen.is_empty() {
            let names: Vec<&str> = frozen.iter().map(String::as_str).collect();
            messages.push(format!("{} frozen: answers stay as they are, whatever falls", is(&names)));
        }
        messages
    }
}
