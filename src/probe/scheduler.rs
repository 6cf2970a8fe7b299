//! The one task that runs probes: waits for the next due moment, starts, collects, hands outcomes over.
//!
//! It works in turns, each of which starts, collects and hands over all there is. With few probes a turn comes at once when there is something to do; with many it
//! rests between turns for as long as [`WINDOW`] says, so that ten thousand probes a second cost some hundred wake-ups here and at the receiver, not twenty thousand.
//!
//! A target is in flight until its outcome is handed over, so a slow receiver slows probing and loses nothing.
//! Never here: retries. The next round is the retry.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::sleep_until;
use tracing::{error, warn};

use crate::health::{Outcome, ProbeReport, Reason};
use crate::metrics::ProbeMetrics;
use crate::model::{Estate, Monitor, TargetId, TlsTerms, Verify};

use super::Probed;
use super::attempt::{Place, attempt, wall_clock};
use super::exec;
use super::permit::Permit;
use super::pulse::{Pulse, is_void};
use super::resolver::Resolver;
use super::schedule::Schedule;
use super::tls::{Alpn, Session, Tls, Trust};

/// More turns than this within a [`WINDOW`], and the next one waits for its end. One probe alone needs two: its start and its end.
const TURNS: u32 = 2;

/// Also the most by which an outcome is handed over late.
const WINDOW: Duration = Duration::from_millis(2);

/// What the handle wants of the task: the newest plan, or the end. Written by the handle, taken by the task.
#[derive(Debug, Default)]
pub struct Wishes {
    wanted: Mutex<Wanted>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    plan: Option<Plan>,
    /// Targets (of this plan) whose next handshake is a full one. At most as many as verdicts turn within a turn.
    distrusted: Vec<(u64, TargetId)>,
    stop: bool,
}

/// Targets to probe from now on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its number, which outcomes carry.
    pub number: u64,
    /// Whose targets.
    pub estate: Arc<Estate>,
    /// First round of new targets within a second for each 10,000.
    pub hurry: bool,
}

impl Wishes {
    /// Replaces a plan that was not taken yet; its hurry is inherited.
    pub fn plan(&self, mut plan: Plan) {
        self.set(|wanted| {
            plan.hurry |= wanted.plan.as_ref().is_some_and(|earlier| earlier.hurry);
            wanted.plan = Some(plan);
        });
    }

    /// This target's verdict has changed: what it says next is looked at afresh.
    pub fn distrust(&self, plan: u64, target: TargetId) {
        // Taken with the next turn; there is no hurry, so nobody is woken.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).distrusted.push((plan, target));
    }

    /// End.
    pub fn stop(&self) {
        self.set(|wanted| wanted.stop = true);
    }

