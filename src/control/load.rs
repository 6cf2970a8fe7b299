//! How much is asked of pools, and which of them give away a share of their answers for that (`shed`).
//!
//! ```text
//!            more than `over`, and `hold` has passed since the last turn
//!  as ever ────────────────────────────────────────────────────────────▶ sheds `share` %
//!          ◀────────────────────────────────────────────────────────────
//!            `until` or less, and `hold` has passed since the last turn
//! ```
//!
//! - A load is pushed, or read by probes. Who told last counts.
//! - Of what probes read the mean over the endpoints that would answer counts: answers are spread over those, so that is what the pool as a whole carries; one
//!   hot endpoint among them is a matter of weights, and who only stands by in it says nothing. After a start a whole round is waited for.
//! - What was told longer ago than `max_age` turns nothing: a pool of which nobody tells any more goes on as it is, shedding or not. To take answers back for
//!   want of news might kill what is full.
//! - Ages run on `mono` (SEMANTICS, 28); only across a restart the wall clock counts.
//! - Turns are stored, and so is the last load: a restart sheds on.
//!
//! Never here: who takes what is shed. That is `policy`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{EndpointId, Estate, Family, Load, Now, PoolId, Shed, TargetId, Timestamp, did_you_mean, duration_text, harmless};
use crate::policy::{self, Crowded};

use super::change::{Actor, Applied, Fault, Refusal, RefusalKind};
use super::core::{Cause, Core};
use super::event::{Effect, Effects, Notice, Ticket};
use super::record::{Key, Op, Record};

/// What somebody tells of a pool's load. Names are not looked up yet.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPush {
    /// Who.
    pub actor: Actor,
    /// Of which pool.
    pub pool: String,
    /// So much.
    pub load: f64,
}

/// What is known of a pool's load, and whether it sheds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadTold {
    /// The last one.
    pub load: Load,
    /// When it was told.
    pub told_at: Timestamp,
    /// By whom: `token:ci`.
    pub by: Arc<str>,
    /// It gives away its share.
    pub sheds: bool,
    /// When that last began or ended; `None`: never.
    pub turned_at: Option<Timestamp>,
}

/// How a pool with `shed` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLoad {
    /// What it declares.
    pub shed: Shed,
    /// What was told last; `None`: nothing yet.
    pub told: Option<LoadTold>,
    /// That is too long ago to turn anything.
    pub silent: bool,
    /// Why it sheds, or takes nothing; `None`: neither.
    pub why: Option<Arc<str>>,
}

/// A moment, and how long ago it is by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
struct Past {
    age: Duration,
    mono: Duration,
}

impl Past {
    fn new(at: Timestamp, now: Now) -> Self {
        Self { age: now.wall.since(at), mono: now.mono }
    }

    fn elapsed(self, now: Now) -> Duration {
        self.age + now.mono.saturating_sub(self.mono)
    }
}

#[derive(Clone, Debug)]
struct Known {
    told: LoadTold,
    age: Past,
    turned: Option<Past>,
    /// Nobody has told of late, as the last look found.
    silent: bool,
}

impl Known {
    fn new(told: LoadTold, now: Now) -> Self {
        Self { age: Past::new(told.told_at, now), turned: told.turned_at.map(|at| Past::new(at, now)), told, silent: false }
    }

    fn is_silent(&self, shed: &Shed, now: Now) -> bool {
        shed.max_age < self.age.elapsed(now)
    }

    /// Whether it should shed, by what was told, and how long `hold` puts that off.
    fn wants(&self, shed: &Shed, now: Now) -> (bool, Duration) {
        let sheds = match self.told.sheds {
            sheds if self.is_silent(shed, now) => sheds,
            true => shed.until < self.told.load,
            false => shed.over < self.told.load,
        };
        (sheds, self.turned.map_or(Duration::ZERO, |turned| shed.hold.saturating_sub(turned.elapsed(now))))
    }

