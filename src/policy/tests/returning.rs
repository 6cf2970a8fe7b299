//! SEMANTICS 11: returning step by step, one way, and each service in its own time.

use std::time::Duration;

use proptest::prelude::*;

use crate::health::State;
use crate::model::Failback;
use crate::policy::testing::World;

fn staged(policy: &str) -> World {
    World::new(&format!("pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1; service orders: {policy} failback=staged:60s:5,20,100:30s"))
}

fn one_way(services: &str) -> World {
    World::new(&format!("pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; {services}"))
}

#[test]
fn a_returned_pool_gets_its_share_in_steps() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    for (seconds, answers, held) in [
        (0, "dr 100", "prod"),
        (59, "dr 100", "prod"),
        (1, "prod 5, dr 95", "prod"),
        (29, "prod 5, dr 95", "prod"),
        (1, "prod 20, dr 80", "prod"),
        (29, "prod 20, dr 80", "prod"),
        (1, "prod 100", ""),
    ] {
        world.later(seconds);
        assert_eq!((world.answers("orders").as_str(), world.held("orders").as_str()), (answers, held));
    }
    assert_eq!(world.decide("orders").wake_at, None);
}

#[test]
fn a_step_is_per_cent_of_the_pools_own_share() {
    let mut world = staged("weighted prod=80 dr=20");
    world.down("prod");
    world.up("prod");
    world.later(60);
    assert_eq!(world.answers("orders"), "prod 4, dr 96");
    world.later(30);
    assert_eq!(world.answers("orders"), "prod 16, dr 84");
    world.later(30);
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
}

#[test]
fn a_returning_pool_that_goes_down_loses_all_at_once_and_waits_anew() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(95);
    assert_eq!(world.answers("orders"), "prod 5, dr 95");
    world.down("prod");
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    world.up("prod");
    world.later(59);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "prod 5, dr 95");
}

#[test]
fn a_moment_of_down_between_two_decisions_is_not_overlooked() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(60);
    assert_eq!(world.answers("orders"), "prod 5, dr 95");
    world.now.mono += Duration::from_secs(1);
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.settle();
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn a_late_tick_takes_one_step_and_no_more() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(3600);
    assert_eq!(world.answers("orders"), "prod 5, dr 95");
    world.later(3600);
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
    world.later(29);
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
}

#[test]
fn a_drained_pool_takes_no_step_and_asks_for_no_tick() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(60);
    world.begin("drain pool prod");
    assert_eq!((world.answers("orders"), world.decide("orders").wake_at), ("dr 100".into(), None));
    world.later(600);
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "prod 5, dr 95", "from the first step on");
}

#[test]
fn an_operator_brings_all_of_it_back_at_once() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(60);
    world.failback("orders", Some("prod"));
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100".into(), "".into()));
}

#[test]
fn a_restart_starts_the_steps_again() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(95);
    world.restart();
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
}

#[test]
fn a_returning_pool_answers_alone_when_nothing_else_is_left() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    world.later(60);
    world.down("dr");
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100 held".into(), "dr".into()));
}

#[test]
fn two_that_return_take_their_steps_side_by_side() {
    let text = "pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; service orders: weighted a=50 b=25 c=25 failback=staged:60s:20,50,100:30s";
    let mut world = World::new(text);
    world.down("a");
    world.down("b");
    world.up("a");
    world.later(30);
    world.up("b");
    world.later(30);
    assert_eq!(world.answers("orders"), "a 13.33, c 86.67", "20 % of 50 to 25");
    world.later(30);
    // 20 % of answers with all three, 30 % with a and c, half with c alone.
    assert_eq!(world.answers("orders"), "a 30, b 5, c 65");
}

#[test]
fn explain_tells_the_step_and_the_way_on() {
    let mut world = staged("failover prod dr");
    world.down("prod");
    world.up("prod");
    let said = |world: &World, wanted: &str| {
        let told = world.explain("orders");
        assert!(told.contains(wanted), "no `{wanted}` in\n{told}");
    };
    let due = |world: &World, seconds| world.now.wall.plus(Duration::from_secs(seconds)).whole_seconds();
    let (first, manual) = (due(&world, 60), "`windrose failback orders prod`");
    let steps = "then it takes 5, 20, 100 % of its share, 30s each";
    said(&world, &format!("hold: pool prod has returned and waits: its first step is at {first}, or {manual} ends it; {steps}"));
    world.later(60);
    world.later(10);
    let (next, all) = (due(&world, 20), due(&world, 50));
    said(
        &world,
        &format!("hold: pool prod has returned and takes 5 % of its share (step 1 of 3); the next step at {next}, all of it at {all}, or by {manual}"),
    );
}

