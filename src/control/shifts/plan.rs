//! Plans of shifts: how they begin, what people order, what they do by themselves. Each step is a change of traffic that guards weigh.

use std::sync::Arc;
use std::time::Duration;

use crate::control::change::{Actor, Change, Fault, Refusal, RefusalKind};
use crate::control::commits::Waiting;
use crate::control::core::Core;
use crate::control::event::Notice;
use crate::control::guards::Act;
use crate::control::plan::{Plan, because, unknown};
use crate::control::plan_traffic::policy_text;
use crate::control::record::{Key, Op, Record};
use crate::model::{Choice, Now, PolicyForm, ServiceId, Share, ShiftStep, Timestamp, duration_text, step_faults};
use crate::policy::edit;

use super::live::FINISHED_MAX;
use super::machine::{At, Move, Next, Order};
use super::record::{Halt, Phase, ShiftRecord, Wanted};

/// Steps of a shift whose caller names none.
const DEFAULT_STEPS: [f64; 4] = [5.0, 25.0, 50.0, 100.0];
/// Their hold, unless twice the TTL is more.
const DEFAULT_HOLD: Duration = Duration::from_secs(300);

impl Core {
    /// A shift begins: its first step is made in the same commit. One that is under way ends where it is, if that is what is asked for.
    pub(in crate::control) fn begin_shift(&self, service: ServiceId, wanted: &Wanted, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let view = self.service(service);
        let name = view.service.name.clone();
        let ends = matches!(waiting.change, Change::EndingShift(_));
        if let Some(refusal) = self.in_progress(&name).filter(|_| !ends) {
            return Err(refusal);
        }
        let (from, to) = self.both_ends(service, &wanted.to)?;
        let (steps, abort_when, analyses) = self.checked_steps(service, wanted)?;
        let Waiting { actor: Actor(actor), reason, .. } = waiting;
        let at = At { wall: now.wall, by: actor, left: Duration::ZERO };
        let shift = ShiftRecord {
            service: name.clone(),
            before: self.traffic.get(&name).and_then(|(record, _)| record.form.clone()),
            from,
            to,
            steps,
            plan: wanted.plan.as_deref().map(Arc::from),
            abort_when,
            analyses,
            break_glass: waiting.break_glass.clone(),
            actor: actor.clone(),
            reason: reason.clone(),
            at: now.wall,
            phase: Phase::Progressing,
            step: 0,
            reached: Vec::new(),
            ends: None,
            left: Duration::ZERO,
            halt: None,
            changed: now.wall,
            by: actor.clone(),
        };
        let plan = self.first_step(shift, at, service, waiting, now)?;
        Ok(self.ended_by(service, waiting, plan, now.wall))
    }

    fn first_step(&self, shift: ShiftRecord, at: At<'_>, service: ServiceId, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        // The counter that this commit raises: unique for ever.
        let id = self.revision.0 + 1;
        let shift = shift.at_step(0, at);
        let begins = Notice::Shift {
            service: shift.service.clone(),
            shift: id,
            happened: "started",
            text: format!("shift s-{id} of {} to {} started, {} steps{}", shift.service, policy_text(&shift.to), shift.steps.len(), because(&shift.reason)),
            actor: shift.actor.clone(),
        };
        let mut plan = self.step_plan(id, shift, service, waiting, now)?;
        plan.notices.insert(0, begins);
        let finished = self.shifts.kept.iter().filter(|(_, (record, _))| !record.phase.is_active()).map(|(id, _)| *id);
        let surplus = finished.clone().count().saturating_sub(FINISHED_MAX);
        plan.ops.extend(finished.take(surplus).map(|id| Op::Delete(Key::Shift(id))));
        Ok(plan)
    }

