//! A core with an imagined store: commits are done when the test says so.

use std::sync::Arc;
use std::time::Duration;

use crate::control::{
    Actor, Announced, Applied, Change, Configuration, Core, Effect, Effects, Event, Key, Legacy, Notice, Op, Record, Refusal, Reply, Revision, Start, Stored,
    Ticket,
};
use crate::health::State;
use crate::health::testing::estate;
use crate::model::{Family, JudgementId, Now, Secondary, ServiceId, TargetId, Timestamp};
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
    pub(super) wake_at: Option<Duration>,
    pub(super) plans: Vec<(u64, bool)>,
    /// Commits with their operations, oldest first.
    pub(super) commits: Vec<(Vec<Op>, bool)>,
    tickets: u64,
}

/// The estate text with the zone that its service names lie in. Lines of ours: `serial N` of that zone (7), `secondary ADDRESS:PORT`.
pub(super) fn configuration(text: &str) -> Configuration {
    let of = |word: &str| text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_string).collect::<Vec<_>>();
    let (serials, secondaries) = (of("serial "), of("secondary "));
    let text: String = text.lines().filter(|line| !line.starts_with("serial ") && !line.starts_with("secondary ")).map(|line| format!("{line}\n")).collect();
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
    if !secondaries.is_empty() {
        estate.secondaries.push((apex.clone(), secondaries.into()));
    }
    Configuration { estate: Arc::new(estate), zones: vec![Arc::new(Zone { apex, sets })], answers: Arc::default(), needs_restart: Vec::new() }
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
        let start = Start {
            configuration: configuration(text),
            stored: disk.clone(),
            revision: disk_revision,
            stale_after: Duration::from_secs(600),
            without_store: false,
        };
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
            happenings: Vec::new(),
            wake_at: None,
            plans: Vec::new(),
            commits: Vec::new(),
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
                    Effect::Tell(notice) => self.notices.push(notice),
                    Effect::Happened(happening) => self.happenings.push(happening),
                    Effect::WakeAt(at) => self.wake_at = at,
                    Effect::Commit { commit, ops, learned, .. } => {
                        self.commits.push((ops.clone(), learned));
                        let event = if self.store_works {
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
        self.event(Event::Change {
            ticket,
            origin: crate::control::Origin { peer: "192.0.2.9".into(), request: "r-1".into() },
            actor: Actor("token:anna".into()),
            reason: "CHG-1".into(),
            change,
            expect,
            expect_file: None,
            dry_run,
        });
        let at = self.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
        self.replies.remove(at).1
    }

    /// Another configuration.
    pub(super) fn reload(&mut self, text: &str) -> Result<Applied, Refusal> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.event(Event::Reload { ticket, configuration: configuration(text) });
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
