//! Wiring: which rooms talk to which, and in what order they start and stop.
//!
//! Never here: a decision, a protocol, a format.

#![allow(clippy::disallowed_methods, reason = "the edge: here the clock is read once per event and handed down")]

mod clock;
mod control_loop;
mod daemon;
mod databases;
pub mod demo;
mod files;
mod logging;
mod memory;
mod panics;
mod plan;
mod reload;
mod secret;
mod serve;
mod telling;
mod upgrade;

use std::process::ExitCode;

use crate::cli;

/// From the command line to an exit code.
pub fn main() -> ExitCode {
    // First of all: what becomes a probe's program is nothing of the rest.
    if let Some(code) = crate::probe::launched() {
        return code;
    }
    panics::watch();
    match cli::parse() {
        cli::Invocation::Serve(arguments) => serve::main(&arguments),
        cli::Invocation::Demo(arguments) => demo::main(&arguments),
        cli::Invocation::Client(client) => runtime(1).map_or(ExitCode::FAILURE, |runtime| runtime.block_on(cli::run(client))),
    }
}

/// A tokio runtime with so many threads (0: one per core), or a sentence on stderr.
fn runtime(threads: usize) -> Option<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().map_err(|error| eprintln!("windrose: can't start the runtime: {error}")).ok()
}
