//! `windrose explain`: the steps of a decision.

use std::fmt::Write as _;

use crate::admin::api::{Explain, ExplainChange, ExplainPast};

use super::args::ExplainArgs;
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Grid, Paint, percent};

/// Asks and tells.
pub async fn run(client: &Client, args: &ExplainArgs, paint: Paint) -> Result<Report, Failure> {
    let type_ = args.type_.to_ascii_uppercase();
    let asks_for = args.client.map(|address| address.to_string());
    let subnet = args.ecs.map(|subnet| subnet.to_string());
    let more = [("client", asks_for.as_deref()), ("ecs", subnet.as_deref()), ("at", args.at.as_deref())];
    let more = more.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let query = [("name", args.name.as_str()), ("type", &type_)].into_iter().chain(more);
    let got: Got<Explain> = client.get(&["explain"], &query.collect::<Vec<_>>()).await?;
    Ok(Report::new(text(&got.value, paint), got.raw))
}

fn text(explain: &Explain, paint: Paint) -> String {
    let Explain { name, type_, service: _, steps, distribution, ttl, verdict, past } = explain;
    let as_of = past.as_ref().map(|past| format!("   as of {}", past.as_of)).unwrap_or_default();
    let mut out = format!("{name} {type_}{as_of}\n");
    let mut grid = Grid::new(&[">", "", ""]);
    for (at, step) in steps.iter().enumerate() {
        grid.row(vec![format!("  {}", at + 1).into(), step.topic.as_str().into(), step.text.as_str().into()]);
    }
    out.push_str(&grid.render(paint));
    let ttl = ttl.map(|ttl| format!(", ttl {ttl}")).unwrap_or_default();
    if distribution.is_empty() {
        let _ = writeln!(out, "answer: {verdict}{ttl}");
        past.iter().for_each(|past| changes(&mut out, past));
        return out;
    }
    let _ = writeln!(out, "answer{ttl}:");
    let mut grid = Grid::new(&[">", "", "", ""]);
    for leaf in distribution {
        let addresses: Vec<&str> = leaf.endpoints.iter().flat_map(|endpoint| endpoint.answered()).collect();
        let addresses = if addresses.is_empty() { "no address of this family: NODATA".to_string() } else { addresses.join(" ") };
        grid.row(vec![
            format!("  {}", percent(Some(leaf.share))).into(),
            leaf.pools.join(" + ").into(),
            addresses.into(),
            format!("reason={}", leaf.rung).into(),
        ]);
    }
    out.push_str(&grid.render(paint));
    past.iter().for_each(|past| changes(&mut out, past));
    out
}

/// Since when it was so, and until when.
fn changes(out: &mut String, past: &ExplainPast) {
    let ExplainPast { as_of: _, decided, generation: _, configuration: _, previous, next } = past;
    let mut told = |word: &str, change: &ExplainChange| {
        let _ = writeln!(out, "{word} {} ({}){}", change.at, change.cause, if change.changed.is_empty() { "" } else { ":" });
        for sentence in &change.changed {
            let _ = writeln!(out, "  {sentence}");
        }
    };
    told("since", decided);
    if let Some(next) = next {
        told("until", next);
    } else {
        out.push_str("until now\n");
    }
    if let Some(previous) = previous {
        let _ = writeln!(out, "before: --at {previous}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_and_the_answer_stands_last() {
        let explain: Explain = serde_json::from_str(
            r#"{"name": "search.api.example.com", "type": "A", "service": "search",
                "steps": [{"topic": "zone", "text": "api.example.com, authoritative"}, {"topic": "pool", "text": "prod is down: timeout"}],
                "distribution": [{"pools": ["dr"], "share": 100, "rung": "policy", "endpoints": [{"id": "dr/a", "address": "203.0.113.20"}]}],
                "ttl": 20, "verdict": "answer", "past": null}"#,
        )
        .unwrap();
        assert_eq!(
            text(&explain, Paint::PLAIN),
            "search.api.example.com A\n  1  zone  api.example.com, authoritative\n  2  pool  prod is down: timeout\nanswer, ttl 20:\n  100%  dr  203.0.113.20  reason=policy\n"
        );
        let nothing = Explain { distribution: Vec::new(), verdict: "nodata".into(), ttl: None, ..explain };
        assert!(text(&nothing, Paint::PLAIN).ends_with("answer: nodata\n"));
    }
}
