//! What is measured of latency: what a push changes, what is durable when, what is left of it after a restart, an upgrade, a reload and a day.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::world::World;
use crate::client::{Clients, Origins, Questions};
use crate::control::{Applied, Event, Key, LatencyCounts, LatencyTold, Measurement, Notice, Op, Record, Refusal, RefusalKind, Ticket};
use crate::model::{Now, TargetId, Timestamp};

const THREE: &str = "pool prod: 10.0.0.1
pool dr: 10.1.0.1
pool eu: 10.2.0.1
service web: latency prod dr eu failback=0s
";

const DAY: u64 = 86_400;

fn measurement(network: &str, region: &str, ms: u32) -> Measurement {
    Measurement { place: 0, network: network.parse().unwrap(), region: region.into(), micros: ms * 1000, samples: 10 }
}

/// `203.0.113.0/24 prod=80 dr=30`
fn all(text: &str) -> Vec<Measurement> {
    let mut words = text.split_whitespace();
    let network = words.next().unwrap();
    words.map(|word| word.split_once('=').unwrap()).map(|(region, ms)| measurement(network, region, ms.parse().unwrap())).collect()
}

fn tell(world: &mut World, told: LatencyTold) -> Result<Applied, Refusal> {
    world.tickets += 1;
    let ticket = Ticket(world.tickets);
    world.event(Event::Latency { ticket, told });
    let at = world.replies.iter().position(|(known, _)| *known == ticket).expect("a reply");
    world.replies.remove(at).1
}

fn push(world: &mut World, text: &str) -> LatencyCounts {
    tell(world, LatencyTold::Measured { measurements: all(text), at: None }).unwrap().latency.unwrap()
}

/// What is known of a network: `dr 30, prod 80`, in the order that counts.
fn known(world: &World, network: &str) -> String {
    let rows = world.core.latency().of(network.parse().unwrap(), world.now).unwrap_or_default();
    rows.iter().map(|row| format!("{} {}", row.region, row.micros / 1000)).collect::<Vec<_>>().join(", ")
}

/// As the app does when it is asked to.
fn classify(world: &mut World) {
    let estate = world.core.estate().clone();
    let origins = Origins { measured: Arc::new(world.core.latency().measured()), ..Origins::default() };
    let clients = Clients::build(&estate, &Questions::of(&estate), &origins);
    world.event(Event::Databases { estate, clients: Arc::new(clients), databases: Default::default() });
}

/// Whom a client gets.
fn answer(world: &World, client: &str) -> String {
    let (class, _) = world.core.class_of(client.parse().unwrap());
    let view = world.core.service(world.service("web"));
    let [v4, _] = view.decision.of_class(class).0;
    let name = |pool: &crate::model::PoolId| world.core.estate().pool(*pool).name.to_string();
    v4.leaves.iter().flat_map(|leaf| leaf.pools.iter().map(name)).collect::<Vec<_>>().join("+")
}

fn key(network: &str) -> Key {
    Key::Latency(network.parse().unwrap())
}

const HOME: &str = "203.0.113.0/24";

#[test]
fn an_order_moves_for_enough_and_not_for_less_and_clients_are_told_apart_once_for_each_order() {
    let mut world = World::new(THREE);
    classify(&mut world);
    assert_eq!((world.classified, answer(&world, "203.0.113.9").as_str()), (0, "prod"), "nothing is measured: as written");
    assert_eq!(push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33"), LatencyCounts { networks: 1, reordered: 1, forgotten: 0 });
    assert_eq!((world.classified, known(&world, HOME).as_str()), (1, "dr 30, eu 33, prod 80"));
    world.later(1);
    assert_eq!(world.classified, 1, "it is asked once");
    classify(&mut world);
    assert_eq!([answer(&world, "203.0.113.9"), answer(&world, "203.0.114.9")], ["dr", "prod"]);
    // Each push moves what is known half way.
    assert_eq!(push(&mut world, "203.0.113.0/24 eu=11").reordered, 0, "22 ms: 26 % better, but 8 ms");
    assert_eq!(push(&mut world, "203.0.113.0/24 dr=60").reordered, 1, "22 ms against 45 ms");
    assert_eq!((known(&world, HOME).as_str(), world.classified), ("eu 22, dr 45, prod 80", 2));
    classify(&mut world);
    assert_eq!(answer(&world, "203.0.113.9"), "eu");
    world.turn("eu", crate::health::State::Down);
    assert_eq!(answer(&world, "203.0.113.9"), "dr", "health comes before latency");
    // While classes are made aside, orders move on: those classes are taken, and others asked for.
    let (estate, before) = (world.core.estate().clone(), world.core.latency().measured());
    push(&mut world, "203.0.113.0/24 prod=1");
    push(&mut world, "203.0.113.0/24 prod=1");
    assert_eq!((known(&world, HOME).as_str(), world.classified), ("eu 22, prod 20, dr 45", 3));
    let origins = Origins { measured: Arc::new(before), ..Origins::default() };
    let clients = Arc::new(Clients::build(&estate, &Questions::of(&estate), &origins));
    world.event(Event::Databases { estate, clients, databases: Default::default() });
    assert_eq!(world.classified, 4);
}

#[test]
fn a_newcomer_takes_no_place_that_it_does_not_earn() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=50 dr=200");
    push(&mut world, "203.0.113.0/24 eu=45");
    assert_eq!(known(&world, HOME), "prod 50, eu 45, dr 200");
}

