//! Plans of schedules: set, cancelled, and what comes of one when its moment is there.

use std::sync::Arc;
use std::time::Duration;

use crate::control::change::{Actor, Change, Fault, Refusal, RefusalKind};
use crate::control::commits::Waiting;
use crate::control::core::Core;
use crate::control::event::Notice;
use crate::control::plan::{Plan, because, refused_notice};
use crate::control::record::{Key, Op, Record};
use crate::model::{GuardKind, Moment, Now};

use super::kept::{FINISHED_MAX, WAITING_MAX};
use super::record::{ScheduleRecord, ScheduleState, described};

/// Nothing is scheduled further ahead.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);

impl Core {
    /// A change is to be made later. It is looked at as if it were made then: what can't ever be right is refused now, and the reply says the rest.
    pub(in crate::control) fn set_schedule(&self, moment: Moment, change: &Change, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let Some(what) = described(change) else {
            let detail = "this change can't be scheduled; split, failover, drain, undrain and shift can";
            return Err(invalid("/at", detail, "leave `at` out"));
        };
        let due = moment.from(now.wall);
        if due <= now.wall || AHEAD_MAX < due.since(now.wall) {
            let which = if due <= now.wall { "has passed" } else { "is more than a year ahead" };
            return Err(invalid("/at", &format!("{} {which}", due.whole_seconds()), "name a moment within a year, such as +30m"));
        }
        if self.schedules.kept.values().filter(|kept| kept.is_waiting()).count() >= WAITING_MAX {
            let detail = format!("{WAITING_MAX} changes are scheduled already");
            return Err(invalid("/at", &detail, "windrose schedule list, then windrose schedule cancel ID"));
        }
        if !waiting.break_glass.is_empty() && self.configuration.estate.rules.break_glass_confirm {
            let detail = "breaking the glass needs a second person here, so it can't be scheduled";
            return Err(invalid("/break_glass", detail, "make the change when its moment is there"));
        }
        let then = Now { wall: due, ..now };
        // Freezes are asked about that moment; a second person was not needed, above.
        let asked = Waiting { change: change.clone(), confirmed: true, ..waiting.clone() };
        let mut plan = self.plan_of(Vec::new(), now);
        match self.plan_change(&asked, then) {
            Ok(preview) => {
                plan.applied.moves = preview.applied.moves;
                plan.applied.takers = preview.applied.takers;
                plan.applied.guards = preview.applied.guards;
                plan.applied.messages = preview.applied.messages;
            }
            Err(refusal) if may_pass(&refusal) => {
                plan.applied.messages.push(format!("as things stand it will be refused: {}", reasons(&refusal)));
                plan.applied.guards = refusal.guards;
            }
            Err(refusal) => return Err(refusal),
        }
        let Waiting { actor: Actor(actor), reason, break_glass, .. } = waiting;
        let record = ScheduleRecord {
            change: change.clone(),
            due,
            actor: actor.clone(),
            reason: reason.clone(),
            at: now.wall,
            break_glass: break_glass.clone(),
            state: ScheduleState::Waiting,
            ended: None,
            outcome: String::new(),
        };
        // The counter that this commit raises: unique for ever.
        let id = self.revision.0 + 1;
        let text = format!("t-{id}: {what}, at {}{}", due.whole_seconds(), because(reason));
        plan.notices.push(Notice::Schedule { services: self.scheduled_services(change), schedule: id, happened: "created", text, actor: actor.clone() });
        let record = Arc::new(record);
        plan.ops.push(Op::Put(Key::Schedule(id), Record::Schedule(record.clone())));
        let finished = self.schedules.kept.iter().filter(|(_, kept)| !kept.is_waiting()).map(|(id, _)| *id);
        let surplus = finished.clone().count().saturating_sub(FINISHED_MAX);
        plan.ops.extend(finished.take(surplus).map(|id| Op::Delete(Key::Schedule(id))));
        plan.applied.schedule = Some((id, record));
        Ok(plan)
    }

    /// It is not to be made; or, for one that has failed: somebody has seen it.
    pub(in crate::control) fn cancel_schedule(&self, id: u64, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let Some(kept) = self.schedules.kept.get(&id) else {
            return Err(Refusal::new(RefusalKind::NotFound, format!("there is no schedule t-{id}; see `windrose schedule list`")));
        };
        let (Actor(actor), record) = (&waiting.actor, &kept.record);
        let mut plan = self.plan_of(vec![Op::Delete(Key::Schedule(id))], now);
        let what = described(&record.change).unwrap_or_default();
        let word = if kept.is_waiting() { "cancelled".to_string() } else { format!("was {}, and is dismissed", record.state.word()) };
        let text = format!("t-{id}: {what} {word}{}", because(&waiting.reason));
        plan.notices.push(Notice::Schedule {
            services: self.scheduled_services(&record.change),
            schedule: id,
            happened: "cancelled",
            text,
            actor: actor.clone(),
        });
        plan.applied.messages.push(format!("t-{id}: {what} {word}"));
        Ok(plan)
    }

