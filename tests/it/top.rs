//! `windrose top` in a real terminal (tmux), and without one: what is seen, what keys do to DNS, and how the terminal is left.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::dns::Client;
use super::http;
use super::node::{TestNode, binary, signal, tool, wait_for};
use super::terminal::Terminal;

/// Many nodes share the machine's cores meanwhile.
const PATIENCE: Duration = Duration::from_secs(40);

pub const SERVICES: &str = r#"[monitor.trusted]
always = "up"
[region.eu-west]
[region.us-east]
[pool.eu]
region = "eu-west"
monitor = "trusted"
endpoints = ["192.0.2.10"]
[pool.us]
region = "us-east"
monitor = "trusted"
endpoints = ["198.51.100.10"]
[service.orders]
name = "orders.api.example.com"
policy = { failover = ["eu", "us"] }
[service.search]
name = "search.api.example.com"
policy = { weighted = { eu = 100, us = 0 } }
"#;

fn answers(node: &TestNode, name: &str, address: &str) {
    let mut client = Client::new(node.dns);
    let wanted: IpAddr = address.parse().expect("an address");
    wait_for(&format!("{name} to be {address}"), PATIENCE, || (client.first(name) == Some(wanted)).then_some(()));
}

#[test]
fn a_drain_by_keys_changes_dns_after_its_preview_and_is_taken_back() {
    if !tool("tmux") {
        return;
    }
    let node = TestNode::start(SERVICES);
    answers(&node, "orders.api.example.com", "192.0.2.10");
    let terminal = Terminal::start(&node, "top --interval 500ms", (80, 24));
    terminal.shows(&["windrose top", "● live", "> ✔ ok     orders", "search", "eu (eu-west)", "answered 5m", "Events"]);
    terminal.keys(&["d"]);
    terminal.shows(&["Drain eu", "‹ region/eu-west ›", "reason"]);
    terminal.keys(&["Down", "Down", "Down", "Enter"]);
    terminal.shows(&["say why"]);
    terminal.types("CHG-1");
    terminal.keys(&["Enter"]);
    terminal.shows(&["preview, nothing has changed", "2 services affected", "y: DO IT"]);
    assert_eq!(node.json(&["get", "overrides"])["items"].as_array().map(Vec::len), Some(0), "a preview changes nothing");
    terminal.keys(&["y"]);
    terminal.shows(&["undo: windrose undrain region eu-west"]);
    answers(&node, "orders.api.example.com", "198.51.100.10");
    assert_eq!(node.json(&["get", "overrides"])["items"][0]["reason"], "CHG-1");
    terminal.keys(&["Escape"]);
    // The table and the events follow by themselves.
    terminal.shows(&["⏸ drained 1/1", "⚠ moved", "override.created", "failover.started"]);
    terminal.keys(&["d"]);
    terminal.shows(&["End the drain of eu"]);
    terminal.keys(&["Down"]);
    terminal.types("done");
    terminal.keys(&["Enter"]);
    terminal.shows(&["y: DO IT"]);
    terminal.keys(&["y"]);
    answers(&node, "orders.api.example.com", "192.0.2.10");
}

#[test]
fn a_split_by_keys_is_refused_with_every_guard_and_made_where_none_stands_in_the_way() {
    if !tool("tmux") {
        return;
    }
    let node = TestNode::start(&format!("{SERVICES}[service.search.guards]\nmax_step = 50\n"));
    let terminal = Terminal::start(&node, "top --interval 500ms", (100, 30));
    terminal.shows(&["orders", "search"]);
    terminal.keys(&["j"]);
    terminal.shows(&["search · weighted"]);
    terminal.keys(&["s"]);
    terminal.shows(&["Split search", "[100 "]);
    terminal.keys(&["BSpace", "BSpace", "BSpace", "0", "Down", "BSpace", "1", "0", "0", "Down"]);
    terminal.types("CHG-2");
    terminal.keys(&["Enter"]);
    terminal.shows(&["refused", "✖", "max_step", "nothing changed", "back to the form"]);
    terminal.keys(&["Escape"]);
    terminal.shows(&["Split search", "[100 "]);
    terminal.keys(&["Down", "BSpace", "5", "0", "Down", "BSpace", "BSpace", "BSpace", "5", "0", "Down", "Enter"]);
    terminal.shows(&["preview, nothing has changed", "▲ 50.0"]);
    terminal.keys(&["y"]);
    terminal.shows(&["undo: windrose undo search"]);
    assert_eq!(node.json(&["describe", "service", "search"])["traffic"]["shares"]["desired"]["us"], 50);
}

