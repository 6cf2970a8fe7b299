//! A UDP worker: one thread, one socket, one [`Cx`].
//!
//! ```text
//! block in receive ─▶ load the snapshot once ─▶ answer each query ─▶ send ─▶ count the batch ─┐
//!   ▲                                                                                        │
//!   └────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The thread blocks in the receive call itself: an event loop before it costs a wake-up per batch. It wakes every
//! [`STOP_LATENCY`] to see whether it should end (`shutdown` would wake it at once, but also kill a socket that another
//! process holds after a hand-over), and drains its socket before it does.
//!
//! Never here: a lock, an allocation per query, a second load of the snapshot, the end of the thread because of one packet.

use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::batch::Batch;
use super::clock::BatchClock;
use super::transfer::seconds;
use super::vitals::Vitals;
use crate::answer::{Asked, Counters, Cx, Handled, Transport, Work, answer, answer_slow};
use crate::snapshot::Snapshot;

/// How long an idle worker may take to see that it should end.
pub const STOP_LATENCY: Duration = Duration::from_millis(100);
/// How long a full send buffer may hold a worker up before the response is given up.
pub const SEND_DEADLINE: Duration = Duration::from_millis(100);
/// Batches that a worker still answers after it was told to end: a flood must not keep it alive.
const DRAIN_BATCHES_MAX: u32 = 64;
/// Pause after an error of the receive call, so that a lasting one doesn't burn a core.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// How [`Batch::receive`] waits for its first datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until one comes, at most as long as the socket's receive timeout.
    ForOne,
    /// Not at all.
    No,
}

/// What a worker needs to begin.
#[derive(Debug)]
pub struct Start {
    /// Its own context; nobody else has it.
    pub cx: Cx,
    /// The counters inside `cx`, for what is counted per batch.
    pub counters: Arc<Counters>,
    /// Tells the time of each batch.
    pub clock: BatchClock,
    /// Where snapshots are published.
    pub published: Arc<ArcSwap<Snapshot>>,
    /// What is counted for all workers together.
    pub vitals: Arc<Vitals>,
    /// Set once, by whoever stops the daemon.
    pub stopping: Arc<AtomicBool>,
}

/// A thread that holds its socket and waits to be started. Dropped before that, it has closed its socket.
#[derive(Debug)]
pub struct Worker {
    /// `None` once started.
    waiting: Option<(mpsc::SyncSender<Start>, thread::JoinHandle<()>)>,
}

impl Worker {
    /// Makes the thread now, so that a lack of threads is found before anything serves.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(name: String, socket: UdpSocket, keeps_source: bool) -> std::io::Result<Self> {
        let (start, started) = mpsc::sync_channel::<Start>(1);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let mut batch = Batch::new(keeps_source);
            if let Ok(mut start) = started.recv() {
                // The worker's own code may be wrong too: it goes on after a panic wherever that was.
                while catch_unwind(AssertUnwindSafe(|| work(&socket, &mut batch, &mut start))).is_err() {
                    Vitals::add(&start.vitals.panics, 1);
                }
            }
        })?;
        Ok(Self { waiting: Some((start, thread)) })
    }

    /// Starts it; the thread ends when `stopping` was set.
    pub fn start(mut self, start: Start) -> Option<thread::JoinHandle<()>> {
        let (door, thread) = self.waiting.take()?;
        // The channel has room for one and the thread waits for it: this neither blocks nor fails.
        let _thread_is_waiting = door.send(start);
        Some(thread)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((door, thread)) = self.waiting.take() {
            drop(door);
            // It does nothing but see that the door is closed.
            let _either_way = thread.join();
        }
    }
}

