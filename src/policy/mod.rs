//! From facts to a decision, with its trace. The only decider: serving samples from its result, explain prints it, a dry run compares two of them.
//!
//! Pure: `decide(service, policy, facts, memory, now)` gives the same for the same arguments (SEMANTICS, 1 to 11).
//! Never here: measuring, probing, sockets, randomness.
//!
//! ```text
//!  health ─▶ effective (overrides) ─▶ pool (up? who serves?) ─▶ hold (who waits?) ─▶ ladder ─▶ Decision + next Memory
//!                                                                                     │ each rung
//!                                                                                     └─ tree (failover, weighted, multivalue)
//!  client classes ─▶ tailor (geo, nearest, latency ─▶ in order): one such run for each tree that comes out
//! ```
//!
//! Beside it: [`shares`](desired) (asked for, answered), [`view`](pool_view) (one pool or endpoint for people), [`edit`] (forms that `split` and `failover` make).

mod decision;
pub mod edit;
mod effective;
mod facts;
mod forecast;
mod hold;
mod hosts;
mod ladder;
mod note;
mod order;
mod pool;
mod region;
mod remember;
mod requires;
mod shares;
mod shed;
mod soon;
mod sticky;
mod tailor;
mod tell;
mod tree;
mod view;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod tests;

pub use decision::{ByClient, Decision, FamilyDecision, Leaf, Rung, Variant, Verdict};
pub use facts::{Crowded, Facts, Hold, Memory, Override, OverrideKind, OverrideTarget, Reach, Stage};
pub use forecast::Forecast;
pub use hold::{hold_ends, hold_moves};
pub use hosts::readdressed;
pub use note::Note;
pub use order::{leads, ordered};
pub use region::{RegionState, region_state};
pub use requires::{Required, lacking, required};
pub use shares::{child_shares, desired, desired_with, effective};
pub use soon::{NO_PLANS, Planned, Plans};
pub use sticky::{Keeper, Turn, TurnBy, key as sticky_key};
pub use tailor::{tailor, too_many_variants};
pub use tell::Step;
pub use view::{ChildState, EndpointView, PoolView, child_named, child_state, endpoint_view, node_name, pool_view};

use crate::client::ClassId;
use crate::model::{AllDown, Answering, Family, Node, Now, PoolId, Service, Sticky};

use effective::Effective;
use hold::{Holds, Pace};
use ladder::{Climbed, Ladder};
use pool::Pools;
use tailor::Variants;
use tell::{Tell, Teller};

/// Decides what `service` answers, by `policy` (the operators' tree, or the file's).
///
/// Deciding again with the decision's own next memory at the same moment gives the same decision.
pub fn decide(service: &Service, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now) -> Decision {
    explain_with(service, Pace::of(service), policy, facts, memory, now, None)
}

/// [`decide`], but no hold ends by its time and no step is taken: something else says that it is not yet time.
pub fn decide_holding(service: &Service, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now) -> Decision {
    explain_with(service, Pace { stands: true, ..Pace::of(service) }, policy, facts, memory, now, None)
}

/// [`decide`], telling each step. The steps' texts are made only when `tell` calls the closure that it is handed.
pub fn explain(service: &Service, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now, tell: &mut Tell<'_>) -> Decision {
    explain_for(service, policy, facts, memory, now, ClassId::UNKNOWN, tell)
}

/// [`explain`] for the clients of a class. The decision is the same, whole one.
pub fn explain_for(service: &Service, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now, class: ClassId, tell: &mut Tell<'_>) -> Decision {
    explain_with(service, Pace::of(service), policy, facts, memory, now, Some((class, tell)))
}

