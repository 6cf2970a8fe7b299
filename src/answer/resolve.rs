//! From a name and a type to records: RFC 1034, section 4.3.2, over the name index.
//!
//! | found                          | asked                  | response                                                   |
//! |--------------------------------|------------------------|------------------------------------------------------------|
//! | outside all zones              |                        | REFUSED                                                    |
//! | at or below a cut              |                        | referral without AA; DS at the cut itself: from the parent |
//! | the name, or a wildcard        | a type that it has     | its records                                                |
//! |                                | another, it is a CNAME | the CNAME, and on with its target                          |
//! |                                | ANY                    | HINFO (RFC 8482)                                           |
//! |                                | another                | NODATA with SOA                                            |
//! | a service with host names      | any                    | a CNAME by its decision, and on with its target            |
//! | neither                        |                        | NXDOMAIN with SOA                                          |

use std::net::IpAddr;

use crate::model::{Family, ServiceId};
use crate::policy::sticky_key;
use crate::snapshot::{Chosen, Compiled, FamilyBody, Found, LeafBody, NameIndex, RecordSetBody, Sampled, Slot, Snapshot, StaticName, What, ZoneEntry};
use crate::wire::{HEADER_OCTETS, Lowered, Packet, Question, Rcode, Section, ede, rtype};

use super::outcome::Outcome;
use super::picks::Picks;
use super::words::SubnetOutcome;

/// Links of a CNAME chain that are followed in one response; resolvers take it from there.
const CHAIN_MAX: usize = 10;
/// RFC 8482, section 4.2: `HINFO "RFC8482" ""`, with a TTL that makes it worth keeping.
const ANY_HINFO: &[u8] = b"\xc0\x0c\x00\x0d\x00\x01\x00\x00\x0e\x10\x00\x09\x07RFC8482\x00";
/// From the start of a record whose owner is a pointer: where its TTL and its RDATA are.
const TTL_AT: usize = 6;
const RDLENGTH_AT: usize = 10;
const RDATA_AT: usize = 12;
/// The numbers at the end of a SOA record, of which the serial is the first (RFC 1035, section 3.3.13).
const SOA_NUMBERS_OCTETS: usize = 20;

/// Where the name at hand, and the apex of its zone, are in the packet: owners and compressed names point there.
#[derive(Clone, Copy)]
struct Place {
    name: usize,
    name_octets: usize,
    apex: usize,
    /// Number of the zone; `None` before the first.
    zone: Option<u16>,
}

struct Resolver<'s, 'p, 'o> {
    snapshot: &'s Snapshot,
    names: &'s NameIndex,
    qtype: u16,
    /// Who asks, if nobody trusted says for whom.
    sender: IpAddr,
    picks: &'p mut Picks,
    packet: &'p mut Packet<'o>,
    /// Octets that a response may have which is made up here.
    bound: usize,
    place: Place,
    /// Hashes of the names whose CNAME was followed; the first `links` count. (A wildcard may stand for several of them.)
    seen: [u64; CHAIN_MAX],
    links: usize,
    outcome: &'p mut Outcome<'s>,
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    /// Its address, or its resolver's.
    pub(super) sender: IpAddr,
    /// Octets that a response may have which is made up here.
    pub(super) bound: usize,
}

/// Resolves the question, whose name `name` holds, into `packet`, which holds the question. `name` is used up.
/// What is not found as it stands in a zone has at most [`Asker::bound`] octets.
pub(super) fn resolve<'s>(
    snapshot: &'s Snapshot,
    question: &Question,
    Asker { sender, bound }: Asker,
    name: &mut Lowered,
    picks: &mut Picks,
    packet: &mut Packet<'_>,
    outcome: &mut Outcome<'s>,
) {
    let mut resolver = Resolver {
        snapshot,
        names: snapshot.names(),
        qtype: question.qtype,
        sender,
        picks,
        packet,
        bound,
        place: Place { name: HEADER_OCTETS, name_octets: question.name_octets, apex: HEADER_OCTETS, zone: None },
        seen: [0; CHAIN_MAX],
        links: 0,
        outcome,
    };
    let mut found = resolver.names.find(name);
    resolver.outcome.subject = subject(&found);
    while let Some(target) = resolver.step(found, name.hash()) {
        name.set(target);
        found = resolver.names.find(name);
    }
}

