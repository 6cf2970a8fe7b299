//! A decision in wire form: intervals, records, TTL.

use std::net::IpAddr;
use std::sync::Arc;

use crate::client::ClassId;
use crate::model::{Estate, Family, ServiceId, Sticky};
use crate::policy::{ByClient, Decision, FamilyDecision, Keeper, Leaf, Note, Verdict};
use crate::wire::{Name, rtype};

use super::cells::{Cells, LeafKey, ServiceSlot, TurnId};
use super::{CellId, CellMap, Intervals};

/// Where RDATA begins in a record whose owner is a pointer.
pub(super) const RDATA_AT: usize = 12;
/// Octets of explaining text in an Extended DNS Error (RFC 8914).
const EXTRA_TEXT_OCTETS_MAX: usize = 200;
/// Addresses in one answer, whatever `max_answers` says: 1,000 AAAA records are 28,000 octets.
const ANSWERS_MAX: usize = 1000;

/// A weight as in the file, times this, can be split over any number of addresses up to 16 without a rest.
const SPLITS_EVENLY: u64 = 720_720;

/// A service's decision in wire form; equal decisions share their body.
#[derive(Clone, Debug)]
pub struct Compiled {
    own: Chosen,
    /// `None`: everybody gets the same, as nearly always.
    by_client: Option<Arc<ByClass>>,
}

/// What some clients get.
#[derive(Clone, Debug)]
pub struct Chosen {
    body: Arc<Body>,
    cells: Cells,
    /// Where its sequences stand; `None`: the service's.
    turn: Option<TurnId>,
}

/// What each class of clients gets.
#[derive(Debug)]
struct ByClass {
    /// 0: the service's own, others count from 1.
    of_class: Arc<[u16]>,
    variants: Box<[Chosen]>,
}

/// What is alike of one variant.
#[derive(Debug)]
struct AlikePart {
    body: Arc<Body>,
    leaves: Box<[LeafKey]>,
}

/// By class, and the other variants.
type AlikeByClass = (Arc<[u16]>, Box<[AlikePart]>);

/// What all services that are decided alike have in common of [`Compiled`].
#[derive(Debug)]
pub struct Alike {
    own: AlikePart,
    /// `None`: nothing depends on the client.
    by_client: Option<AlikeByClass>,
}

/// What of a decision depends on nothing but addresses, shares and TTL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Body {
    /// Seconds, of answers and at most of NODATA (SEMANTICS, 22).
    pub ttl: u32,
    /// Leaves hold host names: a CNAME is answered whatever is asked for, by what stands for IPv4.
    pub by_name: bool,
    /// How much of a client's address says to which leaf it keeps.
    pub sticky: Option<Sticky>,
    /// By [`Family::index`].
    pub families: [FamilyBody; 2],
    /// What clients are told with the answers (RFC 8914), in the same order.
    pub notes: [Option<Note>; 2],
}

/// What is answered in one family.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum FamilyBody {
    /// NODATA
    NoData,
    /// SERVFAIL with this text.
    ServFail(Box<[u8]>),
    /// One of the leaves.
    Answer {
        /// Which.
        split: Intervals,
        /// Which one a client keeps to; `None`: `split` alone says.
        keeper: Option<Keeper>,
        /// In the order of the decision; never empty.
        leaves: Box<[LeafBody]>,
    },
}

/// Records begin with a pointer to the question's name (0xC00C) and all have one size.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum LeafBody {
    /// No address of this family: NODATA (SEMANTICS, 7).
    Empty,
    /// All of them, beginning with any.
    Rotated {
        /// The records, twice over, so that every rotation is one piece.
        records: Box<[u8]>,
        /// How many (once over); at least 1.
        count: u16,
    },
    /// Some of them.
    Sampled(Box<Sampled>),
    /// One of several host names, each as often as its weight says.
    Named(Box<Named>),
}

/// CNAME records, each beginning with a pointer to the question's name; their targets are written out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Named {
    records: Box<[Box<[u8]>]>,
    stretches: Intervals,
}

impl Named {
    /// The record that `number` falls on.
    pub fn choose(&self, number: u64) -> Option<&[u8]> {
        self.records.get(self.stretches.find(number)).map(|record| &**record)
    }

    /// The one that is chosen most often; of equals the first.
    pub(super) fn present(&self) -> Option<&[u8]> {
        self.records.get(self.stretches.widest()).map(|record| &**record)
    }
}

