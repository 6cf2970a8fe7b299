//! What if something fell, or another configuration ran; and how an old answer fades.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GuardFinding, Shares, Span, Time};

/// `POST /simulate`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatePost {
    /// What falls: a region, a pool, `POOL/ENDPOINT`; or with its kind, `region/eu-*`, `tag/az-1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<String>,
    /// With which load: as `now` (default), or at every service's `peak`.
    #[serde(default)]
    pub at: LoadAt,
    /// Another configuration on today's health, by its text. Needs the scope `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The same, an absolute path on the server: over the unix socket alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// With which load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoadAt {
    /// Answers of the last minute.
    #[default]
    Now,
    /// The busiest minute of the last week, as far as this process has seen it.
    Peak,
}

/// What came of it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Simulation {
    /// With which load.
    pub at: LoadAt,
    /// Endpoints that fall at first, the first thousand.
    pub down: Vec<String>,
    /// Services whose answers move, the first thousand.
    pub services: Vec<SimulatedService>,
    /// How many there are.
    pub services_total: u64,
    /// Every region.
    pub regions: Vec<SimulatedRegion>,
    /// Regions that fall by their load, one after the other.
    pub cascade: Vec<Strain>,
    /// What the node's own guards would do, one sentence each.
    pub guards: Vec<String>,
    /// Guards of changes that would not hold: whoever did this by hand would be refused, and health is not asked.
    pub change_guards: Vec<GuardFinding>,
    /// What else is worth reading.
    pub messages: Vec<String>,
    /// How the old answers fade; `null`: none moves.
    pub forecast: Option<Forecast>,
}

/// A service whose answers move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedService {
    /// Which.
    pub service: String,
    /// Effective shares now; empty: it is new.
    pub before: Shares,
    /// And then; empty: it goes away, or nothing is answered.
    pub after: Shares,
    /// Clients who fare otherwise than those of whom nothing is known, of whom the above is true; at most twenty kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_client: Vec<super::ClientMove>,
    /// The worst step of the ladder that answers then; `null`: nothing is answered.
    pub rung: Option<String>,
    /// Its answers a second; `null`: not known.
    pub answers_per_second: Option<f64>,
}

/// What comes to a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SimulatedRegion {
    /// Which.
    pub region: String,
    /// Answers a second now; `null`: not known of every service there.
    pub before_per_second: Option<f64>,
    /// And then.
    pub after_per_second: Option<f64>,
    /// The service that strains it most then; `null`: the region declares no capacity, or has nothing to do.
    pub strain: Option<Strain>,
    /// It is down in the end.
    pub fallen: bool,
}

/// What a service asks of a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Strain {
    /// Where.
    pub region: String,
    /// The service.
    pub service: String,
    /// Per cent of the service's peak that comes there.
    pub load: f64,
    /// What the region declares to carry of it, per cent.
    pub capacity: f64,
    /// That is more than it declares.
    pub exceeded: bool,
}

/// How an old answer fades, by what `[clients]` assumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// When answers change.
    pub from: Time,
    /// The longest TTL of what moves.
    pub ttl: Span,
    /// Per cent of clients that are taken to go on beyond the TTL.
    pub stragglers: u8,
    /// When 50, 90, 98 and 99.9 % of clients will have followed.
    pub moved: Vec<MovedBy>,
    /// When nobody goes by the old answer any more.
    pub safe_at: Time,
    /// The share of clients that still goes by it: per cent over time.
    pub old: Vec<OldShare>,
}

/// So many have followed by then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MovedBy {
    /// Per cent of clients.
    pub percent: f64,
    /// When.
    pub at: Time,
}

/// One point of the curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OldShare {
    /// After answers have changed.
    pub after: Span,
    /// Per cent of clients that still go by the old one.
    pub percent: f64,
}
