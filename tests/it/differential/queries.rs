//! Queries from a seed: names that exist, near misses, names below cuts and wildcards, every type, every way of asking.

use super::super::raw::{Query, name_text, type_text};

/// Octets that everybody answers with at most, over UDP.
pub const UDP_OCTETS_MAX: usize = 1232;

const TYPES: [u16; 40] = [
    1, 1, 1, 1, 28, 28, 28, 2, 2, 5, 5, 6, 6, 12, 13, 15, 15, 16, 16, 17, 18, 29, 33, 33, 35, 36, 39, 43, 43, 43, 44, 46, 47, 48, 52, 64, 65, 255, 257, 65_280,
];
/// Types that are asked for rarely: meta types, types of nothing.
const ODD_TYPES: [u16; 16] = [0, 3, 4, 10, 38, 41, 99, 128, 200, 249, 250, 251, 252, 253, 254, 65_535];
const LABELS: [&[u8]; 24] = [
    b"a", b"b", b"c", b"x", b"www", b"ns", b"*", b"host", b"wild", b"cut", b"sub", b"deep", b"child", b"mail", b"_tcp", b"zz", b"0", b"exact", b"loop",
    b"\x00", b"\xff", b"a.b", b"*a", b"-",
];
const FOREIGN: [&str; 8] = [".", "test.", "xdiff.test.", "example.org.", "diff.test.example.", "iff.test.", "www.example.org.", "tes."];
/// Without CH, of which BIND answers three queries a second at most.
const ODD_CLASSES: [u16; 6] = [0, 2, 4, 254, 255, 300];
/// Client subnets, as whole options.
const SUBNETS: [&[u8]; 3] =
    [b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02", b"\x00\x08\x00\x04\x00\x01\x00\x00", b"\x00\x08\x00\x0b\x00\x02\x38\x00\x20\x01\x0d\xb8\x00\x00\x00"];
const SIZES: [u16; 10] = [0, 511, 512, 513, 700, 1000, 1231, 1232, 4096, 65_535];

/// One query, and how it is asked.
#[derive(Debug)]
pub struct Asked {
    pub number: u64,
    pub name: Vec<u8>,
    pub qtype: u16,
    pub qclass: u16,
    pub flags: u16,
    /// Payload size, version, DO.
    pub edns: Option<(u16, u8, bool)>,
    pub tcp: bool,
    pub query: Query,
}

/// splitmix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

impl Asked {
    /// The query with this number. `names` exist.
    pub fn nth(seed: u64, number: u64, names: &[Vec<u8>]) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ number);
        let mut name = some_name(&mut dice, names);
        if dice.percent(30) {
            let mask = dice.next();
            recase(&mut name, mask);
        }
        let qtype = match dice.below(100) {
            0..4 => *dice.one(&ODD_TYPES),
            4..6 => dice.next() as u16,
            _ => *dice.one(&TYPES),
        };
        let qclass = if dice.percent(1) { *dice.one(&ODD_CLASSES) } else { 1 };
        let mut flags = 0;
        for (flag, percent) in [(0x0100, 50), (0x0020, 10), (0x0010, 10), (0x0040, 3), (0x0080, 3), (0x0400, 3)] {
            if dice.percent(percent) {
                flags |= flag;
            }
        }
        let mut query = Query::of_wire(&name, qtype, qclass).id(dice.next() as u16).flags(flags);
        let edns = dice.percent(60).then(|| (*dice.one(&SIZES), u8::from(dice.percent(2)), dice.percent(40)));
        if let Some((size, version, dnssec_ok)) = edns {
            let mut options = Vec::new();
            if dice.percent(20) {
                options.extend_from_slice(SUBNETS[dice.below(SUBNETS.len())]);
            }
            if dice.percent(5) {
                options.extend_from_slice(b"\xfd\xe9\x00\x03abc");
            }
            query = query.opt(size, [0, version, if dnssec_ok { 0x80 } else { 0 }, 0], &options);
        }
        Self { number, name, qtype, qclass, flags, edns, tcp: dice.percent(3), query }
    }

    /// Octets that the response may have.
    pub fn limit(&self) -> usize {
        match self.edns {
            _ if self.tcp => usize::from(u16::MAX),
            Some((size, _, _)) => usize::from(size).clamp(512, UDP_OCTETS_MAX),
            None => 512,
        }
    }

    pub fn text(&self) -> String {
        let Self { number, qclass, flags, edns, tcp, .. } = self;
        let class = if *qclass == 1 { String::new() } else { format!(" class {qclass}") };
        format!(
            "query {number}: {} {}{class}, flags {flags:#06x}, EDNS {edns:?}{}",
            name_text(&self.name),
            type_text(self.qtype),
            if *tcp { ", TCP" } else { "" }
        )
    }
}

fn some_name(dice: &mut Dice, names: &[Vec<u8>]) -> Vec<u8> {
    let there = dice.one(names).clone();
    let name = match dice.below(100) {
        0..40 => there,
        // One or two labels below it.
        40..55 => [random_label(dice), there].concat(),
        55..62 => [random_label(dice), random_label(dice), there].concat(),
        // The name above it, and a sibling.
        62..70 => parent(&there).to_vec(),
        70..80 => [random_label(dice), parent(&there).to_vec()].concat(),
        // A letter off.
        80..90 => {
            let mut name = there;
            let label = usize::from(name[0]);
            if label > 0 {
                name[1 + dice.below(label)] = b'a' + dice.below(26) as u8;
            }
            name
        }
        // A label out of the middle.
        90..95 => {
            let first = label_of(&there).to_vec();
            [first, parent(parent(&there)).to_vec()].concat()
        }
        95..97 => super::super::raw::name(FOREIGN[dice.below(FOREIGN.len())]),
        _ => [b"\x01*".to_vec(), there].concat(),
    };
    if name.len() > 255 { vec![0] } else { name }
}

fn random_label(dice: &mut Dice) -> Vec<u8> {
    let label: Vec<u8> = if dice.percent(70) { dice.one(&LABELS).to_vec() } else { (0..=dice.below(20)).map(|_| b'a' + dice.below(26) as u8).collect() };
    [&[label.len() as u8][..], &label].concat()
}

fn label_of(name: &[u8]) -> &[u8] {
    if name[0] == 0 { &[] } else { &name[..=usize::from(name[0])] }
}

fn parent(name: &[u8]) -> &[u8] {
    if name[0] == 0 { name } else { &name[1 + usize::from(name[0])..] }
}

/// Letters change their case as `mask` says.
fn recase(name: &mut [u8], mask: u64) {
    for (at, octet) in name.iter_mut().enumerate() {
        if octet.is_ascii_alphabetic() && mask >> (at % 64) & 1 == 1 {
            *octet ^= 0x20;
        }
    }
}
