//! `kill -9` at random moments under a stream of writes: nothing acknowledged is lost, nothing is torn, the revision never goes back.
//!
//! Five rounds; fifty with `WINDROSE_LONG=1` (`tests/run --long`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::dns::Client;
use super::http::over_socket;
use super::node::{PATIENCE, TestNode, wait_for};

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = { failover = ["prod", "dr"] }
"#
);

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

/// One acknowledged write.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: u64,
    revision: u64,
}

/// Shares that a write's number stands for: a torn write would not fit its own reason.
fn shares(number: u64) -> (u64, u64) {
    let prod = number % 101;
    (prod, 100 - prod)
}

/// Writes as fast as acknowledgements come, until the server is gone.
fn write_until_gone(socket: std::path::PathBuf, first: u64, begun: Arc<AtomicBool>, end: Arc<AtomicBool>) -> Vec<Written> {
    let mut written = Vec::new();
    let mut number = first;
    while !end.load(Ordering::Relaxed) {
        let (prod, dr) = shares(number);
        let body = format!(r#"{{"policy": {{"weighted": {{"prod": {prod}, "dr": {dr}}}}}, "reason": "{number}"}}"#);
        let Ok(response) = over_socket(&socket, "PUT", TRAFFIC, &["If-Match: *"], &body) else { break };
        assert_eq!(response.status, 200, "{}", response.body);
        let revision = response.json()["revision"].as_u64().expect("a revision");
        if let Some(Written { revision: before, .. }) = written.last() {
            assert!(revision > *before, "the revision went back: {before} then {revision}");
        }
        written.push(Written { number, revision });
        begun.store(true, Ordering::Relaxed);
        number += 1;
    }
    written
}

#[test]
fn kill_nine_loses_nothing_acknowledged_and_the_revision_never_goes_back() {
    let rounds = if std::env::var("WINDROSE_LONG").is_ok_and(|long| !long.is_empty()) { 50 } else { 5 };
    let mut node = TestNode::start(SERVICES);
    let (mut next, mut highest, mut total) = (1, 0, 0);
    let mut seed = u64::from(std::process::id()) | 1;
    println!("seed {seed}");
    for round in 0..rounds {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (begun, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let writers = {
            let (socket, begun, end) = (node.socket(), begun.clone(), end.clone());
            std::thread::spawn(move || write_until_gone(socket, next, begun, end))
        };
        // On a busy machine the first acknowledgement may take its time.
        wait_for("an acknowledged write", PATIENCE, || begun.load(Ordering::Relaxed).then_some(()));
        std::thread::park_timeout(Duration::from_millis(50 + (seed >> 33) % 400));
        node.kill();
        end.store(true, Ordering::Relaxed);
        let written = writers.join().expect("the writer's own checks hold");
        let last = *written.last().unwrap_or_else(|| panic!("round {round}: nothing was acknowledged"));
        total += written.len();
        node.launch();

        let traffic = over_socket(&node.socket(), "GET", TRAFFIC, &[], "").expect("an answer").json();
        let revision = traffic["revision"].as_u64().expect("a revision");
        assert!(revision >= last.revision && revision > highest, "round {round}: revision {revision} after {} was acknowledged", last.revision);
        // The last write may have been durable without its acknowledgement having come out.
        let number: u64 = traffic["changed"]["reason"].as_str().expect("a reason").parse().expect("a number");
        assert!(number == last.number || number == last.number + 1, "round {round}: write {number} stands, {} was acknowledged last", last.number);
        let (prod, dr) = shares(number);
        assert_eq!(traffic["policy"]["weighted"]["prod"].as_u64(), Some(prod), "round {round}: torn: {traffic}");
        assert_eq!(traffic["policy"]["weighted"]["dr"].as_u64(), Some(dr), "round {round}: torn: {traffic}");
        let past = over_socket(&node.socket(), "GET", "/api/v1/services/orders/revisions?limit=1000", &[], "").expect("an answer").json();
        let past: Vec<u64> = past["items"].as_array().expect("a list").iter().filter_map(|entry| entry["revision"].as_u64()).collect();
        for Written { revision, .. } in written.iter().rev().take(900) {
            assert!(past.contains(revision), "round {round}: acknowledged revision {revision} is not in the history");
        }
        // DNS answers with it.
        let mut client = Client::new(node.dns);
        wait_for("DNS to answer", PATIENCE, || client.first("orders.api.example.com."));
        let share = client.share("orders.api.example.com.", 1000, "192.0.2.1");
        assert!((share - prod as f64).abs() <= 2.0, "round {round}: {share} % answered, {prod} % set");
        (next, highest) = (number + 1, revision);
    }
    println!("measured: {total} writes acknowledged over {rounds} kills, none lost");
}
