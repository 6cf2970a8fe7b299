//! What a reload would do is what it does.

use std::sync::Arc;
use std::time::Duration;

use super::world::{World, configuration, failover, traffic};
use crate::control::{Became, Configuration, ObjectChange, differences};
use crate::health::State;
use crate::model::{AbortWhen, Analysis, Estate, Gauge, ShiftPlan, ShiftRules};

const TWO: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s; service search: weighted prod=80 dr=20";
const NEXT: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1 10.1.0.2; pool far: 10.2.0.1; service orders: failover prod dr failback=60s; \
     service search: weighted prod=20 dr=80; service fresh: failover far";
const WITHOUT_PROD: &str = "pool dr: 10.1.0.1; service orders: failover dr";
const MANAGED: &str =
    "pool prod: 10.0.0.1; pool dr: 10.1.0.1; managed orders; service orders: failover prod dr failback=60s; service search: weighted prod=80 dr=20";

/// `search prod 80 → prod 20`, by service.
fn moves(world: &World, text: &str) -> Vec<String> {
    let shares =
        |shares: &[(std::sync::Arc<str>, f64)]| shares.iter().map(|(pool, share)| format!("{pool} {:.0}", share * 100.0)).collect::<Vec<_>>().join(", ");
    let preview = world.core.preview(&configuration(text), world.now);
    preview.moves.iter().map(|change| format!("{}: {} → {}", change.service, shares(&change.before), shares(&change.after))).collect()
}

#[test]
fn a_preview_tells_where_traffic_goes_and_the_reload_sends_it_there() {
    let mut world = World::new(TWO);
    assert_eq!(moves(&world, NEXT), ["search: prod 80, dr 20 → prod 20, dr 80", "fresh:  → far 100"]);
    let before = (world.publishes, world.answers("search"));
    assert_eq!(before, (world.publishes, "prod 80, dr 20".into()), "nothing was changed");
    world.reload(NEXT).expect("taken");
    assert_eq!((world.answers("search"), world.answers("fresh")), ("prod 20, dr 80".into(), "far 100".into()));
    assert!(moves(&world, NEXT).is_empty());
}

#[test]
fn a_preview_is_on_todays_health_holds_and_overrides() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    assert_eq!(moves(&world, NEXT)[..], ["fresh:  → far 100"], "search goes to dr alone, before and after");
    world.turn("prod", State::Up);
    assert_eq!(world.answers("orders"), "dr 100", "prod waits for failback");
    assert!(moves(&world, TWO).is_empty(), "and would still wait");
}

#[test]
fn what_goes_away_is_told_last() {
    let world = World::new(TWO);
    assert_eq!(moves(&world, WITHOUT_PROD), ["orders: prod 100 → dr 100", "search: prod 80, dr 20 → "]);
}

#[test]
fn a_preview_refuses_what_the_reload_refuses_and_says_what_it_says() {
    let mut world = World::new(TWO);
    world.change(failover("orders", None)).expect("moved");
    let preview = world.core.preview(&configuration(WITHOUT_PROD), world.now);
    let refusal = world.reload(WITHOUT_PROD).expect_err("prod is used");
    assert_eq!(preview.refusals, refusal.faults);
    let preview = world.core.preview(&configuration(MANAGED), world.now);
    assert!(preview.refusals.is_empty() && preview.messages[0].contains("set aside"), "{preview:?}");
    assert_eq!(moves(&world, MANAGED), ["orders: dr 100 → prod 100"]);
    let taken = world.reload(MANAGED).expect("taken");
    assert!(preview.messages.iter().all(|text| taken.messages.contains(text)), "{preview:?} {taken:?}");
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn differences_are_by_kind_and_name_whatever_the_order_in_the_file() {
    let changes = differences(&configuration(TWO), &configuration(NEXT));
    let told: Vec<_> = changes.iter().map(|change| format!("{} {} {}", change.became.word(), change.kind, change.name)).collect();
    assert_eq!(
        told,
        [
            "added endpoint dr/10.1.0.2",
            "added endpoint far/10.2.0.1",
            "changed pool dr",
            "added pool far",
            "added region far",
            "added service fresh",
            "changed service search"
        ]
    );
    let search = changes.iter().find(|change| change.name == "search").expect("changed");
    assert_eq!(search.became, Became::Changed);
    assert_eq!(search.fields, [("policy", Some("weighted prod 80 %, dr 20 %".into()), Some("weighted prod 20 %, dr 80 %".into()))]);
    let turned = "pool dr: 10.1.0.1; pool prod: 10.0.0.1; service search: weighted prod=80 dr=20; service orders: failover prod dr failback=60s";
    assert!(differences(&configuration(TWO), &configuration(turned)).is_empty());
}

#[test]
fn plans_and_analyses_of_shifts_differ_by_what_they_say() {
    let with = |steps: &[&str], max: f64| {
        let mut configuration = configuration(TWO);
        let steps = steps.iter().map(|step| crate::model::parse_step(step, Duration::from_secs(300)).expect("a step")).collect();
        let gauge = Gauge::Prometheus { url: "http://127.0.0.1:9090".into(), query: "errors".into() };
        let analysis = Analysis { name: "errors".into(), gauge, max, interval: Duration::from_secs(30), failures: 3 };
        let plan = ShiftPlan { name: "careful".into(), steps, abort_when: vec![AbortWhen::AnalysisFailed], analyses: vec![analysis.name.clone()] };
        let shifts = ShiftRules { plans: vec![plan], analyses: vec![Arc::new(analysis)] };
        configuration.estate = Arc::new(Estate { shifts, ..(*configuration.estate).clone() });
        configuration
    };
    let told = |from: &Configuration, to: &Configuration| {
        let word = |value: &Option<String>| value.clone().unwrap_or_default();
        let fields = |change: &ObjectChange| change.fields.iter().map(|(field, was, is)| format!("{field}: {} → {}", word(was), word(is))).collect::<Vec<_>>();
        differences(from, to).iter().map(|change| (format!("{} {} {}", change.became.word(), change.kind, change.name), fields(change))).collect::<Vec<_>>()
    };
    let (first, second) = (with(&["5", "50p", "100"], 0.01), with(&["25", "100"], 0.02));
    let wanted = [
        ("changed analysis errors".to_string(), vec!["max: 0.01 → 0.02".to_string()]),
        ("changed plan careful".to_string(), vec!["steps: 5%, 50%p, 100%, hold 5m → 25%, 100%, hold 5m".to_string()]),
    ];
    assert_eq!(told(&first, &second), wanted);
    assert_eq!(told(&configuration(TWO), &first).len(), 2, "both are new");
    assert!(told(&first, &first.clone()).is_empty());
}

#[test]
fn drift_lists_services_whose_traffic_is_not_the_files() {
    let mut world = World::new(TWO);
    world.change(traffic("search", "weighted prod=50 dr=50")).expect("moved");
    world.change(traffic("orders", "failover prod dr")).expect("as the file says");
    let drift = world.core.drift(&configuration(TWO));
    assert_eq!(drift.iter().map(|drift| (&*drift.service, drift.actor.as_str(), drift.set_aside)).collect::<Vec<_>>(), [("search", "token:anna", false)]);
}
