//! The audit on the real binary: written with the change, provable, tamper-evident.

use serde_json::{Value, json};

use super::http;
use super::node::TestNode;

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
[service.search]
name = "search.api.example.com"
policy = { weighted = { prod = 80, dr = 20 } }
"#
);

fn entries(node: &TestNode) -> Vec<Value> {
    node.json(&["audit", "list", "-n", "1000"])["items"].as_array().expect("a list").clone()
}

#[test]
fn every_change_and_every_refusal_is_in_the_audit_and_an_export_proves_itself() {
    let node = TestNode::start(SERVICES);
    node.ok(&["split", "search", "prod=50", "dr=50", "--reason", "CHG-1"]);
    node.ok(&["drain", "pool", "prod", "--for", "2h", "--reason", "CHG-2"]);
    node.ok(&["split", "search", "prod=10", "dr=90", "--dry-run"]);
    let token = node.ok(&["token", "create", "reader", "--scope", "read"]);
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let denied = http::over_tcp(node.admin, "PUT", "/api/v1/services/search/traffic", &[&bearer, "If-Match: *"], r#"{"policy": {"failover": ["dr"]}}"#);
    assert_eq!(denied.expect("a reply").status, 403);
    let unknown = http::over_tcp(node.admin, "GET", "/api/v1/services", &["Authorization: Bearer wr_wrong"], "");
    let unknown = unknown.expect("a reply");
    assert_eq!(unknown.status, 401);
    assert_eq!(node.cli(&["failover", "orders", "--to", "prod"]).code, 5, "it is drained");
    node.ok(&["reload"]);

    let found = super::node::wait_for("all entries", super::node::PATIENCE, || Some(entries(&node)).filter(|found| found.len() == 7));
    let told: Vec<(&str, &str, &str)> =
        found.iter().map(|entry| (entry["verb"].as_str().unwrap(), entry["outcome"].as_str().unwrap(), entry["actor"].as_str().unwrap())).collect();
    let me = told[0].2;
    let expected = [
        ("traffic.set", "done", me),
        ("override.begin", "done", me),
        ("token.create", "done", me),
        ("denied", "denied", "token:reader"),
        ("denied", "denied", ""),
        ("denied", "denied", me),
        ("server.reload", "done", me),
    ];
    assert_eq!(told, expected);
    assert_eq!((&found[0]["peer"], &found[0]["reason"], &found[0]["subject"]), (&json!("socket"), &json!("CHG-1"), &json!("service/search")));
    assert_eq!((&found[0]["before"], &found[0]["after"]), (&Value::Null, &json!({"weighted": {"prod": 50, "dr": 50}})));
    assert_eq!(found[0]["health"], json!({"prod": "up 1/1", "dr": "up 1/1"}));
    assert_eq!((&found[1]["after"]["kind"], &found[1]["after"]["target"]), (&json!("drain"), &json!("pool/prod")));
    assert_eq!((&found[3]["peer"], &found[3]["status"]), (&json!("127.0.0.1"), &json!(403)));
    assert_eq!(found[4]["request"].as_str(), unknown.header("x-request-id"));
    assert_eq!(found[5]["status"], 409);
    assert!(!found.iter().any(|entry| entry.to_string().contains(token.trim()) || entry.to_string().contains("wr_wrong")), "secrets stay out");

    // Only admins read it.
    let reader = http::over_tcp(node.admin, "GET", "/api/v1/audit", &[&bearer], "").expect("a reply");
    assert_eq!(reader.status, 403);

    let verified = node.ok(&["audit", "verify"]);
    assert!(verified.contains("entries 1 to 7"), "{verified}");
    let file = node.path("audit.jsonl");
    let exported = node.ok(&["audit", "export"]);
    std::fs::write(&file, &exported).expect("writable");
    let path = file.to_str().expect("UTF-8");
    let offline = |text: &str| {
        std::fs::write(&file, text).expect("writable");
        super::node::run(std::process::Command::new(super::node::binary()).args(["audit", "verify", "--file", path]).env("WINDROSE_SOCKET", "/nonexistent"))
    };
    assert_eq!(offline(&exported).code, 0);
    let changed = offline(&exported.replace("CHG-2", "CHG-3"));
    assert!(changed.code == 3 && changed.err.contains("broken at entry 2"), "{changed:?}");
    let lines: Vec<&str> = exported.lines().collect();
    let shorter = offline(&format!("{}\n", lines[..lines.len() - 1].join("\n")));
    assert!(shorter.code == 3 && shorter.err.contains("the end is missing"), "{shorter:?}");
    assert_eq!(offline("{}\n").code, 2);
}

#[test]
fn a_byte_changed_in_the_store_is_found_where_it_is_and_stops_nothing() {
    let mut node = TestNode::start(SERVICES);
    for change in 1..=5 {
        node.ok(&["split", "search", &format!("prod={change}"), &format!("dr={}", 100 - change), "--reason", &format!("CHG-70{change}")]);
    }
    node.stop();
    let store = node.path("store").join("windrose.redb");
    let mut octets = std::fs::read(&store).expect("readable");
    // As it stands in the audit's records: JSON in JSON.
    let needle = b"\\\"reason\\\":\\\"CHG-703";
    let places: Vec<usize> = octets.windows(needle.len()).enumerate().filter(|(_, window)| window == needle).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the record is in the file");
    places.iter().for_each(|at| octets[at + needle.len() - 1] = b'9');
    std::fs::write(&store, octets).expect("writable");
    node.launch();
    let said = node.cli(&["audit", "verify"]);
    assert!(said.code == 3 && said.err.contains("broken at entry 3") && said.err.contains("was changed"), "{said:?}");
    // It serves, and goes on.
    node.ok(&["split", "search", "prod=50", "dr=50", "--reason", "after"]);
    assert_eq!(entries(&node).last().expect("an entry")["reason"], "after");
}

#[test]
fn changes_that_were_acknowledged_are_in_the_audit_after_a_kill() {
    let mut node = TestNode::start(SERVICES);
    for round in 0..5_u64 {
        for change in 1..=4 {
            node.ok(&["split", "search", &format!("prod={change}"), &format!("dr={}", 100 - change), "--reason", &format!("r{round}-{change}")]);
        }
        node.kill();
        node.launch();
        let found = entries(&node);
        let reasons: Vec<&str> = found.iter().filter_map(|entry| entry["reason"].as_str()).collect();
        assert_eq!(reasons.len() as u64, 4 * (round + 1), "{reasons:?}");
        assert_eq!(reasons.last().copied(), Some(&*format!("r{round}-4")));
        node.ok(&["audit", "verify"]);
    }
    // The same traffic, played from the audit alone.
    let last = entries(&node).pop().expect("an entry");
    let traffic = http::over_socket(&node.socket(), "GET", "/api/v1/services/search/traffic", &[], "").expect("a reply").json();
    assert_eq!(traffic["policy"], last["after"]);
}

#[test]
fn a_flood_of_refused_calls_does_not_fill_the_store() {
    let node = TestNode::start(SERVICES);
    let mut found = Vec::new();
    for _ in 0..300 {
        let refused = http::over_tcp(node.admin, "DELETE", "/api/v1/overrides/o-1", &["Authorization: Bearer wr_guess"], "");
        found.push(refused.expect("a reply").status);
    }
    assert!(found.first() == Some(&401) && found.iter().all(|status| [401, 429].contains(status)), "slowed down after some: {found:?}");
    let found = super::node::wait_for("entries", super::node::PATIENCE, || Some(entries(&node)).filter(|found| found.len() >= 30));
    assert_eq!(found.len(), 30);
    node.ok(&["audit", "verify"]);
}
