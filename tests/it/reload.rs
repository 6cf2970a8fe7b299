//! Reloads: all or nothing, health kept, nothing lost meanwhile (SEMANTICS, 15, 16 and 23).

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::dns::{Client, addresses};
use super::http::{Response, over_socket};
use super::node::{PATIENCE, TestNode, wait_for};

const POOLS: &str = trusted_pools!();

const ORDERS: &str = r#"
[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
"#;

const PORTAL: &str = r#"
[service.portal]
name = "portal.api.example.com"
policy = { failover = ["dr", "prod"] }
"#;

fn reload(node: &TestNode) -> Response {
    over_socket(&node.socket(), "POST", "/api/v1/config/reload", &[], "").expect("an answer")
}

fn get(node: &TestNode, path: &str) -> Value {
    over_socket(&node.socket(), "GET", path, &[], "").expect("an answer").json()
}

/// What the reply says, in one text.
fn messages(reply: &Response) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["messages"].to_string()
}

/// Counts connections to a loopback port.
struct Gate {
    port: u16,
    seen: Arc<AtomicUsize>,
}

impl Gate {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let (port, seen) = (listener.local_addr().expect("bound").port(), Arc::new(AtomicUsize::new(0)));
        let count = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }
}

#[test]
fn all_three_ways_take_a_new_file() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    let mut client = Client::new(node.dns);
    let portal = "portal.api.example.com.";
    assert_eq!(client.ask(portal, RecordType::A).expect("an answer").metadata.response_code, ResponseCode::NXDomain);
    // The API: what is acknowledged is answered.
    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    assert!(messages(&reload(&node)).contains("2 services"));
    assert_eq!(client.first(portal), Some([192, 0, 2, 2].into()));
    // The CLI.
    node.configure(&format!("{POOLS}{ORDERS}"));
    let said = node.cli(&["reload"]);
    assert!(said.code == 0 && said.out.contains("1 service"), "{said:?}");
    assert_eq!(client.ask(portal, RecordType::A).expect("an answer").metadata.response_code, ResponseCode::NXDomain);
    // The signal.
    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    node.hang_up();
    wait_for("the signal's reload", PATIENCE, || (client.first(portal) == Some([192, 0, 2, 2].into())).then_some(()));
}

#[test]
fn a_bad_file_keeps_the_old_configuration_and_lists_every_problem_with_its_place() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    let mut client = Client::new(node.dns);
    let bad = ORDERS.replace("\"dr\"", "\"prdo\"").replace("[service.orders]", "[service.orders]\nttll = \"5s\"");
    node.configure(&format!("{}{bad}", POOLS.replace("192.0.2.1", "192.0.2.300")));
    let refused = reload(&node);
    assert_eq!(refused.status, 422, "{}", refused.body);
    let problem = refused.json();
    assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("invalid-config")), "{problem}");
    let errors = problem["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 3, "an address, a key, a pool: {problem}");
    for error in errors {
        let place = error["place"].as_str().expect("a place");
        let numbers: Vec<&str> = place.rsplit(':').take(2).collect();
        assert!(place.contains("windrose.toml:") && numbers.iter().all(|number| number.parse::<u32>().is_ok_and(|number| 0 < number)), "{place}");
    }
    assert!(refused.body.contains("did you mean `prod`") && refused.body.contains("did you mean `ttl`"), "{}", refused.body);
    let said = node.cli(&["reload"]);
    assert_eq!(said.code, 2, "{said:?}");
    for part in ["192.0.2.300", "ttll", "`prdo`", "windrose.toml:"] {
        assert!(said.err.contains(part), "`{part}` in {said:?}");
    }
    node.hang_up();
    node.wait_for_log("reload refused");
    assert_eq!(client.first("orders.api.example.com."), Some([192, 0, 2, 1].into()), "the old one serves on");

    // A zone file counts as much.
    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    let zone = std::fs::read_to_string(node.path("api.example.com.zone")).expect("readable");
    std::fs::write(node.path("api.example.com.zone"), zone.replace("192.0.2.80", "192.0.2")).expect("writable");
    let refused = reload(&node);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.json()["errors"][0]["place"].as_str().is_some_and(|place| place.contains("api.example.com.zone:5:")), "{}", refused.body);
    assert_eq!(client.ask("portal.api.example.com.", RecordType::A).expect("an answer").metadata.response_code, ResponseCode::NXDomain, "all or nothing");
    assert_eq!(client.first("static.api.example.com."), Some([192, 0, 2, 80].into()));
    // Mended, it is taken.
    std::fs::write(node.path("api.example.com.zone"), zone).expect("writable");
    assert_eq!(reload(&node).status, 200);
    assert_eq!(client.first("portal.api.example.com."), Some([192, 0, 2, 2].into()));
}

