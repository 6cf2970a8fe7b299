//! One receiver's queue: events come in, storms are gathered, messages go out and are tried again. Decides, and sends nothing.
//!
//! | a message   | when                                   | next                                         |
//! |-------------|----------------------------------------|----------------------------------------------|
//! | gathering   | [`GATHER`] after its first event       | waiting; the same again not within [`STORM`] |
//! | waiting     | its time comes                         | an attempt                                   |
//! | attempt     | taken                                  | delivered; all others are due at once        |
//! | attempt     | failed                                 | waiting, 5 s, 10 s … 1 h later               |
//! | attempt     | failed a day after it was made, or 410 | given up                                     |
//! | any         | more than [`WAITING_MAX`] wait         | the oldest is dropped                        |

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::{Happening, Key};
use crate::model::Timestamp;

use super::{Delivery, Stand, Words, message};

/// Events that happen together come in one message.
const GATHER: Duration = Duration::from_secs(1);
/// Of one kind and region, one message in this time.
const STORM: Duration = Duration::from_secs(10);
/// Events that one message carries; the others of a storm are counted.
const EVENTS_MAX: usize = 100;
/// Messages that may wait.
const WAITING_MAX: usize = 1_000;
/// Messages listed that don't wait any more.
const DONE_MAX: usize = 50;
/// Kinds and regions whose last message is remembered.
const STORMS_MAX: usize = 1_000;
/// Between the first two attempts; doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// A message is tried for so long.
const TRIED_FOR: Duration = Duration::from_secs(86_400);

/// Kind and region: what is told together.
type Storm = (Arc<str>, Option<Arc<str>>);

/// See above.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Events up to this one have become messages, or need not.
    cursor: u64,
    /// The newest event that came in.
    seen: u64,
    gathering: BTreeMap<Storm, Gathering>,
    /// When the last message of a storm was made.
    told: BTreeMap<Storm, Timestamp>,
    /// By number: the sequence of the first event.
    waiting: BTreeMap<u64, Message>,
    done: VecDeque<(u64, Message, Stand)>,
    /// The store has the cursor.
    kept: bool,
}

#[derive(Debug)]
struct Gathering {
    until: Timestamp,
    happenings: Vec<Arc<Happening>>,
    count: usize,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq)]
struct Message {
    events: Vec<Value>,
    kinds: Vec<Arc<str>>,
    count: usize,
    summary: String,
    made: Timestamp,
    attempts: u32,
    next: Timestamp,
    error: Option<String>,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub number: u64,
    pub events: Vec<Value>,
    pub count: usize,
}

impl Queue {
    /// From the store; `last`: where a new receiver begins.
    pub(super) fn from_records(records: Vec<(Key, Arc<str>)>, last: u64) -> Self {
        let mut queue = Self { cursor: last, ..Self::default() };
        for (key, text) in records {
            match key {
                Key::Webhook(_) => {
                    if let Ok(cursor) = text.parse() {
                        (queue.cursor, queue.kept) = (cursor, true);
                    }
                }
                Key::Delivery(_, number) => queue.waiting.extend(Message::read(&text).map(|message| (number, message))),
                _ => (),
            }
        }
        queue.seen = queue.cursor;
        queue
    }

    /// Where to take up: events after this one are wanted.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Everything the store may have of this receiver.
    pub(super) fn keys(&self, name: &Arc<str>) -> impl Iterator<Item = Key> {
        std::iter::once(Key::Webhook(name.clone())).chain(self.waiting.keys().map(|number| Key::Delivery(name.clone(), *number)))
    }

    /// An event happened; `wanted` by this receiver or not.
    pub(super) fn happened(&mut self, happening: &Arc<Happening>, wanted: bool, now: Timestamp) {
        if happening.sequence <= self.seen {
            return;
        }
        self.seen = happening.sequence;
        if !wanted {
            return;
        }
        let storm: Storm = (happening.kind.clone(), happening.region.clone());
        let quiet = self.told.get(&storm).map_or(now, |told| told.plus(STORM));
        let gathering = self.gathering.entry(storm).or_insert_with(|| Gathering { until: quiet.max(now.plus(GATHER)), happenings: Vec::new(), count: 0 });
        gathering.count += 1;
        if gathering.happenings.len() < EVENTS_MAX {
            gathering.happenings.push(happening.clone());
        }
    }