/// More addresses than an answer takes: chosen without replacement, each as often as its weight says (systematic sampling).
///
/// Points at equal distances lie on a circle on which every address has a stretch as long as its weight; the addresses hit are answered.
/// One whose weight is at least a whole distance would be hit every time, so it stands outside the circle and is always answered.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Sampled {
    records: Box<[u8]>,
    always: Box<[u16]>,
    circle: Box<[u16]>,
    stretches: Intervals,
    /// Points on the circle.
    points: u16,
}

impl Compiled {
    /// The part that may be shared; if something depends on the client: of those of whom nothing is known.
    pub fn body(&self) -> &Arc<Body> {
        &self.own.body
    }

    /// What clients get of whom nothing is known, or whoever asks if it is the same for everybody.
    pub fn own(&self) -> &Chosen {
        &self.own
    }

    /// Not everybody gets the same.
    pub fn asks_about_clients(&self) -> bool {
        self.by_client.is_some()
    }

    /// What the clients of a class get.
    pub fn of_class(&self, class: ClassId) -> &Chosen {
        let found = self.by_client.as_ref().and_then(|by| {
            let number = usize::from(*by.of_class.get(class.0 as usize)?);
            by.variants.get(number.checked_sub(1)?)
        });
        found.unwrap_or(&self.own)
    }

    fn all(&self) -> impl Iterator<Item = &Chosen> {
        let others = self.by_client.as_ref().map(|by| &by.variants[..]).unwrap_or_default();
        std::iter::once(&self.own).chain(others)
    }

    /// Every cell of this decision is below this.
    pub fn cells_end(&self) -> u32 {
        self.all().map(|chosen| chosen.cells.end()).max().unwrap_or(0)
    }

    /// Every place of a sequence is below this.
    pub fn turns_end(&self) -> u32 {
        self.all().filter_map(|chosen| chosen.turn).map(|turn| turn.0 + 1).max().unwrap_or(0)
    }
}

impl Chosen {
    /// Records, intervals, TTL.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Where its sequences stand; `None`: the service's.
    pub fn turn(&self) -> Option<TurnId> {
        self.turn
    }

    /// The counter cell of a leaf.
    pub fn cell(&self, family: Family, leaf: usize) -> Option<CellId> {
        let before = match (family, &self.body.families) {
            (Family::V6, [FamilyBody::Answer { leaves, .. }, _]) => leaves.len(),
            _ => 0,
        };
        self.cells.get(before + leaf)
    }
}

impl FamilyBody {
    /// How many leaves there are.
    pub fn leaves(&self) -> usize {
        if let FamilyBody::Answer { leaves, .. } = self { leaves.len() } else { 0 }
    }
}

impl Sampled {
    /// Records in one answer.
    pub fn count(&self) -> u16 {
        self.points + self.always.len() as u16
    }

    /// As many of its records as an answer takes, always the same ones: those that are always answered, then the others in order.
    pub(super) fn present(&self) -> impl Iterator<Item = &[u8]> {
        let size = record_octets(self.records.get(3).copied().unwrap_or(1));
        let chosen = self.always.iter().chain(self.circle.iter().take(usize::from(self.points)));
        chosen.filter_map(move |at| self.records.get(usize::from(*at) * size..(usize::from(*at) + 1) * size))
    }

    /// Gives each chosen record to `put`, which says whether there was room. The first is chosen by `number` in proportion to weight.
    pub fn choose(&self, number: u64, mut put: impl FnMut(&[u8]) -> bool) -> bool {
        let size = record_octets(self.records.get(3).copied().unwrap_or(1));
        let mut put = |at: &u16| self.records.get(usize::from(*at) * size..(usize::from(*at) + 1) * size).is_none_or(&mut put);
        let distance = match u64::from(self.points) {
            0 | 1 => 0,
            points => ((1_u128 << 64) / u128::from(points)) as u64,
        };
        // Who is always answered does not always come first.
        let turn = number.wrapping_mul(0xd134_2543_de82_ef95);
        let before = ((u128::from(turn) * (self.always.len() as u128 + 1)) >> 64) as usize;
        let (last, first) = self.always.split_at_checked(before).unwrap_or_default();
        first.iter().all(&mut put)
            && (0..u64::from(self.points)).all(|point| {
                let at = self.stretches.find(number.wrapping_add(point.wrapping_mul(distance)));
                self.circle.get(at).is_none_or(&mut put)
            })
            && last.iter().all(&mut put)
    }
}

