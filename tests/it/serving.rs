//! How the daemon starts, refuses to start, answers real DNS tools and ends; and what `check` says before.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::dns::{Client, addresses};
use super::http::over_socket;
use super::node::{PATIENCE, Said, TestNode, binary, run, tool, wait_for};

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1", "2001:db8::1"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.2", "2001:db8::2"]
[service.orders]
name = "orders.api.example.com"
ttl = "7s"
policy = { failover = ["prod", "dr"] }
"#;

const TRAFFIC: &str = "/api/v1/services/orders/traffic";

/// Replaces text in the configuration; what is replaced must be there.
fn edit(node: &TestNode, from: &str, to: &str) {
    let text = std::fs::read_to_string(node.config()).expect("written");
    assert!(text.contains(from), "`{from}` is not in\n{text}");
    std::fs::write(node.config(), text.replace(from, to)).expect("writable");
}

/// `serve` that must end by itself, and soon.
fn refused(node: &TestNode, arguments: &[&str]) -> Said {
    let mut child = Command::new(binary())
        .arg("serve")
        .arg("--config")
        .arg(node.config())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("ours") {
            Some(status) => break status,
            None if deadline < Instant::now() => {
                child.kill().expect("ours");
                panic!("it serves instead of refusing: {:?}", child.wait_with_output());
            }
            None => std::thread::park_timeout(Duration::from_millis(20)),
        }
    };
    let output = child.wait_with_output().expect("ended");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn check(node: &TestNode) -> Said {
    run(Command::new(binary()).arg("check").arg("--config").arg(node.config()))
}

#[test]
fn a_second_server_on_the_same_store_is_refused() {
    let node = TestNode::start(SERVICES);
    let other = TestNode::prepare(SERVICES);
    edit(&other, &other.path("store").display().to_string(), &node.path("store").display().to_string());
    let said = refused(&other, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("in use by another process") && said.err.contains(&node.path("store").display().to_string()), "{said:?}");
    // Nothing of it was there for a moment: not its DNS port, and the first one serves and writes on.
    assert!(UdpSocket::bind(other.dns).is_ok());
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "x"]);
    assert_eq!(Client::new(node.dns).first("orders.api.example.com."), Some([192, 0, 2, 2].into()));
}

#[test]
fn a_second_server_never_shares_a_dns_port_whatever_its_store() {
    let node = TestNode::start(SERVICES);
    for listen in [node.dns.to_string(), format!("0.0.0.0:{}", node.dns.port())] {
        let other = TestNode::prepare(&SERVICES.replace("192.0.2.1", "192.0.2.66"));
        edit(&other, &format!("[\"{}\"]", other.dns), &format!("[\"{listen}\"]"));
        let end = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (dns, until) = (node.dns, end.clone());
        let asker = std::thread::spawn(move || {
            let mut asked = 0;
            while !until.load(std::sync::atomic::Ordering::Relaxed) {
                // New sockets: SO_REUSEPORT spreads by the client's port.
                assert_eq!(Client::new(dns).first("orders.api.example.com."), Some([192, 0, 2, 1].into()), "query {asked}");
                asked += 1;
            }
            asked
        });
        let said = refused(&other, &[]);
        end.store(true, std::sync::atomic::Ordering::Relaxed);
        let asked = asker.join().expect("every query was answered by the first");
        assert!(10 < asked, "{asked}");
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(&format!("port {}", node.dns.port())) && said.err.contains("dns.listen"), "{said:?}");
    }
}

#[test]
fn a_taken_admin_port_and_socket_are_named() {
    let node = TestNode::start(SERVICES);
    let other = TestNode::prepare(SERVICES);
    edit(&other, &format!("listen = \"{}\"", other.admin), &format!("listen = \"{}\"", node.admin));
    let said = refused(&other, &[]);
    assert!(said.code == 1 && said.err.contains("[admin] listen") && said.err.contains(&node.admin.to_string()), "{said:?}");
    let other = TestNode::prepare(SERVICES);
    edit(&other, &other.socket().display().to_string(), &node.socket().display().to_string());
    let said = refused(&other, &[]);
    assert!(said.code == 1 && said.err.contains(&node.socket().display().to_string()), "{said:?}");
    node.ok(&["status"]);
}

