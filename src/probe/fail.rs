//! From what went wrong to a [`Reason`] and one sentence: what was expected, what came.
//!
//! Sentences go to logs, the API and terminals; what a peer sent is quoted short and with control characters made harmless.
//! Never here: request headers (they may hold secrets), or guesses about what to do.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::StatusCode;

use crate::health::{Phase, Reason};
use crate::model::{duration_text, harmless};

use super::tls;

/// Characters of a peer's text that are quoted.
pub const QUOTE_CHARS_MAX: usize = 80;

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// From the closed list.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
}

impl Failure {
    /// A failure in words.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The deadline passed in this phase.
    pub fn timeout(timeout: Duration, phase: Phase, peer: SocketAddr) -> Self {
        let doing = match phase {
            Phase::Resolve | Phase::Connect => "while connecting to",
            Phase::Tls => "during the TLS handshake with",
            Phase::Request => "while waiting for the response from",
            Phase::Body => "while reading the body from",
        };
        Self::new(Reason::Timeout, format!("no answer within {} {doing} {peer}", duration_text(timeout)))
    }

    /// The connection could not be made.
    pub fn connect(error: &io::Error, peer: SocketAddr) -> Self {
        if let Some(failure) = Self::own(error) {
            return failure;
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::new(Reason::Refused, format!("connection refused by {peer}")),
            ErrorKind::HostUnreachable => Self::new(Reason::Unreachable, format!("no way to {peer}: host unreachable")),
            ErrorKind::NetworkUnreachable => Self::new(Reason::Unreachable, format!("no way to {peer}: network unreachable")),
            ErrorKind::ConnectionReset | ErrorKind::TimedOut => Self::io(error, Phase::Connect, peer),
            _ => Self::new(Reason::Unreachable, format!("can't connect to {peer}: {error}")),
        }
    }

