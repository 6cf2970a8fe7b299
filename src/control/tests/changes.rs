//! Operators' changes (SEMANTICS, 15 to 20).

use std::time::Duration;

use super::world::{World, failover, traffic};
use crate::control::{Change, Key, OverrideTargetName, OverrideWord, RefusalKind, Revision, Source, UndoTo};
use crate::health::State;

const TWO: &str =
    "pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=2s; service search: weighted prod=80 dr=20 failback=manual";

fn undo(service: &str, to: UndoTo) -> Change {
    Change::Undo { service: service.into(), to }
}

fn begin(kind: OverrideWord, target: &str, lasts: Option<u64>) -> Change {
    Change::Override { kind, target: OverrideTargetName::parse(target).expect("a target"), services: Vec::new(), lasts: lasts.map(Duration::from_secs) }
}

#[test]
fn a_change_is_durable_and_answered_when_it_is_acknowledged() {
    let mut world = World::new(TWO);
    let applied = world.change(traffic("search", "weighted prod=50 dr=50")).expect("applied");
    assert_eq!(applied.revision, Revision(1));
    assert_eq!(world.answers("search"), "prod 50, dr 50");
    assert!(world.on_disk(&Key::Traffic("search".into())).is_some());
    let moved = &applied.moves[0];
    assert_eq!((moved.before[0].1, moved.after[0].1), (0.8, 0.5));
}

#[test]
fn a_dry_run_gives_the_same_answer_and_writes_nothing() {
    let mut world = World::new(TWO);
    let (commits, publishes) = (world.commits.len(), world.publishes);
    let dry = world.wish(traffic("search", "weighted prod=50 dr=50"), None, true).expect("fine");
    assert!(dry.dry_run);
    assert_eq!((world.commits.len(), world.publishes), (commits, publishes));
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    let real = world.change(traffic("search", "weighted prod=50 dr=50")).expect("applied");
    assert_eq!((dry.moves, dry.form), (real.moves, real.form));
}

#[test]
fn before_the_first_change_the_file_serves_under_revision_0_and_nothing_can_be_undone() {
    let mut world = World::new(TWO);
    let view = world.core.service(world.service("orders"));
    assert_eq!((view.source, view.revision), (Source::File, Revision(0)));
    let refusal = world.change(undo("orders", UndoTo::Before)).expect_err("nothing to undo");
    assert_eq!(refusal.kind, RefusalKind::NothingToUndo);
}

#[test]
fn undo_twice_is_back_again_and_undo_to_file_keeps_the_revision_growing() {
    let mut world = World::new(TWO);
    world.change(failover("orders", None)).expect("dr is up");
    assert_eq!(world.answers("orders"), "dr 100");
    world.change(undo("orders", UndoTo::Before)).expect("undone");
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.core.service(world.service("orders")).source, Source::File);
    world.change(undo("orders", UndoTo::Before)).expect("back");
    assert_eq!(world.answers("orders"), "dr 100");
    let applied = world.change(undo("orders", UndoTo::File)).expect("to the file");
    assert_eq!(applied.revision, Revision(4));
    assert_eq!(world.answers("orders"), "prod 100");
    world.change(undo("orders", UndoTo::Revision(Revision(1)))).expect("to revision 1");
    assert_eq!(world.answers("orders"), "dr 100");
    let unknown = world.change(undo("orders", UndoTo::Revision(Revision(77)))).expect_err("never was");
    assert_eq!(unknown.kind, RefusalKind::NotFound);
    assert_eq!(world.core.history("orders").len(), 5);
}

#[test]
fn failover_to_a_pool_that_is_down_or_drained_is_refused_and_changes_nothing() {
    let mut world = World::new(TWO);
    world.turn("dr", State::Down);
    let refusal = world.change(failover("orders", Some("dr"))).expect_err("dr is down");
    assert_eq!(refusal.kind, RefusalKind::TargetNotUp);
    assert_eq!(world.change(failover("orders", None)).expect_err("nowhere to go").kind, RefusalKind::TargetNotUp);
    world.turn("dr", State::Up);
    world.change(begin(OverrideWord::Drain, "pool/dr", None)).expect("drained");
    assert_eq!(world.change(failover("orders", Some("dr"))).expect_err("dr is drained").kind, RefusalKind::TargetNotUp);
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.core.history("orders").len(), 0);
    assert_eq!(world.change(failover("orders", Some("drr"))).expect_err("a typo").detail, "there is no child of `orders` called `drr`; did you mean `dr`?");
}

#[test]
fn a_stale_revision_is_refused_with_the_present_one() {
    let mut world = World::new(TWO);
    world.wish(traffic("search", "weighted prod=50 dr=50"), Some(Revision(0)), false).expect("first");
    let refusal = world.wish(traffic("search", "weighted prod=20 dr=80"), Some(Revision(0)), false).expect_err("stale");
    assert_eq!((refusal.kind, refusal.revision), (RefusalKind::RevisionMismatch, Some(Revision(1))));
    assert_eq!(world.answers("search"), "prod 50, dr 50");
}

