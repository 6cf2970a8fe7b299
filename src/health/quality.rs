//! What there is to know of a target beside Up and Down: degraded, busy, the weight that it tells, the end of its certificate.
//!
//! Nothing here makes a target Up or Down by itself. *Degraded* is debounced like the verdict (SEMANTICS, 12), beside it:
//!
//! | now      | outcome  | when                                    | next                                  |
//! |----------|----------|-----------------------------------------|---------------------------------------|
//! | sound    | Degraded | always                                  | one more counted, clean run forgotten |
//! | sound    | Degraded | counted ones reach `down_after`         | degraded                              |
//! | either   | Pass     | passes in a row reach `ok_after`        | sound, counted ones forgiven          |
//! | degraded | Degraded | always                                  | degraded, clean run forgotten         |
//! | either   | Fail     | always                                  | as it is, clean run forgotten         |
//!
//! A target begins sound. What is not asked for by its monitor has no effect, whatever was learned before.
//!
//! Never here: shares. What a degraded endpoint or a weight means for answers is policy's.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Busy, EndpointId, Estate, Factor, HttpOutcomes, Monitor, Now, ReportKind, TargetId, Thresholds, Timestamp, Watch, Weight, duration_text};

use super::{HealthTable, Outcome, ProbeReport, Reason, Reported, State};

/// A told weight takes effect when it differs from the one in force by at least this part of it: answers are not compiled for every breath.
const CHANGE_MIN: f64 = 0.1;

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Since when it is degraded; `None`: it is sound.
    pub degraded_since: Option<Timestamp>,
    /// What the last degraded probe said.
    pub degraded_why: Option<Arc<str>>,
    /// Counted while sound.
    degrading: u16,
    /// Clean passes in a row.
    clean: u16,
    /// It is busy, and was all the time since.
    pub busy: Option<BusySince>,
    /// What it told of its weight or load, as in force.
    pub told: Option<f64>,
    /// Passes in a row that told nothing usable.
    untold: u16,
    /// Of the last probe that saw one.
    pub certificate: Option<Certificate>,
}

/// The first of an unbroken row of busy outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusySince {
    /// When.
    pub at: Timestamp,
    mono: Duration,
}

/// A certificate as the last probe that saw one found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its end.
    pub expires: Timestamp,
    /// How near that was.
    pub state: CertificateState,
    /// The end that people were told of: each is told of once.
    pub told: Option<Timestamp>,
}

/// How near a certificate's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateState {
    /// Far enough.
    Valid,
    /// Within the monitor's `expires_within`.
    Expiring,
    /// It has passed.
    Expired,
}

impl CertificateState {
    /// The word in API and CLI.
    pub fn word(self) -> &'static str {
        match self {
            CertificateState::Valid => "valid",
            CertificateState::Expiring => "expiring",
            CertificateState::Expired => "expired",
        }
    }
}

/// How an outcome counts for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Pass,
    Degraded,
    Fail,
    /// Neither way.
    Nothing,
}

impl Quality {
    /// What changes answers: is it degraded, and what weight did it tell?
    pub fn effect(&self) -> (bool, Option<f64>) {
        (self.degraded_since.is_some(), self.told)
    }

    /// It may change answers.
    pub(super) fn is_shaped(&self) -> bool {
        self.effect() != (false, None)
    }

    /// One outcome. The report's sentence is completed by how it counts; a target that is busy for too long has failed.
    pub(super) fn observe(&mut self, report: &mut ProbeReport, monitor: &Monitor, thresholds: &Thresholds, now: Now) -> Counts {
        let rules = monitor.check.outcomes();
        let counts = self.count(&mut report.outcome, rules, now);
        match counts {
            Counts::Degraded => self.degrades(report.outcome.message().unwrap_or_default(), thresholds, now),
            Counts::Pass => self.is_clean(thresholds),
            Counts::Fail => self.clean = 0,
            Counts::Nothing => {}
        }
        if matches!(report.outcome, Outcome::Pass | Outcome::Degraded { .. }) {
            self.hear(report.reported.as_ref(), rules, thresholds);
        }
        if let Some(expires) = report.certificate_expires {
            self.see(expires, monitor.check.tls().and_then(|tls| tls.expires_within), report.at);
        }
        counts
    }

