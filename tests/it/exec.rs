//! Programs as monitors, run by the real binary: as their own user, within limits, and without gaining anything.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dns::Client;
use super::http;
use super::node::{TestNode, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: &str = "orders.api.example.com.";

/// Who runs this, by number; root runs programs as nobody.
fn user() -> (u32, String) {
    let own = std::fs::metadata("/proc/self").expect("readable").uid();
    let wanted = if own == 0 { 65_534 } else { own };
    let users = std::fs::read_to_string("/etc/passwd").expect("readable");
    let entry = users.lines().find(|line| line.split(':').nth(2) == Some(&wanted.to_string())).expect("a user of that number");
    (wanted, entry.split(':').next().expect("a name").to_string())
}

/// A folder that all may enter, beside the node's own, which is not.
struct Plugins(tempfile::TempDir);

impl Plugins {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-plugins-").tempdir().expect("a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("ours");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(&self, text: &str) -> PathBuf {
        let path = self.path("check_it");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("writable");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        path
    }

    fn configuration(&self, program: &Path, timeout: &str) -> String {
        format!(
            r#"[probe]
exec = {{ user = "{}", folders = "{}", memory_mib_max = 100, processes_max = 4000 }}
[monitor.plugin]
exec = ["{}", "{{address}}", "{{port}}", "{}"]
port = 9000
exit = "nagios"
interval = "1s"
timeout = "{timeout}"
down_after = 1
up_after = 1
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "plugin"
endpoints = [{{ name = "gw-1", address = "192.0.2.1" }}]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
policy = {{ failover = ["prod", "dr"] }}
failback = "0s"
"#,
            user().1,
            self.0.path().display(),
            program.display(),
            self.0.path().display(),
        )
    }
}

fn until(client: &mut Client, wanted: &str) {
    let wanted: std::net::IpAddr = wanted.parse().expect("an address");
    wait_for(&format!("{ORDERS} to answer {wanted}"), PATIENCE, || (client.addresses(ORDERS)? == [wanted]).then_some(()));
}

#[test]
fn a_plugin_decides_with_its_own_user_limits_and_no_way_to_gain_privileges() {
    let plugins = Plugins::new();
    let script = r#"{ id -u; echo "$1 $2 $WINDROSE_ENDPOINT $WINDROSE_MONITOR"; cat /proc/self/limits; grep NoNewPrivs /proc/self/status; env; } > "$3/told.new"
mv "$3/told.new" "$3/told"
[ -e "$3/broken" ] && { echo "CRITICAL - queue is stuck | len=7"; exit 2; }
echo OK; exit 0"#;
    let program = plugins.script(script);
    let node = TestNode::start(&plugins.configuration(&program, "900ms"));
    let mut client = Client::new(node.dns);
    until(&mut client, "192.0.2.1");
    let told = wait_for("the program to tell", PATIENCE, || std::fs::read_to_string(plugins.path("told")).ok());
    assert!(told.starts_with(&format!("{}\n192.0.2.1 9000 prod/gw-1 plugin\n", user().0)), "{told}");
    let limit = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().split_whitespace().nth(1).map(str::to_string);
    assert_eq!(limit("Max address space").as_deref(), Some("104857600"), "{told}");
    assert_eq!(limit("Max processes").as_deref(), Some("4000"));
    assert_eq!((limit("Max core file size").as_deref(), limit("Max cpu time").as_deref()), (Some("0"), Some("1")));
    assert!(told.contains("NoNewPrivs:\t1"), "{told}");
    assert!(!told.contains("WINDROSE_LOG") && told.contains("WINDROSE_PORT=9000"), "{told}");

    std::fs::write(plugins.path("broken"), "").expect("writable");
    until(&mut client, "192.0.2.2");
    let endpoint = node.json(&["describe", "endpoint", "prod/gw-1"]);
    assert_eq!(endpoint["last_probe"]["reason"], "exit");
    assert_eq!(endpoint["last_probe"]["message"], "check_it: CRITICAL - queue is stuck (CRITICAL)");
    let seen = node.cli(&["-o", "json", "probe", "prod/gw-1"]);
    let seen: serde_json::Value = serde_json::from_str(&seen.out).unwrap_or_else(|why| panic!("{why}: {}{}", seen.out, seen.err));
    assert_eq!(
        (seen["probes"][0]["got"].as_str(), seen["probes"][0]["address"].as_str()),
        (Some("check_it: CRITICAL - queue is stuck (CRITICAL)"), Some("192.0.2.1:9000"))
    );
    assert_eq!(seen["probes"][0]["body"], "CRITICAL - queue is stuck | len=7\n");
    std::fs::remove_file(plugins.path("broken")).expect("there");
    until(&mut client, "192.0.2.1");
}

#[test]
fn a_plugin_that_can_not_be_run_takes_nothing_down_and_says_so() {
    let plugins = Plugins::new();
    // No script: its interpreter would open it a second time, and fail by itself if that falls behind the change of mode.
    let program = plugins.path("check_it");
    std::fs::copy("/bin/true", &program).expect("readable, and writable");
    let node = TestNode::start(&plugins.configuration(&program, "900ms"));
    let mut client = Client::new(node.dns);
    wait_for("a verdict", PATIENCE, || (node.json(&["describe", "endpoint", "prod/gw-1"])["state"]["observed"] == "up").then_some(()));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o000)).expect("ours");
    let endpoint = wait_for("a probe that could not be made", PATIENCE, || {
        let endpoint = node.json(&["describe", "endpoint", "prod/gw-1"]);
        (endpoint["last_probe"]["reason"] == "internal").then_some(endpoint)
    });
    let message = endpoint["last_probe"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("check_it can't be run: Permission denied"), "{message}");
    assert_eq!(endpoint["state"]["observed"], "up", "down_after is 1, and yet");
    assert_eq!(client.first(ORDERS), "192.0.2.1".parse().ok());
}

