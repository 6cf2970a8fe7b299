//! `geo`, `nearest` and `latency`: whose answer, for whom.

use std::net::IpAddr;
use std::sync::Arc;

use crate::client::{ClassId, Clients, Measured, Origin, Origins, Questions};
use crate::model::{Condition, Family, Place};
use crate::policy::testing::World;
use crate::policy::{Rung, explain_for};

/// Three regions, an office in Berlin, a lab in New York, and a network of which nobody knows where it is.
const EARTH: &str = "thresholds down_after=1 ok_after=1 up_after=1
    region berlin: 52.52,13.405; region newyork: 40.7128,-74.006; region sydney: -33.8688,151.2093
    pool berlin: 10.0.0.1; pool newyork: 10.1.0.1; pool sydney: 10.2.0.1
    network office: 192.0.2.0/24 at=52.4,13.1
    network lab: 198.51.100.0/24,192.0.2.128/25 at=40.0,-74.0
    network nowhere: 203.0.113.0/24
    ";

fn world(services: &str) -> World {
    let mut world = World::new(&format!("{EARTH}{services}"));
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &Origins::default());
    world.settle();
    world
}

fn class(world: &World, client: &str) -> ClassId {
    world.clients.find(client.parse().unwrap()).0
}

/// What `client` gets for A.
fn answers(world: &World, service: &str, client: &str) -> String {
    let decision = world.decide(service);
    world.text(&decision.of_class(class(world, client)).0[Family::V4.index()])
}

#[test]
fn the_nearest_region_that_is_up_answers_and_the_nearest_that_is_down_does_not() {
    let mut world = world("service web: nearest sydney newyork berlin failback=0s");
    assert_eq!([answers(&world, "web", "192.0.2.1"), answers(&world, "web", "198.51.100.1")], ["berlin 100", "newyork 100"]);
    // Three regions of which the nearest is down.
    world.down("berlin");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "newyork 100", "health comes before distance");
    assert_eq!(answers(&world, "web", "198.51.100.1"), "newyork 100", "others stay");
    world.down("newyork");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "sydney 100");
    world.up("berlin");
    assert_eq!([answers(&world, "web", "192.0.2.1"), answers(&world, "web", "198.51.100.1")], ["berlin 100", "berlin 100"]);
}

#[test]
fn clients_whose_place_nobody_knows_are_treated_as_configured() {
    let world = world("service first: nearest sydney newyork; service share: nearest sydney newyork unknown=share");
    for client in ["203.0.113.1", "8.8.8.8", "2001:db8::1"] {
        assert_eq!(answers(&world, "first", client), "sydney 100", "in the order written");
        assert_eq!(answers(&world, "share", client), "sydney 50, newyork 50");
    }
}

#[test]
fn ties_are_settled_as_configured_and_a_bias_keeps_clients_away() {
    let twins = "region twin: 52.52,13.405; pool twin: 10.3.0.1; ";
    let world = world(&format!("{twins} service first: nearest twin berlin newyork; service share: nearest twin berlin newyork ties=share"));
    assert_eq!(answers(&world, "first", "192.0.2.1"), "twin 100");
    assert_eq!(answers(&world, "share", "192.0.2.1"), "twin 50, berlin 50");
    assert_eq!(answers(&world, "share", "198.51.100.1"), "newyork 100");
    let biased = EARTH.replace("region berlin: 52.52,13.405", "region berlin: 52.52,13.405 bias=7000");
    let mut world = World::new(&format!("{biased} service web: nearest berlin newyork"));
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &Origins::default());
    assert_eq!(answers(&world, "web", "192.0.2.1"), "newyork 100", "6,400 km are less than 7,000 km");
}

/// What was measured, as (prefix, regions from the quickest on).
pub(super) fn measured(networks: &[(&str, &str)]) -> Origins {
    let orders = networks.iter().map(|(_, order)| order.split_whitespace().map(Into::into).collect()).collect();
    let networks = (0..).zip(networks).map(|(at, (prefix, _))| (prefix.parse().unwrap(), at)).collect();
    Origins { measured: Arc::new(Measured { state: 1, orders, networks }), ..Origins::default() }
}

