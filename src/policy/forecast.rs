//! How an old answer fades: the share of clients that still go by it, over time after answers have changed.
//!
//! A cached answer's age is uniform between nothing and its TTL, so of clients that obey the TTL equally many come to the new answer in each second of it.
//! The others, the stragglers of `[clients]`, are taken to let go one by one until their own time is over.
//! Never here: what a client really did. Nobody can see that from a DNS server.

use std::time::Duration;

use crate::model::Fading;

/// Points of [`Forecast::curve`].
const POINTS: u32 = 24;

/// What one change comes to: an old answer with this TTL, seen through these clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Of the old answer.
    pub ttl: Duration,
    /// What is assumed of clients.
    pub fading: Fading,
}

impl Forecast {
    /// Share of clients (0 to 1) that still go by the old answer `after` it was given for the last time.
    pub fn old_after(&self, after: Duration) -> f64 {
        let left = |of: Duration| if of <= after { 0.0 } else { 1.0 - after.as_secs_f64() / of.as_secs_f64() };
        let stragglers = self.stragglers();
        (1.0 - stragglers) * left(self.ttl) + stragglers * left(self.safe_after())
    }

    /// When at least this share (0 to 1) has come to the new answer.
    pub fn moved_after(&self, share: f64) -> Duration {
        let (old, stragglers, end) = (1.0 - share.clamp(0.0, 1.0), self.stragglers(), self.safe_after());
        let at_ttl = self.old_after(self.ttl);
        let seconds = if at_ttl <= old {
            // Straight from everybody to those who are left at the TTL.
            if at_ttl < 1.0 { self.ttl.as_secs_f64() * (1.0 - old) / (1.0 - at_ttl) } else { 0.0 }
        } else {
            end.as_secs_f64() * (1.0 - old / stragglers)
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(end).min(end)
    }

    /// When nobody goes by the old answer any more: what it named may be switched off.
    pub fn safe_after(&self) -> Duration {
        if self.fading.stragglers == 0 { self.ttl } else { self.ttl.max(self.fading.stragglers_for) }
    }

    /// The curve until the TTL is over, evenly spaced, first and last included; then the end.
    pub fn curve(&self) -> Vec<(Duration, f64)> {
        let mut points: Vec<(Duration, f64)> = (0..=POINTS).map(|at| self.ttl * at / POINTS).map(|after| (after, self.old_after(after))).collect();
        let end = self.safe_after();
        if self.ttl < end {
            points.push((end, self.old_after(end)));
        }
        points
    }

    fn stragglers(&self) -> f64 {
        f64::from(self.fading.stragglers.min(100)) / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forecast(ttl: u64, stragglers: u8, minutes: u64) -> Forecast {
        Forecast { ttl: Duration::from_secs(ttl), fading: Fading { stragglers, stragglers_for: Duration::from_secs(60 * minutes) } }
    }

    #[test]
    fn half_have_followed_after_half_the_ttl_and_the_stragglers_after_their_own_time() {
        let plain = forecast(60, 0, 30);
        assert_eq!((plain.moved_after(0.5), plain.safe_after()), (Duration::from_secs(30), Duration::from_secs(60)));
        assert_eq!(plain.old_after(Duration::from_secs(15)), 0.75);
        let usual = forecast(60, 2, 30);
        assert_eq!(usual.moved_after(0.98).as_secs(), 59);
        assert_eq!(usual.safe_after(), Duration::from_secs(30 * 60));
        assert!((usual.old_after(Duration::from_secs(900)) - 0.01).abs() < 1e-9, "half of the stragglers after half their time");
        assert_eq!(usual.moved_after(0.99), Duration::from_secs(900));
    }

    proptest! {
        #[test]
        fn the_old_answer_only_fades_and_both_ways_of_asking_agree(ttl in 0u64..90_000, stragglers in 0u8..=100, minutes in 0u64..3_000, at in 0.0f64..1.5, share in 0.0f64..=1.0) {
            let forecast = forecast(ttl, stragglers, minutes);
            let end = forecast.safe_after();
            let when = end.mul_f64(at);
            prop_assert!(forecast.old_after(when + Duration::from_secs(1)) <= forecast.old_after(when) + 1e-12);
            prop_assert!((0.0..=1.0).contains(&forecast.old_after(when)));
            prop_assert_eq!(forecast.old_after(end), 0.0);
            let moved = forecast.moved_after(share);
            prop_assert!(moved <= end);
            prop_assert!(1.0 - forecast.old_after(moved) >= share - 1e-6, "{} of {share} after {moved:?}", 1.0 - forecast.old_after(moved));
            let curve = forecast.curve();
            prop_assert!(curve.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[1].1 <= pair[0].1 + 1e-12));
        }
    }
}
