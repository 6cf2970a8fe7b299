//! `windrose serve`: the daemon until a signal ends it.
//!
//! With `--upgrade` it takes over from the process that runs, and it ends when another one takes over from it. SIGHUP reloads. SIGTERM and SIGINT stop: first DNS, then the rest. systemd is told when DNS answers, and once per watchdog period.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli::ServeArgs;
use crate::config;
use crate::control::ReloadBy;

use super::daemon::{Daemon, Start, list};
use super::upgrade::{self, Program};

/// Exit code for a configuration that can't be used (DESIGN, section 6).
const INVALID: u8 = 2;

pub(super) fn main(arguments: &ServeArgs) -> ExitCode {
    super::logging::start("info");
    super::files::raise_limit();
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
        match start(arguments, loaded).await {
            Ok(daemon) => until_stopped(daemon).await,
            Err(sentence) => {
                eprintln!("windrose: {sentence}");
                ExitCode::FAILURE
            }
        }
    })
}

/// Alone, or in the place of a process that runs.
async fn start(arguments: &ServeArgs, loaded: config::Loaded) -> Result<Daemon, String> {
    let ServeArgs { config: path, without_store, upgrade } = arguments;
    let program = Program::of_this_process(path).map_err(|error| format!("can't find out how this process was started: {error}"))?;
    let inheritance = match upgrade {
        None => None,
        Some(socket) => {
            let socket = socket.as_ref().unwrap_or(&loaded.settings.admin.socket);
            let inheritance = upgrade::ask(socket).await?;
            if inheritance.is_none() {
                info!("nobody serves at {}, so there is nobody to take over from", socket.display());
            }
            inheritance
        }
    };
    Daemon::start(Start { path: path.clone(), loaded, without_store: *without_store, program: Some(program), inheritance }).await
}

async fn until_stopped(mut daemon: Daemon) -> ExitCode {
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
                let _ = (daemon.reloader)(ReloadBy::signal()).await;
            }
            Some(farewell) = daemon.farewells.recv() => {
                info!("leaving");
                daemon.leave(farewell).await;
                return ExitCode::SUCCESS;
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
