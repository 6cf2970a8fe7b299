//! Shifts: traffic moved step by step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control;

use super::{Changed, Shares, Span, Time};

/// `POST /services/{service}/shifts`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftPost {
    /// Shares to reach, per cent; children that are not named get none.
    pub to: Shares,
    /// `[plan.NAME]` of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Without a plan: its own steps; none at all: 5, 25, 50, 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ShiftStepPost>,
    /// What ends it by itself, beside what the plan says: `target_unhealthy`, `analysis_failed`. Everything else that goes wrong pauses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort_when: Vec<String>,
    /// `[analysis.NAME]` of the file, beside what the plan says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<String>,
    /// Holds may be shorter than twice the TTL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short_holds: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Guards that need not hold, for any step: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
}

/// One step of a [`ShiftPost`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftStepPost {
    /// So much of the way, per cent.
    pub percent: f64,
    /// How long it is watched; 5 minutes unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Span>,
    /// A person must say that it goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

/// `POST /shifts/{id}/{order}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftOrder {
    /// `promote`: the last step at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
}

/// `POST /services/{service}/slo`: what its own monitoring counted since it pushed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SloPost {
    /// Requests that went well.
    #[serde(default)]
    pub good: u64,
    /// Those that didn't.
    #[serde(default)]
    pub bad: u64,
}

/// A shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shift {
    /// `s-7`
    pub id: String,
    /// Of which service.
    pub service: String,
    /// `progressing`, `paused`, `waiting`, `degraded`, `completed`, `aborted`.
    pub phase: String,
    /// The step in force, from 1.
    pub step: u32,
    /// All of them.
    pub steps: Vec<ShiftStep>,
    /// Shares before.
    pub from: Shares,
    /// Shares that are asked for.
    pub to: Shares,
    /// The plan's name.
    pub plan: Option<String>,
    /// What ends it by itself.
    pub abort_when: Vec<String>,
    /// What is measured.
    pub analyses: Vec<ShiftAnalysis>,
    /// Why it paused or ended without being asked.
    pub halt: Option<ShiftHalt>,
    /// What the store said, if it holds up a step.
    pub degraded: Option<String>,
    /// What is left of the hold.
    pub left: Option<Span>,
    /// Who started it, when and why.
    pub started: Changed,
    /// When it last changed, and who changed it.
    pub changed: Changed,
    /// The store's counter at its last change.
    pub revision: u64,
}

/// A step of a shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShiftStep {
    /// So much of the way, per cent.
    pub percent: f64,
    /// Shares then.
    pub shares: Shares,
    /// How long it is watched.
    pub hold: Span,
    /// A person must say that it goes on.
    pub pause: bool,
    /// When it came into force; `null`: not yet.
    pub reached: Option<Time>,
}

/// An analysis of a shift under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShiftAnalysis {
    /// Which.
    pub name: String,
    /// The last number in this step.
    pub value: Option<f64>,
    /// The limit.
    pub max: Option<f64>,
    /// Why the last measurement gave nothing.
    pub problem: Option<String>,
    /// Times in a row above the limit.
    pub failures: u32,
}

/// Why a shift paused or ended by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShiftHalt {
    /// `target_unhealthy`, `analysis_failed`, `analysis_inconclusive`, `guards`, `refused`, `blind`, `replaced`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What was found.
    pub value: Option<f64>,
    /// What may be.
    pub limit: Option<f64>,
    /// What to do.
    pub hint: String,
}

impl From<control::Halt> for ShiftHalt {
    fn from(halt: control::Halt) -> Self {
        let control::Halt { code, message, value, limit, hint } = halt;
        Self { code, message, value, limit, hint }
    }
}
