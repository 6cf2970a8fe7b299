//! Why a name is answered as it is: where it stands (RFC 1034, section 4.3.2), then the service's decision.
//!
//! The place of a name is looked for outside the core, on shared immutable tables: with a million names that takes a while.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::admin::api;
use crate::client::ClassId;
use crate::control::{Account, AccountAnswer, AccountClients, AccountEndpoint, AccountLeaf, Core, Past, PastDecision};
use crate::model::{Estate, Family, Network, Now, PolicyForm, ServiceId, Sticky, SubnetSettings, Timestamp};
use crate::policy::Step;
use crate::wire::Name;
use crate::zone::{RecordSet, Zone};

/// Networks of a client that are told.
const NETWORKS_TOLD: usize = 20;

const NS: u16 = 2;
const CNAME: u16 = 5;

/// Where a name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Place {
    /// The steps that led there.
    pub steps: Vec<api::ExplainStep>,
    /// The service that answers.
    pub service: Option<ServiceId>,
    /// `static`, `nodata`, `nxdomain`, `refused`, `delegated`; `answer` if a service decides.
    pub verdict: &'static str,
    /// The file's networks that the client is in, if there are any.
    pub networks: Option<String>,
}

/// Looks `name` up as a query would be, for `rtype` (1 or 28).
pub(in crate::admin) fn place(zones: &[Arc<Zone>], estate: &Estate, name: &Name, rtype: u16) -> Place {
    let mut place = Place { steps: Vec::new(), service: None, verdict: "refused", networks: None };
    let Some(zone) = zones.iter().filter(|zone| name.is_within(&zone.apex)).max_by_key(|zone| zone.apex.labels().count()) else {
        place.say("zone", format!("{name} is in none of our zones: REFUSED"));
        return place;
    };
    place.say("zone", format!("{}, authoritative, serial {}", zone.apex, zone.serial()));
    let below: Vec<Name> = up_to(name, &zone.apex);
    // From the apex down: the first cut on the way wins (RFC 1034, section 4.3.2, step 3b).
    if let Some(cut) = below.iter().rev().find(|owner| set_at(zone, owner, NS).is_some()) {
        place.verdict = "delegated";
        place.say("zone", format!("delegated at {cut}: a referral to its name servers"));
        return place;
    }
    if let Some(service) = service_at(estate, name) {
        return place.at_service(estate, service, name);
    }
    if exists(zone, estate, name) {
        return place.at_static(zone, name, rtype);
    }
    // RFC 4592, section 3.3.1: the wildcard of the closest encloser, or nothing.
    let encloser = below.iter().skip(1).chain([&zone.apex]).find(|owner| exists(zone, estate, owner));
    if let Some(wildcard) = encloser.and_then(|encloser| Name::parse(&format!("*.{encloser}")).ok()) {
        if let Some(service) = service_at(estate, &wildcard) {
            return place.at_service(estate, service, &wildcard);
        }
        if exists(zone, estate, &wildcard) {
            place.say("zone", format!("answered by the wildcard {wildcard}"));
            return place.at_static(zone, &wildcard, rtype);
        }
    }
    place.verdict = "nxdomain";
    place.say("zone", format!("{name} does not exist: NXDOMAIN"));
    place
}

/// Which of the file's networks a client is in, and by which prefix, the innermost first: `lab by 192.0.2.128/25, office by 192.0.2.0/24`.
/// Looks at every prefix.
pub(in crate::admin) fn networks(estate: &Estate, client: IpAddr) -> Option<String> {
    let client = client.to_canonical();
    let innermost = |network: &Network| {
        let prefix = network.prefixes.iter().filter(|prefix| prefix.contains(&client)).max_by_key(|prefix| prefix.prefix_len())?;
        Some((std::cmp::Reverse(prefix.prefix_len()), network.name.clone(), *prefix))
    };
    let mut found: Vec<_> = estate.networks.iter().filter_map(innermost).collect();
    found.sort();
    let told: Vec<String> = found.iter().take(NETWORKS_TOLD).map(|(_, name, prefix)| format!("{name} by {prefix}")).collect();
    let more = if NETWORKS_TOLD < found.len() { format!(" and {} more", found.len() - NETWORKS_TOLD) } else { String::new() };
    (!told.is_empty()).then(|| format!("{}{more}", told.join(", ")))
}

