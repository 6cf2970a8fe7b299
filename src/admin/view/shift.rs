//! Shifts as the API shows them.

use crate::admin::api;
use crate::control::{AnalysisView, ShiftRecord, ShiftView};
use crate::model::{Choice, PolicyForm};

/// As it stands.
pub(in crate::admin) fn shift(view: &ShiftView) -> api::Shift {
    let ShiftView { id, record, revision, left, degraded, analyses } = view;
    let analyses = analyses.iter().map(|analysis| {
        let AnalysisView { name, value, max, problem, failures } = analysis.clone();
        api::ShiftAnalysis { name: name.to_string(), value, max, problem, failures }
    });
    api::Shift {
        phase: view.phase().to_string(),
        analyses: analyses.collect(),
        degraded: degraded.clone(),
        left: left.map(|left| api::Span(std::time::Duration::from_secs(left.as_secs()))),
        revision: revision.0,
        ..planned_shift(*id, record)
    }
}

/// As it would be.
pub(in crate::admin) fn planned_shift(id: u64, record: &ShiftRecord) -> api::Shift {
    let steps = record.steps.iter().enumerate().map(|(at, step)| api::ShiftStep {
        percent: step.percent.percent(),
        shares: shares(&record.form_at(at)),
        hold: step.hold.into(),
        pause: step.pause,
        reached: record.reached.get(at).map(|reached| (*reached).into()),
    });
    let analysis = |name: &std::sync::Arc<str>| api::ShiftAnalysis { name: name.to_string(), value: None, max: None, problem: None, failures: 0 };
    api::Shift {
        id: format!("s-{id}"),
        service: record.service.to_string(),
        phase: record.phase.word().to_string(),
        step: record.step + 1,
        steps: steps.collect(),
        from: shares(&record.from),
        to: shares(&record.to),
        plan: record.plan.as_ref().map(ToString::to_string),
        abort_when: record.abort_when.iter().map(|when| when.word().to_string()).collect(),
        analyses: record.analyses.iter().map(analysis).collect(),
        halt: record.halt.clone().map(Into::into),
        degraded: None,
        left: None,
        started: api::Changed { at: record.at.into(), by: record.actor.clone(), reason: record.reason.clone() },
        changed: api::Changed { at: record.changed.into(), by: record.by.clone(), reason: String::new() },
        revision: 0,
    }
}

fn shares(form: &PolicyForm) -> api::Shares {
    match &form.choice {
        Choice::Weighted(children) => api::Shares(children.iter().map(|(name, share)| (name.clone(), share.percent())).collect()),
        Choice::Failover(_) | Choice::Multivalue(_) | Choice::Geo(_) | Choice::Nearest(_) => api::Shares::default(),
    }
}
