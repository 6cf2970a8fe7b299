//! The core: owns all state, takes events one by one, gives orders.
//!
//! ```text
//! Event ─▶ handle ─▶ health, traffic, overrides change; services become dirty
//!                       │
//!          settle ◀─────┘   decide the dirty services ─▶ compile ─▶ Publish ─▶ Reply
//!                                                             └─▶ Commit what was learned
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::client::Questions;
use crate::health::{ByKey, Guard, HealthTable, Observed, ProbeReport, Reason, State, Transition};
use crate::model::{JudgementId, Now, PoolId, ServiceId, TargetId, Timestamp};
use crate::policy::{Decision, Facts};
use crate::snapshot::{CellMap, Snapshot};

use super::change::Applied;
use super::commits::Commits;
use super::confirm::Confirmations;
use super::dirty::Dirty;
use super::event::{Configuration, Effect, Effects, Event, Notice, Ticket};
use super::freshness::Freshness;
use super::latency::Latency;
use super::load::Loads;
use super::overrides::Overrides;
use super::pushes::Pushes;
use super::record::{GateRecord, History, Key, LearnedMemory, LearnedVerdict, Record, Revision, Stored, TokenRecord, TrafficRecord};
use super::services::{Rules, ServiceState, Shares};
use super::settle::Moved;
use super::wakes::Wakes;

/// Longest wait for the first round of probes before DNS answers (SEMANTICS, 13).
const FIRST_ROUND: Duration = Duration::from_secs(5);

/// All state of the daemon. One owner, no locks.
#[derive(Debug)]
pub struct Core {
    pub(super) configuration: Configuration,
    pub(super) configured_at: Timestamp,
    pub(super) health: HealthTable,
    /// Which verdicts don't reach policy yet.
    pub(super) guard: Guard,
    pub(super) services: Vec<ServiceState>,
    /// What is shown of a service before its first decision.
    pub(super) undecided: Decision,
    pub(super) shares: Shares,
    /// Reverse index: the services whose tree (or last resort) has this pool, ascending.
    pub(super) users: Vec<Vec<ServiceId>>,
    /// By service name; traffic of services that the file no longer has is kept (SEMANTICS, 16).
    pub(super) traffic: BTreeMap<Arc<str>, (TrafficRecord, Revision)>,
    /// By service name, oldest first.
    pub(super) history: BTreeMap<Arc<str>, BTreeMap<u64, (Revision, History)>>,
    pub(super) overrides: Overrides,
    pub(super) tokens: BTreeMap<Arc<str>, TokenRecord>,
    /// By gate name; gates that the file no longer has are kept.
    pub(super) gates: BTreeMap<Arc<str>, (GateRecord, Revision)>,
    /// The store's counter at [`Key::LastChange`].
    pub(super) last_change: Option<Revision>,
    /// By service name, for those whose changes are counted: when (`mono`) each change of late is an hour old.
    pub(super) recent: BTreeMap<Arc<str>, VecDeque<Duration>>,
    pub(super) confirmations: Confirmations,
    /// A reload that a second person must want, too.
    pub(super) reload_asked: Option<super::reload_guards::ReloadAsked>,
    pub(super) shifts: super::shifts::Shifts,
    pub(super) schedules: super::schedules::Schedules,
    /// What is going to change by itself, and streaks that may.
    pub(super) ahead: super::ahead::Ahead,
    pub(super) tokens_used: super::tokens::Used,
    /// To requests with an `Idempotency-Key`.
    pub(super) kept_replies: super::replies::Replies,
    /// Memories of services that the present estate lacks.
    pub(super) spare_memories: BTreeMap<Arc<str>, Arc<LearnedMemory>>,
    pub(super) revision: Revision,
    pub(super) commits: Commits,
    pub(super) store: StoreState,

