//! HTTP and HTTPS: one request on a connection of our own, and whether the response looks as asked.
//!
//! Redirects are shown, and followed only if the monitor asks (`hop`), under the same deadline and the same rules. No more is read than it takes
//! to judge: nothing of the body when nothing is asked of it, else until the text was found, 64 KiB at most.
//! Never here: cookies, proxies, compression, a second request on a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout_at;

use crate::health::{Outcome, Phase, Reason};
use crate::model::{Busy, Header, HttpCheck, HttpOutcomes, HttpVersion, Scheme, duration_text};

use super::body::{Found, Judge};
use super::fail::{Failure, QUOTE_CHARS_MAX, quotable};
use super::h2::Exchange;
use super::hop::Hop;
use super::tcp::{self, Close, Way};
use super::tls::{Asked, Session, Tls};
use super::told;
use super::trace::{Detail, Trace};

/// Status line and headers together; also the largest piece read at once, which bounds the memory of a probe.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// For people. The count is hyper's default; setting another one would cost an allocation per probe.
pub const HEAD_LIMITS: &str = "32 KiB or 100 headers";

/// Who we say we are.
pub const AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"));

/// What a response comes to, before it is known how long it all took.
enum Seen {
    /// It is as expected. Why it is degraded all the same, if it is.
    Passed(Option<String>),
    /// The peer wants to be left alone for a while.
    Busy(String, Duration),
    /// It is elsewhere.
    Redirected(StatusCode, String),
}

/// Passes when the response's status is in `check.status` and its body is as expected.
pub async fn check(check: &HttpCheck, way: Way<'_>, tls: &Tls, session: &Arc<Session>, timeout: Duration, trace: &mut Trace) -> Result<Outcome, Failure> {
    let first = Arc::new(Hop::first(check, way.peer));
    let mut hop = first.clone();
    loop {
        // Sessions of the target are for the target: what a redirect leads to has none.
        let fresh = Arc::default();
        let session = if hop.redirects == 0 { session } else { &fresh };
        let source = way.source.filter(|source| source.is_ipv4() == hop.peer.is_ipv4());
        let way = Way { peer: hop.peer, source, ..way };
        let seen = ask(check, &hop, way, (tls, session), timeout, trace).await.map_err(|failure| hop.blame(failure))?;
        hop = match seen {
            Seen::Redirected(status, location) => Arc::new(hop.follow(&first, check, (status, &location), way.permit)?),
            Seen::Busy(message, retry_after) => return Ok(Outcome::Busy { message, retry_after }),
            Seen::Passed(degraded) => {
                let slow = check.outcomes.degraded.as_ref().and_then(|rule| rule.slower_than).filter(|limit| *limit < trace.started().elapsed());
                let slow = slow.map(|limit| {
                    let took = Duration::from_millis(u64::try_from(trace.started().elapsed().as_millis()).unwrap_or(u64::MAX));
                    format!("it took {}, more than {}", duration_text(took), duration_text(limit))
                });
                let why: Vec<String> = degraded.into_iter().chain(slow).collect();
                return Ok(if why.is_empty() { Outcome::Pass } else { Outcome::Degraded { message: why.join("; ") } });
            }
        };
    }
}

async fn ask(check: &HttpCheck, hop: &Hop, way: Way<'_>, (tls, session): (&Tls, &Arc<Session>), timeout: Duration, trace: &mut Trace) -> Result<Seen, Failure> {
    // Judged as soon as enough was read, a connection is of no more use, and at thousands of probes a second TIME_WAIT would eat ports.
    let peer = hop.peer;
    let stream = tcp::connect(way, Close::Reset, trace).await?;
    // Boxed: a probe that waits for a connection, perhaps with 30,000 others, doesn't carry the room for what would follow.
    match hop.scheme {
        Scheme::Http => Box::pin(exchange(stream, check, hop, timeout, trace)).await,
        Scheme::Https => {
            Box::pin(async move {
                let asked = Asked { terms: &check.tls, name: hop.name.clone(), peer, trusted: hop.trusted };
                let before = trace.certificate_expires;
                let stream = tls.connect(stream, asked, session, trace).await?;
                // Of several certificates on the way, the one that ends first.
                trace.certificate_expires = [before, trace.certificate_expires].into_iter().flatten().min();
                let chosen = stream.get_ref().1.alpn_protocol();
                match check.version {
                    HttpVersion::Two if chosen != Some(b"h2") => {
                        Err(Failure::new(Reason::Protocol, format!("expected HTTP/2 from {peer}, but it does not choose a protocol (ALPN)")))
                    }
                    HttpVersion::Two | HttpVersion::Auto if chosen == Some(b"h2") => exchange_2(stream, check, hop, timeout, trace).await,
                    _ => exchange(stream, check, hop, timeout, trace).await,
                }
            })
            .await
        }
    }
}

