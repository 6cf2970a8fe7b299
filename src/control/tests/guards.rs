//! Guards: what is refused, what is named, what breaking the glass does, and that nothing gets past them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::guards::{Act, Proposal, RegionChange, check};
use crate::control::{Change, Key, Notice, OverrideTargetName, OverrideWord, Record, RefusalKind, UndoTo};
use crate::health::State;
use crate::model::{Capacity, ChangeKind, ChangeRules, FreezeTime, FreezeWindow, Gate, GuardKeys, GuardKind, Timestamp};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=2s; service search: weighted prod=80 dr=20 failback=2s";
const THREE: &str =
    "pool prod: 10.0.0.1; pool dr: 10.1.0.1; pool far: 10.2.0.1; service orders: failover prod dr far; service search: weighted prod=50 dr=30 far=20";

/// Everything on, and a freeze that covers every test.
fn strict() -> ChangeRules {
    let global = GuardKeys {
        min_serving_regions: Some(2),
        max_step: Some(50),
        require_reason: Some(true),
        rate: Some(2),
        gates: Some(vec!["release".into()]),
        ..GuardKeys::default()
    };
    let capacity = [(Arc::from("dr"), Capacity { all: Some(60), ..Capacity::default() })].into();
    let gates = vec![Gate { name: "release".into(), about: "".into() }];
    let freeze = FreezeWindow { time: FreezeTime::Once(Timestamp(0), Timestamp(4_000_000_000_000)), services: Vec::new(), allow: Vec::new(), about: "".into() };
    ChangeRules { global, capacity, gates, freezes: vec![freeze], ..ChangeRules::default() }
}

fn rule(world: &mut World, rules: ChangeRules) {
    let mut estate = (**world.core.estate()).clone();
    estate.rules = rules;
    world.core.configuration.estate = Arc::new(estate);
}

fn with(change: impl FnOnce(&mut GuardKeys)) -> ChangeRules {
    let mut rules = ChangeRules::default();
    change(&mut rules.global);
    rules
}

fn begin(kind: OverrideWord, target: &str) -> Change {
    Change::Override { kind, target: OverrideTargetName::parse(target).expect("a target"), services: Vec::new(), lasts: Some(Duration::from_secs(3600)) }
}

/// Guards of a refusal.
fn refused(world: &mut World, change: Change) -> Vec<&'static str> {
    let refusal = world.change(change).expect_err("guards refuse it");
    assert_eq!(refusal.kind, RefusalKind::GuardRefused, "{}", refusal.detail);
    refusal.guards.iter().map(|finding| finding.guard.word()).collect()
}

/// prod hands everything to dr, which is down, cannot carry it, and takes prod's place as the last one.
fn worst() -> Vec<RegionChange> {
    let prod = RegionChange { name: "prod".into(), before: 100.0, desired_before: 100.0, could: true, ..RegionChange::default() };
    let dr = RegionChange { name: "dr".into(), after: 100.0, desired_after: 100.0, unfit: vec!["dr is not up".into()], ..RegionChange::default() };
    let far = RegionChange { name: "far".into(), could: true, can: true, ..RegionChange::default() };
    vec![prod, dr, far]
}

#[test]
fn the_truth_table_of_guards_and_changes() {
    let (rules, regions) = (strict(), worst());
    let found = |act: Act, automatic: bool| {
        let proposal = Proposal {
            service: "orders",
            act,
            automatic,
            reason: "",
            regions: &regions,
            now: Timestamp(1_800_000_000_000),
            recent: 2,
            rate_free_at: None,
            gate_is_on: &|_| false,
            partly: &|_| None,
        };
        check(&rules, &proposal)
    };
    let mut table = String::new();
    for guard in GuardKind::ALL {
        let _ = write!(table, "{:<20}", guard.word());
        for (act, automatic) in Act::ALL.into_iter().map(|act| (act, false)).chain([(Act::Failback, true)]) {
            let finding = found(act, automatic).into_iter().find(|finding| finding.guard == guard);
            let _ = write!(table, " {}", finding.map_or("-", |finding| if finding.ok { "ok" } else { "X" }));
        }
        table.push('\n');
    }
    // split failover failback undo drain undrain force_up force_down unforce freeze unfreeze approve unapprove extend shift abort reload, then the automatic failback
    let wanted = "\
min_serving_regions  X X X X X X X X X X X X X X X - X X
max_step             X X X X X X X X X X X X X X X - X -
healthy_targets      X X X X X X - X X X X X X X X - X X
capacity             X X X X X X X X X X X X X X X - X X
require_reason       X X X X X X X X X X X X X X X - - -
rate                 X X X X X X X X X X X X X - X - - -
gate                 X X X X X X X X X - X X X - X - X X
freeze               X X X X X X X X X - X X X - X - X X
";
    assert_eq!(table, wanted, "\n{table}");
    for finding in found(Act::Split, false) {
        assert!(!finding.message.is_empty() && !finding.way_on.is_empty(), "{finding:?}");
    }
}

