//! A replay as the API shows it.

use std::time::Duration;

use crate::admin::api;
use crate::control::{Failover, Flip, Outage, Replayed, ServiceTime};

/// Most entries of one list.
const SHOWN_MAX: usize = 1_000;

/// Everything, with lists cut.
pub(in crate::admin) fn replayed(played: Replayed) -> api::Replayed {
    let Replayed {
        outcomes: _,
        unheard: _,
        unused: _,
        gaps: _,
        flips,
        flips_total,
        failovers,
        failovers_total,
        outages,
        outages_total,
        missed_total,
        services,
    } = played;
    let mut found: Vec<Duration> = outages.iter().filter_map(found_after).collect();
    found.sort_unstable();
    api::Replayed {
        flips: flips_total,
        flipped: flips.into_iter().map(flip).collect(),
        failovers: failovers_total,
        moved: failovers.into_iter().map(failover).collect(),
        outages: outages_total,
        missed: missed_total,
        found_after_median: found.get(found.len() / 2).copied().map(Into::into),
        found_after_longest: found.last().copied().map(Into::into),
        seen: outages.into_iter().map(outage).collect(),
        services_total: services.len() as u64,
        services: services.into_iter().take(SHOWN_MAX).map(service).collect(),
    }
}

fn found_after(outage: &Outage) -> Option<Duration> {
    outage.found.map(|found| found.since(outage.since))
}

fn flip(flip: Flip) -> api::ReplayedFlip {
    let Flip { at, endpoint, to } = flip;
    api::ReplayedFlip { at: at.into(), endpoint, to: to.word().to_string() }
}

fn failover(failover: Failover) -> api::ReplayedFailover {
    let Failover { at, service, services, from, to, took } = failover;
    api::ReplayedFailover { at: at.into(), service: service.to_string(), services, from, to, took: took.map(Into::into) }
}

fn outage(outage: Outage) -> api::ReplayedOutage {
    let found_after = found_after(&outage).map(Into::into);
    let Outage { target, endpoint, since, until, fails, found: _ } = outage;
    api::ReplayedOutage { endpoint, target: target.to_string(), since: since.into(), until: until.map(Into::into), fails, found_after }
}

fn service(time: ServiceTime) -> api::ReplayedService {
    let ServiceTime { service, regions, dark, failovers } = time;
    let region = |(region, time): (std::sync::Arc<str>, Duration)| api::ReplayedRegion { region: region.to_string(), time: whole(time) };
    api::ReplayedService { service: service.to_string(), regions: regions.into_iter().map(region).collect(), dark: whole(dark), failovers }
}

/// To the nearest second.
fn whole(span: Duration) -> api::Span {
    Duration::from_secs_f64(span.as_secs_f64().round()).into()
}
