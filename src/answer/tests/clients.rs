//! Answers that depend on who asks, and EDNS Client Subnet (RFC 7871; SEMANTICS, 25).

use std::net::IpAddr;
use std::sync::Arc;

use super::world::zone;
use super::*;
use crate::answer::{Asked, Counters, Cx, Handled, Limiter, answer};
use crate::client::{Clients, Origins, Questions};
use crate::health::testing::estate;
use crate::health::{Guard, HealthTable};
use crate::model::{AnswerSettings, Now, ServiceId, SubnetSettings};
use crate::policy::{Facts, Memory, decide};
use crate::snapshot::{CellMap, Snapshot, compile};

const ZONE: &str = "api.example.com 3600 SOA ns.api.example.com h.api.example.com 1 2 3 4 60
    api.example.com 3600 NS ns.example.net
    static.api.example.com 300 A 192.0.2.99
    alias.api.example.com 300 CNAME geo.api.example.com";

const ESTATE: &str = "pool prod: 10.0.0.1 monitor=always; pool dr: 10.1.0.1 monitor=always; pool six: 2001:db8::6 monitor=always
    network wide: 198.51.0.0/16; network inner: 198.51.100.0/24; network fine: 203.0.113.128/25; network v6: 2001:db8:1::/48
    policy both: weighted prod=80 dr=20
    service plain: failover prod
    service geo: geo network:inner|network:fine|network:v6=dr network:wide=both *=prod
    service odd: geo network:inner=six *=prod
    service keep: weighted prod=50 dr=50 sticky; service keepgeo: geo network:inner=both *=prod sticky; service one: failover prod dr sticky";

struct Place {
    snapshot: Snapshot,
    cx: Cx,
}

fn place(subnets: SubnetSettings) -> Place {
    let estate = estate(ESTATE);
    let now = Now::default();
    let health = HealthTable::new(&estate, now);
    let guard = Guard::new(&estate, &health);
    let clients = Clients::build(&estate, &Questions::of(&estate), &Origins::default());
    let (outdated, planned) = (std::collections::BTreeMap::new(), &crate::policy::NO_PLANS);
    let facts = Facts {
        estate: &estate,
        health: &health,
        guard: &guard,
        overrides: &[],
        clients: &clients,
        outdated: &outdated,
        crowded: &std::collections::BTreeMap::new(),
        planned,
    };
    let mut cells = CellMap::default();
    let compiled = (0..estate.services.len()).map(ServiceId::at).map(|id| {
        let service = estate.service(id);
        compile(&estate, id, &decide(service, &service.policy, &facts, &Memory::default(), now), &mut cells)
    });
    let compiled = compiled.collect();
    let settings = AnswerSettings { subnets, ..AnswerSettings::default() };
    let snapshot = Snapshot::build(1, &[Arc::new(zone("api.example.com", ZONE))], &estate, compiled, &mut cells);
    let snapshot = snapshot.with_settings(Arc::new(settings)).with_clients(Arc::new(clients));
    let mut cx = Cx::new(Counters::new(), Limiter::new(7), 7);
    cx.begin(&snapshot, now);
    Place { snapshot, cx }
}

impl Place {
    /// As text, the header's line and the question left out.
    fn ask(&mut self, name: &str, sender: &str, subnet: Option<&[u8]>) -> String {
        let options = subnet.map(|subnet| [&[0, 8, 0, subnet.len() as u8], subnet].concat());
        let query = ask(&format!("{name}.api.example.com"), 1, options.as_ref().map(|options| (1232, &options[..])));
        let mut out = vec![0; 1232];
        let asked = Asked { client: sender.parse().unwrap(), ..udp() };
        match answer(&self.snapshot, &query, asked, &mut self.cx, &mut out) {
            Handled::Reply(octets) => text(&out[..octets]).lines().skip(2).collect::<Vec<_>>().join(" / "),
            other => panic!("{other:?}"),
        }
    }

    /// The address answered, and the SCOPE of the echoed subnet.
    fn scoped(&mut self, name: &str, prefix: &str) -> (String, u8) {
        let prefix: ipnet::IpNet = prefix.parse().unwrap();
        let octets = match prefix.addr() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let family = if prefix.addr().is_ipv4() { 1 } else { 2 };
        let mut subnet = vec![0, family, prefix.prefix_len(), 0];
        subnet.extend(&octets[..usize::from(prefix.prefix_len().div_ceil(8))]);
        let text = self.ask(name, "192.0.2.53", Some(&subnet));
        let (before, echoed) = text.split_once("ecs=").unwrap_or_else(|| panic!("no subnet: {text}"));
        let scope = u8::from_str_radix(&echoed[6..8], 16).unwrap();
        subnet[3] = scope;
        let sent: String = subnet.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(echoed.split_whitespace().next(), Some(&*sent), "family, source and address come back as they came");
        (before.split(" / ").next().unwrap().rsplit(' ').next().unwrap().to_string(), scope)
    }
}

#[test]
fn without_a_client_subnet_the_senders_address_counts() {
    let mut place = place(SubnetSettings::default());
    assert!(place.ask("geo", "198.51.100.7", None).ends_with("A 10.1.0.1"));
    assert!(place.ask("geo", "203.0.113.200", None).ends_with("A 10.1.0.1"), "all bits of the sender's count");
    assert!(place.ask("geo", "203.0.113.7", None).ends_with("A 10.0.0.1"));
    assert!(place.ask("geo", "2001:db8:1::53", None).ends_with("A 10.1.0.1"));
    assert!(place.ask("plain", "198.51.100.7", None).ends_with("A 10.0.0.1"));
}

