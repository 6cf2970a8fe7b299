//! Binary upgrades: another process takes over under load, and nobody notices.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use super::dns::{Client, addresses};
use super::http::{Response, over_socket, over_tcp};
use super::node::{PATIENCE, TestNode, binary, free_port, is_running, run, wait_for};

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

/// What [`TABLE`] asks for, from pools that nobody probes.
const TRUSTED: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { failover = ["dr", "prod"] }
[service.portal]
name = "portal.api.example.com"
policy = { failover = ["dr", "prod"] }
"#
);

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

fn get(node: &TestNode, path: &str) -> Value {
    over_socket(&node.socket(), "GET", path, &[], "").expect("an answer").json()
}

fn put_traffic(node: &TestNode, reason: &str) -> std::io::Result<Response> {
    let body = format!(r#"{{"policy": {{"failover": ["dr", "prod"]}}, "reason": "{reason}"}}"#);
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
        std::thread::park_timeout(Duration::from_millis(100));
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

/// A process that asks to take over, started by hand.
fn serve_upgrade(node: &TestNode) -> Child {
    let mut command = Command::new(binary());
    command.args(["serve", "--upgrade", "--config"]).arg(node.config()).env("WINDROSE_LOG", "info");
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Waits for its end; what it said.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let status = wait_for("its end", PATIENCE, || child.try_wait().expect("ours"));
    let mut said = String::new();
    let _ = child.stderr.take().expect("piped").read_to_string(&mut said);
    (status.code(), said)
}

/// Takes connections and says nothing; counts them.
fn silent_gateway() -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (port, seen) = (listener.local_addr().expect("bound").port(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let count = seen.clone();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, seen)
}

/// A service whose only pool is probed at this port, by TCP or (which a silent gateway fails slowly) by HTTP.
fn watched(port: u16, http: bool) -> String {
    let check = if http { format!("url = \"http://{{address}}:{port}/\"") } else { format!("tcp = {port}") };
    format!(
        "[monitor.m]\n{check}\ninterval = \"{}\"\ntimeout = \"{}\"\n[pool.watched]\nmonitor = \"m\"\nendpoints = [\"127.0.0.1\"]\n[service.w]\nname = \"w.api.example.com\"\npolicy = {{ failover = [\"watched\"] }}\n",
        if http { "20s" } else { "200ms" },
        if http { "15s" } else { "150ms" }
    )
}

#[test]
fn a_new_process_killed_in_the_middle_leaves_the_old_one_serving_probing_and_writing_again() {
    let (port, probes) = silent_gateway();
    let node = TestNode::start(&format!("{TRUSTED}{}", watched(port, false)));
    let before = put_traffic(&node, "before").expect("an answer").json()["revision"].as_u64().expect("a number");
    let load = Load::start(node.dns);
    // Of the new file's targets nothing is known, so that the new process waits some seconds for a first round before it answers.
    let (slow, asked) = silent_gateway();
    node.configure(&format!("{TRUSTED}{}", watched(slow, true)));
    for round in 0..2 {
        let mut heir = serve_upgrade(&node);
        wait_for("the new process to probe", PATIENCE, || (round < asked.load(Ordering::Relaxed)).then_some(()));
        // In the middle: reading works, writing does not, and says so; one prober at a time.
        let refused = put_traffic(&node, "meanwhile").expect("an answer");
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.header("retry-after").is_some() && refused.body.contains("handing over"), "{}", refused.body);
        let dry = over_socket(&node.socket(), "PUT", &format!("{TRAFFIC}?dry_run=true"), &["If-Match: *"], r#"{"policy": {"failover": ["prod"]}}"#);
        assert_eq!(dry.expect("an answer").status, 200, "a dry run writes nothing");
        assert_eq!(get(&node, TRAFFIC)["changed"]["reason"], if round == 0 { "before" } else { "after 0" });
        let quiet = probes.load(Ordering::Relaxed);
        std::thread::park_timeout(Duration::from_millis(600));
        assert_eq!(probes.load(Ordering::Relaxed), quiet, "the old one does not probe meanwhile");
        assert!(heir.try_wait().expect("ours").is_none(), "it is still in the middle");
        heir.kill().expect("ours");
        heir.wait().expect("ours");
        // And on it goes.
        wait_for("probes of the old one", PATIENCE, || (quiet + 2 < probes.load(Ordering::Relaxed)).then_some(()));
        let written = wait_for("writes", PATIENCE, || put_traffic(&node, &format!("after {round}")).ok().filter(|done| done.status == 200));
        assert!(before < written.json()["revision"].as_u64().expect("a number"));
    }
    load.nothing_lost("two new processes that were killed");
    // What was written is there for the next.
    let mut node = node;
    node.configure(TRUSTED);
    node.upgrade();
    assert_eq!(get(&node, TRAFFIC)["changed"]["reason"], "after 1");
}

#[test]
fn whoever_asks_and_says_nothing_more_does_no_harm() {
    let node = TestNode::start(TRUSTED);
    let mut silent = UnixStream::connect(node.socket()).expect("it listens");
    silent.set_read_timeout(Some(PATIENCE)).expect("set");
    silent
        .write_all(b"POST /api/v1/handover HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: windrose-handover/1\r\nContent-Length: 0\r\n\r\n")
        .expect("sent");
    let mut start = [0; 12];
    silent.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 101");
    wait_for("the core to rest", PATIENCE, || put_traffic(&node, "x").ok().filter(|refused| refused.status == 503));
    // One hand-over at a time.
    let (code, said) = ended(serve_upgrade(&node));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("handing over to another process already"), "{said}");
    let said = node.cli(&["upgrade"]);
    assert!(said.code == 1 && said.err.contains("already"), "{said:?}");
    drop(silent);
    wait_for("writes", PATIENCE, || put_traffic(&node, "after").ok().filter(|done| done.status == 200));
    // Nonsense is refused before anything happens.
    for (protocol, words) in [("windrose-handover/99", "restart instead"), ("websocket", "restart instead")] {
        let upgrade = format!("Upgrade: {protocol}");
        let refused = over_socket(&node.socket(), "POST", "/api/v1/handover", &[&upgrade], "").expect("an answer");
        assert!(refused.status == 409 && refused.body.contains(words), "{}", refused.body);
    }
    let token = format!("Authorization: Bearer {}", node.ok(&["token", "create", "root", "--scope", "admin"]).trim());
    let refused = over_tcp(node.admin, "POST", "/api/v1/handover", &[&token, "Upgrade: windrose-handover/1"], "").expect("an answer");
    assert!(refused.status == 409 && refused.body.contains("unix socket"), "{}", refused.body);
    let operator = format!("Authorization: Bearer {}", node.ok(&["token", "create", "op", "--scope", "operate"]).trim());
    assert_eq!(over_tcp(node.admin, "POST", "/api/v1/upgrade", &[&operator], "").expect("an answer").status, 403);
    assert_eq!(put_traffic(&node, "still").expect("an answer").status, 200);
}

#[test]
fn a_new_process_that_can_not_serve_says_why_and_the_old_one_serves_on() {
    let node = TestNode::start(TRUSTED);
    let (pid, load) = (node.pid(), Load::start(node.dns));
    let goes_on = |what: &str| {
        assert!(is_running(pid), "{what}");
        wait_for("writes", PATIENCE, || put_traffic(&node, what).ok().filter(|done| done.status == 200));
    };
    // A file with problems: nothing is disturbed, by either way.
    node.configure(&TRUSTED.replace("[\"dr\", \"prod\"]", "[\"dx\"]"));
    let said = node.cli(&["upgrade"]);
    assert!(said.code == 2 && said.err.contains("windrose.toml:") && said.err.contains("`dx`") && said.err.contains("nothing changed"), "{said:?}");
    assert_eq!(put_traffic(&node, "not even writes are refused").expect("an answer").status, 200);
    let (code, said) = ended(serve_upgrade(&node));
    assert!(code == Some(2) && said.contains("`dx`"), "{said}");
    assert_eq!(put_traffic(&node, "nor now").expect("an answer").status, 200);
    // An address that is taken: found when the old one rests already.
    node.configure(TRUSTED);
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a socket");
    let taken = stranger.local_addr().expect("bound");
    let text = std::fs::read_to_string(node.config()).expect("written");
    std::fs::write(node.config(), text.replace(&format!("listen = [\"{}\"]", node.dns), &format!("listen = [\"{}\", \"{taken}\"]", node.dns)))
        .expect("writable");
    let said = node.cli(&["upgrade"]);
    assert!(said.code == 1 && said.err.contains("another program uses port") && said.err.contains("nothing changed"), "{said:?}");
    goes_on("after an address that was taken");
    let (code, said) = ended(serve_upgrade(&node));
    assert!(code == Some(1) && said.contains("another program uses port"), "{said}");
    goes_on("and once more");
    load.nothing_lost("failed upgrades");
    // Without the flag a second process is refused as ever.
    let said = run(Command::new(binary()).arg("serve").arg("--config").arg(node.config()));
    assert!(said.code == 1 && said.err.contains("in use"), "{said:?}");
    drop(stranger);
    let mut node = node;
    node.upgrade();
    assert_ne!(node.pid(), pid);
}

#[test]
fn addresses_and_workers_may_change_over_an_upgrade_and_what_stays_loses_nothing() {
    let mut node = TestNode::start(TRUSTED);
    let text = std::fs::read_to_string(node.config()).expect("written");
    let other = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listen = |addresses: &[SocketAddr]| format!("listen = [{}]", addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", "));
    let both = listen(&[other, node.dns]);
    let old = listen(&[node.dns]);
    let load = Load::start(node.dns);
    let mut more = None;
    for (workers, addresses, place) in [(4, &old, node.metrics), (1, &both, node.metrics), (3, &both, metrics), (2, &old, node.metrics)] {
        let text = text.replace("workers = 2", &format!("workers = {workers}")).replace(&old, addresses);
        let text = text.replace(&format!("[metrics]\nlisten = \"{}\"", node.metrics), &format!("[metrics]\nlisten = \"{place}\""));
        std::fs::write(node.config(), text).expect("writable");
        node.upgrade();
        assert_eq!(over_tcp(place, "GET", "/readyz", &[], "").expect("an answer").status, 200);
        match (*addresses == both, workers) {
            (true, 1) => more = Some(Load::start(other)),
            // Before the address goes.
            (true, _) => more.take().expect("the round before").nothing_lost("an upgrade, at an address that was added by the one before"),
            _ => (),
        }
        std::thread::park_timeout(Duration::from_millis(300));
    }
    load.nothing_lost("upgrades with other workers and addresses");
    assert!(UdpSocket::bind(other).is_ok() && TcpListener::bind(other).is_ok(), "an address that is no longer wanted is free");
}

