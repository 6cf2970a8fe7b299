//! Zones: static records from RFC 1035 master files, and the rules that a zone must keep.
//!
//! Pure: text comes in through a `read` argument; nothing here opens a file.
//!
//! ```text
//! text ─▶ scan (entries, tokens) ─▶ parse (records) ─▶ check (rules) ─▶ Zone
//! ```

mod check;
mod parse;
mod problem;
mod scan;

use std::path::{Path, PathBuf};

pub use parse::{Read, type_word};
pub use problem::{Problem, Source};

use crate::wire::Name;

/// A checked zone: one SOA at the apex, NS present, every record inside, glue for in-zone NS.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its apex.
    pub apex: Name,
    /// Record sets, by owner then type; the apex's first. Owner names are lower case and within `apex`.
    pub sets: Vec<RecordSet>,
}

impl Zone {
    /// The SOA's serial (RFC 1035, section 3.3.13).
    pub fn serial(&self) -> u32 {
        let soa = self.sets.iter().find(|set| set.rtype == 6 && set.owner == self.apex).and_then(|set| set.rdata.first());
        let serial = soa.and_then(|rdata| rdata.len().checked_sub(20).and_then(|at| rdata.get(at..))).and_then(|numbers| numbers.first_chunk::<4>());
        serial.map_or(0, |serial| u32::from_be_bytes(*serial))
    }
}

/// `a < b` as serials (RFC 1982, section 3.2).
pub fn is_older(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) < 1 << 31
}

/// All records of one owner and type (RFC 2181, section 5), without duplicates, one TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// Owner name; may be a wildcard.
    pub owner: Name,
    /// TYPE number.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA in wire form, names uncompressed.
    pub rdata: Vec<Box<[u8]>>,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Loaded::files`].
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// What loading a zone gave.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The zone; `None` if there are problems.
    pub zone: Option<Zone>,
    /// The first record's place, for each of the zone's sets.
    pub places: Vec<Place>,
    /// Every file that was read: the zone's, then what it includes.
    pub files: Vec<PathBuf>,
    /// Why there is no zone: all of it.
    pub problems: Vec<Problem>,
    /// What is served and yet perhaps not meant.
    pub warnings: Vec<Problem>,
}

/// Reads and checks the zone `apex` from `file` and what it includes. Relative includes are relative to the file that names them.
pub fn load(apex: &Name, file: &Path, read: &mut Read<'_>) -> Loaded {
    let parsed = parse::parse(apex, file, read);
    check::check(apex, parsed)
}

#[cfg(test)]
mod tests;
