//! What operators may ask for, and how they are answered.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Moment, PolicyForm, ServiceId, Timestamp};

use super::guards::GuardFinding;
use super::record::{OverrideRecord, OverrideTargetName, OverrideWord, Revision, TokenRecord};
use super::schedules::ScheduleRecord;
use super::shifts::{Move as ShiftMove, Order, ShiftRecord, Wanted};

/// Who asks: `socket:root`, `token:ci`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(pub String);

/// A wish. Names are not looked up yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Set a service's policy.
    Traffic {
        /// Which service.
        service: String,
        /// To what.
        form: PolicyForm,
    },
    /// Put a child of the root first (SEMANTICS, 17).
    Failover {
        /// Which service.
        service: String,
        /// Which child; `None`: the next one that is up.
        to: Option<String>,
    },
    /// End holds (SEMANTICS, 11).
    Failback {
        /// Which service.
        service: String,
        /// Which pool; `None`: every held one.
        pool: Option<String>,
    },
    /// Go back.
    Undo {
        /// Which service.
        service: String,
        /// To what.
        to: UndoTo,
    },
    /// Begin an override.
    Override {
        /// What it does.
        kind: OverrideWord,
        /// To what.
        target: OverrideTargetName,
        /// Only for these services; empty: all.
        services: Vec<String>,
        /// How long; `None`: 4 h for force_*, without end for drain and freeze.
        lasts: Option<Duration>,
    },
    /// Make an override end this long from now (`None`: never by itself).
    Extend {
        /// The N of `o-N`.
        id: u64,
        /// From now.
        lasts: Option<Duration>,
    },
    /// End an override.
    EndOverride {
        /// The N of `o-N`.
        id: u64,
    },
    /// Switch a gate.
    Gate {
        /// Which.
        name: String,
        /// Changes that need it may be made from now on.
        on: bool,
    },
    /// Make a change that waits for a second person.
    Confirm {
        /// The N of `c-N`.
        id: u64,
    },
    /// Begin a shift.
    Shift {
        /// Of which service.
        service: String,
        /// Where to, and how.
        wanted: Wanted,
    },
    /// Order a shift about.
    ShiftOrder {
        /// The N of `s-N`.
        id: u64,
        /// What.
        order: Order,
    },
    /// A shift moves by itself; only the core asks for it.
    ShiftMove {
        /// The N of `s-N`.
        id: u64,
        /// How.
        what: ShiftMove,
    },
    /// A change of traffic that ends the shift under way.
    EndingShift(Box<Change>),
    /// Make a change later.
    Schedule {
        /// When.
        moment: Moment,
        /// What.
        change: Box<Change>,
    },
    /// Don't make it; or, for one that has failed: somebody has seen it.
    CancelSchedule {
        /// The N of `t-N`.
        id: u64,
    },
    /// The moment of a schedule is there; only the core asks for it.
    Fire {
        /// The N of `t-N`.
        id: u64,
    },
    /// Keep a new token (its hash).
    Token {
        /// Random id, made by `admin`.
        id: Arc<str>,
        /// The rest.
        record: TokenRecord,
    },
    /// Forget a token, by id or name.
    RevokeToken {
        /// Id or name.
        id: String,
    },
}

/// Where `undo` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoTo {
    /// What was before the last change.
    Before,
    /// What a revision had set.
    Revision(Revision),
    /// The file's policy.
    File,
}

/// What a change did, or (dry run) would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// It was a dry run: nothing was written.
    pub dry_run: bool,
    /// The store's counter after the change; for a dry run, as it is.
    pub revision: Revision,
    /// Services whose answers change, with effective shares by pool (0 to 1) before and after, in the family with endpoints (IPv4 first).
    pub moves: Vec<Move>,
    /// The override that was begun, changed or ended.
    pub override_: Option<(u64, OverrideRecord)>,
    /// The shift that it began or moved.
    pub shift: Option<(u64, Arc<ShiftRecord>)>,
    /// The schedule that was set.
    pub schedule: Option<(u64, Arc<ScheduleRecord>)>,
    /// What came of measurements.
    pub latency: Option<super::latency::LatencyCounts>,
    /// The policy now set, for traffic changes; `None` also for "the file's".
    pub form: Option<PolicyForm>,
    /// Sentences worth reading: what a reload took, what it left.
    pub messages: Vec<String>,
    /// Pools that gain.
    pub takers: Vec<Taker>,
    /// What every guard that is on says.
    pub guards: Vec<GuardFinding>,
    /// When it was answered by this node's DNS.
    pub at: Timestamp,
    /// When clients that obey TTLs will have followed.
    pub clients_follow_by: Timestamp,
}

