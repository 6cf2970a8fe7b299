//! What is known beside Up and Down: decided again, told once, handed over, kept out of what is published for nothing.

use std::time::Duration;

use crate::control::{Event, Notice};
use crate::health::{Outcome, ProbeReport, Reported};
use crate::model::{TargetId, Timestamp};
use crate::policy::testing::slow;

use super::world::World;

const TWO: &str = "thresholds down_after=2 ok_after=2 up_after=2\noutcomes factor=0.5 report=weight min=1 max=100\npool prod: 10.0.0.1\npool dr: 10.1.0.1\nservice orders: weighted prod=50 dr=50\n";

fn finds(world: &mut World, target: u32, change: impl FnOnce(&mut ProbeReport)) {
    let mut report = ProbeReport::new(Outcome::Pass, world.now.wall, Duration::from_millis(5));
    change(&mut report);
    let plan = world.core.plan();
    world.event(Event::Probed { plan, target: TargetId(target), report });
}

#[test]
fn answers_follow_the_mark_and_people_are_told_at_both_ends() {
    let mut world = World::new(TWO);
    finds(&mut world, 0, |report| report.outcome = slow());
    assert_eq!(world.answers("orders"), "prod 50, dr 50");
    world.notices.clear();
    finds(&mut world, 0, |report| report.outcome = slow());
    assert_eq!(world.answers("orders"), "prod 33, dr 67");
    let [Notice::Degraded { endpoint, begins: true, message, .. }] = &world.notices[..] else { panic!("{:?}", world.notices) };
    assert_eq!((endpoint.as_str(), message.as_str()), ("prod/10.0.0.1", "it took 950ms, more than 800ms"));
    world.notices.clear();
    let published = world.publishes;
    finds(&mut world, 0, |report| report.outcome = slow());
    finds(&mut world, 0, |_| ());
    assert_eq!((world.publishes, world.notices.len()), (published, 0), "nothing new, nothing published");
    finds(&mut world, 0, |_| ());
    assert_eq!(world.answers("orders"), "prod 50, dr 50");
    assert!(matches!(&world.notices[..], [Notice::Degraded { begins: false, .. }]), "{:?}", world.notices);
}

#[test]
fn a_weight_that_breathes_publishes_nothing() {
    let mut world = World::new(TWO);
    let mut tell = |told: f64| {
        finds(&mut world, 0, |report| report.reported = Some(Reported::Number(told)));
        world.publishes
    };
    let first = tell(20.0);
    for told in [20.5, 19.0, 21.9, 18.1] {
        assert_eq!(tell(told), first, "{told}");
    }
}

#[test]
fn who_takes_over_knows_what_was_degraded_and_a_restart_begins_without() {
    let mut world = World::new(TWO);
    for _ in 0..2 {
        finds(&mut world, 0, |report| (report.outcome, report.reported) = (slow(), Some(Reported::Number(7.0))));
    }
    assert_eq!(world.answers("orders"), "prod 33, dr 67");
    assert_eq!(world.succeed(TWO).answers("orders"), "prod 33, dr 67");
    assert_eq!(world.restart(TWO, Duration::from_secs(1)).answers("orders"), "prod 50, dr 50");
}

#[test]
fn a_reload_that_drops_the_rule_ends_the_effect() {
    let mut world = World::new(TWO);
    for _ in 0..2 {
        finds(&mut world, 0, |report| report.outcome = slow());
    }
    world.reload(&TWO.replace("factor=0.5 ", "")).expect("taken");
    assert_eq!(world.answers("orders"), "prod 50, dr 50");
}

/// Estates of these tests speak no TLS, so a reload makes one that does.
#[test]
fn a_certificate_that_ends_is_told_of_once_and_named_by_its_endpoint() {
    let mut world = World::new(TWO);
    let mut configuration = super::world::configuration(TWO);
    let mut estate = (*configuration.estate).clone();
    if let crate::model::Check::Http(check) = &mut estate.monitors[0].check {
        check.scheme = crate::model::Scheme::Https;
        check.tls.expires_within = Some(Duration::from_secs(14 * 86_400));
    }
    configuration.estate = estate.into();
    world.event(Event::Reload { ticket: crate::control::Ticket(900), configuration, by: Default::default() });
    world.notices.clear();
    let end = world.now.wall.plus(Duration::from_secs(10 * 86_400));
    let far = world.now.wall.plus(Duration::from_secs(90 * 86_400));
    let mut seen = |target: u32, expires: Timestamp| {
        finds(&mut world, target, |report| report.certificate_expires = Some(expires));
        let told: Vec<String> =
            world.notices.drain(..).filter_map(|notice| if let Notice::Certificate { text } = notice { Some(text) } else { None }).collect();
        told
    };
    assert!(seen(0, far).is_empty());
    assert_eq!(seen(0, end), [format!("certificate of prod/10.0.0.1 ends on {end}")]);
    for _ in 0..5 {
        assert!(seen(0, end).is_empty(), "once, not at every probe");
        assert!(seen(0, far).is_empty());
    }
    assert_eq!(seen(1, end).len(), 1, "each target has its own");
}
