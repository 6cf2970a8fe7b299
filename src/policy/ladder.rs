//! The ladder: who answers (SEMANTICS, 9 and 10).
//!
//! Each rung is one evaluation of the whole tree with the pools that it admits; the first that yields a pool wins.
//!
//! | rung                 | admits                                                                 |
//! |----------------------|------------------------------------------------------------------------|
//! | `policy`, `standby`  | Up or Unknown, not held, not drained (`standby`: by a share-0 child)   |
//! | `held`               | also held ones; those that are needed are held no longer               |
//! | `drained`            | also drained ones                                                      |
//! | `all_down`           | what `when_all_down` says, among permitted pools                       |
//!
//! A leaf's own rung is the lowest that it needed: where a subtree's `min_up` forces the whole tree down to `drained`, a pool that is not drained still says `policy`.
//!
//! A pool that returns step by step is let in to a part of the answers: the tree is evaluated with and without it, and the results are mixed.
//!
//! On rungs `policy` and `held` a pool over its load gives away a share to who else is up there (`shed`).
//!
//! On rung `policy` a trickle goes to who stands by, if the service says so: the next child of a failover, those with share 0 of a weighted node.
//!
//! Above `all_down` a pool of whose serving set some are degraded counts less in weighted nodes; it is never left out for that.
//!
//! `force_down` and data that is too old (`hold_if_older_than`, without an approval) keep a pool off every rung.
//!
//! `all_down` never refuses for a subtree's `min_up`: one permitted pool is better than none.

use crate::model::{AllDown, Node, PoolId, Service, Share, ShedBy};

use super::effective::Effective;
use super::hold::Holds;
use super::pool::{Among, Judged, Pools, serving, weights};
use super::shed::{self, Sheds};
use super::sticky::{self, Turn, TurnBy};
use super::tree::{Admission, Keys, Pick};
use super::view::node_name;
use super::{FamilyDecision, Leaf, Rung, Verdict};

/// Gives each node a number that follows from its name.
type Key<'a> = Box<dyn Fn(&Node) -> u64 + 'a>;

/// What a pool over its load gave away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Given {
    pub(super) pool: PoolId,
    /// Its share of the answers if it gave away nothing.
    pub(super) before: f64,
    /// What went elsewhere; 0: nobody takes it.
    pub(super) given: f64,
}

/// One service in one family, ready to be decided.
pub(super) struct Ladder<'a> {
    pub(super) service: &'a Service,
    pub(super) policy: &'a Node,
    /// What goes to who stands by.
    pub(super) trickle: Share,
    pub(super) effective: &'a Effective<'a>,
    pub(super) pools: &'a Pools,
    /// Pools of the last decision from a rung above `all_down`.
    pub(super) last: &'a [PoolId],
    /// The same, of clients for whom nothing is up while others get answers ([`super::Memory::fallen`]).
    pub(super) fallen: &'a [PoolId],
}

/// Where the ladder ended: the decision, and the lowest rung that it needed.
pub(super) struct Climbed {
    pub(super) decision: FamilyDecision,
    pub(super) rung: Rung,
    /// Of pools that answer and are over their load.
    pub(super) given: Vec<Given>,
}

