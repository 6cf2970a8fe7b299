//! State read from the core at the moment of the scrape: endpoints, pools, regions, services, overrides, store.
//!
//! Nothing is kept here, so what is gone from the configuration is gone from the next scrape.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::control::{Core, OverrideTargetName, OverrideWord};
use crate::health::State;
use crate::model::{Answering, EndpointId, Estate, Family, Now, PoolId, RegionId, ServiceId, Timestamp, Watch};
use crate::policy::{self, EndpointView, OverrideKind, RegionState, Rung, Verdict};

use super::answers::pools_of;
use super::calls::STORE;
use super::catalog;
use super::changes::labels;
use super::series::{Series, flag};
use super::tracked::Tracked;

/// The `state` label of an endpoint. Closed list.
const STATES: [&str; 7] = ["up", "down", "unknown", "guarded", "drained", "force_up", "force_down"];

/// Everything that the core knows now.
pub fn collect(core: &Core, tracked: &Tracked, now: Now, out: &mut Vec<Series>) {
    let up = endpoints_and_pools(core, tracked, out);
    regions(core, &up, out);
    services(core, tracked, &up, out);
    out.push(Series::single(catalog::NODE_BLIND, flag(core.guard().blind().is_some())));
    let mut sentinels = Series::new(catalog::SENTINEL_UP);
    for sentinel in &core.estate().sentinels {
        sentinels.push(&[&sentinel.name], flag(core.health().judgement(sentinel.judgement).state == State::Up));
    }
    out.push(sentinels);
    overrides(core, out);
    shifts(core, out);
    schedules(core, out);
    latency(core, now, out);
    let overview = core.overview();
    let mut store = Series::new(catalog::STORE_UP);
    store.push(&[STORE], flag(overview.store.up));
    out.push(store);
    out.push(Series::single(catalog::STORE_REVISION, overview.revision.0 as f64));
}

fn latency(core: &Core, now: Now, out: &mut Vec<Series>) {
    out.push(Series::single(catalog::LATENCY_NETWORKS, core.latency().len() as f64));
    if let Some((newest, oldest)) = core.latency().span(now) {
        out.push(Series::single(catalog::LATENCY_NEWEST, newest.as_secs_f64()));
        out.push(Series::single(catalog::LATENCY_OLDEST, oldest.as_secs_f64()));
    }
}

