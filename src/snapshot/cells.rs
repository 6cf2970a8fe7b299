//! Which counter cell belongs to which service, pools and rung; which slot to which zone.
//!
//! Both are found by name, so that counters go on over publishes and reloads. Cells are never given back: there are as many as
//! (service, pools, rung) were ever answered, and nothing here is on the query path.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::model::{Estate, PoolId, ServiceId};
use crate::policy::Rung;
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

/// Gives out cells and zone slots; owned by `control`, read by `metrics`. Knows the bodies in use, too, so that equal decisions share one.
#[derive(Debug, Default)]
pub struct CellMap {
    cells: Vec<Cell>,
    by_name: HashTable<u32>,
    pool_sets: Vec<Arc<[Arc<str>]>>,
    pool_sets_by_name: HashTable<u32>,
    zones: Vec<Name>,
    bodies: HashTable<(u64, Arc<Body>)>,
    bodies_sweep_at: usize,
}

#[derive(Debug)]
struct Cell {
    service: Arc<str>,
    pools: u32,
    rung: Rung,
}

impl CellMap {
    /// The cell of (service, pools, rung), made on first use.
    pub fn cell(&mut self, estate: &Estate, service: ServiceId, pools: &[PoolId], rung: Rung) -> CellId {
        let pools = self.pool_set(estate, pools);
        let service = &estate.service(service).name;
        let hash = cell_hash(service, pools, rung);
        let same = |cell: &Cell| cell.pools == pools && cell.rung == rung && cell.service == *service;
        if let Some(found) = self.by_name.find(hash, |at| self.cells.get(*at as usize).is_some_and(same)) {
            return CellId(*found);
        }
        let made = self.len();
        self.cells.push(Cell { service: service.clone(), pools, rung });
        let cells = &self.cells;
        self.by_name.insert_unique(hash, made, |at| cells.get(*at as usize).map_or(0, |cell| cell_hash(&cell.service, cell.pools, cell.rung)));
        CellId(made)
    }

    /// All cells so far: service name, pool names, rung, cell.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &[Arc<str>], Rung, CellId)> {
        self.cells.iter().zip(0..).map(|(cell, id)| {
            let pools = self.pool_sets.get(cell.pools as usize).map_or(&[][..], |pools| pools);
            (&cell.service, pools, cell.rung, CellId(id))
        })
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

    /// The body equal to `body` that is in use already, or `body` itself. Bodies that nobody uses any more are forgotten now and then.
    pub(super) fn share(&mut self, hash: u64, body: Body) -> Arc<Body> {
        if let Some((_, shared)) = self.bodies.find(hash, |(known, shared)| *known == hash && **shared == body) {
            return shared.clone();
        }
        if self.bodies.len() >= self.bodies_sweep_at {
            self.bodies.retain(|(_, body)| Arc::strong_count(body) > 1);
            self.bodies_sweep_at = (self.bodies.len() * 2).max(1024);
        }
        let body = Arc::new(body);
        self.bodies.insert_unique(hash, (hash, body.clone()), |(hash, _)| *hash);
        body
    }

    fn pool_set(&mut self, estate: &Estate, pools: &[PoolId]) -> u32 {
        let names = || pools.iter().map(|pool| &estate.pool(*pool).name);
        let hash = names_hash(names());
        let sets = &self.pool_sets;
        if let Some(found) = self.pool_sets_by_name.find(hash, |at| sets.get(*at as usize).is_some_and(|set| set.iter().eq(names()))) {
            return *found;
        }
        let made = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        self.pool_sets.push(names().cloned().collect());
        let sets = &self.pool_sets;
        self.pool_sets_by_name.insert_unique(hash, made, |at| sets.get(*at as usize).map_or(0, |set| names_hash(set.iter())));
        made
    }
}

fn names_hash<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> u64 {
    names.fold(1, |hash, name| fold(hash ^ hash_octets(name.as_bytes())))
}

fn cell_hash(service: &str, pools: u32, rung: Rung) -> u64 {
    fold(hash_octets(service.as_bytes()) ^ u64::from(pools) << 8 ^ rung as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AllDown, Choice, Failback, Node, PolicyForm, Pool, RegionId, Service};

    fn estate(pools: &[&str], services: &[&str]) -> Estate {
        let pool = |name: &&str| Pool { name: (*name).into(), region: RegionId(0), endpoints: Vec::new(), min_up: 1, min_active: None };
        let service = |name: &&str| Service {
            name: (*name).into(),
            names: Vec::new(),
            form: Arc::new(PolicyForm::new(Choice::Failover(Vec::new()))),
            policy: Arc::new(Node::Pool(PoolId(0))),
            ttl: 30,
            ttl_min: 5,
            max_answers: 8,
            failback: Failback::Manual,
            when_all_down: AllDown::NoData,
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
    fn bodies_that_nobody_uses_are_forgotten() {
        let mut cells = CellMap::default();
        let body = |ttl| Body { ttl, families: [crate::snapshot::FamilyBody::NoData, crate::snapshot::FamilyBody::NoData] };
        let kept = cells.share(0, body(0));
        for ttl in 1..5000 {
            cells.share(u64::from(ttl), body(ttl));
        }
        assert!(cells.bodies.len() <= 1025);
        assert!(Arc::ptr_eq(&kept, &cells.share(0, body(0))));
    }
}
