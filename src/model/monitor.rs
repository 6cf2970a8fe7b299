//! What a check is: definition only. Running it is the `probe` room's, judging it the `health` room's.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A simple check and how often it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Monitor {
    /// Its name in the file.
    pub name: String,
    /// What is tried.
    pub check: Check,
    /// Time between two probes of one target.
    pub interval: Duration,
    /// Deadline of one probe, all phases together; always shorter than `interval`.
    pub timeout: Duration,
    /// How outcomes become verdicts.
    pub thresholds: Thresholds,
}

impl Monitor {
    /// Longest time from a failure to the verdict (SEMANTICS, 14): `down_after × interval + timeout`.
    pub fn detection(&self) -> Duration {
        self.interval * u32::from(self.thresholds.down_after) + self.timeout
    }
}

/// The kinds of check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// No probe: the endpoint counts as up.
    Always,
    /// A TCP connection is accepted on this port.
    Tcp {
        /// Port of the endpoint's address.
        port: u16,
    },
    /// An HTTP/1.1 exchange.
    Http(HttpCheck),
}

/// `http://` or `https://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS, certificate verified against the system's trust store.
    Https,
}

/// One HTTP GET and what its response must look like. The connection always goes to the endpoint's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Port to connect to.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// `Host` header; `None`: the endpoint's address (with the port unless it is the scheme's own).
    pub host: Option<String>,
    /// TLS server name that is sent and verified; `None`: `host`, else the endpoint's address.
    pub sni: Option<String>,
    /// Further request headers, name and value.
    pub headers: Vec<(String, String)>,
    /// Status codes that pass.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
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