#[test]
fn the_quickest_region_that_is_up_answers_and_where_nothing_was_measured_the_nearest() {
    let text = "service web: latency sydney newyork berlin failback=0s; service share: latency berlin newyork unknown=share failback=0s";
    let mut world = World::new(&format!("{EARTH}{text}"));
    let origins = measured(&[
        ("192.0.2.0/24", "sydney berlin newyork"),
        ("203.0.0.0/16", "berlin newyork"),
        // Of one region nothing follows: there is nothing to compare it with. What surrounds it counts.
        ("203.0.113.0/24", "newyork"),
        ("2001:db8::/56", "newyork gone berlin"),
        ("198.51.100.0/24", "gone berlin"),
    ]);
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &origins);
    world.settle();
    let all = |world: &World| ["192.0.2.1", "203.0.113.1", "2001:db8::1", "198.51.100.1", "8.8.8.8"].map(|client| answers(world, "web", client));
    assert_eq!(
        all(&world),
        ["sydney 100", "berlin 100", "newyork 100", "newyork 100", "sydney 100"],
        "measured, measured around, without what is gone, nearest, first"
    );
    world.down("sydney");
    world.down("newyork");
    assert_eq!(all(&world), ["berlin 100"; 5], "health comes before latency");
    world.down("berlin");
    world.up("newyork");
    assert_eq!(all(&world), ["newyork 100"; 5]);
    assert_eq!(answers(&world, "share", "8.8.8.8"), "newyork 100");
    world.up("berlin");
    assert_eq!([answers(&world, "share", "8.8.8.8"), answers(&world, "share", "192.0.2.1")], ["berlin 50, newyork 50", "berlin 100"]);
    let scope = |client: &str| world.clients.find(client.parse().unwrap()).1;
    assert_eq!(
        [scope("203.0.1.1"), scope("203.0.113.9"), scope("192.0.2.1"), scope("2001:db8::1")],
        [16, 16, 24, 56],
        "an order that says the same narrows nothing"
    );
}

#[test]
fn after_the_three_quickest_come_all_others_as_written_measured_or_not() {
    let text = format!(
        "{EARTH} region tokyo: 35.7,139.7; pool tokyo: 10.4.0.1; pool paris: 10.5.0.1
        service web: latency berlin newyork sydney tokyo failback=0s; service odd: latency paris berlin newyork failback=0s"
    );
    let mut world = World::new(&text);
    let origins = measured(&[("192.0.2.0/24", "tokyo newyork"), ("203.0.113.0/24", "tokyo sydney newyork berlin"), ("198.51.100.0/24", "newyork paris")]);
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &origins);
    world.settle();
    let told = |world: &World, client: &str| {
        let mut steps = Vec::new();
        let id = world.service("web");
        let service = world.estate.service(id);
        explain_for(service, &service.policy, &world.facts(), &Default::default(), world.now, class(world, client), &mut |step| steps.push(step().text));
        steps.into_iter().find(|step| step.contains("first")).unwrap()
    };
    assert_eq!(told(&world, "192.0.2.1"), "latency: quickest first, as measured: tokyo, newyork, berlin = sydney");
    assert_eq!(told(&world, "203.0.113.1"), "latency: quickest first, as measured: tokyo, sydney, newyork, berlin");
    assert_eq!(told(&world, "192.0.3.1"), "latency: nothing was measured for its network, and nobody knows where the client is; unknown = \"first\"");
    assert_eq!(answers(&world, "odd", "198.51.100.1"), "newyork 100", "paris has no place, and needs none");
    assert_eq!(answers(&world, "odd", "192.0.2.1"), "paris 100", "but then nobody can say what is nearest");
    world.down("newyork");
    assert_eq!(answers(&world, "odd", "198.51.100.1"), "paris 100");
}

