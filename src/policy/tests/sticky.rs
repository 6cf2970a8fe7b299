//! Sticky services: who moves, and who does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::model::{Family, PoolId, Sticky};
use crate::policy::testing::World;
use crate::policy::{Keeper, sticky_key};

const POOLS: &str = "thresholds down_after=1 ok_after=1 up_after=1
    pool a: 10.0.0.1 2001:db8::a; pool b: 10.1.0.1 2001:db8::b; pool c: 10.2.0.1 2001:db8::c; pool d: 10.3.0.1 2001:db8::d; ";

fn world(services: &str) -> World {
    let mut world = World::new(&format!("{POOLS}{services}"));
    world.settle();
    world
}

/// `10.x.y.0` and what follows by /24.
fn client(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((number << 8).wrapping_add(0x2e00_0001)))
}

/// Where each of so many clients goes.
fn homes(world: &World, service: &str, family: Family, clients: u32) -> Vec<Vec<PoolId>> {
    let decision = world.decide(service);
    let leaves = &decision.families[family.index()].leaves;
    let keeper = Keeper::of(leaves);
    let home = |number| {
        let (key, _) = sticky_key(decision.sticky.unwrap_or_default(), client(number));
        leaves[keeper.as_ref().map_or(0, |keeper| keeper.choose(key, 0))].pools.clone()
    };
    (0..clients).map(home).collect()
}

fn share(of: &[Vec<PoolId>], pool: u32) -> f64 {
    100.0 * of.iter().filter(|pools| pools.contains(&PoolId(pool))).count() as f64 / of.len() as f64
}

fn near(found: f64, wanted: f64, most: f64) {
    assert!((found - wanted).abs() <= most, "{found} %, not {wanted} ± {most}");
}

#[test]
fn from_80_20_to_70_30_a_tenth_of_the_clients_moves_and_all_of_them_one_way() {
    let world = world("service before: weighted a=80 b=20 sticky; service after: weighted a=70 b=30 sticky");
    let before = homes(&world, "before", Family::V4, 100_000);
    let after = homes(&world, "after", Family::V4, 100_000);
    near(share(&before, 0), 80.0, 0.5);
    near(share(&after, 0), 70.0, 0.5);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    near(100.0 * moved.len() as f64 / 100_000.0, 10.0, 0.5);
    assert!(moved.iter().all(|(before, after)| **before == [PoolId(0)] && **after == [PoolId(1)]));
}

#[test]
fn a_region_that_is_lost_moves_its_own_clients_alone_and_gets_the_same_ones_back() {
    let mut world = world("service web: weighted a=40 b=30 c=20 d=10 sticky failback=0s");
    let before = homes(&world, "web", Family::V4, 50_000);
    for (pool, wanted) in [(0, 40.0), (1, 30.0), (2, 20.0), (3, 10.0)] {
        near(share(&before, pool), wanted, 0.7);
    }
    world.down("b");
    let without = homes(&world, "web", Family::V4, 50_000);
    assert!(before.iter().zip(&without).all(|(before, now)| before == now || *before == [PoolId(1)]));
    near(share(&without, 0), 40.0 / 0.7, 0.7);
    world.up("b");
    assert_eq!(homes(&world, "web", Family::V4, 50_000), before);
}

#[test]
fn what_goes_inside_a_subtree_is_taken_over_inside_it() {
    let text = "policy eu: weighted a=50 b=50; policy us: weighted c=90 d=10; service web: weighted eu=60 us=40 sticky failback=0s";
    let mut world = world(text);
    let before = homes(&world, "web", Family::V4, 50_000);
    for (pool, wanted) in [(0, 30.0), (1, 30.0), (2, 36.0), (3, 4.0)] {
        near(share(&before, pool), wanted, 0.7);
    }
    world.down("a");
    let without = homes(&world, "web", Family::V4, 50_000);
    let to = |before: &[PoolId]| if before == [PoolId(0)] { vec![PoolId(1)] } else { before.to_vec() };
    assert!(before.iter().zip(&without).all(|(before, now)| to(before) == *now));
}

