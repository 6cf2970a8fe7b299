//! Which target is due when: data that one can print, no clock inside.
//!
//! Every target has a grid of rounds on the time since start: `phase + round × interval + jitter`. The phase is a hash of the target's key,
//! so probes are spread over the interval, and a reload (or a restart) neither bunches nor moves them; the jitter is a hash of key and round,
//! so that targets with one interval don't meet in lockstep for ever, and the same key gives the same times in every run.
//!
//! | at a due moment                                | then                                                                        |
//! |------------------------------------------------|-----------------------------------------------------------------------------|
//! | its last probe still runs                      | the round is skipped and counted                                            |
//! | late by less than an interval                  | it starts; the lag is told                                                  |
//! | late by an interval or more (a stall)          | missed rounds are skipped and counted; it waits for its next round          |
//! | so, and it was put off before without a probe  | missed rounds are skipped and counted; it starts (overload starves no one)  |
//!
//! Never here: sockets, clocks, chance, verdicts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::model::TargetId;

/// The first round of a hurried plan is spread over this, or longer if there are more targets than can be probed in it; never longer than the interval.
const HURRY_SPREAD: Duration = Duration::from_secs(1);

/// So many targets a second: what one core can do. A first round that is due faster than it can be done would put all later ones off.
const HURRY_RATE: u32 = 10_000;

/// Jitter is at most 1/25 of the interval, so two rounds are an interval ± 4 % apart.
const JITTER_PART: u64 = 25;

/// Shorter intervals are taken as this; the configuration's own floor is higher.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The timetable of all targets of one plan, indexed by [`TargetId`].
#[derive(Debug, Default)]
pub struct Schedule {
    seats: Vec<Seat>,
    /// One entry per seat: when it is due next.
    dues: BinaryHeap<Reverse<(Duration, TargetId)>>,
}

/// One target's place in the timetable.
#[derive(Debug)]
struct Seat {
    key: Arc<str>,
    hash: u64,
    interval: Duration,
    due: Duration,
    in_flight: bool,
    put_off: bool,
}

/// What a due moment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub target: TargetId,
    /// Start a probe, this much after it was due; `None`: not this time.
    pub start: Option<Duration>,
    /// Rounds left out.
    pub skipped: u64,
}

impl Schedule {
    /// A new plan. Targets whose key was in the last one keep their times and their probe in flight; the others begin with their first round after `now`,
    /// or, with `hurry`, within a second for each 10,000 of them. Returns where each target of the last plan has gone; `None`: it is no longer probed.
    pub fn replan(&mut self, targets: impl Iterator<Item = (Arc<str>, Duration)>, hurry: bool, now: Duration) -> Vec<Option<TargetId>> {
        let old = std::mem::take(&mut self.seats);
        let mut moved = vec![None; old.len()];
        let targets: Vec<_> = targets.collect();
        let hurry_spread = HURRY_SPREAD.max(Duration::from_secs(1) * u32::try_from(targets.len()).unwrap_or(u32::MAX) / HURRY_RATE);
        let mut old: HashMap<Arc<str>, (usize, Seat)> = old.into_iter().enumerate().map(|(at, seat)| (seat.key.clone(), (at, seat))).collect();
        for (key, interval) in targets {
            let interval = interval.max(INTERVAL_MIN);
            let target = TargetId::at(self.seats.len());
            let seat = match old.remove(&key) {
                Some((at, seat)) => {
                    if let Some(to) = moved.get_mut(at) {
                        *to = Some(target);
                    }
                    let due = if seat.interval == interval { seat.due } else { next_round(seat.hash, interval, now) };
                    Seat { interval, due, ..seat }
                }
                None => {
                    let hash = key_hash(&key);
                    let due = if hurry { now + part(hash, hurry_spread.min(interval)) } else { next_round(hash, interval, now) };
                    Seat { key, hash, interval, due, in_flight: false, put_off: false }
                }
            };
            self.seats.push(seat);
        }
        self.dues = self.seats.iter().enumerate().map(|(at, seat)| Reverse((seat.due, TargetId::at(at)))).collect();
        moved
    }

    /// The next due moment.
    pub fn next_due(&self) -> Option<Duration> {
        self.dues.peek().map(|Reverse((due, _))| *due)
    }

