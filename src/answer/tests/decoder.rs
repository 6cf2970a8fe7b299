//! Reads responses: strict about structure, plain about content. Shares no code with what it checks.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A response as lines: rcode and flags, the question, then records by section (`AN`, `NS`, `AR`, `OPT`). Panics if it is not well-formed.
pub(super) fn text(packet: &[u8]) -> String {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let flags = number(2);
    assert_eq!(flags & 0x8000, 0x8000, "QR");
    assert_eq!(flags & 0x00f0, 0, "RA, Z, AD, CD");
    let mut at = 12;
    let mut question = String::from("-");
    let mut class_asked = 1;
    assert!(number(4) <= 1);
    if number(4) == 1 {
        let name = name(packet, &mut at);
        question = format!("{name} {}", type_word(number(at)));
        class_asked = number(at + 2);
        if class_asked != 1 {
            write!(question, " class{class_asked}").unwrap();
        }
        at += 4;
    }
    let (mut records, mut rcode_high) = (String::new(), 0);
    for (section, count) in [("AN", number(6)), ("NS", number(8)), ("AR", number(10))] {
        for _ in 0..count {
            let owner = name(packet, &mut at);
            let (rtype, class) = (number(at), number(at + 2));
            let ttl = u32::from(number(at + 4)) << 16 | u32::from(number(at + 6));
            let length = usize::from(number(at + 8));
            at += 10;
            if rtype == 41 {
                assert_eq!((section, &*owner), ("AR", "."));
                rcode_high = ttl >> 24;
                assert_eq!(ttl >> 16 & 0xff, 0, "version");
                let flags = if ttl & 0x8000 != 0 { " do" } else { "" };
                write!(records, "\nOPT {class}{flags}{}", options(&packet[at..at + length])).unwrap();
            } else if rtype == 250 {
                // RFC 8945, section 5.1: the last one of the packet.
                assert_eq!((section, class, ttl, at + length), ("AR", 255, 0, packet.len()));
                records.push_str("\nTSIG");
            } else {
                assert_eq!(class, class_asked);
                write!(records, "\n{section} {owner} {ttl} {} {}", type_word(rtype), rdata(packet, at, length, rtype)).unwrap();
            }
            at += length;
        }
    }
    assert_eq!(at, packet.len(), "trailing octets");
    let rcode = rcode_high as u16 * 16 + (flags & 15);
    let rcode = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"].get(usize::from(rcode)).map_or(format!("RCODE{rcode}"), |w| w.to_string());
    let mut head = rcode;
    for (bit, word) in [(0x0400, " aa"), (0x0200, " tc"), (0x0100, " rd")] {
        if flags & bit != 0 {
            head.push_str(word);
        }
    }
    match flags >> 11 & 15 {
        0 => (),
        opcode => write!(head, " opcode{opcode}").unwrap(),
    }
    format!("{head}\n? {question}{records}")
}

/// A name, following pointers, each strictly back.
fn name(packet: &[u8], at: &mut usize) -> String {
    let (mut here, mut jumped, mut lowest, mut text, mut octets) = (*at, false, *at, String::new(), 0);
    loop {
        match packet[here] {
            0 => {
                if !jumped {
                    *at = here + 1;
                }
                assert!(octets < 255, "name too long");
                return if text.is_empty() { ".".into() } else { text };
            }
            length @ 1..=63 => {
                let label = &packet[here + 1..here + 1 + usize::from(length)];
                text.push_str(&label.escape_ascii().to_string());
                text.push('.');
                octets += label.len() + 1;
                here += 1 + usize::from(length);
            }
            high => {
                assert!(high >= 0xc0, "label type");
                let target = usize::from(u16::from_be_bytes([high & 0x3f, packet[here + 1]]));
                assert!(target < lowest && target >= 12, "pointer to {target} from {here}");
                if !jumped {
                    *at = here + 2;
                }
                (jumped, lowest, here) = (true, target, target);
            }
        }
    }
}

fn rdata(packet: &[u8], at: usize, length: usize, rtype: u16) -> String {
    let octets = &packet[at..at + length];
    let name_from = |mut at: usize| name(packet, &mut at);
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    match rtype {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(octets).unwrap()).to_string(),
        28 => Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap()).to_string(),
        2 | 5 | 12 => {
            let mut end = at;
            let text = name(packet, &mut end);
            assert_eq!(end, at + length);
            text
        }
        15 => format!("{} {}", number(at), name_from(at + 2)),
        33 => format!("{} {} {} {}", number(at), number(at + 2), number(at + 4), name_from(at + 6)),
        6 => {
            let mut end = at;
            let (mname, rname) = (name(packet, &mut end), name(packet, &mut end));
            assert_eq!(end + 20, at + length);
            let numbers = packet[end..end + 20].as_chunks::<4>().0.iter().map(|n| u32::from_be_bytes(*n).to_string());
            format!("{mname} {rname} {}", numbers.collect::<Vec<_>>().join(" "))
        }
        13 | 16 => {
            let (mut rest, mut words) = (octets, Vec::new());
            while let Some((length, after)) = rest.split_first() {
                words.push(format!("\"{}\"", after[..usize::from(*length)].escape_ascii()));
                rest = &after[usize::from(*length)..];
            }
            words.join(" ")
        }
        _ => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn options(mut octets: &[u8]) -> String {
    let mut text = String::new();
    while !octets.is_empty() {
        let code = u16::from_be_bytes([octets[0], octets[1]]);
        let length = usize::from(u16::from_be_bytes([octets[2], octets[3]]));
        let data = &octets[4..4 + length];
        match code {
            3 => write!(text, " nsid={}", data.escape_ascii()).unwrap(),
            10 => {
                assert_eq!(data.len(), 24, "a client's cookie and ours");
                write!(text, " cookie").unwrap();
            }
            11 => write!(text, " keepalive={}", u16::from_be_bytes(data.try_into().unwrap())).unwrap(),
            8 => write!(text, " ecs={}", data.iter().map(|octet| format!("{octet:02x}")).collect::<String>()).unwrap(),
            15 => write!(text, " ede={}:{}", u16::from_be_bytes([data[0], data[1]]), std::str::from_utf8(&data[2..]).unwrap()).unwrap(),
            _ => panic!("option {code} in a response"),
        }
        octets = &octets[4 + length..];
    }
    text
}

fn type_word(rtype: u16) -> String {
    let known = [(1, "A"), (2, "NS"), (5, "CNAME"), (6, "SOA"), (12, "PTR"), (13, "HINFO"), (15, "MX"), (16, "TXT"), (28, "AAAA"), (33, "SRV"), (43, "DS")];
    known.iter().find(|(number, _)| *number == rtype).map_or(format!("TYPE{rtype}"), |(_, word)| word.to_string())
}
