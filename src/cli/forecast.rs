//! How an old answer fades, as a sentence and a small plot.

use std::fmt::Write as _;

use crate::admin::api::Forecast;

use super::table::{clock, percent};

/// From nothing to all.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The share of clients that the sentence names.
const TOLD: f64 = 98.0;

/// Two lines: when clients will have followed, and the share that has not, over time.
pub fn text(forecast: &Forecast) -> String {
    let mut out = String::new();
    if let Some(moved) = forecast.moved.iter().find(|moved| moved.percent == TOLD) {
        let (by, safe) = (clock(moved.at, forecast.from), clock(forecast.safe_at, forecast.from));
        let _ = writeln!(out, "clients: {} moved by {by}; safe to switch off at {safe}", percent(Some(moved.percent)));
    }
    // The last point is beyond the TTL where some clients are.
    let within = forecast.old.iter().filter(|point| point.after.0 <= forecast.ttl.0);
    let plot: String = within.clone().map(|point| bar(point.percent)).collect();
    if let Some(last) = within.clone().next_back().filter(|_| !forecast.ttl.0.is_zero()) {
        let _ = writeln!(out, "still on the old answer: 100% {plot} {} after {} (ttl)", percent(Some(last.percent)), forecast.ttl);
    }
    out
}

/// Anything more than nothing is seen.
fn bar(percent: f64) -> char {
    let step = (percent / 100.0 * 8.0).ceil().clamp(0.0, 8.0);
    BARS.get(step as usize).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_is_a_sentence_and_a_plot() {
        let forecast: Forecast = serde_json::from_str(
            r#"{"from": "2026-11-21T12:00:10Z", "ttl": "1m", "stragglers": 2,
                "moved": [{"percent": 50, "at": "2026-11-21T12:00:41Z"}, {"percent": 98, "at": "2026-11-21T12:01:10Z"}],
                "safe_at": "2026-11-21T12:30:10Z",
                "old": [{"after": "0s", "percent": 100}, {"after": "30s", "percent": 51}, {"after": "1m", "percent": 1.93}, {"after": "30m", "percent": 0}]}"#,
        )
        .unwrap();
        assert_eq!(
            text(&forecast),
            "clients: 98% moved by 12:01:10 UTC; safe to switch off at 12:30:10 UTC\nstill on the old answer: 100% █▅▁ 1.9% after 1m (ttl)\n"
        );
    }
}
