//! One probe, from its start to its report, under one deadline.
//!
//! Never here: when to probe, and what an outcome means for a verdict.

use std::sync::Arc;

use tokio::time::timeout_at;

use crate::health::{Outcome, ProbeReport, Reason};
use crate::model::{Check, Host, Monitor, Timestamp, duration_text};

use super::approach::{Approach, named};
use super::fail::Failure;
use super::permit::Permit;
use super::resolver::Resolver;
use super::tcp::{self, Way};
use super::tls::{self, Session, Tls};
use super::trace::Trace;
use super::{dns, grpc, http};

/// Probes `host` once, on the check's port unless another is given. Ends `monitor.timeout` after its start at the latest.
pub async fn attempt(monitor: &Monitor, to: (&Host, Option<u16>), tls: &Tls, session: &Arc<Session>, resolver: &Resolver, permit: &Permit) -> ProbeReport {
    run(monitor, to, (tls, session), (resolver, permit), &mut Trace::start()).await
}

/// The same with notes of the caller's.
pub(super) async fn run(
    monitor: &Monitor,
    (host, port): (&Host, Option<u16>),
    (tls, session): (&Tls, &Arc<Session>),
    (resolver, permit): (&Resolver, &Permit),
    trace: &mut Trace,
) -> ProbeReport {
    let deadline = trace.started() + monitor.timeout;
    let checked = timeout_at(deadline.into(), async {
        let mut approach = Approach::begin(monitor, (host, port), deadline, (resolver, permit), trace).await?;
        while let Some(way) = approach.next(trace) {
            match check(monitor, way, tls, session, trace).await {
                Ok(outcome) => {
                    approach.passed(trace);
                    return Ok(outcome);
                }
                Err(failure) => {
                    if let Some(failure) = approach.failed(failure, trace) {
                        return Err(failure);
                    }
                }
            }
        }
        // A name has at least one address, and the last way that fails says so above.
        Err(Failure::new(Reason::Internal, format!("{host} has no address that could be probed")))
    })
    .await;
    let late = || match trace.peer {
        Some(peer) => named(Failure::timeout(monitor.timeout, trace.phase(), peer), host, trace),
        None => {
            let servers = resolver.servers_text();
            Failure::new(Reason::Resolve, format!("{host} can't be resolved: no answer within {} from {servers}", duration_text(monitor.timeout)))
        }
    };
    let outcome = match checked.unwrap_or_else(|_| Err(late())) {
        Ok(outcome) => outcome,
        Err(Failure { reason, message }) => {
            // After anything odd the next handshake is a full one: the certificate is looked at again.
            session.forget();
            Outcome::Fail { reason, message }
        }
    };
    let (took, phases) = trace.times();
    let warning = match (trace.resolver_warning.take(), trace.warning.take()) {
        (Some(first), Some(second)) => Some(format!("{first}; {second}")),
        (first, second) => first.or(second),
    };
    let (status, certificate_expires, resolved) = (trace.status, trace.certificate_expires, trace.resolved.take());
    ProbeReport { outcome, at: wall_clock(), took, phases, status, certificate_expires, warning, resolved, reported: trace.reported.take() }
}

/// One address, all phases.
async fn check(monitor: &Monitor, way: Way<'_>, tls: &Tls, session: &Arc<Session>, trace: &mut Trace) -> Result<Outcome, Failure> {
    // The rare and large ones are boxed: the room of all is that of the largest.
    match &monitor.check {
        // Such endpoints have no target (`Watch::Always`); if one had, it would be as up as they are.
        Check::Always => Ok(Outcome::Pass),
        Check::Tcp(check) => passed(tcp::check(check, way, trace).await),
        Check::Tls(check) => passed(Box::pin(tls::check(check, way, tls, session, trace)).await),
        Check::Dns(check) => passed(Box::pin(dns::check(check, way, trace)).await),
        Check::Grpc(check) => passed(Box::pin(grpc::check(check, way, tls, session, trace)).await),
        Check::Http(check) => http::check(check, way, tls, session, monitor.timeout, trace).await,
    }
}

/// Of checks that know nothing between.
fn passed(checked: Result<(), Failure>) -> Result<Outcome, Failure> {
    checked.map(|()| Outcome::Pass)
}

/// The wall clock's now.
pub fn wall_clock() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
