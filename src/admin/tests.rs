//! The whole API over real sockets, in front of a real core. Only the store is a counter.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::door::Knock;
use super::*;
use crate::control::{Configuration, Core, Effect, Event, Start};
use crate::model::{
    AllDown, Check, Choice, Endpoint, Estate, Failback, Monitor, Now, PolicyForm, Pool, PoolId, Region, RegionId, Service, Share, Thresholds, TlsFiles, Watch,
};
use crate::wire::Name;
use crate::zone::{RecordSet, Zone};

mod access;
mod lists;

const SOON: Duration = Duration::from_secs(10);
/// What `readyz` finds.
const READY: u8 = 0;
const NOT_YET: u8 = 1;
const BUG: u8 = 2;
/// What a bug says, and nobody outside may read.
const PANIC: &str = "a secret in a panic";
const TRAFFIC: &str = "/api/v1/services/orders/traffic";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// prod and dr, always up; orders 80/20, portal failover.
fn estate() -> Estate {
    let monitor = Monitor {
        name: "trusted".into(),
        check: Check::Always,
        source: Default::default(),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(3),
        thresholds: Thresholds::default(),
    };
    let mut estate = Estate { monitors: vec![monitor], ..Estate::default() };
    for (at, pool) in ["prod", "dr"].into_iter().enumerate() {
        estate.regions.push(Region { name: pool.into() });
        let endpoint = crate::model::EndpointId::at(at);
        estate.pools.push(Pool {
            name: pool.into(),
            region: RegionId::at(at),
            endpoints: vec![endpoint],
            min_up: 1,
            min_active: None,
            requires: Vec::new(),
            required_by: Vec::new(),
            degraded_factor: None,
        });
        let address = format!("192.0.2.{}", at + 1);
        estate.endpoints.push(Endpoint {
            name: address.as_str().into(),
            pool: PoolId::at(at),
            address: address.parse().unwrap(),
            weight: 1,
            tier: 0,
            watch: Watch::Always,
        });
    }
    let weighted = PolicyForm::new(Choice::Weighted(vec![("prod".into(), Share(800_000)), ("dr".into(), Share(200_000))]));
    let failover = PolicyForm::new(Choice::Failover(vec!["prod".into(), "dr".into()]));
    for (service, form) in [("orders", weighted), ("portal", failover)] {
        let policy = estate.resolve(&form).unwrap();
        estate.services.push(Service {
            name: service.into(),
            names: [name(&format!("{service}.api.example.com"))].into_iter().collect(),
            form: Arc::new(form),
            policy,
            ttl: 30,
            ttl_min: 5,
            max_answers: 8,
            failback: Failback::After(Duration::from_secs(60)),
            when_all_down: AllDown::LastGood,
            sticky: None,
            metrics: false,
        });
    }
    estate
}

/// A running API, and the hands on its world.
struct Server {
    admin: Admin,
    socket: PathBuf,
    /// Added to the wall clock, milliseconds.
    skew: Arc<AtomicI64>,
    ready: Arc<AtomicU8>,
    reloads: Arc<Mutex<Vec<ReloadOutcome>>>,
    folder: tempfile::TempDir,
}

/// Takes events as the daemon does; commits succeed at once.
async fn control(mut core: Core, mut queue: tokio::sync::mpsc::Receiver<Knock>, skew: Arc<AtomicI64>) {
    let now = || Now { mono: Duration::from_secs(1), wall: Timestamp(1_795_262_400_000 + skew.load(Ordering::Relaxed)) };
    let mut replies = std::collections::HashMap::new();
    let mut effects = Vec::new();
    let mut counter = 0;
    core.settle(now(), &mut effects);
    while let Some(knock) = queue.recv().await {
        match knock {
            Knock::Look(look) => look(&core, now()),
            Knock::Event(event) => core.handle(now(), event, &mut effects),
            Knock::Ask(event, ticket, reply) => {
                replies.insert(ticket, reply);
                core.handle(now(), event, &mut effects);
            }
        }
        core.settle(now(), &mut effects);
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Commit { commit, learned, .. } => {
                        counter += u64::from(!learned);
                        core.handle(now(), Event::Committed { commit, revision: crate::control::Revision(counter) }, &mut effects);
                        core.settle(now(), &mut effects);
                    }
                    Effect::Reply { ticket, reply } => {
                        if let Some(to) = replies.remove(&ticket) {
                            let _ = to.send(reply);
                        }
                    }
                    _ => (),
                }
            }
        }
    }
}

