//! What a pool is no use without, as policy sees it: for people.

use crate::health::{State, pool_state, requirement_state};
use crate::model::{Estate, PoolId, Requirement, ServiceId};

use super::Facts;
use super::effective::Effective;

/// One of the pools that a pool requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Which.
    pub pool: PoolId,
    /// So many of its endpoints must be up.
    pub needed: u32,
    /// So many are, by effective health.
    pub up: u32,
    /// So many have no verdict.
    pub unknown: u32,
    /// Up, if it has what is needed and what it requires itself; what the requiring pool is at best.
    pub state: State,
    /// What is wrong is not the pool's endpoints, but these that it requires itself.
    pub below: Vec<Required>,
}

/// What `pool` requires as `service` sees it; `None`: by the overrides that count for all services.
pub fn required(facts: &Facts<'_>, service: Option<ServiceId>, pool: PoolId) -> Vec<Required> {
    if facts.estate.pool(pool).requires.is_empty() { Vec::new() } else { of(&Effective::new(facts, service), pool) }
}

pub(super) fn of(effective: &Effective<'_>, pool: PoolId) -> Vec<Required> {
    let estate = effective.facts.estate;
    let one = |requirement: &Requirement| {
        let Requirement { pool, up: needed } = *requirement;
        let count = |state: State| estate.pool(pool).endpoints.iter().filter(|endpoint| effective.state(**endpoint) == state).count();
        let (up, unknown) = (count(State::Up), count(State::Unknown));
        let state = requirement_state(estate, requirement, &|endpoint| effective.state(endpoint));
        let own = pool_state(up, unknown, needed);
        let below = if state == own { Vec::new() } else { of(effective, pool) };
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Required { pool, needed, up: narrow(up), unknown: narrow(unknown), state, below }
    };
    estate.pool(pool).requires.iter().map(one).collect()
}

/// The worst of them, if it is not Up: what keeps the pool from being up.
pub fn lacking(required: &[Required]) -> Option<&Required> {
    let of = |state: State| required.iter().find(move |required| required.state == state);
    of(State::Down).or_else(|| of(State::Unknown))
}

impl Required {
    /// `it requires prod-db, of which 1 of 2 needed is up`
    pub fn text(&self, estate: &Estate) -> String {
        let name = &estate.pool(self.pool).name;
        if let Some(below) = lacking(&self.below) {
            return format!("it requires {name}, which is {}: {}", self.state.word(), below.text(estate));
        }
        let Self { needed, up, unknown, .. } = self;
        let are = if *up == 1 { "is" } else { "are" };
        let no_verdict = match (self.state, unknown) {
            (State::Unknown, 1) => ", and 1 has no verdict yet".to_string(),
            (State::Unknown, many) => format!(", and {many} have no verdict yet"),
            _ => String::new(),
        };
        format!("it requires {name}, of which {up} of {needed} needed {are} up{no_verdict}")
    }
}
