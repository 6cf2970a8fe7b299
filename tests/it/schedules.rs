//! Scheduled changes on the real binary: at their moments, through a kill, refused aloud, taken back.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::dns::Client;
use super::http::{Response, over_socket, over_tcp};
use super::node::{TestNode, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.search]
name = "search.api.example.com"
policy = { weighted = { prod = 80, dr = 20 } }
"#;

fn ask(node: &TestNode, method: &str, path: &str, body: &str) -> Response {
    over_socket(&node.socket(), method, &format!("/api/v1{path}"), &["If-Match: *"], body).expect("an answer")
}

fn weights(node: &TestNode) -> Value {
    ask(node, "GET", "/services/search/traffic", "").json()["policy"]["weighted"].clone()
}

fn state(node: &TestNode, id: &str) -> String {
    ask(node, "GET", &format!("/schedules/{id}"), "").json()["state"].as_str().unwrap_or_default().to_string()
}

fn types(node: &TestNode) -> Vec<String> {
    let events = node.json(&["events", "--since", "1h", "--type", "schedule.*"]);
    events["items"].as_array().expect("a list").iter().filter_map(|event| event["type"].as_str().map(str::to_string)).collect()
}

#[test]
fn a_scheduled_change_is_made_once_also_after_kills() {
    let mut node = TestNode::start(SERVICES);
    let said = node.ok(&["split", "search", "prod=50", "dr=50", "--at", "+3s", "--reason", "CHG-1"]);
    assert!(said.contains("is scheduled for") && said.contains("nothing has changed yet") && said.contains("undo: windrose schedule cancel t-"), "{said}");
    let list = node.json(&["schedule", "list"]);
    let id = list["items"][0]["id"].as_str().expect("an id").to_string();
    assert_eq!((list["items"][0]["services"][0].as_str(), list["items"][0]["asked"]["reason"].as_str()), (Some("search"), Some("CHG-1")), "{list:#}");
    node.kill();
    node.launch();
    wait_for("the change", PATIENCE, || (weights(&node) == serde_json::json!({"prod": 50, "dr": 50})).then_some(()));
    node.kill();
    node.launch();
    assert_eq!(state(&node, &id), "done");
    let history = node.ok(&["history", "search"]);
    assert!(history.matches(&format!("scheduled as {id}")).count() == 1 && history.contains("CHG-1"), "{history}");
    assert!(node.ok(&["schedule", "show", &id]).contains("✔ done"));
    wait_for("the events", PATIENCE, || (types(&node) == ["windrose.schedule.created", "windrose.schedule.done"]).then_some(()));
    node.ok(&["audit", "verify"]);
    let audit = node.ok(&["-o", "json", "audit", "list"]);
    assert!(audit.contains("schedule.create") && audit.contains("schedule.done"), "{audit}");
}

#[test]
fn a_refusal_at_the_moment_is_told_counted_and_dismissed() {
    let node = TestNode::start(&format!("{SERVICES}\n[guards]\nmin_serving_regions = 2\nrequire_reason = true\n"));
    let reasonless = node.cli(&["drain", "region", "dr", "--for", "1h", "--at", "+1s"]);
    assert!(reasonless.code == 5 && reasonless.err.contains("require_reason"), "{}", reasonless.err);
    let said = node.ok(&["drain", "region", "dr", "--for", "1h", "--at", "+1s", "--reason", "CHG-2"]);
    assert!(said.contains("as things stand it will be refused: min_serving_regions"), "{said}");
    let id = node.json(&["schedule", "list"])["items"][0]["id"].as_str().expect("an id").to_string();
    wait_for("the refusal", PATIENCE, || (state(&node, &id) == "refused").then_some(()));
    let shown = node.ok(&["schedule", "show", &id]);
    assert!(shown.contains("min_serving_regions") && shown.contains(&format!("windrose schedule cancel {id}")), "{shown}");
    assert_eq!(node.json(&["get", "overrides"])["items"], serde_json::json!([]), "nothing was drained");
    let metric = |sample: &str| over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("metrics").body.lines().any(|line| line == sample);
    assert!(metric("windrose_schedules{state=\"refused\"} 1") && metric("windrose_events_total{type=\"schedule.refused\"} 1"));
    node.wait_for_log("refused: min_serving_regions");
    node.ok(&["schedule", "cancel", &id, "--reason", "seen"]);
    assert!(metric("windrose_schedules{state=\"refused\"} 0"));
    assert_eq!(types(&node), ["windrose.schedule.created", "windrose.schedule.refused", "windrose.schedule.cancelled"]);
}

