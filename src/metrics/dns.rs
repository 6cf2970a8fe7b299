//! DNS as counted by the workers. Each worker writes its own counters; they are summed here, when somebody looks.

use std::sync::Arc;

use crate::answer::{self, Counters, HistogramOf, Transport};
use crate::control::Core;
use crate::model::Family;
use crate::snapshot::ZoneSlot;

use super::catalog;
use super::series::Series;

/// The `zone` label of queries that belong to none of our zones. No zone has such a name by accident: host names have no underscore.
const OUTSIDE: &str = "_outside";

/// DNS queries since the start, all together.
pub fn queries(workers: &[Arc<Counters>]) -> u64 {
    let mut sum = 0;
    answer::visit(workers, &mut |counted, count| {
        if let answer::Series::Queries { .. } = counted {
            sum += count;
        }
    });
    sum
}

/// Everything that is counted per zone, transport or reason.
pub fn collect(core: &Core, workers: &[Arc<Counters>], out: &mut Vec<Series>) {
    let mut queries = Series::new(catalog::DNS_QUERIES);
    let mut responses = Series::new(catalog::DNS_RESPONSES);
    let mut truncated = Series::new(catalog::DNS_TRUNCATED);
    let mut subnets = Series::new(catalog::DNS_CLIENT_SUBNET);
    let mut cookies = Series::new(catalog::DNS_COOKIES);
    let mut dropped = Series::new(catalog::DNS_DROPPED);
    let zones = Zones::new(core);
    answer::visit(workers, &mut |counted, count| {
        let count = count as f64;
        match counted {
            answer::Series::Queries { zone, qtype, transport, family } => {
                zones.with(zone, |zone| queries.push(&[zone, qtype, transport.word(), family_word(family)], count));
            }
            answer::Series::Responses { zone, rcode, transport } => {
                zones.with(zone, |zone| responses.push(&[zone, rcode.word(), transport.word()], count));
            }
            answer::Series::Truncated { zone } => zones.with(zone, |zone| truncated.push(&[zone], count)),
            answer::Series::ClientSubnet { zone, outcome } => zones.with(zone, |zone| subnets.push(&[zone, outcome.word()], count)),
            answer::Series::Cookies { zone, outcome } => zones.with(zone, |zone| cookies.push(&[zone, outcome.word()], count)),
            answer::Series::Dropped { reason } => dropped.push(&[reason.word()], count),
        }
    });
    out.extend([queries, responses, truncated, subnets, cookies, dropped]);
    let mut durations = Series::new(catalog::DNS_DURATION);
    let mut sizes = Series::new(catalog::DNS_SIZE);
    for transport in Transport::ALL {
        write(&mut durations, transport, &answer::histogram(workers, HistogramOf::QueryDuration(transport)));
        write(&mut sizes, transport, &answer::histogram(workers, HistogramOf::ResponseSize(transport)));
    }
    out.extend([durations, sizes]);
}

fn write(series: &mut Series, transport: Transport, histogram: &answer::Histogram) {
    let answer::Histogram { bounds, counts, sum } = histogram;
    series.push_histogram(&[transport.word()], bounds, counts, *sum);
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Names of the zone slots in use, by slot; `None` for zones that are gone.
struct Zones(Vec<Option<String>>);

impl Zones {
    fn new(core: &Core) -> Self {
        let name = |apex: &crate::wire::Name| core.zones().iter().any(|zone| zone.apex == *apex).then(|| apex.to_string());
        let known = core.cells().zones().map(|(apex, _)| name(apex));
        Self(std::iter::once(Some(OUTSIDE.to_string())).chain(known).collect())
    }

    fn with(&self, slot: ZoneSlot, push: impl FnOnce(&str)) {
        if let Some(Some(name)) = self.0.get(slot.0 as usize) {
            push(name);
        }
    }
}
