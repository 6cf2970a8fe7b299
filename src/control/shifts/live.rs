//! What is known of shifts beside their records: clocks of holds, what waits for the store, what was measured. Not durable: a restart measures anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::record::Revision;
use crate::model::{Estate, Gauge, Now, ShiftRules};

use super::record::{Phase, ShiftRecord};

/// Finished shifts that are kept.
pub(in crate::control) const FINISHED_MAX: usize = 200;
/// After a start no step follows sooner than this: verdicts are confirmed first.
const SETTLE_IN: Duration = Duration::from_secs(10);

/// Good and bad requests that were pushed for a service, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Pushed {
    pub good: u64,
    pub bad: u64,
}

/// All shifts.
#[derive(Debug, Default)]
pub(in crate::control) struct Shifts {
    /// By number, the N of `s-N`.
    pub kept: BTreeMap<u64, (Arc<ShiftRecord>, Revision)>,
    /// Of those that may still move.
    pub live: BTreeMap<u64, Live>,
    /// By service.
    pub pushed: BTreeMap<Arc<str>, Pushed>,
}

/// A shift that may still move.
#[derive(Debug)]
pub(in crate::control) struct Live {
    /// When its hold ends (`mono`).
    pub due: Option<Duration>,
    /// A move of it waits for the store.
    pub queued: bool,
    /// The store refused: not before this moment (`mono`).
    pub retry_at: Option<Duration>,
    /// What the store said.
    pub degraded: Option<String>,
    /// Pushed when its step began.
    pub pushed: Pushed,
    pub analyses: Vec<LiveAnalysis>,
}

/// An analysis of the step in force.
#[derive(Clone, Debug)]
pub(in crate::control) struct LiveAnalysis {
    pub name: Arc<str>,
    /// When it is measured next; while it is being measured: until when that may take.
    pub next_at: Duration,
    pub measuring: bool,
    /// Measurements in a row above the limit.
    pub failures: u32,
    /// Measurements in a row that gave nothing.
    pub blanks: u32,
    /// It was within its limit at least once in this step.
    pub passed: bool,
    pub last: Option<f64>,
    /// Why the last measurement gave nothing.
    pub problem: Option<String>,
    /// Answers by pool when the step began.
    pub answers: Option<Vec<(Arc<str>, u64)>>,
}

impl Shifts {
    /// Takes a record in: at start, and when a commit is durable. The wall clock is read once (SEMANTICS, 28).
    pub(in crate::control) fn keep(&mut self, id: u64, record: Arc<ShiftRecord>, revision: Revision, rules: &ShiftRules, now: Now) {
        let before = self.live.remove(&id);
        let same_step = self.kept.get(&id).is_some_and(|(known, _)| known.step == record.step);
        if record.phase.is_active() {
            let hold = record.now_at().map_or(Duration::ZERO, |step| step.hold);
            let due = record.ends.map(|ends| now.mono + ends.since(now.wall).min(hold));
            let pushed = self.pushed.get(&record.service).copied().unwrap_or_default();
            let fresh = |name: &Arc<str>| {
                let analysis = rules.analysis(name);
                let interval = analysis.map_or(Duration::ZERO, |analysis| analysis.interval);
                // What is counted from the beginning of the step is counted now, too.
                let first = if analysis.is_some_and(|analysis| analysis.gauge == Gauge::Split) { Duration::ZERO } else { interval.min(hold) };
                LiveAnalysis {
                    name: name.clone(),
                    next_at: now.mono + first,
                    measuring: false,
                    failures: 0,
                    blanks: 0,
                    passed: false,
                    last: None,
                    problem: None,
                    answers: None,
                }
            };
            let mut analyses: Vec<LiveAnalysis> = record.analyses.iter().map(fresh).collect();
            let mut since = pushed;
            if let Some(before) = before.filter(|_| same_step) {
                since = before.pushed;
                for (analysis, known) in analyses.iter_mut().zip(before.analyses) {
                    analysis.answers = known.answers;
                    (analysis.passed, analysis.last) = (known.passed, known.last);
                }
            }
            self.live.insert(id, Live { due, queued: false, retry_at: None, degraded: None, pushed: since, analyses });
        }
        self.kept.insert(id, (record, revision));
    }

    pub(in crate::control) fn forget(&mut self, id: u64) {
        self.kept.remove(&id);
        self.live.remove(&id);
    }

    /// After a start: no step follows before verdicts are confirmed.
    pub(in crate::control) fn settle_in(&mut self, now: Now) {
        for (id, live) in &mut self.live {
            let hold = self.kept.get(id).and_then(|(record, _)| record.now_at()).map_or(Duration::ZERO, |step| step.hold);
            live.due = live.due.map(|due| due.max(now.mono + SETTLE_IN.min(hold)));
        }
    }

    /// The shift of a service that may still move.
    pub(in crate::control) fn active(&self, service: &str) -> Option<(u64, &Arc<ShiftRecord>)> {
        let of = |id: &u64| self.kept.get(id).map(|(record, _)| (*id, record));
        self.live.keys().filter_map(of).find(|(_, record)| *record.service == *service)
    }

    /// What is left of a shift's hold.
    pub(in crate::control) fn left(&self, id: u64, now: Now) -> Duration {
        let of = |record: &ShiftRecord| if record.phase == Phase::Paused { record.left } else { Duration::ZERO };
        let kept = self.kept.get(&id).map_or(Duration::ZERO, |(record, _)| of(record));
        self.live.get(&id).and_then(|live| live.due).map_or(kept, |due| due.saturating_sub(now.mono))
    }

    /// When something is to be done by itself (`mono`); a shift whose service the file lacks waits for that.
    pub(in crate::control) fn next_at(&self, estate: &Estate) -> Option<Duration> {
        let of = |(id, live): (&u64, &Live)| {
            let rests = |record: &ShiftRecord| record.phase == Phase::Paused || estate.service_named(&record.service).is_none();
            if live.queued || self.kept.get(id).is_none_or(|(record, _)| rests(record)) {
                return None;
            }
            if live.retry_at.is_some() {
                return live.retry_at;
            }
            // A hold that is over while an analysis is still out waits for that.
            let due = live.due.filter(|_| !live.waits_for_analyses());
            due.into_iter().chain(live.analyses.iter().map(|analysis| analysis.next_at)).min()
        };
        self.live.iter().filter_map(of).min()
    }
}

impl Live {
    /// Something that the next step needs is not known yet.
    pub(in crate::control) fn waits_for_analyses(&self) -> bool {
        self.analyses.iter().any(|analysis| !analysis.passed || 0 < analysis.failures || 0 < analysis.blanks)
    }
}
