//! Who takes what a pool over its load gives away (`shed`).
//!
//! ```text
//! weighted prod=80 dr=20 spare=0       prod sheds 30 %      ─▶ prod 56, dr 44           its share of a node goes to the others of that node,
//! failover prod dr spare               prod sheds 30 %      ─▶ prod 70, dr 30           as the node would choose without it
//! failover prod dr spare               prod and dr shed     ─▶ prod 70, spare 30        who is full takes nothing
//! failover prod dr                     prod and dr shed     ─▶ prod 100                 nobody takes it: it stays
//! ```
//!
//! What no child of the node takes goes on to the node above it. Everybody else keeps exactly what it has: what is shed is answered elsewhere, nothing else moves.
//! A multivalue leaves a pool out of so many of its answers; where only full ones would be left in it, the whole answer goes elsewhere.
//!
//! Never here: when a pool sheds (`control` says), or who is up.

use crate::model::{Node, PoolId, ShedBy};

use super::Facts;
use super::sticky::{self, Turn, TurnBy};
use super::tree::{Admission, Keys, Way};

/// Which pools give away a part of what they get, and which may take it.
#[derive(Clone, Copy)]
pub(super) struct Sheds<'a> {
    pub(super) gives: &'a dyn Fn(PoolId) -> Option<Gives>,
    pub(super) takes: &'a dyn Fn(PoolId) -> bool,
}

/// What a pool gives away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gives {
    /// Of what it gets: more than 0, less than 1.
    pub(super) share: f64,
    pub(super) by: ShedBy,
}

/// What a pool of the tree gives away now; `None`: nothing.
pub(super) fn gives(facts: &Facts<'_>, pool: PoolId) -> Option<Gives> {
    let shed = facts.estate.pool(pool).shed.filter(|_| facts.crowded.get(&pool).is_some_and(|crowded| crowded.sheds))?;
    let share = shed.share.percent() / 100.0;
    (0.0 < share && share < 1.0).then_some(Gives { share, by: shed.by })
}

/// A part of what some pools would get.
pub(super) struct Taken<'w> {
    pub(super) pools: Vec<PoolId>,
    pub(super) way: Way<'w>,
    /// Not they get it, but others that this node chooses.
    pub(super) from: Option<&'w Node>,
}

/// Tells the choice of what is shed from all others.
const SHED: u64 = 3;

impl Sheds<'_> {
    /// What becomes of what `pools` would get together; `None`: they keep it.
    pub(super) fn parts<'w>(&self, admission: &Admission<'_>, pools: &[PoolId], way: &Way<'w>) -> Option<Vec<Taken<'w>>> {
        let mut giving: Vec<(PoolId, Gives)> = pools.iter().filter_map(|pool| Some((*pool, (self.gives)(*pool)?))).collect();
        if giving.is_empty() {
            return None;
        }
        // Everybody who is left out of a part is left out of those before it: a client has one number for all of them.
        giving.sort_by(|(_, a), (_, b)| a.share.total_cmp(&b.share));
        let above = self.above(admission, way);
        let mut bounds: Vec<f64> = giving.iter().map(|(_, gives)| gives.share).collect();
        bounds.dedup();
        let by_client = giving.iter().any(|(_, gives)| gives.by == ShedBy::Client);
        let choice = |keys: Keys<'_>| match pools {
            [pool] => sticky::within((keys.of)(&Node::Pool(*pool)), SHED),
            _ => sticky::within(way.within, SHED),
        };
        let mut parts = Vec::new();
        let (mut from, mut moves) = (0.0, false);
        for to in bounds.into_iter().chain([1.0]) {
            let out: Vec<PoolId> = giving.iter().filter(|(_, gives)| to <= gives.share).map(|(pool, _)| *pool).collect();
            let left: Vec<PoolId> = pools.iter().copied().filter(|pool| !out.contains(pool)).collect();
            let key = |keys: Keys<'_>| out.iter().fold(choice(keys), |key, pool| sticky::within(key, (keys.of)(&Node::Pool(*pool))));
            let turn = admission.keys.map(|keys| Turn {
                key: key(keys),
                weight: to - from,
                by: if by_client || keys.sticky { TurnBy::Client { choice: choice(keys), from } } else { TurnBy::Turn(from) },
            });
            let turns = way.turns.iter().copied().chain(turn).collect();
            let share = way.share * (to - from);
            let part = match (out.is_empty(), left.iter().any(|pool| (self.takes)(*pool)), above) {
                (true, ..) => Taken { pools: left, way: Way { share, turns, ..way.clone() }, from: None },
                (_, true, _) => Taken { pools: left, way: Way { share, turns, ..way.clone() }, from: None },
                (_, false, Some((node, at))) => Taken { pools: Vec::new(), way: Way { share, turns, ..at.clone() }, from: Some(node) },
                (_, false, None) => Taken { pools: pools.to_vec(), way: Way { share, turns, ..way.clone() }, from: None },
            };
            moves |= part.from.is_some() || part.pools.len() < pools.len();
            parts.push(part);
            from = to;
        }
        moves.then_some(parts)
    }

    /// The nearest node above that has somebody who takes it, and how it was reached.
    fn above<'w>(&self, admission: &Admission<'_>, way: &Way<'w>) -> Option<(&'w Node, &'w Way<'w>)> {
        let open = Admission { sheds: None, takes: Some(self.takes), ..*admission };
        let mut next = way.above;
        while let Some(above) = next {
            // It is up, for what gives is up in it: its `min_up` is not asked again.
            if let Node::Policy { choice, .. } = above.node
                && choice.children().into_iter().any(|child| open.is_open(child))
            {
                return Some((above.node, &above.way));
            }
            next = above.way.above;
        }
        None
    }
}
