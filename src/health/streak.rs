//! Streaks against a verdict: outcomes that, if more of them come, will turn it (SEMANTICS, 24).
//!
//! Never here: what a verdict that may turn means for answers (`policy`).

use std::time::Duration;

use crate::model::{EndpointId, Estate, JudgementId, Watch};

use super::table::{HealthTable, JudgementHealth};
use super::verdict::State;

/// A streak under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Streak {
    /// When the verdict may turn, if every outcome until then is of the streak (`mono`).
    pub turns_at: Duration,
    /// So many count so far.
    pub counted: u16,
    /// So many turn it.
    pub needed: u16,
}

impl JudgementHealth {
    /// Outcomes against the verdict that count now.
    pub(super) fn against(&self) -> u16 {
        match self.state {
            State::Up => self.fails,
            State::Down => self.passes,
            State::Unknown => 0,
        }
    }
}

impl HealthTable {
    /// The streak that may turn a verdict on this endpoint first. Of a composite: a verdict of one of its members.
    pub fn streak(&self, estate: &Estate, endpoint: EndpointId) -> Option<Streak> {
        match estate.endpoint(endpoint).watch {
            Watch::Judgement(judgement) => self.streak_of(estate, judgement),
            Watch::Combined(id) => estate.combined(id).judgements.iter().filter_map(|judgement| self.streak_of(estate, *judgement)).min(),
            Watch::Always | Watch::Nothing => None,
        }
    }

    fn streak_of(&self, estate: &Estate, judgement: JudgementId) -> Option<Streak> {
        let health = self.judgement(judgement);
        let counted = health.against();
        let by = estate.judgement(judgement);
        let needed = if health.state == State::Up { by.thresholds.down_after } else { by.thresholds.up_after };
        let interval = estate.monitor(estate.target(by.target).monitor).interval;
        let left = needed.saturating_sub(counted);
        (0 < counted).then(|| Streak { turns_at: health.streak_at + interval * u32::from(left), counted, needed })
    }
}
