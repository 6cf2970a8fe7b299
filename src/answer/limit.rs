//! Response rate limiting: equal responses to one client network, so that nobody can be flooded through us.
//!
//! One table for all workers, of fixed size. A bucket is one word: a tag, and the time at which the responses sent so far would have been due
//! at the allowed rate ("theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371). A response may be up to one second early,
//! so whoever was silent may have one second's worth at once and then the rate, exactly.
//!
//! Workers read and write buckets without waiting for each other: two that meet in one bucket at the same instant may count one response instead of two.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::RateLimit;
use crate::wire::{Rcode, fold};

/// Buckets that a response may be counted in: half a cache line.
const WAYS: usize = 4;
/// 65,536 buckets are 512 KiB.
const SETS: usize = 1 << 14;
/// Bits of a bucket that are time, in microseconds: twelve days until it comes round.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// How early a response may be, microseconds.
const EARLY_MAX: u64 = 1_000_000;

/// See above; shared by all workers.
#[derive(Debug)]
pub struct Limiter {
    sets: Box<[Set]>,
    /// Nobody knows whose bucket is whose.
    seed: u64,
}

#[derive(Debug, Default)]
#[repr(align(32))]
struct Set([AtomicU64; WAYS]);

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As usual.
    Send,
    /// Too many.
    Limit,
}

impl Limiter {
    /// All buckets empty; `seed` is random.
    #[allow(clippy::new_ret_no_self, reason = "always shared by workers")]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { sets: (0..SETS).map(|_| Set::default()).collect(), seed })
    }

    /// Counts a response about `subject` (a number of its own for each name and each zone's negatives) to `client`, `now` since the process began.
    pub(super) fn judge(&self, limit: &RateLimit, client: IpAddr, subject: u64, rcode: Rcode, now: Duration) -> Verdict {
        if limit.exempt.iter().any(|network| network.contains(&client)) {
            return Verdict::Send;
        }
        let network = match client {
            IpAddr::V4(address) => u64::from(u32::from(address)) >> (32 - u32::from(limit.ipv4_prefix.min(32))),
            // The first 64 bits at most: one host has that many addresses.
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64 >> (64 - u32::from(limit.ipv6_prefix.min(64))) | 1 << 63,
        };
        let hash = fold(fold(network ^ self.seed) ^ fold(subject ^ (rcode as u64) << 56));
        let Some(Set(buckets)) = self.sets.get(hash as usize % SETS) else { return Verdict::Send };
        // A tag is never 0: that is a bucket without one.
        let tag = (hash >> TIME_BITS).max(1);
        count(buckets, tag, now.as_micros() as u64, u64::from(1_000_000 / limit.per_second.max(1)))
    }
}

