//! Shifts: step by step under watch, stopped by themselves, aborted at any moment, the same after a restart.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::world::{World, failover, traffic};
use crate::control::{Applied, Change, Event, Found, Key, Measured, Notice, Order, Phase, Record, Refusal, RefusalKind, ShiftView, UndoTo, Wanted};
use crate::health::State;
use crate::model::{AbortWhen, Analysis, Gauge, GuardKeys, Share, ShiftRules, parse_step};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service search: weighted prod=80 dr=20 failback=2s; service orders: failover prod dr";
/// 80/20 to 20/80 by 5, 25, 50 and 100 per cent of the way.
const STEPS: &str = "5,25,50p,100";
/// Answers of `search` at the start, then after each of them.
const SHARES: [&str; 5] = ["prod 80, dr 20", "prod 77, dr 23", "prod 65, dr 35", "prod 50, dr 50", "prod 20, dr 80"];

fn share(percent: f64) -> Share {
    Share::from_percent(percent).expect("a share")
}

fn wanted(steps: &str) -> Wanted {
    let steps = steps.split(',').map(|step| parse_step(step, Duration::from_secs(60)).expect("a step")).collect();
    Wanted { to: vec![("prod".into(), share(20.0)), ("dr".into(), share(80.0))], steps, ..Wanted::default() }
}

fn begin(world: &mut World, wanted: Wanted) -> Result<Applied, Refusal> {
    world.change(Change::Shift { service: "search".into(), wanted })
}

fn order(world: &mut World, order: Order) -> Result<Applied, Refusal> {
    let id = world.core.shift_of("search").expect("a shift");
    world.change(Change::ShiftOrder { id, order })
}

fn view(world: &World) -> ShiftView {
    world.core.shift(world.core.shift_of("search").expect("a shift"), world.now).expect("it is kept")
}

fn stands(world: &World) -> String {
    let view = view(world);
    format!("{} {} {}", view.phase(), view.record.step + 1, world.answers("search"))
}

fn halt(world: &World) -> (String, String) {
    let record = view(world).record;
    let halt = record.halt.as_ref().expect("it says why");
    assert!(halt.hint.contains("windrose "), "what to do: {}", halt.hint);
    (halt.code.clone(), halt.message.clone())
}

fn told(world: &World) -> Vec<&'static str> {
    world.notices.iter().filter_map(|notice| if let Notice::Shift { happened, .. } = notice { Some(*happened) } else { None }).collect()
}

/// The same world after `kill -9`, verdicts and all.
fn restarted(world: &World) -> World {
    world.restart(TWO, Duration::from_secs(1))
}

fn analysed(world: &mut World, gauge: Gauge, failures: u32) {
    let mut estate = (**world.core.estate()).clone();
    let analysis = Analysis { name: "errors".into(), gauge, max: 0.01, interval: Duration::from_secs(10), failures };
    estate.shifts = ShiftRules { plans: Vec::new(), analyses: vec![Arc::new(analysis)] };
    world.core.configuration.estate = Arc::new(estate);
}

fn prometheus() -> Gauge {
    Gauge::Prometheus { url: "http://127.0.0.1:9090".into(), query: "errors".into() }
}

/// Time passes, second by second; each measurement that is ordered gives this.
fn measured(world: &mut World, seconds: u64, found: &Result<f64, String>) {
    for _ in 0..seconds {
        world.later(1);
        for (shift, step, analysis) in std::mem::take(&mut world.measures) {
            let found = found.clone().map(Found::Number);
            world.event(Event::Measured(Measured { shift, step, analysis: analysis.name.clone(), found }));
        }
    }
}