#[test]
fn the_first_rule_that_matches_and_is_up_answers_and_a_strict_one_keeps_its_clients() {
    let table = "service loose: geo network:lab=newyork network:office=berlin *=sydney failback=0s
        service strict: geo network:lab!=newyork network:office=berlin *=sydney failback=0s all_down=nodata";
    let mut world = world(table);
    // 192.0.2.128/25 is in both networks.
    let three = |world: &World, service| ["192.0.2.1", "192.0.2.200", "203.0.113.1"].map(|client| answers(world, service, client));
    assert_eq!(three(&world, "loose"), ["berlin 100", "newyork 100", "sydney 100"]);
    assert_eq!(three(&world, "strict"), ["berlin 100", "newyork 100", "sydney 100"]);
    world.down("newyork");
    assert_eq!(three(&world, "loose"), ["berlin 100", "berlin 100", "sydney 100"], "to the next rule that matches");
    assert_eq!(three(&world, "strict"), ["berlin 100", "nodata", "sydney 100"], "strict: nowhere else");
    world.down("berlin");
    assert_eq!(three(&world, "loose"), ["sydney 100", "sydney 100", "sydney 100"], "to the catch-all");
    assert_eq!(three(&world, "strict"), ["sydney 100", "nodata", "sydney 100"]);
}

#[test]
fn what_a_database_says_decides_and_its_innermost_prefix_says_it() {
    let text = format!(
        "{EARTH} service web: geo country:DE=berlin continent:EU|subdivision:US-CA=newyork asn:64500=berlin *=sydney; service close: nearest berlin newyork sydney"
    );
    let mut world = World::new(&text);
    let place = Place::from_degrees(-30.0, 150.0);
    let origins = Origins {
        origins: vec![
            Origin { continent: Some(*b"EU"), country: Some(*b"FR"), place, ..Origin::default() },
            Origin { country: Some(*b"DE"), ..Origin::default() },
            Origin { continent: Some(*b"NA"), country: Some(*b"US"), subdivision: Some("US-CA".into()), ..Origin::default() },
            Origin { asn: Some(64500), ..Origin::default() },
        ],
        prefixes: vec![
            ("10.0.0.0/8".parse().unwrap(), 0),
            ("10.9.0.0/16".parse().unwrap(), 1),
            ("172.16.0.0/12".parse().unwrap(), 2),
            ("2001:db8::/32".parse().unwrap(), 3),
        ],
        ..Origins::default()
    };
    world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &origins);
    let expected =
        [("10.1.2.3", "newyork 100"), ("10.9.2.3", "berlin 100"), ("172.31.0.1", "newyork 100"), ("2001:db8:1::1", "berlin 100"), ("9.9.9.9", "sydney 100")];
    for (client, answer) in expected {
        assert_eq!(answers(&world, "web", client), answer, "{client}");
    }
    assert_eq!(answers(&world, "close", "10.1.2.3"), "sydney 100", "the place is the database's");
    assert_eq!(answers(&world, "close", "192.0.2.1"), "berlin 100", "else the network's");
}

#[test]
fn geo_stands_anywhere_in_a_tree() {
    let mut world = world(
        "policy near: nearest berlin newyork; policy eu: geo network:office=near *=sydney
         service web: weighted eu=80 sydney=20 failback=0s",
    );
    assert_eq!(answers(&world, "web", "192.0.2.1"), "berlin 80, sydney 20");
    assert_eq!(answers(&world, "web", "203.0.113.1"), "sydney 100");
    world.down("berlin");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "newyork 80, sydney 20");
}

#[test]
fn a_held_pool_is_used_by_clients_that_have_nothing_else_and_stays_held_for_the_others() {
    let mut world = world("service web: geo network:office!=berlin network:lab=berlin *=newyork failback=manual all_down=nodata");
    world.down("berlin");
    assert_eq!([answers(&world, "web", "192.0.2.1"), answers(&world, "web", "198.51.100.1")], ["nodata", "newyork 100"]);
    world.up("berlin");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "berlin 100 held");
    assert_eq!(answers(&world, "web", "198.51.100.1"), "newyork 100", "it waits for an operator");
    world.failback("web", Some("berlin"));
    // The label stays where the hold ended by use and nothing else would answer, as for anybody.
    assert_eq!([answers(&world, "web", "192.0.2.1"), answers(&world, "web", "198.51.100.1")], ["berlin 100 held", "berlin 100"]);
}

