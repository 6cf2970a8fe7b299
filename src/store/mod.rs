//! Durable state: one redb file that holds what operators set and what was learned.
//!
//! ```text
//! control ─ Effect::Commit ─▶ Store::commit ─▶ blocking thread: check expectations → write → fsync ─▶ Event::Committed
//! ```
//!
//! - A commit is all or nothing and on disk before it returns. One runs at a time.
//! - The counter ([`Revision`](crate::control::Revision)) only grows; learned state (verdicts, memory) does not raise it.
//! - A second process on the same folder is refused. A file that can't be read is refused, never overwritten or "repaired" by guessing.
//!
//! Beside it lies the log of probe outcomes ([`outcomes`]), which nothing that runs depends on.
//!
//! Never here: deciding what to write, or when. Nothing on the query path waits for this room.

mod codec;
mod file;
pub mod outcomes;
mod problem;
mod schedule_form;
mod shift_form;

pub use file::Store;
pub use problem::{OpenError, StoreError};
