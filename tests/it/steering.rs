//! Answers that depend on who asks, on the real binary: a real unbound sends client subnets, databases are replaced, regions go.

#[path = "steering/mmdb.rs"]
pub mod mmdb;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use maxminddb::Reader;
use windrose::client::{Attributes, Clients, Origins, Questions};
use windrose::config::Mmdb;
use windrose::model::{Choice, Condition, Estate, GeoRule, Node, PoolId};

use self::mmdb::{country, write};
use super::dns::Client;
use super::http;
use super::node::{PATIENCE, TestNode, wait_for};
use super::resolver::Resolver;

/// Two networks, one an exception inside the other, and two regions.
const NETWORKS: &str = r#"
[network.office]
prefixes = ["127.20.0.0/16"]
[network.lab]
prefixes = ["127.20.7.0/24"]
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["198.51.100.1"]
[service.orders]
name = "orders.api.example.com"
ttl = "10m"
policy = { geo = [{ when = ["network:lab"], then = "dr" }, { when = ["network:office"], then = "prod" }, { then = "dr" }] }
[service.sticky]
name = "sticky.api.example.com"
ttl = "10m"
sticky = true
policy = { weighted = { prod = 50, dr = 50 } }
"#;

const ORDERS: &str = "orders.api.example.com.";

