//! `windrose describe`: all about one thing.

use std::fmt::Write as _;

use crate::admin::api::{Busy, Certificate, ClientTraffic, Degraded, Endpoint, HostName, Member, Pool, PoolShed, Probe, Region, Service, ServicePool, State};

use super::args::{DescribeArgs, Described};
use super::change::policy_text;
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::get::probe_text;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock, endpoint_cell, health_cell, percent, region_cell, state_cell};

/// Asks and tells.
pub async fn run(client: &Client, args: &DescribeArgs, paint: Paint) -> Result<Report, Failure> {
    let name = args.name.as_str();
    match args.kind {
        Described::Service => {
            let got: Got<Service> = client.get(&["services", name], &[]).await?;
            Ok(Report::new(service(&got.value, paint), got.raw))
        }
        Described::Region => {
            let got: Got<Region> = client.get(&["regions", name], &[]).await?;
            Ok(Report::new(region(&got.value, paint), got.raw))
        }
        Described::Pool => {
            let got: Got<Pool> = client.get(&["pools", name], &[]).await?;
            let endpoints: Got<Vec<Endpoint>> = client.list(&["endpoints"]).await?;
            let own: Vec<&Endpoint> = endpoints.value.iter().filter(|endpoint| endpoint.pool == got.value.name).collect();
            Ok(Report::new(pool(&got.value, &own, paint), got.raw))
        }
        Described::Endpoint => {
            let (pool, name) = name.split_once('/').ok_or_else(|| {
                Failure::local(Exit::Usage, format!("`{name}` is not an endpoint's id")).hint("write it as pool/name; windrose get endpoints lists them")
            })?;
            let got: Got<Endpoint> = client.get(&["endpoints", pool, name], &[]).await?;
            Ok(Report::new(endpoint(&got.value, paint), got.raw))
        }
    }
}

/// Lines of a key and a value.
struct Facts(Grid);

impl Facts {
    fn new() -> Self {
        Self(Grid::new(&["", ""]))
    }

    fn line(&mut self, key: &str, value: impl Into<Cell>) -> &mut Self {
        self.0.row(vec![key.into(), value.into()]);
        self
    }

    /// Left out where there is nothing to say.
    fn some(&mut self, key: &str, value: &str) -> &mut Self {
        if value.is_empty() { self } else { self.line(key, value) }
    }
}