#[test]
fn a_server_that_restarts_is_found_again_a_window_may_grow_and_the_terminal_is_given_back() {
    if !tool("tmux") {
        return;
    }
    let mut node = TestNode::start(SERVICES);
    let terminal = Terminal::start(&node, "top --interval 500ms", (80, 24));
    terminal.shows(&["● live", "? q"]);
    node.stop();
    terminal.shows(&["✖ not connected since", "what is shown is old", "orders"]);
    terminal.said(&["resize-window", "-x", "130", "-y", "40"]);
    terminal.shows(&["Tab pane", "q quit"]);
    node.launch();
    terminal.shows(&["● live"]);
    node.ok(&["split", "search", "eu=60", "us=40", "--reason", "CHG-3"]);
    terminal.shows(&["traffic.changed"]);
    terminal.keys(&["q"]);
    let shown = terminal.shows(&["ended 0", "icanon"]);
    assert!(!shown.contains("-icanon") && !shown.contains("-echo ") && !shown.contains("Services"), "{shown}");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    if !tool("tmux") {
        return;
    }
    let node = TestNode::start(SERVICES);
    let terminal = Terminal::start(&node, "top --interval 500ms", (80, 24));
    terminal.shows(&["● live"]);
    let pid = std::fs::read_to_string(node.path("top.pid")).expect("written").trim().parse().expect("a number");
    signal(pid, "TERM");
    let shown = terminal.shows(&["ended by a signal", "ended 1", "icanon"]);
    assert!(!shown.contains("-icanon") && !shown.contains("Services"), "{shown}");
}

/// A command that prints until it is stopped.
struct Printing {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Printing {
    fn start(node: &TestNode, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        let mut child = command.args(arguments).env("WINDROSE_SOCKET", node.socket()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let out = child.stdout.take().expect("piped");
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, lines }
    }

    /// The next line with these words in a row, however wide its columns are.
    fn wait_for(&self, what: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.split_whitespace().collect::<Vec<_>>().join(" ").contains(what) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no `{what}` ({error}); it said:\n{}", seen.join("\n")),
            }
        }
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn without_a_terminal_the_table_is_printed_again_on_change_also_after_a_restart() {
    let mut node = TestNode::start(SERVICES);
    let printing = [Printing::start(&node, &["top"]), Printing::start(&node, &["status", "-w", "orders"])];
    printing.iter().for_each(|printing| assert!(printing.wait_for("orders failover").contains("✔ up 1/1"), "the first look"));
    node.ok(&["drain", "region", "eu-west", "--reason", "CHG-4"]);
    printing.iter().for_each(|printing| assert!(printing.wait_for("CHG-4").contains("drained")));
    node.stop();
    node.launch();
    node.ok(&["undrain", "region", "eu-west"]);
    printing.iter().for_each(|printing| {
        printing.wait_for("orders failover 30s eu (eu-west) ✔ up 1/1 100% 100%");
    });
}

#[test]
fn a_server_that_is_not_there_is_said_in_words() {
    let node = TestNode::prepare(SERVICES);
    for arguments in [["status", "-w"], ["top", "--interval=1s"]] {
        let said = node.cli(&arguments);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.contains("not reachable"), "{said:?}");
    }
}

#[test]
fn answers_are_counted_by_pool_and_endpoints_are_listed_by_pool() {
    let node = TestNode::start(SERVICES);
    let mut client = Client::new(node.dns);
    let asked = (0..40).filter(|_| client.first("search.api.example.com").is_some()).count();
    assert!(0 < asked);
    // A question whose answer came too late was answered, too.
    let service = node.json(&["describe", "service", "search"]);
    let answers = |at: usize| service["pools"][at]["answers"].as_u64().expect("a number");
    assert!((asked as u64..=40).contains(&answers(0)), "{service:#}");
    assert_eq!(answers(1), 0);
    let listed = |query: &str| http::over_socket(&node.socket(), "GET", &format!("/api/v1/endpoints{query}"), &[], "").expect("it answers");
    let ids = |query: &str| listed(query).json()["items"].as_array().expect("a list").iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids("?pool=us"), ["us/198.51.100.10"]);
    assert_eq!((ids("").len(), listed("?pool=uz").status), (2, 404));
    wait_for("a rate", PATIENCE, || node.json(&["status"])["services"][1]["answers_per_second"].as_f64().filter(|rate| 0.0 < *rate));
}
