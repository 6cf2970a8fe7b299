//! What an HTTP monitor may find between well and broken, and what a response may tell of itself. Definition only.
//!
//! Everything here is off by default: a monitor that says nothing of it knows pass and fail alone.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::json_test::{JsonPath, JsonTest};

/// Beside pass and fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpOutcomes {
    /// What passes, but not well.
    pub degraded: Option<DegradedRule>,
    /// Where a response tells its endpoint's weight.
    pub report: Option<ReportRule>,
    /// Where a response tells when the data of its region was last synchronised.
    pub data_at: Option<ReportPlace>,
    /// Where a response tells how much is asked of its endpoint.
    pub load_from: Option<ReportPlace>,
    /// How 429 and 503 with `Retry-After` count.
    pub busy: Busy,
    /// A peer that is busy for longer, or asks for a longer wait, fails.
    pub busy_max: Duration,
    /// Redirects that are followed, at most [`REDIRECTS_MAX`].
    pub redirects: u8,
}

/// More redirects are never followed.
pub const REDIRECTS_MAX: u8 = 3;

/// `busy_max` where the file says nothing.
pub const BUSY_MAX: Duration = Duration::from_secs(60);

impl Default for HttpOutcomes {
    fn default() -> Self {
        Self { degraded: None, report: None, data_at: None, load_from: None, busy: Busy::default(), busy_max: BUSY_MAX, redirects: 0 }
    }
}

/// What makes a passed probe a degraded one; any of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DegradedRule {
    /// The whole probe took longer.
    pub slower_than: Option<Duration>,
    /// The first 64 KiB of the body contain this text.
    pub body: Option<String>,
    /// All of these hold in a JSON body of at most 64 KiB; empty: not asked.
    pub json: Vec<JsonTest>,
    /// Status codes; they need not be among those that pass.
    pub status: Vec<RangeInclusive<u16>>,
    /// What a degraded endpoint counts beside a sound one, unless its pool says otherwise.
    pub factor: Factor,
}

/// What counts of a degraded endpoint: 0.01 to 1, in thousandths. Never 0: degraded is not down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(u16);

impl Factor {
    /// All of it.
    pub const ONE: Factor = Factor(1000);

    /// From a number; `None`: not from 0.01 to 1.
    pub fn new(factor: f64) -> Option<Self> {
        (0.01..=1.0).contains(&factor).then(|| Self((factor * 1000.0).round() as u16))
    }

    /// As a number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Thousandths, 10 to 1000.
    pub fn thousandths(self) -> u16 {
        self.0
    }
}

/// A half.
impl Default for Factor {
    fn default() -> Self {
        Self(500)
    }
}

/// `0.5`
impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

/// How 429 and 503 with `Retry-After` count (RFC 9110, section 10.2.3), while the wait that is asked for is within `busy_max`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Busy {
    /// As any other unexpected status.
    #[default]
    Fail,
    /// As a pass.
    Pass,
    /// Not at all: the verdict stays, and grows old.
    Ignore,
    /// As a degraded pass.
    Degraded,
}

impl Busy {
    /// All of them.
    pub const ALL: [Busy; 4] = [Busy::Fail, Busy::Pass, Busy::Ignore, Busy::Degraded];

    /// As in the file.
    pub fn word(self) -> &'static str {
        match self {
            Busy::Fail => "fail",
            Busy::Pass => "pass",
            Busy::Ignore => "ignore",
            Busy::Degraded => "degraded",
        }
    }
}

/// Where a response tells its endpoint's weight, and what is believed of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReportRule {
    /// The place.
    pub place: ReportPlace,
    /// What stands there.
    pub kind: ReportKind,
    /// No endpoint counts less.
    pub min: Weight,
    /// No endpoint counts more; at least `min`.
    pub max: Weight,
}

impl ReportRule {
    /// The weight in force of an endpoint with this weight in the file, when its response says `told`.
    pub fn weight(&self, file: u32, told: f64) -> Weight {
        let wanted = match self.kind {
            ReportKind::Weight => told,
            ReportKind::Load => f64::from(file) * (1.0 - told),
        };
        Weight::saturating(wanted).clamp(self.min, self.max)
    }

