//! TLS for probes: whom we trust, the handshake, and sessions that are resumed.
//!
//! Certificates are verified (chain, dates, name) unless the monitor's terms say otherwise. A resumed handshake skips that (RFC 8446 §2.2), so
//! resumption is fenced: each target has its own [`Session`] (a ticket earned from one gateway never vouches for another), it is resumed a bounded
//! number of times, forgotten after any failed probe, refused by rustls under other terms, and the certificate that it stands for must not have expired meanwhile.
//!
//! Never here: files, except the system's trust store. What a monitor brings was read by `config`.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use crate::health::{CertificateDetail, Phase, Reason, TlsDetail};
use crate::model::{Check, HttpVersion, Timestamp, TlsCheck, TlsTerms, Verify, duration_text};

use super::attempt::wall_clock;
use super::expiry;
use super::fail::{Failure, quotable};
use super::tcp::{self, Close, Way};
use super::trace::Trace;
use super::verify::{Anyone, Seen, Watched};

/// After so many resumed handshakes in a row comes a full one.
const RESUMPTIONS_MAX: u8 = 9;

/// The authorities that this node trusts where a monitor names no others; read once.
#[derive(Clone, Debug)]
pub struct Trust(Result<Arc<RootCertStore>, String>);

impl Trust {
    /// For plans in which nobody needs it.
    pub fn unused() -> Self {
        Self(Err("trusted certificates are not loaded".to_string()))
    }

    /// The system's trust store. Reads files: call it where blocking is allowed.
    pub fn system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (trusted, unusable) = roots.add_parsable_certificates(found.certs);
        if unusable > 0 || !found.errors.is_empty() {
            warn!(trusted, unusable, errors = ?found.errors, "some certificates of the system's trust store can't be used");
        }
        if roots.is_empty() {
            let why = "this system has no trusted certificates; install `ca-certificates`";
            warn!("monitors that verify certificates will fail: {why}");
            return Self(Err(why.to_string()));
        }
        Self(Ok(Arc::new(roots)))
    }

    /// These authorities and no others.
    #[cfg(test)]
    pub fn of(roots: RootCertStore) -> Self {
        Self(Ok(Arc::new(roots)))
    }
}

/// What is to be spoken over TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// The handshake is all.
    Nothing,
    /// HTTP/1.1 and nothing else: a peer that would choose h2 by itself should know.
    Http1,
    /// HTTP/2 and nothing else.
    Http2,
    /// Either, HTTP/2 rather.
    Either,
}

impl Alpn {
    /// What a check speaks.
    pub fn of(check: &Check) -> Self {
        match check {
            Check::Http(check) => match check.version {
                HttpVersion::One => Alpn::Http1,
                HttpVersion::Two => Alpn::Http2,
                HttpVersion::Auto => Alpn::Either,
            },
            Check::Grpc(_) => Alpn::Http2,
            Check::Always | Check::Tcp(_) | Check::Tls(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::Push(_) => Alpn::Nothing,
        }
    }

    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Alpn::Nothing => vec![],
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2 => vec![b"h2".to_vec()],
            Alpn::Either => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// How the probes of one monitor shake hands; made once per plan.
#[derive(Debug)]
pub struct Tls {
    /// Without a session store; each handshake adds its own. Or why there is none.
    config: Result<ClientConfig, String>,
    /// What peers show, if somebody looks.
    seen: Option<Seen>,
}

/// What one handshake is for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The monitor's.
    pub terms: &'a TlsTerms,
    /// Name that is sent and verified.
    pub name: String,
    /// Who is on the other side.
    pub peer: SocketAddr,
    /// The client certificate may be shown.
    pub trusted: bool,
}

impl Tls {
    /// For monitors that don't speak TLS.
    pub fn unused() -> Self {
        Self { config: Err("its monitor has no TLS".to_string()), seen: None }
    }

