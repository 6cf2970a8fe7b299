//! What explain says is what is served: random trees, healths, orders and memories, counted on the packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::model::Family;
use crate::policy::testing::World as Decided;
use crate::policy::tests::properties::{apply, cases, estate, happening};
use crate::policy::{Keeper, Step, Verdict, explain, sticky_key};

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
        let (mut served, sticky) = (World::of(&decided, seed), explained.sticky);

        for family in Family::ALL {
            let explained = &explained.families[family.index()];
            let question = query("orders.api.example.com", if family == Family::V4 { 1 } else { 28 });
            let mut counts: BTreeMap<Addresses, u32> = BTreeMap::new();
            for _ in 0..ANSWERS {
                let response = served.handle(&question, udp()).unwrap();
                let failed = response[3] & 15 == 2;
                prop_assert_eq!(failed, matches!(explained.verdict, Verdict::ServFail(_)));
                if failed {
                    break;
                }
                *counts.entry(addresses(&response, &question, family)).or_default() += 1;
            }
            let mut shares: BTreeMap<Addresses, (f64, f64)> = BTreeMap::new();
            // What is shed by client goes by who asks, and this is one client.
            let keeper = Keeper::of(&explained.leaves).zip(sticky);
            let client = keeper.map(|(keeper, sticky)| keeper.odds(sticky_key(sticky, udp().client).0, explained.leaves.len()));
            for (at, leaf) in explained.leaves.iter().enumerate() {
                let addresses = (0..leaf.endpoints.len()).flat_map(|at| leaf.addresses_at(&decided.estate, at).iter().copied());
                let known = shares.entry(addresses.collect()).or_default();
                let share = client.as_ref().map_or(leaf.share, |odds| odds[at]);
                *known = (known.0 + share, known.1 + WITHIN * leaf.ways.len().max(1) as f64);
            }
            if explained.verdict == Verdict::NoData {
                shares.insert(Addresses::new(), (1.0, 0.0));
            }
            for set in counts.keys() {
                prop_assert!(shares.contains_key(set), "{set:?} is served and not explained");
                let said = |address: &IpAddr| steps.iter().any(|Step { topic, text }| *topic == "endpoint" && text.contains(&address.to_string()));
                prop_assert!(set.iter().all(said), "{set:?} is not in {steps:?}");
            }
            for (set, (share, within)) in shares.iter().filter(|_| !counts.is_empty()) {
                let count = f64::from(counts.get(set).copied().unwrap_or_default());
                prop_assert!((count - share * f64::from(ANSWERS)).abs() <= *within, "{set:?}: {count} of {ANSWERS}, explained as {share}");
            }
        }
    }
}
