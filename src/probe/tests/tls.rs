//! The kind `tls`, and the terms that https shares with it.

use crate::model::{CaFile, ClientIdentity, Secret, TlsCheck, Verify};

use super::*;

fn named() -> TlsTerms {
    sni("api.example.com")
}

async fn shake(terms: TlsTerms, peer: &Peer, trust: &Trust) -> ProbeReport {
    let check = Check::Tls(TlsCheck { port: peer.address.port(), tls: terms });
    probe(&monitor(check, AMPLE), peer.address.ip(), trust, &Arc::default()).await
}

fn days(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count * 86_400))
}

#[tokio::test]
async fn a_handshake_is_all_that_tls_asks() {
    let authority = Authority::new();
    let good = tls_peer(authority.issue(&["api.example.com"], 2090).server()).await;
    let trust = Trust::of(authority.roots());
    let report = shake(named(), &good, &trust).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Tls]);
    assert_eq!(report.certificate_expires.unwrap().to_string(), "2090-01-01T00:00:00.000Z");
    let message = format!("expected a certificate for www.example.com from {}, got one for api.example.com", good.address);
    assert_fail(&shake(sni("www.example.com"), &good, &trust).await, Reason::Tls, &message);
    let plain = answering(response("200 OK", "")).await;
    let Outcome::Fail { reason, .. } =
        probe(&monitor(Check::Tls(TlsCheck { port: plain.address.port(), tls: named() }), SHORT), plain.address.ip(), &trust, &Arc::default()).await.outcome
    else {
        panic!("plain HTTP passed for TLS")
    };
    assert!(matches!(reason, Reason::Tls | Reason::Timeout), "{reason:?}");
}

#[tokio::test]
async fn an_own_authority_is_trusted_instead_of_the_systems() {
    let (ours, theirs) = (Authority::new(), Authority::named("the system's"));
    let peer = tls_peer(ours.issue(&["api.example.com"], 2090).server()).await;
    let ca = |authority: &Authority| TlsTerms { ca: Some(Arc::new(CaFile { file: "ca.pem".to_string(), certificates: vec![authority.der()] })), ..named() };
    let trust = Trust::of(theirs.roots());
    assert_pass(&shake(ca(&ours), &peer, &trust).await);
    let message = format!("certificate of api.example.com at {} is of an unknown issuer: no authority that we trust has signed it", peer.address);
    assert_fail(&shake(named(), &peer, &trust).await, Reason::Tls, &message);
    assert_fail(&shake(ca(&theirs), &peer, &Trust::of(ours.roots())).await, Reason::Tls, &message);
}

#[tokio::test]
async fn expiry_only_takes_any_name_and_issuer_and_no_expired_certificate_and_none_takes_that_too() {
    let foreign = tls_peer(peers::self_signed(&["www.example.net"]).server()).await;
    let expired = tls_peer(Authority::new().issue(&["api.example.com"], 2021).server()).await;
    let verify = |verify| TlsTerms { verify, ..named() };
    let trust = Trust::unused();
    assert_pass(&shake(verify(Verify::ExpiryOnly), &foreign, &trust).await);
    assert_pass(&shake(verify(Verify::Nothing), &foreign, &trust).await);
    let message = format!("certificate of api.example.com at {} expired on 2021-01-01", expired.address);
    assert_fail(&shake(verify(Verify::ExpiryOnly), &expired, &trust).await, Reason::Tls, &message);
    let report = shake(verify(Verify::Nothing), &expired, &trust).await;
    assert_pass(&report);
    assert_eq!(report.certificate_expires.unwrap().to_string(), "2021-01-01T00:00:00.000Z", "told all the same");
}

/// An impostor shows a certificate that it has no key for.
#[tokio::test]
async fn without_verification_the_peer_must_still_have_the_certificates_key() {
    let (shown, owned) = (peers::self_signed(&["api.example.com"]), peers::self_signed(&["api.example.com"]));
    let peer = tls_peer(shown.server_with_the_key_of(&owned)).await;
    let report = shake(TlsTerms { verify: Verify::Nothing, ..named() }, &peer, &Trust::unused()).await;
    assert!(matches!(report.outcome, Outcome::Fail { reason: Reason::Tls, .. }), "{report:?}");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_warns_and_fails_only_if_asked() {
    let authority = Authority::new();
    let peer = tls_peer(authority.issue(&["api.example.com"], 2090).server()).await;
    let trust = Trust::of(authority.roots());
    let terms = |expires_within, expiry_down| TlsTerms { expires_within, expiry_down, ..named() };
    let calm = shake(terms(days(14), true), &peer, &trust).await;
    assert_pass(&calm);
    assert_eq!(calm.warning, None);
    let soon = format!("certificate of api.example.com at {} expires on 2090-01-01, which is within 36500days", peer.address);
    let warned = shake(terms(days(36_500), false), &peer, &trust).await;
    assert_pass(&warned);
    assert_eq!(warned.warning.as_deref().map(|text| text.split(", which").next()), Some(soon.split(", which").next()));
    let Outcome::Fail { reason: Reason::Tls, message } = shake(terms(days(36_500), true), &peer, &trust).await.outcome else { panic!("passed") };
    assert_eq!(Some(message), warned.warning, "one sentence for both");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks_and_a_foreign_one_is_refused() {
    let (clients, others) = (Authority::named("of clients"), Authority::named("of others"));
    let servers = Authority::new();
    let trust = Trust::of(servers.roots());
    let identity = servers.issue(&["api.example.com"], 2090);
    let own = |authority: &Authority| {
        let (certificate, key) = authority.issue(&["probe.example.com"], 2090).into_parts();
        let identity = ClientIdentity { cert: "c.pem".to_string(), key: "c.key".to_string(), chain: vec![certificate], secret: Secret::new(key) };
        TlsTerms { identity: Some(Arc::new(identity)), ..named() }
    };
    let peer = tls_peer(identity.server_asking(Some(clients.roots()))).await;
    assert_pass(&shake(own(&clients), &peer, &trust).await);
    let report = shake(own(&others), &peer, &trust).await;
    let Outcome::Fail { reason: Reason::Tls, message } = report.outcome else { panic!("a foreign certificate passed") };
    assert!(message.contains(&format!("with {} failed: the peer sent the alert ", peer.address)), "{message}");
    // The same over HTTP.
    let https = |terms| HttpCheck { tls: terms, ..https_check(peer.address.port()) };
    assert_pass(&https_with(https(own(&clients)), &peer, servers.roots()).await);
    assert!(matches!(https_with(https(own(&others)), &peer, servers.roots()).await.outcome, Outcome::Fail { reason: Reason::Tls, .. }));
}
