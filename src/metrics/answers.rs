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
use super::tracked::{OTHERS, Tracked};

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

/// What rates look back on.
const RATE_WINDOW: Duration = Duration::from_secs(55);
/// Less says nothing.
const RATE_MIN: Duration = Duration::from_secs(1);

/// Pools of a leaf, and answers by it.
type Sum<'c> = (&'c [Arc<str>], u64);

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
    // Those without series of their own are summed by pools first: they may be a hundred thousand.
    let mut others: HashMap<(*const Arc<str>, Rung), Sum<'_>> = HashMap::new();
    let mut add = |label, pools: &'_ [Arc<str>], rung, count| {
        // A pool that is gone has no region any more.
        for pool in pools {
            if let Some((pool, _)) = regions.get_key_value(&**pool) {
                *counts.entry((label, *pool, rung)).or_default() += count;
            }
        }
    };
    for (service, pools, rung, cell) in core.cells().iter() {
        let count = cell_total(workers, cell);
        if tracked.has(service) {
            add(&**service, pools, rung, count);
        } else if tracked.others() && (count == 0 || services.contains(&**service)) {
            others.entry((pools.as_ptr(), rung)).or_insert((pools, 0)).1 += count;
        }
    }
    for ((_, rung), (pools, count)) in others {
        add(OTHERS, pools, rung, count);
    }
    let mut series = Series::new(catalog::DNS_ANSWERS);
    for ((service, pool, rung), count) in counts {
        let region = regions.get(pool).copied().unwrap_or_default();
        series.push(&[service, pool, region, rung.word()], count as f64);
    }
    out.push(series);
}

/// Samples of the cells' counters over [`WINDOW`].
#[derive(Debug)]
pub struct Answered {
    /// Oldest first; counts by cell, their low 32 bits: nobody is asked more often in one window. The first one is [`WINDOW`] old, or the start of the process.
    samples: VecDeque<Sample>,
}

/// Counters at one moment.
#[derive(Clone, Debug, Default)]
struct Sample {
    at: Duration,
    counts: Arc<[u32]>,
    /// All DNS queries.
    queries: u64,
}

impl Default for Answered {
    fn default() -> Self {
        // Before the first sample every counter was 0.
        Self { samples: VecDeque::from([Sample::default()]) }
    }
}

/// Counts that all samples may hold together, about; with more cells than that, samples are taken less often.
const COUNTS_MAX: usize = 1 << 20;
/// Samples per window, at least and at most.
const SAMPLES: (usize, usize) = (5, 30);

impl Answered {
    /// Counting goes on from here: a process that takes over begins at `mono`, not at 0.
    pub fn begin(&mut self, mono: Duration) {
        if let [only] = self.samples.make_contiguous() {
            only.at = mono;
        }
    }

    /// Remembers the counters of the first `cells` cells, and of all queries, as they are at `mono`.
    pub fn sample(&mut self, mono: Duration, cells: u32, queries: u64, count: impl Fn(CellId) -> u64) {
        let samples = (COUNTS_MAX / (cells as usize).max(1)).clamp(SAMPLES.0, SAMPLES.1) as u32;
        let (last, known) = self.samples.back().map_or((None, None), |last| (Some(last.at), Some(&last.counts)));
        // Half a second less, because timers are never exact.
        let every = (WINDOW / samples).saturating_sub(Duration::from_millis(500));
        if 1 < self.samples.len() && last.is_some_and(|last| mono < last + every) {
            return;
        }
        let counts: Vec<u32> = (0..cells).map(|cell| count(CellId(cell)) as u32).collect();
        // While nobody asks, nothing is kept twice.
        let counts = known.filter(|known| known[..] == counts[..]).cloned().unwrap_or_else(|| counts.into());
        self.samples.push_back(Sample { at: mono, counts, queries });
        while self.samples.get(1).is_some_and(|second| second.at + WINDOW <= mono) {
            self.samples.pop_front();
        }
    }

    /// Shares by pool of a service's cells since the oldest sample, by name, summing to 1; a multivalue answer counts in equal parts. Empty if nothing was answered.
    pub fn shares<'c>(&self, cells: impl Iterator<Item = (CellId, &'c [Arc<str>])>, count: impl Fn(CellId) -> u64) -> Vec<(Arc<str>, f64)> {
        let oldest = self.samples.front().map(|oldest| &*oldest.counts).unwrap_or_default();
        let mut answers: BTreeMap<&Arc<str>, f64> = BTreeMap::new();
        for (cell, pools) in cells {
            let now = count(cell);
            let since = oldest.get(cell.0 as usize).map_or(now, |before| (now as u32).wrapping_sub(*before).into());
            let part = since as f64 / pools.len().max(1) as f64;
            for pool in pools.iter() {
                *answers.entry(pool).or_default() += part;
            }
        }
        let all: f64 = answers.values().sum();
        if all > 0.0 { answers.into_iter().map(|(pool, part)| (pool.clone(), part / all)).collect() } else { Vec::new() }
    }
}