/// Finds the bucket with this tag, or takes the one that is over the longest.
fn count(buckets: &[AtomicU64; WAYS], tag: u64, now: u64, step: u64) -> Verdict {
    // How far ahead of now a bucket's time is; what lies behind is over.
    let ahead = |word: u64| match (word & TIME_MASK).wrapping_sub(now) & TIME_MASK {
        ahead if ahead <= EARLY_MAX + step => ahead,
        _ => 0,
    };
    let mut place = (&buckets[0], 0, u64::MAX);
    for bucket in buckets {
        let word = bucket.load(Ordering::Relaxed);
        let ahead = ahead(word);
        if word >> TIME_BITS == tag {
            place = (bucket, ahead, 0);
            break;
        }
        if ahead < place.2 {
            place = (bucket, 0, ahead);
        }
    }
    let (bucket, ahead, _) = place;
    if ahead + step > EARLY_MAX {
        return Verdict::Limit;
    }
    bucket.store(tag << TIME_BITS | ((now + ahead + step) & TIME_MASK), Ordering::Relaxed);
    Verdict::Send
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(limiter: &Limiter, limit: &RateLimit, client: &str, subject: u64, rcode: Rcode, times: impl Iterator<Item = Duration>) -> usize {
        times.filter(|now| limiter.judge(limit, client.parse().unwrap(), subject, rcode, *now) == Verdict::Send).count()
    }

    fn each(microseconds: u64, from: u64, count: u64) -> impl Iterator<Item = Duration> {
        (0..count).map(move |number| Duration::from_micros(from + number * microseconds))
    }

    #[test]
    fn one_seconds_worth_at_once_and_then_the_rate() {
        let (limiter, limit) = (Limiter::new(7), RateLimit::default());
        assert_eq!(sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(1, 0, 1000)), 200);
        // Ten seconds of 1,000 a second.
        let later = sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(1000, 1000, 10_000));
        assert!((1999..=2001).contains(&later), "{later}");
        // After a pause again.
        assert_eq!(sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(1, 60_000_000, 1000)), 200);
    }

    #[test]
    fn below_the_rate_nothing_is_ever_limited() {
        let (limiter, limit) = (Limiter::new(7), RateLimit::default());
        assert_eq!(sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(5000, 0, 100_000)), 100_000);
        let unlimited = RateLimit { per_second: 10_000_000, ..limit };
        assert_eq!(sent(&limiter, &unlimited, "192.0.2.1", 8, Rcode::NoError, each(0, 0, 100_000)), 100_000);
    }

    #[test]
    fn networks_names_and_rcodes_are_counted_apart() {
        let (limiter, limit) = (Limiter::new(7), RateLimit { per_second: 10, ..RateLimit::default() });
        let flood = |client: &str, subject, rcode| sent(&limiter, &limit, client, subject, rcode, each(1, 0, 100));
        assert_eq!(flood("192.0.2.1", 7, Rcode::NoError), 10);
        assert_eq!(flood("192.0.2.255", 7, Rcode::NoError), 0, "the same /24");
        assert_eq!(flood("192.0.3.1", 7, Rcode::NoError), 10);
        assert_eq!(flood("192.0.2.1", 8, Rcode::NoError), 10);
        assert_eq!(flood("192.0.2.1", 7, Rcode::NxDomain), 10);
        assert_eq!(flood("2001:db8::1", 7, Rcode::NoError), 10);
        assert_eq!(flood("2001:db8:0:ff::1", 7, Rcode::NoError), 0, "the same /56");
        assert_eq!(flood("2001:db8:0:100::1", 7, Rcode::NoError), 10);
    }

    #[test]
    fn the_exempt_and_their_neighbours() {
        let (limiter, limit) = (Limiter::new(7), RateLimit::default());
        assert_eq!(sent(&limiter, &limit, "127.1.2.3", 7, Rcode::NoError, each(1, 0, 1000)), 1000);
        assert_eq!(sent(&limiter, &limit, "::1", 7, Rcode::NoError, each(1, 0, 1000)), 1000);
        assert_eq!(sent(&limiter, &limit, "::2", 7, Rcode::NoError, each(1, 0, 1000)), 200);
    }

    #[test]
    fn a_full_table_forgets_the_oldest_and_limits_on() {
        let (limiter, limit) = (Limiter::new(7), RateLimit::default());
        for network in 0..1_000_000_u32 {
            let client = IpAddr::from((network << 8).to_be_bytes());
            limiter.judge(&limit, client, 7, Rcode::NoError, Duration::from_micros(network.into()));
        }
        assert_eq!(sent(&limiter, &limit, "192.0.2.1", 9, Rcode::NoError, each(1, 1_000_000, 1000)), 200);
    }

    #[test]
    fn time_that_comes_round_limits_nobody_for_days() {
        let (limiter, limit) = (Limiter::new(7), RateLimit::default());
        let end = TIME_MASK - 500_000;
        assert_eq!(sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(1, end, 1000)), 200);
        let later = sent(&limiter, &limit, "192.0.2.1", 7, Rcode::NoError, each(1000, end + 1000, 10_000));
        assert!((1999..=2001).contains(&later), "{later}");
    }
}
