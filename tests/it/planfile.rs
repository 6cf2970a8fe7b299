//! GitOps on the real binary: plan, diff, reload --dry-run, the configuration's hash, and services that the file manages.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::dns::Client;
use super::http;
use super::node::TestNode;

const POOLS: &str =
    "[monitor.up]\nalways = \"up\"\n[pool.prod]\nmonitor = \"up\"\nendpoints = [\"192.0.2.1\"]\n[pool.dr]\nmonitor = \"up\"\nendpoints = [\"192.0.2.2\"]\n";
const ORDERS: &str = "[service.orders]\nname = \"orders.api.example.com\"\npolicy = { failover = [\"prod\", \"dr\"] }\n";
const MANAGED: &str = "traffic_from = \"file\"\n";
const NAME: &str = "orders.api.example.com.";

fn other_way() -> String {
    format!("{POOLS}{}", ORDERS.replace("[\"prod\", \"dr\"]", "[\"dr\", \"prod\"]"))
}

#[test]
fn a_plan_tells_what_a_reload_would_do_by_exit_code_and_changes_nothing() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    let mut client = Client::new(node.dns);
    let same = node.cli(&["plan"]);
    assert!(same.code == 0 && same.out.contains("nothing would change"), "{same:?}");
    node.configure(&other_way());
    for arguments in [&["plan"][..], &["reload", "--dry-run"], &["diff"]] {
        let said = node.cli(arguments);
        assert_eq!(said.code, 3, "{arguments:?}: {said:?}");
        assert!(said.out.contains("~ service orders") && said.out.contains("policy: failover prod > dr → failover dr > prod"), "{}", said.out);
        assert!(said.out.contains("▼ 100.0") && said.out.contains("▲ 100.0"), "its traffic effect: {}", said.out);
    }
    assert_eq!(client.first(NAME), Some([192, 0, 2, 1].into()), "nothing was changed");
    assert_eq!(node.cli(&["reload"]).code, 0);
    assert_eq!(client.first(NAME), Some([192, 0, 2, 2].into()));
    assert_eq!(node.cli(&["plan"]).code, 0);
    // Another file of the same host.
    let other = node.path("other.toml");
    std::fs::write(&other, std::fs::read_to_string(node.config()).expect("readable").replace("192.0.2.2", "192.0.2.3")).expect("writable");
    let said = node.cli(&["plan", other.to_str().expect("UTF-8")]);
    assert!(said.code == 3 && said.out.contains("+ endpoint dr/192.0.2.3") && said.out.contains("- endpoint dr/192.0.2.2"), "{said:?}");
    std::fs::write(&other, "schema = 1\n[pool.x]\nendpionts = []\n").expect("writable");
    let bad = node.cli(&["plan", other.to_str().expect("UTF-8")]);
    assert!(bad.code == 2 && bad.err.contains("endpionts"), "{bad:?}");
}

#[test]
fn a_plan_that_a_reload_would_refuse_names_who_stands_in_the_way() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}"));
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "CHG-1"]);
    let diff = node.cli(&["diff"]);
    assert!(diff.code == 3 && diff.out.contains("≠ orders") && diff.out.contains("windrose undo orders --to file"), "{diff:?}");
    // The pool that operators use goes away.
    let without = format!("{POOLS}{}", ORDERS.replace("[\"prod\", \"dr\"]", "[\"prod\"]")).replace("[pool.dr]", "[pool.spare]");
    node.configure(&without);
    let said = node.cli(&["plan"]);
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("would be unusable") && said.out.contains("windrose undo orders --to file"), "{}", said.out);
    assert_ne!(node.cli(&["reload"]).code, 0);
}

