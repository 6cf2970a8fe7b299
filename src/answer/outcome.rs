//! What came of a query: made up step by step on its way, then written into the header and counted.

use crate::snapshot::{CellId, ZoneSlot};
use crate::wire::Rcode;

use super::slow::Slow;
use super::words::{CookieOutcome, SubnetOutcome};

/// See above. `'s` is the snapshot's.
#[derive(Debug, Default)]
pub(super) struct Outcome<'s> {
    pub(super) rcode: Rcode,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    /// Of the name that was asked for.
    pub(super) zone: ZoneSlot,
    /// The leaf that answered.
    pub(super) cell: Option<CellId>,
    /// Text of an Extended DNS Error.
    pub(super) extra_text: Option<&'s [u8]>,
    /// Its info code.
    pub(super) extra_code: u16,
    /// `None`: no question was read.
    pub(super) qtype: Option<u16>,
    pub(super) subnet: Option<SubnetOutcome>,
    pub(super) cookie: Option<CookieOutcome>,
    /// What the response is about, for the rate limit: the name, wildcard or cut found, or a zone's negatives. 0: none of our zones.
    pub(super) subject: u64,
    /// It is not answered here.
    pub(super) slow: Option<Slow>,
}

impl Outcome<'_> {
    /// The answer was too many: an empty response with TC instead, so that a real client asks over TCP.
    pub(super) fn slips(&mut self) {
        self.truncated = true;
        self.cell = None;
        self.extra_text = None;
    }

    /// Nothing more is to be decided.
    pub(super) fn ends(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }
}