#[test]
fn scopes_are_as_short_as_classes_allow_also_around_an_exception_in_a_wider_network() {
    let mut place = place(SubnetSettings::default());
    assert_eq!(place.scoped("geo", "198.51.100.0/24"), ("10.1.0.1".into(), 24), "the exception itself");
    assert_eq!(place.scoped("geo", "198.51.101.0/24").1, 24, "its sibling: /23 would take it in");
    assert_eq!(place.scoped("geo", "198.51.200.0/24").1, 17, "the half of the wider network without the exception");
    assert_eq!(place.scoped("geo", "8.8.8.0/24"), ("10.0.0.1".into(), 1), "half of the world");
    assert_eq!(place.scoped("geo", "198.51.0.0/16").1, 18, "more bits are wanted than were sent");
    assert_eq!(place.scoped("geo", "2001:db8:1::/48"), ("10.1.0.1".into(), 48));
    assert_eq!(place.scoped("geo", "2001:db8:2::/48"), ("10.0.0.1".into(), 47));
}

#[test]
fn no_more_bits_are_looked_at_than_privacy_allows() {
    let mut place = place(SubnetSettings::default());
    // 203.0.113.128/25 is a network of its own, but /24 is all that is looked at: one answer for all of it.
    for sent in ["203.0.113.129/32", "203.0.113.1/32", "203.0.113.0/24"] {
        assert_eq!(place.scoped("geo", sent), ("10.0.0.1".into(), 24), "{sent}");
    }
    let mut curious = self::place(SubnetSettings { ipv4_prefix: 32, ..SubnetSettings::default() });
    assert_eq!(curious.scoped("geo", "203.0.113.129/32"), ("10.1.0.1".into(), 25));
    assert_eq!(curious.scoped("geo", "203.0.113.1/32"), ("10.0.0.1".into(), 25));
}

#[test]
fn the_scope_is_0_where_nothing_depends_on_the_client() {
    let mut place = place(SubnetSettings::default());
    assert_eq!(place.scoped("plain", "198.51.100.0/24"), ("10.0.0.1".into(), 0));
    assert_eq!(place.scoped("static", "198.51.100.0/24"), ("192.0.2.99".into(), 0));
    assert_eq!(place.scoped("nx", "198.51.100.0/24").1, 0, "negative");
    assert_eq!(place.scoped("odd", "198.51.100.0/24").1, 0, "NODATA for these clients");
    assert_eq!(place.scoped("odd", "198.51.101.0/24"), ("10.0.0.1".into(), 24));
    // SOURCE 0: the resolver asks that nobody's address is used; what is left is its own (RFC 7871, section 7.1.2).
    assert!(place.ask("geo", "198.51.100.7", Some(&[0, 1, 0, 0])).contains("ecs=00010000"));
}

#[test]
fn an_alias_of_such_a_service_has_its_scope() {
    let mut place = place(SubnetSettings::default());
    assert_eq!(place.scoped("alias", "198.51.100.0/24").1, 24);
}

#[test]
fn only_trusted_resolvers_speak_for_others() {
    let trusts = |network: &str| place(SubnetSettings { trusted: Some(vec![network.parse().unwrap()]), ..SubnetSettings::default() });
    assert_eq!(trusts("192.0.2.0/24").scoped("geo", "198.51.100.0/24"), ("10.1.0.1".into(), 24));
    assert_eq!(trusts("192.0.3.0/24").scoped("geo", "198.51.100.0/24"), ("10.0.0.1".into(), 0), "its own address counts");
}

#[test]
fn shares_are_exact_for_each_kind_of_client() {
    let mut place = place(SubnetSettings::default());
    // Asked in turn, so that one sequence for both would give one of them every second number.
    let mut dr = 0;
    for _ in 0..1000 {
        dr += u32::from(place.ask("geo", "198.51.3.3", None).ends_with("10.1.0.1"));
        assert!(place.ask("geo", "198.51.100.7", None).ends_with("10.1.0.1"));
    }
    assert!(dr.abs_diff(200) <= 3, "{dr} of 1,000, not 200");
}

#[test]
fn a_sticky_service_answers_one_client_alike_and_its_scope_is_at_least_the_sticky_length() {
    let mut place = place(SubnetSettings::default());
    let mut seen = std::collections::BTreeSet::new();
    for net in 0..40 {
        let prefix = format!("100.64.{net}.0/24");
        let first = place.scoped("keep", &prefix);
        assert_eq!(first.1, 24, "{prefix}");
        for _ in 0..5 {
            assert_eq!(place.scoped("keep", &prefix), first, "{prefix}");
        }
        let by_sender = place.ask("keep", &format!("100.64.{net}.77"), None);
        assert!(by_sender.ends_with(&first.0), "a client that asks by itself goes where its resolver was told: {by_sender}, {first:?}");
        seen.insert(first.0);
    }
    assert_eq!(seen.len(), 2, "both regions are somebody's");
    assert_eq!(place.scoped("keep", "2001:db8:7:100::/56").1, 56);
    assert_eq!(place.scoped("keep", "100.64.0.0/16").1, 24, "more bits are wanted than were sent");
    // One class that is told apart, one where nothing is chosen.
    assert_eq!(place.scoped("keepgeo", "198.51.100.0/24").1, 24);
    assert_eq!(place.scoped("keepgeo", "8.8.8.0/24").1, 1, "nothing to choose: as wide as the class");
    assert_eq!(place.scoped("one", "198.51.100.0/24").1, 0, "the only one that is asked answers everybody");
}
