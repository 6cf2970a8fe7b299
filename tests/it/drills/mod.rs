//! Drills: the real binary, hurt on purpose, while a steady client asks it. Each counts flips, wrong and lost answers, asserts bounds and prints `measured:` lines.
//!
//! A drill that this machine can't do (no root, a tool missing) prints "skipped: why". `WINDROSE_LONG=1` (`tests/run --long`) takes the times of the issue:
//! a minute without an uplink, a minute stopped.

mod certificates;
mod clock;
mod early;
mod netns;
mod peer;
mod real;
mod stopped;
mod uplink;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::dns::{Client, addresses};
use super::http;
use super::node::TestNode;

/// The service of every drill.
const ORDERS: &str = "orders.api.example.com.";

#[test]
fn absence_and_a_wrong_clock_are_not_taken_for_the_silence_of_others() {
    together(&[
        ("stopped", stopped::a_process_that_was_stopped_flips_nothing_and_probes_each_target_at_most_once_within_the_next_interval),
        ("starved", stopped::a_process_with_a_tenth_of_a_cpu_flips_nothing_and_tells_its_lag),
        ("clock", clock::a_wall_clock_that_jumps_by_ten_days_flips_nothing_ends_nothing_early_and_bursts_nothing),
    ]);
}

#[test]
fn ten_thousand_early_closes_leave_memory_flat() {
    early::ten_thousand_early_closes_leave_memory_flat();
}

#[test]
fn certificates_and_authorities_that_fail_for_all_are_guarded_and_said_to_be_why() {
    together(&[
        ("expired", certificates::certificates_that_all_expire_at_once_are_a_mass_and_said_to_be_expired),
        ("rubbish", certificates::rubbish_in_a_ca_file_is_refused_and_a_wrong_authority_leaves_answers_and_says_why),
    ]);
}

/// Runs drills side by side: they mostly wait. Says which ones failed.
fn together(drills: &[(&str, fn())]) {
    let running: Vec<_> = drills.iter().map(|(name, drill)| (*name, std::thread::spawn(*drill))).collect();
    let failed: Vec<&str> = running.into_iter().filter_map(|(name, drill)| drill.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// Long runs take the times of the issue.
fn long() -> bool {
    std::env::var("WINDROSE_LONG").is_ok_and(|value| !value.is_empty())
}

/// `short`, or in a long run `long`.
fn seconds(short: u64, at_length: u64) -> Duration {
    Duration::from_secs(if long() { at_length } else { short })
}

/// What a steady client has seen since it was last asked.
#[derive(Clone, Debug, Default)]
struct Seen {
    asked: usize,
    /// No answer within the client's patience.
    lost: usize,
    /// Neither lost, nor only addresses that are right.
    wrong: usize,
    /// The set of addresses was another than in the answer before.
    changes: usize,
    /// The sets of addresses, each once.
    sets: BTreeSet<BTreeSet<IpAddr>>,
}

/// Asks for the service again and again.
struct Steady {
    seen: Arc<Mutex<Seen>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Steady {
    /// `right`: what may be answered. A query each 20 ms, one at a time.
    fn start(server: SocketAddr, rtype: RecordType, right: &[&str]) -> Self {
        let right: BTreeSet<IpAddr> = right.iter().map(|address| address.parse().expect("an address")).collect();
        let (seen, end) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let thread = std::thread::spawn({
            let (seen, end) = (seen.clone(), end.clone());
            move || {
                let mut client = Client::with_timeout(server, Duration::from_secs(1));
                let mut before = None;
                while !end.load(Ordering::Relaxed) {
                    let answer = client.ask(ORDERS, rtype).map(|message| addresses(&message).into_iter().collect::<BTreeSet<_>>());
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.asked += 1;
                    match answer {
                        None => seen.lost += 1,
                        Some(set) => {
                            seen.wrong += usize::from(set.is_empty() || !set.is_subset(&right));
                            seen.changes += usize::from(before.as_ref().is_some_and(|before| *before != set));
                            seen.sets.insert(set.clone());
                            before = Some(set);
                        }
                    }
                    drop(seen);
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        Self { seen, end, thread: Some(thread) }
    }

    /// What was seen since the last call.
    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sum of all samples of a metric whose labels contain `labels`.
fn total(node: &TestNode, metric: &str, labels: &str) -> u64 {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    let samples = text.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| name.split('{').next() == Some(metric) && name.contains(labels));
    samples.map(|(_, value)| value.parse::<f64>().expect("a number")).sum::<f64>() as u64
}

/// Verdicts and answers that changed since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flips {
    /// Verdicts of endpoints.
    verdicts: u64,
    /// Moves of a service from one set of regions to another.
    failovers: u64,
}

impl Flips {
    /// Since the start.
    fn of(node: &TestNode) -> Self {
        Self { verdicts: total(node, "windrose_endpoint_state_changes_total", ""), failovers: total(node, "windrose_failovers_total", "") }
    }

    /// From `before` to now.
    fn since(node: &TestNode, before: Self) -> Self {
        let now = Self::of(node);
        Self { verdicts: now.verdicts - before.verdicts, failovers: now.failovers - before.failovers }
    }
}

/// The line that reports are made of.
fn measured(drill: &str, flips: Flips, seen: &Seen, more: &str) {
    let Flips { verdicts, failovers } = flips;
    let Seen { asked, lost, wrong, changes, .. } = seen;
    println!(
        "measured: {drill}: {verdicts} verdicts changed, {failovers} failovers; {asked} queries: {lost} lost, {wrong} wrong, {changes} changes of answer{more}"
    );
}

/// Waits without asking anybody anything.
fn pass(span: Duration) {
    let until = Instant::now() + span;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
