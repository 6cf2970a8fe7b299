//! Why a name is answered as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// A moment; always refused: no history of decisions is kept.
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