impl Place {
    fn say(&mut self, topic: &str, text: String) {
        self.steps.push(api::ExplainStep { topic: topic.to_string(), text });
    }

    fn at_service(mut self, estate: &Estate, service: ServiceId, by: &Name) -> Self {
        let name = &estate.service(service).name;
        self.say("service", if by.is_wildcard() { format!("{name}, by its wildcard name {by}") } else { name.to_string() });
        Self { service: Some(service), verdict: "answer", ..self }
    }

    fn at_static(mut self, zone: &Zone, owner: &Name, rtype: u16) -> Self {
        let found = set_at(zone, owner, rtype);
        let alias = set_at(zone, owner, CNAME);
        self.verdict = match (found, alias) {
            (Some(set), _) => {
                self.say("zone", format!("static records: {} of this type, ttl {}", set.rdata.len(), set.ttl));
                "static"
            }
            (None, Some(set)) => {
                let target = set.rdata.first().and_then(|rdata| Name::from_wire(rdata)).map(|target| target.to_string()).unwrap_or("?".to_string());
                self.say("zone", format!("static CNAME to {target}; ask for that name to see further"));
                "static"
            }
            (None, None) => {
                self.say("zone", format!("{owner} exists without records of this type: NODATA"));
                "nodata"
            }
        };
        self
    }
}

/// `name` and its ancestors below `apex`, longest first.
fn up_to(name: &Name, apex: &Name) -> Vec<Name> {
    std::iter::successors(Some(name.clone()), Name::parent).take_while(|owner| owner != apex).collect()
}

fn set_at<'z>(zone: &'z Zone, owner: &Name, rtype: u16) -> Option<&'z RecordSet> {
    zone.sets.iter().find(|set| set.owner == *owner && set.rtype == rtype)
}

fn service_at(estate: &Estate, name: &Name) -> Option<ServiceId> {
    estate.services.iter().position(|service| service.names.contains(name)).map(ServiceId::at)
}

/// It, or something below it, has records or a service (empty non-terminals exist, RFC 4592, section 2.2.2).
fn exists(zone: &Zone, estate: &Estate, name: &Name) -> bool {
    zone.sets.iter().any(|set| set.owner.is_within(name)) || estate.services.iter().any(|service| service.names.reach_below(name))
}

/// What is asked, by whom.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Asked {
    pub name: Name,
    pub family: Family,
    pub client: Option<Client>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(in crate::admin) enum Client {
    /// An address, or that of a resolver which sends no client subnet.
    Address(IpAddr),
    /// For whom a resolver (perhaps of this address) asks: an EDNS Client Subnet.
    Subnet(Option<IpAddr>, IpNet),
}

impl Client {
    /// Whom policy sees, and what is worth saying about that (SEMANTICS, 25).
    pub(in crate::admin) fn seen(&self, settings: &SubnetSettings) -> (Option<IpAddr>, Option<String>) {
        let SubnetSettings { trusted, ipv4_prefix, ipv6_prefix } = settings;
        match self {
            Client::Address(address) => (Some(*address), None),
            Client::Subnet(resolver, subnet) => {
                let trusts = |resolver: &IpAddr| trusted.as_ref().is_none_or(|trusted| trusted.iter().any(|network| network.contains(resolver)));
                if let Some(resolver) = resolver.filter(|resolver| !trusts(resolver)) {
                    return (
                        Some(resolver),
                        Some(format!("{resolver} is not one of the resolvers whose client subnets count (dns.ecs), so {subnet} does not")),
                    );
                }
                if subnet.prefix_len() == 0 {
                    return (*resolver, Some("a client subnet of length 0 says nothing: the resolver itself counts".to_string()));
                }
                let most = if subnet.addr().is_ipv4() { *ipv4_prefix } else { *ipv6_prefix };
                let length = subnet.prefix_len().min(most);
                let cut = IpNet::new(subnet.addr(), length).map_or(*subnet, |cut| cut.trunc());
                (Some(cut.addr()), Some(format!("asked for by the client subnet {cut}")))
            }
        }
    }
}

