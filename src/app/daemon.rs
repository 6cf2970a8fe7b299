//! A running Windrose: every room started in order, stopped in the other order.
//!
//! ```text
//! store (a second process is refused here) ─▶ core ─▶ prober ─▶ admin ─▶ first round of probes ─▶ DNS
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::info;

use crate::admin::door::Door;
use crate::admin::{self, Admin, Parts, Reloader};
use crate::config::Loaded;
use crate::control::{Core, Start};
use crate::dns::{self, Running};
use crate::metrics::Metrics;
use crate::model::{Estate, Settings};
use crate::probe::{Probed, Prober};
use crate::snapshot::{CellMap, Snapshot};
use crate::store::Store;

use super::clock::Clock;
use super::control_loop::{self, Hands, Queues};
use super::reload;

/// Events that may wait for the core; probes and callers wait when it is full.
const QUEUE: usize = 4096;

/// How often answer counters are sampled for the answered share of the last minutes.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Longest wait for the control thread to end.
const STOP: Duration = Duration::from_secs(5);

/// All rooms, running.
pub(super) struct Daemon {
    pub door: Door,
    pub reloader: Reloader,
    pub dns_addresses: Vec<SocketAddr>,
    pub admin_addresses: Vec<SocketAddr>,
    dns: Running,
    admin: Admin,
    stop: watch::Sender<bool>,
    control: std::thread::JoinHandle<Prober>,
}

impl Daemon {
    /// Starts everything; returns when DNS answers. An error is one sentence for people, with a way out.
    pub(super) async fn start(path: PathBuf, loaded: Loaded, without_store: bool) -> Result<Self, String> {
        let clock = Clock::start();
        let settings = loaded.settings.clone();
        let (store, stored, revision) = open_store(&settings, without_store).await?;
        let started = clock.now();
        let metrics = Metrics::new(&settings.node.name, settings.metrics.services_max, started.wall);
        metrics.reloaded(true, started.wall);
        metrics.watch_panics(Box::new(super::panics::count));
        let stale_after = settings.node.stale_after;
        let start = Start { configuration: reload::configuration(loaded, Vec::new()), stored, revision, stale_after, without_store };
        let core = Core::start(start, started);

        let (door, knocks) = Door::new(QUEUE);
        let (outcomes_in, outcomes) = mpsc::channel::<Probed>(QUEUE);
        let prober = Prober::start(outcomes_in, metrics.probe());
        let (stop, stopping) = watch::channel(false);
        let (serve, may_serve) = oneshot::channel();
        let published = Arc::new(ArcSwap::from_pointee(nothing()));
        let (secondaries, announced) = dns::notify::board();
        let hands = Hands {
            clock,
            published: published.clone(),
            previous: None,
            prober,
            store,
            metrics: metrics.clone(),
            secondaries,
            moves_left: 0,
            give_back_at: None,
            serve: Some(serve),
        };
        let control = control_thread(core, Queues { knocks, outcomes, stop: stopping.clone() }, hands)?;

        let serving = Arc::new(AtomicBool::new(false));
        let reloader = reload::reloader(path, settings.clone(), door.clone(), metrics.clone(), clock);
        let dns_known = Arc::new(OnceLock::new());
        let parts = parts(&settings, &door, &metrics, &reloader, (&serving, &dns_known), clock);
        let admin = admin::serve(&settings.admin, &settings.metrics, parts).await.map_err(|error| error.to_string())?;
        sample_often(door.clone(), metrics.clone(), stopping);

        may_serve.await.map_err(|_| "the control thread ended before it began, which is a bug".to_string())?;
        let bound = dns::bind(&settings.dns).await.map_err(|error| error.to_string())?;
        let dns_addresses = bound.addresses();
        let seed = getrandom::u64().map_err(|error| format!("this machine gives no random numbers: {error}"))?;
        let dns = bound.serve(published, seed, &mut |counters| metrics.register_worker(counters));
        let vitals = dns.vitals();
        vitals.transfers.count_with(metrics.transfers());
        // From here on secondaries that come are answered.
        tokio::spawn(dns::notify::run(announced, dns_addresses.clone(), metrics.transfers()));
        metrics.watch_tcp_connections(Box::new(move || vitals.tcp_connections.load(Ordering::Relaxed) as u64));
        let _ = dns_known.set(dns_addresses.clone());
        serving.store(true, Ordering::Release);
        info!(node = %settings.node.name, "windrose answers DNS on {}", list(&dns_addresses));
        Ok(Self { door, reloader, dns_addresses, admin_addresses: admin.addresses().to_vec(), dns, admin, stop, control })
    }

    /// Stops answering, then everything else.
    pub(super) async fn stop(self) {
        let Self { dns, admin, stop, control, .. } = self;
        dns.stop().await;
        admin.stop().await;
        let _ = stop.send(true);
        let ended = tokio::task::spawn_blocking(move || control.join());
        if let Ok(Ok(Ok(prober))) = tokio::time::timeout(STOP, ended).await {
            prober.stop().await;
        }
    }
}

/// What is published before the first decision; nobody is asked yet.
fn nothing() -> Snapshot {
    Snapshot::build(0, &[], &Estate::default(), Vec::new(), &mut CellMap::default())
}

/// `127.0.0.1:53, [::1]:53`
pub(super) fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

type Opened = (Option<Store>, Vec<crate::control::Stored>, crate::control::Revision);

async fn open_store(settings: &Settings, without_store: bool) -> Result<Opened, String> {
    if without_store {
        return Ok((None, Vec::new(), crate::control::Revision(0)));
    }
    let folder = settings.store.path.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&folder)?;
        let (stored, revision) = store.load()?;
        Ok::<Opened, crate::store::OpenError>((Some(store), stored, revision))
    });
    opened.await.map_err(|_| "opening the store ended in a panic, which is a bug".to_string())?.map_err(|error| error.to_string())
}

/// The core lives on a thread of its own: deciding 100,000 services must not hold up probes or the API.
fn control_thread(core: Core, queues: Queues, hands: Hands) -> Result<std::thread::JoinHandle<Prober>, String> {
    let runtime = tokio::runtime::Handle::current();
    let body = move || runtime.block_on(control_loop::run(core, queues, hands));
    std::thread::Builder::new().name("control".to_string()).spawn(body).map_err(|error| format!("can't start a thread: {error}"))
}

fn parts(
    settings: &Settings,
    door: &Door,
    metrics: &Arc<Metrics>,
    reload: &Reloader,
    (serving, dns): (&Arc<AtomicBool>, &Arc<OnceLock<Vec<SocketAddr>>>),
    clock: Clock,
) -> Parts {
    let serving = serving.clone();
    let watched = serving.clone();
    metrics.watch_ready(Box::new(move || watched.load(Ordering::Acquire)));
    let ready =
        move || if serving.load(Ordering::Acquire) { Ok(()) } else { Err(vec!["DNS does not answer yet: the first round of probes is under way".to_string()]) };
    Parts {
        door: door.clone(),
        node: settings.node.name.clone(),
        started: clock.now().wall,
        version: env!("CARGO_PKG_VERSION"),
        dns: dns.clone(),
        metrics: metrics.clone(),
        reload: reload.clone(),
        ready: Arc::new(ready),
    }
}

fn sample_often(door: Door, metrics: Arc<Metrics>, mut stopping: watch::Receiver<bool>) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(SAMPLE_EVERY);
        loop {
            tokio::select! {
                _ = stopping.changed() => return,
                _ = every.tick() => {
                    let metrics = metrics.clone();
                    if door.look(move |core, now| metrics.sample(core, now)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
}
