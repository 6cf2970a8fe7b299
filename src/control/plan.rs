//! From a wish to a commit: looked up, checked, decided as if it were done (SEMANTICS, 15–20). A dry run ends there, with the same answer.

use std::sync::Arc;

use crate::model::{Family, Node, Now, PoolId, ServiceId, did_you_mean};
use crate::policy::{self, Facts, Memory};

use super::change::{Applied, Change, Fault, Move, Refusal, RefusalKind};
use super::commits::{InFlight, WAITING_MAX, Waiting};
use super::core::{Core, StoreState};
use super::event::{Effect, Effects, Notice};
use super::overrides::Overrides;
use super::plan_overrides::until;
use super::record::{Key, Op, OverrideRecord, Record, Source, TokenRecord};

/// A checked wish, ready to be committed.
pub(super) struct Plan {
    pub ops: Vec<Op>,
    pub applied: Applied,
    pub notices: Vec<Notice>,
}

/// A service as it would be.
pub(super) struct Imagined {
    pub service: ServiceId,
    pub tree: Arc<Node>,
    pub memory: Memory,
}

impl Core {
    /// A wish comes in.
    pub(super) fn wish(&mut self, waiting: Waiting, dry_run: bool, now: Now, effects: &mut Effects) {
        let ticket = waiting.ticket;
        if dry_run {
            let reply = self.plan_change(&waiting, now).map(|plan| Applied { dry_run: true, ..plan.applied });
            effects.push(Effect::Reply { ticket, reply });
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
        let ticket = waiting.ticket;
        match self.plan_change(&waiting, now) {
            Err(refusal) => effects.push(Effect::Reply { ticket, reply: Err(refusal) }),
            Ok(Plan { ops, applied, .. }) if ops.is_empty() => self.replies.push((ticket, applied)),
            Ok(Plan { ops, applied, notices }) => {
                let commit = self.commits.number();
                let mut ops = ops;
                ops.extend(self.audit_change(&waiting, &ops, &applied, now));
                ops.extend(self.pending_events(&notices));
                effects.push(Effect::Commit { commit, expect: Vec::new(), ops: ops.clone(), learned: false });
                self.commits.in_flight = Some((commit, InFlight::Change { ticket, ops, applied: Box::new(applied), notices }));
            }
        }
    }

    fn plan_change(&self, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let Waiting { actor, reason, change, .. } = waiting;
        match change {
            Change::Traffic { service, form } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.set_traffic(service, Some(form.clone()), "set", actor, reason, now)
            }
            Change::Failover { service, to } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                let form = self.failover_form(service, to.as_deref())?;
                self.set_traffic(service, Some(form), "failover", actor, reason, now)
            }
            Change::Undo { service, to } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                let form = self.undo_form(service, *to)?;
                self.set_traffic(service, form, "undo", actor, reason, now)
            }
            Change::Failback { service, pool } => {
                let service = self.known_service(service)?;
                self.expected(service, waiting)?;
                self.end_holds(service, pool.as_deref(), actor, now)
            }
            Change::Override { kind, target, services, lasts } => {
                self.expected_store(waiting)?;
                self.begin_override(*kind, target, services, *lasts, actor, reason, now)
            }
            Change::Extend { id, lasts } => {
                let kept = self.kept_override(*id, waiting)?;
                let record = OverrideRecord { ends: lasts.map(|lasts| now.wall.plus(lasts)), ..kept };
                let text = format!("o-{id}: {} of {} {}", record.kind.word(), record.target, until(*lasts));
                Ok(self.override_plan(*id, Some(record), text, actor, now))
            }
            Change::EndOverride { id } => {
                let kept = self.kept_override(*id, waiting)?;
                let text = format!("o-{id}: {} of {} ended", kept.kind.word(), kept.target);
                Ok(self.override_plan(*id, None, text, actor, now))
            }
            Change::Token { id, record } => self.keep_token(id, record, now),
            Change::RevokeToken { id } => {
                let found = self.tokens.iter().find(|(key, record)| ***key == **id || record.name == *id).map(|(key, _)| key.clone());
                let key = found.ok_or_else(|| Refusal::new(RefusalKind::NotFound, format!("there is no token `{id}`; see `windrose token list`")))?;
                Ok(self.plan_of(vec![Op::Delete(Key::Token(key))], now))
            }
        }
    }

    pub(super) fn plan_of(&self, ops: Vec<Op>, now: Now) -> Plan {
        let applied = Applied::nothing(self.revision, now.wall);
        Plan { ops, applied, notices: Vec::new() }
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

    fn keep_token(&self, id: &Arc<str>, record: &TokenRecord, now: Now) -> Result<Plan, Refusal> {
        if self.tokens.values().any(|known| known.name == record.name) {
            let detail = format!("there is a token called `{}` already; revoke it first or choose another name", record.name);
            let fault =
                Fault { pointer: "/name".to_string(), code: "name-taken", message: detail.clone(), hint: format!("windrose token revoke {}", record.name) };
            return Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::InvalidRequest, detail) });
        }
        Ok(self.plan_of(vec![Op::Put(Key::Token(id.clone()), Record::Token(record.clone()))], now))
    }

    pub(super) fn service_memory(&self, service: ServiceId) -> Memory {
        self.services.get(service.index()).map(|state| (*state.memory).clone()).unwrap_or_default()
    }

    /// What would be answered, beside what is. `all`: also services whose shares stay.
    pub(super) fn moves(&self, imagined: &[Imagined], overrides: &Overrides, now: Now, all: bool) -> Vec<Move> {
        let estate = &self.configuration.estate;
        let facts = Facts { overrides: &overrides.resolved, ..self.facts() };
        let named = |shares: Vec<(PoolId, f64)>| shares.into_iter().map(|(pool, share)| (estate.pool(pool).name.clone(), share)).collect::<Vec<_>>();
        let mut moves = Vec::new();
        for Imagined { service, tree, memory } in imagined {
            let definition = estate.service(*service);
            let family = self.main_family(*service);
            let decision = policy::decide(definition, tree, &facts, memory, now);
            let before = self.effective(*service, family);
            let after = named(policy::effective(&decision.families[family.index()], tree));
            if all || before != after {
                moves.push(Move { service: *service, name: definition.name.clone(), before, after });
            }
        }
        moves
    }

    /// IPv4 unless no pool of the tree has an IPv4 endpoint.
    pub(super) fn main_family(&self, service: ServiceId) -> Family {
        let estate = &self.configuration.estate;
        let (mut v4, mut v6) = (false, false);
        if let Some(state) = self.services.get(service.index()) {
            state.rules.tree.pools(&mut |pool| {
                v4 |= estate.pool_family(pool, Family::V4).next().is_some();
                v6 |= estate.pool_family(pool, Family::V6).next().is_some();
            });
        }
        if v6 && !v4 { Family::V6 } else { Family::V4 }
    }
}

pub(super) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Refusal {
    let hint = did_you_mean(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Refusal::new(RefusalKind::NotFound, format!("there is no {kind} `{name}`{hint}"))
}

pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}
