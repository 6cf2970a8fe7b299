//! HTTP and HTTPS: one request on a connection of our own, and whether the response looks as asked.
//!
//! Redirects are shown, never followed. No more is read than it takes to judge: nothing of the body when no text is expected,
//! else until the text was found, 64 KiB at most. Never here: cookies, proxies, compression, a second request on a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout_at;

use crate::health::{Phase, Reason};
use crate::model::{Header, HttpCheck, HttpVersion, Scheme};

use super::body::Judge;
use super::fail::{Failure, QUOTE_CHARS_MAX, quotable};
use super::h2::Exchange;
use super::tcp::{self, Close, Way};
use super::tls::{self, Asked, Session, Tls};
use super::trace::{Detail, Trace};

/// Status line and headers together; also the largest piece read at once, which bounds the memory of a probe.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// For people. The count is hyper's default; setting another one would cost an allocation per probe.
pub const HEAD_LIMITS: &str = "32 KiB or 100 headers";

/// Who we say we are.
pub const AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"));

/// Passes when the response's status is in `check.status` and its body is as expected.
pub async fn check(check: &HttpCheck, way: Way<'_>, tls: &Tls, session: &Arc<Session>, timeout: Duration, trace: &mut Trace) -> Result<(), Failure> {
    // Judged as soon as enough was read, a connection is of no more use, and at thousands of probes a second TIME_WAIT would eat ports.
    let peer = way.peer;
    let stream = tcp::connect(way, Close::Reset, trace).await?;
    // Boxed: a probe that waits for a connection, perhaps with 30,000 others, doesn't carry the room for what would follow.
    match check.scheme {
        Scheme::Http => Box::pin(exchange(stream, check, peer, timeout, trace)).await,
        Scheme::Https => {
            Box::pin(async move {
                let name = tls::server_name(&check.tls, check.host.as_deref(), peer.ip());
                let stream = tls.connect(stream, Asked { terms: &check.tls, name, peer }, session, trace).await?;
                let chosen = stream.get_ref().1.alpn_protocol();
                match check.version {
                    HttpVersion::Two if chosen != Some(b"h2") => {
                        Err(Failure::new(Reason::Protocol, format!("expected HTTP/2 from {peer}, but it does not choose a protocol (ALPN)")))
                    }
                    HttpVersion::Two | HttpVersion::Auto if chosen == Some(b"h2") => exchange_2(stream, check, peer, timeout, trace).await,
                    _ => exchange(stream, check, peer, timeout, trace).await,
                }
            })
            .await
        }
    }
}

/// The same over HTTP/2.
async fn exchange_2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    check: &HttpCheck,
    peer: SocketAddr,
    timeout: Duration,
    trace: &mut Trace,
) -> Result<(), Failure> {
    trace.enter(Phase::Request);
    let request = request_2(check, peer)?;
    trace.detail(|detail| note_request(request.method(), request.uri(), request.version(), request.headers(), detail));
    let mut exchange = Exchange::begin(stream, request, Bytes::new(), peer).await?;
    let (head, mut body) = exchange.response().await?.into_parts();
    trace.status = Some(head.status.as_u16());
    trace.detail(|detail| note_head(head.version, head.status, &head.headers, detail));
    let judged = judge_status(check, head.status, &head.headers);
    let (Ok(()), Some(mut judge)) = (&judged, Judge::new(check)) else {
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
            None => return judge.end(false),
            Some(data) => {
                trace.detail(|detail| detail.body(&data));
                judge.read(&data);
            }
        }
    }
    judge.end(!body.is_end_stream())
}

/// What HTTP/2 says otherwise: the host is `:authority`, and connections have no header (RFC 9113 §8.2.2, §8.3.1).
fn request_2(check: &HttpCheck, peer: SocketAddr) -> Result<Request<()>, Failure> {
    let (mut head, _) = request(check, peer)?.into_parts();
    let host = head.headers.remove(HOST);
    head.headers.remove(CONNECTION);
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let uri = format!("https://{authority}{}", check.path).parse();
    head.uri = uri.map_err(|_| Failure::new(Reason::Internal, format!("this node could not probe: the path `{}` can't be sent", quotable(&check.path))))?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, ()))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    check: &HttpCheck,
    peer: SocketAddr,
    timeout: Duration,
    trace: &mut Trace,
) -> Result<(), Failure> {
    trace.enter(Phase::Request);
    let request = request(check, peer)?;
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
    match (judge_status(check, status, response.headers()), Judge::new(check)) {
        (Ok(()), Some(judge)) => judge_body(response, judge, &mut connection, peer, trace).await,
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

fn request(check: &HttpCheck, peer: SocketAddr) -> Result<Request<Empty<Bytes>>, Failure> {
    let unfit = |what: String| Failure::new(Reason::Internal, format!("this node could not probe: {what} can't be sent"));
    let host = check.host.clone().unwrap_or_else(|| match (check.scheme, peer.port()) {
        (Scheme::Http, 80) | (Scheme::Https, 443) if peer.is_ipv6() => format!("[{}]", peer.ip()),
        (Scheme::Http, 80) | (Scheme::Https, 443) => peer.ip().to_string(),
        _ => peer.to_string(),
    });
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| unfit(format!("the host `{}`", quotable(&host))))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // A header of the monitor stands instead of ours; given twice, it is sent twice.
    let mut own = HeaderMap::new();
    for Header { name, value, file: _ } in &check.headers {
        // The value may be a secret: only the name is told.
        let unfit = || unfit(format!("the header `{}`", quotable(name)));
        own.append(HeaderName::try_from(name).map_err(|_| unfit())?, HeaderValue::from_str(value.expose()).map_err(|_| unfit())?);
    }
    headers.extend(own);
    let mut request = Request::builder()
        .method(check.method.word())
        .uri(check.path.as_str())
        .body(Empty::new())
        .map_err(|_| unfit(format!("the path `{}`", quotable(&check.path))))?;
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

fn judge_status(check: &HttpCheck, status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    if check.status.iter().any(|range| range.contains(&status.as_u16())) {
        return Ok(());
    }
    let location = headers.get(LOCATION).filter(|_| status.is_redirection()).map(HeaderValue::as_bytes);
    Err(Failure::status(&check.status, status, location))
}

/// Reads until the judge has seen enough.
async fn judge_body<S: AsyncRead + AsyncWrite + Unpin>(
    response: Response<Incoming>,
    mut judge: Judge<'_>,
    connection: &mut Driven<S>,
    peer: SocketAddr,
    trace: &mut Trace,
) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_address_with_the_port_unless_it_is_the_schemes_own() {
        for (scheme, peer, host) in [
            (Scheme::Http, "192.0.2.10:80", "192.0.2.10"),
            (Scheme::Http, "192.0.2.10:443", "192.0.2.10:443"),
            (Scheme::Https, "192.0.2.10:443", "192.0.2.10"),
            (Scheme::Http, "[2001:db8::1]:80", "[2001:db8::1]"),
            (Scheme::Https, "[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            let check = HttpCheck::get(scheme, 0, "/");
            assert_eq!(request(&check, peer.parse().unwrap()).unwrap().headers()[HOST], host);
        }
    }
}
