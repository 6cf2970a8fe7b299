//! Everything that one probe saw, for people: noted when somebody asks for it, never by scheduled probes.
//!
//! All texts are harmless: short, without control characters, without the values of secret headers. Never here: a verdict.

use std::net::SocketAddr;

use crate::model::Timestamp;

use super::ProbeReport;

/// A probe that was run to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// As any probe reports.
    pub report: ProbeReport,
    /// And what it saw.
    pub detail: ProbeDetail,
}

/// What a probe saw on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeDetail {
    /// Who was connected to.
    pub peer: Option<SocketAddr>,
    /// From where.
    pub source: Option<SocketAddr>,
    /// The handshake, as far as it came.
    pub tls: Option<TlsDetail>,
    /// What was sent, line by line; values of the monitor's own headers are left out.
    pub sent: Vec<String>,
    /// What came before the body, line by line.
    pub head: Vec<String>,
    /// The beginning of what came then.
    pub body: Option<BodyDetail>,
    /// What had to come, in words.
    pub expected: Vec<String>,
}

/// The beginning of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyDetail {
    /// The first 256 octets, harmless; lines are kept.
    pub text: String,
    /// Octets that were read.
    pub read: u64,
}

/// A TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDetail {
    /// The name that was sent and verified.
    pub name: String,
    /// `TLS 1.3`; `None`: the handshake was not completed.
    pub protocol: Option<String>,
    /// `TLS13_AES_256_GCM_SHA384`
    pub cipher: Option<String>,
    /// What was agreed on by ALPN.
    pub alpn: Option<String>,
    /// What the peer showed, its own certificate first.
    pub chain: Vec<CertificateDetail>,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateDetail {
    /// Common name, or organisation.
    pub subject: String,
    /// Of whoever signed it.
    pub issuer: String,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Not valid before.
    pub from: Option<Timestamp>,
    /// Not valid after.
    pub until: Option<Timestamp>,
}
