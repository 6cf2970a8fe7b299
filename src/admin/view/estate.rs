//! Regions, pools, endpoints, overrides, zones.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::admin::api;
use crate::client::DatabaseInfo;
use crate::control::{Core, Override, OverrideWord, PoolLoad};
use crate::health::{HostHealth, MemberHealth, Outcome, State};
use crate::model::{self, EndpointId, Estate, Family, Now, PoolId, RegionId, Sentinel, ServiceId, Shed, TargetId, Timestamp, Watch};
use crate::policy::{Required, endpoint_view, lacking, pool_view, region_state, required};
use crate::zone::Zone;

use super::{Board, NAMES_SHOWN, names, shown_family};

/// The reason of a [`api::Cause`] that is no probe's.
pub(super) const REQUIRES: &str = "requires";

/// One region.
pub(in crate::admin) fn region(core: &Core, board: &Board, id: RegionId, now: Now) -> api::Region {
    let estate = core.estate();
    let name = &estate.region(id).name;
    let pools: Vec<PoolId> = (0..estate.pools.len()).map(PoolId::at).filter(|pool| estate.pool(*pool).region == id).collect();
    let overrides: Vec<_> = core.overrides().into_iter().filter(|kept| kept.record.target.covers_region(estate, id)).collect();
    let services: BTreeSet<&Arc<str>> = pools.iter().filter_map(|pool| board.users.get(pool)).flatten().collect();
    let counts = pools.iter().map(|pool| up_of(core, *pool)).fold((0, 0), |(up, of), (more_up, more)| (up + more_up, of + more));
    api::Region {
        name: name.to_string(),
        state: region_state(&core.policy_facts(), id).into(),
        pools: pools.iter().map(|pool| estate.pool(*pool).name.to_string()).collect(),
        up: counts.0,
        of: counts.1,
        guarded: guarded(core, id),
        data: freshness(core, name, now),
        drained: overrides.iter().any(|kept| kept.record.kind == OverrideWord::Drain && kept.record.services.is_empty()),
        overrides: overrides.iter().map(override_id).collect(),
        services: names(services),
    }
}

/// How fresh a region's data is; `None`: nobody has told.
pub(in crate::admin) fn freshness(core: &Core, region: &str, now: Now) -> Option<api::Freshness> {
    let (told, age) = core.freshness(region, now)?;
    let age = std::time::Duration::from_secs(age.as_secs()).into();
    Some(api::Freshness { at: told.data_at.into(), age, told_at: told.told_at.into(), by: told.by.to_string() })
}

fn guarded(core: &Core, region: RegionId) -> Option<api::Guarded> {
    core.guard().delay(region).map(|delay| api::Guarded {
        since: delay.since.into(),
        until: delay.until.into(),
        after: core.estate().region(delay.after).name.to_string(),
        why: core.delay_text(region, delay),
    })
}

/// Why and since when this node can't judge.
pub(in crate::admin) fn blind(core: &Core) -> Option<api::Blind> {
    let (blind, why) = core.guard().blind().zip(core.blind_because())?;
    Some(api::Blind { since: blind.since.into(), why })
}

/// What is known of clients, from where.
pub(in crate::admin) fn databases(core: &Core) -> Vec<api::GeoDatabase> {
    let database = |DatabaseInfo { file, kind, built, networks, problem }: &DatabaseInfo| api::GeoDatabase {
        file: file.to_string(),
        kind: kind.clone(),
        built: built.map(api::Time),
        networks: *networks,
        problem: problem.clone(),
    };
    core.databases().iter().map(database).collect()
}

