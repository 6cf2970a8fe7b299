//! The files of a log that is bounded by age and size: `FOLDER/MILLISECONDS.log` in the store's folder, named by when they were begun.
//!
//! Every process begins a file of its own, and nobody appends to another's: what was torn by a crash stays behind, and is read up to where it is whole. Whole
//! files are deleted when all that is in them is too old, or all together are too large.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Timestamp;

/// What a file begins with: which log it is of, and of which form.
pub(super) type Magic = [u8; 8];

/// Octets of one file beyond which it is not read on: none is ever written so large.
const READ_MAX: u64 = 64 << 20;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub begun: Timestamp,
    pub path: PathBuf,
    pub octets: u64,
}

/// All files of a folder, oldest first; none if there is no such folder.
pub(super) fn all(folder: &Path) -> std::io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let begun = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|stem| stem.parse().ok());
        let (Some(begun), Ok(meta)) = (begun, entry.metadata()) else { continue };
        found.push(Segment { begun: Timestamp(begun), path: entry.path(), octets: meta.len() });
    }
    found.sort();
    Ok(found)
}

/// A new file, begun at this moment or the next free one.
pub(super) fn begin(folder: &Path, now: Timestamp, magic: &Magic) -> std::io::Result<(File, Segment)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut begun = now;
    loop {
        let path = folder.join(format!("{}.log", begun.0));
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => begun.0 += 1,
            opened => {
                let mut file = opened?;
                let segment = Segment { begun, path, octets: magic.len() as u64 };
                file.write_all(magic).inspect_err(|_| forget_if_empty(&segment))?;
                return Ok((file, segment));
            }
        }
    }
}

/// Deletes a file into which nothing could be written: a full disk must not fill with empty files.
pub(super) fn forget_if_empty(segment: &Segment) {
    if segment.octets == size_of::<Magic>() as u64 {
        // If that fails, too, it is an empty file.
        let _ = std::fs::remove_file(&segment.path);
    }
}

/// What a file holds.
pub(super) fn contents(segment: &Segment) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    match File::open(&segment.path) {
        // It was deleted meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        opened => drop(opened?.take(READ_MAX).read_to_end(&mut octets)?),
    }
    Ok(octets)
}

/// Deletes what is too old, and the oldest while all together have more than `octets_max`; never `mine`.
pub(super) fn prune(folder: &Path, mine: &Path, now: Timestamp, keep: Duration, octets_max: u64) -> std::io::Result<()> {
    let segments = all(folder)?;
    let mut total: u64 = segments.iter().map(|segment| segment.octets).sum();
    // A file ends when the next one begins.
    let ends = segments.iter().skip(1).map(|next| next.begun).chain([now]);
    for (segment, end) in segments.iter().zip(ends).filter(|(segment, _)| segment.path != mine) {
        if keep < now.since(end) || octets_max < total {
            match std::fs::remove_file(&segment.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => total -= segment.octets,
            }
        }
    }
    Ok(())
}