    /// Its moment is there: the change, or what stands in its way, in one commit with the schedule's record.
    ///
    /// Refused only if clients must be told apart first.
    pub(in crate::control) fn fire_schedule(&self, id: u64, now: Now) -> Result<Plan, Refusal> {
        let Some(kept) = self.schedules.kept.get(&id).filter(|kept| kept.is_waiting()) else { return Ok(self.plan_of(Vec::new(), now)) };
        let record = &kept.record;
        if kept.missed <= now.mono {
            let why = kept.held.as_ref().map_or("the node was down", |(_, why)| why.as_str());
            let late = now.wall.since(record.due).as_secs();
            let text = format!("{late} s too late: {why}; make it by hand if it is still wanted");
            return Ok(self.came_of(id, self.plan_of(Vec::new(), now), ScheduleState::Missed, &text, now));
        }
        let waiting = self.scheduled(id, record);
        Ok(match self.plan_change(&waiting, now) {
            Err(refusal) if refusal.asks().is_some() => return Err(refusal),
            Ok(plan) => {
                let said = plan.applied.messages.join("; ");
                self.came_of(id, plan, ScheduleState::Done, &said, now)
            }
            // What it was to end has ended.
            Err(refusal) if refusal.kind == RefusalKind::NotFound && matches!(record.change, Change::EndOverride { .. }) => {
                self.came_of(id, self.plan_of(Vec::new(), now), ScheduleState::Done, "it had ended before", now)
            }
            Err(refusal) => {
                let mut plan = self.plan_of(Vec::new(), now);
                if refusal.kind == RefusalKind::GuardRefused {
                    plan.notices.push(refused_notice(&waiting, &refusal));
                }
                self.came_of(id, plan, ScheduleState::Refused, &reasons(&refusal), now)
            }
        })
    }

    /// The wish that a schedule stands for.
    pub(in crate::control) fn scheduled(&self, id: u64, record: &ScheduleRecord) -> Waiting {
        Waiting {
            ticket: crate::control::shifts::BY_ITSELF,
            origin: crate::control::journal::Origin::default(),
            actor: Actor(format!("{}, scheduled as t-{id}", record.actor)),
            reason: record.reason.clone(),
            change: record.change.clone(),
            expect: None,
            expect_file: None,
            break_glass: record.break_glass.clone(),
            confirmed: true,
            dry_run: false,
            clients: None,
        }
    }

    fn came_of(&self, id: u64, mut plan: Plan, state: ScheduleState, outcome: &str, now: Now) -> Plan {
        let Some(kept) = self.schedules.kept.get(&id) else { return plan };
        let record = ScheduleRecord { state, ended: Some(now.wall), outcome: outcome.to_string(), ..(*kept.record).clone() };
        let what = described(&record.change).unwrap_or_default();
        let said = if outcome.is_empty() { String::new() } else { format!(": {outcome}") };
        plan.notices.push(Notice::Schedule {
            services: self.scheduled_services(&record.change),
            schedule: id,
            happened: state.word(),
            text: format!("t-{id}: {what} {}{said}", if state == ScheduleState::Done { "was made" } else { state.word() }),
            actor: record.actor.clone(),
        });
        plan.ops.push(Op::Put(Key::Schedule(id), Record::Schedule(Arc::new(record))));
        plan
    }

    /// Services whose traffic a scheduled change may move.
    pub(in crate::control) fn scheduled_services(&self, change: &Change) -> Vec<Arc<str>> {
        match change {
            Change::Traffic { service, .. } | Change::Failover { service, .. } | Change::Shift { service, .. } => vec![service.as_str().into()],
            Change::Override { target, services, .. } => {
                let services: Vec<Arc<str>> = services.iter().map(|name| name.as_str().into()).collect();
                self.services_under(target, &services)
            }
            Change::EndOverride { id } => {
                let kept = self.overrides.kept.get(id);
                kept.map_or(Vec::new(), |kept| self.services_under(&kept.record.target, &kept.record.services))
            }
            Change::EndingShift(change) => self.scheduled_services(change),
            _ => Vec::new(),
        }
    }
}

/// What stands in the way now need not do so then.
fn may_pass(refusal: &Refusal) -> bool {
    match refusal.kind {
        RefusalKind::GuardRefused => refusal.guards.iter().all(|finding| finding.guard != GuardKind::RequireReason),
        RefusalKind::TargetNotUp | RefusalKind::ShiftInProgress | RefusalKind::OverrideExists => true,
        _ => false,
    }
}

/// Every reason of a refusal, with what to do.
fn reasons(refusal: &Refusal) -> String {
    let guards = refusal.guards.iter().map(|finding| format!("{}: {} → {}", finding.guard.word(), finding.message, finding.way_on));
    let faults = refusal.faults.iter().map(|fault| format!("{} → {}", fault.message, fault.hint));
    let all: Vec<String> = guards.chain(faults).collect();
    if all.is_empty() { refusal.detail.clone() } else { all.join("; ") }
}

fn invalid(pointer: &str, message: &str, hint: &str) -> Refusal {
    let fault = Fault { pointer: pointer.to_string(), code: "invalid-value", message: message.to_string(), hint: hint.to_string() };
    Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::InvalidRequest, format!("{message}; nothing was scheduled")) }
}
