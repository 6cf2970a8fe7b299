//! Messages of a zone transfer (RFC 5936), one after the other, from one snapshot.
//!
//! ```text
//! SOA ─▶ static records ─▶ names of services with their present answer ─▶ SOA
//! ```
//!
//! A [`Transfer`] holds its snapshot, so what comes out is one consistent zone however long the client takes; of memory it needs
//! a place in the walk. IXFR gets the same when the client's serial is older (RFC 1995, section 4: "in the form of AXFR").
//! Owners, and the names in NS, CNAME, PTR, MX and SOA, end in a pointer to the apex, which is in every message's question.
//!
//! Never here: who may have it (`slow`), sockets, a clock.

use std::sync::Arc;

use crate::snapshot::Snapshot;
use crate::snapshot::content::{Record, Records, Step};
use crate::wire::tsig::Signer;
use crate::wire::{HEADER_OCTETS, Header, Name, Question, Rcode, rtype};

/// Steps of the walk in one call: names of other zones cost steps, too, and others want to work meanwhile.
const STEPS_MAX: usize = 20_000;
/// An OPT record without options.
const OPT_OCTETS: usize = 11;

/// A transfer on its way.
#[derive(Debug)]
pub struct Transfer {
    snapshot: Arc<Snapshot>,
    zone: u16,
    apex: Name,
    /// Header and question of the query, whose name is the apex.
    query: Box<[u8]>,
    header: Header,
    apex_octets: usize,
    /// The query had an OPT record: so has the first message (RFC 5936, section 2.2.5).
    opt: bool,
    signer: Option<Signer>,
    at: At,
    /// Octets of the message at hand, and its records; a step may end before the message is full.
    length: usize,
    records: u16,
    /// Records so far, both SOA included.
    total: u64,
}

#[derive(Debug)]
enum At {
    FirstSoa,
    Records(Records),
    LastSoa,
    Over,
}

/// What a call made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The first so many octets are the next message.
    Message(usize),
    /// Nothing to send yet: call again, with the same buffer, after others had their turn.
    Nothing,
    /// Everything was made.
    End,
    /// A record is larger than a message can be: the transfer can't go on.
    TooLarge,
}

