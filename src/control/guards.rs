//! Guards: what a change must keep, weighed before it is made. One function for people, and for everything that acts for them.
//!
//! Pure: [`check`] looks at what a change would do to one service, by region, and says of every guard that is on whether it holds. Who asked, what is
//! refused and what is overridden is `plan_guards`' business. Health-driven failover is never weighed: rules S26 and S27 guard that.
//!
//! | guard               | people                       | automatic failback | does not hold when                                              |
//! |---------------------|------------------------------|--------------------|-----------------------------------------------------------------|
//! | min_serving_regions | all                          | yes                | fewer regions can answer than the limit, and fewer than before  |
//! | max_step            | all                          | –                  | a region's share moves by more points                           |
//! | healthy_targets     | all but force_up             | yes                | a pool gains that is not up, or drained                         |
//! | capacity            | all                          | yes                | a region gains, and then has more than it declares to carry     |
//! | require_reason      | all                          | –                  | no reason is given                                              |
//! | rate                | all but extend               | –                  | the service was changed that often in the last hour             |
//! | gate                | all but freeze and extend    | yes                | the gate is off                                                 |
//! | freeze              | all but freeze and extend    | yes                | a window is in force that does not allow this kind of change    |

use std::sync::Arc;
use std::time::Duration;

use crate::model::{ChangeKind, ChangeRules, GuardKind, Timestamp};

/// `rate` looks back on this.
pub const RATE_WINDOW: Duration = Duration::from_secs(3600);
/// Shares that differ by less are the same: per cent points.
const SAME: f64 = 0.01;
/// Broken findings of one guard that are told one by one.
const TOLD_MAX: usize = 8;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// `split`, `PUT traffic`
    Split,
    /// `failover`
    Failover,
    /// `failback`; the automatic one, too
    Failback,
    /// `undo`
    Undo,
    /// `drain`
    Drain,
    /// `undrain`
    Undrain,
    /// `force-up`
    ForceUp,
    /// `force-down`
    ForceDown,
    /// `unforce`
    Unforce,
    /// `freeze`: keeps things as they are
    Freeze,
    /// `unfreeze`
    Unfreeze,
    /// `approve`
    Approve,
    /// `unapprove`
    Unapprove,
    /// `extend`: keeps things as they are
    Extend,
    /// A step of a shift
    Shift,
    /// A shift is aborted: always wins
    Abort,
    /// Another file
    Reload,
}

impl Act {
    /// All of them.
    pub const ALL: [Act; 17] = [
        Act::Split,
        Act::Failover,
        Act::Failback,
        Act::Undo,
        Act::Drain,
        Act::Undrain,
        Act::ForceUp,
        Act::ForceDown,
        Act::Unforce,
        Act::Freeze,
        Act::Unfreeze,
        Act::Approve,
        Act::Unapprove,
        Act::Extend,
        Act::Shift,
        Act::Abort,
        Act::Reload,
    ];

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Act::Split => "split",
            Act::Failover => "failover",
            Act::Failback => "failback",
            Act::Undo => "undo",
            Act::Drain => "drain",
            Act::Undrain => "undrain",
            Act::ForceUp => "force_up",
            Act::ForceDown => "force_down",
            Act::Unforce => "unforce",
            Act::Freeze => "freeze",
            Act::Unfreeze => "unfreeze",
            Act::Approve => "approve",
            Act::Unapprove => "unapprove",
            Act::Extend => "extend",
            Act::Shift => "shift",
            Act::Abort => "abort",
            Act::Reload => "reload",
        }
    }

    fn kind(self) -> ChangeKind {
        match self {
            Act::Split | Act::Shift | Act::Abort | Act::Reload => ChangeKind::Split,
            Act::Failover => ChangeKind::Failover,
            Act::Failback => ChangeKind::Failback,
            Act::Undo => ChangeKind::Undo,
            Act::Drain | Act::Undrain => ChangeKind::Drain,
            Act::ForceUp | Act::ForceDown | Act::Unforce | Act::Approve | Act::Unapprove => ChangeKind::Force,
            Act::Freeze | Act::Unfreeze | Act::Extend => ChangeKind::Freeze,
        }
    }

    /// It only keeps things as they are.
    pub fn keeps(self) -> bool {
        matches!(self, Act::Freeze | Act::Extend)
    }

    /// It asks for the same shares as before.
    fn overrides(self) -> bool {
        !matches!(self, Act::Split | Act::Failover | Act::Failback | Act::Undo | Act::Shift | Act::Abort | Act::Reload)
    }

    /// Does this guard look at it?
    pub fn is_bound_by(self, guard: GuardKind, automatic: bool) -> bool {
        // The way out of a shift that goes wrong is never closed.
        if self == Act::Abort {
            return false;
        }
        match guard {
            GuardKind::MinServingRegions | GuardKind::Capacity => true,
            GuardKind::HealthyTargets => self != Act::ForceUp,
            GuardKind::MaxStep => !automatic,
            // A file says why in its own history.
            GuardKind::RequireReason => !automatic && self != Act::Reload,
            GuardKind::Rate => !automatic && !matches!(self, Act::Extend | Act::Reload),
            GuardKind::Gate | GuardKind::Freeze => !self.keeps(),
        }
    }
}

