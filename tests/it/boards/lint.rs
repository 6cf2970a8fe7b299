//! What every panel, rule and alert must be: known metrics, rates of counters, words beside colours, something to read and to type.

use std::collections::{BTreeMap, BTreeSet};

use windrose::metrics::catalog::{self, Kind, Metric};

use super::list::{List, Panel};
use super::metrics_in;

/// Of Okabe and Ito's palette, and the grey beside it.
const COLOURS: [&str; 9] = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];

/// The metric behind a series' name: `…_bucket` belongs to its histogram.
fn metric(series: &str) -> Option<Metric> {
    let find = |name: &str| catalog::ALL.iter().find(|metric| metric.name == name).copied();
    find(series).or_else(|| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end))?;
        find(base).filter(|metric| metric.kind == Kind::Histogram)
    })
}

/// Every expression with its place, and what it waits for.
fn expressions(list: &List) -> Vec<(String, String, Option<&str>)> {
    let mut all = Vec::new();
    for (board, panel) in list.panels() {
        all.extend(panel.queries().into_iter().map(|query| (format!("{board}: {}", panel.title), query.expr, panel.since.as_deref())));
    }
    all.extend(list.annotation.iter().map(|mark| (format!("annotation {}", mark.name), mark.expr.clone(), None)));
    for group in &list.group {
        all.extend(group.record.iter().map(|record| (record.name.clone(), record.expr.clone(), None)));
        all.extend(group.alert.iter().map(|alert| (alert.name.clone(), alert.expr.clone(), alert.since.as_deref())));
    }
    all
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_metric_that_is_asked_for_exists_or_is_awaited() {
    let list = List::read();
    let recorded: BTreeSet<&str> = list.group.iter().flat_map(|group| &group.record).map(|record| record.name.as_str()).collect();
    let mut problems = Vec::new();
    for (place, expr, since) in expressions(&list) {
        for (_, name, _) in metrics_in(&expr) {
            let awaited = since.and_then(|since| list.since.get(since)).is_some_and(|metrics| metrics.iter().any(|metric| metric == name));
            if metric(name).is_none() && !recorded.contains(name) && !awaited {
                problems.push(format!("{place}: there is no {name}"));
            }
        }
        if since.is_some_and(|since| !list.since.contains_key(since)) {
            problems.push(format!("{place}: `{since:?}` is not in [since]"));
        }
    }
    none(&problems);
}

#[test]
fn every_metric_of_the_catalogue_is_used_or_reviewed() {
    let list = List::read();
    let all = expressions(&list);
    let used: BTreeSet<&str> = all.iter().flat_map(|(_, expr, _)| metrics_in(expr)).filter_map(|(_, name, _)| metric(name)).map(|metric| metric.name).collect();
    let mut problems: Vec<String> = Vec::new();
    for Metric { name, .. } in catalog::ALL {
        match (used.contains(name), list.unused.contains_key(*name)) {
            (false, false) => problems.push(format!("{name} is on no dashboard, in no rule, and not in [unused]")),
            (true, true) => problems.push(format!("{name} is in [unused], but used")),
            _ => {}
        }
    }
    problems.extend(list.unused.keys().filter(|name| metric(name).is_none()).map(|name| format!("[unused] speaks of {name}, which does not exist")));
    none(&problems);
}

#[test]
fn panels_that_may_be_empty_say_why_and_what_is_awaited_is_awaited_by_something() {
    let list = List::read();
    let mut problems = Vec::new();
    let reasons = list.panels().filter_map(|(board, panel)| Some((format!("{board}: {}", panel.title), panel.empty.as_deref()?)));
    let reasons = reasons.chain(list.annotation.iter().map(|mark| (mark.name.clone(), mark.empty.as_str())));
    problems.extend(reasons.filter(|(_, why)| why.split(' ').count() < 3).map(|(place, why)| format!("{place}: `{why}` is no reason")));
    let awaiting: BTreeSet<&str> = expressions(&list).into_iter().filter_map(|(_, _, since)| since).collect();
    problems.extend(list.since.keys().filter(|since| !awaiting.contains(since.as_str())).map(|since| format!("nothing awaits {since}")));
    none(&problems);
}

#[test]
fn labels_that_are_asked_for_are_those_of_the_metric() {
    let list = List::read();
    let mut problems = Vec::new();
    for (place, expr, _) in expressions(&list) {
        for (_, name, after) in metrics_in(&expr) {
            let (Some(metric), Some(selector)) = (metric(name), after.strip_prefix('{').and_then(|rest| rest.split_once('}'))) else { continue };
            for matcher in selector.0.split("\", ").map(|matcher| matcher.split(['=', '!']).next().unwrap_or_default().trim()) {
                if !["job", "instance", "le"].contains(&matcher) && !metric.labels.contains(&matcher) {
                    problems.push(format!("{place}: {name} has no label `{matcher}`"));
                }
            }
        }
    }
    none(&problems);
}

#[test]
fn no_counter_stands_without_a_rate_and_no_gauge_with_one() {
    let mut problems = Vec::new();
    for (place, expr, _) in expressions(&List::read()) {
        for (before, name, _) in metrics_in(&expr) {
            let Some(metric) = metric(name) else { continue };
            let rated = ["rate(", "increase("].iter().any(|function| before.ends_with(function));
            if rated != matches!(metric.kind, Kind::Counter | Kind::Histogram) {
                problems.push(format!("{place}: {name}, a {:?}, {} a rate", metric.kind, if rated { "in" } else { "without" }));
            }
        }
    }
    none(&problems);
}

#[test]
fn ranges_on_dashboards_follow_the_scrape_interval_or_the_range_shown() {
    let list = List::read();
    let panels = list.panels().flat_map(|(board, panel)| panel.queries().into_iter().map(move |query| (format!("{board}: {}", panel.title), panel, query)));
    let mut problems = Vec::new();
    for (place, panel, query) in panels {
        for range in query.expr.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
            // "Answered" looks back on five minutes everywhere, and says so.
            let said = format!("{} {}", panel.title, query.name.as_deref().unwrap_or_default()).contains(&format!("({range})"));
            if !["$__rate_interval", "$__range"].contains(&range) && !said {
                problems.push(format!("{place}: [{range}]"));
            }
        }
    }
    problems.extend(list.annotation.iter().filter(|mark| mark.expr.contains('[') && !mark.expr.contains("[$__rate_interval]")).map(|mark| mark.name.clone()));
    none(&problems);
}

