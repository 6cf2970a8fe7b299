//! What was measured: network × region → milliseconds, with the order of regions that counts for each network.
//!
//! Ages run on `mono` (SEMANTICS, 28); across a restart the wall clock counts. What is measured again is smoothed, not replaced: whoever measures sums up
//! a window of its own, and several may measure the same. The order moves by [`settled`] alone.
//!
//! Never here: which regions exist now. Those that the file no longer has are kept, and no policy asks for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::client::Measured;
use crate::model::{LatencyRules, Now, Timestamp};

use super::super::legacy::Legacy;
use super::super::record::{Key, Op, Record, Stored};
use super::order::{Micros, settled};

/// What is known counts as so many samples when more come: as many as a measurement without a number of samples, which so moves it half way.
pub const SAMPLES_KNOWN: u32 = 10;
/// Fewer regions than this have no order worth telling.
const ORDERED_MIN: usize = 2;
/// Networks that one review looks at: it must not hold up the core.
const REVIEW_MAX: usize = 5_000;

/// A network's record: regions in the order that counts, with microseconds and when that was measured last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyRecord {
    /// Each region once.
    pub rows: Vec<(Arc<str>, Micros, Timestamp)>,
}

/// What a predecessor knew of a network: regions in the order that counts, microseconds, `mono` in ms.
pub type LatencyLegacy = (String, Vec<(Arc<str>, Micros, i64)>);

/// One region of a network, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredRegion {
    /// Its name.
    pub region: Arc<str>,
    /// Round trip, smoothed.
    pub micros: Micros,
    /// Since it was measured last.
    pub age: Duration,
}

/// What was measured of one region from one network, all of one push together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub micros: Micros,
    pub samples: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// In `Latency::regions`.
    region: u16,
    micros: Micros,
    /// `mono` in ms; before this process began it is less than 0.
    since: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Network {
    /// In the order that counts.
    rows: Vec<Row>,
    /// In `Latency::orders`.
    order: u32,
    /// When its oldest row is known no more.
    ends: i64,
}

/// All of it. Made by [`Latency::take`].
#[derive(Debug, Default)]
pub struct Latency {
    rules: LatencyRules,
    /// Each name once; rows name them by position.
    regions: Vec<Arc<str>>,
    networks: BTreeMap<IpNet, Network>,
    /// The same by [`Network::ends`].
    ends: BTreeSet<(i64, IpNet)>,
    orders: Orders,
    /// Raised by each change of an order.
    state: u64,
    /// When something was measured last.
    newest: Option<i64>,
    /// The last one went by age.
    pub(super) ran_out: bool,
    /// Networks that the store knows otherwise than a predecessor did.
    unwritten: BTreeSet<IpNet>,
}

/// Orders, each once: most networks have the same few.
#[derive(Debug, Default)]
struct Orders {
    /// With how many networks have it; those that nobody has are free.
    known: Vec<(Arc<[u16]>, u32)>,
    ids: HashMap<Arc<[u16]>, u32>,
    free: Vec<u32>,
}

impl Orders {
    fn take(&mut self, order: Vec<u16>) -> u32 {
        if let Some(id) = self.ids.get(&*order).copied() {
            self.count(id, 1);
            return id;
        }
        let order: Arc<[u16]> = order.into();
        let id = self.free.pop().unwrap_or(self.known.len() as u32);
        self.ids.insert(order.clone(), id);
        match self.known.get_mut(id as usize) {
            Some(place) => *place = (order, 1),
            None => self.known.push((order, 1)),
        }
        id
    }

    fn leave(&mut self, id: u32) {
        self.count(id, -1);
        if let Some((order, 0)) = self.known.get(id as usize) {
            self.ids.remove(order);
            self.free.push(id);
        }
    }

