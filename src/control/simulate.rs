//! What if: answers and load by region if something went down, or another configuration ran, to the end of the cascade.
//!
//! A [`Picture`] is taken while the core is lent; everything else happens on the picture, away from the core. It decides with the same `decide` as serving,
//! and changes nothing. What falls counts as down, whatever the guard or an override would make of it; [`Simulation::messages`] says where that differs.
//!
//! ```text
//! picture ─▶ what is named falls ─▶ services that use it are decided ─▶ a region that gained carries more than it declares? ─▶ it falls, and so on
//! ```
//!
//! Each round takes one more region away, so it ends after as many rounds as there are regions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::client::{ClassId, Clients};
use crate::health::{Guard, HealthTable, State};
use crate::model::{EndpointId, Estate, Family, Node, Now, PoolId, RegionId, Service, ServiceId, duration_text};
use crate::policy::{self, Facts, FamilyDecision, Memory, OverrideKind, OverrideTarget, Reach, Rung};

use super::core::Core;
use super::event::Configuration;
use super::guards::GuardFinding;
use super::kinds::{Eyes, Kind, KindMove, Shown, listed, mixture};
use super::preview::{Carried, family_of};
use super::record::OverrideTargetName;
use super::reload::counted;
use super::services::{Decided, Rules};
use super::simulate_guards::{able, asked};
use super::targets::targets_of;

/// Shares (0 to 1) and loads (per cent) closer than this are the same.
const SAME: f64 = 0.000_1;
/// Names that one sentence lists.
const NAMED_MAX: usize = 5;

/// Everything that a simulation needs, taken from the core in one look.
#[derive(Debug)]
pub struct Picture {
    pub(super) now: Now,
    pub(super) estate: Arc<Estate>,
    pub(super) health: HealthTable,
    pub(super) guard: Guard,
    pub(super) overrides: Vec<policy::Override>,
    /// Pools whose data is too old.
    pub(super) outdated: BTreeMap<PoolId, Arc<str>>,
    /// Pools over their load: those that shed go on shedding.
    pub(super) crowded: BTreeMap<PoolId, policy::Crowded>,
    /// The same, once something has fallen.
    pub(super) fallen: Vec<policy::Override>,
    pub(super) clients: Arc<Clients>,
    /// As they are told apart now.
    pub(super) clients_before: Arc<Clients>,
    pub(super) groups: Vec<Group>,
    /// It is of another configuration.
    pub(super) changed: bool,
    /// Services that the configuration in question no longer has, with where they answer now.
    gone: Vec<(Arc<str>, Vec<Part>)>,
}

/// Services that are decided alike.
#[derive(Debug)]
pub(super) struct Group {
    pub services: Vec<ServiceId>,
    pub tree: Arc<Node>,
    family: Family,
    memory: Memory,
    /// Its override: it keeps its decision.
    pub frozen: Option<u64>,
    /// What each kind of clients gets; at least one, first those of whom nothing is known.
    pub kinds: Vec<Fate>,
}

/// What clients of one kind get.
#[derive(Debug)]
pub(super) struct Fate {
    pub kind: Kind,
    /// As answered now.
    pub before: Vec<Part>,
    /// As answered in the end.
    pub after: Vec<Part>,
    rung: Option<Rung>,
    /// Nothing is up for them already.
    was_dark: bool,
    /// What the policy asked for, by region, per cent.
    pub asked: Vec<(Arc<str>, f64)>,
    /// Regions that could answer.
    pub could: Vec<Arc<str>>,
}

impl Fate {
    /// Nothing is up for them.
    fn is_dark(&self) -> bool {
        is_dark(self.rung)
    }

    /// Nothing is up for them any more; it may be that they are answered as before, for `when_all_down` says so.
    fn turns_dark(&self) -> bool {
        self.is_dark() && !self.was_dark
    }
}

/// A pool's part of a service's answers, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which pool.
    pub pool: Arc<str>,
    /// Where it is.
    pub region: Arc<str>,
    /// Share.
    pub share: f64,
}

