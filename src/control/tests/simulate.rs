//! What if: nothing falls, something falls, everything falls one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::world::{World, configuration, traffic};
use crate::control::{Change, Load, OverrideTargetName, OverrideWord, Part, Simulation};
use crate::health::State;
use crate::model::{Capacity, Estate};
use crate::policy::Rung;

const THREE: &str = "pool eu: 10.0.0.1 10.0.0.2; pool us: 10.1.0.1 10.1.0.2; pool ap: 10.2.0.1 10.2.0.2; \
     service search: weighted eu=50 us=30 ap=20; service orders: failover eu us ap failback=60s; service apart: failover ap";

fn peak(_: &str) -> Load {
    Load { rate: Some(100.0), of_peak: 1.0, ..Load::default() }
}

fn simulate(world: &World, down: &[&str]) -> Simulation {
    let mut picture = world.core.picture(world.now);
    let down: Vec<OverrideTargetName> = down.iter().map(|name| picture.named(name).expect("it exists")).collect();
    picture.simulate(&down, &peak)
}

/// With what each region declares to carry of every service.
fn declared(world: &mut World, limits: &[(&str, u32)]) {
    let mut estate: Estate = (**world.core.estate()).clone();
    estate.rules.capacity = limits.iter().map(|(region, limit)| (Arc::from(*region), Capacity { all: Some(*limit), ..Capacity::default() })).collect();
    world.core.set_estate(estate);
}

fn shares(parts: &[Part]) -> String {
    parts.iter().map(|part| format!("{} {:.0}", part.pool, part.share * 100.0)).collect::<Vec<_>>().join(", ")
}

fn moved(simulation: &Simulation) -> Vec<String> {
    simulation.services.iter().map(|service| format!("{}: {} → {}", service.service, shares(&service.before), shares(&service.after))).collect()
}

fn cascade(simulation: &Simulation) -> Vec<String> {
    simulation.cascade.iter().map(|overload| format!("{} by {}: {:.0}/{:.0}", overload.region, overload.service, overload.load, overload.capacity)).collect()
}

#[test]
fn what_falls_leaves_the_answers_and_nothing_is_changed() {
    let world = World::new(THREE);
    let simulation = simulate(&world, &["eu"]);
    assert_eq!(moved(&simulation), ["search: eu 50, us 30, ap 20 → us 60, ap 40", "orders: eu 100 → us 100"]);
    assert_eq!(simulation.down, ["eu/10.0.0.1", "eu/10.0.0.2"]);
    let loads: Vec<_> = simulation.regions.iter().map(|row| (&*row.region, row.before.map(f64::round), row.after.map(f64::round), row.fallen)).collect();
    assert_eq!(loads, [("eu", Some(150.0), Some(0.0), true), ("us", Some(30.0), Some(160.0), false), ("ap", Some(120.0), Some(140.0), false)]);
    assert_eq!((world.answers("search"), world.answers("orders")), ("eu 50, us 30, ap 20".into(), "eu 100".into()));
}

#[test]
fn the_simulated_fall_is_what_the_real_one_does() {
    let mut world = World::new(THREE);
    let simulated = simulate(&world, &["eu"]);
    world.turn("eu", State::Down);
    for service in &simulated.services {
        assert_eq!(world.answers(&service.service), shares(&service.after));
    }
}

