//! Evaluating a tree, given which pools count as up (SEMANTICS, 6 and 9).
//!
//! Knows nothing of health, holds or overrides: a rung of the ladder is one evaluation with the pools that the rung admits.

use std::sync::Arc;

use crate::model::{Choice, Node, PoolId, Share};

use super::sticky::{self, Turn};

/// Which pools count as up, and whether subtrees insist on their `min_up`.
#[derive(Clone, Copy)]
pub(super) struct Admission<'a> {
    pub(super) admits: &'a dyn Fn(PoolId) -> bool,
    /// On rung `all_down` they don't: one permitted pool is better than none.
    pub(super) min_up: bool,
    /// What each pool counts of its share, more than 0 and at most 1; `None`: all of it.
    pub(super) factor: Option<&'a dyn Fn(PoolId) -> f64>,
    /// What tells children apart, by name; `None`: nobody keeps to a child, so ways are not noted.
    pub(super) key: Option<&'a dyn Fn(&Node) -> u64>,
    /// What of each failover goes to the next child that is up, and of each weighted node to those with share 0; less than 1.
    pub(super) trickle: f64,
}

/// One destination: a pool, or all pools of a multivalue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pick {
    pub(super) pools: Vec<PoolId>,
    /// 0 < share ≤ 1.
    pub(super) share: f64,
    /// Reached through a share-0 child.
    pub(super) standby: bool,
    /// The weighted choices that led there, if ways are noted.
    pub(super) way: Vec<Turn>,
}

/// Groups of children that clients keep to: those with a share, and those who stand by.
const MAIN: u64 = 1;
const ASIDE: u64 = 2;

/// How a node was reached.
#[derive(Clone)]
struct Way {
    share: f64,
    standby: bool,
    /// Of the innermost node with a name.
    within: u64,
    turns: Vec<Turn>,
}

