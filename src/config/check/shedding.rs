//! `shed` of a pool: from which load on it gives away a share of its answers.

use std::time::Duration;

use crate::config::file::ShedTable;
use crate::config::problem::Sink;
use crate::config::read::{At, Key, Number};
use crate::model::{Load, SHED_MAX, Share, Shed, ShedBy, duration_text};

/// Where the file says nothing.
const HOLD: Duration = Duration::from_secs(60);
const MAX_AGE: Duration = Duration::from_secs(300);
/// Reports that die sooner would count for nothing.
const MAX_AGE_MIN: Duration = Duration::from_secs(1);

const HELP: &str = "such as shed = { over = 80, until = 70, share = 30 }";

/// `None`: the pool declares none, or nothing that makes sense.
pub(super) fn check(key: &Key<ShedTable>, path: &str, sink: &mut Sink<'_>) -> Option<Shed> {
    let At { value: ShedTable { over, until, share, by, hold, max_age }, span } = key.get()?;
    let load = |key: &Key<Number>, name: &str, sink: &mut Sink<'_>| {
        let found = key.get()?;
        let load = Load::new(found.value.0);
        if load.is_none() {
            sink.problem(&found.span, format_args!("{path}.{name}"), format!("{} is no load", found.value.0), "a number from 0 to 1000000000, in any unit");
        }
        load
    };
    for (key, name) in [(over, "over"), (share, "share")] {
        if key.is_absent() {
            sink.missing(span, path, format!("`{name}` is missing"), HELP);
        }
    }
    let (limit, end) = (load(over, "over", sink), load(until, "until", sink));
    if let (Some(found), Some(Load::ZERO)) = (over.get(), limit) {
        sink.problem(&found.span, format_args!("{path}.over"), "any load at all is over 0", "write the load that the pool can bear");
    }
    let end = end.or(limit.map(Load::less_a_tenth));
    if let (Some(found), Some(limit), Some(end)) = (until.get(), limit, end)
        && limit <= end
    {
        let message = format!("it would end at {end} and begin over {limit}: it would never rest");
        sink.problem(&found.span, format_args!("{path}.until"), message, format!("less than `over`; {} by default", limit.less_a_tenth()));
    }
    let part = share.get().and_then(|found| {
        let part = Share::from_percent(found.value.0).filter(|part| Share::ZERO < *part && *part <= SHED_MAX);
        if part.is_none() {
            let help = format!(
                "per cent of the pool's own answers, more than 0, at most {SHED_MAX}: who gives away all of them is idle, and full again when they come back"
            );
            sink.problem(&found.span, format_args!("{path}.share"), format!("{} is out of range", found.value.0), help);
        }
        part
    });
    let by = by.get().map_or(Some(ShedBy::default()), |found| {
        let known = ShedBy::ALL.into_iter().find(|by| by.word() == found.value);
        if known.is_none() {
            let words = ShedBy::ALL.map(ShedBy::word);
            let help = sink.suggestion(&found.value, words.into_iter(), format!("there are {}", words.join(" and ")));
            sink.problem(&found.span, format_args!("{path}.by"), format!("`{}` is no way to choose whose answers go", found.value), help);
        }
        known
    });
    if let Some(found) = max_age.get().filter(|found| found.value < MAX_AGE_MIN) {
        let message = format!("after {} no report would count", duration_text(found.value));
        sink.problem(&found.span, format_args!("{path}.max_age"), message, "a time that is longer than that between two reports; \"5m\" by default");
    }
    Some(Shed {
        over: limit?,
        until: end?,
        share: part?,
        by: by?,
        hold: hold.get().map_or(HOLD, |found| found.value),
        max_age: max_age.get().map_or(MAX_AGE, |found| found.value),
    })
}