#[test]
fn a_damaged_store_refuses_and_names_the_way_to_serve_without_it() {
    let mut node = TestNode::start(SERVICES);
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "x"]);
    node.stop();
    let files: Vec<PathBuf> =
        std::fs::read_dir(node.path("store")).expect("a folder").flatten().map(|file| file.path()).filter(|path| path.is_file()).collect();
    let store = files.iter().max_by_key(|path| path.metadata().map(|data| data.len()).unwrap_or(0)).expect("a file").clone();
    let whole = std::fs::read(&store).expect("readable");
    let scribbled = {
        let mut bytes = whole.clone();
        bytes.iter_mut().skip(64).for_each(|octet| *octet ^= 0x5a);
        bytes
    };
    for (what, bytes) in
        [("text", b"this is no store\n".repeat(1000)), ("half of it", whole[..whole.len() / 2].to_vec()), ("noise", scribbled), ("nothing", Vec::new())]
    {
        std::fs::write(&store, &bytes).expect("writable");
        let said = refused(&node, &[]);
        assert_eq!(said.code, 1, "{what}: {said:?}");
        assert!(said.err.contains("--without-store") && said.err.contains(&store.display().to_string()), "{what}: {said:?}");
        assert_eq!(std::fs::read(&store).expect("readable"), bytes, "{what}: left as it was, for whoever restores it");
    }
    node.launch_with(&["--without-store"]);
    assert_eq!(Client::new(node.dns).first("orders.api.example.com."), Some([192, 0, 2, 1].into()), "the file's policy");
    for (method, path, body) in [
        ("PUT", TRAFFIC, r#"{"policy": {"failover": ["dr", "prod"]}}"#),
        ("POST", "/api/v1/overrides", r#"{"kind": "drain", "target": {"pool": "prod"}, "expires_in": "1h"}"#),
        ("POST", "/api/v1/tokens", r#"{"name": "x", "scope": "read"}"#),
    ] {
        let refused = over_socket(&node.socket(), method, path, &["If-Match: *"], body).expect("an answer");
        assert_eq!(refused.status, 503, "{path}: {}", refused.body);
        assert!(refused.json()["type"].as_str().is_some_and(|kind| kind.ends_with("store-unavailable")), "{}", refused.body);
    }
    assert_eq!(Client::new(node.dns).first("orders.api.example.com."), Some([192, 0, 2, 1].into()));
    node.stop();
    // Restored, everything is there again.
    std::fs::write(&store, whole).expect("writable");
    node.launch();
    assert_eq!(Client::new(node.dns).first("orders.api.example.com."), Some([192, 0, 2, 2].into()));
}

#[test]
fn a_store_folder_that_can_not_be_written_is_named() {
    let node = TestNode::prepare(SERVICES);
    // Below a file: not even root can make a folder there.
    let path = node.path("windrose.toml").join("store");
    edit(&node, &node.path("store").display().to_string(), &path.display().to_string());
    let said = refused(&node, &[]);
    assert!(said.code == 1 && said.err.contains(&path.display().to_string()), "{said:?}");
    assert!(UdpSocket::bind(node.dns).is_ok(), "port 53 was never bound");
}

#[test]
fn check_prints_derived_numbers_and_warnings() {
    let node = TestNode::prepare(
        r#"
[monitor.gateway]
url = "http://{address}:8080/healthcheck"
interval = "5s"
timeout = "2s"
down_after = 3
[pool.prod]
monitor = "gateway"
endpoints = ["192.0.2.1", "192.0.2.3", "2001:db8::1"]
[pool.dr]
monitor = "gateway"
endpoints = ["192.0.2.2", "192.0.2.4"]
[service.orders]
name = ["orders.api.example.com", "orders-eu.api.example.com"]
ttl = "30s"
policy = { failover = ["prod", "dr"] }
[service.lonely]
name = "lonely.api.example.com"
policy = { failover = ["dr"] }
"#,
    );
    let said = check(&node);
    assert_eq!(said.code, 0, "{said:?}");
    for part in ["api.example.com", "3 names", "5 targets", "1.0 probes per second", "17s", "47s"] {
        assert!(said.out.contains(part), "`{part}` in {}", said.out);
    }
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("lonely") && all.contains("IPv6"), "warnings: one pool; families differ: {all}");
    assert!(!node.path("store").exists(), "check touches nothing");
}

#[test]
fn check_lists_every_problem_at_once_with_place_and_help() {
    let node = TestNode::prepare(
        r#"notify = true
[monitor.gateway]
url = "http://{address}:8080/healthcheck"
intervall = "5s"
interval = "1s"
timeout = "2s"
[pool.prod]
monitor = "gatway"
endpoints = ["192.0.2.1"]
[service.orders]
name = "orders.example.org"
policy = { weighted = { prod = 80, dr = 30 } }
[service.static]
name = "static.api.example.com"
policy = { failover = ["prod"] }
"#,
    );
    let zone = std::fs::read_to_string(node.path("api.example.com.zone")).expect("written");
    std::fs::write(node.path("api.example.com.zone"), format!("{zone}broken IN A 192.0.2.999\n")).expect("writable");
    let said = check(&node);
    assert_eq!(said.code, 2, "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    for part in ["did you mean `interval`?", "timeout", "did you mean `gateway`?", "`dr`", "not supported yet", "api.example.com.zone:8:"] {
        assert!(all.contains(part), "`{part}` in\n{all}");
    }
    assert!(6 <= all.matches("windrose.toml:").count() + all.matches(".zone:").count(), "{all}");
    let serve = refused(&node, &[]);
    assert_eq!(serve.code, 2, "serve says the same: {serve:?}");
    assert!(serve.err.contains("did you mean `gateway`?"));
    let gone = run(Command::new(binary()).args(["check", "--config", "/nowhere/windrose.toml"]));
    assert!(gone.code == 2 && gone.err.contains("/nowhere/windrose.toml"), "{gone:?}");
}

const ZONE_MORE: &str = "\
*.wild   IN TXT  \"any\"
a.ent    IN A    192.0.2.90
chain    IN CNAME alias
sub      IN NS   ns1.sub
ns1.sub  IN A    192.0.2.53
";

/// dig's output.
fn dig(node: &TestNode, arguments: &str) -> String {
    let said = run(Command::new("dig").args(["@127.0.0.1", "-p", &node.dns.port().to_string(), "+tries=1", "+time=3", "+nostats"]).args(arguments.split(' ')));
    assert_eq!(said.code, 0, "dig {arguments}: {said:?}");
    assert!(!said.out.contains("WARNING") && !said.out.contains("Warning"), "dig {arguments} warns:\n{}", said.out);
    said.out
}

/// dig's output without runs of blanks.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn dig_gets_what_the_zone_and_the_services_say() {
    if !tool("dig") {
        return;
    }
    let mut node = TestNode::prepare(SERVICES);
    let zone = std::fs::read_to_string(node.path("api.example.com.zone")).expect("written");
    let many: String = (0..40).map(|number| format!("big IN TXT \"{number:050}\"\n")).collect();
    std::fs::write(node.path("api.example.com.zone"), format!("{zone}{ZONE_MORE}{many}")).expect("writable");
    node.launch();
    let table = [
        ("orders.api.example.com A", "NOERROR", "orders.api.example.com. 7 IN A 192.0.2.1"),
        ("orders.api.example.com AAAA", "NOERROR", "orders.api.example.com. 7 IN AAAA 2001:db8::1"),
        ("orders.api.example.com TXT", "NOERROR", "AUTHORITY: 1"),
        ("static.api.example.com A", "NOERROR", "static.api.example.com. 3600 IN A 192.0.2.80"),
        ("static.api.example.com TXT", "NOERROR", "\"static\""),
        ("chain.api.example.com A", "NOERROR", "alias.api.example.com. 3600 IN CNAME static.api.example.com. static.api.example.com. 3600 IN A 192.0.2.80"),
        ("x.y.wild.api.example.com TXT", "NOERROR", "x.y.wild.api.example.com. 3600 IN TXT \"any\""),
        ("ent.api.example.com A", "NOERROR", "ANSWER: 0, AUTHORITY: 1"),
        ("nobody.api.example.com A", "NXDOMAIN", "api.example.com. 5 IN SOA"),
        ("api.example.com SOA", "NOERROR", "2026112101"),
        ("example.org A", "REFUSED", "ANSWER: 0, AUTHORITY: 0"),
    ];
    for transport in ["+notcp", "+tcp", "+noedns", "+bufsize=4096"] {
        for (query, rcode, part) in table {
            let text = plain(&dig(&node, &format!("+norecurse {transport} {query}")));
            assert!(text.contains(&format!("status: {rcode}")) && text.contains(part), "{transport} {query} wants {rcode}, {part}:\n{text}");
            assert_eq!(text.contains("flags: qr aa"), rcode != "REFUSED", "{transport} {query}: AA\n{text}");
            assert_eq!(text.contains("EDNS: version: 0"), transport != "+noedns", "{transport} {query}: OPT answers OPT alone\n{text}");
        }
        let referral = plain(&dig(&node, &format!("+norecurse {transport} host.sub.api.example.com A")));
        assert!(referral.contains("flags: qr;") && referral.contains("ANSWER: 0, AUTHORITY: 1"), "{referral}");
        assert!(
            referral.contains("sub.api.example.com. 3600 IN NS ns1.sub.api.example.com.") && referral.contains("ns1.sub.api.example.com. 3600 IN A 192.0.2.53"),
            "{referral}"
        );
    }
    // Too large for UDP: TC, and dig comes back over TCP by itself.
    let cut = plain(&dig(&node, "+norecurse +ignore +bufsize=512 big.api.example.com TXT"));
    assert!(cut.contains("flags: qr aa tc"), "{cut}");
    let whole = dig(&node, "+norecurse +bufsize=512 big.api.example.com TXT");
    assert!(whole.contains("Truncated, retrying in TCP mode") && whole.contains("ANSWER: 40"), "{whole}");
    let largest = plain(&dig(&node, "+norecurse +ignore +bufsize=4096 big.api.example.com TXT"));
    assert!(largest.contains("flags: qr aa tc"), "never above 1232: {largest}");
    // Client subnet, 0x20, unknown EDNS version.
    let subnet = dig(&node, "+norecurse +subnet=203.0.113.0/24 orders.api.example.com A");
    assert!(subnet.contains("CLIENT-SUBNET: 203.0.113.0/24/0"), "{subnet}");
    let mixed = dig(&node, "+norecurse oRdErS.aPi.ExAmPlE.cOm A");
    assert!(mixed.contains("oRdErS.aPi.ExAmPlE.cOm.\t") && mixed.contains("192.0.2.1"), "the question's case comes back: {mixed}");
    let version = plain(&dig(&node, "+norecurse +edns=1 +noednsnegotiation orders.api.example.com A"));
    assert!(version.contains("status: BADVERS"), "{version}");
    let cookie = dig(&node, "+norecurse +cookie +nsid +ednsopt=65001:abcd orders.api.example.com A");
    assert!(cookie.contains("192.0.2.1"), "unknown options are ignored: {cookie}");
}

