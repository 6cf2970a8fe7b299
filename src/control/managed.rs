//! Services whose traffic the file alone moves (`traffic_from = "file"`): what operators may still do, and what they are told instead.
//!
//! They may override with an end, and end holds. Never here: what a reload does with traffic that was set before (`reload`, `core`).

use crate::model::ServiceId;

use super::change::{Fault, Refusal, RefusalKind};
use super::core::Core;
use super::plan::because;
use super::record::{OverrideTargetName, OverrideWord};

impl Core {
    /// Where the policy of a service stands whose traffic the file alone moves: `windrose.toml:12:10`; `None`: operators may move it.
    pub fn managed(&self, service: &str) -> Option<&str> {
        self.configuration.estate.managed.get(service).map(|place| &**place)
    }

    /// Refuses what would set traffic of a service that the file manages.
    pub(in crate::control) fn may_move(&self, service: ServiceId) -> Result<(), Refusal> {
        let name = &self.configuration.estate.service(service).name;
        let Some(place) = self.managed(name) else { return Ok(()) };
        let detail = format!("traffic of `{name}` is managed by the file (traffic_from = \"file\"); change its policy at {place}");
        let hint = format!("edit {place}, look with `windrose plan`, then `windrose reload`; in an emergency: windrose drain … --for 1h");
        let fault = Fault { pointer: "/policy".to_string(), code: "managed-elsewhere", message: detail.clone(), hint };
        Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::ManagedElsewhere, format!("{detail}; nothing was changed")) })
    }

    /// Refuses an override without an end that touches a service that the file manages: such a one would be a policy of its own.
    pub(super) fn may_be_endless(&self, kind: OverrideWord, target: &OverrideTargetName, services: &[std::sync::Arc<str>]) -> Result<(), Refusal> {
        let managed = self.managed_under(target, services);
        let Some(first) = managed.first() else { return Ok(()) };
        let more = if managed.len() == 1 { String::new() } else { format!(" and {} more", managed.len() - 1) };
        let place = self.managed(first).unwrap_or_default();
        let detail = format!(
            "{} of {target} without an end touches `{first}`{more}, which the file manages (traffic_from = \"file\", {place}): there an override needs an end",
            kind.word()
        );
        let hint = format!("give an end, such as --for 2h; for longer change the file at {place}");
        let fault = Fault { pointer: "/expires_in".to_string(), code: "managed-elsewhere", message: detail.clone(), hint };
        Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::ManagedElsewhere, format!("{detail}; nothing was changed")) })
    }

    /// Services that the file manages and that an override touches, in file order.
    fn managed_under(&self, target: &OverrideTargetName, services: &[std::sync::Arc<str>]) -> Vec<std::sync::Arc<str>> {
        let estate = &self.configuration.estate;
        if estate.managed.is_empty() {
            return Vec::new();
        }
        let mut touched: Vec<ServiceId> = match target {
            OverrideTargetName::Service(name) => estate.service_named(name).into_iter().collect(),
            _ => super::targets::pools_of(estate, target).into_iter().flat_map(|pool| self.users_of(pool)).collect(),
        };
        touched.sort_unstable();
        touched.dedup();
        let names = touched.into_iter().map(|id| estate.service(id).name.clone());
        names.filter(|name| estate.managed.contains_key(name) && (services.is_empty() || services.contains(name))).collect()
    }

    /// Why traffic that operators have set does not count: the file says so.
    pub(super) fn set_aside(place: &str) -> String {
        format!("the file manages it (traffic_from = \"file\", {place})")
    }

    /// Services whose operators' traffic ceases to count with a new configuration, or counts again: one sentence each.
    pub(super) fn taken_over(&self, next: &crate::model::Estate) -> Vec<String> {
        let mut messages = Vec::new();
        for service in &next.services {
            let name = &service.name;
            let Some((record, revision)) = self.traffic.get(name).filter(|(record, _)| record.form.is_some()) else { continue };
            let by = format!("traffic set by {} (revision {}){}", record.actor, revision.0, because(&record.reason));
            match (self.managed(name), next.managed.get(name)) {
                (None, Some(place)) => messages
                    .push(format!("`{name}` is managed by the file from now on ({place}): {by} is set aside; to forget it: windrose undo {name} --to file")),
                (Some(_), None) => {
                    messages.push(format!("`{name}` is no longer managed by the file: {by} counts again; to follow the file: windrose undo {name} --to file"))
                }
                _ => (),
            }
        }
        messages
    }
}
