//! Binary upgrades: another process takes over under load, and nobody notices.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::dns::{Client, addresses};
use super::http::{Response, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, binary, free_port, is_running, run, signal, wait_for};

/// What is asked, and the only right answer.
const TABLE: [(&str, [u8; 4]); 3] =
    [("orders.api.example.com.", [192, 0, 2, 2]), ("portal.api.example.com.", [192, 0, 2, 2]), ("static.api.example.com.", [192, 0, 2, 80])];

/// `prod` is probed and down; `dr` is up. `orders` follows health, `portal` an operator.
fn services(closed: u16) -> String {
    format!(
        r#"
[monitor.trusted]
always = "up"
[monitor.dead]
tcp = {closed}
interval = "300ms"
timeout = "200ms"
down_after = 2
up_after = 2
ok_after = 1
[pool.prod]
monitor = "dead"
endpoints = ["127.0.0.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[pool.third]
monitor = "trusted"
endpoints = ["192.0.2.3"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
[service.portal]
name = "portal.api.example.com"
policy = {{ failover = ["third", "dr"] }}
"#
    )
}

const TRUSTED: &str = r#"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
"#;

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

fn get(node: &TestNode, path: &str) -> Value {
    over_socket(&node.socket(), "GET", path, &[], "").expect("an answer").json()
}

fn put_traffic(node: &TestNode, reason: &str) -> std::io::Result<Response> {
    let body = format!(r#"{{"policy": {{"failover": ["prod", "dr"]}}, "reason": "{reason}"}}"#);
    over_socket(&node.socket(), "PUT", TRAFFIC, &["If-Match: *"], &body)
}

/// What some askers saw.
#[derive(Debug, Default)]
struct Seen {
    asked: usize,
    lost: usize,
    wrong: Vec<String>,
    slowest: Duration,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.asked += other.asked;
        self.lost += other.lost;
        self.wrong.extend(other.wrong);
        self.slowest = self.slowest.max(other.slowest);
    }

    fn answer(&mut self, question: usize, response: &[u8], took: Duration) {
        self.slowest = self.slowest.max(took);
        let right = IpAddr::from(TABLE[question].1);
        match Message::from_vec(response) {
            Ok(message) if addresses(&message) == [right] => (),
            Ok(message) => self.wrong.push(message.to_string()),
            Err(error) => self.wrong.push(error.to_string()),
        }
    }
}

/// Sends one query each `period`, whether the last one was answered or not: a queue that is lost shows.
fn ask_udp(dns: SocketAddr, period: Duration, end: &AtomicBool) -> Seen {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(dns).expect("loopback");
    let (mut seen, mut open) = (Seen::default(), HashMap::<u16, (usize, Instant)>::new());
    let mut next = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        let ends = end.load(Ordering::Relaxed);
        if ends && (open.is_empty() || next + Duration::from_secs(3) < Instant::now()) {
            break;
        }
        if !ends && next <= Instant::now() {
            let (id, question) = (seen.asked as u16, seen.asked % TABLE.len());
            open.insert(id, (question, Instant::now()));
            if let Err(error) = socket.send(&Client::query(id, TABLE[question].0, RecordType::A)) {
                seen.wrong.push(format!("the port was closed: {error}"));
            }
            seen.asked += 1;
            next += period;
        }
        let wait = next.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), Duration::from_millis(100));
        socket.set_read_timeout(Some(wait)).expect("set");
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                match open.remove(&id) {
                    Some((question, at)) => seen.answer(question, &buffer[..length], at.elapsed()),
                    None => seen.wrong.push(format!("a second answer to {id}")),
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => (),
            Err(error) => seen.wrong.push(format!("the port was closed: {error}")),
        }
    }
    seen.lost = open.len();
    seen
}

/// One query over TCP; `None`: the connection ended first.
fn exchange(stream: &mut TcpStream, id: u16, question: usize) -> Option<Vec<u8>> {
    let query = Client::query(id, TABLE[question].0, RecordType::A);
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    stream.write_all(&framed).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut response).ok()?;
    Some(response)
}

fn connect(dns: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(dns).expect("nobody is refused");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_nodelay(true).expect("set");
    stream
}

/// One query after the other over TCP, on a connection each or on one that is kept.
fn ask_tcp(dns: SocketAddr, period: Duration, keep: bool, end: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut stream = connect(dns);
    while !end.load(Ordering::Relaxed) {
        if !keep {
            stream = connect(dns);
        }
        let (at, question) = (Instant::now(), seen.asked % TABLE.len());
        match exchange(&mut stream, seen.asked as u16, question) {
            Some(response) => seen.answer(question, &response, at.elapsed()),
            None => {
                seen.lost += 1;
                stream = connect(dns);
            }
        }
        seen.asked += 1;
        std::thread::park_timeout(period.saturating_sub(at.elapsed()));
    }
    seen
}