#[test]
fn ipv6_and_a_wildcard_bind_answer_from_the_address_that_was_asked() {
    let mut node = TestNode::prepare(SERVICES);
    let port = node.dns.port();
    let v6 = UdpSocket::bind("[::1]:0").is_ok();
    let listen = if v6 { format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]") } else { format!("[\"0.0.0.0:{port}\"]") };
    edit(&node, &format!("[\"{}\"]", node.dns), &listen);
    node.launch();
    // Connected sockets: the system drops a response that comes from another address.
    for address in ["127.0.0.1", "127.3.4.5", "127.255.255.254"] {
        let mut client = Client::new(SocketAddr::new(address.parse().expect("an address"), port));
        for _ in 0..20 {
            assert_eq!(client.first("orders.api.example.com."), Some([192, 0, 2, 1].into()), "from {address}");
        }
    }
    if !v6 {
        println!("skipped: this host has no ::1");
        return;
    }
    let socket = UdpSocket::bind("[::1]:0").expect("a socket");
    socket.connect(("::1", port)).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    socket.send(&Client::query(7, "orders.api.example.com.", RecordType::AAAA)).expect("sent");
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).expect("an answer over IPv6");
    let message = Message::from_vec(&buffer[..length]).expect("parses");
    assert_eq!(addresses(&message), ["2001:db8::1".parse::<IpAddr>().expect("an address")]);
    assert_eq!(over_tcp(SocketAddr::new("::1".parse().expect("an address"), port), &[9])[0].metadata.id, 9);
}

