//! Endpoints that are up, but degraded, and weights that endpoints tell of themselves.

use crate::model::Family;
use crate::policy::testing::World;
use crate::policy::{Rung, pool_view};

const TWO: &str = "outcomes factor=0.5\n pool prod: 10.0.0.1\n pool dr: 10.1.0.1\n";

#[test]
fn a_degraded_pool_counts_its_factor_of_its_share_and_siblings_take_the_rest_pro_rata() {
    for (policy, degraded, answers) in [
        ("weighted prod=50 dr=50", "prod", "prod 33.33, dr 66.67"),
        ("weighted prod=80 dr=20", "prod", "prod 66.67, dr 33.33"),
        ("weighted prod=80 dr=20", "dr", "prod 88.89, dr 11.11"),
        ("weighted prod=100 dr=0", "prod", "prod 100"),
        ("failover prod dr", "prod", "prod 100"),
        ("multivalue prod dr", "prod", "prod+dr 100"),
    ] {
        let mut world = World::new(&format!("{TWO} service orders: {policy}"));
        let before = world.answers("orders");
        world.degrade(degraded, true);
        assert_eq!(world.answers("orders"), answers, "{policy}, {degraded} degraded");
        world.degrade(degraded, false);
        assert_eq!(world.answers("orders"), before, "{policy}, sound again");
    }
}

#[test]
fn where_all_are_degraded_alike_nothing_changes_not_even_a_rounding() {
    let mut world = World::new("outcomes factor=0.3\n pool a: 10.0.0.1\n pool b: 10.1.0.1\n pool c: 10.2.0.1\n service orders: weighted a=70 b=20 c=10");
    let before = world.decide("orders");
    for pool in ["a", "b", "c"] {
        world.degrade(pool, true);
    }
    assert_eq!(world.decide("orders"), before);
}

#[test]
fn a_pool_counts_the_mean_of_its_serving_endpoints_and_its_own_factor_beats_its_monitors() {
    let mut world = World::new("outcomes factor=0.5\n pool a: 10.0.0.1 10.0.0.2 10.0.0.3@1\n pool b: 10.1.0.1 factor=0.2\n service orders: weighted a=50 b=50");
    let factor = |world: &World, pool: &str| pool_view(&world.facts(), None, world.estate.pool_named(pool).unwrap(), Family::V4).factor;
    world.degrade("a/10.0.0.1", true);
    assert_eq!((factor(&world, "a"), factor(&world, "b")), (0.75, 1.0));
    assert_eq!(world.answers("orders"), "a 42.86, b 57.14");
    world.degrade("a/10.0.0.3", true);
    assert_eq!(factor(&world, "a"), 0.75, "who does not serve does not count");
    world.down("a/10.0.0.2");
    assert_eq!(factor(&world, "a"), 0.5, "now it serves");
    world.degrade("b", true);
    assert_eq!(factor(&world, "b"), 0.2);
}

#[test]
fn a_subtree_counts_what_it_would_answer_with() {
    let mut world = World::new(
        "outcomes factor=0.5\n pool a: 10.0.0.1\n pool b: 10.1.0.1\n pool c: 10.2.0.1\n policy eu: failover a b\n policy mv: multivalue a b\n service s: weighted eu=50 c=50\n service t: weighted mv=50 c=50",
    );
    world.degrade("b", true);
    assert_eq!(world.answers("s"), "a 50, c 50", "its backup is degraded: nothing changes");
    assert_eq!(world.answers("t"), "a+b 42.86, c 57.14");
    world.degrade("a", true);
    assert_eq!(world.answers("s"), "a 33.33, c 66.67");
}

#[test]
fn what_an_operator_forces_is_not_degraded_and_what_is_down_neither() {
    let mut world = World::new(&format!("{TWO} service orders: weighted prod=50 dr=50 failback=0s"));
    world.degrade("prod", true);
    world.begin("force_up pool prod");
    assert_eq!(world.answers("orders"), "prod 50, dr 50");
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "prod 33.33, dr 66.67");
    world.down("prod");
    assert_eq!(world.answers("orders"), "dr 100");
    world.down("dr");
    let leaves = &world.decide("orders").families[Family::V4.index()].leaves;
    assert!(leaves.iter().all(|leaf| leaf.rung == Rung::AllDown && leaf.weights.is_none()));
}

