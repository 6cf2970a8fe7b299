//! DNS over TCP: threads that accept connections and run their sessions.
//!
//! ```text
//!   listeners ──▶ thread 0: its own runtime, desk and table ──▶ sessions, each a task that never leaves its thread
//!           └───▶ thread 1: the same                          keeper (thread 0): ends what is overdue, in all threads
//! ```
//!
//! All threads listen at the same sockets: whoever is free takes the next connection. No query crosses a thread, so nothing
//! of its way is locked. Threads and runtimes are made before anything serves, so that a lack of them is found then.
//!
//! Never here: a spin when descriptors run out (it pauses, and connections that were idle longest make room), a
//! connection that outlives the daemon's end by more than its deadline.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::desk::Desk;
use super::seats::Seats;
use super::session::{self, End, Table};
use super::vitals::Vitals;

/// Threads for sessions: few, so that shares stay even over all of them.
pub const THREADS_MAX: usize = 4;
/// How long sessions may still write when the daemon ends.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
/// Pause of a listener that can't accept. Connections wait in the kernel's queue meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that make room before such a pause when descriptors ran out: enough for the queue to move on after it.
const SHORTAGE_EVICTIONS: usize = 64;

/// What all threads share.
#[derive(Debug)]
pub struct House {
    /// Who may stay, and how long.
    pub seats: Arc<Seats>,
    /// How often somebody must look who may not.
    pub look_every: Duration,
    /// What is counted.
    pub vitals: Arc<Vitals>,
    /// Set once, by whoever stops the daemon.
    pub stopping: Arc<AtomicBool>,
    /// The same, for those who wait for it: `true`, or its sender gone.
    pub stopped: watch::Receiver<bool>,
}

/// What a thread needs to begin.
#[derive(Debug)]
pub struct Start {
    /// Its own; nobody else has it.
    pub desk: Desk,
    /// Shared with the others.
    pub house: Arc<House>,
}

/// A thread with a runtime that waits to be started. Dropped before that, it has ended.
#[derive(Debug)]
pub struct Thread {
    /// `None` once started.
    waiting: Option<(std_mpsc::SyncSender<Start>, thread::JoinHandle<()>)>,
}

impl Thread {
    /// Makes the thread and its runtime now; connections that come before it is started wait in the listeners' queues.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for its runtime.
    pub fn spawn(index: usize, listeners: Vec<TcpListener>) -> io::Result<Self> {
        let (start, started) = std_mpsc::sync_channel::<Start>(1);
        let (tell, told) = std_mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("dns-tcp-{index}")).spawn(move || {
            let (runtime, listeners) = match prepare(listeners) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let _whoever_spawned_waits = tell.send(Err(error));
                    return;
                }
            };
            let _whoever_spawned_waits = tell.send(Ok(()));
            if let Ok(start) = started.recv() {
                work(&runtime, index, listeners, start);
            }
        })?;
        told.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended before it began")))?;
        Ok(Self { waiting: Some((start, thread)) })
    }

    /// Starts it; the thread ends after the daemon was told to stop, and within [`DRAIN_DEADLINE`].
    pub fn start(mut self, start: Start) -> Option<thread::JoinHandle<()>> {
        let (door, thread) = self.waiting.take()?;
        // The channel has room for one and the thread waits for it: this neither blocks nor fails.
        let _thread_is_waiting = door.send(start);
        Some(thread)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some((door, thread)) = self.waiting.take() {
            drop(door);
            // It does nothing but see that the door is closed.
            let _either_way = thread.join();
        }
    }
}

/// A runtime that knows the listeners.
fn prepare(listeners: Vec<TcpListener>) -> io::Result<(LocalRuntime, Vec<tokio::net::TcpListener>)> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let listeners = runtime.block_on(async { listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<Vec<_>>>() })?;
    Ok((runtime, listeners))
}

/// What the sessions of one thread share.
struct Floor {
    thread: usize,
    table: RefCell<Table<Desk>>,
    house: Arc<House>,
}

/// The life of a thread. What is left when it returns goes with the runtime.
fn work(runtime: &LocalRuntime, thread: usize, listeners: Vec<tokio::net::TcpListener>, start: Start) {
    let Start { desk, house } = start;
    runtime.block_on(async {
        let mut stopped = house.stopped.clone();
        let floor = Rc::new(Floor { thread, table: Table::new(desk), house: Arc::clone(&house) });
        // Every session holds a clone, so that the end of all of them can be awaited.
        let (alive, mut sessions) = mpsc::channel(1);
        let keeper = (thread == 0).then(|| spawn_local(keep(Arc::clone(&house))));
        let doors: Vec<_> = listeners.into_iter().map(|listener| spawn_local(accept(listener, Rc::clone(&floor), alive.clone()))).collect();
        drop(alive);
        // An error is the sender's end, which means the same.
        let _either = stopped.wait_for(|stop| *stop).await;
        for door in doors {
            door.abort();
            let _aborted = door.await;
        }
        house.seats.end_waiting(thread);
        if timeout(DRAIN_DEADLINE, sessions.recv()).await.is_err() {
            tracing::debug!("closing DNS connections over TCP whose clients did not read in time");
        }
        keeper.iter().for_each(tokio::task::JoinHandle::abort);
    });
}

/// Ends overdue sessions of all threads.
async fn keep(house: Arc<House>) {
    let mut looks = interval(house.look_every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        house.seats.end_overdue();
    }
}

/// Accepts connections until it is aborted.
async fn accept(listener: tokio::net::TcpListener, floor: Rc<Floor>, alive: mpsc::Sender<Infallible>) {
    let house = &floor.house;
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let seat = house.seats.take(client.ip(), floor.thread);
                let door = seat.door();
                let (floor, alive) = (Rc::clone(&floor), alive.clone());
                let session = spawn_local(async move {
                    let Floor { table, house, .. } = &*floor;
                    if session::run(stream, client, &seat, table, &house.stopping).await == End::Crowded {
                        Vitals::add(&house.vitals.tcp_cut, 1);
                    }
                    drop(alive);
                });
                door.leads(session.abort_handle());
            }
            // The client changed its mind before we looked.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted) => {}
            Err(error) => shortage(house, &error).await,
        }
    }
}

/// Counts a failure to accept, makes room if that helps, and pauses.
async fn shortage(house: &House, error: &io::Error) {
    if Vitals::add(&house.vitals.tcp_accept_failures, 1) == 0 {
        tracing::warn!(%error, "accepting DNS connections failed; pausing, later failures are only counted");
    }
    if is_shortage(error) {
        house.seats.evict_oldest(SHORTAGE_EVICTIONS);
    }
    sleep(ACCEPT_PAUSE).await;
}

/// Whether closing a connection helps.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shortage_makes_connections_go() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(is_shortage(&io::Error::from_raw_os_error(code)));
        }
        for code in [libc::EINVAL, libc::ENETDOWN, libc::EPERM] {
            assert!(!is_shortage(&io::Error::from_raw_os_error(code)));
        }
    }
}
