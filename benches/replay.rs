//! What a replay costs: a day of recorded outcomes through a configuration. Figures only.
//!
//! `cargo bench --bench replay`. Numbers in the output are targets, each probed every ten seconds for a day, with one outage of a minute.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]

use std::fmt::Write as _;

use divan::Bencher;
use divan::counter::ItemsCount;
use windrose::client::{Clients, Origins, Questions};
use windrose::config::load_text;
use windrose::control::{Configuration, Replaying, replay};
use windrose::health::{Reason, Recording, Run, Tried};
use windrose::model::Timestamp;

/// Endpoints of one pool.
const ENDPOINTS: usize = 10;
/// Probes of one target in a day.
const PROBES: u32 = 8_640;
/// Failed ones in a row.
const FAILED: u32 = 6;
const STEP_MS: u32 = 10_000;
const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 2_000], sample_count = 3, sample_size = 1)]
fn a_day(bencher: Bencher<'_, '_>, targets: usize) {
    let configuration = configuration(targets / ENDPOINTS);
    let recording = recording(&configuration);
    let (from, until) = (BEGIN, Timestamp(BEGIN.0 + i64::from(PROBES) * i64::from(STEP_MS)));
    bencher.counter(ItemsCount::new(recording.outcomes())).with_inputs(|| configuration.clone()).bench_local_values(|configuration| {
        let replayed = replay(Replaying { configuration, traffic: Vec::new(), recording: &recording, from, until }, &|| false);
        let replayed = replayed.unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!((replayed.outages_total, replayed.missed_total), (targets as u64, 0), "each outage is found");
        replayed
    });
}

/// So many pools, and a service for two of them each.
fn configuration(pools: usize) -> Configuration {
    let mut text = String::from(
        "schema = 1\n[zone.\"example.test\"]\nrecords = \"@ 60 SOA ns host 1 1h 15m 1w 60\\n@ 60 NS ns\\nns 60 A 192.0.2.53\\n\"\n[monitor.gateway]\ntcp = 443\n",
    );
    for pool in 0..pools {
        let addresses: Vec<String> = (0..ENDPOINTS).map(|at| format!("\"10.{}.{}.{}\"", pool / 250, pool % 250, at + 1)).collect();
        let _ = writeln!(text, "[pool.p{pool}]\nmonitor = \"gateway\"\nendpoints = [{}]", addresses.join(", "));
        if pool % 2 == 1 {
            let _ = writeln!(text, "[service.s{pool}]\nname = \"s{pool}.example.test\"\npolicy = {{ failover = [\"p{}\", \"p{pool}\"] }}", pool - 1);
        }
    }
    let loaded = load_text(&text, "bench.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    let clients = Clients::build(&loaded.estate, &Questions::of(&loaded.estate), &Origins::default()).into();
    Configuration {
        estate: loaded.estate.into(),
        zones: loaded.zones.into_iter().map(Into::into).collect(),
        answers: loaded.answers.into(),
        clients,
        databases: Default::default(),
        needs_restart: Vec::new(),
        hash: "0123456789abcdef".into(),
    }
}

/// Each target probed at a moment of its own within the interval; its outage begins at another one of the day than its neighbours'.
fn recording(configuration: &Configuration) -> Recording {
    let targets: Vec<_> = configuration.estate.targets.iter().map(|target| target.key.clone()).collect();
    let mut runs = Vec::new();
    for target in 0..targets.len() as u32 {
        let first = BEGIN.0 + i64::from(target.wrapping_mul(7_919) % STEP_MS);
        let before = 10 + target.wrapping_mul(2_654_435_761) % (PROBES - FAILED - 20);
        let mut done = 0;
        for (count, tried) in [(before, Tried::Pass), (FAILED, Tried::Fail(Reason::Refused)), (PROBES - FAILED - before, Tried::Pass)] {
            runs.push(Run { target, first: Timestamp(first + i64::from(done) * i64::from(STEP_MS)), step_ms: STEP_MS, count, tried });
            done += count;
        }
    }
    runs.sort_by_key(|run| run.first);
    Recording { targets, runs }
}
