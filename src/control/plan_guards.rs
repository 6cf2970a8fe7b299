//! What a change would do, weighed by the guards: shares and takers before and after, findings, refusals and broken glass.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::client::Questions;
use crate::health::State;
use crate::model::{Estate, Family, GuardKind, Node, Now, PoolId, RegionId, ServiceId, Timestamp};
use crate::policy::{self, ChildState, Decision, Facts, Memory};

use super::change::{Actor, Move, Refusal, RefusalKind, Taker};
use super::commits::Waiting;
use super::core::Core;
use super::event::Notice;
use super::guards::{self, Act, GuardFinding, Proposal, RATE_WINDOW, RegionChange};
use super::kinds::{self, Eyes, Kind, KindMove, Shown};
use super::overrides::Overrides;
use super::plan::{Imagined, Plan};
use super::record::{Expect, Key, Op, OverrideTargetName, OverrideWord, Record};
use super::services::{Decided, Rules, ServiceState};

/// Changes of one service that are remembered for `rate`.
const RECENT_MAX: usize = 1_000;

/// What a change is, beside what it does.
pub(super) struct Deed<'a> {
    pub act: Act,
    /// All services that it touches.
    pub imagined: &'a [Imagined],
    /// Overrides as they would be.
    pub overrides: &'a Overrides,
    /// Show also services whose shares stay.
    pub all: bool,
    /// A command that goes a fraction of the way.
    pub partly: &'a dyn Fn(f64) -> Option<String>,
}

/// No command goes a part of the way.
pub(super) fn whole(_: f64) -> Option<String> {
    None
}

/// Guards that need not hold, and whether that is said as it must be.
pub(super) struct Glass<'a> {
    pub break_glass: &'a [GuardKind],
    pub reason: &'a str,
    /// A second person has said so, too.
    pub confirmed: bool,
    pub dry_run: bool,
}

impl<'a> Glass<'a> {
    fn of(waiting: &'a Waiting) -> Self {
        Self { break_glass: &waiting.break_glass, reason: &waiting.reason, confirmed: waiting.confirmed, dry_run: waiting.dry_run }
    }
}

/// Shares by pool, 0 to 1.
type PoolShares = Vec<(PoolId, f64)>;

/// What a change does to a service, and to all that are in its place.
struct Weighed {
    before: PoolShares,
    after: PoolShares,
    /// Clients who fare otherwise.
    kinds: Vec<KindMove>,
    findings: Vec<GuardFinding>,
    /// Services that this is true of.
    services: Vec<ServiceId>,
}

/// Services with the same key are changed alike.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    rules: *const Rules,
    memory: *const Memory,
    decided: Option<*const Decided>,
}

impl Core {
    /// Completes a plan by what it does, or refuses it: every guard that stands in the way at once.
    pub(super) fn through_guards(&self, mut plan: Plan, deed: &Deed<'_>, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let estate = &self.configuration.estate;
        let weighed = self.weigh(deed, waiting, now);
        let mut moves: Vec<Move> = Vec::new();
        for one in weighed.iter().filter(|one| deed.all || one.before != one.after || !one.kinds.is_empty()) {
            let shares = |shares: &[(PoolId, f64)]| shares.iter().map(|(pool, share)| (estate.pool(*pool).name.clone(), *share)).collect::<Vec<_>>();
            let (before, after) = (shares(&one.before), shares(&one.after));
            let of = |service: &ServiceId| Move {
                service: *service,
                name: estate.service(*service).name.clone(),
                before: before.clone(),
                after: after.clone(),
                by_client: one.kinds.clone(),
            };
            moves.extend(one.services.iter().map(of));
        }
        moves.sort_by_key(|change| change.service);
        plan.applied.takers = self.takers(&weighed, now);
        plan.applied.messages.extend(self.overloads(&weighed));
        plan.applied.clients_follow_by = now.wall.plus(self.longest_ttl(moves.iter().map(|change| change.service)));
        plan.applied.moves = moves;
        plan.rated = weighed
            .iter()
            .flat_map(|one| &one.services)
            .map(|id| &estate.service(*id).name)
            .filter(|name| estate.rules.rate(name).0.is_some())
            .cloned()
            .collect();
        let names = |one: &Weighed| one.services.iter().map(|id| estate.service(*id).name.clone()).collect();
        let found = weighed.into_iter().map(|one| (one.findings.clone(), names(&one))).collect();
        let findings = self.weighed(guards::merge(found), &Glass::of(waiting))?;
        let overridden: Vec<GuardKind> = findings.iter().filter(|finding| finding.overridden).map(|finding| finding.guard).collect();
        if !overridden.is_empty() {
            let Actor(actor) = &waiting.actor;
            let broken: Vec<&GuardFinding> = findings.iter().filter(|finding| finding.overridden).collect();
            let sentences = broken.iter().map(|finding| format!("{}: {}", finding.guard.word(), finding.message)).collect::<Vec<_>>().join("; ");
            let text = format!("guards overridden for {}: {sentences}", deed.act.word());
            plan.notices.push(Notice::GuardOverridden { guards: words(&overridden), text, actor: actor.clone(), reason: waiting.reason.clone() });
            for op in &mut plan.ops {
                match op {
                    Op::Put(_, Record::History(history)) => history.overridden = words(&overridden),
                    Op::Put(_, Record::Override(record)) => record.overridden = words(&overridden),
                    _ => (),
                }
            }
        }
        plan.applied.guards = findings;
        self.expect_what_was_weighed(&mut plan, now);
        Ok(plan)
    }

