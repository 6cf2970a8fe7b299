//! EDNS options: cookies, NSID, keepalive.

use std::time::Duration;

use super::*;
use crate::model::{AnswerSettings, CookieSecret, CookieSettings};

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    www.example 300 A 192.0.2.1";

fn world(required: bool) -> World {
    let cookies = CookieSettings { secrets: vec![CookieSecret([7; 16])], required };
    World::new(&[("example", ZONE)]).with(AnswerSettings { nsid: Some("ns1".into()), cookies, ..AnswerSettings::default() })
}

fn option(code: u8, data: &[u8]) -> Vec<u8> {
    [&[0, code, 0, data.len() as u8], data].concat()
}

fn www(options: &[u8]) -> Vec<u8> {
    ask("www.example", 1, Some((1232, options)))
}

/// Data of an option of a response whose OPT record comes last, as it does; its RDATA is sought from the end.
fn option_of(response: &[u8], code: u8) -> Option<Vec<u8>> {
    let opt = response.windows(4).rposition(|window| window == [0, 0, 41, 4]).unwrap();
    let mut rest = &response[opt + 11..];
    assert_eq!(rest.len(), usize::from(u16::from_be_bytes([response[opt + 9], response[opt + 10]])));
    while let [c0, c1, l0, l1, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if [*c0, *c1] == [0, code] {
            return Some(after[..length].to_vec());
        }
        rest = &after[length..];
    }
    None
}

fn rcode(response: &[u8]) -> u16 {
    let opt = response.windows(4).rposition(|window| window == [0, 0, 41, 4]).unwrap();
    u16::from(response[opt + 5]) << 4 | u16::from(response[3] & 15)
}

#[test]
fn a_client_learns_its_cookie_and_proves_its_address_with_it() {
    let mut world = world(false);
    let first = world.handle(&www(&option(10, b"12345678")), udp()).unwrap();
    let cookie = option_of(&first, 10).unwrap();
    assert_eq!((cookie.len(), &cookie[..8]), (24, &b"12345678"[..]));
    let second = world.handle(&www(&option(10, &cookie)), udp()).unwrap();
    assert_eq!(option_of(&second, 10).unwrap(), cookie);
    world.pass(Duration::from_secs(2000));
    let third = option_of(&world.handle(&www(&option(10, &cookie)), udp()).unwrap(), 10).unwrap();
    assert_ne!(third, cookie, "renewed after half an hour");
}

#[test]
fn malformed_cookies_are_formerr_without_one() {
    let mut world = world(false);
    for length in [0, 1, 7, 9, 15, 41] {
        let response = world.handle(&www(&option(10, &vec![1; length])), udp()).unwrap();
        assert_eq!((rcode(&response), option_of(&response, 10)), (1, None), "{length}");
    }
}

#[test]
fn without_secrets_cookies_mean_nothing() {
    let mut world = World::new(&[("example", ZONE)]);
    let response = world.handle(&www(&option(10, b"1")), udp()).unwrap();
    assert_eq!((rcode(&response), option_of(&response, 10)), (0, None));
}

#[test]
fn where_cookies_are_required_badcookie_brings_one() {
    let mut world = world(true);
    let refused = world.handle(&www(&option(10, b"12345678")), udp()).unwrap();
    assert_eq!((rcode(&refused), refused[7]), (23, 0));
    let cookie = option_of(&refused, 10).unwrap();
    assert_eq!(rcode(&world.handle(&www(&option(10, &cookie)), udp()).unwrap()), 0);
    let forged = [&cookie[..23], &[!cookie[23]]].concat();
    assert_eq!(rcode(&world.handle(&www(&option(10, &forged)), udp()).unwrap()), 23);
    assert_eq!(rcode(&world.handle(&www(&option(10, b"12345678")), tcp()).unwrap()), 0, "a connection proves as much");
    assert!(world.text(&query("www.example", 1)).starts_with("NOERROR"), "who knows no cookies is answered");
}

#[test]
fn a_query_without_a_question_may_ask_for_a_cookie() {
    let mut world = world(false);
    let bare = |options: &[u8]| {
        let mut packet = vec![0xab, 0xcd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, options.len() as u8];
        packet.extend_from_slice(options);
        packet
    };
    let response = world.handle(&bare(&option(10, b"12345678")), udp()).unwrap();
    assert_eq!((rcode(&response), &response[4..12]), (0, &[0, 0, 0, 0, 0, 0, 0, 1][..]));
    assert_eq!(option_of(&response, 10).unwrap().len(), 24);
    let response = world.handle(&bare(&[]), udp()).unwrap();
    assert_eq!((rcode(&response), response.len()), (1, 23), "there is nothing that it asks for");
    assert_eq!(world.handle(&bare(&[])[..12], udp()).unwrap().len(), 12);
}

