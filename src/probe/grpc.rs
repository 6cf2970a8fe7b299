//! gRPC: `grpc.health.v1.Health/Check` over HTTP/2. SERVING passes.
//!
//! The two messages have one field each, so they are written and read here by hand rather than by a protobuf compiler:
//! `HealthCheckRequest { string service = 1 }`, `HealthCheckResponse { ServingStatus status = 1 }`.
//!
//! Never here: other methods, compression, `Watch`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::health::{Phase, Reason};
use crate::model::GrpcCheck;

use super::fail::{Failure, quoted};
use super::h2::Exchange;
use super::http::AGENT;
use super::tcp::{self, Close, Way};
use super::tls::{self, Asked, Session, Tls};
use super::trace::Trace;

/// An answer has two octets; who sends more than this sends something else.
const ANSWER_BYTES_MAX: usize = 4096;
/// Compressed-flag and length before each message (the gRPC wire format).
const PREFIX_BYTES: usize = 5;

const SERVING: u64 = 1;

/// Passes when the peer says that the service is serving.
pub async fn check(check: &GrpcCheck, way: Way<'_>, tls: &Tls, session: &Arc<Session>, trace: &mut Trace) -> Result<(), Failure> {
    let peer = way.peer;
    let stream = tcp::connect(way, Close::Reset, trace).await?;
    match &check.tls {
        None => call(stream, check, peer, trace).await,
        Some(terms) => {
            let name = tls::server_name(terms, check.host.as_deref(), peer.ip());
            let stream = tls.connect(stream, Asked { terms, name, peer, trusted: true }, session, trace).await?;
            call(stream, check, peer, trace).await
        }
    }
}

async fn call<S: AsyncRead + AsyncWrite + Unpin>(stream: S, check: &GrpcCheck, peer: SocketAddr, trace: &mut Trace) -> Result<(), Failure> {
    trace.enter(Phase::Request);
    let request = request(check, peer)?;
    trace.detail(|detail| super::http::note_request(request.method(), request.uri(), request.version(), request.headers(), detail));
    let mut exchange = Exchange::begin(stream, request, question(&check.service), peer).await?;
    let response = exchange.response().await?;
    let (head, mut body) = response.into_parts();
    trace.status = Some(head.status.as_u16());
    trace.detail(|detail| super::http::note_head(head.version, head.status, &head.headers, detail));
    if head.status.as_u16() != 200 {
        return Err(Failure::status(&[200..=200], head.status, None));
    }
    // A response without a message tells its status at once (`Trailers-Only`).
    if head.headers.contains_key("grpc-status") {
        judge_status(&head.headers, check, peer)?;
    }
    if !head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let kind = head.headers.get(CONTENT_TYPE).map_or("none".to_string(), |kind| quoted(kind.as_bytes()));
        return Err(Failure::new(Reason::Protocol, format!("expected the content type application/grpc from {peer}, got {kind}")));
    }
    trace.enter(Phase::Body);
    let mut answer = Vec::new();
    while let Some(piece) = exchange.data(&mut body).await? {
        trace.detail(|detail| detail.body(&piece));
        answer.extend_from_slice(&piece);
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(malformed(&answer, peer));
        }
    }
    match exchange.trailers(&mut body).await? {
        Some(trailers) => judge_status(&trailers, check, peer)?,
        None => return Err(Failure::new(Reason::Protocol, format!("expected the trailer grpc-status from {peer}, got none"))),
    }
    let status = serving_status(&answer).ok_or_else(|| malformed(&answer, peer))?;
    if status == SERVING {
        return Ok(());
    }
    let got = match status {
        0 => "UNKNOWN".to_string(),
        2 => "NOT_SERVING".to_string(),
        3 => "SERVICE_UNKNOWN".to_string(),
        other => format!("status {other}"),
    };
    Err(Failure::new(Reason::Status, format!("expected SERVING for {} from {peer}, got {got}", named(check))))
}

fn request(check: &GrpcCheck, peer: SocketAddr) -> Result<Request<()>, Failure> {
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let authority = check.host.clone().unwrap_or_else(|| peer.to_string());
    let built = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{scheme}://{authority}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
        .header(TE, HeaderValue::from_static("trailers"))
        .header(USER_AGENT, HeaderValue::from_static(AGENT))
        .body(());
    built.map_err(|error| Failure::new(Reason::Internal, format!("this node could not probe: the request can't be made: {error}")))
}

/// Prefix and `HealthCheckRequest`: tag 1, type 2 (length-delimited). An empty text, the whole server, is left out as proto3 has it.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

fn put_varint(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// `status` of a framed `HealthCheckResponse`; absent fields are 0, unknown ones are passed over.
fn serving_status(framed: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = framed.split_at_checked(PREFIX_BYTES)?;
    let [0, a, b, c, d] = prefix else { return None };
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = take_varint(&mut rest)?,
            (_, 0) => drop(take_varint(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// `grpc-status` and `grpc-message`.
fn judge_status(headers: &HeaderMap, check: &GrpcCheck, peer: SocketAddr) -> Result<(), Failure> {
    let status = headers.get("grpc-status").and_then(|status| status.to_str().ok()).and_then(|status| status.parse::<u8>().ok());
    let told = headers.get("grpc-message").map_or(String::new(), |message| format!(": {}", quoted(message.as_bytes())));
    let message = match status {
        Some(0) => return Ok(()),
        Some(5) => format!("{peer} does not know {}{told}", named(check)),
        Some(12) => format!("{peer} has no health service (grpc.health.v1){told}"),
        Some(code) => format!("expected the gRPC status 0 from {peer}, got {code}{told}"),
        None => return Err(Failure::new(Reason::Protocol, format!("expected a gRPC status from {peer}, got none"))),
    };
    Err(Failure::new(Reason::Status, message))
}

fn named(check: &GrpcCheck) -> String {
    if check.service.is_empty() { "the whole server".to_string() } else { format!("the service {}", check.service) }
}

fn malformed(answer: &[u8], peer: SocketAddr) -> Failure {
    Failure::new(Reason::Protocol, format!("expected a HealthCheckResponse from {peer}, got {}", quoted(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_a_protobuf_compiler_makes_of_them() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(question(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
        for (answer, status) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
            (&[0, 0, 0, 0, 0], Some(0)),
            // An unknown field of each type before the status.
            (&[0, 0, 0, 0, 23, 0x10, 0x80, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 1, 9, 0x2d, 1, 2, 3, 4, 8, 2, 8], None),
            (&[0, 0, 0, 0, 22, 0x10, 0x80, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 1, 9, 0x2d, 1, 2, 3, 4, 8, 2], Some(2)),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 3, 8, 1], None),
            (&[0, 0, 0, 0, 2, 8, 0x80], None),
            (&[0, 0, 0, 0, 2, 0x0a, 9], None),
            (&[0, 0], None),
        ] {
            assert_eq!(serving_status(answer), status, "{answer:?}");
        }
        assert_eq!(serving_status(&[&[0, 0, 0, 0, 12, 8][..], &[0xff; 11]].concat()), None, "a varint has ten octets at most");
    }
}
