//! `Idempotency-Key` across `kill -9`: what was made stays made once, and who had its reply gets the same octets again.

use std::time::Duration;

use super::http::{Response, over_socket};
use super::node::{PATIENCE, TestNode, wait_for};

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
"#
);

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

fn split(number: u64) -> String {
    format!(r#"{{"policy": {{"weighted": {{"prod": {number}, "dr": {}}}}}, "reason": "{number}"}}"#, 100 - number)
}

fn put(socket: &std::path::Path, number: u64) -> std::io::Result<Response> {
    let key = format!("Idempotency-Key: change-{number}");
    over_socket(socket, "PUT", TRAFFIC, &["If-Match: *", &key], &split(number))
}

fn reasons(node: &TestNode) -> Vec<String> {
    let past = over_socket(&node.socket(), "GET", "/api/v1/services/orders/revisions?limit=1000", &[], "").expect("an answer").json();
    past["items"].as_array().expect("a list").iter().filter_map(|entry| Some(entry["reason"].as_str()?.to_string())).collect()
}

#[test]
fn a_repeat_after_kill_nine_gets_the_first_reply_and_does_nothing_twice() {
    let mut node = TestNode::start(SERVICES);
    let first = put(&node.socket(), 50).expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    let drain = r#"{"kind": "drain", "target": {"pool": "prod"}, "reason": "once"}"#;
    let begin = |node: &TestNode| over_socket(&node.socket(), "POST", "/api/v1/overrides", &["Idempotency-Key: drain"], drain).expect("an answer");
    let begun = begin(&node);
    assert_eq!(begun.status, 201, "{}", begun.body);
    node.kill();
    node.launch();
    let again = put(&node.socket(), 50).expect("an answer");
    assert_eq!((again.status, &again.body, again.header("etag")), (200, &first.body, first.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let drained = begin(&node);
    assert_eq!((drained.status, &drained.body, drained.header("idempotency-replayed")), (201, &begun.body, Some("true")));
    assert_eq!(reasons(&node), ["50"]);
    assert_eq!(node.json(&["get", "overrides"])["items"].as_array().map(Vec::len), Some(1));
    let other = over_socket(&node.socket(), "PUT", TRAFFIC, &["If-Match: *", "Idempotency-Key: change-50"], &split(51)).expect("an answer");
    assert_eq!(other.status, 422, "the key belongs to another request: {}", other.body);
}

#[test]
fn killed_at_any_moment_a_change_with_a_key_is_made_once() {
    let mut node = TestNode::start(SERVICES);
    let mut seed = u64::from(std::process::id()) | 1;
    println!("seed {seed}");
    for number in 1..=8 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let socket = node.socket();
        let asked = std::thread::spawn(move || put(&socket, number));
        std::thread::park_timeout(Duration::from_micros((seed >> 33) % 12_000));
        node.kill();
        let seen = asked.join().expect("no panic").ok().filter(|response| response.status == 200);
        node.launch();
        let again = wait_for("a reply", PATIENCE, || put(&node.socket(), number).ok().filter(|response| response.status == 200));
        if let Some(seen) = seen {
            assert_eq!((&again.body, again.header("idempotency-replayed")), (&seen.body, Some("true")), "who had a reply gets the same");
        }
        assert_eq!(reasons(&node).iter().filter(|reason| **reason == number.to_string()).count(), 1, "change {number} was made once");
        let traffic = over_socket(&node.socket(), "GET", TRAFFIC, &[], "").expect("an answer").json();
        assert_eq!(again.json()["revision"], traffic["revision"], "{}", again.body);
    }
}
