//! A zone as secondaries get it: its static records, and its services' names with their present answer.
//!
//! The *present answer* of a service is the leaf with the largest share (the first of equals) in each family: static DNS can't split.
//! NODATA and SERVFAIL are no records, so a name with neither A nor AAAA and nothing static beside it is missing in the transferred zone.
//!
//! [`Records`] is where a walk stands: it owns nothing and can wait between two records, so a transfer of any length holds one snapshot
//! and one buffer.

use std::sync::Arc;

use crate::model::{Estate, Family, Secondary, ServiceId};
use crate::wire::{Lowered, Name, fold, hash_octets, rtype};
use crate::zone::{RecordSet, Zone};

use super::compiled::{RDATA_AT, record_octets};
use super::{Compiled, FamilyBody, Found, LeafBody, Snapshot, What};

/// Where type and TTL are in a record of a compiled answer, whose owner is a pointer.
const TYPE_AT: usize = 2;
const TTL_AT: usize = 6;
/// Octets after a SOA's serial: refresh, retry, expire, minimum.
const SOA_AFTER_SERIAL: usize = 16;

/// What a snapshot's index and answers were compiled from.
#[derive(Clone, Debug)]
pub struct Content {
    /// Services, secondaries, keys.
    pub estate: Arc<Estate>,
    /// Static records, by zone number.
    pub zones: Vec<Arc<Zone>>,
}

/// One record; names in RDATA are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// In wire form.
    pub owner: &'a [u8],
    /// TYPE
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// Uncompressed.
    pub rdata: &'a [u8],
}

/// What the next step of a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record of the zone; its SOA is not among them.
    Record(Record<'a>),
    /// A name that is not of this zone, or has no address: nothing yet.
    Nothing,
    /// That was all.
    End,
}

/// Where a walk over a zone's records stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records {
    set: usize,
    record: usize,
    service: usize,
    /// Where the name at hand begins among the service's.
    name: usize,
    /// Among the addresses of the name at hand, both families.
    address: usize,
}

impl Records {
    /// The next step in the walk over zone number `zone`; each costs little.
    pub fn step<'a>(&mut self, snapshot: &'a Snapshot, zone: u16) -> Step<'a> {
        let Some(content) = snapshot.content() else { return Step::End };
        let Some(records) = content.zones.get(usize::from(zone)) else { return Step::End };
        if let Some(set) = records.sets.get(self.set) {
            return self.static_step(set, &records.apex);
        }
        let Some(service) = content.estate.services.get(self.service) else { return Step::End };
        let Some(name) = service.names.wire_at(self.name) else {
            (self.service, self.name, self.address) = (self.service + 1, 0, 0);
            return Step::Nothing;
        };
        let id = ServiceId::at(self.service);
        let found = if self.address > 0 || is_served(snapshot, name, id, zone) {
            snapshot.compiled(id).and_then(|compiled| present(compiled).nth(self.address))
        } else {
            None
        };
        match found {
            Some((rtype, ttl, rdata)) => {
                self.address += 1;
                Step::Record(Record { owner: name, rtype, ttl, rdata })
            }
            None => {
                (self.name, self.address) = (self.name + name.len(), 0);
                Step::Nothing
            }
        }
    }

    fn static_step<'a>(&mut self, set: &'a RecordSet, apex: &Name) -> Step<'a> {
        let is_soa = set.rtype == rtype::SOA && set.owner == *apex;
        match set.rdata.get(self.record) {
            Some(rdata) if !is_soa => {
                self.record += 1;
                Step::Record(Record { owner: set.owner.wire(), rtype: set.rtype, ttl: set.ttl, rdata })
            }
            _ => {
                (self.set, self.record) = (self.set + 1, 0);
                Step::Nothing
            }
        }
    }
}

/// Whether queries for `name` in this zone get this service's answer: the index knows.
fn is_served(snapshot: &Snapshot, name: &[u8], service: ServiceId, zone: u16) -> bool {
    let mut lowered = Lowered::default();
    lowered.set(name);
    match snapshot.names().find(&lowered) {
        Found::Name(slot) if slot.zone() == zone => match snapshot.names().what(&slot) {
            What::Service(found) => found == service,
            What::Static(found) => found.service() == Some(service),
            What::Empty => false,
        },
        _ => false,
    }
}

