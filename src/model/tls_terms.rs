//! How a check speaks TLS: whom it trusts, who it says it is, and what it thinks of a certificate's end.
//!
//! Certificates are kept as DER, read and looked at by `config`. Never here: files, handshakes.

use std::sync::Arc;
use std::time::Duration;

use super::Secret;

/// The terms on which a check speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsTerms {
    /// Server name that is sent and verified; `None`: the check's `host`, else the address that is probed.
    pub sni: Option<String>,
    /// What of the peer's certificate counts.
    pub verify: Verify,
    /// Authorities that are trusted instead of the system's.
    pub ca: Option<Arc<CaFile>>,
    /// Who we say we are if the peer asks.
    pub identity: Option<Arc<ClientIdentity>>,
    /// A certificate that ends sooner than this is warned of.
    pub expires_within: Option<Duration>,
    /// Such a certificate fails the probe.
    pub expiry_down: bool,
}

/// What of the peer's certificate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// Chain, name and dates.
    #[default]
    Full,
    /// That it has not expired; anybody may have signed it, for any name.
    ExpiryOnly,
    /// Nothing.
    Nothing,
}

impl Verify {
    /// As in the file.
    pub fn word(self) -> &'static str {
        match self {
            Verify::Full => "full",
            Verify::ExpiryOnly => "expiry_only",
            Verify::Nothing => "none",
        }
    }
}

/// Authorities of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaFile {
    /// As written in the configuration.
    pub file: String,
    /// DER, at least one.
    pub certificates: Vec<Vec<u8>>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// File of the chain, as written in the configuration.
    pub cert: String,
    /// File of the key, as written in the configuration.
    pub key: String,
    /// DER, our own first.
    pub chain: Vec<Vec<u8>>,
    /// DER (PKCS #8, PKCS #1 or SEC 1).
    pub secret: Secret<Vec<u8>>,
}
