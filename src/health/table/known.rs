//! What is known of a target, a judgement, an endpoint; and what one outcome changed of it.

use std::time::Duration;

use crate::health::quality::Quality;
use crate::health::{ProbeReport, State};
use crate::model::{EndpointId, JudgementId, Timestamp};

/// What is known of one target, whoever judges it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetHealth {
    /// The last probe of this run.
    pub last: Option<ProbeReport>,
    /// The last failed probe of this run.
    pub last_failed: Option<ProbeReport>,
    /// What is known beside Up and Down; degraded by the monitor's thresholds.
    pub quality: Quality,
}

/// The verdict on one target by one set of thresholds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgementHealth {
    /// The verdict.
    pub state: State,
    /// Loaded from the store and not yet confirmed by an outcome (SEMANTICS, 13).
    pub stale: bool,
    /// Wall time at which the verdict last changed (kept across restarts).
    pub since: Timestamp,
    /// Counted fails while Up.
    pub fails: u16,
    /// Passes in a row.
    pub passes: u16,
    /// `mono` of the first fail of the present streak; for the failover duration. A streak ends when its fails are forgiven or the verdict is Up again.
    pub failing_since: Option<Duration>,
    /// `mono` of the last outcome that made the present streak against the verdict longer.
    pub streak_at: Duration,
}

/// What is known of an endpoint that is watched, by whatever watches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointHealth<'h> {
    /// Observed.
    pub state: State,
    /// Not confirmed by this run's outcomes.
    pub stale: bool,
    /// Since when it is so.
    pub since: Timestamp,
    /// `mono` of the first fail of what took it down, or is about to.
    pub failing_since: Option<Duration>,
    /// The last probe of this run.
    pub last: Option<&'h ProbeReport>,
    /// The last failed probe of this run; of a composite's that has counting members Down: of one of those.
    pub last_failed: Option<&'h ProbeReport>,
    /// Of a composite: the monitor that `last_failed` comes from.
    pub failed_by: Option<&'h str>,
}

/// A verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub judgement: JudgementId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// The mark `stale` went away (perhaps without a change of state).
    pub confirmed: bool,
    /// The first fail of what made it Down.
    pub failing_since: Option<Duration>,
}

/// An endpoint's observed state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub endpoint: EndpointId,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
}

/// What one outcome changed: nearly always nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Verdicts that changed, or are no longer stale.
    pub transitions: Vec<Transition>,
    /// Endpoints that changed by them.
    pub turns: Vec<Turn>,
    /// Verdicts that stand, and against which a streak has begun, grown or ended.
    pub streaks: Vec<JudgementId>,
}
