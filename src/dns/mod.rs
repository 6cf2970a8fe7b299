//! DNS on sockets: UDP workers and TCP sessions around `answer()`.
//!
//! ```text
//! bind() ──▶ Bound ──serve()──▶ Running ──stop()──▶ drained and closed
//!              │                   ├─ udp: a thread per worker and address, its own socket (mmsg: many datagrams per call)
//!              │                   └─ tcp: few threads with a task per connection (session), seats limited (seats), a desk per thread
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
mod kept;
#[cfg(target_os = "linux")]
mod mmsg;
pub mod notify;
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
mod transfer;
mod udp;
mod vitals;

#[cfg(target_os = "linux")]
use self::mmsg as batch;
#[cfg(not(target_os = "linux"))]
use self::single as batch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::Socket;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub use self::bind::{BindError, Protocols, Sockets, alone_at, bind, bind_with};
pub use self::kept::KEPT_BYTES_MAX;
pub use self::parcel::Parcel;
pub use self::seats::{CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_MAX, DESCRIPTORS_RESERVED, IDLE_DEADLINE, IDLE_PROMISE, MESSAGE_DEADLINE, WRITE_DEADLINE};
pub use self::transfer::{TRANSFER_DEADLINE, TRANSFERS_MAX, TURN_DEADLINE, Transfers};
pub use self::vitals::Vitals;

use self::bind::{Listen, Surplus};
use self::clock::BatchClock;
use self::desk::Desk;
use self::parcel::Post;
use self::seats::{Deadlines, Limits, Seats};
use self::tcp::House;
use self::udp::{Start, Worker};
use crate::answer::{Counters, Cx, Limiter};
use crate::snapshot::Snapshot;

/// How long [`Running::stop`] waits for threads: longer than sessions may take to write what they have.
const STOP_DEADLINE: Duration = tcp::DRAIN_DEADLINE.saturating_add(Duration::from_secs(1));
/// From the moment that a surplus socket is retired until it is drained for the last time: deliveries under way on other cores are in it then.
const RETIRE_PAUSE: Duration = Duration::from_millis(100);

/// All sockets are open; nothing is answered yet. Dropping it closes them.
#[derive(Debug)]
pub struct Bound {
    listens: Vec<Listen>,
    streams: Vec<tcp::Thread>,
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
    /// counter set, once, before it returns.
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

        let seats = Seats::new(limits, deadlines, Arc::clone(&vitals));
        let (stop, stopped) = watch::channel(false);
        let (look_every, post) = (deadlines.look_every(), Arc::<Post>::default());
        let house = Arc::new(House { seats, look_every, vitals: Arc::clone(&vitals), stopping: Arc::clone(&stopping), stopped, post: Arc::clone(&post) });
        let (mut threads, mut sockets, mut retiring, mut slots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for stream in self.streams {
            let (cx, counters) = context();
            let desk = Desk::new(Arc::clone(&published), Arc::clone(&vitals), cx, counters, clock);
            let (slot, parcels) = mpsc::unbounded_channel();
            slots.push(slot);
            threads.extend(stream.start(tcp::Start { desk, house: Arc::clone(&house), parcels }));
        }
        // The threads have listeners of their own, clones of `tcp`.
        for Listen { address: _, workers, surplus, tcp: _, sockets: left } in self.listens {
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
        }
        let adopter = Adopter { slots: slots.into(), turn: Arc::default() };
        Running { stopping, stop, threads, vitals, post, adopter, sockets: Arc::new(sockets), surplus: retiring }
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
    vitals: Arc<Vitals>,
    post: Arc<Post>,
    adopter: Adopter,
    sockets: Arc<Vec<Sockets>>,
    /// Sockets of a process before that had more workers, and what ends their threads.
    surplus: Vec<(Socket, Arc<AtomicBool>)>,
}

/// Goes on with sessions of another process, as long as this server runs.
#[derive(Clone, Debug)]
pub struct Adopter {
    /// One per thread for TCP; they take turns. Not bounded in themselves: nobody sends more than there were seats in the other process.
    slots: Arc<[mpsc::UnboundedSender<Parcel>]>,
    turn: Arc<AtomicUsize>,
}

impl Adopter {
    /// Takes one.
    ///
    /// # Errors
    /// This server stops; then the session is over.
    pub fn adopt(&self, parcel: Parcel) -> std::io::Result<()> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.get(turn % self.slots.len().max(1)).ok_or(std::io::ErrorKind::NotConnected)?;
        slot.send(parcel).map_err(|_| std::io::ErrorKind::NotConnected.into())
    }
}

impl Running {
    /// For sessions of the process before.
    pub fn adopter(&self) -> Adopter {
        self.adopter.clone()
    }

    /// As [`Self::stop`], but sessions that wait for their clients go to `heir`, which is dropped when none is left.
    pub async fn stop_for(self, heir: mpsc::UnboundedSender<Parcel>) {
        let post = Arc::clone(&self.post);
        post.lead(Some(heir));
        self.stop().await;
        post.lead(None);
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
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count());
        if timeout(STOP_DEADLINE, joined).await.is_err() {
            tracing::warn!("DNS threads did not end in time; leaving them behind");
        }
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