/// How much a service is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Answers a second; `None`: not known.
    pub rate: Option<f64>,
    /// That as a part of its peak: 1 at its peak.
    pub of_peak: f64,
    /// Where its answers went of late: parts by pool; empty: not known.
    pub answered: Vec<(Arc<str>, f64)>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulation {
    /// Endpoints that fall at first, `pool/name`, in file order.
    pub down: Vec<String>,
    /// Services whose answers move, in file order; those that go away last.
    pub services: Vec<Simulated>,
    /// Every region, in file order; those that go away last.
    pub regions: Vec<RegionLoad>,
    /// Regions that fall by their load, one after the other.
    pub cascade: Vec<Overload>,
    /// What this node's own guards would do about it, one sentence each.
    pub guards: Vec<String>,
    /// Guards of changes that would not hold: an operator who wanted this would be refused.
    pub change_guards: Vec<GuardFinding>,
    /// What else is worth reading.
    pub messages: Vec<String>,
}

/// A service whose answers move.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// Which.
    pub service: Arc<str>,
    /// Where it answers now, those of whom nothing is known.
    pub before: Vec<Part>,
    /// And then.
    pub after: Vec<Part>,
    /// Clients who fare otherwise.
    pub by_client: Vec<KindMove>,
    /// The worst step of the ladder that answers then; `None`: nothing is answered.
    pub rung: Option<Rung>,
    /// How much it is asked.
    pub load: Load,
}

/// What comes to a region.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionLoad {
    /// Which.
    pub region: Arc<str>,
    /// Answers a second now; `None`: not known of every service there.
    pub before: Option<f64>,
    /// And then.
    pub after: Option<f64>,
    /// The service that strains it most then, measured by what it declares to carry; `None`: it declares nothing, or has nothing to do.
    pub strain: Option<Overload>,
    /// It is down in the end.
    pub fallen: bool,
}

/// What a service asks of a region, in per cent of its peak, and what the region declares to carry of that.
#[derive(Clone, Debug, PartialEq)]
pub struct Overload {
    /// Where.
    pub region: Arc<str>,
    /// The service.
    pub service: Arc<str>,
    /// Per cent of the service's peak that comes there.
    pub load: f64,
    /// What may come.
    pub capacity: f64,
}

impl Overload {
    fn strain(&self) -> f64 {
        if 0.0 < self.capacity { self.load / self.capacity } else { f64::INFINITY }
    }

    /// More comes than may.
    pub fn exceeds(&self) -> bool {
        self.capacity + 0.01 < self.load
    }
}

impl Core {
    /// What runs, as a picture.
    pub fn picture(&self, now: Now) -> Picture {
        let (estate, facts) = (&self.configuration.estate, self.facts());
        let eyes = Eyes::new(facts.clients, facts.clients);
        let limited: HashSet<ServiceId> = self.overrides.resolved.iter().filter_map(|limited| limited.services.clone()).flatten().collect();
        let mut known: HashMap<(*const Rules, *const Memory, Option<*const Decided>), usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (at, state) in self.services.iter().enumerate() {
            let id = ServiceId::at(at);
            let frozen = self.overrides.frozen.get(&id).copied();
            let key = (Arc::as_ptr(&state.rules), Arc::as_ptr(&state.memory), state.decided.as_ref().map(Arc::as_ptr));
            let alone = limited.contains(&id) || frozen.is_some();
            if let Some(group) = known.get(&key).filter(|_| !alone).and_then(|at| groups.get_mut(*at)) {
                group.services.push(id);
                continue;
            }
            if !alone {
                known.insert(key, groups.len());
            }
            let family = self.main_family(id);
            let decision = self.service(id).decision;
            let fate = |kind: Kind| {
                let decided = &decision.of_class(kind.before).0[family.index()];
                let parts = parts(estate, policy::effective(decided, &state.rules.tree));
                let tree = eyes.tree(&state.rules.tree, kind.before, estate);
                let rung = rung_of(decision.of_class(kind.before).0, family);
                let was_dark = is_dark(rung);
                Fate { kind, before: parts.clone(), after: parts, rung, was_dark, asked: asked(estate, &tree), could: able(&facts, id, &tree) }
            };
            groups.push(Group {
                services: vec![id],
                tree: state.rules.tree.clone(),
                family,
                memory: (*state.memory).clone(),
                frozen,
                kinds: eyes.kinds(decision, decision).into_iter().map(fate).collect(),
            });
        }
        let (health, guard, overrides) = (self.health.clone(), self.guard.clone(), self.overrides.resolved.clone());
        let clients = self.configuration.clients.clone();
        Picture {
            now,
            estate: estate.clone(),
            health,
            guard,
            fallen: overrides.clone(),
            overrides,
            outdated: self.freshness.outdated.clone(),
            crowded: self.loads.crowded.clone(),
            clients_before: clients.clone(),
            clients,
            groups,
            changed: false,
            gone: Vec::new(),
        }
    }

