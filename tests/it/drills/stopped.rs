//! A process that is stopped, or has hardly any CPU: it must not take its own absence for the silence of others (SEMANTICS, 28).

use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;

use super::super::node::{TestNode, free_port, signal, wait_for};
use super::peer::Peers;
use super::{Flips, Steady, measured, pass, seconds, total};

const PATIENCE: Duration = Duration::from_secs(20);

/// Two regions of four gateways, judged by a single outcome, so that every wrong one is a flip.
fn configuration(port: u16, net: u8, interval_ms: u64, timeout_ms: u64) -> String {
    let list = |from: u8| (from..from + 4).map(|host| format!("\"127.10.{net}.{host}\"")).collect::<Vec<_>>().join(", ");
    format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/healthcheck"
body = "ok"
interval = "{interval_ms}ms"
timeout = "{timeout_ms}ms"
down_after = 1
ok_after = 1
up_after = 1
[pool.prod]
monitor = "gateway"
endpoints = [{}]
[pool.dr]
monitor = "gateway"
endpoints = [{}]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
max_answers = 8
"#,
        list(1),
        list(11)
    )
}

fn addresses(net: u8) -> Vec<String> {
    (1..5).chain(11..15).map(|host| format!("127.10.{net}.{host}")).collect()
}

/// SIGCONT also when a drill fails on the way: a stopped process can't end.
struct Stopped(u32);

impl Stopped {
    fn stop(pid: u32) -> Self {
        signal(pid, "STOP");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

pub fn a_process_that_was_stopped_flips_nothing_and_probes_each_target_at_most_once_within_the_next_interval() {
    let (port, interval) = (free_port(), Duration::from_secs(1));
    let addresses = addresses(61);
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let peers = Peers::start(&addresses, port, Duration::from_millis(100));
    let node = TestNode::start(&configuration(port, 61, 1000, 900));
    let steady = Steady::start(node.dns, RecordType::A, &addresses[..4]);
    wait_for("a round", PATIENCE, || (24 <= peers.total()).then_some(()));
    let before = Flips::of(&node);
    steady.take();
    // Right after an arrival: the peer will have answered, or given up, long before the process runs again.
    let asked = peers.total();
    wait_for("a probe", PATIENCE, || (asked < peers.total()).then_some(()));
    let stopped = Stopped::stop(node.pid());
    let span = seconds(12, 60);
    pass(span);
    let while_stopped = steady.take();
    let continued = Instant::now();
    drop(stopped);
    pass(interval * 3);
    let (first, then) = (peers.asked(continued, continued + interval * 96 / 100), peers.asked(continued, continued + interval * 5 / 2));
    let flips = Flips::since(&node, before);
    let seen = steady.take();
    let void = total(&node, "windrose_probe_void_total", "");
    let skipped = total(&node, "windrose_probe_skipped_total", "");
    let failed = total(&node, "windrose_probe_failures_total", "");
    let worst = first.iter().max().copied().unwrap_or_default();
    let more = format!("; {failed} failed probes, {void} void, {skipped} rounds skipped, at most {worst} probes per target in the interval after");
    measured(&format!("SIGSTOP for {} s and CONT, interval 1 s", span.as_secs()), flips, &seen, &more);
    assert_eq!(flips, Flips { verdicts: 0, failovers: 0 });
    assert!(first.iter().all(|count| *count <= 1), "a burst: {first:?}");
    assert!(then.iter().all(|count| (1..=3).contains(count)), "all are probed again: {then:?}");
    assert_eq!((seen.wrong, while_stopped.wrong), (0, 0));
    assert!(seen.lost <= 1 && 30 < seen.asked, "but for the one that waited: {seen:?}");
}

pub fn a_process_with_a_tenth_of_a_cpu_flips_nothing_and_tells_its_lag() {
    let port = free_port();
    let addresses = addresses(62);
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let peers = Peers::start(&addresses, port, Duration::from_millis(20));
    // A timeout far below the time for which it is stopped: each deadline that falls into one would be a failure.
    let node = TestNode::start(&configuration(port, 62, 500, 250));
    let steady = Steady::start(node.dns, RecordType::A, &addresses[..4]);
    wait_for("a round", PATIENCE, || (24 <= peers.total()).then_some(()));
    let before = Flips::of(&node);
    steady.take();
    let late = |node: &TestNode| {
        let started = total(node, "windrose_probe_schedule_lag_seconds_count", "");
        started - total(node, "windrose_probe_schedule_lag_seconds_bucket", "le=\"0.1\"")
    };
    let late_before = late(&node);
    let (span, began, asked) = (seconds(10, 60), Instant::now(), peers.total());
    while began.elapsed() < span {
        let stopped = Stopped::stop(node.pid());
        pass(Duration::from_millis(540));
        drop(stopped);
        pass(Duration::from_millis(60));
    }
    let probes = peers.total() - asked;
    let flips = Flips::since(&node, before);
    let seen = steady.take();
    let (void, late) = (total(&node, "windrose_probe_void_total", ""), late(&node) - late_before);
    let failed = total(&node, "windrose_probe_failures_total", "");
    let more = format!("; {probes} probes, {failed} failed, {void} void, {late} more than 100 ms late");
    measured(&format!("a tenth of a CPU for {} s, timeout 250 ms", span.as_secs()), flips, &seen, &more);
    assert_eq!(flips, Flips { verdicts: 0, failovers: 0 });
    assert!(0 < late, "the lag shows");
    assert!(0 < probes, "probing goes on");
    assert_eq!(seen.wrong, 0);
    // It still sees a death when it runs again.
    drop(peers);
    wait_for("the verdicts", PATIENCE, || (8 <= Flips::since(&node, before).verdicts).then_some(()));
}
