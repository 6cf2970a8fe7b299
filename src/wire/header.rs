//! The header of a packet (RFC 1035, section 4.1.1; RFC 6895, section 2).

/// A header is always this long.
pub const HEADER_OCTETS: usize = 12;

/// QR: this is a response.
const QR: u16 = 0x8000;
/// AA: authoritative answer.
const AA: u16 = 0x0400;
/// TC: truncated.
const TC: u16 = 0x0200;
/// RD: recursion desired.
const RD: u16 = 0x0100;
/// The four bits of the opcode.
const OPCODE: u16 = 0x7800;

/// A header as it came. Its Z, AD and CD bits say nothing to an authoritative server (RFC 4035, section 3.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// ID, copied into the response.
    pub id: u16,
    flags: u16,
    /// QDCOUNT
    pub questions: u16,
    /// ANCOUNT
    pub answers: u16,
    /// NSCOUNT
    pub authorities: u16,
    /// ARCOUNT
    pub additionals: u16,
}

/// What kind of query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// 0
    Query,
    /// 4 (RFC 1996)
    Notify,
    /// 5 (RFC 2136)
    Update,
    /// Anything else: IQUERY, STATUS, DSO, unassigned.
    Other,
}

/// How a query ended (RFC 1035, section 4.1.1; RFC 6891, section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rcode {
    /// 0
    #[default]
    NoError,
    /// 1
    FormErr,
    /// 2
    ServFail,
    /// 3
    NxDomain,
    /// 4
    NotImp,
    /// 5
    Refused,
    /// 16: needs an OPT record for its upper bits.
    BadVers,
    /// 23 (RFC 7873, section 8): needs an OPT record for its upper bits.
    BadCookie,
}

impl Rcode {
    /// All, in the order of their numbers.
    pub const ALL: [Rcode; 8] =
        [Rcode::NoError, Rcode::FormErr, Rcode::ServFail, Rcode::NxDomain, Rcode::NotImp, Rcode::Refused, Rcode::BadVers, Rcode::BadCookie];

    /// All twelve bits.
    pub fn number(self) -> u16 {
        match self {
            Rcode::BadVers => 16,
            Rcode::BadCookie => 23,
            // The others stand in the order of their numbers.
            _ => self as u16,
        }
    }

    /// The word of the `rcode` label, as in the IANA registry but in capitals.
    pub fn word(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::BadVers => "BADVERS",
            Rcode::BadCookie => "BADCOOKIE",
        }
    }
}

impl Header {
    /// The first twelve octets; `None` if there are fewer.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let [i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1] = *packet.first_chunk::<HEADER_OCTETS>()?;
        Some(Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([a0, a1]),
            authorities: u16::from_be_bytes([n0, n1]),
            additionals: u16::from_be_bytes([r0, r1]),
        })
    }

    /// QR
    pub fn is_response(&self) -> bool {
        self.flags & QR != 0
    }

    /// OPCODE
    pub fn opcode(&self) -> Opcode {
        match (self.flags & OPCODE) >> 11 {
            0 => Opcode::Query,
            4 => Opcode::Notify,
            5 => Opcode::Update,
            _ => Opcode::Other,
        }
    }

    /// The flags of the response to this query: QR set, OPCODE and RD copied, RA, Z, AD and CD clear.
    pub fn response_flags(&self, rcode: Rcode, authoritative: bool, truncated: bool) -> u16 {
        let asked = self.flags & (OPCODE | RD);
        QR | asked | if authoritative { AA } else { 0 } | if truncated { TC } else { 0 } | (rcode.number() & 0x0f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_copies_opcode_and_rd_and_clears_the_rest() {
        let asked = Header { id: 7, flags: 0x7fff, questions: 1, answers: 0, authorities: 0, additionals: 0 };
        assert_eq!(asked.response_flags(Rcode::NotImp, false, false), 0x8000 | 0x7800 | 0x0100 | 4);
        let asked = Header { flags: 0, ..asked };
        assert_eq!(asked.response_flags(Rcode::BadVers, true, true), 0x8000 | 0x0400 | 0x0200);
    }

    #[test]
    fn eleven_octets_are_no_header() {
        assert_eq!(Header::read(&[0; 11]), None);
        assert!(Header::read(&[0; 12]).is_some());
    }
}