#[test]
fn a_and_aaaa_agree() {
    let mut world = world("service web: weighted a=40 b=30 c=20 d=10 sticky");
    assert_eq!(homes(&world, "web", Family::V4, 10_000), homes(&world, "web", Family::V6, 10_000));
    world.down("a");
    assert_eq!(homes(&world, "web", Family::V4, 10_000), homes(&world, "web", Family::V6, 10_000));
}

#[test]
fn everybody_of_one_prefix_is_one_client() {
    let key = |address: &str| sticky_key(Sticky::default(), address.parse().unwrap());
    assert_eq!(key("192.0.2.1"), key("192.0.2.254"));
    assert_ne!(key("192.0.2.1").0, key("192.0.3.1").0);
    assert_eq!(key("2001:db8:0:ff00::1"), key("2001:db8:0:ffff::"), "a /56");
    assert_ne!(key("2001:db8:0:ff00::1").0, key("2001:db8:0:fe00::1").0);
    assert_eq!(key("::ffff:192.0.2.1").0, key("192.0.2.1").0);
    assert_eq!((key("192.0.2.1").1, key("2001:db8::").1, key("::ffff:192.0.2.1").1), (24, 56, 120));
    assert_ne!(key("::1").0, sticky_key(Sticky::default(), Ipv6Addr::new(1, 0, 0, 0, 0, 0, 0, 0).into()).0);
}

#[test]
fn what_nodes_must_agree_on_does_not_change() {
    let world = world("service web: weighted a=40 b=30 c=20 d=10 sticky");
    let first: String = homes(&world, "web", Family::V4, 24).iter().map(|pools| (b'a' + pools[0].0 as u8) as char).collect();
    assert_eq!(first, AGREED);
}

/// Where the first 24 clients of the test above go, for ever.
const AGREED: &str = "aabaaaaaccabbacabbccbaac";

#[test]
fn services_that_are_not_sticky_note_no_ways() {
    let world = world("service web: weighted a=40 b=60; service one: failover a b sticky");
    assert!(world.decide("web").families.iter().flat_map(|family| &family.leaves).all(|leaf| leaf.ways.is_empty()));
    assert_eq!(Keeper::of(&world.decide("one").families[0].leaves), None, "there is nothing to choose");
}

#[test]
fn a_step_of_a_return_moves_its_part_of_the_clients_and_no_others() {
    let mut world = world("service web: weighted a=40 b=60 sticky failback=staged:60s:20,50,100:60s");
    let whole = homes(&world, "web", Family::V4, 50_000);
    world.down("a");
    world.up("a");
    let mut before = homes(&world, "web", Family::V4, 50_000);
    assert!(before.iter().all(|pools| *pools == [PoolId(1)]));
    // Of a's own clients 20 %, then 50 %, then all; whoever has returned stays.
    for part in [0.2, 0.5, 1.0] {
        world.later(60);
        let now = homes(&world, "web", Family::V4, 50_000);
        near(share(&now, 0), 40.0 * part, 0.7);
        assert!(before.iter().zip(&now).all(|(before, now)| before == now || (*before == [PoolId(1)] && *now == [PoolId(0)])), "one way at {part}");
        let strangers = whole.iter().zip(&now).filter(|(whole, now)| **now == [PoolId(0)] && **whole != [PoolId(0)]).count();
        assert_eq!(strangers, 0, "at {part}: a gets nobody who was not its own");
        before = now;
    }
    assert_eq!(before, whole);
}

#[test]
fn a_trickle_takes_its_part_of_the_clients_and_a_loss_moves_nobody_of_the_others() {
    let mut world = world("service web: weighted a=60 b=40 c=0 d=0 sticky trickle=10 failback=0s");
    let before = homes(&world, "web", Family::V4, 50_000);
    for (pool, wanted) in [(0, 54.0), (1, 36.0), (2, 5.0), (3, 5.0)] {
        near(share(&before, pool), wanted, 0.7);
    }
    world.down("b");
    let without = homes(&world, "web", Family::V4, 50_000);
    assert!(before.iter().zip(&without).all(|(before, now)| before == now || (*before == [PoolId(1)] && *now == [PoolId(0)])), "b's clients go to a");
    world.up("b");
    world.down("c");
    let without = homes(&world, "web", Family::V4, 50_000);
    assert!(before.iter().zip(&without).all(|(before, now)| before == now || (*before == [PoolId(2)] && *now == [PoolId(3)])), "c's clients go to d");
    world.up("c");
    assert_eq!(homes(&world, "web", Family::V4, 50_000), before);
}

