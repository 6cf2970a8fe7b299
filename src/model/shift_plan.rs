//! `[plan.NAME]` and `[analysis.NAME]`: how shifts go, and what is measured meanwhile. Definition only; `control::shifts` walks the steps.

use std::sync::Arc;
use std::time::Duration;

use super::Share;

/// Steps of one shift, at most.
pub const STEPS_MAX: usize = 50;

/// One step of a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShiftStep {
    /// So much of the way from the present split to the one asked for; above 0, the last one is [`Share::FULL`].
    pub percent: Share,
    /// How long it is watched before the next one; nothing follows the last.
    pub hold: Duration,
    /// A person must say that it goes on.
    pub pause: bool,
}

/// What ends a shift by itself; everything else that goes wrong pauses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbortWhen {
    /// A pool that gains is not up, or drained.
    TargetUnhealthy,
    /// An analysis is beyond its limit, as often in a row as it says.
    AnalysisFailed,
}

impl AbortWhen {
    /// All of them.
    pub const ALL: [AbortWhen; 2] = [Self::TargetUnhealthy, Self::AnalysisFailed];

    /// The word in file, API and store.
    pub fn word(self) -> &'static str {
        match self {
            Self::TargetUnhealthy => "target_unhealthy",
            Self::AnalysisFailed => "analysis_failed",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.word() == word)
    }
}

/// `[plan.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftPlan {
    /// Its name.
    pub name: Arc<str>,
    /// Rising; the last one goes all the way.
    pub steps: Vec<ShiftStep>,
    /// What ends it by itself.
    pub abort_when: Vec<AbortWhen>,
    /// What is measured, by name.
    pub analyses: Vec<Arc<str>>,
}

/// Where an analysis gets its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// A query to a Prometheus: one number.
    Prometheus {
        /// Its address: `http://127.0.0.1:9090`.
        url: Arc<str>,
        /// PromQL.
        query: Arc<str>,
    },
    /// Bad requests of all that were pushed (`POST /services/ID/slo`) since the step began, 0 to 1.
    Slo,
    /// Largest difference between answered and asked share of a pool since the step began, in per cent points.
    Split,
}

/// `[analysis.NAME]`: a number that must not be above a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Its name.
    pub name: Arc<str>,
    /// Where the number comes from.
    pub gauge: Gauge,
    /// The limit.
    pub max: f64,
    /// How often it is measured.
    pub interval: Duration,
    /// So many in a row above the limit are one too many; the same number of measurements in a row that give nothing pause.
    pub failures: u32,
}

/// All of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShiftRules {
    /// `[plan.NAME]`, in file order.
    pub plans: Vec<ShiftPlan>,
    /// `[analysis.NAME]`, in file order.
    pub analyses: Vec<Arc<Analysis>>,
}

impl ShiftRules {
    /// The plan called so.
    pub fn plan(&self, name: &str) -> Option<&ShiftPlan> {
        self.plans.iter().find(|plan| *plan.name == *name)
    }

    /// The analysis called so.
    pub fn analysis(&self, name: &str) -> Option<&Arc<Analysis>> {
        self.analyses.iter().find(|analysis| *analysis.name == *name)
    }
}

/// `5`, `25`, `50p`, `100`: per cent of the way, with `p` a step at whose end a person must say that it goes on. Each has this hold.
pub fn parse_step(text: &str, hold: Duration) -> Option<ShiftStep> {
    let (number, pause) = match text.trim().strip_suffix('p') {
        Some(number) => (number, true),
        None => (text.trim(), false),
    };
    let percent = number.parse().ok().and_then(Share::from_percent).filter(|percent| Share::ZERO < *percent)?;
    Some(ShiftStep { percent, hold, pause })
}

/// What is wrong with these steps.
pub fn step_faults(steps: &[ShiftStep]) -> Vec<String> {
    let mut faults = Vec::new();
    if STEPS_MAX < steps.len() {
        faults.push(format!("there are {} steps, the limit is {STEPS_MAX}", steps.len()));
    }
    for (before, after) in steps.iter().zip(steps.iter().skip(1)) {
        if after.percent <= before.percent {
            faults.push(format!("step {} % comes after {} %; steps rise", after.percent, before.percent));
        }
    }
    if steps.last().is_none_or(|last| last.percent != Share::FULL) {
        faults.push("the last step must be 100".to_string());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<ShiftStep> {
        text.split(',').map(|step| parse_step(step, Duration::from_secs(5)).expect("a step")).collect()
    }

    #[test]
    fn steps_are_per_cent_of_the_way_and_p_waits() {
        let read = steps("5,25,50p,100");
        assert_eq!(
            read.iter().map(|step| (step.percent.percent(), step.pause)).collect::<Vec<_>>(),
            [(5.0, false), (25.0, false), (50.0, true), (100.0, false)]
        );
        assert_eq!(step_faults(&read), Vec::<String>::new());
        for text in ["", "p", "0", "101", "-5", "x"] {
            assert_eq!(parse_step(text, Duration::ZERO), None, "{text}");
        }
    }

    #[test]
    fn steps_rise_to_a_hundred() {
        assert_eq!(step_faults(&steps("5,5,100")), ["step 5 % comes after 5 %; steps rise"]);
        assert_eq!(step_faults(&steps("50")), ["the last step must be 100"]);
        assert_eq!(step_faults(&[]), ["the last step must be 100"]);
    }

    #[test]
    fn words_read_back() {
        AbortWhen::ALL.into_iter().for_each(|when| assert_eq!(AbortWhen::parse(when.word()), Some(when)));
    }
}
