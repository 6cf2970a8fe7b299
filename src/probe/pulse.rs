//! Whether this process ran while a probe ran: a failure that it slept through is no evidence against the peer.
//!
//! While probes run the scheduler beats every [`BEAT`]; as much as a beat comes late, the process did not run (it was stopped, or had no CPU), or could not keep up.
//! The sum of it, read when a probe begins and when it ends, says how much of the probe's time was lost.
//!
//! | the probe                                  | of its time was lost              | it is                                 |
//! |--------------------------------------------|-----------------------------------|---------------------------------------|
//! | passed                                     | any                               | a Pass: the peer did answer           |
//! | failed                                     | little                            | a Fail                                |
//! | got no answer in time, or was cut off      | a quarter of its timeout or more  | void: we may not have listened        |
//! | failed in another way, within its deadline | any                               | a Fail: the peer said so              |
//! | failed in another way, long after it       |                                   | void: peers give up on who is silent  |
//!
//! Never here: verdicts. A void probe is no outcome at all; the next round is the retry.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::health::{Outcome, ProbeReport, Reason};

/// Time between two beats: short against any timeout, long against the cost of waking up.
pub const BEAT: Duration = Duration::from_millis(50);

/// What any machine may lose now and then, however short a timeout is.
const LOST_MIN: Duration = Duration::from_millis(50);

/// Lost time since the start. Written by the scheduler, read by probes.
#[derive(Debug)]
pub struct Pulse {
    epoch: Instant,
    /// Nanoseconds lost, up to the last beat.
    lost: AtomicU64,
    /// Nanoseconds since `epoch` at which the next beat is due.
    due: AtomicU64,
}

impl Pulse {
    /// The first beat is due a [`BEAT`] from now.
    pub fn start(now: Instant) -> Self {
        Self { epoch: now, lost: AtomicU64::new(0), due: AtomicU64::new(nanos(BEAT)) }
    }

    /// When the next beat is due.
    pub fn next(&self) -> Instant {
        self.epoch + Duration::from_nanos(self.due.load(Relaxed))
    }

    /// A beat, if one is due.
    pub fn beat(&self, now: Instant) {
        let now = nanos(now.saturating_duration_since(self.epoch));
        if let Some(late) = now.checked_sub(self.due.load(Relaxed)) {
            self.lost.fetch_add(late, Relaxed);
            self.due.store(now + nanos(BEAT), Relaxed);
        }
    }

    /// Beats go on after a time in which no probe ran and none was needed.
    pub fn resume(&self, now: Instant) {
        self.due.store(nanos(now.saturating_duration_since(self.epoch)) + nanos(BEAT), Relaxed);
    }

    /// Lost until now, with what the beat that is overdue will add.
    pub fn lost(&self, now: Instant) -> Duration {
        let now = nanos(now.saturating_duration_since(self.epoch));
        Duration::from_nanos(self.lost.load(Relaxed) + now.saturating_sub(self.due.load(Relaxed)))
    }
}

/// Is this report of a probe with this timeout no evidence, after so much of its time was lost? See the table above.
pub fn is_void(report: &ProbeReport, timeout: Duration, lost: Duration) -> bool {
    let Outcome::Fail { reason, .. } = &report.outcome else { return false };
    let much = (timeout / 4).max(LOST_MIN);
    // The deadline's own lateness needs no beat to be seen.
    let overshoot = report.took.saturating_sub(timeout);
    let silence = matches!(reason, Reason::Timeout | Reason::Reset);
    much <= overshoot || silence && much <= lost
}

/// A process does not run for the 584 years that fit.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn report(outcome: Outcome, took: Duration) -> ProbeReport {
        ProbeReport::new(outcome, Timestamp(0), took)
    }

    #[test]
    fn beats_in_time_lose_nothing_and_late_ones_what_they_are_late() {
        let start = Instant::now();
        let pulse = Pulse::start(start);
        assert_eq!(pulse.next(), start + ms(50));
        pulse.beat(start + ms(50));
        assert_eq!(pulse.lost(start + ms(90)), ms(0));
        assert_eq!(pulse.lost(start + ms(15_100)), ms(15_000), "before the overdue beat");
        pulse.beat(start + ms(15_100));
        assert_eq!((pulse.lost(start + ms(15_110)), pulse.next()), (ms(15_000), start + ms(15_150)), "and after it");
        pulse.beat(start + ms(15_149));
        assert_eq!(pulse.next(), start + ms(15_150), "not due");
        pulse.beat(start + ms(15_170));
        assert_eq!(pulse.lost(start + ms(15_180)), ms(15_020));
        pulse.resume(start + ms(90_000));
        assert_eq!((pulse.lost(start + ms(90_050)), pulse.next()), (ms(15_020), start + ms(90_050)), "nobody listened, nothing was lost");
    }

    #[test]
    fn only_failures_that_we_may_have_slept_through_are_void() {
        let second = ms(1_000);
        let fail = |reason, took| report(Outcome::Fail { reason, message: String::new() }, took);
        for (report, lost, void) in [
            (fail(Reason::Timeout, second), ms(0), false),
            (fail(Reason::Timeout, ms(1_010)), ms(249), false),
            (fail(Reason::Timeout, ms(1_010)), ms(250), true),
            (fail(Reason::Timeout, ms(1_250)), ms(0), true),
            (fail(Reason::Reset, ms(600)), ms(400), true),
            (fail(Reason::Reset, ms(600)), ms(10), false),
            (fail(Reason::Refused, ms(600)), ms(500), false),
            (fail(Reason::Status, ms(600)), ms(500), false),
            (fail(Reason::Status, ms(61_000)), ms(60_000), true),
            (report(Outcome::Pass, ms(61_000)), ms(60_000), false),
        ] {
            assert_eq!(is_void(&report, second, lost), void, "{report:?}, lost {lost:?}");
        }
    }

    #[test]
    fn a_short_timeout_does_not_make_everything_void() {
        let fail = report(Outcome::Fail { reason: Reason::Timeout, message: String::new() }, ms(105));
        assert!(!is_void(&fail, ms(100), ms(40)) && is_void(&fail, ms(100), ms(50)));
    }
}