fn sample(node: &TestNode, name: &str) -> Option<f64> {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn answers(resolver: SocketAddr, from: &str, name: &str) -> IpAddr {
    let mut client = Client::from_address(from.parse().expect("an address"), resolver, Duration::from_secs(2));
    wait_for("an answer through unbound", PATIENCE, || client.first(name))
}

#[test]
fn clients_behind_a_real_unbound_get_the_answer_of_their_network_and_scopes_say_who_shares_it() {
    if !Resolver::available() {
        println!("skipped: unbound is not installed");
        return;
    }
    let node = TestNode::start(NETWORKS);
    let unbound =
        Resolver::start_with(node.dns, "module-config: \"subnetcache iterator\"\n send-client-subnet: 127.0.0.1\n access-control: 127.0.0.0/8 allow\n");
    let used = || sample(&node, "windrose_dns_client_subnet_total{zone=\"api.example.com\",outcome=\"used\"}").unwrap_or(0.0);
    let ask = |from: &str| answers(unbound.address, from, ORDERS).to_string();

    assert_eq!([ask("127.20.1.1"), ask("127.20.7.7"), ask("127.30.0.1")], ["192.0.2.1", "198.51.100.1", "198.51.100.1"]);
    let before = used();
    assert!(before >= 3.0, "unbound sent client subnets: {before}");
    // 127.20.0.0/22 is all of one kind, and so is each of the others: answered from unbound's cache. The exception is not among them.
    assert_eq!([ask("127.20.0.9"), ask("127.20.2.2"), ask("127.20.3.250")], ["192.0.2.1"; 3]);
    assert_eq!([ask("127.20.7.200"), ask("127.30.0.200")], ["198.51.100.1"; 2]);
    assert_eq!(used(), before, "who shares a scope is not asked for again");
    // Beyond these scopes it is asked for again, and answered rightly.
    assert_eq!([ask("127.20.6.1"), ask("127.20.8.1"), ask("127.20.200.1")], ["192.0.2.1"; 3]);
    assert!(used() > before);

    // Sticky: a network has one answer, whatever is asked meanwhile; among forty networks both regions are found.
    let home = |net: u8| answers(unbound.address, &format!("127.40.{net}.1"), "sticky.api.example.com.");
    let homes: Vec<IpAddr> = (0..40).map(home).collect();
    assert!(homes.contains(&"192.0.2.1".parse().expect("an address")) && homes.contains(&"198.51.100.1".parse().expect("an address")), "{homes:?}");
    let mut direct = |net: u8| {
        let mut client = Client::from_address(format!("127.40.{net}.200").parse().expect("an address"), node.dns, Duration::from_secs(2));
        wait_for("an answer", PATIENCE, || client.first("sticky.api.example.com."))
    };
    assert_eq!((0..40).map(&mut direct).collect::<Vec<_>>(), homes, "who asks by itself goes where unbound was told");
}

const GEO: &str = r#"
[geo]
databases = ["country.mmdb"]
check_every = "1s"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1"]
[pool.dr]
monitor = "trusted"
endpoints = ["198.51.100.1"]
[service.orders]
name = "orders.api.example.com"
policy = { geo = [{ when = ["country:DE"], then = "prod" }, { then = "dr" }] }
"#;

/// As a tool that fetches databases does it: beside, then renamed.
fn replace(node: &TestNode, file: &[u8]) {
    let beside = node.path("country.mmdb.new");
    std::fs::write(&beside, file).expect("writable");
    std::fs::rename(beside, node.path("country.mmdb")).expect("renamed");
}

fn of_country(code: &str) -> Vec<u8> {
    write("GeoLite2-Country", 1_790_000_000, &[("127.0.0.0/8", country("EU", code))])
}

#[test]
fn a_database_is_replaced_without_a_lost_query_and_a_broken_one_changes_nothing() {
    let mut node = TestNode::prepare(GEO);
    replace(&node, &of_country("DE"));
    node.launch();
    // Somebody asks all the time.
    let (end, dns) = (Arc::new(AtomicBool::new(false)), node.dns);
    let until = end.clone();
    let asking = std::thread::spawn(move || {
        let mut client = Client::with_timeout(dns, Duration::from_secs(20));
        let (mut asked, mut lost) = (0, 0);
        while !until.load(Ordering::Relaxed) {
            asked += 1;
            lost += u32::from(client.first(ORDERS).is_none());
        }
        (asked, lost)
    });
    let mut client = Client::new(node.dns);
    let mut comes_to = |address: &str| {
        let address: IpAddr = address.parse().expect("an address");
        wait_for(&format!("answers from {address}"), 3 * PATIENCE, || client.first(ORDERS).filter(|found| *found == address))
    };
    comes_to("192.0.2.1");
    let told = node.ok(&["explain", "orders.api.example.com", "--client", "127.0.0.1"]);
    assert!(told.contains("country:DE"), "{told}");

    replace(&node, &of_country("FR"));
    comes_to("198.51.100.1");

    let whole = of_country("DE");
    replace(&node, &whole[..whole.len() / 2]);
    let metric = format!("windrose_geoip_database_sound{{database=\"{}\"}}", node.path("country.mmdb").display());
    wait_for("the metric to say so", 3 * PATIENCE, || sample(&node, &metric).filter(|sound| *sound == 0.0));
    comes_to("198.51.100.1");
    let event = || node.ok(&["events", "--type", "database.failed"]).contains("what was read before counts on").then_some(());
    wait_for("the event", PATIENCE, event);
    let problems = node.json(&["status"])["problems"].to_string();
    assert!(problems.contains("geo-database"), "{problems}");
    // A reload keeps the old one, too.
    let reloaded = node.cli(&["reload"]);
    assert!(reloaded.code == 0, "{reloaded:?}");
    comes_to("198.51.100.1");

    replace(&node, &whole);
    comes_to("192.0.2.1");
    wait_for("the metric to say so", PATIENCE, || sample(&node, &metric).filter(|sound| *sound == 1.0));
    end.store(true, Ordering::Relaxed);
    let (asked, lost) = asking.join().expect("it asked");
    assert_eq!(lost, 0, "of {asked} queries");
}

/// Two TCP ports that may be closed.
struct Gate(Option<TcpListener>, u16);

impl Gate {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        Self(Some(listener), port)
    }

    fn close(&mut self) {
        self.0 = None;
    }
}

fn watched(pool: &str, region: &str, address: &str, gate: &Gate) -> String {
    format!(
        "[pool.{pool}]\nregion = \"{region}\"\nmonitor = \"gate\"\nendpoints = [{{ name = \"gw\", address = \"{address}\", connect = \"127.0.0.1:{}\" }}]\n",
        gate.1
    )
}

const GATE: &str = "[monitor.gate]\ntcp = 1\ninterval = \"500ms\"\ntimeout = \"400ms\"\ndown_after = 2\nup_after = 2\nok_after = 2\n[health]\nwindow = \"1s\"\nblind_share = 100\n";

