//! Everything that Prometheus and Grafana get from us, in a real Prometheus that scrapes a running Windrose.
//!
//! Every expression of every dashboard and rule is asked: none may fail, every metric in it must exist, and all but the
//! reviewed exceptions below must give data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::dns::Client;
use super::gateway::Gateway;
use super::http;
use super::node::{TestNode, free_port, run, tool, wait_for};

/// Rates need two scrapes, recording rules an evaluation of their group.
const PATIENCE: Duration = Duration::from_secs(60);

/// Metrics that need what this test does not have.
const ABSENT: [(&str, &str); 1] = [("windrose_probe_tls_cert_expiry_timestamp_seconds", "no gateway here speaks TLS")];

/// The first line belongs to the zone; nobody is at that port.
const SERVICES: &str = r#"secondaries = ["127.0.0.1:9"]
[monitor.gateway]
url = "http://{address}:8080/healthcheck"
body = "<status>ok</status>"
interval = "1s"
timeout = "500ms"
down_after = 2
up_after = 2
[pool.prod]
monitor = "gateway"
endpoints = ["127.10.90.1"]
[pool.dr]
monitor = "gateway"
endpoints = ["127.10.90.2"]
[sentinel.dr]
monitor = "gateway"
address = "127.10.90.2"
[service.orders]
name = "orders.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = { weighted = { prod = 80, dr = 20 } }
failback = "manual"
[service.portal]
name = "portal.api.example.com"
ttl = "2s"
ttl_min = "1s"
policy = { failover = ["prod", "dr"] }
"#;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(deploy(folder)).expect("the folder is there").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// A Prometheus of our own, scraping every second. It ends with it.
pub struct Prometheus {
    pub address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub fn start(node: &TestNode) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-prometheus-").tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs:\n- {{job_name: windrose, static_configs: [{{targets: ['{}']}}]}}\nrule_files:\n",
            node.metrics
        );
        for rules in rules() {
            // Groups that evaluate every half minute would only make the test slow.
            let copy = folder.path().join(rules.file_name().expect("a file"));
            let text = std::fs::read_to_string(&rules).expect("readable");
            let quick: String = text.lines().filter(|line| !line.trim_start().starts_with("interval:")).map(|line| format!("{line}\n")).collect();
            std::fs::write(&copy, quick).expect("writable");
            let _ = writeln!(config, "- {}", copy.display());
        }
        let config_file = folder.path().join("prometheus.yml");
        std::fs::write(&config_file, config).expect("writable");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("prometheus starts");
        let prometheus = Self { address, child, _folder: folder };
        wait_for("prometheus to be ready", PATIENCE, || http::over_tcp(address, "GET", "/-/ready", &[], "").ok().filter(|response| response.status == 200));
        prometheus
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let response = http::over_tcp(self.address, "GET", path, &[], "").map_err(|error| error.to_string())?;
        let mut body = response.json();
        if response.status == 200 { Ok(body["data"].take()) } else { Err(format!("{}: {}", response.status, body["error"])) }
    }

    /// The samples of an instant query.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.get(&format!("/api/v1/query?query={}", percent_encoded(expression)))?;
        Ok(match data["resultType"].as_str() {
            Some("vector") => data["result"].as_array().cloned().unwrap_or_default(),
            _ => vec![data["result"].clone()],
        })
    }

    fn has(&self, expression: &str) -> bool {
        self.query(expression).is_ok_and(|samples| !samples.is_empty())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "%{octet:02X}");
            }
        }
    }
    out
}

fn rules() -> Vec<PathBuf> {
    let mut rules = files("prometheus", "yml");
    rules.retain(|path| path.to_string_lossy().ends_with(".rules.yml"));
    rules
}

/// A dashboard as JSON, with its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, json)
    };
    files("grafana/dashboards", "json").into_iter().map(read).collect()
}

/// Panels, those in collapsed rows too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = dashboard["panels"].as_array().into_iter().flatten();
    outer.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten())).collect()
}

/// An expression and where it stands.
struct Asked {
    place: String,
    expression: String,
    /// Empty when all is well.
    may_be_empty: bool,
}

fn of_dashboards() -> Vec<Asked> {
    let mut all = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{file}: {}", panel["title"].as_str().unwrap_or_default());
                let expression = substituted(target["expr"].as_str().unwrap_or_else(|| panic!("{place} has a target without expr")));
                all.push(Asked { place, expression, may_be_empty: false });
            }
        }
        for annotation in dashboard["annotations"]["list"].as_array().into_iter().flatten() {
            if let Some(expression) = annotation["expr"].as_str() {
                let place = format!("{file}: annotation {}", annotation["name"].as_str().unwrap_or_default());
                all.push(Asked { place, expression: substituted(expression), may_be_empty: false });
            }
        }
        for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
            let query = variable["query"]["query"].as_str().or_else(|| variable["query"].as_str()).unwrap_or_default();
            if let Some((expression, label)) =
                query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.rsplit_once(','))
            {
                let place = format!("{file}: variable {}", variable["name"].as_str().unwrap_or_default());
                let expression = format!("count by ({}) ({}) > 0", label.trim(), substituted(expression));
                all.push(Asked { place, expression, may_be_empty: false });
            }
        }
    }
    all
}

