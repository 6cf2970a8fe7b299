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
mod journal;
mod legacy;
mod memory;
mod overrides;
mod plan;
mod plan_overrides;
mod plan_traffic;
mod read;
mod record;
mod reload;
mod serials;
mod services;
mod settle;
mod wakes;

#[cfg(test)]
mod tests;

pub use change::{Actor, Applied, Change, Fault, Move, Refusal, RefusalKind, UndoTo};
pub use core::{Core, Start};
pub use event::{Configuration, Effect, Effects, Event, Notice, Reply, Ticket};
pub use journal::{Anchor, AuditDraft, Broken, Call, EVENTS_KEPT, Happening, Head, JournalSettings, Origin, Proved, verify};
pub use legacy::{Legacy, MemoryLegacy, TargetLegacy};
pub use read::{Override, Overview, ServiceView, StoreHealth};
pub use record::{
    Expect, History, Key, LearnedMemory, LearnedVerdict, Op, OverrideRecord, OverrideTargetName, OverrideWord, Record, Revision, Scope, Source, Stored,
    TokenRecord, TrafficRecord,
};
pub use serials::Announced;
