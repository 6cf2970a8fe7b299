//! The TTL goes by what may come (SEMANTICS, 24).

use std::time::Duration;

use super::world::{World, failover};
use crate::control::{Change, Order, OverrideTargetName, OverrideWord, Wanted};
use crate::health::State;
use crate::model::{Moment, Share, TargetId, parse_step};

/// Probed every 10 s, down after 3 fails, up after 5 passes, forgiven after 5.
const THREE: &str = "thresholds down_after=3 ok_after=5 up_after=5\npool prod: a=10.0.0.1\npool dr: b=10.1.0.1\npool far: c=10.2.0.1\n\
                     service search: weighted prod=80 dr=20 failback=60s ttl=30 ttl_min=5\nservice orders: failover prod far failback=manual ttl=30 ttl_min=5\n\
                     service still: failover far ttl=4 ttl_min=5";
const PROD: TargetId = TargetId(0);
const DR: TargetId = TargetId(1);
const FAR: TargetId = TargetId(2);

fn ttl(world: &World, service: &str) -> u32 {
    world.core.service(world.service(service)).decision.ttl
}

/// So many seconds from now.
fn due(world: &World, seconds: u64) -> String {
    world.now.wall.plus(Duration::from_secs(seconds)).whole_seconds()
}

fn because(world: &World, service: &str) -> String {
    let (_, steps) = world.core.explain(world.service(service), crate::client::ClassId::UNKNOWN, world.now);
    steps.into_iter().rfind(|step| step.topic == "ttl").expect("the last step").text
}

/// Second by second, as the ticks that are asked for allow; gives each TTL that was answered.
fn seconds(world: &mut World, service: &str, count: u64) -> Vec<u32> {
    (0..count)
        .map(|_| {
            world.later(1);
            ttl(world, service)
        })
        .collect()
}

