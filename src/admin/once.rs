//! `Idempotency-Key`: a change whose reply was lost can be asked for again, and is made once.
//!
//! Kept in memory: per actor and key what was asked and what was replied, for a day, within bounds; a restart forgets. Only changes that were made are kept: what
//! was refused has changed nothing and is tried anew. Never kept: dry runs, and a new token's secret, which is shown once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use super::App;
use super::api::{Fault, ProblemKind};
use super::auth::Caller;
use super::body;
use super::door::ORIGIN;
use super::problem::Refused;

/// So long a reply is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Keys of one actor, and of all; the oldest goes.
const PER_ACTOR_MAX: usize = 500;
const ALL_MAX: usize = 2_000;
/// Octets of all replies.
const OCTETS_MAX: usize = 16 << 20;
/// Longest key.
const KEY_MAX: usize = 255;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Who, and under which key.
type Name = (String, String);

/// The replies.
#[derive(Default)]
pub(super) struct Replies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<Name, Entry>,
    octets: usize,
    next: u64,
}

struct Entry {
    /// Hash of what was asked.
    asked: [u8; 32],
    /// `None`: under way.
    reply: Option<Arc<Reply>>,
    at: Instant,
    /// Counts up: the smallest is the oldest.
    number: u64,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    octets: Bytes,
}

/// What to do with a request.
enum Turn {
    /// Go on; then [`Replies::done`] or [`Replies::forget`].
    Go,
    Replay(Arc<Reply>),
}

