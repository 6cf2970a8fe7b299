//! The admin API of the running server: who may do what, nothing overwritten unseen, every refusal says what to do next.

use std::time::Duration;

use serde_json::{Value, json};

use super::dns::Client;
use super::http::{Response, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, binary, run, wait_for};

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = { weighted = { prod = 80, dr = 20 } }
[service.portal]
name = "portal.api.example.com"
ttl = "2s"
policy = { failover = ["prod", "dr"] }
"#
);

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

/// Over the socket, as admin.
fn ask(node: &TestNode, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
    over_socket(&node.socket(), method, path, headers, body).expect("an answer")
}

fn get(node: &TestNode, path: &str) -> Value {
    let response = ask(node, "GET", path, &[], "");
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.json()
}

/// Status and kind of a problem document, which is checked to be a whole one.
fn problem(response: &Response) -> (u16, String) {
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let problem = response.json();
    assert_eq!(problem["status"], response.status, "{problem}");
    for member in ["type", "title", "detail", "instance"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "`{member}` of {problem}");
    }
    assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"), "the header and the document name the same request");
    (response.status, problem["type"].as_str().expect("a type").rsplit(':').next().expect("a word").to_string())
}

fn pointers(response: &Response) -> Vec<String> {
    response.json()["errors"].as_array().expect("errors").iter().map(|fault| fault["pointer"].as_str().unwrap_or_default().to_string()).collect()
}

/// A new token's secret.
fn token(node: &TestNode, name: &str, scope: &str) -> String {
    let secret = node.ok(&["token", "create", name, "--scope", scope]).trim().to_string();
    assert!(secret.starts_with("wr_"), "only the secret on stdout: {secret}");
    secret
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}")
}

