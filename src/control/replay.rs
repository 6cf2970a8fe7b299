//! Yesterday again: recorded outcomes through the real core, on a simulated clock, with today's or another configuration.
//!
//! ```text
//! Recording ─ one outcome at a time, at its own moment ─▶ Core (health, guard, holds, policy) ─▶ flips, failovers, time by region, outages found and missed
//! ```
//!
//! It is the same [`Core`] that serves, so what is told is what would have happened. Its store is a nod. Operators' traffic is as it stands today; their
//! overrides and changes of back then are not played again.
//!
//! Never here: the core that serves, a file, a clock. Bounded by [`OUTCOMES_MAX`] and by whoever calls `stop`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::health::{HostFound, ProbeReport, Reason, Recording, State, Tried};
use crate::model::{Estate, Now, RegionId, ServiceId, TargetId, Timestamp};
use crate::policy::{self, Rung};
use crate::wire::Name;

use super::core::{Core, Start};
use super::event::{Configuration, Effect, Effects, Event, Notice};
use super::latency::Latency;
use super::record::{Key, Record, Revision, Stored};
use super::services::Decided;

/// Outcomes of one replay.
pub const OUTCOMES_MAX: u64 = 50_000_000;
/// Outcomes between two questions whether to stop.
const LOOK_EVERY: u64 = 4_096;
/// Entries of one list; the rest is counted.
const TOLD_MAX: usize = 1_000;
/// A failing target that recovers after fewer probes was no outage.
const OUTAGE_FAILS: u32 = 2;
/// Shortest silence of all targets together that is told, and how many of the longest interval it is at least.
const GAP_MIN: Duration = Duration::from_secs(60);
const GAP_INTERVALS: u32 = 3;

/// What to replay.
#[derive(Debug)]
pub struct Replaying<'a> {
    /// What would have run.
    pub configuration: Configuration,
    /// Operators' traffic and host names, of [`Core::stored_traffic`].
    pub traffic: Vec<Stored>,
    /// What probes found, from some time before `from` on, so that verdicts are settled by then.
    pub recording: &'a Recording,
    /// Counted from here on.
    pub from: Timestamp,
    /// Up to here.
    pub until: Timestamp,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreplayed {
    /// There are so many outcomes, more than [`OUTCOMES_MAX`].
    TooMany(u64),
    /// It took too long.
    Stopped,
}

/// What would have happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// Outcomes that were judged, those before `from` not counted.
    pub outcomes: u64,
    /// Targets of the configuration that nothing is recorded of.
    pub unheard: Vec<String>,
    /// Recorded targets that the configuration does not have.
    pub unused: u64,
    /// Times without any outcome: nobody probed, or nobody recorded.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    /// Verdicts of endpoints that changed between up and down, the first thousand.
    pub flips: Vec<Flip>,
    /// How many.
    pub flips_total: u64,
    /// Services that were answered by other regions than before, the first thousand.
    pub failovers: Vec<Failover>,
    /// How many, each service counted.
    pub failovers_total: u64,
    /// Targets that failed at least twice in a row, the first thousand.
    pub outages: Vec<Outage>,
    /// How many.
    pub outages_total: u64,
    /// Of them: over before any verdict was down.
    pub missed_total: u64,
    /// Where each service was answered from, in file order.
    pub services: Vec<ServiceTime>,
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// When.
    pub at: Timestamp,
    /// `pool/name`
    pub endpoint: String,
    /// Up or down.
    pub to: State,
}

/// Answers that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// When.
    pub at: Timestamp,
    /// Which service, and those that moved alike: the first of them.
    pub service: Arc<str>,
    /// How many moved alike.
    pub services: u64,
    /// Regions before, joined by `+`.
    pub from: String,
    /// And then; empty: none.
    pub to: String,
    /// From the first failed probe, if that was the cause.
    pub took: Option<Duration>,
}

/// A target that failed at least twice in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The target's key.
    pub target: Arc<str>,
    /// The first endpoint that it has a say in; the target's key if there is none.
    pub endpoint: String,
    /// The first failed probe.
    pub since: Timestamp,
    /// The first one that passed; `None`: it lasts.
    pub until: Option<Timestamp>,
    /// Failed probes.
    pub fails: u32,
    /// When a verdict was down; `None`: missed.
    pub found: Option<Timestamp>,
}

/// Where a service was answered from.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTime {
    /// Which.
    pub service: Arc<str>,
    /// Time by region, shares counted in: half the answers for an hour are half an hour. In the order in which they came.
    pub regions: Vec<(Arc<str>, Duration)>,
    /// Time in which nothing was up for it, and `when_all_down` answered.
    pub dark: Duration,
    /// Its moves.
    pub failovers: u64,
}

