//! Tests made from the API's own description, so that a new route is in them before anybody thinks of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::http::{Response, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, wait_for};

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[monitor.told]
push = true
ttl = "1m"
[pool.prod]
monitor = "trusted"
endpoints = [{ name = "first", address = "192.0.2.1" }]
shed = { over = 80, share = 30 }
[pool.dr]
monitor = "told"
endpoints = [{ name = "second", address = "192.0.2.2" }]
[service.orders]
name = "orders.api.example.com"
policy = { weighted = { prod = 80, dr = 20 } }
[gate.release]
about = "changes during a release"
[webhook.receiver]
url = "http://127.0.0.1:9/"
[guards]
healthy_targets = false
"#;

/// Operations of the committed document, which another test compares with the program: method, path, id.
fn operations() -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("JSON");
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            all.push((method.to_uppercase(), path.clone(), operation["operationId"].as_str().expect("an id").to_string()));
        }
    }
    all
}

/// A body that is right as such.
fn body_of(operation: &str) -> Value {
    match operation {
        "setTraffic" => json!({"policy": {"weighted": {"prod": 60, "dr": 40}}, "reason": "CHG-1"}),
        "beginShift" => json!({"to": {"prod": 100, "dr": 0}, "reason": "CHG-2"}),
        "countSlo" => json!({"good": 1, "bad": 0}),
        "tellLatency" => json!({"measurements": [{"network": "203.0.113.0/24", "region": "prod", "ms": 42.5}]}),
        "push" => json!({"outcome": "pass"}),
        "tellLoad" => json!({"load": 40}),
        "switchGate" => json!({"on": true, "reason": "CHG-3"}),
        "extendOverride" => json!({"expires_in": "2h", "reason": "CHG-4"}),
        _ => json!({}),
    }
}

fn ask(node: &TestNode, method: &str, path: &str, operation: &str) -> Response {
    let body = if method == "GET" || method == "DELETE" { String::new() } else { body_of(operation).to_string() };
    over_socket(&node.socket(), method, path, &["If-Match: *"], &body).expect("an answer")
}

#[test]
fn every_route_with_a_name_in_its_path_says_what_was_meant() {
    let node = TestNode::start(SERVICES);
    node.ok(&["token", "create", "pipeline", "--scope", "read"]);
    // Where `{name}` and `{id}` stand for names, by the path before them; numbers are not guessed at.
    let right = |path: &str, name: &str| match (name, path) {
        ("service", _) => Some("orders"),
        ("region" | "pool", _) => Some("prod"),
        ("gate", _) => Some("release"),
        ("name", path) if path.contains("/webhooks/") => Some("receiver"),
        ("name", _) => Some("first"),
        ("id", path) if path.contains("/tokens/") => Some("pipeline"),
        ("id", path) if path.contains("/shifts/") => Some("orders"),
        ("order", _) => Some("abort"),
        ("id" | "revision", path) if ["/overrides/", "/confirmations/", "/revisions/", "/schedules/"].iter().any(|numbers| path.contains(numbers)) => None,
        _ => panic!("{path}: what is a {{{name}}}?"),
    };
    let mut asked = 0;
    for (method, path, operation) in operations() {
        let names: Vec<String> = path.split('/').filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_string())).collect();
        for wrong in names.iter().filter(|name| *name != "order") {
            let Some(near) = right(&path, wrong) else { continue };
            let typo = format!("{}z", &near[..near.len() - 1]);
            let mut filled = path.clone();
            for name in &names {
                let value = if name == wrong { typo.as_str() } else { right(&path, name).unwrap_or("1") };
                filled = filled.replace(&format!("{{{name}}}"), value);
            }
            let response = ask(&node, &method, &filled, &operation);
            assert_eq!(response.status, 404, "{method} {filled}: {}", response.body);
            let meant = response.json()["did_you_mean"].as_str().unwrap_or_default().to_string();
            assert!(meant == near || meant == format!("prod/{near}"), "{method} {filled} means {near}: {}", response.body);
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} questions");
}

