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
mod explain;
mod grown;
mod limit;
mod opt;
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
use crate::model::AnswerSettings;
use crate::snapshot::Snapshot;
use crate::wire::{Edns, HEADER_OCTETS, Header, MalformedOptions, Opcode, Packet, Question, Rcode, find_opt, option, read_records, rtype};

pub use counters::Counters;
pub use cx::Cx;
pub use limit::Limiter;
pub use opt::TCP_IDLE;
pub use series::{Histogram, HistogramOf, Series, cell_total, histogram, visit};
pub use slow::{Slow, Told, Work, answer_slow};
pub use transfer::{Made, Transfer};
pub use words::{CookieOutcome, DropReason, QTYPE_WORDS, SubnetOutcome, Transport};

use limit::Verdict;
use opt::OptReply;
use outcome::Outcome;
use resolve::resolve;
use slow::Settled;

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
    let mut opt = OptReply::default();
    decide(snapshot, query, &header, (&asked, settled), cx, &mut packet, &mut opt, &mut outcome);
    if let Some(slow) = outcome.slow {
        return Handled::Slow(slow);
    }
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
    opt.put(&mut packet, &outcome);
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

/// From the header on: everything but writing the response's own header and OPT record.
#[allow(clippy::too_many_arguments, reason = "what came, who answers, and the three parts of a response")]
fn decide<'s: 'q, 'q>(
    snapshot: &'s Snapshot,
    query: &'q [u8],
    header: &Header,
    (asked, settled): (&Asked, Settled),
    cx: &mut Cx,
    packet: &mut Packet<'_>,
    opt: &mut OptReply<'q>,
    outcome: &mut Outcome<'s>,
) {
    // Header. The sections of other opcodes are not ours to read, so their responses are a header, and OPT for OPT.
    let not_served = match header.opcode() {
        Opcode::Query => None,
        // Known, but not from strangers (RFC 1996, section 3.10; RFC 2136, section 3.3).
        Opcode::Notify | Opcode::Update => Some(Rcode::Refused),
        Opcode::Other => Some(Rcode::NotImp),
    };
    if let Some(rcode) = not_served {
        // OPT for OPT (RFC 6891, section 6.1.1), whatever the packet is about.
        find_opt(query, header).into_iter().for_each(|edns| opt.begin(edns.dnssec_ok));
        return outcome.ends(rcode);
    }

    // Question. RFC 9619, section 4: a query has at most one.
    let question = match header.questions {
        0 => return without_question(snapshot.settings(), query, header, asked, cx, opt, outcome),
        1 => Question::read(query),
        _ => None,
    };
    let Some(mut question) = question else { return outcome.ends(Rcode::FormErr) };
    packet.put_question(query.get(HEADER_OCTETS..question.end()).unwrap_or_default());
    outcome.qtype = Some(question.qtype);

    // Records and EDNS.
    if settled == Settled::Not && slow::is_signed(query, header, &question) {
        outcome.slow = Some(Slow::Signed);
        return;
    }
    let mut limit = UDP_OCTETS_MIN;
    match read_records(query, header, question.end(), question.qtype) {
        Err(malformed) => {
            opt.begin_again(malformed.opt_seen);
            return outcome.ends(Rcode::FormErr);
        }
        Ok(None) => (),
        Ok(Some(edns)) => {
            limit = usize::from(edns.payload).clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX);
            if let Err(rcode) = read_opt(snapshot.settings(), &edns, asked, cx, opt, outcome) {
                return outcome.ends(rcode);
            }
            // RFC 7873, section 5.2.3: come again with the cookie that this response brings.
            if snapshot.settings().cookies.required
                && asked.transport == Transport::Udp
                && matches!(outcome.cookie, Some(CookieOutcome::New | CookieOutcome::Invalid))
            {
                return outcome.ends(Rcode::BadCookie);
            }
        }
    }
    if asked.transport == Transport::Tcp {
        limit = usize::from(u16::MAX);
    }
    packet.set_limit(limit, opt.octets());

    // What was found out about its signature or its transfer.
    match settled {
        Settled::NotAuth => return outcome.ends(Rcode::NotAuth),
        Settled::Refused => return outcome.ends(Rcode::Refused),
        Settled::Malformed => return outcome.ends(Rcode::FormErr),
        Settled::Soa => question.qtype = rtype::SOA,
        Settled::Not | Settled::Explain => (),
    }

    // Class and type.
    cx.name.set(query.get(HEADER_OCTETS..HEADER_OCTETS + question.name_octets).unwrap_or_default());
    if matches!(question.qtype, rtype::IXFR | rtype::AXFR) && slow::is_transfer(snapshot, &cx.name, &question, asked.transport) {
        outcome.slow = Some(Slow::Transfer);
        return;
    }
    if let Some(rcode) = beyond_data(&question) {
        return outcome.ends(rcode);
    }

    if settled == Settled::Explain {
        return explain::explain(snapshot, bound_of(asked, outcome, query), &mut cx.name, packet, outcome);
    }
    if settled == Settled::Not && explain::is_asked(snapshot, &question, &cx.name, asked.client) {
        outcome.slow = Some(Slow::Explain);
        return;
    }

    // Data.
    if question.qclass == rtype::CLASS_CH {
        return chaos::chaos(snapshot.settings(), &question, &cx.name, packet, outcome);
    }
    resolve(snapshot, &question, bound_of(asked, outcome, query), &mut cx.name, &mut cx.picks, packet, outcome);
}

