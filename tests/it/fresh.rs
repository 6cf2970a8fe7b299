//! Data that is too old keeps a pool off every rung, until it is synchronised or somebody approves. Gateways are told of (`push = true`) where no probe is needed.

use std::path::Path;
use std::process::Command;

use super::dns::Client;
use super::gateway::{Script, Scripted};
use super::http;
use super::node::{PATIENCE, TestNode, binary, free_port, run, wait_for};
use super::pages::blocks;

const ORDERS: &str = "orders.api.example.com.";
const PROD: &str = "192.0.2.1";
const DR: &str = "192.0.2.2";

fn configuration(limits: [&str; 2]) -> String {
    let [prod, dr] = limits.map(|limit| if limit.is_empty() { String::new() } else { format!("hold_if_older_than = \"{limit}\"") });
    format!(
        r#"[monitor.told]
push = true
ttl = "10m"
ttl_max = "10m"
down_after = 1
ok_after = 1
up_after = 1
[pool.prod]
monitor = "told"
endpoints = [{{ name = "gw", address = "{PROD}" }}]
{prod}
[pool.dr]
monitor = "told"
endpoints = [{{ name = "gw", address = "{DR}" }}]
{dr}
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
when_all_down = "serve_all"
"#
    )
}

fn tell(node: &TestNode, pool: &str, outcome: &str) {
    node.ok(&["push", &format!("{pool}/gw"), outcome]);
}

fn first(client: &mut Client, wanted: &str) {
    let wanted = wanted.parse().ok();
    wait_for(&format!("{ORDERS} to answer {wanted:?}"), PATIENCE, || (client.first(ORDERS) == wanted).then_some(()));
}

/// It exits so, and says why.
fn fails(node: &TestNode, arguments: &[&str], code: i32) -> String {
    let said = node.cli(arguments);
    assert_eq!(said.code, code, "windrose {}:\n{}{}", arguments.join(" "), said.out, said.err);
    said.err
}

fn metric(node: &TestNode, line: &str) -> bool {
    let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    metrics.lines().any(|found| found == line)
}

#[test]
fn dr_with_old_data_is_not_answered_when_prod_dies_an_approval_lets_it_and_so_does_a_resync() {
    let mut node = TestNode::start(&configuration(["", "1h"]));
    let mut client = Client::new(node.dns);
    tell(&node, "dr", "pass");
    tell(&node, "prod", "pass");
    first(&mut client, PROD);
    let said = node.ok(&["freshness", "dr", "--age", "2h"]);
    assert!(said.contains("not used all the same: pool dr: the data of region dr is of "), "{said}");
    assert!(metric(&node, "windrose_pool_data_outdated{pool=\"dr\",region=\"dr\"} 1"));
    let status = node.ok(&["status"]);
    assert!(status.contains("kept off: the data of region dr is of "), "{status}");

    // On no rung: when_all_down = serve_all has prod alone to serve.
    tell(&node, "prod", "fail");
    wait_for("the last rung", PATIENCE, || node.ok(&["status"]).contains("rung all_down").then_some(()));
    assert_eq!(client.addresses(ORDERS), Some(vec![PROD.parse().expect("an address")]), "dr is permitted by nobody");
    let told = node.ok(&["explain", ORDERS]);
    assert!(told.contains("kept off: the data of region dr is of") && told.contains("windrose approve pool dr"), "{told}");
    let refused = fails(&node, &["failover", "orders", "--to", "dr"], 5);
    assert!(refused.contains("has data that is too old") && refused.contains("windrose approve pool dr"), "{refused}");

    // Nobody approves without a word, or for ever.
    let refused = fails(&node, &["approve", "pool", "dr"], 2);
    assert!(refused.contains("says why"), "{refused}");
    let done = node.ok(&["approve", "pool", "dr", "--for", "1h", "--reason", "prod is lost, INC-1234"]);
    assert!(done.contains("windrose unapprove pool dr"), "{done}");
    assert_eq!(client.first(ORDERS), DR.parse().ok(), "whoever reads the reply sees the answer");
    assert!(metric(&node, "windrose_pool_data_outdated{pool=\"dr\",region=\"dr\"} 0"));
    let told = node.ok(&["explain", ORDERS]);
    assert!(told.contains("approved by o-"), "{told}");

    // Who answers alone stays, also when the approval ends, and across a kill.
    node.ok(&["unapprove", "pool", "dr"]);
    assert_eq!(client.first(ORDERS), DR.parse().ok());
    node.ok(&["freeze", "orders", "--for", "1h", "--reason", "a write that is acknowledged"]);
    node.ok(&["unfreeze", "orders"]);
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    tell(&node, "dr", "pass");
    tell(&node, "prod", "fail");
    first(&mut client, DR);

    // Back to prod, and away again: old once more, then synchronised.
    tell(&node, "prod", "pass");
    first(&mut client, PROD);
    tell(&node, "prod", "fail");
    first(&mut client, PROD);
    node.ok(&["freshness", "dr"]);
    first(&mut client, DR);
    assert!(metric(&node, "windrose_pool_data_outdated{pool=\"dr\",region=\"dr\"} 0"));
}

