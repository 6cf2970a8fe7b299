//! What explain says is what is served: counted on the packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;

use super::world::World;
use crate::answer::{Asked, Counters, Cx, Handled, Limiter, Transport, answer};
use crate::client::ClassId;
use crate::health::State;
use crate::model::{Family, TargetId};
use crate::policy::Verdict;

const SERVED: usize = 10_000;
const POOLS: &str = "thresholds down_after=1 ok_after=1 up_after=1\npool sorry: 10.9.9.9 monitor=none\n\
     pool a: 10.0.0.1 10.0.0.2 2001:db8::1\npool b: 10.1.0.1 10.1.0.2 10.1.0.3@1 min_up=2\npool c: 10.2.0.1 2001:db8:2::1 2001:db8:2::2\n\
     pool d: 10.3.0.1 10.3.0.2\npool e: 10.4.0.1 2001:db8:4::1\n";

/// A choice among these, with shares if it is weighted; at least one is not 0.
fn choice(names: [&'static str; 3]) -> impl Strategy<Value = String> {
    (any::<bool>(), prop::collection::vec(0u32..8, 3), 2usize..=3).prop_map(move |(weighted, shares, count)| {
        let child = |(at, name): (usize, &&str)| match weighted {
            true => format!("{name}={}", 10 * (shares[at] + u32::from(at == 0))),
            false => name.to_string(),
        };
        let children: Vec<String> = names.iter().take(count).enumerate().map(child).collect();
        format!("{} {}", if weighted { "weighted" } else { "failover" }, children.join(" "))
    })
}

/// Three levels of failover, weighted and multivalue.
fn estate() -> impl Strategy<Value = String> {
    let all_down = prop::sample::select(vec!["last_good", "serve_all", "first", "nodata", "servfail", "pool:sorry"]);
    (choice(["a", "b", "m"]), choice(["c", "x", "d"]), choice(["y", "e", "x"]), all_down).prop_map(|(x, y, root, all_down)| {
        format!("{POOLS}policy m: multivalue d e\npolicy x: {x}\npolicy y: {y}\nservice orders: {root} all_down={all_down}\n")
    })
}

fn query(name: &str, family: Family) -> Vec<u8> {
    let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, if family == Family::V4 { 1 } else { 28 }, 0, 1]);
    packet
}

/// The response code, and the addresses of an answer whose records all have a compressed owner name.
fn read(packet: &[u8], question: usize, family: Family) -> (u8, BTreeSet<IpAddr>) {
    let octets = if family == Family::V4 { 4 } else { 16 };
    let count = u16::from_be_bytes([packet[6], packet[7]]) as usize;
    let record = |at: usize| {
        let rdata = &packet[question + at * (12 + octets) + 12..][..octets];
        match family {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(rdata).expect("4 octets")),
            Family::V6 => IpAddr::from(<[u8; 16]>::try_from(rdata).expect("16 octets")),
        }
    };
    (packet[3] & 15, (0..count).map(record).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_explain_says_is_what_ten_thousand_answers_are(text in estate(), passes in prop::collection::vec(any::<bool>(), 16), turns in 0usize..3) {
        let mut world = World::fresh(&text);
        for turn in 0..=turns {
            for target in 0..world.core.estate().targets.len() {
                // Another pattern each time: what went down may come back, and wait.
                let passed = passes[(target + turn * 5) % passes.len()];
                world.probe(TargetId::at(target), passed);
            }
            world.later(1);
        }
        world.later(60);
        let estate = world.core.estate().clone();
        let id = world.service("orders");
        let (decision, steps) = world.core.explain(id, ClassId::UNKNOWN, world.now);
        prop_assert!(steps.iter().any(|step| step.topic == "rung") && steps.iter().any(|step| step.topic == "ttl"), "{steps:?}");
        for (at, endpoint) in estate.endpoints.iter().enumerate() {
            let down = world.core.health().endpoint(&estate, crate::model::EndpointId::at(at)) == State::Down;
            let named = steps.iter().any(|step| step.topic == "pool" && step.text.contains(&format!("{}: ", endpoint.name)) && step.text.contains("down since"));
            let mut used = false;
            world.core.service(id).policy.pools(&mut |pool| used |= pool == endpoint.pool);
            prop_assert!(!(down && used) || named, "{} is down, and no step says since when: {steps:?}", endpoint.name);
        }
        let name = estate.service(id).names.iter().next().expect("a name").to_string();
        let snapshot = world.snapshot.clone().expect("it is published");
        let mut cx = Cx::new(Counters::new(), Limiter::new(7), 11);
        cx.begin(&snapshot, world.now);
        for family in Family::ALL {
            let decided = &decision.families[family.index()];
            let mut said: BTreeMap<BTreeSet<IpAddr>, f64> = BTreeMap::new();
            for leaf in &decided.leaves {
                *said.entry((0..leaf.endpoints.len()).flat_map(|at| leaf.addresses_at(&estate, at).iter().copied()).collect()).or_default() += leaf.share;
            }
            let packet = query(&name, family);
            let mut served: BTreeMap<BTreeSet<IpAddr>, usize> = BTreeMap::new();
            for _ in 0..SERVED {
                let asked = Asked { client: IpAddr::from([198, 51, 100, 7]), port: 40_000, transport: Transport::Udp };
                let mut out = vec![0; 1232];
                let Handled::Reply(octets) = answer(&snapshot, &packet, asked, &mut cx, &mut out) else { panic!("no reply") };
                let (code, addresses) = read(&out[..octets], packet.len(), family);
                prop_assert_eq!(code, if matches!(decided.verdict, Verdict::ServFail(_)) { 2 } else { 0 });
                *served.entry(addresses).or_default() += 1;
            }
            if decided.verdict != Verdict::Answer {
                prop_assert!(served.keys().all(BTreeSet::is_empty), "{served:?}");
                continue;
            }
            for set in said.keys().chain(served.keys()) {
                let (share, count) = (said.get(set).copied().unwrap_or(0.0), served.get(set).copied().unwrap_or(0));
                let difference = (share - count as f64 / SERVED as f64).abs();
                prop_assert!(difference <= 0.005, "{set:?}: explain says {share}, {count} of {SERVED} were served\n{text}");
            }
        }
    }
}
