//! Which leaf, and which address first: golden-ratio sequences instead of dice (SEMANTICS, 8).
//!
//! A Weyl sequence with the golden ratio as its step spreads as evenly over intervals as any can, and so does every second, third … number of it.
//! The rotation has a sequence of its own, with √2: the two are independent, so that who is chosen says nothing about who comes first.

use crate::model::{Family, ServiceId};
use crate::snapshot::TurnId;

/// 2⁶⁴ / φ, odd.
const GOLDEN_STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2⁶⁴ × (√2 − 1), odd.
const ROOT_STEP: u64 = 0x6a09_e667_f3bc_c909;

/// Where each service's sequences stand, for one worker. They go on over publishes.
#[derive(Debug)]
pub(super) struct Picks {
    /// How often each service was picked for, by family; wraps. Where its sequences began follows from `seed`, so that a service costs eight octets,
    /// and none in memory before somebody asks for it.
    counts: Vec<[u32; 2]>,
    /// The same for variants of services whose answers depend on the client, by [`TurnId`].
    turns: Vec<[u32; 2]>,
    seed: u64,
}

/// One service and family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pick {
    /// Chooses the leaf.
    pub(super) leaf: u64,
    /// Chooses the rotation, or the addresses.
    pub(super) turn: u64,
}

impl Picks {
    pub(super) fn new(seed: u64) -> Self {
        Self { counts: Vec::new(), turns: Vec::new(), seed }
    }

    /// Makes room for so many services and variants; new ones start anywhere. Allocates.
    pub(super) fn begin(&mut self, services: usize, turns: u32) {
        if self.turns.len() < turns as usize {
            self.turns.resize(turns as usize, [0; 2]);
        }
        if self.counts.len() < services {
            // Fresh zeroes are not written, so they take no memory yet.
            let mut counts = vec![[0; 2]; services];
            counts.iter_mut().zip(&self.counts).filter(|(_, known)| **known != [0; 2]).for_each(|(count, known)| *count = *known);
            self.counts = counts;
        }
    }

    /// The next numbers of a service.
    pub(super) fn next(&mut self, service: ServiceId, family: Family) -> Pick {
        let Some(count) = self.counts.get_mut(service.index()).and_then(|families| families.get_mut(family.index())) else {
            return Pick::default();
        };
        step(count, random(self.seed, 2 * service.index() as u64 + family.index() as u64))
    }

    /// The next numbers of a variant.
    pub(super) fn next_of(&mut self, turn: TurnId, family: Family) -> Pick {
        let Some(count) = self.turns.get_mut(turn.0 as usize).and_then(|families| families.get_mut(family.index())) else {
            return Pick::default();
        };
        step(count, random(!self.seed, 2 * u64::from(turn.0) + family.index() as u64))
    }
}

fn step(count: &mut u32, begin: u64) -> Pick {
    let picked = u64::from(*count);
    *count = count.wrapping_add(1);
    Pick { leaf: begin.wrapping_add(picked.wrapping_mul(GOLDEN_STEP)), turn: begin.rotate_left(32).wrapping_add(picked.wrapping_mul(ROOT_STEP)) }
}

/// SplitMix64: spreads one seed over many starts. The number at a place of its sequence.
fn random(seed: u64, place: u64) -> u64 {
    let mut mixed = seed.wrapping_add((place + 1).wrapping_mul(GOLDEN_STEP));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
