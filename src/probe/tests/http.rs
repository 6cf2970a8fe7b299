//! HTTP details: methods, patterns, JSON, other ports, source addresses, secrets.

use bytes::Bytes;
use tokio_rustls::TlsAcceptor;

use crate::model::{HttpVersion, JsonTest, Method, Pattern};

use super::*;

fn pattern(text: &str) -> impl Fn(&mut HttpCheck) {
    let pattern = Pattern::parse(text).unwrap();
    move |check| check.body_regex = Some(pattern.clone())
}

fn json(text: &str) -> impl Fn(&mut HttpCheck) {
    let test = JsonTest::parse(text).unwrap();
    move |check| check.json = vec![test.clone()]
}

async fn judged(change: impl Fn(&mut HttpCheck), peer: &Peer, deadline: Duration) -> ProbeReport {
    let mut check = HttpCheck::get(Scheme::Http, peer.address.port(), "/");
    change(&mut check);
    http_with(check, peer.address, deadline).await
}

#[tokio::test]
async fn each_method_is_sent_and_a_head_has_no_body_to_wait_for() {
    for method in Method::ALL {
        let (heard, mut requests) = mpsc::channel(1);
        let peer = peer(move |mut stream| {
            let heard = heard.clone();
            async move {
                heard.send(peers::request(&mut stream).await).await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
                peers::until_closed(&mut stream).await;
            }
        })
        .await;
        assert_pass(&judged(|check| check.method = method, &peer, AMPLE).await);
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with(&format!("{} / HTTP/1.1\r\n", method.word())), "{request}");
    }
}

#[tokio::test]
async fn a_pattern_is_matched_against_the_whole_body() {
    let peer = answering(response("200 OK", "state: UP\nload: 0.35\n")).await;
    assert_pass(&judged(pattern(r"(?im)^state: (up|ready)$"), &peer, AMPLE).await);
    assert_pass(&judged(pattern(r"0\.35\n\z"), &peer, AMPLE).await);
    let report = judged(pattern(r"^load"), &peer, AMPLE).await;
    assert_fail(&report, Reason::Body, "expected the body to match /^load/, got \"state: UP load: 0.35 \"");
    assert_eq!(report.status, Some(200));
    let empty = answering(response("200 OK", "")).await;
    assert_fail(&judged(pattern("x"), &empty, AMPLE).await, Reason::Body, "expected the body to match /x/, got an empty one");
    // One octet at a time does not make it slower than linear, and an endless body ends at 64 KiB.
    let endless = endless("HTTP/1.1 200 OK\r\n\r\n", "a".repeat(1000), Duration::ZERO).await;
    let report = judged(pattern("(a*)*(a*)*(a*)*b"), &endless, AMPLE).await;
    assert_fail(&report, Reason::Body, &format!("expected the first 64 KiB of the body to match /(a*)*(a*)*(a*)*b/, got \"{}…\"", "a".repeat(80)));
}

