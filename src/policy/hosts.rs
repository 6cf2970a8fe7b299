//! What host names mean for answers: the TTL of their records bounds that of the answer.
//!
//! Which addresses are known is `health`'s; that an endpoint stands in the families in which its name has some is `effective`'s.

use crate::model::{Address, EndpointId, Estate, Family, HostId, PoolId};

use super::effective::Effective;
use super::{Decision, Facts};

/// A record that lives shorter than others.
pub(super) struct Shortest {
    /// Seconds.
    pub(super) ttl: u32,
    host: HostId,
}

impl Shortest {
    /// The reason for a TTL.
    pub(super) fn text(&self, estate: &Estate) -> String {
        format!("the resolver keeps {} for {} s", estate.host(self.host), self.ttl)
    }
}

/// The record with the shortest life of those that are answered; of equals the first host's. `None`: there are no host names among the answers.
pub(super) fn shortest(decision: &Decision, facts: &Facts<'_>) -> Option<Shortest> {
    if decision.by_name || facts.estate.hosts.is_empty() {
        return None;
    }
    let endpoints = decision.families.iter().flat_map(|family| &family.leaves).flat_map(|leaf| &leaf.endpoints);
    let hosts = endpoints.filter_map(|endpoint| match facts.estate.endpoint(*endpoint).address {
        Address::Fixed(_) => None,
        Address::Host(host) => Some(host),
    });
    let records = hosts.filter_map(|host| Some(Shortest { ttl: facts.health.host(host).found.as_ref()?.ttl, host }));
    records.min_by_key(|record| (record.ttl, record.host))
}

/// What is worth saying of an endpoint's host name: that nobody knows its addresses, or that they are old.
pub(super) fn remark(facts: &Facts<'_>, endpoint: EndpointId) -> Option<String> {
    let (name, host) = (facts.estate.host_of(endpoint)?, facts.health.host_of(facts.estate, endpoint)?);
    match (&host.found, &host.trouble) {
        (None, None) => Some(format!("{name} is not resolved yet")),
        (None, Some(trouble)) => Some(format!("{name} was never resolved: {trouble}")),
        (Some(found), Some(trouble)) => Some(format!("the addresses of {name} are of {}: {trouble}", found.at.whole_seconds())),
        (Some(_), None) => None,
    }
}

/// Why a pool has nobody to answer with in either family.
pub(super) fn awaited(effective: &Effective<'_>, pool: PoolId) -> String {
    let facts = &effective.facts;
    let remarks: Vec<String> = facts.estate.pool(pool).endpoints.iter().filter_map(|endpoint| remark(facts, *endpoint)).collect();
    format!("; {}", remarks.join("; "))
}

/// The same decision with the addresses that its endpoints have now; those that have none in their family keep what they had. `None`: nothing differs.
pub fn readdressed(decision: &Decision, facts: &Facts<'_>) -> Option<Decision> {
    let mut next = decision.clone();
    let variants = next.by_client.iter_mut().flat_map(|by| &mut by.variants).map(|variant| &mut variant.families);
    for families in std::iter::once(&mut next.families).chain(variants) {
        for (family, decided) in Family::ALL.into_iter().zip(families) {
            for leaf in &mut decided.leaves {
                let known = leaf.addresses.iter_mut().flatten().zip(&leaf.endpoints);
                for (known, endpoint) in known {
                    let found = facts.health.host_of(facts.estate, *endpoint).and_then(|host| host.found.as_ref()?.addresses.get(family.index()));
                    if let Some(found) = found.filter(|found| !found.is_empty()) {
                        *known = found.clone();
                    }
                }
            }
        }
    }
    (next != *decision).then_some(next)
}