    /// Tests give the estate what its text can't say.
    #[cfg(test)]
    pub(super) fn set_estate(&mut self, estate: Estate) {
        self.configuration.estate = Arc::new(estate);
    }

    /// What would run with another configuration, on today's health, with where services answer now.
    pub fn picture_after(&self, next: &Configuration, now: Now) -> Picture {
        let (old, estate) = (&self.configuration.estate, &next.estate);
        let carried = self.carried_to(estate, now);
        let facts = carried.facts(next);
        let mut was: HashMap<&str, ServiceId> = old.services.iter().enumerate().map(|(at, service)| (&*service.name, ServiceId::at(at))).collect();
        let (eyes, today) = (Eyes::new(&self.configuration.clients, &next.clients), self.facts());
        let before = |id: ServiceId, class| {
            let (view, family) = (self.service(id), self.main_family(id));
            parts(old, policy::effective(&view.decision.of_class(class).0[family.index()], view.policy))
        };
        let mut groups = Vec::with_capacity(estate.services.len());
        for (at, service) in estate.services.iter().enumerate() {
            let id = ServiceId::at(at);
            let known = was.remove(&*service.name);
            let tree = self.tree_after(service, estate);
            let memory = self.memory_after(service, known, estate);
            let decision = policy::decide(service, &tree, &facts, &memory, now);
            let fate = |kind: Kind| {
                let tree = known.map(|id| (id, eyes.tree(self.service(id).policy, kind.before, old)));
                Fate {
                    kind,
                    before: known.map(|id| before(id, kind.before)).unwrap_or_default(),
                    after: Vec::new(),
                    rung: None,
                    was_dark: known.is_some_and(|id| is_dark(rung_of(self.service(id).decision.of_class(kind.before).0, self.main_family(id)))),
                    asked: tree.as_ref().map(|(_, tree)| asked(old, tree)).unwrap_or_default(),
                    could: tree.as_ref().map(|(id, tree)| able(&today, *id, tree)).unwrap_or_default(),
                }
            };
            let kinds = eyes.kinds(known.map_or(&self.undecided, |id| self.service(id).decision), &decision).into_iter().map(fate).collect();
            let frozen = carried.overrides.frozen.get(&id).copied();
            let mut group = Group { services: vec![id], family: family_of(estate, &carried.health, service, &tree), tree, memory, frozen, kinds };
            group.take(decision, &facts);
            groups.push(group);
        }
        let mut gone: Vec<ServiceId> = was.into_values().collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|id| (old.service(id).name.clone(), before(id, ClassId::UNKNOWN))).collect();
        let Carried { health, guard, overrides, outdated, crowded } = carried;
        let overrides = overrides.resolved;
        Picture {
            now,
            estate: estate.clone(),
            health,
            guard,
            fallen: overrides.clone(),
            overrides,
            outdated,
            crowded,
            clients: next.clients.clone(),
            clients_before: self.configuration.clients.clone(),
            groups,
            changed: true,
            gone,
        }
    }
}

impl Group {
    fn decide(&mut self, service: &Service, facts: &Facts<'_>, now: Now) {
        let decision = policy::decide(service, &self.tree, facts, &self.memory, now);
        self.take(decision, facts);
    }

    fn take(&mut self, decision: policy::Decision, facts: &Facts<'_>) {
        for fate in &mut self.kinds {
            let decided = &decision.of_class(fate.kind.after).0[self.family.index()];
            fate.after = parts(facts.estate, policy::effective(decided, &self.tree));
            fate.rung = decided.leaves.iter().map(|leaf| leaf.rung).max();
        }
        self.memory = decision.memory;
    }