#[test]
fn who_sheds_goes_on_shedding() {
    let text = THREE.replace("10.0.0.2;", "10.0.0.2 shed=30;").replace("10.1.0.2;", "10.1.0.2 shed=30;");
    let mut world = World::new(&text);
    world.load("eu", 85.0).unwrap();
    assert_eq!(world.answers("orders"), "eu 70, us 30");
    assert_eq!(moved(&simulate(&world, &["ap"]))[0], "search: eu 35, us 39, ap 26 → eu 44, us 56");
    let simulated = simulate(&world, &["us"]);
    assert_eq!(moved(&simulated), ["search: eu 35, us 39, ap 26 → eu 50, ap 50", "orders: eu 70, us 30 → eu 70, ap 30"]);
    world.turn("us", State::Down);
    for service in &simulated.services {
        assert_eq!(world.answers(&service.service), shares(&service.after));
    }
    world.load("us", 90.0).unwrap();
    let other = configuration(&text.replace("shed=30;", "shed=50;"));
    let after = world.core.picture_after(&other, world.now).simulate(&[], &peak);
    assert_eq!(moved(&after), ["search: eu 50, ap 50 → eu 36, ap 64", "orders: eu 70, ap 30 → eu 50, ap 50"], "of another file, too");
}

#[test]
fn an_overloaded_region_falls_and_then_the_next_until_nobody_is_left() {
    let mut world = World::new(THREE);
    declared(&mut world, &[("eu", 60), ("us", 50), ("ap", 100)]);
    let simulation = simulate(&world, &["eu"]);
    // orders goes to us as a whole: that is more than search's 60 %.
    assert_eq!(cascade(&simulation), ["us by orders: 100/50"]);
    assert_eq!(moved(&simulation)[0], "search: eu 50, us 30, ap 20 → ap 100");
    assert!(simulation.regions.iter().all(|row| row.fallen == (*row.region != *"ap")), "{:?}", simulation.regions);
    assert!(simulation.guards.iter().any(|guard| guard.starts_with("blast: if us falls")), "{:?}", simulation.guards);
    declared(&mut world, &[("eu", 60), ("us", 50), ("ap", 99)]);
    let simulation = simulate(&world, &["eu"]);
    assert_eq!(cascade(&simulation).len(), 2, "{:?}", simulation.cascade);
    assert!(simulation.services.iter().all(|service| service.rung == Some(Rung::AllDown)), "{:?}", simulation.services);
    assert!(simulation.messages.iter().any(|text| text.contains("when_all_down")), "{:?}", simulation.messages);
}

#[test]
fn what_is_overloaded_already_and_gains_nothing_does_not_fall() {
    let mut world = World::new(THREE);
    declared(&mut world, &[("eu", 10), ("us", 10), ("ap", 10)]);
    let simulation = simulate(&world, &[]);
    assert_eq!((moved(&simulation), cascade(&simulation)), (vec![], vec![]));
    let strained = simulation.regions.iter().filter_map(|row| row.strain.as_ref()).filter(|strain| strain.exceeds()).count();
    assert_eq!(strained, 3, "it is told, though: {:?}", simulation.regions);
}

#[test]
fn half_the_peak_is_half_the_load() {
    let mut world = World::new(THREE);
    declared(&mut world, &[("us", 50)]);
    let mut picture = world.core.picture(world.now);
    let simulation = picture.simulate(&[OverrideTargetName::Region("eu".into())], &|_| Load { of_peak: 0.5, ..Load::default() });
    assert_eq!(cascade(&simulation), Vec::<String>::new(), "all of orders is half of its peak, and us carries that");
    assert_eq!(simulation.regions[1].after, None, "no rate is known");
}

#[test]
fn where_reality_would_differ_is_said() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1 monitor=always; service orders: failover prod dr; service other: failover prod dr");
    let over = |kind, target, services: &[&str]| Change::Override { kind, target, services: services.iter().map(ToString::to_string).collect(), lasts: None };
    world.change(over(OverrideWord::ForceUp, OverrideTargetName::Pool("prod".into()), &[])).expect("forced");
    world.change(over(OverrideWord::Freeze, OverrideTargetName::Service("other".into()), &[])).expect("frozen");
    let simulation = simulate(&world, &["prod"]);
    assert_eq!(moved(&simulation), ["orders: prod 100 → dr 100"], "forced up or not, it counts as down; who is frozen stays");
    assert!(simulation.messages.iter().any(|text| text.contains("force_up by o-")), "{:?}", simulation.messages);
    assert!(simulation.messages.iter().any(|text| text.contains("other is frozen")), "{:?}", simulation.messages);
    let simulation = simulate(&world, &["pool/dr"]);
    assert!(simulation.messages.iter().any(|text| text.contains("dr/10.1.0.1 is not probed")), "{:?}", simulation.messages);
}

