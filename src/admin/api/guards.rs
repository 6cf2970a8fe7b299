//! Guards, gates, and what guards say to a change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Changed, Span, Time, schema};
use crate::control;

/// What one guard says to a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuardFinding {
    /// Which: `max_step`.
    pub name: String,
    /// It holds.
    pub ok: bool,
    /// It does not, and was overridden by `break_glass`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overridden: bool,
    /// What would be, if it has a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// One sentence, if it does not hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do next, if it does not hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl From<control::GuardFinding> for GuardFinding {
    fn from(finding: control::GuardFinding) -> Self {
        let control::GuardFinding { guard, ok, overridden, value, limit, services: _, message, way_on } = finding;
        Self { name: guard.word().to_string(), ok, overridden, value, limit, message, hint: way_on }
    }
}

/// A pool that gains by a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Taker {
    /// Its name.
    pub pool: String,
    /// Where it is.
    pub region: String,
    /// How long it has been up without a break; `null`: it is not up.
    pub up_for: Option<Span>,
    /// Services in which it gains.
    pub services: u64,
    /// Its highest share among them, per cent.
    pub share: f64,
    /// What its region declares to carry of the services, per cent; `null`: nothing.
    pub capacity: Option<u32>,
    /// Answers a second that come to it, by the rate of the last minute; `null` until known.
    pub gains_per_second: Option<f64>,
}

/// The guards in force for one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceGuards {
    /// Which.
    pub service: String,
    /// In the order in which they are shown; those that are off are left out.
    pub guards: Vec<EffectiveGuard>,
}

/// One guard in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectiveGuard {
    /// `max_step`
    pub name: String,
    /// Only for what a change does to this region; `null`: for all.
    pub region: Option<String>,
    /// `50`, `on`, `release (off)`.
    pub value: String,
    /// Where it stands: `default`, `[guards]`, `[service.orders.guards]`, `[region.eu.guards]`, `[region.eu]`, `[[freeze]]`.
    pub source: String,
}

/// A gate: a named switch that changes may need to be on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub about: String,
    /// Changes that need it may be made.
    pub on: bool,
    /// Who switched it last; `null`: nobody yet.
    pub switched: Option<Changed>,
}

/// `PUT /gates/{gate}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatePut {
    /// On or off.
    pub on: bool,
    /// Why.
    #[serde(default)]
    #[schemars(schema_with = "schema::reason")]
    pub reason: String,
}

/// A change with broken glass that waits for a second person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confirmation {
    /// `c-7`
    pub id: String,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When this was said.
    pub at: Time,
}