/// Compiles a decision: records in wire form, intervals, TTL.
pub fn compile(estate: &Estate, service: ServiceId, decision: &Decision, cells: &mut CellMap) -> Compiled {
    let service = estate.service(service);
    let slot = cells.service(&service.name);
    Alike::compile(estate, service.max_answers, decision, cells).of(slot, cells)
}

impl Alike {
    /// Compiles a decision for all services with this `max_answers` that come to it.
    pub fn compile(estate: &Estate, max_answers: u16, decision: &Decision, cells: &mut CellMap) -> Self {
        let max_answers = usize::from(max_answers).clamp(1, ANSWERS_MAX);
        let mut part = |families: &[FamilyDecision; 2], ttl: u32, notes: [Option<Note>; 2]| {
            let [v4, v6] = families;
            let family_body = |decided: &FamilyDecision, family| compile_family(estate, decided, (family, decision.by_name), ttl, max_answers);
            let by_name = decision.by_name;
            let body = Body { ttl, by_name, sticky: decision.sticky, families: [family_body(v4, Family::V4), family_body(v6, Family::V6)], notes };
            AlikePart { body: cells.share(body), leaves: cells.leaves(estate, families) }
        };
        let own = part(&decision.families, decision.ttl, decision.notes);
        let variants =
            |by: &ByClient| (Arc::from(&by.of_class[..]), by.variants.iter().map(|variant| part(&variant.families, variant.ttl, variant.notes)).collect());
        Self { own, by_client: decision.by_client.as_deref().map(variants) }
    }

    /// For one of them.
    pub fn of(&self, service: ServiceSlot, cells: &mut CellMap) -> Compiled {
        let chosen = |part: &AlikePart, turn, cells: &mut CellMap| Chosen { body: part.body.clone(), cells: cells.cells(service, &part.leaves), turn };
        let by_client = self.by_client.as_ref().map(|(of_class, variants)| {
            // Each has sequences of its own: in a part of one, shares would not be exact (SEMANTICS, 8).
            let first = cells.turns(service, variants.len() as u32);
            let variants = variants.iter().zip(first.0..).map(|(part, turn)| chosen(part, Some(TurnId(turn)), cells)).collect();
            Arc::new(ByClass { of_class: of_class.clone(), variants })
        });
        Compiled { own: chosen(&self.own, None, cells), by_client }
    }
}

fn compile_family(estate: &Estate, decided: &FamilyDecision, (family, by_name): (Family, bool), ttl: u32, max_answers: usize) -> FamilyBody {
    let compile = |leaf: &Leaf| if by_name { compile_names(estate, leaf, ttl) } else { compile_leaf(estate, leaf, family, ttl, max_answers) };
    match &decided.verdict {
        Verdict::NoData => FamilyBody::NoData,
        Verdict::ServFail(why) => {
            let end = (0..=EXTRA_TEXT_OCTETS_MAX.min(why.len())).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
            FamilyBody::ServFail(why.as_bytes().get(..end).unwrap_or_default().into())
        }
        Verdict::Answer if decided.leaves.is_empty() => FamilyBody::NoData,
        Verdict::Answer => FamilyBody::Answer {
            split: Intervals::new(decided.leaves.iter().map(|leaf| leaf.share)),
            keeper: Keeper::of(&decided.leaves),
            leaves: decided.leaves.iter().map(compile).collect(),
        },
    }
}

