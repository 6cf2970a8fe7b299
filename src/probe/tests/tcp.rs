//! `tcp` with `send` and `expect`.

use super::*;

/// What a peer says when it was told `PING`.
async fn talk(check: impl FnOnce(&mut TcpCheck), peer: &Peer, deadline: Duration) -> ProbeReport {
    let mut tcp = TcpCheck::connect(peer.address.port());
    check(&mut tcp);
    probe(&monitor(Check::Tcp(tcp), deadline), peer.address.ip(), &Trust::unused(), &Arc::default()).await
}

fn expect(text: &str) -> impl FnOnce(&mut TcpCheck) {
    let text = text.to_string();
    move |check| check.expect = Some(text)
}

#[tokio::test]
async fn a_greeting_and_an_answer_are_expected_and_may_come_in_pieces() {
    let redis = peer(|mut stream| async move {
        let mut asked = [0; 6];
        let _ = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut asked).await;
        assert_eq!(&asked, b"PING\r\n");
        for piece in [&b"+PO"[..], b"NG\r\n"] {
            let _ = stream.write_all(piece).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        peers::until_closed(&mut stream).await;
    })
    .await;
    let report = talk(|check| (check.send, check.expect) = (Some("PING\r\n".to_string()), Some("+PONG".to_string())), &redis, AMPLE).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Request]);

    let mail = peer(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
        peers::until_closed(&mut stream).await;
    })
    .await;
    assert_pass(&talk(expect("220 "), &mail, AMPLE).await);
    let report = talk(expect("250 "), &mail, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", mail.address));
}

#[tokio::test]
async fn other_words_silence_a_flood_and_a_reset_are_told_apart() {
    let closing = |said: &'static [u8], reset: bool| {
        peer(move |mut stream| async move {
            let _ = stream.write_all(said).await;
            if reset {
                stream.set_zero_linger().unwrap();
            } else {
                let _ = stream.shutdown().await;
                peers::until_closed(&mut stream).await;
            }
        })
    };
    let busy = closing(b"-LOADING \x1b[2Jwait\r\n", false).await;
    let message = format!("expected {} to say \"+PONG\", got \"-LOADING \u{fffd}[2Jwait \"", busy.address);
    assert_fail(&talk(expect("+PONG"), &busy, AMPLE).await, Reason::Body, &message);
    let mute = closing(b"", false).await;
    let message = format!("expected {} to say \"+PONG\", but it closed the connection without a word", mute.address);
    assert_fail(&talk(expect("+PONG"), &mute, AMPLE).await, Reason::Body, &message);
    let resetting = closing(b"", true).await;
    let Outcome::Fail { reason: Reason::Reset, .. } = talk(expect("+PONG"), &resetting, AMPLE).await.outcome else { panic!("no reset") };

    let flood = peer(|mut stream| async move { while stream.write_all(&[b'x'; 1000]).await.is_ok() {} }).await;
    let message = format!("expected {} to say \"+PONG\" within 4 KiB, got \"{}…\"", flood.address, "x".repeat(80));
    assert_fail(&talk(expect("+PONG"), &flood, AMPLE).await, Reason::Body, &message);
}

#[tokio::test]
async fn the_words_count_up_to_the_last_octet_of_4_kib() {
    for (before, passes) in [(4096 - 5, true), (4096 - 4, false)] {
        let peer = peer(move |mut stream| async move {
            let _ = stream.write_all(format!("{}+PONG{}", "x".repeat(before), "y".repeat(5000)).as_bytes()).await;
            peers::until_closed(&mut stream).await;
        })
        .await;
        assert_eq!(talk(expect("+PONG"), &peer, AMPLE).await.outcome == Outcome::Pass, passes, "{before}");
    }
}
