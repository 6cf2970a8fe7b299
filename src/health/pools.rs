//! What a pool looks like from its endpoints' observed health (SEMANTICS, 3, 7 and 11).
//!
//! Never here: overrides. They are about what policy sees; a pool's failback clock runs on what probes saw.

use std::time::Duration;

use crate::model::{EndpointId, Estate, Family, Now, PoolId, Requirement};

use super::{HealthTable, State};

/// What a pool looks like in one family from observed health alone (no overrides): the clock of failback holds (SEMANTICS, 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolObserved {
    /// Up, Down or Unknown by `min_up` (SEMANTICS, 3), and at best as what it requires. A pool without endpoints of this family takes the other family's.
    pub state: State,
    /// `mono` since which the pool has been Up without a break, counted from the first confirming outcome; `None` while it is not Up or its Up is stale.
    pub up_since: Option<Duration>,
}

/// A pool's state from how many endpoints are Up and Unknown (SEMANTICS, 3).
pub fn pool_state(up: usize, unknown: usize, min_up: u32) -> State {
    let needed = min_up.max(1) as usize;
    if needed <= up {
        State::Up
    } else if needed <= up + unknown {
        State::Unknown
    } else {
        State::Down
    }
}

/// How a pool's requirements stand: Up if nothing lacks, or it has none. A required pool counts its endpoints of any family, by `state`, and stands itself
/// on what it requires.
pub fn requirements_state(estate: &Estate, pool: PoolId, state: &dyn Fn(EndpointId) -> State) -> State {
    let requires = &estate.pool(pool).requires;
    requires.iter().fold(State::Up, |sum, requirement| sum.and(requirement_state(estate, requirement, state)))
}

/// How one requirement stands.
pub fn requirement_state(estate: &Estate, Requirement { pool, up: needed }: &Requirement, state: &dyn Fn(EndpointId) -> State) -> State {
    let (mut up, mut unknown) = (0, 0);
    for endpoint in &estate.pool(*pool).endpoints {
        match state(*endpoint) {
            State::Up => up += 1,
            State::Unknown => unknown += 1,
            State::Down => {}
        }
    }
    pool_state(up, unknown, *needed).and(requirements_state(estate, *pool, state))
}

/// Derives `pool` anew, in both families and by name. `before`: what it looked like a moment ago; an unbroken Up keeps its clock.
pub(super) fn derive(health: &HealthTable, estate: &Estate, pool: PoolId, before: [PoolObserved; 3], now: Now) -> [PoolObserved; 3] {
    let min_up = estate.pool(pool).min_up;
    let required = requirements_state(estate, pool, &|endpoint| health.endpoint(estate, endpoint));
    let only_confirmed = |endpoint| if health.endpoint_confirmed_up(estate, endpoint) { State::Up } else { State::Down };
    let required_confirmed = requirements_state(estate, pool, &only_confirmed) == State::Up;
    let derived = |counts: &dyn Fn(EndpointId) -> bool, before: PoolObserved| {
        let (mut present, mut up, mut unknown, mut confirmed) = (false, 0, 0, 0);
        for endpoint in estate.pool(pool).endpoints.iter().copied().filter(|endpoint| counts(*endpoint)) {
            present = true;
            match health.endpoint(estate, endpoint) {
                State::Up => up += 1,
                State::Unknown => unknown += 1,
                State::Down => {}
            }
            confirmed += usize::from(health.endpoint_confirmed_up(estate, endpoint));
        }
        let up_since = (required_confirmed && pool_state(confirmed, 0, min_up) == State::Up).then(|| before.up_since.unwrap_or(now.mono));
        present.then_some(PoolObserved { state: pool_state(up, unknown, min_up).and(required), up_since })
    };
    let nothing = PoolObserved { state: State::Down, up_since: None };
    let [v4, v6, by_name] = before;
    let of_family = |family, before| derived(&|endpoint| health.is_in_family(estate, endpoint, family), before);
    let (v4, v6) = match (of_family(Family::V4, v4), of_family(Family::V6, v6)) {
        (Some(v4), Some(v6)) => (v4, v6),
        (Some(only), None) | (None, Some(only)) => (only, only),
        (None, None) => (nothing, nothing),
    };
    let by_name = if estate.hosts.is_empty() { None } else { derived(&|endpoint| estate.host_of(endpoint).is_some(), by_name) };
    [v4, v6, by_name.unwrap_or(nothing)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_up_with_min_up_up_else_unknown_while_it_may_be_else_down() {
        let rows = [
            // up, unknown, min_up → state
            (0, 0, 1, State::Down),
            (1, 0, 1, State::Up),
            (0, 1, 1, State::Unknown),
            (1, 1, 2, State::Unknown),
            (1, 0, 2, State::Down),
            (2, 0, 2, State::Up),
            (2, 5, 2, State::Up),
            (0, 2, 3, State::Down),
        ];
        for (up, unknown, min_up, state) in rows {
            assert_eq!(pool_state(up, unknown, min_up), state, "{up} up, {unknown} unknown, min_up {min_up}");
        }
    }
}