#[test]
fn a_bad_policy_lists_every_fault() {
    let mut world = World::new(TWO);
    let form = serde_json::from_str(r#"{"weighted": {"prod": 80, "nowhere": 30}}"#).expect("a form");
    let refusal = world.change(Change::Traffic { service: "search".into(), form }).expect_err("bad");
    assert_eq!(refusal.kind, RefusalKind::InvalidRequest);
    let pointers: Vec<&str> = refusal.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/policy/weighted", "/policy/weighted/nowhere"]);
}

#[test]
fn a_store_that_refuses_makes_changes_fail_and_answers_go_on() {
    let mut world = World::new(TWO);
    world.store_works = false;
    let refusal = world.change(traffic("search", "weighted prod=50 dr=50")).expect_err("no disk");
    assert_eq!(refusal.kind, RefusalKind::StoreUnavailable);
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    assert!(!world.core.overview().store.up);
    world.store_works = true;
    world.change(traffic("search", "weighted prod=50 dr=50")).expect("works again");
    assert!(world.core.overview().store.up);
}

#[test]
fn a_drain_ends_by_itself_and_force_ends_after_four_hours() {
    let mut world = World::new(TWO);
    world.change(begin(OverrideWord::Drain, "region/prod", Some(600))).expect("drained");
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "dr 100".into()));
    world.later(599);
    assert_eq!(world.answers("orders"), "dr 100");
    world.later(1);
    assert_eq!((world.answers("orders"), world.answers("search")), ("prod 100".into(), "prod 80, dr 20".into()));
    assert!(world.core.overrides().is_empty());
    world.change(begin(OverrideWord::ForceDown, "pool/prod", None)).expect("forced");
    let ends = world.core.overrides()[0].record.ends.expect("an end");
    assert_eq!(ends.since(world.now.wall), Duration::from_secs(4 * 3600));
    let again = world.change(begin(OverrideWord::ForceUp, "pool/prod", None)).expect_err("one health override per target");
    assert_eq!(again.kind, RefusalKind::OverrideExists);
}

#[test]
fn an_override_limited_to_a_service_leaves_the_others_alone() {
    let mut world = World::new(TWO);
    let change = Change::Override { kind: OverrideWord::Drain, target: OverrideTargetName::Pool("prod".into()), services: vec!["orders".into()], lasts: None };
    let applied = world.change(change).expect("drained");
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "prod 80, dr 20".into()));
    assert_eq!(applied.moves.len(), 1);
    let (id, _) = applied.override_.expect("the override");
    world.change(Change::EndOverride { id }).expect("ended");
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(world.change(Change::EndOverride { id }).expect_err("gone").kind, RefusalKind::NotFound);
}

#[test]
fn a_frozen_service_keeps_its_decision_but_obeys_operators() {
    let mut world = World::new(TWO);
    world.change(begin(OverrideWord::Freeze, "service/orders", None)).expect("frozen");
    world.turn("prod", State::Down);
    assert_eq!((world.answers("orders"), world.answers("search")), ("prod 100".into(), "dr 100".into()));
    world.change(failover("orders", Some("dr"))).expect("an operator may");
    assert_eq!(world.answers("orders"), "dr 100");
    let id = world.core.overrides()[0].id;
    world.change(Change::EndOverride { id }).expect("thawed");
    assert_eq!(world.answers("orders"), "dr 100");
}

#[test]
fn failback_ends_holds_and_so_does_any_change_of_traffic() {
    let mut world = World::new(TWO);
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.later(3600);
    assert_eq!((world.answers("orders"), world.answers("search")), ("prod 100".into(), "dr 100".into()));
    world.change(Change::Failback { service: "search".into(), pool: None }).expect("back");
    assert_eq!(world.answers("search"), "prod 80, dr 20");
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.change(traffic("search", "weighted prod=70 dr=30")).expect("set");
    assert_eq!(world.answers("search"), "prod 70, dr 30");
}

#[test]
fn the_end_of_a_freeze_says_what_it_moves() {
    let mut world = World::new(TWO);
    world.change(begin(OverrideWord::Freeze, "service/orders", None)).expect("frozen");
    world.turn("prod", State::Down);
    let id = world.core.overrides()[0].id;
    let dry = world.wish(Change::EndOverride { id }, None, true).expect("fine");
    assert_eq!(dry.moves.iter().map(|moved| (moved.before[0].1, moved.after[0].1)).collect::<Vec<_>>(), [(1.0, 0.0)]);
    world.change(Change::EndOverride { id }).expect("thawed");
    assert_eq!(world.answers("orders"), "dr 100");
}
