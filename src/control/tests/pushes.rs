//! What outside systems tell: how it moves answers, how silence does, and what is left of it after a restart, a reload and an upgrade.

use std::time::Duration;

use super::world::World;
use crate::control::{Actor, Notice, Push, RefusalKind};
use crate::health::{Outcome, Reason, State};
use crate::model::{EndpointId, JudgementId, TargetId};

const TWO: &str = "pool prod: a=10.0.0.1
pool dr: b=10.1.0.1
service orders: failover prod dr failback=0s all_down=nodata
push 10.0.0.1 down
";

fn unknown() -> String {
    TWO.replace("10.0.0.1 down", "10.0.0.1 unknown")
}

fn state(world: &World) -> State {
    world.core.health().judgement(JudgementId(0)).state
}

fn last(world: &World) -> (Reason, String) {
    match world.core.health().target(TargetId(0)).last.as_ref().map(|report| report.outcome.clone()) {
        Some(Outcome::Fail { reason, message }) => (reason, message),
        other => panic!("{other:?}"),
    }
}

/// Served, with prod told to be well for 90 s and dr probed.
fn told(text: &str) -> World {
    let mut world = World::fresh(text);
    world.probe(TargetId(1), true);
    world.push("prod/a", true, None).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world
}

#[test]
fn a_push_moves_answers_at_once_in_both_directions() {
    let mut world = told(TWO);
    world.push("prod/a", false, None).unwrap();
    assert_eq!(world.answers("orders"), "dr 100");
    assert_eq!(last(&world), (Reason::Pushed, "disk\u{fffd} full (pushed by token:ci)".into()));
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::Endpoint { state: State::Down, message, .. } if message.starts_with("disk"))));
    world.push("prod/a", true, None).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn silence_is_down_when_the_time_is_over_and_a_push_in_time_renews_it() {
    let mut world = told(TWO);
    world.later(80);
    world.push("prod/a", true, None).unwrap();
    world.later(89);
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(1);
    assert_eq!(world.answers("orders"), "dr 100", "one tick at the very moment");
    assert_eq!(last(&world), (Reason::Silence, "no push for 90s; the last one held for 90s".into()));
    world.later(500);
    world.push("prod/a", true, Some(20)).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(20);
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("dr 100", State::Down));
}

#[test]
fn silence_may_be_unknown_which_policy_takes_for_up() {
    let mut world = told(&unknown());
    world.push("prod/a", false, Some(60)).unwrap();
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("dr 100", State::Down));
    world.later(60);
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("dr 100", State::Unknown), "who was taken away comes back when it is up (S11)");
    world.push("prod/a", true, None).unwrap();
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("prod 100", State::Up));
    world.later(90);
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("prod 100", State::Unknown), "who answers goes on");
    world.push("prod/a", false, None).unwrap();
    assert_eq!(state(&world), State::Down, "from no verdict the first one decides");
}

#[test]
fn nobody_waits_for_pushes_at_start_and_silence_is_borne_for_the_longest_time() {
    let mut world = World::fresh(TWO);
    assert!(!world.served, "dr is probed first");
    world.probe(TargetId(1), true);
    assert!(world.served, "and prod is not waited for");
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("prod 100", State::Unknown));
    world.later(599);
    assert_eq!(state(&world), State::Unknown);
    world.later(1);
    assert_eq!((world.answers("orders").as_str(), state(&world)), ("dr 100", State::Down));
    assert_eq!(last(&world).1, "no push for 600s, since this server began to wait");
    let mut alone = World::fresh("pool prod: a=10.0.0.1\nservice orders: failover prod\npush 10.0.0.1 unknown\n");
    assert!(alone.served, "nothing is probed");
    alone.later(600);
    assert_eq!(last(&alone).0, Reason::Silence);
}

#[test]
fn s13_a_restart_keeps_the_verdict_stale_and_bears_silence_anew() {
    let mut world = told(TWO);
    world.push("prod/a", false, Some(100)).unwrap();
    let mut next = world.restart(TWO, Duration::from_secs(30));
    assert!(next.served);
    let kept = next.core.health().judgement(JudgementId(0));
    assert_eq!((kept.state, kept.stale), (State::Down, true));
    assert_eq!(next.answers("orders"), "dr 100");
    next.push("prod/a", true, None).unwrap();
    assert_eq!((next.answers("orders").as_str(), next.core.health().judgement(JudgementId(0)).stale), ("prod 100", false));

    let mut only = World::fresh(TWO);
    only.push("prod/a", true, None).unwrap();
    assert!(!only.restart(TWO, Duration::from_secs(1)).served, "what is told makes no round of probes needless");

    world.push("prod/a", true, Some(100)).unwrap();
    let mut next = world.restart(TWO, Duration::from_secs(30));
    next.probe(TargetId(1), true);
    next.later(599);
    assert_eq!((next.answers("orders").as_str(), state(&next)), ("prod 100", State::Up));
    next.later(1);
    assert_eq!((next.answers("orders").as_str(), state(&next)), ("dr 100", State::Down));
}

