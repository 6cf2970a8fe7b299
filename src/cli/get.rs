//! Lists, and the commands that only ask for a yes or no: reload, upgrade and health.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::admin::api::{Endpoint, Override, Pool, Probe, Region, ReloadReply, Service, UpgradeReply, Zone};

use super::args::{Listed, ReloadArgs, Write};
use super::change::policy_text;
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock, count, endpoint_cell, health_cell, region_cell, state_cell, thousands};

/// Matches of an override that fit in a table.
const MATCHES_SHOWN: usize = 4;
/// Longest wait for an upgrade: the server says before that why it was not made.
const UPGRADE_MAX: Duration = Duration::from_secs(130);

/// `windrose get`
pub async fn run(client: &Client, kind: Listed, paint: Paint) -> Result<Report, Failure> {
    match kind {
        Listed::Services => list(client, "services", services, paint).await,
        Listed::Regions => list(client, "regions", regions, paint).await,
        Listed::Pools => list(client, "pools", pools, paint).await,
        Listed::Endpoints => list(client, "endpoints", endpoints, paint).await,
        Listed::Overrides => list(client, "overrides", overrides, paint).await,
        Listed::Tokens => list(client, "tokens", super::token::table, paint).await,
        Listed::Shifts => list(client, "shifts", super::shift::shifts, paint).await,
        Listed::Guards => list(client, "guards", super::guards::guards, paint).await,
        Listed::Gates => list(client, "gates", super::guards::gates, paint).await,
        Listed::Zones => list(client, "zones", zones, paint).await,
    }
}

async fn list<T: DeserializeOwned>(client: &Client, path: &str, table: impl Fn(&[T], Paint) -> String, paint: Paint) -> Result<Report, Failure> {
    let got: Got<Vec<T>> = client.list(&[path]).await?;
    if got.value.is_empty() {
        return Ok(Report::new("", got.raw).note(format!("no {path}\n")));
    }
    Ok(Report::new(table(&got.value, paint), got.raw))
}

fn services(services: &[Service], paint: Paint) -> String {
    let mut grid = Grid::new(&["SERVICE", "NAMES", "POLICY", ">TTL", "SOURCE", ">REVISION"]);
    for service in services {
        let first = service.names.first().cloned().unwrap_or_default();
        let names = if service.names_total > 1 { format!("{first} and {} more", thousands(service.names_total - 1)) } else { first };
        let traffic = &service.traffic;
        grid.row(vec![
            service.name.as_str().into(),
            names.into(),
            policy_text(&traffic.policy).into(),
            format!("{}s", traffic.ttl_seconds).into(),
            traffic.source.word().into(),
            traffic.revision.to_string().into(),
        ]);
    }
    grid.render(paint)
}

fn regions(regions: &[Region], paint: Paint) -> String {
    let mut grid = Grid::new(&["REGION", "HEALTH", "POOLS", "SERVICES", "OVERRIDES"]);
    for region in regions {
        let health = region_cell(region.state, region.drained, region.up, region.of);
        grid.row(vec![region.name.as_str().into(), health, region.pools.join(" ").into(), few(&region.services).into(), region.overrides.join(" ").into()]);
    }
    grid.render(paint)
}

fn pools(pools: &[Pool], paint: Paint) -> String {
    let mut grid = Grid::new(&["POOL", "REGION", "HEALTH", "SERVICES", "RETURNED, WAITING", "OVERRIDES"]);
    for pool in pools {
        grid.row(vec![
            pool.name.as_str().into(),
            pool.region.as_str().into(),
            health_cell(pool.state, pool.drained, false, pool.up, pool.of),
            few(&pool.services).into(),
            few(&pool.held_by).into(),
            pool.overrides.join(" ").into(),
        ]);
    }
    grid.render(paint)
}

fn endpoints(endpoints: &[Endpoint], paint: Paint) -> String {
    let mut grid = Grid::new(&["ENDPOINT", "ADDRESS", "HEALTH", "FORCED", "SINCE", "SERVES", "LAST PROBE"]);
    for endpoint in endpoints {
        let forced = endpoint.state.forced.map_or_else(Cell::default, state_cell);
        let mut health = endpoint_cell(endpoint);
        if endpoint.drained {
            health = Cell::toned(Tone::Warn, format!("⏸ drained ({})", endpoint.state.effective));
        }
        let since = endpoint.since.map(|since| clock(since, endpoint.last_probe.as_ref().map_or(since, |probe| probe.at))).unwrap_or_default();
        let probe = endpoint.last_probe.as_ref().map(probe_text).unwrap_or_else(|| if endpoint.monitor.is_none() { "not probed".into() } else { "–".into() });
        grid.row(vec![
            endpoint.id.as_str().into(),
            endpoint.address.as_str().into(),
            health,
            forced,
            since.into(),
            few(&endpoint.serving).into(),
            probe.into(),
        ]);
    }
    grid.render(paint)
}