fn service(service: &Service, paint: Paint) -> String {
    let traffic = &service.traffic;
    let mut facts = Facts::new();
    let more = service.names_total.saturating_sub(service.names.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    facts.line("service", service.name.as_str()).line("names", format!("{}{more}", service.names.join(" ")));
    facts.line("policy", policy_text(&traffic.policy)).line("set by", setter(service));
    facts.some("not in force", traffic.unusable.as_deref().unwrap_or_default());
    facts.line("ttl", format!("{}s", traffic.ttl_seconds)).line("failback", service.failback.as_str());
    facts.some(
        "first",
        &service
            .first
            .as_ref()
            .map(|first| format!("{first}, since it answers (one_way); windrose failback {} goes back to the order as written", service.name))
            .unwrap_or_default(),
    );
    facts.some("trickle", &if service.trickle == 0.0 { String::new() } else { format!("{} % to who stands by", service.trickle) });
    facts.some("answers with", if service.answer == "cname" { "a CNAME to the host name of an endpoint, whatever is asked for" } else { "" });
    facts.line("when all down", service.when_all_down.as_str()).line("max answers", service.max_answers.to_string());
    facts.some("frozen by", service.frozen.as_deref().unwrap_or_default()).some("rung", traffic.rung.as_deref().unwrap_or("nothing is answered"));
    let mut out = facts.0.render(paint);
    let shares = &traffic.shares;
    let mut grid = Grid::new(&["POOL", "REGION", "HEALTH", ">DESIRED", ">EFFECTIVE", ">ANSWERED", "WAITS", "OVERRIDES"]);
    for pool in &service.pools {
        let answered = (!shares.answered.0.is_empty()).then(|| shares.answered.get(&pool.pool).unwrap_or(0.0));
        grid.row(vec![
            pool.pool.as_str().into(),
            pool.region.as_str().into(),
            health_cell(pool.state, pool.drained, pool.stale, pool.up, pool.of),
            percent(shares.desired.get(&pool.pool)).into(),
            percent(shares.effective.get(&pool.pool)).into(),
            percent(answered).into(),
            waits(pool).into(),
            pool.overrides.join(" ").into(),
        ]);
    }
    let _ = write!(out, "\n{}", grid.render(paint));
    let _ = writeln!(out, "answered: of the last {}", shares.window);
    for reason in &traffic.reason_effective {
        let _ = writeln!(out, "  {reason}");
    }
    for kind in &traffic.by_client {
        let _ = writeln!(out, "  {}", client_text(kind));
    }
    out
}

/// `network:office get dr 100 %`, and why if it is not the policy alone.
pub(super) fn client_text(kind: &ClientTraffic) -> String {
    let shares: Vec<String> =
        kind.effective.0.iter().filter(|(_, share)| 0.0 < *share).map(|(pool, share)| format!("{pool} {}", percent(Some(*share)))).collect();
    let shares = if shares.is_empty() { "no address".to_string() } else { shares.join(", ") };
    let rung = kind.rung.as_deref().filter(|rung| *rung != "policy").map(|rung| format!(" (rung {rung})")).unwrap_or_default();
    format!("{} get {shares}{rung}", kind.clients)
}

/// Whether failback keeps a pool out: only what is up has returned.
fn waits(pool: &ServicePool) -> &'static str {
    match (pool.held, pool.state) {
        (false, _) => "",
        (true, State::Up) if pool.returning.is_some() => "returning",
        (true, State::Up) => "returned, waiting",
        (true, State::Down) => "held, down",
        (true, State::Unknown) => "held, no verdict yet",
    }
}

/// Whose policy is in force.
fn setter(service: &Service) -> String {
    let traffic = &service.traffic;
    match (&traffic.changed, traffic.source) {
        (Some(changed), crate::admin::api::Source::Operator) => {
            let why = if changed.reason.is_empty() { String::new() } else { format!(" ({})", changed.reason) };
            format!("{} at {}{why}, revision {}", changed.by, clock(changed.at, Default::default()), traffic.revision)
        }
        _ => format!("the file, revision {}", traffic.revision),
    }
}

/// What `guarded` means.
const KEPT: &str = "down by probes, held as up: this node may be what is broken";

fn region(region: &Region, paint: Paint) -> String {
    let mut facts = Facts::new();
    facts.line("region", region.name.as_str()).line("health", region_cell(region.state, region.drained, region.up, region.of));
    if let Some(guarded) = &region.guarded {
        facts.line("guarded", format!("{} (until {})", guarded.why, clock(guarded.until, Default::default())));
    }
    if let Some(data) = &region.data {
        facts.line("data", format!("of {}, told by {} at {}", clock(data.at, Default::default()), data.by, clock(data.told_at, Default::default())));
    }
    facts.line("pools", region.pools.join(" ")).some("services", &region.services.join(" ")).some("overrides", &region.overrides.join(" "));
    facts.0.render(paint)
}

fn approved(pool: &Pool) -> String {
    match (&pool.outdated, &pool.approved_by) {
        (Some(why), Some(id)) => format!(": {why}, approved by {id}"),
        _ => String::new(),
    }
}