impl Core {
    /// Operators' traffic as the store has it, and the addresses of host names, for a [`replay`].
    pub fn stored_traffic(&self) -> Vec<Stored> {
        let stored = |(name, (record, revision)): (&Arc<str>, &(super::record::TrafficRecord, Revision))| Stored {
            key: Key::Traffic(name.clone()),
            record: Record::Traffic(record.clone()),
            revision: *revision,
        };
        // What names had then was not recorded: they count as having what they have now.
        let host =
            |(name, found): (&Name, &HostFound)| Stored { key: Key::Host(name.clone()), record: Record::Host(Arc::new(found.clone())), revision: Revision(0) };
        self.traffic.iter().map(stored).chain(self.known_hosts().map(host)).collect()
    }
}

/// Plays everything from the recording's first outcome to `until`. `stop` is asked now and then.
///
/// # Errors
/// There is too much of it, or it was stopped.
pub fn replay(replaying: Replaying<'_>, stop: &dyn Fn() -> bool) -> Result<Replayed, Unreplayed> {
    let Replaying { configuration, traffic, recording, from, until } = replaying;
    let outcomes = recording.outcomes();
    if OUTCOMES_MAX < outcomes {
        return Err(Unreplayed::TooMany(outcomes));
    }
    let begin = recording.runs.first().map_or(from, |run| run.first.min(from));
    let now = Now { mono: Duration::ZERO, wall: begin };
    let start = Start { configuration, stored: traffic, latency: Latency::default(), revision: Revision(0), stale_after: Duration::ZERO, without_store: false };
    let mut stage = Stage::new(Core::start(start, now), from, until, now);
    let estate = stage.core.estate().clone();
    let ids: HashMap<&str, TargetId> = estate.targets.iter().enumerate().map(|(at, target)| (&*target.key, TargetId::at(at))).collect();
    let known: Vec<Option<TargetId>> = recording.targets.iter().map(|key| ids.get(&**key).copied()).collect();
    let longest = recording.runs.iter().map(|run| run.step_ms).max().map_or(Duration::ZERO, |step| Duration::from_millis(step.into()));
    let silence = GAP_MIN.max(longest * GAP_INTERVALS);
    let mut heard = vec![false; estate.targets.len()];
    let mut last = from;
    stage.settle(now);
    for (number, (at, target, tried)) in (0_u64..).zip(recording.iter().take_while(|(at, ..)| *at <= until)) {
        if number.is_multiple_of(LOOK_EVERY) && stop() {
            return Err(Unreplayed::Stopped);
        }
        if from <= at && silence < at.since(last) {
            stage.told.gaps.push((last, at));
        }
        last = last.max(at);
        let Some(target) = known.get(target as usize).copied().flatten() else { continue };
        heard.iter_mut().skip(target.index()).take(1).for_each(|heard| *heard = true);
        stage.outcome(&estate, target, at, tried);
    }
    if silence < until.since(last) {
        stage.told.gaps.push((last, until));
    }
    let mut told = stage.end(&estate);
    told.gaps.truncate(TOLD_MAX);
    told.unheard = estate.targets.iter().zip(&heard).filter(|(_, heard)| !**heard).map(|(target, _)| target.key.to_string()).take(TOLD_MAX).collect();
    told.unused = known.iter().filter(|target| target.is_none()).count() as u64;
    Ok(told)
}

/// A target that fails.
#[derive(Clone, Copy, Debug)]
struct Streak {
    since: Timestamp,
    fails: u32,
    found: Option<Timestamp>,
}

/// Shares by region, and whether nothing is up.
type Seen = (Arc<Vec<(RegionId, f64)>>, bool);

/// Where a service is answered from since `since`.
#[derive(Debug, Default)]
struct Seat {
    decided: Option<Arc<Decided>>,
    since: Duration,
    shares: Arc<Vec<(RegionId, f64)>>,
    dark: bool,
    /// So far.
    times: Vec<(RegionId, Duration)>,
    dark_for: Duration,
    failovers: u64,
}

/// The core, and what is counted beside it.
struct Stage {
    core: Core,
    /// Wall time at `mono` 0.
    begin: Timestamp,
    /// Counted from here to there.
    from: Timestamp,
    until: Timestamp,
    wake: Option<Duration>,
    /// Answers may have changed.
    published: bool,
    seats: Vec<Seat>,
    streaks: Vec<Option<Streak>>,
    /// The last known verdict of each endpoint that turned.
    states: HashMap<String, State>,
    told: Replayed,
}

