//! The estate: everything a configuration file says to exist.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::Name;
use crate::wire::tsig::TsigKey;

use super::{
    By, ChangeRules, Choice, Combined, CombinedId, Composite, CompositeId, Condition, EndpointId, Factor, Fading, Failback, Family, GeoRule, GeoRules,
    GuardRules, Host, HostId, Judgement, JudgementId, LatencyRules, Monitor, MonitorId, Names, Nearest, Network, Node, PolicyForm, PoolId, ProbeRules,
    RegionId, ResolveError, ResolverRules, Secondary, Sentinel, ServiceId, Share, ShiftRules, Site, Sticky, TargetId, Thresholds,
};

/// Everything that exists, in file order. Made by `config::check`; immutable.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Places.
    pub regions: Vec<Region>,
    /// Pools; each names its region and endpoints.
    pub pools: Vec<Pool>,
    /// Endpoints of all pools.
    pub endpoints: Vec<Endpoint>,
    /// Host names that endpoints have instead of an address, each once.
    pub hosts: Vec<Name>,
    /// Monitors, probed or not.
    pub monitors: Vec<Monitor>,
    /// Composite monitors.
    pub composites: Vec<Composite>,
    /// What is probed, once each.
    pub targets: Vec<Target>,
    /// What has a verdict: each target, once for each set of thresholds that somebody judges it by.
    pub judgements: Vec<Judgement>,
    /// Endpoints with a composite monitor.
    pub combined: Vec<Combined>,
    /// `[policy.NAME]` by name.
    pub policies: Vec<(Arc<str>, PolicyForm)>,
    /// Services.
    pub services: Vec<Service>,
    /// `[key.NAME]`: what transfers are signed with.
    pub keys: Vec<Arc<TsigKey>>,
    /// Secondaries by zone; only zones that have some.
    pub secondaries: Vec<(Name, Arc<[Secondary]>)>,
    /// Who is told of events.
    pub webhooks: Vec<super::Webhook>,
    /// `[health]`
    pub guard: GuardRules,
    /// Targets that say only whether this node sees the network.
    pub sentinels: Vec<Sentinel>,
    /// `[resolver]`
    pub resolver: ResolverRules,
    /// Endpoints by tag, their own tags and their pool's.
    pub tags: BTreeMap<Arc<str>, BTreeSet<EndpointId>>,
    /// Services whose traffic the file alone moves (`traffic_from = "file"`), and where their policy stands: `windrose.toml:12:10`.
    pub managed: BTreeMap<Arc<str>, Arc<str>>,
    /// `[probe]`: where probes may go.
    pub probing: Arc<ProbeRules>,
    /// What changes of traffic must keep.
    pub rules: ChangeRules,
    /// `[network.NAME]`
    pub networks: Vec<Network>,
    /// `[geo]`
    pub geo: GeoRules,
    /// `[latency]`
    pub latency: LatencyRules,
    /// Where regions are; only those that say so.
    pub sites: BTreeMap<RegionId, Site>,
    /// How shifts go.
    pub shifts: ShiftRules,
    /// `[clients]`: how an old answer fades.
    pub fading: Fading,
}

/// A place where gateways run: what operators drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: Arc<str>,
}

/// Endpoints that serve the same thing in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub region: RegionId,
    /// Endpoints in file order.
    pub endpoints: Vec<EndpointId>,
    /// Endpoints that must be up for the pool to be up; at least 1.
    pub min_up: u32,
    /// Endpoints that should serve; `None`: as many as the first tier has (SEMANTICS, 4).
    pub min_active: Option<u32>,
    /// What it is no use without.
    pub requires: Vec<Requirement>,
    /// Pools that are no use without it, directly or through others.
    pub required_by: Vec<PoolId>,
    /// What its degraded endpoints count; `None`: as their monitor says.
    pub degraded_factor: Option<Factor>,
    /// It is not used while its region's data is older; `None`: however old that is.
    pub hold_if_older_than: Option<Duration>,
    /// What it gives away while its load is too high; `None`: nothing.
    pub shed: Option<super::Shed>,
}

