//! Paging: every list of the table of routes, page by page.

use super::*;
use crate::admin::router::ROUTES;

/// Lists by path, whatever they hold in the world of these tests.
async fn lists(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    for route in ROUTES.iter().filter(|route| route.method == "GET" && !route.path.ends_with("/stream")) {
        let path = access::path_of(route);
        let response = server.over_socket("GET", &path, &[], "").await;
        if response.status == 200 && response.json().get("next_cursor").is_some() {
            found.push(path);
        }
    }
    found
}

impl Server {
    /// Entries of each page, as long as there is a next one.
    async fn paged(&self, path: &str, limit: usize) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit={limit}{cursor}")).await;
            let some = page["items"].as_array().unwrap();
            assert!(some.len() <= limit, "{path}: {page}");
            items.extend(some.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    async fn refused_cursor(&self, path: &str, cursor: &str) {
        let response = self.over_socket("GET", &format!("{path}?cursor={cursor}"), &[], "").await;
        assert_eq!((response.problem(), &response.json()["errors"][0]["code"]), ((400, "invalid-request".into()), &json!("cursor")), "{path} {cursor}");
        assert!(response.json()["errors"][0]["hint"].as_str().unwrap().contains("begin anew"), "{}", response.body);
    }
}

#[tokio::test]
async fn every_list_comes_in_pages_and_takes_no_cursor_but_its_own() {
    let server = Server::start().await;
    for share in [10, 20, 30] {
        let put = json!({"policy": {"weighted": {"prod": share, "dr": 100 - share}}}).to_string();
        assert_eq!(server.over_socket("PUT", TRAFFIC, &["If-Match: *"], &put).await.status, 200);
    }
    for (at, target) in [json!({"pool": "dr"}), json!({"region": "dr"}), json!({"endpoint": "dr/192.0.2.2"})].into_iter().enumerate() {
        let body = json!({"kind": "drain", "target": target}).to_string();
        assert_eq!(server.over_socket("POST", "/api/v1/overrides", &[], &body).await.status, 201);
        server.token(&format!("t{at}"), "read").await;
    }
    let lists = lists(&server).await;
    assert!(lists.len() >= 14, "{lists:?}");
    let cursor = server.get("/api/v1/tokens?limit=1").await["next_cursor"].as_str().unwrap().to_string();
    let mut long = 0;
    for path in &lists {
        let whole = server.get(path).await;
        assert_eq!(whole["next_cursor"], Value::Null, "{path}");
        let (items, live) = (whole["items"].as_array().unwrap(), ["/api/v1/events", "/api/v1/audit"].contains(&path.as_str()));
        if !live {
            assert_eq!(&server.paged(path, 1).await, items, "{path}");
            assert_eq!(&server.paged(path, 2).await, items, "{path}");
        }
        long += usize::from(items.len() > 1);
        for wrong in ["1", "x", "%21", "AA"] {
            server.refused_cursor(path, wrong).await;
        }
        if path != "/api/v1/tokens" {
            server.refused_cursor(path, &cursor).await;
        }
    }
    assert!(long >= 8, "{long} lists had more than one entry");
}

#[tokio::test]
async fn who_comes_and_goes_between_two_pages_moves_nobody_else() {
    let server = Server::start().await;
    let drain = async |target: Value| {
        let response = server.over_socket("POST", "/api/v1/overrides", &[], &json!({"kind": "drain", "target": target}).to_string()).await;
        response.json()["override"]["id"].as_str().unwrap().to_string()
    };
    let (one, two, three) = (drain(json!({"pool": "dr"})).await, drain(json!({"region": "dr"})).await, drain(json!({"endpoint": "dr/192.0.2.2"})).await);
    let first = server.get("/api/v1/overrides?limit=2").await;
    let next = first["next_cursor"].as_str().unwrap();
    for id in [&one, &two] {
        assert_eq!(server.over_socket("DELETE", &format!("/api/v1/overrides/{id}"), &[], "").await.status, 200);
    }
    let four = drain(json!({"pool": "dr"})).await;
    let second = server.get(&format!("/api/v1/overrides?limit=9&cursor={next}")).await;
    let ids: Vec<&str> = second["items"].as_array().unwrap().iter().map(|kept| kept["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&three, &four]);
    let filtered = server
        .over_socket(
            "GET",
            &format!("/api/v1/config?kind=pool&cursor={}", server.get("/api/v1/config?limit=1").await["next_cursor"].as_str().unwrap()),
            &[],
            "",
        )
        .await;
    assert!(filtered.status == 400 && filtered.body.contains("other filters"), "{}", filtered.body);
}
