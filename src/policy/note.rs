//! What clients may be told with an answer that is odd, as an Extended DNS Error (RFC 8914). One note for each family: the gravest.
//!
//! No names stand in them: everybody may read them. Who operates the server asks `explain`.
//!
//! | note          | code             | when                                                                        |
//! |---------------|------------------|-----------------------------------------------------------------------------|
//! | `LastGood`    | 3 (Stale Answer) | nothing is up, `when_all_down` repeats who was good last                    |
//! | `LastResort`  | 0 (Other)        | nothing is up, `when_all_down` says something else                          |
//! | `Unconfirmed` | 3 (Stale Answer) | a verdict of before a restart, which no probe has confirmed                 |
//! | `HeldUsed`    | 0 (Other)        | nothing else is up, so a pool answers that waited for failback              |
//! | `Waiting`     | 0 (Other)        | a pool is up again, and does not get its share yet                          |
//!
//! A SERVFAIL has a sentence of its own ([`Verdict::ServFail`]).

use crate::health::State;
use crate::model::{AllDown, Service};

use super::effective::Effective;
use super::hold::Holds;
use super::pool::Pools;
use super::{FamilyDecision, Rung, Verdict};

/// See above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// `when_all_down = "last_good"`
    LastGood,
    /// Any other `when_all_down`.
    LastResort,
    /// Stale verdicts.
    Unconfirmed,
    /// Rung `held`.
    HeldUsed,
    /// Returned, waiting.
    Waiting,
}

impl Note {
    /// It repeats what was known before: the info code is Stale Answer, else Other.
    pub fn is_stale(self) -> bool {
        matches!(self, Note::LastGood | Note::Unconfirmed)
    }

    /// One sentence.
    pub fn text(self) -> &'static str {
        match self {
            Note::LastGood => "nothing is up: these were good last",
            Note::LastResort => "nothing is up: a last resort",
            Note::Unconfirmed => "health as known before a restart",
            Note::HeldUsed => "nothing else is up: this waited for failback",
            Note::Waiting => "something is up again and waits for failback",
        }
    }
}

/// What is odd about a decision for one family.
pub(super) fn note(service: &Service, effective: &Effective<'_>, pools: &Pools, holds: &Holds<'_>, decided: &FamilyDecision, rung: Rung) -> Option<Note> {
    let facts = &effective.facts;
    if let Verdict::ServFail(_) = decided.verdict {
        return None;
    }
    if rung == Rung::AllDown {
        return Some(if service.when_all_down == AllDown::LastGood { Note::LastGood } else { Note::LastResort });
    }
    let unconfirmed = |id: &crate::model::EndpointId| {
        effective.forced(*id).is_none() && facts.health.watched(facts.estate, *id).is_some_and(|health| health.stale && health.state == State::Up)
    };
    let waits = |judged: &super::pool::Judged| judged.is_usable() && judged.observed.state != State::Down && holds.contains(judged.pool);
    match () {
        () if decided.leaves.iter().flat_map(|leaf| &leaf.endpoints).any(unconfirmed) => Some(Note::Unconfirmed),
        () if decided.leaves.iter().any(|leaf| leaf.rung == Rung::Held) => Some(Note::HeldUsed),
        () if pools.judged.iter().any(waits) => Some(Note::Waiting),
        () => None,
    }
}
