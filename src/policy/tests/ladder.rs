//! SEMANTICS 9 and 10: the ladder and `when_all_down`.

use crate::model::Family;
use crate::policy::Verdict;
use crate::policy::testing::World;

const V4: Family = Family::V4;

fn two(service: &str) -> World {
    World::new(&format!("pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 10.1.0.2; pool sorry: 10.9.9.9 monitor=none\n service orders: {service}"))
}

#[test]
fn s9_share_0_answers_only_if_its_node_has_no_admitted_child_with_a_share() {
    let mut world = two("weighted prod=100 dr=0");
    assert_eq!(world.answers("orders"), "prod 100");
    world.down("prod");
    assert_eq!(world.answers("orders"), "dr 100 standby");
    assert_eq!(world.decide("orders").ttl, 30);
}

#[test]
fn s9_several_standby_children_answer_equally() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3; service orders: weighted a=100 b=0 c=0");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 50 standby, c 50 standby");
}

#[test]
fn s9_share_0_is_settled_inside_each_weighted_node() {
    let mut world = World::new(
        "pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3; pool d: 10.0.0.4
         policy ab: weighted a=100 b=0; service orders: weighted ab=60 c=40 d=0",
    );
    world.down("a");
    assert_eq!(world.answers("orders"), "b 60 standby, c 40");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100");
    world.down("c");
    assert_eq!(world.answers("orders"), "d 100 standby");
}

#[test]
fn s9_a_drained_pool_gets_nothing_while_anything_else_is_up() {
    let mut world = two("weighted prod=80 dr=20");
    world.begin("drain pool prod");
    assert_eq!(world.answers("orders"), "dr 100");
    world.down("dr");
    assert_eq!(world.answers("orders"), "prod 100 drained");
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.decide("orders").ttl, 30);
}

#[test]
fn s9_held_comes_before_drained() {
    let mut world = two("weighted prod=80 dr=20 failback=manual");
    world.down("prod");
    world.up("prod");
    world.begin("drain pool dr");
    assert_eq!(world.answers("orders"), "prod 100 held");
}

#[test]
fn s9_standby_comes_before_held() {
    let mut world = two("weighted prod=100 dr=0 failback=manual");
    world.down("prod");
    world.up("prod");
    assert_eq!(world.answers("orders"), "dr 100 standby");
    assert_eq!(world.held("orders"), "prod");
}

#[test]
fn s9_using_a_held_pool_ends_its_hold_and_its_leaf_says_held_until_something_else_is_up() {
    let mut world = two("failover prod dr failback=manual");
    world.down("prod");
    world.up("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    world.down("dr");
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100 held".into(), "dr".into()));
    world.later(1000);
    assert_eq!(world.answers("orders"), "prod 100 held");
    world.up("dr");
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100 held".into(), "dr".into()), "dr is not used yet: manual");
    world.failback("orders", None);
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100".into(), "".into()));
}

#[test]
fn s9_region_drain_reaches_its_pools_and_an_endpoint_drain_only_itself() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 region=east; pool dr: 10.1.0.1 region=west; service orders: weighted prod=80 dr=20");
    world.begin("drain endpoint prod/10.0.0.1");
    assert_eq!((world.answers("orders"), world.addresses("orders", V4)), ("prod 80, dr 20".into(), "10.0.0.2 | 10.1.0.1".into()));
    world.begin("drain region east");
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn s9_a_pool_whose_undrained_endpoints_are_fewer_than_min_up_counts_as_drained() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 min_up=2; pool dr: 10.1.0.1; service orders: failover prod dr");
    world.begin("drain endpoint prod/10.0.0.1");
    assert_eq!(world.answers("orders"), "dr 100");
    world.down("dr");
    assert_eq!((world.answers("orders"), world.addresses("orders", V4)), ("prod 100 drained".into(), "10.0.0.1 10.0.0.2".into()));
}

#[test]
fn s9_draining_a_first_tier_endpoint_promotes_a_passive_one() {
    let mut world = World::new("pool gw: 10.0.0.1 10.0.0.2 10.0.0.3@1; service orders: failover gw");
    world.begin("drain endpoint gw/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.2 10.0.0.3");
}

#[test]
fn s9_overrides_may_be_limited_to_services() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr; service search: failover prod dr");
    world.begin("drain pool prod for orders");
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "prod 100".into()));
}

#[test]
fn s9_force_down_is_on_no_rung_and_if_nothing_remains_it_is_servfail_with_a_reason() {
    for all_down in ["last_good", "serve_all", "first"] {
        let mut world = two(&format!("weighted prod=80 dr=20 all_down={all_down}"));
        world.begin("force_down pool prod");
        assert_eq!(world.answers("orders"), "dr 100");
        world.down("dr");
        assert_eq!(world.answers("orders"), "dr 100 all_down", "{all_down}");
        world.begin("force_down pool dr");
        assert_eq!(world.answers("orders"), "servfail", "{all_down}");
        let decision = world.decide("orders");
        assert_eq!(decision.families[0].verdict, Verdict::ServFail("every pool that may answer is forced down".into()));
        assert_eq!(decision.ttl, 5);
    }
}

