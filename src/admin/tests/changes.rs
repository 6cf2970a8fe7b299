//! What operators change: traffic, overrides; and what is refused.

use super::*;

#[tokio::test]
async fn traffic_is_changed_under_the_revision_that_was_seen() {
    let server = Server::start().await;
    let before = server.over_socket("GET", TRAFFIC, &[], "").await;
    let etag = before.header("etag").unwrap().to_string();
    assert!(etag.starts_with("\"0-") && etag.find('~') == Some(19), "{etag}: the file's policy serves");
    assert_eq!((before.json()["source"].clone(), before.json()["revision"].clone()), (json!("file"), json!(0)));
    assert_eq!(before.json()["shares"]["desired"], json!({"prod": 80, "dr": 20}));

    let body = json!({"policy": {"weighted": {"prod": 50, "dr": 50}}, "reason": "CHG-1"}).to_string();
    assert_eq!(server.over_socket("PUT", TRAFFIC, &[], &body).await.problem(), (428, "if-match-required".into()));
    let dry = server.over_socket("PUT", &format!("{TRAFFIC}?dry_run=true"), &[&format!("If-Match: {etag}")], &body).await;
    assert_eq!((dry.status, dry.json()["applied"].clone(), dry.json()["moves"][0]["after"].clone()), (200, Value::Null, json!({"prod": 50, "dr": 50})));
    assert_eq!(server.get(TRAFFIC).await["revision"], 0, "a dry run writes nothing");

    let done = server.over_socket("PUT", TRAFFIC, &[&format!("If-Match: {etag}")], &body).await;
    assert_eq!((done.status, done.header("etag")), (200, Some("\"1\"")), "{}", done.body);
    let reply = done.json();
    assert_eq!((&reply["revision"], &reply["applied"]["node"], &reply["undo"]["command"]), (&json!(1), &json!("ns1"), &json!("windrose undo orders")));
    let now = server.over_socket("GET", TRAFFIC, &[], "").await;
    assert!(now.header("etag").unwrap().starts_with("\"1~"), "{}", now.head);
    assert_eq!((&now.json()["source"], &now.json()["changed"]["reason"]), (&json!("operator"), &json!("CHG-1")));

    let stale = server.over_socket("PUT", TRAFFIC, &[&format!("If-Match: {etag}")], &body).await;
    assert_eq!(stale.problem(), (412, "revision-mismatch".into()));
    assert_eq!((stale.header("etag"), &stale.json()["current"]["policy"]), (Some("\"1\""), &json!({"weighted": {"prod": 50, "dr": 50}})));
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: \"nonsense\""], &body).await.status, 412);
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *"], &body).await.status, 200);
}

