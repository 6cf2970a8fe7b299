//! Why a server was not reached, and what to do: what TLS and HTTP libraries say, in the words of somebody who sets up `[admin] tls`.
//!
//! Never here: any sending. Every sentence that begins with `can't connect` means that no request was sent.

use std::error::Error;
use std::time::Duration;

use rustls::CertificateError;

use super::client::Place;

/// What a certificate for the server must be made like.
const NEW_CERTIFICATE: &str =
    "give `[admin] tls` a certificate of its own, made with basicConstraints=CA:FALSE, and name the authority that signed it with --ca-file";

/// One sentence and what to do.
pub fn explain(error: &reqwest::Error, place: &Place, timeout: Duration) -> (String, String) {
    if let Place::Server(url) = place {
        let tls = chain(error).find_map(<dyn Error>::downcast_ref::<rustls::Error>).and_then(|tls| of_tls(tls, url));
        if let Some(known) = tls.or_else(|| answers_tls(error, url)) {
            return known;
        }
    }
    let root = root_cause(error);
    let why = match error {
        _ if error.is_connect() => format!("can't connect: {root}"),
        _ if error.is_timeout() => format!("no answer within {}", crate::model::duration_text(timeout)),
        _ => format!("the connection broke: {root}"),
    };
    let hint = match place {
        Place::Socket(_) if root.contains("ermission denied") => "be in the socket's group (`windrose`), or use sudo",
        Place::Socket(_) => "is the server running? `windrose serve`, or `windrose demo` to try it; --socket or --server names another place",
        Place::Server(_) if root.contains("certificate") => "is it the certificate of `[admin] tls`? --ca-file names the authority that vouches for it",
        Place::Server(url) if url.scheme() == "http" && !error.is_connect() => "if `[admin] tls` is set, write https://",
        Place::Server(_) => "is this the address of `[admin] listen`, and is the server running?",
    };
    (why, hint.to_string())
}

/// Mistakes in TLS that have a known way out.
fn of_tls(error: &rustls::Error, url: &reqwest::Url) -> Option<(String, String)> {
    let host = url.host_str().unwrap_or_default();
    let (why, hint) = match error {
        // The first bytes are no TLS record.
        rustls::Error::InvalidMessage(_) => {
            ("what listens there does not speak TLS".to_string(), format!("if `[admin] tls` is not set, write {}", with_scheme(url, "http")))
        }
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer => (
                "the server's certificate is of an issuer that is not known here".to_string(),
                "name the authority that signed it with --ca-file FILE, or WINDROSE_CA_FILE".to_string(),
            ),
            CertificateError::BadSignature => (
                "the server's certificate is signed by another authority than the one known here by that name".to_string(),
                "was the authority made anew? Give its certificate of now with --ca-file".to_string(),
            ),
            CertificateError::NotValidForName => {
                (format!("the server's certificate is not for `{host}`"), "call the server as its certificate does, or add this name to it".to_string())
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                (format!("the server's certificate is not for `{host}`: {}", names(presented)), way_to_name(host))
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ("the server's certificate has expired".to_string(), "renew it, or set this machine's clock".to_string())
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                ("the server's certificate is not valid yet".to_string(), "set the clock, here or where it was made".to_string())
            }
            // The verifier's own errors come in a box that can't be looked into by type without naming its crate.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                ("the server shows an authority's certificate (CA:TRUE) as its own".to_string(), NEW_CERTIFICATE.to_string())
            }
            _ => return None,
        },
        _ => return None,
    };
    Some((format!("can't connect: {why}"), hint))
}

/// Plain HTTP was answered with something else: an alert of TLS.
fn answers_tls(error: &reqwest::Error, url: &reqwest::Url) -> Option<(String, String)> {
    let http = chain(error).find_map(<dyn Error>::downcast_ref::<hyper::Error>)?;
    let not_http = url.scheme() == "http" && http.is_parse() && http.to_string().contains("HTTP version");
    not_http.then(|| {
        ("can't connect: what listens there does not speak plain HTTP".to_string(), format!("if `[admin] tls` is set, write {}", with_scheme(url, "https")))
    })
}

