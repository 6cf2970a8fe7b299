//! What probes found over days, kept small: runs of equal outcomes of one target, an even distance apart.
//!
//! Enough to judge again what was judged once, by other thresholds or another policy; sentences, phases and told weights are not kept.
//! Never here: files, or how a run is written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

use super::{Outcome, Reason};

/// What is kept of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tried {
    /// As expected.
    Pass,
    /// As expected, and yet not well.
    Degraded,
    /// Busy, and asked to be left alone for so many seconds.
    Busy(u32),
    /// Not as expected.
    Fail(Reason),
}

impl Tried {
    /// Of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pass => Tried::Pass,
            Outcome::Degraded { .. } => Tried::Degraded,
            Outcome::Busy { retry_after, .. } => Tried::Busy(u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX)),
            Outcome::Fail { reason, .. } => Tried::Fail(*reason),
        }
    }

    /// As an outcome again, without a sentence.
    pub fn outcome(self) -> Outcome {
        let message = String::new();
        match self {
            Tried::Pass => Outcome::Pass,
            Tried::Degraded => Outcome::Degraded { message },
            Tried::Busy(seconds) => Outcome::Busy { message, retry_after: Duration::from_secs(seconds.into()) },
            Tried::Fail(reason) => Outcome::Fail { reason, message },
        }
    }
}

/// Equal outcomes of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Place in [`Recording::targets`].
    pub target: u32,
    /// When the first probe ended.
    pub first: Timestamp,
    /// Milliseconds between two: the target's interval.
    pub step_ms: u32,
    /// How many; at least 1.
    pub count: u32,
    /// What each found.
    pub tried: Tried,
}

impl Run {
    /// When probe number `at` (from 0) ended: exact for the first, to a tenth of the interval for the others.
    pub fn at(&self, at: u32) -> Timestamp {
        Timestamp(self.first.0.saturating_add(i64::from(self.step_ms) * i64::from(at)))
    }

    /// When the last one ended.
    pub fn last(&self) -> Timestamp {
        self.at(self.count.saturating_sub(1))
    }
}

/// Outcomes of some days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Keys of targets, as verdicts are stored under.
    pub targets: Vec<Arc<str>>,
    /// By the time of their first outcome.
    pub runs: Vec<Run>,
}

impl Recording {
    /// How many outcomes there are.
    pub fn outcomes(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.count)).sum()
    }

    /// Each outcome, oldest first; of one moment in the order of targets.
    pub fn iter(&self) -> Outcomes<'_> {
        Outcomes { runs: self.runs.iter().peekable(), open: BinaryHeap::new() }
    }
}

/// See [`Recording::iter`]. Holds no more than one run per target at a time, as long as runs of one target don't overlap.
#[derive(Debug)]
pub struct Outcomes<'a> {
    runs: std::iter::Peekable<std::slice::Iter<'a, Run>>,
    open: BinaryHeap<Reverse<(Timestamp, u32, Next<'a>)>>,
}

/// A run, and which of its outcomes is next. Where it stands in the heap is the tuple's business.
#[derive(Debug)]
struct Next<'a>(&'a Run, u32);

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next<'_> {}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.first, self.1).cmp(&(other.0.first, other.1))
    }
}

impl Iterator for Outcomes<'_> {
    /// When, whose (its place in [`Recording::targets`]), what.
    type Item = (Timestamp, u32, Tried);

    fn next(&mut self) -> Option<Self::Item> {
        // Every run that begins no later than what stands first belongs into the heap before that is taken out.
        while let Some(run) = self.runs.peek() {
            if self.open.peek().is_some_and(|Reverse((at, ..))| *at < run.first) {
                break;
            }
            self.open.push(Reverse((run.first, run.target, Next(run, 0))));
            self.runs.next();
        }
        let Reverse((at, target, Next(run, number))) = self.open.pop()?;
        if number + 1 < run.count {
            self.open.push(Reverse((run.at(number + 1), target, Next(run, number + 1))));
        }
        Some((at, target, run.tried))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn outcomes_come_in_the_order_of_time_and_none_is_lost(
            runs in prop::collection::vec((0u32..4, 0i64..500, 1u32..40, 1u32..9), 0..40),
        ) {
            let mut runs: Vec<Run> = runs
                .into_iter()
                .map(|(target, first, step_ms, count)| Run { target, first: Timestamp(first), step_ms, count, tried: Tried::Pass })
                .collect();
            runs.sort_by_key(|run| run.first);
            let mut each: Vec<(Timestamp, u32)> = runs.iter().flat_map(|run| (0..run.count).map(move |at| (run.at(at), run.target))).collect();
            each.sort_unstable();
            let recording = Recording { targets: Vec::new(), runs };
            let told: Vec<(Timestamp, u32)> = recording.iter().map(|(at, target, _)| (at, target)).collect();
            prop_assert_eq!(told.len() as u64, recording.outcomes());
            prop_assert_eq!(told, each);
        }
    }

    #[test]
    fn what_is_kept_of_an_outcome_comes_back() {
        let message = String::new();
        let mut all = vec![Outcome::Pass, Outcome::Degraded { message: message.clone() }];
        all.push(Outcome::Busy { message: message.clone(), retry_after: Duration::from_secs(7) });
        all.extend(Reason::ALL.into_iter().map(|reason| Outcome::Fail { reason, message: message.clone() }));
        for outcome in all {
            assert_eq!(Tried::of(&outcome).outcome(), outcome);
        }
    }
}
