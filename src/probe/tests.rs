//! Probes against good and bad peers on real sockets, and the prober as a whole.

pub mod dns;
mod doctor;
mod exec;
mod grpc;
mod http;
mod icmp;
mod outcomes;
mod tcp;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::health::{Outcome, Phase, ProbeReport, Reason};
use crate::metrics::ProbeMetrics;
use crate::model::{Check, Estate, Header, Host, HttpCheck, JudgementId, Monitor, MonitorId, Scheme, Secret, Target, TargetId, TcpCheck, Thresholds, TlsTerms};

use super::attempt::attempt;
use super::peers::{self, Authority, Peer, answering, answering_tls, endless, nobody, peer, response, silent};
use super::resolver::Resolver;
use super::tls::{Alpn, Session, Tls, Trust};
use super::{Permit, Probed, Prober};

/// Long enough for any peer that answers, also on a busy machine.
const AMPLE: Duration = Duration::from_secs(10);
/// For peers that don't.
const SHORT: Duration = Duration::from_millis(300);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(1);

const OK: &str = "<status>ok</status>";

fn monitor(check: Check, timeout: Duration) -> Monitor {
    Monitor { name: "gateway".to_string(), check, source: Default::default(), interval: Duration::from_secs(3_600), timeout, thresholds: Thresholds::default() }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_string(), value: Secret::new(value.to_string()), file: None }
}

fn http_check(port: u16) -> HttpCheck {
    HttpCheck { body: Some(OK.to_string()), ..HttpCheck::get(Scheme::Http, port, "/healthcheck") }
}

fn tls_of(monitor: &Monitor, trust: &Trust) -> Tls {
    monitor.check.tls().map_or_else(Tls::unused, |terms| Tls::new(terms, Alpn::of(&monitor.check), trust))
}

async fn probe(monitor: &Monitor, address: IpAddr, trust: &Trust, session: &Arc<Session>) -> ProbeReport {
    probe_over(monitor, address, &tls_of(monitor, trust), session).await
}

/// With the TLS of an earlier probe.
async fn probe_over(monitor: &Monitor, address: IpAddr, tls: &Tls, session: &Arc<Session>) -> ProbeReport {
    let started = Instant::now();
    let report = attempt(monitor, (&Host::Address(address), None), tls, session, &Resolver::start(Arc::default()), &Permit::default()).await;
    assert!(started.elapsed() <= monitor.timeout + SLACK, "deadline kept: {:?}", started.elapsed());
    assert!(report.took <= monitor.timeout + SLACK);
    let phases: Duration = report.phases.iter().map(|(_, took)| *took).sum();
    assert!(phases <= report.took + Duration::from_millis(1), "phases {phases:?} are parts of {:?}", report.took);
    report
}

async fn http(address: SocketAddr, timeout: Duration) -> ProbeReport {
    http_with(http_check(address.port()), address, timeout).await
}

async fn http_with(check: HttpCheck, address: SocketAddr, timeout: Duration) -> ProbeReport {
    probe(&monitor(Check::Http(check), timeout), address.ip(), &Trust::unused(), &Arc::default()).await
}

#[track_caller]
fn assert_fail(report: &ProbeReport, expect_reason: Reason, expect: &str) {
    match &report.outcome {
        Outcome::Fail { reason, message } => assert_eq!((*reason, message.as_str()), (expect_reason, expect)),
        other => panic!("{}; expected {expect}", other.word()),
    }
}

#[track_caller]
fn assert_pass(report: &ProbeReport) {
    assert_eq!(report.outcome, Outcome::Pass);
}

fn phases(report: &ProbeReport) -> Vec<Phase> {
    report.phases.iter().map(|(phase, _)| *phase).collect()
}

// ---- TCP ------------------------------------------------------------------------------------------

#[tokio::test]
async fn tcp_passes_when_accepted_and_tells_refusal() {
    let peer = silent().await;
    let report = probe(&monitor(Check::Tcp(TcpCheck::connect(peer.address.port())), AMPLE), peer.address.ip(), &Trust::unused(), &Arc::default()).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect]);

    let address = nobody().await;
    let report = probe(&monitor(Check::Tcp(TcpCheck::connect(address.port())), AMPLE), address.ip(), &Trust::unused(), &Arc::default()).await;
    assert_fail(&report, Reason::Refused, &format!("connection refused by {address}"));
}

