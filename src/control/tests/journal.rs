//! Events and audit of the whole core: told once, kept with the change, never twice the same number.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, failover, traffic};
use crate::control::{Call, Change, Event, Key, Op, Order, Origin, OverrideTargetName, OverrideWord, Record, UndoTo, verify};
use crate::health::State;

const TEXT: &str = "pool prod: 10.0.0.1; pool dr: 10.0.0.2; service orders: failover prod dr; service search: weighted prod=80 dr=20";

fn kinds(world: &World) -> Vec<&str> {
    world.happenings.iter().map(|happening| &*happening.kind).collect()
}

fn audit(world: &World) -> Vec<Value> {
    let mut entries: Vec<(u64, Value)> = world
        .disk
        .iter()
        .filter_map(|stored| match (&stored.key, &stored.record) {
            (Key::Audit(number), Record::Line(text)) => Some((*number, serde_json::from_str(text).expect("JSON"))),
            _ => None,
        })
        .collect();
    entries.sort_by_key(|(number, _)| *number);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

#[test]
fn a_failover_and_its_end_are_told_as_cloud_events() {
    let mut world = World::new(TEXT);
    world.happenings.clear();
    world.turn("prod", State::Down);
    world.turn("prod", State::Up);
    world.change(Change::Failback { service: "orders".into(), pool: None }).unwrap();
    let told = kinds(&world);
    for kind in ["endpoint.down", "region.down", "failover.started", "endpoint.up", "region.up", "failback.done", "failover.ended"] {
        assert!(told.contains(&kind), "{kind} is missing: {told:?}");
    }
    let started = world.happenings.iter().find(|happening| &*happening.kind == "failover.started" && happening.service.as_deref() == Some("orders"));
    let event: Value = serde_json::from_str(&started.expect("it moved").text).unwrap();
    assert_eq!((&event["specversion"], &event["type"], &event["subject"]), (&json!("1.0"), &json!("windrose.failover.started"), &json!("service/orders")));
    assert_eq!((&event["data"]["from"], &event["data"]["to"], &event["data"]["trigger"]), (&json!(["prod"]), &json!(["dr"]), &json!("health")));
    assert_eq!((&event["data"]["severity"], &event["data"]["region"]), (&json!("critical"), &json!("prod")));
    assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
    let sequences: Vec<u64> = world.happenings.iter().map(|happening| happening.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
}

#[test]
fn a_region_that_goes_down_is_told_and_one_more_is_guarded() {
    let mut world = World::new(TEXT);
    world.happenings.clear();
    world.turn("prod", State::Down);
    world.turn("dr", State::Down);
    let told: Vec<_> = kinds(&world).into_iter().filter(|kind| kind.starts_with("region.")).collect();
    assert_eq!(told, ["region.down", "region.guarded"]);
}

#[test]
fn no_number_is_given_twice_also_when_a_process_dies() {
    let mut world = World::new(TEXT);
    world.turn("prod", State::Down);
    let last = world.core.last_sequence();
    // The store stops; events go on, and then the process is killed.
    world.store_works = false;
    world.turn("prod", State::Up);
    world.turn("prod", State::Down);
    let unwritten = world.core.last_sequence();
    assert!(last < unwritten);
    let mut next = world.restart(TEXT, Duration::from_secs(5));
    assert!(next.core.happenings().iter().any(|happening| happening.sequence == last), "what was written is still there");
    next.turn("prod", State::Up);
    assert!(next.happenings.iter().all(|happening| unwritten < happening.sequence), "{} {:?}", unwritten, next.happenings);
}

#[test]
fn an_override_is_created_extended_ended_or_expires() {
    let mut world = World::new(TEXT);
    let drain = |lasts| Change::Override { kind: OverrideWord::Drain, target: OverrideTargetName::Pool("prod".into()), services: vec![], lasts };
    let id = world.change(drain(None)).unwrap().override_.unwrap().0;
    world.change(Change::Extend { id, lasts: Some(Duration::from_secs(60)) }).unwrap();
    world.change(Change::EndOverride { id }).unwrap();
    world.change(drain(Some(Duration::from_secs(30)))).unwrap();
    world.later(31);
    let told: Vec<_> = kinds(&world).into_iter().filter(|kind| kind.starts_with("override.")).collect();
    assert_eq!(told, ["override.created", "override.extended", "override.ended", "override.created", "override.expired"]);
}

#[test]
fn who_changed_what_is_in_the_commit_that_changes_it() {
    let mut world = World::new(TEXT);
    world.commits.clear();
    world.change(traffic("search", "weighted prod=50 dr=50")).unwrap();
    let (ops, learned) = &world.commits[0];
    assert!(!learned);
    assert!(ops.iter().any(|op| matches!(op, Op::Put(Key::Traffic(_), _))) && ops.iter().any(|op| matches!(op, Op::Put(Key::Audit(1), _))), "{ops:?}");
    let entry = &audit(&world)[0];
    let expected = json!({
        "number": 1, "at": entry["at"], "actor": "token:anna", "peer": "192.0.2.9", "request": "r-1", "verb": "traffic.set", "outcome": "done",
        "subject": "service/search", "reason": "CHG-1", "revision": 1, "moved": 1,
        "moves": {"search": {"before": {"prod": 80, "dr": 20}, "after": {"prod": 50, "dr": 50}}},
        "health": {"dr": "up 1/1", "prod": "up 1/1"},
        "before": null, "after": {"weighted": {"prod": 50, "dr": 50}},
        "previous": "0".repeat(64), "hash": entry["hash"],
    });
    assert_eq!(entry, &expected);
}

#[test]
fn a_change_that_is_not_made_leaves_no_entry_and_a_dry_run_none_either() {
    let mut world = World::new(TEXT);
    world.wish(failover("orders", Some("dr")), None, true).unwrap();
    world.store_works = false;
    world.change(failover("orders", Some("dr"))).unwrap_err();
    world.store_works = true;
    world.change(failover("orders", Some("dr"))).unwrap();
    let entries = audit(&world);
    assert_eq!(entries.iter().filter(|entry| entry["verb"] == "traffic.failover").count(), 1, "{entries:?}");
    let lines: Vec<String> = entries.iter().map(Value::to_string).collect();
    let proved = verify(None, lines.iter().map(String::as_str)).unwrap();
    assert_eq!(Some(proved.hash), world.core.audit_head().0.map(|head| head.hash));
}

#[test]
fn refused_calls_are_learned_and_a_flood_of_them_is_folded() {
    let mut world = World::new(TEXT);
    let before = world.commits.len();
    for at in 0..10_000_u32 {
        let origin = Origin { peer: format!("192.0.2.{}", at % 250), request: at.to_string(), claim: None };
        world.event(Event::Called(Call { actor: String::new(), origin, what: "PUT /x".into(), path: "/x".into(), status: 401, detail: "no token".into() }));
    }
    assert!(world.commits.iter().skip(before).all(|(_, learned)| *learned));
    let entries = audit(&world);
    assert_eq!(entries.len(), 30);
    assert_eq!((&entries[0]["outcome"], &entries[0]["status"], &entries[0]["peer"]), (&json!("denied"), &json!(401), &json!("192.0.2.0")));
    world.later(16 * 60);
    let entries = audit(&world);
    assert_eq!(entries.len(), 31);
    assert!(entries[30]["detail"].as_str().is_some_and(|detail| detail.starts_with("9970 more calls")), "{}", entries[30]);
    assert!(entries[30].to_string().len() < 8_000);
}

#[test]
fn the_chain_goes_on_after_a_restart() {
    let mut world = World::new(TEXT);
    world.change(failover("orders", Some("dr"))).unwrap();
    let mut world = world.restart(TEXT, Duration::from_secs(1));
    world.turn("prod", State::Up);
    world.turn("dr", State::Up);
    world.change(failover("orders", Some("prod"))).unwrap();
    let lines: Vec<String> = audit(&world).iter().map(Value::to_string).collect();
    assert_eq!(verify(None, lines.iter().map(String::as_str)).unwrap().range, Some((1, 2)));
}

#[test]
fn the_event_of_a_change_is_not_lost_when_the_process_is_killed_right_after() {
    let mut world = World::new(TEXT);
    world.change(failover("orders", Some("dr"))).unwrap();
    // The disk as it was when the change was durable and nothing after it: the batch that follows never came.
    let (ops, _) = world.commits.iter().find(|(_, learned)| !learned).cloned().unwrap();
    world.disk.retain(|stored| !matches!(stored.key, Key::Event(_) | Key::EventMark));
    for op in ops {
        if let Op::Put(key @ Key::EventPending(_), record) = op {
            world.disk.push(crate::control::Stored { key, record, revision: world.disk_revision });
        }
    }
    let mut next = world.restart(TEXT, Duration::from_secs(1));
    assert_eq!(kinds(&next), ["traffic.changed"]);
    assert!(next.happenings[0].text.contains("CHG-1"), "{}", next.happenings[0].text);
    assert!(!next.disk.iter().any(|stored| matches!(stored.key, Key::EventPending(_))));
    next.happenings.clear();
    let again = next.restart(TEXT, Duration::from_secs(1));
    assert!(again.happenings.is_empty() && again.core.happenings().iter().any(|happening| &*happening.kind == "traffic.changed"));
}

/// A shift of `search` from prod=80 dr=20 to prod=20 dr=80.
fn shift(steps: &str) -> Change {
    let share = |percent| crate::model::Share::from_percent(percent).expect("a share");
    let steps = steps.split(',').map(|step| crate::model::parse_step(step, Duration::from_secs(60)).expect("a step")).collect();
    let to = vec![("prod".into(), share(20.0)), ("dr".into(), share(80.0))];
    Change::Shift { service: "search".into(), wanted: crate::control::Wanted { to, steps, ..Default::default() } }
}

#[test]
fn every_order_and_every_step_of_a_shift_is_audited_and_told() {
    let mut world = World::new(TEXT);
    world.happenings.clear();
    let id = world.change(shift("5,50,100")).expect("it begins").shift.expect("it is there").0;
    world.change(Change::ShiftOrder { id, order: Order::Pause }).expect("it pauses");
    world.change(Change::ShiftOrder { id, order: Order::Resume }).expect("it goes on");
    world.later(61);
    world.turn("dr", State::Down);
    world.turn("dr", State::Up);
    world.change(Change::ShiftOrder { id, order: Order::Retry }).expect("it goes on");
    world.change(Change::ShiftOrder { id, order: Order::Promote { full: false } }).expect("it goes all the way");
    world.change(Change::Undo { service: "search".into(), to: UndoTo::Before }).expect("one change takes it all back");
    assert_eq!(world.answers("search"), "prod 80, dr 20");

    let entries = audit(&world);
    let verbs: Vec<&str> = entries.iter().filter_map(|entry| entry["verb"].as_str()).collect();
    assert_eq!(verbs, ["shift.begin", "shift.pause", "shift.resume", "shift.step", "shift.halt", "shift.retry", "shift.promote", "traffic.undo"]);
    for entry in &entries {
        assert_eq!((&entry["actor"], &entry["outcome"]), (&json!("token:anna"), &json!("done")), "{entry}");
        assert!(entry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{entry}");
    }
    let name = format!("shift/s-{id}");
    let [begin, pause, _, step, halt, ..] = entries.as_slice() else { panic!("too few: {entries:?}") };
    assert_eq!((&begin["subject"], &begin["after"][&name]["phase"], &begin["before"][&name]), (&json!("service/search"), &json!("progressing"), &Value::Null));
    assert_eq!((&pause["subject"], &pause["before"]["phase"], &pause["after"]["phase"]), (&json!(name), &json!("progressing"), &json!("paused")));
    assert_eq!((&step["before"][&name]["step"], &step["after"][&name]["step"], &step["peer"]), (&json!(1), &json!(2), &json!("")), "nobody called: {step}");
    assert_eq!(step["moves"]["search"]["after"], json!({"prod": 50, "dr": 50}));
    assert!(halt["after"]["halt"].as_str().is_some_and(|why| why.contains("dr is not up")), "{halt}");

    let told: Vec<&str> = kinds(&world).into_iter().filter(|kind| kind.starts_with("shift.")).collect();
    let expected = ["started", "step", "paused", "resumed", "step", "paused", "resumed", "step", "completed"];
    assert_eq!(told, expected.map(|kind| format!("shift.{kind}")));
    let paused = world.happenings.iter().rfind(|happening| &*happening.kind == "shift.paused").expect("it was told");
    let event: Value = serde_json::from_str(&paused.text).expect("JSON");
    assert_eq!((&event["subject"], &event["data"]["shift"], &event["data"]["service"]), (&json!(name), &json!(format!("s-{id}")), &json!("search")));
    assert_eq!((&event["data"]["severity"], &event["data"]["actor"]), (&json!("warning"), &json!("token:anna")));
}

#[test]
fn what_ends_a_shift_names_it_in_the_audit() {
    let mut world = World::new(TEXT);
    let id = world.change(shift("5,100")).expect("it begins").shift.expect("it is there").0;
    world.change(Change::EndingShift(Box::new(traffic("search", "weighted prod=60 dr=40")))).expect("it ends the shift");
    let entries = audit(&world);
    let entry = entries.last().expect("it is there");
    assert_eq!((&entry["verb"], &entry["subject"]), (&json!("traffic.set"), &json!("service/search")));
    assert_eq!(entry["after"][format!("shift/s-{id}")]["phase"], json!("aborted"), "{entry}");
}