#[test]
fn over_tcp_a_token_is_needed_and_its_scope_is_what_it_may_do() {
    let node = TestNode::start(SERVICES);
    let body = r#"{"policy": {"weighted": {"prod": 60, "dr": 40}}}"#;
    let routes = [
        ("GET", TRAFFIC, "", 1, 200),
        ("GET", "/api/v1/overview", "", 1, 200),
        ("GET", "/api/v1/overrides", "", 1, 200),
        ("PUT", TRAFFIC, body, 2, 200),
        ("POST", "/api/v1/services/portal/failover", r#"{"to": "dr"}"#, 2, 200),
        ("POST", "/api/v1/overrides?dry_run=true", r#"{"kind": "drain", "target": {"pool": "dr"}, "expires_in": "1h"}"#, 2, 200),
        ("GET", "/api/v1/tokens", "", 3, 200),
        ("POST", "/api/v1/tokens?dry_run=true", r#"{"name": "other", "scope": "admin"}"#, 3, 200),
        ("POST", "/api/v1/config/reload", "", 3, 200),
        ("DELETE", "/api/v1/tokens/nobody", "", 3, 404),
    ];
    let secrets = [token(&node, "looker", "read"), token(&node, "mover", "operate"), token(&node, "owner", "admin")];
    for (at, (method, path, body, needs, status)) in routes.into_iter().enumerate() {
        // Who is wrong too often has to wait (`access.rs`): two pages are enough of that.
        let strangers = [vec![], vec![bearer("wr_0000")], vec!["Authorization: Basic YTpi".to_string()]];
        for headers in strangers.into_iter().take(if at < 2 { 3 } else { 1 }) {
            let headers: Vec<&str> = headers.iter().map(String::as_str).chain(["If-Match: *"]).collect();
            let refused = over_tcp(node.admin, method, path, &headers, body).expect("an answer");
            assert_eq!(problem(&refused), (401, "unauthorized".into()), "{method} {path} from loopback without a token");
            assert!(refused.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")), "{refused:?}");
        }
        for (at, secret) in secrets.iter().enumerate() {
            let response = over_tcp(node.admin, method, path, &[&bearer(secret), "If-Match: *"], body).expect("an answer");
            if at + 1 < needs {
                assert_eq!(problem(&response), (403, "forbidden".into()), "{method} {path} with scope {at}");
                let scope = if needs == 2 { "`operate`" } else { "`admin`" };
                assert!(response.json()["detail"].as_str().expect("a sentence").contains(scope), "says the scope that is missing: {}", response.body);
            } else {
                assert_eq!(response.status, status, "{method} {path}: {}", response.body);
            }
        }
    }
    // A page of another site, whose name was made to point at loopback.
    let evil = over_tcp(node.admin, "GET", TRAFFIC, &[&bearer(&secrets[2]), "Host: evil.example.org"], "").expect("an answer");
    assert_eq!(problem(&evil), (403, "forbidden".into()));
    assert_eq!(over_tcp(node.admin, "GET", TRAFFIC, &[&bearer(&secrets[0]), "Host: localhost:1"], "").expect("an answer").status, 200);
    // Who changed it stands in the history.
    let revisions = get(&node, "/api/v1/services/orders/revisions");
    assert_eq!(revisions["items"][0]["by"], "token:owner", "{revisions}");
    assert_eq!(revisions["items"][1]["by"], "token:mover", "{revisions}");
}

#[test]
fn a_secret_is_shown_once_and_ends_when_it_expires_is_revoked_and_not_by_a_restart() {
    let mut node = TestNode::start(SERVICES);
    let secret = token(&node, "ci", "read");
    let status = |node: &TestNode, secret: &str| over_tcp(node.admin, "GET", TRAFFIC, &[&bearer(secret)], "").expect("an answer").status;
    assert_eq!(status(&node, &secret), 200);
    let (listed, json) = (node.ok(&["token", "list"]), node.json(&["token", "list"]).to_string());
    assert!(listed.contains("ci") && listed.contains("read"), "{listed}");
    assert!(!listed.contains(&secret[3..]) && !json.contains(&secret[3..]) && !json.contains("hash"), "{listed}{json}");
    let store = std::fs::read_dir(node.path("store")).expect("a folder").flatten().map(|file| std::fs::read(file.path()).expect("readable"));
    for bytes in store {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "the store holds the secret itself");
    }
    node.kill();
    node.launch();
    assert_eq!(status(&node, &secret), 200, "tokens outlive a kill");

    let short = ask(&node, "POST", "/api/v1/tokens", &[], r#"{"name": "short", "scope": "read", "expires_in": "2s"}"#).json();
    let short = short["token"].as_str().expect("a secret").to_string();
    assert_eq!(status(&node, &short), 200);
    wait_for("the token to expire", PATIENCE, || (status(&node, &short) == 401).then_some(()));
    let expired = over_tcp(node.admin, "GET", TRAFFIC, &[&bearer(&short)], "").expect("an answer");
    assert!(expired.json()["detail"].as_str().expect("a sentence").contains("expired"), "{}", expired.body);

    node.ok(&["token", "revoke", "ci"]);
    assert_eq!(status(&node, &secret), 401);
    let file = node.path("ci.token");
    std::fs::write(&file, &secret).expect("writable");
    let said = run(std::process::Command::new(binary()).args(["status", "--server", &format!("http://{}", node.admin), "--token-file"]).arg(&file));
    assert_eq!(said.code, 7, "not allowed: {said:?}");
}

#[test]
fn nothing_is_overwritten_unseen() {
    let node = TestNode::start(SERVICES);
    let body = r#"{"policy": {"weighted": {"prod": 50, "dr": 50}}, "reason": "CHG-1"}"#;
    let seen = ask(&node, "GET", TRAFFIC, &[], "");
    let etag = format!("If-Match: {}", seen.header("etag").expect("an ETag"));
    assert_eq!((&seen.json()["source"], &seen.json()["revision"]), (&json!("file"), &json!(0)));

    let missing = ask(&node, "PUT", TRAFFIC, &[], body);
    assert_eq!(problem(&missing), (428, "if-match-required".into()));
    assert!(missing.json()["errors"][0]["hint"].as_str().is_some_and(|hint| hint.contains("ETag")), "{}", missing.body);
    let done = ask(&node, "PUT", TRAFFIC, &[&etag], body);
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(done.json()["applied"]["node"], "ns1");

    let stale = ask(&node, "PUT", TRAFFIC, &[&etag], r#"{"policy": {"weighted": {"prod": 1, "dr": 99}}}"#);
    assert_eq!(problem(&stale), (412, "revision-mismatch".into()));
    let detail = stale.json()["detail"].as_str().unwrap_or_default().to_string();
    assert!(detail.contains("changed by socket:") && detail.contains("CHG-1"), "the other's change is named: {detail}");
    assert_eq!(stale.json()["current"]["policy"], json!({"weighted": {"prod": 50, "dr": 50}}), "the resource as it is: {}", stale.body);
    assert_eq!(stale.header("etag"), done.header("etag"));
    for path in ["failover", "undo"] {
        let stale = ask(&node, "POST", &format!("/api/v1/services/orders/{path}"), &[&etag], "{}");
        assert_eq!(problem(&stale), (412, "revision-mismatch".into()), "honoured on {path} too");
    }
    assert_eq!(get(&node, TRAFFIC)["policy"], json!({"weighted": {"prod": 50, "dr": 50}}));
    assert_eq!(ask(&node, "PUT", TRAFFIC, &["If-Match: *"], r#"{"policy": {"weighted": {"prod": 1, "dr": 99}}}"#).status, 200);
    let conflict = node.cli(&["split", "orders", "prod=30", "dr=70", "--if-revision", "1"]);
    assert_eq!(conflict.code, 4, "{conflict:?}");
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let node = TestNode::start(SERVICES);
    let before = (get(&node, TRAFFIC)["policy"].clone(), get(&node, "/api/v1/overrides"), get(&node, "/api/v1/tokens"));
    let put = r#"{"policy": {"weighted": {"prod": 10, "dr": 90}}}"#;
    let drain = r#"{"kind": "drain", "target": {"pool": "prod"}, "expires_in": "1h"}"#;
    for (method, path, body, done) in [
        ("PUT", TRAFFIC, put, 200),
        ("POST", "/api/v1/services/portal/failover", r#"{"to": "dr"}"#, 200),
        ("POST", "/api/v1/overrides", drain, 201),
        ("POST", "/api/v1/tokens", r#"{"name": "x", "scope": "read"}"#, 201),
    ] {
        let dry = ask(&node, method, &format!("{path}?dry_run=true"), &["If-Match: *"], body);
        assert_eq!(dry.status, 200, "{path}: {}", dry.body);
        let after = (get(&node, TRAFFIC)["policy"].clone(), get(&node, "/api/v1/overrides"), get(&node, "/api/v1/tokens"));
        assert_eq!(after.0, before.0, "{path} touched the traffic");
        assert_eq!((&after.1["items"], &after.2["items"]), (&before.1["items"], &before.2["items"]), "{path} touched the store");
        let real = ask(&node, method, path, &["If-Match: *"], body);
        assert_eq!(real.status, done, "{path}: {}", real.body);
        let (dry, real) = (dry.json(), real.json());
        if path != "/api/v1/tokens" {
            assert_eq!(dry["dry_run"], true);
            assert_eq!(dry["applied"], Value::Null);
            assert!(real["applied"]["at"].is_string(), "{real}");
            assert!(!dry["moves"].as_array().expect("a list").is_empty(), "{dry}");
        }
        for same in ["moves", "policy", "service", "messages"] {
            assert_eq!(dry[same], real[same], "`{same}` of {path}");
        }
        // Back, so that the next row begins where the first did.
        if path == TRAFFIC {
            assert_eq!(ask(&node, "POST", "/api/v1/services/orders/undo", &[], r#"{"to": "file"}"#).status, 200);
        }
        if let Some(id) = real["override"]["id"].as_str() {
            assert_eq!(ask(&node, "DELETE", &format!("/api/v1/overrides/{id}"), &[], "").status, 200);
        }
    }
    // Faults are the same, too.
    let wrong = r#"{"policy": {"weighted": {"prdo": 10, "dr": 80}}}"#;
    let (dry, real) = (ask(&node, "PUT", &format!("{TRAFFIC}?dry_run=true"), &["If-Match: *"], wrong), ask(&node, "PUT", TRAFFIC, &["If-Match: *"], wrong));
    assert_eq!((dry.status, &dry.json()["errors"]), (real.status, &real.json()["errors"]));
}

#[test]
fn every_fault_of_a_request_comes_at_once_with_its_place_and_what_to_do() {
    let node = TestNode::start(SERVICES);
    let put = |body: &str| ask(&node, "PUT", TRAFFIC, &["If-Match: *"], body);
    let unknown = put(r#"{"polcy": {"failover": ["dr"]}, "raeson": "x"}"#);
    assert_eq!(problem(&unknown), (400, "invalid-request".into()));
    let at = pointers(&unknown);
    assert!(at.contains(&"/polcy".into()) && at.contains(&"/raeson".into()), "{at:?}");
    assert!(unknown.body.contains("did you mean `policy`") && unknown.body.contains("did you mean `reason`"), "{}", unknown.body);
    let shares = put(r#"{"policy": {"weighted": {"prdo": 50, "rd": 40}}}"#);
    assert_eq!(problem(&shares), (400, "invalid-request".into()));
    assert!(2 < pointers(&shares).len(), "two unknown pools and a sum: {}", shares.body);
    assert!(shares.body.contains("did you mean `prod`"), "{}", shares.body);
    for fault in shares.json()["errors"].as_array().expect("a list") {
        assert!(fault["pointer"].as_str().is_some_and(|pointer| pointer.starts_with("/policy")), "{fault}");
        assert!(["code", "message", "hint"].iter().all(|key| fault[key].as_str().is_some_and(|text| !text.is_empty())), "{fault}");
    }
    let broken = put("{\n  \"policy\": nonsense}");
    assert!(problem(&broken).0 == 400 && broken.body.contains("line 2"), "{}", broken.body);
    assert_eq!(problem(&put(&format!("\"{}\"", "x".repeat(2 << 20)))), (413, "payload-too-large".into()));

    for (path, near) in [
        ("/api/v1/services/oders", "orders"),
        ("/api/v1/services/portl/traffic", "portal"),
        ("/api/v1/pools/prd", "prod"),
        ("/api/v1/service", "/api/v1/services"),
    ] {
        let response = ask(&node, "GET", path, &[], "");
        assert_eq!(problem(&response), (404, "not-found".into()), "{path}");
        assert_eq!(response.json()["did_you_mean"], near, "{path}");
    }
    assert_eq!(problem(&ask(&node, "DELETE", TRAFFIC, &[], "")), (405, "method-not-allowed".into()));
    assert_eq!(get(&node, TRAFFIC)["revision"], 0, "nothing of it changed anything");
}

#[test]
fn what_can_not_be_done_now_is_a_409_that_says_why() {
    let node = TestNode::start(&format!("{SERVICES}[service.both]\nname = \"both.api.example.com\"\npolicy = {{ multivalue = [\"prod\", \"dr\"] }}\n",));
    let post = |path: &str, body: &str| ask(&node, "POST", path, &[], body);
    let nothing = post("/api/v1/services/orders/undo", "");
    assert_eq!(problem(&nothing), (409, "nothing-to-undo".into()));
    assert_eq!(node.cli(&["undo", "orders"]).code, 5);

    let force = r#"{"kind": "force_down", "target": {"endpoint": "dr/192.0.2.2"}, "expires_in": "1h", "reason": "disk"}"#;
    assert_eq!(post("/api/v1/overrides", force).status, 201);
    let twice = post("/api/v1/overrides", r#"{"kind": "force_up", "target": {"endpoint": "dr/192.0.2.2"}, "expires_in": "1h"}"#);
    assert_eq!(problem(&twice), (409, "override-exists".into()));
    for body in [r#"{"to": "dr"}"#, "{}"] {
        let down = post("/api/v1/services/portal/failover", body);
        assert_eq!(problem(&down), (409, "target-not-up".into()), "{body}: {}", down.body);
        assert!(down.body.contains("dr"), "{}", down.body);
    }
    assert_eq!(node.cli(&["failover", "portal"]).code, 5);
    let unfit = post("/api/v1/services/both/failover", r#"{"to": "prod"}"#);
    assert_eq!(problem(&unfit), (409, "policy-mismatch".into()));
    assert!(unfit.body.contains("PUT"), "the way that works: {}", unfit.body);
    let held = post("/api/v1/services/portal/failback", "{}");
    assert!(held.status == 200 && held.body.contains("held"), "nothing waits, and it says so: {}", held.body);
    let nobody = post("/api/v1/services/portal/failover", r#"{"to": "drr"}"#);
    assert!((400..=409).contains(&nobody.status) && nobody.body.contains("did you mean `dr`"), "{}", nobody.body);
}

#[test]
fn undo_goes_back_and_forth_and_every_step_is_a_revision() {
    let node = TestNode::start(SERVICES);
    let mut client = Client::new(node.dns);
    let first = |client: &mut Client| client.first("portal.api.example.com.").expect("an answer").to_string();
    assert_eq!(first(&mut client), "192.0.2.1");
    node.ok(&["failover", "portal", "--to", "dr", "--reason", "drill"]);
    assert_eq!(first(&mut client), "192.0.2.2", "acknowledged is answered");
    node.ok(&["undo", "portal"]);
    assert_eq!(first(&mut client), "192.0.2.1");
    node.ok(&["undo", "portal"]);
    assert_eq!(first(&mut client), "192.0.2.2", "undo of an undo");
    node.ok(&["undo", "portal", "--to", "file"]);
    assert_eq!(first(&mut client), "192.0.2.1");
    let past = get(&node, "/api/v1/services/portal/revisions");
    let items = past["items"].as_array().expect("a list");
    let verbs: Vec<&str> = items.iter().filter_map(|entry| entry["verb"].as_str()).collect();
    assert_eq!(verbs, ["undo", "undo", "undo", "failover"], "the newest first: {past}");
    let numbers: Vec<u64> = items.iter().filter_map(|entry| entry["revision"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] < pair[0]), "{numbers:?}");
    let drill = get(&node, &format!("/api/v1/services/portal/revisions/{}", numbers[3]));
    assert_eq!((&drill["reason"], &drill["policy"]), (&json!("drill"), &json!({"failover": ["dr", "prod"]})));
    assert!(drill["by"].as_str().is_some_and(|by| by.starts_with("socket:")) && drill["at"].is_string(), "{drill}");
    node.ok(&["undo", "portal", "--to", &numbers[3].to_string()]);
    assert_eq!(first(&mut client), "192.0.2.2", "back to a revision by its number");
    let page = get(&node, "/api/v1/services/portal/revisions?limit=2");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(get(&node, TRAFFIC)["revision"], 0, "another service's revision does not move");
}

#[test]
fn a_drain_moves_answers_and_ends_by_itself() {
    let node = TestNode::start(SERVICES);
    let mut client = Client::new(node.dns);
    let first = |client: &mut Client| client.first("portal.api.example.com.").expect("an answer").to_string();
    let body = r#"{"kind": "drain", "target": {"region": "prod"}, "expires_in": "2s", "reason": "kernel"}"#;
    let begun = ask(&node, "POST", "/api/v1/overrides", &[], body);
    assert_eq!(begun.status, 201, "{}", begun.body);
    assert_eq!(begun.json()["undo"]["command"], "windrose undrain region prod");
    assert_eq!(first(&mut client), "192.0.2.2");
    assert_eq!(get(&node, "/api/v1/regions/prod")["drained"], true);
    wait_for("the drain to end", PATIENCE, || (first(&mut client) == "192.0.2.1").then_some(()));
    assert_eq!(get(&node, "/api/v1/overrides")["items"], json!([]));
    // For one service alone.
    node.ok(&["drain", "pool", "prod", "--for", "1h", "--service", "portal", "--reason", "x"]);
    assert_eq!(first(&mut client), "192.0.2.2");
    let share = client.share("orders.api.example.com.", 500, "192.0.2.1");
    assert!((share - 80.0).abs() <= 2.0, "orders is not touched: {share}");
    node.ok(&["undrain", "pool", "prod"]);
    assert_eq!(first(&mut client), "192.0.2.1");
}

#[test]
fn an_override_ends_on_time_also_while_the_server_is_away() {
    let mut node = TestNode::start(SERVICES);
    let began = std::time::Instant::now();
    node.ok(&["drain", "pool", "prod", "--for", "2s", "--reason", "short"]);
    node.ok(&["force-down", "endpoint", "dr/192.0.2.2", "--for", "1h", "--service", "orders", "--reason", "long", "--break-glass", "min_serving_regions"]);
    node.kill();
    node.launch();
    let answered = Client::new(node.dns).first("portal.api.example.com.");
    if began.elapsed() < Duration::from_millis(1800) {
        assert_eq!(answered, Some([192, 0, 2, 2].into()), "it outlives a kill");
    }
    node.kill();
    std::thread::park_timeout(Duration::from_secs(3).saturating_sub(began.elapsed()));
    node.launch();
    let mut client = Client::new(node.dns);
    assert_eq!(client.first("portal.api.example.com."), Some([192, 0, 2, 1].into()), "it ended meanwhile");
    let left = get(&node, "/api/v1/overrides");
    let kinds: Vec<&str> = left["items"].as_array().expect("a list").iter().filter_map(|kept| kept["kind"].as_str()).collect();
    assert_eq!(kinds, ["force_down"], "the other one stays: {left}");
    assert_eq!(client.share("orders.api.example.com.", 100, "192.0.2.1"), 100.0);
}

#[test]
fn two_drains_leave_the_service_answered_and_explained() {
    let node = TestNode::start(SERVICES);
    let mut client = Client::new(node.dns);
    node.ok(&["drain", "region", "prod", "--for", "1h", "--reason", "kernel"]);
    let second = node.cli(&["drain", "region", "dr", "--for", "1h", "--reason", "disks"]);
    assert_eq!(second.code, 5, "the last region is not taken away by accident: {second:?}");
    node.ok(&["drain", "region", "dr", "--for", "1h", "--reason", "disks", "--break-glass", "min_serving_regions"]);
    // Rung `drained`: the tree as if nobody were (SEMANTICS, 9).
    let share = client.share("orders.api.example.com.", 1000, "192.0.2.1");
    assert!((share - 80.0).abs() <= 2.0, "{share}");
    let told = get(&node, "/api/v1/explain?name=orders.api.example.com");
    assert_eq!((&told["service"], &told["verdict"]), (&json!("orders"), &json!("answer")));
    for leaf in told["distribution"].as_array().expect("leaves") {
        assert_eq!(leaf["rung"], "drained", "{told}");
    }
    let text = node.ok(&["explain", "orders.api.example.com"]);
    assert!(text.contains("drained") && text.contains("192.0.2.1"), "{text}");
    // And without either again.
    for region in ["prod", "dr"] {
        node.ok(&["undrain", "region", region]);
    }
    let told = get(&node, "/api/v1/explain?name=orders.api.example.com");
    assert_eq!(told["distribution"][0]["rung"], "policy", "{told}");
    for (name, verdict) in [("static.api.example.com", "static"), ("no.api.example.com", "nxdomain"), ("example.org", "refused")] {
        assert_eq!(get(&node, &format!("/api/v1/explain?name={name}"))["verdict"], verdict, "{name}");
    }
}

#[test]
fn an_endpoint_shows_its_last_probe_and_why_it_failed() {
    let gateway = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (port, closed) = (gateway.local_addr().expect("bound").port(), super::node::free_port());
    let node = TestNode::start(&format!(
        r#"
[monitor.alive]
tcp = {port}
interval = "1s"
timeout = "500ms"
down_after = 1
up_after = 1
[monitor.dead]
tcp = {closed}
interval = "1s"
timeout = "500ms"
down_after = 1
up_after = 1
[pool.prod]
monitor = "dead"
endpoints = [{{ address = "127.0.0.1", name = "gw-a" }}]
[pool.dr]
monitor = "alive"
endpoints = ["127.0.0.1"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
"#
    ));
    let path = "/api/v1/endpoints/prod/gw-a";
    let down = wait_for("the verdict", PATIENCE, || Some(get(&node, path)).filter(|endpoint| endpoint["state"]["effective"] == "down"));
    assert_eq!((&down["last_probe"]["outcome"], &down["last_probe"]["reason"]), (&json!("fail"), &json!("refused")), "{down}");
    assert!(down["last_probe"]["message"].as_str().is_some_and(|text| text.contains("refused")), "{down}");
    assert!(down["last_probe"]["took_ms"].is_number() && down["last_probe"]["at"].is_string(), "{down}");
    let up = wait_for("the other verdict", PATIENCE, || {
        Some(get(&node, "/api/v1/endpoints/dr/127.0.0.1")).filter(|endpoint| endpoint["state"]["effective"] == "up")
    });
    assert_eq!((&up["last_probe"]["outcome"], &up["last_failed"]), (&json!("pass"), &Value::Null), "{up}");
    let listed = get(&node, "/api/v1/endpoints");
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let text = node.ok(&["describe", "endpoint", "prod/gw-a"]);
    assert!(text.contains("refused"), "{text}");
    let orders = get(&node, "/api/v1/services/orders");
    assert_eq!(orders["traffic"]["shares"]["effective"], json!({"prod": 0, "dr": 100}));
}

#[test]
fn over_tls_the_cli_verifies_the_server() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).expect("a certificate");
    let mut node = TestNode::prepare(SERVICES);
    let (cert, key) = (node.path("admin.crt"), node.path("admin.key"));
    std::fs::write(&cert, made.cert.pem()).expect("writable");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("writable");
    let text = std::fs::read_to_string(node.config()).expect("written");
    let text = text.replace("[metrics]", "tls = { cert = \"admin.crt\", key = \"admin.key\" }\n[metrics]");
    std::fs::write(node.config(), text).expect("writable");
    node.launch();
    let secret = token(&node, "ci", "read");
    let file = node.path("ci.token");
    std::fs::write(&file, format!("{secret}\n")).expect("writable");
    let server = format!("https://localhost:{}", node.admin.port());
    let call = |ca: bool, token: bool| {
        let mut command = std::process::Command::new(binary());
        command.args(["--server", &server]).env("NO_COLOR", "1").env_remove("WINDROSE_SOCKET");
        if ca {
            command.arg("--ca-file").arg(&cert);
        }
        if token {
            command.arg("--token-file").arg(&file);
        }
        run(command.arg("status"))
    };
    let good = call(true, true);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.out.contains("orders"), "{good:?}");
    assert_eq!(call(true, false).code, 7, "no token: not allowed");
    let unknown = call(false, true);
    assert_eq!(unknown.code, 6, "an authority that nobody trusts: {unknown:?}");
    assert!(unknown.err.contains("certificate"), "{unknown:?}");
    let clear = over_tcp(node.admin, "GET", TRAFFIC, &[&bearer(&secret)], "");
    assert!(clear.is_err(), "clear text gets nothing: {clear:?}");
}

#[test]
fn beyond_loopback_without_tls_is_refused_with_the_lines_to_add() {
    let node = TestNode::prepare(SERVICES);
    let text = std::fs::read_to_string(node.config()).expect("written");
    let port = node.admin.port();
    let text = text.replace(&format!("listen = \"127.0.0.1:{port}\""), &format!("listen = \"0.0.0.0:{port}\""));
    std::fs::write(node.config(), text).expect("writable");
    for command in ["check", "serve"] {
        let said = run(std::process::Command::new(binary()).arg(command).arg("--config").arg(node.config()));
        assert_eq!(said.code, 2, "{command}: {said:?}");
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains("admin.listen") && all.contains("tls = { cert ="), "{command} says what to add: {all}");
        assert!(all.contains("windrose.toml:"), "and where: {all}");
    }
    assert!(!node.path("store").exists(), "a refused start touches nothing");
}

#[test]
fn metrics_and_health_are_on_both_listeners() {
    let node = TestNode::start(SERVICES);
    for address in [node.admin, node.metrics] {
        let page = |path: &str| over_tcp(address, "GET", path, &[], "").expect("an answer");
        let metrics = page("/metrics");
        assert_eq!(metrics.status, 200);
        assert!(metrics.header("content-type").is_some_and(|form| form.starts_with("text/plain")), "{:?}", metrics.headers);
        assert!(metrics.body.contains("# TYPE windrose_"), "{}", metrics.body);
        assert_eq!((page("/healthz").status, page("/healthz").json()), (200, json!({"alive": true})));
        assert_eq!((page("/readyz").status, page("/readyz").json()), (200, json!({"ready": true, "reasons": []})));
    }
    let elsewhere = over_tcp(node.metrics, "GET", TRAFFIC, &[], "").expect("an answer");
    assert_eq!(elsewhere.status, 404, "the metrics listener has no API");
    assert_eq!(node.cli(&["health"]).code, 0);
}

#[test]
fn before_dns_answers_the_server_is_alive_and_not_ready() {
    // A listener that never answers keeps the first round open (SEMANTICS, 13): at most five seconds.
    let hang = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = hang.local_addr().expect("bound").port();
    let mut node = TestNode::prepare(&format!(
        "[monitor.slow]\nurl = \"http://{{address}}:{port}/\"\ninterval = \"6s\"\ntimeout = \"4s\"\n[pool.prod]\nmonitor = \"slow\"\nendpoints = [\"127.0.0.1\"]\n[service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n"
    ));
    let metrics = node.metrics;
    let watcher = std::thread::spawn(move || {
        let early = wait_for("an unready answer", PATIENCE, || over_tcp(metrics, "GET", "/readyz", &[], "").ok());
        (early, over_tcp(metrics, "GET", "/healthz", &[], ""))
    });
    node.launch();
    let (early, alive) = watcher.join().expect("it ran");
    assert_eq!(early.status, 503, "{early:?}");
    assert!(early.json()["reasons"][0].as_str().is_some_and(|why| !why.is_empty()), "{early:?}");
    assert_eq!(alive.expect("an answer").status, 200, "alive meanwhile");
    assert!(node.since_start() < Duration::from_secs(8), "the wait is bounded: {:?}", node.since_start());
    assert_eq!(over_tcp(node.metrics, "GET", "/readyz", &[], "").expect("an answer").status, 200);
}
