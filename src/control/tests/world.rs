//! A core with an imagined store: commits are done when the test says so.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Clients, Origins, Questions};
use crate::control::{
    Actor, Announced, Applied, Change, Configuration, Core, Effect, Effects, Event, Expect, Key, Latency, Legacy, LoadPush, Notice, Op, Push, Record, Refusal,
    Reply, Revision, Start, Stored, Ticket,
};
use crate::health::State;
use crate::health::testing::estate;
use crate::model::{
    Check, Estate, Family, GuardKind, JudgementId, Monitor, MonitorId, Now, PolicyForm, PushCheck, Secondary, ServiceId, Silence, TargetId, Thresholds,
    Timestamp,
};
use crate::policy::testing::report;
use crate::snapshot::Snapshot;
use crate::zone::{RecordSet, Zone};

/// Where [`World`] begins.
const WALL: i64 = 1_800_000_000_000;

/// A core, and what it has ordered.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Now,
    /// What an imagined disk holds.
    pub(super) disk: Vec<Stored>,
    pub(super) disk_revision: Revision,
    /// Commits are carried out at once.
    pub(super) store_works: bool,
    pub(super) publishes: usize,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// What secondaries were told, oldest first.
    pub(super) announced: Vec<Vec<Announced>>,
    pub(super) served: bool,
    pub(super) replies: Vec<(Ticket, Reply)>,
    /// Events made.
    pub(super) happenings: Vec<Arc<crate::control::Happening>>,
    pub(super) notices: Vec<Notice>,
    /// Measurements that were ordered.
    pub(super) measures: Vec<(u64, u32, Arc<crate::model::Analysis>)>,
    pub(super) wake_at: Option<Duration>,
    /// How often it was asked to tell clients apart anew.
    pub(super) classified: usize,
    pub(super) plans: Vec<(u64, bool)>,
    /// Commits with their operations, oldest first.
    pub(super) commits: Vec<(Vec<Op>, bool)>,
    /// Of the next change.
    pub(super) break_glass: Vec<GuardKind>,
    pub(super) actor: &'static str,
    pub(super) reason: &'static str,
    /// What databases say.
    pub(super) origins: Origins,
    /// Orders to tell clients apart are carried out at once.
    pub(super) tells_apart: bool,
    /// Those that are not.
    pub(super) apart: Vec<(Arc<Estate>, Vec<PolicyForm>)>,
    pub(super) tickets: u64,
}

/// The estate text with the zone that its service names lie in. Lines of ours: `serial N` of that zone (7), `secondary ADDRESS:PORT`, and
/// `push ADDRESS SILENCE`: its target is told, for 90 s if nothing is said and 10 min at most.
pub(super) fn configuration(text: &str) -> Configuration {
    let of = |word: &str| text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_string).collect::<Vec<_>>();
    let (serials, secondaries, pushes) = (of("serial "), of("secondary "), of("push "));
    let ours = |line: &&str| ["serial ", "secondary ", "push "].iter().any(|word| line.starts_with(word));
    let text: String = text.lines().filter(|line| !ours(line)).map(|line| format!("{line}\n")).collect();
    let serial: u32 = serials.first().map_or(7, |serial| serial.parse().expect("a number"));
    let apex = "example.com".parse().expect("a name");
    let name = |text: &str| text.parse::<crate::wire::Name>().expect("a name").wire().to_vec();
    let soa: Vec<u8> =
        [name("ns.example.com"), name("hostmaster.example.com"), serial.to_be_bytes().to_vec(), [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5].to_vec()]
            .concat();
    let sets = vec![
        RecordSet { owner: crate::wire::Name::clone(&apex), rtype: 6, ttl: 60, rdata: vec![soa.into()] },
        RecordSet { owner: apex.clone(), rtype: 2, ttl: 60, rdata: vec![name("ns.example.com").into()] },
    ];
    let mut estate = estate(&text);
    let secondaries: Vec<Secondary> = secondaries.iter().map(|address| Secondary { address: address.parse().expect("an address"), key: None }).collect();
    for push in &pushes {
        let (address, silence) = push.split_once(' ').expect("two words");
        let silence = if silence == "down" { Silence::Down } else { Silence::Unknown };
        let check = Check::Push(PushCheck { ttl: Duration::from_secs(90), ttl_max: Duration::from_secs(600), silence });
        let once = Thresholds { down_after: 1, ok_after: 1, up_after: 1 };
        let monitor = Monitor { name: format!("told-{silence:?}").to_lowercase(), check, thresholds: once, ..estate.monitors[0].clone() };
        estate.monitors.push(monitor);
        let target = estate.targets.iter_mut().find(|target| target.address.to_string() == address).expect("a target");
        target.monitor = MonitorId::at(estate.monitors.len() - 1);
        target.key = format!("told@{address}#0").into();
        let (judgement, key) = (target.judgement, target.key.clone());
        let judgement = &mut estate.judgements[judgement.index()];
        (judgement.thresholds, judgement.key) = (once, key);
    }
    if !secondaries.is_empty() {
        estate.secondaries.push((apex.clone(), secondaries.into()));
    }
    let clients = Arc::new(Clients::build(&estate, &Questions::of(&estate), &Origins::default()));
    Configuration {
        estate: Arc::new(estate),
        zones: vec![Arc::new(Zone { apex, sets })],
        answers: Arc::default(),
        clients,
        databases: Default::default(),
        needs_restart: Vec::new(),
        hash: "0123456789abcdef".into(),
    }
}

