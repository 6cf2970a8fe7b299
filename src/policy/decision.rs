//! What a decision is.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::client::ClassId;
use crate::model::{Address, EndpointId, Estate, PoolId, Sticky};

use super::{Memory, Note, Turn};

/// What a service answers until something changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decision {
    /// By [`Family::index`](crate::model::Family::index); if the policy asks about clients: for those of whom nothing is known.
    pub families: [FamilyDecision; 2],
    /// Answers are CNAMEs to the host names of endpoints, whatever is asked for. What is decided stands where IPv4 stands, and nothing where IPv6 does.
    pub by_name: bool,
    /// Seconds, of `families`.
    pub ttl: u32,
    /// What clients may be told with odd answers, in the same order.
    pub notes: [Option<Note>; 2],
    /// Clients keep to their leaf, as [`Keeper`](super::Keeper) says; else leaves are chosen in turn.
    pub sticky: Option<Sticky>,
    /// What else depends on the client; `None`: nothing does.
    pub by_client: Option<Box<ByClient>>,
    /// What to remember.
    pub memory: Memory,
    /// `mono` at which to decide again even if nothing happens (the end of a hold).
    pub wake_at: Option<Duration>,
}

/// What of a decision depends on who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByClient {
    /// By [`ClassId`]: 0 is the decision's own answer, others stand in `variants`, counted from 1.
    pub of_class: Box<[u16]>,
    /// Other answers.
    pub variants: Vec<Variant>,
}

/// What some clients get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// By [`Family::index`](crate::model::Family::index).
    pub families: [FamilyDecision; 2],
    /// Seconds.
    pub ttl: u32,
    /// What clients may be told with odd answers, in the same order.
    pub notes: [Option<Note>; 2],
}

impl Decision {
    /// What the clients of a class get, by [`Family::index`](crate::model::Family::index), and its TTL in seconds.
    pub fn of_class(&self, class: ClassId) -> (&[FamilyDecision; 2], u32) {
        let variant = self.by_client.as_ref().and_then(|by| {
            let number = by.of_class.get(class.0 as usize)?;
            by.variants.get(usize::from(*number).checked_sub(1)?)
        });
        variant.map_or((&self.families, self.ttl), |variant| (&variant.families, variant.ttl))
    }

    /// What anybody gets, each once: of those of whom nothing is known first.
    pub fn of_anybody(&self) -> impl Iterator<Item = &[FamilyDecision; 2]> {
        let variants = self.by_client.iter().flat_map(|by| &by.variants).map(|variant| &variant.families);
        std::iter::once(&self.families).chain(variants)
    }

    /// Which of these the clients of a class get.
    pub fn number_of(&self, class: ClassId) -> u16 {
        self.by_client.as_ref().and_then(|by| by.of_class.get(class.0 as usize)).copied().unwrap_or(0)
    }

    /// The same for clients who are told apart otherwise from now on. By their new class: which old one (`counterparts`) they were decided for;
    /// kinds of clients that there were not get what `fresh`, a decision for the new classes, has for them.
    pub fn renumbered(&self, counterparts: &[Option<ClassId>], fresh: impl FnOnce() -> Decision) -> Decision {
        let Some(by_client) = &self.by_client else { return self.clone() };
        let fresh = if counterparts.contains(&None) { fresh() } else { Decision::default() };
        let mut variants: Vec<Variant> = Vec::new();
        // Of old ones `Ok`, of fresh ones `Err`: which they have become.
        let mut known: HashMap<Result<u16, u16>, u16> = HashMap::from([(Ok(0), 0)]);
        let mut keep = |from: Result<u16, u16>| {
            *known.entry(from).or_insert_with(|| {
                let place = |of: &[Variant], number: u16| of.get(usize::from(number).wrapping_sub(1)).cloned();
                variants.extend(match from {
                    Ok(number) => place(&by_client.variants, number),
                    Err(number) => {
                        let others = || place(fresh.by_client.as_ref().map(|by| &by.variants[..]).unwrap_or_default(), number);
                        let first = || Variant { families: fresh.families.clone(), ttl: fresh.ttl, notes: fresh.notes };
                        Some(others().unwrap_or_else(first))
                    }
                });
                variants.len() as u16
            })
        };
        let of_class = (0_u32..).zip(counterparts).map(|(class, before)| match before {
            Some(before) => keep(Ok(self.number_of(*before))),
            None => keep(Err(fresh.number_of(ClassId(class)))),
        });
        let of_class = of_class.collect();
        Decision { by_client: Some(Box::new(ByClient { of_class, variants })), ..self.clone() }
    }

    /// Everybody gets the same from both.
    pub fn answers_like(&self, other: &Self) -> bool {
        let answers = |decision: &Self| (decision.by_name, decision.ttl, decision.notes, decision.sticky);
        answers(self) == answers(other) && (&self.families, &self.by_client) == (&other.families, &other.by_client)
    }
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
    /// All of it is what pools over their load give away.
    pub taken: bool,
    /// The serving set of this family (S4), before the cut to `max_answers`, in the order of tiers, then file.
    pub endpoints: Vec<EndpointId>,
    /// Their weights in millionths, in the same order; `None`: as in the file.
    pub weights: Option<Box<[u64]>>,
    /// The addresses of those that have a host name, of this family, in the same order; empty for others. `None`: all have their address in the file.
    pub addresses: Option<Box<[Arc<[IpAddr]>]>>,
    /// The weighted choices that lead to it, one list for each way; of sticky services alone.
    pub ways: Vec<Vec<Turn>>,
}

impl Leaf {
    /// The addresses that the endpoint at this place is answered with.
    pub fn addresses_at<'a>(&'a self, estate: &'a Estate, at: usize) -> &'a [IpAddr] {
        match self.endpoints.get(at).map(|endpoint| &estate.endpoint(*endpoint).address) {
            Some(Address::Fixed(address)) => std::slice::from_ref(address),
            Some(Address::Host(_)) => self.addresses.as_ref().and_then(|found| found.get(at)).map_or(&[], |found| &**found),
            None => &[],
        }
    }
}

/// Shares are numbers, never NaN.
impl Eq for Leaf {}

impl Hash for Leaf {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { pools, share, rung, taken, endpoints, weights, addresses, ways } = self;
        (pools, share.to_bits(), rung, taken, endpoints, weights, addresses, ways).hash(hasher);
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
