//! A guard by names: what goes from one estate to the next (a reload), and from one process to its successor (an upgrade).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{HealthTable, State};
use crate::model::{EndpointId, Estate, Now, PoolId, RegionId, Timestamp};

use super::{Blind, Delay, Guard};

/// Everything but the rules. Times are `mono` of one clock that both share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardNames {
    /// `pool`, `endpoint`: what turned, when.
    turned: Vec<(Arc<str>, Arc<str>, Duration)>,
    /// Regions that fell, when.
    fell: Vec<(Arc<str>, Duration)>,
    kept: Vec<(Arc<str>, Arc<str>)>,
    delays: Vec<DelayNames>,
    sentinel_seen: bool,
    blind: Option<BlindNames>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DelayNames {
    region: Arc<str>,
    after: Arc<str>,
    since: Timestamp,
    until: Timestamp,
    ends: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlindNames {
    since: Timestamp,
    sentinels: bool,
    mass: bool,
    turned: (usize, usize),
    sight: Option<Duration>,
}

impl Guard {
    /// To be taken up by [`Guard::from_names`].
    pub fn names(&self, estate: &Estate) -> GuardNames {
        let Self { rules: _, tally, sentinels: _, sentinel_seen, delays, blind, kept, kept_in: _ } = self;
        let endpoint = |id: EndpointId| {
            let endpoint = estate.endpoint(id);
            (estate.pool(endpoint.pool).name.clone(), endpoint.name.clone())
        };
        let region = |id: RegionId| estate.region(id).name.clone();
        let turned = tally.turned_at.iter().enumerate().filter_map(|(at, turned)| {
            let (pool, name) = endpoint(EndpointId::at(at));
            turned.map(|turned| (pool, name, turned))
        });
        let mut turned: Vec<_> = turned.collect();
        turned.sort_by_key(|(_, _, at)| *at);
        GuardNames {
            turned,
            fell: tally.downs.iter().map(|(at, id)| (region(*id), *at)).collect(),
            kept: kept.iter().map(|id| endpoint(*id)).collect(),
            delays: delays
                .iter()
                .map(|(id, Delay { since, until, after, ends })| DelayNames {
                    region: region(*id),
                    after: region(*after),
                    since: *since,
                    until: *until,
                    ends: *ends,
                })
                .collect(),
            sentinel_seen: *sentinel_seen,
            blind: blind.map(|Blind { since, sentinels, mass, turned, sight }| BlindNames { since, sentinels, mass, turned, sight }),
        }
    }

    /// Goes on in another estate. Names that it lacks are forgotten, and so is what is no longer Down.
    pub fn from_names(names: &GuardNames, estate: &Estate, health: &HealthTable, now: Now) -> Self {
        let GuardNames { turned, fell, kept, delays, sentinel_seen, blind } = names;
        let mut guard = Self::new(estate, health);
        let pools: HashMap<&str, PoolId> = estate.pools.iter().enumerate().map(|(at, pool)| (&*pool.name, PoolId::at(at))).collect();
        let regions: HashMap<&str, RegionId> = estate.regions.iter().enumerate().map(|(at, region)| (&*region.name, RegionId::at(at))).collect();
        let down = |pool: &str, name: &str| {
            let id = estate.endpoint_named(*pools.get(pool)?, name)?;
            (health.endpoint(estate, id) == State::Down).then_some(id)
        };
        for (pool, name, at) in turned {
            if let Some(endpoint) = down(pool, name) {
                guard.tally.recall_turn(estate, endpoint, *at);
            }
        }
        for (region, at) in fell {
            if let Some(region) = regions.get(&**region) {
                guard.tally.recall_fall(*region, *at);
            }
        }
        guard.tally.expire(now.mono);
        for DelayNames { region, after, since, until, ends } in delays {
            if let (Some(region), Some(after)) = (regions.get(&**region), regions.get(&**after)) {
                guard.delays.insert(*region, Delay { since: *since, until: *until, after: *after, ends: *ends });
            }
        }
        guard.sentinel_seen |= sentinel_seen;
        guard.blind = blind.map(|BlindNames { since, sentinels, mass, turned, sight }| Blind { since, sentinels, mass, turned, sight });
        for endpoint in kept.iter().filter_map(|(pool, name)| down(pool, name)) {
            if guard.blind.is_some() || guard.delays.contains_key(&super::region_of(estate, endpoint)) {
                guard.keep(estate, endpoint);
            }
        }
        guard.delays.retain(|region, _| guard.kept_in.contains_key(region));
        // Sentinels may have gone from the file, and with them what made the node blind; its end is told when its time comes.
        let gone = guard.sentinels_gone(health);
        guard.blind = guard.blind.map(|blind| blind.still(gone, blind.mass, now));
        guard
    }
}