    /// As `terms` say; `trust` is asked if they name no authorities.
    pub fn new(terms: &TlsTerms, alpn: Alpn, trust: &Trust) -> Self {
        Self { config: client_config(terms, alpn, trust, None), seen: None }
    }

    /// The same, and what a peer shows is kept even if it is refused. For one handshake.
    pub fn watched(terms: &TlsTerms, alpn: Alpn, trust: &Trust) -> Self {
        let seen = Seen::default();
        Self { config: client_config(terms, alpn, trust, Some(seen.clone())), seen: Some(seen) }
    }

    /// Shakes hands on `stream`; notes phase and expiry in `trace`.
    pub async fn connect(&self, stream: TcpStream, asked: Asked<'_>, session: &Arc<Session>, trace: &mut Trace) -> Result<TlsStream<TcpStream>, Failure> {
        trace.enter(Phase::Tls);
        let Asked { terms, name, peer, trusted } = asked;
        let server = ServerName::try_from(name.clone())
            .map_err(|_| Failure::new(Reason::Internal, format!("this node could not probe: `{}` is not a server name", quotable(&name))))?;
        let mut config = self.config.clone().map_err(|why| Failure::new(Reason::Internal, format!("this node could not probe: {why}")))?;
        if !trusted {
            config.client_auth_cert_resolver = Arc::new(NoCertificate);
        }
        session.begin();
        config.resumption = Resumption::store(session.clone());
        let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await.map_err(|error| {
            if let Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = cause(&error) {
                trace.certificate_expires = Some(timestamp(not_after.as_secs()));
            }
            trace.detail(|detail| detail.shown.tls = Some(TlsDetail { name: name.clone(), chain: self.shown(), ..TlsDetail::default() }));
            failure(&error, &name, peer)
        })?;
        let connection = stream.get_ref().1;
        session.shaken(connection.handshake_kind());
        trace.certificate_expires = connection.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| expiry::expires(leaf));
        trace.detail(|detail| {
            detail.shown.tls = Some(TlsDetail {
                name: name.clone(),
                protocol: connection.protocol_version().and_then(|version| version.as_str()).map(|version| version.replace("TLSv1_", "TLS 1.")),
                cipher: connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).map(str::to_string),
                alpn: connection.alpn_protocol().map(|protocol| quotable(&String::from_utf8_lossy(protocol))),
                chain: self.shown(),
            });
        });
        judge_expiry(terms, &whose(&name, peer), wall_clock(), trace)?;
        Ok(stream)
    }

    /// What the peer has shown.
    fn shown(&self) -> Vec<CertificateDetail> {
        let seen = self.seen.as_ref().map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).clone());
        seen.unwrap_or_default().iter().map(|der| super::certificate::describe(der)).collect()
    }
}

/// For peers that a redirect led to.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Passes when the handshake does and the certificate is as the terms want it.
pub async fn check(check: &TlsCheck, way: Way<'_>, tls: &Tls, session: &Arc<Session>, trace: &mut Trace) -> Result<(), Failure> {
    let peer = way.peer;
    let stream = tcp::connect(way, Close::Reset, trace).await?;
    let name = server_name(&check.tls, None, peer.ip());
    let mut stream = tls.connect(stream, Asked { terms: &check.tls, name: name.clone(), peer, trusted: true }, session, trace).await?;
    if check.tls.identity.is_none() {
        return Ok(());
    }
    // In TLS 1.3 a peer refuses our certificate when our side of the handshake is done (RFC 8446 §4.4.2.4). It is told that we have finished:
    // whatever it does then but complain is well.
    let ended = match stream.shutdown().await {
        Ok(()) => stream.read(&mut [0]).await.map(drop),
        Err(error) => Err(error),
    };
    match ended {
        Err(error) if cause(&error).is_some() => Err(failure(&error, &name, peer)),
        _ => Ok(()),
    }
}

