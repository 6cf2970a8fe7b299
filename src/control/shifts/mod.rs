//! Shifts: traffic moved step by step, each step watched, stopped by itself when the target suffers.
//!
//! ```text
//!              hold over, all well
//!            ┌────────────────────┐        last step
//! start ─▶ progressing ───────────┴──────────────────▶ completed
//!            │  ▲    │ step with `p`         promote
//!            │  │    └──────────▶ waiting ──────────▶ (next step)
//!     pause, │  │ resume,            │
//!     a halt ▼  │ promote, retry     │ pause, a halt
//!           paused ◀─────────────────┘
//!
//! degraded: a step or an abort is due and the store refuses it; it is tried again every second.
//! abort, at any moment, from everywhere: aborted, traffic as before the shift.
//! ```
//!
//! `record` and `machine` are the pure state machine; `plan` turns its moves into commits (each step is a change of traffic that guards weigh, in one
//! transaction with the shift's record, so that no restart repeats or skips one); `watch` looks after holds, targets and analyses.
//! Never here: a share that is not one of the plan's.

mod live;
mod machine;
mod measure;
mod plan;
mod read;
mod record;
mod watch;

pub use machine::Order;
pub use measure::{Found, Measured};
pub use read::{AnalysisView, ShiftView};
pub use record::{Halt, Phase, ShiftRecord, Wanted};

pub(super) use live::Shifts;
pub(super) use watch::BY_ITSELF;
// In a public change, but only the core makes it.
pub use machine::Move;
