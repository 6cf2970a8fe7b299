//! The header, the question's count, opcodes, classes, types, and whose names are answered.

use super::super::raw::{Query, Response, Udp};
use super::{Check, Lab, Row, prove};

const HOST: &str = "host.conf.test. A";

fn host() -> Query {
    Query::of(HOST)
}

const ROWS: &[Row] = &[
    ("the root is refused, without a referral upward", ". NS", "REFUSED"),
    ("the root's SOA is refused", ". SOA", "REFUSED"),
    ("a parent of a zone is refused", "test. NS", "REFUSED"),
    ("a parent's DS for a zone is refused where the parent is not ours", "test. DS", "REFUSED"),
    ("a foreign name is refused", "www.elsewhere.example. A", "REFUSED"),
    ("a name that ends like a zone, but not at a label, is refused", "xconf.test. A", "REFUSED"),
    ("a zone's name with more behind it is refused", "conf.test.example. A", "REFUSED"),
    ("a foreign ANY is refused", "elsewhere.example. ANY", "REFUSED"),
    ("AXFR is refused", "conf.test. AXFR", "REFUSED"),
    ("IXFR is refused", "conf.test. IXFR", "REFUSED"),
    ("a transfer of a foreign zone is refused", "elsewhere.example. AXFR", "REFUSED"),
    ("type 0 is NODATA", "host.conf.test. TYPE0", NODATA),
    ("type 65535 is NODATA", "host.conf.test. TYPE65535", NODATA),
    ("an unassigned type is NODATA", "host.conf.test. TYPE3333", NODATA),
    ("an unassigned type at a name that does not exist is NXDOMAIN", "nobody.conf.test. TYPE3333", NXDOMAIN),
    ("MAILA is not implemented", "host.conf.test. TYPE254", "NOTIMP"),
    ("MAILB is not implemented", "host.conf.test. TYPE253", "NOTIMP"),
    ("asking for OPT is a format error", "host.conf.test. TYPE41", "FORMERR"),
    ("asking for TSIG is a format error", "host.conf.test. TYPE250", "FORMERR"),
];

const NODATA: &str = "NOERROR aa\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300";
const NXDOMAIN: &str = "NXDOMAIN aa\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300";

