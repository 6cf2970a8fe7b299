//! `shed`: what a pool over its load gives away, to whom, and of which clients.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use crate::health::State;
use crate::model::{Family, PoolId, Sticky};
use crate::policy::testing::World;
use crate::policy::{Keeper, TurnBy, sticky_key};

const POOLS: &str = "thresholds down_after=1 ok_after=1 up_after=1
    pool a: 10.0.0.1 2001:db8::a shed=30; pool b: 10.1.0.1 2001:db8::b shed=20; pool c: 10.2.0.1 2001:db8::c shed=30:client; pool d: 10.3.0.1 2001:db8::d; ";

fn world(services: &str) -> World {
    World::new(&format!("{POOLS}{services}"))
}

/// `46.x.y.0` and what follows by /24.
fn client(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((number << 8).wrapping_add(0x2e00_0001)))
}

/// Where each of so many clients goes with the answer of this number, and how often it goes anywhere, from 0 to 1.
fn homes(world: &World, family: Family, clients: u32, number: u64) -> Vec<(PoolId, f64)> {
    let decision = world.decide("web");
    let leaves = &decision.families[family.index()].leaves;
    let keeper = Keeper::of(leaves);
    let home = |client_number| {
        let (key, _) = sticky_key(decision.sticky.unwrap_or_default(), client(client_number));
        let Some(keeper) = &keeper else { return (leaves[0].pools[0], 1.0) };
        let leaf = keeper.choose(key, number);
        (leaves[leaf].pools[0], keeper.odds(key, leaves.len())[leaf])
    };
    (0..clients).map(home).collect()
}

fn near(found: f64, wanted: f64, most: f64) {
    assert!((found - wanted).abs() <= most, "{found}, not {wanted} ± {most}");
}

#[test]
fn a_failover_gives_to_the_next_and_takes_it_back() {
    let mut world = world("service web: failover a b d failback=60s");
    assert_eq!(world.answers("web"), "a 100");
    world.load("a", Some(true));
    assert_eq!((world.answers("web").as_str(), world.answers_v6("web").as_str()), ("a 70, b 30", "a 70, b 30"));
    let said = world.explain("web");
    assert!(said.contains("shed: IPv4: pool a gives away 30 % of its answers, in turn: its load of 85 is over 80"), "{said}");
    world.load("b", Some(false));
    assert_eq!(world.answers("web"), "a 70, d 30");
    assert!(world.explain("web").contains("pool b takes nothing that others give away: "), "{}", world.explain("web"));
    world.down("d");
    assert_eq!(world.answers("web"), "a 100");
    assert!(world.explain("web").contains("pool a would give away 30 % of its answers, but nobody takes them"), "{}", world.explain("web"));
    world.load("b", None);
    assert_eq!(world.answers("web"), "a 70, b 30");
    // Who took it was answering: it waits when it returns.
    world.down("b");
    world.up("b");
    assert_eq!((world.answers("web").as_str(), world.held("web").as_str()), ("a 100", "b, b v6, d, d v6"));
    world.later(60);
    assert_eq!(world.answers("web"), "a 70, b 30");
    world.load("a", None);
    assert_eq!(world.answers("web"), "a 100");
}

#[test]
fn two_that_are_full_keep_their_own() {
    let mut world = world("service web: weighted a=60 b=40; service three: weighted a=40 b=40 d=20");
    world.load("a", Some(true));
    assert_eq!((world.answers("web").as_str(), world.answers("three").as_str()), ("a 42, b 58", "a 28, b 48, d 24"));
    world.load("b", Some(true));
    assert_eq!((world.answers("web").as_str(), world.answers("three").as_str()), ("a 60, b 40", "a 28, b 32, d 40"));
}

#[test]
fn nothing_else_moves_when_a_part_of_a_tree_sheds() {
    let mut world = world("policy x: failover a b; service web: weighted x=50 d=50; service low: weighted a=100 b=0 d=0");
    world.load("a", Some(true));
    assert_eq!(world.answers("web"), "a 35, b 15, d 50");
    assert_eq!(world.answers("low"), "a 70, b 15, d 15", "standbys are next, and that is by policy");
    world.load("b", Some(false));
    assert_eq!(world.answers("web"), "a 35, d 65", "what nobody in a subtree takes goes outside of it");
}