    /// Guards look at overrides, traffic and gates together: what they saw must still be all there is when this is written (SEMANTICS, 19). One key stands
    /// for all of it, since an override that somebody else begins meanwhile is a key that nobody here knows.
    pub(super) fn expect_what_was_weighed(&self, plan: &mut Plan, now: Now) {
        if plan.ops.is_empty() {
            return;
        }
        plan.expect.push((Key::LastChange, self.last_change.map_or(Expect::Absent, Expect::At)));
        plan.ops.push(Op::Put(Key::LastChange, Record::LastChange(now.wall)));
    }

    /// Broken glass applied; a refusal if anything is left in the way.
    pub(super) fn weighed(&self, mut findings: Vec<GuardFinding>, glass: &Glass<'_>) -> Result<Vec<GuardFinding>, Refusal> {
        for finding in findings.iter_mut().filter(|finding| !finding.ok) {
            finding.overridden = glass.break_glass.contains(&finding.guard);
        }
        if !glass.break_glass.is_empty()
            && glass.reason.trim().is_empty()
            && findings.iter().all(|finding| finding.ok || finding.guard != GuardKind::RequireReason)
        {
            findings.push(GuardFinding {
                guard: GuardKind::RequireReason,
                ok: false,
                overridden: false,
                value: None,
                limit: None,
                services: Vec::new(),
                message: "breaking the glass needs a reason".to_string(),
                way_on: "--reason \"…\"".to_string(),
            });
        }
        let blocking: Vec<GuardFinding> = findings.iter().filter(|finding| !finding.ok && !finding.overridden).cloned().collect();
        if !blocking.is_empty() {
            let detail = match blocking.len() {
                1 => "1 guard stands in the way; nothing was changed".to_string(),
                many => format!("{many} guards stand in the way; nothing was changed"),
            };
            return Err(Refusal { guards: blocking, ..Refusal::new(RefusalKind::GuardRefused, detail) });
        }
        let broken = findings.iter().any(|finding| finding.overridden);
        if broken && self.configuration.estate.rules.break_glass_confirm && !glass.confirmed && !glass.dry_run {
            let guards = findings.into_iter().filter(|finding| finding.overridden).collect();
            return Err(Refusal { guards, ..Refusal::new(RefusalKind::ConfirmationNeeded, "breaking the glass needs a second person") });
        }
        Ok(findings)
    }

    fn weigh(&self, deed: &Deed<'_>, waiting: &Waiting, now: Now) -> Vec<Weighed> {
        let estate = &self.configuration.estate;
        let clients = waiting.clients.as_ref().unwrap_or(&self.configuration.clients);
        let facts = Facts { overrides: &deed.overrides.resolved, clients, ..self.facts() };
        let limited = |overrides: &Overrides| overrides.resolved.iter().filter_map(|limited| limited.services.clone()).flatten().collect::<Vec<_>>();
        let apart: HashSet<ServiceId> = limited(&self.overrides).into_iter().chain(limited(deed.overrides)).collect();
        let mut places: HashMap<Place, usize> = HashMap::new();
        let mut weighed: Vec<Weighed> = Vec::new();
        for imagined in deed.imagined {
            let service = imagined.service;
            let state = self.services.get(service.index());
            let own_time = |state: &ServiceState| state.rules.failback.is_scattered() && !state.memory.held.is_empty();
            let state = state.filter(|state| !own_time(state));
            let place = state.filter(|_| imagined.as_is && !apart.contains(&service) && !estate.rules.names(&estate.service(service).name));
            let place = place.map(|state| Place { rules: &*state.rules, memory: &*state.memory, decided: state.decided.as_ref().map(Arc::as_ptr) });
            if let Some(known) = place.as_ref().and_then(|place| places.get(place)).and_then(|at| weighed.get_mut(*at)) {
                known.services.push(service);
                continue;
            }
            if let Some(place) = place {
                places.insert(place, weighed.len());
            }
            weighed.push(self.weigh_one(imagined, deed, &facts, waiting, now));
        }
        weighed
    }

