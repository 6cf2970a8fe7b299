//! A query in, a response out: the one engine that decides every response on every transport.
//!
//! ```text
//! octets ─▶ header ─▶ question ─▶ records, EDNS ─▶ class and meta types ─▶ resolve (RFC 1034, section 4.3.2) ─▶ OPT, header ─▶ octets
//!             │          │             │                  │                   │                                        │
//!           silence   FORMERR      FORMERR, BADVERS,   REFUSED, NOTIMP     a service? its leaf, from              too many of them?
//!                                  BADCOOKIE                               the worker's own sequence              silence or TC
//! ```
//!
//! 1. [`answer`] is the journey; each `return` is the first place that can decide.
//! 2. `resolve` walks from name to name; `picks` chooses leaves and rotations; `counters` counts.
//! 3. `opt` writes the OPT record, with `cookies`; `limit` keeps us from being used against others; `chaos` tells who we are.
//!
//! Never here: waiting, locks, clocks, allocation. A snapshot is read, a [`Cx`] belongs to one worker.

#![deny(clippy::indexing_slicing, reason = "bytes from strangers")]

mod chaos;
mod cookies;
mod counters;
mod cx;
mod grown;
mod limit;
mod opt;
mod outcome;
mod picks;
mod resolve;
mod series;
mod words;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::client::Subnet;
use crate::model::AnswerSettings;
use crate::snapshot::Snapshot;
use crate::wire::{Edns, HEADER_OCTETS, Header, Opcode, Packet, Question, Rcode, read_records, rtype};

pub use counters::Counters;
pub use cx::Cx;
pub use limit::Limiter;
pub use opt::TCP_IDLE;
pub use series::{Histogram, HistogramOf, Series, cell_total, histogram, visit};
pub use words::{CookieOutcome, DropReason, QTYPE_WORDS, SubnetOutcome, Transport};

use limit::Verdict;
use opt::OptReply;
use outcome::Outcome;
use resolve::resolve;

/// Octets that a UDP response may have, whatever the client says: fits the smallest IPv6 MTU (RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;
/// Octets that every client takes (RFC 1035, section 4.2.1).
const UDP_OCTETS_MIN: usize = 512;
/// Over UDP, to a client that has not proven its address, an answer that is made up here (by policy, negative, ANY, a referral) has at most
/// so many times the query's octets; what doesn't fit is TC.
const AMPLIFICATION_MAX: usize = 10;
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
    /// Needs more than one packet or a wait.
    Slow(Slow),
}

/// What a worker can't answer at once. Nothing yet; zone transfers come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {}

/// Answers one query into `out`, which has room for [`UDP_OCTETS_MAX`] octets, or for 65,535 if the transport is TCP.
///
/// Call [`Cx::begin`] before, once per batch, with the same snapshot.
pub fn answer(snapshot: &Snapshot, query: &[u8], asked: Asked, cx: &mut Cx, out: &mut [u8]) -> Handled {
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
    let opt = decide(snapshot, query, &header, &asked, cx, &mut packet, &mut outcome);
    if is_limited(snapshot.settings(), &asked, &outcome, cx) {
        let Some(slip) = snapshot.settings().rate_limit.as_ref().map(|limit| limit.slip).filter(|slip| *slip > 0) else {
            return cx.drop(DropReason::RateLimit);
        };
        cx.limited = cx.limited.wrapping_add(1);
        if !cx.limited.is_multiple_of(slip) {
            return cx.drop(DropReason::RateLimit);
        }
        packet.clear_records();
        outcome.slips();
    }
    if let Some(opt) = opt {
        opt.put(&mut packet, &outcome);
    }
    let octets = packet.finish(&header, outcome.rcode, outcome.authoritative, outcome.truncated);
    cx.counters.count(&outcome, &asked, octets);
    Handled::Reply(octets)
}

/// Too many equal responses to a client that has proven nothing: neither by a connection nor by a cookie.
fn is_limited(settings: &AnswerSettings, asked: &Asked, outcome: &Outcome<'_>, cx: &Cx) -> bool {
    match &settings.rate_limit {
        Some(limit) if asked.transport == Transport::Udp && outcome.cookie != Some(CookieOutcome::Valid) => {
            cx.limiter.judge(limit, asked.client, outcome.subject, outcome.rcode, cx.now.mono) == Verdict::Limit
        }
        _ => false,
    }
}

