//! Guarding against ourselves: when a change of verdicts must not reach the answers yet (SEMANTICS, 26 and 27).
//!
//! Pure: verdicts and the time of each come in; which endpoints are *kept* (seen by policy as they were, Up) comes out. The verdicts themselves go on
//! underneath, and overrides stand above: what an operator forces is never kept.
//!
//! ```text
//!               another region fell within `window`
//!   region falls ───────────────────────────────────▶ delayed: what turned in it within `window`, and what turns in it now, is kept
//!       │ none did: released at once                     │ 2 × window are over (while blind: when sight is back), or all of it is Up again
//!       ▼                                                ▼
//!   answers follow                                   answers follow
//!
//!          sentinels gone, or a mass turned within `window`
//!   seeing ─────────────────────────────────────────────▶ blind: what turned within `window` and what turns now is kept; `control` freezes decisions
//!      ▲                                                     │ a sentinel is Up and, after a mass, one region has returned
//!      │   all that is kept is Up again, or 2 × window       ▼
//!      └───────────────────────────────────────────────── sight is back ── lost again ──▶ blind
//! ```
//!
//! - A region *falls* when its verdict goes from Up to Down (table in `tally`). Another that fell less than `window` ago delays it, whether or not that
//!   one has returned: flapping is no sign of health. A delay is never made longer.
//! - *Sentinels gone*: all are Down, and one of them was Up before. Those that never answered say nothing: who mistypes an address is not blind.
//! - *A mass*: in every region that was Up within `window`, at least `blind_share` per cent of the endpoints that were Up turned; at least 5 endpoints in 2
//!   regions. *A region has returned* when at most half of `blind_share` of what was Up in it is still Down. So it takes more to end blindness than to avoid it.
//! - What is kept at the begin includes what turned since `window`: those verdicts are part of the doubt. A pool that failback holds stays out meanwhile.
//! - At start nothing was Up, so nothing can turn: the first verdicts are taken as they are. Stored verdicts (SEMANTICS, 13) count as having been Up.
//! - A restart forgets delays and blindness; an upgrade and a reload keep them ([`GuardNames`]).
//!
//! Never here: overrides, services, decisions, sentences for people.

mod names;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{EndpointId, Estate, GuardRules, JudgementId, Now, PoolId, RegionId, Timestamp};

use super::{HealthTable, Observed, State, Turn};

pub use names::GuardNames;
use tally::Tally;

/// One writer: `control`; policy and views read which endpoints are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    rules: GuardRules,
    tally: Tally,
    sentinels: Vec<JudgementId>,
    /// A sentinel has been Up.
    sentinel_seen: bool,
    delays: BTreeMap<RegionId, Delay>,
    blind: Option<Blind>,
    kept: BTreeSet<EndpointId>,
    /// Of `kept`, by region.
    kept_in: BTreeMap<RegionId, usize>,
}

/// A region that is held by the blast guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// When it fell.
    pub since: Timestamp,
    /// When it is released at the latest, unless the node is blind; for people.
    pub until: Timestamp,
    /// The region that fell before it.
    pub after: RegionId,
    /// `until` by `mono`.
    ends: Duration,
}

/// This node can't judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind {
    /// Since when.
    pub since: Timestamp,
    /// All sentinels are Down.
    pub sentinels: bool,
    /// Endpoints turned in a mass, and no region has returned since.
    pub mass: bool,
    /// How many had turned, in how many regions, when it began.
    pub turned: (usize, usize),
    /// `mono` since which nothing of the above holds any more; verdicts have 2 × window from then to follow.
    sight: Option<Duration>,
}

impl Blind {
    /// What made it blind is over; it ends as soon as verdicts have followed.
    pub fn sees_again(&self) -> bool {
        self.sight.is_some()
    }

    /// The same blindness by what is known now.
    fn still(self, sentinels: bool, mass: bool, now: Now) -> Self {
        let sight = if sentinels || mass { None } else { self.sight.or(Some(now.mono)) };
        Self { sentinels, mass, sight, ..self }
    }
}

/// What the guard did. Pools are those that policy sees differently by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardEvent {
    /// A region fell and is held.
    Delayed(RegionId, Delay, Vec<PoolId>),
    /// Its time is over.
    Released(RegionId, Delay, Vec<PoolId>),
    /// All that was kept of it is Up again.
    Returned(RegionId, Delay),
    /// This node is blind from now on.
    Blinded(Blind, Vec<PoolId>),
    /// It sees again. What is kept by delays stays so.
    Sees(Blind, Vec<PoolId>),
}

