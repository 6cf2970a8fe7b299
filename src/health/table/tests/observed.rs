//! SEMANTICS, 3, 7 and 12: one outcome, and what moves by it.

use std::time::Duration;

use crate::health::testing::estate;
use crate::health::{HealthTable, Observed, Outcome, PoolObserved, ProbeReport, Reason, State, Transition, Turn};
use crate::model::{EndpointId, Family, JudgementId, PoolId, TargetId, Timestamp};

use super::{at, feed, one, report};

#[test]
fn outcomes_without_a_transition_tell_nothing_and_keep_the_pool_as_it_is() {
    let (estate, mut table) = one();
    assert_eq!(feed(&mut table, &estate, 0, "+", 1), [(State::Unknown, State::Up, false)]);
    let pool = table.pool(PoolId(0), Family::V4);
    assert_eq!(pool, PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
    assert_eq!(feed(&mut table, &estate, 0, "+++--+", 2), []);
    assert_eq!(table.pool(PoolId(0), Family::V4), pool);
    assert_eq!(table.judgement(JudgementId(0)).since, Timestamp(1000));
}

#[test]
fn what_this_node_could_not_try_is_shown_and_moves_nothing() {
    let (estate, mut table) = one();
    let outcome = Outcome::Fail { reason: Reason::Internal, message: "this node could not probe".into() };
    let internal = |now| ProbeReport { outcome: outcome.clone(), ..report(false, now) };
    assert_eq!(table.observe(&estate, TargetId(0), internal(at(1)), at(1)), Observed::default());
    assert_eq!(table.judgement(JudgementId(0)).state, State::Unknown);
    feed(&mut table, &estate, 0, "+", 2);
    for second in 3..20 {
        assert_eq!(table.observe(&estate, TargetId(0), internal(at(second)), at(second)), Observed::default());
    }
    let health = table.judgement(JudgementId(0));
    assert_eq!((health.state, health.fails, health.failing_since), (State::Up, 0, None));
    assert_eq!(table.target(TargetId(0)).last.as_ref().map(|last| &last.outcome), Some(&outcome), "people see why");
    assert_eq!(feed(&mut table, &estate, 0, "---", 20), [(State::Up, State::Down, false)]);
    table.observe(&estate, TargetId(0), internal(at(30)), at(30));
    assert_eq!(table.judgement(JudgementId(0)).state, State::Down);
}

#[test]
fn silence_is_a_verdict_without_thresholds_and_clears_the_mark() {
    let (estate, mut table) = one();
    table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
    let silence = table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(5)), at(5));
    let ended = Transition { judgement: JudgementId(0), from: State::Up, to: State::Unknown, confirmed: true, failing_since: None };
    let turns = vec![Turn { endpoint: EndpointId(0), from: State::Up, to: State::Unknown }];
    assert_eq!(silence, Observed { transitions: vec![ended], turns, streaks: Vec::new() });
    assert_eq!(table.pool(PoolId(0), Family::V4).state, State::Unknown);
    assert!(!table.judgement(JudgementId(0)).stale);
    assert_eq!(table.fall_silent(&estate, TargetId(0), State::Unknown, report(false, at(6)), at(6)), Observed::default());
    assert_eq!(feed(&mut table, &estate, 0, "-", 7), [(State::Unknown, State::Down, false)]);
    feed(&mut table, &estate, 1, "+", 8);
    let silence = table.fall_silent(&estate, TargetId(1), State::Down, report(false, at(9)), at(9));
    assert_eq!(silence.transitions.iter().map(|ended| (ended.from, ended.to)).collect::<Vec<_>>(), [(State::Up, State::Down)]);
    assert_eq!(table.judgement(JudgementId(1)).failing_since, Some(Duration::from_secs(9)));
}

#[test]
fn failing_since_is_the_first_fail_of_the_streak_until_it_is_forgiven_or_up_again() {
    let (estate, mut table) = one();
    let since = |table: &HealthTable| table.judgement(JudgementId(0)).failing_since.map(|mono| mono.as_secs());
    feed(&mut table, &estate, 0, "+", 1);
    assert_eq!(since(&table), None);
    feed(&mut table, &estate, 0, "-+", 2);
    assert_eq!(since(&table), Some(2), "not forgiven yet");
    feed(&mut table, &estate, 0, "++++", 4);
    assert_eq!(since(&table), None);
    feed(&mut table, &estate, 0, "---", 10);
    assert_eq!((table.judgement(JudgementId(0)).state, since(&table)), (State::Down, Some(10)));
    feed(&mut table, &estate, 0, "++++", 20);
    assert_eq!(since(&table), Some(10));
    feed(&mut table, &estate, 0, "+", 24);
    assert_eq!(since(&table), None);
}

