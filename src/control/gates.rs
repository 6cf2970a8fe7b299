//! Gates: named switches that changes may need to be on. Off until somebody switches them.

use std::sync::Arc;

use crate::model::Now;

use super::change::{Actor, Refusal};
use super::commits::Waiting;
use super::core::{Cause, Core};
use super::event::Notice;
use super::plan::{Plan, because, unknown};
use super::record::{GateRecord, Key, Op, Record, Revision};

/// A gate as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct GateView<'a> {
    /// Its name.
    pub name: &'a Arc<str>,
    /// What it is for; may be empty.
    pub about: &'a str,
    /// Changes that need it may be made.
    pub on: bool,
    /// Who switched it last, and when; `None`: nobody yet.
    pub switched: Option<&'a GateRecord>,
}

impl Core {
    pub(super) fn gate_is_on(&self, name: &str) -> bool {
        self.gates.get(name).is_some_and(|(record, _)| record.on)
    }

    /// The gates of the file, in its order.
    pub fn gates(&self) -> Vec<GateView<'_>> {
        let view = |gate: &'_ crate::model::Gate| self.gates.get(&gate.name).map(|(record, _)| record);
        let gates = self.configuration.estate.rules.gates.iter();
        gates.map(|gate| GateView { name: &gate.name, about: &gate.about, on: self.gate_is_on(&gate.name), switched: view(gate) }).collect()
    }

    pub(super) fn switch_gate(&self, name: &str, on: bool, waiting: &Waiting, now: Now) -> Result<Plan, Refusal> {
        let gates = &self.configuration.estate.rules.gates;
        let gate = gates.iter().find(|gate| *gate.name == *name).ok_or_else(|| unknown("gate", name, gates.iter().map(|gate| &*gate.name)))?;
        let word = if on { "on" } else { "off" };
        if self.gate_is_on(name) == on {
            let mut plan = self.plan_of(Vec::new(), now);
            plan.applied.messages.push(format!("gate {name} is {word} already"));
            return Ok(plan);
        }
        let Waiting { actor: Actor(actor), reason, .. } = waiting;
        let record = GateRecord { on, actor: actor.clone(), reason: reason.clone(), at: now.wall };
        let mut plan = self.plan_of(vec![Op::Put(Key::Gate(gate.name.clone()), Record::Gate(record))], now);
        plan.applied.messages.push(format!("gate {name} is {word}"));
        plan.notices.push(Notice::Gate { gate: gate.name.clone(), on, text: format!("gate {name} is {word}{}", because(reason)), actor: actor.clone() });
        self.expect_what_was_weighed(&mut plan, now);
        Ok(plan)
    }

    /// A gate was switched: failbacks that wait for it look again.
    pub(super) fn gate_switched(&mut self, name: Arc<str>, record: GateRecord, revision: Revision) {
        self.gates.insert(name, (record, revision));
        self.touch_waiting();
    }

    /// Services whose failback guards have put off are decided again.
    pub(super) fn touch_waiting(&mut self) {
        let waiting: Vec<_> =
            self.services.iter().enumerate().filter(|(_, state)| state.waits.is_some()).map(|(at, _)| crate::model::ServiceId::at(at)).collect();
        for service in waiting {
            self.touch(service, Cause::Health { failing_since: None });
        }
    }
}
