//! Metrics: what Prometheus scrapes, in text format 0.0.4.
//!
//! ```text
//! core ───── read at the scrape ──▶ state ───┐
//! workers ── read at the scrape ──▶ dns,     │
//!                                   answers ─┤
//! probes ───▶ endpoints, probe ──────────────┼──▶ Series ─▶ text
//! notices ──▶ changes ───────────────────────┤
//! store, API, reload ──▶ calls ──────────────┤
//! /proc/self ─────────▶ process ─────────────┘
//! ```
//!
//! [`catalog`] lists every metric. All rooms of IO may write here; nothing reads from here to decide: a metric never decides anything.
//! Never here: a clock (durations and moments are handed in), a query name or a client's address as a label, an unbounded label.

mod answers;
mod buckets;
mod calls;
pub mod catalog;
mod changes;
mod dns;
mod endpoints;
mod peaks;
mod probe;
mod process;
mod resolver;
mod series;
mod state;
#[cfg(test)]
mod tests;
mod tracked;
mod transfers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::TextEncoder;

use crate::answer::{Counters, cell_total};
use crate::client::DatabaseInfo;
use crate::control::{Core, Notice};
use crate::health::ProbeReport;
use crate::model::{Estate, Now, TargetId, Timestamp};
use crate::snapshot::Snapshot;

pub use probe::ProbeMetrics;
pub use resolver::{ResolverMetrics, ResolverTrouble};
pub use tracked::SeriesMax;
pub use transfers::TransferMetrics;

use answers::Answered;
use calls::Calls;
use changes::Changes;
use endpoints::Endpoints;
use peaks::Peaks;
use series::{Series, flag};
use tracked::Tracked;

/// `Content-Type` of what [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that somebody else keeps.
type Watched<T> = OnceLock<Box<dyn Fn() -> T + Send + Sync>>;

/// All metrics of this process. Every method may be called from any thread; locks are held for a moment and never while waiting.
pub struct Metrics {
    node: String,
    series_max: SeriesMax,
    started: Timestamp,
    probe: Arc<ProbeMetrics>,
    transfers: Arc<TransferMetrics>,
    workers: Mutex<Vec<Arc<Counters>>>,
    tcp_connections: Watched<u64>,
    ready: Watched<bool>,
    panics: Watched<u64>,
    tracked: Mutex<Arc<Tracked>>,
    endpoints: Mutex<Endpoints>,
    changes: Mutex<Changes>,
    calls: Mutex<Calls>,
    answered: Mutex<Answered>,
    peaks: Mutex<Peaks>,
}