/// A region of one service, before and after. Shares are per cent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionChange {
    /// Its name.
    pub name: Arc<str>,
    /// Share of answers before.
    pub before: f64,
    /// Share of answers after.
    pub after: f64,
    /// Share that is asked for before, if everything were up.
    pub desired_before: f64,
    /// Share that is asked for after.
    pub desired_after: f64,
    /// It can answer before: some pool of the policy is up there, and not drained.
    pub could: bool,
    /// It can answer after.
    pub can: bool,
    /// Pools there that gain, and are not up or are drained: one sentence each.
    pub unfit: Vec<String>,
    /// What brings it back, if an operator took it away: `windrose undrain region eu`.
    pub back: Option<String>,
}

impl RegionChange {
    fn step(&self) -> f64 {
        (self.after - self.before).abs()
    }

    fn gains(&self) -> bool {
        self.before + SAME < self.after || self.desired_before + SAME < self.desired_after
    }

    /// The change is about it.
    pub(super) fn is_touched(&self) -> bool {
        SAME < self.step() || SAME < (self.desired_after - self.desired_before).abs() || self.could != self.can
    }
}

/// What a change would do to one service, and what guards need to know beside.
pub struct Proposal<'a> {
    /// Which service.
    pub service: &'a str,
    /// What is done.
    pub act: Act,
    /// Nobody asked: a hold ends by its time.
    pub automatic: bool,
    /// Why; empty: nobody says.
    pub reason: &'a str,
    /// Every region of the policies before and after.
    pub regions: &'a [RegionChange],
    /// For freeze windows.
    pub now: Timestamp,
    /// Changes of this service in the last hour, this one not counted.
    pub recent: u32,
    /// When the oldest of them is an hour old.
    pub rate_free_at: Option<Timestamp>,
    /// Is this gate on?
    pub gate_is_on: &'a dyn Fn(&str) -> bool,
    /// A command that goes as far as this fraction of the way (0 to 1), if there is one.
    pub partly: &'a dyn Fn(f64) -> Option<String>,
}

/// What one guard says to a change.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardFinding {
    /// Which.
    pub guard: GuardKind,
    /// It holds.
    pub ok: bool,
    /// It does not, and the change is made all the same (`--break-glass`).
    pub overridden: bool,
    /// What would be; `None`: the guard has no number.
    pub value: Option<f64>,
    /// What may be.
    pub limit: Option<f64>,
    /// The services that it is about.
    pub services: Vec<Arc<str>>,
    /// One sentence; empty if it holds.
    pub message: String,
    /// What to do next, exactly; empty if it holds.
    pub way_on: String,
}

impl GuardFinding {
    fn holds(guard: GuardKind, value: Option<f64>, limit: Option<f64>) -> Self {
        Self { guard, ok: true, overridden: false, value, limit, services: Vec::new(), message: String::new(), way_on: String::new() }
    }