impl Stage {
    fn new(core: Core, from: Timestamp, until: Timestamp, now: Now) -> Self {
        let seats = core.estate().services.iter().map(|_| Seat::default()).collect();
        let streaks = vec![None; core.estate().targets.len()];
        Self { core, begin: now.wall, from, until, wake: None, published: false, seats, streaks, states: HashMap::new(), told: Replayed::default() }
    }

    fn at(&self, mono: Duration) -> Now {
        Now { mono, wall: self.begin.plus(mono) }
    }

    fn counts(&self, at: Timestamp) -> bool {
        (self.from..=self.until).contains(&at)
    }

    fn outcome(&mut self, estate: &Estate, target: TargetId, at: Timestamp, tried: Tried) {
        let now = self.at(at.since(self.begin));
        self.ticks(now.mono);
        self.told.outcomes += u64::from(self.counts(at));
        let report = ProbeReport::new(tried.outcome(), at, Duration::ZERO);
        let mut effects = Effects::new();
        self.core.handle(now, Event::Probed { plan: self.core.plan(), target, report }, &mut effects);
        self.carry_out(effects, now);
        self.settle(now);
        let down = || estate.judgements_of(target).any(|id| self.core.health().judgement(id).state == State::Down);
        let streak = self.streaks.get(target.index()).copied().flatten();
        let next = match tried {
            // Nothing is known of the target.
            Tried::Fail(Reason::Internal) | Tried::Busy(_) => return,
            Tried::Fail(_) => {
                let Streak { since, fails, found } = streak.unwrap_or(Streak { since: at, fails: 0, found: None });
                Some(Streak { since, fails: fails.saturating_add(1), found: found.or_else(|| down().then_some(at)) })
            }
            Tried::Pass | Tried::Degraded => {
                streak.into_iter().for_each(|streak| self.outage(estate, target, streak, Some(at)));
                None
            }
        };
        self.streaks.iter_mut().skip(target.index()).take(1).for_each(|streak| *streak = next);
    }

    fn outage(&mut self, estate: &Estate, target: TargetId, streak: Streak, until: Option<Timestamp>) {
        let Streak { since, fails, found } = streak;
        if fails < OUTAGE_FAILS || until.is_some_and(|until| until < self.from) {
            return;
        }
        let key = estate.target(target).key.clone();
        let endpoint = estate.endpoints_of(target).next().map_or_else(|| key.to_string(), |endpoint| estate.endpoint_label(endpoint));
        self.told.outages_total += 1;
        self.told.missed_total += u64::from(found.is_none());
        if self.told.outages.len() < TOLD_MAX {
            self.told.outages.push(Outage { target: key, endpoint, since, until, fails, found });
        }
    }

    /// What the core wants to do by itself until then.
    fn ticks(&mut self, until: Duration) {
        while let Some(wake) = self.wake.filter(|wake| *wake <= until) {
            let now = self.at(wake);
            // Asked for again, if it is still wanted.
            self.wake = None;
            let mut effects = Effects::new();
            self.core.handle(now, Event::Tick, &mut effects);
            self.carry_out(effects, now);
            self.settle(now);
            if self.wake == Some(wake) {
                // A core that asks for the same moment again would never come to another.
                self.wake = None;
            }
        }
    }

    fn settle(&mut self, now: Now) {
        let mut effects = Effects::new();
        self.core.settle(now, &mut effects);
        self.carry_out(effects, now);
        if std::mem::take(&mut self.published) {
            self.look(now.mono);
        }
    }

    fn carry_out(&mut self, mut effects: Effects, now: Now) {
        while !effects.is_empty() {
            let mut next = Effects::new();
            for effect in effects {
                match effect {
                    // The store is a nod: everything is durable at once.
                    Effect::Commit { commit, .. } => {
                        self.core.handle(now, Event::Committed { commit, revision: Revision(0) }, &mut next);
                        self.core.settle(now, &mut next);
                    }
                    Effect::Publish(_) => self.published = true,
                    Effect::WakeAt(at) => self.wake = at,
                    Effect::Tell(notice) => self.notice(notice, now.wall),
                    // No shift is played: nothing of today's is under way then.
                    Effect::Serve
                    | Effect::Measure { .. }
                    | Effect::Probe { .. }
                    | Effect::Heard { .. }
                    | Effect::Classify
                    | Effect::Reply { .. }
                    | Effect::Secondaries(_)
                    | Effect::Happened(_)
                    | Effect::TellApart { .. } => (),
                }
            }
            effects = next;
        }
    }

