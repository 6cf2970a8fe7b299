//! Gateways with host names: a real unbound resolves them, changes its mind, lies and dies.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::dns::{Client, addresses};
use super::http;
use super::node::{PATIENCE, TestNode, free_port, signal, tool, wait_for};

const ORDERS: &str = "orders.api.example.com.";
const PROD: &str = "gw-prod.internal.example";
const DR: &str = "gw-dr.internal.example";

/// An unbound that knows a few names of its own, for five seconds each.
pub struct Names {
    pub address: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
}

impl Names {
    pub fn start(records: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-names-").tempdir().expect("a folder");
        let mut names = Self { address: SocketAddr::from(([127, 0, 0, 1], free_port())), folder, child: None };
        names.write(records);
        names.up();
        names
    }

    pub fn write(&self, records: &[(&str, &str)]) {
        let records: String = records
            .iter()
            .map(|(name, address)| format!(" local-data: \"{name}. 5 IN {} {address}\"\n", if address.contains(':') { "AAAA" } else { "A" }))
            .collect();
        let text = format!(
            "server:\n interface: {}@{}\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n local-zone: \"internal.example.\" static\n{records}remote-control:\n control-enable: no\n",
            self.address.ip(),
            self.address.port(),
            self.folder.path().display(),
        );
        std::fs::write(self.folder.path().join("unbound.conf"), text).expect("writable");
    }

    pub fn up(&mut self) {
        let config = self.folder.path().join("unbound.conf");
        self.child =
            Some(Command::new("unbound").arg("-d").arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("unbound starts"));
        self.until("internal.example.", |code, _| code == ResponseCode::NoError);
    }

    /// Waits until unbound itself says so: a HUP takes effect when it likes.
    pub fn until(&self, name: &str, mut says: impl FnMut(ResponseCode, Vec<String>) -> bool) {
        wait_for("unbound to say so", PATIENCE, || {
            let response = Client::with_timeout(self.address, Duration::from_millis(500)).ask(name, RecordType::A)?;
            let found = addresses(&response).iter().map(ToString::to_string).collect();
            says(response.metadata.response_code, found).then_some(())
        });
    }

