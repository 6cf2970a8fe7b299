//! A wall clock that jumps by ten days and back (SEMANTICS, 28), under libfaketime.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::super::node::{TestNode, free_port, wait_for};
use super::peer::Peers;
use super::{Flips, Steady, measured, pass, seconds};

const PATIENCE: Duration = Duration::from_secs(20);

/// libfaketime for programs with threads, where Debian and others put it.
fn library() -> Option<PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    [&multiarch, "/usr/lib64/faketime", "/usr/lib/faketime"].iter().map(|folder| Path::new(folder).join("libfaketimeMT.so.1")).find(|path| path.exists())
}

/// Another wall clock, taken at once by everyone who reads it next.
fn set(file: &Path, offset: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{offset}\n")).expect("writable");
    std::fs::rename(next, file).expect("same folder");
}

pub fn a_wall_clock_that_jumps_by_ten_days_flips_nothing_ends_nothing_early_and_bursts_nothing() {
    let Some(library) = library() else {
        println!("skipped: libfaketime is not installed (tests/run installs it)");
        return;
    };
    let port = free_port();
    let addresses = ["127.10.63.1", "127.10.63.2", "127.10.63.11", "127.10.63.12"];
    let peers = Peers::start(&addresses, port, Duration::from_millis(5));
    let (short, long) = (seconds(9, 60), Duration::from_secs(3600));
    let mut node = TestNode::prepare(&format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/healthcheck"
interval = "500ms"
timeout = "400ms"
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.63.1", "127.10.63.2"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.63.11", "127.10.63.12"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
"#
    ));
    let file = node.path("faketime");
    set(&file, "+0");
    node.environment = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_string()),
        ("DONT_FAKE_MONOTONIC", "1".to_string()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_string()),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    node.launch();
    // The gateway that is drained for an hour and the one for some seconds are both out of the answers.
    let steady = Steady::start(node.dns, RecordType::A, &["127.10.63.2", "127.10.63.1"]);
    node.ok(&["drain", "endpoint", "prod/127.10.63.1", "--for", &format!("{}s", long.as_secs()), "--reason", "drill"]);
    node.ok(&["force-down", "region", "dr", "--for", &format!("{}s", short.as_secs()), "--reason", "drill"]);
    let forced = Instant::now();
    let before = Flips::of(&node);
    let overrides = |node: &TestNode| node.json(&["get", "overrides"])["items"].as_array().map_or(0, Vec::len);
    assert_eq!(overrides(&node), 2);
    steady.take();
    let real = wall(&node);
    let begin = Instant::now();
    for (jump, days) in [("+10d", 10), ("-10d", -10), ("+0", 0)] {
        set(&file, jump);
        let moved = wait_for("the clock to jump", PATIENCE, || {
            let moved = (wall(&node) - real) as f64 / 86_400.0;
            ((moved - f64::from(days)).abs() < 0.5).then_some(moved)
        });
        println!("measured: the node's clock is {moved:.2} days off");
        pass(Duration::from_secs(2));
        assert_eq!(overrides(&node), 2, "after {jump}: nothing ended early");
    }
    assert!(forced.elapsed() < short, "this machine is too slow for this drill");
    set(&file, "-10d");
    wait_for("the short override to end", short, || (overrides(&node) == 1).then_some(()));
    let lasted = forced.elapsed();
    let seen = steady.take();
    let flips = Flips::since(&node, before);
    let (asked, rounds) = (peers.asked(begin, Instant::now()), begin.elapsed().as_millis() as usize / 480 + 1);
    let more = format!(
        "; an override for {} s lasted {:.1} s; at most {} probes per target in {rounds} rounds",
        short.as_secs(),
        lasted.as_secs_f64(),
        asked.iter().max().copied().unwrap_or_default()
    );
    measured("a wall clock that jumps by +10, -20, +10 and -10 days", flips, &seen, &more);
    assert_eq!(flips, Flips { verdicts: 0, failovers: 0 });
    assert_eq!((seen.lost, seen.wrong, seen.changes), (0, 0, 0));
    assert!(short <= lasted + Duration::from_millis(100) && lasted < short + Duration::from_secs(3), "it lasted {lasted:?}");
    assert!(asked.iter().all(|count| rounds / 2 < *count && *count <= rounds), "no burst, no gap: {asked:?} in {rounds} rounds");
}

/// The node's wall clock, in Unix seconds: when its youngest probe ended.
fn wall(node: &TestNode) -> i64 {
    let text = super::http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    let last = text
        .lines()
        .filter(|line| line.starts_with("windrose_probe_last_run_timestamp_seconds{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    // All targets run in the same clock; the one that is furthest behind has seen the jump, too.
    last.map(|seconds| seconds as i64).min_by_key(|seconds| *seconds).expect("probes ran")
}
