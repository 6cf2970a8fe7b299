//! Between well and broken: slow gateways, busy ones, told weights, redirects, on the real binary.

use std::time::Duration;

use super::dns::Client;
use super::gateway::{Script, Scripted};
use super::http;
use super::node::{TestNode, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);
const ORDERS: &str = "orders.api.example.com.";

/// Two pools of one gateway each, 50 to 50.
fn configuration(port: u16, monitor: &str) -> String {
    format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/health"
interval = "500ms"
timeout = "450ms"
down_after = 2
ok_after = 2
up_after = 2
{monitor}
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.47.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.47.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ weighted = {{ prod = 50, dr = 50 }} }}
failback = "0s"
"#
    )
}

fn two(port: u16) -> (Scripted, Scripted) {
    (Scripted::start("127.10.47.1", port), Scripted::start("127.10.47.2", port))
}

fn metric(node: &TestNode, sample: &str) -> bool {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().any(|line| line == sample)
}

/// The item of `prod`'s endpoint.
fn endpoint(node: &TestNode) -> serde_json::Value {
    node.json(&["describe", "endpoint", "prod/127.10.47.1"])
}

fn effective(node: &TestNode) -> f64 {
    node.json(&["describe", "service", "orders"])["traffic"]["shares"]["effective"]["prod"].as_f64().unwrap_or(-1.0)
}

fn wait_for_share(node: &TestNode, share: f64) {
    wait_for(&format!("prod to have {share} %"), PATIENCE, || ((effective(node) - share).abs() < 0.01).then_some(()));
}

#[test]
fn a_slow_gateway_keeps_a_third_of_an_equal_split_and_gets_its_half_back() {
    let port = free_port();
    let (prod, _dr) = two(port);
    let node = TestNode::start(&configuration(port, "degraded = { slower_than = \"250ms\", factor = 0.5 }"));
    let mut client = Client::new(node.dns);
    wait_for_share(&node, 50.0);
    assert!((client.share(ORDERS, 200, "127.10.47.1") - 50.0).abs() <= 3.0);

    prod.says(Script { delay: Duration::from_millis(300), ..Script::default() });
    let said = node.wait_for_log("endpoint prod/127.10.47.1 is up, but degraded: it took ");
    assert!(said.contains("more than 250ms"), "{said}");
    wait_for_share(&node, 33.3333);
    let share = client.share(ORDERS, 300, "127.10.47.1");
    assert!((share - 33.3).abs() <= 3.0, "{share} %");
    let item = endpoint(&node);
    assert_eq!((item["state"]["effective"].as_str(), item["degraded"]["factor"].as_f64()), (Some("up"), Some(0.5)), "{item}");
    assert_eq!((item["weight"].as_u64(), item["weight_effective"].as_f64(), item["weight_reported"].is_null()), (Some(1), Some(0.5), true), "{item}");
    assert!(node.ok(&["get", "endpoints"]).contains("up, degraded"));
    assert!(node.ok(&["describe", "endpoint", "prod/127.10.47.1"]).contains("counts 0.5: it took "));
    let status = node.ok(&["status"]);
    assert!(status.contains("degraded, counts 0.5: 1 of 1 serving endpoints degraded: prod/127.10.47.1: it took "), "{status}");
    assert!(status.contains("endpoint prod/127.10.47.1 is up, but degraded (counts 0.5)"), "{status}");
    let reasons = node.json(&["describe", "service", "orders"])["traffic"]["reason_effective"].to_string();
    assert!(reasons.contains("prod is degraded and counts 0.5 of its share: 1 of 1 serving endpoints degraded"), "{reasons}");
    let explained = node.ok(&["explain", "orders.api.example.com"]);
    assert!(explained.contains("degraded: where shares are weighted it counts 0.5 of its own"), "{explained}");
    assert!(metric(&node, "windrose_endpoint_degraded{pool=\"prod\",region=\"prod\",endpoint=\"127.10.47.1\"} 1"));
    assert!(metric(&node, "windrose_endpoint_up{pool=\"prod\",region=\"prod\",endpoint=\"127.10.47.1\"} 1"));
    assert!(metric(&node, "windrose_events_total{type=\"endpoint.degraded\"} 1"));

    prod.says(Script::default());
    node.wait_for_log("endpoint prod/127.10.47.1 is no longer degraded");
    wait_for_share(&node, 50.0);
    assert!(endpoint(&node)["degraded"].is_null());
    assert!(metric(&node, "windrose_endpoint_degraded{pool=\"prod\",region=\"prod\",endpoint=\"127.10.47.1\"} 0"));
}

