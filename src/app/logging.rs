//! Logs: sentences for people on stderr, filtered by `WINDROSE_LOG` (such as `info`, `windrose=debug`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Begins logging. `default`: the filter when `WINDROSE_LOG` is not set.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_env("WINDROSE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second call (a test, the demo) keeps the first subscriber.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).with_target(false).try_init();
}
