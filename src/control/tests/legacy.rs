//! A process that takes over goes on where the one before was: nothing starts anew, nothing is doubted (compare `learned`, a restart).

use std::time::Duration;

use super::world::{World, failover};
use crate::control::{Change, Key, OverrideTargetName, OverrideWord};
use crate::health::State;
use crate::model::{JudgementId, TargetId};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s";

#[test]
fn a_failback_that_has_waited_50_of_60_seconds_waits_10_more() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.later(50);
    let mut world = world.succeed(TWO);
    assert!(world.served, "nothing is waited for");
    assert_eq!(world.plans, [(1, false)]);
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(!world.core.health().judgement(JudgementId::at(0)).stale);
    world.later(9);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn a_target_that_has_failed_twice_of_three_times_is_down_at_the_next_fail() {
    let mut world = World::new(TWO);
    let target = TargetId::at(0);
    while world.core.health().judgement(JudgementId::at(0)).fails + 1 < 3 {
        world.probe(target, false);
    }
    assert_eq!(world.core.health().judgement(JudgementId::at(0)).state, State::Up);
    let mut world = world.succeed(TWO);
    assert_eq!(world.answers("orders"), "prod 100", "no answer moves by itself");
    world.probe(target, false);
    assert_eq!(world.core.health().judgement(JudgementId::at(0)).state, State::Down);
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn what_the_store_could_not_be_told_is_known_and_written_by_the_next() {
    let mut world = World::new(TWO);
    world.store_works = false;
    world.turn("prod", State::Down);
    let key = Key::Verdict(world.core.estate().targets[0].key.clone());
    let before = world.on_disk(&key).cloned();
    let world = world.succeed(TWO);
    assert_eq!(world.answers("orders"), "dr 100");
    assert_ne!(world.on_disk(&key).cloned(), before, "it is written now");
}

#[test]
fn traffic_and_overrides_come_from_the_store_and_a_changed_file_takes_its_part() {
    let mut world = World::new(TWO);
    world.change(failover("orders", Some("dr"))).expect("done");
    let target = OverrideTargetName::Pool("prod".into());
    world.change(Change::Override { kind: OverrideWord::Drain, target, services: Vec::new(), lasts: Some(Duration::from_secs(100)) }).expect("done");
    world.turn("prod", State::Down);
    let mut world =
        world.succeed("pool new: 10.9.0.1; pool dr: 10.1.0.1; pool prod: 10.0.0.1; service orders: failover prod dr; service more: failover new dr");
    assert_eq!(world.core.health().endpoint(world.core.estate(), crate::model::EndpointId::at(2)), State::Down, "found by name, not by place");
    assert_eq!(world.core.overrides().len(), 1);
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(world.served, "one new target is no reason to wait");
    world.later(101);
    assert!(world.core.overrides().is_empty(), "it ends when it was to end");
}

#[test]
fn without_a_single_verdict_there_is_a_first_round_as_ever() {
    let world = World::fresh(TWO);
    assert!(!world.served);
    let mut world = world.succeed(TWO);
    assert!(!world.served);
    assert_eq!(world.plans, [(1, true)]);
    world.probe(TargetId::at(0), true);
    world.probe(TargetId::at(1), true);
    assert!(world.served);
}

#[test]
fn a_core_says_that_it_is_writing_until_all_is_written() {
    let mut world = World::new(TWO);
    assert!(!world.core.is_writing());
    world.store_works = false;
    world.turn("prod", State::Down);
    assert!(!world.core.is_writing(), "a store that refuses is not waited for");
    world.store_works = true;
    world.later(2);
    assert!(!world.core.is_writing(), "written by the retry");
}
