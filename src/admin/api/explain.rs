//! Why a name is answered as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// `GET /explain?…`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// A host name.
    pub name: String,
    /// `A` (default) or `AAAA`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^([Aa]|[Aa]{4})$"))]
    pub type_: Option<String>,
    /// Whose answer: an address. Without, a client of whom nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The EDNS Client Subnet of its query: a prefix such as 203.0.113.0/24. Counts as it would then: only from a trusted resolver (`client`), cut as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecs: Option<String>,
    /// A moment of the past: 2026-11-20T03:12:00Z, 03:12 (the last time it was so, UTC), or 2h (ago). Without, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// The decision and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explain {
    /// As asked, lower case, without the last dot.
    pub name: String,
    /// `A` or `AAAA`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The service that answers; `null`: static records or nothing, as the steps say.
    pub service: Option<String>,
    /// The steps, in order.
    pub steps: Vec<ExplainStep>,
    /// Where answers go, shares summing to 100; empty unless a service answers with addresses.
    pub distribution: Vec<ExplainLeaf>,
    /// Seconds.
    pub ttl: Option<u32>,
    /// `answer`, `nodata`, `servfail`, `nxdomain`, `refused`, `static`, `delegated`.
    pub verdict: String,
    /// Of a moment of the past: since when it was so, and what came before and after; `null`: it is so now.
    pub past: Option<ExplainPast>,
}

/// A decision of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainPast {
    /// The moment that was asked for.
    pub as_of: Time,
    /// How what was in force then came to be.
    pub decided: ExplainChange,
    /// Of the answers then.
    pub generation: u64,
    /// Hash of the configuration then.
    pub configuration: String,
    /// When what was in force before was decided; `null`: not known.
    pub previous: Option<Time>,
    /// What changed it; `null`: nothing yet.
    pub next: Option<ExplainChange>,
}

/// A decision that differs from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainChange {
    /// When it was made.
    pub at: Time,
    /// What made it: `start` (of the process), `verdict`, `hold`, `ttl`, `guard`, `reload`, `traffic`, `override`, `clients` (are told apart otherwise).
    pub cause: String,
    /// Sentences that were not said before, each with its topic before it.
    pub changed: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainStep {
    /// What was looked at: `zone`, `service`, `revision`, `client`, `pool`, `hold`, `policy`, `shed`, `rung`, `endpoint`, `ttl`, `sticky`.
    pub topic: String,
    /// What came of it, one sentence.
    pub text: String,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainLeaf {
    /// The pool; several for a multivalue.
    pub pools: Vec<String>,
    /// Per cent.
    pub share: f64,
    /// Which step of the ladder answers.
    pub rung: String,
    /// The serving set.
    pub endpoints: Vec<ExplainEndpoint>,
}

impl ExplainEndpoint {
    /// What is answered of it: an older server says its address alone.
    pub fn answered(&self) -> impl Iterator<Item = &str> {
        let alone = self.addresses.is_empty().then_some(self.address.as_str());
        self.addresses.iter().map(String::as_str).chain(alone)
    }
}

/// An endpoint of a serving set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainEndpoint {
    /// `pool/name`
    pub id: String,
    /// What answers name: its address, or its host name.
    pub address: String,
    /// What is answered of it in this family: its address, or those that its host name has.
    #[serde(default)]
    pub addresses: Vec<String>,
}