/// With clients told apart by what is asked in it, and by operators.
fn told_apart(configuration: Configuration, asked: &[PolicyForm], origins: &Origins) -> Configuration {
    let estate = &configuration.estate;
    let clients = Arc::new(Clients::build(estate, &Questions::of(estate).with_forms(estate, asked), origins));
    Configuration { clients, ..configuration }
}

impl World {
    /// Nothing stored, nothing probed yet.
    pub(super) fn fresh(text: &str) -> Self {
        Self::from_disk(text, Vec::new(), Revision(0), Timestamp(WALL))
    }

    /// After a first round in which everything passed.
    pub(super) fn new(text: &str) -> Self {
        let mut world = Self::fresh(text);
        for target in 0..world.core.estate().targets.len() {
            world.probe(TargetId::at(target), true);
        }
        world.settle();
        world
    }

    /// A new process on what the old one left, `away` later.
    pub(super) fn restart(&self, text: &str, away: Duration) -> Self {
        Self::from_disk(text, self.disk.clone(), self.disk_revision, self.now.wall.plus(away))
    }

    /// A new process that takes over at this moment.
    pub(super) fn succeed(&self, text: &str) -> Self {
        let legacy = serde_json::to_vec(&self.core.legacy(self.now)).expect("it is written");
        let legacy = serde_json::from_slice(&legacy).expect("it is read");
        Self::begin(text, self.disk.clone(), self.disk_revision, self.now, Some(legacy))
    }

    fn from_disk(text: &str, disk: Vec<Stored>, disk_revision: Revision, wall: Timestamp) -> Self {
        Self::begin(text, disk, disk_revision, Now { mono: Duration::ZERO, wall }, None)
    }

    fn begin(text: &str, disk: Vec<Stored>, disk_revision: Revision, now: Now, legacy: Option<Legacy>) -> Self {
        let mut stored = disk.clone();
        let configuration = configuration(text);
        let latency = Latency::take(&mut stored, legacy.as_ref(), configuration.estate.latency, now);
        let origins = Origins { measured: Arc::new(latency.measured()), ..Origins::default() };
        let configuration = told_apart(configuration, &crate::control::asked_by_stored(&disk), &origins);
        let start = Start { configuration, stored, latency, revision: disk_revision, stale_after: Duration::from_secs(600), without_store: false };
        let mut core = Core::start(start, now);
        if let Some(legacy) = legacy {
            core.continue_from(&legacy, now);
        }
        let mut world = Self {
            core,
            now,
            disk,
            disk_revision,
            store_works: true,
            publishes: 0,
            snapshot: None,
            announced: Vec::new(),
            served: false,
            replies: Vec::new(),
            notices: Vec::new(),
            measures: Vec::new(),
            happenings: Vec::new(),
            wake_at: None,
            classified: 0,
            plans: Vec::new(),
            commits: Vec::new(),
            break_glass: Vec::new(),
            actor: "token:anna",
            reason: "CHG-1",
            origins: Origins::default(),
            tells_apart: true,
            apart: Vec::new(),
            tickets: 0,
        };
        world.settle();
        world
    }

