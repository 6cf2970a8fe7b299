//! Why a name is answered as it is: where it stands (RFC 1034, section 4.3.2), then the service's decision.
//!
//! The place of a name is looked for outside the core, on shared immutable tables: with a million names that takes a while.

use std::net::IpAddr;
use std::sync::Arc;

use crate::admin::api;
use crate::client::ClassId;
use crate::control::{Core, Source};
use crate::health::HealthTable;
use crate::model::{Estate, Family, Network, Node, Now, ServiceId};
use crate::policy::{Keeper, Verdict, sticky_key};
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

/// Does any pool of the tree have an address of this family?
fn has_family(estate: &Estate, health: &HealthTable, policy: &Node, family: Family) -> bool {
    let mut found = false;
    policy.pools(&mut |pool| found |= health.pool_has(estate, pool, family));
    found
}

/// The decision of the service that was found, told.
pub(in crate::admin) fn answer_of(core: &Core, place: Place, name: &Name, family: Family, client: Option<IpAddr>, now: Now) -> api::Explain {
    let Place { mut steps, service, verdict, networks } = place;
    let estate = core.estate();
    let mut explain = api::Explain {
        name: name.to_string(),
        type_: if family == Family::V4 { "A" } else { "AAAA" }.to_string(),
        service: None,
        steps: Vec::new(),
        distribution: Vec::new(),
        ttl: None,
        verdict: verdict.to_string(),
    };
    if let Some(id) = service {
        let (class, scope) = client.map_or((ClassId::UNKNOWN, 0), |client| core.class_of(client));
        if core.service(id).policy.asks_about_clients() {
            let text = match client {
                Some(client) => format!("{client}: all of {}/{scope} gets the same answer", first_of(client, scope)),
                None => "a client of whom nothing is known; name one with --client".to_string(),
            };
            steps.push(api::ExplainStep { topic: "client".to_string(), text });
            let text = networks
                .map(|networks| format!("by networks of the file, the innermost first: {networks}; what else holds is what databases say, or was measured"));
            steps.extend(text.map(|text| api::ExplainStep { topic: "client".to_string(), text }));
        }
        let measured = client.map(|client| core.explain_latency(id, client, now)).unwrap_or_default();
        steps.extend(measured.into_iter().map(|step| api::ExplainStep { topic: step.topic.to_string(), text: step.text }));
        let (view, overview) = (core.service(id), core.overview());
        let whose = match view.source {
            Source::File => "the file's policy".to_string(),
            Source::Operator => format!("the operators' policy, revision {}", view.revision.0),
        };
        let text = format!("{whose}; configuration {}, answers of generation {}", overview.config_hash, overview.generation);
        steps.push(api::ExplainStep { topic: "revision".to_string(), text });
        let (decision, told) = core.explain(id, class, now);
        let (families, ttl) = decision.of_class(class);
        steps.extend(told.into_iter().map(|step| api::ExplainStep { topic: step.topic.to_string(), text: step.text }));
        if !decision.by_name && !has_family(estate, core.health(), core.service(id).policy, family) && families[family.index()].leaves.is_empty() {
            let word = if family == Family::V4 { "IPv4" } else { "IPv6" };
            let text = format!("no pool of this service has an {word} address, so {} is NODATA; above is the other family", explain.type_);
            steps.push(api::ExplainStep { topic: "family".to_string(), text });
        }
        let by_name = decision.by_name;
        if by_name {
            explain.type_ = "CNAME".to_string();
            let text = "answers with a CNAME, whatever is asked for: its endpoints have host names".to_string();
            steps.push(api::ExplainStep { topic: "answer".to_string(), text });
        }
        let decided = &families[if by_name { 0 } else { family.index() }];
        if let (Some(sticky), Some(keeper)) = (decision.sticky, Keeper::of(&decided.leaves)) {
            let text = match client {
                Some(client) => {
                    let (key, length) = sticky_key(sticky, client);
                    let odds = keeper.odds(key, decided.leaves.len());
                    let gets = decided.leaves.iter().zip(odds).filter(|(_, part)| 0.0 < *part);
                    let names: Vec<String> = gets
                        .map(|(leaf, part)| {
                            let names: Vec<&str> = leaf.pools.iter().map(|pool| &*estate.pool(*pool).name).collect();
                            let part = if part < 1.0 { format!(" {} %", (part * 1000.0).round() / 10.0) } else { String::new() };
                            format!("{}{part}", names.join(" + "))
                        })
                        .collect();
                    format!("all of {}/{length} keeps to {}", first_of(client, length), names.join(", "))
                }
                None => format!("clients of one /{} (IPv4) or /{} (IPv6) keep together; name one with --client", sticky.ipv4_prefix, sticky.ipv6_prefix),
            };
            steps.push(api::ExplainStep { topic: "sticky".to_string(), text });
        }
        let leaf = |leaf: &crate::policy::Leaf| api::ExplainLeaf {
            pools: leaf.pools.iter().map(|pool| estate.pool(*pool).name.to_string()).collect(),
            share: (leaf.share * 1e6).round() / 1e4,
            rung: leaf.rung.word().to_string(),
            endpoints: leaf
                .endpoints
                .iter()
                .enumerate()
                .map(|(at, endpoint)| api::ExplainEndpoint {
                    id: estate.endpoint_label(*endpoint),
                    address: estate.address_text(*endpoint),
                    addresses: leaf.addresses_at(estate, at).iter().map(ToString::to_string).collect(),
                })
                .collect(),
        };
        explain.service = Some(estate.service(id).name.to_string());
        explain.distribution = decided.leaves.iter().map(leaf).collect();
        explain.ttl = Some(ttl);
        explain.verdict = match &decided.verdict {
            Verdict::Answer if decided.leaves.iter().all(|leaf| leaf.endpoints.is_empty()) => "nodata",
            Verdict::Answer => "answer",
            Verdict::NoData => "nodata",
            Verdict::ServFail(_) => "servfail",
        }
        .to_string();
    }
    api::Explain { steps, ..explain }
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