#[test]
fn the_admin_socket_may_move_and_without_a_server_the_flag_changes_nothing() {
    let mut node = TestNode::prepare(TRUSTED);
    node.launch_with(&["--upgrade"]);
    let old = node.socket();
    let text = std::fs::read_to_string(node.config()).expect("written");
    let moved = node.path("moved.sock");
    std::fs::write(node.config(), text.replace(&old.display().to_string(), &moved.display().to_string())).expect("writable");
    node.upgrade();
    assert!(!old.exists(), "nobody listens there any more");
    assert_eq!(over_socket(&moved, "GET", "/readyz", &[], "").expect("an answer").status, 200);
}

#[test]
fn what_was_learned_goes_on_without_a_store_too() {
    let mut node = TestNode::prepare(&services(free_port()));
    node.launch_with(&["--without-store"]);
    wait_for("the verdict", PATIENCE, || (get(&node, "/api/v1/endpoints/prod/127.0.0.1")["state"]["observed"] == "down").then_some(()));
    let before = get(&node, "/api/v1/endpoints/prod/127.0.0.1");
    for _ in 0..3 {
        node.upgrade();
        let now = get(&node, "/api/v1/endpoints/prod/127.0.0.1");
        assert_eq!((&now["state"], &now["since"]), (&before["state"], &before["since"]));
        assert_eq!(Client::new(node.dns).first(TABLE[0].0), Some(TABLE[0].1.into()));
    }
    let refused = put_traffic(&node, "x").expect("an answer");
    assert!(refused.status == 503 && refused.body.contains("--without-store"), "{}", refused.body);
}

