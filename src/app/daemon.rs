//! A running Windrose: every room started in order, stopped in the other order.
//!
//! ```text
//! store (a second process is refused here) ─▶ core ─▶ prober ─▶ admin ─▶ first round of probes ─▶ DNS
//! ```
//!
//! One that takes over from another process ([`upgrade`](super::upgrade)) opens the admin API last: until then changes are the other's to refuse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::admin::config::Files;
use crate::admin::door::Door;
use crate::admin::upgrade::{Beginner, Upgrades};
use crate::admin::{self, Admin, Feeds, Parts, Reloader};
use crate::config::Loaded;
use crate::control::{self, Core, Latency, Legacy};
use crate::dns::{self, Running};
use crate::metrics::{Metrics, SeriesMax};
use crate::model::{Estate, Settings};
use crate::probe::{Probed, Prober};
use crate::snapshot::{CellMap, Snapshot};
use crate::store::Store;
use crate::store::outcomes::{self, Recorder, Recordings};

use super::clock::Clock;
use super::control_loop::{self, Hands, Queues};
use super::databases::{self, Databases};
use super::upgrade::{Before, Farewell, Giver, Inheritance, Program, Rest};
use super::{plan, reload};

/// Events that may wait for the core; probes and callers wait when it is full.
const QUEUE: usize = 4096;

/// Events that a stream or the webhooks may be behind; who is more is cut, and takes up from the ring.
const HAPPENINGS: usize = 1024;

/// Orders of hand-overs that may wait: there is one hand-over at a time.
const ORDERS: usize = 4;

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
    /// Another process has taken over.
    pub farewells: mpsc::Receiver<Farewell>,
    giver: Arc<Giver>,
    dns: Running,
    admin: Admin,
    stop: watch::Sender<bool>,
    control: std::thread::JoinHandle<Prober>,
}

/// How to begin.
pub(super) struct Start {
    /// The configuration's path, and what it says.
    pub path: PathBuf,
    pub loaded: Loaded,
    pub without_store: bool,
    /// What can take over from this one; `None`: nobody can.
    pub program: Option<Program>,
    /// From the process before, if this one takes over.
    pub inheritance: Option<Inheritance>,
}

impl Daemon {
    /// Starts everything; returns when DNS answers, and there is nobody beside. An error is one sentence for people, with a way out.
    pub(super) async fn start(mut start: Start) -> Result<Self, String> {
        let (before, left) = match start.inheritance.take().map(Inheritance::open) {
            Some((before, dns, admin, legacy)) => (Some(before), Left { dns, admin, legacy: Some(legacy) }),
            None => (None, Left::default()),
        };
        match (Self::start_beside(start, left, before.as_ref()).await, before) {
            (Ok(daemon), before) => {
                if let Some(before) = before {
                    tokio::spawn(adopt(before, daemon.dns.adopter(), daemon.dns.sockets()));
                }
                Ok(daemon)
            }
            (Err(why), Some(before)) => {
                before.abort(&why).await;
                Err(why)
            }
            (Err(why), None) => Err(why),
        }
    }

