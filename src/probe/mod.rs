//! Probing: targets in, outcomes out.
//!
//! ```text
//! plan(estate) ─▶ scheduler ── due ──▶ attempt: connect ▶ TLS ▶ request ▶ body ─▶ report ─▶ outcomes (bounded)
//!                 (one task)           one deadline, one future, nothing spawned below it
//! ```
//!
//! `schedule` says when, `attempt` runs one probe under its deadline, `approach` finds the address (host names by `resolver`), `tcp`, `tls` (with `verify`), `http` (with `hop`, `body`, `json` and `told`), `grpc` (over `h2`), `dns`, `icmp` and `exec` (by `launch`) do the talking, `fail` finds the words,
//! and `pulse` knows whether we were there to listen.
//! `permit` says where probes may go; `doctor` runs one for somebody who looks, and `trace` notes what is shown (with `certificate` and `expect`).
//! Never here: verdicts. A probe never decides health, never retries, and follows no redirect unless asked.
#![allow(clippy::disallowed_methods, reason = "an IO room: deadlines and schedules are kept against the clock here")]

mod approach;
mod attempt;
mod body;
mod certificate;
mod dns;
mod doctor;
mod exec;
mod expect;
mod expiry;
mod fail;
mod grpc;
mod h2;
mod hop;
mod http;
mod icmp;
mod json;
#[cfg_attr(test, allow(dead_code, reason = "in unit tests this executable can't become a program"))]
mod launch;
mod permit;
mod prometheus;
mod pulse;
mod recverr;
pub mod resolver;
mod schedule;
mod scheduler;
mod tcp;
mod tls;
mod told;
mod trace;
mod verify;

#[cfg(test)]
mod peers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::health::ProbeReport;
use crate::metrics::ProbeMetrics;
use crate::model::{Estate, TargetId};

pub use self::attempt::Place;
pub use self::doctor::{AT_ONCE_MAX, Busy, Doctor, EXAMINATION_MAX};
pub use self::launch::launched;
pub use self::permit::Permit;
pub use self::prometheus::prometheus;
use self::resolver::Resolver;
use self::scheduler::{Plan, Scheduler, Wishes};
use self::tls::Trust;

/// Probes running at once; further ones wait, and their wait counts as lag. Less where descriptors are scarce: each probe has a socket.
/// 100,000 targets every 10 s of which none answers within 3 s are 30,000.
pub const IN_FLIGHT_MAX: usize = 65_536;

/// Descriptors that are left to others: DNS over TCP (10,000 connections), the admin API, files.
const DESCRIPTORS_SPARED: usize = 12_288;

/// One outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The plan that is in force; `target` is of its estate.
    pub plan: u64,
    /// Whose.
    pub target: TargetId,
    /// What was found.
    pub report: ProbeReport,
}

/// Handle of the prober. Dropping it ends all probing.
#[derive(Debug)]
pub struct Prober {
    wishes: Arc<Wishes>,
    resolver: Resolver,
    task: JoinHandle<()>,
}

impl Prober {
    /// Spawns the scheduler on the current tokio runtime. Nothing is probed until [`plan`](Self::plan).
    /// When `outcomes` is full the prober waits; no outcome is dropped, except of targets that are no longer in the plan.
    pub fn start(outcomes: mpsc::Sender<Probed>, metrics: Arc<ProbeMetrics>) -> Prober {
        Self::start_with(outcomes, metrics, in_flight_max(), None)
    }

    fn start_with(outcomes: mpsc::Sender<Probed>, metrics: Arc<ProbeMetrics>, in_flight_max: usize, trust: Option<Trust>) -> Prober {
        let wishes = Arc::new(Wishes::default());
        let resolver = Resolver::start(metrics.clone());
        let scheduler = Scheduler::new(wishes.clone(), outcomes, metrics, resolver.clone(), in_flight_max, trust);
        Prober { wishes, resolver, task: tokio::spawn(scheduler.run()) }
    }

    /// Resolves host names as probes do, from what they know.
    pub fn resolver(&self) -> Resolver {
        self.resolver.clone()
    }

    /// Probe these targets from now on, and no others. Targets known from the last plan keep their times and their probe in flight;
    /// `hurry`: the others have their first one within a second, or a second for each 10,000 targets.
    pub fn plan(&self, plan: u64, estate: Arc<Estate>, hurry: bool) {
        self.wishes.plan(Plan { number: plan, estate, hurry });
    }

    /// The verdict of this target (of the plan of this number) has changed: its next TLS handshake is a full one, so that a certificate is looked at whenever it matters.
    pub fn distrust(&self, plan: u64, target: TargetId) {
        self.wishes.distrust(plan, target);
    }

    /// Ends all probing; returns when no task is left.
    pub async fn stop(mut self) {
        self.wishes.stop();
        // It can only fail by having panicked, and then it is over, too.
        let _ = (&mut self.task).await;
        self.resolver.stop().await;
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// [`IN_FLIGHT_MAX`], or what others don't need of the descriptors that this process may open; half of them where they are few.
fn in_flight_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<usize>().ok());
    open_files.map_or(IN_FLIGHT_MAX, in_flight_of)
}

fn in_flight_of(open_files: usize) -> usize {
    open_files.saturating_sub(DESCRIPTORS_SPARED).max(open_files / 2).clamp(1, IN_FLIGHT_MAX)
}

#[cfg(test)]
mod bounds {
    use super::*;

    #[test]
    fn probes_leave_descriptors_to_others() {
        for (open_files, probes) in [(1, 1), (1_024, 512), (20_000, 10_000), (65_536, 53_248), (131_072, 65_536), (usize::MAX, 65_536)] {
            assert_eq!(in_flight_of(open_files), probes, "of {open_files}");
        }
    }
}
