//! What outside systems tell: of endpoints (`push = true` in the file), of how fresh a region's data is, and of how much is asked of a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PoolShed, Span, State, Time};

/// `POST /endpoints/{pool}/{name}/push`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushPost {
    /// Which monitor; needed if the endpoint has several that are told.
    #[serde(default)]
    pub monitor: Option<String>,
    /// All is well, or not.
    pub outcome: Told,
    /// Why not, one sentence; longer ones than 256 characters are cut off.
    #[serde(default)]
    pub message: String,
    /// How long it holds; `null`: as the monitor says.
    #[serde(default)]
    pub ttl: Option<Span>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// All is well.
    Pass,
    /// It is not.
    Fail,
}

/// How the endpoint stands now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PushReply {
    /// `pool/name`
    pub endpoint: String,
    /// The monitor that was told.
    pub monitor: String,
    /// Its verdict: what was told, after the monitor's thresholds.
    pub state: State,
    /// What is told counts until then, unless more is told before.
    pub holds_until: Option<Time>,
}

/// `POST` or `PUT /regions/{region}/freshness`: when its data was last restored or synchronised. An empty body: just now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreshnessPost {
    /// At this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// So long ago; not beside `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
}

/// How fresh a region's data is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Freshness {
    /// When it was last restored or synchronised.
    pub at: Time,
    /// That is so long ago, whole seconds.
    pub age: Span,
    /// When it was told.
    pub told_at: Time,
    /// Who told it: `token:backup`, or a monitor that reads it.
    pub by: String,
}

/// What was told, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreshnessReply {
    /// The region.
    pub region: String,
    /// As it is known now.
    pub data: Freshness,
    /// Its pools whose data is too old (`hold_if_older_than`), one sentence each.
    pub outdated: Vec<String>,
}

/// `PUT /pools/{pool}/load`: how much is asked of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPut {
    /// From 0 to 1000000000, in the unit of the pool's `shed`: 85.2 is 85.2 per cent if `over` is.
    pub load: f64,
}

/// What was told, and what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadReply {
    /// The pool.
    pub pool: String,
    /// How it stands now.
    pub shed: PoolShed,
}
