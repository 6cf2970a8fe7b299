//! A new configuration: all or nothing (SEMANTICS, 15 and 16).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::health::Guard;
use crate::model::{Estate, JudgementId, Now};
use crate::policy::Memory;

use super::change::{Applied, Beside, Fault, Refusal, RefusalKind};
use super::core::{Core, Hurry, Serving};
use super::event::{Configuration, Effect, Effects, Notice, Ticket};
use super::guards::GuardFinding;
use super::reload_guards::{ReloadBy, sentences};

impl Core {
    pub(super) fn reload(&mut self, ticket: Ticket, next: Configuration, by: &ReloadBy, now: Now, effects: &mut Effects) {
        if !self.answers_all(&next.clients, &next.estate) {
            let why = "what operators' traffic asks about clients changed while the file was read; nothing was changed, reload once more";
            let refusal = Refusal { beside: self.asked_by_operators().pop().map(Beside::Asks).map(Box::new), ..Refusal::new(RefusalKind::InvalidRequest, why) };
            effects.push(Effect::Reply { ticket, reply: Err(refusal) });
            return;
        }
        let faults = self.unusable_after(&next);
        if !faults.is_empty() {
            let refusal = Refusal {
                faults,
                ..Refusal::new(
                    RefusalKind::InvalidRequest,
                    "the new file lacks names that operators' traffic uses; nothing was changed, the old configuration serves on",
                )
            };
            effects.push(Effect::Reply { ticket, reply: Err(refusal) });
            return;
        }
        let overridden = match self.reload_through_guards(&next, by, now) {
            Ok(overridden) => overridden,
            Err(refusal) => {
                if refusal.kind == RefusalKind::GuardRefused {
                    let text = format!("guards refused a reload: {}", sentences(&refusal.guards));
                    effects.push(Effect::Tell(Notice::GuardRefused { guards: words_once(&refusal.guards), text, actor: by.actor.clone() }));
                }
                effects.push(Effect::Reply { ticket, reply: Err(refusal) });
                return;
            }
        };
        let mut messages = self.messages_of(&next);
        self.audit_reload(by, &next.hash, &overridden);
        effects.extend(overridden.into_iter().map(Effect::Tell));
        let old = std::mem::replace(&mut self.configuration, next);
        self.configured_at = now.wall;
        effects.extend(self.confirmations.forget_all(now).into_iter().map(Effect::Tell));
        self.waiting_told.clear();
        let estate = self.configuration.estate.clone();
        let guard = self.guard.names(&old.estate);
        self.health = self.health.carried_over(&old.estate, &estate, now);
        self.pushes = self.pushes.carried_over(&old.estate, &estate, now);
        self.guard = Guard::from_names(&guard, &estate, &self.health, now);
        let kept: BTreeSet<&Arc<str>> = estate.judgements.iter().map(|judgement| &judgement.key).collect();
        let forgotten: Vec<Arc<str>> = old.estate.judgements.iter().map(|judgement| &judgement.key).filter(|key| !kept.contains(key)).cloned().collect();
        self.carry_learned(&old, forgotten);
        let returning = self.returning(&old.estate);
        self.build_services();
        self.go_on_returning(returning);
        self.overrides.resolve(&estate);
        self.freshness.set_estate(&estate);
        self.review_freshness(now, effects);
        self.take_loads(now, effects);
        let without_room = self.latency.set_rules(estate.latency);
        self.commits.learned.latency.extend(without_room);
        self.classify_asked = None;
        self.plan += 1;
        self.plan_due = Some(Hurry(false));
        self.rebuild = true;
        let unresolved = self.unresolved();
        if let Serving::FirstRound { unknown, .. } = &mut self.serving {
            *unknown = estate.judged_by_probes() + unresolved;
        }
        let text = format!(
            "configuration taken: {}, {}, {}, {}",
            counted(estate.services.len(), "service"),
            counted(estate.pools.len(), "pool"),
            counted(estate.targets.len(), "target"),
            counted(self.configuration.zones.len(), "zone")
        );
        effects.push(Effect::Tell(Notice::Reloaded { text: text.clone() }));
        for state in self
            .services
            .iter()
            .zip(&estate.services)
            .filter_map(|(state, service)| state.unusable.as_deref().map(|why| (service.name.clone(), why.to_string())))
        {
            effects.push(Effect::Tell(Notice::TrafficUnusable { service: state.0, text: state.1 }));
        }
        messages.insert(0, text);
        let applied = Applied { messages, ..Applied::nothing(self.revision, now.wall) };
        self.replies.push((ticket, applied));
    }

    /// Memories of services that take a pool back step by step, as they go on in the estate in force. The store keeps no steps.
    fn returning(&self, old: &Estate) -> Vec<(Arc<str>, Memory)> {
        let services = old.services.iter().zip(&self.services).filter(|(_, state)| !state.memory.stages.is_empty());
        services.map(|(service, state)| (service.name.clone(), super::memory::carried(old, &state.memory, &self.configuration.estate))).collect()
    }

    fn go_on_returning(&mut self, memories: Vec<(Arc<str>, Memory)>) {
        for (name, memory) in memories {
            let memory = self.shares.memory(memory);
            let id = self.configuration.estate.service_named(&name);
            if let Some(state) = id.and_then(|id| self.services.get_mut(id.index())) {
                state.memory = memory;
            }
        }
    }

