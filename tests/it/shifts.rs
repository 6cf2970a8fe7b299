//! Shifts on the real binary: step by step under load, taken back when the target fails, the same after `kill -9`, watched by a real Prometheus.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use super::dns::Client;
use super::events::Listener;
use super::http::{Response, over_socket};
use super::node::{PATIENCE, TestNode, free_port, tool, wait_for};
use super::prometheus::server::Prometheus;
use super::webhooks::Receiver;

const TRAFFIC: &str = "/api/v1/services/search/traffic";
const NAME: &str = "search.api.example.com";

/// Two pools that are always up; holds of a second are long enough for the TTL of nobody's answers.
const QUIET: &str = concat!(
    trusted_pools!(),
    r#"[service.search]
name = "search.api.example.com"
ttl = "1s"
ttl_min = "1s"
policy = { weighted = { prod = 80, dr = 20 } }
"#
);

fn ask(node: &TestNode, method: &str, path: &str, body: &str) -> Response {
    over_socket(&node.socket(), method, path, &["If-Match: *"], body).expect("an answer")
}

fn shift(node: &TestNode) -> Value {
    ask(node, "GET", "/api/v1/shifts/search", "").json()
}

fn weights(node: &TestNode) -> Value {
    ask(node, "GET", TRAFFIC, "").json()["policy"]["weighted"].clone()
}

fn phase(node: &TestNode) -> (String, u64) {
    let shift = shift(node);
    (shift["phase"].as_str().expect("a phase").to_string(), shift["step"].as_u64().expect("a step"))
}

fn metric(node: &TestNode, sample: &str) -> bool {
    let response = super::http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("metrics");
    response.body.lines().any(|line| line == sample)
}

/// Askers of a load, and how long each waits between two queries: 2,000 a second together, on a machine that has the time.
const ASKERS: usize = 4;
const BETWEEN: Duration = Duration::from_millis(2);