fn entries(node: &TestNode) -> Vec<Value> {
    node.json(&["audit", "list", "-n", "1000"])["items"].as_array().expect("a list").clone()
}

/// Waits for entries beyond the first `before`, and gives them when as many are there as are due; more would be seen by the next who asks.
fn next_entries(node: &TestNode, before: usize, due: usize, told: &str) -> Vec<Value> {
    wait_for(told, PATIENCE, || {
        let found: Vec<Value> = entries(node).into_iter().skip(before).collect();
        assert!(found.len() <= due, "{told}: more than {due} entries: {found:?}");
        (found.len() == due).then_some(found)
    })
}

#[test]
fn every_route_that_changes_something_leaves_one_entry_when_done() {
    let node = TestNode::start(SERVICES);
    // In an order in which each can succeed: operation, path, body (its own or this), and the verb of its entry.
    let steps: [(&str, &str, &str, Value, Option<&str>); 21] = [
        ("switchGate", "PUT", "gates/release", Value::Null, Some("gate.switch")),
        ("setTraffic", "PUT", "services/orders/traffic", Value::Null, Some("traffic.set")),
        ("failOver", "POST", "services/orders/failover", json!({"to": "prod"}), Some("traffic.failover")),
        ("undo", "POST", "services/orders/undo", Value::Null, Some("traffic.undo")),
        ("beginOverride", "POST", "overrides", json!({"kind": "drain", "target": {"pool": "dr"}, "expires_in": "1h"}), Some("override.begin")),
        ("extendOverride", "PATCH", "overrides/{o}", Value::Null, Some("override.extend")),
        ("endOverride", "DELETE", "overrides/{o}", Value::Null, Some("override.end")),
        ("beginShift", "POST", "services/orders/shifts", Value::Null, Some("shift.begin")),
        ("orderShift", "POST", "shifts/orders/abort", Value::Null, Some("shift.abort")),
        // Its own route with another time: what waits is an entry, too.
        ("schedule", "POST", "services/orders/failover?at=%2B1h", json!({"to": "prod"}), Some("schedule.create")),
        ("cancelSchedule", "DELETE", "schedules/{t}", Value::Null, Some("schedule.cancel")),
        ("createToken", "POST", "tokens", json!({"name": "ci", "scope": "read"}), Some("token.create")),
        ("revokeToken", "DELETE", "tokens/ci", Value::Null, Some("token.revoke")),
        ("reload", "POST", "config/reload", Value::Null, Some("server.reload")),
        // What tells or asks and changes no traffic by itself leaves none.
        ("push", "POST", "endpoints/dr/second/push", Value::Null, None),
        ("tellFreshness", "PUT", "regions/prod/freshness", json!({}), None),
        ("tellLoad", "PUT", "pools/prod/load", Value::Null, None),
        ("tellLatency", "PUT", "latency", Value::Null, None),
        ("withdrawLatency", "DELETE", "latency?network=203.0.113.0/24", Value::Null, None),
        ("countSlo", "POST", "services/orders/slo", Value::Null, None),
        ("testWebhook", "POST", "webhooks/receiver/test", Value::Null, None),
    ];
    let elsewhere = [
        // Nothing is held here; tests/it/returning.rs.
        "failBack",
        // By two people, in tests/it/guards.rs: the entry is the change's.
        "confirm",
        // They only compute an answer.
        "probeEndpoint",
        "probeAddress",
        "simulate",
        "replay",
        "planConfig",
        // Processes; tests/it/upgrade.rs.
        "upgrade",
        "handOver",
    ];
    let here: BTreeSet<&str> = steps.iter().map(|(operation, ..)| *operation).chain(elsewhere).collect();
    let all: Vec<_> = operations().into_iter().filter(|(method, ..)| method != "GET").collect();
    for (method, path, operation) in &all {
        assert!(here.contains(operation.as_str()), "{method} {path} ({operation}) changes something: which entry does it leave?");
    }
    let (mut written, mut begun, mut scheduled) = (0, String::new(), String::new());
    for (operation, method, path, body, verb) in &steps {
        let body = if body.is_null() { body_of(operation) } else { body.clone() };
        let path = format!("/api/v1/{}", path.replace("{o}", &begun).replace("{t}", &scheduled));
        let text = if *method == "DELETE" { String::new() } else { body.to_string() };
        let response = over_socket(&node.socket(), method, &path, &["If-Match: *"], &text).expect("an answer");
        assert!((200..300).contains(&response.status), "{operation}: {}", response.body);
        if *operation == "beginOverride" {
            begun = response.json()["override"]["id"].as_str().expect("an id").to_string();
        }
        if *operation == "schedule" {
            scheduled = response.json()["schedule"]["id"].as_str().expect("an id").to_string();
        }
        let Some(verb) = verb else { continue };
        let found = next_entries(&node, written, 1, operation);
        written += found.len();
        assert_eq!((found[0]["verb"].as_str(), found[0]["outcome"].as_str()), (Some(*verb), Some("done")), "{operation}: {}", found[0]);
        assert_eq!(found[0]["request"].as_str(), response.header("x-request-id"), "{operation}");
    }
    node.ok(&["gate", "off", "release"]);
    let last = next_entries(&node, written, 1, "nothing but the gate");
    assert_eq!(last[0]["verb"], "gate.switch", "those without an entry left none");
}

