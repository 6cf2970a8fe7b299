//! Tokens: made, revoked, and when they were last used.
//!
//! The last use is told, not decided on: it is written lazily, with batches that are due anyway, and is lost by a crash without harm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Now, Timestamp};

use super::change::{Fault, Refusal, RefusalKind};
use super::commits::ALIVE_EVERY;
use super::core::Core;
use super::plan::{Plan, unknown};
use super::record::{Key, Op, Record, TokenRecord};

/// A use is noted again after this.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// When each token was last used, to a minute.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<Arc<str>, Timestamp>);

impl Used {
    pub(super) fn remember(&mut self, id: Arc<str>, at: Timestamp) {
        self.0.insert(id, at);
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// What is written of these; those that were revoked meanwhile are left out.
    pub(super) fn ops(&self, used: &BTreeSet<Arc<str>>) -> Vec<Op> {
        used.iter().filter_map(|id| Some(Op::Put(Key::TokenUsed(id.clone()), Record::TokenUsed(*self.0.get(id)?)))).collect()
    }

    /// A use now would be news.
    fn is_news(&self, id: &str, now: Timestamp) -> bool {
        // A clock that was set back makes news, too.
        self.0.get(id).is_none_or(|at| *at > now || now.since(*at) >= NOTED_EVERY)
    }
}

impl Core {
    /// Tokens by id.
    pub fn tokens(&self) -> impl Iterator<Item = (&Arc<str>, &TokenRecord)> {
        self.tokens.iter()
    }

    /// When a token was last used, to a minute.
    pub fn token_last_used(&self, id: &str) -> Option<Timestamp> {
        self.tokens_used.0.get(id).copied()
    }

    /// [`Event::TokenUsed`](super::Event::TokenUsed) would tell something new.
    pub fn token_use_is_news(&self, id: &str, now: Now) -> bool {
        self.tokens_used.is_news(id, now.wall)
    }

    pub(super) fn token_used(&mut self, id: &Arc<str>, now: Now) {
        if !self.tokens.contains_key(id) || !self.tokens_used.is_news(id, now.wall) {
            return;
        }
        self.tokens_used.remember(id.clone(), now.wall);
        self.commits.learned.used.insert(id.clone());
        // Where no probes run, nothing else would start a batch.
        if now.mono >= self.commits.alive_at + ALIVE_EVERY {
            self.commits.learned.alive = true;
        }
    }

    pub(super) fn keep_token(&self, id: &Arc<str>, record: &TokenRecord, now: Now) -> Result<Plan, Refusal> {
        if self.tokens.values().any(|known| known.name == record.name) {
            let detail = format!("there is a token called `{}` already; revoke it first or choose another name", record.name);
            let fault =
                Fault { pointer: "/name".to_string(), code: "name-taken", message: detail.clone(), hint: format!("windrose token revoke {}", record.name) };
            return Err(Refusal { faults: vec![fault], ..Refusal::new(RefusalKind::InvalidRequest, detail) });
        }
        Ok(self.plan_of(vec![Op::Put(Key::Token(id.clone()), Record::Token(record.clone()))], now))
    }

    pub(super) fn revoke_token(&self, id: &str, now: Now) -> Result<Plan, Refusal> {
        let found = self.tokens.iter().find(|(key, record)| &***key == id || record.name == id).map(|(key, _)| key.clone());
        let key = found.ok_or_else(|| unknown("token", id, self.tokens.values().map(|record| record.name.as_str())))?;
        Ok(self.plan_of(vec![Op::Delete(Key::Token(key.clone())), Op::Delete(Key::TokenUsed(key))], now))
    }
}
