//! The scenarios that users named, on the real binary: nginx gateways, a real unbound for the client's view.
//!
//! Interval 1 s, timeout 500 ms, `down_after` 3, `up_after` 2, TTL 2 s. A client behind the resolver may see errors no longer than
//! detection (S14: 3 × 1 s + 0.5 s) + TTL + 1 s. Figures are printed as `measured:` lines.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::dns::Client;
use super::gateway::Gateway;
use super::node::{PATIENCE, TestNode, wait_for};
use super::resolver::{Resolver, Watcher, last_error, story};

/// `down_after` × interval + timeout.
const DETECTION: Duration = Duration::from_millis(3500);
const TTL: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(1);

const MONITOR: &str = r#"
[monitor.gateway]
url = "http://{address}:8080/healthcheck"
body = "<status>ok</status>"
interval = "1s"
timeout = "500ms"
down_after = 3
up_after = 2
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Waits until an answer names `address` first; gives the time since `since`.
fn until_answered(client: &mut Client, name: &str, address: &str, since: Instant, patience: Duration) -> Duration {
    let wanted = Some(ip(address));
    wait_for(&format!("{name} to answer {address}"), patience, || (client.first(name) == wanted).then(|| since.elapsed()))
}

/// Waits until `n` answers in a row are all `address`.
fn until_only(client: &mut Client, name: &str, address: &str, patience: Duration) {
    let wanted = Some(ip(address));
    wait_for(&format!("{name} to answer only {address}"), patience, || (0..50).all(|_| client.first(name) == wanted).then_some(()));
}

fn assert_share(client: &mut Client, name: &str, address: &str, percent: f64) {
    let share = client.share(name, 10_000, address);
    assert!((share - percent).abs() <= 0.5, "{name}: {address} got {share:.2} % of 10,000 answers, wanted {percent} ± 0.5");
    println!("measured: {name}: {address} {share:.2} % of 10,000 answers (wanted {percent})");
}

#[test]
fn active_active_disaster_recovery_of_an_api_gateway() {
    if !Gateway::available() || !Resolver::available() {
        return;
    }
    let (mut prod, mut dr) = (Gateway::start("127.10.1.1"), Gateway::start("127.10.1.2"));
    let node = TestNode::start(&format!(
        // Without a window: the scenario kills both regions at once and means it; the blast guard (SEMANTICS, 26) would keep one for two minutes.
        r#"{MONITOR}
[health]
window = "0s"
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.1.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.1.2"]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = {{ weighted = {{ prod = 100, dr = 0 }} }}
failback = "2s"
[service.billing]
name = "billing.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = {{ weighted = {{ prod = 80, dr = 20 }} }}
failback = "manual"
"#
    ));
    let (orders, billing) = ("orders.api.example.com.", "billing.api.example.com.");
    let mut client = Client::new(node.dns);
    assert_share(&mut client, orders, "127.10.1.1", 100.0);
    node.ok(&["split", "orders", "prod=80", "dr=20", "--reason", "CHG-1"]);
    assert_share(&mut client, orders, "127.10.1.1", 80.0);

    let resolver = Resolver::start(node.dns);
    let watcher = Watcher::start(resolver.address, orders);
    let killed = Instant::now();
    prod.down();
    until_only(&mut client, orders, "127.10.1.2", DETECTION + SLACK);
    println!("measured: active/active: every answer is dr {:.2} s after the kill", killed.elapsed().as_secs_f64());
    wait_for("the caches to run out", PATIENCE, || (killed.elapsed() > DETECTION + TTL + SLACK).then_some(()));
    let attempts = watcher.finish();
    let errors = last_error(&attempts, killed);
    println!(
        "measured: active/active: a client behind unbound saw errors for {:.2} s ({} of {} tries)",
        errors.as_secs_f64(),
        attempts.iter().filter(|a| !a.ok).count(),
        attempts.len()
    );
    assert!(errors <= DETECTION + TTL + SLACK, "errors for {errors:?}:\n{}", story(&attempts, killed));
    until_only(&mut client, billing, "127.10.1.2", DETECTION);

    let repaired = Instant::now();
    prod.up();
    let back = until_answered(&mut client, orders, "127.10.1.1", repaired, PATIENCE);
    println!("measured: active/active: prod answers again {:.2} s after its repair (up_after 2 × 1 s, failback 2 s)", back.as_secs_f64());
    assert!(back >= Duration::from_secs(2), "failback was too quick: {back:?}");
    assert_share(&mut client, orders, "127.10.1.1", 80.0);

    // "manual": returned, waiting, until somebody says so.
    assert_share(&mut client, billing, "127.10.1.1", 0.0);
    let status = node.ok(&["status"]);
    assert!(status.contains("returned, waiting"), "status does not say that prod waits:\n{status}");
    node.ok(&["failback", "billing"]);
    assert_share(&mut client, billing, "127.10.1.1", 80.0);

    // Both lost, dr restored first.
    prod.down();
    dr.down();
    node.wait_for_log("127.10.1.2 is down");
    wait_for("both to be down", DETECTION + SLACK, || {
        let pools = node.json(&["get", "pools"]);
        pools["items"].as_array().expect("a list").iter().all(|pool| pool["state"] == "down").then_some(())
    });
    dr.up();
    until_only(&mut client, orders, "127.10.1.2", PATIENCE);
    until_only(&mut client, billing, "127.10.1.2", PATIENCE);
}

