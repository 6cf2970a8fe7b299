//! Refusals: RFC 9457 `application/problem+json`, every fault at once, with what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::{self, RefusalKind};
use crate::model::GuardKind;

/// What problem types begin with (RFC 9457, section 3.1.1); the rest is the stable word.
const TYPE_BASE: &str = "urn:windrose:problem:";

/// A refused request. Nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable; ends in the word of its [`ProblemKind`].
    #[serde(rename = "type")]
    pub type_: String,
    /// The kind in words, the same for every occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, one sentence.
    pub detail: String,
    /// The path that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Names this request in the server's log; also the header `X-Request-Id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The nearest name that exists, on `not-found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// The revision of the resource as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What a second person confirms, on `confirmation-needed`: `c-7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<String>,
    /// The resource as it is, on `revision-mismatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<serde_json::Value>,
}

/// One fault of a request or a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// JSON pointer into the request's body (RFC 6901); empty: the whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// `windrose.toml:12:5`, for faults of a configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Stable word.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// What would be, for guards with a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

impl From<control::Fault> for Fault {
    fn from(fault: control::Fault) -> Self {
        let control::Fault { pointer, code, message, hint } = fault;
        Self { pointer, code: code.to_string(), message, hint, ..Self::default() }
    }
}

impl From<control::GuardFinding> for Fault {
    fn from(finding: control::GuardFinding) -> Self {
        let control::GuardFinding { guard, ok: _, overridden: _, value, limit, services: _, message, way_on } = finding;
        let pointer = if guard == GuardKind::RequireReason { "/reason".to_string() } else { String::new() };
        Self { pointer, place: None, code: guard.word().to_string(), message, hint: way_on, value, limit }
    }
}

/// The problem types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// 400: the request can't be read.
    InvalidRequest,
    /// 401: no token, or not one of ours.
    Unauthorized,
    /// 403: the token's scope is too small, or the `Host` is not ours.
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409: the target of a failover is not up, or drained.
    TargetNotUp,
    /// 409
    NothingToUndo,
    /// 409: one health override per target.
    OverrideExists,
    /// 409: the verb does not fit the root of this policy.
    PolicyMismatch,
    /// 409: the file alone moves this service's traffic.
    ManagedElsewhere,
    /// 409: no new process has taken over; the old one serves on.
    UpgradeFailed,
    /// 409: nothing probes it.
    NothingToProbe,
    /// 409: guards stand in the way; each is listed.
    GuardRefused,
    /// 409: a second person must confirm it; `confirmation` says what.
    ConfirmationNeeded,
    /// 409: a shift of the service is under way.
    ShiftInProgress,
    /// 409: the shift has ended.
    ShiftOver,
    /// 412
    RevisionMismatch,
    /// 413
    PayloadTooLarge,
    /// 415: the body is something else than JSON.
    UnsupportedMediaType,
    /// 422: the configuration on disk has problems; the old one serves on.
    InvalidConfig,
    /// 428
    IfMatchRequired,
    /// 429: too many at once; try again.
    RateLimited,
    /// 409: a request with this `Idempotency-Key` is under way.
    RequestInProgress,
    /// 422: the `Idempotency-Key` belongs to another request.
    KeyReused,
    /// 500: a bug.
    Internal,
    /// 503: the store can't write, too many changes wait, or the server is stopping.
    StoreUnavailable,
}