impl Admission<'_> {
    /// Where the answers go, in file order, shares summing to 1; empty if the tree is not up.
    pub(super) fn evaluate(&self, tree: &Node) -> Vec<Pick> {
        let mut picks = Vec::new();
        if self.is_up(tree) {
            self.flatten(tree, Way { share: 1.0, standby: false, within: 0, turns: Vec::new() }, &mut picks);
        }
        picks
    }

    /// A pool that is admitted; a subtree of which `min_up` children are up.
    pub(super) fn is_up(&self, node: &Node) -> bool {
        match node {
            Node::Pool(pool) => (self.admits)(*pool),
            Node::Policy { choice, min_up, .. } => {
                let needed = if self.min_up { (*min_up).max(1) as usize } else { 1 };
                needed <= choice.children().into_iter().filter(|child| self.is_up(child)).take(needed).count()
            }
        }
    }

    /// Below a node that is up.
    fn flatten(&self, node: &Node, mut way: Way, picks: &mut Vec<Pick>) {
        if let (Some(key), Node::Policy { name, .. }) = (self.key, node) {
            way.within = if name.is_some() { key(node) } else { sticky::within(way.within, 0) };
        }
        let pick = |pools, Way { share, standby, within: _, turns: way }| Pick { pools, share, standby, way };
        match node {
            Node::Pool(pool) => picks.push(pick(vec![*pool], way)),
            Node::Policy { choice: Choice::Multivalue(_), .. } => {
                let mut pools = Vec::new();
                self.gather(node, &mut pools);
                if !pools.is_empty() {
                    picks.push(pick(pools, way));
                }
            }
            Node::Policy { choice: Choice::Failover(children), .. } => {
                let mut up = children.iter().filter(|child| self.is_up(child));
                match (up.next(), up.next().filter(|_| 0.0 < self.trickle)) {
                    (Some(child), Some(next)) => {
                        self.flatten(child, self.turned(&way, child, 1.0 - self.trickle), picks);
                        self.flatten(next, self.turned(&way, next, self.trickle), picks);
                    }
                    (Some(child), None) => self.flatten(child, way, picks),
                    (None, _) => {}
                }
            }
            Node::Policy { choice: choice @ (Choice::Geo(_) | Choice::Nearest(_)), .. } => {
                if let Some(child) = self.of_anybody(choice) {
                    self.flatten(child, way, picks);
                }
            }
            Node::Policy { choice: Choice::Weighted(children), .. } => {
                let (mut chosen, by_standby) = self.chosen(children);
                self.scale(&mut chosen);
                let total: f64 = chosen.iter().map(|(_, weight)| weight).sum();
                let stand_by: Vec<&Node> = match by_standby || self.trickle <= 0.0 {
                    true => Vec::new(),
                    false => children.iter().filter(|(child, share)| *share == Share::ZERO && self.is_up(child)).map(|(child, _)| &**child).collect(),
                };
                let trickle = if stand_by.is_empty() { 0.0 } else { self.trickle };
                // Who keeps to a child keeps to it or to who stands by first, so that a loss among the ones moves nobody to the others.
                let main = if stand_by.is_empty() { way.clone() } else { self.parted(&way, MAIN, 1.0 - trickle) };
                let alone = chosen.len() == 1;
                for (child, weight) in chosen {
                    let part = weight / total;
                    let mut next = if alone { main.clone() } else { self.turned(&main, child, part) };
                    next.standby |= by_standby;
                    self.flatten(child, next, picks);
                }
                let aside = self.parted(&way, ASIDE, trickle);
                for child in &stand_by {
                    let next = if stand_by.len() == 1 { aside.clone() } else { self.turned(&aside, child, 1.0 / stand_by.len() as f64) };
                    self.flatten(child, next, picks);
                }
            }
        }
    }

    /// The way on to one of several children, which get such parts.
    fn turned(&self, way: &Way, child: &Node, part: f64) -> Way {
        let mut next = self.parted(way, 0, part);
        if let (Some(key), Some(turn)) = (self.key, next.turns.last_mut()) {
            turn.key = sticky::within(way.within, key(child));
        }
        next
    }

    /// The way on into one of several groups of children.
    fn parted(&self, way: &Way, group: u64, part: f64) -> Way {
        let turn = self.key.map(|_| Turn { key: sticky::within(way.within, group), weight: part });
        Way { share: way.share * part, turns: way.turns.iter().copied().chain(turn).collect(), ..way.clone() }
    }

    /// Weights times what their children count. Where all count alike nothing changes, not even by a rounding.
    fn scale(&self, chosen: &mut [(&Node, f64)]) {
        let Some(factor) = self.factor else { return };
        let factors: Vec<f64> = chosen.iter().map(|(child, _)| self.factor_of(child, factor)).collect();
        if factors.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
            return;
        }
        for ((_, weight), factor) in chosen.iter_mut().zip(factors) {
            *weight *= factor;
        }
    }

    /// What a subtree counts: a failover what its chosen child does, a weighted one the mean by its shares, a multivalue the mean of its pools.
    fn factor_of(&self, node: &Node, factor: &dyn Fn(PoolId) -> f64) -> f64 {
        let mean = |parts: Vec<(f64, f64)>| {
            let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
            if 0.0 < total { parts.iter().map(|(weight, counts)| weight * counts).sum::<f64>() / total } else { 1.0 }
        };
        match node {
            Node::Pool(pool) => factor(*pool),
            Node::Policy { choice: Choice::Failover(children), .. } => {
                children.iter().find(|child| self.is_up(child)).map_or(1.0, |child| self.factor_of(child, factor))
            }
            Node::Policy { choice: choice @ (Choice::Geo(_) | Choice::Nearest(_)), .. } => {
                self.of_anybody(choice).map_or(1.0, |child| self.factor_of(child, factor))
            }
            Node::Policy { choice: Choice::Weighted(children), .. } => {
                mean(self.chosen(children).0.into_iter().map(|(child, weight)| (weight, self.factor_of(child, factor))).collect())
            }
            Node::Policy { choice: Choice::Multivalue(_), .. } => {
                let mut pools = Vec::new();
                self.gather(node, &mut pools);
                mean(pools.into_iter().map(|pool| (1.0, factor(pool))).collect())
            }
        }
    }

    /// Who answers if nothing is known of the client. Decisions are made from trees that [`tailor`](super::tailor()) made for a client; this is for
    /// looks at a tree as such.
    fn of_anybody<'n>(&self, choice: &'n Choice<Arc<Node>>) -> Option<&'n Arc<Node>> {
        match choice {
            Choice::Geo(rules) => rules.iter().rev().map(|rule| &rule.then).find(|child| self.is_up(child)),
            _ => choice.children().into_iter().find(|child| self.is_up(child)),
        }
    }

    /// The children of a weighted node that answer, with weights: those with a share, pro rata; or else the share-0 ones, equally (`true`: standby).
    /// So share 0 is settled inside each weighted node.
    fn chosen<'n>(&self, children: &'n [(Arc<Node>, Share)]) -> (Vec<(&'n Node, f64)>, bool) {
        let up = || children.iter().filter(|(child, _)| self.is_up(child));
        let with_share: Vec<_> = up().filter(|(_, share)| *share != Share::ZERO).map(|(child, share)| (&**child, f64::from(share.0))).collect();
        if with_share.is_empty() { (up().map(|(child, _)| (&**child, 1.0)).collect(), true) } else { (with_share, false) }
    }

    /// What a child of a multivalue contributes: a failover its chosen pool, everything else all its up pools. Each pool once.
    fn gather(&self, node: &Node, pools: &mut Vec<PoolId>) {
        match node {
            Node::Pool(pool) if pools.contains(pool) => {}
            Node::Pool(pool) => pools.push(*pool),
            Node::Policy { choice: Choice::Failover(children), .. } => {
                if let Some(child) = children.iter().find(|child| self.is_up(child)) {
                    self.gather(child, pools);
                }
            }
            Node::Policy { choice: Choice::Multivalue(children), .. } => {
                children.iter().filter(|child| self.is_up(child)).for_each(|child| self.gather(child, pools))
            }
            Node::Policy { choice: choice @ (Choice::Geo(_) | Choice::Nearest(_)), .. } => {
                if let Some(child) = self.of_anybody(choice) {
                    self.gather(child, pools);
                }
            }
            // Refused in files and traffic (SEMANTICS, 6); what `nearest` makes of equally near ones.
            Node::Policy { choice: Choice::Weighted(children), .. } => self.chosen(children).0.into_iter().for_each(|(child, _)| self.gather(child, pools)),
        }
    }

    /// Pools that the result stands on: with these admitted (and none that is not admitted now) the evaluation is the same. Those that answer, and those
    /// that a `min_up` above them counts.
    pub(super) fn support(&self, node: &Node, pools: &mut Vec<PoolId>) {
        let Node::Policy { choice, min_up, .. } = node else {
            node.pools(&mut |pool| pools.push(pool));
            return;
        };
        if self.min_up && 1 < *min_up {
            choice.children().into_iter().filter(|child| self.is_up(child)).for_each(|child| self.support(child, pools));
            return;
        }
        match choice {
            Choice::Failover(children) => children.iter().filter(|child| self.is_up(child)).take(1).for_each(|child| self.support(child, pools)),
            Choice::Multivalue(children) => children.iter().filter(|child| self.is_up(child)).for_each(|child| self.support(child, pools)),
            Choice::Geo(_) | Choice::Nearest(_) => self.of_anybody(choice).into_iter().for_each(|child| self.support(child, pools)),
            Choice::Weighted(children) => self.chosen(children).0.into_iter().for_each(|(child, _)| self.support(child, pools)),
        }
    }
}
