//! The configuration: as it runs, and against a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::PolicyForm;

use super::{Fault, Move, Time};

/// `GET /config`: what runs, as words; secrets are hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// Of every file that was read.
    pub hash: String,
    /// When it was taken.
    pub configured: Time,
    /// Keys that changed in the file and wait for a restart.
    pub needs_restart: Vec<String>,
    /// Objects by kind and name.
    pub items: Vec<ConfigObject>,
    /// Pass it as `?cursor=` for more; `null`: there is no more.
    pub next_cursor: Option<String>,
}

/// One object of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigObject {
    /// `pool`, `service`, `settings`, …
    pub kind: String,
    /// Its name; `pool/name` for an endpoint.
    pub name: String,
    /// Its fields.
    pub fields: std::collections::BTreeMap<String, String>,
}

/// `POST /config/plan`; empty: the file that the server runs from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigPlanPost {
    /// A file on the server, absolute; over the unix socket alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The text itself. Files that it names are the server's; relative ones lie beside the file that it runs from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a reload would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigPlan {
    /// Of every file that would be taken.
    pub hash: String,
    /// Of those that run.
    pub running: String,
    /// Nothing at all would change.
    pub same: bool,
    /// Objects that differ, by kind and name; the first thousand.
    pub changes: Vec<ConfigChange>,
    /// How many differ.
    pub changes_total: u64,
    /// Services whose answers would move, on today's health; the first thousand.
    pub moves: Vec<Move>,
    /// How many would move.
    pub moves_total: u64,
    /// Why it would be refused; empty: it would be taken.
    pub refusals: Vec<Fault>,
    /// Sentences worth reading.
    pub messages: Vec<String>,
    /// Warnings about the file.
    pub warnings: Vec<String>,
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// `added`, `removed`, `changed`.
    pub change: String,
    /// `pool`, `service`, `settings`, …
    pub kind: String,
    /// Its name; `pool/name` for an endpoint.
    pub name: String,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Its key.
    pub field: String,
    /// What runs.
    pub before: Option<String>,
    /// What would.
    pub after: Option<String>,
}

/// `GET /config/diff`: the file on disk against what runs, and the file against operators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDiff {
    /// What a reload would do.
    pub plan: ConfigPlan,
    /// Services whose traffic operators have set to something else than the file says.
    pub drift: Vec<Drift>,
}

/// A service whose traffic is not the file's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drift {
    /// Which.
    pub service: String,
    /// The file's policy.
    pub file: PolicyForm,
    /// The operators'.
    pub operators: PolicyForm,
    /// The store's counter at that change.
    pub revision: u64,
    /// Who.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When.
    pub at: Time,
    /// It does not count: the file manages the service, or lacks names that it uses.
    pub set_aside: bool,
}