#[test]
fn a_reply_says_that_it_is_on_disk_and_a_restart_knows_the_same() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33");
    push(&mut world, "203.0.113.0/24 eu=25");
    push(&mut world, "2001:db8::/56 eu=5 dr=50");
    let Some(Record::Latency(record)) = world.on_disk(&key(HOME)) else { panic!("it is on disk") };
    assert_eq!(record.rows.iter().map(|(region, micros, _)| (&**region, *micros)).collect::<Vec<_>>(), [("dr", 30_000), ("eu", 29_000), ("prod", 80_000)]);
    let mut again = world.restart(THREE, Duration::from_secs(3600));
    for network in [HOME, "2001:db8::/56"] {
        assert_eq!(known(&again, network), known(&world, network), "the order, too, though eu is quicker than dr by now");
    }
    assert_eq!(again.core.latency().of(HOME.parse().unwrap(), again.now).unwrap()[0].age, Duration::from_secs(3600));
    again.later(DAY);
    assert!(again.core.latency().is_empty() && again.on_disk(&key(HOME)).is_none());
    let late = world.restart(THREE, Duration::from_secs(2 * DAY));
    assert!(late.core.latency().is_empty() && late.on_disk(&key(HOME)).is_none(), "too old at the start: it goes from the disk, too");
}

#[test]
fn a_store_that_refuses_is_told_and_what_was_measured_is_written_when_it_works_again() {
    let mut world = World::new(THREE);
    world.store_works = false;
    let refusal = tell(&mut world, LatencyTold::Measured { measurements: all("203.0.113.0/24 prod=80 dr=30"), at: None }).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::StoreUnavailable);
    assert_eq!(known(&world, HOME), "dr 30, prod 80", "it counts all the same");
    world.store_works = true;
    world.later(2);
    assert!(world.on_disk(&key(HOME)).is_some());
}

#[test]
fn who_takes_over_goes_on_with_order_value_and_age_whatever_the_wall_clock_does() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33");
    world.later(600);
    world.store_works = false;
    let _refused = tell(&mut world, LatencyTold::Measured { measurements: all("203.0.113.0/24 eu=10 prod=2"), at: None });
    world.now.wall = world.now.wall.plus(Duration::from_secs(30 * DAY));
    let mut heir = world.succeed(THREE);
    assert_eq!(known(&heir, HOME), known(&world, HOME));
    assert_eq!(heir.core.latency().of(HOME.parse().unwrap(), heir.now), world.core.latency().of(HOME.parse().unwrap(), world.now), "and it is as old");
    let Some(Record::Latency(record)) = heir.on_disk(&key(HOME)) else { panic!("what the store could not be told is written now") };
    assert_eq!(record.rows.iter().find(|(region, ..)| &**region == "eu").map(|(_, micros, _)| *micros), Some(21_500));
    heir.later(DAY - 600);
    assert_eq!(known(&heir, HOME), "dr 30, eu 21, prod 41", "dr is a day old");
    heir.later(1);
    assert_eq!(known(&heir, HOME), "eu 21, prod 41", "and now older");
}

