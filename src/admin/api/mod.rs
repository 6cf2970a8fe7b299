//! The JSON of the admin API: every request and response, spoken by the server and the CLI alike.
//!
//! Types only: no routes, no rights, no core. Times are RFC 3339 in UTC, durations `"30s"`, shares per cent (0 to 100).
//! Requests reject unknown fields; replies may gain some, so reading them doesn't.
//!
//! | method and path (below [`BASE`]) | request | reply |
//! |---|---|---|
//! | `GET /overview` | | [`Overview`] |
//! | `GET /services` · `GET /services/{service}` | | [`List`]`<`[`Service`]`>` · [`Service`] |
//! | `GET /services/{service}/traffic` · `PUT` | [`TrafficPut`] | [`Traffic`] · [`ChangeReply`] |
//! | `POST /services/{service}/failover` · `/failback` · `/undo` | [`Failover`], [`Failback`], [`Undo`] | [`ChangeReply`] |
//! | `GET /services/{service}/revisions` · `/revisions/{n}` | | [`List`]`<`[`RevisionEntry`]`>` · [`RevisionEntry`] |
//! | `GET /regions` · `/regions/{region}` | | [`List`]`<`[`Region`]`>` · [`Region`] |
//! | `GET /pools` · `/pools/{pool}` | | [`List`]`<`[`Pool`]`>` · [`Pool`] |
//! | `GET /endpoints?pool=` · `/endpoints/{pool}/{name}` | | [`List`]`<`[`Endpoint`]`>` · [`Endpoint`] |
//! | `GET /endpoints/{pool}/{name}/probes?outcome=fail&limit=50` | [`ProbesQuery`] | [`List`]`<`[`PastProbe`]`>` |
//! | `POST /endpoints/{pool}/{name}/probe` · `POST /probe` | none · [`ProbePost`] | [`ProbeNow`] |
//! | `POST /endpoints/{pool}/{name}/push` | [`PushPost`] | [`PushReply`] |
//! | `PUT /regions/{region}/freshness` | [`FreshnessPost`] | [`FreshnessReply`] |
//! | `PUT /pools/{pool}/load` | [`LoadPut`] | [`LoadReply`] |
//! | `GET /latency?network=&region=` · `PUT` · `DELETE ?network=&region=` | [`LatencyQuery`] · [`LatencyPut`] · [`LatencyWithdrawal`] | [`List`]`<`[`Latency`]`>` · [`LatencyReply`] |
//! | `GET /zones` | | [`List`]`<`[`Zone`]`>` |
//! | `GET /overrides` · `POST` | [`OverridePost`] | [`List`]`<`[`Override`]`>` · [`ChangeReply`] |
//! | `PATCH /overrides/{id}` · `DELETE` | [`OverridePatch`] · none | [`ChangeReply`] |
//! | `POST /services/{service}/shifts` · `/slo` | [`ShiftPost`] · [`SloPost`] | [`ChangeReply`] · 204 |
//! | `GET /shifts` · `/shifts/{id}` · `POST /shifts/{id}/pause` … `/retry` | [`ShiftOrder`] | [`List`]`<`[`Shift`]`>` · [`Shift`] · [`ChangeReply`] |
//! | `GET /schedules` · `/schedules/{id}` · `DELETE` | | [`List`]`<`[`Schedule`]`>` · [`Schedule`] · [`ChangeReply`] |
//! | `GET /guards` | | [`List`]`<`[`ServiceGuards`]`>` |
//! | `GET /gates` · `PUT /gates/{gate}` | [`GatePut`] | [`List`]`<`[`Gate`]`>` · [`ChangeReply`] |
//! | `GET /confirmations` · `POST /confirmations/{id}` | | [`List`]`<`[`Confirmation`]`>` · [`ChangeReply`] |
//! | `GET /explain?name=&type=&client=` | [`ExplainQuery`] | [`Explain`] |
//! | `POST /simulate` | [`SimulatePost`] | [`Simulation`] |
//! | `POST /replay` | [`ReplayPost`] | [`Replay`] |
//! | `GET /config?kind=&name=` | | [`Config`] |
//! | `GET /config/diff` · `POST /config/plan` | none · [`ConfigPlanPost`] | [`ConfigDiff`] · [`ConfigPlan`] |
//! | `POST /config/reload` | | [`ReloadReply`] |
//! | `POST /upgrade` · `/handover` (unix socket; RFC 9110 `Upgrade`) | | [`UpgradeReply`] · 101 |
//! | `GET /tokens` · `POST` · `DELETE /tokens/{id or name}` | [`TokenPost`] | [`List`]`<`[`Token`]`>` · [`TokenCreated`] · [`ChangeReply`] |
//! | `GET /events` · `/events/stream` (server-sent events) | [`EventQuery`] | [`List`] of CloudEvents · the same, live |
//! | `GET /audit?after=&limit=` | | [`AuditPage`] |
//! | `GET /webhooks/deliveries` · `POST /webhooks/{name}/test` | | [`List`]`<`[`Delivery`]`>` · [`WebhookTest`] |
//! | `GET /whoami` | | [`Whoami`] |
//! | `GET /healthz` · `GET /readyz` (not below [`BASE`]) | | [`Alive`] · [`Ready`] |
//!
//! Every writing request but what outside systems tell takes [`WriteQuery`] in its query string and `If-Match` with the `ETag` that was seen. Everything that is refused is a [`Problem`].
//! Every [`List`] takes `limit` (1 to 1,000) and `cursor`, the `next_cursor` of the page before. Lists are ordered by name or number; what happened, newest first.

