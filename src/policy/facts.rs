//! What a decision is made from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Clients;
use crate::health::{Guard, HealthTable};
use crate::model::{EndpointId, Estate, Family, PoolId, RegionId, ServiceId};

/// What is known: handed in whole, so that a decision depends on nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Everything that exists.
    pub estate: &'a Estate,
    /// Observed health.
    pub health: &'a HealthTable,
    /// Which endpoints that are observed Down are seen as they were, Up (SEMANTICS, 26 and 27).
    pub guard: &'a Guard,
    /// Overrides in force whose target exists. Few; ordered by id.
    pub overrides: &'a [Override],
    /// What is known of clients, for policies that ask.
    pub clients: &'a Clients,
    /// What is going to be changed; empty: nothing ([`NO_PLANS`](super::NO_PLANS)).
    pub planned: &'a super::Plans,
    /// Pools whose region's data is older than they allow (`hold_if_older_than`), each with a sentence that says how old.
    pub outdated: &'a BTreeMap<PoolId, Arc<str>>,
    /// Pools of which more is asked than they declare (`shed`).
    pub crowded: &'a BTreeMap<PoolId, Crowded>,
}

/// A pool over its load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowded {
    /// It gives away the share that it declares; if not, it still takes nothing that others give away.
    pub sheds: bool,
    /// For people: `its load of 85 is over 80, since 12:00:03`.
    pub why: Arc<str>,
}

/// An operator's override, resolved against the estate. Who, why and until when is `control`'s business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `o-12`.
    pub id: Arc<str>,
    /// What it does.
    pub kind: OverrideKind,
    /// To what.
    pub target: OverrideTarget,
    /// How directly an operator named that.
    pub reach: Reach,
    /// Only for these services; `None`: for all.
    pub services: Option<Vec<ServiceId>>,
}

/// What an override does (SEMANTICS, 18). `freeze` is not here: `control` keeps a frozen service's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverrideKind {
    /// About use: no new answers while anything else is up.
    Drain,
    /// About health: counts as Up.
    ForceUp,
    /// About health: never answered.
    ForceDown,
    /// About data: used however old it is.
    Approve,
}

impl OverrideKind {
    /// It is about health.
    pub fn forces(self) -> bool {
        matches!(self, OverrideKind::ForceUp | OverrideKind::ForceDown)
    }
}

/// How directly an operator named what an override is about. Of two health overrides on one thing the nearer one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// By its name.
    Name,
    /// By a pattern that its name fits.
    Pattern,
    /// By a tag that it has.
    Tag,
}

/// What an override is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverrideTarget {
    /// Every pool of a region.
    Region(RegionId),
    /// A pool.
    Pool(PoolId),
    /// One endpoint.
    Endpoint(EndpointId),
}

/// What must be remembered of a service between decisions. `held`, `last` and `first` are stored; the rest may be lost in a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Pools that have returned or will, and are kept out by failback; ordered by pool, then family.
    pub held: Vec<Hold>,
    /// How far held pools have come back, for `failback = { mode = "staged" }`; ordered by pool, then family.
    pub stages: Vec<Stage>,
    /// The child of a failover that counts as its first one, by name, for `failback = { mode = "one_way" }`, by [`Family::index`]; `None`: the first one.
    pub first: [Option<Arc<str>>; 2],
    /// Pools of the last decision from a rung above `all_down`, by [`Family::index`]; in file order.
    pub last: [Vec<PoolId>; 2],
    /// Holds that ended because nothing else was up: such a pool's leaf says `held` until something else is. For that label alone.
    pub used: Vec<Hold>,
    /// The last decision was from rung `all_down`, by [`Family::index`]: `last` is then history, and what it names is not answering now.
    pub all_down: [bool; 2],
    /// Pools of the last decisions for clients for whom nothing is up, while other clients still get answers by choice; by [`Family::index`]. For `last_good` alone.
    pub fallen: [Vec<PoolId>; 2],
}

impl Memory {
    /// An operator ends the holds of one pool, or all of them and the order that `one_way` has made (SEMANTICS, 11). Says whether there was anything to end.
    pub fn end_holds(&mut self, pool: Option<PoolId>) -> bool {
        let before = self.held.len();
        self.held.retain(|hold| pool.is_some_and(|pool| pool != hold.pool));
        self.stages.retain(|stage| pool.is_some_and(|pool| pool != stage.hold.pool));
        let ordered = pool.is_none() && std::mem::take(&mut self.first) != [None, None];
        self.held.len() < before || ordered
    }

    /// An operator has said anew where traffic goes: nothing is held, the order is the policy's.
    pub fn forget_returns(self) -> Self {
        Self { held: Vec::new(), stages: Vec::new(), first: [None, None], ..self }
    }

    /// How far a held pool has come back; `None`: it waits.
    pub fn stage(&self, hold: Hold) -> Option<Stage> {
        self.stages.iter().copied().find(|stage| stage.hold == hold)
    }

    /// Is `pool` kept out in `family`?
    pub fn holds(&self, pool: PoolId, family: Family) -> bool {
        self.held.contains(&Hold { pool, family })
    }
}

/// A hold (SEMANTICS, 11): one service × pool × address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hold {
    /// The pool kept out.
    pub pool: PoolId,
    /// In which family.
    pub family: Family,
}

/// A held pool that gets a part of its share already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    /// Which.
    pub hold: Hold,
    /// Which step of the plan, from 1.
    pub step: u8,
    /// `mono` at which it was taken.
    pub since: Duration,
}
