//! Who may what: made from the table of routes, so that a new route is in here before anybody thinks of it.

use super::*;
use crate::admin::router::{ROUTES, Route, Touches};
use crate::control::Scope;

/// A path that exists, as far as the world of these tests has such a thing.
pub(super) fn path_of(route: &Route) -> String {
    let mut path = format!("/api/v1{}", route.path);
    let known = [("{service}", "orders"), ("{revision}", "1"), ("{region}", "prod"), ("{pool}", "prod"), ("{name}", "192.0.2.1"), ("{id}", "o-77")];
    for (parameter, value) in known {
        path = path.replace(parameter, value);
    }
    while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(begin..=end, "x");
    }
    path
}

/// What a token is refused with; `None`: it gets to the handler.
fn documented(route: &Route, scope: Scope, limited_to_others: bool) -> Option<u16> {
    let outside = limited_to_others && matches!(route.touches, Touches::Service | Touches::Node);
    (scope < route.needs || outside).then_some(403)
}

impl Server {
    /// A token of this scope that may change only `portal`.
    async fn limited_token(&self, name: &str, scope: &str) -> String {
        let body = json!({"name": name, "scope": scope, "services": ["portal"]}).to_string();
        let response = self.over_socket("POST", "/api/v1/tokens", &[], &body).await;
        assert_eq!(response.status, 201, "{}", response.body);
        format!("Authorization: Bearer {}", response.json()["token"].as_str().unwrap())
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let server = Server::start().await;
    let scopes = [("read", Scope::Read), ("operate", Scope::Operate), ("admin", Scope::Admin)];
    let mut tokens = Vec::new();
    for (word, scope) in scopes {
        tokens.push((server.token(word, word).await, scope, false));
        tokens.push((server.limited_token(&format!("{word}-portal"), word).await, scope, true));
    }
    let short = server.over_socket("POST", "/api/v1/tokens", &[], r#"{"name": "short", "scope": "admin", "expires_in": "1h"}"#).await;
    let expired = format!("Authorization: Bearer {}", short.json()["token"].as_str().unwrap());
    let revoked = server.token("gone", "admin").await;
    assert_eq!(server.over_socket("DELETE", "/api/v1/tokens/gone", &[], "").await.status, 200);
    server.skew.store(3_600_000, Ordering::Relaxed);
    assert!(ROUTES.len() > 25, "the table is the one that the router is made of");
    for (at, route) in ROUTES.iter().enumerate() {
        let (path, told) = (path_of(route), format!("{} {}", route.method, route.path));
        // Each from an address of its own: failures slow an address down.
        let strangers = [None, Some("Authorization: Bearer wr_00"), Some(expired.as_str()), Some(revoked.as_str())];
        for (stranger, token) in strangers.into_iter().enumerate() {
            let headers: Vec<&str> = token.into_iter().collect();
            let response = server.sent_from(at, stranger, route.method, &path, &headers).await;
            assert_eq!(response.problem(), (401, "unauthorized".into()), "{told} with {token:?}");
        }
        for (token, scope, limited) in &tokens {
            let response = server.over_tcp(route.method, &path, &[token], "{}").await;
            let found = [401, 403, 429].contains(&response.status).then_some(response.status);
            assert_eq!(found, documented(route, *scope, *limited), "{told} as {scope:?}, limited: {limited}: {}", response.body);
            if found == Some(403) && *scope >= route.needs {
                assert_eq!(response.json()["errors"][0]["code"], "service-limit", "{told}: {}", response.body);
            }
        }
    }
}

impl Server {
    /// From 127.1.0.0/16, one address for each question.
    pub(super) async fn sent_from(&self, one: usize, two: usize, method: &str, path: &str, headers: &[&str]) -> Response {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 1, one as u8, two as u8 + 1], 0))).unwrap();
        ask(socket.connect(self.tcp()).await.unwrap(), method, path, headers, "{}").await
    }
}

#[test]
fn what_changes_something_needs_more_than_looking() {
    for route in ROUTES {
        let told = format!("{} {}", route.method, route.path);
        assert!(!route.mutating() || route.needs >= Scope::Operate, "{told} changes something with the scope {:?}", route.needs);
        assert!(["PUT", "PATCH", "DELETE"].iter().all(|method| *method != route.method) || route.mutating(), "{told} says that it changes nothing");
        assert!(route.method != "GET" || !route.mutating(), "{told}: looking changes nothing");
        assert!(route.touches != Touches::Service || route.path.contains("{service}"), "{told} names no service");
    }
    let mut seen: Vec<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), ROUTES.len(), "a route stands twice");
}

