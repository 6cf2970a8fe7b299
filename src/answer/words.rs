//! Closed lists that label what is counted.

use crate::wire::rtype;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

impl Transport {
    /// Both, in table order.
    pub const ALL: [Transport; 2] = [Transport::Udp, Transport::Tcp];

    /// The word of the `proto` label.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// Why a query got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Shorter than a header.
    Short,
    /// It was a response.
    Response,
    /// From a port that would answer the answer, or that can't be answered.
    SourcePort,
    /// Too many equal responses to one network.
    RateLimit,
    /// The socket did not take the response. Counted by `dns`.
    Send,
    /// A bug: handling it panicked, and only it was lost. Counted by `dns`.
    Panic,
}

impl DropReason {
    /// All of them, in table order.
    pub const ALL: [DropReason; 6] =
        [DropReason::Short, DropReason::Response, DropReason::SourcePort, DropReason::RateLimit, DropReason::Send, DropReason::Panic];

    /// The word of the `reason` label.
    pub fn word(self) -> &'static str {
        match self {
            DropReason::Short => "short",
            DropReason::Response => "response",
            DropReason::SourcePort => "source_port",
            DropReason::RateLimit => "ratelimit",
            DropReason::Send => "send",
            DropReason::Panic => "panic",
        }
    }
}

/// What was made of a client subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubnetOutcome {
    /// The answer did not depend on it.
    Ignored,
    /// The answer was chosen by it.
    Used,
    /// FORMERR
    Malformed,
}

impl SubnetOutcome {
    /// All of them, in table order.
    pub const ALL: [SubnetOutcome; 3] = [SubnetOutcome::Ignored, SubnetOutcome::Used, SubnetOutcome::Malformed];

    /// The word of the `outcome` label.
    pub fn word(self) -> &'static str {
        match self {
            SubnetOutcome::Ignored => "ignored",
            SubnetOutcome::Used => "used",
            SubnetOutcome::Malformed => "malformed",
        }
    }
}

/// What a DNS cookie was worth (RFC 7873).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CookieOutcome {
    /// A client's alone: it learns ours.
    New,
    /// With one of ours: the client's address is proven.
    Valid,
    /// With one that is not ours, too old, or made for another address.
    Invalid,
    /// FORMERR
    Malformed,
}

impl CookieOutcome {
    /// All of them, in table order.
    pub const ALL: [CookieOutcome; 4] = [CookieOutcome::New, CookieOutcome::Valid, CookieOutcome::Invalid, CookieOutcome::Malformed];

    /// The word of the `outcome` label.
    pub fn word(self) -> &'static str {
        match self {
            CookieOutcome::New => "new",
            CookieOutcome::Valid => "valid",
            CookieOutcome::Invalid => "invalid",
            CookieOutcome::Malformed => "malformed",
        }
    }
}

/// Words of the `qtype` label; the last one is everything else.
pub const QTYPE_WORDS: [&str; 20] =
    ["A", "AAAA", "NS", "SOA", "CNAME", "MX", "TXT", "SRV", "CAA", "PTR", "DS", "DNSKEY", "SVCB", "HTTPS", "TLSA", "NAPTR", "ANY", "AXFR", "IXFR", "other"];

/// Position in [`QTYPE_WORDS`]; `None`: no question was read.
pub(super) fn qtype_index(qtype: Option<u16>) -> usize {
    match qtype {
        Some(rtype::A) => 0,
        Some(rtype::AAAA) => 1,
        Some(rtype::NS) => 2,
        Some(rtype::SOA) => 3,
        Some(rtype::CNAME) => 4,
        Some(rtype::MX) => 5,
        Some(rtype::TXT) => 6,
        Some(rtype::SRV) => 7,
        Some(rtype::CAA) => 8,
        Some(rtype::PTR) => 9,
        Some(rtype::DS) => 10,
        Some(rtype::DNSKEY) => 11,
        Some(rtype::SVCB) => 12,
        Some(rtype::HTTPS) => 13,
        Some(rtype::TLSA) => 14,
        Some(rtype::NAPTR) => 15,
        Some(rtype::ANY) => 16,
        Some(rtype::AXFR) => 17,
        Some(rtype::IXFR) => 18,
        _ => QTYPE_WORDS.len() - 1,
    }
}
