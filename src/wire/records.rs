//! The records after the question of a query: normally none, or one OPT.

use super::{Edns, HEADER_OCTETS, Header, rtype};

/// Records after the question that no well-formed query has. `opt_seen`: one of those read was an OPT, so that the response carries one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedRecords {
    /// An OPT record was among them.
    pub opt_seen: bool,
}

/// Walks the sections from `start`, after the question, to the end of the packet and finds the OPT record.
///
/// A query has no answers, and authorities only for IXFR (RFC 1995, section 3). Malformed: counts that don't match the octets, trailing octets,
/// a second OPT, an OPT whose owner is not the root (RFC 6891, section 6.1.1) or that stands outside the additional section.
/// Other additional records are skipped. Costs at most one step per eleven octets.
pub fn read_records<'a>(packet: &'a [u8], header: &Header, start: usize, qtype: u16) -> Result<Option<Edns<'a>>, MalformedRecords> {
    if header.answers != 0 || (header.authorities != 0 && qtype != rtype::IXFR) {
        return Err(MalformedRecords { opt_seen: false });
    }
    read_sections(packet, start, header.authorities.into(), header.additionals)
}

/// The OPT record of a packet whose sections mean nothing to us, since its opcode is not served. `None` also if the packet is malformed.
pub fn find_opt<'a>(packet: &'a [u8], header: &Header) -> Option<Edns<'a>> {
    let mut at = HEADER_OCTETS;
    for _ in 0..header.questions {
        at = skip_name(packet, at)? + 4;
    }
    read_sections(packet, at, u32::from(header.answers) + u32::from(header.authorities), header.additionals).ok()?
}

/// Records to the end of the packet: `others` of them before the additional section, where OPT stands.
fn read_sections(packet: &[u8], start: usize, others: u32, additionals: u16) -> Result<Option<Edns<'_>>, MalformedRecords> {
    let mut edns = None;
    let malformed = |edns: &Option<Edns<'_>>| MalformedRecords { opt_seen: edns.is_some() };
    let mut at = start;
    for number in 0..others + u32::from(additionals) {
        let Some(record) = Record::read(packet, at) else { return Err(malformed(&edns)) };
        if record.rtype == rtype::OPT {
            let root_owner = record.owner_octets == 1;
            if edns.is_some() || !root_owner || number < others {
                return Err(MalformedRecords { opt_seen: true });
            }
            edns = Some(Edns::read(record.class, record.ttl, record.rdata));
        }
        at = record.end;
    }
    if at == packet.len() { Ok(edns) } else { Err(malformed(&edns)) }
}

/// One record, framed but not understood.
struct Record<'a> {
    owner_octets: usize,
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    rdata: &'a [u8],
    end: usize,
}

impl<'a> Record<'a> {
    /// The record at `start`; `None` if it is cut short or its owner is not a name.
    fn read(packet: &'a [u8], start: usize) -> Option<Self> {
        let owner_end = skip_name(packet, start)?;
        let ([t0, t1, c0, c1, l0, l1, l2, l3, d0, d1], after) = packet.get(owner_end..)?.split_first_chunk::<10>()?;
        let rdata = after.get(..usize::from(u16::from_be_bytes([*d0, *d1])))?;
        Some(Self {
            owner_octets: owner_end - start,
            rtype: u16::from_be_bytes([*t0, *t1]),
            class: u16::from_be_bytes([*c0, *c1]),
            ttl: [*l0, *l1, *l2, *l3],
            rdata,
            end: owner_end + 10 + rdata.len(),
        })
    }
}