fn pool(pool: &Pool, endpoints: &[&Endpoint], paint: Paint) -> String {
    let mut facts = Facts::new();
    facts.line("pool", pool.name.as_str()).line("region", pool.region.as_str());
    facts.line("health", health_cell(pool.state, pool.drained, false, pool.up, pool.of)).line("min_up", pool.min_up.to_string());
    for required in &pool.requires {
        facts.line("requires", format!("{} ({} of {} needed up: {})", required.pool, required.up, required.needed, required.state));
    }
    facts.some("lacks", pool.lacks.as_deref().unwrap_or_default()).some("required by", &pool.required_by.join(" "));
    facts.some("guarded", if pool.guarded { KEPT } else { "" });
    if pool.factor < 1.0 {
        facts.line("degraded", format!("counts {} of its share in weighted policies", pool.factor));
    }
    facts.some("not used", pool.outdated.as_deref().filter(|_| pool.approved_by.is_none()).unwrap_or_default());
    facts.some("data", &pool.hold_if_older_than.map(|limit| format!("at most {limit} old{}", approved(pool))).unwrap_or_default());
    if let Some(shed) = &pool.shed {
        let PoolShed { over, until, share, by, load, at, told_by, silent, why, .. } = shed;
        facts.line("sheds", format!("{share} % over {over}, until {until}, by {by}"));
        let told = load.zip(*at).map(|(load, at)| format!("{load}, told by {} at {}", told_by.as_deref().unwrap_or("?"), clock(at, Default::default())));
        let old = if *silent { ": too long ago to begin or end anything" } else { "" };
        facts.line("load", told.map_or_else(|| "nobody has told".to_string(), |told| format!("{told}{old}")));
        facts.some("shedding", why.as_deref().unwrap_or_default());
    }
    facts.some("min_active", &pool.min_active.map(|number| number.to_string()).unwrap_or_default());
    facts.some("services", &pool.services.join(" ")).some("waits for", &pool.held_by.join(" ")).some("overrides", &pool.overrides.join(" "));
    let mut out = facts.0.render(paint);
    let mut grid = Grid::new(&["ENDPOINT", "ADDRESS", ">TIER", ">WEIGHT", "HEALTH", "LAST PROBE"]);
    for endpoint in endpoints {
        let (tier, weight) = (endpoint.tier.to_string(), endpoint.weight_effective.map_or_else(|| endpoint.weight.to_string(), |weight| weight.to_string()));
        let probe = endpoint.last_probe.as_ref().map(probe_text).unwrap_or_default();
        grid.row(vec![endpoint.id.as_str().into(), endpoint.address.as_str().into(), tier.into(), weight.into(), endpoint_cell(endpoint), probe.into()]);
    }
    if !grid.is_empty() {
        let _ = write!(out, "\n{}", grid.render(paint));
    }
    out
}

/// `192.0.2.1 192.0.2.2 (kept for 60 s, resolved at 12:00:03)`
fn host_text(host: &HostName) -> String {
    match (host.ttl_seconds, host.resolved_at) {
        (Some(ttl), Some(at)) => format!("{} (kept for {ttl} s, resolved at {})", host.addresses.join(" "), clock(at, Default::default())),
        _ => "not resolved yet".to_string(),
    }
}

