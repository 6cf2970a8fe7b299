//! What happens during one probe, noted as it happens, so that a deadline that cuts it off still leaves a true report.
//!
//! For a probe that somebody looks at ([`Trace::detailed`]) much more is noted; for any other one that costs one comparison and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::health::{BodyDetail, DataAt, LoadRead, Phase, ProbeDetail, Reported, Resolved};
use crate::model::Timestamp;

use super::fail::legible;

/// So much of a body is shown.
pub const SHOWN_BYTES_MAX: usize = 256;
/// Lines of a head that are shown, and octets of each.
const LINES_MAX: usize = 40;
const LINE_CHARS_MAX: usize = 300;
/// Longest wait for a body that nobody judges, before the deadline.
const PEEK_MAX: Duration = Duration::from_millis(500);
const PEEK_RESERVE: Duration = Duration::from_millis(20);

/// The notes of one probe.
#[derive(Debug)]
pub struct Trace {
    started: Instant,
    /// Phases entered and when.
    entered: Vec<(Phase, Instant)>,
    /// HTTP status code, if one came.
    pub status: Option<u16>,
    /// Of the leaf certificate, if TLS was spoken.
    pub certificate_expires: Option<Timestamp>,
    /// What passes and should be looked at.
    pub warning: Option<String>,
    /// The same about the target's host name.
    pub resolver_warning: Option<String>,
    /// What its host name was resolved to, if it has one.
    pub resolved: Option<Arc<Resolved>>,
    /// Who is being asked; `None`: that is not known yet.
    pub peer: Option<SocketAddr>,
    /// What the response told of its endpoint's weight.
    pub reported: Option<Reported>,
    /// What it told of its data.
    pub data_at: Option<DataAt>,
    /// What it told of its load.
    pub load: Option<LoadRead>,
    /// `None`: nobody looks.
    detail: Option<Box<Detail>>,
}

/// What is noted for somebody who looks.
#[derive(Debug, Default)]
pub struct Detail {
    /// What is shown.
    pub shown: ProbeDetail,
    /// The beginning of the body, raw.
    body: Vec<u8>,
    read: u64,
    has_body: bool,
}

impl Detail {
    /// A piece of the body has come.
    pub fn body(&mut self, data: &[u8]) {
        self.has_body = true;
        self.read += data.len() as u64;
        let room = SHOWN_BYTES_MAX - self.body.len();
        self.body.extend_from_slice(data.get(..room).unwrap_or(data));
    }

    /// One more line of what came before the body.
    pub fn head(&mut self, line: &str) {
        push(&mut self.shown.head, line);
    }

    /// One more line of what was sent.
    pub fn sent(&mut self, line: &str) {
        push(&mut self.shown.sent, line);
    }
}

fn push(lines: &mut Vec<String>, line: &str) {
    if lines.len() < LINES_MAX {
        lines.push(legible(line, LINE_CHARS_MAX, false));
    }
}

impl Trace {
    /// A probe begins now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            entered: Vec::with_capacity(4),
            status: None,
            certificate_expires: None,
            warning: None,
            resolver_warning: None,
            resolved: None,
            peer: None,
            reported: None,
            data_at: None,
            load: None,
            detail: None,
        }
    }

    /// A probe that somebody looks at begins now.
    pub fn detailed(expected: Vec<String>) -> Self {
        let shown = ProbeDetail { expected, ..ProbeDetail::default() };
        Self { detail: Some(Box::new(Detail { shown, ..Detail::default() })), ..Self::start() }
    }

    /// Notes something for who looks, if anybody does.
    pub fn detail(&mut self, note: impl FnOnce(&mut Detail)) {
        if let Some(detail) = &mut self.detail {
            note(detail);
        }
    }

    /// Until when a body is waited for that is only shown, never judged; `None`: nobody looks.
    pub fn peek_until(&self, timeout: Duration) -> Option<Instant> {
        self.detail.as_ref()?;
        let end = self.started + timeout.saturating_sub(PEEK_RESERVE);
        Some(end.min(Instant::now() + PEEK_MAX))
    }

    /// Whether more of a body would be shown.
    pub fn wants_more(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.body.len() < SHOWN_BYTES_MAX)
    }

    /// What was noted, with these texts struck out of it.
    pub fn into_detail(self, secrets: &[&str]) -> ProbeDetail {
        let Some(Detail { mut shown, body, read, has_body }) = self.detail.map(|detail| *detail) else { return ProbeDetail::default() };
        for line in &mut shown.head {
            *line = without(line, secrets);
        }
        if has_body {
            let text = without(&String::from_utf8_lossy(&body), secrets);
            shown.body = Some(BodyDetail { text: legible(&text, SHOWN_BYTES_MAX, true), read });
        }
        shown
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The last phase ends, this one begins.
    pub fn enter(&mut self, phase: Phase) {
        self.entered.push((phase, Instant::now()));
    }

    /// Where the probe is.
    pub fn phase(&self) -> Phase {
        self.entered.last().map_or(Phase::Connect, |(phase, _)| *phase)
    }

    /// How long it took, in all and phase by phase, when it ends now.
    pub fn times(&self) -> (Duration, Vec<(Phase, Duration)>) {
        let ended = Instant::now();
        let ends = self.entered.iter().skip(1).map(|(_, at)| *at).chain([ended]);
        let phases = self.entered.iter().zip(ends).map(|((phase, from), to)| (*phase, to.saturating_duration_since(*from))).collect();
        (ended.saturating_duration_since(self.started), phases)
    }
}

/// Shorter secrets stand in too much else.
const SECRET_BYTES_MIN: usize = 4;

/// A peer may send back what it was sent: what is secret is struck out. A beginning of one at the end, where a text was cut, goes, too.
pub fn without(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_string();
    for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
        text = text.replace(secret, "(hidden)");
        let cut = (SECRET_BYTES_MIN..secret.len()).rev().find(|length| secret.get(..*length).is_some_and(|begin| text.ends_with(begin)));
        if let Some(kept) = cut.and_then(|length| text.len().checked_sub(length)) {
            text.truncate(kept);
            text.push_str("(hidden)");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_nobody_looks_at_notes_nothing_more() {
        let mut trace = Trace::start();
        trace.detail(|_| panic!("it must not be asked"));
        assert_eq!(trace.peek_until(Duration::from_secs(1)), None);
        assert_eq!(trace.into_detail(&[]), ProbeDetail::default());
    }

    #[test]
    fn what_is_shown_is_short_harmless_and_without_secrets() {
        let mut trace = Trace::detailed(vec!["status 200".into()]);
        trace.detail(|detail| {
            detail.head("x-echo: s3cret-token\u{1b}[2J");
            detail.body(b"you sent s3cret-token\r\nline 2\x00\x1b[31m ");
            detail.body(&[b'x'; 1000]);
        });
        let detail = trace.into_detail(&["s3cret-token", "abc"]);
        assert_eq!(detail.head, ["x-echo: (hidden)\u{fffd}[2J"]);
        let body = detail.body.unwrap();
        assert!(body.text.starts_with("you sent (hidden)\nline 2\u{fffd}\u{fffd}[31m xxx"), "{:?}", body.text);
        assert_eq!(body.read, 1036);
        assert!(body.text.chars().count() <= SHOWN_BYTES_MAX);
    }

    #[test]
    fn a_secret_that_is_cut_off_at_the_end_is_struck_out_too() {
        assert_eq!(without("token: s3cret-to", &["s3cret-token"]), "token: (hidden)");
        assert_eq!(without("s3", &["s3cret-token"]), "s3");
    }
}
