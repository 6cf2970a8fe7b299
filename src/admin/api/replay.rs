//! What recorded outcomes come to, with today's configuration and another one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, Time};

/// `POST /replay`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayPost {
    /// How far back; a day by default, and no further than outcomes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Span>,
    /// Another configuration beside today's, by its text. Needs the scope `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The same, an absolute path on the server: over the unix socket alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What came of it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// Counted from here on: where what is recorded begins, if that is later than what was asked for.
    pub from: Time,
    /// Up to here: now.
    pub until: Time,
    /// Recorded outcomes between the two.
    pub outcomes: u64,
    /// Times without any outcome: nobody probed, or nobody recorded.
    pub gaps: Vec<ReplayGap>,
    /// What is worth reading.
    pub messages: Vec<String>,
    /// With the configuration and the operators' traffic of today.
    pub now: Replayed,
    /// With the other configuration; `null`: none was given.
    pub with: Option<Replayed>,
}

/// A time without outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayGap {
    /// The last outcome before.
    pub from: Time,
    /// The first one after.
    pub until: Time,
}

/// What would have happened. Lists hold the first thousand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// Verdicts of endpoints that changed between up and down.
    pub flips: u64,
    /// Which.
    pub flipped: Vec<ReplayedFlip>,
    /// Services that moved to other regions, each counted.
    pub failovers: u64,
    /// Which: alike ones together.
    pub moved: Vec<ReplayedFailover>,
    /// Targets that failed twice in a row and more.
    pub outages: u64,
    /// Of them: over before any verdict was down.
    pub missed: u64,
    /// Which.
    pub seen: Vec<ReplayedOutage>,
    /// From the first failed probe to the verdict: half of the outages that were found took no longer.
    pub found_after_median: Option<Span>,
    /// The longest.
    pub found_after_longest: Option<Span>,
    /// Where services were answered from.
    pub services: Vec<ReplayedService>,
    /// How many services there are.
    pub services_total: u64,
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedFlip {
    /// When.
    pub at: Time,
    /// `pool/name`
    pub endpoint: String,
    /// `up` or `down`
    pub to: String,
}

/// Answers that moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedFailover {
    /// When.
    pub at: Time,
    /// The service; of several that moved alike the first.
    pub service: String,
    /// How many moved alike.
    pub services: u64,
    /// Regions before, joined by `+`.
    pub from: String,
    /// And then; empty: none.
    pub to: String,
    /// From the first failed probe, if that was the cause.
    pub took: Option<Span>,
}

/// A target that failed twice in a row and more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedOutage {
    /// The first endpoint that it has a say in.
    pub endpoint: String,
    /// The target.
    pub target: String,
    /// The first failed probe.
    pub since: Time,
    /// The first one that passed; `null`: it lasts.
    pub until: Option<Time>,
    /// Failed probes.
    pub fails: u32,
    /// From the first failed probe to the verdict; `null`: missed.
    pub found_after: Option<Span>,
}

/// Where a service was answered from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedService {
    /// Which.
    pub service: String,
    /// Time by region, shares counted in: half of the answers for an hour are half an hour.
    pub regions: Vec<ReplayedRegion>,
    /// Time in which nothing was up for it.
    pub dark: Span,
    /// Its moves.
    pub failovers: u64,
}

/// Time on a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayedRegion {
    /// Which.
    pub region: String,
    /// How long.
    pub time: Span,
}
