//! Which services are explained otherwise than before. After publishing, for those that were touched; each group that is decided alike once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, hash_map::Entry};

use crate::client::{ClassId, Clients};
use crate::health::Blind;
use crate::model::{Estate, Interner, Node, Now, PolicyForm, ServiceId};
use crate::policy::{self, FamilyDecision, Memory, Step};

use super::super::core::{Cause, Core, Serving};
use super::super::event::{Effect, Effects};
use super::super::read::stand;
use super::super::services::{Decided, Rules};
use super::told::{Account, AccountAnswer, AccountClients};
use super::{Accounts, Alike};

/// What was said last, and who has been touched since.
#[derive(Debug, Default)]
pub(in crate::control) struct Watch {
    /// Somebody writes accounts down.
    on: bool,
    /// Touched since, with what touched them.
    touched: Vec<(ServiceId, Cause)>,
    /// When that was settled.
    at: Now,
    /// Something was said already.
    began: bool,
    /// In which way this node was blind. Not its sentence: that has figures, which grow in a storm.
    blind: Option<std::mem::Discriminant<Blind>>,
    /// Whose ids the next two are.
    estate: Arc<Estate>,
    /// By service.
    last: Vec<Option<Arc<Account>>>,
    /// How clients are told apart, by where the tree lies, which is kept so that nothing else comes to lie there.
    clients: HashMap<usize, (Arc<Node>, Arc<Clients>, AccountClients)>,
    known: Interner<Account>,
}

impl Watch {
    /// These have been decided, or would have been.
    pub(in crate::control) fn touched(&mut self, services: &[(ServiceId, Cause)], now: Now) {
        if self.on {
            self.touched.extend_from_slice(services);
            self.at = now;
        }
    }
}

/// Services with the same key are explained alike.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Group {
    rules: *const Rules,
    memory: *const Memory,
    decided: Option<*const Decided>,
    revision: u64,
    frozen: Option<u64>,
    waits: Option<Arc<str>>,
    planned: Option<(Duration, Arc<str>)>,
    /// It is explained by itself.
    alone: Option<ServiceId>,
}

impl Core {
    /// From now on [`Effect::Accounts`] are made. Once, before the first event.
    pub fn keep_accounts(&mut self) {
        self.accounts.on = true;
    }

    /// Everything that was said last: for whoever has lost some of it.
    pub fn accounts(&self) -> Accounts {
        let Watch { at, last, estate, .. } = &self.accounts;
        let mut alike: Vec<Alike> = Vec::new();
        let mut places: HashMap<*const Account, usize> = HashMap::new();
        for (service, account) in last.iter().enumerate() {
            let Some(account) = account else { continue };
            let place = *places.entry(Arc::as_ptr(account)).or_insert_with(|| {
                alike.push(Alike { account: account.clone(), cause: "health", services: Vec::new() });
                alike.len() - 1
            });
            alike.iter_mut().skip(place).take(1).for_each(|alike| alike.services.push(ServiceId::at(service)));
        }
        Accounts { at: at.wall, generation: self.generation, configuration: self.configuration.hash.clone(), estate: estate.clone(), alike }
    }

