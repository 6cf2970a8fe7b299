//! Holds: pools that health took away and that failback keeps out for a while (SEMANTICS, 11).
//!
//! ```text
//!                    observed Down while it was answering
//!   answering ───────────────────────────────────────────▶ held, down
//!       ▲                                                      │ observed Up, confirmed: the clock starts
//!       │ Up without a break for `failback`,                   ▼       (Down, Unknown, restart: it starts again)
//!       │ an operator's failback or traffic change,       held, waiting ◀────────────────┐
//!       └── or used on rung `held` or below ◀──────────────────┤                          │ anything but up
//!       ▲                                                      ▼ staged, its time is over │
//!       └── the last step ◀────────────────────────── held, returning: step 1, 2, … ──────┘
//! ```
//!
//! - A pool that an override takes away is not held: the operator who ends the override means it to be back.
//! - `force_up` on a held pool makes it Up, and the hold stays: that override is about health, failback is about use. It answers on rung `held`
//!   if nothing else does, or after `windrose failback`.
//! - Holds end by the clock of *observed* health ([`PoolObserved::up_since`](crate::health::PoolObserved)), whatever overrides say meanwhile.
//! - While rung `all_down` answers, nobody of `last` is answering by choice: no new hold starts (so an operator's failback in that state lasts).
//! - A pool whose data is too old stays held until it is synchronised; its clock runs on meanwhile.
//! - A returning pool that goes down, has no verdict, or is drained loses its whole part at once, and waits anew.

use std::time::Duration;

use crate::health::State;
use crate::model::{Failback, Family, Now, PoolId, Service, Share};

use super::pool::{Judged, Pools};
use super::{Hold, Memory, Stage};

/// By what holds end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace<'a> {
    pub(super) failback: Failback,
    /// Its name.
    pub(super) service: &'a str,
    /// Whatever the clock says: no hold ends and no step is taken.
    pub(super) stands: bool,
    /// What of the answers goes to who stands by.
    pub(super) trickle: Share,
}

impl<'a> Pace<'a> {
    pub(super) fn of(service: &'a Service) -> Self {
        Self { failback: service.failback, service: &service.name, stands: false, trickle: service.trickle }
    }
}

/// Holds of one service in one family, in the making of a decision.
#[derive(Debug)]
pub(super) struct Holds<'a> {
    pace: Pace<'a>,
    family: Family,
    /// Kept out, ordered by pool.
    pub(super) held: Vec<PoolId>,
    /// Of `held`: those that get a part of their share already, ordered by pool.
    pub(super) stages: Vec<Stage>,
    /// No longer held because nothing else was up, and nothing else is since.
    pub(super) used: Vec<PoolId>,
    /// Of `held`: new ones.
    pub(super) started: Vec<PoolId>,
    /// Ended by failback time just now.
    pub(super) ended: Vec<PoolId>,
}

impl<'a> Holds<'a> {
    /// What the last decision's memory has become by `now`. Pools that left the tree are forgotten.
    pub(super) fn review(pace: Pace<'a>, pools: &Pools, memory: &Memory, now: Now) -> Self {
        let family = pools.family;
        let in_tree = |holds: &[Hold]| -> Vec<PoolId> {
            holds.iter().filter(|hold| hold.family == family && pools.get(hold.pool).is_some()).map(|hold| hold.pool).collect()
        };
        let (held, used) = (in_tree(&memory.held), in_tree(&memory.used));
        let mut holds = Self { pace, family, held, stages: Vec::new(), used, started: Vec::new(), ended: Vec::new() };

        let [last_v4, last_v6] = &memory.last;
        let [all_down_v4, all_down_v6] = memory.all_down;
        let (last, was_all_down) = match family {
            Family::V4 => (last_v4, all_down_v4),
            Family::V6 => (last_v6, all_down_v6),
        };
        for pool in last.iter().filter_map(|pool| pools.get(*pool)).filter(|_| !was_all_down) {
            let by_health = pool.state == State::Down && pool.observed.state == State::Down && !pool.forced_away;
            if by_health && !holds.held.contains(&pool.pool) {
                holds.held.push(pool.pool);
                holds.started.push(pool.pool);
            }
        }
        holds.held.sort_unstable();
        holds.held.dedup();
        for pool in holds.held.clone() {
            let Some(judged) = pools.get(pool) else { continue };
            holds.advance(judged, memory.stage(Hold { pool, family }), now);
        }
        holds
    }