    async fn start_beside(start: Start, left: Left, before: Option<&Before>) -> Result<Self, String> {
        let Start { path, loaded, without_store, program, inheritance: _ } = start;
        let clock = left.legacy.as_ref().map_or_else(Clock::start, |legacy| Clock::continuing(legacy.mono));
        let settings = loaded.settings.clone();
        let (store, mut stored, revision) = open_store(&settings, without_store).await?;
        let started = clock.now();
        let series_max = SeriesMax { services: settings.metrics.services_max, endpoints: settings.metrics.endpoints_max };
        let metrics = Metrics::new(&settings.node.name, series_max, started.wall);
        metrics.reloaded(true, started.wall);
        metrics.begin(started);
        metrics.watch_panics(Box::new(super::panics::count));
        let databases = Arc::new(Databases::default());
        let latency = Latency::take(&mut stored, left.legacy.as_ref(), loaded.estate.latency, started);
        databases.learned(latency.measured());
        let read = loaded.databases.clone();
        let asked = control::asked_by_stored(&stored);
        let made = match databases.make(&loaded.estate, &read, &asked) {
            // Traffic that asks too much is set aside, and says so; DNS answers all the same.
            Err(why) if !asked.is_empty() => {
                warn!("with what operators' traffic asks about clients, {why}");
                databases.make(&loaded.estate, &read, &[])?
            }
            made => made?,
        };
        let configuration = reload::configured(loaded, Vec::new(), made);
        databases.keep(&read);
        metrics.databases(&configuration.databases);
        let stale_after = settings.node.stale_after;
        let start = control::Start { configuration, stored, latency, revision, stale_after, without_store };
        let mut core = Core::start(start, started);
        if let Some(legacy) = &left.legacy {
            core.continue_from(legacy, started);
        }

        core.keep_journal(control::JournalSettings { node: settings.node.name.clone(), audit: settings.audit }, started);
        let (happenings, _) = tokio::sync::broadcast::channel(HAPPENINGS);
        let (classify, asked) = watch::channel(0);
        let (webhooks, wanted) = watch::channel(core.estate().webhooks.clone());
        let queued = core.webhook_records().map(|(key, text)| (key.clone(), text.clone())).collect();

        let (door, knocks) = Door::new(QUEUE);
        let (outcomes_in, outcomes) = mpsc::channel::<Probed>(QUEUE);
        let prober = Prober::start(outcomes_in, metrics.probe());
        let doctor = doctor(prober.resolver());
        let (stop, stopping) = watch::channel(false);
        let (serve, may_serve) = oneshot::channel();
        let (order, orders) = mpsc::channel(ORDERS);
        let (farewell, farewells) = mpsc::channel(1);
        let giver = Giver::new(order, farewell);
        let published = Arc::new(ArcSwap::from_pointee(nothing()));
        let (secondaries, announced) = dns::notify::board();
        let audit_store = store.clone();
        // Without a store there is no folder that one could trust.
        let (recorder, recordings) =
            if store.is_some() { outcomes::record(&settings.store.path, settings.outcomes) } else { (Recorder::off(), Recordings::none()) };
        let (apart, orders_to_tell_apart) = mpsc::channel(ORDERS);
        let hands = Hands {
            clock,
            apart,
            happenings: happenings.clone(),
            webhooks,
            published: published.clone(),
            previous: None,
            prober,
            store,
            metrics: metrics.clone(),
            outcomes: recorder,
            secondaries,
            classify,
            moves_left: 0,
            give_back_at: None,
            serve: Some(serve),
        };
        let control = control_thread(core, Queues { knocks, outcomes, stop: stopping.clone(), orders }, hands)?;

        let serving = Arc::new(AtomicBool::new(false));
        let own = Arc::new(settings.clone());
        let files = Files {
            plan: plan::planner(path.clone(), own.clone(), databases.clone(), door.clone()),
            read: plan::reader(path.clone(), databases.clone(), door.clone()),
            settings: own,
        };
        let tls = Arc::new(OnceLock::new());
        let reloader = reload::reloader(path, settings.clone(), databases.clone(), door.clone(), metrics.clone(), clock, tls.clone());
        let dns_known = Arc::new(OnceLock::new());
        let upgrades = program.map(|program| upgrades(program, settings.admin.socket.clone(), &giver));
        let desk = super::telling::start(&settings.node.name, &door, &happenings, &metrics, clock, queued, wanted);
        let feeds = Feeds { happenings, audit: audit_reader(audit_store), webhooks: Some(desk) };
        let outcomes: admin::OutcomeReader = Arc::new(move |since| recordings.read(since));
        let parts = Parts { upgrades, feeds, outcomes, ..parts(&settings, &door, &metrics, (&reloader, files), (&serving, &dns_known), clock, doctor) };
        let api = admin::bind(&settings.admin, &settings.metrics, left.admin).await.map_err(|error| error.to_string())?;
        if let Some(certificates) = api.certificates() {
            let _ = tls.set(certificates);
        }
        let (mut admin, mut waiting) = match before {
            None => (Some(api.serve(parts)), None),
            Some(_) => (None, Some((api, parts))),
        };
        tokio::spawn(databases::classify(databases.clone(), door.clone(), asked, stopping.clone()));
        tokio::spawn(databases::tell_apart(databases.clone(), door.clone(), orders_to_tell_apart));
        tokio::spawn(databases::watch(databases, door.clone(), metrics.clone(), stopping.clone()));
        sample_often(door.clone(), metrics.clone(), stopping);

        may_serve.await.map_err(|_| "the control thread ended before it began, which is a bug".to_string())?;
        let bound = dns::bind_with(&settings.dns, left.dns).await.map_err(|error| error.to_string())?;
        let dns_addresses = bound.addresses();
        let seed = getrandom::u64().map_err(|error| format!("this machine gives no random numbers: {error}"))?;
        let mut dns = bound.serve(published, seed, &mut |counters| metrics.register_worker(counters));
        let vitals = dns.vitals();
        vitals.transfers.count_with(metrics.transfers());
        // From here on secondaries that come are answered.
        tokio::spawn(dns::notify::run(announced, dns_addresses.clone(), metrics.transfers()));
        metrics.watch_tcp_connections(Box::new(move || vitals.tcp_connections.load(Ordering::Relaxed) as u64));
        let _ = dns_known.set(dns_addresses.clone());
        serving.store(true, Ordering::Release);
        if let (Some(before), Some((api, parts))) = (before, waiting.take()) {
            if let Err(why) = before.ready(api.takes_socket()).await {
                // What it has read from the sockets is answered; the process before reads on.
                dns.stop().await;
                return Err(why);
            }
            dns.retire_surplus();
            admin = Some(api.serve(parts));
        }
        let admin = admin.ok_or("the admin API was not started, which is a bug")?;
        giver.may_give(dns.sockets(), admin.sockets());
        info!(node = %settings.node.name, "windrose answers DNS on {}", list(&dns_addresses));
        Ok(Self { door, reloader, dns_addresses, admin_addresses: admin.addresses().to_vec(), farewells, giver, dns, admin, stop, control })
    }