#[test]
fn a_shift_goes_step_by_step_and_waits_where_it_should() {
    let mut world = World::new(TWO);
    let applied = begin(&mut world, wanted(STEPS)).expect("it begins");
    assert_eq!(applied.shift.as_ref().map(|(_, record)| record.steps.len()), Some(4));
    assert_eq!(stands(&world), format!("progressing 1 {}", SHARES[1]));
    world.later(59);
    assert_eq!(stands(&world), format!("progressing 1 {}", SHARES[1]), "a hold is a hold");
    world.later(1);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]));
    world.later(60);
    assert_eq!(stands(&world), format!("waiting 3 {}", SHARES[3]));
    world.later(3600);
    assert_eq!(stands(&world), format!("waiting 3 {}", SHARES[3]), "a person decides");
    order(&mut world, Order::Promote { full: false }).expect("promote");
    assert_eq!(stands(&world), format!("completed 4 {}", SHARES[4]));
    assert_eq!(told(&world), ["started", "step", "step", "step", "step", "completed"]);
    let history = world.core.history("search");
    assert_eq!(history.len(), 4, "each step stands in the history");
    assert!(history.iter().all(|(_, entry)| (entry.verb.as_str(), entry.actor.as_str(), entry.reason.as_str()) == ("shift", "token:anna", "CHG-1")));
    world.change(Change::Undo { service: "search".into(), to: UndoTo::Before }).expect("undo");
    assert_eq!(world.answers("search"), SHARES[0], "for undo a shift is one change");
}

#[test]
fn a_failover_is_shifted_too_and_an_abort_brings_its_form_back() {
    let mut world = World::new(TWO);
    let to = vec![("dr".to_string(), Share::FULL)];
    world.change(Change::Shift { service: "orders".into(), wanted: Wanted { to, ..wanted("10,100") } }).expect("it begins");
    assert_eq!(world.answers("orders"), "prod 90, dr 10");
    let id = world.core.shift_of("orders").expect("a shift");
    world.change(Change::ShiftOrder { id, order: Order::Abort }).expect("abort");
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.core.service(world.service("orders")).form.choice.word(), "failover");
}

#[test]
fn abort_wins_in_every_phase_and_nothing_is_applied_again() {
    for step in 1..=3 {
        let mut world = World::new(TWO);
        let mut rules = world.core.estate().rules.clone();
        rules.global = GuardKeys { max_step: Some(30), ..GuardKeys::default() };
        let mut estate = (**world.core.estate()).clone();
        estate.rules = rules;
        world.core.configuration.estate = Arc::new(estate);
        begin(&mut world, wanted("5,30,60,100")).expect("it begins");
        (1..step).for_each(|_| world.later(60));
        assert_eq!(view(&world).record.step + 1, step);
        world.turn("prod", State::Down);
        order(&mut world, Order::Abort).expect("no guard closes the way out");
        assert_eq!(world.core.service(world.service("search")).form, &*world.core.estate().service(world.service("search")).form);
        let revision = world.disk_revision;
        world.later(3600);
        assert_eq!((view(&world).phase(), world.disk_revision), ("aborted", revision), "nothing follows");
        assert_eq!(order(&mut world, Order::Promote { full: true }).expect_err("it is over").kind, RefusalKind::ShiftOver);
    }
}

#[test]
fn a_target_that_is_not_up_pauses_or_takes_back() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.turn("dr", State::Down);
    world.later(0);
    assert_eq!((view(&world).phase(), view(&world).record.step), ("paused", 0));
    assert_eq!(halt(&world), ("target_unhealthy".to_string(), "dr is not up, and it gains by this shift".to_string()));
    world.later(600);
    assert_eq!(view(&world).record.step, 0, "paused is paused");
    order(&mut world, Order::Retry).expect("retry");
    assert_eq!(view(&world).phase(), "paused", "dr is still down");
    world.turn("dr", State::Up);
    order(&mut world, Order::Retry).expect("retry");
    assert_eq!(view(&world).phase(), "progressing");
    order(&mut world, Order::Abort).expect("abort");

    let abort_when = vec![AbortWhen::TargetUnhealthy];
    begin(&mut world, Wanted { abort_when, ..wanted(STEPS) }).expect("it begins");
    world.later(60);
    world.turn("dr", State::Down);
    world.later(0);
    assert_eq!((view(&world).phase(), world.answers("search").as_str()), ("aborted", "prod 100"), "health takes dr's share away beside");
    let service = world.service("search");
    assert_eq!(world.core.service(service).form, &*world.core.estate().service(service).form, "what is asked for is as before");
}

