//! Endpoints with host names: which families they are in, whose addresses answer, and how long.

use crate::health::State;
use crate::model::Family;
use crate::policy::testing::World;
use crate::policy::{Verdict, readdressed};

const ESTATE: &str = "thresholds down_after=1 ok_after=1 up_after=1
    pool saas: gw.vendor.example
    pool dr: 10.1.0.1 2001:db8:1::1
    service orders: failover saas dr ttl=30 ttl_min=5
    service alone: failover saas ttl=30 ttl_min=5";

fn world() -> World {
    World::new(ESTATE)
}

#[test]
fn a_name_answers_in_the_families_in_which_it_has_addresses() {
    let rows = [
        // found, what A is, what AAAA is; the pool is up
        ("198.51.100.1 198.51.100.2", "198.51.100.1 198.51.100.2", ""),
        ("2001:db8:9::1", "", "2001:db8:9::1"),
        ("198.51.100.1 2001:db8:9::1", "198.51.100.1", "2001:db8:9::1"),
    ];
    for (found, v4, v6) in rows {
        let mut world = world();
        world.resolves("gw.vendor.example", found, 600, None);
        let answers = Family::ALL.map(|family| world.addresses("orders", family));
        assert_eq!(answers, [v4, v6], "{found}");
        // S7: what has no address in a family gives NODATA there, and stays chosen.
        assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("saas 100".to_string(), "saas 100".to_string()), "{found}");
        assert_eq!(world.answers_v6("alone") == "nodata", v6.is_empty(), "{found}");
    }
}

#[test]
fn a_name_that_was_never_resolved_answers_nowhere_and_that_is_servfail_not_nodata() {
    let world = world();
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("dr 100".to_string(), "dr 100".to_string()));
    for family in Family::ALL {
        let decided = &world.decide("alone").families[family.index()];
        assert_eq!(decided.verdict, Verdict::ServFail("the host names of what may answer are not resolved yet".to_string()));
    }
    assert!(world.explain("alone").contains("gw.vendor.example is not resolved yet"), "{}", world.explain("alone"));
    let region = world.estate.region_named("saas").unwrap();
    assert_eq!(crate::policy::region_state(&world.facts(), region), crate::policy::RegionState::Down, "however well its probes go");
}

#[test]
fn a_name_whose_last_addresses_are_old_answers_with_them() {
    let mut world = world();
    world.resolves("gw.vendor.example", "198.51.100.1", 600, None);
    world.resolves("gw.vendor.example", "198.51.100.1", 600, Some("192.0.2.53 did not answer within 2s"));
    world.later(1_000_000);
    assert_eq!(world.addresses("orders", Family::V4), "198.51.100.1");
    assert!(world.explain("orders").contains("192.0.2.53 did not answer within 2s"), "{}", world.explain("orders"));
}

#[test]
fn a_name_is_judged_once_for_both_families() {
    let mut world = world();
    world.resolves("gw.vendor.example", "198.51.100.1 2001:db8:9::1", 600, None);
    world.down("saas");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("dr 100".to_string(), "dr 100".to_string()));
    assert_eq!(world.addresses("alone", Family::V6), "2001:db8:9::1", "all down: the last good");
}

#[test]
fn other_families_are_no_failure_that_would_hold_a_pool_back() {
    let mut world = world();
    world.resolves("gw.vendor.example", "198.51.100.1 2001:db8:9::1", 600, None);
    world.resolves("gw.vendor.example", "198.51.100.1", 600, None);
    assert_eq!((world.answers_v6("orders"), world.held("orders")), ("saas 100".to_string(), String::new()));
    world.resolves("gw.vendor.example", "2001:db8:9::2", 600, None);
    assert_eq!((world.addresses("orders", Family::V6), world.held("orders")), ("2001:db8:9::2".to_string(), String::new()));
}

#[test]
fn an_answer_lives_no_longer_than_the_record_that_it_is_made_of() {
    let mut world = world();
    let rows = [(600, 30), (30, 30), (12, 12), (5, 5), (1, 5)];
    for (record, ttl) in rows {
        world.resolves("gw.vendor.example", "198.51.100.1", record, None);
        assert_eq!(world.decide("orders").ttl, ttl, "of a record with {record}");
    }
    assert!(world.explain("orders").contains("ttl: 5 s: between ttl_min (5 s) and ttl (30 s), because the resolver keeps gw.vendor.example for 1 s"));
    world.down("saas");
    assert_eq!(world.decide("orders").ttl, 30, "no name answers");
}

