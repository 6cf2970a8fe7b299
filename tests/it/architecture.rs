//! The layers: a module imports only modules to its left (DESIGN, section 2). An arrow the other way fails here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One total order, left to right; rooms of one entry don't know each other.
const ORDER: &[&[&str]] = &[
    &["wire"],
    &["model"],
    &["client"],
    &["zone"],
    &["health"],
    &["policy"],
    &["snapshot"],
    &["answer", "control"],
    &["metrics"],
    &["config", "store", "probe", "dns", "webhook", "admin"],
    &["cli"],
    &["app"],
];

/// Rooms that think: they never await, read a clock, draw randomness, open files or sockets.
const THINKING: &[&str] = &["wire", "model", "client", "zone", "health", "policy", "snapshot", "answer", "control"];

/// Words that only IO rooms may use. `Instant` as a type is fine nowhere below the IO line either.
const IO_WORDS: &[&str] =
    &["tokio::", "std::fs", "std::net::Tcp", "std::net::Udp", "std::thread", "Instant::now", "SystemTime::now", "getrandom", ".await", "std::env"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Code lines: comments and what stands behind `#[cfg(test)]` are left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("readable");
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        let line = line.split("//").next().unwrap_or_default();
        lines.push((at + 1, line.to_string()));
    }
    lines
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
        || path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains("test"))
}

fn room(path: &Path) -> String {
    let first = path.strip_prefix(source()).expect("inside src").components().next().expect("a file").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_string()
}

fn rank(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

/// Rooms named by `crate::ROOM` in a line, also in `use crate::{a::…, b::…}`.
fn imports(line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                found.insert(name);
            }
        }
    }
    found
}

#[test]
fn a_module_imports_only_modules_to_its_left() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let mut wrong = Vec::new();
    for path in all.iter().filter(|path| !is_test_file(path)) {
        let from = room(path);
        let Some(own) = rank(&from) else { continue };
        for (number, line) in code(path) {
            for to in imports(&line).into_iter().filter(|to| *to != from) {
                let Some(other) = rank(&to) else { continue };
                let side_by_side = other == own;
                if other > own || side_by_side {
                    wrong.push(format!("{}:{number}: {from} must not import {to}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_place_in_the_order() {
    let mut unknown = Vec::new();
    for entry in fs::read_dir(source()).expect("readable") {
        let path = entry.expect("readable").path();
        let name = room(&path);
        if !["lib", "main"].contains(&name.as_str()) && rank(&name).is_none() {
            unknown.push(name);
        }
    }
    assert!(unknown.is_empty(), "rooms without a place: {unknown:?}");
}

#[test]
fn thinking_rooms_do_no_io() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let mut wrong = Vec::new();
    for path in all.iter().filter(|path| !is_test_file(path) && THINKING.contains(&room(path).as_str())) {
        for (number, line) in code(path) {
            for word in IO_WORDS.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: `{word}` below the IO line", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_three_modules_only() {
    const ALLOWED: [&str; 6] = ["dns/mmsg.rs", "dns/mmsg/control.rs", "dns/mmsg/memory.rs", "dns/mmsg/options.rs", "probe/recverr.rs", "app/memory.rs"];
    let mut all = Vec::new();
    files(&source(), &mut all);
    let wrong: Vec<String> = all
        .iter()
        .filter(|path| !ALLOWED.iter().any(|allowed| path.ends_with(allowed)) && !is_test_file(path))
        .flat_map(|path| code(path).into_iter().map(move |(number, line)| (path, number, line)))
        .filter(|(_, _, line)| line.contains("unsafe ") || line.contains("allow(unsafe_code"))
        .map(|(path, number, _)| format!("{}:{number}", path.display()))
        .collect();
    assert!(wrong.is_empty(), "unsafe outside {ALLOWED:?}: {wrong:?}");
}

#[test]
fn one_tls_provider_in_the_whole_tree() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("readable");
    assert!(!lock.contains("name = \"aws-lc-rs\""), "aws-lc-rs came in; rustls must use ring alone");
    assert!(lock.contains("name = \"ring\""));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let silent: Vec<String> =
        all.iter().filter(|path| !fs::read_to_string(path).expect("readable").starts_with("//!")).map(|path| path.display().to_string()).collect();
    assert!(silent.is_empty(), "files without a header: {silent:?}");
}

#[test]
fn every_path_that_the_map_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).expect("readable");
    let quoted = map.lines().filter_map(|line| line.strip_prefix("//!")).flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths: Vec<&str> =
        quoted.filter(|word| word.contains('/') && word.chars().all(|letter| letter.is_ascii_lowercase() || "/._".contains(letter))).collect();
    assert!(20 < paths.len(), "{paths:?}");
    let missing: Vec<&&str> = paths.iter().filter(|path| !root.join(path).exists() && !root.join("src").join(path).exists()).collect();
    assert!(missing.is_empty(), "src/lib.rs names what is not there: {missing:?}");
}
