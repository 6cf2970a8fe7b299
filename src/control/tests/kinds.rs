//! What happens to some clients and not to others: guards, previews and simulations look at every kind of them.

use std::sync::Arc;

use super::world::{World, configuration, traffic};
use crate::control::{KindMove, Load, OverrideTargetName, RefusalKind, Simulation};
use crate::model::{Capacity, Estate};
use crate::policy::Rung;

const ESTATE: &str = "thresholds down_after=1 ok_after=1 up_after=1
pool eu: 10.0.0.1
pool us: 10.1.0.1
network office: 192.0.2.0/24
network lab: 198.51.100.0/24
policy home: failover eu us
policy away: failover us eu
policy mixed: weighted us=60 eu=40
";

fn with(service: &str) -> String {
    format!("{ESTATE}service orders: {service} failback=0s\n")
}

fn told(kinds: &[KindMove]) -> Vec<String> {
    let shares = |shares: &[(Arc<str>, f64)]| shares.iter().map(|(pool, share)| format!("{pool} {:.0}", share * 100.0)).collect::<Vec<_>>().join(", ");
    let part = |kind: &KindMove| kind.part.map(|part| format!(" {:.0} %", part * 100.0)).unwrap_or_default();
    kinds.iter().map(|kind| format!("{} ({}){}: {} → {}", kind.who, kind.classes, part(kind), shares(&kind.before), shares(&kind.after))).collect()
}

fn ruled(world: &mut World, change: impl FnOnce(&mut Estate)) {
    let mut estate: Estate = (**world.core.estate()).clone();
    change(&mut estate);
    world.core.set_estate(estate);
}

#[test]
fn a_change_tells_what_becomes_of_each_kind_of_clients_and_guards_name_the_one_that_fares_worst() {
    let mut world = World::new(&with("geo network:office=home network:lab=home *=away"));
    let applied = world.wish(traffic("orders", "geo network:office=away network:lab=mixed *=away"), None, true).expect("nothing forbids it");
    let moves = &applied.moves[0];
    assert!(moves.after.contains(&("us".into(), 1.0)) && moves.before.contains(&("us".into(), 1.0)), "of whom nothing is known stays: {moves:?}");
    assert_eq!(
        told(&moves.by_client),
        ["clients of whom network:office holds (1): eu 100 → us 100", "clients of whom network:lab holds (1): eu 100 → us 60, eu 40"],
    );
    assert_eq!((&*applied.takers[0].pool, applied.takers[0].share), ("us", 1.0), "us gains, though not from everybody");
    ruled(&mut world, |estate| estate.rules.global.max_step = Some(50));
    let refusal = world.change(traffic("orders", "geo network:office=away network:lab=mixed *=away")).expect_err("too large a step");
    assert_eq!(refusal.kind, RefusalKind::GuardRefused);
    assert_eq!(refusal.guards.len(), 1);
    assert!(refusal.guards[0].message.contains("100 points") && refusal.guards[0].message.ends_with("(for clients of whom network:office holds)"));
}

#[test]
fn who_has_no_name_is_told_by_a_prefix() {
    let text = "region eu: 50.1,8.7; region us: 40.7,-74.0
pool eu: 10.0.0.1; pool us: 10.1.0.1; network here: 192.0.2.0/24 at=52.5,13.4
service orders: nearest us eu failback=0s
";
    let mut world = World::new(text);
    ruled(&mut world, |estate| estate.rules.global.max_step = Some(50));
    let refusal = world.change(traffic("orders", "failover us eu")).expect_err("who is near eu goes to us");
    assert!(refusal.guards[0].message.ends_with("(for clients such as 192.0.2.0/24)"), "{:?}", refusal.guards);
}

#[test]
fn a_reload_is_weighed_for_every_kind_of_clients() {
    let mut world = World::new(&with("geo network:office=home *=away"));
    ruled(&mut world, |estate| estate.rules.global.min_serving_regions = Some(2));
    // For the office alone one region would be left.
    let refusal = world.reload(&with("geo network:office!=eu *=away")).expect_err("the last region of some");
    assert_eq!(refusal.kind, RefusalKind::GuardRefused);
    let message = &refusal.guards[0].message;
    assert!(message.contains("without us 1 region could answer") && message.contains("(for clients of whom network:office holds)"), "{message}");
    world.reload(&with("geo network:office=away *=away")).expect("two are left for everybody");
}