    /// A connection that stood broke in this phase.
    pub fn io(error: &io::Error, phase: Phase, peer: SocketAddr) -> Self {
        if let Some(failure) = Self::own(error) {
            return failure;
        }
        let doing = match phase {
            Phase::Resolve | Phase::Connect => "while connecting",
            Phase::Tls => "during the TLS handshake",
            Phase::Request => "while waiting for the response",
            Phase::Body => "while reading the body",
        };
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::closed(phase, peer),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
                Self::new(Reason::Reset, format!("connection reset by {peer} {doing}"))
            }
            ErrorKind::TimedOut => Self::new(Reason::Timeout, format!("connection to {peer} timed out {doing}")),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::new(Reason::Unreachable, format!("connection to {peer} lost {doing}: {error}")),
            _ => Self::new(Reason::Reset, format!("connection to {peer} broke {doing}: {}", quotable(&error.to_string()))),
        }
    }

    /// The peer closed the connection in this phase.
    pub fn closed(phase: Phase, peer: SocketAddr) -> Self {
        let doing = match phase {
            Phase::Resolve | Phase::Connect => "while connecting",
            Phase::Tls => "during the TLS handshake",
            Phase::Request => "before a whole response came",
            Phase::Body => "before the whole body came",
        };
        Self::new(Reason::Reset, format!("connection closed by {peer} {doing}"))
    }

    /// hyper gave up; `head` is the beginning of what came.
    pub fn http(error: &hyper::Error, phase: Phase, peer: SocketAddr, head: &[u8]) -> Self {
        if error.is_parse_too_large() {
            return Self::new(Reason::Protocol, format!("expected an HTTP response, got a head beyond {}", super::http::HEAD_LIMITS));
        }
        if error.is_parse() {
            return Self::new(Reason::Protocol, format!("expected an HTTP/1.1 response, got {}", quoted(head)));
        }
        if error.is_user() {
            return Self::new(Reason::Internal, format!("the request can't be made: {error}"));
        }
        match source::<io::Error>(error) {
            Some(cause) if let Some(cause) = tls::cause(cause) => tls::broken(cause, phase, peer),
            Some(cause) if phase == Phase::Body && matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                Self::new(Reason::Protocol, format!("expected a well-formed body, got: {}", quotable(&cause.to_string())))
            }
            Some(cause) => Self::io(cause, phase, peer),
            None => Self::closed(phase, peer),
        }
    }

    /// The status code is not in the expected set. `location`: where a redirect pointed; it is not followed.
    pub fn status(expected: &[RangeInclusive<u16>], got: StatusCode, location: Option<&[u8]>) -> Self {
        let expected = expected.iter().map(|range| match (range.start(), range.end()) {
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from}-{to}"),
        });
        let mut message = format!("expected status {}, got {}", expected.collect::<Vec<_>>().join(", "), got.as_u16());
        if let Some(words) = got.canonical_reason() {
            message.push_str(&format!(" {words}"));
        }
        if let Some(location) = location {
            message.push_str(&format!(" (location: {})", quotable(&String::from_utf8_lossy(location))));
        }
        Self::new(Reason::Status, message)
    }

    /// The text is not in the body. `cut`: there was more than was read.
    pub fn body(expected: &str, got: &[u8], cut: bool) -> Self {
        let place = if cut { "first 64 KiB of the body" } else { "body" };
        let got = if got.is_empty() { "an empty one".to_string() } else { quoted(got) };
        Self::new(Reason::Body, format!("expected the {place} to contain {}, got {got}", quoted(expected.as_bytes())))
    }

    /// The body does not match the pattern.
    pub fn pattern(expected: &str, got: &[u8], cut: bool) -> Self {
        let place = if cut { "first 64 KiB of the body" } else { "body" };
        let got = if got.is_empty() { "an empty one".to_string() } else { quoted(got) };
        Self::new(Reason::Body, format!("expected the {place} to match /{}/, got {got}", quotable(expected)))
    }

    /// The text is not in what the peer said. `cut`: it said more than was read.
    pub fn said(expected: &str, got: &[u8], cut: bool, peer: SocketAddr) -> Self {
        let expected = quoted(expected.as_bytes());
        let message = match got {
            [] => format!("expected {peer} to say {expected}, but it closed the connection without a word"),
            _ if cut => format!("expected {peer} to say {expected} within 4 KiB, got {}", quoted(got)),
            _ => format!("expected {peer} to say {expected}, got {}", quoted(got)),
        };
        Self::new(Reason::Body, message)
    }

    /// Faults of this node, not of the peer: descriptors, memory, ports, local rules.
    pub fn own(error: &io::Error) -> Option<Self> {
        let what = match error.raw_os_error()? {
            libc::EMFILE | libc::ENFILE => "too few file descriptors",
            libc::ENOMEM | libc::ENOBUFS => "too little memory for sockets",
            libc::EADDRNOTAVAIL => "no free local port or address",
            libc::EACCES | libc::EPERM => "connections are forbidden by a local rule",
            libc::EAFNOSUPPORT => "no support for this address family",
            _ => return None,
        };
        Some(Self::new(Reason::Internal, format!("this node could not probe: {what} ({})", ErrorText(error))))
    }
}

/// An OS error without Rust's ` (os error N)`.
struct ErrorText<'a>(&'a io::Error);

impl std::fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or_default())
    }
}

/// The first error of this type among `error`'s causes.
pub fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// At most `chars_max` characters of a text, control and direction-changing ones as `\u{fffd}`, white space as spaces; `lines`: line ends stay.
pub fn legible(text: &str, chars_max: usize, lines: bool) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut count = 0;
    while let Some(char) = chars.next() {
        if count == chars_max {
            out.push('…');
            break;
        }
        match char {
            '\r' if lines && chars.peek() == Some(&'\n') => continue,
            '\n' if lines => out.push(char),
            _ if is_harmful(char) => out.push('\u{fffd}'),
            _ if char.is_whitespace() => out.push(' '),
            _ => out.push(char),
        }
        count += 1;
    }
    out
}

