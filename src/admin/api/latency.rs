//! How quick regions are for whom (`latency`): what outside measurers push, and what is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, Time};

/// `PUT /latency`: counts whole or not at all. At most 10,000 measurements.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyPut {
    /// In any order; those of one network and region are averaged.
    pub measurements: Vec<LatencyMeasurement>,
    /// When they were measured; by default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyMeasurement {
    /// Whose: a prefix or an address. No more than 24 bits of IPv4 and 56 of IPv6 are kept.
    pub network: String,
    /// To which region.
    pub region: String,
    /// Round trip, milliseconds: more than 0, at most 60,000.
    pub ms: f64,
    /// How many it sums up, 1 to 1,000,000; 10 by default. What is known already counts as 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
}

/// What came of it. It is durable; answers follow within a second or so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyReply {
    /// Networks of which it spoke, after they were cut.
    pub networks: usize,
    /// Those whose order of regions it changed.
    pub reordered: usize,
    /// Networks, measured longest ago, that went to make room.
    pub forgotten: usize,
    /// Networks that are known now.
    pub known: usize,
}

/// `GET /latency`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyQuery {
    /// A prefix or an address: networks within it; a list shows those around it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Only this region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Entries of one page; at most 1,000 come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `DELETE /latency`: what is known no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyWithdrawal {
    /// A prefix or an address: networks within it. `0.0.0.0/0` and `::/0` are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Only this region; without a network, of all networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What is known of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The network.
    pub network: String,
    /// In the order that counts, the first one first: a quicker one may stand behind, as long as it is not better by enough.
    pub regions: Vec<LatencyRegion>,
}

/// What is known of one region there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyRegion {
    /// Its name.
    pub region: String,
    /// Round trip, milliseconds, smoothed over pushes.
    pub ms: f64,
    /// Since it was measured last, whole seconds.
    pub age: Span,
}
