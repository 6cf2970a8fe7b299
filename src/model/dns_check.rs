//! A DNS query and what its response must look like. Definition only; asking is the `probe` room's.

use std::net::IpAddr;

use crate::wire::Name;

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

/// Response codes that a check may expect (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rcode {
    /// There is such a name.
    #[default]
    NoError,
    /// The query is not understood.
    FormErr,
    /// The server has trouble.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// This kind of query is not known.
    NotImp,
    /// The server does not want to answer.
    Refused,
}

impl Rcode {
    /// All of them, by number.
    pub const ALL: [Rcode; 6] = [Rcode::NoError, Rcode::FormErr, Rcode::ServFail, Rcode::NxDomain, Rcode::NotImp, Rcode::Refused];

    /// As every tool writes it.
    pub fn word(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
        }
    }

    /// On the wire.
    pub fn number(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
        }
    }
}
