//! Exact shares (SEMANTICS, 5 and 8): counted on the packets.

use std::collections::BTreeMap;

use super::world::Part;
use super::*;
use crate::answer::{Counters, Cx, Limiter};

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60\nexample 3600 NS ns.example";

fn world(max_answers: u16, parts: &[Part<'_>], seed: u64) -> World {
    let mut world = World::new(&[("example", ZONE)]).service(&["s.example"], 30, max_answers, parts);
    world.cx = Cx::new(Counters::new(), Limiter::new(7), seed);
    world.cx.begin(&world.snapshot, world.now);
    world
}

/// The last octets of the addresses of each answer.
fn answers(world: &mut World, count: usize) -> Vec<Vec<u8>> {
    let query = query("s.example", 1);
    (0..count).map(|_| world.handle(&query, udp()).unwrap()[27..].chunks(16).map(|record| record[15]).collect()).collect()
}

fn share_of(answers: &[Vec<u8>], first: u8) -> f64 {
    answers.iter().filter(|answer| answer[0] == first).count() as f64 / answers.len() as f64
}

const EIGHTY: &[Part<'_>] = &[("prod", 0.8, &[("192.0.2.1", 1)]), ("dr", 0.2, &[("192.0.2.2", 1)])];

#[test]
fn any_hundred_answers_are_80_and_20_within_2() {
    for seed in 0..20 {
        let answers = answers(&mut world(8, EIGHTY, seed), 1000);
        for window in answers.windows(100) {
            let share = share_of(window, 1);
            assert!((0.78..=0.82).contains(&share), "seed {seed}: {share}");
        }
    }
}

#[test]
fn every_second_to_fifth_answer_alone_is_80_within_4() {
    for seed in 0..20 {
        let answers = answers(&mut world(8, EIGHTY, seed), 1500);
        for stride in 2..=5 {
            for from in 0..stride {
                let alone: Vec<_> = answers.iter().skip(from).step_by(stride).cloned().collect();
                for window in alone.windows(100) {
                    let share = share_of(window, 1);
                    assert!((0.76..=0.84).contains(&share), "seed {seed} stride {stride}: {share}");
                }
            }
        }
    }
}

#[test]
fn ten_thousand_over_four_workers_are_80_within_half_a_per_cent() {
    for seed in 0..10 {
        let all: Vec<_> = (0..4).flat_map(|worker| answers(&mut world(8, EIGHTY, seed * 4 + worker), 2500)).collect();
        let share = share_of(&all, 1);
        assert!((0.795..=0.805).contains(&share), "seed {seed}: {share}");
    }
}

#[test]
fn nested_halves_are_quarters() {
    let parts: Vec<Part<'_>> =
        vec![("a", 0.25, &[("192.0.2.1", 1)]), ("b", 0.25, &[("192.0.2.2", 1)]), ("c", 0.25, &[("192.0.2.3", 1)]), ("d", 0.25, &[("192.0.2.4", 1)])];
    let answers = answers(&mut world(8, &parts, 3), 1000);
    for window in answers.windows(100) {
        for first in 1..=4 {
            let share = share_of(window, first);
            assert!((0.22..=0.28).contains(&share), "{share}");
        }
    }
}

#[test]
fn ten_uneven_children_keep_their_shares() {
    let shares = [0.30, 0.20, 0.15, 0.10, 0.08, 0.07, 0.05, 0.03, 0.015, 0.005];
    let addresses: Vec<[(String, u32); 1]> = (1..=10).map(|n| [(format!("192.0.2.{n}"), 1)]).collect();
    let borrowed: Vec<[(&str, u32); 1]> = addresses.iter().map(|one| [(&*one[0].0, one[0].1)]).collect();
    let names: Vec<String> = (1..=10).map(|n| format!("p{n}")).collect();
    let parts: Vec<Part<'_>> = (0..10).map(|at| (&*names[at], shares[at], &borrowed[at][..])).collect();
    for seed in 0..5 {
        let answers = answers(&mut world(8, &parts, seed), 1000);
        for window in answers.windows(100) {
            for (first, expected) in (1..).zip(shares) {
                let share = share_of(window, first);
                assert!((share - expected).abs() <= 0.03, "seed {seed}, child {first}: {share} for {expected}");
            }
        }
    }
}

#[test]
fn who_comes_first_does_not_depend_on_which_leaf_or_stride() {
    let parts: &[Part<'_>] = &[("prod", 0.8, &[("192.0.2.11", 1), ("192.0.2.12", 1), ("192.0.2.13", 1)]), ("dr", 0.2, &[("192.0.2.21", 1), ("192.0.2.22", 1)])];
    let answers = answers(&mut world(8, parts, 11), 8000);
    for stride in 1..=8 {
        let alone: Vec<_> = answers.iter().step_by(stride).cloned().collect();
        for (firsts, expected) in [(&[11, 12, 13][..], 0.8), (&[21, 22], 0.2)] {
            for first in firsts {
                let share = share_of(&alone, *first) * firsts.len() as f64;
                assert!((share - expected).abs() < 0.06, "stride {stride}, {first}: {share} for {expected}");
            }
        }
    }
}

#[test]
fn rotations_keep_file_order_round_the_circle() {
    let parts: &[Part<'_>] = &[("prod", 1.0, &[("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1)])];
    for answer in answers(&mut world(3, parts, 5), 50) {
        let doubled = [1, 2, 3, 1, 2, 3];
        assert!(doubled.windows(3).any(|window| window == answer), "{answer:?}");
    }
}

#[test]
fn more_than_fit_are_chosen_by_weight_without_replacement() {
    let parts: &[Part<'_>] = &[("prod", 1.0, &[("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 2), ("192.0.2.4", 2), ("192.0.2.5", 3), ("192.0.2.6", 3)])];
    // Four points on a circle of 12: the endpoints that weigh 3 are always there, two points for the other 6.
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    let mut firsts: BTreeMap<u8, u32> = BTreeMap::new();
    for answer in answers(&mut world(4, parts, 9), 6000) {
        let mut unique = answer.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 4, "{answer:?}");
        *firsts.entry(answer[0]).or_default() += 1;
        answer.iter().for_each(|address| *counts.entry(*address).or_default() += 1);
    }
    for (address, expected) in [(1, 2000), (2, 2000), (3, 4000), (4, 4000), (5, 6000), (6, 6000)] {
        assert!(counts[&address].abs_diff(expected) <= 30, "{address}: {counts:?}");
        assert!(firsts[&address] > 300, "everyone comes first now and then: {firsts:?}");
    }
}

#[test]
fn one_of_many_is_chosen_by_weight() {
    let parts: &[Part<'_>] = &[("prod", 1.0, &[("192.0.2.1", 70), ("192.0.2.2", 20), ("192.0.2.3", 10)])];
    let answers = answers(&mut world(1, parts, 1), 1000);
    for (first, expected) in [(1, 0.7), (2, 0.2), (3, 0.1)] {
        assert!((share_of(&answers, first) - expected).abs() < 0.01);
    }
}

#[test]
fn shares_go_on_over_publishes() {
    let mut world = world(8, EIGHTY, 4);
    let mut all = Vec::new();
    for _ in 0..100 {
        all.extend(answers(&mut world, 1));
        let same = world.decision(30, EIGHTY);
        world.decide(crate::model::ServiceId(0), same);
    }
    assert!((0.78..=0.82).contains(&share_of(&all, 1)));
}
