//! Dense indices into the tables of one [`Estate`](super::Estate). An id means nothing in another estate.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// Position in its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// Id of the entry at `index`; tables never hold more than `u32::MAX` entries.
            pub fn at(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
        }
    };
}

id!(
    /// A place where gateways run.
    RegionId
);
id!(
    /// Endpoints that serve the same thing in one region.
    PoolId
);
id!(
    /// One gateway address in a pool.
    EndpointId
);
id!(
    /// A host name that answers are made from.
    HostId
);
id!(
    /// The definition of a check.
    MonitorId
);
id!(
    /// Endpoint × simple monitor: what is probed.
    TargetId
);
id!(
    /// Target × thresholds: what has a verdict.
    JudgementId
);
id!(
    /// The definition of a composite monitor.
    CompositeId
);
id!(
    /// Endpoint × composite monitor.
    CombinedId
);
id!(
    /// Host names whose answers a policy computes.
    ServiceId
);

/// Address family: each is decided by itself (SEMANTICS, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// Both, in table order.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// Position in a `[T; 2]`.
    pub fn index(self) -> usize {
        match self {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }

    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }
}
