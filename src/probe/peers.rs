//! Peers for tests, good and bad, on loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A listener on loopback; gone when dropped.
pub struct Peer {
    pub address: SocketAddr,
    pub accepted: Arc<AtomicUsize>,
    /// Most connections open at once.
    pub open_max: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Every connection is given to `serve`.
pub async fn peer<F, Fut>(serve: F) -> Peer
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, open_max, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, most) = (accepted.clone(), open_max.clone());
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let (served, open) = (serve(stream), open.clone());
            connections.spawn(async move {
                served.await;
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Peer { address, accepted, open_max, task }
}

/// Reads a request's head and returns it.
pub async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers each request with these bytes, then closes.
pub async fn answering(response: impl Into<Vec<u8>>) -> Peer {
    let response: Arc<[u8]> = response.into().into();
    peer(move |stream| answer(stream, response.clone())).await
}

/// One request, these bytes, the end.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, response: Arc<[u8]>) {
    request(&mut stream).await;
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
    until_closed(&mut stream).await;
}

/// A request, `begin`, then `again` for ever.
pub async fn endless(begin: &'static str, again: impl Into<Vec<u8>>, pause: Duration) -> Peer {
    let again: Arc<[u8]> = again.into().into();
    peer(move |mut stream| {
        let again = again.clone();
        async move {
            request(&mut stream).await;
            let mut result = stream.write_all(begin.as_bytes()).await;
            while result.is_ok() {
                tokio::time::sleep(pause).await;
                result = stream.write_all(&again).await;
            }
        }
    })
    .await
}

/// Accepts and says nothing until the other side goes.
pub async fn silent() -> Peer {
    peer(|mut stream| async move { until_closed(&mut stream).await }).await
}

pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}

/// An address on which nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A status line, a length and a body.
pub fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// A certificate authority of the test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("authority of the test")
    }

    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// Ends with the first day of this year.
    pub fn issue(&self, names: &[&str], end_year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names, end_year).signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().to_vec(), key: key.serialize_der() }
    }
}

pub fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params(names, 2090).self_signed(&key).unwrap().der().to_vec(), key: key.serialize_der() }
}

fn params(names: &[&str], end_year: i32) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| name.to_string()).collect::<Vec<_>>()).unwrap();
    params.not_after = rcgen::date_time_ymd(end_year, 1, 1);
    params
}

impl Identity {
    pub fn server(&self) -> ServerConfig {
        self.server_asking(None)
    }

    /// DER of certificate and key.
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.certificate, self.key)
    }

    /// Shows our certificate without having its key.
    pub fn server_with_the_key_of(&self, other: &Identity) -> ServerConfig {
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(PrivateKeyDer::try_from(other.key.clone()).unwrap()).unwrap();
        let shown = rustls::sign::CertifiedKey::new(vec![self.certificate.clone().into()], key);
        let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
        builder.with_no_client_auth().with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
    }

    /// `clients`: client certificates must come from here.
    pub fn server_asking(&self, clients: Option<RootCertStore>) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        builder.with_single_cert(vec![self.certificate.clone().into()], key).unwrap()
    }
}

/// The kinds of handshake a TLS peer saw.
pub type Kinds = Arc<Mutex<Vec<HandshakeKind>>>;

/// Over TLS each request is answered with these bytes. The configuration may be exchanged meanwhile.
pub async fn answering_tls(config: Arc<Mutex<Arc<ServerConfig>>>, response: impl Into<Vec<u8>>) -> (Peer, Kinds) {
    let response: Arc<[u8]> = response.into().into();
    let kinds = Kinds::default();
    let seen = kinds.clone();
    let peer = peer(move |stream| {
        let (acceptor, response, seen) = (TlsAcceptor::from(config.lock().unwrap().clone()), response.clone(), seen.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            seen.lock().unwrap().extend(stream.get_ref().1.handshake_kind());
            answer(stream, response).await;
        }
    })
    .await;
    (peer, kinds)
}
