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
use super::{dns, exec, grpc, http, icmp};

/// What is probed.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where it is.
    pub host: &'a Host,
    /// Port, if it is not the check's.
    pub port: Option<u16>,
    /// Who it is: `pool/name`, asked for if it is needed; empty: nobody.
    pub endpoint: &'a (dyn Fn() -> String + Sync),
}

/// Nobody's.
impl<'a> From<(&'a Host, Option<u16>)> for Place<'a> {
    fn from((host, port): (&'a Host, Option<u16>)) -> Self {
        Self { host, port, endpoint: &String::new }
    }
}

/// Probes a place once. Ends `monitor.timeout` after its start at the latest. A program must have its turn before ([`exec::turn`]).
pub async fn attempt(monitor: &Monitor, to: impl Into<Place<'_>>, tls: &Tls, session: &Arc<Session>, resolver: &Resolver, permit: &Permit) -> ProbeReport {
    run(monitor, to.into(), (tls, session), (resolver, permit), &mut Trace::start()).await
}

/// The same with notes of the caller's.
pub(super) async fn run(
    monitor: &Monitor,
    place: Place<'_>,
    (tls, session): (&Tls, &Arc<Session>),
    (resolver, permit): (&Resolver, &Permit),
    trace: &mut Trace,
) -> ProbeReport {
    let Place { host, port, endpoint } = place;
    let deadline = trace.started() + monitor.timeout;
    let checked = timeout_at(deadline.into(), async {
        let mut approach = Approach::begin(monitor, (host, port), deadline, (resolver, permit), trace).await?;
        while let Some(way) = approach.next(trace) {
            match check(monitor, way, endpoint, tls, session, trace).await {
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
        Some(peer) => {
            let failure = match &monitor.check {
                Check::Icmp => icmp::timed_out(monitor.timeout, peer.ip()),
                Check::Exec(check) => exec::timed_out(check, monitor.timeout),
                _ => Failure::timeout(monitor.timeout, trace.phase(), peer),
            };
            named(failure, host, trace)
        }
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
    ProbeReport {
        outcome,
        at: wall_clock(),
        took,
        phases,
        status,
        certificate_expires,
        warning,
        resolved,
        reported: trace.reported.take(),
        data_at: trace.data_at.take(),
        load: trace.load.take(),
    }
}

/// One address, all phases.
async fn check(
    monitor: &Monitor,
    way: Way<'_>,
    endpoint: &(dyn Fn() -> String + Sync),
    tls: &Tls,
    session: &Arc<Session>,
    trace: &mut Trace,
) -> Result<Outcome, Failure> {
    // The rare and large ones are boxed: the room of all is that of the largest.
    match &monitor.check {
        // Such endpoints have no target (`Watch::Always`); if one had, it would be as up as they are.
        Check::Always => Ok(Outcome::Pass),
        Check::Tcp(check) => passed(tcp::check(check, way, trace).await),
        Check::Tls(check) => passed(Box::pin(tls::check(check, way, tls, session, trace)).await),
        Check::Dns(check) => passed(Box::pin(dns::check(check, way, trace)).await),
        Check::Grpc(check) => passed(Box::pin(grpc::check(check, way, tls, session, trace)).await),
        Check::Http(check) => http::check(check, way, tls, session, monitor.timeout, trace).await,
        // Apart: many thousands of the others wait at once, and need not carry the room for these.
        Check::Icmp => passed(Box::pin(icmp::check(way, trace)).await),
        Check::Exec(check) => {
            let asked = exec::Asked { endpoint: endpoint(), monitor: &monitor.name, within: monitor.timeout };
            passed(Box::pin(exec::check(check, way, &asked, trace)).await)
        }
        // Nobody probes what is told; if somebody did, nothing would follow.
        Check::Push(_) => Err(Failure::new(Reason::Internal, "this node does not probe: an outside system tells")),
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
