//! EDNS(0): RFC 6891, 3225, 7871, 8914, 9715.

use super::super::raw::{Query, whole_sets};
use super::{Check, Lab, prove};

const HOST: &str = "host.conf.test. A";
const SUBNET: u16 = 8;
const ERROR: u16 = 15;

fn host() -> Query {
    Query::of(HOST)
}

/// These octets as a client subnet are a format error.
fn bad_subnet(lab: &Lab, data: &[u8]) {
    let response = lab.ask(&host().option(SUBNET, data));
    assert_eq!(response.rcode(), 1, "{data:?}");
    assert!(response.opt.is_some());
}

/// These come back as they were: the scope is 0.
fn good_subnet(lab: &Lab, question: &str, data: &[u8]) {
    let response = lab.ask(&Query::of(question).option(SUBNET, data));
    assert_eq!(response.option(SUBNET), Some(data), "{question}");
}

const CHECKS: &[Check] = &[
    ("without OPT comes no OPT", |lab| assert!(lab.ask(&host()).opt.is_none())),
    ("OPT brings one OPT", |lab| assert!(lab.ask(&host().edns(1232)).opt.is_some())),
    ("the root's OPT is 11 octets when nothing is to be said", |lab| {
        assert_eq!(lab.ask(&host().edns(1232)).octets.len(), lab.ask(&host()).octets.len() + 11);
    }),
    ("OPT in NXDOMAIN", |lab| assert!(lab.ask(&Query::of("nobody.conf.test. A").edns(1232)).opt.is_some())),
    ("OPT in NODATA", |lab| assert!(lab.ask(&Query::of("host.conf.test. AAAA").edns(1232)).opt.is_some())),
    ("OPT in a refusal", |lab| assert!(lab.ask(&Query::of("elsewhere.example. A").edns(1232)).opt.is_some())),
    ("OPT in a refused class", |lab| assert!(lab.ask(&Query::of("version.bind. TXT").class(3).edns(1232)).opt.is_some())),
    ("OPT in a referral", |lab| assert!(lab.ask(&Query::of("x.cut.conf.test. A").edns(1232)).opt.is_some())),
    ("OPT in NOTIMP for a type", |lab| assert!(lab.ask(&Query::of("host.conf.test. TYPE253").edns(1232)).opt.is_some())),
    ("OPT in SERVFAIL", |lab| assert!(lab.ask(&Query::of("gone.svc.conf.test. A").edns(1232)).opt.is_some())),
    ("OPT in ANY", |lab| assert!(lab.ask(&Query::of("host.conf.test. ANY").edns(1232)).opt.is_some())),
    ("OPT over TCP", |lab| {
        assert!(lab.ask_tcp(&host().edns(1232)).opt.is_some());
        assert!(lab.ask_tcp(&host()).opt.is_none());
    }),
    ("version 1 is BADVERS, with version 0 and no data (RFC 6891, section 6.1.3)", |lab| {
        assert_eq!(lab.ask(&host().opt(1232, [0, 1, 0, 0], &[])).text(), "BADVERS");
    }),
    ("version 255 is BADVERS", |lab| assert_eq!(lab.rcode(&host().opt(1232, [0, 255, 0, 0], &[])), 16)),
    ("version 1 with DO is BADVERS with DO", |lab| assert_eq!(lab.ask(&host().opt(1232, [0, 1, 0x80, 0], &[])).opt.map(|opt| opt.flags), Some(0x8000))),
    ("version 1 with options is BADVERS", |lab| assert_eq!(lab.rcode(&host().opt(1232, [0, 1, 0, 0], b"\x00\x03\x00\x00")), 16)),
    ("version 1 comes before the zone: foreign names are BADVERS, too", |lab| {
        assert_eq!(lab.rcode(&Query::of("elsewhere.example. A").opt(1232, [0, 1, 0, 0], &[])), 16)
    }),
    ("version 1 over TCP is BADVERS", |lab| assert_eq!(lab.ask_tcp(&host().opt(1232, [0, 1, 0, 0], &[])).rcode(), 16)),
    ("an extended RCODE in a query means nothing", |lab| assert_eq!(lab.rcode(&host().opt(1232, [255, 0, 0, 0], &[])), 0)),
    ("DO is copied", |lab| assert_eq!(lab.ask(&host().dnssec(1232)).opt.map(|opt| opt.flags), Some(0x8000))),
    ("no DO is copied as none", |lab| assert_eq!(lab.ask(&host().edns(1232)).opt.map(|opt| opt.flags), Some(0))),
    ("DO is copied into refusals and negatives", |lab| {
        for question in ["elsewhere.example. A", "nobody.conf.test. A", "host.conf.test. AAAA", "x.cut.conf.test. A", "gone.svc.conf.test. A"] {
            assert_eq!(lab.ask(&Query::of(question).dnssec(1232)).opt.map(|opt| opt.flags), Some(0x8000), "{question}");
        }
    }),
    ("unknown flags are ignored, and come back clear", |lab| {
        assert_eq!(lab.ask(&host().opt(1232, [0, 0, 0x7f, 0xff], &[])).opt.map(|opt| opt.flags), Some(0));
        assert_eq!(lab.ask(&host().opt(1232, [0, 0, 0xff, 0xff], &[])).opt.map(|opt| opt.flags), Some(0x8000));
    }),
    ("an unknown option is ignored", |lab| assert_eq!(lab.ask(&host().option(65_001, b"hello")).opt.map(|opt| opt.options), Some(vec![]))),
    ("an option of the reserved code 0 is ignored", |lab| assert_eq!(lab.rcode(&host().option(0, b"")), 0)),
    ("an empty unknown option is ignored", |lab| assert_eq!(lab.rcode(&host().option(100, b"")), 0)),
    ("the same unknown option many times is ignored", |lab| {
        let options = b"\xfd\xe9\x00\x01x".repeat(100);
        assert_eq!(lab.ask(&host().opt(1232, [0; 4], &options)).text(), "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1");
    }),
    ("DAU, DHU and N3U (RFC 6975) are ignored", |lab| [5, 6, 7].iter().for_each(|code| assert_eq!(lab.rcode(&host().option(*code, &[8, 13])), 0))),
    ("CHAIN (RFC 7901), EXPIRE (RFC 7314) and key tags (RFC 8145) are ignored", |lab| {
        for (code, data) in [(13, &b"\x00"[..]), (9, b""), (14, b"\x4f\x66")] {
            assert_eq!(lab.rcode(&host().option(code, data)), 0, "option {code}");
        }
    }),
    ("an Extended DNS Error in a query is ignored", |lab| assert_eq!(lab.ask(&host().option(ERROR, &[0, 0])).option(ERROR), None)),
    ("padding is never answered on an open transport (RFC 7830)", |lab| {
        assert_eq!(lab.ask(&host().option(12, &[0; 64])).option(12), None);
        assert_eq!(lab.ask_tcp(&host().option(12, &[0; 64])).option(12), None);
    }),
    ("sizes below 512 are 512 (RFC 6891, section 6.2.3)", |lab| {
        let whole = lab.ask(&Query::of("conf.test. MX").edns(1232)).octets.len();
        for size in [0, 1, 255, 511, 512] {
            let response = lab.ask(&Query::of("conf.test. MX").edns(size));
            assert!(!response.truncated() && response.octets.len() == whole, "size {size}");
        }
    }),
    ("512 octets hold what fits and no more", |lab| assert!(lab.ask(&Query::of("medium.conf.test. TXT").edns(512)).truncated())),
    ("1,232 octets hold more", |lab| assert!(!lab.ask(&Query::of("medium.conf.test. TXT").edns(1232)).truncated())),
    ("no size is more than 1,232 (RFC 9715)", |lab| {
        for size in [1232, 1233, 4096, 65_535] {
            assert!(lab.ask(&Query::of("large.conf.test. TXT").edns(size)).truncated(), "size {size}");
        }
    }),
    ("each size is kept", |lab| {
        for size in (512..1300).step_by(7) {
            let response = lab.ask(&Query::of("medium.conf.test. TXT").edns(size));
            let whole = lab.ask_tcp(&Query::of("medium.conf.test. TXT").edns(size));
            assert_eq!(response.truncated(), whole.octets.len() > usize::from(size), "size {size}");
        }
    }),
    ("without OPT, 512 octets", |lab| assert!(lab.ask(&Query::of("medium.conf.test. TXT")).truncated())),
    ("a truncated answer is empty and has AA", |lab| assert_eq!(lab.ask(&Query::of("large.conf.test. TXT").edns(1232)).text(), "NOERROR aa tc")),
    ("nothing is there in part when TC is set", |lab| {
        for question in ["large.conf.test. TXT", "medium.conf.test. TXT", "many.conf.test. A", "x.fat.conf.test. A", "conf.test. MX", "crowd.svc.conf.test. A"]
        {
            let whole = lab.ask_tcp(&Query::of(question).edns(1232));
            for size in [0, 512, 600, 700, 800, 900, 1000, 1100, 1200, 1232] {
                let cut = lab.ask(&Query::of(question).edns(size));
                if cut.truncated() {
                    whole_sets(&cut, &whole).unwrap_or_else(|why| panic!("{question}, {size} octets: {why}"));
                }
            }
        }
    }),
    ("glue that does not fit sets TC (RFC 9471, section 3.1)", |lab| {
        let response = lab.ask(&Query::of("x.fat.conf.test. A").edns(512));
        assert!(response.truncated() && response.sections[2].is_empty());
        assert!(!lab.ask_tcp(&Query::of("x.fat.conf.test. A").edns(512)).truncated());
    }),
    ("over TCP nothing is truncated, whatever the size says", |lab| {
        for size in [0, 512, 1232] {
            let response = lab.ask_tcp(&Query::of("large.conf.test. TXT").edns(size));
            assert!(!response.truncated() && response.sections[0].len() == 40);
        }
        assert_eq!(lab.ask_tcp(&Query::of("large.conf.test. TXT")).sections[0].len(), 40);
    }),
    ("OPT has its place in a truncated response", |lab| assert!(lab.ask(&Query::of("large.conf.test. TXT").edns(512)).opt.is_some())),
    // Client subnet.
    ("a client subnet comes back with scope 0, IPv4", |lab| good_subnet(lab, HOST, &[0, 1, 24, 0, 192, 0, 2])),
    ("a client subnet comes back with scope 0, IPv6", |lab| good_subnet(lab, HOST, &[0, 2, 56, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0])),
    ("a client subnet of no octets is echoed", |lab| good_subnet(lab, HOST, &[0, 1, 0, 0])),
    ("a client subnet of all octets is echoed", |lab| {
        good_subnet(lab, HOST, &[0, 1, 32, 0, 192, 0, 2, 1]);
        good_subnet(lab, HOST, &[0, 2, 128, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }),
    ("a client subnet of every length is echoed", |lab| {
        for source in 0..=32_u8 {
            let address = (0xffff_ffff_u64 << (32 - source)) as u32;
            let octets = &address.to_be_bytes()[..usize::from(source.div_ceil(8))];
            good_subnet(lab, HOST, &[&[0, 1, source, 0], octets].concat());
        }
    }),
    ("a client subnet comes back in negatives, refusals, referrals and services", |lab| {
        for question in
            ["nobody.conf.test. A", "host.conf.test. AAAA", "x.cut.conf.test. A", "v4.svc.conf.test. A", "both.svc.conf.test. AAAA", "gone.svc.conf.test. A"]
        {
            good_subnet(lab, question, &[0, 1, 24, 0, 198, 51, 100]);
        }
    }),
    ("a client subnet comes back over TCP", |lab| {
        assert_eq!(lab.ask_tcp(&host().option(SUBNET, &[0, 1, 8, 0, 10])).option(SUBNET), Some(&[0, 1, 8, 0, 10][..]));
    }),
    ("no client subnet comes unasked", |lab| assert_eq!(lab.ask(&Query::of("v4.svc.conf.test. A").edns(1232)).option(SUBNET), None)),
    ("a client subnet of an unknown family", |lab| bad_subnet(lab, &[0, 3, 0, 0])),
    ("a client subnet of family 65,535", |lab| bad_subnet(lab, &[255, 255, 8, 0, 1])),
    ("a client subnet longer than an IPv4 address", |lab| bad_subnet(lab, &[0, 1, 33, 0, 192, 0, 2, 1, 0])),
    ("a client subnet longer than an IPv6 address", |lab| bad_subnet(lab, &[&[0, 2, 129, 0][..], &[0; 17]].concat())),
    ("a client subnet with too few octets", |lab| bad_subnet(lab, &[0, 1, 24, 0, 192, 0])),
    ("a client subnet with too many octets", |lab| bad_subnet(lab, &[0, 1, 24, 0, 192, 0, 2, 0])),
    ("a client subnet of length 0 with an octet", |lab| bad_subnet(lab, &[0, 1, 0, 0, 0])),
    ("a client subnet with a bit behind its length", |lab| bad_subnet(lab, &[0, 1, 20, 0, 192, 0, 0x08])),
    ("a client subnet with the last bit set of a length of 31", |lab| bad_subnet(lab, &[0, 1, 31, 0, 192, 0, 2, 1])),
    ("a client subnet with a scope (RFC 7871, section 7.1.2)", |lab| bad_subnet(lab, &[0, 1, 24, 24, 192, 0, 2])),
    ("a client subnet of three octets", |lab| bad_subnet(lab, &[0, 1, 24])),
    ("an empty client subnet", |lab| bad_subnet(lab, &[])),
    ("a bad client subnet at a foreign name is a format error or a refusal", |lab| {
        assert!(matches!(lab.rcode(&Query::of("elsewhere.example. A").option(SUBNET, &[0, 9, 0, 0])), 1 | 5));
    }),
    // Extended DNS Errors.
    ("a service with nothing left says why (RFC 8914)", |lab| {
        let response = lab.ask(&Query::of("gone.svc.conf.test. A").edns(1232));
        assert_eq!(response.rcode(), 2);
        let error = response.option(ERROR).expect("an Extended DNS Error");
        assert!(error.len() > 2 && error.len() <= 258, "{error:?}");
    }),
    ("it says why over TCP, too", |lab| assert!(lab.ask_tcp(&Query::of("gone.svc.conf.test. A").edns(1232)).option(ERROR).is_some())),
    ("it says nothing to who has no EDNS", |lab| assert!(lab.ask(&Query::of("gone.svc.conf.test. A")).opt.is_none())),
    ("an Extended DNS Error and a client subnet stand side by side", |lab| {
        let response = lab.ask(&Query::of("gone.svc.conf.test. A").option(SUBNET, &[0, 1, 8, 0, 10]));
        assert!(response.option(ERROR).is_some() && response.option(SUBNET).is_some());
    }),
    ("the other family of that service is NODATA or SERVFAIL, never an address", |lab| {
        assert!(lab.ask(&Query::of("gone.svc.conf.test. AAAA")).sections[0].is_empty());
    }),
];

#[test]
fn edns_sizes_options_subnets_and_errors() {
    prove(&[], CHECKS);
}
