//! `windrose plan`, `diff`, `reload --dry-run`: what a configuration would change.
//!
//! Exit codes: 0 nothing would change · 3 something would · 5 it would be refused · 2 the file has problems.

use std::fmt::Write as _;
use std::path::Path;

use reqwest::Method;

use crate::admin::api::{ConfigChange, ConfigDiff, ConfigPlan, ConfigPlanPost, Drift, ReloadReply};

use super::args::{PlanArgs, Write};
use super::change::{policy_text, shares};
use super::client::{Client, Got, Place};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Paint, Tone, count, thousands};

/// Objects that are printed; the rest is counted.
const SHOWN_MAX: usize = 100;
/// Characters of a value that are printed.
const VALUE_MAX: usize = 90;

/// `windrose plan`
pub async fn plan(client: &Client, args: &PlanArgs, paint: Paint) -> Result<Report, Failure> {
    let body = match &args.file {
        None => ConfigPlanPost::default(),
        Some(file) => sent(client, file)?,
    };
    let got: Got<ConfigPlan> = client.write(Method::POST, &["config", "plan"], Some(&body), &Write::default(), None).await?;
    Ok(report(&got.value, got.raw, paint))
}

/// A file as the server gets it.
pub(super) fn sent(client: &Client, file: &Path) -> Result<ConfigPlanPost, Failure> {
    let unreadable = |error: std::io::Error| Failure::local(Exit::Usage, format!("can't read {}: {error}", file.display()));
    match &client.place {
        // The server reads it itself, with the files beside it.
        Place::Socket(_) => {
            let path = std::fs::canonicalize(file).map_err(unreadable)?;
            Ok(ConfigPlanPost { path: Some(path.display().to_string()), text: None })
        }
        Place::Server(_) => Ok(ConfigPlanPost { path: None, text: Some(std::fs::read_to_string(file).map_err(unreadable)?) }),
    }
}

/// `windrose reload --dry-run`
pub async fn dry_run(client: &Client, paint: Paint) -> Result<Report, Failure> {
    let write = Write { dry_run: true, ..Write::default() };
    let got: Got<ReloadReply> = client.write(Method::POST, &["config", "reload"], None::<&()>, &write, None).await?;
    match got.value.plan {
        Some(plan) => Ok(report(&plan, got.raw, paint)),
        None => Err(Failure::local(Exit::Failed, "the server did not say what a reload would do")),
    }
}

/// `windrose diff`
pub async fn diff(client: &Client, paint: Paint) -> Result<Report, Failure> {
    let got: Got<ConfigDiff> = client.get(&["config", "diff"], &[]).await?;
    let ConfigDiff { plan, drift } = &got.value;
    let mut text = text(plan, paint);
    if drift.is_empty() {
        let _ = writeln!(text, "{} no operator has moved traffic away from the file", paint.tone(Tone::Good, "✔"));
    } else {
        let _ = writeln!(text, "drift: traffic of {} is not what the file says", count(drift.len(), "service"));
        drift.iter().for_each(|drift| drifted(drift, paint, &mut text));
    }
    let exit = match exit(plan) {
        Exit::Done if !drift.is_empty() => Exit::Condition,
        exit => exit,
    };
    Ok(Report { exit, ..Report::new(text, got.raw) })
}

fn report(plan: &ConfigPlan, raw: serde_json::Value, paint: Paint) -> Report {
    Report { exit: exit(plan), ..Report::new(text(plan, paint), raw) }
}

fn exit(plan: &ConfigPlan) -> Exit {
    match plan {
        _ if !plan.refusals.is_empty() => Exit::Refused,
        _ if plan.same => Exit::Done,
        _ => Exit::Condition,
    }
}

