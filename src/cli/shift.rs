//! `windrose shift`: moving traffic step by step.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;

use crate::admin::api::{ChangeReply, Shares, Shift, ShiftOrder, ShiftPost, ShiftStepPost, Span};
use crate::model::{Share, parse_step};

use super::args::{ShiftArgs, ShiftVerb, Write};
use super::change::told;
use super::client::{Client, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock, percent};

/// How often `status -w` looks.
const EVERY: Duration = Duration::from_secs(1);
/// Hold of a step whose command names none.
const HOLD: Duration = Duration::from_secs(300);

/// `windrose shift …`
pub async fn run(client: &Client, args: &ShiftArgs, paint: Paint) -> Result<Report, Failure> {
    match &args.verb {
        None => begin(client, args, paint).await,
        Some(ShiftVerb::Status { service, watch }) => status(client, service, *watch, paint).await,
        Some(ShiftVerb::Pause { service, write }) => order(client, service, "pause", false, write, paint).await,
        Some(ShiftVerb::Resume { service, write }) => order(client, service, "resume", false, write, paint).await,
        Some(ShiftVerb::Promote { service, full, write }) => order(client, service, "promote", *full, write, paint).await,
        Some(ShiftVerb::Abort { service, write }) => order(client, service, "abort", false, write, paint).await,
        Some(ShiftVerb::Retry { service, write }) => order(client, service, "retry", false, write, paint).await,
    }
}

async fn begin(client: &Client, args: &ShiftArgs, paint: Paint) -> Result<Report, Failure> {
    let service = args.service.as_deref().ok_or_else(|| Failure::local(Exit::Usage, "name a service: windrose shift SERVICE POOL=PCT…"))?;
    let body = post(args).map_err(|why| Failure::local(Exit::Usage, why))?;
    let got: Got<ChangeReply> = client.write(Method::POST, &["services", service, "shifts"], Some(&body), &args.write, None).await?;
    let headline = match &got.value.shift {
        Some(shift) => steps_line(shift, got.value.dry_run),
        None => format!("{service}: shift"),
    };
    Ok(told(&headline, got, paint))
}

fn post(args: &ShiftArgs) -> Result<ShiftPost, String> {
    let hold = args.hold.unwrap_or(HOLD);
    let steps = args.steps.iter().map(|text| {
        let step =
            parse_step(text, hold).ok_or_else(|| format!("`{text}` is not a step; write per cent of the way, such as 25, or 50p to wait for a person"))?;
        Ok(ShiftStepPost { percent: step.percent.percent(), hold: Some(Span(step.hold)), pause: step.pause })
    });
    let to = args.shares.iter().map(|(name, share): &(String, Share)| (name.clone(), share.percent())).collect();
    Ok(ShiftPost {
        to: Shares(to),
        plan: args.plan.clone(),
        steps: steps.collect::<Result<_, String>>()?,
        abort_when: args.abort_when.clone(),
        analyses: args.analyses.clone(),
        short_holds: args.short_holds,
        reason: args.write.reason.clone(),
        break_glass: args.write.break_glass.clone(),
    })
}

/// `search: shift s-7, 5% → 5m → 25% → 5m → 50% ‖ waits for promote → 100%`
fn steps_line(shift: &Shift, dry_run: bool) -> String {
    let mut line = format!("{}: shift {}", shift.service, if dry_run { "would go" } else { &shift.id });
    let last = shift.steps.len().saturating_sub(1);
    for (at, step) in shift.steps.iter().enumerate() {
        let _ = write!(line, "{} {}", if at == 0 { "," } else { " →" }, percent(Some(step.percent)));
        match (at == last, step.pause) {
            (true, _) => {}
            (false, true) => line.push_str(" ‖ waits for promote"),
            (false, false) => {
                let _ = write!(line, " → {}", step.hold);
            }
        }
    }
    line
}

async fn order(client: &Client, service: &str, word: &str, full: bool, write: &Write, paint: Paint) -> Result<Report, Failure> {
    let body = ShiftOrder { full, reason: write.reason.clone(), break_glass: write.break_glass.clone() };
    let got: Got<ChangeReply> = client.write(Method::POST, &["shifts", service, word], Some(&body), write, None).await?;
    let headline = match &got.value.shift {
        Some(shift) => format!("{}: shift {} {}, step {} of {}", shift.service, shift.id, shift.phase, shift.step, shift.steps.len()),
        None => format!("{service}: {word}"),
    };
    Ok(told(&headline, got, paint))
}

