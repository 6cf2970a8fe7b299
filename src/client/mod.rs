//! Who asks: client addresses, prefixes and classes.
//!
//! [`Clients`] tells which clients policies can't tell apart; [`Subnet`] is what a resolver says of whom it asks for.

#![deny(clippy::indexing_slicing, reason = "bytes from strangers")]

mod class;
mod spans;
mod subnet;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use class::{Attributes, ClassId, Clients, DatabaseInfo, Measured, Origin, Origins, Questions};
pub use subnet::Subnet;

/// What counts as one client for limits: an IPv4 address, or an IPv6 /64, which is what one host usually has.
pub fn host_prefix(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, 64).trunc()),
    }
}
