//! `explain --at`: what was answered then and why, before, during and after an outage, and after a crash. On the real binary.

use std::time::Duration;

use serde_json::Value;

use super::gateway::{Script, Scripted};
use super::node::{TestNode, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "orders.api.example.com";

fn configuration(port: u16) -> String {
    format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/health"
interval = "500ms"
timeout = "450ms"
down_after = 2
ok_after = 2
up_after = 2
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.49.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.49.2"]
[service.orders]
name = "{NAME}"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
"#
    )
}

/// `prod 100`
fn answered(explain: &Value) -> String {
    let leaves = explain["distribution"].as_array().cloned().unwrap_or_default();
    leaves.iter().map(|leaf| format!("{} {}", leaf["pools"][0].as_str().unwrap_or_default(), leaf["share"])).collect::<Vec<_>>().join(", ")
}

/// What was told but for what came afterwards.
fn then(explain: &Value) -> Value {
    let mut explain = explain.clone();
    explain["past"]["next"] = Value::Null;
    explain
}

fn at(node: &TestNode, moment: &str) -> Value {
    node.json(&["explain", NAME, "--at", moment])
}

#[test]
fn what_was_answered_before_in_and_after_an_outage_is_told_also_after_a_crash() {
    let port = free_port();
    let (prod, _dr) = (Scripted::start("127.10.49.1", port), Scripted::start("127.10.49.2", port));
    let mut node = TestNode::start(&configuration(port));
    let moves_to = |node: &TestNode, pool: &str| {
        let wanted = format!("{pool} 100.0");
        wait_for(&format!("{pool} to answer"), PATIENCE, || {
            let found = at(node, "1ms");
            (answered(&found) == wanted).then_some(found)
        })
    };
    let healthy = moves_to(&node, "prod");
    prod.says(Script { status: "503 Service Unavailable".to_string(), ..Script::default() });
    let broken = moves_to(&node, "dr");
    let moved_at = broken["past"]["decided"]["at"].as_str().expect("a moment").to_string();
    // What was told is on disk.
    node.kill();
    prod.says(Script::default());
    node.launch();
    let back = moves_to(&node, "prod");

    let during = at(&node, &moved_at);
    assert_eq!((answered(&during), &during["steps"], &during["ttl"]), ("dr 100.0".to_string(), &broken["steps"], &broken["ttl"]));
    let text = during["steps"].to_string();
    assert!(text.contains("pool prod is down: 0 of 1 endpoints up (127.10.49.1: ") && text.contains("503") && text.contains("down since"), "{text}");
    assert_eq!(during["past"]["decided"], broken["past"]["decided"], "also what was before");
    assert_eq!(during["past"]["decided"]["cause"], "verdict");
    assert!(during["past"]["next"].is_object(), "{during}");
    let early = healthy["past"]["as_of"].as_str().expect("a moment");
    assert_eq!(then(&at(&node, early)), then(&healthy));
    assert_eq!(answered(&at(&node, early)), "prod 100.0");
    assert_eq!(answered(&at(&node, back["past"]["as_of"].as_str().expect("a moment"))), "prod 100.0");

    let said = node.ok(&["explain", NAME, "--at", &moved_at]);
    for part in [
        "   as of ",
        "the file's policy; configuration ",
        "100%  dr  127.10.49.2  reason=policy",
        "since ",
        "(verdict):",
        "  pool: pool prod is down",
        "until ",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    for (moment, why) in [("1971-01-01T00:00:00Z", "begins at"), ("2999-01-01T00:00:00Z", "has not come yet"), ("yesterday", "is no moment of the past")] {
        let refused = node.cli(&["explain", NAME, "--at", moment]);
        assert!(refused.code == 2 && refused.err.contains(why), "{refused:?}");
    }
}
