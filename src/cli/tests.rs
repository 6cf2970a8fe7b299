//! Commands against a fake admin API on a unix socket, and a fake DNS server: what is asked, what is said, how it ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::testing::{Asked, FakeApi, overview, reply};
use super::*;
use crate::admin::api::{Fault, Problem, ProblemKind};

/// What a command printed, and how it ended.
struct Said {
    out: String,
    err: String,
    exit: u8,
}

async fn windrose(api: &FakeApi, line: &[&str]) -> Said {
    let socket = api.socket().display().to_string();
    let words = [&["windrose", "--socket", &socket], line].concat();
    let Invocation::Client(invocation) = sorted(Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line:?}: {error}"))) else {
        panic!("not a client's")
    };
    let ClientInvocation { global, command } = *invocation;
    match execute(&global, &command, Paint::PLAIN, &|_| None).await {
        Ok(report) => {
            let (out, err) = report.streams(global.output == Output::Json, global.quiet);
            Said { out, err, exit: report.exit as u8 }
        }
        Err(failure) => Said { out: String::new(), err: failure.text(is_writing(&command), Paint::PLAIN), exit: failure.exit() as u8 },
    }
}

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

fn problem(kind: ProblemKind, detail: &str) -> (u16, Value) {
    (kind.status(), json_of(&Problem::new(kind, detail)))
}

/// `search` at revision 42 with 80/20; changes succeed.
fn search(asked: &Asked) -> (u16, Value) {
    let path = asked.target.split('?').next().unwrap_or_default();
    match (asked.method.as_str(), path) {
        ("GET", "/api/v1/overview") => (200, json_of(&overview())),
        ("GET", "/api/v1/services/search/traffic") => {
            let mut traffic = json_of(&overview().services[1].traffic);
            traffic["policy"] = json!({"weighted": {"prod": 80, "dr": 20}});
            (200, traffic)
        }
        ("PUT", "/api/v1/services/search/traffic") | ("POST", "/api/v1/services/search/failover" | "/api/v1/services/search/undo") => {
            (200, json_of(&reply(asked.target.contains("dry_run=true"))))
        }
        _ => problem(ProblemKind::NotFound, "there is no such path"),
    }
}

