//! Which counter cell belongs to which service, pools and rung; which slot to which zone.
//!
//! Both are found by name, so that counters go on over publishes and reloads. Cells are never given back: there are as many as
//! (service, pools, rung) were ever answered, and nothing here is on the query path.
//!
//! The cells of a service are a chain: a change that touches 100,000 services walks memory in order and hashes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{Estate, Interner, PoolId, ServiceId};
use crate::policy::{FamilyDecision, Rung, Verdict};
use crate::wire::{Name, fold, hash_octets};

use super::compiled::Body;

/// The counter cell of one (service, pools of a leaf, rung): survives publishes and reloads by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

/// The counter slot of a zone: survives reloads by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneSlot(pub u32);

impl ZoneSlot {
    /// Of queries that belong to none of our zones.
    pub const OUTSIDE: ZoneSlot = ZoneSlot(0);
}

/// A service as cells know it: survives reloads by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceSlot(u32);

/// Where the sequences of one variant of a service stand, for clients that get that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(pub u32);

/// Pools and rung of a leaf: what tells the cells of one service apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LeafKey(u32);

/// The cells of a decision's leaves: those of A, then those of AAAA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// Nearly every service has one or two leaves.
    Few([CellId; 2]),
    /// More.
    Many(Box<[CellId]>),
}

/// End of a chain.
const NONE: u32 = u32::MAX;
/// Leaves beyond which a service's chain is not walked for each of them.
const WALKED_MAX: usize = 8;

/// Gives out cells and zone slots; owned by `control`, read by `metrics`. Knows the bodies in use, too, so that equal decisions share one.
#[derive(Debug, Default)]
pub struct CellMap {
    cells: Vec<Cell>,
    services: Vec<Counted>,
    services_by_name: HashTable<u32>,
    leaves: Vec<Leaf>,
    leaves_by_name: HashTable<u32>,
    zones: Vec<Name>,
    bodies: Interner<Body>,
    /// First place and number of places of services whose answers depend on the client.
    turns: HashMap<ServiceSlot, (TurnId, u32)>,
    turns_end: u32,
}

#[derive(Debug)]
struct Cell {
    service: ServiceSlot,
    leaf: LeafKey,
    /// The service's next one.
    next: u32,
}

/// A service that has, or had, cells.
#[derive(Debug)]
struct Counted {
    name: Arc<str>,
    first: u32,
}

#[derive(Debug)]
struct Leaf {
    pools: Arc<[Arc<str>]>,
    rung: Rung,
}

impl CellMap {
    /// The place of a service, made on first use.
    pub fn service(&mut self, name: &Arc<str>) -> ServiceSlot {
        let hash = hash_octets(name.as_bytes());
        if let Some(found) = self.slot_named(name) {
            return found;
        }
        let made = u32::try_from(self.services.len()).unwrap_or(u32::MAX);
        self.services.push(Counted { name: name.clone(), first: NONE });
        let services = &self.services;
        self.services_by_name.insert_unique(hash, made, |at| services.get(*at as usize).map_or(0, |known| hash_octets(known.name.as_bytes())));
        ServiceSlot(made)
    }

    fn slot_named(&self, name: &str) -> Option<ServiceSlot> {
        let same = |at: &u32| self.services.get(*at as usize).is_some_and(|known| *known.name == *name);
        self.services_by_name.find(hash_octets(name.as_bytes()), same).copied().map(ServiceSlot)
    }

    /// The cell of (service, pools, rung), made on first use.
    pub fn cell(&mut self, estate: &Estate, service: ServiceId, pools: &[PoolId], rung: Rung) -> CellId {
        let slot = self.service(&estate.service(service).name);
        let leaf = self.leaf(estate, pools, rung);
        self.cell_of(slot, leaf)
    }

    fn cell_of(&mut self, service: ServiceSlot, leaf: LeafKey) -> CellId {
        let found = self.chain(service).find(|(_, cell)| cell.leaf == leaf).map(|(id, _)| id);
        found.unwrap_or_else(|| self.add(service, leaf))
    }

    fn add(&mut self, service: ServiceSlot, leaf: LeafKey) -> CellId {
        let made = self.len();
        if let Some(counted) = self.services.get_mut(service.0 as usize) {
            self.cells.push(Cell { service, leaf, next: counted.first });
            counted.first = made;
        }
        CellId(made)
    }

    fn chain(&self, service: ServiceSlot) -> impl Iterator<Item = (CellId, &Cell)> {
        let mut at = self.services.get(service.0 as usize).map_or(NONE, |counted| counted.first);
        std::iter::from_fn(move || {
            let cell = self.cells.get(at as usize)?;
            Some((CellId(std::mem::replace(&mut at, cell.next)), cell))
        })
    }

    /// What cells a decision needs, whichever service's it is.
    pub(super) fn leaves(&mut self, estate: &Estate, families: &[FamilyDecision; 2]) -> Box<[LeafKey]> {
        let answering = families.iter().filter(|decided| decided.verdict == Verdict::Answer);
        answering.flat_map(|decided| &decided.leaves).map(|leaf| self.leaf(estate, &leaf.pools, leaf.rung)).collect()
    }