/// From the header on: everything but the response's own header and OPT record, which is returned.
fn decide<'s: 'q, 'q>(
    snapshot: &'s Snapshot,
    query: &'q [u8],
    header: &Header,
    asked: &Asked,
    cx: &mut Cx,
    packet: &mut Packet<'_>,
    outcome: &mut Outcome<'s>,
) -> Option<OptReply<'q>> {
    // Header. The sections of other opcodes are not ours to read, so their responses are a header alone.
    match header.opcode() {
        Opcode::Query => (),
        // Known, but not from strangers (RFC 1996, section 3.10; RFC 2136, section 3.3).
        Opcode::Notify | Opcode::Update => return outcome.ends(Rcode::Refused, None),
        Opcode::Other => return outcome.ends(Rcode::NotImp, None),
    }

    // Question. RFC 9619, section 4: a query has at most one.
    let question = match header.questions {
        0 => return without_question(snapshot.settings(), query, header, asked, cx, outcome),
        1 => Question::read(query),
        _ => None,
    };
    let Some(question) = question else { return outcome.ends(Rcode::FormErr, None) };
    packet.put_question(query.get(HEADER_OCTETS..question.end()).unwrap_or_default());
    outcome.qtype = Some(question.qtype);

    // Records and EDNS.
    let edns = match read_records(query, header, question.end(), question.qtype) {
        Ok(edns) => edns,
        Err(malformed) => return outcome.ends(Rcode::FormErr, malformed.opt_seen.then(OptReply::default)),
    };
    let mut opt = None;
    let mut limit = UDP_OCTETS_MIN;
    if let Some(edns) = edns {
        limit = usize::from(edns.payload).clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX);
        opt = match read_opt(snapshot.settings(), &edns, asked, cx, outcome) {
            Ok(opt) => Some(opt),
            Err(rcode) => return outcome.ends(rcode, Some(OptReply { dnssec_ok: edns.dnssec_ok, ..OptReply::default() })),
        };
        // RFC 7873, section 5.2.3: come again with the cookie that this response brings.
        if snapshot.settings().cookies.required
            && asked.transport == Transport::Udp
            && matches!(outcome.cookie, Some(CookieOutcome::New | CookieOutcome::Invalid))
        {
            return outcome.ends(Rcode::BadCookie, opt);
        }
    }
    if asked.transport == Transport::Tcp {
        limit = usize::from(u16::MAX);
    }
    packet.set_limit(limit, opt.map_or(0, |opt| opt.octets()));

    // Class and type.
    if let Some(rcode) = beyond_data(&question) {
        return outcome.ends(rcode, opt);
    }

    // Data.
    cx.name.set(query.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets).unwrap_or_default());
    if question.qclass == rtype::CLASS_CH {
        chaos::chaos(snapshot.settings(), &question, &cx.name, packet, outcome);
        return opt;
    }
    let proven = asked.transport == Transport::Tcp || outcome.cookie == Some(CookieOutcome::Valid);
    let bound = if proven { usize::MAX } else { AMPLIFICATION_MAX * query.len() };
    resolve(snapshot, &question, bound, &mut cx.name, &mut cx.picks, packet, outcome);
    opt
}

/// RFC 7873, section 5.4: a query without a question may ask for a cookie. There is nothing else that it could ask for.
fn without_question<'s: 'q, 'q>(
    settings: &'s AnswerSettings,
    query: &'q [u8],
    header: &Header,
    asked: &Asked,
    cx: &Cx,
    outcome: &mut Outcome<'s>,
) -> Option<OptReply<'q>> {
    let edns = match read_records(query, header, HEADER_OCTETS, 0) {
        Ok(edns) => edns,
        Err(malformed) => return outcome.ends(Rcode::FormErr, malformed.opt_seen.then(OptReply::default)),
    };
    let Some(edns) = edns else { return outcome.ends(Rcode::FormErr, None) };
    match read_opt(settings, &edns, asked, cx, outcome) {
        Ok(opt) if opt.cookie.is_some() => Some(opt),
        Ok(opt) => outcome.ends(Rcode::FormErr, Some(opt)),
        Err(rcode) => outcome.ends(rcode, Some(OptReply { dnssec_ok: edns.dnssec_ok, ..OptReply::default() })),
    }
}

/// What the OPT record of a query asks for; `Err`: it is malformed, or of a version that we don't know.
fn read_opt<'s: 'q, 'q>(settings: &'s AnswerSettings, edns: &Edns<'q>, asked: &Asked, cx: &Cx, outcome: &mut Outcome<'_>) -> Result<OptReply<'q>, Rcode> {
    let mut opt = OptReply { dnssec_ok: edns.dnssec_ok, ..OptReply::default() };
    // RFC 6891, section 6.1.3. Options of a version that we don't know mean nothing to us.
    if edns.version != 0 {
        return Err(Rcode::BadVers);
    }
    if edns.options.is_empty() {
        return Ok(opt);
    }
    let known = edns.known_options().map_err(|()| Rcode::FormErr)?;
    if let Some(option) = known.subnet {
        // RFC 7871, section 7.1.2: a malformed option is FORMERR.
        opt.subnet = Subnet::read(option);
        outcome.subnet = Some(if opt.subnet.is_some() { SubnetOutcome::Ignored } else { SubnetOutcome::Malformed });
        opt.subnet.ok_or(Rcode::FormErr)?;
    }
    if let Some(option) = known.cookie.filter(|_| !settings.cookies.secrets.is_empty()) {
        let unix = (cx.now.wall.0 / 1000) as u32;
        let Some(judged) = cookies::judge(option, asked.client, unix, &settings.cookies.secrets) else {
            outcome.cookie = Some(CookieOutcome::Malformed);
            return Err(Rcode::FormErr);
        };
        outcome.cookie = Some(judged.outcome);
        opt.cookie = Some(judged.reply);
    }
    if let Some(option) = known.keepalive.filter(|_| asked.transport == Transport::Tcp) {
        // RFC 7828, section 3.2.1: a client says nothing in it; section 3.2.2: over UDP it means nothing.
        if !option.is_empty() {
            return Err(Rcode::FormErr);
        }
        opt.keepalive = true;
    }
    opt.nsid = known.nsid.and(settings.nsid.as_deref());
    Ok(opt)
}

/// Classes other than IN and CH, and types that are never data of a zone (RFC 6895, section 3.1).
fn beyond_data(question: &Question) -> Option<Rcode> {
    match question.qtype {
        _ if ![rtype::CLASS_IN, rtype::CLASS_CH].contains(&question.qclass) => Some(Rcode::Refused),
        0..rtype::OPT => None,
        rtype::OPT | rtype::NXNAME | rtype::TSIG => Some(Rcode::FormErr),
        rtype::TKEY | rtype::MAILA | rtype::MAILB => Some(Rcode::NotImp),
        rtype::AXFR | rtype::IXFR => Some(Rcode::Refused),
        _ => None,
    }
}
