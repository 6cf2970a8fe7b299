//! The guard as tables of cases, and beside a naive model that reads the rules from the whole history.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::health::testing::estate;
use crate::health::{Outcome, ProbeReport, Reason};
use crate::model::TargetId;

/// Estates whose endpoints turn by one outcome, guarded as by default.
struct World {
    estate: Estate,
    health: HealthTable,
    guard: Guard,
    now: Now,
    /// `dr delayed`, `dr released`, `dr returned`, `blind`, `sees`, with the second.
    told: Vec<String>,
}

impl World {
    /// Everything that is probed has passed once. `sentinels`: further targets.
    fn new(pools: &str, sentinels: usize) -> Self {
        let sentinels: String = (0..sentinels).map(|at| format!("; sentinel s{at}: 192.0.2.{}", at + 1)).collect();
        let estate = estate(&format!("thresholds down_after=1 ok_after=1 up_after=1; {pools}{sentinels}"));
        let now = Now { mono: Duration::from_secs(1000), wall: Timestamp(1_000_000) };
        let health = HealthTable::new(&estate, now);
        let guard = Guard::new(&estate, &health);
        let mut world = Self { estate, health, guard, now, told: Vec::new() };
        (0..world.estate.targets.len()).for_each(|target| world.probe(TargetId::at(target), true));
        world
    }

    fn probe(&mut self, target: TargetId, passed: bool) {
        let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Timeout, message: "silence".into() } };
        let report = ProbeReport::new(outcome, self.now.wall, Duration::ZERO);
        let observed = self.health.observe(&self.estate, target, report, self.now);
        let events = self.guard.observed(&self.estate, &self.health, &observed, self.now);
        self.tell(&events);
    }

    /// `prod` (all endpoints of a pool), `prod/10.0.0.1`, `s0`: turns Down, or Up.
    fn turn(&mut self, what: &str, up: bool) {
        let (pool, endpoint) = what.split_once('/').map_or((what, None), |(pool, endpoint)| (pool, Some(endpoint)));
        let of_pool = |target: TargetId| {
            self.estate.endpoints_of(target).any(|id| {
                let item = self.estate.endpoint(id);
                *self.estate.pool(item.pool).name == *pool && endpoint.is_none_or(|name| *item.name == *name)
            })
        };
        let found: Vec<TargetId> = (0..self.estate.targets.len())
            .map(TargetId::at)
            .filter(|id| {
                of_pool(*id) || self.estate.sentinels.iter().any(|sentinel| self.estate.judgement(sentinel.judgement).target == *id && *sentinel.name == *what)
            })
            .collect();
        assert!(!found.is_empty(), "{what}");
        found.into_iter().for_each(|target| self.probe(target, up));
    }

    fn down(&mut self, what: &str) {
        self.turn(what, false);
    }

    fn up(&mut self, what: &str) {
        self.turn(what, true);
    }

    fn later(&mut self, seconds: u64) {
        let span = Duration::from_secs(seconds);
        self.now = Now { mono: self.now.mono + span, wall: self.now.wall.plus(span) };
        let events = self.guard.advance(&self.estate, self.now);
        self.tell(&events);
    }

    fn tell(&mut self, events: &[GuardEvent]) {
        let at = self.now.mono.as_secs() - 1000;
        let name = |id: &RegionId| self.estate.region(*id).name.to_string();
        let text = |event: &GuardEvent| match event {
            GuardEvent::Delayed(region, ..) => format!("{at} {} delayed", name(region)),
            GuardEvent::Released(region, ..) => format!("{at} {} released", name(region)),
            GuardEvent::Returned(region, _) => format!("{at} {} returned", name(region)),
            GuardEvent::Blinded(..) => format!("{at} blind"),
            GuardEvent::Sees(..) => format!("{at} sees"),
        };
        let told: Vec<String> = events.iter().map(text).collect();
        self.told.extend(told);
    }

    fn told(&self) -> String {
        self.told.join(", ")
    }

    /// How many endpoints of each region policy sees as Up: `prod 2, dr 1`.
    fn seen(&self) -> String {
        let regions = self.estate.regions.iter().enumerate().map(|(at, region)| {
            let of_region = |id: &EndpointId| region_of(&self.estate, *id) == RegionId::at(at);
            let up = |id: &EndpointId| self.health.endpoint(&self.estate, *id) == State::Up || self.guard.keeps(*id);
            let count = (0..self.estate.endpoints.len()).map(EndpointId::at).filter(|id| of_region(id) && up(id)).count();
            format!("{} {count}", region.name)
        });
        regions.collect::<Vec<_>>().join(", ")
    }
}

