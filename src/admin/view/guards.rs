//! The guards in force, each with where it stands.

use std::sync::Arc;

use crate::admin::api;
use crate::control::{Core, GateView};
use crate::model::{Estate, GuardKind, Origin, ServiceId};

/// Guards of one service: what counts for all of it, then what regions of its policy say otherwise.
pub(in crate::admin) fn guards(core: &Core, id: ServiceId) -> api::ServiceGuards {
    let (estate, view) = (core.estate(), core.service(id));
    let (rules, service) = (&estate.rules, &*view.service.name);
    let mut guards = Vec::new();
    let mut say = |guard: GuardKind, region: Option<&str>, value: String, source: String| {
        guards.push(api::EffectiveGuard { name: guard.word().to_string(), region: region.map(str::to_string), value, source });
    };
    let on = || "on".to_string();
    let regions = regions_of(core, estate, id);
    let (limit, origin) = rules.min_serving_regions(service);
    if 0 < limit {
        say(GuardKind::MinServingRegions, None, limit.to_string(), source(origin, service, None));
    }
    for (at, region) in std::iter::once(None).chain(regions.iter().map(|region| Some(&**region))).enumerate() {
        // A region is told where it says something of its own.
        let told = |origin: Origin| at == 0 || origin == Origin::Region;
        if let (Some(limit), origin) = rules.max_step(service, region)
            && told(origin)
        {
            say(GuardKind::MaxStep, region, limit.to_string(), source(origin, service, region));
        }
        let (healthy, origin) = rules.healthy_targets(service, region);
        if healthy && told(origin) {
            say(GuardKind::HealthyTargets, region, on(), source(origin, service, region));
        }
        if let Some(name) = region
            && let (Some(limit), _) = rules.capacity(service, name)
        {
            say(GuardKind::Capacity, region, limit.to_string(), format!("[region.{name}]"));
        }
        let (needed, origin) = rules.require_reason(service, region);
        if needed && told(origin) {
            say(GuardKind::RequireReason, region, on(), source(origin, service, region));
        }
        let (gates, origin) = rules.gates_of(service, region);
        if told(origin) {
            let states = core.gates();
            for gate in gates {
                let word = if states.iter().any(|known| *known.name == gate && known.on) { "on" } else { "off" };
                say(GuardKind::Gate, region, format!("{gate} ({word})"), source(origin, service, region));
            }
        }
    }
    if let (Some(limit), origin) = rules.rate(service) {
        say(GuardKind::Rate, None, format!("{limit} per hour"), source(origin, service, None));
    }
    for window in rules.freezes.iter().filter(|window| window.binds(service)) {
        let allowed = window.allow.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ");
        let allows = if allowed.is_empty() { String::new() } else { format!(", allows {allowed}") };
        let about = if window.about.is_empty() { String::new() } else { format!(" ({})", window.about) };
        say(GuardKind::Freeze, None, format!("{}{allows}{about}", window.time), "[[freeze]]".to_string());
    }
    api::ServiceGuards { service: service.to_string(), guards }
}

fn source(origin: Origin, service: &str, region: Option<&str>) -> String {
    match origin {
        Origin::Default => "default".to_string(),
        Origin::Global => "[guards]".to_string(),
        Origin::Service => format!("[service.{service}.guards]"),
        Origin::Region => format!("[region.{}.guards]", region.unwrap_or_default()),
    }
}

/// Regions of the policy in force, in the order of their pools.
fn regions_of(core: &Core, estate: &Estate, id: ServiceId) -> Vec<Arc<str>> {
    let mut regions: Vec<Arc<str>> = Vec::new();
    core.service(id).policy.pools(&mut |pool| {
        let name = &estate.region(estate.pool(pool).region).name;
        if !regions.contains(name) {
            regions.push(name.clone());
        }
    });
    regions
}

/// One gate.
pub(in crate::admin) fn gate(view: &GateView<'_>) -> api::Gate {
    let GateView { name, about, on, switched } = view;
    let switched = switched.map(|record| api::Changed { at: record.at.into(), by: record.actor.clone(), reason: record.reason.clone() });
    api::Gate { name: name.to_string(), about: about.to_string(), on: *on, switched }
}