#[test]
fn nobody_has_told_is_too_old_and_failback_waits_for_the_resync() {
    let node = TestNode::start(&configuration(["1h", "1h"]));
    let mut client = Client::new(node.dns);
    tell(&node, "prod", "pass");
    tell(&node, "dr", "pass");
    wait_for("nobody to answer", PATIENCE, || client.addresses(ORDERS).is_none_or(|all| all.is_empty()).then_some(()));
    let told = node.ok(&["explain", ORDERS]);
    assert!(
        told.contains("nobody has told how old the data of region prod is") && told.contains("the data of every pool that may answer is too old"),
        "{told}"
    );
    node.ok(&["freshness", "prod"]);
    node.ok(&["freshness", "dr"]);
    first(&mut client, PROD);
    tell(&node, "prod", "fail");
    first(&mut client, DR);
    node.ok(&["freshness", "prod", "--age", "2h"]);
    tell(&node, "prod", "pass");
    assert_eq!(client.first(ORDERS), DR.parse().ok(), "prod is up again, and its data is of before");
    let service = node.json(&["describe", "service", "orders"]);
    let prod = service["pools"].as_array().and_then(|pools| pools.iter().find(|pool| pool["pool"] == "prod")).cloned().unwrap_or_default();
    assert_eq!(prod["held"], true, "returned, waiting: {service}");
    node.ok(&["freshness", "prod"]);
    first(&mut client, PROD);
}

#[test]
fn the_api_takes_put_and_refuses_what_makes_no_sense() {
    let node = TestNode::start(&configuration(["", "1h"]));
    let ask = |method: &str, region: &str, body: &str| {
        let response = http::over_socket(&node.socket(), method, &format!("/api/v1/regions/{region}/freshness"), &["content-type: application/json"], body);
        response.expect("it answers")
    };
    let response = ask("PUT", "dr", r#"{"age": "5m"}"#);
    assert_eq!(response.status, 200, "{}", response.body);
    let reply: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
    // It grows older by the second.
    let five_minutes = |age: &serde_json::Value| age.as_str().is_some_and(|age| age.starts_with("5m"));
    assert!(reply["region"] == "dr" && five_minutes(&reply["data"]["age"]) && reply["outdated"].as_array().is_some_and(Vec::is_empty), "{reply}");
    assert_eq!(ask("PUT", "dr", r#"{"at": "2099-01-01T00:00:00Z"}"#).status, 400, "the future");
    assert_eq!(ask("PUT", "dr", r#"{"at": "2026-01-01T00:00:00Z", "age": "5m"}"#).status, 400, "twice");
    assert_eq!(ask("PUT", "drr", "{}").status, 404);
    assert!(five_minutes(&node.json(&["describe", "region", "dr"])["data"]["age"]));
}

#[test]
fn a_probe_reads_how_fresh_the_data_is() {
    let port = free_port();
    let gateway = Scripted::start("127.10.77.2", port);
    let says = |at: &str| gateway.says(Script { body: format!(r#"{{"status": "ok", "replication": {{"synced_at": {at}}}}}"#), ..Script::default() });
    says("1767225600");
    let node = TestNode::start(&format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/health"
data_at = {{ json = "$.replication.synced_at" }}
interval = "1s"
timeout = "500ms"
down_after = 1
up_after = 1
[pool.dr]
monitor = "gateway"
endpoints = [{{ name = "gw", address = "127.10.77.2" }}]
hold_if_older_than = "1h"
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["dr"] }}
when_all_down = "servfail"
"#
    ));
    let data = || node.json(&["describe", "region", "dr"])["data"].clone();
    wait_for("a reading", PATIENCE, || (data()["at"] == "2026-01-01T00:00:00.000Z").then_some(()));
    assert_eq!(data()["by"], "monitor gateway of dr/gw");
    let mut client = Client::new(node.dns);
    assert_eq!(client.first(ORDERS), None, "it is up, and its data is old");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    says(&now.to_string());
    wait_for("dr to answer", PATIENCE, || (client.first(ORDERS) == "127.10.77.2".parse().ok()).then_some(()));
    says("\"soon\"");
    let warning = || node.json(&["describe", "endpoint", "dr/gw"])["last_probe"]["warning"].as_str().unwrap_or_default().to_string();
    wait_for("a word about what it tells", PATIENCE, || warning().ends_with("is no time: \"soon\"").then_some(()));
    assert_eq!(client.first(ORDERS), "127.10.77.2".parse().ok(), "what makes no sense changes nothing");
}

#[test]
fn every_example_of_the_page_on_freshness_is_a_configuration() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/freshness.md")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("api.zone"), "$ORIGIN api.example.com.\n$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n")
        .expect("writable");
    let examples = blocks(&page, "toml");
    assert_eq!(examples.len(), 2);
    for example in &examples {
        let text = format!("schema = 1\n[zone.\"api.example.com\"]\nfile = \"api.zone\"\n{example}");
        let file = folder.path().join("windrose.toml");
        std::fs::write(&file, &text).expect("writable");
        let said = run(Command::new(binary()).arg("check").arg(&file));
        assert_eq!(said.code, 0, "{}{}\nin\n{text}", said.out, said.err);
    }
}
