//! The log of probe outcomes: what `replay` feeds to today's or another configuration.
//!
//! ```text
//! control thread ─ try_send ─▶ [bounded queue] ─▶ thread `outcomes`: runs ─▶ blocks ─▶ outcomes/MILLISECONDS.log
//! ```
//!
//! - Nobody waits for it: what the queue has no room for is lost and counted, and a disk that fails costs what would have been written.
//! - An outcome that differs from the one before is in the file within `WRITE_EVERY`; of even runs a crash loses `CUT_EVERY` at most.
//! - Bounded by age and size (`[outcomes]`): a target that is probed every 10 s and always finds the same takes about 1.3 kB a day, one that turns at each
//!   probe 33 kB; `tests` measures it.
//!
//! Never here: a verdict. Nothing that runs is decided from what is written here.

#![allow(clippy::disallowed_methods, reason = "an IO room: knows when it last wrote")]

mod codec;
mod runs;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::health::{ProbeReport, Recording, Run, Tried};
use crate::model::{Estate, OutcomeSettings, TargetId, Timestamp};

use super::segments::{self, Segment};
use super::written;
use codec::{MAGIC, Reader, Writer};
use runs::{Heard, Runs};

/// Folder in `store.path`.
const FOLDER: &str = "outcomes";
/// Outcomes that may wait to be written.
const QUEUE: usize = 1 << 14;
/// Least time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Runs go on in memory for so long.
const CUT_EVERY: Duration = Duration::from_secs(300);
/// Longest wait for the thread to write what it has.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Runs that wait for a disk that can't be written.
const WAITING_MAX: usize = 1 << 20;
/// Runs that are read at once; some 500 MB.
const READ_MAX: usize = 20_000_000;
/// Octets of one file, at most.
const SEGMENT_MAX: u64 = 8 << 20;

/// What goes to the thread.
enum Message {
    /// These targets are probed from now on.
    Targets(Arc<Estate>),
    /// Of the targets sent last.
    Outcome { target: TargetId, at: Timestamp, tried: Tried },
    /// Write all you have, then say so.
    Flush(SyncSender<()>),
}

/// Hands outcomes to the thread that writes them. Dropped, it waits a moment for the last of them to be written.
#[derive(Debug)]
pub struct Recorder {
    /// `None`: nothing is recorded, or the end has come.
    to: Option<SyncSender<Message>>,
    /// Targets that the thread was not told of yet: without them it would take outcomes for others'.
    untold: Option<Arc<Estate>>,
    lost: Arc<AtomicU64>,
}

/// Asks for what is recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recordings {
    folder: PathBuf,
    to: Option<SyncSender<Message>>,
}

/// Begins to record into the store's folder; what is lost is counted in `lost`. With `keep` 0 nothing is, and nothing is deleted.
pub fn record(store: &Path, settings: OutcomeSettings, lost: Arc<AtomicU64>) -> (Recorder, Recordings) {
    let (to, messages) = sync_channel(QUEUE);
    let folder = store.join(FOLDER);
    let log = Log {
        folder: folder.clone(),
        settings,
        file: None,
        writer: Writer::default(),
        runs: Runs::default(),
        numbers: Numbers::default(),
        failing: false,
        lost: lost.clone(),
    };
    let start = || std::thread::Builder::new().name("outcomes".to_string()).spawn(move || log.run(&messages));
    let started = !settings.keep.is_zero() && start().inspect_err(|error| warn!("outcomes are not recorded: can't start a thread: {error}")).is_ok();
    let to = Some(to).filter(|_| started);
    (Recorder { to: to.clone(), untold: None, lost }, Recordings { folder, to })
}

impl Recorder {
    /// Records nothing.
    pub fn off() -> Self {
        Self { to: None, untold: None, lost: Arc::default() }
    }
}

impl Recordings {
    /// Nothing is recorded, and nothing was.
    pub fn none() -> Self {
        Self { folder: PathBuf::new(), to: None }
    }
}

impl Recorder {
    /// From now on targets are this estate's.
    pub fn targets(&mut self, estate: &Arc<Estate>) {
        self.untold = Some(estate.clone());
        self.tell();
    }

