//! What should have been written into the logs of outcomes and decisions, and was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::catalog;
use super::series::Series;

/// Written by the `store` room.
#[derive(Clone, Debug, Default)]
pub struct LostRecords {
    /// Probe outcomes.
    pub outcomes: Arc<AtomicU64>,
    /// Decisions.
    pub decisions: Arc<AtomicU64>,
}

impl LostRecords {
    pub(super) fn collect(&self, out: &mut Vec<Series>) {
        let Self { outcomes, decisions } = self;
        let mut series = Series::new(catalog::RECORD_LOST);
        series.push(&["outcomes"], outcomes.load(Relaxed) as f64);
        series.push(&["decisions"], decisions.load(Relaxed) as f64);
        out.push(series);
    }
}
