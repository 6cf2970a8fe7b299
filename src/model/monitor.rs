//! What a check is: definition only. Running it is the `probe` room's, judging it the `health` room's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{DnsCheck, ExecCheck, HttpCheck, HttpOutcomes, Scheme, TlsTerms};

/// A simple check and how often it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Monitor {
    /// Its name in the file.
    pub name: String,
    /// What is tried.
    pub check: Check,
    /// Addresses of this node that probes come from.
    pub source: Sources,
    /// Time between two probes of one target.
    pub interval: Duration,
    /// Deadline of one probe, all phases together; always shorter than `interval`.
    pub timeout: Duration,
    /// How outcomes become verdicts.
    pub thresholds: Thresholds,
}

impl Monitor {
    /// Longest time from a failure to the verdict (SEMANTICS, 14), judged by these thresholds: `down_after × interval + timeout`.
    pub fn detection(&self, thresholds: &Thresholds) -> Duration {
        self.interval * u32::from(thresholds.down_after) + self.timeout
    }
}

/// The kinds of check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// No probe: the endpoint counts as up.
    Always,
    /// A TCP connection is accepted, and perhaps a few words are exchanged.
    Tcp(TcpCheck),
    /// A TLS handshake.
    Tls(TlsCheck),
    /// An HTTP exchange.
    Http(HttpCheck),
    /// A DNS query.
    Dns(DnsCheck),
    /// The health service of gRPC.
    Grpc(GrpcCheck),
    /// An ICMP echo.
    Icmp,
    /// A program of this host.
    Exec(ExecCheck),
    /// Somebody else looks and tells: never probed.
    Push(PushCheck),
}

impl Check {
    /// Whether this node probes; else it knows (`always`), or is told (`push`).
    pub fn is_probed(&self) -> bool {
        !matches!(self, Check::Always | Check::Push(_))
    }

    /// How TLS is spoken, if it may be.
    pub fn tls(&self) -> Option<&TlsTerms> {
        match self {
            Check::Tls(check) => Some(&check.tls),
            Check::Http(check) => (check.scheme == Scheme::Https || 0 < check.outcomes.redirects).then_some(&check.tls),
            Check::Grpc(check) => check.tls.as_ref(),
            Check::Always | Check::Tcp(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::Push(_) => None,
        }
    }

    /// Port of an endpoint that may have its own; `None`: this kind has none.
    pub fn port_of(&self, own: Option<u16>) -> Option<u16> {
        match self {
            Check::Always | Check::Icmp | Check::Push(_) => None,
            Check::Exec(check) => own.or(check.port),
            _ => Some(own.unwrap_or(self.port())),
        }
    }

    /// What there is beside pass and fail; `None`: nothing.
    pub fn outcomes(&self) -> Option<&HttpOutcomes> {
        match self {
            Check::Http(check) => Some(&check.outcomes),
            _ => None,
        }
    }

    /// Port to connect to, unless the endpoint has its own.
    pub fn port(&self) -> u16 {
        match self {
            Check::Always | Check::Icmp | Check::Push(_) => 0,
            Check::Exec(check) => check.port.unwrap_or(0),
            Check::Tcp(check) => check.port,
            Check::Tls(check) => check.port,
            Check::Http(check) => check.port,
            Check::Dns(check) => check.port,
            Check::Grpc(check) => check.port,
        }
    }
}

/// A TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpCheck {
    /// Port to connect to.
    pub port: u16,
    /// Sent when the connection stands.
    pub send: Option<String>,
    /// Text that the first 4 KiB of what the peer says must contain.
    pub expect: Option<String>,
}

impl TcpCheck {
    /// A connection and nothing else.
    pub fn connect(port: u16) -> Self {
        Self { port, send: None, expect: None }
    }
}

/// A TLS handshake and nothing after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsCheck {
    /// Port to connect to.
    pub port: u16,
    /// What is asked of the peer.
    pub tls: TlsTerms,
}

/// `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcCheck {
    /// Port to connect to.
    pub port: u16,
    /// The service asked for; empty: the whole server.
    pub service: String,
    /// `:authority`; `None`: the address that is probed, with its port.
    pub host: Option<String>,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<TlsTerms>,
}

/// An outside system says how it is, and for how long that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PushCheck {
    /// How long a push holds that does not say so itself.
    pub ttl: Duration,
    /// The longest that a push may hold; also how long silence is borne after a start, when nobody knows what the last push said.
    pub ttl_max: Duration,
    /// What silence means.
    pub silence: Silence,
}

/// What is thought of an endpoint whose last push no longer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Silence {
    /// No verdict: policy treats it as up where nothing better is there.
    #[default]
    Unknown,
    /// It is down.
    Down,
}

/// Addresses of this node that probes come from; where there is none, the system chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// Towards IPv4 endpoints.
    pub v4: Option<Ipv4Addr>,
    /// Towards IPv6 endpoints.
    pub v6: Option<Ipv6Addr>,
}

impl Sources {
    /// The one of the address's family.
    pub fn towards(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }
}

/// How many outcomes it takes (SEMANTICS, 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Up: counted fails until Down.
    pub down_after: u16,
    /// Up: passes in a row that forgive counted fails.
    pub ok_after: u16,
    /// Down: passes in a row until Up.
    pub up_after: u16,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { down_after: 3, ok_after: 5, up_after: 5 }
    }
}
