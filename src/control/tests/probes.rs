//! The last probes of a target survive passes, a reload, a kill and a hand-over; the store is not asked for each of them.

use std::time::Duration;

use super::world::World;
use crate::control::{Key, Op};
use crate::model::TargetId;

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr";
const MOVED: &str = "pool new: 10.9.0.1; pool dr: 10.1.0.1; pool prod: 10.0.0.1; service orders: failover prod dr";

/// Passes and fails kept of the target with this address.
fn kept(world: &World, address: &str) -> (usize, usize) {
    let target = world.core.estate().targets.iter().position(|target| target.address.to_string() == address).expect("it exists");
    let history = world.core.probes(TargetId::at(target)).expect("it exists");
    (history.passes().count(), history.fails().count())
}

/// The moment at which the sign of life is due.
fn alive(world: &mut World) {
    world.later(10);
    world.probe(TargetId::at(1), true);
    world.settle();
}

fn writes(world: &World) -> usize {
    world.commits.iter().filter(|(ops, _)| ops.iter().any(|op| matches!(op, Op::Put(Key::Probes(_), _)))).count()
}

#[test]
fn a_fail_outlives_passes_a_kill_a_reload_and_a_hand_over() {
    let mut world = World::new(TWO);
    world.probe(TargetId::at(0), false);
    alive(&mut world);
    for _ in 0..100 {
        world.probe(TargetId::at(0), true);
    }
    assert_eq!(kept(&world, "10.0.0.1"), (20, 1));
    let killed = world.restart(TWO, Duration::from_secs(86_400));
    assert_eq!(kept(&killed, "10.0.0.1"), (1, 1), "the fail, and the pass that was there when it was written");
    assert_eq!(kept(&killed, "10.1.0.1"), (0, 0), "passes alone are not written");
    let heir = world.succeed(MOVED);
    assert_eq!([kept(&heir, "10.0.0.1"), kept(&heir, "10.1.0.1"), kept(&heir, "10.9.0.1")], [(20, 1), (2, 0), (0, 0)]);
    world.reload(MOVED).expect("taken");
    assert_eq!([kept(&world, "10.0.0.1"), kept(&world, "10.1.0.1"), kept(&world, "10.9.0.1")], [(20, 1), (2, 0), (0, 0)]);
}

#[test]
fn fails_are_written_at_most_once_in_ten_seconds_and_not_for_each_probe() {
    let mut world = World::new(TWO);
    let before = writes(&world);
    for _ in 0..60 {
        world.probe(TargetId::at(0), false);
        world.later(1);
    }
    let written = writes(&world) - before;
    assert!((5..=8).contains(&written), "{written} in a minute");
    let killed = world.restart(TWO, Duration::from_secs(1));
    let (_, fails) = kept(&killed, "10.0.0.1");
    assert!((40..=50).contains(&fails), "{fails}: the last ten seconds may be lost");
}

#[test]
fn a_store_that_refuses_gets_them_later() {
    let mut world = World::new(TWO);
    world.store_works = false;
    world.probe(TargetId::at(0), false);
    alive(&mut world);
    assert_eq!(kept(&world.restart(TWO, Duration::from_secs(1)), "10.0.0.1"), (0, 0));
    world.store_works = true;
    world.later(2);
    assert_eq!(kept(&world.restart(TWO, Duration::from_secs(1)), "10.0.0.1"), (1, 1));
}

#[test]
fn probes_of_removed_targets_leave_the_store() {
    let mut world = World::new(TWO);
    world.probe(TargetId::at(0), false);
    alive(&mut world);
    let key = Key::Probes(world.core.estate().targets[0].key.clone());
    assert!(world.on_disk(&key).is_some());
    world.reload("pool dr: 10.1.0.1; service orders: failover dr").expect("taken");
    world.later(1);
    assert!(world.on_disk(&key).is_none());
}

#[test]
fn a_fail_that_was_not_written_is_written_by_the_heir() {
    let mut world = World::new(TWO);
    world.probe(TargetId::at(0), false);
    world.later(1);
    world.probe(TargetId::at(0), false);
    world.settle();
    let mut heir = world.succeed(TWO);
    assert_eq!(kept(&heir, "10.0.0.1").1, 2);
    alive(&mut heir);
    assert_eq!(kept(&heir.restart(TWO, Duration::from_secs(1)), "10.0.0.1").1, 2);
}
