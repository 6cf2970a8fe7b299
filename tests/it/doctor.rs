//! The probe doctor: a probe run now shows everything and changes nothing, the last probes outlive a kill, and probes don't go everywhere.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use super::http;
use super::node::{Said, TestNode, binary, run, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "Bearer s3cret-of-the-gateway";

/// An HTTP server that says what the test wants, `{request}` being what it was sent.
struct Gateway {
    address: SocketAddr,
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Gateway {
    fn start(says: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (address, says, asked) = (listener.local_addr().expect("bound"), Arc::new(Mutex::new(says.to_string())), Arc::new(AtomicUsize::new(0)));
        let (script, count) = (says.clone(), asked.clone());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                let mut octet = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|read| read > 0) {
                    head.extend(octet);
                }
                let said = script.lock().expect("no panic").replace("{request}", &String::from_utf8_lossy(&head));
                let _ = stream.write_all(said.as_bytes());
            }
        });
        Self { address, says, asked }
    }

    fn say(&self, says: &str) {
        *self.says.lock().expect("no panic") = says.to_string();
    }
}

fn configuration(gateway: SocketAddr, monitor: &str, rest: &str) -> String {
    format!(
        "[monitor.gate]\nurl = \"http://{{address}}:{}/healthcheck\"\n{monitor}\n\
         [pool.prod]\nmonitor = \"gate\"\nendpoints = [{{ name = \"a\", address = \"{}\" }}]\n\
         [service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n{rest}",
        gateway.port(),
        gateway.ip()
    )
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("not JSON: {error}: {said:?}"))
}

fn post(node: &TestNode, path: &str, body: &Value) -> http::Response {
    http::over_socket(&node.socket(), "POST", path, &[], &body.to_string()).expect("it answers")
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_probe_now_shows_every_step_hides_secrets_and_changes_nothing() {
    let gateway = Gateway::start(OK);
    let node = TestNode::prepare("");
    std::fs::write(node.path("token"), SECRET).expect("writable");
    std::fs::set_permissions(node.path("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let keys = "headers = { Authorization = { file = \"token\" } }\ninterval = \"1day\"\ntimeout = \"2s\"\nbody = \"ok\"\n";
    node.configure(&configuration(gateway.address, keys, ""));
    let mut node = node;
    node.launch();
    wait_for("the first probe", PATIENCE, || (node.json(&["probes", "prod/a"])["items"].as_array()?.len() == 1).then_some(()));

    gateway.say("HTTP/1.1 503 Service Unavailable\r\nSet-Cookie: id=1234567\r\nX-Why: too\tbusy\r\n\r\ngo away\u{1b}[2J\r\n{request}");
    let asked = gateway.asked.load(Ordering::SeqCst);
    let said = node.cli(&["probe", "prod/a", "-o", "json"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(gateway.asked.load(Ordering::SeqCst), asked + 1, "it was really asked");
    let found = json_of(&said);
    let probe = &found["probes"][0];
    assert_eq!((&found["node"], &found["endpoint"], &probe["monitor"]), (&json!("ns1"), &json!("prod/a"), &json!("gate")));
    assert_eq!(probe["probe"]["message"], "expected status 200-299, got 503 Service Unavailable");
    let phases: Vec<&str> = probe["probe"]["phases"].as_array().expect("phases").iter().filter_map(|phase| phase["phase"].as_str()).collect();
    assert_eq!(phases, ["connect", "request", "body"]);
    assert_eq!(probe["sent"][0], "GET /healthcheck HTTP/1.1");
    assert_eq!(probe["head"][0], "HTTP/1.1 503 Service Unavailable");
    assert_eq!(probe["expected"], json!(["status 200-299", "the body contains \"ok\""]));
    assert_eq!(probe["verdict"], "prod/a is up, 3 more fails make it down");
    let body = probe["body"].as_str().expect("a body");
    assert!(body.starts_with("go away\u{fffd}[2J\nGET /healthcheck HTTP/1.1\n"), "{body:?}");
    let people = node.cli(&["probe", "prod/a"]);
    for text in [&said.out, &people.out] {
        for hidden in ["s3cret", "1234567", "\u{1b}", "\\u001b"] {
            assert!(!text.contains(hidden), "`{hidden}` is shown:\n{text}");
        }
    }
    for shown in ["authorization: (hidden)", "set-cookie: (hidden)", "✖ fail (status)", "nothing was changed", "windrose probes prod/a --failed"] {
        assert!(people.out.contains(shown), "`{shown}` is missing:\n{}", people.out);
    }

    let endpoint = node.json(&["describe", "endpoint", "prod/a"]);
    assert_eq!((&endpoint["state"]["observed"], &endpoint["last_failed"]), (&json!("up"), &Value::Null));
    assert_eq!(node.json(&["probes", "prod/a"])["items"].as_array().map(Vec::len), Some(1), "no history");
    let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    assert!(!metrics.lines().any(|line| line.starts_with("windrose_probe") && line.contains("reason=\"status\"") && !line.ends_with(" 0")), "no metric");
}

#[test]
fn failed_probes_are_kept_apart_and_outlive_a_kill_and_an_upgrade() {
    let gateway = Gateway::start("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let mut node = TestNode::start(&configuration(gateway.address, "interval = \"200ms\"\ntimeout = \"150ms\"\nup_after = 1\n", ""));
    let failed = |node: &TestNode| node.json(&["probes", "prod/a", "--failed"])["items"].as_array().cloned().expect("a list");
    wait_for("a failed probe", PATIENCE, || failed(&node).iter().any(|probe| probe["status"] == 500).then_some(()));
    gateway.say(OK);
    // The verdict changes, and what is learned is written.
    wait_for("it to be up", PATIENCE, || (node.json(&["describe", "endpoint", "prod/a"])["state"]["observed"] == "up").then_some(()));
    let oldest = failed(&node).last().cloned().expect("one");
    wait_for("many passes", PATIENCE, || {
        let all = http::over_socket(&node.socket(), "GET", "/api/v1/endpoints/prod/a/probes?outcome=pass&limit=1000", &[], "").ok()?.json();
        (all["items"].as_array()?.len() == 20).then_some(())
    });
    assert_eq!(failed(&node).last(), Some(&oldest), "passes push no fail out");
    node.upgrade();
    assert_eq!(failed(&node).last(), Some(&oldest));
    assert!(node.json(&["probes", "prod/a"])["items"].as_array().map(Vec::len) > Some(20), "passes go on, too");
    node.kill();
    node.launch();
    assert_eq!(failed(&node).last(), Some(&oldest), "{oldest}");
    assert!(oldest["message"].as_str().is_some_and(|message| message.contains("got 500")), "{oldest}");
    let people = node.ok(&["probes", "prod/a", "--failed", "--limit", "1"]);
    assert!(people.contains("✖ status") && people.lines().count() == 2, "{people}");
}

/// An authority of the test, and a TLS server with a certificate of it.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    fn serve(&self, name: &str, end_year: i32) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_string()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(end_year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a pair"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().map_while(Result::ok) {
                let Ok(mut tls) = rustls::ServerConnection::new(config.clone()) else { continue };
                let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
                let mut head = Vec::new();
                let mut octet = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|read| read > 0) {
                    head.extend(octet);
                }
                let _ = stream.write_all(OK.as_bytes());
            }
        });
        address
    }
}