    /// Says how the services that were touched are explained now, as far as that is new.
    pub(in crate::control) fn tell_accounts(&mut self, effects: &mut Effects) {
        if !self.accounts.on || matches!(self.serving, Serving::FirstRound { .. }) {
            return;
        }
        let blind = self.guard.blind().map(std::mem::discriminant);
        let (estate, now) = (self.configuration.estate.clone(), self.accounts.at);
        if std::mem::replace(&mut self.accounts.blind, blind) != blind {
            let everybody = (0..self.services.len()).map(|at| (ServiceId::at(at), Cause::Guard));
            self.accounts.touched.extend(everybody);
        }
        if self.accounts.touched.is_empty() {
            return;
        }
        if !Arc::ptr_eq(&self.accounts.estate, &estate) {
            self.accounts.estate = estate.clone();
            self.accounts.last = vec![None; estate.services.len()];
            self.accounts.clients.clear();
        }
        let mut touched = std::mem::take(&mut self.accounts.touched);
        // Of several causes the greatest.
        touched.sort_unstable_by_key(|(service, cause)| (*service, std::cmp::Reverse(*cause)));
        touched.dedup_by_key(|(service, _)| *service);
        let began = std::mem::replace(&mut self.accounts.began, true);
        let apart: HashSet<ServiceId> = self.overrides.resolved.iter().filter_map(|limited| limited.services.as_ref()).flatten().copied().collect();
        let mut told: HashMap<Group, Arc<Account>> = HashMap::new();
        let mut alike: Vec<Alike> = Vec::new();
        let mut places: HashMap<(*const Account, &'static str), usize> = HashMap::new();
        for (service, cause) in touched {
            let Some(group) = self.group(service, &apart) else { continue };
            let account = match told.entry(group) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    let account = self.account(service, now);
                    place.insert(account).clone()
                }
            };
            let Some(last) = self.accounts.last.get_mut(service.index()) else { continue };
            if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &account)) {
                continue;
            }
            *last = Some(account.clone());
            let cause = if began { word(cause) } else { "start" };
            let place = *places.entry((Arc::as_ptr(&account), cause)).or_insert_with(|| {
                alike.push(Alike { account, cause, services: Vec::new() });
                alike.len() - 1
            });
            alike.iter_mut().skip(place).take(1).for_each(|alike| alike.services.push(service));
        }
        if !alike.is_empty() {
            let configuration = self.configuration.hash.clone();
            effects.push(Effect::Accounts(Accounts { at: now.wall, generation: self.generation, configuration, estate, alike }));
        }
    }

    fn group(&self, service: ServiceId, apart: &HashSet<ServiceId>) -> Option<Group> {
        let (state, name) = (self.services.get(service.index())?, &self.configuration.estate.service(service).name);
        let scattered = !state.memory.held.is_empty() && state.rules.failback.is_scattered();
        Some(Group {
            rules: &*state.rules,
            memory: &*state.memory,
            decided: state.decided.as_ref().map(Arc::as_ptr),
            revision: self.traffic.get(name).map_or(0, |(_, revision)| revision.0),
            frozen: self.overrides.frozen.get(&service).copied(),
            waits: state.waits.clone(),
            planned: self.ahead.plans.get(name).map(|planned| (planned.at, planned.what.clone())),
            alone: (scattered || apart.contains(&service)).then_some(service),
        })
    }

    fn account(&mut self, id: ServiceId, now: Now) -> Arc<Account> {
        let view = self.service(id);
        let name = view.service.name.clone();
        let (fresh, mut steps) = policy::explain_each(view.service, view.policy, &self.facts(), view.memory, now);
        let (whose, sticky, by_name, policy) = (self.whose(id), view.decision.sticky, view.decision.by_name, view.policy.clone());
        let stands = self.stands_because(id);
        // Numbered as whoever asks later will number them; what counts is what is served.
        let mut classes: Vec<Option<ClassId>> = vec![None; fresh.of_anybody().count()];
        for class in self.configuration.clients.classes() {
            classes.iter_mut().skip(fresh.number_of(class).into()).take(1).for_each(|first| *first = first.or(Some(class)));
        }
        let answers: Vec<_> = classes.iter().map(|class| view.decision.of_class(class.unwrap_or(ClassId::UNKNOWN))).collect();
        if let Some(stands) = stands {
            steps.iter_mut().zip(&answers).for_each(|(steps, (_, ttl))| stand(steps, *ttl, stands.clone()));
        }
        let many = [Step { topic: "policy", text: format!("steps are told of the first {} kinds of answers alone", policy::TOLD_MAX) }];
        let answer = |(number, (families, ttl)): (usize, &(&[FamilyDecision; 2], u32))| {
            AccountAnswer::new(&self.facts(), &name, &policy, families, *ttl, steps.get(number).map_or(&many[..], Vec::as_slice))
        };
        let answers = answers.iter().enumerate().map(answer).collect();
        let form = view.form.clone();
        let clients = policy.asks_about_clients().then(|| self.account_clients(&policy, &form));
        self.accounts.known.share(Account { whose: whose.into(), sticky, by_name, answers, clients })
    }

    fn account_clients(&mut self, policy: &Arc<Node>, form: &PolicyForm) -> AccountClients {
        let (clients, estate) = (&self.configuration.clients, &self.configuration.estate);
        let known = &mut self.accounts.clients;
        if let Some((_, of, told)) = known.get(&(Arc::as_ptr(policy) as usize))
            && Arc::ptr_eq(of, clients)
        {
            return told.clone();
        }
        let form = serde_json::to_string(form).unwrap_or_default().into();
        let told = AccountClients { mark: policy::client_mark(policy, clients, estate), form };
        known.insert(Arc::as_ptr(policy) as usize, (policy.clone(), clients.clone(), told.clone()));
        told
    }
}

fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Health { .. } => "health",
        Cause::Guard => "guard",
        Cause::Config => "config",
        Cause::Clients => "clients",
        Cause::Operator => "operator",
    }
}
