//! What outside systems tell of endpoints (`push = true` in the file).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, State, Time};

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
