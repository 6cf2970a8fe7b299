//! A person at a terminal is asked before much traffic moves: the preview comes first, then a name to type.
//!
//! Never here: what is refused (the server's guards). Scripts, dry runs, `--yes` and the ways back (`undo`, `undrain`, `shift abort`) are never asked.

use std::io::{IsTerminal, Write as _};

use reqwest::Method;
use serde::Serialize;

use crate::admin::api::{ChangeReply, Move, Shares};

use super::args::{Global, Output, Write};
use super::change;
use super::client::{Client, Env, Got};
use super::exit::{Exit, Failure};
use super::table::Paint;

/// A move of more points of a service's share than this is much.
const POINTS_MAX: f64 = 50.0;
/// Longest line that is read as an answer.
const ANSWER_MAX: usize = 256;

/// Is there somebody to be asked? Then this is how to paint for them.
pub fn person(global: &Global, env: Env<'_>) -> Option<Paint> {
    let there = global.output == Output::Table && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    there.then(|| Paint::wanted(global.no_color, true, env))
}

/// Makes a change. Where a person sits at the terminal and it moves much, they must type `name` first.
pub async fn change(
    client: &Client,
    (method, path): (Method, &[&str]),
    body: &impl Serialize,
    write: &Write,
    if_match: Option<String>,
    name: &str,
) -> Result<Got<ChangeReply>, Failure> {
    if let Some(paint) = client.person.filter(|_| !write.dry_run && !write.yes) {
        let tried = Write { dry_run: true, ..write.clone() };
        let seen: Got<ChangeReply> = client.write(method.clone(), path, Some(body), &tried, if_match.clone()).await?;
        let why = match write.break_glass.as_slice() {
            [] if seen.value.moves.iter().any(much) => Some(format!("more than {POINTS_MAX:.0} points of a service move")),
            [] => None,
            broken => Some(format!("glass is broken ({})", broken.join(", "))),
        };
        if let Some(why) = why {
            ask(format!("{}{why}. Type {name} to go on: ", change::preview(&seen.value, paint)), name).await?;
        }
    }
    client.write(method, path, Some(body), write, if_match).await
}

/// It moves much, for some clients at least.
fn much(one: &Move) -> bool {
    is_much(&one.before, &one.after) || one.by_client.iter().any(|kind| is_much(&kind.before, &kind.after))
}

/// A pool gains or loses more than half of the service.
fn is_much(before: &Shares, after: &Shares) -> bool {
    let mut names = before.0.iter().chain(&after.0).map(|(name, _)| name);
    names.any(|name| POINTS_MAX < (after.get(name).unwrap_or(0.0) - before.get(name).unwrap_or(0.0)).abs())
}

async fn ask(question: String, name: &str) -> Result<(), Failure> {
    let answer = tokio::task::spawn_blocking(move || {
        let mut err = std::io::stderr().lock();
        err.write_all(question.as_bytes())?;
        err.flush()?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::Read::take(std::io::stdin().lock(), ANSWER_MAX as u64), &mut line).map(|_| line)
    });
    match answer.await {
        Ok(Ok(line)) if line.trim() == name => Ok(()),
        _ => Err(Failure::local(Exit::Refused, format!("`{name}` was not typed")).hint("to look first: --dry-run; for scripts: --yes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_a_service_is_much_in_both_directions() {
        let shares = |prod: f64| Shares(vec![("prod".to_string(), prod), ("dr".to_string(), 100.0 - prod)]);
        assert!(is_much(&shares(100.0), &shares(0.0)) && is_much(&shares(20.0), &shares(80.0)));
        assert!(!is_much(&shares(80.0), &shares(30.0)) && !is_much(&shares(80.0), &shares(80.0)));
        assert!(is_much(&shares(100.0), &Shares::default()), "nothing is answered any more");
    }
}
