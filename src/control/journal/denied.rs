//! Refused calls: worth remembering, and never worth filling the store.
//!
//! The first [`BURST`] are written one by one; from then on those of each [`EVERY`] are folded into one record that says how many, and of whom.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::Now;

use super::audit::{AuditDraft, Call};

/// Records that may be written at once.
const BURST: u32 = 30;
/// One more may be written after this: some 35,000 in a year, fewer than the audit keeps.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// Callers that one folded record names; the others are counted.
const NAMED_MAX: usize = 32;
/// Longest text of a stranger that is kept, in characters.
const TEXT_MAX: usize = 200;

/// Refused calls that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Denials {
    /// Of [`BURST`], how many are used up.
    used: u32,
    /// When the last of them was given back (`mono`).
    given_back: Duration,
    /// Who, from where, what and how it ended, and how often.
    folded: BTreeMap<(String, String, String, u16), u64>,
    /// Calls beyond those that are named.
    others: u64,
}

impl Denials {
    /// A call was refused: a record, or it is folded.
    pub(super) fn denied(&mut self, call: Call, now: Now) -> Option<AuditDraft> {
        self.give_back(now);
        let call = Call { path: short(&call.path), detail: short(&call.detail), actor: short(&call.actor), ..call };
        if self.used < BURST && self.folded.is_empty() {
            self.used += 1;
            return Some(AuditDraft::denied(&call));
        }
        let key = (call.actor, call.origin.peer, call.what, call.status);
        let room = self.folded.len() < NAMED_MAX;
        match self.folded.get_mut(&key) {
            Some(count) => *count += 1,
            None if room => drop(self.folded.insert(key, 1)),
            None => self.others += 1,
        }
        None
    }

    /// A record of what was folded, when it is time for one.
    pub(super) fn due(&mut self, now: Now) -> Option<AuditDraft> {
        self.give_back(now);
        if self.folded.is_empty() || BURST <= self.used {
            return None;
        }
        self.used += 1;
        let others = std::mem::take(&mut self.others);
        let folded = std::mem::take(&mut self.folded);
        let count = others + folded.values().sum::<u64>();
        let mut calls: Vec<Value> = folded
            .into_iter()
            .map(|((actor, peer, what, status), count)| json!({"actor": actor, "peer": peer, "call": what, "status": status, "count": count}))
            .collect();
        if others > 0 {
            calls.push(json!({"actor": "others", "count": others}));
        }
        Some(AuditDraft::folded(count, calls))
    }

    /// When [`Self::due`] has something.
    pub(super) fn next_at(&self) -> Option<Duration> {
        (!self.folded.is_empty()).then(|| if self.used < BURST { self.given_back } else { self.given_back + EVERY })
    }

    fn give_back(&mut self, now: Now) {
        while self.given_back + EVERY <= now.mono && self.used > 0 {
            self.given_back += EVERY;
            self.used -= 1;
        }
        if self.used == 0 {
            self.given_back = now.mono;
        }
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: Timestamp(0) }
    }

    #[test]
    fn a_flood_of_refused_calls_becomes_few_records_that_count_them_all() {
        let mut denials = Denials::default();
        let (mut written, mut counted) = (0, 0);
        for second in 0..86_400 {
            for stranger in 0..5 {
                let call = Call { actor: format!("stranger-{}", stranger + second % 100), status: 401, ..Call::default() };
                written += usize::from(denials.denied(call, at(second)).is_some());
            }
            counted += denials.due(at(second)).map_or(0, |draft| draft.count);
        }
        assert_eq!(written, BURST as usize);
        let last = denials.due(at(2 * 86_400)).expect("the rest");
        assert_eq!(counted + last.count + written as u64, 5 * 86_400, "none is lost");
        assert!(denials.due(at(3 * 86_400)).is_none());
    }

    #[test]
    fn a_days_flood_writes_a_hundred_records_or_so() {
        let mut denials = Denials::default();
        let mut records = 0;
        for second in 0..86_400 {
            records += usize::from(denials.denied(Call { status: 401, ..Call::default() }, at(second)).is_some());
            records += usize::from(denials.due(at(second)).is_some());
        }
        assert!((96..=130).contains(&records), "{records}");
    }
}
