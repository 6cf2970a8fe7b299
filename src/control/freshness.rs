//! How fresh the data of each region is, and which pools are not used because it is too old (`hold_if_older_than`).
//!
//! ```text
//!  pushed, or read by a probe ─▶ the region's data is of 12:00 ─▶ older than a pool allows? ─▶ policy keeps the pool off every rung
//! ```
//!
//! - Who told last counts. Of several endpoints that tell, the oldest time that was told of late: one replica that lags is enough.
//! - A region of which nobody has told is too old for every pool that asks.
//! - Ages run on `mono`: a wall clock that is set neither ages data nor renews it (SEMANTICS, 28). Only across a restart the wall clock counts.
//!
//! Never here: who answers. That data ages while its pool answers alone is `policy`'s to forgive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::DataAt;
use crate::model::{Estate, Now, PoolId, RegionId, TargetId, Timestamp, did_you_mean, duration_text, harmless};

use super::change::{Actor, Applied, Fault, Refusal, RefusalKind};
use super::core::{Cause, Core};
use super::event::{Effect, Effects, Notice, Ticket};
use super::record::{Key, Op, Record};

/// Clocks of others may be ahead of ours by this.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// What a region tells of its data. Names are not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPush {
    /// Who.
    pub actor: Actor,
    /// Of which region.
    pub region: String,
    /// Restored or synchronised then.
    pub of: DataTime,
}

/// When data was restored or synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataTime {
    /// At this moment.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
}

/// What is known of a region's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataTold {
    /// When it was last restored or synchronised.
    pub data_at: Timestamp,
    /// When that was told.
    pub told_at: Timestamp,
    /// By whom: `token:backup`, `monitor gateway of dr/a`.
    pub by: Arc<str>,
}

/// The same, with its age.
#[derive(Clone, Debug)]
struct Known {
    told: DataTold,
    /// Its age at `mono`.
    age: Duration,
    mono: Duration,
}

impl Known {
    fn new(told: DataTold, now: Now) -> Self {
        Self { age: now.wall.since(told.data_at), mono: now.mono, told }
    }

    fn age(&self, now: Now) -> Duration {
        self.age + now.mono.saturating_sub(self.mono)
    }
}

/// How a pool's data stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolFreshness {
    /// What the pool allows.
    pub limit: Duration,
    /// Why it is too old; `None`: it is not.
    pub outdated: Option<Arc<str>>,
}

/// Of all regions.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// By region's name; those that the file no longer has are kept.
    known: BTreeMap<Arc<str>, Known>,
    /// Pools that ask, in file order.
    limited: Vec<(PoolId, RegionId, Duration)>,
    /// What targets told last, and when (`mono`).
    readings: BTreeMap<(RegionId, TargetId), (Timestamp, Duration)>,
    /// What policy sees.
    pub(super) outdated: BTreeMap<PoolId, Arc<str>>,
    /// When the next pool's data grows too old.
    next: Option<Duration>,
}

impl Freshness {
    /// The pools of this estate. Call [`Core::review_freshness`] next.
    pub(super) fn set_estate(&mut self, estate: &Estate) {
        self.limited = limited(estate);
        self.readings.clear();
        self.outdated.clear();
        self.next = None;
    }

    pub(super) fn remember(&mut self, region: Arc<str>, told: DataTold, now: Now) {
        self.known.insert(region, Known::new(told, now));
    }

    pub(super) fn forget(&mut self, region: &str) {
        self.known.remove(region);
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.next
    }

    /// What is written of these regions.
    pub(super) fn ops(&self, regions: &BTreeSet<Arc<str>>) -> Vec<Op> {
        regions.iter().filter_map(|region| Some(Op::Put(Key::Freshness(region.clone()), Record::Freshness(self.known.get(region)?.told.clone())))).collect()
    }

    /// For a successor.
    pub(super) fn legacy(&self) -> Vec<(Arc<str>, DataTold)> {
        self.known.iter().map(|(region, known)| (region.clone(), known.told.clone())).collect()
    }

