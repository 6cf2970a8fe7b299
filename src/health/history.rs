//! The last probes of one target, fails apart from passes, so that a thousand passes push no fail out.
//!
//! Small, because there may be 100,000 of them: a pass takes 8 octets, a fail 16 and shares its sentence with the fail before it if they say the same.
//! With 100,000 targets that is 144 octets each while all pass ([`HistorySize::of`]), and some 450 when all fail.
//! Never here: a verdict. Nothing is decided from it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Timestamp;

use super::{Outcome, ProbeReport, Reason};

/// How much is kept of each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySize {
    /// Passes.
    pub passes: usize,
    /// Fails.
    pub fails: usize,
}

impl HistorySize {
    /// 20 passes and 50 fails each; less where there are many targets, 8 at least: a million of each kind in all.
    pub fn of(targets: usize) -> Self {
        let each = 1_000_000 / targets.max(1);
        Self { passes: each.clamp(8, 20), fails: each.clamp(8, 50) }
    }
}

/// The last probes of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Oldest first.
    passes: VecDeque<Moment>,
    fails: VecDeque<(Moment, Arc<Said>)>,
}

/// When a probe ended and how long it took, in 8 octets: 42 bits of milliseconds since 1970 (until 2109), 22 bits of 100 µs (419 s, more is cut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub u64);

const TOOK_BITS: u32 = 22;
const TOOK_MAX: u64 = (1 << TOOK_BITS) - 1;
const AT_MAX: u64 = (1 << (64 - TOOK_BITS)) - 1;

impl Moment {
    /// Of a probe.
    pub fn new(at: Timestamp, took: Duration) -> Self {
        let at = u64::try_from(at.0).unwrap_or(0).min(AT_MAX);
        let took = u64::try_from(took.as_micros() / 100).unwrap_or(TOOK_MAX).min(TOOK_MAX);
        Self(at << TOOK_BITS | took)
    }

    /// When it ended.
    pub fn at(self) -> Timestamp {
        Timestamp(i64::try_from(self.0 >> TOOK_BITS).unwrap_or(i64::MAX))
    }

    /// From start to end, to 100 µs.
    pub fn took(self) -> Duration {
        Duration::from_micros((self.0 & TOOK_MAX) * 100)
    }
}

/// What a failed probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// From the closed list.
    pub reason: Reason,
    /// One sentence.
    pub message: Box<str>,
    /// HTTP status code, if one came.
    pub status: Option<u16>,
}

/// One probe of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past<'a> {
    /// When, and how long.
    pub moment: Moment,
    /// What it said; `None`: it passed.
    pub said: Option<&'a Said>,
}

impl History {
    /// One more. `true`: it failed.
    pub fn note(&mut self, report: &ProbeReport, size: HistorySize) -> bool {
        let moment = Moment::new(report.at, report.took);
        let Outcome::Fail { reason, message } = &report.outcome else {
            if self.passes.capacity() == 0 {
                self.passes.reserve_exact(size.passes);
            }
            make_room(&mut self.passes, size.passes);
            self.passes.push_back(moment);
            return false;
        };
        let same = |said: &Said| (said.reason, &*said.message, said.status) == (*reason, message.as_str(), report.status);
        let said = match self.fails.back() {
            Some((_, said)) if same(said) => said.clone(),
            _ => Arc::new(Said { reason: *reason, message: message.as_str().into(), status: report.status }),
        };
        make_room(&mut self.fails, size.fails);
        self.fails.push_back((moment, said));
        true
    }

