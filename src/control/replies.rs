//! Replies to requests with an `Idempotency-Key`: who asks the same again is told the same again, and nothing is done twice, also after a crash.
//!
//! ```text
//! change with a key ─▶ its commit also writes the claim: who, which key, what was asked, what was made
//!                  ─▶ the finished reply goes with the next batch ─▶ then it is sent
//! ```
//!
//! So whoever has seen a reply gets these very octets again; who saw none, since the server died between the two, is told from the claim what was made.
//! Bounded in number, octets and time. Never here: what a reply looks like, or which requests may be repeated (that is `admin`'s).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Now, Timestamp};

use super::change::Applied;
use super::core::{Core, StoreState};
use super::event::{Effect, Effects, Ticket};
use super::record::{Key, Op, Record};

/// So long a key is known.
const REPLIES_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Keys of one actor, and of all; the oldest goes.
const PER_ACTOR_MAX: usize = 500;
const ALL_MAX: usize = 2_000;
/// Octets of all replies.
const OCTETS_MAX: usize = 16 << 20;

/// A request that must be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Stands for actor and key: the hash of both.
    pub id: Arc<str>,
    /// Who.
    pub actor: String,
    /// Hash of what was asked: method, path, query, body.
    pub asked: String,
}

/// A finished reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedReply {
    /// HTTP status.
    pub status: u16,
    /// Names and values of the headers that matter.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Arc<str>,
}

/// What a change has made: enough to say so when its reply is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The store's counter after it.
    pub revision: u64,
    /// The N of the override `o-N` that it began, changed or ended.
    pub override_: Option<u64>,
}

/// What is known of a request that was made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReply {
    actor: String,
    /// Hash of what was asked.
    pub asked: String,
    at: i64,
    /// By a commit; `None`: it needed none.
    pub made: Option<Made>,
    /// `None`: it was lost, or is too large.
    pub reply: Option<FinishedReply>,
}

impl KeptReply {
    /// When it was made.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.at)
    }

    fn octets(&self) -> usize {
        self.reply.as_ref().map_or(0, |reply| reply.body.len())
    }

    fn is_old(&self, now: Timestamp) -> bool {
        REPLIES_KEPT_FOR <= now.since(self.at())
    }
}

/// The mirror of the store's.
#[derive(Debug, Default)]
pub(super) struct Replies {
    kept: BTreeMap<Arc<str>, KeptReply>,
    octets: usize,
}

impl Replies {
    fn insert(&mut self, id: Arc<str>, reply: KeptReply) {
        self.octets += reply.octets();
        if let Some(old) = self.kept.insert(id, reply) {
            self.octets = self.octets.saturating_sub(old.octets());
        }
    }

    fn remove(&mut self, id: &str) {
        if let Some(old) = self.kept.remove(id) {
            self.octets = self.octets.saturating_sub(old.octets());
        }
    }

    /// From the store's text; one that can't be read is as if it were not there.
    pub(super) fn recall(&mut self, id: Arc<str>, text: &str) {
        if let Ok(reply) = serde_json::from_str(text) {
            self.insert(id, reply);
        }
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.remove(id);
    }

    /// What must go so that one more of this actor and size finds room: all that is old, and the oldest of what is too much.
    fn in_the_way(&self, claim: &Claim, octets: usize, now: Timestamp) -> Vec<Arc<str>> {
        let mut left: Vec<(&Arc<str>, &KeptReply)> = self.kept.iter().filter(|(id, _)| **id != claim.id).collect();
        left.sort_by_key(|(_, kept)| kept.at);
        let mut own = left.iter().filter(|(_, kept)| kept.actor == claim.actor).count();
        let (mut all, mut sum) = (left.len(), left.iter().map(|(_, kept)| kept.octets()).sum::<usize>() + octets);
        let mut gone = Vec::new();
        // An actor with too many loses its own first: nobody loses a key by another's many.
        for own_first in [true, false] {
            for (id, kept) in &left {
                let is_own = kept.actor == claim.actor;
                let goes = if own_first { kept.is_old(now) || is_own && PER_ACTOR_MAX <= own } else { ALL_MAX <= all || OCTETS_MAX < sum };
                if goes && !gone.contains(*id) {
                    gone.push((*id).clone());
                    own -= usize::from(is_own);
                    all -= 1;
                    sum -= kept.octets();
                }
            }
        }
        gone
    }

    /// What is written of these; those that are gone are deleted.
    pub(super) fn ops<'a>(&self, ids: impl Iterator<Item = &'a Arc<str>>) -> Vec<Op> {
        ids.map(|id| match self.kept.get(id).and_then(line) {
            Some(record) => Op::Put(Key::Reply(id.clone()), record),
            None => Op::Delete(Key::Reply(id.clone())),
        })
        .collect()
    }
}

fn line(reply: &KeptReply) -> Option<Record> {
    serde_json::to_string(reply).ok().map(|text| Record::Line(text.into()))
}

