//! SEMANTICS 1 to 5: endpoints, pools, serving sets.

use crate::health::State;
use crate::model::Family;
use crate::policy::testing::World;

const V4: Family = Family::V4;
const V6: Family = Family::V6;

#[test]
fn s1_ipv4_and_ipv6_addresses_are_judged_apart() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1\n pool dr: 10.1.0.1 2001:db8:1::1\n service orders: failover prod dr");
    world.down("prod v6");
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.answers_v6("orders"), "dr 100");
}

#[test]
fn s2_an_override_beats_observed_health_and_observation_goes_on_underneath() {
    let mut world = World::new("pool prod: 10.0.0.1\n pool dr: 10.1.0.1\n service orders: failover prod dr");
    world.begin("force_down pool prod");
    assert_eq!(world.answers("orders"), "dr 100");
    world.down("prod");
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "dr 100", "observed Down meanwhile");
    world.begin("force_up pool prod");
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn s2_endpoints_override_beats_pools_beats_regions() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 region=east\n pool dr: 10.1.0.1\n service orders: failover prod dr");
    world.begin("force_down region east");
    assert_eq!(world.answers("orders"), "dr 100");
    world.begin("force_up pool prod");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
    world.begin("force_down endpoint prod/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.2");
}

#[test]
fn s3_pool_below_min_up_falls_over_to_the_next() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 min_up=2\n pool dr: 10.1.0.1\n service orders: failover prod dr");
    world.down("prod/10.0.0.1");
    assert_eq!(world.answers("orders"), "prod 100");
    world.down("prod/10.0.0.2");
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn s3_policy_treats_an_unknown_pool_as_up() {
    let world = World::fresh("pool prod: 10.0.0.1 10.0.0.2\n pool dr: 10.1.0.1\n service orders: weighted prod=80 dr=20");
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2 | 10.1.0.1");
}

#[test]
fn s3_an_unknown_endpoint_answers_only_if_its_pool_has_fewer_than_min_up_up_ones() {
    let mut world = World::fresh("pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 min_up=2\n service orders: failover prod");
    world.up("prod/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2 10.0.0.3");
    world.up("prod/10.0.0.2");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
}

#[test]
fn s4_a_partly_up_pool_keeps_its_whole_share() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2 10.0.0.3\n pool dr: 10.1.0.1\n service orders: weighted prod=80 dr=20");
    world.down("prod/10.0.0.1");
    world.down("prod/10.0.0.3");
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
    assert_eq!(world.addresses("orders", V4), "10.0.0.2 | 10.1.0.1");
}

#[test]
fn s4_two_active_two_passive_one_passive_is_promoted_and_gives_way_at_once() {
    let mut world = World::new("pool gw: 10.0.0.1 10.0.0.2 10.0.0.3@1 10.0.0.4@1\n service orders: failover gw");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
    world.down("gw/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.2 10.0.0.3");
    world.down("gw/10.0.0.3");
    assert_eq!(world.addresses("orders", V4), "10.0.0.2 10.0.0.4");
    world.down("gw/10.0.0.2");
    assert_eq!(world.addresses("orders", V4), "10.0.0.4");
    world.up("gw/10.0.0.3");
    assert_eq!(world.addresses("orders", V4), "10.0.0.3 10.0.0.4");
    world.up("gw/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.3");
    world.up("gw/10.0.0.2");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
    assert_eq!(world.answers("orders"), "gw 100");
}

#[test]
fn s4_min_active_says_how_many_serve_and_the_first_tier_serves_whole() {
    let mut world = World::new(
        "pool gw: 10.0.0.1 10.0.0.2 10.0.0.3@1 10.0.0.4@2 min_active=3\n pool few: 10.1.0.1 10.1.0.2 10.1.0.3@1 min_active=1\n service a: failover gw\n service b: failover few",
    );
    assert_eq!(world.addresses("a", V4), "10.0.0.1 10.0.0.2 10.0.0.3");
    assert_eq!(world.addresses("b", V4), "10.1.0.1 10.1.0.2");
    world.down("few/10.1.0.1");
    assert_eq!(world.addresses("b", V4), "10.1.0.2", "one is enough: nobody is promoted");
    world.down("few/10.1.0.2");
    assert_eq!(world.addresses("b", V4), "10.1.0.3");
}

#[test]
fn s4_promotion_goes_by_tier_then_file_order_and_the_first_tier_is_the_smallest_number() {
    let mut world = World::new("pool gw: 10.0.0.1@7 10.0.0.2@9 10.0.0.3@7 10.0.0.4@8\n service orders: failover gw");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.3");
    world.down("gw/10.0.0.1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.3 10.0.0.4");
    world.down("gw/10.0.0.3");
    assert_eq!(world.addresses("orders", V4), "10.0.0.4 10.0.0.2");
}

