//! Where probes may go. A monitor is a way to make this node connect somewhere, so some places are refused unless the file allows them:
//! addresses that are nobody's gateway, cloud metadata, and this node's own management.
//!
//! Pure: whether an address is this machine's own is asked of the caller. Never here: resolving names; each address that a name has is looked at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Metadata services outside the link-local ranges, which hold the usual ones (169.254.169.254, 169.254.170.2): AWS and Google over IPv6, Alibaba.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// `[probe]`: what is allowed beside the usual, and what is our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeRules {
    /// Networks that are allowed although they are of a refused kind.
    pub allow: Vec<IpNet>,
    /// Our own listeners that are not allowed by name.
    pub own: Vec<(Own, SocketAddr)>,
}

/// A listener of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// `[admin] listen`
    Admin,
    /// `[metrics] listen`
    Metrics,
}

impl Own {
    /// All of them.
    pub const ALL: [Own; 2] = [Own::Admin, Own::Metrics];

    /// What `[probe] allow` calls it.
    pub fn word(self) -> &'static str {
        match self {
            Own::Admin => "admin",
            Own::Metrics => "metrics",
        }
    }
}

/// Why an address is not probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Tells credentials to whoever asks from this machine.
    Metadata,
    /// Many hosts.
    Multicast,
    /// No host.
    Unspecified,
    /// All hosts.
    Broadcast,
    /// Ours.
    Own(Own),
}

/// A noun: `a link-local address`.
impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forbidden::LinkLocal => f.write_str("a link-local address"),
            Forbidden::Metadata => f.write_str("the address of a cloud's metadata service"),
            Forbidden::Multicast => f.write_str("a multicast address"),
            Forbidden::Unspecified => f.write_str("no host's address"),
            Forbidden::Broadcast => f.write_str("the broadcast address"),
            Forbidden::Own(own) => write!(f, "this node's own {} listener", own.word()),
        }
    }
}

impl ProbeRules {
    /// Why `peer` may not be probed; `None`: it may. Port 0: the address as such is meant. `is_local`: whether an address is one of this machine's; asked only when a port of ours that
    /// listens on every address is meant.
    pub fn forbids(&self, peer: SocketAddr, is_local: impl FnOnce(IpAddr) -> bool) -> Option<Forbidden> {
        let address = peer.ip().to_canonical();
        let own = self
            .own
            .iter()
            .find(|(_, listen)| peer.port() != 0 && listen.port() == peer.port() && (listen.ip().is_unspecified() || listen.ip().to_canonical() == address));
        if let Some((own, listen)) = own
            && (!listen.ip().is_unspecified() || address.is_unspecified() || address.is_loopback() || is_local(address))
        {
            return Some(Forbidden::Own(*own));
        }
        let kind = kind(address)?;
        (!self.allow.iter().any(|network| network.contains(&address))).then_some(kind)
    }

    /// What to write into `[probe] allow` to have it probed all the same.
    pub fn way_out(peer: SocketAddr, forbidden: Forbidden) -> String {
        match forbidden {
            Forbidden::Own(own) => own.word().to_string(),
            _ => peer.ip().to_canonical().to_string(),
        }
    }
}

fn kind(address: IpAddr) -> Option<Forbidden> {
    if METADATA.contains(&address) {
        return Some(Forbidden::Metadata);
    }
    if address.is_unspecified() {
        return Some(Forbidden::Unspecified);
    }
    if address.is_multicast() {
        return Some(Forbidden::Multicast);
    }
    match address {
        // "This network" (RFC 1122 §3.2.1.3) reaches this host on some systems.
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(Forbidden::Unspecified),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(Forbidden::Broadcast),
        IpAddr::V4(v4) if v4.octets() == [169, 254, 169, 254] => Some(Forbidden::Metadata),
        IpAddr::V4(v4) if v4.is_link_local() => Some(Forbidden::LinkLocal),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Forbidden::LinkLocal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], own: &[(Own, &str)]) -> ProbeRules {
        ProbeRules {
            allow: allow.iter().map(|network| network.parse().unwrap()).collect(),
            own: own.iter().map(|(own, at)| (*own, at.parse().unwrap())).collect(),
        }
    }

    fn said(rules: &ProbeRules, peer: &str) -> Option<Forbidden> {
        rules.forbids(peer.parse().unwrap(), |address| address == "192.0.2.1".parse::<IpAddr>().unwrap())
    }

    #[test]
    fn what_is_nobodys_gateway_is_refused_and_everything_else_is_not() {
        let none = rules(&[], &[]);
        for (peer, forbidden) in [
            ("169.254.169.254:80", Some(Forbidden::Metadata)),
            ("[::ffff:169.254.169.254]:80", Some(Forbidden::Metadata)),
            ("169.254.1.1:80", Some(Forbidden::LinkLocal)),
            ("100.100.100.200:80", Some(Forbidden::Metadata)),
            ("[fd00:ec2::254]:80", Some(Forbidden::Metadata)),
            ("[fd20:ce::254]:80", Some(Forbidden::Metadata)),
            ("[fe80::1]:80", Some(Forbidden::LinkLocal)),
            ("[febf::1]:80", Some(Forbidden::LinkLocal)),
            ("224.0.0.1:80", Some(Forbidden::Multicast)),
            ("[ff02::1]:80", Some(Forbidden::Multicast)),
            ("0.0.0.0:80", Some(Forbidden::Unspecified)),
            ("0.1.2.3:80", Some(Forbidden::Unspecified)),
            ("[::]:80", Some(Forbidden::Unspecified)),
            ("255.255.255.255:80", Some(Forbidden::Broadcast)),
            ("127.0.0.1:80", None),
            ("[::1]:80", None),
            ("10.0.0.1:80", None),
            ("100.100.100.201:80", None),
            ("[fd00:ec2::253]:80", None),
            ("198.51.100.1:443", None),
        ] {
            assert_eq!(said(&none, peer), forbidden, "{peer}");
        }
    }

    #[test]
    fn a_prefix_in_the_file_allows() {
        let some = rules(&["169.254.0.0/24", "fd00:ec2::254/128"], &[]);
        assert_eq!(said(&some, "169.254.0.7:80"), None);
        assert_eq!(said(&some, "169.254.169.254:80"), Some(Forbidden::Metadata));
        assert_eq!(said(&some, "[fd00:ec2::254]:80"), None);
    }

    #[test]
    fn our_own_listeners_are_refused_at_their_exact_place_and_no_prefix_opens_them() {
        let ours = rules(&["127.0.0.0/8"], &[(Own::Admin, "127.0.0.1:8090"), (Own::Metrics, "0.0.0.0:9153")]);
        assert_eq!(said(&ours, "127.0.0.1:8090"), Some(Forbidden::Own(Own::Admin)));
        assert_eq!(said(&ours, "[::ffff:127.0.0.1]:8090"), Some(Forbidden::Own(Own::Admin)));
        assert_eq!(said(&ours, "127.0.0.2:8090"), None);
        assert_eq!(said(&ours, "127.0.0.1:8091"), None);
        assert_eq!(said(&ours, "127.9.9.9:9153"), Some(Forbidden::Own(Own::Metrics)), "a wildcard listens there, too");
        assert_eq!(said(&ours, "192.0.2.1:9153"), Some(Forbidden::Own(Own::Metrics)), "an address of this machine");
        assert_eq!(said(&ours, "192.0.2.2:9153"), None, "somebody else's");
    }
}
