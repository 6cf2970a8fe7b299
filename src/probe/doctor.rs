//! A probe run now for somebody who looks: the way of every probe, with everything noted, and without effect.
//!
//! Its outcome goes to whoever asked and nowhere else: no verdict, no metric of the endpoint, no history. Few at a time. Never here: what to do about it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::health::{Examination, Outcome};
use crate::model::{Check, Monitor, ProbeRules, Verify};

use super::attempt::{Place, run};
use super::exec;
use super::expect::expected;
use super::permit::Permit;
use super::resolver::Resolver;
use super::tls::{Alpn, Session, Tls, Trust};
use super::trace::{Trace, without};

/// Examinations at once on this node; a further one is refused.
pub const AT_ONCE_MAX: usize = 4;
/// Longest one, whatever the monitor allows.
pub const EXAMINATION_MAX: Duration = Duration::from_secs(30);

/// Examines targets, a few at a time.
#[derive(Debug)]
pub struct Doctor {
    room: Semaphore,
    resolver: Resolver,
}

/// Longest wait for the turn of a program (`[probe] exec`), among those of scheduled probes.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// [`AT_ONCE_MAX`] examinations are under way, or too many programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Doctor {
    /// Finds the addresses of host names as scheduled probes do.
    pub fn new(resolver: Resolver) -> Self {
        Self { room: Semaphore::new(AT_ONCE_MAX), resolver }
    }

    /// Probes a place once. A full TLS handshake, with the system's trust as it is now.
    pub async fn examine(&self, monitor: &Monitor, to: impl Into<Place<'_>>, rules: Arc<ProbeRules>) -> Result<Examination, Busy> {
        let _room = self.room.try_acquire().map_err(|_| Busy)?;
        let _turn = timeout(TURN_WAIT_MAX, exec::turn(&monitor.check)).await.map_err(|_| Busy)?;
        Ok(examine(monitor, to, rules, &self.resolver, None).await)
    }
}

/// `trust`: instead of the system's.
pub(super) async fn examine(monitor: &Monitor, to: impl Into<Place<'_>>, rules: Arc<ProbeRules>, resolver: &Resolver, trust: Option<Trust>) -> Examination {
    let monitor = Monitor { timeout: monitor.timeout.min(EXAMINATION_MAX), ..monitor.clone() };
    let tls = match monitor.check.tls() {
        None => Tls::unused(),
        Some(terms) => {
            let system = trust.is_none() && terms.verify == Verify::Full && terms.ca.is_none();
            let loaded = if system { tokio::task::spawn_blocking(Trust::system).await.ok() } else { trust };
            Tls::watched(terms, Alpn::of(&monitor.check), &loaded.unwrap_or_else(Trust::unused))
        }
    };
    let mut trace = Trace::detailed(expected(&monitor.check));
    let mut report = run(&monitor, to.into(), (&tls, &Arc::<Session>::default()), (resolver, &Permit(rules)), &mut trace).await;
    let secrets = secrets(&monitor.check);
    if let Outcome::Fail { message, .. } = &mut report.outcome {
        *message = without(message, &secrets);
    }
    Examination { report, detail: trace.into_detail(&secrets) }
}

/// Values that only the peer may see.
fn secrets(check: &Check) -> Vec<&str> {
    match check {
        Check::Http(check) => check.headers.iter().filter(|header| !super::http::is_plain(&header.name)).map(|header| header.value.expose().as_str()).collect(),
        _ => Vec::new(),
    }
}