    /// The cells of a service for these leaves, made on first use.
    pub(super) fn cells(&mut self, service: ServiceSlot, leaves: &[LeafKey]) -> Cells {
        match leaves {
            [] => Cells::Few([CellId(NONE), CellId(NONE)]),
            [one] => Cells::Few([self.cell_of(service, *one), CellId(NONE)]),
            [one, two] => Cells::Few([self.cell_of(service, *one), self.cell_of(service, *two)]),
            many if many.len() <= WALKED_MAX => Cells::Many(many.iter().map(|leaf| self.cell_of(service, *leaf)).collect()),
            many => {
                let mut known: HashMap<LeafKey, CellId> = self.chain(service).map(|(id, cell)| (cell.leaf, id)).collect();
                Cells::Many(many.iter().map(|leaf| *known.entry(*leaf).or_insert_with(|| self.add(service, *leaf))).collect())
            }
        }
    }

    /// All cells from a number on: service name, pool names, rung, cell. Cells are never given back, so new ones stand at the end.
    pub fn iter_from(&self, first: u32) -> impl Iterator<Item = (&Arc<str>, &Arc<[Arc<str>]>, Rung, CellId)> {
        let new = self.cells.get(first as usize..).unwrap_or_default();
        new.iter().zip(first..).filter_map(|(cell, id)| {
            let (service, leaf) = self.services.get(cell.service.0 as usize).zip(self.leaves.get(cell.leaf.0 as usize))?;
            Some((&service.name, &leaf.pools, leaf.rung, CellId(id)))
        })
    }

    /// All cells so far.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<[Arc<str>]>, Rung, CellId)> {
        self.iter_from(0)
    }

    /// The cells of the service of this name, and the pools that their answers name.
    pub fn of_service(&self, name: &str) -> impl Iterator<Item = (CellId, &[Arc<str>])> {
        let slot = self.slot_named(name);
        let chain = slot.into_iter().flat_map(|slot| self.chain(slot));
        chain.filter_map(|(id, cell)| Some((id, &*self.leaves.get(cell.leaf.0 as usize)?.pools)))
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }

    /// None was asked for yet.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The slot of a zone, made on first use.
    pub fn zone(&mut self, apex: &Name) -> ZoneSlot {
        let at = self.zones.iter().position(|known| known == apex).unwrap_or_else(|| {
            self.zones.push(apex.clone());
            self.zones.len() - 1
        });
        ZoneSlot(u32::try_from(at + 1).unwrap_or(u32::MAX))
    }

    /// All zones so far, without [`ZoneSlot::OUTSIDE`].
    pub fn zones(&self) -> impl Iterator<Item = (&Name, ZoneSlot)> {
        self.zones.iter().zip((1..).map(ZoneSlot))
    }

    /// The apex of a slot's zone; `None` for [`ZoneSlot::OUTSIDE`].
    pub fn zone_name(&self, slot: ZoneSlot) -> Option<&Name> {
        self.zones.get((slot.0 as usize).checked_sub(1)?)
    }

    /// So many places for a service's variants, one after the other; the same again, unless there are too few.
    pub(super) fn turns(&mut self, service: ServiceSlot, count: u32) -> TurnId {
        if let Some((first, room)) = self.turns.get(&service).copied()
            && count <= room
        {
            return first;
        }
        let first = TurnId(self.turns_end);
        self.turns.insert(service, (first, count));
        self.turns_end += count;
        first
    }

    /// The body equal to `body` that is in use already, or `body` itself.
    pub(super) fn share(&mut self, body: Body) -> Arc<Body> {
        self.bodies.share(body)
    }

    fn leaf(&mut self, estate: &Estate, pools: &[PoolId], rung: Rung) -> LeafKey {
        let names = || pools.iter().map(|pool| &estate.pool(*pool).name);
        let hash = leaf_hash(names(), rung);
        let leaves = &self.leaves;
        let same = |at: &u32| leaves.get(*at as usize).is_some_and(|leaf| leaf.rung == rung && leaf.pools.iter().eq(names()));
        if let Some(found) = self.leaves_by_name.find(hash, same) {
            return LeafKey(*found);
        }
        let made = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
        self.leaves.push(Leaf { pools: names().cloned().collect(), rung });
        let leaves = &self.leaves;
        self.leaves_by_name.insert_unique(hash, made, |at| leaves.get(*at as usize).map_or(0, |leaf| leaf_hash(leaf.pools.iter(), leaf.rung)));
        LeafKey(made)
    }
}

fn leaf_hash<'a>(pools: impl Iterator<Item = &'a Arc<str>>, rung: Rung) -> u64 {
    pools.fold(rung as u64, |hash, name| fold(hash ^ hash_octets(name.as_bytes())))
}