#[test]
fn a_freeze_lets_through_what_it_allows_and_nothing_else() {
    let mut world = World::new(TWO);
    let window = |allow: Vec<ChangeKind>| {
        let freeze = FreezeWindow { allow, services: vec!["orders".into()], about: "year's end".into(), ..strict().freezes.remove(0) };
        ChangeRules { freezes: vec![freeze], ..ChangeRules::default() }
    };
    rule(&mut world, window(vec![ChangeKind::Failover]));
    world.change(failover("orders", Some("dr"))).expect("failover is allowed");
    let refusal = world.change(Change::Undo { service: "orders".into(), to: UndoTo::Before }).expect_err("undo is not");
    let finding = &refusal.guards[0];
    assert_eq!(finding.guard, GuardKind::Freeze);
    assert!(finding.message.contains("(year's end), only failover is allowed"), "{}", finding.message);
    assert!(finding.way_on.starts_with("wait until 2") && finding.way_on.ends_with("or --break-glass freeze"), "{}", finding.way_on);
    world.change(traffic("search", "weighted prod=50 dr=50")).expect("it binds orders alone");
    assert_eq!(refused(&mut world, begin(OverrideWord::Drain, "region/prod")), ["freeze"], "it takes orders, too");
}

#[test]
fn a_refusal_names_every_guard_with_value_limit_and_the_way_on() {
    let mut world = World::new(TWO);
    let mut rules = strict();
    rules.freezes.clear();
    rules.global.gates = None;
    rules.global.min_serving_regions = None;
    rule(&mut world, rules);
    world.reason = "";
    let refusal = world.change(traffic("search", "weighted prod=0 dr=100")).expect_err("three stand in the way");
    let told: Vec<String> =
        refusal.guards.iter().map(|one| format!("{} {:?}/{:?}: {} -> {}", one.guard.word(), one.value, one.limit, one.message, one.way_on)).collect();
    assert_eq!(
        told,
        [
            "max_step Some(80.0)/Some(50.0): dr moves by 80 points at once, the limit is 50 -> windrose split search prod=30 dr=70, or --break-glass max_step",
            "capacity Some(100.0)/Some(60.0): dr would get 100 % of the answers, and can carry 60 % -> windrose split search prod=40 dr=60, or --break-glass capacity",
            "require_reason None/None: no reason is given -> --reason \"…\"",
        ]
    );
    assert_eq!(refusal.detail, "3 guards stand in the way; nothing was changed");
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::GuardRefused { guards, .. } if guards.len() == 3)));
    // The way that it names is open.
    world.reason = "CHG-2";
    world.change(traffic("search", "weighted prod=40 dr=60")).expect("within the limits");
}

#[test]
fn the_last_region_is_not_taken_away_by_accident() {
    let mut world = World::new(TWO);
    world.change(begin(OverrideWord::Drain, "region/prod")).expect("dr is there");
    for change in [begin(OverrideWord::Drain, "region/dr"), begin(OverrideWord::ForceDown, "pool/dr"), traffic("orders", "failover prod")] {
        let refusal = world.change(change).expect_err("dr is the last one");
        let last = refusal.guards.iter().find(|finding| finding.guard == GuardKind::MinServingRegions).expect("named");
        assert_eq!((last.value, last.limit), (Some(0.0), Some(1.0)));
        assert!(last.way_on.contains("windrose undrain region prod"), "{}", last.way_on);
    }
    assert_eq!(world.answers("orders"), "dr 100");
    // What is down already is nobody's last region: one may act.
    world.turn("dr", State::Down);
    world.change(begin(OverrideWord::ForceDown, "pool/dr")).expect("it answered nobody");
}

#[test]
fn health_moves_traffic_whatever_guards_say() {
    let mut world = World::new(TWO);
    rule(&mut world, strict());
    world.turn("prod", State::Down);
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "dr 100".into()));
}