    /// Regions that answer before or after.
    fn regions(&self) -> BTreeSet<&Arc<str>> {
        self.kinds.iter().flat_map(|fate| regions_of(&fate.before).chain(regions_of(&fate.after))).collect()
    }

    /// The worst step of the ladder that answers then; `None`: somebody is answered nothing.
    fn rung(&self) -> Option<Rung> {
        self.kinds.iter().map(|fate| fate.rung).try_fold(Rung::Policy, |worst, rung| Some(worst.max(rung?)))
    }

    /// A region's share of the answers; `None`: it depends on who asks, and how many of each kind there are is not known.
    fn share_of(&self, region: &str, mixture: Option<&Vec<f64>>, after: bool) -> Option<f64> {
        let mut shares = self.kinds.iter().map(|fate| Self::share(if after { &fate.after } else { &fate.before }, region));
        match mixture {
            Some(parts) => Some(parts.iter().zip(shares).map(|(part, share)| part * share).sum()),
            None => {
                let first = shares.next()?;
                shares.all(|share| (share - first).abs() <= SAME).then_some(first)
            }
        }
    }

    /// What it asks of a region then, of all it is asked; if it is not known how many clients are of which kind, as if the worst were all.
    /// `gained`: `None` unless that is more than before, from clients for whom something is up.
    fn asks_of(&self, region: &str, mixture: Option<&Vec<f64>>, gained: bool) -> Option<f64> {
        let counts = |fate: &&Fate| !gained || !fate.is_dark();
        let before_and_after = |fate: &Fate| (Self::share(&fate.before, region), Self::share(&fate.after, region));
        let is_more = |(before, after): &(f64, f64)| !gained || before + SAME < *after;
        match mixture {
            Some(parts) => {
                let fates = parts.iter().zip(&self.kinds).filter(|(_, fate)| counts(fate));
                let sums = fates.fold((0.0, 0.0), |(was, is), (part, fate)| {
                    let (before, after) = before_and_after(fate);
                    (was + part * before, is + part * after)
                });
                Some(sums).filter(is_more).map(|(_, after)| after)
            }
            None => self.kinds.iter().filter(counts).map(before_and_after).filter(is_more).map(|(_, after)| after).max_by(f64::total_cmp),
        }
    }

    /// What some clients at least get otherwise than before.
    fn is_moved(&self) -> bool {
        self.kinds.iter().any(|fate| !same(&fate.before, &fate.after) || fate.turns_dark())
    }

    pub(super) fn share(parts: &[Part], region: &str) -> f64 {
        parts.iter().filter(|part| *part.region == *region).map(|part| part.share).sum()
    }
}

