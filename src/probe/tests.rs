//! Probes against good and bad peers on real sockets, and the prober as a whole.

mod certificates;
pub mod dns;
mod doctor;
mod exec;
mod gateways;
mod grpc;
mod http;
mod icmp;
mod outcomes;
mod running;
mod tcp;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::health::{Outcome, Phase, ProbeReport, Reason};
use crate::metrics::ProbeMetrics;
use crate::model::{Check, Estate, Header, Host, HttpCheck, JudgementId, Monitor, MonitorId, Scheme, Secret, Target, TargetId, TcpCheck, Thresholds, TlsTerms};

use super::attempt::attempt;
use super::peers::{self, Authority, Peer, answering, answering_tls, endless, nobody, peer, response, silent};
use super::resolver::Resolver;
use super::tls::{Alpn, Session, Tls, Trust};
use super::{Permit, Probed, Prober};

/// Long enough for any peer that answers, also on a busy machine.
const AMPLE: Duration = Duration::from_secs(10);
/// For peers that don't.
const SHORT: Duration = Duration::from_millis(300);
/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(1);

const OK: &str = "<status>ok</status>";

fn monitor(check: Check, timeout: Duration) -> Monitor {
    Monitor { name: "gateway".to_string(), check, source: Default::default(), interval: Duration::from_secs(3_600), timeout, thresholds: Thresholds::default() }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_string(), value: Secret::new(value.to_string()), file: None }
}

fn http_check(port: u16) -> HttpCheck {
    HttpCheck { body: Some(OK.to_string()), ..HttpCheck::get(Scheme::Http, port, "/healthcheck") }
}

fn tls_of(monitor: &Monitor, trust: &Trust) -> Tls {
    monitor.check.tls().map_or_else(Tls::unused, |terms| Tls::new(terms, Alpn::of(&monitor.check), trust))
}

async fn probe(monitor: &Monitor, address: IpAddr, trust: &Trust, session: &Arc<Session>) -> ProbeReport {
    probe_over(monitor, address, &tls_of(monitor, trust), session).await
}

/// With the TLS of an earlier probe.
async fn probe_over(monitor: &Monitor, address: IpAddr, tls: &Tls, session: &Arc<Session>) -> ProbeReport {
    let started = Instant::now();
    let report = attempt(monitor, (&Host::Address(address), None), tls, session, &Resolver::start(Arc::default()), &Permit::default()).await;
    assert!(started.elapsed() <= monitor.timeout + SLACK, "deadline kept: {:?}", started.elapsed());
    assert!(report.took <= monitor.timeout + SLACK);
    let phases: Duration = report.phases.iter().map(|(_, took)| *took).sum();
    assert!(phases <= report.took + Duration::from_millis(1), "phases {phases:?} are parts of {:?}", report.took);
    report
}

async fn http(address: SocketAddr, timeout: Duration) -> ProbeReport {
    http_with(http_check(address.port()), address, timeout).await
}

async fn http_with(check: HttpCheck, address: SocketAddr, timeout: Duration) -> ProbeReport {
    probe(&monitor(Check::Http(check), timeout), address.ip(), &Trust::unused(), &Arc::default()).await
}

#[track_caller]
fn assert_fail(report: &ProbeReport, expect_reason: Reason, expect: &str) {
    match &report.outcome {
        Outcome::Fail { reason, message } => assert_eq!((*reason, message.as_str()), (expect_reason, expect)),
        other => panic!("{}; expected {expect}", other.word()),
    }
}

#[track_caller]
fn assert_pass(report: &ProbeReport) {
    assert_eq!(report.outcome, Outcome::Pass);
}

fn phases(report: &ProbeReport) -> Vec<Phase> {
    report.phases.iter().map(|(phase, _)| *phase).collect()
}

// ---- TCP ------------------------------------------------------------------------------------------

// ---- HTTP: good -----------------------------------------------------------------------------------

// ---- HTTP: bad ------------------------------------------------------------------------------------

// ---- HTTPS ----------------------------------------------------------------------------------------

fn sni(name: &str) -> TlsTerms {
    TlsTerms { sni: Some(name.to_string()), ..TlsTerms::default() }
}

fn https_check(port: u16) -> HttpCheck {
    HttpCheck { scheme: Scheme::Https, host: Some("api.example.com".to_string()), ..http_check(port) }
}

async fn https(peer: &Peer, roots: RootCertStore) -> ProbeReport {
    https_with(https_check(peer.address.port()), peer, roots).await
}

async fn https_with(check: HttpCheck, peer: &Peer, roots: RootCertStore) -> ProbeReport {
    probe(&monitor(Check::Http(check), AMPLE), peer.address.ip(), &Trust::of(roots), &Arc::default()).await
}

async fn tls_peer(config: ServerConfig) -> Peer {
    answering_tls(Arc::new(Mutex::new(Arc::new(config))), response("200 OK", OK)).await.0
}

// ---- the prober -----------------------------------------------------------------------------------

/// One TCP target per peer.
fn estate(interval: Duration, timeout: Duration, targets: &[(&str, SocketAddr)]) -> Arc<Estate> {
    let monitors = targets.iter().map(|(_, address)| Monitor {
        name: "m".to_string(),
        check: Check::Http(HttpCheck { body: None, ..http_check(address.port()) }),
        source: Default::default(),
        interval,
        timeout,
        thresholds: Thresholds::default(),
    });
    let rows = targets.iter().enumerate().map(|(at, (key, address))| Target {
        monitor: MonitorId::at(at),
        address: address.ip().into(),
        port: None,
        key: (*key).into(),
        judgement: JudgementId::at(at),
    });
    Arc::new(Estate { monitors: monitors.collect(), targets: rows.collect(), ..Estate::default() })
}

fn prober(capacity: usize, in_flight_max: usize) -> (Prober, mpsc::Receiver<Probed>) {
    let (sender, outcomes) = mpsc::channel(capacity);
    (Prober::start_with(sender, Arc::new(ProbeMetrics::default()), in_flight_max, Some(Trust::unused())), outcomes)
}

async fn next(outcomes: &mut mpsc::Receiver<Probed>) -> Probed {
    timeout(AMPLE, outcomes.recv()).await.expect("an outcome in time").expect("the prober lives")
}
