//! `windrose status`: health and the three shares of every service, and what a person should look at.

use std::fmt::Write as _;

use crate::admin::api::{Concern, Override, Overview, Service, ServicePool, Source, State, Time};

use super::args::StatusArgs;
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, age, clock, count, health_cell, percent, thousands};

/// Asks and tells.
pub async fn run(client: &Client, args: &StatusArgs, paint: Paint) -> Result<Report, Failure> {
    let got = look(client, &args.services).await?;
    let unmet = args.exit_code && got.value.problems.iter().any(|problem| problem.severity != "info");
    Ok(Report::new(text(&got.value, paint), got.raw).condition(unmet))
}

/// The whole, or what concerns these services alone.
pub async fn look(client: &Client, only: &[String]) -> Result<Got<Overview>, Failure> {
    let mut got: Got<Overview> = client.get(&["overview"], &[]).await?;
    if !only.is_empty() {
        let (mut services, mut raws) = (Vec::new(), Vec::new());
        for name in only {
            let one: Got<Service> = client.get(&["services", name], &[]).await?;
            services.push(one.value);
            raws.push(one.raw);
        }
        narrow(&mut got.value, services);
        got.raw["problems"] = serde_json::to_value(&got.value.problems).unwrap_or_default();
        got.raw["services"] = raws.into();
    }
    Ok(got)
}

/// Only these services, and the problems that touch them.
fn narrow(overview: &mut Overview, services: Vec<Service>) {
    overview.problems.retain(|problem| {
        let about = |service: &Service| {
            let pool = |pool: &ServicePool| problem.subject == format!("pool/{}", pool.pool) || problem.subject == format!("region/{}", pool.region);
            problem.subject == format!("service/{}", service.name) || service.pools.iter().any(pool)
        };
        services.iter().any(about)
    });
    overview.services_total = services.len() as u64;
    overview.services = services;
}

/// The table, for people.
pub fn text(overview: &Overview, paint: Paint) -> String {
    let mut out = header(overview);
    let mut grid = Grid::new(&["SERVICE", "POLICY", ">TTL", "POOL", "HEALTH", ">DESIRED", ">EFFECTIVE", ">ANSWERED", "NOTE"]);
    for service in &overview.services {
        rows(service, overview, &mut grid);
    }
    if grid.is_empty() {
        out.push_str("no services\n");
    } else {
        out.push_str(&grid.render(paint));
    }
    let more = overview.services_total.saturating_sub(overview.services.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "… and {} more services: windrose get services", thousands(more));
    }
    out.push_str(&footer(overview, paint));
    out
}

fn header(overview: &Overview) -> String {
    let mut parts: Vec<String> = overview.zones.iter().take(3).map(|zone| format!("zone {}   serial {}", zone.name, zone.serial)).collect();
    if let Some(more) = overview.zones.len().checked_sub(3).filter(|more| 0 < *more) {
        parts.push(format!("and {}", count(more, "more zone")));
    }
    parts.push(format!("node {}", overview.node));
    parts.push(format!("rev {}", overview.revision));
    if !overview.config_hash.is_empty() {
        parts.push(format!("config {}", overview.config_hash));
    }
    if let Some(rate) = overview.queries_per_second {
        parts.push(format!("{} q/s", thousands(rate.max(0.0).round() as u64)));
    }
    format!("{}\n\n", parts.join("   "))
}

fn rows(service: &Service, overview: &Overview, grid: &mut Grid) {
    let traffic = &service.traffic;
    let shares = &traffic.shares;
    for (at, pool) in service.pools.iter().enumerate() {
        let place = if pool.region == pool.pool { pool.pool.clone() } else { format!("{} ({})", pool.pool, pool.region) };
        // A share that health has changed is marked by a sign, not by colour alone: the columns stand side by side.
        let (desired, effective) = (shares.desired.get(&pool.pool), shares.effective.get(&pool.pool));
        let differs = (desired.unwrap_or(0.0) - effective.unwrap_or(0.0)).abs() > 0.05;
        let answered = (!shares.answered.0.is_empty()).then(|| shares.answered.get(&pool.pool).unwrap_or(0.0));
        let mut notes = pool_notes(pool, service, overview);
        if at == 0 {
            notes.extend(service_notes(service));
        }
        let first = |text: String| if at == 0 { text } else { String::new() };
        grid.row(vec![
            first(service.name.clone()).into(),
            first(traffic.policy.choice.word().to_string()).into(),
            first(format!("{}s", traffic.ttl_seconds)).into(),
            place.into(),
            health_cell(pool.state, pool.drained, pool.stale, pool.up, pool.of),
            percent(desired).into(),
            Cell::toned(if differs { Tone::Warn } else { Tone::Plain }, percent(effective)),
            percent(answered).into(),
            notes.join("; ").into(),
        ]);
    }
}

