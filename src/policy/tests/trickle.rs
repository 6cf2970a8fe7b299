//! `trickle`: a small share for who stands by.

use crate::policy::testing::World;

#[test]
fn the_next_child_of_a_failover_gets_a_trickle_if_it_would_be_used() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; service orders: failover a b c trickle=1 failback=60s");
    assert_eq!(world.answers("orders"), "a 99, b 1");
    assert!(world.explain("orders").contains("trickle: 1 % of the answers go to who stands by"), "{}", world.explain("orders"));
    world.begin("drain pool b");
    assert_eq!(world.answers("orders"), "a 99, c 1");
    world.end_all_overrides();
    world.down("a");
    assert_eq!(world.answers("orders"), "b 99, c 1");
    world.up("a");
    assert_eq!(world.answers("orders"), "b 99, c 1", "a waits for failback");
    world.data("c", true);
    assert_eq!(world.answers("orders"), "b 100", "nobody stands by");
    world.later(60);
    assert_eq!(world.answers("orders"), "a 99, b 1");
}

#[test]
fn children_with_share_0_share_the_trickle_and_the_others_keep_their_proportion() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; pool d: 10.3.0.1; service orders: weighted a=80 b=20 c=0 d=0 trickle=10");
    assert_eq!(world.answers("orders"), "a 72, b 18, c 5, d 5");
    world.down("d");
    assert_eq!(world.answers("orders"), "a 72, b 18, c 10");
    world.down("a");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100 standby", "nothing trickles when the standby answers");
}

#[test]
fn nothing_trickles_on_lower_rungs() {
    let mut world = World::new("pool a: 10.0.0.1; pool b: 10.1.0.1; service orders: failover a b trickle=1 all_down=serve_all");
    world.begin("drain pool a");
    world.begin("drain pool b");
    assert_eq!(world.answers("orders"), "a 100 drained");
    world.end_all_overrides();
    world.down("a");
    world.down("b");
    assert_eq!(world.answers("orders"), "a 100 all_down");
}

#[test]
fn it_goes_through_trees() {
    let world = World::new("pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; policy eu: failover a b; service orders: failover eu c trickle=10");
    assert_eq!(world.answers("orders"), "a 81, b 9, c 10");
}