#[tokio::test]
async fn an_override_may_act_only_on_services_inside_the_limit() {
    let server = Server::start().await;
    let token = server.limited_token("portal", "operate").await;
    let post = async |body: Value| server.over_tcp("POST", "/api/v1/overrides", &[&token], &body.to_string()).await;
    let outside = |response: &Response, service: &str| {
        assert_eq!(response.problem(), (403, "forbidden".into()), "{}", response.body);
        assert!(response.json()["detail"].as_str().unwrap().contains(&format!("`{service}`")), "names the service: {}", response.body);
    };
    for target in [json!({"region": "prod"}), json!({"pool": "prod"}), json!({"endpoint": "prod/192.0.2.1"})] {
        outside(&post(json!({"kind": "drain", "target": target})).await, "orders");
        outside(&post(json!({"kind": "drain", "target": target, "services": ["portal", "orders"]})).await, "orders");
    }
    outside(&post(json!({"kind": "freeze", "target": {"service": "orders"}})).await, "orders");
    assert_eq!(server.get("/api/v1/overrides").await["items"], json!([]));
    let drained = post(json!({"kind": "drain", "target": {"region": "prod"}, "services": ["portal"], "expires_in": "1h"})).await;
    assert_eq!(drained.status, 201, "{}", drained.body);
    assert_eq!(server.get(TRAFFIC).await["shares"]["effective"], json!({"prod": 80, "dr": 20}), "orders answers as before");
    assert_eq!(post(json!({"kind": "freeze", "target": {"service": "portal"}})).await.status, 201);

    let all = server.over_socket("POST", "/api/v1/overrides", &[], r#"{"kind": "drain", "target": {"pool": "dr"}, "services": ["orders"]}"#).await;
    let (own, others) = (drained.json()["override"]["id"].clone(), all.json()["override"]["id"].clone());
    let path = |id: &Value| format!("/api/v1/overrides/{}", id.as_str().unwrap());
    outside(&server.over_tcp("DELETE", &path(&others), &[&token], "").await, "orders");
    outside(&server.over_tcp("PATCH", &path(&others), &[&token], r#"{"expires_in": "1h"}"#).await, "orders");
    assert_eq!(server.over_tcp("PATCH", &path(&own), &[&token], r#"{"expires_in": "2h"}"#).await.status, 200);
    assert_eq!(server.over_tcp("DELETE", &path(&own), &[&token], "").await.status, 200);
    let me = server.over_tcp("GET", "/api/v1/whoami", &[&token], "").await.json();
    assert_eq!(me, json!({"actor": "token:portal", "scope": "operate", "services": ["portal"]}));
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&token], "").await.status, 200, "looking is not limited");
}

#[tokio::test]
async fn a_shift_is_ordered_about_only_by_whom_its_service_is_open_to() {
    let server = Server::start().await;
    let token = server.limited_token("portal", "operate").await;
    let (begin, body) = ("/api/v1/services/orders/shifts", r#"{"to": {"prod": 20, "dr": 80}, "reason": "CHG-1"}"#);
    assert_eq!(server.over_tcp("POST", begin, &[&token], body).await.problem(), (403, "forbidden".into()));
    let begun = server.over_socket("POST", begin, &[], body).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    let id = begun.json()["shift"]["id"].as_str().unwrap().to_string();
    for (named, order) in [(id.as_str(), "pause"), (id.as_str(), "promote"), ("orders", "abort"), ("orders", "resume"), ("orders", "retry")] {
        let refused = server.over_tcp("POST", &format!("/api/v1/shifts/{named}/{order}"), &[&token], "{}").await;
        assert_eq!(refused.problem(), (403, "forbidden".into()), "{order} of {named}: {}", refused.body);
        assert_eq!(refused.json()["errors"][0]["code"], "service-limit");
    }
    assert_eq!(server.get(&format!("/api/v1/shifts/{id}")).await["phase"], "progressing", "nothing was changed");
    let orders = server.over_socket("POST", "/api/v1/tokens", &[], r#"{"name": "orders", "scope": "operate", "services": ["ord*"]}"#).await;
    let own = format!("Authorization: Bearer {}", orders.json()["token"].as_str().unwrap());
    let paused = server.over_tcp("POST", &format!("/api/v1/shifts/{id}/pause"), &[&own], "{}").await;
    assert_eq!((paused.status, &paused.json()["shift"]["phase"]), (200, &json!("paused")), "{}", paused.body);
}

#[tokio::test]
async fn a_schedule_is_set_and_cancelled_only_by_whom_its_services_are_open_to() {
    let server = Server::start().await;
    let token = server.limited_token("portal", "operate").await;
    let set = "/api/v1/services/orders/failover?at=1h&reason=CHG-1";
    assert_eq!(server.over_tcp("POST", set, &[&token], "{}").await.problem(), (403, "forbidden".into()));
    let drain = r#"{"kind": "drain", "target": {"pool": "dr"}, "services": ["portal", "orders"], "expires_in": "1h"}"#;
    assert_eq!(server.over_tcp("POST", "/api/v1/overrides?at=1h", &[&token], drain).await.problem(), (403, "forbidden".into()));
    let all = server.over_socket("POST", "/api/v1/overrides?at=1h", &[], drain).await;
    let own = server.over_tcp("POST", "/api/v1/overrides?at=1h", &[&token], &drain.replace(", \"orders\"", "")).await;
    let path = |response: &Response| format!("/api/v1/schedules/{}", response.json()["schedule"]["id"].as_str().unwrap());
    let refused = server.over_tcp("DELETE", &path(&all), &[&token], "").await;
    assert_eq!(refused.problem(), (403, "forbidden".into()), "{}", refused.body);
    assert!(refused.json()["detail"].as_str().unwrap().contains("`orders`"), "names the service: {}", refused.body);
    assert_eq!(server.over_tcp("GET", &path(&all), &[&token], "").await.status, 200, "looking is not limited");
    assert_eq!(server.over_tcp("DELETE", &path(&own), &[&token], "").await.status, 200);
    let listed = server.get("/api/v1/schedules").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(server.get("/api/v1/overrides").await["items"], json!([]), "nothing was done yet");
}

#[tokio::test]
async fn a_tokens_last_use_is_shown_to_the_minute() {
    let server = Server::start().await;
    let token = server.token("ci", "read").await;
    let used = async || server.get("/api/v1/tokens").await["items"][0]["last_used"].clone();
    assert_eq!(used().await, Value::Null);
    server.over_tcp("GET", TRAFFIC, &[&token], "").await;
    let first = used().await;
    assert!(first.is_string(), "{first}");
    server.skew.store(59_000, Ordering::Relaxed);
    server.over_tcp("GET", TRAFFIC, &[&token], "").await;
    assert_eq!(used().await, first, "not every request is told to the core");
    server.skew.store(61_000, Ordering::Relaxed);
    server.over_tcp("GET", TRAFFIC, &[&token], "").await;
    assert_ne!(used().await, first);
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_nobody_else() {
    let server = Server::start().await;
    let token = server.token("ci", "read").await;
    let other = server.token("other", "read").await;
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&token], "").await.status, 200);
    for _ in 0..5 {
        assert_eq!(server.over_tcp("GET", TRAFFIC, &["Authorization: Bearer wr_guess"], "").await.status, 401);
    }
    let slowed = server.over_tcp("GET", TRAFFIC, &["Authorization: Bearer wr_guess"], "").await;
    assert_eq!(slowed.problem(), (429, "rate-limited".into()));
    assert!(slowed.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&other], "").await.status, 429, "whether a guess is right is not told");
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&token], "").await.status, 200, "who was right from here before still is");
    assert_eq!(server.sent_from(9, 9, "GET", TRAFFIC, &[&other]).await.status, 200, "other addresses don't wait");
    assert_eq!(server.get("/api/v1/whoami").await["scope"], "admin", "nor does the socket");
    assert_eq!(server.over_tcp("GET", "/healthz", &["Authorization: Bearer wr_guess"], "").await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_even_with_a_token() {
    let server = Server::start().await;
    let token = server.token("ci", "admin").await;
    let reload = async |headers: &[&str]| {
        let mut all = vec![token.as_str(), "Host: localhost:8090"];
        all.extend(headers);
        server.over_tcp("POST", "/api/v1/config/reload", &all, "").await
    };
    for foreign in ["Origin: http://evil.example.org", "Origin: null", "Origin: http://localhost:9999", "Sec-Fetch-Site: cross-site"] {
        let response = reload(&[foreign]).await;
        assert_eq!((response.problem().0, &response.json()["errors"][0]["code"]), (403, &json!("origin")), "{foreign}");
    }
    assert_eq!(reload(&["Origin: http://localhost:8090", "Sec-Fetch-Site: same-origin"]).await.status, 200);
    assert_eq!(reload(&[]).await.status, 200);
    let rebound = server.over_tcp("GET", TRAFFIC, &[&token, "Host: rebound.evil.example.org:8090"], "").await;
    assert_eq!((rebound.problem().0, &rebound.json()["errors"][0]["code"]), (403, &json!("host")));
}

#[tokio::test]
async fn a_change_with_a_key_is_made_once_and_its_reply_repeated() {
    let server = Server::start().await;
    let put = json!({"policy": {"weighted": {"prod": 50, "dr": 50}}, "reason": "CHG-1"}).to_string();
    let headers = ["If-Match: *", "Idempotency-Key: CHG-1"];
    let first = server.over_socket("PUT", TRAFFIC, &headers, &put).await;
    let again = server.over_socket("PUT", TRAFFIC, &headers, &put).await;
    assert_eq!((first.status, again.status), (200, 200), "{}", again.body);
    assert_eq!((&first.body, first.header("etag"), again.header("idempotency-replayed")), (&again.body, again.header("etag"), Some("true")));
    assert_eq!(server.get("/api/v1/services/orders/revisions").await["items"].as_array().unwrap().len(), 1, "made once");
    let other = json!({"policy": {"failover": ["dr"]}}).to_string();
    assert_eq!(server.over_socket("PUT", TRAFFIC, &headers, &other).await.problem(), (422, "key-reused".into()));
    let token = server.token("ci", "operate").await;
    let theirs = server.over_tcp("PUT", TRAFFIC, &[&token, headers[0], headers[1]], &put).await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (200, None), "a key is one actor's");
    // What was refused has changed nothing: the same key may try again.
    let stale = server.over_socket("PUT", TRAFFIC, &["If-Match: \"77\"", "Idempotency-Key: CHG-2"], &put).await;
    assert_eq!(stale.status, 412);
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *", "Idempotency-Key: CHG-2"], &put).await.header("idempotency-replayed"), None);
    let dry = server.over_socket("PUT", &format!("{TRAFFIC}?dry_run=true"), &["If-Match: *", "Idempotency-Key: CHG-3"], &put).await;
    assert_eq!(dry.status, 200);
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *", "Idempotency-Key: CHG-3"], &other).await.status, 200, "a dry run keeps no key");
    let long = format!("Idempotency-Key: {}", "x".repeat(256));
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *", &long], &put).await.status, 400);
    let big = format!("\"{}\"", "x".repeat(2 << 20));
    assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *", "Idempotency-Key: big"], &big).await.status, 413);
}

