//! One memory for all clients of a service, from the decisions for each of their trees.
//!
//! Holds are per service, pool and family (SEMANTICS, 11), whoever asks: a pool is held while some tree holds it. Clients for whom nothing else is up use it
//! nevertheless, on rung `held`; that ends nothing for those who have something better.
//!
//! The order that `one_way` makes of a failover is everybody's, too: it turns when the first child is lost for every kind of clients. While it is lost for
//! some alone, it comes back to them by time.

use crate::model::{Family, Node, PoolId};

use super::pool::pools_of;
use super::{Decision, Memory};

/// What to remember after `decisions`, one for each of `trees`; `order`: all pools of the policy, in file order.
pub(super) fn together(before: &Memory, decisions: &[Decision], trees: &[Node], order: &[PoolId], answers_in: &dyn Fn(&Node, Family) -> bool) -> Memory {
    let mut next = Memory::default();
    for decision in decisions {
        next.held.extend(&decision.memory.held);
        next.used.extend(&decision.memory.used);
        next.stages.extend(&decision.memory.stages);
    }
    // Time takes the same steps in every tree.
    next.stages.sort_unstable();
    next.stages.dedup();
    for holds in [&mut next.held, &mut next.used] {
        holds.sort_unstable();
        holds.dedup();
    }
    let of = |lists: &[Vec<PoolId>; 2], family: Family| lists.get(family.index()).cloned().unwrap_or_default();
    let in_order = |pools: &[PoolId]| -> Vec<PoolId> { order.iter().copied().filter(|pool| pools.contains(pool)).collect() };
    for family in Family::ALL {
        let answering = || decisions.iter().zip(trees).filter(|(_, tree)| answers_in(tree, family));
        let is_down = |decision: &Decision| decision.memory.all_down.get(family.index()).copied().unwrap_or(false);
        let all_down = answering().next().is_some() && answering().all(|(decision, _)| is_down(decision));
        let (last, fallen) = if all_down || answering().next().is_none() {
            (of(&before.last, family), of(&before.fallen, family))
        } else {
            let last: Vec<PoolId> =
                answering().filter(|(decision, _)| !is_down(decision)).flat_map(|(decision, _)| of(&decision.memory.last, family)).collect();
            let known = [of(&before.last, family), of(&before.fallen, family)].concat();
            let fallen = answering().filter(|(decision, _)| is_down(decision)).flat_map(|(_, tree)| pools_of(tree)).filter(|pool| known.contains(pool));
            (in_order(&last), in_order(&fallen.collect::<Vec<_>>()))
        };
        let firsts = || answering().filter(|(decision, _)| !is_down(decision)).filter_map(|(decision, _)| decision.memory.first.get(family.index()));
        let first = match firsts().next() {
            Some(first) if firsts().all(|other| other == first) => first.clone(),
            _ => before.first.get(family.index()).cloned().flatten(),
        };
        set(&mut next.first, family, first);
        set(&mut next.last, family, last);
        set(&mut next.fallen, family, fallen);
        set(&mut next.all_down, family, all_down);
    }
    next
}

fn set<T>(of: &mut [T; 2], family: Family, to: T) {
    if let Some(place) = of.get_mut(family.index()) {
        *place = to;
    }
}
