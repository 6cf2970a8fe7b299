//! The TTL that goes by what may come (SEMANTICS, 24): while answers may change soon, resolvers are told to ask again by then.
//!
//! ```text
//! settled                                                        → ttl
//! a streak against a verdict, a failback, a planned change
//! within ttl                                                     → min(ttl, max(ttl_min, time left)), once a second anew
//! ```
//!
//! Never here: what is planned (`control` knows), or whether it will come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::health::{State, Streak};
use crate::model::{EndpointId, Node, Now, Service};

use super::effective::Effective;
use super::{Decision, pool, tell};

/// Recomputed so often: on whole seconds, so that many services cost one publish.
const EVERY: Duration = Duration::from_secs(1);

/// Changes that are going to be made, by service: the next one of each.
pub type Plans = BTreeMap<Arc<str>, Planned>;

/// Nothing is planned.
pub static NO_PLANS: Plans = BTreeMap::new();

/// A change that is going to be made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// When (`mono`).
    pub at: Duration,
    /// What, for people: `the end of o-12`.
    pub what: Arc<str>,
}

/// What may change the answers next, and when at the earliest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Soon {
    pub(super) at: Duration,
    pub(super) why: Why,
}

/// What that is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// This many of so many outcomes that turn the verdict on an endpoint to a state have come.
    Streak(EndpointId, State, Streak),
    /// Time ends a hold, or lets it take a step.
    Failback,
    /// An operator has planned it.
    Planned(Arc<str>),
}

/// The TTL of a decision that is made otherwise: what it is lowered for, if it is, and when it is to be looked at again.
pub(super) fn lower(decision: &mut Decision, effective: &Effective<'_>, service: &Service, policy: &Node, now: Now) -> Option<Soon> {
    let (ttl, least) = (service.ttl, service.ttl_min);
    if ttl <= least {
        return None;
    }
    let soon = soonest(decision, effective, service, policy, now)?;
    let (left, ttl_span) = (soon.at.saturating_sub(now.mono), Duration::from_secs(u64::from(ttl)));
    if ttl_span < left {
        let begins = whole(soon.at - ttl_span);
        decision.wake_at = Some(decision.wake_at.map_or(begins, |wake| wake.min(begins)));
        return None;
    }
    // It falls until the next look, so a part of a second counts for nothing.
    let seconds = u32::try_from(left.as_secs()).unwrap_or(ttl);
    decision.ttl = ttl.min(least.max(seconds));
    if least < seconds {
        let next = whole(now.mono + Duration::from_nanos(1));
        decision.wake_at = Some(decision.wake_at.map_or(next, |wake| wake.min(next)));
    }
    Some(soon)
}

/// The next whole second, or this moment if it is one.
fn whole(at: Duration) -> Duration {
    if at.subsec_nanos() == 0 { at } else { Duration::from_secs(at.as_secs()) + EVERY }
}

fn soonest(decision: &Decision, effective: &Effective<'_>, service: &Service, policy: &Node, now: Now) -> Option<Soon> {
    let streak = if effective.facts.health.streaks_any() { first_streak(decision, effective, service, policy) } else { None };
    // What is due already has been put off, or is on its way.
    let failback = decision.wake_at.filter(|at| now.mono < *at).map(|at| Soon { at, why: Why::Failback });
    let planned = effective.facts.planned.get(&service.name).filter(|planned| now.mono < planned.at);
    let planned = planned.map(|planned| Soon { at: planned.at, why: Why::Planned(planned.what.clone()) });
    streak.into_iter().chain(failback).chain(planned).min_by_key(|soon| soon.at)
}

/// The streak that may change the answers first: against who answers, or for who would again.
fn first_streak(decision: &Decision, effective: &Effective<'_>, service: &Service, policy: &Node) -> Option<Soon> {
    let facts = effective.facts;
    let answers = |endpoint: EndpointId| decision.families.iter().flat_map(|family| &family.leaves).any(|leaf| leaf.endpoints.contains(&endpoint));
    let endpoints = pool::pools_of(policy).into_iter().flat_map(|pool| &facts.estate.pool(pool).endpoints).copied();
    endpoints
        .filter_map(|endpoint| {
            let streak = facts.health.streak(facts.estate, endpoint)?;
            // Operators' overrides count more than verdicts.
            if effective.forced(endpoint).is_some() || effective.drained(endpoint).is_some() || effective.is_kept(endpoint) {
                return None;
            }
            match effective.state(endpoint) {
                State::Up if answers(endpoint) => Some(Soon { at: streak.turns_at, why: Why::Streak(endpoint, State::Down, streak) }),
                State::Down => {
                    let held = decision.memory.held.iter().any(|hold| hold.pool == facts.estate.endpoint(endpoint).pool);
                    // The clock of a hold starts when its pool is up.
                    let waits = if held { service.failback.wait(&service.name)? } else { Duration::ZERO };
                    Some(Soon { at: streak.turns_at.saturating_add(waits), why: Why::Streak(endpoint, State::Up, streak) })
                }
                State::Up | State::Unknown => None,
            }
        })
        .min_by_key(|soon| soon.at)
}

impl Soon {
    /// For people: `prod/a may be down at 2026-11-21T12:00:12Z (2 of 3 fails)`.
    pub(super) fn text(&self, effective: &Effective<'_>, now: Now) -> String {
        let at = tell::moment(self.at, now);
        match &self.why {
            Why::Streak(endpoint, state, Streak { counted, needed, .. }) => {
                let outcomes = if *state == State::Down { "fails" } else { "passes" };
                format!("{} may be {} at {at} ({counted} of {needed} {outcomes})", effective.facts.estate.endpoint_label(*endpoint), state.word())
            }
            Why::Failback => format!("a failback is due at {at}"),
            Why::Planned(what) => format!("{what} is due at {at}"),
        }
    }
}
