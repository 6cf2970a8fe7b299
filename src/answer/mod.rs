//! A query in, a response out: the one engine that decides every response on every transport.
//!
//! ```text
//! octets ─▶ header ─▶ question ─▶ records, EDNS ─▶ class and meta types ─▶ resolve (RFC 1034, section 4.3.2) ─▶ OPT, header ─▶ octets
//!             │          │             │                  │                   │
//!           silence   FORMERR      FORMERR, BADVERS    REFUSED, NOTIMP     a service? its leaf, from the worker's own sequence
//! ```
//!
//! 1. [`answer`] is the journey; each `return` is the first place that can decide.
//! 2. `resolve` walks from name to name; `picks` chooses leaves and rotations; `counters` counts.
//!
//! Never here: waiting, locks, clocks, allocation. A snapshot is read, a [`Cx`] belongs to one worker.

#![deny(clippy::indexing_slicing, reason = "bytes from strangers")]

mod counters;
mod cx;
mod grown;
mod outcome;
mod picks;
mod resolve;
mod series;
mod slow;
mod transfer;
mod words;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::client::Subnet;
use crate::snapshot::Snapshot;
use crate::wire::{Edns, HEADER_OCTETS, Header, Opcode, Packet, Question, Rcode, Section, ede, option, read_records, rtype};

pub use counters::Counters;
pub use cx::Cx;
pub use series::{Histogram, HistogramOf, Series, cell_total, histogram, visit};
pub use slow::{Slow, Told, Work, answer_slow};
pub use transfer::{Made, Transfer};
pub use words::{DropReason, QTYPE_WORDS, SubnetOutcome, Transport};

use outcome::Outcome;
use resolve::resolve;
use slow::Settled;

/// Octets that a UDP response may have, whatever the client says: fits the smallest IPv6 MTU (RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;
/// Octets that every client takes (RFC 1035, section 4.2.1).
const UDP_OCTETS_MIN: usize = 512;
/// An OPT record without options (RFC 6891, section 6.1.2).
const OPT_OCTETS: usize = 11;
/// Code and length before an option's data.
const OPTION_HEAD_OCTETS: usize = 4;
/// UDP ports of services that answer anything they get: nothing good comes from there, and 0 can't be answered.
const SOURCE_PORTS_DROPPED: [u16; 3] = [0, 7, 19];

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The sender's address.
    pub client: IpAddr,
    /// The sender's port.
    pub port: u16,
    /// The transport.
    pub transport: Transport,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The first so many octets of `out` are the response.
    Reply(usize),
    /// Silence; counted.
    Drop(DropReason),
    /// Needs more than this: [`answer_slow`].
    Slow(Slow),
}

/// Answers one query into `out`, which has room for [`UDP_OCTETS_MAX`] octets, or for 65,535 if the transport is TCP.
///
/// Call [`Cx::begin`] before, once per batch, with the same snapshot.
pub fn answer(snapshot: &Snapshot, query: &[u8], asked: Asked, cx: &mut Cx, out: &mut [u8]) -> Handled {
    answer_as(snapshot, query, asked, Settled::Not, cx, out)
}

/// The same; `settled`: what [`answer_slow`] knows about the transfer that is asked for.
fn answer_as(snapshot: &Snapshot, query: &[u8], asked: Asked, settled: Settled, cx: &mut Cx, out: &mut [u8]) -> Handled {
    let Some(header) = Header::read(query) else { return cx.drop(DropReason::Short) };
    // A response to a response could go on forever.
    if header.is_response() {
        return cx.drop(DropReason::Response);
    }
    if asked.transport == Transport::Udp && SOURCE_PORTS_DROPPED.contains(&asked.port) {
        return cx.drop(DropReason::SourcePort);
    }
    let mut packet = Packet::new(out, UDP_OCTETS_MIN);
    let mut outcome = Outcome::default();
    if let Some(opt) = decide(snapshot, query, &header, (asked.transport, settled), cx, &mut packet, &mut outcome) {
        opt.put(&mut packet, &outcome);
    }
    if let Some(slow) = outcome.slow {
        return Handled::Slow(slow);
    }
    let octets = packet.finish(&header, outcome.rcode, outcome.authoritative, outcome.truncated);
    cx.counters.count(&outcome, &asked, octets);
    Handled::Reply(octets)
}

