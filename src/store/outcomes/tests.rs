//! The log as files: what is read is what was recorded, a torn tail is dropped, age and size are bounded, and what a target costs a day.

use std::sync::Arc;
use std::time::Duration;

use super::codec::{MAGIC, Writer};
use super::runs::{Heard, Runs};
use super::*;
use crate::health::testing::estate;
use crate::health::{Outcome, Reason};
use crate::model::Timestamp;

const DAY: i64 = 86_400_000;
const START: i64 = 1_800_000_000_000;

fn settings(keep: u64, octets_max: u64) -> OutcomeSettings {
    OutcomeSettings { keep: Duration::from_secs(keep), octets_max }
}

fn report(at: i64, passed: bool) -> ProbeReport {
    let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Timeout, message: "no answer".into() } };
    ProbeReport::new(outcome, Timestamp(at), Duration::from_millis(3))
}

/// Even if the machine is slow.
fn recorded(folder: &Path, settings: OutcomeSettings, outcomes: &[(usize, i64, bool)]) -> Recordings {
    let estate = Arc::new(estate("pool a: 10.0.0.1; pool b: 10.1.0.1; service s: failover a b"));
    let (mut recorder, recordings) = record(folder, settings, Arc::default());
    recorder.targets(&estate);
    for (target, at, passed) in outcomes {
        recorder.outcome(TargetId::at(*target), &report(*at, *passed));
    }
    drop(recorder);
    recordings
}

fn read(recordings: &Recordings, since: i64) -> Vec<(String, i64, bool)> {
    let recording = recordings.read(Timestamp(since)).unwrap();
    let name = |target: u32| recording.targets[target as usize].split_once(['@', '#']).map(|(_, rest)| rest.split('#').next().unwrap_or_default().to_string());
    recording.iter().map(|(at, target, tried)| (name(target).unwrap_or_default(), at.0, tried == Tried::Pass)).collect()
}

#[test]
fn what_is_recorded_is_read_also_by_the_next_process_and_what_is_open_too() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<(usize, i64, bool)> = (0..60).map(|at| (at % 2, START + at as i64 * 1_000, !(20..30).contains(&at))).collect();
    let (first, second) = all.split_at(33);
    drop(recorded(folder.path(), settings(86_400, 1 << 20), first));
    let recordings = recorded(folder.path(), settings(86_400, 1 << 20), second);
    let told = read(&recordings, 0);
    assert_eq!(told.len(), 60);
    let same = |(told, given): (&(String, i64, bool), &(usize, i64, bool))| (told.1 - given.1).abs() <= 1_000 && told.2 == given.2;
    assert!(told.iter().zip(&all).all(same), "{told:?}");
    assert!(told.iter().all(|(name, _, _)| name.starts_with("10.0.0.1") || name.starts_with("10.1.0.1")), "{told:?}");
    let late = recordings.read(Timestamp(START + 58_000)).unwrap();
    assert!(late.outcomes() < 60 && late.runs.iter().all(|run| START + 58_000 <= run.last().0), "{late:?}");
}

#[test]
fn a_torn_tail_is_dropped_and_what_is_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(recorded(folder.path(), settings(86_400, 1 << 20), &[(0, START, true), (0, START + 1_000, false)]));
    let path = segments::all(&folder.path().join(FOLDER)).unwrap().remove(0).path;
    let whole = std::fs::read(&path).unwrap();
    for torn in [&whole[..whole.len() - 1], &[&whole[..], &[9, 0, 0, 0, 1, 2, 3]].concat(), &[&whole[..], &[0; 4096]].concat()] {
        std::fs::write(&path, torn).unwrap();
        let recordings = recorded(folder.path(), settings(86_400, 1 << 20), &[(1, START + 9_000, true)]);
        let told = read(&recordings, 0);
        assert_eq!(told.last().map(|(_, at, _)| *at), Some(START + 9_000));
        assert_eq!(told.iter().filter(|(_, at, _)| *at < START + 9_000).count(), if torn.len() < whole.len() { 0 } else { 2 }, "{told:?}");
        segments::all(&folder.path().join(FOLDER)).unwrap().into_iter().skip(1).for_each(|segment| std::fs::remove_file(segment.path).unwrap());
    }
}

#[test]
fn what_is_too_old_or_too_much_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join(FOLDER);
    for day in 0..10 {
        drop(recorded(folder.path(), settings(3 * 86_400, 1 << 20), &[(0, START + day * DAY, true)]));
    }
    let begun = |log: &Path| segments::all(log).unwrap().iter().map(|segment| (segment.begun.0 - START) / DAY).collect::<Vec<_>>();
    assert_eq!(begun(&log), [5, 6, 7, 8, 9], "a file ends when the next one begins");
    drop(recorded(folder.path(), settings(300 * 86_400, 100), &[(0, START + 10 * DAY, true)]));
    let kept = segments::all(&log).unwrap();
    assert_eq!(kept.last().map(|segment| (segment.begun.0 - START) / DAY), Some(10), "what is being written is never deleted");
    assert!(kept.len() <= 2, "{kept:?}");
}

#[test]
fn with_keep_0_nothing_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = recorded(folder.path(), settings(0, 1 << 20), &[(0, START, true)]);
    assert_eq!(recordings.read(Timestamp(0)), Ok(Recording::default()));
    assert!(!folder.path().join(FOLDER).exists());
}

/// A day of one target among `targets`, probed every 10 s with the schedule's jitter and a latency of some tens of milliseconds.
fn octets_a_day(targets: u32, passes: impl Fn(u32, u32) -> bool) -> f64 {
    let (mut runs, mut writer, mut octets) = (Runs::default(), Writer::default(), MAGIC.len());
    let key = |target: u32| Some(Arc::from(format!("gateway@192.0.2.{target}#9f3c52aa01b7d64e")));
    // Any mixing will do that looks like chance.
    let noise = |target: u32, round: u32| i64::from((target.wrapping_mul(7_919) ^ round).wrapping_mul(2_654_435_761) >> 16) % 440;
    for round in 0..8_640_u32 {
        for target in 0..targets {
            let at = Timestamp(START + i64::from(round) * 10_000 + i64::from(target * 37) + noise(target, round));
            let tried = if passes(target, round) { Tried::Pass } else { Tried::Fail(Reason::Timeout) };
            runs.hear(Heard { target, interval_ms: 10_000, at, tried });
        }
        if round % 30 == 29 {
            runs.cut();
        }
        octets += writer.frames(runs.closed(), &key).len();
    }
    runs.cut();
    octets += writer.frames(runs.closed(), &key).len();
    octets as f64 / f64::from(targets)
}

/// These are the numbers that docs/replay.md states.
#[test]
fn a_target_takes_as_many_octets_a_day_as_is_stated() {
    let even = octets_a_day(100, |_, _| true);
    let usual = octets_a_day(100, |target, round| (round + target * 61) % 2_000 >= 4);
    let flapping = octets_a_day(20, |_, round| round % 2 == 0);
    eprintln!("octets per target and day: {even:.0} even, {usual:.0} with four short outages, {flapping:.0} flapping");
    assert!(even < 1_300.0 && usual < 1_500.0 && flapping < 33_000.0, "{even} {usual} {flapping}");
}