impl Cells {
    pub(super) fn get(&self, leaf: usize) -> Option<CellId> {
        match self {
            Cells::Few(few) => few.get(leaf).copied().filter(|cell| cell.0 != NONE),
            Cells::Many(many) => many.get(leaf).copied(),
        }
    }

    /// Every one is below this.
    pub(super) fn end(&self) -> u32 {
        let all = match self {
            Cells::Few(few) => &few[..],
            Cells::Many(many) => many,
        };
        all.iter().filter(|cell| cell.0 != NONE).map(|cell| cell.0 + 1).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AllDown, Choice, Failback, Node, PolicyForm, Pool, RegionId, Service};

    fn estate(pools: &[&str], services: &[&str]) -> Estate {
        let pool = |name: &&str| Pool {
            name: (*name).into(),
            region: RegionId(0),
            endpoints: Vec::new(),
            min_up: 1,
            min_active: None,
            requires: Vec::new(),
            required_by: Vec::new(),
            degraded_factor: None,
            hold_if_older_than: None,
            shed: None,
        };
        let service = |name: &&str| Service {
            name: (*name).into(),
            names: Default::default(),
            form: Arc::new(PolicyForm::new(Choice::Failover(Vec::new()))),
            policy: Arc::new(Node::Pool(PoolId(0))),
            answer: Default::default(),
            ttl: 30,
            ttl_min: 5,
            max_answers: 8,
            failback: Failback::Manual,
            trickle: crate::model::Share::ZERO,
            when_all_down: AllDown::NoData,
            sticky: None,
            metrics: false,
        };
        Estate { pools: pools.iter().map(pool).collect(), services: services.iter().map(service).collect(), ..Estate::default() }
    }

    #[test]
    fn cells_survive_a_reload_by_name() {
        let mut cells = CellMap::default();
        let before = estate(&["prod", "dr"], &["orders", "portal"]);
        let prod = cells.cell(&before, ServiceId(0), &[PoolId(0)], Rung::Policy);
        let both = cells.cell(&before, ServiceId(0), &[PoolId(0), PoolId(1)], Rung::Policy);
        let held = cells.cell(&before, ServiceId(0), &[PoolId(0)], Rung::Held);
        let portal = cells.cell(&before, ServiceId(1), &[PoolId(0)], Rung::Policy);
        assert_eq!(std::collections::BTreeSet::from([prod, both, held, portal]).len(), 4);
        let after = estate(&["new", "dr", "prod"], &["portal", "orders"]);
        assert_eq!(cells.cell(&after, ServiceId(1), &[PoolId(2)], Rung::Policy), prod);
        assert_eq!(cells.cell(&after, ServiceId(1), &[PoolId(2), PoolId(1)], Rung::Policy), both);
        assert_eq!(cells.cell(&after, ServiceId(0), &[PoolId(2)], Rung::Policy), portal);
        assert_eq!(cells.len(), 4);
        let (service, pools, rung, cell) = cells.iter().nth(1).unwrap();
        assert_eq!((&**service, pools.iter().map(|pool| &**pool).collect::<Vec<_>>(), rung, cell), ("orders", vec!["prod", "dr"], Rung::Policy, both));
    }

    #[test]
    fn zones_keep_their_slots() {
        let mut cells = CellMap::default();
        let [a, b] = ["a.test", "b.test"].map(|name| Name::parse(name).unwrap());
        assert_eq!([cells.zone(&a), cells.zone(&b), cells.zone(&a)], [ZoneSlot(1), ZoneSlot(2), ZoneSlot(1)]);
        assert_eq!((cells.zone_name(ZoneSlot(2)), cells.zone_name(ZoneSlot::OUTSIDE)), (Some(&b), None));
    }

    #[test]
    fn a_service_keeps_its_cells_however_many_leaves_a_decision_has() {
        let names: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
        let estate = estate(&names.iter().map(String::as_str).collect::<Vec<_>>(), &["orders", "portal"]);
        let mut cells = CellMap::default();
        let slots = estate.services.iter().map(|service| cells.service(&service.name)).collect::<Vec<_>>();
        let keys: Vec<LeafKey> = (0..40).map(|pool| cells.leaf(&estate, &[PoolId(pool)], Rung::Policy)).collect();
        for slot in slots {
            let by_one: Vec<CellId> = keys.iter().take(20).filter_map(|key| cells.cells(slot, &[*key]).get(0)).collect();
            let many = cells.cells(slot, &keys);
            assert_eq!((0..20).filter_map(|leaf| many.get(leaf)).collect::<Vec<_>>(), by_one);
            let all: std::collections::BTreeSet<CellId> = (0..40).filter_map(|leaf| many.get(leaf)).collect();
            assert_eq!((all.len(), many.get(40), many.end()), (40, None, cells.len()));
            assert_eq!(cells.cells(slot, &keys), many);
        }
        assert_eq!(cells.len(), 80);
        assert_eq!(cells.of_service("portal").map(|(cell, _)| cell.0).collect::<Vec<_>>(), (40..80).rev().collect::<Vec<_>>());
        assert_eq!(cells.of_service("unheard-of").count(), 0);
    }
}