    /// The split that is in force, and the one that is asked for, over the same children.
    fn both_ends(&self, service: ServiceId, to: &[(String, Share)]) -> Result<(PolicyForm, PolicyForm), Refusal> {
        let view = self.service(service);
        let name = &view.service.name;
        let children: Vec<String> = view.form.choice.children().into_iter().cloned().collect();
        let from = match &view.form.choice {
            Choice::Weighted(_) => view.form.clone(),
            Choice::Failover(children) => {
                let share = |at: usize| if at == 0 { Share::FULL } else { Share::ZERO };
                let choice = Choice::Weighted(children.iter().enumerate().map(|(at, child)| (child.clone(), share(at))).collect());
                PolicyForm { choice, min_up: view.form.min_up }
            }
            Choice::Multivalue(_) => {
                let detail = format!("`{name}` is a multivalue, which has no shares to shift; set another policy with PUT /api/v1/services/{name}/traffic");
                return Err(Refusal::new(RefusalKind::PolicyMismatch, detail));
            }
        };
        let unnamed = children.iter().filter(|child| to.iter().all(|(known, _)| known != *child)).map(|child| (child.clone(), Share::ZERO));
        let shares: Vec<(String, Share)> = to.iter().cloned().chain(unnamed).collect();
        let to = edit::split(&from, &shares).map_err(|error| {
            let fault = Fault {
                pointer: "/to".to_string(),
                code: "shares",
                message: error.to_string(),
                hint: format!("shares of {} are per cent, and sum to 100", children.join(", ")),
            };
            Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::InvalidRequest, format!("`{name}` can't be shifted so; nothing was changed")) }
        })?;
        if from == to {
            let detail = format!("`{name}` is at {} already; there is nothing to shift", policy_text(&to));
            return Err(Refusal::new(RefusalKind::InvalidRequest, detail));
        }
        Ok((from, to))
    }

    #[allow(clippy::type_complexity, reason = "the three things that a plan says")]
    fn checked_steps(&self, service: ServiceId, wanted: &Wanted) -> Result<(Vec<ShiftStep>, Vec<crate::model::AbortWhen>, Vec<Arc<str>>), Refusal> {
        let rules = &self.configuration.estate.shifts;
        let enough = Duration::from_secs(u64::from(self.configuration.estate.service(service).ttl) * 2);
        let plan = match &wanted.plan {
            None => None,
            Some(name) => Some(rules.plan(name).ok_or_else(|| unknown("plan", name, rules.plans.iter().map(|plan| &*plan.name)))?),
        };
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, code, message: String, hint: String| faults.push(Fault { pointer: pointer.to_string(), code, message, hint });
        if plan.is_some() && !wanted.steps.is_empty() {
            fault("/steps", "invalid-value", "steps stand beside a plan".to_string(), "name a plan, or give steps".to_string());
        }
        let steps = match plan {
            Some(plan) => plan.steps.clone(),
            None if wanted.steps.is_empty() => {
                let hold = DEFAULT_HOLD.max(enough);
                DEFAULT_STEPS.into_iter().filter_map(Share::from_percent).map(|percent| ShiftStep { percent, hold, pause: false }).collect()
            }
            None => wanted.steps.clone(),
        };
        for message in step_faults(&steps) {
            fault("/steps", "invalid-value", message, "steps are per cent of the way, rising to 100: 5,25,50p,100".to_string());
        }
        let holds = steps.iter().filter(|step| !step.pause && step.percent < Share::FULL).map(|step| step.hold);
        if let Some(short) = holds.min().filter(|hold| *hold < enough && !wanted.short_holds) {
            let message = format!(
                "a hold of {} is too short: clients need the TTL to follow, so a step is watched for at least twice that, {}",
                duration_text(short),
                duration_text(enough)
            );
            fault("/steps", "hold-too-short", message, format!("--hold {}, or --short-holds", duration_text(enough)));
        }
        let mut analyses: Vec<Arc<str>> = plan.map(|plan| plan.analyses.clone()).unwrap_or_default();
        for name in &wanted.analyses {
            match rules.analysis(name) {
                Some(analysis) if analyses.contains(&analysis.name) => (),
                Some(analysis) => analyses.push(analysis.name.clone()),
                None => {
                    let known = rules.analyses.iter().map(|analysis| &*analysis.name).collect::<Vec<_>>().join(", ");
                    fault("/analyses", "unknown", format!("there is no analysis `{name}`"), format!("the file has: {known}"));
                }
            }
        }
        let mut abort_when = plan.map(|plan| plan.abort_when.clone()).unwrap_or_default();
        abort_when.extend(&wanted.abort_when);
        abort_when.sort_unstable();
        abort_when.dedup();
        if faults.is_empty() {
            Ok((steps, abort_when, analyses))
        } else {
            Err(Refusal { faults, ..Refusal::new(RefusalKind::InvalidRequest, "the shift can't go so; nothing was changed") })
        }
    }

    /// What a person orders.
    pub(in crate::control) fn order_shift(&self, id: u64, order: Order, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let (record, _) =
            self.shifts.kept.get(&id).ok_or_else(|| Refusal::new(RefusalKind::NotFound, format!("there is no shift s-{id}; see `windrose get shifts`")))?;
        let Waiting { actor: Actor(actor), .. } = waiting;
        let at = At { wall: now.wall, by: actor, left: self.shifts.left(id, now) };
        let next = record.ordered(order, at).map_err(|detail| Refusal::new(RefusalKind::ShiftOver, format!("{detail}; nothing was changed")))?;
        // What the shift was started with goes on holding for each of its steps.
        let reason = if waiting.reason.is_empty() { record.reason.clone() } else { waiting.reason.clone() };
        let break_glass = waiting.break_glass.iter().chain(&record.break_glass).copied().collect();
        let confirmed = waiting.confirmed || waiting.break_glass.is_empty();
        let waiting = Waiting { reason, break_glass, confirmed, ..waiting.clone() };
        self.follow(id, record, next, &waiting, now)
    }

    /// What a shift does by itself. Guards that refuse its next step pause it.
    pub(in crate::control) fn move_shift(&self, id: u64, what: &Move, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let Some((record, _)) = self.shifts.kept.get(&id) else { return Ok(self.plan_of(Vec::new(), now)) };
        let at = At { wall: now.wall, by: &record.actor, left: self.shifts.left(id, now) };
        let planned = self.follow(id, record, record.moved(what, at), waiting, now);
        match (planned, what) {
            (Err(refusal), Move::Advance { .. }) => {
                let service = &record.service;
                let first = refusal.guards.first();
                let sentences: Vec<String> = refusal.guards.iter().map(|finding| format!("{}: {}", finding.guard.word(), finding.message)).collect();
                let message = if sentences.is_empty() { refusal.detail.clone() } else { sentences.join("; ") };
                let way_on = first.map(|finding| format!("{}; ", finding.way_on)).unwrap_or_default();
                let halt = Halt {
                    code: if first.is_some() { "guards" } else { "refused" }.to_string(),
                    message,
                    value: first.and_then(|finding| finding.value),
                    limit: first.and_then(|finding| finding.limit),
                    hint: format!("{way_on}then windrose shift retry {service}, or windrose shift abort {service}"),
                };
                self.follow(id, record, Next::Write(record.paused(Some(halt), at)), waiting, now)
            }
            (planned, _) => planned,
        }
    }

    fn follow(&self, id: u64, old: &ShiftRecord, next: Next, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let service = self.configuration.estate.service_named(&old.service);
        let gone = || Refusal::new(RefusalKind::NotFound, format!("service `{}` is not in the file any more; the shift can only be aborted", old.service));
        match next {
            Next::Nothing(message) => {
                let mut plan = self.plan_of(Vec::new(), now);
                plan.applied.messages.push(message);
                plan.applied.shift = Some((id, Arc::new(old.clone())));
                Ok(plan)
            }
            Next::Write(record) => {
                let halted = record.halt.as_ref().map(|halt| format!(": {}; {}", halt.message, halt.hint)).unwrap_or_default();
                let (happened, word) = if record.phase == Phase::Paused { ("paused", "is paused") } else { ("resumed", "goes on") };
                let mut plan = self.plan_of(Vec::new(), now);
                plan.ops.push(Op::Put(Key::Shift(id), Record::Shift(Arc::new(record.clone()))));
                plan.notices.push(notice(id, &record, happened, &format!("{word}{halted}")));
                plan.applied.shift = Some((id, Arc::new(record)));
                self.expect_what_was_weighed(&mut plan, now);
                Ok(plan)
            }
            Next::Step(record) => self.step_plan(id, record, service.ok_or_else(gone)?, waiting, now),
            Next::Back(record) => {
                let mut plan = match service {
                    Some(service) => self.set_traffic(service, record.before.clone(), Act::Abort, waiting, now)?,
                    None => self.plan_of(Vec::new(), now),
                };
                let why = record.halt.as_ref().map(|halt| format!(": {}", halt.message)).unwrap_or_default();
                plan.ops.push(Op::Put(Key::Shift(id), Record::Shift(Arc::new(record.clone()))));
                plan.notices.push(notice(id, &record, "aborted", &format!("was aborted, traffic is as before{why}")));
                plan.applied.shift = Some((id, Arc::new(record)));
                Ok(plan)
            }
            Next::Again => {
                if let Some(refusal) = self.in_progress(&old.service) {
                    return Err(refusal);
                }
                let service = service.ok_or_else(gone)?;
                let named = |form: &PolicyForm| match &form.choice {
                    Choice::Weighted(shares) => shares.clone(),
                    Choice::Failover(_) | Choice::Multivalue(_) => Vec::new(),
                };
                let (from, to) = self.both_ends(service, &named(&old.to))?;
                let Waiting { actor: Actor(actor), reason, .. } = waiting;
                let (actor, reason) = (actor.clone(), reason.clone());
                let before = self.traffic.get(&old.service).and_then(|(record, _)| record.form.clone());
                let at = At { wall: now.wall, by: &actor, left: Duration::ZERO };
                let again = ShiftRecord { before, from, to, actor: actor.clone(), reason, at: now.wall, reached: Vec::new(), ..old.clone() };
                self.first_step(again, at, service, waiting, now)
            }
        }
    }

    /// A step: traffic and record in one commit.
    fn step_plan(&self, id: u64, record: ShiftRecord, service: ServiceId, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        self.may_move(service)?;
        let form = record.form_at(record.step as usize);
        let mut plan = self.set_traffic(service, Some(form.clone()), Act::Shift, waiting, now)?;
        for op in &mut plan.ops {
            // For `undo` a shift is one change.
            if let Op::Put(_, Record::History(history)) = op {
                history.before = record.before.clone();
            }
        }
        plan.notices.push(notice(id, &record, "step", &format!("is at {}", policy_text(&form))));
        if record.phase == Phase::Completed {
            plan.notices.push(notice(id, &record, "completed", "is completed"));
        }
        plan.ops.push(Op::Put(Key::Shift(id), Record::Shift(Arc::new(record.clone()))));
        plan.applied.shift = Some((id, Arc::new(record)));
        Ok(plan)
    }

    /// A shift of this service is under way: nobody else moves its traffic.
    pub(in crate::control) fn in_progress(&self, service: &str) -> Option<Refusal> {
        let (id, record) = self.shifts.active(service)?;
        let detail = format!(
            "shift s-{id} of `{service}` is {}, at step {} of {}, started by {}{}; nothing was changed",
            record.phase.word(),
            record.step + 1,
            record.steps.len(),
            record.actor,
            because(&record.reason)
        );
        let hint = format!("windrose shift abort {service} goes back to what was before it; --end-shift ends it where it is and makes this change");
        let fault = Fault { pointer: String::new(), code: "shift-in-progress", message: format!("shift s-{id} is under way"), hint };
        Some(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::ShiftInProgress, detail) })
    }

    /// Another change of traffic ends the shift under way, in its own commit.
    pub(in crate::control) fn ended_by(&self, service: ServiceId, waiting: &Waiting, mut plan: Plan, at: Timestamp) -> Plan {
        let name = &self.configuration.estate.service(service).name;
        let Some((id, record)) = self.shifts.active(name) else { return plan };
        let Actor(actor) = &waiting.actor;
        let message = format!("{actor} made another change of traffic instead{}", because(&waiting.reason));
        let halt = Halt { code: "replaced".to_string(), message: message.clone(), value: None, limit: None, hint: format!("windrose history {name}") };
        let ended = record.aborted(Some(halt), At { wall: at, by: actor, left: Duration::ZERO });
        plan.notices.push(notice(id, &ended, "aborted", &format!("ended: {message}")));
        plan.ops.push(Op::Put(Key::Shift(id), Record::Shift(Arc::new(ended))));
        plan
    }
}

fn notice(id: u64, record: &ShiftRecord, happened: &'static str, what: &str) -> Notice {
    let text = format!("shift s-{id} of {} {what} (step {} of {})", record.service, record.step + 1, record.steps.len());
    Notice::Shift { service: record.service.clone(), shift: id, happened, text, actor: record.by.clone() }
}
