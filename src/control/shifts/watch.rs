//! Shifts by themselves: holds that end, targets that suffer, analyses that fail, a store that refuses.

use crate::control::change::{Actor, Change};
use crate::control::commits::{RETRY, Waiting};
use crate::control::core::{Core, Serving};
use crate::control::event::{Effect, Effects, Notice, Ticket};
use crate::control::journal::Origin;
use crate::control::record::{Key, Op};
use crate::health::State;
use crate::model::{AbortWhen, Now};
use crate::policy;

use super::machine::Move;
use super::record::{Halt, Phase, ShiftRecord};

/// Nobody waits for a reply: the core asks itself. Callers' tickets begin at 1.
pub(in crate::control) const BY_ITSELF: Ticket = Ticket(0);

impl Core {
    /// Looks after every shift that may still move. What it finds goes the way of all changes.
    pub(in crate::control) fn watch_shifts(&mut self, now: Now, effects: &mut Effects) {
        if self.serving != Serving::Told || self.shifts.live.is_empty() {
            return;
        }
        let ids: Vec<u64> = self.shifts.live.keys().copied().collect();
        for id in ids {
            let Some(record) = self.shifts.kept.get(&id).map(|(record, _)| record.clone()) else { continue };
            let busy = self.shifts.live.get(&id).is_none_or(|live| live.queued || live.retry_at.is_some_and(|at| now.mono < at));
            if busy || record.phase == Phase::Paused || self.configuration.estate.service_named(&record.service).is_none() {
                continue;
            }
            self.measure(id, &record, now, effects);
            let what = self.next_move(id, &record, now);
            if let Some(live) = self.shifts.live.get_mut(&id) {
                live.retry_at = None;
                // What the store refused is not wanted any more.
                live.degraded = live.degraded.take().filter(|_| what.is_some());
            }
            if let Some(what) = what {
                let reason = match &what {
                    Move::Halt { halt, .. } => halt.message.clone(),
                    Move::Advance { .. } => record.reason.clone(),
                };
                let aborts = matches!(what, Move::Halt { abort: true, .. });
                let waiting = Waiting {
                    ticket: BY_ITSELF,
                    origin: Origin::default(),
                    actor: Actor(record.actor.clone()),
                    reason,
                    change: Change::ShiftMove { id, what },
                    expect: None,
                    expect_file: None,
                    break_glass: record.break_glass.clone(),
                    confirmed: true,
                    dry_run: false,
                    clients: None,
                };
                // An abort waits for nobody.
                if aborts {
                    self.commits.waiting.push_front(waiting);
                } else {
                    self.commits.waiting.push_back(waiting);
                }
                if let Some(live) = self.shifts.live.get_mut(&id) {
                    live.queued = true;
                }
            }
        }
    }

    fn next_move(&self, id: u64, record: &ShiftRecord, now: Now) -> Option<Move> {
        if self.guard.blind().is_none()
            && let Some(halt) = self.suffering(record)
        {
            return Some(Move::Halt { from: record.step, halt, abort: record.abort_when.contains(&AbortWhen::TargetUnhealthy) });
        }
        if let Some(failing) = self.failing(id, record) {
            return Some(failing);
        }
        let live = self.shifts.live.get(&id)?;
        if record.phase != Phase::Progressing || live.due.is_none_or(|due| now.mono < due) || live.waits_for_analyses() {
            return None;
        }
        if let Some(why) = self.blind_because() {
            let service = &record.service;
            let hint = format!("wait until it sees again (windrose status), then windrose shift retry {service}; or windrose shift abort {service}");
            let halt = Halt { code: "blind".to_string(), message: format!("this node is blind: {why}"), value: None, limit: None, hint };
            return Some(Move::Halt { from: record.step, halt, abort: false });
        }
        Some(Move::Advance { from: record.step })
    }

    /// A child that gains and can't answer.
    fn suffering(&self, record: &ShiftRecord) -> Option<Halt> {
        let estate = &self.configuration.estate;
        let service = estate.service_named(&record.service)?;
        let view = self.service(service);
        record.gainers().into_iter().find_map(|child| {
            let state = policy::child_state(&self.facts(), Some(service), policy::child_named(view.policy, estate, child)?);
            if state.is_usable() {
                return None;
            }
            let why = if state.state == State::Up { "is drained" } else { "is not up" };
            let name = &record.service;
            let hint = format!("windrose describe pool {child}; when it is well: windrose shift retry {name}; to go back: windrose shift abort {name}");
            Some(Halt { code: "target_unhealthy".to_string(), message: format!("{child} {why}, and it gains by this shift"), value: None, limit: None, hint })
        })
    }

    /// A move that the core asked itself for was not made: the store refused, or something is wrong that only it can mend.
    pub(in crate::control) fn shift_not_moved(&mut self, id: u64, why: &str, now: Now, effects: &mut Effects) {
        let Some((record, _)) = self.shifts.kept.get(&id) else { return };
        let (service, actor, step, of) = (record.service.clone(), record.actor.clone(), record.step + 1, record.steps.len());
        let Some(live) = self.shifts.live.get_mut(&id) else { return };
        live.queued = false;
        live.retry_at = Some(now.mono + RETRY);
        if live.degraded.replace(why.to_string()).is_none() {
            let text = format!("shift s-{id} of {service} stays at step {step} of {of}: {why}; it is tried again every second");
            effects.push(Effect::Tell(Notice::Shift { service, shift: id, happened: "degraded", text, actor }));
        }
    }

    /// A commit of the core's own failed: the shift that it was about is tried again.
    pub(in crate::control) fn shift_commit_failed(&mut self, ops: &[Op], why: &str, now: Now, effects: &mut Effects) {
        for op in ops {
            if let Key::Shift(id) = op.key() {
                self.shift_not_moved(*id, why, now, effects);
            }
        }
    }

    /// A move that turned out to be nothing.
    pub(in crate::control) fn shift_stays(&mut self, id: u64) {
        if let Some(live) = self.shifts.live.get_mut(&id) {
            live.queued = false;
        }
    }
}