impl Replies {
    fn begin(&self, name: &Name, asked: [u8; 32], now: Instant) -> Result<Turn, Refused> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.entries.get(name).filter(|entry| entry.reply.is_none() || now.saturating_duration_since(entry.at) < KEPT_FOR) {
            if entry.asked != asked {
                let mut refused = Refused::new(ProblemKind::KeyReused, "this Idempotency-Key was sent with another request before; nothing was changed");
                let hint = "use a new key for a new request, and the same one only to repeat the very same".to_string();
                refused.problem.errors.push(Fault {
                    code: "idempotency-key".into(),
                    message: "the key belongs to another request".into(),
                    hint,
                    ..Fault::default()
                });
                return Err(refused);
            }
            return match &entry.reply {
                Some(reply) => Ok(Turn::Replay(reply.clone())),
                None => {
                    let refused =
                        Refused::new(ProblemKind::RequestInProgress, "the same request with this Idempotency-Key is under way; ask again in a moment");
                    Err(Refused { retry_after: Some(1), ..refused })
                }
            };
        }
        kept.remove(name);
        kept.make_room(&name.0, now);
        kept.next += 1;
        let number = kept.next;
        kept.entries.insert(name.clone(), Entry { asked, reply: None, at: now, number });
        Ok(Turn::Go)
    }

    fn done(&self, name: &Name, reply: Reply, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.octets += reply.octets.len();
        if let Some(entry) = kept.entries.get_mut(name) {
            (entry.reply, entry.at) = (Some(Arc::new(reply)), now);
        }
        while kept.octets > OCTETS_MAX && kept.remove_oldest(|_| true) {}
    }

    fn forget(&self, name: &Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

impl Kept {
    fn remove(&mut self, name: &Name) {
        let octets = self.entries.remove(name).and_then(|entry| entry.reply).map_or(0, |reply| reply.octets.len());
        self.octets = self.octets.saturating_sub(octets);
    }

    /// Linear in a small table, once per change with a key.
    fn make_room(&mut self, actor: &str, now: Instant) {
        let old = |entry: &Entry| entry.reply.is_some() && now.saturating_duration_since(entry.at) >= KEPT_FOR;
        let names: Vec<Name> = self.entries.iter().filter(|(_, entry)| old(entry)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.remove(name));
        if self.entries.keys().filter(|(of, _)| of == actor).count() >= PER_ACTOR_MAX {
            self.remove_oldest(|(of, _)| of == actor);
        }
        if self.entries.len() >= ALL_MAX {
            self.remove_oldest(|_| true);
        }
    }

    /// The oldest that has its reply; `false`: there is none.
    fn remove_oldest(&mut self, of: impl Fn(&Name) -> bool) -> bool {
        let done = self.entries.iter().filter(|(name, entry)| entry.reply.is_some() && of(name));
        let oldest = done.min_by_key(|(_, entry)| entry.number).map(|(name, _)| name.clone());
        oldest.as_ref().map(|name| self.remove(name)).is_some()
    }
}

/// Takes the key away again if the request ends otherwise than by a reply that is kept.
struct UnderWay {
    app: App,
    name: Option<Name>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.app.replies.forget(&name);
        }
    }
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
    let name = (actor.0.clone(), key.to_string());
    let (parts, body) = request.into_parts();
    let octets = body::whole(body).await?;
    let mut asked = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), parts.uri.query().unwrap_or_default().as_bytes(), &octets] {
        asked.update((part.len() as u64).to_be_bytes());
        asked.update(part);
    }
    if let Turn::Replay(reply) = app.replies.begin(&name, asked.finalize().into(), Instant::now())? {
        let mut headers = reply.headers.clone();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        return Ok((reply.status, headers, reply.octets.clone()).into_response());
    }
    let mut under_way = UnderWay { app: app.clone(), name: Some(name) };
    let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
    // A task of its own: the change goes on when its client goes away, and so must the memory of it.
    let task = tokio::spawn(ORIGIN.scope(origin, async move {
        let response = next.run(Request::from_parts(parts, octets.into())).await;
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let failed = |_| Refused::new(ProblemKind::Internal, "the reply could not be put together; this is a bug");
        let octets = body.collect().await.map_err(failed)?.to_bytes();
        if let Some(name) = under_way.name.take() {
            let headers = [header::CONTENT_TYPE, header::ETAG].into_iter().filter_map(|name| Some((name.clone(), parts.headers.get(&name)?.clone())));
            under_way.app.replies.done(&name, Reply { status: parts.status, headers: headers.collect(), octets: octets.clone() }, Instant::now());
        }
        Ok(Response::from_parts(parts, octets.into()))
    }));
    task.await.map_err(|_| Refused::new(ProblemKind::Internal, "this is a bug in the server; the rest of it goes on"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(actor: &str, key: usize) -> Name {
        (actor.to_string(), key.to_string())
    }

    fn reply(octets: usize) -> Reply {
        Reply { status: StatusCode::OK, headers: HeaderMap::new(), octets: vec![0; octets].into() }
    }

    #[test]
    fn a_day_and_bounds() {
        let (replies, now) = (Replies::default(), Instant::now());
        let first = name("one", 0);
        assert!(matches!(replies.begin(&first, [1; 32], now), Ok(Turn::Go)));
        assert_eq!(replies.begin(&first, [1; 32], now).err().unwrap().problem.status, 409);
        replies.done(&first, reply(10), now);
        let later = now + KEPT_FOR - Duration::from_secs(1);
        assert!(matches!(replies.begin(&first, [1; 32], later), Ok(Turn::Replay(_))));
        assert_eq!(replies.begin(&first, [2; 32], later).err().unwrap().problem.status, 422);
        assert!(matches!(replies.begin(&first, [2; 32], now + KEPT_FOR), Ok(Turn::Go)), "after a day it is free");
        replies.forget(&first);
        let sizes = || {
            let kept = replies.0.lock().unwrap();
            (kept.entries.len(), kept.octets)
        };
        assert_eq!(sizes(), (0, 0));

        let other = name("other", 0);
        assert!(matches!(replies.begin(&other, [1; 32], now), Ok(Turn::Go)));
        replies.done(&other, reply(1), now);
        for key in 0..3 * PER_ACTOR_MAX {
            assert!(matches!(replies.begin(&name("one", key), [1; 32], now), Ok(Turn::Go)));
            replies.done(&name("one", key), reply(1), now);
        }
        assert_eq!(sizes().0, PER_ACTOR_MAX + 1);
        assert!(matches!(replies.begin(&other, [1; 32], now), Ok(Turn::Replay(_))), "nobody loses a key by another's many");
        let large = name("large", 0);
        assert!(matches!(replies.begin(&large, [1; 32], now), Ok(Turn::Go)));
        replies.done(&large, reply(OCTETS_MAX), now);
        assert!(sizes().1 <= OCTETS_MAX);
        assert!(matches!(replies.begin(&large, [1; 32], now), Ok(Turn::Replay(_))), "the oldest went");
    }
}
