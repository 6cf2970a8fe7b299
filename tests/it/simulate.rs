//! What if, on the real binary: simulate by CLI and API, and how a change's old answers fade.

use super::dns::Client;
use super::http;
use super::node::TestNode;

const ESTATE: &str = "[monitor.up]\nalways = \"up\"\n[region.eu]\ncapacity = 100\n[region.us]\ncapacity = 60\n[region.ap]\ncapacity = 100\n\
     [pool.eu]\nregion = \"eu\"\nmonitor = \"up\"\nendpoints = [\"192.0.2.1\"]\n\
     [pool.us]\nregion = \"us\"\nmonitor = \"up\"\nendpoints = [\"192.0.2.2\"]\n\
     [pool.ap]\nregion = \"ap\"\nmonitor = \"up\"\nendpoints = [\"192.0.2.3\"]\n\
     [service.orders]\nname = \"orders.api.example.com\"\nttl = \"60s\"\npolicy = { failover = [\"eu\", \"us\", \"ap\"] }\n";
const NAME: &str = "orders.api.example.com.";

#[test]
fn a_simulation_follows_the_cascade_and_changes_nothing() {
    let node = TestNode::start(ESTATE);
    let mut client = Client::new(node.dns);
    let said = node.cli(&["simulate", "--down", "eu", "--at", "peak"]);
    assert_eq!(said.code, 3, "{said:?}");
    for part in ["cascade 1: us falls", "orders", "✖ falls, overloaded", "eu/192.0.2.1 is not probed", "98% moved by", "nothing was changed"] {
        assert!(said.out.contains(part), "no `{part}` in {}", said.out);
    }
    assert_eq!(client.first(NAME), Some([192, 0, 2, 1].into()));
    let held = node.cli(&["simulate", "--down", "us"]);
    assert!(held.code == 0 && held.out.contains("no answer would move"), "{held:?}");
    let all = node.cli(&["simulate", "--down", "eu", "--also", "us", "--also", "pool/ap"]);
    assert!(all.code == 3 && all.out.contains("nothing would be up for 1 service"), "{all:?}");
    let wrong = node.cli(&["simulate", "--down", "euu"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("did you mean `eu`"), "{wrong:?}");
    // What was foretold is what comes.
    node.ok(&["force-down", "region", "eu", "--reason", "drill", "--break-glass", "capacity"]);
    assert_eq!(client.first(NAME), Some([192, 0, 2, 2].into()));
}

#[test]
fn another_file_is_simulated_on_todays_health() {
    let node = TestNode::start(ESTATE);
    let other = node.path("other.toml");
    let text = std::fs::read_to_string(node.config()).expect("readable").replace("[\"eu\", \"us\", \"ap\"]", "[\"ap\", \"us\"]");
    std::fs::write(&other, text).expect("writable");
    let other = other.to_str().expect("UTF-8");
    let said = node.cli(&["simulate", "--config", other]);
    assert!(said.code == 0 && said.out.contains("▼ 100.0") && said.out.contains("▲ 100.0"), "{said:?}");
    let json = node.json(&["simulate", "--config", other, "--down", "eu"]);
    assert_eq!(json["services"][0]["after"], serde_json::json!({"ap": 100}), "{json}");
    let down = node.cli(&["simulate", "--config", other, "--down", "ap"]);
    assert!(down.code == 3 && down.out.contains("us falls"), "{down:?}");
    std::fs::write(other, "schema = 1\n[pool.x]\nendpionts = []\n").expect("writable");
    let bad = node.cli(&["simulate", "--config", other]);
    assert!(bad.code == 2 && bad.err.contains("endpionts"), "{bad:?}");
    assert_eq!(Client::new(node.dns).first(NAME), Some([192, 0, 2, 1].into()), "nothing was changed");
}

#[test]
fn the_api_says_the_same_and_every_wrong_name_at_once() {
    let node = TestNode::start(ESTATE);
    let ask = |body: &str| http::over_socket(&node.socket(), "POST", "/api/v1/simulate", &[], body).expect("it answers");
    let found = ask(r#"{"down": ["eu"], "at": "peak"}"#);
    assert_eq!(found.status, 200, "{}", found.body);
    let json = found.json();
    assert_eq!(json["cascade"][0]["region"], "us");
    assert_eq!((&json["services"][0]["before"], &json["services"][0]["after"]), (&serde_json::json!({"eu": 100}), &serde_json::json!({"ap": 100})));
    assert!(json["regions"].as_array().is_some_and(|regions| regions.len() == 3), "{json}");
    assert_eq!(json["forecast"]["ttl"], "1m");
    let wrong = ask(r#"{"down": ["euu", "pool/apx"]}"#);
    assert_eq!((wrong.status, wrong.json()["errors"].as_array().map(Vec::len)), (400, Some(2)), "{}", wrong.body);
    assert_eq!(ask(r#"{"dwon": ["eu"]}"#).status, 400);
    assert_eq!(ask(r#"{"at": "never"}"#).status, 400);
}

#[test]
fn an_explanation_names_whose_policy_it_is_and_refuses_a_past_of_which_nothing_is_recorded() {
    let node = TestNode::start(ESTATE);
    let said = node.ok(&["explain", "orders.api.example.com"]);
    assert!(said.contains("the file's policy; configuration ") && said.contains("answers of generation "), "{said}");
    node.ok(&["failover", "orders", "--to", "ap", "--reason", "x"]);
    let said = node.ok(&["explain", "orders.api.example.com"]);
    assert!(said.contains("the operators' policy, revision "), "{said}");
    let past = http::over_socket(&node.socket(), "GET", "/api/v1/explain?name=orders.api.example.com&at=2026-11-21T12:00:00Z", &[], "").expect("it answers");
    assert_eq!(past.status, 400, "{}", past.body);
    assert!(past.body.contains("what is recorded of this service begins at "), "{}", past.body);
}

#[test]
fn every_change_that_moves_answers_foretells_how_the_old_ones_fade() {
    let node = TestNode::start(&format!("{ESTATE}[clients]\nstragglers = 10\nstragglers_for = \"1h\"\n"));
    let json = node.json(&["drain", "region", "eu", "--for", "1h", "--reason", "x", "--break-glass", "capacity", "--dry-run"]);
    let forecast = &json["forecast"];
    assert_eq!((&forecast["ttl"], &forecast["stragglers"]), (&"1m".into(), &10.into()), "{json}");
    let points = forecast["old"].as_array().expect("a curve");
    assert_eq!(points.first().map(|point| point["percent"].as_f64()), Some(Some(100.0)));
    assert_eq!(points.last().map(|point| (point["percent"].as_f64(), point["after"].as_str())), Some((Some(0.0), Some("1h"))));
    let said = node.ok(&["drain", "region", "eu", "--for", "1h", "--reason", "x", "--break-glass", "capacity"]);
    assert!(said.contains("98% moved by") && said.contains("safe to switch off at") && said.contains("still on the old answer: 100% █"), "{said}");
    let still = node.json(&["drain", "region", "ap", "--for", "1h", "--reason", "x", "--dry-run"]);
    assert!(still["forecast"].is_null(), "nothing moves: {still}");
}
