//! Answers by measured latency, on the real binary: measurements are pushed, orders hold against noise, regions fall, time passes, the process is killed.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::dns::Client;
use super::http::{over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, run, tool, wait_for};

const ORDERS: &str = "orders.api.example.com.";
const PROD: &str = "192.0.2.1";
const DR: &str = "192.0.2.2";
const EU: &str = "192.0.2.3";
const ONE: &str = "127.61.1.9";
/// Of its network the file knows where it is.
const TWO: &str = "127.62.1.9";
const NOBODY: &str = "127.63.1.9";

fn configuration(max_age: &str, among: &str) -> String {
    let mut text = format!(
        "[latency]\nmax_age = \"{max_age}\"\n[monitor.told]\npush = true\nttl = \"1h\"\nttl_max = \"1h\"\ndown_after = 1\nok_after = 1\nup_after = 1\n"
    );
    for (name, address, place) in [("prod", PROD, "50.11, 8.68"), ("dr", DR, "40.71, -74.01"), ("eu", EU, "53.35, -6.26")] {
        text +=
            &format!("[region.{name}]\nlocation = [{place}]\n[pool.{name}]\nmonitor = \"told\"\nendpoints = [{{ name = \"gw\", address = \"{address}\" }}]\n");
    }
    text += "[network.newyork]\nprefixes = [\"127.62.0.0/16\"]\nlocation = [40.0, -74.0]\n";
    text + &format!("[service.orders]\nname = \"orders.api.example.com\"\nttl = \"2s\"\npolicy = {{ latency = [{among}] }}\nfailback = \"0s\"\n")
}

const ALL: &str = "\"prod\", \"dr\", \"eu\"";

fn answer(node: &TestNode, from: &str) -> Option<IpAddr> {
    Client::from_address(from.parse().expect("an address"), node.dns, Duration::from_secs(2)).first(ORDERS)
}

fn comes_to(node: &TestNode, from: &str, address: &str) {
    let wanted = address.parse().ok();
    wait_for(&format!("{from} to get {address}"), 3 * PATIENCE, || (answer(node, from) == wanted).then_some(()));
}

fn push(node: &TestNode, lines: &str) -> String {
    let file = node.path("measured.csv");
    std::fs::write(&file, lines).expect("writable");
    node.ok(&["latency", "push", file.to_str().expect("UTF-8")])
}