/// `windrose shift status`; with `-w` until it has ended, each change printed as it comes.
async fn status(client: &Client, service: &str, watch: bool, paint: Paint) -> Result<Report, Failure> {
    let mut before = None;
    loop {
        let got: Got<Shift> = client.get(&["shifts", service], &[]).await?;
        let shift = &got.value;
        let over = matches!(shift.phase.as_str(), "completed" | "aborted");
        if !watch || over {
            return Ok(Report::new(text(shift, paint), got.raw));
        }
        let now = (shift.id.clone(), shift.phase.clone(), shift.step);
        if before.as_ref() != Some(&now) {
            let text = text(shift, paint);
            let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), format!("{text}\n").as_bytes());
            before = Some(now);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn sign(phase: &str) -> (Tone, &'static str) {
    match phase {
        "progressing" => (Tone::Good, "▶"),
        "completed" => (Tone::Good, "✔"),
        "aborted" => (Tone::Bad, "✖"),
        "degraded" => (Tone::Bad, "⚠"),
        _ => (Tone::Warn, "‖"),
    }
}

fn text(shift: &Shift, paint: Paint) -> String {
    let (tone, sign) = sign(&shift.phase);
    let why = if shift.started.reason.is_empty() { String::new() } else { format!(" ({})", shift.started.reason) };
    let mut out = format!(
        "{}   shift {}   {}   step {} of {}   started {} by {}{why}\n",
        shift.service,
        shift.id,
        paint.tone(tone, &format!("{sign} {}", shift.phase)),
        shift.step,
        shift.steps.len(),
        clock(shift.started.at, shift.changed.at),
        shift.started.by
    );
    let mut grid = Grid::new(&["", ">STEP", ">WAY", "SHARES", "SINCE", "HOLD"]);
    let aborted = shift.phase == "aborted";
    for (at, step) in shift.steps.iter().enumerate() {
        let number = at as u32 + 1;
        let mark = match (step.reached.is_some(), number == shift.step && shift.phase != "completed") {
            (true, true) => Cell::toned(tone, sign.to_string()),
            (true, false) if !aborted => Cell::toned(Tone::Good, "✔".to_string()),
            (true, false) => Cell::from("✔"),
            (false, _) => Cell::from("◷"),
        };
        let shares = step.shares.0.iter().map(|(name, share)| format!("{name} {}", percent(Some(*share)))).collect::<Vec<_>>().join(", ");
        let hold = match (number as usize == shift.steps.len(), step.pause) {
            (true, _) => String::new(),
            (false, true) => "waits for a person".to_string(),
            (false, false) => step.hold.to_string(),
        };
        let since = step.reached.map(|reached| clock(reached, shift.changed.at)).unwrap_or_default();
        grid.row(vec![mark, number.to_string().into(), percent(Some(step.percent)).into(), shares.into(), since.into(), hold.into()]);
    }
    out.push_str(&grid.render(paint));
    for analysis in &shift.analyses {
        let value = analysis.value.map_or_else(|| "not measured yet".to_string(), |value| value.to_string());
        let max = analysis.max.map(|max| format!(", limit {max}")).unwrap_or_default();
        let problem = analysis.problem.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let _ = writeln!(out, "analysis {}: {value}{max}{problem}", analysis.name);
    }
    if let Some(halt) = &shift.halt {
        let _ = writeln!(out, "{} {}\n  → {}", paint.tone(Tone::Warn, "⚠"), halt.message, halt.hint);
    }
    if let Some(why) = &shift.degraded {
        let _ = writeln!(out, "{} the store holds up the next step: {why}; it is tried again every second", paint.tone(Tone::Bad, "⚠"));
    }
    let name = &shift.service;
    let next = match shift.phase.as_str() {
        "progressing" => format!("next: windrose shift pause {name} · windrose shift promote {name} · windrose shift abort {name}\n"),
        "waiting" => format!("next: windrose shift promote {name} · windrose shift abort {name}\n"),
        "paused" => format!("next: windrose shift resume {name} · windrose shift promote {name} · windrose shift abort {name}\n"),
        "degraded" => format!("next: windrose shift abort {name}\n"),
        "aborted" => format!("traffic is as {}   again: windrose shift retry {name}\n", if replaced(shift) { "it was set instead" } else { "before" }),
        _ => format!("undo: windrose undo {name}\n"),
    };
    if let Some(left) = shift.left {
        let _ = writeln!(out, "the hold lasts {left} more");
    }
    out.push_str(&next);
    out
}

fn replaced(shift: &Shift) -> bool {
    shift.halt.as_ref().is_some_and(|halt| halt.code == "replaced")
}

/// `windrose get shifts`
pub fn shifts(shifts: &[Shift], paint: Paint) -> String {
    let mut grid = Grid::new(&["ID", "SERVICE", "PHASE", "STEP", "TO", "STARTED", "WHO", "REASON"]);
    let newest = shifts.iter().map(|shift| shift.changed.at).max().unwrap_or_default();
    for shift in shifts {
        let (tone, sign) = sign(&shift.phase);
        let to = shift.to.0.iter().map(|(name, share)| format!("{name} {}", percent(Some(*share)))).collect::<Vec<_>>().join(", ");
        grid.row(vec![
            shift.id.as_str().into(),
            shift.service.as_str().into(),
            Cell::toned(tone, format!("{sign} {}", shift.phase)),
            format!("{} of {}", shift.step, shift.steps.len()).into(),
            to.into(),
            clock(shift.started.at, newest).into(),
            shift.started.by.as_str().into(),
            shift.started.reason.as_str().into(),
        ]);
    }
    grid.render(paint)
}
