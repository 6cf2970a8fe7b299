//! What the core told: failovers, changed verdicts, events by type.
//!
//! `increase()` in Prometheus can't see a counter that is born at 1, so every counter stands at 0 before it is needed:
//! verdict changes and events from the start, failovers for every change that losing or regaining one region would bring.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::control::{EVENT_KINDS, Notice};
use crate::health::State;
use crate::model::{EndpointId, Estate, GuardKind, Watch};

use super::buckets::Buckets;
use super::catalog;
use super::series::Series;
use super::tracked::{OTHERS, Tracked};

const FAILOVER_SECONDS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0];

/// A failover may be remembered from configurations past: rows beyond this many are not made, only counted under [`OTHERS`].
const FAILOVERS_MAX: usize = 20_000;

/// Label values: service, from, to, trigger.
type Failover = (Arc<str>, String, String, &'static str);

/// Counters of what happened.
#[derive(Debug)]
pub struct Changes {
    events: BTreeMap<&'static str, u64>,
    /// Pool, region, endpoint, to.
    verdicts: BTreeMap<([Arc<str>; 3], State), u64>,
    failovers: BTreeMap<Failover, u64>,
    durations: BTreeMap<Arc<str>, Buckets>,
    /// Refused changes, by guard.
    refusals: [u64; GuardKind::ALL.len()],
    /// Ended shifts, by outcome.
    shifts: [(&'static str, u64); 2],
}

impl Default for Changes {
    fn default() -> Self {
        let events = EVENT_KINDS.iter().map(|kind| (*kind, 0)).collect();
        let (refusals, shifts) = ([0; GuardKind::ALL.len()], [("completed", 0), ("aborted", 0)]);
        Self { events, verdicts: BTreeMap::new(), failovers: BTreeMap::new(), durations: BTreeMap::new(), refusals, shifts }
    }
}

impl Changes {
    /// Rows at 0 for what is new, none for what is gone.
    pub fn configured(&mut self, estate: &Estate, tracked: &Tracked) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        for (at, endpoint) in estate.endpoints.iter().enumerate() {
            if matches!(endpoint.watch, Watch::Always | Watch::Nothing) {
                continue;
            }
            let labels = match labels(estate, EndpointId::at(at)) {
                own if tracked.has_endpoint(EndpointId::at(at)) => own,
                [_, region, _] => among_others(region),
            };
            if self.verdicts.contains_key(&(labels.clone(), State::Up)) {
                continue;
            }
            for to in [State::Up, State::Down, State::Unknown] {
                let key = (labels.clone(), to);
                let count = verdicts.remove(&key).unwrap_or(0);
                self.verdicts.insert(key, count);
            }
        }
        let others: Option<Arc<str>> = tracked.others().then(|| Arc::from(OTHERS));
        let services: BTreeSet<&Arc<str>> = tracked.names().iter().chain(&others).collect();
        self.failovers.retain(|(service, ..), _| services.contains(service));
        self.durations.retain(|service, _| services.contains(service));
        for service in services {
            self.durations.entry(service.clone()).or_insert_with(|| Buckets::new(FAILOVER_SECONDS));
        }
    }

    /// A service answers these regions now, of those that its policy knows: the failovers that may come next stand at 0.
    pub fn expect(&mut self, service: &Arc<str>, now: &BTreeSet<Arc<str>>, known: &BTreeSet<Arc<str>>) {
        let mut neighbours: Vec<BTreeSet<Arc<str>>> = Vec::new();
        for region in known {
            let mut other = now.clone();
            if !other.remove(region) {
                other.insert(region.clone());
                neighbours.push(BTreeSet::from([region.clone()]));
            }
            neighbours.push(other);
        }
        for next in neighbours.iter().filter(|next| *next != now) {
            self.failover(service.clone(), join(now), join(next), "health", 0);
        }
    }

    fn failover(&mut self, service: Arc<str>, from: String, to: String, trigger: &'static str, count: u64) {
        let key = (service, from, to, trigger);
        let room = self.failovers.len() < FAILOVERS_MAX;
        if let Some(counter) = self.failovers.get_mut(&key) {
            *counter += count;
        } else if room {
            self.failovers.insert(key, count);
        } else if count > 0 {
            *self.failovers.entry((Arc::from(OTHERS), String::new(), String::new(), trigger)).or_default() += count;
        }
    }

    /// The core told something: what is counted of it, beside that it is an event.
    pub fn notice(&mut self, tracked: &Tracked, notice: &Notice) {
        match notice {
            Notice::Endpoint { endpoint: _, labels, state, message: _ } => {
                let [_, region, _] = labels;
                let (own, others) = ((labels.clone(), *state), (among_others(region.clone()), *state));
                let key = if self.verdicts.contains_key(&own) { own } else { others };
                if let Some(count) = self.verdicts.get_mut(&key) {
                    *count += 1;
                }
            }
            Notice::Failover { services, from, to, trigger, took } => {
                let own: Vec<&Arc<str>> = services.iter().filter(|service| tracked.has(service)).collect();
                own.iter().for_each(|service| self.failed_over(service, 1, from, to, trigger, *took));
                let others = (services.len() - own.len()) as u64;
                if others > 0 {
                    self.failed_over(&Arc::from(OTHERS), others, from, to, trigger, *took);
                }
            }
            Notice::GuardRefused { guards, .. } => {
                for (kind, count) in GuardKind::ALL.iter().zip(&mut self.refusals) {
                    *count += u64::from(guards.iter().any(|guard| guard == kind.word()));
                }
            }
            Notice::Shift { happened, .. } => {
                if let Some((_, count)) = self.shifts.iter_mut().find(|(outcome, _)| outcome == happened) {
                    *count += 1;
                }
            }
            _ => (),
        }
    }

    /// Counts an event of one of the known kinds.
    pub fn event(&mut self, kind: &str) {
        if let Some(count) = self.events.get_mut(kind) {
            *count += 1;
        }
    }

    fn failed_over(&mut self, service: &Arc<str>, count: u64, from: &str, to: &str, trigger: &'static str, took: Option<Duration>) {
        if let (Some(took), Some(durations)) = (took, self.durations.get(service)) {
            durations.observe_many(took, count);
        }
        self.failover(service.clone(), from.to_string(), to.to_string(), trigger, count);
    }

    pub(super) fn collect(&self, out: &mut Vec<Series>) {
        let mut verdicts = Series::new(catalog::ENDPOINT_CHANGES);
        for (([pool, region, endpoint], to), count) in &self.verdicts {
            verdicts.push(&[pool, region, endpoint, to.word()], *count as f64);
        }
        let mut failovers = Series::new(catalog::FAILOVERS);
        for ((service, from, to, trigger), count) in &self.failovers {
            failovers.push(&[service, from, to, trigger], *count as f64);
        }
        let mut durations = Series::new(catalog::FAILOVER_DURATION);
        for (service, buckets) in &self.durations {
            buckets.write(&mut durations, &[service]);
        }
        let mut events = Series::new(catalog::EVENTS);
        for (kind, count) in &self.events {
            events.push(&[kind], *count as f64);
        }
        let mut refusals = Series::new(catalog::GUARD_REFUSALS);
        for (kind, count) in GuardKind::ALL.iter().zip(self.refusals) {
            refusals.push(&[kind.word()], count as f64);
        }
        let mut shifts = Series::new(catalog::SHIFTS);
        for (outcome, count) in self.shifts {
            shifts.push(&[outcome], count as f64);
        }
        out.extend([verdicts, failovers, durations, events, refusals, shifts]);
    }
}

/// Pool, region and endpoint names: the labels of endpoint series, as in [`Notice::Endpoint`].
pub fn labels(estate: &Estate, endpoint: EndpointId) -> [Arc<str>; 3] {
    let endpoint = estate.endpoint(endpoint);
    let pool = estate.pool(endpoint.pool);
    [pool.name.clone(), estate.region(pool.region).name.clone(), endpoint.name.clone()]
}

/// Of the endpoints of a region that have no series of their own.
fn among_others(region: Arc<str>) -> [Arc<str>; 3] {
    [Arc::from(OTHERS), region, Arc::from(OTHERS)]
}

/// As in [`Notice::Failover`]: by name, joined by `+`.
fn join(regions: &BTreeSet<Arc<str>>) -> String {
    regions.iter().map(|region| &**region).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn the_failover_that_comes_next_already_stands_at_zero() {
        let mut changes = Changes::default();
        let orders: Arc<str> = Arc::from("orders");
        changes.expect(&orders, &regions(&["dr", "prod"]), &regions(&["dr", "prod"]));
        for to in ["dr", "prod"] {
            assert_eq!(changes.failovers.get(&(orders.clone(), "dr+prod".to_string(), to.to_string(), "health")), Some(&0), "to {to}");
        }
        changes.expect(&orders, &regions(&["prod"]), &regions(&["dr", "prod"]));
        assert_eq!(changes.failovers.get(&(orders.clone(), "prod".to_string(), "dr".to_string(), "health")), Some(&0));
    }

    #[test]
    fn expecting_again_does_not_forget_what_was_counted() {
        let mut changes = Changes::default();
        let orders: Arc<str> = Arc::from("orders");
        let known = regions(&["dr", "prod"]);
        changes.expect(&orders, &regions(&["prod"]), &known);
        changes.failover(orders.clone(), "prod".to_string(), "dr".to_string(), "health", 1);
        changes.expect(&orders, &regions(&["dr"]), &known);
        changes.expect(&orders, &regions(&["prod"]), &known);
        assert_eq!(changes.failovers.get(&(orders, "prod".to_string(), "dr".to_string(), "health")), Some(&1));
    }
}
