//! `[guards]`, `[service.NAME.guards]`, `[region.NAME.guards]`, `capacity` of regions, `[gate.NAME]` and `[[freeze]]`: what changes of traffic must keep.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

use crate::config::file::{Freeze, Gate as GateTable, Guards, Region, Service};
use crate::config::problem::Sink;
use crate::config::read::{At, Capacity as CapacityWord, Entry, Key, Moment, Named, OneOrMany};
use crate::model::{Capacity, ChangeKind, ChangeRules, Estate, FreezeTime, FreezeWindow, Gate, GuardKeys, Timestamp};

use super::{check_name, number};

/// Freeze windows of one file.
const FREEZES_MAX: usize = 100;

/// The tables as read.
pub(super) struct Tables {
    global: Guards,
    regions: Vec<(String, Key<CapacityWord>, Key<Guards>)>,
    services: Vec<(String, Guards)>,
    /// Of all services, also of those that have problems.
    names: HashSet<Arc<str>>,
    gates: Named<GateTable>,
    freezes: Key<Vec<Key<Freeze>>>,
}

impl Tables {
    /// Takes out of regions and services what is about changes.
    pub(super) fn take(
        global: Key<Guards>,
        gates: Key<Named<GateTable>>,
        freezes: Key<Vec<Key<Freeze>>>,
        regions: &Named<Region>,
        services: &mut Named<Service>,
    ) -> Self {
        let region = |entry: &Entry<Region>| (entry.name.clone(), entry.value.capacity.clone(), entry.value.guards.clone());
        let service = |entry: &mut Entry<Service>| Some((entry.name.clone(), std::mem::take(&mut entry.value.guards).take()?));
        Self {
            global: global.or_default(),
            regions: regions.0.iter().map(region).collect(),
            names: services.0.iter().map(|entry| entry.name.as_str().into()).collect(),
            services: services.0.iter_mut().filter_map(service).collect(),
            gates: gates.or_default(),
            freezes,
        }
    }
}

/// Call it when regions and services are known.
pub(super) fn check(tables: Tables, estate: &mut Estate, sink: &mut Sink<'_>) {
    let Tables { global, regions, services, names, gates, freezes } = tables;
    let mut rules = ChangeRules { break_glass_confirm: global.break_glass_confirm.clone().or(false), ..ChangeRules::default() };
    for Entry { name, span, value: GateTable { about } } in gates.0 {
        check_name(&name, &span, "gate", sink);
        rules.gates.push(Gate { name: name.into(), about: about.or_default().into() });
    }
    let known = Known { services: names, gates: rules.gates.clone() };
    rules.global = known.keys(&global, "guards", sink);
    for (name, table) in services {
        let path = format!("service.{name}.guards");
        only_global(&table, &path, sink);
        rules.services.insert(name.as_str().into(), known.keys(&table, &path, sink));
    }
    for (name, capacity, table) in regions {
        if let Some(capacity) = capacity.take() {
            rules.capacity.insert(name.as_str().into(), known.capacity(capacity, &format!("region.{name}.capacity"), sink));
        }
        if let Some(table) = table.take() {
            let path = format!("region.{name}.guards");
            only_global(&table, &path, sink);
            for (key, found) in [("min_serving_regions", &table.min_serving_regions), ("rate", &table.rate)] {
                if let Some(found) = found.get() {
                    let help = format!(
                        "move it to [guards] or [service.NAME.guards]; regions have max_step, healthy_targets, capacity, require_reason and gate, not {key}"
                    );
                    sink.problem(&found.span, format_args!("{path}.{key}"), format!("`{key}` counts for a service, not for a region"), help);
                }
            }
            rules.regions.insert(name.as_str().into(), known.keys(&table, &path, sink));
        }
    }
    let freezes = freezes.get().map(|list| (list.span.clone(), &list.value[..]));
    if let Some((span, _)) = freezes.as_ref().filter(|(_, list)| FREEZES_MAX < list.len()) {
        sink.problem(span, "freeze", format!("more than {FREEZES_MAX} freezes"), "a weekly one counts every week: from = \"fri 16:00\", to = \"mon 06:00\"");
    }
    for (index, table) in freezes.map(|(_, list)| list).unwrap_or_default().iter().enumerate() {
        if let Some(At { value, span }) = table.get() {
            rules.freezes.extend(known.freeze(value, span, &format!("freeze[{index}]"), sink));
        }
    }
    estate.rules = rules;
}

fn only_global(table: &Guards, path: &str, sink: &mut Sink<'_>) {
    if let Some(found) = table.break_glass_confirm.get() {
        sink.problem(&found.span, format_args!("{path}.break_glass_confirm"), "`break_glass_confirm` counts for everything", "move it to [guards]");
    }
}

/// What tables may name.
struct Known {
    services: HashSet<Arc<str>>,
    gates: Vec<Gate>,
}

