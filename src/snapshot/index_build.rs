//! Building the name index from zones and services.
//!
//! Order matters: all apexes first, then per zone its cuts from the top down, then its other names, then services. So the nearest ancestor that is
//! already in the index tells which zone a name belongs to, and whether it lies below a cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Estate, ServiceId};
use crate::wire::{Name, hash_octets, rtype};
use crate::zone::{RecordSet, Zone};

use super::CellMap;
use super::index::{Kind, NO_SERVICE, NONE, NameIndex, Slot, StaticName, ZoneEntry};
use super::sets::{Owner, additional_target};

/// Zones beyond this many are not served: a slot has 16 bits for the number.
const ZONES_MAX: usize = u16::MAX as usize;

type ByOwner<'a> = BTreeMap<&'a Name, Vec<&'a RecordSet>>;

impl NameIndex {
    /// What zones and services say. Names that `config` and `zone` would have refused (outside every zone, at or below a cut) are left out.
    pub(super) fn build(zones: &[Arc<Zone>], estate: &Estate, cells: &mut CellMap) -> Self {
        let names: usize = estate.services.iter().map(|service| service.names.len()).sum();
        let sets: usize = zones.iter().map(|zone| zone.sets.len()).sum();
        let mut index = NameIndex::default();
        index.table.reserve(names + sets, |_| 0);
        let octets: usize = estate.services.iter().map(|service| service.names.octets()).sum();
        index.arena.reserve(octets);

        let zones = zones.get(..ZONES_MAX).unwrap_or(zones);
        let owners: Vec<ByOwner<'_>> = zones.iter().map(|zone| by_owner(zone)).collect();
        for ((number, zone), owners) in (0..).zip(zones).zip(&owners) {
            index.add_apex(number, zone, owners, cells);
        }
        index.find_parents(zones);
        for ((number, zone), owners) in (0..).zip(zones).zip(&owners) {
            index.add_zone(number, zone, owners);
        }
        for ((number, zone), owners) in (0..).zip(zones).zip(&owners) {
            index.add_extras(number, zone, owners);
        }
        for (number, service) in estate.services.iter().enumerate() {
            for name in service.names.wires() {
                index.add_service(name, ServiceId::at(number));
            }
        }
        index.arena.shrink_to_fit();
        index.statics.shrink_to_fit();
        index.sets.shrink();
        index
    }

    fn add_apex(&mut self, number: u16, zone: &Zone, owners: &ByOwner<'_>, cells: &mut CellMap) {
        let apex_octets = zone.apex.wire().len();
        let soa_set = owners.get(&zone.apex).into_iter().flatten().find(|set| set.rtype == rtype::SOA);
        // RFC 2308, section 3: the TTL of the SOA record in a negative answer is the smaller of its own and its MINIMUM.
        let minimum = |set: &RecordSet| set.rdata.first().and_then(|rdata| rdata.last_chunk::<4>()).map_or(0, |octets| u32::from_be_bytes(*octets));
        let negative_ttl = soa_set.map_or(0, |set| set.ttl.min(minimum(set)));
        let soa = soa_set.map(|set| self.sets.add(&zone.apex, apex_octets, &Owner::Pointer, set, negative_ttl));
        self.zones.push(ZoneEntry { slot: cells.zone(&zone.apex), apex_octets: apex_octets as u8, soa, negative_ttl, parent: None });
        let value = self.add_static(&zone.apex, &zone.apex, owners);
        // A second zone with the same apex would be a fault of the caller; the first one stands.
        if self.get(zone.apex.wire(), hash_octets(zone.apex.wire())).is_none() {
            self.insert(zone.apex.wire(), Kind::Static, value, number);
        }
    }

    fn find_parents(&mut self, zones: &[Arc<Zone>]) {
        let parents: Vec<Option<u16>> = zones.iter().map(|zone| self.nearest_above(zone.apex.wire()).map(|slot| slot.zone)).collect();
        for (zone, parent) in self.zones.iter_mut().zip(parents) {
            zone.parent = parent;
        }
    }