/// `requires = ["prod-db"]`: another pool, of whose endpoints, whatever their family, so many must be up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which.
    pub pool: PoolId,
    /// At least so many of its endpoints; at least 1.
    pub up: u32,
}

/// What a service answers with (`answer`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Answering {
    /// A and AAAA records.
    #[default]
    Addresses,
    /// One CNAME record, for every type that is asked for: its endpoints have host names.
    Cname,
}

impl Answering {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Addresses, Self::Cname];

    /// The word in file and API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Cname => "cname",
        }
    }
}

/// What an endpoint's answers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// This one.
    Fixed(IpAddr),
    /// Whatever our resolver finds for a host name: which is known is `health`'s, since it changes.
    Host(HostId),
}

/// One gateway in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in the pool; by default the address, or the host name.
    pub name: Arc<str>,
    /// The pool that it belongs to.
    pub pool: PoolId,
    /// What answers name.
    pub address: Address,
    /// Relative weight when a pool has more endpoints than an answer takes; at least 1. Of a host name it is split over its addresses.
    pub weight: u32,
    /// 0 serves first.
    pub tier: u32,
    /// How its health is known.
    pub watch: Watch,
}

/// How an endpoint's health is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// It counts as up (`always = "up"`).
    Always,
    /// It is probed, and this is the verdict.
    Judgement(JudgementId),
    /// By several verdicts together.
    Combined(CombinedId),
    /// Nothing watches it (a last-resort pool without a monitor): always Unknown, used by `when_all_down` alone.
    Nothing,
}

/// Endpoint address × simple monitor: probed once, however many pools and services use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The check.
    pub monitor: MonitorId,
    /// Where to: the endpoint's address, unless it has another one, or a host name, for probes.
    pub address: Host,
    /// Port, if it is not the check's.
    pub port: Option<u16>,
    /// Identity across reloads and restarts: monitor name, address and a stable hash of what is asked, `gateway@192.0.2.10#9f3c…`.
    pub key: Arc<str>,
    /// Its first judgement; the others hang on it ([`Judgement::next`]).
    pub judgement: JudgementId,
}

/// Host names whose A and AAAA answers a policy computes.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the file (`[service.NAME]`).
    pub name: Arc<str>,
    /// Host names, lower case, fully qualified; may start with `*`.
    pub names: Names,
    /// The file's policy as written.
    pub form: Arc<PolicyForm>,
    /// The file's policy resolved.
    pub policy: Arc<Node>,
    /// What it answers with.
    pub answer: Answering,
    /// TTL of its answers, whole seconds.
    pub ttl: u32,
    /// The lowest TTL it may fall to; whole seconds.
    pub ttl_min: u32,
    /// Most addresses in one answer; a CNAME is one.
    pub max_answers: u16,
    /// When a returned pool is used again.
    pub failback: Failback,
    /// What of the answers goes to who stands by; zero: nothing.
    pub trickle: Share,
    /// What to answer when no rung above yields a pool.
    pub when_all_down: AllDown,
    /// Clients keep to their region; `None`: answers take turns.
    pub sticky: Option<Sticky>,
    /// Has metrics of its own even beyond `metrics.services_max`.
    pub metrics: bool,
}

/// `when_all_down` (SEMANTICS, 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllDown {
    /// The pools of the last decision from the rungs above; if none, as `ServeAll`.
    LastGood,
    /// The tree as if every permitted pool were up.
    ServeAll,
    /// What that tree prefers.
    First,
    /// NODATA.
    NoData,
    /// SERVFAIL.
    ServFail,
    /// A last resort, never probed.
    Pool(PoolId),
}

