//! What a response's body is judged by, while it is read.
//!
//! A text alone is found as soon as it has come, so an endless body does no harm. A pattern and JSON want the whole body: whether they fit can
//! change with every further octet. Never here: sockets; more than 64 KiB.

use crate::health::Reason;
use crate::model::HttpCheck;

use super::fail::Failure;
use super::json;
use super::tcp::contains;

/// So much of a body is looked at.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One body on its way in.
#[derive(Debug)]
pub struct Judge<'a> {
    check: &'a HttpCheck,
    read: Vec<u8>,
    /// Beginnings that were looked at for the text.
    searched: usize,
    /// The text was found, or none is wanted.
    found: bool,
}

impl<'a> Judge<'a> {
    /// `None`: nothing is expected of the body, and it need not be read.
    pub fn new(check: &'a HttpCheck) -> Option<Self> {
        let HttpCheck { body, body_regex, json, .. } = check;
        let wanted = body.is_some() || body_regex.is_some() || !json.is_empty();
        wanted.then(|| Self { check, read: Vec::new(), searched: 0, found: body.is_none() })
    }

    /// Whether anything that comes could change the verdict.
    pub fn wants_more(&self) -> bool {
        let whole = self.check.body_regex.is_some() || !self.check.json.is_empty();
        self.read.len() < BODY_BYTES_MAX && (whole || !self.found)
    }

    /// A piece has come; what lies beyond the limit is left out.
    pub fn read(&mut self, data: &[u8]) {
        self.read.extend_from_slice(data.get(..BODY_BYTES_MAX - self.read.len()).unwrap_or(data));
        let Some(text) = self.check.body.as_deref().filter(|_| !self.found) else { return };
        self.found = contains(self.read.get(self.searched..).unwrap_or_default(), text.as_bytes());
        // A match may begin in what was read so far and end in what comes.
        self.searched = (self.read.len() + 1).saturating_sub(text.len()).max(self.searched);
    }

    /// Nothing more is read. `cut`: there was more.
    pub fn end(self, cut: bool) -> Result<(), Failure> {
        let HttpCheck { body, body_regex, json, .. } = self.check;
        if let Some(text) = body.as_deref().filter(|_| !self.found) {
            return Err(Failure::body(text, &self.read, cut));
        }
        if let Some(pattern) = body_regex.as_ref().filter(|pattern| !pattern.matches(&self.read)) {
            return Err(Failure::pattern(pattern.text(), &self.read, cut));
        }
        if json.is_empty() {
            return Ok(());
        }
        if cut {
            return Err(Failure::new(Reason::Body, "expected a JSON body of at most 64 KiB, got a longer one"));
        }
        json::judge(json, &self.read)
    }
}
