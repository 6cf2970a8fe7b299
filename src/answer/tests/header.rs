//! Header and question: who gets an error, who gets silence.

use super::*;
use crate::answer::{DropReason, Handled};

const ZONE: &str = "api.example.com 3600 SOA ns1.api.example.com hostmaster.example.com 1 2 3 4 60
    api.example.com 3600 NS ns1.api.example.com
    ns1.api.example.com 3600 A 192.0.2.53
    www.api.example.com 300 A 192.0.2.1";

fn world() -> World {
    World::new(&[("api.example.com", ZONE)])
}

#[test]
fn a_response_is_the_query_with_its_answer_bit_for_bit() {
    let response = world().handle(&query("wWw.API.example.com", 1), udp()).unwrap();
    let expected = [
        // ID, QR AA RD, counts 1 1 0 0
        &b"\xab\xcd\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00"[..],
        b"\x03wWw\x03API\x07example\x03com\x00\x00\x01\x00\x01",
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01",
    ];
    assert_eq!(response, expected.concat());
}

#[test]
fn responses_and_fragments_of_headers_get_silence() {
    let mut world = world();
    let mut response = query("www.api.example.com", 1);
    response[2] |= 0x80;
    assert_eq!(world.handle(&response, udp()), Err(Handled::Drop(DropReason::Response)));
    assert_eq!(world.handle(&response[..11], udp()), Err(Handled::Drop(DropReason::Short)));
    assert_eq!(world.handle(b"", tcp()), Err(Handled::Drop(DropReason::Short)));
}

#[test]
fn reflecting_ports_get_silence_over_udp() {
    let mut world = world();
    for port in [0, 7, 19] {
        let asked = crate::answer::Asked { port, ..udp() };
        assert_eq!(world.handle(&query("www.api.example.com", 1), asked), Err(Handled::Drop(DropReason::SourcePort)));
        assert!(world.handle(&query("www.api.example.com", 1), crate::answer::Asked { port, ..tcp() }).is_ok());
    }
}

#[test]
fn other_opcodes_get_a_header() {
    let mut world = world();
    for (opcode, rcode) in [(1, "NOTIMP"), (2, "NOTIMP"), (3, "NOTIMP"), (4, "REFUSED"), (5, "REFUSED"), (6, "NOTIMP"), (15, "NOTIMP")] {
        let mut packet = query("www.api.example.com", 1);
        packet[2] |= opcode << 3;
        assert_eq!(world.text(&packet), format!("{rcode} rd opcode{opcode}\n? -"));
    }
}

#[test]
fn a_query_has_one_question() {
    let mut world = world();
    for questions in [0, 2, 255] {
        let mut packet = query("www.api.example.com", 1);
        packet[5] = questions;
        assert_eq!(world.text(&packet), "FORMERR rd\n? -");
    }
}

#[test]
fn opcodes_that_are_not_served_get_opt_for_opt() {
    let mut world = world();
    for opcode in 1..16 {
        let mut packet = ask("www.api.example.com", 6, Some((1232, &[])));
        packet[2] = opcode << 3;
        let response = world.handle(&packet, udp()).unwrap();
        assert_eq!((response.len(), response[11]), (12 + 11, 1), "opcode {opcode}");
        packet.push(0);
        assert_eq!(world.handle(&packet, udp()).unwrap().len(), 12, "opcode {opcode}");
    }
}

#[test]
fn rd_is_copied_and_other_flags_are_not() {
    let mut packet = query("www.api.example.com", 1);
    (packet[2], packet[3]) = (0x06, 0xff);
    assert!(world().text(&packet).starts_with("NOERROR aa\n"));
}

#[test]
fn malformed_questions_are_formerr() {
    let mut world = world();
    let whole = query("www.api.example.com", 1);
    for end in 12..whole.len() {
        assert_eq!(world.text(&whole[..end]), "FORMERR rd\n? -", "{end}");
    }
    let head = &whole[..12];
    for rest in [&b"\xc0\x0c\x00\x01\x00\x01"[..], b"\x03www\xc0\x0c\x00\x01\x00\x01", b"\x40a\x00\x00\x01\x00\x01", b"\xff\xff\x00\x01\x00\x01"] {
        assert_eq!(world.text(&[head, rest].concat()), "FORMERR rd\n? -");
    }
}

#[test]
fn octets_and_records_that_do_not_belong_are_formerr_with_the_question() {
    let mut world = world();
    let whole = query("www.api.example.com", 1);
    let expected = "FORMERR rd\n? www.api.example.com. A";
    assert_eq!(world.text(&[&whole[..], b"\x00"].concat()), expected);
    for count in [7, 9, 11] {
        let mut packet = whole.clone();
        packet[count] = 1;
        assert_eq!(world.text(&packet), expected);
    }
}

#[test]
fn only_class_in_is_served() {
    let mut world = world();
    for (class, rcode) in [(0, "REFUSED"), (3, "REFUSED"), (4, "REFUSED"), (254, "REFUSED"), (255, "REFUSED")] {
        let mut packet = query("version.bind", 16);
        let end = packet.len();
        packet[end - 1] = class;
        assert_eq!(world.text(&packet), format!("{rcode} rd\n? version.bind. TXT class{class}"));
    }
}

#[test]
fn every_type_is_answered() {
    let mut world = world();
    for qtype in 0..=u16::MAX {
        let text = world.ask("www.api.example.com", qtype);
        let rcode = match qtype {
            41 | 128 | 250 => "FORMERR",
            249 | 253 | 254 => "NOTIMP",
            251 | 252 => "REFUSED",
            _ => "NOERROR aa",
        };
        assert!(text.starts_with(&format!("{rcode} rd\n")), "{qtype}: {text}");
        assert_eq!(text.contains("\nNS api.example.com. 60 SOA"), rcode == "NOERROR aa" && ![1, 255].contains(&qtype), "{qtype}: {text}");
    }
}
