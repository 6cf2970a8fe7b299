//! What was decided about a service at a moment of the past, and why that is not known.

use std::sync::Arc;

use crate::model::Timestamp;

use super::told::Account;

/// What a service was explained by at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// What was in force then.
    pub then: PastDecision,
    /// What was in force before that; `None`: nothing is known of it.
    pub before: Option<PastDecision>,
    /// What came next; `None`: nothing, up to now.
    pub after: Option<PastDecision>,
}

/// A decision, and since when it was in force.
#[derive(Clone, Debug, PartialEq)]
pub struct PastDecision {
    /// When it was made.
    pub at: Timestamp,
    /// Of the snapshot that answered so first.
    pub generation: u64,
    /// What made it be decided anew: one of [`CAUSES`](super::CAUSES).
    pub cause: &'static str,
    /// Hash of the configuration then.
    pub configuration: Arc<str>,
    /// What was said; `None`: the configuration did not have the service.
    pub account: Option<Arc<Account>>,
}

/// Why nothing can be told of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastUnknown {
    /// Nothing is recorded.
    Off,
    /// What is recorded of this service begins later: at this moment; `None`: there is nothing.
    Before(Option<Timestamp>),
    /// What was decided between these moments was not written down.
    Lost(Timestamp, Timestamp),
    /// The record can't be read: one sentence.
    Unreadable(String),
}