    /// The longest-waiting target that is due by `now`, with what to do; its next round is set. Ask until `None`.
    /// A probe that is told to start counts as in flight until [`finished`](Self::finished).
    pub fn take_due(&mut self, now: Duration) -> Option<Due> {
        let mut top = self.dues.peek_mut().filter(|top| top.0.0 <= now)?;
        let target = top.0.1;
        let Some(seat) = self.seats.get_mut(target.index()) else {
            std::collections::binary_heap::PeekMut::pop(top);
            return None;
        };
        let lag = now.saturating_sub(seat.due);
        let missed = u64::try_from(lag.as_nanos() / seat.interval.as_nanos().max(1)).unwrap_or(u64::MAX);
        let due = if seat.in_flight {
            Due { target, start: None, skipped: missed.max(1) }
        } else if missed > 0 && !seat.put_off {
            seat.put_off = true;
            Due { target, start: None, skipped: missed }
        } else {
            seat.put_off = false;
            seat.in_flight = true;
            Due { target, start: Some(lag), skipped: missed }
        };
        // Strictly later than this moment: a target is never asked for twice at once.
        seat.due = next_round(seat.hash, seat.interval, now.max(seat.due) + Duration::from_nanos(1));
        *top = Reverse((seat.due, target));
        Some(due)
    }

    /// The probe of this target ended and its outcome was handed over.
    pub fn finished(&mut self, target: TargetId) {
        if let Some(seat) = self.seats.get_mut(target.index()) {
            seat.in_flight = false;
        }
    }
}

/// The first moment of the target's grid that is not before `from`.
fn next_round(hash: u64, interval: Duration, from: Duration) -> Duration {
    let phase = part(hash, interval);
    let jitter_max = part(u64::MAX / JITTER_PART, interval);
    let first = from.saturating_sub(phase + jitter_max).as_nanos() / interval.as_nanos().max(1);
    let mut round = u64::try_from(first).unwrap_or(u64::MAX);
    loop {
        let jitter = part(mix(hash ^ round.wrapping_mul(0x9e37_79b9_7f4a_7c15)) / JITTER_PART, interval);
        let at = nanos(u128::from(round) * interval.as_nanos()) + phase + jitter;
        // Jitter is shorter than the interval, so this ends after two steps.
        if at >= from {
            return at;
        }
        round += 1;
    }
}

/// `hash / 2^64` of the span.
fn part(hash: u64, span: Duration) -> Duration {
    nanos((u128::from(hash) * span.as_nanos()) >> 64)
}

