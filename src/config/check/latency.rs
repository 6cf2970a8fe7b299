//! `[latency]`: what is made of measurements that others push.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::file::Latency;
use crate::config::problem::Sink;
use crate::config::read::Key;
use crate::model::{LatencyRules, duration_text};

use super::number;

/// Of a measurement: whoever measures does it now and then, and paths change within a month.
const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
/// Per cent. By more no region would ever be better.
const BETTER_BY: RangeInclusive<i64> = 0..=90;
/// Beyond it no region would ever be better.
const AND_BY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10);
/// Networks that one may keep: about 300 octets of memory each.
const NETWORKS_MAX: RangeInclusive<i64> = 1..=1_000_000;

pub(super) fn check(table: Latency, sink: &mut Sink<'_>) -> LatencyRules {
    let Latency { max_age, better_by, and_by, networks_max } = table;
    let default = LatencyRules::default();
    let better_by = number(&better_by, BETTER_BY, i64::from(default.better_by), "latency.better_by", sink);
    let networks_max = number(&networks_max, NETWORKS_MAX, i64::from(default.networks_max), "latency.networks_max", sink);
    LatencyRules {
        max_age: duration(&max_age, MAX_AGE, default.max_age, "latency.max_age", "from \"1s\" to \"30days\"", sink),
        better_by: u8::try_from(better_by).unwrap_or(default.better_by),
        and_by: duration(&and_by, AND_BY, default.and_by, "latency.and_by", "from \"0s\" to \"10s\"", sink),
        networks_max: u32::try_from(networks_max).unwrap_or(default.networks_max),
    }
}

fn duration(found: &Key<Duration>, range: RangeInclusive<Duration>, default: Duration, path: &str, help: &str, sink: &mut Sink<'_>) -> Duration {
    match found.get() {
        Some(found) if range.contains(&found.value) => found.value,
        Some(found) => {
            sink.problem(&found.span, path, format!("`{}` is out of range", duration_text(found.value)), help);
            default
        }
        None => default,
    }
}