/// Node, DNS, metrics and store as nobody reads them here.
fn own_settings(admin: &AdminSettings, socket: &std::path::Path) -> crate::model::Settings {
    crate::model::Settings {
        node: crate::model::NodeSettings { name: "ns1".into(), stale_after: Duration::from_secs(600) },
        dns: crate::model::DnsSettings { listen: Vec::new(), workers: 1 },
        admin: admin.clone(),
        metrics: MetricsSettings { listen: None, services_max: 1000, endpoints_max: 1000 },
        store: crate::model::StoreSettings { path: socket.to_path_buf() },
        audit: crate::model::AuditSettings::default(),
    }
}

/// Says what it was asked for.
async fn plan_of(from: super::config::From) -> super::config::PlanOutcome {
    let asked = match from {
        super::config::From::Text(text) if text.is_empty() => return super::config::PlanOutcome::Problems(vec!["w.toml:1:1: empty".into()]),
        super::config::From::Own => "own".to_string(),
        super::config::From::File(path) => path.display().to_string(),
        super::config::From::Text(text) => text,
    };
    let preview = crate::control::ReloadPreview { messages: vec![asked], ..Default::default() };
    let (hash, running) = ("new".into(), "old".into());
    super::config::PlanOutcome::Planned(Box::new(super::config::Planned {
        hash,
        running,
        changes: Vec::new(),
        preview,
        drift: Vec::new(),
        warnings: Vec::new(),
    }))
}

impl Server {
    async fn start() -> Self {
        Self::start_with(|_, _| ()).await
    }

    async fn start_with(settle: impl FnOnce(&mut AdminSettings, &std::path::Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let set = |owner: &str, rtype| RecordSet { owner: name(owner), rtype, ttl: 60, rdata: vec![SOA.to_vec().into()] };
        let zone = Zone { apex: name("api.example.com"), sets: vec![set("api.example.com", 6), set("www.api.example.com", 1)] };
        let configuration = Configuration {
            estate: Arc::new(estate()),
            zones: vec![Arc::new(zone)],
            answers: Arc::default(),
            clients: Arc::default(),
            databases: Arc::default(),
            needs_restart: vec!["[dns]".into()],
            hash: "0123456789abcdef".into(),
        };
        let start =
            Start { configuration, stored: Vec::new(), revision: crate::control::Revision(0), stale_after: Duration::from_secs(600), without_store: false };
        let core = Core::start(start, Now::default());
        let (door, queue) = Door::new(64);
        let (skew, ready) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU8::new(READY)));
        tokio::spawn(control(core, queue, skew.clone()));
        let socket = folder.path().join("admin.sock");
        let mut settings = AdminSettings { listen: "127.0.0.1:0".parse().unwrap(), socket: socket.clone(), tls: None, hosts: vec!["gtm.example.com".into()] };
        settle(&mut settings, folder.path());
        let reloads = Arc::new(Mutex::new(Vec::new()));
        let (next, is_ready) = (reloads.clone(), ready.clone());
        let parts = Parts {
            door,
            node: "ns1".into(),
            started: Timestamp(1),
            version: "1.2.3",
            dns: Arc::new(vec!["127.0.0.1:53".parse().unwrap()].into()),
            metrics: metrics(),
            doctor: doctor::Doctor { examine: Arc::new(|_| Box::pin(async { None })), monitor: Arc::new(|_| Err(vec!["no monitor".into()])) },
            reload: Arc::new(move || {
                let outcome = next.lock().unwrap().pop().unwrap_or(ReloadOutcome::Taken(vec!["taken".into()]));
                Box::pin(async move {
                    assert!(!matches!(&outcome, ReloadOutcome::Taken(said) if said.iter().any(|said| said == PANIC)), "{PANIC}");
                    outcome
                })
            }),
            files: super::config::Files {
                plan: Arc::new(move |from| Box::pin(plan_of(from))),
                read: Arc::new(|_| Box::pin(async { Err(super::config::PlanOutcome::Closed) })),
                settings: Arc::new(own_settings(&settings, &socket)),
            },
            upgrades: None,
            feeds: Feeds::default(),
            ready: Arc::new(move || match is_ready.load(Ordering::Relaxed) {
                READY => Ok(()),
                NOT_YET => Err(vec!["not yet".into()]),
                _ => panic!("{PANIC}"),
            }),
        };
        let metrics = MetricsSettings { listen: Some("127.0.0.1:0".parse().unwrap()), services_max: 1000, endpoints_max: 1000 };
        let admin = serve(&settings, &metrics, parts).await.unwrap();
        Self { admin, socket, skew, ready, reloads, folder }
    }

    fn tcp(&self) -> SocketAddr {
        self.admin.addresses()[0]
    }

    async fn over_socket(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
        ask(UnixStream::connect(&self.socket).await.unwrap(), method, path, headers, body).await
    }

    async fn over_tcp(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
        ask(TcpStream::connect(self.tcp()).await.unwrap(), method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.over_socket("GET", path, &[], "").await;
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }

    /// `Authorization` with a new token of this scope.
    async fn token(&self, name: &str, scope: &str) -> String {
        let response = self.over_socket("POST", "/api/v1/tokens", &[], &json!({"name": name, "scope": scope}).to_string()).await;
        assert_eq!(response.status, 201, "{}", response.body);
        format!("Authorization: Bearer {}", response.json()["token"].as_str().unwrap())
    }
}

