//! `shed`: a pool over its declared load gives away a share of its answers. Definition only; `control::load` says when, `policy::tree` to whom.

use std::fmt;
use std::time::Duration;

use super::Share;

/// What a pool does while too much is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shed {
    /// More load than this begins it.
    pub over: Load,
    /// This load or less ends it; less than `over`.
    pub until: Load,
    /// What it gives away of its own answers: more than 0, at most [`SHED_MAX`].
    pub share: Share,
    /// Whose answers those are.
    pub by: ShedBy,
    /// Neither begins nor ends sooner than this after the last turn.
    pub hold: Duration,
    /// What was told longer ago begins and ends nothing.
    pub max_age: Duration,
}

/// Who gave away everything would be idle, take all of it back, and be full again.
pub const SHED_MAX: Share = Share(900_000);

/// Which answers are given away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShedBy {
    /// Every so many-th, whoever asks; of a sticky service as [`ShedBy::Client`].
    #[default]
    Random,
    /// Those of the same clients all the time, told apart by prefix as sticky services do.
    Client,
}

impl ShedBy {
    /// All of them.
    pub const ALL: [ShedBy; 2] = [ShedBy::Random, ShedBy::Client];

    /// As in the file and the API.
    pub fn word(self) -> &'static str {
        match self {
            ShedBy::Random => "random",
            ShedBy::Client => "client",
        }
    }
}

/// How much is asked of a pool, in whatever unit it declares its limits in (per cent of what it can do, requests a second, …): thousandths, from 0 to 10⁹.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Load(u64);

impl Load {
    /// None at all.
    pub const ZERO: Load = Load(0);
    /// The greatest.
    pub const GREATEST: f64 = 1e9;

    /// From a number; `None`: out of range, or none at all.
    pub fn new(load: f64) -> Option<Self> {
        (0.0..=Self::GREATEST).contains(&load).then(|| Self((load * 1000.0).round() as u64))
    }

    /// The mean of some; `None`: of none.
    pub fn mean(loads: &[Load]) -> Option<Self> {
        let sum: u64 = loads.iter().map(|load| load.0).sum();
        sum.checked_div(loads.len() as u64).map(Self)
    }

    /// A tenth less.
    pub fn less_a_tenth(self) -> Self {
        Self(self.0 - self.0 / 10)
    }

    /// As a number.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl TryFrom<f64> for Load {
    type Error = &'static str;

    fn try_from(load: f64) -> Result<Self, Self::Error> {
        Self::new(load).ok_or("a load is a number from 0 to 1000000000")
    }
}

impl From<Load> for f64 {
    fn from(load: Load) -> Self {
        load.as_f64()
    }
}

/// `85`, `85.2`
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

/// `30 % over 80 until 72, by client`: in API, CLI and plans.
impl fmt::Display for Shed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, until, share, by, hold, max_age } = self;
        let (hold, max_age) = (super::duration_text(*hold), super::duration_text(*max_age));
        write!(f, "{share} % over {over} until {until}, by {}, at most one turn in {hold}, reports count for {max_age}", by.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_any_number_that_makes_sense() {
        for (number, text) in [(0.0, Some("0")), (85.2, Some("85.2")), (1e9, Some("1000000000")), (-0.1, None), (1.1e9, None), (f64::NAN, None)] {
            assert_eq!(Load::new(number).map(|load| load.to_string()).as_deref(), text, "{number}");
        }
        let [a, b] = [90.0, 60.5].map(|load| Load::new(load).unwrap());
        assert_eq!(Load::mean(&[a, b]).map(Load::as_f64), Some(75.25));
        assert_eq!(Load::mean(&[]), None);
        assert_eq!(Load::new(80.0).map(|load| load.less_a_tenth().as_f64()), Some(72.0));
    }
}