/// Changes what a terminal shows elsewhere. Tabs become spaces, and line ends are the caller's.
fn is_harmful(char: char) -> bool {
    (char.is_control() && char != '\t') || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Bytes in quotation marks, short and harmless.
pub fn quoted(bytes: &[u8]) -> String {
    // No character has more than four bytes, so a cut in the middle of one lies beyond what is shown.
    let bytes = bytes.get(..4 * (QUOTE_CHARS_MAX + 2)).unwrap_or(bytes);
    format!("\"{}\"", quotable(&String::from_utf8_lossy(bytes)))
}

/// The first [`QUOTE_CHARS_MAX`] characters on one line: runs of white space become one space, control and direction-changing characters `\u{fffd}`.
pub fn quotable(text: &str) -> String {
    harmless(text, QUOTE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        "192.0.2.10:8080".parse().unwrap()
    }

    #[test]
    fn what_a_peer_sent_can_not_break_a_line_or_a_terminal() {
        assert_eq!(quotable("a\r\n\t b\u{1b}[2Jc\u{0}\u{202e}d"), "a b\u{fffd}[2Jc\u{fffd}\u{fffd}d");
        assert_eq!(quoted(b"\xff\xfe ok"), "\"\u{fffd}\u{fffd} ok\"");
    }

    #[test]
    fn quotes_end_after_80_characters() {
        assert_eq!(quotable(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(quotable(&"ä".repeat(81)), "ä".repeat(80) + "…");
        assert_eq!(quoted("ä".repeat(10_000).as_bytes()), format!("\"{}…\"", "ä".repeat(80)));
    }

    #[test]
    fn errors_of_connecting_are_told_apart() {
        for (errno, reason, message) in [
            (libc::ECONNREFUSED, Reason::Refused, "connection refused by 192.0.2.10:8080"),
            (libc::EHOSTUNREACH, Reason::Unreachable, "no way to 192.0.2.10:8080: host unreachable"),
            (libc::ENETUNREACH, Reason::Unreachable, "no way to 192.0.2.10:8080: network unreachable"),
            (libc::ECONNRESET, Reason::Reset, "connection reset by 192.0.2.10:8080 while connecting"),
            (libc::ETIMEDOUT, Reason::Timeout, "connection to 192.0.2.10:8080 timed out while connecting"),
            (libc::EMFILE, Reason::Internal, "this node could not probe: too few file descriptors (Too many open files)"),
            (libc::ENFILE, Reason::Internal, "this node could not probe: too few file descriptors (Too many open files in system)"),
            (libc::EADDRNOTAVAIL, Reason::Internal, "this node could not probe: no free local port or address (Cannot assign requested address)"),
            (libc::EPERM, Reason::Internal, "this node could not probe: connections are forbidden by a local rule (Operation not permitted)"),
        ] {
            assert_eq!(Failure::connect(&io::Error::from_raw_os_error(errno), peer()), Failure::new(reason, message));
        }
    }

    #[test]
    fn status_and_body_sentences_say_expected_and_got() {
        let redirect = Failure::status(&[200..=299], StatusCode::FOUND, Some(b"/login"));
        assert_eq!(redirect.message, "expected status 200-299, got 302 Found (location: /login)");
        let odd = Failure::status(&[200..=200, 204..=206], StatusCode::from_u16(599).unwrap(), None);
        assert_eq!(odd.message, "expected status 200, 204-206, got 599");
        let body = Failure::body("<status>ok</status>", format!("<html>\n<p>{}", "x".repeat(100)).as_bytes(), false);
        assert_eq!(body.message, format!("expected the body to contain \"<status>ok</status>\", got \"<html> <p>{}…\"", "x".repeat(70)));
        assert_eq!(Failure::body("ok", b"", false).message, "expected the body to contain \"ok\", got an empty one");
        assert_eq!(Failure::body("ok", b"no", true).message, "expected the first 64 KiB of the body to contain \"ok\", got \"no\"");
    }
}
