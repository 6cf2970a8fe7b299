//! Services: what a compiled decision answers.

use super::*;
use crate::model::ServiceId;
use crate::policy::{Decision, FamilyDecision, Note, Verdict};

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    ns.example 3600 A 192.0.2.53
    example 300 TXT apex
    orders.example 300 TXT beside
    alias.example 300 CNAME orders.example
    far.example 300 CNAME x.tenants.example
    blocked.tenants.example 300 TXT here
    sub.example 600 NS ns.sub.test";

const SOA_30: &str = "NS example. 30 SOA ns.example. h.example. 1 2 3 4 60";

fn world() -> World {
    World::new(&[("example", ZONE)])
        .service(&["orders.example", "portal.example"], 30, 8, &[("prod", 1.0, &[("192.0.2.10", 1), ("192.0.2.11", 1)])])
        .service(&["*.tenants.example", "deep.er.tenants.example"], 90, 8, &[("prod", 1.0, &[("192.0.2.20", 1), ("2001:db8::20", 1)])])
        .service(&["example"], 30, 8, &[("prod", 1.0, &[("192.0.2.1", 1)])])
}

/// Lines sorted: rotation may begin anywhere.
fn sorted(text: String) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().skip(2).map(String::from).collect();
    lines.sort();
    lines
}

#[test]
fn all_addresses_in_any_rotation() {
    let mut world = world();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let text = world.ask("ORDERS.example", 1);
        assert!(text.starts_with("NOERROR aa rd\n? ORDERS.example. A\n"));
        seen.insert(text.lines().skip(2).map(String::from).collect::<Vec<_>>());
    }
    let (a, b) = ("AN ORDERS.example. 30 A 192.0.2.10".to_string(), "AN ORDERS.example. 30 A 192.0.2.11".to_string());
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec![a.clone(), b.clone()], vec![b, a]]);
}

#[test]
fn a_service_answer_is_exact() {
    let response = world().handle(&query("example", 1), udp()).unwrap();
    let expected = [
        &b"\xab\xcd\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x00\x00\x01\x00\x01"[..],
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02\x01",
    ];
    assert_eq!(response, expected.concat());
}

#[test]
fn other_types_are_nodata_for_no_longer_than_the_services_ttl() {
    let mut world = world();
    assert_eq!(world.ask("portal.example", 16), format!("NOERROR aa rd\n? portal.example. TXT\n{SOA_30}"));
    assert_eq!(world.ask("portal.example", 28), format!("NOERROR aa rd\n? portal.example. AAAA\n{SOA_30}"));
    assert_eq!(world.ask("x.tenants.example", 16), "NOERROR aa rd\n? x.tenants.example. TXT\nNS example. 60 SOA ns.example. h.example. 1 2 3 4 60");
    assert_eq!(world.ask("portal.example", 255), "NOERROR aa rd\n? portal.example. TYPE255\nAN portal.example. 3600 HINFO \"RFC8482\" \"\"");
}

#[test]
fn static_records_stand_beside_a_service() {
    let mut world = world();
    assert_eq!(world.ask("orders.example", 16), "NOERROR aa rd\n? orders.example. TXT\nAN orders.example. 300 TXT \"beside\"");
    assert_eq!(world.ask("orders.example", 15), format!("NOERROR aa rd\n? orders.example. MX\n{SOA_30}"));
    assert_eq!(world.ask("example", 16), "NOERROR aa rd\n? example. TXT\nAN example. 300 TXT \"apex\"");
    assert_eq!(world.ask("example", 1), "NOERROR aa rd\n? example. A\nAN example. 30 A 192.0.2.1");
    assert_eq!(world.ask("example", 28), format!("NOERROR aa rd\n? example. AAAA\n{SOA_30}"));
}

#[test]
fn a_cname_leads_into_a_service() {
    let mut world = world();
    assert_eq!(
        sorted(world.ask("alias.example", 1)),
        ["AN alias.example. 300 CNAME orders.example.", "AN orders.example. 30 A 192.0.2.10", "AN orders.example. 30 A 192.0.2.11"]
    );
    assert_eq!(world.ask("alias.example", 28), format!("NOERROR aa rd\n? alias.example. AAAA\nAN alias.example. 300 CNAME orders.example.\n{SOA_30}"));
    assert_eq!(
        world.ask("far.example", 28),
        "NOERROR aa rd\n? far.example. AAAA\nAN far.example. 300 CNAME x.tenants.example.\nAN x.tenants.example. 90 AAAA 2001:db8::20"
    );
}

#[test]
fn wildcard_services_follow_rfc_4592() {
    let mut world = world();
    assert_eq!(world.ask("a.b.tenants.example", 1), "NOERROR aa rd\n? a.b.tenants.example. A\nAN a.b.tenants.example. 90 A 192.0.2.20");
    assert_eq!(world.ask("deep.er.tenants.example", 1), "NOERROR aa rd\n? deep.er.tenants.example. A\nAN deep.er.tenants.example. 90 A 192.0.2.20");
    for (name, rcode) in
        [("blocked.tenants.example", "NOERROR"), ("er.tenants.example", "NOERROR"), ("tenants.example", "NOERROR"), ("x.er.tenants.example", "NXDOMAIN")]
    {
        assert_eq!(world.ask(name, 1), format!("{rcode} aa rd\n? {name}. A\nNS example. 60 SOA ns.example. h.example. 1 2 3 4 60"));
    }
}

