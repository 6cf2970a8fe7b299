//! Odd answers say why, to clients that speak EDNS (RFC 8914), read with dig.

use std::process::Command;

use super::dns::Client;
use super::node::{PATIENCE, TestNode, run, tool, wait_for};

const CONFIGURATION: &str = r#"[health]
window = "1s"
[monitor.told]
push = true
ttl = "10m"
ttl_max = "10m"
down_after = 1
ok_after = 1
up_after = 1
[pool.prod]
monitor = "told"
endpoints = [{ name = "gw", address = "192.0.2.1" }]
[pool.dr]
monitor = "told"
endpoints = [{ name = "gw", address = "192.0.2.2" }]
[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
failback = "manual"
[service.search]
name = "search.api.example.com"
policy = { failover = ["prod", "dr"] }
when_all_down = "serve_all"
[service.web]
name = "web.api.example.com"
policy = { failover = ["prod", "dr"] }
when_all_down = "servfail"
"#;

fn dig(node: &TestNode, arguments: &str) -> String {
    let said = run(Command::new("dig").args(["@127.0.0.1", "-p", &node.dns.port().to_string(), "+tries=1", "+time=3"]).args(arguments.split(' ')));
    assert_eq!(said.code, 0, "dig {arguments}: {said:?}");
    said.out
}

fn tell(node: &TestNode, pool: &str, outcome: &str) {
    node.ok(&["push", &format!("{pool}/gw"), outcome]);
}

#[test]
fn dig_reads_why_an_answer_is_odd() {
    if !tool("dig") {
        return;
    }
    let mut node = TestNode::start(CONFIGURATION);
    let mut client = Client::new(node.dns);
    tell(&node, "prod", "pass");
    tell(&node, "dr", "pass");
    wait_for("prod to answer", PATIENCE, || (client.first("orders.api.example.com.") == "192.0.2.1".parse().ok()).then_some(()));
    let odd = |node: &TestNode, name: &str, wanted: &str| {
        wait_for(&format!("{name} to say {wanted}"), PATIENCE, || dig(node, &format!("{name}.api.example.com A")).contains(wanted).then_some(()));
        assert!(!dig(node, &format!("+noedns {name}.api.example.com A")).contains("EDE"), "no OPT was sent");
    };
    for name in ["orders", "search", "web"] {
        assert!(!dig(&node, &format!("{name}.api.example.com A")).contains("EDE"), "a plain answer has nothing to say");
    }
    tell(&node, "prod", "fail");
    assert!(!dig(&node, "orders.api.example.com A").contains("EDE"), "a failover is what is asked for");
    tell(&node, "prod", "pass");
    odd(&node, "orders", "EDE: 0 (Other): (something is up again and waits for failback)");
    tell(&node, "dr", "fail");
    odd(&node, "orders", "EDE: 0 (Other): (nothing else is up: this waited for failback)");
    tell(&node, "prod", "fail");
    odd(&node, "orders", "EDE: 3 (Stale Answer): (nothing is up: these were good last)");
    odd(&node, "search", "EDE: 0 (Other): (nothing is up: a last resort)");
    odd(&node, "web", "EDE: 0 (Other): (no pool is up, and when_all_down is servfail)");

    // What was known before a restart is told so until somebody confirms it.
    tell(&node, "prod", "pass");
    tell(&node, "dr", "pass");
    node.ok(&["failback", "orders"]);
    node.ok(&["freeze", "search", "--for", "1h", "--reason", "a write that is acknowledged"]);
    node.ok(&["unfreeze", "search"]);
    node.kill();
    node.launch();
    odd(&node, "orders", "EDE: 3 (Stale Answer): (health as known before a restart)");
    tell(&node, "prod", "pass");
    wait_for("a plain answer", PATIENCE, || (!dig(&node, "orders.api.example.com A").contains("EDE")).then_some(()));
}
