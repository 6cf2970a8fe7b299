//! From a target's host to the address that is probed: at once if it is one, by the resolver if it has a name.
//!
//! A name may have several addresses. They are tried in the resolver's order, the next one only when no connection to the one before could be made:
//! what a server that accepts then says is the outcome, good or bad. Never here: two connections at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::health::{Phase, Reason};
use crate::model::{Check, Host, Monitor};

use super::fail::Failure;
use super::permit::Permit;
use super::resolver::Resolver;
use super::tcp::Way;
use super::trace::Trace;

/// Of the addresses that could not be connected to, so many are told.
const TOLD_MAX: usize = 3;

/// The ways to a host that are left, first to last.
#[derive(Debug)]
pub struct Approach<'a> {
    monitor: &'a Monitor,
    permit: &'a Permit,
    host: &'a Host,
    port: u16,
    deadline: Instant,
    left: std::vec::IntoIter<IpAddr>,
    tried: Vec<Failure>,
}

impl<'a> Approach<'a> {
    /// Waits for the resolver if nothing is known of the name.
    pub async fn begin(
        monitor: &'a Monitor,
        (host, port): (&'a Host, Option<u16>),
        deadline: Instant,
        (resolver, permit): (&Resolver, &'a Permit),
        trace: &mut Trace,
    ) -> Result<Self, Failure> {
        let port = monitor.check.port_of(port).unwrap_or(0);
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(..) | Host::Answered(_) => {
                let found = match resolver.known(host) {
                    Some(known) => known,
                    None => {
                        trace.enter(Phase::Resolve);
                        resolver.lookup(host).await
                    }
                };
                let found = found.map_err(|unresolved| Failure::unresolved(host, &unresolved))?;
                trace.resolver_warning = found.warning;
                let addresses = found.resolved.addresses.clone();
                trace.resolved = Some(found.resolved);
                addresses
            }
        };
        Ok(Self { monitor, permit, host, port, deadline, left: addresses.into_iter(), tried: Vec::new() })
    }

    /// The next way; `None`: there is none left. Every address that a probe connects to, written or resolved, passes here and nowhere else;
    /// whether it may be is asked where it is done (`tcp`, `dns`, `icmp`, `exec`).
    pub fn next(&mut self, trace: &mut Trace) -> Option<Way<'a>> {
        let ways = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        let address = self.left.next()?;
        let peer = SocketAddr::new(address, self.port);
        trace.peer = Some(peer);
        // A silent address must leave time for those after it.
        let connect_by = (1 < ways).then(|| {
            let now = Instant::now();
            now + self.deadline.saturating_duration_since(now) / ways
        });
        Some(Way { peer, source: self.monitor.source.towards(address), connect_by, permit: self.permit })
    }

    /// A way failed: `None` if it could not be connected there and another way is left.
    pub fn failed(&mut self, failure: Failure, trace: &Trace) -> Option<Failure> {
        if self.host.name().is_none() {
            return Some(failure);
        }
        if !unreached(self.monitor, &failure, trace) {
            return Some(named(failure, self.host, trace));
        }
        self.tried.push(failure);
        if 0 < self.left.len() { None } else { self.exhausted(trace) }
    }

    /// It passed; addresses that could not be connected to before are worth a look.
    pub fn passed(&self, trace: &mut Trace) {
        if !self.tried.is_empty() {
            let told = format!("{} was probed at the next address, because: {}", self.host, self.told());
            trace.resolver_warning = Some(trace.resolver_warning.take().map_or(told.clone(), |before| format!("{before}; {told}")));
        }
    }

    fn exhausted(&mut self, trace: &Trace) -> Option<Failure> {
        let count = self.tried.len();
        if count == 1 {
            return self.tried.pop().map(|failure| named(failure, self.host, trace));
        }
        let message = format!("{} (all {count} addresses of {})", self.told(), self.host);
        self.tried.first().map(|first| Failure::new(first.reason, message))
    }

    fn told(&self) -> String {
        let told: Vec<&str> = self.tried.iter().take(TOLD_MAX).map(|failure| failure.message.as_str()).collect();
        let more = if self.tried.len() > TOLD_MAX { "; …" } else { "" };
        told.join("; ") + more
    }
}

/// No connection stood, or no echo came back.
fn unreached(monitor: &Monitor, failure: &Failure, trace: &Trace) -> bool {
    let silent = monitor.check == Check::Icmp && failure.reason == Reason::Timeout;
    silent || trace.phase() == Phase::Connect || matches!(failure.reason, Reason::Refused | Reason::Unreachable)
}

/// A name may be anywhere: where it was this time belongs to the sentence.
pub fn named(Failure { reason, message }: Failure, host: &Host, trace: &Trace) -> Failure {
    match (host.name(), trace.peer) {
        (Some(name), Some(peer)) => Failure::new(reason, format!("{message} ({name} at {})", peer.ip())),
        _ => Failure { reason, message },
    }
}