#[tokio::test]
async fn a_full_backlog_is_a_timeout_while_connecting() {
    // Loopback never loses a SYN, except when nobody accepts and the queue of connections is full.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(SHORT, tokio::net::TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let report = probe(&monitor(Check::Tcp(TcpCheck::connect(address.port())), SHORT), address.ip(), &Trust::unused(), &Arc::default()).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while connecting to {address}"));
}

// ---- HTTP: good -----------------------------------------------------------------------------------

#[tokio::test]
async fn a_good_gateway_passes_with_status_and_phases() {
    let peer = answering(response("200 OK", OK)).await;
    let report = http(peer.address, AMPLE).await;
    assert_pass(&report);
    assert_eq!(report.status, Some(200));
    assert_eq!(report.certificate_expires, None);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Request, Phase::Body]);
    assert!(report.at.0 > 1_700_000_000_000);
}

#[tokio::test]
async fn the_request_is_a_plain_get_with_the_monitors_headers() {
    async fn sent(change: impl FnOnce(&mut HttpCheck)) -> (String, SocketAddr) {
        let (heard, mut requests) = mpsc::channel(1);
        let peer = peer(move |mut stream| {
            let heard = heard.clone();
            async move {
                heard.send(peers::request(&mut stream).await).await.unwrap();
                let _ = stream.write_all(response("204 No Content", "").as_bytes()).await;
            }
        })
        .await;
        let mut check = HttpCheck { body: None, ..http_check(peer.address.port()) };
        change(&mut check);
        assert_pass(&http_with(check, peer.address, AMPLE).await);
        (requests.recv().await.unwrap(), peer.address)
    }
    let version = env!("CARGO_PKG_VERSION");
    let (request, address) = sent(|check| check.path = "/a%20b?c=d".to_string()).await;
    assert_eq!(request, format!("GET /a%20b?c=d HTTP/1.1\r\nhost: {address}\r\nuser-agent: windrose/{version}\r\naccept: */*\r\nconnection: close\r\n\r\n"));
    let (request, _) = sent(|check| {
        check.host = Some("api.example.com".to_string());
        check.headers = [("X-Key", "s3cret"), ("User-Agent", "probe"), ("X-Key", "second")].map(|(name, value)| header(name, value)).to_vec();
    })
    .await;
    let lines: HashSet<_> = request.lines().collect();
    assert!(["host: api.example.com", "user-agent: probe", "x-key: s3cret", "x-key: second"].iter().all(|line| lines.contains(line)), "{request}");
    assert!(!request.contains("windrose"), "{request}");
}

#[tokio::test]
async fn a_header_that_can_not_be_sent_is_our_fault_and_its_value_stays_secret() {
    let peer = silent().await;
    let check = HttpCheck { headers: vec![header("X-Key", "s3cret\n")], ..http_check(peer.address.port()) };
    assert_fail(&http_with(check, peer.address, AMPLE).await, Reason::Internal, "this node could not probe: the header `X-Key` can't be sent");
}

#[tokio::test]
async fn http_1_0_and_chunked_responses_pass() {
    for good in [
        format!("HTTP/1.0 200 OK\r\n\r\n{OK}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{OK}"),
        // The text lies across two chunks.
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n <status>\r\nd\r\nok</status>  \r\n0\r\n\r\n".to_string(),
        format!("HTTP/1.1 100 Continue\r\n\r\n{}", response("200 OK", OK)),
    ] {
        let peer = answering(good.clone()).await;
        assert_eq!(http(peer.address, AMPLE).await.outcome, Outcome::Pass, "{good}");
    }
}

#[tokio::test]
async fn without_an_expected_text_the_body_is_not_waited_for() {
    let peer = endless("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", "", Duration::from_secs(60)).await;
    let report = http_with(HttpCheck { body: None, ..http_check(peer.address.port()) }, peer.address, AMPLE).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Request]);
}

