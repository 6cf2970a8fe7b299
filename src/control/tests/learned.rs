//! What was learned survives (SEMANTICS, 11, 13 and 19).

use std::time::Duration;

use super::world::World;
use crate::control::{Key, LearnedVerdict, Op, Record};
use crate::health::State;
use crate::model::{JudgementId, TargetId};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s";

#[test]
fn the_verdict_and_the_hold_that_it_causes_go_in_one_transaction() {
    let mut world = World::new(TWO);
    let before = world.commits.len();
    world.turn("prod", State::Down);
    let (ops, learned) = world.commits[before..].iter().find(|(ops, _)| ops.iter().any(|op| matches!(op, Op::Put(Key::Verdict(_), _)))).expect("a batch");
    assert!(learned);
    assert!(ops.iter().any(|op| matches!(op, Op::Put(Key::Memory(_), Record::Memory(memory)) if memory.held.len() == 1)), "{ops:?}");
    assert!(ops.iter().any(|op| matches!(op, Op::Put(Key::Alive, _))));
    assert_eq!(world.disk_revision.0, 0, "probe writes never raise the revision");
}

#[test]
fn a_restart_answers_from_stored_verdicts_at_once_and_the_dead_stay_dead() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    let world = world.restart(TWO, Duration::from_secs(5));
    assert!(world.served, "stored verdicts make the first round needless");
    assert_eq!(world.plans, [(1, false)]);
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(world.core.health().judgement(JudgementId::at(0)).stale);
}

#[test]
fn a_hold_survives_a_restart_and_counts_again_from_the_first_confirming_outcome() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.later(50);
    let mut world = world.restart(TWO, Duration::from_secs(1));
    world.later(30);
    assert_eq!(world.answers("orders"), "dr 100");
    world.probe(TargetId::at(0), true);
    world.later(59);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn verdicts_that_are_too_old_are_not_used_and_dns_waits_for_the_first_round() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    let mut world = world.restart(TWO, Duration::from_secs(601));
    assert!(!world.served);
    assert_eq!(world.plans, [(1, true)]);
    world.probe(TargetId::at(0), false);
    assert!(!world.served);
    world.probe(TargetId::at(1), true);
    assert!(world.served);
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn dns_waits_five_seconds_at_most() {
    let mut world = World::fresh(TWO);
    world.later(4);
    assert!(!world.served);
    world.later(1);
    assert!(world.served);
}

#[test]
fn what_never_answered_is_not_held_when_it_comes_up() {
    let mut world = World::fresh(TWO);
    world.probe(TargetId::at(0), false);
    world.probe(TargetId::at(1), true);
    assert_eq!(world.answers("orders"), "dr 100");
    world.turn("prod", State::Up);
    assert_eq!(world.answers("orders"), "prod 100", "prod was down before DNS answered: nothing was taken away");
}

#[test]
fn a_failed_batch_is_written_again_with_what_came_since() {
    let mut world = World::new(TWO);
    world.store_works = false;
    world.turn("prod", State::Down);
    assert_eq!(world.answers("orders"), "dr 100", "publishing never waits for the store");
    world.store_works = true;
    world.later(2);
    let key = Key::Verdict(world.core.estate().targets[0].key.clone());
    assert!(matches!(world.on_disk(&key), Some(Record::Verdict(LearnedVerdict { state: State::Down, .. }))));
}

#[test]
fn outcomes_of_an_old_plan_are_counted_and_ignored() {
    let mut world = World::new(TWO);
    let report = crate::policy::testing::report(false, world.now);
    for _ in 0..5 {
        world.event(crate::control::Event::Probed { plan: 99, target: TargetId::at(0), report: report.clone() });
    }
    assert_eq!(world.core.overview().ignored_outcomes, 5);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn an_outcome_without_a_transition_publishes_nothing() {
    let mut world = World::new(TWO);
    let publishes = world.publishes;
    for _ in 0..10 {
        world.probe(TargetId::at(0), true);
    }
    assert_eq!(world.publishes, publishes);
}
