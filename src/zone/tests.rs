//! Zones from text to sets, as tables: what is read, and every problem with its place.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Lines 1 to 4 of most zones here.
const HEAD: &str = "$TTL 1h\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 192.0.2.53\n";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn load_files(files: &[(&str, &str)]) -> Loaded {
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let mut read = |path: &Path| files.get(path.to_str().unwrap()).map(|text| text.to_string()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    load(&name("example.com"), Path::new("zones/z"), &mut read)
}

/// The zone of [`HEAD`] and `more`.
fn zone_of(more: &str) -> Zone {
    let loaded = load_files(&[("zones/z", &format!("{HEAD}{more}"))]);
    assert_eq!(loaded.problems, []);
    loaded.zone.unwrap()
}

fn set<'z>(zone: &'z Zone, owner: &str, rtype: u16) -> &'z RecordSet {
    zone.sets.iter().find(|set| set.owner == name(owner) && set.rtype == rtype).unwrap_or_else(|| panic!("no {owner} {rtype} in {:?}", zone.sets))
}

fn told(found: &[Problem]) -> Vec<(u32, u32, String)> {
    found.iter().map(|problem| (problem.line, problem.column, problem.message.clone())).collect()
}

/// `[length]label…` for expected rdata.
fn wire(text: &str) -> Vec<u8> {
    name(text).wire().to_vec()
}

