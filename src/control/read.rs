//! Looking at the core: what explain, status, the API and metrics read. Changes nothing.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::client::{ClassId, DatabaseInfo};
use crate::health::HealthTable;
use crate::model::{Estate, Family, Node, Now, PolicyForm, PoolId, Service, ServiceId, SubnetSettings, Timestamp};
use crate::policy::{self, Decision, Facts, Memory, Step};
use crate::snapshot::CellMap;
use crate::zone::Zone;

use super::core::{Core, StoreState};
use super::event::Configuration;
use super::record::{History, OverrideRecord, Revision, Source, TrafficRecord};

/// A service as it stands: what explain, status and metrics read.
#[derive(Debug)]
pub struct ServiceView<'a> {
    /// Its id in the present estate.
    pub id: ServiceId,
    /// Its definition.
    pub service: &'a Service,
    /// Whose policy is in force.
    pub source: Source,
    /// The store's counter at the last change of its traffic; 0 before the first.
    pub revision: Revision,
    /// Stable hash of the file's policy form; with `revision` it makes the ETag.
    pub file_hash: u64,
    /// The last change by an operator.
    pub traffic: Option<&'a TrafficRecord>,
    /// The form in force.
    pub form: &'a PolicyForm,
    /// The tree in force.
    pub policy: &'a Arc<Node>,
    /// What it answers now.
    pub decision: &'a Decision,
    /// What it remembers: holds, last answering pools.
    pub memory: &'a Memory,
    /// Stored traffic that can't be used, and why (SEMANTICS, 16).
    pub unusable: Option<&'a str>,
    /// The override that freezes it.
    pub frozen: Option<u64>,
    /// Why guards put off the end of a hold whose time has come.
    pub waits: Option<&'a str>,
}

/// An override as it stands.
#[derive(Debug)]
pub struct Override<'a> {
    /// The N of `o-N`.
    pub id: u64,
    /// What it says.
    pub record: &'a OverrideRecord,
    /// The store's counter at its last change.
    pub revision: Revision,
    /// Something in the present estate fits its target.
    pub matched: bool,
}

/// The core in one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The store's counter.
    pub revision: Revision,
    /// Of the published snapshot.
    pub generation: u64,
    /// Probe outcomes of plans that no longer run.
    pub ignored_outcomes: u64,
    /// When the configuration in force was taken.
    pub configured_at: Timestamp,
    /// Keys that changed in the file and wait for a restart.
    pub needs_restart: Vec<String>,
    /// Does the store work?
    pub store: StoreHealth,
    /// Of every file of the configuration in force, in one word.
    pub config_hash: Arc<str>,
}

/// Does the store work?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// The last commit was made.
    pub up: bool,
    /// What the last failed one said.
    pub why: Option<String>,
}

/// Shares by the names of pools.
pub type NamedShares = Vec<(Arc<str>, f64)>;

impl Core {
    /// Everything that exists.
    pub fn estate(&self) -> &Arc<Estate> {
        &self.configuration.estate
    }

    /// Static records.
    pub fn zones(&self) -> &[Arc<Zone>] {
        &self.configuration.zones
    }

    /// Verdicts.
    pub fn health(&self) -> &HealthTable {
        &self.health
    }

