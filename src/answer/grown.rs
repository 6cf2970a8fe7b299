//! An array of counters that grows without moving: readers and the one writer never wait for each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters in the first chunk; each further chunk has twice as many.
const FIRST: usize = 1024;
/// Enough for every `u32`.
const CHUNKS: usize = 23;

/// See above. Chunk *n* holds the counters from `FIRST × (2ⁿ − 1)` on.
#[derive(Debug)]
pub(super) struct Grown {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
}

impl Grown {
    pub(super) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// Makes room for counters below `end`. Allocates.
    pub(super) fn grow(&self, end: usize) {
        for (number, chunk) in self.chunks.iter().enumerate() {
            if FIRST * ((1 << number) - 1) >= end {
                return;
            }
            chunk.get_or_init(|| (0..FIRST << number).map(|_| AtomicU64::new(0)).collect());
        }
    }

    /// `length` counters from `start` on; `None` if there is no room for them yet. `length` is a power of two up to 1,024 and divides `start`.
    pub(super) fn block(&self, start: usize, length: usize) -> Option<&[AtomicU64]> {
        let number = (start / FIRST + 1).ilog2() as usize;
        let at = start - FIRST * ((1 << number) - 1);
        self.chunks.get(number)?.get()?.get(at..at + length)
    }

    /// One counter.
    pub(super) fn at(&self, at: usize) -> Option<&AtomicU64> {
        self.block(at, 1)?.first()
    }
}

/// Adds to a counter that has one writer: a load and a store, no locked instruction.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_own_place() {
        let grown = Grown::new();
        assert!(grown.at(0).is_none());
        grown.grow(10_000);
        for at in 0..10_000 {
            add(grown.at(at).unwrap(), at as u64);
        }
        grown.grow(100_000);
        for at in 0..10_000 {
            assert_eq!(grown.at(at).unwrap().load(Ordering::Relaxed), at as u64);
        }
        assert!(grown.at(99_999).is_some());
        assert!(grown.at(u32::MAX as usize).is_none());
        assert_eq!(grown.block(1024 * 3 - 128, 128).unwrap().len(), 128);
    }
}
