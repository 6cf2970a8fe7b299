//! How a change is told: what moves, since when, until when clients follow, how to take it back.

use std::fmt::Write as _;

use crate::admin::api::{ChangeReply, Move, Shares, Span};
use crate::model::{Choice, PolicyForm, duration_text};

use super::client::Got;
use super::forecast;
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock, percent, thousands};

/// Kinds of clients of one service that are printed; the rest is counted.
const KINDS_SHOWN: usize = 6;
/// Services whose moves are printed; the rest is counted.
const SHOWN_MAX: usize = 20;

/// Tells a change below its headline.
pub fn told(headline: &str, got: Got<ChangeReply>, paint: Paint) -> Report {
    let text = text(headline, &got.value, paint);
    Report::done(text, got.raw)
}

fn text(headline: &str, reply: &ChangeReply, paint: Paint) -> String {
    let headline = match &reply.schedule {
        Some(schedule) => format!("{}: {} is scheduled for {} (in {})", schedule.id, schedule.what, schedule.due, whole(schedule.left)),
        None => headline.to_string(),
    };
    let mut out = format!("{headline}\n{}", preview(reply, paint));
    match &reply.applied {
        None => {
            if let Some(undo) = &reply.undo {
                let _ = writeln!(out, "to take it back then: {}", undo.command);
            }
            out.push_str("dry run: nothing changed.   To do it: run again without --dry-run\n");
        }
        Some(_) if reply.schedule.is_some() => out.push_str("nothing has changed yet; guards are asked again then\n"),
        Some(applied) if reply.moves.iter().all(|change| change.before == change.after && change.by_client.is_empty()) => {
            let _ = writeln!(out, "in force since {}; no answer changes now", clock(applied.at, applied.at));
        }
        Some(applied) => {
            let _ = writeln!(
                out,
                "answers changed at {}; clients that obey the TTL follow by {}",
                clock(applied.at, applied.at),
                clock(reply.clients_follow_by, applied.at)
            );
        }
    }
    out.push_str(&reply.forecast.as_ref().map(forecast::text).unwrap_or_default());
    if let (Some(undo), false) = (&reply.undo, reply.dry_run) {
        let _ = writeln!(out, "undo: {}", undo.command);
    }
    out
}

/// A span without the parts of a second.
fn whole(span: Option<Span>) -> String {
    duration_text(std::time::Duration::from_secs(span.unwrap_or_default().0.as_secs()))
}

/// What moves, who takes it, and what guards say.
pub fn preview(reply: &ChangeReply, paint: Paint) -> String {
    let mut out = shares(&reply.moves, paint);
    out.push_str(&takers(reply));
    out.push_str(&guards(reply, paint));
    for message in &reply.messages {
        let _ = writeln!(out, "  {message}");
    }
    out
}

/// Shares before and after, by service and pool.
pub fn shares(moves: &[Move], paint: Paint) -> String {
    let mut grid = Grid::new(&["SERVICE", "POOL", ">BEFORE", ">AFTER", "", ""]);
    for change in moves.iter().take(SHOWN_MAX) {
        let mut name = change.service.as_str();
        let names = pools(&change.before, &change.after);
        for (at, pool) in names.iter().copied().enumerate() {
            let (before, after) = (change.before.get(pool).unwrap_or(0.0), change.after.get(pool).unwrap_or(0.0));
            grid.row(vec![
                name.into(),
                pool.into(),
                percent(Some(before)).into(),
                percent(Some(after)).into(),
                arrow(before, after),
                if at + 1 == names.len() { rate(change) } else { String::new() }.into(),
            ]);
            name = "";
        }
    }
    let mut out = if grid.is_empty() { String::new() } else { grid.render(paint) };
    for change in moves.iter().take(SHOWN_MAX) {
        clients(change, &mut out);
    }
    if let Some(more) = moves.len().checked_sub(SHOWN_MAX).filter(|more| 0 < *more) {
        let _ = writeln!(out, "… and {more} more services");
    }
    out
}

/// Clients who fare otherwise: `  orders, clients of whom country:DE holds (about 20%): prod 100% → dr 100%`
fn clients(change: &Move, out: &mut String) {
    for kind in change.by_client.iter().take(KINDS_SHOWN) {
        let part = kind.percent.map(|part| format!(" (about {})", percent(Some(part)))).unwrap_or_default();
        let _ = writeln!(out, "  {}, {}{part}: {} → {}", change.service, kind.clients, pools_text(&kind.before), pools_text(&kind.after));
    }
    if let Some(more) = change.by_client.len().checked_sub(KINDS_SHOWN).filter(|more| 0 < *more) {
        let _ = writeln!(out, "  {}, … and {more} more kinds of clients (-o json)", change.service);
    }
}

/// `prod 80%, dr 20%`
fn pools_text(shares: &Shares) -> String {
    let parts: Vec<String> = shares.0.iter().filter(|(_, share)| 0.0 < *share).map(|(pool, share)| format!("{pool} {}", percent(Some(*share)))).collect();
    if parts.is_empty() { "nobody".to_string() } else { parts.join(", ") }
}

/// `about 120 of 402 answers/s move`
fn rate(change: &Move) -> String {
    match (change.moves_per_second, change.answers_per_second) {
        (Some(moves), Some(all)) if 0.0 < moves => format!("about {} of {} answers/s move", number(moves), number(all)),
        _ => String::new(),
    }
}

fn number(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { thousands(rate.round() as u64) }
}