/// The same over HTTP/2.
async fn exchange_2<S: AsyncRead + AsyncWrite + Unpin>(stream: S, check: &HttpCheck, hop: &Hop, timeout: Duration, trace: &mut Trace) -> Result<Seen, Failure> {
    trace.enter(Phase::Request);
    let request = request_2(check, hop)?;
    trace.detail(|detail| note_request(request.method(), request.uri(), request.version(), request.headers(), detail));
    let mut exchange = Exchange::begin(stream, request, Bytes::new(), hop.peer).await?;
    let (head, mut body) = exchange.response().await?.into_parts();
    trace.status = Some(head.status.as_u16());
    trace.detail(|detail| note_head(head.version, head.status, &head.headers, detail));
    let judged = judge_head(check, head.status, &head.headers, trace);
    let judge = Judge::new(check).filter(|_| matches!(judged, Ok(Seen::Passed(_))));
    let (Ok(Seen::Passed(degraded)), Some(mut judge)) = (&judged, judge) else {
        if let Some(until) = trace.peek_until(timeout) {
            trace.enter(Phase::Body);
            let _only_for_show = timeout_at(until.into(), async {
                while trace.wants_more()
                    && let Ok(Some(data)) = exchange.data(&mut body).await
                {
                    trace.detail(|detail| detail.body(&data));
                }
            })
            .await;
        }
        return judged;
    };
    trace.enter(Phase::Body);
    while judge.wants_more() {
        match exchange.data(&mut body).await? {
            None => return judge.end(false).map(|found| passed(degraded.clone(), found, trace)),
            Some(data) => {
                trace.detail(|detail| detail.body(&data));
                judge.read(&data);
            }
        }
    }
    judge.end(!body.is_end_stream()).map(|found| passed(degraded.clone(), found, trace))
}

/// What HTTP/2 says otherwise: the host is `:authority`, and connections have no header (RFC 9113 §8.2.2, §8.3.1).
fn request_2(check: &HttpCheck, hop: &Hop) -> Result<Request<()>, Failure> {
    let (mut head, _) = request(check, hop)?.into_parts();
    let host = head.headers.remove(HOST);
    head.headers.remove(CONNECTION);
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let uri = format!("https://{authority}{}", hop.path).parse();
    head.uri = uri.map_err(|_| Failure::new(Reason::Internal, format!("this node could not probe: the path `{}` can't be sent", quotable(&hop.path))))?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, ()))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: S, check: &HttpCheck, hop: &Hop, timeout: Duration, trace: &mut Trace) -> Result<Seen, Failure> {
    trace.enter(Phase::Request);
    let peer = hop.peer;
    let request = request(check, hop)?;
    trace.detail(|detail| note_request(request.method(), request.uri(), request.version(), request.headers(), detail));
    let io = TokioIo::new(Overheard { stream, head: [0; HEARD_BYTES], heard: 0 });
    let shaken = Builder::new().max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX).handshake(io).await;
    let (mut sender, connection) = shaken.map_err(|error| Failure::http(&error, Phase::Request, peer, &[]))?;
    let mut connection = Driven { connection, ended: false };

    let response = match connection.drive(sender.send_request(request)).await {
        Ok(response) => response,
        Err(error) => {
            let Overheard { head, heard, .. } = connection.connection.into_parts().io.into_inner();
            return Err(Failure::http(&error, Phase::Request, peer, head.get(..heard).unwrap_or_default()));
        }
    };
    let status = response.status();
    trace.status = Some(status.as_u16());
    trace.detail(|detail| note_head(response.version(), status, response.headers(), detail));
    match (judge_head(check, status, response.headers(), trace), Judge::new(check)) {
        (Ok(Seen::Passed(degraded)), Some(judge)) => {
            judge_body(response, judge, &mut connection, peer, trace).await.map(|found| passed(degraded, found, trace))
        }
        (judged, _) => {
            if let Some(until) = trace.peek_until(timeout) {
                trace.enter(Phase::Body);
                let mut body = response.into_body();
                let _only_for_show = timeout_at(until.into(), async {
                    while trace.wants_more()
                        && let Some(Ok(frame)) = connection.drive(body.frame()).await
                    {
                        trace.detail(|detail| detail.body(&frame.into_data().unwrap_or_default()));
                    }
                })
                .await;
            }
            judged
        }
    }
}