#[test]
fn who_is_kept_off_takes_nothing_and_a_drained_one_sheds_nothing() {
    let mut world = world("service web: failover a b d failback=manual");
    world.load("a", Some(true));
    world.data("b", true);
    assert_eq!(world.answers("web"), "a 70, d 30");
    world.begin("force_down pool d");
    assert_eq!(world.answers("web"), "a 100");
    world.data("b", false);
    world.begin("drain pool a");
    assert_eq!(world.answers("web"), "b 100");
    world.begin("drain pool b");
    assert_eq!(world.answers("web"), "a 100 drained", "nothing else is up: it keeps everything");
}

#[test]
fn it_goes_together_with_a_staged_return() {
    let mut world = world("service web: failover a b d failback=staged:10s:20,100:60s");
    world.load("b", Some(true));
    world.down("a");
    assert_eq!(world.answers("web"), "b 80, d 20");
    world.up("a");
    world.later(10);
    assert_eq!(world.answers("web"), "a 20, b 64, d 16");
    world.load("a", Some(true));
    assert_eq!(world.answers("web"), "a 14, b 64, d 22");
    world.later(60);
    assert_eq!(world.answers("web"), "a 70, d 30");
}

#[test]
fn pools_needed_from_rung_held_may_shed_to_each_other() {
    let mut world = world("service web: weighted a=50 d=50 failback=manual");
    world.load("a", Some(true));
    world.down("a");
    world.down("d");
    ["a", "d"].into_iter().for_each(|pool| world.turn(pool, State::Up));
    world.settle();
    assert_eq!(world.answers("web"), "a 35 held, d 65 held");
}

#[test]
fn the_same_clients_go_however_often_they_ask_and_others_never() {
    let mut world = world("service web: failover c d a");
    assert_eq!(world.decide("web").sticky, None);
    world.load("c", Some(true));
    assert_eq!(world.answers("web"), "c 70, d 30");
    assert_eq!(world.decide("web").sticky, Some(Sticky::default()));
    let first = homes(&world, Family::V4, 50_000, 0);
    assert!(first.iter().all(|(_, odds)| *odds == 1.0));
    near(100.0 * first.iter().filter(|(pool, _)| *pool == PoolId(3)).count() as f64 / 50_000.0, 30.0, 0.5);
    for number in [1, u64::MAX / 3, u64::MAX] {
        assert_eq!(homes(&world, Family::V4, 50_000, number), first);
    }
    assert_eq!(homes(&world, Family::V6, 50_000, 7), first, "A and AAAA agree");
    // Another taker, the same clients.
    world.down("d");
    let other = homes(&world, Family::V4, 50_000, 0);
    assert!(first.iter().zip(&other).all(|((before, _), (after, _))| *after == if *before == PoolId(3) { PoolId(0) } else { PoolId(2) }));
    world.load("c", None);
    assert_eq!(world.decide("web").sticky, None);
}

