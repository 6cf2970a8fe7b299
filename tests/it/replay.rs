//! A day of calls, played again from the exported audit alone, gives the same traffic on a node that knows nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dns::Client;
use super::http::{self, Response};
use super::node::{PATIENCE, TestNode, wait_for};

const SERVICES: &str = r#"[guards]
max_step = 60
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = [{ name = "a", address = "192.0.2.10", tags = ["rack-1"] }, { name = "b", address = "192.0.2.11" }]
[pool.dr]
monitor = "trusted"
endpoints = [{ name = "a", address = "198.51.100.10" }]
[pool.third]
monitor = "trusted"
endpoints = [{ name = "a", address = "203.0.113.10", tags = ["rack-1"] }]
[gate.release]
about = "a release is under way"
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = { failover = ["prod", "dr", "third"] }
[service.search]
name = "search.api.example.com"
ttl = "2s"
policy = { weighted = { prod = 80, dr = 20, third = 0 } }
[service.portal]
name = "portal.api.example.com"
ttl = "2s"
policy = { weighted = { prod = 50, dr = 50 } }
[service.portal.guards]
gate = "release"
"#;

const NAMES: [&str; 3] = ["orders", "search", "portal"];
const ADDRESSES: [&str; 4] = ["192.0.2.10", "192.0.2.11", "198.51.100.10", "203.0.113.10"];

fn call(node: &TestNode, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: &[&str] = if path.ends_with("/traffic") { &["If-Match: *"] } else { &[] };
    http::over_socket(&node.socket(), method, &format!("/api/v1{path}"), headers, &body).expect("a reply")
}

/// Overrides in force, oldest first.
fn overrides(node: &TestNode) -> Vec<Value> {
    let mut items = call(node, "GET", "/overrides?limit=1000", &Value::Null).json()["items"].as_array().expect("a list").clone();
    items.sort_by_key(number);
    items
}

fn number(override_: &Value) -> u64 {
    override_["id"].as_str().and_then(|id| id.strip_prefix("o-")).and_then(|id| id.parse().ok()).expect("an id")
}

fn seconds(later: &Value, earlier: &Value) -> Option<u64> {
    let time = |value: &Value| humantime::parse_rfc3339(value.as_str()?).ok();
    // What was given in whole seconds was a few milliseconds more or less by the time it was written.
    Some((time(later)?.duration_since(time(earlier)?).ok()?.as_secs_f64()).round() as u64)
}

/// The next of a row of numbers that look random and are the same in each run.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// One call of an operator, sensible or not.
fn something(node: &TestNode, state: &mut u64, turn: u64) -> u16 {
    let service = NAMES[draw(state, 3) as usize];
    let reason = format!("CHG-{turn}");
    let glass = if draw(state, 6) == 0 { json!(["max_step"]) } else { json!([]) };
    let response = match draw(state, 12) {
        0..=3 => {
            let (prod, dr) = (draw(state, 101), draw(state, 3) * 10);
            let (prod, dr) = (prod.min(100 - dr), dr);
            let mut shares = json!({ "prod": prod, "dr": 100 - prod });
            if service == "search" {
                shares = json!({ "prod": prod, "dr": dr, "third": 100 - prod - dr });
            }
            let mut form = json!({ "weighted": shares });
            if service == "orders" && draw(state, 2) == 0 {
                form = json!({ "failover": ["dr", "prod"] });
            }
            call(node, "PUT", &format!("/services/{service}/traffic"), &json!({ "policy": form, "reason": reason, "break_glass": glass }))
        }
        4 => call(node, "POST", &format!("/services/{service}/failover"), &json!({ "reason": reason, "break_glass": glass })),
        5 => call(node, "POST", &format!("/services/{service}/undo"), &json!({ "reason": reason, "break_glass": glass })),
        6 => call(node, "POST", &format!("/services/{service}/undo"), &json!({ "to": "file", "reason": reason, "break_glass": glass })),
        7 | 8 => {
            let target = match draw(state, 5) {
                0 => json!({ "pool": "third" }),
                1 => json!({ "endpoint": "prod/b" }),
                2 => json!({ "tag": "rack-1" }),
                3 => json!({ "pool": "d*" }),
                _ => json!({ "region": "prod" }),
            };
            let kind = ["drain", "drain", "force_down"][draw(state, 3) as usize];
            let services = if kind == "drain" && draw(state, 2) == 0 { json!([service]) } else { json!([]) };
            let expires = if draw(state, 4) == 0 { Value::Null } else { json!(format!("{}h", 1 + draw(state, 5))) };
            let body = json!({ "kind": kind, "target": target, "services": services, "expires_in": expires, "reason": reason });
            call(node, "POST", "/overrides", &body)
        }
        9 => match overrides(node).first() {
            Some(first) => call(node, "PATCH", &format!("/overrides/o-{}", number(first)), &json!({ "expires_in": "90m", "reason": reason })),
            None => call(node, "PATCH", "/overrides/o-9999", &json!({ "expires_in": "90m", "reason": reason })),
        },
        10 => match overrides(node).last() {
            Some(last) => call(node, "DELETE", &format!("/overrides/o-{}", number(last)), &Value::Null),
            None => call(node, "DELETE", "/overrides/o-9999", &Value::Null),
        },
        _ => call(node, "PUT", "/gates/release", &json!({ "on": draw(state, 2) == 0, "reason": reason })),
    };
    assert!(response.status < 500, "{}", response.body);
    response.status
}

