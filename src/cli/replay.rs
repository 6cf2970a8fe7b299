//! `windrose replay`: yesterday with today's configuration, and with another one beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::admin::api::{Replay, ReplayPost, Replayed, ReplayedOutage, ReplayedService, Span, Time};

use super::args::ReplayArgs;
use super::client::{Client, Got};
use super::exit::Failure;
use super::plan;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock, count, thousands};

/// As long as the server takes at most.
const WAIT: Duration = Duration::from_secs(110);
/// Rows of one table; the rest is counted.
const SHOWN_MAX: usize = 20;

/// Asks and tells.
pub async fn run(client: &Client, args: &ReplayArgs, paint: Paint) -> Result<Report, Failure> {
    let ReplayArgs { since, with } = args;
    let file = with.as_deref().map(|file| plan::sent(client, file)).transpose()?.unwrap_or_default();
    let post = ReplayPost { since: Some(Span(*since)), text: file.text, path: file.path };
    let got: Got<Replay> = client.post_body_and_wait(&["replay"], Some(&post), WAIT).await?;
    Ok(Report::new(text(&got.value, paint), got.raw))
}

fn text(found: &Replay, paint: Paint) -> String {
    let mut out = String::new();
    let span = whole(found.until.0.since(found.from.0));
    let _ = writeln!(out, "{} outcomes of {span}, until {}", thousands(found.outcomes), clock(found.until, found.until));
    sums(&mut out, found, paint);
    times(&mut out, found, paint);
    outages(&mut out, found, paint);
    let silent: Duration = found.gaps.iter().map(|gap| gap.until.0.since(gap.from.0)).sum();
    if !silent.is_zero() {
        let sign = paint.tone(Tone::Warn, "⚠");
        let _ = writeln!(out, "  {sign} nothing is recorded for {} of it, in {}: verdicts stay as they were", whole(silent), count(found.gaps.len(), "gap"));
    }
    for message in &found.messages {
        let _ = writeln!(out, "  {} {message}", paint.tone(Tone::Warn, "⚠"));
    }
    out.push_str("a replay: nothing was changed\n");
    out
}

