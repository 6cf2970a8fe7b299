//! The way from IO rooms to the core: a bounded queue of knocks.
//!
//! Reading the core means lending it to a closure for a moment: what is read is consistent, and nothing else happens meanwhile. Keep closures short.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::control::{Actor, Change, Core, Event, Origin, Refusal, RefusalKind, Reply, Revision, Ticket};
use crate::model::{GuardKind, Now};

tokio::task_local! {
    /// Where the request that this task serves came from: for the audit. Set by the middleware, so that no handler can forget it.
    pub(super) static ORIGIN: Origin;
}

/// Looks at the core.
type Look = Box<dyn FnOnce(&Core, Now) + Send>;

/// What comes through the door.
pub enum Knock {
    /// A fact.
    Event(Event),
    /// A question with a reply to come; the event carries the same ticket.
    Ask(Event, Ticket, oneshot::Sender<Reply>),
    /// Lend the core to this.
    Look(Look),
}

/// A handle for everyone who speaks to the core. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    knocks: mpsc::Sender<Knock>,
    tickets: Arc<AtomicU64>,
}

/// The core is gone: the daemon is stopping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server is stopping")]
pub struct Closed;

/// An operator's wish on its way in.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who.
    pub actor: Actor,
    /// Why; may be empty.
    pub reason: String,
    /// What.
    pub change: Change,
    /// `If-Match`.
    pub expect: Option<Revision>,
    /// `If-Match` of a service that follows the file.
    pub expect_file: Option<u64>,
    /// Guards that need not hold; the actor may break them.
    pub break_glass: Vec<GuardKind>,
    /// Write nothing.
    pub dry_run: bool,
}

impl Door {
    /// A door and the queue behind it. `capacity` bounds what waits.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Knock>) {
        let (knocks, queue) = mpsc::channel(capacity);
        (Self { knocks, tickets: Arc::new(AtomicU64::new(1)) }, queue)
    }

    /// Hands in a fact; waits while the queue is full.
    pub async fn tell(&self, event: Event) -> Result<(), Closed> {
        self.knocks.send(Knock::Event(event)).await.map_err(|_| Closed)
    }

    /// Hands in a fact that may be lost: if the queue is full, it is.
    pub fn mention(&self, event: Event) {
        let _ = self.knocks.try_send(Knock::Event(event));
    }

    /// Lends the core to `look` and returns what it found. If `look` panics, it does so here, in the task that asked; the core goes on.
    pub async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Core, Now) -> T + Send + 'static) -> Result<T, Closed> {
        let (found, wait) = oneshot::channel();
        // Unwind safety: the core was only lent for reading.
        let look: Look = Box::new(move |core, now| drop(found.send(std::panic::catch_unwind(AssertUnwindSafe(|| look(core, now))))));
        self.knocks.send(Knock::Look(look)).await.map_err(|_| Closed)?;
        match wait.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => Err(Closed),
        }
    }

    /// Hands in a change and waits until it is durable and answered by DNS, or refused.
    pub async fn change(&self, wish: Wish) -> Reply {
        let Wish { actor, reason, change, expect, expect_file, break_glass, dry_run } = wish;
        let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
        self.ask(|ticket| Event::Change { ticket, origin, actor, reason, change, expect, expect_file, break_glass, dry_run }).await
    }

    /// Hands in an event that will be replied to.
    pub async fn ask(&self, event: impl FnOnce(Ticket) -> Event) -> Reply {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let (reply, wait) = oneshot::channel();
        let stopping = || Refusal::new(RefusalKind::StoreUnavailable, "the server is stopping");
        self.knocks.send(Knock::Ask(event(ticket), ticket, reply)).await.map_err(|_| stopping())?;
        wait.await.map_err(|_| stopping())?
    }
}
