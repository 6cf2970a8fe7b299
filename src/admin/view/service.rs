//! A service: its traffic with the three shares, and its pools as it sees them.

use std::time::Duration;

use crate::admin::api;
use crate::client::ClassId;
use crate::control::{Core, History, Revision, ServiceView, Source};
use crate::health::State;
use crate::metrics::Metrics;
use crate::model::{AllDown, Family, Now, PoolId, ServiceId, Timestamp};
use crate::policy::{self, Rung, endpoint_view, pool_view};

use super::NAMES_SHOWN;
use super::board::is_back;
use super::estate::{REQUIRES, cause, known_time, override_id};

/// How far back answered shares count.
const ANSWERED_WINDOW: Duration = Duration::from_secs(300);
/// Shares closer than this are the same.
const SAME: f64 = 0.000_1;
/// Kinds of clients that are shown of one service.
const CLIENTS_SHOWN: usize = 20;

/// A service as it stands.
pub(in crate::admin) fn service(core: &Core, id: ServiceId, metrics: &Metrics, now: Now) -> api::Service {
    let view = core.service(id);
    let definition = view.service;
    let pools = pools(core, &view, metrics, now);
    api::Service {
        name: definition.name.to_string(),
        names: definition.names.iter().take(NAMES_SHOWN).map(|name| name.to_string()).collect(),
        names_total: definition.names.len() as u64,
        failback: definition.failback.to_string(),
        trickle: definition.trickle.percent(),
        when_all_down: match definition.when_all_down {
            AllDown::LastGood => "last_good".to_string(),
            AllDown::ServeAll => "serve_all".to_string(),
            AllDown::First => "first".to_string(),
            AllDown::NoData => "nodata".to_string(),
            AllDown::ServFail => "servfail".to_string(),
            AllDown::Pool(pool) => format!("pool/{}", core.estate().pool(pool).name),
        },
        answer: definition.answer.word().to_string(),
        max_answers: definition.max_answers,
        traffic: traffic_of(core, &view, metrics, &pools),
        pools,
        answers_per_second: metrics.answers_per_second(core, &definition.name, now),
        first: view.memory.first[core.shown_family(id).index()].as_deref().map(str::to_string),
        frozen: view.frozen.map(|id| format!("o-{id}")),
        managed_by: core.managed(&definition.name).map(str::to_string),
    }
}

/// Where a service's traffic goes.
pub(in crate::admin) fn traffic(core: &Core, id: ServiceId, metrics: &Metrics, now: Now) -> api::Traffic {
    let view = core.service(id);
    let pools = pools(core, &view, metrics, now);
    traffic_of(core, &view, metrics, &pools)
}

fn traffic_of(core: &Core, view: &ServiceView<'_>, metrics: &Metrics, pools: &[api::ServicePool]) -> api::Traffic {
    let family = core.shown_family(view.id);
    let (desired, effective) = (core.desired(view.id), core.effective(view.id, family));
    let leaves = &view.decision.families[family.index()].leaves;
    let rung = leaves.iter().map(|leaf| leaf.rung).max();
    let share = |shares: &[(std::sync::Arc<str>, f64)], pool: &str| shares.iter().find(|(name, _)| **name == *pool).map_or(0.0, |(_, share)| *share);
    let lost = pools.iter().filter(|pool| share(&effective, &pool.pool) + SAME < share(&desired, &pool.pool));
    let mut reasons: Vec<String> = lost.map(|pool| why_less(core, view, pool)).collect();
    if view.frozen.is_some() {
        reasons.push("the service is frozen: it answers as decided before".to_string());
    }
    if rung == Some(Rung::AllDown) {
        reasons.push("nothing is up: answered by when_all_down".to_string());
    }
    api::Traffic {
        service: view.service.name.to_string(),
        revision: view.revision.0,
        source: match view.source {
            Source::File => api::Source::File,
            Source::Operator => api::Source::Operator,
        },
        policy: view.form.clone(),
        shares: api::ThreeShares {
            desired: api::Shares::from_ratios(desired),
            effective: api::Shares::from_ratios(effective),
            answered: api::Shares::from_ratios(metrics.answered(core, &view.service.name)),
            window: ANSWERED_WINDOW.into(),
        },
        rung: rung.map(|rung| rung.word().to_string()),
        by_client: by_client(core, view, family),
        reason_effective: reasons,
        ttl_seconds: view.decision.ttl,
        changed: view.traffic.map(|record| api::Changed { at: record.at.into(), by: record.actor.clone(), reason: record.reason.clone() }),
        unusable: view.unusable.map(str::to_string),
        shift: core.active_shift(&view.service.name).map(|id| format!("s-{id}")),
    }
}

