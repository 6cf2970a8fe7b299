//! How a pool comes back: step by step, or never by itself. Gateways are told of (`push = true`), so nothing here waits for a probe.

use std::path::Path;
use std::process::Command;

use super::dns::Client;
use super::node::{PATIENCE, TestNode, binary, run, wait_for};
use super::pages::blocks;

const ORDERS: &str = "orders.api.example.com.";
const PROD: &str = "192.0.2.1";
const DR: &str = "192.0.2.2";

fn configuration(failback: &str) -> String {
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
[pool.dr]
monitor = "told"
endpoints = [{{ name = "gw", address = "{DR}" }}]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = {{ failover = ["prod", "dr"] }}
failback = {failback}
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

fn both_up(failback: &str) -> (TestNode, Client) {
    let node = TestNode::start(&configuration(failback));
    let mut client = Client::new(node.dns);
    tell(&node, "prod", "pass");
    tell(&node, "dr", "pass");
    first(&mut client, PROD);
    (node, client)
}

#[test]
fn one_way_whoever_answers_stays_first_also_across_a_kill() {
    let (mut node, mut client) = both_up(r#"{ mode = "one_way", after = "0s" }"#);
    tell(&node, "prod", "fail");
    first(&mut client, DR);
    tell(&node, "prod", "pass");
    assert_eq!(client.first(ORDERS), DR.parse().ok(), "prod is up again, and nothing moves");
    assert_eq!(node.json(&["describe", "service", "orders"])["first"], "dr");
    assert!(node.ok(&["status"]).contains("dr is first since it answers (one_way)"));

    // Memory is written as soon as nothing else is: an acknowledged change comes after it.
    node.ok(&["freeze", "orders", "--for", "1h", "--reason", "a write that is acknowledged"]);
    node.ok(&["unfreeze", "orders"]);
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    tell(&node, "prod", "pass");
    tell(&node, "dr", "pass");
    first(&mut client, DR);
    assert_eq!(node.json(&["describe", "service", "orders"])["first"], "dr");
    tell(&node, "dr", "fail");
    first(&mut client, PROD);
    tell(&node, "dr", "pass");
    assert_eq!(client.first(ORDERS), PROD.parse().ok(), "now prod is the first");
    assert!(node.json(&["describe", "service", "orders"])["first"].is_null());
}

#[test]
fn one_way_failback_goes_back_to_the_order_as_written() {
    let (node, mut client) = both_up(r#"{ mode = "one_way", after = "0s" }"#);
    tell(&node, "prod", "fail");
    first(&mut client, DR);
    tell(&node, "prod", "pass");
    node.ok(&["failback", "orders"]);
    assert_eq!(client.first(ORDERS), PROD.parse().ok(), "whoever reads the reply sees the answer");
    assert!(node.json(&["describe", "service", "orders"])["first"].is_null());
}

/// What the server says prod gets of its share now; `None`: it is not on its way back.
fn step(node: &TestNode) -> Option<u64> {
    let service = node.json(&["describe", "service", "orders"]);
    let pools = service["pools"].as_array().cloned().unwrap_or_default();
    pools.iter().find(|pool| pool["pool"] == "prod").and_then(|pool| pool["returning"]["percent"].as_u64())
}

#[test]
fn staged_a_pool_returns_in_steps_and_loses_all_when_it_falls() {
    let (node, mut client) = both_up(r#"{ mode = "staged", after = "0s", steps = [20, 100], hold = "1h" }"#);
    tell(&node, "prod", "fail");
    first(&mut client, DR);
    tell(&node, "prod", "pass");
    wait_for("the first step", PATIENCE, || (step(&node) == Some(20)).then_some(()));
    let share = client.share(ORDERS, 200, PROD);
    assert!((15.0..=25.0).contains(&share), "prod answers {share}");
    let status = node.ok(&["status"]);
    assert!(status.contains("returning: 20 % of its share, step 1 of 2"), "{status}");
    let told = node.ok(&["explain", ORDERS]);
    assert!(told.contains("pool prod has returned and takes 20 % of its share (step 1 of 2)"), "{told}");

    tell(&node, "prod", "fail");
    first(&mut client, DR);
    assert_eq!((client.share(ORDERS, 50, PROD), step(&node)), (0.0, None));

    tell(&node, "prod", "pass");
    wait_for("the first step again", PATIENCE, || (step(&node) == Some(20)).then_some(()));
    node.ok(&["failback", "orders", "prod"]);
    assert_eq!((client.share(ORDERS, 50, PROD), step(&node)), (100.0, None), "an operator brings all of it back");
}

#[test]
fn staged_the_last_step_comes_by_itself() {
    let (node, mut client) = both_up(r#"{ mode = "staged", after = "1s", steps = [10, 50, 100], hold = "1s" }"#);
    tell(&node, "prod", "fail");
    first(&mut client, DR);
    tell(&node, "prod", "pass");
    wait_for("all of it", PATIENCE, || (client.share(ORDERS, 50, PROD) == 100.0 && step(&node).is_none()).then_some(()));
}

#[test]
fn every_example_of_the_page_on_returning_is_a_configuration() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/returning.md")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("api.zone"), "$ORIGIN api.example.com.\n$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n")
        .expect("writable");
    let examples = blocks(&page, "toml");
    assert!(4 <= examples.len(), "{} examples", examples.len());
    let base = "schema = 1\n[zone.\"api.example.com\"]\nfile = \"api.zone\"\n[monitor.trusted]\nalways = \"up\"\n";
    let pools = ["prod", "dr", "az1", "az2", "az3"].map(|pool| format!("[pool.{pool}]\nmonitor = \"trusted\"\nendpoints = [\"192.0.2.1\"]\n"));
    for example in &examples {
        let text = format!("{base}{}{example}", pools.concat());
        let file = folder.path().join("windrose.toml");
        std::fs::write(&file, &text).expect("writable");
        let said = run(Command::new(binary()).arg("check").arg(&file));
        assert_eq!(said.code, 0, "{}{}\nin\n{text}", said.out, said.err);
    }
}