    /// What time brings: storms become messages. Gives what the store is to keep.
    pub(super) fn advance(&mut self, name: &Arc<str>, now: Timestamp) -> (Words, usize) {
        let ready: Vec<Storm> = self.gathering.iter().filter(|(_, gathering)| gathering.until <= now).map(|(storm, _)| storm.clone()).collect();
        let mut words = Words::new();
        for storm in ready {
            let Some(Gathering { happenings, count, .. }) = self.gathering.remove(&storm) else { continue };
            let Some(number) = happenings.first().map(|first| first.sequence) else { continue };
            let message = Message {
                events: happenings.iter().filter_map(|happening| serde_json::from_str(&happening.text).ok()).collect(),
                kinds: vec![storm.0.clone()],
                count,
                summary: message::summary(&happenings, count),
                made: now,
                attempts: 0,
                next: now,
                error: None,
            };
            self.told.retain(|_, told| now.since(*told) < STORM);
            if self.told.len() < STORMS_MAX {
                self.told.insert(storm, now);
            }
            words.push((Key::Delivery(name.clone(), number), Some(message.text().into())));
            self.waiting.insert(number, message);
        }
        let mut dropped = 0;
        while WAITING_MAX < self.waiting.len() {
            if let Some((number, message)) = self.waiting.pop_first() {
                words.push((Key::Delivery(name.clone(), number), None));
                self.finished(number, message, Stand::Dropped);
                dropped += 1;
            }
        }
        if !words.is_empty() || !self.kept {
            // Events that are still gathered must be found again after a kill.
            let gathered = self.gathering.values().filter_map(|gathering| gathering.happenings.first()).map(|first| first.sequence - 1).min();
            self.cursor = gathered.unwrap_or(self.seen).min(self.seen);
            self.kept = true;
            words.push((Key::Webhook(name.clone()), Some(self.cursor.to_string().into())));
        }
        (words, dropped)
    }

    /// The next message to send, if one is due.
    pub(super) fn due(&self, now: Timestamp) -> Option<Attempt> {
        let next = self.waiting.iter().filter(|(_, message)| message.next <= now).min_by_key(|(number, message)| (message.next, **number));
        next.map(|(number, message)| Attempt { number: *number, events: message.events.clone(), count: message.count })
    }

    /// Messages that wait, those that are gathered included.
    pub(super) fn len(&self) -> usize {
        self.gathering.len() + self.waiting.len()
    }

    /// When something is to be done next.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let gathered = self.gathering.values().map(|gathering| gathering.until);
        gathered.chain(self.waiting.values().map(|message| message.next)).min()
    }

    /// An attempt ended. `jitter`: 0 to 1. Says how the message stands.
    pub(super) fn attempted(&mut self, name: &Arc<str>, number: u64, result: Result<(), (String, bool)>, jitter: f64, now: Timestamp) -> (Words, Stand) {
        let Some(mut message) = self.waiting.remove(&number) else { return (Words::new(), Stand::Dropped) };
        message.attempts += 1;
        let key = Key::Delivery(name.clone(), number);
        match result {
            Ok(()) => {
                message.error = None;
                self.finished(number, message, Stand::Delivered);
                // It is back: what has waited for that need not wait longer.
                self.waiting.values_mut().for_each(|other| other.next = other.next.min(now));
                (vec![(key, None)], Stand::Delivered)
            }
            Err((why, for_good)) => {
                message.error = Some(why);
                if for_good || TRIED_FOR <= now.since(message.made) {
                    self.finished(number, message, Stand::GaveUp);
                    return (vec![(key, None)], Stand::GaveUp);
                }
                message.next = now.plus(delay(message.attempts, jitter));
                let word = message.text().into();
                self.waiting.insert(number, message);
                (vec![(key, Some(word))], Stand::Waiting)
            }
        }
    }

    fn finished(&mut self, number: u64, message: Message, stand: Stand) {
        self.done.push_back((number, message, stand));
        while DONE_MAX < self.done.len() {
            self.done.pop_front();
        }
    }

    /// For people.
    pub(super) fn listed(&self, name: &Arc<str>) -> Vec<Delivery> {
        let waiting = self.waiting.iter().map(|(number, message)| (number, message, Stand::Waiting));
        let done = self.done.iter().map(|(number, message, stand)| (number, message, *stand));
        waiting
            .chain(done)
            .map(|(number, message, stand)| Delivery {
                receiver: name.clone(),
                id: id(name, *number),
                kinds: message.kinds.clone(),
                events: message.count,
                summary: message.summary.clone(),
                made: message.made,
                attempts: message.attempts,
                stand,
                next: (stand == Stand::Waiting).then_some(message.next),
                error: message.error.clone(),
            })
            .collect()
    }
}

/// `webhook-id`: the same at each attempt, so that receivers can tell what they have already.
pub(super) fn id(name: &str, number: u64) -> String {
    format!("msg_{name}_{number}")
}

/// Before the next attempt, after so many: 5 s, 10 s, 20 s … 1 h, a fifth more or less.
fn delay(attempts: u32, jitter: f64) -> Duration {
    let doubled = RETRY_MIN.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(RETRY_MAX);
    doubled.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)).min(RETRY_MAX)
}

impl Message {
    fn text(&self) -> String {
        let Self { events, kinds, count, summary, made, attempts, next, error } = self;
        let message = json!({
            "events": events, "kinds": kinds, "count": count, "summary": summary, "made": made.0, "attempts": attempts, "next": next.0, "error": error,
        });
        message.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| value.get(key).and_then(Value::as_i64);
        Some(Self {
            events: value.get("events")?.as_array()?.clone(),
            kinds: value.get("kinds")?.as_array()?.iter().filter_map(Value::as_str).map(Arc::from).collect(),
            count: usize::try_from(number("count")?).ok()?,
            summary: value.get("summary")?.as_str()?.to_string(),
            made: Timestamp(number("made")?),
            attempts: u32::try_from(number("attempts")?).ok()?,
            next: Timestamp(number("next")?),
            error: value.get("error").and_then(Value::as_str).map(str::to_string),
        })
    }
}

#[cfg(test)]
mod tests;
