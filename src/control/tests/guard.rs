//! The guard in the core: what services answer while a region is held or the node is blind, who may still change that, and how it ends.

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Change, Core, Notice, OverrideTargetName, OverrideWord, UndoTo};
use crate::health::State;
use crate::model::{EndpointId, Family, JudgementId, RegionId, ServiceId, TargetId, Watch};

const TWO: &str = "pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 10.1.0.2; service orders: failover prod dr failback=0s all_down=nodata";
const THREE: &str = "pool a: 10.0.0.1; pool b: 10.1.0.1; pool c: 10.2.0.1; service orders: weighted a=60 b=20 c=20 failback=0s all_down=nodata";
const FOUR: &str = "pool prod: 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4; pool dr: 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4;
    service orders: weighted prod=80 dr=20 failback=0s all_down=nodata";

fn sentences(world: &World) -> Vec<&str> {
    let texts = world.notices.iter().filter_map(|notice| match notice {
        Notice::Guarded { text, .. } | Notice::Blind { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn force_down(target: &str) -> Change {
    let target = OverrideTargetName::parse(target).expect("a target");
    Change::Override { kind: OverrideWord::ForceDown, target, services: Vec::new(), lasts: None }
}

#[test]
fn s26_one_of_two_regions_fails_over_at_once_and_the_other_is_kept_for_two_minutes() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(30);
    world.turn("dr", State::Down);
    assert_eq!(world.answers("orders"), "dr 100");
    assert_eq!(world.core.policy_facts().health.pool(world.core.estate().pool_named("dr").unwrap(), Family::V4).state, State::Down, "observed goes on");
    world.later(119);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "", "both are dead for good");
    assert_eq!(
        sentences(&world),
        [
            "region dr went down within 1m of region prod: it is kept in the answers for at most 2m, because this node may be what is broken",
            "region dr is still down 2m after it went down: it is no longer kept in the answers",
        ]
    );
}

#[test]
fn s26_the_big_one_of_three_is_released_at_once_and_of_all_at_once_two_wait() {
    let mut world = World::new(THREE);
    world.turn("a", State::Down);
    assert_eq!(world.answers("orders"), "b 50, c 50");
    world.turn("b", State::Down);
    world.turn("c", State::Down);
    assert_eq!(world.answers("orders"), "b 50, c 50");
    world.later(120);
    assert_eq!(world.answers("orders"), "");
}

#[test]
fn s26_all_of_prod_and_one_of_dr_are_not_held() {
    let mut world = World::new(FOUR);
    world.turn("prod", State::Down);
    (0..3).for_each(|_| world.probe(TargetId(4), false));
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(sentences(&world).is_empty());
    assert!(!world.core.guard().keeps_any());
}

#[test]
fn s26_overrides_and_operators_changes_are_never_delayed() {
    let mut world = World::new(THREE);
    ["a", "b", "c"].iter().for_each(|pool| world.turn(pool, State::Down));
    assert_eq!(world.answers("orders"), "b 50, c 50");
    world.change(force_down("region/b")).expect("it is taken");
    assert_eq!(world.answers("orders"), "c 100");
    // It asks for `a`, which is down, and that is told.
    world.break_glass = vec![crate::model::GuardKind::HealthyTargets];
    world.change(traffic("orders", "failover a c")).expect("it is taken");
    assert_eq!(world.answers("orders"), "c 100");
    // The last one: that is what the glass is broken for.
    world.break_glass = vec![crate::model::GuardKind::MinServingRegions];
    world.change(force_down("region/c")).expect("it is taken");
    assert_eq!(world.answers("orders"), "");
}

#[test]
fn s26_explain_says_who_keeps_a_pool_that_is_down() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("dr", State::Down);
    let (_, steps) = world.core.explain(world.service("orders"), crate::client::ClassId::UNKNOWN, world.now);
    let dr = steps.iter().find(|step| step.text.starts_with("pool dr")).expect("a step for dr");
    assert!(dr.text.starts_with("pool dr is up: 2 of 2 endpoints up (10.1.0.1: timeout: no answer within 3s while connecting, down since "), "{}", dr.text);
    assert!(dr.text.contains(", held as up by the blast guard until 20"), "{}", dr.text);
}

#[test]
fn s27_a_mass_failure_freezes_decisions_until_sight_returns() {
    let mut world = World::new(FOUR);
    // As probes of one lost uplink fail: by turns.
    for round in 0..4 {
        for pool in [0, 4] {
            (0..3).for_each(|_| world.probe(TargetId(pool + round), false));
        }
    }
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
    assert_eq!(
        sentences(&world)[0],
        "this node is blind: 6 endpoints in 2 regions went down within 1m, at least 60 % of each region that was up (6 of 6 by `timeout`: no answer within 3s while connecting); decisions are frozen, answers go on"
    );
    world.later(3600);
    assert_eq!(world.answers("orders"), "prod 80, dr 20", "however long");
    let leaves = &world.core.service(world.service("orders")).decision.families[0].leaves;
    assert_eq!(leaves.iter().map(|leaf| leaf.endpoints.len()).sum::<usize>(), 8, "what was taken away before it was known is back");
    let (decision, steps) = world.core.explain(world.service("orders"), crate::client::ClassId::UNKNOWN, world.now);
    assert_eq!(&decision, world.core.service(world.service("orders")).decision);
    assert!(steps.last().is_some_and(|step| step.topic == "blind" && step.text.contains("it answers as decided before")), "{steps:?}");

    world.turn("prod", State::Up);
    assert_eq!(world.answers("orders"), "prod 80, dr 20", "dr has time to follow");
    world.turn("dr", State::Up);
    assert!(world.core.guard().blind().is_none());
    assert_eq!(world.answers("orders"), "prod 80, dr 20");
    assert_eq!(sentences(&world).last(), Some(&"this node sees again after 1h: decisions follow health"));
}

#[test]
fn s27_who_does_not_return_with_sight_is_down_two_minutes_later() {
    let mut world = World::new(FOUR);
    world.turn("dr", State::Down);
    world.turn("prod", State::Down);
    assert!(world.core.guard().blind().is_some());
    world.later(1000);
    world.turn("prod", State::Up);
    world.later(119);
    let before = world.answers("orders");
    world.later(1);
    assert_eq!((before.as_str(), world.answers("orders").as_str()), ("prod 100", "prod 100"), "dr was released as the first and stays held by failback");
    assert!(!world.core.guard().keeps_any());
}

#[test]
fn s27_while_blind_operators_act_and_health_waits() {
    let mut world = World::new(FOUR);
    ["dr", "prod"].iter().for_each(|pool| world.turn(pool, State::Down));
    world.change(failover("orders", Some("prod"))).expect("prod counts as up");
    assert_eq!(world.answers("orders"), "prod 100");
    world.change(Change::Undo { service: "orders".into(), to: UndoTo::Before }).expect("it is taken");
    world.change(force_down("region/prod")).expect("it is taken");
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn s26_an_upgrade_and_a_reload_go_on_with_delays_and_a_restart_forgets_them() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("dr", State::Down);
    world.later(60);
    let mut next = world.succeed(TWO);
    assert_eq!(next.answers("orders"), "dr 100");
    next.reload(TWO).expect("it is taken");
    assert_eq!(next.answers("orders"), "dr 100");
    next.later(60);
    assert_eq!(next.answers("orders"), "");
    assert_eq!(world.restart(TWO, Duration::from_secs(1)).answers("orders"), "", "S13: stored verdicts hold at once");
}

#[test]
fn s28_wall_clock_jumps_of_ten_days_flip_nothing_end_nothing_and_begin_nothing() {
    let play = |days: &[i64]| {
        let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; pool far: 10.2.0.1; service orders: failover prod dr far failback=30s");
        let mut days = days.iter().cycle();
        let mut seen = Vec::new();
        let mut jump = |world: &mut World| world.now.wall = world.now.wall.plus(Duration::ZERO).shifted(*days.next().unwrap_or(&0));
        world.change(force_down("endpoint/far/10.2.0.1")).expect("it is taken");
        for (seconds, target, passed) in [(1, 0, false), (1, 0, false), (5, 0, false), (9, 2, true), (20, 1, false), (1, 1, false), (1, 1, false)]
            .into_iter()
            .chain((0..5).map(|_| (10, 0, true)))
            .chain([(29, 1, false), (2, 1, false), (200, 1, false)])
        {
            world.later(seconds);
            jump(&mut world);
            world.probe(TargetId(target), passed);
            let guard = world.core.guard();
            let states: Vec<State> = (0..3).map(|target| world.core.health().judgement(JudgementId(target)).state).collect();
            let held = guard.delay(RegionId(0)).is_some() || guard.delay(RegionId(1)).is_some();
            seen.push((world.answers("orders"), states, held, guard.blind().is_some(), world.wake_at, world.core.overrides().len()));
        }
        seen
    };
    let steady = play(&[0]);
    assert!(steady.iter().any(|(_, _, held, ..)| *held), "the play has a delay in it: {steady:?}");
    for days in [&[10, -10][..], &[-10, 0, 0, 10], &[10, 0, -10, 0, 0]] {
        assert_eq!(play(days), steady, "{days:?}");
    }
}

trait Shifted {
    fn shifted(self, days: i64) -> Self;
}

impl Shifted for crate::model::Timestamp {
    fn shifted(self, days: i64) -> Self {
        Self(self.0 + days * 86_400_000)
    }
}

/// What policy sees of an endpoint without overrides.
fn is_seen_up(core: &Core, endpoint: EndpointId) -> bool {
    core.health().endpoint(core.estate(), endpoint) == State::Up || core.guard().keeps(endpoint)
}

/// Regions have at most this many endpoints here.
const SEEDS: &str = "thresholds down_after=2 ok_after=2 up_after=2
    pool a: 10.0.0.1 10.0.0.2 10.0.0.3; pool b: 10.1.0.1 10.1.0.2 10.1.0.3; pool c: 10.2.0.1 10.2.0.2
    service orders: weighted a=60 b=20 c=20 failback=5s; service web: failover a b c failback=0s";

#[test]
fn random_outages_never_release_a_second_region_early_nor_hold_one_too_long_and_sight_always_returns() {
    for seed in 1..=60_u64 {
        let mut dice = seed;
        let mut below = |sides: u64| {
            dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (dice >> 33) % sides
        };
        let mut world = World::new(SEEDS);
        let regions = world.core.estate().regions.len();
        let of_region = |world: &World, region: usize| -> Vec<EndpointId> {
            let estate = world.core.estate();
            (0..estate.endpoints.len()).map(EndpointId::at).filter(|id| estate.pool(estate.endpoint(*id).pool).region.index() == region).collect()
        };
        let observed_up =
            |world: &World, region: usize| of_region(world, region).iter().any(|id| world.core.health().endpoint(world.core.estate(), *id) == State::Up);
        // By region: when it fell; since when some endpoint of it is kept while the node sees.
        let mut fell: Vec<Option<Duration>> = vec![None; regions];
        let mut kept_since: Vec<Option<Duration>> = vec![None; regions];
        let mut broken = false;
        for at in 0..400 {
            let what = format!("seed {seed}, step {at}");
            if below(25) == 0 {
                broken = !broken;
            }
            if below(40) == 0 {
                world.reload(SEEDS).expect("it is taken");
            }
            world.later(below(4));
            let before: Vec<bool> = (0..regions).map(|region| observed_up(&world, region)).collect();
            let target = below(8) as usize;
            world.probe(TargetId::at(target), if broken { below(10) == 0 } else { below(8) > 0 });
            let (now, blind) = (world.now.mono, world.core.guard().blind().is_some());
            for region in 0..regions {
                let others = (0..regions).filter(|other| *other != region);
                let second = others.filter_map(|other| fell[other]).any(|then| now - then < Duration::from_secs(60));
                if before[region] && !observed_up(&world, region) {
                    fell[region] = Some(now);
                    let seen = of_region(&world, region).iter().any(|id| is_seen_up(&world.core, *id));
                    assert!(!second || seen, "{what}: a second region is released at once");
                    assert!(second || blind || !seen || kept_since[region].is_some(), "{what}: the first region is held");
                }
                let kept = of_region(&world, region).iter().any(|id| world.core.guard().keeps(*id));
                kept_since[region] = if kept && !blind { kept_since[region].or(Some(now)) } else { None };
                if let Some(since) = kept_since[region] {
                    assert!(now - since <= Duration::from_secs(120), "{what}: held longer than twice the window");
                }
            }
        }
        while (0..8).any(|target| world.core.health().judgement(JudgementId(target)).state != State::Up) {
            (0..8).for_each(|target| world.probe(TargetId(target), true));
        }
        assert!(world.core.guard().blind().is_none() && !world.core.guard().keeps_any(), "seed {seed}: everything passes again");
        world.later(200);
        for service in (0..2).map(ServiceId::at) {
            let answered = world.core.service(service).decision.families[0].leaves.len();
            assert!(answered > 0, "seed {seed}: services follow");
        }
        assert_eq!(world.answers("orders"), "a 60, b 20, c 20", "seed {seed}");
    }
}

#[test]
fn a_sentinel_is_probed_like_any_target_and_judges_no_endpoint() {
    let mut world = World::new(TWO);
    world.reload(&format!("{TWO}; sentinel router: 192.0.2.1")).expect("it is taken");
    assert!(world.core.estate().endpoints.iter().all(|endpoint| endpoint.watch != Watch::Judgement(JudgementId(4))));
    world.probe(TargetId(4), true);
    (0..3).for_each(|_| world.probe(TargetId(4), false));
    assert_eq!(sentences(&world), ["this node is blind: its sentinel router is down; decisions are frozen, answers go on"]);
    world.turn("prod", State::Down);
    assert_eq!(world.answers("orders"), "prod 100");
    (0..5).for_each(|_| world.probe(TargetId(4), true));
    assert_eq!(world.answers("orders"), "prod 100", "verdicts are given time to follow");
    world.later(120);
    assert_eq!(world.answers("orders"), "dr 100");
}