#[test]
fn certificates_are_shown_also_when_they_are_refused() {
    let authority = Authority::new();
    let (good, expired) = (authority.serve("api.example.com", 2090), authority.serve("api.example.com", 2021));
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.0.pem()).expect("writable");
    let examine = |url: String, at: SocketAddr| {
        let at = at.to_string();
        let arguments = ["probe", &url, "--address", &at, "--local", "-o", "json"];
        let said = run(Command::new(binary()).args(arguments).env("SSL_CERT_FILE", &ca).env("NO_COLOR", "1"));
        (said.code, json_of(&said)["probes"][0].clone())
    };
    let (code, probe) = examine(format!("https://api.example.com:{}/", good.port()), good);
    assert_eq!((code, &probe["tls"]["name"], &probe["tls"]["chain"][0]["names"][0]), (0, &json!("api.example.com"), &json!("api.example.com")), "{probe}");
    assert!(probe["tls"]["protocol"].as_str().is_some_and(|protocol| protocol.starts_with("TLS 1.")), "{probe}");
    assert_eq!(probe["tls"]["chain"][0]["issuer"], "authority of the test");
    assert_eq!((&probe["body"], &probe["got"]), (&json!("ok"), &json!("HTTP/1.1 200 OK")));

    let (code, probe) = examine(format!("https://www.example.org:{}/", good.port()), good);
    assert_eq!(code, 3);
    assert_eq!((&probe["tls"]["protocol"], &probe["tls"]["chain"][0]["names"][0]), (&Value::Null, &json!("api.example.com")), "{probe}");
    assert!(probe["got"].as_str().is_some_and(|got| got.contains("expected a certificate for www.example.org")), "{probe}");
    assert!(probe["try"].to_string().contains("sni"), "{probe}");

    let (code, probe) = examine(format!("https://api.example.com:{}/", expired.port()), expired);
    assert_eq!((code, probe["tls"]["chain"][0]["until"].as_str().map(|until| &until[..10])), (3, Some("2021-01-01")), "{probe}");
    assert!(probe["try"].to_string().contains("renew"), "{probe}");
}

