//! The busiest minute of each service with series of its own, over the last week: what "peak" means where load is predicted.
//!
//! Kept in memory only: a new process begins anew. Never here: deciding what a region can carry.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Timestamp;

/// Days that are looked back on.
const DAYS: usize = 7;
/// Milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

/// Answers a second in the busiest minute, by service and day.
#[derive(Debug, Default)]
pub struct Peaks {
    services: HashMap<Arc<str>, [f64; DAYS]>,
    day: i64,
}

impl Peaks {
    /// These services had these rates over the last minute. What is not named is forgotten.
    pub fn note(&mut self, rates: Vec<(Arc<str>, f64)>, at: Timestamp) {
        let today = at.0.div_euclid(DAY);
        let mut known = std::mem::take(&mut self.services);
        for (service, rate) in rates {
            let mut days = known.remove(&service).unwrap_or_default();
            // Days that nobody noted are quiet ones; a clock that was set back overwrites nothing but its own day.
            for passed in (self.day + 1..=today).rev().take(DAYS) {
                set(&mut days, passed, |_| 0.0);
            }
            set(&mut days, today, |before| before.max(rate));
            self.services.insert(service, days);
        }
        self.day = self.day.max(today);
    }

    /// Answers a second in the busiest minute; `None`: nothing was answered yet, or the service has no series of its own.
    pub fn of(&self, service: &str) -> Option<f64> {
        self.services.get(service).map(|days| days.iter().copied().fold(0.0, f64::max)).filter(|peak| 0.0 < *peak)
    }
}

fn set(days: &mut [f64; DAYS], day: i64, to: impl Fn(f64) -> f64) {
    let place = usize::try_from(day.rem_euclid(DAYS as i64)).unwrap_or(0);
    if let Some(kept) = days.get_mut(place) {
        *kept = to(*kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_for_a_week() {
        let mut peaks = Peaks::default();
        let mut note = |day: i64, rate: f64| {
            peaks.note(vec![("orders".into(), rate)], Timestamp(day * DAY + 5));
            peaks.of("orders")
        };
        assert_eq!(note(20_000, 0.0), None);
        assert_eq!(note(20_000, 40.0), Some(40.0));
        assert_eq!(note(20_000, 10.0), Some(40.0));
        assert_eq!(note(20_003, 20.0), Some(40.0));
        assert_eq!(note(20_006, 5.0), Some(40.0));
        assert_eq!(note(20_007, 5.0), Some(20.0), "a week is over");
        assert_eq!(note(20_100, 7.0), Some(7.0));
    }

    #[test]
    fn services_that_are_gone_are_forgotten() {
        let mut peaks = Peaks::default();
        peaks.note(vec![("a".into(), 1.0), ("b".into(), 2.0)], Timestamp(0));
        peaks.note(vec![("b".into(), 1.0)], Timestamp(0));
        assert_eq!((peaks.of("a"), peaks.of("b")), (None, Some(2.0)));
    }
}