const TWO: &str = "pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 10.1.0.2";
const THREE: &str = "pool big: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1";
const FOUR: &str = "pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4; pool dr: 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4";

#[test]
fn s26_the_first_region_is_released_at_once() {
    for (estate, region, after) in [(TWO, "prod", "prod 0, dr 2"), (THREE, "big", "big 0, b 1, c 1"), (FOUR, "prod", "prod 0, dr 4")] {
        let mut world = World::new(estate, 0);
        world.down(region);
        assert_eq!((world.seen().as_str(), world.told().as_str()), (after, ""), "{estate}");
    }
}

#[test]
fn s26_all_of_one_region_and_a_part_of_another_are_released_at_once() {
    let mut world = World::new(FOUR, 0);
    world.down("prod");
    world.down("dr/10.1.0.1");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 3", ""));
}

#[test]
fn s26_a_second_region_within_the_window_is_kept_for_twice_the_window() {
    let mut world = World::new(TWO, 0);
    world.down("prod");
    world.later(30);
    world.down("dr");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 2", "30 dr delayed"));
    world.later(119);
    assert_eq!(world.seen(), "prod 0, dr 2");
    assert_eq!(world.guard.next_at(), Some(Duration::from_secs(1150)));
    world.later(1);
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 0", "30 dr delayed, 150 dr released"));
    assert_eq!(world.guard.next_at(), None);
}

#[test]
fn s26_a_second_region_after_the_window_is_released_at_once() {
    for (seconds, told) in [(59, "59 dr delayed"), (60, ""), (300, "")] {
        let mut world = World::new(TWO, 0);
        world.down("prod");
        world.later(seconds);
        world.down("dr");
        assert_eq!(world.told(), told, "{seconds} s later");
    }
}

#[test]
fn s26_of_all_at_once_the_first_is_released_and_the_others_wait() {
    let mut world = World::new(THREE, 0);
    ["b", "c", "big"].iter().for_each(|region| world.down(region));
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("big 1, b 0, c 1", "0 c delayed, 0 big delayed"));
    world.later(120);
    assert_eq!(world.seen(), "big 0, b 0, c 0");
}

#[test]
fn s26_what_turned_in_the_window_before_the_region_fell_is_kept_with_it_and_what_was_down_before_is_not() {
    let mut world = World::new(FOUR, 0);
    world.estate.guard.blind_share = 0;
    world.guard = Guard::new(&world.estate, &world.health);
    world.down("dr/10.1.0.4");
    world.later(100);
    world.down("prod");
    for endpoint in ["dr/10.1.0.1", "dr/10.1.0.2"] {
        world.down(endpoint);
        world.later(10);
    }
    assert_eq!(world.seen(), "prod 0, dr 1");
    world.down("dr/10.1.0.3");
    assert_eq!(world.seen(), "prod 0, dr 3", "dead for 120 s: 10.1.0.4");
}

#[test]
fn s26_a_region_that_returns_ends_its_delay_when_all_that_was_kept_is_up() {
    let mut world = World::new(TWO, 0);
    world.down("prod");
    world.down("dr");
    world.later(10);
    world.up("dr/10.1.0.1");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 2", "0 dr delayed"));
    world.up("dr/10.1.0.2");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 2", "0 dr delayed, 10 dr returned"));
    assert!(!world.guard.keeps_any());
}

#[test]
fn s26_flapping_makes_no_delay_longer() {
    let mut world = World::new(TWO, 0);
    world.down("prod");
    world.down("dr");
    for _ in 0..11 {
        world.later(10);
        world.up("dr/10.1.0.1");
        world.down("dr/10.1.0.1");
        assert_eq!(world.seen(), "prod 0, dr 2");
    }
    world.later(10);
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 0", "0 dr delayed, 120 dr released"));
}

#[test]
fn s26_one_region_alone_is_never_delayed_however_often_it_falls() {
    let mut world = World::new(TWO, 0);
    for _ in 0..5 {
        world.down("prod");
        assert_eq!(world.seen(), "prod 0, dr 2");
        world.up("prod");
        world.later(5);
    }
    assert_eq!(world.told(), "");
}

#[test]
fn s26_without_a_window_nothing_is_delayed() {
    let mut world = World::new(TWO, 0);
    world.estate.guard.window = Duration::ZERO;
    world.guard = Guard::new(&world.estate, &world.health);
    world.down("prod");
    world.down("dr");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 0", ""));
}

