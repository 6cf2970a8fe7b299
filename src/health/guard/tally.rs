//! What turned from Up to Down of late, counted by region.
//!
//! Kept up to date by each change of a verdict; a change costs what its target judges, however much exists.
//!
//! A region's verdict, from its pools that are probed (an `always` pool says nothing of the place):
//!
//! | pools of the region                                   | region                          |
//! |-------------------------------------------------------|---------------------------------|
//! | one is Up in some family                              | Up                              |
//! | none is Up, one is Unknown in some family             | as before: no verdict, no change |
//! | all are Down in every family that they have           | Down                            |

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::health::{HealthTable, State, Turn};
use crate::model::{EndpointId, Estate, Family, PoolId, RegionId, Watch};

/// Endpoints that must have turned before anybody speaks of a mass.
const MASS_ENDPOINTS: usize = 5;
/// And regions.
const MASS_REGIONS: usize = 2;

/// What is known of one region.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RegionTally {
    /// Pools that are probed, by state.
    pools: [usize; 3],
    /// Endpoints that are Up.
    pub(super) up: usize,
    /// Endpoints that turned within the window and are Down since.
    pub(super) turned: BTreeSet<EndpointId>,
    /// The last verdict: Up or Down; Unknown before the first.
    pub(super) verdict: State,
    /// When it last went from Up to Down; forgotten after the window.
    pub(super) down_at: Option<Duration>,
    /// It counts in [`Tally::were_up`].
    was_up: bool,
    /// It counts in [`Tally::struck`].
    struck: bool,
}

/// See above.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    window: Duration,
    /// Per cent of a region's endpoints that make it struck; 0: never.
    share: usize,
    pub(super) regions: Vec<RegionTally>,
    /// By endpoint: when it turned.
    pub(super) turned_at: Vec<Option<Duration>>,
    /// By pool, both families together; `None`: nobody probes it.
    pools: Vec<Option<State>>,
    /// Turns, oldest first; what has returned meanwhile stays in it.
    turns: VecDeque<(Duration, EndpointId, RegionId)>,
    /// Regions that went Down, oldest first.
    pub(super) downs: VecDeque<(Duration, RegionId)>,
    /// Endpoints that turned, of all regions.
    pub(super) turned: usize,
    /// Regions with such.
    pub(super) turned_regions: usize,
    /// Regions that were Up within the window.
    were_up: usize,
    /// Of those: at least `share` of their endpoints turned.
    struck: usize,
}

impl Tally {
    /// As health is now; what turned before is not known.
    pub(super) fn new(estate: &Estate, health: &HealthTable) -> Self {
        let mut tally = Self {
            window: estate.guard.window,
            share: usize::from(estate.guard.blind_share),
            regions: vec![RegionTally::default(); estate.regions.len()],
            turned_at: vec![None; estate.endpoints.len()],
            pools: vec![None; estate.pools.len()],
            ..Self::default()
        };
        for (at, pool) in estate.pools.iter().enumerate() {
            let probed = |id: &EndpointId| !matches!(estate.endpoint(*id).watch, Watch::Always | Watch::Nothing);
            let Some(region) = tally.regions.get_mut(pool.region.index()).filter(|_| pool.endpoints.iter().any(probed)) else { continue };
            let state = both_families(health, PoolId::at(at));
            region.count(state, true);
            region.up += pool.endpoints.iter().filter(|id| probed(id) && health.endpoint(estate, **id) == State::Up).count();
            if let Some(slot) = tally.pools.get_mut(at) {
                *slot = Some(state);
            }
        }
        for at in 0..tally.regions.len() {
            if let Some(region) = tally.regions.get_mut(at) {
                region.verdict = region.present().unwrap_or_default();
            }
            tally.recount(RegionId::at(at));
        }
        tally
    }

    /// One region.
    pub(super) fn region(&self, id: RegionId) -> Option<&RegionTally> {
        self.regions.get(id.index())
    }

