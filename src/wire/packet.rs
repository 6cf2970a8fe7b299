//! The response while it is being written: whole record sets or nothing, never past its limit.

use super::{HEADER_OCTETS, Header, Rcode};

/// Where a record set belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Answer
    Answer,
    /// Authority
    Authority,
    /// Additional
    Additional,
}

/// A response being written into a buffer of the caller. The header is written last, by [`Packet::finish`].
#[derive(Debug)]
pub struct Packet<'a> {
    out: &'a mut [u8],
    length: usize,
    limit: usize,
    reserved: usize,
    questions: u16,
    /// Where records begin.
    records_at: usize,
    counts: [u16; 3],
}

impl<'a> Packet<'a> {
    /// An empty response of at most `limit` octets.
    pub fn new(out: &'a mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        let length = HEADER_OCTETS.min(limit);
        Self { out, length, limit, reserved: 0, questions: 0, records_at: length, counts: [0; 3] }
    }

    /// Octets so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Octets that still fit.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.length + self.reserved)
    }

    /// Changes how many octets there may be, and how many of them are kept free for what comes last.
    pub fn set_limit(&mut self, limit: usize, reserved: usize) {
        self.limit = limit.min(self.out.len());
        self.reserved = reserved;
    }

    /// There may be at most so many octets; never more than before.
    pub fn lower_limit(&mut self, limit: usize) {
        self.limit = self.limit.min(limit);
    }

    /// What comes last comes now.
    pub fn use_reserved(&mut self) {
        self.reserved = 0;
    }

    /// Copies the question bit for bit: resolvers look for the case that they sent.
    pub fn put_question(&mut self, question: &[u8]) -> bool {
        let fits = self.put(question);
        self.questions = u16::from(fits);
        self.records_at = self.length;
        fits
    }

    /// Appends octets if all of them fit.
    pub fn put(&mut self, octets: &[u8]) -> bool {
        let end = self.length + octets.len();
        if end + self.reserved > self.limit {
            return false;
        }
        let Some(place) = self.out.get_mut(self.length..end) else { return false };
        place.copy_from_slice(octets);
        self.length = end;
        true
    }

    /// Counts records in a section.
    pub fn count(&mut self, section: Section, records: u16) {
        let [answers, authorities, additionals] = &mut self.counts;
        let count = match section {
            Section::Answer => answers,
            Section::Authority => authorities,
            Section::Additional => additionals,
        };
        *count = count.saturating_add(records);
    }

    /// Overwrites octets already written; out of range is ignored.
    pub fn patch(&mut self, at: usize, octets: &[u8]) {
        if at + octets.len() <= self.length
            && let Some(place) = self.out.get_mut(at..at + octets.len())
        {
            place.copy_from_slice(octets);
        }
    }

    /// Two octets already written, as a number.
    pub fn number_at(&self, at: usize) -> u16 {
        self.out.get(at..).and_then(|rest| rest.first_chunk::<2>()).map_or(0, |octets| u16::from_be_bytes(*octets))
    }

    /// Forgets every record, back to the end of the question.
    pub fn clear_records(&mut self) {
        self.length = self.records_at;
        self.counts = [0; 3];
    }

    /// Writes the header and gives the length of the whole.
    pub fn finish(self, asked: &Header, rcode: Rcode, authoritative: bool, truncated: bool) -> usize {
        let [answers, authorities, additionals] = self.counts;
        let words = [asked.id, asked.response_flags(rcode, authoritative, truncated), self.questions, answers, authorities, additionals];
        if let Some(header) = self.out.first_chunk_mut::<HEADER_OCTETS>() {
            let (pairs, _) = header.as_chunks_mut::<2>();
            for (pair, word) in pairs.iter_mut().zip(words) {
                *pair = word.to_be_bytes();
            }
        }
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_in_part() {
        let mut out = [0; 64];
        let mut packet = Packet::new(&mut out, 20);
        assert!(packet.put(&[1; 6]));
        assert!(!packet.put(&[2; 3]));
        assert!(packet.put(&[3; 2]));
        assert_eq!(packet.length(), 20);
        packet.patch(19, &[9, 9]);
        assert_eq!(packet.number_at(18), 0x0303);
    }

    #[test]
    fn a_buffer_too_small_for_a_header_is_left_alone() {
        let mut out = [7; 4];
        let asked = Header::read(&[0; 12]).unwrap();
        assert_eq!(Packet::new(&mut out, 512).finish(&asked, Rcode::NoError, false, false), 4);
        assert_eq!(out, [7; 4]);
    }
}
