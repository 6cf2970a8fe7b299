//! What one probe found.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Load, Timestamp};

/// One attempt's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Pass,
    /// As expected, and yet not well, by the monitor's rule. Counts as a pass for Up and Down.
    Degraded {
        /// One sentence for people: slow, or what the response says of itself.
        message: String,
    },
    /// 429 or 503 with `Retry-After`, where the monitor has a rule for it: what it counts as depends on how long it lasts.
    Busy {
        /// One sentence for people.
        message: String,
        /// The wait that was asked for.
        retry_after: Duration,
    },
    /// Not as expected.
    Fail {
        /// From a closed list: the metric label.
        reason: Reason,
        /// One sentence for people: what was expected, what came.
        message: String,
    },
}

impl Outcome {
    /// The label, and the word in API and CLI.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Degraded { .. } => "degraded",
            Outcome::Busy { .. } => "busy",
            Outcome::Fail { .. } => "fail",
        }
    }

    /// Its sentence; a clean pass has none.
    pub fn message(&self) -> Option<&str> {
        match self {
            Outcome::Pass => None,
            Outcome::Degraded { message } | Outcome::Busy { message, .. } | Outcome::Fail { message, .. } => Some(message),
        }
    }

    /// Answered as expected, degraded or not.
    pub fn passed(&self) -> bool {
        matches!(self, Outcome::Pass | Outcome::Degraded { .. })
    }
}

/// What a response told of its endpoint's weight or load.
#[derive(Clone, Debug, PartialEq)]
pub enum Reported {
    /// A finite number that makes sense.
    Number(f64),
    /// Nothing that can be used: why, in one sentence.
    Useless(String),
}

/// The number is finite.
impl Eq for Reported {}

/// When the data of an endpoint's region was last synchronised, as its response told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataAt {
    /// Then.
    Told(Timestamp),
    /// Nothing that can be used: why, in one sentence.
    Useless(String),
}

/// How much is asked of an endpoint, as its response told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadRead {
    /// So much.
    Told(Load),
    /// Nothing that can be used: why, in one sentence.
    Useless(String),
}

/// Why a probe failed. Closed list: these are metric label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host name has no address that we know of.
    Resolve,
    /// The deadline passed.
    Timeout,
    /// The connection was refused.
    Refused,
    /// No route, network unreachable, or another error before a connection stood.
    Unreachable,
    /// The connection was reset or closed before a whole response came.
    Reset,
    /// TLS handshake or certificate.
    Tls,
    /// The response is not of the protocol that was asked for.
    Protocol,
    /// The status that the peer tells is not an expected one (HTTP, DNS, gRPC).
    Status,
    /// What the peer sent does not contain what was expected.
    Body,
    /// A program says that all is not well (`exec`).
    Exit,
    /// An outside system says so (`push`).
    Pushed,
    /// An outside system has said nothing for too long (`push`).
    Silence,
    /// This node could not even try (no descriptor, no memory, no permission): nothing is known of the target, so no verdict follows.
    Internal,
}

impl Reason {
    /// All of them, in label order.
    pub const ALL: [Reason; 13] = [
        Reason::Resolve,
        Reason::Timeout,
        Reason::Refused,
        Reason::Unreachable,
        Reason::Reset,
        Reason::Tls,
        Reason::Protocol,
        Reason::Status,
        Reason::Body,
        Reason::Exit,
        Reason::Pushed,
        Reason::Silence,
        Reason::Internal,
    ];

    /// The label.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Resolve => "resolve",
            Reason::Timeout => "timeout",
            Reason::Refused => "refused",
            Reason::Unreachable => "unreachable",
            Reason::Reset => "reset",
            Reason::Tls => "tls",
            Reason::Protocol => "protocol",
            Reason::Status => "status",
            Reason::Body => "body",
            Reason::Exit => "exit",
            Reason::Pushed => "pushed",
            Reason::Silence => "silence",
            Reason::Internal => "internal",
        }
    }
}

/// A part of a probe, for timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for the addresses of a host name; entered only when none are known yet.
    Resolve,
    /// TCP handshake.
    Connect,
    /// TLS handshake.
    Tls,
    /// Request sent to first byte of the response's head.
    Request,
    /// Reading the body.
    Body,
}

impl Phase {
    /// The label.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Request => "request",
            Phase::Body => "body",
        }
    }
}

/// One probe, with what people want to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// Pass, fail, or something between.
    pub outcome: Outcome,
    /// When it ended.
    pub at: Timestamp,
    /// From start to end.
    pub took: Duration,
    /// Each phase that was entered, in order, and how long it took.
    pub phases: Vec<(Phase, Duration)>,
    /// HTTP status code, if one came.
    pub status: Option<u16>,
    /// When the first certificate of the chain expires, if TLS was spoken.
    pub certificate_expires: Option<Timestamp>,
    /// What is not wrong yet and should be looked at, in one sentence: a certificate that ends soon, a host name that can't be resolved any more.
    pub warning: Option<String>,
    /// How the target's host name was resolved, if it has one and it was.
    pub resolved: Option<Arc<Resolved>>,
    /// What the response told of its endpoint's weight, if the monitor asks.
    pub reported: Option<Reported>,
    /// When the data was last synchronised, as the response told, if the monitor asks.
    pub data_at: Option<DataAt>,
    /// How much is asked of the endpoint, as the response told, if the monitor asks.
    pub load: Option<LoadRead>,
}

impl ProbeReport {
    /// An outcome alone.
    pub fn new(outcome: Outcome, at: Timestamp, took: Duration) -> Self {
        Self {
            outcome,
            at,
            took,
            phases: Vec::new(),
            status: None,
            certificate_expires: None,
            warning: None,
            resolved: None,
            reported: None,
            data_at: None,
            load: None,
        }
    }
}

/// The addresses of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// In the resolver's order; at least one.
    pub addresses: Vec<IpAddr>,
    /// When the resolver said so.
    pub at: Timestamp,
}