#[test]
fn every_type_is_read_into_wire_form() {
    let cases: &[(&str, u16, Vec<u8>)] = &[
        ("A 192.0.2.1", 1, vec![192, 0, 2, 1]),
        ("NS ns1", 2, wire("ns1.example.com")),
        ("CNAME other.test.", 5, wire("other.test")),
        ("PTR a", 12, wire("a.example.com")),
        ("MX 10 mail", 15, [vec![0, 10], wire("mail.example.com")].concat()),
        ("TXT \"a b\" c\\;d \"\"", 16, b"\x03a b\x03c;d\x00".to_vec()),
        ("TXT \"gr\u{fc}n\"", 16, b"\x05gr\xc3\xbcn".to_vec()),
        ("TXT \"q\\\"\\\\\\065\"", 16, b"\x04q\"\\A".to_vec()),
        ("AAAA 2001:db8::1", 28, vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("SRV 1 2 443 a.test.", 33, [vec![0, 1, 0, 2, 1, 0xbb], wire("a.test")].concat()),
        ("NAPTR 100 10 \"S\" \"SIP+D2U\" \"\" _sip._udp", 35, [b"\x00\x64\x00\x0a\x01S\x07SIP+D2U\x00".to_vec(), wire("_sip._udp.example.com")].concat()),
        ("DS 12345 13 2 ( 0123456789abcdef0123456789abcdef\n 0123456789abcdef0123456789ABCDEF )", 43, {
            let digest = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4);
            [vec![0x30, 0x39, 13, 2], digest].concat()
        }),
        ("TLSA 3 1 1 0102 03", 52, vec![3, 1, 1, 1, 2, 3]),
        ("SVCB 1 svc.test. port=8443 alpn=h2", 64, [vec![0, 1], wire("svc.test"), vec![0, 1, 0, 3, 2, b'h', b'2', 0, 3, 0, 2, 0x20, 0xfb]].concat()),
        ("HTTPS 1 . alpn=\"h2\"", 65, vec![0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2']),
        ("CAA 0 issue \"ca.example.net\"", 257, b"\x00\x05issueca.example.net".to_vec()),
        ("TYPE65280 \\# 4 0a 0b0c0d", 65280, vec![10, 11, 12, 13]),
        ("TYPE65280 \\# 0", 65280, vec![]),
        ("A \\# 4 c0000202", 1, vec![192, 0, 2, 2]),
        ("TYPE1 192.0.2.3", 1, vec![192, 0, 2, 3]),
    ];
    for (text, rtype, expected) in cases {
        let extra = if *rtype == 43 { "x NS other.test.\n" } else { "" };
        let zone = zone_of(&format!("{extra}x {text}\n"));
        assert_eq!(set(&zone, "x.example.com", *rtype).rdata, [expected.clone().into_boxed_slice()], "{text}");
    }
}

#[test]
fn an_at_sign_alone_is_the_origin_in_data_too() {
    let zone = zone_of("c CNAME @\nm MX 10 @\ns SRV 1 2 3 @\nt TXT @ \"@\"\n$ORIGIN sub\nd CNAME @\nh HTTPS 1 @ alpn=h2 ; ü\n");
    assert_eq!(*set(&zone, "c.example.com", 5).rdata[0], wire("example.com"));
    assert_eq!(*set(&zone, "m.example.com", 15).rdata[0], [&[0, 10][..], &wire("example.com")].concat());
    assert_eq!(*set(&zone, "s.example.com", 33).rdata[0], [&[0, 1, 0, 2, 0, 3][..], &wire("example.com")].concat());
    assert_eq!(*set(&zone, "t.example.com", 16).rdata[0], *b"\x01@\x01@");
    assert_eq!(*set(&zone, "d.sub.example.com", 5).rdata[0], wire("sub.example.com"));
    assert_eq!(*set(&zone, "h.sub.example.com", 65).rdata[0], [&[0, 1][..], &wire("sub.example.com"), &[0, 1, 0, 3, 2], b"h2"].concat());
    let soa = load_files(&[("zones/z", "$TTL 1h\n@ SOA @ host (1 1h 15m ; ü\n 1w 5m)\n@ NS @\n@ A 192.0.2.53\n")]).zone.unwrap();
    assert!(set(&soa, "example.com", 6).rdata[0].starts_with(&wire("example.com")));
    assert_eq!(*set(&soa, "example.com", 2).rdata[0], wire("example.com"));
}

#[test]
fn the_soa_takes_units_and_parentheses() {
    let zone = zone_of("");
    let soa = set(&zone, "example.com", 6);
    assert_eq!(soa.ttl, 3600);
    assert_eq!(zone.serial(), 1);
    let numbers: Vec<u32> = soa.rdata[0][soa.rdata[0].len() - 20..].chunks(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect();
    assert_eq!(numbers, [1, 3600, 900, 604_800, 300]);
}

#[test]
fn owners_ttls_and_origins_are_inherited() {
    let zone = zone_of(concat!(
        "a 1h30m IN A 192.0.2.1\n",
        "  IN 5M AAAA 2001:db8::1\n",
        "$ORIGIN sub\n@ A 192.0.2.2\nb CNAME a\n$TTL 2\nc.example.com. TXT x\n",
        "*.d 1w2d A 192.0.2.3\n\tTXT y\n",
        "e\\.f A 192.0.2.4\n\\101 A 192.0.2.5\n",
    ));
    assert_eq!(set(&zone, "a.example.com", 1).ttl, 5400);
    assert_eq!(set(&zone, "a.example.com", 28).ttl, 300);
    assert_eq!(set(&zone, "sub.example.com", 1).ttl, 3600);
    assert_eq!(set(&zone, "b.sub.example.com", 5).rdata, [wire("a.sub.example.com").into_boxed_slice()]);
    assert_eq!(set(&zone, "c.example.com", 16).ttl, 2);
    assert_eq!(set(&zone, "*.d.sub.example.com", 1).ttl, 9 * 86_400);
    assert_eq!(set(&zone, "*.d.sub.example.com", 16).ttl, 2);
    set(&zone, "e\\.f.sub.example.com", 1);
    set(&zone, "e.sub.example.com", 1);
}

#[test]
fn a_record_without_ttl_takes_the_default_then_the_last_then_the_soa_minimum() {
    let soa = "@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\n";
    let loaded = load_files(&[("zones/z", &format!("{soa}ns1 A 192.0.2.1\na 7 A 192.0.2.2\nb A 192.0.2.3\n"))]);
    let zone = loaded.zone.unwrap();
    assert_eq!(set(&zone, "ns1.example.com", 1).ttl, 300);
    assert_eq!(set(&zone, "b.example.com", 1).ttl, 7);
    let loaded = load_files(&[("zones/z", &format!("a A 192.0.2.2\n{soa}ns1 A 192.0.2.1\n"))]);
    assert_eq!(told(&loaded.problems), [(1, 1, "no TTL, and none to inherit".to_string())]);
}

#[test]
fn includes_are_relative_and_leave_origin_and_owner_alone() {
    let main = format!("{HEAD}a A 192.0.2.1\n$INCLUDE more/hosts sub\n  TXT mine\nb A 192.0.2.2\n");
    let loaded =
        load_files(&[("zones/z", &main), ("zones/more/hosts", "x A 192.0.2.3\n$ORIGIN y\n$INCLUDE \"deep\"\n"), ("zones/more/deep", "z A 192.0.2.4\n")]);
    assert_eq!(loaded.problems, []);
    let zone = loaded.zone.unwrap();
    set(&zone, "x.sub.example.com", 1);
    set(&zone, "z.y.sub.example.com", 1);
    set(&zone, "a.example.com", 16);
    set(&zone, "b.example.com", 1);
    assert_eq!(loaded.files.iter().map(|file| file.to_str().unwrap()).collect::<Vec<_>>(), ["zones/z", "zones/more/hosts", "zones/more/deep"]);
    let at = zone.sets.iter().position(|set| set.owner == name("z.y.sub.example.com")).unwrap();
    assert_eq!(loaded.places[at], Place { file: 2, line: 1, column: 1 });
}

#[test]
fn every_mistake_is_told_with_its_place_and_none_hides_another() {
    let cases: &[(&str, u32, u32, &str)] = &[
        ("x A 192.0.2.300", 5, 5, "A: expected IPv4 address"),
        ("x   AAAA   192.0.2.1", 5, 12, "AAAA: "),
        ("x A 192.0.2.1 192.0.2.2", 5, 15, "A: more data than the type has"),
        ("x MX ten mail", 5, 6, "MX: "),
        ("x MX 10", 5, 6, "MX: the record ends too early"),
        ("x MX 70000 mail", 5, 6, "MX: "),
        ("x TXT", 5, 3, "TXT without data"),
        ("x TXT ( \"a\"\n 192.0.2.1\n", 5, 7, "`(` is never closed"),
        ("x TXT \"abc", 5, 7, "quoted text has no end on its line"),
        ("x A 192.0.2.1 )", 5, 15, "`)` without a `(` before it"),
        ("x AA 192.0.2.1", 5, 3, "`AA` is not a record type"),
        ("x 1x A 192.0.2.1", 5, 3, "`1x` is not a TTL"),
        ("x 2147483648 A 192.0.2.1", 5, 3, "`2147483648` is not a TTL"),
        ("x CH TXT a", 5, 3, "class CH is not served"),
        ("x 60", 5, 3, "the line ends before the record's type"),
        ("x ANY a", 5, 3, "ANY is not a type of records in a zone"),
        ("x DNAME other.test.", 5, 3, "DNAME is not supported yet"),
        ("x..y A 192.0.2.1", 5, 1, "`x..y` has an empty label"),
        ("x CNAME a..b", 5, 9, "CNAME: not a domain name"),
        ("x MX 10 .a", 5, 9, "MX: not a domain name"),
        ("x SRV 1 2 3 a..b.", 5, 13, "SRV: not a domain name"),
        ("other.test. A 192.0.2.1", 5, 1, "`other.test` is not in the zone `example.com`"),
        ("$GENERATE 1-9 a$ A 192.0.2.$", 5, 1, "$GENERATE is not supported"),
        ("$INCLUD x", 5, 1, "unknown directive `$INCLUD`"),
        ("$TTL", 5, 1, "$TTL takes one time"),
        ("$TTL x", 5, 6, "`x` is not a TTL"),
        ("$ORIGIN a b", 5, 1, "$ORIGIN takes one name"),
        ("$INCLUDE nowhere", 5, 10, "`zones/nowhere` can't be read: "),
        ("$INCLUDE z", 5, 10, "this file includes itself"),
        ("x TYPE65280 \\# 3 0a0b", 5, 18, "TYPE65280: generic data has incorrect length"),
        ("x TYPE65280 abc", 5, 13, "TYPE65280: the data of this type is not known"),
        ("x A \\# 3 0a0b0c", 5, 5, "A: the octets are not data of this type"),
        ("x MX \\# 4 000ac000", 5, 6, "MX: the octets are not data of this type"),
        ("@ SOA ns1 host 2 1h 15m 1w 5m", 2, 1, "2 SOA records at `example.com`; a zone has one"),
        ("x SOA ns1 host 2 1h 15m 1w 5m", 5, 1, "a SOA at `x.example.com`, which is not the zone's apex"),
        ("x SOA ns1 host 2 1h oops 1w 5m", 5, 21, "SOA: `oops` is not a time, for retry"),
        ("x SOA ns1 host y 1h 15m 1w 5m", 5, 16, "SOA: "),
        ("x SOA ns1 host 1 1h 15m 1w", 5, 25, "SOA: the record ends too early"),
        ("x CNAME a\nx TXT b", 5, 1, "`x.example.com` has a CNAME and other data: TXT at zones/z:6:1"),
        ("x CNAME a\nx CNAME b", 5, 1, "`x.example.com` has 2 CNAME records"),
        ("@ CNAME a", 5, 1, "`example.com` has a CNAME and other data: NS at zones/z:3:1"),
        ("@ NS ns9", 3, 1, "name server `ns9.example.com` of `example.com` has no address in this zone"),
        ("x NS ns.x", 5, 1, "name server `ns.x.example.com` of `x.example.com` has no address in this zone"),
        ("x NS alias\nalias CNAME b.test.", 5, 1, "name server `alias.example.com` of `x.example.com` is a CNAME"),
    ];
    let mut wrong = String::new();
    for (text, line, column, message) in cases {
        let text = format!("{HEAD}{text}\n");
        let loaded = load_files(&[("zones/z", &text)]);
        let found = told(&loaded.problems);
        if !matches!(&found[..], [(l, c, m)] if (l, c) == (line, column) && m.starts_with(message)) {
            wrong.push_str(&format!("{text}expected {line}:{column} {message}\nfound {found:?}\n\n"));
        }
        assert!(loaded.problems.iter().all(|problem| !problem.excerpt.is_empty()), "{:?}", loaded.problems);
        // The same mistake between good lines, and a second one after it.
        let both = format!("{text}good A 192.0.2.1\nbad A 1.2.3\n");
        let found = told(&load_files(&[("zones/z", &both)]).problems);
        assert!(found.iter().any(|(_, _, m)| m.starts_with("A: ")), "{both}\n{found:?}");
    }
    assert_eq!(wrong, "");
}

#[test]
fn a_zone_needs_soa_ns_and_a_readable_file() {
    let found = |text: &str| load_files(&[("zones/z", text)]).problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>();
    assert_eq!(found("$TTL 1\na A 192.0.2.1\n"), ["zone `example.com` has no SOA record", "zone `example.com` has no NS record at its apex"]);
    assert_eq!(found(""), ["zone `example.com` has no SOA record", "zone `example.com` has no NS record at its apex"]);
    assert_eq!(found("  A 192.0.2.1\n"), ["no owner name, and no record above lends one"]);
    let missing = load_files(&[]);
    assert!(missing.problems[0].message.starts_with("can't be read"), "{:?}", missing.problems);
    assert_eq!(missing.problems[0].line, 0);
}

#[test]
fn an_owner_that_cannot_be_read_lends_nothing() {
    let found = told(&load_files(&[("zones/z", &format!("{HEAD}x A 192.0.2.1\ny..z A 192.0.2.2\n  TXT whose\n"))]).problems);
    assert_eq!(found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [6, 7]);
}

#[test]
fn what_is_odd_is_a_warning_with_its_place() {
    let cases: &[(&str, u32, &str)] = &[
        ("x A 192.0.2.1\nx A 192.0.2.1", 6, "`x.example.com` A stands twice; the first is at zones/z:5:1"),
        ("x NS a.test.\nx NS A.test.", 6, "`x.example.com` NS stands twice"),
        ("x 60 A 192.0.2.1\nx 30 A 192.0.2.2", 6, "`x.example.com` A has TTL 30 here and 60 above; the lowest is used"),
        ("x NS a.test.\ny.x A 192.0.2.1", 6, "`y.x.example.com` A is never answered: `x.example.com` is delegated"),
        ("x NS a.test.\nx TXT a", 6, "`x.example.com` TXT is never answered"),
        ("x NS ns.y\ny NS ns.y\nns.y A 192.0.2.1\nz NS b.y", 8, "name server `b.y.example.com` of `z.example.com` has no address"),
        ("*.x NS a.test.", 5, "`*.x.example.com` delegates a wildcard"),
        ("x DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 5, "`x.example.com` has a DS and no NS"),
        ("x MX 10 c\nc CNAME d.test.", 5, "MX of `x.example.com` names `c.example.com`, which is a CNAME"),
    ];
    for (text, line, message) in cases {
        let loaded = load_files(&[("zones/z", &format!("{HEAD}{text}\n"))]);
        assert_eq!(loaded.problems, [], "{text}");
        let found = told(&loaded.warnings);
        assert!(matches!(&found[..], [(l, _, m)] if l == line && m.starts_with(message)), "{text}\nexpected {line} {message}\nfound {found:?}");
    }
}

#[test]
fn the_lowest_ttl_of_a_set_is_used_and_duplicates_are_dropped() {
    let zone = zone_of("x 60 A 192.0.2.1\nx 30 A 192.0.2.2\nx 90 A 192.0.2.1\n");
    let set = set(&zone, "x.example.com", 1);
    assert_eq!((set.ttl, set.rdata.len()), (30, 2));
}

#[test]
fn sets_are_ordered_the_apex_first() {
    let zone = zone_of("b TXT x\na.b TXT x\n@ TXT x\n");
    let order: Vec<(String, u16)> = zone.sets.iter().map(|set| (set.owner.to_string(), set.rtype)).collect();
    assert_eq!(order[..3], [("example.com".to_string(), 2), ("example.com".to_string(), 6), ("example.com".to_string(), 16)]);
    assert!(order[3..].iter().all(|(owner, _)| owner != "example.com"));
}

#[test]
fn the_shipped_zone_loads_without_a_warning() {
    let text = include_str!("../../zones/api.example.com.zone");
    let loaded = load(&name("api.example.com"), Path::new("z"), &mut |_: &Path| Ok(text.to_string()));
    assert_eq!((loaded.problems, loaded.warnings), (vec![], vec![]));
    assert_eq!(loaded.zone.unwrap().sets.len(), loaded.places.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_zones_never_panic(cut in 0_usize..2000, at in 0_usize..2000, what in "[ \\t\\n();\"\\\\$@.*0-9a-zA-Zü#\\-]{0,6}", skip in 0_usize..40) {
        let text = include_str!("../../zones/api.example.com.zone");
        let near = |mut at: usize| { at = at.min(text.len()); while !text.is_char_boundary(at) { at -= 1 } at };
        let (from, to) = (near(at), near(at.saturating_add(skip)));
        let mutated = format!("{}{what}{}", &text[..from], &text[to..]);
        let end = { let mut end = mutated.len().saturating_sub(cut % 700); while !mutated.is_char_boundary(end) { end -= 1 } end };
        let loaded = load(&name("api.example.com"), Path::new("z"), &mut |_: &Path| Ok(mutated[..end].to_string()));
        prop_assert!(loaded.zone.is_some() || !loaded.problems.is_empty());
    }

    #[test]
    fn any_text_is_zone_or_problems(text in "(([a-z@*$ \\t]{0,5}|[0-9]{1,3}[mhdwx]?|IN|A|TXT|MX|SOA|NS|HTTPS|CAA|NAPTR|TLSA|DS|SVCB|LOC|NSEC3|\\\\#|\\(|\\)|\"|;|\\\\|ü|1\\.2\\.3\\.4|::1|alpn=h2|key1=\"a\")[ \\n]?){0,40}") {
        let loaded = load(&name("example.com"), Path::new("z"), &mut |path: &Path| if path == Path::new("z") { Ok(text.clone()) } else { Err(io::ErrorKind::NotFound.into()) });
        prop_assert!(loaded.zone.is_some() || !loaded.problems.is_empty());
    }
}
