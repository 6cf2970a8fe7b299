//! A moment that somebody names ahead: `2026-11-21T22:00:00+01:00`, `+30m`, `22:00`.
//!
//! Never here: what happens then, or what time it is now.

use std::time::Duration;

use super::time::{Timestamp, parse_duration};

/// Milliseconds of a day and of a minute.
const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

/// When something is to happen, as it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// RFC 3339, with its offset taken off.
    At(Timestamp),
    /// So much later.
    After(Duration),
    /// The next time that it is so many minutes after midnight, UTC.
    Daily(u16),
}

impl Moment {
    /// Any of the three forms; a sentence if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let found = match text.strip_prefix('+') {
            Some(span) => parse_duration(span).ok().map(Self::After),
            None => daily(text).or_else(|| rfc3339(text).map(Self::At)).or_else(|| parse_duration(text).ok().map(Self::After)),
        };
        found.ok_or_else(|| format!("`{}` is no moment; write it like 2026-11-21T22:00:00Z, +30m, or 22:00 (the next one, UTC)", text.escape_debug()))
    }

    /// A moment of the past, seen from `now`: RFC 3339, `03:12` (the last time that it was so, UTC), `2h` or `2h ago`; a sentence if it is none of these.
    pub fn past(text: &str, now: Timestamp) -> Result<Timestamp, String> {
        let text = text.trim();
        let span = |text: &str| parse_duration(text).ok().and_then(|span| i64::try_from(span.as_millis()).ok());
        let found = match text.strip_suffix("ago") {
            Some(ago) => span(ago).map(|span| now.0 - span),
            None => match daily(text) {
                Some(daily) => Some(daily.from(now).0 - DAY),
                None => rfc3339(text).map(|at| at.0).or_else(|| span(text).map(|span| now.0 - span)),
            },
        };
        let wrong =
            || format!("`{}` is no moment of the past; write it like 2026-11-20T03:12:00Z, 03:12 (the last one, UTC), or 2h (ago)", text.escape_debug());
        found.map(Timestamp).ok_or_else(wrong)
    }

    /// The moment itself, seen from `now`.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(span) => now.plus(span),
            Self::Daily(minutes) => {
                let today = now.0 - now.0.rem_euclid(DAY) + i64::from(minutes) * MINUTE;
                Timestamp(if today <= now.0 { today + DAY } else { today })
            }
        }
    }
}

/// `22:00`
fn daily(text: &str) -> Option<Moment> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, max: u16| text.parse::<u16>().ok().filter(|number| text.len() == 2 && *number < max);
    Some(Moment::Daily(number(hours, 24)? * 60 + number(minutes, 60)?))
}

/// RFC 3339 with any offset; `humantime` knows `Z` alone.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (clock, offset) = match text.len().checked_sub(6).map(|at| text.split_at_checked(at)) {
        Some(Some((clock, offset))) if offset.starts_with(['+', '-']) => {
            let Moment::Daily(minutes) = daily(offset.get(1..)?)? else { return None };
            (format!("{clock}Z"), if offset.starts_with('-') { -i64::from(minutes) } else { i64::from(minutes) })
        }
        _ => (text.to_ascii_uppercase(), 0),
    };
    let at = humantime::parse_rfc3339(&clock).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(at.as_millis()).ok()? - offset * MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_and_no_others() {
        let noon = Timestamp(1_795_262_400_000);
        let at = |text: &str| Moment::parse(text).map(|moment| moment.from(noon).whole_seconds());
        for (text, wanted) in [
            ("2026-11-21T22:00:00Z", "2026-11-21T22:00:00Z"),
            ("2026-11-21T22:00:00+01:00", "2026-11-21T21:00:00Z"),
            ("2026-11-21T22:00:00-05:30", "2026-11-22T03:30:00Z"),
            ("+30m", "2026-11-21T12:30:00Z"),
            ("1h 30s", "2026-11-21T13:00:30Z"),
            ("22:00", "2026-11-21T22:00:00Z"),
            ("12:00", "2026-11-22T12:00:00Z"),
            ("03:15", "2026-11-22T03:15:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(wanted), "{text}");
        }
        let past = |text: &str| Moment::past(text, noon).map(Timestamp::whole_seconds);
        for (text, wanted) in [
            ("2026-11-21T03:12:00Z", "2026-11-21T03:12:00Z"),
            ("2026-11-21T05:12:00+02:00", "2026-11-21T03:12:00Z"),
            ("03:12", "2026-11-21T03:12:00Z"),
            ("22:00", "2026-11-20T22:00:00Z"),
            ("2h ago", "2026-11-21T10:00:00Z"),
            ("2h 30m", "2026-11-21T09:30:00Z"),
        ] {
            assert_eq!(past(text).as_deref(), Ok(wanted), "{text}");
        }
        assert!(["", "ago", "+2h", "yesterday", "3:12"].iter().all(|text| Moment::past(text, noon).is_err()));
        for text in ["", "+", "tonight", "24:00", "3:15", "2026-11-21", "2026-11-21T22:00:00", "2026-11-21T22:00:00+1:00", "22:00:00", "é:00+01:00"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