#[tokio::test]
async fn split_writes_the_edited_policy_under_the_version_it_saw() {
    let api = FakeApi::start(search);
    let said = windrose(&api, &["split", "search", "dr=50", "prod=50", "--reason", "CHG-1234"]).await;
    assert_eq!((said.exit, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("search: weighted prod 50%, dr 50% (revision 43)\n"), "{}", said.out);
    let put = api.asked().pop().unwrap();
    assert_eq!((put.method.as_str(), put.target.as_str(), put.if_match.as_deref()), ("PUT", "/api/v1/services/search/traffic", Some("\"42-abc\"")));
    assert_eq!(put.body, json!({"policy": {"weighted": {"prod": 50, "dr": 50}}, "reason": "CHG-1234"}));
}

#[tokio::test]
async fn a_dry_run_says_so_to_the_server_and_the_reader() {
    let api = FakeApi::start(search);
    let said = windrose(&api, &["split", "search", "dr=50", "prod=50", "--dry-run"]).await;
    assert!(said.exit == 0 && said.out.contains("dry run: nothing changed."), "{}", said.out);
    assert!(api.asked().pop().unwrap().target.ends_with("?dry_run=true"));
}

#[tokio::test]
async fn split_lists_missing_and_unknown_pools_without_writing() {
    let api = FakeApi::start(search);
    let said = windrose(&api, &["split", "search", "prod=50", "drr=50"]).await;
    assert_eq!(said.exit, 2);
    assert!(said.err.contains("`drr`") && said.err.contains("did you mean `dr`") && said.err.contains("nothing changed."), "{}", said.err);
    assert!(api.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn if_revision_is_a_conflict_before_anything_is_written() {
    let api = FakeApi::start(search);
    let said = windrose(&api, &["failover", "search", "--if-revision", "41"]).await;
    assert_eq!(said.exit, 4);
    assert!(said.err.contains("is at revision 42, not 41, by token:ci: CHG-1201"), "{}", said.err);
    assert!(api.asked().iter().all(|asked| asked.method == "GET"));
    let said = windrose(&api, &["failover", "search", "--if-revision", "42"]).await;
    assert_eq!(said.exit, 0, "{}", said.err);
    assert_eq!(api.asked().pop().unwrap().if_match.as_deref(), Some("\"42-abc\""));
}

#[tokio::test]
async fn failover_and_undo_say_where_to() {
    let api = FakeApi::start(search);
    windrose(&api, &["failover", "search", "--to", "dr", "--reason", "drill"]).await;
    assert_eq!(api.asked().pop().unwrap().body, json!({"to": "dr", "reason": "drill"}));
    for (to, sent) in [("file", json!("file")), ("42", json!(42))] {
        let said = windrose(&api, &["undo", "search", "--to", to]).await;
        assert_eq!(said.exit, 0, "{}", said.err);
        assert_eq!(api.asked().pop().unwrap().body["to"], sent);
    }
}

#[tokio::test]
async fn json_is_what_the_api_said_and_stands_alone() {
    let api = FakeApi::start(search);
    let said = windrose(&api, &["failover", "search", "-o", "json"]).await;
    assert_eq!((serde_json::from_str::<Value>(&said.out).unwrap(), said.err.as_str()), (json_of(&reply(false)), ""));
    let said = windrose(&api, &["status", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), json_of(&overview()));
}

#[tokio::test]
async fn a_refusal_shows_every_fault_and_its_exit_code() {
    let api = FakeApi::start(|asked: &Asked| {
        let mut refused = Problem::new(ProblemKind::TargetNotUp, "`dr` can't take the traffic");
        let fault =
            |message: &str, hint: &str| Fault { code: "x".into(), pointer: "/to".into(), message: message.into(), hint: hint.into(), ..Fault::default() };
        refused.errors =
            vec![fault("dr is down: timeout", "repair it, or windrose force-up pool dr"), fault("dr is drained (o-3)", "windrose undrain pool dr")];
        if asked.method == "POST" { (409, json_of(&refused)) } else { problem(ProblemKind::NotFound, "") }
    });
    let said = windrose(&api, &["failover", "search", "--to", "dr"]).await;
    assert_eq!(said.exit, 5);
    for part in ["refused: `dr` can't take the traffic", "/to  dr is down: timeout", "→ windrose undrain pool dr", "nothing changed.", "exit 5"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
}

#[tokio::test]
async fn status_can_be_a_condition() {
    let api = FakeApi::start(search);
    assert_eq!(windrose(&api, &["status"]).await.exit, 0);
    let said = windrose(&api, &["status", "--exit-code"]).await;
    assert_eq!(said.exit, 3);
    assert!(said.out.contains("search/eu is down"), "{}", said.out);
}

#[tokio::test]
async fn health_goes_by_exit_code() {
    let ready = FakeApi::start(|asked: &Asked| (if asked.target == "/readyz" { 200 } else { 404 }, json!({"ready": true, "reasons": []})));
    assert_eq!(windrose(&ready, &["health"]).await.exit, 0);
    let waiting = FakeApi::start(|_: &Asked| (503, json!({"ready": false, "reasons": ["first probes are not over"]})));
    let said = windrose(&waiting, &["health"]).await;
    assert!(said.exit == 3 && said.out.contains("first probes are not over"), "{}", said.out);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_exit_6_with_a_way_on() {
    let api = FakeApi::start(search);
    let absent = windrose(&api, &["status", "--socket", "/nonexistent/admin.sock"]).await;
    assert_eq!(absent.exit, 6);
    assert!(
        absent.err.contains("/nonexistent/admin.sock") && absent.err.contains("windrose serve") && !absent.err.contains("nothing changed"),
        "{}",
        absent.err
    );
}

#[tokio::test]
async fn undrain_ends_the_drain_of_this_target_and_names_others() {
    let drain = |id: &str, target: &str| json!({"id": id, "kind": "drain", "target": target, "services": [], "actor": "anna", "reason": "", "at": "2026-11-21T11:00:00Z", "ends": null, "matched": true});
    let list = json!({"items": [drain("o-1", "region/prod"), drain("o-2", "pool/dr")], "next_cursor": null, "revision": 7});
    let api = FakeApi::start(move |asked: &Asked| match asked.method.as_str() {
        "GET" => (200, list.clone()),
        _ => (200, json_of(&reply(false))),
    });
    let said = windrose(&api, &["undrain", "region", "prod", "--reason", "done & well"]).await;
    assert!(said.exit == 0 && said.out.starts_with("region/prod: drain ended (o-1)\n"), "{}", said.out);
    let asked = api.asked().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("DELETE", "/api/v1/overrides/o-1?reason=done+%26+well"));
    let said = windrose(&api, &["undrain", "region", "dr"]).await;
    assert_eq!(said.exit, 1);
    assert!(said.err.contains("windrose undrain pool dr"), "{}", said.err);
    assert_eq!(windrose(&api, &["unforce", "region", "prod"]).await.exit, 1);
}

#[tokio::test]
async fn drain_sends_target_services_and_end() {
    let api = FakeApi::start(|_: &Asked| {
        let mut reply = json_of(&reply(false));
        reply["override"] = json!({"id": "o-12", "kind": "drain", "target": "endpoint/prod/a", "services": ["orders"], "actor": "anna", "reason": "kernel",
                                   "at": "2026-11-21T12:00:03Z", "ends": "2026-11-21T14:00:03Z", "matched": true});
        (200, reply)
    });
    let said = windrose(&api, &["drain", "endpoint", "prod/a", "--for", "2h", "--service", "orders", "--reason", "kernel"]).await;
    assert!(said.out.starts_with("endpoint/prod/a drained for orders until 14:00:03 UTC (o-12): 1 service affected\n"), "{}", said.out);
    let body = api.asked().pop().unwrap().body;
    assert_eq!(body, json!({"kind": "drain", "target": {"endpoint": "prod/a"}, "services": ["orders"], "expires_in": "2h", "reason": "kernel"}));
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let zone = |name: &str| json!({"name": name, "serial": 1, "records": 3, "services": []});
    let api = FakeApi::start(move |asked: &Asked| match asked.target.split_once("cursor=") {
        None => (200, json!({"items": [zone("a.test")], "next_cursor": "2", "revision": 1})),
        Some(_) => (200, json!({"items": [zone("b.test")], "next_cursor": null, "revision": 1})),
    });
    let said = windrose(&api, &["get", "zones"]).await;
    assert_eq!(said.out, "ZONE    SERIAL  RECORDS  SERVICES\na.test       1        3\nb.test       1        3\n");
    let said = windrose(&api, &["get", "zones", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (2, &Value::Null));
}

#[tokio::test]
async fn a_tokens_secret_stands_alone_on_stdout() {
    let api = FakeApi::start(|_: &Asked| (201, json!({"id": "t1", "name": "ci", "scope": "operate", "token": "wr_secret", "ends": null})));
    let said = windrose(&api, &["token", "create", "ci", "--for", "90d"]).await;
    assert_eq!((said.exit, said.out.as_str()), (0, "wr_secret\n"));
    assert!(!said.err.contains("wr_secret") && said.err.contains("windrose token revoke ci"), "{}", said.err);
    let body = api.asked().pop().unwrap().body;
    assert_eq!((&body["name"], &body["scope"]), (&json!("ci"), &json!("operate")));
}

/// Answers A queries: the first `prod` of every ten with 192.0.2.1, the others with 192.0.2.2. Every `lossy`-th packet is dropped once.
async fn fake_dns(prod: u64, lossy: Option<u64>) -> std::net::SocketAddr {
    use hickory_proto::op::{Message, MessageType};
    use hickory_proto::rr::{RData, Record, rdata::A};
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut seen, mut buffer) = (0u64, [0; 1024]);
        let mut answered = 0u64;
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            seen += 1;
            if lossy.is_some_and(|every| seen.is_multiple_of(every)) {
                continue;
            }
            let mut response = Message::from_vec(&buffer[..length]).unwrap();
            response.metadata.message_type = MessageType::Response;
            response.metadata.authoritative = true;
            let data = if answered % 10 < prod { A::new(192, 0, 2, 1) } else { A::new(192, 0, 2, 2) };
            answered += 1;
            let name = response.queries[0].name().clone();
            response.add_answer(Record::from_rdata(name, 20, RData::A(data)));
            socket.send_to(&response.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

fn decision(asked: &Asked) -> (u16, Value) {
    let leaf = |pool: &str, share: u32, address: &str| json!({"pools": [pool], "share": share, "rung": "policy", "endpoints": [{"id": format!("{pool}/a"), "address": address}]});
    if !asked.target.starts_with("/api/v1/explain?name=search.api.example.com&type=A") {
        return problem(ProblemKind::NotFound, &asked.target);
    }
    let leaves = [leaf("prod", 80, "192.0.2.1"), leaf("dr", 20, "192.0.2.2")];
    (200, json!({"name": "search.api.example.com", "type": "A", "service": "search", "steps": [], "distribution": leaves, "ttl": 20, "verdict": "answer"}))
}

#[tokio::test]
async fn a_thousand_queries_show_the_split_and_that_it_fits() {
    let (api, dns) = (FakeApi::start(decision), fake_dns(8, None).await.to_string());
    let said = windrose(&api, &["query", "search.api.example.com", "-n", "1000", "--server-dns", &dns]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "prod  192.0.2.1  800  ████████████████░░░░  80.0 %  wanted 80.0 %", "{}", said.out);
    assert_eq!(lines[1], "dr    192.0.2.2  200  ████░░░░░░░░░░░░░░░░  20.0 %  wanted 20.0 %", "{}", said.out);
    assert!(lines[2].starts_with("1000 answers in ") && lines[2].contains("NOERROR 1000, ttl 20.") && lines[2].contains("✔ fits the setting"), "{}", said.out);
}

#[tokio::test]
async fn a_split_that_does_not_fit_is_told_and_can_be_a_condition() {
    let (api, dns) = (FakeApi::start(decision), fake_dns(7, None).await.to_string());
    let said = windrose(&api, &["query", "search.api.example.com", "-n", "1000", "--server-dns", &dns, "--exit-code"]).await;
    assert!(said.exit == 3 && said.out.contains("✖ does not fit the setting: 10.0 points off"), "{}", said.out);
    let said = windrose(&api, &["query", "search.api.example.com", "-n", "1000", "--server-dns", &dns, "-o", "json"]).await;
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&value["fits"], &value["split"][0]["pools"], &value["split"][0]["count"]), (&json!(false), &json!(["prod"]), &json!(700)));
}

#[tokio::test]
async fn lost_packets_are_asked_again_and_a_missing_api_shows_addresses() {
    let (api, dns) = (FakeApi::start(decision), fake_dns(8, Some(50)).await.to_string());
    let line = ["query", "search.api.example.com", "-n", "100", "--server-dns", &dns, "--timeout", "600ms", "--socket", "/nonexistent/admin.sock"];
    let said = windrose(&api, &line).await;
    assert_eq!(said.exit, 0, "{}", said.err);
    assert!(
        said.out.contains("192.0.2.1") && said.out.contains("100 answers in") && !said.out.contains("lost") && !said.out.contains("wanted"),
        "{}",
        said.out
    );
    assert!(said.err.contains("addresses are shown"), "{}", said.err);
}

#[tokio::test]
async fn one_query_prints_records_and_silence_is_exit_6() {
    let (api, dns) = (FakeApi::start(decision), fake_dns(8, None).await);
    let said = windrose(&api, &["query", "search.api.example.com", "--server-dns", &dns.to_string()]).await;
    assert_eq!(said.out, "search.api.example.com.  20  A  192.0.2.1\n");
    assert_eq!(lookup(dns, "search.api.example.com").await.unwrap(), [std::net::IpAddr::from([192, 0, 2, 1])]);
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for count in ["1", "100"] {
        let line = ["query", "search.api.example.com", "-n", count, "--server-dns", &address, "--timeout", "300ms"];
        let asking = windrose(&api, &line);
        let said = tokio::time::timeout(Duration::from_secs(10), asking).await.unwrap();
        assert_eq!(said.exit, 6, "{}", said.err);
    }
}

#[test]
fn check_of_a_missing_file_is_a_usage_error() {
    let report = check(Path::new("/nonexistent/windrose.toml")).unwrap();
    assert_eq!(report.exit, Exit::Usage);
    assert!(report.note.contains("/nonexistent/windrose.toml"), "{}", report.note);
}
