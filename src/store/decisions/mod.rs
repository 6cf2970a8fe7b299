//! The record of decisions: what `explain?at=` tells of the past.
//!
//! ```text
//! control thread ─ try_send ─▶ [bounded queue] ─▶ thread `decisions`: what differs from what is known ─▶ blocks ─▶ decisions/MILLISECONDS.log
//! ```
//!
//! - Nobody waits for it, publishing least of all: what the queue has no room for is lost and counted, and so is what a broken disk refuses for long. Then
//!   everything is written anew, with a mark that says from when until when nothing is known.
//! - What was decided is in the file within `WRITE_EVERY`; a killed process loses no more than that (a machine that loses its power what the system had not
//!   written yet, half a minute or so).
//! - Each file begins with what is in force, so it can be read without those before it, and those can be deleted.
//! - Bounded by age and size (`[decisions]`). A decision whose sentences were said before takes some 45 octets, each new sentence its own length, a thousand
//!   services that move alike no more than one; `tests` measures it.
//!
//! Never here: what is decided. Nothing that runs depends on what is written here.

#![allow(clippy::disallowed_methods, reason = "an IO room: knows when it last wrote")]

mod codec;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::control::{Accounts, Alike, Past, PastDecision, PastUnknown};
use crate::model::{DecisionSettings, Estate, Timestamp};

use super::segments::{self, Segment};
use super::written;
use codec::{MAGIC, Reader, Writer};

/// Folder in `store.path`.
const FOLDER: &str = "decisions";
/// Settlings that may wait to be written.
const QUEUE: usize = 4_096;
/// Least time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the thread to write what it has.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Decisions that wait for a disk that can't be written; more are lost.
const WAITING_MAX: usize = 10_000;
/// Octets of one file, about.
const SEGMENT_MAX: u64 = 8 << 20;

/// What goes to the thread.
enum Message {
    /// These services are explained otherwise now.
    Accounts(Accounts),
    /// Everything there is, because what was sent from this moment on was lost.
    Again(Timestamp, Accounts),
    /// Write all you have, then say so.
    Flush(SyncSender<()>),
}

/// Hands accounts to the thread that writes them. Dropped, it waits a moment for the last of them to be written.
#[derive(Debug)]
pub struct Recorder {
    /// `None`: nothing is recorded, or the end has come.
    to: Option<SyncSender<Message>>,
    /// When the first was lost since everything was sent.
    lost_from: Option<Timestamp>,
    lost: Arc<AtomicU64>,
}

/// Asks for what is recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Decisions {
    folder: PathBuf,
    to: Option<SyncSender<Message>>,
}

/// Begins to record into the store's folder; what is lost is counted in `lost`. With `keep` 0 nothing is recorded, and nothing is deleted.
pub fn record(store: &Path, settings: DecisionSettings, lost: Arc<AtomicU64>) -> (Recorder, Decisions) {
    let (to, messages) = sync_channel(QUEUE);
    let folder = store.join(FOLDER);
    let log = Log::new(folder.clone(), settings, lost.clone());
    let start = || std::thread::Builder::new().name("decisions".to_string()).spawn(move || log.run(&messages));
    let started = !settings.keep.is_zero() && start().inspect_err(|error| warn!("decisions are not recorded: can't start a thread: {error}")).is_ok();
    let to = Some(to).filter(|_| started);
    (Recorder { to: to.clone(), lost_from: None, lost }, Decisions { folder, to })
}

impl Recorder {
    /// Records nothing.
    pub fn off() -> Self {
        Self { to: None, lost_from: None, lost: Arc::default() }
    }

