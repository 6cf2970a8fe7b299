//! DNS on sockets: UDP workers and TCP sessions around `answer()`.
//!
//! ```text
//! bind() ──▶ Bound ──serve()──▶ Running ──stop()──▶ drained and closed
//!              │                   ├─ udp: a thread per worker and address, its own socket (mmsg: many datagrams per call)
//!              │                   └─ tcp: a task per connection (session), seats limited (seats), answers at a desk
//!              └─ all sockets and threads exist, queries wait in them
//! ```
//!
//! Each worker and each desk has its own [`Cx`] and [`Counters`]; the snapshot is loaded once per batch.
//!
//! Never here: what a response says, a response from another address than the one asked (Linux), a wait without a
//! deadline, a panic that ends a worker.

#![deny(clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "an IO room: durations of batches and deadlines of sessions need the clock")]

mod bind;
mod clock;
mod desk;
#[cfg(target_os = "linux")]
mod mmsg;
mod parcel;
mod seats;
mod session;
#[cfg(any(test, not(target_os = "linux")))]
mod single;
mod tcp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod udp;
mod vitals;

#[cfg(target_os = "linux")]
use self::mmsg as batch;
#[cfg(not(target_os = "linux"))]
use self::single as batch;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::Socket;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub use self::bind::{BindError, Protocols, Sockets, bind, bind_with};
pub use self::parcel::Parcel;
pub use self::seats::{CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_MAX, DESCRIPTORS_RESERVED};
pub use self::session::{IDLE_DEADLINE, MESSAGE_DEADLINE, WRITE_DEADLINE};
pub use self::vitals::Vitals;

use self::bind::{Listen, Surplus};
use self::clock::BatchClock;
use self::desk::Desk;
use self::seats::{Limits, Seats};
use self::session::Deadlines;
use self::tcp::{House, Stopping};
use self::udp::{Start, Worker};
use crate::answer::{Counters, Cx, Limiter};
use crate::snapshot::Snapshot;

/// Desks for TCP sessions: few, so that shares stay even over all of them, and enough to keep sessions from queueing.
const DESKS_MAX: usize = 4;
/// How long [`Running::stop`] waits for threads, and for sessions that are still writing.
const STOP_DEADLINE: Duration = Duration::from_secs(2);
/// From the moment that a surplus socket is retired until it is drained for the last time: deliveries under way on other cores are in it then.
const RETIRE_PAUSE: Duration = Duration::from_millis(100);

/// All sockets are open; nothing is answered yet. Dropping it closes them.
#[derive(Debug)]
pub struct Bound {
    listens: Vec<Listen>,
}

/// Limits of TCP sessions; tests set their own.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(Default))]
struct Tuning {
    limits: Limits,
    deadlines: Deadlines,
}

impl Bound {
    /// Where it listens, in the order of the file; port 0 has become a port.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listens.iter().map(|listen| listen.address).collect()
    }

    /// Begins to answer from what `snapshot` publishes. `seed` makes the contexts differ; `register` is told of every
    /// counter set, once, before it returns. Must be called inside a tokio runtime.
    pub fn serve(self, snapshot: Arc<ArcSwap<Snapshot>>, seed: u64, register: &mut dyn FnMut(Arc<Counters>)) -> Running {
        self.serve_tuned(snapshot, seed, register, Tuning { limits: Limits::of_this_process(), deadlines: Deadlines::default() })
    }

    fn serve_tuned(self, published: Arc<ArcSwap<Snapshot>>, seed: u64, register: &mut dyn FnMut(Arc<Counters>), tuning: Tuning) -> Running {
        let Tuning { limits, deadlines } = tuning;
        let vitals = Arc::new(Vitals::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let limiter = Limiter::new(spread(seed, 0));
        let clock = BatchClock::start();
        let mut contexts = 0;
        let mut context = || {
            contexts += 1;
            let counters = Counters::new();
            register(Arc::clone(&counters));
            (Cx::new(Arc::clone(&counters), Arc::clone(&limiter), spread(seed, contexts)), counters)
        };

        let desks = (0..thread::available_parallelism().map_or(1, usize::from).min(DESKS_MAX))
            .map(|_| {
                let (cx, counters) = context();
                Desk::new(Arc::clone(&published), Arc::clone(&vitals), cx, counters, clock)
            })
            .collect();
        let seats = Seats::new(limits, Arc::clone(&vitals));
        let house =
            Arc::new(House { desks, turn: AtomicUsize::new(0), seats: Arc::clone(&seats), vitals: Arc::clone(&vitals), deadlines, post: Arc::default() });

        let (stop, stopped) = watch::channel(false);
        let (alive, sessions) = mpsc::channel(1);
        let (mut threads, mut sockets, mut retiring) = (Vec::new(), Vec::new(), Vec::new());
        for Listen { address: _, workers, surplus, tcp, sockets: left } in self.listens {
            sockets.push(left);
            let mut start = |worker: Worker, stopping: &Arc<AtomicBool>| {
                let (cx, counters) = context();
                let (published, vitals, stopping) = (Arc::clone(&published), Arc::clone(&vitals), Arc::clone(stopping));
                threads.extend(worker.start(Start { cx, counters, clock, published, vitals, stopping }));
            };
            workers.into_iter().for_each(|worker| start(worker, &stopping));
            for Surplus { worker, socket } in surplus {
                let retired = Arc::new(AtomicBool::new(false));
                start(worker, &retired);
                retiring.push((socket, retired));
            }
            tokio::spawn(tcp::accept(tcp, Arc::clone(&house), Stopping(stopped.clone()), alive.clone()));
        }
        let hall = Some(Hall { house, stopped, alive });
        Running { stopping, stop, threads, sessions, hall, seats, vitals, sockets: Arc::new(sockets), surplus: retiring }
    }
}