/// Who takes the load.
fn takers(reply: &ChangeReply) -> String {
    let mut out = String::new();
    for taker in reply.takers.iter().take(SHOWN_MAX) {
        let up = taker.up_for.map_or_else(|| "not up".to_string(), |up| format!("up for {up}"));
        let gains = taker.gains_per_second.filter(|gains| 0.0 < *gains).map(|gains| format!(", gains about {} answers/s", number(gains))).unwrap_or_default();
        let carries = taker.capacity.map(|capacity| format!(", {} of the {capacity}% that it can carry", percent(Some(taker.share)))).unwrap_or_default();
        let _ = writeln!(out, "takes over: {} ({up}{gains}{carries})", taker.pool);
    }
    out
}

/// What guards say: those that hold in one line, the others one by one.
fn guards(reply: &ChangeReply, paint: Paint) -> String {
    let mut out = String::new();
    let mut holds: Vec<String> = Vec::new();
    for guard in &reply.guards {
        let limit = guard.limit.map(|limit| format!(" {limit}")).unwrap_or_default();
        if guard.ok {
            holds.push(format!("{} {}{limit}", paint.tone(Tone::Good, "✔"), guard.name));
        }
    }
    if !holds.is_empty() {
        let _ = writeln!(out, "guards: {}", holds.join("   "));
    }
    for guard in reply.guards.iter().filter(|guard| !guard.ok) {
        let _ = writeln!(out, "  {} {} overridden: {}", paint.tone(Tone::Warn, "⚠"), guard.name, guard.message);
    }
    out
}

fn pools<'a>(before: &'a Shares, after: &'a Shares) -> Vec<&'a str> {
    let mut names: Vec<&str> = before.0.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(after.0.iter().map(|(name, _)| name.as_str()).filter(|name| before.get(name).is_none()));
    names
}

fn arrow(before: f64, after: f64) -> Cell {
    let points = after - before;
    match points {
        _ if points.abs() < 0.05 => "".into(),
        _ if points < 0.0 => Cell::toned(Tone::Warn, format!("▼ {:.1}", -points)),
        _ => Cell::toned(Tone::Good, format!("▲ {points:.1}")),
    }
}

/// A policy in one line: `weighted prod 80%, dr 20%`, `failover prod → dr`.
pub fn policy_text(form: &PolicyForm) -> String {
    let word = form.choice.word();
    let body = match &form.choice {
        Choice::Failover(children) => children.join(" → "),
        Choice::Multivalue(children) => children.join(" + "),
        Choice::Nearest(nearest) => nearest.among.join(" | "),
        Choice::Geo(rules) => rules.iter().map(|rule| rule.then.as_str()).collect::<Vec<_>>().join(" | "),
        Choice::Weighted(children) => children.iter().map(|(name, share)| format!("{name} {}", percent(Some(share.percent())))).collect::<Vec<_>>().join(", "),
    };
    let min_up = if form.min_up == 1 { String::new() } else { format!(" (min_up {})", form.min_up) };
    format!("{word} {body}{min_up}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::reply;

    #[test]
    fn clients_who_fare_otherwise_are_told_below_the_table() {
        let change: Move = serde_json::from_str(
            r#"{"service": "orders", "before": {"eu": 100}, "after": {"eu": 100}, "by_client": [
                {"clients": "clients of whom country:US holds", "classes": 2, "percent": 30, "before": {"eu": 80, "us": 20}, "after": {"us": 100, "eu": 0}},
                {"clients": "clients such as 192.0.2.0/24", "classes": 1, "before": {"us": 100}, "after": {}}]}"#,
        )
        .unwrap();
        let text = shares(&[change], Paint::PLAIN);
        let told: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            told,
            ["  orders, clients of whom country:US holds (about 30%): eu 80%, us 20% → us 100%", "  orders, clients such as 192.0.2.0/24: us 100% → nobody"]
        );
    }

    #[test]
    fn a_change_tells_what_moves_and_how_to_take_it_back() {
        let text = text("search: weighted prod 50%, dr 50% (revision 43)", &reply(false), Paint::PLAIN);
        assert_eq!(
            text,
            "search: weighted prod 50%, dr 50% (revision 43)\n\
             SERVICE  POOL  BEFORE  AFTER\n\
             search   prod     80%    50%  ▼ 30.0\n         dr       20%    50%  ▲ 30.0\n\
             answers changed at 12:00:03 UTC; clients that obey the TTL follow by 12:00:23 UTC\n\
             undo: windrose undo search\n"
        );
    }

    #[test]
    fn a_dry_run_says_that_nothing_changed() {
        let text = text("search", &reply(true), Paint::PLAIN);
        assert!(text.contains("▼ 30.0") && text.contains("dry run: nothing changed.") && !text.contains("undo:"), "{text}");
    }

    #[test]
    fn the_servers_own_sentences_are_passed_on() {
        let reply = ChangeReply { moves: Vec::new(), messages: vec!["nothing was held".into()], ..reply(false) };
        assert!(text("search", &reply, Paint::PLAIN).starts_with("search\n  nothing was held\nin force since 12:00:03 UTC; no answer changes now\n"));
    }

    #[test]
    fn policies_fit_on_a_line() {
        let text = |json: &str| policy_text(&serde_json::from_str(json).unwrap());
        assert_eq!(text(r#"{"failover": ["prod", "dr"]}"#), "failover prod → dr");
        assert_eq!(text(r#"{"weighted": {"prod": 80, "dr": 20}, "min_up": 2}"#), "weighted prod 80%, dr 20% (min_up 2)");
        assert_eq!(text(r#"{"multivalue": ["a", "b"]}"#), "multivalue a + b");
    }
}