/// The decision of the service that was found, told.
pub(in crate::admin) fn answer_of(core: &Core, place: Place, asked: &Asked, now: Now) -> api::Explain {
    let Place { mut steps, service, verdict, networks } = place;
    let Some(id) = service else { return nothing(asked, steps, verdict) };
    let (client, note) = asked.client.as_ref().map_or((None, None), |client| client.seen(core.subnets()));
    let (class, scope) = client.map_or((ClassId::UNKNOWN, 0), |client| core.class_of(client));
    let (view, overview) = (core.service(id), core.overview());
    if view.policy.asks_about_clients() {
        steps.extend(client_steps(client, scope, note));
        let text = |networks| format!("by networks of the file, the innermost first: {networks}; what else holds is what databases say, or was measured");
        steps.extend(networks.map(|networks| step("client", text(networks))));
    }
    let measured = client.map(|client| core.explain_latency(id, client, now)).unwrap_or_default();
    steps.extend(measured.into_iter().map(|Step { topic, text }| step(topic, text)));
    let text = format!("{}; configuration {}, answers of generation {}", core.whose(id), overview.config_hash, overview.generation);
    steps.push(step("revision", text));
    let (decision, told) = core.explain(id, class, now);
    let (families, ttl) = decision.of_class(class);
    let answer = AccountAnswer::new(&core.policy_facts(), &view.service.name, view.policy, families, ttl, &told);
    explained(asked, steps, &view.service.name, &answer, Manner { sticky: decision.sticky, by_name: decision.by_name }, client)
}

/// What was decided at a moment of the past, told as it was then. An error is about `client`: it can't be said of whom it was.
pub(in crate::admin) fn answer_then(core: &Core, place: Place, asked: &Asked, past: &Past, as_of: Timestamp) -> Result<api::Explain, String> {
    let Place { mut steps, service, verdict, networks: _ } = place;
    let Past { then, before, after } = past;
    let (Some(id), PastDecision { at, generation, cause: _, configuration, account: Some(account) }) = (service, then) else {
        return Ok(nothing(asked, steps, verdict));
    };
    let service = core.estate().service(id).name.clone();
    let (client, note) = asked.client.as_ref().map_or((None, None), |client| client.seen(core.subnets()));
    let mut number = 0;
    if let Some(AccountClients { mark, form }) = &account.clients {
        let (class, scope) = client.map_or((ClassId::UNKNOWN, 0), |client| core.class_of(client));
        steps.extend(client_steps(client, scope, note));
        // Clients of whom nothing is known always get the first answer.
        let told = serde_json::from_str::<PolicyForm>(form).ok().and_then(|form| core.tell_client(&form, *mark, class));
        match told {
            Some((found, told)) => {
                number = found;
                steps.extend(told.into_iter().map(|Step { topic, text }| step(topic, text)));
            }
            None if client.is_none() => {}
            None => {
                return Err(
                    "the configuration or the databases that told clients apart then are no more, so it is not known which answer this one got".to_string()
                );
            }
        }
    }
    steps.push(step("revision", format!("{}; configuration {configuration}, answers of generation {generation}, decided {at}", account.whose)));
    let chosen = |account: &Account| account.answers.get(number).or(account.answers.first()).cloned().unwrap_or_default();
    let answer = chosen(account);
    let sentences = |decision: &PastDecision| {
        let steps = decision.account.as_ref().map(|account| chosen(account).steps(&service).collect::<Vec<_>>()).unwrap_or_default();
        (decision.account.as_ref().map(|account| account.whose.clone()), steps)
    };
    let change = |decision: &PastDecision, before: Option<&PastDecision>| {
        let (whose, said) = sentences(decision);
        let (whose_before, said_before) = before.map(sentences).unwrap_or_default();
        let new: Vec<&(String, String)> = said.iter().filter(|said| before.is_some() && !said_before.contains(said)).collect();
        let touches = |topic: &str| new.iter().any(|(known, _)| known == topic);
        let cause = match decision.cause {
            "health" if touches("pool") => "verdict",
            "health" if touches("hold") => "hold",
            "health" if before.is_some_and(|before| before.account.is_some()) && new.iter().all(|(topic, _)| topic == "ttl") => "ttl",
            "health" => "verdict",
            "operator" if whose != whose_before => "traffic",
            "operator" => "override",
            "config" => "reload",
            other => other,
        };
        let gone = decision.account.is_none().then(|| "service: the configuration has it no more".to_string());
        let changed = new.into_iter().map(|(topic, text)| format!("{topic}: {text}")).chain(gone).collect();
        api::ExplainChange { at: decision.at.into(), cause: cause.to_string(), changed }
    };
    let past = api::ExplainPast {
        as_of: as_of.into(),
        decided: change(then, before.as_ref()),
        generation: *generation,
        configuration: configuration.to_string(),
        previous: before.as_ref().map(|before| before.at.into()),
        next: after.as_ref().map(|after| change(after, Some(then))),
    };
    Ok(api::Explain { past: Some(past), ..explained(asked, steps, &service, &answer, Manner { sticky: account.sticky, by_name: account.by_name }, client) })
}