    fn broken(guard: GuardKind, message: String, way_on: String) -> Self {
        Self { ok: false, message, way_on, ..Self::holds(guard, None, None) }
    }
}

/// Every guard that is on and looks at this change: those that hold, and all that don't.
pub fn check(rules: &ChangeRules, proposal: &Proposal<'_>) -> Vec<GuardFinding> {
    let bound = |guard| proposal.act.is_bound_by(guard, proposal.automatic);
    let mut findings = Vec::new();
    for guard in GuardKind::ALL.into_iter().filter(|guard| bound(*guard)) {
        match guard {
            GuardKind::MinServingRegions => findings.extend(serving_regions(rules, proposal)),
            GuardKind::MaxStep => findings.extend(step(rules, proposal)),
            GuardKind::HealthyTargets => findings.extend(targets(rules, proposal)),
            GuardKind::Capacity => findings.extend(capacity(rules, proposal)),
            GuardKind::RequireReason => findings.extend(reason(rules, proposal)),
            GuardKind::Rate => findings.extend(rate(rules, proposal)),
            GuardKind::Gate => findings.extend(gates(rules, proposal)),
            GuardKind::Freeze => findings.extend(freezes(rules, proposal)),
        }
    }
    findings
}

/// `or --break-glass NAME`
fn or_break(guard: GuardKind) -> String {
    format!(", or --break-glass {}", guard.word())
}

fn serving_regions(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::MinServingRegions;
    let (limit, _) = rules.min_serving_regions(proposal.service);
    if limit == 0 {
        return None;
    }
    let before = proposal.regions.iter().filter(|region| region.could).count();
    let after = proposal.regions.iter().filter(|region| region.can).count();
    let numbers = GuardFinding::holds(guard, Some(after as f64), Some(f64::from(limit)));
    // What makes nothing worse is never refused: it may be the way out.
    if limit as usize <= after || before <= after {
        return Some(numbers);
    }
    let lost: Vec<&str> = proposal.regions.iter().filter(|region| region.could && !region.can).map(|region| &*region.name).collect();
    let could = if after == 1 { "1 region could answer".to_string() } else { format!("{after} regions could answer") };
    let message = format!("without {} {could}, at least {limit} must", lost.join(" and "));
    let back = proposal.regions.iter().filter(|region| !region.can && !region.could).find_map(|region| region.back.clone());
    let first = back.unwrap_or_else(|| "wait until another region is up: windrose get regions".to_string());
    Some(GuardFinding { ok: false, message, way_on: format!("{first}{}", or_break(guard)), ..numbers })
}

fn step(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::MaxStep;
    let limited = proposal.regions.iter().filter_map(|region| {
        let (limit, _) = rules.max_step(proposal.service, Some(&region.name));
        Some((region, f64::from(limit?)))
    });
    // The one that goes furthest beyond its limit.
    let (region, limit) = limited.max_by(|a, b| (a.0.step() - a.1).total_cmp(&(b.0.step() - b.1)))?;
    let numbers = GuardFinding::holds(guard, Some(tidy(region.step())), Some(limit));
    if region.step() <= limit + SAME {
        return Some(numbers);
    }
    let message = format!("{} moves by {} points at once, the limit is {limit}", region.name, tidy(region.step()));
    let first = (proposal.partly)(limit / region.step()).unwrap_or_else(|| format!("go there in steps of {limit} points"));
    Some(GuardFinding { ok: false, message, way_on: format!("{first}{}", or_break(guard)), ..numbers })
}

fn targets(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::HealthyTargets;
    let on = |region: &&RegionChange| rules.healthy_targets(proposal.service, Some(&region.name)).0;
    if !proposal.regions.iter().any(|region| on(&region)) {
        return None;
    }
    // An override that leaves nobody lets the rungs below answer: that is `min_serving_regions`' business alone.
    if proposal.act.overrides() && !proposal.regions.iter().any(|region| region.can) {
        return Some(GuardFinding::holds(guard, None, None));
    }
    let unfit: Vec<&RegionChange> = proposal.regions.iter().filter(on).filter(|region| !region.unfit.is_empty()).collect();
    if unfit.is_empty() {
        return Some(GuardFinding::holds(guard, None, None));
    }
    let sentences: Vec<&str> = unfit.iter().flat_map(|region| &region.unfit).map(String::as_str).collect();
    let back = unfit.iter().find_map(|region| region.back.clone());
    let first = back.unwrap_or_else(|| unfit.first().map(|region| format!("wait for it: windrose describe region {}", region.name)).unwrap_or_default());
    Some(GuardFinding::broken(guard, sentences.join("; "), format!("{first}{}", or_break(guard))))
}

