//! Static record sets in wire form, ready to be copied behind a question.
//!
//! Names in owner and (where RFC 3597, section 4 allows it) RDATA are cut where the zone's apex begins and end in a pointer to the apex, which is always
//! somewhere in the packet before: at the end of the question, or of a CNAME's target. Where exactly depends on the packet, so the places of these
//! pointers are kept; they are filled in for the owner's own question, and patched for others (wildcards, negatives, chains, referrals).

use crate::wire::{HEADER_OCTETS, Name, rtype};
use crate::zone::RecordSet;

/// All static record sets of a snapshot, in one piece of memory.
#[derive(Debug, Default)]
pub struct Sets {
    octets: Vec<u8>,
    patches: Vec<u32>,
    bodies: Vec<RecordSetBody>,
    extras: Vec<u32>,
}

/// One record set in wire form.
#[derive(Clone, Copy, Debug)]
pub struct RecordSetBody {
    /// TYPE
    pub rtype: u16,
    /// How many records.
    pub records: u16,
    /// Where the pointers to the apex point as compiled.
    pub apex_at: u16,
    /// The owner is written out in each record; else each record begins with a pointer to the owner, 0xC00C as compiled.
    pub named: bool,
    start: u32,
    length: u32,
    patches_start: u32,
    patches: u32,
    extras_start: u32,
    extras: u16,
    extras_needed: u16,
}

/// Record sets for the additional section.
#[derive(Clone, Copy, Debug)]
pub struct Extras<'a> {
    /// Without them the response is truncated (RFC 9471, section 3.1).
    pub needed: &'a [u32],
    /// Left out if there is no room.
    pub welcome: &'a [u32],
}

/// How a set's owner is written.
pub(super) enum Owner<'a> {
    /// As a pointer to a name that is in the packet already.
    Pointer,
    /// In each record.
    Written(&'a Name),
}

impl Sets {
    /// A record set by its number.
    pub fn body(&self, id: u32) -> Option<&RecordSetBody> {
        self.bodies.get(id as usize)
    }

    /// Record sets with consecutive numbers.
    pub fn range(&self, first: u32, count: u32) -> &[RecordSetBody] {
        let first = first as usize;
        self.bodies.get(first..first + count as usize).unwrap_or_default()
    }

    /// The records.
    pub fn octets(&self, body: &RecordSetBody) -> &[u8] {
        slice(&self.octets, body.start, body.length)
    }

    /// Offsets of pointers to the apex in [`Self::octets`].
    pub fn patches(&self, body: &RecordSetBody) -> &[u32] {
        slice(&self.patches, body.patches_start, body.patches)
    }

    /// What goes along with the set.
    pub fn extras(&self, body: &RecordSetBody) -> Extras<'_> {
        let all = slice(&self.extras, body.extras_start, body.extras.into());
        let (needed, welcome) = all.split_at_checked(body.extras_needed.into()).unwrap_or((all, &[]));
        Extras { needed, welcome }
    }

    /// How many there are: the number of the next one.
    pub(super) fn len(&self) -> u32 {
        self.bodies.len() as u32
    }

    /// Compiles a set of the zone `apex`; `question` is the length of the question name that its pointers are filled in for.
    pub(super) fn add(&mut self, apex: &Name, question: usize, owner: &Owner<'_>, set: &RecordSet, ttl: u32) -> u32 {
        let (start, patches_start) = (self.octets.len(), self.patches.len());
        let apex_at = (HEADER_OCTETS + question.saturating_sub(apex.wire().len())) as u16;
        let mut writer = NameWriter { octets: &mut self.octets, patches: &mut self.patches, start, apex, apex_at };
        for rdata in &set.rdata {
            match owner {
                Owner::Pointer => writer.octets.extend_from_slice(&[0xc0, HEADER_OCTETS as u8]),
                Owner::Written(name) => writer.name(name.wire()),
            }
            writer.octets.extend_from_slice(&set.rtype.to_be_bytes());
            writer.octets.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
            writer.octets.extend_from_slice(&ttl.to_be_bytes());
            let length_at = writer.octets.len();
            writer.octets.extend_from_slice(&[0, 0]);
            writer.rdata(set.rtype, rdata);
            let length = (writer.octets.len() - length_at - 2) as u16;
            if let Some(place) = writer.octets.get_mut(length_at..length_at + 2) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        self.bodies.push(RecordSetBody {
            rtype: set.rtype,
            records: u16::try_from(set.rdata.len()).unwrap_or(u16::MAX),
            apex_at,
            named: matches!(owner, Owner::Written(_)),
            start: start as u32,
            length: (self.octets.len() - start) as u32,
            patches_start: patches_start as u32,
            patches: (self.patches.len() - patches_start) as u32,
            extras_start: 0,
            extras: 0,
            extras_needed: 0,
        });
        self.len() - 1
    }

    /// Says what goes along with a set.
    pub(super) fn set_extras(&mut self, id: u32, needed: &[u32], welcome: &[u32]) {
        let start = self.extras.len() as u32;
        self.extras.extend(needed.iter().chain(welcome));
        if let Some(body) = self.bodies.get_mut(id as usize) {
            body.extras_start = start;
            body.extras = u16::try_from(needed.len() + welcome.len()).unwrap_or(u16::MAX);
            body.extras_needed = u16::try_from(needed.len()).unwrap_or(u16::MAX);
        }
    }

    /// Gives back memory that is not used.
    pub(super) fn shrink(&mut self) {
        let Self { octets, patches, bodies, extras } = self;
        octets.shrink_to_fit();
        patches.shrink_to_fit();
        bodies.shrink_to_fit();
        extras.shrink_to_fit();
    }
}