#[test]
fn a_streak_lowers_the_ttl_of_whom_it_may_move_and_gives_it_back() {
    let mut world = World::new(THREE);
    assert_eq!((ttl(&world, "search"), because(&world, "search").as_str()), (30, "30 s"));
    world.probe(DR, false);
    // Two more fails, 10 s apart each.
    assert_eq!(seconds(&mut world, "search", 10), [19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
    let at = due(&world, 10);
    assert_eq!(because(&world, "search"), format!("10 s: between ttl_min (5 s) and ttl (30 s), because dr/b may be down at {at} (1 of 3 fails)"));
    assert_eq!(ttl(&world, "orders"), 30, "it does not use that pool");
    world.probe(DR, false);
    assert_eq!(seconds(&mut world, "search", 9), [9, 8, 7, 6, 5, 5, 5, 5, 5]);
    let publishes = world.publishes;
    for _ in 0..5 {
        world.probe(DR, true);
    }
    world.later(1);
    assert_eq!((ttl(&world, "search"), world.publishes), (30, publishes + 1), "forgiven: one publish");
    world.later(600);
    assert_eq!(world.publishes, publishes + 1, "settled: nothing to do");
}

#[test]
fn only_who_answers_or_would_again_counts() {
    let mut world = World::new(THREE);
    world.probe(FAR, false);
    world.later(1);
    assert_eq!(ttl(&world, "orders"), 30, "a standby that is about to fall changes no answer");
    assert_eq!(ttl(&world, "still"), 4, "below ttl_min there is nothing to lower");
    world.turn("far", State::Down);
    world.turn("prod", State::Up);
    world.later(1);
    assert_eq!(ttl(&world, "orders"), 30);
    world
        .change(Change::Override {
            kind: OverrideWord::ForceUp,
            target: OverrideTargetName::Pool("prod".into()),
            services: Vec::new(),
            lasts: Some(Duration::from_secs(7200)),
        })
        .expect("forced");
    world.probe(PROD, false);
    world.later(1);
    assert_eq!(ttl(&world, "orders"), 30, "forced up: whatever the probes say");
}

#[test]
fn a_return_lowers_it_when_the_hold_is_about_to_end() {
    let mut world = World::new(THREE);
    world.turn("dr", State::Down);
    world.later(1);
    assert_eq!(ttl(&world, "search"), 30, "nothing is about to change");
    world.turn("dr", State::Up);
    assert_eq!(seconds(&mut world, "search", 29), [30; 29], "held for 60 s");
    assert_eq!(seconds(&mut world, "search", 3), [30, 29, 28]);
    let at = due(&world, 28);
    assert_eq!(because(&world, "search"), format!("28 s: between ttl_min (5 s) and ttl (30 s), because a failback is due at {at}"));
    world.later(40);
    assert_eq!((world.answers("search").as_str(), ttl(&world, "search")), ("prod 80, dr 20", 30));
}

#[test]
fn a_manual_failback_is_nobodys_clock() {
    let mut world = World::new(THREE);
    world.turn("prod", State::Down);
    world.probe(PROD, true);
    world.later(1);
    assert_eq!(ttl(&world, "orders"), 30, "it returns when somebody says so");
}

#[test]
fn planned_changes_lower_it_before_they_come() {
    let mut world = World::new(THREE);
    let moment = Moment::After(Duration::from_secs(40));
    let applied = world.change(Change::Schedule { moment, change: Box::new(failover("orders", Some("far"))) }).expect("scheduled");
    let (id, _) = applied.schedule.expect("a schedule");
    assert_eq!(seconds(&mut world, "orders", 12), [30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 29, 28]);
    let at = due(&world, 28);
    assert_eq!(because(&world, "orders"), format!("28 s: between ttl_min (5 s) and ttl (30 s), because the scheduled change t-{id} is due at {at}"));
    assert_eq!(ttl(&world, "search"), 30, "nobody planned anything for it");
    assert_eq!(seconds(&mut world, "orders", 28)[20..], [7, 6, 5, 5, 5, 5, 5, 30]);
    assert_eq!(world.answers("orders"), "far 100");

    let target = OverrideTargetName::Pool("prod".into());
    let drain = Change::Override { kind: OverrideWord::Drain, target, services: vec!["search".into()], lasts: Some(Duration::from_secs(20)) };
    world.change(drain).expect("drained");
    assert_eq!(seconds(&mut world, "search", 2), [19, 18], "its end is planned");
    world.later(18);
    assert_eq!((ttl(&world, "search"), world.answers("search").as_str()), (30, "prod 80, dr 20"));
}

#[test]
fn the_next_step_of_a_shift_is_planned_and_a_paused_one_is_not() {
    let mut world = World::new(THREE);
    let steps = ["50", "100"].map(|step| parse_step(step, Duration::from_secs(60)).expect("a step")).to_vec();
    let wanted = Wanted { to: vec![("dr".into(), Share::FULL)], steps, ..Wanted::default() };
    world.change(Change::Shift { service: "search".into(), wanted }).expect("it begins");
    assert_eq!(seconds(&mut world, "search", 32)[28..], [30, 30, 29, 28]);
    let id = world.core.shift_of("search").expect("a shift");
    world.change(Change::ShiftOrder { id, order: Order::Pause }).expect("paused");
    assert_eq!(ttl(&world, "search"), 30);
    world.change(Change::ShiftOrder { id, order: Order::Resume }).expect("resumed");
    assert_eq!(seconds(&mut world, "search", 1), [27]);
    world.later(27);
    assert_eq!((ttl(&world, "search"), world.answers("search").as_str()), (30, "dr 100"));
}

#[test]
fn many_streaks_cost_one_publish_a_second() {
    let mut world = World::new(THREE);
    let before = world.publishes;
    for _ in 0..10 {
        world.now.mono += Duration::from_millis(95);
        world.probe(PROD, false);
        world.probe(PROD, true);
        world.probe(DR, false);
        world.probe(DR, true);
        for target in [PROD, DR] {
            (0..4).for_each(|_| world.probe(target, true));
        }
    }
    assert!(world.publishes <= before + 1, "{} publishes in less than a second", world.publishes - before);
}
