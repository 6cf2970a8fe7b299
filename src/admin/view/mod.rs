//! The core as the API shows it: pure functions from `Core` to the types of [`api`](super::api).
//!
//! They run while the core is lent, so they only read and copy; nothing here waits or decides.

mod board;
mod concern;
mod estate;
mod explain;
mod guards;
mod preflight;
mod replay;
mod schedule;
mod service;
mod shift;
mod simulate;

pub(super) use board::Board;
pub(super) use concern::concerns;
pub(super) use estate::{blind, databases, endpoint, freshness, override_, pool, record, region, sentinels, shed, zone};
pub(super) use explain::{Place, answer_of, networks, place};
pub(super) use guards::{gate, guards};
pub(super) use preflight::{client_move, preflight};
pub(super) use replay::replayed;
pub(super) use schedule::schedule;
pub(super) use service::{revision, service, traffic};
pub(super) use shift::{planned_shift, shift};
pub(super) use simulate::{forecast, simulation};

use std::sync::Arc;

use crate::control::Core;
use crate::model::{Family, PoolId};

/// Names listed where there may be very many (host names, services of a pool).
const NAMES_SHOWN: usize = 100;

/// Owned names for JSON, the first hundred.
fn names<'a>(names: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.into_iter().take(NAMES_SHOWN).map(|name| name.to_string()).collect()
}

/// The family that a pool is shown for: IPv4 unless it has none.
fn shown_family(core: &Core, pool: PoolId) -> Family {
    if core.health().pool_has(core.estate(), pool, Family::V4) { Family::V4 } else { Family::V6 }
}
