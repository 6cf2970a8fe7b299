//! The limit on open files: raised as far as the system lets us, for ten thousand connections are not unusual and 1,024 files are the habit of old.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than all connections, probes and files together can ever be (65,536 probes, 10,000 connections): beyond it nothing is gained.
const ENOUGH: u64 = 131_072;

/// Raises the soft limit to the hard one, or to what is enough. Programs that we start would inherit it; there are none but ourselves.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wished = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < wished) {
        let raised = Rlimit { current: Some(wished), maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open files stays as it is: {error}");
        }
    }
}
