//! What stands in docs/ works: each example is a configuration that `windrose check` takes, each command one that exists.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::node::{binary, run};

/// The fenced blocks of a language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}");
    let (mut all, mut open): (Vec<String>, bool) = (Vec::new(), false);
    for line in page.lines() {
        if line == fence {
            open = true;
            all.push(String::new());
        } else if line == "```" {
            open = false;
        } else if open && let Some(block) = all.last_mut() {
            block.push_str(line);
            block.push('\n');
        }
    }
    all
}

#[test]
fn every_example_of_the_page_on_monitors_is_a_configuration() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitors.md")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).expect("writable");
    std::fs::write(plugins.join("check_ssh"), "#!/bin/sh\n").expect("writable");
    std::fs::set_permissions(plugins.join("check_ssh"), std::fs::Permissions::from_mode(0o755)).expect("ours");
    std::fs::write(folder.path().join("token"), "secret").expect("writable");
    let examples = blocks(&page, "toml");
    assert!(10 <= examples.len(), "{} examples", examples.len());
    for example in &examples {
        let mut text = format!("schema = 1\n{}", example.replace("/usr/lib/nagios/plugins", &plugins.display().to_string()));
        if !example.contains("[pool.") {
            for name in example.lines().filter_map(|line| line.strip_prefix("[monitor.")?.strip_suffix(']')) {
                text.push_str(&format!("[pool.{name}]\nmonitor = \"{name}\"\nendpoints = [\"192.0.2.1\", \"2001:db8::1\"]\n"));
            }
        }
        let file = folder.path().join("windrose.toml");
        std::fs::write(&file, &text).expect("writable");
        let said = run(Command::new(binary()).arg("check").arg(&file));
        assert_eq!(said.code, 0, "{}{}\nin\n{text}", said.out, said.err);
    }
}

#[test]
fn the_page_on_monitors_names_every_kind_and_key() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/monitors.md")).expect("readable");
    let file = std::fs::read_to_string(root.join("src/config/file.rs")).expect("readable");
    let table = file.split("    Monitor {\n").nth(1).and_then(|rest| rest.split("    }").next()).expect("the table of monitors");
    let keys: Vec<&str> = table.lines().filter_map(|line| line.trim().split_once(':').map(|(key, _)| key)).collect();
    assert!(30 <= keys.len(), "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !page.contains(&format!("`{key}`")) && !page.contains(&format!("\n{key} = "))).collect();
    assert!(missing.is_empty(), "docs/monitors.md does not know {missing:?}");
}

/// Files of the repository that a page leads to, whatever stands behind `#`.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(page).expect("readable");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let ours = targets.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '));
    ours.filter_map(|target| target.split('#').next()).map(|target| page.parent().expect("a folder").join(target)).collect()
}

#[test]
fn every_page_is_reached_from_the_readme_and_every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut reached, mut broken, mut next) = (BTreeSet::new(), Vec::new(), vec![root.join("README.md")]);
    while let Some(page) = next.pop() {
        let Ok(page) = page.canonicalize() else {
            broken.push(page);
            continue;
        };
        if reached.insert(page.clone()) && page.extension().is_some_and(|extension| extension == "md") {
            next.extend(links(&page));
        }
    }
    assert!(broken.is_empty(), "linked and not there: {broken:#?}");
    let pages = ["docs", "docs/runbooks"].into_iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("readable"));
    let pages = pages.map(|page| page.expect("readable").path().canonicalize().expect("there")).filter(|page| page.is_file());
    let lost: Vec<PathBuf> = pages.filter(|page| !reached.contains(page)).collect();
    assert!(lost.is_empty(), "nothing leads to {lost:#?}");
}
