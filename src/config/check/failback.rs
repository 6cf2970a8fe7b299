//! `failback` of a service: a time, `"manual"`, or a table with a mode.

use std::ops::Range;
use std::time::Duration;

use crate::config::file::{Failback as Word, FailbackTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Key};
use crate::model::{Failback, Stages, Steps, duration_text};

/// Where the file says nothing.
const DEFAULT: Duration = Duration::from_secs(60);
/// Shorter steps could not be watched.
const HOLD_MIN: Duration = Duration::from_secs(1);

const HELP: &str = "there are { after = \"1m\", jitter = \"30s\" }, { mode = \"one_way\" } and { mode = \"staged\", steps = [5, 20, 100], hold = \"5m\" }";

/// When a returned pool is used again. `root`: how the service's policy chooses, in a word.
pub(super) fn check(key: Key<Word>, root: Option<&str>, path: &str, sink: &mut Sink<'_>) -> Failback {
    let path = format!("{path}.failback");
    let Some(At { value, span }) = key.take_at() else { return Failback::After(DEFAULT) };
    let table = match value {
        Word::Plain(failback) => return failback,
        Word::Table(table) => table,
    };
    let FailbackTable { mode, after, jitter, steps, hold } = table;
    let after_span = after.or(DEFAULT);
    let jitter_span = jitter.get().map_or(Duration::ZERO, |found| found.value);
    let alien = |place: Option<&Range<usize>>, key: &str, sink: &mut Sink<'_>| {
        if let Some(place) = place {
            sink.problem(place, format_args!("{path}.{key}"), format!("`{key}` belongs to mode = \"staged\""), HELP);
        }
    };
    match mode.get().map(|found| (found.value.as_str(), &found.span)) {
        None | Some(("one_way", _)) => {
            alien(steps.get().map(|found| &found.span), "steps", sink);
            alien(hold.get().map(|found| &found.span), "hold", sink);
            if mode.is_absent() {
                return if jitter_span.is_zero() { Failback::After(after_span) } else { Failback::Scattered { after: after_span, jitter: jitter_span } };
            }
            if let Some(found) = jitter.get() {
                sink.problem(&found.span, format_args!("{path}.jitter"), "nothing moves at a time with one_way, so there is nothing to scatter", "remove it");
            }
            if let Some(root) = root.filter(|root| *root != "failover") {
                let message = format!("one_way changes the order of a failover, and this policy is `{root}`");
                sink.problem(&span, &path, message, "use failback = \"manual\", or a failover at the root of the policy");
            }
            Failback::OneWay(after_span)
        }
        Some(("staged", _)) => {
            let written: Vec<i64> =
                steps.get().map_or_else(|| vec![5, 20, 100], |found| found.value.iter().filter_map(|step| step.get()).map(|step| step.value).collect());
            let place = steps.get().map_or(&span, |found| &found.span);
            let steps = Steps::new(&written).unwrap_or_else(|why| {
                sink.problem(place, format_args!("{path}.steps"), why.to_string(), "per cent of the pool's own share, such as [5, 20, 100]");
                Steps::WHOLE
            });
            let at_least = |key: &Key<Duration>, sink: &mut Sink<'_>| {
                let Some(found) = key.get() else { return Duration::from_secs(300) };
                if found.value < HOLD_MIN {
                    let message = format!("a step of {} can't be watched", duration_text(found.value));
                    sink.problem(&found.span, format_args!("{path}.hold"), message, "at least \"1s\"; at least twice the TTL is wise");
                }
                found.value.max(HOLD_MIN)
            };
            let hold = at_least(&hold, sink);
            Failback::Staged(Stages { after: after_span, jitter: jitter_span, steps, hold })
        }
        Some((other, span)) => {
            sink.problem(span, format_args!("{path}.mode"), format!("there is no failback mode `{other}`"), HELP);
            Failback::Manual
        }
    }
}
