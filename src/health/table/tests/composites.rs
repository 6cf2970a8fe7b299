//! Several verdicts make one.

use std::time::Duration;

use crate::health::testing::estate;
use crate::health::{HealthTable, State, Turn};
use crate::model::{EndpointId, Family, JudgementId, PoolId, TargetId, Timestamp};

use super::{at, feed, report};

pub(super) const PORTAL: &str = "composite portal: all web database ~disk\npool prod: 10.0.0.1 monitor=portal";

#[test]
fn a_composite_follows_its_members_at_once_and_each_is_debounced_by_itself() {
    let estate = estate(PORTAL);
    let mut table = HealthTable::new(&estate, at(0));
    let endpoint = EndpointId(0);
    assert_eq!(table.endpoint(&estate, endpoint), State::Unknown);
    feed(&mut table, &estate, 0, "+", 1);
    assert_eq!(table.endpoint(&estate, endpoint), State::Unknown, "the database is not known");
    feed(&mut table, &estate, 1, "+", 2);
    assert_eq!((table.endpoint(&estate, endpoint), table.watched(&estate, endpoint).unwrap().since), (State::Up, Timestamp(2000)));
    feed(&mut table, &estate, 2, "-", 3);
    assert_eq!(table.endpoint(&estate, endpoint), State::Up, "a disk is only watched");
    feed(&mut table, &estate, 1, "--", 4);
    assert_eq!(table.endpoint(&estate, endpoint), State::Up);
    let observed = table.observe(&estate, TargetId(1), report(false, at(6)), at(6));
    assert_eq!(observed.turns, [Turn { endpoint, from: State::Up, to: State::Down }]);
    let watched = table.watched(&estate, endpoint).unwrap();
    assert_eq!((watched.state, watched.since, watched.failing_since), (State::Down, Timestamp(6000), Some(Duration::from_secs(4))));
    assert_eq!((watched.failed_by, watched.last_failed.map(|report| report.at)), (Some("database"), Some(Timestamp(6000))));
    assert_eq!(table.pool(PoolId(0), Family::V4).state, State::Down);
    let members: Vec<(&str, State)> = table.members(&estate, endpoint).iter().map(|member| (member.monitor, member.state)).collect();
    assert_eq!(members, [("web", State::Up), ("database", State::Down), ("disk", State::Down)]);
}

#[test]
fn a_composite_is_stale_while_it_stands_on_a_stale_member() {
    let estate = estate("composite either: any a b\npool prod: 10.0.0.1 monitor=either");
    let mut table = HealthTable::new(&estate, at(0));
    table.restore(&estate, JudgementId(0), State::Up, Timestamp(-9000), at(0));
    table.restore(&estate, JudgementId(1), State::Down, Timestamp(-5000), at(0));
    let watched = |table: &HealthTable| table.watched(&estate, EndpointId(0)).map(|health| (health.state, health.stale, health.since)).unwrap();
    assert_eq!(watched(&table), (State::Up, true, Timestamp(-5000)));
    assert_eq!(table.pool(PoolId(0), Family::V4).up_since, None, "failback does not count it");
    feed(&mut table, &estate, 1, "-", 1);
    assert_eq!(watched(&table), (State::Up, true, Timestamp(-5000)), "up because of the other");
    feed(&mut table, &estate, 0, "+", 2);
    assert_eq!(watched(&table), (State::Up, false, Timestamp(-5000)));
    assert_eq!(table.pool(PoolId(0), Family::V4).up_since, Some(Duration::from_secs(2)));
}
