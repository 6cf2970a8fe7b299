//! What probes found, per monitor and endpoint. Not the verdict: that is read from the core (`state`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::health::{Outcome, Phase, ProbeReport, Reason};
use crate::model::{EndpointId, Estate, Target, TargetId, Timestamp, Watch};

use super::buckets::Buckets;
use super::catalog;
use super::series::{Series, flag};

const PROBE_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Label values: monitor, pool, endpoint, region. One row each, also over reloads.
type Key = [Arc<str>; 4];

/// Probe series of all endpoints that are probed.
#[derive(Debug, Default)]
pub struct Endpoints {
    rows: BTreeMap<Key, Row>,
}

#[derive(Debug)]
struct Row {
    passes: u64,
    /// In the order of [`Reason::ALL`].
    failures: [u64; Reason::ALL.len()],
    duration: Buckets,
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
        Self { passes: 0, failures: [0; Reason::ALL.len()], duration: Buckets::new(PROBE_SECONDS), last: None }
    }
}

fn key(estate: &Estate, target: &Target, endpoint: EndpointId) -> Key {
    let endpoint = estate.endpoint(endpoint);
    let pool = estate.pool(endpoint.pool);
    let monitor = &estate.monitor(target.monitor).name;
    [Arc::from(monitor.as_str()), pool.name.clone(), endpoint.name.clone(), estate.region(pool.region).name.clone()]
}

impl Endpoints {
    /// Rows at 0 for what is new, none for what is gone.
    pub fn configured(&mut self, estate: &Estate) {
        let mut before = std::mem::take(&mut self.rows);
        for (at, endpoint) in estate.endpoints.iter().enumerate() {
            if let Watch::Target(target) = endpoint.watch {
                let key = key(estate, estate.target(target), EndpointId::at(at));
                let row = before.remove(&key).unwrap_or_default();
                self.rows.insert(key, row);
            }
        }
    }

    /// One probe: counts for each endpoint that its target stands for.
    pub fn probed(&mut self, estate: &Estate, target: TargetId, report: &ProbeReport) {
        let target = estate.target(target);
        for endpoint in &target.endpoints {
            // A probe may end after the reload that took its endpoint away; such a row must not come back.
            if let Some(row) = self.rows.get_mut(&key(estate, target, *endpoint)) {
                row.probed(report);
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
        for ([monitor, pool, endpoint, region], row) in &self.rows {
            let labels: [&str; 4] = [monitor, pool, endpoint, region];
            let with = |word: &'static str| -> [&str; 5] { [monitor, pool, endpoint, region, word] };
            attempts.push(&with("pass"), row.passes as f64);
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
    fn probed(&mut self, report: &ProbeReport) {
        let ProbeReport { outcome, at, took, phases, status: _, certificate_expires, warning } = report;
        match outcome {
            Outcome::Pass => self.passes += 1,
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
        let seen_before = self.last.as_ref().and_then(|last| last.certificate);
        self.last = Some(Last {
            passed: *outcome == Outcome::Pass,
            at: *at,
            phases: phases.iter().map(|(phase, took)| (*phase, took.as_secs_f64())).collect(),
            certificate: certificate_expires.or(seen_before),
            warned: warning.is_some(),
        });
    }
}