#[test]
fn s4_the_cut_to_max_answers_is_not_made_here() {
    let world = World::new("pool gw: 10.0.0.1 10.0.0.2 10.0.0.3\n service orders: failover gw max_answers=1");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2 10.0.0.3");
}

#[test]
fn s7_a_pool_counts_only_its_endpoints_of_the_family() {
    let mut world = World::new(
        "pool gw: 10.0.0.1 10.0.0.2 2001:db8::1 2001:db8::2 2001:db8::3@1 min_up=2\n pool dr: 10.1.0.1 2001:db8:1::1\n service orders: failover gw dr",
    );
    world.down("gw/10.0.0.1");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("dr 100".into(), "gw 100".into()));
    world.up("gw/10.0.0.1");
    world.later(60);
    world.down("gw/2001:db8::2");
    assert_eq!(world.addresses("orders", V6), "2001:db8::1 2001:db8::3", "min_active: two, as the first tier of this family has");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
}

#[test]
fn s7_a_pool_without_the_family_takes_its_state_from_the_other_and_gives_nodata_when_chosen() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1\n pool dr: 10.1.0.1\n service orders: weighted prod=80 dr=20");
    assert_eq!(world.answers_v6("orders"), "prod 80, dr 20");
    assert_eq!(world.addresses("orders", V6), "2001:db8::1 | ");
    world.down("dr");
    assert_eq!(world.answers_v6("orders"), "prod 100");
    world.up("dr");
    assert_eq!(world.held("orders"), "dr, dr v6");
    world.later(60);
    assert_eq!(world.answers_v6("orders"), "prod 80, dr 20");
}

#[test]
fn s7_a_family_without_any_endpoint_is_nodata_and_the_other_is_not_affected() {
    let mut world = World::new("pool prod: 10.0.0.1\n pool dr: 10.1.0.1\n service orders: failover prod dr");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("prod 100".into(), "nodata".into()));
    world.down("prod");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("dr 100".into(), "nodata".into()));
    world.down("dr");
    assert_eq!(world.answers_v6("orders"), "nodata");
    assert_eq!(world.decide("orders").memory.last[V6.index()], Vec::new());
}

#[test]
fn an_always_endpoint_is_up_and_confirmed_from_the_start() {
    let world = World::fresh("pool prod: 10.0.0.1 monitor=always\n service orders: failover prod");
    let pool = world.estate.pool_named("prod").unwrap();
    assert_eq!(world.health.pool(pool, V4).state, State::Up);
    assert_eq!(world.health.pool(pool, V4).up_since, Some(world.now.mono));
    assert!(world.health.complete());
}

#[test]
fn s2_of_two_health_overrides_on_one_target_force_down_wins() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr; service search: failover prod dr");
    world.begin("force_up pool prod");
    world.begin("force_down pool prod for orders");
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "prod 100".into()));
}

const PORTAL: &str =
    "pool db: 10.9.0.1 10.9.0.2 10.9.0.3\n pool portal: 10.0.0.1 10.0.0.2 requires=db:2\n pool dr: 10.1.0.1\n service orders: failover portal dr failback=10s";

#[test]
fn a_pool_is_left_when_what_it_requires_is_down_and_comes_back_by_failback() {
    let mut world = World::new(PORTAL);
    world.down("db/10.9.0.1");
    assert_eq!(world.answers("orders"), "portal 100");
    world.down("db/10.9.0.2");
    assert_eq!(world.answers("orders"), "dr 100");
    world.up("db/10.9.0.1");
    assert_eq!(world.answers("orders"), "dr 100", "health took it away: it is held");
    world.later(10);
    assert_eq!(world.answers("orders"), "portal 100");
}

#[test]
fn what_operators_force_counts_for_a_requirement_and_a_drain_does_not() {
    let mut world = World::new(PORTAL);
    world.begin("drain pool db");
    assert_eq!(world.answers("orders"), "portal 100");
    world.begin("force_down pool db");
    assert_eq!(world.answers("orders"), "dr 100");
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "portal 100", "no hold: an operator took it away");
    world.down("db");
    world.begin("force_up endpoint db/10.9.0.1");
    assert_eq!(world.answers("orders"), "dr 100", "one of two needed");
    world.begin("force_up endpoint db/10.9.0.2");
    world.later(10);
    assert_eq!(world.answers("orders"), "dr 100", "held until probes agree");
}

#[test]
fn without_a_verdict_on_what_it_requires_a_pool_is_unknown_and_counts_as_up() {
    let mut world = World::fresh(PORTAL);
    world.up("portal");
    assert_eq!(world.answers("orders"), "portal 100");
    assert_eq!(world.addresses("orders", V4), "10.0.0.1 10.0.0.2");
}
