//! Packets that no resolver sends: FORMERR or silence, never more than 512 octets, and the server lives.

use super::super::raw::{Query, Stream, Udp, check};
use super::{Check, Lab, prove};

const HOST: &str = "host.conf.test. A";
/// Where the question's name begins.
const NAME: usize = 12;

fn host() -> Query {
    Query::of(HOST)
}

/// A record's fixed part: type A, class IN, TTL 0, four octets of data.
const A_RECORD: &[u8] = b"\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\xc0\x00\x02\x01";

/// The question's name in other octets, type and class after it.
fn named(name: &[u8]) -> Vec<u8> {
    host().question(&[name, &[0, 1, 0, 1]].concat()).octets()
}

/// An additional record that begins with these octets for its owner.
fn owned(owner: &[u8]) -> Vec<u8> {
    host().record(3, &[owner, A_RECORD].concat()).octets()
}

const CHECKS: &[Check] = &[
    ("no octets at all get no response", |lab| lab.is_silent(&[])),
    ("less than a header gets no response", |lab| (1..12).for_each(|length| lab.is_silent(&host().octets()[..length]))),
    ("zeros shorter than a header get no response", |lab| lab.is_silent(&[0; 11])),
    ("a header alone that claims a question is a format error", |lab| lab.is_format_error(&host().octets()[..12])),
    ("a query cut anywhere behind its header is a format error", |lab| {
        let whole = host().octets();
        (12..whole.len()).for_each(|length| lab.is_format_error(&whole[..length]));
    }),
    ("a query with OPT cut anywhere behind its header is a format error", |lab| {
        let whole = host().opt(1232, [0, 0, 0x80, 0], b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02").octets();
        (12..whole.len()).for_each(|length| lab.is_format_error(&whole[..length]));
    }),
    ("a cut query over TCP is a format error, and the connection stays", |lab| {
        let whole = host().edns(1232).octets();
        let mut stream = Stream::to(lab.node.dns);
        for length in 12..whole.len() {
            stream.send(&whole[..length]);
            let response = stream.next().expect("a response");
            assert_eq!(super::strict(&whole[..length], &response, true).rcode(), 1);
        }
        stream.send(&whole);
        assert_eq!(super::strict(&whole, &stream.next().expect("a response"), true).rcode(), 0);
    }),
    ("a message without octets over TCP hurts nobody", |lab| {
        let mut stream = Stream::to(lab.node.dns);
        stream.send(&[]);
        stream.send(&[1, 2, 3]);
        stream.send(&host().octets());
        assert_eq!(stream.next().map(|response| response[..2].to_vec()), Some(host().octets()[..2].to_vec()));
    }),
    ("a name that points at itself", |lab| lab.is_format_error(&named(b"\xc0\x0c"))),
    ("a name that points forward", |lab| lab.is_format_error(&named(b"\xc0\x0e"))),
    ("a name that points behind the packet", |lab| lab.is_format_error(&named(b"\xff\xff"))),
    ("a name that points into the header", |lab| (0..12).for_each(|at| lab.is_format_error(&named(&[0xc0, at])))),
    ("a label and then a pointer to it", |lab| lab.is_format_error(&named(b"\x04host\xc0\x0c"))),
    ("two pointers at each other", |lab| lab.is_format_error(&named(b"\xc0\x0e\xc0\x0c"))),
    ("half a pointer", |lab| lab.is_format_error(&host().question(b"\xc0").octets())),
    ("labels of the types 01 and 10", |lab| {
        // RFC 6891, section 5: extended labels are no more; 10 was never used.
        for first in [0x40, 0x41, 0x7f, 0x80, 0xbf] {
            lab.is_format_error(&named(&[&[first][..], b"host\x04conf\x04test\x00"].concat()));
        }
    }),
    ("a name without end", |lab| lab.is_format_error(&host().question(&b"\x01a".repeat(200)).octets())),
    ("a label longer than the packet", |lab| lab.is_format_error(&host().question(b"\x3fabc\x00\x00\x01\x00\x01").octets())),
    ("a name of 256 octets", |lab| {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let name = [label.repeat(3), vec![62], vec![b'a'; 62], vec![0]].concat();
        assert_eq!(name.len(), 256);
        lab.is_format_error(&named(&name));
    }),
    ("a name of 128 labels", |lab| lab.is_format_error(&named(&[&b"\x01a".repeat(128)[..], &[0]].concat()))),
    ("a name of a thousand octets", |lab| lab.is_format_error(&named(&[&b"\x09abcdefghi".repeat(100)[..], &[0]].concat()))),
    ("an octet after the question", |lab| lab.is_format_error(&host().tail(&[0]).octets())),
    ("a whole question after the question", |lab| lab.is_format_error(&host().tail(&host().octets()[NAME..]).octets())),
    ("an octet after OPT", |lab| lab.is_format_error(&host().edns(1232).tail(&[0]).octets())),
    ("an OPT record that no count knows of", |lab| lab.is_format_error(&host().edns(1232).counts([1, 0, 0, 0]).octets())),
    ("rubbish up to the longest datagram", |lab| lab.is_format_error(&host().tail(&[0xa5; 1400]).octets())),
    ("a count of answers that lies", |lab| lab.is_format_error(&host().counts([1, 1, 0, 0]).octets())),
    ("a count of authorities that lies", |lab| lab.is_format_error(&host().counts([1, 0, 1, 0]).octets())),
    ("a count of additional records that lies", |lab| lab.is_format_error(&host().counts([1, 0, 0, 1]).octets())),
    ("one OPT, counted twice", |lab| lab.is_format_error(&host().edns(1232).counts([1, 0, 0, 2]).octets())),
    ("65,535 in every count", |lab| lab.is_format_error(&host().counts([1, 65_535, 65_535, 65_535]).octets())),
    ("65,535 additional records claimed", |lab| lab.is_format_error(&host().counts([1, 0, 0, 65_535]).octets())),
    ("no question counted, but there", |lab| lab.is_format_error(&host().counts([0; 4]).octets())),
    ("an answer in a query", |lab| lab.is_format_error(&host().record(1, &[b"\xc0\x0c", A_RECORD].concat()).octets())),
    ("an authority in a query that is not IXFR", |lab| lab.is_format_error(&host().record(2, &[b"\xc0\x0c", A_RECORD].concat()).octets())),
    ("OPT in the answer section", |lab| lab.is_format_error(&host().record(1, &Query::of(HOST).edns(512).octets()[host().octets().len()..]).octets())),
    ("OPT in the authority section", |lab| lab.is_format_error(&host().record(2, &Query::of(HOST).edns(512).octets()[host().octets().len()..]).octets())),
    ("two OPT records (RFC 6891, section 6.1.1)", |lab| lab.is_format_error(&host().edns(1232).edns(1232).octets())),
    ("three OPT records", |lab| lab.is_format_error(&host().edns(1232).edns(512).edns(4096).octets())),
    ("OPT with a label for its owner", |lab| lab.is_format_error(&host().record(3, b"\x01a\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00").octets())),
    ("OPT whose owner is a pointer to a name", |lab| lab.is_format_error(&host().record(3, b"\xc0\x0c\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00").octets())),
    ("OPT whose RDATA is shorter than it says", |lab| lab.is_format_error(&host().record(3, b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x05").octets())),
    ("OPT whose RDATA is said to be 65,535 long", |lab| lab.is_format_error(&host().record(3, b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\xff\xff").octets())),
    ("an option of half a head", |lab| lab.is_format_error(&host().opt(1232, [0; 4], &[0, 3]).octets())),
    ("an option without its length", |lab| lab.is_format_error(&host().opt(1232, [0; 4], &[0, 3, 0]).octets())),
    ("an option longer than RDATA", |lab| lab.is_format_error(&host().opt(1232, [0; 4], &[0xff, 0, 0, 9, 1, 2]).octets())),
    ("an octet after the last option", |lab| lab.is_format_error(&host().opt(1232, [0; 4], &[0xff, 0, 0, 0, 0]).octets())),
    ("FORMERR has OPT if OPT could be read", |lab| {
        let response = lab.ask_octets(&host().edns(1232).tail(&[0]).octets());
        assert!(response.opt.is_some());
    }),
    ("an additional record whose owner points forward", |lab| lab.is_format_error(&owned(b"\xc0\xff"))),
    ("an additional record whose owner points at itself", |lab| {
        let at = host().octets().len() as u8;
        lab.is_format_error(&owned(&[0xc0, at]));
    }),
    ("an additional record whose owner points into the header", |lab| lab.is_format_error(&owned(b"\xc0\x04"))),
    ("an additional record that is no OPT is passed over", |lab| {
        let response = lab.ask_octets(&owned(b"\xc0\x0c"));
        assert_eq!(response.text(), "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1");
    }),
    ("OPT before another additional record is read", |lab| {
        let query = host().edns(1232).record(3, &[b"\xc0\x0c", A_RECORD].concat()).octets();
        let response = Udp::ask(lab.node.dns, &query).expect("a response");
        let response = check(&host().edns(1232).octets(), &response, false).expect("a strict response");
        assert_eq!(response.rcode(), 0);
    }),
    ("queries with a signature from a key that nobody knows are not answered with data twice", |lab| {
        // TSIG last, RFC 8945, section 5.2: without keys configured it is an unknown additional record, or NOTAUTH.
        let rdata = [&b"\x0bhmac-sha256\x00"[..], &[0; 6], b"\x01\x2c\x00\x00", &[0; 2], b"\x00\x00\x00\x00"].concat();
        let record = [&b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00"[..], &(rdata.len() as u16).to_be_bytes(), &rdata].concat();
        let query = host().record(3, &record).octets();
        let response = Udp::ask(lab.node.dns, &query).expect("a response");
        assert!(response.len() <= 512 && matches!(response[3] & 0x0f, 0 | 1 | 9), "{}", super::hex(&response));
    }),
    ("no format error has more than 512 octets, nor more than its query and a little", |lab| {
        for query in [host().edns(65_535).tail(&[0]).octets(), owned(b"\xc0\xff"), named(b"\xc0\x0c")] {
            assert!(lab.ask_octets(&query).octets.len() <= query.len() + 11);
        }
    }),
    ("each octet of a query may be anything", |lab| {
        mutated(lab, &host().octets(), |octet| [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff, octet ^ 1, octet ^ 0x80])
    }),
    ("each octet of a query with EDNS may be anything", |lab| {
        let query = host().opt(1232, [0; 4], b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02").octets();
        mutated(lab, &query, |octet| [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff, octet ^ 1, octet ^ 0x80]);
    }),
    ("random octets behind a header", |lab| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let socket = Udp::to(lab.node.dns);
        for round in 0..2000_u16 {
            let octets: Vec<u8> = (0..(round % 300))
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            socket.send(&[&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, (state >> 60) as u8 & 1][..], &octets].concat());
            let response = socket.next().expect("a response");
            assert!(response.len() <= 512, "{}", super::hex(&response));
        }
    }),
];

/// Each octet in turn replaced; every response, if one comes, is read strictly and short.
fn mutated(lab: &Lab, query: &[u8], values: fn(u8) -> [u8; 10]) {
    let last = Query::of("conf.test. SOA").id(0xfeed).octets();
    for at in 0..query.len() {
        for value in values(query[at]) {
            let mut changed = query.to_vec();
            changed[at] = value;
            let socket = Udp::to(lab.node.dns);
            socket.send(&changed);
            socket.send(&last);
            let first = socket.next().expect("a response");
            if first[..2] == [0xfe, 0xed] {
                // QR was set: silence.
                assert_eq!(changed[2] & 0x80, 0x80, "silence for {}", super::hex(&changed));
                continue;
            }
            let response = super::strict(&changed, &first, false);
            assert!(response.octets.len() <= 512);
            assert!(socket.next().is_some());
        }
    }
}

#[test]
fn malformed_packets() {
    prove(&[], CHECKS);
}