/// All sentinels.
pub(in crate::admin) fn sentinels(core: &Core) -> Vec<api::Sentinel> {
    let estate = core.estate();
    let sentinel = |sentinel: &Sentinel| {
        let target = estate.judgement(sentinel.judgement).target;
        let health = core.health().judgement(sentinel.judgement);
        let (found, target) = (core.health().target(target), estate.target(target));
        let last_failed = found.last_failed.as_ref();
        let message = last_failed.filter(|_| health.state == State::Down).and_then(|report| report.outcome.message().map(str::to_string));
        api::Sentinel {
            name: sentinel.name.to_string(),
            monitor: estate.monitor(target.monitor).name.clone(),
            address: target.address.to_string(),
            resolved: found.last.as_ref().and_then(|report| report.resolved.as_deref()).map(api::Resolved::from),
            state: health.state.into(),
            since: known_time(health.since),
            message,
        }
    };
    estate.sentinels.iter().map(sentinel).collect()
}

/// One pool, by the overrides that count for all services.
pub(in crate::admin) fn pool(core: &Core, board: &Board, id: PoolId) -> api::Pool {
    let estate = core.estate();
    let pool = estate.pool(id);
    let region = &estate.region(pool.region).name;
    let view = pool_view(&core.policy_facts(), None, id, shown_family(core, id));
    let (up, of) = up_of(core, id);
    let required = required(&core.policy_facts(), None, id);
    let requirement = |required: &Required| api::Required {
        pool: estate.pool(required.pool).name.to_string(),
        needed: required.needed,
        up: required.up,
        state: required.state.into(),
    };
    api::Pool {
        name: pool.name.to_string(),
        region: region.to_string(),
        state: view.state.into(),
        guarded: view.guarded,
        min_up: pool.min_up,
        min_active: pool.min_active,
        up,
        of,
        factor: (view.factor * 1000.0).round() / 1000.0,
        hold_if_older_than: pool.hold_if_older_than.map(api::Span),
        outdated: view.outdated.map(|why| why.to_string()),
        approved_by: view.approved_by.map(|approval| approval.id.to_string()),
        shed: shed(core, id),
        drained: view.drained,
        held_by: names(board.held.get(&id).into_iter().flatten()),
        overrides: core.overrides().iter().filter(|kept| kept.record.target.covers_pool(estate, id)).map(override_id).collect(),
        services: names(board.users.get(&id).into_iter().flatten()),
        requires: required.iter().map(requirement).collect(),
        required_by: names(pool.required_by.iter().map(|pool| &estate.pool(*pool).name)),
        lacks: lacking(&required).map(|lacking| lacking.text(estate)),
        endpoints: pool.endpoints.iter().map(|id| estate.endpoint_label(*id)).collect(),
    }
}

/// How much is asked of a pool; `None`: it declares no limit.
pub(in crate::admin) fn shed(core: &Core, id: PoolId) -> Option<api::PoolShed> {
    let PoolLoad { shed: Shed { over, until, share, by, .. }, told, silent, why } = core.pool_load(id)?;
    let sheds = told.as_ref().filter(|told| told.sheds);
    Some(api::PoolShed {
        over: over.as_f64(),
        until: until.as_f64(),
        share: share.percent(),
        by: by.word().to_string(),
        load: told.as_ref().map(|told| told.load.as_f64()),
        at: told.as_ref().map(|told| told.told_at.into()),
        told_by: told.as_ref().map(|told| told.by.to_string()),
        silent,
        shedding_since: sheds.and_then(|told| told.turned_at).map(api::Time),
        why: why.map(|why| why.to_string()),
    })
}

/// Endpoints that are up, and all of them, both families.
pub(super) fn up_of(core: &Core, pool: PoolId) -> (u32, u32) {
    let (facts, endpoints) = (core.policy_facts(), &core.estate().pool(pool).endpoints);
    let up = endpoints.iter().filter(|id| endpoint_view(&facts, None, **id).state == State::Up).count();
    (count(up), count(endpoints.len()))
}

