//! Probes that somebody looks at: the outcome is any probe's, and what was seen is noted within bounds.

use crate::health::Examination;
use crate::model::{GrpcCheck, Host, ProbeRules};
use crate::probe::doctor::examine;

use super::*;

async fn look(check: Check, peer: SocketAddr, timeout: Duration) -> Examination {
    let seen = examine(&monitor(check, timeout), (&Host::Address(peer.ip()), Some(peer.port())), Arc::default(), &Resolver::start(Arc::default()), None).await;
    assert!(seen.report.took <= timeout + SLACK, "deadline kept: {:?}", seen.report.took);
    seen
}

#[tokio::test]
async fn a_body_that_is_only_shown_changes_no_outcome_and_is_not_waited_for_long() {
    let endless_body = endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 8_192], Duration::ZERO).await;
    let plain = HttpCheck::get(Scheme::Http, 0, "/");
    let seen = look(Check::Http(plain.clone()), endless_body.address, AMPLE).await;
    assert_pass(&seen.report);
    let body = seen.detail.body.unwrap();
    assert_eq!(body.text.len(), 256);
    assert!(body.read <= 64 * 1024, "{} octets", body.read);

    // The status has been seen; what never comes after it is no timeout.
    let stalled = endless("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\n", Vec::new(), SHORT).await;
    let seen = look(Check::Http(plain), stalled.address, SHORT).await;
    assert_fail(&seen.report, Reason::Status, "expected status 200-299, got 503 Service Unavailable");
    assert_eq!(seen.detail.head, ["HTTP/1.1 503 Service Unavailable", "content-length: 9"]);
    assert_eq!(seen.detail.body, None);
}

#[tokio::test]
async fn an_endless_head_is_bounded_and_a_connection_that_is_not_made_shows_only_what_was_expected() {
    let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", (0..90).map(|at| format!("x-{at}: {}\r\n", "y".repeat(300))).collect::<String>());
    let peer = answering(head).await;
    let seen = look(Check::Http(HttpCheck::get(Scheme::Http, 0, "/")), peer.address, AMPLE).await;
    assert_eq!(seen.detail.head.len(), 40);
    assert!(seen.detail.head.iter().all(|line| line.chars().count() <= 301));

    let seen = look(Check::Http(http_check(0)), nobody().await, AMPLE).await;
    assert!(matches!(seen.report.outcome, Outcome::Fail { reason: Reason::Refused, .. }));
    assert_eq!((seen.detail.expected.len(), seen.detail.peer, seen.detail.sent.len()), (2, None, 0));
}

#[tokio::test]
async fn what_a_tcp_peer_says_is_shown_and_what_it_was_sent_is_not() {
    let peer = peer(|mut stream| async move {
        let _ = stream.write_all(b"-ERR invalid password\r\n").await;
        peers::until_closed(&mut stream).await;
    })
    .await;
    let check = TcpCheck { send: Some("AUTH s3cret\r\n".into()), expect: Some("+OK".into()), port: 0 };
    let seen = look(Check::Tcp(check), peer.address, SHORT).await;
    assert_eq!(seen.detail.sent, ["13 octets"]);
    assert_eq!(seen.detail.body.unwrap().text, "-ERR invalid password\n");
}

#[tokio::test]
async fn a_refused_certificate_is_shown_and_a_full_handshake_is_made_each_time() {
    let authority = Authority::new();
    let config = Arc::new(Mutex::new(Arc::new(authority.issue(&["api.example.com"], 2090).server())));
    let (peer, kinds) = answering_tls(config, response("200 OK", OK)).await;
    let check = |name: &str| Check::Http(HttpCheck { host: Some(name.into()), ..HttpCheck::get(Scheme::Https, peer.address.port(), "/") });
    for name in ["api.example.com", "api.example.com", "www.example.com"] {
        let seen = examine(
            &monitor(check(name), AMPLE),
            (&Host::Address(peer.address.ip()), None),
            Arc::default(),
            &Resolver::start(Arc::default()),
            Some(Trust::of(authority.roots())),
        )
        .await;
        let tls = seen.detail.tls.unwrap();
        assert_eq!((tls.name.as_str(), tls.chain[0].names.as_slice()), (name, &["api.example.com".to_string()][..]));
        assert_eq!((tls.protocol.as_deref() == Some("TLS 1.3"), seen.report.outcome == Outcome::Pass), (name.starts_with("api"), name.starts_with("api")));
    }
    let full = |kind: &HandshakeKind| matches!(kind, HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest);
    assert!(kinds.lock().unwrap().iter().all(full));
}

#[tokio::test]
async fn every_kind_asks_before_it_connects() {
    let peer: SocketAddr = "169.254.169.254:80".parse().unwrap();
    let dns = crate::model::DnsCheck {
        port: 53,
        name: "example.com".parse().unwrap(),
        record_type: (1, "A".to_string()),
        rcode: crate::wire::Rcode::NoError,
        address: None,
    };
    for check in [
        Check::Tcp(TcpCheck::connect(80)),
        Check::Http(HttpCheck::get(Scheme::Http, 80, "/")),
        Check::Http(HttpCheck::get(Scheme::Https, 80, "/")),
        Check::Tls(crate::model::TlsCheck { port: 80, tls: TlsTerms::default() }),
        Check::Grpc(GrpcCheck { port: 80, service: String::new(), host: None, tls: None }),
        Check::Dns(dns),
        Check::Icmp,
        Check::Exec(exec::nothing()),
    ] {
        let permit = Permit(Arc::new(ProbeRules::default()));
        let monitor = monitor(check, SHORT);
        let report = attempt(
            &monitor,
            (&Host::Address(peer.ip()), Some(peer.port())),
            &tls_of(&monitor, &Trust::unused()),
            &Arc::default(),
            &Resolver::start(Arc::default()),
            &permit,
        )
        .await;
        let port = if monitor.check == Check::Icmp { "" } else { ":80" };
        let said = "it is the address of a cloud's metadata service (allowed by [probe] allow = [\"169.254.169.254\"])";
        assert_fail(&report, Reason::Internal, &format!("this node does not probe 169.254.169.254{port}: {said}"));
    }
}