fn metrics() -> Arc<Metrics> {
    Metrics::new("ns1", crate::metrics::SeriesMax { services: 1000, endpoints: 1000 }, Timestamp(1))
}

/// A SOA's RDATA with serial 7.
const SOA: &[u8] = b"\0\0\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x3c";

#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.body))
    }

    /// The problem's word, checked to be a whole problem document.
    fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{problem}");
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        for member in ["title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {problem}");
        }
        (self.status, problem["type"].as_str().unwrap().strip_prefix("urn:windrose:problem:").unwrap().to_string())
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|line| line.starts_with("Host:")) {
        request.push_str("Host: localhost\r\n");
    }
    headers.iter().for_each(|line| request.push_str(&format!("{line}\r\n")));
    request.push_str(&format!("\r\n{body}"));
    let mut bytes = Vec::new();
    let exchange = async {
        // A refused large body may be answered before it is read.
        let _ = stream.write_all(request.as_bytes()).await;
        // A stream of events has no end: its beginning is the reply.
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| 0 < read) {
            let text = String::from_utf8_lossy(&bytes);
            if text.split_once("\r\n\r\n").is_some_and(|(head, _)| head.contains("text/event-stream")) {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, exchange).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
    Response { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_string(), body: body.to_string() }
}

fn pointers(response: &Response) -> Vec<String> {
    response.json()["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap_or_default().to_string()).collect()
}

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
    for query in ["name=a..b", "name=a.b&type=MX", "", "name=a.b&client=1"] {
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
async fn the_metrics_listener_serves_three_pages_and_nothing_else() {
    let server = Server::start().await;
    let ask_metrics = async |path: &str| ask(TcpStream::connect(server.admin.addresses()[1]).await.unwrap(), "GET", path, &["Host: any.name"], "").await;
    let metrics = ask_metrics("/metrics").await;
    assert!(metrics.status == 200 && metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!((ask_metrics("/healthz").await.status, ask_metrics("/readyz").await.status), (200, 200));
    server.ready.store(NOT_YET, Ordering::Relaxed);
    let unready = ask_metrics("/readyz").await;
    assert_eq!((unready.status, unready.json()), (503, json!({"ready": false, "reasons": ["not yet"]})));
    let alive = ask_metrics("/healthz").await;
    assert_eq!((alive.status, alive.json()), (200, json!({"alive": true})), "alive all the same");
    let token = server.token("ci", "admin").await;
    let stream = TcpStream::connect(server.admin.addresses()[1]).await.unwrap();
    assert_eq!(ask(stream, "GET", TRAFFIC, &[&token], "").await.problem().0, 404, "with a token, too");
}

#[tokio::test]
async fn idle_connections_on_tcp_do_not_keep_operators_out() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.tcp()).await.unwrap());
    }
    assert_eq!(server.get("/api/v1/whoami").await["scope"], "admin");
}

