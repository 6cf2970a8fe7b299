//! The one writer: every change of state comes through [`Core::handle`].
//!
//! Sans-IO: events in, effects out. No channel, no task, no clock; any test can be at any moment.

mod ahead;
mod asking;
mod change;
mod commits;
mod confirm;
mod core;
mod dirty;
mod durable;
mod event;
mod failback;
mod freshness;
mod gates;
mod guarding;
mod guards;
mod hosts;
mod journal;
mod kinds;
mod latency;
mod legacy;
mod load;
mod managed;
mod memory;
mod outline;
mod overrides;
mod plan;
mod plan_guards;
mod plan_overrides;
mod plan_traffic;
mod preview;
mod probes;
mod pushes;
mod quality;
mod read;
mod record;
mod reload;
mod reload_guards;
mod replay;
mod replies;
mod schedules;
mod serials;
mod services;
mod settle;
mod shifts;
mod simulate;
mod simulate_guards;
mod targets;
mod tokens;
mod wakes;

#[cfg(test)]
mod tests;

pub use asking::asked_by_stored;
pub use change::{Actor, Applied, Beside, Change, Fault, Move, Refusal, RefusalKind, Taker, UndoTo};
pub use core::{Core, Start};
pub use event::{Configuration, ConfirmationStand, Effect, Effects, Event, Notice, Reply, Ticket};
pub use freshness::{DataPush, DataTime, DataTold, PoolFreshness};
pub use gates::GateView;
pub use guards::{Act, GuardFinding, Proposal, RegionChange, check};
pub use hosts::HostStands;
pub use journal::{Anchor, AuditDraft, Broken, Call, EVENT_KINDS, EVENTS_KEPT, Happening, Head, JournalSettings, Origin, Proved, verify};
pub use kinds::KindMove;
pub use latency::{
    IPV4_BITS, IPV6_BITS, Latency, LatencyCounts, LatencyLegacy, LatencyRecord, LatencyTold, MEASUREMENTS_MAX, MICROS_MAX, MeasuredRegion, Measurement,
    SAMPLES_KNOWN, SAMPLES_MAX, network_key, network_of,
};
pub use legacy::{Legacy, MemoryLegacy, TargetLegacy};
pub use load::{LoadPush, LoadTold, PoolLoad};
pub use outline::{Became, Fields, ObjectChange, ObjectName, Outline, compared, differences, outline, outline_of_settings};
pub use preview::{Drift, PreviewMove, ReloadPreview};
pub use probes::ProbesLegacy;
pub use pushes::{Push, PushLegacy, Told};
pub use read::{Override, Overview, ServiceView, StoreHealth};
pub use record::{
    Expect, GateRecord, History, Key, LearnedMemory, LearnedProbes, LearnedVerdict, Op, OverrideRecord, OverrideTargetName, OverrideWord, Record, Revision,
    Source, Stored, TokenRecord, TrafficRecord,
};
pub use reload_guards::ReloadBy;
pub use replay::{Failover, Flip, OUTCOMES_MAX, Outage, Replayed, Replaying, ServiceTime, Unreplayed, replay};
pub use replies::{Claim, FinishedReply, KeptReply, Made};
pub use schedules::{GRACE as SCHEDULE_GRACE, ScheduleRecord, ScheduleState, ScheduleView};
pub use serials::Announced;
pub use shifts::{AnalysisView, Found, Halt, Measured, Order, Phase, ShiftRecord, ShiftView, Wanted};
pub use simulate::{Load, Overload, Part, Picture, RegionLoad, Simulated, Simulation};

pub use crate::model::Scope;
