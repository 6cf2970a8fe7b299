//! A small world for tests: an estate, its health, overrides and one memory per service, moved by hand.
//!
//! Estates are written as in [`crate::health::testing`]. Answers come out as text: `prod 80, dr 20` on rung `policy`, `dr 100 standby`, `nodata`, `servfail`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::Clients;
use crate::health::testing::estate;
use crate::health::{Guard, HealthTable, Outcome, ProbeReport, Reason, Reported, State};
use crate::model::{EndpointId, Estate, Family, JudgementId, Now, ServiceId, TargetId, Timestamp};

use super::{Crowded, Decision, Facts, FamilyDecision, Hold, Memory, Override, OverrideKind, OverrideTarget, Rung, Step, Verdict};

/// Everything that decisions depend on.
pub(crate) struct World {
    pub(crate) estate: Estate,
    pub(crate) health: HealthTable,
    /// Keeps nothing, unless a test feeds it.
    pub(crate) guard: Guard,
    pub(crate) overrides: Vec<Override>,
    /// As `control` would say.
    pub(crate) outdated: BTreeMap<crate::model::PoolId, std::sync::Arc<str>>,
    pub(crate) crowded: BTreeMap<crate::model::PoolId, Crowded>,
    pub(crate) memories: Vec<Memory>,
    pub(crate) now: Now,
    /// Everybody is unknown, unless a test says otherwise.
    pub(crate) clients: Clients,
}

/// A probe's report with this outcome.
pub(crate) fn report(passed: bool, now: Now) -> ProbeReport {
    let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Timeout, message: "no answer within 3s while connecting".into() } };
    ProbeReport::new(outcome, now.wall, Duration::from_millis(5))
}

/// A degraded pass.
pub(crate) fn slow() -> Outcome {
    Outcome::Degraded { message: "it took 950ms, more than 800ms".to_string() }
}

impl World {
    /// Before the first outcome.
    pub(crate) fn fresh(text: &str) -> Self {
        let estate = estate(text);
        let now = Now { mono: Duration::from_secs(1000), wall: Timestamp(1_800_000_000_000) };
        let health = HealthTable::new(&estate, now);
        let memories = vec![Memory::default(); estate.services.len()];
        let guard = Guard::new(&estate, &health);
        Self { estate, health, guard, overrides: Vec::new(), outdated: BTreeMap::new(), crowded: BTreeMap::new(), memories, now, clients: Clients::default() }
    }

    /// After a first round in which everything passed, and with every service decided once.
    pub(crate) fn new(text: &str) -> Self {
        let mut world = Self::fresh(text);
        for target in 0..world.estate.targets.len() {
            world.probe(TargetId::at(target), true);
        }
        world.settle();
        world
    }

    /// One outcome.
    pub(crate) fn probe(&mut self, target: TargetId, passed: bool) {
        self.health.observe(&self.estate, target, report(passed, self.now), self.now);
    }

    /// Any outcome, perhaps with what it told of its weight.
    pub(crate) fn finds(&mut self, target: TargetId, outcome: Outcome, reported: Option<Reported>) {
        let report = ProbeReport { reported, ..ProbeReport::new(outcome, self.now.wall, Duration::from_millis(5)) };
        self.health.observe(&self.estate, target, report, self.now);
    }

    /// Probes pass degraded until the mark stands, or cleanly until it is gone; every service is decided.
    pub(crate) fn degrade(&mut self, what: &str, degraded: bool) {
        for endpoint in self.endpoints(what) {
            let Some(target) = self.estate.targets_of(endpoint).next() else { continue };
            while self.health.target(target).quality.degraded_since.is_some() != degraded {
                self.finds(target, if degraded { slow() } else { Outcome::Pass }, None);
            }
        }
        self.settle();
    }

    /// A clean pass that tells this weight or load; every service is decided.
    pub(crate) fn tells(&mut self, what: &str, told: f64) {
        for endpoint in self.endpoints(what) {
            let Some(target) = self.estate.targets_of(endpoint).next() else { continue };
            self.finds(target, Outcome::Pass, Some(Reported::Number(told)));
        }
        self.settle();
    }

    /// Outcomes until the verdict is there. `what`: `prod`, `prod/10.0.0.1`, or `prod v6` for one family.
    pub(crate) fn turn(&mut self, what: &str, state: State) {
        for endpoint in self.endpoints(what) {
            let targets: Vec<TargetId> = self.estate.targets_of(endpoint).collect();
            while !targets.is_empty() && self.health.endpoint(&self.estate, endpoint) != state {
                targets.iter().for_each(|target| self.probe(*target, state == State::Up));
            }
        }
    }