#[test]
fn a_busy_gateway_is_left_as_it_was_and_fails_when_it_stays_busy() {
    let port = free_port();
    let (prod, _dr) = two(port);
    let node = TestNode::start(&configuration(port, "busy = \"ignore\"\nbusy_max = \"5s\""));
    wait_for_share(&node, 50.0);
    prod.says(Script { status: "503 Service Unavailable".to_string(), headers: vec!["Retry-After: 3".to_string()], ..Script::default() });
    let item = wait_for("a busy outcome", PATIENCE, || Some(endpoint(&node)).filter(|item| item["last_probe"]["outcome"] == "busy"));
    assert_eq!((item["state"]["observed"].as_str(), item["busy"]["counts"].as_str()), (Some("up"), Some("ignore")), "{item}");
    let said = item["last_probe"]["message"].as_str().expect("a sentence");
    assert_eq!(said, "busy: it answers 503 Service Unavailable and asks to come back in 3s; counts neither way, for 5s at most");
    assert!((effective(&node) - 50.0).abs() < 0.01);
    let said = node.wait_for_log("endpoint prod/127.10.47.1 is down: busy:");
    assert!(said.contains("it has been busy for more than busy_max (5s)"), "{said}");
    wait_for_share(&node, 0.0);
    prod.says(Script::default());
    wait_for_share(&node, 50.0);
    assert!(endpoint(&node)["busy"].is_null());
    // Who asks for more has not to be waited for.
    prod.says(Script { status: "503 Service Unavailable".to_string(), headers: vec!["Retry-After: 3600".to_string()], ..Script::default() });
    wait_for_share(&node, 0.0);
    let last = endpoint(&node)["last_failed"]["message"].to_string();
    assert!(last.contains("asks to come back in 1h; it asks for more than busy_max (5s)"), "{last}");
}

#[test]
fn a_told_weight_is_in_force_within_its_bounds_and_shown_apart() {
    let port = free_port();
    let (prod, _dr) = two(port);
    let node = TestNode::start(&configuration(port, "report = { json = \"$.weight\", min = 2, max = 50 }"));
    let told = |text: &str| Script { body: format!("{{\"weight\": {text}}}"), ..Script::default() };
    prod.says(told("12.5"));
    let weights = |item: &serde_json::Value| (item["weight"].as_u64(), item["weight_reported"].as_f64(), item["weight_effective"].as_f64());
    let until = |expected: (Option<u64>, Option<f64>, Option<f64>)| {
        wait_for(&format!("weights {expected:?}"), PATIENCE, || Some(endpoint(&node)).filter(|item| weights(item) == expected))
    };
    until((Some(1), Some(12.5), Some(12.5)));
    assert!(metric(&node, "windrose_endpoint_weight{pool=\"prod\",region=\"prod\",endpoint=\"127.10.47.1\",kind=\"reported\"} 12.5"));
    prod.says(told("900"));
    until((Some(1), Some(50.0), Some(50.0)));
    assert!(node.ok(&["describe", "endpoint", "prod/127.10.47.1"]).contains("reported weight"));
    prod.says(told("\"much\""));
    let item = until((Some(1), None, Some(1.0)));
    assert_eq!(item["last_probe"]["warning"].as_str(), Some("weight as told by $.weight is not a number: \"much\""), "{item}");
    assert_eq!(item["state"]["observed"].as_str(), Some("up"));
    assert!((effective(&node) - 50.0).abs() < 0.01, "weights are for endpoints, shares for pools");
}

#[test]
fn a_redirect_is_followed_without_credentials_to_another_address_and_never_to_a_name() {
    let port = free_port();
    let (prod, _dr) = two(port);
    let elsewhere = Scripted::start("127.10.47.3", port);
    let node = TestNode::prepare(&configuration(port, "redirects = 1\nheaders = { Authorization = { file = \"token\" }, X-Key = \"k3y\" }"));
    let mut node = node;
    std::fs::write(node.path("token"), "Bearer s3cret\n").expect("writable");
    node.launch();
    wait_for_share(&node, 50.0);
    assert!(prod.heard().iter().all(|request| request.contains("s3cret") && request.contains("k3y")));
    prod.says(Script { status: "302 Found".to_string(), headers: vec![format!("Location: http://127.10.47.3:{port}/there")], ..Script::default() });
    let away = wait_for("a request elsewhere", PATIENCE, || elsewhere.heard().first().cloned());
    assert!(away.starts_with("GET /there HTTP/1.1\r\n"), "{away}");
    assert!(!away.contains("s3cret") && !away.contains("k3y"), "{away}");
    assert_eq!(endpoint(&node)["state"]["observed"].as_str(), Some("up"));
    prod.says(Script { status: "302 Found".to_string(), headers: vec!["Location: https://login.example.com/".to_string()], ..Script::default() });
    let said = node.wait_for_log("endpoint prod/127.10.47.1 is down: redirected (302) to https://login.example.com/");
    assert!(said.contains("another host is followed only by its address, because names are not resolved here"), "{said}");
}
