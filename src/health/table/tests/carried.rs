//! SEMANTICS, 13 and 16: what was known before.

use std::time::Duration;

use crate::health::testing::estate;
use crate::health::{HealthTable, PoolObserved, State};
use crate::model::{EndpointId, Family, JudgementId, PoolId, Timestamp, Watch};

use super::composites::PORTAL;
use super::{at, feed, one};

#[test]
fn s13_a_restored_verdict_holds_at_once_is_stale_and_has_full_thresholds() {
    let (estate, mut table) = one();
    table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
    assert_eq!(table.endpoint(&estate, EndpointId(0)), State::Up);
    assert_eq!(table.pool(PoolId(0), Family::V4), PoolObserved { state: State::Up, up_since: None }, "policy uses it, failback does not count it");
    assert_eq!(feed(&mut table, &estate, 0, "--", 1), []);
    assert!(table.judgement(JudgementId(0)).stale, "a fail disagrees with Up");
    assert_eq!(feed(&mut table, &estate, 0, "-", 3), [(State::Up, State::Down, true)]);
    assert!(!table.judgement(JudgementId(0)).stale);
}

#[test]
fn s13_the_first_agreeing_outcome_clears_the_mark() {
    let (estate, mut table) = one();
    table.restore(&estate, JudgementId(0), State::Up, Timestamp(-5000), at(0));
    table.restore(&estate, JudgementId(1), State::Down, Timestamp(-6000), at(0));
    assert_eq!(table.unconfirmed(), 2);
    assert_eq!(feed(&mut table, &estate, 0, "-+", 1), [(State::Up, State::Up, true)]);
    assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(2)));
    assert_eq!(feed(&mut table, &estate, 1, "++-", 3), [(State::Down, State::Down, true)]);
    assert_eq!(table.judgement(JudgementId(1)).since, Timestamp(-6000), "it did not change now");
    assert_eq!(table.unconfirmed(), 0);
}

#[test]
fn s13_a_stale_down_comes_up_by_up_after_passes() {
    let (estate, mut table) = one();
    table.restore(&estate, JudgementId(0), State::Down, Timestamp(-5000), at(0));
    assert_eq!(feed(&mut table, &estate, 0, "++++", 1), []);
    assert_eq!(feed(&mut table, &estate, 0, "+", 5), [(State::Down, State::Up, true)]);
}

#[test]
fn s16_a_reload_keeps_health_of_unchanged_targets_and_clocks_of_unbroken_pools() {
    let from = estate("pool a: 10.0.0.1; pool b: 10.0.0.2; pool c: 10.0.0.3");
    let mut table = HealthTable::new(&from, at(0));
    for target in 0..3 {
        feed(&mut table, &from, target, "+--", 1);
    }
    let to = estate("pool c: 10.0.0.9; pool b: 10.0.0.8 10.0.0.2; pool a: 10.0.0.1 min_up=1; pool d: 10.0.0.3");
    let carried = table.carried_over(&from, &to, at(100));
    let pool = |name: &str| carried.pool(to.pool_named(name).unwrap(), Family::V4);
    assert_eq!(pool("a"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
    assert_eq!(pool("b"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(1)) });
    assert_eq!(pool("c"), PoolObserved { state: State::Unknown, up_since: None });
    assert_eq!(pool("d"), PoolObserved { state: State::Up, up_since: Some(Duration::from_secs(100)) }, "a new pool of an old target");
    let a = to.endpoint(to.pool(to.pool_named("a").unwrap()).endpoints[0]).watch;
    let Watch::Judgement(a) = a else { panic!("probed") };
    assert_eq!((carried.judgement(a).fails, carried.judgement(a).failing_since), (2, Some(Duration::from_secs(2))), "counters go on");
}

#[test]
fn s16_a_reload_keeps_what_a_composite_is_and_since_when() {
    let from = estate(PORTAL);
    let mut table = HealthTable::new(&from, at(0));
    (0..3).for_each(|target| drop(feed(&mut table, &from, target, "+", 1)));
    feed(&mut table, &from, 1, "---", 10);
    let to = estate("pool more: 10.0.0.7\ncomposite portal: all web database\npool prod: 10.0.0.1 monitor=portal\npool web: 10.0.0.1 monitor=web down_after=9");
    let carried = table.carried_over(&from, &to, at(100));
    let prod = to.pool(to.pool_named("prod").unwrap()).endpoints[0];
    let watched = carried.watched(&to, prod).unwrap();
    assert_eq!((watched.state, watched.since, watched.failing_since), (State::Down, Timestamp(12000), Some(Duration::from_secs(10))));
    let web = to.pool(to.pool_named("web").unwrap()).endpoints[0];
    assert_eq!(carried.endpoint(&to, web), State::Up, "who changes thresholds starts from what is known of the target");
}
