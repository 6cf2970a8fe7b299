//! How this node runs: the keys that need a restart (SEMANTICS, 16).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::scope::Scope;

/// `[node] [dns] [admin] [metrics] [store] [outcomes] [decisions] [audit]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[node]`
    pub node: NodeSettings,
    /// `[dns]`
    pub dns: DnsSettings,
    /// `[admin]`
    pub admin: AdminSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[outcomes]`
    pub outcomes: OutcomeSettings,
    /// `[decisions]`
    pub decisions: DecisionSettings,
    /// `[audit]`
    pub audit: AuditSettings,
}

/// `[outcomes]`: the log of probe outcomes, for replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeSettings {
    /// Older ones are deleted; 0: none are recorded. Default 7 d.
    pub keep: Duration,
    /// So many octets at most; the oldest are deleted. Default 64 MiB.
    pub octets_max: u64,
}

impl Default for OutcomeSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(7 * 86_400), octets_max: 64 << 20 }
    }
}

/// `[decisions]`: the record of decisions, for `explain?at=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionSettings {
    /// Older ones are deleted; 0: none are recorded. Default 7 d.
    pub keep: Duration,
    /// So many octets at most; the oldest are deleted. Default 64 MiB.
    pub octets_max: u64,
}

impl Default for DecisionSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(7 * 86_400), octets_max: 64 << 20 }
    }
}

/// `[audit]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Older entries are cut off. Default 400 d.
    pub keep: Duration,
    /// So many stay at most. Default 50,000.
    pub entries_max: usize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { keep: Duration::from_secs(400 * 86_400), entries_max: 50_000 }
    }
}

/// `[node]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// Names this node in logs, API and NSID. Default: the host's name.
    pub name: String,
    /// Stored verdicts older than this are not used (SEMANTICS, 13). Default 10 m.
    pub stale_after: Duration,
}

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Each is UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP worker threads; 0: one per core.
    pub workers: usize,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// TCP address of the admin API; beyond loopback it needs `tls`.
    pub listen: SocketAddr,
    /// Unix socket of the admin API.
    pub socket: PathBuf,
    /// Certificate chain and key, PEM; who may come with a certificate of their own.
    pub tls: Option<TlsFiles>,
    /// Names besides IP addresses and `localhost` that `Host` may carry.
    pub hosts: Vec<String>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Authorities of clients' certificates; `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Who may come with such a certificate, in the order of the file.
    pub subjects: Vec<Subject>,
}

/// A client's certificate and what it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its subject (`CN=ci,O=Example`), or one of its alternative names (`DNS:ci.example.com`, `URI:spiffe://…`, `EMAIL:…`, `IP:…`).
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Globs of the services that it may change; empty: all, and the node.
    pub services: Vec<Arc<str>>,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// `/metrics /healthz /readyz`, any address; `None`: only on the admin port.
    pub listen: Option<SocketAddr>,
    /// Services with series of their own; beyond it those with `metrics = true`.
    pub services_max: usize,
    /// Endpoints with series of their own; those beyond it are counted together.
    pub endpoints_max: usize,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Folder of the embedded store.
    pub path: PathBuf,
}