    /// Settles and carries out all that follows.
    pub(super) fn settle(&mut self) {
        let mut effects = Effects::new();
        self.core.settle(self.now, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, mut effects: Effects) {
        while !effects.is_empty() {
            let mut next = Effects::new();
            for effect in effects {
                match effect {
                    Effect::Publish(snapshot) => {
                        self.publishes += 1;
                        self.snapshot = Some(snapshot);
                    }
                    Effect::Secondaries(announced) => self.announced.push(announced),
                    Effect::Serve => self.served = true,
                    Effect::Probe { plan, hurry, .. } => self.plans.push((plan, hurry)),
                    Effect::Reply { ticket, reply } => self.replies.push((ticket, reply)),
                    Effect::Measure { shift, step, analysis, .. } => self.measures.push((shift, step, analysis)),
                    Effect::Heard { .. } => {}
                    Effect::Classify => self.classified += 1,
                    Effect::TellApart { estate, asked } if !self.tells_apart => self.apart.push((estate, asked)),
                    Effect::TellApart { estate, asked } => {
                        let made = Ok(self.clients(&estate, &asked));
                        self.core.handle(self.now, Event::ToldApart { estate, made }, &mut next);
                        self.core.settle(self.now, &mut next);
                    }
                    Effect::Tell(notice) => self.notices.push(notice),
                    Effect::Happened(happening) => self.happenings.push(happening),
                    Effect::WakeAt(at) => self.wake_at = at,
                    Effect::Commit { commit, expect, ops, learned } => {
                        self.commits.push((ops.clone(), learned));
                        let event = if self.store_works && !self.is_as_expected(&expect) {
                            Event::CommitFailed { commit, why: "a record is not as expected".into(), conflict: true }
                        } else if self.store_works {
                            self.write(ops, learned);
                            Event::Committed { commit, revision: self.disk_revision }
                        } else {
                            Event::CommitFailed { commit, why: "disk full".into(), conflict: false }
                        };
                        self.core.handle(self.now, event, &mut next);
                        self.core.settle(self.now, &mut next);
                    }
                }
            }
            effects = next;
        }
    }

    /// Told apart by what the file asks, and what these do.
    pub(super) fn clients(&self, estate: &Estate, asked: &[PolicyForm]) -> Arc<Clients> {
        Arc::new(Clients::build(estate, &Questions::of(estate).with_forms(estate, asked), &self.origins))
    }

    /// Databases that are replaced say this from now on.
    pub(super) fn databases(&mut self, origins: Origins) {
        self.origins = origins;
        let estate = self.core.estate().clone();
        let clients = self.clients(&estate, &self.core.asked_by_operators());
        self.event(Event::Databases { estate, clients, databases: Default::default() });
    }

    /// Effective IPv4 shares for one client: `prod 80, dr 20`.
    pub(super) fn answers_for(&self, service: &str, client: &str) -> String {
        let view = self.core.service(self.service(service));
        let (class, _) = self.core.configuration().clients.find(client.parse().expect("an address"));
        let leaves = &view.decision.of_class(class).0[Family::V4.index()].leaves;
        let part = |leaf: &crate::policy::Leaf| format!("{} {}", self.core.estate().pool(leaf.pools[0]).name, (leaf.share * 100.0).round());
        leaves.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    fn is_as_expected(&self, expect: &[(Key, Expect)]) -> bool {
        let found = |key: &Key| self.disk.iter().find(|stored| stored.key == *key).map(|stored| stored.revision);
        expect.iter().all(|(key, expected)| match expected {
            Expect::Absent => found(key).is_none(),
            Expect::At(revision) => found(key) == Some(*revision),
        })
    }

    fn write(&mut self, ops: Vec<Op>, learned: bool) {
        self.disk_revision.0 += u64::from(!learned);
        for op in ops {
            let key = match &op {
                Op::Put(key, _) | Op::Delete(key) => key.clone(),
            };
            self.disk.retain(|stored| stored.key != key);
            if let Op::Put(key, record) = op {
                self.disk.push(Stored { key, record, revision: self.disk_revision });
            }
        }
    }

    /// What the disk holds at `key`.
    pub(super) fn on_disk(&self, key: &Key) -> Option<&Record> {
        self.disk.iter().find(|stored| stored.key == *key).map(|stored| &stored.record)
    }

    /// One event, settled.
    pub(super) fn event(&mut self, event: Event) {
        let mut effects = Effects::new();
        self.core.handle(self.now, event, &mut effects);
        self.core.settle(self.now, &mut effects);
        self.carry_out(effects);
    }

    /// One outcome of the plan in force.
    pub(super) fn probe(&mut self, target: TargetId, passed: bool) {
        let (plan, report) = (self.core.plan(), report(passed, self.now));
        self.event(Event::Probed { plan, target, report });
    }

    /// An outside system tells of `pool/name`.
    pub(super) fn push(&mut self, endpoint: &str, passed: bool, ttl: Option<u64>) -> Result<Applied, Refusal> {
        let (pool, endpoint) = endpoint.split_once('/').expect("pool/name");
        let (pool, endpoint, ttl) = (pool.to_string(), endpoint.to_string(), ttl.map(Duration::from_secs));
        self.push_all(Push { actor: Actor("token:ci".into()), pool, endpoint, monitor: None, passed, message: "disk\u{7} full".into(), ttl })
    }

    pub(super) fn push_all(&mut self, push: Push) -> Result<Applied, Refusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.event(Event::Push { ticket, push });
        let at = self.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
        self.replies.remove(at).1
    }

    /// Somebody tells how much is asked of a pool.
    pub(super) fn load(&mut self, pool: &str, load: f64) -> Result<Applied, Refusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.event(Event::Loaded { ticket, push: LoadPush { actor: Actor("token:ci".into()), pool: pool.to_string(), load } });
        let at = self.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
        self.replies.remove(at).1
    }