#[test]
fn a_frozen_decision_follows_addresses_and_nothing_else() {
    let mut world = world();
    world.resolves("gw.vendor.example", "198.51.100.1", 600, None);
    let before = world.decide("orders");
    assert_eq!(readdressed(&before, &world.facts()), None);
    world.resolves("gw.vendor.example", "198.51.100.7 2001:db8:9::1", 600, None);
    world.turn("saas", State::Down);
    let after = readdressed(&before, &world.facts()).unwrap();
    let [v4, v6] = &after.families;
    assert_eq!(v4.leaves[0].addresses_at(&world.estate, 0), ["198.51.100.7".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(v4.leaves[0].pools, before.families[0].leaves[0].pools);
    assert!(v6.leaves[0].endpoints.is_empty(), "who answers in a family is a decision");
    // What has lost its addresses keeps the last ones.
    world.resolves("gw.vendor.example", "2001:db8:9::1", 600, None);
    assert_eq!(readdressed(&after, &world.facts()), None);
}

#[test]
fn a_names_weight_is_split_over_its_addresses() {
    use crate::snapshot::{CellMap, FamilyBody, LeafBody, compile};
    let mut world = World::new("pool saas: gw.vendor.example*2 10.1.0.1*2\nservice orders: failover saas max_answers=1");
    world.resolves("gw.vendor.example", "198.51.100.1 198.51.100.2 198.51.100.3 198.51.100.4", 600, None);
    let compiled = compile(&world.estate, world.service("orders"), &world.decide("orders"), &mut CellMap::default());
    let FamilyBody::Answer { leaves, .. } = &compiled.body().families[0] else { panic!("no answer") };
    let LeafBody::Sampled(sampled) = &leaves[0] else { panic!("not sampled: {leaves:?}") };
    let mut own = 0;
    for turn in 0..1000_u64 {
        sampled.choose(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15), |record| {
            own += usize::from(record.ends_with(&[10, 1, 0, 1]));
            true
        });
    }
    assert!((490..=510).contains(&own), "half of the answers, not a fifth: {own}");
}

const ALIASES: &str = "thresholds down_after=1 ok_after=1 up_after=1
    pool saas: a=gw.vendor.example b=gx.vendor.example
    pool other: gw.other.example
    service orders: failover saas other cname ttl=30 ttl_min=5
    service addresses: failover saas other ttl=30 ttl_min=5";

#[test]
fn a_service_of_names_is_decided_once_whatever_families_its_names_have_and_whether_they_are_resolved() {
    let mut world = World::new(ALIASES);
    for found in ["", "198.51.100.1", "2001:db8:9::1", "198.51.100.1 2001:db8:9::1"] {
        world.resolves("gw.vendor.example", found, 12, None);
        let decision = world.decide("orders");
        assert!(decision.by_name);
        assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("saas 100".to_string(), "nodata".to_string()), "{found}");
        assert_eq!(decision.families[0].leaves[0].endpoints.len(), 2, "{found}");
        assert_eq!(decision.ttl, 30, "the name itself is answered, not what it has");
    }
    world.down("saas/a");
    assert_eq!(world.decide("orders").families[0].leaves[0].endpoints.len(), 1);
    world.down("saas/b");
    assert_eq!(world.answers("orders"), "other 100");
    assert!(world.explain("orders").contains("endpoint: other answers with gw.other.example\n"), "{}", world.explain("orders"));
    world.up("saas");
    assert_eq!((world.answers("orders"), world.held("orders")), ("other 100".to_string(), "saas".to_string()), "held in one family, that there is");
    world.later(60);
    assert_eq!(world.answers("orders"), "saas 100");
}

#[test]
fn operators_overrides_act_on_names_as_on_addresses() {
    let mut world = World::new(ALIASES);
    world.begin("drain pool saas for orders");
    assert_eq!(world.answers("orders"), "other 100");
    world.end_all_overrides();
    world.begin("force_down pool saas");
    world.begin("force_down pool other");
    assert_eq!(world.decide("orders").families[0].verdict, Verdict::ServFail("every pool that may answer is forced down".to_string()));
}
