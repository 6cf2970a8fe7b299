//! What may change answers soon, for their TTL (SEMANTICS, 24): streaks against verdicts, and changes that are planned.
//!
//! Planned are the moments of schedules, the next steps of shifts under way, and the ends of overrides. Services are decided again when such a moment comes
//! as near as the longest TTL; from then on policy says when it wants to be asked again. Never here: the TTL itself (`policy`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{JudgementId, Now, PoolId};
use crate::policy::{Planned, Plans};

use super::core::{Cause, Core, Serving};
use super::shifts::Phase;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The next planned change of each service, as far as it is near.
    pub plans: Plans,
    /// `plans` were made from what is there now.
    fresh: bool,
    /// When one more plan comes near (`mono`).
    near_at: Option<Duration>,
    /// Pools with streaks that began, grew or ended, and when their services are decided again: on whole seconds.
    streaks: BTreeSet<PoolId>,
    streaks_at: Option<Duration>,
}

impl Ahead {
    /// Something that is planned may have changed.
    pub(super) fn stale(&mut self) {
        self.fresh = false;
    }

    /// When a service is going to change by itself, if that is near.
    pub(super) fn planned(&self, service: &str) -> Option<Duration> {
        self.plans.get(service).map(|planned| planned.at)
    }

    /// When [`Core::look_ahead`] has something to do.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.near_at.into_iter().chain(self.streaks_at).min()
    }
}

impl Core {
    /// Streaks against these verdicts have begun, grown or ended.
    pub(super) fn streaks_changed(&mut self, judgements: &[JudgementId], now: Now) {
        let estate = self.configuration.estate.clone();
        for judgement in judgements {
            let pools = estate.judgement(*judgement).endpoints.iter().map(|endpoint| estate.endpoint(*endpoint).pool);
            self.ahead.streaks.extend(pools);
            self.ahead.streaks_at.get_or_insert(Duration::from_secs(now.mono.as_secs() + 1));
        }
    }

    /// Has services decided again whose TTL may be another one now.
    pub(super) fn look_ahead(&mut self, now: Now) {
        if matches!(self.serving, Serving::FirstRound { .. }) {
            return;
        }
        if self.ahead.streaks_at.is_some_and(|at| at <= now.mono) {
            self.ahead.streaks_at = None;
            for pool in std::mem::take(&mut self.ahead.streaks) {
                self.touch_pool(pool, Cause::Health { failing_since: None });
            }
        }
        if !self.ahead.fresh || self.ahead.near_at.is_some_and(|at| at <= now.mono) {
            self.plan_ahead(now);
        }
    }

    fn plan_ahead(&mut self, now: Now) {
        let estate = self.configuration.estate.clone();
        let mut plans = Plans::new();
        self.ahead.near_at = None;
        let moments = self.moments(now);
        // Nearly always nothing is planned: then nobody looks through all services.
        let longest = if moments.is_empty() { 0 } else { estate.services.iter().map(|service| service.ttl).max().unwrap_or(0) };
        let longest = Duration::from_secs(u64::from(longest));
        for (planned, services) in moments {
            if now.mono + longest < planned.at {
                let near = planned.at - longest;
                self.ahead.near_at = Some(self.ahead.near_at.map_or(near, |known| known.min(near)));
                continue;
            }
            for service in self.of_moment(&services) {
                plans.entry(service).and_modify(|known| *known = known.clone().min(planned.clone())).or_insert_with(|| planned.clone());
            }
        }
        let before = std::mem::replace(&mut self.ahead.plans, plans);
        self.ahead.fresh = true;
        let changed: BTreeSet<&Arc<str>> =
            before.keys().chain(self.ahead.plans.keys()).filter(|name| before.get(*name) != self.ahead.plans.get(*name)).collect();
        let touched: Vec<_> = changed.into_iter().filter_map(|name| estate.service_named(name)).collect();
        touched.into_iter().for_each(|service| self.touch(service, Cause::Health { failing_since: None }));
    }

    /// Everything that is planned and has not come.
    fn moments(&self, now: Now) -> Vec<(Planned, Of)> {
        let mut moments = Vec::new();
        for (id, kept) in self.schedules.kept.iter().filter(|(_, kept)| kept.is_waiting()) {
            moments.push((Planned { at: kept.due, what: format!("the scheduled change t-{id}").into() }, Of::Schedule(*id)));
        }
        for (id, live) in &self.shifts.live {
            let Some((record, _)) = self.shifts.kept.get(id).filter(|(record, _)| record.phase == Phase::Progressing) else { continue };
            let what = format!("the next step of shift s-{id}");
            moments.extend(live.due.map(|at| (Planned { at, what: what.into() }, Of::Service(record.service.clone()))));
        }
        for (id, kept) in &self.overrides.kept {
            moments.extend(kept.ends.map(|at| (Planned { at, what: format!("the end of o-{id}").into() }, Of::Override(*id))));
        }
        moments.retain(|(planned, _)| now.mono < planned.at);
        moments
    }

    fn of_moment(&self, of: &Of) -> Vec<Arc<str>> {
        match of {
            Of::Service(name) => vec![name.clone()],
            Of::Schedule(id) => self.schedules.kept.get(id).map(|kept| self.scheduled_services(&kept.record.change)).unwrap_or_default(),
            Of::Override(id) => {
                let kept = self.overrides.kept.get(id);
                kept.map(|kept| self.services_under(&kept.record.target, &kept.record.services)).unwrap_or_default()
            }
        }
    }
}

/// Whose moment it is: looked up when it is near.
enum Of {
    Service(Arc<str>),
    Schedule(u64),
    Override(u64),
}