/// Why this pool is used as it is.
pub fn pool_notes(pool: &ServicePool, service: &Service, overview: &Overview) -> Vec<String> {
    let shares = &service.traffic.shares;
    let mut notes = Vec::new();
    let known = pool.overrides.iter().filter_map(|id| overview.overrides.iter().find(|known| known.id == *id));
    notes.extend(known.map(|known| override_note(known, overview.at)));
    if pool.guarded {
        let cause = pool.cause.as_ref().map(|cause| format!(": {}", cause.message)).unwrap_or_default();
        notes.push(format!("guarded: down by probes, held as up{cause}"));
    }
    if let Some(degraded) = &pool.degraded {
        notes.push(format!("degraded, counts {}: {}", degraded.factor, degraded.why));
    }
    match pool.state {
        State::Down => {
            let since = pool.since.map(|since| format!("for {}", age(since, overview.at)));
            let cause = pool.cause.as_ref().map(|cause| cause.message.clone());
            let parts: Vec<String> = since.into_iter().chain(cause).collect();
            notes.extend((!parts.is_empty()).then(|| parts.join(": ")));
        }
        State::Unknown => notes.push("no verdict yet".to_string()),
        State::Up => (),
    }
    notes.extend(pool.outdated.as_ref().map(|why| format!("kept off: {why}")));
    notes.extend(pool.sheds.as_ref().map(|why| format!("sheds: {why}")));
    // Only what is up has returned; of a pool that is down, that it is down matters more.
    if pool.held && pool.state == State::Up {
        let until = match (&pool.waits, pool.held_until) {
            (Some(why), _) => format!(": {why}"),
            (None, Some(until)) => format!(" until {}", clock(until, overview.at)),
            (None, None) => format!(": windrose failback {} {}", service.name, pool.pool),
        };
        notes.push(match &pool.returning {
            Some(stage) => format!("returning: {} % of its share, step {} of {}{until}", stage.percent, stage.step, stage.steps),
            None => format!("returned, waiting{until}"),
        });
    }
    let share = |shares: &crate::admin::api::Shares| shares.get(&pool.pool).unwrap_or(0.0);
    match pool.rung.as_deref() {
        Some("standby") => notes.push("standby answers (rung standby)".to_string()),
        Some("held") => notes.push("answers although it waits (rung held)".to_string()),
        Some("drained") => notes.push("answers although drained (rung drained)".to_string()),
        Some("all_down") => notes.push("answers although all are down (rung all_down)".to_string()),
        Some("policy") | None if share(&shares.desired) == 0.0 && share(&shares.effective) == 0.0 && notes.is_empty() => notes.push("standby".to_string()),
        Some("policy") | None => (),
        Some(other) => notes.push(format!("rung {other}")),
    }
    notes
}

/// `drained until 14:00 UTC (anna: kernel upgrade)`.
fn override_note(known: &Override, at: Time) -> String {
    let word = match known.kind {
        crate::admin::api::Kind::Drain => "drained",
        crate::admin::api::Kind::ForceUp => "forced up",
        crate::admin::api::Kind::ForceDown => "forced down",
        crate::admin::api::Kind::Freeze => "frozen",
        crate::admin::api::Kind::Approve => "approved",
    };
    let until = known.ends.map(|ends| format!(" until {}", clock(ends, at))).unwrap_or_default();
    let why = if known.reason.is_empty() { String::new() } else { format!(": {}", known.reason) };
    format!("{word}{until} ({}{why})", known.actor)
}

/// Kinds of clients told of each service.
const CLIENTS_SHOWN: usize = 2;

/// What is to be said of the whole service, on its first line.
pub fn service_notes(service: &Service) -> Vec<String> {
    let traffic = &service.traffic;
    let mut notes = Vec::new();
    notes.extend(service.frozen.as_ref().map(|id| format!("frozen ({id})")));
    notes.extend(service.first.as_ref().map(|first| format!("{first} is first since it answers (one_way)")));
    notes.extend(service.managed_by.as_ref().map(|place| format!("managed by file ({place})")));
    notes.extend(traffic.unusable.as_ref().map(|why| format!("follows the file, not its operators: {why}")));
    if let (Source::Operator, Some(changed)) = (traffic.source, &traffic.changed) {
        let why = if changed.reason.is_empty() { String::new() } else { format!(": {}", changed.reason) };
        notes.push(format!("set by {}{why}", changed.by));
    }
    notes.extend(traffic.shift.as_ref().map(|id| format!("shift {id} is under way: windrose shift status {}", service.name)));
    if traffic.rung.is_none() {
        notes.push("nothing is answered".to_string());
    }
    notes.extend(traffic.by_client.iter().take(CLIENTS_SHOWN).map(super::describe::client_text));
    if let Some(more) = traffic.by_client.len().checked_sub(CLIENTS_SHOWN).filter(|more| 0 < *more) {
        notes.push(format!("{more} more kinds of clients get something else: windrose describe service {}", service.name));
    }
    notes
}

