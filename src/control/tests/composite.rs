//! Composite monitors, several judgements of one target, and required pools, through a restart, an upgrade and a reload.

use std::time::Duration;

use super::world::World;
use crate::control::{Key, Op};
use crate::health::State;
use crate::model::{EndpointId, TargetId};

const PORTAL: &str =
    "composite portal: all web database; pool prod: 10.0.0.1 monitor=portal; pool dr: 10.1.0.1 monitor=portal; service orders: failover prod dr failback=0s";

fn close(world: &mut World, target: usize) {
    (0..3).for_each(|_| world.probe(TargetId::at(target), false));
}

#[test]
fn a_composite_goes_through_a_restart_and_an_upgrade_by_its_members() {
    let mut world = World::new(PORTAL);
    world.later(5);
    close(&mut world, 1);
    assert_eq!(world.answers("orders"), "dr 100");
    let world = world.restart(PORTAL, Duration::from_secs(5));
    assert!(world.served, "stored verdicts make the first round needless");
    assert_eq!(world.answers("orders"), "dr 100");
    let mut world = world.succeed(PORTAL);
    assert_eq!(world.answers("orders"), "dr 100");
    (0..5).for_each(|_| world.probe(TargetId::at(1), true));
    assert_eq!(world.answers("orders"), "dr 100", "the other member is not confirmed yet, and failback waits for it");
    world.probe(TargetId::at(0), true);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn the_failover_is_told_with_the_member_that_failed_and_explained_by_it() {
    let mut world = World::new(PORTAL);
    close(&mut world, 1);
    let (_, steps) = world.core.explain(world.service("orders"), crate::client::ClassId::UNKNOWN, world.now);
    let prod = steps.iter().find(|step| step.text.starts_with("pool prod")).expect("a step for prod");
    assert!(
        prod.text.starts_with("pool prod is down: 0 of 1 endpoints up (10.0.0.1: database: timeout: no answer within 3s while connecting, down since "),
        "{}",
        prod.text
    );
}

const TWICE: &str = "pool strict: 10.0.0.1 down_after=1; pool patient: 10.0.0.1; pool dr: 10.1.0.1; service a: failover strict dr failback=0s; service b: failover patient dr failback=0s";

#[test]
fn two_judgements_of_a_target_are_stored_apart_and_a_plain_one_under_the_targets_key() {
    let mut world = World::new(TWICE);
    world.probe(TargetId::at(0), false);
    assert_eq!((world.answers("a"), world.answers("b")), ("dr 100".to_string(), "patient 100".to_string()));
    let estate = world.core.estate().clone();
    let keys: Vec<&str> = estate.judgements.iter().map(|judgement| &*judgement.key).collect();
    assert_eq!(keys, ["gateway@10.0.0.1#0~1/5/5", "gateway@10.0.0.1#0", "gateway@10.1.0.1#0"]);
    assert!(keys.iter().all(|key| world.on_disk(&Key::Verdict((*key).into())).is_some()));
    let world = world.restart(TWICE, Duration::from_secs(5));
    assert_eq!((world.answers("a"), world.answers("b")), ("dr 100".to_string(), "patient 100".to_string()));
}

#[test]
fn who_changes_thresholds_keeps_the_verdict_over_a_restart_and_the_old_key_is_forgotten() {
    let mut world = World::new(TWICE);
    (0..3).for_each(|_| world.probe(TargetId::at(0), false));
    let tuned = "pool strict: 10.0.0.1 down_after=2; pool dr: 10.1.0.1; service a: failover strict dr failback=0s";
    let mut world = world.restart(tuned, Duration::from_secs(5));
    assert_eq!(world.answers("a"), "dr 100", "the dead stay dead");
    world.probe(TargetId::at(0), false);
    world.later(1);
    let deleted = |key: &str| world.commits.iter().any(|(ops, _)| ops.iter().any(|op| matches!(op, Op::Delete(Key::Verdict(known)) if **known == *key)));
    assert!(deleted("gateway@10.0.0.1#0~1/5/5") && deleted("gateway@10.0.0.1#0"));
    assert!(world.on_disk(&Key::Verdict("gateway@10.0.0.1#0~2/5/5".into())).is_some());
}

const REQUIRES: &str =
    "pool db: 10.9.0.1 10.9.0.2 10.9.0.3; pool prod: 10.0.0.1 requires=db:2; pool dr: 10.1.0.1; service orders: failover prod dr failback=0s";

#[test]
fn a_service_is_decided_again_when_a_pool_changes_that_only_is_required() {
    let mut world = World::new(REQUIRES);
    close(&mut world, 0);
    assert_eq!(world.answers("orders"), "prod 100");
    close(&mut world, 1);
    assert_eq!(world.answers("orders"), "dr 100");
    let (_, steps) = world.core.explain(world.service("orders"), crate::client::ClassId::UNKNOWN, world.now);
    let prod = steps.iter().find(|step| step.text.starts_with("pool prod")).expect("a step for prod");
    assert!(prod.text.starts_with("pool prod is down: it requires db, of which 1 of 2 needed is up; 1 of 1 endpoints up"), "{}", prod.text);
}

#[test]
fn s26_a_second_region_without_its_databases_is_kept_by_the_guard() {
    let mut world = World::new(
        "pool db-a: 10.9.0.1 region=a; pool a: 10.0.0.1 region=a requires=db-a; pool db-b: 10.9.1.1 region=b; pool b: 10.1.0.1 region=b requires=db-b; pool c: 10.2.0.1; service orders: failover a b c failback=0s",
    );
    // Region a: its databases, then its portals.
    close(&mut world, 0);
    assert_eq!(world.answers("orders"), "b 100", "no endpoint of pool a is down, and it is of no use");
    close(&mut world, 2);
    let kept = world.core.guard().keeps(EndpointId(2));
    assert_eq!((world.answers("orders").as_str(), kept), ("b 100", true), "region b fell within the window of region a");
    assert_eq!(world.core.health().endpoint(world.core.estate(), EndpointId(2)), State::Down, "observed goes on");
}
