//! `windrose schedule`: changes that wait for their moment.

use std::fmt::Write as _;

use reqwest::Method;

use crate::admin::api::{ChangeReply, Schedule};

use super::args::{ScheduleArgs, ScheduleVerb};
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock};

/// `windrose schedule …`
pub async fn run(client: &Client, args: &ScheduleArgs, paint: Paint) -> Result<Report, Failure> {
    match &args.verb {
        ScheduleVerb::List => {
            let got: Got<Vec<Schedule>> = client.list(&["schedules"]).await?;
            if got.value.is_empty() {
                return Ok(Report::new("", got.raw).note("nothing is scheduled\n"));
            }
            Ok(Report::new(table(got.value, paint), got.raw))
        }
        ScheduleVerb::Show { id } => {
            let got: Got<Schedule> = client.get(&["schedules", id], &[]).await?;
            Ok(Report::new(text(&got.value, paint), got.raw))
        }
        ScheduleVerb::Cancel { id, write } => {
            let got: Got<ChangeReply> = client.write(Method::DELETE, &["schedules", id], None::<&()>, write, None).await?;
            let mut done: String = got.value.messages.iter().map(|message| format!("{message}\n")).collect();
            if got.value.dry_run {
                done.push_str("dry run: nothing changed.   To do it: run again without --dry-run\n");
            }
            Ok(Report::done(done, got.raw))
        }
    }
}

/// Those that wait by their moments, then the others, newest first.
fn table(mut schedules: Vec<Schedule>, paint: Paint) -> String {
    schedules.sort_by_key(|schedule| (schedule.left.is_none(), schedule.left));
    let today = schedules.iter().map(|schedule| schedule.asked.at).max().unwrap_or_default();
    let mut grid = Grid::new(&["ID", "STATE", "WHEN", "IN", "WHAT", "WHO", "REASON"]);
    for schedule in &schedules {
        let left = schedule.left.map(|left| left.to_string()).unwrap_or_default();
        grid.row(vec![
            schedule.id.as_str().into(),
            state(schedule),
            clock(schedule.due, today).into(),
            left.into(),
            schedule.what.as_str().into(),
            schedule.asked.by.as_str().into(),
            schedule.asked.reason.as_str().into(),
        ]);
    }
    grid.render(paint)
}

fn state(schedule: &Schedule) -> Cell {
    match schedule.state.as_str() {
        "waiting" if schedule.held.is_some() => Cell::toned(Tone::Warn, "⚠ held up".to_string()),
        "waiting" => Cell::from("◷ waiting"),
        "done" => Cell::toned(Tone::Good, "✔ done".to_string()),
        other => Cell::toned(Tone::Bad, format!("✖ {other}")),
    }
}

fn text(schedule: &Schedule, paint: Paint) -> String {
    let mut out = table(vec![schedule.clone()], paint);
    if !schedule.services.is_empty() {
        let _ = writeln!(out, "moves: {}", schedule.services.join(", "));
    }
    if let Some(held) = &schedule.held {
        let _ = writeln!(out, "held up: {held}");
    }
    if !schedule.outcome.is_empty() {
        let _ = writeln!(out, "{}: {}", schedule.state, schedule.outcome);
    }
    match schedule.state.as_str() {
        "waiting" => {
            let _ = writeln!(out, "to take it back: windrose schedule cancel {}", schedule.id);
        }
        "refused" | "missed" => {
            let _ = writeln!(out, "seen, and done with: windrose schedule cancel {}", schedule.id);
        }
        _ => {}
    }
    out
}
