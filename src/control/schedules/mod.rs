//! Schedules: changes that are made by themselves at a moment that somebody has named.
//!
//! ```text
//!             its moment                  guards and all else agree
//! waiting ─────────────────▶ asked again ───────────────────────────▶ done
//!    │   │                        └─ something stands in the way ──▶ refused ┐
//!    │   └─ the node was down, blind, or could not write, too long ▶ missed  ┴▶ told, counted, shown until somebody dismisses it
//!    ▼ cancelled
//!  (gone)
//! ```
//!
//! The record of what became of it is written in the very commit that makes the change: no kill makes it twice. Moments run on `mono`; the wall clock is
//! read once, when a schedule is set or loaded (SEMANTICS, 28). Never here: a change that guards have not weighed when its moment came.

mod fire;
mod kept;
mod plan;
mod read;
mod record;

pub use read::ScheduleView;
pub use record::{ScheduleRecord, ScheduleState};

pub(super) use kept::Schedules;

/// So late a change is still made; later it is missed.
pub const GRACE: std::time::Duration = std::time::Duration::from_secs(300);
