//! Zones on their way to secondaries: a real Knot beside us, and strangers who get nothing.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use tempfile::TempDir;
use windrose::wire::tsig::{Algorithm, Signer, TsigKey};

use super::dns::Client;
use super::node::{PATIENCE, TestNode, free_port, run, tool, wait_for};

const ZONE: &str = "api.example.com.";
const KEY: &str = "ns1-ns2.example.com";
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_SECRET: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// Knot as the secondary of one zone.
struct Knot {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Knot {
    /// Gets `api.example.com` from `primary`; `key`: with which secret.
    fn start(port: u16, primary: SocketAddr, key: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-knot-").tempdir().expect("a folder");
        let at = folder.path().display();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (keys, with) = match key {
            Some(secret) => (format!("key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {secret}\n"), format!("    key: {KEY}\n")),
            None => (String::new(), String::new()),
        };
        let text = format!(
            "server:\n  rundir: \"{at}\"\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: \"{at}\"\nlog:\n  - target: stderr\n    any: info\n{keys}\
             remote:\n  - id: primary\n    address: {}@{}\n{with}\
             acl:\n  - id: told\n    address: 127.0.0.1\n{with}    action: notify\n  - id: look\n    address: 127.0.0.1\n    action: transfer\n\
             zone:\n  - domain: api.example.com\n    storage: \"{at}\"\n    file: secondary.zone\n    master: primary\n    acl: [told, look]\n",
            primary.ip(),
            primary.port(),
        );
        let config = folder.path().join("knot.conf");
        std::fs::write(&config, text).expect("writable");
        let log = std::fs::File::create(folder.path().join("knot.log")).expect("writable");
        let child = Command::new("knotd").arg("-c").arg(&config).stdout(Stdio::null()).stderr(log).spawn().expect("knotd starts");
        Self { address, child, _folder: folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self._folder.path().join("knot.log")).unwrap_or_default()
    }

    /// The serial that it answers, once it does.
    fn serial(&self) -> Option<u32> {
        serial(self.address)
    }

