//! Why the store can't be opened, or a commit was not made: sentences that end with the way out.

use std::path::PathBuf;

use crate::control::Revision;

/// Why the store can't be opened or read. The daemon does not start (SEMANTICS, 16).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the store in {} is in use by another process; stop the other `windrose serve`, or give this one its own [store] path",
        folder.display()
    )]
    InUse {
        /// `store.path`
        folder: PathBuf,
    },
    /// Permissions.
    #[error(
        "can't write {}: {source}; make it writable for the user that runs windrose (chown it, or mkdir it with that owner), or set [store] path to a folder that is",
        path.display()
    )]
    Permission {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another failure of the file system.
    #[error("can't use {} as the store: {source}; [store] path must be a folder, or can become one, on a disk with room", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a store, or a damaged one.
    #[error(
        "the store {} can't be read ({why}); nothing was changed. Restore it from a backup, or move it away to begin with an empty one, or start with --without-store to serve the file's policies until then",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// One record can't be understood.
    #[error(
        "the store {} holds a record that can't be read: `{key}` ({why}); nothing was changed. Restore it from a backup, or start with --without-store to serve the file's policies until then",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Its key.
        key: String,
        /// What was found.
        why: String,
    },
    /// Written by a later release.
    #[error("the store {} has format {found} and this release reads format {known}; run the release that wrote it, or start with --without-store", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
}

/// Why a commit was not made. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster: look again and decide anew.
    #[error("`{key}` was changed meanwhile")]
    Conflict {
        /// The key whose expectation did not hold, in text form.
        key: String,
        /// Its revision; `None`: it does not exist.
        found: Option<Revision>,
    },
    /// The store can't write now; trying later may help.
    #[error("the store can't write: {0}")]
    Unavailable(String),
}