    fn notice(&mut self, notice: Notice, at: Timestamp) {
        let counts = self.counts(at);
        match notice {
            Notice::Endpoint { endpoint, state, .. } if state != State::Unknown => {
                let before = self.states.insert(endpoint.clone(), state);
                if counts && before.is_some_and(|before| before != state) {
                    self.told.flips_total += 1;
                    if self.told.flips.len() < TOLD_MAX {
                        self.told.flips.push(Flip { at, endpoint, to: state });
                    }
                }
            }
            Notice::Failover { services, from, to, took, .. } if counts => {
                self.told.failovers_total += services.len() as u64;
                let estate = self.core.estate().clone();
                for id in services.iter().filter_map(|name| estate.service_named(name)) {
                    self.seats.iter_mut().skip(id.index()).take(1).for_each(|seat| seat.failovers += 1);
                }
                if let Some(service) = services.first().filter(|_| self.told.failovers.len() < TOLD_MAX) {
                    let service = service.clone();
                    self.told.failovers.push(Failover { at, service, services: services.len() as u64, from, to, took });
                }
            }
            _ => (),
        }
    }

    /// Who answers now; what was until now is counted.
    fn look(&mut self, mono: Duration) {
        let mut alike: HashMap<*const Decided, Seen> = HashMap::new();
        for at in 0..self.seats.len() {
            let id = ServiceId::at(at);
            let Some(decided) = self.core.services.get(at).and_then(|state| state.decided.clone()) else { continue };
            let Some(seat) = self.seats.get(at) else { continue };
            if seat.decided.as_ref().is_some_and(|known| Arc::ptr_eq(known, &decided)) {
                continue;
            }
            let (shares, dark) = alike.entry(Arc::as_ptr(&decided)).or_insert_with(|| self.core.seen(id)).clone();
            let (begin, from, until) = (self.begin, self.from, self.until);
            if let Some(seat) = self.seats.get_mut(at) {
                seat.count(mono, begin, from, until);
                (seat.decided, seat.shares, seat.dark) = (Some(decided), shares, dark);
            }
        }
    }

    fn end(mut self, estate: &Estate) -> Replayed {
        let end = self.until.since(self.begin);
        self.ticks(end);
        let streaks = std::mem::take(&mut self.streaks);
        for (at, streak) in streaks.into_iter().enumerate() {
            streak.into_iter().for_each(|streak| self.outage(estate, TargetId::at(at), streak, None));
        }
        let (begin, from, until) = (self.begin, self.from, self.until);
        for (service, seat) in estate.services.iter().zip(&mut self.seats) {
            seat.count(end, begin, from, until);
            let regions = seat.times.iter().map(|(region, time)| (estate.region(*region).name.clone(), *time)).collect();
            self.told.services.push(ServiceTime { service: service.name.clone(), regions, dark: seat.dark_for, failovers: seat.failovers });
        }
        self.told
    }
}

impl Seat {
    /// Adds the time up to `mono`, as far as it lies between `from` and `until`.
    fn count(&mut self, mono: Duration, begin: Timestamp, from: Timestamp, until: Timestamp) {
        let (first, last) = (begin.plus(self.since).max(from), begin.plus(mono).min(until));
        let span = last.since(first);
        self.since = mono;
        if self.decided.is_none() || span.is_zero() {
            return;
        }
        for (region, share) in self.shares.iter() {
            let time = span.mul_f64(*share);
            match self.times.iter_mut().find(|(known, _)| known == region) {
                Some((_, sum)) => *sum += time,
                None => self.times.push((*region, time)),
            }
        }
        if self.dark {
            self.dark_for += span;
        }
    }
}

impl Core {
    /// Shares by region as answered now, and whether nothing is up.
    fn seen(&self, id: ServiceId) -> Seen {
        let (view, family) = (self.service(id), self.main_family(id));
        let decided = &view.decision.families[family.index()];
        let mut regions: Vec<(RegionId, f64)> = Vec::new();
        for (pool, share) in policy::effective(decided, view.policy).into_iter().filter(|(_, share)| 0.0 < *share) {
            let region = self.estate().pool(pool).region;
            match regions.iter_mut().find(|(known, _)| *known == region) {
                Some((_, sum)) => *sum += share,
                None => regions.push((region, share)),
            }
        }
        (Arc::new(regions), decided.leaves.iter().map(|leaf| leaf.rung).max().is_none_or(|rung| rung == Rung::AllDown))
    }
}