#[test]
fn a_preview_tells_what_becomes_of_some_clients() {
    let world = World::new(&with("geo network:office=home *=away"));
    let preview = |text: &str| world.core.preview(&configuration(&with(text)), world.now).moves;
    assert_eq!(preview("geo network:office=home *=away"), []);
    assert_eq!(preview("geo network:office=home network:lab=us *=away"), [], "one more kind of clients, and all fare as before");
    let moves = preview("geo network:office=away *=away");
    assert_eq!(told(&moves[0].by_client), ["clients of whom network:office holds (1): eu 100 → us 100"]);
    assert_eq!(moves[0].before, moves[0].after);
    // Those who stay while others move are told, too.
    let moves = preview("geo network:office=home network:lab=away *=home");
    assert_eq!(
        told(&moves[0].by_client),
        ["clients of whom network:office holds (1): eu 100 → eu 100", "clients of whom network:lab holds (1): us 100 → us 100"]
    );
    // A policy that asked nobody.
    let plain = World::new(&with("failover us eu"));
    let moves = plain.core.preview(&configuration(&with("geo network:office=home *=away")), plain.now).moves;
    assert_eq!(told(&moves[0].by_client), ["clients of whom network:office holds (1): us 100 → eu 100"]);
}

fn simulate(world: &World, down: &[&str], answered: &[(&str, f64)]) -> Simulation {
    let down: Vec<OverrideTargetName> = down.iter().map(|name| OverrideTargetName::Pool((*name).into())).collect();
    let answered: Vec<(Arc<str>, f64)> = answered.iter().map(|(pool, part)| (Arc::from(*pool), *part)).collect();
    world.core.picture(world.now).simulate(&down, &|_| Load { rate: Some(100.0), of_peak: 1.0, answered: answered.clone() })
}

fn rates(simulation: &Simulation) -> Vec<(Option<f64>, Option<f64>)> {
    simulation.regions.iter().map(|row| (row.before.map(f64::round), row.after.map(f64::round))).collect()
}

#[test]
fn a_simulation_reckons_with_every_kind_of_clients_by_where_answers_went() {
    let mut world = World::new(&with("geo network:office=home *=away"));
    let simulation = simulate(&world, &["eu"], &[("eu", 0.3), ("us", 0.7)]);
    assert_eq!(told(&simulation.services[0].by_client), ["clients of whom network:office holds (1) 30 %: eu 100 → us 100"]);
    assert_eq!(rates(&simulation), [(Some(30.0), Some(0.0)), (Some(70.0), Some(100.0))]);
    let unknown = simulate(&world, &["eu"], &[]);
    assert_eq!(told(&unknown.services[0].by_client), ["clients of whom network:office holds (1): eu 100 → us 100"]);
    assert_eq!(rates(&unknown), [(None, Some(0.0)), (None, Some(100.0))], "nobody knows how many are of which kind");

    // Three tenths more are too many.
    ruled(&mut world, |estate| estate.rules.capacity = [(Arc::from("us"), Capacity { all: Some(90), ..Capacity::default() })].into());
    let simulation = simulate(&world, &["eu"], &[("eu", 0.3), ("us", 0.7)]);
    assert_eq!((simulation.cascade.len(), simulation.cascade[0].load), (1, 100.0));
    let told = &simulate(&world, &["us"], &[]).messages;
    assert!(told.iter().any(|text| text.contains("how many clients are of which kind is not known")), "{told:?}");
}

#[test]
fn a_simulation_says_for_whom_nothing_would_be_left() {
    let world = World::new(&with("geo network:office!=eu *=us"));
    let simulation = simulate(&world, &["eu"], &[]);
    assert_eq!(simulation.services[0].rung, Some(Rung::AllDown));
    let expected = "nothing would be up for some clients of orders: clients of whom network:office holds; when_all_down decides what they are answered";
    assert!(simulation.messages.iter().any(|text| text == expected), "{:?}", simulation.messages);
    // Another file, and something falls: the office has another home there.
    let next = configuration(&with("geo network:office=home *=us"));
    let mut picture = world.core.picture_after(&next, world.now);
    let simulation = picture.simulate(&[OverrideTargetName::Pool("eu".into())], &|_| Load::default());
    assert_eq!(told(&simulation.services[0].by_client), ["clients of whom network:office holds (1): eu 100 → us 100"]);
}

#[test]
fn views_tell_each_kind_of_clients_once_and_by_its_first_name() {
    let mut world = World::new(&with("geo network:office|network:lab=home *=away"));
    let told = |world: &World| -> Vec<String> {
        let id = world.service("orders");
        let kinds = world.core.effective_by_client(id, world.core.shown_family(id)).into_iter();
        let real = |shares: Vec<(Arc<str>, f64)>| shares.into_iter().filter(|(_, share)| 0.0 < *share).map(|(pool, _)| pool.to_string()).collect::<Vec<_>>();
        kinds.map(|(class, shares)| format!("{}: {}", world.core.name_of(class).unwrap_or_default(), real(shares).join(" "))).collect()
    };
    assert_eq!(told(&world), ["network:office: eu"], "office and lab get one answer");
    world.turn("eu", crate::health::State::Down);
    assert_eq!(told(&world), ["network:office: us"], "still a kind of their own, though all are answered alike");
    world.change(traffic("orders", "failover us eu")).expect("it asks nobody");
    assert_eq!(told(&world), Vec::<String>::new());
}
