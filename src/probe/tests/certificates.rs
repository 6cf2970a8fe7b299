//! HTTPS: certificates, handshakes that stall or break, sessions that are resumed.

use super::*;

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
