//! The thread that owns the core: takes what comes, settles, and has the effects carried out.
//!
//! One queue each for knocks, outcomes and finished commits; what waits is taken together (at most [`TOGETHER`] at once), then settled once,
//! so a burst of outcomes costs one publish.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::admin::door::Knock;
use crate::control::{Core, Effect, Effects, Event, Notice, Reply, Revision, Ticket};
use crate::dns::notify;
use crate::health::State;
use crate::metrics::Metrics;
use crate::probe::{Probed, Prober};
use crate::snapshot::Snapshot;
use crate::store::{Store, StoreError};

use super::clock::Clock;

/// Most events taken between two settlings.
const TOGETHER: usize = 1024;

/// Operations from which on a commit leaves much memory behind.
const LARGE_COMMIT: usize = 10_000;
/// So long after a new plan or a large commit free memory is given back, unless another one comes meanwhile.
const CALM: Duration = Duration::from_secs(1);

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
    /// What secondaries should know.
    pub secondaries: notify::Board,
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
}

/// A commit that the store has finished with.
struct Finished {
    commit: u64,
    large: bool,
    result: Result<Revision, StoreError>,
}

/// Runs until told to stop, then gives the prober back to be stopped.
pub(super) async fn run(mut core: Core, mut queues: Queues, mut hands: Hands) -> Prober {
    let (finished_in, mut finished) = mpsc::channel::<Finished>(4);
    let mut tickets: HashMap<Ticket, oneshot::Sender<Reply>> = HashMap::new();
    let mut wake = None;
    let mut effects = Effects::new();
    core.settle_answers(hands.clock.now(), &mut effects);
    loop {
        for effect in effects.drain(..) {
            hands.carry_out(effect, &finished_in, &mut tickets, &mut wake);
        }
        core.follow_up(hands.clock.now(), &mut effects);
        hands.moves_left = MOVES_TOLD;
        let moved: usize = effects.iter().map(|effect| if let Effect::Tell(Notice::Failover { services, .. }) = effect { services.len() } else { 0 }).sum();
        for effect in effects.drain(..) {
            hands.carry_out(effect, &finished_in, &mut tickets, &mut wake);
        }
        if moved > MOVES_TOLD {
            warn!(moved, "answers moved for {} more services; windrose status lists them", moved - MOVES_TOLD);
        }
        tokio::select! {
            _ = queues.stop.changed() => return hands.prober,
            Some(done) = finished.recv() => hands.finished(done, &mut core, &mut effects),
            Some(knock) = queues.knocks.recv() => take(knock, &mut core, &hands, &mut tickets, &mut effects),
            Some(probed) = queues.outcomes.recv() => outcome(probed, &mut core, &hands, &mut effects),
            () = until(wake) => core.handle(hands.clock.now(), Event::Tick, &mut effects),
            () = until(hands.give_back_at) => hands.give_back(),
        }
        for _ in 0..TOGETHER {
            if let Ok(done) = finished.try_recv() {
                hands.finished(done, &mut core, &mut effects);
            } else if let Ok(knock) = queues.knocks.try_recv() {
                take(knock, &mut core, &hands, &mut tickets, &mut effects);
            } else if let Ok(probed) = queues.outcomes.try_recv() {
                outcome(probed, &mut core, &hands, &mut effects);
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

fn take(knock: Knock, core: &mut Core, hands: &Hands, tickets: &mut HashMap<Ticket, oneshot::Sender<Reply>>, effects: &mut Effects) {
    let now = hands.clock.now();
    match knock {
        Knock::Event(event) => core.handle(now, event, effects),
        Knock::Ask(event, ticket, reply) => {
            tickets.insert(ticket, reply);
            core.handle(now, event, effects);
        }
        Knock::Look(look) => look(core, now),
    }
}

fn outcome(probed: Probed, core: &mut Core, hands: &Hands, effects: &mut Effects) {
    let Probed { plan, target, report } = probed;
    if plan == core.plan() {
        hands.metrics.probed(core.estate(), target, &report);
    }
    core.handle(hands.clock.now(), Event::Probed { plan, target, report }, effects);
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
        finished: &mpsc::Sender<Finished>,
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
                self.prober.plan(plan, estate, hurry);
                self.give_back_soon();
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
            Effect::Secondaries(announced) => drop(self.secondaries.send_replace(announced.into())),
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
        Notice::Reloaded { text } => info!("{text}"),
        Notice::Store { up: true, text } => info!("{text}"),
        Notice::Store { up: false, text } => error!("{text}"),
        Notice::TrafficUnusable { service, text } => warn!(%service, "traffic of {service} can't be used, the file's policy serves: {text}"),
    }
    0
}