    /// A probe that passes and reads how much is asked of its endpoint.
    pub(super) fn reads(&mut self, target: usize, load: f64) {
        let load = crate::model::Load::new(load).map(crate::health::LoadRead::Told);
        let (plan, report) = (self.core.plan(), crate::health::ProbeReport { load, ..report(true, self.now) });
        self.event(Event::Probed { plan, target: TargetId::at(target), report });
    }

    /// Outcomes for every endpoint of a pool until its verdict is there.
    pub(super) fn turn(&mut self, pool: &str, state: State) {
        let estate = self.core.estate().clone();
        let pool = estate.pool_named(pool).expect("a pool");
        for target in 0..estate.targets.len() {
            if estate.endpoints_of(TargetId::at(target)).any(|endpoint| estate.endpoint(endpoint).pool == pool) {
                while self.core.health().judgement(JudgementId::at(target)).state != state {
                    self.probe(TargetId::at(target), state == State::Up);
                }
            }
        }
    }

    /// Time passes, with a tick at its end if one was asked for.
    pub(super) fn later(&mut self, seconds: u64) {
        let span = Duration::from_secs(seconds);
        self.now = Now { mono: self.now.mono + span, wall: self.now.wall.plus(span) };
        if self.wake_at.is_some_and(|at| at <= self.now.mono) {
            self.wake_at = None;
            self.event(Event::Tick);
        }
    }

    /// A change by anna, at whatever revision.
    pub(super) fn change(&mut self, change: Change) -> Result<Applied, Refusal> {
        self.wish(change, None, false)
    }

    pub(super) fn wish(&mut self, change: Change, expect: Option<Revision>, dry_run: bool) -> Result<Applied, Refusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let break_glass = std::mem::take(&mut self.break_glass);
        let (actor, reason) = (Actor(self.actor.to_string()), self.reason.to_string());
        let origin = crate::control::Origin { peer: "192.0.2.9".into(), request: "r-1".into(), claim: None };
        self.event(Event::Change { ticket, origin, actor, reason, change, expect, expect_file: None, break_glass, dry_run });
        let at = self.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
        self.replies.remove(at).1
    }

    /// Another configuration.
    pub(super) fn reload(&mut self, text: &str) -> Result<Applied, Refusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let by = crate::control::ReloadBy {
            actor: self.actor.to_string(),
            reason: self.reason.to_string(),
            break_glass: std::mem::take(&mut self.break_glass),
            ..Default::default()
        };
        let configuration = told_apart(configuration(text), &self.core.asked_by_operators(), &self.origins);
        self.event(Event::Reload { ticket, configuration, by });
        let at = self.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
        self.replies.remove(at).1
    }

    pub(super) fn service(&self, name: &str) -> ServiceId {
        self.core.estate().service_named(name).expect("a service")
    }

    /// Effective IPv4 shares: `prod 80, dr 20`; pools without a share are left out.
    pub(super) fn answers(&self, service: &str) -> String {
        let shares = self.core.effective(self.service(service), Family::V4);
        shares.iter().filter(|(_, share)| *share > 0.0).map(|(pool, share)| format!("{pool} {}", (share * 100.0).round())).collect::<Vec<_>>().join(", ")
    }
}

/// `failover orders --to dr`
pub(super) fn failover(service: &str, to: Option<&str>) -> Change {
    Change::Failover { service: service.into(), to: to.map(Into::into) }
}

/// `PUT traffic` with a policy as in estate texts.
pub(super) fn traffic(service: &str, form: &str) -> Change {
    Change::Traffic { service: service.into(), form: crate::health::testing::form(form) }
}
