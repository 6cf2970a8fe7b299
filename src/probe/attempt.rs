//! One probe, from its start to its report, under one deadline.
//!
//! Never here: when to probe, and what an outcome means for a verdict.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::time::timeout_at;

use crate::health::{Outcome, ProbeReport};
use crate::model::{Check, Monitor, Timestamp};

use super::fail::Failure;
use super::tcp::{self, Way};
use super::tls::{self, Session, Tls};
use super::trace::Trace;
use super::{dns, grpc, http};

/// Probes `address` once, on the check's port unless another is given. Ends `monitor.timeout` after its start at the latest.
pub async fn attempt(monitor: &Monitor, (address, port): (IpAddr, Option<u16>), tls: &Tls, session: &Arc<Session>) -> ProbeReport {
    let mut trace = Trace::start();
    let peer = SocketAddr::new(address, port.unwrap_or(monitor.check.port()));
    let way = Way { peer, source: monitor.source.towards(address) };
    let deadline = trace.started() + monitor.timeout;
    let checked = timeout_at(deadline.into(), async {
        match &monitor.check {
            // Such endpoints have no target (`Watch::Always`); if one had, it would be as up as they are.
            Check::Always => Ok(Outcome::Pass),
            Check::Tcp(check) => passed(tcp::check(check, way, &mut trace).await),
            Check::Tls(check) => passed(tls::check(check, way, tls, session, &mut trace).await),
            Check::Dns(check) => passed(dns::check(check, way, &mut trace).await),
            Check::Grpc(check) => passed(grpc::check(check, way, tls, session, &mut trace).await),
            Check::Http(check) => http::check(check, way, tls, session, &mut trace).await,
        }
    })
    .await;
    let outcome = match checked.unwrap_or_else(|_| Err(Failure::timeout(monitor.timeout, trace.phase(), peer))) {
        Ok(outcome) => outcome,
        Err(Failure { reason, message }) => {
            // After anything odd the next handshake is a full one: the certificate is looked at again.
            session.forget();
            Outcome::Fail { reason, message }
        }
    };
    let (took, phases) = trace.times();
    ProbeReport {
        outcome,
        at: wall_clock(),
        took,
        phases,
        status: trace.status,
        certificate_expires: trace.certificate_expires,
        warning: trace.warning,
        reported: trace.reported,
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
