//! Who may what: tokens, scopes, the socket, other sites.

use super::*;

#[tokio::test]
async fn over_tcp_nobody_comes_in_without_a_token_on_loopback_either() {
    let server = Server::start().await;
    for (one, headers) in [&[][..], &["Authorization: Bearer wr_00"], &["Authorization: Basic YTpi"], &["Authorization: Bearer "]].into_iter().enumerate() {
        for (two, path) in ["/api/v1/whoami", TRAFFIC, "/api/v1/nothing", "/"].into_iter().enumerate() {
            // Each from an address of its own: failures slow an address down.
            let response = server.sent_from(100 + one, two, "GET", path, headers).await;
            assert_eq!(response.problem(), (401, "unauthorized".into()), "{headers:?} {path}");
            assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(server.over_tcp("GET", path, &[], "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_tokens_scope_is_what_it_may_do() {
    let server = Server::start().await;
    let put = json!({"policy": {"failover": ["dr"]}}).to_string();
    let routes = [("GET", TRAFFIC, ""), ("PUT", TRAFFIC, put.as_str()), ("POST", "/api/v1/config/reload", "")];
    for (scope, allowed) in [("read", 1), ("operate", 2), ("admin", 3)] {
        let token = server.token(scope, scope).await;
        let me = server.over_tcp("GET", "/api/v1/whoami", &[&token], "").await.json();
        assert_eq!(me, json!({"actor": format!("token:{scope}"), "scope": scope}));
        for (at, (method, path, body)) in routes.iter().enumerate() {
            let response = server.over_tcp(method, path, &[&token, "If-Match: *"], body).await;
            if at < allowed {
                assert_eq!(response.status, 200, "{scope} {path}: {}", response.body);
            } else {
                assert_eq!(response.problem(), (403, "forbidden".into()));
                let missing = if at == 1 { "operate" } else { "admin" };
                assert!(response.json()["detail"].as_str().unwrap().contains(&format!("`{missing}`")), "{}", response.body);
            }
        }
    }
    assert_eq!(server.get("/api/v1/services/orders/revisions").await["items"][0]["by"], "token:admin", "the actor is the token");
}

#[tokio::test]
async fn tokens_end_are_revoked_and_never_shown_again() {
    let server = Server::start().await;
    let body = json!({"name": "short", "scope": "read", "expires_in": "1h"}).to_string();
    let made = server.over_socket("POST", "/api/v1/tokens", &[], &body).await;
    let secret = made.json()["token"].as_str().unwrap().to_string();
    assert!(secret.starts_with("wr_") && secret.len() == 67);
    let header = format!("Authorization: Bearer {secret}");
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&header], "").await.status, 200);
    let list = server.over_socket("GET", "/api/v1/tokens", &[], "").await;
    assert!(!list.body.contains(&secret) && !list.body.contains("hash"), "{}", list.body);
    server.skew.store(3_600_000, Ordering::Relaxed);
    let expired = server.over_tcp("GET", TRAFFIC, &[&header], "").await;
    assert_eq!(expired.status, 401);
    assert!(expired.json()["detail"].as_str().unwrap().contains("expired"));

    let token = server.token("ci", "read").await;
    assert_eq!(server.over_socket("DELETE", "/api/v1/tokens/ci", &[], "").await.status, 200);
    assert_eq!(server.over_tcp("GET", TRAFFIC, &[&token], "").await.status, 401);
    assert_eq!(server.over_socket("DELETE", "/api/v1/tokens/ci", &[], "").await.problem(), (404, "not-found".into()));
    let taken = server.over_socket("POST", "/api/v1/tokens", &[], &body).await;
    assert_eq!((taken.problem().0, pointers(&taken)), (400, vec!["/name".to_string()]), "names are unique");
    let faulty = server.over_socket("POST", "/api/v1/tokens", &[], &json!({"name": "a b", "scope": "read", "expires_in": "0s"}).to_string()).await;
    assert_eq!(pointers(&faulty).len(), 2, "every fault at once");
    let dry = server.over_socket("POST", "/api/v1/tokens?dry_run=true", &[], &json!({"name": "dry", "scope": "read"}).to_string()).await;
    assert_eq!((dry.status, &dry.json()["token"]), (200, &Value::Null));
    assert_eq!(server.get("/api/v1/tokens").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_of_another_site_does_not_reach_loopback() {
    let server = Server::start().await;
    let token = server.token("ci", "admin").await;
    for (host, status) in [("evil.example.org", 403), ("gtm.example.com", 200), ("127.0.0.1:8090", 200), ("[::1]", 200)] {
        let response = server.over_tcp("GET", TRAFFIC, &[&token, &format!("Host: {host}")], "").await;
        assert_eq!(response.status, status, "{host}: {}", response.body);
    }
    assert_eq!(server.over_socket("GET", TRAFFIC, &["Host: anything"], "").await.status, 200, "no browser speaks to the socket");
}

#[tokio::test]
async fn the_socket_knows_its_peer() {
    let server = Server::start().await;
    let me = server.get("/api/v1/whoami").await;
    assert!(me["actor"].as_str().unwrap().starts_with("socket:"));
    assert_eq!(me["scope"], "admin", "the daemon's own user");
}
