//! Time as a value: handed in from the edge, never read here.

use std::time::Duration;

/// Wall-clock time, milliseconds since the Unix epoch (UTC). For people and for stored ends, never for intervals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From RFC 3339, in UTC or with an offset; `None`: it is none, or lies before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let at = |text: &str| {
            let since = humantime::parse_rfc3339(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_millis()).ok()
        };
        if let Some(millis) = at(text) {
            return Some(Self(millis));
        }
        let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let number = |text: &str, below: i64| text.parse::<u32>().ok().map(i64::from).filter(|number| *number < below);
        let east = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000;
        let sign = match offset.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        Some(Self(at(&format!("{local}Z"))? - sign * east)).filter(|at| 0 <= at.0)
    }

    /// This much later.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to here; zero if the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC without a fraction: `2026-11-21T12:00:03Z`.
    pub fn whole_seconds(self) -> String {
        let since_epoch = Duration::from_millis(u64::try_from(self.0).unwrap_or(0));
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since_epoch).to_string()
    }

    /// Seconds since the epoch, for metrics.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T12:00:03.412Z`.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since_epoch = Duration::from_millis(u64::try_from(self.0).unwrap_or(0));
        humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since_epoch).fmt(f)
    }
}

/// The moment of an event, read once at the edge.
///
/// `mono` (since start) drives streaks, holds, schedules and ends; `wall` is for display and for converting stored ends (SEMANTICS, 28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the process began; never goes back.
    pub mono: Duration,
    /// What the wall clock said.
    pub wall: Timestamp,
}

/// `"10s"`, `"500ms"`, `"1m 30s"`, `"4h"`: the form of every duration in the file and the API.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| format!("`{text}` is not a duration; write it like \"10s\", \"500ms\" or \"1m 30s\""))
}

/// The same form out: the shortest text that [`parse_duration`] reads back, such as `30s`, `1m 30s`, `500ms`.
pub fn duration_text(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