/// Askers at work: over UDP 500 queries a second, over TCP some more.
struct Load {
    end: Arc<AtomicBool>,
    askers: Vec<std::thread::JoinHandle<Seen>>,
    kept: Vec<std::thread::JoinHandle<Seen>>,
    began: Instant,
}

impl Load {
    fn start(dns: SocketAddr) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let spawn = |ask: Box<dyn Fn(&AtomicBool) -> Seen + Send>| {
            let end = end.clone();
            std::thread::spawn(move || ask(&end))
        };
        let mut askers: Vec<_> = (0..5).map(|_| spawn(Box::new(move |end| ask_udp(dns, Duration::from_millis(10), end)))).collect();
        askers.push(spawn(Box::new(move |end| ask_tcp(dns, Duration::from_millis(20), false, end))));
        let kept = (0..2).map(|_| spawn(Box::new(move |end| ask_tcp(dns, Duration::from_millis(10), true, end)))).collect();
        Self { end, askers, kept, began: Instant::now() }
    }

    /// What was seen: over UDP and new TCP connections, and over kept ones.
    fn stop(self) -> (Seen, Seen, Duration) {
        self.end.store(true, Ordering::Relaxed);
        let took = self.began.elapsed();
        let all = |askers: Vec<std::thread::JoinHandle<Seen>>| {
            askers.into_iter().fold(Seen::default(), |mut all, asker| {
                all.add(asker.join().expect("it ran"));
                all
            })
        };
        (all(self.askers), all(self.kept), took)
    }

    /// The same; not one query may be lost or answered wrongly.
    fn nothing_lost(self, during: &str) {
        let (seen, kept, took) = self.stop();
        println!(
            "measured: {} queries ({:.0}/s) and {} on kept connections during {during}, {} + {} lost, {} wrong; the slowest answer took {:?}",
            seen.asked,
            seen.asked as f64 / took.as_secs_f64(),
            kept.asked,
            seen.lost,
            kept.lost,
            seen.wrong.len() + kept.wrong.len(),
            seen.slowest.max(kept.slowest)
        );
        assert!(300.0 < seen.asked as f64 / took.as_secs_f64(), "{} queries are no load", seen.asked);
        assert!(seen.wrong.is_empty() && kept.wrong.is_empty(), "{:?}", seen.wrong.iter().chain(&kept.wrong).next());
        assert_eq!((seen.lost, kept.lost), (0, 0), "of {} and {}", seen.asked, kept.asked);
    }
}

#[test]
fn not_one_query_is_lost_or_answered_wrongly_by_twenty_upgrades_and_what_is_known_stays_known() {
    let mut node = TestNode::start(&services(free_port()));
    node.ok(&["failover", "portal", "--to", "dr", "--reason", "CHG-7"]);
    node.ok(&["drain", "region", "third", "--for", "2h", "--reason", "disks"]);
    wait_for("the verdict", PATIENCE, || (get(&node, "/api/v1/endpoints/prod/127.0.0.1")["state"]["observed"] == "down").then_some(()));
    let mut client = Client::new(node.dns);
    wait_for("the failover", PATIENCE, || (client.first(TABLE[0].0) == Some(TABLE[0].1.into())).then_some(()));
    let endpoint = get(&node, "/api/v1/endpoints/prod/127.0.0.1");
    let (traffic, overrides) = (get(&node, "/api/v1/services/portal/traffic"), get(&node, "/api/v1/overrides"));

    let load = Load::start(node.dns);
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let (before, at) = (node.pid(), Instant::now());
        node.upgrade();
        slowest = slowest.max(at.elapsed());
        assert_ne!(node.pid(), before, "round {round}");
        let now = get(&node, "/api/v1/endpoints/prod/127.0.0.1");
        assert_eq!((&now["state"], &now["since"]), (&endpoint["state"], &endpoint["since"]), "round {round}");
    }
    println!("measured: the slowest of 20 upgrades took {slowest:?}");
    load.nothing_lost("20 upgrades");
    assert_eq!(get(&node, "/api/v1/services/portal/traffic")["policy"], traffic["policy"]);
    assert_eq!(get(&node, "/api/v1/overrides")["items"], overrides["items"]);
    // The last one works like any other: it probes, it writes, it stops.
    wait_for("a probe of the last one", PATIENCE, || get(&node, "/api/v1/endpoints/prod/127.0.0.1")["last_probe"].is_object().then_some(()));
    assert_eq!(put_traffic(&node, "after").expect("an answer").status, 200);
    node.stop();
    assert!(!node.socket().exists(), "the last one takes its socket with it");
}
