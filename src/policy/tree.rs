//! Evaluating a tree, given which pools count as up (SEMANTICS, 6 and 9).
//!
//! Knows nothing of health, holds or overrides: a rung of the ladder is one evaluation with the pools that the rung admits.

use std::sync::Arc;

use crate::model::{Choice, Node, PoolId, Share};

use super::shed::{Sheds, Taken};
use super::sticky::{self, Turn, TurnBy};

/// Which pools count as up, and whether subtrees insist on their `min_up`.
#[derive(Clone, Copy)]
pub(super) struct Admission<'a> {
    pub(super) admits: &'a dyn Fn(PoolId) -> bool,
    /// On rung `all_down` they don't: one permitted pool is better than none.
    pub(super) min_up: bool,
    /// What each pool counts of its share, more than 0 and at most 1; `None`: all of it.
    pub(super) factor: Option<&'a dyn Fn(PoolId) -> f64>,
    /// What tells children apart; `None`: nobody keeps to a child, so ways are not noted.
    pub(super) keys: Option<Keys<'a>>,
    /// What of each failover goes to the next child that is up, and of each weighted node to those with share 0; less than 1.
    pub(super) trickle: f64,
    /// Which pools give away a part of what they get; `None`: none.
    pub(super) sheds: Option<Sheds<'a>>,
    /// Only these pools get anything, whatever else is up; `None`: all that are admitted.
    pub(super) takes: Option<&'a dyn Fn(PoolId) -> bool>,
}

/// What tells children apart, by name.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) of: &'a dyn Fn(&Node) -> u64,
    /// Clients keep to children; else only what is shed by client goes by who asks.
    pub(super) sticky: bool,
}

impl<'a> Admission<'a> {
    /// These pools count as up, as on every rung but the last; nothing else plays a part.
    pub(super) fn plain(admits: &'a dyn Fn(PoolId) -> bool) -> Self {
        Self { admits, min_up: true, factor: None, keys: None, trickle: 0.0, sheds: None, takes: None }
    }
}

/// One destination: a pool, or all pools of a multivalue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pick {
    pub(super) pools: Vec<PoolId>,
    /// 0 < share ≤ 1.
    pub(super) share: f64,
    /// Reached through a share-0 child.
    pub(super) standby: bool,
    /// It gets this because a pool over its load gave it away.
    pub(super) taken: bool,
    /// The weighted choices that led there, if ways are noted.
    pub(super) way: Vec<Turn>,
}

/// Groups of children that clients keep to: those with a share, and those who stand by.
const MAIN: u64 = 1;
const ASIDE: u64 = 2;

/// How a node was reached.
#[derive(Clone)]
pub(super) struct Way<'w> {
    pub(super) share: f64,
    pub(super) standby: bool,
    /// Of the innermost node with a name.
    pub(super) within: u64,
    pub(super) turns: Vec<Turn>,
    /// The choice above; `None`: this is the root, or nobody asks.
    pub(super) above: Option<&'w Above<'w>>,
}

/// A node on the way to a pool, to which comes back what the pool gives away.
pub(super) struct Above<'w> {
    pub(super) node: &'w Node,
    /// How it was reached.
    pub(super) way: Way<'w>,
}