impl Picture {
    /// Services by name, in file order, those that go away last: for their loads.
    pub fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.estate.services.iter().map(|service| &service.name).chain(self.gone.iter().map(|(name, _)| name))
    }

    /// Services that answer different clients differently.
    pub fn asking(&self) -> HashSet<Arc<str>> {
        let asking = self.groups.iter().filter(|group| 1 < group.kinds.len()).flat_map(|group| &group.services);
        asking.map(|id| self.estate.service(*id).name.clone()).collect()
    }

    /// The longest TTL of services whose answers move by it, in the configuration of the picture.
    pub fn longest_ttl(&self, simulation: &Simulation) -> Option<u32> {
        let moved: HashSet<&str> = simulation.services.iter().map(|moved| &*moved.service).collect();
        self.estate.services.iter().filter(|service| moved.contains(&*service.name)).map(|service| service.ttl).max()
    }

    /// A name as people type it: `region/NAME` and the like, or a bare name of a region, pool or `POOL/ENDPOINT`. Else one sentence.
    pub fn named(&self, text: &str) -> Result<OverrideTargetName, String> {
        let estate = &*self.estate;
        let spelt = OverrideTargetName::parse(text).filter(|target| !matches!(target, OverrideTargetName::Service(_)));
        let bare = match text.split_once('/') {
            Some((pool, name)) => vec![OverrideTargetName::Endpoint(pool.into(), name.into())],
            None => vec![OverrideTargetName::Region(text.into()), OverrideTargetName::Pool(text.into())],
        };
        let fits = |target: &OverrideTargetName| !targets_of(estate, target).is_empty();
        if let Some(found) = spelt.iter().chain(&bare).find(|target| fits(target)) {
            return Ok(found.clone());
        }
        Err(spelt.as_ref().or(bare.first()).map(|target| target.nothing_fits(estate)).unwrap_or_default())
    }

    /// Lets these fall, and what falls by that.
    pub fn simulate(&mut self, down: &[OverrideTargetName], load: &dyn Fn(&str) -> Load) -> Simulation {
        let estate = self.estate.clone();
        let loads: Vec<Load> = estate.services.iter().map(|service| load(&service.name)).collect();
        let mut falls: Vec<OverrideTarget> = Vec::new();
        down.iter().flat_map(|target| targets_of(&estate, target)).for_each(|target| {
            if !falls.contains(&target) {
                falls.push(target);
            }
        });
        let fallen: BTreeSet<EndpointId> = endpoints_of(&estate, &falls).collect();
        let mut simulation = Simulation { down: fallen.iter().map(|endpoint| estate.endpoint_label(*endpoint)).collect(), ..Simulation::default() };
        simulation.guards = self.guards(&falls, &fallen);
        simulation.messages = self.caveats(&falls, &fallen);
        let mut order = whole_regions(&estate, &falls, &fallen);
        let began = order.len();
        let mut touched: BTreeSet<PoolId> = estate.pools_moved_by(fallen.iter().copied());
        let mixtures = self.mixtures(&loads);
        loop {
            // Nothing falls: nothing is decided again, and all is as it is.
            if !touched.is_empty() {
                self.fall(&falls, &touched);
            }
            let Some(overload) = self.overloaded(&loads, &mixtures).filter(Overload::exceeds) else { break };
            let Some(fall) = estate.region_named(&overload.region).map(OverrideTarget::Region).filter(|fall| !falls.contains(fall)) else { break };
            falls.push(fall);
            touched = estate.pools_moved_by(endpoints_of(&estate, &[fall]));
            order.push(overload.region.clone());
            simulation.cascade.push(overload);
        }
        let window = estate.guard.window;
        if let (Some(second), true) = (order.get(1).filter(|_| began < 2), !window.is_zero()) {
            simulation.guards.push(format!(
                "blast: if {second} falls within {} of the first region, it is held as up for {} at most before answers leave it",
                duration_text(window),
                duration_text(window * 2)
            ));
        }
        let turned_dark = |fate: &&Fate| fate.turns_dark();
        let dark: usize = self.groups.iter().filter(|group| group.kinds.iter().all(|fate| turned_dark(&fate))).map(|group| group.services.len()).sum();
        if 0 < dark {
            simulation.messages.push(format!("nothing would be up for {}: when_all_down decides what is answered", counted(dark, "service")));
        }
        let eyes = Eyes::new(&self.clients_before, &self.clients);
        let partly = self.groups.iter().filter(|group| !group.kinds.iter().all(|fate| turned_dark(&fate)));
        for (group, fate) in partly.filter_map(|group| Some((group, group.kinds.iter().find(turned_dark)?))).take(NAMED_MAX) {
            let (name, who) = (self.name_of(group), eyes.who(&fate.kind));
            simulation.messages.push(format!("nothing would be up for some clients of {name}: {who}; when_all_down decides what they are answered"));
        }
        if mixtures.values().any(Option::is_none) && !self.estate.rules.capacity.is_empty() {
            let text = "how many clients are of which kind is not known where nothing was answered of late: for capacity each kind counts as if it were all";
            simulation.messages.push(text.to_string());
        }
        simulation.services = self.moved(&loads, load, &eyes, &mixtures);
        simulation.regions = self.regions(&loads, load, &falls, &mixtures);
        simulation.change_guards = self.change_guards();
        simulation
    }

    /// Probes find all of this down, and the guard has let go of it; what uses these pools is decided again.
    fn fall(&mut self, falls: &[OverrideTarget], touched: &BTreeSet<PoolId>) {
        let estate = self.estate.clone();
        let fallen: BTreeSet<EndpointId> = endpoints_of(&estate, falls).collect();
        for judgement in fallen.iter().flat_map(|endpoint| estate.judgements_on(*endpoint)) {
            if self.health.judgement(*judgement).state != State::Down {
                self.health.restore(&estate, *judgement, State::Down, self.now.wall, self.now);
            }
        }
        self.guard.release(&estate, fallen.iter().copied());
        // What lies on the ground is not forced up by anybody.
        let stands = |one: &policy::Override| one.kind != OverrideKind::ForceUp || !falls.iter().any(|fall| is_within(&estate, one.target, *fall));
        let mut overrides: Vec<policy::Override> = self.overrides.iter().filter(|one| stands(one)).cloned().collect();
        // Probes would not see it: nobody probes it, or what fell is no part of its verdict.
        let unseen = fallen.iter().filter(|endpoint| self.health.endpoint(&estate, **endpoint) != State::Down);
        let id: Arc<str> = "simulated".into();
        overrides.extend(unseen.map(|endpoint| policy::Override {
            id: id.clone(),
            kind: OverrideKind::ForceDown,
            target: OverrideTarget::Endpoint(*endpoint),
            reach: Reach::Name,
            services: None,
        }));
        self.fallen = overrides;
        let facts = Facts {
            estate: &estate,
            health: &self.health,
            guard: &self.guard,
            overrides: &self.fallen,
            outdated: &self.outdated,
            crowded: &self.crowded,
            clients: &self.clients,
            planned: &policy::NO_PLANS,
        };
        for group in &mut self.groups {
            let Some(service) = group.services.first().map(|id| estate.service(*id)).filter(|_| group.frozen.is_none()) else { continue };
            let mut uses = false;
            group.tree.pools(&mut |pool| uses |= touched.contains(&pool));
            if uses {
                group.decide(service, &facts, self.now);
            }
        }
    }

    /// What part of a service's answers each kind of clients gets, of those that ask who asks; `None`: that is not known.
    fn mixtures(&self, loads: &[Load]) -> Mixtures {
        let asking = self.groups.iter().filter(|group| 1 < group.kinds.len());
        let of = |(id, group): (&ServiceId, &Group)| {
            let kinds: Vec<Vec<(&str, f64)>> = group.kinds.iter().map(|fate| fate.before.iter().map(|part| (&*part.pool, part.share)).collect()).collect();
            (*id, loads.get(id.index()).and_then(|load| mixture(&kinds, &load.answered)))
        };
        asking.flat_map(|group| group.services.iter().map(move |id| (id, group))).map(of).collect()
    }

    /// The region that gained and is strained most by one service, of those that declare what they carry. What fell has no answers, or nobody has.
    fn overloaded(&self, loads: &[Load], mixtures: &Mixtures) -> Option<Overload> {
        let mut worst: Option<Overload> = None;
        for group in &self.groups {
            for region in group.regions() {
                self.strains(group, region, loads, mixtures, true).for_each(|one| keep_worse(&mut worst, one));
            }
        }
        worst
    }

    /// What each service of a group asks of a region that declares what it carries. `gained`: only if it gains by what has happened, from who is up.
    fn strains<'a>(
        &'a self,
        group: &'a Group,
        region: &'a Arc<str>,
        loads: &'a [Load],
        mixtures: &'a Mixtures,
        gained: bool,
    ) -> impl Iterator<Item = Overload> + 'a {
        let declared = self.estate.rules.capacity.get(region);
        group.services.iter().filter_map(move |id| {
            let service = &self.estate.service(*id).name;
            let capacity = declared?.of(service)?;
            let mixture = mixtures.get(id).and_then(Option::as_ref);
            let share = group.asks_of(region, mixture, gained).filter(|share| SAME < *share)?;
            let of_peak = loads.get(id.index()).map_or(1.0, |load| load.of_peak);
            Some(Overload { region: region.clone(), service: service.clone(), load: share * of_peak * 100.0, capacity: f64::from(capacity) })
        })
    }

    fn moved(&self, loads: &[Load], load: &dyn Fn(&str) -> Load, eyes: &Eyes<'_>, mixtures: &Mixtures) -> Vec<Simulated> {
        let mut moved: Vec<(ServiceId, &Group)> = Vec::new();
        for group in self.groups.iter().filter(|group| group.is_moved()) {
            moved.extend(group.services.iter().map(|id| (*id, group)));
        }
        moved.sort_unstable_by_key(|(id, _)| *id);
        let of = |(id, group): (ServiceId, &Group)| {
            let named = |parts: &[Part]| parts.iter().map(|part| (part.pool.clone(), part.share)).collect();
            let mixture = mixtures.get(&id).and_then(Option::as_ref);
            let shown = group.kinds.iter().enumerate().map(|(at, fate)| Shown {
                kind: fate.kind,
                part: mixture.and_then(|parts| parts.get(at)).copied(),
                before: named(&fate.before),
                after: named(&fate.after),
            });
            let first = group.kinds.first();
            Simulated {
                service: self.estate.service(id).name.clone(),
                before: first.map(|fate| real(&fate.before)).unwrap_or_default(),
                after: first.map(|fate| real(&fate.after)).unwrap_or_default(),
                by_client: if group.kinds.len() < 2 { Vec::new() } else { listed(eyes, shown.collect()) },
                rung: group.rung(),
                load: loads.get(id.index()).cloned().unwrap_or_else(unknown_load),
            }
        };
        let mut moved: Vec<Simulated> = moved.into_iter().map(of).collect();
        let gone = |(name, before): &(Arc<str>, Vec<Part>)| Simulated {
            service: name.clone(),
            before: real(before),
            after: Vec::new(),
            by_client: Vec::new(),
            rung: None,
            load: load(name),
        };
        moved.extend(self.gone.iter().map(gone));
        moved
    }

    fn regions(&self, loads: &[Load], load: &dyn Fn(&str) -> Load, falls: &[OverrideTarget], mixtures: &Mixtures) -> Vec<RegionLoad> {
        let down: BTreeSet<EndpointId> = endpoints_of(&self.estate, falls).collect();
        let whole = whole_regions(&self.estate, falls, &down);
        let mut rows: Vec<RegionLoad> = Vec::new();
        for region in &self.estate.regions {
            let fallen = whole.contains(&region.name);
            rows.push(RegionLoad { region: region.name.clone(), before: Some(0.0), after: Some(0.0), strain: None, fallen });
        }
        let mut places: BTreeMap<Arc<str>, usize> = rows.iter().enumerate().map(|(at, row)| (row.region.clone(), at)).collect();
        let mut add = |region: &Arc<str>, before: Option<f64>, after: Option<f64>, strain: Option<Overload>| {
            let at = *places.entry(region.clone()).or_insert_with(|| {
                rows.push(RegionLoad { region: region.clone(), before: Some(0.0), after: Some(0.0), strain: None, fallen: false });
                rows.len() - 1
            });
            let Some(row) = rows.get_mut(at) else { return };
            // A sum that lacks some service would be wrong.
            for (sum, rate) in [(&mut row.before, before), (&mut row.after, after)] {
                *sum = sum.zip(rate).map(|(sum, rate)| sum + rate);
            }
            if let Some(strain) = strain {
                keep_worse(&mut row.strain, strain);
            }
        };
        for group in &self.groups {
            for region in group.regions() {
                let mut worst = None;
                self.strains(group, region, loads, mixtures, false).for_each(|one| keep_worse(&mut worst, one));
                let rates = [false, true].map(|after| {
                    let of = |id: &ServiceId| {
                        let share = group.share_of(region, mixtures.get(id).and_then(Option::as_ref), after)?;
                        if share <= SAME { Some(0.0) } else { loads.get(id.index())?.rate.map(|rate| rate * share) }
                    };
                    group.services.iter().map(of).sum::<Option<f64>>()
                });
                let [before, after] = rates;
                add(region, before, after, worst);
            }
        }
        for (name, parts) in &self.gone {
            for region in regions_of(parts).collect::<BTreeSet<_>>() {
                add(region, load(name).rate.map(|rate| rate * Group::share(parts, region)), Some(0.0), None);
            }
        }
        rows
    }

    pub(super) fn name_of(&self, group: &Group) -> String {
        group.services.first().map(|id| self.estate.service(*id).name.to_string()).unwrap_or_default()
    }
}

