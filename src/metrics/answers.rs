//! Answers by service, pool and rung: the counter, and the shares of the last five minutes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Counters, cell_total};
use crate::control::Core;
use crate::model::{AllDown, PoolId, ServiceId};
use crate::policy::Rung;
use crate::snapshot::CellId;

use super::catalog;
use super::series::Series;
use super::tracked::Tracked;

/// What "answered" looks back on.
pub const WINDOW: Duration = Duration::from_secs(300);

/// Every pool that a service's answers may name: those of its tree, once each, then its last resort.
pub fn pools_of(core: &Core, service: ServiceId) -> Vec<PoolId> {
    let view = core.service(service);
    let mut pools = Vec::new();
    let mut add = |pool| {
        if !pools.contains(&pool) {
            pools.push(pool);
        }
    };
    view.policy.pools(&mut add);
    if let AllDown::Pool(last_resort) = view.service.when_all_down {
        add(last_resort);
    }
    pools
}

/// Counts since the start. A multivalue answer counts for each of its pools.
pub fn collect(core: &Core, tracked: &Tracked, workers: &[Arc<Counters>], out: &mut Vec<Series>) {
    let estate = core.estate();
    let regions: HashMap<&str, &str> = estate.pools.iter().map(|pool| (&*pool.name, &*estate.region(pool.region).name)).collect();
    let services: HashSet<&str> = estate.services.iter().map(|service| &*service.name).collect();
    let mut counts: BTreeMap<(&str, &str, Rung), u64> = BTreeMap::new();
    for id in tracked.ids() {
        for pool in pools_of(core, *id) {
            counts.extend(Rung::ALL.map(|rung| ((&*estate.service(*id).name, &*estate.pool(pool).name, rung), 0)));
        }
    }
    for (service, pools, rung, cell) in core.cells().iter() {
        if !services.contains(&**service) {
            continue;
        }
        let count = cell_total(workers, cell);
        // A pool that is gone has no region any more.
        for pool in pools.iter().filter(|pool| regions.contains_key(&***pool)) {
            *counts.entry((tracked.label(service), &**pool, rung)).or_default() += count;
        }
    }
    let mut series = Series::new(catalog::DNS_ANSWERS);
    for ((service, pool, rung), count) in counts {
        let region = regions.get(pool).copied().unwrap_or_default();
        series.push(&[service, pool, region, rung.word()], count as f64);
    }
    out.push(series);
}

/// A counter, and the pools that its answers name.
type Cell = (CellId, Arc<[Arc<str>]>);

/// Samples of the cells' counters over [`WINDOW`].
#[derive(Debug)]
pub struct Answered {
    /// Oldest first; counts by cell. The first one is [`WINDOW`] old, or the start of the process.
    samples: VecDeque<(Duration, Vec<u64>)>,
    /// By service: its cells and their pools.
    cells: HashMap<Arc<str>, Vec<Cell>>,
    cells_known: usize,
}

impl Default for Answered {
    fn default() -> Self {
        // Before the first sample every counter was 0.
        Self { samples: VecDeque::from([(Duration::ZERO, Vec::new())]), cells: HashMap::new(), cells_known: 0 }
    }
}

impl Answered {
    /// Learns cells that are new. Cells are never given back, so new ones stand at the end.
    pub fn learn(&mut self, core: &Core) {
        for (service, pools, _, cell) in core.cells().iter().skip(self.cells_known) {
            self.cells.entry(service.clone()).or_default().push((cell, Arc::from(pools)));
            self.cells_known += 1;
        }
    }

    /// Remembers the counters as they are at `mono`.
    pub fn sample(&mut self, mono: Duration, count: impl Fn(CellId) -> u64) {
        let counts = (0..self.cells_known).map(|cell| count(CellId(u32::try_from(cell).unwrap_or(u32::MAX)))).collect();
        self.samples.push_back((mono, counts));
        while self.samples.get(1).is_some_and(|(second, _)| *second + WINDOW <= mono) {
            self.samples.pop_front();
        }
    }

    /// Shares by pool since the oldest sample, by name, summing to 1; a multivalue answer counts in equal parts. Empty if nothing was answered.
    pub fn shares(&self, service: &str, count: impl Fn(CellId) -> u64) -> Vec<(Arc<str>, f64)> {
        let oldest = self.samples.front().map(|(_, counts)| counts.as_slice()).unwrap_or_default();
        let mut answers: BTreeMap<&Arc<str>, f64> = BTreeMap::new();
        for (cell, pools) in self.cells.get(service).into_iter().flatten() {
            let before = oldest.get(cell.0 as usize).copied().unwrap_or(0);
            let part = count(*cell).saturating_sub(before) as f64 / pools.len().max(1) as f64;
            for pool in pools.iter() {
                *answers.entry(pool).or_default() += part;
            }
        }
        let all: f64 = answers.values().sum();
        if all > 0.0 { answers.into_iter().map(|(pool, part)| (pool.clone(), part / all)).collect() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered() -> Answered {
        let pools = |names: &[&str]| -> Arc<[Arc<str>]> { names.iter().map(|name| Arc::from(*name)).collect() };
        let cells = vec![(CellId(0), pools(&["prod"])), (CellId(1), pools(&["dr"])), (CellId(2), pools(&["dr", "prod"]))];
        Answered { cells: HashMap::from([(Arc::from("orders"), cells)]), cells_known: 3, ..Answered::default() }
    }

    fn text(shares: &[(Arc<str>, f64)]) -> String {
        shares.iter().map(|(pool, share)| format!("{pool} {share:.2}")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn shares_are_those_of_the_last_five_minutes() {
        let mut answered = answered();
        let counts = [std::cell::Cell::new(0), std::cell::Cell::new(0), std::cell::Cell::new(0)];
        let count = |cell: CellId| counts[cell.0 as usize].get();
        assert_eq!(text(&answered.shares("orders", count)), "", "nothing was answered yet");
        counts[0].set(100);
        assert_eq!(text(&answered.shares("orders", count)), "dr 0.00, prod 1.00", "also before the first sample");
        for at in 1..=60 {
            answered.sample(Duration::from_secs(at * 10), count);
            counts[1].set(at * 10);
        }
        assert!(answered.samples.len() <= 32, "{} samples", answered.samples.len());
        assert_eq!(text(&answered.shares("orders", count)), "dr 1.00, prod 0.00", "prod's answers are older than the window");
    }

    #[test]
    fn an_answer_with_two_pools_counts_half_for_each() {
        let answered = answered();
        assert_eq!(text(&answered.shares("orders", |cell| [30, 50, 20][cell.0 as usize])), "dr 0.60, prod 0.40");
    }
}
