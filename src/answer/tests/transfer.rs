//! Transfers and signatures: who gets what, and that a transferred zone is the zone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{World, ask, query, tcp, text, udp};
use crate::answer::{Asked, Handled, Made, Slow, Told, Work, answer_slow};
use crate::model::Secondary;
use crate::wire::tsig::{Algorithm, Signer, Tsig, TsigKey};
use crate::wire::{HEADER_OCTETS, Header, Name, Question, rtype};

const NOW: u64 = 1_800_000_000;
const ZONE: &str = "\
example.com 60 SOA ns.example.com host.example.com 7 1 2 3 5
example.com 60 NS ns.example.com
ns.example.com 60 A 192.0.2.53
cut.example.com 60 NS ns.cut.example.com
ns.cut.example.com 60 A 192.0.2.99
www.example.com 60 CNAME orders.example.com
mail.example.com 60 MX 10 mx.other.test
_sip.example.com 60 SRV 1 2 3 ns.example.com
orders.example.com 60 TXT beside";

fn key() -> Arc<TsigKey> {
    Arc::new(TsigKey::new("transfer.key".parse().unwrap(), Algorithm::HmacSha256, b"0123456789abcdef"))
}

/// A zone with a weighted service; 198.51.100.7 (who asks here) may have it with this key.
fn world(key: Option<Arc<TsigKey>>) -> World {
    let parts: [super::world::Part<'_>; 2] = [("dr", 20.0, &[("198.51.100.1", 1)]), ("prod", 80.0, &[("192.0.2.1", 1), ("192.0.2.2", 1), ("2001:db8::1", 1)])];
    let mut world =
        World::new(&[("example.com", ZONE), ("other.test", "other.test 60 SOA ns.other.test h.other.test 1 1 2 3 5\nother.test 60 NS ns.other.test")]).service(
            &["orders.example.com", "*.tenants.example.com", "orders.other.test"],
            30,
            8,
            &parts,
        );
    world.estate.keys.extend(key.clone());
    let secondary = Secondary { address: "198.51.100.7:53".parse().unwrap(), key };
    world.estate.secondaries.push(("example.com".parse().unwrap(), [secondary].into()));
    world.publish_transferable(&[Some(41), None]);
    world
}

/// A query, worked on wherever that is: the response, or the messages of a transfer.
fn work(world: &mut World, query: &[u8], asked: Asked) -> (Vec<Vec<u8>>, Option<Told>) {
    match world.handle(query, asked) {
        Ok(response) => (vec![response], None),
        Err(Handled::Slow(_)) => {
            let mut out = vec![0xee; 65535];
            let (work, told) = answer_slow(&world.snapshot, query, asked, NOW, &mut world.cx, &mut out);
            let messages = match work {
                Work::Reply(length) => vec![out[..length].to_vec()],
                Work::Silence => Vec::new(),
                Work::Transfer(mut transfer) => {
                    let mut messages = Vec::new();
                    loop {
                        match transfer.make(NOW, &mut out) {
                            Made::Message(length) => messages.push(out[..length].to_vec()),
                            Made::Nothing => (),
                            Made::End => break messages,
                            Made::TooLarge => panic!("too large"),
                        }
                    }
                }
            };
            (messages, told)
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn signed(query: Vec<u8>, key: &Arc<TsigKey>, time: u64) -> (Vec<u8>, Signer) {
    let (mut signer, length) = (Signer::request(key.clone()), query.len());
    let mut out = [query, vec![0; 200]].concat();
    let length = signer.sign(&mut out, length, time).unwrap();
    out.truncate(length);
    (out, signer)
}

fn ixfr(serial: u32) -> Vec<u8> {
    let mut query = query("example.com", rtype::IXFR);
    query[9] = 1;
    let numbers = [serial, 1, 2, 3, 5].map(u32::to_be_bytes).concat();
    query.extend_from_slice(&[&[0xc0, 0x0c, 0, 6, 0, 1, 0, 0, 0, 0, 0, 24, 0xc0, 0x0c, 0xc0, 0x0c][..], &numbers].concat());
    query
}

fn rcode(message: &[u8]) -> u8 {
    message[3] & 0x0f
}

/// TSIG error of a response.
fn tsig_error(message: &[u8]) -> Option<u16> {
    let start = Question::read(message).unwrap().end();
    Tsig::read(message, &Header::read(message).unwrap(), start).unwrap().map(|tsig| tsig.error)
}

/// Answer records as `NAME TTL TYPE DATA` lines.
fn records(message: &[u8]) -> Vec<String> {
    let mut plain = message.to_vec();
    if tsig_error(message).is_some() {
        let start = Question::read(message).unwrap().end();
        plain.truncate(Tsig::read(message, &Header::read(message).unwrap(), start).unwrap().unwrap().start);
        plain[11] -= 1;
    }
    text(&plain).lines().filter_map(|line| line.strip_prefix("AN ")).map(str::to_string).collect()
}

#[test]
fn a_secondary_gets_the_zone_with_services_as_they_answer_now() {
    let mut world = world(None);
    let (messages, told) = work(&mut world, &query("example.com", rtype::AXFR), tcp());
    assert_eq!(told.unwrap().outcome, "begun");
    let [message] = &messages[..] else { panic!("{} messages", messages.len()) };
    let expected = "\
NOERROR aa rd
? example.com. TYPE252
AN example.com. 60 SOA ns.example.com. host.example.com. 41 1 2 3 5
AN example.com. 60 NS ns.example.com.
AN ns.example.com. 60 A 192.0.2.53
AN cut.example.com. 60 NS ns.cut.example.com.
AN ns.cut.example.com. 60 A 192.0.2.99
AN www.example.com. 60 CNAME orders.example.com.
AN mail.example.com. 60 MX 10 mx.other.test.
AN _sip.example.com. 60 SRV 1 2 3 ns.example.com.
AN orders.example.com. 60 TXT \"beside\"
AN orders.example.com. 30 A 192.0.2.1
AN orders.example.com. 30 A 192.0.2.2
AN orders.example.com. 30 AAAA 2001:db8::1
AN *.tenants.example.com. 30 A 192.0.2.1
AN *.tenants.example.com. 30 A 192.0.2.2
AN *.tenants.example.com. 30 AAAA 2001:db8::1
AN example.com. 60 SOA ns.example.com. host.example.com. 41 1 2 3 5";
    assert_eq!(text(message), expected);
}

#[test]
fn nobody_else_does() {
    let mut world = world(None);
    let stranger = Asked { client: "203.0.113.1".parse().unwrap(), ..tcp() };
    for question in [query("example.com", rtype::AXFR), ixfr(1)] {
        let (messages, told) = work(&mut world, &question, stranger);
        assert_eq!((messages.len(), rcode(&messages[0]), told.unwrap().outcome), (1, 5, "refused"));
    }
    // A zone without secondaries, names below an apex, and names of others.
    for name in ["other.test", "orders.example.com", "elsewhere.test"] {
        let response = world.handle(&query(name, rtype::AXFR), tcp()).unwrap();
        assert_eq!(rcode(&response), 5, "{name}");
    }
    // Not over UDP, whoever asks (RFC 5936, section 4.2).
    assert_eq!(rcode(&world.handle(&query("example.com", rtype::AXFR), udp()).unwrap()), 5);
    // Another class.
    let mut chaos = query("example.com", rtype::AXFR);
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(rcode(&world.handle(&chaos, tcp()).unwrap()), 5);
}

#[test]
fn ixfr_is_the_soa_alone_when_the_client_is_current_or_asks_over_udp_and_else_the_zone() {
    let mut world = world(None);
    for (serial, asked, whole) in [(41, tcp(), false), (42, tcp(), false), (40, tcp(), true), (40, udp(), false), (41, udp(), false)] {
        let (messages, told) = work(&mut world, &ixfr(serial), asked);
        let all = records(&messages[0]);
        assert_eq!(told.unwrap().outcome, if whole { "begun" } else { "current" });
        assert_eq!(all.len() > 1, whole, "{serial} {asked:?}");
        assert!(all[0].contains("SOA") && all[0].contains(" 41 "), "{all:?}");
        assert_eq!(messages[0][2] & 0x06, 0x04, "AA without TC");
    }
    // Without the client's SOA (RFC 1995, section 3).
    let (messages, told) = work(&mut world, &query("example.com", rtype::IXFR), tcp());
    assert_eq!((rcode(&messages[0]), told.unwrap().outcome), (1, "malformed"));
}

#[test]
fn with_a_key_the_address_is_not_enough() {
    let mut world = world(Some(key()));
    let axfr = || query("example.com", rtype::AXFR);
    let (messages, told) = work(&mut world, &axfr(), tcp());
    assert_eq!((rcode(&messages[0]), told.unwrap().outcome), (5, "refused"));
    // The key from another address: REFUSED, and signed.
    let (question, mine) = signed(axfr(), &key(), NOW);
    let (messages, told) = work(&mut world, &question, Asked { client: "203.0.113.1".parse().unwrap(), ..tcp() });
    assert_eq!((rcode(&messages[0]), told.unwrap().outcome), (5, "refused"));
    believed(&messages[0], mine.prior());
    let (messages, told) = work(&mut world, &question, tcp());
    assert_eq!((rcode(&messages[0]), told.unwrap().outcome), (0, "begun"));
    believed(&messages[0], mine.prior());
}

fn believed(message: &[u8], prior: &[u8]) {
    let tsig = Tsig::read(message, &Header::read(message).unwrap(), Question::read(message).unwrap().end()).unwrap().expect("a signature");
    assert!(tsig.check(message, Some(&key()), prior, NOW).is_ok());
}

#[test]
fn wrong_keys_macs_and_clocks_get_notauth_with_the_reason() {
    let mut world = world(Some(key()));
    let other = Arc::new(TsigKey::new("other.key".parse().unwrap(), Algorithm::HmacSha256, b"0123456789abcdef"));
    let wrong = Arc::new(TsigKey::new("transfer.key".parse().unwrap(), Algorithm::HmacSha256, b"0123456789abcdeX"));
    let cases = [(other, NOW, 17, "badkey"), (wrong, NOW, 16, "badsig"), (key(), NOW - 301, 18, "badtime"), (key(), NOW + 301, 18, "badtime")];
    for (key, time, error, word) in cases {
        for (asked, qtype) in [(tcp(), rtype::AXFR), (udp(), rtype::SOA)] {
            let (question, _) = signed(query("example.com", qtype), &key, time);
            let (messages, told) = work(&mut world, &question, asked);
            let told = told.unwrap();
            assert_eq!((rcode(&messages[0]), tsig_error(&messages[0]), told.outcome), (9, Some(error), word));
            assert_eq!(told.zone.is_some(), qtype == rtype::AXFR);
        }
    }
    // Without any key at all it is the same.
    let mut bare = World::new(&[("example.com", ZONE)]);
    let (question, _) = signed(query("example.com", rtype::AXFR), &key(), NOW);
    let (messages, _) = work(&mut bare, &question, tcp());
    assert_eq!((rcode(&messages[0]), tsig_error(&messages[0])), (9, Some(17)));
}

#[test]
fn any_signed_query_gets_the_answer_that_it_gets_unsigned_and_a_signature() {
    let mut world = world(Some(key()));
    for asked in [udp(), tcp()] {
        for (name, qtype) in [("example.com", rtype::SOA), ("ns.example.com", rtype::A), ("nothing.example.com", rtype::A), ("foreign.test", rtype::A)] {
            for edns in [None, Some((1232, &b""[..]))] {
                let (question, mine) = signed(ask(name, qtype, edns), &key(), NOW);
                assert_eq!(world.handle(&question, asked), Err(Handled::Slow(Slow::Signed)));
                let (messages, told) = work(&mut world, &question, asked);
                assert_eq!(told, None);
                believed(&messages[0], mine.prior());
                let plain = world.handle(&ask(name, qtype, edns), asked).unwrap();
                let start = messages[0].len() - key().record_octets();
                assert_eq!(messages[0][HEADER_OCTETS..start], plain[HEADER_OCTETS..]);
            }
        }
    }
}

#[test]
fn a_signature_that_is_not_the_last_record_is_malformed() {
    let mut world = world(Some(key()));
    let (mut question, _) = signed(query("example.com", rtype::SOA), &key(), NOW);
    question[11] += 1;
    question.extend_from_slice(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
    let (messages, told) = work(&mut world, &question, tcp());
    assert_eq!((rcode(&messages[0]), told.unwrap().outcome), (1, "malformed"));
}

#[test]
fn the_serial_that_counts_stands_in_every_soa() {
    let mut world = world(None);
    for response in [world.ask("example.com", rtype::SOA), world.ask("nothing.example.com", rtype::A), world.ask("ns.example.com", rtype::AAAA)] {
        assert!(response.contains(" 41 1 2 3 5"), "{response}");
    }
    assert!(world.ask("other.test", rtype::SOA).contains(" 1 1 2 3 5"));
}

#[test]
fn a_large_zone_comes_in_full_messages_each_signed_and_complete() {
    let mut zone = ZONE.to_string();
    for number in 0..20_000 {
        zone.push_str(&format!("\nhost-{number}.example.com 300 A 10.{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255));
    }
    let mut world = World::new(&[("example.com", &zone)]);
    world.estate.keys.push(key());
    world.estate.secondaries.push(("example.com".parse().unwrap(), [Secondary { address: "198.51.100.7:53".parse().unwrap(), key: Some(key()) }].into()));
    world.publish_transferable(&[Some(9)]);
    let (question, mine) = signed(query("example.com", rtype::AXFR), &key(), NOW);
    let (messages, _) = work(&mut world, &question, tcp());
    assert!(messages.len() > 5);
    let count = |message: &Vec<u8>| usize::from(u16::from_be_bytes([message[6], message[7]]));
    // Eight records without the SOA, which comes twice.
    assert_eq!(messages.iter().map(count).sum::<usize>(), 20_000 + 8 + 2);
    assert!(messages[..messages.len() - 1].iter().all(|message| message.len() > 65_000), "full but for the last");
    believed(&messages[0], mine.prior());
    assert!(messages.iter().all(|message| tsig_error(message) == Some(0)), "RFC 8945, section 5.3.1: all of them");
    let hosts: BTreeSet<String> = messages.iter().flat_map(|message| records(message)).filter(|record| record.starts_with("host-")).collect();
    assert_eq!(hosts.len(), 20_000);
}

#[test]
fn a_record_larger_than_any_message_ends_a_transfer() {
    let mut world = World::new(&[("example.com", ZONE)]);
    world.estate.secondaries.push(("example.com".parse().unwrap(), [Secondary { address: "198.51.100.7:53".parse().unwrap(), key: None }].into()));
    world.add_set("big.example.com", 16, vec![b'x'; 65_535]);
    world.publish_transferable(&[]);
    let question = query("example.com", rtype::AXFR);
    let mut out = vec![0; 65535];
    world.handle(&question, tcp()).unwrap_err();
    let (work, _) = answer_slow(&world.snapshot, &question, tcp(), NOW, &mut world.cx, &mut out);
    let Work::Transfer(mut transfer) = work else { panic!("{work:?}") };
    assert_eq!(transfer.zone(), &"example.com".parse::<Name>().unwrap());
    assert!(matches!(transfer.make(NOW, &mut out), Made::Message(_)), "what stands before it");
    assert_eq!(transfer.make(NOW, &mut out), Made::TooLarge);
}
