//! Reloads (SEMANTICS, 15 and 16).

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Notice, RefusalKind, Source};
use crate::health::State;
use crate::model::{GuardKind, TargetId};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s";
const THREE: &str = "pool new: 10.2.0.1; pool dr: 10.1.0.1; pool prod: 10.0.0.1; service more: failover new dr; service orders: failover prod dr failback=60s";
const WITHOUT_PROD: &str = "pool dr: 10.1.0.1; pool spare: 10.3.0.1; service orders: failover dr spare";

#[test]
fn health_and_holds_of_what_stays_are_kept_whatever_the_order_in_the_file() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.reload(THREE).expect("taken");
    assert_eq!(world.answers("orders"), "dr 100", "prod has returned and still waits");
    world.later(60);
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.plans.last(), Some(&(2, false)));
}

#[test]
fn outcomes_of_the_plan_before_a_reload_are_ignored() {
    let mut world = World::new(TWO);
    let report = crate::policy::testing::report(false, world.now);
    world.reload(THREE).expect("taken");
    world.event(crate::control::Event::Probed { plan: 1, target: TargetId::at(0), report });
    assert_eq!(world.core.overview().ignored_outcomes, 1);
}

#[test]
fn a_reload_that_removes_a_name_used_by_traffic_is_refused_with_who_set_it() {
    let mut world = World::new(TWO);
    world.change(failover("orders", None)).expect("set");
    let refusal = world.reload(WITHOUT_PROD).expect_err("prod is used");
    assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
    let fault = &refusal.faults[0];
    assert!(fault.message.contains("revision 1") && fault.message.contains("token:anna"), "{fault:?}");
    assert!(fault.hint.contains("undo orders --to file"), "{fault:?}");
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn at_start_unusable_traffic_is_marked_and_resumes_when_the_name_exists_again() {
    let mut world = World::new(TWO);
    world.change(traffic("orders", "failover prod")).expect("set");
    let mut world = world.restart(WITHOUT_PROD, Duration::from_secs(1));
    let view = world.core.service(world.service("orders"));
    assert_eq!(view.source, Source::File);
    assert!(view.unusable.is_some_and(|why| why.contains("prod")));
    world.reload(TWO).expect("taken");
    let view = world.core.service(world.service("orders"));
    assert_eq!((view.source, view.unusable), (Source::Operator, None));
}

#[test]
fn when_the_file_changes_underneath_the_operator_wins_and_is_named() {
    let mut world = World::new(TWO);
    world.change(failover("orders", None)).expect("set");
    let applied = world.reload("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: weighted prod=50 dr=50").expect("taken");
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(applied.messages.iter().any(|message| message.contains("token:anna") && message.contains("undo orders --to file")), "{:?}", applied.messages);
}

#[test]
fn traffic_of_a_removed_service_is_kept() {
    let mut world = World::new(THREE);
    world.change(traffic("more", "failover dr new")).expect("set");
    world.reload(TWO).expect("taken");
    world.reload(THREE).expect("taken");
    assert_eq!(world.answers("more"), "dr 100");
}

/// Guards in force, by the file that runs.
fn rule(world: &mut World, change: impl FnOnce(&mut crate::model::ChangeRules)) {
    let mut estate = (**world.core.estate()).clone();
    change(&mut estate.rules);
    world.core.configuration.estate = std::sync::Arc::new(estate);
}

fn weighted(prod: u32, dr: u32) -> String {
    format!("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service search: weighted prod={prod} dr={dr}")
}

#[test]
fn a_reload_keeps_the_guards_in_force_or_names_all_that_it_breaks_and_changes_nothing() {
    let mut world = World::new(&weighted(80, 20));
    rule(&mut world, |rules| {
        rules.global.max_step = Some(50);
        rules.capacity = [(std::sync::Arc::from("dr"), crate::model::Capacity { all: Some(60), ..Default::default() })].into();
    });
    let before = world.answers("search");
    let refusal = world.reload(&weighted(0, 100)).expect_err("guards stand in the way");
    let guards: Vec<&str> = refusal.guards.iter().map(|finding| finding.guard.word()).collect();
    assert_eq!((refusal.kind, guards.as_slice(), world.answers("search")), (RefusalKind::GuardRefused, ["max_step", "capacity"].as_slice(), before));
    assert!(refusal.detail.contains("windrose plan") && refusal.guards.iter().all(|finding| finding.way_on.contains("--break-glass")), "{refusal:?}");
    let preview = world.core.preview(&super::world::configuration(&weighted(0, 100)), world.now);
    assert_eq!(preview.refusals.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["max_step", "capacity"]);

    world.break_glass = vec![GuardKind::MaxStep];
    assert_eq!(world.reload(&weighted(0, 100)).expect_err("capacity is left").guards.len(), 1);
    world.notices.clear();
    world.break_glass = vec![GuardKind::MaxStep, GuardKind::Capacity];
    world.reload(&weighted(0, 100)).expect("taken");
    assert_eq!(world.answers("search"), "dr 100");
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::GuardOverridden { guards, .. } if guards == &["max_step", "capacity"])));
}