    /// One more outcome that agrees with its verdict, Up; every service is decided.
    pub(crate) fn turn_again(&mut self, what: &str) {
        for endpoint in self.endpoints(what) {
            let targets: Vec<TargetId> = self.estate.targets_of(endpoint).collect();
            targets.into_iter().for_each(|target| self.probe(target, true));
        }
        self.settle();
    }

    /// Up for certain: verdict and decision of every service.
    pub(crate) fn up(&mut self, what: &str) {
        self.turn(what, State::Up);
        self.settle();
    }

    /// Down: verdict and decision of every service.
    pub(crate) fn down(&mut self, what: &str) {
        self.turn(what, State::Down);
        self.settle();
    }

    /// Time passes; every service is decided.
    pub(crate) fn later(&mut self, seconds: u64) {
        let span = Duration::from_secs(seconds);
        self.now = Now { mono: self.now.mono + span, wall: self.now.wall.plus(span) };
        self.settle();
    }

    /// A new process: verdicts and stored memory come back, `mono` begins anew.
    pub(crate) fn restart(&mut self) {
        let before = std::mem::take(&mut self.health);
        self.now.mono = Duration::ZERO;
        self.health = HealthTable::new(&self.estate, self.now);
        for host in (0..self.estate.hosts.len()).map(crate::model::HostId::at) {
            self.health.resolved(&self.estate, host, before.host(host).clone(), self.now);
        }
        for judgement in (0..self.estate.judgements.len()).map(JudgementId::at) {
            let known = before.judgement(judgement);
            self.health.restore(&self.estate, judgement, known.state, known.since, self.now);
        }
        for memory in &mut self.memories {
            let Memory { held, last, first, .. } = std::mem::take(memory);
            *memory = Memory { held, last, first, ..Memory::default() };
        }
        self.settle();
    }

    /// The resolver has found these addresses for a host name; every service is decided. `trouble`: they are old.
    pub(crate) fn resolves(&mut self, name: &str, addresses: &str, ttl: u32, trouble: Option<&str>) {
        self.found(name, addresses, ttl, trouble);
        self.settle();
    }

    /// The same, and nothing is decided yet.
    pub(crate) fn found(&mut self, name: &str, addresses: &str, ttl: u32, trouble: Option<&str>) {
        let host = self.estate.host_named(&crate::wire::Name::parse(name).expect("a name")).expect("a host name");
        let all: Vec<std::net::IpAddr> = addresses.split_whitespace().map(|word| word.parse().expect("an address")).collect();
        let of = |family| all.iter().copied().filter(|address| Family::of(*address) == family).collect();
        let found = crate::health::HostFound { addresses: Family::ALL.map(of), ttl, at: self.now.wall };
        let found = (!all.is_empty()).then(|| std::sync::Arc::new(found));
        self.health.resolved(&self.estate, host, crate::health::HostHealth { found, trouble: trouble.map(Into::into) }, self.now);
    }

    /// Data of a pool grows too old, or is synchronised; every service is decided.
    pub(crate) fn data(&mut self, pool: &str, old: bool) {
        let id = self.estate.pool_named(pool).expect("a pool");
        match old {
            true => drop(self.outdated.insert(id, "its data is old".into())),
            false => drop(self.outdated.remove(&id)),
        }
        self.settle();
    }

    /// A pool is asked for more than it declares, and sheds (`true`) or only takes nothing; or for less again (`None`). Every service is decided.
    pub(crate) fn load(&mut self, pool: &str, sheds: Option<bool>) {
        let id = self.estate.pool_named(pool).expect("a pool");
        match sheds {
            Some(sheds) => drop(self.crowded.insert(id, Crowded { sheds, why: "its load of 85 is over 80".into() })),
            None => drop(self.crowded.remove(&id)),
        }
        self.settle();
    }