    fn count(&mut self, outcome: &mut Outcome, rules: Option<&HttpOutcomes>, now: Now) -> Counts {
        let (message, retry_after) = match outcome {
            Outcome::Fail { .. } => return Counts::Fail,
            Outcome::Pass | Outcome::Degraded { .. } => {
                self.busy = None;
                return if *outcome == Outcome::Pass { Counts::Pass } else { Counts::Degraded };
            }
            Outcome::Busy { message, retry_after } => (message, *retry_after),
        };
        let since = *self.busy.get_or_insert(BusySince { at: now.wall, mono: now.mono });
        let lasted = now.mono.saturating_sub(since.mono);
        let (rule, longest) = rules.map_or((Busy::Fail, Duration::ZERO), |rules| (rules.busy, rules.busy_max));
        let (counts, how) = match rule {
            _ if longest < retry_after => (Counts::Fail, format!("it asks for more than busy_max ({})", duration_text(longest))),
            _ if longest < lasted => (Counts::Fail, format!("it has been busy for more than busy_max ({})", duration_text(longest))),
            Busy::Fail => (Counts::Fail, "busy is a failure".to_string()),
            Busy::Pass => (Counts::Pass, format!("counts as a pass, for {} at most", duration_text(longest))),
            Busy::Degraded => (Counts::Degraded, format!("counts as degraded, for {} at most", duration_text(longest))),
            Busy::Ignore => (Counts::Nothing, format!("counts neither way, for {} at most", duration_text(longest))),
        };
        *message = format!("{message}; {how}");
        if counts == Counts::Fail {
            *outcome = Outcome::Fail { reason: Reason::Status, message: std::mem::take(message) };
        }
        counts
    }

    fn degrades(&mut self, why: &str, thresholds: &Thresholds, now: Now) {
        self.clean = 0;
        self.degraded_why = Some(why.into());
        if self.degraded_since.is_none() {
            self.degrading = self.degrading.saturating_add(1);
            if thresholds.down_after <= self.degrading {
                (self.degraded_since, self.degrading) = (Some(now.wall), 0);
            }
        }
    }

    fn is_clean(&mut self, thresholds: &Thresholds) {
        if self.degraded_since.is_none() && self.degrading == 0 {
            return;
        }
        self.clean = self.clean.saturating_add(1);
        if thresholds.ok_after <= self.clean {
            (self.degraded_since, self.degraded_why, self.degrading, self.clean) = (None, None, 0, 0);
        }
    }

    /// A response told its weight, or nothing usable.
    fn hear(&mut self, reported: Option<&Reported>, rules: Option<&HttpOutcomes>, thresholds: &Thresholds) {
        let Some(rule) = rules.and_then(|rules| rules.report.as_ref()) else {
            (self.told, self.untold) = (None, 0);
            return;
        };
        let Some(Reported::Number(new)) = reported else {
            self.untold = self.untold.saturating_add(1);
            if thresholds.down_after <= self.untold {
                self.told = None;
            }
            return;
        };
        self.untold = 0;
        // A weight is compared within its bounds, a load by what it leaves free.
        let worth = |told: f64| match rule.kind {
            ReportKind::Weight => rule.weight(1, told).as_f64(),
            ReportKind::Load => (1.0 - told).max(0.001),
        };
        let changes = |told: f64| worth(told) * CHANGE_MIN <= (worth(*new) - worth(told)).abs();
        if self.told.is_none_or(changes) {
            self.told = Some(*new);
        }
    }

    fn see(&mut self, expires: Timestamp, within: Option<Duration>, at: Timestamp) {
        let near = within.is_some_and(|within| expires.0.saturating_sub(i64::try_from(within.as_millis()).unwrap_or(i64::MAX)) < at.0);
        let state = match () {
            () if expires < at => CertificateState::Expired,
            () if near => CertificateState::Expiring,
            () => CertificateState::Valid,
        };
        let before = self.certificate.and_then(|certificate| certificate.told);
        // Two certificates that take turns behind one address are told of once each, not at every turn.
        let told = if state == CertificateState::Valid || within.is_none() { before } else { Some(before.map_or(expires, |before| before.max(expires))) };
        self.certificate = Some(Certificate { expires, state, told });
    }
}

