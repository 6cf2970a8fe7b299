//! Queries, right and wrong ones.

use super::OPT;
use super::text::type_number;

/// A query: every field can be set, wrongly too.
#[derive(Clone, Debug)]
pub struct Query {
    pub id: u16,
    pub flags: u16,
    /// The four counts, if not the true ones.
    counts: Option<[u16; 4]>,
    question: Vec<u8>,
    /// Records after the question, each with its section (1 answer, 2 authority, 3 additional).
    records: Vec<(usize, Vec<u8>)>,
    /// Follows whatever else there is.
    tail: Vec<u8>,
}

/// Wire form of a name; `\DDD` and `\.` are understood, case is kept.
pub fn name(text: &str) -> Vec<u8> {
    let (mut wire, mut label) = (Vec::new(), Vec::new());
    let mut octets = text.bytes();
    let end = |label: &mut Vec<u8>, wire: &mut Vec<u8>| {
        if !label.is_empty() {
            wire.push(label.len() as u8);
            wire.append(label);
        }
    };
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => end(&mut label, &mut wire),
            b'\\' => {
                let first = octets.next().expect("an escape");
                if first.is_ascii_digit() {
                    let digits = [first, octets.next().expect("a digit"), octets.next().expect("a digit")];
                    label.push(std::str::from_utf8(&digits).expect("digits").parse().expect("an octet"));
                } else {
                    label.push(first);
                }
            }
            _ => label.push(octet),
        }
    }
    end(&mut label, &mut wire);
    wire.push(0);
    wire
}

impl Query {
    /// A name as text, a type by its number, class IN.
    pub fn new(text: &str, qtype: u16) -> Self {
        Self::of_wire(&name(text), qtype, 1)
    }

    /// `"www.example.test. AAAA"`.
    pub fn of(text: &str) -> Self {
        let (name, rtype) = text.split_once(' ').expect("a name and a type");
        Self::new(name, type_number(rtype))
    }

    pub fn of_wire(name: &[u8], qtype: u16, qclass: u16) -> Self {
        let question = [name, &qtype.to_be_bytes(), &qclass.to_be_bytes()].concat();
        Self { id: 0x1d0b, flags: 0, counts: None, question, records: Vec::new(), tail: Vec::new() }
    }

    pub fn class(mut self, qclass: u16) -> Self {
        let at = self.question.len() - 2;
        self.question[at..].copy_from_slice(&qclass.to_be_bytes());
        self
    }

    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    pub fn opcode(self, opcode: u16) -> Self {
        let flags = self.flags & !0x7800 | opcode << 11;
        self.flags(flags)
    }

    pub fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = Some(counts);
        self
    }

    /// Anything in place of the question, which still counts as one.
    pub fn question(mut self, octets: &[u8]) -> Self {
        self.question = octets.to_vec();
        self
    }

    /// A record in a section.
    pub fn record(mut self, section: usize, octets: &[u8]) -> Self {
        self.records.push((section, octets.to_vec()));
        self
    }

    /// An OPT record without options.
    pub fn edns(self, payload: u16) -> Self {
        self.opt(payload, [0; 4], &[])
    }

    /// An OPT record with DO.
    pub fn dnssec(self, payload: u16) -> Self {
        self.opt(payload, [0, 0, 0x80, 0], &[])
    }

    /// An OPT record with one option.
    pub fn option(self, code: u16, data: &[u8]) -> Self {
        self.opt(1232, [0; 4], &option(code, data))
    }

    /// An OPT record: payload size, TTL field (extended RCODE, version, flags), options as they are.
    pub fn opt(self, payload: u16, ttl: [u8; 4], options: &[u8]) -> Self {
        self.record(3, &opt(payload, ttl, options))
    }

    pub fn tail(mut self, octets: &[u8]) -> Self {
        self.tail.extend_from_slice(octets);
        self
    }

    pub fn octets(&self) -> Vec<u8> {
        let mut counts = [u16::from(!self.question.is_empty()), 0, 0, 0];
        self.records.iter().for_each(|(section, _)| counts[*section] += 1);
        let words = [self.id, self.flags].into_iter().chain(self.counts.unwrap_or(counts));
        let mut octets: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
        octets.extend_from_slice(&self.question);
        self.records.iter().for_each(|(_, record)| octets.extend_from_slice(record));
        octets.extend_from_slice(&self.tail);
        octets
    }
}

/// An OPT record.
pub fn opt(payload: u16, ttl: [u8; 4], options: &[u8]) -> Vec<u8> {
    [&[0][..], &OPT.to_be_bytes(), &payload.to_be_bytes(), &ttl, &(options.len() as u16).to_be_bytes(), options].concat()
}

/// An EDNS option.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}