impl Applied {
    /// Nothing moved yet, at this revision and moment.
    pub(super) fn nothing(revision: Revision, at: Timestamp) -> Self {
        Self {
            dry_run: false,
            revision,
            moves: Vec::new(),
            override_: None,
            shift: None,
            schedule: None,
            latency: None,
            form: None,
            messages: Vec::new(),
            takers: Vec::new(),
            guards: Vec::new(),
            at,
            clients_follow_by: at,
        }
    }
}

/// A service whose answers change.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Which.
    pub service: ServiceId,
    /// Its name.
    pub name: Arc<str>,
    /// Effective shares by pool name before.
    pub before: Vec<(Arc<str>, f64)>,
    /// And after.
    pub after: Vec<(Arc<str>, f64)>,
    /// Clients who fare otherwise than those of whom nothing is known, of whom the above is true.
    pub by_client: Vec<super::kinds::KindMove>,
}

/// A pool that gains by a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Taker {
    /// Its name.
    pub pool: Arc<str>,
    /// Where it is.
    pub region: Arc<str>,
    /// How long it has been up without a break, whole seconds; `None`: it is not.
    pub up_for: Option<Duration>,
    /// Services in which it gains.
    pub services: usize,
    /// Its highest share among them (0 to 1).
    pub share: f64,
    /// What its region declares to carry of the services, the least of it: per cent.
    pub capacity: Option<u32>,
}

/// Why a change is not made. Nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What to do about it; the problem type.
    pub kind: RefusalKind,
    /// One sentence.
    pub detail: String,
    /// Every fault.
    pub faults: Vec<Fault>,
    /// The revision of the resource as it is, where that matters.
    pub revision: Option<Revision>,
    /// Every guard that stands in the way; or that is overridden, if a second person must confirm it.
    pub guards: Vec<GuardFinding>,
    /// The N of `c-N`, if it waits for a second person.
    pub confirmation: Option<u64>,
    /// What few refusals have.
    pub beside: Option<Box<Beside>>,
}

/// What few refusals have. In a box: a [`Refusal`] is returned everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Of something that does not exist: the nearest name that does.
    Nearest(String),
    /// It can't be weighed before clients are told apart as this policy asks; nobody outside sees that.
    Asks(PolicyForm),
}

impl Refusal {
    /// A refusal with one sentence and no faults.
    pub fn new(kind: RefusalKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), faults: Vec::new(), revision: None, guards: Vec::new(), confirmation: None, beside: None }
    }

    /// The policy as which clients must be told apart first.
    pub fn asks(&self) -> Option<&PolicyForm> {
        match self.beside.as_deref() {
            Some(Beside::Asks(form)) => Some(form),
            _ => None,
        }
    }
}

/// The problem types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// 400
    InvalidRequest,
    /// 404
    NotFound,
    /// 409: the target of a failover is not up, or drained.
    TargetNotUp,
    /// 409
    NothingToUndo,
    /// 409: one health override per target.
    OverrideExists,
    /// 409: the verb does not fit the root of this policy; the detail names the PUT to use.
    PolicyMismatch,
    /// 409: the file alone moves this service's traffic; the detail names the place.
    ManagedElsewhere,
    /// 409: guards stand in the way.
    GuardRefused,
    /// 409: a second person must confirm it.
    ConfirmationNeeded,
    /// 409: a shift of the service is under way.
    ShiftInProgress,
    /// 409: the shift has ended, so it can't be ordered about.
    ShiftOver,
    /// 412
    RevisionMismatch,
    /// 503: the store can't write, or too many changes wait.
    StoreUnavailable,
}

/// One fault of a refused change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the request's body, `/policy/weighted/us-east`; may be empty.
    pub pointer: String,
    /// Stable word.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
}
