//! A reload, weighed by the guards that are in force before it: what it does to traffic must keep them as every other change must.
//!
//! The file that runs has the say, so a reload can't both take a guard away and do what that guard forbids. Weighed is every service that is there before
//! and after and whose shares or serving regions would change, on today's health. Not weighed: services that are new or gone (the file owns what exists),
//! and targets without a verdict, since nobody can probe what is not in the file yet: policy takes them for up, and so does this.
//!
//! Never here: taking the file ([`reload`](super::reload)).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::health::State;
use crate::model::{Estate, GuardKind, Node, Now, PoolId, ServiceId};
use crate::policy::{self, Facts, Memory};

use super::change::{Fault, Refusal, RefusalKind};
use super::confirm::CONFIRM_WITHIN;
use super::core::Core;
use super::event::{Configuration, Notice};
use super::guards::{self, Act, GuardFinding, Proposal, RegionChange};
use super::journal::Origin;
use super::kinds::Eyes;
use super::plan_guards::{Glass, in_tree, words};
use super::preview::family_of;
use super::services::{Decided, Rules, Shares};

/// Who wants a reload.
#[derive(Clone, Debug, Default)]
pub struct ReloadBy {
    /// `socket:root`, `token:ci`, `signal`.
    pub actor: String,
    /// From where.
    pub origin: Origin,
    /// Why; may be empty.
    pub reason: String,
    /// Guards that need not hold.
    pub break_glass: Vec<GuardKind>,
}

impl ReloadBy {
    /// SIGHUP.
    pub fn signal() -> Self {
        Self { actor: "signal".to_string(), ..Self::default() }
    }
}

/// A reload that breaks guards and waits for a second person who wants the same.
#[derive(Debug)]
pub(super) struct ReloadAsked {
    hash: Arc<str>,
    guards: Vec<GuardKind>,
    actor: String,
    /// `mono`
    ends: Duration,
}

/// Services with the same key are changed alike.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    rules: *const Rules,
    memory: *const Memory,
    decided: *const Decided,
    next: *const Rules,
}

/// One side of a reload: an estate, what is known in it, and a service there.
struct Side<'a> {
    estate: &'a Estate,
    facts: &'a Facts<'a>,
    service: ServiceId,
    tree: &'a Node,
    /// Effective shares.
    answered: Vec<(PoolId, f64)>,
}

impl Core {
    /// What the guards in force say to taking `next`; empty: it moves nothing that they look at.
    pub(super) fn weigh_reload(&self, next: &Configuration, now: Now) -> Vec<GuardFinding> {
        let (old, estate) = (&self.configuration.estate, &next.estate);
        let carried = self.carried_to(estate, now);
        let after = carried.facts(next);
        let eyes = Eyes::new(&self.configuration.clients, &next.clients);
        let limited = self.overrides.resolved.iter().filter_map(|limited| limited.services.as_ref()).flatten();
        let apart: HashSet<&str> = limited.map(|id| &*old.service(*id).name).collect();
        let known: HashMap<&str, ServiceId> = old.services.iter().enumerate().map(|(at, service)| (&*service.name, ServiceId::at(at))).collect();
        let (mut shares, mut places): (Shares, HashMap<Place, usize>) = Default::default();
        let mut found: Vec<(Vec<GuardFinding>, Vec<Arc<str>>)> = Vec::new();
        for (at, service) in estate.services.iter().enumerate() {
            let Some((was, state)) = known.get(&*service.name).and_then(|was| Some((*was, self.services.get(was.index())?))) else { continue };
            // Nothing was answered yet: nothing moves.
            let Some(decided) = &state.decided else { continue };
            let (tree, operators) = (self.tree_after(service, estate), self.traffic.get(&service.name).and_then(|(record, _)| record.form.as_ref()));
            let rules = match operators.filter(|_| !Arc::ptr_eq(&tree, &service.policy)) {
                Some(form) => shares.of_operator(service, form, &tree),
                None => shares.of_file(service),
            };
            let place = Place { rules: &*state.rules, memory: &*state.memory, decided: &**decided, next: &*rules };
            let own = apart.contains(&*service.name) || old.rules.names(&service.name);
            if let Some(at) = places.get(&place).filter(|_| !own).copied() {
                if let Some((_, services)) = found.get_mut(at) {
                    services.push(service.name.clone());
                }
                continue;
            }
            if !own {
                places.insert(place, found.len());
            }
            let memory = self.memory_after(service, Some(was), estate);
            let (family, facts) = (family_of(estate, after.health, service, &tree), self.facts());
            let decision = policy::decide(service, &tree, &after, &memory, now);
            let mut of_kinds = Vec::new();
            for kind in eyes.kinds(&decided.decision, &decision) {
                let (today, then) = (eyes.tree(&state.rules.tree, kind.before, old), eyes.tree_after(&tree, kind.after, estate));
                let answered = policy::effective(&decided.decision.of_class(kind.before).0[self.main_family(was).index()], &today);
                let before = Side { estate: old, facts: &facts, service: was, tree: &today, answered };
                let answered = policy::effective(&decision.of_class(kind.after).0[family.index()], &then);
                let after = Side { estate, facts: &after, service: ServiceId::at(at), tree: &then, answered };
                of_kinds.push((kind, self.reload_findings(&service.name, &before, &after, now)));
            }
            found.push((eyes.of_all(of_kinds), vec![service.name.clone()]));
        }
        guards::merge(found)
    }

