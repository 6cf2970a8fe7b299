//! Webhooks on the real binary: signed, at least once, folded, and never in anybody's way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use super::http;
use super::node::{TestNode, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
"#
);

/// What a receiver got.
#[derive(Clone, Debug)]
pub struct Message {
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn is_signed(&self) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET).expect("base64"));
        let tag = hmac::sign(&key, format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body).as_bytes());
        self.header("webhook-signature") == format!("v1,{}", STANDARD.encode(tag.as_ref()))
    }
}

/// A receiver: what it got, and what it answers; 0: it takes connections and says nothing.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Message>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let receiver = Self { address: listener.local_addr().expect("bound"), got: Arc::default(), status: Arc::new(AtomicU16::new(status)) };
        let own = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        receiver
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut headers = Vec::new();
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.push((name.to_string(), value.to_string()));
            }
            let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.parse().ok()?;
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            self.got.lock().expect("no panic").push(Message { headers, body: String::from_utf8(body).ok()? });
            let status = self.status.load(Ordering::Relaxed);
            if status == 0 {
                std::thread::park_timeout(Duration::from_secs(60));
                return None;
            }
            let location = if status == 302 { "Location: http://127.0.0.1:1/elsewhere\r\n" } else { "" };
            write!(&stream, "HTTP/1.1 {status} So\r\n{location}Content-Length: 0\r\n\r\n").ok()?;
        }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn got(&self) -> Vec<Message> {
        self.got.lock().expect("no panic").clone()
    }

    pub fn wait_for(&self, kind: &str) -> Message {
        wait_for(kind, PATIENCE, || self.got().into_iter().find(|message| message.body.contains(kind)))
    }
}

/// A node with `[webhook.ops]` to this receiver, and further lines.
fn node(receiver: &Receiver, keys: &str, services: &str) -> TestNode {
    let node = TestNode::prepare("");
    std::fs::write(node.path("ops.secret"), format!("whsec_{SECRET}\n")).expect("writable");
    node.configure(&format!("[webhook.ops]\nurl = \"http://{}/hook?key=canary-in-url\"\nsecret_file = \"ops.secret\"\n{keys}\n{services}", receiver.address));
    node
}

fn metric(node: &TestNode, result: &str) -> f64 {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("a reply").body;
    let line = text.lines().find(|line| line.starts_with("windrose_webhook_deliveries_total") && line.contains(&format!("result=\"{result}\"")));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(-1.0)
}

#[test]
fn a_receiver_hears_what_it_wants_signed_and_nothing_else() {
    let receiver = Receiver::start(204);
    let mut node = node(&receiver, "events = [\"failover.*\", \"traffic.changed\"]", SERVICES);
    node.launch();
    assert_eq!(metric(&node, "delivered"), 0.0);
    node.ok(&["drain", "pool", "prod", "--reason", "CHG-1"]);
    let message = receiver.wait_for("windrose.failover.started");
    assert!(message.is_signed(), "{message:?}");
    assert_eq!((message.header("content-type"), message.json()["specversion"].as_str()), ("application/json", Some("1.0")));
    let listed = node.json(&["events", "--type", "failover.started"]);
    assert_eq!(listed["items"][0], message.json(), "one form for list and webhook");
    assert!(node.ok(&["webhook", "test", "ops"]).contains("took the message: 204"));
    assert!(receiver.wait_for("windrose.webhook.test").is_signed());
    assert_eq!(node.cli(&["webhook", "test", "nobody"]).code, 1);
    assert!(!receiver.got().iter().any(|message| message.body.contains("override.created")));
    wait_for("the count", PATIENCE, || (metric(&node, "delivered") >= 1.0).then_some(()));
    let deliveries = node.json(&["events", "--deliveries"]);
    let delivery = &deliveries["items"][0];
    assert_eq!((&delivery["receiver"], &delivery["state"], &delivery["attempts"]), (&"ops".into(), &"delivered".into(), &1.into()), "{deliveries:#}");
    assert!(!deliveries.to_string().contains("canary-in-url"));
}

#[test]
fn what_a_dead_receiver_did_not_take_comes_again_also_after_a_kill() {
    let receiver = Receiver::start(500);
    let mut node = node(&receiver, "events = [\"override.*\"]", SERVICES);
    node.launch();
    node.ok(&["drain", "pool", "prod", "--reason", "CHG-1"]);
    let first = receiver.wait_for("windrose.override.created");
    wait_for("the first failure", PATIENCE, || (metric(&node, "failed") >= 1.0).then_some(()));
    let waiting = node.json(&["webhook", "list"]);
    assert_eq!((&waiting["items"][0]["state"], &waiting["items"][0]["error"]), (&"waiting".into(), &"it answered 500 Internal Server Error".into()));
    // Durable: the next batch of what was learned is over when a later change is acknowledged.
    node.ok(&["freeze", "orders"]);
    node.kill();
    receiver.answer(200);
    node.launch();
    let again = wait_for("the same message again", PATIENCE, || receiver.got().into_iter().skip(1).find(|message| message.body == first.body));
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert!(again.is_signed());
    receiver.wait_for("freeze of service/orders");
    wait_for("nothing to wait", PATIENCE, || {
        node.json(&["webhook", "list"])["items"].as_array()?.iter().all(|delivery| delivery["state"] == "delivered").then_some(())
    });
}

