//! What exists, and how it is: regions, pools, endpoints, zones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Freshness, Probe, RegionState, Resolved, Span, State, Time};

/// A place where gateways run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// From its pools.
    pub state: RegionState,
    /// Its pools.
    pub pools: Vec<String>,
    /// Endpoints that are up.
    pub up: u32,
    /// Endpoints in all.
    pub of: u32,
    /// The blast guard holds it: it is down, and is kept in the answers; `null`: it doesn't.
    #[serde(default)]
    pub guarded: Option<Guarded>,
    /// How fresh its data is; `null`: nobody has told.
    #[serde(default)]
    pub data: Option<Freshness>,
    /// Drained for all services.
    pub drained: bool,
    /// Overrides on this region, `o-12`.
    pub overrides: Vec<String>,
    /// Services whose policy names one of its pools.
    pub services: Vec<String>,
}

/// A region that went down soon after another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guarded {
    /// When it went down.
    pub since: Time,
    /// When it leaves the answers at the latest, unless the node is blind.
    pub until: Time,
    /// The region that went down before it.
    pub after: String,
    /// One sentence.
    pub why: String,
}

/// `[sentinel.NAME]`: says only whether the node sees the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sentinel {
    /// Its name.
    pub name: String,
    /// How it is probed.
    pub monitor: String,
    /// Where to: an address or a host name.
    pub address: String,
    /// What a host name was resolved to for the last probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// By probes.
    pub state: State,
    /// Since when.
    pub since: Option<Time>,
    /// What the last failed probe of this run said, while it is down.
    pub message: Option<String>,
}

/// Endpoints that serve the same thing in one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Effective health.
    pub state: State,
    /// Some endpoint is down and is seen as up, by the blast guard or because the node is blind.
    #[serde(default)]
    pub guarded: bool,
    /// Endpoints that must be up for the pool to be up.
    pub min_up: u32,
    /// Endpoints that should serve; `null`: as many as the first tier has.
    pub min_active: Option<u32>,
    /// Endpoints that are up.
    pub up: u32,
    /// Endpoints in all.
    pub of: u32,
    /// What it counts of its share in weighted policies, less than 1 if endpoints that serve are degraded.
    #[serde(default = "whole")]
    pub factor: f64,
    /// It is not used while its region's data is older.
    #[serde(default)]
    pub hold_if_older_than: Option<Span>,
    /// Why the data is too old; `null`: it is not.
    #[serde(default)]
    pub outdated: Option<String>,
    /// The override by which it may be used all the same, `o-12`.
    #[serde(default)]
    pub approved_by: Option<String>,
    /// Its load, and what it gives away for that; `null`: it declares no `shed`.
    #[serde(default)]
    pub shed: Option<PoolShed>,
    /// Drained for all services.
    pub drained: bool,
    /// Services for which it has returned and waits for failback.
    pub held_by: Vec<String>,
    /// Overrides on this pool or its region, `o-12`.
    pub overrides: Vec<String>,
    /// Services whose policy names it.
    pub services: Vec<String>,
    /// Pools that it is no use without.
    #[serde(default)]
    pub requires: Vec<Required>,
    /// Pools that are no use without it, directly or through others.
    #[serde(default)]
    pub required_by: Vec<String>,
    /// What it requires and lacks, one sentence; `null`: nothing.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Ids of its endpoints, `pool/name`, in file order.
    pub endpoints: Vec<String>,
}

/// How much is asked of a pool, and what it gives away for that. Loads are in the unit of the file, per cent mostly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolShed {
    /// More load than this begins it.
    pub over: f64,
    /// This load or less ends it.
    pub until: f64,
    /// Per cent of its own answers that it gives away then.
    pub share: f64,
    /// Whose answers those are: `random`, `client`.
    pub by: String,
    /// The load that was told last; `null`: nobody has told.
    pub load: Option<f64>,
    /// When that was told.
    pub at: Option<Time>,
    /// By whom.
    pub told_by: Option<String>,
    /// That is too long ago to begin or end anything.
    pub silent: bool,
    /// Since when it gives away its share; `null`: it does not.
    pub shedding_since: Option<Time>,
    /// Why it does, or takes nothing that others give away, one sentence; `null`: neither.
    pub why: Option<String>,
}

/// One of the pools that a pool requires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Required {
    /// Its name.
    pub pool: String,
    /// So many of its endpoints must be up.
    pub needed: u32,
    /// So many are, whatever their family, by effective health.
    pub up: u32,
    /// Whether it has what is needed; the pool that requires it is no better than that.
    pub state: State,
}