#[test]
fn everything_at_once_makes_the_node_blind_rather_than_empty() {
    let simulation = simulate(&World::new(THREE), &["eu", "us", "ap"]);
    assert!(simulation.guards.iter().any(|guard| guard.starts_with("blind")), "{:?}", simulation.guards);
    let simulation = simulate(&World::new(THREE), &["eu", "us"]);
    assert!(simulation.guards.iter().any(|guard| guard.starts_with("blast: of eu, us")), "{:?}", simulation.guards);
}

fn broken(simulation: &Simulation) -> Vec<String> {
    simulation.change_guards.iter().map(|one| format!("{}: {}", one.guard.word(), one.message)).collect()
}

#[test]
fn guards_that_a_person_would_meet_are_told_and_hold_nothing_up() {
    let mut world = World::new("pool eu: 10.0.0.1; pool us: 10.1.0.1; service orders: failover eu us; service search: weighted eu=50 us=50");
    let mut estate: Estate = (**world.core.estate()).clone();
    estate.rules.global.min_serving_regions = Some(2);
    estate.rules.global.max_step = Some(40);
    estate.rules.capacity = [(Arc::from("us"), Capacity { all: Some(70), ..Capacity::default() })].into();
    world.core.set_estate(estate.clone());
    // At half the load us would bear it; guards count shares.
    let half = |_: &str| Load { of_peak: 0.5, ..Load::default() };
    let simulation = world.core.picture(world.now).simulate(&[OverrideTargetName::Region("eu".into())], &half);
    assert_eq!(moved(&simulation), ["orders: eu 100 → us 100", "search: eu 50, us 50 → us 100"], "health asks nobody");
    let told = broken(&simulation);
    assert!(told.iter().any(|one| one.starts_with("min_serving_regions: ") && one.contains("without eu 1 region could answer, at least 2 must")), "{told:?}");
    assert!(told.iter().any(|one| one.starts_with("capacity: ") && one.contains("us")), "{told:?}");
    assert!(!told.iter().any(|one| one.starts_with("max_step")), "an outage makes no steps: {told:?}");
    assert!(broken(&simulate(&world, &[])).is_empty(), "nothing happens, nothing is broken");
    // Another file asks for other shares: that is a step.
    let mut next = configuration("pool eu: 10.0.0.1; pool us: 10.1.0.1; service orders: failover eu us; service search: weighted eu=5 us=95");
    next.estate = Arc::new(Estate { rules: estate.rules.clone(), ..(*next.estate).clone() });
    let told = broken(&world.core.picture_after(&next, world.now).simulate(&[], &half));
    assert!(told.iter().any(|one| one.starts_with("max_step: ") && one.contains("45")), "{told:?}");
    assert!(told.iter().any(|one| one.starts_with("capacity: ")) && !told.iter().any(|one| one.starts_with("min_serving")), "{told:?}");
}

#[test]
fn another_configuration_is_decided_on_todays_health_and_can_fall_too() {
    let mut world = World::new(THREE);
    let next = "pool eu: 10.0.0.1 10.0.0.2; pool us: 10.1.0.1 10.1.0.2; service search: weighted eu=10 us=90; service fresh: failover us";
    let mut picture = world.core.picture_after(&configuration(next), world.now);
    assert_eq!(
        moved(&picture.simulate(&[], &peak)),
        ["search: eu 50, us 30, ap 20 → eu 10, us 90", "fresh:  → us 100", "orders: eu 100 → ", "apart: ap 100 → "]
    );
    world.turn("us", State::Down);
    let mut picture = world.core.picture_after(&configuration(next), world.now);
    let simulation = picture.simulate(&[], &peak);
    assert_eq!(moved(&simulation)[0], "search: eu 71, ap 29 → eu 100");
    assert_eq!(simulation.services[1].rung, Some(Rung::AllDown), "fresh has nobody who is up");
}

