//! What came of a query: made up step by step on its way, then written into the header and counted.

use crate::snapshot::{CellId, ZoneSlot};
use crate::wire::Rcode;

use super::slow::Slow;
use super::words::SubnetOutcome;

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
    /// `None`: no question was read.
    pub(super) qtype: Option<u16>,
    pub(super) subnet: Option<SubnetOutcome>,
    /// It is not answered here.
    pub(super) slow: Option<Slow>,
}

impl Outcome<'_> {
    /// Nothing more is to be decided; `opt` is handed through.
    pub(super) fn ends<T>(&mut self, rcode: Rcode, opt: Option<T>) -> Option<T> {
        self.rcode = rcode;
        opt
    }
}
