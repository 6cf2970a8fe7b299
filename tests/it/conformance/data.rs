//! What zones and services say: RFC 1034, 2181, 2308, 4592, 6604, 8020, 8482, 9471.

use std::collections::BTreeSet;

use super::super::raw::{Query, name_text};
use super::{Check, Row, prove};

macro_rules! nodata {
    () => {
        "NOERROR aa\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300"
    };
}
macro_rules! nxdomain {
    () => {
        "NXDOMAIN aa\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300"
    };
}

const CUT: &str = "NOERROR\nNS cut.conf.test. 600 NS ns.cut.conf.test.\nNS cut.conf.test. 600 NS ns.nocut.conf.test.\n\
    NS cut.conf.test. 600 NS ns2.elsewhere.example.\nAR ns.cut.conf.test. 3600 A 198.51.100.53\nAR ns.nocut.conf.test. 3600 AAAA 2001:db8:2::53";

const ROWS: &[Row] = &[
    // Answers.
    ("an address", "host.conf.test. A", "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1"),
    ("a set of two has both, with one TTL", "pair.conf.test. A", "NOERROR aa\nAN pair.conf.test. 120 A 192.0.2.2\nAN pair.conf.test. 120 A 192.0.2.3"),
    ("TTL 0 stays 0", "zero.conf.test. A", "NOERROR aa\nAN zero.conf.test. 0 A 192.0.2.4"),
    (
        "TTLs that differ are levelled to the least (RFC 2181, section 5.2)",
        "uneven.conf.test. A",
        "NOERROR aa\nAN uneven.conf.test. 60 A 192.0.2.5\nAN uneven.conf.test. 60 A 192.0.2.6",
    ),
    (
        "records equal but for letters are one (RFC 2181, section 5)",
        "twice.conf.test. MX",
        "NOERROR aa\nAN twice.conf.test. 3600 MX 10 mail.conf.test.\nAR mail.conf.test. 3600 A 192.0.2.25\nAR mail.conf.test. 3600 AAAA 2001:db8::25",
    ),
    (
        "strings keep their pieces and their octets",
        "host.conf.test. TXT",
        "NOERROR aa\nAN host.conf.test. 3600 TXT \"bytes \\x00\\xff\"\nAN host.conf.test. 3600 TXT \"one\" \"two; three\" \"\"",
    ),
    ("the apex's SOA", "conf.test. SOA", "NOERROR aa\nAN conf.test. 3600 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300"),
    (
        "the apex's NS, with addresses of those in the zone",
        "conf.test. NS",
        "NOERROR aa\nAN conf.test. 3600 NS ns1.conf.test.\nAN conf.test. 3600 NS ns2.elsewhere.example.\nAR ns1.conf.test. 3600 A 192.0.2.53\nAR ns1.conf.test. 3600 AAAA 2001:db8::53",
    ),
    (
        "MX with the addresses of its hosts, whose case is kept",
        "conf.test. MX",
        "NOERROR aa\nAN conf.test. 3600 MX 10 mail.conf.test.\nAN conf.test. 3600 MX 20 MAIL.Backup.conf.test.\nAR mail.backup.conf.test. 3600 A 192.0.2.26\nAR mail.conf.test. 3600 A 192.0.2.25\nAR mail.conf.test. 3600 AAAA 2001:db8::25",
    ),
    (
        "SRV with the address of its target",
        "_sip._tcp.conf.test. SRV",
        "NOERROR aa\nAN _sip._tcp.conf.test. 3600 SRV 10 60 5060 host.conf.test.\nAR host.conf.test. 3600 A 192.0.2.1",
    ),
    ("a type without a word", "other.conf.test. TYPE65280", "NOERROR aa\nAN other.conf.test. 3600 TYPE65280 0a0b0c"),
    ("CAA", "conf.test. CAA", "NOERROR aa\nAN conf.test. 3600 CAA 0005697373756563612e6578616d706c652e6e6574"),
    ("HTTPS beside a service", "web.conf.test. HTTPS", "NOERROR aa\nAN web.conf.test. 3600 HTTPS 00010000010003026832"),
    (
        "NAPTR with its names written out",
        "naptr.conf.test. NAPTR",
        "NOERROR aa\nAN naptr.conf.test. 3600 NAPTR 0064000a0153075349502b44325500045f736970045f75647004636f6e66047465737400",
    ),
    // Negative answers.
    ("a name that does not exist", "nobody.conf.test. A", nxdomain!()),
    ("below a name that exists, but is no cut (RFC 8020)", "x.host.conf.test. A", nxdomain!()),
    ("below a name that does not exist (RFC 8020)", "a.b.c.nobody.conf.test. A", nxdomain!()),
    ("another type of a name that exists", "host.conf.test. AAAA", nodata!()),
    ("another type at the apex", "conf.test. A", nodata!()),
    ("an SOA below the apex", "host.conf.test. SOA", nodata!()),
    (
        "an SOA TTL below MINIMUM is the negative TTL (RFC 2308, section 3)",
        "nobody.short.test. A",
        "NXDOMAIN aa\nNS short.test. 30 SOA ns.elsewhere.example. hostmaster.short.test. 1 3600 900 604800 86400",
    ),
    (
        "an SOA keeps its own TTL where it is asked for",
        "short.test. SOA",
        "NOERROR aa\nAN short.test. 30 SOA ns.elsewhere.example. hostmaster.short.test. 1 3600 900 604800 86400",
    ),
    ("an empty non-terminal exists", "down.below.conf.test. A", nodata!()),
    ("so does the one above it", "below.conf.test. TXT", nodata!()),
    ("an empty non-terminal with an underscore", "_tcp.conf.test. SRV", nodata!()),
    ("ANY at an empty non-terminal", "below.conf.test. ANY", nodata!()),
    ("beside an empty non-terminal is nothing", "x.below.conf.test. A", nxdomain!()),
    // Wildcards (RFC 4592).
    ("a wildcard stands for a name", "x.wild.conf.test. A", "NOERROR aa\nAN x.wild.conf.test. 3600 A 192.0.2.9"),
    ("for a name of several labels, too", "x.y.z.wild.conf.test. A", "NOERROR aa\nAN x.y.z.wild.conf.test. 3600 A 192.0.2.9"),
    (
        "a wildcard with additional records",
        "x.wild.conf.test. MX",
        "NOERROR aa\nAN x.wild.conf.test. 3600 MX 10 mail.conf.test.\nAR mail.conf.test. 3600 A 192.0.2.25\nAR mail.conf.test. 3600 AAAA 2001:db8::25",
    ),
    ("a wildcard that lacks the type is NODATA", "x.wild.conf.test. AAAA", nodata!()),
    ("a wildcard's own name is a name", "*.wild.conf.test. A", "NOERROR aa\nAN *.wild.conf.test. 3600 A 192.0.2.9"),
    ("a wildcard does not stand for its parent", "wild.conf.test. A", nodata!()),
    ("an existing name blocks it, also for types that it lacks", "exact.wild.conf.test. A", nodata!()),
    ("below an existing name nothing is made", "x.exact.wild.conf.test. A", nxdomain!()),
    ("an empty non-terminal blocks it", "b.wild.conf.test. A", nodata!()),
    ("below an empty non-terminal nothing is made", "x.b.wild.conf.test. A", nxdomain!()),
    ("below the wildcard's own name nothing is made", "x.*.wild.conf.test. A", nxdomain!()),
    ("a wildcard below a wildcard has a parent that is a name", "*.twostar.conf.test. A", nodata!()),
    ("only the asterisk's own children are made by a wildcard below it", "x.*.twostar.conf.test. A", "NOERROR aa\nAN x.*.twostar.conf.test. 3600 A 192.0.2.12"),
    ("an empty asterisk makes nothing but NODATA", "x.twostar.conf.test. A", nodata!()),
    ("an asterisk in the middle is a label like others", "sub.*.mid.conf.test. A", "NOERROR aa\nAN sub.*.mid.conf.test. 3600 A 192.0.2.13"),
    ("an asterisk in the middle makes no names", "sub.x.mid.conf.test. A", nodata!()),
    ("an asterisk inside a label is no wildcard", "a*.conf.test. A", nxdomain!()),
    ("a wildcard CNAME", "x.alias.conf.test. A", "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1\nAN x.alias.conf.test. 3600 CNAME host.conf.test."),
    ("a wildcard service", "x.any.svc.conf.test. AAAA", "NOERROR aa\nNS conf.test. 20 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300"),
    // CNAME chains.
    (
        "a chain inside the zone",
        "www2.conf.test. A",
        "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1\nAN www.conf.test. 3600 CNAME host.conf.test.\nAN www2.conf.test. 3600 CNAME www.conf.test.",
    ),
    ("asked for itself, a CNAME is not followed", "www2.conf.test. CNAME", "NOERROR aa\nAN www2.conf.test. 3600 CNAME www.conf.test."),
    ("a chain out of the zone ends there", "away.conf.test. A", "NOERROR aa\nAN away.conf.test. 3600 CNAME www.elsewhere.example."),
    (
        "a chain to a name that does not exist is NXDOMAIN with SOA (RFC 6604)",
        "lost.conf.test. A",
        "NXDOMAIN aa\nAN lost.conf.test. 3600 CNAME nobody.conf.test.\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    (
        "a chain to a name without the type is NODATA with SOA (RFC 2308, section 2.2)",
        "www.conf.test. AAAA",
        "NOERROR aa\nAN www.conf.test. 3600 CNAME host.conf.test.\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    (
        "a chain to an empty non-terminal is NODATA",
        "void.conf.test. A",
        "NOERROR aa\nAN void.conf.test. 3600 CNAME below.conf.test.\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    (
        "a chain below a cut ends in a referral, and AA is the first name's",
        "down.conf.test. A",
        "NOERROR aa\nAN down.conf.test. 3600 CNAME x.cut.conf.test.\nNS cut.conf.test. 600 NS ns.cut.conf.test.\nNS cut.conf.test. 600 NS ns.nocut.conf.test.\nNS cut.conf.test. 600 NS ns2.elsewhere.example.\nAR ns.cut.conf.test. 3600 A 198.51.100.53\nAR ns.nocut.conf.test. 3600 AAAA 2001:db8:2::53",
    ),
    (
        "a chain into another zone of ours goes on there",
        "across.conf.test. A",
        "NOERROR aa\nAN across.conf.test. 3600 CNAME www.child.conf.test.\nAN www.child.conf.test. 600 A 192.0.2.78",
    ),
    ("and back", "up.child.conf.test. A", "NOERROR aa\nAN host.conf.test. 3600 A 192.0.2.1\nAN up.child.conf.test. 600 CNAME host.conf.test."),
    (
        "the SOA is that of the zone where the chain ends",
        "upper.child.conf.test. A",
        "NXDOMAIN aa\nAN upper.child.conf.test. 600 CNAME nobody.conf.test.\nNS conf.test. 300 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    ("a loop ends", "loop1.conf.test. A", "NOERROR aa\nAN loop1.conf.test. 3600 CNAME loop2.conf.test.\nAN loop2.conf.test. 3600 CNAME loop1.conf.test."),
    ("a loop of one ends", "self.conf.test. A", "NOERROR aa\nAN self.conf.test. 3600 CNAME self.conf.test."),
    ("a chain to a wildcard", "towild.conf.test. A", "NOERROR aa\nAN q.wild.conf.test. 3600 A 192.0.2.9\nAN towild.conf.test. 3600 CNAME q.wild.conf.test."),
    // Delegations.
    ("a cut's own name is a referral with glue, without AA", "cut.conf.test. A", CUT),
    ("NS at a cut is a referral, too", "cut.conf.test. NS", CUT),
    ("below a cut is a referral", "a.b.cut.conf.test. TXT", CUT),
    ("glue is not answered", "ns.cut.conf.test. A", CUT),
    ("what stands below a cut is not answered", "hidden.cut.conf.test. TXT", CUT),
    ("a wildcard below a cut makes nothing", "any.cut.conf.test. TXT", CUT),
    ("ANY at a cut is a referral", "cut.conf.test. ANY", CUT),
    ("SOA at a cut is a referral", "cut.conf.test. SOA", CUT),
    (
        "DS at a cut is the parent's (RFC 4035, section 3.1.4.1)",
        "cut.conf.test. DS",
        "NOERROR aa\nAN cut.conf.test. 600 DS 30390d0249fd46e6c4b45c55d4ac69cbd3cd34ac1afe51de8deb5a2ec4a2c9d5e3e1d6a3",
    ),
    ("no DS at a cut is the parent's NODATA", "nocut.conf.test. DS", nodata!()),
    ("DS below a cut is a referral", "x.cut.conf.test. DS", CUT),
    ("a cut with servers elsewhere has no glue", "bare.conf.test. A", "NOERROR\nNS bare.conf.test. 3600 NS ns.elsewhere.example."),
    (
        "a cut with a server of the parent has its addresses",
        "x.under.ent.cut2.conf.test. A",
        "NOERROR\nNS under.ent.cut2.conf.test. 3600 NS ns1.conf.test.\nAR ns1.conf.test. 3600 A 192.0.2.53\nAR ns1.conf.test. 3600 AAAA 2001:db8::53",
    ),
    ("above a cut is an empty non-terminal", "ent.cut2.conf.test. A", nodata!()),
    (
        "DS of a child zone of ours is the parent's",
        "child.conf.test. DS",
        "NOERROR aa\nAN child.conf.test. 3600 DS d4310d0249fd46e6c4b45c55d4ac69cbd3cd34ac1afe51de8deb5a2ec4a2c9d5e3e1d6a4",
    ),
    (
        "anything else at its apex is the child's",
        "child.conf.test. SOA",
        "NOERROR aa\nAN child.conf.test. 600 SOA ns.child.conf.test. hostmaster.conf.test. 7 3600 900 604800 120",
    ),
    (
        "NS of a child zone of ours is an answer",
        "child.conf.test. NS",
        "NOERROR aa\nAN child.conf.test. 600 NS ns.child.conf.test.\nAR ns.child.conf.test. 600 A 192.0.2.77",
    ),
    (
        "negative answers of a child zone have its SOA",
        "nobody.child.conf.test. A",
        "NXDOMAIN aa\nNS child.conf.test. 120 SOA ns.child.conf.test. hostmaster.conf.test. 7 3600 900 604800 120",
    ),
    ("DS at an apex whose parent is not ours is the zone's NODATA", "conf.test. DS", nodata!()),
    // ANY (RFC 8482).
    ("ANY is small", "host.conf.test. ANY", "NOERROR aa\nAN host.conf.test. 3600 HINFO \"RFC8482\" \"\""),
    ("ANY at a large set is small", "large.conf.test. ANY", "NOERROR aa\nAN large.conf.test. 3600 HINFO \"RFC8482\" \"\""),
    ("ANY at a wildcard", "x.wild.conf.test. ANY", "NOERROR aa\nAN x.wild.conf.test. 3600 HINFO \"RFC8482\" \"\""),
    ("ANY at a CNAME is the CNAME", "www.conf.test. ANY", "NOERROR aa\nAN www.conf.test. 3600 CNAME host.conf.test."),
    ("ANY at a service", "v4.svc.conf.test. ANY", "NOERROR aa\nAN v4.svc.conf.test. 3600 HINFO \"RFC8482\" \"\""),
    ("ANY at a name that does not exist", "nobody.conf.test. ANY", nxdomain!()),
    // Services.
    ("a service's addresses", "v4.svc.conf.test. A", "NOERROR aa\nAN v4.svc.conf.test. 20 A 203.0.113.1\nAN v4.svc.conf.test. 20 A 203.0.113.2"),
    ("a service by its wildcard", "x.any.svc.conf.test. A", "NOERROR aa\nAN x.any.svc.conf.test. 20 A 203.0.113.1\nAN x.any.svc.conf.test. 20 A 203.0.113.2"),
    ("a service in both families", "both.svc.conf.test. AAAA", "NOERROR aa\nAN both.svc.conf.test. 45 AAAA 2001:db8:3::3"),
    (
        "a service at the end of a chain",
        "tosvc.conf.test. A",
        "NOERROR aa\nAN tosvc.conf.test. 3600 CNAME v4.svc.conf.test.\nAN v4.svc.conf.test. 20 A 203.0.113.1\nAN v4.svc.conf.test. 20 A 203.0.113.2",
    ),
    (
        "the family that it lacks is NODATA that lives no longer than its answers",
        "v4.svc.conf.test. AAAA",
        "NOERROR aa\nNS conf.test. 20 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    ("that TTL is never longer than the zone's", "slow.svc.conf.test. AAAA", nodata!()),
    (
        "another type of a service is NODATA",
        "both.svc.conf.test. TXT",
        "NOERROR aa\nNS conf.test. 45 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
    ("a service with static records beside it answers by its policy", "web.conf.test. A", "NOERROR aa\nAN web.conf.test. 30 A 203.0.113.3"),
    ("above services is an empty non-terminal", "svc.conf.test. A", nodata!()),
    ("a name beside services does not exist", "nobody.svc.conf.test. A", nxdomain!()),
    ("a service with nothing left fails", "gone.svc.conf.test. A", "SERVFAIL"),
    (
        "a service with nothing left may say NODATA, for a short while",
        "void.svc.conf.test. A",
        "NOERROR aa\nNS conf.test. 5 SOA ns1.conf.test. Hostmaster.conf.test. 2026112101 3600 900 604800 300",
    ),
];

const CHECKS: &[Check] = &[
    ("owner names have the case of the question, bit for bit", |lab| {
        for name in ["HOST.conf.TEST.", "hOsT.CoNf.tEsT.", "host.CONF.test."] {
            let response = lab.ask(&Query::new(name, 1));
            assert_eq!(name_text(&response.sections[0][0].owner), name);
        }
    }),
    ("names are found whatever their case in the zone", |lab| {
        assert_eq!(lab.text("mixed.conf.test. TXT"), "NOERROR aa\nAN mixed.conf.test. 3600 TXT \"mixed\"")
    }),
    ("services are found whatever their case", |lab| assert_eq!(lab.ask(&Query::of("mIxEd.SVC.conf.test. A")).sections[0].len(), 2)),
    ("names made by a wildcard have the case of the question", |lab| {
        assert_eq!(name_text(&lab.ask(&Query::of("QuX.WiLd.conf.test. A")).sections[0][0].owner), "QuX.WiLd.conf.test.");
    }),
    ("case is a matter of ASCII letters alone", |lab| {
        // @ and `, [ and {, À and à differ by the bit that makes letters lower case.
        for (there, wrong) in [("@", "`"), ("[", "{"), ("\\192", "\\224")] {
            assert_eq!(lab.rcode(&Query::new(&format!("{wrong}.conf.test."), 1)), 3);
            assert_eq!(lab.rcode(&Query::new(&format!("{there}.conf.test."), 1)), 3);
        }
        assert_eq!(lab.rcode(&Query::of("HO\\083T.conf.test. A")), 0);
    }),
    ("labels hold any octet (RFC 2181, section 11)", |lab| {
        assert_eq!(lab.text("\\000\\255b\\.d.conf.test. TXT"), "NOERROR aa\nAN \\000\\255b\\.d.conf.test. 3600 TXT \"binary\"");
        assert_eq!(lab.text("\\000\\255B\\.D.conf.test. TXT"), "NOERROR aa\nAN \\000\\255B\\.D.conf.test. 3600 TXT \"binary\"");
        assert_eq!(lab.text("sp\\032ace.conf.test. TXT"), "NOERROR aa\nAN sp\\032ace.conf.test. 3600 TXT \"space\"");
    }),
    ("a dot inside a label is not a dot between labels", |lab| assert_eq!(lab.rcode(&Query::of("host\\.conf.test. A")), 5)),
    ("a chain is bounded, and what is given is true", |lab| {
        let response = lab.ask(&Query::of("c0.conf.test. A"));
        let links = response.sections[0].len();
        assert!((8..=20).contains(&links), "{links} links");
        assert!(response.sections[1].is_empty());
        let mut name = b"\x02c0\x04conf\x04test\0".to_vec();
        for record in &response.sections[0] {
            assert_eq!(record.owner, name);
            name.clone_from(&record.rdata);
        }
    }),
    ("the rest of a long chain is found by asking on", |lab| assert!(lab.text("c25.conf.test. A").contains("AN c30.conf.test. 60 A 192.0.2.30"))),
    ("a loop through a wildcard ends", |lab| {
        let response = lab.ask(&Query::of("wildloop.conf.test. A"));
        assert!((2..=20).contains(&response.sections[0].len()), "{}", response.text());
    }),
    ("the same over TCP as over UDP, for every row", |lab| {
        for (sentence, question, expected) in ROWS {
            assert_eq!(lab.ask_tcp(&Query::of(question)).text(), *expected, "{sentence}");
        }
    }),
    ("the same with EDNS and DO as without, for every row", |lab| {
        for (sentence, question, expected) in ROWS {
            assert_eq!(lab.ask(&Query::of(question).dnssec(1232)).text(), *expected, "{sentence}");
        }
    }),
    ("the same with other letters, for every row", |lab| {
        for (sentence, question, expected) in ROWS {
            let mut query = Query::of(question).octets();
            let end = query.len() - 4;
            query[12..end].make_ascii_uppercase();
            assert_eq!(lower(&lab.ask_octets(&query).text()), lower(expected), "{sentence}");
        }
    }),
    ("ANY never has more than 512 octets, over TCP neither", |lab| {
        for name in ["conf.test.", "large.conf.test.", "many.conf.test.", "host.conf.test.", "crowd.svc.conf.test."] {
            assert!(lab.ask(&Query::new(name, 255).edns(4096)).octets.len() <= 512, "{name}");
        }
        assert!(lab.ask_tcp(&Query::of("large.conf.test. ANY")).octets.len() <= 512);
    }),
    ("a referral lacks no glue over TCP", |lab| assert_eq!(lab.ask_tcp(&Query::of("x.fat.conf.test. A")).sections[2].len(), 24)),
    ("an answer of a service never has more than max_answers", |lab| {
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let response = lab.ask(&Query::of("crowd.svc.conf.test. A"));
            assert_eq!(response.sections[0].len(), 4);
            seen.extend(response.sections[0].iter().map(|record| record.rdata.clone()));
        }
        assert_eq!(seen.len(), 10, "all take turns");
    }),
    ("addresses of a service take turns to be first", |lab| {
        let first: BTreeSet<_> = (0..20).map(|_| lab.ask(&Query::of("v4.svc.conf.test. A")).sections[0][0].rdata.clone()).collect();
        assert_eq!(first.len(), 2);
    }),
    ("names of negative answers are compressed to the question", |lab| {
        // Header, question, pointer, fixed part, two names with a label each and a pointer, numbers.
        let response = lab.ask(&Query::of("nobody.conf.test. A"));
        assert_eq!(response.octets.len(), 12 + 22 + 2 + 10 + (4 + 2) + (11 + 2) + 20);
    }),
];

/// In lower case, lines in an order that does not depend on case.
fn lower(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.to_ascii_lowercase().lines().map(str::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn static_data_wildcards_chains_cuts_and_services() {
    prove(ROWS, CHECKS);
}