    /// What policy sees.
    fn crowded(&self, shed: &Shed, now: Now) -> Option<Crowded> {
        let Shed { over, until, .. } = shed;
        let LoadTold { load, told_at, by, sheds, turned_at } = &self.told;
        let silent = self.is_silent(shed, now);
        let since = turned_at.map(|at| format!("; it sheds since {}", at.whole_seconds())).unwrap_or_default();
        let why = match sheds {
            true if silent => {
                format!("its load was {load} when {by} told last, at {}, and nobody has told since, so it goes on{since}", told_at.whole_seconds())
            }
            true if over < load => format!("its load is {load}, over {over} ({by}){since}"),
            true => format!("its load is {load}, it ends at {until} or less ({by}){since}"),
            false if !silent && over < load => format!("its load is {load}, over {over} ({by})"),
            false => return None,
        };
        Some(Crowded { sheds: *sheds, why: why.into() })
    }
}

/// Of all pools.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// By pool's name; those that the file no longer has are kept.
    known: BTreeMap<Arc<str>, Known>,
    /// Pools that shed, in file order.
    limited: Vec<(PoolId, Shed)>,
    /// What targets told last, and when (`mono`).
    readings: BTreeMap<TargetId, (Load, Duration)>,
    /// Since when (`mono`) these are the targets.
    since: Duration,
    /// What policy sees.
    pub(super) crowded: BTreeMap<PoolId, Crowded>,
    /// When time alone changes something next.
    next: Option<Duration>,
}

impl Loads {
    /// The pools of this estate. Says whose state is another: a pool that declares nothing any more has nothing to go on with, should it declare it again.
    fn set_estate(&mut self, estate: &Estate, now: Now) -> Vec<Arc<str>> {
        self.limited = limited(estate);
        self.readings.clear();
        self.since = now.mono;
        self.crowded.clear();
        self.next = None;
        let bare = |name: &str| estate.pool_named(name).is_some_and(|id| estate.pool(id).shed.is_none());
        let ended = self.known.iter_mut().filter(|(name, known)| known.told.sheds && bare(name));
        ended
            .map(|(name, known)| {
                (known.told.sheds, known.told.turned_at, known.turned) = (false, None, None);
                name.clone()
            })
            .collect()
    }

    pub(super) fn remember(&mut self, pool: Arc<str>, told: LoadTold, now: Now) {
        self.known.insert(pool, Known::new(told, now));
    }

    pub(super) fn forget(&mut self, pool: &str) {
        self.known.remove(pool);
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.next
    }

    /// What is written of these pools.
    pub(super) fn ops(&self, pools: &BTreeSet<Arc<str>>) -> Vec<Op> {
        pools.iter().filter_map(|pool| Some(Op::Put(Key::Load(pool.clone()), Record::Load(self.known.get(pool)?.told.clone())))).collect()
    }

    /// For a successor.
    pub(super) fn legacy(&self) -> Vec<(Arc<str>, LoadTold)> {
        self.known.iter().map(|(pool, known)| (pool.clone(), known.told.clone())).collect()
    }

    /// So much is asked of a pool.
    fn hear(&mut self, pool: &Arc<str>, load: Load, by: Arc<str>, now: Now) {
        let age = Past::new(now.wall, now);
        match self.known.get_mut(pool) {
            Some(known) => {
                (known.told.load, known.told.told_at, known.told.by) = (load, now.wall, by);
                known.age = age;
            }
            None => {
                let told = LoadTold { load, told_at: now.wall, by, sheds: false, turned_at: None };
                self.known.insert(pool.clone(), Known::new(told, now));
            }
        }
    }
}

/// Pools that shed, in file order.
fn limited(estate: &Estate) -> Vec<(PoolId, Shed)> {
    let pools = (0..estate.pools.len()).map(PoolId::at);
    pools.filter_map(|id| Some((id, estate.pool(id).shed?))).collect()
}

impl Core {
    /// Who would shed in another estate.
    pub(super) fn crowded_in(&self, estate: &Estate, now: Now) -> BTreeMap<PoolId, Crowded> {
        let crowded = |(pool, shed): (PoolId, Shed)| {
            let mut known = self.loads.known.get(&estate.pool(pool).name)?.clone();
            if let (sheds, Duration::ZERO) = known.wants(&shed, now) {
                known.told.sheds = sheds;
            }
            Some((pool, known.crowded(&shed, now)?))
        };
        limited(estate).into_iter().filter_map(crowded).collect()
    }

