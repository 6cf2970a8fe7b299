//! The name index: what every name in our zones is.
//!
//! One hash table from lower-case wire names to [`Slot`]s of 12 octets, names in one arena: a million names are about 60 MB. Empty non-terminals are in it,
//! names below cuts are not; so the longest name found that is equal to the end of a query's name tells all: the name itself, its cut, or its closest encloser.

use hashbrown::HashTable;

use crate::model::ServiceId;
use crate::wire::{Lowered, Name, hash_octets};

use super::{RecordSetBody, Sets, ZoneSlot};

/// In [`StaticName::service`]: none.
pub(super) const NO_SERVICE: u32 = u32::MAX;
/// In numbers of names, sets and zones: none.
pub(super) const NONE: u32 = u32::MAX;

/// What every name in our zones is.
#[derive(Default)]
pub struct NameIndex {
    pub(super) table: HashTable<Slot>,
    /// Names one after the other; a name in wire form says itself where it ends.
    pub(super) arena: Vec<u8>,
    pub(super) statics: Vec<StaticName>,
    pub(super) zones: Vec<ZoneEntry>,
    pub(super) sets: Sets,
    /// The longest name has this many octets; a longer one can't be in the table.
    pub(super) octets_max: usize,
}

/// A name's entry.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) zone: u16,
    pub(super) kind: Kind,
    /// `*.NAME` exists.
    pub(super) wildcard_below: bool,
}

impl Slot {
    /// Its own among all names of this index.
    pub fn identity(&self) -> u32 {
        self.name
    }

    /// Number of the zone that the name belongs to; for a cut the parent's.
    pub fn zone(&self) -> u16 {
        self.zone
    }
}

/// What [`Slot::value`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service and nothing else: its id.
    Service,
    /// Static records, perhaps beside a service: in `statics`.
    Static,
    /// A delegation: in `statics`.
    Cut,
    /// An empty non-terminal (RFC 8499): nothing.
    Empty,
}

/// A name with static records.
#[derive(Clone, Copy, Debug)]
pub struct StaticName {
    pub(super) first_set: u32,
    pub(super) sets: u32,
    /// [`NO_SERVICE`], or whose A and AAAA the name has.
    pub(super) service: u32,
    /// Where its CNAME leads: in the arena.
    pub(super) cname: u32,
    /// For an apex: the parent zone's side of it, in `statics`.
    pub(super) above: u32,
}

/// A zone.
#[derive(Clone, Copy, Debug)]
pub struct ZoneEntry {
    /// For counters.
    pub slot: ZoneSlot,
    /// Octets of its apex in wire form.
    pub apex_octets: u8,
    /// The SOA record for negative answers, owner by pointer, TTL by RFC 2308.
    pub soa: Option<u32>,
    /// TTL of that record.
    pub negative_ttl: u32,
    /// The zone above that is ours, too.
    pub parent: Option<u16>,
}

/// What was found for a name.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// The name itself.
    Name(Slot),
    /// The name is not there, but a wildcard stands for it (RFC 4592).
    Wildcard(Slot),
    /// It is at or below a cut, which begins at this offset in the name.
    Cut(Slot, usize),
    /// It does not exist in this zone.
    Nothing(u16),
    /// It is in none of our zones.
    Outside,
}

/// What a name has.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A service alone.
    Service(ServiceId),
    /// Static records, perhaps with a service beside them.
    Static(&'a StaticName),
    /// Nothing (an empty non-terminal).
    Empty,
}

