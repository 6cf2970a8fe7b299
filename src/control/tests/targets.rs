//! Overrides of what a tag or a pattern fits, and services that the file manages.

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Change, OverrideTargetName, OverrideWord, RefusalKind, Source, UndoTo};
use crate::health::State;

const ZONES: &str = "pool prod: a=10.0.0.1 b=10.0.0.2 region=eu-west; pool dr: a=10.1.0.1 b=10.1.0.2 region=eu-north; pool far: 10.2.0.1 region=us-east; \
     tag az-1: prod/a dr/a; service orders: failover prod dr far; service search: weighted prod=50 dr=50";
/// An endpoint came under the tag, and one left.
const MOVED: &str = "pool prod: a=10.0.0.1 b=10.0.0.2 region=eu-west; pool dr: a=10.1.0.1 b=10.1.0.2 region=eu-north; pool far: 10.2.0.1 region=us-east; \
     tag az-1: prod/b dr/a; service orders: failover prod dr far; service search: weighted prod=50 dr=50";
const MANAGED: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; managed orders; service orders: failover prod dr; service search: weighted prod=80 dr=20";
const FREE: &str = "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr; service search: weighted prod=80 dr=20";

fn begin(kind: OverrideWord, target: &str, lasts: Option<u64>) -> Change {
    let target = OverrideTargetName::parse(target).expect("a target");
    Change::Override { kind, target, services: Vec::new(), lasts: lasts.map(Duration::from_secs) }
}

/// IPv4 addresses that a service answers with, of all leaves.
fn addresses(world: &World, service: &str) -> Vec<String> {
    let view = world.core.service(world.service(service));
    let leaves = view.decision.families[0].leaves.iter().flat_map(|leaf| &leaf.endpoints);
    let mut found: Vec<String> = leaves.map(|id| world.core.estate().address_text(*id)).collect();
    found.sort();
    found
}

