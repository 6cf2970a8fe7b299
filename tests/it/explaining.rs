//! `dig TXT _explain.NAME`: why, for those who may ask; for everybody else it is not there.

use std::process::Command;
use std::time::Duration;

use super::node::{TestNode, run, tool, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);
const ESTATE: &str = "[monitor.up]\nalways = \"up\"\n\
     [pool.eu]\nmonitor = \"up\"\nendpoints = [\"192.0.2.1\"]\n[pool.us]\nmonitor = \"up\"\nendpoints = [\"192.0.2.2\"]\n\
     [service.search]\nname = \"search.api.example.com\"\nttl = \"60s\"\npolicy = { weighted = { eu = 80, us = 20 } }\n\
     [service.wild]\nname = \"*.wild.api.example.com\"\npolicy = { failover = [\"us\"] }\n";

/// With `dns.explain` for these networks.
fn node(networks: &str, estate: &str) -> TestNode {
    let mut node = TestNode::prepare(estate);
    let text = std::fs::read_to_string(node.config()).expect("readable").replace("workers = 2\n", &format!("workers = 2\nexplain = [{networks}]\n"));
    std::fs::write(node.config(), text).expect("writable");
    node.launch();
    node
}

fn dig(node: &TestNode, arguments: &[&str]) -> String {
    let said = run(Command::new("dig").arg("@127.0.0.1").arg("-p").arg(node.dns.port().to_string()).args(["+tries=3", "+time=5"]).args(arguments));
    assert_eq!(said.code, 0, "{said:?}");
    said.out
}

#[test]
fn who_may_ask_is_told_why_and_nobody_else_learns_that_there_is_anything() {
    if !tool("dig") {
        return eprintln!("skipped: no dig");
    }
    let open = node("\"127.0.0.0/8\"", ESTATE);
    let said = dig(&open, &["+short", "TXT", "_explain.search.api.example.com"]);
    let mut lines: Vec<&str> = said.lines().map(|line| line.trim_matches('"')).collect();
    lines.sort_by_key(|line| line.split(' ').next().and_then(|number| number.parse::<u32>().ok()));
    assert!(lines[0].starts_with("1 zone: api.example.com, authoritative, generation "), "{said}");
    assert_eq!(lines[1], "2 service: search");
    assert!(lines[2].starts_with("3 revision: the file's policy; decided 20"), "{said}");
    for part in ["pool: pool eu is up", "policy: ", "rung: policy", "eu 80 %, us 20 %", "192.0.2.2", "ttl: 60 s"] {
        assert!(lines.iter().any(|line| line.contains(part)), "no `{part}` in {said}");
    }
    assert!(dig(&open, &["+short", "TXT", "_explain.a.wild.api.example.com"]).contains("2 service: wild, by a wildcard name"));
    assert!(dig(&open, &["+short", "TXT", "_explain.nothing.api.example.com"]).contains("does not exist: NXDOMAIN"));
    assert!(dig(&open, &["TXT", "_explain.www.example.org"]).contains("REFUSED"));
    // Another type, and another class, are not for it.
    assert!(dig(&open, &["A", "_explain.search.api.example.com"]).contains("NXDOMAIN"));

    let shut = node("\"192.0.2.0/24\", \"2001:db8::/32\"", ESTATE);
    for (name, status) in
        [("_explain.search.api.example.com", "NXDOMAIN"), ("_explain.wild.api.example.com", "NOERROR"), ("_explain.a.wild.api.example.com", "NOERROR")]
    {
        let said = dig(&shut, &["TXT", name]);
        assert!(said.contains(&format!("status: {status}")) && said.contains("ANSWER: 0") && !said.contains("policy"), "{said}");
    }
    let off = TestNode::start(ESTATE);
    assert!(dig(&off, &["TXT", "_explain.search.api.example.com"]).contains("NXDOMAIN"));
}

#[test]
fn a_long_answer_is_tc_over_udp_and_whole_over_tcp() {
    if !tool("dig") {
        return eprintln!("skipped: no dig");
    }
    // More than one datagram holds.
    let pools: String = (1..=30).map(|at| format!("[pool.some-long-name-of-a-pool-{at}]\nmonitor = \"up\"\nendpoints = [\"192.0.2.{at}\"]\n")).collect();
    let names: Vec<String> = (1..=30).map(|at| format!("\"some-long-name-of-a-pool-{at}\"")).collect();
    let service = format!("[service.search]\nname = \"search.api.example.com\"\npolicy = {{ failover = [{}] }}\n", names.join(", "));
    let node = node("\"127.0.0.1\"", &format!("[monitor.up]\nalways = \"up\"\n{pools}{service}"));
    let name = "_explain.search.api.example.com";
    // Ten times the query at most for an address that is not proven.
    let udp = dig(&node, &["+ignore", "+nocookie", "TXT", name]);
    assert!(dig(&node, &["+ignore", "+cookie", "TXT", name]).contains("ANSWER: 0"), "nor does it ever take more than one packet");
    assert!(udp.contains("flags: qr aa tc") && udp.contains("ANSWER: 0"), "{udp}");
    let tcp = dig(&node, &["+tcp", "TXT", name]);
    assert!(tcp.contains("status: NOERROR") && !tcp.contains(" tc ") && !tcp.contains("ANSWER: 0"), "{tcp}");
}

#[test]
fn what_changes_is_told_and_a_reload_switches_it_off() {
    if !tool("dig") {
        return eprintln!("skipped: no dig");
    }
    let node = node("\"127.0.0.0/8\"", ESTATE);
    let ask = || dig(&node, &["+short", "TXT", "_explain.search.api.example.com"]);
    node.ok(&["drain", "region", "eu", "--for", "1h", "--reason", "x"]);
    wait_for("the drain to be told", PATIENCE, || Some(ask()).filter(|said| said.contains("us 100 %")));
    node.ok(&["undrain", "region", "eu"]);
    node.ok(&["split", "search", "eu=30", "us=70", "--reason", "x"]);
    wait_for("the split to be told", PATIENCE, || {
        Some(ask()).filter(|said| said.contains("eu 30 %, us 70 %") && said.contains("the operators' policy, revision "))
    });
    let text = std::fs::read_to_string(node.config()).expect("readable").replace("explain = [\"127.0.0.0/8\"]\n", "");
    std::fs::write(node.config(), text).expect("writable");
    node.ok(&["reload"]);
    wait_for("nobody to be told", PATIENCE, || Some(ask()).filter(String::is_empty));
}
