//! What is read: lists, explain, the configuration, a plan.

use super::*;

#[tokio::test]
async fn the_overview_and_lists_show_what_is() {
    let server = Server::start().await;
    let overview = server.get("/api/v1/overview").await;
    assert_eq!((&overview["node"], &overview["version"], &overview["services_total"]), (&json!("ns1"), &json!("1.2.3"), &json!(2)));
    assert_eq!(overview["zones"][0]["services"], json!(["orders", "portal"]));
    assert_eq!(overview["problems"][0]["code"], "needs-restart");
    let first = server.get("/api/v1/pools?limit=1").await;
    assert_eq!(first["items"][0]["name"], "dr");
    let second = server.get(&format!("/api/v1/pools?limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&second["items"][0]["name"], &second["next_cursor"]), (&json!("prod"), &Value::Null));
    assert_eq!(second["items"][0]["services"], json!(["orders", "portal"]));
    let endpoint = &server.get("/api/v1/endpoints").await["items"][1];
    assert_eq!((&endpoint["id"], &endpoint["serving"]), (&json!("prod/192.0.2.1"), &json!(["orders", "portal"])));
    assert_eq!(server.over_socket("GET", "/api/v1/pools?limt=1", &[], "").await.status, 400);
}

#[tokio::test]
async fn explain_tells_the_place_and_the_decision() {
    let server = Server::start().await;
    let told = server.get("/api/v1/explain?name=Orders.api.example.com.").await;
    assert_eq!((&told["service"], &told["verdict"], &told["ttl"]), (&json!("orders"), &json!("answer"), &json!(30)));
    assert_eq!((&told["distribution"][0]["share"], &told["distribution"][0]["endpoints"][0]["address"]), (&json!(80.0), &json!("192.0.2.1")));
    assert_eq!((&told["steps"][0]["topic"], &told["steps"][1]["topic"]), (&json!("zone"), &json!("service")));
    assert_eq!(server.get("/api/v1/explain?name=orders.api.example.com&type=aaaa").await["verdict"], "nodata");
    assert_eq!(server.get("/api/v1/explain?name=www.api.example.com").await["verdict"], "static");
    assert_eq!(server.get("/api/v1/explain?name=no.api.example.com").await["verdict"], "nxdomain");
    assert_eq!(server.get("/api/v1/explain?name=example.org").await["verdict"], "refused");
    for query in ["name=a..b", "name=a.b&type=MX", "", "name=a.b&client=1", "name=a.b&ecs=1.2.3", "name=a.b&at=soon", "name=orders.api.example.com&at=1h"] {
        assert_eq!(server.over_socket("GET", &format!("/api/v1/explain?{query}"), &[], "").await.problem().0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_reload_says_what_it_took_or_every_problem() {
    let server = Server::start().await;
    let reload = async || server.over_socket("POST", "/api/v1/config/reload", &[], "").await;
    assert_eq!(reload().await.json()["messages"], json!(["taken"]));
    server.reloads.lock().unwrap().push(ReloadOutcome::Problems(vec!["w.toml:3:1: unknown key `x`".into(), "w.toml:4:2: no pool".into()]));
    let faulty = reload().await;
    assert_eq!(faulty.problem(), (422, "invalid-config".into()));
    assert_eq!((&faulty.json()["errors"][1]["place"], &faulty.json()["errors"][1]["message"]), (&json!("w.toml:4:2"), &json!("no pool")));
    let refusal = Refusal::new(crate::control::RefusalKind::InvalidRequest, "traffic of orders needs `dr`");
    server.reloads.lock().unwrap().push(ReloadOutcome::Refused(refusal));
    assert_eq!(reload().await.problem(), (422, "invalid-config".into()));
    let dry = server.over_socket("POST", "/api/v1/config/reload?dry_run=true", &[], "").await.json();
    assert_eq!((dry["plan"]["messages"][0].as_str(), dry["plan"]["same"].as_bool()), (Some("own"), Some(false)));
}

#[tokio::test]
async fn a_plan_is_of_the_servers_file_of_a_text_or_over_the_socket_of_a_path() {
    let server = Server::start().await;
    let path = "/api/v1/config/plan";
    let messages = |response: Response| response.json()["messages"][0].as_str().map(str::to_string);
    assert_eq!(messages(server.over_socket("POST", path, &[], "").await).as_deref(), Some("own"));
    assert_eq!(messages(server.over_socket("POST", path, &[], r#"{"path": "/etc/w.toml"}"#).await).as_deref(), Some("/etc/w.toml"));
    assert_eq!(server.over_socket("POST", path, &[], r#"{"path": "w.toml"}"#).await.problem().0, 400);
    assert_eq!(server.over_socket("POST", path, &[], r#"{"path": "/w.toml", "text": "x"}"#).await.problem().0, 400);
    assert_eq!(server.over_socket("POST", path, &[], r#"{"text": ""}"#).await.problem().0, 422);
    let admin = server.token("adm", "admin").await;
    assert_eq!(messages(server.over_tcp("POST", path, &[&admin], r#"{"text": "schema = 1"}"#).await).as_deref(), Some("schema = 1"));
    assert_eq!(server.over_tcp("POST", path, &[&admin], r#"{"path": "/etc/shadow"}"#).await.problem().0, 403, "a token reads no files");
    let operate = server.token("op", "operate").await;
    assert_eq!(server.over_tcp("POST", path, &[&operate], "").await.problem().0, 403);
}

#[tokio::test]
async fn the_configuration_that_runs_is_shown_by_kind_and_page() {
    let server = Server::start().await;
    let all = server.get("/api/v1/config").await;
    assert_eq!(all["hash"], "0123456789abcdef");
    let pools = server.get("/api/v1/config?kind=pool&limit=1").await;
    assert_eq!((pools["items"].as_array().map(Vec::len), pools["items"][0]["kind"].as_str()), (Some(1), Some("pool")));
    let socket = server.get("/api/v1/config?kind=settings&name=admin").await;
    assert_eq!(socket["items"][0]["fields"]["socket"].as_str(), server.socket.to_str());
    assert_eq!(server.get("/api/v1/config/diff").await["plan"]["messages"][0], "own");
}