fn sample(node: &TestNode, name: &str) -> Option<f64> {
    let text = over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn told(node: &TestNode) {
    for pool in ["prod", "dr", "eu"] {
        node.ok(&["push", &format!("{pool}/gw"), "pass"]);
    }
}

#[test]
fn clients_get_the_region_that_is_quickest_for_their_network_and_keep_it_through_noise_outage_reload_upgrade_and_a_kill() {
    let mut node = TestNode::start(&configuration("24h", ALL));
    told(&node);
    // Nothing is measured: the nearest, or the first of which is written.
    comes_to(&node, ONE, PROD);
    comes_to(&node, TWO, DR);
    let said = push(
        &node,
        "network,region,ms,samples\n127.61.1.7,prod,80\n127.61.1.0/24,dr,20\n127.61.1.0/24,eu,50\n127.62.1.0/24,eu,15,3\n127.62.1.0/24,prod,90\n127.62.1.0/24,dr,60 # a comment\n",
    );
    assert_eq!(said, "6 measurements of 2 networks taken: 2 orders of regions changed; 2 networks known\n");
    comes_to(&node, ONE, DR);
    comes_to(&node, TWO, EU);
    comes_to(&node, NOBODY, PROD);
    assert_eq!(sample(&node, "windrose_latency_networks"), Some(2.0));

    // 17 ms are better than 20 ms, by 15 %: that is not enough. eu is passed.
    assert!(push(&node, "127.61.1.0/24,prod,17,1000000").contains("1 order "), "it passes eu");
    let parts = [
        "measured from 127.61.1.0/24: dr 20 ms",
        "prod is better than dr by 3 ms and 15 %; it goes before it from 10ms and 20 % on",
        "quickest first, as measured: dr, prod, eu",
    ];
    wait_for("explain to say why", PATIENCE, || {
        let why = node.ok(&["explain", "orders.api.example.com", "--client", ONE]);
        parts.iter().all(|part| why.contains(part)).then_some(())
    });
    let shown = node.json(&["latency", "list", ONE]);
    let regions: Vec<&str> = shown["items"][0]["regions"].as_array().expect("a list").iter().filter_map(|region| region["region"].as_str()).collect();
    assert_eq!((regions, shown["items"][0]["network"].as_str()), (vec!["dr", "prod", "eu"], Some("127.61.1.0/24")));
    assert_eq!(answer(&node, ONE), DR.parse().ok());

    // Health comes before latency.
    node.ok(&["push", "dr/gw", "fail"]);
    comes_to(&node, ONE, PROD);
    comes_to(&node, TWO, EU);
    node.ok(&["push", "dr/gw", "pass"]);
    comes_to(&node, ONE, DR);
    let imagined = node.ok(&["simulate", "--down", "dr"]);
    assert!(imagined.contains("prod"), "{imagined}");

    // What was acknowledged is there after a kill, at the first answer.
    node.kill();
    node.launch();
    assert_eq!([ONE, TWO, NOBODY].map(|from| answer(&node, from)), [DR, EU, PROD].map(|address| address.parse().ok()));
    node.upgrade();
    assert_eq!([ONE, TWO, NOBODY].map(|from| answer(&node, from)), [DR, EU, PROD].map(|address| address.parse().ok()));
    assert_eq!(node.json(&["latency", "list", ONE])["items"][0]["regions"][0]["region"], "dr", "the order goes on, too");

    // A reload that takes a region out of the policy keeps what is known of it.
    node.configure(&configuration("24h", "\"prod\", \"dr\""));
    let planned = node.cli(&["plan"]);
    assert_eq!(planned.code, 3, "{}", planned.err);
    assert!(planned.out.contains("127.62.1.0/24: eu 100% → dr 100%"), "{}", planned.out);
    node.ok(&["reload"]);
    comes_to(&node, TWO, DR);
    assert_eq!(answer(&node, ONE), DR.parse().ok());
    node.configure(&configuration("24h", ALL));
    node.ok(&["reload"]);
    comes_to(&node, TWO, EU);

    // More of it moves an order; what is taken back counts no more.
    assert!(push(&node, "127.61.1.0/24,prod,5,1000000").contains("1 order "));
    comes_to(&node, ONE, PROD);
    assert_eq!(node.ok(&["latency", "forget", "127.62.0.0/16"]), "1 network forgotten; 1 network known\n");
    comes_to(&node, TWO, DR);
}

#[test]
fn scopes_end_where_measured_networks_do() {
    if !tool("dig") {
        println!("skipped: dig is not installed");
        return;
    }
    let node = TestNode::start(&configuration("24h", ALL));
    push(&node, "203.0.113.77,prod,80\n203.0.113.0/24,dr,20\n198.51.0.0/16,eu,20\n198.51.0.0/16,prod,50\n198.51.100.0/24,eu,200\n198.51.100.0/24,dr,20");
    let dig = |subnet: &str| {
        let subnet = format!("+subnet={subnet}");
        let server = format!("@{}", node.dns.ip());
        run(Command::new("dig").args([&server, "-p", &node.dns.port().to_string(), "+norecurse", "+tries=3", &subnet, ORDERS, "A"])).out
    };
    let says = |subnet: &str, address: &str, scope: &str| {
        wait_for(&format!("{subnet} to get {address}, {scope}"), 3 * PATIENCE, || {
            let said = dig(subnet);
            (said.contains(address) && said.contains(&format!("CLIENT-SUBNET: {scope}"))).then_some(())
        });
    };
    says("203.0.113.0/24", DR, "203.0.113.0/24/24");
    says("198.51.100.0/24", DR, "198.51.100.0/24/24");
    says("198.51.0.0/24", EU, "198.51.0.0/24/18");
    says("198.51.200.0/24", EU, "198.51.200.0/24/17");
}

#[test]
fn what_is_too_old_counts_no_more_and_that_is_told() {
    let node = TestNode::start(&configuration("15s", ALL));
    told(&node);
    push(&node, "127.61.1.0/24,prod,80\n127.61.1.0/24,dr,20");
    comes_to(&node, ONE, DR);
    comes_to(&node, ONE, PROD);
    wait_for("the event", PATIENCE, || node.ok(&["events", "--type", "latency.ran_out"]).contains("younger than 15s").then_some(()));
    assert_eq!((sample(&node, "windrose_latency_networks"), sample(&node, "windrose_latency_newest_timestamp_seconds")), (Some(0.0), None));
    assert_eq!(node.ok(&["latency", "list"]), "nothing is known of latency there\n");
}

#[test]
fn a_push_is_taken_whole_or_refused_with_every_fault_named() {
    let node = TestNode::start(&configuration("24h", ALL));
    let put = |body: serde_json::Value| over_socket(&node.socket(), "PUT", "/api/v1/latency", &[], &body.to_string()).expect("an answer");
    let bad = json!({ "at": "2000-01-01T00:00:00Z", "measurements": [
        { "network": "127.61.1.0/24", "region": "prod", "ms": 20 },
        { "network": "127.61.1.0/33", "region": "prod", "ms": 0 },
        { "network": "127.61.1.0/24", "region": "porod", "ms": 20 },
    ] });
    let refused = put(bad);
    let problem = refused.json();
    let pointers: Vec<&str> = problem["errors"].as_array().expect("faults").iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    assert_eq!((refused.status, pointers), (400, vec!["/measurements/1/network", "/measurements/1/ms", "/at", "/measurements/2/region"]), "{problem}");
    let list = |query: &str| over_socket(&node.socket(), "GET", &format!("/api/v1/latency{query}"), &[], "").expect("an answer").json();
    assert_eq!(list("")["items"], json!([]));
    let many: Vec<_> =
        (0..25).map(|net| json!({ "network": format!("10.{net}.0.0/16"), "region": if net % 2 == 0 { "prod" } else { "dr" }, "ms": 20.5 })).collect();
    let taken = put(json!({ "measurements": many }));
    assert_eq!((taken.status, taken.json()), (200, json!({ "networks": 25, "reordered": 0, "forgotten": 0, "known": 25 })));
    // Pages go on where the one before ended, with the same filter.
    let page = list("?region=dr&limit=5");
    let cursor = page["next_cursor"].as_str().expect("there are more").to_string();
    let next = list(&format!("?region=dr&limit=50&cursor={cursor}"));
    let networks = |page: &serde_json::Value| {
        page["items"].as_array().expect("a list").iter().map(|item| item["network"].as_str().expect("text").to_string()).collect::<Vec<_>>()
    };
    let all: Vec<String> = networks(&page).into_iter().chain(networks(&next)).collect();
    assert_eq!(all, (0..12).map(|at| format!("10.{}.0.0/16", 2 * at + 1)).collect::<Vec<_>>());
    let nothing = over_socket(&node.socket(), "DELETE", "/api/v1/latency", &[], "").expect("an answer");
    assert_eq!((nothing.status, nothing.json()["errors"][0]["pointer"].as_str()), (400, Some("/network")));
    let gone = over_socket(&node.socket(), "DELETE", "/api/v1/latency?region=dr", &[], "").expect("an answer");
    assert_eq!((gone.status, gone.json()["known"].as_u64()), (200, Some(13)));
}