fn footer(overview: &Overview, paint: Paint) -> String {
    let mut out = String::from("\n");
    if let Some(why) = overview.store.why.as_ref().filter(|_| !overview.store.up) {
        let _ = writeln!(out, "{} the store can't be written ({why}): DNS goes on, changes are refused", paint.tone(Tone::Bad, "✖"));
    }
    if !overview.needs_restart.is_empty() {
        let _ = writeln!(out, "{} changed in the file, and needs a restart: {}", paint.tone(Tone::Warn, "⚠"), overview.needs_restart.join(" "));
    }
    let (notes, problems): (Vec<&Concern>, Vec<&Concern>) = overview.problems.iter().partition(|problem| problem.severity == "info");
    match problems.len() {
        0 => {
            let _ = writeln!(out, "{} no problems", paint.tone(Tone::Good, "✔"));
        }
        many => {
            let _ = writeln!(out, "{}:", count(many, "problem"));
        }
    }
    for problem in problems.into_iter().chain(notes) {
        let (tone, sign) = match problem.severity.as_str() {
            "critical" => (Tone::Bad, "✖"),
            "info" => (Tone::Dim, "·"),
            _ => (Tone::Warn, "⚠"),
        };
        let next = problem.next.as_ref().map(|next| format!("   next: {next}")).unwrap_or_default();
        let _ = writeln!(out, "  {} {}{next}", paint.tone(tone, sign), problem.text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::overview;

    #[test]
    fn the_table_shows_three_shares_and_why_they_differ() {
        let expected = "\
zone api.example.com   serial 2026112107   node ns1   rev 42   1,284 q/s

SERVICE  POLICY    TTL  POOL          HEALTH         DESIRED  EFFECTIVE  ANSWERED  NOTE
orders   failover  30s  prod          ✔ up 2/2          100%       100%      100%
                        dr            ✔ up 2/2            0%         0%        0%  standby
search   weighted  20s  eu (eu-west)  ✖ down 0/2         80%         0%        3%  for 41s: no answer within 2s while connecting; set by token:ci: CHG-1201
                        us            ✔ up 1/1           20%       100%       97%
web      failover  60s  prod          ⏸ drained 2/2     100%         0%         –  drained until 14:00:00 UTC (anna: kernel upgrade)
                        dr            ✔ up 2/2            0%         0%         –  returned, waiting: windrose failback web dr
                        sorry         ? unknown 0/1       0%       100%         –  no verdict yet; answers although all are down (rung all_down)

1 problem:
  ✖ search/eu is down   next: windrose describe pool eu
";
        let shown = text(&overview(), Paint::PLAIN);
        assert_eq!(shown, expected, "\n{shown}");
    }

    #[test]
    fn all_is_well_is_said() {
        let mut overview = overview();
        overview.problems.clear();
        overview.needs_restart = vec!["[dns]".into()];
        let shown = text(&overview, Paint::PLAIN);
        assert!(shown.ends_with("\n⚠ changed in the file, and needs a restart: [dns]\n✔ no problems\n"), "{shown}");
    }

    #[test]
    fn what_only_waits_is_no_problem() {
        let mut overview = overview();
        overview.problems[0].severity = "info".into();
        let shown = text(&overview, Paint::PLAIN);
        assert!(shown.ends_with("✔ no problems\n  · search/eu is down   next: windrose describe pool eu\n"), "{shown}");
    }

    #[test]
    fn what_the_guard_keeps_is_told_with_what_probes_say() {
        let mut overview = overview();
        let search = &mut overview.services[1];
        (search.pools[0].state, search.pools[0].guarded, search.pools[0].up) = (State::Up, true, 2);
        let shown = text(&overview, Paint::PLAIN);
        assert!(
            shown.contains("✔ up 2/2           80%         0%        3%  guarded: down by probes, held as up: no answer within 2s while connecting; set by"),
            "{shown}"
        );
    }

    #[test]
    fn one_service_has_its_own_problems_only() {
        let mut seen = overview();
        let orders = seen.services[0].clone();
        narrow(&mut seen, vec![orders]);
        assert_eq!((seen.services.len(), seen.problems.len()), (1, 0));
        let mut seen = overview();
        let search = seen.services[1].clone();
        narrow(&mut seen, vec![search]);
        assert_eq!(seen.problems.len(), 1);
    }
}