/// Differs widely for neighbouring `index`es (the finaliser of SplitMix64).
fn spread(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Workers and sessions at work. Dropping it tells them to end and doesn't wait; [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    stopping: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
    /// Closed when the hall, the last listener and the last session are gone.
    sessions: mpsc::Receiver<Infallible>,
    /// `None` once it stops.
    hall: Option<Hall>,
    seats: Arc<Seats>,
    vitals: Arc<Vitals>,
    sockets: Arc<Vec<Sockets>>,
    /// Sockets of a process before that had more workers, and what ends their threads.
    surplus: Vec<(Socket, Arc<AtomicBool>)>,
}

/// What a session needs that did not come through one of our listeners.
#[derive(Debug)]
struct Hall {
    house: Arc<House>,
    stopped: watch::Receiver<bool>,
    alive: mpsc::Sender<Infallible>,
}

/// Goes on with sessions of another process, as long as this server runs.
#[derive(Clone, Debug)]
pub struct Adopter {
    house: Weak<House>,
    stopped: watch::Receiver<bool>,
    alive: mpsc::WeakSender<Infallible>,
}

impl Adopter {
    /// Takes one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The connection is broken, or this server stops; then it is over.
    pub fn adopt(&self, parcel: Parcel) -> std::io::Result<()> {
        let (Some(house), Some(alive)) = (self.house.upgrade(), self.alive.upgrade()) else { return Err(std::io::ErrorKind::NotConnected.into()) };
        let (stream, input) = parcel.open()?;
        let client = stream.peer_addr()?;
        tcp::begin(stream, input, client, &house, &Stopping(self.stopped.clone()), &alive);
        Ok(())
    }
}

impl Running {
    /// For sessions of the process before; `None` once it stops.
    pub fn adopter(&self) -> Option<Adopter> {
        let Hall { house, stopped, alive } = self.hall.as_ref()?;
        Some(Adopter { house: Arc::downgrade(house), stopped: stopped.clone(), alive: alive.downgrade() })
    }

    /// As [`Self::stop`], but sessions that wait for their clients go to `heir`, which is dropped when none is left.
    pub async fn stop_for(self, heir: mpsc::UnboundedSender<Parcel>) {
        let post = self.hall.as_ref().map(|hall| Arc::clone(&hall.house.post));
        post.iter().for_each(|post| post.lead(Some(heir.clone())));
        drop(heir);
        self.stop().await;
        post.iter().for_each(|post| post.lead(None));
    }

    /// Lets go of the sockets that the process before had for workers that are no longer wanted: nothing new comes into them, what is in them is answered.
    /// Call it when that process can't go on any more. Must be called inside a tokio runtime.
    pub fn retire_surplus(&mut self) {
        for (socket, retired) in self.surplus.drain(..) {
            if let Err(error) = bind::retire(&socket) {
                tracing::warn!(%error, "a socket of the process before can't be retired; queries on their way into it may be lost");
            }
            tokio::spawn(async move {
                tokio::time::sleep(RETIRE_PAUSE).await;
                retired.store(true, Ordering::Relaxed);
            });
        }
    }

    /// What another process needs to take over. As long as somebody has it, the ports are not free.
    pub fn sockets(&self) -> Arc<Vec<Sockets>> {
        Arc::clone(&self.sockets)
    }

    /// Ends all: queries that are in the sockets' queues are still answered, responses that are being written get a moment.
    /// After it returned, the ports are free.
    pub async fn stop(mut self) {
        self.tell();
        self.hall = None;
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count());
        let threads = async {
            if timeout(STOP_DEADLINE, joined).await.is_err() {
                tracing::warn!("DNS worker threads did not end in time; leaving them behind");
            }
        };
        let sessions = async {
            if timeout(STOP_DEADLINE, self.sessions.recv()).await.is_err() {
                self.seats.evict_all();
                let _either_way = timeout(STOP_DEADLINE, self.sessions.recv()).await;
            }
        };
        tokio::join!(threads, sessions);
    }

    /// Open TCP connections: `windrose_dns_tcp_connections`.
    pub fn tcp_connections(&self) -> usize {
        self.vitals.tcp_connections.load(Ordering::Relaxed)
    }

    /// The numbers of the sockets, for metrics; they outlive this.
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    fn tell(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.surplus.iter().for_each(|(_, retired)| retired.store(true, Ordering::Relaxed));
        self.stop.send_replace(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell();
    }
}