/// Queries with these ids in one write; all responses, in the order in which they came.
fn over_tcp(server: SocketAddr, ids: &[u16]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server).expect("accepted");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let mut all = Vec::new();
    for id in ids {
        let query = Client::query(*id, if id % 2 == 0 { "orders.api.example.com." } else { "static.api.example.com." }, RecordType::A);
        all.extend(u16::try_from(query.len()).expect("small").to_be_bytes());
        all.extend(query);
    }
    // In two parts, cut inside a length.
    let (head, tail) = all.split_at(1);
    stream.write_all(head).expect("written");
    stream.flush().expect("written");
    stream.write_all(tail).expect("written");
    ids.iter()
        .map(|_| {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a response");
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).expect("a whole response");
            Message::from_vec(&bytes).expect("parses")
        })
        .collect()
}

#[test]
fn tcp_takes_many_queries_in_one_connection() {
    let node = TestNode::start(SERVICES);
    let ids: Vec<u16> = (100..300).collect();
    let responses = over_tcp(node.dns, &ids);
    let mut seen: Vec<u16> = responses.iter().map(|response| response.metadata.id).collect();
    seen.sort_unstable();
    assert_eq!(seen, ids, "every query once");
    for response in responses {
        let wanted = if response.metadata.id % 2 == 0 { "192.0.2.1" } else { "192.0.2.80" };
        assert_eq!(addresses(&response), [wanted.parse::<IpAddr>().expect("an address")], "{response}");
    }
    if tool("kdig") {
        let port = node.dns.port().to_string();
        let said =
            run(Command::new("kdig").args(["@127.0.0.1", "-p", &port, "+tcp", "+keepopen", "orders.api.example.com", "A", "static.api.example.com", "A"]));
        assert!(said.code == 0 && said.out.contains("192.0.2.1") && said.out.contains("192.0.2.80"), "{said:?}");
    }
}