    /// What time has made of one hold.
    fn advance(&mut self, judged: &Judged, stage: Option<Stage>, now: Now) {
        let hold = Hold { pool: judged.pool, family: self.family };
        let stage = stage.filter(|stage| may_return(judged, Some(stage.since)));
        // Another file may have fewer steps: it stands at the last but one of them.
        let stage = stage.zip(self.pace.failback.stages()).map(|(stage, stages)| Stage { step: stage.step.min(stages.steps.count() - 1), ..stage });
        let stage = stage.filter(|stage| 0 < stage.step);
        let due = self.moves_at(judged, stage).is_some_and(|at| at <= now.mono) && !self.pace.stands && !judged.outdated;
        let stage = match (due, self.pace.failback.stages()) {
            (false, stages) => stage.filter(|_| stages.is_some()),
            (true, Some(stages)) => {
                let step = stage.map_or(0, |stage| stage.step).saturating_add(1);
                Some(Stage { hold, step, since: now.mono }).filter(|_| step < stages.steps.count())
            }
            (true, None) => None,
        };
        if due && stage.is_none() {
            self.held.retain(|held| *held != judged.pool);
            self.ended.push(judged.pool);
        }
        self.stages.extend(stage);
    }

    /// When time alone changes this hold next; `None` while the pool is not up, or by hand only.
    fn moves_at(&self, judged: &Judged, stage: Option<Stage>) -> Option<Duration> {
        let up_since = judged.observed.up_since.filter(|_| self.pace.failback.stages().is_none() || may_return(judged, None));
        hold_moves(self.pace.failback, self.pace.service, up_since, stage)
    }

    pub(super) fn contains(&self, pool: PoolId) -> bool {
        self.held.contains(&pool)
    }

    pub(super) fn stage(&self, pool: PoolId) -> Option<Stage> {
        self.stages.iter().copied().find(|stage| stage.hold.pool == pool)
    }

    /// The clock of a hold, for people: when it changes next, and when it ends.
    pub(super) fn clock(&self, judged: &Judged) -> (Option<Duration>, Option<Duration>) {
        let stage = self.stage(judged.pool);
        let next = self.moves_at(judged, stage);
        (next, next.map(|_| hold_ends(self.pace.failback, self.pace.service, judged.observed.up_since, stage)).unwrap_or_default())
    }

    /// Who is let in beside those who are not held, in what part of the answers: parts sum to 1, each has everybody of the one before.
    pub(super) fn parts(&self) -> Vec<(f64, Vec<PoolId>)> {
        let Some(stages) = self.pace.failback.stages() else { return vec![(1.0, Vec::new())] };
        let mut returning: Vec<(u8, PoolId)> = self.stages.iter().map(|stage| (stages.steps.percent(stage.step), stage.hold.pool)).collect();
        returning.sort_by_key(|(percent, pool)| (std::cmp::Reverse(*percent), *pool));
        let mut parts = Vec::with_capacity(returning.len() + 1);
        let mut let_in = Vec::new();
        let mut above = 100;
        for (percent, pool) in returning {
            if percent < above {
                parts.push((f64::from(above - percent) / 100.0, let_in.clone()));
            }
            let_in.push(pool);
            above = percent;
        }
        parts.push((f64::from(above) / 100.0, let_in));
        parts
    }

    /// These were needed because nothing else was up: their holds end.
    pub(super) fn use_up(&mut self, pools: &[PoolId]) {
        let used = self.held.iter().copied().filter(|pool| pools.contains(pool));
        self.used.extend(used);
        self.held.retain(|pool| !pools.contains(pool));
        self.stages.retain(|stage| !pools.contains(&stage.hold.pool));
    }

    /// The earliest moment at which time alone changes a hold.
    pub(super) fn wake_at(&self, pools: &Pools) -> Option<Duration> {
        let moves = |pool: &PoolId| self.moves_at(pools.get(*pool).filter(|judged| !judged.outdated)?, self.stage(*pool));
        self.held.iter().filter_map(moves).min()
    }
}

/// It is up, was all the time since, and nobody keeps it from being used.
fn may_return(judged: &Judged, since: Option<Duration>) -> bool {
    judged.is_usable() && judged.observed.up_since.is_some_and(|up| since.is_none_or(|since| up <= since))
}

/// The moment (`mono`) at which time changes a hold next: it ends, or takes a step. `None` while the pool is not up, or by hand only.
pub fn hold_moves(failback: Failback, service: &str, up_since: Option<Duration>, stage: Option<Stage>) -> Option<Duration> {
    let begins = up_since?.saturating_add(failback.wait(service)?);
    match (failback.stages(), stage) {
        (Some(stages), Some(stage)) => Some(stage.since.saturating_add(stages.hold)),
        _ => Some(begins),
    }
}

/// The moment (`mono`) at which a hold ends by itself, if nothing comes between: with steps, the last one.
pub fn hold_ends(failback: Failback, service: &str, up_since: Option<Duration>, stage: Option<Stage>) -> Option<Duration> {
    let next = hold_moves(failback, service, up_since, stage)?;
    let Some(stages) = failback.stages() else { return Some(next) };
    let left = stages.steps.count().saturating_sub(stage.map_or(0, |stage| stage.step) + 1);
    Some(next.saturating_add(stages.hold * u32::from(left)))
}