#[test]
fn broken_glass_is_told_and_remembered_and_needs_a_reason() {
    let mut world = World::new(TWO);
    rule(&mut world, with(|keys| keys.max_step = Some(10)));
    let all = || traffic("search", "weighted prod=0 dr=100");
    assert_eq!(refused(&mut world, all()), ["max_step"]);
    (world.reason, world.break_glass) = ("", vec![GuardKind::MaxStep]);
    assert_eq!(refused(&mut world, all()), ["require_reason"], "not without a reason");
    (world.reason, world.break_glass) = ("CHG-9", vec![GuardKind::Freeze]);
    assert_eq!(refused(&mut world, all()), ["max_step"], "only what is named");
    world.break_glass = vec![GuardKind::MaxStep];
    let applied = world.change(all()).expect("broken");
    assert!(applied.guards.iter().any(|finding| finding.guard == GuardKind::MaxStep && !finding.ok && finding.overridden));
    assert_eq!(world.core.history("search")[0].1.overridden, ["max_step"]);
    let told =
        world.notices.iter().any(|notice| matches!(notice, Notice::GuardOverridden { guards, reason, .. } if guards == &["max_step"] && reason == "CHG-9"));
    assert!(told, "{:?}", world.notices);
}

#[test]
fn a_second_person_confirms_what_the_first_saw() {
    let mut world = World::new(TWO);
    rule(&mut world, ChangeRules { break_glass_confirm: true, ..with(|keys| keys.max_step = Some(10)) });
    let all = || traffic("search", "weighted prod=0 dr=100");
    let ask = |world: &mut World, change: Change| {
        (world.actor, world.break_glass) = ("token:anna", vec![GuardKind::MaxStep]);
        let refusal = world.change(change).expect_err("somebody else must say so, too");
        assert_eq!(refusal.kind, RefusalKind::ConfirmationNeeded);
        refusal.confirmation.expect("a number")
    };
    let id = ask(&mut world, all());
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    let own = world.change(Change::Confirm { id }).expect_err("the same person");
    assert_eq!(own.kind, RefusalKind::ConfirmationNeeded);
    world.actor = "token:bert";
    let dry = world.wish(Change::Confirm { id }, None, true).expect("it shows what it would do");
    assert!(dry.dry_run && dry.moves[0].after[1].1 == 1.0);
    world.change(Change::Confirm { id }).expect("confirmed");
    assert_eq!(world.answers("search"), "dr 100");
    assert_eq!(world.core.history("search")[0].1.actor, "token:anna, confirmed by token:bert");
    assert_eq!(world.change(Change::Confirm { id }).expect_err("once").kind, RefusalKind::NotFound);

    world.break_glass = vec![GuardKind::MaxStep];
    world.change(traffic("search", "weighted prod=5 dr=95")).expect("nothing is broken, nobody is asked");
    let back = || traffic("search", "weighted prod=100 dr=0");
    let id = ask(&mut world, back());
    world.change(failover("orders", Some("dr"))).expect_err("10 points at most");
    world.change(begin(OverrideWord::Freeze, "service/orders")).expect("something else changes");
    world.actor = "token:carl";
    assert_eq!(world.change(Change::Confirm { id }).expect_err("not what was seen").kind, RefusalKind::RevisionMismatch);
    let id = ask(&mut world, back());
    world.later(601);
    world.actor = "token:bert";
    assert_eq!(world.change(Change::Confirm { id }).expect_err("too late").kind, RefusalKind::NotFound);
}

#[test]
fn a_gate_is_off_until_it_is_switched_and_stays_so_after_a_restart() {
    let mut world = World::new(TWO);
    let rules = || ChangeRules { gates: strict().gates, ..with(|keys| keys.gates = Some(vec!["release".into()])) };
    rule(&mut world, rules());
    let refusal = world.change(failover("orders", None)).expect_err("the gate is off");
    assert_eq!(refusal.guards[0].way_on, "windrose gate on release --reason \"…\", or --break-glass gate");
    world.change(Change::Gate { name: "release".into(), on: true }).expect("switched");
    world.change(failover("orders", None)).expect("the gate is on");
    assert!(matches!(world.on_disk(&Key::Gate("release".into())), Some(Record::Gate(record)) if record.on && record.actor == "token:anna"));
    let mut again = world.restart(TWO, Duration::from_secs(1));
    rule(&mut again, rules());
    assert!(again.core.gates()[0].on);
    again.change(Change::Gate { name: "release".into(), on: false }).expect("switched");
    assert_eq!(
        again.change(Change::Gate { name: "relase".into(), on: true }).expect_err("a typo").detail,
        "there is no gate `relase`; did you mean `release`?"
    );
    assert!(!again.core.gates()[0].on);
}

