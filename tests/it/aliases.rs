//! Services that answer with a CNAME: to dig, to a real resolver, and when what they lead to fails.

use std::net::IpAddr;
use std::process::Command;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

use super::dns::{Client, addresses};
use super::hostnames::{Names, gate};
use super::node::{PATIENCE, TestNode, free_port, run, tool, wait_for};
use super::resolver::Resolver;

const SHOP: &str = "shop.api.example.com.";
const VENDOR: &str = "gw-vendor.internal.example";
const OTHER: &str = "gw-other.internal.example";

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
[pool.vendor]
monitor = "gate"
endpoints = [{{ name = "saas", host = "{VENDOR}" }}]
[pool.other]
monitor = "gate"
endpoints = [{{ name = "saas", host = "{OTHER}" }}]
[service.shop]
name = ["shop.api.example.com", "*.shops.api.example.com"]
answer = "cname"
policy = {{ failover = ["vendor", "other"] }}
failback = "0s"
"#,
        names.address
    )
}

/// Where the CNAME leads.
fn target(client: &mut Client, name: &str, record_type: RecordType) -> Option<String> {
    let response = client.ask(name, record_type)?;
    assert_eq!(response.metadata.response_code, ResponseCode::NoError, "{response}");
    match &response.answers[..] {
        [record] => match &record.data {
            RData::CNAME(target) => Some(target.0.to_ascii()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_of_names_answers_one_cname_that_resolvers_follow_and_fails_over_to_another() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let vendor = gate("127.10.72.1", port);
    let _other = gate("127.10.72.2", port);
    let names = Names::start(&[(VENDOR, "127.10.72.1"), (OTHER, "127.10.72.2")]);
    let node = TestNode::start(&configuration(&names, port));
    let mut client = Client::new(node.dns);
    let (to_vendor, to_other) = (format!("{VENDOR}."), format!("{OTHER}."));
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::CNAME, RecordType::MX] {
        assert_eq!(target(&mut client, SHOP, record_type), Some(to_vendor.clone()), "{record_type}");
    }
    assert_eq!(target(&mut client, "x.y.shops.api.example.com.", RecordType::A), Some(to_vendor.clone()));
    if tool("dig") {
        let [address, dig_port] = [node.dns.ip().to_string(), node.dns.port().to_string()];
        let said = run(Command::new("dig").args(["+short", &format!("@{address}"), "-p", &dig_port, SHOP, "AAAA"]));
        assert_eq!(said.out.trim(), to_vendor, "{}", said.err);
    }
    let explained = node.json(&["explain", "shop.api.example.com"]);
    assert_eq!((explained["type"].as_str(), explained["distribution"][0]["endpoints"][0]["address"].as_str()), (Some("CNAME"), Some(VENDOR)), "{explained}");
    assert!(node.ok(&["describe", "service", "shop"]).contains("a CNAME to the host name of an endpoint"));
    let counted = node.json(&["query", "shop.api.example.com", "-n", "20"]);
    assert_eq!((counted["split"][0]["pools"][0].as_str(), counted["split"][0]["count"].as_u64()), (Some("vendor"), Some(20)), "{counted}");

    // A real resolver takes it from there: the vendor's names it asks whoever has them.
    let lines = format!("\nforward-zone:\n name: \"internal.example\"\n forward-addr: {}@{}", names.address.ip(), names.address.port());
    let unbound = Resolver::start_with(node.dns, &lines);
    let mut stub = Client::new(unbound.address);
    let resolved = |stub: &mut Client, expected: &str| {
        let expected: IpAddr = expected.parse().expect("an address");
        wait_for(&format!("a client to get {expected}"), PATIENCE * 3, || {
            let response = stub.ask(SHOP, RecordType::A)?;
            (addresses(&response) == [expected]).then_some(())
        });
    };
    resolved(&mut stub, "127.10.72.1");

    // What it leads to fails.
    drop(vendor);
    wait_for("the other name", PATIENCE, || (target(&mut client, SHOP, RecordType::A) == Some(to_other.clone())).then_some(()));
    assert_eq!(target(&mut client, SHOP, RecordType::TXT), Some(to_other.clone()), "one decision for all types");
    resolved(&mut stub, "127.10.72.2");
    // And comes back.
    let _vendor = gate("127.10.72.1", port);
    wait_for("the first name", PATIENCE, || (target(&mut client, SHOP, RecordType::AAAA) == Some(to_vendor.clone())).then_some(()));
}

#[test]
fn operators_move_a_service_of_names_among_names_alone() {
    if !tool("unbound") {
        return;
    }
    let port = free_port();
    let _gates = ["127.10.72.3", "127.10.72.4"].map(|address| gate(address, port));
    let names = Names::start(&[(VENDOR, "127.10.72.3"), (OTHER, "127.10.72.4")]);
    let text = configuration(&names, port)
        + "[pool.own]\nmonitor = \"gate\"\nendpoints = [\"127.10.72.4\"]\n[service.own]\nname = \"own.api.example.com\"\npolicy = { failover = [\"own\", \"vendor\"] }\n";
    let node = TestNode::start(&text);
    let mut client = Client::new(node.dns);
    assert_eq!(target(&mut client, SHOP, RecordType::A), Some(format!("{VENDOR}.")));
    node.ok(&["failover", "shop", "--to", "other", "--reason", "test"]);
    assert_eq!(target(&mut client, SHOP, RecordType::A), Some(format!("{OTHER}.")));
    node.ok(&["drain", "pool", "other", "--for", "1h", "--reason", "test"]);
    assert_eq!(target(&mut client, SHOP, RecordType::A), Some(format!("{VENDOR}.")));
    // The same pools serve a service with addresses.
    assert_eq!(client.first("own.api.example.com."), "127.10.72.4".parse().ok());
}
