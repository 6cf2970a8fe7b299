//! Guarding against ourselves (SEMANTICS, 26 and 27): regions that go down one after the other, and a node that loses sight.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use super::dns::Client;
use super::http;
use super::node::{TestNode, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: &str = "orders.api.example.com.";

/// Something that accepts TCP connections, or refuses them.
struct Gate {
    address: SocketAddr,
    open: Option<TcpListener>,
}

impl Gate {
    fn new(address: &str, port: u16) -> Self {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        let mut gate = Self { address, open: None };
        gate.up();
        gate
    }

    fn up(&mut self) {
        // The kernel accepts into the backlog: nobody needs to take the connections, of which there are few.
        self.open = Some(TcpListener::bind(self.address).expect("a free address"));
    }

    fn down(&mut self) {
        self.open = None;
    }
}

fn configuration(port: u16, rest: &str) -> String {
    format!(
        r#"[monitor.gate]
tcp = {port}
interval = "200ms"
timeout = "150ms"
down_after = 2
ok_after = 2
up_after = 2
[pool.prod]
monitor = "gate"
endpoints = ["127.10.41.1"]
[pool.dr]
monitor = "gate"
endpoints = ["127.10.41.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
when_all_down = "nodata"
{rest}"#
    )
}

fn until(client: &mut Client, wanted: &[&str]) {
    let wanted: Vec<IpAddr> = wanted.iter().map(|address| address.parse().expect("an address")).collect();
    wait_for(&format!("{ORDERS} to answer {wanted:?}"), PATIENCE, || (client.addresses(ORDERS)? == wanted).then_some(()));
}

fn metric(node: &TestNode, sample: &str) -> bool {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().any(|line| line == sample)
}

#[test]
fn a_second_region_that_goes_down_within_the_window_is_kept_in_answers_shown_as_guarded_and_released_in_time() {
    let port = free_port();
    let (mut prod, mut dr) = (Gate::new("127.10.41.1", port), Gate::new("127.10.41.2", port));
    let node = TestNode::start(&configuration(port, "[health]\nwindow = \"4s\"\n"));
    let mut client = Client::new(node.dns);
    until(&mut client, &["127.10.41.1"]);
    prod.down();
    until(&mut client, &["127.10.41.2"]);
    dr.down();
    let said = node.wait_for_log("region dr went down within 4s of region prod");
    let held = Instant::now();
    assert!(said.contains("kept in the answers for at most 8s"), "{said}");
    assert_eq!(client.first(ORDERS), "127.10.41.2".parse().ok());
    let region = node.json(&["describe", "region", "dr"]);
    assert_eq!((region["guarded"]["after"].as_str(), region["state"].as_str()), (Some("prod"), Some("up")), "{region}");
    let endpoint = node.json(&["describe", "endpoint", "dr/127.10.41.2"]);
    assert_eq!((endpoint["guarded"].as_bool(), endpoint["state"]["observed"].as_str()), (Some(true), Some("down")), "{endpoint}");
    assert!(metric(&node, "windrose_region_guarded{region=\"dr\"} 1") && metric(&node, "windrose_region_guarded{region=\"prod\"} 0"));
    assert!(metric(&node, "windrose_endpoint_state{pool=\"dr\",region=\"dr\",endpoint=\"127.10.41.2\",state=\"guarded\"} 1"));
    let status = node.ok(&["status"]);
    assert!(status.contains("guarded: down by probes, held as up") && status.contains("region dr went down within 4s of region prod"), "{status}");
    let explained = node.ok(&["explain", "orders.api.example.com"]);
    assert!(explained.contains("held as up by the blast guard until"), "{explained}");
    assert_eq!(client.first(ORDERS), "127.10.41.2".parse().ok());

    node.wait_for_log("region dr is still down 8s after it went down");
    assert!(held.elapsed() >= Duration::from_secs(6), "released after {:?}", held.elapsed());
    until(&mut client, &[]);
    assert!(metric(&node, "windrose_region_guarded{region=\"dr\"} 0"));
    dr.up();
    until(&mut client, &["127.10.41.2"]);
}

#[test]
fn without_its_sentinels_a_node_is_blind_and_freezes_until_it_sees_again() {
    let port = free_port();
    let (mut prod, _dr) = (Gate::new("127.10.41.1", port), Gate::new("127.10.41.2", port));
    let (mut router, mut resolver) = (Gate::new("127.10.41.8", port), Gate::new("127.10.41.9", port));
    let sentinels = "[health]\nwindow = \"2s\"\n[sentinel.router]\nmonitor = \"gate\"\naddress = \"127.10.41.8\"\n[sentinel.resolver]\nmonitor = \"gate\"\naddress = \"127.10.41.9\"\n";
    let node = TestNode::start(&configuration(port, sentinels));
    let mut client = Client::new(node.dns);
    until(&mut client, &["127.10.41.1"]);
    router.down();
    wait_for("a sentinel to be down", PATIENCE, || (node.json(&["status"])["sentinels"][0]["state"] == "down").then_some(()));
    assert!(node.json(&["status"])["blind"].is_null(), "one of two sees");
    resolver.down();
    node.wait_for_log("this node is blind: all its 2 sentinels are down; decisions are frozen, answers go on");
    assert!(metric(&node, "windrose_node_blind 1") && metric(&node, "windrose_sentinel_up{sentinel=\"router\"} 0"));
    prod.down();
    node.wait_for_log("endpoint prod/127.10.41.1 is down");
    for _ in 0..20 {
        assert_eq!(client.first(ORDERS), "127.10.41.1".parse().ok(), "health moves nobody");
    }
    let status = node.ok(&["status"]);
    assert!(status.contains("this node is blind: all its 2 sentinels are down"), "{status}");
    let explained = node.ok(&["explain", "orders.api.example.com"]);
    assert!(explained.contains("it answers as decided before, whatever health says"), "{explained}");
    // Operators do.
    node.ok(&["force-down", "region", "prod", "--reason", "it is on fire"]);
    until(&mut client, &["127.10.41.2"]);
    node.ok(&["unforce", "region", "prod"]);
    until(&mut client, &["127.10.41.1"]);

    router.up();
    node.wait_for_log("this node sees again after");
    until(&mut client, &["127.10.41.2"]);
    assert!(node.json(&["status"])["blind"].is_null() && metric(&node, "windrose_node_blind 0"));
}
