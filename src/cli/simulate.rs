//! `windrose simulate`: what if. Exit code 3 if somebody would be overloaded, or nothing left.

use std::fmt::Write as _;

use reqwest::Method;

use crate::admin::api::{LoadAt, Move, SimulatePost, SimulatedRegion, Simulation};

use super::args::{SimulateArgs, Write};
use super::change::shares;
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::forecast;
use super::plan;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, percent, thousands};

/// Asks and tells.
pub async fn run(client: &Client, args: &SimulateArgs, paint: Paint) -> Result<Report, Failure> {
    let SimulateArgs { down, also, at, config } = args;
    let at = if at == "peak" { LoadAt::Peak } else { LoadAt::Now };
    let file = config.as_deref().map(|file| plan::sent(client, file)).transpose()?.unwrap_or_default();
    let post = SimulatePost { down: down.iter().chain(also).cloned().collect(), at, text: file.text, path: file.path };
    let got: Got<Simulation> = client.write(Method::POST, &["simulate"], Some(&post), &Write::default(), None).await?;
    let exit = exit(&got.value);
    Ok(Report { exit, ..Report::new(text(&got.value, paint), got.raw) })
}

fn exit(found: &Simulation) -> Exit {
    let strained = found.regions.iter().any(|row| row.strain.as_ref().is_some_and(|strain| strain.exceeded));
    let dark = found.services.iter().any(|service| !service.before.0.is_empty() && matches!(service.rung.as_deref(), None | Some("all_down")));
    if strained || dark || !found.cascade.is_empty() { Exit::Condition } else { Exit::Done }
}

fn text(found: &Simulation, paint: Paint) -> String {
    let mut out = String::new();
    if found.services.is_empty() {
        out.push_str("no answer would move\n");
    }
    let moves: Vec<Move> = found
        .services
        .iter()
        .map(|moved| Move {
            service: moved.service.clone(),
            before: moved.before.clone(),
            after: moved.after.clone(),
            by_client: moved.by_client.clone(),
            answers_per_second: moved.answers_per_second,
            moves_per_second: None,
        })
        .collect();
    out.push_str(&shares(&moves, paint));
    let mut grid = Grid::new(&["REGION", ">NOW/S", ">THEN/S", "LOAD", ""]);
    for row in &found.regions {
        let load = row.strain.as_ref().map_or("–".into(), |strain| {
            let text = format!("{} of {}% ({})", percent(Some(strain.load)), thousands(strain.capacity.round() as u64), strain.service);
            Cell::toned(if strain.exceeded { Tone::Bad } else { Tone::Plain }, text)
        });
        grid.row(vec![row.region.as_str().into(), rate(row.before_per_second).into(), rate(row.after_per_second).into(), load, note(found, row)]);
    }
    out.push_str(&grid.render(paint));
    for (at, fall) in found.cascade.iter().enumerate() {
        let (load, capacity) = (percent(Some(fall.load)), percent(Some(fall.capacity)));
        let sign = paint.tone(Tone::Bad, "✖");
        let _ = writeln!(out, "  {sign} cascade {}: {} falls, {} asks {load} of its peak there and it carries {capacity}", at + 1, fall.region, fall.service);
    }
    for guard in &found.guards {
        let _ = writeln!(out, "  guard {guard}");
    }
    for guard in &found.change_guards {
        let _ = writeln!(out, "  {} guard {}: {}", paint.tone(Tone::Warn, "⚠"), guard.name, guard.message);
    }
    for message in &found.messages {
        let _ = writeln!(out, "  {} {message}", paint.tone(Tone::Warn, "⚠"));
    }
    out.push_str(&found.forecast.as_ref().map(forecast::text).unwrap_or_default());
    out.push_str("a simulation: nothing was changed\n");
    out
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_string(), |rate| if rate < 10.0 { format!("{rate:.1}") } else { thousands(rate.round() as u64) })
}

fn note(found: &Simulation, row: &SimulatedRegion) -> Cell {
    match row.strain.as_ref() {
        _ if found.cascade.iter().any(|fall| fall.region == row.region) => Cell::toned(Tone::Bad, "✖ falls, overloaded"),
        _ if row.fallen => Cell::toned(Tone::Bad, "✖ down"),
        Some(strain) if strain.exceeded => Cell::toned(Tone::Bad, "✖ overloaded"),
        _ => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulation() -> Simulation {
        serde_json::from_str(
            r#"{"at": "now", "down": ["prod/a"], "services_total": 1,
                "services": [{"service": "orders", "before": {"prod": 100}, "after": {"far": 100}, "rung": "policy", "answers_per_second": 402}],
                "regions": [{"region": "prod", "before_per_second": 402, "after_per_second": 0, "strain": null, "fallen": true},
                            {"region": "dr", "before_per_second": 0, "after_per_second": 0, "strain": null, "fallen": true},
                            {"region": "far", "before_per_second": null, "after_per_second": 402,
                             "strain": {"region": "far", "service": "orders", "load": 100, "capacity": 100, "exceeded": false}, "fallen": false}],
                "cascade": [{"region": "dr", "service": "orders", "load": 100, "capacity": 60, "exceeded": true}],
                "guards": ["blast: if dr falls within 1m"],
                "change_guards": [{"name": "min_serving_regions", "ok": false, "value": 1, "limit": 2, "message": "orders: without prod 1 region could answer, at least 2 must"}],
                "messages": ["a is not probed"], "forecast": null}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_simulation_tells_shares_load_and_who_falls_next() {
        assert_eq!(
            text(&simulation(), Paint::PLAIN),
            "SERVICE  POOL  BEFORE  AFTER\n\
             orders   prod    100%     0%  ▼ 100.0\n         far       0%   100%  ▲ 100.0\n\
             REGION  NOW/S  THEN/S  LOAD\n\
             prod      402     0.0  –                      ✖ down\n\
             dr        0.0     0.0  –                      ✖ falls, overloaded\n\
             far         –     402  100% of 100% (orders)\n\
             \u{20} ✖ cascade 1: dr falls, orders asks 100% of its peak there and it carries 60%\n\
             \u{20} guard blast: if dr falls within 1m\n\
             \u{20} ⚠ guard min_serving_regions: orders: without prod 1 region could answer, at least 2 must\n\
             \u{20} ⚠ a is not probed\n\
             a simulation: nothing was changed\n"
        );
    }

    #[test]
    fn the_exit_code_says_whether_it_would_hold() {
        assert_eq!(exit(&simulation()), Exit::Condition);
        let held = Simulation { cascade: Vec::new(), ..simulation() };
        assert_eq!(exit(&held), Exit::Done);
        let mut dark = held;
        dark.services[0].rung = Some("all_down".into());
        assert_eq!(exit(&dark), Exit::Condition);
    }
}