    /// Stops answering, then everything else.
    pub(super) async fn stop(self) {
        let Self { giver, dns, admin, stop, control, .. } = self;
        giver.stop().await;
        dns.stop().await;
        admin.stop().await;
        end(stop, control).await;
    }

    /// The same when another process has taken over: what is queued in the sockets and the admin socket's file are its now.
    pub(super) async fn leave(self, farewell: Farewell) {
        let Self { dns, admin, stop, control, .. } = self;
        let (heir, sessions) = mpsc::unbounded_channel();
        match tokio::join!(dns.stop_for(heir), farewell.send_on(sessions)).1 {
            Ok(sent) => info!("{sent} TCP sessions go on in the new process"),
            Err(error) => warn!("TCP sessions could not be handed over: {error}"),
        }
        farewell.gone().await;
        match farewell.takes_socket {
            true => admin.leave().await,
            false => admin.stop().await,
        }
        end(stop, control).await;
    }
}

/// TCP sessions of the process before go on here, until it has ended.
async fn adopt(before: Before, adopter: dns::Adopter, sockets: Arc<Vec<dns::Sockets>>) {
    loop {
        match before.rest().await {
            Rest::Sessions(parcels) => {
                for parcel in parcels {
                    if let Err(error) = adopter.adopt(parcel) {
                        debug!("a TCP session of the process before is over: {error}");
                    }
                }
            }
            Rest::Gone => return dns::alone_at(&sockets),
            Rest::Lost => return,
        }
    }
}

/// Ends the core and all probing.
async fn end(stop: watch::Sender<bool>, control: std::thread::JoinHandle<Prober>) {
    let _ = stop.send(true);
    let ended = tokio::task::spawn_blocking(move || control.join());
    if let Ok(Ok(Ok(prober))) = tokio::time::timeout(STOP, ended).await {
        prober.stop().await;
    }
}

/// Open sockets of the process before, and what it knew.
#[derive(Default)]
struct Left {
    dns: Vec<dns::Sockets>,
    admin: admin::Sockets,
    legacy: Option<Legacy>,
}

/// What the API needs to let another process take over.
fn upgrades(program: Program, socket: PathBuf, giver: &Arc<Giver>) -> Upgrades {
    let (program, consenting, giver) = (Arc::new(program), giver.clone(), giver.clone());
    let begin: Beginner = Arc::new(move || {
        let (program, socket, giver) = (program.clone(), socket.clone(), giver.clone());
        Box::pin(async move { program.upgrade(&socket, &giver).await })
    });
    Upgrades { begin, hand_over: Arc::new(move || consenting.consent()) }
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
    (reload, files): (&Reloader, Files),
    (serving, dns): (&Arc<AtomicBool>, &Arc<OnceLock<Vec<SocketAddr>>>),
    clock: Clock,
    doctor: admin::doctor::Doctor,
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
        files,
        doctor,
        upgrades: None,
        feeds: Feeds::default(),
        outcomes: Arc::new(|_| Ok(Default::default())),
        ready: Arc::new(ready),
    }
}

/// Reads the audit behind the core's back: it keeps no more of it than hashes.
fn audit_reader(store: Option<Store>) -> admin::AuditReader {
    Arc::new(move |after, limit| {
        let store = store.clone();
        Box::pin(async move {
            let Some(store) = store else { return Ok(Vec::new()) };
            store.audit(after, limit).await.map_err(|error| error.to_string())
        })
    })
}

/// Probes for people, beside the scheduled ones.
fn doctor(resolver: crate::probe::resolver::Resolver) -> admin::doctor::Doctor {
    let doctor = Arc::new(crate::probe::Doctor::new(resolver));
    let examine: admin::doctor::Examiner = Arc::new(move |asked| {
        let doctor = doctor.clone();
        Box::pin(async move {
            let admin::doctor::Asked { monitor, address, port, rules, endpoint } = asked;
            let endpoint = || endpoint.clone();
            let place = crate::probe::Place { host: &address, port, endpoint: &endpoint };
            doctor.examine(&monitor, place, rules).await.ok()
        })
    });
    admin::doctor::Doctor { examine, monitor: Arc::new(crate::config::inline_monitor) }
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
