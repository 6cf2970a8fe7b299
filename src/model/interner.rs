//! Equal values share one allocation.
//!
//! A hundred thousand services have a handful of different policies, memories and answers between them. Never here: knowing what is shared.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::wire::{fold, hash_octets};

/// Entries up to which nobody looks for values that are used no more.
const SWEEP_AT_LEAST: usize = 1024;

/// Gives out shared values. What nobody uses any more is forgotten now and then.
#[derive(Debug)]
pub struct Interner<T> {
    known: HashTable<(u64, Arc<T>)>,
    sweep_at: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { known: HashTable::new(), sweep_at: SWEEP_AT_LEAST }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The value equal to this one that is in use already, or this one.
    pub fn share(&mut self, value: T) -> Arc<T> {
        let mut hasher = FoldHasher(0);
        value.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((_, shared)) = self.known.find(hash, |(known, shared)| *known == hash && **shared == value) {
            return shared.clone();
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|(_, shared)| Arc::strong_count(shared) > 1);
            self.sweep_at = (self.known.len() * 2).max(SWEEP_AT_LEAST);
        }
        let shared = Arc::new(value);
        self.known.insert_unique(hash, (hash, shared.clone()), |(hash, _)| *hash);
        shared
    }
}

/// The name index's hash: the same in every run.
struct FoldHasher(u64);

impl Hasher for FoldHasher {
    fn write(&mut self, octets: &[u8]) {
        self.0 = fold(self.0 ^ hash_octets(octets));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let mut interner = Interner::default();
        let [a, b, c] = ["eu", "eu", "us"].map(|text| interner.share(text.to_string()));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(*c, "us");
    }

    #[test]
    fn values_that_nobody_uses_are_forgotten() {
        let mut interner = Interner::default();
        let kept = interner.share(0);
        (1..5000).for_each(|value| drop(interner.share(value)));
        assert!(interner.known.len() <= SWEEP_AT_LEAST + 1);
        assert!(Arc::ptr_eq(&kept, &interner.share(0)));
    }
}