impl Transfer {
    /// From a query for the apex of zone number `zone`. `None`: it is no query.
    pub(super) fn new(snapshot: Arc<Snapshot>, zone: u16, query: &[u8], opt: bool, signer: Option<Signer>) -> Option<Self> {
        let (header, question) = (Header::read(query)?, Question::read(query)?);
        let query = query.get(..question.end())?;
        let apex = Name::from_wire(query.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets)?)?;
        Some(Self {
            snapshot,
            zone,
            apex,
            header,
            apex_octets: question.name_octets,
            query: query.into(),
            opt,
            signer,
            at: At::FirstSoa,
            length: 0,
            records: 0,
            total: 0,
        })
    }

    /// The zone's apex.
    pub fn zone(&self) -> &Name {
        &self.apex
    }

    /// The serial that is transferred.
    pub fn serial(&self) -> u32 {
        self.snapshot.served_serial(self.zone).unwrap_or(0)
    }

    /// Records made so far.
    pub fn records(&self) -> u64 {
        self.total
    }

    /// Makes the next message in `out`, which has room for the longest, 65,535 octets. `now`: seconds since 1970, for the signature.
    pub fn make(&mut self, now: u64, out: &mut [u8]) -> Made {
        if self.length == 0 {
            let Some(place) = out.get_mut(..self.query.len()) else { return Made::TooLarge };
            place.copy_from_slice(&self.query);
            self.length = self.query.len();
        }
        let reserved = self.signer.as_ref().map_or(0, Signer::octets) + if self.opt { OPT_OCTETS } else { 0 };
        let limit = out.len().min(usize::from(u16::MAX)).saturating_sub(reserved);
        let snapshot = self.snapshot.clone();
        let mut soa = Vec::new();
        for _ in 0..STEPS_MAX {
            // A record that doesn't fit is read again for the next message.
            let mut ahead = None;
            let record = match &self.at {
                At::FirstSoa | At::LastSoa => match snapshot.soa(self.zone, &mut soa) {
                    Some(soa) => soa,
                    None => return Made::TooLarge,
                },
                At::Records(records) => match ahead.insert(*records).step(&snapshot, self.zone) {
                    Step::Record(record) => record,
                    Step::Nothing => {
                        self.at = ahead.map_or(At::LastSoa, At::Records);
                        continue;
                    }
                    Step::End => {
                        self.at = At::LastSoa;
                        continue;
                    }
                },
                At::Over if self.records == 0 => return Made::End,
                At::Over => return self.finish(now, out),
            };
            match self.put(&record, out, limit) {
                Some(end) if self.records < u16::MAX => (self.length, self.records, self.total) = (end, self.records + 1, self.total + 1),
                _ if self.records == 0 => return Made::TooLarge,
                _ => return self.finish(now, out),
            }
            self.at = match std::mem::replace(&mut self.at, At::Over) {
                At::FirstSoa => At::Records(Records::default()),
                At::Records(_) => ahead.map_or(At::LastSoa, At::Records),
                At::LastSoa | At::Over => At::Over,
            };
        }
        Made::Nothing
    }

    /// The message that ends a transfer which could not begin: SERVFAIL, so that the client asks again later.
    pub fn fail(mut self, now: u64, out: &mut [u8]) -> Option<usize> {
        out.get_mut(..self.query.len())?.copy_from_slice(&self.query);
        (self.length, self.records) = (self.query.len(), 0);
        self.close(Rcode::ServFail, now, out)
    }

    fn finish(&mut self, now: u64, out: &mut [u8]) -> Made {
        self.close(Rcode::NoError, now, out).map_or(Made::TooLarge, Made::Message)
    }

    /// Header, OPT, signature; the next message begins anew.
    fn close(&mut self, rcode: Rcode, now: u64, out: &mut [u8]) -> Option<usize> {
        let flags = self.header.response_flags(rcode, rcode == Rcode::NoError, false);
        let mut length = self.length;
        if self.opt {
            // DO is not copied: nothing here is signed with DNSSEC.
            let [high, low] = (super::UDP_OCTETS_MAX as u16).to_be_bytes();
            out.get_mut(length..length + OPT_OCTETS)?.copy_from_slice(&[0, 0, rtype::OPT as u8, high, low, 0, 0, 0, 0, 0, 0]);
            length += OPT_OCTETS;
        }
        let counts = [flags, 1, self.records, 0, u16::from(self.opt)];
        for (place, number) in out.get_mut(2..HEADER_OCTETS)?.chunks_exact_mut(2).zip(counts) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        (self.opt, self.length, self.records) = (false, 0, 0);
        match &mut self.signer {
            Some(signer) => signer.sign(out, length, now),
            None => Some(length),
        }
    }

    /// Writes a record behind what is there; gives where it ends, or `None` if there is no room.
    fn put(&self, record: &Record<'_>, out: &mut [u8], limit: usize) -> Option<usize> {
        let mut writer = Writer { out: out.get_mut(..limit)?, at: self.length };
        let Record { owner, rtype, ttl, rdata } = *record;
        self.put_name(&mut writer, owner)?;
        writer.put(&rtype.to_be_bytes())?;
        writer.put(&rtype::CLASS_IN.to_be_bytes())?;
        writer.put(&ttl.to_be_bytes())?;
        let length_at = writer.at;
        writer.put(&[0, 0])?;
        // RFC 3597, section 4: names are compressed only in the types of RFC 1035.
        let (before, names) = match rtype {
            rtype::NS | rtype::CNAME | rtype::PTR => (0, 1),
            rtype::MX => (2, 1),
            rtype::SOA => (0, 2),
            _ => (rdata.len(), 0),
        };
        let (head, mut rest) = rdata.split_at_checked(before)?;
        writer.put(head)?;
        for _ in 0..names {
            let (name, after) = rest.split_at_checked(name_octets(rest)?)?;
            self.put_name(&mut writer, name)?;
            rest = after;
        }
        writer.put(rest)?;
        let octets = u16::try_from(writer.at - length_at - 2).ok()?;
        writer.out.get_mut(length_at..length_at + 2)?.copy_from_slice(&octets.to_be_bytes());
        Some(writer.at)
    }

    /// A name, cut where the apex begins.
    fn put_name(&self, writer: &mut Writer<'_>, name: &[u8]) -> Option<()> {
        let (mut rest, apex) = (name, self.apex.wire());
        while rest.len() > self.apex_octets {
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
        if rest.len() > 1 && rest.eq_ignore_ascii_case(apex) {
            writer.put(name.get(..name.len() - rest.len())?)?;
            writer.put(&[0xc0, HEADER_OCTETS as u8])
        } else {
            writer.put(name)
        }
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.out.get_mut(self.at..self.at + octets.len())?.copy_from_slice(octets);
        self.at += octets.len();
        Some(())
    }
}

/// Octets of the uncompressed name that `octets` begin with.
fn name_octets(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length => at += 1 + usize::from(length),
        }
    }
}