/// The present answer of a service: type, TTL and RDATA of each record. A before AAAA, or one CNAME.
pub fn present(compiled: &Compiled) -> impl Iterator<Item = (u16, u32, &[u8])> {
    Family::ALL.into_iter().flat_map(|family| {
        let [v4, v6] = &compiled.body().families;
        let leaf = match if family == Family::V4 { v4 } else { v6 } {
            FamilyBody::Answer { split, leaves, .. } => leaves.get(split.widest()),
            FamilyBody::NoData | FamilyBody::ServFail(_) => None,
        };
        let size = record_octets(if family == Family::V4 { rtype::A } else { rtype::AAAA } as u8);
        let (rotated, sampled, named) = match leaf {
            Some(LeafBody::Rotated { records, count }) => (records.get(..usize::from(*count) * size), None, None),
            Some(LeafBody::Sampled(sampled)) => (None, Some(sampled), None),
            Some(LeafBody::Named(named)) => (None, None, named.present()),
            Some(LeafBody::Empty) | None => (None, None, None),
        };
        let rotated = rotated.unwrap_or_default().chunks_exact(size);
        let sampled = sampled.into_iter().flat_map(|sampled| sampled.present());
        rotated.chain(sampled).chain(named).filter_map(|record| {
            let (rtype, ttl) = (record.get(TYPE_AT..)?.first_chunk()?, record.get(TTL_AT..)?.first_chunk()?);
            Some((u16::from_be_bytes(*rtype), u32::from_be_bytes(*ttl), record.get(RDATA_AT..)?))
        })
    })
}

impl Snapshot {
    /// The SOA record of a zone with the serial that is served, its RDATA in `place`.
    pub fn soa<'a>(&'a self, zone: u16, place: &'a mut Vec<u8>) -> Option<Record<'a>> {
        let content = self.content()?;
        let records = content.zones.get(usize::from(zone))?;
        let set = records.sets.iter().find(|set| set.rtype == rtype::SOA && set.owner == records.apex)?;
        place.clear();
        place.extend_from_slice(set.rdata.first()?);
        let at = place.len().checked_sub(SOA_AFTER_SERIAL + 4)?;
        place.get_mut(at..at + 4)?.copy_from_slice(&self.served_serial(zone)?.to_be_bytes());
        Some(Record { owner: set.owner.wire(), rtype: set.rtype, ttl: set.ttl, rdata: place })
    }

    /// The serial in a zone's SOA as it is answered (SEMANTICS, 23).
    pub fn served_serial(&self, zone: u16) -> Option<u32> {
        self.serial(zone).or_else(|| Some(self.content()?.zones.get(usize::from(zone))?.serial()))
    }

    /// Who may transfer a zone.
    pub fn secondaries(&self, zone: u16) -> &[Secondary] {
        let content = self.content().and_then(|content| Some((content, content.zones.get(usize::from(zone))?)));
        content.map_or(&[], |(content, zone)| content.estate.secondaries_of(&zone.apex))
    }

    /// Tells whether a secondary would find anything else than before: equal for equal content but the SOA's serial. Walks the whole zone.
    pub fn fingerprint(&self, zone: u16) -> u64 {
        let (mut records, mut print, mut place) = (Records::default(), 0_u64, Vec::new());
        let mut add = |record: &Record<'_>, rdata: &[u8]| {
            let numbers = u64::from(record.ttl) << 16 | u64::from(record.rtype);
            print = fold(print ^ fold(hash_octets(record.owner) ^ fold(hash_octets(rdata) ^ numbers)));
        };
        if let Some(soa) = self.soa(zone, &mut place) {
            let (before, after) = soa.rdata.split_at_checked(soa.rdata.len().saturating_sub(SOA_AFTER_SERIAL + 4)).unwrap_or_default();
            add(&soa, before);
            add(&soa, after.get(4..).unwrap_or_default());
        }
        loop {
            match records.step(self, zone) {
                Step::Record(record) => add(&record, record.rdata),
                Step::Nothing => (),
                Step::End => return print,
            }
        }
    }
}