#[test]
fn health_of_unchanged_targets_is_kept_and_probes_of_removed_ones_stop() {
    let (kept, removed) = (Gate::open(), Gate::open());
    let closed = super::node::free_port();
    let monitor = |name: &str, port: u16| {
        format!(
            "[monitor.{name}]\ntcp = {port}\ninterval = \"300ms\"\ntimeout = \"200ms\"\ndown_after = 1\nup_after = 1\nok_after = 1\n[pool.{name}]\nmonitor = \"{name}\"\nendpoints = [\"127.0.0.1\"]\n"
        )
    };
    let service = |pools: &str| format!("[service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [{pools}] }}\n");
    let (dead, alive, gone) = (monitor("dead", closed), monitor("alive", kept.port), monitor("gone", removed.port));
    let node = TestNode::start(&format!("{gone}{dead}{alive}{}", service("\"dead\", \"gone\", \"alive\"")));
    let endpoint = |pool: &str| get(&node, &format!("/api/v1/endpoints/{pool}/127.0.0.1"));
    let down = wait_for("the verdict", PATIENCE, || Some(endpoint("dead")).filter(|endpoint| endpoint["state"]["observed"] == "down"));
    let up = wait_for("the other verdict", PATIENCE, || Some(endpoint("alive")).filter(|endpoint| endpoint["state"]["observed"] == "up"));
    wait_for("probes of the third", PATIENCE, || (2 < removed.seen()).then_some(()));

    // Targets change their places in the file; one goes.
    node.configure(&format!("{alive}{dead}{}", service("\"dead\", \"alive\"")));
    assert_eq!(reload(&node).status, 200);
    for (pool, before) in [("dead", &down), ("alive", &up)] {
        let after = endpoint(pool);
        assert_eq!((&after["state"], &after["since"]), (&before["state"], &before["since"]), "{pool} right after the reload");
        assert!(after["last_probe"].is_object(), "{after}");
    }
    // One probe may have been under way.
    let (then, kept_then) = (removed.seen(), kept.seen());
    wait_for("five more rounds of the kept one", PATIENCE, || (kept_then + 5 < kept.seen()).then_some(()));
    assert!(removed.seen() <= then + 1, "{} probes of a removed target", removed.seen() - then);
    assert_eq!(over_socket(&node.socket(), "GET", "/api/v1/pools/gone", &[], "").expect("an answer").status, 404);
    assert_eq!(endpoint("dead")["since"], down["since"]);
}

#[test]
fn a_reload_that_takes_away_what_traffic_uses_is_refused_with_both_ways_out() {
    let mut node = TestNode::start(&format!("{POOLS}{ORDERS}{PORTAL}"));
    node.ok(&["split", "orders", "prod=70", "dr=30", "--reason", "CHG-7"]);
    let revision = get(&node, "/api/v1/services/orders/traffic")["revision"].as_u64().expect("a number");
    let without_dr = format!(
        "{}[service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n",
        POOLS.split("[pool.dr]").next().expect("text")
    );
    node.configure(&without_dr);
    let refused = reload(&node);
    assert_eq!(refused.status, 422, "{}", refused.body);
    let error = &refused.json()["errors"][0];
    let message = error["message"].as_str().expect("a sentence");
    assert!(message.contains(&format!("revision {revision}")) && message.contains("socket:") && message.contains("dr"), "{message}");
    let hint = error["hint"].as_str().expect("a hint");
    assert!(hint.contains("keep") && hint.contains("windrose undo orders --to file"), "{hint}");
    let said = node.cli(&["reload"]);
    assert!(said.code == 2 && said.err.contains("windrose undo orders --to file"), "{said:?}");
    let mut client = Client::new(node.dns);
    assert_eq!(client.first("portal.api.example.com."), Some([192, 0, 2, 2].into()), "nothing of the file was taken");

    // At start the service follows the file, and the traffic waits for its name.
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    wait_for("the file's answer", PATIENCE, || (client.first("orders.api.example.com.") == Some([192, 0, 2, 1].into())).then_some(()));
    let traffic = get(&node, "/api/v1/services/orders/traffic");
    assert!(traffic["unusable"].as_str().is_some_and(|why| why.contains("dr")), "{traffic}");
    assert_eq!(client.share("orders.api.example.com.", 100, "192.0.2.1"), 100.0);
    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    assert_eq!(reload(&node).status, 200);
    let traffic = get(&node, "/api/v1/services/orders/traffic");
    assert_eq!((&traffic["unusable"], &traffic["policy"]), (&Value::Null, &json!({"weighted": {"prod": 70, "dr": 30}})));
    let share = client.share("orders.api.example.com.", 500, "192.0.2.1");
    assert!((share - 70.0).abs() <= 2.0, "{share}");

    // The way out that the refusal names.
    node.ok(&["undo", "orders", "--to", "file"]);
    node.configure(&without_dr);
    assert_eq!(reload(&node).status, 200);
}

