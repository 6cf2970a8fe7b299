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
//! Beside it lie two logs which nothing that runs depends on: of probe outcomes ([`outcomes`]), and of decisions ([`decisions`]). Both are files of frames
//! (`frames.rs`), bounded by age and size (`segments.rs`).
//!
//! Never here: deciding what to write, or when. Nothing on the query path waits for this room.

mod codec;
pub mod decisions;
mod file;
mod frames;
pub mod outcomes;
mod problem;
mod schedule_form;
mod segments;
mod shift_form;
mod written;

pub use file::Store;
pub use problem::{OpenError, StoreError};
