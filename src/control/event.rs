//! The daemon's table of contents: facts in, orders out.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Clients, DatabaseInfo};
use crate::health::{HostHealth, ProbeReport};
use crate::model::{Analysis, AnswerSettings, Estate, GuardKind, PolicyForm, TargetId};
use crate::snapshot::Snapshot;
use crate::wire::Name;
use crate::zone::Zone;

use super::change::{Actor, Applied, Change, Refusal};
use super::journal::{Call, Happening, Origin};
use super::record::{Expect, Key, Op, Revision};

/// Names a question to the core until its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A checked configuration: what the core needs of it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Everything that exists.
    pub estate: Arc<Estate>,
    /// Static records.
    pub zones: Vec<Arc<Zone>>,
    /// What shapes responses.
    pub answers: Arc<AnswerSettings>,
    /// Which clients policies can't tell apart.
    pub clients: Arc<Clients>,
    /// What is known of whom, from where.
    pub databases: Arc<[DatabaseInfo]>,
    /// Keys that changed in the file and take no part in a reload (SEMANTICS, 16); shown until the next restart.
    pub needs_restart: Vec<String>,
    /// Of every file that was read, in one word: equal on nodes that have read the same.
    pub hash: Arc<str>,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Event {
    /// A probe ended. `plan` is the [`Effect::Probe`] that it belongs to; outcomes of older plans are counted and ignored.
    Probed {
        /// Which plan.
        plan: u64,
        /// Whose.
        target: TargetId,
        /// What it found.
        report: ProbeReport,
    },
    /// An outside system tells how an endpoint is.
    Push {
        /// For the reply.
        ticket: Ticket,
        /// What it tells.
        push: super::pushes::Push,
    },
    /// A region tells how fresh its data is.
    Synchronised {
        /// For the reply.
        ticket: Ticket,
        /// What it tells.
        push: super::freshness::DataPush,
    },
    /// Somebody tells how much is asked of a pool.
    Loaded {
        /// For the reply.
        ticket: Ticket,
        /// What it tells.
        push: super::load::LoadPush,
    },
    /// An outside system has measured how quick regions are for somebody.
    Latency {
        /// For the reply.
        ticket: Ticket,
        /// What it tells.
        told: super::latency::LatencyTold,
    },
    /// An operator wants something.
    Change {
        /// For the reply.
        ticket: Ticket,
        /// From where.
        origin: Origin,
        /// Who.
        actor: Actor,
        /// Why.
        reason: String,
        /// What.
        change: Change,
        /// `If-Match`: the service's revision (traffic changes) or the store's; `None`: whatever it is.
        expect: Option<Revision>,
        /// `If-Match` of a service that follows the file: its policy's hash must be this, too.
        expect_file: Option<u64>,
        /// Guards that need not hold. Whether the actor may is `admin`'s business.
        break_glass: Vec<GuardKind>,
        /// Say what would happen, write nothing.
        dry_run: bool,
    },
    /// A new configuration, already checked by itself.
    Reload {
        /// For the reply.
        ticket: Ticket,
        /// What exists now.
        configuration: Configuration,
        /// Who wants it, and which guards need not hold.
        by: super::reload_guards::ReloadBy,
    },
    /// A request with an `Idempotency-Key` is done: keep what is about to be sent.
    Replied {
        /// Answered when it is kept.
        ticket: Ticket,
        /// Whose.
        claim: super::replies::Claim,
        /// `None`: too large to be kept.
        reply: Option<super::replies::FinishedReply>,
    },
    /// Databases were read anew, or measured orders changed: clients are told apart otherwise from now on.
    Databases {
        /// For this estate; if another one is in force by now, it has read them itself.
        estate: Arc<Estate>,
        /// The classes of clients.
        clients: Arc<Clients>,
        /// What was read.
        databases: Arc<[DatabaseInfo]>,
    },
    /// What [`Effect::TellApart`] ordered.
    ToldApart {
        /// For this estate.
        estate: Arc<Estate>,
        /// The classes of clients, or why there are none: one sentence.
        made: Result<Arc<Clients>, String>,
    },
    /// A token was used; told once a minute at most.
    TokenUsed {
        /// Its id.
        id: Arc<str>,
    },
    /// A commit is durable.
    Committed {
        /// Which.
        commit: u64,
        /// The store's counter now.
        revision: Revision,
    },
    /// A commit was not made; nothing was written.
    CommitFailed {
        /// Which.
        commit: u64,
        /// Why, one sentence.
        why: String,
        /// An expectation did not hold (as opposed to a store that can't write).
        conflict: bool,
    },
    /// A call to the API was refused, or changed something without a commit: for the audit.
    Called(Call),
    /// Something that people want to hear of happened outside.
    Noticed(Notice),
    /// The webhooks' queue as it should be in the store; `None`: gone.
    Queued(Vec<(Key, Option<Arc<str>>)>),
    /// A measurement of a shift is back.
    Measured(super::shifts::Measured),
    /// A service's own monitoring has counted requests; kept in memory alone.
    Counted {
        /// Which service.
        service: String,
        /// Requests that went well.
        good: u64,
        /// Those that didn't.
        bad: u64,
    },
    /// A host name that answers are made from stands otherwise, or was looked up again.
    Resolved {
        /// Which; names that no endpoint has are ignored.
        host: Name,
        /// How.
        stands: HostHealth,
    },
    /// The moment asked for by [`Effect::WakeAt`], or later.
    Tick,
}

