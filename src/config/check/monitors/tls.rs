//! How a monitor speaks TLS: `tls = 443` and the keys that https shares with it. Reads the files of certificates.
//!
//! What a file holds is looked at here, so that rubbish in it is a problem of the configuration: at a reload the old one stays in force.
//! Never here: a private key in a message.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{At, Key, PortOrYes};
use crate::model::{CaFile, ClientIdentity, Secret, TlsTerms, Verify};

use super::super::keys::is_public;
use super::url::host_name;
use super::{Context, written};

/// A bundle of all public authorities has a quarter of it.
const PEM_OCTETS_MAX: u64 = 1024 * 1024;
/// Certificates that last longer than this are refused by browsers; a warning years ahead is a mistake.
const EXPIRES_WITHIN_MAX: Duration = Duration::from_secs(825 * 86_400);

const KEYS: [&str; 7] = ["sni", "verify", "ca", "cert", "key", "expires_within", "expiry_down"];

/// Those of our keys that were written.
pub(super) fn keys(table: &Table) -> Vec<(&'static str, Option<Range<usize>>)> {
    written(table).into_iter().filter(|(key, _)| KEYS.contains(key) && *key != "sni").collect()
}

/// Whether the certificate must carry a name.
pub(super) fn verifies_names(table: &Table) -> bool {
    table.verify.get().is_none_or(|verify| verify.value == Verify::Full.word())
}

/// `tls = 443`
pub(super) fn port(table: &Table, path: &str, sink: &mut Sink<'_>) -> u16 {
    match table.tls.get() {
        Some(At { value: PortOrYes::Port(port), span }) => {
            super::port(&Key::Is(At { value: *port, span: span.clone() }), 443, format_args!("{path}.tls"), sink)
        }
        Some(At { value: PortOrYes::Yes(_), span }) => {
            sink.problem(span, format_args!("{path}.tls"), "which port?", "write it like tls = 443");
            443
        }
        None => 443,
    }
}