/// The worst step of the ladder that answers; `None`: nothing is answered.
fn rung_of(decided: &[FamilyDecision; 2], family: Family) -> Option<Rung> {
    decided[family.index()].leaves.iter().map(|leaf| leaf.rung).max()
}

/// Nothing is up.
fn is_dark(rung: Option<Rung>) -> bool {
    matches!(rung, None | Some(Rung::AllDown))
}

/// What part of its answers each kind of clients of a service gets; `None`: not known.
type Mixtures = HashMap<ServiceId, Option<Vec<f64>>>;

fn unknown_load() -> Load {
    Load { of_peak: 1.0, ..Load::default() }
}

fn parts(estate: &Estate, shares: Vec<(PoolId, f64)>) -> Vec<Part> {
    let part = |(pool, share): (PoolId, f64)| {
        let of = estate.pool(pool);
        Part { pool: of.name.clone(), region: estate.region(of.region).name.clone(), share }
    };
    shares.into_iter().map(part).collect()
}

/// Parts that are more than nothing.
fn real(parts: &[Part]) -> Vec<Part> {
    parts.iter().filter(|part| SAME < part.share).cloned().collect()
}

/// The same shares, in whatever order.
fn same(a: &[Part], b: &[Part]) -> bool {
    let of = |parts: &[Part], pool: &str| parts.iter().find(|part| *part.pool == *pool).map_or(0.0, |part| part.share);
    a.iter().chain(b).all(|part| (of(a, &part.pool) - of(b, &part.pool)).abs() <= SAME)
}

