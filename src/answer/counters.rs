//! Counters of one worker. The worker alone writes, with plain loads and stores; `metrics` reads and sums over workers.
//!
//! Labels come from configuration (zone slots, cells) and closed lists, never from queries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Family;
use crate::snapshot::{CellId, Snapshot, ZoneSlot};
use crate::wire::Rcode;

use super::Asked;
use super::grown::{Grown, add};
use super::outcome::Outcome;
use super::series::HistogramOf;
use super::words::{CookieOutcome, DropReason, QTYPE_WORDS, SubnetOutcome, Transport, qtype_index};

/// Counters per zone: queries by type, transport and family, then responses by rcode and transport, then the rest.
pub(super) const ZONE_BLOCK: usize = 128;
const RESPONSES_AT: usize = QTYPE_WORDS.len() * 4;
const TRUNCATED_AT: usize = RESPONSES_AT + Rcode::ALL.len() * 2;
const SUBNET_AT: usize = TRUNCATED_AT + 1;
const COOKIE_AT: usize = SUBNET_AT + SubnetOutcome::ALL.len();
const _: () = assert!(COOKIE_AT + CookieOutcome::ALL.len() <= ZONE_BLOCK);

/// Upper bounds of response sizes, octets.
pub(super) const SIZE_BOUNDS: [f64; 7] = [128.0, 256.0, 512.0, 1024.0, 1232.0, 4096.0, 65535.0];
/// Upper bounds of query durations, seconds.
pub(super) const DURATION_BOUNDS: [f64; 12] = [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1, 1.0];

/// Counters of one worker.
#[derive(Debug)]
pub struct Counters {
    /// By zone slot; first [`ZoneSlot::OUTSIDE`].
    pub(super) zones: Grown,
    /// Zone slots below this have counters.
    pub(super) zones_end: AtomicU32,
    pub(super) cells: Grown,
    pub(super) dropped: [AtomicU64; DropReason::ALL.len()],
    /// By transport.
    sizes: [Buckets<{ SIZE_BOUNDS.len() + 1 }>; 2],
    /// By transport; sums in nanoseconds.
    durations: [Buckets<{ DURATION_BOUNDS.len() + 1 }>; 2],
}

/// Counts per bucket (the last one is "more") and the sum of what was observed.
#[derive(Debug)]
struct Buckets<const N: usize> {
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

impl Counters {
    /// All at 0.
    #[allow(clippy::new_ret_no_self, reason = "always shared between its worker and `metrics`")]
    pub fn new() -> Arc<Self> {
        let zones = Grown::new();
        zones.grow(ZONE_BLOCK);
        Arc::new(Self {
            zones,
            zones_end: AtomicU32::new(1),
            cells: Grown::new(),
            dropped: Default::default(),
            sizes: [const { Buckets::new() }; 2],
            durations: [const { Buckets::new() }; 2],
        })
    }

    /// Answers given from a cell by this worker.
    pub fn cell(&self, cell: CellId) -> u64 {
        self.cells.at(cell.0 as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Counts `queries` that were handled together in `took`: each with the mean. The worker alone calls this, once per batch.
    pub fn batch(&self, transport: Transport, queries: u64, took: Duration) {
        let nanoseconds = took.as_nanos() as u64;
        if let Some(mean) = nanoseconds.checked_div(queries)
            && let Some(buckets) = self.durations.get(transport as usize)
        {
            let seconds = mean as f64 / 1e9;
            buckets.add(DURATION_BOUNDS.partition_point(|bound| *bound < seconds), queries, nanoseconds);
        }
    }

    /// Counts a query that gets no response. The worker alone calls this.
    pub fn dropped(&self, reason: DropReason) {
        self.dropped.get(reason as usize).into_iter().for_each(|counter| add(counter, 1));
    }

    /// The buckets of a histogram: counts, sum, and the sum's unit.
    pub(super) fn buckets(&self, of: HistogramOf) -> Option<(&[AtomicU64], &AtomicU64, f64)> {
        match of {
            HistogramOf::ResponseSize(transport) => self.sizes.get(transport as usize).map(|buckets| (&buckets.counts[..], &buckets.sum, 1.0)),
            HistogramOf::QueryDuration(transport) => self.durations.get(transport as usize).map(|buckets| (&buckets.counts[..], &buckets.sum, 1e-9)),
        }
    }

    /// Makes room for the zones and cells of a snapshot. Allocates, unless somebody has done it before: any thread may.
    pub fn make_room(&self, snapshot: &Snapshot) {
        let zones_end = snapshot.names().zones().iter().map(|zone| zone.slot.0 + 1).max().unwrap_or(1);
        self.zones.grow(zones_end as usize * ZONE_BLOCK);
        self.zones_end.fetch_max(zones_end, Ordering::Release);
        self.cells.grow(snapshot.cells_end() as usize);
    }

    /// Counts a response; 0 octets: it has no size.
    pub(super) fn count(&self, outcome: &Outcome<'_>, asked: &Asked, octets: usize) {
        let Outcome { rcode, authoritative: _, truncated, zone, cell, extra_text: _, extra_code: _, qtype, subnet, cookie, subject: _, slow: _ } = *outcome;
        let (transport, family) = (asked.transport, Family::of(asked.client));
        if let Some(zone) = self.zones.block(zone.0 as usize * ZONE_BLOCK, ZONE_BLOCK) {
            let one = |at: usize| zone.get(at).into_iter().for_each(|counter| add(counter, 1));
            one(query_at(qtype_index(qtype), transport, family));
            one(response_at(rcode, transport));
            if truncated {
                one(TRUNCATED_AT);
            }
            if let Some(outcome) = subnet {
                one(subnet_at(outcome));
            }
            if let Some(outcome) = cookie {
                one(cookie_at(outcome));
            }
        }
        if let Some(counter) = cell.and_then(|cell| self.cells.at(cell.0 as usize)) {
            add(counter, 1);
        }
        if let Some(buckets) = self.sizes.get(transport as usize).filter(|_| octets > 0) {
            let bucket = match octets {
                ..=128 => 0,
                129..=256 => 1,
                257..=512 => 2,
                513..=1024 => 3,
                1025..=1232 => 4,
                1233..=4096 => 5,
                _ => 6,
            };
            buckets.add(bucket, 1, octets as u64);
        }
    }

    /// One counter of a zone.
    pub(super) fn of_zone(&self, zone: ZoneSlot, at: usize) -> u64 {
        self.zones.at(zone.0 as usize * ZONE_BLOCK + at).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

pub(super) fn query_at(qtype: usize, transport: Transport, family: Family) -> usize {
    qtype * 4 + transport as usize * 2 + family.index()
}

pub(super) fn response_at(rcode: Rcode, transport: Transport) -> usize {
    RESPONSES_AT + rcode as usize * 2 + transport as usize
}

pub(super) fn truncated_at() -> usize {
    TRUNCATED_AT
}

pub(super) fn subnet_at(outcome: SubnetOutcome) -> usize {
    SUBNET_AT + outcome as usize
}

pub(super) fn cookie_at(outcome: CookieOutcome) -> usize {
    COOKIE_AT + outcome as usize
}

impl<const N: usize> Buckets<N> {
    const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0) }
    }

    fn add(&self, bucket: usize, count: u64, sum: u64) {
        self.counts.get(bucket).into_iter().for_each(|counter| add(counter, count));
        add(&self.sum, sum);
    }
}
