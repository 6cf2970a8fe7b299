//! Beside pass and fail: degraded, busy, told weights, redirects.

use hyper::StatusCode;

use crate::health::Reported;
use crate::model::{Busy, ClientIdentity, DegradedRule, JsonPath, JsonTest, ReportKind, ReportPlace, ReportRule, Weight};

use super::*;

async fn judged(change: impl FnOnce(&mut HttpCheck), peer: &Peer, deadline: Duration) -> ProbeReport {
    let mut check = HttpCheck::get(Scheme::Http, peer.address.port(), "/");
    change(&mut check);
    http_with(check, peer.address, deadline).await
}

#[track_caller]
fn assert_degraded(report: &ProbeReport, expect: &str) {
    assert_eq!(report.outcome, Outcome::Degraded { message: expect.to_string() });
}

fn degraded(rule: DegradedRule) -> impl FnOnce(&mut HttpCheck) {
    move |check| check.outcomes.degraded = Some(rule)
}

/// With one more line in its head.
fn with_header(status: &str, line: &str, body: &str) -> String {
    response(status, body).replacen("\r\n", &format!("\r\n{line}\r\n"), 1)
}

#[tokio::test]
async fn a_slow_pass_is_degraded_and_a_quick_one_is_not() {
    let slow = peer(|mut stream| async move {
        peers::request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        let _ = stream.write_all(response("200 OK", "ok").as_bytes()).await;
    })
    .await;
    let rule = |limit| DegradedRule { slower_than: Some(Duration::from_millis(limit)), ..DegradedRule::default() };
    let report = judged(degraded(rule(100)), &slow, AMPLE).await;
    let Outcome::Degraded { message } = &report.outcome else { panic!("{report:?}") };
    assert!(message.starts_with("it took ") && message.ends_with("ms, more than 100ms"), "{message}");
    assert_eq!(report.status, Some(200));
    assert_pass(&judged(degraded(rule(9_000)), &slow, AMPLE).await);
}