    pub(super) cells: CellMap,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) generation: u64,
    pub(super) plan: u64,
    /// The plan must be told to the prober.
    pub(super) plan_due: Option<Hurry>,
    /// The name index must be built anew.
    pub(super) rebuild: bool,
    /// Clients are told apart otherwise than in the snapshot that was published.
    pub(super) reclassified: bool,
    /// Services whose decision counts classes by other numbers than the one that was published.
    pub(super) renumbered: Vec<ServiceId>,
    /// Who asks something new about clients.
    pub(super) asking: super::asking::Asking,
    /// Services to decide, and what touched them.
    pub(super) dirty: Dirty,
    /// Services that health has touched while the node was blind.
    pub(super) put_off: Dirty,
    /// Moments at which a service must be decided again by itself.
    pub(super) wakes: Wakes,
    /// What outside systems have told.
    pub(super) pushes: Pushes,
    /// How fresh data is.
    pub(super) freshness: Freshness,
    /// How much is asked of pools, and who sheds.
    pub(super) loads: Loads,
    /// How quick regions are for whom.
    pub(super) latency: Latency,
    /// The state of latency that clients were last asked to be told apart by.
    pub(super) classify_asked: Option<u64>,
    pub(super) told_wake: Option<Duration>,
    /// Services that are decided for other reasons than published: for `_explain` queries.
    pub(super) whys: Vec<ServiceId>,
    /// Services whose regions the last publish has changed: to be told.
    pub(super) moved: Vec<Moved>,
    /// Failbacks that guards have put off, to be told.
    pub(super) waiting_told: Vec<(ServiceId, Arc<str>)>,
    /// Replies that wait for the next publish.
    pub(super) replies: Vec<(Ticket, Applied)>,
    /// DNS answers. Before that nothing counts as "was answering".
    pub(super) serving: Serving,
    pub(super) ignored_outcomes: u64,
    pub(super) serials: super::serials::Serials,
    pub(super) journal: super::journal::Journal,
    /// The last probes of each target; nothing is decided from them.
    pub(super) probes: super::probes::Probes,
}

/// Spread the first round over at most a second?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hurry(pub bool);

/// Has DNS begun to answer?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    /// The first round runs, until this `mono` at most; so many judgements have no verdict, and host names no addresses.
    FirstRound { until: Duration, unknown: usize },
    /// It may; nobody was told yet.
    Due,
    /// It does.
    Told,
}

/// The store as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreState {
    Up,
    Down(String),
    /// Started with `--without-store`.
    Absent,
}

/// What touched a service. The greatest one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cause {
    /// Clients are told apart otherwise.
    Clients,
    /// Probes, or the end of a hold. Since the first failed probe, if one did.
    Health { failing_since: Option<Duration> },
    /// The guard takes back what health has done of late.
    Guard,
    /// The file.
    Config,
    /// A person.
    Operator,
}

/// How to start.
#[derive(Debug)]
pub struct Start {
    /// What exists.
    pub configuration: Configuration,
    /// What the store held, without latency.
    pub stored: Vec<Stored>,
    /// What it held of latency: [`Latency::take`].
    pub latency: Latency,
    /// The store's counter.
    pub revision: Revision,
    /// Stored verdicts older than this are not used.
    pub stale_after: Duration,
    /// `--without-store`: nothing is kept, every change is refused.
    pub without_store: bool,
}

