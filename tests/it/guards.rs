//! Guards on the real binary: refusals name everything at once, the glass breaks only for those who may, gates and freezes hold.

use serde_json::{Value, json};

use super::http::{Response, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, binary, run, wait_for};

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[region.dr]
capacity = 60
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = { weighted = { prod = 80, dr = 20 } }
[service.portal]
name = "portal.api.example.com"
ttl = "2s"
policy = { weighted = { prod = 100, dr = 0 } }
[service.portal.guards]
gate = "release"
[gate.release]
about = "a release is under way"
"#;

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

fn with(guards: &str) -> TestNode {
    TestNode::start(&format!("{SERVICES}\n{guards}"))
}

fn ask(node: &TestNode, method: &str, path: &str, body: &str) -> Response {
    over_socket(&node.socket(), method, path, &["If-Match: *"], body).expect("an answer")
}

/// Codes of a `guard-refused` problem.
fn refused(response: &Response) -> Vec<String> {
    let problem = response.json();
    assert_eq!((response.status, problem["type"].as_str()), (409, Some("urn:windrose:problem:guard-refused")), "{problem}");
    problem["errors"].as_array().expect("errors").iter().map(|fault| fault["code"].as_str().expect("a code").to_string()).collect()
}

fn token(node: &TestNode, name: &str, scope: &str) -> String {
    node.ok(&["token", "create", name, "--scope", scope]).trim().to_string()
}

/// The CLI over TCP with a token.
fn by(node: &TestNode, secret: &str, arguments: &[&str]) -> super::node::Said {
    let server = format!("http://{}", node.admin);
    run(std::process::Command::new(binary()).args(arguments).args(["--server", &server]).env("WINDROSE_TOKEN", secret).env("NO_COLOR", "1"))
}

fn metric(node: &TestNode, sample: &str) -> bool {
    let text = over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().any(|line| line == sample)
}

#[test]
fn all_blockers_are_named_at_once_by_api_and_cli_with_what_to_type() {
    let node = with("[guards]\nmax_step = 50\nrequire_reason = true\n");
    let put = r#"{"policy": {"weighted": {"prod": 0, "dr": 100}}}"#;
    let response = ask(&node, "PUT", TRAFFIC, put);
    assert_eq!(refused(&response), ["max_step", "capacity", "require_reason"]);
    let problem = response.json();
    assert_eq!((&problem["errors"][0]["value"], &problem["errors"][0]["limit"]), (&json!(80.0), &json!(50.0)), "{problem}");
    assert_eq!(problem["errors"][2]["pointer"], "/reason");
    let dry = ask(&node, "PUT", &format!("{TRAFFIC}?dry_run=true"), put);
    assert_eq!(refused(&dry), ["max_step", "capacity", "require_reason"], "a dry run says the same");

    let said = node.cli(&["split", "orders", "prod=0", "dr=100"]);
    assert_eq!(said.code, 5, "{said:?}");
    for text in [
        "3 guards stand in the way",
        "✖ max_step",
        "✖ capacity",
        "✖ require_reason",
        "windrose split orders prod=30 dr=70",
        "--reason",
        "nothing changed.",
        "exit 5",
    ] {
        assert!(said.err.contains(text), "`{text}` in:\n{}", said.err);
    }
    assert!(metric(&node, "windrose_guard_refusals_total{guard=\"max_step\"} 2"), "dry runs are not counted");
    assert!(metric(&node, "windrose_guard_refusals_total{guard=\"freeze\"} 0"));

    let done = node.ok(&["split", "orders", "prod=40", "dr=60", "--reason", "CHG-1"]);
    assert!(
        done.contains("guards: ") && done.contains("✔ max_step 50") && done.contains("takes over: dr (") && done.contains("60% of the 60% that it can carry"),
        "{done}"
    );
    let dry = node.ok(&["undo", "orders", "--reason", "CHG-2", "--dry-run"]);
    assert!(dry.contains("to take it back then: windrose undo orders") && dry.contains("dry run: nothing changed."), "{dry}");
}

