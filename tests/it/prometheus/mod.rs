//! Everything that Prometheus and Grafana get from us, in a real Prometheus that scrapes a running Windrose.
//!
//! Every expression of every dashboard and rule is asked: none may fail, every metric in it must exist, and all must give data;
//! alerts alone are silent while all is well. What is marked `since` in `deploy/boards.toml` may be missing until its metric exists.

mod alarms;
mod scene;
pub mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::boards::deploy;
use super::boards::list::List;
use super::dns::Client;
use super::gateway::Gateway;
use super::http;
use super::node::{TestNode, free_port, run, tool, wait_for};
use scene::Scene;
use server::Prometheus;

/// Rates need two scrapes, recording rules an evaluation of their group.
const PATIENCE: Duration = Duration::from_secs(60);

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(deploy(folder)).expect("the folder is there").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

fn rules() -> Vec<PathBuf> {
    let mut rules = files("prometheus", "yml");
    rules.retain(|path| path.to_string_lossy().ends_with(".rules.yml"));
    rules
}

/// An expression and where it stands.
struct Asked {
    place: String,
    expression: String,
    /// Empty when all is well.
    may_be_empty: bool,
    /// What does not exist yet (`[since]`).
    awaits: Option<String>,
}

fn of_dashboards(list: &List) -> Vec<Asked> {
    let mut all = Vec::new();
    for (board, panel) in list.panels() {
        let place = format!("{board}: {}", panel.title);
        let awaits = panel.since.clone();
        all.extend(panel.queries().iter().map(|query| Asked {
            place: place.clone(),
            expression: substituted(query.expr.trim()),
            may_be_empty: false,
            awaits: awaits.clone(),
        }));
    }
    let annotations = list.annotation.iter().map(|mark| (format!("annotation {}", mark.name), substituted(&mark.expr)));
    let variables = list.variable.iter().map(|(name, variable)| {
        let inner = variable.query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{name} asks for no label"));
        let (expression, label) = inner.rsplit_once(',').expect("an expression and a label");
        (format!("variable {name}"), format!("count by ({}) ({}) > 0", label.trim(), substituted(expression)))
    });
    all.extend(annotations.chain(variables).map(|(place, expression)| Asked { place, expression, may_be_empty: false, awaits: None }));
    all
}

/// Rules as Prometheus loaded them. Alerts are empty while all is well; what they look at must be there all the same.
fn of_rules(list: &List, prometheus: &Prometheus) -> Vec<Asked> {
    let groups = prometheus.get("/api/v1/rules").expect("rules are loaded");
    let mut all = Vec::new();
    for rule in groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
        let name = rule["name"].as_str().unwrap_or_default();
        let recording = rule["type"] == "recording";
        let awaits = list.alerts().find(|alert| alert.name == name).and_then(|alert| alert.since.clone());
        let expression = rule["query"].as_str().unwrap_or_default().to_string();
        all.push(Asked { place: format!("rule {name}"), expression, may_be_empty: !recording, awaits });
        if recording {
            all.push(Asked { place: format!("record {name}"), expression: name.to_string(), may_be_empty: false, awaits: None });
        }
    }
    all
}