#[test]
fn changes_are_counted_by_the_hour_also_over_a_restart() {
    let mut world = World::new(TWO);
    let rules = || with(|keys| keys.rate = Some(2));
    rule(&mut world, rules());
    world.change(traffic("search", "weighted prod=70 dr=30")).expect("first");
    world.later(600);
    world.change(traffic("search", "weighted prod=60 dr=40")).expect("second");
    let refusal = world.change(traffic("search", "weighted prod=50 dr=50")).expect_err("third");
    assert_eq!((refusal.guards[0].value, refusal.guards[0].limit), (Some(3.0), Some(2.0)));
    world.change(failover("orders", None)).expect("another service");
    let mut again = world.restart(TWO, Duration::from_secs(1));
    rule(&mut again, rules());
    for target in 0..again.core.estate().targets.len() {
        again.probe(crate::model::TargetId::at(target), true);
    }
    assert_eq!(refused(&mut again, traffic("search", "weighted prod=50 dr=50")), ["rate"]);
    again.later(3000);
    again.change(traffic("search", "weighted prod=50 dr=50")).expect("the first is an hour old");
}

#[test]
fn no_traffic_is_meant_for_what_is_not_up_or_drained() {
    let mut world = World::new(THREE);
    world.turn("dr", State::Down);
    let refusal = world.change(traffic("search", "weighted prod=20 dr=60 far=20")).expect_err("dr is down");
    assert_eq!((refusal.guards[0].guard, refusal.guards[0].message.as_str()), (GuardKind::HealthyTargets, "dr is not up"));
    world.change(traffic("search", "weighted prod=60 dr=20 far=20")).expect("it gives dr less");
    world.change(begin(OverrideWord::Drain, "pool/far")).expect("prod is left");
    let refusal = world.change(traffic("search", "weighted prod=40 dr=20 far=40")).expect_err("far is drained");
    assert_eq!(
        (refusal.guards[0].message.as_str(), refusal.guards[0].way_on.as_str()),
        ("far is drained", "windrose undrain pool far, or --break-glass healthy_targets")
    );
    world.change(begin(OverrideWord::ForceUp, "pool/dr")).expect("who forces it up says that it is well");
}

#[test]
fn a_step_that_guards_put_off_stays_where_it_is_and_none_is_skipped() {
    let mut world = World::new("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=staged:2s:20,50,100:10s");
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.later(3);
    assert_eq!(world.answers("orders"), "prod 20, dr 80");
    rule(&mut world, ChangeRules { gates: strict().gates, ..with(|keys| keys.gates = Some(vec!["release".into()])) });
    (0..30).for_each(|_| world.later(10));
    assert_eq!(world.answers("orders"), "prod 20, dr 80", "its time is over by far");
    assert_eq!(world.core.service(world.service("orders")).waits, Some("gate release is off"));
    world.change(Change::Gate { name: "release".into(), on: true }).expect("switched");
    assert_eq!(world.answers("orders"), "prod 50, dr 50", "the next step, not the last one");
    world.later(10);
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn a_returned_pool_waits_for_its_gate_and_is_used_when_it_is_on() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    rule(&mut world, ChangeRules { gates: strict().gates, ..with(|keys| keys.gates = Some(vec!["release".into()])) });
    world.turn("prod", State::Up);
    world.later(3);
    world.later(10);
    assert_eq!(world.answers("orders"), "dr 100", "its 2 s are over");
    assert_eq!(world.core.service(world.service("orders")).waits, Some("gate release is off"));
    let told = world.notices.iter().filter(|notice| matches!(notice, Notice::FailbackWaits { .. })).count();
    assert_eq!(told, 2, "once for each service: {:?}", world.notices);
    // It still stands in if nothing else can. (So late that the blast guard has nothing to say.)
    world.later(200);
    world.turn("dr", State::Down);
    assert_eq!(world.answers("orders"), "prod 100");
    world.turn("dr", State::Up);
    world.change(Change::Gate { name: "release".into(), on: true }).expect("switched");
    world.later(10);
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.core.service(world.service("orders")).waits, None);
}

