//! One name asked for: server after server, round after round, until one knows.
//!
//! Packets are `dns`'s, as for monitors of that kind. Names are asked for as they are written: no search list, no hosts file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name as Owner, RData, RecordType};
use tokio::time::timeout;

use crate::model::{Family, ResolverRules, duration_text};
use crate::wire::{Name, Rcode};

use super::super::dns;
use super::super::permit::Permit;
use super::super::tcp::Way;
use super::super::trace::Trace;
use super::kept::Answer;
use super::{Trouble, Unresolved};

/// Of one answer so many addresses are kept.
const ADDRESSES_MAX: usize = 16;
/// Aliases in a row that are followed.
const ALIASES_MAX: usize = 16;

/// Addresses of both families. One of them may be unknown, if its servers fail and the other one has some; nothing is found if neither has any.
pub async fn ask_both(rules: &ResolverRules, first: &AtomicUsize, name: &Name) -> Result<Answer, Unresolved> {
    let mut both = Answer { addresses: Vec::new(), ttl: Duration::MAX, unknown: None };
    let (mut trouble, mut told) = (None, None);
    for family in Family::ALL {
        match ask_servers(rules, first, name, record_type(family)).await {
            Ok((response, server)) => {
                told = Some(server);
                if let Some(Answer { addresses, ttl, .. }) = addresses(&response, name) {
                    both.addresses.extend(addresses);
                    both.ttl = both.ttl.min(ttl);
                }
            }
            Err(unresolved) if unresolved.trouble == Trouble::NoSuchName => return Err(unresolved),
            Err(unresolved) => {
                both.unknown = Some(family);
                trouble = Some(unresolved);
            }
        }
    }
    match (both.addresses.is_empty(), trouble, told) {
        (false, _, _) => Ok(both),
        (true, Some(trouble), _) => Err(trouble),
        (true, None, told) => Err(no_address(name, told)),
    }
}

fn record_type(family: Family) -> RecordType {
    match family {
        Family::V4 => RecordType::A,
        Family::V6 => RecordType::AAAA,
    }
}

fn no_address(name: &Name, server: Option<SocketAddr>) -> Unresolved {
    let server = server.map(shown).unwrap_or_default();
    Unresolved { trouble: Trouble::NoAddress, message: format!("{server} has no addresses for {name}") }
}

/// Addresses of `family`, and those of the other one if there are none. `first` is the server that answered last: it is asked first.
pub async fn ask(rules: &ResolverRules, first: &AtomicUsize, name: &Name, family: Family) -> Result<Answer, Unresolved> {
    let mut told = None;
    for family in [family, family.other()] {
        let (response, server) = ask_servers(rules, first, name, record_type(family)).await?;
        if let Some(answer) = addresses(&response, name) {
            return Ok(answer);
        }
        told = Some(server);
    }
    Err(no_address(name, told))
}

/// The first response that says whether there is such a name.
async fn ask_servers(rules: &ResolverRules, first: &AtomicUsize, name: &Name, record_type: RecordType) -> Result<(Message, SocketAddr), Unresolved> {
    let ResolverRules { servers, timeout: patience, attempts } = rules;
    if servers.is_empty() {
        return Err(Unresolved { trouble: Trouble::NoAnswer, message: format!("no resolver is configured that could be asked for {name}") });
    }
    // Who may be asked was checked with the file; a cloud's resolver is often link-local.
    let permit = Permit::anywhere();
    let (begin, mut trouble, mut said) = (first.load(Ordering::Relaxed), Trouble::NoAnswer, BTreeMap::new());
    for at in 0..servers.len() * usize::from((*attempts).max(1)) {
        let at = (begin + at) % servers.len();
        let Some(server) = servers.get(at).copied() else { continue };
        // Its own trace: what a name server's connection does is no phase of the probe.
        let mut trace = Trace::start();
        let way = Way { peer: server, source: None, connect_by: None, permit: &permit };
        let response = match timeout(*patience, dns::exchange(name, record_type.into(), way, &mut trace)).await {
            Err(_) => Err(format!("{} did not answer within {}", shown(server), duration_text(*patience))),
            Ok(Err(failure)) => Err(failure.message),
            Ok(Ok(response)) => Ok(response),
        };
        let response = match response {
            Ok(response) => response,
            Err(why) => {
                said.insert(at, why);
                continue;
            }
        };
        let code = u16::from(response.metadata.response_code);
        if code == Rcode::NoError.number() {
            first.store(at, Ordering::Relaxed);
            return Ok((response, server));
        }
        if code == Rcode::NxDomain.number() {
            first.store(at, Ordering::Relaxed);
            return Err(Unresolved { trouble: Trouble::NoSuchName, message: format!("{} says NXDOMAIN: there is no {name}", shown(server)) });
        }
        trouble = Trouble::Rcode;
        said.insert(at, format!("{} says {} for {name} {record_type}", shown(server), dns::code_text(code)));
    }
    Err(Unresolved { trouble, message: said.into_values().collect::<Vec<_>>().join("; ") })
}

/// The addresses behind the name and its aliases, with the shortest TTL on the way; `None`: there are none.
fn addresses(response: &Message, name: &Name) -> Option<Answer> {
    let mut owner = Owner::from_ascii(name.to_string()).ok()?;
    owner.set_fqdn(true);
    let mut ttl = u32::MAX;
    for _ in 0..=ALIASES_MAX {
        let own = || response.answers.iter().filter(|record| record.name == owner);
        let found = own().filter_map(|record| match &record.data {
            RData::A(a) => Some((IpAddr::V4(a.0), record.ttl)),
            RData::AAAA(aaaa) => Some((IpAddr::V6(aaaa.0).to_canonical(), record.ttl)),
            _ => None,
        });
        // Blocklists answer with the address of no host; connecting there would be connecting to ourselves.
        let is_host = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        let found: Vec<(IpAddr, u32)> = found.filter(|(address, _)| is_host(address)).take(ADDRESSES_MAX).collect();
        if let Some(shortest) = found.iter().map(|(_, ttl)| *ttl).min() {
            let ttl = Duration::from_secs(u64::from(ttl.min(shortest)));
            return Some(Answer { addresses: found.into_iter().map(|(address, _)| address).collect(), ttl, unknown: None });
        }
        let (target, alias_ttl) = own().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some((alias.0.clone(), record.ttl)),
            _ => None,
        })?;
        (owner, ttl) = (target, ttl.min(alias_ttl));
    }
    None
}

/// Without the port that is everybody's.
fn shown(server: SocketAddr) -> String {
    if server.port() == 53 { server.ip().to_string() } else { server.to_string() }
}
