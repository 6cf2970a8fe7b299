//! Analyses: what was measured is judged here; measuring is an IO room's business.

use std::sync::Arc;
use std::time::Duration;

use crate::control::core::Core;
use crate::control::event::{Effect, Effects};
use crate::model::{AbortWhen, Analysis, Gauge, Now};

use super::live::Pushed;
use super::machine::Move;
use super::record::{Halt, ShiftRecord};

/// Longest time for one measurement, with what it takes to come back.
const MEASURE_MAX: Duration = Duration::from_secs(10);
/// Fewer answers say nothing about shares.
const ANSWERS_MIN: u64 = 100;

/// What an IO room found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A number.
    Number(f64),
    /// Answers by pool, since the start of the process.
    Answers(Vec<(Arc<str>, u64)>),
}

/// A measurement that was ordered by [`Effect::Measure`] is back.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The N of `s-N`.
    pub shift: u64,
    /// The step that was in force.
    pub step: u32,
    /// Which analysis.
    pub analysis: Arc<str>,
    /// What was found, or why nothing was: one sentence.
    pub found: Result<Found, String>,
}

impl Core {
    /// Good and bad requests of a service, as its own monitoring counts them.
    pub(in crate::control) fn counted(&mut self, service: &str, good: u64, bad: u64) {
        let Some(service) = self.configuration.estate.service_named(service).map(|id| self.configuration.estate.service(id).name.clone()) else { return };
        let pushed = self.shifts.pushed.entry(service).or_default();
        *pushed = Pushed { good: pushed.good.saturating_add(good), bad: pushed.bad.saturating_add(bad) };
    }

    /// Orders the measurements of a shift whose time has come.
    pub(in crate::control) fn measure(&mut self, id: u64, record: &ShiftRecord, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let due: Vec<Arc<str>> =
            self.shifts.live.get(&id).into_iter().flat_map(|live| &live.analyses).filter(|one| one.next_at <= now.mono).map(|one| one.name.clone()).collect();
        for name in due {
            let Some(analysis) = estate.shifts.analysis(&name) else { continue };
            let found = match &analysis.gauge {
                Gauge::Slo => self.pushed_since(id, record),
                Gauge::Prometheus { .. } | Gauge::Split if !self.is_measuring(id, &name) => {
                    if let Some(one) = self.live_analysis(id, &name) {
                        (one.measuring, one.next_at) = (true, now.mono + MEASURE_MAX);
                    }
                    effects.push(Effect::Measure { shift: id, step: record.step, service: record.service.clone(), analysis: analysis.clone() });
                    continue;
                }
                Gauge::Prometheus { .. } | Gauge::Split => Err("it took too long".to_string()),
            };
            self.judge(id, record, analysis, found, now);
        }
    }

    fn pushed_since(&self, id: u64, record: &ShiftRecord) -> Result<Found, String> {
        let now = self.shifts.pushed.get(&record.service).copied().unwrap_or_default();
        let began = self.shifts.live.get(&id).map(|live| live.pushed).unwrap_or_default();
        let (good, bad) = (now.good.saturating_sub(began.good), now.bad.saturating_sub(began.bad));
        match good + bad {
            0 => Err(format!("nothing was pushed to /api/v1/services/{}/slo since the step began", record.service)),
            all => Ok(Found::Number(bad as f64 / all as f64)),
        }
    }

    fn live_analysis(&mut self, id: u64, name: &str) -> Option<&mut super::live::LiveAnalysis> {
        self.shifts.live.get_mut(&id)?.analyses.iter_mut().find(|one| *one.name == *name)
    }

    fn is_measuring(&mut self, id: u64, name: &str) -> bool {
        self.live_analysis(id, name).is_some_and(|one| one.measuring)
    }

    /// What an IO room found; of a step that has passed it says nothing.
    pub(in crate::control) fn measured(&mut self, measured: Measured, now: Now) {
        let Measured { shift, step, analysis, found } = measured;
        let Some(record) = self.shifts.kept.get(&shift).map(|(record, _)| record.clone()).filter(|record| record.step == step) else { return };
        let Some(definition) = self.configuration.estate.shifts.analysis(&analysis).cloned() else { return };
        self.judge(shift, &record, &definition, found, now);
    }