/// The terms of a monitor that does nothing but shake hands.
pub(super) fn handshake(table: &Table, span: &Range<usize>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> TlsTerms {
    if table.sni.is_absent() && verifies_names(table) {
        let help = "add sni = \"api.example.com\": the name that the certificate is for; or verify = \"expiry_only\"";
        sink.missing(span, path, "`tls` needs a name to verify", help);
    }
    terms(table, path, cx, sink)
}

/// `sni = "…"`
pub(super) fn name(table: &Table, path: &str, sink: &mut Sink<'_>) -> Option<String> {
    let found = table.sni.get()?;
    if !host_name(&found.value, false) {
        let message = format!("`{}` is not a host name", found.value);
        sink.problem(&found.span, format_args!("{path}.sni"), message, "write it like sni = \"api.example.com\"");
    }
    Some(found.value.clone())
}

/// The terms, with every file read.
pub(super) fn terms(table: &Table, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> TlsTerms {
    let Table { verify, ca, cert, key, expires_within, expiry_down, .. } = table;
    let verify = verify.get().map_or(Verify::Full, |found| verify_of(found, path, sink));
    if let Some(ca) = ca.get().filter(|_| verify != Verify::Full) {
        let message = format!("`ca` means nothing beside verify = \"{}\"", verify.word());
        sink.problem(&ca.span, format_args!("{path}.ca"), message, "remove one of them: whoever has signed it, the certificate is taken");
    }
    if let Some(found) = expires_within.get().filter(|found| found.value.is_zero() || found.value > EXPIRES_WITHIN_MAX) {
        sink.problem(&found.span, format_args!("{path}.expires_within"), "out of range", "write it like expires_within = \"14d\"");
    }
    if let Some(found) = expiry_down.get().filter(|found| found.value && expires_within.is_absent()) {
        let help = "add expires_within = \"14d\"; a certificate that has expired fails the probe in any case";
        sink.problem(&found.span, format_args!("{path}.expiry_down"), "`expiry_down` needs `expires_within`", help);
    }
    TlsTerms {
        sni: name(table, path, sink),
        verify,
        ca: ca.get().filter(|_| verify == Verify::Full).and_then(|ca| authorities(ca, path, cx, sink)),
        identity: identity(cert, key, path, cx, sink),
        expires_within: expires_within.get().map(|within| within.value),
        expiry_down: expiry_down.get().is_some_and(|down| down.value),
    }
}

fn verify_of(found: &At<String>, path: &str, sink: &mut Sink<'_>) -> Verify {
    let ways = [Verify::Full, Verify::ExpiryOnly, Verify::Nothing];
    ways.into_iter().find(|way| way.word() == found.value).unwrap_or_else(|| {
        let help = sink.suggestion(&found.value, ways.into_iter().map(Verify::word), "there are \"full\", \"expiry_only\" and \"none\"");
        sink.problem(&found.span, format_args!("{path}.verify"), format!("`{}` is not a way to verify", found.value), help);
        Verify::Full
    })
}

fn authorities(ca: &At<String>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Option<Arc<CaFile>> {
    let text = read(ca, format_args!("{path}.ca"), cx, sink)?;
    let certificates = certificates(&text).and_then(|certificates| {
        let mut roots = RootCertStore::empty();
        for (certificate, number) in certificates.iter().zip(1..) {
            roots.add(CertificateDer::from(certificate.as_slice())).map_err(|why| format!("certificate {number} in it can't be trusted: {why}"))?;
        }
        Ok(certificates)
    });
    match certificates {
        Ok(certificates) => Some(Arc::new(CaFile { file: ca.value.clone(), certificates })),
        Err(why) => {
            let help = "the certificates of the authorities in PEM, one after the other";
            sink.problem(&ca.span, format_args!("{path}.ca"), format!("`{}`: {why}", ca.value), help);
            None
        }
    }
}

fn identity(cert: &Key<String>, key: &Key<String>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Option<Arc<ClientIdentity>> {
    let (cert, key) = match (cert, key) {
        (Key::Is(cert), Key::Is(key)) => (cert, key),
        (Key::Is(cert), Key::Absent) => {
            sink.problem(&cert.span, format_args!("{path}.cert"), "`cert` needs `key`", "add key = \"client.key\": the certificate's private key in PEM");
            return None;
        }
        (Key::Absent, Key::Is(key)) => {
            sink.problem(&key.span, format_args!("{path}.key"), "`key` needs `cert`", "add cert = \"client.pem\": the client certificate in PEM");
            return None;
        }
        _ => return None,
    };
    let chain_text = read(cert, format_args!("{path}.cert"), cx, sink);
    let key_text = read(key, format_args!("{path}.key"), cx, sink);
    let (chain_text, key_text) = (chain_text?, key_text?);
    if is_public(&cx.folder.join(&key.value)) {
        let message = format!("everybody on this host can read `{}`", key.value);
        sink.warning(&key.span, format_args!("{path}.key"), message, format!("chmod o= {}", key.value));
    }
    let chain = match certificates(&chain_text) {
        Ok(chain) => chain,
        Err(why) => {
            sink.problem(&cert.span, format_args!("{path}.cert"), format!("`{}`: {why}", cert.value), "the client certificate in PEM, its own first");
            return None;
        }
    };
    // What the parser says of a key is not told: it might quote it.
    let Ok(secret) = PrivateKeyDer::from_pem_slice(&key_text) else {
        let message = format!("`{}` holds no private key", key.value);
        sink.problem(&key.span, format_args!("{path}.key"), message, "the private key in PEM, without a passphrase");
        return None;
    };
    let der = secret.secret_der().to_vec();
    if let Err(why) = fits(&chain, secret) {
        let message = format!("`{}` and `{}` can't be used together: {why}", cert.value, key.value);
        sink.problem(&cert.span, format_args!("{path}.cert"), message, "the key must be the one that the certificate was made for");
        return None;
    }
    Some(Arc::new(ClientIdentity { cert: cert.value.clone(), key: key.value.clone(), chain, secret: Secret::new(der) }))
}

/// Whether a key is the certificate's.
fn fits(chain: &[Vec<u8>], key: PrivateKeyDer<'static>) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|why| why.to_string())?;
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.clone())).collect();
    let made = builder.with_root_certificates(RootCertStore::empty()).with_client_auth_cert(chain, key);
    made.map(drop).map_err(|why| why.to_string())
}

fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).map(|certificate| certificate.map(|certificate| certificate.to_vec())).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".to_string()),
        Ok(found) => Ok(found),
        Err(_) => Err("it is not PEM".to_string()),
    }
}

fn read(file: &At<String>, at: impl std::fmt::Display, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Option<Vec<u8>> {
    let path = cx.folder.join(&file.value);
    cx.files.push(path.clone());
    let read = std::fs::metadata(&path).map_err(|why| format!("can't be read: {why}")).and_then(|about| match about.len() {
        0..=PEM_OCTETS_MAX => std::fs::read(&path).map_err(|why| format!("can't be read: {why}")),
        _ => Err("is too long: 1 MiB at most".to_string()),
    });
    read.map_err(|why| {
        let help = "a path is relative to this file; the user that runs windrose must be allowed to read it";
        sink.problem(&file.span, at, format!("`{}` {why}", path.display()), help);
    })
    .ok()
}
