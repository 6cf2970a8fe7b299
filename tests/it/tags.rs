//! Overrides by tag and by pattern on the real binary: a zonal shift, and what it leaves behind.

use std::net::IpAddr;

use super::dns::Client;
use super::node::{PATIENCE, TestNode, wait_for};

const POOLS: &str = "[monitor.up]\nalways = \"up\"\n[region.eu-west]\n[region.eu-north]\n\
[pool.prod]\nregion = \"eu-west\"\nmonitor = \"up\"\nendpoints = [{ address = \"192.0.2.1\", tags = [\"az-1\"] }, { address = \"192.0.2.2\", tags = [\"az-2\"] }]\n\
[pool.dr]\nregion = \"eu-north\"\nmonitor = \"up\"\ntags = [\"az-1\"]\nendpoints = [\"192.0.2.3\"]\n\
[pool.far]\nmonitor = \"up\"\nendpoints = [\"192.0.2.9\"]\n";
const SERVICES: &str = "[service.orders]\nname = \"orders.api.example.com\"\npolicy = { failover = [\"prod\", \"far\"] }\n\
[service.search]\nname = \"search.api.example.com\"\npolicy = { failover = [\"dr\", \"far\"] }\n";
const ORDERS: &str = "orders.api.example.com.";
const SEARCH: &str = "search.api.example.com.";

fn answers(client: &mut Client, name: &str) -> Vec<String> {
    let mut found: Vec<IpAddr> = client.addresses(name).expect("an answer");
    found.sort();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_zonal_shift_takes_one_zone_out_of_every_service_and_gives_it_back() {
    let node = TestNode::start(&format!("{POOLS}{SERVICES}"));
    let mut client = Client::new(node.dns);
    let said = node.ok(&["drain", "tag", "az-1", "--for", "1h", "--reason", "zone az-1 loses packets"]);
    assert!(said.contains("tag/az-1 is 2 endpoints now: prod/192.0.2.1 dr/192.0.2.3"), "{said}");
    assert!(said.contains("undo: windrose undrain tag az-1"), "{said}");
    assert_eq!((answers(&mut client, ORDERS), answers(&mut client, SEARCH)), (vec!["192.0.2.2".to_string()], vec!["192.0.2.9".to_string()]));
    let table = node.ok(&["get", "overrides"]);
    for word in ["MATCHES", "tag/az-1", "prod/192.0.2.1 dr/192.0.2.3", "zone az-1 loses packets", "socket:"] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    let listed = node.json(&["get", "overrides"]);
    assert_eq!((listed["items"][0]["matches_total"].as_u64(), listed["items"][0]["matched"].as_bool()), (Some(2), Some(true)));
    node.ok(&["undrain", "tag", "az-1"]);
    assert_eq!(
        (answers(&mut client, ORDERS), answers(&mut client, SEARCH)),
        (vec!["192.0.2.1".to_string(), "192.0.2.2".to_string()], vec!["192.0.2.3".to_string()])
    );
}

#[test]
fn tags_and_patterns_survive_kill_9_and_are_looked_up_again_by_a_reload() {
    let mut node = TestNode::start(&format!("{POOLS}{SERVICES}"));
    node.ok(&["force-down", "tag", "az-1", "--for", "1h"]);
    node.ok(&["drain", "region", "eu-*"]);
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    assert_eq!((answers(&mut client, ORDERS), answers(&mut client, SEARCH)), (vec!["192.0.2.9".to_string()], vec!["192.0.2.9".to_string()]));
    node.ok(&["undrain", "region", "eu-*"]);
    assert_eq!(answers(&mut client, ORDERS), ["192.0.2.2"], "az-1 is forced down yet");
    // The other one gets the tag.
    node.configure(&format!("{}{SERVICES}", POOLS.replace("tags = [\"az-2\"]", "tags = [\"az-1\"]").replacen("tags = [\"az-1\"]", "tags = [\"az-2\"]", 1)));
    let plan = node.cli(&["plan"]);
    assert!(plan.code == 3 && plan.out.contains("tags: az-1 → az-2"), "{plan:?}");
    node.ok(&["reload"]);
    assert_eq!(answers(&mut client, ORDERS), ["192.0.2.1"]);
    // Nobody has it any more: kept, and shown as such.
    node.configure(&format!("{}{SERVICES}", POOLS.replace("az-1", "az-9")));
    node.ok(&["reload"]);
    assert!(node.ok(&["get", "overrides"]).contains("tag/az-1 (does not exist)"));
    wait_for("both to answer", PATIENCE, || (answers(&mut client, ORDERS).len() == 2).then_some(()));
}

#[test]
fn a_tag_that_nobody_has_is_refused_with_the_nearest_one_and_an_override_is_extended() {
    let node = TestNode::start(&format!("{POOLS}{SERVICES}"));
    let said = node.cli(&["drain", "tag", "az1", "--for", "1h"]);
    assert!(said.code == 1 && said.err.contains("did you mean `az-"), "{said:?}");
    node.ok(&["drain", "endpoint", "prod/*", "--for", "1h"]);
    let before = node.json(&["get", "overrides"])["items"][0]["ends"].clone();
    node.ok(&["extend", "o-1", "--for", "3h"]);
    let after = node.json(&["get", "overrides"])["items"][0]["ends"].clone();
    assert!(before.as_str() < after.as_str(), "{before} {after}");
}