    fn judge(&mut self, id: u64, record: &ShiftRecord, analysis: &Analysis, found: Result<Found, String>, now: Now) {
        let asked: Vec<(Arc<str>, f64)> = match (&found, self.configuration.estate.service_named(&record.service)) {
            (Ok(Found::Answers(_)), Some(service)) => self.effective(service, self.shown_family(service)),
            _ => Vec::new(),
        };
        let Some(one) = self.live_analysis(id, &analysis.name) else { return };
        one.measuring = false;
        one.next_at = now.mono + analysis.interval;
        let number = match found {
            Err(why) => Err(why),
            Ok(Found::Number(number)) if number.is_finite() => Ok(number),
            Ok(Found::Number(number)) => Err(format!("it gave {number}, which is no number to compare with")),
            Ok(Found::Answers(answers)) => match &one.answers {
                None => {
                    one.answers = Some(answers);
                    return;
                }
                Some(began) => apart(began, &answers, &asked),
            },
        };
        match number {
            Ok(number) => {
                (one.last, one.problem, one.blanks) = (Some(number), None, 0);
                let within = number <= analysis.max;
                one.failures = if within { 0 } else { one.failures + 1 };
                one.passed |= within;
            }
            Err(why) => {
                one.problem = Some(why);
                one.blanks += 1;
            }
        }
    }

    /// An analysis that is beyond its limit, or gives nothing, too often in a row.
    pub(in crate::control) fn failing(&self, id: u64, record: &ShiftRecord) -> Option<Move> {
        let service = &record.service;
        let next = |what: &str| format!("{what}; then windrose shift retry {service}, or windrose shift abort {service}");
        let rules = &self.configuration.estate.shifts;
        for one in &self.shifts.live.get(&id)?.analyses {
            let halt = |code: &str, message, value, limit, hint| Halt { code: code.to_string(), message, value, limit, hint };
            let Some(analysis) = rules.analysis(&one.name) else {
                let message = format!("analysis {} is not in the file any more", one.name);
                let halt = halt("analysis_inconclusive", message, None, None, next(&format!("add [analysis.{}] and reload", one.name)));
                return Some(Move::Halt { from: record.step, halt, abort: false });
            };
            if analysis.failures <= one.failures {
                let value = one.last.unwrap_or_default();
                let message = format!("analysis {} gives {}, the limit is {} ({} times in a row)", one.name, tidy(value), analysis.max, one.failures);
                let halt = halt("analysis_failed", message, Some(tidy(value)), Some(analysis.max), next("find out why"));
                return Some(Move::Halt { from: record.step, halt, abort: record.abort_when.contains(&AbortWhen::AnalysisFailed) });
            }
            if analysis.failures <= one.blanks {
                let why = one.problem.clone().unwrap_or_default();
                let message = format!("analysis {} gave nothing {} times in a row: {why}", one.name, one.blanks);
                let halt = halt("analysis_inconclusive", message, None, Some(analysis.max), next("make it measurable"));
                return Some(Move::Halt { from: record.step, halt, abort: false });
            }
        }
        None
    }
}

/// The largest difference between a pool's answered and asked share, in per cent points.
fn apart(began: &[(Arc<str>, u64)], now: &[(Arc<str>, u64)], asked: &[(Arc<str>, f64)]) -> Result<f64, String> {
    let since = |pool: &str, count: u64| count.saturating_sub(began.iter().find(|(known, _)| **known == *pool).map_or(0, |(_, count)| *count));
    let counts: Vec<(&str, u64)> = now.iter().map(|(pool, count)| (&**pool, since(pool, *count))).collect();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    if all < ANSWERS_MIN {
        return Err(format!("only {all} answers since the step began; {ANSWERS_MIN} are needed to tell shares"));
    }
    let answered = |pool: &str| counts.iter().filter(|(known, _)| *known == pool).map(|(_, count)| *count as f64 / all as f64).sum::<f64>();
    let share = |pool: &str| asked.iter().find(|(known, _)| **known == *pool).map_or(0.0, |(_, share)| *share);
    let pools = counts.iter().map(|(pool, _)| *pool).chain(asked.iter().map(|(pool, _)| &**pool));
    Ok(pools.map(|pool| (answered(pool) - share(pool)).abs() * 100.0).fold(0.0, f64::max))
}

/// Four decimals are enough for people.
fn tidy(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answered_is_compared_with_asked_since_the_step_began() {
        let counts = |prod, dr| vec![(Arc::from("prod"), prod), (Arc::from("dr"), dr)];
        let asked = [(Arc::from("prod"), 0.5), (Arc::from("dr"), 0.5)];
        assert_eq!(apart(&counts(1000, 0), &counts(1480, 520), &asked).map(f64::round), Ok(2.0));
        assert!(apart(&counts(1000, 0), &counts(1040, 40), &asked).is_err_and(|why| why.contains("only 80 answers")));
    }
}