#[test]
fn what_is_too_old_is_known_no_more_and_the_last_one_is_told() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33");
    push(&mut world, "198.51.100.0/24 prod=80 dr=30");
    classify(&mut world);
    world.later(DAY / 2);
    push(&mut world, "203.0.113.0/24 prod=80");
    world.now.wall = world.now.wall.plus(Duration::from_secs(10 * DAY));
    world.event(Event::Tick);
    assert_eq!(known(&world, HOME), "dr 30, eu 33, prod 80", "a wall clock that jumps ages nothing");
    world.later(DAY / 2);
    assert_eq!(known(&world, HOME), "dr 30, eu 33, prod 80", "at the limit itself it is not yet older");
    world.now.mono += Duration::from_millis(1);
    world.event(Event::Tick);
    assert_eq!([known(&world, HOME), known(&world, "198.51.100.0/24")], ["prod 80", ""]);
    classify(&mut world);
    assert_eq!([answer(&world, "203.0.113.9"), answer(&world, "198.51.100.9")], ["prod", "prod"], "of one region no order follows");
    let told = |world: &World| {
        world.notices.iter().filter_map(|notice| if let Notice::Latency { ran_out, .. } = notice { Some(*ran_out) } else { None }).collect::<Vec<_>>()
    };
    assert!(told(&world).is_empty());
    world.later(DAY / 2);
    assert!(world.core.latency().is_empty());
    assert_eq!(told(&world), [true]);
    push(&mut world, "203.0.113.0/24 prod=80");
    assert_eq!(told(&world), [true, false]);
}

#[test]
fn a_push_with_a_fault_counts_for_nothing_and_every_fault_is_named() {
    let mut world = World::new(THREE);
    let mut measurements = all("203.0.113.0/24 prod=80 dr=30");
    measurements.extend([measurement(HOME, "porod", 5), measurement(HOME, "mars", 5)]);
    (0..).zip(&mut measurements).for_each(|(place, measurement)| measurement.place = place);
    let at = Some(world.now.wall.plus(Duration::from_secs(61)));
    let refusal = tell(&mut world, LatencyTold::Measured { measurements, at }).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
    let faults: Vec<(&str, &str)> = refusal.faults.iter().map(|fault| (&*fault.pointer, &*fault.hint)).collect();
    let expected = [
        ("/at", "look at the clocks of both machines"),
        ("/measurements/2/region", "did you mean `prod`?"),
        ("/measurements/3/region", "windrose get regions lists them"),
    ];
    assert_eq!(faults, expected);
    assert!(world.core.latency().is_empty());
    let old = Some(Timestamp(world.now.wall.0 - 86_400_001));
    assert_eq!(tell(&mut world, LatencyTold::Measured { measurements: all("203.0.113.0/24 prod=80"), at: old }).unwrap_err().faults[0].pointer, "/at");
    let at = Some(Timestamp(world.now.wall.0 - 3_600_000));
    tell(&mut world, LatencyTold::Measured { measurements: all("203.0.113.0/24 prod=80"), at }).unwrap();
    assert_eq!(world.core.latency().of(HOME.parse().unwrap(), world.now).unwrap()[0].age, Duration::from_secs(3600), "an older one counts from then");
    let many = (0..=10_000).map(|_| measurement(HOME, "prod", 1)).collect();
    assert_eq!(tell(&mut world, LatencyTold::Measured { measurements: many, at: None }).unwrap_err().faults[0].pointer, "/measurements");
}

#[test]
fn regions_that_vanish_are_kept_and_count_again_when_they_return() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33");
    let two = THREE.replace("pool dr: 10.1.0.1\n", "").replace("prod dr eu", "prod eu");
    world.reload(&two).unwrap();
    classify(&mut world);
    assert_eq!([known(&world, HOME), answer(&world, "203.0.113.9")], ["dr 30, eu 33, prod 80", "eu"]);
    world.reload(THREE).unwrap();
    classify(&mut world);
    for target in 0..3 {
        world.probe(TargetId(target), true);
    }
    assert_eq!(answer(&world, "203.0.113.9"), "dr");
}

