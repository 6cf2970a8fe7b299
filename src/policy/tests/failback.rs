//! SEMANTICS 11: holds.

use std::time::Duration;

use crate::health::State;
use crate::policy::testing::World;

fn split(failback: &str) -> World {
    World::new(&format!("pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1; service orders: weighted prod=80 dr=20 failback={failback}"))
}

#[test]
fn prod_back_before_failback_is_held_and_after_it_80_20() {
    let mut world = split("60s");
    world.down("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    assert_eq!(world.decide("orders").wake_at, None, "nothing to wait for while it is down");
    world.up("prod");
    assert_eq!(world.answers("orders"), "dr 100");
    assert_eq!(world.decide("orders").wake_at, Some(world.now.mono + Duration::from_secs(30)), "its TTL falls for the last 30 s");
    world.later(59);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80, dr 20".into(), "".into()));
    assert_eq!(world.decide("orders").wake_at, None);
}

#[test]
fn both_lost_and_dr_restored_first_then_dr() {
    let mut world = split("2s");
    world.down("prod");
    world.down("dr");
    world.up("dr");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100 held".into(), "prod".into()));
    world.up("prod");
    assert_eq!(world.answers("orders"), "dr 100 held");
    world.later(2);
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80, dr 20".into(), "".into()));
}

#[test]
fn both_lost_at_once_and_both_back_at_once_then_the_split() {
    let mut world = split("manual");
    world.turn("prod", State::Down);
    world.turn("dr", State::Down);
    world.settle();
    assert_eq!(world.held("orders"), "prod, dr");
    world.turn("prod", State::Up);
    world.turn("dr", State::Up);
    world.settle();
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80 held, dr 20 held".into(), "".into()));
}

#[test]
fn down_and_unknown_start_the_count_again() {
    let mut world = split("60s");
    world.down("prod");
    world.up("prod");
    world.later(50);
    world.down("prod");
    world.up("prod");
    world.later(59);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn holds_survive_a_restart_which_starts_the_count_again_at_the_first_confirming_outcome() {
    let mut world = split("60s");
    world.down("prod");
    world.up("prod");
    world.later(50);
    world.restart();
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    world.later(600);
    assert_eq!(world.answers("orders"), "dr 100", "not one outcome has confirmed the stored verdict");
    for target in 0..world.estate.targets.len() {
        world.probe(crate::model::TargetId::at(target), true);
    }
    world.later(59);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn with_manual_only_an_operator_brings_it_back() {
    let mut world = split("manual");
    world.down("prod");
    world.up("prod");
    world.later(1_000_000);
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    assert_eq!(world.decide("orders").wake_at, None);
    world.failback("orders", Some("dr"));
    assert_eq!(world.answers("orders"), "dr 100");
    world.failback("orders", Some("prod"));
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn failback_zero_means_at_once() {
    let mut world = split("0s");
    world.down("prod");
    world.up("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80, dr 20".into(), "".into()));
}

#[test]
fn pools_that_were_not_answering_are_never_held() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; pool west: 10.2.0.1; service orders: failover prod dr west failback=manual");
    world.down("dr");
    world.up("dr");
    assert_eq!(world.held("orders"), "");
    world.down("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
}

#[test]
fn a_hold_is_per_service() {
    let mut world = World::new(
        "pool prod: 10.0.0.1; pool dr: 10.1.0.1
         service a: failover prod dr failback=manual; service b: failover dr prod failback=manual; service c: failover prod dr failback=0s",
    );
    world.down("prod");
    world.up("prod");
    assert_eq!((world.held("a"), world.held("b"), world.held("c")), ("prod".into(), "".into(), "".into()));
    assert_eq!((world.answers("a"), world.answers("b"), world.answers("c")), ("dr 100".into(), "dr 100".into(), "prod 100".into()));
}

#[test]
fn a_hold_is_per_family() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1; pool dr: 10.1.0.1 2001:db8:1::1; service orders: failover prod dr failback=manual");
    world.down("prod v6");
    world.up("prod v6");
    assert_eq!(world.held("orders"), "prod v6");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("prod 100".into(), "dr 100".into()));
}

#[test]
fn a_held_pools_share_goes_to_its_siblings_pro_rata() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3; service orders: weighted a=50 b=30 c=20 failback=manual");
    world.down("a");
    world.up("a");
    assert_eq!(world.answers("orders"), "b 60, c 40");
}