#[test]
fn every_query_of_a_dashboard_asks_for_the_chosen_job() {
    let list = List::read();
    let queries = list.panels().flat_map(|(board, panel)| panel.queries().into_iter().map(move |query| (format!("{board}: {}", panel.title), query.expr)));
    let annotations = list.annotation.iter().map(|mark| (mark.name.clone(), mark.expr.clone()));
    let mut problems = Vec::new();
    for (place, expr) in queries.chain(annotations) {
        for (_, name, after) in metrics_in(&expr) {
            if !after.split('}').next().is_some_and(|selector| selector.starts_with('{') && selector.contains("job=~\"$job\"")) {
                problems.push(format!("{place}: {name} of any job"));
            }
        }
    }
    none(&problems);
}

#[test]
fn variables_are_those_of_the_dashboard_and_each_is_used() {
    let list = List::read();
    let mut problems = Vec::new();
    for board in &list.dashboard {
        let queries: String = board.row.iter().flat_map(|row| &row.panel).flat_map(Panel::queries).map(|query| query.expr + "\n").collect();
        let asked: BTreeSet<&str> =
            queries.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()).collect();
        let asked: BTreeSet<&str> = asked.into_iter().filter(|name| !name.starts_with("__")).collect();
        let known: BTreeSet<&str> = board.variables.iter().map(String::as_str).collect();
        if asked != known {
            problems.push(format!("{}: has {known:?}, asks for {asked:?}", board.title));
        }
        for (at, name) in board.variables.iter().enumerate() {
            // A variable may depend on those before it only.
            let query = list.variable.get(name).map(|variable| variable.query.as_str()).unwrap_or_default();
            for wanted in query.split('$').skip(1).map(|rest| rest.split('"').next().unwrap_or_default()) {
                if !board.variables[..at].iter().any(|earlier| earlier == wanted) {
                    problems.push(format!("{}: ${name} needs ${wanted} before it", board.title));
                }
            }
        }
        for name in &board.single {
            if queries.contains(&format!("{name}=~\"${name}\"")) || !known.contains(name.as_str()) {
                problems.push(format!("{}: ${name} is one value, so it is compared with =", board.title));
            }
        }
    }
    none(&problems);
}

