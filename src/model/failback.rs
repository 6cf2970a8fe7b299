//! `failback`: when, and how, a pool that health took away is used again (SEMANTICS, 11). Definition only; `policy::hold` carries it out.

use std::fmt;
use std::time::Duration;

use super::duration_text;

/// Steps of a staged return, at most.
pub const STEPS_MAX: usize = 8;

/// When a returned pool is used again (SEMANTICS, 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failback {
    /// After this much unbroken Up; zero means at once.
    After(Duration),
    /// The same, and a part of `jitter` more that is each service's own: not all of them move at one moment.
    Scattered {
        /// Unbroken Up.
        after: Duration,
        /// The most that is added.
        jitter: Duration,
    },
    /// When an operator says so.
    Manual,
    /// Never by itself: in a failover the child that answers now counts as the first. What stands deeper waits for this time.
    OneWay(Duration),
    /// Step by step.
    Staged(Stages),
}

/// How a pool returns step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stages {
    /// Unbroken Up before the first step.
    pub after: Duration,
    /// The most that is added to that, as in [`Failback::Scattered`].
    pub jitter: Duration,
    /// What the pool gets of its own share.
    pub steps: Steps,
    /// How long each step but the last stands.
    pub hold: Duration,
}

/// Per cent of a pool's own share, rising, the last one 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Steps {
    percents: [u8; STEPS_MAX],
    count: u8,
}

/// What is wrong with steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepsError {
    /// None, or too many.
    #[error("1 to {STEPS_MAX} steps are needed")]
    Count,
    /// Not from 1 to 100, or not greater than the one before.
    #[error("steps are per cent from 1 to 100, each greater than the one before")]
    Order,
    /// The last one leaves something out.
    #[error("the last step must be 100")]
    Last,
}

impl Steps {
    /// All of it at once.
    pub const WHOLE: Steps = Steps { percents: [100, 0, 0, 0, 0, 0, 0, 0], count: 1 };

    /// From per cent.
    pub fn new(percents: &[i64]) -> Result<Self, StepsError> {
        if !(1..=STEPS_MAX).contains(&percents.len()) {
            return Err(StepsError::Count);
        }
        let mut steps = Self { percents: [0; STEPS_MAX], count: percents.len() as u8 };
        let mut before = 0;
        for (place, percent) in steps.percents.iter_mut().zip(percents) {
            *place = u8::try_from(*percent).ok().filter(|percent| (1..=100).contains(percent) && before < *percent).ok_or(StepsError::Order)?;
            before = *place;
        }
        if before == 100 { Ok(steps) } else { Err(StepsError::Last) }
    }

    /// How many there are; at least 1.
    pub fn count(self) -> u8 {
        self.count
    }

    /// Per cent at a step, from 1; 0 before the first, 100 after the last.
    pub fn percent(self, step: u8) -> u8 {
        match usize::from(step).checked_sub(1) {
            None => 0,
            Some(at) => self.percents.get(at).copied().filter(|_| step <= self.count).unwrap_or(100),
        }
    }
}

/// `5, 20, 100`
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in 1..=self.count {
            let comma = if step == 1 { "" } else { ", " };
            write!(f, "{comma}{}", self.percent(step))?;
        }
        Ok(())
    }
}

impl Failback {
    /// Unbroken Up before a pool of this service is used again, or takes its first step; `None`: an operator says when.
    pub fn wait(self, service: &str) -> Option<Duration> {
        match self {
            Failback::After(after) | Failback::OneWay(after) => Some(after),
            Failback::Scattered { after, jitter } => Some(after.saturating_add(part_of(jitter, service))),
            Failback::Staged(Stages { after, jitter, .. }) => Some(after.saturating_add(part_of(jitter, service))),
            Failback::Manual => None,
        }
    }

    /// Services of one policy may have different times.
    pub fn is_scattered(self) -> bool {
        match self {
            Failback::Scattered { jitter, .. } | Failback::Staged(Stages { jitter, .. }) => !jitter.is_zero(),
            Failback::After(_) | Failback::Manual | Failback::OneWay(_) => false,
        }
    }

    /// The steps of a staged return.
    pub fn stages(self) -> Option<Stages> {
        if let Failback::Staged(stages) = self { Some(stages) } else { None }
    }
}

/// `1m`, `manual`, `one_way`, `staged: 5, 20, 100 % of its share, 5m each`: in API, CLI and plans.
impl fmt::Display for Failback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |jitter: Duration| if jitter.is_zero() { String::new() } else { format!(" and up to {} more", duration_text(jitter)) };
        match self {
            Failback::After(after) => write!(f, "{}", duration_text(*after)),
            Failback::Scattered { after, jitter } => write!(f, "{}{}", duration_text(*after), more(*jitter)),
            Failback::Manual => write!(f, "manual"),
            Failback::OneWay(_) => write!(f, "one_way"),
            Failback::Staged(Stages { after, jitter, steps, hold }) => {
                write!(f, "staged: {steps} % of its share, {} each, after {}{}", duration_text(*hold), duration_text(*after), more(*jitter))
            }
        }
    }
}

/// A part of `whole` that is always the same for one name, and another for others: FNV-1a, stirred, since its upper bits are those of the last letters.
fn part_of(whole: Duration, name: &str) -> Duration {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    let stirred = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Duration::from_millis(((whole.as_millis() * u128::from(stirred)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise_and_end_at_100() {
        for (percents, outcome) in [
            (&[5, 20, 100][..], Ok("5, 20, 100")),
            (&[100], Ok("100")),
            (&[], Err(StepsError::Count)),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 100], Err(StepsError::Count)),
            (&[5, 5, 100], Err(StepsError::Order)),
            (&[0, 100], Err(StepsError::Order)),
            (&[50, 300], Err(StepsError::Order)),
            (&[-1, 100], Err(StepsError::Order)),
            (&[5, 50], Err(StepsError::Last)),
        ] {
            assert_eq!(Steps::new(percents).map(|steps| steps.to_string()), outcome.map(str::to_string), "{percents:?}");
        }
        let steps = Steps::new(&[5, 20, 100]).unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|step| steps.percent(step)), [0, 5, 20, 100, 100]);
    }

    #[test]
    fn jitter_spreads_services_over_all_of_it_and_is_always_the_same() {
        let jitter = Duration::from_secs(100);
        let failback = Failback::Scattered { after: Duration::from_secs(60), jitter };
        let waits: Vec<Duration> = (0..1000).filter_map(|number| failback.wait(&format!("service-{number}"))).collect();
        assert!(waits.iter().all(|wait| (60..160).contains(&wait.as_secs())));
        for tenth in 0..10 {
            let within = waits.iter().filter(|wait| (wait.as_secs() - 60) / 10 == tenth).count();
            assert!((50..=150).contains(&within), "{within} of 1000 in tenth {tenth}");
        }
        assert_eq!(failback.wait("orders"), failback.wait("orders"));
        assert_ne!(failback.wait("orders"), failback.wait("search"));
    }
}
