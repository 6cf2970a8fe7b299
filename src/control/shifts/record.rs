//! A shift as the store keeps it, and its shares.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{AbortWhen, Choice, GuardKind, PolicyForm, Share, ShiftStep, Timestamp};

/// Where a shift stands, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A step is in force, and its hold runs.
    Progressing,
    /// It goes on when a person says so: somebody paused it, or it halted by itself.
    Paused,
    /// The step's plan says that a person decides.
    Waiting,
    /// Traffic is as before the shift, or somebody else's change took its place.
    Aborted,
    /// All the way.
    Completed,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 5] = [Self::Progressing, Self::Paused, Self::Waiting, Self::Aborted, Self::Completed];

    /// The word in API, CLI, metrics and store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Progressing => "progressing",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Aborted => "aborted",
            Self::Completed => "completed",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.word() == word)
    }

    /// It may still move.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Progressing | Self::Paused | Self::Waiting)
    }
}

/// Why a shift paused or ended without being asked: value, limit and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Halt {
    /// Stable word: `target_unhealthy`, `analysis_failed`, `analysis_inconclusive`, `guards`, `blind`, `replaced`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What was found, if it is a number.
    pub value: Option<f64>,
    /// What may be.
    pub limit: Option<f64>,
    /// What to do next, exactly.
    pub hint: String,
}

/// What a shift is asked to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Shares to reach; children that are not named get none.
    pub to: Vec<(String, Share)>,
    /// `[plan.NAME]`
    pub plan: Option<String>,
    /// Without a plan: its own steps; empty: the default ones.
    pub steps: Vec<ShiftStep>,
    /// What ends it by itself, beside what the plan says.
    pub abort_when: Vec<AbortWhen>,
    /// What is measured, beside what the plan says.
    pub analyses: Vec<String>,
    /// Holds may be shorter than clients need to follow.
    pub short_holds: bool,
}

/// A shift. Everything that a restart needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftRecord {
    /// Of which service.
    pub service: Arc<str>,
    /// Traffic before: operators' policy; `None`: the file's.
    pub before: Option<PolicyForm>,
    /// The split that it began with.
    pub from: PolicyForm,
    /// The split that was asked for.
    pub to: PolicyForm,
    /// Rising to 100.
    pub steps: Vec<ShiftStep>,
    /// The plan's name.
    pub plan: Option<Arc<str>>,
    /// What ends it by itself.
    pub abort_when: Vec<AbortWhen>,
    /// What is measured.
    pub analyses: Vec<Arc<str>>,
    /// Guards that need not hold, for any step.
    pub break_glass: Vec<GuardKind>,
    /// Who started it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// The step in force (0: the first).
    pub step: u32,
    /// When each step so far came into force.
    pub reached: Vec<Timestamp>,
    /// When the hold in force ends.
    pub ends: Option<Timestamp>,
    /// What is left of the hold, while it is paused.
    pub left: Duration,
    /// Why it paused or ended without being asked.
    pub halt: Option<Halt>,
    /// When it last changed.
    pub changed: Timestamp,
    /// Who changed it.
    pub by: String,
}

impl ShiftRecord {
    /// The step in force.
    pub fn now_at(&self) -> Option<&ShiftStep> {
        self.steps.get(self.step as usize)
    }

    /// The policy of a step: so much of the way from `from` to `to`. The last child takes what rounding leaves.
    pub fn form_at(&self, step: usize) -> PolicyForm {
        let percent = self.steps.get(step).map_or(Share::FULL, |step| step.percent);
        if percent == Share::FULL {
            return self.to.clone();
        }
        let (Choice::Weighted(from), Choice::Weighted(to)) = (&self.from.choice, &self.to.choice) else { return self.to.clone() };
        let part = |from: u32, to: u32| {
            let (from, to, percent, full) = (i64::from(from), i64::from(to), i64::from(percent.0), i64::from(Share::FULL.0));
            u32::try_from(from + (to - from) * percent / full).unwrap_or(0)
        };
        let mut shares: Vec<(String, Share)> = from
            .iter()
            .map(|(name, share)| {
                let wanted = to.iter().find(|(known, _)| known == name).map_or(*share, |(_, share)| *share);
                (name.clone(), Share(part(share.0, wanted.0)))
            })
            .collect();
        let sum: u32 = shares.iter().map(|(_, share)| share.0).sum();
        // Rounding leaves a few millionths; they go where most is, so that nobody with nothing gets some.
        if let Some((_, most)) = shares.iter_mut().max_by_key(|(_, share)| *share) {
            most.0 = (most.0 + Share::FULL.0).saturating_sub(sum);
        }
        PolicyForm { choice: Choice::Weighted(shares), min_up: self.from.min_up }
    }

    /// Children that gain.
    pub fn gainers(&self) -> Vec<&str> {
        let (Choice::Weighted(from), Choice::Weighted(to)) = (&self.from.choice, &self.to.choice) else { return Vec::new() };
        let before = |name: &str| from.iter().find(|(known, _)| known == name).map_or(Share::ZERO, |(_, share)| *share);
        to.iter().filter(|(name, share)| before(name) < *share).map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
pub(in crate::control) mod tests {
    use super::*;
    use crate::health::testing::form;
    use crate::model::parse_step;

    /// A shift at its first step.
    pub(in crate::control) fn record(from: &str, to: &str, steps: &str) -> ShiftRecord {
        ShiftRecord {
            service: "search".into(),
            before: None,
            from: form(from),
            to: form(to),
            steps: steps.split(',').map(|step| parse_step(step, Duration::from_secs(60)).expect("a step")).collect(),
            plan: None,
            abort_when: Vec::new(),
            analyses: Vec::new(),
            break_glass: Vec::new(),
            actor: "anna".into(),
            reason: "CHG-1".into(),
            at: Timestamp(0),
            phase: Phase::Progressing,
            step: 0,
            reached: vec![Timestamp(0)],
            ends: Some(Timestamp(60_000)),
            left: Duration::ZERO,
            halt: None,
            changed: Timestamp(0),
            by: "anna".into(),
        }
    }

    #[test]
    fn steps_are_per_cent_of_the_way() {
        let shift = record("weighted prod=80 dr=20", "weighted prod=20 dr=80", "5,25,50p,100");
        let shares: Vec<PolicyForm> = (0..4).map(|step| shift.form_at(step)).collect();
        let wanted = ["prod=77 dr=23", "prod=65 dr=35", "prod=50 dr=50", "prod=20 dr=80"];
        assert_eq!(shares, wanted.map(|shares| form(&format!("weighted {shares}"))));
        assert_eq!(shift.gainers(), ["dr"]);
    }

    #[test]
    fn every_step_sums_to_a_hundred_and_stays_between() {
        let shift = record("weighted a=33.3333 b=33.3333 c=33.3334 d=0", "weighted a=0 b=11.1111 c=0 d=88.8889", "1,7,33.3,66.7,99.9,100");
        for step in 0..6 {
            let form = shift.form_at(step);
            assert_eq!(form.faults(), Vec::<String>::new(), "{form:?}");
            let Choice::Weighted(shares) = form.choice else { panic!("not weighted") };
            assert_eq!(shares.iter().map(|(_, share)| share.0).sum::<u32>(), Share::FULL.0);
        }
    }

    #[test]
    fn words_read_back() {
        Phase::ALL.into_iter().for_each(|phase| assert_eq!(Phase::parse(phase.word()), Some(phase)));
    }
}