#[test]
fn a_region_goes_down_with_the_last_of_its_probed_pools_in_all_families() {
    let mut world = World::new(
        "pool a: 10.0.0.1 2001:db8::1 region=prod; pool b: 10.0.0.2 region=prod; pool trusted: 10.0.0.9 region=prod monitor=always; pool dr: 10.1.0.1",
        0,
    );
    world.down("dr");
    for endpoint in ["a/10.0.0.1", "b"] {
        world.down(endpoint);
        assert_eq!(world.told(), "", "{endpoint}");
    }
    world.down("a/2001:db8::1");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 4, dr 0", "0 prod delayed"));
}

#[test]
fn at_start_the_first_verdicts_are_taken_as_they_are() {
    let mut world = World::new(FOUR, 2);
    world.health = HealthTable::new(&world.estate, world.now);
    world.guard = Guard::new(&world.estate, &world.health);
    ["prod", "dr", "s0", "s1"].iter().for_each(|what| world.down(what));
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 0", ""));
}

#[test]
fn s13_stored_verdicts_count_as_having_been_up() {
    let mut world = World::new(TWO, 1);
    world.health = HealthTable::new(&world.estate, world.now);
    for target in 0..5 {
        world.health.restore(&world.estate, JudgementId(target), State::Up, Timestamp(0), world.now);
    }
    world.guard = Guard::new(&world.estate, &world.health);
    ["prod", "dr"].iter().for_each(|what| world.down(what));
    assert_eq!(world.told(), "0 dr delayed");
    world.down("s0");
    assert_eq!(world.told(), "0 dr delayed, 0 blind");
}

#[test]
fn s27_a_mass_makes_the_node_blind_and_what_turned_is_taken_back() {
    let mut world = World::new(FOUR, 0);
    for (at, endpoint) in ["prod/10.0.0.1", "dr/10.1.0.1", "prod/10.0.0.2", "dr/10.1.0.2", "prod/10.0.0.3"].iter().enumerate() {
        world.down(endpoint);
        assert_eq!(world.told(), "", "{at}");
        world.later(2);
    }
    assert_eq!(world.seen(), "prod 1, dr 2");
    world.down("dr/10.1.0.3");
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 4, dr 4", "10 blind"));
    world.down("dr/10.1.0.4");
    world.down("prod/10.0.0.4");
    assert_eq!(world.seen(), "prod 4, dr 4", "what turns meanwhile is kept");
}

#[test]
fn s27_four_endpoints_or_one_region_or_a_region_that_is_well_are_no_mass() {
    let rows = [
        (TWO, &["prod", "dr"][..]),
        ("pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6", &["prod"]),
        ("pool a: 10.0.0.1 10.0.0.2 10.0.0.3; pool b: 10.1.0.1 10.1.0.2 10.1.0.3; pool c: 10.2.0.1 10.2.0.2", &["a", "b", "c/10.2.0.1"]),
        (FOUR, &["prod", "dr/10.1.0.1", "dr/10.1.0.2"]),
    ];
    for (estate, turned) in rows {
        let mut world = World::new(estate, 0);
        turned.iter().for_each(|what| world.down(what));
        assert!(world.guard.blind().is_none(), "{estate}: {turned:?}");
    }
}

#[test]
fn s27_a_region_that_is_long_dead_has_no_say() {
    let mut world = World::new(&format!("{FOUR}; pool old: 10.2.0.1 10.2.0.2"), 0);
    world.down("old");
    world.later(60);
    world.down("prod");
    world.down("dr");
    assert!(world.guard.blind().is_some_and(|blind| blind.mass && !blind.sentinels));
    assert_eq!(world.seen(), "prod 4, dr 4, old 0");
}

#[test]
fn s27_blindness_by_a_mass_ends_when_all_that_was_kept_is_up_again() {
    let mut world = World::new(FOUR, 0);
    ["prod", "dr"].iter().for_each(|pool| world.down(pool));
    world.later(600);
    assert_eq!((world.seen().as_str(), world.guard.next_at()), ("prod 4, dr 4", None), "however long");
    world.up("prod");
    assert_eq!(world.seen(), "prod 4, dr 4");
    assert!(world.guard.blind().is_some_and(Blind::sees_again), "dr has time to follow");
    world.later(100);
    world.up("dr");
    assert_eq!(world.told(), "0 blind, 0 dr delayed, 700 dr returned, 700 sees");
    assert_eq!(world.guard.next_at(), None);
}

#[test]
fn s27_what_does_not_follow_returned_sight_within_twice_the_window_is_down() {
    let mut world = World::new(FOUR, 0);
    ["prod", "dr"].iter().for_each(|pool| world.down(pool));
    world.later(600);
    world.up("prod");
    world.later(119);
    assert_eq!(world.seen(), "prod 4, dr 4");
    world.later(1);
    assert_eq!(world.seen(), "prod 4, dr 0");
    assert!(world.told().ends_with("720 sees, 720 dr released"), "{}", world.told());
}

