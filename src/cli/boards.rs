//! `windrose dashboards` and `windrose rules`: what this program carries for Grafana and Prometheus, as files.
//!
//! Asks no server, and never replaces a file that says something else unless told to. All of it is made from `deploy/boards.toml` in the repository.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{DashboardsCommand, RulesCommand};
use super::exit::{Exit, Failure};
use super::report::Report;

/// By file name.
const DASHBOARDS: [(&str, &str); 4] = [
    ("windrose-overview.json", include_str!("../../deploy/grafana/dashboards/windrose-overview.json")),
    ("windrose-service.json", include_str!("../../deploy/grafana/dashboards/windrose-service.json")),
    ("windrose-probes.json", include_str!("../../deploy/grafana/dashboards/windrose-probes.json")),
    ("windrose-server.json", include_str!("../../deploy/grafana/dashboards/windrose-server.json")),
];

/// By file name: rules, then their unit tests.
const RULES: [(&str, &str); 2] = [
    ("windrose.rules.yml", include_str!("../../deploy/prometheus/windrose.rules.yml")),
    ("windrose.rules.test.yml", include_str!("../../deploy/prometheus/windrose.rules.test.yml")),
];

/// What runbook links begin with, and what they end with behind the alert's name.
const RUNBOOKS: (&str, &str) = ("https://github.com/windrose-dns/windrose/blob/main/docs/runbooks/", ".md");

/// `windrose dashboards`
pub fn dashboards(command: &DashboardsCommand) -> Result<Report, Failure> {
    let DashboardsCommand::Export { dir, datasource, force } = command;
    let mut files = Vec::new();
    for (name, text) in DASHBOARDS {
        files.push((name, datasource.as_deref().map_or_else(|| Ok(text.to_string()), |source| opened_with(text, source))?));
    }
    write(dir, &files, *force)
}

/// `windrose rules`
pub fn rules(command: &RulesCommand) -> Result<Report, Failure> {
    let RulesCommand::Export { dir, runbooks, force } = command;
    let text = |text: &str| runbooks.as_deref().map_or_else(|| text.to_string(), |url| linked(text, url));
    let files = RULES.map(|(name, rules)| (name, text(rules)));
    match dir {
        Some(dir) => write(dir, &files, *force),
        None => {
            let [(name, rules), _] = files;
            Ok(Report::new(rules.clone(), json!({ "files": [{ "name": name, "text": rules }] })))
        }
    }
}

/// With this data source chosen at first.
fn opened_with(dashboard: &str, source: &str) -> Result<String, Failure> {
    let broken = |error: serde_json::Error| Failure::local(Exit::Failed, format!("a dashboard of this program is not JSON: {error}"));
    let mut json: Value = serde_json::from_str(dashboard).map_err(broken)?;
    if let Some(variable) = json.pointer_mut("/templating/list/0") {
        variable["current"] = json!({ "selected": true, "text": source, "value": source });
    }
    Ok(format!("{json:#}\n"))
}

/// With every link to a runbook of ours leading to `url`.
fn linked(text: &str, url: &str) -> String {
    let (begin, end) = RUNBOOKS;
    let mut parts = text.split(begin);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (alert, rest) = part.split_once(end).unwrap_or((part, ""));
        if url.contains("{alert}") {
            out.push_str(&url.replace("{alert}", alert));
        } else {
            out.extend([url.trim_end_matches('/'), "/", alert, end]);
        }
        out.push_str(rest);
    }
    out
}

/// All or nothing, as far as one can tell before: a file that differs stops it unless forced.
fn write(dir: &Path, files: &[(&str, String)], force: bool) -> Result<Report, Failure> {
    let mut written = Vec::new();
    let mut differing = Vec::new();
    for (name, text) in files {
        let path = dir.join(name);
        match std::fs::read(&path) {
            Ok(found) if found == text.as_bytes() => continue,
            Ok(_) => differing.push(path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
        written.push((path, text));
    }
    if !differing.is_empty() && !force {
        let detail = format!("{} is there already and differs; nothing was written", differing.join(", "));
        return Err(Failure::local(Exit::Failed, detail).hint("choose another folder, or replace what is there with --force"));
    }
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    for (path, text) in &written {
        std::fs::write(path, text).map_err(|error| unusable(path, &error))?;
    }
    let names: Vec<String> = written.iter().map(|(path, _)| path.display().to_string()).collect();
    let done = match names.as_slice() {
        [] => format!("all {} files in {} are up to date\n", files.len(), dir.display()),
        names => names.iter().map(|name| format!("wrote {name}\n")).collect(),
    };
    Ok(Report::done(done, json!({ "written": names, "unchanged": files.len() - written.len() })))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::local(Exit::Failed, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(dir: &Path, datasource: Option<&str>, force: bool) -> Result<Report, Failure> {
        dashboards(&DashboardsCommand::Export { dir: dir.into(), datasource: datasource.map(str::to_string), force })
    }

    #[test]
    fn what_is_there_is_not_replaced_unless_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new/folder");
        assert_eq!(export(&dir, None, false).unwrap().raw["written"].as_array().unwrap().len(), 4);
        assert!(export(&dir, None, false).unwrap().done.contains("up to date"));
        std::fs::write(dir.join("windrose-probes.json"), "mine").unwrap();
        std::fs::remove_file(dir.join("windrose-server.json")).unwrap();
        let refused = export(&dir, None, false).unwrap_err();
        assert!(refused.text(false, super::super::table::Paint::PLAIN).contains("--force"));
        assert_eq!(std::fs::read(dir.join("windrose-probes.json")).unwrap(), b"mine");
        assert!(!dir.join("windrose-server.json").exists(), "nothing was written");
        assert_eq!(export(&dir, None, true).unwrap().raw["unchanged"], 2);
        assert_ne!(std::fs::read(dir.join("windrose-probes.json")).unwrap(), b"mine");
    }

    #[test]
    fn a_data_source_is_chosen_and_nothing_else_changes() {
        for (_, text) in DASHBOARDS {
            let mut chosen: Value = serde_json::from_str(&opened_with(text, "prometheus-eu").unwrap()).unwrap();
            assert_eq!(chosen["templating"]["list"][0]["name"], "datasource");
            assert_eq!(chosen["templating"]["list"][0]["current"]["value"], "prometheus-eu");
            chosen["templating"]["list"][0]["current"] = json!({});
            assert_eq!(format!("{chosen:#}\n"), text);
        }
    }

    #[test]
    fn every_link_leads_to_the_runbooks_that_were_named() {
        let [(_, rules), (_, tests)] = RULES;
        let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        assert!(alerts.len() > 20);
        for (url, link) in [("https://wiki.example/w/{alert}?x", "https://wiki.example/w/NAME?x"), ("http://wiki.example/w/", "http://wiki.example/w/NAME.md")]
        {
            let moved = linked(rules, url);
            for alert in &alerts {
                assert!(moved.contains(&format!("runbook_url: \"{}\"\n", link.replace("NAME", alert))), "{alert} in\n{moved}");
            }
            assert!(!format!("{moved}{}", linked(tests, url)).contains(RUNBOOKS.0));
        }
    }
}
