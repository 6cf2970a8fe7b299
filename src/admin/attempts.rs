//! How often an address may be wrong about who it is.
//!
//! Five wrong tokens within a minute, and the address waits: a second, then twice as long each time, five minutes at most. A token that was right from that
//! address within the last hour still is: whoever else is behind the same address can't lock its owner out. Bounded: the address that was quiet longest goes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures before an address waits.
const FREE: u32 = 5;
/// Without a failure for this long (after the last wait), an address begins anew.
const FORGET: Duration = Duration::from_secs(60);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;
/// Right tokens that are remembered of an address, and how long.
const KNOWN_MAX: usize = 8;
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// The table.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Entry>>);

struct Entry {
    failures: u32,
    /// Until then it waits.
    until: Instant,
    /// Last heard of.
    seen: Instant,
    /// Hashes of tokens that were right, and when.
    known: Vec<(Box<str>, Instant)>,
}

impl Attempts {
    /// May this address try this token (its hash) now? Else how long it waits.
    pub(super) fn may_try(&self, address: IpAddr, hash: &str, now: Instant) -> Result<(), Duration> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.get(&network(address)) {
            Some(entry) if now < entry.until && !entry.knows(hash, now) => Err(entry.until.duration_since(now)),
            _ => Ok(()),
        }
    }

    /// It was wrong.
    pub(super) fn failed(&self, address: IpAddr, hash: &str, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entry(&mut table, address, now);
        if now.saturating_duration_since(entry.until.max(entry.seen)) >= FORGET {
            entry.failures = 0;
        }
        entry.known.retain(|(known, _)| **known != *hash);
        entry.failures += 1;
        entry.seen = now;
        if let Some(over) = entry.failures.checked_sub(FREE) {
            let wait = Duration::from_secs(1 << over.min(16)).min(WAIT_MAX);
            entry.until = entry.until.max(now + wait);
        }
    }

    /// It was right.
    pub(super) fn passed(&self, address: IpAddr, hash: &str, now: Instant) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entry(&mut table, address, now);
        if now.saturating_duration_since(entry.until.max(entry.seen)) >= FORGET {
            entry.failures = 0;
        }
        entry.known.retain(|(known, at)| **known != *hash && now.saturating_duration_since(*at) < KNOWN_FOR);
        if entry.known.len() == KNOWN_MAX {
            entry.known.remove(0);
        }
        entry.known.push((hash.into(), now));
    }
}

impl Entry {
    fn knows(&self, hash: &str, now: Instant) -> bool {
        self.known.iter().any(|(known, at)| **known == *hash && now.saturating_duration_since(*at) < KNOWN_FOR)
    }
}

fn entry(table: &mut HashMap<IpAddr, Entry>, address: IpAddr, now: Instant) -> &mut Entry {
    let address = network(address);
    if ADDRESSES_MAX <= table.len() && !table.contains_key(&address) {
        // Rare, and linear in a small table. Those that still wait go last.
        let quiet = table.iter().min_by_key(|(_, entry)| (now < entry.until, entry.seen)).map(|(address, _)| *address);
        quiet.map(|quiet| table.remove(&quiet));
    }
    table.entry(address).or_insert(Entry { failures: 0, until: now, seen: now, known: Vec::new() })
}

/// One customer has a /64: not 2^64 tries.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_five_failures_an_address_waits_and_longer_each_time() {
        let (attempts, one, start) = (Attempts::default(), address("192.0.2.1"), Instant::now());
        for _ in 0..4 {
            attempts.failed(one, "wrong", start);
            assert_eq!(attempts.may_try(one, "wrong", start), Ok(()));
        }
        let (mut now, mut waits) = (start, Vec::new());
        for _ in 0..12 {
            attempts.failed(one, "wrong", now);
            let wait = attempts.may_try(one, "wrong", now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(attempts.may_try(one, "wrong", now), Ok(()), "the wait is over");
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(attempts.may_try(address("192.0.2.2"), "wrong", start), Ok(()), "others don't wait");
        attempts.failed(one, "wrong", now + FORGET);
        assert_eq!(attempts.may_try(one, "wrong", now + FORGET), Ok(()), "a quiet minute begins anew");
    }

    #[test]
    fn who_was_right_is_not_locked_out_by_a_neighbour() {
        let (attempts, one, now) = (Attempts::default(), address("192.0.2.1"), Instant::now());
        attempts.passed(one, "right", now);
        (0..8).for_each(|_| attempts.failed(one, "wrong", now));
        assert!(attempts.may_try(one, "wrong", now).is_err() && attempts.may_try(one, "other", now).is_err());
        assert_eq!(attempts.may_try(one, "right", now), Ok(()));
        attempts.failed(one, "right", now);
        assert!(attempts.may_try(one, "right", now).is_err(), "until it is wrong, too: it was revoked");
    }

    #[test]
    fn the_table_has_a_bound_and_a_64_counts_as_one() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let waiting = address("192.0.2.1");
        (0..8).for_each(|_| attempts.failed(waiting, "wrong", now));
        for other in 0..2 * ADDRESSES_MAX as u32 {
            attempts.failed(IpAddr::V4(other.into()), "wrong", now);
        }
        assert_eq!(attempts.0.lock().unwrap().len(), ADDRESSES_MAX);
        assert!(attempts.may_try(waiting, "wrong", now).is_err(), "nobody gets free by filling the table");
        (0..8).for_each(|at| attempts.failed(address(&format!("2001:db8::{at}")), "wrong", now));
        assert!(attempts.may_try(address("2001:db8::ffff"), "wrong", now).is_err());
        assert!(attempts.may_try(address("2001:db8:0:1::1"), "wrong", now).is_ok());
    }
}
