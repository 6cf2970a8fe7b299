//! Who may what, on the real binary: certificates of clients, certificates that change, secrets that stay secret, and connections that nobody uses.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::http::{Response, exchange, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, wait_for};

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { weighted = { prod = 80, dr = 20 } }
[service.portal]
name = "portal.api.example.com"
policy = { failover = ["prod", "dr"] }
"#
);

const PUT: &str = r#"{"policy": {"failover": ["dr"]}}"#;

fn traffic(service: &str) -> String {
    format!("/api/v1/services/{service}/traffic")
}

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// PEM of a certificate and its key.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed"))
    }

    fn issue(&self, common_name: &str, names: &[&str]) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A node with TLS whose clients may come with certificates.
struct Secure {
    node: TestNode,
    servers: Authority,
    clients: Authority,
}

impl Secure {
    fn start() -> Self {
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let mut node = TestNode::prepare("");
        let this = |node: &TestNode| {
            let tls = r#"
[admin.tls]
cert = "admin.crt"
key = "admin.key"
client_ca = "clients.pem"
[admin.tls.subjects]
"CN=ci,O=Example" = "operate"
"DNS:portal.example.com" = { scope = "operate", services = ["port*"] }
"#;
            node.configure(&format!("{SERVICES}{tls}"));
        };
        this(&node);
        install(&node, &servers.issue("admin", &["localhost"]));
        std::fs::write(node.path("clients.pem"), clients.0.pem()).expect("writable");
        node.launch();
        Self { node, servers, clients }
    }

    /// A TLS connection, with this certificate if there is one. The handshake is made with the first request.
    fn connect(&self, identity: Option<&Identity>) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.servers.0.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM")).expect("a pair")
            }
        };
        let stream = TcpStream::connect(self.node.admin).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name")).expect("a client");
        StreamOwned::new(connection, stream)
    }

    fn ask(&self, identity: Option<&Identity>, method: &str, path: &str, headers: &[&str], body: &str) -> std::io::Result<Response> {
        exchange(self.connect(identity), "localhost", method, path, headers, body)
    }

    /// The certificate that the server shows now.
    fn shown(&self) -> Vec<u8> {
        let mut stream = self.connect(None);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a handshake");
        stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
    }
}

fn install(node: &TestNode, Identity { certificate, key }: &Identity) {
    std::fs::write(node.path("admin.crt"), certificate).expect("writable");
    std::fs::write(node.path("admin.key"), key).expect("writable");
}

