//! Who may, and is it ready.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scope, Span, Time, schema};

/// `POST /tokens`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenPost {
    /// A name for people, unique; actors are shown as `token:NAME`.
    #[schemars(schema_with = "schema::token_name")]
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Services that it may change, by name or glob (`shop-*`); left out: all of them, and the node. Looking is not limited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::token_services")]
    pub services: Vec<String>,
    /// How long it works; `null`: until revoked.
    #[serde(default)]
    pub expires_in: Option<Span>,
}

/// A token that was just made. The only time that its secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreated {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Services that it may change; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The secret, `wr_…`; `null` for a dry run.
    pub token: Option<String>,
    /// When it stops working.
    pub ends: Option<Time>,
}

/// Secrets never reach `Debug` (DESIGN, "Never", 9).
impl std::fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, name, scope, services, token: _, ends } = self;
        f.debug_struct("TokenCreated")
            .field("id", id)
            .field("name", name)
            .field("scope", scope)
            .field("services", services)
            .field("ends", ends)
            .finish_non_exhaustive()
    }
}

/// A token; the secret itself is never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Services that it may change; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// When it was made.
    pub at: Time,
    /// When it stops working; `null`: when revoked.
    pub ends: Option<Time>,
    /// When it was last used, to a minute; `null`: not yet.
    #[serde(default)]
    pub last_used: Option<Time>,
}

/// `GET /whoami`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Whoami {
    /// `socket:anna`, `token:ci`, `cert:CN=ci,O=Example`.
    pub actor: String,
    /// What you may do.
    pub scope: Scope,
    /// Services that you may change; left out: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// `GET /readyz`: 200, or 503 with reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// DNS answers, and changes can be made.
    pub ready: bool,
    /// Why not, one sentence each.
    pub reasons: Vec<String>,
}

/// `GET /healthz`: 200, or 503 with reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alive {
    /// The server still takes questions; whether it can serve is [`Ready`]'s.
    pub alive: bool,
    /// Why not, one sentence each; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_does_not_reach_debug() {
        let created =
            TokenCreated { id: "1".into(), name: "ci".into(), scope: Scope::Operate, services: Vec::new(), token: Some("wr_secret".into()), ends: None };
        assert!(!format!("{created:?}").contains("wr_secret"));
    }
}