    /// Waits until it has what the primary has.
    fn follows(&self, primary: SocketAddr, patience: Duration) -> u32 {
        let deadline = Instant::now() + patience;
        loop {
            let (theirs, ours) = (self.serial(), serial(primary));
            if let Some(serial) = ours.filter(|ours| theirs == Some(*ours)) {
                return serial;
            }
            assert!(Instant::now() < deadline, "Knot has {theirs:?}, we have {ours:?}; it said:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }
}

fn serial(server: SocketAddr) -> Option<u32> {
    let response = Client::with_timeout(server, Duration::from_millis(500)).ask(ZONE, RecordType::SOA)?;
    response.answers.iter().find_map(|record| if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None })
}

/// A gateway that a `tcp` monitor believes: a listener, until dropped.
struct Door {
    _listener: TcpListener,
}

/// Two pools behind doors on `port`, and who may transfer.
fn services(secondaries: &str, key: Option<&str>, port: u16) -> String {
    let key = key.map(|secret| format!("[key.\"{KEY}\"]\nsecret = \"{secret}\"\n")).unwrap_or_default();
    format!(
        "secondaries = [{secondaries}]\n{key}\
         [monitor.door]\ntcp = {port}\ninterval = \"500ms\"\ntimeout = \"400ms\"\ndown_after = 2\nup_after = 1\n\
         [pool.prod]\nmonitor = \"door\"\nendpoints = [\"127.61.0.1\"]\n[pool.dr]\nmonitor = \"door\"\nendpoints = [\"127.61.0.2\"]\n\
         [service.orders]\nname = [\"orders.api.example.com\", \"*.tenants.api.example.com\"]\nttl = \"5s\"\nfailback = \"0s\"\npolicy = {{ failover = [\"prod\", \"dr\"] }}\n"
    )
}

fn door(pool: u8, port: u16) -> Door {
    Door { _listener: TcpListener::bind(SocketAddr::from(([127, 61, 0, pool], port))).expect("free") }
}

fn knot_secondary(port: u16, key: bool) -> String {
    let key = if key { format!(", key = \"{KEY}\"") } else { String::new() };
    format!("{{ address = \"127.0.0.1:{port}\"{key} }}")
}

/// Records of a transfer by kdig, sorted; what it said instead if it failed.
fn axfr(server: SocketAddr, more: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut command = Command::new("kdig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]).args(["api.example.com", "AXFR", "+nocomments", "+time=20"]).args(more);
    let said = run(&mut command);
    let lines: BTreeSet<String> = said
        .out
        .lines()
        .filter(|line| !line.starts_with(';') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if lines.is_empty() { Err(format!("{}{}", said.out, said.err)) } else { Ok(lines) }
}

fn tools() -> bool {
    tool("knotd") && tool("kdig")
}

fn a_secondary_follows(key: Option<&str>) {
    if !tools() {
        return;
    }
    let (knot_port, port) = (free_port(), free_port());
    let (prod, _dr) = (door(1, port), door(2, port));
    let node = TestNode::start(&services(&knot_secondary(knot_port, key.is_some()), key, port));
    let knot = Knot::start(knot_port, node.dns, key);
    let before = knot.follows(node.dns, PATIENCE);
    let mut client = Client::new(knot.address);
    assert_eq!(client.first("orders.api.example.com."), Some("127.61.0.1".parse().expect("an address")), "{}", knot.log());
    assert_eq!(client.first("anything.tenants.api.example.com."), Some("127.61.0.1".parse().expect("an address")));
    assert_eq!(client.first("static.api.example.com."), Some("192.0.2.80".parse().expect("an address")));
    // It went over as it is: what Knot would give on is what we gave.
    if key.is_none() {
        let (ours, theirs) = (axfr(node.dns, &[]).expect("we are a secondary"), axfr(knot.address, &[]).expect("a transfer"));
        assert_eq!(ours, theirs);
    }
    // A region is lost. No refresh timer is that short (15 minutes): it was told.
    let lost = Instant::now();
    drop(prod);
    wait_for("our own answer to move", PATIENCE, || {
        (Client::new(node.dns).first("orders.api.example.com.") == Some("127.61.0.2".parse().expect("an address"))).then_some(())
    });
    let moved = Instant::now();
    wait_for("the secondary's answer to move", PATIENCE, || {
        (client.first("orders.api.example.com.") == Some("127.61.0.2".parse().expect("an address"))).then_some(())
    });
    let followed = moved.elapsed();
    println!("measured: ours moved after {:.2} s, the secondary's {:.2} s later", (moved - lost).as_secs_f64(), followed.as_secs_f64());
    assert!(followed < Duration::from_secs(5), "{followed:?}\n{}", knot.log());
    let after = knot.follows(node.dns, PATIENCE);
    assert!(after > before, "{before} then {after}");
    let metrics = super::http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("metrics").body;
    for series in
        ["windrose_dns_notify_total{outcome=\"accepted\",zone=\"api.example.com\"}", "windrose_dns_transfers_total{outcome=\"done\",zone=\"api.example.com\"}"]
    {
        assert!(
            counted(&metrics, series) >= 1.0,
            "{series} in\n{}",
            metrics.lines().filter(|line| line.contains("notify") || line.contains("transfers")).collect::<Vec<_>>().join("\n")
        );
    }
}

/// The value of a series, labels in any order.
fn counted(metrics: &str, series: &str) -> f64 {
    let parts = |line: &str| -> Option<(String, BTreeSet<String>)> {
        let (name, rest) = line.split_once('{')?;
        Some((name.to_string(), rest.split_once('}')?.0.split(',').map(str::to_string).collect()))
    };
    let wanted = parts(series);
    metrics.lines().find(|line| parts(line) == wanted).and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_secondary_gets_the_zone_and_follows_a_failover_within_seconds() {
    a_secondary_follows(None);
}

#[test]
fn a_secondary_with_a_key_does_the_same_and_every_message_is_signed() {
    a_secondary_follows(Some(SECRET));
}

#[test]
fn strangers_wrong_keys_and_wrong_clocks_get_nothing() {
    if !tools() {
        return;
    }
    let port = free_port();
    let secondaries = format!("{{ address = \"127.0.0.1:{}\", key = \"{KEY}\" }}", free_port());
    let node = TestNode::start(&services(&secondaries, Some(SECRET), port));
    let with = |secret: &str| format!("hmac-sha256:{KEY}:{secret}");
    let (right, wrong, unknown) = (with(SECRET), with(OTHER_SECRET), format!("hmac-sha256:other.key:{SECRET}"));
    let other_algorithm = format!("hmac-sha512:{KEY}:{SECRET}");
    let records = axfr(node.dns, &["-y", &right]).expect("the key and the address are right");
    assert!(records.iter().any(|record| record.starts_with("*.tenants.api.example.com.")), "{records:?}");
    for (more, said) in [
        (&["+comments"][..], "REFUSED"),
        (&["+comments", "-b", "127.0.0.2"], "REFUSED"),
        (&["+comments", "-b", "127.0.0.2", "-y", &right], "REFUSED"),
        (&["+comments", "-y", &wrong], "BADSIG"),
        (&["+comments", "-y", &unknown], "BADKEY"),
        (&["+comments", "-y", &other_algorithm], "BADKEY"),
        (&["+comments", "+notcp"], "REFUSED"),
    ] {
        let refused = axfr(node.dns, more).expect_err("nothing but a refusal");
        assert!(refused.contains(said), "{more:?} must be {said}: {refused}");
    }
    for (kind, more, said) in [("IXFR=1", &["+comments"][..], "REFUSED"), ("IXFR=1", &["+comments", "-y", &wrong], "BADSIG")] {
        let at = ["-p".to_string(), node.dns.port().to_string()];
        let said_by = run(Command::new("kdig").arg(format!("@{}", node.dns.ip())).args(at).args(["api.example.com", kind]).args(more));
        let all = said_by.out + &said_by.err;
        assert!(all.contains(said) && !all.contains("IN\tA\t"), "{kind} {more:?} must be {said}: {all}");
    }
    // A clock that is ten minutes off: RFC 8945, section 5.2.3.
    let name: windrose::wire::Name = KEY.parse().expect("a name");
    let key = Arc::new(TsigKey::new(name, Algorithm::HmacSha256, b"0123456789abcdef0123456789abcdef"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    for (time, rcode) in [(now, ResponseCode::NoError), (now - 600, ResponseCode::NotAuth), (now + 600, ResponseCode::NotAuth)] {
        let mut query = Client::query(7, ZONE, RecordType::AXFR);
        let length = query.len();
        query.resize(length + key.record_octets(), 0);
        assert_eq!(Signer::request(key.clone()).sign(&mut query, length, time), Some(length + key.record_octets()));
        let response = over_tcp(node.dns, &query);
        assert_eq!(response[3] & 0x0f, u16::from(rcode) as u8, "clock {time}, now {now}");
    }
    // NOTIFY from strangers is refused, as before.
    let mut notify = Client::query(8, ZONE, RecordType::SOA);
    notify[2] = 0x20;
    assert_eq!(over_tcp(node.dns, &notify)[3] & 0x0f, 5);
    let metrics = super::http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("metrics").body;
    for outcome in ["refused", "badkey", "badsig", "badtime", "done"] {
        assert!(counted(&metrics, &format!("windrose_dns_transfers_total{{zone=\"api.example.com\",outcome=\"{outcome}\"}}")) >= 1.0, "{outcome}");
    }
    let shown = node.ok(&["status", "-o", "json"]) + &metrics;
    assert!(!shown.contains(SECRET), "a secret is shown");
}

/// The first response to a query.
fn over_tcp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a response");
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response).expect("all of it");
    response
}

#[test]
fn a_zone_of_100_000_records_arrives_complete() {
    if !tools() {
        return;
    }
    let (knot_port, port) = (free_port(), free_port());
    let mut node = TestNode::prepare(&services(&knot_secondary(knot_port, true), Some(SECRET), port));
    let zone = node.path("api.example.com.zone");
    let mut text = std::fs::read_to_string(&zone).expect("readable");
    for host in 0..100_000 {
        text.push_str(&format!("host-{host} 300 A 10.{}.{}.{}\n", host >> 16, (host >> 8) & 255, host & 255));
    }
    std::fs::write(&zone, text).expect("writable");
    node.launch();
    let knot = Knot::start(knot_port, node.dns, Some(SECRET));
    knot.follows(node.dns, 3 * PATIENCE);
    let began = Instant::now();
    let records = axfr(knot.address, &[]).expect("a transfer");
    let hosts = records.iter().filter(|record| record.starts_with("host-")).count();
    assert_eq!(hosts, 100_000, "{}", knot.log());
    let took = node.wait_for_log("went to 127.0.0.1");
    println!("measured: {took}; Knot gives it on in {:?}", began.elapsed());
    let mut client = Client::new(knot.address);
    assert_eq!(client.first("host-99999.api.example.com."), Some("10.1.134.159".parse().expect("an address")));
    // One that never reads is cut, and nobody else is held up by it.
    let key = Arc::new(TsigKey::new(KEY.parse().expect("a name"), Algorithm::HmacSha256, b"0123456789abcdef0123456789abcdef"));
    let mut query = Client::query(9, ZONE, RecordType::AXFR);
    let length = query.len();
    query.resize(length + key.record_octets(), 0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Signer::request(key).sign(&mut query, length, now).expect("room");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    socket.connect(&node.dns.into()).expect("it listens");
    let mut stream = TcpStream::from(socket);
    // More than the kernel's buffers take.
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat().repeat(10)).expect("sent");
    assert!(Client::new(node.dns).ask("host-1.api.example.com.", RecordType::A).is_some());
    assert!(axfr(node.dns, &["-y", &format!("hmac-sha256:{KEY}:{SECRET}")]).expect("another transfer").len() > 100_000);
    let cut = node.wait_for_log("broke off");
    assert!(cut.contains("did not read in time"), "{cut}");
}

#[test]
fn the_serial_never_goes_back_over_kill_nine() {
    let port = free_port();
    let (_prod, _dr) = (door(1, port), door(2, port));
    let mut node = TestNode::start(&services(&format!("\"127.0.0.1:{}\"", free_port()), None, port));
    let mut highest = wait_for("a serial", PATIENCE, || serial(node.dns));
    assert!(highest >= 2026112101, "the file's is {highest} at least");
    for round in 0..4 {
        for pool in ["dr", "prod", "dr"] {
            let other = if pool == "dr" { "prod" } else { "dr" };
            node.ok(&["failover", "orders", "--to", pool, "--reason", "test"]);
            let now = serial(node.dns).expect("it answers");
            assert!(now >= highest, "round {round}, {pool} instead of {other}: {now} after {highest}");
            highest = now;
        }
        node.kill();
        node.launch();
        let now = wait_for("a serial", PATIENCE, || serial(node.dns));
        assert!(now >= highest, "round {round}: {now} after {highest} and kill -9");
        let risen = wait_for("it to rise", PATIENCE, || serial(node.dns).filter(|now| *now > highest));
        highest = risen;
        node.ok(&["failover", "orders", "--to", "prod", "--reason", "test"]);
    }
}

#[test]
fn a_reload_lets_a_secondary_in_and_out_without_a_restart() {
    if !tools() {
        return;
    }
    let (knot_port, port) = (free_port(), free_port());
    let node = TestNode::start(&services("", None, port));
    assert!(axfr(node.dns, &["+comments"]).expect_err("nobody may").contains("REFUSED"));
    let knot = Knot::start(knot_port, node.dns, Some(SECRET));
    node.configure(&services(&knot_secondary(knot_port, true), Some(SECRET), port));
    node.ok(&["reload"]);
    // Told at once; its own retry may be seconds away.
    knot.follows(node.dns, PATIENCE);
    node.configure(&services(&knot_secondary(knot_port, true), Some(OTHER_SECRET), port));
    node.ok(&["reload"]);
    assert!(axfr(node.dns, &["+comments", "-y", &format!("hmac-sha256:{KEY}:{SECRET}")]).expect_err("another key now").contains("BADSIG"));
}
