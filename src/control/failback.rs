//! The automatic failback, weighed by guards: a hold whose time has come ends only if they let it.
//!
//! They can only make a returned pool wait longer. Failing over is never weighed, and a pool that nothing else can stand in for is used on rung `held`.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Now, ServiceId};
use crate::policy::{self, Decision, Memory};

use super::core::Core;
use super::guards::{self, Act, Proposal};
use super::kinds::{Eyes, Kind};
use super::plan_guards::{Sight, whole};
use super::services::Rules;

/// What is put off is looked at again after this: freeze windows end, and what was down comes up.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Core {
    /// The decision, or, if guards don't let a hold end, the one that keeps it, and why.
    pub(super) fn unless_failback_waits(
        &self,
        service: ServiceId,
        rules: &Rules,
        memory: &Memory,
        decision: Decision,
        now: Now,
    ) -> (Decision, Option<Arc<str>>) {
        let name = &self.configuration.estate.service(service).name;
        let moved = memory.held.iter().any(|hold| {
            let (stage, up_since) = (memory.stage(*hold), self.health.pool(hold.pool, hold.family).up_since);
            let due = || policy::hold_moves(rules.failback, name, up_since, stage).is_some_and(|at| at <= now.mono);
            let ended = !decision.memory.held.contains(hold);
            let step = |stage: Option<policy::Stage>| stage.map_or(0, |stage| stage.step);
            (ended || step(stage) < step(decision.memory.stage(*hold))) && due()
        });
        if !moved {
            return (decision, None);
        }
        let Some(why) = self.why_failback_waits(service, rules, &decision, now) else { return (decision, None) };
        let mut kept = policy::decide_holding(self.configuration.estate.service(service), &rules.tree, &self.facts(), memory, now);
        kept.wake_at = Some(now.mono + LOOK_AGAIN);
        (kept, Some(why))
    }

    fn why_failback_waits(&self, service: ServiceId, rules: &Rules, decision: &Decision, now: Now) -> Option<Arc<str>> {
        let estate = &self.configuration.estate;
        let (view, family, facts) = (self.service(service), self.main_family(service), self.facts());
        let sight = Sight { before: &facts, after: &facts, service };
        let eyes = Eyes::new(facts.clients, facts.clients);
        let of_kind = |kind: Kind| {
            let (old, new) = (eyes.tree(view.policy, kind.before, estate), eyes.tree_after(&rules.tree, kind.after, estate));
            let before = policy::effective(&view.decision.of_class(kind.before).0[family.index()], &old);
            let after = policy::effective(&decision.of_class(kind.after).0[family.index()], &new);
            let regions = self.region_changes(&sight, (&old, &before), (&new, &after));
            let proposal = Proposal {
                service: &view.service.name,
                act: Act::Failback,
                automatic: true,
                reason: "",
                regions: &regions,
                now: now.wall,
                recent: 0,
                rate_free_at: None,
                gate_is_on: &|gate| self.gate_is_on(gate),
                partly: &whole,
            };
            (kind, guards::check(&estate.rules, &proposal))
        };
        let findings = eyes.of_all(eyes.kinds(view.decision, decision).into_iter().map(of_kind).collect());
        let broken: Vec<String> = findings.into_iter().filter(|finding| !finding.ok).map(|finding| finding.message).collect();
        (!broken.is_empty()).then(|| broken.join("; ").into())
    }
}