#[test]
fn s27_sight_that_is_lost_again_keeps_the_node_blind() {
    let mut world = World::new(FOUR, 2);
    ["s0", "s1"].iter().for_each(|sentinel| world.down(sentinel));
    assert_eq!(world.told(), "0 blind");
    world.down("dr");
    world.later(100);
    world.up("s1");
    assert_eq!(world.guard.next_at(), Some(Duration::from_secs(1220)));
    world.later(100);
    world.down("s1");
    world.later(100);
    assert_eq!((world.seen().as_str(), world.guard.next_at()), ("prod 4, dr 4", None));
    world.up("s0");
    world.later(120);
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 4, dr 0", "0 blind, 420 sees"));
}

#[test]
fn s27_one_sentinel_is_enough_to_see_and_one_that_was_never_up_says_nothing() {
    let mut world = World::new(TWO, 2);
    world.down("s0");
    assert!(world.guard.blind().is_none());
    let mut world = World::new(TWO, 1);
    world.health = HealthTable::new(&world.estate, world.now);
    world.guard = Guard::new(&world.estate, &world.health);
    world.down("s0");
    assert!(world.guard.blind().is_none(), "a mistyped address");
    world.up("s0");
    world.down("s0");
    assert!(world.guard.blind().is_some());
}

#[test]
fn s26_while_blind_no_region_is_released() {
    let mut world = World::new(TWO, 1);
    world.down("prod");
    world.down("dr");
    world.later(100);
    world.down("s0");
    world.later(300);
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 2", "0 dr delayed, 100 blind"));
    world.up("s0");
    world.later(120);
    assert_eq!((world.seen().as_str(), world.told().as_str()), ("prod 0, dr 0", "0 dr delayed, 100 blind, 520 sees, 520 dr released"));
}

#[test]
fn s28_a_wall_clock_that_jumps_releases_nothing_and_keeps_nothing_longer() {
    for days in [-10_i64, 10] {
        let mut world = World::new(TWO, 0);
        world.down("prod");
        world.down("dr");
        world.now.wall = Timestamp(world.now.wall.0 + days * 86_400_000);
        world.later(119);
        assert_eq!(world.seen(), "prod 0, dr 2", "{days} days");
        world.later(1);
        assert_eq!(world.seen(), "prod 0, dr 0", "{days} days");
    }
}

#[test]
fn s16_a_reload_and_an_upgrade_keep_delays_and_blindness() {
    let mut world = World::new(FOUR, 1);
    world.down("prod");
    world.later(20);
    world.down("s0");
    world.down("dr");
    let (seen, before) = (world.seen(), world.guard.clone());
    let names = world.guard.names(&world.estate);
    let names = serde_json::from_slice(&serde_json::to_vec(&names).unwrap()).unwrap();
    world.guard = Guard::from_names(&names, &world.estate, &world.health, world.now);
    assert_eq!((world.seen(), &world.guard), (seen, &before));
    // Another file: prod is gone, and so is the sentinel.
    let mut to = World::new("pool dr: 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4; pool new: 10.3.0.1", 0);
    to.now = world.now;
    to.down("dr");
    to.guard = Guard::from_names(&names, &to.estate, &to.health, to.now);
    assert_eq!(to.seen(), "dr 4, new 1");
    assert!(to.guard.blind().is_some_and(|blind| blind.sees_again() || blind.mass), "{:?}", to.guard.blind());
}

