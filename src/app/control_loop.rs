//! The thread that owns the core: takes what comes, settles, and has the effects carried out.
//!
//! One queue each for knocks, outcomes and finished commits; what waits is taken together (at most [`TOGETHER`] at once), then settled once,
//! so a burst of outcomes costs one publish.
//!
//! Before another process takes over, the core comes to rest: no more changes, no more probes, everything written, the store closed. Looks are still
//! answered, and what was published stays. If the other one does not come, it works on as if nothing had been.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::admin::door::Knock;
use crate::control::{
    ConfirmationStand, Core, Effect, Effects, Event, Found, Happening, HostStands, Legacy, Measured, Notice, Refusal, RefusalKind, Reply, Revision, Ticket,
};
use crate::dns::notify;
use crate::health::State;
use crate::metrics::Metrics;
use crate::model::{Estate, Gauge, Webhook};
use crate::probe::{Probed, Prober};
use crate::snapshot::Snapshot;
use crate::store::outcomes::Recorder;
use crate::store::{Store, StoreError};

use super::clock::Clock;

/// Most events taken between two settlings.
const TOGETHER: usize = 1024;

/// Operations from which on a commit leaves much memory behind.
const LARGE_COMMIT: usize = 10_000;
/// So long after a new plan or a large commit free memory is given back, unless another one comes meanwhile.
const CALM: Duration = Duration::from_secs(1);

/// Measurements of shifts that may wait for the core.
const MEASURING_MAX: usize = 64;

/// Services whose move is told by name, of those that one event moves; the others are counted.
const MOVES_TOLD: usize = 20;

/// What the core's effects are carried out with.
pub(super) struct Hands {
    pub clock: Clock,
    pub published: Arc<ArcSwap<Snapshot>>,
    /// What was published before.
    pub previous: Option<Arc<Snapshot>>,
    pub prober: Prober,
    /// `None`: `--without-store`.
    pub store: Option<Store>,
    pub metrics: Arc<Metrics>,
    /// Keeps what probes found, for replays.
    pub outcomes: Recorder,
    /// Where clients are told apart.
    pub apart: mpsc::Sender<super::databases::Order>,
    /// What secondaries should know.
    pub secondaries: notify::Board,
    /// Who wants to hear of events, as configured now.
    pub webhooks: watch::Sender<Vec<Webhook>>,
    /// To streams and webhooks. A slow listener loses its place, never our time.
    pub happenings: tokio::sync::broadcast::Sender<Arc<Happening>>,
    /// Raised when clients are to be told apart anew.
    pub classify: watch::Sender<u64>,
    /// Moves that may still be told by name; [`MOVES_TOLD`] at each settling.
    pub moves_left: usize,
    /// When to give back free memory.
    pub give_back_at: Option<tokio::time::Instant>,
    /// Told once when DNS may answer.
    pub serve: Option<oneshot::Sender<()>>,
}

/// What comes in.
pub(super) struct Queues {
    pub knocks: mpsc::Receiver<Knock>,
    pub outcomes: mpsc::Receiver<Probed>,
    pub stop: watch::Receiver<bool>,
    pub orders: mpsc::Receiver<Order>,
}

/// What a hand-over wants of the core.
pub(super) enum Order {
    /// Come to rest; the reply comes when the store is closed.
    Rest(oneshot::Sender<Rested>),
    /// Nobody took over: work on.
    Work,
}

/// The core rests.
pub(super) struct Rested {
    pub legacy: Legacy,
}

/// Does the core work?
enum Mode {
    Working,
    /// Waits for what is on its way into the store, at most until then.
    Finishing(oneshot::Sender<Rested>, Instant),
    Resting,
}

/// Longest wait for commits under way before the store is closed all the same. What they are about is not lost: the caller has no reply yet, or it is
/// in the legacy.
const FINISH: Duration = Duration::from_secs(5);

/// Said to whoever wants a change meanwhile.
const HANDING_OVER: &str = "this server is handing over to a new process; nothing was changed, try again in a second";