macro_rules! table {
    ($(#[$doc:meta])* $get:ident, $field:ident, $id:ty => $item:ty) => {
        $(#[$doc])*
        #[allow(clippy::indexing_slicing, reason = "ids are made with their table and never leave their estate")]
        pub fn $get(&self, id: $id) -> &$item {
            &self.$field[id.index()]
        }
    };
}

impl Estate {
    table!(/// The region with this id.
        region, regions, RegionId => Region);
    table!(/// The pool with this id.
        pool, pools, PoolId => Pool);
    table!(/// The endpoint with this id.
        endpoint, endpoints, EndpointId => Endpoint);
    table!(/// The host name with this id.
        host, hosts, HostId => Name);
    table!(/// The monitor with this id.
        monitor, monitors, MonitorId => Monitor);
    table!(/// The target with this id.
        target, targets, TargetId => Target);
    table!(/// The judgement with this id.
        judgement, judgements, JudgementId => Judgement);
    table!(/// The composite monitor with this id.
        composite, composites, CompositeId => Composite);
    table!(/// The combined verdict with this id.
        combined, combined, CombinedId => Combined);
    table!(/// The service with this id.
        service, services, ServiceId => Service);

    /// The judgements of a target, the first one first.
    pub fn judgements_of(&self, target: TargetId) -> impl Iterator<Item = JudgementId> + '_ {
        std::iter::successors(Some(self.target(target).judgement), |id| self.judgement(*id).next)
    }

    /// The endpoints that a target has a say in.
    pub fn endpoints_of(&self, target: TargetId) -> impl Iterator<Item = EndpointId> + '_ {
        self.judgements_of(target).flat_map(|id| self.judgement(id).endpoints.iter().copied())
    }

    /// The targets that are probed for an endpoint, each once.
    pub fn targets_of(&self, endpoint: EndpointId) -> impl Iterator<Item = TargetId> + '_ {
        let judgements = self.judgements_on(endpoint);
        let first = |(at, id): &(usize, &JudgementId)| !judgements.iter().take(*at).any(|earlier| earlier == *id);
        judgements.iter().enumerate().filter(first).map(|(_, id)| self.judgement(*id).target)
    }

    /// The judgements that have a say in an endpoint; of a composite's in the order of its tree, where one may stand twice.
    pub fn judgements_on(&self, endpoint: EndpointId) -> &[JudgementId] {
        match &self.endpoint(endpoint).watch {
            Watch::Judgement(judgement) => std::slice::from_ref(judgement),
            Watch::Combined(combined) => &self.combined(*combined).judgements,
            Watch::Always | Watch::Nothing => &[],
        }
    }

    /// The pools that these endpoints have a say in: their own, and those that require them.
    pub fn pools_moved_by(&self, endpoints: impl IntoIterator<Item = EndpointId>) -> BTreeSet<PoolId> {
        let mut pools: BTreeSet<PoolId> = endpoints.into_iter().map(|endpoint| self.endpoint(endpoint).pool).collect();
        let more: Vec<PoolId> = pools.iter().flat_map(|pool| &self.pool(*pool).required_by).copied().collect();
        pools.extend(more);
        pools
    }

    /// Longest time from a failure to the verdict (SEMANTICS, 14): `down_after × interval + timeout`.
    pub fn detection(&self, judgement: JudgementId) -> Duration {
        let judgement = self.judgement(judgement);
        self.monitor(self.target(judgement.target).monitor).detection(&judgement.thresholds)
    }

    /// A target that nobody probes yet, judged by these thresholds.
    pub fn add_target(&mut self, monitor: MonitorId, (address, port): (Host, Option<u16>), key: Arc<str>, thresholds: Thresholds) -> TargetId {
        let (id, judgement) = (TargetId::at(self.targets.len()), JudgementId::at(self.judgements.len()));
        let judged = Judgement::key_of(&key, &thresholds, &self.monitor(monitor).thresholds);
        self.judgements.push(Judgement { target: id, thresholds, key: judged, endpoints: Vec::new(), next: None });
        self.targets.push(Target { monitor, address, port, key, judgement });
        id
    }

    /// The judgement of a target by these thresholds, made if nobody judges it so yet.
    pub fn judge(&mut self, target: TargetId, thresholds: Thresholds) -> JudgementId {
        let of = self.target(target);
        let (key, first) = (Judgement::key_of(&of.key, &thresholds, &self.monitor(of.monitor).thresholds), of.judgement);
        let (mut last, id) = (first, JudgementId::at(self.judgements.len()));
        for judgement in self.judgements_of(target) {
            if self.judgement(judgement).thresholds == thresholds {
                return judgement;
            }
            last = judgement;
        }
        if let Some(last) = self.judgements.get_mut(last.index()) {
            last.next = Some(id);
        }
        self.judgements.push(Judgement { target, thresholds, key, endpoints: Vec::new(), next: None });
        id
    }

    /// Whether this node probes the target itself.
    pub fn is_probed(&self, target: TargetId) -> bool {
        self.monitor(self.target(target).monitor).check.is_probed()
    }

    /// How many targets are probed.
    pub fn probed(&self) -> usize {
        (0..self.targets.len()).filter(|at| self.is_probed(TargetId::at(*at))).count()
    }

    /// How many judgements stand on probes.
    pub fn judged_by_probes(&self) -> usize {
        self.judgements.iter().filter(|judgement| self.is_probed(judgement.target)).count()
    }

    /// The region called `name`.
    pub fn region_named(&self, name: &str) -> Option<RegionId> {
        self.regions.iter().position(|region| &*region.name == name).map(RegionId::at)
    }

    /// The pool called `name`.
    pub fn pool_named(&self, name: &str) -> Option<PoolId> {
        self.pools.iter().position(|pool| &*pool.name == name).map(PoolId::at)
    }

    /// The service called `name`.
    pub fn service_named(&self, name: &str) -> Option<ServiceId> {
        self.services.iter().position(|service| &*service.name == name).map(ServiceId::at)
    }

    /// The endpoint `name` of `pool`.
    pub fn endpoint_named(&self, pool: PoolId, name: &str) -> Option<EndpointId> {
        self.pool(pool).endpoints.iter().copied().find(|id| &*self.endpoint(*id).name == name)
    }

    /// Who may transfer a zone; empty: nobody.
    pub fn secondaries_of(&self, apex: &Name) -> &[Secondary] {
        self.secondaries.iter().find(|(zone, _)| zone == apex).map_or(&[], |(_, secondaries)| secondaries)
    }

    /// The key called `name`.
    pub fn key_named(&self, name: &Name) -> Option<&Arc<TsigKey>> {
        self.keys.iter().find(|key| key.name == *name)
    }

    /// `pool/name`, the endpoint's id for people.
    pub fn endpoint_label(&self, id: EndpointId) -> String {
        let endpoint = self.endpoint(id);
        format!("{}/{}", self.pool(endpoint.pool).name, endpoint.name)
    }

    /// The endpoints with this host name.
    pub fn endpoints_at(&self, host: HostId) -> impl Iterator<Item = EndpointId> + '_ {
        let at = move |id: &EndpointId| self.endpoint(*id).address == Address::Host(host);
        (0..self.endpoints.len()).map(EndpointId::at).filter(at)
    }

    /// The host called `name`.
    pub fn host_named(&self, name: &Name) -> Option<HostId> {
        self.hosts.iter().position(|host| host == name).map(HostId::at)
    }

    /// The host name of an endpoint; `None`: it has an address.
    pub fn host_of(&self, endpoint: EndpointId) -> Option<&Name> {
        match self.endpoint(endpoint).address {
            Address::Fixed(_) => None,
            Address::Host(host) => Some(self.host(host)),
        }
    }

    /// An endpoint's address, or its host name, as in the file.
    pub fn address_text(&self, endpoint: EndpointId) -> String {
        match self.endpoint(endpoint).address {
            Address::Fixed(address) => address.to_string(),
            Address::Host(host) => self.host(host).to_string(),
        }
    }

    /// Where an endpoint is probed, if that is neither its address nor its host name.
    pub fn probed_elsewhere(&self, endpoint: EndpointId) -> Option<&Target> {
        let target = self.target(self.targets_of(endpoint).next()?);
        let own = match self.endpoint(endpoint).address {
            Address::Fixed(address) => target.address == Host::Address(address),
            Address::Host(host) => matches!(&target.address, Host::Answered(name) if name == self.host(host)),
        };
        (target.port.is_some() || !own).then_some(target)
    }

    /// Answers of this family may have something of it: for certain only if it has an address of its own.
    pub fn may_answer(&self, endpoint: EndpointId, family: Family) -> bool {
        match self.endpoint(endpoint).address {
            Address::Fixed(address) => Family::of(address) == family,
            Address::Host(_) => true,
        }
    }

    /// A form's names looked up in pools and named policies (SEMANTICS, 6). All faults are listed; form faults are the form's own ([`PolicyForm::faults`]).
    pub fn resolve(&self, form: &PolicyForm) -> Result<Arc<Node>, Vec<ResolveError>> {
        self.resolver().resolve(form)
    }

    /// The same for this service: one that answers with host names can use no pool that has addresses.
    pub fn resolve_for(&self, service: &Service, form: &PolicyForm) -> Result<Arc<Node>, Vec<ResolveError>> {
        let tree = self.resolve(form)?;
        let mut errors = Vec::new();
        if service.answer == Answering::Cname {
            tree.pools(&mut |pool| errors.extend(self.nameless(pool)));
        }
        if errors.is_empty() { Ok(tree) } else { Err(errors) }
    }

    /// An endpoint of the pool has an address: no CNAME can lead there.
    pub fn nameless(&self, pool: PoolId) -> Option<ResolveError> {
        let endpoint = self.pool(pool).endpoints.iter().find(|endpoint| self.host_of(**endpoint).is_none())?;
        Some(ResolveError::Nameless { name: self.pool(pool).name.to_string(), endpoint: self.endpoint(*endpoint).name.to_string() })
    }

    /// The region of everything below a child of `nearest` or `latency`, which must be one; for `nearest` it has a place, too.
    pub fn region_of(&self, child: &Node, by: By) -> Result<RegionId, ResolveError> {
        let mut regions = BTreeSet::new();
        let mut name = None;
        child.pools(&mut |pool| {
            regions.insert(self.pool(pool).region);
            name.get_or_insert_with(|| self.pool(pool).name.to_string());
        });
        let name = match child {
            Node::Policy { name: Some(name), .. } => name.to_string(),
            _ => name.unwrap_or_default(),
        };
        let mut regions = regions.into_iter();
        match (regions.next(), regions.next()) {
            (Some(region), None) if by == By::Latency || self.sites.contains_key(&region) => Ok(region),
            (Some(region), None) => Err(ResolveError::NoPlace { name, why: format!("region `{}` has no `location`", self.region(region).name) }),
            (Some(a), Some(b)) => {
                let why = format!("it has pools in `{}` and `{}`; below {} a child is in one region", self.region(a).name, self.region(b).name, by.word());
                Err(ResolveError::NoPlace { name, why })
            }
            (None, _) => Err(ResolveError::NoPlace { name, why: "it has no pools".to_string() }),
        }
    }

    /// For many forms: names are indexed once.
    pub fn resolver(&self) -> Resolver<'_> {
        let policies = self.policies.iter().map(|(name, form)| (&**name, Named::Policy(name, form)));
        let pools = self.pools.iter().enumerate().map(|(at, pool)| (&*pool.name, Named::Pool(PoolId::at(at))));
        Resolver { estate: self, named: policies.chain(pools).collect() }
    }
}