    fn count(&mut self, id: u32, by: i32) {
        if let Some((_, users)) = self.known.get_mut(id as usize) {
            *users = users.saturating_add_signed(by);
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// When something of this wall-clock time was, on `mono`.
fn on_mono(at: Timestamp, now: Now) -> i64 {
    millis(now.mono) - millis(now.wall.since(at))
}

impl Latency {
    /// From what the store held, or a predecessor has told; takes its records out of `stored`.
    pub fn take(stored: &mut Vec<Stored>, legacy: Option<&Legacy>, rules: LatencyRules, now: Now) -> Self {
        let mut latency = Self { rules, ..Self::default() };
        let (own, others) = std::mem::take(stored).into_iter().partition(|stored| matches!(stored.key, Key::Latency(_)));
        *stored = others;
        let own: Vec<Stored> = own;
        for Stored { key, record, .. } in own {
            if let (Key::Latency(network), Record::Latency(record)) = (key, record) {
                let rows = record.rows.iter().map(|(region, micros, at)| (region.clone(), *micros, on_mono(*at, now))).collect();
                latency.recall(network, rows, now);
            }
        }
        if let Some(left) = legacy.and_then(|legacy| legacy.latency.as_ref()) {
            latency.inherit(left, now);
        }
        latency
    }

    /// Rows that are known no more are left out.
    fn recall(&mut self, network: IpNet, rows: Vec<(Arc<str>, Micros, i64)>, now: Now) {
        let count = rows.len();
        let rows: Vec<Row> = rows.into_iter().filter_map(|(region, micros, since)| Some(Row { region: self.region(&region)?, micros, since })).collect();
        let known: Vec<Row> = rows.into_iter().filter(|row| self.is_known(row, now)).collect();
        if known.len() < count {
            self.unwritten.insert(network);
        }
        self.newest = known.iter().map(|row| row.since).max().max(self.newest);
        self.set(network, known);
    }

    /// What a predecessor knew goes before what it had written.
    fn inherit(&mut self, left: &[LatencyLegacy], now: Now) {
        let stored: BTreeSet<IpNet> = self.networks.keys().copied().collect();
        let mut kept = BTreeSet::new();
        for (network, rows) in left {
            let Ok(network) = network.parse::<IpNet>() else { continue };
            let before = self.networks.get(&network).map(|known| known.rows.clone()).unwrap_or_default();
            self.recall(network, rows.clone(), now);
            // The wall clock stands between the two by some milliseconds.
            let same = |(one, other): (&Row, &Row)| (one.region, one.micros) == (other.region, other.micros) && one.since.abs_diff(other.since) < 1000;
            let rows = self.networks.get(&network).map(|known| &known.rows[..]).unwrap_or_default();
            if rows.len() != before.len() || !rows.iter().zip(&before).all(same) {
                self.unwritten.insert(network);
            }
            kept.insert(network);
        }
        for network in stored.difference(&kept) {
            self.set(*network, Vec::new());
            self.unwritten.insert(*network);
        }
    }

    /// For a successor.
    pub(in super::super) fn legacy(&self) -> Vec<LatencyLegacy> {
        let rows = |network: &Network| network.rows.iter().filter_map(|row| Some((self.name(row.region)?, row.micros, row.since))).collect();
        self.networks.iter().map(|(prefix, network)| (prefix.to_string(), rows(network))).collect()
    }

    /// Networks that the store knows otherwise; once.
    pub(in super::super) fn take_unwritten(&mut self) -> BTreeSet<IpNet> {
        std::mem::take(&mut self.unwritten)
    }

    /// Other rules from now on. Gives the networks that have no room any more. Orders stay until something is measured.
    pub(in super::super) fn set_rules(&mut self, rules: LatencyRules) -> Vec<IpNet> {
        if rules.max_age != self.rules.max_age {
            self.rules = rules;
            self.ends.clear();
            let max_age = millis(rules.max_age);
            for (prefix, network) in &mut self.networks {
                network.ends = ends(&network.rows, max_age);
                self.ends.insert((network.ends, *prefix));
            }
        }
        self.rules = rules;
        self.make_room()
    }

    pub(super) fn rules(&self) -> &LatencyRules {
        &self.rules
    }

    /// The position of a region's name; `None`: there are too many.
    pub(super) fn region(&mut self, name: &Arc<str>) -> Option<u16> {
        let at = self.regions.iter().position(|known| known == name).unwrap_or_else(|| {
            self.regions.push(name.clone());
            self.regions.len() - 1
        });
        u16::try_from(at).ok()
    }

    fn name(&self, region: u16) -> Option<Arc<str>> {
        self.regions.get(usize::from(region)).cloned()
    }

    fn is_known(&self, row: &Row, now: Now) -> bool {
        millis(now.mono) <= row.since.saturating_add(millis(self.rules.max_age))
    }

    /// Something was measured from a network, at `since` of `mono`. Gives whether the order of its regions changed.
    pub(super) fn measure(&mut self, network: IpNet, sums: &BTreeMap<u16, Sum>, since: i64, now: Now) -> bool {
        let mut rows: Vec<Row> = self.networks.get(&network).map(|known| known.rows.clone()).unwrap_or_default();
        rows.retain(|row| self.is_known(row, now));
        let mut newcomers = Vec::new();
        for (region, sum) in sums {
            match rows.iter_mut().find(|row| row.region == *region) {
                Some(row) => *row = Row { micros: smoothed(row.micros, *sum), since: row.since.max(since), ..*row },
                None => newcomers.push(Row { region: *region, micros: sum.micros, since }),
            }
        }
        // Of those that come together the quickest is first; by name if they are alike, so that nobody's order in the push matters.
        newcomers.sort_by_key(|row| (row.micros, self.name(row.region)));
        rows.extend(newcomers);
        self.newest = self.newest.max(Some(since));
        self.ran_out = false;
        self.set(network, settled(rows, &self.rules, |row| row.micros))
    }

    /// A network's rows are these from now on; none: it is gone. Gives whether its order changed.
    fn set(&mut self, prefix: IpNet, rows: Vec<Row>) -> bool {
        let order: Vec<u16> = rows.iter().map(|row| row.region).collect();
        let worth = |order: &[u16]| ORDERED_MIN <= order.len();
        let before = self.networks.remove(&prefix);
        let mut changed = worth(&order);
        if let Some(before) = &before {
            self.ends.remove(&(before.ends, prefix));
            let known = self.orders.known.get(before.order as usize).map(|(order, _)| order.clone()).unwrap_or_default();
            changed = *known != *order && (worth(&known) || worth(&order));
            self.orders.leave(before.order);
        }
        if !rows.is_empty() {
            let ends = ends(&rows, millis(self.rules.max_age));
            self.ends.insert((ends, prefix));
            let order = self.orders.take(order);
            self.networks.insert(prefix, Network { rows, order, ends });
        }
        self.state += u64::from(changed);
        changed
    }

    /// Networks with the oldest measurements go until all others have room.
    pub(super) fn make_room(&mut self) -> Vec<IpNet> {
        let mut gone = Vec::new();
        while (self.rules.networks_max as usize) < self.networks.len()
            && let Some((_, prefix)) = self.ends.first().copied()
        {
            self.set(prefix, Vec::new());
            gone.push(prefix);
        }
        gone
    }

    /// Forgets what was measured from networks within `within`, of one region or all. Gives the networks that it knows otherwise now.
    pub(super) fn withdraw(&mut self, within: Option<IpNet>, region: Option<&str>) -> Vec<IpNet> {
        let region = region.map(|name| self.regions.iter().position(|known| **known == *name));
        let goes = |row: &Row| region.is_none_or(|region| region == Some(usize::from(row.region)));
        let inside = |prefix: &IpNet| within.is_none_or(|within| within.contains(prefix));
        let touched = self.networks.iter().filter(|(prefix, network)| inside(prefix) && network.rows.iter().any(goes));
        let touched: Vec<(IpNet, Vec<Row>)> =
            touched.map(|(prefix, network)| (*prefix, network.rows.iter().copied().filter(|row| !goes(row)).collect())).collect();
        touched
            .into_iter()
            .map(|(prefix, rows)| {
                self.set(prefix, rows);
                prefix
            })
            .collect()
    }

    /// Forgets what is too old by now, of a bounded number of networks. Gives them.
    pub(super) fn review(&mut self, now: Now) -> Vec<IpNet> {
        let due = |latency: &Self| latency.ends.first().filter(|(ends, _)| *ends <= millis(now.mono)).map(|(_, prefix)| *prefix);
        let mut aged = Vec::new();
        while aged.len() < REVIEW_MAX
            && let Some(prefix) = due(self)
        {
            let rows = self.networks.get(&prefix).map(|network| &network.rows[..]).unwrap_or_default();
            let known = rows.iter().copied().filter(|row| self.is_known(row, now)).collect();
            self.set(prefix, known);
            aged.push(prefix);
        }
        self.ran_out |= !aged.is_empty() && self.networks.is_empty();
        aged
    }

    /// When the next measurement is too old.
    pub(in super::super) fn next_at(&self) -> Option<Duration> {
        self.ends.first().map(|(ends, _)| Duration::from_millis(u64::try_from(*ends).unwrap_or(0)))
    }

    /// What is written of these networks.
    pub(in super::super) fn ops(&self, networks: &BTreeSet<IpNet>, now: Now) -> Vec<Op> {
        let at = |since: i64| Timestamp(now.wall.0.saturating_sub(millis(now.mono).saturating_sub(since)));
        let op = |prefix: &IpNet| match self.networks.get(prefix) {
            Some(network) => {
                let rows = network.rows.iter().filter_map(|row| Some((self.name(row.region)?, row.micros, at(row.since)))).collect();
                Op::Put(Key::Latency(*prefix), Record::Latency(Arc::new(LatencyRecord { rows })))
            }
            None => Op::Delete(Key::Latency(*prefix)),
        };
        networks.iter().map(op).collect()
    }

    /// What classes of clients are made from. Some milliseconds for 100,000 networks.
    pub fn measured(&self) -> Measured {
        let named = |order: &[u16]| order.iter().filter_map(|region| self.name(*region)).collect();
        let networks = self.networks.iter().filter(|(_, network)| ORDERED_MIN <= network.rows.len());
        Measured {
            state: self.state,
            orders: self.orders.known.iter().map(|(order, _)| named(order)).collect(),
            networks: networks.map(|(prefix, network)| (*prefix, network.order)).collect(),
        }
    }

    /// Raised by each change of an order.
    pub(in super::super) fn state(&self) -> u64 {
        self.state
    }

    /// How many networks there are.
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// When the newest and the oldest that count were measured.
    pub fn span(&self, now: Now) -> Option<(Timestamp, Timestamp)> {
        let at = |since: i64| Timestamp(now.wall.0.saturating_sub(millis(now.mono).saturating_sub(since)));
        let (ends, _) = self.ends.first()?;
        Some((at(self.newest?), at(ends.saturating_sub(millis(self.rules.max_age) + 1))))
    }

    /// Networks in their order, within `within` and after `after`; regions in the order that counts.
    pub fn networks(&self, within: Option<IpNet>, now: Now) -> impl Iterator<Item = (IpNet, Vec<MeasuredRegion>)> + '_ {
        let networks = self.networks.iter().filter(move |(prefix, _)| within.is_none_or(|within| within.contains(*prefix)));
        networks.map(move |(prefix, network)| (*prefix, self.shown(network, now)))
    }

    /// Prefixes alone, in their order.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.networks.keys().copied()
    }

    /// What was measured from exactly this network.
    pub fn of(&self, prefix: IpNet, now: Now) -> Option<Vec<MeasuredRegion>> {
        self.networks.get(&prefix).map(|network| self.shown(network, now))
    }

    fn shown(&self, network: &Network, now: Now) -> Vec<MeasuredRegion> {
        let age = |since: i64| Duration::from_millis(u64::try_from(millis(now.mono).saturating_sub(since)).unwrap_or(0));
        network.rows.iter().filter_map(|row| Some(MeasuredRegion { region: self.name(row.region)?, micros: row.micros, age: age(row.since) })).collect()
    }

    /// The most specific network around a client that orders two of these regions, and what was measured of them.
    pub fn around(&self, client: IpAddr, regions: &BTreeSet<Arc<str>>, now: Now) -> Option<(IpNet, Vec<MeasuredRegion>)> {
        let client = client.to_canonical();
        let longest = if client.is_ipv4() { super::IPV4_BITS } else { super::IPV6_BITS };
        (0..=longest).rev().find_map(|length| {
            let prefix = IpNet::new(client, length).ok()?.trunc();
            let mut shown = self.of(prefix, now)?;
            shown.retain(|measured| regions.contains(&measured.region));
            (ORDERED_MIN <= shown.len()).then_some((prefix, shown))
        })
    }
}

/// At this moment the oldest row is too old: at the limit itself it is not yet.
fn ends(rows: &[Row], max_age: i64) -> i64 {
    rows.iter().map(|row| row.since).min().unwrap_or_default().saturating_add(max_age).saturating_add(1)
}

/// From what is known towards what was measured, by how many samples each stands for.
fn smoothed(known: Micros, Sum { micros, samples }: Sum) -> Micros {
    let (old, new) = (u64::from(SAMPLES_KNOWN), u64::from(samples));
    let mixed = (u64::from(known) * old + u64::from(micros) * new) / (old + new).max(1);
    u32::try_from(mixed).unwrap_or(known)
}