fn overrides(overrides: &[Override], paint: Paint) -> String {
    let mut grid = Grid::new(&["ID", "KIND", "TARGET", "MATCHES", "SERVICES", "UNTIL", "WHO", "REASON"]);
    for known in overrides {
        let services = if known.services.is_empty() { "all".to_string() } else { known.services.join(" ") };
        let until = known.ends.map_or_else(|| "ended by hand".to_string(), |ends| clock(ends, known.at));
        let target = if known.matched { Cell::from(known.target.as_str()) } else { Cell::toned(Tone::Warn, format!("{} (does not exist)", known.target)) };
        let kind = known.kind.word().replace('_', "-");
        grid.row(vec![
            known.id.as_str().into(),
            kind.into(),
            target,
            matches_of(known).into(),
            services.into(),
            until.into(),
            known.actor.as_str().into(),
            known.reason.as_str().into(),
        ]);
    }
    grid.render(paint)
}

/// What a pattern or tag is about now; nothing where the target says it itself.
fn matches_of(known: &Override) -> String {
    let itself = known.target.split_once('/').map(|(_, name)| name).unwrap_or_default();
    match known.matches.as_slice() {
        [one] if one == itself => String::new(),
        matches => match known.matches_total.saturating_sub(MATCHES_SHOWN as u64) {
            0 => matches.join(" "),
            more => format!("{} and {more} more", matches.iter().take(MATCHES_SHOWN).cloned().collect::<Vec<_>>().join(" ")),
        },
    }
}

fn zones(zones: &[Zone], paint: Paint) -> String {
    let mut grid = Grid::new(&["ZONE", ">SERIAL", ">RECORDS", "SERVICES"]);
    for zone in zones {
        grid.row(vec![zone.name.as_str().into(), zone.serial.to_string().into(), thousands(zone.records).into(), few(&zone.services).into()]);
    }
    grid.render(paint)
}

/// The first names of a list that may be long.
pub fn few(names: &[String]) -> String {
    const SHOWN_MAX: usize = 6;
    let more = names.len().saturating_sub(SHOWN_MAX);
    let shown = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(" ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// A probe in one line: `200 in 31 ms`, `timeout: no answer within 2s (2000 ms)`.
pub fn probe_text(probe: &Probe) -> String {
    let took = format!("{:.0} ms", probe.took_ms);
    match (&probe.reason, &probe.message) {
        (Some(reason), Some(message)) => format!("✖ {reason}: {message} ({took})"),
        (Some(reason), None) => format!("✖ {reason} ({took})"),
        (None, Some(message)) => format!("~ {}: {message} ({took})", probe.outcome),
        (None, None) => match probe.status {
            Some(status) => format!("✔ {status} in {took}"),
            None => format!("✔ {took}"),
        },
    }
}

/// `windrose reload`
pub async fn reload(client: &Client, args: &ReloadArgs, paint: Paint) -> Result<Report, Failure> {
    let ReloadArgs { dry_run: _, reason, break_glass } = args;
    let write = Write { reason: reason.clone(), break_glass: break_glass.clone(), ..Write::default() };
    let got: Got<ReloadReply> = client.write(Method::POST, &["config", "reload"], None::<&()>, &write, None).await?;
    let mut done = format!("{} the configuration is in force\n", paint.tone(Tone::Good, "✔"));
    for message in &got.value.messages {
        let _ = writeln!(done, "  {message}");
    }
    for warning in &got.value.problems {
        let place = warning.place.as_deref().map(|place| format!("{place}: ")).unwrap_or_default();
        let _ = writeln!(done, "  {} {place}{}", paint.tone(Tone::Warn, "⚠"), warning.message);
    }
    Ok(Report::done(done, got.raw))
}

/// `windrose upgrade`
pub async fn upgrade(client: &Client, paint: Paint) -> Result<Report, Failure> {
    let got: Got<UpgradeReply> = client.post_and_wait(&["upgrade"], UPGRADE_MAX).await?;
    let UpgradeReply { pid, version, before } = &got.value;
    let release = if version == before { format!("windrose {version}") } else { format!("windrose {version} (before: {before})") };
    Ok(Report::done(format!("{} {release} has taken over as process {pid}\n", paint.tone(Tone::Good, "✔")), got.raw))
}

/// `windrose health`
pub async fn health(client: &Client, paint: Paint) -> Result<Report, Failure> {
    let got = client.ready().await?;
    if got.value.ready {
        return Ok(Report::new(format!("{} ready\n", paint.tone(Tone::Good, "✔")), got.raw));
    }
    let reasons = got.value.reasons.iter().map(|reason| format!("  {reason}\n")).collect::<String>();
    let text = format!("{} not ready: {}\n{reasons}", paint.tone(Tone::Bad, "✖"), count(got.value.reasons.len(), "reason"));
    Ok(Report::new(text, got.raw).condition(true))
}