    /// Somebody listens: accounts are worth making.
    pub fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Services are explained otherwise. Never waits. `everything`: all that is said at present, if some of it was lost before.
    pub fn accounts(&mut self, accounts: Accounts, everything: impl FnOnce() -> Accounts) {
        let Some(to) = &self.to else { return };
        let (at, count) = (accounts.at, accounts.alike.len() as u64);
        let message = match self.lost_from {
            Some(from) => Message::Again(from, everything()),
            None => Message::Accounts(accounts),
        };
        self.lost_from = match to.try_send(message) {
            Ok(()) => None,
            Err(_) => {
                self.lost.fetch_add(count, Ordering::Relaxed);
                self.lost_from.or(Some(at))
            }
        };
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

impl Decisions {
    /// Nothing is recorded, and nothing was.
    pub fn none() -> Self {
        Self { folder: PathBuf::new(), to: None }
    }

    /// What `service` was explained by at a moment, with what was before and what came next. Blocks; not for async code.
    ///
    /// # Errors
    /// It is not known.
    pub fn at(&self, service: &str, at: Timestamp) -> Result<Past, PastUnknown> {
        if self.folder.as_os_str().is_empty() {
            return Err(PastUnknown::Off);
        }
        self.to.iter().for_each(|to| written::wait(to, Message::Flush, LAST_WRITE));
        let said = |error: std::io::Error| PastUnknown::Unreadable(format!("can't read {}: {error}", self.folder.display()));
        let segments = segments::all(&self.folder).map_err(said)?;
        let read = |segment: &Segment| {
            let mut reader = Reader::default();
            reader.read(&segments::contents(segment).map_err(said)?, service);
            Ok((reader.kept, reader.lost))
        };
        look(&segments, at, self.to.is_some(), &read)
    }
}

/// What one file says of a service, and what it says is lost.
type Found = (Vec<PastDecision>, Vec<(Timestamp, Timestamp)>);

/// Reads as few files as it takes. A file says at its beginning what is in force, and may have, a little late, what was decided before it was begun.
fn look(segments: &[Segment], at: Timestamp, recording: bool, read: &dyn Fn(&Segment) -> Result<Found, PastUnknown>) -> Result<Past, PastUnknown> {
    if segments.is_empty() && !recording {
        return Err(PastUnknown::Off);
    }
    let holds = |moment: Timestamp| segments.iter().rposition(|segment| segment.begun <= moment).unwrap_or(0);
    let mut gathered = Gathered::default();
    let first = holds(at);
    for (number, segment) in segments.iter().enumerate().skip(first) {
        if first + 1 < number && gathered.after(at).is_some() {
            break;
        }
        gathered.add(read(segment)?);
    }
    if let Some((from, until)) = gathered.lost.iter().find(|(from, until)| (*from..*until).contains(&at)) {
        return Err(PastUnknown::Lost(*from, *until));
    }
    let Some(then) = gathered.until(at).cloned() else { return Err(PastUnknown::Before(gathered.kept.first().map(|kept| kept.at))) };
    let after = gathered.after(at).cloned();
    let early = holds(then.at);
    for segment in segments.iter().take(first).skip(early.saturating_sub(1)).take(2) {
        gathered.add(read(segment)?);
    }
    let before = gathered.kept.iter().rev().find(|kept| kept.at < then.at).cloned();
    Ok(Past { then, before, after })
}

/// What several files say of a service, oldest first.
#[derive(Default)]
struct Gathered {
    kept: Vec<PastDecision>,
    lost: Vec<(Timestamp, Timestamp)>,
}

impl Gathered {
    fn add(&mut self, (kept, lost): Found) {
        self.kept.extend(kept);
        self.lost.extend(lost);
        self.kept.sort_by_key(|kept| kept.at);
        // What stands in two files is one.
        self.kept.dedup();
    }

    fn until(&self, at: Timestamp) -> Option<&PastDecision> {
        self.kept.iter().rev().find(|kept| kept.at <= at)
    }

    fn after(&self, at: Timestamp) -> Option<&PastDecision> {
        self.kept.iter().find(|kept| at < kept.at)
    }
}

/// A decision, and whose it is.
type Record = (Arc<PastDecision>, Vec<Arc<str>>);

/// What the thread owns.
struct Log {
    folder: PathBuf,
    settings: DecisionSettings,
    file: Option<(File, Segment, Writer)>,
    /// What the file began with, octets.
    base: u64,
    /// What is in force, by service.
    latest: HashMap<Arc<str>, Arc<PastDecision>>,
    /// Not written yet.
    pending: Vec<Record>,
    /// From when until when decisions are lost, which is not written yet.
    gap: Option<(Timestamp, Timestamp)>,
    /// Whose services were looked through last.
    estate: Arc<Estate>,
    /// The last write failed, and that was said.
    failing: bool,
    lost: Arc<AtomicU64>,
}

impl Log {
    fn new(folder: PathBuf, settings: DecisionSettings, lost: Arc<AtomicU64>) -> Self {
        let (latest, pending, estate) = (HashMap::new(), Vec::new(), Arc::default());
        Self { folder, settings, file: None, base: 0, latest, pending, gap: None, estate, failing: false, lost }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        let mut written = Instant::now();
        loop {
            match messages.recv_timeout(WRITE_EVERY) {
                Ok(Message::Accounts(accounts)) => self.take(accounts),
                Ok(Message::Again(from, accounts)) => {
                    warn!("decisions since {} were not recorded: they came faster than they could be taken", from.whole_seconds());
                    self.loses(from, accounts.at);
                    self.take(accounts);
                }
                Ok(Message::Flush(done)) => {
                    self.write();
                    written = Instant::now();
                    // Whoever waits may have given up.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if WRITE_EVERY <= written.elapsed() {
                self.write();
                written = Instant::now();
            }
        }
        self.write();
    }

    /// Keeps what differs from what is known.
    fn take(&mut self, accounts: Accounts) {
        let Accounts { at, generation, configuration, estate, alike } = accounts;
        let kept = |cause, account| Arc::new(PastDecision { at, generation, cause, configuration: configuration.clone(), account });
        for Alike { account, cause, services } in alike {
            let kept = kept(cause, Some(account));
            let mut names = Vec::new();
            for service in services {
                let name = &estate.service(service).name;
                let same = |known: &Arc<PastDecision>| match (&known.account, &kept.account) {
                    (Some(known), Some(new)) => Arc::ptr_eq(known, new) || known == new,
                    _ => false,
                };
                if !self.latest.get(name).is_some_and(same) {
                    self.latest.insert(name.clone(), kept.clone());
                    names.push(name.clone());
                }
            }
            if !names.is_empty() {
                self.pending.push((kept, names));
            }
        }
        if !Arc::ptr_eq(&self.estate, &estate) {
            let present: HashSet<&Arc<str>> = estate.services.iter().map(|service| &service.name).collect();
            let gone: Vec<Arc<str>> = self.latest.keys().filter(|name| !present.contains(*name)).cloned().collect();
            if !gone.is_empty() {
                gone.iter().for_each(|name| drop(self.latest.remove(name)));
                self.pending.push((kept("config", None), gone));
            }
            self.estate = estate;
        }
    }

    fn loses(&mut self, from: Timestamp, until: Timestamp) {
        let (earlier, _) = self.gap.unwrap_or((from, until));
        self.gap = Some((earlier.min(from), until));
    }

    /// Appends what waits. What can't be written is tried again with the next, as long as it is not too much.
    fn write(&mut self) {
        let Some(first) = self.pending.first().map(|(kept, _)| kept.at) else { return };
        let pending = std::mem::take(&mut self.pending);
        match self.append(&pending, first) {
            Ok(()) => self.failing = false,
            Err(error) => {
                // Half a frame may be in the file: what follows goes into another one.
                self.file.take().iter().for_each(|(_, segment, _)| segments::forget_if_empty(segment));
                if !std::mem::replace(&mut self.failing, true) {
                    warn!("decisions can't be recorded in {}: {error}; it is tried again, and nothing else waits for it", self.folder.display());
                }
                if pending.len() <= WAITING_MAX {
                    self.pending = pending;
                } else if let Some(until) = pending.last().map(|(kept, _)| kept.at) {
                    // The next file begins with what is in force then.
                    self.lost.fetch_add(pending.len() as u64, Ordering::Relaxed);
                    self.loses(first, until);
                }
            }
        }
    }

    fn append(&mut self, pending: &[Record], first: Timestamp) -> std::io::Result<()> {
        let DecisionSettings { keep, octets_max } = self.settings;
        let octets_most = (octets_max / 8).clamp(1 << 16, SEGMENT_MAX).max(2 * self.base);
        let full = |segment: &Segment| octets_most <= segment.octets || (keep / 8).max(Duration::from_secs(60)) <= first.since(segment.begun);
        let begins = self.file.as_ref().is_none_or(|(_, segment, _)| full(segment));
        if begins {
            let (file, segment) = segments::begin(&self.folder, first, MAGIC)?;
            segments::prune(&self.folder, &segment.path, first, keep, octets_max)?;
            self.file = Some((file, segment, Writer::default()));
        }
        let Some((file, segment, writer)) = &mut self.file else { return Ok(()) };
        let mut unfit = 0;
        if begins {
            let mut alike: HashMap<*const PastDecision, Record> = HashMap::new();
            for (name, kept) in &self.latest {
                alike.entry(Arc::as_ptr(kept)).or_insert_with(|| (kept.clone(), Vec::new())).1.push(name.clone());
            }
            let mut alike: Vec<Record> = alike.into_values().collect();
            alike.sort_by_key(|(kept, _)| kept.at);
            alike.iter().for_each(|(kept, names)| unfit += u64::from(!writer.record(kept, names)));
        }
        if let Some((from, until)) = self.gap {
            writer.lost(from, until);
        }
        pending.iter().for_each(|(kept, names)| unfit += u64::from(!writer.record(kept, names)));
        let frames = writer.frames();
        file.write_all(&frames)?;
        segment.octets += frames.len() as u64;
        self.gap = None;
        if begins {
            self.base = frames.len() as u64;
        }
        if 0 < unfit {
            self.lost.fetch_add(unfit, Ordering::Relaxed);
            warn!("{unfit} decisions are too large to be recorded");
        }
        Ok(())
    }
}