fn client_config(terms: &TlsTerms, alpn: Alpn, trust: &Trust, seen: Option<Seen>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let verifier = verifier(terms, trust, provider)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(match seen {
        None => verifier,
        Some(seen) => Arc::new(Watched { inner: verifier, seen }),
    });
    let mut config = match &terms.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain.iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
            let key = PrivateKeyDer::try_from(identity.secret.expose().clone()).map_err(|_| format!("`{}` is not a private key", identity.key))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("the client certificate `{}` can't be used: {error}", identity.cert))?
        }
    };
    config.alpn_protocols = alpn.protocols();
    Ok(config)
}

/// Who looks at certificates.
fn verifier(terms: &TlsTerms, trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let roots = match (terms.verify, &terms.ca) {
        (Verify::ExpiryOnly | Verify::Nothing, _) => return Ok(Arc::new(Anyone(provider))),
        (Verify::Full, None) => trust.0.clone()?,
        (Verify::Full, Some(ca)) => {
            let mut roots = RootCertStore::empty();
            for certificate in &ca.certificates {
                roots.add(CertificateDer::from(certificate.as_slice())).map_err(|error| format!("`{}` can't be trusted: {error}", ca.file))?;
            }
            Arc::new(roots)
        }
    };
    Ok(WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(|error| error.to_string())?)
}

/// Whether the certificate lasts as long as the terms want; its end is in `trace`.
fn judge_expiry(terms: &TlsTerms, whose: &str, now: Timestamp, trace: &mut Trace) -> Result<(), Failure> {
    let Some(end) = trace.certificate_expires else {
        return match terms.verify {
            Verify::ExpiryOnly => Err(Failure::new(Reason::Tls, format!("certificate of {whose} does not tell when it expires"))),
            Verify::Full | Verify::Nothing => Ok(()),
        };
    };
    if end < now && terms.verify != Verify::Nothing {
        return Err(expired(whose, end));
    }
    let Some(within) = terms.expires_within else { return Ok(()) };
    let within_ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
    if end.0.saturating_sub(within_ms) >= now.0 {
        return Ok(());
    }
    let expires = if end < now { "expired" } else { "expires" };
    let soon = format!("certificate of {whose} {expires} on {}, which is within {}", date(end), duration_text(within));
    if terms.expiry_down {
        return Err(Failure::new(Reason::Tls, soon));
    }
    trace.warning = Some(soon);
    Ok(())
}

/// The name that is sent and verified: `sni`, else `host` without its port, else the address.
pub fn server_name(terms: &TlsTerms, host: Option<&str>, address: IpAddr) -> String {
    if let Some(sni) = &terms.sni {
        return sni.clone();
    }
    let Some(host) = host else { return address.to_string() };
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal.to_string(),
        None => host.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(host, |(name, _)| name).to_string(),
    }
}

/// What one target keeps from one handshake for the next: at most one session.
#[derive(Debug, Default)]
pub struct Session {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Resumptions left until a full handshake.
    left: u8,
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: Option<Tls13ClientSessionValue>,
}

impl Session {
    /// The next handshake is a full one.
    pub fn forget(&self) {
        *self.kept() = Kept::default();
    }

    fn begin(&self) {
        let mut kept = self.kept();
        if kept.left == 0 {
            (kept.tls12, kept.tls13) = (None, None);
        }
    }