fn step(topic: &str, text: String) -> api::ExplainStep {
    api::ExplainStep { topic: topic.to_string(), text }
}

fn client_steps(client: Option<IpAddr>, scope: u8, note: Option<String>) -> impl Iterator<Item = api::ExplainStep> {
    let text = match client {
        Some(client) => format!("{client}: all of {}/{scope} gets the same answer", first_of(client, scope)),
        None => "a client of whom nothing is known; name one with --client".to_string(),
    };
    note.into_iter().chain([text]).map(|text| step("client", text))
}

/// No service answers.
fn nothing(asked: &Asked, steps: Vec<api::ExplainStep>, verdict: &str) -> api::Explain {
    api::Explain {
        name: asked.name.to_string(),
        type_: type_of(asked.family).to_string(),
        service: None,
        steps,
        distribution: Vec::new(),
        ttl: None,
        verdict: verdict.to_string(),
        past: None,
    }
}

fn type_of(family: Family) -> &'static str {
    if family == Family::V4 { "A" } else { "AAAA" }
}

/// How a service answers.
struct Manner {
    sticky: Option<Sticky>,
    /// With a CNAME.
    by_name: bool,
}

/// An answer, told: the same for now and then.
fn explained(asked: &Asked, mut steps: Vec<api::ExplainStep>, service: &str, answer: &AccountAnswer, manner: Manner, client: Option<IpAddr>) -> api::Explain {
    let Manner { sticky, by_name } = manner;
    let family = if by_name { Family::V4 } else { asked.family };
    steps.extend(answer.steps(service).map(|(topic, text)| api::ExplainStep { topic, text }));
    let decided = &answer.families[family.index()];
    if !by_name && decided.absent {
        let word = if family == Family::V4 { "IPv4" } else { "IPv6" };
        let text = format!("no pool of this service has an {word} address, so {} is NODATA; above is the other family", type_of(family));
        steps.push(step("family", text));
    }
    if by_name {
        steps.push(step("answer", "answers with a CNAME, whatever is asked for: its endpoints have host names".to_string()));
    }
    if let Some(sticky) = sticky.filter(|_| answer.keeps(family)) {
        let kept = client.and_then(|client| Some((client, answer.kept_to(family, sticky, client)?)));
        let text = match kept {
            Some((client, (kept, length))) => {
                let one = |(pools, part): &(&[Arc<str>], f64)| {
                    let part = if *part < 1.0 { format!(" {} %", (part * 1000.0).round() / 10.0) } else { String::new() };
                    format!("{}{part}", pools.join(" + "))
                };
                format!("all of {}/{length} keeps to {}", first_of(client, length), kept.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            None => format!("clients of one /{} (IPv4) or /{} (IPv6) keep together; name one with --client", sticky.ipv4_prefix, sticky.ipv6_prefix),
        };
        steps.push(step("sticky", text));
    }
    let endpoint = |AccountEndpoint { id, address, addresses }: &AccountEndpoint| api::ExplainEndpoint {
        id: id.to_string(),
        address: address.to_string(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    };
    let leaf = |leaf: &AccountLeaf| api::ExplainLeaf {
        pools: leaf.pools.iter().map(ToString::to_string).collect(),
        share: f64::from(leaf.share) / 1e4,
        rung: leaf.rung.word().to_string(),
        endpoints: leaf.endpoints.iter().map(endpoint).collect(),
    };
    api::Explain {
        type_: if by_name { "CNAME" } else { type_of(family) }.to_string(),
        service: Some(service.to_string()),
        distribution: decided.leaves.iter().map(leaf).collect(),
        ttl: Some(answer.ttl),
        ..nothing(asked, steps, decided.word())
    }
}

/// The first address of a prefix.
fn first_of(address: IpAddr, scope: u8) -> IpAddr {
    ipnet::IpNet::new(address, scope).map_or(address, |prefix| prefix.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn set(owner: &str, rtype: u16) -> RecordSet {
        RecordSet { owner: name(owner), rtype, ttl: 60, rdata: vec![Box::from(&b"\x03www\x07example\0"[..])] }
    }

    #[test]
    fn a_client_of_several_networks_is_told_by_which_prefixes() {
        let network = |name: &str, prefixes: &[&str]| {
            let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
            Network { name: name.into(), prefixes, place: None }
        };
        let networks = vec![
            network("office", &["192.0.0.0/16", "192.0.2.0/24", "2001:db8::/32"]),
            network("lab", &["192.0.2.128/25"]),
            network("elsewhere", &["198.51.100.0/24"]),
        ];
        let estate = Estate { networks, ..Estate::default() };
        let told = |client: &str| super::networks(&estate, client.parse().unwrap());
        assert_eq!(told("192.0.2.200").as_deref(), Some("lab by 192.0.2.128/25, office by 192.0.2.0/24"));
        assert_eq!(told("::ffff:192.0.3.1").as_deref(), Some("office by 192.0.0.0/16"));
        assert_eq!(told("203.0.113.1"), None);
    }

    #[test]
    fn names_are_placed_as_rfc_1034_and_rfc_4592_say() {
        let sets = vec![
            set("example", 6),
            set("example", NS),
            set("www.example", 1),
            set("alias.example", CNAME),
            set("sub.example", NS),
            set("a.ent.example", 1),
            set("*.wild.example", 1),
        ];
        let zones = [Arc::new(Zone { apex: name("example"), sets })];
        let estate = Estate::default();
        let table = [
            ("www.example", 1, "static"),
            ("www.example", 28, "nodata"),
            ("alias.example", 1, "static"),
            ("ent.example", 1, "nodata"),
            ("sub.example", 1, "delegated"),
            ("x.sub.example", 1, "delegated"),
            ("x.y.wild.example", 1, "static"),
            ("x.www.example", 1, "nxdomain"),
            ("nothing.example", 1, "nxdomain"),
            ("example", 1, "nodata"),
            ("www.other", 1, "refused"),
        ];
        for (asked, rtype, verdict) in table {
            assert_eq!(place(&zones, &estate, &name(asked), rtype).verdict, verdict, "{asked} {rtype}");
        }
    }
}