/// The same address twice in a leaf (two endpoints, or two pools of a multivalue) is answered once: a record set has no duplicates (RFC 2181, section 5).
fn compile_leaf(estate: &Estate, leaf: &Leaf, family: Family, ttl: u32, max_answers: usize) -> LeafBody {
    let mut chosen: Vec<(IpAddr, u64)> = Vec::with_capacity(leaf.endpoints.len());
    for (at, id) in leaf.endpoints.iter().enumerate() {
        // Weights are relative: those of a leaf are all in millionths, or all as in the file.
        let weight = leaf.weights.as_ref().and_then(|weights| weights.get(at).copied()).unwrap_or(u64::from(estate.endpoint(*id).weight)).max(1);
        let addresses = leaf.addresses_at(estate, at);
        // A host name's weight is all its addresses' together.
        let weight = match leaf.addresses {
            None => weight,
            Some(_) => weight.saturating_mul(if leaf.weights.is_some() { 1000 } else { SPLITS_EVENLY }) / addresses.len().max(1) as u64,
        };
        for address in addresses.iter().copied().filter(|address| Family::of(*address) == family) {
            match chosen.iter_mut().find(|(known, _)| *known == address) {
                Some((_, sum)) => *sum += weight,
                None => chosen.push((address, weight)),
            }
        }
    }
    // Positions are 16 bits wide; a pool so large could not be probed.
    chosen.truncate(usize::from(u16::MAX));
    if chosen.is_empty() {
        return LeafBody::Empty;
    }
    let turns = if (2..=max_answers).contains(&chosen.len()) { 2 } else { 1 };
    let mut records = Vec::with_capacity(chosen.len() * turns * record_octets(rtype::AAAA as u8));
    for (address, _) in (0..turns).flat_map(|_| &chosen) {
        put_address(&mut records, *address, ttl);
    }
    match chosen.len() {
        count if count <= max_answers => LeafBody::Rotated { records: records.into(), count: count as u16 },
        _ => LeafBody::Sampled(Box::new(sample(&chosen, records.into(), max_answers))),
    }
}

/// The host names of a leaf, as CNAME records.
fn compile_names(estate: &Estate, leaf: &Leaf, ttl: u32) -> LeafBody {
    let mut chosen: Vec<(&Name, u64)> = Vec::with_capacity(leaf.endpoints.len());
    for (at, id) in leaf.endpoints.iter().enumerate() {
        let Some(host) = estate.host_of(*id) else { continue };
        let weight = leaf.weights.as_ref().and_then(|weights| weights.get(at).copied()).unwrap_or(u64::from(estate.endpoint(*id).weight)).max(1);
        match chosen.iter_mut().find(|(known, _)| *known == host) {
            Some((_, sum)) => *sum += weight,
            None => chosen.push((host, weight)),
        }
    }
    if chosen.is_empty() {
        return LeafBody::Empty;
    }
    let record = |(host, _): &(&Name, u64)| {
        let mut record = Vec::with_capacity(RDATA_AT + host.wire().len());
        put_record(&mut record, rtype::CNAME, ttl, host.wire());
        record.into()
    };
    let stretches = Intervals::new(chosen.iter().map(|(_, weight)| *weight as f64));
    LeafBody::Named(Box::new(Named { records: chosen.iter().map(record).collect(), stretches }))
}

/// Settles who is always answered: whoever weighs at least a `points`-th of the circle, until nobody on it does.
fn sample(chosen: &[(IpAddr, u64)], records: Box<[u8]>, max_answers: usize) -> Sampled {
    let mut circle: Vec<(u16, u64)> = (0..).zip(chosen.iter().map(|(_, weight)| *weight)).collect();
    let (mut always, mut points) = (Vec::new(), max_answers as u64);
    loop {
        let total: u64 = circle.iter().map(|(_, weight)| weight).sum();
        let too_heavy = |weight: u64| u128::from(weight) * u128::from(points) >= u128::from(total);
        let Some(at) = circle.iter().position(|(_, weight)| points > 0 && too_heavy(*weight)) else { break };
        always.push(circle.remove(at).0);
        points -= 1;
    }
    Sampled {
        records,
        always: always.into(),
        stretches: Intervals::new(circle.iter().map(|(_, weight)| *weight as f64)),
        circle: circle.iter().map(|(at, _)| *at).collect(),
        points: points as u16,
    }
}

/// Size of an address record with a compressed owner, by the low octet of its type.
pub(crate) fn record_octets(rtype_low: u8) -> usize {
    if u16::from(rtype_low) == rtype::A { 16 } else { 28 }
}

fn put_address(records: &mut Vec<u8>, address: IpAddr, ttl: u32) {
    match address {
        IpAddr::V4(address) => put_record(records, rtype::A, ttl, &address.octets()),
        IpAddr::V6(address) => put_record(records, rtype::AAAA, ttl, &address.octets()),
    }
}

/// A record of the question's name.
fn put_record(records: &mut Vec<u8>, rtype: u16, ttl: u32, rdata: &[u8]) {
    records.extend_from_slice(&[0xc0, 0x0c]);
    records.extend_from_slice(&rtype.to_be_bytes());
    records.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
    records.extend_from_slice(&ttl.to_be_bytes());
    records.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    records.extend_from_slice(rdata);
}
