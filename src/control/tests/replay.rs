//! What happened is replayed as it happened; and differently, judged differently.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{World, configuration, traffic};
use crate::control::{Configuration, Notice, Replayed, Replaying, Unreplayed, replay};
use crate::health::{Reason, Recording, Run, State, Tried};
use crate::model::{TargetId, Timestamp};

const TWO: &str = "pool eu: 10.0.0.1 10.0.0.2; pool us: 10.1.0.1 10.1.0.2; \
     service search: weighted eu=80 us=20 failback=20s; service orders: failover eu us failback=10s";

/// Probes each target every 5 s for so long, in turns; `passes`: by target and second. What was found is recorded.
fn lived(text: &str, seconds: u64, passes: impl Fn(usize, u64) -> bool) -> (World, Recording) {
    let mut world = World::fresh(text);
    let estate = world.core.estate().clone();
    let mut recording = Recording { targets: estate.targets.iter().map(|target| target.key.clone()).collect(), runs: Vec::new() };
    for second in 0..seconds {
        for target in (0..estate.targets.len()).filter(|target| (second + *target as u64).is_multiple_of(5)) {
            let passed = passes(target, second);
            world.probe(TargetId::at(target), passed);
            let tried = if passed { Tried::Pass } else { Tried::Fail(Reason::Refused) };
            recording.runs.push(Run { target: target as u32, first: world.now.wall, step_ms: 5_000, count: 1, tried });
        }
        world.later(1);
    }
    (world, recording)
}

fn played(configuration: Configuration, world: &World, recording: &Recording) -> Replayed {
    let (from, until) = (recording.runs[0].first, world.now.wall);
    replay(Replaying { configuration, traffic: world.core.stored_traffic(), recording, from, until }, &|| false).expect("it is played")
}

fn told(replayed: &Replayed) -> (Vec<String>, Vec<String>) {
    let flips = replayed.flips.iter().map(|flip| format!("{} {}", flip.endpoint, flip.to.word())).collect();
    (flips, replayed.failovers.iter().map(|moved| format!("{} and {}: {} → {}", moved.service, moved.services, moved.from, moved.to)).collect())
}

/// The same of what really happened.
fn happened(world: &World) -> (Vec<String>, Vec<String>) {
    let (mut flips, mut failovers, mut known) = (Vec::new(), Vec::new(), std::collections::HashMap::new());
    for notice in &world.notices {
        match notice {
            Notice::Endpoint { endpoint, state: state @ (State::Up | State::Down), .. }
                if known.insert(endpoint.clone(), *state).is_some_and(|before| before != *state) =>
            {
                flips.push(format!("{endpoint} {}", state.word()));
            }
            Notice::Failover { services, from, to, .. } => failovers.push(format!("{} and {}: {from} → {to}", services[0], services.len())),
            _ => (),
        }
    }
    (flips, failovers)
}

#[test]
fn a_recorded_outage_is_replayed_as_it_happened() {
    let outage = |target: usize, second: u64| target >= 2 || !(100..180).contains(&second);
    let (world, recording) = lived(TWO, 400, outage);
    let replayed = played(configuration(TWO), &world, &recording);
    assert_eq!(told(&replayed), happened(&world));
    assert_eq!((replayed.flips_total, replayed.failovers_total), (4, 4), "{replayed:?}");
    assert_eq!((replayed.outages_total, replayed.missed_total), (2, 0), "{:?}", replayed.outages);
    let outage = &replayed.outages[0];
    assert_eq!(
        (&*outage.endpoint, outage.since, outage.until.map(|until| until.since(outage.since)), outage.fails),
        ("eu/10.0.0.1", recording.runs[80].first, Some(Duration::from_secs(80)), 16)
    );
    let found = outage.found.expect("found").since(outage.since);
    assert_eq!(found, Duration::from_secs(10), "the third failed probe in a row");
    assert_eq!(replayed.outcomes, 320);
    assert!(replayed.gaps.is_empty() && replayed.unheard.is_empty() && replayed.unused == 0, "{replayed:?}");
    // All time is accounted for, to the region that answered.
    let orders = replayed.services.iter().find(|service| *service.service == *"orders").expect("orders");
    let of = |name: &str| orders.regions.iter().find(|(region, _)| **region == *name).map_or(Duration::ZERO, |(_, time)| *time);
    assert!(Duration::from_secs(90) <= of("us") && of("us") <= Duration::from_secs(130), "{orders:?}");
    let all: Duration = orders.regions.iter().map(|(_, time)| *time).sum();
    assert!(all.abs_diff(Duration::from_secs(400)) <= Duration::from_secs(1), "{orders:?}");
    assert_eq!((orders.dark, orders.failovers), (Duration::ZERO, 2));
}

