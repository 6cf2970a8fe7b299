//! TLS of the admin listener: its own certificate, whom it trusts to vouch for clients, and both again while it runs.
//!
//! The files are read at start, by each reload, and when their content changes. Files that can't be used change nothing: the old terms serve on, and the
//! log (or the reload's reply) says why. Connections that are open keep their keys; a client's certificate is looked at again with each request.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::model::{Subject, TlsFiles};

use super::listen::BindError;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What TLS goes by.
pub(super) struct Terms {
    pub acceptor: TlsAcceptor,
    /// Who may come with a certificate.
    pub subjects: Vec<Subject>,
    /// Names what vouches for clients: a certificate that was verified by other terms counts no more.
    pub number: u64,
    files: TlsFiles,
    content: Content,
}

/// Hash of the files.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Content {
    all: [u8; 32],
    client_ca: [u8; 32],
}

/// The terms in force. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    terms: ArcSwap<Terms>,
    numbers: AtomicU64,
    /// One change at a time.
    turn: Mutex<()>,
}

/// Terms that were read and can be used, not in force yet.
pub struct Renewal {
    certificates: Certificates,
    terms: Terms,
}

impl Certificates {
    /// Reads the files for the first time.
    pub(super) fn open(files: &TlsFiles) -> Result<Self, BindError> {
        let terms = read(files, 1)?;
        Ok(Self(Arc::new(Inner { terms: ArcSwap::from_pointee(terms), numbers: AtomicU64::new(1), turn: Mutex::new(()) })))
    }

    pub(super) fn terms(&self) -> Arc<Terms> {
        self.0.terms.load_full()
    }

    /// Reads `files` again (it blocks). Nothing changes before [`Renewal::apply`]; the error is one sentence.
    pub fn renew(&self, files: &TlsFiles) -> Result<Renewal, String> {
        let mut terms = read(files, 0).map_err(|error| error.to_string())?;
        let now = self.terms();
        let same_ca = now.content.client_ca == terms.content.client_ca;
        terms.number = if same_ca { now.number } else { self.0.numbers.fetch_add(1, Ordering::Relaxed) + 1 };
        Ok(Renewal { certificates: self.clone(), terms })
    }

    /// Looks at the files again and again, and takes what has changed. For ever: end it by ending its task.
    pub(super) async fn watch(self) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // What was refused before: told once, and only when it has stood for a whole period; certificate and key are rarely written at one moment.
        let (mut refused, mut told) = (None, None);
        loop {
            every.tick().await;
            let this = self.clone();
            let Ok((content, found)) = tokio::task::spawn_blocking(move || this.look()).await else { continue };
            match found {
                Ok(true) => info!("the certificates of [admin] tls have changed and are taken"),
                Ok(false) => (),
                Err(why) if refused == Some(content) && told != Some(content) => {
                    warn!("the certificates of [admin] tls have changed and can't be used, the old ones serve on: {why}");
                    told = Some(content);
                }
                Err(_) => refused = Some(content),
            }
        }
    }

    /// What the files hold, and were they taken?
    fn look(&self) -> (Content, Result<bool, String>) {
        let files = self.terms().files.clone();
        let content = content_of(&files);
        if content == self.terms().content {
            return (content, Ok(false));
        }
        (content, self.renew(&files).map(|renewal| renewal.apply()))
    }
}

impl Renewal {
    /// Serves new connections on these terms. `false`: they are what they were.
    pub fn apply(self) -> bool {
        let Self { certificates: Certificates(inner), terms } = self;
        let _turn = inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = inner.terms.load();
        let same = now.content == terms.content && now.files == terms.files;
        if !same {
            inner.terms.store(Arc::new(terms));
        }
        !same
    }
}

fn content_of(files: &TlsFiles) -> Content {
    let hash = |paths: &[&PathBuf]| {
        let mut hash = Sha256::new();
        for path in paths {
            match std::fs::read(path) {
                Ok(octets) => hash.update(Sha256::digest(octets)),
                Err(_) => hash.update([0]),
            }
        }
        hash.finalize().into()
    };
    let TlsFiles { cert, key, client_ca, subjects: _ } = files;
    let ca: Vec<&PathBuf> = client_ca.iter().collect();
    let all: Vec<&PathBuf> = [cert, key].into_iter().chain(client_ca).collect();
    Content { all: hash(&all), client_ca: hash(&ca) }
}

fn read(files: &TlsFiles, number: u64) -> Result<Terms, BindError> {
    // First the hash: what changes while it is read is read again at the next look.
    let content = content_of(files);
    let TlsFiles { cert, key, client_ca, subjects } = files;
    let problem = |key: &'static str, path: &Path, why: String| BindError::Tls { key, path: path.into(), why };
    let chain = certificates("cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| problem("key", key, pem_words(&why, "private key that is not encrypted", "PRIVATE KEY")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| problem("cert", cert, format!("can't be used: {why}")))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable =
                |why: String| problem("client_ca", path, format!("can't be used: {why}; give the certificates of the authorities that sign your clients'"));
            let mut roots = RootCertStore::empty();
            for certificate in certificates("client_ca", path)? {
                roots.add(certificate).map_err(|why| unusable(why.to_string()))?;
            }
            // A client without a certificate may still have a token.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|why| unusable(why.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|why| {
        let other = format!("can't be used with the key \"{}\": {why}; give the certificate and the key that were made together", key.display());
        problem("cert", cert, other)
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if client_ca.is_some() {
        // A resumed session would bring back a certificate that nobody has verified since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Terms { acceptor: TlsAcceptor::from(Arc::new(config)), subjects: subjects.clone(), number, files: files.clone(), content })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BindError> {
    let problem = |why: &pem::Error| BindError::Tls { key, path: path.into(), why: pem_words(why, "certificate", "CERTIFICATE") };
    let found = CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>()).map_err(|why| problem(&why))?;
    if found.is_empty() { Err(problem(&pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// What is wrong with a PEM file, and what to do.
fn pem_words(why: &pem::Error, item: &str, label: &str) -> String {
    match why {
        pem::Error::Io(why) => format!("can't be read: {why}; the file must exist, and the user that runs windrose must be allowed to read it"),
        pem::Error::NoItemsFound => format!("has no {item}; give a PEM file with -----BEGIN {label}-----"),
        _ => "is damaged: a PEM section is cut off or not base64; copy the file again, from the first -----BEGIN to the last -----END line".to_string(),
    }
}
