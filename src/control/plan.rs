//! From a wish to a commit: looked up, checked, decided as if it were done (SEMANTICS, 15–20). A dry run ends there, with the same answer.

use std::sync::Arc;

use crate::model::{Answering, Family, Node, Now, ServiceId, did_you_mean};
use crate::policy::Memory;

use super::change::{Applied, Beside, Change, Refusal, RefusalKind};
use super::commits::{InFlight, WAITING_MAX, Waiting};
use super::confirm;
use super::core::{Core, StoreState};
use super::event::{Effect, Effects, Notice};
use super::guards::Act;
use super::plan_overrides::{ending, until};
use super::record::{Expect, Key, Op, OverrideRecord, OverrideWord, Source};

/// A checked wish, ready to be committed.
pub(super) struct Plan {
    pub ops: Vec<Op>,
    pub applied: Applied,
    pub notices: Vec<Notice>,
    /// What must be found (SEMANTICS, 19).
    pub expect: Vec<(Key, Expect)>,
    /// Services for which this counts as a change of the hour.
    pub rated: Vec<Arc<str>>,
}

/// A service as it would be.
pub(super) struct Imagined {
    pub service: ServiceId,
    pub tree: Arc<Node>,
    pub memory: Memory,
    /// Tree and memory are those in force.
    pub as_is: bool,
}

impl Core {
    /// A wish comes in.
    pub(super) fn wish(&mut self, waiting: Waiting, now: Now, effects: &mut Effects) {
        let ticket = waiting.ticket;
        if waiting.dry_run {
            let planned = self.planned(waiting.clone(), now);
            match planned.as_ref().err().and_then(Refusal::asks).cloned() {
                Some(form) => self.park(waiting, form, now, effects),
                None => effects.push(Effect::Reply { ticket, reply: planned.map(|plan| Applied { dry_run: true, ..plan.applied }) }),
            }
        } else if self.store == StoreState::Absent {
            let refusal = Refusal::new(
                RefusalKind::StoreUnavailable,
                "this server runs without its store (--without-store), so nothing can be changed; restart it with the store",
            );
            effects.push(Effect::Reply { ticket, reply: Err(refusal) });
        } else if self.commits.waiting.len() >= WAITING_MAX {
            let refusal = Refusal::new(
                RefusalKind::StoreUnavailable,
                format!("{WAITING_MAX} changes wait for the store already; nothing was changed, try again in a moment"),
            );
            effects.push(Effect::Reply { ticket, reply: Err(refusal) });
        } else {
            self.commits.waiting.push_back(waiting);
            self.next_commit(now, effects);
        }
    }

    /// A wish's turn: a commit, or a refusal at once.
    pub(super) fn start_change(&mut self, waiting: Waiting, now: Now, effects: &mut Effects) {
        let (ticket, asked) = (waiting.ticket, waiting.clone());
        let planned = self.meant(waiting, now).and_then(|meant| self.plan_change(&meant, now).map(|plan| (plan, meant)));
        if let Some(form) = planned.as_ref().err().and_then(Refusal::asks).cloned() {
            return self.park(asked, form, now, effects);
        }
        match planned {
            Err(refusal) => {
                if let Change::ShiftMove { id, .. } = asked.change {
                    self.shift_not_moved(id, &refusal.detail, now, effects);
                }
                if refusal.kind == RefusalKind::GuardRefused {
                    effects.push(Effect::Tell(refused_notice(&asked, &refusal)));
                }
                let keeps = refusal.kind == RefusalKind::ConfirmationNeeded && !refusal.guards.is_empty();
                let refusal = if keeps { self.keep_for_confirmation(asked.clone(), refusal, now) } else { refusal };
                effects.extend(refusal.confirmation.map(|id| Effect::Tell(confirm::asked(id, &asked))));
                match refusal.confirmation {
                    Some(_) => self.confirmations.answers.push((ticket, Err(refusal))),
                    None => effects.push(Effect::Reply { ticket, reply: Err(refusal) }),
                }
            }
            Ok((Plan { ops, applied, .. }, _)) if ops.is_empty() => {
                if let Change::ShiftMove { id, .. } = asked.change {
                    self.shift_stays(id);
                }
                self.replies.push((ticket, applied));
            }
            Ok((Plan { mut ops, applied, mut notices, expect, rated }, meant)) => {
                if let Change::Confirm { id } = asked.change {
                    self.confirmations.forget(id);
                    notices.push(confirm::made(id, &meant));
                }
                let commit = self.commits.number();
                ops.extend(self.claim_ops(meant.origin.claim.as_ref(), &applied, now));
                ops.extend(self.audit_change(&meant, &ops, &applied, now));
                ops.extend(self.pending_events(&notices));
                effects.push(Effect::Commit { commit, expect, ops: ops.clone(), learned: false });
                self.commits.in_flight = Some((commit, InFlight::Change { ticket, ops, applied: Box::new(applied), notices, rated }));
            }
        }
    }

