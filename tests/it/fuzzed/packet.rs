//! One query, and what must hold for its response.
//!
//! | always | |
//! |---|---|
//! | silence | only for less than a header, and for responses |
//! | ID, opcode, RD, question | as in the query, bit for bit |
//! | counts | as many records as the header says, nothing behind them |
//! | size | over UDP at most what the client takes, and 1,232 octets; FORMERR and BADVERS at most 512 |
//! | OPT | none without one in the query |
//! | UDP beside TCP | the same rcode, if nothing was truncated |

use std::cell::RefCell;

use windrose::answer::{DropReason, Handled, Transport, UDP_OCTETS_MAX};

use super::decoder::text;
use super::queries::{self, Opt};
use super::world::{RICH, World};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::of_text(RICH));
}

/// `packet`: any octets as a query, over UDP and over TCP.
pub fn packet(query: &[u8]) {
    WORLD.with_borrow_mut(|world| check(world, query));
}

/// `edns_options`: a good query whose OPT record has these options. The first octets choose name and type, version and DO, and payload size.
pub fn edns_options(data: &[u8]) {
    let Some(([which, bits, p0, p1], options)) = data.split_first_chunk::<4>() else { return };
    let options = &options[..options.len().min(4096)];
    let (name, qtype) = queries::name_and_type(*which);
    let opt = Opt { payload: u16::from_be_bytes([*p0, *p1]), version: bits >> 1 & 1, dnssec_ok: bits & 1 != 0, options };
    WORLD.with_borrow_mut(|world| check(world, &queries::query(name, qtype, Some(opt))));
}

/// Asks over both transports and checks all of the table above.
pub fn check(world: &mut World, query: &[u8]) {
    let over_udp = ask(world, query, Transport::Udp);
    let over_tcp = ask(world, query, Transport::Tcp);
    match (over_udp, over_tcp) {
        (Some((udp, truncated)), Some((tcp, _))) => {
            // RFC 7828: a keepalive option over UDP is ignored, over TCP it may be malformed.
            let malformed = rcode(&tcp) == "FORMERR" && query.windows(2).any(|pair| pair == [0, 11]);
            assert!(truncated || malformed || rcode(&udp) == rcode(&tcp), "UDP: {udp}\nTCP: {tcp}");
        }
        (None, None) => (),
        // Over UDP a signature takes more of the room.
        (None, Some((tcp, _))) if tcp.contains("\nTSIG") || rcode(&tcp) == "RCODE9" => (),
        (udp, tcp) => panic!("one transport is silent: {udp:?}, {tcp:?}"),
    }
}

/// The response as text, and whether it has TC.
fn ask(world: &mut World, query: &[u8], transport: Transport) -> Option<(String, bool)> {
    let mut out = vec![0xee; if transport == Transport::Udp { UDP_OCTETS_MAX } else { usize::from(u16::MAX) }];
    let octets = match world.handle(query, transport, &mut out) {
        Handled::Reply(octets) => octets,
        Handled::Drop(DropReason::Short) if query.len() < 12 => return None,
        Handled::Drop(DropReason::Response) if query[2] & 0x80 != 0 => return None,
        // A signed one whose signature leaves no room for a response.
        Handled::Slow(_) => return None,
        other => panic!("{other:?}"),
    };
    let response = &out[..octets];
    let text = text(response);
    assert_eq!(response[..2], query[..2], "ID");
    assert_eq!(response[2] & 0x79, query[2] & 0x79, "opcode and RD");
    if response[5] == 1 {
        let end = question_end(response);
        assert_eq!(response[12..end], query[12..end], "the question is copied");
    }
    let truncated = response[2] & 0x02 != 0;
    assert!(transport == Transport::Udp || !truncated, "TC over TCP: {text}");
    if transport == Transport::Udp {
        assert!(octets <= limit(query), "{octets} octets, {} are taken: {text}", limit(query));
    }
    if matches!(rcode(&text), "FORMERR" | "RCODE16") {
        assert!(octets <= 512, "{octets} octets: {text}");
    }
    // One in the authority section of an IXFR stands in the wrong place, and yet is one.
    assert!(query[8..12] != [0; 4] || !text.contains("\nOPT "), "an OPT that nobody asked for: {text}");
    Some((text, truncated))
}

fn rcode(text: &str) -> &str {
    text.split([' ', '\n']).next().unwrap_or_default()
}

/// Just behind the question.
fn question_end(packet: &[u8]) -> usize {
    let mut at = 12;
    while packet[at] != 0 {
        at += 1 + usize::from(packet[at]);
    }
    at + 5
}

/// Octets that the client takes over UDP (RFC 6891, section 6.2.3), as far as can be said without reading like the server does.
fn limit(query: &[u8]) -> usize {
    if query[10..12] == [0, 0] {
        return 512;
    }
    if query[4..12] != [0, 1, 0, 0, 0, 0, 0, 1] {
        return UDP_OCTETS_MAX;
    }
    let mut at = 12;
    while let Some(length @ 1..=63) = query.get(at) {
        at += 1 + usize::from(*length);
    }
    match query.get(at..).and_then(|rest| rest.first_chunk::<10>()) {
        Some([0, _, _, _, _, 0, 0, 41, p0, p1]) => usize::from(u16::from_be_bytes([*p0, *p1])).clamp(512, UDP_OCTETS_MAX),
        _ => UDP_OCTETS_MAX,
    }
}