/// An order.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful in each step, each moved once")]
pub enum Effect {
    /// The first round of probes is over, or its 5 s are, or stored verdicts made it needless: DNS may answer now (SEMANTICS, 13). Once.
    Serve,
    /// Answer from this now. At most one per [`Core::settle`](super::Core::settle).
    Publish(Arc<Snapshot>),
    /// Probe these targets from now on, and no others.
    Probe {
        /// Number of the plan.
        plan: u64,
        /// The estate whose targets are meant.
        estate: Arc<Estate>,
        /// No verdict was usable: spread the first round over at most a second (SEMANTICS, 13).
        hurry: bool,
    },
    /// What was told of a target, or that it fell silent: for the metrics, as probes are.
    Heard {
        /// Whose; of the estate of the last [`Effect::Probe`].
        target: TargetId,
        /// What was told.
        report: ProbeReport,
    },
    /// Make this durable, all or nothing. One at a time.
    Commit {
        /// Number, for the answer.
        commit: u64,
        /// What must be found.
        expect: Vec<(Key, Expect)>,
        /// What to write.
        ops: Vec<Op>,
        /// Learned state: does not raise the counter.
        learned: bool,
    },
    /// Answer a question. Comes after the `Publish` that shows it.
    Reply {
        /// Which.
        ticket: Ticket,
        /// What.
        reply: Reply,
    },
    /// Tell secondaries (RFC 1996). This is all there is to tell; it replaces what was said before.
    Secondaries(Vec<super::serials::Announced>),
    /// Tell clients apart by what the file asks and what these policies do; [`Event::ToldApart`] says what came of it. One at a time.
    TellApart {
        /// For this estate.
        estate: Arc<Estate>,
        /// Operators' policies.
        asked: Vec<PolicyForm>,
    },
    /// Measure this; [`Event::Measured`] says what was found. Prometheus and answered shares only.
    Measure {
        /// The N of `s-N`.
        shift: u64,
        /// The step in force.
        step: u32,
        /// Of which service.
        service: Arc<str>,
        /// What and how.
        analysis: Arc<Analysis>,
    },
    /// Measured orders have changed: build the classes of clients anew, aside, and send [`Event::Databases`]. At most once for each state.
    Classify,
    /// Tell people: a log line, a metric, later an event.
    Tell(Notice),
    /// An event for whoever listens; made from a `Tell` of the same step.
    Happened(Arc<Happening>),
    /// Send `Tick` at this `mono`; replaces the last one. `None`: no need.
    WakeAt(Option<Duration>),
}

/// Orders of one step.
pub type Effects = Vec<Effect>;

/// How a question is answered.
pub type Reply = Result<Applied, Refusal>;

/// What became of a change that a second person must confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmationStand {
    /// It waits.
    Asked,
    /// It was made.
    Made,
    /// It waits no more, and was not made: a reload or a restart.
    Lost,
}

