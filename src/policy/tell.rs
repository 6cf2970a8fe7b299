//! A decision's steps as sentences, for `explain`. Texts are made only if somebody listens: [`decide`](super::decide) pays for none.
//!
//! Never here: deciding. Everything that is told was found by the other files.

use crate::health::{MemberHealth, Outcome, State};
use crate::model::{AllDown, Choice, EndpointId, Estate, Failback, Family, Node, Now, PoolId, Service, Share, ShedBy, Watch, duration_text};

use super::effective::Effective;
use super::hold::Holds;
use super::hosts;
use super::ladder::Given;
use super::pool::{Judged, Pools};
use super::requires;
use super::view::node_name;
use super::{Decision, FamilyDecision, Leaf, OverrideKind, Rung, Verdict};

/// One step of a decision, for explain: a heading such as `pools`, `policy`, `rung`, and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at: `pool`, `hold`, `policy`, `shed`, `rung`, `endpoint`, `ttl`.
    pub topic: &'static str,
    /// What came of it, one sentence with names and reasons.
    pub text: String,
}

/// Who listens: gets a closure that makes the step.
pub(super) type Tell<'t> = dyn FnMut(&dyn Fn() -> Step) + 't;

/// Tells the steps of one family.
pub(super) struct Teller<'a, 't, 'l> {
    pub(super) tell: &'t mut Tell<'l>,
    pub(super) effective: &'a Effective<'a>,
    pub(super) service: &'a Service,
    pub(super) pools: &'a Pools,
    /// Say which family is meant.
    pub(super) both_families: bool,
}

/// What rounding leaves of nothing.
const NOTHING: f64 = 1e-9;
/// At most so many endpoints are named in one sentence.
const NAMED_MAX: usize = 4;