    /// What must be wrong with `told`, in a sentence; `None`: it makes sense.
    pub fn nonsense(&self, told: f64) -> Option<&'static str> {
        match self.kind {
            _ if !told.is_finite() => Some("is not a number"),
            ReportKind::Weight if told < 0.0 => Some("is no weight: it is less than 0"),
            ReportKind::Load if !(0.0..=1.0).contains(&told) => Some("is no load: it is not from 0 to 1"),
            ReportKind::Weight | ReportKind::Load => None,
        }
    }
}

/// Where to look in a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReportPlace {
    /// The value of a header.
    Header(String),
    /// A number in a JSON body of at most 64 KiB.
    Json(JsonPath),
}

/// `header X-Load-Weight`, `$.weight`
impl fmt::Display for ReportPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportPlace::Header(name) => write!(f, "header {name}"),
            ReportPlace::Json(path) => write!(f, "{path}"),
        }
    }
}

/// What a response tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// A weight, used instead of the file's.
    #[default]
    Weight,
    /// A load from 0 (idle) to 1 (full): the file's weight times what is free.
    Load,
}

impl ReportKind {
    /// All of them.
    pub const ALL: [ReportKind; 2] = [ReportKind::Weight, ReportKind::Load];

    /// As in the file.
    pub fn word(self) -> &'static str {
        match self {
            ReportKind::Weight => "weight",
            ReportKind::Load => "load",
        }
    }
}

/// An endpoint's weight in thousandths, from 0.001 to 65 535: what gateways tell need not be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// The least.
    pub const LEAST: Weight = Weight(1);
    /// The greatest.
    pub const GREATEST: Weight = Weight(65_535_000);

    /// From a number; `None`: out of range.
    pub fn new(weight: f64) -> Option<Self> {
        (0.001..=65_535.0).contains(&weight).then(|| Self((weight * 1000.0).round() as u32))
    }

    /// From a number that is not NaN: what is out of range becomes the nearest that is not.
    pub fn saturating(weight: f64) -> Self {
        Self((weight * 1000.0).round().clamp(1.0, 65_535_000.0) as u32)
    }

    /// Of a file's weight, which is whole.
    pub fn whole(weight: u32) -> Self {
        Self(weight.clamp(1, 65_535).saturating_mul(1000))
    }

    /// Thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// As a number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// `2`, `0.35`
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_never_nothing_and_never_more_than_all() {
        for (number, thousandths) in [(0.5, Some(500)), (0.01, Some(10)), (1.0, Some(1000)), (0.0, None), (0.009, None), (1.01, None), (f64::NAN, None)] {
            assert_eq!(Factor::new(number).map(Factor::thousandths), thousandths, "{number}");
        }
        assert_eq!(Factor::new(0.25).map(|factor| factor.to_string()).as_deref(), Some("0.25"));
    }

    #[test]
    fn what_is_told_is_bounded_on_both_sides() {
        let rule = |kind, min, max| ReportRule {
            place: ReportPlace::Header("X-Load-Weight".to_string()),
            kind,
            min: Weight::new(min).unwrap(),
            max: Weight::new(max).unwrap(),
        };
        let weight = rule(ReportKind::Weight, 2.0, 50.0);
        for (told, in_force) in [(10.0, 10.0), (1e300, 50.0), (f64::INFINITY, 50.0), (0.0, 2.0), (2.5, 2.5)] {
            assert_eq!(weight.weight(7, told).as_f64(), in_force, "{told}");
        }
        let load = rule(ReportKind::Load, 0.1, 8.0);
        for (told, in_force) in [(0.0, 8.0), (0.5, 5.0), (1.0, 0.1), (0.25, 7.5)] {
            assert_eq!(load.weight(10, told).as_f64(), in_force, "{told}");
        }
    }

    #[test]
    fn nonsense_is_told_from_numbers() {
        let rule = |kind| ReportRule { place: ReportPlace::Header("x".to_string()), kind, min: Weight::LEAST, max: Weight::GREATEST };
        let (weight, load) = (rule(ReportKind::Weight), rule(ReportKind::Load));
        for (told, as_weight, as_load) in
            [(0.5, true, true), (0.0, true, true), (1.5, true, false), (-0.5, false, false), (f64::NAN, false, false), (f64::INFINITY, false, false)]
        {
            assert_eq!((weight.nonsense(told).is_none(), load.nonsense(told).is_none()), (as_weight, as_load), "{told}");
        }
    }
}
