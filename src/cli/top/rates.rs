//! Answers a second, from what two looks at counters differ by, and how they were lately.
//!
//! Pure: a look carries the server's own time, which its counters go with; no clock is read here.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::admin::api::{Overview, Time};

/// Rates that are kept for a line of bars.
const KEPT: usize = 60;
/// Looks closer together than this say nothing.
const APART_MIN: Duration = Duration::from_millis(500);

/// One pool of one service.
#[derive(Debug)]
struct Track {
    at: Time,
    count: u64,
    /// Oldest first.
    rates: VecDeque<f64>,
}

/// By service and pool.
#[derive(Debug, Default)]
pub struct Rates {
    tracks: HashMap<String, HashMap<String, Track>>,
}

impl Rates {
    /// One more look.
    pub fn look(&mut self, overview: &Overview) {
        self.tracks.retain(|service, _| overview.services.iter().any(|known| known.name == *service));
        for service in &overview.services {
            let tracks = self.tracks.entry(service.name.clone()).or_default();
            for pool in &service.pools {
                let Some(count) = pool.answers else { continue };
                match tracks.get_mut(&pool.pool) {
                    Some(track) => track.look(overview.at, count),
                    None => {
                        tracks.insert(pool.pool.clone(), Track { at: overview.at, count, rates: VecDeque::new() });
                    }
                }
            }
        }
    }

    /// The rates of a pool in a service, oldest first; empty until two looks were taken.
    pub fn of(&self, service: &str, pool: &str) -> Vec<f64> {
        let track = self.tracks.get(service).and_then(|tracks| tracks.get(pool));
        track.map(|track| track.rates.iter().copied().collect()).unwrap_or_default()
    }
}

impl Track {
    fn look(&mut self, at: Time, count: u64) {
        let elapsed = at.0.since(self.at.0);
        match count.checked_sub(self.count) {
            // The server was started again, and counts from 0.
            None => self.rates.clear(),
            Some(_) if elapsed < APART_MIN => return,
            Some(more) => {
                if self.rates.len() == KEPT {
                    self.rates.pop_front();
                }
                self.rates.push_back(more as f64 / elapsed.as_secs_f64());
            }
        }
        (self.at, self.count) = (at, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::overview;
    use crate::model::Timestamp;

    /// A look so many milliseconds after the first one.
    fn look(after: i64, count: u64) -> Overview {
        let mut seen = overview();
        seen.at = Time(Timestamp(1_000_000 + after));
        seen.services[0].pools[0].answers = Some(count);
        seen
    }

    #[test]
    fn a_rate_is_what_two_looks_differ_by() {
        let mut rates = Rates::default();
        rates.look(&look(0, 100));
        assert_eq!(rates.of("orders", "prod"), Vec::<f64>::new());
        rates.look(&look(2_000, 300));
        rates.look(&look(2_100, 301));
        rates.look(&look(4_000, 400));
        assert_eq!(rates.of("orders", "prod"), [100.0, 50.0], "looks that are too close together count later");
        assert_eq!(rates.of("orders", "dr"), Vec::<f64>::new(), "an older server counts nothing");
    }

    #[test]
    fn a_server_that_counts_anew_gives_no_rate_below_zero() {
        let mut rates = Rates::default();
        for (after, count) in [(0, 100), (1_000, 200), (2_000, 5), (3_000, 15)] {
            rates.look(&look(after, count));
        }
        assert_eq!(rates.of("orders", "prod"), [10.0]);
    }
}