#[test]
fn last_good_is_per_clients_tree_while_others_still_answer() {
    let mut world = world("policy pair: failover berlin newyork; service web: geo network:office!=pair *=sydney failback=0s");
    world.down("berlin");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "newyork 100");
    world.down("newyork");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "newyork 100 all_down", "the last that answered these clients");
    assert_eq!(answers(&world, "web", "203.0.113.1"), "sydney 100");
    let decision = world.decide("web");
    assert_eq!(decision.of_class(class(&world, "192.0.2.1")).1, 5, "their TTL is short");
    assert_eq!(decision.of_class(class(&world, "203.0.113.1")).1, 30);
}

#[test]
fn explain_says_the_class_the_rule_and_why_others_did_not_match() {
    let world = world("service web: geo network:lab!=newyork network:office=berlin *=sydney");
    let told = |client: &str| {
        let id = world.estate.service_named("web").unwrap();
        let service = world.estate.service(id);
        let mut steps = Vec::new();
        let class = class(&world, client);
        let decision = explain_for(service, &service.policy, &world.facts(), &world.memories[id.index()], world.now, class, &mut |step| steps.push(step()));
        assert_eq!(decision, world.decide("web"), "explained as decided, whoever asks");
        steps.into_iter().filter(|step| step.topic == "client").map(|step| step.text).collect::<Vec<_>>()
    };
    let office = told("192.0.2.1");
    assert!(office[0].ends_with(": network:office"), "{office:?}");
    assert_eq!(
        office[1..],
        [
            "geo rule 1 (network:lab, strictly) → newyork: does not match",
            "geo rule 2 (network:office) → berlin: matches",
            "geo rule 3 (everybody) → sydney: matches too; answers if nothing before it is up",
        ]
    );
    assert_eq!(
        told("198.51.100.1")[2..],
        [
            "geo rule 2 (network:office) → berlin: not reached: a strict rule before it took the client",
            "geo rule 3 (everybody) → sydney: not reached: a strict rule before it took the client",
        ]
    );
}

/// Decides by looking at rules and networks directly, without classes, spans or tailored trees.
fn plainly(world: &World, rules: &[(Vec<&str>, bool, &str)], client: IpAddr) -> Option<String> {
    let up = |pool: &str| world.decide(&format!("only-{pool}")).families[0].leaves.iter().any(|leaf| leaf.rung < Rung::AllDown);
    let inside =
        |name: &&str| world.estate.networks.iter().find(|network| *network.name == **name).unwrap().prefixes.iter().any(|prefix| prefix.contains(&client));
    for (when, strict, then) in rules {
        if when.is_empty() || when.iter().any(inside) {
            if up(then) {
                return Some(then.to_string());
            }
            if *strict {
                return None;
            }
        }
    }
    None
}

#[test]
fn any_rules_over_any_networks_answer_as_the_rules_read() {
    use proptest::prelude::*;
    const POOLS: [&str; 3] = ["berlin", "newyork", "sydney"];
    const NETWORKS: [&str; 4] = ["n0", "n1", "n2", "n3"];
    let prefix = (0_u32..16, 1_u8..=8).prop_map(|(number, length)| format!("10.{}.0.0/{}", number << 4, 8 + length));
    let rule = (prop::sample::subsequence(&NETWORKS[..], 1..3), any::<bool>(), prop::sample::select(&POOLS[..]));
    let whole = (
        prop::collection::vec(prop::collection::vec(prefix, 1..5), 4),
        prop::collection::vec(rule, 0..5),
        prop::sample::subsequence(&POOLS[..], 0..3),
        any::<[u8; 12]>(),
    );
    proptest!(ProptestConfig::with_cases(64), |((prefixes, rules, down, asking) in whole)| {
        let mut text = EARTH.to_string();
        for (name, prefixes) in NETWORKS.iter().zip(&prefixes) {
            text += &format!("network {name}: {}\n", prefixes.join(","));
        }
        let words: Vec<String> = rules.iter().map(|(when, strict, then)| {
            format!("{}{}={then}", when.iter().map(|name| format!("network:{name}")).collect::<Vec<_>>().join("|"), if *strict { "!" } else { "" })
        }).collect();
        for pool in POOLS {
            text += &format!("service only-{pool}: failover {pool} failback=0s\n");
        }
        text += &format!("service web: geo {} *=sydney failback=0s all_down=nodata\n", words.join(" "));
        let mut world = World::new(&text);
        world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &Origins::default());
        world.settle();
        down.iter().for_each(|pool| world.down(pool));
        let mut all: Vec<(Vec<&str>, bool, &str)> = rules.clone();
        all.push((Vec::new(), false, "sydney"));
        for octet in asking {
            let client = IpAddr::from([10, octet, 7, 7]);
            let (class, scope) = world.clients.find(client);
            let expected = plainly(&world, &all, client);
            let answer = |class| world.text(&world.decide("web").of_class(class).0[0]);
            prop_assert_eq!(answer(class), expected.map_or("nodata".to_string(), |pool| format!("{pool} 100")));
            // Everybody in the scope is of this class.
            let around = ipnet::IpNet::new(client, scope).unwrap();
            for other in 0..=255_u8 {
                let other = IpAddr::from([10, other, 200, 1]);
                if around.contains(&other) {
                    prop_assert_eq!(world.clients.find(other).0, class, "{} and {} share {}", client, other, around);
                }
            }
        }
    });
}

