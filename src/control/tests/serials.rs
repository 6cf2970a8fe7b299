//! Serials count up by themselves where there are secondaries (SEMANTICS, 23).

use std::time::Duration;

use super::world::{World, traffic};
use crate::control::{Key, Record};
use crate::health::State;

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s";

fn with(extra: &str) -> String {
    format!("{TWO}\n{extra}")
}

fn watched() -> String {
    with("secondary 192.0.2.53:53")
}

/// The serial that is answered and told, and what the disk has.
fn serial(world: &World) -> u32 {
    let served = world.snapshot.as_ref().expect("published").served_serial(0).expect("a zone");
    let told = &world.announced.last().expect("told")[0];
    assert_eq!((told.zone.to_string(), told.serial), ("example.com".to_string(), served));
    served
}

fn on_disk(world: &World) -> Option<u32> {
    match world.on_disk(&Key::Serial("example.com".parse().expect("a name"))) {
        Some(Record::Serial(serial)) => Some(*serial),
        _ => None,
    }
}

#[test]
fn a_zone_without_secondaries_has_the_files_serial_whatever_happens() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.later(5);
    assert!(world.announced.is_empty());
    let snapshot = world.snapshot.as_ref().expect("published");
    assert_eq!((snapshot.serial(0), snapshot.content().is_none(), on_disk(&world)), (None, true, None));
}

#[test]
fn a_decision_that_changes_raises_it_once_a_second_at_most_and_it_is_durable_before_it_is_served() {
    let mut world = World::new(&watched());
    world.later(5);
    let first = serial(&world);
    assert!(first == 7 || first == 8, "what the first round found may be a change: {first}");
    assert_eq!(on_disk(&world), Some(first));
    world.turn("prod", State::Down);
    assert_eq!((serial(&world), on_disk(&world)), (first + 1, Some(first + 1)));
    world.turn("prod", State::Up);
    world.later(70);
    world.later(5);
    let before = serial(&world);
    // Back and forth within a second: once now, once for all the rest when it is over.
    for form in ["weighted prod=0 dr=100", "failover prod dr", "failover dr prod", "weighted prod=100 dr=0", "failover dr prod"] {
        world.change(traffic("orders", form)).expect("set");
    }
    assert_eq!(serial(&world), before + 1);
    world.later(1);
    assert_eq!((serial(&world), on_disk(&world)), (before + 2, Some(before + 2)));
    world.later(5);
    assert_eq!(serial(&world), before + 2);
    let told: Vec<u32> = world.announced.iter().map(|told| told[0].serial).collect();
    assert!(told.is_sorted_by(|a, b| a < b), "each told once: {told:?}");
}

#[test]
fn a_change_that_secondaries_cannot_see_does_not_raise_it() {
    let mut world = World::new(&watched());
    world.change(traffic("orders", "weighted prod=80 dr=20")).expect("set");
    world.later(5);
    let before = serial(&world);
    world.change(traffic("orders", "weighted prod=70 dr=30")).expect("set");
    world.later(5);
    assert_eq!(serial(&world), before, "the largest share stays where it was");
    world.change(traffic("orders", "weighted prod=30 dr=70")).expect("set");
    world.later(5);
    assert_eq!(serial(&world), before + 1);
}

#[test]
fn a_restart_goes_on_from_what_was_served() {
    let mut world = World::new(&watched());
    for _ in 0..3 {
        world.turn("prod", State::Down);
        world.later(2);
        world.turn("prod", State::Up);
        world.later(70);
    }
    let before = serial(&world);
    assert!(before > 7);
    let mut world = world.restart(&watched(), Duration::from_secs(5));
    world.settle();
    assert_eq!(serial(&world), before + 1, "a start counts as a change");
    let world = world.restart(&with("secondary 192.0.2.53:53\nserial 2026112101"), Duration::from_secs(5));
    assert_eq!(serial(&world), 2026112101, "the file may push it");
}

#[test]
fn a_store_that_refuses_holds_nobody_up() {
    let mut world = World::new(&watched());
    world.later(5);
    let (before, durable) = (serial(&world), on_disk(&world));
    world.store_works = false;
    world.turn("prod", State::Down);
    assert_eq!((serial(&world), on_disk(&world)), (before + 1, durable));
    world.store_works = true;
    world.later(5);
    assert_eq!(on_disk(&world), Some(before + 1), "told again until it is durable");
}

#[test]
fn a_reload_raises_it_when_content_changed_and_else_not() {
    let mut world = World::new(&watched());
    world.later(5);
    let before = serial(&world);
    world.reload(&watched()).expect("taken");
    world.later(5);
    assert_eq!(serial(&world), before);
    let more = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s; service more: failover prod dr\nsecondary 192.0.2.53:53";
    world.reload(more).expect("taken");
    world.later(5);
    assert_eq!(serial(&world), before + 1);
    world.reload(&format!("{more}\nserial 1000")).expect("taken");
    world.later(5);
    assert_eq!(serial(&world), 1000);
}

#[test]
fn secondaries_come_and_go_with_a_reload() {
    let mut world = World::new(TWO);
    world.reload(&watched()).expect("taken");
    world.later(5);
    assert_eq!(serial(&world), 7, "the file's, until something changes");
    world.turn("prod", State::Down);
    world.later(5);
    let counted = serial(&world);
    assert!(counted > 7);
    world.reload(TWO).expect("taken");
    assert_eq!(world.announced.last().map(Vec::len), Some(0));
    assert_eq!(world.snapshot.as_ref().expect("published").serial(0), None);
    world.reload(&watched()).expect("taken");
    world.later(5);
    assert_eq!(serial(&world), counted + 1, "never back");
}