    fn set(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn take(&self) -> Wanted {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        Wanted { plan: wanted.plan.take(), distrusted: std::mem::take(&mut wanted.distrusted), stop: wanted.stop }
    }
}

/// The task's state.
pub struct Scheduler {
    wishes: Arc<Wishes>,
    outcomes: mpsc::Sender<Probed>,
    metrics: Arc<ProbeMetrics>,
    resolver: Resolver,
    in_flight_max: usize,
    /// Zero of the schedule's time.
    epoch: Instant,
    /// The system's, once it was needed.
    trust: Option<Trust>,
    /// By monitor of the plan.
    tls: Vec<Arc<Tls>>,
    /// The same by what makes it: kept across plans, because rustls resumes a session only under the verifier that it was earned with.
    tls_made: HashMap<(TlsTerms, Alpn), Arc<Tls>>,
    plan: Option<Plan>,
    schedule: Schedule,
    /// By target of the plan; kept across plans with the target.
    sessions: Vec<Arc<Session>>,
    /// How much of the time this process does not run.
    pulse: Arc<Pulse>,
    /// `None`: the probe is void.
    probes: JoinSet<Option<ProbeReport>>,
    running: HashMap<Id, (TargetId, AbortHandle)>,
    /// Outcomes not handed over yet; together with `running` never more than `in_flight_max`.
    ended: VecDeque<(TargetId, ProbeReport)>,
}

impl Scheduler {
    /// `trust`: whom to trust if a monitor doesn't say; `None`: the system's trust store, read when it is first needed.
    pub fn new(
        wishes: Arc<Wishes>,
        outcomes: mpsc::Sender<Probed>,
        metrics: Arc<ProbeMetrics>,
        resolver: Resolver,
        in_flight_max: usize,
        trust: Option<Trust>,
    ) -> Self {
        Self {
            wishes,
            outcomes,
            metrics,
            resolver,
            in_flight_max,
            epoch: Instant::now(),
            pulse: Arc::new(Pulse::start(Instant::now())),
            trust,
            tls: Vec::new(),
            tls_made: HashMap::new(),
            plan: None,
            schedule: Schedule::default(),
            sessions: Vec::new(),
            probes: JoinSet::new(),
            running: HashMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// Runs until it is stopped or nobody takes outcomes any more; leaves no probe behind.
    pub async fn run(mut self) {
        let (wishes, outcomes) = (self.wishes.clone(), self.outcomes.clone());
        let (mut window, mut turns) = (Instant::now(), 0);
        loop {
            let Wanted { plan, distrusted, stop } = wishes.take();
            if stop {
                break;
            }
            if let Some(plan) = plan {
                self.replan(plan).await;
            }
            self.distrust(&distrusted);
            self.collect();
            if self.hand_over().is_err() {
                break;
            }
            if !self.running.is_empty() {
                self.pulse.beat(Instant::now());
            }
            self.start_due();

            turns += 1;
            if WINDOW <= window.elapsed() {
                (window, turns) = (Instant::now(), 0);
            } else if TURNS < turns {
                sleep_until((window + WINDOW).into()).await;
                continue;
            }
            let next = self.schedule.next_due().filter(|_| self.has_room()).map(|due| self.epoch + due);
            tokio::select! {
                biased;
                () = wishes.changed.notified() => {}
                // The place is given back and taken by the next turn; nobody else sends.
                permit = outcomes.reserve(), if !self.ended.is_empty() => if permit.is_err() { break },
                Some(joined) = self.probes.join_next_with_id() => self.joined(joined),
                () = until(next), if next.is_some() => {}
                () = until(Some(self.pulse.next())), if !self.running.is_empty() => {}
            }
        }
        for _ in &self.running {
            self.metrics.finished();
        }
        self.probes.shutdown().await;
    }

    /// What has ended since the last turn.
    fn collect(&mut self) {
        while let Some(joined) = self.probes.try_join_next_with_id() {
            self.joined(joined);
        }
    }

    /// As many outcomes as there is room for. An error: nobody takes them any more.
    fn hand_over(&mut self) -> Result<(), TrySendError<()>> {
        let Some(Plan { number, .. }) = &self.plan else { return Ok(()) };
        while !self.ended.is_empty() {
            let permit = match self.outcomes.try_reserve() {
                Ok(permit) => permit,
                Err(TrySendError::Full(())) => break,
                Err(closed) => return Err(closed),
            };
            if let Some((target, report)) = self.ended.pop_front() {
                permit.send(Probed { plan: *number, target, report });
                self.schedule.finished(target);
            }
        }
        Ok(())
    }

    fn distrust(&self, distrusted: &[(u64, TargetId)]) {
        let now = self.plan.as_ref().map(|plan| plan.number);
        for (_, target) in distrusted.iter().filter(|(plan, _)| Some(*plan) == now) {
            if let Some(session) = self.sessions.get(target.index()) {
                session.forget();
            }
        }
    }

    fn has_room(&self) -> bool {
        self.running.len() + self.ended.len() < self.in_flight_max
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn start_due(&mut self) {
        let Some(Plan { estate, .. }) = self.plan.clone() else { return };
        let now = self.now();
        while self.has_room() {
            let Some(due) = self.schedule.take_due(now) else { break };
            // An outside system tells how those are (`push`).
            if !estate.monitor(estate.target(due.target).monitor).check.is_probed() {
                self.schedule.finished(due.target);
                continue;
            }
            for _ in 0..due.skipped {
                self.metrics.skipped();
            }
            let Some(lag) = due.start else { continue };
            self.metrics.started(lag);
            let Some(tls) = self.tls.get(estate.target(due.target).monitor.index()).cloned() else { continue };
            let estate = estate.clone();
            let (session, resolver) = (self.sessions.get(due.target.index()).cloned().unwrap_or_default(), self.resolver.clone());
            if self.running.is_empty() {
                self.pulse.resume(Instant::now());
            }
            let pulse = self.pulse.clone();
            let abort = self.probes.spawn(async move {
                let target = estate.target(due.target);
                let monitor = estate.monitor(target.monitor);
                let permit = Permit(estate.probing.clone());
                // Time in which a program waits for others is none of the probe's.
                let _turn = exec::turn(&monitor.check).await;
                let lost_before = pulse.lost(Instant::now());
                let endpoint = || estate.endpoints_of(due.target).next().map(|endpoint| estate.endpoint_label(endpoint)).unwrap_or_default();
                let place = Place { host: &target.address, port: target.port, endpoint: &endpoint };
                let report = attempt(monitor, place, &tls, &session, &resolver, &permit).await;
                let lost = pulse.lost(Instant::now()).saturating_sub(lost_before);
                (!is_void(&report, monitor.timeout, lost)).then_some(report)
            });
            self.running.insert(abort.id(), (due.target, abort));
        }
    }

    /// Unchanged targets go on as if nothing had happened, under their new id; probes of removed ones end here.
    async fn replan(&mut self, plan: Plan) {
        self.load_tls(&plan.estate).await;
        let worst = running_if_silent(&plan.estate);
        if (self.in_flight_max as f64) < worst {
            let max = self.in_flight_max;
            warn!(
                "if no target answered, {worst:.0} probes would run at once, and only {max} may: probes would be late; \
                 allow more open files (LimitNOFILE), or give monitors a shorter timeout"
            );
        }
        let Plan { estate, hurry, .. } = &plan;
        self.resolver.plan(estate);
        let targets = estate.targets.iter().map(|target| (target.key.clone(), estate.monitor(target.monitor).interval));
        let moved = self.schedule.replan(targets, *hurry, self.epoch.elapsed());
        let to = |target: TargetId| moved.get(target.index()).copied().flatten();

        // Who speaks no TLS has nothing to keep: one for all of them.
        let unused = Arc::<Session>::default();
        let keeps = |target: TargetId| estate.monitor(estate.target(target).monitor).check.tls().is_some();
        let fresh = |at: usize| if keeps(TargetId::at(at)) { Arc::default() } else { unused.clone() };
        let mut sessions: Vec<Arc<Session>> = (0..estate.targets.len()).map(fresh).collect();
        for (session, to) in std::mem::take(&mut self.sessions).into_iter().zip(&moved) {
            if let Some(seat) = to.filter(|to| keeps(*to)).and_then(|to| sessions.get_mut(to.index())) {
                *seat = session;
            }
        }
        self.sessions = sessions;
        let metrics = &self.metrics;
        self.running.retain(|_, (target, abort)| match to(*target) {
            Some(to) => {
                *target = to;
                true
            }
            None => {
                abort.abort();
                metrics.finished();
                false
            }
        });
        self.ended = std::mem::take(&mut self.ended).into_iter().filter_map(|(target, report)| Some((to(target)?, report))).collect();
        self.plan = Some(plan);
    }

    /// The system's trust is read once, when it is first needed; each monitor has its own terms.
    async fn load_tls(&mut self, estate: &Arc<Estate>) {
        let mut terms = estate.monitors.iter().filter_map(|monitor| monitor.check.tls());
        let needed = terms.any(|terms| terms.verify == Verify::Full && terms.ca.is_none());
        if needed && self.trust.is_none() {
            let loaded = tokio::task::spawn_blocking(Trust::system).await;
            self.trust = loaded.ok();
        }
        let trust = self.trust.clone().unwrap_or_else(Trust::unused);
        self.tls.clear();
        let mut made = std::mem::take(&mut self.tls_made);
        let unused = Arc::new(Tls::unused());
        for monitor in &estate.monitors {
            let tls = monitor.check.tls().map_or_else(
                || unused.clone(),
                |terms| {
                    let made_by = (terms.clone(), Alpn::of(&monitor.check));
                    let tls = made.remove(&made_by).unwrap_or_else(|| Arc::new(Tls::new(terms, made_by.1, &trust)));
                    self.tls_made.entry(made_by).or_insert(tls).clone()
                },
            );
            self.tls.push(tls);
        }
    }

    fn joined(&mut self, joined: Result<(Id, Option<ProbeReport>), JoinError>) {
        let (id, report) = match joined {
            Ok((id, report)) => (id, report),
            Err(failed) => (failed.id(), Some(broken(&failed))),
        };
        // Probes of removed targets were struck off when they were aborted.
        if let Some((target, _)) = self.running.remove(&id) {
            self.metrics.finished();
            match report {
                Some(report) => self.ended.push_back((target, report)),
                None => {
                    self.metrics.void();
                    self.schedule.finished(target);
                }
            }
        }
    }
}

/// Probes that run at once while every target lets its probe time out.
fn running_if_silent(estate: &Estate) -> f64 {
    let share = |monitor: &Monitor| monitor.timeout.as_secs_f64() / monitor.interval.as_secs_f64().max(f64::MIN_POSITIVE);
    estate.targets.iter().map(|target| share(estate.monitor(target.monitor)).min(1.0)).sum()
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        sleep_until(moment.into()).await;
    }
}

/// A probe that panicked is a bug of ours; the daemon and the other probes go on.
fn broken(failed: &JoinError) -> ProbeReport {
    if failed.is_panic() {
        error!("a probe panicked; this is a bug in windrose");
    }
    let outcome = Outcome::Fail { reason: Reason::Internal, message: "this node could not probe: the probe broke off, which is a bug in windrose".to_string() };
    ProbeReport::new(outcome, wall_clock(), Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_that_waits_for_a_connection_takes_little_room() {
        let estate = crate::health::testing::estate("pool a: 10.0.0.1");
        let (tls, session) = (Arc::new(Tls::unused()), Arc::<Session>::default());
        let host = crate::model::Host::Address("10.0.0.1".parse().unwrap());
        let (resolver, permit) = (Resolver::start(Arc::default()), Permit::default());
        let probe = attempt(&estate.monitors[0], (&host, None), &tls, &session, &resolver, &permit);
        assert!(size_of_val(&probe) <= 2048, "{} bytes; 30,000 may wait at once", size_of_val(&probe));
    }

    #[test]
    fn probes_that_would_run_at_once_if_nobody_answered_are_timeouts_over_intervals() {
        let mut estate = crate::health::testing::estate("pool a: 10.0.0.1 10.0.0.2 10.0.0.3");
        for monitor in &mut estate.monitors {
            (monitor.interval, monitor.timeout) = (Duration::from_secs(10), Duration::from_secs(3));
        }
        assert!((running_if_silent(&estate) - 0.9).abs() < 1e-9);
    }

    #[tokio::test]
    async fn a_probe_that_panics_is_an_outcome_like_any_other() {
        let (outcomes, _taken) = mpsc::channel(1);
        let mut scheduler = Scheduler::new(Arc::default(), outcomes, Arc::default(), Resolver::start(Arc::default()), 1, None);
        let abort = scheduler.probes.spawn(async { panic!("a bug, for the test") });
        scheduler.running.insert(abort.id(), (TargetId(7), abort));
        let joined = scheduler.probes.join_next_with_id().await.unwrap();
        scheduler.joined(joined);
        let (target, report) = scheduler.ended.pop_front().unwrap();
        assert_eq!(target, TargetId(7));
        assert!(matches!(report.outcome, Outcome::Fail { reason: Reason::Internal, .. }));
        assert!(scheduler.running.is_empty());
    }

    #[tokio::test]
    async fn a_void_probe_is_no_outcome_and_its_target_is_probed_again() {
        let (outcomes, _taken) = mpsc::channel(1);
        let metrics = Arc::new(ProbeMetrics::default());
        let mut scheduler = Scheduler::new(Arc::default(), outcomes, metrics, Resolver::start(Arc::default()), 1, None);
        scheduler.schedule.replan([(Arc::from("a"), Duration::from_secs(10))].into_iter(), true, Duration::ZERO);
        let start = |scheduler: &mut Scheduler| {
            let at = scheduler.schedule.next_due().unwrap();
            scheduler.schedule.take_due(at).unwrap().start
        };
        assert!(start(&mut scheduler).is_some());
        let abort = scheduler.probes.spawn(async { None });
        scheduler.running.insert(abort.id(), (TargetId(0), abort));
        let joined = scheduler.probes.join_next_with_id().await.unwrap();
        scheduler.joined(joined);
        assert!(scheduler.ended.is_empty() && scheduler.running.is_empty());
        assert!(start(&mut scheduler).is_some(), "not in flight any more");
    }

    #[tokio::test]
    async fn a_plan_that_was_not_taken_yet_is_replaced_and_its_hurry_inherited() {
        let wishes = Wishes::default();
        wishes.plan(Plan { number: 1, estate: Arc::default(), hurry: true });
        wishes.plan(Plan { number: 2, estate: Arc::default(), hurry: false });
        let plan = wishes.take().plan.unwrap();
        assert_eq!((plan.number, plan.hurry), (2, true));
        assert!(wishes.take().plan.is_none());
    }
}
