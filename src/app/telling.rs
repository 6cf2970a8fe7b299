//! Webhooks wired: to the core's ring, its learned commits, and the API.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::admin::door::Door;
use crate::admin::{Tested, WebhookDesk, api};
use crate::control::{Event, Happening, Key};
use crate::metrics::Metrics;
use crate::model::Webhook;
use crate::webhook::{Delivery, Ground, Webhooks};

use super::clock::Clock;

/// Starts the webhooks; `wanted` changes with each configuration.
pub(super) fn start(
    node: &str,
    door: &Door,
    happenings: &broadcast::Sender<Arc<Happening>>,
    metrics: &Arc<Metrics>,
    clock: Clock,
    stored: BTreeMap<Key, Arc<str>>,
    wanted: watch::Receiver<Vec<Webhook>>,
) -> Arc<dyn WebhookDesk> {
    let (ring, queue) = (door.clone(), door.clone());
    let ground = Ground {
        node: node.to_string(),
        happenings: happenings.clone(),
        since: Arc::new(move |after| {
            let ring = ring.clone();
            Box::pin(async move {
                let look = move |core: &crate::control::Core, _| {
                    (core.happenings().iter().filter(|happening| after < happening.sequence).cloned().collect(), core.last_sequence())
                };
                // The server ends: nobody is told any more.
                ring.look(look).await.unwrap_or_default()
            })
        }),
        keep: Arc::new(move |words| {
            let queue = queue.clone();
            Box::pin(async move {
                let _the_server_ends = queue.tell(Event::Queued(words)).await;
            })
        }),
        now: Arc::new(move || clock.now().wall),
        metrics: metrics.clone(),
    };
    let webhooks = Webhooks::new(ground, stored);
    tokio::spawn(webhooks.clone().run(wanted));
    Arc::new(Desk(webhooks))
}

struct Desk(Arc<Webhooks>);

impl WebhookDesk for Desk {
    fn deliveries(&self) -> Vec<api::Delivery> {
        self.0.deliveries().into_iter().map(shown).collect()
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.names()
    }

    fn test(&self, name: String) -> Tested<'_> {
        Box::pin(async move { self.0.test(&name).await })
    }
}

fn shown(delivery: Delivery) -> api::Delivery {
    let Delivery { receiver, id, kinds, events, summary, made, attempts, stand, next, error } = delivery;
    api::Delivery {
        receiver: receiver.to_string(),
        id,
        types: kinds.iter().map(|kind| format!("windrose.{kind}")).collect(),
        events: events as u64,
        summary,
        made: made.into(),
        attempts,
        state: stand.word().to_string(),
        next: next.map(Into::into),
        error,
    }
}
