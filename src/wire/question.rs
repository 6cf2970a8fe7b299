//! The question (RFC 1035, section 4.1.2), parsed strictly.

use super::HEADER_OCTETS;

/// Where the one question of a query stands and what it asks. Its name starts right after the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Octets of QNAME in wire form, 1 to 255.
    pub name_octets: usize,
    /// QTYPE
    pub qtype: u16,
    /// QCLASS
    pub qclass: u16,
}

impl Question {
    /// The question that follows the header. `None` if it is cut short, if a label is longer than 63 octets or the name longer than 255,
    /// and if the name holds a compression pointer: there is nothing before it to point at.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let mut at = HEADER_OCTETS;
        loop {
            match *packet.get(at)? {
                0 => break,
                length @ 1..=63 => at += 1 + usize::from(length),
                _ => return None,
            }
            // RFC 1035, section 2.3.4: at most 255 octets with the root's.
            if at > HEADER_OCTETS + 254 {
                return None;
            }
        }
        let [t0, t1, c0, c1] = *packet.get(at + 1..)?.first_chunk::<4>()?;
        Some(Self { name_octets: at + 1 - HEADER_OCTETS, qtype: u16::from_be_bytes([t0, t1]), qclass: u16::from_be_bytes([c0, c1]) })
    }

    /// Offset of what follows the question.
    pub fn end(&self) -> usize {
        HEADER_OCTETS + self.name_octets + 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(rest: &[u8]) -> Vec<u8> {
        [&[0; HEADER_OCTETS], rest].concat()
    }

    #[test]
    fn a_question_is_read_to_its_last_octet() {
        let question = Question::read(&packet(b"\x01a\x00\x00\x1c\x00\x01")).unwrap();
        assert_eq!(question, Question { name_octets: 3, qtype: 28, qclass: 1 });
        assert_eq!(question.end(), 19);
    }

    #[test]
    fn cut_short_pointers_and_long_names_are_no_question() {
        for rest in [&b""[..], b"\x01", b"\x01a", b"\x01a\x00\x00\x1c\x00", b"\xc0\x0c\x00\x01\x00\x01", b"\x40a\x00\x00\x01\x00\x01", b"\x80"] {
            assert_eq!(Question::read(&packet(rest)), None, "{rest:?}");
        }
        let label = [&[63][..], &[b'a'; 63]].concat();
        let longest = [label.repeat(3), vec![61], vec![b'a'; 61], vec![0, 0, 1, 0, 1]].concat();
        assert_eq!(Question::read(&packet(&longest)).unwrap().name_octets, 255);
        let longer = [label.repeat(3), vec![62], vec![b'a'; 62], vec![0, 0, 1, 0, 1]].concat();
        assert_eq!(Question::read(&packet(&longer)), None);
    }
}
