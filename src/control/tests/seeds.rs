//! Random events from a seed; after every step the *nevers* hold. A failure prints its seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Change, OverrideTargetName, OverrideWord, UndoTo};
use crate::health::State;
use crate::model::{Family, ServiceId, TargetId};
use crate::policy::{Rung, Verdict};

const ESTATE: &str = "pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 2001:db8::1; pool far: 10.2.0.1; policy near: failover prod dr;
    service orders: failover prod dr far failback=5s; service search: weighted prod=80 dr=20 far=0 failback=manual; service web: weighted near=60 far=40 failback=0s
secondary 192.0.2.53:53";

pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// `tests/run --long`
pub(super) fn long() -> bool {
    std::env::var("WINDROSE_LONG").is_ok_and(|value| !value.is_empty())
}

fn step(world: &mut World, dice: &mut Dice) {
    let targets = world.core.estate().targets.len() as u64;
    match dice.below(20) {
        0 => world.later(dice.below(10)),
        1 => drop(world.change(failover(dice.one_of(&["orders", "search", "web"]), None))),
        2 => {
            drop(world.change(traffic("search", dice.one_of(&["weighted prod=50 dr=50", "failover dr prod", "multivalue prod dr", "weighted near=10 far=90"]))))
        }
        3 => drop(world.change(Change::Undo { service: "search".into(), to: UndoTo::Before })),
        4 => {
            let kind = [OverrideWord::Drain, OverrideWord::ForceDown, OverrideWord::ForceUp][dice.below(3) as usize];
            let target = OverrideTargetName::parse(dice.one_of(&["region/prod", "pool/dr", "endpoint/prod/10.0.0.1", "pool/far"])).expect("a target");
            drop(world.change(Change::Override { kind, target, services: Vec::new(), lasts: Some(Duration::from_secs(1 + dice.below(20))) }));
        }
        5 => {
            if let Some(id) = world.core.overrides().first().map(|kept| kept.id) {
                drop(world.change(Change::EndOverride { id }));
            }
        }
        6 => world.store_works = dice.below(4) > 0,
        7 => drop(world.reload(ESTATE)),
        8 => *world = world.restart(ESTATE, Duration::from_secs(1 + dice.below(3))),
        9 => drop(world.change(Change::Failback { service: "search".into(), pool: None })),
        _ => {
            let passed = dice.below(3) > 0;
            world.probe(TargetId::at(dice.below(targets) as usize), passed);
        }
    }
}

/// Health alone, whatever it does, leaves nobody without an answer: only who is forced down can be nobody.
/// Dead endpoints are never answered while a rung above `all_down` yields; forced-down ones never; shares sum to 1; serials never go back.
fn nevers(world: &World, what: &str) {
    let told: Vec<u32> = world.announced.iter().flatten().map(|told| told.serial).collect();
    assert!(told.is_sorted(), "{what}: secondaries were told {told:?}");
    if let (Some(told), Some(snapshot)) = (told.last(), &world.snapshot) {
        assert_eq!(snapshot.serial(0), Some(*told), "{what}: what is told is served");
    }
    let estate = world.core.estate();
    for service in (0..estate.services.len()).map(ServiceId::at) {
        let view = world.core.service(service);
        for family in Family::ALL {
            let decision = &view.decision.families[family.index()];
            // Each pool has IPv4, and these services answer something on every rung unless an operator forbids all.
            if family == Family::V4 && !world.core.overrides().iter().any(|kept| kept.record.kind == OverrideWord::ForceDown) {
                assert_eq!(decision.verdict, Verdict::Answer, "{what}: {} answers nobody", view.service.name);
                assert!(decision.leaves.iter().all(|leaf| !leaf.endpoints.is_empty()), "{what}: {} answers an empty pool", view.service.name);
            }
            if decision.verdict == Verdict::Answer {
                let sum: f64 = decision.leaves.iter().map(|leaf| leaf.share).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{what}: shares of {} sum to {sum}", view.service.name);
            }
            for leaf in decision.leaves.iter().filter(|_| view.frozen.is_none()) {
                for endpoint in &leaf.endpoints {
                    let of = estate.endpoint(*endpoint);
                    let overrides = world.core.overrides_on(*endpoint);
                    let forced = |kind| overrides.iter().any(|kept| kept.record.kind == kind);
                    let own = overrides.iter().find(|kept| matches!(kept.record.target, OverrideTargetName::Endpoint(..)));
                    // What the guard keeps is seen as it was (SEMANTICS, 26 and 27).
                    let kept = world.core.guard().keeps(*endpoint);
                    let down = !kept && world.core.health().watched(world.core.estate(), *endpoint).is_some_and(|health| health.state == State::Down);
                    if leaf.rung != Rung::AllDown && !forced(OverrideWord::ForceUp) {
                        assert!(!down, "{what}: {} answers {}, which is down", view.service.name, of.name);
                    }
                    if forced(OverrideWord::ForceDown) && own.is_none_or(|own| own.record.kind != OverrideWord::ForceUp) && !forced(OverrideWord::ForceUp) {
                        panic!("{what}: {} answers {}, which is forced down", view.service.name, of.name);
                    }
                }
            }
        }
    }
}

/// What was published: generation, serial, and a digest of all decisions and of all that DNS answers by, to the octet.
fn published(world: &World) -> (u64, Option<u32>, u64) {
    let mut digest = DefaultHasher::new();
    for service in (0..world.core.estate().services.len()).map(ServiceId::at) {
        world.core.service(service).decision.hash(&mut digest);
        let compiled = world.snapshot.as_ref().and_then(|snapshot| snapshot.compiled(service));
        compiled.map(|compiled| compiled.body()).hash(&mut digest);
    }
    (world.core.overview().generation, world.snapshot.as_ref().and_then(|snapshot| snapshot.serial(0)), digest.finish())
}

#[test]
fn random_events_never_break_the_nevers_and_the_same_seed_gives_the_same_answers() {
    for seed in 1..=if long() { 400 } else { 40 } {
        let play = || {
            let (mut world, mut dice) = (World::new(ESTATE), Dice(seed));
            let mut seen = Vec::new();
            let mut revision = 0;
            for at in 0..300 {
                step(&mut world, &mut dice);
                nevers(&world, &format!("seed {seed}, step {at}"));
                let now = world.core.overview().revision.0;
                assert!(now >= revision, "seed {seed}, step {at}: the revision went back");
                revision = now;
                seen.push(published(&world));
            }
            seen
        };
        assert_eq!(play(), play(), "seed {seed}");
    }
}
