//! `windrose serve`: the daemon until a signal ends it.
//!
//! SIGHUP reloads. SIGTERM and SIGINT stop: first DNS, then the rest. systemd is told when DNS answers, and once per watchdog period.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli::ServeArgs;
use crate::config;

use super::daemon::{Daemon, list};

/// Exit code for a configuration that can't be used (DESIGN, section 6).
const INVALID: u8 = 2;

pub(super) fn main(arguments: &ServeArgs) -> ExitCode {
    super::logging::start("info");
    let loaded = match config::load(&arguments.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(INVALID);
        }
    };
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let Some(runtime) = super::runtime(0) else { return ExitCode::FAILURE };
    runtime.block_on(async {
        match Daemon::start(arguments.config.clone(), loaded, arguments.without_store).await {
            Ok(daemon) => until_stopped(daemon).await,
            Err(sentence) => {
                eprintln!("windrose: {sentence}");
                ExitCode::FAILURE
            }
        }
    })
}

async fn until_stopped(daemon: Daemon) -> ExitCode {
    let signals = (signal(SignalKind::hangup()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut hangup), Ok(mut terminate), Ok(mut interrupt)) = signals else {
        eprintln!("windrose: can't listen for signals");
        return ExitCode::FAILURE;
    };
    // One line that a script can read: the addresses, also when port 0 was asked for.
    println!("windrose is ready: dns {} admin {}", list(&daemon.dns_addresses), list(&daemon.admin_addresses));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled().map(|period| period / 2);
    let mut feed = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3600)));
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                // The outcome is logged by the reload itself; the old configuration serves on if it fails.
                let _ = (daemon.reloader)().await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = feed.tick() => {
                // Fed only while the control thread answers: a stuck core gets the daemon restarted.
                if watchdog.is_some() && daemon.door.look(|_, _| ()).await.is_ok() {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
            }
        }
    }
    info!("stopping");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop().await;
    ExitCode::SUCCESS
}