/// A commit that the store has finished with.
struct Finished {
    commit: u64,
    large: bool,
    result: Result<Revision, StoreError>,
}

/// Runs until told to stop, then gives the prober back to be stopped.
pub(super) async fn run(mut core: Core, mut queues: Queues, mut hands: Hands) -> Prober {
    let (finished_in, mut finished) = mpsc::channel::<Finished>(4);
    let (measured_in, mut measured) = mpsc::channel::<Measured>(MEASURING_MAX);
    let mut tickets: HashMap<Ticket, oneshot::Sender<Reply>> = HashMap::new();
    let mut wake = None;
    let hosts = hands.prober.resolver();
    let mut mode = Mode::Working;
    let mut effects = Effects::new();
    core.settle_answers(hands.clock.now(), &mut effects);
    loop {
        for effect in effects.drain(..) {
            hands.carry_out(effect, &core, (&finished_in, &measured_in), &mut tickets, &mut wake);
        }
        // At rest nothing more is written.
        if !matches!(mode, Mode::Resting) {
            core.follow_up(hands.clock.now(), &mut effects);
        }
        hands.moves_left = MOVES_TOLD;
        let moved: usize = effects.iter().map(|effect| if let Effect::Tell(Notice::Failover { services, .. }) = effect { services.len() } else { 0 }).sum();
        for effect in effects.drain(..) {
            hands.carry_out(effect, &core, (&finished_in, &measured_in), &mut tickets, &mut wake);
        }
        if moved > MOVES_TOLD {
            warn!(moved, "answers moved for {} more services; windrose status lists them", moved - MOVES_TOLD);
        }
        mode = match mode {
            Mode::Finishing(rested, until) if !core.is_writing() || until <= Instant::now() => {
                rest(&core, &hands, rested).await;
                Mode::Resting
            }
            mode => mode,
        };
        let resting = matches!(mode, Mode::Resting);
        let finish = if let Mode::Finishing(_, until) = &mode { Some(tokio::time::Instant::from_std(*until)) } else { None };
        let tick = [wake.filter(|_| !resting), finish].into_iter().flatten().min();
        let works = matches!(mode, Mode::Working);
        tokio::select! {
            _ = queues.stop.changed() => return hands.prober,
            Some(order) = queues.orders.recv() => mode = obey(order, mode, &mut core, &hands, &mut effects).await,
            // At rest it could begin another commit, which would open the store again.
            Some(done) = finished.recv(), if !resting => hands.finished(done, &mut core, &mut effects),
            Some(knock) = queues.knocks.recv() => take(knock, works, &mut core, &hands, &mut tickets, &mut effects),
            // What comes to rest learns nothing any more: the last words of its prober are dropped.
            Some(probed) = queues.outcomes.recv() => if works { outcome(probed, &mut core, &mut hands, &mut effects) },
            Some(measured) = measured.recv() => if works { core.handle(hands.clock.now(), Event::Measured(measured), &mut effects) },
            () = hosts.has_answered() => {}
            () = until(tick) => {
                // The core says when the next one is due; if none is, a moment that has passed must not come again and again.
                wake = None;
                core.handle(hands.clock.now(), Event::Tick, &mut effects);
            }
            () = until(hands.give_back_at) => hands.give_back(),
        }
        if resting && !matches!(mode, Mode::Working) {
            continue;
        }
        // Before outcomes: what a name has must be known when its first probe is.
        for (host, stands) in hosts.take_answered() {
            core.handle(hands.clock.now(), Event::Resolved { host, stands }, &mut effects);
        }
        for _ in 0..TOGETHER {
            if !works {
                break;
            }
            if let Ok(done) = finished.try_recv() {
                hands.finished(done, &mut core, &mut effects);
            } else if let Ok(knock) = queues.knocks.try_recv() {
                take(knock, works, &mut core, &hands, &mut tickets, &mut effects);
            } else if let Ok(probed) = queues.outcomes.try_recv() {
                outcome(probed, &mut core, &mut hands, &mut effects);
            } else {
                break;
            }
        }
        core.settle_answers(hands.clock.now(), &mut effects);
    }
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Carries an order out; gives what the core does from now on.
async fn obey(order: Order, mode: Mode, core: &mut Core, hands: &Hands, effects: &mut Effects) -> Mode {
    match (order, mode) {
        (Order::Rest(rested), Mode::Working) => {
            // No targets: nobody is probed any more.
            hands.prober.plan(core.plan(), Arc::new(Estate::default()), false);
            Mode::Finishing(rested, Instant::now() + FINISH)
        }
        // One hand-over at a time; the second one's reply never comes.
        (Order::Rest(_), mode) => mode,
        (Order::Work, Mode::Working) => Mode::Working,
        (Order::Work, Mode::Finishing(..) | Mode::Resting) => {
            if let Some(store) = hands.store.clone()
                && let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.reopen()).await
            {
                warn!("the store can't be opened again yet: {error}");
            }
            hands.prober.plan(core.plan(), core.estate().clone(), false);
            core.handle(hands.clock.now(), Event::Tick, effects);
            Mode::Working
        }
    }
}

