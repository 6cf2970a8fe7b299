//! Monitors that are told (`push = true`): an outside system moves answers, silence does as the file says, and a restart keeps what was known.

use std::net::IpAddr;
use std::time::Duration;

use super::dns::Client;
use super::http;
use super::node::{TestNode, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: &str = "orders.api.example.com.";

fn configuration(silence: &str) -> String {
    format!(
        r#"[monitor.told]
push = true
ttl = "30s"
ttl_max = "60s"
silence = "{silence}"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "told"
endpoints = [{{ name = "gw-1", address = "192.0.2.1" }}]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
"#
    )
}

fn until(client: &mut Client, wanted: &str) {
    let wanted: IpAddr = wanted.parse().expect("an address");
    wait_for(&format!("{ORDERS} to answer {wanted}"), PATIENCE, || (client.addresses(ORDERS)? == [wanted]).then_some(()));
}

fn endpoint(node: &TestNode) -> serde_json::Value {
    node.json(&["describe", "endpoint", "prod/gw-1"])
}

#[test]
fn an_outside_system_moves_answers_and_its_silence_is_down_if_the_file_says_so() {
    let node = TestNode::start(&configuration("down"));
    let mut client = Client::new(node.dns);
    until(&mut client, "192.0.2.1");
    let said = node.ok(&["push", "prod/gw-1", "fail", "-m", "replication lags\x1b[2J by 4 minutes"]);
    assert!(said.starts_with("prod/gw-1 is down by told; it holds until "), "{said}");
    assert_eq!(client.first(ORDERS), "192.0.2.2".parse().ok(), "whoever reads the reply sees the answer");
    let endpoint = self::endpoint(&node);
    assert_eq!(endpoint["last_probe"]["reason"], "pushed");
    let message = endpoint["last_probe"]["message"].as_str().unwrap_or_default().to_string();
    assert!(message.starts_with("replication lags\u{fffd}[2J by 4 minutes (pushed by socket:"), "{message}");
    let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    let failures = "windrose_probe_failures_total{monitor=\"told\",pool=\"prod\",endpoint=\"gw-1\",region=\"prod\",reason=\"pushed\"} 1";
    assert!(metrics.lines().any(|line| line == failures), "{metrics}");

    node.ok(&["push", "prod/gw-1", "pass", "--ttl", "1s"]);
    assert_eq!(client.first(ORDERS), "192.0.2.1".parse().ok());
    until(&mut client, "192.0.2.2");
    let endpoint = self::endpoint(&node);
    assert_eq!((endpoint["state"]["observed"].as_str(), endpoint["last_probe"]["reason"].as_str()), (Some("down"), Some("silence")), "{endpoint}");
    assert_eq!(endpoint["last_probe"]["message"], "no push for 1s; the last one held for 1s");
    node.ok(&["push", "prod/gw-1", "pass"]);
    until(&mut client, "192.0.2.1");
}

#[test]
fn silence_is_unknown_by_default_and_who_answers_goes_on() {
    let node = TestNode::start(&configuration("unknown"));
    let mut client = Client::new(node.dns);
    node.ok(&["push", "prod/gw-1", "pass", "--ttl", "1s"]);
    wait_for("silence", PATIENCE, || (endpoint(&node)["state"]["observed"] == "unknown").then_some(()));
    assert_eq!(client.first(ORDERS), "192.0.2.1".parse().ok());
    assert_eq!(endpoint(&node)["last_probe"]["reason"], "silence");
}

#[test]
fn a_restart_keeps_what_was_told_as_stale_until_more_is_told() {
    let mut node = TestNode::start(&configuration("unknown"));
    let mut client = Client::new(node.dns);
    node.ok(&["push", "prod/gw-1", "fail", "-m", "disk full"]);
    assert_eq!(client.first(ORDERS), "192.0.2.2".parse().ok());
    // SIGTERM: what was learned is on disk.
    node.stop();
    node.launch();
    let endpoint = self::endpoint(&node);
    assert_eq!((endpoint["state"]["observed"].as_str(), endpoint["stale"].as_bool()), (Some("down"), Some(true)), "{endpoint}");
    assert_eq!(client.first(ORDERS), "192.0.2.2".parse().ok());
    node.ok(&["push", "prod/gw-1", "pass"]);
    let endpoint = self::endpoint(&node);
    assert_eq!((endpoint["state"]["observed"].as_str(), endpoint["stale"].as_bool()), (Some("up"), Some(false)), "{endpoint}");
    assert_eq!(client.first(ORDERS), "192.0.2.1".parse().ok());
}

#[test]
fn what_is_told_survives_an_upgrade_with_its_end() {
    let mut node = TestNode::start(&configuration("down"));
    let mut client = Client::new(node.dns);
    let until = node.json(&["push", "prod/gw-1", "pass", "--ttl", "50s"])["holds_until"].clone();
    node.upgrade();
    assert_eq!(client.first(ORDERS), "192.0.2.1".parse().ok());
    let endpoint = self::endpoint(&node);
    assert_eq!((endpoint["state"]["observed"].as_str(), endpoint["stale"].as_bool()), (Some("up"), Some(false)), "{endpoint} {until}");
}

#[test]
fn the_api_says_what_is_wrong_and_readers_may_not_tell() {
    let node = TestNode::start(&configuration("down"));
    let refused = |arguments: &[&str]| {
        let said = node.cli(arguments);
        (said.code, said.err)
    };
    for (arguments, code, words) in [
        (&["push", "prod/gw-2", "pass"][..], 1, "there is no endpoint `prod/gw-2`; did you mean `gw-1`?"),
        (&["push", "dr/192.0.2.2", "pass"], 2, "dr/192.0.2.2 has no monitor that is told"),
        (&["push", "prod/gw-1", "pass", "--ttl", "2m"], 2, "a push may hold for at most 1m here"),
        (&["push", "prod/gw-1", "pass", "--monitor", "trusted"], 2, "prod/gw-1 is not told by a monitor `trusted`"),
        (&["push", "gw-1", "pass"], 2, "write it as POOL/NAME"),
    ] {
        let (found, said) = refused(arguments);
        assert!(found == code && said.contains(words), "{arguments:?}: {found} {said}");
    }
    let token = |scope: &str| node.json(&["token", "create", scope, "--scope", scope, "--for", "1h"])["token"].as_str().expect("a token").to_string();
    let post = |token: &str, body: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let headers = [bearer.as_str(), "Content-Type: application/json"];
        http::over_tcp(node.admin, "POST", "/api/v1/endpoints/prod/gw-1/push", &headers, body).expect("it answers")
    };
    let (reader, operator) = (token("read"), token("operate"));
    assert_eq!(post(&reader, "{\"outcome\": \"fail\"}").status, 403);
    let told = post(&operator, "{\"outcome\": \"fail\", \"message\": \"m\", \"ttl\": \"45s\"}");
    assert_eq!(told.status, 200, "{}", told.body);
    assert!(told.body.contains("\"state\":\"down\"") && told.body.contains("\"monitor\":\"told\""), "{}", told.body);
    let wrong = post(&operator, "{\"outcome\": \"down\", \"tll\": \"45s\"}");
    assert!(wrong.status == 400 && wrong.body.contains("/outcome"), "{}", wrong.body);
    let probed = node.cli(&["probe", "prod/gw-1"]);
    assert!(probed.code != 0 && probed.err.contains("prod/gw-1 is not probed"), "{} {}", probed.code, probed.err);
    let told = node.json(&["probes", "prod/gw-1", "--failed"]);
    assert_eq!(told["items"][0]["reason"], "pushed", "what was told is remembered as probes are: {told}");
}