#[tokio::test]
async fn a_refused_body_lists_every_fault_and_changes_nothing() {
    let server = Server::start().await;
    let put = async |body: &str| server.over_socket("PUT", TRAFFIC, &["If-Match: *"], body).await;
    let unknown = put(r#"{"polcy": {}, "raeson": "x"}"#).await;
    assert_eq!(unknown.problem(), (400, "invalid-request".into()));
    assert!(pointers(&unknown).contains(&"/polcy".to_string()) && pointers(&unknown).contains(&"/raeson".to_string()), "{}", unknown.body);
    let children = put(r#"{"policy": {"weighted": {"prdo": 50, "rd": 40}}}"#).await;
    assert_eq!(children.problem().0, 400);
    assert!(pointers(&children).len() >= 3 && children.body.contains("did you mean `prod`"), "{}", children.body);
    let malformed = put("{\n  \"policy\": nonsense}").await;
    assert!(malformed.body.contains("line 2, column"), "{}", malformed.body);
    let long = put(&json!({"policy": {"failover": ["dr"]}, "reason": "x".repeat(2000)}).to_string()).await;
    assert_eq!(pointers(&long), ["/reason"]);
    assert_eq!(put(&format!("\"{}\"", "x".repeat(2 << 20))).await.problem(), (413, "payload-too-large".into()));
    let query = server.over_socket("PUT", &format!("{TRAFFIC}?dryrun=true"), &["If-Match: *"], r#"{"policy": {"failover": ["dr"]}}"#).await;
    assert!(query.status == 400 && query.body.contains("did you mean `dry_run`"), "a misspelt dry run is not a change: {}", query.body);
    assert_eq!(server.get(TRAFFIC).await["revision"], 0);
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_with_the_nearest_thing() {
    let server = Server::start().await;
    for (path, near) in
        [("/api/v1/services/oders", "orders"), ("/api/v1/pools/prd", "prod"), ("/api/v1/regions/prodd", "prod"), ("/api/v1/service", "/api/v1/services")]
    {
        let response = server.over_socket("GET", path, &[], "").await;
        assert_eq!(response.problem(), (404, "not-found".into()), "{path}");
        assert_eq!(response.json()["did_you_mean"], near, "{path}");
    }
    let wrong = server.over_socket("DELETE", TRAFFIC, &[], "").await;
    assert_eq!(wrong.problem(), (405, "method-not-allowed".into()));
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("PUT") && allow.contains("GET")), "{}", wrong.head);
    for path in ["/api/v1/services/orders/revisions/9", "/api/v1/services/orders/revisions/x", "/api/v1/endpoints/prod/nobody"] {
        assert_eq!(server.over_socket("GET", path, &[], "").await.problem().0, 404, "{path}");
    }
    assert_eq!(server.over_socket("PUT", "/api/v1/services/oders/traffic", &["If-Match: *"], r#"{"policy": "dr"}"#).await.json()["did_you_mean"], "orders");
}

#[tokio::test]
async fn failover_undo_and_history_tell_who_and_what() {
    let server = Server::start().await;
    let nothing = server.over_socket("POST", "/api/v1/services/portal/undo", &[], "").await;
    assert_eq!(nothing.problem(), (409, "nothing-to-undo".into()));
    let moved = server.over_socket("POST", "/api/v1/services/portal/failover", &["If-Match: *"], r#"{"to": "dr", "reason": "drill"}"#).await;
    assert_eq!((moved.status, &moved.json()["policy"]), (200, &json!({"failover": ["dr", "prod"]})), "{}", moved.body);
    let portal = server.get("/api/v1/services/portal").await;
    assert_eq!(portal["traffic"]["shares"]["effective"], json!({"dr": 100, "prod": 0}));
    let back = server.over_socket("POST", "/api/v1/services/portal/undo", &[], r#"{"to": "file"}"#).await;
    assert_eq!((back.status, &back.json()["policy"]), (200, &Value::Null));
    assert!(back.header("etag").unwrap().starts_with("\"2-"), "the file's policy under a new revision: {:?}", back.header("etag"));
    let past = server.get("/api/v1/services/portal/revisions").await;
    let verbs: Vec<_> = past["items"].as_array().unwrap().iter().map(|entry| entry["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["undo", "failover"]);
    assert_eq!(server.get("/api/v1/services/portal/revisions/1").await["reason"], "drill");
    let stale = server.over_socket("POST", "/api/v1/services/portal/failover", &["If-Match: \"1\""], "{}").await;
    assert_eq!((stale.problem().0, &stale.json()["current"]["revision"]), (412, &json!(2)));
    let held = server.over_socket("POST", "/api/v1/services/portal/failback", &[], "").await;
    assert!(held.status == 200 && held.json()["messages"][0].as_str().unwrap().contains("held"), "{}", held.body);
}

#[tokio::test]
async fn overrides_begin_are_extended_and_end() {
    let server = Server::start().await;
    let drain = json!({"kind": "drain", "target": {"region": "prod"}, "services": ["*"], "expires_in": "2h", "reason": "kernel"}).to_string();
    let begun = server.over_socket("POST", "/api/v1/overrides", &[], &drain).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let reply = begun.json();
    let id = reply["override"]["id"].as_str().unwrap().to_string();
    assert_eq!((&reply["override"]["target"], &reply["undo"]["command"]), (&json!("region/prod"), &json!("windrose undrain region prod")));
    assert!(reply["moves"].as_array().unwrap().iter().any(|moved| moved["service"] == "orders"), "{reply}");
    let orders = server.get("/api/v1/services/orders").await;
    assert_eq!(orders["traffic"]["shares"]["effective"], json!({"prod": 0, "dr": 100}));
    assert_eq!((&orders["pools"][0]["drained"], &orders["pools"][0]["overrides"]), (&json!(true), &json!([id])));
    assert!(orders["traffic"]["reason_effective"][0].as_str().unwrap().contains("drained"), "{orders}");
    assert_eq!(server.get("/api/v1/endpoints/prod/192.0.2.1").await["drained"], true);
    assert_eq!(server.get("/api/v1/regions/prod").await["drained"], true);

    let path = format!("/api/v1/overrides/{id}");
    assert_eq!(server.over_socket("PATCH", &path, &[], "{}").await.problem().0, 400, "an empty patch makes nothing endless");
    let stale = server.over_socket("PATCH", &path, &["If-Match: \"77\""], r#"{"expires_in": "3h"}"#).await;
    assert_eq!((stale.problem().0, &stale.json()["current"]["id"]), (412, &json!(id)));
    let etag = begun.header("etag").unwrap();
    let longer = server.over_socket("PATCH", &path, &[&format!("If-Match: {etag}")], r#"{"expires_in": "3h"}"#).await;
    assert_eq!(longer.status, 200, "{}", longer.body);
    assert_eq!(server.get("/api/v1/overrides").await["items"][0]["ends"], longer.json()["override"]["ends"]);
    assert_eq!(server.over_socket("DELETE", &format!("{path}?dry_run=true"), &[], "").await.status, 200);
    assert_eq!(server.over_socket("DELETE", &path, &[], "").await.status, 200);
    assert_eq!(server.over_socket("DELETE", &path, &[], "").await.problem().0, 404);
    assert_eq!(server.get("/api/v1/overrides").await["items"], json!([]));
    assert_eq!(server.get(TRAFFIC).await["shares"]["effective"], json!({"prod": 80, "dr": 20}));

    let force = r#"{"kind": "force_down", "target": {"endpoint": "prod/192.0.2.1"}}"#;
    assert_eq!(server.over_socket("POST", "/api/v1/overrides", &[], force).await.status, 201);
    assert_eq!(server.over_socket("POST", "/api/v1/overrides", &[], force).await.problem(), (409, "override-exists".into()));
    let endpoint = server.get("/api/v1/endpoints/prod/192.0.2.1").await;
    assert_eq!(endpoint["state"], json!({"observed": "up", "forced": "down", "effective": "down"}));
    let faults =
        server.over_socket("POST", "/api/v1/overrides", &[], r#"{"kind": "drain", "target": {"endpoint": "prod"}, "services": ["*", "orders"]}"#).await;
    assert_eq!(pointers(&faults), ["/target", "/services"]);
}
