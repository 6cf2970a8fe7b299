//! What it costs to change answers: compile decisions, publish a snapshot, and the whole way from a probe's outcome. Figures only.
//!
//! `cargo bench --bench snapshot`. Numbers in the output are services touched, out of 100,000 where nothing else is said.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a bench fails by panicking, and reads the clock")]

mod estates;
#[path = "../tests/it/fuzzed/mod.rs"]
mod fuzzed;

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use windrose::answer::{Counters, Cx, Limiter};
use windrose::config::load_text;
use windrose::control::{Effect, Effects, Event};
use windrose::health::Outcome;
use windrose::model::{EndpointId, Family, PoolId, ServiceId, TargetId};
use windrose::policy::{Decision, FamilyDecision, Leaf, Rung, Verdict};
use windrose::snapshot::{CellMap, Snapshot, compile};

use fuzzed::world::{BEGIN, Started, failed};

/// Services that exist.
const SERVICES: usize = 100_000;

fn main() {
    divan::main();
}

/// One decision into wire form: so many pools of four addresses each.
#[divan::bench(args = [1, 2, 10])]
fn compile_decision(bencher: Bencher<'_, '_>, pools: u32) {
    let mut text = String::from(
        "schema = 1\n[zone.\"example.test\"]\nrecords = \"@ 60 SOA ns host 1 1h 15m 1w 60\\n@ 60 NS ns\\nns 60 A 192.0.2.53\\n\"\n[monitor.up]\nalways = \"up\"\n",
    );
    let mut names = Vec::new();
    for pool in 0..pools {
        text.push_str(&format!(
            "[pool.p{pool}]\nmonitor = \"up\"\nendpoints = [\"192.0.2.{0}\", \"192.0.2.{1}\", \"2001:db8::{0}\", \"2001:db8::{1}\"]\n",
            pool * 2 + 1,
            pool * 2 + 2
        ));
        names.push(format!("\"p{pool}\""));
    }
    text.push_str(&format!("[service.s]\nname = \"s.example.test\"\npolicy = {{ weighted = [{}] }}\n", names.join(", ")));
    let estate = load_text(&text, "bench.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}")).estate;
    let leaves = |family| {
        let of = |pool: u32| (0..4).map(move |at| EndpointId(pool * 4 + at));
        (0..pools)
            .map(|pool| {
                let endpoints = of(pool).filter(|id| estate.may_answer(*id, family)).collect();
                Leaf {
                    pools: vec![PoolId(pool)],
                    share: 1.0 / f64::from(pools),
                    rung: Rung::Policy,
                    taken: false,
                    endpoints,
                    weights: None,
                    addresses: None,
                    ways: Vec::new(),
                }
            })
            .collect()
    };
    let families = Family::ALL.map(|family| FamilyDecision { verdict: Verdict::Answer, leaves: leaves(family) });
    let decision = Decision { families, ttl: 30, ..Decision::default() };
    let mut cells = CellMap::default();
    bencher.bench_local(|| compile(&estate, ServiceId(0), &decision, &mut cells));
}

/// The whole of it, as at start and at a reload.
#[divan::bench(args = [1, 1_000, 100_000], sample_count = 10, sample_size = 1)]
fn build(bencher: Bencher<'_, '_>, services: usize) {
    let loaded = load_text(&estates::weighted(services), "bench.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    let zones: Vec<_> = loaded.zones.iter().cloned().map(Arc::new).collect();
    let estate = loaded.estate.clone();
    let started = Started::new(loaded);
    let compiled: Vec<_> = (0..services).map(|at| started.snapshot.compiled(ServiceId::at(at)).expect("decided").clone()).collect();
    bencher.with_inputs(|| compiled.clone()).bench_local_values(|compiled| Snapshot::build(1, &zones, &estate, compiled, &mut CellMap::default()));
}

/// [`Snapshot::with`], the swap of the pointer, and what the next batch of a worker does about it.
#[divan::bench(args = [1, 1_000, 100_000])]
fn publish(bencher: Bencher<'_, '_>, touched: usize) {
    let started = Started::of_text(&estates::weighted(SERVICES));
    let snapshot = started.snapshot;
    let one = snapshot.compiled(ServiceId(0)).expect("decided").clone();
    let published = arc_swap::ArcSwap::new(snapshot.clone());
    let mut cx = Cx::new(Counters::new(), Limiter::new(7), 7);
    let mut generation = snapshot.generation;
    // Spread over all, so that no two are in one chunk before they have to be.
    let changes: Vec<_> = (0..touched).map(|at| (ServiceId::at(at * (SERVICES / touched)), one.clone())).collect();
    bencher.with_inputs(|| changes.clone()).bench_local_values(|changes| {
        generation += 1;
        published.store(Arc::new(snapshot.with(generation, changes)));
        cx.begin(&published.load(), BEGIN);
    });
}

/// From the outcome of a probe to the snapshot that has the new answers: judge, decide, compile, publish.
#[divan::bench(args = [1, 1_000, 100_000], sample_count = 20, sample_size = 1)]
fn flip(bencher: Bencher<'_, '_>, touched: usize) {
    flips(bencher, Started::of_text(&estates::failing_over(touched, SERVICES - touched)));
}

/// The same, and what `explain` says is made for the record of decisions, as `[decisions]` has it by default.
#[divan::bench(args = [1, 1_000, 100_000], sample_count = 20, sample_size = 1)]
fn flip_recorded(bencher: Bencher<'_, '_>, touched: usize) {
    let mut started = Started::of_text(&estates::failing_over(touched, SERVICES - touched));
    started.core.keep_accounts();
    flips(bencher, started);
}

/// The same, and `_explain` can be asked over DNS (`dns.explain`).
#[divan::bench(args = [1, 1_000, 100_000], sample_count = 20, sample_size = 1)]
fn flip_explained(bencher: Bencher<'_, '_>, touched: usize) {
    let text = estates::failing_over(touched, SERVICES - touched);
    flips(bencher, Started::of_text(&format!("{text}[dns]\nexplain = [\"127.0.0.0/8\"]\n")));
}

fn flips(bencher: Bencher<'_, '_>, started: Started) {
    let Started { mut core, mut now, .. } = started;
    let plan = core.plan();
    let mut passes = true;
    bencher.bench_local(move || {
        now.mono += Duration::from_secs(1);
        let mut effects = Effects::new();
        for target in 0..core.estate().targets.len() {
            let mut report = failed(now);
            if passes {
                report.outcome = Outcome::Pass;
            }
            core.handle(now, Event::Probed { plan, target: TargetId::at(target), report }, &mut effects);
        }
        core.settle(now, &mut effects);
        passes = !passes;
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Publish(_))), "answers change");
        effects
    });
}
