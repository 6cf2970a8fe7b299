//! Names, types and RDATA as people write them.

use std::net::{Ipv4Addr, Ipv6Addr};

const TYPES: [(&str, u16); 24] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AAAA", 28),
    ("SRV", 33),
    ("NAPTR", 35),
    ("DS", 43),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("TLSA", 52),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("IXFR", 251),
    ("AXFR", 252),
    ("ANY", 255),
    ("CAA", 257),
];

pub fn type_text(rtype: u16) -> String {
    TYPES.iter().find(|(_, number)| *number == rtype).map_or_else(|| format!("TYPE{rtype}"), |(word, _)| (*word).to_string())
}

/// `AAAA`, `TYPE65280`.
pub fn type_number(text: &str) -> u16 {
    let named = TYPES.iter().find(|(word, _)| *word == text).map(|(_, number)| *number);
    named.or_else(|| text.strip_prefix("TYPE")?.parse().ok()).unwrap_or_else(|| panic!("a type: {text}"))
}

pub fn name_text(wire: &[u8]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while let Some(length) = wire.get(at).filter(|length| **length > 0) {
        for octet in &wire[at + 1..=at + usize::from(*length)] {
            match octet {
                b'.' | b'\\' => text.push_str(&format!("\\{}", char::from(*octet))),
                0x21..=0x7e => text.push(char::from(*octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
        text.push('.');
        at += 1 + usize::from(*length);
    }
    if text.is_empty() { ".".to_string() } else { text }
}

/// Names in RDATA are uncompressed.
pub fn rdata_text(rtype: u16, rdata: &[u8]) -> String {
    let short = |at: usize| u16::from_be_bytes([rdata[at], rdata[at + 1]]);
    match (rtype, rdata.len()) {
        (1, 4) => Ipv4Addr::from([rdata[0], rdata[1], rdata[2], rdata[3]]).to_string(),
        (28, 16) => Ipv6Addr::from(<[u8; 16]>::try_from(rdata).expect("sixteen")).to_string(),
        (2 | 5 | 12, _) => name_text(rdata),
        (15, 3..) => format!("{} {}", short(0), name_text(&rdata[2..])),
        (33, 7..) => format!("{} {} {} {}", short(0), short(2), short(4), name_text(&rdata[6..])),
        (6, 22..) => {
            let (names, numbers) = rdata.split_at(rdata.len() - 20);
            let first = wire_length(names);
            let numbers: Vec<String> = numbers.as_chunks::<4>().0.iter().map(|number| u32::from_be_bytes(*number).to_string()).collect();
            format!("{} {} {}", name_text(names), name_text(&names[first..]), numbers.join(" "))
        }
        (13 | 16, 1..) => strings(rdata),
        _ => rdata.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn wire_length(name: &[u8]) -> usize {
    let mut at = 0;
    while name[at] != 0 {
        at += 1 + usize::from(name[at]);
    }
    at + 1
}

fn strings(mut rdata: &[u8]) -> String {
    let mut texts = Vec::new();
    while let Some((length, rest)) = rdata.split_first() {
        let (text, rest) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, &[]));
        texts.push(format!("\"{}\"", text.escape_ascii()));
        rdata = rest;
    }
    texts.join(" ")
}
