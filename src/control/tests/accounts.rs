//! The record of decisions: what it tells of a moment is what explain told at that moment. And what it costs.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::seeds::Dice;
use super::world::{World, failover, traffic};
use crate::client::ClassId;
use crate::control::{Account, AccountAnswer, Accounts, Change, OverrideTargetName, OverrideWord};
use crate::model::{Moment, ServiceId, TargetId, Timestamp};

const ESTATE: &str = "thresholds down_after=2 ok_after=2 up_after=2
    region prod: 52.5,13.4; region dr: 40.7,-74.0; region far: -33.9,151.2
    network office: 192.0.2.0/24 at=52.4,13.1; network lab: 198.51.100.0/24 at=40.0,-74.0
    pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 2001:db8::1; pool far: 10.2.0.1
    policy near: nearest prod dr far
    service orders: failover prod dr far failback=20s ttl=30; service two: failover prod dr far failback=20s ttl=30
    service search: weighted prod=80 dr=20 far=0 failback=manual ttl=30; service keep: weighted prod=50 dr=50 failback=staged:5s:20,100:10s sticky
    service web: geo network:office=near network:lab!=dr *=far failback=10s ttl=20 all_down=servfail";
/// Without one service, and another policy for one.
const OTHER: &str = "thresholds down_after=2 ok_after=2 up_after=2
    region prod: 52.5,13.4; region dr: 40.7,-74.0; region far: -33.9,151.2
    network office: 192.0.2.0/24 at=52.4,13.1; network lab: 198.51.100.0/24 at=40.0,-74.0
    pool prod: 10.0.0.1 10.0.0.2; pool dr: 10.1.0.1 2001:db8::1; pool far: 10.2.0.1
    policy near: nearest prod dr far
    service orders: failover prod dr far failback=20s ttl=30
    service search: weighted prod=30 dr=70 far=0 failback=manual ttl=30; service keep: weighted prod=50 dr=50 failback=staged:5s:20,100:10s sticky
    service web: geo network:office=near network:lab!=dr *=far failback=10s ttl=20 all_down=servfail";
const NAMES: [&str; 5] = ["orders", "two", "search", "keep", "web"];
const CLIENTS: [&str; 3] = ["203.0.113.9", "192.0.2.9", "198.51.100.9"];

fn something(world: &mut World, dice: &mut Dice) {
    let targets = world.core.estate().targets.len() as u64;
    match dice.below(24) {
        0 => drop(world.change(failover(NAMES[dice.below(4) as usize], None))),
        1 => drop(world.change(traffic("search", ["weighted prod=50 dr=50", "failover dr prod", "multivalue prod dr"][dice.below(3) as usize]))),
        2 => {
            let kind = [OverrideWord::Drain, OverrideWord::ForceDown, OverrideWord::ForceUp, OverrideWord::Freeze][dice.below(4) as usize];
            let freezes = kind == OverrideWord::Freeze;
            let target = if freezes { "service/orders" } else { ["region/prod", "pool/dr", "endpoint/prod/10.0.0.1"][dice.below(3) as usize] };
            let target = OverrideTargetName::parse(target).expect("a target");
            let services = if !freezes && dice.below(3) == 0 { vec!["two".into()] } else { Vec::new() };
            drop(world.change(Change::Override { kind, target, services, lasts: Some(Duration::from_secs(1 + dice.below(40))) }));
        }
        3 => {
            if let Some(id) = world.core.overrides().first().map(|kept| kept.id) {
                drop(world.change(Change::EndOverride { id }));
            }
        }
        4 => drop(world.reload([ESTATE, OTHER][dice.below(2) as usize])),
        5 => drop(world.change(Change::Failback { service: NAMES[dice.below(4) as usize].into(), pool: None })),
        6 => {
            let change = Box::new(failover("orders", Some("dr")));
            drop(world.change(Change::Schedule { moment: Moment::After(Duration::from_secs(5 + dice.below(60))), change }));
        }
        7 => (0..targets).for_each(|target| world.probe(TargetId(target as u32), false)),
        8..11 => (0..targets).for_each(|target| world.probe(TargetId(target as u32), true)),
        _ => {
            let passed = dice.below(2) > 0;
            world.probe(TargetId::at(dice.below(targets) as usize), passed);
        }
    }
}

/// What explain says now of a service, to a client.
fn live(world: &World, name: &str, client: &str) -> Option<(AccountAnswer, String)> {
    let id = world.core.estate().service_named(name)?;
    let (class, _) = world.core.class_of(client.parse::<IpAddr>().expect("an address"));
    let view = world.core.service(id);
    let (decision, steps) = world.core.explain(id, class, world.now);
    let (families, ttl) = decision.of_class(class);
    Some((AccountAnswer::new(&world.core.policy_facts(), name, view.policy, families, ttl, &steps), world.core.whose(id)))
}

/// What was recorded of it last, up to a moment.
fn recorded<'a>(all: &'a [Accounts], name: &str, at: Timestamp) -> Option<&'a Account> {
    let known = all.iter().filter(|accounts| accounts.at <= at);
    let of = |accounts: &'a Accounts| {
        let id = accounts.estate.service_named(name)?;
        accounts.alike.iter().find(|alike| alike.services.contains(&id)).map(|alike| &*alike.account)
    };
    known.rev().find_map(of)
}

