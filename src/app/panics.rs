//! Panics: every one is counted, one in a second is told.
//!
//! Where a panic ends is for others (a DNS worker loses one query, a request becomes a 500, a probe a failure). But each is a bug that somebody must
//! hear of, and a packet that causes one can be sent a hundred thousand times a second: telling each of them would fill the disk.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// At most one panic is told in this time.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What [`watch`] keeps; a panic hook belongs to the process.
static PANICS: Panics = Panics::new();

/// Begins to count, and limits what is told. Called once, before anything else starts.
pub(super) fn watch() {
    let began = Instant::now();
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if let Some(untold) = PANICS.happened(began.elapsed()) {
            tell(info);
            if untold > 0 {
                eprintln!("windrose: {untold} more panics were not told; windrose_panics_total counts all of them");
            }
        }
    }));
}

/// Panics of this process so far.
pub(super) fn count() -> u64 {
    PANICS.count.load(Ordering::Relaxed)
}

/// Written by whatever thread panics.
struct Panics {
    count: AtomicU64,
    /// How many there were when one was last told.
    told: AtomicU64,
    /// Nanoseconds after the start from which on one may be told again.
    quiet_until: AtomicU64,
}

impl Panics {
    const fn new() -> Self {
        Self { count: AtomicU64::new(0), told: AtomicU64::new(0), quiet_until: AtomicU64::new(0) }
    }

    /// Counts one, `now` after the start. `Some`: it should be told, and so many before it were not.
    fn happened(&self, now: Duration) -> Option<u64> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let quiet_until = self.quiet_until.load(Ordering::Relaxed);
        let tells = nanoseconds(now) >= quiet_until
            // Of two threads that panic in one moment one tells.
            && self.quiet_until.compare_exchange(quiet_until, nanoseconds(now + TOLD_EVERY), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        tells.then(|| count.saturating_sub(self.told.swap(count, Ordering::Relaxed) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_panic_in_a_second_is_told_and_all_are_counted() {
        let panics = Panics::new();
        let at = |milliseconds| panics.happened(Duration::from_millis(milliseconds));
        assert_eq!(at(5), Some(0));
        assert_eq!([at(6), at(500), at(1004)], [None; 3]);
        assert_eq!(at(1005), Some(3));
        assert_eq!(at(2004), None);
        assert_eq!(at(9000), Some(1));
        assert_eq!(at(10_000), Some(0));
        assert_eq!(panics.count.load(Ordering::Relaxed), 8);
    }
}
