//! The store over one redb file.
//!
//! Ownership: whoever holds the folder's lock owns the file. The lock is kept for the life of the [`Store`], even while the file is being reopened;
//! only [`Store::close`] lets go of both, so that another process may take over. The next commit, or [`Store::reopen`], takes them back.
//!
//! After a failed write redb refuses everything until it is opened again, and nobody knows whether that write reached the disk. So the next commit
//! reopens the file and, should the failed write be in it, takes it out before anything else: "not made" stays not made.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction};

use crate::control::{Expect, Key, Op, Revision, Stored};

use super::codec;
use super::problem::{OpenError, StoreError};

/// Name of the file in `store.path`.
const FILE: &str = "windrose.redb";
/// The file while it is being made.
const FILE_NEW: &str = "windrose.redb.new";
/// What this code reads and writes; a higher one is refused.
const FORMAT: u64 = 1;
/// redb's page cache. The core holds everything in memory, so this only serves writes.
const CACHE_BYTES: usize = 4 << 20;

/// Key text to `{"revision": …, KIND: {…}}`.
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// `format`, `revision` (the counter), `commits` (all commits ever made, learned ones too).
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Makes changes durable. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Locked by commits, on blocking threads.
    state: Mutex<FileState>,
}

#[derive(Debug)]
struct FileState {
    /// Keeps other processes out. `None` after [`Store::close`].
    held: Option<File>,
    /// `None` after a failed write and after [`Store::close`], until it is opened again.
    database: Option<Database>,
    /// A write that failed and may be in the file nevertheless.
    doubt: Option<Doubt>,
}

/// How to take a failed write out again.
#[derive(Debug, Default)]
struct Doubt {
    /// `commits` before it.
    commits: u64,
    /// The counter before it.
    revision: u64,
    /// What stood at each key that it touched.
    before: Vec<(String, Option<Vec<u8>>)>,
}

impl Store {
    /// Opens the store in `folder`, making both if they don't exist (0700, 0600).
    pub fn open(folder: &Path) -> Result<Store, OpenError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|source| io_problem(folder, source))?;
        let held = lock(folder)?;
        let path = folder.join(FILE);
        if !path.try_exists().map_err(|source| io_problem(&path, source))? {
            make(folder, &held)?;
        }
        let state = Mutex::new(FileState { held: Some(held), database: Some(open_file(&path)?), doubt: None });
        Ok(Store { shared: Arc::new(Shared { path, state }) })
    }

    /// Lets go of the file and its lock, after the commit that is under way: another process may open the store now. Blocks; not for async code.
    pub fn close(&self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock goes last: whoever gets it finds a closed file.
        drop(state.database.take());
        drop(state.held.take());
    }

    /// Takes back what [`Self::close`] let go of, if nobody else has it. Blocks; not for async code.
    ///
    /// # Errors
    /// Another process has the store, or it can't be opened. The next commit tries again.
    pub fn reopen(&self) -> Result<(), StoreError> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).reopened(&self.shared.path)
    }

    /// Everything, in key order, and the counter.
    pub fn load(&self) -> Result<(Vec<Stored>, Revision), OpenError> {
        let path = &self.shared.path;
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &state.database else {
            return Err(OpenError::Io { path: path.clone(), source: std::io::Error::other("the last write failed") });
        };
        unpanicking(|| read_all(database, path)).unwrap_or_else(|why| Err(OpenError::Corrupt { path: path.clone(), why }))
    }

    /// The audit's entries after number `after`, as text, at most `limit`.
    ///
    /// # Errors
    /// The store is closed, or can't be read.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let shared = self.shared.clone();
        let work = move || {
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(database) = &state.database else { return Err(StoreError::Unavailable("it is closed".to_string())) };
            unpanicking(|| read_audit(database, after, limit)).and_then(|done| done).map_err(StoreError::Unavailable)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Unavailable("the store's thread was stopped".to_string())),
        }
    }

    /// Writes `ops` if everything is as expected: all or nothing, on disk before this returns. The counter goes up by one, unless `learned`.
    /// A commit that has begun is finished even if nobody waits for it any more.
    pub async fn commit(&self, expect: Vec<(Key, Expect)>, ops: Vec<Op>, learned: bool) -> Result<Revision, StoreError> {
        let shared = self.shared.clone();
        let work = move || {
            // A panic inside redb must not leave a state that nobody dares to touch: every commit begins by looking at it anew.
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.commit(&shared.path, &expect, &ops, learned)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Unavailable("the store's thread was stopped".to_string())),
        }
    }
}

