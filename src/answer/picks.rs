//! Which leaf, and which address first: golden-ratio sequences instead of dice (SEMANTICS, 8).
//!
//! A Weyl sequence with the golden ratio as its step spreads as evenly over intervals as any can, and so does every second, third … number of it.
//! The rotation has a sequence of its own, with √2: the two are independent, so that who is chosen says nothing about who comes first.

use crate::model::{Family, ServiceId};

/// 2⁶⁴ / φ, odd.
const GOLDEN_STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2⁶⁴ × (√2 − 1), odd.
const ROOT_STEP: u64 = 0x6a09_e667_f3bc_c909;

/// Where each service's sequences stand, for one worker. They go on over publishes.
#[derive(Debug)]
pub(super) struct Picks {
    states: Vec<[Pick; 2]>,
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
        Self { states: Vec::new(), seed }
    }

    /// Makes room for so many services; new ones start anywhere. Allocates.
    pub(super) fn begin(&mut self, services: usize) {
        let Self { states, seed } = self;
        if states.len() < services {
            let missing = services - states.len();
            states.reserve_exact(missing);
            states.extend((0..missing).map(|_| [(); 2].map(|()| Pick { leaf: next_random(seed), turn: next_random(seed) })));
        }
    }

    /// The next numbers of a service.
    pub(super) fn next(&mut self, service: ServiceId, family: Family) -> Pick {
        let Some(pick) = self.states.get_mut(service.index()).and_then(|families| families.get_mut(family.index())) else {
            return Pick::default();
        };
        let now = *pick;
        pick.leaf = now.leaf.wrapping_add(GOLDEN_STEP);
        pick.turn = now.turn.wrapping_add(ROOT_STEP);
        now
    }
}

/// SplitMix64: spreads one seed over many starts.
fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(GOLDEN_STEP);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
