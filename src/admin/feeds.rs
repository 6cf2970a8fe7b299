//! Events as list and stream, and the audit.
//!
//! ```text
//! GET /events/stream ─▶ listen to what comes ─▶ the ring since Last-Event-ID (or `event: reset`) ─▶ what comes, a sign of life every 15 s
//! ```
//!
//! Where the stream is, is told with `id:` alone once it is up to date and with each sign of life: a client that has seen no event yet, or none
//! that it wanted for long, takes up there, too.
//!
//! A stream never slows anybody: one that falls behind is cut, reconnects and takes up from the ring.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};

use crate::control::{Core, Happening};
use crate::model::{Now, Timestamp, glob_matches, parse_duration};

use super::App;
use super::api::{AuditHead, AuditPage, Delivery, EventQuery, Fault, List, ProblemKind, WebhookTest};
use super::auth::{self, Peer};
use super::body::Query;
use super::pages::{Page, Which, newest_at, numbered};
use super::problem::Refused;

/// Streams at a time.
pub(super) const STREAMS_MAX: usize = 64;
/// Events in a page unless told otherwise.
const PAGE: usize = 100;
/// A comment after so long, so that proxies and clients see life; then the caller's right is looked at anew, too.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Pieces that a stream may be behind its connection.
const PIECES: usize = 64;
/// A connection that takes nothing for so long is cut.
const SEND_MAX: Duration = Duration::from_secs(30);

/// Reads the audit: entries after a number, at most so many.
pub type AuditReader = Arc<dyn Fn(u64, usize) -> Pin<Box<dyn Future<Output = Result<Vec<(u64, String)>, String>> + Send>> + Send + Sync>;

/// What a receiver answered, or why it could not be told; `None`: there is none of that name.
pub type Tested<'a> = Pin<Box<dyn Future<Output = Option<Result<String, String>>> + Send + 'a>>;

/// Webhooks, as far as the API needs them.
pub trait WebhookDesk: Send + Sync {
    /// Messages that wait, and the last ones that don't any more; newest first.
    fn deliveries(&self) -> Vec<Delivery>;
    /// Names of the receivers.
    fn names(&self) -> Vec<Arc<str>>;
    /// Sends one message now; `None`: no such receiver.
    fn test(&self, name: String) -> Tested<'_>;
}

/// Where events, audit and webhooks come from.
#[derive(Clone)]
pub struct Feeds {
    /// Every event as it happens.
    pub happenings: broadcast::Sender<Arc<Happening>>,
    /// The audit in the store.
    pub audit: AuditReader,
    /// `None`: there are no webhooks.
    pub webhooks: Option<Arc<dyn WebhookDesk>>,
}

/// Nothing happens, nothing was audited.
impl Default for Feeds {
    fn default() -> Self {
        Self { happenings: broadcast::channel(1).0, audit: Arc::new(|_, _| Box::pin(async { Ok(Vec::new()) })), webhooks: None }
    }
}