#[test]
fn names_come_from_a_file_and_the_most_specific_zone_answers() {
    let mut node = TestNode::prepare(&format!(
        "{SERVICES}[service.many]\nnames_file = \"names.txt\"\npolicy = {{ failover = [\"dr\"] }}\n[zone.\"eu.api.example.com\"]\nfile = \"eu.zone\"\n"
    ));
    let names: String = (0..5_000).map(|number| format!("svc-{number}.api.example.com\n")).collect();
    std::fs::write(node.path("names.txt"), format!("# tenants\n\n{names}svc-0.eu.api.example.com\n")).expect("writable");
    let zone = "$TTL 60\n@ IN SOA ns1 hostmaster 7 1h 15m 1w 9s\n@ IN NS ns1\nns1 IN A 127.0.0.1\nstatic IN A 192.0.2.99\n";
    std::fs::write(node.path("eu.zone"), zone).expect("writable");
    node.launch();
    let mut client = Client::new(node.dns);
    for name in ["svc-0", "svc-2500", "svc-4999", "svc-0.eu"] {
        assert_eq!(client.first(&format!("{name}.api.example.com.")), Some([192, 0, 2, 2].into()), "{name}");
    }
    assert_eq!(client.first("static.api.example.com."), Some([192, 0, 2, 80].into()));
    assert_eq!(client.first("static.eu.api.example.com."), Some([192, 0, 2, 99].into()));
    for (name, apex) in [("svc-5000.api.example.com.", "api.example.com."), ("svc-1.eu.api.example.com.", "eu.api.example.com.")] {
        let response = client.ask(name, RecordType::A).expect("an answer");
        assert_eq!(response.metadata.response_code, ResponseCode::NXDomain, "{name}");
        assert_eq!(response.authorities[0].name.to_string(), apex, "the zone that says no");
    }
    let zones = over_socket(&node.socket(), "GET", "/api/v1/zones", &[], "").expect("an answer").json();
    assert_eq!(zones["items"].as_array().map(Vec::len), Some(2), "{zones}");
}

#[test]
fn sigterm_ends_it_cleanly_within_five_seconds_whoever_is_connected() {
    let mut node = TestNode::start(SERVICES);
    node.ok(&["failover", "orders", "--to", "dr", "--reason", "x"]);
    // Idle clients of every kind, and one that is busy.
    let mut dns = TcpStream::connect(node.dns).expect("accepted");
    dns.write_all(&[0]).expect("written");
    let mut admin = TcpStream::connect(node.admin).expect("accepted");
    admin.write_all(b"GET /api/v1/overview HTTP/1.1\r\nHost: loc").expect("written");
    let _socket = std::os::unix::net::UnixStream::connect(node.socket()).expect("accepted");
    let address = node.dns;
    let busy = std::thread::spawn(move || {
        let mut client = Client::with_timeout(address, Duration::from_millis(300));
        let mut answered = 0;
        while client.first("orders.api.example.com.").is_some() {
            answered += 1;
        }
        answered
    });
    std::thread::park_timeout(Duration::from_millis(100));
    let began = Instant::now();
    node.stop();
    let took = began.elapsed();
    println!("measured: SIGTERM to the end {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(0 < busy.join().expect("it ran"));
    assert!(!node.socket().exists(), "the socket's file goes with it");
    wait_for("the port to be free", PATIENCE, || UdpSocket::bind(node.dns).ok());
    node.launch();
    assert_eq!(Client::new(node.dns).first("orders.api.example.com."), Some([192, 0, 2, 2].into()));
}
