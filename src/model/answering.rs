//! What of `[dns]` shapes responses. Takes effect with a reload, unlike sockets and threads.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// `reveal`, `[dns.cookies]`, `[dns.rate_limit]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerSettings {
    /// Name of this node for NSID (RFC 5001); `None`: the option is ignored.
    pub nsid: Option<Arc<str>>,
    /// Text of `id.server CH TXT` (RFC 4892); `None`: REFUSED.
    pub id: Option<Arc<str>>,
    /// Text of `version.bind CH TXT`; `None`: REFUSED.
    pub version: Option<Arc<str>>,
    /// Text of `config.windrose CH TXT`: the configuration's hash; `None`: REFUSED.
    pub config: Option<Arc<str>>,
    /// Who may ask `_explain.NAME TXT`; empty: nobody.
    pub explain: Vec<IpNet>,
    /// Server cookies (RFC 9018).
    pub cookies: CookieSettings,
    /// `None`: nobody is limited.
    pub rate_limit: Option<RateLimit>,
}

/// `[dns.cookies]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieSettings {
    /// The first makes cookies, all are accepted: how secrets are rolled over (RFC 9018, section 5). None: the option is ignored.
    pub secrets: Vec<CookieSecret>,
    /// Whoever sends a client cookie over UDP without a valid server cookie gets BADCOOKIE (RFC 7873, section 5.2.3).
    pub required: bool,
}

/// 128 bits that all nodes behind one address share. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieSecret(pub [u8; 16]);

impl std::fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieSecret(…)")
    }
}

/// `[dns.rate_limit]`: equal responses to one client network over UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Equal responses per second and network; at least 1.
    pub per_second: u32,
    /// Every so-manieth limited response is sent empty with TC, so that a real client comes back over TCP; 0: none.
    pub slip: u32,
    /// Bits of an IPv4 address that make a network.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a network.
    pub ipv6_prefix: u8,
    /// Never limited.
    pub exempt: Vec<IpNet>,
}

impl Default for RateLimit {
    fn default() -> Self {
        let loopback = [IpNet::V4(Ipv4Net::new_assert([127, 0, 0, 0].into(), 8)), IpNet::V6(Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128))];
        Self { per_second: 200, slip: 2, ipv4_prefix: 24, ipv6_prefix: 56, exempt: loopback.to_vec() }
    }
}
