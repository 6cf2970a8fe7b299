//! `[region.NAME]` and `[pool.NAME]`: places, endpoints, and the targets that are probed for them.

use std::collections::hash_map;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::config::file::{Endpoint as EndpointWord, EndpointTable, Pool as Table, Region as RegionTable, Requirement};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named, OneOrMany, Reach};
use crate::config::target_key::{definition, target_key};
use crate::model::{
    Address, AnyMonitor, Check, Combined, CombinedId, CompositeId, Endpoint, EndpointId, Estate, Family, Host, HostId, JudgementId, MonitorId, Pool, PoolId,
    Region, RegionId, Site, TargetId, Thresholds, Watch,
};
use crate::wire::Name;

use super::monitors::{Monitors, OwnThresholds, factor_of};
use super::networks;
use super::policies::Policies;
use super::requires;
use super::resolver::HostNames;
use super::shedding;
use super::{check_name, number};

/// Half the way around the earth.
const BIAS_KM_MAX: i64 = 20_000;

/// Where pools stand, by name and by id.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub by_name: HashMap<Arc<str>, PoolId>,
    /// By [`PoolId`].
    pub spans: Vec<Range<usize>>,
    /// Pools without the key `monitor`.
    unwatched: Vec<PoolId>,
    /// Host names that are answered, or that probes connect to.
    pub host_names: HostNames,
}

pub(super) fn check(regions: Named<RegionTable>, pools: Named<Table>, monitors: &Monitors, estate: &mut Estate, sink: &mut Sink<'_>) -> Pools {
    let mut maker = Maker {
        monitors,
        estate,
        regions: HashMap::new(),
        declared: HashSet::new(),
        targets: HashMap::new(),
        same_monitor: HashMap::new(),
        definitions: HashMap::new(),
        pools: Pools::default(),
        hosts: HashMap::new(),
        requires: Vec::new(),
    };
    // What else a region says is about changes: see `guards`.
    for Entry { name, span, value: RegionTable { capacity: _, guards: _, location, bias_km } } in regions.0 {
        check_name(&name, &span, "region", sink);
        let region = maker.region(&name);
        let bias = number(&bias_km, -BIAS_KM_MAX..=BIAS_KM_MAX, 0, format_args!("region.{name}.bias_km"), sink);
        if let (Some(found), true) = (bias_km.get(), location.is_absent()) {
            sink.problem(&found.span, format_args!("region.{name}.bias_km"), "a bias without a place", "add location = [latitude, longitude]");
        }
        if let Some(place) = networks::place(&location, &format!("region.{name}.location"), sink) {
            maker.estate.sites.insert(region, Site { place, bias_km: i32::try_from(bias).unwrap_or(0) });
        }
        maker.declared.insert(name);
    }
    for entry in pools.0 {
        maker.pool(entry, sink);
    }
    let Maker { pools, requires, .. } = maker;
    requires::check(requires, &pools, estate, sink);
    pools
}

/// A pool without a monitor is never known to be up: it serves as a last resort and nowhere else.
pub(super) fn check_watched(pools: &Pools, policies: &Policies, last_resorts: &HashSet<PoolId>, estate: &Estate, sink: &mut Sink<'_>) {
    for id in &pools.unwatched {
        let name = &estate.pool(*id).name;
        let Some(span) = pools.spans.get(id.index()) else { continue };
        if policies.used(*id) {
            sink.missing(
                span,
                format_args!("pool.{name}"),
                "a pool that a policy uses needs a monitor",
                "add monitor = \"…\"; without one it can only be in when_all_down = { pool = \"…\" }",
            );
        } else if !last_resorts.contains(id) {
            sink.missing(span, format_args!("pool.{name}"), "`monitor` is missing", "add monitor = \"…\"; only a pool used by when_all_down alone needs none");
        }
    }
}