impl Teller<'_, '_, '_> {
    /// How each pool stands, and why.
    pub(super) fn pools(&mut self) {
        let Self { effective, pools, .. } = *self;
        for judged in &pools.judged {
            self.say("pool", &|| pool_text(effective, judged, pools.family));
        }
    }

    /// Who is kept out, until when, and whose hold ended. `before`: those held when the rungs were tried.
    pub(super) fn holds(&mut self, holds: &Holds<'_>, before: &[PoolId], now: Now) {
        let Self { effective, service, pools, .. } = *self;
        let name = |pool: PoolId| &effective.facts.estate.pool(pool).name;
        for pool in &holds.ended {
            self.say("hold", &|| format!("pool {} was up long enough: its hold has ended", name(*pool)));
        }
        for pool in before.iter().filter(|pool| !holds.contains(**pool)) {
            self.say("hold", &|| format!("pool {} is needed, nothing else is up: its hold has ended", name(*pool)));
        }
        for pool in &holds.held {
            let (next, end) = pools.get(*pool).map(|judged| holds.clock(judged)).unwrap_or_default();
            let stage = holds.stage(*pool).zip(service.failback.stages());
            let up = pools.get(*pool).is_some_and(|judged| judged.state != State::Down);
            self.say("hold", &|| {
                let (name, manual) = (name(*pool), format!("windrose failback {} {}", service.name, name(*pool)));
                let waits = service.failback.wait(&service.name).map(duration_text).unwrap_or_default();
                match (end, service.failback) {
                    (Some(end), _) if let Some((stage, stages)) = stage => format!(
                        "pool {name} has returned and takes {} % of its share (step {} of {}); the next step in {}, all of it in {}, or by `{manual}`",
                        stages.steps.percent(stage.step),
                        stage.step,
                        stages.steps.count(),
                        rounded(next.unwrap_or_default().saturating_sub(now.mono)),
                        rounded(end.saturating_sub(now.mono)),
                    ),
                    (Some(_), Failback::Staged(stages)) => format!(
                        "pool {name} has returned and waits {} more before its first step, or until `{manual}`; then it takes {} % of its share, {} each",
                        rounded(next.unwrap_or_default().saturating_sub(now.mono)),
                        stages.steps,
                        duration_text(stages.hold),
                    ),
                    (Some(end), _) => format!(
                        "pool {name} has returned and waits {} more before it is used again, or until `{manual}`",
                        rounded(end.saturating_sub(now.mono))
                    ),
                    (None, Failback::Manual) if up => format!("pool {name} has returned and waits for `{manual}`"),
                    (None, Failback::Manual) => format!("pool {name} went down while it was answering: when it is back it waits for `{manual}`"),
                    (None, _) if holds.started.contains(pool) => {
                        format!("pool {name} goes down while it was answering: it will be used again after {waits} up")
                    }
                    (None, _) => format!("pool {name} is kept out until probes found it up for {waits}, or until `{manual}`"),
                }
            });
        }
    }

    /// What was asked for.
    /// `written`: the order that somebody wrote, if `one_way` has made another one of it.
    pub(super) fn policy(&mut self, policy: &Node, written: Option<&Node>) {
        let Self { effective, service, .. } = *self;
        let estate = effective.facts.estate;
        self.say("policy", &|| tree_text(estate, policy));
        if service.trickle != Share::ZERO {
            self.say("trickle", &|| format!("{} % of the answers go to who stands by and is up, to keep it warm", service.trickle));
        }
        if let Some(written) = written {
            self.say("order", &|| {
                let (written, back) = (tree_text(estate, written), format!("windrose failback {}", service.name));
                format!("written is {written}; who answers counts as the first (failback one_way) until health moves it, or `{back}`")
            });
        }
    }

    /// What pools over their load give away, and who takes nothing for being full.
    pub(super) fn sheds(&mut self, given: &[Given]) {
        let Self { effective, service, pools, .. } = *self;
        let facts = effective.facts;
        for judged in &pools.judged {
            let Some(crowded) = facts.crowded.get(&judged.pool) else { continue };
            let (pool, given) = (facts.estate.pool(judged.pool), given.iter().find(|given| given.pool == judged.pool));
            self.say("shed", &|| {
                let (name, why) = (&pool.name, &crowded.why);
                match (given, pool.shed) {
                    (Some(Given { before, given, .. }), Some(shed)) if NOTHING < *given => {
                        let by = if service.sticky.is_some() || shed.by == ShedBy::Client { "those of the same clients all the time" } else { "in turn" };
                        format!("pool {name} gives away {} of its answers, {by}: {why}", percent(given / before))
                    }
                    (Some(_), Some(shed)) => {
                        format!("pool {name} would give away {} % of its answers, but nobody takes them, so it keeps all: {why}", shed.share)
                    }
                    _ => format!("pool {name} takes nothing that others give away: {why}"),
                }
            });
        }
    }

    /// Which rung answers, with whom.
    pub(super) fn answers(&mut self, decision: &FamilyDecision, rung: Rung) {
        let Self { effective, service, pools, .. } = *self;
        let estate = effective.facts.estate;
        self.say("rung", &|| format!("{}: {}", rung_text(rung, service, estate), verdict_text(estate, decision, rung)));
        for leaf in &decision.leaves {
            self.say("endpoint", &|| leaf_text(estate, leaf, pools.family));
        }
    }

    fn say(&mut self, topic: &'static str, text: &dyn Fn() -> String) {
        let family = self.both_families.then(|| family_word(self.pools.family));
        (self.tell)(&|| Step {
            topic,
            text: match family {
                Some(family) => format!("{family}: {}", text()),
                None => text(),
            },
        });
    }
}