/// Each region once.
fn regions_of(parts: &[Part]) -> impl Iterator<Item = &Arc<str>> {
    let first = move |(at, part): &(usize, &Part)| !parts.iter().take(*at).any(|earlier| earlier.region == part.region);
    parts.iter().enumerate().filter(first).map(|(_, part)| &part.region)
}

/// The one that is strained more; of two alike the first.
fn keep_worse(worst: &mut Option<Overload>, one: Overload) {
    if worst.as_ref().is_none_or(|known| known.strain() < one.strain()) {
        *worst = Some(one);
    }
}

fn endpoints_of<'a>(estate: &'a Estate, falls: &'a [OverrideTarget]) -> impl Iterator<Item = EndpointId> + 'a {
    let pools: BTreeSet<PoolId> = (0..estate.pools.len())
        .map(PoolId::at)
        .filter(|pool| falls.iter().any(|fall| *fall == OverrideTarget::Pool(*pool) || *fall == OverrideTarget::Region(estate.pool(*pool).region)))
        .collect();
    let named = falls.iter().filter_map(|fall| if let OverrideTarget::Endpoint(endpoint) = fall { Some(*endpoint) } else { None });
    pools.into_iter().flat_map(|pool| &estate.pool(pool).endpoints).copied().chain(named)
}