#[tokio::test]
async fn a_json_body_is_compared_and_neither_a_page_nor_a_bomb_passes() {
    let peer = answering(response("200 OK", r#"{"lag_seconds": 31, "nodes": [{"state": "ok"}]}"#)).await;
    assert_pass(&judged(json("$.nodes[0].state == \"ok\""), &peer, AMPLE).await);
    assert_fail(&judged(json("$.lag_seconds <= 30"), &peer, AMPLE).await, Reason::Body, "expected $.lag_seconds <= 30 in the body, got 31");
    let page = answering(response("200 OK", "<html>")).await;
    let Outcome::Fail { reason: Reason::Body, message } = judged(json("$.a == 1"), &page, AMPLE).await.outcome else { panic!("a page passed") };
    assert!(message.starts_with("expected a JSON body, got \"<html>\""), "{message}");
    let bomb = endless("HTTP/1.1 200 OK\r\n\r\n", "[".repeat(1000), Duration::ZERO).await;
    let report = judged(json("$.a == 1"), &bomb, AMPLE).await;
    assert_fail(&report, Reason::Body, "expected a JSON body of at most 64 KiB, got a longer one");
    let stalled = endless("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", "", Duration::from_secs(60)).await;
    let report = judged(json("$.a == 1"), &stalled, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while reading the body from {}", stalled.address));
}

#[tokio::test]
async fn a_target_may_have_a_port_of_its_own_and_probes_a_source_address() {
    let (heard, mut requests) = mpsc::channel(1);
    let peer = peer(move |mut stream| {
        let heard = heard.clone();
        async move {
            let from = stream.peer_addr().unwrap();
            heard.send((from.ip(), peers::request(&mut stream).await)).await.unwrap();
            let _ = stream.write_all(response("200 OK", OK).as_bytes()).await;
        }
    })
    .await;
    let mut monitor = monitor(Check::Http(http_check(1)), AMPLE);
    monitor.source.v4 = Some("127.0.0.9".parse().unwrap());
    let to = (&Host::Address(peer.address.ip()), Some(peer.address.port()));
    let resolver = Resolver::start(Arc::default());
    let report = attempt(&monitor, to, &Tls::unused(), &Arc::default(), &resolver, &Permit::default()).await;
    assert_pass(&report);
    let (from, request) = requests.recv().await.unwrap();
    assert_eq!(from.to_string(), "127.0.0.9");
    assert!(request.contains(&format!("host: {}\r\n", peer.address)), "{request}");

    monitor.source.v4 = Some("192.0.2.1".parse().unwrap());
    let report = attempt(&monitor, to, &Tls::unused(), &Arc::default(), &resolver, &Permit::default()).await;
    let ours = "this node could not probe: no free local port or address (Cannot assign requested address)";
    assert_fail(&report, Reason::Internal, ours);
}

#[tokio::test]
async fn a_credential_is_in_no_report_whatever_goes_wrong() {
    let echo = peer(|mut stream| async move {
        let request = peers::request(&mut stream).await;
        assert!(request.contains("authorization: Bearer t0ken\r\n"), "{request}");
        let _ = stream.write_all(response("403 Forbidden", "no").as_bytes()).await;
    })
    .await;
    let secret = |check: &mut HttpCheck| check.headers = vec![header("Authorization", "Bearer t0ken")];
    let report = judged(secret, &echo, AMPLE).await;
    assert_fail(&report, Reason::Status, "expected status 200-299, got 403 Forbidden");
    let mut check = http_check(80);
    secret(&mut check);
    assert!(!format!("{report:?} {check:?}").contains("t0ken"));
}

/// A server of both versions, which speaks what was agreed on; `protocols`: what it agrees on.
async fn two_versions(authority: &Authority, protocols: &[&[u8]], pieces: usize) -> Peer {
    let mut config = authority.issue(&["api.example.com"], 2090).server();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    peer(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return peers::answer(stream, response("200 OK", OK).into_bytes().into()).await;
            }
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri().to_string(), "https://api.example.com/healthcheck");
                assert!(!request.headers().contains_key("host") && !request.headers().contains_key("connection"));
                let head = hyper::Response::builder().status(200).body(()).unwrap();
                let mut stream = respond.send_response(head, false).unwrap();
                tokio::spawn(async move {
                    for _ in 0..pieces {
                        if stream.send_data(Bytes::from(vec![b'x'; 1000]), false).is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                    let _ = stream.send_data(Bytes::from_static(OK.as_bytes()), true);
                });
            }
        }
    })
    .await
}

#[tokio::test]
async fn http_2_is_spoken_when_asked_for_and_agreed_on() {
    let authority = Authority::new();
    let judged = async |peer: &Peer, version| https_with(HttpCheck { version, ..https_check(peer.address.port()) }, peer, authority.roots()).await;
    let both = two_versions(&authority, &[b"h2", b"http/1.1"], 3).await;
    for version in HttpVersion::ALL {
        let report = judged(&both, version).await;
        assert_pass(&report);
        assert_eq!(phases(&report), [Phase::Connect, Phase::Tls, Phase::Request, Phase::Body]);
        assert_eq!(report.status, Some(200));
    }
    let old = two_versions(&authority, &[b"http/1.1"], 0).await;
    assert_pass(&judged(&old, HttpVersion::Auto).await);
    let message = format!("TLS handshake with {} failed: the peer does not speak the version of HTTP that was asked for", old.address);
    assert_fail(&judged(&old, HttpVersion::Two).await, Reason::Tls, &message);
    let mute = two_versions(&authority, &[], 0).await;
    assert_pass(&judged(&mute, HttpVersion::Auto).await);
    let message = format!("expected HTTP/2 from {}, but it does not choose a protocol (ALPN)", mute.address);
    assert_fail(&judged(&mute, HttpVersion::Two).await, Reason::Protocol, &message);
}

#[tokio::test]
async fn over_http_2_too_a_body_is_cut_after_64_kib() {
    let authority = Authority::new();
    for (pieces, passes) in [(60, true), (70, false)] {
        let peer = two_versions(&authority, &[b"h2"], pieces).await;
        let check = HttpCheck { version: HttpVersion::Two, ..https_check(peer.address.port()) };
        let report = https_with(check, &peer, authority.roots()).await;
        assert_eq!(report.outcome == Outcome::Pass, passes, "{report:?}");
        if !passes {
            let message = format!("expected the first 64 KiB of the body to contain \"{OK}\", got \"{}…\"", "x".repeat(80));
            assert_fail(&report, Reason::Body, &message);
        }
    }
}
