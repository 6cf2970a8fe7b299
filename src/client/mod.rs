//! Who asks: client addresses and prefixes.
//!
//! A place for networks and prefix tables; today it holds what EDNS Client Subnet and limits per client need.

#![deny(clippy::indexing_slicing, reason = "bytes from strangers")]

mod subnet;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use subnet::Subnet;

/// What counts as one client for limits: an IPv4 address, or an IPv6 /64, which is what one host usually has.
pub fn host_prefix(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, 64).trunc()),
    }
}