#[test]
fn s10_last_good_answers_with_the_pools_of_the_last_decision_from_above() {
    let mut world = two("weighted prod=80 dr=20 all_down=last_good");
    world.down("prod");
    world.down("dr");
    assert_eq!(world.answers("orders"), "dr 100 all_down");
    assert_eq!(world.decide("orders").ttl, 5);
    world.later(100);
    assert_eq!(world.answers("orders"), "dr 100 all_down", "memory is unchanged below");
}

#[test]
fn s10_last_good_of_both_keeps_their_shares_and_without_memory_it_is_serve_all() {
    let mut world = World::fresh("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: weighted prod=80 dr=20");
    world.turn("prod", crate::health::State::Down);
    world.turn("dr", crate::health::State::Down);
    assert_eq!(world.answers("orders"), "prod 80 all_down, dr 20 all_down");
}

#[test]
fn s10_last_good_that_is_not_permitted_is_serve_all() {
    let mut world = two("failover prod dr all_down=last_good");
    world.down("prod");
    world.down("dr");
    world.begin("force_down pool dr");
    assert_eq!(world.answers("orders"), "prod 100 all_down");
}

#[test]
fn s10_serve_all_first_nodata_servfail_and_a_last_resort() {
    let rows = [
        ("weighted prod=20 dr=80 all_down=serve_all", "prod 20 all_down, dr 80 all_down"),
        ("weighted prod=20 dr=80 all_down=first", "dr 100 all_down"),
        ("weighted prod=50 dr=50 all_down=first", "prod 100 all_down"),
        ("failover prod dr all_down=first", "prod 100 all_down"),
        ("failover prod dr all_down=serve_all", "prod 100 all_down"),
        ("multivalue prod dr all_down=serve_all", "prod+dr 100 all_down"),
        ("failover prod dr all_down=nodata", "nodata"),
        ("failover prod dr all_down=servfail", "servfail"),
        ("failover prod dr all_down=pool:sorry", "sorry 100 all_down"),
    ];
    for (service, answer) in rows {
        let mut world = two(service);
        world.down("prod");
        world.down("dr");
        assert_eq!(world.answers("orders"), answer, "{service}");
        assert_eq!(world.decide("orders").ttl, 5, "{service}");
        world.up("dr");
        assert!(world.answers("orders").starts_with("dr 100"), "{service}");
        assert_eq!(world.decide("orders").ttl, 30, "{service}");
    }
}

#[test]
fn s10_a_drained_pool_is_permitted_only_if_no_other_is() {
    let mut world = two("weighted prod=80 dr=20 all_down=serve_all");
    world.begin("drain pool prod");
    world.down("prod");
    world.down("dr");
    assert_eq!(world.answers("orders"), "dr 100 all_down");
    world.begin("force_down pool dr");
    assert_eq!(world.answers("orders"), "prod 100 all_down");
}

#[test]
fn s10_a_pool_uses_its_up_and_unknown_endpoints_if_it_has_any_else_all_not_forced_down() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 min_up=2; service orders: failover prod");
    world.down("prod/10.0.0.1");
    world.down("prod/10.0.0.2");
    assert_eq!((world.answers("orders"), world.addresses("orders", V4)), ("prod 100 all_down".into(), "10.0.0.3".into()));
    world.down("prod/10.0.0.3");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2 10.0.0.3");
    world.begin("force_down endpoint prod/10.0.0.2");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.3");
}

#[test]
fn s10_all_down_keeps_tiers() {
    let mut world = World::new("pool gw: 10.0.0.1 10.0.0.2 10.0.0.3@1; service orders: failover gw");
    world.down("gw");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
}

#[test]
fn s10_all_down_never_refuses_for_a_subtrees_min_up() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.0.0.2; service orders: weighted a b min_up=2");
    world.down("b");
    assert_eq!(world.answers("orders"), "a 50 all_down, b 50 all_down", "last_good: both");
    world.begin("force_down pool b");
    assert_eq!(world.answers("orders"), "a 100 all_down");
}

#[test]
fn s9_the_ttl_is_the_lower_of_families_that_differ() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1; service orders: failover prod ttl=60 ttl_min=7");
    world.down("prod v6");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("prod 100".into(), "prod 100 all_down".into()));
    assert_eq!(world.decide("orders").ttl, 7);
}

#[test]
fn s9_ttl_on_all_down_is_the_smaller_of_ttl_and_ttl_min() {
    let mut world = two("failover prod dr ttl=3 ttl_min=5");
    world.down("prod");
    world.down("dr");
    assert_eq!(world.decide("orders").ttl, 3);
}

#[test]
fn s9_everything_below_a_standby_child_is_standby() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3; policy bc: weighted b=75 c=25; service orders: weighted a=100 bc=0");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 75 standby, c 25 standby");
}
