//! `[guards]`, `[gate.NAME]`, `[[freeze]]`: rules that a change of traffic must keep. Definition only; `control::guards` weighs changes.
//!
//! Not to be confused with [`GuardRules`](super::GuardRules), which guard against this node's own mistakes: these here bind people, and what acts for them.
//!
//! Each key by itself: what `[region.NAME.guards]` says counts for what the change does to that region, else `[service.NAME.guards]`, else `[guards]`,
//! else the default.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Timestamp;

/// One minute of a [`Timestamp`].
const MINUTE: i64 = 60_000;
/// Minutes of a week.
pub const WEEK: u32 = 7 * 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A kind of guard. Closed list: it is a metric's label, a key of the file and a word of `--break-glass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuardKind {
    /// Regions that can answer for a service.
    MinServingRegions,
    /// Per cent points that one region's share moves at once.
    MaxStep,
    /// No traffic into what is not up.
    HealthyTargets,
    /// No region gets more than it declares to carry.
    Capacity,
    /// Every change says why.
    RequireReason,
    /// Changes per hour.
    Rate,
    /// A named switch is on.
    Gate,
    /// No changes within these hours.
    Freeze,
}

impl GuardKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [GuardKind; 8] =
        [Self::MinServingRegions, Self::MaxStep, Self::HealthyTargets, Self::Capacity, Self::RequireReason, Self::Rate, Self::Gate, Self::Freeze];

    /// The word in file, API, CLI and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::MinServingRegions => "min_serving_regions",
            Self::MaxStep => "max_step",
            Self::HealthyTargets => "healthy_targets",
            Self::Capacity => "capacity",
            Self::RequireReason => "require_reason",
            Self::Rate => "rate",
            Self::Gate => "gate",
            Self::Freeze => "freeze",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Keys of one `guards` table; `None`: it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardKeys {
    /// Regions that must be able to answer after a change; 0: off.
    pub min_serving_regions: Option<u32>,
    /// Per cent points, 1 to 100.
    pub max_step: Option<u32>,
    /// No traffic into what is not up.
    pub healthy_targets: Option<bool>,
    /// What regions declare counts.
    pub capacity: Option<bool>,
    /// Every change says why.
    pub require_reason: Option<bool>,
    /// Changes per hour.
    pub rate: Option<u32>,
    /// Gates that must be on.
    pub gates: Option<Vec<Arc<str>>>,
}

/// Where a key's value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// `[guards]`
    Global,
    /// `[service.NAME.guards]`
    Service,
    /// `[region.NAME.guards]`
    Region,
}

/// What a region can carry, in per cent of a service's peak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// For services that are not named.
    pub all: Option<u32>,
    /// By service.
    pub by_service: BTreeMap<Arc<str>, u32>,
}

impl Capacity {
    /// Of one service; `None`: nothing is declared.
    pub fn of(&self, service: &str) -> Option<u32> {
        self.by_service.get(service).copied().or(self.all)
    }
}

/// `[gate.NAME]`: a switch. Whether it is on stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for; may be empty.
    pub about: Arc<str>,
}

/// Kinds of change that a freeze may still allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// `split`, `PUT traffic`
    Split,
    /// `failover`
    Failover,
    /// `failback`, also the automatic one
    Failback,
    /// `undo`
    Undo,
    /// `drain`, `undrain`
    Drain,
    /// `force-up`, `force-down`, `unforce`
    Force,
    /// `unfreeze`
    Freeze,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [ChangeKind; 7] = [Self::Split, Self::Failover, Self::Failback, Self::Undo, Self::Drain, Self::Force, Self::Freeze];

    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Failover => "failover",
            Self::Failback => "failback",
            Self::Undo => "undo",
            Self::Drain => "drain",
            Self::Force => "force",
            Self::Freeze => "freeze",
        }
    }

    /// The other way.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// When a freeze is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeTime {
    /// Once, from (inclusive) to (exclusive).
    Once(Timestamp, Timestamp),
    /// Every week, minutes since Monday 00:00 UTC; may go round the end of the week.
    Weekly(u32, u32),
}

/// `[[freeze]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeWindow {
    /// When.
    pub time: FreezeTime,
    /// Only these services; empty: all.
    pub services: Vec<Arc<str>>,
    /// What is allowed all the same.
    pub allow: Vec<ChangeKind>,
    /// What it is for; may be empty.
    pub about: Arc<str>,
}