#[test]
fn a_step_of_a_return_leaves_who_keeps_to_the_trickle_where_they_are() {
    let mut world = world("service web: weighted a=50 b=50 c=0 sticky trickle=10 failback=staged:60s:20,100:60s");
    let whole = homes(&world, "web", Family::V4, 50_000);
    world.down("a");
    world.up("a");
    let waiting = homes(&world, "web", Family::V4, 50_000);
    near(share(&waiting, 2), 10.0, 0.7);
    world.later(60);
    let step = homes(&world, "web", Family::V4, 50_000);
    near(share(&step, 0), 9.0, 0.7);
    assert!(waiting.iter().zip(&step).all(|(before, now)| before == now || (*before == [PoolId(1)] && *now == [PoolId(0)])));
    world.later(60);
    assert_eq!(homes(&world, "web", Family::V4, 50_000), whole);
}

/// A tree over the four pools, two policies deep.
fn tree() -> impl Strategy<Value = String> {
    let share = || prop_oneof![Just(0_u32), 1..100_u32];
    let inner = |name: &'static str, children: [&'static str; 3]| {
        (0..3_u8, [share(), share(), share()]).prop_map(move |(kind, shares)| {
            let [x, y, z] = children;
            match kind {
                0 => format!("policy {name}: failover {x} {y} {z}"),
                1 => format!("policy {name}: multivalue {x} {y} {z}"),
                _ => format!("policy {name}: weighted {}", weighted(&children, shares)),
            }
        })
    };
    let root = (0..2_u8, [share(), share(), share()]).prop_map(|(kind, shares)| {
        let children = ["one", "two", "d"];
        if kind == 0 { "failover one two d".to_string() } else { format!("weighted {}", weighted(&children, shares)) }
    });
    (inner("one", ["a", "b", "c"]), inner("two", ["c", "a", "d"]), root).prop_map(|(one, two, root)| format!("{one}; {two}; service web: {root} sticky"))
}

/// Shares that sum to 100.
fn weighted(children: &[&str; 3], shares: [u32; 3]) -> String {
    let sum: u32 = shares.iter().sum::<u32>().max(1);
    let [x, y, _] = shares.map(|share| share * 100 / sum);
    let shares = [x, y, 100 - x - y];
    children.iter().zip(shares).map(|(child, share)| format!("{child}={share}")).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Shares are kept by the mass of clients, and whoever was not at the pool that goes stays where it was (a pool of a multivalue may go from it).
    #[test]
    fn in_any_tree_clients_stay_where_they_can(text in tree(), lost in 0..4_u32) {
        let mut world = world(&format!("{text} failback=0s"));
        let before = homes(&world, "web", Family::V4, 8_000);
        let leaves = &world.decide("web").families[0].leaves;
        for leaf in leaves {
            let found = before.iter().filter(|pools| **pools == leaf.pools).count() as f64 / 8_000.0;
            let wanted: f64 = leaves.iter().filter(|other| other.pools == leaf.pools).map(|leaf| leaf.share).sum();
            // Five standard deviations of dice.
            prop_assert!((found - wanted).abs() <= 0.03, "{}: {} of {} in {}", text, found, wanted, world.answers("web"));
        }
        world.down(["a", "b", "c", "d"][lost as usize]);
        let after = homes(&world, "web", Family::V4, 8_000);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(before == after || before.contains(&PoolId(lost)), "{}: from {:?} to {:?} when {} went", text, before, after, lost);
        }
        prop_assert_eq!(&after, &homes(&world, "web", Family::V6, 8_000));
    }
}
