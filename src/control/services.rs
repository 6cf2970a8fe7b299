//! A service as decided last, made of parts that it shares with all services that are decided alike.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AllDown, Answering, Estate, Failback, Interner, Node, PolicyForm, Service, Share, Sticky};
use crate::policy::{Decision, Memory};
use crate::snapshot::{Alike, CellMap, ServiceSlot, Why};

use super::record::Source;

/// A service as decided last.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub rules: Arc<Rules>,
    /// `None`: not yet.
    pub decided: Option<Arc<Decided>>,
    pub memory: Arc<Memory>,
    /// Why stored traffic can't be used.
    pub unusable: Option<Box<str>>,
    /// Its entry in `wakes`.
    pub wake_at: Option<Duration>,
    /// Why guards put off the end of a hold whose time has come.
    pub waits: Option<Arc<str>>,
    /// Why it is answered as it is; `None`: nobody may ask.
    pub why: Option<Arc<Why>>,
    /// For its counters.
    pub slot: ServiceSlot,
}

/// What a service is decided by, beside facts and memory. Shared, so two services have the same rules only if they have the same `Arc`.
#[derive(Debug)]
pub(super) struct Rules {
    pub source: Source,
    /// The policy in force, as written and resolved.
    pub form: Arc<PolicyForm>,
    pub tree: Arc<Node>,
    pub answer: Answering,
    pub ttl: u32,
    pub ttl_min: u32,
    pub max_answers: u16,
    pub failback: Failback,
    pub trickle: Share,
    pub when_all_down: AllDown,
    pub sticky: Option<Sticky>,
}

impl Rules {
    /// All but form and tree, whose identity tells enough: equal ones are shared already.
    fn key(&self) -> impl Hash + Eq + use<> {
        let Self { source, form, tree, answer, ttl, ttl_min, max_answers, failback, trickle, when_all_down, sticky } = self;
        let shared = (Arc::as_ptr(form) as usize, Arc::as_ptr(tree) as usize);
        (*source == Source::File, shared, *answer, *ttl, *ttl_min, *max_answers, *failback, *trickle, *when_all_down, *sticky)
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Rules {}

impl Hash for Rules {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key().hash(hasher);
    }
}

/// A decision with what follows from it alone.
#[derive(Debug)]
pub(super) struct Decided {
    pub decision: Decision,
    max_answers: u16,
    /// Regions that it answers with in either family, by name, joined by `+`; not those that only take what another one sheds: that is no failover.
    pub regions: String,
    pub alike: Alike,
}

/// Everything else follows from these two.
impl PartialEq for Decided {
    fn eq(&self, other: &Self) -> bool {
        self.max_answers == other.max_answers && self.decision == other.decision
    }
}

impl Eq for Decided {}

impl Hash for Decided {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.max_answers, &self.decision).hash(hasher);
    }
}

/// Equal parts of the services of one estate are one.
#[derive(Debug, Default)]
pub(super) struct Shares {
    forms: Interner<PolicyForm>,
    trees: Interner<Node>,
    rules: Interner<Rules>,
    memories: Interner<Memory>,
    decided: Interner<Decided>,
}

impl Shares {
    /// The rules of a service whose file's policy is in force.
    pub(super) fn of_file(&mut self, service: &Service) -> Arc<Rules> {
        self.rules(service, Source::File, service.form.clone(), service.policy.clone())
    }

    /// The rules of a service whose policy operators have set.
    pub(super) fn of_operator(&mut self, service: &Service, form: &PolicyForm, tree: &Node) -> Arc<Rules> {
        let (form, tree) = (self.forms.share(form.clone()), self.trees.share(tree.clone()));
        self.rules(service, Source::Operator, form, tree)
    }

    fn rules(&mut self, service: &Service, source: Source, form: Arc<PolicyForm>, tree: Arc<Node>) -> Arc<Rules> {
        let Service { name: _, names: _, form: _, policy: _, answer, ttl, ttl_min, max_answers, failback, trickle, when_all_down, sticky, metrics: _ } =
            service;
        self.rules.share(Rules {
            source,
            form,
            tree,
            answer: *answer,
            ttl: *ttl,
            ttl_min: *ttl_min,
            max_answers: *max_answers,
            failback: *failback,
            trickle: *trickle,
            when_all_down: *when_all_down,
            sticky: *sticky,
        })
    }

    pub(super) fn memory(&mut self, memory: Memory) -> Arc<Memory> {
        self.memories.share(memory)
    }

    /// Compiled only as far as it is the same for everybody who decides so.
    pub(super) fn decided(&mut self, estate: &Estate, rules: &Rules, decision: Decision, cells: &mut CellMap) -> Arc<Decided> {
        let alike = Alike::compile(estate, rules.max_answers, &decision, cells);
        let regions = regions(estate, &decision);
        self.decided.share(Decided { decision, max_answers: rules.max_answers, regions, alike })
    }
}

fn regions(estate: &Estate, decision: &Decision) -> String {
    let leaves = decision.of_anybody().flatten().flat_map(|family| &family.leaves).filter(|leaf| !leaf.taken);
    let mut names: Vec<&str> = leaves.flat_map(|leaf| &leaf.pools).map(|pool| &*estate.region(estate.pool(*pool).region).name).collect();
    names.sort_unstable();
    names.dedup();
    names.join("+")
}
