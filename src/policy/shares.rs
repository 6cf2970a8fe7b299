//! Two of the three shares: *desired* (what the tree asks for) and *effective* (what a decision answers). The third, *answered*, is counted elsewhere.

use std::sync::Arc;

use crate::model::{Estate, Node, PoolId, Share};

use super::FamilyDecision;
use super::pool::pools_of;
use super::tree::{Admission, Pick};
use super::view::node_name;

/// Shares if everything were up: every pool of the tree once, in file order; 0 for standby pools and failover's backups.
pub fn desired(policy: &Node) -> Vec<(PoolId, f64)> {
    desired_with(policy, Share::ZERO)
}

/// The same, with what trickles to who stands by.
pub fn desired_with(policy: &Node, trickle: Share) -> Vec<(PoolId, f64)> {
    let picks = Admission { trickle: trickle.percent() / 100.0, ..Admission::plain(&|_| true) }.evaluate(policy);
    let mut shares: Vec<(PoolId, f64)> = pools_of(policy).into_iter().map(|pool| (pool, 0.0)).collect();
    for Pick { pools, share, .. } in &picks {
        spread(&mut shares, pools, *share);
    }
    shares
}

/// Shares as decided: every pool of the tree once, in file order, 0 for those that don't answer; then pools outside it (a last resort).
/// A multivalue leaf gives each of its pools an equal part.
pub fn effective(decision: &FamilyDecision, policy: &Node) -> Vec<(PoolId, f64)> {
    let mut shares: Vec<(PoolId, f64)> = pools_of(policy).into_iter().map(|pool| (pool, 0.0)).collect();
    for leaf in &decision.leaves {
        spread(&mut shares, &leaf.pools, leaf.share);
    }
    shares
}

/// Effective shares by child of the root, in file order. A pool that stands below several children counts for the first.
pub fn child_shares(decision: &FamilyDecision, policy: &Node, estate: &Estate) -> Vec<(Arc<str>, f64)> {
    let children: Vec<&Node> = match policy {
        Node::Pool(_) => vec![policy],
        Node::Policy { choice, .. } => choice.children().into_iter().map(|child| &**child).collect(),
    };
    let mut left = effective(decision, policy);
    let mut share_of = |child: &Node| {
        let below = pools_of(child);
        let share = left.iter().filter(|(pool, _)| below.contains(pool)).map(|(_, share)| share).sum();
        left.retain(|(pool, _)| !below.contains(pool));
        share
    };
    children.into_iter().map(|child| (node_name(estate, child), share_of(child))).collect()
}

fn spread(shares: &mut Vec<(PoolId, f64)>, pools: &[PoolId], share: f64) {
    for pool in pools {
        let part = share / pools.len() as f64;
        match shares.iter_mut().find(|(known, _)| known == pool) {
            Some((_, sum)) => *sum += part,
            None => shares.push((*pool, part)),
        }
    }
}
