//! What people see: pool and endpoint views, targets of failover, explain.

use std::time::Duration;

use crate::health::State;
use crate::model::Family;
use crate::policy::testing::World;
use crate::policy::{ChildState, child_named, child_shares, child_state, endpoint_view, pool_view};

fn world() -> World {
    World::new(
        "pool prod: 10.0.0.1 10.0.0.2 region=east; pool dr: 10.1.0.1 10.1.0.2@1; pool lab: 10.2.0.1 2001:db8::1
         policy eu: failover prod dr min_up=2; service orders: weighted eu=80 lab=20; service search: failover prod dr",
    )
}

fn state(world: &World, child: &str) -> ChildState {
    let service = world.service("orders");
    child_state(&world.facts(), Some(service), child_named(&world.estate.service(service).policy, &world.estate, child).unwrap())
}

#[test]
fn a_target_of_failover_must_be_up_in_some_family_and_not_drained() {
    let mut world = world();
    assert!(state(&world, "eu").is_usable() && state(&world, "lab").is_usable());
    world.down("lab v6");
    assert!(state(&world, "lab").is_usable(), "up in the other family");
    world.down("lab");
    assert_eq!(state(&world, "lab"), ChildState { state: State::Down, drained: false, outdated: false });
    world.begin("drain region east");
    assert_eq!(state(&world, "eu"), ChildState { state: State::Up, drained: true, outdated: false }, "both are needed and one is drained");
}

#[test]
fn an_unknown_target_is_not_up() {
    let world = World::fresh("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr");
    assert_eq!(state(&world, "dr"), ChildState { state: State::Unknown, drained: false, outdated: false });
    assert!(!state(&world, "dr").is_usable());
}

#[test]
fn child_shares_add_up_named_policies() {
    let world = world();
    let service = world.estate.service(world.service("orders"));
    let shares = child_shares(&world.decide("orders").families[0], &service.policy, &world.estate);
    assert_eq!(shares, [("eu".into(), 0.8), ("lab".into(), 0.2)]);
}

#[test]
fn views_show_observed_forced_drained_and_serving() {
    let mut world = world();
    world.begin("force_down region east");
    world.begin("drain pool dr for orders");
    world.begin("force_up endpoint prod/10.0.0.2");
    world.down("prod/10.0.0.2");
    let (prod, dr) = (world.estate.pool_named("prod").unwrap(), world.estate.pool_named("dr").unwrap());
    let facts = world.facts();

    let view = pool_view(&facts, None, prod, Family::V4);
    assert_eq!((view.state, view.observed.state, view.forced.map(|o| &*o.id), view.drained), (State::Up, State::Up, Some("o-1"), false));
    assert_eq!(view.serving, [world.estate.endpoint_named(prod, "10.0.0.2").unwrap()]);

    let first = endpoint_view(&facts, None, world.estate.endpoint_named(prod, "10.0.0.1").unwrap());
    assert_eq!((first.state, first.observed, first.forced.map(|o| &*o.id), first.serving), (State::Down, State::Up, Some("o-1"), false));
    let second = endpoint_view(&facts, None, world.estate.endpoint_named(prod, "10.0.0.2").unwrap());
    assert_eq!((second.state, second.observed, second.forced.map(|o| &*o.id), second.serving), (State::Up, State::Down, Some("o-3"), true));

    assert!(!pool_view(&facts, None, dr, Family::V4).drained, "the drain is limited to one service");
    let view = pool_view(&facts, Some(world.service("orders")), dr, Family::V4);
    assert_eq!((view.state, view.drained, view.drained_by.map(|o| &*o.id), view.serving.len()), (State::Up, true, Some("o-2"), 1));
    assert!(pool_view(&facts, Some(world.service("search")), dr, Family::V6).serving.is_empty());
}

#[test]
fn explain_tells_pools_holds_policy_rung_endpoints_and_ttl() {
    let mut world = World::new("pool prod: 10.0.0.1 10.0.0.2; pool dr: west-1=10.1.0.1; service orders: weighted prod=80 dr=20 failback=60s");
    world.down("prod");
    assert_eq!(
        world.explain("orders"),
        "pool: pool prod is down: 0 of 2 endpoints up (10.0.0.1: timeout: no answer within 3s while connecting, down since 2027-01-15T08:00:00.000Z; \
         10.0.0.2: timeout: no answer within 3s while connecting, down since 2027-01-15T08:00:00.000Z)\n\
         pool: pool dr is up: 1 of 1 endpoints up\n\
         hold: pool prod is kept out until probes found it up for 1m, or until `windrose failback orders prod`\n\
         policy: weighted: prod 80 %, dr 20 %\n\
         rung: policy: dr 100 %\n\
         endpoint: dr answers with west-1 10.1.0.1\n\
         ttl: 30 s\n"
    );
    world.up("prod");
    world.later(15);
    let due = world.now.wall.plus(Duration::from_secs(45)).whole_seconds();
    let held = format!("hold: pool prod has returned and waits: it is used again at {due}, or by `windrose failback orders prod`\n");
    assert!(world.explain("orders").contains(&held), "no `{held}` in {}", world.explain("orders"));
    world.begin("force_down pool dr");
    let text = world.explain("orders");
    assert!(text.contains("pool: pool dr is down: 0 of 1 endpoints up (west-1: forced down by o-1, observed up)\n"), "{text}");
    assert!(text.contains("rung: held (nothing else is up, so what waited for failback is used): prod 100 %\n"), "{text}");
}

#[test]
fn explain_says_the_family_where_both_are_answered() {
    let mut world = World::new("pool prod: 10.0.0.1 2001:db8::1; pool dr: 10.1.0.1; service orders: failover prod dr all_down=nodata");
    world.begin("drain pool dr");
    let text = world.explain("orders");
    assert!(
        text.contains("pool: IPv6: pool dr is up: 1 of 1 endpoints up; drained by o-1; it has no IPv6 address, so its share is answered with no data\n"),
        "{text}"
    );
    world.down("prod");
    world.begin("force_down pool dr");
    assert!(world.explain("orders").contains("rung: IPv4: all_down (nothing is up, when_all_down is nodata): no data\n"));
    assert!(world.explain("orders").contains("ttl: 5 s: the smaller of ttl (30 s) and ttl_min (5 s), because nothing is up\n"));
}
