//! Schedules: made at their moments, asked again then, never twice, never silently not.

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Change, Key, Notice, OverrideTargetName, OverrideWord, RefusalKind, ScheduleState, ScheduleView, Wanted};
use crate::health::State;
use crate::model::{ChangeRules, GuardKeys, Moment, Share};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service search: weighted prod=80 dr=20 failback=2s; service orders: failover prod dr";

fn later(change: Change, seconds: u64) -> Change {
    Change::Schedule { moment: Moment::After(Duration::from_secs(seconds)), change: Box::new(change) }
}

fn drain(pool: &str) -> Change {
    let target = OverrideTargetName::Pool(pool.into());
    Change::Override { kind: OverrideWord::Drain, target, services: Vec::new(), lasts: Some(Duration::from_secs(3600)) }
}

fn set(world: &mut World, change: Change, seconds: u64) -> u64 {
    let applied = world.change(later(change, seconds)).expect("it is scheduled");
    applied.schedule.expect("it says so").0
}

fn view(world: &World, id: u64) -> ScheduleView {
    world.core.schedule(id, world.now).expect("it is kept")
}

fn told(world: &World) -> Vec<&'static str> {
    world.notices.iter().filter_map(|notice| if let Notice::Schedule { happened, .. } = notice { Some(*happened) } else { None }).collect()
}

fn verbs(world: &World) -> Vec<String> {
    let mut audit: Vec<(u64, String)> = Vec::new();
    for stored in &world.disk {
        if let (Key::Audit(number), crate::control::Record::Line(text)) = (&stored.key, &stored.record) {
            let fields: serde_json::Value = serde_json::from_str(text).expect("JSON");
            audit.push((*number, fields["verb"].as_str().expect("a verb").to_string()));
        }
    }
    audit.sort();
    audit.into_iter().map(|(_, verb)| verb).collect()
}

#[test]
fn a_change_is_made_at_its_moment_and_not_before() {
    let mut world = World::new(TWO);
    let id = set(&mut world, traffic("search", "weighted prod=50 dr=50"), 60);
    assert_eq!(view(&world, id).left, Some(Duration::from_secs(60)));
    world.later(59);
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    world.later(1);
    assert_eq!(world.answers("search"), "prod 50, dr 50");
    assert_eq!((view(&world, id).record.state, view(&world, id).left), (ScheduleState::Done, None));
    let (_, entry) = world.core.history("search").pop().expect("it stands in the history");
    assert_eq!((entry.actor.as_str(), entry.reason.as_str()), (format!("token:anna, scheduled as t-{id}").as_str(), "CHG-1"));
    assert_eq!(told(&world), ["created", "done"]);
    assert_eq!(verbs(&world), ["schedule.create", "schedule.done"]);
    world.later(3600);
    assert_eq!(world.core.history("search").len(), 1, "once");
}

#[test]
fn drains_their_ends_failovers_and_shifts_are_scheduled_too() {
    let mut world = World::new(TWO);
    set(&mut world, failover("orders", Some("dr")), 10);
    set(&mut world, drain("dr"), 20);
    world.later(10);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(10);
    assert_eq!((world.answers("orders"), world.answers("search")), ("prod 100".to_string(), "prod 100".to_string()));
    let drained = world.core.overrides().first().map(|kept| kept.id).expect("a drain");
    let id = set(&mut world, Change::EndOverride { id: drained }, 10);
    assert_eq!(view(&world, id).services.len(), 2, "it knows whom it moves");
    let again = set(&mut world, Change::EndOverride { id: drained }, 11);
    let wanted = Wanted { to: vec![("dr".to_string(), Share::FULL)], ..Wanted::default() };
    set(&mut world, Change::Shift { service: "search".into(), wanted }, 20);
    world.later(11);
    assert_eq!(world.answers("orders"), "dr 100");
    assert_eq!(view(&world, again).record.state, ScheduleState::Done, "what it was to end had ended: nobody is alarmed");
    world.later(10);
    assert_eq!(world.answers("search"), "prod 76, dr 24", "the first step");
    assert!(world.core.active_shift("search").is_some());
}

#[test]
fn a_change_that_can_never_be_right_is_refused_at_once() {
    let mut world = World::new(TWO);
    for (change, kind) in [
        (traffic("serach", "weighted prod=50 dr=50"), RefusalKind::NotFound),
        (traffic("search", "weighted prod=50 dx=50"), RefusalKind::InvalidRequest),
        (Change::Failback { service: "search".into(), pool: None }, RefusalKind::InvalidRequest),
        (Change::EndOverride { id: 9 }, RefusalKind::NotFound),
        (later(failover("orders", None), 5), RefusalKind::InvalidRequest),
    ] {
        assert_eq!(world.change(later(change, 60)).expect_err("refused").kind, kind);
    }
    for seconds in [0, 400 * 86_400] {
        assert_eq!(world.change(later(failover("orders", None), seconds)).expect_err("refused").kind, RefusalKind::InvalidRequest);
    }
    assert!(world.core.schedules(world.now).is_empty());
    let dry = world.wish(later(failover("orders", Some("dr")), 60), None, true).expect("a dry run");
    assert!(dry.dry_run && dry.schedule.is_some() && dry.moves.len() == 1 && world.core.schedules(world.now).is_empty());
}