fn endpoint(endpoint: &Endpoint, paint: Paint) -> String {
    let mut facts = Facts::new();
    facts.line("endpoint", endpoint.id.as_str()).line("address", endpoint.address.as_str()).line("region", endpoint.region.as_str());
    if let Some(host) = &endpoint.host {
        facts.line("addresses", host_text(host)).some("trouble", host.trouble.as_deref().unwrap_or_default());
    }
    facts.some("probed at", &probed_at(endpoint));
    facts.line("tier", endpoint.tier.to_string()).line("weight", endpoint.weight.to_string());
    facts.line("monitor", endpoint.monitor.as_deref().unwrap_or("none: nothing watches it"));
    if let Some(told) = endpoint.weight_reported {
        facts.line("reported weight", told.to_string());
    }
    if let Some(weight) = endpoint.weight_effective.filter(|weight| *weight != f64::from(endpoint.weight)) {
        facts.line("weight in force", weight.to_string());
    }
    facts.line("effective", endpoint_cell(endpoint)).line("observed", observed(endpoint));
    if let Some(forced) = endpoint.state.forced {
        facts.line("forced", state_cell(forced));
    }
    if let Some(Degraded { since, factor, why }) = &endpoint.degraded {
        facts.line("degraded", format!("counts {factor}: {why} (since {})", clock(*since, Default::default())));
    }
    if let Some(Busy { since, counts }) = &endpoint.busy {
        facts.line("busy", format!("since {}, counts as {counts}", clock(*since, Default::default())));
    }
    if let Some(Certificate { expires, state }) = &endpoint.certificate {
        facts.line("certificate", format!("{state}, ends on {}", clock(*expires, Default::default())));
    }
    facts.some("guarded", if endpoint.guarded { KEPT } else { "" });
    facts.some("drained", if endpoint.drained { "yes" } else { "" }).some("overrides", &endpoint.overrides.join(" "));
    facts.line("serves", if endpoint.serving.is_empty() { "nothing".to_string() } else { endpoint.serving.join(" ") });
    facts.some("waits for", &endpoint.held_by.join(" "));
    for (key, probe) in [("last probe", &endpoint.last_probe), ("last failed", &endpoint.last_failed)] {
        if let Some(probe) = probe {
            facts.line(key, format!("{} at {}{}", probe_text(probe), clock(probe.at, Default::default()), phases(probe)));
        }
    }
    facts.some("warning", endpoint.last_probe.as_ref().and_then(|probe| probe.warning.as_deref()).unwrap_or_default());
    let mut out = facts.0.render(paint);
    if !endpoint.members.is_empty() {
        let mut grid = Grid::new(&["MEMBER", "MARK", "VERDICT", "SINCE", "LAST PROBE"]);
        members(&endpoint.members, 0, &mut grid);
        let _ = write!(out, "\n{}", grid.render(paint));
    }
    out
}

/// One line each, members of composites below theirs.
fn members(list: &[Member], depth: usize, grid: &mut Grid) {
    for member in list {
        let probe = member.last_probe.as_ref();
        let since = member.since.map(|since| clock(since, probe.map_or(since, |probe| probe.at))).unwrap_or_default();
        let said = match (probe, member.members.is_empty()) {
            (Some(probe), _) => probe_text(probe),
            (None, true) => "–".to_string(),
            (None, false) => String::new(),
        };
        let mut verdict = state_cell(member.state);
        if member.stale {
            verdict = Cell::toned(Tone::Warn, format!("{} (stale)", member.state));
        }
        grid.row(vec![format!("{}{}", "  ".repeat(depth), member.monitor).into(), member.mark.as_str().into(), verdict, since.into(), said.into()]);
        members(&member.members, depth + 1, grid);
    }
}

/// Where it is probed, and what a name there was resolved to.
fn probed_at(endpoint: &Endpoint) -> String {
    let connect = endpoint.connect.clone().unwrap_or_default();
    match endpoint.last_probe.as_ref().and_then(|probe| probe.resolved.as_ref()) {
        Some(resolved) => format!("{connect} ({}, resolved at {})", resolved.addresses.join(" "), clock(resolved.at, Default::default())),
        None => connect,
    }
}

fn observed(endpoint: &Endpoint) -> Cell {
    let since = endpoint.since.map(|since| format!(" since {}", clock(since, Default::default()))).unwrap_or_default();
    let stale = if endpoint.stale { " (stale: from before the restart)" } else { "" };
    let word = match endpoint.state.observed {
        State::Up => "✔ up",
        State::Down => "✖ down",
        State::Unknown => "? unknown",
    };
    format!("{word}{since}{stale}").into()
}

/// `; connect 1.2 ms, tls 8.0 ms`.
fn phases(probe: &Probe) -> String {
    let phases: Vec<String> = probe.phases.iter().map(|phase| format!("{} {:.1} ms", phase.phase, phase.took_ms)).collect();
    if phases.is_empty() { String::new() } else { format!("; {}", phases.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pool_that_is_up_has_returned() {
        let mut web = super::super::testing::overview().services[2].clone();
        for (state, said) in [(State::Up, "returned, waiting"), (State::Down, "held, down"), (State::Unknown, "held, no verdict yet")] {
            web.pools[1].state = state;
            let shown = service(&web, Paint::PLAIN);
            assert!(shown.contains(said), "{shown}");
            assert_eq!(shown.contains("returned"), state == State::Up, "{shown}");
        }
    }
}