#[test]
fn guards_that_refuse_the_next_step_pause_it_and_say_value_limit_and_what_to_do() {
    let mut world = World::new(TWO);
    let mut estate = (**world.core.estate()).clone();
    estate.rules.global = GuardKeys { max_step: Some(10), ..GuardKeys::default() };
    world.core.configuration.estate = Arc::new(estate);
    begin(&mut world, wanted(STEPS)).expect("3 points are few enough");
    world.later(60);
    assert_eq!(stands(&world), format!("paused 1 {}", SHARES[1]), "12 points are not");
    let record = view(&world).record;
    let why = record.halt.as_ref().expect("why");
    assert_eq!((why.code.as_str(), why.value, why.limit), ("guards", Some(12.0), Some(10.0)));
    assert_eq!(order(&mut world, Order::Promote { full: false }).expect_err("guards bind people, too").kind, RefusalKind::GuardRefused);
    assert_eq!(stands(&world), format!("paused 1 {}", SHARES[1]));
}

#[test]
fn nobody_else_moves_traffic_meanwhile_unless_they_end_the_shift() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    let changes = [traffic("search", "weighted prod=100 dr=0"), failover("search", None), Change::Undo { service: "search".into(), to: UndoTo::Before }];
    for change in changes.into_iter().chain([Change::Shift { service: "search".into(), wanted: wanted(STEPS) }]) {
        let refusal = world.change(change.clone()).expect_err("a shift is under way");
        assert_eq!(refusal.kind, RefusalKind::ShiftInProgress, "{change:?}");
        assert!(refusal.faults[0].hint.contains("windrose shift abort search"), "{:?}", refusal.faults);
    }
    world.change(traffic("orders", "failover dr prod")).expect("other services are free");
    world.change(Change::EndingShift(Box::new(traffic("search", "weighted prod=60 dr=40")))).expect("it ends the shift");
    assert_eq!((view(&world).phase(), world.answers("search").as_str()), ("aborted", "prod 60, dr 40"));
    assert_eq!(halt(&world).0, "replaced");
    world.later(3600);
    assert_eq!(world.answers("search"), "prod 60, dr 40", "nothing of it is left");
}

#[test]
fn what_can_not_be_a_shift_is_refused_with_every_fault() {
    let mut world = World::new(TWO);
    let short = parse_step("50", Duration::from_secs(1)).expect("a step");
    let steps = vec![short, parse_step("40", Duration::from_secs(60)).expect("a step")];
    let refusal = begin(&mut world, Wanted { steps, analyses: vec!["none".into()], ..wanted("100") }).expect_err("four faults");
    let codes: Vec<&str> = refusal.faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["invalid-value", "invalid-value", "hold-too-short", "unknown"]);
    let same = Wanted { to: vec![("prod".into(), share(80.0)), ("dr".into(), share(20.0))], ..wanted(STEPS) };
    assert!(begin(&mut world, same).expect_err("it is there").detail.contains("nothing to shift"));
    let half = Wanted { to: vec![("dr".into(), share(50.0))], ..wanted(STEPS) };
    assert_eq!(begin(&mut world, half).expect_err("the rest is nobody's").kind, RefusalKind::InvalidRequest);
    let dry = world.wish(Change::Shift { service: "search".into(), wanted: wanted(STEPS) }, None, true).expect("a dry run");
    assert!(dry.shift.is_some() && world.core.shift_of("search").is_none() && world.answers("search") == SHARES[0]);
}

#[test]
fn the_record_is_written_with_the_traffic_of_its_step() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.later(60);
    let steps: Vec<bool> = world
        .commits
        .iter()
        .filter(|(ops, _)| ops.iter().any(|op| matches!(op.key(), Key::Traffic(_))))
        .map(|(ops, _)| ops.iter().any(|op| matches!(op.key(), Key::Shift(_))))
        .collect();
    assert_eq!(steps, [true, true]);
}

#[test]
fn a_restart_resumes_where_it_was() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.later(60);
    world.later(20);
    let mut world = restarted(&world);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]));
    world.later(30);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]), "39 s of the hold were left");
    world.later(9);
    assert_eq!(stands(&world), format!("waiting 3 {}", SHARES[3]));
    // A hold that ended while it was away: verdicts are confirmed first.
    order(&mut world, Order::Abort).expect("abort");
    begin(&mut world, wanted(STEPS)).expect("it begins");
    let mut world = world.restart(TWO, Duration::from_secs(300));
    assert_eq!(stands(&world), format!("progressing 1 {}", SHARES[1]));
    world.later(9);
    assert_eq!(stands(&world), format!("progressing 1 {}", SHARES[1]));
    world.later(1);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]));
}

