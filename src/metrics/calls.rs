//! What this node did and how long it took: store operations, admin requests, configuration loads.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::DatabaseInfo;
use crate::model::Timestamp;

use super::buckets::Buckets;
use super::catalog;
use super::series::{Series, flag};

const STORE_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const API_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The `store` label: there is one kind so far.
pub const STORE: &str = "embedded";

/// The store's operations, known from the start so that they stand at 0: what operators change, and what was learned.
const STORE_OPS: [&str; 2] = ["put", "learn"];

/// How messages and attempts end.
const WEBHOOK_RESULTS: [&str; 4] = ["delivered", "failed", "gave_up", "dropped"];

/// Methods that get a label of their own; a stranger's method is `other`, so that clients can't make series.
const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];

/// Counters and durations of calls.
#[derive(Debug)]
pub struct Calls {
    store: BTreeMap<String, Call>,
    requests: BTreeMap<(&'static str, String, u16), u64>,
    request_durations: BTreeMap<(&'static str, String), Buckets>,
    reloads: Reloads,
    webhooks: BTreeMap<(String, &'static str), u64>,
    /// By receiver: messages that wait.
    webhook_queues: BTreeMap<String, usize>,
    /// GeoIP databases as they stand.
    databases: Vec<DatabaseInfo>,
}

#[derive(Debug)]
struct Call {
    passed: u64,
    failed: u64,
    duration: Buckets,
}

#[derive(Debug)]
struct Reloads {
    passed: u64,
    failed: u64,
    last_passed: bool,
    last_pass: Timestamp,
}

impl Calls {
    /// All at 0. The configuration that the process began with counts as loaded at `started`.
    pub fn new(started: Timestamp) -> Self {
        let call = || Call { passed: 0, failed: 0, duration: Buckets::new(STORE_SECONDS) };
        Self {
            store: STORE_OPS.iter().map(|op| ((*op).to_string(), call())).collect(),
            requests: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            webhook_queues: BTreeMap::new(),
            request_durations: BTreeMap::new(),
            databases: Vec::new(),
            reloads: Reloads { passed: 0, failed: 0, last_passed: true, last_pass: started },
        }
    }

    /// A store operation ended.
    pub fn store_operation(&mut self, op: &str, pass: bool, took: Duration) {
        let new = || Call { passed: 0, failed: 0, duration: Buckets::new(STORE_SECONDS) };
        let call = self.store.entry(op.to_string()).or_insert_with(new);
        *(if pass { &mut call.passed } else { &mut call.failed }) += 1;
        call.duration.observe(took);
    }

    /// A configuration load ended.
    pub fn reloaded(&mut self, pass: bool, at: Timestamp) {
        self.reloads.last_passed = pass;
        if pass {
            self.reloads.passed += 1;
            self.reloads.last_pass = at;
        } else {
            self.reloads.failed += 1;
        }
    }

    /// These databases count.
    pub fn databases(&mut self, infos: &[DatabaseInfo]) {
        self.databases = infos.to_vec();
    }

    /// This receiver exists: its counters stand at 0.
    pub fn webhook(&mut self, receiver: &str) {
        for result in WEBHOOK_RESULTS {
            self.webhooks.entry((receiver.to_string(), result)).or_default();
        }
        self.webhook_queues.entry(receiver.to_string()).or_default();
    }

    /// So many messages wait for this receiver; `None`: it is no more.
    pub fn webhook_queue(&mut self, receiver: &str, length: Option<usize>) {
        match (length, self.webhook_queues.get_mut(receiver)) {
            (Some(length), Some(known)) => *known = length,
            (Some(length), None) => drop(self.webhook_queues.insert(receiver.to_string(), length)),
            (None, _) => drop(self.webhook_queues.remove(receiver)),
        }
    }

    /// A message to a receiver, or one attempt, ended.
    pub fn webhook_delivery(&mut self, receiver: &str, result: &str) {
        if let Some(result) = WEBHOOK_RESULTS.into_iter().find(|known| *known == result) {
            *self.webhooks.entry((receiver.to_string(), result)).or_default() += 1;
        }
    }

    /// An admin request ended. `route` is the matched pattern, never the path that a client sent.
    pub fn api_request(&mut self, method: &str, route: &str, code: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        *self.requests.entry((method, route.to_string(), code)).or_default() += 1;
        self.request_durations.entry((method, route.to_string())).or_insert_with(|| Buckets::new(API_SECONDS)).observe(took);
    }

    pub(super) fn collect(&self, out: &mut Vec<Series>) {
        let mut operations = Series::new(catalog::STORE_OPERATIONS);
        let mut durations = Series::new(catalog::STORE_DURATION);
        for (op, call) in &self.store {
            operations.push(&[STORE, op, "pass"], call.passed as f64);
            operations.push(&[STORE, op, "fail"], call.failed as f64);
            call.duration.write(&mut durations, &[STORE, op]);
        }
        let mut requests = Series::new(catalog::API_REQUESTS);
        for ((method, route, code), count) in &self.requests {
            requests.push(&[method, route, &code.to_string()], *count as f64);
        }
        let mut request_durations = Series::new(catalog::API_DURATION);
        for ((method, route), buckets) in &self.request_durations {
            buckets.write(&mut request_durations, &[method, route]);
        }
        let mut reloads = Series::new(catalog::CONFIG_RELOADS);
        reloads.push(&["pass"], self.reloads.passed as f64);
        reloads.push(&["fail"], self.reloads.failed as f64);
        let (mut built, mut sound) = (Series::new(catalog::GEOIP_BUILT), Series::new(catalog::GEOIP_SOUND));
        for DatabaseInfo { file, kind: _, built: made, networks: _, problem } in &self.databases {
            // Files of one name in two folders are told apart by their paths alone.
            made.iter().for_each(|made| built.push(&[file], made.0 as f64 / 1e3));
            sound.push(&[file], flag(problem.is_none()));
        }
        out.extend([built, sound]);
        let mut webhooks = Series::new(catalog::WEBHOOK_DELIVERIES);
        for ((receiver, result), count) in &self.webhooks {
            webhooks.push(&[receiver, result], *count as f64);
        }
        let mut queues = Series::new(catalog::WEBHOOK_QUEUE);
        for (receiver, length) in &self.webhook_queues {
            queues.push(&[receiver], *length as f64);
        }
        out.extend([webhooks, queues]);
        out.extend([operations, durations, requests, request_durations, reloads]);
        out.push(Series::single(catalog::CONFIG_SUCCESSFUL, flag(self.reloads.last_passed)));
        out.push(Series::single(catalog::CONFIG_SUCCESS_TIME, self.reloads.last_pass.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_load_keeps_the_time_of_the_last_good_one() {
        let mut calls = Calls::new(Timestamp(1_000));
        calls.reloaded(true, Timestamp(5_000));
        calls.reloaded(false, Timestamp(9_000));
        assert!(!calls.reloads.last_passed);
        assert_eq!(calls.reloads.last_pass, Timestamp(5_000));
    }

    #[test]
    fn a_strange_method_makes_no_series_of_its_own() {
        let mut calls = Calls::new(Timestamp(0));
        for method in ["BREW", "brew", "PROPFIND"] {
            calls.api_request(method, "", 405, Duration::ZERO);
        }
        assert_eq!(calls.requests.len(), 1);
    }
}