#[test]
fn gateway_health_policy_says_the_right_reason() {
    if !Gateway::available() {
        return;
    }
    let cases = [
        ("127.10.2.1", "return 200 '<status>fail</status>\\n';", "body", "<status>ok</status>"),
        ("127.10.2.2", "default_type text/html; return 200 '<html><body>Please log in</body></html>';", "body", "<status>ok</status>"),
        ("127.10.2.3", "return 302 /login;", "status", "302"),
        ("127.10.2.4", "proxy_pass http://127.10.2.99:1/; proxy_connect_timeout 60s;", "status", "502"),
        ("127.10.2.5", "return 444;", "reset", ""),
        ("127.10.2.6", "return 503;", "status", "503"),
    ];
    let gateways: Vec<Gateway> = cases
        .iter()
        .map(|(address, location, ..)| {
            let mut gateway = Gateway::start(address);
            gateway.down();
            gateway.configure(location);
            gateway.up();
            gateway
        })
        .collect();
    let good = Gateway::start("127.10.2.7");
    let bad_peers = super::peers::BadPeers::start("127.10.2.8", "127.10.2.9");
    let mut pools = String::new();
    for (at, address) in gateways.iter().chain([&good]).map(|gateway| gateway.address.to_string()).chain(bad_peers.addresses()).enumerate() {
        pools.push_str(&format!("[pool.p{at}]\nmonitor = \"gateway\"\nendpoints = [\"{address}\"]\n"));
    }
    let all = (0..9).map(|at| format!("\"p{at}\"")).collect::<Vec<_>>().join(", ");
    let node = TestNode::start(&format!("{MONITOR}\n{pools}\n[service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [{all}] }}\n"));
    let expected: Vec<(String, &str, &str)> = cases
        .iter()
        .map(|(address, _, reason, text)| (address.to_string(), *reason, *text))
        .chain([("127.10.2.8".to_string(), "timeout", "500ms"), ("127.10.2.9".to_string(), "timeout", "500ms")])
        .collect();
    for (address, reason, text) in expected {
        let message = wait_for(&format!("{address} to be down: {reason}, `{text}`"), PATIENCE, || {
            let list = node.json(&["get", "endpoints"]);
            let endpoint = list["items"].as_array()?.iter().find(|endpoint| endpoint["address"] == address)?.clone();
            let probe = &endpoint["last_probe"];
            let message = probe["message"].as_str()?.to_string();
            (endpoint["state"]["observed"] == "down" && probe["reason"] == reason && message.contains(text)).then_some(message)
        });
        println!("measured: {address}: {reason}: {message}");
    }
    let mut client = Client::new(node.dns);
    until_only(&mut client, "orders.api.example.com.", "127.10.2.7", PATIENCE);
}

