//! One commit in flight, the others wait (SEMANTICS, 19).
//!
//! Operators' changes go first, in the order they came; learned state goes when none waits, all of it in one batch.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::client::Clients;
use crate::model::{GuardKind, JudgementId, ServiceId, TargetId};
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
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub ticket: Ticket,
    pub origin: super::journal::Origin,
    pub actor: Actor,
    pub reason: String,
    pub change: Change,
    pub expect: Option<Revision>,
    pub expect_file: Option<u64>,
    /// Guards that need not hold.
    pub break_glass: Vec<GuardKind>,
    /// A second person has said so, too.
    pub confirmed: bool,
    pub dry_run: bool,
    /// How clients would be told apart, if a dry run asks something new about them.
    pub clients: Option<Arc<Clients>>,
}

/// The commit that the store is working on.
#[derive(Debug)]
pub(super) enum InFlight {
    /// An operator's.
    Change { ticket: Ticket, ops: Vec<Op>, applied: Box<Applied>, notices: Vec<super::event::Notice>, rated: Vec<Arc<str>> },
    /// Learned state; put back if it fails.
    Learned(Box<Learned>),
}

/// What was learned and is not yet durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Learned {
    /// Verdicts to write.
    pub verdicts: BTreeSet<JudgementId>,
    /// Targets whose last probes are to be written.
    pub probes: BTreeSet<TargetId>,
    /// Memories to write, in any order, perhaps twice.
    pub memories: Vec<ServiceId>,
    /// Overrides that ended by themselves.
    pub ended: BTreeSet<u64>,
    /// Keys of verdicts and of targets' probes that a reload removed.
    pub forgotten: BTreeSet<Arc<str>>,
    /// Zones whose serial is to be kept.
    pub serials: BTreeSet<Name>,
    /// Events, audit, the webhooks' queue.
    pub journal: super::journal::Unwritten,
    /// Tokens that were used. Nobody waits for it: it goes with the next batch that is due for another reason.
    pub used: BTreeSet<Arc<str>>,
    /// Regions that told how fresh their data is. It goes with the next batch that is due for another reason.
    pub freshness: BTreeSet<Arc<str>>,
    /// Host names that were resolved. Only new addresses make a batch by themselves: see `moved`.
    pub hosts: BTreeSet<Name>,
    /// Some of `hosts` have other addresses than before.
    pub moved: bool,
    /// Host names that nobody has any more.
    pub hosts_gone: BTreeSet<Name>,
    /// Pools whose load was told, or which began or ended to shed. It goes with the next batch that is due for another reason.
    pub loads: BTreeSet<Arc<str>>,
    /// Networks whose latency was measured, or is known no more.
    pub latency: BTreeSet<IpNet>,
    /// Who has told so, and waits until that is durable; a failure is told to them.
    pub latency_told: Vec<(Ticket, Box<Applied>)>,
    /// Replies to requests with an `Idempotency-Key`, by id; those that are gone are deleted.
    pub replies: BTreeSet<Arc<str>>,
    /// Who waits for this batch; told whether it is written or can't be.
    pub answers: Vec<(Ticket, super::event::Reply)>,
    /// A sign of life is due.
    pub alive: bool,
}

impl Learned {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            verdicts,
            probes,
            memories,
            ended,
            forgotten,
            serials,
            journal,
            used: _,
            freshness: _,
            loads: _,
            latency,
            latency_told,
            hosts: _,
            moved,
            hosts_gone,
            replies,
            answers,
            alive,
        } = self;
        let estate = verdicts.is_empty() && probes.is_empty() && memories.is_empty() && ended.is_empty() && forgotten.is_empty();
        let told = replies.is_empty() && answers.is_empty() && latency.is_empty() && latency_told.is_empty();
        let hosts = !moved && hosts_gone.is_empty();
        estate && hosts && told && serials.is_empty() && *journal == super::journal::Unwritten::default() && !alive
    }

    /// Puts a failed batch back; what was learned since stays.
    pub(super) fn put_back(&mut self, failed: Learned) {
        let Learned {
            verdicts,
            probes,
            memories,
            ended,
            forgotten,
            serials,
            journal,
            used,
            freshness,
            loads,
            latency,
            latency_told,
            hosts,
            moved,
            hosts_gone,
            replies,
            answers,
            alive,
        } = failed;
        self.used.extend(used);
        self.freshness.extend(freshness);
        self.loads.extend(loads);
        self.latency.extend(latency);
        self.latency_told.extend(latency_told);
        self.hosts.extend(hosts);
        self.moved |= moved;
        self.hosts_gone.extend(hosts_gone);
        self.replies.extend(replies);
        self.answers.extend(answers);
        self.verdicts.extend(verdicts);
        self.probes.extend(probes);
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