#[tokio::test]
async fn a_body_or_a_status_can_say_degraded_and_what_fails_fails_all_the_same() {
    let peer = answering(response("200 OK", r#"{"status": "degraded", "lag": 7}"#)).await;
    let text = |text: &str| DegradedRule { body: Some(text.to_string()), ..DegradedRule::default() };
    assert_degraded(&judged(degraded(text("\"degraded\"")), &peer, AMPLE).await, "the body contains \"\"degraded\"\"");
    assert_pass(&judged(degraded(text("broken")), &peer, AMPLE).await);
    let tests = |tests: &[&str]| DegradedRule { json: tests.iter().map(|test| JsonTest::parse(test).unwrap()).collect(), ..DegradedRule::default() };
    assert_degraded(
        &judged(degraded(tests(&["$.status == \"degraded\"", "$.lag > 5"])), &peer, AMPLE).await,
        "the body says $.status == \"degraded\" and $.lag > 5",
    );
    assert_pass(&judged(degraded(tests(&["$.status == \"degraded\"", "$.lag > 7"])), &peer, AMPLE).await);
    let failing = |check: &mut HttpCheck| {
        check.body = Some("healthy".to_string());
        check.outcomes.degraded = Some(text("degraded"));
    };
    assert!(matches!(judged(failing, &peer, AMPLE).await.outcome, Outcome::Fail { reason: Reason::Body, .. }));

    let odd = answering(response("218 This is fine", "")).await;
    let status = DegradedRule { status: vec![218..=218, 300..=399], ..DegradedRule::default() };
    assert_degraded(&judged(degraded(status.clone()), &odd, AMPLE).await, "it answers 218");
    let moved = answering(response("304 Not Modified", "")).await;
    assert_degraded(&judged(degraded(status.clone()), &moved, AMPLE).await, "it answers 304 Not Modified");
    assert_fail(
        &judged(degraded(status), &answering(response("404 Not Found", "")).await, AMPLE).await,
        Reason::Status,
        "expected status 200-299, got 404 Not Found",
    );
}

#[tokio::test]
async fn busy_is_429_or_503_with_a_time_to_come_back_and_only_where_there_is_a_rule() {
    let rule = |busy| move |check: &mut HttpCheck| check.outcomes.busy = busy;
    for (status, line, wait) in [
        ("503 Service Unavailable", "Retry-After: 20", Some(20)),
        ("429 Too Many Requests", "retry-after: 0", Some(0)),
        ("503 Service Unavailable", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT", Some(86_400)),
        ("503 Service Unavailable", "Retry-After: soon", None),
        ("503 Service Unavailable", "X: 1", None),
        ("502 Bad Gateway", "Retry-After: 20", None),
    ] {
        let peer = answering(with_header(status, line, "")).await;
        let report = judged(rule(Busy::Ignore), &peer, AMPLE).await;
        match wait {
            Some(seconds) => {
                let wait = Duration::from_secs(seconds);
                let message = format!("busy: it answers {status} and asks to come back in {}", crate::model::duration_text(wait));
                assert_eq!(report.outcome, Outcome::Busy { message, retry_after: wait }, "{status} {line}");
            }
            None => assert_fail(&report, Reason::Status, &format!("expected status 200-299, got {status}")),
        }
        let failed = judged(rule(Busy::Fail), &peer, AMPLE).await;
        assert_fail(&failed, Reason::Status, &format!("expected status 200-299, got {status}"));
    }
    let expected = answering(with_header("503 Service Unavailable", "Retry-After: 20", "")).await;
    let listed = |check: &mut HttpCheck| {
        check.status = vec![503..=503];
        check.outcomes.busy = Busy::Ignore;
    };
    assert_pass(&judged(listed, &expected, AMPLE).await);
}

#[tokio::test]
async fn a_weight_is_told_in_a_header_or_in_the_body_and_nonsense_does_no_harm() {
    let rule = |place| ReportRule { place, kind: ReportKind::Weight, min: Weight::LEAST, max: Weight::GREATEST };
    let header = |check: &mut HttpCheck| check.outcomes.report = Some(rule(ReportPlace::Header("X-Load-Weight".to_string())));
    let body = |check: &mut HttpCheck| check.outcomes.report = Some(rule(ReportPlace::Json(JsonPath::parse("$.weight").unwrap())));
    let peer = answering(with_header("200 OK", "x-load-weight: 12", r#"{"weight": 3.5}"#)).await;
    let (told, found) = (judged(header, &peer, AMPLE).await, judged(body, &peer, AMPLE).await);
    assert_eq!((told.outcome, told.reported), (Outcome::Pass, Some(Reported::Number(12.0))));
    assert_eq!((found.outcome, found.reported), (Outcome::Pass, Some(Reported::Number(3.5))));
    let silent = answering(response("200 OK", "<html>")).await;
    let (told, found) = (judged(header, &silent, AMPLE).await, judged(body, &silent, AMPLE).await);
    assert_eq!((told.outcome, told.reported), (Outcome::Pass, Some(Reported::Useless("weight as told by header X-Load-Weight is not there".to_string()))));
    assert_eq!(
        (found.outcome, found.reported),
        (Outcome::Pass, Some(Reported::Useless("weight as told by $.weight is not there: the body is not JSON".to_string())))
    );
    let endless = endless("HTTP/1.1 200 OK\r\n\r\n", "a".repeat(1000), Duration::ZERO).await;
    let report = judged(body, &endless, AMPLE).await;
    assert_eq!(report.reported, Some(Reported::Useless("weight as told by $.weight is not looked for, because the body is longer than 64 KiB".to_string())));
    assert_pass(&report);
    let failing = answering(with_header("500 Internal Server Error", "x-load-weight: 12", "")).await;
    assert_eq!(judged(header, &failing, AMPLE).await.reported, None);
}

/// Answers each path by `answer`, and tells what was asked.
async fn site(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (Peer, mpsc::Receiver<String>) {
    let (heard, requests) = mpsc::channel(16);
    let answer = Arc::new(answer);
    let peer = peer(move |mut stream| {
        let (heard, answer) = (heard.clone(), answer.clone());
        async move {
            let request = peers::request(&mut stream).await;
            let path = request.split(' ').nth(1).unwrap_or_default().to_string();
            let _ = heard.send(request).await;
            let _ = stream.write_all(answer(&path).as_bytes()).await;
            peers::until_closed(&mut stream).await;
        }
    })
    .await;
    (peer, requests)
}

fn see(location: &str) -> String {
    with_header(&format!("302 {}", StatusCode::FOUND.canonical_reason().unwrap_or_default()), &format!("Location: {location}"), "")
}

#[tokio::test]
async fn redirects_are_followed_only_if_asked_and_the_same_rules_judge_the_end() {
    let (peer, mut requests) = site(|path| match path {
        "/" => see("/a"),
        "/a" => see("b?c=d"),
        "/b?c=d" => response("200 OK", "ready"),
        "/loop" => see("/loop"),
        _ => response("404 Not Found", ""),
    })
    .await;
    let following = |redirects: u8, path: &'static str| {
        move |check: &mut HttpCheck| {
            check.path = path.to_string();
            check.body = Some("ready".to_string());
            check.headers = vec![header("Authorization", "Bearer s3cret")];
            check.outcomes.redirects = redirects;
        }
    };
    assert_fail(&judged(following(0, "/"), &peer, AMPLE).await, Reason::Status, "expected status 200-299, got 302 Found (location: /a)");
    requests.recv().await.unwrap();
    let report = judged(following(2, "/"), &peer, AMPLE).await;
    assert_pass(&report);
    assert_eq!(report.status, Some(200));
    assert_eq!(phases(&report)[..4], [Phase::Connect, Phase::Request, Phase::Connect, Phase::Request]);
    for path in ["/", "/a", "/b?c=d"] {
        let request = requests.recv().await.unwrap();
        assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\n")) && request.contains("s3cret"), "the same origin: {request}");
    }
    let tired = judged(following(1, "/"), &peer, AMPLE).await;
    assert_fail(&tired, Reason::Status, "redirected (302) to b?c=d: 1 redirect followed already, as many as `redirects` allows");
    let endless = judged(following(3, "/loop"), &peer, AMPLE).await;
    assert_fail(&endless, Reason::Status, "redirected (302) to /loop: 3 redirects followed already, as many as `redirects` allows");
    let (lost, _) = site(|path| if path == "/" { see("/gone") } else { response("404 Not Found", "") }).await;
    let message = format!("expected status 200-299, got 404 Not Found (redirected to {}/gone)", lost.address);
    assert_fail(&judged(following(1, "/"), &lost, AMPLE).await, Reason::Status, &message);
}

#[tokio::test]
async fn credentials_never_leave_the_origin_that_is_probed() {
    let (other, mut heard) = site(|_| response("200 OK", "ok")).await;
    let to = format!("http://{}/elsewhere", other.address);
    let (peer, mut requests) = site(move |_| see(&to)).await;
    let check = |check: &mut HttpCheck| {
        check.headers = vec![header("Authorization", "Bearer s3cret"), header("X-Api-Key", "k3y"), header("User-Agent", "us")];
        check.headers[1].file = Some("key.txt".to_string());
        check.host = Some("api.example.com".to_string());
        check.outcomes.redirects = 1;
    };
    assert_pass(&judged(check, &peer, AMPLE).await);
    let home = requests.recv().await.unwrap();
    assert!(home.contains("s3cret") && home.contains("k3y"), "{home}");
    let away = heard.recv().await.unwrap().to_ascii_lowercase();
    assert!(
        away.starts_with("get /elsewhere http/1.1\r\n") && away.contains(&format!("host: {}\r\n", other.address)) && away.contains("user-agent: us"),
        "{away}"
    );
    assert!(!away.contains("s3cret") && !away.contains("k3y") && !away.contains("authorization") && !away.contains("api.example.com"), "{away}");
}

#[tokio::test]
async fn one_deadline_holds_for_all_hops_together() {
    let (peer, _requests) = site(|path| if path == "/stall" { String::new() } else { see("/stall") }).await;
    let report = judged(|check| check.outcomes.redirects = 3, &peer, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", peer.address));
}

#[tokio::test]
async fn a_redirect_to_https_is_verified_and_shows_no_client_certificate_elsewhere() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let asking = servers.issue(&["127.0.0.1"], 2049).server_asking(Some(clients.roots()));
    let (asking, _) = answering_tls(Arc::new(Mutex::new(Arc::new(asking))), response("200 OK", "ok")).await;
    let plain = servers.issue(&["127.0.0.1"], 2049).server();
    let (plain, _) = answering_tls(Arc::new(Mutex::new(Arc::new(plain))), response("200 OK", "ok")).await;
    for (end, trusted, passes) in [(&plain, servers.roots(), true), (&plain, clients.roots(), false), (&asking, servers.roots(), false)] {
        let to = format!("https://{}/", end.address);
        let (from, _requests) = site(move |_| see(&to)).await;
        let mut check = HttpCheck::get(Scheme::Http, from.address.port(), "/");
        check.outcomes.redirects = 1;
        // One that the end would take.
        let (certificate, key) = clients.issue(&["probe.example.com"], 2090).into_parts();
        let identity = ClientIdentity { cert: "c.pem".to_string(), key: "c.key".to_string(), chain: vec![certificate], secret: Secret::new(key) };
        check.tls.identity = Some(Arc::new(identity));
        let monitor = monitor(Check::Http(check), AMPLE);
        let report = probe(&monitor, from.address.ip(), &Trust::of(trusted), &Arc::default()).await;
        assert_eq!(report.outcome == Outcome::Pass, passes, "{report:?}");
        if !passes {
            assert!(matches!(report.outcome, Outcome::Fail { reason: Reason::Tls, .. }), "{report:?}");
        }
    }
}
