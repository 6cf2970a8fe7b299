//! Shifts as they stand on disk.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{Halt, Phase, ShiftRecord};
use crate::model::{AbortWhen, GuardKind, PolicyForm, Share, ShiftStep, Timestamp};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShiftForm {
    service: Arc<str>,
    before: Option<PolicyForm>,
    from: PolicyForm,
    to: PolicyForm,
    steps: Vec<StepForm>,
    plan: Option<Arc<str>>,
    abort_when: Vec<String>,
    analyses: Vec<Arc<str>>,
    break_glass: Vec<String>,
    actor: String,
    reason: String,
    at: Timestamp,
    phase: String,
    step: u32,
    reached: Vec<Timestamp>,
    ends: Option<Timestamp>,
    left_ms: u64,
    halt: Option<HaltForm>,
    changed: Timestamp,
    by: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepForm {
    percent: Share,
    hold_ms: u64,
    pause: bool,
}

impl From<ShiftStep> for StepForm {
    fn from(ShiftStep { percent, hold, pause }: ShiftStep) -> Self {
        Self { percent, hold_ms: millis(hold), pause }
    }
}

impl From<StepForm> for ShiftStep {
    fn from(StepForm { percent, hold_ms, pause }: StepForm) -> Self {
        Self { percent, hold: Duration::from_millis(hold_ms), pause }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HaltForm {
    code: String,
    message: String,
    value: Option<f64>,
    limit: Option<f64>,
    hint: String,
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<ShiftRecord> for ShiftForm {
    fn from(record: ShiftRecord) -> Self {
        let ShiftRecord { service, before, from, to, steps, plan, abort_when, analyses, break_glass, actor, reason, at, .. } = record;
        let ShiftRecord { phase, step, reached, ends, left, halt, changed, by, .. } = record;
        Self {
            service,
            before,
            from,
            to,
            steps: steps.into_iter().map(StepForm::from).collect(),
            plan,
            abort_when: abort_when.into_iter().map(|when| when.word().to_string()).collect(),
            analyses,
            break_glass: break_glass.into_iter().map(|guard| guard.word().to_string()).collect(),
            actor,
            reason,
            at,
            phase: phase.word().to_string(),
            step,
            reached,
            ends,
            left_ms: millis(left),
            halt: halt.map(|Halt { code, message, value, limit, hint }| HaltForm { code, message, value, limit, hint }),
            changed,
            by,
        }
    }
}

impl TryFrom<ShiftForm> for ShiftRecord {
    type Error = String;

    fn try_from(form: ShiftForm) -> Result<Self, String> {
        let ShiftForm { service, before, from, to, steps, plan, abort_when, analyses, break_glass, actor, reason, at, .. } = form;
        let ShiftForm { phase, step, reached, ends, left_ms, halt, changed, by, .. } = form;
        let word = |word: &str, what: &str| format!("`{word}` is not {what}");
        Ok(Self {
            service,
            before,
            from,
            to,
            steps: steps.into_iter().map(ShiftStep::from).collect(),
            plan,
            abort_when: abort_when.iter().map(|when| AbortWhen::parse(when).ok_or_else(|| word(when, "what ends a shift"))).collect::<Result<_, _>>()?,
            analyses,
            break_glass: break_glass.iter().map(|guard| GuardKind::parse(guard).ok_or_else(|| word(guard, "a guard"))).collect::<Result<_, _>>()?,
            actor,
            reason,
            at,
            phase: Phase::parse(&phase).ok_or_else(|| word(&phase, "a phase"))?,
            step,
            reached,
            ends,
            left: Duration::from_millis(left_ms),
            halt: halt.map(|HaltForm { code, message, value, limit, hint }| Halt { code, message, value, limit, hint }),
            changed,
            by,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::{at, form, name, text};
    use super::*;
    use crate::control::{Key, Record};

    /// Any shift.
    pub(in crate::store) fn entry() -> impl Strategy<Value = (Key, Record)> {
        let steps = prop::collection::vec((1_u32..=1_000_000, 0_u64..1_000_000, any::<bool>()), 1..5);
        let phase = prop::sample::select(Phase::ALL.to_vec());
        let halt = prop::option::of((text(), prop::option::of(0.0..100.0_f64)));
        (any::<u64>(), name(), prop::option::of(form()), form(), steps, phase, prop::option::of(at()), halt, text(), 0_u32..5).prop_map(
            |(id, service, before, to, steps, phase, ends, halt, reason, step)| {
                let steps = steps.into_iter().map(|(percent, hold, pause)| ShiftStep { percent: Share(percent), hold: Duration::from_millis(hold), pause });
                let record = ShiftRecord {
                    service,
                    before,
                    from: to.clone(),
                    to,
                    steps: steps.collect(),
                    plan: Some("careful".into()),
                    abort_when: AbortWhen::ALL.to_vec(),
                    analyses: vec!["errors".into()],
                    break_glass: vec![GuardKind::MaxStep],
                    actor: "token:anna".into(),
                    reason,
                    at: Timestamp(1),
                    phase,
                    step,
                    reached: vec![Timestamp(1), Timestamp(2)],
                    ends,
                    left: Duration::from_millis(1_500),
                    halt: halt.map(|(message, value)| Halt { code: "blind".into(), message, value, limit: None, hint: "wait".into() }),
                    changed: Timestamp(3),
                    by: "token:bert".into(),
                };
                (Key::Shift(id), Record::Shift(Arc::new(record)))
            },
        )
    }
}
