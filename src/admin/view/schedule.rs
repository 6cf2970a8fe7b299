//! Schedules as the API shows them.

use crate::admin::api;
use crate::control::ScheduleView;

/// As it stands.
pub(in crate::admin) fn schedule(view: &ScheduleView) -> api::Schedule {
    let ScheduleView { id, record, revision, what, services, left, held } = view;
    api::Schedule {
        id: format!("t-{id}"),
        what: what.clone(),
        services: services.iter().map(ToString::to_string).collect(),
        due: record.due.into(),
        left: left.map(|left| api::Span(std::time::Duration::from_secs(left.as_secs()))),
        state: record.state.word().to_string(),
        held: held.clone(),
        outcome: record.outcome.clone(),
        ended: record.ended.map(Into::into),
        break_glass: record.break_glass.iter().map(|guard| guard.word().to_string()).collect(),
        asked: api::Changed { at: record.at.into(), by: record.actor.clone(), reason: record.reason.clone() },
        revision: revision.0,
    }
}