mod access;
mod config;
mod estate;
mod explain;
mod feeds;
mod guards;
mod latency;
mod override_;
mod overview;
mod probe;
mod problem;
mod push;
mod replay;
mod schedule;
mod schema;
mod service;
mod shift;
mod simulate;
mod units;

pub use access::{Alive, Ready, Token, TokenCreated, TokenPost, Whoami};
pub use config::{Config, ConfigChange, ConfigDiff, ConfigObject, ConfigPlan, ConfigPlanPost, Drift, FieldChange};
pub use estate::{Busy, Certificate, Degraded, Endpoint, EndpointState, Guarded, HostName, Member, Pool, PoolShed, Region, Required, Sentinel, Zone};
pub use explain::{Explain, ExplainEndpoint, ExplainLeaf, ExplainQuery, ExplainStep};
pub use feeds::{AuditHead, AuditPage, Delivery, EventQuery, WebhookTest};
pub use guards::{Confirmation, EffectiveGuard, Gate, GatePut, GuardFinding, ServiceGuards, Taker};
pub use latency::{Latency, LatencyMeasurement, LatencyPut, LatencyQuery, LatencyRegion, LatencyReply, LatencyWithdrawal};
pub use override_::{Override, OverridePatch, OverridePost, OverrideTarget};
pub use overview::{Blind, Concern, GeoDatabase, Overview, ReloadReply, StoreStatus, UpgradeReply};
pub use probe::{CertificateSeen, Examined, PastProbe, Probe, ProbeNow, ProbePhase, ProbePost, ProbesQuery, Resolved, TlsSeen};
pub use problem::{Fault, Problem, ProblemKind};
pub use push::{Freshness, FreshnessPost, FreshnessReply, LoadPut, LoadReply, PushPost, PushReply, Told};
pub use replay::{Replay, ReplayGap, ReplayPost, Replayed, ReplayedFailover, ReplayedFlip, ReplayedOutage, ReplayedRegion, ReplayedService};
pub use schedule::Schedule;
pub(super) use schema::{CloudEvent, REASON_MAX, TOKEN_NAME_MAX, TOKEN_SERVICES_MAX};
pub use service::{
    AppliedAt, Cause, ChangeReply, Changed, ClientMove, ClientTraffic, Failback, Failover, Move, PoolDegraded, Returning, RevisionEntry, Service, ServicePool,
    ThreeShares, Traffic, TrafficPut, Undo, UndoHint, UndoTo,
};
pub use shift::{Shift, ShiftAnalysis, ShiftHalt, ShiftOrder, ShiftPost, ShiftStep, ShiftStepPost, SloPost};
pub use simulate::{Forecast, LoadAt, MovedBy, OldShare, SimulatePost, SimulatedRegion, SimulatedService, Simulation, Strain};
pub use units::{Kind, List, RegionState, Scope, Shares, Source, Span, State, Time, WriteQuery};

/// OpenAPI 3.1 of all of it: `GET /openapi.json`, `windrose openapi`.
pub use super::openapi::document;

/// Where all paths begin, but for `/healthz`, `/readyz` and `/metrics`.
pub const BASE: &str = "/api/v1";