#[test]
fn what_operators_set_outlives_the_names_that_it_is_about() {
    let mut node = TestNode::start(&format!("{POOLS}{ORDERS}{PORTAL}"));
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "drill"]);
    node.ok(&["drain", "pool", "dr", "--for", "1h", "--service", "portal", "--reason", "disks"]);
    let mut client = Client::new(node.dns);
    assert_eq!(client.first("portal.api.example.com."), Some([192, 0, 2, 1].into()));
    let drain = |node: &TestNode| get(node, "/api/v1/overrides")["items"][0].clone();
    assert_eq!(drain(&node)["matched"], true);

    // No service, no pool `dr` any more; over a kill, too.
    let (prod, _) = POOLS.split_once("[pool.dr]").expect("two pools");
    node.configure(&format!("{prod}[service.other]\nname = \"other.api.example.com\"\npolicy = {{ failover = [\"prod\"] }}\n"));
    assert_eq!(reload(&node).status, 200, "traffic of a removed service holds nothing up");
    assert_eq!(drain(&node)["matched"], false, "kept, and shown as unmatched");
    assert_eq!(over_socket(&node.socket(), "GET", "/api/v1/services/orders", &[], "").expect("an answer").status, 404);
    node.kill();
    node.launch();
    assert_eq!(drain(&node)["matched"], false);

    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    assert_eq!(reload(&node).status, 200);
    let mut client = Client::new(node.dns);
    assert_eq!(client.first("orders.api.example.com."), Some([192, 0, 2, 2].into()), "the operator's order is back");
    assert_eq!(client.first("portal.api.example.com."), Some([192, 0, 2, 1].into()), "and the drain acts again");
    assert_eq!(drain(&node)["matched"], true);
}

#[test]
fn changes_and_reloads_at_the_same_time_neither_fail_nor_get_lost() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}{PORTAL}"));
    let (socket, end) = (node.socket(), Arc::new(AtomicBool::new(false)));
    let until = end.clone();
    let writer = std::thread::spawn(move || {
        let mut number = 0_u64;
        while !until.load(Ordering::Relaxed) {
            let share = number % 101;
            let body = format!(r#"{{"policy": {{"weighted": {{"prod": {share}, "dr": {}}}}}, "reason": "{number}"}}"#, 100 - share);
            let done = over_socket(&socket, "PUT", "/api/v1/services/orders/traffic", &["If-Match: *"], &body).expect("an answer");
            assert_eq!(done.status, 200, "write {number}: {}", done.body);
            number += 1;
        }
        number
    });
    for round in 0..15 {
        let (a, b) = if round % 2 == 0 { (PORTAL, ORDERS) } else { (ORDERS, PORTAL) };
        node.configure(&format!("{POOLS}{a}{b}"));
        assert_eq!(reload(&node).status, 200);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    end.store(true, Ordering::Relaxed);
    let written = writer.join().expect("every write was taken");
    assert!(5 < written, "{written}");
    let traffic = get(&node, "/api/v1/services/orders/traffic");
    assert_eq!(traffic["changed"]["reason"], (written - 1).to_string(), "{traffic}");
    let share = Client::new(node.dns).share("orders.api.example.com.", 500, "192.0.2.1");
    assert!((share - ((written - 1) % 101) as f64).abs() <= 2.0, "{share} after {written} writes");
}

#[test]
fn the_operators_traffic_wins_over_a_changed_policy_and_the_reply_says_so() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "drill"]);
    node.configure(&format!("{POOLS}{}", ORDERS.replace("failover = [\"prod\", \"dr\"]", "weighted = { prod = 50, dr = 50 }")));
    let said = messages(&reload(&node));
    assert!(said.contains("orders") && said.contains("windrose undo orders --to file"), "{said}");
    let mut client = Client::new(node.dns);
    assert_eq!(client.share("orders.api.example.com.", 100, "192.0.2.2"), 100.0);
    node.ok(&["undo", "orders", "--to", "file"]);
    let share = client.share("orders.api.example.com.", 200, "192.0.2.2");
    assert!((share - 50.0).abs() <= 2.0, "{share}");
}