/// Something that people want to hear of.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An endpoint's verdict changed.
    Endpoint {
        /// `pool/name`
        endpoint: String,
        /// Pool, region and endpoint names, the metric labels.
        labels: [Arc<str>; 3],
        /// The new verdict.
        state: crate::health::State,
        /// The last probe's sentence.
        message: String,
    },
    /// An endpoint became degraded, or is sound again. It stays up.
    Degraded {
        /// `pool/name`
        endpoint: String,
        /// Pool, region and endpoint names.
        labels: [Arc<str>; 3],
        /// It is degraded from now on.
        begins: bool,
        /// The last degraded probe's sentence.
        message: String,
    },
    /// A certificate ends within the monitor's `expires_within`. Once per target and certificate.
    Certificate {
        /// One sentence.
        text: String,
    },
    /// The set of answered regions of services changed, of all of them alike.
    Failover {
        /// Which services; at least one.
        services: Vec<Arc<str>>,
        /// Regions answered before, joined by `+`.
        from: String,
        /// And now; empty: none.
        to: String,
        /// `health`, `guard` (it takes back what health did), `operator` or `config`.
        trigger: &'static str,
        /// From the first failed probe, if that was the cause.
        took: Option<Duration>,
    },
    /// Traffic of a service was changed by an operator.
    Traffic {
        /// Which service.
        service: Arc<str>,
        /// One sentence.
        text: String,
        /// Who.
        actor: String,
        /// Why.
        reason: String,
        /// The new revision.
        revision: Revision,
    },
    /// An override began, changed or ended.
    Override {
        /// One sentence.
        text: String,
        /// Who; `None` when it ended by itself.
        actor: Option<String>,
    },
    /// Guards refused a change.
    GuardRefused {
        /// Their words, each once.
        guards: Vec<String>,
        /// One sentence.
        text: String,
        /// Who asked.
        actor: String,
    },
    /// Guards were overridden.
    GuardOverridden {
        /// Their words, each once.
        guards: Vec<String>,
        /// One sentence.
        text: String,
        /// Who, and who confirmed it.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A change with broken glass waits for a second person, was confirmed, or waits no more.
    Confirmation {
        /// The N of `c-N`.
        id: u64,
        /// What became of it.
        stand: ConfirmationStand,
        /// One sentence.
        text: String,
        /// Who asked; of a confirmed one, who confirmed it, too.
        actor: String,
    },
    /// A gate was switched.
    Gate {
        /// Which.
        gate: Arc<str>,
        /// Changes that need it may be made from now on.
        on: bool,
        /// One sentence.
        text: String,
        /// Who.
        actor: String,
    },
    /// A shift began, moved, or ended.
    Shift {
        /// Of which service.
        service: Arc<str>,
        /// The N of `s-N`.
        shift: u64,
        /// `started`, `step`, `paused`, `resumed`, `degraded`, `completed`, `aborted`.
        happened: &'static str,
        /// One sentence.
        text: String,
        /// Who started it, or ordered this.
        actor: String,
    },
    /// A change was scheduled, was made, or was not.
    Schedule {
        /// Whose traffic it may move.
        services: Vec<Arc<str>>,
        /// The N of `t-N`.
        schedule: u64,
        /// `created`, `cancelled`, `done`, `refused`, `missed`.
        happened: &'static str,
        /// One sentence.
        text: String,
        /// Who asked for it, or ordered this.
        actor: String,
    },
    /// A hold could end by its time, and guards put that off.
    FailbackWaits {
        /// Which service.
        service: Arc<str>,
        /// One sentence.
        text: String,
    },
    /// A pool's data became too old, or fresh enough again.
    Freshness {
        /// Which pool.
        pool: Arc<str>,
        /// Of which region.
        region: Arc<str>,
        /// It is not used from now on.
        begins: bool,
        /// One sentence.
        text: String,
    },
    /// A host name that answers are made from has other addresses, can't be resolved, or can again.
    Host {
        /// Which.
        host: Arc<str>,
        /// What became of it.
        stands: super::hosts::HostStands,
        /// One sentence.
        text: String,
    },
    /// A pool over its load begins to give away a share of its answers, ends it, or nobody tells its load any more.
    Load {
        /// Which pool.
        pool: Arc<str>,
        /// Of which region.
        region: Arc<str>,
        /// `shedding`, `shed_ended`, `load_unknown`.
        happened: &'static str,
        /// One sentence.
        text: String,
    },
    /// The last measurement of latency became too old, or there are some again.
    Latency {
        /// Nothing is known any more.
        ran_out: bool,
        /// One sentence.
        text: String,
    },
    /// A configuration was taken.
    Reloaded {
        /// One sentence.
        text: String,
    },
    /// A configuration was refused; the one before serves on.
    ReloadFailed {
        /// One sentence.
        text: String,
    },
    /// A GeoIP database was replaced, or could not be.
    Database {
        /// It counts from now on.
        sound: bool,
        /// One sentence.
        text: String,
    },
    /// The blast guard began or ceased to hold a region (SEMANTICS, 26).
    Guarded {
        /// Which region.
        region: Arc<str>,
        /// It is held from now on.
        begins: bool,
        /// One sentence.
        text: String,
    },
    /// This node became blind, or sees again (SEMANTICS, 27).
    Blind {
        /// It is blind from now on.
        begins: bool,
        /// One sentence.
        text: String,
    },
    /// The store refused or recovered.
    Store {
        /// It works.
        up: bool,
        /// One sentence.
        text: String,
    },
    /// Stored traffic can't be used because names are missing in the file (SEMANTICS, 16).
    TrafficUnusable {
        /// Which service.
        service: Arc<str>,
        /// Why.
        text: String,
    },
}