struct Maker<'a> {
    monitors: &'a Monitors,
    estate: &'a mut Estate,
    regions: HashMap<String, RegionId>,
    declared: HashSet<String>,
    targets: HashMap<(MonitorId, Host, Option<u16>), TargetId>,
    /// The first monitor with the same definition: two names for one check are probed once.
    same_monitor: HashMap<MonitorId, MonitorId>,
    definitions: HashMap<String, MonitorId>,
    pools: Pools,
    /// Host names that are answered.
    hosts: HashMap<Name, HostId>,
    /// As written, by [`PoolId`]: they may name pools that come later.
    requires: Vec<Key<OneOrMany<Requirement>>>,
}

/// How the endpoints of a pool are watched, unless they say otherwise.
#[derive(Clone, Copy)]
struct Rules {
    monitor: Option<AnyMonitor>,
    thresholds: OwnThresholds,
}

impl Maker<'_> {
    fn region(&mut self, name: &str) -> RegionId {
        if let Some(id) = self.regions.get(name) {
            return *id;
        }
        let id = RegionId::at(self.estate.regions.len());
        self.estate.regions.push(Region { name: name.into() });
        self.regions.insert(name.to_string(), id);
        id
    }

    fn pool(&mut self, entry: Entry<Table>, sink: &mut Sink<'_>) {
        let Entry { name, span, value: table } = entry;
        let Table { region, monitor, min_up, min_active, requires, down_after, ok_after, up_after, degraded_factor, hold_if_older_than, shed, tags, endpoints } =
            table;
        check_name(&name, &span, "pool", sink);
        let path = format!("pool.{name}");
        let id = PoolId::at(self.estate.pools.len());
        if let Some(region) = region.get().filter(|region| region.value != name && !self.declared.contains(&region.value)) {
            let help = sink.suggestion(&region.value, self.declared.iter().map(String::as_str), format!("declare it: [region.{}]", region.value));
            sink.problem(&region.span, format_args!("{path}.region"), format!("no region is called `{}`", region.value), help);
        }
        let region = self.region(&region.or(name.clone()));
        let thresholds = OwnThresholds::check([&down_after, &ok_after, &up_after], Thresholds::default(), &path, sink);
        let rules = Rules { monitor: self.monitor(&monitor, &path, sink), thresholds };
        if let Some(span) = [&down_after, &ok_after, &up_after].into_iter().find_map(Key::get).map(|found| &found.span).filter(|_| self.probes_nothing(rules)) {
            sink.problem(span, &path, "thresholds mean nothing where nothing is probed", "remove them");
        }
        self.requires.push(requires);
        if monitor.is_absent() {
            self.pools.unwatched.push(id);
        }
        let shared = tags_of(&tags, &path, sink);
        let ids = self.endpoints(id, &path, &endpoints, rules, sink);
        ids.iter().for_each(|id| self.tag(*id, &shared));
        if endpoints.is_absent() {
            sink.missing(&span, &path, "`endpoints` is missing", "add endpoints = [\"192.0.2.10\", \"192.0.2.11\"]");
        } else if let Some(list) = endpoints.get().filter(|list| list.value.is_empty()) {
            sink.problem(&list.span, format_args!("{path}.endpoints"), "a pool without endpoints", "add at least one address");
        }
        let written = endpoints.get().map_or(0, |list| list.value.len());
        let mut at_most = |key: &Key<i64>, name: &str| {
            let count = number(key, 1..=i64::from(u32::MAX), 1, format_args!("{path}.{name}"), sink);
            if let Some(found) = key.get().filter(|found| written > 0 && found.value > written as i64) {
                let message = format!("{name} = {}, but the pool has {written} endpoint{}", found.value, if written == 1 { "" } else { "s" });
                sink.problem(&found.span, format_args!("{path}.{name}"), message, format!("from 1 to {written}"));
            }
            u32::try_from(count).unwrap_or(1)
        };
        let min_active = min_active.get().is_some().then(|| at_most(&min_active, "min_active"));
        let min_up_count = at_most(&min_up, "min_up");
        let degraded_factor = degraded_factor.get().and_then(|found| factor_of(found, format_args!("{path}.degraded_factor"), sink));
        let pool = Pool {
            name: name.as_str().into(),
            region,
            endpoints: ids,
            min_up: min_up_count,
            min_active,
            requires: Vec::new(),
            required_by: Vec::new(),
            degraded_factor,
            hold_if_older_than: hold_if_older_than.get().map(|found| {
                if found.value.is_zero() {
                    let help = "write a time like \"1h\", or remove the key";
                    sink.problem(&found.span, format_args!("{path}.hold_if_older_than"), "data is always older than this", help);
                }
                found.value
            }),
            shed: shedding::check(&shed, &format!("{path}.shed"), sink),
        };
        self.family_warning(&pool, &min_up, &path, sink);
        self.pools.by_name.insert(pool.name.clone(), id);
        self.pools.spans.push(span);
        self.estate.pools.push(pool);
    }

    /// `min_up` counts within a family (SEMANTICS, 7).
    fn family_warning(&self, pool: &Pool, min_up: &Key<i64>, path: &str, sink: &mut Sink<'_>) {
        let Some(found) = min_up.get() else { return };
        for (family, word) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
            let count = pool.endpoints.iter().filter(|id| self.estate.may_answer(**id, family)).count();
            if count > 0 && count < pool.min_up as usize && pool.min_up as usize <= pool.endpoints.len() {
                let message = format!(
                    "min_up = {} counts each address family by itself, and there are {count} {word} endpoints: for {word} the pool is never up",
                    pool.min_up
                );
                sink.warning(&found.span, format_args!("{path}.min_up"), message, format!("at most {count}, or more {word} endpoints"));
            }
        }
    }

    /// The monitor of a pool; `None`: nothing watches it.
    fn monitor(&mut self, monitor: &Key<String>, path: &str, sink: &mut Sink<'_>) -> Option<AnyMonitor> {
        let At { value, span } = monitor.get()?;
        let found = self.monitors.get(value).copied();
        if found.is_none() {
            let help = sink.suggestion(value, self.monitors.keys().map(String::as_str), format!("add [monitor.{value}]"));
            sink.problem(span, format_args!("{path}.monitor"), format!("no monitor is called `{value}`"), help);
        }
        found
    }

    fn endpoints(&mut self, pool: PoolId, path: &str, list: &Key<Vec<Key<EndpointWord>>>, rules: Rules, sink: &mut Sink<'_>) -> Vec<EndpointId> {
        let mut ids = Vec::new();
        let mut addresses: HashMap<Host, Range<usize>> = HashMap::new();
        let mut names: HashMap<Arc<str>, Range<usize>> = HashMap::new();
        for (index, word) in list.get().map(|list| &list.value[..]).unwrap_or_default().iter().enumerate() {
            let Some(At { value: EndpointWord(table), span }) = word.get() else { continue };
            let EndpointTable { name, address, host, connect, weight, tier, tags, down_after, ok_after, up_after } = table;
            let path = format!("{path}.endpoints[{index}]");
            if address.is_absent() && host.is_absent() {
                let help = "{ name = \"gw-1\", address = \"192.0.2.10\" }, or host = \"gw.vendor.example\" for one that has a name alone";
                sink.missing(span, format_args!("{path}.address"), "`address` is missing", help);
            }
            let weight = number(weight, 1..=65_535, 1, format_args!("{path}.weight"), sink);
            let tier = number(tier, 0..=1000, 0, format_args!("{path}.tier"), sink);
            let (answered, address_span) = match (address.get(), host.get()) {
                (Some(_), Some(host)) => {
                    sink.problem(&host.span, format_args!("{path}.host"), "an endpoint has an address or a host name, not both", "remove one of them");
                    continue;
                }
                (Some(address), None) => (Host::Address(address.value), address.span.clone()),
                (None, Some(host)) => (Host::Answered(host.value.0.clone()), host.span.clone()),
                (None, None) => continue,
            };
            if let Some((address, why)) = answered.address().and_then(|address| Some((address, never_answered(address)?))) {
                sink.problem(
                    &address_span,
                    format_args!("{path}.address"),
                    format!("`{address}` {why}"),
                    "write the address that clients and probes connect to",
                );
            }
            if let Some(first) = addresses.get(&answered) {
                let message = format!("`{answered}` stands twice in this pool; the first is at {}", sink.place(first));
                sink.problem(&address_span, &path, message, "remove one");
            } else {
                addresses.insert(answered.clone(), address_span.clone());
            }
            if let Host::Answered(name) = &answered {
                self.pools.host_names.push((name.clone(), address_span, format!("{path}.host")));
            }
            if let Some((found, why)) = connect.get().and_then(|found| Some((found, never_answered(found.value.0.address()?)?))) {
                let message = format!("`{}` {why}", found.value.0);
                sink.problem(&found.span, format_args!("{path}.connect"), message, "write the address that probes connect to");
            }
            let (label, label_span): (Arc<str>, _) = match name.get() {
                Some(name) => {
                    check_name(&name.value, &name.span, &path, sink);
                    (name.value.as_str().into(), name.span.clone())
                }
                None => (answered.to_string().into(), span.clone()),
            };
            match names.get(&label) {
                Some(first) if name.get().is_some() => {
                    let message = format!("another endpoint of this pool is called `{label}`, at {}", sink.place(first));
                    sink.problem(&label_span, format_args!("{path}.name"), message, "names are unique within a pool");
                }
                _ => {
                    names.insert(label.clone(), label_span);
                }
            }
            let id = EndpointId::at(self.estate.endpoints.len());
            let Reach(reached, port) = connect.get().map_or_else(|| Reach(answered.clone(), None), |connect| connect.value.clone());
            if let (Host::Name(name, _), Some(connect)) = (&reached, connect.get()) {
                self.pools.host_names.push((name.clone(), connect.span.clone(), format!("{path}.connect")));
            }
            if let (Some(found), Some(AnyMonitor::Composite(_)), Some(port)) = (connect.get(), rules.monitor, port) {
                let message = format!("each member of a composite monitor has its own port, and this is one for all of them: {port}");
                sink.problem(&found.span, format_args!("{path}.connect"), message, "write the address alone");
            }
            let own = OwnThresholds::check([down_after, ok_after, up_after], Thresholds::default(), &path, sink);
            if let Some(found) = [down_after, ok_after, up_after].into_iter().find_map(Key::get).filter(|_| self.probes_nothing(rules)) {
                sink.problem(&found.span, &path, "thresholds mean nothing where nothing is probed", "remove them");
            }
            let preferred = answered.address().map_or(Family::V4, Family::of);
            let reached = (reached.preferring(preferred), port);
            let watch = self.watch(Rules { thresholds: own.or(rules.thresholds), ..rules }, &reached, id);
            let narrow = |number: i64| u32::try_from(number).unwrap_or(0);
            let address = match answered {
                Host::Address(address) => Address::Fixed(address),
                Host::Name(name, _) | Host::Answered(name) => Address::Host(self.host(name)),
            };
            self.estate.endpoints.push(Endpoint { name: label, pool, address, weight: narrow(weight), tier: narrow(tier), watch });
            ids.push(id);
            let own = tags_of(tags, &path, sink);
            self.tag(id, &own);
        }
        ids
    }

    /// The place of a host name that is answered.
    fn host(&mut self, name: Name) -> HostId {
        let next = HostId::at(self.estate.hosts.len());
        match self.hosts.entry(name) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(place) => {
                self.estate.hosts.push(place.key().clone());
                *place.insert(next)
            }
        }
    }

    /// Enters an endpoint under its tags.
    fn tag(&mut self, endpoint: EndpointId, tags: &[String]) {
        for tag in tags {
            self.estate.tags.entry(tag.as_str().into()).or_default().insert(endpoint);
        }
    }

    /// No monitor, or one that says what it knows without looking.
    fn probes_nothing(&self, rules: Rules) -> bool {
        match rules.monitor {
            None => true,
            Some(AnyMonitor::Simple(id)) => self.estate.monitor(id).check == Check::Always,
            Some(AnyMonitor::Composite(_)) => false,
        }
    }

    fn watch(&mut self, rules: Rules, reached: &(Host, Option<u16>), endpoint: EndpointId) -> Watch {
        match rules.monitor {
            None => Watch::Nothing,
            Some(AnyMonitor::Simple(monitor)) => self.judgement(monitor, rules.thresholds, reached, endpoint).map_or(Watch::Always, Watch::Judgement),
            Some(AnyMonitor::Composite(composite)) => {
                let mut judgements = Vec::new();
                self.members(composite, rules.thresholds, reached, endpoint, &mut judgements);
                let id = CombinedId::at(self.estate.combined.len());
                self.estate.combined.push(Combined { composite, judgements: judgements.into() });
                Watch::Combined(id)
            }
        }
    }

    /// The judgements of a composite's simple members, in the order of a walk.
    fn members(&mut self, composite: CompositeId, own: OwnThresholds, reached: &(Host, Option<u16>), endpoint: EndpointId, found: &mut Vec<JudgementId>) {
        for member in self.estate.composite(composite).members.clone() {
            match member.monitor {
                AnyMonitor::Simple(monitor) => found.extend(self.judgement(monitor, own, reached, endpoint)),
                AnyMonitor::Composite(id) => self.members(id, own, reached, endpoint, found),
            }
        }
    }

    /// Target × thresholds. Targets are made once per definition and address, and port if it has its own. `None`: the monitor probes nothing.
    fn judgement(&mut self, monitor: MonitorId, own: OwnThresholds, (address, port): &(Host, Option<u16>), endpoint: EndpointId) -> Option<JudgementId> {
        if self.estate.monitor(monitor).check == Check::Always {
            return None;
        }
        let first = match self.same_monitor.get(&monitor) {
            Some(first) => *first,
            None => {
                let first = *self.definitions.entry(definition(self.estate.monitor(monitor))).or_insert(monitor);
                self.same_monitor.insert(monitor, first);
                first
            }
        };
        let thresholds = own.over(self.estate.monitor(first).thresholds);
        let target = *self.targets.entry((first, address.clone(), *port)).or_insert_with_key(|(_, address, port)| {
            let port = *port;
            let key = target_key(self.estate.monitor(first), address, port);
            self.estate.add_target(first, (address.clone(), port), key.into(), thresholds)
        });
        let id = self.estate.judge(target, thresholds);
        // Two members may ask the same of it.
        if let Some(judgement) = self.estate.judgements.get_mut(id.index()).filter(|judgement| judgement.endpoints.last() != Some(&endpoint)) {
            judgement.endpoints.push(endpoint);
        }
        Some(id)
    }
}

/// Tags: names that people choose, for overrides of many endpoints at once.
fn tags_of(tags: &Key<OneOrMany<String>>, path: &str, sink: &mut Sink<'_>) -> Vec<String> {
    let Some(At { value: OneOrMany(list), .. }) = tags.get() else { return Vec::new() };
    let mut known = Vec::new();
    for At { value, span } in list.iter().filter_map(Key::get) {
        check_name(value, span, &format!("{path}.tags"), sink);
        if known.contains(value) {
            sink.problem(span, format_args!("{path}.tags"), format!("`{value}` stands twice"), "remove one");
        }
        known.push(value.clone());
    }
    known
}

/// Addresses that no client can connect to.
pub(super) fn never_answered(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("is no host's address"),
        _ if address.is_multicast() => Some("is a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("is the broadcast address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("is an IPv4 address in disguise: write it as IPv4"),
        _ => None,
    }
}