    fn add_zone(&mut self, number: u16, zone: &Zone, owners: &ByOwner<'_>) {
        let is_cut = |owner: &Name| *owner != zone.apex && !owner.is_wildcard() && owners.get(owner).into_iter().flatten().any(|set| set.rtype == rtype::NS);
        let mut names: Vec<(&Name, bool)> = owners.keys().filter(|owner| **owner != &zone.apex).map(|owner| (*owner, is_cut(owner))).collect();
        // Cuts first, from the top down; a stable order for the rest.
        names.sort_by_key(|(name, cut)| (!cut, name.labels().count(), *name));
        for (owner, cut) in names {
            if self.get(owner.wire(), hash_octets(owner.wire())).is_some_and(|slot| slot.kind != Kind::Empty) {
                self.add_above(owner, zone, number, owners);
                continue;
            }
            // Occluded: below a cut, or inside another of our zones.
            if !self.nearest_above(owner.wire()).is_some_and(|above| above.kind != Kind::Cut && above.zone == number) {
                continue;
            }
            let value = self.add_static(owner, &zone.apex, owners);
            self.put(owner.wire(), if cut { Kind::Cut } else { Kind::Static }, value, number);
        }
    }

    /// The parent's side of the apex of another of our zones: where DS records are (RFC 4035, section 3.1.4.1).
    fn add_above(&mut self, owner: &Name, zone: &Zone, number: u16, owners: &ByOwner<'_>) {
        let Some(slot) = self.get(owner.wire(), hash_octets(owner.wire())) else { return };
        let is_child = |child: &&ZoneEntry| child.parent == Some(number) && usize::from(child.apex_octets) == owner.wire().len();
        if slot.kind != Kind::Static || self.zones.get(usize::from(slot.zone)).filter(is_child).is_none() {
            return;
        }
        let above = self.add_static(owner, &zone.apex, owners);
        if let Some(child) = self.statics.get_mut(slot.value as usize) {
            child.above = above;
        }
    }

    /// Compiles the sets of an owner.
    fn add_static(&mut self, owner: &Name, apex: &Name, owners: &ByOwner<'_>) -> u32 {
        let first_set = self.sets.len();
        let mut cname = NONE;
        for set in owners.get(owner).into_iter().flatten() {
            self.sets.add(apex, owner.wire().len(), &Owner::Pointer, set, set.ttl);
            if set.rtype == rtype::CNAME
                && let Some(target) = set.rdata.first().and_then(|rdata| Name::from_wire(rdata))
            {
                cname = self.keep(target.wire());
            }
        }
        self.statics.push(StaticName { first_set, sets: self.sets.len() - first_set, service: NO_SERVICE, cname, above: NONE });
        self.statics.len() as u32 - 1
    }

    /// Addresses of the servers that records name: glue for cuts, additional records for others (RFC 1035, section 3.3; RFC 9471).
    fn add_extras(&mut self, number: u16, zone: &Zone, owners: &ByOwner<'_>) {
        let mut compiled: BTreeMap<Name, Vec<u32>> = BTreeMap::new();
        for (owner, sets) in owners {
            let Some(slot) = self.get(owner.wire(), hash_octets(owner.wire())).filter(|slot| slot.zone == number) else { continue };
            let Some(held) = self.statics.get(slot.value as usize).copied().filter(|_| matches!(slot.kind, Kind::Static | Kind::Cut)) else { continue };
            let is_referral = |set: &RecordSet| slot.kind == Kind::Cut && set.rtype == rtype::NS;
            for (set, id) in sets.iter().zip(held.first_set..) {
                let (mut needed, mut welcome): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
                for target in set.rdata.iter().filter_map(|rdata| additional_target(set.rtype, rdata)) {
                    // Below a cut stands glue, which belongs into referrals alone.
                    if !is_referral(set) && !self.is_authoritative(&target, number) {
                        continue;
                    }
                    let in_domain = is_referral(set) && target.is_within(owner);
                    let addresses = compiled.entry(target.clone()).or_insert_with(|| {
                        let sets = owners.get(&target).into_iter().flatten().filter(|set| matches!(set.rtype, rtype::A | rtype::AAAA));
                        sets.map(|set| self.sets.add(&zone.apex, owner.wire().len(), &Owner::Written(&target), set, set.ttl)).collect()
                    });
                    let list = if in_domain { &mut needed } else { &mut welcome };
                    list.extend(addresses.iter().copied().filter(|id| !list.contains(id)).collect::<Vec<_>>());
                }
                if !needed.is_empty() || !welcome.is_empty() {
                    self.sets.set_extras(id, &needed, &welcome);
                }
            }
        }
    }

