//! What is asked about clients: by the file, and by traffic that operators have set. When somebody asks something new, clients are told apart anew.
//!
//! ```text
//! a change asks something new ─▶ it waits; Effect::TellApart ─▶ (aside: databases, prefixes) ─▶ Event::ToldApart ─▶ taken; the change is planned again
//! ```
//!
//! A dry run is planned with the new classes, and they are forgotten. A change has them taken first: nobody is answered otherwise by that alone, for
//! whoever was told apart is so still, and what is decided is only counted by other numbers. So this node answers with it before it is acknowledged.
//!
//! Never here: telling clients apart, which takes a second for a million prefixes. One is under way at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Clients, DatabaseInfo, Questions};
use crate::model::{Choice, Estate, Now, PolicyForm, ServiceId};
use crate::policy::{self, Memory};

use super::change::{Applied, Refusal, RefusalKind};
use super::commits::{InFlight, Waiting};
use super::core::{Cause, Core};
use super::event::{Effect, Effects};
use super::record::{Op, Record, Stored};
use super::services::{Decided, Rules};

/// Changes that may wait for clients to be told apart; one more is refused (503).
const PARKED_MAX: usize = 16;
/// Longest wait for clients to be told apart.
const PATIENCE: Duration = Duration::from_secs(60);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Changes that ask something new, with the policy that does; oldest first.
    parked: VecDeque<(Waiting, PolicyForm)>,
    /// Clients are being told apart; given up at this `mono`.
    until: Option<Duration>,
    /// What was made aside, for databases that were read, lacks what is in force by now.
    again: bool,
}

impl Asking {
    /// When somebody has waited too long.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.until
    }
}

/// A policy that asks about clients itself; those that it names are the file's.
fn asks(form: &PolicyForm) -> bool {
    matches!(form.choice, Choice::Geo(_) | Choice::Nearest(_))
}

/// Policies among what was stored that ask about clients.
pub fn asked_by_stored(stored: &[Stored]) -> Vec<PolicyForm> {
    let form = |stored: &Stored| if let Record::Traffic(record) = &stored.record { record.form.clone() } else { None };
    stored.iter().filter_map(form).filter(asks).collect()
}

impl Core {
    /// Operators' policies that ask about clients: in force, on their way into the store, or waiting for clients to be told apart. Each once.
    pub fn asked_by_operators(&self) -> Vec<PolicyForm> {
        let parked = self.asking.parked.front().map(|(_, form)| form);
        let mut seen = HashSet::new();
        self.asked_in_force().chain(parked).filter(|form| seen.insert((*form).clone())).cloned().collect()
    }

    /// The same, but for what may still be refused.
    fn asked_in_force(&self) -> impl Iterator<Item = &PolicyForm> {
        let in_flight = match &self.commits.in_flight {
            Some((_, InFlight::Change { ops, .. })) => &ops[..],
            _ => &[],
        };
        let in_flight = in_flight.iter().filter_map(|op| if let Op::Put(_, Record::Traffic(record)) = op { record.form.as_ref() } else { None });
        self.traffic.values().filter_map(|(record, _)| record.form.as_ref()).chain(in_flight).filter(|form| asks(form))
    }

    /// Whether `clients` were told apart by all that is asked in this estate.
    pub(super) fn answers_all(&self, clients: &Clients, estate: &Estate) -> bool {
        self.asked_in_force().all(|form| estate.resolve(form).is_err() || clients.answers(&Questions::default().with_forms(estate, [form])))
    }

    /// A change asks something that nobody has asked yet: it waits.
    pub(super) fn park(&mut self, waiting: Waiting, form: PolicyForm, now: Now, effects: &mut Effects) {
        if PARKED_MAX <= self.asking.parked.len() {
            let detail = format!("{PARKED_MAX} changes ask something new about clients already; nothing was changed, try again in a moment");
            effects.push(Effect::Reply { ticket: waiting.ticket, reply: Err(Refusal::new(RefusalKind::StoreUnavailable, detail)) });
            return;
        }
        self.asking.parked.push_back((waiting, form));
        self.have_told_apart(now, effects);
    }

    /// Orders it, if somebody waits and none is under way.
    fn have_told_apart(&mut self, now: Now, effects: &mut Effects) {
        let wanted = self.asking.again || !self.asking.parked.is_empty();
        if wanted && self.asking.until.is_none() {
            self.asking.until = Some(now.mono + PATIENCE);
            effects.push(Effect::TellApart { estate: self.configuration.estate.clone(), asked: self.asked_by_operators() });
        }
    }

