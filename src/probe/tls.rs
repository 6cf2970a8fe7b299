//! TLS for probes: whom we trust, the handshake, and sessions that are resumed.
//!
//! Certificates are always verified: chain, dates, name. A resumed handshake skips that (RFC 8446 §2.2), so resumption is fenced: each target
//! has its own [`Session`] (a ticket earned from one gateway never vouches for another), it is resumed a bounded number of times,
//! forgotten after any failed probe, and the certificate that it stands for must not have expired meanwhile.
//!
//! Never here: a way to switch verification off.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, HandshakeKind, NamedGroup, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use crate::health::{Phase, Reason};
use crate::model::{HttpCheck, Timestamp};

use super::attempt::wall_clock;
use super::expiry;
use super::fail::{Failure, quotable};
use super::trace::Trace;

/// After so many resumed handshakes in a row comes a full one.
const RESUMPTIONS_MAX: u8 = 9;

/// The trust of this node's probes; made once.
#[derive(Debug)]
pub struct Tls {
    /// Without a session store; each handshake adds its own. Or why there is none.
    config: Result<ClientConfig, String>,
    unused: bool,
}

impl Tls {
    /// Trust for plans without an `https` monitor: none.
    pub fn unused() -> Self {
        Self { config: Err("trusted certificates are not loaded".to_string()), unused: true }
    }

    /// Nothing was loaded yet.
    pub fn is_unused(&self) -> bool {
        self.unused
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
            warn!("https monitors will fail: {why}");
            return Self { config: Err(why.to_string()), unused: false };
        }
        Self::trusting(roots)
    }

    /// These authorities and no others.
    pub fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| error.to_string());
        let config = config.map(|builder| {
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            // RFC 7301: we speak nothing else, and a peer that would choose h2 by itself should know.
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            config
        });
        Self { config, unused: false }
    }

    /// Shakes hands on `stream` as `check` asks; notes phase and expiry in `trace`.
    pub async fn connect(
        &self,
        stream: TcpStream,
        check: &HttpCheck,
        peer: SocketAddr,
        session: &Arc<Session>,
        trace: &mut Trace,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        trace.enter(Phase::Tls);
        let name = server_name(check, peer.ip());
        let server = ServerName::try_from(name.clone())
            .map_err(|_| Failure::new(Reason::Internal, format!("this node could not probe: `{}` is not a server name", quotable(&name))))?;
        let mut config = self.config.clone().map_err(|why| Failure::new(Reason::Internal, format!("this node could not probe: {why}")))?;
        session.begin();
        config.resumption = Resumption::store(session.clone());
        let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await.map_err(|error| {
            if let Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) = cause(&error) {
                trace.certificate_expires = Some(timestamp(not_after.as_secs()));
            }
            failure(&error, &name, peer)
        })?;
        let connection = stream.get_ref().1;
        session.shaken(connection.handshake_kind());
        trace.certificate_expires = connection.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| expiry::expires(leaf));
        match trace.certificate_expires {
            Some(end) if end < wall_clock() => Err(expired(&whose(&name, peer), end)),
            _ => Ok(stream),
        }
    }
}

/// The name that is sent and verified: `sni`, else `host` without its port, else the address.
fn server_name(check: &HttpCheck, address: IpAddr) -> String {
    if let Some(sni) = &check.sni {
        return sni.clone();
    }
    let Some(host) = &check.host else { return address.to_string() };
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal.to_string(),
        None => host.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(host.as_str(), |(name, _)| name).to_string(),
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
            CertificateError::UnknownIssuer => format!("certificate of {whose} is of an unknown issuer: no authority that this system trusts has signed it"),
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
        Phase::Tls | Phase::Connect => "TLS handshake",
        Phase::Request | Phase::Body => "TLS connection",
    };
    let why = match cause {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => "the peer speaks neither TLS 1.2 nor TLS 1.3".to_string(),
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => "the peer does not know the server name that was sent".to_string(),
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
        let check = |host: Option<&str>, sni: Option<&str>| HttpCheck {
            scheme: crate::model::Scheme::Https,
            port: 443,
            path: "/".to_string(),
            host: host.map(str::to_string),
            sni: sni.map(str::to_string),
            headers: vec![],
            status: vec![200..=299],
            body: None,
        };
        let address = "2001:db8::1".parse().unwrap();
        for (host, sni, name) in [
            (None, None, "2001:db8::1"),
            (Some("api.example.com"), None, "api.example.com"),
            (Some("api.example.com:8443"), None, "api.example.com"),
            (Some("[2001:db8::2]:8443"), None, "2001:db8::2"),
            (Some("2001:db8::2"), None, "2001:db8::2"),
            (Some("api.example.com:8443"), Some("gw.example.net"), "gw.example.net"),
        ] {
            assert_eq!(server_name(&check(host, sni), address), name);
        }
    }
}