    /// A probe ended, or something was told of an endpoint. Costs a comparison and a copy; never waits.
    pub fn outcome(&mut self, target: TargetId, report: &ProbeReport) {
        if self.to.is_none() {
            return;
        }
        let message = Message::Outcome { target, at: report.at, tried: Tried::of(&report.outcome) };
        if !self.tell() || self.to.as_ref().is_none_or(|to| to.try_send(message).is_err()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has the thread been told whose outcomes these are?
    fn tell(&mut self) -> bool {
        if let (Some(estate), Some(to)) = (self.untold.take(), &self.to)
            && let Err(TrySendError::Full(Message::Targets(estate))) = to.try_send(Message::Targets(estate))
        {
            self.untold = Some(estate);
        }
        self.untold.is_none()
    }

    /// Writes what is open, soon: this process may be followed by another.
    pub fn flush(&self) {
        self.to.iter().for_each(|to| written::ask(to, Message::Flush));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.to.take().iter().for_each(|to| written::wait(to, Message::Flush, LAST_WRITE));
    }
}

impl Recordings {
    /// All outcomes from `since` on, those of the last minutes included. Blocks; not for async code.
    ///
    /// # Errors
    /// One sentence: the folder can't be read, or more is recorded than can be looked at together.
    pub fn read(&self, since: Timestamp) -> Result<Recording, String> {
        self.to.iter().for_each(|to| written::wait(to, Message::Flush, LAST_WRITE));
        let said = |error: std::io::Error| format!("can't read {}: {error}", self.folder.display());
        let mut recording = Recording::default();
        let mut numbers: HashMap<Arc<str>, u32> = HashMap::new();
        let segments = segments::all(&self.folder).map_err(said)?;
        // A file that was begun before may hold what came after.
        let from = segments.iter().rposition(|segment| segment.begun <= since).unwrap_or(0).saturating_sub(1);
        for segment in segments.iter().skip(from) {
            let mut reader = Reader::default();
            reader.read(&segments::contents(segment).map_err(said)?);
            let known: Vec<u32> = reader
                .keys
                .iter()
                .map(|key| {
                    *numbers.entry(key.clone()).or_insert_with(|| {
                        recording.targets.push(key.clone());
                        u32::try_from(recording.targets.len() - 1).unwrap_or(u32::MAX)
                    })
                })
                .collect();
            let within = reader.runs.iter().filter(|run| since <= run.last());
            recording.runs.extend(within.filter_map(|run| Some(Run { target: *known.get(run.target as usize)?, ..*run })));
            if READ_MAX < recording.runs.len() {
                return Err(format!("more than {READ_MAX} runs of outcomes are recorded since then; ask for less"));
            }
        }
        recording.runs.sort_by_key(|run| run.first);
        Ok(recording)
    }
}

/// Numbers of targets, by key: they outlive plans.
#[derive(Debug, Default)]
struct Numbers {
    by_key: HashMap<Arc<str>, u32>,
    keys: Vec<Arc<str>>,
    /// By target of the present plan: number, and interval in milliseconds.
    present: Vec<(u32, u32)>,
}

impl Numbers {
    fn plan(&mut self, estate: &Estate) {
        let Self { by_key, keys, present } = self;
        let number = |key: &Arc<str>| {
            *by_key.entry(key.clone()).or_insert_with(|| {
                keys.push(key.clone());
                u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let intervals = estate.targets.iter().map(|target| u32::try_from(estate.monitor(target.monitor).interval.as_millis()).unwrap_or(u32::MAX));
        *present = estate.targets.iter().map(|target| &target.key).map(number).zip(intervals).collect();
    }
}

/// What the thread owns.
struct Log {
    folder: PathBuf,
    settings: OutcomeSettings,
    file: Option<(File, Segment)>,
    writer: Writer,
    runs: Runs,
    numbers: Numbers,
    /// The last write failed, and that was said.
    failing: bool,
    lost: Arc<AtomicU64>,
}

impl Log {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut told = self.lost.load(Ordering::Relaxed);
        let (mut written, mut cut) = (Instant::now(), Instant::now());
        // Nobody looks at the clock for each outcome.
        let mut until_look = 0_u32;
        loop {
            match messages.recv_timeout(WRITE_EVERY) {
                Ok(Message::Targets(estate)) => self.numbers.plan(&estate),
                Ok(Message::Outcome { target, at, tried }) => {
                    if let Some((target, interval_ms)) = self.numbers.present.get(target.index()).copied() {
                        self.runs.hear(Heard { target, interval_ms, at, tried });
                    }
                    until_look = until_look.wrapping_add(1);
                    if !until_look.is_multiple_of(64) && self.runs.closed().is_empty() {
                        continue;
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.runs.cut();
                    self.write();
                    (written, cut) = (Instant::now(), Instant::now());
                    // Whoever waits may have given up.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if CUT_EVERY <= cut.elapsed() {
                self.runs.cut();
                cut = Instant::now();
            }
            if WRITE_EVERY <= written.elapsed() && !self.runs.closed().is_empty() {
                self.write();
                written = Instant::now();
                let all = self.lost.load(Ordering::Relaxed);
                let lost = all - std::mem::replace(&mut told, all);
                if 0 < lost {
                    warn!(lost, "{lost} outcomes were not recorded: they came faster than they could be written, or the disk refuses them");
                }
            }
        }
        self.runs.cut();
        self.write();
    }

    /// Appends what is over. What can't be written is tried again with the next, as long as it is not too much.
    fn write(&mut self) {
        let waiting = self.runs.closed().clone();
        match self.append() {
            Ok(()) => self.failing = false,
            Err(error) => {
                // Half a frame may be in the file: what follows goes into another one.
                self.file.take().iter().for_each(|(_, segment)| segments::forget_if_empty(segment));
                if !std::mem::replace(&mut self.failing, true) {
                    warn!("outcomes can't be recorded in {}: {error}; it is tried again, and nothing else waits for it", self.folder.display());
                }
                if waiting.len() <= WAITING_MAX {
                    *self.runs.closed() = waiting;
                } else {
                    self.lost.fetch_add(waiting.iter().map(|run| u64::from(run.count)).sum(), Ordering::Relaxed);
                    self.runs.closed().clear();
                }
            }
        }
    }

    fn append(&mut self) -> std::io::Result<()> {
        let runs = self.runs.closed();
        let Some(now) = runs.iter().map(Run::last).max() else { return Ok(()) };
        let OutcomeSettings { keep, octets_max } = self.settings;
        let full = |segment: &Segment| {
            (octets_max / 8).clamp(1 << 16, SEGMENT_MAX) <= segment.octets || (keep / 8).max(Duration::from_secs(60)) <= now.since(segment.begun)
        };
        if self.file.as_ref().is_none_or(|(_, segment)| full(segment)) {
            let (file, segment) = segments::begin(&self.folder, now, MAGIC)?;
            segments::prune(&self.folder, &segment.path, now, keep, octets_max)?;
            (self.file, self.writer) = (Some((file, segment)), Writer::default());
        }
        let Some((file, segment)) = &mut self.file else { return Ok(()) };
        let keys = &self.numbers.keys;
        let frames = self.writer.frames(runs, &|target| keys.get(target as usize).cloned());
        file.write_all(&frames)?;
        segment.octets += frames.len() as u64;
        Ok(())
    }
}
