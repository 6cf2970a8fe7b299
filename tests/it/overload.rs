//! More queries than can be answered: the rest of the daemon goes on, and answers are back when the flood is over.
//!
//! How much is answered under a flood is measured by `benches/overload`, never asserted here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::dns::Client;
use super::fuzzed::query;
use super::http::{over_socket, over_tcp};
use super::node::{TestNode, wait_for};

/// How long the flood lasts, at least.
const FLOOD: Duration = Duration::from_secs(3);
/// Answers are back within this time (issue 3, "Overload").
const RECOVERY: Duration = Duration::from_secs(2);
/// A client that got no answer asks again after this time.
const AGAIN: Duration = Duration::from_millis(200);
/// Probes that must end while the flood lasts, at the latest before [`PATIENCE`] is over.
const PROBES: f64 = 4.0;
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends as fast as it can, and reads what comes, until told to stop.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn begin(server: SocketAddr, name: &str) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..2).map(|_| {
            let (stop, sent, packet) = (stop.clone(), sent.clone(), query(name, 1, None));
            std::thread::spawn(move || {
                // Nobody reads: responses that find no room are dropped by the kernel, as with a sender whose address is made up.
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
                socket.connect(server).expect("loopback");
                while !stop.load(Ordering::Relaxed) {
                    if socket.send(&packet).is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop, sent }
    }

    /// Packets sent.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it only sends"));
        self.sent.load(Ordering::Relaxed)
    }
}

#[test]
fn a_flood_stops_neither_probes_nor_the_api_and_leaves_nothing_behind() {
    // Something to probe: accepts and says nothing.
    let gateway = TcpListener::bind("127.10.77.1:0").expect("loopback");
    let port = gateway.local_addr().expect("bound").port();
    std::thread::spawn(move || gateway.incoming().for_each(drop));
    let node = TestNode::start(&format!(
        "[monitor.gateway]\ntcp = {port}\ninterval = \"1s\"\ntimeout = \"900ms\"\n[pool.prod]\nmonitor = \"gateway\"\nendpoints = [\"127.10.77.1\"]\n\
         [service.shop]\nname = \"shop.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n"
    ));
    let mut client = Client::new(node.dns);
    assert_eq!(client.first("shop.api.example.com."), Some([127, 10, 77, 1].into()));
    let passed = || metric(&node, "windrose_probe_attempts_total{", "outcome=\"pass\"");

    let flood = Flood::begin(node.dns, "shop.api.example.com");
    let (began, probed_before) = (Instant::now(), passed());
    let mut slowest = Duration::ZERO;
    wait_for("probes during the flood", PATIENCE, || {
        let asked = Instant::now();
        let overview = over_socket(&node.socket(), "GET", "/api/v1/services/shop", &[], "").expect("the API answers");
        assert_eq!(overview.status, 200);
        slowest = slowest.max(asked.elapsed());
        (began.elapsed() >= FLOOD && passed() >= probed_before + PROBES).then_some(())
    });
    let sent = flood.end();

    // A query that meets the flood's last packets in a full receive buffer is dropped, as any datagram may be: a client asks again.
    let ended = Instant::now();
    let mut client = Client::with_timeout(node.dns, AGAIN);
    let answer = wait_for("an answer after the flood", RECOVERY, || client.first("shop.api.example.com."));
    assert_eq!(answer, IpAddr::from([127, 10, 77, 1]));
    println!("{sent} queries in {:.1?}; slowest API request {slowest:.1?}; first answer {:.1?} after the end", ended - began, ended.elapsed());
    assert_eq!(metric(&node, "windrose_probe_attempts_total{", "outcome=\"fail\""), 0.0, "no probe failed for want of time");
    assert_eq!(metric(&node, "windrose_panics_total", ""), 0.0);
}

/// The first sample whose line begins with `series` and contains `label`.
fn metric(node: &TestNode, series: &str, label: &str) -> f64 {
    let text = over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("an answer").body;
    let line = text.lines().find(|line| line.starts_with(series) && line.contains(label));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {series} {label} in:\n{text}"))
}
