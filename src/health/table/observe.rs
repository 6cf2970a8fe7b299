//! One outcome into the verdicts that stand on its target, and on to endpoints and pools.

use crate::health::quality::Counts;
use crate::health::verdict::Standing;
use crate::health::{Outcome, ProbeReport, Reason, State};
use crate::model::{Estate, JudgementId, Now, TargetId, Watch};

use super::{HealthTable, Observed, Transition, Turn};

impl HealthTable {
    /// One outcome into all verdicts on its target (SEMANTICS, 12). O(1) unless one changes; then its endpoints and their pools are derived anew.
    pub fn observe(&mut self, estate: &Estate, target: TargetId, mut report: ProbeReport, now: Now) -> Observed {
        let mut observed = Observed::default();
        let Some(health) = self.targets.get_mut(target.index()) else { return observed };
        // What this node could not do says nothing of the target: shown, not counted.
        if let Outcome::Fail { reason: Reason::Internal, .. } = report.outcome {
            health.last_failed = Some(report.clone());
            health.last = Some(report);
            return observed;
        }
        let monitor = estate.monitor(estate.target(target).monitor);
        let was_shaped = health.quality.is_shaped();
        let counts = health.quality.observe(&mut report, monitor, &monitor.thresholds, now);
        match (was_shaped, health.quality.is_shaped()) {
            (false, true) => self.shaped += 1,
            (true, false) => self.shaped -= 1,
            _ => {}
        }
        if counts == Counts::Nothing {
            health.last = Some(report);
            return observed;
        }
        let passed = counts != Counts::Fail;
        if !passed {
            health.last_failed = Some(report.clone());
        }
        health.last = Some(report);
        for judgement in estate.judgements_of(target) {
            let before = self.judgement(judgement).against();
            let transition = self.judge(estate, judgement, passed, now);
            let after = self.judgement(judgement).against();
            self.count_streak(before, after);
            match transition {
                Some(transition) => self.follow(estate, transition, now, &mut observed),
                None if before != after => observed.streaks.push(judgement),
                None => (),
            }
        }
        observed
    }

    /// What was told of a target no longer holds (`push`): from now on all verdicts on it are `silent`, whatever the thresholds; `report` says why in words.
    pub fn fall_silent(&mut self, estate: &Estate, target: TargetId, silent: State, report: ProbeReport, now: Now) -> Observed {
        let mut observed = Observed::default();
        let Some(health) = self.targets.get_mut(target.index()) else { return observed };
        health.last_failed = Some(report.clone());
        health.last = Some(report);
        for judgement in estate.judgements_of(target) {
            self.count_streak(self.judgement(judgement).against(), 0);
            if let Some(transition) = self.silence(judgement, silent, now) {
                self.follow(estate, transition, now, &mut observed);
            }
        }
        observed
    }

    /// Outcomes against a verdict, before and after.
    pub(super) fn count_streak(&mut self, before: u16, after: u16) {
        match (before, after) {
            (0, 1..) => self.streaks += 1,
            (1.., 0) => self.streaks = self.streaks.saturating_sub(1),
            _ => (),
        }
    }

    /// One verdict ends. `None`: neither the state nor the stale mark changed.
    fn silence(&mut self, judgement: JudgementId, silent: State, now: Now) -> Option<Transition> {
        let health = self.judgements.get_mut(judgement.index())?;
        let (before, was_stale) = (health.state, health.stale);
        health.failing_since = if silent == State::Down { health.failing_since.or(Some(now.mono)) } else { None };
        if before != silent {
            health.since = now.wall;
        }
        (health.state, health.stale, health.fails, health.passes) = (silent, false, 0, 0);
        if before == silent && !was_stale {
            return None;
        }
        Some(Transition { judgement, from: before, to: silent, confirmed: was_stale, failing_since: health.failing_since })
    }

    /// A verdict changed, or was confirmed: its endpoints and their pools.
    fn follow(&mut self, estate: &Estate, transition: Transition, now: Now, observed: &mut Observed) {
        self.turn(estate, &transition, now, &mut observed.turns);
        self.derive_pools_of(estate, &estate.judgement(transition.judgement).endpoints, now);
        observed.transitions.push(transition);
    }

    /// One outcome into one verdict. `None`: neither the state nor the stale mark changed.
    fn judge(&mut self, estate: &Estate, judgement: JudgementId, passed: bool, now: Now) -> Option<Transition> {
        let health = self.judgements.get_mut(judgement.index())?;
        let before = Standing { state: health.state, fails: health.fails, passes: health.passes };
        let after = before.after(passed, &estate.judgement(judgement).thresholds);
        let (failing_before, against) = (health.failing_since, health.against());
        health.failing_since = match after.state {
            State::Up if after.fails == 0 => None,
            _ if passed => health.failing_since,
            _ => health.failing_since.or(Some(now.mono)),
        };
        // The first agreeing outcome clears the mark; one that changes the state agrees with the new one.
        let agrees = passed == (after.state == State::Up);
        let confirmed = health.stale && agrees;
        health.stale &= !agrees;
        if after.state != before.state {
            health.since = now.wall;
        }
        (health.state, health.fails, health.passes) = (after.state, after.fails, after.passes);
        if against < health.against() {
            health.streak_at = now.mono;
        }
        if after.state == before.state && !confirmed {
            return None;
        }
        let failing_since = if after.state == State::Down { health.failing_since.or(failing_before) } else { None };
        Some(Transition { judgement, from: before.state, to: after.state, confirmed, failing_since })
    }

    /// The endpoints that a change of verdict turns.
    fn turn(&mut self, estate: &Estate, transition: &Transition, now: Now, turns: &mut Vec<Turn>) {
        let Transition { judgement, from, to, failing_since, confirmed: _ } = *transition;
        for endpoint in &estate.judgement(judgement).endpoints {
            let (from, to) = match estate.endpoint(*endpoint).watch {
                Watch::Combined(id) => self.combine(estate, id, failing_since, now),
                _ => (from, to),
            };
            if from != to {
                turns.push(Turn { endpoint: *endpoint, from, to });
            }
        }
    }
}