#[tokio::test]
async fn tls_serves_what_clear_text_would() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = Server::start_with(|settings, folder| {
        let files = TlsFiles { cert: folder.join("a.crt"), key: folder.join("a.key"), client_ca: None, subjects: Vec::new() };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        settings.tls = Some(files);
    })
    .await;
    let token = server.token("ci", "read").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.tcp()).await.unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(ask(stream, "GET", "/api/v1/whoami", &[&token], "").await.json()["actor"], "token:ci");
    let mut plain = TcpStream::connect(server.tcp()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(SOON, plain.read_to_end(&mut bytes)).await.unwrap();
    assert!(!bytes.starts_with(b"HTTP"), "clear text gets nothing");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_removes_the_socket() {
    let server = Server::start().await;
    let mut idle = UnixStream::connect(&server.socket).await.unwrap();
    // Served once and kept alive, so that it is surely accepted.
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut octet = [0; 1];
    tokio::time::timeout(SOON, idle.read_exact(&mut octet)).await.unwrap().unwrap();
    let Server { admin, socket, folder: _folder, .. } = server;
    let tcp = admin.addresses()[0];
    tokio::time::timeout(SOON, admin.stop()).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!socket.exists());
    assert!(TcpStream::connect(tcp).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_bug_in_one_request_is_a_500_and_the_rest_goes_on() {
    let server = Server::start().await;
    server.reloads.lock().unwrap().push(ReloadOutcome::Taken(vec![PANIC.into()]));
    let response = server.over_socket("POST", "/api/v1/config/reload", &[], "").await;
    assert_eq!(response.problem(), (500, "internal".into()));
    assert!(!response.body.contains(PANIC), "{}", response.body);
    server.ready.store(BUG, Ordering::Relaxed);
    assert_eq!(server.over_socket("GET", "/readyz", &[], "").await.problem(), (500, "internal".into()));
    assert_eq!(server.get("/api/v1/whoami").await["scope"], "admin");
}

#[tokio::test]
async fn a_look_that_panics_does_so_in_the_task_that_asked() {
    let (door, queue) = Door::new(4);
    let configuration = Configuration {
        estate: Arc::new(estate()),
        zones: Vec::new(),
        answers: Arc::default(),
        clients: Arc::default(),
        databases: Default::default(),
        needs_restart: Vec::new(),
        hash: "0123456789abcdef".into(),
    };
    let start = Start { configuration, stored: Vec::new(), revision: crate::control::Revision(0), stale_after: Duration::from_secs(600), without_store: false };
    tokio::spawn(control(Core::start(start, Now::default()), queue, Arc::default()));
    let asked = door.clone();
    let task = tokio::spawn(async move { asked.look(|_, _| panic!("{PANIC}")).await });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(door.look(|core, _| core.estate().pools.len()).await.unwrap(), 2, "the core goes on");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Server::start().await;
    let taken = listen::tcp(server.tcp(), "[admin] listen", &mut Vec::new()).await.err().unwrap().to_string();
    assert!(taken.contains("[admin] listen") && taken.contains("in use"), "{taken}");
    let _ = &server.folder;
}

#[tokio::test]
async fn a_server_without_a_successor_says_so() {
    let server = Server::start().await;
    for path in ["/api/v1/upgrade", "/api/v1/handover"] {
        let response = server.over_socket("POST", path, &["Upgrade: windrose-handover/1"], "").await;
        assert_eq!(response.problem(), (409, "upgrade-failed".into()), "{path}");
    }
    let token = server.token("ops", "operate").await;
    for path in ["/api/v1/upgrade", "/api/v1/handover"] {
        assert_eq!(server.over_tcp("POST", path, &[&token], "").await.problem(), (403, "forbidden".into()), "{path}");
    }
}

#[tokio::test]
async fn listeners_that_were_left_are_taken_where_the_settings_are_the_same() {
    let server = Server::start().await;
    let sockets = server.admin.sockets();
    let again = |descriptor: &OwnedFd| descriptor.try_clone().unwrap();
    let left = || Sockets {
        tcp: sockets.tcp.iter().map(|(address, descriptor)| (*address, again(descriptor))).collect(),
        unix: sockets.unix.as_ref().map(|(path, descriptor)| (path.clone(), again(descriptor))),
    };
    let settings = |socket: PathBuf| AdminSettings { listen: server.tcp(), socket, tls: None, hosts: Vec::new() };
    let metrics = MetricsSettings { listen: Some(server.admin.addresses()[1]), services_max: 1, endpoints_max: 1 };
    let same = bind(&settings(server.socket.clone()), &metrics, left()).await.ok().unwrap();
    assert!(same.takes_socket());
    let moved = bind(&settings(server.folder.path().join("other.sock")), &metrics, left()).await.ok().unwrap();
    assert!(!moved.takes_socket());
    // A file that is gone can't be found by anybody: then a new one is made.
    std::fs::remove_file(&server.socket).unwrap();
    assert!(!bind(&settings(server.socket.clone()), &metrics, left()).await.ok().unwrap().takes_socket());
    assert!(server.socket.exists());
    assert!(matches!(bind(&settings(server.socket.clone()), &metrics, Sockets::default()).await, Err(BindError::InUse { .. })));
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
