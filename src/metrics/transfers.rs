//! Zones on their way to secondaries: what was told (NOTIFY) and what was asked for (AXFR, IXFR), by zone and outcome.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::model::Estate;

use super::catalog;
use super::lock;
use super::series::Series;

/// How telling a secondary ends: it said yes, it said something else, its answer was signed wrongly, it never answered, or it could not be sent.
pub const NOTIFY_OUTCOMES: [&str; 5] = ["accepted", "refused", "badsig", "timeout", "unsent"];
/// How asking for a transfer ends.
///
/// `done`: the whole zone went out. `current`: the client has our serial. `aborted`: the client went, or was too slow. `busy`: too many at once.
/// The rest was refused.
pub const TRANSFER_OUTCOMES: [&str; 10] = ["done", "current", "aborted", "busy", "refused", "badkey", "badsig", "badtime", "badtrunc", "malformed"];

/// Written by the `dns` room; rows of zones without secondaries don't exist.
#[derive(Debug, Default)]
pub struct TransferMetrics {
    counts: Mutex<Counts>,
}

/// By zone, then in the order of the outcomes.
#[derive(Debug, Default)]
struct Counts {
    notify: BTreeMap<String, [u64; NOTIFY_OUTCOMES.len()]>,
    transfers: BTreeMap<String, [u64; TRANSFER_OUTCOMES.len()]>,
}

impl TransferMetrics {
    /// A secondary of `zone` was told, or not.
    pub fn notified(&self, zone: &str, outcome: &str) {
        let mut counts = lock(&self.counts);
        let place = NOTIFY_OUTCOMES.iter().position(|known| *known == outcome);
        if let Some((counts, at)) = counts.notify.get_mut(zone).zip(place) {
            counts[at] += 1;
        }
    }

    /// A transfer of `zone` ended, or was refused.
    pub fn transferred(&self, zone: &str, outcome: &str) {
        let mut counts = lock(&self.counts);
        let place = TRANSFER_OUTCOMES.iter().position(|known| *known == outcome);
        if let Some((counts, at)) = counts.transfers.get_mut(zone).zip(place) {
            counts[at] += 1;
        }
    }

    pub(super) fn configured(&self, estate: &Estate) {
        let mut counts = lock(&self.counts);
        let zones: Vec<String> = estate.secondaries.iter().map(|(zone, _)| zone.to_string()).collect();
        counts.notify.retain(|zone, _| zones.contains(zone));
        counts.transfers.retain(|zone, _| zones.contains(zone));
        for zone in zones {
            counts.notify.entry(zone.clone()).or_default();
            counts.transfers.entry(zone).or_default();
        }
    }

    pub(super) fn collect(&self, out: &mut Vec<Series>) {
        let counts = lock(&self.counts);
        let mut notify = Series::new(catalog::DNS_NOTIFY);
        for (zone, counts) in &counts.notify {
            NOTIFY_OUTCOMES.iter().zip(counts).for_each(|(outcome, count)| notify.push(&[zone, outcome], *count as f64));
        }
        let mut transfers = Series::new(catalog::DNS_TRANSFERS);
        for (zone, counts) in &counts.transfers {
            TRANSFER_OUTCOMES.iter().zip(counts).for_each(|(outcome, count)| transfers.push(&[zone, outcome], *count as f64));
        }
        out.extend([notify, transfers]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_without_secondaries_and_strange_words_make_no_rows() {
        let metrics = TransferMetrics::default();
        let mut estate = Estate::default();
        estate.secondaries.push(("a.test".parse().unwrap(), std::sync::Arc::new([])));
        metrics.configured(&estate);
        metrics.notified("a.test", "accepted");
        metrics.notified("a.test", "danced");
        metrics.transferred("b.test", "done");
        let counts = lock(&metrics.counts);
        assert_eq!(counts.notify["a.test"], [1, 0, 0, 0, 0]);
        assert_eq!(counts.transfers.keys().collect::<Vec<_>>(), ["a.test"]);
        drop(counts);
        metrics.configured(&Estate::default());
        assert!(lock(&metrics.counts).notify.is_empty());
    }
}
