//! Broken glass that a second person must confirm.
//!
//! ```text
//! change with --break-glass ─▶ guards broken ─▶ refused, kept as c-7 for 10 minutes
//!                                                    │ another admin: windrose confirm c-7, nothing else changed meanwhile
//!                                                    └─▶ planned again, made as "token:anna, confirmed by token:bert"
//! ```
//!
//! What waits is not durable: after a restart, or a reload, one asks again, and an event says so. Numbers are not given twice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Now;

use super::change::{Actor, Refusal, RefusalKind};
use super::commits::Waiting;
use super::core::Core;
use super::event::{ConfirmationStand, Notice, Reply, Ticket};
use super::record::Revision;

/// A second person has this long.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(600);
/// Changes that may wait for confirmation; one more pushes the oldest out.
const PENDING_MAX: usize = 64;

/// Changes that wait for a second person.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    pending: BTreeMap<u64, Pending>,
    last: u64,
    /// Refusals that name a number: sent when the event that tells of it is durable, so that no crash gives the number twice.
    pub(super) answers: Vec<(Ticket, Reply)>,
}

#[derive(Debug)]
struct Pending {
    waiting: Waiting,
    /// The store's counter when it was weighed.
    revision: Revision,
    /// `mono`
    ends: Duration,
}

impl Confirmations {
    /// What was confirmed against an older file is not what would be done. Gives what is to be told.
    pub(super) fn forget_all(&mut self, now: Now) -> Vec<Notice> {
        let waited = std::mem::take(&mut self.pending).into_iter().filter(|(_, known)| now.mono < known.ends);
        waited.map(|(id, known)| lost(id, known.waiting.actor.0, "the configuration was loaded anew")).collect()
    }

    /// Numbers go on after this one: nobody must confirm with an old number what is new.
    pub(super) fn go_on_after(&mut self, id: u64) {
        self.last = self.last.max(id);
    }

    pub(super) fn forget(&mut self, id: u64) {
        self.pending.remove(&id);
    }
}

/// `c-id` waits no more.
pub(super) fn lost(id: u64, actor: String, why: &str) -> Notice {
    let text = format!("c-{id}, asked for by {actor}, waits for no confirmation any more: {why}; nothing was changed, ask again");
    Notice::Confirmation { id, stand: ConfirmationStand::Lost, text, actor }
}

/// `c-id` waits.
pub(super) fn asked(id: u64, waiting: &Waiting) -> Notice {
    let Actor(actor) = &waiting.actor;
    let text = format!("{actor} wants to break the glass ({}); a second admin confirms with: windrose confirm c-{id}", waiting.reason);
    Notice::Confirmation { id, stand: ConfirmationStand::Asked, text, actor: actor.clone() }
}

/// `c-id` was made; `waiting` is what it meant.
pub(super) fn made(id: u64, waiting: &Waiting) -> Notice {
    let Actor(actor) = &waiting.actor;
    Notice::Confirmation { id, stand: ConfirmationStand::Made, text: format!("c-{id} was made: asked for by {actor}"), actor: actor.clone() }
}

impl Core {
    /// Keeps a change for a second person; the refusal names what they type.
    pub(super) fn keep_for_confirmation(&mut self, waiting: Waiting, refusal: Refusal, now: Now) -> Refusal {
        let Confirmations { pending, last, answers: _ } = &mut self.confirmations;
        pending.retain(|_, known| now.mono < known.ends);
        if PENDING_MAX <= pending.len() {
            pending.pop_first();
        }
        *last += 1;
        let id = *last;
        pending.insert(id, Pending { waiting, revision: self.revision, ends: now.mono + CONFIRM_WITHIN });
        let minutes = CONFIRM_WITHIN.as_secs() / 60;
        let detail = format!(
            "breaking the glass needs a second person with scope admin, who types within {minutes} minutes: windrose confirm c-{id}; nothing was changed yet"
        );
        Refusal { detail, confirmation: Some(id), ..refusal }
    }

    /// The change that `c-id` stands for, as the second person's.
    pub(super) fn confirmed(&self, id: u64, ticket: Ticket, actor: &Actor, dry_run: bool, now: Now) -> Result<Waiting, Refusal> {
        let missing = || {
            let detail = format!(
                "nothing waits for confirmation as c-{id}: it was confirmed, more than {} minutes have passed, the configuration was loaded anew or the server was restarted",
                CONFIRM_WITHIN.as_secs() / 60
            );
            Refusal::new(RefusalKind::NotFound, detail)
        };
        let known = self.confirmations.pending.get(&id).filter(|known| now.mono < known.ends).ok_or_else(missing)?;
        let (Actor(first), Actor(second)) = (&known.waiting.actor, actor);
        if first == second {
            return Err(Refusal::new(RefusalKind::ConfirmationNeeded, format!("c-{id} was asked for by {first} too: a second person must confirm it")));
        }
        if known.revision != self.revision {
            let detail = format!(
                "something was changed since c-{id} was asked for (the store is at revision {}, not {}); nothing was changed, ask again",
                self.revision.0, known.revision.0
            );
            return Err(Refusal { revision: Some(self.revision), ..Refusal::new(RefusalKind::RevisionMismatch, detail) });
        }
        let actor = Actor(format!("{first}, confirmed by {second}"));
        Ok(Waiting { ticket, actor, confirmed: true, dry_run, ..known.waiting.clone() })
    }

    /// What waits for a second person: `c-N`, who asked, why, what.
    pub fn confirmations(&self, now: Now) -> Vec<(u64, &Actor, &str)> {
        let pending = self.confirmations.pending.iter().filter(|(_, known)| now.mono < known.ends);
        pending.map(|(id, known)| (*id, &known.waiting.actor, known.waiting.reason.as_str())).collect()
    }
}
