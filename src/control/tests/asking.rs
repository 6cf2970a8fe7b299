//! Questions about clients that come with operators' traffic, and clients that are told apart anew.

use crate::client::{Origin, Origins};
use crate::control::{Change, Event, OverrideTargetName, OverrideWord, RefusalKind, UndoTo};
use crate::health::State;

use super::world::{World, traffic};

/// Nobody asks about clients here, but there is a network.
const PLAIN: &str = "thresholds down_after=1 ok_after=1 up_after=1
pool prod: 10.0.0.1
pool dr: 10.1.0.1
network office: 192.0.2.0/24
service orders: failover prod dr failback=0s
";
/// Of no network, and of the office.
const STRANGER: &str = "203.0.113.1";
const OFFICE: &str = "192.0.2.7";
const TO_DR: &str = "geo network:office=dr *=prod";

/// Whole /8s of countries.
fn countries(of: &[(&str, &[u8; 2])]) -> Origins {
    let origins = of.iter().map(|(_, code)| Origin { country: Some(**code), ..Origin::default() }).collect();
    Origins { origins, prefixes: of.iter().zip(0..).map(|((prefix, _), at)| (prefix.parse().expect("a prefix"), at)).collect(), ..Origins::default() }
}

fn for_both(world: &World) -> [String; 2] {
    [STRANGER, OFFICE].map(|client| world.answers_for("orders", client))
}

#[test]
fn traffic_may_ask_about_clients_what_the_file_does_not() {
    let mut world = World::new(PLAIN);
    let publishes = world.publishes;
    let applied = world.change(traffic("orders", TO_DR)).expect("it is taken");
    assert_eq!(for_both(&world), ["prod 100", "dr 100"]);
    assert!(applied.revision.0 == 1 && publishes < world.publishes);
    let snapshot = world.snapshot.clone().expect("published");
    let (office, scope) = snapshot.clients().find(OFFICE.parse().expect("an address"));
    assert_eq!(
        (world.core.configuration().clients.name(office).as_deref(), scope),
        (Some("network:office"), 24),
        "DNS answers with it when it is acknowledged"
    );

    // A second question beside it; the first one stays.
    world.origins = countries(&[("203.0.0.0/8", b"FR")]);
    world.change(traffic("orders", "geo country:FR=dr *=prod")).expect("it is taken");
    assert_eq!(for_both(&world), ["dr 100", "prod 100"]);
    world.change(Change::Undo { service: "orders".into(), to: UndoTo::Before }).expect("it is undone");
    assert_eq!(for_both(&world), ["prod 100", "dr 100"]);
    world.change(Change::Undo { service: "orders".into(), to: UndoTo::Before }).expect("and that, too, though nobody asked it meanwhile");
    assert_eq!(for_both(&world), ["dr 100", "prod 100"]);
    world.change(Change::Undo { service: "orders".into(), to: UndoTo::File }).expect("it is undone");
    assert_eq!(for_both(&world), ["prod 100", "prod 100"]);
}

#[test]
fn a_restart_and_a_reload_keep_what_traffic_asks() {
    let mut world = World::new(PLAIN);
    world.change(traffic("orders", TO_DR)).expect("it is taken");
    assert_eq!(for_both(&world.restart(PLAIN, std::time::Duration::from_secs(1))), ["prod 100", "dr 100"]);
    assert_eq!(for_both(&world.succeed(PLAIN)), ["prod 100", "dr 100"]);
    world.reload(&format!("{PLAIN}pool third: 10.2.0.1\n")).expect("it is taken");
    assert_eq!(for_both(&world), ["prod 100", "dr 100"]);
    world.databases(countries(&[("203.0.0.0/8", b"FR")]));
    assert_eq!(for_both(&world), ["prod 100", "dr 100"]);
}

#[test]
fn a_dry_run_decides_with_the_new_question_and_leaves_everything() {
    let mut world = World::new(PLAIN);
    let (publishes, clients) = (world.publishes, world.core.configuration().clients.clone());
    let applied = world.wish(traffic("orders", "geo network:office=prod *=dr"), None, true).expect("it would be taken");
    assert!(applied.dry_run);
    assert_eq!(applied.moves[0].after, [("prod".into(), 0.0), ("dr".into(), 1.0)]);
    assert_eq!((world.publishes, world.disk_revision.0), (publishes, 0), "nothing was published or written");
    assert!(std::sync::Arc::ptr_eq(&clients, &world.core.configuration().clients));
    assert_eq!(for_both(&world), ["prod 100", "prod 100"]);
}

#[test]
fn what_traffic_asks_wrongly_is_refused_at_its_place() {
    let mut world = World::new(PLAIN);
    let refusal = world.change(traffic("orders", "geo network:ofice=dr *=prod")).expect_err("there is no such network");
    let fault = &refusal.faults[0];
    assert_eq!((refusal.kind, fault.code), (RefusalKind::InvalidRequest, "unknown-network"));
    assert!(fault.message.contains("did you mean `office`?"), "{fault:?}");
    let refusal = world.change(traffic("orders", "nearest prod dr")).expect_err("nobody knows where they are");
    assert_eq!(refusal.faults[0].code, "no-place");
}

