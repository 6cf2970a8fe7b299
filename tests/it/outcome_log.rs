//! What probes found is recorded, and replayed: the same as happened with the same thresholds, something else with others. On the real binary.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::gateway::{Script, Scripted};
use super::http;
use super::node::{TestNode, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

fn configuration(port: u16, down_after: u32) -> String {
    format!(
        r#"[outcomes]
keep = "2d"
mib_max = 1
[monitor.gateway]
url = "http://{{address}}:{port}/health"
interval = "500ms"
timeout = "450ms"
down_after = {down_after}
ok_after = 2
up_after = 2
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.48.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.48.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
"#
    )
}

/// What is broken here. Whatever a machine at its limits does to the other one may come in another order, since times are rounded.
const BROKEN: &str = "prod/127.10.48.1";

/// `prod/127.10.48.1 down`: verdicts of it that changed between up and down, as events tell them, oldest first.
fn happened(node: &TestNode) -> Vec<String> {
    let events = http::over_socket(&node.socket(), "GET", "/api/v1/events?since=1h&limit=1000", &[], "").expect("a reply").json();
    let items = events["items"].as_array().cloned().unwrap_or_default();
    let (mut known, mut flips) = (HashMap::new(), Vec::new());
    let mut ordered: Vec<&Value> = items.iter().collect();
    ordered.sort_by_key(|event| event["sequence"].as_u64());
    for event in ordered {
        let (Some(kind), Some(endpoint)) = (event["type"].as_str(), event["subject"].as_str().and_then(|subject| subject.strip_prefix("endpoint/"))) else {
            continue;
        };
        let Some(to) = ["up", "down"].into_iter().find(|to| kind.ends_with(&format!("endpoint.{to}"))) else { continue };
        if endpoint == BROKEN && known.insert(endpoint.to_string(), to).is_some_and(|before| before != to) {
            flips.push(format!("{endpoint} {to}"));
        }
    }
    flips
}

fn flips(side: &Value) -> Vec<String> {
    let flipped = side["flipped"].as_array().cloned().unwrap_or_default();
    let broken = flipped.iter().filter(|flip| flip["endpoint"] == BROKEN);
    broken.map(|flip| format!("{} {}", flip["endpoint"].as_str().unwrap_or_default(), flip["to"].as_str().unwrap_or_default())).collect()
}

#[test]
fn a_recorded_outage_is_replayed_as_it_happened_and_after_a_crash_too() {
    let port = free_port();
    let (prod, _dr) = (Scripted::start("127.10.48.1", port), Scripted::start("127.10.48.2", port));
    let mut node = TestNode::start(&configuration(port, 2));
    let state = |node: &TestNode, to: &str| {
        wait_for(&format!("prod to be {to}"), PATIENCE, || {
            let item = node.json(&["describe", "endpoint", "prod/127.10.48.1"]);
            (item["state"]["effective"].as_str() == Some(to)).then_some(())
        });
    };
    state(&node, "up");
    prod.says(Script { status: "503 Service Unavailable".to_string(), ..Script::default() });
    state(&node, "down");
    prod.says(Script::default());
    state(&node, "up");
    let calm = node.path("calm.toml");
    let text = std::fs::read_to_string(node.config()).expect("readable").replace("down_after = 2", "down_after = 500");
    std::fs::write(&calm, text).expect("writable");
    let calm = calm.to_str().expect("UTF-8").to_string();

    // A machine at its limits may turn a verdict between two looks.
    let (found, events) = wait_for("a calm moment", PATIENCE, || {
        let before = happened(&node);
        let found = node.json(&["replay", "--since", "1h", "--with", &calm]);
        (before == happened(&node)).then_some((found, before))
    });
    assert_eq!(flips(&found["now"]), events, "{found}");
    assert!(events.len() >= 2, "{events:?}");
    let (now, with) = (&found["now"], &found["with"]);
    assert!(now["failovers"].as_u64() >= Some(2) && now["outages"].as_u64() >= Some(1), "{now}");
    assert!(flips(with).len() < flips(now).len() && with["missed"].as_u64() >= Some(1), "{with}");
    assert!(now["services"][0]["regions"].as_array().is_some_and(|regions| regions.len() == 2), "{now}");
    let said = node.ok(&["replay", "--since", "1h", "--with", &calm]);
    for part in ["outages (2 fails and more)", "NOW", "WITH", "prod/127.10.48.1", "what is recorded begins at", "nothing was changed"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    node.kill();
    node.launch();
    let again = node.json(&["replay", "--since", "1h"]);
    assert!(flips(&again["now"]).starts_with(&events), "{again}");
    assert!(again["with"].is_null());
}

#[test]
fn what_can_not_be_replayed_says_why() {
    let node = TestNode::start(
        "[monitor.up]\nalways = \"up\"\n[pool.a]\nmonitor = \"up\"\nendpoints = [\"192.0.2.1\"]\n[service.s]\nname = \"s.api.example.com\"\npolicy = { failover = [\"a\"] }\n",
    );
    let nothing = node.cli(&["replay"]);
    assert!(nothing.code == 2 && nothing.err.contains("nothing is recorded since then"), "{nothing:?}");
    let long = node.cli(&["replay", "--since", "500d"]);
    assert_eq!(long.code, 2, "{long:?}");
    let missing = node.cli(&["replay", "--with", "/nonexistent.toml"]);
    assert_eq!(missing.code, 2, "{missing:?}");
}
