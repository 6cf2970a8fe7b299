//! Places for connections: so many, and who has been idle longest makes room for one who comes.
//!
//! Idle is a connection that no request of is being worked on: one that waits for its next request, is still shaking hands, or sends its head slowly. While
//! all are busy, new ones wait in the kernel's queue. Who is idle stands in order, so that ten thousand of them cost one who comes no search.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// If who was to go has just become busy, somebody else is looked for after this.
const AGAIN: Duration = Duration::from_millis(50);

/// The places of one listener.
pub(super) struct Places {
    most: usize,
    began: Instant,
    table: Mutex<Table>,
    left: Notify,
}

#[derive(Default)]
struct Table {
    taken: HashMap<u64, State>,
    /// Who is idle and was not asked to go yet: since when (microseconds since `began`), and who.
    idle: BTreeSet<(u64, u64)>,
    next: u64,
}

struct State {
    /// Requests that are worked on.
    busy: usize,
    idle_since: u64,
    go: Arc<Notify>,
}

/// A place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    go: Arc<Notify>,
}

/// As long as it lives, a request is worked on.
pub(super) struct Busy {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, began: Instant::now(), table: Mutex::default(), left: Notify::new() })
    }

    /// Waits for a place: while all are taken, whoever is idle longest is asked to go.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let left = self.left.notified();
            let idle_longest = {
                let now = self.now();
                let mut table = self.table();
                if table.taken.len() < self.most {
                    let (number, go) = (table.next, Arc::new(Notify::new()));
                    table.next += 1;
                    table.idle.insert((now, number));
                    table.taken.insert(number, State { busy: 0, idle_since: now, go: go.clone() });
                    return Place { places: self.clone(), number, go };
                }
                table.idle.pop_first().and_then(|(_, number)| table.taken.get(&number).map(|state| state.go.clone()))
            };
            if let Some(go) = idle_longest {
                go.notify_one();
            }
            let _ = tokio::time::timeout(AGAIN, left).await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// A request begins.
    pub(super) fn work(&self) -> Busy {
        let mut table = self.places.table();
        let Table { taken, idle, next: _ } = &mut *table;
        if let Some(state) = taken.get_mut(&self.number) {
            idle.remove(&(state.idle_since, self.number));
            state.busy += 1;
        }
        Busy { places: self.places.clone(), number: self.number }
    }

    /// Returns when the place is needed for somebody else, and nothing is being worked on.
    pub(super) async fn needed(&self) {
        loop {
            self.go.notified().await;
            if self.places.table().taken.get(&self.number).is_none_or(|state| state.busy == 0) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.table();
        if let Some(state) = table.taken.remove(&self.number) {
            table.idle.remove(&(state.idle_since, self.number));
        }
        drop(table);
        self.places.left.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.places.now();
        let mut table = self.places.table();
        let Table { taken, idle, next: _ } = &mut *table;
        if let Some(state) = taken.get_mut(&self.number) {
            state.busy -= 1;
            if state.busy == 0 {
                state.idle_since = now;
                idle.insert((now, self.number));
            }
        }
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
        assert_eq!(places.table().taken.len(), 2);
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
