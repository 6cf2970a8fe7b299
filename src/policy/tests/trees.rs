//! SEMANTICS 6 to 8: trees.

use crate::model::Family;
use crate::policy::testing::World;
use crate::policy::{desired, effective};

const FOUR: &str = "pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3; pool d: 10.0.0.4\n";

fn four(rest: &str) -> World {
    World::new(&format!("{FOUR}{rest}"))
}

#[test]
fn s6_failover_takes_the_first_child_that_is_up() {
    let mut world = four("service orders: failover a b c failback=0s");
    assert_eq!(world.answers("orders"), "a 100");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 100");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100");
    world.up("a");
    assert_eq!(world.answers("orders"), "a 100");
}

#[test]
fn s6_weighted_shares_what_is_lost_pro_rata() {
    let mut world = four("service orders: weighted a=50 b=30 c=20");
    assert_eq!(world.answers("orders"), "a 50, b 30, c 20");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 60, c 40");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100");
}

#[test]
fn s6_multivalue_puts_the_serving_sets_of_all_up_children_together_in_order() {
    let mut world = World::new("pool a: 10.0.0.1 10.0.0.2; pool b: 10.1.0.1; pool c: 10.2.0.1 10.2.0.2@1; service orders: multivalue a b c");
    assert_eq!(world.answers("orders"), "a+b+c 100");
    assert_eq!(world.addresses("orders", Family::V4), "10.0.0.1 10.0.0.2 10.1.0.1 10.2.0.1");
    world.down("b");
    assert_eq!(world.addresses("orders", Family::V4), "10.0.0.1 10.0.0.2 10.2.0.1");
}

#[test]
fn s6_failover_below_multivalue_contributes_its_chosen_pool() {
    let mut world = four("policy ab: failover a b; policy cd: failover c d; service orders: multivalue ab cd failback=0s");
    assert_eq!(world.answers("orders"), "a+c 100");
    world.down("a");
    assert_eq!(world.answers("orders"), "b+c 100");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100");
}

#[test]
fn s6_a_subtree_is_up_when_one_child_is_or_min_up_of_them() {
    let mut world = four("policy one: weighted a b; policy two: weighted a b min_up=2; service x: failover one c; service y: failover two c");
    assert_eq!((world.answers("x"), world.answers("y")), ("a 50, b 50".into(), "a 50, b 50".into()));
    world.down("a");
    assert_eq!((world.answers("x"), world.answers("y")), ("b 100".into(), "c 100".into()));
    world.down("b");
    assert_eq!((world.answers("x"), world.answers("y")), ("c 100".into(), "c 100".into()));
}

#[test]
fn s8_nested_50_50_in_50_50_stays_25_25_25_25() {
    let mut world = four("policy ab: weighted a=50 b=50; policy cd: weighted c=50 d=50; service orders: weighted ab=50 cd=50");
    assert_eq!(world.answers("orders"), "a 25, b 25, c 25, d 25");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 50, c 25, d 25");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 50, d 50");
}

#[test]
fn a_pool_reached_twice_is_one_leaf() {
    let world = four("policy ab: weighted a=50 b=50; policy bc: weighted b=50 c=50; service orders: weighted ab=50 bc=50");
    assert_eq!(world.answers("orders"), "a 25, b 50, c 25");
}

#[test]
fn desired_is_what_would_be_if_everything_were_up_and_names_every_pool_once() {
    let world = four("policy ab: failover a b; policy mv: multivalue c d; service orders: weighted ab=80 mv=20; service s: weighted a=100 b=0");
    let shares = |service: &str| -> Vec<(String, f64)> {
        let service = world.estate.service(world.estate.service_named(service).unwrap());
        desired(&service.policy).into_iter().map(|(pool, share)| (world.estate.pool(pool).name.to_string(), share)).collect()
    };
    assert_eq!(shares("orders"), [("a".into(), 0.8), ("b".into(), 0.0), ("c".into(), 0.1), ("d".into(), 0.1)]);
    assert_eq!(shares("s"), [("a".into(), 1.0), ("b".into(), 0.0)]);
}

#[test]
fn effective_names_every_pool_of_the_tree_and_a_last_resort_beside_it() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.0.0.2; pool sorry: 10.9.9.9 monitor=none; service orders: weighted a=80 b=20 all_down=pool:sorry");
    let shares = |world: &World| -> Vec<(String, f64)> {
        let service = world.estate.service(world.service("orders"));
        let decision = world.decide("orders");
        effective(&decision.families[0], &service.policy).into_iter().map(|(pool, share)| (world.estate.pool(pool).name.to_string(), share)).collect()
    };
    world.down("a");
    assert_eq!(shares(&world), [("a".into(), 0.0), ("b".into(), 1.0)]);
    world.down("b");
    assert_eq!(shares(&world), [("a".into(), 0.0), ("b".into(), 0.0), ("sorry".into(), 1.0)]);
}
