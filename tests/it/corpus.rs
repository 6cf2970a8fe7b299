//! The fuzz targets' corpus, through the same functions without the fuzzer: what was once found stays mended.
//!
//! `WINDROSE_SEEDS=1 cargo test --test it no_seed_hurts` writes the seeds into the corpus, for a fuzzer to begin with.

use std::path::{Path, PathBuf};

use super::fuzzed::{TARGETS, option_seeds, queries, world::RICH};

/// Where a target's corpus is.
fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = folder(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|why| panic!("{}: {why}", folder.display()))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

#[test]
fn nothing_in_the_corpus_hurts() {
    for (target, run) in TARGETS {
        let files = corpus(target);
        assert!(files.len() >= 10, "the corpus of {target} is there");
        for file in files {
            let data = std::fs::read(&file).expect("readable");
            if std::panic::catch_unwind(|| run(&data)).is_err() {
                panic!("{} hurts: the message is above", file.display());
            }
        }
    }
}

/// Queries that are well-formed, OPT options of every kind, the zones and configurations of the repository: target, name, octets.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut seed = |target, name: String, data: Vec<u8>| seeds.push((target, format!("seed-{name}"), data));
    queries().into_iter().enumerate().for_each(|(at, query)| seed("packet", at.to_string(), query));
    option_seeds().enumerate().for_each(|(at, data)| seed("edns_options", at.to_string(), data));
    RICH.split("'''").skip(1).step_by(2).enumerate().for_each(|(at, zone)| seed("zone_text", at.to_string(), zone.into()));
    seed("config", "rich".to_string(), RICH.into());
    for (target, path) in [
        ("zone_text", "zones/api.example.com.zone"),
        ("zone_text", "deploy/compose/windrose.test.zone"),
        ("config", "config/windrose.toml"),
        ("config", "deploy/compose/windrose.toml"),
    ] {
        let data = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("readable");
        seed(target, path.replace('/', "-"), data);
    }
    seeds
}

#[test]
fn no_seed_hurts() {
    let write = std::env::var_os("WINDROSE_SEEDS").is_some();
    for (target, name, data) in seeds() {
        let (_, run) = TARGETS.iter().find(|(known, _)| *known == target).expect("a target");
        run(&data);
        if write {
            std::fs::create_dir_all(folder(target)).expect("writable");
            std::fs::write(folder(target).join(name), data).expect("writable");
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let files: Vec<PathBuf> = TARGETS.iter().flat_map(|(target, _)| corpus(target)).collect();
    let octets: u64 = files.iter().map(|file| file.metadata().expect("readable").len()).sum();
    assert!(files.len() <= 1000 && octets <= 1 << 20, "{} files, {octets} octets: fuzz/run --merge makes it smaller", files.len());
}