impl Ladder<'_> {
    /// Tries the rungs in order; ends the holds of pools that were needed.
    pub(super) fn climb(&self, holds: &mut Holds<'_>) -> Climbed {
        let mut picks = self.by_policy(holds, true);
        if picks.is_empty() && !holds.held.is_empty() {
            let usable = |pool| self.is_usable(pool);
            let with_held = Admission::plain(&usable);
            picks = self.evaluate(&usable);
            if !picks.is_empty() {
                let mut needed = Vec::new();
                with_held.support(self.policy, &mut needed);
                holds.use_up(&needed);
                // They are held no longer, so they may give away and take.
                if self.any_gives() {
                    picks = self.by_policy(holds, true);
                }
            }
        }
        let given = self.given(holds, &picks);
        if picks.is_empty() {
            picks = self.evaluate(&|pool| self.judged(pool).is_some_and(|judged| judged.is_usable() || judged.is_up_but_drained()));
            holds.use_up(&picks.iter().flat_map(|pick| pick.pools.iter().copied()).collect::<Vec<_>>());
        }
        if picks.is_empty() {
            holds.used.clear();
            return Climbed { decision: self.all_down(), rung: Rung::AllDown, given: Vec::new() };
        }
        self.forget_used(holds, &picks);
        let mut leaves = merged(picks.into_iter().map(|pick| self.leaf(pick, holds)));
        if !holds.stages.is_empty() || self.any_gives() {
            let place = |leaf: &Leaf| self.pools.judged.iter().position(|judged| leaf.pools.first() == Some(&judged.pool));
            leaves.sort_by_key(place);
        }
        self.forget_ways(&mut leaves);
        let rung = leaves.iter().map(|leaf| leaf.rung).max().unwrap_or_default();
        Climbed { decision: FamilyDecision { verdict: Verdict::Answer, leaves }, rung, given }
    }

    /// Where nobody keeps to anything and nothing is shed by client, ways say nothing.
    fn forget_ways(&self, leaves: &mut [Leaf]) {
        let by_client = |turn: &Turn| matches!(turn.by, TurnBy::Client { .. });
        if self.service.sticky.is_none() && !leaves.iter().flat_map(|leaf| &leaf.ways).flatten().any(by_client) {
            leaves.iter_mut().for_each(|leaf| leaf.ways.clear());
        }
    }

    /// What pools of these picks gave away that are over their load.
    fn given(&self, holds: &Holds<'_>, picks: &[Pick]) -> Vec<Given> {
        if !self.any_gives() {
            return Vec::new();
        }
        let all = self.by_policy(holds, false);
        let of = |picks: &[Pick], pool: PoolId| -> f64 { picks.iter().filter(|pick| pick.pools.contains(&pool)).map(|pick| pick.share).sum() };
        let sheds = self.pools.judged.iter().map(|judged| judged.pool).filter(|pool| shed::gives(&self.effective.facts, *pool).is_some());
        let given = sheds.map(|pool| (pool, of(&all, pool))).filter(|(_, before)| 0.0 < *before);
        given.map(|(pool, before)| Given { pool, before, given: (before - of(picks, pool)).max(0.0) }).collect()
    }

    /// Some pool of the tree is over its load.
    fn any_gives(&self) -> bool {
        let facts = &self.effective.facts;
        !facts.crowded.is_empty() && self.pools.judged.iter().any(|judged| shed::gives(facts, judged.pool).is_some())
    }

    /// Rungs `policy` and `standby`: those who are not held, and in a part of the answers those who return step by step. `sheds`: pools over their load
    /// give away their share.
    fn by_policy(&self, holds: &Holds<'_>, sheds: bool) -> Vec<Pick> {
        let trickle = self.trickle.percent() / 100.0;
        let sheds = sheds && self.any_gives();
        let without = self.evaluate_with(&|pool| self.is_usable(pool) && !holds.contains(pool), trickle, sheds);
        if without.is_empty() || holds.stages.is_empty() {
            return without;
        }
        let (mut picks, mut from) = (Vec::new(), 0.0);
        for (part, let_in) in holds.parts() {
            let admits = |pool| self.is_usable(pool) && (!holds.contains(pool) || let_in.contains(&pool));
            let by = if self.service.sticky.is_some() { TurnBy::Draw } else { TurnBy::Turn(from) };
            let turn = self.key().map(|_| Turn { key: self.key_of_part(&let_in), weight: part, by });
            let in_part = |pick: Pick| Pick { share: pick.share * part, way: turn.into_iter().chain(pick.way).collect(), ..pick };
            picks.extend(self.evaluate_with(&admits, trickle, sheds).into_iter().map(in_part));
            from += part;
        }
        picks
    }

    /// A pool whose hold ended by use says so while it answers and nothing else would.
    fn forget_used(&self, holds: &mut Holds<'_>, picks: &[Pick]) {
        holds.used.retain(|pool| picks.iter().any(|pick| pick.pools.contains(pool)));
        if holds.used.is_empty() {
            return;
        }
        let others = |pool: PoolId| self.is_usable(pool) && !holds.contains(pool) && !holds.used.contains(&pool);
        if !self.evaluate(&others).is_empty() {
            holds.used.clear();
        }
    }

    fn evaluate(&self, admits: &dyn Fn(PoolId) -> bool) -> Vec<Pick> {
        self.evaluate_with(admits, 0.0, false)
    }

    fn evaluate_with(&self, admits: &dyn Fn(PoolId) -> bool, trickle: f64, sheds: bool) -> Vec<Pick> {
        let (factor, key, facts) = (self.factor(), self.key(), &self.effective.facts);
        let takes = |pool: PoolId| !facts.crowded.contains_key(&pool);
        let gives = |pool: PoolId| shed::gives(facts, pool);
        let sheds = sheds.then_some(Sheds { gives: &gives, takes: &takes });
        Admission { factor: factor.as_deref(), keys: self.keys(key.as_deref()), trickle, sheds, ..Admission::plain(admits) }.evaluate(self.policy)
    }

    /// What pools count of their shares; `None`: nothing is degraded anywhere.
    fn factor(&self) -> Option<Box<dyn Fn(PoolId) -> f64 + '_>> {
        let any = self.pools.judged.iter().any(|judged| judged.factor < 1.0);
        any.then(|| -> Box<dyn Fn(PoolId) -> f64 + '_> { Box::new(|pool| self.judged(pool).map_or(1.0, |judged| judged.factor)) })
    }

    /// What tells children apart, for clients to keep to; `None`: they keep to none, and nothing is shed by client.
    fn key(&self) -> Option<Key<'_>> {
        let facts = &self.effective.facts;
        let by_client = |judged: &Judged| shed::gives(facts, judged.pool).is_some_and(|gives| gives.by == ShedBy::Client);
        let noted = self.service.sticky.is_some() || !facts.crowded.is_empty() && self.pools.judged.iter().any(by_client);
        noted.then(|| -> Key<'_> { Box::new(|node| sticky::name_key(&node_name(facts.estate, node))) })
    }

    fn keys<'k>(&self, key: Option<&'k dyn Fn(&Node) -> u64>) -> Option<Keys<'k>> {
        key.map(|of| Keys { of, sticky: self.service.sticky.is_some() })
    }

    /// Who was let in once stays: the parts of the next step are these, with other weights.
    fn key_of_part(&self, let_in: &[PoolId]) -> u64 {
        let estate = self.effective.facts.estate;
        let_in.iter().fold(1, |key, pool| sticky::within(key, sticky::name_key(&estate.pool(*pool).name)))
    }

    fn judged(&self, pool: PoolId) -> Option<&Judged> {
        self.pools.get(pool)
    }

    fn is_usable(&self, pool: PoolId) -> bool {
        self.judged(pool).is_some_and(Judged::is_usable)
    }

    fn leaf(&self, pick: Pick, holds: &Holds<'_>) -> Leaf {
        let Pick { pools, share, standby, taken, way } = pick;
        let drained = |pool: PoolId| self.judged(pool).is_some_and(Judged::is_up_but_drained);
        let own = |pool: &PoolId| match () {
            () if drained(*pool) => Rung::Drained,
            () if holds.used.contains(pool) => Rung::Held,
            () => Rung::Policy,
        };
        let lowest = pools.iter().map(own).max().unwrap_or_default();
        let rung = lowest.max(if standby { Rung::Standby } else { Rung::Policy });
        let among = |pool| self.judged(pool).map_or(Among::Undrained, Judged::among);
        let endpoints: Vec<_> = pools.iter().flat_map(|pool| serving(self.effective, *pool, self.pools.family, among(*pool))).collect();
        let weights = weights(self.effective, &endpoints);
        let addresses = self.effective.addresses(&endpoints, self.pools.family);
        Leaf { pools, share, rung, taken, endpoints, weights, addresses, ways: ways(way) }
    }

    /// `when_all_down` (SEMANTICS, 10).
    fn all_down(&self) -> FamilyDecision {
        let undrained = self.pools.judged.iter().any(|judged| judged.permitted && !judged.drained);
        let permitted = |pool: PoolId| self.judged(pool).is_some_and(|judged| judged.permitted && !(undrained && judged.drained));
        let key = self.key();
        let evaluate =
            |admits: &dyn Fn(PoolId) -> bool| Admission { min_up: false, keys: self.keys(key.as_deref()), ..Admission::plain(admits) }.evaluate(self.policy);
        let serve_all = || evaluate(&permitted);
        let picks = match self.service.when_all_down {
            AllDown::NoData => return FamilyDecision { verdict: Verdict::NoData, leaves: Vec::new() },
            AllDown::ServFail => return self.servfail("no pool is up, and when_all_down is servfail"),
            AllDown::ServeAll => serve_all(),
            AllDown::First => preferred(serve_all()),
            AllDown::LastGood => Some(evaluate(&|pool| permitted(pool) && (self.last.contains(&pool) || self.fallen.contains(&pool))))
                .filter(|picks| !picks.is_empty())
                .unwrap_or_else(serve_all),
            AllDown::Pool(last_resort) => {
                let permitted = Judged::new(self.effective, last_resort, self.pools.family).permitted && self.effective.outdated(last_resort).is_none();
                permitted.then(|| Pick { pools: vec![last_resort], share: 1.0, standby: false, taken: false, way: Vec::new() }).into_iter().collect()
            }
        };
        if picks.is_empty() {
            let held_back = self.pools.judged.iter().any(|judged| judged.outdated);
            let facts = &self.effective.facts;
            let awaited = !self.effective.by_name && self.pools.judged.iter().any(|judged| facts.health.has_unresolved(facts.estate, judged.pool));
            return self.servfail(match (held_back, awaited) {
                (true, _) => "the data of every pool that may answer is too old",
                (false, true) => "the host names of what may answer are not resolved yet",
                (false, false) => "every pool that may answer is forced down",
            });
        }
        let leaf = |Pick { pools, share, way, .. }: Pick| {
            let endpoints: Vec<_> = pools.iter().flat_map(|pool| serving(self.effective, *pool, self.pools.family, Among::Permitted)).collect();
            let weights = weights(self.effective, &endpoints);
            let addresses = self.effective.addresses(&endpoints, self.pools.family);
            Leaf { pools, share, rung: Rung::AllDown, taken: false, endpoints, weights, addresses, ways: ways(way) }
        };
        FamilyDecision { verdict: Verdict::Answer, leaves: merged(picks.into_iter().map(leaf)) }
    }

    fn servfail(&self, why: &str) -> FamilyDecision {
        FamilyDecision { verdict: Verdict::ServFail(why.to_string()), leaves: Vec::new() }
    }
}

/// The largest share alone, ties by file order.
fn preferred(picks: Vec<Pick>) -> Vec<Pick> {
    let mut best: Option<Pick> = None;
    // Shares that differ by less are the same share, computed along another path.
    const SAME: f64 = 1e-9;
    for pick in picks {
        if best.as_ref().is_none_or(|best| best.share + SAME < pick.share) {
            best = Some(pick);
        }
    }
    best.map(|pick| Pick { share: 1.0, way: Vec::new(), ..pick }).into_iter().collect()
}

fn ways(way: Vec<Turn>) -> Vec<Vec<Turn>> {
    if way.is_empty() { Vec::new() } else { vec![way] }
}

/// Leaves with the same pools and rung become one, at the place of the first.
fn merged(leaves: impl Iterator<Item = Leaf>) -> Vec<Leaf> {
    let mut merged: Vec<Leaf> = Vec::new();
    for leaf in leaves {
        match merged.iter_mut().find(|other| other.pools == leaf.pools && other.rung == leaf.rung) {
            Some(same) => {
                same.share += leaf.share;
                same.taken &= leaf.taken;
                same.ways.extend(leaf.ways);
            }
            None => merged.push(leaf),
        }
    }
    merged
}