#[test]
fn what_is_cancelled_is_not_made_and_what_can_not_be_scheduled_says_so() {
    let node = TestNode::start(SERVICES);
    let made = ask(&node, "POST", "/services/search/failover?at=2s", r#"{"to": "dr"}"#);
    let (id, undo) = (made.json()["schedule"]["id"].as_str().expect("an id").to_string(), made.json()["undo"].clone());
    assert_eq!((undo["method"].as_str(), undo["path"].as_str()), (Some("DELETE"), Some(format!("/api/v1/schedules/{id}").as_str())));
    assert_eq!(ask(&node, "DELETE", &format!("/schedules/{id}?reason=no"), "").status, 200);
    assert_eq!(ask(&node, "GET", &format!("/schedules/{id}"), "").status, 404);
    // A later one is made: so the time of the first one has passed.
    ask(&node, "PUT", "/services/search/traffic?at=%2B3s", r#"{"policy": {"weighted": {"prod": 60, "dr": 40}}}"#);
    wait_for("the later one", PATIENCE, || (weights(&node) == serde_json::json!({"prod": 60, "dr": 40})).then_some(()));
    assert_eq!(ask(&node, "GET", "/services/search/revisions", "").json()["items"].as_array().map(Vec::len), Some(1));
    for (method, path, body) in [
        ("POST", "/services/search/failover?at=tonight", "{}"),
        ("POST", "/services/search/failover?at=2020-01-01T00:00:00Z", "{}"),
        ("POST", "/services/search/undo?at=1h", "{}"),
        ("POST", "/overrides?at=1h", r#"{"kind": "freeze", "target": {"service": "search"}}"#),
        ("POST", "/config/reload?at=1h", ""),
        ("DELETE", "/schedules/t-1?at=1h", ""),
    ] {
        let refused = ask(&node, method, path, body);
        assert!([400, 404].contains(&refused.status) && !refused.json()["detail"].is_null(), "{method} {path}: {} {}", refused.status, refused.body);
    }
    let dry = node.ok(&["shift", "search", "prod=20", "dr=80", "--steps", "50,100", "--at", "2h", "--dry-run"]);
    assert!(dry.contains("search: shift to prod 20 %, dr 80 % is scheduled") && dry.contains("dry run"), "{dry}");
    assert_eq!(node.json(&["schedule", "list"])["items"].as_array().map(Vec::len), Some(1), "the one that was made");
}

#[test]
fn the_ttl_falls_before_the_moment_and_explain_says_why() {
    let node = TestNode::start(&SERVICES.replace("policy =", "ttl = \"30s\"\nttl_min = \"1s\"\npolicy ="));
    let mut client = Client::new(node.dns);
    let mut ttl = || client.ask("search.api.example.com", RecordType::A)?.answers.first().map(|record| record.ttl);
    assert_eq!(ttl(), Some(30));
    node.ok(&["failover", "search", "--to", "dr", "--at", "+20s", "--reason", "CHG-3"]);
    wait_for("a lower TTL, and why", PATIENCE, || {
        let lower = ttl().is_some_and(|ttl| ttl < 20);
        (lower && node.ok(&["explain", "search.api.example.com"]).contains("because the scheduled change t-")).then_some(())
    });
    wait_for("the change and the old TTL", PATIENCE, || (weights(&node)["dr"] == 100 && ttl() == Some(30)).then_some(()));
}

#[test]
fn the_examples_of_the_page_are_right() {
    let page = include_str!("../../docs/schedules.md");
    let node = TestNode::start(SERVICES);
    let typed = page.lines().find_map(|line| line.strip_prefix("$ windrose ")).expect("a command");
    let said = node.ok(&typed.split_whitespace().collect::<Vec<_>>());
    let shown = page.lines().skip_while(|line| !line.starts_with("$ windrose ")).nth(1).expect("a line");
    let plain = |line: &str| line.split(": ").skip(1).collect::<Vec<_>>().join(": ").split(" is scheduled for ").next().map(str::to_string);
    assert_eq!(plain(shown), plain(said.lines().next().expect("a line")), "{said}");
    assert!(page.contains("nothing has changed yet; guards are asked again then") && said.contains("nothing has changed yet; guards are asked again then"));
    let id = node.json(&["schedule", "list"])["items"][0]["id"].as_str().expect("an id").to_string();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `windrose ")?.split('`').next()).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        node.ok(&command.replace("t-9", &id).split_whitespace().collect::<Vec<_>>());
    }
}
