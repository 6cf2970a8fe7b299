//! Queries that need more than a look at the snapshot: signed ones (RFC 8945), transfers (RFC 5936, RFC 1995), and why a name is answered as it is.
//!
//! | asked                               | who                         | gets                                                         |
//! |-------------------------------------|-----------------------------|--------------------------------------------------------------|
//! | anything with a TSIG record         | wrong key, MAC or clock     | NOTAUTH with BADKEY, BADSIG, BADTRUNC, BADTIME               |
//! |                                     | a key that we have          | the answer that it gets unsigned, signed                     |
//! | AXFR over TCP                       | a secondary of the zone     | the zone                                                     |
//! | IXFR, its serial is ours or newer   | a secondary of the zone     | our SOA record alone                                         |
//! | IXFR over UDP                       | a secondary of the zone     | our SOA record alone: come over TCP (RFC 1995, section 2)    |
//! | IXFR over TCP, its serial is older  | a secondary of the zone     | the zone, as for AXFR (RFC 1995, section 4)                  |
//! | AXFR over UDP                       | anybody                     | REFUSED: not defined (RFC 5936, section 4.2)                 |
//! | AXFR, IXFR                          | anybody else                | REFUSED                                                      |
//!
//! Allocates and computes MACs, so only few ever come here: [`answer`](super::answer) says which. Addresses are looked at before MACs where
//! that saves work. Never here: a clock, a socket.

use std::sync::Arc;

use crate::snapshot::{Found, Snapshot};
use crate::wire::tsig::{self, Algorithm, Signer, TSIG_OCTETS_MIN, Tsig, TsigKey};
use crate::wire::{Edns, HEADER_OCTETS, Header, Lowered, Name, Question, client_serial, read_records, rtype};
use crate::zone::is_older;

use super::outcome::Outcome;
use super::transfer::Transfer;
use super::{Asked, Cx, Handled, Transport, UDP_OCTETS_MAX, UDP_OCTETS_MIN, answer_as};

/// Other data of a BADTIME response: the server's time.
const OTHER_OCTETS: usize = 6;

/// Why a worker can't answer at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It is signed.
    Signed,
    /// It asks for a zone that has secondaries.
    Transfer,
    /// It asks why a name is answered as it is, and may.
    Explain,
}

/// What was settled about a signature or a transfer before a query is answered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nothing: the query came just now, or its signature is right and gone.
    Not,
    /// Its signature doesn't count.
    NotAuth,
    /// The zone is not for this client.
    Refused,
    /// A signature that can't be read, or IXFR without the client's SOA.
    Malformed,
    /// Our SOA record is the answer.
    Soa,
    /// It may be told why.
    Explain,
}

/// What became of a slow query.
#[derive(Debug)]
pub enum Work {
    /// The first so many octets of `out` are the response.
    Reply(usize),
    /// Silence.
    Silence,
    /// A zone, message by message.
    Transfer(Box<Transfer>),
}

/// What is worth telling about a slow query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of a transfer: the zone. Another signed query: none.
    pub zone: Option<Name>,
    /// `refused`, `badkey`, `badsig`, `badtime`, `badtrunc`, `malformed`: it failed. `current`: the client has our serial. `begun`: a zone follows.
    pub outcome: &'static str,
}

/// Whether a query has a TSIG record, well-formed or not. Costs a comparison or two for nearly every query.
#[inline]
pub(super) fn is_signed(query: &[u8], header: &Header, question: &Question) -> bool {
    if header.additionals == 0 {
        return false;
    }
    let records = query.get(question.end()..).unwrap_or_default();
    let only_opt = header.additionals == 1 && records.starts_with(&[0, 0, rtype::OPT as u8]);
    !only_opt && records.len() >= TSIG_OCTETS_MIN && tsig::is_present(query, header, question.end())
}

/// Whether a transfer is asked for that somebody may have: of a zone with secondaries.
pub(super) fn is_transfer(snapshot: &Snapshot, name: &Lowered, question: &Question, transport: Transport) -> bool {
    let possible = question.qclass == rtype::CLASS_IN;
    let possible = possible
        && match question.qtype {
            rtype::IXFR => true,
            // RFC 5936, section 4.2: not over UDP.
            rtype::AXFR => transport == Transport::Tcp,
            _ => false,
        };
    possible && zone_of(snapshot, name).is_some_and(|zone| !snapshot.secondaries(zone).is_empty())
}

/// The zone whose apex a name is.
fn zone_of(snapshot: &Snapshot, name: &Lowered) -> Option<u16> {
    match snapshot.names().find(name) {
        Found::Name(slot) => snapshot.names().zone_of(&slot).filter(|zone| usize::from(zone.apex_octets) == name.octets().len()).map(|_| slot.zone()),
        _ => None,
    }
}

