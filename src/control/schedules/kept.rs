//! Schedules as the core keeps them: their moments on `mono`, and what waits for the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::record::Revision;
use crate::model::Now;

use super::GRACE;
use super::record::{ScheduleRecord, ScheduleState};

/// Schedules that may wait; one more is refused.
pub(in crate::control) const WAITING_MAX: usize = 256;
/// After a start nothing is made sooner than this: verdicts are confirmed first.
const SETTLE_IN: Duration = Duration::from_secs(10);
/// Past schedules that are kept.
pub(in crate::control) const FINISHED_MAX: usize = 200;

/// All of them, by number, the N of `t-N`.
#[derive(Debug, Default)]
pub(in crate::control) struct Schedules {
    pub kept: BTreeMap<u64, Kept>,
}

/// One schedule.
#[derive(Debug)]
pub(in crate::control) struct Kept {
    pub record: Arc<ScheduleRecord>,
    pub revision: Revision,
    /// When it is due, and from when on it is missed (`mono`).
    pub due: Duration,
    pub missed: Duration,
    /// It waits for its turn at the store.
    pub queued: bool,
    /// Something that may pass stood in the way: not before this moment (`mono`), and what it was.
    pub held: Option<(Duration, String)>,
}

impl Kept {
    pub(in crate::control) fn is_waiting(&self) -> bool {
        self.record.state == ScheduleState::Waiting
    }

    /// When it is to be looked after.
    fn next_at(&self) -> Option<Duration> {
        let held = self.held.as_ref().map_or(Duration::ZERO, |(at, _)| *at);
        (self.is_waiting() && !self.queued).then(|| self.due.max(held))
    }
}

impl Schedules {
    /// Takes a record in: at start, and when a commit is durable. The wall clock is read once (SEMANTICS, 28).
    pub(in crate::control) fn keep(&mut self, id: u64, record: Arc<ScheduleRecord>, revision: Revision, now: Now) {
        let due = now.mono + record.due.since(now.wall);
        let late = now.wall.since(record.due);
        let missed = due + GRACE.saturating_sub(late);
        self.kept.insert(id, Kept { record, revision, due, missed, queued: false, held: None });
    }

    /// After a start: what is due waits until verdicts are confirmed, and is not missed for that.
    pub(in crate::control) fn settle_in(&mut self, now: Now) {
        for kept in self.kept.values_mut().filter(|kept| now.mono < kept.missed) {
            kept.due = kept.due.max(now.mono + SETTLE_IN);
            kept.missed = kept.missed.max(kept.due + SETTLE_IN);
        }
    }

    pub(in crate::control) fn forget(&mut self, id: u64) {
        self.kept.remove(&id);
    }

    /// Those whose moment has come, in the order of their moments.
    pub(super) fn due(&self, now: Now) -> Vec<u64> {
        let mut due: Vec<(Duration, u64)> =
            self.kept.iter().filter(|(_, kept)| kept.next_at().is_some_and(|at| at <= now.mono)).map(|(id, kept)| (kept.due, *id)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// The next moment.
    pub(in crate::control) fn next_at(&self) -> Option<Duration> {
        self.kept.values().filter_map(Kept::next_at).min()
    }
}