impl ProblemKind {
    /// All of them.
    pub const ALL: [ProblemKind; 26] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TargetNotUp,
        Self::NothingToUndo,
        Self::OverrideExists,
        Self::PolicyMismatch,
        Self::ManagedElsewhere,
        Self::UpgradeFailed,
        Self::NothingToProbe,
        Self::GuardRefused,
        Self::ConfirmationNeeded,
        Self::ShiftInProgress,
        Self::ShiftOver,
        Self::RevisionMismatch,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidConfig,
        Self::IfMatchRequired,
        Self::RateLimited,
        Self::RequestInProgress,
        Self::KeyReused,
        Self::Internal,
        Self::StoreUnavailable,
    ];

    /// The stable word, the HTTP status and the title.
    pub fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidRequest => ("invalid-request", 400, "Invalid request"),
            Self::Unauthorized => ("unauthorized", 401, "No valid token"),
            Self::Forbidden => ("forbidden", 403, "Not allowed"),
            Self::NotFound => ("not-found", 404, "Not found"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "Method not allowed"),
            Self::TargetNotUp => ("target-not-up", 409, "Target is not up"),
            Self::NothingToUndo => ("nothing-to-undo", 409, "Nothing to undo"),
            Self::OverrideExists => ("override-exists", 409, "An override is there already"),
            Self::PolicyMismatch => ("policy-mismatch", 409, "The policy has another form"),
            Self::ManagedElsewhere => ("managed-elsewhere", 409, "Managed by the file"),
            Self::UpgradeFailed => ("upgrade-failed", 409, "Not upgraded"),
            Self::NothingToProbe => ("nothing-to-probe", 409, "Not probed"),
            Self::RateLimited => ("rate-limited", 429, "Too many at once"),
            Self::GuardRefused => ("guard-refused", 409, "Refused by guards"),
            Self::ConfirmationNeeded => ("confirmation-needed", 409, "A second person must confirm it"),
            Self::ShiftInProgress => ("shift-in-progress", 409, "A shift is under way"),
            Self::ShiftOver => ("shift-over", 409, "The shift has ended"),
            Self::RevisionMismatch => ("revision-mismatch", 412, "Changed by somebody else meanwhile"),
            Self::PayloadTooLarge => ("payload-too-large", 413, "Request is too large"),
            Self::UnsupportedMediaType => ("unsupported-media-type", 415, "The body is not JSON"),
            Self::InvalidConfig => ("invalid-config", 422, "The configuration has problems"),
            Self::IfMatchRequired => ("if-match-required", 428, "If-Match is required"),
            Self::RequestInProgress => ("request-in-progress", 409, "The same request is under way"),
            Self::KeyReused => ("key-reused", 422, "The Idempotency-Key belongs to another request"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::StoreUnavailable => ("store-unavailable", 503, "The store can't be written"),
        }
    }

    /// The stable word, last segment of the problem's type.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().1
    }
}

impl From<RefusalKind> for ProblemKind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::InvalidRequest => Self::InvalidRequest,
            RefusalKind::NotFound => Self::NotFound,
            RefusalKind::TargetNotUp => Self::TargetNotUp,
            RefusalKind::NothingToUndo => Self::NothingToUndo,
            RefusalKind::OverrideExists => Self::OverrideExists,
            RefusalKind::PolicyMismatch => Self::PolicyMismatch,
            RefusalKind::ManagedElsewhere => Self::ManagedElsewhere,
            RefusalKind::GuardRefused => Self::GuardRefused,
            RefusalKind::ConfirmationNeeded => Self::ConfirmationNeeded,
            RefusalKind::ShiftInProgress => Self::ShiftInProgress,
            RefusalKind::ShiftOver => Self::ShiftOver,
            RefusalKind::RevisionMismatch => Self::RevisionMismatch,
            RefusalKind::StoreUnavailable => Self::StoreUnavailable,
        }
    }
}

impl Problem {
    /// A problem of this kind with one sentence.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (word, status, title) = kind.row();
        Self { type_: format!("{TYPE_BASE}{word}"), title: title.to_string(), status, detail: detail.into(), ..Self::default() }
    }

    /// The kind, if this program knows it.
    pub fn kind(&self) -> Option<ProblemKind> {
        let word = self.type_.strip_prefix(TYPE_BASE)?;
        ProblemKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl From<control::Refusal> for Problem {
    fn from(refusal: control::Refusal) -> Self {
        let control::Refusal { kind, detail, faults, revision, guards, confirmation, beside } = refusal;
        let errors = guards.into_iter().map(Fault::from).chain(faults.into_iter().map(Fault::from)).collect();
        let (revision, confirmation) = (revision.map(|revision| revision.0), confirmation.map(|id| format!("c-{id}")));
        let did_you_mean = beside.and_then(|beside| if let control::Beside::Nearest(near) = *beside { Some(near) } else { None });
        Self { errors, revision, confirmation, did_you_mean, ..Self::new(kind.into(), detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_type() {
        for kind in ProblemKind::ALL {
            assert_eq!(Problem::new(kind, "").kind(), Some(kind));
        }
        assert_eq!(Problem { type_: "about:blank".into(), ..Problem::default() }.kind(), None);
    }

    #[test]
    fn a_refusal_keeps_its_faults_and_revision() {
        let fault = control::Fault { pointer: "/policy/weighted/dx".into(), code: "unknown", message: "no such pool".into(), hint: "did you mean dr?".into() };
        let refusal =
            control::Refusal { faults: vec![fault], revision: Some(control::Revision(42)), ..control::Refusal::new(RefusalKind::RevisionMismatch, "x") };
        let problem = Problem::from(refusal);
        assert_eq!((problem.status, problem.revision, problem.errors.len()), (412, Some(42), 1));
        let text = serde_json::to_string(&problem).unwrap();
        assert!(text.contains("revision-mismatch") && text.contains("/policy/weighted/dx"), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    }
}