#[test]
fn a_lost_store_holds_the_shift_up_and_no_step_is_lost_or_made_twice() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.store_works = false;
    world.later(60);
    assert_eq!(stands(&world), format!("degraded 1 {}", SHARES[1]));
    (0..5).for_each(|_| world.later(1));
    assert_eq!(told(&world), ["started", "step", "degraded"], "told once");
    assert_eq!(order(&mut world, Order::Abort).expect_err("nothing can be written").kind, RefusalKind::StoreUnavailable);
    world.store_works = true;
    world.later(2);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]));
    world.later(59);
    assert_eq!(stands(&world), format!("progressing 2 {}", SHARES[2]), "its hold began with it");
}

#[test]
fn a_shift_whose_service_leaves_the_file_waits_for_it_without_being_looked_after() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.reload("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr").expect("traffic of removed services is kept");
    world.later(600);
    assert!(world.wake_at.is_none_or(|at| world.now.mono < at), "no wake in the past: {:?} at {:?}", world.wake_at, world.now.mono);
    assert_eq!((view(&world).phase(), view(&world).record.step), ("progressing", 0));
    world.reload(TWO).expect("it is back");
    world.later(1);
    assert_eq!(view(&world).record.step, 1);
    order(&mut world, Order::Abort).expect("abort");
    assert_eq!(world.answers("search"), SHARES[0]);
}

#[test]
fn a_move_that_the_store_refused_and_nobody_wants_any_more_is_let_go() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    world.store_works = false;
    world.turn("dr", State::Down);
    world.later(1);
    assert_eq!(view(&world).phase(), "degraded", "the pause can't be written");
    world.turn("dr", State::Up);
    world.later(1);
    assert_eq!(view(&world).phase(), "progressing");
    assert!(world.wake_at.is_none_or(|at| world.now.mono < at), "no wake in the past: {:?} at {:?}", world.wake_at, world.now.mono);
}

#[test]
fn an_analysis_beyond_its_limit_pauses_or_takes_back() {
    for (abort_when, phase) in [(Vec::new(), "paused"), (vec![AbortWhen::AnalysisFailed], "aborted")] {
        let mut world = World::new(TWO);
        analysed(&mut world, prometheus(), 2);
        begin(&mut world, Wanted { analyses: vec!["errors".into()], abort_when, ..wanted(STEPS) }).expect("it begins");
        measured(&mut world, 15, &Ok(0.05));
        assert_eq!(view(&world).phase(), "progressing", "once is not twice");
        measured(&mut world, 10, &Ok(0.05));
        assert_eq!(view(&world).phase(), phase);
        let record = view(&world).record;
        let why = record.halt.as_ref().expect("why");
        assert_eq!((why.code.as_str(), why.value, why.limit), ("analysis_failed", Some(0.05), Some(0.01)));
    }
}

#[test]
fn no_step_follows_before_every_analysis_is_well() {
    let mut world = World::new(TWO);
    analysed(&mut world, prometheus(), 3);
    begin(&mut world, Wanted { analyses: vec!["errors".into()], ..wanted(STEPS) }).expect("it begins");
    measured(&mut world, 49, &Ok(0.001));
    measured(&mut world, 12, &Ok(0.05));
    assert_eq!((view(&world).phase(), view(&world).record.step), ("progressing", 0), "the hold is over, the streak is not");
    measured(&mut world, 10, &Ok(0.001));
    assert_eq!(view(&world).record.step, 1);
}

#[test]
fn an_analysis_that_gives_nothing_pauses() {
    let mut world = World::new(TWO);
    analysed(&mut world, prometheus(), 2);
    begin(&mut world, Wanted { analyses: vec!["errors".into()], abort_when: AbortWhen::ALL.to_vec(), ..wanted(STEPS) }).expect("it begins");
    measured(&mut world, 25, &Err("http://127.0.0.1:9090: connection refused".to_string()));
    assert_eq!(view(&world).phase(), "paused", "not knowing takes nothing back");
    let (code, message) = halt(&world);
    assert!(code == "analysis_inconclusive" && message.contains("connection refused"), "{message}");
    order(&mut world, Order::Retry).expect("retry");
    // Nobody answers at all: each measurement is given up.
    (0..60).for_each(|_| world.later(1));
    assert!(view(&world).phase() == "paused" && halt(&world).1.contains("too long"), "{:?}", halt(&world));
}