/// Of those who don't say.
fn whole() -> f64 {
    1.0
}

/// How a host name stands that answers are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostName {
    /// Its last good addresses, IPv4 first; empty: it was never resolved.
    pub addresses: Vec<String>,
    /// How long the resolver may keep them, in seconds.
    pub ttl_seconds: Option<u32>,
    /// When the resolver said so.
    pub resolved_at: Option<Time>,
    /// Why they are old, or missing, one sentence; `null`: they are as the resolver says.
    pub trouble: Option<String>,
}

/// One gateway address in a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// `pool/name`
    pub id: String,
    /// Its name in the pool.
    pub name: String,
    /// Its pool.
    pub pool: String,
    /// Its pool's region.
    pub region: String,
    /// What answers name: its address, or its host name.
    pub address: String,
    /// How its host name stands; `null`: it has an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Where it is probed, if that is not its address alone: `10.0.0.1:9000`, `gw.internal.example:8443`. What a name was resolved to: `last_probe.resolved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<String>,
    /// Relative weight, as in the file.
    pub weight: u32,
    /// The weight that it told of itself, within the monitor's bounds; `null`: it tells none.
    #[serde(default)]
    pub weight_reported: Option<f64>,
    /// The weight in force: the file's or the told one, times `degraded.factor`.
    #[serde(default)]
    pub weight_effective: Option<f64>,
    /// 0 serves first.
    pub tier: u32,
    /// The monitor that judges it; `null`: nothing watches it.
    pub monitor: Option<String>,
    /// Of a composite monitor: its members as they stand, in file order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Observed, forced and effective health.
    pub state: EndpointState,
    /// It is up, but degraded; `null`: it is sound.
    #[serde(default)]
    pub degraded: Option<Degraded>,
    /// It answers 429 or 503 with `Retry-After`, and its monitor has a rule for that; `null`: it does not.
    #[serde(default)]
    pub busy: Option<Busy>,
    /// Its certificate, as the last probe that saw one found it; `null`: no probe of this run saw one.
    #[serde(default)]
    pub certificate: Option<Certificate>,
    /// Observed down, but seen as up, by the blast guard or because the node is blind.
    #[serde(default)]
    pub guarded: bool,
    /// The verdict was loaded from the store and is not yet confirmed.
    pub stale: bool,
    /// Drained for all services.
    pub drained: bool,
    /// Services for which its pool waits for failback.
    pub held_by: Vec<String>,
    /// Services that answer with it now.
    pub serving: Vec<String>,
    /// Overrides that act on it (its own, its pool's, its region's), `o-12`.
    pub overrides: Vec<String>,
    /// Since when the observed state is so.
    pub since: Option<Time>,
    /// The last probe of this run.
    pub last_probe: Option<Probe>,
    /// The last failed probe of this run.
    pub last_failed: Option<Probe>,
}

/// A member of a composite monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The member's name.
    pub monitor: String,
    /// `critical`, `voting`, `watch`.
    pub mark: String,
    /// Its verdict.
    pub state: State,
    /// The verdict was loaded from the store and is not yet confirmed.
    #[serde(default)]
    pub stale: bool,
    /// Since when the verdict is so.
    #[serde(default)]
    pub since: Option<Time>,
    /// The last probe of this run.
    #[serde(default)]
    pub last_probe: Option<Probe>,
    /// The last failed probe of this run.
    #[serde(default)]
    pub last_failed: Option<Probe>,
    /// Of a composite: its own members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// An endpoint that is up, but not well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Degraded {
    /// Since when.
    pub since: Time,
    /// What it counts beside a sound one, from 0.01 to 1.
    pub factor: f64,
    /// What the last degraded probe said.
    pub why: String,
}

/// An endpoint that wants to be left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Busy {
    /// Since when, without a break.
    pub since: Time,
    /// How that counts: `pass`, `ignore`, `degraded`; `fail` once it has lasted for too long.
    pub counts: String,
}

/// The first certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Its end.
    pub expires: Time,
    /// `valid`, `expiring` (within the monitor's `expires_within`), `expired`.
    pub state: String,
}

/// Three views of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointState {
    /// By probes.
    pub observed: State,
    /// By an operator; `null`: nobody forces it.
    pub forced: Option<State>,
    /// What policy sees.
    pub effective: State,
}

/// A zone that is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Zone {
    /// Its apex, without the last dot.
    pub name: String,
    /// The SOA's.
    pub serial: u32,
    /// Static records.
    pub records: u64,
    /// Services with names in it.
    pub services: Vec<String>,
}
