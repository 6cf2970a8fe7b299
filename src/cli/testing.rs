//! Fixtures of the CLI's tests: an overview, a change's reply, and a fake admin API on a unix socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::admin::api::{ChangeReply, Overview};

fn pool(pool: &str, region: &str, state: &str, up: u32, of: u32) -> Value {
    json!({"pool": pool, "region": region, "state": state, "stale": false, "up": up, "of": of, "drained": false, "held": false, "held_until": null,
           "rung": null, "overrides": [], "since": "2026-11-21T11:59:22Z", "cause": null})
}

/// Three services: all well; a region down; a drain, a hold and the last rung.
pub fn overview() -> Overview {
    let service = |name: &str, policy: Value, ttl: u32, shares: Value, changed: Value, pools: Vec<Value>| {
        let source = if changed.is_null() { "file" } else { "operator" };
        json!({"name": name, "names": [format!("{name}.api.example.com")], "names_total": 1, "failback": "1m", "when_all_down": "last_good", "max_answers": 8,
               "frozen": null, "pools": pools,
               "traffic": {"service": name, "revision": 42, "source": source, "policy": policy, "shares": shares, "rung": "policy", "reason_effective": [],
                           "ttl_seconds": ttl, "changed": changed, "unusable": null}})
    };
    let shares = |desired: Value, effective: Value, answered: Value| json!({"desired": desired, "effective": effective, "answered": answered, "window": "5m"});
    let orders = service(
        "orders",
        json!({"failover": ["prod", "dr"]}),
        30,
        shares(json!({"prod": 100, "dr": 0}), json!({"prod": 100, "dr": 0}), json!({"prod": 100})),
        Value::Null,
        vec![pool("prod", "prod", "up", 2, 2), pool("dr", "dr", "up", 2, 2)],
    );
    let mut eu = pool("eu", "eu-west", "down", 0, 2);
    eu["cause"] = json!({"endpoint": "eu/a", "reason": "timeout", "message": "no answer within 2s while connecting"});
    let search = service(
        "search",
        json!({"weighted": {"eu": 80, "us": 20}}),
        20,
        shares(json!({"eu": 80, "us": 20}), json!({"eu": 0, "us": 100}), json!({"eu": 3, "us": 97})),
        json!({"at": "2026-11-20T09:12:44Z", "by": "token:ci", "reason": "CHG-1201"}),
        vec![eu, pool("us", "us", "up", 1, 1)],
    );
    let mut prod = pool("prod", "prod", "up", 2, 2);
    prod["drained"] = json!(true);
    prod["overrides"] = json!(["o-12"]);
    let mut dr = pool("dr", "dr", "up", 2, 2);
    dr["held"] = json!(true);
    let mut sorry = pool("sorry", "sorry", "unknown", 0, 1);
    sorry["rung"] = json!("all_down");
    let web = service(
        "web",
        json!({"failover": ["prod", "dr"]}),
        60,
        shares(json!({"prod": 100, "dr": 0, "sorry": 0}), json!({"prod": 0, "dr": 0, "sorry": 100}), json!({})),
        Value::Null,
        vec![prod, dr, sorry],
    );
    let overview = json!({
        "node": "ns1", "version": "0.1.0", "at": "2026-11-21T12:00:03Z", "started": "2026-11-21T10:00:00Z", "configured": "2026-11-21T10:00:00Z",
        "revision": 42, "generation": 7, "dns": ["127.0.0.1:5300"], "queries_per_second": 1284.2, "store": {"up": true, "why": null},
        "zones": [{"name": "api.example.com", "serial": 2026112107, "records": 12, "services": ["orders", "search", "web"]}],
        "services": [orders, search, web], "services_total": 3,
        "overrides": [{"id": "o-12", "kind": "drain", "target": "region/prod", "services": ["web"], "actor": "anna", "reason": "kernel upgrade",
                       "at": "2026-11-21T11:00:00Z", "ends": "2026-11-21T14:00:00Z", "matched": true}],
        "problems": [{"code": "pool-down", "severity": "critical", "subject": "pool/eu", "text": "search/eu is down", "next": "windrose describe pool eu"}],
        "needs_restart": []
    });
    serde_json::from_value(overview).unwrap()
}

/// What `split search prod=50 dr=50` is answered with.
pub fn reply(dry_run: bool) -> ChangeReply {
    let applied = if dry_run { Value::Null } else { json!({"node": "ns1", "at": "2026-11-21T12:00:03Z"}) };
    let undo =
        if dry_run { Value::Null } else { json!({"method": "POST", "path": "/api/v1/services/search/undo", "body": {}, "command": "windrose undo search"}) };
    serde_json::from_value(json!({
        "dry_run": dry_run, "revision": 43, "service": "search", "policy": {"weighted": {"prod": 50, "dr": 50}},
        "moves": [{"service": "search", "before": {"prod": 80, "dr": 20}, "after": {"prod": 50, "dr": 50}}],
        "applied": applied, "clients_follow_by": "2026-11-21T12:00:23Z", "override": null, "undo": undo
    }))
    .unwrap()
}

/// One request that the fake was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub if_match: Option<String>,
    pub body: Value,
}

/// How the fake answers a method and a path.
pub type Answers = Arc<dyn Fn(&Asked) -> (u16, Value) + Send + Sync>;

/// An admin API that says what it is told to, on a unix socket. It ends with the test.
pub struct FakeApi {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeApi {
    /// Listens.
    pub fn start(answers: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers): (_, Answers) = (asked.clone(), Arc::new(answers));
        let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = Asked {
                method: method.to_string(),
                target: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                if_match: headers.get("if-match").and_then(|value| value.to_str().ok()).map(str::to_string),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let (status, reply) = answers(&request);
            seen.lock().unwrap().push(request);
            async move { (StatusCode::from_u16(status).unwrap(), [("etag", "\"42-abc\"")], axum::Json(reply)).into_response() }
        });
        let listener = tokio::net::UnixListener::bind(folder.path().join("admin.sock")).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { folder, asked }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