    /// What policy sees: for views of pools and endpoints.
    pub fn policy_facts(&self) -> Facts<'_> {
        self.facts()
    }

    /// What is known of clients, from where.
    pub fn databases(&self) -> &[DatabaseInfo] {
        &self.configuration.databases
    }

    /// Which counter cell belongs to which service, pools and rung.
    pub fn cells(&self) -> &CellMap {
        &self.cells
    }

    /// Number of the probe plan in force; outcomes of others are ignored.
    pub fn plan(&self) -> u64 {
        self.plan
    }

    /// Counters and store.
    pub fn overview(&self) -> Overview {
        let store = match &self.store {
            StoreState::Up => StoreHealth { up: true, why: None },
            StoreState::Down(why) => StoreHealth { up: false, why: Some(why.clone()) },
            StoreState::Absent => StoreHealth { up: false, why: Some("started with --without-store".to_string()) },
        };
        Overview {
            revision: self.revision,
            generation: self.generation,
            ignored_outcomes: self.ignored_outcomes,
            configured_at: self.configured_at,
            needs_restart: self.configuration.needs_restart.clone(),
            store,
            config_hash: self.configuration.hash.clone(),
        }
    }

    /// One service as it stands.
    #[allow(clippy::indexing_slicing, reason = "one state per service of the estate, and ids never leave it")]
    pub fn service(&self, id: ServiceId) -> ServiceView<'_> {
        let service = self.configuration.estate.service(id);
        let state = &self.services[id.index()];
        let traffic = self.traffic.get(&service.name);
        ServiceView {
            id,
            service,
            source: state.rules.source,
            revision: traffic.map_or(Revision(0), |(_, revision)| *revision),
            file_hash: hash_of(&service.form),
            traffic: traffic.map(|(record, _)| record),
            form: &state.rules.form,
            policy: &state.rules.tree,
            decision: state.decided.as_ref().map_or(&self.undecided, |decided| &decided.decision),
            memory: &state.memory,
            unusable: state.unusable.as_deref(),
            frozen: self.overrides.frozen.get(&id).copied(),
            waits: state.waits.as_deref(),
        }
    }

    /// What services answer now: each decision once, however many come to it.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        let mut seen = HashSet::new();
        let decided = self.services.iter().filter_map(|state| state.decided.as_ref());
        decided.filter(move |decided| seen.insert(Arc::as_ptr(decided))).map(|decided| &decided.decision)
    }

    /// Shares by pool if everything were up: what is asked for, with the order that `one_way` has made of it. 0 for standby pools.
    pub fn desired(&self, id: ServiceId) -> Vec<(Arc<str>, f64)> {
        let (view, family) = (self.service(id), self.main_family(id));
        let first = view.memory.first[family.index()].as_deref();
        self.named(policy::desired_with(&policy::ordered(&self.configuration.estate, view.service.failback, view.policy, first), view.service.trickle))
    }

    /// Shares by pool as answered now in one family, 0 for the tree's other pools.
    pub fn effective(&self, id: ServiceId, family: Family) -> NamedShares {
        let view = self.service(id);
        self.named(policy::effective(&view.decision.families[family.index()], view.policy))
    }

    /// The same for clients who get something else: the first class of each such answer.
    pub fn effective_by_client(&self, id: ServiceId, family: Family) -> Vec<(ClassId, NamedShares)> {
        let view = self.service(id);
        let mut seen = HashSet::from([view.decision.number_of(ClassId::UNKNOWN)]);
        let classes = self.configuration.clients.classes().filter(|_| view.decision.by_client.is_some());
        let others = classes.filter(|class| seen.insert(view.decision.number_of(*class)));
        others.map(|class| (class, self.named(policy::effective(&view.decision.of_class(class).0[family.index()], view.policy)))).collect()
    }

    /// The conditions that hold for a class, in words.
    pub fn name_of(&self, class: ClassId) -> Option<String> {
        self.configuration.clients.name(class)
    }

    /// The family that shares are shown for: IPv4 unless no pool has an IPv4 endpoint.
    pub fn shown_family(&self, id: ServiceId) -> Family {
        self.main_family(id)
    }

    fn named(&self, shares: Vec<(PoolId, f64)>) -> NamedShares {
        shares.into_iter().map(|(pool, share)| (self.configuration.estate.pool(pool).name.clone(), share)).collect()
    }

    /// The class of a client, and the length of the shortest prefix around it that is of this class.
    pub fn class_of(&self, client: IpAddr) -> (ClassId, u8) {
        self.configuration.clients.find(client)
    }

    /// Decides again and tells each step, for the clients of a class. A frozen service answers by an older decision; the last step says so.
    pub fn explain(&self, id: ServiceId, class: ClassId, now: Now) -> (Decision, Vec<Step>) {
        let view = self.service(id);
        let mut steps = Vec::new();
        let decision = policy::explain_for(view.service, view.policy, &self.facts(), view.memory, now, class, &mut |step| steps.push(step()));
        match self.stands_because(id) {
            Some(stands) => {
                stand(&mut steps, view.decision.of_class(class).1, stands);
                (view.decision.clone(), steps)
            }
            None => (decision, steps),
        }
    }

    /// Why a service answers as decided before, whatever health says.
    pub(super) fn stands_because(&self, id: ServiceId) -> Option<Step> {
        let view = self.service(id);
        let frozen = view.frozen.map(|id| format!("override o-{id} freezes this service: it answers as decided before, whatever health says"));
        let waits = || view.waits.map(|why| format!("its time is over, and guards put that off: {why}"));
        let blind = || self.blind_because().map(|why| format!("this node is blind: {why}; it answers as decided before, whatever health says"));
        let step = |topic, text: Option<String>| text.map(|text| Step { topic, text });
        step("frozen", frozen).or_else(|| step("guards", waits())).or_else(|| step("blind", blind()))
    }

    /// Whose policy a service is answered by, and of which revision.
    pub fn whose(&self, id: ServiceId) -> String {
        let view = self.service(id);
        super::settle::whose(view.source, Some(view.revision))
    }

    /// Which answer the clients of a class get by a policy of the past, and why; `None`: clients are told apart otherwise today than by this mark.
    pub fn tell_client(&self, form: &PolicyForm, mark: u64, class: ClassId) -> Option<(usize, Vec<Step>)> {
        let Configuration { estate, clients, .. } = &self.configuration;
        let tree = estate.resolve(form).ok()?;
        (policy::client_mark(&tree, clients, estate) == mark).then(|| policy::tell_client(&tree, clients, class, estate))
    }

    /// Whose EDNS Client Subnet counts, and how much of it.
    pub fn subnets(&self) -> &SubnetSettings {
        &self.configuration.answers.subnets
    }

    /// Overrides by id.
    pub fn overrides(&self) -> Vec<Override<'_>> {
        self.overrides.kept.iter().map(|(id, kept)| Override { id: *id, record: &kept.record, revision: kept.revision, matched: kept.matched }).collect()
    }

    /// The overrides that act on an endpoint for some service: its own, its tags', its pool's, its region's.
    pub fn overrides_on(&self, endpoint: crate::model::EndpointId) -> Vec<Override<'_>> {
        let estate = &self.configuration.estate;
        self.overrides().into_iter().filter(|kept| kept.record.target.covers_endpoint(estate, endpoint)).collect()
    }

    /// Past changes of a service's traffic, newest first: the store's counter then, and the change.
    pub fn history(&self, service: &str) -> Vec<(Revision, &History)> {
        self.history.get(service).into_iter().flat_map(|entries| entries.values().rev()).map(|(revision, history)| (*revision, history)).collect()
    }
}

/// Steps of a decision that does not count, because a service answers as decided before.
pub(super) fn stand(steps: &mut Vec<Step>, ttl: u32, why: Step) {
    steps.retain(|step| step.topic != "ttl");
    steps.extend([Step { topic: "ttl", text: format!("{ttl} s, as decided before") }, why]);
}

/// The same for equal forms, in every process of one build.
fn hash_of(form: &PolicyForm) -> u64 {
    let mut hasher = DefaultHasher::new();
    form.hash(&mut hasher);
    hasher.finish()
}
