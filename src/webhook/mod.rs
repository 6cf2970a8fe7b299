//! Webhooks: who wants to hear of events is told, at least once.
//!
//! ```text
//! events (ring, live) ─▶ queue of each receiver: gather storms ─▶ message ─▶ POST, signed ─▶ gone
//!                          │ kept in the store                       └─ fails: 5 s … 1 h, for a day
//!                          └─▶ records (by the core's learned commits)
//! ```
//!
//! One task for each receiver, one request at a time: a slow or dead receiver holds up nobody, not even another receiver. Redirects are not followed.
//! Never here: deciding what an event is. URLs and secrets reach no log, metric or error.
#![allow(clippy::disallowed_methods, reason = "an IO room: retries are kept against the clock, jitter is drawn")]

mod message;
mod queue;
mod send;
mod sign;
mod task;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::control::{Happening, Key};
use crate::metrics::Metrics;
use crate::model::{Timestamp, Webhook};

use queue::Queue;

/// A future of an edge that the app wires.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads kept events after a sequence, and the last sequence given.
pub type Since = Arc<dyn Fn(u64) -> Later<(Vec<Arc<Happening>>, u64)> + Send + Sync>;

/// What the store is to keep; `None`: removed.
pub type Words = Vec<(Key, Option<Arc<str>>)>;

/// Has it kept.
pub type Keep = Arc<dyn Fn(Words) -> Later<()> + Send + Sync>;

/// What the room stands on.
#[derive(Clone)]
pub struct Ground {
    /// `node.name`, for messages.
    pub node: String,
    /// Events as they happen.
    pub happenings: broadcast::Sender<Arc<Happening>>,
    /// Kept events after a sequence, and the last sequence given.
    pub since: Since,
    /// Has records kept in the store; `None`: removed.
    pub keep: Keep,
    /// What the wall clock says.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Deliveries are counted.
    pub metrics: Arc<Metrics>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It will be tried, perhaps again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was tried for a day, or the receiver said that it is gone for good.
    GaveUp,
    /// Too many waited.
    Dropped,
}

impl Stand {
    /// The word in lists and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Stand::Waiting => "waiting",
            Stand::Delivered => "delivered",
            Stand::GaveUp => "gave_up",
            Stand::Dropped => "dropped",
        }
    }
}

/// A message to one receiver, as listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which receiver.
    pub receiver: Arc<str>,
    /// `webhook-id`: the same at each attempt.
    pub id: String,
    /// Types of its events, each once.
    pub kinds: Vec<Arc<str>>,
    /// How many events it tells.
    pub events: usize,
    /// One sentence.
    pub summary: String,
    /// When it was made.
    pub made: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// How it stands.
    pub stand: Stand,
    /// When it is tried next.
    pub next: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// All receivers.
pub struct Webhooks {
    ground: Ground,
    client: Result<reqwest::Client, String>,
    /// As the store had them at the start; taken by the first receivers of their names.
    stored: Mutex<BTreeMap<Key, Arc<str>>>,
    receivers: Mutex<HashMap<Arc<str>, Receiver>>,
}

/// A receiver at work.
struct Receiver {
    webhook: Webhook,
    queue: Arc<Mutex<Queue>>,
    task: JoinHandle<()>,
}

/// A panic while a lock was held is a bug of its own; queues stay good enough to go on with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhooks {
    /// With what the store had; nobody is told anything before [`Self::run`].
    pub fn new(ground: Ground, stored: BTreeMap<Key, Arc<str>>) -> Arc<Self> {
        Arc::new(Self { ground, client: send::client(), stored: Mutex::new(stored), receivers: Mutex::default() })
    }

    /// Works for the receivers of `wanted`, which changes with each reload, until that is gone.
    pub async fn run(self: Arc<Self>, mut wanted: watch::Receiver<Vec<Webhook>>) {
        loop {
            let webhooks = wanted.borrow_and_update().clone();
            self.configure(webhooks).await;
            if wanted.changed().await.is_err() {
                break;
            }
        }
        lock(&self.receivers).drain().for_each(|(_, receiver)| receiver.task.abort());
    }

    async fn configure(&self, webhooks: Vec<Webhook>) {
        let (_, last) = (self.ground.since)(u64::MAX).await;
        let mut gone = Vec::new();
        {
            let mut receivers = lock(&self.receivers);
            let mut before = std::mem::take(&mut *receivers);
            for webhook in webhooks {
                let name = webhook.name.clone();
                let old = before.remove(&name);
                if let Some(same) = old.as_ref().filter(|old| old.webhook == webhook && !old.task.is_finished()) {
                    debug_assert_eq!(same.webhook, webhook);
                    receivers.extend(old.map(|old| (name, old)));
                    continue;
                }
                let queue = match old {
                    Some(old) => {
                        old.task.abort();
                        old.queue
                    }
                    None => Arc::new(Mutex::new(self.stored_queue(&name, last))),
                };
                self.ground.metrics.webhook(&name);
                let task = task::Task { webhook: webhook.clone(), queue: queue.clone(), ground: self.ground.clone(), client: self.client.clone() };
                receivers.insert(name, Receiver { webhook, queue, task: tokio::spawn(task.run()) });
            }
            for (name, receiver) in before {
                receiver.task.abort();
                self.ground.metrics.webhook_queue(&name, None);
                gone.extend(lock(&receiver.queue).keys(&name).map(|key| (key, None)));
            }
        }
        // What the store had for receivers that the file no longer has.
        let forgotten = std::mem::take(&mut *lock(&self.stored));
        gone.extend(forgotten.into_keys().map(|key| (key, None)));
        if !gone.is_empty() {
            (self.ground.keep)(gone).await;
        }
    }

    /// What the store had for a receiver; a new one hears of what happens from now on.
    fn stored_queue(&self, name: &Arc<str>, last: u64) -> Queue {
        let mut stored = lock(&self.stored);
        let of_it = |key: &Key| matches!(key, Key::Webhook(of) | Key::Delivery(of, _) if of == name);
        let own: Vec<(Key, Arc<str>)> = stored.iter().filter(|(key, _)| of_it(key)).map(|(key, text)| (key.clone(), text.clone())).collect();
        own.iter().for_each(|(key, _)| drop(stored.remove(key)));
        Queue::from_records(own, last)
    }

    /// Messages that wait, and the last ones that don't any more; newest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let queues: Vec<(Arc<str>, Arc<Mutex<Queue>>)> = lock(&self.receivers).iter().map(|(name, receiver)| (name.clone(), receiver.queue.clone())).collect();
        let mut all: Vec<Delivery> = queues.iter().flat_map(|(name, queue)| lock(queue).listed(name)).collect();
        all.sort_by(|a, b| (b.made, &b.id).cmp(&(a.made, &a.id)));
        all
    }

    /// Names of the receivers.
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = lock(&self.receivers).keys().cloned().collect();
        names.sort();
        names
    }

    /// Sends one message to a receiver, now and once, whatever events it wants. `None`: there is no such receiver.
    pub async fn test(&self, name: &str) -> Option<Result<String, String>> {
        let webhook = lock(&self.receivers).get(name).map(|receiver| receiver.webhook.clone())?;
        let now = (self.ground.now)();
        let happening = message::test_event(&self.ground.node, now);
        let body = message::body(webhook.template, &[happening], 1);
        Some(match &self.client {
            Ok(client) => send::post(client, &webhook, &format!("test-{:x}", now.0), now, body).await.map_err(|failed| failed.why),
            Err(why) => Err(why.clone()),
        })
    }
}
