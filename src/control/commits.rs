//! One commit in flight, the others wait (SEMANTICS, 19).
//!
//! Operators' changes go first, in the order they came; learned state goes when none waits, all of it in one batch.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{JudgementId, ServiceId};
use crate::wire::Name;

use super::change::{Actor, Applied, Change};
use super::event::Ticket;
use super::record::{Op, Revision};

/// Changes that may wait; one more is refused (503).
pub(super) const WAITING_MAX: usize = 256;

/// Time between two attempts to write learned state into a store that refuses.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The store's sign of life is written at least this often while probes run (SEMANTICS, 13).
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// A change that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub ticket: Ticket,
    pub origin: super::journal::Origin,
    pub actor: Actor,
    pub reason: String,
    pub change: Change,
    pub expect: Option<Revision>,
    pub expect_file: Option<u64>,
}

/// The commit that the store is working on.
#[derive(Debug)]
pub(super) enum InFlight {
    /// An operator's.
    Change { ticket: Ticket, ops: Vec<Op>, applied: Box<Applied>, notices: Vec<super::event::Notice> },
    /// Learned state; put back if it fails.
    Learned(Learned),
}

/// What was learned and is not yet durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Learned {
    /// Verdicts to write.
    pub verdicts: BTreeSet<JudgementId>,
    /// Memories to write, in any order, perhaps twice.
    pub memories: Vec<ServiceId>,
    /// Overrides that ended by themselves.
    pub ended: BTreeSet<u64>,
    /// Keys of verdicts that a reload removed.
    pub forgotten: BTreeSet<Arc<str>>,
    /// Zones whose serial is to be kept.
    pub serials: BTreeSet<Name>,
    /// Events, audit, the webhooks' queue.
    pub journal: super::journal::Unwritten,
    /// A sign of life is due.
    pub alive: bool,
}

impl Learned {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts a failed batch back; what was learned since stays.
    pub(super) fn put_back(&mut self, failed: Learned) {
        let Learned { verdicts, memories, ended, forgotten, serials, journal, alive } = failed;
        self.verdicts.extend(verdicts);
        self.memories.extend(memories);
        self.ended.extend(ended);
        self.forgotten.extend(forgotten);
        self.serials.extend(serials);
        self.journal.put_back(journal);
        self.alive |= alive;
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// Number of the commit in flight, and what it is.
    pub in_flight: Option<(u64, InFlight)>,
    /// Operators' changes, oldest first.
    pub waiting: VecDeque<Waiting>,
    /// What the next batch takes.
    pub learned: Learned,
    /// No batch before this moment (`mono`): the store refused the last one.
    pub retry_at: Option<Duration>,
    /// When the last sign of life was handed to the store.
    pub alive_at: Duration,
    next: u64,
}

impl Commits {
    /// A number for the next commit.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
