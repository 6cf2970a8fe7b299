//! The last probes of every target, and which of them the store does not have yet.
//!
//! Fails go along with what is written anyway (a verdict; the sign of life, every 10 s while probes run): at most once per [`WRITE_EVERY`], at most
//! [`WRITE_MAX`] targets at a time, those that waited longest first. Passes go along when a fail of their target does.
//!
//! Never here: a verdict, or a reason to write: what is only nice to know must not delay what counts.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{History, HistorySize, Moment, ProbeReport, Reason, Said};
use crate::model::{Estate, Now, TargetId};

use super::core::Core;
use super::record::LearnedProbes;

/// Least time between two batches with probes: a kill loses the fails of so long at most.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// Targets whose probes one batch takes; a few hundred KiB.
const WRITE_MAX: usize = 500;

/// By target of the present estate.
#[derive(Debug)]
pub(super) struct Probes {
    size: HistorySize,
    kept: Vec<History>,
    /// Fails that the store lacks; oldest first.
    unwritten: VecDeque<TargetId>,
    /// Stands in `unwritten`.
    waits: BTreeSet<TargetId>,
    /// Next batch.
    due: Duration,
}

impl Probes {
    pub(super) fn new(estate: &Estate) -> Self {
        let targets = estate.targets.len();
        Self {
            size: HistorySize::of(targets),
            kept: vec![History::default(); targets],
            unwritten: VecDeque::new(),
            waits: BTreeSet::new(),
            due: Duration::ZERO,
        }
    }

    /// One more outcome.
    pub(super) fn note(&mut self, target: TargetId, report: &ProbeReport) {
        if self.kept.get_mut(target.index()).is_some_and(|history| history.note(report, self.size)) {
            self.wait(target);
        }
    }

    /// A batch goes to the store: what it takes along.
    pub(super) fn take_due(&mut self, now: Now) -> Vec<TargetId> {
        if now.mono < self.due {
            return Vec::new();
        }
        let taken: Vec<TargetId> = self.unwritten.drain(..WRITE_MAX.min(self.unwritten.len())).collect();
        if !taken.is_empty() {
            self.due = now.mono + WRITE_EVERY;
            self.waits = self.unwritten.iter().copied().collect();
        }
        taken
    }

    fn wait(&mut self, target: TargetId) {
        if self.waits.insert(target) {
            self.unwritten.push_back(target);
        }
    }

    pub(super) fn of(&self, target: TargetId) -> Option<&History> {
        self.kept.get(target.index())
    }

    pub(super) fn restore(&mut self, target: TargetId, learned: &LearnedProbes) {
        if let Some(history) = self.kept.get_mut(target.index()) {
            *history = learned.history(self.size);
        }
    }

    /// For another estate: histories go with their target's key. `writing`: what the store was given and may yet refuse.
    pub(super) fn carry_over(&mut self, from: &Estate, to: &Estate, writing: impl IntoIterator<Item = TargetId>) {
        let mut next = Self { due: self.due, ..Self::new(to) };
        let ids: HashMap<&str, TargetId> = to.targets.iter().enumerate().map(|(at, target)| (&*target.key, TargetId::at(at))).collect();
        let moved = |target: TargetId| from.targets.get(target.index()).and_then(|target| ids.get(&*target.key)).copied();
        for (at, history) in std::mem::take(&mut self.kept).into_iter().enumerate() {
            if let Some(seat) = moved(TargetId::at(at)).and_then(|to| next.kept.get_mut(to.index())) {
                *seat = History::restored(history.passes(), history.fails().map(|(moment, said)| (moment, said.clone())), next.size);
            }
        }
        writing.into_iter().chain(std::mem::take(&mut self.unwritten)).filter_map(moved).for_each(|target| next.wait(target));
        *self = next;
    }
}

/// A target's last probes for a successor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbesLegacy {
    passes: Vec<u64>,
    fails: Vec<(u64, usize)>,
    said: Vec<(String, Box<str>, Option<u16>)>,
}

impl ProbesLegacy {
    fn of(history: &History) -> Self {
        let LearnedProbes { passes, fails, said } = LearnedProbes::of(history);
        Self {
            passes: passes.into_iter().map(|moment| moment.0).collect(),
            fails: fails.into_iter().map(|(moment, place)| (moment.0, place)).collect(),
            said: said.iter().map(|said| (said.reason.word().to_string(), said.message.clone(), said.status)).collect(),
        }
    }

    fn learned(&self) -> LearnedProbes {
        let known = |word: &str| Reason::ALL.into_iter().find(|reason| reason.word() == word).unwrap_or(Reason::Internal);
        let said = self.said.iter().map(|(reason, message, status)| Arc::new(Said { reason: known(reason), message: message.clone(), status: *status }));
        LearnedProbes {
            passes: self.passes.iter().copied().map(Moment).collect(),
            fails: self.fails.iter().map(|(moment, place)| (Moment(*moment), *place)).collect(),
            said: said.collect(),
        }
    }
}

impl Probes {
    /// For a successor, by target key; targets without probes are left out.
    pub(super) fn legacy(&self, estate: &Estate) -> Vec<(Arc<str>, ProbesLegacy)> {
        let all = estate.targets.iter().zip(&self.kept).filter(|(_, history)| **history != History::default());
        all.map(|(target, history)| (target.key.clone(), ProbesLegacy::of(history))).collect()
    }

    /// What a predecessor knew; fails that it had not written yet wait here.
    pub(super) fn inherit(&mut self, legacy: &[(Arc<str>, ProbesLegacy)], estate: &Estate) {
        let known: HashMap<&str, &ProbesLegacy> = legacy.iter().map(|(key, probes)| (&**key, probes)).collect();
        for (at, target) in estate.targets.iter().enumerate() {
            let (Some(left), Some(history)) = (known.get(&*target.key), self.kept.get_mut(at)) else { continue };
            let left = left.learned().history(self.size);
            let written = history.fails().next_back() == left.fails().next_back();
            *history = left;
            if !written {
                self.wait(TargetId::at(at));
            }
        }
    }
}

impl Core {
    /// The last probes of a target, fails apart from passes.
    pub fn probes(&self, target: TargetId) -> Option<&History> {
        self.probes.of(target)
    }

    pub(super) fn learned_probes(&self, target: TargetId) -> Arc<LearnedProbes> {
        Arc::new(self.probes.of(target).map(LearnedProbes::of).unwrap_or_default())
    }
}