#[test]
fn one_way_whoever_answers_is_first_from_then_on() {
    let mut world = one_way("service orders: failover a b c failback=one_way:60s");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 100");
    world.up("a");
    world.later(1_000_000);
    assert_eq!((world.answers("orders"), world.held("orders")), ("b 100".into(), "".into()), "a waits for nothing, it is no longer the first");
    world.down("b");
    assert_eq!(world.answers("orders"), "a 100", "the others keep their order");
    world.up("b");
    world.later(1_000_000);
    assert_eq!(world.answers("orders"), "a 100");
}

#[test]
fn one_way_survives_a_restart_and_says_so() {
    let mut world = one_way("service orders: failover a b c failback=one_way:60s");
    world.down("a");
    world.up("a");
    world.later(600);
    world.restart();
    for target in 0..world.estate.targets.len() {
        world.probe(crate::model::TargetId::at(target), true);
    }
    world.later(600);
    assert_eq!(world.answers("orders"), "b 100");
    let told = world.explain("orders");
    assert!(told.contains("policy: failover: b, then a, then c"), "{told}");
    assert!(told.contains("order: ") && told.contains("`windrose failback orders`"), "{told}");
}

#[test]
fn one_way_an_operator_goes_back_to_the_order_as_written() {
    let mut world = one_way("service orders: failover a b c failback=one_way:60s");
    world.down("a");
    world.up("a");
    world.later(600);
    world.failback("orders", None);
    assert_eq!(world.answers("orders"), "a 100");
}

#[test]
fn one_way_what_an_operator_takes_away_comes_back() {
    let mut world = one_way("service orders: failover a b c failback=one_way:60s");
    for order in ["drain pool a", "force_down pool a"] {
        world.begin(order);
        assert_eq!(world.answers("orders"), "b 100", "{order}");
        world.end_all_overrides();
        assert_eq!(world.answers("orders"), "a 100", "{order}");
    }
}

#[test]
fn one_way_is_per_family() {
    let mut world = World::new("pool a: 10.0.0.1 2001:db8::1; pool b: 10.1.0.1 2001:db8:1::1; service orders: failover a b failback=one_way:0s");
    world.down("a v6");
    world.up("a v6");
    assert_eq!((world.answers("orders"), world.answers_v6("orders")), ("a 100".into(), "b 100".into()));
}

#[test]
fn one_way_turns_whole_subtrees_and_what_stands_in_them_waits_its_time() {
    let mut world = one_way("policy ab: weighted a=50 b=50; service orders: failover ab c failback=one_way:60s");
    world.down("a");
    assert_eq!(world.answers("orders"), "b 100");
    world.up("a");
    world.later(60);
    assert_eq!(world.answers("orders"), "a 50, b 50", "the subtree answered all the time");
    world.down("a");
    world.down("b");
    assert_eq!(world.answers("orders"), "c 100");
    world.up("a");
    world.up("b");
    world.later(600);
    assert_eq!(world.answers("orders"), "c 100");
}

#[test]
fn one_way_while_all_are_down_nobody_becomes_first() {
    let mut world = one_way("service orders: failover a b c failback=one_way:0s");
    ["a", "b", "c"].into_iter().for_each(|pool| world.turn(pool, State::Down));
    world.settle();
    world.turn("c", State::Up);
    world.turn("a", State::Up);
    world.settle();
    assert_eq!(world.answers("orders"), "a 100");
}

