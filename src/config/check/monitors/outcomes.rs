//! `degraded`, `report`, `data_at`, `load_from`, `busy`, `redirects`: what an HTTP monitor may find beside pass and fail.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::file::{DataAtTable, DegradedTable, Monitor as Table, ReportTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Key, Number, OneOrMany, StatusRange};
use crate::model::{Busy, DegradedRule, Factor, HttpOutcomes, JsonPath, Method, REDIRECTS_MAX, ReportKind, ReportPlace, ReportRule, Weight, duration_text};

use super::super::number;
use super::http::{check_json, is_token};
use super::refuse_beside;

/// Longest that a peer may be busy without having failed.
const BUSY_LONGEST: Duration = Duration::from_secs(3600);

/// Octets of `degraded.body`; a longer text is a mistake.
const TEXT_OCTETS_MAX: usize = 1024;

pub(super) fn outcomes(table: &Table, method: Method, path: &str, sink: &mut Sink<'_>) -> HttpOutcomes {
    let Table { degraded, report, data_at, load_from, busy, busy_max, redirects, timeout, .. } = table;
    let default = HttpOutcomes::default();
    let timeout = timeout.get().map_or(Duration::from_secs(3), |found| found.value);
    let rule = busy_rule(busy, path, sink);
    let asked = Asked { timeout, method, busy: rule == Busy::Degraded };
    let degraded_rule = degraded.get().map(|found| degraded_rule(found, asked, &format!("{path}.degraded"), sink));
    if rule == Busy::Degraded
        && let Some(found) = busy.get().filter(|_| degraded.is_absent())
    {
        let help = "add degraded = { factor = 0.5 }, or choose \"pass\" or \"ignore\"";
        sink.problem(&found.span, format_args!("{path}.busy"), "busy = \"degraded\" needs to know what a degraded endpoint counts", help);
    }
    if let Some(found) = busy_max.get() {
        if rule == Busy::Fail && !matches!(busy, Key::Unreadable) {
            sink.problem(
                &found.span,
                format_args!("{path}.busy_max"),
                "`busy_max` means nothing while busy is a failure",
                "remove it, or add busy = \"ignore\"",
            );
        } else if found.value.is_zero() || BUSY_LONGEST < found.value {
            sink.problem(&found.span, format_args!("{path}.busy_max"), "out of range", "more than 0, at most \"1h\"; \"1m\" by default");
        }
    }
    HttpOutcomes {
        degraded: degraded_rule,
        report: report.get().and_then(|found| report_rule(found, method, &format!("{path}.report"), sink)),
        data_at: data_at.get().and_then(|found| data_place(found, method, &format!("{path}.data_at"), sink)),
        load_from: load_from.get().and_then(|found| load_place(found, method, &format!("{path}.load_from"), sink)),
        busy: rule,
        busy_max: busy_max.get().map_or(default.busy_max, |found| found.value.min(BUSY_LONGEST)),
        redirects: u8::try_from(number(redirects, 0..=i64::from(REDIRECTS_MAX), 0, format_args!("{path}.redirects"), sink)).unwrap_or(0),
    }
}

/// What the monitor says elsewhere.
struct Asked {
    timeout: Duration,
    method: Method,
    /// Busy counts as degraded.
    busy: bool,
}

fn degraded_rule(found: &At<DegradedTable>, asked: Asked, path: &str, sink: &mut Sink<'_>) -> DegradedRule {
    let Asked { timeout, method, busy } = asked;
    let DegradedTable { slower_than, body, json, status, factor } = &found.value;
    if slower_than.is_absent() && body.is_absent() && json.is_absent() && status.is_absent() && !busy {
        let help = "write it like degraded = { slower_than = \"800ms\", factor = 0.5 }; there are slower_than, body, json and status";
        sink.problem(&found.span, path, "nothing makes a probe degraded", help);
    }
    if let Some(slow) = slower_than.get() {
        if slow.value.is_zero() {
            sink.problem(&slow.span, format_args!("{path}.slower_than"), "every probe takes longer", "write a time like \"800ms\"");
        } else if timeout <= slow.value {
            let message = format!("slower_than ({}) must be shorter than timeout ({})", duration_text(slow.value), duration_text(timeout));
            sink.problem(&slow.span, format_args!("{path}.slower_than"), message, "a probe that takes the whole timeout has failed");
        }
    }
    if let Some(text) = body.get() {
        if text.value.is_empty() {
            sink.problem(&text.span, format_args!("{path}.body"), "every body contains nothing", "write the text to look for, or remove the key");
        } else if TEXT_OCTETS_MAX < text.value.len() {
            sink.problem(&text.span, format_args!("{path}.body"), "the text is too long", format!("at most {TEXT_OCTETS_MAX} octets"));
        }
    }
    if method == Method::Head {
        let body = ("body", body.get().map(|found| found.span.clone()));
        let json = ("json", json.get().map(|found| found.span.clone()));
        refuse_beside("HEAD", &[body, json], path, sink);
    }
    DegradedRule {
        slower_than: slower_than.get().map(|slow| slow.value),
        body: body.get().map(|text| text.value.clone()),
        json: check_json(json, path, sink),
        status: statuses(status, path, sink),
        factor: factor.get().and_then(|found| factor_of(found, format_args!("{path}.factor"), sink)).unwrap_or_default(),
    }
}