    fn is_authoritative(&self, name: &Name, zone: u16) -> bool {
        self.get(name.wire(), hash_octets(name.wire())).is_some_and(|slot| slot.zone == zone && slot.kind == Kind::Static)
    }

    fn add_service(&mut self, name: &[u8], service: ServiceId) {
        let hash = hash_octets(name);
        match self.get(name, hash) {
            Some(Slot { kind: Kind::Static, value, .. }) => {
                if let Some(held) = self.statics.get_mut(value as usize) {
                    held.service = service.0;
                }
            }
            Some(Slot { kind: Kind::Cut | Kind::Service, .. }) => (),
            Some(Slot { kind: Kind::Empty, zone, .. }) => self.put(name, Kind::Service, service.0, zone),
            None => match self.nearest_above(name) {
                Some(above) if above.kind != Kind::Cut => self.put(name, Kind::Service, service.0, above.zone),
                _ => (),
            },
        }
    }

    /// The nearest ancestor that is in the index; not the name itself.
    fn nearest_above(&self, name: &[u8]) -> Option<Slot> {
        let mut rest = name;
        while let Some(above) = parent(rest) {
            if let Some(slot) = self.get(above, hash_octets(above)) {
                return Some(slot);
            }
            rest = above;
        }
        None
    }

    /// Puts a name in, or says anew what it is; with the empty non-terminals above it (RFC 4592, section 2.2.2).
    fn put(&mut self, name: &[u8], kind: Kind, value: u32, zone: u16) {
        if let Some(slot) = self.get_mut(name) {
            (slot.kind, slot.value) = (kind, value);
            return;
        }
        self.insert(name, kind, value, zone);
        let mut below = name;
        while let Some(above) = parent(below) {
            let new = self.get_mut(above).is_none();
            if new {
                self.insert(above, Kind::Empty, 0, zone);
            }
            if below.starts_with(b"\x01*")
                && let Some(slot) = self.get_mut(above)
            {
                slot.wildcard_below = true;
            }
            if !new {
                return;
            }
            below = above;
        }
    }

    fn get_mut(&mut self, name: &[u8]) -> Option<&mut Slot> {
        let arena = &self.arena;
        self.table.find_mut(hash_octets(name), |slot| arena.get(slot.name as usize..).is_some_and(|arena| arena.starts_with(name)))
    }

    fn insert(&mut self, name: &[u8], kind: Kind, value: u32, zone: u16) {
        let slot = Slot { name: self.keep(name), value, zone, kind, wildcard_below: false };
        self.octets_max = self.octets_max.max(name.len());
        let arena = &self.arena;
        let hash_of = |slot: &Slot| arena.get(slot.name as usize..).map_or(0, |rest| hash_octets(first_name(rest)));
        self.table.insert_unique(hash_octets(name), slot, hash_of);
    }

    fn keep(&mut self, name: &[u8]) -> u32 {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(name);
        start
    }
}

fn by_owner(zone: &Zone) -> ByOwner<'_> {
    let mut owners = ByOwner::new();
    for set in zone.sets.iter().filter(|set| !set.rdata.is_empty()) {
        owners.entry(&set.owner).or_default().push(set);
    }
    owners
}

/// Without the leftmost label; `None` at the root.
fn parent(name: &[u8]) -> Option<&[u8]> {
    let length = *name.first().filter(|length| **length > 0)?;
    name.get(1 + usize::from(length)..)
}

/// The name that `octets` begin with.
fn first_name(octets: &[u8]) -> &[u8] {
    let mut rest = octets;
    while let Some(after) = parent(rest) {
        rest = after;
    }
    octets.get(..=octets.len() - rest.len()).unwrap_or(octets)
}