#[tokio::test]
async fn the_text_counts_if_it_lies_in_the_first_64_kib_however_long_the_body_is() {
    for (before, passes) in [(64 * 1024 - OK.len(), true), (64 * 1024 - OK.len() + 1, false)] {
        let peer = endless("HTTP/1.1 200 OK\r\n\r\n", format!("{}{OK}{}", "x".repeat(before), "y".repeat(100_000)), Duration::ZERO).await;
        let report = http(peer.address, AMPLE).await;
        if passes {
            assert_pass(&report);
        } else {
            assert_fail(&report, Reason::Body, &format!("expected the first 64 KiB of the body to contain \"{OK}\", got \"{}…\"", "x".repeat(80)));
        }
    }
}

// ---- HTTP: bad ------------------------------------------------------------------------------------

#[tokio::test]
async fn wrong_statuses_and_bodies_are_told_as_expected_and_got() {
    for (bad, reason, message) in [
        (response("503 Service Unavailable", OK), Reason::Status, "expected status 200-299, got 503 Service Unavailable".to_string()),
        (
            "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n".to_string(),
            Reason::Status,
            "expected status 200-299, got 302 Found (location: /login)".to_string(),
        ),
        (response("200 OK", "<status>fail</status>"), Reason::Body, format!("expected the body to contain \"{OK}\", got \"<status>fail</status>\"")),
        (
            response("200 OK", "<!DOCTYPE html>\n<html><head><title>Please log in</title></head>\n<body><form action=\"/login\" method=\"post\">"),
            Reason::Body,
            format!("expected the body to contain \"{OK}\", got \"<!DOCTYPE html> <html><head><title>Please log in</title></head> <body><form acti…\""),
        ),
        (response("200 OK", ""), Reason::Body, format!("expected the body to contain \"{OK}\", got an empty one")),
    ] {
        let peer = answering(bad).await;
        let report = http(peer.address, AMPLE).await;
        assert_fail(&report, reason, &message);
        assert!(report.status.is_some());
    }
}

#[tokio::test]
async fn refused_says_so() {
    let address = nobody().await;
    let report = http(address, AMPLE).await;
    assert_fail(&report, Reason::Refused, &format!("connection refused by {address}"));
    assert_eq!((phases(&report), report.status), (vec![Phase::Connect], None));
}