fn text(plan: &ConfigPlan, paint: Paint) -> String {
    let mut out = String::new();
    for change in plan.changes.iter().take(SHOWN_MAX) {
        changed(change, paint, &mut out);
    }
    if let Some(more) = plan.changes_total.checked_sub(SHOWN_MAX as u64).filter(|more| 0 < *more) {
        let _ = writeln!(out, "… and {} more objects", thousands(more));
    }
    if plan.moves.is_empty() {
        let nothing = if plan.changes.is_empty() { "" } else { "no answer would move now\n" };
        out.push_str(nothing);
    } else {
        let _ = writeln!(out, "on today's health answers of {} would move:", count(usize::try_from(plan.moves_total).unwrap_or(usize::MAX), "service"));
        out.push_str(&shares(&plan.moves, paint));
    }
    for text in plan.messages.iter().chain(&plan.warnings) {
        let _ = writeln!(out, "  {} {text}", paint.tone(Tone::Warn, "⚠"));
    }
    for fault in &plan.refusals {
        let _ = writeln!(out, "  {} {}  {}\n      → {}", paint.tone(Tone::Bad, "✖"), fault.pointer, fault.message, fault.hint);
    }
    let (tone, sign, sentence) = match exit(plan) {
        Exit::Refused => (Tone::Bad, "✖", "a reload would be refused".to_string()),
        Exit::Done => (Tone::Good, "✔", "nothing would change".to_string()),
        _ => (Tone::Warn, "●", "a reload would change this; nothing was changed.   To do it: windrose reload".to_string()),
    };
    let hashes = if plan.hash == plan.running { format!("config {}", plan.hash) } else { format!("config {} → {}", plan.running, plan.hash) };
    let _ = writeln!(out, "{} {sentence}   ({hashes})", paint.tone(tone, sign));
    out
}

fn changed(change: &ConfigChange, paint: Paint, out: &mut String) {
    let (tone, sign) = match change.change.as_str() {
        "added" => (Tone::Good, "+"),
        "removed" => (Tone::Bad, "-"),
        _ => (Tone::Warn, "~"),
    };
    let _ = writeln!(out, "{} {} {}", paint.tone(tone, sign), change.kind, change.name);
    // What is new or gone is told whole by its name; what changed, by what was and what will be.
    for field in change.fields.iter().filter(|_| change.change == "changed") {
        let value = |value: &Option<String>| value.as_deref().map_or_else(|| "–".to_string(), short);
        let _ = writeln!(out, "    {}: {} → {}", field.field, value(&field.before), value(&field.after));
    }
}

fn drifted(drift: &Drift, paint: Paint, out: &mut String) {
    let Drift { service, file, operators, revision, by, reason, at, set_aside } = drift;
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let aside = if *set_aside { ", set aside: the file serves" } else { "" };
    let _ = writeln!(out, "{} {service}", paint.tone(Tone::Warn, "≠"));
    let _ =
        writeln!(out, "    file:       {}\n    operators:  {}   (revision {revision} by {by} at {at}{why}{aside})", policy_text(file), policy_text(operators));
    let _ = writeln!(out, "    → to follow the file: windrose undo {service} --to file");
}

fn short(value: &str) -> String {
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::{Fault, FieldChange};

    fn change(what: &str, kind: &str, name: &str) -> ConfigChange {
        let fields = vec![FieldChange { field: "min_up".into(), before: Some("1".into()), after: Some("2".into()) }];
        ConfigChange { change: what.into(), kind: kind.into(), name: name.into(), fields }
    }

    #[test]
    fn the_exit_code_tells_same_changed_and_refused_apart() {
        let plan = ConfigPlan { same: true, ..ConfigPlan::default() };
        assert_eq!(exit(&plan), Exit::Done);
        assert_eq!(exit(&ConfigPlan { same: false, ..plan.clone() }), Exit::Condition);
        assert_eq!(exit(&ConfigPlan { same: false, refusals: vec![Fault::default()], ..plan }), Exit::Refused);
    }

    #[test]
    fn a_plan_tells_what_changes_by_kind_and_name() {
        let plan = ConfigPlan {
            hash: "b".into(),
            running: "a".into(),
            changes: vec![change("added", "pool", "new"), change("changed", "pool", "prod")],
            changes_total: 2,
            ..ConfigPlan::default()
        };
        assert_eq!(
            text(&plan, Paint::PLAIN),
            "+ pool new\n~ pool prod\n    min_up: 1 → 2\nno answer would move now\n\
             ● a reload would change this; nothing was changed.   To do it: windrose reload   (config a → b)\n"
        );
    }
}