#[test]
fn who_asks_for_a_probe_can_name_no_program_and_only_an_admin_sends_one_elsewhere() {
    let plugins = Plugins::new();
    let program = plugins.script("echo \"$1\" >> \"$3/asked\"; exit 0");
    let node = TestNode::start(&plugins.configuration(&program, "900ms"));
    let token = |scope: &str| node.json(&["token", "create", scope, "--scope", scope, "--for", "1h"])["token"].as_str().expect("a token").to_string();
    let post = |token: &str, body: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let headers = [bearer.as_str(), "Content-Type: application/json"];
        http::over_tcp(node.admin, "POST", "/api/v1/probe", &headers, body).expect("it answers")
    };
    let (operator, admin) = (token("operate"), token("admin"));
    let inline = format!(r#"{{"monitor": {{"exec": ["{}", "192.0.2.9"]}}, "address": "192.0.2.9"}}"#, program.display());
    let named = r#"{"monitor": "plugin", "address": "192.0.2.8"}"#;
    let refused = [post(&operator, &inline), post(&admin, &inline), post(&operator, named)];
    assert_eq!(refused.map(|reply| reply.status), [400, 400, 403]);
    let told = post(&admin, named);
    assert!(told.status == 200 && told.body.contains("\"outcome\":\"pass\""), "{} {}", told.status, told.body);
    let asked = std::fs::read_to_string(plugins.path("asked")).expect("it ran");
    assert!(asked.contains("192.0.2.8") && !asked.contains("192.0.2.9"), "{asked}");
}

/// Processes, but dead ones, with this text in their command line.
fn processes_with(text: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("readable").filter_map(Result::ok);
    all.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))).count()
}

#[test]
fn a_reload_that_removes_the_monitor_ends_its_program_and_all_its_children() {
    let plugins = Plugins::new();
    let program = plugins.script("[ \"$1\" = child ] || \"$0\" child & trap '' TERM; sleep 600");
    let configuration = plugins.configuration(&program, "1m").replace("interval = \"1s\"", "interval = \"2m\"");
    let node = TestNode::start(&configuration);
    let mark = program.display().to_string();
    wait_for("the program and its child to run", PATIENCE, || (2 <= processes_with(&mark)).then_some(()));
    node.configure(&configuration.replace("monitor = \"plugin\"", "monitor = \"trusted\""));
    node.ok(&["reload"]);
    wait_for("all of it to end", PATIENCE, || (processes_with(&mark) == 0).then_some(()));
}