/// What clients get who get something else than those of whom nothing is known.
fn by_client(core: &Core, view: &ServiceView<'_>, family: Family) -> Vec<api::ClientTraffic> {
    let traffic = |(class, shares): (ClassId, Vec<(std::sync::Arc<str>, f64)>)| {
        let leaves = &view.decision.of_class(class).0[family.index()].leaves;
        api::ClientTraffic {
            clients: core.name_of(class).unwrap_or_else(|| {
                let known =
                    if core.policy_facts().clients.is_measured(class) { "clients in networks with measured latency" } else { "clients whose place is known" };
                known.to_string()
            }),
            effective: api::Shares::from_ratios(shares),
            rung: leaves.iter().map(|leaf| leaf.rung).max().map(|rung| rung.word().to_string()),
        }
    };
    core.effective_by_client(view.id, family).into_iter().take(CLIENTS_SHOWN).map(traffic).collect()
}

/// One sentence: why a pool answers less than it was asked to.
fn why_less(core: &Core, view: &ServiceView<'_>, pool: &api::ServicePool) -> String {
    let name = &pool.pool;
    match pool {
        _ if pool.state != api::State::Up => {
            let cause = pool.cause.as_ref().map(|cause| match cause.reason.as_str() {
                REQUIRES => format!(": {}", cause.message),
                _ => format!(": {}: {}", cause.endpoint, cause.message),
            });
            let cause = cause.unwrap_or_default();
            format!("{name} is {} ({} of {} endpoints up){cause}", pool.state, pool.up, pool.of)
        }
        api::ServicePool { outdated: Some(why), .. } => {
            format!("{name} is kept off: {why}; synchronise it, or go all the same: windrose approve pool {name} --reason \"…\"")
        }
        api::ServicePool { sheds: Some(why), .. } => format!("{name} gives away a share of its answers: {why}"),
        _ if pool.drained => {
            let by = core.overrides().into_iter().find(|kept| kept.record.kind.word() == "drain" && pool.overrides.contains(&override_id(kept)));
            let by = by.map(|kept| format!(" by {} ({}{})", kept.record.actor, override_id(&kept), because(&kept.record.reason))).unwrap_or_default();
            format!("{name} is drained{by}")
        }
        api::ServicePool { returning: Some(stage), .. } => {
            let (until, service) = (pool.held_until.map(|until| format!(", all of it by {until}")).unwrap_or_default(), &view.service.name);
            let waits = pool.waits.as_ref().map(|why| format!("; guards put the next step off: {why}")).unwrap_or_default();
            let step = format!("{} % of its share, step {} of {}", stage.percent, stage.step, stage.steps);
            format!("{name} has returned and takes {step}{until}{waits}; to use all of it now: windrose failback {service} {name}")
        }
        _ if pool.held => {
            let until = pool.held_until.map(|until| format!(", until {until} at the latest")).unwrap_or_default();
            format!("{name} has returned and waits for failback{until}; to use it now: windrose failback {} {name}", view.service.name)
        }
        api::ServicePool { degraded: Some(degraded), .. } if pool.rung.is_some() => {
            format!("{name} is degraded and counts {} of its share: {}", degraded.factor, degraded.why)
        }
        _ => format!("{name} stands back for another pool"),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", {reason}") }
}

/// The pools of the policy in force in file order, then the last resort.
fn pools(core: &Core, view: &ServiceView<'_>, metrics: &Metrics, now: Now) -> Vec<api::ServicePool> {
    let mut ids: Vec<PoolId> = Vec::new();
    let mut enter = |pool: PoolId| {
        if !ids.contains(&pool) {
            ids.push(pool);
        }
    };
    view.policy.pools(&mut enter);
    if let AllDown::Pool(pool) = view.service.when_all_down {
        enter(pool);
    }
    let answers = metrics.answers(core, &view.service.name);
    let mut pools: Vec<api::ServicePool> = ids.into_iter().map(|pool| service_pool(core, view, pool, now)).collect();
    for pool in &mut pools {
        pool.answers = Some(answers.iter().find(|(name, _)| **name == *pool.pool).map_or(0, |(_, count)| *count));
    }
    pools
}