#[test]
fn what_is_withdrawn_is_gone_from_memory_and_disk() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=80 dr=30 eu=33");
    push(&mut world, "203.0.0.0/16 prod=80 dr=30");
    push(&mut world, "2001:db8::/56 prod=80 dr=30");
    let withdraw = |world: &mut World, network: Option<&str>, region: Option<&str>| {
        let told = LatencyTold::Withdrawn { network: network.map(|network| network.parse().unwrap()), region: region.map(Into::into) };
        tell(world, told).unwrap().latency.unwrap()
    };
    assert_eq!(withdraw(&mut world, Some("203.0.113.0/24"), Some("dr")), LatencyCounts { networks: 1, reordered: 1, forgotten: 0 });
    assert_eq!(known(&world, HOME), "eu 33, prod 80");
    assert_eq!(withdraw(&mut world, Some("203.0.0.0/8"), None).networks, 2, "all within");
    assert_eq!((world.core.latency().len(), world.on_disk(&key(HOME))), (1, None));
    assert_eq!(withdraw(&mut world, None, Some("nowhere")).networks, 0);
    assert_eq!(withdraw(&mut world, None, None).networks, 1);
    assert!(world.core.latency().is_empty() && world.notices.iter().all(|notice| !matches!(notice, Notice::Latency { .. })), "that is no running out");
}

#[test]
fn explain_says_what_was_measured_and_why_a_quicker_one_stands_behind() {
    let mut world = World::new(THREE);
    push(&mut world, "203.0.113.0/24 prod=40 dr=80");
    world.later(90);
    push(&mut world, "203.0.113.0/24 eu=35");
    let client: IpAddr = "203.0.113.9".parse().unwrap();
    let steps = |world: &World| world.core.explain_latency(world.service("web"), client, world.now).into_iter().map(|step| step.text).collect::<Vec<_>>();
    let said = [
        "measured from 203.0.113.0/24: prod 40 ms (1m 30s ago), eu 35 ms (0s ago), dr 80 ms (1m 30s ago)",
        "eu is better than prod by 5 ms and 12 %; it goes before it from 10ms and 20 % on",
    ];
    assert_eq!(steps(&world), said);
    let elsewhere = world.core.explain_latency(world.service("web"), "198.51.100.1".parse().unwrap(), world.now);
    assert!(elsewhere.is_empty());
}

#[test]
fn networks_that_have_no_room_make_it_the_ones_measured_longest_ago_go() {
    let mut latency = crate::control::Latency::default();
    let rules = crate::model::LatencyRules { networks_max: 2, ..Default::default() };
    latency.set_rules(rules);
    let mut world = World::new(THREE);
    world.core.latency = latency;
    push(&mut world, "203.0.113.0/24 prod=40 dr=80");
    world.later(1);
    push(&mut world, "198.51.100.0/24 prod=40 dr=80");
    world.later(1);
    push(&mut world, "203.0.113.0/24 prod=40 dr=80");
    let counts = push(&mut world, "192.0.2.0/24 prod=40 dr=80");
    assert_eq!((counts.forgotten, known(&world, HOME).is_empty(), known(&world, "198.51.100.0/24").is_empty()), (1, false, true));
    assert!(world.commits.iter().any(|(ops, _)| ops.contains(&Op::Delete(key("198.51.100.0/24")))));
    let three = ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"].map(|network| measurement(network, "prod", 1)).to_vec();
    assert!(tell(&mut world, LatencyTold::Measured { measurements: three, at: None }).is_err());
}

fn some() -> impl Strategy<Value = Vec<Measurement>> {
    let one = (0..3_u8, prop::sample::select(vec!["prod", "dr", "eu"]), 1..300_u32, 1..100_u32);
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let one = |(net, region, ms, samples): (u8, &str, u32, u32)| Measurement { samples, ..measurement(&format!("10.0.{net}.0/24"), region, ms) };
        all.into_iter().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Also not for those that stand in it twice.
    #[test]
    fn the_order_of_what_stands_in_a_push_never_matters(pushes in prop::collection::vec((some(), any::<prop::sample::Index>()), 1..5)) {
        let core = |turned: bool| {
            let mut world = World::new(THREE);
            for (push, by) in &pushes {
                let mut push = push.clone();
                if turned {
                    let by = by.index(push.len());
                    push.rotate_left(by);
                    push.reverse();
                }
                tell(&mut world, LatencyTold::Measured { measurements: push, at: None }).unwrap();
            }
            let now: Now = world.now;
            world.core.latency().networks(None, now).collect::<Vec<_>>()
        };
        prop_assert_eq!(core(false), core(true));
    }
}
