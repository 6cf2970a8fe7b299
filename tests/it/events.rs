//! Events on the real binary: listed, live, and after a kill.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::dns::Client;
use super::http;
use super::node::{TestNode, binary, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

const SERVICES: &str = concat!(
    trusted_pools!(),
    r#"[service.orders]
name = "orders.api.example.com"
policy = { failover = ["prod", "dr"] }
[service.search]
name = "search.api.example.com"
policy = { weighted = { prod = 80, dr = 20 } }
"#
);

/// A client of the stream: its blocks, one by one.
pub struct Listener {
    blocks: mpsc::Receiver<String>,
    stream: UnixStream,
}

impl Listener {
    pub fn begin(node: &TestNode, path: &str, last: Option<u64>) -> Self {
        let mut stream = UnixStream::connect(node.socket()).expect("it listens");
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last}\r\n").expect("it is sent");
        let (block, blocks) = mpsc::channel();
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        std::thread::spawn(move || {
            let mut text = String::new();
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let read = String::from_utf8_lossy(&line).into_owned();
                line.clear();
                text.push_str(&read);
                // Chunk sizes stand between the blocks; nobody looks at them.
                if read == "\n" {
                    let _ = block.send(std::mem::take(&mut text));
                }
            }
        });
        Self { blocks, stream }
    }

    /// The next block with this in it.
    pub fn wait_for(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.blocks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(block) if block.contains(what) => return block,
                Ok(block) => seen.push(block),
                Err(error) => panic!("no `{what}` ({error}); it said:\n{}", seen.join("\n")),
            }
        }
    }

    fn data(block: &str) -> Value {
        let data = block.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        serde_json::from_str(data).expect("JSON")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn sequence(event: &Value) -> u64 {
    event["sequence"].as_u64().expect("a sequence")
}

#[test]
fn list_stream_and_command_line_tell_the_same_events() {
    let node = TestNode::start(SERVICES);
    let live = Listener::begin(&node, "/api/v1/events/stream", None);
    live.wait_for(": windrose events");
    node.ok(&["drain", "pool", "prod", "--service", "orders", "--reason", "CHG-1"]);
    let drained = Listener::data(&live.wait_for("event: override.created"));
    let moved = Listener::data(&live.wait_for("event: failover.started"));
    node.ok(&["split", "search", "prod=50", "dr=50", "--reason", "CHG-2"]);
    let split = Listener::data(&live.wait_for("event: traffic.changed"));
    assert_eq!((&split["data"]["actor"], &split["data"]["reason"]), (&split["data"]["actor"], &Value::from("CHG-2")));
    assert_eq!((&moved["subject"], &moved["data"]["trigger"]), (&Value::from("service/orders"), &Value::from("operator")));
    node.ok(&["undrain", "pool", "prod"]);
    let ended = Listener::data(&live.wait_for("event: failover.ended"));

    let listed = node.json(&["events", "--since", "1h"]);
    let items = listed["items"].as_array().expect("a list");
    for event in [&drained, &moved, &split, &ended] {
        assert!(items.contains(event), "{event} is not in the list:\n{listed:#}");
    }
    let sequences: Vec<u64> = items.iter().map(sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    let of_orders = node.json(&["events", "--service", "orders", "--type", "failover.*"]);
    assert_eq!(of_orders["items"].as_array().map(Vec::len), Some(2), "{of_orders:#}");
    let page = http::over_socket(&node.socket(), "GET", "/api/v1/events?since=1h&limit=2", &[], "").expect("a reply").json();
    let next =
        http::over_socket(&node.socket(), "GET", &format!("/api/v1/events?since=1h&limit=1&cursor={}", page["next_cursor"].as_str().expect("more")), &[], "");
    assert_eq!(next.expect("a reply").json()["items"][0], items[2]);
    let table = node.ok(&["events", "--since", "1h"]);
    assert!(table.contains("traffic.changed") && table.contains("orders: answers moved from prod to dr (operator)"), "{table}");
    let wrong = http::over_socket(&node.socket(), "GET", "/api/v1/events?since=yesterday", &[], "").expect("a reply");
    assert!(wrong.status == 400 && wrong.body.contains("write it like"), "{}", wrong.body);
}

#[test]
fn a_stream_takes_up_where_it_was_also_after_a_kill_and_says_when_it_can_not() {
    let mut node = TestNode::start(SERVICES);
    node.ok(&["drain", "pool", "prod", "--reason", "one"]);
    let before = wait_for("the event", PATIENCE, || node.json(&["events", "--type", "override.created"])["items"].as_array()?.last().cloned());
    node.ok(&["undrain", "pool", "prod"]);
    // What was told must be in the store before the kill.
    wait_for("what was told to be written", PATIENCE, || {
        let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").ok()?.body;
        let learned = metrics.lines().find(|line| line.starts_with("windrose_store_operations_total") && line.contains("learn") && line.contains("pass"))?;
        (learned.rsplit(' ').next()?.parse::<f64>().ok()? >= 3.0).then_some(())
    });
    node.kill();
    node.launch();
    let live = Listener::begin(&node, "/api/v1/events/stream", Some(sequence(&before)));
    let ended = Listener::data(&live.wait_for("event: override.ended"));
    assert!(sequence(&before) < sequence(&ended));
    node.ok(&["drain", "pool", "prod", "--reason", "two"]);
    let again = Listener::data(&live.wait_for("event: override.created"));
    assert!(sequence(&ended) < sequence(&again), "no number is given twice: {again}");

    let lost = Listener::begin(&node, "/api/v1/events/stream", Some(sequence(&again) + 1_000_000));
    lost.wait_for("event: reset");
    lost.wait_for("event: override.created");
}

#[test]
fn streams_are_bounded_and_readers_that_sleep_slow_nobody() {
    let node = TestNode::start(SERVICES);
    // Readers that never read more than the system's buffers take; more of them than there are places.
    let sleepers: Vec<UnixStream> = (0..100)
        .map(|_| {
            let mut stream = UnixStream::connect(node.socket()).expect("it listens");
            stream.write_all(b"GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
            let mut head = [0; 64];
            assert!(stream.read(&mut head).is_ok_and(|read| read > 0));
            stream
        })
        .collect();
    let refused = http::over_socket(&node.socket(), "GET", "/api/v1/events/stream", &[], "").expect("a reply");
    assert_eq!(refused.status, 503, "{}", refused.body);
    let mut dns = Client::new(node.dns);
    for round in 0..40 {
        let began = Instant::now();
        let (prod, dr) = (round % 100, 100 - round % 100);
        node.ok(&["split", "search", &format!("prod={prod}"), &format!("dr={dr}"), "--reason", &"long ".repeat(100)]);
        assert!(began.elapsed() < Duration::from_secs(20), "a change took {:?}", began.elapsed());
        assert!(dns.first("orders.api.example.com.").is_some());
    }
    drop(sleepers);
    wait_for("a free place", PATIENCE, || {
        let live = Listener::begin(&node, "/api/v1/events/stream", None);
        live.blocks.recv_timeout(Duration::from_millis(500)).ok().filter(|block| block.contains(": windrose events"))
    });
}

#[test]
fn the_server_stops_at_once_although_somebody_listens_and_the_command_line_goes_on_after_a_restart() {
    let mut node = TestNode::start(SERVICES);
    let mut follower = Command::new(binary())
        .args(["events", "-f", "-o", "json", "--type", "override.*"])
        .env("WINDROSE_SOCKET", node.socket())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (line, lines) = mpsc::channel();
    let out = follower.stdout.take().expect("piped");
    std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).for_each(|text| drop(line.send(text))));
    let next = |what: &str| -> Value {
        let text = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line for {what}"));
        serde_json::from_str(&text).expect("a line of JSON")
    };
    node.ok(&["drain", "pool", "prod"]);
    let first = next("the drain");
    let mut stream = UnixStream::connect(node.socket()).expect("it listens");
    stream.write_all(b"GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
    stream.read_exact(&mut [0; 12]).expect("it is answered");
    node.stop();
    // Who stops does not wait until listeners have heard enough, nor cuts them: the stream has come to its end, an empty chunk.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it ends");
    assert!(rest.ends_with(b"0\r\n\r\n"), "cut: {}", String::from_utf8_lossy(&rest));
    node.launch();
    node.ok(&["undrain", "pool", "prod"]);
    let second = next("its end");
    assert_eq!((&first["type"], &second["type"]), (&Value::from("windrose.override.created"), &Value::from("windrose.override.ended")));
    follower.kill().expect("ours");
    follower.wait().expect("ours");
}