    pub fn change(&self, records: &[(&str, &str)]) {
        self.write(records);
        signal(self.child.as_ref().expect("it runs").id(), "HUP");
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Something that accepts TCP connections; the kernel takes them into the backlog.
pub fn gate(address: &str, port: u16) -> TcpListener {
    TcpListener::bind((address, port)).expect("a free address")
}

fn configuration(resolver: SocketAddr, port: u16) -> String {
    format!(
        r#"[resolver]
servers = ["{resolver}"]
timeout = "300ms"
attempts = 1
[monitor.gate]
tcp = 1
interval = "500ms"
timeout = "400ms"
down_after = 2
ok_after = 2
up_after = 2
[pool.prod]
monitor = "gate"
endpoints = [{{ name = "gw", address = "192.0.2.10", connect = "{PROD}:{port}" }}]
[pool.dr]
monitor = "gate"
endpoints = [{{ name = "gw", address = "198.51.100.10", connect = "{DR}:{port}" }}]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
when_all_down = "nodata"
"#
    )
}

fn endpoint(node: &TestNode, id: &str) -> Value {
    node.json(&["describe", "endpoint", id])
}

fn resolved(node: &TestNode, id: &str) -> Value {
    endpoint(node, id)["last_probe"]["resolved"]["addresses"].clone()
}

/// The value of a sample.
fn sample(node: &TestNode, name: &str) -> f64 {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or_else(|| panic!("no sample {name}"))
}

/// Changes of verdicts, however they went.
fn flips(node: &TestNode) -> f64 {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    let rows = text.lines().filter(|line| line.starts_with("windrose_endpoint_state_changes_total{"));
    rows.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn a_probe_follows_its_host_name_and_a_dead_or_lying_resolver_takes_nobody_down() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let (old, _new, _dr) = (gate("127.10.61.1", port), gate("127.10.61.2", port), gate("127.10.61.3", port));
    let mut names = Names::start(&[(PROD, "127.10.61.1"), (DR, "127.10.61.3")]);
    let node = TestNode::start(&configuration(names.address, port));
    let mut client = Client::new(node.dns);
    assert_eq!(client.first(ORDERS), "192.0.2.10".parse().ok(), "what is answered is the address in the file");
    let shown = endpoint(&node, "prod/gw");
    assert_eq!((shown["address"].as_str(), shown["connect"].as_str()), (Some("192.0.2.10"), Some(&*format!("{PROD}:{port}"))), "{shown}");
    assert_eq!(shown["last_probe"]["resolved"]["addresses"][0], "127.10.61.1", "{shown}");
    let told = node.ok(&["describe", "endpoint", "prod/gw"]);
    assert!(told.contains(&format!("{PROD}:{port} (127.10.61.1, resolved at ")), "{told}");

    // The gateway moves; within the TTL its probes do, too.
    names.change(&[(PROD, "127.10.61.2"), (DR, "127.10.61.3")]);
    names.until(&format!("{PROD}."), |_, found| found == ["127.10.61.2"]);
    wait_for("the probe to follow", PATIENCE, || (resolved(&node, "prod/gw")[0] == "127.10.61.2").then_some(()));
    drop(old);
    let asked = sample(&node, "windrose_resolver_lookups_total{outcome=\"pass\"}");
    wait_for("another round of the resolver", PATIENCE, || (asked + 2.0 <= sample(&node, "windrose_resolver_lookups_total{outcome=\"pass\"}")).then_some(()));
    assert_eq!(endpoint(&node, "prod/gw")["state"]["observed"], "up", "nobody is probed at the old address any more");

    // The names vanish: whoever deletes a zone by mistake takes no gateway down.
    let before = flips(&node);
    names.change(&[]);
    node.wait_for_log(&format!("host name {PROD} can't be resolved any more, its last addresses serve on: {} says NXDOMAIN", names.address));
    // And then the resolver dies.
    names.kill();
    let warning = |what: &str| {
        wait_for(what, PATIENCE, || {
            let warning = endpoint(&node, "prod/gw")["last_probe"]["warning"].as_str().unwrap_or_default().to_string();
            warning.contains(what).then_some(warning)
        })
    };
    let said = warning(&format!("since then: connection refused by {}", names.address));
    assert!(said.starts_with(&format!("{PROD} was last resolved ")), "{said}");
    assert!(node.ok(&["describe", "endpoint", "prod/gw"]).contains("was last resolved "));
    assert!(5.0 <= sample(&node, &format!("windrose_resolver_age_seconds{{host=\"{PROD}\",family=\"ipv4\"}}")), "older than its TTL");
    assert_eq!(sample(&node, &format!("windrose_resolver_resolved{{host=\"{PROD}\",family=\"ipv4\"}}")), 0.0);
    assert_eq!((flips(&node), client.first(ORDERS)), (before, "192.0.2.10".parse().ok()), "no verdict changed");
    // A reload asks again and keeps what it has.
    node.ok(&["reload"]);
    assert_eq!(resolved(&node, "prod/gw")[0], "127.10.61.2");

    // It comes back with another address.
    names.write(&[(PROD, "127.10.61.3"), (DR, "127.10.61.3")]);
    names.up();
    wait_for("the probe to follow again", PATIENCE * 2, || (resolved(&node, "prod/gw")[0] == "127.10.61.3").then_some(()));
    assert!(endpoint(&node, "prod/gw")["last_probe"]["warning"].is_null());
    assert_eq!((flips(&node), client.first(ORDERS)), (before, "192.0.2.10".parse().ok()));
}

#[test]
fn a_node_that_starts_beside_a_dead_resolver_says_why_and_is_blind_rather_than_wrong() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let _gates = (gate("127.10.62.1", port), gate("127.10.62.2", port));
    let mut names = Names::start(&[(PROD, "127.10.62.1"), (DR, "127.10.62.2")]);
    // A mass begins with five endpoints: three more addresses of each gateway.
    let one =
        |region: &str, address: &str, connect: &str| format!("endpoints = [{{ name = \"{region}\", address = \"{address}\", connect = \"{connect}:{port}\" }}");
    let more = |network: &str, connect: &str| {
        (11..14).map(|last| format!(", {{ address = \"{network}.{last}\", connect = \"{connect}:{port}\" }}")).collect::<String>()
    };
    let text = configuration(names.address, port);
    let text = text.replace(&one("gw", "192.0.2.10", PROD), &(one("gw", "192.0.2.10", PROD) + &more("192.0.2", PROD)));
    let text = text.replace(&one("gw", "198.51.100.10", DR), &(one("gw", "198.51.100.10", DR) + &more("198.51.100", DR)));
    let mut node = TestNode::start(&text);
    let mut client = Client::new(node.dns);
    assert_eq!(client.addresses(ORDERS).map(|found| found.len()), Some(4));
    node.stop();
    names.kill();
    node.launch();
    let said = node.wait_for_log("this node is blind");
    let reason = format!("{PROD} can't be resolved: connection refused by {}", names.address);
    assert!(said.contains("8 endpoints in 2 regions went down") && said.contains(&format!("8 of 8 by `resolve`: {reason}")), "{said}");
    let down = endpoint(&node, "prod/gw");
    assert_eq!((down["last_probe"]["reason"].as_str(), down["last_probe"]["message"].as_str()), (Some("resolve"), Some(&*reason)), "{down}");
    let mut client = Client::new(node.dns);
    assert_eq!(client.addresses(ORDERS).map(|found| found.len()), Some(4), "frozen, and answering");
    names.up();
    node.wait_for_log("sees again");
    assert_eq!(client.addresses(ORDERS).map(|found| found.len()), Some(4));
}