/// See [`Outcome::subject`].
fn subject(found: &Found) -> u64 {
    match found {
        Found::Name(slot) | Found::Wildcard(slot) | Found::Cut(slot, _) => 1 << 32 | u64::from(slot.identity()),
        Found::Nothing(zone) => 2 << 32 | u64::from(*zone),
        Found::Outside => 0,
    }
}

impl<'s> Resolver<'s, '_, '_> {
    /// Writes what the name at hand gives. `Some`: it was a CNAME; go on with its target.
    fn step(&mut self, found: Found, hash: u64) -> Option<&'s [u8]> {
        match found {
            Found::Outside if self.links == 0 => self.outcome.rcode = Rcode::Refused,
            // The rest of the chain is for others to say.
            Found::Outside => (),
            Found::Nothing(zone) => {
                let zone = self.enter(zone)?;
                // RFC 6604, section 3: also at the end of a chain.
                self.outcome.rcode = Rcode::NxDomain;
                self.put_soa(zone, zone.negative_ttl);
            }
            // RFC 4035, section 3.1.4.1: the parent answers for DS.
            Found::Cut(slot, 0) if self.qtype == rtype::DS => {
                let zone = self.enter(slot.zone())?;
                if let What::Static(cut) = self.names.what(&slot) {
                    self.put_static(zone, cut);
                }
            }
            Found::Cut(slot, at) => self.put_referral(&slot, at),
            Found::Name(slot) | Found::Wildcard(slot) => {
                if self.qtype == rtype::DS
                    && let Some(parent) = self.parent_of_apex(&slot)
                {
                    self.put_ds_above(&slot, parent);
                    return None;
                }
                let zone = self.enter(slot.zone())?;
                match self.names.what(&slot) {
                    What::Service(service) => return self.put_service(zone, service, hash),
                    What::Static(name) => return self.at_static(zone, name, hash),
                    What::Empty => self.put_soa(zone, zone.negative_ttl),
                }
            }
        }
        None
    }

    /// The name at hand is in this zone, which is ours.
    fn enter(&mut self, number: u16) -> Option<&'s ZoneEntry> {
        let zone = self.names.zone(number)?;
        match self.place.zone {
            None => {
                self.outcome.authoritative = true;
                self.outcome.zone = zone.slot;
                self.place.apex = self.place.name + self.place.name_octets.saturating_sub(zone.apex_octets.into());
            }
            // The target of a CNAME within its zone is written with a pointer to the apex, which is where it was.
            Some(before) if before == number => (),
            Some(_) => self.place.apex = self.place.name + self.place.name_octets.saturating_sub(zone.apex_octets.into()),
        }
        self.place.zone = Some(number);
        Some(zone)
    }

    fn at_static(&mut self, zone: &ZoneEntry, name: &'s StaticName, hash: u64) -> Option<&'s [u8]> {
        if let (rtype::A | rtype::AAAA, Some(service)) = (self.qtype, name.service()) {
            return self.put_service(zone, service, hash);
        }
        // What may stand beside a CNAME is asked of the name itself (RFC 4035, section 2.5).
        let target = self.names.cname_target(name).filter(|_| !matches!(self.qtype, rtype::CNAME | rtype::RRSIG | rtype::NSEC));
        let Some(target) = target else {
            self.put_static(zone, name);
            return None;
        };
        if self.ends_chain(hash) {
            return None;
        }
        let cname = self.names.set(name, rtype::CNAME)?;
        let start = self.packet.length();
        if !self.put_set(cname, Section::Answer) {
            self.outcome.truncated = true;
            return None;
        }
        self.follow(target, start, hash)
    }

    /// This name's CNAME was followed already, or enough of them were.
    fn ends_chain(&self, hash: u64) -> bool {
        self.links == CHAIN_MAX || self.seen.get(..self.links).unwrap_or_default().contains(&hash)
    }

    /// A CNAME stands at `start`: on with its target, unless it alone was asked for.
    fn follow(&mut self, target: &'s [u8], start: usize, hash: u64) -> Option<&'s [u8]> {
        // RFC 8482, section 4.2: where there is a CNAME, ANY gets it, and not more.
        if matches!(self.qtype, rtype::ANY | rtype::CNAME) {
            return None;
        }
        if let Some(link) = self.seen.get_mut(self.links) {
            *link = hash;
        }
        self.links += 1;
        // A target that is the apex is a pointer; the next owner is not to point at a pointer, but where that leads.
        let target_at = start + RDATA_AT;
        let first = usize::from(self.packet.number_at(target_at));
        self.place.name = if first & 0xc000 == 0xc000 { first & 0x3fff } else { target_at };
        self.place.name_octets = target.len();
        Some(target)
    }

    /// Records of the type asked for, or NODATA.
    fn put_static(&mut self, zone: &ZoneEntry, name: &StaticName) {
        if self.qtype == rtype::ANY {
            return self.put_any();
        }
        let Some(set) = self.names.set(name, self.qtype) else {
            return self.put_no_data(zone, name.service());
        };
        if !self.put_set(set, Section::Answer) {
            self.outcome.truncated = true;
            return;
        }
        let extras = self.names.sets().extras(set);
        for extra in extras.needed.iter().chain(extras.welcome) {
            self.put_extra(*extra);
        }
    }

    /// RFC 8482: small, true, and the same for every name that exists.
    fn put_any(&mut self) {
        self.packet.lower_limit(self.bound);
        let start = self.packet.length();
        if self.packet.put(ANY_HINFO) {
            self.packet.patch(start, &pointer(self.place.name));
            self.packet.count(Section::Answer, 1);
        } else {
            self.outcome.truncated = true;
        }
    }

    /// NODATA (RFC 2308, section 2.2). At a service's name it lives no longer than the service's answers (SEMANTICS, 22).
    fn put_no_data(&mut self, zone: &ZoneEntry, service: Option<ServiceId>) {
        let ttl = service.and_then(|service| self.snapshot.compiled(service)).map_or(u32::MAX, |compiled| compiled.body().ttl);
        self.put_soa(zone, zone.negative_ttl.min(ttl));
    }

    fn put_soa(&mut self, zone: &ZoneEntry, ttl: u32) {
        self.packet.lower_limit(self.bound);
        let Some(soa) = zone.soa.and_then(|id| self.names.sets().body(id)) else { return };
        let start = self.packet.length();
        let name = std::mem::replace(&mut self.place.name, self.place.apex);
        let fits = self.put_set(soa, Section::Authority);
        self.place.name = name;
        if !fits {
            self.outcome.truncated = true;
        } else if ttl < zone.negative_ttl {
            self.packet.patch(start + TTL_AT, &ttl.to_be_bytes());
        }
    }

    /// The servers of a cut and their addresses; no AA, unless a CNAME stands before.
    fn put_referral(&mut self, slot: &Slot, at: usize) {
        if self.enter(slot.zone()).is_none() {
            return;
        }
        self.outcome.authoritative = self.links > 0;
        self.packet.lower_limit(self.bound);
        let What::Static(cut) = self.names.what(slot) else { return };
        let Some(servers) = self.names.set(cut, rtype::NS) else { return };
        self.place.name += at;
        if !self.put_set(servers, Section::Authority) {
            self.outcome.truncated = true;
            return;
        }
        let extras = self.names.sets().extras(servers);
        for glue in extras.needed {
            // RFC 9471, section 3.1: without the addresses of its in-domain servers a referral is incomplete.
            self.outcome.truncated |= !self.put_extra(*glue);
        }
        for glue in extras.welcome {
            self.put_extra(*glue);
        }
    }

    /// The zone above, if the name at hand is an apex below another of our zones.
    fn parent_of_apex(&self, slot: &Slot) -> Option<u16> {
        let zone = self.names.zone(slot.zone())?;
        zone.parent.filter(|_| usize::from(zone.apex_octets) == self.place.name_octets)
    }

    /// DS at an apex whose parent is ours, too (RFC 4035, section 3.1.4.1).
    fn put_ds_above(&mut self, slot: &Slot, parent: u16) {
        let Some(zone) = self.enter(parent) else { return };
        let above = match self.names.what(slot) {
            What::Static(apex) => self.names.above(apex),
            _ => None,
        };
        match above {
            Some(above) => self.put_static(zone, above),
            None => self.put_soa(zone, zone.negative_ttl),
        }
    }

    /// A service's name: addresses by its decision, anything else is not there; or whatever is asked for, a CNAME by its decision, and on with its target.
    fn put_service(&mut self, zone: &ZoneEntry, service: ServiceId, hash: u64) -> Option<&'s [u8]> {
        let Some(compiled) = self.snapshot.compiled(service) else {
            self.fail(b"the service has no decision");
            return None;
        };
        let by_name = compiled.body().by_name;
        let family = match self.qtype {
            // What may stand beside a CNAME is asked of the name itself (RFC 4035, section 2.5).
            rtype::RRSIG | rtype::NSEC => None,
            _ if by_name => Some(Family::V4),
            rtype::A => Some(Family::V4),
            rtype::AAAA => Some(Family::V6),
            rtype::ANY => {
                self.put_any();
                return None;
            }
            _ => None,
        };
        let Some(family) = family else {
            self.put_no_data(zone, Some(service));
            return None;
        };
        if by_name && self.ends_chain(hash) {
            return None;
        }
        let (leaf, turn) = self.leaf(zone, service, compiled, family)?;
        match leaf {
            LeafBody::Rotated { records, count } => self.put_rotated(records, *count, turn, family),
            LeafBody::Sampled(sampled) => self.put_sampled(sampled, turn, family),
            LeafBody::Named(named) => return self.put_alias(named.choose(turn)?, hash),
            LeafBody::Empty => (),
        }
        None
    }

    /// A CNAME that a service has chosen, and on with its target.
    fn put_alias(&mut self, record: &'s [u8], hash: u64) -> Option<&'s [u8]> {
        let start = self.packet.length();
        if !self.packet.put(record) {
            self.outcome.truncated = true;
            return None;
        }
        self.packet.count(Section::Answer, 1);
        if self.place.name != HEADER_OCTETS {
            self.packet.patch(start, &pointer(self.place.name));
        }
        self.follow(record.get(RDATA_AT..)?, start, hash)
    }

    /// The leaf that answers, and where its own sequence stands. `None`: that none does is written already.
    fn leaf(&mut self, zone: &ZoneEntry, service: ServiceId, compiled: &'s Compiled, family: Family) -> Option<(&'s LeafBody, u64)> {
        let (chosen, mut scope) = self.chosen(compiled);
        let body = chosen.body();
        let [v4, v6] = &body.families;
        let decided = if family == Family::V4 { v4 } else { v6 };
        if let Some(note) = body.notes.get(family.index()).copied().flatten() {
            self.outcome.extra_text = Some(note.text().as_bytes());
            self.outcome.extra_code = if note.is_stale() { ede::STALE_ANSWER } else { ede::OTHER };
        }
        match decided {
            FamilyBody::NoData => {
                self.put_soa(zone, zone.negative_ttl.min(body.ttl));
                None
            }
            FamilyBody::ServFail(why) => {
                self.fail(why);
                None
            }
            FamilyBody::Answer { split, keeper, leaves } => {
                self.packet.lower_limit(self.bound);
                let pick = match chosen.turn() {
                    None => self.picks.next(service, family),
                    Some(turn) => self.picks.next_of(turn, family),
                };
                let number = match (keeper, body.sticky) {
                    (Some(keeper), Some(sticky)) => {
                        let (client, length) = sticky_key(sticky, self.outcome.client.unwrap_or(self.sender));
                        scope = self.widest(length).max(scope);
                        keeper.choose(client, pick.leaf)
                    }
                    _ => split.find(pick.leaf),
                };
                self.outcome.cell = chosen.cell(family, number);
                if !matches!(leaves.get(number), Some(LeafBody::Empty) | None) {
                    self.outcome.scope = scope;
                }
                match leaves.get(number) {
                    None | Some(LeafBody::Empty) => {
                        self.put_soa(zone, zone.negative_ttl.min(body.ttl));
                        None
                    }
                    Some(leaf) => Some((leaf, pick.turn)),
                }
            }
        }
    }

    /// What this client gets, and how wide that holds (SEMANTICS, 25); 0 if the sender's own address counts.
    fn chosen(&mut self, compiled: &'s Compiled) -> (&'s Chosen, u8) {
        if !compiled.asks_about_clients() {
            return (compiled.own(), 0);
        }
        let (class, scope) = self.snapshot.clients().find(self.outcome.client.unwrap_or(self.sender));
        (compiled.of_class(class), self.widest(scope))
    }

    /// The scope of an answer that depends on so many leading bits of the client's address (RFC 7871, section 7.2.1); 0 if no client was named.
    fn widest(&mut self, length: u8) -> u8 {
        let Some(client) = self.outcome.client else { return 0 };
        self.outcome.subnet = Some(SubnetOutcome::Used);
        let subnets = &self.snapshot.settings().subnets;
        // What lies beyond the bits that we look at is answered alike.
        length.min(if client.is_ipv4() { subnets.ipv4_prefix } else { subnets.ipv6_prefix })
    }

    fn put_rotated(&mut self, records: &[u8], count: u16, turn: u64, family: Family) {
        let size = address_octets(family);
        let first = ((u128::from(turn) * u128::from(count)) >> 64) as usize;
        let from = if count > 1 { first * size } else { 0 };
        let start = self.packet.length();
        if self.packet.put(records.get(from..from + usize::from(count) * size).unwrap_or_default()) {
            self.own_addresses(start, count, size);
        } else {
            self.outcome.truncated = true;
        }
    }

    fn put_sampled(&mut self, sampled: &Sampled, turn: u64, family: Family) {
        let (size, count, start) = (address_octets(family), sampled.count(), self.packet.length());
        if self.packet.room() < usize::from(count) * size {
            self.outcome.truncated = true;
            return;
        }
        sampled.choose(turn, |record| self.packet.put(record));
        self.own_addresses(start, count, size);
    }

    /// Counts address records from `start` on, and gives them to the name at hand.
    fn own_addresses(&mut self, start: usize, count: u16, size: usize) {
        self.packet.count(Section::Answer, count);
        if self.place.name != HEADER_OCTETS {
            let owner = pointer(self.place.name);
            (0..usize::from(count)).for_each(|at| self.packet.patch(start + at * size, &owner));
        }
    }

    fn fail(&mut self, why: &'s [u8]) {
        self.packet.lower_limit(self.bound);
        self.packet.clear_records();
        self.outcome.rcode = Rcode::ServFail;
        self.outcome.authoritative = false;
        (self.outcome.extra_text, self.outcome.extra_code) = (Some(why), ede::OTHER);
    }

    fn put_extra(&mut self, id: u32) -> bool {
        self.names.sets().body(id).is_none_or(|set| self.put_set(set, Section::Additional))
    }

    /// A whole set or nothing, owned by the name at hand (or by the name written in it).
    fn put_set(&mut self, set: &RecordSetBody, section: Section) -> bool {
        let sets = self.names.sets();
        let start = self.packet.length();
        if !self.packet.put(sets.octets(set)) {
            return false;
        }
        self.packet.count(section, set.records);
        if !set.named && self.place.name != HEADER_OCTETS {
            let owner = pointer(self.place.name);
            let mut at = start;
            for _ in 0..set.records {
                self.packet.patch(at, &owner);
                at += RDATA_AT + usize::from(self.packet.number_at(at + RDLENGTH_AT));
            }
        }
        if set.rtype == rtype::SOA
            && let Some(serial) = self.place.zone.and_then(|zone| self.snapshot.serial(zone))
        {
            self.packet.patch(self.packet.length() - SOA_NUMBERS_OCTETS, &serial.to_be_bytes());
        }
        if usize::from(set.apex_at) != self.place.apex {
            let apex = pointer(self.place.apex);
            sets.patches(set).iter().for_each(|at| self.packet.patch(start + *at as usize, &apex));
        }
        true
    }
}

/// A compression pointer (RFC 1035, section 4.1.4). Names at hand stand in the question or in a bounded chain, far below 16,384.
fn pointer(to: usize) -> [u8; 2] {
    (0xc000 | to as u16).to_be_bytes()
}

/// An address record with a compressed owner.
fn address_octets(family: Family) -> usize {
    match family {
        Family::V4 => RDATA_AT + 4,
        Family::V6 => RDATA_AT + 16,
    }
}