/// Grafana's variables filled in as "all" over a minute or an hour.
fn substituted(expression: &str) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').expect("a closing brace"),
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        out.push_str(match name {
            "__rate_interval" | "__interval" => "1m",
            "__range" => "1h",
            // One value, where one is chosen.
            _ if before.ends_with("=\"") => "portal",
            _ => ".+",
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Names of metrics in an expression: ours, the process's, and recorded ones.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("windrose_") || word.starts_with("process_") || word.contains(":windrose_")).collect()
}

#[test]
fn every_expression_of_dashboards_and_rules_gives_data_on_a_living_windrose() {
    if !tool("prometheus") || !Gateway::available() {
        return;
    }
    let mut scene = Scene::start(90);
    let prometheus = Prometheus::start(&[&scene.node, &scene.other]);
    wait_for("the first scrape", PATIENCE, || prometheus.has("windrose_service_available{service=\"orders\"} == 1").then_some(()));

    // Something of everything: traffic, an operator's change, a shift (of the service that panels of one service are asked about), drains with
    // and without an end, a failover.
    scene.traffic();
    wait_for("a second scrape", PATIENCE, || prometheus.has("sum(windrose_dns_queries_total) >= 40").then_some(()));
    scene.node.ok(&["split", "orders", "prod=70", "dr=30", "--reason", "CHG-1"]);
    scene.node.ok(&["shift", "portal", "prod=20", "dr=80", "--steps", "25,100", "--hold", "1h", "--reason", "CHG-4"]);
    scene.node.ok(&["drain", "endpoint", "dr/a", "--for", "10m", "--service", "portal", "--reason", "CHG-2"]);
    scene.node.ok(&["drain", "region", "secure", "--reason", "CHG-3"]);
    scene.prod.down();
    wait_for("the failover in Prometheus", PATIENCE, || prometheus.has("windrose_failovers_total{trigger=\"health\"} > 0").then_some(()));

    let list = List::read();
    let all: Vec<Asked> = of_dashboards(&list).into_iter().chain(of_rules(&list, &prometheus)).collect();
    assert!(all.len() > 130, "only {} expressions were found", all.len());
    // Data comes with the next scrapes and evaluations; traffic goes on meanwhile. What has given data once is done: windows pass.
    let mut empty: BTreeMap<String, String> = BTreeMap::new();
    let mut awaited = BTreeSet::new();
    let mut left: Vec<&Asked> = all.iter().collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        scene.traffic();
        empty.clear();
        awaited.clear();
        let there = prometheus.get("/api/v1/label/__name__/values").expect("names");
        let there: BTreeSet<&str> = there.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        left.retain(|Asked { place, expression, may_be_empty, awaits }| {
            let samples = prometheus.query(expression).unwrap_or_else(|error| panic!("{place} fails: {error}\n{expression}"));
            let missing: Vec<&str> = metrics_in(expression).into_iter().filter(|name| !there.contains(name)).collect();
            let expected =
                |name: &&str| awaits.as_ref().and_then(|awaits| list.since.get(awaits)).is_some_and(|metrics| metrics.iter().any(|metric| metric == name));
            if !missing.is_empty() && missing.iter().all(expected) {
                awaited.insert(place);
                return true;
            }
            empty.extend(missing.iter().map(|name| (format!("{place}: no series {name}"), expression.clone())));
            if samples.is_empty() && !may_be_empty {
                empty.insert(place.clone(), expression.clone());
                return true;
            }
            !missing.is_empty()
        });
        if empty.is_empty() || Instant::now() >= deadline {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let listed: String = empty.iter().map(|(place, expression)| format!("{place}\n    {expression}\n")).collect();
    assert!(empty.is_empty(), "no data:\n{listed}");
    println!("measured: {} of {} expressions give data; awaited: {awaited:?}", all.len() - awaited.len(), all.len());
    promtool_likes(&scene.node);
}

const PLAIN: &str = r#"[monitor.gate]
tcp = PORT
interval = "1s"
timeout = "500ms"
[pool.prod]
monitor = "gate"
endpoints = ["127.10.92.1"]
[pool.dr]
monitor = "gate"
endpoints = ["127.10.92.2"]
[service.portal]
name = "portal.api.example.com"
policy = { failover = ["prod", "dr"] }
"#;

#[test]
fn while_all_is_well_panels_are_empty_only_where_the_list_says_why() {
    if !tool("prometheus") {
        return;
    }
    let port = free_port();
    let _gates = ["127.10.92.1", "127.10.92.2"].map(|address| TcpListener::bind((address, port)).expect("a free address"));
    let node = TestNode::start(&PLAIN.replace("PORT", &port.to_string()));
    let prometheus = Prometheus::start(&[&node]);
    let mut client = Client::new(node.dns);
    let list = List::read();
    let mut left: Vec<(String, String)> = Vec::new();
    let (mut may_be_empty, mut has_data) = (BTreeMap::new(), BTreeSet::new());
    for (board, panel) in list.panels().filter(|(_, panel)| panel.since.is_none()) {
        for query in panel.queries() {
            let place = format!("{board}: {}", panel.title);
            match &panel.empty {
                Some(why) => drop(may_be_empty.insert((place, substituted(query.expr.trim())), why)),
                None => left.push((place, substituted(query.expr.trim()))),
            }
        }
    }
    for mark in &list.annotation {
        may_be_empty.insert((format!("annotation {}", mark.name), substituted(&mark.expr)), &mark.empty);
    }
    let expected = left.len();
    let until = Instant::now() + PATIENCE;
    wait_for("data in every panel that should have it", PATIENCE * 2, || {
        for _ in 0..10 {
            client.first("portal.api.example.com.");
        }
        node.ok(&["status"]);
        left.retain(|(_, expression)| !prometheus.has(expression));
        has_data.extend(may_be_empty.keys().filter(|(_, expression)| prometheus.has(expression)).map(|(place, _)| place.clone()));
        // The next scrape is a second away.
        std::thread::park_timeout(Duration::from_millis(300));
        (left.is_empty() || until <= Instant::now()).then_some(())
    });
    assert!(left.is_empty(), "no data: {left:#?}");
    // A reason that never holds would be no reason.
    assert!(has_data.is_empty(), "these have data, so they need no excuse: {has_data:?}");
    println!("measured: {expected} queries of panels give data on a plain Windrose; empty, and why:");
    let said: BTreeSet<String> = may_be_empty.iter().map(|((place, _), why)| format!("  {place}: {why}")).collect();
    said.iter().for_each(|line| println!("{line}"));
}

/// What a living node tells passes the linter, too.
fn promtool_likes(node: &TestNode) {
    let text = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers");
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let mut promtool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool starts");
    promtool.stdin.take().expect("piped").write_all(text.body.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn rules_and_scrape_configurations_pass_promtool() {
    if !tool("promtool") {
        return;
    }
    let mut commands: Vec<(&str, PathBuf)> = vec![("config", deploy("prometheus/prometheus.yml"))];
    commands.extend(rules().into_iter().map(|path| ("rules", path)));
    for (what, path) in commands {
        let said = run(Command::new("promtool").args(["check", what]).arg(&path));
        assert_eq!(said.code, 0, "{}:\n{}{}", path.display(), said.out, said.err);
    }
}

#[test]
fn unit_tests_of_the_rules_pass() {
    if !tool("promtool") {
        return;
    }
    let tests: Vec<PathBuf> = files("prometheus", "yml").into_iter().filter(|path| path.to_string_lossy().ends_with(".test.yml")).collect();
    assert!(!tests.is_empty(), "there are none");
    let said = run(Command::new("promtool").args(["test", "rules"]).args(&tests));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn every_alert_has_a_unit_test() {
    let all = |suffix: &str| -> String {
        let named = files("prometheus", "yml").into_iter().filter(|path| path.to_string_lossy().ends_with(suffix));
        named.map(|path| std::fs::read_to_string(path).expect("readable")).collect()
    };
    let (rules, tests) = (all(".rules.yml"), all(".test.yml"));
    let untested: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).filter(|alert| !tests.contains(alert)).collect();
    assert!(untested.is_empty(), "no test speaks of {untested:?}");
}