#[test]
fn a_clients_certificate_is_what_the_file_says_of_its_subject() {
    let secure = Secure::start();
    let ask = |identity: &Identity, method: &str, path: &str, body: &str| secure.ask(Some(identity), method, path, &["If-Match: *"], body).expect("an answer");
    let ci = secure.clients.issue("ci", &[]);
    assert_eq!(ask(&ci, "GET", "/api/v1/whoami", "").json(), json!({"actor": "cert:CN=ci,O=Example", "scope": "operate"}));
    assert_eq!(ask(&ci, "PUT", &traffic("orders"), PUT).status, 200);
    assert_eq!(ask(&ci, "POST", "/api/v1/config/reload", "").status, 403);
    let portal = secure.clients.issue("anything", &["portal.example.com"]);
    assert_eq!(ask(&portal, "PUT", &traffic("portal"), PUT).status, 200);
    assert_eq!(ask(&portal, "PUT", &traffic("orders"), PUT).status, 403);
    let unnamed = secure.clients.issue("somebody", &[]);
    let refused = ask(&unnamed, "GET", "/api/v1/whoami", "");
    assert!(refused.status == 401 && refused.body.contains("CN=somebody"), "{}", refused.body);
    assert_eq!(secure.ask(None, "GET", "/api/v1/whoami", &[], "").expect("an answer").status, 401, "without a certificate a token is needed");
    let token = secure.node.ok(&["token", "create", "t", "--scope", "read", "--expires", "90d"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(secure.ask(None, "GET", "/api/v1/whoami", &[&header], "").expect("an answer").json()["actor"], "token:t");
    assert_eq!(secure.ask(Some(&ci), "GET", "/api/v1/whoami", &[&header], "").expect("an answer").json()["actor"], "token:t", "a token wins");
    let forged = Authority::new("clients").issue("ci", &[]);
    assert!(
        !matches!(secure.ask(Some(&forged), "GET", "/api/v1/whoami", &[], ""), Ok(response) if response.status == 200),
        "signed by somebody else of that name"
    );
}

#[test]
fn certificates_change_without_a_restart_and_bad_ones_change_nothing() {
    let secure = Secure::start();
    let (first, ci) = (secure.shown(), secure.clients.issue("ci", &[]));
    assert_eq!(secure.ask(Some(&ci), "GET", "/api/v1/whoami", &[], "").expect("an answer").status, 200);
    install(&secure.node, &secure.servers.issue("admin", &["localhost"]));
    secure.node.ok(&["reload"]);
    let second = secure.shown();
    assert_ne!(first, second, "a reload takes the new one");

    let other_key = secure.servers.issue("admin", &["localhost"]).key;
    std::fs::write(secure.node.path("admin.key"), &other_key).expect("writable");
    let refused = secure.node.cli(&["reload"]);
    assert!(refused.code != 0 && refused.err.contains("made together"), "{refused:?}");
    assert_eq!(secure.shown(), second, "the old pair serves on");

    install(&secure.node, &secure.servers.issue("admin", &["localhost"]));
    let third = wait_for("the files to be looked at", Duration::from_secs(40), || Some(secure.shown()).filter(|shown| *shown != second));
    assert_ne!(third, first, "and without a reload, too");

    std::fs::write(secure.node.path("clients.pem"), Authority::new("others").0.pem()).expect("writable");
    secure.node.ok(&["reload"]);
    let answer = secure.ask(Some(&ci), "GET", "/api/v1/whoami", &[], "");
    assert!(!matches!(&answer, Ok(response) if response.status == 200), "its authority is trusted no more: {answer:?}");
    let needs_restart = secure.node.json(&["status"])["needs_restart"].clone();
    assert_eq!(needs_restart, json!([]), "nothing of this waits for a restart");
}

#[test]
fn no_secret_is_ever_said() {
    let tsig = "Q0FOQVJZLXRzaWctMDEyMzQ1Njc4OWFiY2RlZmdoaWo=";
    let cookie = "ca11a12ca11a12ca11a12ca11a12ca11";
    let header = "Bearer CANARY-header-5cf1";
    let guess = "wr_CANARYguess77";
    let signing = "Q0FOQVJZLXdlYmhvb2stMDEyMzQ1Njc4OWFiY2RlZmc=";
    let servers = Authority::new("servers");
    let admin = servers.issue("admin", &["localhost"]);
    let key_line = admin.key.lines().nth(1).expect("a line of base64").to_string();
    let mut node = TestNode::prepare("");
    std::fs::write(node.path("token"), header).expect("writable");
    std::fs::write(node.path("cookies"), format!("{cookie}\n")).expect("writable");
    std::fs::write(node.path("tsig"), tsig).expect("writable");
    std::fs::write(node.path("signing"), format!("whsec_{signing}\n")).expect("writable");
    install(&node, &admin);
    let probe = servers.issue("probe", &["probe.example.com"]);
    std::fs::write(node.path("probe.pem"), &probe.certificate).expect("writable");
    std::fs::write(node.path("probe.key"), &probe.key).expect("writable");
    let probe_key_line = probe.key.lines().nth(1).expect("a line of base64").to_string();
    let gateway = node.metrics.port();
    // One receiver answers, nobody listens at the other.
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let there = receiver.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in receiver.incoming().map_while(Result::ok) {
            let _ = std::io::Read::read(&mut stream, &mut [0; 65_536]);
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let hooks = format!(
        "[webhook.there]\nurl = \"http://{there}/CANARY-path-77?key=CANARY-query-77\"\nsecret_file = \"signing\"\n\
         [webhook.gone]\nurl = \"https://127.0.0.1:9/CANARY-path-78?key=CANARY-query-78\"\nsecret_file = \"signing\"\n\
         [monitor.shy]\ntls = {gateway}\nsni = \"gateway.example.com\"\nverify = \"none\"\ncert = \"probe.pem\"\nkey = \"probe.key\"\ninterval = \"1s\"\ntimeout = \"900ms\"\n\
         [pool.shy]\nmonitor = \"shy\"\nendpoints = [\"127.0.0.3\"]\n[service.shy]\nname = \"shy.api.example.com\"\npolicy = \"shy\"\n"
    );
    let more = format!(
        "{SERVICES}[probe]\nallow = [\"metrics\"]\n[dns.cookies]\nsecret_file = \"cookies\"\n[key.\"k\"]\nsecret_file = \"tsig\"\n[admin.tls]\ncert = \"admin.crt\"\nkey = \"admin.key\"\n\
         [monitor.gateway]\nurl = \"http://{{address}}:{gateway}/healthz\"\ninterval = \"1s\"\ntimeout = \"900ms\"\nheaders = {{ Authorization = {{ file = \"token\" }} }}\n\
         [pool.real]\nmonitor = \"gateway\"\nendpoints = [\"127.0.0.1\", \"127.0.0.2\"]\n[service.real]\nname = \"real.api.example.com\"\npolicy = \"real\"\n{hooks}"
    );
    node.configure(&more);
    node.environment.push(("WINDROSE_LOG".into(), "trace".into()));
    node.launch();
    let mut said = Vec::new();
    let socket = node.socket();
    let secret = node.ok(&["token", "create", "ci", "--scope", "admin"]).trim().to_string();
    said.extend([node.ok(&["token", "list"]), node.ok(&["status"]), node.ok(&["reload"])]);
    let checked = node.cli(&["check", &node.config().display().to_string()]);
    said.extend([checked.out, checked.err]);
    node.ok(&["drain", "pool", "prod", "--reason", "CHG-1"]);
    let tried = |receiver: &str| {
        let list = node.json(&["events", "--deliveries"]);
        list["items"].as_array()?.iter().any(|delivery| delivery["receiver"] == receiver && !delivery["error"].is_null()).then_some(())
    };
    wait_for("both receivers to be tried", PATIENCE, || tried("there").and(tried("gone")));
    for arguments in [["webhook", "test", "there"], ["webhook", "test", "gone"], ["events", "--since", "1h"], ["audit", "list", "--count=100"]] {
        let said_it = node.cli(&arguments);
        said.extend([said_it.out, said_it.err]);
    }
    said.extend([node.ok(&["events", "--deliveries"]), node.ok(&["audit", "export"]), node.ok(&["webhook", "list", "-o", "json"])]);
    // Other secrets are a change that is shown, and they are not.
    node.configure(&more.replace("CANARY-query-77", "CANARY-query-79"));
    let plan = node.cli(&["plan"]);
    assert!(plan.code == 3 && plan.out.contains("webhook"), "{plan:?}");
    said.extend([plan.out, plan.err]);
    said.extend([node.cli(&["diff"]).out, node.cli(&["reload", "--dry-run"]).out]);
    node.configure(&more);
    let secure = Secure { node, servers, clients: Authority::new("nobody") };
    for token in [secret.as_str(), guess] {
        let header = format!("Authorization: Bearer {token}");
        for (method, path) in [
            ("GET", "/api/v1/overview"),
            ("GET", "/api/v1/tokens"),
            ("PUT", "/api/v1/services/orders/traffic"),
            ("POST", "/api/v1/tokens"),
            ("GET", "/api/v1/x"),
        ] {
            said.push(format!("{:?}", secure.ask(None, method, path, &[&header], if method == "GET" { "" } else { "{}" }).expect("an answer")));
        }
    }
    for path in [
        "overview",
        "services",
        "pools",
        "endpoints",
        "endpoints/real/127.0.0.1",
        "endpoints/real/127.0.0.2/probes",
        "zones",
        "tokens",
        "explain?name=real.api.example.com",
        "events?since=1h",
        "audit",
        "webhooks/deliveries",
        "config",
        "config/diff",
        "endpoints/shy/127.0.0.3/probes",
    ] {
        said.push(over_socket(&socket, "GET", &format!("/api/v1/{path}"), &[], "").expect("an answer").body);
    }
    said.push(over_socket(&socket, "POST", "/api/v1/endpoints/real/127.0.0.2/probe", &[], "").expect("an answer").body);
    let Secure { mut node, .. } = secure;
    said.push(over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("metrics").body);
    // A file with a mistake in it: the problem names the file, not what is in it.
    std::fs::write(node.path("cookies"), format!("{cookie}!\n")).expect("writable");
    std::fs::write(node.path("tsig"), format!("{tsig}!!")).expect("writable");
    std::fs::write(node.path("signing"), format!("whsec_{signing}!!")).expect("writable");
    let bad = [node.cli(&["reload"]), node.cli(&["check", &node.config().display().to_string()])];
    assert!(bad.iter().all(|said| said.code != 0), "{bad:?}");
    said.extend(bad.into_iter().flat_map(|said| [said.out, said.err]));
    node.stop();
    let log = node.rest_of_log();
    assert!(log.iter().any(|line| line.contains("TRACE") || line.contains("DEBUG")), "the log is a loud one: {} lines", log.len());
    println!("{} replies and {} log lines looked through", said.len(), log.len());
    said.extend(log);
    let secrets = [
        ("token", secret.as_str()),
        ("guess", guess),
        ("TSIG key", tsig),
        ("cookie secret", cookie),
        ("header", "CANARY-header-5cf1"),
        ("key", &key_line),
        ("key of probes", &probe_key_line),
        ("key of webhooks", signing),
        ("path of a webhook", "CANARY-path"),
        ("query of a webhook", "CANARY-query"),
    ];
    for (what, secret) in secrets {
        let found: Vec<_> = said.iter().filter(|text| text.contains(secret)).collect();
        assert!(found.is_empty(), "the {what} is in {found:?}");
    }
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    const CONNECTIONS: usize = 10_000;
    let node = TestNode::start(SERVICES);
    let token = node.ok(&["token", "create", "ci", "--scope", "read"]);
    let header = format!("Authorization: Bearer {}", token.trim());
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB")
    };
    let files = || std::fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("it runs").count();
    let (memory_before, files_before) = (memory(), files());
    let (mut idle, mut took, mut most_files) = (VecDeque::new(), Vec::new(), 0);
    // Ours are kept within what this process may open; the server sees ten thousand that come and never leave by themselves.
    for at in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(node.admin).expect("it accepts");
        if at % 2 == 0 {
            stream.write_all(b"GET /api/v1/over").expect("half a head");
        }
        idle.push_back(stream);
        if idle.len() > 900 {
            idle.pop_front();
        }
        if at % 50 == 49 {
            let begun = Instant::now();
            let response = over_tcp(node.admin, "GET", "/api/v1/services", &[&header], "").expect("an answer");
            took.push(begun.elapsed());
            assert_eq!(response.status, 200, "{}", response.body);
            most_files = most_files.max(files());
        }
    }
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let memory_after = memory();
    println!(
        "{CONNECTIONS} idle connections: API median {median:?}, p99 {p99:?}; memory {memory_before} → {memory_after} kB; files {files_before} → {most_files}"
    );
    assert!(memory_after < memory_before + 64 * 1024, "memory is bounded: {memory_before} → {memory_after} kB");
    assert!(most_files < files_before + 1_200, "connections are bounded: {files_before} → {most_files}");
}