#[tokio::test]
async fn two_at_once_with_one_key_are_one_change() {
    let server = Server::start().await;
    let drain = r#"{"kind": "drain", "target": {"pool": "prod"}}"#;
    let post = || server.over_socket("POST", "/api/v1/overrides", &["Idempotency-Key: k"], drain);
    let (one, two) = tokio::join!(post(), post());
    let statuses = [one.status, two.status];
    assert!(statuses.contains(&201) && statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(server.get("/api/v1/overrides").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_seen_is_not_sent_again_and_fields_are_chosen() {
    let server = Server::start().await;
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let path = path_of(route);
        let first = server.over_socket("GET", &path, &[], "").await;
        if first.status != 200 || first.header("content-type") == Some("text/event-stream") {
            continue;
        }
        let seen = format!("If-None-Match: {}", first.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")));
        let again = server.over_socket("GET", &path, &[&seen], "").await;
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", first.header("etag")), "{path}");
    }
    let seen = format!("If-None-Match: {}", server.over_socket("GET", TRAFFIC, &[], "").await.header("etag").unwrap());
    assert_eq!(server.over_socket("POST", "/api/v1/overrides", &[], r#"{"kind": "drain", "target": {"pool": "prod"}}"#).await.status, 201);
    assert_eq!(server.over_socket("GET", TRAFFIC, &[&seen], "").await.status, 200, "what is answered has changed, though what was set has not");

    assert_eq!(server.get("/api/v1/services?fields=name,max_answers&limit=1").await["items"], json!([{"name": "orders", "max_answers": 8}]));
    assert_eq!(server.get("/api/v1/whoami?fields=scope").await, json!({"scope": "admin"}));
    let wrong = server.over_socket("GET", "/api/v1/services?fields=nam", &[], "").await;
    assert_eq!((wrong.status, wrong.body.contains("did you mean `name`")), (400, true), "{}", wrong.body);
}
