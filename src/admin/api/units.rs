//! Small shared things: times, spans, shares, words, lists.

use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::control::{OverrideWord, Scope as RecordScope};
use crate::health;
use crate::model::{Timestamp, duration_text, parse_duration};
use crate::policy;

use super::schema;

/// A moment: RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let at = humantime::parse_rfc3339(&text).map_err(|_| D::Error::custom(format!("`{text}` is not a time such as 2026-11-21T12:00:03Z")))?;
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self(Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))))
    }
}

/// A length of time: `"30s"`, `"2h"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&duration_text(self.0))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Shares by pool, per cent, in file order: `{"prod": 80, "dr": 20}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares(pub Vec<(String, f64)>);

impl Shares {
    /// From ratios (0 to 1), as `control` counts them. Per cent are rounded to four decimals, so that 0.8 is 80.
    pub fn from_ratios<N: AsRef<str>>(ratios: impl IntoIterator<Item = (N, f64)>) -> Self {
        let percent = |ratio: f64| (ratio * 1_000_000.0).round() / 10_000.0;
        Self(ratios.into_iter().map(|(name, ratio)| (name.as_ref().to_string(), percent(ratio))).collect())
    }

    /// The share of `pool`; `None` if it is not named.
    pub fn get(&self, pool: &str) -> Option<f64> {
        self.0.iter().find(|(name, _)| name == pool).map(|(_, share)| *share)
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        /// Whole numbers without `.0`, which reads better.
        struct Percent(f64);
        impl Serialize for Percent {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if self.0.fract() == 0.0 && (0.0..=100.0).contains(&self.0) { to.serialize_u8(self.0 as u8) } else { to.serialize_f64(self.0) }
            }
        }
        to.collect_map(self.0.iter().map(|(name, share)| (name, Percent(*share))))
    }
}

impl<'de> Deserialize<'de> for Shares {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Shares;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("shares by pool, per cent, such as {\"prod\": 80, \"dr\": 20}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shares, A::Error> {
                let mut shares = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    shares.push(entry);
                }
                Ok(Shares(shares))
            }
        }
        from.deserialize_map(Map)
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct List<T> {
    /// In file order, or newest first for revisions.
    pub items: Vec<T>,
    /// Ask again with `?cursor=` this for more; `null`: that was all.
    pub next_cursor: Option<String>,
    /// The store's counter.
    pub revision: u64,
}

/// The query string of a writing request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteQuery {
    /// Say what would happen, write nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Why, for requests without a body (`DELETE`); a body's own `reason` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::reason")]
    pub reason: Option<String>,
    /// A shift of the service that is under way ends where it is, by this change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_shift: bool,
    /// Guards that need not hold, by comma; those of a body count, too. Needs the scope `admin` and a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::guard_list")]
    pub break_glass: Option<String>,
    /// Not now but then: RFC 3339, `+30m`, or `22:00` (the next one, UTC). Traffic, failover, drains and their ends, and shifts can be scheduled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub at: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(
    /// Health.
    State {
        /// Answers well.
        Up = "up",
        /// Does not.
        Down = "down",
        /// No verdict yet.
        Unknown = "unknown",
    }
);

impl From<health::State> for State {
    fn from(state: health::State) -> Self {
        match state {
            health::State::Up => Self::Up,
            health::State::Down => Self::Down,
            health::State::Unknown => Self::Unknown,
        }
    }
}

words!(
    /// A region's verdict, from those of its pools that something watches.
    RegionState {
        /// Every pool is up.
        Up = "up",
        /// Some are up, some are down.
        Degraded = "degraded",
        /// Every pool is down.
        Down = "down",
        /// Some have no verdict, and nothing better can be said.
        Unknown = "unknown",
    }
);

impl From<policy::RegionState> for RegionState {
    fn from(state: policy::RegionState) -> Self {
        match state {
            policy::RegionState::Up => Self::Up,
            policy::RegionState::Degraded => Self::Degraded,
            policy::RegionState::Down => Self::Down,
            policy::RegionState::Unknown => Self::Unknown,
        }
    }
}

words!(
    /// Whose policy is in force.
    Source {
        /// The configuration file's.
        File = "file",
        /// An operator's.
        Operator = "operator",
    }
);

words!(
    /// What an override does.
    Kind {
        /// No new answers while anything else is up.
        Drain = "drain",
        /// Counts as up.
        ForceUp = "force_up",
        /// Never answered.
        ForceDown = "force_down",
        /// A service keeps its decision against automatic change.
        Freeze = "freeze",
        /// Used however old its data is.
        Approve = "approve",
    }
);

impl From<OverrideWord> for Kind {
    fn from(kind: OverrideWord) -> Self {
        match kind {
            OverrideWord::Drain => Self::Drain,
            OverrideWord::ForceUp => Self::ForceUp,
            OverrideWord::ForceDown => Self::ForceDown,
            OverrideWord::Freeze => Self::Freeze,
            OverrideWord::Approve => Self::Approve,
        }
    }
}

impl From<Kind> for OverrideWord {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Drain => Self::Drain,
            Kind::ForceUp => Self::ForceUp,
            Kind::ForceDown => Self::ForceDown,
            Kind::Freeze => Self::Freeze,
            Kind::Approve => Self::Approve,
        }
    }
}

words!(
    /// What one may do: `read < operate < admin`.
    Scope {
        /// Look.
        Read = "read",
        /// Move traffic, override.
        Operate = "operate",
        /// Tokens, reload.
        Admin = "admin",
    }
);

impl From<RecordScope> for Scope {
    fn from(scope: RecordScope) -> Self {
        match scope {
            RecordScope::Read => Self::Read,
            RecordScope::Operate => Self::Operate,
            RecordScope::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for RecordScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Operate => Self::Operate,
            Scope::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_both_ways() {
        let time = Time(Timestamp(1_795_262_403_412));
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2026-11-21T12:00:03.412Z\"");
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), time);
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }

    #[test]
    fn spans_are_written_as_people_write_them() {
        assert_eq!(serde_json::to_string(&Span(Duration::from_secs(90))).unwrap(), "\"1m 30s\"");
        assert_eq!(serde_json::from_str::<Span>("\"2h\"").unwrap(), Span(Duration::from_secs(7200)));
        assert!(serde_json::from_str::<Span>("30").is_err());
    }

    #[test]
    fn shares_keep_their_order_and_whole_numbers() {
        let shares = Shares::from_ratios([("prod", 0.8), ("dr", 0.2), ("sorry", 1.0 / 3.0)]);
        let text = serde_json::to_string(&shares).unwrap();
        assert_eq!(text, r#"{"prod":80,"dr":20,"sorry":33.3333}"#);
        assert_eq!(serde_json::from_str::<Shares>(&text).unwrap(), shares);
        assert_eq!(shares.get("dr"), Some(20.0));
        assert_eq!(shares.get("dx"), None);
    }
}