impl Answered {
    /// The sample that rates are counted from: the newest that is a minute old, else the oldest. `None` while it is too young to say anything.
    fn since(&self, mono: Duration) -> Option<(&Sample, f64)> {
        let old = self.samples.iter().rev().find(|sample| sample.at + RATE_WINDOW <= mono);
        let from = old.or(self.samples.front())?;
        let seconds = mono.saturating_sub(from.at).as_secs_f64();
        (RATE_MIN.as_secs_f64() <= seconds).then_some((from, seconds))
    }

    /// Answers a second from these cells over the last minute.
    pub fn rate(&self, mono: Duration, cells: impl Iterator<Item = CellId>, count: impl Fn(CellId) -> u64) -> Option<f64> {
        let (from, seconds) = self.since(mono)?;
        let since = |cell: CellId| {
            let now = count(cell);
            // A cell that is younger than the sample began at 0.
            from.counts.get(cell.0 as usize).map_or(now, |before| (now as u32).wrapping_sub(*before).into())
        };
        Some(cells.map(since).sum::<u64>() as f64 / seconds)
    }

    /// DNS queries a second over the last minute, of `queries` in all.
    pub fn query_rate(&self, mono: Duration, queries: u64) -> Option<f64> {
        let (from, seconds) = self.since(mono)?;
        Some(queries.saturating_sub(from.queries) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pools = Arc<[Arc<str>]>;

    fn cells() -> Vec<(CellId, Pools)> {
        let pools = |names: &[&str]| -> Pools { names.iter().map(|name| Arc::from(*name)).collect() };
        vec![(CellId(0), pools(&["prod"])), (CellId(1), pools(&["dr"])), (CellId(2), pools(&["dr", "prod"]))]
    }

    fn shares(answered: &Answered, count: impl Fn(CellId) -> u64) -> String {
        text(&answered.shares(cells().iter().map(|(cell, pools)| (*cell, &**pools)), count))
    }

    fn text(shares: &[(Arc<str>, f64)]) -> String {
        shares.iter().map(|(pool, share)| format!("{pool} {share:.2}")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn shares_are_those_of_the_last_five_minutes() {
        let mut answered = Answered::default();
        let counts = [std::cell::Cell::new(0), std::cell::Cell::new(0), std::cell::Cell::new(0)];
        let count = |cell: CellId| counts[cell.0 as usize].get();
        assert_eq!(shares(&answered, count), "", "nothing was answered yet");
        counts[0].set(100);
        assert_eq!(shares(&answered, count), "dr 0.00, prod 1.00", "also before the first sample");
        for at in 1..=60 {
            answered.sample(Duration::from_secs(at * 10), 3, 0, count);
            counts[1].set(at * 10);
        }
        assert!(answered.samples.len() <= 32, "{} samples", answered.samples.len());
        assert_eq!(shares(&answered, count), "dr 1.00, prod 0.00", "prod's answers are older than the window");
    }

    #[test]
    fn an_answer_with_two_pools_counts_half_for_each() {
        assert_eq!(shares(&Answered::default(), |cell| [30, 50, 20][cell.0 as usize]), "dr 0.60, prod 0.40");
    }

    #[test]
    fn many_cells_are_sampled_less_often_and_idle_ones_kept_once() {
        let mut answered = Answered::default();
        for at in 1..=60 {
            answered.sample(Duration::from_secs(at * 10), 200_000, 0, |_| at / 30);
        }
        assert!(answered.samples.len() <= SAMPLES.0 + 2, "{} samples", answered.samples.len());
        let kept: std::collections::HashSet<*const u32> = answered.samples.iter().map(|sample| sample.counts.as_ptr()).collect();
        assert!(kept.len() <= 2, "{} kept", kept.len());
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let mut answered = Answered::default();
        let count = std::cell::Cell::new(0);
        let rate = |answered: &Answered, seconds| answered.rate(Duration::from_secs(seconds), [CellId(0)].into_iter(), |_| count.get());
        assert_eq!(rate(&answered, 0), None, "nothing is known yet");
        count.set(100);
        assert_eq!(rate(&answered, 10), Some(10.0), "since the start");
        for at in 1..=30 {
            answered.sample(Duration::from_secs(at * 10), 1, at * 1000, |_| count.get());
        }
        count.set(700);
        assert_eq!(rate(&answered, 310), Some(10.0), "600 in the last 60 s, whatever was before");
        assert_eq!(answered.query_rate(Duration::from_secs(310), 31_000), Some(100.0));
    }
}
