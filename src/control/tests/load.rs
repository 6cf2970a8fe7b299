//! Loads that were told: who begins to shed, who ends, what silence does, and what is left of it after a restart, a reload and an upgrade.

use std::time::Duration;

use super::world::World;
use crate::control::{Change, Notice, OverrideTargetName, OverrideWord, RefusalKind};
use crate::health::State;

/// Over 80, until 72, 30 %, one turn a minute, reports count for five.
const TWO: &str = "pool prod: 10.0.0.1 shed=30; pool dr: 10.1.0.1 shed=20; pool plain: 10.2.0.1; service orders: failover prod dr failback=0s";

/// What people were told of loads, oldest first.
fn told(world: &mut World) -> Vec<&'static str> {
    let told = world.notices.iter().filter_map(|notice| if let Notice::Load { happened, .. } = notice { Some(*happened) } else { None }).collect();
    world.notices.clear();
    told
}

#[test]
fn it_begins_over_its_limit_at_once_and_ends_below_another_after_a_minute() {
    let mut world = World::new(TWO);
    world.load("prod", 80.0).unwrap();
    assert_eq!((world.answers("orders").as_str(), told(&mut world).len()), ("prod 100", 0));
    world.load("prod", 80.001).unwrap();
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::Failover { .. })), "it is no failover");
    assert_eq!(told(&mut world), ["shedding"]);
    world.later(61);
    world.load("prod", 72.1).unwrap();
    assert_eq!(world.answers("orders"), "prod 70, dr 30", "not yet low enough");
    world.load("prod", 72.0).unwrap();
    assert_eq!((world.answers("orders").as_str(), told(&mut world)), ("prod 100", vec!["shed_ended"]));
    // Within a minute of that it waits, and takes nothing from others.
    world.later(30);
    world.load("prod", 95.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(30);
    assert_eq!((world.answers("orders").as_str(), told(&mut world)), ("prod 70, dr 30", vec!["shedding"]), "a tick at the very moment");
    world.load("prod", 1.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
    world.later(60);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn who_is_silent_goes_on_as_it_is_and_that_is_told_once() {
    let mut world = World::new(TWO);
    world.load("prod", 85.0).unwrap();
    world.load("dr", 10.0).unwrap();
    assert_eq!(told(&mut world), ["shedding"]);
    world.later(301);
    assert_eq!((world.answers("orders").as_str(), told(&mut world)), ("prod 70, dr 30", vec!["load_unknown"]));
    world.later(3600);
    assert_eq!((world.answers("orders").as_str(), told(&mut world).len()), ("prod 70, dr 30", 0));
    let prod = world.core.pool_load(world.core.estate().pool_named("prod").unwrap()).unwrap();
    assert!(prod.silent && prod.why.unwrap().contains("nobody has told since, so it goes on"));
    world.load("prod", 40.0).unwrap();
    assert_eq!((world.answers("orders").as_str(), told(&mut world)), ("prod 100", vec!["shed_ended"]));
    // An old report begins nothing: within a minute of the end it was too full, and then nobody told for long.
    world.load("prod", 85.0).unwrap();
    world.now.mono += Duration::from_secs(400);
    world.settle();
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn two_that_are_full_keep_their_own_until_one_is_not() {
    let mut world = World::new(TWO);
    world.load("prod", 85.0).unwrap();
    world.load("dr", 81.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(60);
    world.load("dr", 60.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
}

#[test]
fn senseless_loads_are_refused() {
    let mut world = World::new(TWO);
    for load in [-1.0, f64::NAN, f64::INFINITY, 1e10] {
        let refused = world.load("prod", load).unwrap_err();
        assert_eq!((refused.kind, refused.faults[0].pointer.as_str()), (RefusalKind::InvalidRequest, "/load"));
    }
    assert_eq!(world.load("plain", 1.0).unwrap_err().kind, RefusalKind::InvalidRequest);
    let refused = world.load("prad", 1.0).unwrap_err();
    assert!(refused.kind == RefusalKind::NotFound && refused.detail.contains("did you mean `prod`"), "{}", refused.detail);
}

#[test]
fn it_goes_on_after_a_restart_and_in_a_process_that_takes_over() {
    let mut world = World::new(TWO);
    world.load("prod", 85.0).unwrap();
    let successor = world.succeed(TWO);
    assert_eq!(successor.answers("orders"), "prod 70, dr 30");
    let mut later = world.restart(TWO, Duration::from_secs(7200));
    ["prod", "dr"].into_iter().for_each(|pool| later.turn(pool, State::Up));
    assert_eq!(later.answers("orders"), "prod 70, dr 30", "nobody has told for two hours, and it goes on");
    later.load("prod", 10.0).unwrap();
    assert_eq!(later.answers("orders"), "prod 100");
    let mut soon = world.restart(TWO, Duration::from_secs(10));
    ["prod", "dr"].into_iter().for_each(|pool| soon.turn(pool, State::Up));
    soon.load("prod", 10.0).unwrap();
    assert_eq!(soon.answers("orders"), "prod 70, dr 30", "it has turned 10 s ago");
    soon.later(50);
    assert_eq!(soon.answers("orders"), "prod 100");
}

#[test]
fn a_reload_takes_other_limits_and_none() {
    let mut world = World::new(TWO);
    world.load("prod", 85.0).unwrap();
    world.later(60);
    let preview = TWO.replace("prod: 10.0.0.1 shed=30", "prod: 10.0.0.1 shed=50:client");
    world.reload(&preview).unwrap();
    assert_eq!(world.answers("orders"), "prod 50, dr 50");
    world.reload(&TWO.replace("prod: 10.0.0.1 shed=30", "prod: 10.0.0.1")).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    assert!(world.load("prod", 99.0).is_err());
    world.later(301);
    world.reload(TWO).unwrap();
    assert_eq!(world.answers("orders"), "prod 100", "who declared nothing meanwhile begins anew");
    world.load("prod", 99.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
}

#[test]
fn a_frozen_service_neither_begins_nor_ends() {
    let mut world = World::new(TWO);
    let (kind, target) = (OverrideWord::Freeze, OverrideTargetName::Service("orders".into()));
    world.change(Change::Override { kind, target, services: Vec::new(), lasts: Some(Duration::from_secs(14_400)) }).unwrap();
    world.load("prod", 85.0).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(14_400);
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
}

#[test]
fn a_pool_that_sheds_and_dies_fails_over_and_comes_home() {
    let mut world = World::new(TWO);
    world.load("prod", 85.0).unwrap();
    world.turn("prod", State::Down);
    assert_eq!(world.answers("orders"), "dr 100");
    let moved: Vec<String> =
        world.notices.iter().filter_map(|notice| if let Notice::Failover { from, to, .. } = notice { Some(format!("{from} > {to}")) } else { None }).collect();
    assert_eq!(moved, ["prod > dr"], "what it shed before is no part of that");
    world.turn("prod", State::Up);
    assert_eq!(world.answers("orders"), "prod 70, dr 30");
}

/// Three endpoints of which two answer; probed every 10 s, for 3 s at most.
const READ: &str = "outcomes load_from=X-Load
pool prod: a=10.0.0.1 b=10.0.0.2 c=10.0.0.3@1 shed=30; pool dr: 10.1.0.1; service orders: failover prod dr failback=0s";

#[test]
fn what_probes_read_counts_by_the_mean_of_those_that_answer() {
    let mut world = World::new(READ);
    world.reads(0, 95.0);
    assert_eq!(world.answers("orders"), "prod 100", "b has not told yet, and may");
    world.reads(2, 5.0);
    world.reads(1, 60.0);
    assert_eq!(world.answers("orders"), "prod 100", "77.5");
    world.reads(1, 70.0);
    assert_eq!(world.answers("orders"), "prod 70, dr 30", "82.5; c only stands by");
    let why = world.core.pool_load(world.core.estate().pool_named("prod").unwrap()).unwrap().why.unwrap();
    assert!(why.starts_with("its load is 82.5, over 80 (monitor gateway, the mean of 2 endpoints)"), "{why}");
    // Who is down says nothing, whoever takes its place does: 70 and 5.
    world.later(60);
    while world.core.health().judgement(crate::model::JudgementId(0)).state != State::Down {
        world.probe(crate::model::TargetId(0), false);
    }
    world.reads(1, 70.0);
    world.reads(2, 5.0);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn who_tells_no_more_is_left_out_and_a_push_counts_until_the_next_reading() {
    let mut world = World::new(READ);
    world.later(14);
    world.reads(0, 95.0);
    assert_eq!(world.answers("orders"), "prod 70, dr 30", "b could have told by now");
    world.load("prod", 10.0).unwrap();
    world.later(60);
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(60);
    world.reads(1, 85.0);
    assert_eq!(world.answers("orders"), "prod 70, dr 30", "a has not told for a minute");
}