/// Which events, understood.
#[derive(Clone, Debug)]
struct Wanted {
    since: Option<Since>,
    kind: Option<String>,
    service: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Wanted {
    fn read(query: &EventQuery) -> Result<Self, Refused> {
        let EventQuery { since, type_, service, after: _, limit: _, cursor: _ } = query;
        let since = since.as_deref().map(|text| {
            let time = serde_json::from_value::<super::api::Time>(Value::String(text.to_string())).map(|time| Since::At(time.0));
            time.or_else(|_| parse_duration(text).map(Since::Ago)).map_err(|_| {
                let message = format!("`{}` is neither a time nor a span", text.escape_debug());
                let hint = "write it like 2026-11-21T12:00:00Z or 1h".to_string();
                Refused::invalid(vec![Fault { code: "query".into(), message, hint, ..Fault::default() }])
            })
        });
        let kind = type_.as_ref().map(|kind| kind.strip_prefix("windrose.").unwrap_or(kind).to_string());
        Ok(Self { since: since.transpose()?, kind, service: service.clone() })
    }

    fn fits(&self, happening: &Happening, now: Now) -> bool {
        let young = match self.since {
            None => true,
            Some(Since::At(at)) => at <= happening.at,
            Some(Since::Ago(span)) => now.wall.since(happening.at) <= span,
        };
        young
            && self.kind.as_ref().is_none_or(|glob| glob_matches(glob, &happening.kind))
            && self.service.as_ref().is_none_or(|service| happening.service.as_deref() == Some(service))
    }
}

pub(super) async fn events(State(app): State<App>, which: Which, Query(query): Query<EventQuery>) -> Result<Json<List<Value>>, Refused> {
    let wanted = Wanted::read(&query)?;
    let page = which.page(query.limit, query.cursor.as_deref(), PAGE)?;
    let (found, next_cursor, revision) = app
        .look(move |core, now| {
            let after = page.after_number().max(query.after).unwrap_or(0);
            let mut fitting = core.happenings().iter().filter(|happening| after < happening.sequence && wanted.fits(happening, now));
            let newest_alone = !page.goes_on() && query.since.is_none() && query.after.is_none();
            let (found, next) = if newest_alone {
                let mut newest: Vec<&Arc<Happening>> = fitting.rev().take(page.limit).collect();
                newest.reverse();
                (newest, None)
            } else {
                let found: Vec<&Arc<Happening>> = fitting.by_ref().take(page.limit).collect();
                let next = found.last().filter(|_| fitting.next().is_some()).map(|last| page.next(&numbered(last.sequence)));
                (found, next)
            };
            (found.into_iter().cloned().collect::<Vec<_>>(), next, core.overview().revision.0)
        })
        .await?;
    let items = found.iter().filter_map(|happening| serde_json::from_str(&happening.text).ok()).collect();
    Ok(Json(List { items, next_cursor, revision }))
}

pub(super) async fn stream(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let wanted = Wanted::read(&query)?;
    let Ok(place) = app.streams.clone().try_acquire_owned() else {
        return Err(Refused::new(ProblemKind::StoreUnavailable, format!("{STREAMS_MAX} streams run already; try again later, or read GET /events")));
    };
    if query.cursor.is_some() {
        let (message, hint) = ("a stream takes no cursor".to_string(), "send Last-Event-ID, or after=SEQUENCE".to_string());
        return Err(Refused::invalid(vec![Fault { pointer: "/cursor".into(), code: "cursor".into(), message, hint, ..Fault::default() }]));
    }
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.trim().parse().ok()).or(query.after);
    let (pieces, body) = mpsc::channel(PIECES);
    let coming = app.parts.feeds.happenings.subscribe();
    let run = Stream { app, wanted, seen, pieces, coming, peer, headers, _place: place };
    tokio::spawn(run.run());
    let mut response = Body::new(Pieces(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One stream at work.
struct Stream {
    app: App,
    wanted: Wanted,
    /// The last sequence that the client has.
    seen: Option<u64>,
    pieces: mpsc::Sender<Bytes>,
    coming: broadcast::Receiver<Arc<Happening>>,
    peer: Peer,
    headers: HeaderMap,
    _place: OwnedSemaphorePermit,
}

/// The stream is over, for whatever reason.
struct Over;

impl Stream {
    async fn run(mut self) {
        let Err(Over) = self.tell().await;
    }

    async fn tell(&mut self) -> Result<std::convert::Infallible, Over> {
        let (seen, wanted) = (self.seen, self.wanted.clone());
        let (backlog, reset, last) = self.app.look(move |core, now| backlog(core, now, seen, &wanted)).await.map_err(|_| Over)?;
        // Something at once: clients see that the stream stands.
        self.send(Bytes::from_static(b": windrose events\n\n")).await?;
        if reset {
            self.send(format!("event: reset\nid: {last}\ndata: {{\"sequence\":{last}}}\n\n").into()).await?;
        }
        for happening in backlog {
            self.send(piece(&happening)).await?;
        }
        // `id:` alone is no event, and moves Last-Event-ID (HTML, "Server-sent events").
        let mut passed = last;
        self.send(position(passed)).await?;
        let mut stopping = self.app.stopping.clone();
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            tokio::select! {
                _ = stopping.changed() => return Err(Over),
                () = self.pieces.closed() => return Err(Over),
                _ = heartbeat.tick() => {
                    self.send(position(passed)).await?;
                    // A token that was revoked meanwhile sees no more.
                    auth::caller(&self.peer, &self.headers, &self.app).await.map_err(|_| Over)?;
                }
                came = self.coming.recv() => {
                    // Too far behind, or the server ends: the client reconnects with its Last-Event-ID.
                    let happening = came.map_err(|_| Over)?;
                    passed = passed.max(happening.sequence);
                    // `since` speaks of the past; what comes now fits.
                    let now = Now { wall: happening.at, ..Now::default() };
                    if last < happening.sequence && self.wanted.fits(&happening, now) {
                        self.send(piece(&happening)).await?;
                    }
                }
            }
        }
    }

    async fn send(&self, piece: Bytes) -> Result<(), Over> {
        self.pieces.send_timeout(piece, SEND_MAX).await.map_err(|_| Over)
    }
}

/// What the ring has for a client that has seen so much; whether some of it is lost; the last sequence.
fn backlog(core: &Core, now: Now, seen: Option<u64>, wanted: &Wanted) -> (Vec<Arc<Happening>>, bool, u64) {
    let (ring, last) = (core.happenings(), core.last_sequence());
    if seen.is_none() && wanted.since.is_none() {
        return (Vec::new(), false, last);
    }
    let after = seen.unwrap_or(0);
    // Older than the ring, or of a store that is no more.
    let gap = seen.is_some_and(|seen| last < seen || ring.front().is_some_and(|first| seen + 1 < first.sequence));
    let fitting = ring.iter().filter(|happening| (gap && last < after || after < happening.sequence) && wanted.fits(happening, now));
    (fitting.cloned().collect(), gap, last)
}

/// An event on the stream (HTML, "Server-sent events"): the JSON has no line breaks.
fn piece(happening: &Happening) -> Bytes {
    format!("id: {}\nevent: {}\ndata: {}\n\n", happening.sequence, happening.kind, happening.text).into()
}

/// A sign of life, and where the stream is.
fn position(sequence: u64) -> Bytes {
    format!(":\nid: {sequence}\n\n").into()
}

/// A body that comes in pieces.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Which part of the audit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Entries after this number; 0: from the beginning.
    after: Option<u64>,
    /// Entries of one page: 100 by default, at most 1,000 come.
    limit: Option<usize>,
    /// `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

pub(super) async fn audit(State(app): State<App>, which: Which, Query(query): Query<AuditQuery>) -> Result<Json<AuditPage>, Refused> {
    let page = which.page(query.limit, query.cursor.as_deref(), PAGE)?;
    let (head, anchor) = app.look(|core, _| core.audit_head()).await?;
    let head = head.map(|head| AuditHead { number: head.number, hash: head.hash });
    let anchor = anchor.map(|anchor| AuditHead { number: anchor.number, hash: anchor.hash });
    let last = head.as_ref().map_or(0, |head| head.number);
    let after = page.after_number().max(query.after).unwrap_or_else(|| last.saturating_sub(page.limit as u64));
    let read = (app.parts.feeds.audit)(after, page.limit).await;
    let found = read.map_err(|why| Refused::new(ProblemKind::StoreUnavailable, format!("the audit can't be read: {why}")))?;
    let next_cursor = found.last().filter(|(number, _)| found.len() == page.limit && *number < last).map(|(number, _)| page.next(&numbered(*number)));
    let items = found.into_iter().map(|(_, text)| serde_json::from_str(&text).unwrap_or(Value::String(text))).collect();
    Ok(Json(AuditPage { items, next_cursor, head, anchor }))
}

pub(super) async fn deliveries(State(app): State<App>, page: Page) -> Result<Json<List<Delivery>>, Refused> {
    let revision = app.look(|core, _| core.overview().revision.0).await?;
    let all = app.parts.feeds.webhooks.as_ref().map(|desk| desk.deliveries()).unwrap_or_default();
    let key = |delivery: &Delivery| newest_at(delivery.made.0, &format!("{}/{}", delivery.receiver, delivery.id));
    let (items, next_cursor) = page.take(all.into_iter().map(|delivery| (key(&delivery), delivery)));
    Ok(Json(List { items, next_cursor, revision }))
}

pub(super) async fn test_webhook(State(app): State<App>, Path(name): Path<String>) -> Result<Json<WebhookTest>, Refused> {
    let desk = app.parts.feeds.webhooks.clone();
    let names = desk.as_ref().map(|desk| desk.names()).unwrap_or_default();
    let unknown = || Refused::not_found("webhook", &name, names.iter().map(|name| &**name));
    let Some(desk) = desk else { return Err(unknown()) };
    let result = desk.test(name.clone()).await.ok_or_else(unknown)?;
    let (delivered, detail) = match result {
        Ok(said) => (true, said),
        Err(why) => (false, why),
    };
    Ok(Json(WebhookTest { receiver: name, delivered, detail }))
}