/// [`Estate::resolve`] with its index of names.
#[derive(Debug)]
pub struct Resolver<'e> {
    estate: &'e Estate,
    named: HashMap<&'e str, Named<'e>>,
}

/// What a child's name may mean.
#[derive(Clone, Copy, Debug)]
enum Named<'e> {
    Pool(PoolId),
    Policy(&'e Arc<str>, &'e PolicyForm),
}

impl Resolver<'_> {
    /// As [`Estate::resolve`].
    pub fn resolve(&self, form: &PolicyForm) -> Result<Arc<Node>, Vec<ResolveError>> {
        let mut errors = Vec::new();
        let mut path = Vec::new();
        let node = self.resolve_form(None, form, false, &mut path, &mut errors);
        if errors.is_empty() { Ok(Arc::new(node)) } else { Err(errors) }
    }

    /// `below_multivalue`: some ancestor is a multivalue.
    fn resolve_form(
        &self,
        name: Option<&Arc<str>>,
        form: &PolicyForm,
        below_multivalue: bool,
        path: &mut Vec<Arc<str>>,
        errors: &mut Vec<ResolveError>,
    ) -> Node {
        let below = below_multivalue || matches!(form.choice, Choice::Multivalue(_));
        self.check_clients(form, errors);
        let mut child = |child: &String| Arc::new(self.resolve_name(child, below, path, errors));
        let choice = match &form.choice {
            Choice::Geo(rules) => {
                let rule = |rule: &GeoRule<String>| GeoRule { when: rule.when.clone(), then: child(&rule.then), strict: rule.strict };
                Choice::Geo(rules.iter().map(rule).collect())
            }
            Choice::Nearest(Nearest { by, among, ties, unknown }) => {
                let among: Vec<Arc<Node>> = among.iter().map(&mut child).collect();
                errors.extend(among.iter().filter_map(|node| self.estate.region_of(node, *by).err()));
                Choice::Nearest(Nearest { by: *by, among, ties: *ties, unknown: *unknown })
            }
            Choice::Failover(children) => Choice::Failover(children.iter().map(&mut child).collect()),
            Choice::Multivalue(children) => Choice::Multivalue(children.iter().map(&mut child).collect()),
            Choice::Weighted(children) => Choice::Weighted(children.iter().map(|(name, share)| (child(name), *share)).collect()),
        };
        Node::Policy { name: name.cloned(), choice, min_up: form.min_up }
    }

    /// Networks that conditions name.
    fn check_clients(&self, form: &PolicyForm, errors: &mut Vec<ResolveError>) {
        let Choice::Geo(rules) = &form.choice else { return };
        let networks = || self.estate.networks.iter().map(|network| &*network.name);
        for condition in rules.iter().flat_map(|rule| &rule.when) {
            if let Condition::Network(name) = condition
                && !networks().any(|known| *known == **name)
            {
                errors.push(ResolveError::UnknownNetwork { name: name.to_string(), did_you_mean: did_you_mean(name, networks()) });
            }
        }
    }

    fn resolve_name(&self, name: &str, below_multivalue: bool, path: &mut Vec<Arc<str>>, errors: &mut Vec<ResolveError>) -> Node {
        let nothing = Node::Policy { name: None, choice: Choice::Failover(Vec::new()), min_up: 1 };
        let (policy, form) = match self.named.get(name) {
            Some(Named::Pool(pool)) => return Node::Pool(*pool),
            Some(Named::Policy(policy, form)) => (*policy, *form),
            None => {
                let known = self.estate.pools.iter().map(|pool| &*pool.name).chain(self.estate.policies.iter().map(|(policy, _)| &**policy));
                errors.push(ResolveError::Unknown { name: name.to_string(), did_you_mean: did_you_mean(name, known) });
                return nothing;
            }
        };
        if path.contains(policy) {
            let path = path.iter().chain([policy]).map(|step| step.to_string()).collect::<Vec<_>>().join(" → ");
            errors.push(ResolveError::Cycle { name: name.to_string(), path });
            return nothing;
        }
        if below_multivalue && matches!(form.choice, Choice::Weighted(_)) {
            errors.push(ResolveError::WeightedBelowMultivalue { name: name.to_string() });
        }
        path.push(policy.clone());
        let node = self.resolve_form(Some(policy), form, below_multivalue, path, errors);
        path.pop();
        node
    }
}

/// The known name nearest to `name`, if near enough to be a slip of the fingers.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_string())
}
