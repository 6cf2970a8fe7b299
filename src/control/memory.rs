//! Memory by ids (inside one estate) and by names (in the store, across reloads).

use crate::model::{Estate, PoolId};
use crate::policy::{Hold, Memory, Stage};

use super::record::LearnedMemory;

/// By names, to be stored.
pub(super) fn remember(estate: &Estate, memory: &Memory) -> LearnedMemory {
    let Memory { held, stages: _, first, last, used: _, all_down: _, fallen: _ } = memory;
    let name = |pool: &PoolId| estate.pool(*pool).name.clone();
    LearnedMemory {
        held: held.iter().map(|hold| (name(&hold.pool), hold.family)).collect(),
        last: [0, 1].map(|family| last[family].iter().map(name).collect()),
        first: first.clone(),
    }
}

/// By the ids of another estate, where a reload goes on: with how far pools have come back. Pools that no longer exist are forgotten.
pub(super) fn carried(from: &Estate, memory: &Memory, to: &Estate) -> Memory {
    let stage = |stage: &Stage| Some(Stage { hold: Hold { pool: to.pool_named(&from.pool(stage.hold.pool).name)?, ..stage.hold }, ..*stage });
    let mut stages: Vec<Stage> = memory.stages.iter().filter_map(stage).collect();
    stages.sort_unstable();
    Memory { stages, ..recall(to, &remember(from, memory)) }
}

/// By ids; pools that no longer exist are forgotten.
pub(super) fn recall(estate: &Estate, memory: &LearnedMemory) -> Memory {
    let LearnedMemory { held, last, first } = memory;
    let mut held: Vec<Hold> = held.iter().filter_map(|(pool, family)| Some(Hold { pool: estate.pool_named(pool)?, family: *family })).collect();
    held.sort();
    let first = first.clone();
    Memory { held, first, last: [0, 1].map(|family| last[family].iter().filter_map(|pool| estate.pool_named(pool)).collect()), ..Memory::default() }
}