#[allow(clippy::too_many_arguments, reason = "what is decided, from what, and who listens")]
fn explain_with(
    service: &Service,
    pace: Pace<'_>,
    policy: &Node,
    facts: &Facts<'_>,
    memory: &Memory,
    now: Now,
    listener: Option<(ClassId, &mut Tell<'_>)>,
) -> Decision {
    if !policy.asks_about_clients() {
        return match listener {
            Some((_, tell)) => explain_tree(service, pace, policy, facts, memory, now, tell),
            None => explain_tree(service, pace, policy, facts, memory, now, &mut |_| ()),
        };
    }
    let Variants { trees, of_class } = Variants::of(policy, facts.clients, facts.estate);
    let answers_in = |tree: &Node, family| answers_in(service, facts, &pool::pools_of(tree), family);
    let (order, mut next) = (pool::pools_of(policy), memory.clone());
    let mut decisions = Vec::new();
    // What some clients use and others still hold shows only when all have decided: until nobody learns anything new.
    for _ in 0..SETTLES_MAX {
        decisions = trees.iter().map(|tree| explain_tree(service, pace, tree, facts, &next, now, &mut |_| ())).collect();
        let learned = remember::together(&next, &decisions, &trees, &order, &answers_in);
        if learned == next {
            break;
        }
        next = learned;
    }
    if let Some((class, tell)) = listener {
        tailor::tell(policy, facts.clients, class, facts.estate, tell);
        let told = of_class.get(class.0 as usize).copied().unwrap_or(0);
        if let Some(tree) = trees.get(usize::from(told)) {
            explain_tree(service, pace, tree, facts, &next, now, tell);
        }
    }
    let wake_at = decisions.iter().filter_map(|decision| decision.wake_at).min();
    let sticky = decisions.iter().find_map(|decision| decision.sticky);
    let mut decisions = decisions.into_iter();
    let first = decisions.next().unwrap_or_default();
    let variants = decisions.map(|Decision { families, ttl, notes, .. }| Variant { families, ttl, notes }).collect();
    Decision { memory: next, sticky, wake_at, by_client: Some(Box::new(ByClient { of_class: of_class.into(), variants })), ..first }
}

/// For a tree that asks nothing about clients.
fn explain_tree(service: &Service, pace: Pace<'_>, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now, tell: &mut Tell<'_>) -> Decision {
    if facts.outdated.is_empty() {
        return decide_once(service, pace, policy, facts, memory, now, tell);
    }
    // Whose data is too old stays while nobody else answers, so who answers decides who may.
    let mut memory = memory.clone();
    for _ in 0..SETTLES_MAX {
        let next = decide_once(service, pace, policy, facts, &memory, now, &mut |_| ());
        if next.memory.last == memory.last {
            break;
        }
        memory = next.memory;
    }
    decide_once(service, pace, policy, facts, &memory, now, tell)
}

/// So often who answers may change who may: each time the set of those who stay grows smaller.
const SETTLES_MAX: usize = 4;

fn decide_once(service: &Service, pace: Pace<'_>, policy: &Node, facts: &Facts<'_>, memory: &Memory, now: Now, tell: &mut Tell<'_>) -> Decision {
    let effective = Effective::of(facts, service);
    let tree = pool::pools_of(policy);
    let answers_in = |family| answers_in(service, facts, &tree, family);
    let both = Family::ALL.into_iter().all(answers_in);

    let answered: Vec<PoolId> = memory.last.iter().flatten().copied().collect();

    let memory_of_before = Memory { last: memory.last.clone(), first: memory.first.clone(), ..Memory::default() };
    let mut decision = Decision { memory: memory_of_before, sticky: service.sticky, by_name: effective.by_name, ..Decision::default() };
    let mut lowest = Rung::Policy;
    let remembered = decision.memory.last.iter_mut().zip(&mut decision.memory.first).zip(&mut decision.memory.all_down);
    for (family, (decided, ((last, first), all_down))) in Family::ALL.into_iter().zip(decision.families.iter_mut().zip(remembered)) {
        if !answers_in(family) {
            continue;
        }
        let mut pools = Pools::new(&effective, &tree, family);
        pools.hold_back(&effective, &answered);
        let pools = pools;
        let mut holds = Holds::review(pace, &pools, memory, now);
        let before = holds.held.clone();
        let written = policy;
        let policy = &*ordered(facts.estate, pace.failback, written, first.as_deref());
        let fallen = memory.fallen.get(family.index()).map(|fallen| &fallen[..]).unwrap_or_default();
        let ladder = Ladder { service, policy, trickle: pace.trickle, effective: &effective, pools: &pools, last, fallen };
        let Climbed { decision: climbed, rung, given } = ladder.climb(&mut holds);

        let mut teller = Teller { tell, effective: &effective, service, pools: &pools, both_families: both };
        teller.pools();
        teller.holds(&holds, &before, now);
        teller.policy(policy, (policy != written).then_some(written));
        teller.sheds(&given);
        teller.answers(&climbed, rung);

        *all_down = rung == Rung::AllDown;
        if !*all_down {
            *last = answering(&climbed, &tree);
            *first = order::next_first(facts.estate, pace.failback, (written, policy), (&holds, &pools), &climbed);
        }
        decision.notes[family.index()] = note::note(service, &effective, &pools, &holds, &climbed, rung);
        // What is shed by client goes by who asks, as with sticky services.
        if decision.sticky.is_none() && climbed.leaves.iter().any(|leaf| !leaf.ways.is_empty()) {
            decision.sticky = Some(Sticky::default());
        }
        *decided = climbed;
        lowest = lowest.max(rung);
        let hold = |pool: &PoolId| Hold { pool: *pool, family };
        decision.memory.held.extend(holds.held.iter().map(hold));
        decision.memory.used.extend(holds.used.iter().map(hold));
        decision.memory.stages.extend(&holds.stages);
        decision.wake_at = decision.wake_at.into_iter().chain(holds.wake_at(&pools)).min();
    }
    decision.memory.held.sort_unstable();
    decision.memory.used.sort_unstable();
    decision.memory.stages.sort_unstable();
    decision.ttl = if lowest == Rung::AllDown { service.ttl.min(service.ttl_min) } else { service.ttl };
    let soon = if lowest == Rung::AllDown { None } else { soon::lower(&mut decision, &effective, service, policy, now) };
    let record = hosts::shortest(&decision, facts).filter(|record| record.ttl < decision.ttl);
    if let Some(record) = &record {
        decision.ttl = decision.ttl.min(record.ttl.max(service.ttl_min));
    }
    tell::ttl(tell, service, &decision, lowest, soon.map(|soon| soon.text(&effective, now)), record.map(|record| record.text(facts.estate)));
    decision
}

/// Has anything that may answer an address of this family? If not, the family is NODATA and nothing is decided for it. A name that was never resolved
/// may have one: where nothing else answers that is SERVFAIL, because resolvers would keep NODATA. Services that answer
/// with host names are decided once, as IPv4.
fn answers_in(service: &Service, facts: &Facts<'_>, tree: &[PoolId], family: Family) -> bool {
    let last_resort = match service.when_all_down {
        AllDown::Pool(pool) => Some(pool),
        _ => None,
    };
    if service.answer == Answering::Cname {
        return family == Family::V4;
    }
    let health = facts.health;
    tree.iter().chain(&last_resort).any(|pool| health.pool_has(facts.estate, *pool, family) || health.has_unresolved(facts.estate, *pool))
}

/// The pools that a decision answers with, each once, in file order.
fn answering(decision: &FamilyDecision, tree: &[PoolId]) -> Vec<PoolId> {
    tree.iter().copied().filter(|pool| decision.leaves.iter().any(|leaf| leaf.pools.contains(pool))).collect()
}