/// Regions of which everything falls, in file order.
fn whole_regions(estate: &Estate, falls: &[OverrideTarget], fallen: &BTreeSet<EndpointId>) -> Vec<Arc<str>> {
    let mut standing: BTreeSet<RegionId> = BTreeSet::new();
    let mut touched: BTreeSet<RegionId> = BTreeSet::new();
    for (at, endpoint) in estate.endpoints.iter().enumerate().filter(|_| !falls.is_empty()) {
        let region = estate.pool(endpoint.pool).region;
        let _ = if fallen.contains(&EndpointId::at(at)) { touched.insert(region) } else { standing.insert(region) };
    }
    touched.difference(&standing).map(|region| estate.region(*region).name.clone()).collect()
}

/// Is all of `one` down when `fall` is?
pub(super) fn is_within(estate: &Estate, one: OverrideTarget, fall: OverrideTarget) -> bool {
    let pool_of = |endpoint: EndpointId| estate.endpoint(endpoint).pool;
    match (one, fall) {
        _ if one == fall => true,
        (OverrideTarget::Pool(pool), OverrideTarget::Region(region)) => estate.pool(pool).region == region,
        (OverrideTarget::Endpoint(endpoint), OverrideTarget::Pool(pool)) => pool_of(endpoint) == pool,
        (OverrideTarget::Endpoint(endpoint), OverrideTarget::Region(region)) => estate.pool(pool_of(endpoint)).region == region,
        _ => false,
    }
}

/// `a is`, `a, b are`.
pub(super) fn is(names: &[&str]) -> String {
    format!("{} {}", few(names), if names.len() == 1 { "is" } else { "are" })
}

pub(super) fn few(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
