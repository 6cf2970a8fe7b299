//! What holds for every tree, health, override and memory.

use std::fmt::Write;

use proptest::prelude::*;

use crate::client::{Clients, Origins, Questions};
use crate::health::{Outcome, Reported, State};
use crate::model::{AllDown, EndpointId, Family, PoolId, TargetId};
use crate::policy::testing::{World, slow};
use crate::policy::{Decision, OverrideKind, OverrideTarget, Rung, Verdict, decide, desired, effective, explain, tailor};

/// Pools of every world. `f` shares a target with `a`.
const POOLS: [&str; 8] = [
    "a: 10.0.0.1 10.0.0.2 2001:db8::1 region=east shed=30",
    "b: 10.1.0.1 10.1.0.2 10.1.0.3@1 2001:db8:1::1 region=east min_up=2 shed=20:client",
    "c: 10.2.0.1 2001:db8:2::1 2001:db8:2::2 factor=0.05",
    "d: 10.3.0.1 10.3.0.2 region=west shed=50:client",
    "g: gw.vendor.example 10.6.0.1@1 region=west",
    "h: gw.other.example region=west",
    "e: 10.4.0.1@3 10.4.0.2@5 region=west shed=30",
    "f: 2001:db8:5::1 10.0.0.1",
];

#[derive(Clone, Copy)]
enum Kinds {
    All,
    NoMultivalue,
    NoWeighted,
}

/// A policy over some of `names`, possibly with `min_up`. Shares need not sum to 100: only their proportions count. At least one is not 0.
fn policy(names: Vec<&'static str>, kinds: Kinds) -> impl Strategy<Value = String> {
    let kinds = match kinds {
        Kinds::All => vec!["failover", "weighted", "multivalue"],
        Kinds::NoMultivalue => vec!["failover", "weighted"],
        Kinds::NoWeighted => vec!["failover", "multivalue"],
    };
    let children = prop::sample::subsequence(names, 1..=3).prop_shuffle();
    (children, prop::sample::select(kinds), prop::collection::vec(0u32..4, 3), any::<prop::sample::Index>()).prop_map(|(children, kind, shares, min_up)| {
        let min_up = 1 + min_up.index(children.len() * 2) % children.len();
        let shares = shares.into_iter().enumerate().map(|(at, share)| if at == 0 { share + 1 } else { share } * 10);
        let child = |(child, share): (&&str, u32)| if kind == "weighted" { format!("{child}={share}") } else { child.to_string() };
        let children: Vec<String> = children.iter().zip(shares).map(child).collect();
        format!("{kind} {} min_up={min_up}", children.join(" "))
    })
}

/// The text of a world: pools, named policies over them and over each other, and a service over everything.
pub(crate) fn estate() -> impl Strategy<Value = String> {
    let all_down = prop::sample::select(vec!["last_good", "serve_all", "first", "nodata", "servfail", "pool:sorry"]);
    let failback = prop::sample::select(vec!["0s", "10s", "manual", "one_way:5s", "staged:5s:10,50,100:4s"]);
    // `weighted` can't stand below `multivalue`: m and n are without it, for roots that are without it.
    let root =
        prop_oneof![policy(vec!["a", "b", "d", "h", "x", "y", "z", "m"], Kinds::NoMultivalue), policy(vec!["a", "c", "d", "g", "e", "m", "n"], Kinds::All)];
    let named = (
        policy(vec!["a", "b", "c", "g"], Kinds::All),
        policy(vec!["b", "d", "e", "f"], Kinds::All),
        policy(vec!["x", "y", "c"], Kinds::NoMultivalue),
        policy(vec!["a", "b", "f"], Kinds::NoWeighted),
        policy(vec!["m", "c", "d"], Kinds::NoWeighted),
    );
    (named, root, all_down, failback).prop_map(|((x, y, z, m, n), root, all_down, failback)| {
        let mut text =
            String::from("thresholds down_after=1 ok_after=1 up_after=1\noutcomes factor=0.3 report=weight min=1 max=100\npool sorry: 10.9.9.9 monitor=none\n");
        for pool in POOLS {
            writeln!(text, "pool {pool}").unwrap();
        }
        writeln!(text, "policy x: {x}\npolicy y: {y}\npolicy z: {z}\npolicy m: {m}\npolicy n: {n}").unwrap();
        writeln!(text, "service orders: {root} all_down={all_down} failback={failback}").unwrap();
        text
    })
}

