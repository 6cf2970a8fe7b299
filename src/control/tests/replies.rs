//! Replies to requests with a key: claimed with the change, kept before they are sent.

use std::time::Duration;

use super::world::World;
use crate::control::{Actor, Change, Claim, Event, FinishedReply, Key, Made, Origin, Ticket, UndoTo};
use crate::model::PolicyForm;

const TEXT: &str = "pool prod: 10.0.0.1; pool dr: 10.0.0.2; service orders: failover prod dr";

fn claim(key: &str) -> Claim {
    Claim { id: key.into(), actor: "token:ci".into(), asked: "asked".into() }
}

fn change(world: &mut World, ticket: u64, key: &str) {
    let form: PolicyForm = serde_json::from_str(r#"{"failover": ["dr", "prod"]}"#).unwrap();
    let change = if ticket == 1 { Change::Traffic { service: "orders".into(), form } } else { Change::Undo { service: "orders".into(), to: UndoTo::Before } };
    let origin = Origin { claim: Some(claim(key)), ..Origin::default() };
    let (ticket, actor) = (Ticket(ticket), Actor("token:ci".into()));
    world.event(Event::Change { ticket, origin, actor, reason: "x".into(), change, expect: None, expect_file: None, break_glass: Vec::new(), dry_run: false });
}

#[test]
fn the_claim_is_in_the_commit_of_the_change_and_the_reply_is_kept_before_it_is_sent() {
    let mut world = World::new(TEXT);
    change(&mut world, 1, "a");
    let made = Some(Made { revision: world.core.overview().revision.0, override_: None });
    let (ops, learned) = world.commits.iter().find(|(ops, _)| ops.iter().any(|op| matches!(op.key(), Key::Reply(_)))).expect("a claim");
    assert!(!learned && ops.iter().any(|op| matches!(op.key(), Key::Traffic(_))), "one commit: {ops:?}");

    // The server died before it could reply.
    let restarted = world.restart(TEXT, Duration::from_secs(1));
    let kept = restarted.core.kept_reply("a", restarted.now).expect("the claim");
    assert_eq!((kept.made, &kept.reply, &*kept.asked), (made, &None, "asked"));

    let reply = FinishedReply { status: 200, headers: Vec::new(), body: "{}".into() };
    world.event(Event::Replied { ticket: Ticket(7), claim: claim("a"), reply: Some(reply.clone()) });
    assert!(world.replies.iter().any(|(ticket, reply)| *ticket == Ticket(7) && reply.is_ok()), "told when it is durable");
    let restarted = world.restart(TEXT, Duration::from_secs(3600));
    let kept = restarted.core.kept_reply("a", restarted.now).expect("the reply");
    assert_eq!((kept.made, &kept.reply), (made, &Some(reply)));
    let late = world.restart(TEXT, Duration::from_secs(24 * 3600));
    assert_eq!(late.core.kept_reply("a", late.now), None, "a day later it is free");
}
