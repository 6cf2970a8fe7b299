//! What happens around every request: an id, a deadline, who asks, the problem's body, the metric, the log line.
//!
//! ```text
//! request ─▶ watch (id, metric, problem body) ─▶ catch panic ─▶ deadline ─▶ Host ─▶ who asks ─▶ scope ─▶ handler
//! ```

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{debug, info, warn};

use crate::control::{Actor, Call, Event, Origin};

use super::App;
use super::api::{Problem, ProblemKind};
use super::auth::{self, Caller, Peer};
use super::body;
use super::door::ORIGIN;
use super::origin;
use super::problem::Refused;
use super::router::{Route, Touches};

/// Longest time that a request may take, its body included.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(10);

/// The same for an upgrade, which checks a file twice and starts a process.
pub(super) const UPGRADE_MAX: Duration = Duration::from_secs(120);

/// The same for a probe run to be looked at, which has a deadline of its own.
pub(super) const PROBE_MAX: Duration = Duration::from_secs(35);

/// The same for a replay, which plays two configurations at most, with a deadline each.
pub(super) const REPLAY_MAX: Duration = Duration::from_secs(100);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Outermost: gives the request an id, counts it, writes the problem's body.
pub(super) async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = auth::random_id::<8>();
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    // Labels come from the routes, never from what was asked.
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_string()).unwrap_or("none".to_string());
    let peer = request.extensions().get::<Peer>().map(Peer::place).unwrap_or_default();
    let origin = Origin { peer, request: id.clone(), claim: None };
    let mut response = ORIGIN.scope(origin.clone(), next.run(request)).await;
    let took = began.elapsed();
    let actor = response.extensions_mut().remove::<Actor>().map(|Actor(actor)| actor).unwrap_or_default();
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && response.extensions().get::<Box<Problem>>().is_none() {
        let detail = format!("{method} is not possible here; the Allow header says what is");
        response.extensions_mut().insert(Box::new(Problem::new(ProblemKind::MethodNotAllowed, detail)));
    }
    let problem = response.extensions_mut().remove::<Box<Problem>>();
    let detail = problem.as_ref().map(|problem| problem.detail.clone()).unwrap_or_default();
    let call = Call { actor: actor.clone(), origin, what: format!("{method} {route}"), path: path.clone(), status: response.status().as_u16(), detail };
    if is_audited(&method, &call) {
        app.parts.door.mention(Event::Called(call));
    }
    if let Some(problem) = problem {
        info!(request.id = id, actor, status = problem.status, "{method} {path}: {}", problem.detail);
        response = with_problem(response, Problem { instance: Some(path), request_id: Some(id.clone()), ..*problem });
    } else {
        debug!(request.id = id, actor, status = response.status().as_u16(), took_ms = took.as_millis() as u64, "{method} {path}");
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let method = if KNOWN_METHODS.contains(&method.as_str()) { method.as_str() } else { "other" };
    app.parts.metrics.api_request(method, &route, response.status().as_u16(), took);
    response
}

/// Refused changes, and what is done without a commit of the store. Refused looks are no matter for the audit, unless nobody knows who asks.
fn is_audited(method: &Method, call: &Call) -> bool {
    let looks = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match call.status {
        // Who guesses tokens is slowed down after a while, and guesses on.
        401 | 429 => true,
        403 | 409 => !looks,
        101 | 200..300 => ["/upgrade", "/handover"].iter().any(|end| call.what.ends_with(end)),
        _ => false,
    }
}

/// Label values; anything else a client invents is `other`.
const KNOWN_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Keeps status and headers, puts in the document (RFC 9457, section 3).
fn with_problem(response: Response, problem: Problem) -> Response {
    let (mut parts, _) = response.into_parts();
    let body = Json(problem).into_response().into_body();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, body)
}

/// A panic is a bug: the request fails, the daemon goes on. What it said may hold secrets and stays out of the reply.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    warn!("a request failed by a bug in this program; the rest goes on");
    Refused::new(ProblemKind::Internal, "this is a bug in the server; the rest of it goes on").into_response()
}

/// No wait without a deadline.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    let most = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(route) if route.ends_with("/upgrade") => UPGRADE_MAX,
        Some(route) if route.ends_with("/probe") => PROBE_MAX,
        Some(route) if route.ends_with("/replay") => REPLAY_MAX,
        _ => REQUEST_MAX,
    };
    tokio::time::timeout(most, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("no reply within {} s; a change may still be made, so look before you repeat it", most.as_secs());
        Refused::new(ProblemKind::StoreUnavailable, detail).into_response()
    })
}

/// `Host` is one of ours and `Origin` no other's (TCP alone), and the caller is known.
pub(super) async fn who(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Refused> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Err(Refused::new(ProblemKind::Internal, "nobody knows where this request came from"));
    };
    if peer.is_tcp() {
        origin::check_host(request.uri(), request.headers(), &app.hosts)?;
        origin::check_origin(request.method(), request.uri(), request.headers())?;
    }
    let caller = auth::caller(&peer, request.headers(), &app).await?;
    let actor = caller.actor.clone();
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    Ok(response)
}

/// `Host` is one of ours, for pages that need no token.
pub(super) async fn host(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refused> {
    if request.extensions().get::<Peer>().is_none_or(Peer::is_tcp) {
        origin::check_host(request.uri(), request.headers(), &app.hosts)?;
    }
    Ok(next.run(request).await)
}

/// The caller's scope is large enough for this route, and the service in its path is one that the caller may change.
pub(super) async fn may(State(route): State<Route>, request: Request, next: Next) -> Result<Response, Refused> {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Err(Refused::new(ProblemKind::Internal, "nobody asked who asks"));
    };
    if caller.scope < route.needs {
        return Err(Refused::scope(&caller.actor.0, caller.scope, route.needs));
    }
    body::check_query(&route, request.uri())?;
    let (mut parts, body) = request.into_parts();
    match route.touches {
        Touches::Nothing | Touches::Services => (),
        Touches::Node => caller.may_touch_the_node()?,
        Touches::Service => {
            let params = RawPathParams::from_request_parts(&mut parts, &()).await;
            let params = params.map_err(|_| Refused::new(ProblemKind::InvalidRequest, "the path is not UTF-8"))?;
            let service = params.iter().find(|(key, _)| *key == "service").map(|(_, name)| name);
            caller.may_touch(service)?;
        }
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}
