//! The whole in one request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigPlan, Fault, Override, Sentinel, Service, Time, Zone};

/// All that `windrose status` and a home page need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// `node.name`
    pub node: String,
    /// The program's.
    pub version: String,
    /// When this was said, by the server's clock: ages are counted from it.
    pub at: Time,
    /// When the process began.
    pub started: Time,
    /// When the configuration in force was taken.
    pub configured: Time,
    /// The store's counter.
    pub revision: u64,
    /// Of every file of the configuration in force, in one word.
    #[serde(default)]
    pub config_hash: String,
    /// Of the published snapshot.
    pub generation: u64,
    /// DNS addresses, each UDP and TCP.
    pub dns: Vec<String>,
    /// DNS queries a second, lately; `null` until known.
    pub queries_per_second: Option<f64>,
    /// Does the store work?
    pub store: StoreStatus,
    /// This node can't judge health: decisions are frozen; `null`: it can.
    #[serde(default)]
    pub blind: Option<Blind>,
    /// What says whether this node sees the network, in file order.
    #[serde(default)]
    pub sentinels: Vec<Sentinel>,
    /// Zones that are served.
    pub zones: Vec<Zone>,
    /// Services in file order; the first thousand.
    pub services: Vec<Service>,
    /// How many services there are.
    pub services_total: u64,
    /// Overrides in force.
    pub overrides: Vec<Override>,
    /// What a person should look at, worst first; empty: all is well.
    pub problems: Vec<Concern>,
    /// Keys of the file that were changed since start and need a restart.
    pub needs_restart: Vec<String>,
}

/// Does the store work?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// The last commit was made.
    pub up: bool,
    /// What the last failed one said.
    pub why: Option<String>,
}

/// A node that can't judge health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blind {
    /// Since when.
    pub since: Time,
    /// One sentence.
    pub why: String,
}

/// Something that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Concern {
    /// Stable word: `pool-down`, `service-down`, `traffic-unusable`, `store-down`, `node-blind`, `region-guarded`, `drain-without-end`, `needs-restart`, `waiting-failback`,
    /// `frozen`, `confirmation-waits`, `data-too-old`, `region-overloaded`.
    pub code: String,
    /// `critical`, `warning`, `info`.
    pub severity: String,
    /// What it is about: `service/search`, `pool/eu-west`.
    pub subject: String,
    /// One sentence: `search/eu-west is down`.
    pub text: String,
    /// What to type next: `windrose describe pool eu-west`.
    pub next: Option<String>,
}

/// `POST /config/reload`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReply {
    /// What has changed, one sentence each: services added, traffic that differs from the file, keys that need a restart.
    pub messages: Vec<String>,
    /// Warnings of the new configuration. Faults come as a [`Problem`](super::Problem) of kind `invalid-config`, and the old configuration serves on.
    pub problems: Vec<Fault>,
    /// For a dry run: what a reload would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<ConfigPlan>,
}

/// `POST /upgrade`: another process serves now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UpgradeReply {
    /// Its number.
    pub pid: u32,
    /// Its release.
    pub version: String,
    /// The release before.
    pub before: String,
}
