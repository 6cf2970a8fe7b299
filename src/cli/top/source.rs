//! What the server says by itself: a look every so often, and at once when something happens; events as they come.
//!
//! Never ends while the screen is there: a server that is gone is asked again, and its events are taken up where they were left.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::api::{Endpoint, EventQuery, List, Overview};
use crate::cli::client::Client;
use crate::cli::events::{Heard, follow};
use crate::cli::exit::Failure;

use super::state::Message;

/// Between two attempts to reach a server that is gone.
const RETRY: Duration = Duration::from_secs(2);
/// Events that come together make one look.
const TOGETHER: Duration = Duration::from_millis(150);
/// Events that wait for the screen.
const HEARD_MAX: usize = 512;
/// Events of the past that are shown.
const PAST: usize = 100;

/// Begins to listen; `wanted` names the pools whose endpoints are looked at, too.
pub fn start(client: &Client, every: Duration, wanted: watch::Receiver<Vec<String>>, to: &mpsc::Sender<Message>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let happened = Arc::new(Notify::new());
    tasks.spawn(look(client.clone(), every, wanted, happened.clone(), to.clone()));
    tasks.spawn(listen(client.clone(), happened, to.clone()));
    tasks
}

/// Looks until nobody listens.
async fn look(client: Client, every: Duration, mut wanted: watch::Receiver<Vec<String>>, happened: Arc<Notify>, to: mpsc::Sender<Message>) {
    loop {
        let pools = wanted.borrow_and_update().clone();
        let message = match client.get::<Overview>(&["overview"], &[]).await {
            Ok(got) => Message::Looked(Box::new(got.value)),
            Err(failure) => Message::Lost(why(failure)),
        };
        let there = matches!(message, Message::Looked(_));
        if to.send(message).await.is_err() {
            return;
        }
        for pool in if there { pools } else { Vec::new() } {
            // A pool that is gone, or an older server: the rest is worth showing all the same.
            if let Ok(got) = client.get::<List<Endpoint>>(&["endpoints"], &[("pool", &pool)]).await
                && to.send(Message::Endpoints(pool, got.value.items)).await.is_err()
            {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => (),
            () = happened.notified() => tokio::time::sleep(TOGETHER).await,
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Listens until nobody does.
async fn listen(client: Client, happened: Arc<Notify>, to: mpsc::Sender<Message>) {
    let query = EventQuery { limit: Some(PAST), ..EventQuery::default() };
    while !to.is_closed() {
        let (heard, mut said) = mpsc::channel(HEARD_MAX);
        let follows = follow(&client, &query, |what| {
            // A screen that can't keep up misses lines, never looks.
            let _ = heard.try_send(match what {
                Heard::Event(event) => Message::Event(event.clone()),
                Heard::Gap => Message::Gap,
            });
        });
        let passes = async {
            while let Some(message) = said.recv().await {
                happened.notify_one();
                if to.send(message).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            // It is begun anew; why it ended, the looks say, too.
            Err(_) = follows => (),
            () = passes => return,
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One sentence.
fn why(failure: Failure) -> String {
    match failure {
        Failure::Unreachable { why, .. } => why,
        Failure::Problem(problem) if !problem.detail.is_empty() => problem.detail,
        Failure::Problem(problem) => problem.title,
        Failure::Local { detail, .. } => detail,
    }
}