#[test]
fn each_family_is_scaled_by_its_own_endpoints() {
    let mut world = World::new("outcomes factor=0.5\n pool a: 10.0.0.1 2001:db8::1\n pool b: 10.1.0.1 2001:db8:1::1\n service orders: weighted a=50 b=50");
    world.degrade("a v6", true);
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("a 50, b 50".to_string(), "a 33.33, b 66.67".to_string()));
}

#[test]
fn the_order_of_tables_and_endpoints_never_matters_to_the_last_bit() {
    let shares = |pools: [&str; 3]| {
        let [x, y, z] = pools;
        let mut world = World::new(&format!("outcomes factor=0.37\n pool {x}\n pool {y}\n pool {z}\n service orders: weighted a=61 b=27 c=12"));
        for what in ["a/10.0.0.2", "a/10.0.0.3", "c/10.2.0.1"] {
            world.degrade(what, true);
        }
        world.decide("orders").families[0].leaves.iter().map(|leaf| leaf.share.to_bits()).collect::<Vec<_>>()
    };
    let (a, b, c) = ("a: 10.0.0.1 10.0.0.2 10.0.0.3", "b: 10.1.0.1", "c: 10.2.0.1 10.2.0.2");
    let first = shares([a, b, c]);
    assert_eq!(first.len(), 3);
    assert_eq!(shares([c, a, b]), first);
    assert_eq!(shares(["c: 10.2.0.2 10.2.0.1", b, "a: 10.0.0.3 10.0.0.1 10.0.0.2"]), first);
}

#[test]
fn weights_within_a_pool_are_the_told_ones_times_the_factor() {
    let mut world = World::new("outcomes factor=0.5 report=weight min=2 max=50\n pool a: 10.0.0.1*10 10.0.0.2*10 10.0.0.3*10\n service orders: failover a");
    let weights = |world: &World| world.decide("orders").families[0].leaves[0].weights.clone().map(Vec::from);
    assert_eq!(weights(&world), None, "the file's, and nothing to compile anew");
    world.tells("a/10.0.0.1", 7.5);
    world.tells("a/10.0.0.2", 1000.0);
    world.degrade("a/10.0.0.3", true);
    assert_eq!(weights(&world), Some(vec![7_500_000, 50_000_000, 5_000_000]));
    let told = world.explain("orders");
    assert!(told.contains("10.0.0.1: weight 7.5 as it told, 10 in the file") && told.contains("10.0.0.3: degraded, counts 0.5: it took 950ms"), "{told}");
}

#[test]
fn a_load_leaves_the_files_weight_times_what_is_free() {
    let mut world = World::new("outcomes report=load min=0.5 max=100\n pool a: 10.0.0.1*10 10.0.0.2*20\n service orders: failover a");
    world.tells("a/10.0.0.1", 0.75);
    world.tells("a/10.0.0.2", 1.0);
    let leaf = world.decide("orders").families[0].leaves[0].clone();
    assert_eq!(leaf.weights.map(Vec::from), Some(vec![2_500_000, 500_000]));
}

#[test]
fn explain_says_why_a_pool_answers_less_than_its_share() {
    let mut world = World::new(&format!("{TWO} service orders: weighted prod=50 dr=50"));
    world.degrade("prod", true);
    let told = world.explain("orders");
    let said = "pool: pool prod is up: 1 of 1 endpoints up (10.0.0.1: degraded, counts 0.5: it took 950ms, more than 800ms); degraded: where shares are weighted it counts 0.5 of its own";
    assert!(told.contains(said), "{told}");
    assert!(told.contains("rung: policy: prod 33.3 %, dr 66.7 %"), "{told}");
}