#[tokio::test]
async fn silence_after_accept_is_a_timeout_while_waiting_for_the_response() {
    let peer = silent().await;
    let report = http(peer.address, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", peer.address));
    assert_eq!(phases(&report), [Phase::Connect, Phase::Request]);
}

#[tokio::test]
async fn one_byte_a_second_is_a_timeout_in_head_and_in_body() {
    let slow = Duration::from_secs(1);
    let head = endless("HTTP/1.1 200 OK\r\nx: ", "y", slow).await;
    assert_fail(&http(head.address, SHORT).await, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", head.address));
    let body = endless("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<sta", "t", slow).await;
    let report = http(body.address, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while reading the body from {}", body.address));
    assert_eq!((phases(&report), report.status), (vec![Phase::Connect, Phase::Request, Phase::Body], Some(200)));
}

#[tokio::test]
async fn resets_and_early_closes_say_where() {
    async fn dying(before: &'static str, reset: bool) -> Peer {
        peer(move |mut stream| async move {
            peers::request(&mut stream).await;
            let _ = stream.write_all(before.as_bytes()).await;
            if reset {
                stream.set_zero_linger().unwrap();
            }
        })
        .await
    }
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    for (before, reset, message) in [
        ("", true, "connection reset by {} while waiting for the response"),
        ("", false, "connection closed by {} before a whole response came"),
        ("HTTP/1.1 200 OK\r\nx: y", false, "connection closed by {} before a whole response came"),
        (HEAD, false, "connection closed by {} before the whole body came"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello", false, "connection closed by {} before the whole body came"),
    ] {
        let peer = dying(before, reset).await;
        assert_fail(&http(peer.address, AMPLE).await, Reason::Reset, &message.replace("{}", &peer.address.to_string()));
    }
    // A reset that overtakes the head is seen as one or the other.
    let peer = dying(HEAD, true).await;
    let Outcome::Fail { reason, message } = http(peer.address, AMPLE).await.outcome else { panic!("passed") };
    assert!(reason == Reason::Reset && message.starts_with(&format!("connection reset by {} while ", peer.address)), "{message}");
}

#[tokio::test]
async fn endless_headers_are_cut() {
    let limits = "expected an HTTP response, got a head beyond 32 KiB or 100 headers";
    for (begin, again) in [("HTTP/1.1 200 OK\r\n", "x: y\r\n"), ("HTTP/1.1 200 OK\r\nx: ", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")] {
        let peer = endless(begin, again.repeat(100), Duration::ZERO).await;
        assert_fail(&http(peer.address, AMPLE).await, Reason::Protocol, limits);
    }
}

#[tokio::test]
async fn an_endless_body_without_the_text_is_cut_after_64_kib() {
    let peer = endless("HTTP/1.1 200 OK\r\n\r\n", "nothing ".repeat(1000), Duration::ZERO).await;
    let got = "nothing ".repeat(10);
    assert_fail(&http(peer.address, AMPLE).await, Reason::Body, &format!("expected the first 64 KiB of the body to contain \"{OK}\", got \"{got}…\""));
}

#[tokio::test]
async fn chunk_bombs_do_no_harm() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (bomb, message) in [
        ("fffffffffffffffff\r\n", "expected a well-formed body, got: "),
        ("hello\r\n", "expected a well-formed body, got: "),
        ("1;xxxxxxxxxxxxxxx", "expected a well-formed body, got: "),
    ] {
        let peer = endless(HEAD, bomb.repeat(10_000), Duration::ZERO).await;
        let Outcome::Fail { reason: Reason::Protocol, message: got } = http(peer.address, AMPLE).await.outcome else { panic!("no protocol failure: {bomb}") };
        assert!(got.starts_with(message), "{got}");
    }
    let peer = endless(HEAD, "1\r\nx\r\n".repeat(10_000), Duration::ZERO).await;
    let message = format!("expected the first 64 KiB of the body to contain \"{OK}\", got \"{}…\"", "x".repeat(80));
    assert_fail(&http(peer.address, AMPLE).await, Reason::Body, &message);
}

#[tokio::test]
async fn what_is_not_http_is_quoted() {
    for (garbage, got) in [
        ("SSH-2.0-OpenSSH_9.2p1\r\n", "\"SSH-2.0-OpenSSH_9.2p1 \""),
        ("\u{1b}[2J\u{7}boo\r\n\r\n", "\"\u{fffd}[2J\u{fffd}boo \""),
        ("HTTP/1.1 banana\r\n\r\n", "\"HTTP/1.1 banana \""),
    ] {
        let peer = answering(garbage).await;
        assert_fail(&http(peer.address, AMPLE).await, Reason::Protocol, &format!("expected an HTTP/1.1 response, got {got}"));
    }
}

// ---- HTTPS ----------------------------------------------------------------------------------------

fn sni(name: &str) -> TlsTerms {
    TlsTerms { sni: Some(name.to_string()), ..TlsTerms::default() }
}

fn https_check(port: u16) -> HttpCheck {
    HttpCheck { scheme: Scheme::Https, host: Some("api.example.com".to_string()), ..http_check(port) }
}

async fn https(peer: &Peer, roots: RootCertStore) -> ProbeReport {
    https_with(https_check(peer.address.port()), peer, roots).await
}

async fn https_with(check: HttpCheck, peer: &Peer, roots: RootCertStore) -> ProbeReport {
    probe(&monitor(Check::Http(check), AMPLE), peer.address.ip(), &Trust::of(roots), &Arc::default()).await
}

async fn tls_peer(config: ServerConfig) -> Peer {
    answering_tls(Arc::new(Mutex::new(Arc::new(config))), response("200 OK", OK)).await.0
}

#[tokio::test]
async fn a_good_certificate_passes_and_its_end_is_told() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["api.example.com"], 2090).server()).await;
    let report = https(&peer, authority.roots()).await;
    assert_pass(&report);
    assert_eq!(report.certificate_expires.unwrap().to_string(), "2090-01-01T00:00:00.000Z");
    assert_eq!(phases(&report), [Phase::Connect, Phase::Tls, Phase::Request, Phase::Body]);
}

#[tokio::test]
async fn a_certificate_for_the_address_passes_without_a_name() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["127.0.0.1"], 2090).server()).await;
    assert_pass(&https_with(HttpCheck { host: None, ..https_check(peer.address.port()) }, &peer, authority.roots()).await);
    let report = https(&peer, authority.roots()).await;
    let Outcome::Fail { reason: Reason::Tls, message } = report.outcome else { panic!("{report:?}") };
    assert!(message.starts_with(&format!("expected a certificate for api.example.com from {}, got one for ", peer.address)), "{message}");
}