fn capacity(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::Capacity;
    let mut worst: Option<(&RegionChange, f64, f64)> = None;
    for region in proposal.regions.iter().filter(|region| region.gains()) {
        let Some(limit) = rules.capacity(proposal.service, &region.name).0.map(f64::from) else { continue };
        // What stands in the policy counts, too: it comes when everything is up.
        let raised = if region.desired_before + SAME < region.desired_after { region.desired_after } else { 0.0 };
        let share = if region.before + SAME < region.after { region.after.max(raised) } else { raised };
        if worst.is_none_or(|(_, worst, of)| worst - of < share - limit) {
            worst = Some((region, share, limit));
        }
    }
    let (region, share, limit) = worst?;
    let numbers = GuardFinding::holds(guard, Some(tidy(share)), Some(limit));
    if share <= limit + SAME {
        return Some(numbers);
    }
    let message = format!("{} would get {} % of the answers, and can carry {limit} %", region.name, tidy(share));
    let before = if region.before + SAME < region.after { region.before } else { region.desired_before };
    let fraction = (limit - before) / (share - before);
    let first = (proposal.partly)(fraction).filter(|_| 0.0 < fraction).unwrap_or_else(|| format!("give {} at most {limit} %", region.name));
    Some(GuardFinding { ok: false, message, way_on: format!("{first}{}", or_break(guard)), ..numbers })
}

fn reason(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::RequireReason;
    let needed = places(proposal).into_iter().any(|region| rules.require_reason(proposal.service, region).0);
    needed.then(|| match proposal.reason.trim() {
        "" => GuardFinding::broken(guard, "no reason is given".to_string(), "--reason \"…\"".to_string()),
        _ => GuardFinding::holds(guard, None, None),
    })
}

fn rate(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::Rate;
    let limit = rules.rate(proposal.service).0?;
    let numbers = GuardFinding::holds(guard, Some(f64::from(proposal.recent) + 1.0), Some(f64::from(limit)));
    if proposal.recent < limit {
        return Some(numbers);
    }
    let again = proposal.rate_free_at.map(|at| format!("wait until {}", at.whole_seconds())).unwrap_or("wait".to_string());
    let message = format!("this is change {} of {} within an hour, the limit is {limit}", proposal.recent.saturating_add(1), proposal.service);
    Some(GuardFinding { ok: false, message, way_on: format!("{again}{}", or_break(guard)), ..numbers })
}

fn gates(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::Gate;
    let mut needed: Vec<Arc<str>> = places(proposal).into_iter().flat_map(|region| rules.gates_of(proposal.service, region).0).collect();
    needed.sort_unstable();
    needed.dedup();
    if needed.is_empty() {
        return None;
    }
    let off: Vec<&str> = needed.iter().map(|gate| &**gate).filter(|gate| !(proposal.gate_is_on)(gate)).collect();
    let Some(first) = off.first() else { return Some(GuardFinding::holds(guard, None, None)) };
    let message = if off.len() == 1 { format!("gate {first} is off") } else { format!("gates {} are off", off.join(" and ")) };
    Some(GuardFinding::broken(guard, message, format!("windrose gate on {first} --reason \"…\"{}", or_break(guard))))
}