    /// How a pool's load stands; `None`: it declares no limit.
    pub fn pool_load(&self, pool: PoolId) -> Option<PoolLoad> {
        let of = self.configuration.estate.pool(pool);
        let (shed, known) = (of.shed?, self.loads.known.get(&of.name));
        Some(PoolLoad {
            shed,
            told: known.map(|known| known.told.clone()),
            silent: known.is_some_and(|known| known.silent),
            why: self.loads.crowded.get(&pool).map(|crowded| crowded.why.clone()),
        })
    }

    /// Another estate: whose load counts now?
    pub(super) fn take_loads(&mut self, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let ended = self.loads.set_estate(&estate, now);
        self.commits.learned.loads.extend(ended);
        self.review_loads(now, effects);
    }

    /// Somebody tells how much is asked of a pool.
    pub(super) fn load_told(&mut self, ticket: Ticket, push: LoadPush, now: Now, effects: &mut Effects) {
        let LoadPush { actor: Actor(actor), pool, load } = push;
        let estate = self.configuration.estate.clone();
        let fault = |pointer: &str, message: &str, hint: &str| {
            let faults = vec![Fault { pointer: pointer.into(), code: "invalid-value", message: message.into(), hint: hint.into() }];
            Err(Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, message) })
        };
        let checked = match (estate.pool_named(&pool).map(|id| estate.pool(id)), Load::new(load)) {
            (None, _) => {
                let near = did_you_mean(&pool, estate.pools.iter().map(|pool| &*pool.name));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(Refusal::new(RefusalKind::NotFound, format!("there is no pool `{}`{near}", harmless(&pool, 100))))
            }
            (Some(_), None) => {
                fault("/load", "a load is a number from 0 to 1000000000", "in the unit of the pool's `shed`: 85.2 is 85.2 per cent if `over` is")
            }
            (Some(of), Some(_)) if of.shed.is_none() => {
                fault("", "the pool declares no `shed`, so its load means nothing", "add shed = { over = 80, share = 30 } to the pool in the file")
            }
            (Some(of), Some(load)) => Ok((of.name.clone(), load)),
        };
        match checked {
            Err(refusal) => effects.push(Effect::Reply { ticket, reply: Err(refusal) }),
            Ok((pool, load)) => {
                self.loads.hear(&pool, load, actor.into(), now);
                self.commits.learned.loads.insert(pool);
                // Nothing else may be due for long.
                self.commits.learned.alive = true;
                self.review_loads(now, effects);
                self.replies.push((ticket, Applied::nothing(self.revision, now.wall)));
            }
        }
    }

    /// A probe has read how much is asked of its endpoints.
    pub(super) fn load_read(&mut self, target: TargetId, load: Load, now: Now, effects: &mut Effects) {
        let estate = self.configuration.estate.clone();
        let pools: BTreeSet<PoolId> = estate.endpoints_of(target).map(|endpoint| estate.endpoint(endpoint).pool).collect();
        let pools: Vec<PoolId> = pools.into_iter().filter(|pool| estate.pool(*pool).shed.is_some()).collect();
        if pools.is_empty() {
            return;
        }
        self.loads.readings.insert(target, (load, now.mono));
        let monitor = &estate.monitor(estate.target(target).monitor).name;
        for pool in pools {
            if let Some((load, count)) = self.mean_load(pool, now) {
                let of = if count == 1 { String::new() } else { format!(", the mean of {count} endpoints") };
                self.loads.hear(&estate.pool(pool).name, load, format!("monitor {monitor}{of}").into(), now);
            }
        }
        self.review_loads(now, effects);
    }

    /// The mean of what the endpoints tell that would answer, and how many those are; `None`: none does, or not all have told yet that may.
    fn mean_load(&self, pool: PoolId, now: Now) -> Option<(Load, usize)> {
        let (estate, facts) = (&self.configuration.estate, self.facts());
        let serving: BTreeSet<EndpointId> = Family::ALL.into_iter().flat_map(|family| policy::pool_view(&facts, None, pool, family).serving).collect();
        let (mut loads, mut waits) = (Vec::new(), false);
        for target in serving.into_iter().flat_map(|endpoint| estate.targets_of(endpoint)) {
            let monitor = estate.monitor(estate.target(target).monitor);
            if monitor.check.outcomes().is_none_or(|outcomes| outcomes.load_from.is_none()) {
                continue;
            }
            // Whoever tells no more is left out.
            let of_late = 3 * monitor.interval + monitor.timeout;
            match self.loads.readings.get(&target).filter(|(_, at)| now.mono.saturating_sub(*at) <= of_late) {
                Some((load, _)) => loads.push(*load),
                None => waits |= now.mono.saturating_sub(self.loads.since) <= monitor.interval + monitor.timeout,
            }
        }
        Load::mean(&loads).filter(|_| !waits).map(|load| (load, loads.len()))
    }

    /// Something was told, or time has passed: who begins to shed, who ends?
    pub(super) fn review_loads(&mut self, now: Now, effects: &mut Effects) {
        if self.loads.limited.is_empty() && self.loads.crowded.is_empty() {
            return;
        }
        let estate = self.configuration.estate.clone();
        let mut crowded = BTreeMap::new();
        let mut next: Option<Duration> = None;
        for (pool, shed) in self.loads.limited.clone() {
            let of = estate.pool(pool);
            let Some(known) = self.loads.known.get_mut(&of.name) else { continue };
            let (wanted, wait) = known.wants(&shed, now);
            if wanted != known.told.sheds && wait.is_zero() {
                (known.told.sheds, known.told.turned_at, known.turned) = (wanted, Some(now.wall), Some(Past::new(now.wall, now)));
                self.commits.learned.loads.insert(of.name.clone());
                self.commits.learned.alive = true;
                let LoadTold { load, by, .. } = &known.told;
                let text = match wanted {
                    true => format!("pool {} gives away {} % of its answers: its load is {load}, over {} ({by})", of.name, shed.share, shed.over),
                    false => format!("pool {} keeps all its answers again: its load is {load}, {} or less ({by})", of.name, shed.until),
                };
                effects.push(Effect::Tell(self.load_notice(pool, if wanted { "shedding" } else { "shed_ended" }, text)));
            }
            let Some(known) = self.loads.known.get_mut(&of.name) else { continue };
            let silent = known.is_silent(&shed, now);
            if !std::mem::replace(&mut known.silent, silent) && silent && known.told.sheds {
                let (since, share) = (duration_text(shed.max_age), shed.share);
                let text = format!("nobody has told the load of pool {} for {since}: it goes on giving away {share} % of its answers", of.name);
                effects.push(Effect::Tell(self.load_notice(pool, "load_unknown", text)));
            }
            let Some(known) = self.loads.known.get(&of.name) else { continue };
            // The next whole millisecond: at the limit itself it is not yet over.
            let falls_silent = (!silent).then(|| now.mono + (shed.max_age - known.age.elapsed(now)) + Duration::from_millis(1));
            let turns = Some(known.wants(&shed, now)).filter(|(sheds, _)| *sheds != known.told.sheds).map(|(_, wait)| now.mono + wait);
            next = next.into_iter().chain(falls_silent).chain(turns).min();
            crowded.extend(known.crowded(&shed, now).map(|found| (pool, found)));
        }
        self.loads.next = next;
        let before = std::mem::replace(&mut self.loads.crowded, crowded);
        let stands = |of: &BTreeMap<PoolId, Crowded>, pool: &PoolId| of.get(pool).map(|crowded| crowded.sheds);
        let pools: BTreeSet<PoolId> = before.keys().chain(self.loads.crowded.keys()).copied().collect();
        for pool in pools.into_iter().filter(|pool| stands(&before, pool) != stands(&self.loads.crowded, pool)).collect::<Vec<_>>() {
            self.touch_pool(pool, Cause::Health { failing_since: None });
        }
    }

    fn load_notice(&self, pool: PoolId, happened: &'static str, text: String) -> Notice {
        let estate = &self.configuration.estate;
        let of = estate.pool(pool);
        Notice::Load { pool: of.name.clone(), region: estate.region(of.region).name.clone(), happened, text }
    }
}
