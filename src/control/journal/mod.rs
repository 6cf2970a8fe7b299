//! What happened, kept for people and programs: events with a sequence, and the audit of who changed what.
//!
//! ```text
//! Notice ─▶ told (CloudEvents) ─▶ ring in memory ─▶ Effect::Happened (SSE, webhooks)
//!                                       └─▶ learned batch: the store keeps the same tail
//! change ─▶ audit (who, what, why, before, after) ─▶ one more Op of the very commit that makes it
//! ```
//!
//! Never here: sending anything, or waiting for whoever listens. Events wait for nothing; an audit record is durable with its change or neither is.

mod audit;
mod chain;
mod denied;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AuditSettings, Now};

use super::commits::Learned;
use super::confirm::{self, CONFIRM_WITHIN};
use super::core::{Core, StoreState};
use super::event::{Effect, Effects, Notice};
use super::record::{Key, Op, Record};

pub use audit::{AuditDraft, Call, Origin};
pub use chain::{Anchor, Broken, Head, Proved, verify};
pub use told::{EVENT_KINDS, Happening};

use audit::Audit;
use denied::Denials;

/// Events that are kept, in memory and in the store alike; older ones are forgotten.
pub const EVENTS_KEPT: usize = 10_000;

/// The store's mark runs so far ahead of the last sequence at most: a kill never gives one number to two events.
const MARK_AHEAD: u64 = 10_000;

/// Most keys that the webhooks' queue may have waiting for the store.
const QUEUE_KEYS_MAX: usize = 20_000;

/// Everything remembered about what happened.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Where events come from: `/windrose/NODE`.
    source: Arc<str>,
    /// Oldest first.
    ring: VecDeque<Arc<Happening>>,
    /// Events of changes that were made just before the process before was killed.
    pending: Vec<told::Draft>,
    /// The last sequence given.
    last: u64,
    /// No sequence above this was given before it was in the store.
    mark: u64,
    /// What tells beginnings from ends.
    context: told::Context,
    pub(super) audit: Audit,
    denials: Denials,
    /// Records of the webhooks' queue, as loaded; for [`Core::webhook_records`].
    queue: BTreeMap<Key, Arc<str>>,
}

/// What a node keeps, and under which name it speaks.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// `node.name`
    pub node: String,
    /// `[audit]`
    pub audit: AuditSettings,
}

/// Of what happened, what the store does not have yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Unwritten {
    /// Sequences of events; those that the ring has lost meanwhile are left out.
    events: BTreeSet<u64>,
    /// Revisions whose events have their sequences now.
    pending: BTreeSet<u64>,
    /// Events to forget.
    forgotten: BTreeSet<u64>,
    /// The mark must be raised.
    mark: bool,
    /// Audit records that belong to no commit of an operator.
    pub(super) audit: Vec<AuditDraft>,
    /// Old audit records are to be cut off.
    pub(super) cut: bool,
    /// The webhooks' queue: the last word on each key; `None`: gone.
    queue: BTreeMap<Key, Option<Arc<str>>>,
}

impl Unwritten {
    /// Puts a failed batch back; what came since stays, and wins.
    pub(super) fn put_back(&mut self, failed: Unwritten) {
        let Unwritten { events, pending, forgotten, mark, audit, cut, queue } = failed;
        self.pending.extend(pending);
        self.events.extend(events);
        self.forgotten.extend(forgotten);
        self.mark |= mark;
        self.cut |= cut;
        let since = std::mem::replace(&mut self.audit, audit);
        self.audit.extend(since);
        for (key, word) in queue {
            self.queue.entry(key).or_insert(word);
        }
    }

    /// The events of this revision are about to get their sequences.
    pub(super) fn told(&mut self, revision: u64) {
        self.pending.insert(revision);
    }

    /// The last word on a key of the webhooks' queue.
    fn queue(&mut self, key: Key, word: Option<Arc<str>>) {
        if self.queue.len() < QUEUE_KEYS_MAX || self.queue.contains_key(&key) {
            self.queue.insert(key, word);
        }
    }
}