/// Also tells which pools are up. A pool that nothing watches (a last resort) has no verdict, so it has no `_up` series and can't make its region look down.
fn endpoints_and_pools(core: &Core, tracked: &Tracked, out: &mut Vec<Series>) -> HashMap<PoolId, bool> {
    let (estate, facts) = (core.estate(), core.policy_facts());
    let mut endpoint_up = Series::new(catalog::ENDPOINT_UP);
    let mut endpoint_serving = Series::new(catalog::ENDPOINT_SERVING);
    let mut endpoint_state = Series::new(catalog::ENDPOINT_STATE);
    let mut endpoint_degraded = Series::new(catalog::ENDPOINT_DEGRADED);
    let mut endpoint_weight = Series::new(catalog::ENDPOINT_WEIGHT);
    let mut pool_endpoints = Series::new(catalog::POOL_ENDPOINTS);
    let mut pool_up_endpoints = Series::new(catalog::POOL_UP_ENDPOINTS);
    let mut pool_up = Series::new(catalog::POOL_UP);
    let mut outdated = Series::new(catalog::POOL_OUTDATED);
    let mut load = Series::new(catalog::POOL_LOAD);
    let mut shedding = Series::new(catalog::POOL_SHEDDING);
    let mut up = HashMap::new();
    let drains = facts.overrides.iter().any(|o| o.kind == OverrideKind::Drain);
    let in_answers = if drains { in_answers(core) } else { HashSet::new() };
    for id in (0..estate.pools.len()).map(PoolId::at) {
        let pool = estate.pool(id);
        let [pool_name, region] = [&pool.name, &estate.region(pool.region).name];
        let families = Family::ALL.map(|family| core.health().pool_has(estate, id, family).then(|| policy::pool_view(&facts, None, id, family)));
        let mut up_endpoints = 0;
        for endpoint in &pool.endpoints {
            let view = policy::endpoint_view(&facts, None, *endpoint);
            up_endpoints += u32::from(view.state == State::Up);
            if !tracked.has_endpoint(*endpoint) {
                continue;
            }
            let [pool, region, name] = &labels(estate, *endpoint);
            // A drained endpoint still serves while the answers come from rung `drained`.
            let serving = view.serving && (view.drained.is_none() || in_answers.contains(endpoint));
            endpoint_serving.push(&[pool, region, name], flag(serving));
            let state = state_word(&view);
            for word in STATES {
                endpoint_state.push(&[pool, region, name, word], flag(word == state));
            }
            endpoint_degraded.push(&[pool, region, name], flag(view.degraded.is_some()));
            endpoint_weight.push(&[pool, region, name, "file"], f64::from(estate.endpoint(*endpoint).weight));
            endpoint_weight.push(&[pool, region, name, "effective"], view.weight);
            if let Some(told) = view.told {
                endpoint_weight.push(&[pool, region, name, "reported"], told.as_f64());
            }
            if estate.endpoint(*endpoint).watch != Watch::Nothing {
                endpoint_up.push(&[pool, region, name], flag(view.observed == State::Up));
            }
        }
        if pool.hold_if_older_than.is_some() {
            let kept_off = families.iter().flatten().any(|view| view.outdated.is_some() && view.approved_by.is_none());
            outdated.push(&[pool_name, region], flag(kept_off));
        }
        if let Some(known) = core.pool_load(id) {
            shedding.push(&[pool_name, region], flag(known.told.as_ref().is_some_and(|told| told.sheds)));
            known.told.iter().filter(|_| !known.silent).for_each(|told| load.push(&[pool_name, region], told.load.as_f64()));
        }
        pool_endpoints.push(&[pool_name, region], pool.endpoints.len() as f64);
        pool_up_endpoints.push(&[pool_name, region], f64::from(up_endpoints));
        if watched(estate, id) {
            // A pool of names that were never resolved is in no family.
            let is_up = families.iter().any(Option::is_some) && families.iter().flatten().all(|view| view.state == State::Up);
            pool_up.push(&[pool_name, region], flag(is_up));
            up.insert(id, is_up);
        }
    }
    out.extend([
        endpoint_up,
        endpoint_serving,
        endpoint_state,
        endpoint_degraded,
        endpoint_weight,
        pool_endpoints,
        pool_up_endpoints,
        pool_up,
        outdated,
        load,
        shedding,
    ]);
    up
}

fn watched(estate: &Estate, pool: PoolId) -> bool {
    estate.pool(pool).endpoints.iter().any(|endpoint| estate.endpoint(*endpoint).watch != Watch::Nothing)
}