#[tokio::test]
async fn an_expired_certificate_fails_with_its_date() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["api.example.com"], 2021).server()).await;
    let report = https(&peer, authority.roots()).await;
    assert_fail(&report, Reason::Tls, &format!("certificate of api.example.com at {} expired on 2021-01-01", peer.address));
    assert_eq!(report.certificate_expires.unwrap().to_string(), "2021-01-01T00:00:00.000Z");
    assert_eq!(phases(&report), [Phase::Connect, Phase::Tls]);
}

#[tokio::test]
async fn a_certificate_of_another_name_fails_with_both_names() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["www.example.net", "*.example.org"], 2090).server()).await;
    let message = format!("expected a certificate for api.example.com from {}, got one for www.example.net, *.example.org", peer.address);
    assert_fail(&https(&peer, authority.roots()).await, Reason::Tls, &message);
    // With the right `sni` the same peer is good.
    assert_pass(&https_with(HttpCheck { tls: sni("www.example.net"), ..https_check(peer.address.port()) }, &peer, authority.roots()).await);
}

#[tokio::test]
async fn self_signed_and_foreign_certificates_have_an_unknown_issuer() {
    let authority = Authority::new();
    for identity in [peers::self_signed(&["api.example.com"]), Authority::named("somebody else").issue(&["api.example.com"], 2090)] {
        let peer = tls_peer(identity.server()).await;
        let message = format!("certificate of api.example.com at {} is of an unknown issuer: no authority that we trust has signed it", peer.address);
        assert_fail(&https(&peer, authority.roots()).await, Reason::Tls, &message);
    }
    let peer = tls_peer(Authority::new().issue(&["api.example.com"], 2090).server()).await;
    let message = format!("certificate of api.example.com at {} is not signed by the authority that it names", peer.address);
    assert_fail(&https(&peer, authority.roots()).await, Reason::Tls, &message);
}

#[tokio::test]
async fn a_tls_stall_is_a_timeout_during_the_handshake() {
    let peer = silent().await;
    let monitor = monitor(Check::Http(https_check(peer.address.port())), SHORT);
    let report = probe(&monitor, peer.address.ip(), &Trust::of(Authority::new().roots()), &Arc::default()).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms during the TLS handshake with {}", peer.address));
}

#[tokio::test]
async fn plain_http_closing_and_resetting_peers_fail_the_handshake() {
    let roots = Authority::new().roots();
    let plain = peer(|mut stream| async move {
        let _ = stream.write_all(response("400 Bad Request", "plain").as_bytes()).await;
        peers::until_closed(&mut stream).await;
    })
    .await;
    let report = https(&plain, roots.clone()).await;
    assert_fail(&report, Reason::Tls, &format!("TLS handshake with {} failed: expected TLS, got something else", plain.address));
    let closing = peer(|mut stream| async move {
        let mut hello = [0; 5];
        let _ = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut hello).await;
        let _ = stream.shutdown().await;
        peers::until_closed(&mut stream).await;
    })
    .await;
    assert_fail(&https(&closing, roots.clone()).await, Reason::Reset, &format!("connection closed by {} during the TLS handshake", closing.address));
    let resetting = peer(|mut stream| async move {
        let mut hello = [0; 5];
        let _ = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut hello).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_fail(&https(&resetting, roots).await, Reason::Reset, &format!("connection reset by {} during the TLS handshake", resetting.address));
}