#[test]
fn of_three_regions_of_which_the_nearest_is_down_the_next_nearest_answers() {
    let mut gates = [Gate::open(), Gate::open(), Gate::open()];
    let regions = [("berlin", "52.52, 13.405"), ("newyork", "40.7128, -74.006"), ("sydney", "-33.8688, 151.2093")];
    let mut text = format!("{GATE}[network.here]\nprefixes = [\"127.0.0.0/8\"]\nlocation = [48.1, 11.6]\n");
    for ((name, place), (gate, net)) in regions.iter().zip(gates.iter().zip(1..)) {
        text += &format!("[region.{name}]\nlocation = [{place}]\n{}", watched(name, name, &format!("192.0.2.{net}"), gate));
    }
    text += "[service.orders]\nname = \"orders.api.example.com\"\npolicy = { nearest = [\"sydney\", \"newyork\", \"berlin\"] }\n";
    let node = TestNode::start(&text);
    let mut client = Client::new(node.dns);
    let mut comes_to = |net: u8| {
        let address = IpAddr::from([192, 0, 2, net]);
        wait_for(&format!("answers from {address}"), 3 * PATIENCE, || client.first(ORDERS).filter(|found| *found == address))
    };
    comes_to(1);
    gates[0].close();
    comes_to(2);
    gates[1].close();
    comes_to(3);
    let told = node.ok(&["explain", "orders.api.example.com", "--client", "127.0.0.1"]);
    assert!(told.contains("nearest first: berlin, newyork, sydney"), "{told}");
}

#[test]
fn a_region_of_three_zones_is_up_while_two_of_them_are() {
    let mut gates = [Gate::open(), Gate::open(), Gate::open()];
    let mut text = format!("{GATE}[monitor.trusted]\nalways = \"up\"\n[region.prod]\n[pool.dr]\nmonitor = \"trusted\"\nendpoints = [\"198.51.100.1\"]\n");
    for (zone, (gate, net)) in ["zone-a", "zone-b", "zone-c"].iter().zip(gates.iter().zip(1..)) {
        text += &watched(zone, "prod", &format!("192.0.2.{net}"), gate);
    }
    text += "[policy.prod]\nmultivalue = [\"zone-a\", \"zone-b\", \"zone-c\"]\nmin_up = 2\n\
             [service.orders]\nname = \"orders.api.example.com\"\npolicy = { failover = [\"prod\", \"dr\"] }\n";
    let node = TestNode::start(&text);
    let mut client = Client::new(node.dns);
    let mut comes_to = |wanted: &[&str]| {
        wait_for(&format!("{wanted:?}"), 3 * PATIENCE, || {
            let mut found: Vec<String> = client.addresses(ORDERS)?.iter().map(ToString::to_string).collect();
            found.sort();
            (found == wanted).then_some(())
        })
    };
    comes_to(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    gates[1].close();
    comes_to(&["192.0.2.1", "192.0.2.3"]);
    gates[0].close();
    comes_to(&["198.51.100.1"]);
}

/// Where `tests/run` lays the free country database of the npm registry.
fn real_database() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/geo/package/geo-whois-asn-country.mmdb")
}