/// Everything that can be written is: lets go of the store, and says what the next one needs.
async fn rest(core: &Core, hands: &Hands, rested: oneshot::Sender<Rested>) {
    hands.outcomes.flush();
    if let Some(store) = hands.store.clone() {
        let _a_panic_has_closed_it_too = tokio::task::spawn_blocking(move || store.close()).await;
    }
    // Whoever asked may have given up; then the order to work follows.
    let _ = rested.send(Rested { legacy: core.legacy(hands.clock.now()) });
}

/// A change that a core at rest can't make: everything but a dry run.
fn is_refused(event: &Event) -> bool {
    !matches!(event, Event::Change { dry_run: true, .. })
}

fn take(knock: Knock, works: bool, core: &mut Core, hands: &Hands, tickets: &mut HashMap<Ticket, oneshot::Sender<Reply>>, effects: &mut Effects) {
    let now = hands.clock.now();
    match knock {
        Knock::Ask(event, _, reply) if !works && is_refused(&event) => {
            let _ = reply.send(Err(Refusal::new(RefusalKind::StoreUnavailable, HANDING_OVER)));
        }
        Knock::Event(_) if !works => (),
        Knock::Event(event) => core.handle(now, event, effects),
        Knock::Ask(event, ticket, reply) => {
            tickets.insert(ticket, reply);
            core.handle(now, event, effects);
        }
        Knock::Look(look) => look(core, now),
    }
}

fn outcome(probed: Probed, core: &mut Core, hands: &mut Hands, effects: &mut Effects) {
    let Probed { plan, target, report } = probed;
    let known = plan == core.plan() && target.index() < core.estate().targets.len();
    if !known {
        return core.handle(hands.clock.now(), Event::Probed { plan, target, report }, effects);
    }
    hands.metrics.probed(target, &report);
    hands.outcomes.outcome(target, &report);
    let verdicts = |core: &Core| core.estate().judgements_of(target).map(|id| core.health().judgement(id).state).collect::<Vec<_>>();
    let before = verdicts(core);
    core.handle(hands.clock.now(), Event::Probed { plan, target, report }, effects);
    let turned = before.into_iter().zip(verdicts(core)).any(|(before, now)| before != State::Unknown && before != now);
    if turned {
        hands.prober.distrust(plan, target);
    }
}

impl Finished {
    fn event(self) -> Event {
        let Self { commit, large: _, result } = self;
        match result {
            Ok(revision) => Event::Committed { commit, revision },
            Err(error) => Event::CommitFailed { commit, conflict: matches!(error, StoreError::Conflict { .. }), why: error.to_string() },
        }
    }
}

impl Hands {
    fn finished(&mut self, done: Finished, core: &mut Core, effects: &mut Effects) {
        if done.large {
            self.give_back_soon();
        }
        core.handle(self.clock.now(), done.event(), effects);
    }

    fn give_back_soon(&mut self) {
        self.give_back_at = Some(tokio::time::Instant::now() + CALM);
    }

