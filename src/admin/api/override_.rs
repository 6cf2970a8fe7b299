//! Overrides: drain, force_up, force_down, freeze, approve.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Kind, Span, Time, schema};

/// An override as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    /// `o-12`
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// `region/prod`, `pool/prod`, `endpoint/prod/a`, `service/orders`.
    pub target: String,
    /// Only for these services; empty: for all.
    pub services: Vec<String>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Time,
    /// Until when; `null`: until somebody ends it.
    pub ends: Option<Time>,
    /// Something in the present configuration fits its target.
    pub matched: bool,
    /// What fits its target now: regions, pools, endpoints (`prod/a`) or a service; the first hundred. Patterns and tags are live.
    #[serde(default)]
    pub matches: Vec<String>,
    /// How many fit.
    #[serde(default)]
    pub matches_total: u64,
    /// Guards that were overridden when it was last changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<String>,
}

/// `POST /overrides`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverridePost {
    /// What it does.
    pub kind: Kind,
    /// `{"region": "prod"}`
    pub target: OverrideTarget,
    /// Only for these services; empty or `["*"]`: for all.
    #[serde(default)]
    pub services: Vec<String>,
    /// How long; `null`: 4 h for force_up, force_down and approve, without end for drain and freeze.
    #[serde(default)]
    pub expires_in: Option<Span>,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// What an override is about. `*` in a name stands for any characters: `{"region": "eu-*"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrideTarget {
    /// `{"region": "prod"}`
    Region(String),
    /// `{"pool": "prod"}`
    Pool(String),
    /// `{"endpoint": "prod/a"}`
    Endpoint(String),
    /// `{"service": "orders"}` (freeze alone)
    Service(String),
    /// `{"tag": "az-1"}`: every endpoint with this tag
    Tag(String),
}

/// `region/prod`, `endpoint/prod/a`: as [`Override::target`] says it.
impl std::fmt::Display for OverrideTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region/{name}"),
            Self::Pool(name) => write!(f, "pool/{name}"),
            Self::Endpoint(name) => write!(f, "endpoint/{name}"),
            Self::Service(name) => write!(f, "service/{name}"),
            Self::Tag(name) => write!(f, "tag/{name}"),
        }
    }
}

/// `PATCH /overrides/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverridePatch {
    /// The end, this long from now; `null`: never by itself. It must be there: an override is not made endless by an empty body.
    #[serde(deserialize_with = "present")]
    pub expires_in: Option<Span>,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
    /// Guards that need not hold: needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::guards")]
    pub break_glass: Vec<String>,
}

/// An optional value whose key is required: serde fills in a missing key only where no function is named.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
    Option::deserialize(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_drain_reads() {
        let text = r#"{"kind": "drain", "target": {"region": "eu-west"}, "services": ["*"], "expires_in": "2h", "reason": "kernel upgrade"}"#;
        let post: OverridePost = serde_json::from_str(text).unwrap();
        assert_eq!((post.kind, post.target.to_string()), (Kind::Drain, "region/eu-west".to_string()));
        assert_eq!(post.expires_in.map(|span| span.0.as_secs()), Some(7200));
        assert!(serde_json::from_str::<OverridePost>(r#"{"kind": "drain", "target": {"regoin": "eu-west"}}"#).is_err());
    }

    #[test]
    fn an_empty_patch_does_not_make_an_override_endless() {
        assert!(serde_json::from_str::<OverridePatch>("{}").is_err());
        assert_eq!(serde_json::from_str::<OverridePatch>(r#"{"expires_in": null}"#).unwrap().expires_in, None);
    }
}