/// What an operator did stands before what probes found.
fn state_word(view: &EndpointView<'_>) -> &'static str {
    match view.forced.map(|forced| forced.kind) {
        Some(OverrideKind::ForceDown) => "force_down",
        _ if view.drained.is_some() => "drained",
        Some(_) => "force_up",
        None if view.guarded => "guarded",
        None => view.observed.word(),
    }
}

fn in_answers(core: &Core) -> HashSet<EndpointId> {
    let leaves = core.decisions().flat_map(|decision| decision.of_anybody().flatten().flat_map(|family| &family.leaves));
    leaves.flat_map(|leaf| leaf.endpoints.iter().copied()).collect()
}

fn regions(core: &Core, up: &HashMap<PoolId, bool>, out: &mut Vec<Series>) {
    let estate = core.estate();
    let mut region_up = Series::new(catalog::REGION_UP);
    let mut region_state = Series::new(catalog::REGION_STATE);
    let mut region_guarded = Series::new(catalog::REGION_GUARDED);
    let mut region_drained = Series::new(catalog::REGION_DRAINED);
    let mut data_at = Series::new(catalog::REGION_DATA_AT);
    // A drain for some services only leaves the region in use.
    let kept = core.overrides();
    let drains = kept.iter().filter(|kept| kept.record.kind == OverrideWord::Drain && kept.record.services.is_empty());
    let drained: BTreeSet<&Arc<str>> = drains
        .filter_map(|kept| match &kept.record.target {
            OverrideTargetName::Region(name) => Some(name),
            _ => None,
        })
        .collect();
    for id in (0..estate.regions.len()).map(RegionId::at) {
        let name = &estate.region(id).name;
        let pools: Vec<bool> = up.iter().filter(|(pool, _)| estate.pool(**pool).region == id).map(|(_, up)| *up).collect();
        if !pools.is_empty() {
            region_up.push(&[name], flag(pools.iter().all(|up| *up)));
            let state = policy::region_state(&core.policy_facts(), id);
            for one in RegionState::ALL {
                region_state.push(&[name, one.word()], flag(one == state));
            }
        }
        region_guarded.push(&[name], flag(core.guard().delay(id).is_some()));
        region_drained.push(&[name], flag(drained.contains(name)));
        if let Some(at) = core.data_at(name) {
            data_at.push(&[name], at.as_secs_f64());
        }
    }
    out.extend([region_up, region_state, region_guarded, region_drained, data_at]);
}

fn services(core: &Core, tracked: &Tracked, up: &HashMap<PoolId, bool>, out: &mut Vec<Series>) {
    let estate = core.estate();
    let regions: HashMap<&str, &str> = estate.pools.iter().map(|pool| (&*pool.name, &*estate.region(pool.region).name)).collect();
    let mut share = Series::new(catalog::SERVICE_SHARE);
    let mut pools = Series::new(catalog::SERVICE_POOLS);
    let mut pools_up = Series::new(catalog::SERVICE_POOLS_UP);
    let mut held = Series::new(catalog::SERVICE_POOL_HELD);
    let mut available = Series::new(catalog::SERVICE_AVAILABLE);
    let mut fallback = Series::new(catalog::SERVICE_FALLBACK);
    let mut ttl = Series::new(catalog::SERVICE_TTL);
    let mut revision = Series::new(catalog::SERVICE_REVISION);
    for id in tracked.ids() {
        let view = core.service(*id);
        let name = &*view.service.name;
        for (kind, shares) in [("desired", core.desired(*id)), ("effective", core.effective(*id, core.shown_family(*id)))] {
            for (pool, value) in shares {
                share.push(&[name, &pool, regions.get(&*pool).copied().unwrap_or_default(), kind], value);
            }
        }
        let mut tree = BTreeSet::new();
        view.policy.pools(&mut |pool| {
            tree.insert(pool);
        });
        pools.push(&[name], tree.len() as f64);
        pools_up.push(&[name], tree.iter().filter(|pool| up.get(pool).copied().unwrap_or(false)).count() as f64);
        for pool in &tree {
            let waits = |family: Family| {
                core.health().pool(*pool, family).state == State::Up && view.memory.held.iter().any(|hold| hold.pool == *pool && hold.family == family)
            };
            let pool = estate.pool(*pool);
            held.push(&[name, &pool.name, &estate.region(pool.region).name], flag(Family::ALL.into_iter().any(waits)));
        }
        let stands = standing(core, *id);
        available.push(&[name], flag(stands.available));
        fallback.push(&[name], flag(stands.fallback));
        ttl.push(&[name], f64::from(view.decision.ttl));
        revision.push(&[name], view.revision.0 as f64);
    }
    out.extend([share, pools, pools_up, held, available, fallback, ttl, revision]);
}

struct Standing {
    /// Some family has an endpoint that serves by a rung above `all_down`.
    available: bool,
    /// Some family that the service has endpoints in has no such rung.
    fallback: bool,
}

fn standing(core: &Core, service: ServiceId) -> Standing {
    let estate = core.estate();
    let decision = core.service(service).decision;
    let pools = pools_of(core, service);
    let mut standing = Standing { available: false, fallback: false };
    for family in Family::ALL {
        let present = match estate.service(service).answer {
            Answering::Addresses => pools.iter().any(|pool| core.health().pool_has(estate, *pool, family)),
            // Decided once, as IPv4.
            Answering::Cname => family == Family::V4,
        };
        if !present {
            continue;
        }
        // Available is what some clients get an answer of; who gets none is told by `fallback`.
        for decided in decision.of_anybody().filter_map(|families| families.get(family.index())) {
            let by_policy = decided.verdict == Verdict::Answer && decided.leaves.iter().any(|leaf| leaf.rung < Rung::AllDown);
            standing.available |= by_policy && decided.leaves.iter().any(|leaf| !leaf.endpoints.is_empty());
            standing.fallback |= !by_policy;
        }
    }
    standing
}

/// Shifts under way; a service without one has no series.
fn shifts(core: &Core, out: &mut Vec<Series>) {
    let (mut active, mut step) = (Series::new(catalog::SHIFT_ACTIVE), Series::new(catalog::SHIFT_STEP));
    for (service, phase, at) in core.shifts_under_way() {
        active.push(&[service, phase], 1.0);
        step.push(&[service], f64::from(at) + 1.0);
    }
    out.extend([active, step]);
}

/// Scheduled changes, by what has become of them.
fn schedules(core: &Core, out: &mut Vec<Series>) {
    let mut schedules = Series::new(catalog::SCHEDULES);
    for (state, count) in core.schedules_by_state() {
        schedules.push(&[state.word()], count as f64);
    }
    out.push(schedules);
}

/// Overrides of one kind on one target may differ in services: they are one series. It begins with the first of them, and ends when the last of them does.
fn overrides(core: &Core, out: &mut Vec<Series>) {
    let mut rows: BTreeMap<(&'static str, String), (Timestamp, Option<Timestamp>)> = BTreeMap::new();
    for kept in core.overrides().into_iter().filter(|kept| kept.matched) {
        let key = (kept.record.kind.word(), kept.record.target.to_string());
        let (at, ends) = (kept.record.at, kept.record.ends);
        rows.entry(key).and_modify(|(start, end)| (*start, *end) = ((*start).min(at), end.zip(ends).map(|(a, b)| a.max(b)))).or_insert((at, ends));
    }
    let mut active = Series::new(catalog::OVERRIDE_ACTIVE);
    let mut start = Series::new(catalog::OVERRIDE_START);
    let mut expiry = Series::new(catalog::OVERRIDE_EXPIRY);
    for ((kind, target), (at, ends)) in rows {
        active.push(&[kind, &target], 1.0);
        start.push(&[kind, &target], at.as_secs_f64());
        if let Some(ends) = ends {
            expiry.push(&[kind, &target], ends.as_secs_f64());
        }
    }
    out.extend([active, start, expiry]);
}

/// The regions that a service answers now, as in [`Notice::Failover`](crate::control::Notice::Failover), and all that it may answer.
pub fn answering(core: &Core, service: ServiceId) -> (BTreeSet<Arc<str>>, BTreeSet<Arc<str>>) {
    let estate = core.estate();
    let region = |pool: &PoolId| estate.region(estate.pool(*pool).region).name.clone();
    let leaves = core.service(service).decision.of_anybody().flatten().flat_map(|family| &family.leaves);
    (leaves.flat_map(|leaf| &leaf.pools).map(region).collect(), pools_of(core, service).iter().map(region).collect())
}