#[test]
fn two_drains_weighed_at_once_on_two_nodes_are_not_both_made() {
    let mut one = World::new(TWO);
    let mut other = one.restart(TWO, Duration::ZERO);
    for target in 0..2 {
        other.probe(crate::model::TargetId::at(target), true);
    }
    one.change(begin(OverrideWord::Drain, "region/prod")).expect("dr is left");
    // One store, and the other node has not heard of it yet.
    (other.disk, other.disk_revision) = (one.disk.clone(), one.disk_revision);
    let refusal = other.change(begin(OverrideWord::Drain, "region/dr")).expect_err("the store has something newer");
    assert_eq!(refusal.kind, RefusalKind::RevisionMismatch);
    assert_eq!(other.core.overrides().len(), 0);
}

#[test]
fn the_same_drain_twice_is_refused_and_names_how_to_make_it_longer() {
    let mut world = World::new(TWO);
    world.change(begin(OverrideWord::Drain, "region/prod")).expect("first");
    let refusal = world.change(begin(OverrideWord::Drain, "region/prod")).expect_err("again");
    assert_eq!(refusal.kind, RefusalKind::OverrideExists);
    assert!(refusal.detail.contains("o-1") && refusal.faults[0].hint.contains("windrose extend o-1"), "{refusal:?}");
    world.change(begin(OverrideWord::Drain, "pool/prod")).expect("another target composes");
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// No sequence of accepted changes goes beyond the limits, however it gets there.
#[test]
fn no_sequence_of_changes_gets_past_the_limits() {
    const LIMITS: [(&str, f64); 3] = [("prod", 100.0), ("dr", 60.0), ("far", 35.0)];
    let (mut accepted, mut turned_down) = (0, 0);
    for seed in 1..=60 {
        let (mut world, mut dice) = (World::new(THREE), Dice(seed));
        let mut rules = with(|keys| (keys.max_step, keys.min_serving_regions) = (Some(55), Some(2)));
        rules.capacity = LIMITS.into_iter().map(|(name, limit)| (Arc::from(name), Capacity { all: Some(limit as u32), ..Capacity::default() })).collect();
        rule(&mut world, rules);
        for at in 0..60 {
            let what = format!("seed {seed}, step {at}");
            let shares = |world: &World, service: &str| world.core.effective(world.service(service), crate::model::Family::V4);
            let serving = |world: &World| {
                let drained =
                    |name: &str| {
                        world.core.overrides().iter().any(|kept| {
                            matches!(kept.record.kind, OverrideWord::Drain | OverrideWord::ForceDown) && kept.record.target.to_string().ends_with(name)
                        })
                    };
                LIMITS.into_iter().filter(|(name, _)| !drained(name)).count()
            };
            let before = ["orders", "search"].map(|service| shares(&world, service));
            let could = serving(&world);
            let pool = ["prod", "dr", "far"][dice.below(3) as usize];
            let a = dice.below(101);
            let b = dice.below(101 - a);
            let change = match dice.below(6) {
                0 => traffic("search", &format!("weighted prod={a} dr={b} far={}", 100 - a - b)),
                1 => failover("orders", Some(pool)),
                2 => Change::Undo { service: "search".into(), to: UndoTo::Before },
                3 => begin([OverrideWord::Drain, OverrideWord::ForceDown][dice.below(2) as usize], &format!("region/{pool}")),
                4 => begin(OverrideWord::Drain, &format!("pool/{pool}")),
                _ => match world.core.overrides().first() {
                    Some(kept) => Change::EndOverride { id: kept.id },
                    None => continue,
                },
            };
            match world.change(change.clone()) {
                Ok(_) => accepted += 1,
                Err(_) => turned_down += 1,
            }
            assert!(2 <= serving(&world) || could <= serving(&world), "{what}: {change:?} left too few regions");
            for (service, before) in ["orders", "search"].into_iter().zip(before) {
                for (name, share) in shares(&world, service) {
                    let (was, is) = (before.iter().find(|(of, _)| *of == name).map_or(0.0, |(_, share)| share * 100.0), share * 100.0);
                    assert!((is - was).abs() <= 55.02, "{what}: {change:?} moved {name} of {service} from {was} to {is}");
                    let limit = LIMITS.into_iter().find(|(of, _)| **of == *name).map_or(100.0, |(_, limit)| limit);
                    assert!(is <= limit + 0.02 || is <= was + 0.02, "{what}: {change:?} gave {name} {is} % of {service}");
                }
            }
        }
    }
    assert!(300 < accepted && 300 < turned_down, "{accepted} accepted, {turned_down} not: the dice say little");
}