impl Core {
    /// What a request with this id was replied, if it was made within the last day.
    pub fn kept_reply(&self, id: &str, now: Now) -> Option<&KeptReply> {
        self.kept_replies.kept.get(id).filter(|kept| !kept.is_old(now.wall))
    }

    /// The claim on a change that is about to be committed.
    pub(super) fn claim_ops(&self, claim: Option<&Claim>, applied: &Applied, now: Now) -> Vec<Op> {
        let Some(claim) = claim else { return Vec::new() };
        let made = Made { revision: self.revision.0 + 1, override_: applied.override_.as_ref().map(|(id, _)| *id) };
        let reply = KeptReply { actor: claim.actor.clone(), asked: claim.asked.clone(), at: now.wall.0, made: Some(made), reply: None };
        let gone = self.kept_replies.in_the_way(claim, 0, now.wall);
        let gone = gone.into_iter().map(|id| Op::Delete(Key::Reply(id)));
        gone.chain(line(&reply).map(|record| Op::Put(Key::Reply(claim.id.clone()), record))).collect()
    }

    /// A request is done, and this is about to be sent: the ticket is answered when it is kept, or can't be.
    pub(super) fn replied(&mut self, ticket: Ticket, claim: Claim, reply: Option<FinishedReply>, now: Now, effects: &mut Effects) {
        let made = self.kept_replies.kept.get(&claim.id).and_then(|kept| kept.made);
        let done = Ok(Applied::nothing(self.revision, now.wall));
        if made.is_none() && reply.is_none() {
            effects.push(Effect::Reply { ticket, reply: done });
            return;
        }
        let gone = self.kept_replies.in_the_way(&claim, reply.as_ref().map_or(0, |reply| reply.body.len()), now.wall);
        gone.iter().for_each(|id| self.kept_replies.remove(id));
        self.kept_replies.insert(claim.id.clone(), KeptReply { actor: claim.actor, asked: claim.asked, at: now.wall.0, made, reply });
        if self.store == StoreState::Absent {
            effects.push(Effect::Reply { ticket, reply: done });
            return;
        }
        self.commits.learned.replies.extend(gone);
        self.commits.learned.replies.insert(claim.id);
        self.commits.learned.answers.push((ticket, done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(actor: &str, key: usize) -> Claim {
        Claim { id: format!("{actor}-{key}").into(), actor: actor.to_string(), asked: "asked".to_string() }
    }

    fn keep(replies: &mut Replies, claim: &Claim, octets: usize, at: i64) {
        for id in replies.in_the_way(claim, octets, Timestamp(at)) {
            replies.remove(&id);
        }
        let reply = Some(FinishedReply { status: 200, headers: Vec::new(), body: "x".repeat(octets).into() });
        replies.insert(claim.id.clone(), KeptReply { actor: claim.actor.clone(), asked: claim.asked.clone(), at, made: None, reply });
    }

    #[test]
    fn replies_are_bounded_in_number_octets_and_time_and_nobody_loses_one_by_anothers_many() {
        let mut replies = Replies::default();
        keep(&mut replies, &claim("other", 0), 1, 0);
        for key in 0..3 * PER_ACTOR_MAX {
            keep(&mut replies, &claim("one", key), 1, 1 + key as i64);
        }
        assert_eq!((replies.kept.len(), replies.octets), (PER_ACTOR_MAX + 1, PER_ACTOR_MAX + 1));
        assert!(replies.kept.contains_key("other-0") && replies.kept.contains_key("one-1499") && !replies.kept.contains_key("one-999"));
        for actor in 0..10 {
            for key in 0..PER_ACTOR_MAX {
                keep(&mut replies, &claim(&format!("many{actor}"), key), 1, 10_000);
            }
        }
        assert_eq!(replies.kept.len(), ALL_MAX);
        keep(&mut replies, &claim("large", 0), OCTETS_MAX, 20_000);
        assert_eq!((replies.kept.len(), replies.octets), (1, OCTETS_MAX), "the oldest went");
        let day = i64::try_from(REPLIES_KEPT_FOR.as_millis()).unwrap();
        assert!(!replies.kept["large-0"].is_old(Timestamp(20_000 + day - 1)));
        keep(&mut replies, &claim("next", 0), 1, 20_000 + day);
        assert_eq!((replies.kept.len(), replies.octets), (1, 1), "after a day it is gone");
        keep(&mut replies, &claim("next", 0), 7, 20_001 + day);
        assert_eq!((replies.kept.len(), replies.octets), (1, 7), "written again, it counts once");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut replies = Replies::default();
        keep(&mut replies, &claim("one", 1), 5, 42);
        let ids = ["one-1".into(), "gone".into()];
        let ops = replies.ops(ids.iter());
        let [Op::Put(_, Record::Line(text)), Op::Delete(Key::Reply(_))] = ops.as_slice() else { panic!("{ops:?}") };
        let mut again = Replies::default();
        again.recall("one-1".into(), text);
        again.recall("broken".into(), "{");
        assert_eq!(again.kept, replies.kept);
    }
}
