//! Composite monitors, thresholds of pools, and pools that require pools: on the real binary, with peers that count who knocks.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::dns::Client;
use super::http;
use super::node::{TestNode, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
const PORTAL: &str = "portal.api.example.com.";

/// Accepts TCP connections and counts them; closed, it refuses them.
struct Peer {
    address: SocketAddr,
    knocks: Arc<AtomicUsize>,
    open: Option<(Arc<AtomicBool>, std::thread::JoinHandle<()>)>,
}

impl Peer {
    fn start(address: &str, port: u16) -> Self {
        let address = SocketAddr::new(address.parse().expect("an address"), port);
        let mut peer = Self { address, knocks: Arc::default(), open: None };
        peer.up();
        peer
    }

    fn up(&mut self) {
        let listener = TcpListener::bind(self.address).expect("a free address");
        let (ends, knocks) = (Arc::new(AtomicBool::new(false)), self.knocks.clone());
        let over = ends.clone();
        let thread = std::thread::spawn(move || {
            while listener.accept().is_ok() && !over.load(Ordering::Relaxed) {
                knocks.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.open = Some((ends, thread));
    }

    fn down(&mut self) {
        if let Some((ends, thread)) = self.open.take() {
            ends.store(true, Ordering::Relaxed);
            // The last one in opens the eyes of the thread.
            let _ = std::net::TcpStream::connect(self.address);
            thread.join().expect("it ends well");
        }
    }

    fn knocks(&self) -> usize {
        self.knocks.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.down();
    }
}

fn monitor(name: &str, port: u16) -> String {
    format!("[monitor.{name}]\ntcp = {port}\ninterval = \"200ms\"\ntimeout = \"150ms\"\ndown_after = 2\nok_after = 2\nup_after = 2\n")
}

fn until(client: &mut Client, name: &str, wanted: &[&str]) {
    let mut wanted: Vec<IpAddr> = wanted.iter().map(|address| address.parse().expect("an address")).collect();
    wanted.sort();
    wait_for(&format!("{name} to answer {wanted:?}"), PATIENCE, || {
        let mut found = client.addresses(name)?;
        found.sort();
        (found == wanted).then_some(())
    });
}

fn metric(node: &TestNode, sample: &str) -> bool {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().any(|line| line == sample)
}

#[test]
fn a_portal_of_two_ports_is_left_when_its_database_closes_and_says_which_member_failed() {
    let (web, database) = (free_port(), free_port());
    let _webs = [Peer::start("127.10.47.1", web), Peer::start("127.10.47.2", web)];
    let mut prod_db = Peer::start("127.10.47.1", database);
    let _dr_db = Peer::start("127.10.47.2", database);
    let configuration = format!(
        "{}{}[monitor.portal]\nall = [\"web\", \"database\"]\n[pool.prod]\nmonitor = \"portal\"\nendpoints = [\"127.10.47.1\"]\n[pool.dr]\nmonitor = \"portal\"\nendpoints = [\"127.10.47.2\"]\n[service.portal]\nname = \"portal.api.example.com\"\npolicy = {{ failover = [\"prod\", \"dr\"] }}\nfailback = \"0s\"\n",
        monitor("web", web),
        monitor("database", database)
    );
    let mut node = TestNode::start(&configuration);
    let mut client = Client::new(node.dns);
    until(&mut client, PORTAL, &["127.10.47.1"]);

    prod_db.down();
    until(&mut client, PORTAL, &["127.10.47.2"]);
    let endpoint = node.json(&["describe", "endpoint", "prod/127.10.47.1"]);
    assert_eq!((endpoint["monitor"].as_str(), endpoint["state"]["observed"].as_str()), (Some("portal"), Some("down")), "{endpoint}");
    let members: Vec<_> = endpoint["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|member| (member["monitor"].as_str(), member["mark"].as_str(), member["state"].as_str()))
        .collect();
    assert_eq!(members, [(Some("web"), Some("voting"), Some("up")), (Some("database"), Some("voting"), Some("down"))]);
    assert_eq!(endpoint["members"][1]["last_failed"]["reason"], "refused");
    let described = node.ok(&["describe", "endpoint", "prod/127.10.47.1"]);
    assert!(described.contains("MEMBER") && described.contains("✖ down"), "{described}");
    let explained = node.ok(&["explain", "portal.api.example.com"]);
    assert!(explained.contains("database: refused: "), "{explained}");
    assert!(metric(&node, "windrose_endpoint_up{pool=\"prod\",region=\"prod\",endpoint=\"127.10.47.1\"} 0"));
    assert!(metric(&node, "windrose_probe_success{monitor=\"web\",pool=\"prod\",endpoint=\"127.10.47.1\",region=\"prod\"} 1"));
    assert!(metric(&node, "windrose_probe_success{monitor=\"database\",pool=\"prod\",endpoint=\"127.10.47.1\",region=\"prod\"} 0"));
    assert!(metric(&node, "windrose_region_state{region=\"prod\",state=\"down\"} 1") && metric(&node, "windrose_region_up{region=\"prod\"} 0"));

    // A crash: the store knows both members, so the first answer is right.
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    assert_eq!(client.first(PORTAL), "127.10.47.2".parse().ok(), "the dead stay dead");
    prod_db.up();
    until(&mut client, PORTAL, &["127.10.47.1"]);
}

#[test]
fn two_pools_judge_one_target_by_their_own_thresholds_and_it_is_probed_once() {
    let port = free_port();
    let (mut gate, other) = (Peer::start("127.10.47.11", port), Peer::start("127.10.47.12", port));
    let configuration = format!(
        "{}[pool.strict]\nmonitor = \"gate\"\ndown_after = 1\nendpoints = [\"127.10.47.11\"]\n[pool.patient]\nmonitor = \"gate\"\nendpoints = [{{ address = \"127.10.47.11\", down_after = 1000 }}]\n[pool.dr]\nmonitor = \"gate\"\nendpoints = [\"127.10.47.12\"]\n[service.strict]\nname = \"strict.api.example.com\"\npolicy = {{ failover = [\"strict\", \"dr\"] }}\n[service.patient]\nname = \"patient.api.example.com\"\npolicy = {{ failover = [\"patient\", \"dr\"] }}\n",
        monitor("gate", port)
    );
    let node = TestNode::start(&configuration);
    let mut client = Client::new(node.dns);
    until(&mut client, "strict.api.example.com.", &["127.10.47.11"]);
    // `other` has one listener and sets the pace: two streams of probes would be twice as many.
    let before = (gate.knocks(), other.knocks());
    wait_for("fifteen probes", PATIENCE, || (before.1 + 15 <= other.knocks()).then_some(()));
    let (judged_twice, judged_once) = (gate.knocks() - before.0, other.knocks() - before.1);
    assert!(judged_twice.abs_diff(judged_once) <= 3, "{judged_twice} probes of the target with two listeners, {judged_once} of the one with one");

    gate.down();
    until(&mut client, "strict.api.example.com.", &["127.10.47.12"]);
    assert_eq!(client.first("patient.api.example.com."), "127.10.47.11".parse().ok());
    let state = |id: &str| node.json(&["describe", "endpoint", id])["state"]["observed"].as_str().map(str::to_string);
    assert_eq!((state("strict/127.10.47.11").as_deref(), state("patient/127.10.47.11").as_deref()), (Some("down"), Some("up")));
}

#[test]
fn a_pool_is_down_without_the_databases_that_it_requires_and_every_page_says_so() {
    let (web, database) = (free_port(), free_port());
    let _webs = [Peer::start("127.10.47.21", web), Peer::start("127.10.47.22", web)];
    let mut databases = [Peer::start("127.10.47.25", database), Peer::start("127.10.47.26", database), Peer::start("127.10.47.27", database)];
    let configuration = format!(
        "{}{}[region.prod]\n[pool.prod-portal]\nregion = \"prod\"\nmonitor = \"web\"\nrequires = {{ pool = \"prod-db\", up = 2 }}\nendpoints = [\"127.10.47.21\"]\n[pool.prod-db]\nregion = \"prod\"\nmonitor = \"database\"\nendpoints = [\"127.10.47.25\", \"127.10.47.26\", \"127.10.47.27\"]\n[pool.dr]\nmonitor = \"web\"\nendpoints = [\"127.10.47.22\"]\n[service.portal]\nname = \"portal.api.example.com\"\npolicy = {{ failover = [\"prod-portal\", \"dr\"] }}\nfailback = \"0s\"\n",
        monitor("web", web),
        monitor("database", database)
    );
    let node = TestNode::start(&configuration);
    let mut client = Client::new(node.dns);
    until(&mut client, PORTAL, &["127.10.47.21"]);
    databases[0].down();
    wait_for("one database to be down", PATIENCE, || (node.json(&["describe", "pool", "prod-db"])["up"] == 2).then_some(()));
    assert_eq!(client.first(PORTAL), "127.10.47.21".parse().ok(), "two of three are enough");
    databases[1].down();
    until(&mut client, PORTAL, &["127.10.47.22"]);
    let sentence = "it requires prod-db, of which 1 of 2 needed is up";
    for page in [&["explain", "portal.api.example.com"][..], &["status"], &["describe", "pool", "prod-portal"]] {
        let shown = node.ok(page);
        assert!(shown.contains(sentence), "{page:?}:\n{shown}");
    }
    let region = node.json(&["describe", "region", "prod"]);
    assert_eq!(region["state"], "degraded", "the pool of databases itself has the one that it needs: {region}");
    assert!(
        metric(&node, "windrose_region_state{region=\"prod\",state=\"degraded\"} 1")
            && metric(&node, "windrose_pool_up{pool=\"prod-portal\",region=\"prod\"} 0")
    );
    databases[0].up();
    until(&mut client, PORTAL, &["127.10.47.21"]);

    // What operators say of the databases counts, a drain does not.
    node.ok(&["drain", "pool", "prod-db", "--reason", "disks"]);
    assert_eq!(client.first(PORTAL), "127.10.47.21".parse().ok());
    node.ok(&["force-down", "pool", "prod-db", "--reason", "migration"]);
    assert_eq!(client.first(PORTAL), "127.10.47.22".parse().ok(), "acknowledged means answered");
    node.ok(&["unforce", "pool", "prod-db"]);
    assert_eq!(client.first(PORTAL), "127.10.47.21".parse().ok());
}