fn service_pool(core: &Core, view: &ServiceView<'_>, id: PoolId, now: Now) -> api::ServicePool {
    let (estate, facts) = (core.estate(), core.policy_facts());
    let pool = estate.pool(id);
    let family = core.shown_family(view.id);
    let seen = pool_view(&facts, Some(view.id), id, family);
    let endpoints: Vec<_> = pool.endpoints.iter().map(|endpoint| endpoint_view(&facts, Some(view.id), *endpoint)).collect();
    let held = view.memory.holds(id, family) && is_back(core, id, family);
    let (failback, name) = (view.service.failback, &*view.service.name);
    let stage = view.memory.stage(policy::Hold { pool: id, family });
    let leaves = &view.decision.families[family.index()].leaves;
    let answers = leaves.iter().any(|leaf| leaf.pools.contains(&id));
    let up = endpoints.iter().filter(|endpoint| endpoint.state == State::Up).count();
    let region = &estate.region(pool.region).name;
    let mut overrides: Vec<(u64, String)> = pool
        .endpoints
        .iter()
        .flat_map(|endpoint| core.overrides_on(*endpoint))
        .filter(|kept| kept.record.services.is_empty() || kept.record.services.contains(&view.service.name))
        .map(|kept| (kept.id, override_id(&kept)))
        .collect();
    overrides.sort();
    overrides.dedup();
    api::ServicePool {
        pool: pool.name.to_string(),
        region: region.to_string(),
        state: seen.state.into(),
        guarded: seen.guarded,
        stale: endpoints.iter().any(|endpoint| endpoint.stale),
        up: u32::try_from(up).unwrap_or(u32::MAX),
        of: u32::try_from(endpoints.len()).unwrap_or(u32::MAX),
        drained: seen.drained,
        held,
        held_until: held.then(|| policy::hold_ends(failback, name, seen.observed.up_since, stage).map(|end| wall_of(end, now).into())).flatten(),
        returning: stage.filter(|_| held).zip(failback.stages()).map(|(stage, stages)| api::Returning {
            percent: stages.steps.percent(stage.step),
            step: stage.step,
            steps: stages.steps.count(),
            next: policy::hold_moves(failback, name, seen.observed.up_since, Some(stage)).map(|at| wall_of(at, now).into()),
        }),
        waits: held.then(|| view.waits.map(str::to_string)).flatten(),
        outdated: seen.outdated.filter(|_| seen.approved_by.is_none() && !answers).map(|why| why.to_string()),
        sheds: core.policy_facts().crowded.get(&id).filter(|crowded| crowded.sheds && answers).map(|crowded| crowded.why.to_string()),
        rung: leaves.iter().find(|leaf| leaf.pools.contains(&id)).map(|leaf| leaf.rung.word().to_string()),
        overrides: overrides.into_iter().map(|(_, id)| id).collect(),
        answers: None,
        since: since(core, id, family, seen.state),
        degraded: degraded(core, &seen),
        cause: if seen.state == State::Up && !seen.guarded { None } else { cause(core, view.id, id, family) },
    }
}

/// Which of the endpoints that serve are degraded, and why; by the overrides that the pool was seen with.
fn degraded(core: &Core, seen: &policy::PoolView<'_>) -> Option<api::PoolDegraded> {
    let facts = core.policy_facts();
    let mut first = seen.serving.iter().filter_map(|id| facts.health.degraded(facts.estate, *id).map(|_| *id));
    if 1.0 <= seen.factor {
        return None;
    }
    let worst = first.next()?;
    let many = 1 + first.count();
    let why = facts.health.quality(facts.estate, worst).and_then(|(_, quality)| quality.degraded_why.clone()).unwrap_or_default();
    let why = format!("{many} of {} serving endpoints degraded: {}: {why}", seen.serving.len(), facts.estate.endpoint_label(worst));
    Some(api::PoolDegraded { factor: (seen.factor * 1000.0).round() / 1000.0, why })
}

/// The wall time of a future `mono`.
fn wall_of(mono: Duration, now: Now) -> Timestamp {
    now.wall.plus(mono.saturating_sub(now.mono))
}

/// Since when a pool is as it is: the latest change of an endpoint that is in that state.
fn since(core: &Core, pool: PoolId, family: Family, state: State) -> Option<api::Time> {
    let estate = core.estate();
    let changed = |id| core.health().watched(estate, id).filter(|health| health.state == state).map(|health| health.since);
    let own = core.health().pool_family(estate, pool, family).filter_map(changed).max();
    // It may be so because of what it requires.
    let requires = || estate.pool(pool).requires.iter().flat_map(|required| &estate.pool(required.pool).endpoints).filter_map(|id| changed(*id)).max();
    own.or_else(requires).and_then(known_time)
}

/// A past change.
pub(in crate::admin) fn revision((revision, history): (Revision, &History)) -> api::RevisionEntry {
    let History { form, before, verb, actor, reason, at, overridden } = history;
    api::RevisionEntry {
        revision: revision.0,
        verb: verb.clone(),
        policy: form.clone(),
        before: before.clone(),
        by: actor.clone(),
        reason: reason.clone(),
        at: (*at).into(),
        overridden: overridden.clone(),
    }
}