    fn weigh_one(&self, imagined: &Imagined, deed: &Deed<'_>, facts: &Facts<'_>, waiting: &Waiting, now: Now) -> Weighed {
        let estate = &self.configuration.estate;
        let Imagined { service, tree, memory, as_is: _ } = imagined;
        let (view, family) = (self.service(*service), self.main_family(*service));
        let clients = facts.clients;
        // Told apart anew, but for a look: what is decided counts classes by the old numbers.
        let renumbered;
        let old_decision = match &waiting.clients {
            None => view.decision,
            Some(_) => {
                let counterparts = clients.counterparts(&self.configuration.clients, &Questions::of_tree(view.policy, estate));
                renumbered = view.decision.renumbered(&counterparts, || {
                    let facts = Facts { clients, ..self.facts() };
                    policy::decide(view.service, view.policy, &facts, &self.service_memory(*service), now)
                });
                &renumbered
            }
        };
        // What only keeps things as they are moves nothing.
        let decision = if deed.act.keeps() { old_decision.clone() } else { policy::decide(view.service, tree, facts, memory, now) };
        let before = policy::effective(&old_decision.families[family.index()], view.policy);
        let after = policy::effective(&decision.families[family.index()], tree);
        let sight = Sight { before: &self.facts(), after: facts, service: *service };
        let name = &view.service.name;
        let (recent, rate_free_at) = self.recent_changes(name, now);
        let check = |regions: &[RegionChange]| {
            let proposal = Proposal {
                service: name,
                act: deed.act,
                automatic: false,
                reason: &waiting.reason,
                regions,
                now: now.wall,
                recent,
                rate_free_at,
                gate_is_on: &|gate| self.gate_is_on(gate),
                partly: deed.partly,
            };
            guards::check(&estate.rules, &proposal)
        };
        // What is harmless for most clients may take away all that others have.
        let eyes = Eyes::new(clients, clients);
        let (mut found, mut shown) = (Vec::new(), Vec::new());
        for kind in eyes.kinds(old_decision, &decision) {
            let class = kind.after;
            let (old, new) = (policy::tailor(view.policy, clients, class, estate), policy::tailor(tree, clients, class, estate));
            let shares = |decision: &Decision, tree: &Node| policy::effective(&decision.of_class(class).0[family.index()], tree);
            let (before, after) = (shares(old_decision, &old), shares(&decision, &new));
            found.push((kind, check(&self.region_changes(&sight, (&old, &before), (&new, &after)))));
            shown.push((kind, before, after));
        }
        let findings = eyes.of_all(found);
        let kinds = self.kinds_moved(&eyes, &shown);
        Weighed { before, after, kinds, findings, services: vec![*service] }
    }

    /// What kinds of clients get who fare otherwise than those of whom nothing is known.
    fn kinds_moved(&self, eyes: &Eyes<'_>, shown: &[(Kind, PoolShares, PoolShares)]) -> Vec<KindMove> {
        if shown.len() < 2 {
            return Vec::new();
        }
        let named = |shares: &PoolShares| shares.iter().map(|(pool, share)| (self.configuration.estate.pool(*pool).name.clone(), *share)).collect();
        kinds::listed(eyes, shown.iter().map(|(kind, before, after)| Shown { kind: *kind, part: None, before: named(before), after: named(after) }).collect())
    }