/// The offset after the name at `start`. A compression pointer ends a name and must point back, behind the header (RFC 1035, section 4.1.4);
/// it is not followed, so nothing can loop.
fn skip_name(packet: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *packet.get(at + 1)?]));
                return (HEADER_OCTETS..start).contains(&target).then_some(at + 2);
            }
            _ => return None,
        }
        if at - start > 254 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Question;

    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    fn read(authorities: u16, additionals: u16, qtype: u16, rest: &[u8]) -> Result<bool, bool> {
        let [n0, n1] = authorities.to_be_bytes();
        let [a0, a1] = additionals.to_be_bytes();
        let [t0, t1] = qtype.to_be_bytes();
        let packet = [&[0, 0, 0, 0, 0, 1, 0, 0, n0, n1, a0, a1, 0, t0, t1, 0, 1][..], rest].concat();
        let question = Question::read(&packet).unwrap();
        read_records(&packet, &Header::read(&packet).unwrap(), question.end(), question.qtype)
            .map(|edns| edns.is_some())
            .map_err(|malformed| malformed.opt_seen)
    }

    #[test]
    fn none_one_or_skipped() {
        assert_eq!(read(0, 0, 1, b""), Ok(false));
        assert_eq!(read(0, 1, 1, OPT), Ok(true));
        let tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";
        assert_eq!(read(0, 2, 1, &[OPT, tsig].concat()), Ok(true));
        assert_eq!(read(1, 1, rtype::IXFR, &[b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00", OPT].concat()), Ok(true));
    }

    #[test]
    fn lying_counts_and_trailing_octets_are_malformed() {
        assert_eq!(read(0, 1, 1, b""), Err(false));
        assert_eq!(read(0, 2, 1, OPT), Err(true));
        assert_eq!(read(0, 0, 1, OPT), Err(false));
        assert_eq!(read(0, 1, 1, &[OPT, b"\x00"].concat()), Err(true));
        assert_eq!(read(0, 1, 1, &OPT[..10]), Err(false));
        assert_eq!(read(1, 0, 1, OPT), Err(false));
    }

    #[test]
    fn one_opt_with_a_root_owner_in_the_additional_section() {
        assert_eq!(read(0, 2, 1, &[OPT, OPT].concat()), Err(true));
        assert_eq!(read(0, 1, 1, &[b"\x01a", OPT].concat()), Err(true));
        assert_eq!(read(0, 1, 1, &[b"\xc0\x0c", &OPT[1..]].concat()), Err(true));
        assert_eq!(read(1, 0, rtype::IXFR, OPT), Err(true));
    }

    #[test]
    fn opt_is_found_whatever_the_opcode_means_by_its_sections() {
        let found = |counts: [u8; 4], rest: &[u8]| {
            let [q, a, n, r] = counts;
            let packet = [&[0, 0, 0x28, 0, 0, q, 0, a, 0, n, 0, r][..], rest].concat();
            find_opt(&packet, &Header::read(&packet).unwrap()).is_some()
        };
        let question = b"\x01a\x00\x00\x06\x00\x01";
        let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
        assert!(found([1, 1, 1, 1], &[&question[..], record, record, OPT].concat()));
        assert!(found([0, 0, 0, 1], OPT));
        assert!(!found([0, 0, 0, 0], b""));
        for (counts, rest) in
            [([1, 0, 0, 1], OPT), ([0, 0, 0, 2], OPT), ([0, 0, 1, 0], OPT), ([0, 0, 0, 1], &OPT[..10]), ([255, 0, 0, 1], b"\x00\x00\x00\x00\x00")]
        {
            assert!(!found(counts, rest));
        }
    }

    #[test]
    fn pointers_point_back_behind_the_header() {
        let rest = |pointer: &[u8]| [pointer, b"\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"].concat();
        assert_eq!(read(0, 1, 1, &rest(b"\xc0\x0c")), Ok(false));
        for bad in [b"\xc0\x00", b"\xc0\x0b", b"\xc0\x11", b"\xc0\xff", b"\x80\x0c"] {
            assert_eq!(read(0, 1, 1, &rest(bad)), Err(false), "{bad:?}");
        }
    }

    #[test]
    fn an_owner_is_a_name_of_255_octets_at_most() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let record = |last: usize| [label.repeat(3), vec![last as u8], vec![b'a'; last], vec![0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(read(0, 1, 1, &record(61)), Ok(false));
        assert_eq!(read(0, 1, 1, &record(62)), Err(false));
    }
}