/// All steps, but for the figures of a blind node, which may have grown since; of a service that answers as decided before (frozen, blind, guards) those that count: what would be decided goes on with time, unnoticed.
fn counting(mut steps: Vec<(String, String)>) -> Vec<(String, String)> {
    let stands = steps.iter().any(|(topic, _)| ["frozen", "blind", "guards"].contains(&&**topic));
    steps.iter_mut().filter(|(topic, _)| topic == "blind").for_each(|(_, text)| text.truncate("this node is blind".len()));
    steps.retain(|(topic, _)| !stands || ["client", "pool", "ttl", "frozen", "blind", "guards"].contains(&&**topic));
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_is_recorded_of_a_moment_is_what_explain_said_then(seed in any::<u64>()) {
        let (mut world, mut dice) = (World::new(ESTATE), Dice(seed));
        let mut said = Vec::new();
        for _ in 0..40 {
            // Nothing else happens in the second that is looked at.
            world.later(1);
            something(&mut world, &mut dice);
            for _ in 0..=dice.below(3) {
                world.later(1);
            }
            let generation = world.snapshot.as_ref().map(|snapshot| snapshot.generation);
            for (name, client) in NAMES.into_iter().flat_map(|name| CLIENTS.map(|client| (name, client))) {
                said.push((world.now.wall, name, client, live(&world, name, client)));
            }
            prop_assert!(world.accounts.last().is_none_or(|last| Some(last.generation) <= generation));
        }
        for (at, name, client, live) in said {
            let Some((live, whose)) = live else { continue };
            let account = recorded(&world.accounts, name, at).expect("it is recorded");
            prop_assert_eq!(&*account.whose, &whose);
            let (mut number, mut by_client) = (0, Vec::new());
            if let Some(clients) = &account.clients {
                let form = serde_json::from_str(&clients.form).expect("a form");
                let (class, _) = world.core.class_of(client.parse().expect("an address"));
                (number, by_client) = world.core.tell_client(&form, clients.mark, class).expect("clients are told apart as ever");
            }
            let told: Vec<_> = by_client.into_iter().map(|step| (step.topic.to_string(), step.text)).chain(account.answers[number].steps(name)).collect();
            prop_assert_eq!(counting(told), counting(live.steps(name).collect()), "{} for {} at {}", name, client, at);
            prop_assert_eq!((&account.answers[number].families, account.answers[number].ttl), (&live.families, live.ttl), "{} for {} at {}", name, client, at);
        }
    }
}

#[test]
fn services_that_move_alike_share_one_account_and_what_stays_makes_none() {
    let services: String = (0..500).map(|at| format!("service s{at}: failover prod dr failback=20s\n")).collect();
    let mut world =
        World::new(&format!("thresholds down_after=1 up_after=1 ok_after=1\npool prod: 10.0.0.1\npool dr: 10.1.0.1 10.1.0.2\npool far: 10.2.0.1\n{services}"));
    let everybody: Vec<ServiceId> = (0..500).map(ServiceId).collect();
    let first = &world.accounts[0];
    assert_eq!((first.alike.len(), first.alike[0].cause, &first.alike[0].services), (1, "start", &everybody));
    world.accounts.clear();
    world.probe(TargetId(0), false);
    let [moved] = &world.accounts[..] else { panic!("{:?}", world.accounts) };
    assert_eq!((moved.alike.len(), moved.alike[0].cause, &moved.alike[0].services), (1, "health", &everybody));
    let said: Vec<_> = moved.alike[0].account.answers[0].steps("s7").map(|(_, text)| text).collect();
    assert!(said.iter().any(|text| text.contains("it will be used again after 20s up")) || said.iter().any(|text| text.contains("kept out")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("`windrose failback s7 prod`")), "each by its own name: {said:?}");
    assert_eq!((moved.at, moved.generation), (world.now.wall, world.snapshot.as_ref().expect("published").generation));
    world.accounts.clear();
    // What nobody uses, and what is found again and again, changes nothing.
    world.probe(TargetId(3), false);
    world.probe(TargetId(0), false);
    world.later(5);
    assert_eq!(world.accounts.len(), 0, "{:?}", world.accounts);
    // One that was told apart for a while comes to the same account again.
    let (target, services) = (OverrideTargetName::parse("endpoint/dr/10.1.0.2").expect("a target"), vec!["s3".into()]);
    drop(world.change(Change::Override { kind: OverrideWord::Drain, target, services, lasts: Some(Duration::from_secs(3)) }).expect("drained"));
    world.later(4);
    let of_it: Vec<_> = world.accounts.iter().flat_map(|accounts| &accounts.alike).map(|alike| (alike.cause, alike.services.clone())).collect();
    assert_eq!(of_it.first(), Some(&("operator", vec![ServiceId(3)])));
    assert!(of_it.iter().all(|(_, services)| *services == [ServiceId(3)]), "{of_it:?}");
    let all = world.core.accounts();
    assert_eq!((all.alike.len(), all.alike[0].services.len()), (1, 500));
}

#[test]
fn nothing_is_told_before_dns_answers_and_a_reload_that_changes_nothing_says_the_same() {
    let estate = "pool prod: 10.0.0.1\npool dr: 10.1.0.1\nservice orders: failover prod dr";
    let mut world = World::fresh(estate);
    assert!(!world.served && world.accounts.is_empty());
    world.probe(TargetId(0), true);
    assert!(world.accounts.is_empty());
    world.probe(TargetId(1), true);
    assert!(world.served && world.accounts.len() == 1);
    let before = world.accounts[0].alike[0].account.clone();
    world.reload(estate).expect("taken");
    let after = &world.accounts.last().expect("it is said again").alike[0];
    assert!(std::sync::Arc::ptr_eq(&before, &after.account) && after.cause == "config");
    assert_eq!(world.core.class_of([192, 0, 2, 1].into()).0, ClassId::UNKNOWN);
}