    /// A service's regions before and after, by what policies ask for, what is answered, and who could answer.
    pub(super) fn region_changes(
        &self,
        sight: &Sight<'_>,
        (old, before): (&Node, &[(PoolId, f64)]),
        (new, after): (&Node, &[(PoolId, f64)]),
    ) -> Vec<RegionChange> {
        let estate = &self.configuration.estate;
        let mut regions: BTreeMap<usize, RegionChange> = BTreeMap::new();
        let (desired_before, desired_after) = (policy::desired(old), policy::desired(new));
        let mut pools: Vec<PoolId> = Vec::new();
        for (pool, _) in before.iter().chain(after).chain(&desired_before).chain(&desired_after) {
            if !pools.contains(pool) {
                pools.push(*pool);
            }
        }
        for pool in pools {
            let share = |shares: &[(PoolId, f64)]| shares.iter().filter(|(of, _)| *of == pool).map(|(_, share)| share * 100.0).sum::<f64>();
            let region = estate.pool(pool).region;
            let change = regions.entry(region.index()).or_insert_with(|| RegionChange { name: estate.region(region).name.clone(), ..RegionChange::default() });
            let [was, is, asked_before, asked_after] = [before, after, &desired_before, &desired_after].map(share);
            change.before += was;
            change.after += is;
            change.desired_before += asked_before;
            change.desired_after += asked_after;
            let node = Node::Pool(pool);
            let stands = policy::child_state(sight.after, Some(sight.service), &node);
            let stood = policy::child_state(sight.before, Some(sight.service), &node);
            // Whose data is too old may answer all the same, while nobody else does: what counts is that it does.
            let stays = |state: &ChildState, share: f64| state.is_usable() || 0.0 < share && state.outdated && !state.drained;
            change.could |= in_tree(&desired_before, pool) && stays(&stood, was);
            change.can |= in_tree(&desired_after, pool) && stays(&stands, is);
            if !stands.is_usable() {
                let name = &estate.pool(pool).name;
                change.back = change.back.take().or_else(|| self.way_back(estate, pool));
                if was + 0.01 < is || asked_before + 0.01 < asked_after {
                    let why = match stands.state {
                        State::Up if stands.outdated => "has data that is too old",
                        State::Up => "is drained",
                        State::Down => "is not up",
                        State::Unknown => "has no verdict yet",
                    };
                    change.unfit.push(format!("{name} {why}"));
                }
            }
        }
        regions.into_values().collect()
    }

    /// What ends the override that takes a pool away.
    fn way_back(&self, estate: &Estate, pool: PoolId) -> Option<String> {
        let of = estate.pool(pool);
        let region = &estate.region(of.region).name;
        self.overrides.kept.values().find_map(|kept| {
            let verb = match kept.record.kind {
                OverrideWord::Drain => "undrain",
                OverrideWord::ForceDown => "unforce",
                OverrideWord::ForceUp | OverrideWord::Freeze | OverrideWord::Approve => return None,
            };
            // Patterns are quoted for the shell.
            match &kept.record.target {
                target if !target.covers_pool(estate, pool) => None,
                OverrideTargetName::Region(name) if name == region => Some(format!("windrose {verb} region {name}")),
                OverrideTargetName::Region(pattern) => Some(format!("windrose {verb} region '{pattern}'")),
                OverrideTargetName::Pool(name) if *name == of.name => Some(format!("windrose {verb} pool {name}")),
                OverrideTargetName::Pool(pattern) => Some(format!("windrose {verb} pool '{pattern}'")),
                _ => None,
            }
        })
    }

    /// Regions that gain, and then have more of a service than they declare to carry: the worst service of each, one sentence.
    fn overloads(&self, weighed: &[Weighed]) -> Vec<String> {
        let estate = &self.configuration.estate;
        let mut worst: BTreeMap<&Arc<str>, (f64, String)> = BTreeMap::new();
        for one in weighed {
            let Some(service) = one.services.first().map(|id| &estate.service(*id).name) else { continue };
            let (before, after) = (region_shares(estate, &one.before), region_shares(estate, &one.after));
            for (region, share) in after {
                let name = &estate.region(region).name;
                let Some(limit) = estate.rules.capacity.get(name).and_then(|capacity| capacity.of(service)).map(f64::from) else { continue };
                let over = share * 100.0 - limit;
                let gains = before.get(&region).copied().unwrap_or(0.0) + 1e-4 < share;
                if !gains || over <= 0.01 || worst.get(name).is_some_and(|(known, _)| over <= *known) {
                    continue;
                }
                let others = if one.services.len() == 1 { String::new() } else { format!(" and {} more", one.services.len() - 1) };
                let share = (share * 1000.0).round() / 10.0;
                worst.insert(
                    name,
                    (over, format!("{name} would carry {share} % of {service}{others}, and declares {limit} % of its peak: it may be overloaded")),
                );
            }
        }
        worst.into_values().map(|(_, text)| text).collect()
    }

