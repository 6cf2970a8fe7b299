//! Outcomes go in, verdicts, endpoints and pools come out.

mod carried;
mod composites;
mod observed;

use std::time::Duration;

use crate::health::testing::estate;
use crate::health::{Outcome, ProbeReport, Reason, State};
use crate::model::{Estate, Now, TargetId, Timestamp};

use super::{HealthTable, Transition};

pub(super) fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall: Timestamp(seconds as i64 * 1000) }
}

pub(super) fn report(passed: bool, now: Now) -> ProbeReport {
    let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Refused, message: "connection refused".into() } };
    ProbeReport::new(outcome, now.wall, Duration::from_millis(1))
}

/// Feeds `+` and `-` to a target, one a second from `start`; returns the transitions as `U→D`, `confirmed`.
pub(super) fn feed(table: &mut HealthTable, estate: &Estate, target: u32, outcomes: &str, start: u64) -> Vec<(State, State, bool)> {
    let times = (start..).map(at);
    let observe = |(outcome, now)| table.observe(estate, TargetId(target), report(outcome == '+', now), now).transitions;
    let told = outcomes.chars().zip(times).flat_map(observe);
    told.map(|Transition { from, to, confirmed, .. }| (from, to, confirmed)).collect()
}

pub(super) fn one() -> (Estate, HealthTable) {
    let estate = estate("pool prod: 10.0.0.1 10.0.0.2");
    let table = HealthTable::new(&estate, at(0));
    (estate, table)
}