/// Tells the TTL, the last step. `soon`: what it is lowered for; `record`: that of a host name, if it is shorter than `ttl`.
pub(super) fn ttl(tell: &mut Tell<'_>, service: &Service, decision: &Decision, rung: Rung, soon: Option<String>, record: Option<String>) {
    tell(&|| {
        let text = match rung {
            Rung::AllDown => format!("{} s: the smaller of ttl ({} s) and ttl_min ({} s), because nothing is up", decision.ttl, service.ttl, service.ttl_min),
            _ => match (&soon, &record) {
                (_, Some(record)) => format!("{} s: between ttl_min ({} s) and ttl ({} s), because {record}", decision.ttl, service.ttl_min, service.ttl),
                (Some(soon), None) => format!("{} s: between ttl_min ({} s) and ttl ({} s), because {soon}", decision.ttl, service.ttl_min, service.ttl),
                (None, None) => format!("{} s", decision.ttl),
            },
        };
        Step { topic: "ttl", text }
    });
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// `pool prod is down: 0 of 2 endpoints up (192.0.2.10: timeout: no answer within 500ms, down since …; …)`
fn pool_text(effective: &Effective<'_>, judged: &Judged, family: Family) -> String {
    let estate = effective.facts.estate;
    let by = if judged.present { family } else { family.other() };
    let endpoints: Vec<EndpointId> = effective.members(judged.pool, by).collect();
    let is_up = |endpoint: &EndpointId| effective.state(*endpoint) == State::Up;
    let up = endpoints.iter().filter(|endpoint| is_up(endpoint)).count();
    let remarks: Vec<String> = endpoints.iter().filter_map(|endpoint| endpoint_remark(effective, *endpoint)).collect();
    let more = remarks.len().saturating_sub(NAMED_MAX);

    let pool = estate.pool(judged.pool);
    let mut text = format!("pool {} is {}: ", pool.name, judged.state.word());
    let required = requires::of(effective, judged.pool);
    if let Some(lacking) = requires::lacking(&required) {
        text += &format!("{}; ", lacking.text(estate));
    }
    text += &format!("{up} of {} endpoints up", endpoints.len());
    if 1 < pool.min_up {
        text += &format!(", {} needed", pool.min_up);
    }
    if !remarks.is_empty() {
        let more = if 0 < more { format!("; and {more} more") } else { String::new() };
        text += &format!(" ({}{more})", remarks.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join("; "));
    }
    if judged.state == State::Unknown {
        text += "; without a verdict it counts as up";
    }
    if let Some(drain) = effective.pool_drained(judged.pool) {
        text += &format!("; drained by {}", drain.id);
    } else if judged.is_up_but_drained() {
        text += "; what is not drained of it is too little";
    }
    match (effective.facts.outdated.get(&judged.pool), effective.approved(judged.pool)) {
        (Some(why), Some(approval)) => text += &format!("; {why}, approved by {}", approval.id),
        (Some(why), None) if judged.outdated => text += &format!("; kept off: {why}, until it is synchronised or `windrose approve pool {}`", pool.name),
        (Some(why), None) => text += &format!("; {why}, but who answers alone does not grow old"),
        (None, _) => {}
    }
    if judged.factor < 1.0 {
        text += &format!("; degraded: where shares are weighted it counts {} of its own", (judged.factor * 1000.0).round() / 1000.0);
    }
    if !judged.present && endpoints.is_empty() {
        text += &hosts::awaited(effective, judged.pool);
    } else if !judged.present {
        text += &format!("; it has no {} address, so its share is answered with no data", family_word(family));
    }
    text
}

/// What is worth saying of an endpoint: why it is not up, or who says so.
fn endpoint_remark(effective: &Effective<'_>, endpoint: EndpointId) -> Option<String> {
    let facts = &effective.facts;
    let item = facts.estate.endpoint(endpoint);
    let mut remarks: Vec<String> = hosts::remark(facts, endpoint).into_iter().collect();
    let observed = facts.health.endpoint(facts.estate, endpoint);
    let watched = facts.health.watched(facts.estate, endpoint);
    let quality = facts.health.quality(facts.estate, endpoint).map(|(_, quality)| quality);
    match effective.forced(endpoint) {
        Some(forced) => {
            let word = if forced.kind == OverrideKind::ForceDown { "down" } else { "up" };
            remarks.push(format!("forced {word} by {}, observed {}", forced.id, observed.word()));
        }
        None => match (observed, watched) {
            (State::Down, Some(health)) => {
                let by = health.failed_by.map(|monitor| format!("{monitor}: ")).unwrap_or_default();
                let failed = health.last_failed.and_then(|report| match &report.outcome {
                    Outcome::Fail { reason, message } => Some(format!("{by}{}: {message}", reason.word())),
                    Outcome::Pass | Outcome::Degraded { .. } | Outcome::Busy { .. } => None,
                });
                remarks.push(failed.unwrap_or_else(|| "as stored before the start".to_string()));
                remarks.push(format!("down since {}", health.since));
                if effective.is_kept(endpoint) {
                    remarks.push(kept_text(facts, item.pool));
                }
            }
            (State::Up, Some(health)) if health.stale => remarks.push("up as stored before the start, not confirmed yet".to_string()),
            (State::Unknown, _) if item.watch == Watch::Nothing => remarks.push("not watched".to_string()),
            (State::Unknown, _) => remarks.push(unknown_text(facts, endpoint)),
            _ => {}
        },
    }
    if let (Some(factor), Some(quality)) = (effective.degraded(endpoint), quality) {
        remarks.push(format!("degraded, counts {factor}: {}", quality.degraded_why.as_deref().unwrap_or_default()));
    }
    if let Some(busy) = quality.and_then(|quality| quality.busy) {
        remarks.push(format!("busy since {}", busy.at));
    }
    if let Some(told) = facts.health.told_weight(facts.estate, endpoint) {
        remarks.push(format!("weight {told} as it told, {} in the file", item.weight));
    }
    if let Some(drain) = effective.drained(endpoint).filter(|drain| matches!(drain.target, super::OverrideTarget::Endpoint(_))) {
        remarks.push(format!("drained by {}", drain.id));
    }
    (!remarks.is_empty()).then(|| format!("{}: {}", item.name, remarks.join(", ")))
}

/// Why there is no verdict: of a composite, whose is missing.
fn unknown_text(facts: &super::Facts<'_>, endpoint: EndpointId) -> String {
    let members = facts.health.members(facts.estate, endpoint);
    let missing: Vec<&str> = MemberHealth::counting(&members, State::Unknown).into_iter().map(|member| member.monitor).collect();
    if missing.is_empty() { "no outcome yet".to_string() } else { format!("no outcome yet of {}", missing.join(", ")) }
}

/// Who keeps what is down.
fn kept_text(facts: &super::Facts<'_>, pool: crate::model::PoolId) -> String {
    if facts.guard.blind().is_some() {
        return "seen as up, because this node is blind".to_string();
    }
    let delay = facts.guard.delay(facts.estate.pool(pool).region);
    let until = delay.map(|delay| format!(" until {} at the latest", delay.until)).unwrap_or_default();
    format!("held as up by the blast guard{until}")
}

/// `weighted: prod 80 %, dr 20 %`; a named policy below shows its own tree in brackets.
fn tree_text(estate: &Estate, node: &Node) -> String {
    let Node::Policy { choice, min_up, .. } = node else { return node_name(estate, node).to_string() };
    let child = |child: &Node| match child {
        Node::Pool(_) => node_name(estate, child).to_string(),
        Node::Policy { .. } => format!("{} [{}]", node_name(estate, child), tree_text(estate, child)),
    };
    let children: Vec<String> = match choice {
        Choice::Failover(children) | Choice::Multivalue(children) => children.iter().map(|node| child(node)).collect(),
        // As `tailor` makes them: their order is settled.
        Choice::Nearest(nearest) => nearest.among.iter().map(|node| child(node)).collect(),
        Choice::Geo(rules) => rules.iter().map(|rule| format!("{} → {}", super::tailor::rule_text(rule), child(&rule.then))).collect(),
        Choice::Weighted(children) => children.iter().map(|(node, share)| format!("{} {share} %", child(node))).collect(),
    };
    let (word, separator) = match choice {
        Choice::Failover(_) | Choice::Nearest(_) => ("failover", ", then "),
        _ => (choice.word(), ", "),
    };
    let needed = if 1 < *min_up { format!(" (at least {min_up} must be up)") } else { String::new() };
    format!("{word}: {}{needed}", children.join(separator))
}

fn rung_text(rung: Rung, service: &Service, estate: &Estate) -> String {
    let why = match rung {
        Rung::Policy => return rung.word().to_string(),
        Rung::Standby => "no child with a share is up".to_string(),
        Rung::Held => "nothing else is up, so what waited for failback is used".to_string(),
        Rung::Drained => "nothing else is up, so drained pools answer".to_string(),
        Rung::AllDown => match service.when_all_down {
            AllDown::LastGood => "nothing is up, when_all_down is last_good".to_string(),
            AllDown::ServeAll => "nothing is up, when_all_down is serve_all".to_string(),
            AllDown::First => "nothing is up, when_all_down is first".to_string(),
            AllDown::NoData => "nothing is up, when_all_down is nodata".to_string(),
            AllDown::ServFail => "nothing is up, when_all_down is servfail".to_string(),
            AllDown::Pool(pool) => format!("nothing is up, when_all_down is pool {}", estate.pool(pool).name),
        },
    };
    format!("{} ({why})", rung.word())
}

fn verdict_text(estate: &Estate, decision: &FamilyDecision, lowest: Rung) -> String {
    match &decision.verdict {
        Verdict::NoData => "no data".to_string(),
        Verdict::ServFail(why) => format!("SERVFAIL, {why}"),
        Verdict::Answer => {
            let leaf = |leaf: &Leaf| {
                let rung = if leaf.rung == lowest { String::new() } else { format!(" ({})", leaf.rung.word()) };
                format!("{} {}{rung}", pool_names(estate, leaf), percent(leaf.share))
            };
            decision.leaves.iter().map(leaf).collect::<Vec<_>>().join(", ")
        }
    }
}

fn leaf_text(estate: &Estate, leaf: &Leaf, family: Family) -> String {
    let pools = pool_names(estate, leaf);
    if leaf.endpoints.is_empty() {
        return format!("{pools} has no {} address: no data", family_word(family));
    }
    let endpoint = |(at, id): (usize, &EndpointId)| {
        let item = estate.endpoint(*id);
        let address = estate.address_text(*id);
        let name = if *item.name == *address { address } else { format!("{} {address}", item.name) };
        let found = leaf.addresses.as_ref().and_then(|addresses| addresses.get(at)).filter(|found| !found.is_empty());
        let name = found.map_or(name.clone(), |found| {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            format!("{name} ({})", found.join(" "))
        });
        if item.tier == 0 { name } else { format!("{name} (tier {})", item.tier) }
    };
    let more = leaf.endpoints.len().saturating_sub(2 * NAMED_MAX);
    let named = leaf.endpoints.iter().enumerate().take(2 * NAMED_MAX).map(endpoint).collect::<Vec<_>>().join(", ");
    let more = if 0 < more { format!(" and {more} more") } else { String::new() };
    format!("{pools} answers with {named}{more}")
}

fn pool_names(estate: &Estate, leaf: &Leaf) -> String {
    leaf.pools.iter().map(|pool| &*estate.pool(*pool).name).collect::<Vec<_>>().join("+")
}

fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    format!("{tenths} %")
}

/// To the next whole second: people don't wait in milliseconds.
fn rounded(span: std::time::Duration) -> String {
    let whole = span.as_secs() + u64::from(0 < span.subsec_nanos());
    duration_text(std::time::Duration::from_secs(whole))
}
