//! `windrose explain`: the steps of a decision.

use std::fmt::Write as _;

use crate::admin::api::Explain;

use super::args::ExplainArgs;
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Grid, Paint, percent};

/// Asks and tells.
pub async fn run(client: &Client, args: &ExplainArgs, paint: Paint) -> Result<Report, Failure> {
    let type_ = args.type_.to_ascii_uppercase();
    let asks_for = args.client.map(|address| address.to_string());
    let query = [("name", args.name.as_str()), ("type", &type_)].into_iter().chain(asks_for.as_deref().map(|address| ("client", address)));
    let got: Got<Explain> = client.get(&["explain"], &query.collect::<Vec<_>>()).await?;
    Ok(Report::new(text(&got.value, paint), got.raw))
}

fn text(explain: &Explain, paint: Paint) -> String {
    let Explain { name, type_, service: _, steps, distribution, ttl, verdict } = explain;
    let mut out = format!("{name} {type_}\n");
    let mut grid = Grid::new(&[">", "", ""]);
    for (at, step) in steps.iter().enumerate() {
        grid.row(vec![format!("  {}", at + 1).into(), step.topic.as_str().into(), step.text.as_str().into()]);
    }
    out.push_str(&grid.render(paint));
    let ttl = ttl.map(|ttl| format!(", ttl {ttl}")).unwrap_or_default();
    if distribution.is_empty() {
        let _ = writeln!(out, "answer: {verdict}{ttl}");
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
    out
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
                "ttl": 20, "verdict": "answer"}"#,
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
