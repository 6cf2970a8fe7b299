//! Plans for overrides: begun, changed, ended (SEMANTICS, 18).

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Now, ServiceId, duration_text};
use crate::policy::Reach;

use super::change::{Actor, Fault, Refusal, RefusalKind};
use super::commits::Waiting;
use super::core::Core;
use super::event::Notice;
use super::guards::Act;
use super::overrides::{Kept, Overrides};
use super::plan::{Imagined, Plan, because};
use super::plan_guards::{Deed, whole};
use super::record::{Key, Op, OverrideRecord, OverrideTargetName, OverrideWord, Record};
use super::reload::counted;

/// `force_up`, `force_down` and `approve` end after this unless told otherwise (SEMANTICS, 18).
const FORCE_LASTS: Duration = Duration::from_secs(4 * 3600);

/// Matches that a reply lists; all of them stand in `GET /overrides`.
const MATCHES_SHOWN: usize = 10;

impl Core {
    pub(super) fn begin_override(
        &self,
        kind: OverrideWord,
        target: &OverrideTargetName,
        services: &[String],
        lasts: Option<Duration>,
        waiting: &Waiting,
        now: Now,
    ) -> Result<Plan, Refusal> {
        let Waiting { actor: Actor(actor), reason, .. } = waiting;
        self.check_override_target(kind, target)?;
        if kind == OverrideWord::Approve && reason.trim().is_empty() {
            let message = "who approves old data says why".to_string();
            let fault = Fault { pointer: "/reason".to_string(), code: "missing", message: message.clone(), hint: "--reason \"…\"".to_string() };
            return Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::InvalidRequest, format!("{message}; nothing was changed")) });
        }
        let services = services.iter().map(|name| self.known_service(name).map(|_| Arc::from(name.as_str()))).collect::<Result<Vec<Arc<str>>, _>>()?;
        let health = |kind: OverrideWord| matches!(kind, OverrideWord::ForceUp | OverrideWord::ForceDown);
        let twin = |kept: &OverrideRecord| kept.kind == kind && same_services(&kept.services, &services);
        let same = |kept: &OverrideRecord| {
            kept.target == *target && (health(kind) && health(kept.kind) || kind == OverrideWord::Freeze && kept.kind == kind || twin(kept))
        };
        if let Some((id, kept)) = self.overrides.kept.iter().find(|(_, kept)| same(&kept.record)) {
            let Kept { record, .. } = kept;
            let detail = format!("{target} has the override o-{id} already ({} by {}{})", record.kind.word(), record.actor, because(&record.reason));
            let hint = match record.kind == kind {
                true => format!("windrose extend o-{id} --for 1h lets it end later; to change it, end it first"),
                false => format!("end o-{id} first"),
            };
            let fault = Fault { pointer: "/target".to_string(), code: "override-exists", message: detail.clone(), hint };
            return Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::OverrideExists, format!("{detail}; nothing was changed")) });
        }
        let lasts = lasts.or((health(kind) || kind == OverrideWord::Approve).then_some(FORCE_LASTS));
        if lasts.is_none() {
            self.may_be_endless(kind, target, &services)?;
        }
        // The counter that this commit raises: unique for ever, also after overrides are gone.
        let id = self.revision.0 + 1;
        let record = OverrideRecord {
            kind,
            target: target.clone(),
            services,
            actor: actor.clone(),
            reason: reason.clone(),
            at: now.wall,
            ends: lasts.map(|lasts| now.wall.plus(lasts)),
            overridden: Vec::new(),
        };
        let text = format!("o-{id}: {} of {target} {}{}", kind.word(), until(lasts), because(reason));
        let act = match kind {
            OverrideWord::Drain => Act::Drain,
            OverrideWord::ForceUp => Act::ForceUp,
            OverrideWord::ForceDown => Act::ForceDown,
            OverrideWord::Freeze => Act::Freeze,
            OverrideWord::Approve => Act::Approve,
        };
        let mut plan = self.override_plan(id, Some(record), act, text, waiting, now)?;
        plan.applied.messages.extend(self.matches_now(target));
        Ok(plan)
    }

    fn check_override_target(&self, kind: OverrideWord, target: &OverrideTargetName) -> Result<(), Refusal> {
        let estate = &self.configuration.estate;
        match target {
            OverrideTargetName::Service(name) if kind == OverrideWord::Freeze => self.known_service(name).map(|_| ()),
            OverrideTargetName::Service(_) => Err(Refusal::new(
                RefusalKind::InvalidRequest,
                format!("{} is about a region, pool or endpoint, not a service; limit it to services with `services`", kind.word()),
            )),
            _ if kind == OverrideWord::Freeze => {
                Err(Refusal::new(RefusalKind::InvalidRequest, "freeze is about a service; use drain, force_up or force_down here"))
            }
            OverrideTargetName::Endpoint(..) | OverrideTargetName::Tag(_) if kind == OverrideWord::Approve => {
                Err(Refusal::new(RefusalKind::InvalidRequest, "approve is about the data of a region or pool, not of some endpoints"))
            }
            _ if target.matches(estate).is_empty() => Err(Refusal::new(RefusalKind::NotFound, target.nothing_fits(estate))),
            _ => Ok(()),
        }
    }

    /// For people, where the target's own name does not say it: `tag/az-1 is 2 endpoints now: prod/a dr/b`.
    fn matches_now(&self, target: &OverrideTargetName) -> Option<String> {
        if target.reach() == Reach::Name {
            return None;
        }
        let estate = &self.configuration.estate;
        let found = target.matches(estate);
        let one = match target {
            OverrideTargetName::Region(_) => "region",
            OverrideTargetName::Pool(_) => "pool",
            _ => "endpoint",
        };
        let shown = found.iter().take(MATCHES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(" ");
        let more = if found.len() > MATCHES_SHOWN { format!(" and {} more", found.len() - MATCHES_SHOWN) } else { String::new() };
        Some(format!("{target} is {} now: {shown}{more}; what comes later and fits is under it, too", counted(found.len(), one)))
    }

    pub(super) fn kept_override(&self, id: u64, waiting: &Waiting) -> Result<OverrideRecord, Refusal> {
        let known = || Refusal::new(RefusalKind::NotFound, format!("there is no override o-{id}; see `windrose get overrides`"));
        let kept = self.overrides.kept.get(&id).ok_or_else(known)?;
        match waiting.expect {
            Some(expect) if expect != kept.revision => {
                let detail = format!("o-{id} is at revision {}; nothing was changed, look and decide again", kept.revision.0);
                Err(Refusal { revision: Some(kept.revision), ..Refusal::new(RefusalKind::RevisionMismatch, detail) })
            }
            _ => Ok(kept.record.clone()),
        }
    }

    /// The services that an override of `target` acts on, by name: `services` if it is limited to some, else all that use it.
    pub fn services_under(&self, target: &OverrideTargetName, services: &[Arc<str>]) -> Vec<Arc<str>> {
        let estate = &self.configuration.estate;
        if let OverrideTargetName::Service(name) = target {
            return vec![name.clone()];
        }
        if !services.is_empty() {
            return services.to_vec();
        }
        let pools = super::targets::pools_of(estate, target);
        let mut users: Vec<ServiceId> = pools.into_iter().flat_map(|pool| self.users_of(pool)).collect();
        users.sort_unstable();
        users.dedup();
        users.into_iter().map(|service| estate.service(service).name.clone()).collect()
    }

    /// `record`: as it will be; `None`: ended.
    pub(super) fn override_plan(&self, id: u64, record: Option<OverrideRecord>, act: Act, text: String, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let key = Key::Override(id);
        let estate = &self.configuration.estate;
        let mut imagined = Overrides::default();
        for (kept_id, kept) in &self.overrides.kept {
            imagined.keep(*kept_id, kept.record.clone(), kept.revision, now);
        }
        let before = imagined.kept.get(&id).map(|kept| kept.record.clone());
        match &record {
            Some(record) => imagined.keep(id, record.clone(), self.revision, now),
            None => drop(imagined.kept.remove(&id)),
        }
        imagined.resolve(estate);
        let mut services: Vec<ServiceId> = Vec::new();
        for touched in before.iter().chain(&record) {
            for pool in super::targets::pools_of(estate, &touched.target) {
                services.extend(self.users_of(pool));
            }
        }
        if let Some(OverrideTargetName::Service(name)) = before.as_ref().or(record.as_ref()).map(|about| &about.target) {
            services.extend(estate.service_named(name));
        }
        // Those that the override does not count for are none of its business.
        let counts = |service: &ServiceId| {
            before.iter().chain(&record).any(|about| about.services.is_empty() || about.services.contains(&estate.service(*service).name))
        };
        services.retain(counts);
        services.sort();
        services.dedup();
        let as_is = |service: &ServiceId| Imagined {
            service: *service,
            tree: self.service(*service).policy.clone(),
            memory: self.service_memory(*service),
            as_is: true,
        };
        let imagined_services: Vec<Imagined> = services.iter().map(as_is).collect();
        let shown = record.clone().or(before);
        let ops = vec![match record {
            Some(record) => Op::Put(key, Record::Override(record)),
            None => Op::Delete(key),
        }];
        let mut plan = self.plan_of(ops, now);
        plan.applied.override_ = shown.map(|record| (id, record));
        let Actor(actor) = &waiting.actor;
        plan.notices.push(Notice::Override { text, actor: Some(actor.clone()) });
        let deed = Deed { act, imagined: &imagined_services, overrides: &imagined, all: false, partly: &whole };
        self.through_guards(plan, &deed, waiting, now)
    }
}

/// The end of an override.
pub(super) fn ending(kind: OverrideWord) -> Act {
    match kind {
        OverrideWord::Drain => Act::Undrain,
        OverrideWord::ForceUp | OverrideWord::ForceDown => Act::Unforce,
        OverrideWord::Freeze => Act::Unfreeze,
        OverrideWord::Approve => Act::Unapprove,
    }
}

/// The same ones, in any order.
fn same_services(a: &[Arc<str>], b: &[Arc<str>]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.contains(name))
}

/// For people.
pub(super) fn until(lasts: Option<Duration>) -> String {
    match lasts {
        Some(lasts) => format!("for {}", duration_text(lasts)),
        None => "until somebody ends it".to_string(),
    }
}