#[test]
fn reloads_and_upgrades_keep_what_was_told_with_its_end() {
    let mut world = told(TWO);
    world.later(40);
    world.reload(&TWO.replace("pool prod:", "pool new: 10.9.0.1\npool prod:")).unwrap();
    let mut heir = world.succeed(TWO);
    for world in [&mut world, &mut heir] {
        world.later(49);
        assert_eq!(world.answers("orders"), "prod 100");
        world.later(1);
        assert_eq!(world.answers("orders"), "dr 100");
        let silent = world.notices.len();
        world.later(700);
        assert_eq!(world.notices.len(), silent, "told once");
    }
    world.reload("pool dr: b=10.1.0.1\nservice orders: failover dr\n").unwrap();
    world.later(100);
}

#[test]
fn blindness_freezes_what_silence_would_do_and_what_is_told() {
    let all = "pool prod: a=10.0.0.1 10.0.0.2 10.0.0.3
pool dr: b=10.1.0.1 10.1.0.2 10.1.0.3
service orders: failover prod dr failback=0s all_down=nodata
push 10.0.0.1 down
push 10.0.0.2 down
push 10.0.0.3 down
push 10.1.0.1 down
push 10.1.0.2 down
push 10.1.0.3 down
";
    let mut world = World::fresh(all);
    for endpoint in ["prod/a", "prod/10.0.0.2", "prod/10.0.0.3", "dr/b", "dr/10.1.0.2", "dr/10.1.0.3"] {
        world.push(endpoint, true, None).unwrap();
    }
    assert_eq!(world.answers("orders"), "prod 100");
    world.later(90);
    assert!(world.core.blind_because().is_some(), "all fell silent at once: it is we who hear nothing");
    assert_eq!(world.answers("orders"), "prod 100");
}

#[test]
fn what_can_not_be_meant_is_refused_and_changes_nothing() {
    let mut world = told(TWO);
    let push = |pool: &str, endpoint: &str, monitor: Option<&str>, ttl: Option<u64>| Push {
        actor: Actor("token:ci".into()),
        pool: pool.into(),
        endpoint: endpoint.into(),
        monitor: monitor.map(Into::into),
        passed: false,
        message: String::new(),
        ttl: ttl.map(Duration::from_secs),
    };
    let rows = [
        (push("prd", "a", None, None), RefusalKind::NotFound, "there is no pool `prd`; did you mean `prod`?"),
        (push("prod", "x", None, None), RefusalKind::NotFound, "there is no endpoint `prod/x`"),
        (push("dr", "b", None, None), RefusalKind::InvalidRequest, "dr/b has no monitor that is told"),
        (push("prod", "a", Some("gateway"), None), RefusalKind::InvalidRequest, "prod/a is not told by a monitor `gateway`"),
        (push("prod", "a", None, Some(601)), RefusalKind::InvalidRequest, "a push may hold for at most 10m here, and for more than nothing"),
        (push("prod", "a", None, Some(0)), RefusalKind::InvalidRequest, "a push may hold for at most 10m here, and for more than nothing"),
    ];
    for (push, kind, detail) in rows {
        let refusal = world.push_all(push).unwrap_err();
        assert_eq!((refusal.kind, refusal.detail.as_str()), (kind, detail));
    }
    assert_eq!(world.answers("orders"), "prod 100");
    world.push_all(push("prod", "a", Some("told-down"), Some(600))).unwrap();
    assert_eq!(last(&world).1, "pushed by token:ci, without a word");
    let endless = Push { message: "ä".repeat(100_000), ..push("prod", "a", None, None) };
    world.push_all(endless).unwrap();
    assert_eq!(last(&world).1, format!("{}… (pushed by token:ci)", "ä".repeat(256)));
}

#[test]
fn a_composite_listens_to_what_its_members_are_told_and_to_their_silence() {
    let portal = "composite portal: all web database
pool prod: a=10.0.0.1 monitor=portal
pool dr: b=10.1.0.1
service orders: failover prod dr failback=0s all_down=nodata
push 10.0.0.1 down
";
    let mut world = World::fresh(portal);
    // The first target is told, and nobody waits for it; the others are probed.
    world.probe(TargetId(1), true);
    assert!(!world.served);
    world.probe(TargetId(2), true);
    assert!(world.served);
    world.push("prod/a", true, None).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    world.push_all(Push { monitor: Some("told-down".into()), ..fail() }).unwrap();
    assert_eq!(world.answers("orders"), "dr 100");
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::Endpoint { state: State::Down, message, .. } if message.contains("disk full"))));
    world.push("prod/a", true, None).unwrap();
    assert_eq!(world.answers("orders"), "prod 100");
    assert_eq!(
        world.core.told(EndpointId(0), world.now).iter().map(|told| (told.monitor.as_str(), told.state)).collect::<Vec<_>>(),
        [("told-down", State::Up)]
    );
    world.later(90);
    assert_eq!(world.answers("orders"), "dr 100");
    let refusal = world.push_all(Push { monitor: Some("portal".into()), ..fail() }).unwrap_err();
    assert_eq!(refusal.detail, "prod/a is not told by a monitor `portal`");
}

fn fail() -> Push {
    let actor = Actor("token:ci".into());
    Push { actor, pool: "prod".into(), endpoint: "a".into(), monitor: None, passed: false, message: "disk full".into(), ttl: None }
}