/// One endpoint with its last probes.
pub(in crate::admin) fn endpoint(core: &Core, board: &Board, id: EndpointId) -> api::Endpoint {
    let estate = core.estate();
    let endpoint = estate.endpoint(id);
    let pool = estate.pool(endpoint.pool);
    let view = endpoint_view(&core.policy_facts(), None, id);
    let monitor = match endpoint.watch {
        Watch::Judgement(judgement) => Some(estate.monitor(estate.target(estate.judgement(judgement).target).monitor).name.clone()),
        Watch::Combined(combined) => Some(estate.composite(estate.combined(combined).composite).name.to_string()),
        Watch::Always => Some("always".to_string()),
        Watch::Nothing => None,
    };
    let health = core.health().watched(estate, id);
    let quality = core.health().quality(estate, id);
    api::Endpoint {
        id: estate.endpoint_label(id),
        name: endpoint.name.to_string(),
        pool: pool.name.to_string(),
        region: estate.region(pool.region).name.to_string(),
        address: estate.address_text(id),
        host: core.health().host_of(estate, id).map(host),
        connect: connect(core, id),
        weight: endpoint.weight,
        weight_reported: view.told.map(|told| told.as_f64()),
        weight_effective: Some((view.weight * 1e6).round() / 1e6),
        tier: endpoint.tier,
        monitor,
        members: core.health().members(estate, id).iter().map(member).collect(),
        state: api::EndpointState { observed: view.observed.into(), forced: view.forced.map(|_| view.state.into()), effective: view.state.into() },
        degraded: view.degraded.zip(quality).and_then(|(factor, (_, quality))| {
            let since = quality.degraded_since?.into();
            Some(api::Degraded { since, factor: factor.as_f64(), why: quality.degraded_why.as_deref().unwrap_or_default().to_string() })
        }),
        busy: quality.and_then(|(target, _)| busy(core, target)),
        certificate: quality
            .and_then(|(_, quality)| quality.certificate)
            .map(|certificate| api::Certificate { expires: certificate.expires.into(), state: certificate.state.word().to_string() }),
        guarded: view.guarded,
        stale: view.stale,
        drained: view.drained.is_some(),
        held_by: names(board.held.get(&endpoint.pool).into_iter().flatten()),
        serving: names(board.serving.get(&id).into_iter().flatten()),
        overrides: core.overrides_on(id).iter().map(override_id).collect(),
        since: health.map(|health| health.since).and_then(known_time),
        last_probe: health.and_then(|health| health.last).map(api::Probe::from),
        last_failed: health.and_then(|health| health.last_failed).map(api::Probe::from),
    }
}

fn host(HostHealth { found, trouble }: &HostHealth) -> api::HostName {
    api::HostName {
        addresses: found.iter().flat_map(|found| found.all()).map(|address| address.to_string()).collect(),
        ttl_seconds: found.as_ref().map(|found| found.ttl),
        resolved_at: found.as_ref().map(|found| found.at.into()),
        trouble: trouble.as_deref().map(str::to_string),
    }
}

/// Where it is probed, if that is not its address alone.
fn connect(core: &Core, id: EndpointId) -> Option<String> {
    core.estate().probed_elsewhere(id).map(|target| target.address.with_port(target.port))
}

fn member(member: &MemberHealth<'_>) -> api::Member {
    let MemberHealth { monitor, mark, state, judgement, target, members } = member;
    api::Member {
        monitor: monitor.to_string(),
        mark: mark.word().to_string(),
        state: (*state).into(),
        stale: judgement.is_some_and(|judgement| judgement.stale),
        since: judgement.and_then(|judgement| known_time(judgement.since)),
        last_probe: target.and_then(|target| target.last.as_ref()).map(api::Probe::from),
        last_failed: target.and_then(|target| target.last_failed.as_ref()).map(api::Probe::from),
        members: members.iter().map(self::member).collect(),
    }
}

fn busy(core: &Core, target: TargetId) -> Option<api::Busy> {
    let health = core.health().target(target);
    let since = health.quality.busy?;
    let estate = core.estate();
    let rule = estate.monitor(estate.target(target).monitor).check.outcomes().map(|outcomes| outcomes.busy)?;
    let failed = health.last.as_ref().is_some_and(|report| matches!(report.outcome, Outcome::Fail { .. }));
    Some(api::Busy { since: since.at.into(), counts: if failed { model::Busy::Fail } else { rule }.word().to_string() })
}

