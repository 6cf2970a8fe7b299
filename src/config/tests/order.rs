//! In which order a file has its tables never matters: the same is decided and remembered, to the last bit, and explained in the same words.

use proptest::prelude::*;

use super::*;
use crate::client::{Clients, Origins, Questions};
use crate::health::{Guard, HealthTable, Outcome, ProbeReport, Reason};
use crate::model::{EndpointId, Estate, Now, PoolId, TargetId, Timestamp};
use crate::policy::{Decision, Facts, Memory, Override, OverrideKind, OverrideTarget, Reach, explain};

/// Tables that name each other, in no particular order. `pool.f` asks the same address as `pool.a`.
const TABLES: &[&str] = &[
    "[zone.'example.com']\nfile = 'z'\n",
    "[monitor.web]\nurl = 'http://{address}/'\n",
    "[monitor.base]\ntcp = 3306\ndown_after = 2\n",
    "[monitor.both]\nall = ['web', { monitor = 'base', mark = 'critical' }]\n",
    "[region.east]\n",
    "[region.west]\n",
    "[pool.a]\nmonitor = 'web'\nregion = 'east'\nendpoints = ['192.0.2.1', '192.0.2.2', '2001:db8::1']\n",
    "[pool.b]\nmonitor = 'both'\nregion = 'east'\nmin_up = 2\nendpoints = ['192.0.2.11', '192.0.2.12', { address = '192.0.2.13', tier = 1 }]\n",
    "[pool.c]\nmonitor = 'web'\nregion = 'west'\nendpoints = ['192.0.2.21', '2001:db8::21']\n",
    "[pool.d]\nmonitor = 'base'\nregion = 'west'\nrequires = ['a']\nendpoints = [{ address = '192.0.2.31', weight = 3 }, '192.0.2.32']\n",
    "[pool.e]\nmonitor = 'base'\nendpoints = ['192.0.2.41']\n",
    "[pool.f]\nmonitor = 'web'\nup_after = 2\nendpoints = ['192.0.2.1', '192.0.2.51']\n",
    "[pool.sorry]\nendpoints = ['203.0.113.1']\n",
    "[policy.x]\nfailover = ['a', 'b']\n",
    "[policy.y]\nweighted = { x = 70, c = 30, d = 0 }\n",
    "[policy.z]\nmultivalue = ['c', 'd', 'f']\nmin_up = 2\n",
    "[service.one]\nname = 'one.example.com'\npolicy = { failover = ['y', 'e'] }\n",
    "[service.two]\nname = 'two.example.com'\npolicy = { weighted = { z = 50, b = 25, f = 25 } }\nwhen_all_down = 'first'\n",
    "[service.three]\nname = 'three.example.com'\npolicy = { failover = ['z', 'x'] }\nfailback = 'manual'\nwhen_all_down = 'serve_all'\n",
    "[service.four]\nname = 'four.example.com'\npolicy = { weighted = ['a', 'b', 'c', 'd', 'e', 'f'] }\nfailback = { mode = 'staged' }\n",
    "[service.five]\nname = 'five.example.com'\npolicy = 'z'\nwhen_all_down = { pool = 'sorry' }\nfailback = '0s'\n",
];