impl FreezeWindow {
    /// In force at this moment? Then until when.
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        match self.time {
            FreezeTime::Once(from, to) => (from <= at && at < to).then_some(to),
            FreezeTime::Weekly(from, to) => {
                let minute = minute_of_week(at);
                let length = (to + WEEK - from) % WEEK;
                let since = (minute + WEEK - from) % WEEK;
                (since < length).then(|| Timestamp((at.0.div_euclid(MINUTE) + i64::from(length - since)) * MINUTE))
            }
        }
    }

    /// Does it bind this service?
    pub fn binds(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|name| **name == *service)
    }
}

/// `2026-12-20T00:00:00Z to 2027-01-02T00:00:00Z`, `every fri 16:00 to mon 06:00 UTC`.
impl std::fmt::Display for FreezeTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Once(from, to) => write!(f, "{} to {}", from.whole_seconds(), to.whole_seconds()),
            Self::Weekly(from, to) => {
                let moment = |minute: u32| {
                    let day = DAYS.get((minute / 1440) as usize % 7).copied().unwrap_or_default();
                    format!("{day} {:02}:{:02}", minute / 60 % 24, minute % 60)
                };
                write!(f, "every {} to {} UTC", moment(from), moment(to))
            }
        }
    }
}

/// Minutes since Monday 00:00 UTC. The epoch was a Thursday.
fn minute_of_week(at: Timestamp) -> u32 {
    let minutes = at.0.div_euclid(MINUTE) + 3 * 24 * 60;
    u32::try_from(minutes.rem_euclid(i64::from(WEEK))).unwrap_or(0)
}

/// `fri 16:00`, in minutes since Monday 00:00.
pub fn parse_week_moment(text: &str) -> Option<u32> {
    let (day, time) = text.trim().split_once(' ')?;
    let day = DAYS.iter().position(|known| day.to_ascii_lowercase().starts_with(known))?;
    let (hour, minute) = time.trim().split_once(':')?;
    let number = |text: &str, below: u32| text.parse().ok().filter(|number: &u32| *number < below && text.len() == 2);
    Some(u32::try_from(day).ok()? * 1440 + number(hour, 24)? * 60 + number(minute, 60)?)
}

/// All rules of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeRules {
    /// `[guards]`
    pub global: GuardKeys,
    /// `[service.NAME.guards]`, by service.
    pub services: BTreeMap<Arc<str>, GuardKeys>,
    /// `[region.NAME.guards]`, by region.
    pub regions: BTreeMap<Arc<str>, GuardKeys>,
    /// What regions declare to carry, by region.
    pub capacity: BTreeMap<Arc<str>, Capacity>,
    /// `[gate.NAME]`, in file order.
    pub gates: Vec<Gate>,
    /// `[[freeze]]`, in file order.
    pub freezes: Vec<FreezeWindow>,
    /// Breaking the glass needs a second person.
    pub break_glass_confirm: bool,
}

impl ChangeRules {
    /// A key's value for a service, or for what a change of it does to one region, and where that stands.
    pub fn value<T>(&self, service: &str, region: Option<&str>, key: impl Fn(&GuardKeys) -> Option<T>, default: T) -> (T, Origin) {
        let of_region = region.and_then(|region| self.regions.get(region)).and_then(&key).map(|value| (value, Origin::Region));
        let of_service = || self.services.get(service).and_then(&key).map(|value| (value, Origin::Service));
        let global = || key(&self.global).map(|value| (value, Origin::Global));
        of_region.or_else(of_service).or_else(global).unwrap_or((default, Origin::Default))
    }

    /// 1 unless told otherwise: nobody takes the last region away by accident.
    pub fn min_serving_regions(&self, service: &str) -> (u32, Origin) {
        self.value(service, None, |keys| keys.min_serving_regions, 1)
    }

    /// `None`: as much as one likes.
    pub fn max_step(&self, service: &str, region: Option<&str>) -> (Option<u32>, Origin) {
        self.value(service, region, |keys| keys.max_step.map(Some), None)
    }

    /// On unless told otherwise.
    pub fn healthy_targets(&self, service: &str, region: Option<&str>) -> (bool, Origin) {
        self.value(service, region, |keys| keys.healthy_targets, true)
    }

    /// What a region may carry of a service; `None`: it declares nothing, or the guard is off. On unless told otherwise.
    pub fn capacity(&self, service: &str, region: &str) -> (Option<u32>, Origin) {
        let (on, origin) = self.value(service, Some(region), |keys| keys.capacity, true);
        (self.capacity.get(region).filter(|_| on).and_then(|capacity| capacity.of(service)), origin)
    }