#[test]
fn other_thresholds_find_more_or_less() {
    // Two failed probes in a row, five times; the estate's own thresholds need three.
    let failing = |second: u64| 100 <= second && [0, 5].contains(&(second % 100));
    let (world, recording) = lived(TWO, 600, |target, second| target != 0 || !failing(second));
    let with = |down_after: u32| {
        let text = format!("thresholds down_after={down_after} ok_after=1 up_after=1\n{TWO}");
        played(configuration(&text), &world, &recording)
    };
    let (today, quick, slow) = (played(configuration(TWO), &world, &recording), with(2), with(4));
    assert_eq!((today.outages_total, today.missed_total, today.flips_total), (5, 5, 0), "{:?}", today.outages);
    assert_eq!((quick.outages_total, quick.missed_total, quick.flips_total), (5, 0, 10), "{:?}", quick.flips);
    assert_eq!((slow.missed_total, slow.flips_total), (5, 0));
    assert_eq!(happened(&world).0.len(), 0);
}

#[test]
fn operators_traffic_counts_and_what_is_not_known_is_said() {
    let (mut world, mut recording) = lived(TWO, 100, |_, _| true);
    world.change(traffic("orders", "failover us eu")).expect("set");
    let until = recording.runs.last().expect("some").first;
    let replayed = played(configuration(TWO), &world, &recording);
    let orders = replayed.services.iter().find(|service| *service.service == *"orders").expect("orders");
    assert!(orders.regions.iter().all(|(region, _)| **region == *"us"), "{orders:?}");
    // Another estate: one target is new, two are gone.
    let other = "pool eu: 10.0.0.1 10.0.0.2; pool ap: 10.2.0.1; service search: weighted eu=80 ap=20";
    let replayed = played(configuration(other), &world, &recording);
    assert_eq!((replayed.unused, replayed.unheard.len(), replayed.services.len()), (2, 1, 1), "{replayed:?}");
    // Half an hour of silence.
    recording.runs.push(Run { target: 0, first: until.plus(Duration::from_secs(1_800)), step_ms: 5_000, count: 3, tried: Tried::Pass });
    world.later(1_900);
    let replayed = played(configuration(TWO), &world, &recording);
    assert_eq!(replayed.gaps, [(until, until.plus(Duration::from_secs(1_800))), (until.plus(Duration::from_secs(1_810)), world.now.wall)]);
}

#[test]
fn a_replay_is_bounded() {
    let (world, mut recording) = lived(TWO, 20, |_, _| true);
    let asked = |recording: &Recording, stop: bool| {
        let (from, until) = (Timestamp(0), world.now.wall);
        replay(Replaying { configuration: configuration(TWO), traffic: Vec::new(), recording, from, until }, &|| stop)
    };
    assert_eq!(asked(&recording, true), Err(Unreplayed::Stopped));
    assert!(asked(&Recording::default(), false).is_ok_and(|replayed| replayed.outcomes == 0 && replayed.gaps.len() == 1));
    recording.runs[0].count = u32::MAX;
    assert!(matches!(asked(&recording, false), Err(Unreplayed::TooMany(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happened_is_replayed_the_same(outages in prop::collection::vec((0usize..4, 0u64..500, 1u64..120), 0..8)) {
        let passes = |target: usize, second: u64| !outages.iter().any(|(of, from, long)| *of == target && (*from..from + long).contains(&second));
        let (world, recording) = lived(TWO, 600, passes);
        let replayed = played(configuration(TWO), &world, &recording);
        prop_assert_eq!(told(&replayed), happened(&world));
        for service in &replayed.services {
            let all: Duration = service.regions.iter().map(|(_, time)| *time).sum();
            prop_assert!(all <= Duration::from_secs(601) && Duration::from_secs(590) <= all, "{:?}", service);
        }
    }
}