impl Admission<'_> {
    /// Where the answers go, in file order, shares summing to 1; empty if the tree is not up.
    pub(super) fn evaluate(&self, tree: &Node) -> Vec<Pick> {
        let mut picks = Vec::new();
        if self.is_up(tree) {
            self.flatten(tree, Way { share: 1.0, standby: false, within: 0, turns: Vec::new(), above: None }, &mut picks);
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

    /// It is up, and has somebody who takes answers.
    pub(super) fn is_open(&self, node: &Node) -> bool {
        let Some(takes) = self.takes else { return self.is_up(node) };
        match node {
            Node::Pool(pool) => (self.admits)(*pool) && takes(*pool),
            Node::Policy { choice, .. } => self.is_up(node) && choice.children().into_iter().any(|child| self.is_open(child)),
        }
    }

    /// Below a node that is up.
    fn flatten(&self, node: &Node, mut way: Way<'_>, picks: &mut Vec<Pick>) {
        if let (Some(keys), Node::Policy { name, .. }) = (self.keys, node) {
            way.within = if name.is_some() { (keys.of)(node) } else { sticky::within(way.within, 0) };
        }
        match node {
            Node::Pool(pool) => self.place(vec![*pool], way, picks),
            Node::Policy { choice: Choice::Multivalue(_), .. } => {
                let mut pools = Vec::new();
                self.gather(node, &mut pools);
                if !pools.is_empty() {
                    self.place(pools, way, picks);
                }
            }
            Node::Policy { .. } if self.sheds.is_some() => {
                let above = Above { node, way: way.clone() };
                self.choose(node, Way { above: Some(&above), ..way }, picks);
            }
            Node::Policy { .. } => self.choose(node, way, picks),
        }
    }

    /// A destination, less what is given away.
    fn place(&self, pools: Vec<PoolId>, way: Way<'_>, picks: &mut Vec<Pick>) {
        let given = self.sheds.and_then(|sheds| sheds.parts(self, &pools, &way));
        for Taken { pools, way, from } in given.unwrap_or_else(|| vec![Taken { pools, way, from: None }]) {
            match from {
                None => picks.push(Pick { pools, share: way.share, standby: way.standby, taken: self.takes.is_some(), way: way.turns }),
                Some(node) => Admission { sheds: None, takes: self.sheds.map(|sheds| sheds.takes), ..*self }.choose(node, way, picks),
            }
        }
    }

    /// The children of a failover or weighted node that get its answers.
    fn choose(&self, node: &Node, way: Way<'_>, picks: &mut Vec<Pick>) {
        let Node::Policy { choice, .. } = node else { return };
        match choice {
            Choice::Multivalue(_) => {}
            Choice::Failover(children) => {
                let mut up = children.iter().filter(|child| self.is_open(child));
                match (up.next(), up.next().filter(|_| 0.0 < self.trickle)) {
                    (Some(child), Some(next)) => {
                        self.flatten(child, self.turned(&way, child, 0.0, 1.0 - self.trickle), picks);
                        self.flatten(next, self.turned(&way, next, 1.0 - self.trickle, self.trickle), picks);
                    }
                    (Some(child), None) => self.flatten(child, way, picks),
                    (None, _) => {}
                }
            }
            Choice::Geo(_) | Choice::Nearest(_) => {
                if let Some(child) = self.of_anybody(choice) {
                    self.flatten(child, way, picks);
                }
            }
            Choice::Weighted(children) => {
                let (mut chosen, by_standby) = self.chosen(children);
                self.scale(&mut chosen);
                let total: f64 = chosen.iter().map(|(_, weight)| weight).sum();
                let stand_by: Vec<&Node> = match by_standby || self.trickle <= 0.0 {
                    true => Vec::new(),
                    false => children.iter().filter(|(child, share)| *share == Share::ZERO && self.is_open(child)).map(|(child, _)| &**child).collect(),
                };
                let trickle = if stand_by.is_empty() { 0.0 } else { self.trickle };
                // Who keeps to a child keeps to it or to who stands by first, so that a loss among the ones moves nobody to the others.
                let main = if stand_by.is_empty() { way.clone() } else { self.parted(&way, MAIN, 0.0, 1.0 - trickle) };
                let alone = chosen.len() == 1;
                let mut from = 0.0;
                for (child, weight) in chosen {
                    let part = weight / total;
                    let mut next = if alone { main.clone() } else { self.turned(&main, child, from, part) };
                    from += part;
                    // Who takes what another sheds does so by choice.
                    next.standby |= by_standby && self.takes.is_none();
                    self.flatten(child, next, picks);
                }
                let aside = self.parted(&way, ASIDE, 1.0 - trickle, trickle);
                let part = 1.0 / stand_by.len() as f64;
                for (at, child) in stand_by.iter().enumerate() {
                    let next = if stand_by.len() == 1 { aside.clone() } else { self.turned(&aside, child, at as f64 * part, part) };
                    self.flatten(child, next, picks);
                }
            }
        }
    }

    /// The way on to one of several children, which get such parts: this one's begins at `from`.
    fn turned<'w>(&self, way: &Way<'w>, child: &Node, from: f64, part: f64) -> Way<'w> {
        let mut next = self.parted(way, 0, from, part);
        if let (Some(keys), Some(turn)) = (self.keys, next.turns.last_mut()) {
            turn.key = sticky::within(way.within, (keys.of)(child));
        }
        next
    }

    /// The way on into one of several groups of children.
    fn parted<'w>(&self, way: &Way<'w>, group: u64, from: f64, part: f64) -> Way<'w> {
        let by = |keys: Keys<'_>| if keys.sticky { TurnBy::Draw } else { TurnBy::Turn(from) };
        let turn = self.keys.map(|keys| Turn { key: sticky::within(way.within, group), weight: part, by: by(keys) });
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
                children.iter().find(|child| self.is_open(child)).map_or(1.0, |child| self.factor_of(child, factor))
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
            Choice::Geo(rules) => rules.iter().rev().map(|rule| &rule.then).find(|child| self.is_open(child)),
            _ => choice.children().into_iter().find(|child| self.is_open(child)),
        }
    }

    /// The children of a weighted node that answer, with weights: those with a share, pro rata; or else the share-0 ones, equally (`true`: standby).
    /// So share 0 is settled inside each weighted node.
    fn chosen<'n>(&self, children: &'n [(Arc<Node>, Share)]) -> (Vec<(&'n Node, f64)>, bool) {
        let up = || children.iter().filter(|(child, _)| self.is_open(child));
        let with_share: Vec<_> = up().filter(|(_, share)| *share != Share::ZERO).map(|(child, share)| (&**child, f64::from(share.0))).collect();
        if with_share.is_empty() { (up().map(|(child, _)| (&**child, 1.0)).collect(), true) } else { (with_share, false) }
    }

    /// What a child of a multivalue contributes: a failover its chosen pool, everything else all its up pools. Each pool once.
    fn gather(&self, node: &Node, pools: &mut Vec<PoolId>) {
        match node {
            Node::Pool(pool) if pools.contains(pool) => {}
            Node::Pool(pool) => pools.push(*pool),
            Node::Policy { choice: Choice::Failover(children), .. } => {
                if let Some(child) = children.iter().find(|child| self.is_open(child)) {
                    self.gather(child, pools);
                }
            }
            Node::Policy { choice: Choice::Multivalue(children), .. } => {
                children.iter().filter(|child| self.is_open(child)).for_each(|child| self.gather(child, pools))
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
