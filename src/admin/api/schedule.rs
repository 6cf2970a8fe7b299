//! Schedules: changes that are made at a moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Span, Time};

/// A change and its moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// `t-9`
    pub id: String,
    /// What is done, for people: `drain of region/prod for 2h`.
    pub what: String,
    /// Services whose traffic it may move.
    pub services: Vec<String>,
    /// When.
    pub due: Time,
    /// How long until then; `null`: it is over.
    pub left: Option<Span>,
    /// `waiting`, `done`, `refused`, `missed`.
    pub state: String,
    /// What holds it up although its moment has come.
    pub held: Option<String>,
    /// How it went, and what to do.
    pub outcome: String,
    /// When it went so.
    pub ended: Option<Time>,
    /// Guards that need not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass: Vec<String>,
    /// Who asked for it, when and why.
    pub asked: Changed,
    /// The store's counter at its last change.
    pub revision: u64,
}