#[test]
fn pushed_counters_are_judged_since_the_step_began() {
    let mut world = World::new(TWO);
    analysed(&mut world, Gauge::Slo, 1);
    world.event(Event::Counted { service: "search".into(), good: 0, bad: 1000 });
    begin(&mut world, Wanted { analyses: vec!["errors".into()], ..wanted(STEPS) }).expect("it begins");
    world.event(Event::Counted { service: "search".into(), good: 999, bad: 1 });
    (0..60).for_each(|_| world.later(1));
    assert_eq!(view(&world).record.step, 1, "what was before does not count");
    world.event(Event::Counted { service: "search".into(), good: 90, bad: 10 });
    (0..11).for_each(|_| world.later(1));
    let record = view(&world).record;
    assert_eq!((record.phase, record.halt.as_ref().and_then(|halt| halt.value)), (Phase::Paused, Some(0.1)));
}

#[test]
fn the_answered_split_is_held_against_the_asked_one() {
    let mut world = World::new(TWO);
    analysed(&mut world, Gauge::Split, 1);
    begin(&mut world, Wanted { analyses: vec!["errors".into()], ..wanted("50,100") }).expect("it begins");
    let answers = |world: &mut World, prod: u64, dr: u64| {
        for (shift, step, analysis) in std::mem::take(&mut world.measures) {
            let found = Ok(Found::Answers(vec![("prod".into(), prod), ("dr".into(), dr)]));
            world.event(Event::Measured(Measured { shift, step, analysis: analysis.name.clone(), found }));
        }
    };
    answers(&mut world, 8000, 2000);
    world.later(10);
    answers(&mut world, 9000, 2000);
    world.later(0);
    let (code, message) = halt(&world);
    assert!(code == "analysis_failed" && message.contains("gives 50"), "{message}");
}