#[test]
fn in_a_service_that_is_not_sticky_only_what_is_shed_goes_by_client() {
    let mut world = world("service web: weighted c=50 d=30 a=20");
    world.load("c", Some(true));
    assert_eq!(world.answers("web"), "c 35, d 39, a 26");
    let decision = world.decide("web");
    let leaves = &decision.families[0].leaves;
    let keeper = Keeper::of(leaves).unwrap();
    let mut counts = vec![0.0; leaves.len()];
    for number in 0..20_000_u32 {
        let (key, _) = sticky_key(Sticky::default(), client(number));
        let odds = keeper.odds(key, leaves.len());
        near(odds.iter().sum(), 1.0, 1e-9);
        // Who keeps to c when its turn is c gets what anybody gets; who does not gets its part elsewhere.
        assert!(odds[0] == 0.0 || (odds[0] - 0.5).abs() < 1e-9, "{odds:?}");
        let found = (0..100_u64).map(|at| keeper.choose(key, at.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut of_client = vec![0.0; leaves.len()];
        found.for_each(|leaf| of_client[leaf] += 0.01);
        of_client.iter().zip(&odds).for_each(|(found, odds)| near(*found, *odds, 0.05));
        counts.iter_mut().zip(odds).for_each(|(count, odds)| *count += odds / 20_000.0);
    }
    for (leaf, count) in leaves.iter().zip(counts) {
        near(count, leaf.share, 0.01);
    }
    assert!(leaves.iter().flat_map(|leaf| &leaf.ways).flatten().any(|turn| matches!(turn.by, TurnBy::Turn(_))));
}

#[test]
fn a_sticky_service_gives_away_exactly_its_share_of_clients_and_gets_the_same_back() {
    for (policy, pool, from, moved) in [
        ("weighted a=40 b=30 c=20 d=10", "a", PoolId(0), 12.0),
        ("weighted a=40 b=30 c=20 d=10", "c", PoolId(2), 6.0),
        ("failover a d", "a", PoolId(0), 30.0),
        ("failover a d trickle=10", "a", PoolId(0), 27.0),
    ] {
        let mut world = world(&format!("service web: {policy} sticky"));
        let before = homes(&world, Family::V4, 100_000, 0);
        world.load(pool, Some(true));
        let during = homes(&world, Family::V4, 100_000, 0);
        let gone: Vec<_> = before.iter().zip(&during).filter(|(before, during)| before != during).collect();
        assert!(gone.iter().all(|((before, _), (during, odds))| *before == from && *during != from && *odds == 1.0), "{policy}: nobody else moves");
        near(100.0 * gone.len() as f64 / 100_000.0, moved, 0.5);
        assert_eq!(during, homes(&world, Family::V4, 100_000, 99), "clients keep, whatever `by` says");
        assert_eq!(during, homes(&world, Family::V6, 100_000, 0));
        world.load(pool, None);
        assert_eq!(homes(&world, Family::V4, 100_000, 0), before, "{policy}: they all come back");
    }
}

#[test]
fn the_clients_that_go_are_those_for_ever() {
    let mut world = world("service web: failover c d");
    world.load("c", Some(true));
    let first: String = homes(&world, Family::V4, 24, 0).iter().map(|(pool, _)| (b'a' + pool.0 as u8) as char).collect();
    assert_eq!(first, AGREED, "nodes agree on it");
}

/// Where the first 24 clients of the test above go: never change what it follows from.
const AGREED: &str = "ccccccdddccccccdcdcccdcd";

#[test]
fn who_asks_about_clients_sheds_for_each_kind_of_them() {
    let mut world = world("service web: geo network:office=c *=d; network office: 192.0.2.0/24");
    world.clients = crate::client::Clients::build(&world.estate, &crate::client::Questions::of(&world.estate), &crate::client::Origins::default());
    world.load("c", Some(true));
    let decision = world.decide("web");
    assert_eq!(decision.sticky, Some(Sticky::default()), "for those of the office");
    let class = world.clients.find("192.0.2.1".parse().unwrap()).0;
    assert_eq!(world.text(&decision.of_class(class).0[0]), "c 70, d 30");
    assert_eq!(world.answers("web"), "d 100");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A greater share takes more clients and gives none back, whoever else sheds in the same answers.
    #[test]
    fn several_of_a_multivalue_are_left_out_of_the_answers_of_the_same_clients(a in any::<bool>(), b in any::<bool>(), c in any::<bool>()) {
        let mut world = world("service web: multivalue a b c d sticky");
        for (pool, sheds) in [("a", a), ("b", b), ("c", c)] {
            world.load(pool, sheds.then_some(true));
        }
        let decision = world.decide("web");
        let leaves = &decision.families[0].leaves;
        let keeper = Keeper::of(leaves);
        prop_assert_eq!(keeper.is_some(), a || b || c);
        let mut out = [0.0; 3];
        for number in 0..10_000 {
            let (key, _) = sticky_key(Sticky::default(), client(number));
            let pools = &leaves[keeper.as_ref().map_or(0, |keeper| keeper.choose(key, 0))].pools;
            // Those with the same number: whoever is left out for 20 % is for 30 %.
            prop_assert!(pools.contains(&PoolId(1)) || !b || (!a || !pools.contains(&PoolId(0))));
            for (at, out) in out.iter_mut().enumerate() {
                *out += f64::from(u8::from(!pools.contains(&PoolId(at as u32)))) / 100.0;
            }
        }
        for (out, wanted) in out.into_iter().zip([(a, 30.0), (b, 20.0), (c, 30.0)]) {
            near(out, if wanted.0 { wanted.1 } else { 0.0 }, 1.5);
        }
    }
}
