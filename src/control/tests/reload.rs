//! Reloads (SEMANTICS, 15 and 16).

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{RefusalKind, Source};
use crate::health::State;
use crate::model::TargetId;

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