#[test]
fn the_last_region_is_refused_by_cli_and_api_and_the_second_drain_of_one_too() {
    let node = with("");
    node.ok(&["gate", "on", "release"]);
    let drained = node.ok(&["drain", "region", "prod", "--for", "1h", "--reason", "works", "--break-glass", "capacity"]);
    assert!(
        drained.contains("dr would carry 100 % of orders and 1 more, and declares 60 % of its peak: it may be overloaded")
            || drained.contains("dr would carry 100 % of orders, and"),
        "{drained}"
    );
    let status = node.ok(&["status"]);
    assert!(status.contains("dr answers 100 % of orders, and declares to carry 60 % of its peak"), "{status}");
    let again = node.cli(&["drain", "region", "prod", "--for", "1h"]);
    assert!(again.code == 5 && again.err.contains("windrose extend o-"), "{again:?}");
    let last = node.cli(&["drain", "region", "dr", "--for", "1h"]);
    assert_eq!(last.code, 5, "{last:?}");
    assert!(last.err.contains("min_serving_regions") && last.err.contains("windrose undrain region prod"), "{}", last.err);
    let response = ask(&node, "POST", "/api/v1/overrides", r#"{"kind": "force_down", "target": {"region": "dr"}, "expires_in": "1h"}"#);
    assert!(refused(&response).contains(&"min_serving_regions".to_string()));
    assert_eq!(node.json(&["get", "overrides"])["items"].as_array().map(Vec::len), Some(1));
    node.ok(&["undrain", "region", "prod"]);
    node.ok(&["drain", "region", "dr", "--for", "1h"]);
}

#[test]
fn two_drains_of_two_regions_at_once_are_not_both_made() {
    let node = with("");
    for _ in 0..5 {
        let drain = |region: &str| {
            let body = json!({"kind": "drain", "target": {"region": region}, "expires_in": "1h", "reason": "race", "break_glass": ["capacity", "gate"]});
            let socket = node.socket();
            std::thread::spawn(move || over_socket(&socket, "POST", "/api/v1/overrides", &[], &body.to_string()).expect("an answer").status)
        };
        let both = [drain("prod"), drain("dr")].map(|asked| asked.join().expect("no panic"));
        assert!(both.contains(&201) && both.contains(&409), "{both:?}");
        for kept in node.json(&["get", "overrides"])["items"].as_array().expect("a list") {
            let path = format!("/api/v1/overrides/{}?reason=back&break_glass=gate,capacity", kept["id"].as_str().expect("an id"));
            assert_eq!(ask(&node, "DELETE", &path, "").status, 200);
        }
    }
}

#[test]
fn the_glass_breaks_for_admins_with_a_reason_and_everybody_hears_of_it() {
    let node = with("[guards]\nmax_step = 20\n");
    let operator = token(&node, "mover", "operate");
    let change = ["split", "orders", "prod=40", "dr=60"];
    let break_it =
        |extra: &[&str]| change.iter().copied().chain(["--break-glass", "max_step"]).chain(extra.iter().copied()).map(str::to_string).collect::<Vec<_>>();
    fn words(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    let denied = by(&node, &operator, &words(&break_it(&["--reason", "x"])));
    assert!(denied.code == 7 && denied.err.contains("`admin`"), "{denied:?}");
    let no_reason = node.cli(&words(&break_it(&[])));
    assert!(no_reason.code == 5 && no_reason.err.contains("breaking the glass needs a reason"), "{no_reason:?}");
    let typo = node.cli(&["split", "orders", "prod=40", "dr=60", "--break-glass", "maxstep", "--reason", "x"]);
    assert!(typo.code == 2 && typo.err.contains("did you mean `max_step`?"), "{typo:?}");
    let done = node.ok(&words(&break_it(&["--reason", "prod is on fire"])));
    assert!(done.contains("max_step overridden: ") && done.contains("the limit is 20"), "{done}");
    node.wait_for_log("guards overridden for split: max_step");
    let history = node.ok(&["history", "orders"]);
    assert!(history.contains("prod is on fire (broke the glass: max_step)"), "{history}");
    assert!(metric(&node, "windrose_events_total{type=\"guard.overridden\"} 1"));
}

#[test]
fn a_second_admin_confirms_within_sight_of_the_same_revision() {
    let mut node = with("[guards]\nmax_step = 20\nbreak_glass_confirm = true\n");
    let [anna, bert] = ["anna", "bert"].map(|name| token(&node, name, "admin"));
    let change = ["split", "orders", "prod=40", "dr=60", "--break-glass", "max_step", "--reason", "CHG-7"];
    let asked = by(&node, &anna, &change);
    assert!(asked.code == 5 && asked.err.contains("windrose confirm c-1"), "{asked:?}");
    assert_eq!(node.json(&["describe", "service", "orders"])["traffic"]["revision"], 0, "nothing was changed yet");
    assert!(node.ok(&["status"]).contains("token:anna wants to break the glass (CHG-7)"));
    let own = by(&node, &anna, &["confirm", "c-1"]);
    assert!(own.code == 5 && own.err.contains("a second person"), "{own:?}");
    let seen = by(&node, &bert, &["confirm", "c-1", "--dry-run"]);
    assert!(seen.code == 0 && seen.out.contains("▼ 40.0") && seen.out.contains("dry run"), "{seen:?}");
    let done = by(&node, &bert, &["confirm", "c-1"]);
    assert!(done.code == 0 && done.out.contains("undo: windrose undo orders"), "{done:?}");
    let history = node.json(&["history", "orders"]);
    assert_eq!(history["items"][0]["by"], "token:anna, confirmed by token:bert", "{history}");
    assert_eq!(by(&node, &bert, &["confirm", "c-1"]).code, 1, "once");

    // What waits is not kept over a restart: everybody hears of it, and the old number stands for nothing new.
    let change = ["split", "orders", "prod=80", "dr=20", "--break-glass", "max_step", "--reason", "CHG-8"];
    assert!(by(&node, &anna, &change).err.contains("windrose confirm c-2"));
    node.kill();
    node.launch();
    let lost = |id: &str| {
        wait_for(id, PATIENCE, || {
            let events = node.json(&["events", "--type", "confirmation.lost"]);
            events["items"].as_array()?.iter().any(|event| event["subject"] == format!("confirmation/{id}")).then_some(())
        })
    };
    lost("c-2");
    assert_eq!(by(&node, &bert, &["confirm", "c-2"]).code, 1, "it is lost");
    assert!(by(&node, &anna, &change).err.contains("windrose confirm c-3"));
    node.ok(&["reload"]);
    lost("c-3");
    assert_eq!(node.json(&["history", "orders"])["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_gate_holds_changes_until_it_is_on_and_is_still_on_after_a_kill() {
    let mut node = with("");
    let change = ["split", "portal", "prod=60", "dr=40"];
    let refused = node.cli(&change);
    assert!(refused.code == 5 && refused.err.contains("gate release is off") && refused.err.contains("windrose gate on release"), "{refused:?}");
    node.ok(&["split", "orders", "prod=70", "dr=30"]);
    assert!(node.ok(&["gate", "on", "release", "--reason", "CHG-3"]).contains("gate release is on"));
    node.kill();
    node.launch();
    let gates = node.ok(&["get", "gates"]);
    assert!(gates.contains("✔ on") && gates.contains("CHG-3") && gates.contains("a release is under way"), "{gates}");
    node.ok(&change);
    node.ok(&["gate", "off", "release"]);
    assert_eq!(node.cli(&["undo", "portal"]).code, 5);
    assert_eq!(node.cli(&["gate", "on", "relaese"]).code, 1);
}

#[test]
fn a_freeze_holds_all_but_what_it_allows_and_is_listed() {
    let node = with(
        "[[freeze]]\nfrom = 2020-01-01T00:00:00Z\nto = \"2099-01-01T00:00:00Z\"\nservices = [\"orders\"]\nallow = [\"failover\", \"drain\"]\nabout = \"year's end\"\n",
    );
    let refused = node.cli(&["split", "orders", "prod=70", "dr=30"]);
    assert!(refused.code == 5 && refused.err.contains("frozen until 2099-01-01T00:00:00Z (year's end), only failover, drain is allowed"), "{refused:?}");
    node.ok(&["failover", "orders", "--to", "dr", "--break-glass", "capacity", "--reason", "x"]);
    let guards = node.json(&["get", "guards"]);
    let of = |service: usize, name: &str| -> Value {
        let all = guards["items"][service]["guards"].as_array().expect("a list");
        all.iter().find(|guard| guard["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(of(0, "freeze")["source"], "[[freeze]]", "{guards}");
    assert_eq!(of(1, "freeze"), Value::Null);
    assert_eq!((&of(1, "gate")["value"], &of(1, "gate")["source"]), (&json!("release (off)"), &json!("[service.portal.guards]")));
    assert_eq!((&of(0, "min_serving_regions")["value"], &of(0, "min_serving_regions")["source"]), (&json!("1"), &json!("default")));
    assert_eq!((&of(0, "capacity")["region"], &of(0, "capacity")["source"]), (&json!("dr"), &json!("[region.dr]")));
    let table = node.ok(&["get", "guards"]);
    assert!(table.contains("2020-01-01T00:00:00Z to 2099-01-01T00:00:00Z, allows failover, drain (year's end)"), "{table}");
}

#[test]
fn a_preview_says_how_many_answers_a_second_move() {
    let node = with("");
    let mut client = super::dns::Client::new(node.dns);
    wait_for("a rate", PATIENCE, || {
        for _ in 0..50 {
            client.first("orders.api.example.com.");
        }
        let dry = node.json(&["split", "orders", "prod=50", "dr=50", "--dry-run"]);
        let (all, moves) = (dry["moves"][0]["answers_per_second"].as_f64()?, dry["moves"][0]["moves_per_second"].as_f64()?);
        assert!((moves - all * 0.3).abs() < 0.1, "{dry}");
        assert_eq!(dry["takers"][0]["pool"], "dr", "{dry}");
        (0.0 < all).then_some(())
    });
    let text = node.ok(&["split", "orders", "prod=50", "dr=50", "--dry-run"]);
    assert!(text.contains("answers/s move"), "{text}");
    assert!(node.json(&["status"])["queries_per_second"].as_f64().is_some_and(|rate| 0.0 < rate));
    assert!(node.ok(&["status"]).lines().next().is_some_and(|line| line.ends_with("q/s")));
}

#[test]
fn the_examples_of_the_page_are_right() {
    let page = include_str!("../../docs/guards.md");
    let mut found = 0;
    for example in page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        found += 1;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("windrose.toml");
        let zone = "$TTL 1h\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 192.0.2.53\n";
        std::fs::write(folder.path().join("zone"), zone).expect("writable");
        let rest = "[zone.\"api.example.com\"]\nfile = \"zone\"\n[monitor.trusted]\nalways = \"up\"\n[pool.prod]\nmonitor = \"trusted\"\nendpoints = [\"192.0.2.1\"]\n[pool.dr]\nmonitor = \"trusted\"\nendpoints = [\"192.0.2.2\"]\n[service.orders]\nname = \"orders.api.example.com\"\npolicy = { failover = [\"prod\", \"dr\"] }\n[service.search]\nname = \"search.api.example.com\"\npolicy = { failover = [\"prod\", \"dr\"] }\n";
        std::fs::write(&file, format!("schema = 1\n{example}\n{rest}")).expect("writable");
        let said = run(std::process::Command::new(binary()).arg("check").arg(&file));
        assert_eq!(said.code, 0, "{example}\n{}{}", said.out, said.err);
    }
    assert!(0 < found, "the page has an example");
}

#[test]
fn a_reload_that_breaks_guards_is_refused_by_signal_api_and_cli() {
    let guards = "[guards]\nmax_step = 30\n";
    let node = with(guards);
    // The file also takes the guard away: the one that runs has the say.
    node.configure(&SERVICES.replace("prod = 80, dr = 20", "prod = 20, dr = 80"));
    let response = ask(&node, "POST", "/api/v1/config/reload", "");
    assert_eq!(refused(&response), ["max_step", "capacity"]);
    let plan = node.cli(&["plan"]);
    assert!(plan.code == 5 && plan.out.contains("/guards/max_step") && plan.out.contains("/guards/capacity"), "{plan:?}");
    let said = node.cli(&["reload"]);
    assert!(said.code == 5 && said.err.contains("✖ max_step") && said.err.contains("--break-glass max_step") && said.err.contains("windrose plan"), "{said:?}");
    let failed = || node.json(&["events", "--type", "config.failed"])["items"].as_array().map(Vec::len).expect("a list");
    let before = failed();
    node.hang_up();
    wait_for("the event", PATIENCE, || (before < failed()).then_some(()));
    let events = node.json(&["events", "--type", "config.failed"]);
    let last = events["items"].as_array().and_then(|all| all.last()).expect("an event").to_string();
    assert!(last.contains("max_step") && last.contains("capacity") && last.contains("--break-glass"), "{last}");
    assert_eq!(ask(&node, "GET", TRAFFIC, "").json()["policy"]["weighted"]["prod"], 80, "nothing was changed");

    let half = node.cli(&["reload", "--break-glass", "max_step,capacity"]);
    assert!(half.code == 5 && half.err.contains("require_reason"), "{half:?}");
    node.ok(&["reload", "--break-glass", "max_step,capacity", "--reason", "CHG-7"]);
    assert_eq!(ask(&node, "GET", TRAFFIC, "").json()["policy"]["weighted"]["prod"], 20);
    wait_for("the event", PATIENCE, || node.json(&["events", "--type", "guard.overridden"]).to_string().contains("CHG-7").then_some(()));
    // The entry of a reload follows it: what it says is known afterwards.
    let kept = |audit: &str| audit.contains("server.reload") && audit.contains("\"break_glass\":[\"max_step\",\"capacity\"]");
    wait_for("the audit's entry", PATIENCE, || kept(&node.json(&["audit", "list"]).to_string()).then_some(()));
}
