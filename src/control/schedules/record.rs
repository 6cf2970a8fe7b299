//! A schedule as the store keeps it.

use crate::control::change::Change;
use crate::control::plan_overrides::until;
use crate::control::plan_traffic::policy_text;
use crate::control::record::OverrideWord;
use crate::model::{GuardKind, Timestamp};

/// What has become of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScheduleState {
    /// Its moment has not come.
    Waiting,
    /// The change was made.
    Done,
    /// Guards or something else stood in the way.
    Refused,
    /// Its moment passed while the node could not act.
    Missed,
}

impl ScheduleState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Done, Self::Refused, Self::Missed];

    /// The word in API, CLI, metrics and store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Missed => "missed",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Somebody should look at it.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Refused | Self::Missed)
    }
}

/// A change and its moment. Everything that a restart needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleRecord {
    /// What is done.
    pub change: Change,
    /// When.
    pub due: Timestamp,
    /// Who has asked.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When they asked.
    pub at: Timestamp,
    /// Guards that need not hold.
    pub break_glass: Vec<GuardKind>,
    /// What has become of it.
    pub state: ScheduleState,
    /// When that was.
    pub ended: Option<Timestamp>,
    /// How it went, and what to do: a sentence.
    pub outcome: String,
}

/// What a change is, for people: `drain of region/prod for 2h`; `None`: such a change can't be scheduled.
pub(super) fn described(change: &Change) -> Option<String> {
    Some(match change {
        Change::Traffic { service, form } => format!("{service}: traffic to {}", policy_text(form)),
        Change::Failover { service, to } => format!("{service}: failover to {}", to.as_deref().unwrap_or("the next that is up")),
        Change::Shift { service, wanted } => {
            let shares: Vec<String> = wanted.to.iter().map(|(name, share)| format!("{name} {share} %")).collect();
            format!("{service}: shift to {}", shares.join(", "))
        }
        Change::Override { kind: kind @ OverrideWord::Drain, target, services, lasts } => {
            let only = if services.is_empty() { String::new() } else { format!(" for {}", services.join(", ")) };
            format!("{} of {target}{only} {}", kind.word(), until(*lasts))
        }
        Change::EndOverride { id } => format!("end of o-{id}"),
        Change::EndingShift(change) => format!("{}, ending its shift", described(change)?),
        _ => return None,
    })
}