/// A panic while a lock was held is a bug of its own; the numbers behind it stay good enough to show.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// For the node of this name.
    pub fn new(node: &str, series_max: SeriesMax, started: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            node: node.to_string(),
            series_max,
            started,
            probe: Arc::default(),
            transfers: Arc::default(),
            workers: Mutex::default(),
            tcp_connections: OnceLock::new(),
            ready: OnceLock::new(),
            panics: OnceLock::new(),
            tracked: Mutex::default(),
            endpoints: Mutex::default(),
            changes: Mutex::default(),
            calls: Mutex::new(Calls::new(started)),
            answered: Mutex::default(),
            peaks: Mutex::default(),
        })
    }

    /// A DNS worker's counters, from now on part of every sum.
    pub fn register_worker(&self, counters: Arc<Counters>) {
        lock(&self.workers).push(counters);
    }

    /// Where to read the number of open DNS-over-TCP connections. The first call counts.
    pub fn watch_tcp_connections(&self, read: Box<dyn Fn() -> u64 + Send + Sync>) {
        let _ = self.tcp_connections.set(read);
    }

    /// Where to read whether `/readyz` says yes. The first call counts; before it the node is not ready.
    pub fn watch_ready(&self, read: Box<dyn Fn() -> bool + Send + Sync>) {
        let _ = self.ready.set(read);
    }

    /// Where to read how many panics were contained. The first call counts.
    pub fn watch_panics(&self, read: Box<dyn Fn() -> u64 + Send + Sync>) {
        let _ = self.panics.set(read);
    }

    /// For the prober.
    pub fn probe(&self) -> Arc<ProbeMetrics> {
        self.probe.clone()
    }

    /// For whoever tells and serves secondaries.
    pub fn transfers(&self) -> Arc<TransferMetrics> {
        self.transfers.clone()
    }

    /// A probe of `target` ended; it is of the estate of the last [`configured`](Self::configured).
    pub fn probed(&self, target: TargetId, report: &ProbeReport) {
        lock(&self.endpoints).probed(target, report);
    }

    /// This is what exists now: rows at 0 for what is new, none for what is gone. Before the first probe of a new estate.
    pub fn configured(&self, estate: &Estate) {
        let tracked = Arc::new(Tracked::new(estate, self.series_max));
        lock(&self.endpoints).configured(estate, &tracked);
        self.transfers.configured(estate);
        lock(&self.changes).configured(estate, &tracked);
        *lock(&self.tracked) = tracked;
    }

    /// The core told something.
    pub fn notice(&self, notice: &Notice) {
        let tracked = lock(&self.tracked).clone();
        lock(&self.changes).notice(&tracked, notice);
    }

    /// An event was made, of this kind.
    pub fn happened(&self, kind: &str) {
        lock(&self.changes).event(kind);
    }

    /// A store operation ended: `put` for what operators change, `learn` for verdicts and memories.
    pub fn store_operation(&self, op: &str, pass: bool, took: Duration) {
        lock(&self.calls).store_operation(op, pass, took);
    }

    /// A configuration load ended.
    pub fn reloaded(&self, pass: bool, at: Timestamp) {
        lock(&self.calls).reloaded(pass, at);
    }

    /// These GeoIP databases count, each as it stands.
    pub fn databases(&self, infos: &[DatabaseInfo]) {
        lock(&self.calls).databases(infos);
    }

    /// A webhook's receiver exists: its counters stand at 0.
    pub fn webhook(&self, receiver: &str) {
        lock(&self.calls).webhook(receiver);
    }

    /// So many messages wait for a webhook's receiver; `None`: it is no more.
    pub fn webhook_queue(&self, receiver: &str, length: Option<usize>) {
        lock(&self.calls).webhook_queue(receiver, length);
    }

    /// A message to a receiver (`delivered`, `gave_up`, `dropped`), or one attempt (`failed`), ended.
    pub fn webhook_delivery(&self, receiver: &str, result: &str) {
        lock(&self.calls).webhook_delivery(receiver, result);
    }

    /// An admin request ended. `route` is the matched pattern (`/api/v1/services/{id}`), never the path that a client sent.
    pub fn api_request(&self, method: &str, route: &str, code: u16, took: Duration) {
        lock(&self.calls).api_request(method, route, code, took);
    }

    /// Makes room for the counters of a snapshot, so that no worker has to. Before it is published.
    pub fn make_room(&self, snapshot: &Snapshot) {
        lock(&self.workers).iter().for_each(|counters| counters.make_room(snapshot));
    }

    /// Remembers the answer counters, for [`Self::answered`]. Every ten seconds.
    pub fn sample(&self, core: &Core, now: Now) {
        let workers = lock(&self.workers).clone();
        let tracked = lock(&self.tracked).clone();
        let mut answered = lock(&self.answered);
        let rate = |answered: &Answered, service: &Arc<str>| {
            answered.rate(now.mono, core.cells().of_service(service).map(|(cell, _)| cell), |cell| cell_total(&workers, cell))
        };
        let rates = tracked.names().iter().map(|service| (service.clone(), rate(&answered, service).unwrap_or(0.0))).collect();
        answered.sample(now.mono, core.cells().len(), dns::queries(&workers), |cell| cell_total(&workers, cell));
        drop(answered);
        lock(&self.peaks).note(rates, now.wall);
    }

    /// Answers a second in the busiest minute of the last week, as far as this process has seen it; `None` until that can be said.
    pub fn peak(&self, service: &str) -> Option<f64> {
        lock(&self.peaks).of(service)
    }

    /// Shares by pool (0 to 1, by name) that were answered for a service over the last five minutes; empty if nothing was.
    pub fn answered(&self, core: &Core, service: &str) -> Vec<(Arc<str>, f64)> {
        let workers = lock(&self.workers).clone();
        lock(&self.answered).shares(core.cells().of_service(service), |cell| cell_total(&workers, cell))
    }

    /// Answers of a service that named a pool, by its name, since the process began.
    pub fn answers(&self, core: &Core, service: &str) -> Vec<(Arc<str>, u64)> {
        let workers = lock(&self.workers).clone();
        let mut counts: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
        for (cell, pools) in core.cells().of_service(service) {
            let count = cell_total(&workers, cell);
            pools.iter().for_each(|pool| *counts.entry(pool).or_default() += count);
        }
        counts.into_iter().map(|(pool, count)| (pool.clone(), count)).collect()
    }

    /// Counting begins at this moment: `mono` of a process that takes over goes on from the one before.
    pub fn begin(&self, now: Now) {
        lock(&self.answered).begin(now.mono);
    }

    /// Answers a second that were given for a service over the last minute; `None` until that can be said.
    pub fn answers_per_second(&self, core: &Core, service: &str, now: Now) -> Option<f64> {
        let workers = lock(&self.workers).clone();
        let cells = core.cells().of_service(service).map(|(cell, _)| cell);
        lock(&self.answered).rate(now.mono, cells, |cell| cell_total(&workers, cell))
    }

    /// DNS queries a second over the last minute; `None` until that can be said.
    pub fn queries_per_second(&self, now: Now) -> Option<f64> {
        let workers = lock(&self.workers).clone();
        lock(&self.answered).query_rate(now.mono, dns::queries(&workers))
    }

    /// Everything as text.
    pub fn render(&self, core: &Core, now: Now) -> String {
        let tracked = lock(&self.tracked).clone();
        let workers = lock(&self.workers).clone();
        let mut out = Vec::new();
        self.node(&mut out);
        let mut config = Series::new(catalog::CONFIG_INFO);
        config.push(&[&core.overview().config_hash], 1.0);
        out.push(config);
        dns::collect(core, &workers, &mut out);
        answers::collect(core, &tracked, &workers, &mut out);
        out.push(Series::single(catalog::DNS_TCP, self.tcp_connections.get().map_or(0.0, |read| read() as f64)));
        lock(&self.endpoints).collect(&mut out);
        self.probe.collect(now.wall, &mut out);
        self.transfers.collect(&mut out);
        state::collect(core, &tracked, now, &mut out);
        {
            let mut changes = lock(&self.changes);
            for id in tracked.ids() {
                let (now, known) = state::answering(core, *id);
                changes.expect(&core.estate().service(*id).name, &now, &known);
            }
            changes.collect(&mut out);
        }
        lock(&self.calls).collect(&mut out);
        process::collect(now, &mut out);
        text(out)
    }

    fn node(&self, out: &mut Vec<Series>) {
        let mut build = Series::new(catalog::BUILD_INFO);
        let known = |value: Option<&'static str>| value.unwrap_or("unknown");
        build.push(&[env!("CARGO_PKG_VERSION"), known(option_env!("WINDROSE_REVISION")), known(option_env!("WINDROSE_RUSTC"))], 1.0);
        let mut node = Series::new(catalog::NODE_INFO);
        node.push(&[&self.node], 1.0);
        out.extend([build, node]);
        out.push(Series::single(catalog::START_TIME, self.started.as_secs_f64()));
        out.push(Series::single(catalog::PANICS, self.panics.get().map_or(0.0, |read| read() as f64)));
        out.push(Series::single(catalog::NODE_READY, flag(self.ready.get().is_some_and(|read| read()))));
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("node", &self.node).finish_non_exhaustive()
    }
}

fn text(out: Vec<Series>) -> String {
    let mut families: Vec<_> = out.into_iter().filter_map(Series::family).collect();
    families.sort_by(|a, b| a.name().cmp(b.name()));
    let mut text = String::new();
    // Fails only for families without rows or a name; there are none.
    let _ = TextEncoder::new().encode_utf8(&families, &mut text);
    text
}