#[test]
fn the_program_that_is_started_is_the_one_on_disk_now() {
    let mut node = TestNode::prepare(TRUSTED);
    let program = node.path("windrose");
    std::os::unix::fs::symlink(binary(), &program).expect("a link");
    node.program = program.clone();
    node.launch();
    let script = |text: &str| {
        let path = node.path("script");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("writable");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        std::fs::remove_file(&program).expect("ours");
        std::os::unix::fs::symlink(path, &program).expect("a link");
    };
    for (text, words) in [("echo broken library >&2; exit 127", "broken library"), ("[ \"$1\" = check ] && exit 0; exit 9", "exit status: 9")] {
        script(text);
        let said = node.cli(&["upgrade"]);
        assert!(said.code == 1 && said.err.contains(words) && said.err.contains("nothing changed"), "{said:?}");
        assert_eq!(put_traffic(&node, "on").expect("an answer").status, 200);
    }
    script(&format!("exec {} \"$@\"", binary()));
    node.upgrade();
}

/// Notifications as systemd gets them, with their sender.
fn notified(socket: &UnixDatagram) -> Option<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn systemd_is_told_who_is_the_main_process_and_its_watchdog_is_fed_on() {
    let mut node = TestNode::prepare(TRUSTED);
    let path = node.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    node.environment = vec![("NOTIFY_SOCKET".into(), path.into_os_string()), ("WATCHDOG_USEC".into(), "400000".into())];
    node.launch();
    let mut said = notified(&socket).expect("READY");
    assert!(said.contains("READY=1"), "{said}");
    node.upgrade();
    let main = format!("MAINPID={}", node.pid());
    while !said.contains(&main) {
        said = notified(&socket).expect("the new main process");
    }
    while !said.contains("READY=1") {
        said = notified(&socket).expect("READY of the new one");
    }
    // The old one is gone: whoever feeds the watchdog now is the new one.
    for _ in 0..3 {
        while !said.contains("WATCHDOG=1") {
            said = notified(&socket).expect("the watchdog is fed");
        }
        said.clear();
    }
    node.stop();
}

