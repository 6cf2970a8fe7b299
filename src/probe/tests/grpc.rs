//! `grpc` against servers that serve, refuse, lie and stall.

use bytes::Bytes;
use hyper::Response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::model::GrpcCheck;

use super::*;

/// What a server does with a call.
#[derive(Clone)]
struct Answer {
    http: u16,
    content_type: &'static str,
    /// At once in the head, without a message.
    trailers_only: bool,
    message: Vec<u8>,
    trailers: Vec<(&'static str, &'static str)>,
    stall: bool,
}

fn status(code: u8) -> Answer {
    let message = vec![0, 0, 0, 0, 2, 8, code];
    Answer { http: 200, content_type: "application/grpc", trailers_only: false, message, trailers: vec![("grpc-status", "0")], stall: false }
}

fn refusal(trailers: &[(&'static str, &'static str)]) -> Answer {
    Answer { trailers_only: true, trailers: trailers.to_vec(), ..status(1) }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, heard: Arc<Mutex<Vec<String>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        heard.lock().unwrap().push(format!("{} {} {:?}", request.method(), request.uri(), request.headers().get("te").unwrap()));
        if answer.stall {
            std::mem::forget(respond);
            continue;
        }
        let mut head = Response::builder().status(answer.http).header("content-type", answer.content_type);
        let trailers: hyper::HeaderMap = answer.trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        if answer.trailers_only {
            head.headers_mut().unwrap().extend(trailers);
            respond.send_response(head.body(()).unwrap(), true).unwrap();
            continue;
        }
        let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), false) else { continue };
        let _ = stream.send_data(Bytes::from(answer.message.clone()), answer.trailers.is_empty());
        let _ = stream.send_trailers(trailers);
    }
}

async fn server(answer: Answer) -> (Peer, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let seen = heard.clone();
    (peer(move |stream| serve(stream, answer.clone(), seen.clone())).await, heard)
}

async fn call(address: SocketAddr, service: &str, deadline: Duration) -> ProbeReport {
    let check = GrpcCheck { port: address.port(), service: service.to_string(), host: None, tls: None };
    probe(&monitor(Check::Grpc(check), deadline), address.ip(), &Trust::unused(), &Arc::default()).await
}

#[tokio::test]
async fn serving_passes_and_nothing_else() {
    let (good, heard) = server(status(1)).await;
    let report = call(good.address, "orders.v1.Orders", AMPLE).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Request, Phase::Body]);
    assert_eq!(heard.lock().unwrap()[0], format!("POST http://{}/grpc.health.v1.Health/Check \"trailers\"", good.address));
    for (code, word) in [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN"), (9, "status 9")] {
        let (bad, _) = server(status(code)).await;
        let message = format!("expected SERVING for the service a.B from {}, got {word}", bad.address);
        assert_fail(&call(bad.address, "a.B", AMPLE).await, Reason::Status, &message);
    }
}

#[tokio::test]
async fn refusals_say_what_the_server_lacks() {
    for (answer, reason, message) in [
        (refusal(&[("grpc-status", "5")]), Reason::Status, "{} does not know the whole server"),
        (
            refusal(&[("grpc-status", "12"), ("grpc-message", "unknown service")]),
            Reason::Status,
            "{} has no health service (grpc.health.v1): \"unknown service\"",
        ),
        (refusal(&[("grpc-status", "14")]), Reason::Status, "expected the gRPC status 0 from {}, got 14"),
        (refusal(&[("grpc-status", "x")]), Reason::Protocol, "expected a gRPC status from {}, got none"),
        (Answer { trailers: vec![("grpc-status", "13")], ..status(1) }, Reason::Status, "expected the gRPC status 0 from {}, got 13"),
        (Answer { trailers: vec![], ..status(1) }, Reason::Protocol, "expected the trailer grpc-status from {}, got none"),
        (Answer { content_type: "text/html", ..status(1) }, Reason::Protocol, "expected the content type application/grpc from {}, got \"text/html\""),
        (Answer { http: 503, ..status(1) }, Reason::Status, "expected status 200, got 503 Service Unavailable"),
        (Answer { message: b"hello".to_vec(), ..status(1) }, Reason::Protocol, "expected a HealthCheckResponse from {}, got \"hello\""),
        (Answer { message: vec![b'x'; 60_000], ..status(1) }, Reason::Protocol, "expected a HealthCheckResponse from {}, got \"@\""),
    ] {
        let (peer, _) = server(answer).await;
        let message = message.replace("{}", &peer.address.to_string()).replace('@', &format!("{}…", "x".repeat(80)));
        assert_fail(&call(peer.address, "", AMPLE).await, reason, &message);
    }
}

#[tokio::test]
async fn stalls_early_ends_and_http_1_are_told_with_their_phase() {
    let (stalled, _) = server(Answer { stall: true, ..status(1) }).await;
    let report = call(stalled.address, "", SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", stalled.address));
    let silent = silent().await;
    let report = call(silent.address, "", SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", silent.address));
    let http1 = answering(response("400 Bad Request", "")).await;
    let Outcome::Fail { reason: Reason::Protocol, message } = call(http1.address, "", AMPLE).await.outcome else { panic!("no protocol failure") };
    assert!(message.starts_with(&format!("expected HTTP/2 from {}, got: ", http1.address)), "{message}");
    let closing = peer(|mut stream| async move {
        let _ = stream.shutdown().await;
        peers::until_closed(&mut stream).await;
    })
    .await;
    let Outcome::Fail { reason: Reason::Reset, message } = call(closing.address, "", AMPLE).await.outcome else { panic!("no reset") };
    assert!(message.contains(&closing.address.to_string()), "{message}");
    let address = nobody().await;
    assert_fail(&call(address, "", AMPLE).await, Reason::Refused, &format!("connection refused by {address}"));
}

#[tokio::test]
async fn over_tls_the_certificate_counts_and_so_does_the_protocol() {
    let authority = Authority::new();
    let tls_server = async |protocol: &[u8]| {
        let mut config = authority.issue(&["api.example.com"], 2090).server();
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        peer(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                serve(stream, status(1), Arc::default()).await;
            }
        })
        .await
    };
    let call = async |peer: &Peer, name: &str| {
        let check = GrpcCheck { port: peer.address.port(), service: String::new(), host: Some(name.to_string()), tls: Some(TlsTerms::default()) };
        probe(&monitor(Check::Grpc(check), AMPLE), peer.address.ip(), &Trust::of(authority.roots()), &Arc::default()).await
    };
    let good = tls_server(b"h2").await;
    let report = call(&good, "api.example.com").await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Connect, Phase::Tls, Phase::Request, Phase::Body]);
    let message = format!("expected a certificate for www.example.com from {}, got one for api.example.com", good.address);
    assert_fail(&call(&good, "www.example.com").await, Reason::Tls, &message);
    let old = tls_server(b"http/1.1").await;
    let message = format!("TLS handshake with {} failed: the peer does not speak the version of HTTP that was asked for", old.address);
    assert_fail(&call(&old, "api.example.com").await, Reason::Tls, &message);
}