#[test]
fn every_refused_call_that_would_change_something_leaves_one_entry() {
    let node = TestNode::start(SERVICES);
    let token = node.ok(&["token", "create", "reader", "--scope", "read"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    let mut written = 1;
    for (method, path, operation) in operations().into_iter().filter(|(method, ..)| method != "GET") {
        let filled = path.split('/').map(|part| if part.starts_with('{') { "orders" } else { part }).collect::<Vec<_>>().join("/");
        let response = over_tcp(node.admin, &method, &filled, &[&header, "If-Match: *"], &body_of(&operation).to_string()).expect("an answer");
        // Whoever may read may ask what would be.
        if response.status != 403 {
            assert!(["simulate", "replay"].contains(&operation.as_str()), "{method} {path}: {}", response.body);
            continue;
        }
        let found = next_entries(&node, written, 1, &operation);
        written += 1;
        let entry = &found[0];
        assert_eq!((entry["verb"].as_str(), entry["actor"].as_str(), entry["status"].as_u64()), (Some("denied"), Some("token:reader"), Some(403)), "{entry}");
        assert_eq!(entry["call"], format!("{method} {path}"), "{entry}");
    }
    // Elsewhere: of many refused calls the later ones are folded into one entry.
    let node = TestNode::start(SERVICES);
    let token = node.ok(&["token", "create", "reader", "--scope", "read"]);
    let (header, written) = (format!("Authorization: Bearer {}", token.trim()), 1);
    // Looking is denied without an entry where one is known, and with one where nobody is; guesses that are slowed down are in it, too.
    assert_eq!(over_tcp(node.admin, "GET", "/api/v1/audit", &[&header], "").expect("an answer").status, 403);
    let guess = |_| over_tcp(node.admin, "GET", "/api/v1/services", &["Authorization: Bearer wr_wrong"], "").expect("an answer").status;
    let statuses: Vec<u16> = (0..6).map(guess).collect();
    assert!(statuses[..5].iter().all(|status| *status == 401) && statuses[5] == 429, "{statuses:?}");
    let found = next_entries(&node, written, 6, "guesses");
    let codes: Vec<u64> = found.iter().filter_map(|entry| entry["status"].as_u64()).collect();
    assert_eq!(codes, [401, 401, 401, 401, 401, 429]);
}
