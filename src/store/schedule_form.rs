//! Schedules as they stand on disk, with the changes that they are about.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::{Change, OverrideTargetName, OverrideWord, ScheduleRecord, ScheduleState, Wanted};
use crate::model::{AbortWhen, GuardKind, PolicyForm, Share, Timestamp};

use super::shift_form::{StepForm, millis};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleForm {
    change: ChangeForm,
    due: Timestamp,
    actor: String,
    reason: String,
    at: Timestamp,
    break_glass: Vec<String>,
    state: String,
    ended: Option<Timestamp>,
    outcome: String,
}

/// The changes that can be scheduled.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ChangeForm {
    Traffic {
        service: String,
        policy: PolicyForm,
    },
    Failover {
        service: String,
        to: Option<String>,
    },
    Override {
        kind: String,
        target: String,
        services: Vec<String>,
        lasts_ms: Option<u64>,
    },
    EndOverride {
        id: u64,
    },
    Shift {
        service: String,
        to: Vec<(String, Share)>,
        plan: Option<String>,
        steps: Vec<StepForm>,
        abort_when: Vec<String>,
        analyses: Vec<String>,
        short_holds: bool,
    },
    EndingShift(Box<ChangeForm>),
}

impl ChangeForm {
    fn of(change: &Change) -> Result<Self, String> {
        Ok(match change.clone() {
            Change::Traffic { service, form } => Self::Traffic { service, policy: form },
            Change::Failover { service, to } => Self::Failover { service, to },
            Change::Override { kind, target, services, lasts } => {
                Self::Override { kind: kind.word().to_string(), target: target.to_string(), services, lasts_ms: lasts.map(millis) }
            }
            Change::EndOverride { id } => Self::EndOverride { id },
            Change::Shift { service, wanted } => {
                let Wanted { to, plan, steps, abort_when, analyses, short_holds } = wanted;
                let abort_when = abort_when.into_iter().map(|when| when.word().to_string()).collect();
                Self::Shift { service, to, plan, steps: steps.into_iter().map(StepForm::from).collect(), abort_when, analyses, short_holds }
            }
            Change::EndingShift(change) => Self::EndingShift(Box::new(Self::of(&change)?)),
            _ => return Err("such a change is never scheduled".to_string()),
        })
    }
}

impl TryFrom<ChangeForm> for Change {
    type Error = String;

    fn try_from(form: ChangeForm) -> Result<Self, String> {
        Ok(match form {
            ChangeForm::Traffic { service, policy } => Self::Traffic { service, form: policy },
            ChangeForm::Failover { service, to } => Self::Failover { service, to },
            ChangeForm::Override { kind, target, services, lasts_ms } => Self::Override {
                kind: OverrideWord::parse(&kind).ok_or_else(|| format!("`{kind}` is not a kind of override"))?,
                target: OverrideTargetName::parse(&target).ok_or_else(|| format!("`{target}` is not an override's target"))?,
                services,
                lasts: lasts_ms.map(Duration::from_millis),
            },
            ChangeForm::EndOverride { id } => Self::EndOverride { id },
            ChangeForm::Shift { service, to, plan, steps, abort_when, analyses, short_holds } => {
                let abort_when = abort_when.iter().map(|when| AbortWhen::parse(when).ok_or_else(|| format!("`{when}` is not what ends a shift")));
                let (steps, abort_when) = (steps.into_iter().map(Into::into).collect(), abort_when.collect::<Result<_, _>>()?);
                Self::Shift { service, wanted: Wanted { to, plan, steps, abort_when, analyses, short_holds } }
            }
            ChangeForm::EndingShift(change) => Self::EndingShift(Box::new(Self::try_from(*change)?)),
        })
    }
}

impl ScheduleForm {
    /// A sentence for a change that is never scheduled: `control` makes no such record.
    pub(super) fn of(record: &ScheduleRecord) -> Result<Self, String> {
        let ScheduleRecord { change, due, actor, reason, at, break_glass, state, ended, outcome } = record.clone();
        let break_glass = break_glass.into_iter().map(|guard| guard.word().to_string()).collect();
        Ok(Self { change: ChangeForm::of(&change)?, due, actor, reason, at, break_glass, state: state.word().to_string(), ended, outcome })
    }
}

impl TryFrom<ScheduleForm> for Arc<ScheduleRecord> {
    type Error = String;

    fn try_from(form: ScheduleForm) -> Result<Self, String> {
        let ScheduleForm { change, due, actor, reason, at, break_glass, state, ended, outcome } = form;
        let guards = break_glass.iter().map(|guard| GuardKind::parse(guard).ok_or_else(|| format!("`{guard}` is not a guard")));
        Ok(Arc::new(ScheduleRecord {
            change: change.try_into()?,
            due,
            actor,
            reason,
            at,
            break_glass: guards.collect::<Result<_, _>>()?,
            state: ScheduleState::parse(&state).ok_or_else(|| format!("`{state}` is not a state of a schedule"))?,
            ended,
            outcome,
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::{at, form, name, target, text};
    use super::*;
    use crate::control::{Key, Record};
    use crate::model::ShiftStep;

    fn change() -> impl Strategy<Value = Change> {
        let traffic = (text(), form()).prop_map(|(service, form)| Change::Traffic { service, form });
        let failover = (text(), prop::option::of(text())).prop_map(|(service, to)| Change::Failover { service, to });
        let lasts = prop::option::of((0_u64..1_000_000).prop_map(Duration::from_millis));
        let drain = (target(), prop::collection::vec(text(), 0..3), lasts).prop_map(|(target, services, lasts)| Change::Override {
            kind: OverrideWord::Drain,
            target,
            services,
            lasts,
        });
        let end = any::<u64>().prop_map(|id| Change::EndOverride { id });
        let shift = (text(), prop::option::of(text()), 1_u32..=1_000_000).prop_map(|(service, plan, percent)| {
            let steps = vec![ShiftStep { percent: Share(percent), hold: Duration::from_millis(5), pause: true }];
            let to = vec![("prod".to_string(), Share(percent))];
            let wanted = Wanted { to, plan, steps, abort_when: AbortWhen::ALL.to_vec(), analyses: vec!["errors".into()], short_holds: true };
            Change::Shift { service, wanted }
        });
        let plain = prop_oneof![traffic, failover, drain, end, shift];
        (plain, any::<bool>()).prop_map(|(change, ending)| if ending { Change::EndingShift(Box::new(change)) } else { change })
    }

    /// Any schedule.
    pub(in crate::store) fn entry() -> impl Strategy<Value = (Key, Record)> {
        let state = prop::sample::select(ScheduleState::ALL.to_vec());
        let made = (change(), at(), name(), text(), at(), state, prop::option::of(at()), text());
        (any::<u64>(), made).prop_map(|(id, (change, due, actor, reason, at, state, ended, outcome))| {
            let break_glass = vec![GuardKind::MaxStep];
            let record = ScheduleRecord { change, due, actor: actor.to_string(), reason, at, break_glass, state, ended, outcome };
            (Key::Schedule(id), Record::Schedule(Arc::new(record)))
        })
    }
}