    fn give_back(&mut self) {
        self.give_back_at = None;
        tokio::task::spawn_blocking(super::memory::give_back);
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        core: &Core,
        (finished, measured): (&mpsc::Sender<Finished>, &mpsc::Sender<Measured>),
        tickets: &mut HashMap<Ticket, oneshot::Sender<Reply>>,
        wake: &mut Option<tokio::time::Instant>,
    ) {
        match effect {
            // The one before is dropped here, not by the worker that happens to let go of it last.
            Effect::Publish(snapshot) => {
                self.metrics.make_room(&snapshot);
                self.previous = Some(self.published.swap(snapshot));
            }
            Effect::Reply { ticket, reply } => {
                // Who asked may have gone; the change stands all the same.
                if let Some(asked) = tickets.remove(&ticket) {
                    let _ = asked.send(reply);
                }
            }
            Effect::Probe { plan, estate, hurry } => {
                self.metrics.configured(&estate);
                self.outcomes.targets(&estate);
                self.webhooks.send_replace(estate.webhooks.clone());
                self.prober.resolver().recall(core.known_hosts());
                self.prober.plan(plan, estate, hurry);
                self.give_back_soon();
            }
            Effect::Heard { target, report } => {
                self.metrics.probed(target, &report);
                self.outcomes.outcome(target, &report);
            }
            Effect::Commit { commit, expect, ops, learned } => {
                let Some(store) = self.store.clone() else { return };
                let (finished, metrics, large) = (finished.clone(), self.metrics.clone(), LARGE_COMMIT <= ops.len());
                tokio::spawn(async move {
                    let began = Instant::now();
                    let result = store.commit(expect, ops, learned).await;
                    metrics.store_operation(if learned { "learn" } else { "put" }, result.is_ok(), began.elapsed());
                    let _ = finished.send(Finished { commit, large, result }).await;
                });
            }
            Effect::Serve => {
                self.serve.take().map(|serve| serve.send(()));
            }
            Effect::Tell(notice) => {
                self.metrics.notice(&notice);
                let told = tell(&notice, self.moves_left);
                self.moves_left -= told;
            }
            Effect::Measure { shift, step, service, analysis } => {
                let back = |found| Measured { shift, step, analysis: analysis.name.clone(), found };
                match &analysis.gauge {
                    // A full queue drops it; the core takes that for a measurement that gave nothing.
                    Gauge::Split => drop(measured.try_send(back(Ok(Found::Answers(self.metrics.answers(core, &service)))))),
                    Gauge::Slo => (),
                    Gauge::Prometheus { url, query } => {
                        let (measured, url, query) = (measured.clone(), url.clone(), query.clone());
                        let mut result = back(Err(String::new()));
                        tokio::spawn(async move {
                            result.found = crate::probe::prometheus(&url, &query).await.map(Found::Number);
                            let _ = measured.send(result).await;
                        });
                    }
                }
            }
            Effect::Classify => self.classify.send_modify(|asked| *asked += 1),
            Effect::Happened(happening) => {
                self.metrics.happened(&happening.kind);
                // Nobody listens: fine, it is in the core's ring.
                let _ = self.happenings.send(happening);
            }
            Effect::Secondaries(announced) => drop(self.secondaries.send_replace(announced.into())),
            // One is under way at a time; a full queue means that the one before was given up, and so is this then.
            Effect::TellApart { estate, asked } => drop(self.apart.try_send((estate, asked))),
            Effect::WakeAt(at) => *wake = at.map(|mono| self.clock.instant(mono)),
        }
    }
}