/// A table with a column for each configuration.
fn grid(first: &[&'static str], with: bool) -> Grid {
    let mut heads: Vec<&'static str> = first.to_vec();
    heads.push(">NOW");
    heads.extend(with.then_some(">WITH"));
    Grid::new(&heads)
}

fn sums(out: &mut String, found: &Replay, paint: Paint) {
    let mut grid = grid(&[""], found.with.is_some());
    let both = || std::iter::once(&found.now).chain(&found.with);
    let mut row = |name: &str, of: &dyn Fn(&Replayed) -> String| grid.row(std::iter::once(name.into()).chain(both().map(|one| of(one).into())).collect());
    let span = |span: Option<Span>| span.map_or("–".to_string(), |span| span.to_string());
    row("outages (2 fails and more)", &|one| thousands(one.outages));
    row("  missed", &|one| thousands(one.missed));
    row("  found after (median)", &|one| span(one.found_after_median));
    row("  found after (longest)", &|one| span(one.found_after_longest));
    row("endpoints up or down", &|one| thousands(one.flips));
    row("services moved", &|one| thousands(one.failovers));
    out.push_str(&grid.render(paint));
}

/// Services that moved, or stand elsewhere with the other configuration.
fn times(out: &mut String, found: &Replay, paint: Paint) {
    let with: BTreeMap<&str, &ReplayedService> = found.with.iter().flat_map(|with| &with.services).map(|one| (&*one.service, one)).collect();
    let now: BTreeMap<&str, &ReplayedService> = found.now.services.iter().map(|one| (&*one.service, one)).collect();
    let names = found.now.services.iter().map(|one| &*one.service).chain(with.keys().copied().filter(|name| !now.contains_key(name)));
    let moved = |name: &&str| {
        let (now, other) = (now.get(name), with.get(name));
        [now, other].into_iter().flatten().any(|one| 0 < one.failovers || 1 < one.regions.len())
            || (found.with.is_some() && now.map(|one| &one.regions) != other.map(|one| &one.regions))
    };
    let names: Vec<&str> = names.filter(moved).collect();
    let mut grid = grid(&["SERVICE", "REGION"], found.with.is_some());
    for name in names.iter().take(SHOWN_MAX) {
        let both = [now.get(name), with.get(name)];
        let mut regions: Vec<&str> = Vec::new();
        for region in both.iter().flatten().flat_map(|one| &one.regions) {
            if !regions.contains(&&*region.region) {
                regions.push(&region.region);
            }
        }
        let mut shown = *name;
        let mut row = |what: Cell, of: &dyn Fn(&ReplayedService) -> String| {
            let cells = both.iter().take(1 + usize::from(found.with.is_some())).map(|one| one.map_or("–".to_string(), |one| of(one)).into());
            grid.row([std::mem::take(&mut shown).into(), what].into_iter().chain(cells).collect());
        };
        for region in regions {
            let time = |one: &ReplayedService| one.regions.iter().find(|known| known.region == region).map_or("0s".to_string(), |known| known.time.to_string());
            row(region.into(), &time);
        }
        if both.iter().flatten().any(|one| !one.dark.0.is_zero()) {
            row(Cell::toned(Tone::Bad, "nothing up".to_string()), &|one| one.dark.to_string());
        }
    }
    if !names.is_empty() {
        out.push_str(&grid.render(paint));
    }
    if SHOWN_MAX < names.len() {
        let _ = writeln!(out, "… and {} more services; -o json has them", thousands((names.len() - SHOWN_MAX) as u64));
    }
}

/// Each outage once, with what became of it in either configuration.
fn outages(out: &mut String, found: &Replay, paint: Paint) {
    let key = |one: &ReplayedOutage| (one.since, one.target.clone());
    let mut all: BTreeMap<(Time, String), [Option<&ReplayedOutage>; 2]> = BTreeMap::new();
    for (place, one) in std::iter::once(&found.now).chain(&found.with).enumerate() {
        for outage in &one.seen {
            all.entry(key(outage)).or_default().iter_mut().skip(place).take(1).for_each(|seat| *seat = Some(outage));
        }
    }
    let mut grid = grid(&["ENDPOINT", "SINCE", ">LASTED", ">FAILS"], found.with.is_some());
    for both in all.values().take(SHOWN_MAX) {
        let Some(outage) = both.iter().flatten().next() else { continue };
        let lasted = outage.until.map_or("lasts".to_string(), |until| whole(until.0.since(outage.since.0)).to_string());
        let became = |one: &Option<&ReplayedOutage>| match one {
            None => Cell::from("–"),
            Some(one) => one.found_after.map_or_else(|| Cell::toned(Tone::Bad, "missed".to_string()), |after| format!("down after {after}").into()),
        };
        let cells = [outage.endpoint.as_str().into(), clock(outage.since, found.until).into(), lasted.into(), outage.fails.to_string().into()];
        grid.row(cells.into_iter().chain(both.iter().take(1 + usize::from(found.with.is_some())).map(became)).collect());
    }
    if !all.is_empty() {
        out.push_str(&grid.render(paint));
    }
    if SHOWN_MAX < all.len() {
        let _ = writeln!(out, "… and {} more outages; -o json has them", thousands((all.len() - SHOWN_MAX) as u64));
    }
}

fn whole(span: Duration) -> Span {
    Span(Duration::from_secs(span.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_told_side_by_side() {
        let replay: Replay = serde_json::from_str(
            r#"{"from": "2026-11-20T12:00:00Z", "until": "2026-11-21T12:00:00Z", "outcomes": 17280,
                "gaps": [{"from": "2026-11-21T01:00:00Z", "until": "2026-11-21T01:03:00Z"}], "messages": ["overrides are not played again"],
                "now": {"flips": 2, "flipped": [], "failovers": 2, "moved": [], "outages": 2, "missed": 1, "found_after_median": "30s", "found_after_longest": "30s",
                        "seen": [{"endpoint": "prod/a", "target": "gateway@192.0.2.1#1", "since": "2026-11-21T03:00:00Z", "until": "2026-11-21T03:00:20Z", "fails": 2, "found_after": null},
                                 {"endpoint": "prod/a", "target": "gateway@192.0.2.1#1", "since": "2026-11-21T04:00:00Z", "until": "2026-11-21T04:10:00Z", "fails": 60, "found_after": "30s"}],
                        "services": [{"service": "orders", "regions": [{"region": "prod", "time": "23h 50m"}, {"region": "dr", "time": "10m"}], "dark": "0s", "failovers": 2},
                                     {"service": "still", "regions": [{"region": "prod", "time": "1day"}], "dark": "0s", "failovers": 0}],
                        "services_total": 2},
                "with": {"flips": 4, "flipped": [], "failovers": 4, "moved": [], "outages": 2, "missed": 0, "found_after_median": "10s", "found_after_longest": "10s",
                        "seen": [{"endpoint": "prod/a", "target": "gateway@192.0.2.1#1", "since": "2026-11-21T03:00:00Z", "until": "2026-11-21T03:00:20Z", "fails": 2, "found_after": "10s"},
                                 {"endpoint": "prod/a", "target": "gateway@192.0.2.1#1", "since": "2026-11-21T04:00:00Z", "until": "2026-11-21T04:10:00Z", "fails": 60, "found_after": "10s"}],
                        "services": [{"service": "orders", "regions": [{"region": "prod", "time": "23h 48m"}, {"region": "dr", "time": "12m"}], "dark": "0s", "failovers": 4},
                                     {"service": "still", "regions": [{"region": "prod", "time": "1day"}], "dark": "0s", "failovers": 0}],
                        "services_total": 2}}"#,
        )
        .unwrap();
        assert_eq!(
            text(&replay, Paint::PLAIN),
            "17,280 outcomes of 1day, until 12:00:00 UTC\n\
             \u{20}                           NOW  WITH\n\
             outages (2 fails and more)    2     2\n\
             \u{20} missed                      1     0\n\
             \u{20} found after (median)      30s   10s\n\
             \u{20} found after (longest)     30s   10s\n\
             endpoints up or down          2     4\n\
             services moved                2     4\n\
             SERVICE  REGION      NOW     WITH\n\
             orders   prod    23h 50m  23h 48m\n\
             \u{20}        dr          10m      12m\n\
             ENDPOINT  SINCE         LASTED  FAILS             NOW            WITH\n\
             prod/a    03:00:00 UTC     20s      2          missed  down after 10s\n\
             prod/a    04:00:00 UTC     10m     60  down after 30s  down after 10s\n\
             \u{20} ⚠ nothing is recorded for 3m of it, in 1 gap: verdicts stay as they were\n\
             \u{20} ⚠ overrides are not played again\n\
             a replay: nothing was changed\n"
        );
    }
}
