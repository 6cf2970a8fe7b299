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
    Address, AllDown, Check, Choice, Endpoint, Estate, Failback, Monitor, Now, PolicyForm, Pool, PoolId, Region, RegionId, Service, Share, Thresholds,
    TlsFiles, Watch,
};
use crate::wire::Name;
use crate::zone::{RecordSet, Zone};

mod access;
mod changes;
mod listeners;
mod lists;
mod looking;
mod rights;

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
            hold_if_older_than: None,
            shed: None,
        });
        let address = format!("192.0.2.{}", at + 1);
        estate.endpoints.push(Endpoint {
            name: address.as_str().into(),
            pool: PoolId::at(at),
            address: Address::Fixed(address.parse().unwrap()),
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
            answer: Default::default(),
            ttl: 30,
            ttl_min: 5,
            max_answers: 8,
            failback: Failback::After(Duration::from_secs(60)),
            trickle: crate::model::Share::ZERO,
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
        outcomes: crate::model::OutcomeSettings::default(),
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
        let start = Start {
            configuration,
            stored: Vec::new(),
            latency: Default::default(),
            revision: crate::control::Revision(0),
            stale_after: Duration::from_secs(600),
            without_store: false,
        };
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
            reload: Arc::new(move |_| {
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
            outcomes: Arc::new(|_| Ok(crate::health::Recording::default())),
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
    let start = Start {
        configuration,
        stored: Vec::new(),
        latency: Default::default(),
        revision: crate::control::Revision(0),
        stale_after: Duration::from_secs(600),
        without_store: false,
    };
    tokio::spawn(control(Core::start(start, Now::default()), queue, Arc::default()));
    let asked = door.clone();
    let task = tokio::spawn(async move { asked.look(|_, _| panic!("{PANIC}")).await });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(door.look(|core, _| core.estate().pools.len()).await.unwrap(), 2, "the core goes on");
}
