//! The API's description, on the real binary: the document, the committed copy of it, and the page.

use std::path::Path;

use serde_json::Value;

use super::http::over_tcp;
use super::node::TestNode;

/// The document as `docs/` keeps it: one line for each value, so that a change can be read.
fn kept(document: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(document).expect("JSON"))
}

#[test]
fn the_document_is_the_committed_one_and_needs_no_token() {
    let node = TestNode::start("");
    let response = over_tcp(node.admin, "GET", "/api/v1/openapi.json", &[], "").expect("an answer");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/vnd.oai.openapi+json")));
    let document = response.json();
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&"3.1.0".into(), &env!("CARGO_PKG_VERSION").into()));
    let (path, text) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json"), kept(&document));
    if std::env::var_os("WINDROSE_WRITE").is_some() {
        std::fs::write(&path, &text).expect("writable");
    }
    let same = std::fs::read_to_string(&path).is_ok_and(|committed| committed == text);
    assert!(same, "docs/openapi.json is not what this program says; WINDROSE_WRITE=1 cargo test --test it openapi:: writes it");
}

#[test]
fn the_program_prints_the_document_without_a_server() {
    for format in ["table", "json"] {
        let said = std::process::Command::new(env!("CARGO_BIN_EXE_windrose")).args(["openapi", "-o", format]).output().expect("it runs");
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        let committed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")).expect("committed");
        assert!(String::from_utf8_lossy(&said.stdout) == committed, "-o {format} is not docs/openapi.json");
    }
}

#[test]
fn the_page_lists_operations_and_lets_nothing_run() {
    let node = TestNode::start("");
    let page = over_tcp(node.admin, "GET", "/api/v1/docs", &[], "").expect("an answer");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")), "{:?}", page.headers);
    assert!(page.body.contains("<code>/api/v1/services/{service}/traffic</code>"));
    for path in ["/api/v1/docs", "/api/v1/openapi.json"] {
        assert_eq!(over_tcp(node.admin, "GET", path, &["Host: evil.example.org"], "").expect("an answer").status, 403, "{path}");
        assert_eq!(over_tcp(node.metrics, "GET", path, &[], "").expect("an answer").status, 404, "{path}: not on the metrics listener");
    }
}

#[test]
fn what_the_description_does_not_know_is_refused() {
    let node = TestNode::start("");
    let secret = node.json(&["token", "create", "ci", "--scope", "admin"])["token"].as_str().expect("a secret").to_string();
    let token = format!("Authorization: Bearer {secret}");
    let ask = |method: &str, path: &str, headers: &[&str], body: &str| {
        let headers: Vec<&str> = headers.iter().copied().chain([token.as_str()]).collect();
        over_tcp(node.admin, method, &format!("/api/v1{path}"), &headers, body).expect("an answer")
    };
    let unknown = ask("GET", "/whoami?verbose=1", &[], "");
    assert_eq!((unknown.status, unknown.json()["errors"][0]["code"].as_str()), (400, Some("query")), "{}", unknown.body);
    assert_eq!(ask("GET", "/whoami?fields=actor", &[], "").status, 200);
    assert_eq!(ask("GET", "/overrides?fields=colour", &[], "").status, 400, "also where the list is empty");
    let key = ask("POST", "/config/reload?dry_run=true", &["Idempotency-Key: two words"], "");
    assert_eq!(key.status, 400, "a key is looked at in a dry run, too: {}", key.body);
}
