//! Exact shares through everything: random weights and depths, decided, compiled and served, seen by resolvers that get every answer, every second, … every eighth.
//!
//! What is bounded is the deviation itself, by a number of answers: dice would need a share of them (with 100,000 answers and half and half, ± 500 for three sigma),
//! and a test of chance (χ²) would take the sequence's evenness for a fault.

use std::fmt::Write;

use super::*;
use crate::model::Family;
use crate::policy::testing::World as Decided;

const SETS: u64 = 50;
const ANSWERS: u32 = 100_000;

/// A small source of numbers: the same sets in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A tree of weighted and failover nodes over as many pools as it needs, one address each: its text, and how deep it is.
struct Tree {
    text: String,
    pools: u64,
    policies: u64,
}

impl Tree {
    /// `weighted p1=30 x2=0 …`, with what it names written above.
    fn node(&mut self, numbers: &mut Numbers, depth: u64) -> String {
        let weighted = depth.is_multiple_of(2) || 0 < numbers.below(4);
        let mut node = String::from(if weighted { "weighted" } else { "failover" });
        let children = 2 + numbers.below(4);
        for place in 0..children {
            let child = if 0 < depth && numbers.below(2) == 0 { self.policy(numbers, depth - 1) } else { self.pool() };
            // The first has a share; of the others some are standbys.
            let share = if 0 < place && numbers.below(6) == 0 { 0 } else { 1 + numbers.below(100) };
            let share = if weighted { format!("={share}") } else { String::new() };
            write!(node, " {child}{share}").unwrap();
        }
        node
    }

    fn policy(&mut self, numbers: &mut Numbers, depth: u64) -> String {
        let node = self.node(numbers, depth);
        self.policies += 1;
        writeln!(self.text, "policy x{}: {node}", self.policies).unwrap();
        format!("x{}", self.policies)
    }

    fn pool(&mut self) -> String {
        self.pools += 1;
        writeln!(self.text, "pool p{}: 10.0.{}.{} monitor=always", self.pools, self.pools / 256, self.pools % 256).unwrap();
        format!("p{}", self.pools)
    }
}

/// How many answers a share may be away, of however many: a sequence whose step is the golden ratio, or a small multiple of it, stays within a small
/// number times log n (Kuipers and Niederreiter, "Uniform distribution of sequences", chapter 2, theorem 3.4). Measured: 7.2 at most.
const WITHIN: f64 = 10.0;

#[test]
fn fifty_random_trees_keep_their_shares_at_strides_1_to_8() {
    let mut worst = [0f64; 8];
    for set in 0..SETS {
        let mut numbers = Numbers(set);
        let mut tree = Tree { text: String::new(), pools: 0, policies: 0 };
        let root = tree.node(&mut numbers, set % 4);
        let decided = Decided::new(&format!("{}service orders: {root}", tree.text));
        let mut served = World::of(&decided, set);
        let question = query("orders.api.example.com", 1);
        let numbers: Vec<usize> = (0..ANSWERS)
            .map(|_| {
                let response = served.handle(&question, udp()).unwrap();
                let last = &response[response.len() - 2..];
                usize::from(last[0]) * 256 + usize::from(last[1])
            })
            .collect();
        let leaves = &decided.decide("orders").families[Family::V4.index()].leaves;
        for stride in 1..=8 {
            let (mut counts, mut seen) = (vec![0u32; 1 + tree.pools as usize], 0.0);
            for number in numbers.iter().step_by(stride) {
                counts[*number] += 1;
                seen += 1.0;
            }
            for leaf in leaves {
                let count = counts[1 + leaf.pools[0].index()];
                let away = (f64::from(count) - leaf.share * seen).abs();
                worst[stride - 1] = worst[stride - 1].max(away);
                assert!(away <= WITHIN, "tree {set}, stride {stride}: {count} of {seen} for {}\n{}", leaf.share, tree.text);
            }
            let counted: u32 = leaves.iter().map(|leaf| counts[1 + leaf.pools[0].index()]).sum();
            assert!(f64::from(counted) == seen, "tree {set}: somebody without a share answered");
        }
    }
    eprintln!("furthest from their shares, in answers, of {ANSWERS} at strides 1 to 8: {worst:.1?}");
}
