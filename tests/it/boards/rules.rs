//! From the list to Prometheus' rules, as YAML.

use std::fmt::Write as _;

use super::list::{Alert, List, Record};

const HEADER: &str = "\
# Made from deploy/boards.toml (the test boards:: compares): change that, not this.
#
# Nodes probe by themselves. State is folded with `max by (…)`: a region counts as down when no node sees it up, so that one
# node with a broken uplink does not raise the alarm for all. A node's own troubles stand in windrose.node, with its instance.
groups:
";

/// `windrose.rules.yml`, octet for octet.
pub fn file(list: &List) -> String {
    let mut out = HEADER.to_string();
    for (at, group) in list.group.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        let _ = writeln!(out, "{gap}  - name: {}\n    rules:", group.name);
        for Record { name, expr } in &group.record {
            let _ = writeln!(out, "      - record: {name}");
            expression(&mut out, expr);
        }
        for (at, alert) in group.alert.iter().enumerate() {
            let Alert { name, severity, lasts, expr, summary, description, since: _ } = alert;
            let gap = if at == 0 { "" } else { "\n" };
            let _ = writeln!(out, "{gap}      - alert: {name}");
            expression(&mut out, expr);
            if let Some(lasts) = lasts {
                let _ = writeln!(out, "        for: {lasts}");
            }
            let _ = writeln!(out, "        labels: {{severity: {severity}}}\n        annotations:");
            for (key, value) in [("summary", summary.as_str()), ("description", description), ("runbook_url", &runbook(list, name))] {
                let _ = writeln!(out, "          {key}: {}", quoted(value));
            }
        }
    }
    out
}

/// The page of an alert.
pub fn runbook(list: &List, alert: &str) -> String {
    list.runbooks.replace("{alert}", alert)
}

fn expression(out: &mut String, expr: &str) {
    let expr = expr.trim();
    if expr.contains('\n') {
        let _ = writeln!(out, "        expr: |");
        expr.lines().for_each(|line| {
            let _ = writeln!(out, "          {line}");
        });
    } else {
        // Single quotes: PromQL is full of double ones.
        let _ = writeln!(out, "        expr: '{}'", expr.replace('\'', "''"));
    }
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
