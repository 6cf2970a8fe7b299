//! A standby that stays warm: a small share of the answers, all the time.

use std::path::Path;
use std::process::Command;

use super::dns::Client;
use super::node::{PATIENCE, TestNode, binary, run, wait_for};
use super::pages::blocks;

const ORDERS: &str = "orders.api.example.com.";

fn configuration(more: &str) -> String {
    format!(
        r#"[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
{more}
"#
    )
}

#[test]
fn a_trickle_goes_to_the_standby_and_stands_in_status_and_explain() {
    let node = TestNode::start(&configuration("trickle = 10"));
    let mut client = Client::new(node.dns);
    wait_for("answers", PATIENCE, || client.first(ORDERS));
    let share = client.share(ORDERS, 200, "192.0.2.2");
    assert!((7.0..=13.0).contains(&share), "dr answers {share}");
    let shares = node.json(&["describe", "service", "orders"])["traffic"]["shares"].clone();
    assert_eq!((shares["desired"]["dr"].as_f64(), shares["effective"]["dr"].as_f64()), (Some(10.0), Some(10.0)), "{shares}");
    assert!(node.ok(&["explain", ORDERS]).contains("10 % of the answers go to who stands by"));
    node.ok(&["drain", "pool", "dr", "--for", "1h", "--reason", "works"]);
    assert_eq!(client.share(ORDERS, 50, "192.0.2.2"), 0.0);
    // A reload changes it.
    node.ok(&["undrain", "pool", "dr"]);
    node.configure(&configuration(""));
    node.ok(&["reload"]);
    assert_eq!(client.share(ORDERS, 50, "192.0.2.2"), 0.0);
}

#[test]
fn every_example_of_the_page_on_standby_is_a_configuration() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/standby.md")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("api.zone"), "$ORIGIN api.example.com.\n$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n")
        .expect("writable");
    let base = "schema = 1\n[zone.\"api.example.com\"]\nfile = \"api.zone\"\n[monitor.trusted]\nalways = \"up\"\n";
    let pools = ["prod", "dr"].map(|pool| format!("[pool.{pool}]\nmonitor = \"trusted\"\nendpoints = [\"192.0.2.1\"]\n"));
    let check = |example: &str| {
        let file = folder.path().join("windrose.toml");
        std::fs::write(&file, format!("{base}{}{example}", pools.concat())).expect("writable");
        run(Command::new(binary()).arg("check").arg(&file))
    };
    for example in &blocks(&page, "toml") {
        let said = check(example);
        assert_eq!(said.code, 0, "{}{}\nin\n{example}", said.out, said.err);
    }
    let service = |policy: &str, more: &str| format!("[service.orders]\nname = \"orders.api.example.com\"\npolicy = {policy}\n{more}\n");
    for (policy, more, word) in [
        (r#"{ failover = ["prod", "dr"] }"#, "trickle = 0", "0 is out of range"),
        (r#"{ failover = ["prod", "dr"] }"#, "trickle = 51", "51 is out of range"),
        (r#"{ multivalue = ["prod", "dr"] }"#, "trickle = 1", "nobody stands by in a multivalue"),
        (r#"{ failover = ["prod", "dr"] }"#, "trickle = 1\nfailback = { mode = \"one_way\" }", "trickle would answer what one_way keeps away"),
    ] {
        let said = check(&service(policy, more));
        assert!(said.code == 2 && format!("{}{}", said.out, said.err).contains(word), "{word}: {}{}", said.out, said.err);
    }
}