/// The call that an entry tells of, against a node that has had all those before it. `ids`: overrides there, by their names here.
fn again(node: &TestNode, entry: &Value, ids: &mut BTreeMap<String, String>) {
    let subject = entry["subject"].as_str().expect("a subject");
    let (_, name) = subject.split_once('/').expect("kind and name");
    let (after, reason) = (&entry["after"], &entry["reason"]);
    let glass = entry.get("break_glass").cloned().unwrap_or(json!([]));
    let lasts = || seconds(&after["ends"], &entry["at"]).map(|seconds| format!("{seconds}s"));
    let verb = entry["verb"].as_str().expect("a verb");
    let response = match verb {
        "traffic.set" | "traffic.failover" | "traffic.undo" if *after == json!("file") => {
            call(node, "POST", &format!("/services/{name}/undo"), &json!({ "to": "file", "reason": reason, "break_glass": glass }))
        }
        "traffic.set" | "traffic.failover" | "traffic.undo" => {
            call(node, "PUT", &format!("/services/{name}/traffic"), &json!({ "policy": after, "reason": reason, "break_glass": glass }))
        }
        "override.begin" => {
            let (kind, target) = after["target"].as_str().and_then(|target| target.split_once('/')).expect("a target");
            let body = json!({
                "kind": after["kind"], "target": { kind: target }, "services": after["services"], "expires_in": lasts(), "reason": reason, "break_glass": glass,
            });
            call(node, "POST", "/overrides", &body)
        }
        "override.extend" => {
            call(node, "PATCH", &format!("/overrides/{}", ids[name]), &json!({ "expires_in": lasts(), "reason": reason, "break_glass": glass }))
        }
        "override.end" => call(node, "DELETE", &format!("/overrides/{}", ids[name]), &Value::Null),
        "gate.switch" => call(node, "PUT", &format!("/gates/{name}"), &json!({ "on": *after == json!("on"), "reason": reason })),
        other => panic!("nobody knows how to play {other} again: {entry}"),
    };
    assert_eq!(response.status / 100, 2, "{entry}\n{}", response.body);
    if verb == "override.begin" {
        let id = response.json()["override"]["id"].as_str().unwrap_or_else(|| panic!("no id in {}", response.body)).to_string();
        ids.insert(name.to_string(), id);
    }
}

/// Everything that operators have set, without times.
fn state(node: &TestNode) -> Value {
    let traffic: Vec<Value> = NAMES
        .iter()
        .map(|service| {
            let traffic = call(node, "GET", &format!("/services/{service}/traffic"), &Value::Null).json();
            let (desired, effective) = (&traffic["shares"]["desired"], &traffic["shares"]["effective"]);
            json!({
                "service": service, "revision": traffic["revision"], "source": traffic["source"], "policy": traffic["policy"], "desired": desired,
                "effective": effective, "rung": traffic["rung"], "by": traffic["changed"]["by"], "reason": traffic["changed"]["reason"],
            })
        })
        .collect();
    let overrides: Vec<Value> = overrides(node)
        .iter()
        .map(|known| {
            json!({ "kind": known["kind"], "target": known["target"], "services": known["services"], "reason": known["reason"], "endless": known["ends"].is_null() })
        })
        .collect();
    let gates = call(node, "GET", "/gates", &Value::Null).json()["items"].as_array().expect("a list").iter().map(|gate| gate["on"].clone()).collect::<Vec<_>>();
    json!({ "traffic": traffic, "overrides": overrides, "gates": gates })
}

#[test]
fn a_day_of_calls_replayed_from_the_exported_audit_gives_the_same_traffic() {
    let first = TestNode::start(SERVICES);
    let mut random = 20_261_121;
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for turn in 0..160 {
        *statuses.entry(something(&first, &mut random, turn)).or_default() += 1;
    }
    println!("measured: replies {statuses:?}");
    let done: u32 = statuses.range(200..300).map(|(_, count)| count).sum();
    assert!(done >= 40 && statuses.get(&409).is_some_and(|count| *count >= 10), "changes and refusals: {statuses:?}");

    first.ok(&["audit", "verify"]);
    let exported = first.ok(&["audit", "export"]);
    let entries: Vec<Value> = exported.lines().skip(1).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(entries.iter().any(|entry| entry["outcome"] == "denied"), "refusals are in it, too");

    let second = TestNode::start(SERVICES);
    let mut ids = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["outcome"] == "done") {
        again(&second, entry, &mut ids);
    }
    assert_eq!(state(&first), state(&second));
    assert!(!overrides(&first).is_empty() || ids.len() > 3, "overrides were part of it");

    // What was before the last change is known there, too.
    for service in NAMES {
        let undo = |node: &TestNode| call(node, "POST", &format!("/services/{service}/undo?dry_run=true"), &json!({ "reason": "back" }));
        let (here, there) = (undo(&first), undo(&second));
        assert_eq!((here.status, &here.json()["after"]), (there.status, &there.json()["after"]), "{service}");
    }
    for service in NAMES {
        let name = format!("{service}.api.example.com.");
        let (mut here, mut there) = (Client::new(first.dns), Client::new(second.dns));
        for address in ADDRESSES {
            let (here, there) = (here.share(&name, 300, address), there.share(&name, 300, address));
            assert!((here - there).abs() < 5.0, "{service}: {address} has {here} % of the answers here, {there} % there");
        }
    }
    wait_for("the audit of the second", PATIENCE, || (second.cli(&["audit", "verify"]).code == 0).then_some(()));
}