#[test]
fn a_reload_may_not_take_the_last_region_away_nor_lead_to_what_is_down() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr; service search: weighted prod=100 dr=0");
    world.turn("dr", State::Down);
    let refusal = world.reload("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover dr; service search: weighted prod=50 dr=50");
    let guards: Vec<&str> = refusal.expect_err("refused").guards.iter().map(|finding| finding.guard.word()).collect();
    assert!(guards.contains(&"min_serving_regions") && guards.contains(&"healthy_targets"), "{guards:?}");
    // What is new has no verdict: nobody can probe what is not in the file yet.
    world.reload("pool prod: 10.9.0.1; pool new: 10.8.0.1; service orders: failover new prod; service more: failover prod").expect("taken");
}

#[test]
fn what_moves_nothing_is_not_weighed() {
    let mut world = World::new(TWO);
    rule(&mut world, |rules| {
        let always = crate::model::FreezeTime::Once(crate::model::Timestamp(0), crate::model::Timestamp(4_000_000_000_000));
        rules.freezes = vec![crate::model::FreezeWindow { time: always, services: Vec::new(), allow: Vec::new(), about: "".into() }];
        rules.global.require_reason = Some(true);
    });
    world.reload(THREE).expect("a new pool and service, in another order");
}

#[test]
fn a_second_person_wants_the_same_reload_where_the_file_says_so() {
    let mut world = World::new(&weighted(80, 20));
    rule(&mut world, |rules| {
        rules.global.max_step = Some(50);
        rules.break_glass_confirm = true;
    });
    let ask = |world: &mut World, actor: &'static str| {
        (world.actor, world.reason, world.break_glass) = (actor, "CHG-1", vec![GuardKind::MaxStep]);
        world.reload(&weighted(0, 100)).map_err(|refusal| refusal.kind)
    };
    assert_eq!(ask(&mut world, "token:anna").err(), Some(RefusalKind::ConfirmationNeeded));
    assert_eq!(ask(&mut world, "token:anna").err(), Some(RefusalKind::ConfirmationNeeded), "the same person is no second one");
    world.later(601);
    assert_eq!(ask(&mut world, "token:bert").err(), Some(RefusalKind::ConfirmationNeeded), "too late");
    assert!(ask(&mut world, "token:anna").is_ok());
    assert_eq!(world.answers("search"), "dr 100");
}

#[test]
fn a_reload_keeps_the_step_of_a_pool_that_returns() {
    let staged =
        |steps: &str, more: &str| format!("pool prod: 10.0.0.1; pool dr: 10.1.0.1; {more}service orders: failover prod dr failback=staged:60s:{steps}:60s");
    let mut world = World::new(&staged("5,20,60,100", ""));
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    let keep_up = |world: &mut World, seconds: u64| (0..seconds / 10).for_each(|_| world.later(10));
    keep_up(&mut world, 60);
    assert_eq!(world.answers("orders"), "prod 5, dr 95");
    keep_up(&mut world, 60);
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
    // Pools get other numbers; the step and its clock go on.
    keep_up(&mut world, 30);
    let next = staged("5,20,60,100", "").replace("pool prod", "pool far: 10.2.0.1; pool prod");
    assert!(world.core.preview(&super::world::configuration(&next), world.now).moves.is_empty());
    world.reload(&next).expect("taken");
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
    keep_up(&mut world, 20);
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
    keep_up(&mut world, 10);
    assert_eq!(world.answers("orders"), "prod 60, dr 40", "when its time is over");
    // Fewer steps: it stands at the last but one.
    world.reload(&staged("30,100", "")).expect("taken");
    assert_eq!(world.answers("orders"), "prod 30, dr 70");
    keep_up(&mut world, 60);
    assert_eq!(world.answers("orders"), "prod 100");
}