#[test]
fn two_active_and_two_passive_gateways_in_one_pool() {
    if !Gateway::available() {
        return;
    }
    let mut gateways: Vec<Gateway> = (1..=4).map(|n| Gateway::start(&format!("127.10.3.{n}"))).collect();
    let node = TestNode::start(&format!(
        r#"{MONITOR}
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.3.1", "127.10.3.2", {{ address = "127.10.3.3", tier = 1 }}, {{ address = "127.10.3.4", tier = 1 }}]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.3.1"]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = {{ failover = ["prod", "dr"] }}
"#
    ));
    let mut client = Client::new(node.dns);
    let mut serving = |wanted: &[u8], patience: Duration| {
        let wanted: Vec<IpAddr> = wanted.iter().map(|n| ip(&format!("127.10.3.{n}"))).collect();
        let from = Instant::now();
        wait_for(&format!("the serving set to be {wanted:?}"), patience, || {
            let mut found = client.addresses("orders.api.example.com.")?;
            found.sort();
            (found == wanted).then_some(())
        });
        println!("measured: two active, two passive: {wanted:?} after {:.2} s", from.elapsed().as_secs_f64());
    };
    serving(&[1, 2], SLACK);
    gateways[0].down();
    serving(&[2, 3], DETECTION + SLACK);
    gateways[1].down();
    serving(&[3, 4], DETECTION + SLACK);
    gateways[0].up();
    serving(&[1, 3], PATIENCE);
    gateways[1].up();
    serving(&[1, 2], PATIENCE);
}

#[test]
fn portal_in_two_data_centres_is_even_again_after_a_loss() {
    if !Gateway::available() || !Resolver::available() {
        return;
    }
    let (mut one, _two) = (Gateway::start("127.10.4.1"), Gateway::start("127.10.4.2"));
    let node = TestNode::start(&format!(
        r#"{MONITOR}
[pool.dc1]
monitor = "gateway"
endpoints = ["127.10.4.1"]
[pool.dc2]
monitor = "gateway"
endpoints = ["127.10.4.2"]
[service.portal]
name = ["portal.api.example.com", "dev.api.example.com"]
ttl = "2s"
policy = {{ weighted = ["dc1", "dc2"] }}
failback = "2s"
"#
    ));
    let name = "portal.api.example.com.";
    let mut client = Client::new(node.dns);
    assert_share(&mut client, name, "127.10.4.1", 50.0);
    assert_share(&mut client, "dev.api.example.com.", "127.10.4.1", 50.0);
    let resolver = Resolver::start(node.dns);
    let watcher = Watcher::start(resolver.address, name);
    let killed = Instant::now();
    one.down();
    until_only(&mut client, name, "127.10.4.2", DETECTION + SLACK);
    println!("measured: portal: every answer is dc2 {:.2} s after the kill", killed.elapsed().as_secs_f64());
    wait_for("the caches to run out", PATIENCE, || (killed.elapsed() > DETECTION + TTL + SLACK).then_some(()));
    let attempts = watcher.finish();
    assert!(attempts.iter().any(|attempt| attempt.ok), "the client never got through:\n{}", story(&attempts, killed));
    assert!(last_error(&attempts, killed) <= DETECTION + TTL + SLACK, "{}", story(&attempts, killed));
    println!("measured: portal: a client behind unbound saw errors for {:.2} s", last_error(&attempts, killed).as_secs_f64());
    one.up();
    until_answered(&mut client, name, "127.10.4.1", Instant::now(), PATIENCE);
    assert_share(&mut client, name, "127.10.4.1", 50.0);
}