#[test]
fn names_are_found_as_people_type_them() {
    let world = World::new("pool eu: region=europe a=10.0.0.1; pool us: 10.1.0.1; service s: failover eu us");
    let picture = world.core.picture(world.now);
    for (typed, meant) in
        [("europe", "region/europe"), ("eu", "pool/eu"), ("us", "region/us"), ("eu/a", "endpoint/eu/a"), ("pool/us", "pool/us"), ("region/e*", "region/e*")]
    {
        assert_eq!(picture.named(typed).map(|target| target.to_string()), Ok(meant.to_string()), "{typed}");
    }
    assert!(picture.named("europ").is_err_and(|why| why.contains("did you mean `europe`")));
    assert!(picture.named("service/s").is_err());
}

/// Any of these may be set before the question is asked.
fn messed(changes: &[u8]) -> World {
    let mut world = World::new(THREE);
    for change in changes {
        match change {
            0 => world.turn("eu", State::Down),
            1 => world.turn("us", State::Down),
            2 => world.turn("eu", State::Up),
            3 => drop(world.change(traffic("search", "weighted eu=5 us=90 ap=5"))),
            4 => drop(world.change(Change::Override {
                kind: OverrideWord::Drain,
                target: OverrideTargetName::Region("us".into()),
                services: Vec::new(),
                lasts: None,
            })),
            5 => world.later(70),
            _ => world.turn("ap", State::Down),
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn simulating_nothing_is_what_is(changes in prop::collection::vec(0u8..7, 0..6), limits in prop::collection::vec(0u32..120, 3)) {
        let mut world = messed(&changes);
        declared(&mut world, &[("eu", limits[0]), ("us", limits[1]), ("ap", limits[2])]);
        let simulation = simulate(&world, &[]);
        prop_assert_eq!(moved(&simulation), Vec::<String>::new());
        prop_assert!(simulation.cascade.is_empty() && simulation.guards.is_empty());
        for row in &simulation.regions {
            prop_assert_eq!(row.before, row.after);
        }
    }

    #[test]
    fn a_cascade_ends_takes_each_region_once_and_less_capacity_never_saves_one(
        changes in prop::collection::vec(0u8..7, 0..4),
        limits in prop::collection::vec(1u32..120, 3),
        first in 0usize..3,
    ) {
        let mut world = messed(&changes);
        let names = ["eu", "us", "ap"];
        let fallen = |world: &mut World, limits: &[u32]| {
            declared(world, &[("eu", limits[0]), ("us", limits[1]), ("ap", limits[2])]);
            let simulation = simulate(world, &[names[first]]);
            let taken: Vec<&str> = simulation.cascade.iter().map(|overload| &*overload.region).collect();
            let set: BTreeSet<&str> = taken.iter().copied().collect();
            assert!(taken.len() == set.len() && taken.len() <= 2 && !set.contains(names[first]), "{taken:?}");
            assert!(simulation.cascade.iter().all(crate::control::Overload::exceeds));
            for service in &simulation.services {
                let sum: f64 = service.after.iter().map(|part| part.share).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{service:?}");
                assert!(service.rung == Some(Rung::AllDown) || service.after.iter().all(|part| !set.contains(&*part.region)), "{service:?}");
            }
            taken.len()
        };
        let many = fallen(&mut world, &limits);
        let halved: Vec<u32> = limits.iter().map(|limit| limit / 2).collect();
        let more = fallen(&mut world, &halved);
        prop_assert!(many <= more, "{many} regions fell, and {more} with half the capacity");
    }
}
