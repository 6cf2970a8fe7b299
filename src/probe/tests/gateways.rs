//! HTTP without TLS: what passes, what fails and with which words.

use super::*;

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