/// Answers a query for which [`answer`](super::answer) said [`Handled::Slow`], with the same arguments. `now`: seconds since 1970.
pub fn answer_slow(snapshot: &Arc<Snapshot>, query: &[u8], asked: Asked, now: u64, cx: &mut Cx, out: &mut [u8]) -> (Work, Option<Told>) {
    let Some((header, question)) = Header::read(query).zip(Question::read(query)) else { return (Work::Silence, None) };
    let transfer_of = transfer_zone(snapshot, query, &question);
    let told = |outcome| Some(Told { zone: transfer_of.map(|(_, zone)| zone), outcome });
    let tsig = match Tsig::read(query, &header, question.end()) {
        Ok(Some(tsig)) => tsig,
        Ok(None) => return unsigned(snapshot, query, asked, None, cx, out),
        // RFC 8945, section 5.2: FORMERR.
        Err(_) => return (work_of(answer_as(snapshot, query, asked, Settled::Malformed, cx, out)), told("malformed")),
    };
    let key = snapshot.content().and_then(|content| content.estate.key_named(&tsig.name));
    let checked = tsig.check(query, key, &[], now);
    // As it was before it was signed.
    let mut plain = query.get(..tsig.start).unwrap_or_default().to_vec();
    if let Some(count) = plain.get_mut(HEADER_OCTETS - 2..HEADER_OCTETS) {
        count.copy_from_slice(&(header.additionals - 1).to_be_bytes());
    }
    // RFC 8945, section 5.3: with the signature it must still fit. The longest that this one can get is the one that came.
    let limit = if asked.transport == Transport::Tcp { usize::from(u16::MAX) } else { payload(&plain) }.min(out.len());
    let signature = checked.as_ref().map_or(query.len() - tsig.start + OTHER_OCTETS + Algorithm::OCTETS_MAX, Signer::octets);
    let Some(inner) = out.get_mut(..limit.saturating_sub(signature)) else { return (Work::Silence, None) };
    let mut signer = match checked {
        Ok(signer) => signer,
        Err(refused) => {
            let (word, malformed) = (refused.word(), refused.number() == 0);
            let settled = if malformed { Settled::Malformed } else { Settled::NotAuth };
            let work = match work_of(answer_as(snapshot, &plain, asked, settled, cx, inner)) {
                Work::Reply(length) if !malformed => refused.put(&tsig, out, length, now).map_or(Work::Silence, Work::Reply),
                other => other,
            };
            return (work, told(word));
        }
    };
    let (work, told) = unsigned(snapshot, &plain, asked, Some(&mut signer), cx, inner);
    let work = match work {
        Work::Reply(length) => signer.sign(out, length, now).map_or(Work::Silence, Work::Reply),
        other => other,
    };
    (work, told)
}

/// A query without TSIG record, whose signature, if it had one, was right.
fn unsigned(snapshot: &Arc<Snapshot>, query: &[u8], asked: Asked, signer: Option<&mut Signer>, cx: &mut Cx, out: &mut [u8]) -> (Work, Option<Told>) {
    match answer_as(snapshot, query, asked, Settled::Not, cx, out) {
        Handled::Slow(Slow::Explain) => return (work_of(answer_as(snapshot, query, asked, Settled::Explain, cx, out)), None),
        Handled::Slow(_) => (),
        handled => return (work_of(handled), None),
    }
    let Some((header, question)) = Header::read(query).zip(Question::read(query)) else { return (Work::Silence, None) };
    let Some((number, apex)) = transfer_zone(snapshot, query, &question) else { return (Work::Silence, None) };
    let key: Option<&TsigKey> = signer.as_ref().map(|signer| &**signer.key());
    let allowed = snapshot.secondaries(number).iter().any(|secondary| secondary.is(asked.client, key));
    let ours = snapshot.served_serial(number).unwrap_or(0);
    let settled = match (question.qtype, client_serial(query, &header, question.end())) {
        _ if !allowed => Settled::Refused,
        (rtype::IXFR, None) => Settled::Malformed,
        (rtype::IXFR, Some(theirs)) if asked.transport == Transport::Udp || !is_older(theirs, ours) => Settled::Soa,
        _ => Settled::Not,
    };
    let outcome = match settled {
        Settled::NotAuth | Settled::Refused => "refused",
        Settled::Malformed => "malformed",
        Settled::Soa => "current",
        Settled::Not | Settled::Explain => {
            let opt = edns(query).is_some();
            // The query is counted here; its response is many, counted by whoever sends them.
            let counted = Outcome {
                authoritative: true,
                zone: snapshot.names().zone(number).map_or_else(Default::default, |zone| zone.slot),
                qtype: Some(question.qtype),
                ..Outcome::default()
            };
            cx.counters.count(&counted, &asked, 0);
            let signer = signer.map(|signer| signer.clone());
            let transfer = Transfer::new(snapshot.clone(), number, query, opt, signer);
            let told = Told { zone: Some(apex), outcome: "begun" };
            return (transfer.map_or(Work::Silence, |transfer| Work::Transfer(Box::new(transfer))), Some(told));
        }
    };
    (work_of(answer_as(snapshot, query, asked, settled, cx, out)), Some(Told { zone: Some(apex), outcome }))
}

/// Number and apex of the zone whose transfer is asked for.
fn transfer_zone(snapshot: &Snapshot, query: &[u8], question: &Question) -> Option<(u16, Name)> {
    if !matches!(question.qtype, rtype::AXFR | rtype::IXFR) {
        return None;
    }
    let wire = query.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets)?;
    let mut name = Lowered::default();
    name.set(wire);
    zone_of(snapshot, &name).zip(Name::from_wire(wire))
}

/// The UDP payload that a client takes, by its OPT record.
fn payload(query: &[u8]) -> usize {
    edns(query).map_or(UDP_OCTETS_MIN, |edns| usize::from(edns.payload).clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX))
}

fn edns(query: &[u8]) -> Option<Edns<'_>> {
    let (header, question) = Header::read(query).zip(Question::read(query))?;
    read_records(query, &header, question.end(), question.qtype).ok()?
}

fn work_of(handled: Handled) -> Work {
    match handled {
        Handled::Reply(length) => Work::Reply(length),
        Handled::Drop(_) | Handled::Slow(_) => Work::Silence,
    }
}