    fn reload_findings(&self, service: &str, before: &Side<'_>, after: &Side<'_>, now: Now) -> Vec<GuardFinding> {
        let regions = regions_between(before, after);
        if !regions.iter().any(RegionChange::is_touched) {
            return Vec::new();
        }
        let proposal = Proposal {
            service,
            act: Act::Reload,
            automatic: false,
            reason: "",
            regions: &regions,
            now: now.wall,
            recent: 0,
            rate_free_at: None,
            gate_is_on: &|gate| self.gate_is_on(gate),
            partly: &super::plan_guards::whole,
        };
        guards::check(&self.configuration.estate.rules, &proposal)
    }

    /// Guards that stand in the way of a reload, as faults of a preview.
    pub(super) fn reload_faults(&self, next: &Configuration, now: Now) -> Vec<Fault> {
        let broken = self.weigh_reload(next, now).into_iter().filter(|finding| !finding.ok);
        let fault = |finding: GuardFinding| Fault {
            pointer: format!("/guards/{}", finding.guard.word()),
            code: finding.guard.word(),
            message: finding.message,
            hint: finding.way_on,
        };
        broken.map(fault).collect()
    }

    /// Lets a reload through, with what is to be told of it; or refuses it, every guard at once.
    pub(super) fn reload_through_guards(&mut self, next: &Configuration, by: &ReloadBy, now: Now) -> Result<Vec<Notice>, Refusal> {
        let findings = self.weigh_reload(next, now);
        if findings.iter().all(|finding| finding.ok) {
            return Ok(Vec::new());
        }
        let asked = self.reload_asked.as_ref();
        let same = |asked: &&ReloadAsked| {
            let guards = asked.guards.iter().all(|guard| by.break_glass.contains(guard)) && by.break_glass.iter().all(|guard| asked.guards.contains(guard));
            guards && asked.hash == next.hash && asked.actor != by.actor && now.mono < asked.ends
        };
        let first = asked.filter(same).map(|asked| asked.actor.clone());
        let glass = Glass { break_glass: &by.break_glass, reason: &by.reason, confirmed: first.is_some(), dry_run: false };
        let findings = match self.weighed(findings, &glass) {
            Ok(findings) => findings,
            Err(refusal) if refusal.kind == RefusalKind::ConfirmationNeeded => {
                self.reload_asked =
                    Some(ReloadAsked { hash: next.hash.clone(), guards: by.break_glass.clone(), actor: by.actor.clone(), ends: now.mono + CONFIRM_WITHIN });
                let (minutes, guards) = (CONFIRM_WITHIN.as_secs() / 60, words(&by.break_glass).join(","));
                let detail = format!(
                    "breaking the glass needs a second person with scope admin, who types within {minutes} minutes, while the file stays as it is: \
                     windrose reload --break-glass {guards} --reason \"…\"; nothing was changed yet"
                );
                return Err(Refusal { detail, ..refusal });
            }
            Err(refusal) => {
                let detail = format!("{}, the old configuration serves on; what it would do: windrose plan", refusal.detail);
                return Err(Refusal { detail, ..refusal });
            }
        };
        self.reload_asked = None;
        let broken: Vec<&GuardFinding> = findings.iter().filter(|finding| finding.overridden).collect();
        let guards = words(&broken.iter().map(|finding| finding.guard).collect::<Vec<_>>());
        let text = format!("guards overridden for reload: {}", sentences(broken));
        let actor = first.map_or_else(|| by.actor.clone(), |first| format!("{first}, confirmed by {}", by.actor));
        Ok(vec![Notice::GuardOverridden { guards, text, actor, reason: by.reason.clone() }])
    }
}