#[test]
fn colours_are_okabe_and_itos_and_never_alone() {
    let list = List::read();
    let mut problems = Vec::new();
    problems.extend(list.colours.values().filter(|colour| !COLOURS.contains(&colour.as_str())).map(|colour| format!("{colour} is not of the palette")));
    for (name, words) in &list.map {
        let (mut texts, mut colours) = (BTreeSet::new(), BTreeSet::new());
        for (value, (text, colour)) in words {
            if text.is_empty() || !texts.insert(text) || !colours.insert(list.colour(colour)) {
                problems.push(format!("map.{name}.{value}: text and colour must each be there and stand once"));
            }
        }
        if !list.panels().any(|(_, panel)| panel.queries().iter().any(|query| query.map.as_deref() == Some(name)) || panel.map.as_deref() == Some(name)) {
            problems.push(format!("map.{name} is used nowhere"));
        }
    }
    for (board, panel) in list.panels() {
        let states = matches!(panel.kind.as_str(), "state-timeline" | "status-history") || !panel.steps.is_empty();
        if states && panel.map.is_none() {
            problems.push(format!("{board}: {}: colours without words", panel.title));
        }
        // Series are told apart by their legend; without one there is only the colour.
        if matches!(panel.kind.as_str(), "timeseries" | "bargauge" | "state-timeline" | "status-history")
            && panel.queries().iter().any(|query| query.legend.is_none())
        {
            problems.push(format!("{board}: {}: a series without a legend", panel.title));
        }
        if panel.kind == "table" && (panel.key.is_empty() || panel.queries().iter().any(|query| query.name.is_none())) {
            problems.push(format!("{board}: {}: a column without a name", panel.title));
        }
    }
    none(&problems);
}

#[test]
fn titles_are_unique_and_descriptions_are_sentences() {
    let list = List::read();
    let mut problems = Vec::new();
    let mut uids = BTreeSet::new();
    for board in &list.dashboard {
        let mut titles = BTreeSet::new();
        if !uids.insert(&board.uid) || !uids.insert(&board.title) || !board.uid.starts_with("windrose-") || 40 < board.uid.len() {
            problems.push(format!("{}: uid and title stand once each", board.title));
        }
        for panel in board.row.iter().flat_map(|row| &row.panel) {
            if !titles.insert(&panel.title) {
                problems.push(format!("{}: `{}` stands twice", board.title, panel.title));
            }
            if panel.description.len() < 15 || !panel.description.starts_with(|first: char| first.is_uppercase() || first.is_ascii_digit()) {
                problems.push(format!("{}: {}: described by `{}`", board.title, panel.title, panel.description));
            }
        }
        let rows: BTreeSet<&str> = board.row.iter().map(|row| row.title.as_str()).collect();
        if rows.len() != board.row.len() {
            problems.push(format!("{}: two rows of one title", board.title));
        }
    }
    none(&problems);
}

#[test]
fn alerts_say_what_and_for_whom_and_end_in_something_to_type() {
    let list = List::read();
    let mut names = BTreeMap::new();
    let mut problems = Vec::new();
    for alert in list.alerts() {
        *names.entry(&alert.name).or_insert(0) += 1;
        if !["critical", "warning", "info"].contains(&alert.severity.as_str()) {
            problems.push(format!("{}: severity `{}`", alert.name, alert.severity));
        }
        if !alert.name.starts_with("Windrose")
            || alert.summary.is_empty()
            || !alert.summary.contains("{{ $labels.") && alert.name != "WindroseClusterStateDiverged"
        {
            problems.push(format!("{}: summary `{}` names nobody", alert.name, alert.summary));
        }
        if !["windrose ", "journalctl "].iter().any(|command| alert.description.contains(command)) {
            problems.push(format!("{}: nothing to type in `{}`", alert.name, alert.description));
        }
        for label in alert.summary.split("{{ $labels.").chain(alert.description.split("{{ $labels.")).skip(1).filter_map(|rest| rest.split(" }}").next()) {
            if label.chars().all(|c| c.is_ascii_lowercase())
                && !alert.expr.contains(label)
                && !["instance", "zone", "outcome", "database", "store"].contains(&label)
            {
                problems.push(format!("{}: `{label}` is not a label of its expression", alert.name));
            }
        }
    }
    problems.extend(names.into_iter().filter(|(_, times)| *times > 1).map(|(name, _)| format!("{name} stands twice")));
    none(&problems);
}

#[test]
fn the_dashboards_stand_for_all_that_came_with_health() {
    let list = List::read();
    let all: String = expressions(&list).into_iter().map(|(_, expr, _)| expr).collect();
    let panels: String = list.panels().flat_map(|(_, panel)| panel.queries()).map(|query| query.expr).collect();
    for metric in [
        "windrose_node_blind",
        "windrose_region_guarded",
        "windrose_sentinel_up",
        "windrose_probe_void_total",
        "windrose_probe_skipped_total",
        "windrose_region_state",
        "windrose_probe_warning",
    ] {
        assert!(panels.contains(metric), "{metric} has no panel");
    }
    assert!(panels.contains("endpoint=\"_others\""), "endpoints counted together have no panel");
    for metric in catalog::ALL.iter().filter(|metric| metric.name.starts_with("windrose_resolver_")) {
        assert!(panels.contains(metric.name), "{} has no panel", metric.name);
    }
    assert!(all.contains("windrose_override_expiry_timestamp_seconds"));
}
