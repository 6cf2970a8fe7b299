//! Gateways that close every connection before they say anything, ten thousand times: memory stays flat, and the reason is the right one.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::mutated::resident_kib;
use crate::node::TestNode;

/// Endpoints on one listener, each probed once a second.
const ENDPOINTS: usize = 1_000;
/// Fails until memory is taken as settled, and fails after that.
const SETTLED: u64 = 3_000;
const MORE: u64 = 10_000;
/// What the second lot may cost, KiB: the histories of a thousand targets are not full yet, and nothing like a buffer of 8 KiB may be left of each.
const GROWTH_MAX: u64 = 8 * 1_024;
const PATIENCE: Duration = Duration::from_secs(60);

pub fn ten_thousand_early_closes_leave_memory_flat() {
    let gateway = TcpListener::bind("0.0.0.0:0").expect("loopback");
    let port = gateway.local_addr().expect("bound").port();
    std::thread::spawn(move || gateway.incoming().for_each(drop));
    let endpoints: Vec<String> = (0..ENDPOINTS).map(|at| format!("\"127.21.{}.{}\"", at / 250, 1 + at % 250)).collect();
    let node = TestNode::start(&format!(
        "[monitor.gateway]\nurl = \"http://{{address}}:{port}/health\"\ninterval = \"1s\"\ntimeout = \"900ms\"\n[pool.prod]\nmonitor = \"gateway\"\nendpoints = [{}]\n\
         [service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n",
        endpoints.join(", ")
    ));
    // Once a second: what is measured is the prober, not a page of a thousand endpoints' metrics.
    let failed = |reason: &str| super::total(&node, "windrose_probe_failures_total", reason);
    let until = |fails: u64| {
        let deadline = Instant::now() + PATIENCE;
        while failed("") < fails {
            assert!(Instant::now() < deadline, "{} of {fails} fails within {PATIENCE:?}", failed(""));
            std::thread::park_timeout(Duration::from_secs(1));
        }
        resident_kib(node.pid())
    };
    let (before, settled) = (until(SETTLED), failed(""));
    let after = until(settled + MORE);
    let (all, closed) = (failed(""), failed("reason=\"reset\""));
    println!("measured: early closes: {all} fails, {closed} of them resets; resident {before} KiB after {settled}, {after} KiB at the end");
    assert!(closed * 100 >= all * 99, "{closed} of {all} by the right reason");
    assert!(after <= before + GROWTH_MAX, "resident memory grew from {before} to {after} KiB");
}