impl Core {
    /// From a configuration and what the store held. Call [`Self::settle`] next.
    pub fn start(start: Start, now: Now) -> Self {
        let Start { configuration, stored, mut latency, revision, stale_after, without_store } = start;
        let unwritten = latency.take_unwritten();
        let health = HealthTable::new(&configuration.estate, now);
        let mut core = Self {
            configured_at: now.wall,
            health,
            guard: Guard::default(),
            services: Vec::new(),
            undecided: Decision::default(),
            shares: Shares::default(),
            users: Vec::new(),
            traffic: BTreeMap::new(),
            history: BTreeMap::new(),
            overrides: Overrides::default(),
            tokens: BTreeMap::new(),
            gates: BTreeMap::new(),
            last_change: None,
            recent: BTreeMap::new(),
            confirmations: Confirmations::default(),
            reload_asked: None,
            shifts: super::shifts::Shifts::default(),
            schedules: super::schedules::Schedules::default(),
            ahead: super::ahead::Ahead::default(),
            tokens_used: super::tokens::Used::default(),
            kept_replies: super::replies::Replies::default(),
            spare_memories: BTreeMap::new(),
            revision,
            commits: Commits::default(),
            store: if without_store { StoreState::Absent } else { StoreState::Up },
            cells: CellMap::default(),
            snapshot: None,
            generation: 0,
            plan: 1,
            plan_due: None,
            rebuild: true,
            reclassified: false,
            renumbered: Vec::new(),
            asking: super::asking::Asking::default(),
            dirty: Dirty::default(),
            put_off: Dirty::default(),
            wakes: Wakes::default(),
            pushes: Pushes::new(&configuration.estate, now),
            freshness: Freshness::default(),
            loads: Loads::default(),
            latency,
            classify_asked: None,
            whys: Vec::new(),
            moved: Vec::new(),
            waiting_told: Vec::new(),
            told_wake: None,
            replies: Vec::new(),
            serving: Serving::Due,
            ignored_outcomes: 0,
            serials: super::serials::Serials::default(),
            journal: super::journal::Journal::default(),
            probes: super::probes::Probes::new(&configuration.estate),
            configuration,
        };
        core.commits.learned.latency = unwritten;
        let alive = stored.iter().find_map(|stored| if let Record::Alive(at) = stored.record { Some(at) } else { None });
        let usable = alive.is_some_and(|alive| now.wall.since(alive) <= stale_after);
        let mut verdicts = 0;
        let mut kept: Vec<(Arc<str>, LearnedVerdict)> = Vec::new();
        let mut hosts = BTreeMap::new();
        let targets: HashMap<Arc<str>, TargetId> =
            core.configuration.estate.targets.iter().enumerate().map(|(at, target)| (target.key.clone(), TargetId::at(at))).collect();
        for Stored { key, record, revision } in stored {
            match (key, record) {
                (Key::Verdict(key), Record::Verdict(verdict)) => kept.push((key, verdict)),
                (key, Record::Line(text)) => core.recall(key, text),
                (Key::Host(name), Record::Host(found)) => drop(hosts.insert(name, found)),
                (Key::Probes(key), Record::Probes(learned)) => match targets.get(&key) {
                    Some(target) => core.probes.restore(*target, &learned),
                    None => drop(core.commits.learned.forgotten.insert(key)),
                },
                (key, record) => core.remember(key, record, revision, now),
            }
        }
        core.recall_hosts(&hosts, now);
        let estate = core.configuration.estate.clone();
        let known = ByKey::new(kept.iter().map(|(key, verdict)| (&**key, *verdict)));
        for (at, judgement) in estate.judgements.iter().enumerate().filter(|_| usable) {
            if let Some(verdict) = known.get(&judgement.key) {
                core.health.restore(&estate, JudgementId::at(at), verdict.state, verdict.since, now);
                // What is told has no round: it makes nobody's first one needless.
                verdicts += usize::from(estate.is_probed(judgement.target));
            }
        }
        let judged: HashSet<&str> = estate.judgements.iter().map(|judgement| &*judgement.key).collect();
        let forgotten = kept.iter().map(|(key, _)| key).filter(|key| !judged.contains(&***key)).cloned();
        core.commits.learned.forgotten.extend(forgotten);
        core.recall_changes(now);
        core.shifts.settle_in(now);
        core.schedules.settle_in(now);
        core.guard = Guard::new(&core.configuration.estate, &core.health);
        core.build_services();
        core.overrides.resolve(&core.configuration.estate);
        core.freshness.set_estate(&core.configuration.estate);
        // Nobody listens yet; what is too old at the start stands in status and metrics.
        core.review_freshness(now, &mut Vec::new());
        core.take_loads(now, &mut Vec::new());
        let awaited = core.configuration.estate.judged_by_probes() + core.unresolved();
        let hurry = awaited > 0 && verdicts == 0;
        if hurry {
            core.serving = Serving::FirstRound { until: now.mono + FIRST_ROUND, unknown: awaited };
        }
        core.plan_due = Some(Hurry(hurry));
        core
    }

