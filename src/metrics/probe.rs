//! What the prober tells of itself: how late, how many at once, how many left out or void.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::model::Timestamp;

use super::buckets::Buckets;
use super::catalog;
use super::resolver::ResolverMetrics;
use super::series::Series;

const LAG_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Counters of the schedule. Written by the `probe` room.
#[derive(Debug)]
pub struct ProbeMetrics {
    lag: Buckets,
    inflight: AtomicI64,
    skipped: AtomicU64,
    void: AtomicU64,
    /// Host names.
    pub resolver: ResolverMetrics,
}

impl Default for ProbeMetrics {
    fn default() -> Self {
        Self {
            lag: Buckets::new(LAG_SECONDS),
            inflight: AtomicI64::new(0),
            skipped: AtomicU64::new(0),
            void: AtomicU64::new(0),
            resolver: ResolverMetrics::default(),
        }
    }
}

impl ProbeMetrics {
    /// A probe began, `lag` later than its schedule said.
    pub fn started(&self, lag: Duration) {
        self.lag.observe(lag);
        self.inflight.fetch_add(1, Relaxed);
    }

    /// A probe that had begun ended, however it ended.
    pub fn finished(&self) {
        self.inflight.fetch_sub(1, Relaxed);
    }

    /// A probe was due and did not begin.
    pub fn skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    /// A probe failed in a way that says nothing of its peer, because this process did not run meanwhile.
    pub fn void(&self) {
        self.void.fetch_add(1, Relaxed);
    }

    pub(super) fn collect(&self, now: Timestamp, out: &mut Vec<Series>) {
        let mut lag = Series::new(catalog::PROBE_LAG);
        self.lag.write(&mut lag, &[]);
        out.push(lag);
        out.push(Series::single(catalog::PROBE_INFLIGHT, self.inflight.load(Relaxed) as f64));
        out.push(Series::single(catalog::PROBE_SKIPPED, self.skipped.load(Relaxed) as f64));
        out.push(Series::single(catalog::PROBE_VOID, self.void.load(Relaxed) as f64));
        self.resolver.collect(now, out);
    }
}