    /// The plan of a wish, or of the one that it confirms.
    pub(super) fn planned(&self, waiting: Waiting, now: Now) -> Result<Plan, Refusal> {
        self.plan_change(&self.meant(waiting, now)?, now)
    }

    /// The wish itself, or the one that it confirms: asked for by one, made from where the second is.
    fn meant(&self, waiting: Waiting, now: Now) -> Result<Waiting, Refusal> {
        match waiting.change {
            Change::Confirm { id } => {
                let confirmed = self.confirmed(id, waiting.ticket, &waiting.actor, waiting.dry_run, now)?;
                Ok(Waiting { origin: waiting.origin, clients: waiting.clients, ..confirmed })
            }
            _ => Ok(waiting),
        }
    }

    pub(super) fn plan_change(&self, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        self.plan_of_change(&waiting.change, waiting, now)
    }

    fn plan_of_change(&self, change: &Change, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        match change {
            Change::Shift { service, wanted } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.begin_shift(service, wanted, waiting, now)
            }
            Change::ShiftOrder { id, order } => self.order_shift(*id, *order, waiting, now),
            Change::ShiftMove { id, what } => self.move_shift(*id, what, waiting, now),
            Change::EndingShift(change) => self.plan_of_change(change, waiting, now),
            Change::Traffic { service, form } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.may_move(service)?;
                self.move_traffic(service, Some(form.clone()), Act::Split, waiting, now)
            }
            Change::Failover { service, to } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.may_move(service)?;
                let form = self.failover_form(service, to.as_deref())?;
                self.move_traffic(service, Some(form), Act::Failover, waiting, now)
            }
            Change::Undo { service, to } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                let form = self.undo_form(service, *to)?;
                // Back to the file is where the file wants it.
                if form.is_some() {
                    self.may_move(service)?;
                }
                self.move_traffic(service, form, Act::Undo, waiting, now)
            }
            Change::Failback { service, pool } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.end_holds(service, pool.as_deref(), waiting, now)
            }
            Change::Override { kind, target, services, lasts } => {
                self.expected_store(waiting)?;
                self.begin_override(*kind, target, services, *lasts, waiting, now)
            }
            Change::Extend { id, lasts } => {
                let kept = self.kept_override(*id, waiting)?;
                if lasts.is_none() && kept.kind == OverrideWord::Approve {
                    return Err(Refusal::new(RefusalKind::InvalidRequest, "an approval needs an end; nothing was changed"));
                }
                if lasts.is_none() {
                    self.may_be_endless(kept.kind, &kept.target, &kept.services)?;
                }
                let record = OverrideRecord { ends: lasts.map(|lasts| now.wall.plus(lasts)), overridden: Vec::new(), ..kept };
                let text = format!("o-{id}: {} of {} {}", record.kind.word(), record.target, until(*lasts));
                self.override_plan(*id, Some(record), Act::Extend, text, waiting, now)
            }
            Change::EndOverride { id } => {
                let kept = self.kept_override(*id, waiting)?;
                let text = format!("o-{id}: {} of {} ended", kept.kind.word(), kept.target);
                self.override_plan(*id, None, ending(kept.kind), text, waiting, now)
            }
            Change::Gate { name, on } => self.switch_gate(name, *on, waiting, now),
            Change::Confirm { .. } => {
                Err(Refusal::new(RefusalKind::InvalidRequest, "a confirmation makes what was asked for and nothing else; leave end_shift and at out"))
            }
            Change::Schedule { moment, change } => self.set_schedule(*moment, change, waiting, now),
            Change::CancelSchedule { id } => self.cancel_schedule(*id, waiting, now),
            Change::Fire { id } => self.fire_schedule(*id, now),
            Change::Token { id, record } => self.keep_token(id, record, now),
            Change::RevokeToken { id } => self.revoke_token(id, now),
        }
    }

    pub(super) fn plan_of(&self, ops: Vec<Op>, now: Now) -> Plan {
        let applied = Applied::nothing(self.revision, now.wall);
        Plan { ops, applied, notices: Vec::new(), expect: Vec::new(), rated: Vec::new() }
    }

    pub(super) fn known_service(&self, name: &str) -> Result<ServiceId, Refusal> {
        let estate = &self.configuration.estate;
        estate.service_named(name).ok_or_else(|| unknown("service", name, estate.services.iter().map(|service| &*service.name)))
    }

    /// `If-Match` on a service (SEMANTICS, 20).
    fn expected(&self, service: ServiceId, waiting: &Waiting) -> Result<(), Refusal> {
        let view = self.service(service);
        let stale = waiting.expect.is_some_and(|expect| expect != view.revision)
            || waiting.expect_file.is_some_and(|hash| view.source != Source::File || hash != view.file_hash);
        if !stale {
            return Ok(());
        }
        let by = view.traffic.map(|record| format!(", changed by {} at {}{}", record.actor, record.at, because(&record.reason))).unwrap_or_default();
        let detail = format!(
            "traffic of `{}` is not as you saw it: it is at revision {}{by}; nothing was changed, look at it and decide again",
            view.service.name, view.revision.0
        );
        Err(Refusal { revision: Some(view.revision), ..Refusal::new(RefusalKind::RevisionMismatch, detail) })
    }

    /// `If-Match` on something that has only the store's counter.
    fn expected_store(&self, waiting: &Waiting) -> Result<(), Refusal> {
        if waiting.expect.is_none_or(|expect| expect == self.revision) {
            return Ok(());
        }
        let detail = format!("the store is at revision {}; nothing was changed, look and decide again", self.revision.0);
        Err(Refusal { revision: Some(self.revision), ..Refusal::new(RefusalKind::RevisionMismatch, detail) })
    }

    pub(super) fn service_memory(&self, service: ServiceId) -> Memory {
        self.services.get(service.index()).map(|state| (*state.memory).clone()).unwrap_or_default()
    }

    /// IPv4 unless no pool of the tree has an IPv4 endpoint.
    pub(super) fn main_family(&self, service: ServiceId) -> Family {
        let estate = &self.configuration.estate;
        let (mut v4, mut v6) = (false, false);
        if let Some(state) = self.services.get(service.index()) {
            state.rules.tree.pools(&mut |pool| {
                v4 |= self.health.pool_has(estate, pool, Family::V4);
                v6 |= self.health.pool_has(estate, pool, Family::V6);
            });
        }
        let by_name = estate.service(service).answer == Answering::Cname;
        if v6 && !v4 && !by_name { Family::V6 } else { Family::V4 }
    }
}

pub(super) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Refusal {
    let near = did_you_mean(name, known);
    let hint = near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Refusal { beside: near.map(Beside::Nearest).map(Box::new), ..Refusal::new(RefusalKind::NotFound, format!("there is no {kind} `{name}`{hint}")) }
}

pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// For people and the counter of refusals.
pub(super) fn refused_notice(waiting: &Waiting, refusal: &Refusal) -> Notice {
    let mut guards: Vec<String> = refusal.guards.iter().map(|finding| finding.guard.word().to_string()).collect();
    guards.dedup();
    let sentences = refusal.guards.iter().map(|finding| format!("{}: {}", finding.guard.word(), finding.message)).collect::<Vec<_>>().join("; ");
    Notice::GuardRefused { guards, text: format!("guards refused a change: {sentences}"), actor: waiting.actor.0.clone() }
}
