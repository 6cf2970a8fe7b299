//! `failback = { mode = "one_way" }`: in a failover at the root, the child that answers now counts as the first one.
//!
//! ```text
//! failover a > b > c     a goes down, b answers    ─▶ b > a > c     a returns: nothing moves; b goes down ─▶ a > b > c
//! ```
//!
//! Health alone makes another child the first. Where an operator took the first one away (a drain, `force_down`), its end is meant to bring it back.
//!
//! Never here: other roots (there `one_way` is a time like any other), and what stands below the children.

use std::borrow::Cow;
use std::sync::Arc;

use crate::health::State;
use crate::model::{Choice, Estate, Failback, Node, PoolId};

use super::FamilyDecision;
use super::hold::Holds;
use super::pool::{Pools, pools_of};
use super::tree::Admission;
use super::view::node_name;

/// The children of a root that has an order which `one_way` may change.
fn children(failback: Failback, policy: &Node) -> Option<&Vec<Arc<Node>>> {
    match (failback, policy) {
        (Failback::OneWay(_), Node::Policy { choice: Choice::Failover(children), .. }) => Some(children),
        _ => None,
    }
}

/// The policy as it counts: with the child called `first` before the others, if there is such a one.
pub fn ordered<'n>(estate: &Estate, failback: Failback, policy: &'n Node, first: Option<&str>) -> Cow<'n, Node> {
    let place = || children(failback, policy)?.iter().position(|child| first.is_some_and(|first| *node_name(estate, child) == *first));
    match (place(), policy) {
        (Some(place), Node::Policy { name, choice: Choice::Failover(children), min_up }) if 0 < place => {
            let mut children = children.clone();
            if let Some(part) = children.get_mut(..=place) {
                part.rotate_right(1);
            }
            Cow::Owned(Node::Policy { name: name.clone(), choice: Choice::Failover(children), min_up: *min_up })
        }
        _ => Cow::Borrowed(policy),
    }
}

/// Does the first child of this failover, as written, have this pool?
pub fn leads(policy: &Node, pool: PoolId) -> bool {
    let Node::Policy { choice: Choice::Failover(children), .. } = policy else { return false };
    children.first().is_some_and(|child| pools_of(child).contains(&pool))
}

/// Which child counts as the first from now on. `policy`: as ordered until now; `written`: as somebody wrote it.
pub(super) fn next_first(
    estate: &Estate,
    failback: Failback,
    (written, policy): (&Node, &Node),
    (holds, pools): (&Holds<'_>, &Pools),
    decided: &FamilyDecision,
) -> Option<Arc<str>> {
    let ordered = children(failback, policy)?;
    let answering: Vec<PoolId> = decided.leaves.iter().flat_map(|leaf| leaf.pools.iter().copied()).collect();
    let answers = |child: &Arc<Node>| !answering.is_empty() && pools_of(child).iter().any(|pool| answering.contains(pool));
    // Nobody but health has taken it away.
    let lost = |child: &Arc<Node>| {
        let admits = |pool| pools.get(pool).is_some_and(|judged| judged.observed.state != State::Down) && !holds.contains(pool);
        !Admission::plain(&admits).is_up(child)
    };
    let before = ordered.iter().take_while(|child| !answers(child));
    let first = match ordered.iter().find(|child| answers(child)) {
        Some(child) if before.clone().all(lost) => child,
        _ => ordered.first()?,
    };
    let by_itself = children(failback, written).and_then(|children| children.first()).is_some_and(|child| Arc::ptr_eq(child, first));
    (!by_itself).then(|| node_name(estate, first))
}
