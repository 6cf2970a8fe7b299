//! What a region looks like from its pools. For people: nothing is decided by it.
//!
//! | pools that something watches   | region   |
//! |--------------------------------|----------|
//! | all Up                         | up       |
//! | all Down                       | down     |
//! | some Up, some Down             | degraded |
//! | else (some have no verdict)    | unknown  |

use crate::health::State;
use crate::model::{Estate, Family, PoolId, RegionId, Watch};

use super::{Facts, pool_view};

/// See above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionState {
    /// Every pool is up.
    Up,
    /// Some are, some are down.
    Degraded,
    /// None is.
    Down,
    /// No verdict.
    Unknown,
}

impl RegionState {
    /// All of them, in label order.
    pub const ALL: [RegionState; 4] = [RegionState::Up, RegionState::Degraded, RegionState::Down, RegionState::Unknown];

    /// The word in metrics.
    pub fn word(self) -> &'static str {
        match self {
            RegionState::Up => "up",
            RegionState::Degraded => "degraded",
            RegionState::Down => "down",
            RegionState::Unknown => "unknown",
        }
    }

    /// From its pools.
    pub fn of(pools: &[State]) -> Self {
        let any = |state: State| pools.contains(&state);
        match (any(State::Up), any(State::Down), any(State::Unknown)) {
            (true, false, false) => RegionState::Up,
            (false, true, false) => RegionState::Down,
            (true, true, _) => RegionState::Degraded,
            _ => RegionState::Unknown,
        }
    }
}

/// A region as operators see it: by effective health, with the overrides that count for all services. A pool with both families counts by the worse one.
pub fn region_state(facts: &Facts<'_>, region: RegionId) -> RegionState {
    let estate = facts.estate;
    let here = (0..estate.pools.len()).map(PoolId::at).filter(|pool| estate.pool(*pool).region == region && is_watched(estate, *pool));
    let pools: Vec<State> = here.map(|pool| worse_family(facts, pool)).collect();
    RegionState::of(&pools)
}

fn is_watched(estate: &Estate, pool: PoolId) -> bool {
    estate.pool(pool).endpoints.iter().any(|endpoint| estate.endpoint(*endpoint).watch != Watch::Nothing)
}

fn worse_family(facts: &Facts<'_>, pool: PoolId) -> State {
    let families = Family::ALL.into_iter().filter(|family| facts.health.pool_has(facts.estate, pool, *family));
    // One of names that were never resolved has none, and is down in both.
    let states = families.map(|family| pool_view(facts, None, pool, family).state);
    states.reduce(State::and).unwrap_or_else(|| pool_view(facts, None, pool, Family::V4).state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_up_with_every_pool_down_with_none_and_degraded_between() {
        let rows = [
            ("U", "up"),
            ("UU", "up"),
            ("D", "down"),
            ("DD", "down"),
            ("UD", "degraded"),
            ("UD?", "degraded"),
            ("U?", "unknown"),
            ("D?", "unknown"),
            ("?", "unknown"),
            ("", "unknown"),
        ];
        for (pools, region) in rows {
            let state = |letter| match letter {
                'U' => State::Up,
                'D' => State::Down,
                _ => State::Unknown,
            };
            let states: Vec<State> = pools.chars().map(state).collect();
            assert_eq!(RegionState::of(&states).word(), region, "{pools}");
        }
    }
}