impl Guard {
    /// For this estate with this health, which nobody doubts.
    pub fn new(estate: &Estate, health: &HealthTable) -> Self {
        let sentinels: Vec<JudgementId> = estate.sentinels.iter().map(|sentinel| sentinel.judgement).collect();
        let sentinel_seen = sentinels.iter().any(|sentinel| health.judgement(*sentinel).state == State::Up);
        Self { rules: estate.guard, tally: Tally::new(estate, health), sentinels, sentinel_seen, ..Self::default() }
    }

    /// Is this endpoint, which turned, seen as Up?
    pub fn keeps(&self, endpoint: EndpointId) -> bool {
        self.kept.contains(&endpoint)
    }

    /// Some endpoint is kept: a quick no for nearly all questions.
    pub fn keeps_any(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The node can't judge, and why.
    pub fn blind(&self) -> Option<&Blind> {
        self.blind.as_ref()
    }

    /// The region is held by the blast guard.
    pub fn delay(&self, region: RegionId) -> Option<&Delay> {
        self.delays.get(&region)
    }

    /// The next moment (`mono`) at which [`Self::advance`] has something to do.
    pub fn next_at(&self) -> Option<Duration> {
        match self.blind {
            Some(blind) => blind.sight.map(|sight| sight + self.patience()),
            None => self.delays.values().map(|delay| delay.ends).min(),
        }
    }

    /// Takes in changes of verdicts, already in `health`.
    pub fn observed(&mut self, estate: &Estate, health: &HealthTable, observed: &Observed, now: Now) -> Vec<GuardEvent> {
        let Observed { transitions, turns, streaks: _ } = observed;
        let mut events = Vec::new();
        if transitions.iter().all(|transition| transition.from == transition.to) {
            return events;
        }
        self.tally.expire(now.mono);
        let moved = self.tally.observe(estate, health, turns, now.mono);
        for Turn { endpoint, from, to } in turns {
            let region = region_of(estate, *endpoint);
            match (from, to) {
                (State::Up, State::Down) if self.blind.is_some() || self.delays.contains_key(&region) => self.keep(estate, *endpoint),
                (_, State::Up) => {
                    self.let_go(estate, *endpoint);
                    self.end_of_delay(region, &mut events);
                }
                _ => {}
            }
        }
        for (region, state) in moved {
            let beside = self.tally.fell_beside(region).filter(|_| !self.rules.window.is_zero());
            if let (State::Down, false, Some(after)) = (state, self.delays.contains_key(&region), beside) {
                let ends = now.mono + self.patience();
                let delay = Delay { since: now.wall, until: now.wall.plus(self.patience()), after, ends };
                self.delays.insert(region, delay);
                let turned: Vec<EndpointId> = self.tally.region(region).iter().flat_map(|region| region.turned.iter().copied()).collect();
                turned.iter().for_each(|endpoint| self.keep(estate, *endpoint));
                events.push(GuardEvent::Delayed(region, delay, pools_of(estate, &turned)));
            }
        }
        self.sentinel_seen |= transitions.iter().any(|transition| transition.to == State::Up && self.sentinels.contains(&transition.judgement));
        self.look(estate, health, turns, now, &mut events);
        events
    }

    /// Time has passed: delays and blindness whose end has come.
    pub fn advance(&mut self, estate: &Estate, now: Now) -> Vec<GuardEvent> {
        let mut events = Vec::new();
        if self.next_at().is_none_or(|at| now.mono < at) {
            return events;
        }
        if let Some(blind) = self.blind {
            self.see(estate, blind, &mut events);
        }
        let over: Vec<(RegionId, Delay)> = self.delays.iter().filter(|(_, delay)| delay.ends <= now.mono).map(|(region, delay)| (*region, *delay)).collect();
        let mut kept: BTreeMap<RegionId, Vec<EndpointId>> = over.iter().map(|(region, _)| (*region, Vec::new())).collect();
        for endpoint in &self.kept {
            if let Some(of_region) = kept.get_mut(&region_of(estate, *endpoint)) {
                of_region.push(*endpoint);
            }
        }
        for (region, delay) in over {
            self.delays.remove(&region);
            let kept = kept.remove(&region).unwrap_or_default();
            kept.iter().for_each(|endpoint| self.let_go(estate, *endpoint));
            events.push(GuardEvent::Released(region, delay, pools_of(estate, &kept)));
        }
        events
    }

    /// Is the node blind, does it see again? `turns`: the changes that may have made it so.
    fn look(&mut self, estate: &Estate, health: &HealthTable, turns: &[Turn], now: Now, events: &mut Vec<GuardEvent>) {
        let (gone, mass) = (self.sentinels_gone(health), self.tally.is_mass());
        if let Some(blind) = self.blind {
            let mut came = turns.iter().filter(|turn| turn.to == State::Up).map(|turn| region_of(estate, turn.endpoint));
            let returned = came.any(|region| self.has_returned(region));
            let blind = blind.still(gone, mass || blind.mass && !returned, now);
            self.blind = Some(blind);
            if blind.sees_again() && self.kept.is_empty() {
                self.see(estate, blind, events);
            }
        } else if gone || mass {
            let turned: Vec<EndpointId> = self.tally.all_turned().collect();
            let blind = Blind { since: now.wall, sentinels: gone, mass, turned: (self.tally.turned, self.tally.turned_regions), sight: None };
            self.blind = Some(blind);
            turned.iter().for_each(|endpoint| self.keep(estate, *endpoint));
            events.push(GuardEvent::Blinded(blind, pools_of(estate, &turned)));
        }
    }

    /// All of them, of which one was Up before.
    fn sentinels_gone(&self, health: &HealthTable) -> bool {
        let is_down = |sentinel: &JudgementId| health.judgement(*sentinel).state == State::Down;
        self.sentinel_seen && !self.sentinels.is_empty() && self.sentinels.iter().all(is_down)
    }

    /// Blindness ends; delays that still run keep what is theirs.
    fn see(&mut self, estate: &Estate, blind: Blind, events: &mut Vec<GuardEvent>) {
        self.blind = None;
        let freed: Vec<EndpointId> = self.kept.iter().copied().filter(|endpoint| !self.delays.contains_key(&region_of(estate, *endpoint))).collect();
        freed.iter().for_each(|endpoint| self.let_go(estate, *endpoint));
        events.push(GuardEvent::Sees(blind, pools_of(estate, &freed)));
    }

    /// Of what was Up in it at most half of `blind_share` is still Down.
    fn has_returned(&self, region: RegionId) -> bool {
        let up = self.tally.region(region).map_or(0, |region| region.up);
        let down = self.kept_in.get(&region).copied().unwrap_or(0);
        0 < up && 200 * down <= usize::from(self.rules.blind_share) * (up + down)
    }

    fn end_of_delay(&mut self, region: RegionId, events: &mut Vec<GuardEvent>) {
        if !self.kept_in.contains_key(&region)
            && let Some(delay) = self.delays.remove(&region)
        {
            events.push(GuardEvent::Returned(region, delay));
        }
    }

    /// Keeps none of these any longer: for whoever asks what comes when its work is done.
    pub fn release(&mut self, estate: &Estate, endpoints: impl IntoIterator<Item = EndpointId>) {
        endpoints.into_iter().for_each(|endpoint| self.let_go(estate, endpoint));
    }

    fn keep(&mut self, estate: &Estate, endpoint: EndpointId) {
        if self.kept.insert(endpoint) {
            *self.kept_in.entry(region_of(estate, endpoint)).or_default() += 1;
        }
    }

    fn let_go(&mut self, estate: &Estate, endpoint: EndpointId) {
        let region = region_of(estate, endpoint);
        if self.kept.remove(&endpoint)
            && let Some(count) = self.kept_in.get_mut(&region)
        {
            *count -= 1;
            if *count == 0 {
                self.kept_in.remove(&region);
            }
        }
    }

    /// How long a delay lasts at most, and how long verdicts have to follow returned sight.
    fn patience(&self) -> Duration {
        self.rules.window * 2
    }
}

fn region_of(estate: &Estate, endpoint: EndpointId) -> RegionId {
    estate.pool(estate.endpoint(endpoint).pool).region
}

fn pools_of(estate: &Estate, endpoints: &[EndpointId]) -> Vec<PoolId> {
    let pools: BTreeSet<PoolId> = endpoints.iter().map(|endpoint| estate.endpoint(*endpoint).pool).collect();
    pools.into_iter().collect()
}