#[test]
fn a_zone_that_changed_under_its_serial_is_taken_with_a_warning() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    let mut client = Client::new(node.dns);
    let path = node.path("api.example.com.zone");
    let zone = std::fs::read_to_string(&path).expect("readable");
    assert!(!messages(&reload(&node)).contains("serial"), "nothing changed, nothing to say");
    let changed = zone.replace("192.0.2.80", "192.0.2.81");
    std::fs::write(&path, &changed).expect("writable");
    let said = messages(&reload(&node));
    assert!(said.contains("api.example.com") && said.contains("2026112101") && said.contains("raise"), "{said}");
    assert_eq!(client.first("static.api.example.com."), Some([192, 0, 2, 81].into()));
    std::fs::write(&path, changed.replace("192.0.2.81", "192.0.2.82").replace("2026112101", "2026112102")).expect("writable");
    assert!(!messages(&reload(&node)).contains("serial"));
    assert_eq!(client.first("static.api.example.com."), Some([192, 0, 2, 82].into()));
    let soa = client.ask("api.example.com.", RecordType::SOA).expect("an answer");
    assert!(soa.answers[0].data.to_string().contains("2026112102"), "{soa}");
}

#[test]
fn keys_that_need_a_restart_are_named_and_the_rest_is_taken() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    node.configure(&format!("{POOLS}{ORDERS}{PORTAL}"));
    let text = std::fs::read_to_string(node.config()).expect("written");
    let text = text.replace("workers = 2", "workers = 1").replace("[metrics]\n", "[metrics]\nservices_max = 7\n");
    std::fs::write(node.config(), text).expect("writable");
    let said = messages(&reload(&node));
    assert!(said.contains("[dns]") && said.contains("[metrics]") && said.contains("restart"), "{said}");
    assert!(!said.contains("[admin]") && !said.contains("[store]") && !said.contains("[node]"), "only what differs: {said}");
    assert_eq!(Client::new(node.dns).first("portal.api.example.com."), Some([192, 0, 2, 2].into()));
    let status = node.cli(&["status"]);
    assert!(format!("{}{}", status.out, status.err).contains("[dns]"), "status says so until then: {status:?}");
}

#[test]
fn not_one_query_is_lost_or_answered_wrongly_by_a_hundred_reloads() {
    // Each of the two puts every service, pool and target at another place; what is asked has the same answers in both.
    let (first, second) = (format!("{POOLS}{ORDERS}{PORTAL}"), {
        let more = "[pool.extra]\nmonitor = \"trusted\"\nendpoints = [\"192.0.2.9\"]\n[service.extra]\nname = \"extra.api.example.com\"\npolicy = { failover = [\"extra\"] }\n";
        format!("{}{more}{}{PORTAL}{ORDERS}", "[monitor.trusted]\nalways = \"up\"\n", POOLS.replace("[monitor.trusted]\nalways = \"up\"\n", ""))
    });
    let node = TestNode::start(&first);
    let end = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (dns, end) = (node.dns, end.clone());
            std::thread::spawn(move || {
                let mut client = Client::new(dns);
                let (mut asked, mut lost, mut wrong) = (0_usize, 0_usize, Vec::new());
                let table = [("orders.api.example.com.", "192.0.2.1"), ("portal.api.example.com.", "192.0.2.2"), ("static.api.example.com.", "192.0.2.80")];
                while !end.load(Ordering::Relaxed) {
                    let at = Instant::now();
                    let (name, address) = table[asked % table.len()];
                    asked += 1;
                    match client.ask(name, RecordType::A) {
                        None => lost += 1,
                        Some(response) if addresses(&response).iter().map(ToString::to_string).eq([address.to_string()]) => (),
                        Some(response) => wrong.push(response.to_string()),
                    }
                    std::thread::park_timeout(Duration::from_millis(8).saturating_sub(at.elapsed()));
                }
                (asked, lost, wrong)
            })
        })
        .collect();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for round in 0..100 {
        node.configure(if round % 2 == 0 { &second } else { &first });
        let at = Instant::now();
        assert_eq!(reload(&node).status, 200);
        slowest = slowest.max(at.elapsed());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    end.store(true, Ordering::Relaxed);
    let took = began.elapsed();
    let (mut asked, mut lost, mut wrong) = (0, 0, Vec::new());
    for asker in askers {
        let (a, l, w) = asker.join().expect("it ran");
        asked += a;
        lost += l;
        wrong.extend(w);
    }
    println!(
        "measured: {asked} queries ({:.0}/s) during 100 reloads, {lost} lost, {} wrong; the slowest reload took {slowest:?}",
        asked as f64 / took.as_secs_f64(),
        wrong.len()
    );
    assert!(300 < asked, "{asked} queries are no load");
    assert_eq!(lost, 0, "of {asked}");
    assert!(wrong.is_empty(), "{} wrong, the first: {}", wrong.len(), wrong[0]);
}
