//! What the resolver has found for the host names that answers are made from, and which families endpoints therefore belong to (SEMANTICS, 7).
//!
//! An endpoint with a host name belongs to the families in which the name has addresses. A name that was never resolved has none: it is in no family.
//! The last addresses found hold until others are found, however old they are. Never here: asking, and how long an answer holds.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Address, EndpointId, Estate, Family, HostId, Now, PoolId, Timestamp};

use super::HealthTable;

/// What was found for a host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFound {
    /// By [`Family::index`], in the resolver's order; not both are empty.
    pub addresses: [Arc<[IpAddr]>; 2],
    /// How long the resolver may keep it, in seconds: the shorter one of the two families.
    pub ttl: u32,
    /// When the resolver said so.
    pub at: Timestamp,
}

/// How a host name stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostHealth {
    /// The last good addresses; `None`: there were never any.
    pub found: Option<Arc<HostFound>>,
    /// Why that is old: one sentence, from the end of its time on, until it is found again.
    pub trouble: Option<Arc<str>>,
}

impl HostHealth {
    /// The addresses of a family.
    pub fn addresses(&self, family: Family) -> &[IpAddr] {
        self.found.as_ref().and_then(|found| found.addresses.get(family.index())).map_or(&[], |addresses| &**addresses)
    }
}

impl HostFound {
    /// The same answers would be made of both.
    pub fn answers_like(&self, other: &Self) -> bool {
        (&self.addresses, self.ttl) == (&other.addresses, other.ttl)
    }

    /// All addresses, IPv4 first.
    pub fn all(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().flat_map(|addresses| addresses.iter().copied())
    }
}

impl HealthTable {
    /// How a host name stands.
    #[allow(clippy::indexing_slicing, reason = "sized by the estate")]
    pub fn host(&self, host: HostId) -> &HostHealth {
        &self.hosts[host.index()]
    }

    /// How a host name stands from now on: the pools that it is in are derived anew if it has other families.
    pub fn resolved(&mut self, estate: &Estate, host: HostId, stands: HostHealth, now: Now) {
        let Some(known) = self.hosts.get_mut(host.index()) else { return };
        let families = |stands: &HostHealth| Family::ALL.map(|family| stands.addresses(family).is_empty());
        let moved = families(known) != families(&stands);
        *known = stands;
        if moved {
            let endpoints: Vec<EndpointId> = estate.endpoints_at(host).collect();
            self.derive_pools_of(estate, &endpoints, now);
        }
    }

    /// The host name of an endpoint, as it stands; `None`: it has an address.
    pub fn host_of(&self, estate: &Estate, endpoint: EndpointId) -> Option<&HostHealth> {
        match estate.endpoint(endpoint).address {
            Address::Fixed(_) => None,
            Address::Host(host) => Some(self.host(host)),
        }
    }

    /// An endpoint has an address of this family.
    pub fn is_in_family(&self, estate: &Estate, endpoint: EndpointId, family: Family) -> bool {
        match estate.endpoint(endpoint).address {
            Address::Fixed(address) => Family::of(address) == family,
            Address::Host(host) => !self.host(host).addresses(family).is_empty(),
        }
    }

    /// The pool's endpoints of one family, in file order.
    pub fn pool_family<'a>(&'a self, estate: &'a Estate, pool: PoolId, family: Family) -> impl Iterator<Item = EndpointId> + use<'a> {
        estate.pool(pool).endpoints.iter().copied().filter(move |endpoint| self.is_in_family(estate, *endpoint, family))
    }

    /// The pool has endpoints of this family.
    pub fn pool_has(&self, estate: &Estate, pool: PoolId, family: Family) -> bool {
        self.pool_family(estate, pool, family).next().is_some()
    }

    /// A name of the pool was never resolved: nobody knows what families it has.
    pub fn has_unresolved(&self, estate: &Estate, pool: PoolId) -> bool {
        estate.pool(pool).endpoints.iter().any(|endpoint| self.host_of(estate, *endpoint).is_some_and(|host| host.found.is_none()))
    }
}