/// The same, with a service whose answers depend on who asks: [`ASKING`] tells who is told apart.
pub(crate) fn asking_estate() -> impl Strategy<Value = String> {
    let asking = prop::sample::select(vec![
        "geo network:one=inner network:two!=near *=x",
        "geo network:one|network:two=near *=inner",
        "nearest a c d ties=share unknown=share",
        "latency d c a unknown=share",
        "weighted far=60 inner=30 near=10",
        "failover far inner",
    ]);
    let keeping = prop::sample::select(vec!["", " sticky", " trickle=10", " sticky trickle=10"]);
    (estate(), asking, keeping).prop_map(|(text, asking, keeping)| {
        let (rest, service) = text.rsplit_once("service orders: ").unwrap();
        let (root, terms) = service.split_once(" all_down=").unwrap();
        let sites = "region east: 52.52,13.4\nregion west: 40.71,-74\nregion c: 35.68,139.7";
        format!(
            "{rest}policy inner: {root}\npolicy near: nearest d a unknown=first\npolicy far: geo network:two=c *=near\n{sites}\n{NETWORKS}\n\
             service orders: {asking}{keeping} all_down={terms}"
        )
    })
}

const NETWORKS: &str = "network one: 198.51.100.0/24 at=50.1,8.7\nnetwork two: 203.0.113.0/24,2001:db8:2::/48 at=45.5,-73.6";

/// Clients in both networks, and such of whom nothing is known.
pub(crate) const ASKING: [&str; 4] = ["198.51.100.7", "203.0.113.9", "192.0.2.53", "2001:db8:2::53"];

/// What a resolver may find.
const FOUND: [&str; 4] = ["198.51.100.1 198.51.100.2", "198.51.100.3 2001:db8:9::1", "2001:db8:9::2", "198.51.100.1"];

/// Something happens.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Probe(prop::sample::Index, bool),
    Slow(prop::sample::Index),
    Tells(prop::sample::Index, f64),
    Resolves(prop::sample::Index, &'static str, bool),
    Later(u64),
    Data(prop::sample::Index, bool),
    Load(prop::sample::Index, Option<bool>),
    Begin(OverrideKind, prop::sample::Index, bool),
    End(prop::sample::Index),
    Failback,
    Restart,
}

pub(crate) fn happening() -> impl Strategy<Value = Happening> {
    let kind = prop::sample::select(vec![OverrideKind::Drain, OverrideKind::ForceUp, OverrideKind::ForceDown, OverrideKind::Approve]);
    prop_oneof![
        12 => (any::<prop::sample::Index>(), prop::bool::weighted(0.45)).prop_map(|(which, passed)| Happening::Probe(which, passed)),
        4 => any::<prop::sample::Index>().prop_map(Happening::Slow),
        2 => (any::<prop::sample::Index>(), 0.0..200.0).prop_map(|(which, told)| Happening::Tells(which, told)),
        3 => (any::<prop::sample::Index>(), prop::sample::select(FOUND.to_vec()), any::<bool>()).prop_map(|(which, found, old)| Happening::Resolves(which, found, old)),
        3 => (1u64..12).prop_map(Happening::Later),
        3 => (any::<prop::sample::Index>(), prop::bool::weighted(0.6)).prop_map(|(which, old)| Happening::Data(which, old)),
        4 => (any::<prop::sample::Index>(), prop::sample::select(vec![Some(true), Some(true), Some(false), None])).prop_map(|(which, sheds)| Happening::Load(which, sheds)),
        3 => (kind, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(kind, which, limited)| Happening::Begin(kind, which, limited)),
        2 => any::<prop::sample::Index>().prop_map(Happening::End),
        1 => Just(Happening::Failback),
        1 => Just(Happening::Restart),
    ]
}

