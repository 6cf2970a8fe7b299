//! What clients are told with odd answers.

use crate::model::Family;
use crate::policy::Note;
use crate::policy::testing::World;

fn note(world: &World) -> Option<Note> {
    world.decide("orders").notes[Family::V4.index()]
}

fn world(more: &str) -> World {
    World::new(&format!("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr failback=60s {more}"))
}

#[test]
fn a_plain_answer_has_no_note_and_neither_has_a_plain_failover() {
    let mut world = world("");
    assert_eq!(note(&world), None);
    world.down("prod");
    assert_eq!(note(&world), None);
    assert_eq!(world.decide("orders").notes[Family::V6.index()], None, "nothing is answered there");
}

#[test]
fn when_all_down_says_whether_it_repeats_or_guesses() {
    for (all_down, wanted) in [
        ("last_good", Some(Note::LastGood)),
        ("serve_all", Some(Note::LastResort)),
        ("first", Some(Note::LastResort)),
        ("nodata", Some(Note::LastResort)),
        ("servfail", None),
    ] {
        let mut world = world(&format!("all_down={all_down}"));
        world.down("prod");
        world.down("dr");
        assert_eq!(note(&world), wanted, "{all_down}");
    }
}

#[test]
fn a_returned_pool_that_waits_is_told_and_so_is_one_that_is_used_before_its_time() {
    let mut world = world("");
    world.down("prod");
    world.up("prod");
    assert_eq!(note(&world), Some(Note::Waiting));
    world.down("dr");
    assert_eq!(note(&world), Some(Note::HeldUsed));
    world.up("dr");
    assert_eq!(note(&world), Some(Note::HeldUsed), "dr waits now, so nothing else would answer yet");
    world.later(60);
    assert_eq!(note(&world), None);
}

#[test]
fn verdicts_of_before_a_restart_are_told_until_a_probe_confirms_them() {
    let mut world = world("");
    world.restart();
    assert_eq!(note(&world), Some(Note::Unconfirmed));
    world.turn_again("prod");
    assert_eq!(note(&world), None);
}