impl Core {
    /// Names this node in events, and says how much audit is kept. Once, before the first event.
    ///
    /// Changes that waited for a second person when the process before ended are told to be lost.
    pub fn keep_journal(&mut self, settings: JournalSettings, now: Now) {
        let JournalSettings { node, audit } = settings;
        self.journal.source = format!("/windrose/{node}").into();
        self.journal.audit.settings = audit;
        let overrides = self.overrides.kept.keys().copied().collect();
        self.journal.context.begin(overrides, &self.journal.ring);
        let (last, open) = told::Context::confirmations(&self.journal.ring);
        self.confirmations.go_on_after(last);
        for (id, (actor, at)) in open {
            if now.wall.since(at) < CONFIRM_WITHIN {
                let notice = confirm::lost(id, actor, "the server was started anew");
                self.journal.context.drafts(&notice, &self.configuration.estate, &mut self.journal.pending);
            }
        }
    }

    /// Events that are kept, oldest first.
    pub fn happenings(&self) -> &VecDeque<Arc<Happening>> {
        &self.journal.ring
    }

    /// The sequence of the last event, also of one that is forgotten.
    pub fn last_sequence(&self) -> u64 {
        self.journal.last
    }

    /// The end of the audit chain and where it begins: what `verify` is to find.
    pub fn audit_head(&self) -> (Option<Head>, Option<Anchor>) {
        (self.journal.audit.head(), self.journal.audit.anchor())
    }

    /// The webhooks' queue as the store had it at the start.
    pub fn webhook_records(&self) -> impl Iterator<Item = (&Key, &Arc<str>)> {
        self.journal.queue.iter()
    }

    /// Notices among the effects from `from` on become events. The only place where events are made.
    pub(super) fn note(&mut self, from: usize, now: Now, effects: &mut Effects) {
        let mut drafts = std::mem::take(&mut self.journal.pending);
        for effect in effects.iter().skip(from) {
            if let Effect::Tell(notice) = effect {
                self.journal.context.drafts(notice, &self.configuration.estate, &mut drafts);
            }
        }
        if drafts.is_empty() {
            return;
        }
        self.region_drafts(&mut drafts);
        let kept = self.store != StoreState::Absent;
        for draft in drafts {
            self.journal.last += 1;
            let sequence = self.journal.last;
            let happening = Arc::new(Happening::new(draft, sequence, &self.journal.source, now.wall));
            self.journal.ring.push_back(happening.clone());
            effects.push(Effect::Happened(happening));
            let unwritten = &mut self.commits.learned.journal;
            if kept {
                unwritten.events.insert(sequence);
                unwritten.mark |= self.journal.mark < sequence + MARK_AHEAD / 2;
            }
            while EVENTS_KEPT < self.journal.ring.len() {
                if let Some(old) = self.journal.ring.pop_front()
                    && kept
                    && !unwritten.events.remove(&old.sequence)
                {
                    unwritten.forgotten.insert(old.sequence);
                }
            }
        }
        // They go with the batch that makes these events durable.
        self.commits.learned.answers.append(&mut self.confirmations.answers);
    }

    /// Events of a change, in the commit that makes it: a kill in between doesn't lose them.
    pub(super) fn pending_events(&self, notices: &[Notice]) -> Option<Op> {
        let (mut context, mut drafts) = (self.journal.context.clone(), Vec::new());
        for notice in notices {
            let mut notice = notice.clone();
            if let Notice::Traffic { revision, .. } = &mut notice {
                revision.0 = self.revision.0 + 1;
            }
            context.drafts(&notice, &self.configuration.estate, &mut drafts);
        }
        let text = serde_json::to_string(&drafts).ok().filter(|_| !drafts.is_empty())?;
        Some(Op::Put(Key::EventPending(self.revision.0 + 1), Record::Line(text.into())))
    }