pub(crate) fn apply(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Probe(which, passed) => {
            world.probe(TargetId::at(which.index(world.estate.targets.len())), *passed);
            world.settle();
        }
        Happening::Slow(which) => {
            world.finds(TargetId::at(which.index(world.estate.targets.len())), slow(), None);
            world.settle();
        }
        Happening::Tells(which, told) => {
            world.finds(TargetId::at(which.index(world.estate.targets.len())), Outcome::Pass, Some(Reported::Number(*told)));
            world.settle();
        }
        Happening::Resolves(which, found, old) => {
            let host = world.estate.hosts[which.index(world.estate.hosts.len())].to_string();
            world.resolves(&host, found, 600, old.then_some("no answer"));
        }
        Happening::Later(seconds) => world.later(*seconds),
        Happening::Data(which, old) => {
            let pool = world.estate.pools[which.index(world.estate.pools.len())].name.to_string();
            world.data(&pool, *old);
        }
        Happening::Load(which, sheds) => {
            let pool = world.estate.pools[which.index(world.estate.pools.len())].name.to_string();
            world.load(&pool, *sheds);
        }
        Happening::Begin(kind, which, limited) => {
            let estate = &world.estate;
            let regions = estate.regions.iter().map(|region| format!("region {}", region.name));
            let pools = estate.pools.iter().map(|pool| format!("pool {}", pool.name));
            let endpoints = (0..estate.endpoints.len()).map(|at| format!("endpoint {}", estate.endpoint_label(EndpointId::at(at))));
            let targets: Vec<String> = regions.chain(pools).chain(endpoints).collect();
            let word = match kind {
                OverrideKind::Drain => "drain",
                OverrideKind::ForceUp => "force_up",
                OverrideKind::ForceDown => "force_down",
                OverrideKind::Approve => "approve",
            };
            world.begin(&format!("{word} {}{}", targets[which.index(targets.len())], if *limited { " for orders" } else { "" }));
        }
        Happening::End(which) => {
            if !world.overrides.is_empty() {
                world.overrides.remove(which.index(world.overrides.len()));
                world.settle();
            }
        }
        Happening::Failback => world.failback("orders", None),
        Happening::Restart => world.restart(),
    }
}

/// Is `endpoint` forced down: the nearest level with a health override decides, down beats up on one level.
fn forced(world: &World, endpoint: EndpointId) -> Option<OverrideKind> {
    let pool = world.estate.endpoint(endpoint).pool;
    let levels = [OverrideTarget::Endpoint(endpoint), OverrideTarget::Pool(pool), OverrideTarget::Region(world.estate.pool(pool).region)];
    let kinds = |level| world.overrides.iter().filter(move |o| o.target == level && o.kind.forces()).map(|o| o.kind).collect::<Vec<_>>();
    let kinds = levels.into_iter().map(kinds).find(|kinds| !kinds.is_empty())?;
    Some(if kinds.contains(&OverrideKind::ForceDown) { OverrideKind::ForceDown } else { OverrideKind::ForceUp })
}

/// Probes find it down, and no operator says otherwise.
fn dead(world: &World, endpoint: EndpointId) -> bool {
    forced(world, endpoint).is_none() && world.health.endpoint(&world.estate, endpoint) == State::Down
}

/// It may answer, and would.
fn live(world: &World, endpoint: EndpointId) -> bool {
    forced(world, endpoint) != Some(OverrideKind::ForceDown) && !dead(world, endpoint) && !kept_off(world, world.estate.endpoint(endpoint).pool)
}

/// Its data is too old, and nobody has approved that.
fn kept_off(world: &World, pool: PoolId) -> bool {
    let facts = world.facts();
    let view = crate::policy::pool_view(&facts, Some(world.service("orders")), pool, Family::V4);
    view.outdated.is_some() && view.approved_by.is_none()
}

/// Pools that may answer at all: those of the tree, and a last resort.
fn candidates(world: &World) -> Vec<PoolId> {
    let service = world.estate.service(world.service("orders"));
    let mut pools = Vec::new();
    service.policy.pools(&mut |pool| pools.push(pool));
    if let AllDown::Pool(last_resort) = service.when_all_down {
        pools.push(last_resort);
    }
    pools
}

