//! A simulation, and how answers fade, as the API shows them.

use crate::admin::api;
use crate::control::{Overload, Part, RegionLoad, Simulated, Simulation};
use crate::model::Timestamp;
use crate::policy::Forecast;

/// Most entries of one list.
const SHOWN_MAX: usize = 1_000;
/// Shares of clients whose moment is told, per cent.
const MOVED: [f64; 4] = [50.0, 90.0, 98.0, 99.9];

/// Everything, with lists cut.
pub(in crate::admin) fn simulation(found: Simulation, at: api::LoadAt, forecast: Option<api::Forecast>) -> api::Simulation {
    let Simulation { down, services, regions, cascade, guards, change_guards, messages } = found;
    api::Simulation {
        at,
        down: down.into_iter().take(SHOWN_MAX).collect(),
        services_total: services.len() as u64,
        services: services.into_iter().take(SHOWN_MAX).map(service).collect(),
        regions: regions.into_iter().map(region).collect(),
        cascade: cascade.iter().map(strain).collect(),
        guards,
        change_guards: change_guards.into_iter().map(Into::into).collect(),
        messages,
        forecast,
    }
}

/// How what was answered until `from` fades.
pub(in crate::admin) fn forecast(forecast: Forecast, from: Timestamp) -> api::Forecast {
    let moved = MOVED.map(|percent| api::MovedBy { percent, at: from.plus(forecast.moved_after(percent / 100.0)).into() });
    api::Forecast {
        from: from.into(),
        ttl: forecast.ttl.into(),
        stragglers: forecast.fading.stragglers,
        moved: moved.into(),
        safe_at: from.plus(forecast.safe_after()).into(),
        old: forecast.curve().into_iter().map(|(after, share)| api::OldShare { after: after.into(), percent: tidy(share * 100.0) }).collect(),
    }
}

fn service(found: Simulated) -> api::SimulatedService {
    let shares = |parts: &[Part]| api::Shares::from_ratios(parts.iter().map(|part| (&part.pool, part.share)));
    api::SimulatedService {
        service: found.service.to_string(),
        before: shares(&found.before),
        after: shares(&found.after),
        by_client: found.by_client.into_iter().map(super::preflight::client_move).collect(),
        rung: found.rung.map(|rung| rung.word().to_string()),
        answers_per_second: found.load.rate.map(tidy),
    }
}

fn region(found: RegionLoad) -> api::SimulatedRegion {
    let RegionLoad { region, before, after, strain: found, fallen } = found;
    api::SimulatedRegion {
        region: region.to_string(),
        before_per_second: before.map(tidy),
        after_per_second: after.map(tidy),
        strain: found.as_ref().map(strain),
        fallen,
    }
}

fn strain(found: &Overload) -> api::Strain {
    api::Strain {
        region: found.region.to_string(),
        service: found.service.to_string(),
        load: tidy(found.load),
        capacity: found.capacity,
        exceeded: found.exceeds(),
    }
}

/// Two decimals.
fn tidy(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
