//! One probe, from its start to its report, under one deadline.
//!
//! Never here: when to probe, and what an outcome means for a verdict.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::timeout_at;

use crate::health::{Outcome, Phase, ProbeReport, Reason};
use crate::model::{Check, Estate, Monitor, Target, Timestamp};

use super::fail::Failure;
use super::tcp::{self, Way};
use super::tls::{self, Session, Tls};
use super::trace::Trace;
use super::{dns, exec, grpc, http, icmp};

/// Probes a target once.
pub async fn attempt_target(estate: &Estate, target: &Target, tls: &Tls, session: &Arc<Session>) -> ProbeReport {
    let named = || target.endpoints.first().map(|endpoint| estate.endpoint_label(*endpoint)).unwrap_or_default();
    attempt_named(estate.monitor(target.monitor), (target.address, target.port), tls, session, &named).await
}

/// Probes `address` once, on the check's port unless another is given. Ends `monitor.timeout` after its start at the latest.
#[cfg(test)]
pub async fn attempt(monitor: &Monitor, place: (IpAddr, Option<u16>), tls: &Tls, session: &Arc<Session>) -> ProbeReport {
    attempt_named(monitor, place, tls, session, &String::new).await
}

/// The same for an endpoint that has a name, asked for if it is needed.
async fn attempt_named(
    monitor: &Monitor,
    (address, port): (IpAddr, Option<u16>),
    tls: &Tls,
    session: &Arc<Session>,
    endpoint: &(dyn Fn() -> String + Sync),
) -> ProbeReport {
    let _slot = if let Check::Exec(check) = &monitor.check { exec::slot(&check.terms).await } else { None };
    let mut trace = Trace::start();
    let peer = SocketAddr::new(address, port.unwrap_or(monitor.check.port()));
    let way = Way { peer, source: monitor.source.towards(address) };
    let deadline = trace.started() + monitor.timeout;
    let checked = timeout_at(deadline.into(), async {
        match &monitor.check {
            // Such endpoints have no target (`Watch::Always`); if one had, it would be as up as they are.
            Check::Always => Ok(()),
            Check::Tcp(check) => tcp::check(check, way, &mut trace).await,
            Check::Tls(check) => tls::check(check, way, tls, session, &mut trace).await,
            Check::Dns(check) => dns::check(check, way, &mut trace).await,
            Check::Grpc(check) => grpc::check(check, way, tls, session, &mut trace).await,
            Check::Icmp => icmp::check(address, way.source, &mut trace).await,
            Check::Exec(check) => {
                let place = exec::Place { address, port: peer.port(), endpoint: endpoint(), monitor: &monitor.name };
                exec::check(check, &place, monitor.timeout, &mut trace).await
            }
            // Nobody probes what is told; if somebody did, nothing would follow.
            Check::Push(_) => Err(Failure::new(Reason::Internal, "this node does not probe: an outside system tells")),
            Check::Http(check) => http::check(check, way, tls, session, &mut trace).await,
        }
    })
    .await;
    let outcome = match checked.unwrap_or_else(|_| Err(late(monitor, trace.phase(), peer))) {
        Ok(()) => Outcome::Pass,
        Err(Failure { reason, message }) => {
            // After anything odd the next handshake is a full one: the certificate is looked at again.
            session.forget();
            Outcome::Fail { reason, message }
        }
    };
    let (took, phases) = trace.times();
    ProbeReport { outcome, at: wall_clock(), took, phases, status: trace.status, certificate_expires: trace.certificate_expires, warning: trace.warning }
}

/// The deadline passed in this phase.
fn late(monitor: &Monitor, phase: Phase, peer: SocketAddr) -> Failure {
    match &monitor.check {
        Check::Icmp => icmp::timed_out(monitor.timeout, peer.ip()),
        Check::Exec(check) => exec::timed_out(check, monitor.timeout),
        _ => Failure::timeout(monitor.timeout, phase, peer),
    }
}

/// The wall clock's now.
pub fn wall_clock() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