fn statuses(status: &Key<OneOrMany<StatusRange>>, path: &str, sink: &mut Sink<'_>) -> Vec<RangeInclusive<u16>> {
    let Some(status) = status.get() else { return Vec::new() };
    if status.value.0.is_empty() {
        sink.problem(&status.span, format_args!("{path}.status"), "no status", "write it like [\"206\"], or remove the key");
    }
    status.value.0.iter().filter_map(|range| range.get()).map(|range| range.value.0.clone()).collect()
}

/// What a degraded endpoint counts; also a pool's own.
pub(in crate::config::check) fn factor_of(found: &At<Number>, at: std::fmt::Arguments<'_>, sink: &mut Sink<'_>) -> Option<Factor> {
    let factor = Factor::new(found.value.0);
    if factor.is_none() {
        sink.problem(&found.span, at, format!("{} is out of range", found.value.0), "from 0.01 to 1; 0.5 by default: degraded is not down");
    }
    factor
}

fn busy_rule(busy: &Key<String>, path: &str, sink: &mut Sink<'_>) -> Busy {
    let Some(found) = busy.get() else { return Busy::default() };
    let known = Busy::ALL.into_iter().find(|busy| busy.word() == found.value);
    if known.is_none() {
        let words = Busy::ALL.map(Busy::word);
        let help = sink.suggestion(&found.value, words.into_iter(), format!("there are {}", words.join(", ")));
        sink.problem(&found.span, format_args!("{path}.busy"), format!("`{}` is not a way to count a busy peer", found.value), help);
    }
    known.unwrap_or_default()
}

fn report_rule(found: &At<ReportTable>, method: Method, path: &str, sink: &mut Sink<'_>) -> Option<ReportRule> {
    let ReportTable { header, json, kind, min, max } = &found.value;
    let told = Told { what: "weight", header: "X-Load-Weight", json: "$.weight" };
    let place = report_place((header, json), &found.span, told, method, path, sink);
    let kind = match kind.get() {
        None => ReportKind::default(),
        Some(found) => {
            let known = ReportKind::ALL.into_iter().find(|kind| kind.word() == found.value);
            if known.is_none() {
                let message = format!("`{}` is not a kind of report", found.value);
                sink.problem(&found.span, format_args!("{path}.kind"), message, "there are \"weight\" (the default) and \"load\" (from 0 to 1)");
            }
            known.unwrap_or_default()
        }
    };
    let mut bound = |key: &Key<Number>, name: &str| {
        if key.is_absent() {
            sink.missing(&found.span, path, format!("`{name}` is missing"), "what gateways tell is bounded on both sides: add min = 1, max = 100");
        }
        let found = key.get()?;
        let weight = Weight::new(found.value.0);
        if weight.is_none() {
            sink.problem(&found.span, format_args!("{path}.{name}"), format!("{} is out of range", found.value.0), "from 0.001 to 65535");
        }
        weight
    };
    let (min, max_weight) = (bound(min, "min")?, bound(max, "max")?);
    if let Some(max) = max.get().filter(|_| max_weight < min) {
        sink.problem(&max.span, format_args!("{path}.max"), format!("max ({max_weight}) is less than min ({min})"), "swap them");
        return None;
    }
    Some(ReportRule { place: place?, kind, min, max: max_weight })
}

/// Where a response tells when the data of its region was last synchronised.
fn data_place(found: &At<DataAtTable>, method: Method, path: &str, sink: &mut Sink<'_>) -> Option<ReportPlace> {
    let DataAtTable { header, json } = &found.value;
    let told = Told { what: "time of the data", header: "X-Data-At", json: "$.replication.synced_at" };
    report_place((header, json), &found.span, told, method, path, sink)
}

/// Where a response tells how much is asked of its endpoint.
fn load_place(found: &At<DataAtTable>, method: Method, path: &str, sink: &mut Sink<'_>) -> Option<ReportPlace> {
    let DataAtTable { header, json } = &found.value;
    let told = Told { what: "load", header: "X-Load", json: "$.cpu.percent" };
    report_place((header, json), &found.span, told, method, path, sink)
}

/// What a response tells, and examples of places.
struct Told {
    what: &'static str,
    header: &'static str,
    json: &'static str,
}

fn report_place(
    (header, json): (&Key<String>, &Key<String>),
    span: &std::ops::Range<usize>,
    told: Told,
    method: Method,
    path: &str,
    sink: &mut Sink<'_>,
) -> Option<ReportPlace> {
    match (header.get(), json.get()) {
        (Some(_), Some(json)) => {
            let message = format!("a {} is told in one place, not in a header and in the body", told.what);
            sink.problem(&json.span, format_args!("{path}.json"), message, "remove one");
            None
        }
        (Some(header), None) if !is_token(&header.value) => {
            sink.problem(&header.span, format_args!("{path}.header"), "not a header's name", "letters, digits and `-`");
            None
        }
        (Some(header), None) => Some(ReportPlace::Header(header.value.clone())),
        (None, Some(json)) => {
            if method == Method::Head {
                refuse_beside("HEAD", &[("json", Some(json.span.clone()))], path, sink);
            }
            let read = JsonPath::parse(&json.value);
            let help = format!("write it like \"{}\"", told.json);
            read.map(ReportPlace::Json).map_err(|why| sink.problem(&json.span, format_args!("{path}.json"), why, help)).ok()
        }
        (None, None) => {
            if header.is_absent() && json.is_absent() {
                let help = format!("add header = \"{}\" or json = \"{}\"", told.header, told.json);
                sink.missing(span, path, format!("it is not said where the {} is told", told.what), help);
            }
            None
        }
    }
}
