//! Zones and decisions compiled into an immutable thing that queries are answered from.
//!
//! Two halves that change at different speeds. The *name index* says what every name is (a service, static records, a cut, an empty non-terminal)
//! and is shared between generations; the *decisions* are wire-form bodies in chunks of 256, so that [`Snapshot::with`] costs what changes.
//! Equal decisions share one body.
//!
//! ```text
//! zones ──┐                                  ┌─ NameIndex ── names → Slot ─┬─ service ──┐
//!         ├─▶ Snapshot::build ─▶ Snapshot ───┤                            └─ Sets       │
//! services┘                                  └─ chunks ── Arc<Compiled> ◀───────────────┘
//! Decision ─▶ compile ─▶ Arc<Compiled> ─▶ Snapshot::with
//! ```
//!
//! Never here: queries, counters, anything that changes after publishing.

#![deny(clippy::indexing_slicing, reason = "queries run through here")]

mod cells;
mod compiled;
mod index;
mod index_build;
mod intervals;
mod sets;

use std::sync::Arc;

use crate::model::{AnswerSettings, Estate, ServiceId};
use crate::zone::Zone;

pub use cells::{CellId, CellMap, ZoneSlot};
pub use compiled::{Body, Compiled, FamilyBody, LeafBody, Sampled, compile};
pub use index::{Found, NameIndex, Slot, StaticName, What, ZoneEntry};
pub use intervals::Intervals;
pub use sets::{Extras, RecordSetBody, Sets};

/// Compiled decisions per chunk.
const CHUNK: usize = 256;

/// What queries are answered from: never changes once published.
#[derive(Clone)]
pub struct Snapshot {
    /// Grows with every publish.
    pub generation: u64,
    names: Arc<NameIndex>,
    settings: Arc<AnswerSettings>,
    chunks: Vec<Arc<[Arc<Compiled>]>>,
    services: usize,
    cells: u32,
}

impl Snapshot {
    /// A whole snapshot: name index from zones and services, one compiled decision per service in [`ServiceId`] order.
    pub fn build(generation: u64, zones: &[Arc<Zone>], estate: &Estate, decisions: Vec<Arc<Compiled>>, cells: &mut CellMap) -> Self {
        let names = Arc::new(NameIndex::build(zones, estate, cells));
        let services = decisions.len();
        let highest = decisions.iter().map(|compiled| compiled.cells_end()).max().unwrap_or(0);
        let chunks = decisions.chunks(CHUNK).map(Arc::from).collect();
        Self { generation, names, settings: Arc::default(), chunks, services, cells: highest }
    }

    /// This snapshot with settings for responses; without, there are no cookies, nobody is limited, nothing is revealed.
    pub fn with_settings(self, settings: Arc<AnswerSettings>) -> Self {
        Self { settings, ..self }
    }

    /// This snapshot with some decisions replaced; costs what changes.
    pub fn with(&self, generation: u64, mut changes: Vec<(ServiceId, Arc<Compiled>)>) -> Self {
        let mut next = Self { generation, ..self.clone() };
        changes.sort_by_key(|(service, _)| *service);
        for touched in changes.chunk_by(|a, b| a.0.index() / CHUNK == b.0.index() / CHUNK) {
            let Some((first, _)) = touched.first() else { continue };
            let Some(chunk) = next.chunks.get_mut(first.index() / CHUNK) else { continue };
            let mut decisions = chunk.to_vec();
            for (service, compiled) in touched {
                if let Some(place) = decisions.get_mut(service.index() % CHUNK) {
                    next.cells = next.cells.max(compiled.cells_end());
                    *place = compiled.clone();
                }
            }
            *chunk = decisions.into();
        }
        next
    }

    /// The decision in force for a service, in wire form.
    pub fn compiled(&self, service: ServiceId) -> Option<&Arc<Compiled>> {
        self.chunks.get(service.index() / CHUNK)?.get(service.index() % CHUNK)
    }

    /// What shapes responses.
    pub fn settings(&self) -> &AnswerSettings {
        &self.settings
    }

    /// What names are.
    pub fn names(&self) -> &NameIndex {
        &self.names
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.services
    }

    /// Every cell in use is below this.
    pub fn cells_end(&self) -> u32 {
        self.cells
    }
}

/// Sizes, not a million names.
impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("names", &self.names.len())
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}
