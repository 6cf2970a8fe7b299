//! `Idempotency-Key`: a change whose reply was lost can be asked for again, and is made once.
//!
//! Per actor and key, for a day, within bounds, in the store: the claim goes into the commit that makes the change, the reply is kept before it is sent
//! (`control/replies.rs`). Only changes that were made are kept: what was refused has changed nothing and is tried anew. Never kept: dry runs, and a new
//! token's secret, which is shown once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use crate::control::{Claim, Event, FinishedReply, KeptReply, Made, Origin};

use super::api::{self, Fault, ProblemKind};
use super::auth::{Caller, hex};
use super::body;
use super::door::ORIGIN;
use super::problem::Refused;
use super::{App, view};

/// Longest key.
const KEY_MAX: usize = 255;
/// Larger replies are not kept; who asks again is told what was made.
const REPLY_MAX: usize = 1 << 20;
/// So long a reply waits to be kept. The change is made by then, and claimed.
const KEEP_WITHIN: Duration = Duration::from_secs(2);

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Requests with a key that are under way: what was asked, by the id of their claim.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashMap<Arc<str>, String>>);

/// One of them, until dropped.
struct Turn {
    app: App,
    id: Arc<str>,
}

impl UnderWay {
    fn begin(&self, claim: &Claim) -> Result<(), Refused> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get(&claim.id) {
            None => {
                under_way.insert(claim.id.clone(), claim.asked.clone());
                Ok(())
            }
            Some(asked) if *asked == claim.asked => {
                let refused = Refused::new(ProblemKind::RequestInProgress, "the same request with this Idempotency-Key is under way; ask again in a moment");
                Err(Refused { retry_after: Some(1), ..refused })
            }
            Some(_) => Err(another_request()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.app.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

fn another_request() -> Refused {
    let mut refused = Refused::new(ProblemKind::KeyReused, "this Idempotency-Key was sent with another request before; nothing was changed");
    let hint = "use a new key for a new request, and the same one only to repeat the very same".to_string();
    refused.problem.errors.push(Fault { code: "idempotency-key".into(), message: "the key belongs to another request".into(), hint, ..Fault::default() });
    refused
}

/// Around the handler of a change.
pub(super) async fn once(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refused> {
    let dry = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "dry_run=true"));
    let Some(key) = request.headers().get(KEY) else { return Ok(next.run(request).await) };
    let plain = |key: &&str| (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|octet| octet.is_ascii_graphic());
    let key = key.to_str().ok().filter(plain).ok_or_else(|| {
        let (message, hint) = ("the Idempotency-Key is not 1 to 255 visible characters".to_string(), "a UUID is fine".to_string());
        Refused::invalid(vec![Fault { code: "idempotency-key".into(), message, hint, ..Fault::default() }])
    })?;
    if dry {
        return Ok(next.run(request).await);
    }
    let Some(Caller { actor, .. }) = request.extensions().get::<Caller>() else {
        return Err(Refused::new(ProblemKind::Internal, "nobody asked who asks"));
    };
    let (id, actor) = (digest(&[actor.0.as_bytes(), key.as_bytes()]), actor.0.clone());
    let (parts, body) = request.into_parts();
    let octets = body::whole(body).await?;
    let asked = digest(&[parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), parts.uri.query().unwrap_or_default().as_bytes(), &octets]);
    let claim = Claim { id: id.into(), actor, asked };
    app.under_way.begin(&claim)?;
    let turn = Turn { app: app.clone(), id: claim.id.clone() };
    let id = claim.id.clone();
    if let Some(kept) = app.look(move |core, now| core.kept_reply(&id, now).cloned()).await? {
        return if kept.asked == claim.asked { again(&app, kept, &parts.method).await } else { Err(another_request()) };
    }
    let origin = Origin { claim: Some(claim.clone()), ..ORIGIN.try_with(Clone::clone).unwrap_or_default() };
    // A task of its own: the change goes on when its client goes away, and so must the memory of it.
    let task = tokio::spawn(ORIGIN.scope(origin, async move {
        let _until_it_is_done = turn;
        let response = next.run(Request::from_parts(parts, octets.into())).await;
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let failed = |_| Refused::new(ProblemKind::Internal, "the reply could not be put together; this is a bug");
        let octets = body.collect().await.map_err(failed)?.to_bytes();
        let text = std::str::from_utf8(&octets).ok().filter(|text| text.len() <= REPLY_MAX);
        let reply = text.map(|text| FinishedReply { status: parts.status.as_u16(), headers: worth_keeping(&parts.headers), body: text.into() });
        // A store that fails now keeps it in memory, and the claim is durable.
        let kept = app.parts.door.ask(|ticket| Event::Replied { ticket, claim, reply });
        let _ = tokio::time::timeout(KEEP_WITHIN, kept).await;
        Ok(Response::from_parts(parts, octets.into()))
    }));
    task.await.map_err(|_| Refused::new(ProblemKind::Internal, "this is a bug in the server; the rest of it goes on"))?
}

fn worth_keeping(headers: &HeaderMap) -> Vec<(String, String)> {
    let all = [header::CONTENT_TYPE, header::ETAG].into_iter();
    all.filter_map(|name| Some((name.to_string(), headers.get(&name)?.to_str().ok()?.to_string()))).collect()
}

/// The reply of the first time; if it was lost, what was made.
async fn again(app: &App, kept: KeptReply, method: &Method) -> Result<Response, Refused> {
    let mut response = match (&kept.reply, kept.made) {
        (Some(FinishedReply { status, headers, body }), _) => {
            let mut response = (StatusCode::from_u16(*status).unwrap_or(StatusCode::OK), body.to_string()).into_response();
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        (None, Some(Made { revision, override_ })) => {
            let at: api::Time = kept.at().into();
            let number = override_;
            let found = app.look(move |core, _| core.overrides().into_iter().find(|kept| Some(kept.id) == number).map(|kept| kept.record.clone())).await?;
            let reply = api::ChangeReply {
                revision,
                applied: Some(api::AppliedAt { node: app.parts.node.clone(), at }),
                clients_follow_by: at,
                override_: number.zip(found).map(|(id, record)| view::record(id, &record, true)),
                messages: vec![format!(
                    "this was made before, at revision {revision}; its first reply is not kept: `windrose history` and the audit say what it moved"
                )],
                ..api::ChangeReply::default()
            };
            let begun = *method == Method::POST && number.is_some();
            (if begun { StatusCode::CREATED } else { StatusCode::OK }, Json(reply)).into_response()
        }
        (None, None) => return Err(Refused::new(ProblemKind::Internal, "this was made before, and its reply is not kept; this is a bug")),
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Hash of parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}