/// The name in RDATA that additional records are looked up for (RFC 1035, section 3.3; RFC 2782; RFC 9460, section 4.1).
pub(super) fn additional_target(rtype: u16, rdata: &[u8]) -> Option<Name> {
    let at = match rtype {
        rtype::NS => 0,
        rtype::MX | rtype::SVCB | rtype::HTTPS => 2,
        rtype::SRV => 6,
        _ => return None,
    };
    Name::from_wire(split_name(rdata.get(at..)?)?.0)
}

fn slice<T>(all: &[T], start: u32, length: u32) -> &[T] {
    let start = start as usize;
    all.get(start..start + length as usize).unwrap_or_default()
}

struct NameWriter<'a> {
    octets: &'a mut Vec<u8>,
    patches: &'a mut Vec<u32>,
    start: usize,
    apex: &'a Name,
    apex_at: u16,
}

impl NameWriter<'_> {
    /// A name, cut where the apex begins; one outside the zone is written out.
    fn name(&mut self, name: &[u8]) {
        let mut rest = name;
        while rest.len() > self.apex.wire().len() {
            let Some(after) = rest.first().and_then(|length| rest.get(1 + usize::from(*length)..)) else { break };
            rest = after;
        }
        // A pointer to the root would be longer than the root.
        if rest.len() > 1 && rest.eq_ignore_ascii_case(self.apex.wire()) {
            self.octets.extend_from_slice(name.get(..name.len() - rest.len()).unwrap_or_default());
            self.patches.push((self.octets.len() - self.start) as u32);
            self.octets.extend_from_slice(&(0xc000 | self.apex_at).to_be_bytes());
        } else {
            self.octets.extend_from_slice(name);
        }
    }

    /// RFC 3597, section 4: names are compressed only in the types of RFC 1035.
    fn rdata(&mut self, rtype: u16, rdata: &[u8]) {
        let (before, names) = match rtype {
            rtype::NS | rtype::CNAME | rtype::PTR => (0, 1),
            rtype::MX => (2, 1),
            rtype::SOA => (0, 2),
            _ => return self.octets.extend_from_slice(rdata),
        };
        let (head, mut rest) = rdata.split_at_checked(before).unwrap_or((rdata, &[]));
        self.octets.extend_from_slice(head);
        for _ in 0..names {
            let Some((name, after)) = split_name(rest) else { break };
            self.name(name);
            rest = after;
        }
        self.octets.extend_from_slice(rest);
    }
}

/// The uncompressed name that `octets` begin with, and what follows it.
fn split_name(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *octets.get(at)? {
            0 => return octets.split_at_checked(at + 1),
            length => at += 1 + usize::from(length),
        }
    }
}