#[test]
fn a_receiver_that_never_answers_slows_nothing_and_redirects_are_not_followed() {
    let (silent, moved) = (Receiver::start(0), Receiver::start(302));
    // Its connections stand, and nobody ever reads from them.
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let deaf_address = deaf.local_addr().expect("bound");
    let more = format!("[webhook.moved]\nurl = \"http://{}/\"\n[webhook.deaf]\nurl = \"http://{deaf_address}/\"\n{SERVICES}", moved.address);
    let mut node = node(&silent, "", &more);
    node.launch();
    // An attempt has just begun, and would last ten seconds: who stops does not wait for it.
    node.ok(&["drain", "pool", "prod"]);
    silent.wait_for("override.created");
    let began = Instant::now();
    node.stop();
    assert!(began.elapsed() < Duration::from_secs(9), "stopping took {:?}", began.elapsed());
    node.launch();
    node.ok(&["undrain", "pool", "prod"]);
    for _ in 0..10 {
        let began = Instant::now();
        node.ok(&["drain", "pool", "prod"]);
        node.ok(&["undrain", "pool", "prod"]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    moved.wait_for("override.created");
    wait_for("the refusal", PATIENCE, || {
        let list = node.json(&["webhook", "list"]);
        let found = list["items"].as_array()?.iter().any(|delivery| delivery["error"].as_str().is_some_and(|why| why.contains("redirects are not followed")));
        found.then_some(())
    });
}

#[test]
fn a_storm_of_a_region_is_one_message() {
    let receiver = Receiver::start(200);
    let port = super::node::free_port();
    let addresses: Vec<String> = (1..=12).map(|at| format!("127.10.61.{at}")).collect();
    let gates: Vec<TcpListener> = addresses.iter().map(|address| TcpListener::bind((address.as_str(), port)).expect("free")).collect();
    let services = format!(
        "[monitor.gate]\ntcp = {port}\ninterval = \"200ms\"\ntimeout = \"150ms\"\ndown_after = 2\n[pool.prod]\nmonitor = \"gate\"\nendpoints = {addresses:?}\n\
         [monitor.trusted]\nalways = \"up\"\n[pool.dr]\nmonitor = \"trusted\"\nendpoints = [\"198.51.100.10\"]\n\
         [service.orders]\nname = \"orders.api.example.com\"\npolicy = {{ failover = [\"prod\", \"dr\"] }}\n"
    );
    let mut node = node(&receiver, "events = [\"endpoint.down\"]\ntemplate = \"slack\"", &services);
    node.launch();
    wait_for("everything up", PATIENCE, || {
        (node.json(&["get", "endpoints"])["items"].as_array()?.iter().filter(|endpoint| endpoint["state"]["observed"] == "up").count() >= 12).then_some(())
    });
    drop(gates);
    let message = receiver.wait_for("endpoints down of prod");
    let text = message.json()["text"].as_str().expect("text").to_string();
    wait_for("the message to be counted", PATIENCE, || (metric(&node, "delivered") >= 1.0).then_some(()));
    let told: u64 = node.json(&["webhook", "list"])["items"].as_array().expect("a list").iter().filter_map(|delivery| delivery["events"].as_u64()).sum();
    assert!(receiver.got().len() <= 2 && (2..=12).contains(&told), "{told} in {} messages: {text}", receiver.got().len());
    assert!(text.starts_with('*') && text.contains("endpoints down of prod*"), "{text}");
}

#[test]
fn a_reload_changes_who_is_told() {
    let (before, after) = (Receiver::start(200), Receiver::start(200));
    let mut node = node(&before, "events = [\"override.*\"]", SERVICES);
    node.launch();
    node.ok(&["drain", "pool", "prod"]);
    before.wait_for("override.created");
    node.configure(&format!("[webhook.new]\nurl = \"http://{}/\"\nevents = [\"override.*\"]\ntemplate = \"alertmanager\"\n{SERVICES}", after.address));
    node.ok(&["reload"]);
    node.ok(&["undrain", "pool", "prod"]);
    let alert = after.wait_for("WindroseOverride");
    assert!(alert.json()[0]["endsAt"].is_string() && alert.header("webhook-signature").is_empty(), "{alert:?}");
    assert!(!before.got().iter().any(|message| message.body.contains("override.ended")));
    assert!(!after.got().iter().any(|message| message.body.contains("startsAt")), "a new receiver hears of what happens from then on");
}