#[derive(Clone, Debug)]
enum Deed {
    Begin,
    Order(Order),
    Later(u64),
    Health(bool),
    Store(bool),
    Restart,
    Traffic(bool),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let order =
        prop::sample::select(vec![Order::Pause, Order::Resume, Order::Promote { full: false }, Order::Promote { full: true }, Order::Abort, Order::Retry]);
    let deed = prop_oneof![
        2 => Just(Deed::Begin),
        4 => order.prop_map(Deed::Order),
        5 => (0_u64..70).prop_map(Deed::Later),
        2 => any::<bool>().prop_map(Deed::Health),
        1 => any::<bool>().prop_map(Deed::Store),
        1 => Just(Deed::Restart),
        1 => any::<bool>().prop_map(Deed::Traffic),
    ];
    prop::collection::vec(deed, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: shares are always the plan's, steps come one after the other, an abort reaches the start, generations grow.
    #[test]
    fn shares_are_always_one_of_the_plans(deeds in deeds(), abort_by_itself in any::<bool>()) {
        let mut world = World::new(TWO);
        let service = world.service("search");
        let file = (*world.core.estate().service(service).form).clone();
        let abort_when = if abort_by_itself { vec![AbortWhen::TargetUnhealthy] } else { Vec::new() };
        let mut outside = file.clone();
        let (mut generation, mut revision) = (world.core.overview().generation, world.disk_revision);
        let mut before: Option<(u64, u32)> = None;
        for deed in deeds {
            let mut may_jump = false;
            match deed {
                Deed::Begin => drop(begin(&mut world, Wanted { abort_when: abort_when.clone(), ..wanted(STEPS) })),
                Deed::Order(of) if world.core.shift_of("search").is_some() => {
                    may_jump = matches!(of, Order::Promote { full: true });
                    let was_active = world.core.active_shift("search").is_some();
                    let ordered = order(&mut world, of);
                    if of == Order::Abort && ordered.is_ok() && was_active {
                        prop_assert_eq!(view(&world).phase(), "aborted");
                        let aborted = view(&world).record;
                        prop_assert_eq!(world.core.service(service).form, aborted.before.as_ref().unwrap_or(&file));
                    }
                    if of == Order::Abort && world.store_works {
                        prop_assert!(ordered.is_ok() || view(&world).record.phase == Phase::Completed, "abort always wins");
                    }
                }
                Deed::Order(_) => (),
                Deed::Later(seconds) => (0..seconds).for_each(|_| world.later(1)),
                Deed::Health(up) => world.turn("dr", if up { State::Up } else { State::Down }),
                Deed::Store(works) => world.store_works = works,
                Deed::Restart => {
                    world = restarted(&world);
                    generation = 0;
                }
                Deed::Traffic(ends) => {
                    let change = traffic("search", "weighted prod=70 dr=30");
                    let change = if ends { Change::EndingShift(Box::new(change)) } else { change };
                    let under_way = world.core.active_shift("search").is_some();
                    let done = world.change(change);
                    prop_assert!(!under_way || ends || done.is_err(), "nobody moves traffic under a shift");
                }
            }
            let form = world.core.service(service).form.clone();
            if world.core.active_shift("search").is_none() {
                outside = form.clone();
            }
            match world.core.shift_of("search").map(|_| view(&world)) {
                Some(view) if view.record.phase.is_active() || view.record.phase == Phase::Completed && form != outside => {
                    prop_assert_eq!(&form, &view.record.form_at(view.record.step as usize), "the shares of its step");
                    let reached = view.record.reached.len();
                    prop_assert_eq!(reached, view.record.step as usize + 1);
                    if let Some((id, step)) = before.filter(|(id, _)| *id == view.id) {
                        prop_assert!(step <= view.record.step, "s-{} never goes back but by an abort", id);
                        prop_assert!(may_jump || view.record.step <= step + 1 || matches!(deed, Deed::Later(_)), "no step is left out");
                    }
                    before = Some((view.id, view.record.step));
                }
                _ => (),
            }
            // On disk stands what is in force, so that a restart finds it.
            if let Some(Record::Traffic(record)) = world.on_disk(&Key::Traffic("search".into())) {
                prop_assert_eq!(record.form.as_ref().unwrap_or(&file), &form);
            }
            prop_assert!(generation <= world.core.overview().generation && revision <= world.disk_revision);
            (generation, revision) = (world.core.overview().generation, world.disk_revision);
        }
    }
}

#[test]
fn another_shift_takes_the_place_of_one_under_way_only_if_asked_to() {
    let mut world = World::new(TWO);
    begin(&mut world, wanted(STEPS)).expect("it begins");
    let first = world.core.shift_of("search").expect("a shift");
    let back = Wanted { to: vec![("prod".into(), share(100.0)), ("dr".into(), share(0.0))], ..wanted("50,100") };
    let change = Change::Shift { service: "search".into(), wanted: back };
    assert_eq!(world.change(change.clone()).expect_err("refused").kind, RefusalKind::ShiftInProgress);
    world.change(Change::EndingShift(Box::new(change))).expect("it begins");
    let second = world.core.shift_of("search").expect("a shift");
    assert!(first < second);
    let ended = world.core.shift(first, world.now).expect("kept").record;
    assert_eq!((ended.phase, ended.halt.as_ref().map(|halt| halt.code.as_str())), (Phase::Aborted, Some("replaced")));
    assert_eq!(stands(&world), "progressing 1 prod 89, dr 12", "from where the first one was");
    assert_eq!(restarted(&world).core.active_shift("search"), Some(second));
    order(&mut world, Order::Abort).expect("abort");
    assert_eq!(world.answers("search"), SHARES[1], "before it was the first one's step");
}

#[test]
fn a_second_person_confirms_a_change_that_ends_a_shift() {
    let mut world = World::new(TWO);
    let mut estate = (**world.core.estate()).clone();
    estate.rules.global = GuardKeys { max_step: Some(40), ..GuardKeys::default() };
    estate.rules.break_glass_confirm = true;
    world.core.configuration.estate = Arc::new(estate);
    begin(&mut world, wanted("5,100")).expect("it begins");
    world.break_glass = vec![crate::model::GuardKind::MaxStep];
    let change = Change::EndingShift(Box::new(traffic("search", "weighted prod=20 dr=80")));
    let refusal = world.change(change).expect_err("a second person is needed");
    assert_eq!(refusal.kind, RefusalKind::ConfirmationNeeded, "{refusal:?}");
    let id = refusal.confirmation.expect("it waits");
    assert_eq!(stands(&world), format!("progressing 1 {}", SHARES[1]), "nothing was changed");
    world.actor = "token:bert";
    world.change(Change::EndingShift(Box::new(Change::Confirm { id }))).expect_err("it says nothing of its own");
    world.change(Change::Confirm { id }).expect("confirmed");
    assert_eq!((view(&world).record.phase, world.answers("search")), (Phase::Aborted, "prod 20, dr 80".to_string()));
}