/// Guards that want both regions to serve, and a reason.
fn guarded(world: &mut World) {
    let mut estate = (**world.core.estate()).clone();
    estate.rules = ChangeRules { global: GuardKeys { min_serving_regions: Some(2), require_reason: Some(true), ..GuardKeys::default() }, ..estate.rules };
    world.core.configuration.estate = std::sync::Arc::new(estate);
}

#[test]
fn guards_are_asked_again_at_the_moment_and_a_refusal_is_told() {
    let mut world = World::new(TWO);
    guarded(&mut world);
    let applied = world.change(later(drain("dr"), 60)).expect("it is scheduled all the same");
    assert!(applied.messages.iter().any(|message| message.contains("as things stand it will be refused: min_serving_regions")), "{:?}", applied.messages);
    let (id, _) = applied.schedule.expect("a schedule");
    world.later(60);
    let record = view(&world, id).record;
    assert_eq!(record.state, ScheduleState::Refused);
    assert!(record.outcome.contains("min_serving_regions") && record.outcome.contains('→'), "{}", record.outcome);
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    assert_eq!((told(&world), verbs(&world)), (vec!["created", "refused"], vec!["schedule.create".to_string(), "schedule.refused".to_string()]));
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::GuardRefused { .. })), "guards' own counter knows");
    assert_eq!(world.core.schedules_by_state()[&ScheduleState::Refused], 1);
    world.change(Change::CancelSchedule { id }).expect("dismissed");
    assert_eq!(world.core.schedules_by_state()[&ScheduleState::Refused], 0);

    world.reason = "";
    let refusal = world.change(later(traffic("search", "weighted prod=50 dr=50"), 60)).expect_err("a reason will not come by itself");
    assert_eq!(refusal.kind, RefusalKind::GuardRefused);
}

#[test]
fn what_is_cancelled_is_never_made() {
    let mut world = World::new(TWO);
    let id = set(&mut world, failover("orders", Some("dr")), 60);
    world.change(Change::CancelSchedule { id }).expect("cancelled");
    world.later(120);
    assert_eq!((world.answers("orders"), told(&world)), ("prod 100".to_string(), vec!["created", "cancelled"]));
    assert_eq!(world.change(Change::CancelSchedule { id }).expect_err("gone").kind, RefusalKind::NotFound);
}

#[test]
fn a_restart_keeps_the_moment_makes_what_is_a_little_late_and_misses_the_rest() {
    let mut world = World::new(TWO);
    let id = set(&mut world, failover("orders", Some("dr")), 600);
    world.later(100);
    let mut early = world.restart(TWO, Duration::from_secs(100));
    assert_eq!(view(&early, id).left, Some(Duration::from_secs(400)));
    early.later(400);
    assert_eq!((early.answers("orders"), view(&early, id).record.state), ("dr 100".to_string(), ScheduleState::Done));
    let twice = early.restart(TWO, Duration::ZERO);
    assert_eq!(twice.core.history("orders").len(), 1, "never twice");

    let mut late = world.restart(TWO, Duration::from_secs(500 + 299));
    late.turn("dr", State::Up);
    late.later(9);
    assert_eq!(view(&late, id).record.state, ScheduleState::Waiting, "verdicts are confirmed first");
    late.later(1);
    assert_eq!((late.answers("orders"), view(&late, id).record.state), ("dr 100".to_string(), ScheduleState::Done));

    let mut missed = world.restart(TWO, Duration::from_secs(500 + 301));
    missed.turn("dr", State::Up);
    missed.later(6);
    missed.later(1);
    let record = view(&missed, id).record;
    assert_eq!((missed.answers("orders"), record.state), ("prod 100".to_string(), ScheduleState::Missed));
    assert!(record.outcome.contains("the node was down"), "{}", record.outcome);
    assert_eq!(told(&missed), ["missed"]);
}

#[test]
fn a_store_that_refuses_is_tried_again_until_it_is_too_late() {
    let mut world = World::new(TWO);
    let id = set(&mut world, failover("orders", Some("dr")), 10);
    world.store_works = false;
    world.later(12);
    assert_eq!((world.answers("orders"), view(&world, id).record.state), ("prod 100".to_string(), ScheduleState::Waiting));
    assert!(view(&world, id).held.is_some_and(|held| held.contains("disk full")));
    let mut soon = world.restart(TWO, Duration::ZERO);
    soon.later(10);
    assert_eq!(soon.answers("orders"), "dr 100");
    for _ in 0..310 {
        world.later(1);
    }
    world.store_works = true;
    world.later(2);
    assert_eq!((world.answers("orders"), view(&world, id).record.state), ("prod 100".to_string(), ScheduleState::Missed));
}

#[test]
fn a_wall_clock_that_jumps_makes_nothing_early() {
    let mut world = World::new(TWO);
    set(&mut world, failover("orders", Some("dr")), 600);
    world.now.wall = world.now.wall.plus(Duration::from_secs(3600));
    world.later(599);
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn a_target_that_is_down_then_is_refused_then() {
    let mut world = World::new(TWO);
    let id = set(&mut world, failover("orders", Some("dr")), 60);
    world.turn("dr", State::Down);
    world.later(60);
    let record = view(&world, id).record;
    assert!(record.state == ScheduleState::Refused && record.outcome.contains("dr"), "{record:?}");
}
