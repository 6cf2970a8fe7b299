//! Refusals on their way out.
//!
//! A handler returns [`Refused`]; the problem travels in the response's extensions to [`middleware`](super::middleware), which knows the path and the
//! request's id and writes the body. So there is one place that makes problem documents.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::control::{Refusal, Scope};

use super::api::{Fault, Problem, ProblemKind};
use super::door::Closed;

/// A refused request: a problem, and perhaps the ETag of the resource as it is.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub problem: Box<Problem>,
    pub etag: Option<HeaderValue>,
    /// `Retry-After`, seconds.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// A problem of this kind with one sentence.
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(kind, detail)), etag: None, retry_after: None }
    }

    /// Something that does not exist, with the nearest thing that does.
    pub(super) fn not_found<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let near = crate::model::did_you_mean(name, known);
        let hint = near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let mut refused = Self::new(ProblemKind::NotFound, format!("there is no {what} `{name}`{hint}"));
        refused.problem.did_you_mean = near;
        refused
    }

    /// A request that can't be read.
    pub(super) fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [one] => format!("{}; nothing was changed", one.message),
            many => format!("the request has {} faults; nothing was changed", many.len()),
        };
        let mut refused = Self::new(ProblemKind::InvalidRequest, detail);
        refused.problem.errors = faults;
        refused
    }

    /// Too many wrong tokens from there.
    pub(super) fn slow_down(address: IpAddr, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        let detail = format!("too many wrong tokens came from {address}; the next one is looked at in {seconds} s");
        let mut refused = Self::new(ProblemKind::RateLimited, detail);
        let hint = "find out who sends wrong tokens from there; a token that was right within the last hour still is, and on the server's host the unix socket never waits";
        refused.problem.errors.push(Fault { code: "attempts".into(), message: "too many wrong tokens".into(), hint: hint.into(), ..Fault::default() });
        Self { retry_after: Some(seconds), ..refused }
    }

    /// The scope is too small.
    pub(super) fn scope(actor: &str, has: Scope, needs: Scope) -> Self {
        let (has, needs) = (has.word(), needs.word());
        let hint = match actor.starts_with("socket:") {
            true => "run it as root or as the user that the server runs as, or use a token with that scope".to_string(),
            false => format!("use a token with that scope; an admin makes one with `windrose token create NAME --scope {needs}`"),
        };
        let mut refused = Self::new(ProblemKind::Forbidden, format!("this needs the scope `{needs}`, and {actor} has `{has}`"));
        refused.problem.errors.push(Fault { code: format!("scope-{needs}"), message: format!("the scope `{needs}` is missing"), hint, ..Fault::default() });
        refused
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { problem: Box::new(Problem::from(refusal)), etag: None, retry_after: None }
    }
}

impl From<Closed> for Refused {
    fn from(closed: Closed) -> Self {
        Self::new(ProblemKind::StoreUnavailable, closed.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 11.6.1; RFC 6750, section 3.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"windrose\""));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(1)));
        }
        if let Some(etag) = self.etag {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response.extensions_mut().insert(self.problem);
        response
    }
}
