//! A Prometheus of our own, scraping every second, with our rules made impatient.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::super::http;
use super::super::node::{TestNode, free_port, wait_for};
use super::{PATIENCE, rules};

/// A Prometheus of our own, scraping every second. It ends with it.
pub struct Prometheus {
    pub address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub fn start(nodes: &[&TestNode]) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-prometheus-").tempdir().expect("a folder");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let targets: Vec<String> = nodes.iter().map(|node| format!("'{}'", node.metrics)).collect();
        let mut config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs:\n- {{job_name: windrose, static_configs: [{{targets: [{}]}}]}}\nrule_files:\n",
            targets.join(", ")
        );
        for rules in rules() {
            // Alerts wait for a second instead of up to a day: what they wait for is the business of their unit tests.
            let copy = folder.path().join(rules.file_name().expect("a file"));
            let text = std::fs::read_to_string(&rules).expect("readable");
            let impatient =
                |line: &str| line.trim_start().strip_prefix("for: ").map_or(line.to_string(), |time| line.replace(&format!("for: {time}"), "for: 1s"));
            let quick: String = text.lines().map(|line| impatient(line) + "\n").collect();
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

    pub fn get(&self, path: &str) -> Result<Value, String> {
        let response = http::over_tcp(self.address, "GET", path, &[], "").map_err(|error| error.to_string())?;
        let mut body = response.json();
        if response.status == 200 { Ok(body["data"].take()) } else { Err(format!("{}: {}", response.status, body["error"])) }
    }

    /// The samples of an instant query.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.get(&format!("/api/v1/query?query={}", percent_encoded(expression)))?;
        Ok(match data["resultType"].as_str() {
            Some("vector") => data["result"].as_array().cloned().unwrap_or_default(),
            _ => vec![data["result"].clone()],
        })
    }

    pub fn has(&self, expression: &str) -> bool {
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
