//! Looking at schedules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::control::core::Core;
use crate::control::record::Revision;
use crate::model::Now;

use super::record::{ScheduleRecord, ScheduleState, described};

/// A schedule as it stands.
#[derive(Clone, Debug)]
pub struct ScheduleView {
    /// The N of `t-N`.
    pub id: u64,
    /// What the store keeps.
    pub record: Arc<ScheduleRecord>,
    /// The store's counter at its last change.
    pub revision: Revision,
    /// What is done: `drain of region/prod for 2h`.
    pub what: String,
    /// Services whose traffic it may move.
    pub services: Vec<Arc<str>>,
    /// How long until then; `None`: it is over.
    pub left: Option<Duration>,
    /// What holds it up although its moment has come.
    pub held: Option<String>,
}

impl Core {
    /// Every schedule that is kept, newest first.
    pub fn schedules(&self, now: Now) -> Vec<ScheduleView> {
        self.schedules.kept.keys().rev().filter_map(|id| self.schedule(*id, now)).collect()
    }

    /// One of them.
    pub fn schedule(&self, id: u64, now: Now) -> Option<ScheduleView> {
        let kept = self.schedules.kept.get(&id)?;
        Some(ScheduleView {
            revision: kept.revision,
            left: kept.is_waiting().then(|| kept.due.saturating_sub(now.mono)),
            held: kept.held.as_ref().filter(|_| kept.is_waiting()).map(|(_, why)| why.clone()),
            ..self.planned_schedule(id, &kept.record, now)
        })
    }

    /// One that was just set, or would be.
    pub fn planned_schedule(&self, id: u64, record: &Arc<ScheduleRecord>, now: Now) -> ScheduleView {
        ScheduleView {
            id,
            record: record.clone(),
            revision: self.revision,
            what: described(&record.change).unwrap_or_default(),
            services: self.scheduled_services(&record.change),
            left: Some(record.due.since(now.wall)),
            held: None,
        }
    }

    /// How many there are in each state; failed ones are there until somebody has dismissed them.
    pub fn schedules_by_state(&self) -> BTreeMap<ScheduleState, usize> {
        let mut counts: BTreeMap<ScheduleState, usize> = ScheduleState::ALL.into_iter().map(|state| (state, 0)).collect();
        for kept in self.schedules.kept.values() {
            *counts.entry(kept.record.state).or_default() += 1;
        }
        counts
    }
}