/// Octets that what is made up here may have: as many as one likes for a client that has proven its address.
fn bound_of(asked: &Asked, outcome: &Outcome<'_>, query: &[u8]) -> usize {
    let proven = asked.transport == Transport::Tcp || outcome.cookie == Some(CookieOutcome::Valid);
    if proven { usize::MAX } else { AMPLIFICATION_MAX * query.len() }
}

/// RFC 7873, section 5.4: a query without a question may ask for a cookie. There is nothing else that it could ask for.
fn without_question<'s: 'q, 'q>(
    settings: &'s AnswerSettings,
    query: &'q [u8],
    header: &Header,
    asked: &Asked,
    cx: &Cx,
    opt: &mut OptReply<'q>,
    outcome: &mut Outcome<'s>,
) {
    let rcode = match read_records(query, header, HEADER_OCTETS, 0) {
        Ok(Some(edns)) => read_opt(settings, &edns, asked, cx, opt, outcome).err(),
        Ok(None) => None,
        Err(malformed) => {
            opt.begin_again(malformed.opt_seen);
            Some(Rcode::FormErr)
        }
    };
    outcome.ends(rcode.unwrap_or(if opt.has_cookie() { Rcode::NoError } else { Rcode::FormErr }));
}

/// What the OPT record of a query asks for; `Err`: it is malformed, or of a version that we don't know, and `opt` holds no options.
fn read_opt<'s: 'q, 'q>(
    settings: &'s AnswerSettings,
    edns: &Edns<'q>,
    asked: &Asked,
    cx: &Cx,
    opt: &mut OptReply<'q>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Rcode> {
    opt.begin(edns.dnssec_ok);
    // RFC 6891, section 6.1.3. Options of a version that we don't know mean nothing to us.
    if edns.version != 0 {
        return Err(Rcode::BadVers);
    }
    if edns.options().is_empty() {
        return Ok(());
    }
    let read = read_options(settings, edns, asked, cx, opt, outcome);
    read.map_err(|Malformed| {
        opt.begin_again(true);
        Rcode::FormErr
    })
}

/// An option is not what its RFC says: FORMERR.
struct Malformed;

fn read_options<'s: 'q, 'q>(
    settings: &'s AnswerSettings,
    edns: &Edns<'q>,
    asked: &Asked,
    cx: &Cx,
    opt: &mut OptReply<'q>,
    outcome: &mut Outcome<'_>,
) -> Result<(), Malformed> {
    // Of two with one code the first counts (RFC 7873, section 5.2; others don't say).
    for read in edns.options() {
        match read.map_err(|MalformedOptions| Malformed)? {
            (option::COOKIE, data) if outcome.cookie.is_none() && !settings.cookies.secrets.is_empty() => {
                let unix = (cx.now.wall.0 / 1000) as u32;
                let judged = cookies::judge(data, asked.client, unix, &settings.cookies.secrets);
                outcome.cookie = Some(judged.as_ref().map_or(CookieOutcome::Malformed, |judged| judged.outcome));
                opt.set_cookie(judged.ok_or(Malformed)?.reply);
            }
            (option::CLIENT_SUBNET, data) if outcome.subnet.is_none() => {
                // RFC 7871, section 7.1.2.
                let subnet = Subnet::read(data);
                outcome.subnet = Some(if subnet.is_some() { SubnetOutcome::Ignored } else { SubnetOutcome::Malformed });
                opt.set_subnet(subnet.ok_or(Malformed)?);
            }
            (option::KEEPALIVE, data) if asked.transport == Transport::Tcp => {
                // RFC 7828, section 3.2.1: a client says nothing in it; section 3.2.2: over UDP it means nothing.
                if !data.is_empty() {
                    return Err(Malformed);
                }
                opt.set_keepalive();
            }
            (option::NSID, _) => settings.nsid.iter().for_each(|name| opt.set_nsid(name)),
            _ => (),
        }
    }
    Ok(())
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
