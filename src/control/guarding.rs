//! What the guard says, carried out: services are decided again, people are told (SEMANTICS, 26 and 27).
//!
//! While the node is blind nothing is decided because of health. What would have been is remembered, and decided when sight is back; operators, reloads
//! and the ends of overrides act at once, on health as the guard keeps it.

use std::time::Duration;

use crate::health::{Blind, Delay, Guard, GuardEvent, Observed, Outcome, Reason, State};
use crate::model::{EndpointId, Now, PoolId, RegionId, duration_text};

use super::core::{Cause, Core};
use super::event::{Effect, Effects, Notice};

impl Core {
    /// Which verdicts must wait, and whether this node can judge.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Why the node is blind; `None`: it sees.
    pub fn blind_because(&self) -> Option<String> {
        self.guard.blind().map(|blind| self.because(blind))
    }

    /// Verdicts changed.
    pub(super) fn guard_observes(&mut self, observed: &Observed, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let events = self.guard.observed(&estate, &self.health, observed, now);
        self.guarded(events, now, effects);
    }

    /// Delays and blindness end by time.
    pub(super) fn guard_advances(&mut self, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let events = self.guard.advance(&estate, now);
        self.guarded(events, now, effects);
    }

    fn guarded(&mut self, events: Vec<GuardEvent>, now: Now, effects: &mut Effects) {
        for event in events {
            let notice = self.notice_of(&event, now);
            match event {
                // Blindness keeps it already.
                GuardEvent::Delayed(..) if self.guard.blind().is_some() => {}
                // What was decided already is taken back.
                GuardEvent::Delayed(_, _, pools) | GuardEvent::Blinded(_, pools) => pools.iter().for_each(|pool| self.touch_pool(*pool, Cause::Guard)),
                GuardEvent::Released(_, _, pools) => self.touch_released(&pools),
                GuardEvent::Returned(..) => {}
                GuardEvent::Sees(_, pools) => {
                    for (service, cause) in self.put_off.take() {
                        self.touch(service, cause);
                    }
                    self.touch_released(&pools);
                }
            }
            effects.push(Effect::Tell(notice));
        }
    }

    /// Pools are seen as they are from now on.
    fn touch_released(&mut self, pools: &[PoolId]) {
        for pool in pools {
            let failing_since = self.failing_since(*pool);
            self.touch_pool(*pool, Cause::Health { failing_since });
        }
    }

    /// The first failed probe of a pool that is Down.
    fn failing_since(&self, pool: PoolId) -> Option<Duration> {
        let estate = &self.configuration.estate;
        let endpoints = estate.pool(pool).endpoints.iter().filter_map(|endpoint| self.health.watched(estate, *endpoint));
        endpoints.filter(|endpoint| endpoint.state == State::Down).filter_map(|endpoint| endpoint.failing_since).min()
    }

    fn notice_of(&self, event: &GuardEvent, now: Now) -> Notice {
        let region = |id: RegionId| self.configuration.estate.region(id).name.clone();
        match event {
            GuardEvent::Delayed(id, delay, _) => Notice::Guarded { text: self.delay_text(*id, delay), region: region(*id), begins: true },
            GuardEvent::Released(id, delay, _) => {
                let (region, after) = (region(*id), duration_text(whole(now.wall.since(delay.since))));
                Notice::Guarded {
                    text: format!("region {region} is still down {after} after it went down: it is no longer kept in the answers"),
                    region,
                    begins: false,
                }
            }
            GuardEvent::Returned(id, _) => {
                let region = region(*id);
                Notice::Guarded { text: format!("region {region} is up again before it was taken out of the answers"), region, begins: false }
            }
            GuardEvent::Blinded(blind, _) => {
                Notice::Blind { text: format!("this node is blind: {}; decisions are frozen, answers go on", self.because(blind)), begins: true }
            }
            GuardEvent::Sees(blind, _) => {
                let after = duration_text(whole(now.wall.since(blind.since)));
                Notice::Blind { text: format!("this node sees again after {after}: decisions follow health"), begins: false }
            }
        }
    }

    /// Why a region is held, one sentence.
    pub fn delay_text(&self, region: RegionId, delay: &Delay) -> String {
        let [region, after] = [region, delay.after].map(|id| self.configuration.estate.region(id).name.clone());
        let rules = self.configuration.estate.guard;
        format!(
            "region {region} went down within {} of region {after}: it is kept in the answers for at most {}, because this node may be what is broken",
            duration_text(rules.window),
            duration_text(rules.window * 2)
        )
    }

    fn because(&self, blind: &Blind) -> String {
        if blind.sees_again() {
            return "what made it so is over, and verdicts are given time to follow".to_string();
        }
        let estate = &self.configuration.estate;
        let (endpoints, regions) = blind.turned;
        let mass = || {
            let (share, window) = (estate.guard.blind_share, duration_text(estate.guard.window));
            let why = self.commonest_failure().map_or(String::new(), |why| format!(" ({why})"));
            format!("{endpoints} endpoints in {regions} regions went down within {window}, at least {share} % of each region that was up{why}")
        };
        let sentinels = || match &estate.sentinels[..] {
            [only] => format!("its sentinel {} is down", only.name),
            all => format!("all its {} sentinels are down", all.len()),
        };
        match (blind.sentinels, blind.mass) {
            (true, true) => format!("{}, and {}", sentinels(), mass()),
            (true, false) => sentinels(),
            (false, _) => mass(),
        }
    }
}

impl Core {
    /// What most endpoints that are down fail with, with one of their sentences: a mass that has one cause looks like one.
    fn commonest_failure(&self) -> Option<String> {
        let estate = &self.configuration.estate;
        let mut failures = [(0_usize, None); Reason::ALL.len()];
        for endpoint in (0..estate.endpoints.len()).map(EndpointId::at).filter_map(|endpoint| self.health.watched(estate, endpoint)) {
            let Some(Outcome::Fail { reason, message }) = endpoint.last_failed.filter(|_| endpoint.state == State::Down).map(|report| &report.outcome) else {
                continue;
            };
            if let Some((_, (count, first))) = Reason::ALL.iter().zip(&mut failures).find(|(known, _)| *known == reason) {
                *count += 1;
                first.get_or_insert((reason, message));
            }
        }
        let all: usize = failures.iter().map(|(count, _)| count).sum();
        let (count, found) = failures.into_iter().max_by_key(|(count, _)| *count)?;
        let (reason, message) = found.filter(|_| all < 2 * count)?;
        Some(format!("{count} of {all} by `{}`: {message}", reason.word()))
    }
}

/// People don't wait in milliseconds.
fn whole(span: Duration) -> Duration {
    Duration::from_secs(span.as_secs())
}
