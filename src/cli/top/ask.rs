//! Answers for the screen: each is what the command of the same name says.
//!
//! Never decides anything: a change that is previewed and one that is made are the same arguments, but for the dry run.

use std::fmt::Write as _;

use crate::admin::api::{Endpoint, Kind};
use crate::cli::args::OverrideArgs;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::overrides::{self, Ended};
use crate::cli::report::Report;
use crate::cli::table::Paint;
use crate::cli::{describe, explain, probe, traffic};

use super::form::Change;
use super::state::{Said, What};

/// Most endpoints that one key probes.
const PROBES_MAX: usize = 8;

/// Asks the server.
pub async fn answer(client: &Client, what: What) -> Said {
    match what {
        What::Describe(args) => said(describe::run(client, &args, Paint::PLAIN).await, false),
        What::Explain(args) => said(explain::run(client, &args, Paint::PLAIN).await, false),
        What::Probe(pool) => probed(client, &pool).await,
        What::Preview(change) => said(make(client, &change.dry()).await, true),
        What::Make(change) => said(make(client, &change).await, true),
    }
}

async fn make(client: &Client, change: &Change) -> Result<Report, Failure> {
    match change {
        Change::Drain(args @ OverrideArgs { .. }) => overrides::begin(client, Kind::Drain, args, Paint::PLAIN).await,
        Change::Undrain(args) => overrides::end(client, Ended::Drain, args, Paint::PLAIN).await,
        Change::Split(args) => traffic::split(client, args, Paint::PLAIN).await,
        Change::Failover(args) => traffic::failover(client, args, Paint::PLAIN).await,
    }
}

/// The endpoints of a pool, one after the other.
async fn probed(client: &Client, pool: &str) -> Said {
    let endpoints = match client.get::<crate::admin::api::List<Endpoint>>(&["endpoints"], &[("pool", pool)]).await {
        Ok(got) => got.value.items,
        Err(failure) => return said(Err(failure), false),
    };
    let (mut text, mut refused) = (String::new(), false);
    for endpoint in endpoints.iter().take(PROBES_MAX) {
        let one = said(probe::endpoint(client, &endpoint.id, Paint::PLAIN).await, false);
        refused |= one.refused;
        let _ = writeln!(text, "{}", one.text);
    }
    if let Some(more) = endpoints.len().checked_sub(PROBES_MAX).filter(|more| 0 < *more) {
        let _ = writeln!(text, "… and {more} more endpoints: windrose probe {pool}/NAME");
    }
    Said { text, refused }
}

/// Words of a command line that make no sense here are left out.
fn said(result: Result<Report, Failure>, writing: bool) -> Said {
    let (text, refused) = match result {
        Ok(report) => {
            let (out, err) = report.streams(false, false);
            (format!("{out}{err}"), false)
        }
        Err(failure) => (failure.text(writing, Paint::PLAIN), true),
    };
    let lines = text.lines().filter(|line| !line.starts_with("dry run:") && !line.starts_with("exit "));
    let text = lines.map(|line| line.split("  exit ").next().unwrap_or_default().trim_end()).collect::<Vec<_>>().join("\n");
    Said { text, refused }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn exit_codes_and_dry_runs_are_words_of_the_command_line() {
        let refused = said(Err(Failure::local(Exit::Refused, "no").hint("do this")), true);
        assert_eq!((refused.text.as_str(), refused.refused), ("refused: no\n  → do this\nnothing changed.", true));
        let report = Report::done("search: split (dry run)\ndry run: nothing changed.   To do it: run again without --dry-run\n", serde_json::Value::Null);
        assert_eq!(said(Ok(report), true).text, "search: split (dry run)");
    }
}