    /// Begins an override: `drain pool prod`, `force_down endpoint prod/10.0.0.1`, `force_up region west for orders`.
    pub(crate) fn begin(&mut self, text: &str) {
        let (text, services) = text.split_once(" for ").map_or((text, None), |(text, service)| (text, Some(vec![self.service(service)])));
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind, level, name] = words.as_slice() else { panic!("not an override: {text}") };
        let kind = match *kind {
            "drain" => OverrideKind::Drain,
            "force_up" => OverrideKind::ForceUp,
            "force_down" => OverrideKind::ForceDown,
            "approve" => OverrideKind::Approve,
            _ => panic!("not an override: {text}"),
        };
        let target = match *level {
            "region" => OverrideTarget::Region(self.estate.region_named(name).expect("a region")),
            "pool" => OverrideTarget::Pool(self.estate.pool_named(name).expect("a pool")),
            _ => OverrideTarget::Endpoint(self.endpoints(name)[0]),
        };
        let id = format!("o-{}", self.overrides.len() + 1).into();
        self.overrides.push(Override { id, kind, target, reach: super::Reach::Name, services });
        self.settle();
    }

    /// Ends the override that [`Self::begin`] began with the same words.
    pub(crate) fn end_all_overrides(&mut self) {
        self.overrides.clear();
        self.settle();
    }

    /// An operator's failback.
    pub(crate) fn failback(&mut self, service: &str, pool: Option<&str>) {
        let pool = pool.map(|name| self.estate.pool_named(name).expect("a pool"));
        let id = self.service(service);
        self.memories[id.index()].end_holds(pool);
        self.settle();
    }

    /// Decides every service and remembers.
    pub(crate) fn settle(&mut self) {
        for service in (0..self.estate.services.len()).map(ServiceId::at) {
            let decision = self.decide_id(service);
            self.memories[service.index()] = decision.memory;
        }
    }

    /// Decides, and checks what must hold for every decision.
    fn decide_id(&self, id: ServiceId) -> Decision {
        let service = self.estate.service(id);
        let decision = super::decide(service, &service.policy, &self.facts(), &self.memories[id.index()], self.now);
        let again = super::decide(service, &service.policy, &self.facts(), &decision.memory, self.now);
        assert_eq!(decision, again, "deciding again with its own memory gives the same");
        decision
    }

    pub(crate) fn decide(&self, service: &str) -> Decision {
        self.decide_id(self.service(service))
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            estate: &self.estate,
            health: &self.health,
            guard: &self.guard,
            overrides: &self.overrides,
            outdated: &self.outdated,
            crowded: &self.crowded,
            clients: &self.clients,
            planned: &crate::policy::NO_PLANS,
        }
    }

    /// What a service answers for A.
    pub(crate) fn answers(&self, service: &str) -> String {
        self.text(&self.decide(service).families[Family::V4.index()])
    }

    /// What a service answers for AAAA.
    pub(crate) fn answers_v6(&self, service: &str) -> String {
        self.text(&self.decide(service).families[Family::V6.index()])
    }

    /// The addresses of each leaf, `|` between leaves.
    pub(crate) fn addresses(&self, service: &str, family: Family) -> String {
        let leaves = &self.decide(service).families[family.index()].leaves;
        let of = |leaf: &super::Leaf| {
            let all = (0..leaf.endpoints.len()).flat_map(|at| leaf.addresses_at(&self.estate, at));
            all.map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        leaves.iter().map(of).collect::<Vec<_>>().join(" | ")
    }

    /// Held pools, as `prod`, `prod v6`.
    pub(crate) fn held(&self, service: &str) -> String {
        let name = |hold: &Hold| format!("{}{}", self.estate.pool(hold.pool).name, if hold.family == Family::V6 { " v6" } else { "" });
        self.decide(service).memory.held.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    /// The steps of a decision, one a line, `topic: text`.
    pub(crate) fn explain(&self, service: &str) -> String {
        let id = self.service(service);
        let (service, mut steps) = (self.estate.service(id), Vec::new());
        super::explain(service, &service.policy, &self.facts(), &self.memories[id.index()], self.now, &mut |step| steps.push(step()));
        steps.into_iter().map(|Step { topic, text }| format!("{topic}: {text}\n")).collect()
    }

    pub(crate) fn service(&self, name: &str) -> ServiceId {
        self.estate.service_named(name).unwrap_or_else(|| panic!("no service {name}"))
    }

    pub(crate) fn text(&self, decision: &FamilyDecision) -> String {
        match decision.verdict {
            Verdict::NoData => "nodata".into(),
            Verdict::ServFail(_) => "servfail".into(),
            Verdict::Answer => {
                let leaves = decision.leaves.iter().map(|leaf| {
                    let pools = leaf.pools.iter().map(|pool| &*self.estate.pool(*pool).name).collect::<Vec<_>>().join("+");
                    let rung = if leaf.rung == Rung::Policy { String::new() } else { format!(" {}", leaf.rung.word()) };
                    format!("{pools} {}{rung}", (leaf.share * 10_000.0).round() / 100.0)
                });
                leaves.collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn endpoints(&self, what: &str) -> Vec<EndpointId> {
        let (what, family) = what.split_once(' ').map_or((what, None), |(what, family)| (what, Some(if family == "v6" { Family::V6 } else { Family::V4 })));
        let (pool, name) = what.split_once('/').map_or((what, None), |(pool, name)| (pool, Some(name)));
        let pool = self.estate.pool_named(pool).unwrap_or_else(|| panic!("no pool {pool}"));
        let wanted = |id: &EndpointId| {
            let endpoint = self.estate.endpoint(*id);
            name.is_none_or(|name| *endpoint.name == *name) && family.is_none_or(|family| self.health.is_in_family(&self.estate, *id, family))
        };
        self.estate.pool(pool).endpoints.iter().copied().filter(wanted).collect()
    }
}