    /// Memories go to their names; learned state that waits is translated to the new ids (all that is known is written again: cheap and safe).
    fn carry_learned(&mut self, old: &Configuration, forgotten: Vec<Arc<str>>) {
        let in_flight = match &self.commits.in_flight {
            Some((_, super::commits::InFlight::Learned(batch))) => batch.probes.clone(),
            _ => BTreeSet::new(),
        };
        let writing = std::mem::take(&mut self.commits.learned.probes).into_iter().chain(in_flight);
        self.probes.carry_over(&old.estate, &self.configuration.estate, writing);
        let verdicts: BTreeSet<Arc<str>> = self.commits.learned.verdicts.iter().map(|judgement| old.estate.judgement(*judgement).key.clone()).collect();
        let memories: BTreeSet<Arc<str>> = self.commits.learned.memories.iter().map(|service| old.estate.service(*service).name.clone()).collect();
        for (service, state) in old.estate.services.iter().zip(&self.services) {
            self.spare_memories.insert(service.name.clone(), Arc::new(super::memory::remember(&old.estate, &state.memory)));
        }
        let estate = &self.configuration.estate;
        self.commits.learned.verdicts = (0..estate.judgements.len()).map(JudgementId::at).filter(|id| verdicts.contains(&estate.judgement(*id).key)).collect();
        self.commits.learned.memories =
            (0..estate.services.len()).map(crate::model::ServiceId::at).filter(|id| memories.contains(&estate.service(*id).name)).collect();
        self.commits.learned.forgotten.extend(forgotten);
        // A batch in flight names ids of the old estate; if it fails there is nothing to put back but a full rewrite.
        if let Some((_, super::commits::InFlight::Learned(batch))) = &mut self.commits.in_flight {
            let lost = std::mem::take(batch);
            if !lost.is_empty() {
                self.commits.learned.serials.extend(lost.serials.iter().cloned());
                self.commits.learned.hosts.extend(lost.hosts);
                self.commits.learned.moved |= lost.moved;
                self.commits.learned.hosts_gone.extend(lost.hosts_gone);
                self.commits.learned.replies.extend(lost.replies);
                self.commits.learned.answers.extend(lost.answers);
                self.commits.learned.latency.extend(lost.latency);
                self.commits.learned.latency_told.extend(lost.latency_told);
                let known = |id: &JudgementId| self.health.judgement(*id).state != crate::health::State::Unknown;
                self.commits.learned.verdicts = (0..estate.judgements.len()).map(JudgementId::at).filter(known).collect();
                self.commits.learned.memories = (0..estate.services.len()).map(crate::model::ServiceId::at).collect();
                self.commits.learned.ended.extend(lost.ended);
                self.commits.learned.forgotten.extend(lost.forgotten);
            }
        }
    }

    /// Traffic in force that the new file could not serve.
    pub(super) fn unusable_after(&self, next: &Configuration) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (name, (record, revision)) in &self.traffic {
            let (Some(form), Some(after)) = (&record.form, next.estate.service_named(name)) else { continue };
            if next.estate.managed.contains_key(name) {
                continue;
            }
            let estate = &self.configuration.estate;
            let usable_now = estate.service_named(name).is_some_and(|now| estate.resolve_for(estate.service(now), form).is_ok());
            if let (true, Err(errors)) = (usable_now, next.estate.resolve_for(next.estate.service(after), form)) {
                let why = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                faults.push(Fault {
                    pointer: format!("/service/{name}"),
                    code: "traffic-unusable",
                    message: format!("traffic of `{name}` (revision {}, set by {} at {}) would be unusable: {why}", revision.0, record.actor, record.at),
                    hint: format!("keep the name in the file, or give the traffic back to it first: windrose undo {name} --to file"),
                });
            }
        }
        faults
    }

    /// Services whose policy changed in the file under an operator's (SEMANTICS, 15).
    pub(super) fn overruled(&self, next: &Configuration) -> Vec<String> {
        let mut messages = Vec::new();
        for service in &next.estate.services {
            let Some((record, revision)) = self.traffic.get(&service.name) else { continue };
            if next.estate.managed.contains_key(&service.name) {
                continue;
            }
            let before = self.configuration.estate.service_named(&service.name).map(|id| &self.configuration.estate.service(id).form);
            if record.form.is_some() && before.is_some_and(|before| *before != service.form) {
                let name = &service.name;
                messages.push(format!("the file's policy of `{name}` changed, but traffic set by {} (revision {}) goes before it; to follow the file: windrose undo {name} --to file", record.actor, revision.0));
            }
        }
        messages
    }

    /// Zones whose content changed under the same serial (SEMANTICS, 23).
    pub(super) fn unraised_serials(&self, next: &Configuration) -> Vec<String> {
        let mut messages = Vec::new();
        for zone in &next.zones {
            let Some(before) = self.configuration.zones.iter().find(|before| before.apex == zone.apex) else { continue };
            // Those with secondaries count up by themselves.
            if before.sets != zone.sets && before.serial() == zone.serial() && next.estate.secondaries_of(&zone.apex).is_empty() {
                messages.push(format!(
                    "zone {} changed but its serial {} did not; raise it so that people and secondaries can see the difference",
                    zone.apex,
                    zone.serial()
                ));
            }
        }
        messages
    }
}

fn words_once(findings: &[GuardFinding]) -> Vec<String> {
    let mut words: Vec<String> = findings.iter().map(|finding| finding.guard.word().to_string()).collect();
    words.dedup();
    words
}

/// `1 zone`, `2 zones`.
pub(super) fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