#[test]
fn the_last_failed_report_is_kept_apart_from_good_ones() {
    let (estate, mut table) = one();
    feed(&mut table, &estate, 0, "+-++", 1);
    let health = table.target(TargetId(0));
    assert_eq!(health.last, Some(report(true, at(4))));
    assert_eq!(health.last_failed, Some(report(false, at(2))));
}

#[test]
fn a_pool_is_unbroken_up_while_its_endpoints_take_turns() {
    let (estate, mut table) = one();
    feed(&mut table, &estate, 0, "+", 1);
    feed(&mut table, &estate, 1, "+", 5);
    feed(&mut table, &estate, 0, "---", 10);
    assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(1)));
    feed(&mut table, &estate, 1, "---", 20);
    assert_eq!(table.pool(PoolId(0), Family::V4), PoolObserved { state: State::Down, up_since: None });
    feed(&mut table, &estate, 0, "+++++", 30);
    assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(34)));
}

#[test]
fn one_target_judges_every_pool_that_has_its_address() {
    let estate = estate("pool a: 10.0.0.1; pool b: 10.0.0.1 10.0.0.2 min_up=2");
    let mut table = HealthTable::new(&estate, at(0));
    assert_eq!(estate.targets.len(), 2);
    feed(&mut table, &estate, 0, "-", 1);
    assert_eq!((table.pool(PoolId(0), Family::V4).state, table.pool(PoolId(1), Family::V4).state), (State::Down, State::Down));
}

#[test]
fn s7_a_pool_without_the_family_looks_like_its_other_family() {
    let estate = estate("pool a: 10.0.0.1; pool both: 10.0.0.2 2001:db8::2; pool always: 10.0.0.3 monitor=always; pool none: 10.0.0.4 monitor=none");
    let mut table = HealthTable::new(&estate, at(0));
    assert!(!table.complete());
    feed(&mut table, &estate, 0, "-", 1);
    feed(&mut table, &estate, 1, "-", 1);
    feed(&mut table, &estate, 2, "+", 1);
    let states = |pool: u32| Family::ALL.map(|family| table.pool(PoolId(pool), family).state);
    assert_eq!(states(0), [State::Down, State::Down]);
    assert_eq!(states(1), [State::Down, State::Up]);
    assert_eq!(states(2), [State::Up, State::Up]);
    assert_eq!(states(3), [State::Unknown, State::Unknown]);
    assert!(table.complete(), "what nobody watches is not waited for");
}

#[test]
fn one_outcome_is_judged_by_everybody_with_a_judgement_of_the_target() {
    let estate = estate("pool strict: 10.0.0.1 down_after=1\npool patient: 10.0.0.1 down_after=4");
    assert_eq!((estate.targets.len(), estate.judgements.len()), (1, 2));
    let mut table = HealthTable::new(&estate, at(0));
    let states = |table: &HealthTable| [0, 1].map(|pool| table.pool(PoolId(pool), Family::V4).state);
    assert_eq!(feed(&mut table, &estate, 0, "+", 1).len(), 2);
    assert_eq!(feed(&mut table, &estate, 0, "-", 2), [(State::Up, State::Down, false)]);
    assert_eq!(states(&table), [State::Down, State::Up]);
    let observed = table.observe(&estate, TargetId(0), report(false, at(3)), at(3));
    assert_eq!(observed, Observed { streaks: vec![JudgementId(1)], ..Observed::default() }, "nothing changed but the patient one's streak");
    feed(&mut table, &estate, 0, "--", 4);
    assert_eq!(states(&table), [State::Down, State::Down]);
    assert_eq!(table.judgement(JudgementId(1)).failing_since, Some(Duration::from_secs(2)));
}

#[test]
fn a_pool_is_no_better_than_what_it_requires() {
    let estate = estate("pool db: 10.9.0.1 2001:db8::1 10.9.0.3 min_up=1\npool portal: 10.0.0.1 requires=db:2");
    let mut table = HealthTable::new(&estate, at(0));
    let portal = |table: &HealthTable| table.pool(PoolId(1), Family::V4);
    feed(&mut table, &estate, 3, "+", 1);
    assert_eq!(portal(&table).state, State::Unknown);
    feed(&mut table, &estate, 0, "+", 2);
    feed(&mut table, &estate, 1, "+", 3);
    assert_eq!(portal(&table), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(3)) }, "of any family");
    feed(&mut table, &estate, 0, "---", 4);
    assert_eq!(portal(&table).state, State::Unknown, "the third has no verdict yet");
    feed(&mut table, &estate, 2, "-", 7);
    assert_eq!(portal(&table), PoolObserved { state: State::Down, up_since: None });
    assert_eq!(table.pool(PoolId(0), Family::V6).state, State::Up);
}