impl NameIndex {
    /// What `name` is.
    pub fn find(&self, name: &Lowered) -> Found {
        let octets = name.octets();
        let mut found = if octets.len() <= self.octets_max { self.get(octets, name.hash()) } else { None };
        if let Some(slot) = found
            && slot.kind != Kind::Cut
        {
            return Found::Name(slot);
        }
        let mut at = 0;
        while found.is_none() {
            // The next label; the root has none.
            match octets.get(at) {
                None | Some(0) => return Found::Outside,
                Some(length) => at += 1 + usize::from(*length),
            }
            let ancestor = octets.get(at..).unwrap_or_default();
            if ancestor.len() <= self.octets_max {
                found = self.get(ancestor, hash_octets(ancestor));
            }
        }
        let Some(encloser) = found else { return Found::Outside };
        if encloser.kind == Kind::Cut {
            return Found::Cut(encloser, at);
        }
        // RFC 4592, section 3.3.1: the source of synthesis is the asterisk label right below the closest encloser.
        match encloser.wildcard_below.then(|| self.wildcard(octets.get(at..).unwrap_or_default())).flatten() {
            Some(slot) => Found::Wildcard(slot),
            None => Found::Nothing(encloser.zone),
        }
    }

    fn wildcard(&self, encloser: &[u8]) -> Option<Slot> {
        let mut name = [0; 258];
        let [length, asterisk, rest @ ..] = &mut name;
        (*length, *asterisk) = (1, b'*');
        rest.get_mut(..encloser.len())?.copy_from_slice(encloser);
        let name = name.get(..encloser.len() + 2)?;
        self.get(name, hash_octets(name))
    }

    pub(super) fn get(&self, name: &[u8], hash: u64) -> Option<Slot> {
        self.table.find(hash, |slot| self.arena.get(slot.name as usize..).is_some_and(|arena| arena.starts_with(name))).copied()
    }

    /// What the name of a slot has; for a cut the records on the parent's side.
    pub fn what(&self, slot: &Slot) -> What<'_> {
        match slot.kind {
            Kind::Service => What::Service(ServiceId(slot.value)),
            Kind::Empty => What::Empty,
            Kind::Static | Kind::Cut => self.statics.get(slot.value as usize).map_or(What::Empty, What::Static),
        }
    }

    /// The zone of a slot.
    pub fn zone_of(&self, slot: &Slot) -> Option<&ZoneEntry> {
        self.zone(slot.zone)
    }

    /// A zone by its number.
    pub fn zone(&self, zone: u16) -> Option<&ZoneEntry> {
        self.zones.get(usize::from(zone))
    }

    /// All zones.
    pub fn zones(&self) -> &[ZoneEntry] {
        &self.zones
    }

    /// Static records in wire form.
    pub fn sets(&self) -> &Sets {
        &self.sets
    }

    /// The record set of a type at a name.
    pub fn set(&self, name: &StaticName, rtype: u16) -> Option<&RecordSetBody> {
        self.sets.range(name.first_set, name.sets).iter().find(|set| set.rtype == rtype)
    }

    /// Where the CNAME of a name leads, in lower case.
    pub fn cname_target(&self, name: &StaticName) -> Option<&[u8]> {
        if name.cname == NONE { None } else { self.name_at(name.cname) }
    }

    /// The parent zone's side of an apex.
    pub fn above(&self, name: &StaticName) -> Option<&StaticName> {
        self.statics.get(name.above as usize)
    }

    /// Names, empty non-terminals included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// There is no zone.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Octets of memory, about.
    pub fn memory_octets(&self) -> usize {
        self.table.allocation_size() + self.arena.capacity() + self.statics.capacity() * size_of::<StaticName>()
    }

    /// The wire name in the arena at `start`.
    pub(super) fn name_at(&self, start: u32) -> Option<&[u8]> {
        let from = self.arena.get(start as usize..)?;
        let mut end = 0;
        loop {
            match *from.get(end)? {
                0 => return from.get(..=end),
                length => end += 1 + usize::from(length),
            }
        }
    }

    /// The zone with this apex.
    pub fn zone_named(&self, apex: &Name) -> Option<&ZoneEntry> {
        let slot = self.get(apex.wire(), hash_octets(apex.wire()))?;
        self.zone_of(&slot).filter(|zone| usize::from(zone.apex_octets) == apex.wire().len())
    }
}

impl StaticName {
    /// The service beside the static records.
    pub fn service(&self) -> Option<ServiceId> {
        (self.service != NO_SERVICE).then_some(ServiceId(self.service))
    }
}
