//! What one worker owns: its counters, where its sequences stand, a place for the name at hand.

use std::sync::Arc;

use crate::snapshot::Snapshot;
use crate::wire::Lowered;

use super::counters::Counters;
use super::picks::Picks;
use super::{DropReason, Handled};

/// Belongs to one worker; nothing in it is shared but its counters, which it alone writes.
#[derive(Debug)]
pub struct Cx {
    pub(super) counters: Arc<Counters>,
    pub(super) picks: Picks,
    pub(super) name: Lowered,
    /// Generation, services and cells of the snapshot that there is room for.
    ready_for: Option<(u64, usize, u32)>,
}

impl Cx {
    /// With its own counters; `seed` says where its sequences begin: take another one for each worker and start.
    pub fn new(counters: Arc<Counters>, seed: u64) -> Self {
        Self { counters, picks: Picks::new(seed), name: Lowered::default(), ready_for: None }
    }

    /// Once per batch, before [`answer`](super::answer): after a publish makes room for new services and cells. May allocate then, and only then.
    pub fn begin(&mut self, snapshot: &Snapshot) {
        let ready = Some((snapshot.generation, snapshot.services(), snapshot.cells_end()));
        if self.ready_for != ready {
            self.picks.begin(snapshot.services());
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