    /// Pools that gain, for some clients at least, with how long they have been up.
    fn takers(&self, weighed: &[Weighed], now: Now) -> Vec<Taker> {
        let estate = &self.configuration.estate;
        let mut takers: BTreeMap<PoolId, Taker> = BTreeMap::new();
        for one in weighed {
            let mut gains: BTreeMap<PoolId, f64> = BTreeMap::new();
            let of_pools = |shares: &[(Arc<str>, f64)]| shares.iter().filter_map(|(pool, share)| Some((estate.pool_named(pool)?, *share))).collect::<Vec<_>>();
            let kinds = one.kinds.iter().map(|kind| (of_pools(&kind.before), of_pools(&kind.after)));
            for (before, after) in std::iter::once((one.before.clone(), one.after.clone())).chain(kinds) {
                for (pool, share) in after {
                    let before = before.iter().find(|(of, _)| *of == pool).map_or(0.0, |(_, share)| *share);
                    if before + 1e-4 < share {
                        let gains = gains.entry(pool).or_default();
                        *gains = gains.max(share);
                    }
                }
            }
            for (pool, share) in &gains {
                let (of, region) = (estate.pool(*pool), &estate.region(estate.pool(*pool).region).name);
                let capacity = one.services.first().and_then(|id| estate.rules.capacity(&estate.service(*id).name, region).0);
                let taker = takers.entry(*pool).or_insert_with(|| {
                    let up_since = Family::ALL.into_iter().filter_map(|family| self.health.pool(*pool, family).up_since).min();
                    let up_for = up_since.map(|since| Duration::from_secs(now.mono.saturating_sub(since).as_secs()));
                    Taker { pool: of.name.clone(), region: region.clone(), up_for, services: 0, share: 0.0, capacity: None }
                });
                taker.services += one.services.len();
                taker.share = taker.share.max(*share);
                taker.capacity = [taker.capacity, capacity].into_iter().flatten().min();
            }
        }
        takers.into_values().collect()
    }

    /// Changes of a service in the last hour, and when the oldest of them is an hour old.
    fn recent_changes(&self, service: &str, now: Now) -> (u32, Option<Timestamp>) {
        let ends = self.recent.get(service).into_iter().flatten().filter(|end| now.mono < **end);
        let count = u32::try_from(ends.clone().count()).unwrap_or(u32::MAX);
        (count, ends.min().map(|end| now.wall.plus(end.saturating_sub(now.mono))))
    }

    /// A change was made.
    pub(super) fn count_changes(&mut self, services: Vec<Arc<str>>, now: Now) {
        for service in services {
            let recent = self.recent.entry(service).or_default();
            recent.retain(|end| now.mono < *end);
            if recent.len() < RECENT_MAX {
                recent.push_back(now.mono + RATE_WINDOW);
            }
        }
    }

    /// What history says of the last hour counts after a restart, too.
    pub(super) fn recall_changes(&mut self, now: Now) {
        for (service, entries) in &self.history {
            for (_, history) in entries.values() {
                let age = now.wall.since(history.at);
                if age < RATE_WINDOW && history.at <= now.wall {
                    self.recent.entry(service.clone()).or_default().push_back(now.mono + (RATE_WINDOW - age));
                }
            }
        }
    }
}

/// The same service before and after.
pub(super) struct Sight<'a> {
    pub before: &'a Facts<'a>,
    pub after: &'a Facts<'a>,
    pub service: ServiceId,
}

/// Desired shares list every pool of a tree.
pub(super) fn in_tree(desired: &[(PoolId, f64)], pool: PoolId) -> bool {
    desired.iter().any(|(of, _)| *of == pool)
}

pub(super) fn words(guards: &[GuardKind]) -> Vec<String> {
    let mut words: Vec<String> = guards.iter().map(|guard| guard.word().to_string()).collect();
    words.dedup();
    words
}

/// Shares by region.
fn region_shares(estate: &Estate, shares: &[(PoolId, f64)]) -> BTreeMap<RegionId, f64> {
    let mut regions: BTreeMap<RegionId, f64> = BTreeMap::new();
    for (pool, share) in shares {
        *regions.entry(estate.pool(*pool).region).or_default() += share;
    }
    regions
}
