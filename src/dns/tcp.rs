//! DNS over TCP: accepting connections, a task for each.
//!
//! Never here: a spin when descriptors run out (it pauses, and connections that were idle longest make room), a
//! connection that outlives the daemon's end by more than its deadline.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::desk::Desk;
use super::parcel::Post;
use super::seats::{Seats, Taken};
use super::session::{self, Deadlines, Dismissal, End};
use super::vitals::Vitals;

/// Pause of a listener that can't accept. Connections wait in the kernel's queue meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that make room before such a pause when descriptors ran out: enough for the queue to move on after it.
const SHORTAGE_EVICTIONS: usize = 64;

/// What all sessions share.
#[derive(Debug)]
pub struct House {
    /// Sessions take turns at them.
    pub desks: Vec<Desk>,
    /// Whose turn it is.
    pub turn: AtomicUsize,
    /// Who may stay.
    pub seats: Arc<Seats>,
    /// What is counted.
    pub vitals: Arc<Vitals>,
    /// How long they may take.
    pub deadlines: Deadlines,
    /// Where they go when another process takes over.
    pub post: Arc<Post>,
}

/// The daemon's end, for listeners and sessions: `true`, or its sender gone.
#[derive(Clone, Debug)]
pub struct Stopping(pub watch::Receiver<bool>);

impl Stopping {
    fn is_due(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    async fn due(&mut self) {
        // An error is the sender's end, which means the same.
        let _either = self.0.wait_for(|stop| *stop).await;
    }
}

/// Accepts connections until the daemon ends. Every session holds a clone of `alive`, so that their end can be awaited.
pub async fn accept(listener: TcpListener, house: Arc<House>, mut stopping: Stopping, alive: mpsc::Sender<Infallible>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.due() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => begin(stream, Vec::new(), client, &house, &stopping, &alive),
            // The client changed its mind before we looked.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                if Vitals::add(&house.vitals.tcp_accept_failures, 1) == 0 {
                    tracing::warn!(%error, "accepting DNS connections failed; pausing, later failures are only counted");
                }
                if is_shortage(&error) {
                    house.seats.evict_oldest(SHORTAGE_EVICTIONS);
                }
                tokio::select! {
                    () = stopping.due() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}

/// A session of its own for a connection, from what it has sent already.
pub fn begin(stream: TcpStream, input: Vec<u8>, client: SocketAddr, house: &Arc<House>, stopping: &Stopping, alive: &mpsc::Sender<Infallible>) {
    let seat = house.seats.take(client.ip());
    let (house, stopping, alive) = (Arc::clone(house), stopping.clone(), alive.clone());
    tokio::spawn(async move {
        serve(stream, input, client, &house, seat, stopping).await;
        drop(alive);
    });
}

/// Whether closing a connection helps.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// One connection, from its first byte to its end.
async fn serve(mut stream: TcpStream, mut input: Vec<u8>, client: SocketAddr, house: &House, seat: Taken, stopping: Stopping) {
    // Responses are written whole: holding them back for more would only delay them.
    let _best_effort = stream.set_nodelay(true);
    let turn = house.turn.fetch_add(1, Ordering::Relaxed);
    let Some(desk) = house.desks.get(turn % house.desks.len().max(1)) else { return };
    let dismissal = Dismissed { seat: &seat, stopping };
    let answer = |input: &[u8], output: &mut Vec<u8>| desk.answer(input, client, output);
    let end = session::run(&mut stream, &mut input, house.deadlines, dismissal, answer, || seat.stamp()).await;
    if end == End::Dismissed && !seat.is_evicted() {
        house.post.send(stream, input);
    }
}

/// A session goes when another needs its seat, and when the daemon ends, but not before its responses are written.
struct Dismissed<'a> {
    seat: &'a Taken,
    stopping: Stopping,
}

impl Dismissal for Dismissed<'_> {
    fn is_due(&self) -> bool {
        self.seat.is_evicted() || self.stopping.is_due()
    }

    async fn while_reading(&mut self) {
        tokio::select! {
            () = self.seat.evicted() => {}
            () = self.stopping.due() => {}
        }
    }

    async fn while_writing(&mut self) {
        self.seat.evicted().await;
    }
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
