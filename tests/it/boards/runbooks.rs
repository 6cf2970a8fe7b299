//! One page for each alert in `docs/runbooks/`, and every command on it can be typed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use windrose::cli::args::Cli;

use super::list::{Alert, List};
use super::rules;

const SECTIONS: [&str; 3] = ["## What it means", "## How to see it", "## What to do"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")
}

fn page(alert: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{alert}.md"))).unwrap_or_else(|error| panic!("docs/runbooks/{alert}.md: {error}"))
}

/// Command lines of a page: those behind a prompt, and those in backticks.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.extend(line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")).map(str::to_string));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_string));
        }
    }
    let parts = found.iter().flat_map(|line| line.split("   #").next().unwrap_or_default().split(['|', '>', ';'])).flat_map(|part| part.split("&&"));
    parts.map(|part| part.trim().to_string()).filter(|part| part.starts_with("windrose ")).collect()
}

/// Words as a shell would part them; quotes hold words together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        if at % 2 == 1 { words.push(part.to_string()) } else { words.extend(part.split_whitespace().map(str::to_string)) }
    }
    words
}

/// Commands of what does not exist yet are let through by their first word.
fn parses(command: &str, awaited: bool) -> Result<(), String> {
    match Cli::try_parse_from(words(command)) {
        Ok(_) => Ok(()),
        // `windrose --version` is an "error" to clap.
        Err(error) if error.exit_code() == 0 => Ok(()),
        Err(error) if awaited && error.kind() == ErrorKind::InvalidSubcommand => Ok(()),
        Err(error) => Err(format!("{command}: {error}")),
    }
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let list = List::read();
    let alerts: BTreeSet<String> = list.alerts().map(|alert| format!("{}.md", alert.name)).chain(["README.md".to_string()]).collect();
    let names = std::fs::read_dir(folder()).expect("readable").map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), alerts);
    let index = page("README");
    for Alert { name, severity, .. } in list.alerts() {
        let row = index.lines().find(|line| line.contains(&format!("[{name}]({name}.md)"))).unwrap_or_else(|| panic!("{name} is not in README.md"));
        assert!(row.contains(severity.as_str()), "{row}");
    }
}

#[test]
fn pages_say_what_it_means_how_to_see_it_and_end_in_what_to_type() {
    for Alert { name, severity, lasts, .. } in List::read().alerts() {
        let text = page(name);
        let after = lasts.as_deref().map_or_else(|| "at once".to_string(), |lasts| format!("after {lasts}"));
        assert!(text.starts_with(&format!("# {name}\n\n`{severity}`, {after}.")), "{name} begins with its name, severity and patience ({after})");
        let places: Vec<Option<usize>> = SECTIONS.iter().map(|section| text.find(section)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {places:?}");
        let end = text.trim_end().strip_suffix("```").unwrap_or_else(|| panic!("{name} does not end in a command"));
        let last = end.trim_end().lines().last().unwrap_or_default();
        assert!(last.starts_with("$ ") || last.starts_with("# "), "{name} ends in `{last}`");
        assert!(text.len() > 500 && !text.contains("TODO"), "{name}");
    }
}

#[test]
fn every_command_on_a_page_and_in_a_description_parses() {
    let list = List::read();
    let mut wrong = Vec::new();
    let mut count = 0;
    for alert in list.alerts() {
        let described =
            alert.description.split("{{").map(|part| part.split_once("}}").map_or(part.to_string(), |(_, rest)| format!("x{rest}"))).collect::<String>();
        let described = described.split("windrose ").skip(1).map(|rest| rest.split("  ").next().unwrap_or_default().trim_end_matches([')', '.']));
        // Words that follow a command in a sentence: "systemctl status windrose  and  …".
        let described = described
            .filter(|rest| !rest.is_empty() && !rest.starts_with(['|', ' ']))
            .map(|rest| format!("windrose {}", rest.split('|').next().unwrap_or_default().trim()));
        let described = described.map(|command| command.replace(" x/x", " x/y"));
        for command in commands(&page(&alert.name)).into_iter().chain(described) {
            count += 1;
            wrong.extend(parses(&command, alert.since.is_some()).err().map(|error| format!("{}: {error}", alert.name)));
        }
    }
    for command in commands(&page("README")) {
        wrong.extend(parses(&command, false).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 100, "only {count} commands were found");
}

#[test]
fn every_command_that_a_panel_names_parses() {
    let list = List::read();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (board, panel) in list.panels() {
        for rest in panel.description.split("windrose ").skip(1).filter(|rest| !rest.starts_with('|')) {
            // Up to the end of the sentence; capitals stand for names.
            let typed = rest.split(['.', ';', ',']).next().unwrap_or_default().replace("POOL=PCT …", "a=100").replace("POOL/NAME", "pool/name");
            count += 1;
            wrong.extend(parses(&format!("windrose {typed}"), panel.since.is_some()).err().map(|error| format!("{board}: {}: {error}", panel.title)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} commands were found");
}

#[test]
fn links_between_pages_and_from_alerts_lead_somewhere() {
    let list = List::read();
    let base = list.runbooks.strip_suffix("docs/runbooks/{alert}.md").expect("it ends so");
    assert!(base.starts_with("https://"));
    for alert in list.alerts() {
        let path = rules::runbook(&list, &alert.name).strip_prefix(base).map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        assert!(path.is_some_and(|path| path.is_file()), "{}", alert.name);
    }
    for name in list.alerts().map(|alert| alert.name.as_str()).chain(["README"]) {
        for link in page(name).split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.starts_with("https://")) {
            let path = link.split('#').next().unwrap_or_default();
            assert!(folder().join(path).exists(), "{name}.md links to {link}");
        }
    }
}