/// Queries until it is dropped; counts those that got no answer.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(node: &TestNode) -> Self {
        let (stop, asked, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let asker = |_| {
            let (stopped, counted, missing, server) = (stop.clone(), asked.clone(), lost.clone(), node.dns);
            std::thread::spawn(move || {
                let mut client = Client::new(server);
                while !stopped.load(Ordering::Relaxed) {
                    let answered = client.ask(NAME, RecordType::A).is_some_and(|message| !message.answers.is_empty());
                    counted.fetch_add(1, Ordering::Relaxed);
                    missing.fetch_add(u64::from(!answered), Ordering::Relaxed);
                    std::thread::park_timeout(BETWEEN);
                }
            })
        };
        let threads = (0..ASKERS).map(asker).collect();
        Self { stop, asked, lost, threads }
    }

    /// Asked, and not answered.
    fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.threads).into_iter().for_each(|thread| thread.join().expect("it asked to the end"));
        (self.asked.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_target_that_fails_at_step_three_takes_the_shift_back_under_load() {
    let port = free_port();
    let receiver = Receiver::start(200);
    let gateways: Vec<TcpListener> = ["127.10.97.1", "127.10.97.2"].iter().map(|address| TcpListener::bind((*address, port)).expect("free")).collect();
    let services = format!(
        r#"
[monitor.gateway]
tcp = {port}
interval = "1s"
timeout = "500ms"
down_after = 2
up_after = 2
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.97.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.97.2"]
[service.search]
name = "search.api.example.com"
ttl = "1s"
ttl_min = "1s"
policy = {{ weighted = {{ prod = 80, dr = 20 }} }}
[analysis.split]
split = true
max = 10
interval = "1s"
[plan.careful]
steps = [25, 50, 75, 100]
hold = "2s"
abort_when = ["target_unhealthy"]
analyses = ["split"]
[webhook.ops]
url = "http://{}/"
events = ["shift.*"]
"#,
        receiver.address
    );
    let node = TestNode::start(&services);
    let live = Listener::begin(&node, "/api/v1/events/stream?type=shift.*", None);
    live.wait_for(": windrose events");
    let load = Load::start(&node);
    let said = node.ok(&["shift", "search", "prod=20", "dr=80", "--plan", "careful", "--reason", "CHG-7"]);
    assert!(said.contains("25% → 2s → 50% → 2s → 75% → 2s → 100%") && said.contains("undo: windrose shift abort search"), "{said}");
    assert_eq!(weights(&node), json!({"prod": 65, "dr": 35}));
    wait_for("step 3", PATIENCE, || (phase(&node) == ("progressing".to_string(), 3)).then_some(()));
    assert!(metric(&node, "windrose_shift_active{service=\"search\",phase=\"progressing\"} 1"));
    assert!(metric(&node, "windrose_shift_step{service=\"search\"} 3"));
    // The hold of step 3 is kept open, so that it is this step which the failure meets.
    node.ok(&["shift", "pause", "search"]);
    let mut gateways = gateways;
    drop(gateways.pop());
    wait_for("dr to be down", PATIENCE, || (node.json(&["describe", "pool", "dr"])["state"] == "down").then_some(()));
    node.ok(&["shift", "resume", "search"]);
    wait_for("the abort", PATIENCE, || (phase(&node).0 == "aborted").then_some(()));
    assert_eq!(weights(&node), json!({"prod": 80, "dr": 20}), "what is asked for is as before");
    let aborted = shift(&node);
    assert_eq!(aborted["halt"]["code"], "target_unhealthy", "{aborted}");
    assert!(aborted["halt"]["hint"].as_str().is_some_and(|hint| hint.contains("windrose describe pool dr")), "{aborted}");
    assert!(metric(&node, "windrose_events_total{type=\"shift.aborted\"} 1"));
    assert!(metric(&node, "windrose_shifts_total{outcome=\"aborted\"} 1"));
    node.wait_for_log("was aborted, traffic is as before: dr is not up");
    for event in ["shift.started", "shift.step", "shift.paused", "shift.resumed", "shift.aborted"] {
        live.wait_for(&format!("event: {event}"));
        receiver.wait_for(&format!("windrose.{event}"));
    }
    let told = receiver.wait_for("windrose.shift.aborted");
    assert!(told.body.contains("dr is not up") && told.body.contains("\"service\":\"search\""), "{}", told.body);
    let history = node.ok(&["history", "search"]);
    assert!(history.matches("shift").count() >= 3 && history.contains("abort"), "{history}");
    node.ok(&["audit", "verify"]);
    let audit = node.ok(&["-o", "json", "audit", "list"]);
    assert!(audit.contains("shift.begin") && audit.contains("shift.step") && audit.contains("shift.halt"), "{audit}");
    let (asked, lost) = load.end();
    assert!(asked > 100 && lost == 0, "{lost} of {asked} queries got no answer");
    println!("measured: {asked} queries while the shift went and came back, none lost");
}

#[test]
fn the_cli_tells_where_a_shift_stands_and_refuses_others() {
    let node = TestNode::start(QUIET);
    let refused = node.cli(&["shift", "search", "prod=20", "dr=80", "--steps", "5,100", "--hold", "1s"]);
    assert!(refused.code == 2 && refused.err.contains("twice that, 2s") && refused.err.contains("--short-holds"), "{}", refused.err);
    let dry = node.ok(&["shift", "search", "prod=20", "dr=80", "--steps", "5,25,50p,100", "--hold", "1h", "--dry-run"]);
    assert!(dry.contains("50% ‖ waits for promote → 100%") && dry.contains("dry run"), "{dry}");
    assert_eq!(node.cli(&["shift", "status", "search"]).code, 1, "there is none yet");
    node.ok(&["shift", "search", "prod=20", "dr=80", "--steps", "5,25,50p,100", "--hold", "1h", "--reason", "CHG-8"]);
    let other = node.cli(&["split", "search", "prod=50", "dr=50"]);
    assert!(other.code == 5 && other.err.contains("shift") && other.err.contains("--end-shift"), "{}", other.err);
    let twice = ask(&node, "POST", "/api/v1/services/search/shifts", r#"{"to": {"dr": 100}}"#);
    assert_eq!((twice.status, twice.json()["type"].as_str()), (409, Some("urn:windrose:problem:shift-in-progress")));
    node.ok(&["shift", "promote", "search"]);
    node.ok(&["shift", "promote", "search"]);
    let status = node.ok(&["shift", "status", "search"]);
    assert!(status.contains("‖ waiting   step 3 of 4") && status.contains("next: windrose shift promote search"), "{status}");
    node.ok(&["shift", "abort", "search", "--reason", "enough"]);
    assert_eq!(weights(&node), json!({"prod": 80, "dr": 20}));
    assert_eq!(node.cli(&["shift", "promote", "search"]).code, 5);
    node.ok(&["shift", "retry", "search"]);
    assert_eq!(phase(&node), ("progressing".to_string(), 1));
    node.ok(&["split", "search", "prod=50", "dr=50", "--end-shift"]);
    assert_eq!((phase(&node).0.as_str(), weights(&node)), ("aborted", json!({"prod": 50, "dr": 50})));
    assert!(node.ok(&["get", "shifts"]).lines().count() == 3, "a header and two shifts");
}

/// After a kill: the shares are those of the step, and no step was made twice or left out.
fn is_sound(node: &TestNode, began: u64, before: (String, u64)) {
    let shift = shift(node);
    let (phase, step) = (shift["phase"].as_str().expect("a phase"), shift["step"].as_u64().expect("a step"));
    let shares = if phase == "aborted" { &shift["from"] } else { &shift["steps"][step as usize - 1]["shares"] };
    assert_eq!(&weights(node), shares, "{shift}");
    assert!(before.1 <= step, "it was at {before:?}, and is at {step}");
    let revisions = ask(node, "GET", "/api/v1/services/search/revisions", "").json();
    let made = revisions["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["verb"] == "shift" && began < entry["revision"].as_u64().unwrap_or(0))
        .count();
    assert_eq!(made as u64, step, "each step stands once in the history: {revisions}");
}

#[test]
fn kill_9_in_every_phase_loses_no_step_and_repeats_none() {
    // Four rounds of six: more than twenty kills in every run.
    let rounds = if std::env::var_os("WINDROSE_LONG").is_some() { 20 } else { 4 };
    let begin = ["shift", "search", "prod=20", "dr=80", "--steps", "25,50,75p,100", "--hold", "1s", "--short-holds"];
    let mut node = TestNode::start(QUIET);
    for round in 0..rounds {
        for at in ["progressing", "step", "waiting", "paused", "aborted", "completed"] {
            let began = ask(&node, "GET", "/api/v1/overview", "").json()["revision"].as_u64().expect("a revision");
            node.ok(&begin);
            let waits = |node: &TestNode, wanted: &str| wait_for(wanted, PATIENCE, || (phase(node).0 == wanted).then_some(()));
            match at {
                "progressing" => (),
                // Around the moment at which the second step is made; a little elsewhere in every round.
                "step" => std::thread::sleep(Duration::from_millis(900 + round % 20 * 10)),
                "waiting" => waits(&node, "waiting"),
                "paused" => drop(node.ok(&["shift", "pause", "search"])),
                "aborted" => drop(node.ok(&["shift", "abort", "search"])),
                _ => drop(node.ok(&["shift", "promote", "search", "--full"])),
            }
            let before = phase(&node);
            node.kill();
            node.launch();
            let full = at == "completed";
            if full {
                assert_eq!((phase(&node).0.as_str(), weights(&node)), ("completed", json!({"prod": 20, "dr": 80})));
            } else {
                is_sound(&node, began, before.clone());
            }
            if matches!(at, "progressing" | "step") {
                waits(&node, "waiting");
                is_sound(&node, began, before);
            } else if matches!(at, "waiting" | "paused" | "aborted") {
                assert_eq!(phase(&node), before, "it stays where it was");
            }
            if phase(&node).0 != "completed" && phase(&node).0 != "aborted" {
                node.ok(&["shift", "abort", "search"]);
            }
            node.ok(&["undo", "search", "--to", "file"]);
            assert_eq!(weights(&node), json!({"prod": 80, "dr": 20}));
        }
    }
}

#[test]
fn a_prometheus_that_says_too_much_takes_the_shift_back() {
    if !tool("prometheus") {
        return;
    }
    let mut node = TestNode::prepare(QUIET);
    let prometheus = Prometheus::start(&[&node]);
    node.configure(&format!(
        r#"{QUIET}
[analysis.overrides]
prometheus = "http://{}"
query = "sum(windrose_override_active) or vector(0)"
max = 0.5
interval = "1s"
failures = 2
[plan.measured]
steps = ["50p", 100]
hold = "2s"
abort_when = ["analysis_failed"]
analyses = ["overrides"]
"#,
        prometheus.address
    ));
    node.launch();
    node.ok(&["shift", "search", "prod=20", "dr=80", "--plan", "measured"]);
    wait_for("a measurement", PATIENCE, || (shift(&node)["analyses"][0]["value"] == 0.0).then_some(()));
    assert_eq!(phase(&node), ("waiting".to_string(), 1), "all is well");
    node.ok(&["freeze", "search", "--reason", "something to count"]);
    wait_for("the abort", PATIENCE, || (phase(&node).0 == "aborted").then_some(()));
    let halt = shift(&node)["halt"].clone();
    assert_eq!((halt["code"].as_str(), halt["value"].as_f64(), halt["limit"].as_f64()), (Some("analysis_failed"), Some(1.0), Some(0.5)), "{halt}");
    assert_eq!(weights(&node), json!({"prod": 80, "dr": 20}));
    node.ok(&["unfreeze", "search"]);

    // Nobody to ask: not knowing pauses, and takes nothing back.
    wait_for("the count to fall", PATIENCE, || {
        let path = "/api/v1/query?query=sum(windrose_override_active)%20or%20vector(0)";
        let said = super::http::over_tcp(prometheus.address, "GET", path, &[], "").ok()?;
        (said.json()["data"]["result"][0]["value"][1] == "0").then_some(())
    });
    node.ok(&["shift", "retry", "search"]);
    drop(prometheus);
    wait_for("the pause", PATIENCE, || (phase(&node).0 == "paused").then_some(()));
    let shift = shift(&node);
    assert_eq!(shift["halt"]["code"], "analysis_inconclusive", "{shift}");
    assert_eq!(weights(&node), json!({"prod": 50, "dr": 50}));
}

#[test]
fn pushed_counters_pause_a_shift() {
    let node = TestNode::start(&format!("{QUIET}\n[analysis.errors]\nslo = true\nmax = 0.01\ninterval = \"1s\"\nfailures = 1\n"));
    node.ok(&["shift", "search", "prod=20", "dr=80", "--steps", "50p,100", "--analysis", "errors"]);
    let began = Instant::now();
    assert_eq!(ask(&node, "POST", "/api/v1/services/search/slo", r#"{"good": 90, "bad": 10}"#).status, 204);
    assert_eq!(ask(&node, "POST", "/api/v1/services/serach/slo", r#"{"good": 90}"#).status, 404);
    wait_for("the pause", PATIENCE, || (phase(&node).0 == "paused").then_some(()));
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(shift(&node)["halt"]["value"], 0.1);
}

#[test]
fn the_examples_of_the_page_are_right() {
    let page = include_str!("../../docs/shifts.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let node = TestNode::start(&format!("{QUIET}\n{example}"));
    node.ok(&["shift", "search", "prod=20", "dr=80", "--plan", "careful", "--dry-run"]);
    let typed = page.lines().find_map(|line| line.strip_prefix("$ windrose ")).expect("a command");
    let said = node.ok(&typed.split_whitespace().collect::<Vec<_>>());
    let shown = page.lines().skip_while(|line| !line.starts_with("$ windrose ")).skip(1).take(4);
    let without_id = |line: &str| line.split_once(", ").map_or(line.trim_end().to_string(), |(_, rest)| rest.to_string());
    for (shown, said) in shown.zip(said.lines()) {
        assert_eq!(without_id(shown), without_id(said), "{said}");
    }
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `windrose ")?.split('`').next()).collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        let mut words: Vec<&str> = command.split_whitespace().filter(|word| *word != "-w").collect();
        if !matches!(words[..], ["get", ..] | ["shift", "status", ..]) {
            words.push("--dry-run");
        }
        node.ok(&words);
    }
    let body = page.split("/shifts` | `").nth(1).and_then(|rest| rest.split('`').next()).expect("a body");
    node.ok(&["shift", "abort", "search"]);
    let made = ask(&node, "POST", "/api/v1/services/search/shifts", body);
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.json()["undo"]["command"] == "windrose shift abort search" && ask(&node, "GET", TRAFFIC, "").json()["shift"].is_string());
}
