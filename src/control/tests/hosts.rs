//! Host names that answers are made from: found, moved, lost, kept over restarts and hand-overs.

use std::sync::Arc;
use std::time::Duration;

use crate::control::{Event, HostStands, Key, Notice, Op};
use crate::health::{HostFound, HostHealth};
use crate::model::Family;

use super::world::World;

const TEXT: &str = "thresholds down_after=1 ok_after=1 up_after=1
pool saas: gw.vendor.example
pool dr: 10.1.0.1
service orders: failover saas dr";

impl World {
    /// What the resolver says of the name; nothing: it can't.
    fn resolves(&mut self, addresses: &str, ttl: u32) {
        let all: Vec<std::net::IpAddr> = addresses.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let of = |family| all.iter().copied().filter(|address| Family::of(*address) == family).collect();
        let found = HostFound { addresses: Family::ALL.map(of), ttl, at: self.now.wall };
        self.tells(HostHealth { found: Some(Arc::new(found)), trouble: None });
    }

    fn tells(&mut self, stands: HostHealth) {
        self.event(Event::Resolved { host: "gw.vendor.example".parse().unwrap(), stands });
        self.settle();
    }

    fn answered(&self) -> Vec<String> {
        let view = self.core.service(self.service("orders"));
        let leaves = view.decision.families.iter().flat_map(|family| &family.leaves);
        leaves.flat_map(|leaf| (0..leaf.endpoints.len()).flat_map(|at| leaf.addresses_at(self.core.estate(), at))).map(ToString::to_string).collect()
    }

    fn host_notices(&mut self) -> Vec<(HostStands, String)> {
        let notices = std::mem::take(&mut self.notices);
        notices.into_iter().filter_map(|notice| if let Notice::Host { stands, text, .. } = notice { Some((stands, text)) } else { None }).collect()
    }

    fn host_commits(&self) -> usize {
        self.commits.iter().filter(|(ops, _)| ops.iter().any(|op| matches!(op, Op::Put(Key::Host(_), _)))).count()
    }
}

fn world() -> World {
    let mut world = World::new(TEXT);
    world.resolves("198.51.100.1", 60);
    world
}

#[test]
fn new_addresses_are_answered_with_one_publish_and_told_and_kept_once() {
    let mut world = world();
    assert_eq!(world.answered(), ["198.51.100.1"]);
    world.host_notices();
    let (publishes, commits) = (world.publishes, world.host_commits());
    world.later(48);
    world.resolves("198.51.100.1", 60);
    assert_eq!((world.publishes, world.host_notices()), (publishes, vec![]), "the same again is no news");
    world.resolves("198.51.100.7 2001:db8::7", 60);
    assert_eq!((world.publishes, world.answered()), (publishes + 1, vec!["198.51.100.7".to_string(), "2001:db8::7".to_string()]));
    assert_eq!(world.host_commits(), commits + 1);
    let told = (HostStands::Moved, "host name gw.vendor.example has other addresses: 198.51.100.7, 2001:db8::7, before 198.51.100.1".to_string());
    assert_eq!(world.host_notices(), [told]);
    world.resolves("198.51.100.7 2001:db8::7", 12);
    assert_eq!((world.publishes, world.host_notices()), (publishes + 2, vec![]), "another TTL is published, and nobody need be told");
    assert_eq!(world.core.service(world.service("orders")).decision.ttl, 12);
}

#[test]
fn a_name_that_is_lost_answers_on_and_that_is_told_once() {
    let mut world = world();
    world.host_notices();
    let publishes = world.publishes;
    let found = world.core.health().host(crate::model::HostId(0)).found.clone();
    for why in ["192.0.2.53 did not answer within 2s", "192.0.2.53 says SERVFAIL"] {
        world.later(60);
        world.tells(HostHealth { found: found.clone(), trouble: Some(why.into()) });
    }
    assert_eq!((world.publishes, world.answered()), (publishes, vec!["198.51.100.1".to_string()]));
    let told = world.host_notices();
    assert!(matches!(&told[..], [(HostStands::Old, text)] if text.contains("serve on: 192.0.2.53 did not answer within 2s")), "{told:?}");
    world.resolves("198.51.100.1", 60);
    assert!(matches!(&world.host_notices()[..], [(HostStands::Good, _)]));
}

#[test]
fn the_last_good_addresses_survive_a_restart_however_old_they_are() {
    let world = world();
    let mut world = world.restart(TEXT, Duration::from_secs(400 * 86_400));
    world.later(10);
    assert_eq!(world.core.known_hosts().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["gw.vendor.example"]);
    assert_eq!(world.answered(), ["198.51.100.1"]);
    // A file without the name: the store forgets it.
    let world = world.restart("pool dr: 10.1.0.1\nservice orders: failover dr", Duration::from_secs(1));
    assert!(!world.disk.iter().any(|stored| matches!(stored.key, Key::Host(_))));
}

#[test]
fn a_process_that_takes_over_knows_the_addresses_though_nothing_was_stored() {
    let mut world = World::new(TEXT);
    world.store_works = false;
    world.resolves("198.51.100.1", 60);
    let successor = world.succeed(TEXT);
    assert_eq!(successor.answered(), ["198.51.100.1"]);
}

#[test]
fn a_reload_keeps_the_addresses() {
    let mut world = world();
    world.reload(&TEXT.replace("dr: 10.1.0.1", "dr: 10.1.0.2")).unwrap();
    assert_eq!(world.answered(), ["198.51.100.1"]);
}

#[test]
fn the_first_round_waits_for_names() {
    let mut world = World::fresh("pool saas: gw.vendor.example monitor=always\nservice orders: failover saas");
    assert!(!world.served);
    world.resolves("198.51.100.1", 60);
    assert!(world.served);
    assert_eq!(world.answered(), ["198.51.100.1"]);
}
