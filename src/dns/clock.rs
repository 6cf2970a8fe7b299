//! The time of a batch, from the one reading of the monotonic clock that the batch needs anyway.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Now, Timestamp};

/// The wall clock is read again after so long: cookies count in seconds.
const WALL_AGE_MAX: Duration = Duration::from_secs(1);

/// All clocks that were copied from one count from the same start.
#[derive(Clone, Copy, Debug)]
pub struct BatchClock {
    start: Instant,
    /// The wall clock, and when it was read.
    wall: Timestamp,
    read_at: Duration,
}

impl BatchClock {
    /// Starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: wall(), read_at: Duration::ZERO }
    }

    /// The time at `instant`; the wall clock up to a second old.
    pub fn now(&mut self, instant: Instant) -> Now {
        let mono = instant.saturating_duration_since(self.start);
        if mono.saturating_sub(self.read_at) >= WALL_AGE_MAX {
            (self.wall, self.read_at) = (wall(), mono);
        }
        Now { mono, wall: self.wall }
    }
}

fn wall() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