impl FileState {
    fn commit(&mut self, path: &Path, expect: &[(Key, Expect)], ops: &[Op], learned: bool) -> Result<Revision, StoreError> {
        self.reopened(path)?;
        let Some(database) = &self.database else { return Err(StoreError::Unavailable("it is closed".to_string())) };
        let mut doubt = Doubt::default();
        match unpanicking(|| write(database, expect, ops, learned, &mut doubt)).unwrap_or_else(|why| Err(Failed::File(why))) {
            Ok(revision) => Ok(revision),
            Err(Failed::Conflict { key, found }) => Err(StoreError::Conflict { key, found }),
            Err(Failed::File(why)) => {
                self.database = None;
                self.doubt = Some(doubt);
                Err(StoreError::Unavailable(why))
            }
        }
    }

    /// After a failed write, or a close: opens the file again and takes out what was reported as not made.
    fn reopened(&mut self, path: &Path) -> Result<(), StoreError> {
        if self.held.is_none() {
            self.held = Some(lock(path.parent().unwrap_or(path)).map_err(|why| StoreError::Unavailable(why.to_string()))?);
        }
        if self.database.is_none() {
            let database = open_file(path).map_err(|why| StoreError::Unavailable(why.to_string()))?;
            if let Some(doubt) = &self.doubt {
                unpanicking(|| take_out(&database, doubt)).and_then(|done| done).map_err(StoreError::Unavailable)?;
            }
            (self.database, self.doubt) = (Some(database), None);
        }
        Ok(())
    }
}

/// Why a write stopped.
enum Failed {
    /// An expectation did not hold; the file is fine.
    Conflict { key: String, found: Option<Revision> },
    /// The file is not.
    File(String),
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed::File(error.to_string())
    }
}

/// Locks the store's folder for this process.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let held = File::open(folder).map_err(|source| io_problem(folder, source))?;
    held.try_lock().map_err(|refused| match refused {
        std::fs::TryLockError::WouldBlock => OpenError::InUse { folder: folder.into() },
        std::fs::TryLockError::Error(source) => io_problem(folder, source),
    })?;
    Ok(held)
}

fn begin(database: &Database) -> Result<WriteTransaction, Failed> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // The file opens at once after a crash instead of being walked from end to end.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// One commit. `doubt` is filled before anything could reach the disk.
fn write(database: &Database, expect: &[(Key, Expect)], ops: &[Op], learned: bool, doubt: &mut Doubt) -> Result<Revision, Failed> {
    let transaction = begin(database)?;
    let revision = {
        let mut records = transaction.open_table(RECORDS)?;
        let mut meta = transaction.open_table(META)?;
        for (key, expected) in expect {
            let key = codec::key_text(key);
            let found = match records.get(key.as_str())? {
                Some(bytes) => Some(codec::decode_revision(bytes.value()).map_err(|why| Failed::File(format!("record `{key}`: {why}")))?),
                None => None,
            };
            let holds = match expected {
                Expect::Absent => found.is_none(),
                Expect::At(revision) => found == Some(*revision),
            };
            if !holds {
                // Dropping the transaction aborts it.
                return Err(Failed::Conflict { key, found });
            }
        }
        doubt.revision = number(&meta, "revision")?;
        doubt.commits = number(&meta, "commits")?;
        let revision = Revision(doubt.revision + u64::from(!learned));
        meta.insert("revision", revision.0)?;
        meta.insert("commits", doubt.commits + 1)?;
        // In the order of the keys (of two with one key the later one counts): a batch of 100,000 then works on one page of the tree after the other.
        let mut ordered: Vec<(String, &Op)> = ops.iter().map(|op| (codec::key_text(op.key()), op)).collect();
        ordered.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, op) in ordered {
            let bytes = match op {
                Op::Put(_, record) => Some(codec::encode(record, revision).map_err(Failed::File)?),
                Op::Delete(_) => None,
            };
            put(&mut records, key, bytes.as_deref(), doubt)?;
        }
        revision
    };
    transaction.commit()?;
    Ok(revision)
}