    /// Every change comes through this door. Answers change at the next [`Self::settle`].
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Effects) {
        let from = effects.len();
        match event {
            Event::Probed { plan, target, report } => self.probed(plan, target, report, now, effects),
            Event::Push { ticket, push } => self.pushed(ticket, push, now, effects),
            Event::Latency { ticket, told } => self.latency_told(ticket, told, now, effects),
            Event::Synchronised { ticket, push } => self.synchronised(ticket, push, now, effects),
            Event::Loaded { ticket, push } => self.load_told(ticket, push, now, effects),
            Event::Change { ticket, origin, actor, reason, change, expect, expect_file, break_glass, dry_run } => {
                let waiting = super::commits::Waiting {
                    ticket,
                    origin,
                    actor,
                    reason,
                    change,
                    expect,
                    expect_file,
                    break_glass,
                    confirmed: false,
                    dry_run,
                    clients: None,
                };
                self.wish(waiting, now, effects);
            }
            Event::Reload { ticket, configuration, by } => self.reload(ticket, configuration, &by, now, effects),
            Event::Committed { commit, revision } => self.committed(commit, revision, now, effects),
            Event::CommitFailed { commit, why, conflict } => self.commit_failed(commit, why, conflict, now, effects),
            Event::Called(call) => self.called(call, now),
            Event::Noticed(notice) => effects.push(Effect::Tell(notice)),
            Event::Queued(words) => self.keep_queue(words),
            Event::Databases { estate, clients, databases } => self.databases_read(&estate, clients, databases, now, effects),
            Event::ToldApart { estate, made } => self.told_apart(&estate, made, now, effects),
            Event::Replied { ticket, claim, reply } => self.replied(ticket, claim, reply, now, effects),
            Event::TokenUsed { id } => self.token_used(&id, now),
            Event::Measured(measured) => self.measured(measured, now),
            Event::Counted { service, good, bad } => self.counted(&service, good, bad),
            Event::Resolved { host, stands } => self.resolved(&host, stands, now, effects),
            Event::Tick => self.told_wake = None,
        }
        self.note(from, now, effects);
    }

    /// An outcome: nearly always O(1), nothing else happens.
    fn probed(&mut self, plan: u64, target: TargetId, report: ProbeReport, now: Now, effects: &mut Effects) {
        if plan != self.plan || target.index() >= self.configuration.estate.targets.len() {
            self.ignored_outcomes += 1;
            return;
        }
        self.sign_of_life(now);
        self.probes.note(target, &report);
        if let Some(data) = &report.data_at {
            self.data_read(target, data, now, effects);
        }
        let before = self.quality_of(target);
        let load = report.load.clone();
        let observed = self.health.observe(&self.configuration.estate, target, report, now);
        self.quality_observed(target, before, effects);
        self.judged(&observed, now, effects);
        if let Some(crate::health::LoadRead::Told(load)) = load {
            self.load_read(target, load, now, effects);
        }
    }

    /// Outcomes come: stored verdicts are young (SEMANTICS, 13).
    pub(super) fn sign_of_life(&mut self, now: Now) {
        if now.mono >= self.commits.alive_at + super::commits::ALIVE_EVERY {
            self.commits.learned.alive = true;
        }
    }

    /// What follows from an outcome: nothing unless a verdict changed, or was confirmed.
    pub(super) fn judged(&mut self, observed: &Observed, now: Now, effects: &mut Effects) {
        self.streaks_changed(&observed.streaks, now);
        if observed.transitions.is_empty() {
            return;
        }
        let estate = self.configuration.estate.clone();
        for Transition { judgement, from, failing_since, .. } in &observed.transitions {
            if *from == State::Unknown
                && estate.is_probed(estate.judgement(*judgement).target)
                && let Serving::FirstRound { unknown, .. } = &mut self.serving
            {
                *unknown = unknown.saturating_sub(1);
            }
            self.commits.learned.verdicts.insert(*judgement);
            let pools: BTreeSet<PoolId> = estate.judgement(*judgement).endpoints.iter().map(|endpoint| estate.endpoint(*endpoint).pool).collect();
            pools.into_iter().for_each(|pool| self.touch_pool(pool, Cause::Health { failing_since: *failing_since }));
        }
        effects.extend(observed.turns.iter().map(|turn| Effect::Tell(self.endpoint_notice(turn.endpoint, turn.to))));
        self.guard_observes(observed, now, effects);
    }

    fn endpoint_notice(&self, endpoint: crate::model::EndpointId, state: State) -> Notice {
        let estate = &self.configuration.estate;
        let of = estate.endpoint(endpoint);
        let pool = estate.pool(of.pool);
        let watched = self.health.watched(estate, endpoint);
        let (last, failed) = watched.map_or((None, None), |health| (health.last, health.last_failed));
        let message = match (state, last, failed) {
            (State::Down, _, Some(crate::health::ProbeReport { outcome: crate::health::Outcome::Fail { message, .. }, .. })) => {
                watched.and_then(|health| health.failed_by).map_or(message.clone(), |monitor| format!("{monitor}: {message}"))
            }
            (State::Up, Some(_), _) => "passes again".to_string(),
            (State::Unknown, Some(crate::health::ProbeReport { outcome: crate::health::Outcome::Fail { reason: Reason::Silence, message }, .. }), _) => {
                message.clone()
            }
            (State::Unknown, Some(_), _) => "some of its monitors have no verdict".to_string(),
            _ => String::new(),
        };
        Notice::Endpoint {
            endpoint: estate.endpoint_label(endpoint),
            labels: [pool.name.clone(), estate.region(pool.region).name.clone(), of.name.clone()],
            state,
            message,
        }
    }

    /// Every service that uses this pool, or one that requires it, must be decided again.
    pub(super) fn touch_pool(&mut self, pool: PoolId, cause: Cause) {
        for service in self.users_of(pool) {
            self.touch(service, cause);
        }
    }

    /// The services that a pool decides over: by its own answers, or by those of pools that require it.
    pub(super) fn users_of(&self, pool: PoolId) -> Vec<ServiceId> {
        let pools = std::iter::once(&pool).chain(&self.configuration.estate.pool(pool).required_by);
        pools.filter_map(|pool| self.users.get(pool.index())).flatten().copied().collect()
    }

    /// This service must be decided again.
    pub(super) fn touch(&mut self, service: ServiceId, cause: Cause) {
        self.dirty.touch(service, cause);
    }

    /// The operators' policy if one is set and usable, else the file's, and why that is not the operators'.
    fn in_force(&mut self, service: ServiceId) -> (Arc<Rules>, Option<Box<str>>) {
        let estate = self.configuration.estate.clone();
        let file = estate.service(service);
        let form = self.traffic.get(&file.name).and_then(|(record, _)| record.form.as_ref());
        if let (Some(_), Some(place)) = (form, estate.managed.get(&file.name)) {
            return (self.shares.of_file(file), Some(Self::set_aside(place).into()));
        }
        match form.map(|form| (form, estate.resolve_for(file, form))) {
            None => (self.shares.of_file(file), None),
            Some((_, Ok(tree))) if tree.asks_about_clients() && !self.configuration.clients.answers(&Questions::of_tree(&tree, &estate)) => {
                (self.shares.of_file(file), Some("clients can't be told apart as it asks".into()))
            }
            Some((form, Ok(tree))) => (self.shares.of_operator(file, form, &tree), None),
            Some((_, Err(errors))) => {
                let why = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                (self.shares.of_file(file), Some(why.into()))
            }
        }
    }

    /// All services of the estate from scratch, memories taken out of `spare_memories`; all dirty.
    pub(super) fn build_services(&mut self) {
        let estate = self.configuration.estate.clone();
        // Ids of the estate before mean something else.
        self.shares = Shares::default();
        self.users = vec![Vec::new(); estate.pools.len()];
        self.services = Vec::with_capacity(estate.services.len());
        self.renumbered.clear();
        self.wakes.clear();
        self.dirty.clear();
        // Everything is dirty, for a greater cause.
        self.put_off.clear();
        self.ahead = super::ahead::Ahead::default();
        for (at, service) in estate.services.iter().enumerate() {
            let id = ServiceId::at(at);
            let (rules, unusable) = self.in_force(id);
            let memory = self.spare_memories.remove(&service.name).map(|memory| super::memory::recall(&estate, &memory)).unwrap_or_default();
            let memory = self.shares.memory(memory);
            let slot = self.cells.service(&service.name);
            self.services.push(ServiceState { rules, decided: None, memory, unusable, wake_at: None, waits: None, why: None, slot });
            self.index_users(id);
            self.touch(id, Cause::Config);
        }
        self.users.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// Enters a service into the reverse index of the pools that it may use.
    pub(super) fn index_users(&mut self, service: ServiceId) {
        let Some(state) = self.services.get(service.index()) else { return };
        let users = &mut self.users;
        let mut enter = |pool: PoolId| {
            if let Some(users) = users.get_mut(pool.index())
                && let Err(at) = users.binary_search(&service)
            {
                users.insert(at, service);
            }
        };
        state.rules.tree.pools(&mut enter);
        if let crate::model::AllDown::Pool(pool) = state.rules.when_all_down {
            enter(pool);
        }
    }

    /// A service's tree may have changed: looks it up again.
    pub(super) fn rethink(&mut self, service: ServiceId) {
        let (rules, unusable) = self.in_force(service);
        for users in &mut self.users {
            if let Ok(at) = users.binary_search(&service) {
                users.remove(at);
            }
        }
        if let Some(state) = self.services.get_mut(service.index()) {
            (state.rules, state.unusable) = (rules, unusable);
        }
        self.index_users(service);
        self.touch(service, Cause::Operator);
    }

    /// What policy decides from.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            estate: &self.configuration.estate,
            health: &self.health,
            guard: &self.guard,
            overrides: &self.overrides.resolved,
            clients: &self.configuration.clients,
            outdated: &self.freshness.outdated,
            crowded: &self.loads.crowded,
            planned: &self.ahead.plans,
        }
    }

    /// Services that an override on `target`, limited to `services` (empty: not limited), touches.
    pub(super) fn touch_overridden(&mut self, target: &super::record::OverrideTargetName, services: &[Arc<str>], cause: Cause) {
        let estate = self.configuration.estate.clone();
        if let super::record::OverrideTargetName::Service(name) = target {
            if let Some(service) = estate.service_named(name) {
                self.touch(service, cause);
            }
            return;
        }
        let limited: Vec<ServiceId> = services.iter().filter_map(|name| estate.service_named(name)).collect();
        for pool in super::targets::pools_of(&estate, target) {
            for service in self.users_of(pool) {
                if services.is_empty() || limited.contains(&service) {
                    self.touch(service, cause);
                }
            }
        }
    }
}