/// A query with a cookie option; the response's code (RFC 6891, section 6.1.3) and its cookie.
fn ask_with_cookie(dns: SocketAddr, cookie: &[u8]) -> (u16, Vec<u8>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut query = Client::query(7, TABLE[2].0, RecordType::A);
    query[11] = 1;
    let length = cookie.len() as u16;
    query.extend([&[0, 0, 41, 4, 208, 0, 0, 0, 0][..], &(length + 4).to_be_bytes(), &[0, 10], &length.to_be_bytes(), cookie].concat());
    socket.send_to(&query, dns).expect("sent");
    let mut buffer = [0; 1500];
    let got = socket.recv(&mut buffer).expect("an answer");
    let message = Message::from_vec(&buffer[..got]).expect("it parses");
    // The option is the last of the response.
    let at = buffer[..got].windows(4).rposition(|bytes| bytes == [0, 10, 0, 24]).expect("a whole cookie");
    (u16::from(message.metadata.response_code), buffer[at + 4..at + 28].to_vec())
}

#[test]
fn cookies_that_clients_have_stay_good() {
    const BADCOOKIE: u16 = 23;
    let mut node = TestNode::prepare(TRUSTED);
    let text = std::fs::read_to_string(node.config()).expect("written");
    std::fs::write(node.config(), text.replace("workers = 2\n", "workers = 2\ncookies = { required = true }\n")).expect("writable");
    node.launch();
    let (code, cookie) = ask_with_cookie(node.dns, b"clientab");
    assert_eq!(code, BADCOOKIE, "a new client shows its address first");
    assert_eq!(ask_with_cookie(node.dns, &cookie).0, 0);
    for _ in 0..2 {
        node.upgrade();
        assert_eq!(ask_with_cookie(node.dns, &cookie).0, 0, "nobody must begin anew because of an upgrade");
    }
    let mut forged = cookie;
    forged[23] ^= 1;
    assert_eq!(ask_with_cookie(node.dns, &forged).0, BADCOOKIE);
}
