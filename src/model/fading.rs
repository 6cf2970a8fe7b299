//! `[clients]`: how clients let go of an answer that is no longer given. Definition only; `policy::Forecast` reckons with it.

use std::time::Duration;

/// `[clients]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fading {
    /// Per cent of clients that go on with an answer beyond its TTL: pinned connections, caches that hold on.
    pub stragglers: u8,
    /// How long the last of them does.
    pub stragglers_for: Duration,
}

impl Default for Fading {
    fn default() -> Self {
        Self { stragglers: 2, stragglers_for: Duration::from_secs(30 * 60) }
    }
}
