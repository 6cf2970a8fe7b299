//! Endpoints with a composite monitor: one verdict of several, and what is shown of an endpoint whatever watches it.

use std::time::Duration;

use crate::health::composite::{self, MemberHealth};
use crate::health::{ProbeReport, State};
use crate::model::{CombinedId, EndpointId, Estate, Now, Timestamp, Watch};

use super::{EndpointHealth, HealthTable, JudgementHealth, TargetHealth};

/// The verdict on an endpoint with a composite monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CombinedHealth {
    pub(super) state: State,
    /// It stands on a stale verdict: were those Unknown, it would be.
    pub(super) stale: bool,
    /// When it last changed. After a restart: when the last of its members did, since nothing is stored of it.
    pub(super) since: Timestamp,
    /// Of what took it Down; `None` while it is not.
    pub(super) failing_since: Option<Duration>,
}

impl HealthTable {
    /// A member of a composite changed: before and after. `failing_since`: of the member.
    pub(super) fn combine(&mut self, estate: &Estate, id: CombinedId, failing_since: Option<Duration>, now: Now) -> (State, State) {
        let (state, stale) = self.evaluate(estate, id);
        let Some(combined) = self.combined.get_mut(id.index()) else { return (state, state) };
        let before = combined.state;
        combined.stale = stale;
        if before != state {
            let failing_since = if state == State::Down { failing_since } else { None };
            *combined = CombinedHealth { state, stale, since: now.wall, failing_since };
        }
        (before, state)
    }

    /// A composite's verdict anew, where nobody saw how it came about: since its last member changed.
    pub(super) fn recall(&mut self, estate: &Estate, id: CombinedId) {
        let (state, stale) = self.evaluate(estate, id);
        let members = || estate.combined(id).judgements.iter().map(|judgement| self.judgement(*judgement));
        let since = members().map(|member| member.since).max().unwrap_or_default();
        let failing = members().filter(|member| member.state == State::Down).filter_map(|member| member.failing_since).max();
        let failing_since = if state == State::Down { failing } else { None };
        if let Some(combined) = self.combined.get_mut(id.index()) {
            *combined = CombinedHealth { state, stale, since, failing_since };
        }
    }

    /// State, and whether it stands on stale verdicts.
    fn evaluate(&self, estate: &Estate, id: CombinedId) -> (State, bool) {
        let combined = estate.combined(id);
        let state = composite::evaluate(estate, combined, &|judgement| self.judgement(judgement).state);
        let confirmed = |judgement| Some(self.judgement(judgement)).filter(|health| !health.stale).map_or(State::Unknown, |health| health.state);
        (state, state != State::Unknown && composite::evaluate(estate, combined, &confirmed) != state)
    }

    /// Of an endpoint; `None` if nothing probes it.
    pub fn watched<'h>(&'h self, estate: &'h Estate, endpoint: EndpointId) -> Option<EndpointHealth<'h>> {
        match estate.endpoint(endpoint).watch {
            Watch::Judgement(id) => {
                let JudgementHealth { state, stale, since, failing_since, fails: _, passes: _, streak_at: _ } = *self.judgement(id);
                let TargetHealth { last, last_failed, quality: _ } = self.target(estate.judgement(id).target);
                Some(EndpointHealth { state, stale, since, failing_since, last: last.as_ref(), last_failed: last_failed.as_ref(), failed_by: None })
            }
            Watch::Combined(id) => {
                let CombinedHealth { state, stale, since, failing_since } = *self.combined.get(id.index())?;
                let reports = |choose: fn(&TargetHealth) -> Option<&ProbeReport>| estate.targets_of(endpoint).filter_map(move |id| choose(self.target(id)));
                let last = reports(|target| target.last.as_ref()).max_by_key(|report| report.at);
                let members = self.members(estate, endpoint);
                let down = MemberHealth::counting(&members, State::Down);
                let failed = down.into_iter().find_map(|member| Some((member.target?.last_failed.as_ref()?, member.monitor)));
                let (last_failed, failed_by) = match failed {
                    Some((report, monitor)) => (Some(report), Some(monitor)),
                    None => (reports(|target| target.last_failed.as_ref()).max_by_key(|report| report.at), None),
                };
                Some(EndpointHealth { state, stale, since, failing_since, last, last_failed, failed_by })
            }
            Watch::Always | Watch::Nothing => None,
        }
    }

    /// The members of an endpoint's composite monitor; none if it has another one.
    pub fn members<'h>(&'h self, estate: &'h Estate, endpoint: EndpointId) -> Vec<MemberHealth<'h>> {
        match estate.endpoint(endpoint).watch {
            Watch::Combined(id) => composite::members(self, estate, estate.combined(id)),
            Watch::Judgement(_) | Watch::Always | Watch::Nothing => Vec::new(),
        }
    }
}