/// Spans here are far below the 584 years that fit.
fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// FNV-1a, then mixed: the same in every release, so a target keeps its place across restarts and upgrades.
fn key_hash(key: &str) -> u64 {
    mix(key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// The finalizer of SplitMix64: every input bit moves every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn targets(count: usize) -> impl Iterator<Item = (Arc<str>, Duration)> {
        (0..count).map(|n| (Arc::from(format!("gateway@10.{}.{}.{}#9f3c", n >> 16, (n >> 8) & 255, n & 255)), INTERVAL))
    }

    fn keyed(keys: &[&str]) -> impl Iterator<Item = (Arc<str>, Duration)> {
        keys.iter().map(|key| (Arc::from(*key), INTERVAL)).collect::<Vec<_>>().into_iter()
    }

    /// Steps through `[from, to)` like a prober whose probes take no time; returns the starts.
    fn play(schedule: &mut Schedule, to: Duration) -> Vec<(Duration, TargetId)> {
        let mut starts = Vec::new();
        while let Some(at) = schedule.next_due().filter(|at| *at < to) {
            let due = schedule.take_due(at).unwrap();
            assert_eq!((due.start, due.skipped), (Some(Duration::ZERO), 0));
            schedule.finished(due.target);
            starts.push((at, due.target));
        }
        starts
    }

    fn assert_spread(starts: &[(Duration, TargetId)], from: Duration, bucket: Duration, buckets: usize, mean: f64) {
        let mut counts = vec![0u32; buckets];
        for (at, _) in starts {
            counts[((*at - from).as_nanos() / bucket.as_nanos()) as usize] += 1;
        }
        let worst = counts.iter().max().unwrap();
        assert!(f64::from(*worst) <= 2.0 * mean, "{worst} in one bucket, the mean is {mean}: {counts:?}");
    }

    #[test]
    fn no_bucket_of_100_ms_holds_more_than_twice_the_mean_from_the_start_on() {
        for started in [Duration::ZERO, ms(987_654)] {
            let mut schedule = Schedule::default();
            schedule.replan(targets(10_000), false, started);
            let starts = play(&mut schedule, started + 6 * INTERVAL);
            assert_spread(&starts, started, ms(100), 600, 100.0);
            assert!(starts.len().abs_diff(60_000) < 1_000, "{}", starts.len());
        }
    }

    #[test]
    fn a_reload_of_half_the_targets_does_not_bunch() {
        let mut schedule = Schedule::default();
        schedule.replan(targets(5_000), false, ms(0));
        play(&mut schedule, ms(33_333));
        schedule.replan(targets(10_000), false, ms(33_333));
        assert_spread(&play(&mut schedule, ms(93_333)), ms(33_333), ms(100), 600, 100.0);
    }

    #[test]
    fn hurry_spreads_the_first_round_over_a_second_and_then_over_the_interval() {
        let mut schedule = Schedule::default();
        schedule.replan(targets(10_000), true, ms(500));
        let starts = play(&mut schedule, ms(1_500));
        let first: std::collections::HashSet<_> = starts.iter().map(|(_, target)| *target).collect();
        assert_eq!(first.len(), 10_000, "every target within a second");
        assert_spread(&starts, ms(500), ms(10), 100, 110.0);
        assert_spread(&play(&mut schedule, ms(31_500)), ms(1_500), ms(100), 300, 100.0);
    }

    #[test]
    fn hurry_takes_a_second_for_each_10_000_targets_and_bunches_nowhere() {
        let mut schedule = Schedule::default();
        schedule.replan(targets(50_000), true, ms(500));
        let starts = play(&mut schedule, ms(5_500));
        let first: std::collections::HashSet<_> = starts.iter().map(|(_, target)| *target).collect();
        assert_eq!(first.len(), 50_000);
        // Second rounds begin meanwhile, at half of this rate in the middle.
        assert_spread(&starts, ms(500), ms(100), 50, 1_000.0);
    }

    #[test]
    fn hurry_never_takes_longer_than_the_interval() {
        let mut schedule = Schedule::default();
        schedule.replan((0..100).map(|n| (Arc::from(n.to_string()), ms(200))), true, ms(0));
        let first: std::collections::HashSet<_> = play(&mut schedule, ms(200)).into_iter().map(|(_, target)| target).collect();
        assert_eq!(first.len(), 100);
    }

    #[test]
    fn rounds_are_an_interval_apart_give_or_take_4_per_cent_and_not_all_alike() {
        let mut schedule = Schedule::default();
        schedule.replan(keyed(&["a"]), false, ms(0));
        let starts: Vec<_> = play(&mut schedule, 100 * INTERVAL).into_iter().map(|(at, _)| at).collect();
        let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (ms(9_600)..=ms(10_400)).contains(gap)), "{gaps:?}");
        assert!(gaps.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn one_in_flight_and_the_rounds_meanwhile_are_counted() {
        let mut schedule = Schedule::default();
        schedule.replan(keyed(&["a"]), false, ms(0));
        let at = schedule.next_due().unwrap();
        assert_eq!(schedule.take_due(at).unwrap().start, Some(Duration::ZERO));
        for _ in 0..5 {
            let at = schedule.next_due().unwrap();
            assert_eq!(schedule.take_due(at).unwrap(), Due { target: TargetId(0), start: None, skipped: 1 });
            assert_eq!(schedule.take_due(at), None);
        }
        schedule.finished(TargetId(0));
        let at = schedule.next_due().unwrap();
        assert_eq!(schedule.take_due(at).unwrap().start, Some(Duration::ZERO));
    }

    #[test]
    fn a_short_delay_starts_late_and_tells_the_lag() {
        let mut schedule = Schedule::default();
        schedule.replan(keyed(&["a"]), false, ms(0));
        let at = schedule.next_due().unwrap();
        assert_eq!(schedule.take_due(at + ms(700)).unwrap(), Due { target: TargetId(0), start: Some(ms(700)), skipped: 0 });
        assert!(schedule.next_due().unwrap() > at + ms(9_000), "the grid stands still");
    }

    #[test]
    fn after_a_stall_each_target_has_one_probe_spread_over_the_interval_and_missed_rounds_are_counted() {
        let mut schedule = Schedule::default();
        schedule.replan(targets(10_000), false, ms(0));
        play(&mut schedule, ms(20_000));
        let (mut skipped, mut starts) = (0, Vec::new());
        let mut now = ms(80_000);
        while now < ms(90_400) {
            while let Some(due) = schedule.take_due(now) {
                skipped += due.skipped;
                if due.start.is_some() {
                    starts.push((now, due.target));
                    schedule.finished(due.target);
                }
            }
            now += ms(1);
        }
        assert!((45_000..=60_000).contains(&skipped), "{skipped}");
        assert_spread(&starts, ms(80_000), ms(100), 104, 100.0);
        let distinct: std::collections::HashSet<_> = starts.iter().map(|(_, target)| *target).collect();
        assert_eq!(distinct.len(), 10_000);
    }

    #[test]
    fn lasting_overload_starves_no_target() {
        let mut schedule = Schedule::default();
        schedule.replan(targets(1_000), false, ms(0));
        let mut probes = vec![0; 1_000];
        // One start each 40 ms where 100 ms hold ten: four times too slow.
        for now in (0..400_000).step_by(40) {
            while let Some(due) = schedule.take_due(ms(now)) {
                if due.start.is_some() {
                    probes[due.target.index()] += 1;
                    schedule.finished(due.target);
                    break;
                }
            }
        }
        assert!(probes.iter().all(|count| (5..=20).contains(count)), "{probes:?}");
    }

    #[test]
    fn a_reload_keeps_times_and_probes_in_flight_of_unchanged_targets_and_forgets_removed_ones() {
        let mut schedule = Schedule::default();
        schedule.replan(keyed(&["a", "b", "c"]), false, ms(0));
        while let Some(at) = schedule.next_due().filter(|at| *at < INTERVAL) {
            schedule.take_due(at);
        }
        let before: HashMap<_, _> = schedule.seats.iter().map(|seat| (seat.key.clone(), seat.due)).collect();
        let moved = schedule.replan(keyed(&["new", "c", "a"]), true, ms(10_500));
        assert_eq!(moved, [Some(TargetId(2)), None, Some(TargetId(1))]);
        for seat in &schedule.seats[1..] {
            assert_eq!(seat.due, before[&seat.key]);
            assert!(seat.in_flight);
        }
        assert!(!schedule.seats[0].in_flight && schedule.seats[0].due < ms(11_500));
        assert_eq!(schedule.dues.len(), 3, "nothing of the removed target is left");
    }

    #[test]
    fn whatever_happens_a_target_has_one_probe_in_flight_at_most_and_none_is_forgotten() {
        for seed in 0..200_u64 {
            let (mut dice, mut now, mut count) = (mix(seed), ms(0), 4);
            let mut below = |sides: u64| {
                dice = mix(dice.wrapping_add(0x9e37_79b9_7f4a_7c15));
                dice % sides
            };
            let mut schedule = Schedule::default();
            schedule.replan(targets(count), true, now);
            let mut flying: Vec<bool> = vec![false; count];
            let mut last: Vec<Duration> = vec![now; count];
            for step in 0..300 {
                // Now and then a stall, and a reload with another number of targets.
                now += ms(if below(40) == 0 { 60_000 } else { below(2_000) });
                if below(50) == 0 {
                    count = 1 + below(8) as usize;
                    schedule.replan(targets(count), false, now);
                    flying.resize(count, false);
                    last.resize(count, now);
                }
                while let Some(due) = schedule.take_due(now) {
                    let at = due.target.index();
                    if due.start.is_some() {
                        assert!(!flying[at], "seed {seed}, step {step}: two probes of target {at}");
                        flying[at] = true;
                        last[at] = now;
                    }
                }
                for at in 0..count {
                    if flying[at] && below(3) == 0 {
                        flying[at] = false;
                        last[at] = now;
                        schedule.finished(TargetId::at(at));
                    }
                }
                for at in (0..count).filter(|at| !flying[*at]) {
                    // A stall of six rounds, the round that is left out after it, and the jitter.
                    assert!(now - last[at] <= ms(60_000) + 8 * INTERVAL, "seed {seed}, step {step}: target {at} is forgotten");
                }
            }
        }
    }

    #[test]
    fn a_changed_interval_under_the_same_key_takes_effect_at_once() {
        let mut schedule = Schedule::default();
        schedule.replan([(Arc::from("a"), Duration::from_secs(3_600))].into_iter(), false, ms(0));
        schedule.replan([(Arc::from("a"), ms(100))].into_iter(), false, ms(50));
        assert!(schedule.next_due().unwrap() <= ms(160));
    }
}