impl Known {
    fn keys(&self, table: &Guards, path: &str, sink: &mut Sink<'_>) -> GuardKeys {
        let Guards { min_serving_regions, max_step, healthy_targets, capacity, require_reason, rate, gate, break_glass_confirm: _ } = table;
        let count = |key: &Key<i64>, name: &str, from: i64, to: i64, default: i64, sink: &mut Sink<'_>| {
            let value = number(key, from..=to, default, format_args!("{path}.{name}"), sink);
            key.get().map(|_| u32::try_from(value).unwrap_or(0))
        };
        GuardKeys {
            min_serving_regions: count(min_serving_regions, "min_serving_regions", 0, 1000, 1, sink),
            max_step: count(max_step, "max_step", 1, 100, 100, sink),
            healthy_targets: healthy_targets.get().map(|found| found.value),
            capacity: capacity.get().map(|found| found.value),
            require_reason: require_reason.get().map(|found| found.value),
            rate: count(rate, "rate", 1, 1000, 1000, sink),
            gates: gate.get().map(|found| {
                let gates = texts(&found.value);
                let gates = gates.into_iter().filter_map(|name| self.gate(name, &format!("{path}.gate"), sink));
                gates.collect()
            }),
        }
    }

    fn gate(&self, At { value, span }: &At<String>, path: &str, sink: &mut Sink<'_>) -> Option<Arc<str>> {
        let found = self.gates.iter().find(|gate| *gate.name == **value).map(|gate| gate.name.clone());
        if found.is_none() {
            let help = sink.suggestion(value, self.gates.iter().map(|gate| &*gate.name), format!("add [gate.{value}]"));
            sink.problem(span, path, format!("no gate is called `{value}`"), help);
        }
        found
    }

    fn service(&self, name: &str, span: &std::ops::Range<usize>, path: impl Display, sink: &mut Sink<'_>) -> Option<Arc<str>> {
        let found = self.services.get(name).cloned();
        if found.is_none() {
            let help = sink.suggestion(name, self.services.iter().map(|service| &**service), "name a service of this file");
            sink.problem(span, path, format!("no service is called `{name}`"), help);
        }
        found
    }

    fn capacity(&self, word: CapacityWord, path: &str, sink: &mut Sink<'_>) -> Capacity {
        let percent = |At { value, span }: At<i64>, path: &str, sink: &mut Sink<'_>| {
            let fits = (0..=100).contains(&value);
            if !fits {
                sink.problem(&span, path, format!("{value} is out of range"), "per cent of a service's peak that the region can carry, from 0 to 100");
            }
            u32::try_from(value).ok().filter(|_| fits)
        };
        match word {
            CapacityWord::All(all) => Capacity { all: percent(all, path, sink), ..Capacity::default() },
            CapacityWord::ByService(entries) => {
                let mut capacity = Capacity::default();
                for Entry { name, span, value } in entries {
                    let path = format!("{path}.{name}");
                    if let (Some(service), Some(value)) = (self.service(&name, &span, &path, sink), percent(value, &path, sink)) {
                        capacity.by_service.insert(service, value);
                    }
                }
                capacity
            }
        }
    }

    fn freeze(&self, table: &Freeze, span: &std::ops::Range<usize>, path: &str, sink: &mut Sink<'_>) -> Option<FreezeWindow> {
        let Freeze { from, to, services, allow, about } = table;
        for (key, name) in [(from, "from"), (to, "to")] {
            if key.is_absent() {
                sink.missing(
                    span,
                    path,
                    format!("`{name}` is missing"),
                    "write from = \"2026-12-20T00:00:00Z\", to = \"…\", or weekly from = \"fri 16:00\", to = \"mon 06:00\"",
                );
            }
        }
        let listed = |key: &Key<OneOrMany<String>>| key.get().map(|found| texts(&found.value).into_iter().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let written = listed(services);
        let services: Vec<Arc<str>> =
            written.iter().filter_map(|At { value, span }| self.service(value, span, format_args!("{path}.services"), sink)).collect();
        let mut allowed = Vec::new();
        for At { value, span } in listed(allow) {
            match ChangeKind::parse(&value) {
                Some(kind) => allowed.push(kind),
                None => {
                    let all = format!("there are {}", ChangeKind::ALL.map(ChangeKind::word).join(", "));
                    let help = sink.suggestion(&value, ChangeKind::ALL.into_iter().map(ChangeKind::word), all);
                    sink.problem(&span, format_args!("{path}.allow"), format!("`{value}` is not a kind of change"), help);
                }
            }
        }
        let (from, to) = (from.get()?, to.get()?);
        let time = match (from.value, to.value) {
            (Moment::Once(begins), Moment::Once(ends)) if begins < ends => FreezeTime::Once(Timestamp(begins), Timestamp(ends)),
            (Moment::Weekly(begins), Moment::Weekly(ends)) if begins != ends => FreezeTime::Weekly(begins, ends),
            (Moment::Once(_), Moment::Once(_)) | (Moment::Weekly(_), Moment::Weekly(_)) => {
                sink.problem(&to.span, format_args!("{path}.to"), "the freeze ends before it begins", "`to` comes after `from`");
                return None;
            }
            _ => {
                sink.problem(
                    &to.span,
                    format_args!("{path}.to"),
                    "one end is a date, the other a day of the week",
                    "write both as dates, or both like \"fri 16:00\"",
                );
                return None;
            }
        };
        Some(FreezeWindow { time, services, allow: allowed, about: about.clone().or_default().into() })
    }
}

/// Those that were understood.
fn texts(list: &OneOrMany<String>) -> Vec<&At<String>> {
    list.0.iter().filter_map(Key::get).collect()
}
