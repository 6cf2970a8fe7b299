//! Observations counted in buckets. Writers never wait for each other or for readers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::series::Series;

/// A histogram of durations, in seconds.
#[derive(Debug)]
pub struct Buckets {
    bounds: &'static [f64],
    /// One per bound and one for what is above the last; each counts its own bucket alone.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl Buckets {
    /// Empty. `bounds` in seconds, ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), nanos: AtomicU64::new(0) }
    }

    /// Counts one observation.
    pub fn observe(&self, took: Duration) {
        self.observe_many(took, 1);
    }

    /// Counts `times` equal ones.
    pub fn observe_many(&self, took: Duration, times: u64) {
        let seconds = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(times, Relaxed);
        }
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).saturating_mul(times), Relaxed);
    }

    /// Writes a row.
    pub fn write(&self, series: &mut Series, labels: &[&str]) {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let sum = Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64();
        series.push_histogram(labels, self.bounds, &counts, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog;
    use super::*;

    #[test]
    fn an_observation_equal_to_a_bound_belongs_to_its_bucket() {
        let buckets = Buckets::new(&[0.1, 1.0]);
        for millis in [100, 101, 1000, 5000] {
            buckets.observe(Duration::from_millis(millis));
        }
        let counts: Vec<u64> = buckets.counts.iter().map(|count| count.load(Relaxed)).collect();
        assert_eq!(counts, [1, 2, 1]);
        let mut series = Series::new(catalog::PROBE_LAG);
        buckets.write(&mut series, &[]);
        let family = series.family().unwrap();
        let histogram = family.get_metric()[0].get_histogram();
        assert_eq!(histogram.get_sample_count(), 4);
        assert!((histogram.get_sample_sum() - 6.201).abs() < 1e-9);
        assert_eq!(histogram.get_bucket()[1].cumulative_count(), 3);
    }
}