#[test]
fn an_override_that_takes_a_pool_away_starts_no_hold() {
    for kind in ["drain", "force_down"] {
        let mut world = split("manual");
        world.begin(&format!("{kind} pool prod"));
        assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "".into()), "{kind}");
        world.down("prod");
        world.up("prod");
        world.end_all_overrides();
        assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80, dr 20".into(), "".into()), "{kind}");
    }
}

#[test]
fn ending_a_force_up_over_a_pool_that_probes_find_down_starts_a_hold() {
    let mut world = split("60s");
    world.begin("force_up pool prod");
    world.down("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 80, dr 20".into(), "".into()));
    world.end_all_overrides();
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
}

#[test]
fn force_up_on_a_held_pool_makes_it_up_and_the_hold_stays() {
    let mut world = split("manual");
    world.down("prod");
    world.begin("force_up pool prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    world.failback("orders", None);
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn health_that_takes_the_last_endpoint_beside_a_forced_one_starts_a_hold() {
    let mut world = split("60s");
    world.down("prod/10.0.0.1");
    world.begin("force_down endpoint prod/10.0.0.1");
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
    world.down("prod/10.0.0.2");
    assert_eq!(world.held("orders"), "prod");
}

#[test]
fn an_operators_failback_while_all_are_down_lasts() {
    let mut world = split("manual");
    world.down("prod");
    world.down("dr");
    assert_eq!(world.held("orders"), "prod, dr");
    world.failback("orders", None);
    assert_eq!(world.held("orders"), "");
    world.up("prod");
    assert_eq!(world.answers("orders"), "prod 100");
    world.up("dr");
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn holds_of_pools_that_left_the_tree_are_forgotten() {
    let mut world = split("manual");
    world.down("prod");
    let service = world.service("orders");
    let tree = world.estate.resolve(&crate::health::testing::form("failover dr")).unwrap();
    let decision = crate::policy::decide(world.estate.service(service), &tree, &world.facts(), &world.memories[service.index()], world.now);
    assert_eq!(decision.memory.held, Vec::new());
}

#[test]
fn what_min_up_counts_is_used_too_and_its_hold_ends() {
    let mut world = World::new("pool x: 10.0.0.1; pool y: 10.0.0.2; policy two: failover x y min_up=2; service orders: failover two y failback=manual");
    world.down("x");
    world.down("y");
    assert_eq!(world.held("orders"), "x, y");
    world.turn("x", State::Up);
    world.turn("y", State::Up);
    world.settle();
    assert_eq!((world.answers("orders"), world.held("orders")), ("x 100".into(), "".into()));
}

#[test]
fn health_and_an_operator_at_one_moment_start_no_hold() {
    let mut world = split("manual");
    world.turn("prod", State::Down);
    world.begin("force_down pool prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "".into()));
}

#[test]
fn a_pool_that_probes_find_up_is_not_held_when_an_override_and_a_fail_together_take_it_away() {
    let mut world = split("manual");
    world.begin("force_down endpoint prod/10.0.0.1");
    world.down("prod/10.0.0.2");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "".into()));
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn each_family_has_its_own_clock() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1; pool dr: 10.1.0.1 2001:db8:1::1; service orders: failover prod dr failback=60s");
    world.down("prod");
    world.up("prod v4");
    world.later(30);
    world.up("prod v6");
    world.later(30);
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("prod 100".into(), "dr 100".into()));
    world.later(30);
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("prod 100".into(), "prod 100".into()));
}