    /// Clients were told apart as [`Effect::TellApart`] ordered, or can't be, and why.
    pub(super) fn told_apart(&mut self, of: &Arc<Estate>, made: Result<Arc<Clients>, String>, now: Now, effects: &mut Effects) {
        self.asking.until = None;
        // After a reload all is asked anew.
        if Arc::ptr_eq(of, &self.configuration.estate)
            && let Some((waiting, form)) = self.asking.parked.pop_front()
        {
            let asked = Questions::default().with_forms(of, [&form]);
            match made {
                Ok(clients) if waiting.dry_run && clients.answers(&asked) => {
                    if self.asking.again {
                        self.take_clients(clients.clone(), now);
                    }
                    let ticket = waiting.ticket;
                    let reply = self.planned(Waiting { clients: Some(clients), ..waiting }, now).map(|plan| Applied { dry_run: true, ..plan.applied });
                    effects.push(Effect::Reply { ticket, reply });
                }
                // It was ordered for another one, whose time was over.
                Ok(clients) if !clients.answers(&asked) => self.asking.parked.push_front((waiting, form)),
                Ok(clients) => {
                    self.take_clients(clients, now);
                    self.commits.waiting.push_front(waiting);
                    self.next_commit(now, effects);
                }
                Err(why) => self.refuse_parked(waiting, format!("clients can't be told apart as this policy wishes: {why}; nothing was changed"), effects),
            }
        } else if Arc::ptr_eq(of, &self.configuration.estate) {
            match made {
                Ok(clients) if self.answers_all(&clients, of) => self.take_clients(clients, now),
                Ok(_) => {}
                // What counts stays.
                Err(_) => self.asking.again = false,
            }
        }
        self.have_told_apart(now, effects);
    }

    /// Who waited too long is refused.
    pub(super) fn give_up_asking(&mut self, now: Now, effects: &mut Effects) {
        if self.asking.until.is_some_and(|until| until <= now.mono) {
            self.asking.until = None;
            for (waiting, _) in std::mem::take(&mut self.asking.parked) {
                let detail = format!("telling clients apart as this policy wishes took more than {} s; nothing was changed, try again", PATIENCE.as_secs());
                effects.push(Effect::Reply { ticket: waiting.ticket, reply: Err(Refusal::new(RefusalKind::StoreUnavailable, detail)) });
            }
        }
    }

    fn refuse_parked(&self, waiting: Waiting, detail: String, effects: &mut Effects) {
        effects.push(Effect::Reply { ticket: waiting.ticket, reply: Err(Refusal::new(RefusalKind::InvalidRequest, detail)) });
    }

    /// Databases were read anew.
    pub(super) fn databases_read(&mut self, of: &Arc<Estate>, clients: Arc<Clients>, databases: Arc<[DatabaseInfo]>, now: Now, effects: &mut Effects) {
        if !Arc::ptr_eq(of, &self.configuration.estate) {
            return;
        }
        self.configuration.databases = databases;
        if self.answers_all(&clients, of) {
            self.take_clients(clients, now);
        } else {
            self.asking.again = true;
            self.have_told_apart(now, effects);
        }
    }

    /// Clients fall into other classes. Who is frozen, and everybody while the node is blind, keeps what was decided, by the new numbers (SEMANTICS, 18
    /// and 27); the others are decided anew.
    fn take_clients(&mut self, clients: Arc<Clients>, now: Now) {
        let old = std::mem::replace(&mut self.configuration.clients, clients);
        self.reclassified = true;
        self.asking.again = false;
        self.classify_asked = None;
        let estate = self.configuration.estate.clone();
        let apart: HashSet<ServiceId> = self.overrides.resolved.iter().filter_map(|limited| limited.services.as_ref()).flatten().copied().collect();
        let mut known: HashMap<(*const Rules, *const Memory, *const Decided), Arc<Decided>> = HashMap::new();
        for service in (0..self.services.len()).map(ServiceId::at) {
            let Some(state) = self.services.get(service.index()) else { continue };
            if state.unusable.is_some() {
                // It may be that only this kept it from being used.
                self.rethink(service);
                continue;
            }
            if !state.rules.tree.asks_about_clients() {
                continue;
            }
            let (rules, memory, before) = (state.rules.clone(), state.memory.clone(), state.decided.clone());
            if let Some(before) = before {
                let place = (&*rules as *const Rules, &*memory as *const Memory, &*before as *const Decided);
                let decided = match known.get(&place).filter(|_| !apart.contains(&service)) {
                    Some(decided) => decided.clone(),
                    None => {
                        let counterparts = self.configuration.clients.counterparts(&old, &Questions::of_tree(&rules.tree, &estate));
                        let fresh = || policy::decide(estate.service(service), &rules.tree, &self.facts(), &memory, now);
                        let decision = before.decision.renumbered(&counterparts, fresh);
                        let decided = self.shares.decided(&estate, &rules, decision, &mut self.cells);
                        known.insert(place, decided.clone());
                        decided
                    }
                };
                if let Some(state) = self.services.get_mut(service.index()) {
                    state.decided = Some(decided);
                    self.renumbered.push(service);
                }
            }
            self.touch(service, Cause::Clients);
        }
    }
}
