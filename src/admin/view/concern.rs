//! What a person should look at, worst first.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::admin::api;
use crate::control::{Core, OverrideWord};
use crate::health::{CertificateState, HostHealth};
use crate::model::{EndpointId, HostId, Now, RegionId, TargetId, duration_text};

use super::estate::override_id;

/// A drain without an end is worth a word after this (SEMANTICS, 18).
const DRAIN_LONG: Duration = Duration::from_secs(24 * 3600);

/// Everything worth a look. `services` and `pools`: as shown.
pub(in crate::admin) fn concerns(core: &Core, services: &[api::Service], pools: &[api::Pool], now: Now) -> Vec<api::Concern> {
    let mut found = Vec::new();
    let mut say = |code: &str, severity: &str, subject: String, text: String, next: Option<String>| {
        found.push(api::Concern { code: code.to_string(), severity: severity.to_string(), subject, text, next });
    };
    let overview = core.overview();
    if !overview.store.up {
        let why = overview.store.why.map(|why| format!(" ({why})")).unwrap_or_default();
        say("store-down", "critical", "store".into(), format!("the store can't be written{why}: DNS answers on, changes are refused"), None);
    }
    if let Some(why) = core.blind_because() {
        let text = format!("this node is blind: {why}; decisions are frozen, answers go on");
        say("node-blind", "critical", "node".into(), text, Some("windrose get endpoints".to_string()));
    }
    for id in (0..core.estate().regions.len()).map(RegionId::at) {
        if let Some(delay) = core.guard().delay(id) {
            let name = &core.estate().region(id).name;
            let text = format!("{}, until {}", core.delay_text(id, delay), delay.until);
            say("region-guarded", "warning", format!("region/{name}"), text, Some(format!("windrose describe region {name}")));
        }
    }
    for service in services {
        let (name, traffic) = (&service.name, &service.traffic);
        let describe = Some(format!("windrose describe service {name}"));
        match traffic.rung.as_deref() {
            None => say("service-down", "critical", format!("service/{name}"), format!("{name} answers no address"), describe.clone()),
            Some("all_down") => {
                let text = format!("{name}: nothing is up, answered by when_all_down = {}", service.when_all_down);
                say("service-down", "critical", format!("service/{name}"), text, describe.clone());
            }
            Some(_) => (),
        }
        if let Some(why) = &traffic.unusable {
            let text = format!("{name} follows the file, because the traffic that was set can't be used: {why}");
            // Where the file says so, it is meant.
            let severity = if service.managed_by.is_some() { "info" } else { "warning" };
            say("traffic-unusable", severity, format!("service/{name}"), text, Some(format!("windrose undo {name} --to file")));
        }
        for (region, share, limit) in overloads(core, service) {
            let text = format!("{region} answers {share} % of {name}, and declares to carry {limit} % of its peak");
            say("region-overloaded", "warning", format!("region/{region}"), text, describe.clone());
        }
        for pool in service.pools.iter().filter(|pool| pool.held) {
            let why = pool.waits.as_ref().map(|why| format!(", its time is over but {why}")).unwrap_or_default();
            let text = format!("{name}: {} has returned and waits for failback{why}", pool.pool);
            say("waiting-failback", "info", format!("service/{name}"), text, Some(format!("windrose failback {name} {}", pool.pool)));
        }
    }
    for pool in pools.iter().filter(|pool| pool.state == api::State::Down && !pool.services.is_empty()) {
        let (name, up, of) = (&pool.name, pool.up, pool.of);
        let text = match &pool.lacks {
            Some(lacks) => format!("pool {name} is down: {lacks}"),
            None => format!("pool {name} is down: {up} of {of} endpoints up, {} needed", pool.min_up),
        };
        say("pool-down", "critical", format!("pool/{name}"), text, Some(format!("windrose describe pool {name}")));
    }
    for pool in pools {
        if let (Some(why), None) = (&pool.outdated, &pool.approved_by) {
            let (name, next) = (&pool.name, format!("windrose describe region {}", pool.region));
            say("data-too-old", "critical", format!("pool/{name}"), format!("pool {name} would not be used: {why}"), Some(next));
        }
    }
    for pool in pools {
        if let Some(api::PoolShed { shedding_since: Some(_), share, why: Some(why), .. }) = &pool.shed {
            let (name, next) = (&pool.name, format!("windrose describe pool {}", pool.name));
            say("pool-shedding", "warning", format!("pool/{name}"), format!("pool {name} gives away {share} % of its answers: {why}"), Some(next));
        }
    }
    for id in (0..core.estate().endpoints.len()).map(EndpointId::at).filter(|_| core.health().shapes_any()) {
        let degraded = core.health().degraded(core.estate(), id);
        let why = core.health().quality(core.estate(), id).and_then(|(_, quality)| quality.degraded_why.clone());
        if let (Some(factor), Some(why)) = (degraded, why) {
            let name = core.estate().endpoint_label(id);
            let text = format!("endpoint {name} is up, but degraded (counts {factor}): {why}");
            say("endpoint-degraded", "warning", format!("endpoint/{name}"), text, Some(format!("windrose describe endpoint {name}")));
        }
    }
    for id in (0..core.estate().targets.len()).map(TargetId::at) {
        let certificate = core.health().target(id).quality.certificate;
        if certificate.is_some_and(|certificate| certificate.told.is_some() && certificate.state != CertificateState::Valid)
            && let Some(text) = core.certificate_text(id)
        {
            let first = core.estate().endpoints_of(id).next();
            let subject = first.map_or_else(|| "sentinel".to_string(), |endpoint| format!("endpoint/{}", core.estate().endpoint_label(endpoint)));
            say("certificate-expiring", "warning", subject, text, None);
        }
    }
    for (at, name) in core.estate().hosts.iter().enumerate() {
        let HostHealth { found, trouble } = core.health().host(HostId::at(at));
        let Some(endpoint) = core.estate().endpoints_at(HostId::at(at)).next().map(|id| core.estate().endpoint_label(id)) else { continue };
        let next = Some(format!("windrose describe endpoint {endpoint}"));
        match (found, trouble) {
            (Some(found), Some(trouble)) => {
                let text = format!("{name} answers with its addresses of {}, since then: {trouble}", found.at.whole_seconds());
                say("host-unresolved", "warning", format!("endpoint/{endpoint}"), text, next);
            }
            (None, Some(trouble)) => {
                let text = format!("{name} was never resolved, so nothing of it is answered: {trouble}");
                say("host-unresolved", "critical", format!("endpoint/{endpoint}"), text, next);
            }
            (_, None) => (),
        }
    }
    for kept in core.overrides() {
        let lasts = now.wall.since(kept.record.at);
        if kept.record.kind == OverrideWord::Drain && kept.record.ends.is_none() && DRAIN_LONG <= lasts {
            let hours = Duration::from_secs(lasts.as_secs() / 3600 * 3600);
            let text = format!("{} is drained without an end, for {} now ({})", kept.record.target, duration_text(hours), override_id(&kept));
            say("drain-without-end", "warning", kept.record.target.to_string(), text, Some(format!("windrose get overrides {}", override_id(&kept))));
        }
    }
    for window in &core.estate().rules.freezes {
        if let Some(until) = window.until(now.wall) {
            let who = if window.services.is_empty() { "changes".to_string() } else { format!("changes of {}", window.services.join(", ")) };
            let about = if window.about.is_empty() { String::new() } else { format!(" ({})", window.about) };
            say("frozen", "info", "freeze".into(), format!("{who} are frozen until {}{about}", until.whole_seconds()), Some("windrose get guards".to_string()));
        }
    }
    for (id, actor, reason) in core.confirmations(now) {
        let text = format!("c-{id}: {} wants to break the glass ({reason}), and a second admin must confirm it", actor.0);
        say("confirmation-waits", "warning", format!("confirmation/c-{id}"), text, Some(format!("windrose confirm c-{id} --dry-run")));
    }
    for database in core.databases() {
        if let Some(why) = &database.problem {
            let before = database.built.map_or("nothing is known of it".to_string(), |built| format!("the one made {} counts on", built.whole_seconds()));
            let text = format!("GeoIP database {} {why}; {before}", database.file);
            say("geo-database", "warning", "geo".into(), text, Some("windrose reload".to_string()));
        }
    }
    for key in overview.needs_restart {
        say("needs-restart", "info", "config".into(), format!("{key} changed in the file and waits for a restart"), None);
    }
    let rank = |concern: &api::Concern| ["critical", "warning", "info"].iter().position(|severity| *severity == concern.severity);
    found.sort_by_key(rank);
    found
}

/// Regions that answer more of a service than they declare to carry: name, share and declared share, per cent.
fn overloads(core: &Core, service: &api::Service) -> Vec<(String, f64, u32)> {
    let rules = &core.estate().rules;
    if rules.capacity.is_empty() {
        return Vec::new();
    }
    let mut regions: BTreeMap<&str, f64> = BTreeMap::new();
    for pool in &service.pools {
        *regions.entry(&pool.region).or_default() += service.traffic.shares.effective.get(&pool.pool).unwrap_or(0.0);
    }
    let over = |(region, share): (&str, f64)| {
        let limit = rules.capacity.get(region)?.of(&service.name)?;
        (f64::from(limit) + 0.01 < share).then(|| (region.to_string(), (share * 10.0).round() / 10.0, limit))
    };
    regions.into_iter().filter_map(over).collect()
}
