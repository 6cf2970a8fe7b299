//! The one writer: every change of state comes through [`Core::handle`].
//!
//! Sans-IO: events in, effects out. No channel, no task, no clock; any test can be at any moment.

mod change;
mod commits;
mod core;
mod dirty;
mod durable;
mod event;
mod guarding;
mod legacy;
mod managed;
mod memory;
mod outline;
mod overrides;
mod plan;
mod plan_overrides;
mod plan_traffic;
mod preview;
mod read;
mod record;
mod reload;
mod serials;
mod services;
mod settle;
mod targets;
mod wakes;

#[cfg(test)]
mod tests;

pub use change::{Actor, Applied, Change, Fault, Move, Refusal, RefusalKind, UndoTo};
pub use core::{Core, Start};
pub use event::{Configuration, Effect, Effects, Event, Notice, Reply, Ticket};
pub use legacy::{Legacy, MemoryLegacy, TargetLegacy};
pub use outline::{Became, Fields, ObjectChange, ObjectName, Outline, compared, differences, outline, outline_of_settings};
pub use preview::{Drift, PreviewMove, ReloadPreview};
pub use read::{Override, Overview, ServiceView, StoreHealth};
pub use record::{
    Expect, History, Key, LearnedMemory, LearnedVerdict, Op, OverrideRecord, OverrideTargetName, OverrideWord, Record, Revision, Scope, Source, Stored,
    TokenRecord, TrafficRecord,
};
pub use serials::Announced;
