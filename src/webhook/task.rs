//! One receiver at work: listens, waits, sends, one message at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

use crate::control::Happening;
use crate::model::Webhook;

use super::queue::{Queue, id};
use super::send::{self, Failed};
use super::{Ground, Stand, lock, message};

/// Looked at least this often, whatever the wall clock does.
const LOOK: Duration = Duration::from_secs(60);

/// A receiver's task.
pub(super) struct Task {
    pub webhook: Webhook,
    pub queue: Arc<Mutex<Queue>>,
    pub ground: Ground,
    pub client: Result<reqwest::Client, String>,
}

type Sending = Pin<Box<dyn Future<Output = (u64, Result<String, Failed>)> + Send>>;

impl Task {
    /// Until it is aborted or the server ends.
    pub(super) async fn run(self) {
        let client = match &self.client {
            Ok(client) => client.clone(),
            Err(why) => return warn!(receiver = %self.webhook.name, "webhook {} can't work: {why}", self.webhook.name),
        };
        let mut coming = self.ground.happenings.subscribe();
        self.catch_up().await;
        let mut sending: Option<Sending> = None;
        loop {
            self.advance().await;
            let now = (self.ground.now)();
            if sending.is_none() {
                sending = self.attempt(&client);
            }
            let next = {
                let queue = lock(&self.queue);
                self.ground.metrics.webhook_queue(&self.webhook.name, Some(queue.len()));
                queue.next_at()
            };
            // What is due while another message is being sent waits for its end.
            let wait = next.filter(|next| sending.is_none() || now < *next).map_or(LOOK, |next| next.since(now).min(LOOK));
            tokio::select! {
                came = coming.recv() => match came {
                    Ok(happening) => self.happened(&happening),
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return,
                },
                (number, result) = async { match &mut sending { Some(sending) => sending.await, None => std::future::pending().await } } => {
                    sending = None;
                    self.attempted(number, result).await;
                }
                () = tokio::time::sleep(wait) => (),
            }
        }
    }

    /// What the ring has and this receiver has not seen.
    async fn catch_up(&self) {
        let seen = lock(&self.queue).seen();
        let (missed, _) = (self.ground.since)(seen).await;
        missed.iter().for_each(|happening| self.happened(happening));
    }

    fn happened(&self, happening: &Arc<Happening>) {
        let wanted = self.webhook.wants(&happening.kind);
        lock(&self.queue).happened(happening, wanted, (self.ground.now)());
    }

    async fn advance(&self) {
        let name = &self.webhook.name;
        let (words, dropped) = lock(&self.queue).advance(name, (self.ground.now)());
        for _ in 0..dropped {
            self.ground.metrics.webhook_delivery(name, Stand::Dropped.word());
        }
        if !words.is_empty() {
            (self.ground.keep)(words).await;
        }
    }

    fn attempt(&self, client: &reqwest::Client) -> Option<Sending> {
        let now = (self.ground.now)();
        let attempt = lock(&self.queue).due(now)?;
        let body = message::body(self.webhook.template, &attempt.events, attempt.count);
        let (client, webhook, number) = (client.clone(), self.webhook.clone(), attempt.number);
        Some(Box::pin(async move { (number, send::post(&client, &webhook, &id(&webhook.name, number), now, body).await) }))
    }

    async fn attempted(&self, number: u64, result: Result<String, Failed>) {
        let name = &self.webhook.name;
        let jitter = getrandom::u32().map_or(0.5, |drawn| f64::from(drawn) / f64::from(u32::MAX));
        let why = result.as_ref().err().map(|failed| failed.why.clone());
        let result = result.map(drop).map_err(|failed| (failed.why, failed.for_good));
        let (words, stand) = lock(&self.queue).attempted(name, number, result, jitter, (self.ground.now)());
        match (stand, why) {
            (Stand::Waiting, Some(why)) => {
                info!(receiver = %name, "webhook {name}: message {} was not taken, it will be tried again: {why}", id(name, number));
                self.ground.metrics.webhook_delivery(name, "failed");
            }
            (Stand::GaveUp, Some(why)) => {
                warn!(receiver = %name, "webhook {name}: message {} is given up: {why}", id(name, number));
                self.ground.metrics.webhook_delivery(name, Stand::GaveUp.word());
            }
            (stand, _) => self.ground.metrics.webhook_delivery(name, stand.word()),
        }
        if !words.is_empty() {
            (self.ground.keep)(words).await;
        }
    }
}