    /// Passes, oldest first.
    pub fn passes(&self) -> impl DoubleEndedIterator<Item = Moment> + '_ {
        self.passes.iter().copied()
    }

    /// Fails, oldest first.
    pub fn fails(&self) -> impl DoubleEndedIterator<Item = (Moment, &Arc<Said>)> + '_ {
        self.fails.iter().map(|(moment, said)| (*moment, said))
    }

    /// From what was kept of it; the oldest are left out if there is no room.
    pub fn restored(passes: impl IntoIterator<Item = Moment>, fails: impl IntoIterator<Item = (Moment, Arc<Said>)>, size: HistorySize) -> Self {
        let mut history = Self { passes: passes.into_iter().collect(), fails: fails.into_iter().collect() };
        history.passes.drain(..history.passes.len().saturating_sub(size.passes));
        history.fails.drain(..history.fails.len().saturating_sub(size.fails));
        history
    }

    /// Newest first.
    pub fn newest(&self) -> Vec<Past<'_>> {
        let passes = self.passes.iter().map(|moment| Past { moment: *moment, said: None });
        let mut all: Vec<Past<'_>> = self.fails.iter().map(|(moment, said)| Past { moment: *moment, said: Some(said) }).chain(passes).collect();
        all.sort_by_key(|past| std::cmp::Reverse(past.moment.at()));
        all
    }

    /// Octets on the heap, sentences counted where they begin.
    pub fn octets(&self) -> usize {
        let mut last: Option<&Arc<Said>> = None;
        let mut sentences = 0;
        for (_, said) in &self.fails {
            if !last.is_some_and(|last| Arc::ptr_eq(last, said)) {
                sentences += size_of::<Said>() + 2 * size_of::<usize>() + said.message.len();
            }
            last = Some(said);
        }
        self.passes.capacity() * size_of::<Moment>() + self.fails.capacity() * size_of::<(Moment, Arc<Said>)>() + sentences
    }
}

fn make_room<T>(ring: &mut VecDeque<T>, most: usize) {
    while ring.len() >= most {
        ring.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(at: i64, said: Option<&str>) -> ProbeReport {
        let outcome = said.map_or(Outcome::Pass, |message| Outcome::Fail { reason: Reason::Refused, message: message.into() });
        let took = Duration::from_micros(1_234);
        ProbeReport::new(outcome, Timestamp(at), took)
    }

    #[test]
    fn passes_never_push_fails_out() {
        let size = HistorySize { passes: 3, fails: 2 };
        let mut history = History::default();
        assert!(history.note(&report(1, Some("refused")), size));
        for at in 2..1000 {
            assert!(!history.note(&report(at, None), size));
        }
        let told: Vec<_> = history.newest().iter().map(|past| (past.moment.at().0, past.said.is_some())).collect();
        assert_eq!(told, [(999, false), (998, false), (997, false), (1, true)]);
        for at in 1000..1003 {
            history.note(&report(at, Some("refused")), size);
        }
        assert_eq!(history.fails().map(|(moment, _)| moment.at().0).collect::<Vec<_>>(), [1001, 1002]);
    }

    #[test]
    fn moments_keep_milliseconds_until_2109_and_tenths_of_them_for_seven_minutes() {
        let moment = Moment::new(Timestamp(1_795_262_403_123), Duration::from_micros(12_345));
        assert_eq!((moment.at(), moment.took()), (Timestamp(1_795_262_403_123), Duration::from_micros(12_300)));
        assert_eq!(Moment::new(Timestamp(-5), Duration::from_secs(9_999)).took(), Duration::from_micros(TOOK_MAX * 100));
        assert_eq!(Moment::new(Timestamp(i64::MAX), Duration::ZERO).at(), Timestamp(AT_MAX as i64));
    }

    #[test]
    fn equal_sentences_are_kept_once_and_sizes_are_as_told() {
        let size = HistorySize::of(100_000);
        assert_eq!((size, HistorySize::of(3)), (HistorySize { passes: 10, fails: 10 }, HistorySize { passes: 20, fails: 50 }));
        let mut history = History::default();
        for at in 0..100 {
            history.note(&report(at, None), size);
        }
        assert_eq!(size_of::<History>() + history.octets(), 144);
        for at in 0..100 {
            history.note(&report(at, Some("no answer within 3s while connecting to 192.0.2.10:8080")), size);
        }
        let total = size_of::<History>() + history.octets();
        assert!(total <= 512, "{total}");
    }

    #[test]
    fn what_is_restored_is_cut_to_size() {
        let mut history = History::default();
        for at in 0..40 {
            history.note(&report(at, Some("refused")), HistorySize::of(1));
        }
        let small = HistorySize { passes: 8, fails: 8 };
        let back = History::restored(history.passes(), history.fails().map(|(moment, said)| (moment, said.clone())), small);
        assert_eq!(back.fails().map(|(moment, _)| moment.at().0).collect::<Vec<_>>(), (32..40).collect::<Vec<_>>());
    }
}