#[test]
fn what_the_file_manages_operators_can_only_override_with_an_end() {
    let node = TestNode::start(&format!("{POOLS}{ORDERS}{MANAGED}"));
    let mut client = Client::new(node.dns);
    let text = std::fs::read_to_string(node.config()).expect("readable");
    let line = 1 + text.lines().position(|line| line.starts_with("policy")).expect("a policy");
    for arguments in [&["failover", "orders", "--to", "dr"][..], &["split", "orders", "prod=50", "dr=50"]] {
        let said = node.cli(arguments);
        assert_eq!(said.code, 5, "{said:?}");
        assert!(said.err.contains(&format!("windrose.toml:{line}:")), "the place to change: {}", said.err);
    }
    let etag = http::over_socket(&node.socket(), "GET", "/api/v1/services/orders/traffic", &[], "").expect("it answers").header("etag").map(str::to_string);
    let if_match = format!("If-Match: {}", etag.expect("an ETag"));
    let put = http::over_socket(&node.socket(), "PUT", "/api/v1/services/orders/traffic", &[&if_match], r#"{"policy": {"failover": ["dr", "prod"]}}"#)
        .expect("it answers");
    assert_eq!((put.status, put.json()["type"].as_str()), (409, Some("urn:windrose:problem:managed-elsewhere")), "{}", put.body);
    let endless = node.cli(&["drain", "pool", "prod"]);
    assert!(endless.code == 5 && endless.err.contains("--for"), "{endless:?}");
    node.ok(&["drain", "pool", "prod", "--for", "1h", "--reason", "kernel"]);
    assert_eq!(client.first(NAME), Some([192, 0, 2, 2].into()));
    assert_eq!(node.cli(&["extend", "o-1", "--forever"]).code, 5);
    assert!(node.ok(&["status"]).contains("managed by file"), "{}", node.ok(&["status"]));
}

#[test]
fn the_hash_of_the_configuration_is_the_same_in_check_status_metrics_and_dns() {
    let mut node = TestNode::prepare(&format!("{POOLS}{ORDERS}"));
    let text = std::fs::read_to_string(node.config()).expect("readable").replace("[dns]\n", "[dns]\nreveal = [\"config\"]\n");
    std::fs::write(node.config(), &text).expect("writable");
    node.launch();
    let config = node.config();
    let hash = |node: &TestNode| node.json(&["check", config.to_str().expect("UTF-8")])["hash"].as_str().expect("a hash").to_string();
    let first = hash(&node);
    let seen = |hash: &str| {
        assert!(node.ok(&["status"]).contains(&format!("config {hash}")));
        let metrics = http::over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("it answers").body;
        assert!(metrics.contains(&format!("windrose_config_info{{hash=\"{hash}\"}} 1")), "no {hash} in the metrics");
        let answer = chaos(&node, "config.windrose.");
        assert_eq!(answer.as_deref(), Ok(hash), "over DNS");
    };
    seen(&first);
    // A file that it names counts as much as itself.
    let zone = node.path("api.example.com.zone");
    std::fs::write(&zone, format!("{}; a comment\n", std::fs::read_to_string(&zone).expect("readable"))).expect("writable");
    let second = hash(&node);
    assert_ne!(first, second);
    let said = node.cli(&["plan"]);
    assert!(said.code == 3 && said.out.contains("differ in nothing that can be seen"), "{said:?}");
    node.ok(&["reload"]);
    seen(&second);
    std::fs::write(node.config(), text.replace("reveal = [\"config\"]", "reveal = [\"id\"]")).expect("writable");
    node.ok(&["reload"]);
    assert_eq!(chaos(&node, "config.windrose."), Err(ResponseCode::Refused));
}

#[test]
fn what_runs_is_shown_without_secrets() {
    let canary = "c2VjcmV0LWNhbmFyeS1vZi10aGUtcGxhbg==";
    let monitor = format!(
        "[monitor.web]\nurl = \"http://{{address}}:9/\"\nheaders = {{ Authorization = \"Bearer {canary}\" }}\n[key.transfer]\nalgorithm = \"hmac-sha256\"\nsecret = \"{canary}\"\n"
    );
    let node = TestNode::start(&format!("{POOLS}{ORDERS}{monitor}"));
    let config = http::over_socket(&node.socket(), "GET", "/api/v1/config", &[], "").expect("it answers");
    assert!(config.status == 200 && config.body.contains("\"web\"") && config.body.contains("transfer"), "{}", config.body);
    assert!(!config.body.contains(canary), "a secret is shown: {}", config.body);
    // Another secret is a change, and stays one.
    node.configure(&format!("{POOLS}{ORDERS}{}", monitor.replace("Bearer c2", "Bearer d2")));
    let said = node.cli(&["plan"]);
    assert!(said.code == 3 && said.out.contains("~ monitor web") && said.out.contains("(hidden)"), "{said:?}");
    assert!(!said.out.contains("ZWNyZXQt"), "{}", said.out);
}

/// TXT in class CH.
fn chaos(node: &TestNode, name: &str) -> Result<String, ResponseCode> {
    use hickory_proto::op::{Message, MessageType, OpCode, Query};
    use hickory_proto::rr::{DNSClass, Name, RData};
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    let mut question = Query::query(name.parse::<Name>().expect("a name"), RecordType::TXT);
    question.set_query_class(DNSClass::CH);
    query.add_query(question);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a timeout");
    socket.send_to(&query.to_vec().expect("it encodes"), node.dns).expect("sent");
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).expect("an answer");
    let answer = Message::from_vec(&buffer[..length]).expect("it decodes");
    match (answer.metadata.response_code, answer.answers.first().map(|record| &record.data)) {
        (ResponseCode::NoError, Some(RData::TXT(text))) => Ok(text.to_string()),
        (code, _) => Err(code),
    }
}
