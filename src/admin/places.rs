//! Places for connections: so many, and who has been idle longest makes room for one who comes.
//!
//! Idle is a connection that no request of is being worked on: one that waits for its next request, is still shaking hands, or sends its head slowly. While
//! all are busy, new ones wait in the kernel's queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// If who was to go has just become busy, somebody else is looked for after this.
const AGAIN: Duration = Duration::from_millis(50);

/// The places of one listener.
pub(super) struct Places {
    most: usize,
    began: Instant,
    taken: Mutex<BTreeMap<u64, Arc<State>>>,
    numbers: AtomicU64,
    left: Notify,
}

#[derive(Default)]
struct State {
    /// Requests that are worked on.
    busy: AtomicUsize,
    /// Since when it is idle, milliseconds since `began`.
    idle_since: AtomicU64,
    go: Notify,
}

/// A place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    state: Arc<State>,
}

/// As long as it lives, a request is worked on.
pub(super) struct Busy {
    places: Arc<Places>,
    state: Arc<State>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, began: Instant::now(), taken: Mutex::default(), numbers: AtomicU64::new(0), left: Notify::new() })
    }

    /// Waits for a place: while all are taken, whoever is idle longest is asked to go.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let left = self.left.notified();
            let idle_longest = {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if taken.len() < self.most {
                    let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                    let state = Arc::new(State::default());
                    state.idle_since.store(self.now(), Ordering::Relaxed);
                    taken.insert(number, state.clone());
                    return Place { places: self.clone(), number, state };
                }
                let idle = taken.iter().filter(|(_, state)| state.busy.load(Ordering::Acquire) == 0);
                idle.min_by_key(|(number, state)| (state.idle_since.load(Ordering::Relaxed), **number)).map(|(_, state)| state.clone())
            };
            if let Some(state) = idle_longest {
                state.go.notify_one();
            }
            let _ = tokio::time::timeout(AGAIN, left).await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// A request begins.
    pub(super) fn work(&self) -> Busy {
        self.state.busy.fetch_add(1, Ordering::AcqRel);
        Busy { places: self.places.clone(), state: self.state.clone() }
    }

    /// Returns when the place is needed for somebody else, and nothing is being worked on.
    pub(super) async fn needed(&self) {
        loop {
            self.state.go.notified().await;
            if self.state.busy.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.places.left.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.idle_since.store(self.places.now(), Ordering::Relaxed);
        self.state.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_idle_longest_goes_and_who_works_stays() {
        let places = Places::new(2);
        let (first, second) = (places.take().await, places.take().await);
        let work = first.work();
        let waits = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        tokio::time::timeout(Duration::from_secs(5), second.needed()).await.unwrap();
        drop(second);
        let third = waits.await.unwrap();
        assert_eq!(places.taken.lock().unwrap().len(), 2);
        let also = third.work();
        assert!(tokio::time::timeout(Duration::from_millis(120), places.take()).await.is_err(), "all work: nobody goes");
        drop((work, also));
        let waits = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        tokio::time::timeout(Duration::from_secs(5), async {
            tokio::select! { () = first.needed() => (), () = third.needed() => () }
        })
        .await
        .unwrap();
        drop(first);
        waits.await.unwrap();
    }
}
