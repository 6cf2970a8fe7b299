//! A log's thread is asked to write what is open.
//!
//! Never here: what is written. A full queue is not waited for: then the thread is busy writing anyway.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Soon.
pub(super) fn ask<M>(to: &SyncSender<M>, flush: impl FnOnce(SyncSender<()>) -> M) {
    let (done, _) = sync_channel(1);
    // Full: it is written a little later.
    let _ = to.try_send(flush(done));
}

/// And waits for it so long at most: later, what is open is missing, and the rest is all there.
pub(super) fn wait<M>(to: &SyncSender<M>, flush: impl FnOnce(SyncSender<()>) -> M, longest: Duration) {
    let (done, written) = sync_channel(1);
    if to.try_send(flush(done)).is_ok() {
        let _ = written.recv_timeout(longest);
    }
}