/// `Timestamp(0)` stands for "not yet".
pub(super) fn known_time(at: Timestamp) -> Option<api::Time> {
    (at != Timestamp::default()).then_some(api::Time(at))
}

/// One override.
pub(in crate::admin) fn override_(estate: &Estate, kept: &Override<'_>) -> api::Override {
    let matches = kept.record.target.matches(estate);
    let (matches_total, mut matches) = (matches.len() as u64, matches);
    matches.truncate(NAMES_SHOWN);
    api::Override { matches, matches_total, ..record(kept.id, kept.record, kept.matched) }
}

/// An override's record; `matched`: its target exists.
pub(in crate::admin) fn record(id: u64, record: &crate::control::OverrideRecord, matched: bool) -> api::Override {
    let crate::control::OverrideRecord { kind, target, services, actor, reason, at, ends, overridden } = record;
    api::Override {
        id: format!("o-{id}"),
        kind: (*kind).into(),
        target: target.to_string(),
        services: services.iter().map(|name| name.to_string()).collect(),
        actor: actor.clone(),
        reason: reason.clone(),
        at: (*at).into(),
        ends: ends.map(api::Time),
        matched,
        matches: Vec::new(),
        matches_total: 0,
        overridden: overridden.clone(),
    }
}

/// `o-12`
pub(super) fn override_id(kept: &Override<'_>) -> String {
    format!("o-{}", kept.id)
}

/// One zone. Services are found by their first hundred names.
pub(in crate::admin) fn zone(core: &Core, zone: &Zone) -> api::Zone {
    let deeper: Vec<_> = core.zones().iter().map(|other| &other.apex).filter(|apex| **apex != zone.apex && apex.is_within(&zone.apex)).collect();
    let here = |name: crate::wire::Name| name.is_within(&zone.apex) && !deeper.iter().any(|apex| name.is_within(apex));
    let services = core.estate().services.iter().filter(|service| service.names.iter().take(NAMES_SHOWN).any(here)).map(|service| &service.name);
    api::Zone {
        name: zone.apex.to_string(),
        serial: zone.serial(),
        records: zone.sets.iter().map(|set| set.rdata.len() as u64).sum(),
        services: names(services),
    }
}

/// Numbers of endpoints fit.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a pool requires and lacks, as `service` sees it, else its endpoint with the worst news: the first that is not up, with its last failed probe.
pub(super) fn cause(core: &Core, service: ServiceId, pool: PoolId, family: Family) -> Option<api::Cause> {
    let estate = core.estate();
    let required = required(&core.policy_facts(), Some(service), pool);
    if let Some(lacking) = lacking(&required) {
        let of = &estate.pool(lacking.pool).endpoints;
        let endpoint = of.iter().find(|id| endpoint_view(&core.policy_facts(), Some(service), **id).state != State::Up);
        let endpoint = endpoint.map(|id| estate.endpoint_label(*id)).unwrap_or_default();
        return Some(api::Cause { endpoint, reason: REQUIRES.to_string(), message: lacking.text(estate) });
    }
    let failed = |id: EndpointId| {
        let health = core.health().watched(estate, id)?;
        match health.last_failed.filter(|_| health.state != State::Up).map(|report| &report.outcome) {
            Some(Outcome::Fail { reason, message }) => {
                let message = health.failed_by.map_or_else(|| message.clone(), |monitor| format!("{monitor}: {message}"));
                Some(api::Cause { endpoint: estate.endpoint_label(id), reason: reason.word().to_string(), message })
            }
            _ => None,
        }
    };
    let of_family = |family| core.health().pool_family(estate, pool, family);
    of_family(family).chain(of_family(family.other())).chain(estate.pool(pool).endpoints.iter().copied()).find_map(failed)
}