/// What the certificate is for; `presented` is as the verifier shows names: `DnsName("a.example")`, `IpAddress(192.0.2.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name).trim_matches('"').to_string();
    match presented {
        [] => "it names nobody (no subjectAltName)".to_string(),
        some => format!("it is for {}", some.iter().map(bare).collect::<Vec<_>>().join(", ")),
    }
}

/// A name must be in the certificate as what it is.
fn way_to_name(host: &str) -> String {
    let bare = host.trim_matches(['[', ']']);
    let entry = if bare.parse::<std::net::IpAddr>().is_ok() { format!("IP:{bare}") } else { format!("DNS:{bare}") };
    format!("call the server as its certificate does, or make one with subjectAltName={entry}")
}

/// The same address with another scheme, its port kept.
fn with_scheme(url: &reqwest::Url, scheme: &str) -> String {
    let port = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}", url.host_str().unwrap_or_default())
}

/// An error and everything below it. What an I/O error wraps is a step, too: its `source` would skip it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| below(*error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The innermost reason, which is what a person wants to know.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::args::Global;
    use super::super::client::Client;
    use super::super::exit::{Exit, Failure};
    use super::super::table::Paint;

    /// An authority and its PEM.
    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A TLS server that shows one certificate.
    async fn tls(certificate: &rcgen::Certificate, key: &KeyPair) -> SocketAddr {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
            }
        });
        address
    }

    /// What a command says that asks `url`.
    async fn said(url: String, ca: Option<&str>) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, ca.unwrap_or_default().as_bytes()).unwrap();
        let global = Global { server: Some(url), timeout: std::time::Duration::from_secs(10), ca_file: ca.map(|_| file.path().into()), ..Global::default() };
        let failure: Failure = Client::new(&global, &|_| None).unwrap().ready().await.err().expect("refused");
        assert_eq!(failure.exit(), Exit::Unreachable);
        failure.text(true, Paint::PLAIN)
    }

    fn has(text: &str, parts: &[&str]) {
        for part in parts.iter().chain(&["can't connect", "nothing changed."]) {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }

    #[tokio::test]
    async fn an_unknown_issuer_leads_to_the_ca_file() {
        let (key, ca) = (KeyPair::generate().unwrap(), authority("ops"));
        let own = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap().signed_by(&key, &ca).unwrap();
        let url = format!("https://{}", tls(&own, &key).await);
        has(&said(url.clone(), Some(&authority("dev").pem())).await, &["issuer that is not known", "--ca-file"]);
        has(&said(url, Some(&authority("ops").pem())).await, &["another authority", "made anew", "--ca-file"]);
    }

    #[tokio::test]
    async fn an_authority_as_the_servers_own_certificate_is_named() {
        let ca = authority("ops");
        let url = format!("https://{}", tls(ca.as_ref(), ca.key()).await);
        has(&said(url, Some(&ca.pem())).await, &["an authority's certificate", "basicConstraints=CA:FALSE"]);
    }

    #[tokio::test]
    async fn a_wrong_name_is_shown_beside_the_right_ones() {
        let (key, ca) = (KeyPair::generate().unwrap(), authority("ops"));
        let own = CertificateParams::new(vec!["ns1.example.com".to_string()]).unwrap().signed_by(&key, &ca).unwrap();
        let url = format!("https://{}", tls(&own, &key).await);
        has(&said(url, Some(&ca.pem())).await, &["is not for `127.0.0.1`: it is for ns1.example.com\n", "subjectAltName=IP:127.0.0.1"]);
    }

    #[tokio::test]
    async fn plain_http_to_a_tls_port_leads_to_https() {
        let (key, ca) = (KeyPair::generate().unwrap(), authority("ops"));
        let own = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap().signed_by(&key, &ca).unwrap();
        let address = tls(&own, &key).await;
        has(&said(format!("http://{address}"), None).await, &["does not speak plain HTTP", &format!("write https://{address}")]);
    }

    #[tokio::test]
    async fn https_to_a_plain_port_leads_to_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        has(&said(format!("https://{address}"), Some(&authority("ops").pem())).await, &["does not speak TLS", &format!("write http://{address}")]);
    }
}