#[test]
fn a_real_country_database_says_what_its_own_reader_says() {
    let Ok(octets) = std::fs::read(real_database()) else {
        println!("skipped: tests/run fetches the database");
        return;
    };
    let began = std::time::Instant::now();
    let database = Mmdb::of_octets(octets.clone()).expect("sound");
    assert!(database.networks > 200_000, "{}", database.networks);
    assert_eq!(database.says, Attributes { country: true, ..Attributes::default() });
    // A policy that asks for twenty countries.
    let codes = ["US", "DE", "FR", "GB", "JP", "CN", "BR", "IN", "AU", "CA", "NL", "SE", "PL", "IT", "ES", "ZA", "EG", "MX", "AR", "NZ"];
    let condition = |code: &str| Condition::Country([code.as_bytes()[0], code.as_bytes()[1]]);
    let rule = |when: Vec<Condition>| GeoRule { when, then: Arc::new(Node::Pool(PoolId(0))), strict: false };
    let rules = codes.iter().map(|code| rule(vec![condition(code)])).chain([rule(Vec::new())]).collect();
    let tree = Node::Policy { name: None, choice: Choice::Geo(rules), min_up: 1 };
    let estate = Estate::default();
    let questions = Questions::of_tree(&tree, &estate);
    let mut origins = Origins::default();
    database.origins(&questions, &mut origins).expect("sound");
    let clients = Clients::build(&estate, &questions, &origins);
    println!("measured: {} networks become {} spans of {} classes in {:?}", database.networks, clients.spans(), clients.classes().count(), began.elapsed());

    let reader = Reader::from_source(octets).expect("sound");
    let said = |address: IpAddr| -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Flat<'r> {
            country_code: Option<&'r str>,
        }
        reader.lookup(address).expect("looked up").decode::<Flat>().expect("decoded").and_then(|flat| flat.country_code.map(str::to_string))
    };
    let mut number = 1_u64;
    for _ in 0..50_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let v4 = IpAddr::from((number >> 32).to_be_bytes().last_chunk::<4>().copied().expect("four octets"));
        let v6 = IpAddr::from((0x2000_u128 << 112 | u128::from(number) << 61).to_be_bytes());
        for address in [v4, v6] {
            let (class, scope) = clients.find(address);
            let expected = said(address).filter(|code| codes.contains(&code.as_str()));
            let found = clients.holding(class).map(ToString::to_string).next();
            assert_eq!(found, expected.map(|code| format!("country:{code}")), "{address}");
            // The other end of the scope is of the same class.
            let prefix = IpNet::new(address, scope).expect("a prefix");
            assert_eq!([prefix.network(), prefix.broadcast()].map(|end| clients.find(end).0), [class; 2], "{prefix}");
        }
    }
}

#[test]
fn traffic_asks_about_clients_what_the_file_does_not_and_a_restart_a_reload_and_another_database_keep_it() {
    let plain = GEO.replace("{ geo = [{ when = [\"country:DE\"], then = \"prod\" }, { then = \"dr\" }] }", "{ failover = [\"dr\", \"prod\"] }");
    let mut node = TestNode::prepare(&plain);
    replace(&node, &of_country("FR"));
    node.launch();
    let put = |node: &TestNode, query: &str, when: &str| {
        let body = format!(r#"{{"policy": {{"geo": [{{"when": ["{when}"], "then": "prod"}}, {{"then": "dr"}}]}}, "reason": "CHG-1"}}"#);
        let path = format!("/api/v1/services/orders/traffic{query}");
        http::over_socket(&node.socket(), "PUT", &path, &["If-Match: *", "Content-Type: application/json"], &body).expect("it answers")
    };
    let first = |node: &TestNode| wait_for("an answer", PATIENCE, || Client::new(node.dns).first(ORDERS)).to_string();
    assert_eq!(first(&node), "198.51.100.1");

    let dry = put(&node, "?dry_run=true", "country:FR");
    assert_eq!(dry.status, 200, "{}", dry.body);
    assert_eq!(first(&node), "198.51.100.1", "a dry run changes nothing");
    let done = put(&node, "", "country:FR");
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(first(&node), "192.0.2.1", "it is acknowledged when DNS answers with it");

    node.ok(&["reload"]);
    assert_eq!(first(&node), "192.0.2.1");
    node.stop();
    node.launch();
    assert_eq!(first(&node), "192.0.2.1");
    replace(&node, &of_country("DE"));
    wait_for("the other database", 3 * PATIENCE, || (first(&node) == "198.51.100.1").then_some(()));
    replace(&node, &of_country("FR"));
    wait_for("the first one", 3 * PATIENCE, || (first(&node) == "192.0.2.1").then_some(()));

    let unknown = put(&node, "", "network:office");
    assert!(unknown.status == 400 && unknown.body.contains("no network is called `office`"), "{}", unknown.body);
    node.ok(&["undo", "orders", "--reason", "back"]);
    assert_eq!(first(&node), "198.51.100.1");
}