#[tokio::test]
async fn a_peer_that_wants_a_client_certificate_says_so_after_the_handshake() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["api.example.com"], 2090).server_asking(Some(authority.roots()))).await;
    let report = https(&peer, authority.roots()).await;
    assert_fail(&report, Reason::Tls, &format!("TLS connection with {} failed: the peer asks for a client certificate", peer.address));
}

#[tokio::test]
async fn no_trust_at_all_is_our_fault() {
    let peer = silent().await;
    let monitor = monitor(Check::Http(https_check(peer.address.port())), AMPLE);
    let report = probe(&monitor, peer.address.ip(), &Trust::unused(), &Arc::default()).await;
    assert_fail(&report, Reason::Internal, "this node could not probe: trusted certificates are not loaded");
}

#[tokio::test]
async fn sessions_are_resumed_nine_times_and_never_after_a_failure() {
    use HandshakeKind::Resumed;
    let authority = Authority::new();
    let config = Arc::new(Mutex::new(Arc::new(authority.issue(&["api.example.com"], 2090).server())));
    let (peer, kinds) = answering_tls(config, response("200 OK", OK)).await;
    let session = Arc::default();
    let good = monitor(Check::Http(https_check(peer.address.port())), AMPLE);
    let tls = tls_of(&good, &Trust::of(authority.roots()));
    for _ in 0..12 {
        assert_pass(&probe_over(&good, peer.address.ip(), &tls, &session).await);
    }
    let seen: Vec<_> = kinds.lock().unwrap().iter().map(|kind| *kind == Resumed).collect();
    assert_eq!(seen, [false, true, true, true, true, true, true, true, true, true, false, true]);

    let bad = monitor(Check::Http(HttpCheck { status: vec![204..=204], ..https_check(peer.address.port()) }), AMPLE);
    assert_fail(&probe_over(&bad, peer.address.ip(), &tls, &session).await, Reason::Status, "expected status 204, got 200 OK");
    assert_pass(&probe_over(&good, peer.address.ip(), &tls, &session).await);
    assert_ne!(*kinds.lock().unwrap().last().unwrap(), Resumed);
}

#[tokio::test]
async fn a_bad_certificate_behind_a_resumable_session_is_found_and_stays_found() {
    let authority = Authority::new();
    let good = authority.issue(&["api.example.com"], 2090).server();
    let mut bad = authority.issue(&["www.example.net"], 2090).server();
    bad.session_storage = good.session_storage.clone();
    let config = Arc::new(Mutex::new(Arc::new(good)));
    let (peer, _) = answering_tls(config.clone(), response("200 OK", OK)).await;
    let session = Arc::default();
    let monitor = monitor(Check::Http(https_check(peer.address.port())), AMPLE);
    let tls = tls_of(&monitor, &Trust::of(authority.roots()));
    assert_pass(&probe_over(&monitor, peer.address.ip(), &tls, &session).await);
    *config.lock().unwrap() = Arc::new(bad);
    let mut passes = Vec::new();
    for _ in 0..15 {
        passes.push(probe_over(&monitor, peer.address.ip(), &tls, &session).await.outcome == Outcome::Pass);
    }
    let first_fail = passes.iter().position(|pass| !pass).unwrap();
    assert!(first_fail <= 9 && !passes[first_fail..].contains(&true), "{passes:?}");
}

// ---- the prober -----------------------------------------------------------------------------------

/// One TCP target per peer.
fn estate(interval: Duration, timeout: Duration, targets: &[(&str, SocketAddr)]) -> Arc<Estate> {
    let monitors = targets.iter().map(|(_, address)| Monitor {
        name: "m".to_string(),
        check: Check::Http(HttpCheck { body: None, ..http_check(address.port()) }),
        source: Default::default(),
        interval,
        timeout,
        thresholds: Thresholds::default(),
    });
    let rows = targets.iter().enumerate().map(|(at, (key, address))| Target {
        monitor: MonitorId::at(at),
        address: address.ip().into(),
        port: None,
        key: (*key).into(),
        judgement: JudgementId::at(at),
    });
    Arc::new(Estate { monitors: monitors.collect(), targets: rows.collect(), ..Estate::default() })
}