/// Nothing is answered only where the file asks for that, where nobody has an address of the family, or where everybody who might is forced down, or has data that is too old.
fn is_empty_only_if_asked(world: &World, decision: &Decision, family: Family) -> Result<(), TestCaseError> {
    let service = world.estate.service(world.service("orders"));
    let all_down = decision.memory.all_down[family.index()];
    let of_family = |pool: PoolId, family| world.health.pool_family(&world.estate, pool, family).collect::<Vec<_>>();
    match &decision.families[family.index()].verdict {
        Verdict::Answer => prop_assert!(!decision.families[family.index()].leaves.is_empty()),
        Verdict::NoData => {
            let nobody = candidates(world).into_iter().all(|pool| of_family(pool, family).is_empty());
            prop_assert!(nobody || all_down && service.when_all_down == AllDown::NoData, "no data, unasked");
        }
        Verdict::ServFail(why) => {
            let judged = |pool| if of_family(pool, family).is_empty() { of_family(pool, family.other()) } else { of_family(pool, family) };
            let last_resort = match service.when_all_down {
                AllDown::Pool(pool) => Some(pool),
                _ => None,
            };
            let asked = candidates(world).into_iter().filter(|pool| last_resort.is_none_or(|last_resort| last_resort == *pool));
            let nobody = asked.filter(|pool| !kept_off(world, *pool)).flat_map(judged).all(|endpoint| forced(world, endpoint) == Some(OverrideKind::ForceDown));
            prop_assert!(all_down && (nobody || service.when_all_down == AllDown::ServFail), "servfail, unasked: {why}");
        }
    }
    Ok(())
}

fn check(world: &World, decision: &Decision) -> Result<(), TestCaseError> {
    let service = world.estate.service(world.service("orders"));
    let facts = world.facts();
    for family in Family::ALL {
        let decided = &decision.families[family.index()];
        is_empty_only_if_asked(world, decision, family)?;
        match decided.verdict {
            Verdict::Answer => {
                let sum: f64 = decided.leaves.iter().map(|leaf| leaf.share).sum();
                prop_assert!((sum - 1.0).abs() < 1e-9, "shares sum to {sum}");
                let effective: f64 = effective(decided, &service.policy).iter().map(|(_, share)| share).sum();
                prop_assert!((effective - 1.0).abs() < 1e-9);
            }
            _ => prop_assert!(decided.leaves.is_empty()),
        }
        for leaf in &decided.leaves {
            prop_assert!(0.0 < leaf.share && !leaf.pools.is_empty());
            for endpoint in &leaf.endpoints {
                let item = world.estate.endpoint(*endpoint);
                prop_assert!(leaf.pools.contains(&item.pool) && world.health.is_in_family(&world.estate, *endpoint, family));
                let forced = forced(world, *endpoint);
                prop_assert!(forced != Some(OverrideKind::ForceDown), "{} is forced down", world.estate.endpoint_label(*endpoint));
                if leaf.rung < Rung::AllDown && forced.is_none() {
                    prop_assert!(facts.health.endpoint(&world.estate, *endpoint) != State::Down, "{} is down", world.estate.endpoint_label(*endpoint));
                }
            }
            for endpoint in leaf.endpoints.iter().filter(|endpoint| dead(world, **endpoint)) {
                let beside: Vec<_> =
                    world.health.pool_family(&world.estate, world.estate.endpoint(*endpoint).pool, family).filter(|beside| live(world, *beside)).collect();
                prop_assert!(beside.is_empty(), "{} is dead, and in its pool lives another", world.estate.endpoint_label(*endpoint));
            }
            for pool in &leaf.pools {
                if leaf.rung < Rung::AllDown {
                    let hold = crate::policy::Hold { pool: *pool, family };
                    prop_assert!(
                        !decision.memory.holds(*pool, family) || decision.memory.stage(hold).is_some(),
                        "an answering pool is not held, but for its steps"
                    );
                }
                let of_family: Vec<_> = world.health.pool_family(&world.estate, *pool, family).collect();
                prop_assert!(of_family.is_empty() || of_family.iter().any(|endpoint| leaf.endpoints.contains(endpoint)), "a chosen pool answers with somebody");
            }
        }
    }
    let all_down = decision.memory.all_down.contains(&true);
    let settled = decision.wake_at.is_none() && !world.health.streaks_any();
    match (all_down, settled) {
        (true, _) => prop_assert_eq!(decision.ttl, service.ttl_min),
        (false, true) => prop_assert_eq!(decision.ttl, service.ttl),
        (false, false) => prop_assert!((service.ttl_min.min(service.ttl)..=service.ttl).contains(&decision.ttl), "{}", decision.ttl),
    }
    prop_assert!(decision.wake_at.is_none_or(|wake| world.now.mono < wake), "never asks to be woken in the past");
    Ok(())
}