    fn shaken(&self, kind: Option<HandshakeKind>) {
        let mut kept = self.kept();
        kept.left = match kind {
            Some(HandshakeKind::Resumed) => kept.left.saturating_sub(1),
            _ => RESUMPTIONS_MAX,
        };
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name is ignored: a target has one.
impl ClientSessionStore for Session {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.kept().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.kept().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.kept().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.kept().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.kept().tls13 = Some(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.kept().tls13.take()
    }
}

/// What rustls said, if it was rustls.
pub fn cause(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// A handshake, or a connection under TLS, that failed.
fn failure(error: &std::io::Error, name: &str, peer: SocketAddr) -> Failure {
    let Some(cause) = cause(error) else { return Failure::io(error, Phase::Tls, peer) };
    let whose = whose(name, peer);
    let message = match cause {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::ExpiredContext { not_after, .. } => return expired(&whose, timestamp(not_after.as_secs())),
            CertificateError::Expired => format!("certificate of {whose} has expired"),
            CertificateError::NotValidYetContext { not_before, .. } => {
                format!("certificate of {whose} is not valid before {}", date(timestamp(not_before.as_secs())))
            }
            CertificateError::UnknownIssuer => format!("certificate of {whose} is of an unknown issuer: no authority that we trust has signed it"),
            CertificateError::BadSignature => format!("certificate of {whose} is not signed by the authority that it names"),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names = presented.iter().map(|name| quotable(presented_name(name))).take(5).collect::<Vec<_>>();
                let names = if names.is_empty() { "no name".to_string() } else { names.join(", ") };
                format!("expected a certificate for {name} from {peer}, got one for {names}")
            }
            CertificateError::NotValidForName => format!("expected a certificate for {name} from {peer}, got one for other names"),
            other => format!("certificate of {whose} is refused: {}", quotable(&other.to_string())),
        },
        _ => return broken(cause, Phase::Tls, peer),
    };
    Failure::new(Reason::Tls, message)
}

/// TLS failed for another reason than the certificate.
pub fn broken(cause: &rustls::Error, phase: Phase, peer: SocketAddr) -> Failure {
    let what = match phase {
        Phase::Tls | Phase::Connect | Phase::Resolve => "TLS handshake",
        Phase::Request | Phase::Body => "TLS connection",
    };
    let why = match cause {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => "the peer speaks neither TLS 1.2 nor TLS 1.3".to_string(),
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => "the peer does not know the server name that was sent".to_string(),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => "the peer does not speak the version of HTTP that was asked for".to_string(),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => "the peer asks for a client certificate".to_string(),
        rustls::Error::AlertReceived(alert) => format!("the peer sent the alert {alert:?}"),
        rustls::Error::InvalidMessage(_) => "expected TLS, got something else".to_string(),
        other => quotable(&other.to_string()),
    };
    Failure::new(Reason::Tls, format!("{what} with {peer} failed: {why}"))
}

fn expired(whose: &str, end: Timestamp) -> Failure {
    Failure::new(Reason::Tls, format!("certificate of {whose} expired on {}", date(end)))
}

/// `api.example.com at 192.0.2.10:443`, or the address alone if that is the name.
fn whose(name: &str, peer: SocketAddr) -> String {
    if name.parse() == Ok(peer.ip()) { peer.to_string() } else { format!("{name} at {peer}") }
}

/// rustls hands names out as `DnsName("a.example")`.
fn presented_name(debug: &str) -> &str {
    debug.split('"').nth(1).unwrap_or(debug)
}

fn timestamp(secs: u64) -> Timestamp {
    Timestamp(i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX))
}

/// `2026-01-01`
fn date(at: Timestamp) -> String {
    at.to_string().chars().take_while(|char| *char != 'T').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_name_is_sni_else_host_without_port_else_the_address() {
        let address = "2001:db8::1".parse().unwrap();
        for (host, sni, name) in [
            (None, None, "2001:db8::1"),
            (Some("api.example.com"), None, "api.example.com"),
            (Some("api.example.com:8443"), None, "api.example.com"),
            (Some("[2001:db8::2]:8443"), None, "2001:db8::2"),
            (Some("2001:db8::2"), None, "2001:db8::2"),
            (Some("api.example.com:8443"), Some("gw.example.net"), "gw.example.net"),
        ] {
            let terms = TlsTerms { sni: sni.map(str::to_string), ..TlsTerms::default() };
            assert_eq!(server_name(&terms, host, address), name);
        }
    }
}