fn freezes(rules: &ChangeRules, proposal: &Proposal<'_>) -> Option<GuardFinding> {
    let guard = GuardKind::Freeze;
    let windows = || rules.freezes.iter().filter(|window| window.binds(proposal.service));
    windows().next()?;
    let in_force = windows().filter(|window| !window.allow.contains(&proposal.act.kind()));
    let Some((window, until)) = in_force.filter_map(|window| Some((window, window.until(proposal.now)?))).max_by_key(|(_, until)| *until) else {
        return Some(GuardFinding::holds(guard, None, None));
    };
    let allowed = match window.allow.as_slice() {
        [] => "nothing is allowed".to_string(),
        some => format!("only {} is allowed", some.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")),
    };
    let about = if window.about.is_empty() { String::new() } else { format!(" ({})", window.about) };
    let message = format!("frozen until {}{about}, {allowed}", until.whole_seconds());
    Some(GuardFinding::broken(guard, message, format!("wait until {}{}", until.whole_seconds(), or_break(guard))))
}

/// The regions that the change is about; if it is about none, the service as such.
fn places<'a>(proposal: &'a Proposal<'_>) -> Vec<Option<&'a str>> {
    let touched: Vec<Option<&str>> = proposal.regions.iter().filter(|region| region.is_touched()).map(|region| Some(&*region.name)).collect();
    if touched.is_empty() { vec![None] } else { touched }
}

/// Per cent with two decimals at most.
fn tidy(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}

/// Where a guard stands in lists.
pub(super) fn place(guard: GuardKind) -> Option<usize> {
    GuardKind::ALL.into_iter().position(|known| known == guard)
}

/// What it says depends on who asks.
pub(super) fn is_about_shares(guard: GuardKind) -> bool {
    matches!(guard, GuardKind::MinServingRegions | GuardKind::MaxStep | GuardKind::HealthyTargets | GuardKind::Capacity)
}

/// How far a number is within its limit; less than 0: beyond it.
fn margin(finding: &GuardFinding) -> f64 {
    match (finding.value, finding.limit, finding.guard) {
        (Some(value), Some(limit), GuardKind::MinServingRegions) => value - limit,
        (Some(value), Some(limit), _) => limit - value,
        _ => 0.0,
    }
}

/// Of two findings of one guard: it holds less.
pub(super) fn is_worse(one: &GuardFinding, than: &GuardFinding) -> bool {
    (one.ok, margin(one)) < (than.ok, margin(than))
}

/// Findings of many services as one list: each guard that holds for all once, with the number nearest to its limit; all that don't, alike ones together.
pub fn merge(found: Vec<(Vec<GuardFinding>, Vec<Arc<str>>)>) -> Vec<GuardFinding> {
    let many = 1 < found.iter().map(|(_, services)| services.len()).sum::<usize>();
    let mut merged: Vec<GuardFinding> = Vec::new();
    for guard in GuardKind::ALL {
        let of_guard =
            || found.iter().flat_map(|(findings, services)| findings.iter().filter(|finding| finding.guard == guard).map(move |one| (one, services)));
        let mut broken: Vec<GuardFinding> = Vec::new();
        for (finding, services) in of_guard().filter(|(finding, _)| !finding.ok) {
            match broken.iter_mut().find(|known| (&known.message, &known.way_on) == (&finding.message, &finding.way_on)) {
                Some(known) => known.services.extend(services.iter().cloned()),
                None => broken.push(GuardFinding { services: services.clone(), ..finding.clone() }),
            }
        }
        let more: usize = broken.iter().skip(TOLD_MAX).map(|finding| finding.services.len()).sum();
        broken.truncate(TOLD_MAX);
        for finding in &mut broken {
            if many {
                finding.message = format!("{}: {}", few(&finding.services), finding.message);
            }
        }
        if let Some(last) = broken.last_mut().filter(|_| 0 < more) {
            last.message = format!("{} (and {more} more services)", last.message);
        }
        if broken.is_empty() {
            merged.extend(of_guard().map(|(finding, _)| finding).min_by(|a, b| margin(a).total_cmp(&margin(b))).cloned());
        }
        merged.append(&mut broken);
    }
    merged
}

/// `orders, search and 3 more`
fn few(services: &[Arc<str>]) -> String {
    const SHOWN: usize = 3;
    let shown = services.iter().take(SHOWN).map(|name| &**name).collect::<Vec<_>>().join(", ");
    match services.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
