//! Where a target is reached: an address, or a host name that is resolved while it is probed. Definition only; resolving is the `probe` room's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::wire::Name;

use super::Family;

/// An address or a host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Always here.
    Address(IpAddr),
    /// Wherever our resolver says. Addresses of this family are asked for first, and those of the other one if there are none.
    Name(Name, Family),
    /// The same for a name that is answered, too: addresses of both families are asked for.
    Answered(Name),
}

impl Host {
    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(..) | Host::Answered(_) => None,
        }
    }

    /// The host name, if it is one.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Host::Address(_) => None,
            Host::Name(name, _) | Host::Answered(name) => Some(name),
        }
    }

    /// The same host; a name is resolved to this family first.
    pub fn preferring(self, family: Family) -> Self {
        match self {
            Host::Address(_) | Host::Answered(_) => self,
            Host::Name(name, _) => Host::Name(name, family),
        }
    }

    /// With its port, if it has one: `192.0.2.7:8443`, `[2001:db8::7]:8443`, `gw.internal.example:8443`.
    pub fn with_port(&self, port: Option<u16>) -> String {
        match (self, port) {
            (_, None) => self.to_string(),
            (Host::Address(address), Some(port)) => SocketAddr::new(*address, port).to_string(),
            (Host::Name(name, _) | Host::Answered(name), Some(port)) => format!("{name}:{port}"),
        }
    }
}

/// Without the family that a name prefers.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => write!(f, "{address}"),
            Host::Name(name, _) | Host::Answered(name) => write!(f, "{name}"),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Host::Address(address)
    }
}

/// `[resolver]`: who is asked for the addresses of host names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverRules {
    /// Asked one after the other; never one of our own listeners. Empty: nobody, which is right where no host name is used.
    pub servers: Vec<SocketAddr>,
    /// Longest wait for one response.
    pub timeout: Duration,
    /// How often each server is asked; at least 1.
    pub attempts: u8,
}

impl Default for ResolverRules {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(2), attempts: 2 }
    }
}
