//! Counters as `metrics` wants them: series with closed labels, summed over workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::Family;
use crate::snapshot::{CellId, ZoneSlot};
use crate::wire::Rcode;

use super::counters::{Counters, DURATION_BOUNDS, SIZE_BOUNDS, cookie_at, query_at, response_at, subnet_at, truncated_at};
use super::words::{CookieOutcome, DropReason, QTYPE_WORDS, SubnetOutcome, Transport};

/// Types whose queries are shown before the first one.
const QTYPES_ALWAYS: usize = 2;
/// Rcodes that are shown before the first response.
const RCODES_ALWAYS: [Rcode; 5] = [Rcode::NoError, Rcode::FormErr, Rcode::ServFail, Rcode::NxDomain, Rcode::Refused];

/// What a counter counts. The name of a zone slot is [`CellMap::zone_name`](crate::snapshot::CellMap::zone_name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Series {
    /// `windrose_dns_queries_total`
    Queries {
        /// Whose names were asked for.
        zone: ZoneSlot,
        /// One of [`QTYPE_WORDS`].
        qtype: &'static str,
        /// `proto`
        transport: Transport,
        /// Of the client's address.
        family: Family,
    },
    /// `windrose_dns_responses_total`
    Responses {
        /// Whose names were asked for.
        zone: ZoneSlot,
        /// [`Rcode::word`]
        rcode: Rcode,
        /// `proto`
        transport: Transport,
    },
    /// `windrose_dns_truncated_total`
    Truncated {
        /// Whose names were asked for.
        zone: ZoneSlot,
    },
    /// `windrose_dns_client_subnet_total`
    ClientSubnet {
        /// Whose names were asked for.
        zone: ZoneSlot,
        /// What was made of it.
        outcome: SubnetOutcome,
    },
    /// `windrose_dns_cookies_total`
    Cookies {
        /// Whose names were asked for.
        zone: ZoneSlot,
        /// What they were worth.
        outcome: CookieOutcome,
    },
    /// `windrose_dns_dropped_total`
    Dropped {
        /// Why.
        reason: DropReason,
    },
}

/// Which histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistogramOf {
    /// `windrose_dns_response_size_bytes`, octets.
    ResponseSize(Transport),
    /// `windrose_dns_query_duration_seconds`, seconds.
    QueryDuration(Transport),
}

/// A histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, without +Inf.
    pub bounds: &'static [f64],
    /// Observations per bucket, not cumulated; one more than bounds: the last is up to +Inf.
    pub counts: Vec<u64>,
    /// Of all observations, in the histogram's unit.
    pub sum: f64,
}

/// Tells every series that is not 0, and those that should be seen at 0 from the start, each once with the sum over `workers`.
pub fn visit(workers: &[Arc<Counters>], tell: &mut dyn FnMut(Series, u64)) {
    for reason in DropReason::ALL {
        let sum = workers.iter().filter_map(|worker| worker.dropped.get(reason as usize)).map(load).sum();
        tell(Series::Dropped { reason }, sum);
    }
    let zones_end = workers.iter().map(|worker| worker.zones_end.load(Ordering::Acquire)).max().unwrap_or(0);
    for zone in (0..zones_end).map(ZoneSlot) {
        let mut tell_one = |series: Series, at: usize, always: bool| {
            let sum: u64 = workers.iter().map(|worker| worker.of_zone(zone, at)).sum();
            if sum > 0 || always {
                tell(series, sum);
            }
        };
        for transport in Transport::ALL {
            for family in Family::ALL {
                for (number, qtype) in QTYPE_WORDS.into_iter().enumerate() {
                    let series = Series::Queries { zone, qtype, transport, family };
                    tell_one(series, query_at(number, transport, family), number < QTYPES_ALWAYS);
                }
            }
            for rcode in Rcode::ALL {
                tell_one(Series::Responses { zone, rcode, transport }, response_at(rcode, transport), RCODES_ALWAYS.contains(&rcode));
            }
        }
        tell_one(Series::Truncated { zone }, truncated_at(), true);
        for outcome in SubnetOutcome::ALL {
            tell_one(Series::ClientSubnet { zone, outcome }, subnet_at(outcome), outcome == SubnetOutcome::Ignored);
        }
        for outcome in CookieOutcome::ALL {
            tell_one(Series::Cookies { zone, outcome }, cookie_at(outcome), outcome == CookieOutcome::Valid);
        }
    }
}

/// A histogram summed over `workers`.
pub fn histogram(workers: &[Arc<Counters>], of: HistogramOf) -> Histogram {
    let bounds: &'static [f64] = match of {
        HistogramOf::ResponseSize(_) => &SIZE_BOUNDS,
        HistogramOf::QueryDuration(_) => &DURATION_BOUNDS,
    };
    let mut whole = Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 };
    for (counts, sum, unit) in workers.iter().filter_map(|worker| worker.buckets(of)) {
        whole.counts.iter_mut().zip(counts).for_each(|(whole, part)| *whole += load(part));
        whole.sum += load(sum) as f64 * unit;
    }
    whole
}

/// Answers given from a cell by all `workers`.
pub fn cell_total(workers: &[Arc<Counters>], cell: CellId) -> u64 {
    workers.iter().map(|worker| worker.cell(cell)).sum()
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