/// A notice as a log line, moves as one for each service, at most `moves_max`: the message reads alone, the fields can be searched. Says how many moves it told.
fn tell(notice: &Notice, moves_max: usize) -> usize {
    match notice {
        Notice::Endpoint { endpoint, labels: [pool, region, _], state, message } => match state {
            State::Down => warn!(%endpoint, %pool, %region, "endpoint {endpoint} is down: {message}"),
            _ => info!(%endpoint, %pool, %region, "endpoint {endpoint} is {}", state.word()),
        },
        Notice::Degraded { endpoint, labels: [pool, region, _], begins: true, message } => {
            warn!(%endpoint, %pool, %region, "endpoint {endpoint} is up, but degraded: {message}");
        }
        Notice::Degraded { endpoint, labels: [pool, region, _], begins: false, message } => {
            info!(%endpoint, %pool, %region, "endpoint {endpoint} is no longer degraded: {message}");
        }
        Notice::Certificate { text } => warn!("{text}"),
        Notice::Failover { services, from, to, trigger, took } => {
            let none = |regions: &str| if regions.is_empty() { "nobody".to_string() } else { regions.to_string() };
            let took = took.map(|took| format!(", {:.1} s after the first failed probe", took.as_secs_f64())).unwrap_or_default();
            for service in services.iter().take(moves_max) {
                warn!(%service, %from, %to, trigger, "{service}: answers moved from {} to {} ({trigger}){took}", none(from), none(to));
            }
            return services.len().min(moves_max);
        }
        Notice::Traffic { service, text, actor, reason, revision } => {
            info!(%service, %actor, %reason, revision = revision.0, "{text} by {actor} (revision {})", revision.0)
        }
        Notice::Override { text, actor: Some(actor) } => info!(%actor, "override {text} by {actor}"),
        Notice::Override { text, actor: None } => info!("override {text} by itself"),
        Notice::GuardRefused { guards, text, actor } => info!(%actor, guards = guards.join(","), "{text}, asked for by {actor}"),
        Notice::GuardOverridden { guards, text, actor, reason } => warn!(%actor, %reason, guards = guards.join(","), "{text}, by {actor} ({reason})"),
        Notice::Confirmation { stand: ConfirmationStand::Made, text, actor, .. } => info!(%actor, "{text}"),
        Notice::Confirmation { text, actor, .. } => warn!(%actor, "{text}"),
        Notice::Gate { gate, text, actor, .. } => info!(%gate, %actor, "{text} by {actor}"),
        Notice::Shift { service, shift, happened, text, actor } => match *happened {
            "paused" | "aborted" | "degraded" => warn!(%service, shift, %actor, happened, "{text}"),
            _ => info!(%service, shift, %actor, happened, "{text}"),
        },
        Notice::Schedule { services: _, schedule, happened, text, actor } => match *happened {
            "refused" | "missed" => warn!(schedule, %actor, happened, "{text}"),
            _ => info!(schedule, %actor, happened, "{text}"),
        },
        Notice::FailbackWaits { service, text } => warn!(%service, "{service}: a returned pool waits although its time is over: {text}"),
        Notice::Reloaded { text } => info!("{text}"),
        // Logged, with every problem, where the file was read.
        Notice::ReloadFailed { .. } => (),
        Notice::Database { sound: true, text } => info!("{text}"),
        Notice::Database { sound: false, text } => warn!("{text}"),
        Notice::Latency { ran_out: true, text } => warn!("{text}"),
        Notice::Latency { ran_out: false, text } => info!("{text}"),
        Notice::Freshness { pool, begins: true, text, .. } => warn!(%pool, "{text}"),
        Notice::Freshness { pool, begins: false, text, .. } => info!(%pool, "{text}"),
        Notice::Host { host, stands: HostStands::Old, text } => warn!(%host, "{text}"),
        Notice::Host { host, stands: HostStands::Good | HostStands::Moved, text } => info!(%host, "{text}"),
        Notice::Load { pool, happened: "shed_ended", text, .. } => info!(%pool, "{text}"),
        Notice::Load { pool, text, .. } => warn!(%pool, "{text}"),
        Notice::Guarded { region, begins: true, text } => warn!(%region, "{text}"),
        Notice::Guarded { region, begins: false, text } => info!(%region, "{text}"),
        Notice::Blind { begins: true, text } => error!("{text}"),
        Notice::Blind { begins: false, text } => info!("{text}"),
        Notice::Store { up: true, text } => info!("{text}"),
        Notice::Store { up: false, text } => error!("{text}"),
        Notice::TrafficUnusable { service, text } => warn!(%service, "traffic of {service} can't be used, the file's policy serves: {text}"),
    }
    0
}