/// Fifty times as many in a long run (`tests/run --long`).
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let long = std::env::var("WINDROSE_LONG").is_ok_and(|value| !value.is_empty());
    ProptestConfig { cases: if long { 50 * usual } else { usual }, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    // Deciding again with its own memory gives the same: `World::decide` asserts it in every step.
    #[test]
    fn every_decision_keeps_the_promises(text in estate(), happenings in prop::collection::vec(happening(), 0..40)) {
        let mut world = World::fresh(&text);
        for happening in &happenings {
            apply(&mut world, happening);
            check(&world, &world.decide("orders"))?;
        }
    }

    // With `min_up` the file says that a living one may be too few: here it never does.
    #[test]
    fn a_dead_endpoint_never_answers_while_a_living_one_may(text in estate(), happenings in prop::collection::vec(happening(), 0..40)) {
        let words = |line: &str| line.split(' ').filter(|word| !word.starts_with("min_up=")).collect::<Vec<_>>().join(" ");
        let mut world = World::fresh(&text.lines().map(words).collect::<Vec<_>>().join("\n"));
        for happening in &happenings {
            apply(&mut world, happening);
            let decision = world.decide("orders");
            for family in Family::ALL {
                let answering = decision.families[family.index()].leaves.iter().flat_map(|leaf| &leaf.endpoints);
                for endpoint in answering.filter(|endpoint| dead(&world, **endpoint)) {
                    let living = candidates(&world).into_iter().flat_map(|pool| world.health.pool_family(&world.estate, pool, family)).find(|other| live(&world, *other));
                    let label = |id: EndpointId| world.estate.endpoint_label(id);
                    prop_assert!(living.is_none(), "{} is dead and answers, {:?} lives", label(*endpoint), living.map(label));
                }
            }
        }
    }

    // Whom a strict rule sends elsewhere is not theirs: the tree of a client is the one that it is tailored.
    #[test]
    fn no_client_gets_a_dead_endpoint_while_a_living_one_may_answer_it(text in asking_estate(), happenings in prop::collection::vec(happening(), 0..30)) {
        let words = |line: &str| line.split(' ').filter(|word| !word.starts_with("min_up=")).collect::<Vec<_>>().join(" ");
        let mut world = World::fresh(&text.lines().map(words).collect::<Vec<_>>().join("\n"));
        world.clients = Clients::build(&world.estate, &Questions::of(&world.estate), &Origins::default());
        for happening in &happenings {
            apply(&mut world, happening);
            let (decision, service) = (world.decide("orders"), world.estate.service(world.service("orders")));
            for class in ASKING.map(|client| world.clients.find(client.parse().unwrap()).0) {
                let mut allowed = Vec::new();
                tailor(&service.policy, &world.clients, class, &world.estate).pools(&mut |pool| allowed.push(pool));
                if let AllDown::Pool(last_resort) = service.when_all_down {
                    allowed.push(last_resort);
                }
                for family in Family::ALL {
                    let decided = &decision.of_class(class).0[family.index()];
                    let sum: f64 = decided.leaves.iter().map(|leaf| leaf.share).sum();
                    prop_assert!(decided.verdict != Verdict::Answer || (sum - 1.0).abs() < 1e-9, "shares sum to {sum}");
                    prop_assert!(decided.leaves.iter().flat_map(|leaf| &leaf.pools).all(|pool| allowed.contains(pool)), "{allowed:?} may answer {class:?}: {decided:?}");
                    for endpoint in decided.leaves.iter().flat_map(|leaf| &leaf.endpoints).filter(|endpoint| dead(&world, **endpoint)) {
                        let living = allowed.iter().flat_map(|pool| world.health.pool_family(&world.estate, *pool, family)).find(|other| live(&world, *other));
                        let label = |id: EndpointId| world.estate.endpoint_label(id);
                        prop_assert!(living.is_none(), "{} is dead and answers {class:?}, {:?} lives", label(*endpoint), living.map(label));
                    }
                }
            }
        }
    }

    #[test]
    fn degraded_and_told_weights_move_shares_and_never_who_answers(text in estate(), happenings in prop::collection::vec(happening(), 0..30)) {
        let mut world = World::fresh(&text);
        for happening in &happenings {
            apply(&mut world, happening);
            let decision = world.decide("orders");
            let id = world.service("orders");
            let sound = world.health.sound();
            let facts = crate::policy::Facts { health: &sound, ..world.facts() };
            let without = decide(world.estate.service(id), &world.estate.service(id).policy, &facts, &world.memories[id.index()], world.now);
            prop_assert_eq!(&decision.memory, &without.memory);
            for (family, same) in decision.families.iter().zip(&without.families) {
                let who = |family: &crate::policy::FamilyDecision| family.leaves.iter().map(|leaf| (leaf.pools.clone(), leaf.rung, leaf.endpoints.clone())).collect::<Vec<_>>();
                prop_assert_eq!(who(family), who(same));
                for (leaf, same) in family.leaves.iter().zip(&same.leaves) {
                    // 0.05 is the least factor here, and a subtree's is never less; what is shed is divided once more.
                    let least = if world.crowded.is_empty() { 0.05 } else { 0.05 * 0.05 };
                    prop_assert!(same.share * least <= leaf.share + 1e-12, "{} of {}", leaf.share, same.share);
                    prop_assert!(same.weights.is_none() && leaf.weights.as_ref().is_none_or(|weights| weights.len() == leaf.endpoints.len() && !weights.contains(&0)));
                }
            }
        }
    }

    // Nobody else moves: who sheds has its share of what it would have, who is full no more than that, and everybody else at least as much.
    #[test]
    fn what_is_shed_comes_from_who_sheds_and_goes_to_who_may_take_it(text in estate(), happenings in prop::collection::vec(happening(), 0..30)) {
        let mut world = World::fresh(&text);
        for happening in &happenings {
            apply(&mut world, happening);
            let decision = world.decide("orders");
            let id = world.service("orders");
            let nobody = std::collections::BTreeMap::new();
            let facts = crate::policy::Facts { crowded: &nobody, ..world.facts() };
            let service = world.estate.service(id);
            let without = decide(service, &service.policy, &facts, &world.memories[id.index()], world.now);
            for (with, without) in decision.families.iter().zip(&without.families) {
                prop_assert_eq!(&with.verdict, &without.verdict);
                let of = |family: &crate::policy::FamilyDecision, pool: PoolId| family.leaves.iter().filter(|leaf| leaf.pools.contains(&pool)).map(|leaf| leaf.share).sum::<f64>();
                for pool in (0..world.estate.pools.len()).map(PoolId::at) {
                    let (name, before, after) = (&world.estate.pool(pool).name, of(without, pool), of(with, pool));
                    match (world.crowded.get(&pool), world.estate.pool(pool).shed) {
                        // Several in one multivalue give away together what the greatest share says.
                        (Some(crowded), Some(shed)) if crowded.sheds => {
                            let most = if with.leaves.iter().chain(&without.leaves).any(|leaf| 1 < leaf.pools.len()) { 0.5 } else { shed.share.percent() / 100.0 };
                            prop_assert!(before * (1.0 - most) - 1e-9 <= after && after <= before + 1e-9, "{} sheds: {} of {}", name, after, before);
                        }
                        // Of a multivalue it may leave with the others.
                        (Some(_), _) => prop_assert!(after <= before + 1e-9, "{} is full: {} of {}", name, after, before),
                        (None, _) => prop_assert!(before <= after + 1e-9 , "{} takes: {} of {}", name, after, before),
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_overrides_never_matters(text in estate(), happenings in prop::collection::vec(happening(), 0..25), shuffled in any::<prop::sample::Index>()) {
        let mut world = World::fresh(&text);
        for happening in &happenings {
            apply(&mut world, happening);
        }
        let explained = world.explain("orders");
        let decision = world.decide("orders");
        let count = world.overrides.len().max(1);
        world.overrides.rotate_left(shuffled.index(count));
        prop_assert_eq!(&world.decide("orders"), &decision);
        world.overrides.reverse();
        prop_assert_eq!(&world.decide("orders"), &decision);
        prop_assert_eq!(world.explain("orders"), explained);
    }

    #[test]
    fn explaining_decides_the_same(text in estate(), happenings in prop::collection::vec(happening(), 0..20)) {
        let mut world = World::fresh(&text);
        for happening in &happenings {
            apply(&mut world, happening);
        }
        let id = world.service("orders");
        let service = world.estate.service(id);
        let memory = &world.memories[id.index()];
        let mut steps = 0;
        let explained = explain(service, &service.policy, &world.facts(), memory, world.now, &mut |step| { step(); steps += 1; });
        prop_assert_eq!(explained, decide(service, &service.policy, &world.facts(), memory, world.now));
        prop_assert!(0 < steps);
    }

    #[test]
    fn ipv6_health_never_changes_what_ipv4_answers(text in estate(), happenings in prop::collection::vec(happening(), 0..25), probes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..10)) {
        let mut world = World::fresh(&text);
        // But for data that is too old: who is written to, by either family, decides whose may be.
        for happening in happenings.iter().filter(|happening| !matches!(happening, Happening::Data(..))) {
            apply(&mut world, happening);
        }
        // Pools with IPv4 addresses are judged by those for A.
        let before = world.decide("orders").families[Family::V4.index()].clone();
        let v6: Vec<TargetId> = (0..world.estate.targets.len()).map(TargetId::at).filter(|target| world.estate.target(*target).address.address().is_some_and(|address| address.is_ipv6())).collect();
        for (which, passed) in probes {
            world.probe(v6[which.index(v6.len())], passed);
            world.settle();
            prop_assert_eq!(&world.decide("orders").families[Family::V4.index()], &before);
        }
    }

    #[test]
    fn with_everything_up_effective_is_desired(text in estate()) {
        let mut world = World::fresh(&text);
        for target in 0..world.estate.targets.len() {
            world.probe(TargetId::at(target), true);
        }
        for host in world.estate.hosts.clone() {
            world.found(&host.to_string(), "198.51.100.1 2001:db8:9::1", 600, None);
        }
        let service = world.estate.service(world.service("orders"));
        let decision = world.decide("orders");
        for ((pool, desired), (same, effective)) in desired(&service.policy).into_iter().zip(effective(&decision.families[0], &service.policy)) {
            prop_assert_eq!(pool, same);
            prop_assert!((desired - effective).abs() < 1e-9, "{} {desired} {effective}", world.estate.pool(pool).name);
        }
    }

    // A pool that is observed Up, not held, neither drained nor forced, is never passed over for `all_down` (trees without min_up).
    #[test]
    fn all_down_answers_only_if_no_pool_of_the_tree_is_up(text in estate(), happenings in prop::collection::vec(happening(), 0..30)) {
        let mut world = World::fresh(&text);
        let service = world.service("orders");
        let min_up_free = |node: &crate::model::Node| !format!("{node:?}").contains("min_up: 2") && !format!("{node:?}").contains("min_up: 3");
        prop_assume!(min_up_free(&world.estate.service(service).policy));
        for happening in &happenings {
            apply(&mut world, happening);
            let decision = world.decide("orders");
            for family in Family::ALL.into_iter().filter(|family| decision.memory.all_down[family.index()]) {
                world.estate.service(service).policy.pools(&mut |pool| {
                    let state = crate::policy::pool_view(&world.facts(), Some(service), pool, family).state;
                    assert!(state == State::Down || kept_off(&world, pool), "{} could answer", world.estate.pool(pool).name);
                });
            }
        }
    }
}
