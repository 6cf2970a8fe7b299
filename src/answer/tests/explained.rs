//! What explain says is what is served: random trees, healths, orders and memories, counted on the packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::answer::Asked;
use crate::client::{Clients, Origins, Questions};
use crate::model::{Family, Sticky};
use crate::policy::testing::World as Decided;
use crate::policy::tests::properties::{ASKING, apply, asking_estate, cases, estate, happening};
use crate::policy::{FamilyDecision, Keeper, Step, Verdict, explain, explain_for, sticky_key};

/// Answers counted of each family.
const ANSWERS: u32 = 10_000;

/// How far a count may lie from its share: some answers for each leaf, however many are counted. Dice would need 200.
const WITHIN: f64 = 12.0;

type Addresses = BTreeSet<IpAddr>;

/// The addresses of a response.
fn addresses(response: &[u8], question: &[u8], family: Family) -> Addresses {
    let octets = if family == Family::V4 { 4 } else { 16 };
    let records = usize::from(u16::from_be_bytes([response[6], response[7]]));
    let record = |record: &[u8]| match family {
        Family::V4 => IpAddr::from(<[u8; 4]>::try_from(&record[12..]).unwrap()),
        Family::V6 => IpAddr::from(<[u8; 16]>::try_from(&record[12..]).unwrap()),
    };
    response[question.len()..].chunks(12 + octets).take(records).map(record).collect()
}

/// Asks as `client` for one family so often, and compares with what was explained.
fn check(
    decided: &Decided,
    served: &mut World,
    (said, sticky): (&FamilyDecision, Option<Sticky>),
    steps: &[Step],
    (client, family): (IpAddr, Family),
) -> Result<(), TestCaseError> {
    let question = query("orders.api.example.com", if family == Family::V4 { 1 } else { 28 });
    let mut counts: BTreeMap<Addresses, u32> = BTreeMap::new();
    for _ in 0..ANSWERS {
        let response = served.handle(&question, Asked { client, ..udp() }).unwrap();
        let failed = response[3] & 15 == 2;
        prop_assert_eq!(failed, matches!(said.verdict, Verdict::ServFail(_)));
        if failed {
            break;
        }
        *counts.entry(addresses(&response, &question, family)).or_default() += 1;
    }
    let mut shares: BTreeMap<Addresses, (f64, f64)> = BTreeMap::new();
    // What goes by who asks is one client's here.
    let keeper = Keeper::of(&said.leaves).zip(sticky);
    let odds = keeper.map(|(keeper, sticky)| keeper.odds(sticky_key(sticky, client).0, said.leaves.len()));
    for (at, leaf) in said.leaves.iter().enumerate() {
        let addresses = (0..leaf.endpoints.len()).flat_map(|at| leaf.addresses_at(&decided.estate, at).iter().copied());
        let known = shares.entry(addresses.collect()).or_default();
        let share = odds.as_ref().map_or(leaf.share, |odds| odds[at]);
        *known = (known.0 + share, known.1 + WITHIN * leaf.ways.len().max(1) as f64);
    }
    if said.verdict == Verdict::NoData {
        shares.insert(Addresses::new(), (1.0, 0.0));
    }
    for set in counts.keys() {
        prop_assert!(shares.contains_key(set), "{set:?} is served to {client} and not explained");
        let told = |address: &IpAddr| steps.iter().any(|Step { topic, text }| *topic == "endpoint" && text.contains(&address.to_string()));
        prop_assert!(set.iter().all(told), "{set:?} is not in {steps:?}");
    }
    for (set, (share, within)) in shares.iter().filter(|_| !counts.is_empty()) {
        let count = f64::from(counts.get(set).copied().unwrap_or_default());
        prop_assert!((count - share * f64::from(ANSWERS)).abs() <= *within, "{set:?}: {count} of {ANSWERS} for {client}, explained as {share}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn what_explain_says_is_what_is_served(text in estate(), happenings in prop::collection::vec(happening(), 0..30), seed in any::<u64>()) {
        // All of a serving set fits, so that leaves can be told apart by their addresses.
        let mut decided = Decided::fresh(&text.replace("service orders: ", "service orders: max_answers=20 "));
        for happening in &happenings {
            apply(&mut decided, happening);
        }
        let id = decided.service("orders");
        let (service, mut steps) = (decided.estate.service(id), Vec::new());
        let explained = explain(service, &service.policy, &decided.facts(), &decided.memories[id.index()], decided.now, &mut |step| steps.push(step()));
        let mut served = World::of(&decided, seed);
        for family in Family::ALL {
            check(&decided, &mut served, (&explained.families[family.index()], explained.sticky), &steps, (udp().client, family))?;
        }
    }
}

proptest! {
    #![proptest_config(cases(15))]

    #[test]
    fn what_explain_says_for_a_client_is_what_that_client_is_served(
        text in asking_estate(),
        happenings in prop::collection::vec(happening(), 0..20),
        seed in any::<u64>(),
    ) {
        let mut decided = Decided::fresh(&text.replace("service orders: ", "service orders: max_answers=20 "));
        decided.clients = Clients::build(&decided.estate, &Questions::of(&decided.estate), &Origins::default());
        for happening in &happenings {
            apply(&mut decided, happening);
        }
        let id = decided.service("orders");
        let service = decided.estate.service(id);
        let mut served = World::of(&decided, seed);
        for client in ASKING.map(|client| client.parse().unwrap()) {
            let (class, mut steps) = (decided.clients.find(client).0, Vec::new());
            let (facts, memory) = (decided.facts(), &decided.memories[id.index()]);
            let explained = explain_for(service, &service.policy, &facts, memory, decided.now, class, &mut |step| steps.push(step()));
            let (families, _) = explained.of_class(class);
            for family in Family::ALL {
                check(&decided, &mut served, (&families[family.index()], explained.sticky), &steps, (client, family))?;
            }
        }
    }
}