    /// Forgets what lies a whole window back.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some((at, endpoint, region)) = self.turns.front().copied().filter(|(at, ..)| *at + self.window <= now) {
            self.turns.pop_front();
            if self.turned_at.get(endpoint.index()).copied().flatten() == Some(at) {
                self.forget_turn(endpoint, region);
                self.recount(region);
            }
        }
        while let Some((at, region)) = self.downs.front().copied().filter(|(at, _)| *at + self.window <= now) {
            self.downs.pop_front();
            if let Some(tally) = self.regions.get_mut(region.index()).filter(|tally| tally.down_at == Some(at)) {
                tally.down_at = None;
            }
            self.recount(region);
        }
    }

    /// Takes in changes of endpoints. Tells the regions that went Down or came Up by them.
    pub(super) fn observe(&mut self, estate: &Estate, health: &HealthTable, turns: &[Turn], now: Duration) -> Vec<(RegionId, State)> {
        let mut touched = BTreeSet::new();
        for Turn { endpoint, from, to } in turns {
            let id = estate.pool(estate.endpoint(*endpoint).pool).region;
            touched.insert(id);
            let Some(region) = self.regions.get_mut(id.index()) else { continue };
            region.up = (region.up + usize::from(*to == State::Up)).saturating_sub(usize::from(*from == State::Up));
            if (*from, *to) == (State::Up, State::Down) {
                self.turn(*endpoint, id, now);
            } else {
                self.forget_turn(*endpoint, id);
            }
        }
        for pool in estate.pools_moved_by(turns.iter().map(|turn| turn.endpoint)) {
            let (id, state) = (estate.pool(pool).region, both_families(health, pool));
            touched.insert(id);
            if let (Some(region), Some(Some(before))) = (self.regions.get_mut(id.index()), self.pools.get_mut(pool.index())) {
                region.count(*before, false);
                region.count(state, true);
                *before = state;
            }
        }
        let mut moved = Vec::new();
        for id in touched {
            if let Some(region) = self.regions.get_mut(id.index())
                && let Some(verdict) = region.present().filter(|verdict| *verdict != region.verdict)
            {
                if (region.verdict, verdict) == (State::Up, State::Down) {
                    region.down_at = Some(now);
                    self.downs.push_back((now, id));
                    moved.push((id, State::Down));
                } else if verdict == State::Up {
                    moved.push((id, State::Up));
                }
                region.verdict = verdict;
            }
            self.recount(id);
        }
        moved
    }

    /// Another region that went Down within the window; the latest.
    pub(super) fn fell_beside(&self, region: RegionId) -> Option<RegionId> {
        self.downs.iter().rev().map(|(_, other)| *other).find(|other| *other != region)
    }

    /// In every region that was Up most of it turned (SEMANTICS, 27).
    pub(super) fn is_mass(&self) -> bool {
        0 < self.share && MASS_ENDPOINTS <= self.turned && MASS_REGIONS <= self.turned_regions && 0 < self.were_up && self.struck == self.were_up
    }

    /// Every endpoint that turned within the window.
    pub(super) fn all_turned(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.regions.iter().flat_map(|region| region.turned.iter().copied())
    }

    /// Takes over that an endpoint turned, or a region fell, before this estate was. In the order of time.
    pub(super) fn recall_turn(&mut self, estate: &Estate, endpoint: EndpointId, at: Duration) {
        self.turn(endpoint, estate.pool(estate.endpoint(endpoint).pool).region, at);
        self.recount(estate.pool(estate.endpoint(endpoint).pool).region);
    }

    /// As [`Self::recall_turn`].
    pub(super) fn recall_fall(&mut self, id: RegionId, at: Duration) {
        if let Some(region) = self.regions.get_mut(id.index()) {
            region.down_at = Some(at);
            self.downs.push_back((at, id));
        }
        self.recount(id);
    }

    fn turn(&mut self, endpoint: EndpointId, region: RegionId, now: Duration) {
        if self.window.is_zero() {
            return;
        }
        if let (Some(slot), Some(tally)) = (self.turned_at.get_mut(endpoint.index()), self.regions.get_mut(region.index())) {
            *slot = Some(now);
            self.turns.push_back((now, endpoint, region));
            self.turned_regions += usize::from(tally.turned.is_empty());
            self.turned += usize::from(tally.turned.insert(endpoint));
        }
    }

    fn forget_turn(&mut self, endpoint: EndpointId, region: RegionId) {
        let Some(region) = self.regions.get_mut(region.index()) else { return };
        if region.turned.remove(&endpoint) {
            self.turned = self.turned.saturating_sub(1);
            self.turned_regions = self.turned_regions.saturating_sub(usize::from(region.turned.is_empty()));
        }
        if let Some(slot) = self.turned_at.get_mut(endpoint.index()) {
            *slot = None;
        }
    }

    /// A region's part in the sums.
    fn recount(&mut self, id: RegionId) {
        let share = self.share;
        let Some(region) = self.regions.get_mut(id.index()) else { return };
        let was_up = region.verdict == State::Up || region.down_at.is_some();
        let turned = region.turned.len();
        let struck = was_up && 0 < turned && share * (turned + region.up) <= 100 * turned;
        self.were_up = self.were_up + usize::from(was_up) - usize::from(region.was_up);
        self.struck = self.struck + usize::from(struck) - usize::from(region.struck);
        (region.was_up, region.struck) = (was_up, struck);
    }
}

impl RegionTally {
    fn count(&mut self, state: State, more: bool) {
        let [up, down, unknown] = &mut self.pools;
        let count = match state {
            State::Up => up,
            State::Down => down,
            State::Unknown => unknown,
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
    }

    /// A row of the table above; `None`: no verdict.
    fn present(&self) -> Option<State> {
        match self.pools {
            [0, 0, _] => None,
            [0, _, 0] => Some(State::Down),
            [0, _, _] => None,
            _ => Some(State::Up),
        }
    }
}

/// The best of its families; a pool without endpoints of one looks there as in the other.
fn both_families(health: &HealthTable, pool: PoolId) -> State {
    let [v4, v6] = Family::ALL.map(|family| health.pool(pool, family).state);
    match (v4, v6) {
        (State::Up, _) | (_, State::Up) => State::Up,
        (State::Down, State::Down) => State::Down,
        _ => State::Unknown,
    }
}
