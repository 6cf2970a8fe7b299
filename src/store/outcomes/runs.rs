//! Outcomes as they come, gathered into runs. Pure.
//!
//! A run goes on while a target finds the same and its probes come when they are expected: an interval after the one before, give or take a tenth of it
//! (the schedule's own jitter is a twenty-fifth). Anything else begins another run.

use crate::health::{Run, Tried};
use crate::model::Timestamp;

/// A probe may come so many milliseconds earlier or later than expected, whatever its interval.
const SLACK_MS: i64 = 20;
/// Intervals that make sense, milliseconds.
const STEP_MAX_MS: u32 = 24 * 3_600_000;

/// One more outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub target: u32,
    /// Of the target.
    pub interval_ms: u32,
    pub at: Timestamp,
    pub tried: Tried,
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By target.
    open: Vec<Option<Run>>,
    /// Over: to be written.
    closed: Vec<Run>,
}

impl Runs {
    pub(super) fn hear(&mut self, heard: Heard) {
        let Heard { target, interval_ms, at, tried } = heard;
        let step_ms = interval_ms.min(STEP_MAX_MS);
        if self.open.len() <= target as usize {
            self.open.resize(target as usize + 1, None);
        }
        let Some(open) = self.open.get_mut(target as usize) else { return };
        match open {
            Some(run) if run.tried == tried && run.step_ms == step_ms && is_next(run, at) => run.count = run.count.saturating_add(1),
            _ => self.closed.extend(open.replace(Run { target, first: at, step_ms, count: 1, tried })),
        }
    }

    /// Ends all runs, so that they can be written; what comes next begins new ones.
    pub(super) fn cut(&mut self) {
        self.closed.extend(self.open.iter_mut().filter_map(Option::take));
    }

    /// What is over.
    pub(super) fn closed(&mut self) -> &mut Vec<Run> {
        &mut self.closed
    }
}

fn is_next(run: &Run, at: Timestamp) -> bool {
    (at.0 - run.at(run.count).0).abs() <= SLACK_MS + i64::from(run.step_ms) / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Reason;

    #[test]
    fn a_run_is_what_is_alike_and_comes_in_time() {
        let mut runs = Runs::default();
        let fail = Tried::Fail(Reason::Timeout);
        let mut hear = |at: i64, tried| runs.hear(Heard { target: 1, interval_ms: 1_000, at: Timestamp(at), tried });
        // The last two: late by more than a tenth, and after a gap.
        let found = [(0, Tried::Pass), (1_110, Tried::Pass), (1_890, Tried::Pass), (3_000, fail), (4_000, fail), (5_130, fail), (60_000, fail)];
        found.into_iter().for_each(|(at, tried)| hear(at, tried));
        runs.cut();
        let told: Vec<_> = runs.closed().iter().map(|run| (run.first.0, run.count, run.tried)).collect();
        assert_eq!(told, [(0, 3, Tried::Pass), (3_000, 2, fail), (5_130, 1, fail), (60_000, 1, fail)]);
    }
}