#[test]
fn a_drained_tag_takes_its_endpoints_out_of_every_pool_and_gives_them_back() {
    let mut world = World::new(ZONES);
    let applied = world.change(begin(OverrideWord::Drain, "tag/az-1", Some(3600))).expect("drained");
    assert_eq!(applied.messages, ["tag/az-1 is 2 endpoints now: prod/a dr/a; what comes later and fits is under it, too"]);
    assert_eq!((addresses(&world, "orders"), addresses(&world, "search")), (vec!["10.0.0.2".into()], vec!["10.0.0.2".into(), "10.1.0.2".into()]));
    world.change(Change::EndOverride { id: 1 }).expect("ended");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_tag_is_live_and_unmatched_when_nobody_has_it() {
    let mut world = World::new(ZONES);
    world.change(begin(OverrideWord::ForceDown, "tag/az-1", None)).expect("forced");
    world.reload(MOVED).expect("taken");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.1"], "b has the tag now");
    world.reload(FREE).expect("taken");
    assert!(!world.core.overrides()[0].matched);
    let mut world = world.restart(ZONES, Duration::from_secs(1));
    world.settle();
    assert!(world.core.overrides()[0].matched, "kept by the store, and acts again");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.2"]);
}

#[test]
fn a_pattern_drains_every_region_that_fits() {
    let mut world = World::new(ZONES);
    let refusal = world.change(begin(OverrideWord::Drain, "region/eu-*", Some(60))).expect_err("search has no other region");
    assert_eq!(refusal.kind, RefusalKind::GuardRefused, "guards see through patterns");
    let target = OverrideTargetName::parse("region/eu-*").expect("a target");
    let lasts = Some(Duration::from_secs(60));
    world.change(Change::Override { kind: OverrideWord::Drain, target, services: vec!["orders".into()], lasts }).expect("drained");
    assert_eq!((world.answers("orders"), world.answers("search")), ("far 100".into(), "prod 50, dr 50".into()));
    world.later(61);
    assert_eq!(world.answers("orders"), "prod 100", "it ended by itself");
}

#[test]
fn what_is_named_counts_more_than_a_pattern_and_that_more_than_a_tag() {
    let mut world = World::new(ZONES);
    world.change(begin(OverrideWord::ForceDown, "tag/az-*", None)).expect("forced");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.2"]);
    world.change(begin(OverrideWord::ForceUp, "endpoint/prod/*", None)).expect("forced");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.1", "10.0.0.2"]);
    world.change(begin(OverrideWord::ForceDown, "endpoint/prod/b", None)).expect("forced");
    assert_eq!(addresses(&world, "orders"), ["10.0.0.1"]);
}

#[test]
fn drains_of_several_operators_compose_and_one_health_override_per_target_stands() {
    let mut world = World::new(ZONES);
    for target in ["tag/az-1", "endpoint/prod/b", "tag/az-*"] {
        world.change(begin(OverrideWord::Drain, target, Some(60))).expect("drained");
    }
    assert_eq!(world.answers("orders"), "dr 100", "prod is drained endpoint by endpoint");
    world.change(Change::EndOverride { id: 1 }).expect("ended");
    assert_eq!(world.answers("orders"), "dr 100", "the other drain of the tag still is");
    world.change(begin(OverrideWord::ForceDown, "tag/az-1", None)).expect("forced");
    let refusal = world.change(begin(OverrideWord::ForceUp, "tag/az-1", None)).expect_err("one is there");
    assert_eq!(refusal.kind, RefusalKind::OverrideExists);
}

#[test]
fn targets_that_nothing_fits_are_not_found_with_the_nearest_name() {
    let mut world = World::new(ZONES);
    for (target, said) in [
        ("tag/az1", "no endpoint has the tag `az1`; did you mean `az-1`?"),
        ("region/ap-*", "there is no region `ap-*`"),
        ("endpoint/prod/c*", "there is no endpoint `c*`"),
        ("pool/prob", "there is no pool `prob`; did you mean `prod`?"),
    ] {
        let refusal = world.change(begin(OverrideWord::Drain, target, Some(60))).expect_err(target);
        assert_eq!((refusal.kind, refusal.detail.as_str()), (RefusalKind::NotFound, said));
    }
}

#[test]
fn traffic_that_the_file_manages_is_refused_with_the_place_to_change() {
    let mut world = World::new(MANAGED);
    for change in [traffic("orders", "failover dr prod"), failover("orders", None)] {
        let refusal = world.change(change).expect_err("managed");
        assert_eq!(refusal.kind, RefusalKind::ManagedElsewhere);
        assert!(refusal.detail.contains("windrose.toml:10:1"), "{}", refusal.detail);
    }
    world.change(traffic("search", "weighted prod=50 dr=50")).expect("this one is free");
}

#[test]
fn where_the_file_manages_an_override_needs_an_end() {
    let mut world = World::new(MANAGED);
    for (kind, target) in [(OverrideWord::Drain, "pool/prod"), (OverrideWord::Drain, "region/pr*"), (OverrideWord::Freeze, "service/orders")] {
        let refusal = world.change(begin(kind, target, None)).expect_err("endless");
        assert_eq!((refusal.kind, &*refusal.faults[0].pointer), (RefusalKind::ManagedElsewhere, "/expires_in"));
    }
    let limited = Change::Override {
        kind: OverrideWord::Drain,
        target: OverrideTargetName::parse("pool/prod").expect("a target"),
        services: vec!["search".into()],
        lasts: None,
    };
    world.change(limited).expect("it does not touch orders");
    world.change(begin(OverrideWord::Drain, "pool/prod", Some(60))).expect("with an end");
    assert_eq!(world.answers("orders"), "dr 100");
    assert_eq!(world.change(Change::Extend { id: 2, lasts: None }).expect_err("endless").kind, RefusalKind::ManagedElsewhere);
    world.change(Change::Extend { id: 2, lasts: Some(Duration::from_secs(5)) }).expect("sooner");
}

#[test]
fn traffic_set_before_the_file_managed_is_set_aside_and_counts_again_when_it_no_longer_does() {
    let mut world = World::new(FREE);
    world.change(failover("orders", None)).expect("moved");
    let applied = world.reload(MANAGED).expect("taken");
    assert!(applied.messages.iter().any(|text| text.contains("set aside") && text.contains("token:anna")), "{:?}", applied.messages);
    let view = world.core.service(world.service("orders"));
    assert_eq!((view.source, view.unusable.is_some(), world.answers("orders")), (Source::File, true, "prod 100".into()));
    let back = world.reload(FREE).expect("taken");
    assert!(back.messages.iter().any(|text| text.contains("counts again")), "{:?}", back.messages);
    assert_eq!(world.answers("orders"), "dr 100");
    world.reload(MANAGED).expect("taken");
    world.change(Change::Undo { service: "orders".into(), to: UndoTo::File }).expect("to where the file wants it");
    world.reload(FREE).expect("taken");
    assert_eq!(world.answers("orders"), "prod 100");
    world.turn("prod", State::Down);
    assert_eq!(world.answers("orders"), "dr 100", "health acts as ever");
}
