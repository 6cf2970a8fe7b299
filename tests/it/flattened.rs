//! Host names whose addresses are answered: a real unbound knows them, changes its mind and dies; the node answers on, over kills and upgrades.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::dns::{Client, addresses};
use super::hostnames::{Names, gate};
use super::node::{PATIENCE, TestNode, free_port, tool, wait_for};

const APEX: &str = "api.example.com.";
const VENDOR: &str = "gw.internal.example";

fn configuration(names: &Names, port: u16) -> String {
    format!(
        r#"[resolver]
servers = ["{}"]
timeout = "300ms"
attempts = 1
[monitor.gate]
tcp = {port}
interval = "500ms"
timeout = "400ms"
down_after = 2
ok_after = 2
up_after = 2
[pool.saas]
monitor = "gate"
endpoints = [{{ name = "gw", host = "{VENDOR}" }}]
[pool.own]
monitor = "gate"
endpoints = ["127.10.71.9"]
[service.root]
name = "api.example.com"
policy = {{ failover = ["saas", "own"] }}
failback = "0s"
ttl = "30s"
[service.alone]
name = "alone.api.example.com"
policy = {{ failover = ["saas"] }}
when_all_down = "serve_all"
"#,
        names.address
    )
}

/// What is answered, sorted, once it is this.
fn until(client: &mut Client, name: &str, record_type: RecordType, expected: &[&str]) {
    let mut last = None;
    wait_for(&format!("{name} {record_type} to be {expected:?}"), PATIENCE * 2, || {
        let response = client.ask(name, record_type)?;
        let mut found: Vec<String> = addresses(&response).iter().map(ToString::to_string).collect();
        found.sort();
        let fits = response.metadata.response_code == ResponseCode::NoError && found == expected;
        last = Some(found);
        fits.then_some(())
    });
}

#[test]
fn a_name_is_answered_with_its_addresses_also_at_the_apex_and_its_last_good_ones_outlive_its_resolver_and_this_process() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let _gates = ["127.10.71.1", "127.10.71.2", "127.10.71.3", "127.10.71.9"].map(|address| gate(address, port));
    let mut names = Names::start(&[(VENDOR, "127.10.71.1"), (VENDOR, "127.10.71.2"), (VENDOR, "2001:db8::71")]);
    let mut node = TestNode::start(&configuration(&names, port));
    let mut client = Client::new(node.dns);
    until(&mut client, APEX, RecordType::A, &["127.10.71.1", "127.10.71.2"]);
    until(&mut client, APEX, RecordType::AAAA, &["2001:db8::71"]);
    let response = client.ask(APEX, RecordType::A).expect("a response");
    assert!(response.answers.iter().all(|record| record.ttl == 5), "as the record's: {response}");
    let shown = node.json(&["describe", "endpoint", "saas/gw"]);
    assert_eq!((shown["address"].as_str(), shown["host"]["ttl_seconds"].as_u64()), (Some(VENDOR), Some(5)), "{shown}");
    assert!(node.ok(&["explain", "api.example.com"]).contains(&format!("because the resolver keeps {VENDOR} for 5 s")));
    // The zone's own records stand beside it.
    let soa = client.ask(APEX, RecordType::SOA).expect("a response");
    assert_eq!(soa.answers.len(), 1, "{soa}");

    // The vendor moves: answers follow by themselves. Without AAAA records there are none.
    names.change(&[(VENDOR, "127.10.71.3")]);
    until(&mut client, APEX, RecordType::A, &["127.10.71.3"]);
    until(&mut client, APEX, RecordType::AAAA, &[]);
    node.wait_for_log(&format!("host name {VENDOR} has other addresses: 127.10.71.3, before "));

    // The resolver dies: its last answer serves on, beyond its TTL, and that is said.
    names.kill();
    node.wait_for_log(&format!("host name {VENDOR} can't be resolved any more, its addresses of "));
    assert!(node.ok(&["status"]).contains(&format!("{VENDOR} answers with its addresses of ")));
    until(&mut client, APEX, RecordType::A, &["127.10.71.3"]);
    // And so does this process.
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    until(&mut client, APEX, RecordType::A, &["127.10.71.3"]);
    wait_for("a probe of the name after the start", PATIENCE, || {
        let shown = node.json(&["describe", "endpoint", "saas/gw"]);
        (shown["stale"] == false && shown["last_probe"]["outcome"] == "pass" && shown["state"]["observed"] == "up").then_some(())
    });
    node.upgrade();
    until(&mut client, APEX, RecordType::A, &["127.10.71.3"]);

    // It comes back, and so do answers that are fresh.
    names.write(&[(VENDOR, "127.10.71.1")]);
    names.up();
    until(&mut client, APEX, RecordType::A, &["127.10.71.1"]);
    node.wait_for_log(&format!("host name {VENDOR} is resolved again"));
}

#[test]
fn what_was_never_resolved_is_failed_over_from_and_alone_it_is_servfail_with_a_reason() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let _gates = ["127.10.71.4", "127.10.71.9"].map(|address| gate(address, port));
    let names = Names::start(&[("other.internal.example", "127.10.71.9")]);
    let node = TestNode::start(&configuration(&names, port).replace("127.10.71.9", "127.10.71.4"));
    let mut client = Client::new(node.dns);
    until(&mut client, APEX, RecordType::A, &["127.10.71.4"]);
    let response = client.ask("alone.api.example.com.", RecordType::A).expect("a response");
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail, "{response}");
    assert!(node.ok(&["explain", "alone.api.example.com"]).contains(&format!("{VENDOR} was never resolved")));
    names.change(&[("other.internal.example", "127.10.71.9"), (VENDOR, "127.10.71.4")]);
    until(&mut client, "alone.api.example.com.", RecordType::A, &["127.10.71.4"]);
    // No AAAA record: that is no failure.
    until(&mut client, "alone.api.example.com.", RecordType::AAAA, &[]);
}
