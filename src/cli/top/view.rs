//! From the state to words: what each line of the screen says, before anybody knows how wide it is.
//!
//! Pure. Words and notes are those of `windrose status`.

use serde_json::Value;

use crate::admin::api::{Endpoint, Overview, Service, ServicePool, State as Health, Time};
use crate::cli::events::{kind, severity, summary, text};
use crate::cli::get::probe_text;
use crate::cli::status::{pool_notes, service_notes};
use crate::cli::table::{Tone, age, clock, count, health_cell, thousands};

use super::state::State;

/// The lines above everything.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// Which server, how much.
    pub left: String,
    /// Is this live?
    pub live: (Tone, String),
    /// What a person should look at.
    pub problem: (Tone, String),
}

/// One line on the left.
#[derive(Debug, PartialEq)]
pub struct ServiceRow {
    /// It is the chosen one.
    pub chosen: bool,
    /// How it is.
    pub state: (Tone, &'static str),
    /// Its name.
    pub name: String,
    /// Answers a second over the last minute.
    pub rate: String,
}

/// One pool of the chosen service.
#[derive(Debug, PartialEq)]
pub struct PoolRow {
    /// It is the chosen one.
    pub chosen: bool,
    /// `eu (eu-west)`
    pub place: String,
    /// Sign, word, endpoints.
    pub health: (Tone, String),
    /// Desired, effective, answered; per cent.
    pub shares: [Option<f64>; 3],
    /// Effective is not what is desired.
    pub differs: bool,
    /// Answers a second now.
    pub rate: Option<f64>,
    /// And lately, oldest first.
    pub rates: Vec<f64>,
    /// What is to be said.
    pub note: String,
    /// The last probe.
    pub probe: (Tone, String),
}

/// One event.
#[derive(Debug, PartialEq)]
pub struct EventRow {
    /// It is the chosen one.
    pub chosen: bool,
    /// Time of day, UTC.
    pub time: String,
    /// A sign, since colour alone says nothing.
    pub sign: (Tone, &'static str),
    /// `failover.started`
    pub kind: String,
    /// One sentence.
    pub summary: String,
}

/// What stands above everything.
pub fn header(state: &State) -> Header {
    let Some(overview) = &state.overview else { return Header { left: String::new(), live: live(state), problem: (Tone::Plain, String::new()) } };
    let mut parts = vec![format!("node {}", overview.node), format!("rev {}", overview.revision)];
    parts.extend(overview.queries_per_second.map(|rate| format!("{} q/s", rate_text(rate))));
    parts.push(count(usize::try_from(overview.services_total).unwrap_or(usize::MAX), "service"));
    Header { left: format!("windrose top   {}", parts.join("   ")), live: live(state), problem: problem(overview) }
}

fn live(state: &State) -> (Tone, String) {
    match &state.lost {
        Some(lost) => (Tone::Bad, format!("✖ not connected since {}", clock(lost.since, state.now))),
        None => (Tone::Good, "● live".to_string()),
    }
}

fn problem(overview: &Overview) -> (Tone, String) {
    if let Some(why) = overview.store.why.as_ref().filter(|_| !overview.store.up) {
        return (Tone::Bad, format!("✖ the store can't be written ({why}): DNS goes on, changes are refused"));
    }
    let problems: Vec<_> = overview.problems.iter().filter(|problem| problem.severity != "info").collect();
    match problems.first() {
        None => (Tone::Good, "✔ no problems".to_string()),
        Some(first) => {
            let (tone, sign) = if first.severity == "critical" { (Tone::Bad, "✖") } else { (Tone::Warn, "⚠") };
            (tone, format!("{sign} {}: {}", count(problems.len(), "problem"), first.text))
        }
    }
}

/// Left.
pub fn services(state: &State) -> Vec<ServiceRow> {
    let row = |service: &Service| ServiceRow {
        chosen: service.name == state.service,
        state: service_state(service),
        name: service.name.clone(),
        rate: service.answers_per_second.map(rate_text).unwrap_or_default(),
    };
    state.services().into_iter().map(row).collect()
}

/// In one word: does it answer, and as it should?
fn service_state(service: &Service) -> (Tone, &'static str) {
    let shares = &service.traffic.shares;
    let moved = service.pools.iter().any(|pool| differs(shares.desired.get(&pool.pool), shares.effective.get(&pool.pool)));
    match service.traffic.rung.as_deref() {
        None => (Tone::Bad, "✖ none"),
        Some("all_down") => (Tone::Bad, "✖ down"),
        _ if service.frozen.is_some() => (Tone::Warn, "‖ frozen"),
        _ if moved => (Tone::Warn, "⚠ moved"),
        _ if service.pools.iter().any(|pool| pool.state == Health::Down) => (Tone::Warn, "⚠ part"),
        _ => (Tone::Good, "✔ ok"),
    }
}

fn differs(desired: Option<f64>, effective: Option<f64>) -> bool {
    (desired.unwrap_or(0.0) - effective.unwrap_or(0.0)).abs() > 0.05
}

/// Above the right side.
pub fn title(state: &State) -> String {
    match state.chosen() {
        None => "no service".to_string(),
        Some(service) => {
            let traffic = &service.traffic;
            let notes = service_notes(service);
            let notes = if notes.is_empty() { String::new() } else { format!(" · {}", notes.join("; ")) };
            format!("{} · {} · ttl {}s · rev {}{notes}", service.name, traffic.policy.choice.word(), traffic.ttl_seconds, traffic.revision)
        }
    }
}

/// Right.
pub fn pools(state: &State) -> Vec<PoolRow> {
    let (Some(overview), Some(service)) = (&state.overview, state.chosen()) else { return Vec::new() };
    service.pools.iter().map(|pool| pool_row(state, overview, service, pool)).collect()
}

fn pool_row(state: &State, overview: &Overview, service: &Service, pool: &ServicePool) -> PoolRow {
    let shares = &service.traffic.shares;
    let (desired, effective) = (shares.desired.get(&pool.pool), shares.effective.get(&pool.pool));
    let answered = (!shares.answered.0.is_empty()).then(|| shares.answered.get(&pool.pool).unwrap_or(0.0));
    let rates = state.rates.of(&service.name, &pool.pool);
    let health = health_cell(pool.state, pool.drained, pool.stale, pool.up, pool.of);
    PoolRow {
        chosen: pool.pool == state.pool,
        place: if pool.region == pool.pool { pool.pool.clone() } else { format!("{} ({})", pool.pool, pool.region) },
        health: (health.tone, health.text),
        shares: [desired, effective, answered],
        differs: differs(desired, effective),
        rate: rates.last().copied(),
        rates,
        note: pool_notes(pool, service, overview).join("; "),
        probe: probe(state.endpoints.get(&pool.pool).map(Vec::as_slice).unwrap_or_default(), overview.at),
    }
}

/// The last probe of the pool: of what is down, if something is.
fn probe(endpoints: &[Endpoint], at: Time) -> (Tone, String) {
    let down = |endpoint: &&Endpoint| endpoint.state.observed == Health::Down;
    let newest = |endpoint: &&Endpoint| endpoint.last_probe.as_ref().map(|probe| probe.at);
    let worst = endpoints.iter().filter(down).max_by_key(newest).or_else(|| endpoints.iter().max_by_key(newest));
    match worst.and_then(|endpoint| Some((endpoint, endpoint.last_probe.as_ref()?))) {
        None => (Tone::Dim, "no probe yet".to_string()),
        Some((endpoint, probe)) => {
            let tone = if probe.outcome == "pass" { Tone::Plain } else { Tone::Bad };
            (tone, format!("{}, {} ago: {}", endpoint.name, age(probe.at, at), probe_text(probe)))
        }
    }
}

/// Below, newest first.
pub fn events(state: &State) -> Vec<EventRow> {
    let chosen = state.chosen_event();
    state.events.iter().enumerate().map(|(at, event)| event_row(event, at == chosen)).collect()
}

fn event_row(event: &Value, chosen: bool) -> EventRow {
    let tone = severity(event);
    let sign = match tone {
        Tone::Bad => "✖",
        Tone::Warn => "⚠",
        _ => "·",
    };
    let time = text(event, "time");
    let time = time.split_once('T').map_or(time, |(_, time)| time);
    EventRow { chosen, time: time.get(..8).unwrap_or(time).to_string(), sign: (tone, sign), kind: kind(event).to_string(), summary: summary(event).to_string() }
}

/// `0.4`, `12`, `1,284`.
pub fn rate_text(rate: f64) -> String {
    match rate.max(0.0) {
        rate if rate < 0.05 => "0".to_string(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate => thousands(rate.round() as u64),
    }
}
