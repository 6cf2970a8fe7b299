//! Looking at shifts.

use std::sync::Arc;
use std::time::Duration;

use crate::control::core::Core;
use crate::control::record::Revision;
use crate::model::Now;

use super::record::ShiftRecord;

/// A shift as it stands.
#[derive(Clone, Debug)]
pub struct ShiftView {
    /// The N of `s-N`.
    pub id: u64,
    /// What the store keeps.
    pub record: Arc<ShiftRecord>,
    /// The store's counter at its last change.
    pub revision: Revision,
    /// What is left of the hold.
    pub left: Option<Duration>,
    /// A step or an abort is due, and the store refuses it: what it says.
    pub degraded: Option<String>,
    /// What was measured in this step.
    pub analyses: Vec<AnalysisView>,
}

/// An analysis of the step in force.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisView {
    /// Which.
    pub name: Arc<str>,
    /// The last number.
    pub value: Option<f64>,
    /// The limit; `None`: it is not in the file any more.
    pub max: Option<f64>,
    /// Why the last measurement gave nothing.
    pub problem: Option<String>,
    /// Times in a row above the limit.
    pub failures: u32,
}

impl ShiftView {
    /// The phase, with `degraded` for one that the store holds up.
    pub fn phase(&self) -> &'static str {
        if self.degraded.is_some() { "degraded" } else { self.record.phase.word() }
    }
}

impl Core {
    /// Every shift that is kept, newest first.
    pub fn shifts(&self, now: Now) -> Vec<ShiftView> {
        self.shifts.kept.iter().rev().map(|(id, (record, revision))| self.shift_view(*id, record, *revision, now)).collect()
    }

    /// One shift.
    pub fn shift(&self, id: u64, now: Now) -> Option<ShiftView> {
        self.shifts.kept.get(&id).map(|(record, revision)| self.shift_view(id, record, *revision, now))
    }

    /// The newest shift of a service.
    pub fn shift_of(&self, service: &str) -> Option<u64> {
        self.shifts.kept.iter().rev().find(|(_, (record, _))| *record.service == *service).map(|(id, _)| *id)
    }

    /// The shift of a service that may still move.
    pub fn active_shift(&self, service: &str) -> Option<u64> {
        self.shifts.active(service).map(|(id, _)| id)
    }

    /// Service, phase and step (from 0) of every shift that may still move.
    pub fn shifts_under_way(&self) -> impl Iterator<Item = (&str, &'static str, u32)> {
        self.shifts.live.iter().filter_map(|(id, live)| {
            let (record, _) = self.shifts.kept.get(id)?;
            let phase = if live.degraded.is_some() { "degraded" } else { record.phase.word() };
            Some((&*record.service, phase, record.step))
        })
    }

    fn shift_view(&self, id: u64, record: &Arc<ShiftRecord>, revision: Revision, now: Now) -> ShiftView {
        let live = self.shifts.live.get(&id);
        let rules = &self.configuration.estate.shifts;
        let analyses = live.into_iter().flat_map(|live| &live.analyses).map(|one| AnalysisView {
            name: one.name.clone(),
            value: one.last,
            max: rules.analysis(&one.name).map(|analysis| analysis.max),
            problem: one.problem.clone(),
            failures: one.failures,
        });
        ShiftView {
            id,
            record: record.clone(),
            revision,
            left: live.and_then(|live| live.due).map(|due| due.saturating_sub(now.mono)),
            degraded: live.and_then(|live| live.degraded.clone()),
            analyses: analyses.collect(),
        }
    }
}
