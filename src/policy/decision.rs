//! What a decision is.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::model::{EndpointId, PoolId};

use super::{Memory, Note};

/// What a service answers until something changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decision {
    /// By [`Family::index`](crate::model::Family::index).
    pub families: [FamilyDecision; 2],
    /// Seconds.
    pub ttl: u32,
    /// What clients may be told with odd answers, in the same order.
    pub notes: [Option<Note>; 2],
    /// What to remember.
    pub memory: Memory,
    /// `mono` at which to decide again even if nothing happens (the end of a hold).
    pub wake_at: Option<Duration>,
}

/// A decision for one address family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FamilyDecision {
    /// What is answered.
    pub verdict: Verdict,
    /// Where the answers go, in file order, shares summing to 1. Empty unless `verdict` is `Answer`.
    pub leaves: Vec<Leaf>,
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// One of the leaves. A leaf without endpoints of this family gives NODATA.
    Answer,
    /// NODATA, by `when_all_down = "nodata"`, or because no pool has an endpoint of this family.
    #[default]
    NoData,
    /// SERVFAIL with this sentence as an Extended DNS Error.
    ServFail(String),
}

/// One destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The pool; several for a multivalue.
    pub pools: Vec<PoolId>,
    /// Probability, 0 < share ≤ 1.
    pub share: f64,
    /// Which step of the ladder answered (SEMANTICS, 9).
    pub rung: Rung,
    /// The serving set of this family (S4), before the cut to `max_answers`, in the order of tiers, then file.
    pub endpoints: Vec<EndpointId>,
    /// Their weights in millionths, in the same order; `None`: as in the file.
    pub weights: Option<Box<[u64]>>,
}

/// Shares are numbers, never NaN.
impl Eq for Leaf {}

impl Hash for Leaf {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { pools, share, rung, endpoints, weights } = self;
        (pools, share.to_bits(), rung, endpoints, weights).hash(hasher);
    }
}

/// Steps of the ladder (SEMANTICS, 9), best first. The `reason` label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Up, not held, not drained.
    #[default]
    Policy,
    /// The same, reached through a share-0 child.
    Standby,
    /// Up but kept out by failback.
    Held,
    /// Up but drained.
    Drained,
    /// `when_all_down`.
    AllDown,
}

impl Rung {
    /// All of them, best first.
    pub const ALL: [Rung; 5] = [Rung::Policy, Rung::Standby, Rung::Held, Rung::Drained, Rung::AllDown];

    /// The word in API, CLI and the `reason` label.
    pub fn word(self) -> &'static str {
        match self {
            Rung::Policy => "policy",
            Rung::Standby => "standby",
            Rung::Held => "held",
            Rung::Drained => "drained",
            Rung::AllDown => "all_down",
        }
    }
}
