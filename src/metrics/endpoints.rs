//! What probes found, per monitor and endpoint; of endpoints beyond `metrics.endpoints_max` together, per monitor and region. Not the verdict: that is read from the core (`state`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::health::{Outcome, Phase, ProbeReport, Reason};
use crate::model::{EndpointId, Estate, Target, TargetId, Timestamp};

use super::buckets::Buckets;
use super::catalog;
use super::series::{Series, flag};
use super::tracked::{OTHERS, Tracked};

const PROBE_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Label values: monitor, region, pool, endpoint; no endpoint for those that are counted together. One row each, also over reloads.
type Key = (Arc<str>, Arc<str>, Option<[Arc<str>; 2]>);

/// Probe series of all endpoints that are probed.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// In the order of their keys.
    rows: Vec<(Key, Row)>,
    /// By target, so that a probe looks nothing up: the places of its endpoints' rows.
    places: Vec<Box<[u32]>>,
}

#[derive(Debug)]
struct Row {
    passes: u64,
    degraded: u64,
    busy: u64,
    /// In the order of [`Reason::ALL`].
    failures: [u64; Reason::ALL.len()],
    duration: Buckets,
    /// Only of an endpoint's own row.
    last: Option<Last>,
}

/// Of the last probe: these series appear with it.
#[derive(Debug)]
struct Last {
    passed: bool,
    at: Timestamp,
    phases: Vec<(Phase, f64)>,
    /// Of the last probe that saw one, so that an unreachable gateway's certificate does not vanish from the alert.
    certificate: Option<Timestamp>,
    /// The last probe warned.
    warned: bool,
}

impl Default for Row {
    fn default() -> Self {
        Self { passes: 0, degraded: 0, busy: 0, failures: [0; Reason::ALL.len()], duration: Buckets::new(PROBE_SECONDS), last: None }
    }
}

fn key(estate: &Estate, tracked: &Tracked, target: &Target, id: EndpointId) -> Key {
    let endpoint = estate.endpoint(id);
    let pool = estate.pool(endpoint.pool);
    let own = tracked.has_endpoint(id).then(|| [pool.name.clone(), endpoint.name.clone()]);
    (Arc::from(estate.monitor(target.monitor).name.as_str()), estate.region(pool.region).name.clone(), own)
}

impl Endpoints {
    /// Rows at 0 for what is new, none for what is gone.
    pub fn configured(&mut self, estate: &Estate, tracked: &Tracked) {
        let mut before: BTreeMap<Key, Row> = std::mem::take(&mut self.rows).into_iter().collect();
        let keys: Vec<Vec<Key>> = (0..estate.targets.len())
            .map(TargetId::at)
            .map(|target| {
                // An endpoint may be judged twice by one target; it was probed once.
                let endpoints: BTreeSet<EndpointId> = estate.endpoints_of(target).collect();
                endpoints.into_iter().map(|endpoint| key(estate, tracked, estate.target(target), endpoint)).collect()
            })
            .collect();
        let present: BTreeSet<&Key> = keys.iter().flatten().collect();
        self.rows = present.into_iter().map(|key| (key.clone(), before.remove(key).unwrap_or_default())).collect();
        let place = |key: &Key| self.rows.binary_search_by(|(row, _)| row.cmp(key)).ok().and_then(|at| u32::try_from(at).ok());
        self.places = keys.iter().map(|keys| keys.iter().filter_map(place).collect()).collect();
    }

    /// One probe: counts for each endpoint that its target stands for; `target` is of the estate of the last [`Self::configured`].
    pub fn probed(&mut self, target: TargetId, report: &ProbeReport) {
        for place in self.places.get(target.index()).into_iter().flatten() {
            if let Some(((_, _, own), row)) = self.rows.get_mut(*place as usize) {
                row.probed(report, own.is_some());
            }
        }
    }

    pub(super) fn collect(&self, out: &mut Vec<Series>) {
        let mut attempts = Series::new(catalog::PROBE_ATTEMPTS);
        let mut failures = Series::new(catalog::PROBE_FAILURES);
        let mut success = Series::new(catalog::PROBE_SUCCESS);
        let mut duration = Series::new(catalog::PROBE_DURATION);
        let mut phases = Series::new(catalog::PROBE_PHASE);
        let mut last_run = Series::new(catalog::PROBE_LAST_RUN);
        let mut certificate = Series::new(catalog::PROBE_CERTIFICATE);
        let mut warning = Series::new(catalog::PROBE_WARNING);
        for ((monitor, region, own), row) in &self.rows {
            let [pool, endpoint]: [&str; 2] = own.as_ref().map_or([OTHERS; 2], |[pool, endpoint]| [pool, endpoint]);
            let labels: [&str; 4] = [monitor, pool, endpoint, region];
            let with = |word: &'static str| -> [&str; 5] { [monitor, pool, endpoint, region, word] };
            attempts.push(&with("pass"), row.passes as f64);
            attempts.push(&with("degraded"), row.degraded as f64);
            attempts.push(&with("busy"), row.busy as f64);
            attempts.push(&with("fail"), row.failures.iter().sum::<u64>() as f64);
            for (reason, count) in Reason::ALL.iter().zip(row.failures) {
                failures.push(&with(reason.word()), count as f64);
            }
            row.duration.write(&mut duration, &labels);
            let Some(last) = &row.last else { continue };
            success.push(&labels, flag(last.passed));
            last_run.push(&labels, last.at.as_secs_f64());
            for (phase, seconds) in &last.phases {
                phases.push(&with(phase.word()), *seconds);
            }
            if let Some(expires) = last.certificate {
                certificate.push(&labels, expires.as_secs_f64());
                warning.push(&labels, flag(last.warned));
            }
        }
        out.extend([attempts, failures, success, duration, phases, last_run, certificate, warning]);
    }
}

impl Row {
    fn probed(&mut self, report: &ProbeReport, own: bool) {
        let ProbeReport { outcome, at, took, phases, status: _, certificate_expires, warning, resolved: _, reported: _, data_at: _, load: _ } = report;
        match outcome {
            Outcome::Pass => self.passes += 1,
            Outcome::Degraded { .. } => self.degraded += 1,
            Outcome::Busy { .. } => self.busy += 1,
            Outcome::Fail { reason, message: _ } => {
                if let Some((_, count)) = Reason::ALL.iter().zip(&mut self.failures).find(|(known, _)| *known == reason) {
                    *count += 1;
                }
            }
        }
        // What was told took nobody's time.
        if !took.is_zero() {
            self.duration.observe(*took);
        }
        if !own {
            return;
        }
        let seen_before = self.last.as_ref().and_then(|last| last.certificate);
        self.last = Some(Last {
            passed: outcome.passed(),
            at: *at,
            phases: summed(phases),
            certificate: certificate_expires.or(seen_before),
            warned: warning.is_some(),
        });
    }
}

/// A phase may come again, after a redirect: one series each.
fn summed(phases: &[(Phase, Duration)]) -> Vec<(Phase, f64)> {
    let mut sums: Vec<(Phase, f64)> = Vec::with_capacity(phases.len());
    for (phase, took) in phases {
        match sums.iter_mut().find(|(known, _)| known == phase) {
            Some((_, sum)) => *sum += took.as_secs_f64(),
            None => sums.push((*phase, took.as_secs_f64())),
        }
    }
    sums
}
