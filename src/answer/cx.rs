//! What one worker owns: its counters, where its sequences stand, a place for the name at hand.

use std::sync::Arc;

use crate::model::Now;
use crate::snapshot::Snapshot;
use crate::wire::Lowered;

use super::counters::Counters;
use super::limit::Limiter;
use super::picks::Picks;
use super::{DropReason, Handled};

/// Belongs to one worker; nothing in it is shared but its counters, which it alone writes, and the rate limit.
#[derive(Debug)]
pub struct Cx {
    pub(super) counters: Arc<Counters>,
    pub(super) picks: Picks,
    pub(super) name: Lowered,
    pub(super) limiter: Arc<Limiter>,
    /// Limited responses so far: every so-manieth slips.
    pub(super) limited: u32,
    /// Of the batch.
    pub(super) now: Now,
    /// Generation, services and cells of the snapshot that there is room for.
    ready_for: Option<(u64, usize, u32)>,
}

impl Cx {
    /// With its own counters; `limiter` is shared by all workers. `seed` says where its sequences begin: take another one for each worker and start.
    pub fn new(counters: Arc<Counters>, limiter: Arc<Limiter>, seed: u64) -> Self {
        Self { counters, picks: Picks::new(seed), name: Lowered::default(), limiter, limited: 0, now: Now::default(), ready_for: None }
    }

    /// Once per batch, before [`answer`](super::answer): says what time it is, and after a publish makes room for new services and cells.
    /// May allocate then, and only then.
    pub fn begin(&mut self, snapshot: &Snapshot, now: Now) {
        self.now = now;
        let ready = Some((snapshot.generation, snapshot.services(), snapshot.cells_end()));
        if self.ready_for != ready {
            self.picks.begin(snapshot.services(), snapshot.turns_end());
            self.counters.make_room(snapshot);
            self.ready_for = ready;
        }
    }

    /// This worker's counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(super) fn drop(&self, reason: DropReason) -> Handled {
        self.counters.dropped(reason);
        Handled::Drop(reason)
    }
}