/// S26 read literally from the whole history of turns: `(second, endpoint, up)`, in order. Endpoint n stands in region n / 2; no blindness.
fn naive(history: &[(u64, usize, bool)], now: u64, window: u64) -> Vec<bool> {
    let mut up = [true; 6];
    let mut turned: [Option<u64>; 6] = [None; 6];
    let mut falls: Vec<(u64, usize)> = Vec::new();
    // By region: the end of its delay, and who is kept.
    let mut delays: [Option<(u64, Vec<usize>)>; 3] = [None, None, None];
    let expire = |delays: &mut [Option<(u64, Vec<usize>)>; 3], at: u64| {
        for delay in delays.iter_mut() {
            if delay.as_ref().is_some_and(|(ends, kept)| *ends <= at || kept.is_empty()) {
                *delay = None;
            }
        }
    };
    for (at, endpoint, to) in history {
        expire(&mut delays, *at);
        let region = endpoint / 2;
        if up[*endpoint] == *to {
            continue;
        }
        up[*endpoint] = *to;
        turned[*endpoint] = (!to).then_some(*at);
        if let Some((_, kept)) = &mut delays[region] {
            kept.retain(|kept| kept != endpoint);
            if !to {
                kept.push(*endpoint);
            }
        }
        let fell = !to && !up[region * 2] && !up[region * 2 + 1];
        if fell {
            let beside = falls.iter().any(|(then, other)| *other != region && at - then < window);
            falls.push((*at, region));
            if beside && delays[region].is_none() {
                let kept = [region * 2, region * 2 + 1].into_iter().filter(|endpoint| turned[*endpoint].is_some_and(|then| at - then < window)).collect();
                delays[region] = Some((at + 2 * window, kept));
            }
        }
        expire(&mut delays, *at);
    }
    expire(&mut delays, now);
    (0..6).map(|endpoint| up[endpoint] || delays[endpoint / 2].as_ref().is_some_and(|(_, kept)| kept.contains(&endpoint))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_guard_agrees_with_the_rule_read_from_the_whole_history(steps in prop::collection::vec((0u64..25, 0usize..6, prop::bool::weighted(0.4)), 1..60)) {
        let mut world = World::new("pool a: 10.0.0.1 10.0.0.2; pool b: 10.1.0.1 10.1.0.2; pool c: 10.2.0.1 10.2.0.2", 0);
        world.estate.guard.blind_share = 0;
        world.guard = Guard::new(&world.estate, &world.health);
        let (mut history, mut at) = (Vec::new(), 0);
        for (wait, endpoint, up) in steps {
            at += wait;
            world.later(wait);
            world.probe(TargetId::at(endpoint), up);
            history.push((at, endpoint, up));
            let seen: Vec<bool> = (0..6).map(EndpointId::at).map(|id| world.health.endpoint(&world.estate, id) == State::Up || world.guard.keeps(id)).collect();
            prop_assert_eq!(seen, naive(&history, at, 60), "at {}: {:?}", at, history);
        }
    }

    #[test]
    fn blindness_begins_by_the_rule_and_ends_when_everything_passes_again(steps in prop::collection::vec((0u64..15, 0usize..9, prop::bool::weighted(0.3)), 1..80)) {
        let mut world = World::new("pool a: 10.0.0.1 10.0.0.2 10.0.0.3; pool b: 10.1.0.1 10.1.0.2 10.1.0.3; pool c: 10.2.0.1 10.2.0.2", 1);
        let mut turned: Vec<(u64, usize)> = Vec::new();
        // By region: when it was last Up.
        let mut fell: [Option<u64>; 3] = [None; 3];
        let mut at = 0;
        for (wait, target, up) in steps {
            at += wait;
            world.later(wait);
            let (before, was_blind) = (world.health.judgement(JudgementId::at(target)).state == State::Up, world.guard.blind().is_some());
            world.probe(TargetId::at(target), up);
            let is_up = |target: usize| world.health.judgement(JudgementId::at(target)).state == State::Up;
            turned.retain(|(_, other)| *other != target || before == up);
            if before && !up && target < 8 {
                turned.push((at, target));
            }
            turned.retain(|(then, _)| at - then < 60);
            let regions = [0..3, 3..6, 6..8];
            let (mut were_up, mut struck, mut touched) = (0, 0, 0);
            for (region, members) in regions.into_iter().enumerate() {
                let ups = members.clone().filter(|target| is_up(*target)).count();
                if 0 < ups {
                    fell[region] = None;
                } else if members.contains(&target) && before && !up {
                    fell[region] = Some(at);
                }
                let gone = turned.iter().filter(|(_, target)| members.contains(target)).count();
                let was_up = 0 < ups || fell[region].is_some_and(|then| at - then < 60);
                were_up += usize::from(was_up);
                struck += usize::from(was_up && 0 < gone && 60 * (ups + gone) <= 100 * gone);
                touched += usize::from(0 < gone);
            }
            let mass = 5 <= turned.len() && 2 <= touched && 0 < were_up && struck == were_up;
            if before != up && !was_blind {
                prop_assert_eq!(world.guard.blind().is_some(), mass || !is_up(8), "at {}: {:?}", at, world.told);
            }
            prop_assert!(world.guard.keeps_any() <= (world.guard.blind().is_some() || world.estate.regions.iter().enumerate().any(|(at, _)| world.guard.delay(RegionId::at(at)).is_some())));
        }
        (0..9).for_each(|target| world.probe(TargetId(target), true));
        prop_assert!(world.guard.blind().is_none() && !world.guard.keeps_any(), "everything passes: {:?}", world.guard.blind());
        world.later(120);
        prop_assert_eq!(world.guard.next_at(), None);
    }
}