impl HealthTable {
    /// What is known of an endpoint's target beside its verdict. `None`: nothing probes it, or several targets have a say in it (a composite monitor).
    pub fn quality(&self, estate: &Estate, endpoint: EndpointId) -> Option<(TargetId, &Quality)> {
        let Watch::Judgement(judgement) = estate.endpoint(endpoint).watch else { return None };
        let target = estate.judgement(judgement).target;
        Some((target, &self.target(target).quality))
    }

    /// An endpoint that is observed Up and degraded: what it counts beside a sound one. `None`: it is sound, or not Up.
    pub fn degraded(&self, estate: &Estate, endpoint: EndpointId) -> Option<Factor> {
        let (item, (target, quality)) = (estate.endpoint(endpoint), self.quality(estate, endpoint)?);
        quality.degraded_since.filter(|_| self.endpoint(estate, endpoint) == State::Up)?;
        let rule = estate.monitor(estate.target(target).monitor).check.outcomes()?.degraded.as_ref()?;
        Some(estate.pool(item.pool).degraded_factor.unwrap_or(rule.factor))
    }

    /// The weight that an endpoint told, within its bounds; `None`: the file's is in force.
    pub fn told_weight(&self, estate: &Estate, endpoint: EndpointId) -> Option<Weight> {
        let (item, (target, quality)) = (estate.endpoint(endpoint), self.quality(estate, endpoint)?);
        let told = quality.told?;
        let rule = estate.monitor(estate.target(target).monitor).check.outcomes()?.report.as_ref()?;
        Some(rule.weight(item.weight, told))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::testing::estate;
    use crate::model::JudgementId;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: Timestamp(seconds as i64 * 1000) }
    }

    fn busy(seconds: u64) -> Outcome {
        Outcome::Busy { message: "busy".to_string(), retry_after: Duration::from_secs(seconds) }
    }

    /// `+` passes, `~` passes degraded, `-` fails, `b` is busy for 10 s.
    fn outcome(letter: char) -> Outcome {
        match letter {
            '+' => Outcome::Pass,
            '~' => Outcome::Degraded { message: "slow".to_string() },
            '-' => Outcome::Fail { reason: Reason::Timeout, message: "silence".to_string() },
            _ => busy(10),
        }
    }

    fn one(outcomes: &str) -> (Estate, HealthTable) {
        let estate = estate(&format!("thresholds down_after=3 ok_after=4 up_after=2\noutcomes {outcomes}\npool prod: 10.0.0.1"));
        let table = HealthTable::new(&estate, at(0));
        (estate, table)
    }

    fn feed(table: &mut HealthTable, estate: &Estate, letters: &str, from: u64) {
        for (letter, second) in letters.chars().zip(from..) {
            table.observe(estate, TargetId(0), ProbeReport::new(outcome(letter), at(second).wall, Duration::from_millis(1)), at(second));
        }
    }

    /// `up`, `up, degraded`, `down`, …
    fn stands(table: &HealthTable, estate: &Estate) -> String {
        let endpoint = EndpointId(0);
        format!("{}{}", table.endpoint(estate, endpoint).word(), if table.degraded(estate, endpoint).is_some() { ", degraded" } else { "" })
    }

    #[test]
    fn degraded_is_debounced_beside_the_verdict() {
        for (letters, expected) in [
            ("~", "up"),
            ("+~~", "up"),
            ("+~~~", "up, degraded"),
            // Not in a row: each counts until a clean run forgives it.
            ("+~+~+~", "up, degraded"),
            ("+~~++++~", "up"),
            ("+~~+++~", "up, degraded"),
            ("+~~~+++", "up, degraded"),
            ("+~~~++++", "up"),
            ("+~~~+++~+++", "up, degraded"),
            // A fail is no clean pass, and none that is degraded.
            ("+~~~+++-+++", "up, degraded"),
            ("+~~-", "up"),
            ("+~~~---", "down"),
            // It goes on underneath.
            ("+~~~---~~", "up, degraded"),
            ("+~~~---++++", "up"),
            // A degraded pass is a pass.
            ("-~~", "up"),
            ("---~~~", "up, degraded"),
            ("~~~", "up, degraded"),
        ] {
            let (estate, mut table) = one("factor=0.5");
            feed(&mut table, &estate, letters, 1);
            assert_eq!(stands(&table, &estate), expected, "{letters}");
            assert_eq!(table.shapes_any(), table.target(TargetId(0)).quality.degraded_since.is_some());
        }
    }

    #[test]
    fn what_the_monitor_no_longer_asks_for_has_no_effect() {
        let (estate, mut table) = one("factor=0.5");
        feed(&mut table, &estate, "+~~~", 1);
        let plain = crate::health::testing::estate("pool prod: 10.0.0.1");
        let carried = table.carried_over(&estate, &plain, at(9));
        assert_eq!(stands(&carried, &plain), "up");
        assert_eq!(stands(&carried.carried_over(&plain, &estate, at(10)), &estate), "up, degraded");
    }

    #[test]
    fn busy_counts_by_its_rule_until_it_lasts_too_long() {
        for (rule, letters, expected) in [
            ("busy=ignore", "+bbbbbb", "up"),
            ("busy=ignore", "-bbbbbb", "down"),
            ("busy=ignore", "bbb", "unknown"),
            ("busy=pass", "b", "up"),
            ("busy=pass", "--bb", "up"),
            ("factor=0.5 busy=degraded", "+bbb", "up, degraded"),
            ("busy=fail", "+bbb", "down"),
        ] {
            let (estate, mut table) = one(rule);
            feed(&mut table, &estate, letters, 1);
            assert_eq!(stands(&table, &estate), expected, "{rule} {letters}");
        }
        // One a second from 10: the first is at 10, so from 71 on it has lasted for more than a minute.
        let (estate, mut table) = one("busy=ignore");
        feed(&mut table, &estate, "+", 9);
        feed(&mut table, &estate, &"b".repeat(63), 10);
        assert_eq!((stands(&table, &estate).as_str(), table.judgement(JudgementId(0)).fails), ("up", 2));
        let last = table.target(TargetId(0)).last_failed.clone().unwrap().outcome;
        assert_eq!(last.message(), Some("busy; it has been busy for more than busy_max (1m)"));
        feed(&mut table, &estate, "b", 73);
        assert_eq!(stands(&table, &estate), "down");
        feed(&mut table, &estate, "++b", 74);
        let health = table.target(TargetId(0));
        assert_eq!(
            (table.judgement(JudgementId(0)).state, health.quality.busy.map(|busy| busy.at)),
            (State::Up, Some(Timestamp(76_000))),
            "a pass ends the row"
        );
        assert_eq!(health.last.as_ref().unwrap().outcome.message(), Some("busy; counts neither way, for 1m at most"));
    }

    #[test]
    fn who_asks_for_more_than_busy_max_is_not_busy_but_away() {
        let (estate, mut table) = one("busy=pass");
        table.observe(&estate, TargetId(0), ProbeReport::new(busy(61), at(1).wall, Duration::ZERO), at(1));
        assert_eq!(stands(&table, &estate), "down");
        let last = table.target(TargetId(0)).last_failed.clone().unwrap();
        assert_eq!(last.outcome, Outcome::Fail { reason: Reason::Status, message: "busy; it asks for more than busy_max (1m)".to_string() });
    }

    fn tell(table: &mut HealthTable, estate: &Estate, told: Option<f64>) -> Option<f64> {
        let reported = told.map_or_else(|| Reported::Useless("nothing".to_string()), Reported::Number);
        let report = ProbeReport { reported: Some(reported), ..ProbeReport::new(Outcome::Pass, at(1).wall, Duration::ZERO) };
        table.observe(estate, TargetId(0), report, at(1));
        table.told_weight(estate, EndpointId(0)).map(Weight::as_f64)
    }

    #[test]
    fn a_told_weight_moves_by_a_tenth_or_not_at_all_and_is_forgotten_when_it_stays_away() {
        let (estate, mut table) = one("report=weight min=2 max=50");
        for (told, in_force) in [
            (Some(20.0), Some(20.0)),
            (Some(21.9), Some(20.0)),
            (Some(18.1), Some(20.0)),
            (Some(22.0), Some(22.0)),
            (Some(1000.0), Some(50.0)),
            (Some(51.0), Some(50.0)),
            (Some(0.0), Some(2.0)),
            (None, Some(2.0)),
            (None, Some(2.0)),
            (Some(2.0), Some(2.0)),
            (None, Some(2.0)),
            (None, Some(2.0)),
            (None, None),
            (Some(7.0), Some(7.0)),
        ] {
            assert_eq!(tell(&mut table, &estate, told), in_force, "{told:?}");
        }
        assert!(table.shapes_any());
    }

    #[test]
    fn a_load_moves_by_a_tenth_of_what_is_free() {
        let (estate, mut table) = one("report=load min=0.01 max=1");
        for (told, in_force) in [(0.0, 1.0), (0.05, 1.0), (0.12, 0.88), (0.9, 0.1), (0.905, 0.1), (0.95, 0.05), (1.0, 0.01)] {
            let now = tell(&mut table, &estate, Some(told)).unwrap();
            assert!((now - in_force).abs() < 0.0011, "{told}: {now}");
        }
    }

    #[test]
    fn a_certificate_is_told_of_once_however_often_it_is_seen_and_taken_turns_with() {
        let mut quality = Quality::default();
        let day = 86_400_000;
        let within = Some(Duration::from_secs(14 * 86_400));
        let mut see = |expires: i64, at: i64| {
            quality.see(Timestamp(expires * day), within, Timestamp(at * day));
            let certificate = quality.certificate.unwrap();
            (certificate.state.word(), certificate.told.map(|told| told.0 / day))
        };
        assert_eq!(see(100, 80), ("valid", None));
        assert_eq!(see(100, 87), ("expiring", Some(100)));
        assert_eq!(see(100, 88), ("expiring", Some(100)));
        assert_eq!(see(190, 88), ("valid", Some(100)));
        assert_eq!(see(100, 89), ("expiring", Some(100)));
        assert_eq!(see(100, 101), ("expired", Some(100)));
        assert_eq!(see(190, 180), ("expiring", Some(190)));
        quality.see(Timestamp(100 * day), None, Timestamp(99 * day));
        assert_eq!(quality.certificate.map(|certificate| certificate.state), Some(CertificateState::Valid), "nobody asked to be warned");
    }

    /// The verdict alone, told apart from everything else: what `Quality` must agree with.
    fn naive(letters: &[char]) -> bool {
        let (mut degraded, mut counted, mut clean) = (false, 0, 0);
        for letter in letters {
            match letter {
                '~' if degraded => clean = 0,
                '~' => {
                    (counted, clean) = (counted + 1, 0);
                    if counted == 3 {
                        (degraded, counted) = (true, 0);
                    }
                }
                '+' => {
                    clean += 1;
                    if clean >= 4 {
                        (degraded, counted, clean) = (false, 0, 0);
                    }
                }
                '-' => clean = 0,
                _ => {}
            }
        }
        degraded
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_machine_agrees_with_the_table_and_never_changes_the_verdict(letters in prop::collection::vec(prop::sample::select(vec!['+', '+', '+', '~', '~', '-', 'b']), 0..80)) {
            let text: String = letters.iter().collect();
            let (estate, mut table) = one("factor=0.5 busy=ignore");
            feed(&mut table, &estate, &text, 1);
            // Busy for more than a minute would be a fail: rows of 61 don't come.
            prop_assert_eq!(table.target(TargetId(0)).quality.degraded_since.is_some(), naive(&letters));
            let (same, mut plain) = one("factor=0.5");
            feed(&mut plain, &same, &text.replace('~', "+").replace('b', ""), 1);
            prop_assert_eq!(table.judgement(JudgementId(0)).state, plain.judgement(JudgementId(0)).state);
        }
    }
}
