//! Whether this node may probe an address: asked for every address that is connected to, after names were resolved, whoever wants the probe.
//!
//! The rules are [`ProbeRules`]; here is what they need of this machine. Never here: a list of interfaces that could be old.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::health::Reason;
use crate::model::ProbeRules;

use super::fail::Failure;

/// The rules in force for one probe.
#[derive(Clone, Debug, Default)]
pub struct Permit(pub Arc<ProbeRules>);

impl Permit {
    /// For what is no probe.
    pub fn anywhere() -> Self {
        let allow = vec![IpNet::from(Ipv4Net::default()), IpNet::from(Ipv6Net::default())];
        Self(Arc::new(ProbeRules { allow, ..ProbeRules::default() }))
    }

    /// Before anything is sent to `peer` (port 0: to its address). The failure is this node's ([`Reason::Internal`]): it says nothing about the peer.
    pub fn check(&self, peer: SocketAddr) -> Result<(), Failure> {
        match self.0.forbids(peer, is_local) {
            None => Ok(()),
            Some(forbidden) => {
                let way_out = ProbeRules::way_out(peer, forbidden);
                let peer = if peer.port() == 0 { peer.ip().to_string() } else { peer.to_string() };
                let message = format!("this node does not probe {peer}: it is {forbidden} (allowed by [probe] allow = [\"{way_out}\"])");
                Err(Failure::new(Reason::Internal, message))
            }
        }
    }
}

/// Whether an address is one of this machine's: packets to it would leave from itself. Asks the kernel's routes, sends nothing.
fn is_local(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Own;

    #[test]
    fn this_machines_addresses_are_known_by_where_packets_to_them_leave_from() {
        assert!(is_local("127.0.0.1".parse().unwrap()));
        assert!(!is_local("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn a_refusal_says_what_and_the_way_out() {
        let own = vec![(Own::Admin, "0.0.0.0:8090".parse().unwrap())];
        let permit = Permit(Arc::new(ProbeRules { own, ..ProbeRules::default() }));
        let refused = permit.check("169.254.169.254:80".parse().unwrap()).unwrap_err();
        assert_eq!(refused.reason, Reason::Internal);
        assert_eq!(
            refused.message,
            "this node does not probe 169.254.169.254:80: it is the address of a cloud's metadata service (allowed by [probe] allow = [\"169.254.169.254\"])"
        );
        let refused = permit.check("127.0.0.3:8090".parse().unwrap()).unwrap_err();
        assert!(refused.message.contains("this node's own admin listener (allowed by [probe] allow = [\"admin\"])"), "{}", refused.message);
        assert_eq!(permit.check("127.0.0.3:8091".parse().unwrap()), Ok(()));
    }
}
