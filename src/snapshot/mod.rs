//! Zones and decisions compiled into an immutable thing that queries are answered from.
//!
//! Two halves that change at different speeds. The *name index* says what every name is (a service, static records, a cut, an empty non-terminal)
//! and is shared between generations; the *decisions* are wire-form bodies in chunks of 256, so that [`Snapshot::with`] costs what changes.
//! Equal decisions share one body.
//!
//! ```text
//! zones ──┐                                  ┌─ NameIndex ── names → Slot ─┬─ service ──┐
//!         ├─▶ Snapshot::build ─▶ Snapshot ───┤                            └─ Sets       │
//! services┘                                  └─ chunks ── Compiled ◀────────────────────┘
//! Decision ─▶ compile ─▶ Compiled ─▶ Snapshot::with
//! ```
//!
//! Never here: queries, counters, anything that changes after publishing.

#![deny(clippy::indexing_slicing, reason = "queries run through here")]

mod cells;
mod compiled;
pub mod content;
mod explained;
mod index;
mod index_build;
mod intervals;
mod sets;

use std::sync::Arc;

use crate::client::Clients;
use crate::model::{AnswerSettings, Estate, ServiceId};
use crate::zone::Zone;

pub use cells::{CellId, CellMap, ServiceSlot, TurnId, ZoneSlot};
pub use compiled::{Alike, Body, Chosen, Compiled, FamilyBody, LeafBody, Named, Sampled, compile};
pub use content::Content;
pub use explained::{Explained, Why};
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
    chunks: Vec<Arc<[Compiled]>>,
    services: usize,
    cells: u32,
    turns: u32,
    clients: Arc<Clients>,
    /// `None`: nothing can be transferred.
    content: Option<Arc<Content>>,
    /// By zone number; the SOA of others has the file's serial.
    serials: Arc<[Option<u32>]>,
    /// `None`: nobody may ask.
    explained: Option<Explained>,
}

impl Snapshot {
    /// A whole snapshot: name index from zones and services, one compiled decision per service in [`ServiceId`] order.
    pub fn build(generation: u64, zones: &[Arc<Zone>], estate: &Estate, decisions: Vec<Compiled>, cells: &mut CellMap) -> Self {
        let names = Arc::new(NameIndex::build(zones, estate, cells));
        let services = decisions.len();
        let highest = decisions.iter().map(|compiled| compiled.cells_end()).max().unwrap_or(0);
        let turns = decisions.iter().map(Compiled::turns_end).max().unwrap_or(0);
        let mut decisions = decisions.into_iter();
        let chunks = std::iter::from_fn(|| Some(decisions.by_ref().take(CHUNK).collect::<Arc<[Compiled]>>()).filter(|chunk| !chunk.is_empty())).collect();
        Self {
            generation,
            names,
            settings: Arc::default(),
            chunks,
            services,
            cells: highest,
            turns,
            clients: Arc::default(),
            content: None,
            serials: Arc::default(),
            explained: None,
        }
    }

    /// This snapshot with settings for responses; without, there are no cookies, nobody is limited, nothing is revealed.
    pub fn with_settings(self, settings: Arc<AnswerSettings>) -> Self {
        Self { settings, ..self }
    }

    /// This snapshot with some decisions replaced; costs what changes.
    pub fn with(&self, generation: u64, mut changes: Vec<(ServiceId, Compiled)>) -> Self {
        let mut next = Self { generation, ..self.clone() };
        changes.sort_by_key(|(service, _)| *service);
        let mut changes = changes.into_iter().peekable();
        while let Some(number) = changes.peek().map(|(service, _)| service.index() / CHUNK) {
            let mut decisions = next.chunks.get(number).map(|chunk| chunk.to_vec()).unwrap_or_default();
            while let Some((service, compiled)) = changes.next_if(|(service, _)| service.index() / CHUNK == number) {
                if let Some(place) = decisions.get_mut(service.index() % CHUNK) {
                    next.cells = next.cells.max(compiled.cells_end());
                    next.turns = next.turns.max(compiled.turns_end());
                    *place = compiled;
                }
            }
            if let Some(chunk) = next.chunks.get_mut(number) {
                *chunk = decisions.into();
            }
        }
        next
    }

    /// This snapshot with what its decisions mean by classes of clients; without, nothing is known of anybody.
    pub fn with_clients(self, clients: Arc<Clients>) -> Self {
        Self { clients, ..self }
    }

    /// Which class a client belongs to.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Every place of a sequence in use is below this.
    pub fn turns_end(&self) -> u32 {
        self.turns
    }

    /// This snapshot with what it was compiled from, so that zones can be transferred.
    pub fn with_content(self, content: Arc<Content>) -> Self {
        Self { content: Some(content), ..self }
    }

    /// This snapshot with other serials, by zone number; `None`: the file's.
    pub fn with_serials(self, serials: Arc<[Option<u32>]>) -> Self {
        Self { serials, ..self }
    }

    /// This snapshot with why services are answered as they are; `None`: nobody may ask.
    pub fn with_explained(self, explained: Option<Explained>) -> Self {
        Self { explained, ..self }
    }

    /// Why services are answered as they are.
    pub fn explained(&self) -> Option<&Explained> {
        self.explained.as_ref()
    }

    /// What it was compiled from.
    pub fn content(&self) -> Option<&Arc<Content>> {
        self.content.as_ref()
    }

    /// The serial to answer instead of the file's.
    pub fn serial(&self, zone: u16) -> Option<u32> {
        self.serials.get(usize::from(zone)).copied().flatten()
    }

    /// The decision in force for a service, in wire form.
    pub fn compiled(&self, service: ServiceId) -> Option<&Compiled> {
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
