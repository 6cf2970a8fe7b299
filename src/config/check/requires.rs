//! `requires` of a pool: other pools that it is no use without.

use std::collections::BTreeSet;

use crate::config::file::{Requirement as Word, RequirementTable};
use crate::config::problem::Sink;
use crate::config::read::{At, Key, OneOrMany};
use crate::model::{Estate, PoolId, Requirement, Watch};

use super::pools::Pools;

/// Pools below each other.
const DEPTH_MAX: usize = 4;
/// Requirements of one pool.
const REQUIREMENTS_MAX: usize = 16;

/// Call it when all pools have their ids. `written`: by [`PoolId`].
pub(super) fn check(written: Vec<Key<OneOrMany<Word>>>, pools: &Pools, estate: &mut Estate, sink: &mut Sink<'_>) {
    for (at, list) in written.iter().enumerate() {
        let id = PoolId::at(at);
        let path = format!("pool.{}.requires", estate.pool(id).name);
        let words = list.get().map(|list| &list.value.0[..]).unwrap_or_default();
        if let Some(list) = list.get().filter(|_| REQUIREMENTS_MAX < words.len()) {
            sink.problem(&list.span, &path, format!("more than {REQUIREMENTS_MAX} required pools"), "require a pool that requires the others");
        }
        let mut requires: Vec<Requirement> = Vec::new();
        for (index, word) in words.iter().enumerate().take(REQUIREMENTS_MAX) {
            let path = if words.len() == 1 { path.clone() } else { format!("{path}[{index}]") };
            let Some(requirement) = one(word, &path, pools, estate, sink) else { continue };
            if let (true, Some(word)) = (requires.iter().any(|known| known.pool == requirement.pool), word.get()) {
                sink.problem(&word.span, &path, "this pool is required already", "remove one");
            }
            requires.push(requirement);
        }
        if let Some(pool) = estate.pools.get_mut(at) {
            pool.requires = requires;
        }
    }
    for id in (0..estate.pools.len()).map(PoolId::at) {
        let below = {
            let mut walk = Walk { estate, path: vec![id], below: BTreeSet::new() };
            walk.enter(id).map(|()| walk.below)
        };
        match below {
            Ok(below) => {
                for required in below {
                    if let Some(pool) = estate.pools.get_mut(required.index()) {
                        pool.required_by.push(id);
                    }
                }
            }
            Err(why) => {
                if let Some(list) = written.get(id.index()).and_then(Key::get) {
                    sink.problem(&list.span, format_args!("pool.{}.requires", estate.pool(id).name), why, "a pool can't require itself, and chains are short");
                }
                // Nobody walks a chain without an end.
                if let Some(pool) = estate.pools.get_mut(id.index()) {
                    pool.requires.clear();
                }
            }
        }
    }
}

fn one(word: &Key<Word>, path: &str, pools: &Pools, estate: &Estate, sink: &mut Sink<'_>) -> Option<Requirement> {
    let At { value: Word(RequirementTable { pool, up }), span } = word.get()?;
    if pool.is_absent() {
        sink.missing(span, path, "`pool` is missing", "{ pool = \"prod-db\", up = 2 }");
    }
    let At { value: name, span } = pool.get()?;
    let Some(id) = pools.by_name.get(name.as_str()).copied() else {
        let help = sink.suggestion(name, pools.by_name.keys().map(|name| &**name), format!("add [pool.{name}]"));
        sink.problem(span, path, format!("no pool is called `{name}`"), help);
        return None;
    };
    let required = estate.pool(id);
    if required.endpoints.iter().any(|endpoint| estate.endpoint(*endpoint).watch == Watch::Nothing) {
        sink.problem(span, path, format!("pool {name} has no monitor: nobody knows whether it is up"), format!("add to [pool.{name}]: monitor = \"…\""));
    }
    let most = required.endpoints.len();
    if let Some(found) = up.get().filter(|found| !usize::try_from(found.value).is_ok_and(|up| (1..=most.max(1)).contains(&up))) {
        let message = format!("up = {}, but pool {name} has {most} endpoint{}", found.value, if most == 1 { "" } else { "s" });
        sink.problem(&found.span, format_args!("{path}.up"), message, format!("from 1 to {most}; {} (its min_up) by default", required.min_up));
    }
    let up = up.get().and_then(|found| u32::try_from(found.value).ok()).unwrap_or(required.min_up);
    Some(Requirement { pool: id, up: up.max(1) })
}

/// Everything that a pool stands on.
struct Walk<'a> {
    estate: &'a Estate,
    path: Vec<PoolId>,
    below: BTreeSet<PoolId>,
}

impl Walk<'_> {
    /// `Err`: it leads back to a pool above, or too deep.
    fn enter(&mut self, id: PoolId) -> Result<(), String> {
        for requirement in &self.estate.pool(id).requires {
            let next = requirement.pool;
            if self.path.contains(&next) {
                let names: Vec<&str> = self.path.iter().skip_while(|step| **step != next).chain([&next]).map(|id| &*self.estate.pool(*id).name).collect();
                return Err(format!("a circle: {}", names.join(" → ")));
            }
            if DEPTH_MAX <= self.path.len() {
                return Err(format!("more than {DEPTH_MAX} pools below each other"));
            }
            if self.below.insert(next) {
                self.path.push(next);
                self.enter(next)?;
                self.path.pop();
            }
        }
        Ok(())
    }
}
