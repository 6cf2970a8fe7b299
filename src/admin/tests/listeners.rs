//! Listeners and connections: TLS, idle ones, stopping, being taken over.

use super::*;

#[tokio::test]
async fn the_metrics_listener_serves_three_pages_and_nothing_else() {
    let server = Server::start().await;
    let ask_metrics = async |path: &str| ask(TcpStream::connect(server.admin.addresses()[1]).await.unwrap(), "GET", path, &["Host: any.name"], "").await;
    let metrics = ask_metrics("/metrics").await;
    assert!(metrics.status == 200 && metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert_eq!((ask_metrics("/healthz").await.status, ask_metrics("/readyz").await.status), (200, 200));
    server.ready.store(NOT_YET, Ordering::Relaxed);
    let unready = ask_metrics("/readyz").await;
    assert_eq!((unready.status, unready.json()), (503, json!({"ready": false, "reasons": ["not yet"]})));
    let alive = ask_metrics("/healthz").await;
    assert_eq!((alive.status, alive.json()), (200, json!({"alive": true})), "alive all the same");
    let token = server.token("ci", "admin").await;
    let stream = TcpStream::connect(server.admin.addresses()[1]).await.unwrap();
    assert_eq!(ask(stream, "GET", TRAFFIC, &[&token], "").await.problem().0, 404, "with a token, too");
}

#[tokio::test]
async fn idle_connections_on_tcp_do_not_keep_operators_out() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.tcp()).await.unwrap());
    }
    assert_eq!(server.get("/api/v1/whoami").await["scope"], "admin");
}

#[tokio::test]
async fn tls_serves_what_clear_text_would() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = Server::start_with(|settings, folder| {
        let files = TlsFiles { cert: folder.join("a.crt"), key: folder.join("a.key"), client_ca: None, subjects: Vec::new() };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        settings.tls = Some(files);
    })
    .await;
    let token = server.token("ci", "read").await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.tcp()).await.unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(ask(stream, "GET", "/api/v1/whoami", &[&token], "").await.json()["actor"], "token:ci");
    let mut plain = TcpStream::connect(server.tcp()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(SOON, plain.read_to_end(&mut bytes)).await.unwrap();
    assert!(!bytes.starts_with(b"HTTP"), "clear text gets nothing");
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_removes_the_socket() {
    let server = Server::start().await;
    let mut idle = UnixStream::connect(&server.socket).await.unwrap();
    // Served once and kept alive, so that it is surely accepted.
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut octet = [0; 1];
    tokio::time::timeout(SOON, idle.read_exact(&mut octet)).await.unwrap().unwrap();
    let Server { admin, socket, folder: _folder, .. } = server;
    let tcp = admin.addresses()[0];
    tokio::time::timeout(SOON, admin.stop()).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(!socket.exists());
    assert!(TcpStream::connect(tcp).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Server::start().await;
    let taken = listen::tcp(server.tcp(), "[admin] listen", &mut Vec::new()).await.err().unwrap().to_string();
    assert!(taken.contains("[admin] listen") && taken.contains("in use"), "{taken}");
    let _ = &server.folder;
}

#[tokio::test]
async fn a_server_without_a_successor_says_so() {
    let server = Server::start().await;
    for path in ["/api/v1/upgrade", "/api/v1/handover"] {
        let response = server.over_socket("POST", path, &["Upgrade: windrose-handover/1"], "").await;
        assert_eq!(response.problem(), (409, "upgrade-failed".into()), "{path}");
    }
    let token = server.token("ops", "operate").await;
    for path in ["/api/v1/upgrade", "/api/v1/handover"] {
        assert_eq!(server.over_tcp("POST", path, &[&token], "").await.problem(), (403, "forbidden".into()), "{path}");
    }
}

#[tokio::test]
async fn listeners_that_were_left_are_taken_where_the_settings_are_the_same() {
    let server = Server::start().await;
    let sockets = server.admin.sockets();
    let again = |descriptor: &OwnedFd| descriptor.try_clone().unwrap();
    let left = || Sockets {
        tcp: sockets.tcp.iter().map(|(address, descriptor)| (*address, again(descriptor))).collect(),
        unix: sockets.unix.as_ref().map(|(path, descriptor)| (path.clone(), again(descriptor))),
    };
    let settings = |socket: PathBuf| AdminSettings { listen: server.tcp(), socket, tls: None, hosts: Vec::new() };
    let metrics = MetricsSettings { listen: Some(server.admin.addresses()[1]), services_max: 1, endpoints_max: 1 };
    let same = bind(&settings(server.socket.clone()), &metrics, left()).await.ok().unwrap();
    assert!(same.takes_socket());
    let moved = bind(&settings(server.folder.path().join("other.sock")), &metrics, left()).await.ok().unwrap();
    assert!(!moved.takes_socket());
    // A file that is gone can't be found by anybody: then a new one is made.
    std::fs::remove_file(&server.socket).unwrap();
    assert!(!bind(&settings(server.socket.clone()), &metrics, left()).await.ok().unwrap().takes_socket());
    assert!(server.socket.exists());
    assert!(matches!(bind(&settings(server.socket.clone()), &metrics, Sockets::default()).await, Err(BindError::InUse { .. })));
}
