//! Dashboards, rules, alerts and runbooks: made from one list, the same as what is committed, and well made.
//!
//! Nothing runs here; `prometheus.rs` asks a real Prometheus.

mod exported;
mod grafana;
mod lint;
pub mod list;
mod model;
mod rules;
mod runbooks;

use std::path::{Path, PathBuf};

use list::List;

pub fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

/// What the list makes: path below `deploy/`, text.
fn made(list: &List) -> Vec<(String, String)> {
    let boards = list.dashboard.iter().map(|board| (format!("grafana/dashboards/{}.json", board.uid), grafana::file(list, board)));
    boards.chain([("prometheus/windrose.rules.yml".to_string(), rules::file(list))]).collect()
}

#[test]
fn dashboards_and_rules_are_what_the_list_makes_of_them() {
    let made = made(&List::read());
    let write = std::env::var_os("WINDROSE_WRITE").is_some();
    let mut stale = Vec::new();
    for (path, text) in &made {
        if write {
            std::fs::write(deploy(path), text).expect("writable");
        } else if std::fs::read_to_string(deploy(path)).ok().as_ref() != Some(text) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "not what deploy/boards.toml makes: {stale:?}; WINDROSE_WRITE=1 cargo test --test it boards:: writes them");
    let known: Vec<PathBuf> = made.iter().map(|(path, _)| deploy(path)).collect();
    for entry in std::fs::read_dir(deploy("grafana/dashboards")).expect("the folder is there") {
        let path = entry.expect("readable").path();
        assert!(known.contains(&path), "{} is in no list", path.display());
    }
}

/// Metrics in an expression, each with the text before and after it: ours, the process's, and recorded ones.
fn metrics_in(expr: &str) -> Vec<(&str, &str, &str)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = expr[at..].find(word).map(|offset| at + offset) {
        let end = expr[begin..].find(|c| !word(c)).map_or(expr.len(), |offset| begin + offset);
        let name = &expr[begin..end];
        if name.starts_with("windrose_") || name.starts_with("process_") || name.contains(":windrose_") {
            found.push((&expr[..begin], name, &expr[end..]));
        }
        at = end;
    }
    found
}