#[test]
fn without_a_server_a_url_is_probed_from_here_and_that_is_said() {
    let gateway = Gateway::start(OK);
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = folder.path().join("nobody.sock");
    let url = format!("http://{}/", gateway.address);
    let said = run(Command::new(binary()).args(["probe", &url]).env("WINDROSE_SOCKET", &nobody).env("NO_COLOR", "1"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("this machine probes by itself") && said.out.contains("by this command"), "{said:?}");
    let said = run(Command::new(binary()).args(["probe", "prod/a"]).env("WINDROSE_SOCKET", &nobody).env("NO_COLOR", "1"));
    assert_eq!(said.code, 6, "an endpoint is the server's: {said:?}");
}

#[test]
fn silence_ends_at_the_deadline_and_a_few_probes_at_a_time_are_enough() {
    let gateway = Gateway::start(OK);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = silent.local_addr().expect("bound");
    let node = TestNode::start(&configuration(gateway.address, "interval = \"1day\"\n", ""));
    let body = json!({ "monitor": { "url": "http://{address}/", "timeout": "2s" }, "address": place.to_string() });
    let (socket, body) = (node.socket(), body.to_string());
    let ask = || http::over_socket(&socket, "POST", "/api/v1/probe", &[], &body).expect("it answers");
    let replies: Vec<http::Response> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    let (ran, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((ran.len(), refused.len()), (4, 4), "{replies:?}");
    for reply in refused {
        assert_eq!((reply.status, reply.header("Retry-After")), (429, Some("1")), "{reply:?}");
    }
    for reply in ran {
        let probe = &reply.json()["probes"][0];
        assert_eq!(probe["got"], format!("no answer within 2s while waiting for the response from {place}"), "{reply:?}");
        assert!(probe["probe"]["took_ms"].as_f64().is_some_and(|took| (1_900.0..4_000.0).contains(&took)), "{reply:?}");
    }
}

#[test]
fn probes_go_neither_to_metadata_nor_to_ourselves_unless_the_file_allows_them() {
    let gateway = Gateway::start(OK);
    let mut node = TestNode::start(&configuration(gateway.address, "interval = \"1day\"\n", ""));
    let refused = |node: &TestNode, address: String| {
        let reply = post(node, "/api/v1/probe", &json!({ "monitor": { "tcp": 80, "timeout": "1s" }, "address": address })).json();
        let probe = reply["probes"][0].clone();
        (probe["probe"]["reason"].as_str() == Some("internal")).then(|| probe["got"].as_str().unwrap_or_default().to_string())
    };
    for (address, why) in [
        ("169.254.169.254".to_string(), "metadata"),
        ("[fe80::1]:80".to_string(), "link-local"),
        ("[::ffff:169.254.169.254]:80".to_string(), "metadata"),
        ("100.100.100.200".to_string(), "metadata"),
        ("224.0.0.1".to_string(), "multicast"),
        ("0.0.0.0".to_string(), "no host's address"),
        (node.admin.to_string(), "own admin listener"),
        (node.metrics.to_string(), "own metrics listener"),
    ] {
        let said = refused(&node, address.clone()).unwrap_or_else(|| panic!("{address} was probed"));
        assert!(said.contains(why), "{address}: {said}");
    }
    assert_eq!(refused(&node, gateway.address.to_string()), None);

    let own = format!("[monitor.own]\ntcp = {}\n[sentinel.self]\nmonitor = \"own\"\naddress = \"127.0.0.1\"\n", node.metrics.port());
    node.configure(&configuration(gateway.address, "interval = \"1day\"\n", &own));
    let checked = node.cli(&["check", &node.config().display().to_string()]);
    assert!(checked.code == 2 && checked.err.contains("own metrics listener") && checked.err.contains("allow = [\"metrics\"]"), "{checked:?}");
    assert_eq!(node.cli(&["reload"]).code, 2, "and a reload is refused: no region goes down for it");
    node.configure(&configuration(gateway.address, "interval = \"1day\"\n", &format!("{own}[probe]\nallow = [\"metrics\", \"169.254.0.0/24\"]\n")));
    node.ok(&["reload"]);
    assert_eq!(refused(&node, node.metrics.to_string()), None);
    assert!(refused(&node, node.admin.to_string()).is_some());
    node.stop();
}

#[test]
fn a_monitors_secrets_go_elsewhere_for_an_admin_only_and_a_request_reads_no_files() {
    let (gateway, elsewhere) = (Gateway::start(OK), Gateway::start(OK));
    let keys = "headers = { Authorization = \"Bearer in-the-file\" }\ninterval = \"1day\"\n";
    let node = TestNode::start(&configuration(gateway.address, keys, ""));
    let token = node.json(&["token", "create", "op", "--scope", "operate"])["token"].as_str().expect("a token").to_string();
    let bearer = format!("Authorization: Bearer {token}");
    let ask = |address: String| {
        let body = json!({ "monitor": "gate", "address": address }).to_string();
        http::over_tcp(node.admin, "POST", "/api/v1/probe", &[&bearer], &body).expect("it answers")
    };
    let own = ask(gateway.address.ip().to_string());
    assert_eq!(own.status, 200, "{own:?}");
    let asked = elsewhere.asked.load(Ordering::SeqCst);
    let refused = ask(elsewhere.address.to_string());
    assert_eq!((refused.status, elsewhere.asked.load(Ordering::SeqCst)), (403, asked), "{refused:?}");
    for monitor in [
        json!({ "exec": ["/bin/true"] }),
        json!({ "tls": 443, "ca": "/etc/passwd" }),
        json!({ "url": "http://{address}/", "headers": { "X": { "file": "/etc/passwd" } } }),
    ] {
        let refused = post(&node, "/api/v1/probe", &json!({ "monitor": monitor, "address": elsewhere.address.to_string() }));
        assert!(refused.status == 400 && refused.body.contains("can't be given here"), "{refused:?}");
    }
}