const CHECKS: &[Check] = &[
    ("every ID comes back", |lab| {
        for id in [0, 1, 0x00ff, 0xff00, 0x8000, 0xffff] {
            assert_eq!(lab.ask(&host().id(id)).id, id);
        }
    }),
    ("AA is set on what is ours", |lab| assert!(lab.ask(&host()).authoritative())),
    ("AA in a query means nothing", |lab| {
        assert_eq!(lab.ask(&host().flags(0x0400)).flags, 0x8400);
        assert_eq!(lab.ask(&Query::of("cut.conf.test. A").flags(0x0400)).flags, 0x8000);
    }),
    ("TC in a query means nothing", |lab| assert_eq!(lab.ask(&host().flags(0x0200)).flags, 0x8400)),
    ("RD is copied", |lab| {
        assert_eq!(lab.ask(&host().flags(0x0100)).flags, 0x8500);
        assert_eq!(lab.ask(&host()).flags, 0x8400);
    }),
    ("RD is copied into refusals", |lab| assert_eq!(lab.ask(&Query::of(". NS").flags(0x0100)).flags, 0x8105)),
    ("RA in a query is not copied", |lab| assert_eq!(lab.ask(&host().flags(0x0080)).flags, 0x8400)),
    ("Z in a query is neither an error nor copied", |lab| assert_eq!(lab.ask(&host().flags(0x0040)).flags, 0x8400)),
    ("AD in a query is ignored", |lab| assert_eq!(lab.ask(&host().flags(0x0020)).flags, 0x8400)),
    ("CD in a query is not copied", |lab| assert_eq!(lab.ask(&host().flags(0x0010)).flags, 0x8400)),
    ("RCODE in a query means nothing", |lab| assert_eq!(lab.ask(&host().flags(0x000f)).flags, 0x8400)),
    ("all flags at once but QR and OPCODE", |lab| assert_eq!(lab.ask(&host().flags(0x07ff)).flags, 0x8500)),
    ("a response gets no response", |lab| lab.is_silent(&host().flags(0x8000).octets())),
    ("a response of any opcode gets no response", |lab| (0..16).for_each(|opcode| lab.is_silent(&host().flags(0x8000).opcode(opcode).octets()))),
    ("a response that is a header alone gets no response", |lab| lab.is_silent(&host().flags(0x8000).octets()[..12])),
    ("a refusal sent back gets no response", |lab| {
        let refused = lab.ask(&Query::of(". NS"));
        lab.is_silent(&refused.octets);
    }),
    ("IQUERY is not implemented", |lab| assert_eq!(lab.rcode(&host().opcode(1)), 4)),
    ("STATUS is not implemented", |lab| assert_eq!(lab.rcode(&host().opcode(2)), 4)),
    ("an unassigned opcode is not implemented", |lab| {
        [3, 7, 8, 9, 10, 11, 12, 13, 14, 15].iter().for_each(|opcode| assert_eq!(lab.rcode(&host().opcode(*opcode)), 4))
    }),
    ("a header alone of an unknown opcode is answered, too", |lab| {
        for opcode in [1, 2, 3, 6, 7, 15] {
            let header = Query::of(HOST).opcode(opcode).counts([0; 4]).question(&[]).octets();
            assert_eq!(lab.ask_octets(&header).rcode(), 4, "opcode {opcode}");
        }
    }),
    ("rubbish after the header of an unknown opcode is not looked at", |lab| {
        let query = host().opcode(7).counts([7, 8, 9, 10]).question(&[0xff; 30]).octets();
        assert_eq!(lab.ask_octets(&query).rcode(), 4);
    }),
    ("DSO is not implemented", |lab| {
        // RFC 8490, section 5.1.2: all counts 0, then a Keepalive TLV.
        let query = Query::of(HOST).opcode(6).counts([0; 4]).question(&[0, 1, 0, 8, 0, 0, 0x3a, 0x98, 0, 0, 0x3a, 0x98]);
        assert_eq!(lab.rcode(&query), 4);
    }),
    ("UPDATE is refused", |lab| {
        let query = Query::of("conf.test. SOA").opcode(5).record(2, b"\x04host\xc0\x0c\x00\xff\x00\xff\x00\x00\x00\x00\x00\x00");
        assert_eq!(lab.rcode(&query), 5);
    }),
    ("UPDATE of a foreign zone is refused", |lab| assert_eq!(lab.rcode(&Query::of("elsewhere.example. SOA").opcode(5)), 5)),
    ("UPDATE with OPT is refused", |lab| assert_eq!(lab.rcode(&Query::of("conf.test. SOA").opcode(5).edns(1232)), 5)),
    ("NOTIFY from a stranger is refused", |lab| assert_eq!(lab.rcode(&Query::of("conf.test. SOA").opcode(4).flags(0x2400)), 5)),
    ("NOTIFY of a foreign zone is refused", |lab| assert_eq!(lab.rcode(&Query::of("elsewhere.example. SOA").opcode(4)), 5)),
    ("no question is a format error", |lab| {
        lab.is_format_error(&Query::of(HOST).counts([0; 4]).question(&[]).octets());
    }),
    ("no question, but an OPT record without a cookie, is a format error", |lab| {
        lab.is_format_error(&Query::of(HOST).counts([0, 0, 0, 1]).question(&[]).edns(1232).octets());
    }),
    ("opcodes that are not served have OPT for OPT (RFC 6891, section 6.1.1)", |lab| {
        for opcode in 1..16 {
            let query = Query::of("conf.test. SOA").opcode(opcode).dnssec(1232);
            assert!(lab.ask(&query).opt.is_some_and(|opt| opt.flags == 0x8000), "opcode {opcode}");
        }
    }),
    ("two questions are a format error (RFC 9619)", |lab| {
        let two = [host().octets()[12..].to_vec(), host().octets()[12..].to_vec()].concat();
        lab.is_format_error(&Query::of(HOST).counts([2, 0, 0, 0]).question(&two).octets());
    }),
    ("two different questions are a format error", |lab| {
        let two = [host().octets()[12..].to_vec(), Query::of("conf.test. NS").octets()[12..].to_vec()].concat();
        lab.is_format_error(&Query::of(HOST).counts([2, 0, 0, 0]).question(&two).octets());
    }),
    ("65,535 questions are a format error", |lab| lab.is_format_error(&host().counts([65_535, 0, 0, 0]).octets())),
    ("class CH is refused: who we are is hidden by default", |lab| {
        for name in ["version.bind.", "version.server.", "id.server.", "hostname.bind.", "authors.bind.", "host.conf.test."] {
            assert_eq!(lab.ask(&Query::new(name, 16).class(3)).text(), "REFUSED", "{name}");
        }
    }),
    ("class HS is refused", |lab| assert_eq!(lab.rcode(&host().class(4)), 5)),
    ("classes 0, NONE and ANY are refused", |lab| [0, 254, 255].iter().for_each(|class| assert_eq!(lab.rcode(&host().class(*class)), 5))),
    ("unassigned classes are refused", |lab| [2, 5, 256, 65_535].iter().for_each(|class| assert_eq!(lab.rcode(&host().class(*class)), 5))),
    ("version.bind of class IN is a foreign name", |lab| assert_eq!(lab.text("version.bind. TXT"), "REFUSED")),
    ("TKEY without a key is not answered with data", |lab| assert!(matches!(lab.rcode(&Query::of("host.conf.test. TYPE249")), 1 | 4 | 5))),
    ("NXNAME can't be asked for (RFC 9824)", |lab| assert_eq!(lab.rcode(&Query::of("host.conf.test. TYPE128")), 1)),
    ("every type has a response of its kind, at a name with data", |lab| every_type(lab, "host.conf.test.", 0)),
    ("every type has a response of its kind, at a name that does not exist", |lab| every_type(lab, "nobody.conf.test.", 3)),
    ("every type has a response of its kind, at a service", |lab| every_type(lab, "v4.svc.conf.test.", 0)),
];

/// All types by one socket, a hundred at a time.
fn every_type(lab: &Lab, name: &str, rcode: u16) {
    let socket = Udp::to(lab.node.dns);
    let types: Vec<u16> = (0..=u16::MAX).collect();
    for some in types.chunks(100) {
        let queries: Vec<Vec<u8>> = some.iter().map(|rtype| Query::new(name, *rtype).id(*rtype).octets()).collect();
        queries.iter().for_each(|query| socket.send(query));
        for (rtype, query) in some.iter().zip(&queries) {
            let response = socket.next().unwrap_or_else(|| panic!("no response for type {rtype}"));
            let response: Response = super::strict(query, &response, false);
            let expected = match rtype {
                41 | 128 | 250 => 1,
                249 | 253 | 254 => 4,
                251 | 252 => 5,
                _ => rcode,
            };
            assert_eq!(response.rcode(), expected, "type {rtype}");
        }
    }
}

#[test]
fn header_question_opcodes_classes_and_types() {
    prove(ROWS, CHECKS);
}