fn request(check: &HttpCheck, hop: &Hop) -> Result<Request<Empty<Bytes>>, Failure> {
    let unfit = |what: String| Failure::new(Reason::Internal, format!("this node could not probe: {what} can't be sent"));
    let host = &hop.host;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(host).map_err(|_| unfit(format!("the host `{}`", quotable(host))))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // A header of the monitor stands instead of ours; given twice, it is sent twice. Any may be a credential, so none goes where a redirect led.
    let mut own = HeaderMap::new();
    let may_go = |name: &str| hop.trusted || name.eq_ignore_ascii_case(USER_AGENT.as_str());
    for Header { name, value, file: _ } in check.headers.iter().filter(|header| may_go(&header.name)) {
        // The value may be a secret: only the name is told.
        let unfit = || unfit(format!("the header `{}`", quotable(name)));
        own.append(HeaderName::try_from(name).map_err(|_| unfit())?, HeaderValue::from_str(value.expose()).map_err(|_| unfit())?);
    }
    headers.extend(own);
    let mut request = Request::builder()
        .method(hop.method.word())
        .uri(hop.path.as_str())
        .body(Empty::new())
        .map_err(|_| unfit(format!("the path `{}`", quotable(&hop.path))))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Headers whose values are shown; others may hold secrets.
const PLAIN: [&str; 9] = ["host", "user-agent", "accept", "accept-encoding", "accept-language", "connection", "content-type", "te", "cache-control"];
/// Parts of names of response headers that hold secrets.
const SECRET: [&str; 6] = ["cookie", "token", "secret", "auth", "api-key", "session"];

/// Whether a request header's value may be shown.
pub fn is_plain(name: &str) -> bool {
    PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(name))
}

/// For who looks: the request, without the values of headers that may be secret.
pub fn note_request(method: &hyper::Method, uri: &hyper::Uri, version: Version, headers: &HeaderMap, detail: &mut Detail) {
    detail.sent(&format!("{method} {} {version:?}", uri.path_and_query().map_or("/", |path| path.as_str())));
    for (name, value) in headers {
        let value = if is_plain(name.as_str()) { String::from_utf8_lossy(value.as_bytes()) } else { "(hidden)".into() };
        detail.sent(&format!("{name}: {value}"));
    }
}

