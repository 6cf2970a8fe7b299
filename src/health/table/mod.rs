//! The verdicts of all targets, and what endpoints and pools look like from them.
//!
//! Here: the table, and what it is asked. `observe` puts an outcome into it, `combined` follows composites, `carry` takes over what was known before (a store, a
//! predecessor, the table of another configuration), `known` are its words.

mod carry;
mod combined;
mod known;
mod observe;

#[cfg(test)]
mod tests;

pub use carry::ByKey;
pub use known::{EndpointHealth, JudgementHealth, Observed, TargetHealth, Transition, Turn};

use crate::model::{CombinedId, EndpointId, Estate, Family, JudgementId, Now, PoolId, TargetId, Watch};

use super::State;
use super::hosts::HostHealth;
use super::pools::{self, PoolObserved};
#[cfg(test)]
use super::quality::Quality;
use combined::CombinedHealth;

/// Observations of this node, by target and judgement, with endpoints and pools derived. One writer: `control`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthTable {
    targets: Vec<TargetHealth>,
    judgements: Vec<JudgementHealth>,
    combined: Vec<CombinedHealth>,
    /// In both families, and for services that answer with host names.
    pools: Vec<[PoolObserved; 3]>,
    pub(super) hosts: Vec<HostHealth>,
    /// Targets that are degraded or told a weight. Nearly always none: then nobody need ask.
    shaped: usize,
    /// Verdicts with a streak against them. Nearly always none, too.
    streaks: usize,
}

impl HealthTable {
    /// All Unknown (`Always` endpoints are Up) for this estate.
    pub fn new(estate: &Estate, now: Now) -> Self {
        let unknown = JudgementHealth { since: now.wall, ..JudgementHealth::default() };
        let mut table = Self {
            targets: vec![TargetHealth::default(); estate.targets.len()],
            judgements: vec![unknown; estate.judgements.len()],
            combined: vec![CombinedHealth::default(); estate.combined.len()],
            pools: vec![Default::default(); estate.pools.len()],
            hosts: vec![HostHealth::default(); estate.hosts.len()],
            shaped: 0,
            streaks: 0,
        };
        for combined in (0..estate.combined.len()).map(CombinedId::at) {
            table.recall(estate, combined);
        }
        for pool in (0..estate.pools.len()).map(PoolId::at) {
            table.derive(estate, pool, now);
        }
        table
    }

    /// What probes of one target said.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn target(&self, target: TargetId) -> &TargetHealth {
        &self.targets[target.index()]
    }

    /// One verdict.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn judgement(&self, judgement: JudgementId) -> &JudgementHealth {
        &self.judgements[judgement.index()]
    }

    /// Observed state of an endpoint: its verdict, Up for `Always`, Unknown for `Nothing`.
    pub fn endpoint(&self, estate: &Estate, endpoint: EndpointId) -> State {
        match estate.endpoint(endpoint).watch {
            Watch::Always => State::Up,
            Watch::Judgement(judgement) => self.judgement(judgement).state,
            Watch::Combined(combined) => self.combined.get(combined.index()).map_or(State::Unknown, |combined| combined.state),
            Watch::Nothing => State::Unknown,
        }
    }

    /// The endpoint is Up, and outcomes of this run (or `always`) say so.
    pub fn endpoint_confirmed_up(&self, estate: &Estate, endpoint: EndpointId) -> bool {
        match estate.endpoint(endpoint).watch {
            Watch::Always => true,
            Watch::Judgement(judgement) => self.judgement(judgement).state == State::Up && !self.judgement(judgement).stale,
            Watch::Combined(combined) => self.combined.get(combined.index()).is_some_and(|combined| combined.state == State::Up && !combined.stale),
            Watch::Nothing => false,
        }
    }

    /// Observed state of a pool in one family.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn pool(&self, pool: PoolId, family: Family) -> PoolObserved {
        self.pools[pool.index()][family.index()]
    }

    /// Observed state of a pool by its host names, whatever families these have.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn pool_by_name(&self, pool: PoolId) -> PoolObserved {
        self.pools[pool.index()][2]
    }

    /// Some target is degraded or told a weight.
    pub fn shapes_any(&self) -> bool {
        0 < self.shaped
    }

    /// A streak against some verdict is under way.
    pub fn streaks_any(&self) -> bool {
        0 < self.streaks
    }

    /// The same verdicts, with nothing known beside them.
    #[cfg(test)]
    pub(crate) fn sound(&self) -> Self {
        let mut sound = self.clone();
        sound.targets.iter_mut().for_each(|health| health.quality = Quality::default());
        sound.shaped = 0;
        sound
    }

    /// Every verdict has an outcome or comes from the store: the first round is over.
    pub fn complete(&self) -> bool {
        self.judgements.iter().all(|judgement| judgement.state != State::Unknown)
    }

    /// Verdicts that no outcome of this run has confirmed: stale or Unknown.
    pub fn unconfirmed(&self) -> usize {
        self.judgements.iter().filter(|judgement| judgement.stale || judgement.state == State::Unknown).count()
    }

    /// Derives the pools that these endpoints stand in.
    pub(super) fn derive_pools_of(&mut self, estate: &Estate, endpoints: &[EndpointId], now: Now) {
        for pool in estate.pools_moved_by(endpoints.iter().copied()) {
            self.derive(estate, pool, now);
        }
    }

    fn derive(&mut self, estate: &Estate, pool: PoolId, now: Now) {
        let before = self.pools.get(pool.index()).copied().unwrap_or_default();
        let derived = pools::derive(self, estate, pool, before, now);
        if let Some(slot) = self.pools.get_mut(pool.index()) {
            *slot = derived;
        }
    }
}