#[test]
fn names_that_no_zone_holds_are_left_out() {
    let mut world = world().service(&["x.sub.example", "elsewhere.test"], 30, 8, &[("prod", 1.0, &[("192.0.2.1", 1)])]);
    assert!(world.ask("x.sub.example", 1).contains("NS sub.example. 600 NS ns.sub.test."));
    assert!(world.ask("elsewhere.test", 1).starts_with("REFUSED"));
}

#[test]
fn a_decision_can_be_nodata_or_servfail_with_a_reason() {
    let mut world = world();
    let both = |verdict: Verdict| [(); 2].map(|()| FamilyDecision { verdict: verdict.clone(), leaves: Vec::new() });
    world.decide(ServiceId(0), Decision { families: both(Verdict::NoData), ttl: 5, ..Decision::default() });
    assert_eq!(world.ask("orders.example", 1), "NOERROR aa rd\n? orders.example. A\nNS example. 5 SOA ns.example. h.example. 1 2 3 4 60");
    let why = "é".repeat(150);
    world.decide(ServiceId(0), Decision { families: both(Verdict::ServFail(why.clone())), ttl: 5, ..Decision::default() });
    assert_eq!(world.ask("orders.example", 1), "SERVFAIL rd\n? orders.example. A");
    assert_eq!(world.ask("alias.example", 1), "SERVFAIL rd\n? alias.example. A");
    assert_eq!(world.text(&ask("orders.example", 1, Some((1232, &[])))), format!("SERVFAIL rd\n? orders.example. A\nOPT 1232 ede=0:{}", &why[..200]));
}

#[test]
fn a_note_goes_along_as_an_extended_error_if_the_client_speaks_edns_and_there_is_room() {
    let mut world = world().service(&["s.example"], 30, 8, &[("prod", 1.0, &[("192.0.2.10", 1), ("2001:db8::1", 1)])]);
    let decision = world.decision(30, &[("prod", 1.0, &[("192.0.2.10", 1), ("2001:db8::1", 1)])]);
    let id = ServiceId(3);
    for (note, code) in [(Note::LastGood, 3), (Note::LastResort, 0), (Note::Unconfirmed, 3), (Note::HeldUsed, 0), (Note::Waiting, 0)] {
        world.decide(id, Decision { notes: [Some(note), None], ..decision.clone() });
        let told = world.text(&ask("s.example", 1, Some((1232, &[]))));
        assert!(told.contains("AN s.example. 30 A 192.0.2.10") && told.ends_with(&format!("OPT 1232 ede={code}:{}", note.text())), "{told}");
        assert!(!world.ask("s.example", 1).contains("ede"), "no OPT for no OPT");
        assert!(!world.text(&ask("s.example", 28, Some((1232, &[])))).contains("ede"), "the other family has none");
    }
}

#[test]
fn a_leaf_without_addresses_of_the_family_is_nodata() {
    let mut world = World::new(&[("example", ZONE)]).service(&["s.example"], 30, 8, &[("prod", 0.5, &[("192.0.2.10", 1)]), ("dr", 0.5, &[("2001:db8::1", 1)])]);
    let mut nodata = 0;
    for _ in 0..100 {
        nodata += usize::from(world.ask("s.example", 1).contains(SOA_30));
    }
    assert!((48..=52).contains(&nodata), "{nodata}");
}

#[test]
fn the_same_address_twice_is_answered_once() {
    let mut world =
        World::new(&[("example", ZONE)]).service(&["s.example"], 30, 8, &[("prod", 1.0, &[("192.0.2.10", 1), ("192.0.2.10", 1), ("192.0.2.11", 1)])]);
    assert_eq!(sorted(world.ask("s.example", 1)), ["AN s.example. 30 A 192.0.2.10", "AN s.example. 30 A 192.0.2.11"]);
}

#[test]
fn publishing_one_decision_leaves_the_others_alone() {
    let mut world = World::new(&[("example", ZONE)]);
    for at in 0..600 {
        world = world.service(&[&format!("s{at}.example")], 30, 8, &[("prod", 1.0, &[("192.0.2.10", 1)])]);
    }
    let before = world.snapshot.clone();
    let decision = world.decision(30, &[("dr", 1.0, &[("198.51.100.1", 1)])]);
    world.decide(ServiceId(300), decision);
    assert!(world.ask("s300.example", 1).ends_with("198.51.100.1"));
    for at in [0, 255, 256, 299, 301, 511, 512, 599] {
        assert!(world.ask(&format!("s{at}.example"), 1).ends_with("192.0.2.10"));
        let id = ServiceId(at);
        assert!(std::sync::Arc::ptr_eq(before.compiled(id).unwrap().body(), world.snapshot.compiled(id).unwrap().body()));
        assert!(std::sync::Arc::ptr_eq(before.compiled(ServiceId(0)).unwrap().body(), before.compiled(id).unwrap().body()), "equal decisions share a body");
    }
    assert_eq!(before.generation + 1, world.snapshot.generation);
}