#[test]
fn with_jitter_each_service_returns_in_its_own_time_within_it() {
    let services: Vec<String> = (0..8).map(|number| format!("service s{number}: failover a b failback=60s")).collect();
    let mut world = one_way(&services.join("; "));
    for service in &mut world.estate.services {
        service.failback = Failback::Scattered { after: Duration::from_secs(60), jitter: Duration::from_secs(100) };
    }
    world.down("a");
    world.up("a");
    let back = |world: &World| (0..8).filter(|number| world.answers(&format!("s{number}")) == "a 100").count();
    world.later(59);
    assert_eq!(back(&world), 0);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..101 {
        world.later(1);
        seen.insert(back(&world));
    }
    assert_eq!(back(&world), 8);
    assert!(3 < seen.len(), "they came one after the other: {seen:?}");
}

/// A region of three zones: `min_up` zones of it are needed.
#[test]
fn a_region_of_three_zones_stays_up_while_two_of_them_are() {
    let mut world = World::new(
        "pool az1: 10.0.1.1 10.0.1.2 region=east; pool az2: 10.0.2.1 10.0.2.2 region=east; pool az3: 10.0.3.1 10.0.3.2 region=east; pool west: 10.9.0.1;
         policy east: multivalue az1 az2 az3 min_up=2; service orders: failover east west failback=0s",
    );
    assert_eq!(world.answers("orders"), "az1+az2+az3 100");
    world.down("az1/10.0.1.1");
    assert_eq!(world.answers("orders"), "az1+az2+az3 100", "a zone is up with one of its two gateways");
    world.down("az1");
    assert_eq!(world.answers("orders"), "az2+az3 100", "two of three zones keep the region up");
    world.down("az3");
    assert_eq!(world.answers("orders"), "west 100", "one zone is no region");
    world.up("az1");
    assert_eq!(world.answers("orders"), "az1+az2 100");
}

#[derive(Clone, Debug)]
enum Happening {
    Turn(usize, bool),
    Later(u64),
    Restart,
    Failback,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens to prod, its share is one of the plan's; while it is down it has nothing; steps are taken one by one, each after its time.
    #[test]
    fn shares_are_always_one_of_the_plans(happenings in prop::collection::vec(prop_oneof![
        2 => (0usize..2, any::<bool>()).prop_map(|(pool, up)| Happening::Turn(pool, up)),
        5 => (1u64..40).prop_map(Happening::Later),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Failback),
    ], 0..40)) {
        let mut world = World::new("thresholds down_after=1 ok_after=1 up_after=1; pool prod: 10.0.0.1; pool dr: 10.1.0.1; pool far: 10.2.0.1; service orders: weighted prod=80 dr=10 far=10 failback=staged:20s:10,50,100:30s");
        let far_is_up = 10.0;
        for happening in happenings {
            match happening {
                Happening::Turn(pool, up) => world.turn(["prod", "dr"][pool], if up { State::Up } else { State::Down }),
                Happening::Later(seconds) => world.later(seconds),
                Happening::Restart => world.restart(),
                Happening::Failback => world.failback("orders", None),
            }
            world.settle();
            let decision = world.decide("orders");
            let prod = world.estate.pool_named("prod").expect("prod");
            let share: f64 = decision.families[0].leaves.iter().filter(|leaf| leaf.pools == [prod]).map(|leaf| leaf.share).sum();
            let down = world.health.endpoint(&world.estate, crate::model::EndpointId(0)) == State::Down;
            prop_assert!(!down || share == 0.0, "down, and still {share}");
            // Its share where the others are in by these parts: dr is in wholly, not at all, or by one of its steps.
            let parts = [0.0, 0.1, 0.5, 1.0];
            let with = |prod_in: f64, dr_in: f64| {
                let (both, alone) = (prod_in.min(dr_in), prod_in - prod_in.min(dr_in));
                both * 80.0 / (80.0 + 10.0 + far_is_up) + alone * 80.0 / (80.0 + far_is_up)
            };
            let known = parts.iter().flat_map(|prod_in| parts.iter().map(move |dr_in| with(*prod_in, *dr_in)));
            prop_assert!(known.clone().any(|known| (known - share).abs() < 1e-9), "{share} is none of {:?}", known.collect::<Vec<_>>());
            let steps = |memory: &crate::policy::Memory| memory.stages.iter().map(|stage| stage.step).collect::<Vec<_>>();
            prop_assert!(steps(&decision.memory).iter().all(|step| (1..3).contains(step)));
        }
    }
}
