//! What a response's body is judged by, while it is read.
//!
//! A text alone is found as soon as it has come, so an endless body does no harm. A pattern and JSON want the whole body: whether they fit can
//! change with every further octet. Never here: sockets; more than 64 KiB.

use crate::health::{DataAt, LoadRead, Reason, Reported};
use crate::model::{HttpCheck, ReportPlace};

use super::fail::{Failure, quotable, quoted};
use super::json;
use super::tcp::contains;
use super::told;

/// So much of a body is looked at.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a body that passes tells.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// It says that it is degraded: a sentence.
    pub degraded: Option<String>,
    /// The weight that it tells.
    pub reported: Option<Reported>,
    /// What it tells of the data.
    pub data_at: Option<DataAt>,
    /// What it tells of its load.
    pub load: Option<LoadRead>,
}

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
        let wanted = check.body.is_some() || wants_whole(check);
        wanted.then(|| Self { check, read: Vec::new(), searched: 0, found: check.body.is_none() })
    }

    /// Whether anything that comes could change the verdict.
    pub fn wants_more(&self) -> bool {
        self.read.len() < BODY_BYTES_MAX && (wants_whole(self.check) || !self.found)
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
    pub fn end(self, cut: bool) -> Result<Found, Failure> {
        let HttpCheck { body, body_regex, json, outcomes, .. } = self.check;
        if let Some(text) = body.as_deref().filter(|_| !self.found) {
            return Err(Failure::body(text, &self.read, cut));
        }
        if let Some(pattern) = body_regex.as_ref().filter(|pattern| !pattern.matches(&self.read)) {
            return Err(Failure::pattern(pattern.text(), &self.read, cut));
        }
        if !json.is_empty() {
            if cut {
                return Err(Failure::new(Reason::Body, "expected a JSON body of at most 64 KiB, got a longer one"));
            }
            json::judge(json, &self.read)?;
        }
        let text = outcomes.degraded.as_ref().and_then(|rule| rule.body.as_deref()).filter(|text| contains(&self.read, text.as_bytes()));
        let tests = outcomes.degraded.as_ref().map(|rule| &rule.json[..]).filter(|tests| !tests.is_empty() && !cut && json::judge(tests, &self.read).is_ok());
        let degraded = match (text, tests) {
            (Some(text), _) => Some(format!("the body contains {}", quoted(text.as_bytes()))),
            (None, Some(tests)) => Some(format!("the body says {}", tests.iter().map(|test| quotable(&test.to_string())).collect::<Vec<_>>().join(" and "))),
            (None, None) => None,
        };
        let reported = outcomes.report.as_ref().and_then(|rule| told::in_body(rule, &self.read, cut));
        let data_at = outcomes.data_at.as_ref().and_then(|place| told::data_in_body(place, &self.read, cut));
        let load = outcomes.load_from.as_ref().and_then(|place| told::load_in_body(place, &self.read, cut));
        Ok(Found { degraded, reported, data_at, load })
    }
}

/// What is asked can change with every octet, so all of it is read.
fn wants_whole(check: &HttpCheck) -> bool {
    let HttpCheck { body_regex, json, outcomes, .. } = check;
    let degraded = outcomes.degraded.as_ref().is_some_and(|rule| rule.body.is_some() || !rule.json.is_empty());
    let places = outcomes.report.iter().map(|rule| &rule.place).chain(&outcomes.data_at).chain(&outcomes.load_from);
    let told = places.into_iter().any(|place| matches!(place, ReportPlace::Json(_)));
    body_regex.is_some() || !json.is_empty() || degraded || told
}