    /// Off unless told otherwise.
    pub fn require_reason(&self, service: &str, region: Option<&str>) -> (bool, Origin) {
        self.value(service, region, |keys| keys.require_reason, false)
    }

    /// Changes per hour; `None`: as many as one likes.
    pub fn rate(&self, service: &str) -> (Option<u32>, Origin) {
        self.value(service, None, |keys| keys.rate.map(Some), None)
    }

    /// Gates that must be on; none unless told otherwise.
    pub fn gates_of(&self, service: &str, region: Option<&str>) -> (Vec<Arc<str>>, Origin) {
        self.value(service, region, |keys| keys.gates.clone(), Vec::new())
    }

    /// Other rules may hold for this service than for the rest.
    pub fn names(&self, service: &str) -> bool {
        self.services.contains_key(service)
            || self.rate(service).0.is_some()
            || self.capacity.values().any(|capacity| capacity.by_service.contains_key(service))
            || self.freezes.iter().any(|window| !window.services.is_empty() && window.binds(service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let since = humantime::parse_rfc3339(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(since.as_millis() as i64)
    }

    fn window(from: &str, to: &str) -> FreezeWindow {
        let time = FreezeTime::Weekly(parse_week_moment(from).unwrap(), parse_week_moment(to).unwrap());
        FreezeWindow { time, services: Vec::new(), allow: Vec::new(), about: "".into() }
    }

    #[test]
    fn a_weekly_window_goes_round_the_end_of_the_week() {
        let weekend = window("fri 16:00", "mon 06:00");
        // 2026-11-20 is a Friday.
        for (now, until) in [
            ("2026-11-20T15:59:59Z", None),
            ("2026-11-20T16:00:00Z", Some("2026-11-23T06:00:00Z")),
            ("2026-11-22T23:59:59Z", Some("2026-11-23T06:00:00Z")),
            ("2026-11-23T05:59:59Z", Some("2026-11-23T06:00:00Z")),
            ("2026-11-23T06:00:00Z", None),
        ] {
            assert_eq!(weekend.until(at(now)), until.map(at), "{now}");
        }
        let night = window("tue 22:00", "tue 23:30");
        assert_eq!(night.until(at("2026-11-24T22:30:10Z")), Some(at("2026-11-24T23:30:00Z")));
        assert_eq!(night.until(at("2026-11-25T22:30:00Z")), None);
        assert_eq!(night.time.to_string(), "every tue 22:00 to tue 23:30 UTC");
    }

    #[test]
    fn moments_of_a_week_are_a_day_and_a_time() {
        for (text, minute) in [("mon 00:00", Some(0)), ("Sunday 23:59", Some(WEEK - 1)), ("fri 16:00", Some(4 * 1440 + 960))] {
            assert_eq!(parse_week_moment(text), minute, "{text}");
        }
        for text in ["", "fri", "fri 24:00", "fri 1:00", "xyz 10:00", "fri 10:60"] {
            assert_eq!(parse_week_moment(text), None, "{text}");
        }
    }

    #[test]
    fn the_most_specific_table_that_has_the_key_counts() {
        let mut rules = ChangeRules::default();
        assert_eq!(rules.max_step("orders", Some("eu")), (None, Origin::Default));
        rules.global.max_step = Some(50);
        rules.global.require_reason = Some(true);
        rules.services.insert("orders".into(), GuardKeys { max_step: Some(20), ..GuardKeys::default() });
        rules.regions.insert("eu".into(), GuardKeys { max_step: Some(10), ..GuardKeys::default() });
        assert_eq!(rules.max_step("search", None), (Some(50), Origin::Global));
        assert_eq!(rules.max_step("orders", None), (Some(20), Origin::Service));
        assert_eq!(rules.max_step("orders", Some("us")), (Some(20), Origin::Service));
        assert_eq!(rules.max_step("orders", Some("eu")), (Some(10), Origin::Region));
        assert_eq!(rules.require_reason("orders", Some("eu")), (true, Origin::Global), "each key by itself");
    }

    #[test]
    fn words_read_back() {
        GuardKind::ALL.into_iter().for_each(|kind| assert_eq!(GuardKind::parse(kind.word()), Some(kind)));
        ChangeKind::ALL.into_iter().for_each(|kind| assert_eq!(ChangeKind::parse(kind.word()), Some(kind)));
    }
}