    /// Regions whose pools' verdicts turned them.
    fn region_drafts(&mut self, drafts: &mut Vec<told::Draft>) {
        let touched: BTreeSet<Arc<str>> = drafts
            .iter()
            .filter(|draft| draft.kind.starts_with("endpoint.") || draft.kind == "region.unguarded")
            .filter_map(|draft| draft.region.clone())
            .collect();
        for region in touched {
            let Some(id) = self.configuration.estate.region_named(&region) else { continue };
            let state = crate::policy::region_state(&self.facts(), id);
            drafts.extend(self.journal.context.region(&region, state));
        }
    }

    /// The webhooks have this to keep.
    pub(super) fn keep_queue(&mut self, words: Vec<(Key, Option<Arc<str>>)>) {
        if self.store != StoreState::Absent {
            for (key, word) in words {
                debug_assert!(matches!(key, Key::Webhook(_) | Key::Delivery(..)), "{key:?} is not the webhooks'");
                self.commits.learned.journal.queue(key, word);
            }
        }
    }

    /// A record of the journal, at start.
    pub(super) fn recall(&mut self, key: Key, text: Arc<str>) {
        match key {
            Key::Event(sequence) => {
                self.journal.last = self.journal.last.max(sequence);
                // One that can't be read is lost, and its number stays used.
                self.journal.ring.extend(Happening::read(sequence, text).map(Arc::new));
            }
            Key::EventMark => {
                self.journal.mark = text.parse().unwrap_or(0);
                self.journal.last = self.journal.last.max(self.journal.mark);
            }
            Key::EventPending(revision) => {
                let drafts: Vec<told::Draft> = serde_json::from_str(&text).unwrap_or_default();
                self.journal.pending.extend(drafts);
                self.commits.learned.journal.told(revision);
            }
            Key::Audit(number) => self.journal.audit.recall(number, &text),
            Key::AuditAnchor => self.journal.audit.recall_anchor(&text),
            Key::Reply(id) => self.kept_replies.recall(id, &text),
            key => drop(self.journal.queue.insert(key, text)),
        }
    }

    /// What a learned batch writes of the journal.
    pub(super) fn journal_ops(&mut self, batch: &Learned, now: Now) -> Vec<Op> {
        let Unwritten { events, pending, forgotten, mark, audit, cut, queue } = &batch.journal;
        let line = |key, text: Arc<str>| Op::Put(key, Record::Line(text));
        let mut ops = Vec::new();
        if *mark {
            self.journal.mark = self.journal.last + MARK_AHEAD;
            ops.push(line(Key::EventMark, self.journal.mark.to_string().into()));
        }
        let first = self.journal.ring.front().map_or(0, |first| first.sequence);
        for happening in events.range(first..).filter_map(|sequence| self.happening(*sequence)) {
            ops.push(line(Key::Event(happening.sequence), happening.text.clone()));
        }
        ops.extend(pending.iter().map(|number| Op::Delete(Key::EventPending(*number))));
        ops.extend(forgotten.iter().map(|sequence| Op::Delete(Key::Event(*sequence))));
        for (key, word) in queue {
            ops.push(match word {
                Some(text) => line(key.clone(), text.clone()),
                None => Op::Delete(key.clone()),
            });
        }
        if !audit.is_empty() || *cut {
            ops.extend(self.journal.audit.begin(audit, *cut, now));
        }
        ops
    }

    fn happening(&self, sequence: u64) -> Option<&Arc<Happening>> {
        self.journal.ring.binary_search_by_key(&sequence, |happening| happening.sequence).ok().and_then(|at| self.journal.ring.get(at))
    }

    /// What time brings: folded refusals are written, old audit records are cut off.
    pub(super) fn advance_journal(&mut self, now: Now) {
        if self.store == StoreState::Absent {
            return;
        }
        let drafts = self.journal.denials.due(now);
        let unwritten = &mut self.commits.learned.journal;
        unwritten.audit.extend(drafts);
        unwritten.cut |= self.journal.audit.is_cut_due(now);
    }

    /// When [`Self::advance_journal`] has something to do by itself.
    pub(super) fn journal_wake(&self) -> Option<Duration> {
        self.journal.denials.next_at()
    }
}

#[cfg(test)]
mod tests;