fn prober(capacity: usize, in_flight_max: usize) -> (Prober, mpsc::Receiver<Probed>) {
    let (sender, outcomes) = mpsc::channel(capacity);
    (Prober::start_with(sender, Arc::new(ProbeMetrics::default()), in_flight_max, Some(Trust::unused())), outcomes)
}

async fn next(outcomes: &mut mpsc::Receiver<Probed>) -> Probed {
    timeout(AMPLE, outcomes.recv()).await.expect("an outcome in time").expect("the prober lives")
}

#[tokio::test]
async fn a_hurried_plan_has_every_outcome_within_about_a_second_although_the_interval_is_an_hour() {
    let peer = answering(response("200 OK", "")).await;
    let keys: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    let targets: Vec<_> = keys.iter().map(|key| (key.as_str(), peer.address)).collect();
    let (prober, mut outcomes) = prober(64, 64);
    let started = Instant::now();
    prober.plan(7, estate(Duration::from_secs(3_600), AMPLE, &targets), true);
    let mut seen = HashSet::new();
    while seen.len() < 50 {
        let probed = next(&mut outcomes).await;
        assert_eq!((probed.plan, probed.report.outcome), (7, Outcome::Pass));
        assert!(seen.insert(probed.target), "one probe per target");
    }
    assert!(started.elapsed() < Duration::from_secs(1) + SLACK, "{:?}", started.elapsed());
    prober.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_the_probe_in_flight_under_its_new_id_and_ends_those_of_removed_targets() {
    let (silent_a, silent_b) = (silent().await, silent().await);
    let (prober, mut outcomes) = prober(64, 64);
    let (interval, timeout) = (Duration::from_secs(3_600), Duration::from_secs(2));
    prober.plan(1, estate(interval, timeout, &[("b", silent_b.address), ("a", silent_a.address)]), true);
    let deadline = Instant::now() + AMPLE;
    while silent_a.accepted() + silent_b.accepted() < 2 {
        assert!(Instant::now() < deadline, "both are being probed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    prober.plan(2, estate(interval, timeout, &[("a", silent_a.address)]), false);
    let Probed { plan, target, report } = next(&mut outcomes).await;
    assert_eq!((plan, target), (2, TargetId(0)));
    assert_fail(&report, Reason::Timeout, &format!("no answer within 2s while waiting for the response from {}", silent_a.address));
    assert_eq!(silent_a.accepted(), 1, "the probe in flight went on; no second one was started");
    prober.stop().await;
    assert_eq!(outcomes.recv().await, None, "nothing of the removed target");
}

#[tokio::test]
async fn removed_targets_are_probed_no_more() {
    let (kept, removed) = (answering(response("200 OK", "")).await, answering(response("200 OK", "")).await);
    let (prober, mut outcomes) = prober(64, 64);
    let interval = Duration::from_millis(20);
    prober.plan(1, estate(interval, interval / 2, &[("a", kept.address), ("b", removed.address)]), false);
    while next(&mut outcomes).await.target != TargetId(1) {}
    prober.plan(2, estate(interval, interval / 2, &[("a", kept.address)]), false);
    while next(&mut outcomes).await.plan != 2 {}
    let accepted = removed.accepted();
    for _ in 0..20 {
        let probed = next(&mut outcomes).await;
        assert_eq!((probed.plan, probed.target), (2, TargetId(0)));
    }
    assert!(removed.accepted() <= accepted + 1, "one may have been in the backlog");
    prober.stop().await;
}

#[tokio::test]
async fn a_target_whose_verdict_changed_is_looked_at_with_a_full_handshake() {
    let authority = Authority::new();
    let config = Arc::new(Mutex::new(Arc::new(authority.issue(&["api.example.com"], 2090).server())));
    let (peer, kinds) = answering_tls(config, response("200 OK", OK)).await;
    let interval = Duration::from_millis(100);
    let mut tls_estate = (*estate(interval, AMPLE, &[("a", peer.address)])).clone();
    tls_estate.monitors[0].check = Check::Http(https_check(peer.address.port()));
    let (sender, mut outcomes) = mpsc::channel(64);
    let prober = Prober::start_with(sender, Arc::new(ProbeMetrics::default()), 64, Some(Trust::of(authority.roots())));
    prober.plan(1, Arc::new(tls_estate), true);
    for _ in 0..3 {
        assert_pass(&next(&mut outcomes).await.report);
    }
    assert_eq!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed);
    prober.distrust(0, TargetId(0));
    assert_pass(&next(&mut outcomes).await.report);
    assert_eq!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed, "a verdict of another plan says nothing");
    prober.distrust(1, TargetId(0));
    assert_pass(&next(&mut outcomes).await.report);
    assert_ne!(*kinds.lock().unwrap().last().unwrap(), HandshakeKind::Resumed);
    prober.stop().await;
}

#[tokio::test]
async fn a_full_outcome_channel_slows_probing_and_loses_nothing() {
    let peer = answering(response("200 OK", "")).await;
    let (prober, mut outcomes) = prober(1, 64);
    prober.plan(1, estate(Duration::from_millis(10), AMPLE, &[("a", peer.address)]), false);
    let deadline = Instant::now() + AMPLE;
    while peer.accepted() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Twenty intervals: one outcome lies in the channel, the next one waits, its target is in flight.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(peer.accepted(), 2);
    for _ in 0..30 {
        assert_eq!(next(&mut outcomes).await.report.outcome, Outcome::Pass);
    }
    assert!((30..=32).contains(&peer.accepted()), "{}", peer.accepted());
    // Stopping does not wait for the receiver.
    timeout(AMPLE, prober.stop()).await.unwrap();
}

#[tokio::test]
async fn no_more_probes_run_at_once_than_allowed_and_all_get_their_turn() {
    let peer = silent().await;
    let keys: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let targets: Vec<_> = keys.iter().map(|key| (key.as_str(), peer.address)).collect();
    let (prober, mut outcomes) = prober(64, 3);
    prober.plan(1, estate(Duration::from_millis(250), Duration::from_millis(100), &targets), false);
    let mut probes: HashMap<TargetId, usize> = HashMap::new();
    while probes.len() < 20 || probes.values().any(|count| *count < 2) {
        *probes.entry(next(&mut outcomes).await.target).or_default() += 1;
    }
    // A connection that we reset may still be open at the peer for a moment.
    assert!(peer.open_max.load(Ordering::SeqCst) <= 6, "{:?}", peer.open_max);
    let (least, most) = (probes.values().min().unwrap(), probes.values().max().unwrap());
    assert!(most - least <= 4, "fair: {probes:?}");
    prober.stop().await;
}

#[test]
fn stop_and_drop_leave_no_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Accepted by the kernel's backlog, answered by nobody.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime.block_on(async {
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for stop in [true, false] {
            let (prober, outcomes) = prober(4, 64);
            prober.plan(1, estate(Duration::from_secs(60), Duration::from_secs(50), &[("a", address), ("b", address), ("c", address)]), true);
            let deadline = Instant::now() + AMPLE;
            while alive() < 5 {
                assert!(Instant::now() < deadline, "scheduler, resolver and three probes");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if stop {
                prober.stop().await;
                // A task counts as alive for the instant between its end and its removal.
                assert!(alive() <= 2, "scheduler and resolver end last");
            } else {
                drop(prober);
            }
            while alive() > 0 {
                assert!(Instant::now() < deadline, "all gone");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(outcomes);
        }
    });
}

#[tokio::test]
async fn the_prober_ends_when_nobody_takes_outcomes() {
    let peer = answering(response("200 OK", "")).await;
    let (mut prober, outcomes) = prober(1, 64);
    prober.plan(1, estate(Duration::from_millis(10), AMPLE, &[("a", peer.address)]), false);
    drop(outcomes);
    timeout(AMPLE, &mut prober.task).await.unwrap().unwrap();
}