#[test]
fn a_change_waits_while_clients_are_told_apart_and_others_do_not() {
    let mut world = World::new(&format!("{PLAIN}service search: failover prod dr\n"));
    world.tells_apart = false;
    let wish = |world: &mut World, ticket, form: &str| {
        let (change, actor) = (traffic("orders", form), crate::control::Actor("token:anna".into()));
        let origin = crate::control::Origin::default();
        let ticket = crate::control::Ticket(ticket);
        world.event(Event::Change {
            ticket,
            origin,
            actor,
            reason: "r".into(),
            change,
            expect: None,
            expect_file: None,
            break_glass: Vec::new(),
            dry_run: false,
        });
    };
    wish(&mut world, 101, TO_DR);
    wish(&mut world, 102, "geo network:office=prod *=dr");
    world.change(traffic("search", "failover dr prod")).expect("it asks nothing");
    assert_eq!((world.apart.len(), world.replies.len()), (1, 0), "one is under way, both wait");
    let (estate, _) = world.apart.remove(0);
    world.event(Event::ToldApart { estate, made: Err("there are too many".into()) });
    assert!(matches!(&world.replies[..], [(_, Err(refusal))] if refusal.detail.contains("there are too many")), "{:?}", world.replies);
    // A reload in between: what was ordered is of the estate before, and ordered anew.
    world.reload(&format!("{PLAIN}service search: failover prod dr\npool third: 10.2.0.1\n")).expect("it is taken");
    let (estate, asked) = world.apart.remove(0);
    let made = Ok(world.clients(&estate, &asked));
    world.event(Event::ToldApart { estate, made });
    let (estate, asked) = world.apart.remove(0);
    let made = Ok(world.clients(&estate, &asked));
    world.event(Event::ToldApart { estate, made });
    assert!(matches!(&world.replies[1..], [(_, Ok(_))]), "{:?}", world.replies);
    assert_eq!(for_both(&world), ["dr 100", "prod 100"]);

    // Nobody waits for ever.
    world.replies.clear();
    wish(&mut world, 103, "geo asn:64500=prod *=dr");
    world.later(61);
    assert!(matches!(&world.replies[..], [(_, Err(refusal))] if refusal.kind == RefusalKind::StoreUnavailable), "{:?}", world.replies);
}

#[test]
fn databases_that_lack_what_was_just_asked_are_made_anew() {
    let mut world = World::new(PLAIN);
    let (estate, before) = (world.core.estate().clone(), world.core.asked_by_operators());
    world.change(traffic("orders", TO_DR)).expect("it is taken");
    // They were read when nobody asked it.
    world.origins = countries(&[("203.0.0.0/8", b"FR")]);
    let clients = world.clients(&estate, &before);
    world.event(Event::Databases { estate, clients, databases: Default::default() });
    assert_eq!(for_both(&world), ["prod 100", "dr 100"]);
}

const BY_COUNTRY: &str = "thresholds down_after=1 ok_after=1 up_after=1
pool prod: 10.0.0.1
pool dr: 10.1.0.1
pool far: 10.2.0.1
service orders: geo country:DE=prod country:FR!=far *=dr failback=0s
";

#[test]
fn a_frozen_service_keeps_its_answers_when_databases_are_replaced() {
    let mut world = World::new(BY_COUNTRY);
    world.databases(countries(&[("198.0.0.0/8", b"DE")]));
    let target = OverrideTargetName::Service("orders".into());
    world.change(Change::Override { kind: OverrideWord::Freeze, target, services: Vec::new(), lasts: None }).expect("it is frozen");
    world.turn("prod", State::Down);
    let all = |world: &World| ["198.0.2.1", "192.0.2.7", STRANGER].map(|client| world.answers_for("orders", client));
    assert_eq!(all(&world), ["prod 100", "dr 100", "dr 100"], "frozen");
    // 198/8 is of nobody now, 192/8 German; and there are Frenchmen, whom nobody decided for: they get what their strict rule says.
    world.databases(countries(&[("192.0.0.0/8", b"DE"), ("203.0.0.0/8", b"FR")]));
    assert_eq!(all(&world), ["dr 100", "prod 100", "far 100"]);
    let publishes = world.publishes;
    world.databases(countries(&[("203.0.0.0/8", b"DE"), ("192.0.0.0/8", b"FR")]));
    assert_eq!(all(&world), ["dr 100", "far 100", "prod 100"], "kinds of clients keep their answers, wherever they are");
    assert_eq!(world.publishes, publishes + 1);
    let snapshot = world.snapshot.clone().expect("published");
    assert_eq!(snapshot.clients().find("192.0.2.7".parse().expect("an address")).1, 8);
    world.change(Change::EndOverride { id: world.core.overrides()[0].id }).expect("it is thawed");
    assert_eq!(all(&world), ["dr 100", "far 100", "dr 100"], "prod is down");
}

#[test]
fn a_blind_node_keeps_its_answers_when_databases_are_replaced() {
    let text = "thresholds down_after=1 ok_after=1 up_after=1
pool prod: 10.0.0.1 10.0.0.2 10.0.0.3
pool dr: 10.1.0.1 10.1.0.2 10.1.0.3
service orders: geo country:DE=prod *=dr failback=0s
";
    let mut world = World::new(text);
    world.databases(countries(&[("203.0.0.0/8", b"DE")]));
    let all = |world: &World| [STRANGER, OFFICE].map(|client| world.answers_for("orders", client));
    assert_eq!(all(&world), ["prod 100", "dr 100"]);
    world.turn("prod", State::Down);
    assert_eq!(all(&world), ["dr 100", "dr 100"]);
    world.turn("dr", State::Down);
    assert!(world.core.blind_because().is_some(), "it sees nothing any more");
    let before = all(&world);
    world.databases(countries(&[("192.0.0.0/8", b"DE")]));
    assert_eq!(all(&world), [before[1].clone(), before[0].clone()], "by the new numbers, as before");
}
