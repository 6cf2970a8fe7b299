//! Services that answer with a CNAME.

use super::world::Part;
use super::*;

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    ns.example 3600 A 192.0.2.53
    here.example 300 A 192.0.2.1
    alias.example 300 CNAME c.example
    hop.example 300 CNAME here.example
    sub.example 600 NS ns.sub.test";

fn world() -> World {
    World::new(&[("example", ZONE)])
        .service(&["c.example", "*.wild.example"], 30, 8, &[("saas", 1.0, &[("gw.vendor.test", 1)])])
        .service(&["own.example"], 30, 8, &[("saas", 1.0, &[("hop.example", 1)])])
        .service(&["gone.example"], 30, 8, &[("saas", 1.0, &[("nowhere.example", 1)])])
        .service(&["cut.example"], 30, 8, &[("saas", 1.0, &[("x.sub.example", 1)])])
        .service(&["loop.example"], 30, 8, &[("saas", 1.0, &[("loop.example", 1)])])
}

#[test]
fn one_cname_is_answered_whatever_is_asked_for() {
    let mut world = world();
    for qtype in [1, 28, 5, 16, 15, 257, 255, 65] {
        let text = world.ask("C.example", qtype);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NOERROR aa rd", "{qtype}");
        assert_eq!(lines[2..], ["AN C.example. 30 CNAME gw.vendor.test."], "{qtype}");
    }
    // What may stand beside a CNAME.
    assert!(world.ask("c.example", 47).contains("NS example. 30 SOA"));
    assert!(world.ask("a.b.wild.example", 28).ends_with("AN a.b.wild.example. 30 CNAME gw.vendor.test."));
}

#[test]
fn a_cname_answer_is_exact() {
    let response = world().handle(&query("c.example", 1), udp()).unwrap();
    let expected = [
        &b"\xab\xcd\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00\x01c\x07example\x00\x00\x01\x00\x01"[..],
        b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x1e\x00\x10\x02gw\x06vendor\x04test\x00",
    ];
    assert_eq!(response, expected.concat());
}

#[test]
fn a_target_in_our_own_zones_is_followed_as_static_aliases_are() {
    let mut world = world();
    let lines = |text: String| text.lines().skip(2).map(String::from).collect::<Vec<_>>();
    assert_eq!(
        lines(world.ask("own.example", 1)),
        ["AN own.example. 30 CNAME hop.example.", "AN hop.example. 300 CNAME here.example.", "AN here.example. 300 A 192.0.2.1"]
    );
    assert_eq!(lines(world.ask("alias.example", 1)), ["AN alias.example. 300 CNAME c.example.", "AN c.example. 30 CNAME gw.vendor.test."], "also from one");
    assert_eq!(lines(world.ask("own.example", 5)), ["AN own.example. 30 CNAME hop.example."], "not further than asked for");
    // RFC 6604, section 3: the end of the chain says the code.
    let gone = world.ask("gone.example", 1);
    assert!(gone.starts_with("NXDOMAIN aa rd\n") && gone.contains("AN gone.example. 30 CNAME nowhere.example."), "{gone}");
    let cut = world.ask("cut.example", 1);
    assert!(cut.starts_with("NOERROR aa rd\n") && cut.contains("NS sub.example. 600 NS ns.sub.test."), "{cut}");
    assert_eq!(lines(world.ask("loop.example", 1)), ["AN loop.example. 30 CNAME loop.example."], "refused in files; once is enough");
}

#[test]
fn names_are_chosen_by_share_and_then_by_weight() {
    let parts: [Part<'_>; 2] = [("saas", 0.75, &[("a.vendor.test", 1), ("b.vendor.test", 2)]), ("other", 0.25, &[("gw.other.test", 1)])];
    let mut world = World::new(&[("example", ZONE)]).service(&["c.example"], 30, 8, &parts);
    let mut counts = std::collections::BTreeMap::new();
    for round in 0..1200 {
        let text = world.ask("c.example", if round % 2 == 0 { 1 } else { 28 });
        *counts.entry(text.rsplit(' ').next().unwrap().trim().to_string()).or_insert(0) += 1;
    }
    for (name, expected) in [("a.vendor.test.", 300), ("b.vendor.test.", 600), ("gw.other.test.", 300)] {
        assert!((expected - 20..=expected + 20).contains(&counts[name]), "{counts:?}");
    }
}

#[test]
fn a_secondary_gets_the_name_that_is_answered_most() {
    let parts: [Part<'_>; 2] = [("saas", 0.25, &[("a.vendor.test", 1)]), ("other", 0.75, &[("b.other.test", 1), ("c.other.test", 3)])];
    let world = World::new(&[("example", ZONE)]).service(&["c.example"], 30, 8, &parts);
    let compiled = world.snapshot.compiled(crate::model::ServiceId(0)).unwrap();
    let records: Vec<_> = crate::snapshot::content::present(compiled).collect();
    assert_eq!(records, [(5, 30, &b"\x01c\x05other\x04test\x00"[..])]);
}