/// For who looks: status and headers.
pub fn note_head(version: Version, status: StatusCode, headers: &HeaderMap, detail: &mut Detail) {
    detail.head(format!("{version:?} {status}").trim_end_matches(" <unknown status code>"));
    for (name, value) in headers {
        let hidden = SECRET.iter().any(|part| name.as_str().contains(part));
        let value = if hidden { "(hidden)".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        detail.head(&format!("{name}: {value}"));
    }
}

/// Status and headers. What they tell is noted in `trace`.
fn judge_head(check: &HttpCheck, status: StatusCode, headers: &HeaderMap, trace: &mut Trace) -> Result<Seen, Failure> {
    let HttpOutcomes { degraded, report, data_at, load_from, busy, busy_max: _, redirects } = &*check.outcomes;
    let within = |ranges: &[RangeInclusive<u16>]| ranges.iter().any(|range| range.contains(&status.as_u16()));
    let is_degraded = degraded.as_ref().is_some_and(|rule| within(&rule.status));
    if within(&check.status) || is_degraded {
        trace.reported = report.as_ref().and_then(|rule| told::in_headers(rule, headers));
        trace.data_at = data_at.as_ref().and_then(|place| told::data_in_headers(place, headers));
        trace.load = load_from.as_ref().and_then(|place| told::load_in_headers(place, headers));
        return Ok(Seen::Passed(is_degraded.then(|| format!("it answers {}", words(status)))));
    }
    let location = headers.get(LOCATION).filter(|_| status.is_redirection()).map(HeaderValue::as_bytes);
    if let Some(location) = location.filter(|_| 0 < *redirects && FOLLOWED.contains(&status)) {
        return Ok(Seen::Redirected(status, String::from_utf8_lossy(location).into_owned()));
    }
    let may_be_busy = *busy != Busy::Fail && matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(wait) = may_be_busy.then(|| told::retry_after(headers, SystemTime::now())).flatten() {
        return Ok(Seen::Busy(format!("busy: it answers {} and asks to come back in {}", words(status), duration_text(whole(wait))), wait));
    }
    Err(Failure::status(&check.status, status, location))
}

/// Redirects that say where the same thing is (RFC 9110, section 15.4).
const FOLLOWED: [StatusCode; 5] =
    [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::SEE_OTHER, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];

/// `503 Service Unavailable`
fn words(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(|| status.as_u16().to_string(), |words| format!("{} {words}", status.as_u16()))
}

/// A date may be between two seconds.
fn whole(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(0 < wait.subsec_nanos()))
}

/// The body is as expected, and told this.
fn passed(degraded: Option<String>, found: Found, trace: &mut Trace) -> Seen {
    trace.reported = found.reported.or(trace.reported.take());
    trace.data_at = found.data_at.or(trace.data_at.take());
    trace.load = found.load.or(trace.load.take());
    Seen::Passed(match (degraded, found.degraded) {
        (Some(head), Some(body)) => Some(format!("{head}; {body}")),
        (head, body) => head.or(body),
    })
}

/// Reads until the judge has seen enough.
async fn judge_body<S: AsyncRead + AsyncWrite + Unpin>(
    response: Response<Incoming>,
    mut judge: Judge<'_>,
    connection: &mut Driven<S>,
    peer: SocketAddr,
    trace: &mut Trace,
) -> Result<Found, Failure> {
    trace.enter(Phase::Body);
    let mut body = response.into_body();
    while judge.wants_more() {
        match connection.drive(body.frame()).await {
            None => return judge.end(false),
            Some(Err(error)) => return Err(Failure::http(&error, Phase::Body, peer, &[])),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                trace.detail(|detail| detail.body(&data));
                judge.read(&data);
            }
        }
    }
    judge.end(!body.is_end_stream())
}

/// hyper's connection, polled by hand beside what waits for it: a probe is one future, and dropping it ends everything.
struct Driven<S: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<TokioIo<Overheard<S>>, Empty<Bytes>>,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driven<S> {
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if let Poll::Ready(output) = wanted.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            // Without shutdown: the end is ours to choose, see `Close::Reset`.
            if !self.ended && self.connection.poll_without_shutdown(cx).is_ready() {
                // Its error, if any, was handed to `wanted`.
                self.ended = true;
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }
}

/// Enough for a quote of four-byte characters.
const HEARD_BYTES: usize = 4 * QUOTE_CHARS_MAX;

/// A stream that remembers the first bytes read, to quote them when they are not HTTP.
struct Overheard<S> {
    stream: S,
    head: [u8; HEARD_BYTES],
    heard: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            // TLS closed without close_notify, as many servers do. Whether the response is whole, its framing says (RFC 9110 §6.1 knows no other end).
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
            Err(error) => return Poll::Ready(Err(error)),
            Ok(()) => {}
        }
        let this = &mut *self;
        let new = buf.filled().get(before..).unwrap_or_default();
        let room = this.head.get_mut(this.heard..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(new) {
            *to = *from;
            this.heard += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