#[test]
fn failover_mode_traffic_manager_switches_order_by_one_call_and_undoes_it() {
    if !Gateway::available() || !Resolver::available() {
        return;
    }
    let (mut primary, _secondary) = (Gateway::start("127.10.5.1"), Gateway::start("127.10.5.2"));
    let node = TestNode::start(&format!(
        r#"{MONITOR}
[pool.primary]
monitor = "gateway"
endpoints = ["127.10.5.1"]
[pool.secondary]
monitor = "gateway"
endpoints = ["127.10.5.2"]
[service.api]
name = "gw.api.example.com"
ttl = "2s"
policy = {{ failover = ["primary", "secondary"] }}
failback = "2s"
"#
    ));
    let name = "gw.api.example.com.";
    let mut client = Client::new(node.dns);
    assert_share(&mut client, name, "127.10.5.1", 100.0);
    let reply = node.json(&["failover", "api", "--reason", "drill"]);
    assert!(reply["revision"].as_u64().expect("a revision") > 0);
    // Acknowledged means: this node's DNS answers with it already.
    assert_eq!(client.first(name), Some(ip("127.10.5.2")));
    assert_share(&mut client, name, "127.10.5.2", 100.0);
    node.ok(&["undo", "api"]);
    assert_eq!(client.first(name), Some(ip("127.10.5.1")));

    let resolver = Resolver::start(node.dns);
    let watcher = Watcher::start(resolver.address, name);
    let killed = Instant::now();
    primary.down();
    let moved = until_answered(&mut client, name, "127.10.5.2", killed, DETECTION + SLACK);
    println!("measured: failover mode: first changed answer {:.2} s after the kill", moved.as_secs_f64());
    wait_for("the caches to run out", PATIENCE, || (killed.elapsed() > DETECTION + TTL + SLACK).then_some(()));
    let attempts = watcher.finish();
    let errors = last_error(&attempts, killed);
    assert!(attempts.iter().any(|attempt| attempt.ok), "the client never got through:\n{}", story(&attempts, killed));
    println!("measured: failover mode: a client behind unbound saw errors for {:.2} s", errors.as_secs_f64());
    assert!(errors <= DETECTION + TTL + SLACK, "errors for {errors:?}:\n{}", story(&attempts, killed));

    // A failover to what is down is refused, and changes nothing.
    let said = node.cli(&["failover", "api", "--to", "primary"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.err.contains("primary"), "{said:?}");
    assert_eq!(client.first(name), Some(ip("127.10.5.2")));
}

#[test]
fn restart_with_a_dead_region_never_answers_it_and_a_hold_still_waits() {
    if !Gateway::available() {
        return;
    }
    let (mut prod, _dr) = (Gateway::start("127.10.6.1"), Gateway::start("127.10.6.2"));
    let services = format!(
        r#"{MONITOR}
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.6.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.6.2"]
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
policy = {{ failover = ["prod", "dr"] }}
failback = "manual"
"#
    );
    let mut node = TestNode::start(&services);
    let name = "orders.api.example.com.";
    let mut client = Client::with_timeout(node.dns, Duration::from_millis(200));
    prod.down();
    until_only(&mut client, name, "127.10.6.2", DETECTION + SLACK);
    let verdict = Instant::now();
    wait_for("a second after the verdict", PATIENCE, || (verdict.elapsed() >= Duration::from_secs(1)).then_some(()));

    // Watch from the first answer on: not one may name the dead endpoint.
    for round in 0..3 {
        node.kill();
        let started = Instant::now();
        let watch = std::thread::spawn({
            let server = node.dns;
            move || {
                let mut client = Client::with_timeout(server, Duration::from_millis(20));
                let mut first = None;
                let mut answers = Vec::new();
                while started.elapsed() < Duration::from_secs(3) {
                    if let Some(address) = client.first(name) {
                        first.get_or_insert(started.elapsed());
                        answers.push(address);
                    }
                }
                (first, answers)
            }
        });
        node.launch();
        let (first, answers) = watch.join().expect("watched");
        let first = first.expect("it answered");
        println!("measured: restart {round}: first answer {:.0} ms after the start, {} answers, none names prod", first.as_secs_f64() * 1000.0, answers.len());
        assert!(answers.iter().all(|address| *address == ip("127.10.6.2")), "an answer named the dead endpoint");
    }

    // Returned, waiting: also after a restart.
    prod.up();
    wait_for("prod to be up again", PATIENCE, || {
        let pools = node.json(&["get", "pools"]);
        pools["items"].as_array().expect("a list").iter().find(|pool| pool["name"] == "prod").filter(|pool| pool["state"] == "up").map(|_| ())
    });
    let up = Instant::now();
    wait_for("a second after the verdict", PATIENCE, || (up.elapsed() >= Duration::from_secs(1)).then_some(()));
    assert_eq!(client.first(name), Some(ip("127.10.6.2")));
    node.kill();
    node.launch();
    let mut client = Client::new(node.dns);
    until_only(&mut client, name, "127.10.6.2", SLACK);
    let status = node.ok(&["status"]);
    assert!(status.contains("returned, waiting"), "{status}");
    node.ok(&["failback", "orders", "prod"]);
    assert_eq!(client.first(name), Some(ip("127.10.6.1")));
}