#[test]
fn questions_that_nobody_asked_are_known_as_such() {
    let world = world("service web: geo network:office=berlin *=sydney");
    let asks = |form: &str| {
        let tree = world.estate.resolve(&crate::health::testing::form(form)).unwrap();
        world.clients.answers(&Questions::of_tree(&tree, &world.estate))
    };
    assert!(asks("geo network:office=newyork *=berlin") && asks("failover berlin"));
    assert!(!asks("geo network:lab=newyork *=berlin") && !asks("nearest berlin newyork"));
    assert!(!world.clients.holds(ClassId::UNKNOWN, &Condition::Network("lab".into())));
}

#[test]
fn one_way_turns_for_everybody_when_the_first_child_is_lost_for_every_kind_of_clients() {
    let text = "policy near: geo network:office!=berlin *=newyork; service web: failover near sydney failback=one_way:60s";
    let mut world = world(text);
    let both = |world: &World| ["192.0.2.1", "203.0.113.1"].map(|client| answers(world, "web", client));
    assert_eq!(both(&world), ["berlin 100", "newyork 100"]);
    // Lost for the office alone: to them it comes back by time.
    world.down("berlin");
    assert_eq!(both(&world), ["sydney 100", "newyork 100"]);
    world.up("berlin");
    world.later(59);
    assert_eq!(both(&world), ["sydney 100", "newyork 100"]);
    world.later(1);
    assert_eq!(both(&world), ["berlin 100", "newyork 100"]);
    // Lost for all: who answers is the first from then on, for all.
    world.down("berlin");
    world.down("newyork");
    assert_eq!(both(&world), ["sydney 100", "sydney 100"]);
    world.up("berlin");
    world.up("newyork");
    world.later(1_000);
    assert_eq!(both(&world), ["sydney 100", "sydney 100"]);
    world.restart();
    for target in 0..world.estate.targets.len() {
        world.probe(crate::model::TargetId::at(target), true);
    }
    world.later(1_000);
    assert_eq!(both(&world), ["sydney 100", "sydney 100"], "remembered by name");
    world.down("sydney");
    assert_eq!(both(&world), ["berlin 100", "newyork 100"], "the others keep their order");
    world.up("sydney");
    world.later(1_000);
    assert_eq!(both(&world), ["berlin 100", "newyork 100"]);
}

#[test]
fn a_trickle_goes_to_who_stands_by_in_what_an_operator_wrote_and_not_between_rules_or_regions() {
    let mut world = world(
        "policy home: failover berlin newyork; policy spread: weighted newyork=100 sydney=0
         service web: geo network:office=home *=spread trickle=10 failback=0s; service close: nearest berlin newyork sydney trickle=10",
    );
    assert_eq!(answers(&world, "web", "192.0.2.1"), "berlin 90, newyork 10");
    assert_eq!(answers(&world, "web", "203.0.113.1"), "newyork 90, sydney 10");
    assert_eq!(answers(&world, "close", "192.0.2.1"), "berlin 100", "who is second for some is first for others");
    world.down("newyork");
    assert_eq!(answers(&world, "web", "192.0.2.1"), "berlin 100");
    assert_eq!(answers(&world, "web", "203.0.113.1"), "sydney 100 standby");
}
