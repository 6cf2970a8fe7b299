//! Holds: pools that health took away and that failback keeps out for a while (SEMANTICS, 11).
//!
//! ```text
//!                    observed Down while it was answering
//!   answering ───────────────────────────────────────────▶ held, down
//!       ▲                                                      │ observed Up, confirmed: the clock starts
//!       │ Up without a break for `failback`,                   ▼       (Down, Unknown, restart: it starts again)
//!       │ an operator's failback or traffic change,       held, waiting
//!       └── or used on rung `held` or below ◀──────────────────┘
//! ```
//!
//! - A pool that an override takes away is not held: the operator who ends the override means it to be back.
//! - `force_up` on a held pool makes it Up, and the hold stays: that override is about health, failback is about use. It answers on rung `held`
//!   if nothing else does, or after `windrose failback`.
//! - Holds end by the clock of *observed* health ([`PoolObserved::up_since`](crate::health::PoolObserved)), whatever overrides say meanwhile.
//! - While rung `all_down` answers, nobody of `last` is answering by choice: no new hold starts (so an operator's failback in that state lasts).

use std::time::Duration;

use crate::health::State;
use crate::model::{Failback, Now, PoolId};

use super::Memory;
use super::pool::Pools;

/// Holds of one service in one family, in the making of a decision.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// Kept out, ordered by pool.
    pub(super) held: Vec<PoolId>,
    /// No longer held because nothing else was up, and nothing else is since.
    pub(super) used: Vec<PoolId>,
    /// Of `held`: new ones.
    pub(super) started: Vec<PoolId>,
    /// Ended by failback time just now.
    pub(super) ended: Vec<PoolId>,
}

impl Holds {
    /// What the last decision's memory has become by `now`. Pools that left the tree are forgotten.
    pub(super) fn review(failback: Failback, pools: &Pools, memory: &Memory, now: Now) -> Self {
        let family = pools.family;
        let in_tree = |holds: &[super::Hold]| -> Vec<PoolId> {
            holds.iter().filter(|hold| hold.family == family && pools.get(hold.pool).is_some()).map(|hold| hold.pool).collect()
        };
        let mut holds = Self { held: in_tree(&memory.held), used: in_tree(&memory.used), ..Self::default() };

        let [last_v4, last_v6] = &memory.last;
        let [all_down_v4, all_down_v6] = memory.all_down;
        let (last, was_all_down) = match family {
            crate::model::Family::V4 => (last_v4, all_down_v4),
            crate::model::Family::V6 => (last_v6, all_down_v6),
        };
        for pool in last.iter().filter_map(|pool| pools.get(*pool)).filter(|_| !was_all_down) {
            let by_health = pool.state == State::Down && pool.observed.state == State::Down && !pool.forced_away;
            if by_health && !holds.held.contains(&pool.pool) {
                holds.held.push(pool.pool);
                holds.started.push(pool.pool);
            }
        }
        let over = |pool: &PoolId| ends(failback, pools, *pool).is_some_and(|end| end <= now.mono);
        holds.ended = holds.held.iter().copied().filter(over).collect();
        holds.held.retain(|pool| !over(pool));
        holds.held.sort_unstable();
        holds.held.dedup();
        holds
    }

    pub(super) fn contains(&self, pool: PoolId) -> bool {
        self.held.contains(&pool)
    }

    /// These were needed because nothing else was up: their holds end.
    pub(super) fn use_up(&mut self, pools: &[PoolId]) {
        let used = self.held.iter().copied().filter(|pool| pools.contains(pool));
        self.used.extend(used);
        self.held.retain(|pool| !pools.contains(pool));
    }

    /// The earliest end of a hold of a pool that is up.
    pub(super) fn wake_at(&self, failback: Failback, pools: &Pools) -> Option<Duration> {
        self.held.iter().filter_map(|pool| ends(failback, pools, *pool)).min()
    }
}

/// When the hold of `pool` ends by itself; `None` while it is not up, or by hand only.
pub(super) fn ends(failback: Failback, pools: &Pools, pool: PoolId) -> Option<Duration> {
    hold_ends(pools.get(pool)?.observed.up_since, failback)
}

/// The moment (`mono`) at which a hold ends by itself, given since when the pool is up: `None` while it is not up, or by hand only.
pub fn hold_ends(up_since: Option<Duration>, failback: Failback) -> Option<Duration> {
    match failback {
        Failback::After(span) => up_since.map(|since| since.saturating_add(span)),
        Failback::Manual => None,
    }
}
