//! `[plan.NAME]` and `[analysis.NAME]`: how shifts go, and what is measured meanwhile.

use std::sync::Arc;
use std::time::Duration;

use crate::config::file::{Analysis as AnalysisTable, Plan as PlanTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Named};
use crate::model::{AbortWhen, Analysis, Estate, Gauge, ShiftPlan, ShiftRules, ShiftStep, parse_step, step_faults};

use super::{check_name, number};

/// How long a step is watched unless the plan says.
const HOLD: Duration = Duration::from_secs(300);
/// How often an analysis is measured unless it says.
const INTERVAL: Duration = Duration::from_secs(30);

/// Checks both tables.
pub(super) fn check(plans: Named<PlanTable>, analyses: Named<AnalysisTable>, estate: &mut Estate, sink: &mut Sink<'_>) {
    let mut rules = ShiftRules::default();
    for Entry { name, span, value } in analyses.0 {
        check_name(&name, &span, "analysis", sink);
        rules.analyses.extend(analysis(name, &span, value, sink).map(Arc::new));
    }
    for Entry { name, span, value } in plans.0 {
        check_name(&name, &span, "plan", sink);
        let plan = plan(name, &span, value, &rules, sink);
        rules.plans.push(plan);
    }
    estate.shifts = rules;
}

fn analysis(name: String, span: &std::ops::Range<usize>, table: AnalysisTable, sink: &mut Sink<'_>) -> Option<Analysis> {
    let path = format!("analysis.{name}");
    let AnalysisTable { prometheus, query, slo, split, max, interval, failures } = table;
    let kinds = [!prometheus.is_absent(), slo.get().is_some_and(|on| on.value), split.get().is_some_and(|on| on.value)];
    if kinds.iter().filter(|kind| **kind).count() != 1 {
        let help = "write prometheus = \"http://…\" with query = \"…\"; or slo = true for pushed counters; or split = true for answered against asked shares";
        sink.problem(span, &path, "an analysis measures exactly one thing", help);
    }
    if prometheus.is_absent() != query.is_absent() {
        sink.problem(span, &path, "`prometheus` and `query` go together", "one says where, the other what");
    }
    if let Some(At { value, span }) = prometheus.get() {
        let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', '@', ' '])) {
            sink.problem(
                span,
                format_args!("{path}.prometheus"),
                format!("`{value}` is not the address of a Prometheus"),
                "write it like \"http://127.0.0.1:9090\"",
            );
        }
    }
    let limit = max.get().map(|max| max.value.0);
    if max.is_absent() {
        sink.missing(span, &path, "`max` is missing", "the analysis fails above it, such as max = 0.01");
    }
    let failures = u32::try_from(number(&failures, 1..=100, 2, format_args!("{path}.failures"), sink)).unwrap_or(2);
    if let Some(At { value, span }) = interval.get().filter(|interval| interval.value < Duration::from_secs(1) || Duration::from_secs(3600) < interval.value) {
        sink.problem(span, format_args!("{path}.interval"), format!("{value:?} is out of range"), "from 1s to 1h; 30s by default");
    }
    let gauge = match (prometheus.take(), query.take(), slo.or(false)) {
        (Some(url), Some(query), _) => Gauge::Prometheus { url: url.into(), query: query.into() },
        (_, _, true) => Gauge::Slo,
        _ => Gauge::Split,
    };
    Some(Analysis { name: name.into(), gauge, max: limit?, interval: interval.or(INTERVAL), failures })
}

fn plan(name: String, span: &std::ops::Range<usize>, table: PlanTable, rules: &ShiftRules, sink: &mut Sink<'_>) -> ShiftPlan {
    let path = format!("plan.{name}");
    let PlanTable { steps, hold, abort_when, analyses } = table;
    let hold = hold.or(HOLD);
    if steps.is_absent() {
        sink.missing(span, &path, "`steps` is missing", "write steps = [5, 25, \"50p\", 100]: per cent of the way; p waits for a person");
    }
    let mut read: Vec<ShiftStep> = Vec::new();
    if let Some(At { value, span }) = steps.get() {
        let mut sound = true;
        for At { value, span } in value.iter().filter_map(|step| step.get()) {
            match parse_step(&value.0, hold) {
                Some(step) => read.push(step),
                None => {
                    sound = false;
                    sink.problem(
                        span,
                        format_args!("{path}.steps"),
                        format!("`{}` is not a step", value.0),
                        "per cent of the way, above 0 and up to 100; \"50p\" waits for a person",
                    );
                }
            }
        }
        if sound && value.iter().all(|step| step.get().is_some()) {
            for fault in step_faults(&read) {
                sink.problem(span, format_args!("{path}.steps"), fault, "steps rise to 100: [5, 25, \"50p\", 100]");
            }
        }
    }
    let words = |key: crate::config::read::Key<crate::config::read::OneOrMany<String>>| {
        key.take().map(|list| list.0.into_iter().filter_map(|word| word.get().cloned()).collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut ends = Vec::new();
    for At { value, span } in words(abort_when) {
        match AbortWhen::parse(&value) {
            Some(when) => ends.push(when),
            None => {
                let all = format!("there are {}", AbortWhen::ALL.map(AbortWhen::word).join(", "));
                let help = sink.suggestion(&value, AbortWhen::ALL.into_iter().map(AbortWhen::word), all);
                sink.problem(&span, format_args!("{path}.abort_when"), format!("`{value}` does not end a shift"), help);
            }
        }
    }
    let mut measured = Vec::new();
    for At { value, span } in words(analyses) {
        match rules.analysis(&value) {
            Some(analysis) => measured.push(analysis.name.clone()),
            None => {
                let help = sink.suggestion(&value, rules.analyses.iter().map(|analysis| &*analysis.name), format!("add [analysis.{value}]"));
                sink.problem(&span, format_args!("{path}.analyses"), format!("no analysis is called `{value}`"), help);
            }
        }
    }
    ShiftPlan { name: name.into(), steps: read, abort_when: ends, analyses: measured }
}