/// From the header on: everything but the response's own header and OPT record, which is returned.
fn decide<'s, 'q>(
    snapshot: &'s Snapshot,
    query: &'q [u8],
    header: &Header,
    (transport, settled): (Transport, Settled),
    cx: &mut Cx,
    packet: &mut Packet<'_>,
    outcome: &mut Outcome<'s>,
) -> Option<OptReply<'q>> {
    // Header. The sections of other opcodes are not ours to read, so their responses are a header alone.
    match header.opcode() {
        Opcode::Query if header.questions == 1 => (),
        // RFC 9619, section 4: a query has one question.
        Opcode::Query => return outcome.ends(Rcode::FormErr, None),
        // Known, but not from strangers (RFC 1996, section 3.10; RFC 2136, section 3.3).
        Opcode::Notify | Opcode::Update => return outcome.ends(Rcode::Refused, None),
        Opcode::Other => return outcome.ends(Rcode::NotImp, None),
    }

    // Question.
    let Some(mut question) = Question::read(query) else { return outcome.ends(Rcode::FormErr, None) };
    packet.put_question(query.get(HEADER_OCTETS..question.end()).unwrap_or_default());
    outcome.qtype = Some(question.qtype);

    // Records and EDNS.
    let edns = match read_records(query, header, &question) {
        Ok(edns) => edns,
        Err(malformed) => return outcome.ends(Rcode::FormErr, malformed.opt_seen.then(OptReply::default)),
    };
    if settled == Settled::Not && slow::is_signed(query, header, &question) {
        outcome.slow = Some(Slow::Signed);
        return None;
    }
    let mut opt = None;
    let mut limit = UDP_OCTETS_MIN;
    if let Some(edns) = edns {
        let opt = opt.insert(OptReply { dnssec_ok: edns.dnssec_ok, subnet: None });
        limit = usize::from(edns.payload).clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX);
        // RFC 6891, section 6.1.3. Options of a version that we don't know mean nothing to us.
        if edns.version != 0 {
            return outcome.ends(Rcode::BadVers, Some(*opt));
        }
        if !edns.options.is_empty() {
            let Ok(subnet) = read_subnet(&edns) else {
                outcome.subnet = Some(SubnetOutcome::Malformed);
                return outcome.ends(Rcode::FormErr, Some(*opt));
            };
            opt.subnet = subnet;
            outcome.subnet = subnet.map(|_| SubnetOutcome::Ignored);
        }
    }
    if transport == Transport::Tcp {
        limit = usize::from(u16::MAX);
    }
    packet.set_limit(limit, opt.map_or(0, |opt| opt.octets()));

    // What was found out about its signature or its transfer.
    match settled {
        Settled::NotAuth => return outcome.ends(Rcode::NotAuth, opt),
        Settled::Refused => return outcome.ends(Rcode::Refused, opt),
        Settled::Malformed => return outcome.ends(Rcode::FormErr, opt),
        Settled::Soa => question.qtype = rtype::SOA,
        Settled::Not => (),
    }

    // Class and type.
    cx.name.set(query.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets).unwrap_or_default());
    if slow::is_transfer(snapshot, &cx.name, &question, transport) {
        outcome.slow = Some(Slow::Transfer);
        return None;
    }
    if let Some(rcode) = beyond_data(&question) {
        return outcome.ends(rcode, opt);
    }

    // Data.
    resolve(snapshot, &question, &mut cx.name, &mut cx.picks, packet, outcome);
    opt
}

/// Classes other than IN, and types that are never data of a zone (RFC 6895, section 3.1).
fn beyond_data(question: &Question) -> Option<Rcode> {
    match question.qtype {
        _ if question.qclass != rtype::CLASS_IN => Some(Rcode::Refused),
        0..rtype::OPT => None,
        rtype::OPT | rtype::NXNAME | rtype::TSIG => Some(Rcode::FormErr),
        rtype::TKEY | rtype::MAILA | rtype::MAILB => Some(Rcode::NotImp),
        rtype::AXFR | rtype::IXFR => Some(Rcode::Refused),
        _ => None,
    }
}

fn read_subnet<'q>(edns: &Edns<'q>) -> Result<Option<Subnet<'q>>, ()> {
    match edns.client_subnet()? {
        None => Ok(None),
        // RFC 7871, section 7.1.2: a malformed option is FORMERR.
        Some(option) => Subnet::read(option).map(Some).ok_or(()),
    }
}

/// The OPT record of the response: there is one if and only if the query had one (RFC 6891, section 6.1.1).
#[derive(Clone, Copy, Default)]
struct OptReply<'q> {
    dnssec_ok: bool,
    subnet: Option<Subnet<'q>>,
}

impl OptReply<'_> {
    fn octets(&self) -> usize {
        OPT_OCTETS + self.subnet.map_or(0, |subnet| OPTION_HEAD_OCTETS + subnet.echo().len())
    }

    fn put(&self, packet: &mut Packet<'_>, outcome: &Outcome<'_>) {
        packet.use_reserved();
        let error_octets = |text: &[u8]| OPTION_HEAD_OCTETS + 2 + text.len();
        // RFC 8914, section 3: the error is left out if there is no room.
        let extra_text = outcome.extra_text.filter(|text| self.octets() + error_octets(text) <= packet.room());
        let rdata_octets = self.octets() - OPT_OCTETS + extra_text.map_or(0, error_octets);
        let [payload_high, payload_low] = (UDP_OCTETS_MAX as u16).to_be_bytes();
        let [length_high, length_low] = (rdata_octets as u16).to_be_bytes();
        let rcode_high = (outcome.rcode.number() >> 4) as u8;
        let flags_high = if self.dnssec_ok { 0x80 } else { 0 };
        packet.put(&[0, 0, rtype::OPT as u8, payload_high, payload_low, rcode_high, 0, flags_high, 0, length_high, length_low]);
        if let Some(subnet) = self.subnet {
            put_option(packet, option::CLIENT_SUBNET, &[], subnet.echo());
        }
        if let Some(text) = extra_text {
            put_option(packet, option::EXTENDED_ERROR, &ede::OTHER.to_be_bytes(), text);
        }
        packet.count(Section::Additional, 1);
    }
}

fn put_option(packet: &mut Packet<'_>, code: u16, head: &[u8], data: &[u8]) {
    let [c0, c1] = code.to_be_bytes();
    let [l0, l1] = ((head.len() + data.len()) as u16).to_be_bytes();
    packet.put(&[c0, c1, l0, l1]);
    packet.put(head);
    packet.put(data);
}