    /// Pools whose data is too old by now, with a sentence; when the next one's is.
    fn look(&self, limited: &[(PoolId, RegionId, Duration)], estate: &Estate, now: Now) -> (BTreeMap<PoolId, Arc<str>>, Option<Duration>) {
        let (mut outdated, mut next) = (BTreeMap::new(), None::<Duration>);
        for (pool, region, limit) in limited {
            let region = &estate.region(*region).name;
            match self.known.get(region) {
                None => drop(outdated.insert(*pool, format!("nobody has told how old the data of region {region} is").into())),
                Some(known) if *limit < known.age(now) => {
                    let text = format!("the data of region {region} is of {}, older than {}", known.told.data_at.whole_seconds(), duration_text(*limit));
                    outdated.insert(*pool, text.into());
                }
                Some(known) => {
                    // The next whole millisecond: at the limit itself it is not yet older.
                    let at = now.mono + (*limit - known.age(now)) + Duration::from_millis(1);
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
        }
        (outdated, next)
    }
}

/// Pools that ask, in file order.
fn limited(estate: &Estate) -> Vec<(PoolId, RegionId, Duration)> {
    let pools = (0..estate.pools.len()).map(PoolId::at);
    pools.filter_map(|id| Some((id, estate.pool(id).region, estate.pool(id).hold_if_older_than?))).collect()
}

impl Core {
    /// What would be too old in another estate.
    pub(super) fn outdated_in(&self, estate: &Estate, now: Now) -> BTreeMap<PoolId, Arc<str>> {
        self.freshness.look(&limited(estate), estate, now).0
    }

    /// What is known of a region's data, and how old it is.
    pub fn freshness(&self, region: &str, now: Now) -> Option<(&DataTold, Duration)> {
        self.freshness.known.get(region).map(|known| (&known.told, known.age(now)))
    }

    /// When a region's data was last restored or synchronised.
    pub fn data_at(&self, region: &str) -> Option<Timestamp> {
        self.freshness.known.get(region).map(|known| known.told.data_at)
    }

    /// How a pool's data stands; `None`: it does not ask.
    pub fn pool_freshness(&self, pool: PoolId) -> Option<PoolFreshness> {
        let limit = self.configuration.estate.pool(pool).hold_if_older_than?;
        Some(PoolFreshness { limit, outdated: self.freshness.outdated.get(&pool).cloned() })
    }

    /// A region tells how fresh its data is.
    pub(super) fn synchronised(&mut self, ticket: Ticket, push: DataPush, now: Now, effects: &mut Effects) {
        let DataPush { actor: Actor(actor), region, of } = push;
        let estate = self.configuration.estate.clone();
        let refused = match (estate.region_named(&region), of) {
            (None, _) => {
                let near = did_you_mean(&region, estate.regions.iter().map(|region| &*region.name));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Some(Refusal::new(RefusalKind::NotFound, format!("there is no region `{}`{near}", harmless(&region, 100))))
            }
            (Some(_), DataTime::At(at)) if now.wall.plus(AHEAD_MAX) < at => {
                let message = format!("the data can't be of {}: here it is {}", at.whole_seconds(), now.wall.whole_seconds());
                let hint = "look at the clocks of both machines".to_string();
                let faults = vec![Fault { pointer: "/at".into(), code: "invalid-value", message: message.clone(), hint }];
                Some(Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, message) })
            }
            _ => None,
        };
        if let Some(refusal) = refused {
            effects.push(Effect::Reply { ticket, reply: Err(refusal) });
            return;
        }
        let data_at = match of {
            DataTime::At(at) => at.min(now.wall),
            DataTime::Ago(age) => Timestamp(now.wall.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)).max(0)),
        };
        let region: Arc<str> = region.into();
        self.freshness.remember(region.clone(), DataTold { data_at, told_at: now.wall, by: actor.into() }, now);
        self.commits.learned.freshness.insert(region);
        // Nothing else may be due for long.
        self.commits.learned.alive = true;
        self.review_freshness(now, effects);
        self.replies.push((ticket, Applied::nothing(self.revision, now.wall)));
    }

    /// A probe has read how fresh the data is.
    pub(super) fn data_read(&mut self, target: TargetId, data: &DataAt, now: Now, effects: &mut Effects) {
        let DataAt::Told(data_at) = data else { return };
        let estate = self.configuration.estate.clone();
        let endpoints: Vec<_> = estate.endpoints_of(target).collect();
        let regions: BTreeSet<RegionId> = endpoints.iter().map(|endpoint| estate.pool(estate.endpoint(*endpoint).pool).region).collect();
        let monitor = estate.monitor(estate.target(target).monitor);
        let by = endpoints.first().map(|endpoint| format!("monitor {} of {}", monitor.name, estate.endpoint_label(*endpoint))).unwrap_or_default();
        let by: Arc<str> = by.into();
        for region in regions {
            self.freshness.readings.insert((region, target), ((*data_at).min(now.wall), now.mono));
            // Whoever tells no more is left out, or a gateway that is gone would age its region.
            let of_late = 3 * monitor.interval + monitor.timeout;
            self.freshness.readings.retain(|(of, _), (_, at)| *of != region || now.mono.saturating_sub(*at) <= of_late);
            let told = self.freshness.readings.iter().filter(|((of, _), _)| *of == region).map(|(_, (data_at, _))| *data_at).min();
            let name = estate.region(region).name.clone();
            if let Some(data_at) = told {
                self.freshness.remember(name.clone(), DataTold { data_at, told_at: now.wall, by: by.clone() }, now);
                self.commits.learned.freshness.insert(name);
            }
        }
        self.review_freshness(now, effects);
    }

    /// Something was told, or time has passed: whose data is too old now?
    pub(super) fn review_freshness(&mut self, now: Now, effects: &mut Effects) {
        if self.freshness.limited.is_empty() {
            return;
        }
        let estate = self.configuration.estate.clone();
        let (outdated, next) = self.freshness.look(&self.freshness.limited, &estate, now);
        let before = std::mem::replace(&mut self.freshness.outdated, outdated);
        self.freshness.next = next;
        let turned = |pool: &PoolId| before.contains_key(pool) != self.freshness.outdated.contains_key(pool);
        let turned: Vec<PoolId> = self.freshness.limited.iter().map(|(pool, ..)| *pool).filter(turned).collect();
        for pool in turned {
            let of = estate.pool(pool);
            let why = self.freshness.outdated.get(&pool);
            let text = match why {
                Some(why) => format!("pool {} is not used: {why}", of.name),
                None => format!("pool {} may be used again: the data of region {} is fresh enough", of.name, estate.region(of.region).name),
            };
            effects.push(Effect::Tell(Notice::Freshness { pool: of.name.clone(), region: estate.region(of.region).name.clone(), begins: why.is_some(), text }));
            self.touch_pool(pool, Cause::Health { failing_since: None });
        }
    }
}