#[test]
fn nsid_is_told_to_those_who_ask() {
    let mut world = world(false);
    assert_eq!(option_of(&world.handle(&www(&option(3, b"")), udp()).unwrap(), 3).unwrap(), b"ns1");
    assert_eq!(option_of(&world.handle(&www(&[]), udp()).unwrap(), 3), None);
    let refused = world.handle(&ask("elsewhere.test", 1, Some((1232, &option(3, b"")))), udp()).unwrap();
    assert_eq!((rcode(&refused), option_of(&refused, 3).unwrap()), (5, b"ns1".to_vec()), "also who is refused may know by whom");
    let mut hidden = World::new(&[("example", ZONE)]);
    assert_eq!(option_of(&hidden.handle(&www(&option(3, b"")), udp()).unwrap(), 3), None);
}

#[test]
fn keepalive_is_told_over_tcp_alone() {
    let mut world = world(false);
    assert_eq!(option_of(&world.handle(&www(&option(11, b"")), tcp()).unwrap(), 11).unwrap(), 100_u16.to_be_bytes());
    assert_eq!(option_of(&world.handle(&www(&[]), tcp()).unwrap(), 11), None);
    for data in [&b""[..], b"\x00\x0a", b"x"] {
        let response = world.handle(&www(&option(11, data)), udp()).unwrap();
        assert_eq!((rcode(&response), option_of(&response, 11)), (0, None), "over UDP it means nothing");
    }
    assert_eq!(rcode(&world.handle(&www(&option(11, b"\x00\x0a")), tcp()).unwrap()), 1);
}

#[test]
fn all_options_together_fit_and_are_counted_into_the_size() {
    let many: String = (1..=31).map(|n| format!("many.example 60 A 192.0.2.{n}\n")).collect();
    let cookies = CookieSettings { secrets: vec![CookieSecret([7; 16])], required: false };
    let mut world =
        World::new(&[("example", &format!("{ZONE}\n{many}"))]).with(AnswerSettings { nsid: Some("n".repeat(64).into()), cookies, ..AnswerSettings::default() });
    let options = [option(3, b""), option(10, b"12345678"), option(8, b"\x00\x01\x18\x00\xc0\x00\x02")].concat();
    // 12 + 18 + 496 + 11 + (4 + 64) + (4 + 24) + (4 + 7) octets.
    for (payload, truncated) in [(643, true), (644, false)] {
        let response = world.handle(&ask("many.example", 1, Some((payload, &options))), udp()).unwrap();
        assert!(response.len() <= payload.into());
        assert_eq!(response[2] & 2 != 0, truncated, "{payload}");
        assert_eq!(option_of(&response, 8).unwrap(), b"\x00\x01\x18\x00\xc0\x00\x02");
    }
}

#[test]
fn the_server_tells_about_itself_only_what_is_revealed() {
    let chaos = |name: &str, qtype| {
        let mut packet = query(name, qtype);
        let end = packet.len();
        packet[end - 1] = 3;
        packet
    };
    let mut hidden = world(false);
    for name in ["version.bind", "version.server", "id.server", "hostname.bind", "example", "authors.bind"] {
        assert!(hidden.text(&chaos(name, 16)).starts_with("REFUSED"), "{name}");
    }
    let mut shown =
        World::new(&[("example", ZONE)]).with(AnswerSettings { id: Some("ns1".into()), version: Some("windrose 1".into()), ..AnswerSettings::default() });
    let response = shown.handle(&chaos("ID.server", 16), udp()).unwrap();
    assert_eq!(response[response.len() - 16..], *b"\xc0\x0c\x00\x10\x00\x03\x00\x00\x00\x00\x00\x04\x03ns1");
    assert!(shown.handle(&chaos("version.bind", 255), udp()).unwrap().ends_with(b"\x0bwindrose 1".get(1..).unwrap()));
    assert!(shown.text(&chaos("version.bind", 1)).starts_with("REFUSED"));
    assert!(shown.text(&chaos("example", 16)).starts_with("REFUSED"));
}