type Records<'a> = redb::Table<'a, &'static str, &'static [u8]>;

fn put(records: &mut Records<'_>, key: String, bytes: Option<&[u8]>, doubt: &mut Doubt) -> Result<(), Failed> {
    let before = match bytes {
        Some(bytes) => records.insert(key.as_str(), bytes)?.map(|old| old.value().to_vec()),
        None => records.remove(key.as_str())?.map(|old| old.value().to_vec()),
    };
    doubt.before.push((key, before));
    Ok(())
}

/// Undoes a write whose outcome is not known, if it is in the file.
fn take_out(database: &Database, doubt: &Doubt) -> Result<(), String> {
    let undo = || -> Result<(), Failed> {
        let transaction = begin(database)?;
        {
            let mut meta = transaction.open_table(META)?;
            // It failed before it could count, or never reached the disk.
            if doubt.before.is_empty() || number(&meta, "commits")? != doubt.commits + 1 {
                return Ok(());
            }
            meta.insert("revision", doubt.revision)?;
            meta.insert("commits", doubt.commits)?;
            let mut records = transaction.open_table(RECORDS)?;
            for (key, before) in doubt.before.iter().rev() {
                match before {
                    Some(bytes) => drop(records.insert(key.as_str(), bytes.as_slice())?),
                    None => drop(records.remove(key.as_str())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    };
    undo().map_err(|failed| match failed {
        Failed::Conflict { key, .. } | Failed::File(key) => key,
    })
}

fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, Failed> {
    Ok(meta.get(name)?.map(|value| value.value()).unwrap_or(0))
}

fn read_all(database: &Database, path: &Path) -> Result<(Vec<Stored>, Revision), OpenError> {
    let corrupt = |why: &dyn std::fmt::Display| OpenError::Corrupt { path: path.into(), why: why.to_string() };
    let transaction = database.begin_read().map_err(|why| corrupt(&why))?;
    let records = transaction.open_table(RECORDS).map_err(|why| corrupt(&why))?;
    let meta = transaction.open_table(META).map_err(|why| corrupt(&why))?;
    let counter = meta.get("revision").map_err(|why| corrupt(&why))?.map(|value| value.value()).unwrap_or(0);
    let mut all = Vec::new();
    for entry in records.iter().map_err(|why| corrupt(&why))? {
        let (key, bytes) = entry.map_err(|why| corrupt(&why))?;
        let text = key.value();
        let unreadable = |why: String| OpenError::Record { path: path.into(), key: text.to_string(), why };
        let key = codec::parse_key(text).ok_or_else(|| unreadable("this release knows no such key".to_string()))?;
        let (record, revision) = codec::decode(&key, bytes.value()).map_err(unreadable)?;
        all.push(Stored { key, record, revision });
    }
    Ok((all, Revision(counter)))
}

fn read_audit(database: &Database, after: u64, limit: usize) -> Result<Vec<(u64, String)>, String> {
    let read = || -> Result<Vec<(u64, String)>, Failed> {
        let records = database.begin_read()?.open_table(RECORDS)?;
        let (from, to) = (codec::key_text(&Key::Audit(after.saturating_add(1))), codec::key_text(&Key::Audit(u64::MAX)));
        let mut found = Vec::new();
        for entry in records.range(from.as_str()..=to.as_str())?.take(limit) {
            let (key, bytes) = entry?;
            let Some(key @ Key::Audit(number)) = codec::parse_key(key.value()) else { continue };
            let text = match codec::decode(&key, bytes.value()) {
                Ok((crate::control::Record::Line(text), _)) => text.to_string(),
                _ => String::from_utf8_lossy(bytes.value()).into_owned(),
            };
            found.push((number, text));
        }
        Ok(found)
    };
    read().map_err(|failed| match failed {
        Failed::Conflict { key: why, .. } | Failed::File(why) => why,
    })
}

/// A new, empty store: made aside and renamed, so that a kill in the middle leaves no half-made file. The caller holds the folder's lock.
fn make(folder: &Path, held: &File) -> Result<(), OpenError> {
    let path = folder.join(FILE_NEW);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(|source| io_problem(&path, source))?;
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create_file(file).map_err(|why| database_problem(&path, why))?;
    let fill = || -> Result<(), Failed> {
        let transaction = begin(&database)?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(META)?.insert("format", FORMAT)?;
        Ok(transaction.commit()?)
    };
    fill().map_err(|failed| match failed {
        Failed::Conflict { key: why, .. } | Failed::File(why) => OpenError::Io { path: path.clone(), source: std::io::Error::other(why) },
    })?;
    drop(database);
    let last = folder.join(FILE);
    std::fs::rename(&path, &last).and_then(|()| held.sync_all()).map_err(|source| io_problem(&last, source))
}

fn open_file(path: &Path) -> Result<Database, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|source| io_problem(path, source))?;
    // redb takes an empty file for a new one; here it means that somebody truncated it.
    if file.metadata().map_err(|source| io_problem(path, source))?.len() == 0 {
        return Err(OpenError::Corrupt { path: path.into(), why: "it is empty".to_string() });
    }
    let opened = unpanicking(|| redb::Builder::new().set_cache_size(CACHE_BYTES).create_file(file));
    let database = opened.map_err(|why| OpenError::Corrupt { path: path.into(), why })?.map_err(|why| database_problem(path, why))?;
    let format = || -> Result<u64, redb::Error> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        Ok(meta.get("format")?.map(|value| value.value()).unwrap_or(0))
    };
    match unpanicking(format) {
        Ok(Ok(FORMAT)) => Ok(database),
        Ok(Ok(found)) if found > FORMAT => Err(OpenError::Newer { path: path.into(), found, known: FORMAT }),
        Ok(Ok(_)) => Err(OpenError::Corrupt { path: path.into(), why: "it says no format".to_string() }),
        Ok(Err(why)) => Err(OpenError::Corrupt { path: path.into(), why: why.to_string() }),
        Err(why) => Err(OpenError::Corrupt { path: path.into(), why }),
    }
}

/// Some damage makes redb panic instead of returning an error: that, too, is a finding about the file and not the end of the daemon.
fn unpanicking<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: after a panic the database is dropped and opened anew.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|_| "reading it failed in an unexpected way; it is damaged".to_string())
}

fn database_problem(path: &Path, why: DatabaseError) -> OpenError {
    match why {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { folder: path.parent().unwrap_or(path).into() },
        // A truncated file shows as an unexpected end, a foreign one as invalid data.
        DatabaseError::Storage(StorageError::Io(source)) if !matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            io_problem(path, source)
        }
        why => OpenError::Corrupt { path: path.into(), why: why.to_string() },
    }
}

fn io_problem(path: &Path, source: std::io::Error) -> OpenError {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::Permission { path: path.into(), source },
        _ => OpenError::Io { path: path.into(), source },
    }
}

#[cfg(test)]
mod tests;
