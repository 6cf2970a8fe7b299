//! Accounts of decisions: what explain says of a service from one change to the next, to be asked for later (`explain?at=`).
//!
//! ```text
//! events ─▶ settle ─▶ publish ─▶ follow_up: what was touched is explained as it stands, compared with its last account ─▶ Effect::Accounts (only what differs)
//! ```
//!
//! What was *said* is kept, not what it was decided from: a reload, a restart or a newer program can't change it afterwards, and facts that are added to
//! decisions later need no form here. Sentences name moments, never spans till then, so an account holds as it stands until the next one.
//! Services that are explained alike share one account: their name in it, and the TTL's number in its sentence, are left open until somebody reads it.
//!
//! Never here: files, or what is answered. Nothing is decided from an account.

mod past;
mod told;
mod watch;

use std::sync::Arc;

use crate::model::{Estate, ServiceId, Timestamp};

pub use past::{Past, PastDecision, PastUnknown};
pub use told::{Account, AccountAnswer, AccountClients, AccountEndpoint, AccountFamily, AccountLeaf, AccountVerdict};
pub(super) use watch::Watch;

/// Services that are explained otherwise than before.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// When that was decided.
    pub at: Timestamp,
    /// Of the snapshot that answers so.
    pub generation: u64,
    /// Hash of the configuration in force.
    pub configuration: Arc<str>,
    /// Whose ids are meant. Services that it lacks are gone.
    pub estate: Arc<Estate>,
    /// What is said of whom.
    pub alike: Vec<Alike>,
}

/// Services that are explained alike.
#[derive(Clone, Debug)]
pub struct Alike {
    /// What is said.
    pub account: Arc<Account>,
    /// What touched them: one of [`CAUSES`].
    pub cause: &'static str,
    /// Which, ascending.
    pub services: Vec<ServiceId>,
}

/// What makes a service be decided anew: the start of the process, probes or time, the guard, the file, a person, or that clients are told
/// apart otherwise (databases, measurements). Their order is that of the record.
pub const CAUSES: [&str; 6] = ["start", "health", "guard", "config", "operator", "clients"];
