//! The clock, read at the edge.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Now, Timestamp};

/// Counts from its making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Goes on from another process's, which read `mono` just now.
    pub(super) fn continuing(mono: Duration) -> Self {
        let now = Instant::now();
        Self { start: now.checked_sub(mono).unwrap_or(now) }
    }

    /// This moment.
    pub(super) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.start.elapsed(), wall: Timestamp(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)) }
    }

    /// The tokio instant at which `mono` will be reached.
    pub(super) fn instant(&self, mono: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + mono)
    }
}