/// Rules as Prometheus loaded them. Alerts are empty while all is well; what they look at must be there all the same.
fn of_rules(prometheus: &Prometheus) -> Vec<Asked> {
    let groups = prometheus.get("/api/v1/rules").expect("rules are loaded");
    let mut all = Vec::new();
    for rule in groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
        let name = rule["name"].as_str().unwrap_or_default();
        let recording = rule["type"] == "recording";
        all.push(Asked { place: format!("rule {name}"), expression: rule["query"].as_str().unwrap_or_default().to_string(), may_be_empty: !recording });
        if recording {
            all.push(Asked { place: format!("record {name}"), expression: name.to_string(), may_be_empty: false });
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
fn every_expression_of_dashboards_and_rules_works_on_what_windrose_tells() {
    if !tool("prometheus") || !Gateway::available() {
        return;
    }
    let (mut prod, _dr) = (Gateway::start("127.10.90.1"), Gateway::start("127.10.90.2"));
    let node = TestNode::start(SERVICES);
    let prometheus = Prometheus::start(&node);
    wait_for("the first scrape", PATIENCE, || prometheus.has("windrose_service_available == 1").then_some(()));

    // Something of everything: traffic, an operator's change, an override, a failover.
    let mut client = Client::new(node.dns);
    let mut traffic = || {
        for name in ["orders.api.example.com.", "portal.api.example.com."] {
            for _ in 0..20 {
                client.first(name);
            }
        }
    };
    traffic();
    wait_for("a second scrape", PATIENCE, || prometheus.has("sum(windrose_dns_queries_total) >= 40").then_some(()));
    node.ok(&["split", "orders", "prod=70", "dr=30", "--reason", "CHG-1"]);
    node.ok(&["drain", "endpoint", "dr/127.10.90.2", "--for", "10m", "--service", "portal", "--reason", "CHG-2"]);
    prod.down();
    wait_for("the failover in Prometheus", PATIENCE, || prometheus.has("windrose_failovers_total{trigger=\"health\"} > 0").then_some(()));

    let all: Vec<Asked> = of_dashboards().into_iter().chain(of_rules(&prometheus)).collect();
    assert!(all.len() > 40, "only {} expressions were found", all.len());
    // Data comes with the next scrapes and evaluations; traffic goes on meanwhile.
    let absent = |metric: &str| ABSENT.iter().any(|(known, _)| *known == metric);
    let mut empty: BTreeMap<String, String> = BTreeMap::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        traffic();
        empty.clear();
        for Asked { place, expression, may_be_empty } in &all {
            let samples = prometheus.query(expression).unwrap_or_else(|error| panic!("{place} fails: {error}\n{expression}"));
            let names = metrics_in(expression);
            for name in names.iter().filter(|name| !absent(name) && !prometheus.has(&format!("count({name})"))) {
                empty.insert(format!("{place}: no series {name}"), expression.clone());
            }
            if samples.is_empty() && !may_be_empty && !names.iter().any(|name| absent(name)) {
                empty.insert(place.clone(), expression.clone());
            }
        }
        if empty.is_empty() || std::time::Instant::now() >= deadline {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    let listed: String = empty.iter().map(|(place, expression)| format!("{place}\n    {expression}\n")).collect();
    assert!(empty.is_empty(), "no data:\n{listed}");
    println!("measured: {} expressions give data", all.len());

    for (metric, why) in ABSENT {
        assert!(!prometheus.has(metric), "{metric} has data, so \"{why}\" is no longer true");
    }
    promtool_likes(&node);
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

#[test]
fn dashboards_are_whole() {
    for (file, dashboard) in dashboards() {
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        let mut places: Vec<(String, [i64; 4])> = Vec::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default().to_string();
            if !ids.insert(panel["id"].as_i64()) {
                problems.push(format!("`{title}`: its id stands twice"));
            }
            if panel["type"] == "row" {
                continue;
            }
            if panel["description"].as_str().unwrap_or_default().is_empty() {
                problems.push(format!("`{title}`: no description"));
            }
            if panel["fieldConfig"]["defaults"]["unit"].as_str().is_none() {
                problems.push(format!("`{title}`: no unit"));
            }
            if panel["datasource"]["uid"] != "${datasource}" {
                problems.push(format!("`{title}`: its data source is not the variable"));
            }
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_i64().unwrap_or(-1));
            if x < 0 || y < 0 || w < 1 || h < 1 || x + w > 24 {
                problems.push(format!("`{title}`: not inside the grid"));
            }
            for (other, [ox, oy, ow, oh]) in &places {
                if x < ox + ow && *ox < x + w && y < oy + oh && *oy < y + h {
                    problems.push(format!("`{title}` lies over `{other}`"));
                }
            }
            places.push((title, [x, y, w, h]));
        }
        assert!(problems.is_empty(), "{file}:\n{}", problems.join("\n"));
        assert!(places.len() > 5, "{file} has {} panels", places.len());
    }
}