/// The loop in the picture above; returns when it should end.
fn work(socket: &UdpSocket, batch: &mut Batch, start: &mut Start) {
    let Start { cx, counters, clock, published, vitals, stopping } = start;
    let mut drained = 0;
    loop {
        let wait = if stopping.load(Ordering::Relaxed) { Wait::No } else { Wait::ForOne };
        let count = match batch.receive(socket, wait) {
            Ok(0) if wait == Wait::No => return,
            Ok(count) => count,
            Err(error) => {
                if Vitals::add(&vitals.receive_failures, 1) == 0 {
                    tracing::warn!(%error, "receiving DNS queries failed; trying again, later failures are only counted");
                }
                thread::sleep(ERROR_PAUSE);
                0
            }
        };
        if wait == Wait::No {
            drained += 1;
            if drained > DRAIN_BATCHES_MAX {
                return;
            }
        }
        if count == 0 {
            continue;
        }
        let began = Instant::now();
        {
            let snapshot = published.load();
            cx.begin(&snapshot, clock.now(began));
            answer_all(batch, count, socket, vitals, |query, client, out| {
                let asked = Asked { client: client.ip(), port: client.port(), transport: Transport::Udp };
                match answer(&snapshot, query, asked, cx, out) {
                    Handled::Reply(length) => Some(length),
                    Handled::Drop(_) => None,
                    Handled::Slow(_) => {
                        let (work, told) = answer_slow(&snapshot, query, asked, seconds(), cx, out);
                        if let Some(told) = told {
                            vitals.transfers.tell(&told, client);
                        }
                        match work {
                            Work::Reply(length) => Some(length),
                            // Nothing that takes long is ever done for a sender whose address is unproven.
                            Work::Silence | Work::Transfer(_) => None,
                        }
                    }
                }
            });
        }
        send(batch, socket, vitals);
        counters.batch(Transport::Udp, count as u64, began.elapsed());
    }
}

/// Sends what is queued.
fn send(batch: &mut Batch, socket: &UdpSocket, vitals: &Vitals) {
    let unsent = batch.send(socket);
    if unsent > 0 {
        Vitals::add(&vitals.unsent, unsent as u64);
    }
}

/// Shows each query of the batch to `decide`, and sends whenever there is no room for more responses. A panic costs the query that
/// caused it, which is counted, and no other.
fn answer_all(batch: &mut Batch, count: usize, socket: &UdpSocket, vitals: &Vitals, mut decide: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
    let mut next = 0;
    while next < count {
        // One landing pad for the whole rest of the batch: containment costs nothing while nothing panics.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while next < count {
                if batch.is_full() {
                    send(batch, socket, vitals);
                }
                let index = next;
                next += 1;
                if !batch.respond(index, &mut decide) {
                    Vitals::add(&vitals.oversize, 1);
                }
            }
        }));
        if outcome.is_err() {
            Vitals::add(&vitals.panics, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_the_query_that_caused_it_and_no_other() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        for number in 0..10_u8 {
            client.send(&[number]).unwrap();
        }
        let vitals = Vitals::default();
        let mut batch = Batch::new(false);
        let count = batch.receive(&server, Wait::ForOne).unwrap();
        assert_eq!(count, 10);
        answer_all(&mut batch, count, &server, &vitals, |query, _, out| {
            assert!(!matches!(query, [0 | 4 | 5 | 9]), "the panic of this test");
            out[..1].copy_from_slice(query);
            Some(1)
        });
        assert_eq!(batch.send(&server), 0);
        let mut answered = Vec::new();
        for _ in 0..6 {
            let mut response = [0; 10];
            assert_eq!(client.recv(&mut response).unwrap(), 1);
            answered.push(response[0]);
        }
        assert_eq!(answered, [1, 2, 3, 6, 7, 8]);
        assert_eq!(vitals.panics.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_worker_that_is_never_started_lets_its_port_go() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let worker = Worker::spawn("test".to_owned(), socket, false).unwrap();
        assert!(UdpSocket::bind(address).is_err());
        drop(worker);
        assert!(UdpSocket::bind(address).is_ok());
    }
}