/// `max_step: prod moves by …; capacity: …`
pub(super) fn sentences<'a>(findings: impl IntoIterator<Item = &'a GuardFinding>) -> String {
    findings.into_iter().map(|finding| format!("{}: {}", finding.guard.word(), finding.message)).collect::<Vec<_>>().join("; ")
}

/// A service's regions before and after, by name: ids mean nothing beyond one estate.
fn regions_between(before: &Side<'_>, after: &Side<'_>) -> Vec<RegionChange> {
    let mut regions: BTreeMap<Arc<str>, RegionChange> = BTreeMap::new();
    let was: HashMap<Arc<str>, (f64, f64)> =
        pools_of(before).into_iter().map(|(pool, answered, desired)| (before.estate.pool(pool).name.clone(), (answered, desired))).collect();
    let mut place = |side: &Side<'_>, pool: PoolId, change: &mut dyn FnMut(&mut RegionChange)| {
        let name = &side.estate.region(side.estate.pool(pool).region).name;
        change(regions.entry(name.clone()).or_insert_with(|| RegionChange { name: name.clone(), ..RegionChange::default() }));
    };
    for (pool, answered, desired) in pools_of(before) {
        let can = in_tree(&policy::desired(before.tree), pool) && stand(before, pool) == Stand::Answers;
        place(before, pool, &mut |change| {
            change.before += answered;
            change.desired_before += desired;
            change.could |= can;
        });
    }
    for (pool, answered, desired) in pools_of(after) {
        let stands = stand(after, pool);
        let can = in_tree(&policy::desired(after.tree), pool) && stands == Stand::Answers;
        let name = &after.estate.pool(pool).name;
        let (answered_before, desired_before) = was.get(name).copied().unwrap_or_default();
        let gains = answered_before + 0.01 < answered || desired_before + 0.01 < desired;
        place(after, pool, &mut |change| {
            change.after += answered;
            change.desired_after += desired;
            change.can |= can;
            let why = match stands {
                Stand::Answers => return,
                Stand::Drained => "is drained",
                Stand::Outdated => "has data that is too old",
                Stand::Down => "is not up",
            };
            change.unfit.extend(gains.then(|| format!("{name} {why}")));
        });
    }
    regions.into_values().collect()
}

/// Every pool of a side with its shares of answers and of what is asked for, per cent.
fn pools_of(side: &Side<'_>) -> Vec<(PoolId, f64, f64)> {
    let desired = policy::desired(side.tree);
    let mut pools: Vec<PoolId> = side.answered.iter().chain(&desired).map(|(pool, _)| *pool).collect();
    pools.sort_unstable();
    pools.dedup();
    let share = |shares: &[(PoolId, f64)], pool| shares.iter().filter(|(of, _)| *of == pool).map(|(_, share)| share * 100.0).sum::<f64>();
    pools.into_iter().map(|pool| (pool, share(&side.answered, pool), share(&desired, pool))).collect()
}

/// How a pool stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Up, or without a verdict yet.
    Answers,
    Drained,
    /// Its data is too old.
    Outdated,
    Down,
}

fn stand(side: &Side<'_>, pool: PoolId) -> Stand {
    let child = policy::child_state(side.facts, Some(side.service), &Node::Pool(pool));
    match child.state {
        State::Down => Stand::Down,
        _ if child.drained => Stand::Drained,
        _ if child.outdated => Stand::Outdated,
        _ => Stand::Answers,
    }
}
