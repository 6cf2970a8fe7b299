//! A DNS query and what its response must look like. Definition only; asking is the `probe` room's.

use std::net::IpAddr;

use crate::wire::{Name, Rcode};

/// One question to the endpoint's own address, and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// Port to ask; UDP, and TCP when the response is truncated.
    pub port: u16,
    /// Whose records.
    pub name: Name,
    /// Of which type: its number, and its name for people.
    pub record_type: (u16, String),
    /// Response code that passes.
    pub rcode: Rcode,
    /// An address that must be among the answers.
    pub address: Option<IpAddr>,
}
