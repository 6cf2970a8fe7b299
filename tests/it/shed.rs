//! A pool over its load gives away a share of its answers, and takes it back; across a kill, and however long nobody tells.

use std::net::{IpAddr, SocketAddr};
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

fn configuration(shed: &str, more: &str) -> String {
    format!(
        r#"[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["{PROD}"]
shed = {{ over = 80, until = 70, share = 30, {shed} }}
[pool.dr]
monitor = "trusted"
endpoints = ["{DR}"]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = {{ failover = ["prod", "dr"] }}
{more}
"#
    )
}

/// Of so many answers: how many name prod, and how many dr.
fn counted(client: &mut Client, answers: usize) -> (usize, usize) {
    let found: Vec<Option<IpAddr>> = (0..answers).map(|_| client.first(ORDERS)).collect();
    let of = |address: &str| found.iter().filter(|found| **found == address.parse().ok()).count();
    (of(PROD), of(DR))
}

fn metric(node: &TestNode, line: &str) -> bool {
    let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    metrics.lines().any(|found| found == line)
}

#[test]
fn a_full_pool_gives_away_its_share_says_so_and_keeps_it_so_across_a_kill() {
    let mut node = TestNode::start(&configuration(r#"hold = "0s", max_age = "1s""#, ""));
    let mut client = Client::new(node.dns);
    assert_eq!(counted(&mut client, 100), (100, 0));
    let said = node.ok(&["load", "prod", "80"]);
    assert!(said.contains("the load of pool prod is 80, at most 80: it keeps its answers"), "{said}");
    assert!(node.ok(&["load", "prod", "85.5"]).contains("it gives away 30 % of its answers: its load is 85.5, over 80"));
    // Whoever reads the reply sees the answers: of a hundred 70 ± 2, for they are not dice.
    let (prod, dr) = counted(&mut client, 200);
    assert!((136..=144).contains(&prod) && prod + dr == 200, "{prod} and {dr} of 200");
    let told = node.ok(&["explain", ORDERS]);
    assert!(told.contains("pool prod gives away 30 % of its answers, in turn: "), "{told}");
    assert!(node.ok(&["status"]).contains("sheds: its load "), "{}", node.ok(&["status"]));
    assert!(metric(&node, "windrose_pool_shedding{pool=\"prod\",region=\"prod\"} 1"));
    let pool = node.json(&["describe", "pool", "prod"]);
    assert!(pool["shed"]["load"] == 85.5 && pool["shed"]["shedding_since"].is_string() && pool["shed"]["over"] == 80.0, "{pool}");

    // Between the limits it goes on.
    node.ok(&["load", "prod", "75"]);
    assert!(counted(&mut client, 100).1 >= 28);

    // Nobody tells any more: it goes on, and that is told.
    wait_for("nobody to have told of late", PATIENCE, || node.ok(&["events"]).contains("nobody has told the load of pool prod").then_some(()));
    assert!(counted(&mut client, 100).1 >= 28);
    wait_for("an old load to be none", PATIENCE, || {
        let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
        (!metrics.contains("windrose_pool_load{")).then_some(())
    });
    assert!(counted(&mut client, 100).1 >= 28);

    // Durable by now: a write that came later was acknowledged.
    node.ok(&["freeze", "orders", "--for", "1h", "--reason", "a write that is acknowledged"]);
    node.ok(&["unfreeze", "orders"]);
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    let (prod, dr) = counted(&mut client, 200);
    assert!((136..=144).contains(&prod) && prod + dr == 200, "{prod} and {dr} of 200");

    node.ok(&["load", "prod", "70"]);
    assert_eq!(counted(&mut client, 100), (100, 0));
    assert!(metric(&node, "windrose_pool_shedding{pool=\"prod\",region=\"prod\"} 0"));
    let events = node.ok(&["events"]);
    assert!(events.contains("pool prod gives away 30 % of its answers") && events.contains("pool prod keeps all its answers again"), "{events}");
    assert!(!events.contains("answers moved"), "it is no failover: {events}");
}

#[test]
fn it_turns_once_a_hold_and_a_standby_that_is_full_takes_nothing() {
    let text = configuration(r#"hold = "2s""#, "").replacen(
        &format!("endpoints = [\"{DR}\"]"),
        &format!("endpoints = [\"{DR}\"]\nshed = {{ over = 80, share = 10 }}"),
        1,
    );
    let node = TestNode::start(&text);
    let mut client = Client::new(node.dns);
    node.ok(&["load", "prod", "90"]);
    assert!(counted(&mut client, 100).1 >= 28);
    node.ok(&["load", "dr", "81"]);
    assert_eq!(counted(&mut client, 100), (100, 0), "two that are full keep their own");
    assert!(node.ok(&["explain", ORDERS]).contains("but nobody takes them, so it keeps all"));
    node.ok(&["load", "prod", "10"]);
    wait_for("the hold to be over", PATIENCE, || metric(&node, "windrose_pool_shedding{pool=\"prod\",region=\"prod\"} 0").then_some(()));
    // It has just turned: it is full, and waits.
    let said = node.ok(&["load", "prod", "99"]);
    assert!(said.contains("it has turned a moment ago") || said.contains("it gives away 30 %"), "{said}");
    wait_for("it to shed again", PATIENCE, || metric(&node, "windrose_pool_shedding{pool=\"prod\",region=\"prod\"} 1").then_some(()));
}

#[test]
fn by_client_the_same_networks_go_every_time_and_resolvers_learn_for_whom() {
    let node = TestNode::start(&configuration(r#"by = "client""#, ""));
    let asked = |subnet: &str| {
        let server = SocketAddr::from(([127, 0, 0, 1], node.dns.port()));
        let said = run(Command::new("dig").args([
            "+noall",
            "+answer",
            "+comments",
            "-p",
            &server.port().to_string(),
            "@127.0.0.1",
            &format!("+subnet={subnet}"),
            ORDERS,
            "A",
        ]));
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        let scope = said.out.lines().find_map(|line| line.split_once("CLIENT-SUBNET: ")).map(|(_, subnet)| subnet.trim().to_string());
        (said.out.contains(PROD), scope.unwrap_or_default())
    };
    if Command::new("dig").arg("-v").output().is_err() {
        println!("skipped: no dig");
        return;
    }
    let networks: Vec<String> = (0..60).map(|number| format!("198.51.{number}.0/24")).collect();
    assert!(networks.iter().take(5).all(|network| asked(network) == (true, format!("{network}/0"))), "nothing depends on the client yet");
    node.ok(&["load", "prod", "85"]);
    let first: Vec<(bool, String)> = networks.iter().map(|network| asked(network)).collect();
    let gone = first.iter().filter(|(at_prod, _)| !at_prod).count();
    assert!((6..=30).contains(&gone), "{gone} of 60 networks went");
    assert!(networks.iter().zip(&first).all(|(network, (_, scope))| *scope == format!("{network}/24")), "{first:?}");
    // Once more, and after a kill: the same.
    let again: Vec<(bool, String)> = networks.iter().map(|network| asked(network)).collect();
    assert_eq!(again, first);
    let away = networks.iter().zip(&first).find(|(_, (at_prod, _))| !at_prod).map(|(network, _)| network.replace("0/24", "9")).expect("one that went");
    let told = node.ok(&["explain", ORDERS, "--client", &away]);
    assert!(told.contains("those of the same clients all the time") && told.contains("keeps to dr"), "{told}");
    node.ok(&["reload"]);
    let again: Vec<(bool, String)> = networks.iter().map(|network| asked(network)).collect();
    assert_eq!(again, first, "a reload changes nothing");
}

#[test]
fn the_api_takes_put_and_refuses_what_makes_no_sense() {
    let node = TestNode::start(&configuration(r#"by = "random""#, ""));
    let ask = |pool: &str, body: &str| {
        let response = http::over_socket(&node.socket(), "PUT", &format!("/api/v1/pools/{pool}/load"), &["content-type: application/json"], body);
        response.expect("it answers")
    };
    let response = ask("prod", r#"{"load": 85}"#);
    assert_eq!(response.status, 200, "{}", response.body);
    let reply: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
    assert!(reply["pool"] == "prod" && reply["shed"]["share"] == 30.0 && reply["shed"]["shedding_since"].is_string(), "{reply}");
    assert_eq!(ask("prod", r#"{"load": -1}"#).status, 400);
    assert_eq!(ask("prod", r#"{"load": 85, "of": 100}"#).status, 400, "an unknown field");
    assert_eq!(ask("prod", "{}").status, 400);
    assert_eq!(ask("dr", r#"{"load": 1}"#).status, 400, "it declares no shed");
    assert_eq!(ask("prad", r#"{"load": 1}"#).status, 404);
    let simulated = node.ok(&["simulate", "--down", "dr"]);
    assert!(simulated.contains("prod"), "{simulated}");
}

#[test]
fn gateways_say_themselves_how_full_they_are() {
    let port = free_port();
    let (a, b) = (Scripted::start("127.10.78.2", port), Scripted::start("127.10.78.3", port));
    let says =
        |gateway: &Scripted, load: &str| gateway.says(Script { body: format!(r#"{{"status": "ok", "cpu": {{"percent": {load}}}}}"#), ..Script::default() });
    says(&a, "20");
    says(&b, "30");
    let node = TestNode::start(&format!(
        r#"[monitor.gateway]
url = "http://{{address}}:{port}/health"
load_from = {{ json = "$.cpu.percent" }}
interval = "1s"
timeout = "500ms"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.78.2", "127.10.78.3"]
shed = {{ over = 80, share = 30, hold = "0s" }}
[pool.dr]
monitor = "trusted"
endpoints = ["{DR}"]
[service.orders]
name = "orders.api.example.com"
max_answers = 1
policy = {{ failover = ["prod", "dr"] }}
"#
    ));
    let mut client = Client::new(node.dns);
    let load = |wanted: f64| {
        wait_for(&format!("a load of {wanted}"), PATIENCE, || (node.json(&["describe", "pool", "prod"])["shed"]["load"] == wanted).then_some(()));
    };
    load(25.0);
    assert_eq!(counted(&mut client, 50).1, 0);
    // One is hot, and the pool is not.
    says(&a, "100");
    load(65.0);
    assert_eq!(counted(&mut client, 50).1, 0);
    says(&b, "90.5");
    load(95.25);
    let (_, dr) = counted(&mut client, 200);
    assert!((56..=64).contains(&dr), "{dr} of 200");
    assert_eq!(node.json(&["describe", "pool", "prod"])["shed"]["told_by"], "monitor gateway, the mean of 2 endpoints");
    says(&b, "\"much\"");
    let warning = || node.json(&["describe", "endpoint", "prod/127.10.78.3"])["last_probe"]["warning"].as_str().unwrap_or_default().to_string();
    wait_for("a word about what it tells", PATIENCE, || warning().contains("is no load from 0 to 1000000000").then_some(()));
    says(&a, "10");
    says(&b, "10");
    wait_for("prod to keep its answers", PATIENCE, || (counted(&mut client, 20).1 == 0).then_some(()));
}

#[test]
fn every_example_of_the_page_on_shedding_is_a_configuration() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shed.md")).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("api.zone"), "$ORIGIN api.example.com.\n$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n")
        .expect("writable");
    let examples = blocks(&page, "toml");
    assert!(!examples.is_empty());
    for example in &examples {
        let text = format!("schema = 1\n[zone.\"api.example.com\"]\nfile = \"api.zone\"\n{example}");
        let file = folder.path().join("windrose.toml");
        std::fs::write(&file, &text).expect("writable");
        let said = run(Command::new(binary()).arg("check").arg(&file));
        assert_eq!(said.code, 0, "{}{}\nin\n{text}", said.out, said.err);
    }
}