/// What one target finds in one round: the same for the same key, wherever it stands.
fn passes(key: &str, round: u64) -> bool {
    let mixed = key
        .bytes()
        .fold(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xcbf2_9ce4_8422_2325, |mixed, octet| (mixed ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    3 <= (mixed >> 40) % 10
}

fn told(estate: &Estate, service: usize, memory: &Memory, facts: &Facts<'_>, now: Now) -> (Decision, Vec<String>) {
    let (service, mut steps) = (&estate.services[service], Vec::new());
    let decision = explain(service, &service.policy, facts, memory, now, &mut |step| {
        let step = step();
        steps.push(format!("{}: {}", step.topic, step.text));
    });
    // Holds are told in the order of pools in the file.
    steps.sort();
    (decision, steps)
}

/// All that is decided by names instead of places in the file, sorted where its order is one of places.
fn named(estate: &Estate, decision: &Decision) -> Vec<String> {
    let pool = |id: &PoolId| estate.pool(*id).name.to_string();
    let pools = |ids: &[PoolId]| ids.iter().map(pool).collect::<Vec<_>>().join("+");
    let endpoint = |id: &EndpointId| estate.endpoint_label(*id);
    let leaves = decision.families.iter().flat_map(|family| &family.leaves).map(|leaf| {
        let endpoints: Vec<String> = leaf.endpoints.iter().map(endpoint).collect();
        format!("{} {:x} {} {endpoints:?} {:?}", pools(&leaf.pools), leaf.share.to_bits(), leaf.rung.word(), leaf.weights)
    });
    let verdicts = decision.families.iter().map(|family| format!("{:?}", family.verdict));
    let mut remembered: Vec<String> = decision.memory.held.iter().map(|hold| format!("held {} {:?}", pool(&hold.pool), hold.family)).collect();
    remembered.extend(
        decision.memory.stages.iter().map(|stage| format!("stage {} {:?} {} {:?}", pool(&stage.hold.pool), stage.hold.family, stage.step, stage.since)),
    );
    remembered.extend(decision.memory.used.iter().map(|hold| format!("used {} {:?}", pool(&hold.pool), hold.family)));
    remembered.sort();
    let rest =
        format!("last {:?} first {:?} {} {:?}", decision.memory.last.each_ref().map(|last| pools(last)), decision.memory.first, decision.ttl, decision.wake_at);
    leaves.chain(verdicts).chain(remembered).chain([rest]).collect()
}

/// Some rounds of outcomes and orders, and what every service came to in each.
fn lived(text: &str, rounds: u64) -> Vec<Vec<String>> {
    let loaded = good(text);
    let estate = &loaded.estate;
    let mut names: Vec<(usize, &str)> = estate.services.iter().map(|service| &*service.name).enumerate().collect();
    names.sort_by_key(|(_, name)| *name);
    let at = |seconds: u64| Now { mono: Duration::from_secs(seconds), wall: Timestamp(1_800_000_000_000 + seconds as i64 * 1000) };
    let mut health = HealthTable::new(estate, at(0));
    let guard = Guard::new(estate, &health);
    let mut memories = vec![Memory::default(); estate.services.len()];
    let clients = Clients::build(estate, &Questions::of(estate), &Origins::default());
    let mut all = Vec::new();
    for round in 0..rounds {
        let now = at(20 * round);
        for _ in 0..5 {
            for target in (0..estate.targets.len()).map(TargetId::at) {
                let passed = passes(&estate.target(target).key, round);
                let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Timeout, message: "no answer".into() } };
                health.observe(estate, target, ProbeReport::new(outcome, now.wall, Duration::from_millis(3)), now);
            }
        }
        let order = |id: &str, kind, target| Override { id: id.into(), kind, target, reach: Reach::Name, services: None };
        let overrides = [
            order("o-1", OverrideKind::Drain, OverrideTarget::Region(estate.region_named("east").unwrap())),
            order("o-2", OverrideKind::ForceDown, OverrideTarget::Pool(estate.pool_named("c").unwrap())),
        ];
        // Each round other ones: none, the drain, both.
        let outdated = std::collections::BTreeMap::new();
        let facts = Facts {
            estate,
            health: &health,
            guard: &guard,
            overrides: &overrides[..round as usize % 3],
            outdated: &outdated,
            crowded: &std::collections::BTreeMap::new(),
            clients: &clients,
            planned: &crate::policy::NO_PLANS,
        };
        for (service, name) in &names {
            let (decision, steps) = told(estate, *service, &memories[*service], &facts, now);
            all.push([format!("{name} {round}")].into_iter().chain(named(estate, &decision)).chain(steps).collect());
            memories[*service] = decision.memory;
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_a_files_tables_never_matters(shuffled in Just(TABLES.to_vec()).prop_shuffle()) {
        let (one, other) = (lived(&TABLES.concat(), 9), lived(&shuffled.concat(), 9));
        for (one, other) in one.iter().zip(&other) {
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(one.len(), other.len());
    }
}
