//! Where TCP sessions get their answers: a [`Cx`] and the room for one response, behind a lock.
//!
//! TCP is not the hot path, so a few desks serve all sessions; each session keeps to one. A desk's counters have one writer:
//! whoever holds the lock. The lock is held for the queries of one read and never across an await.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::clock::BatchClock;
use super::session::next_message;
use super::vitals::Vitals;
use crate::answer::{Asked, Counters, Cx, Handled, Transport, answer};
use crate::snapshot::Snapshot;

/// Longest response, bytes, without its two bytes of length.
const RESPONSE_BYTES_MAX: usize = u16::MAX as usize;
/// Responses are written out before more are made beyond this, bytes.
const OUTPUT_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub struct Desk {
    published: Arc<ArcSwap<Snapshot>>,
    vitals: Arc<Vitals>,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    cx: Cx,
    counters: Arc<Counters>,
    clock: BatchClock,
    /// Responses are made here, so that not every session needs room for the longest.
    response: Box<[u8]>,
}

impl Desk {
    /// A desk with its own context; `counters` are those inside `cx`.
    pub fn new(published: Arc<ArcSwap<Snapshot>>, vitals: Arc<Vitals>, cx: Cx, counters: Arc<Counters>, clock: BatchClock) -> Self {
        let response = vec![0; RESPONSE_BYTES_MAX].into_boxed_slice();
        Self { published, vitals, inside: Mutex::new(Inside { cx, counters, clock, response }) }
    }

    /// Answers the whole messages at the front of `input` in their order, appends the responses to `output`, each with its
    /// length before it (RFC 7766, section 8), and returns how many bytes of `input` are done with. It stops early when
    /// `output` gets long: a client that doesn't read doesn't make us collect.
    pub fn answer(&self, input: &[u8], client: SocketAddr, output: &mut Vec<u8>) -> usize {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let Inside { cx, counters, clock, response } = &mut *inside;
        let began = Instant::now();
        let snapshot = self.published.load();
        let (mut done, mut queries) = (0, 0);
        while output.len() < OUTPUT_BYTES
            && let Some(query) = input.get(done..).and_then(next_message)
        {
            let asked = Asked { client: client.ip(), port: client.port(), transport: Transport::Tcp };
            let handled = catch_unwind(AssertUnwindSafe(|| {
                if queries == 0 {
                    cx.begin(&snapshot, clock.now(began));
                }
                answer(&snapshot, query, asked, cx, response)
            }));
            done += 2 + query.len();
            queries += 1;
            match handled {
                Ok(Handled::Reply(length)) => append(output, response, length),
                // Silence is the answer; the connection stays.
                Ok(Handled::Drop(_) | Handled::Slow(_)) => {}
                Err(_) => {
                    Vitals::add(&self.vitals.panics, 1);
                }
            }
        }
        if queries > 0 {
            counters.batch(Transport::Tcp, queries, began.elapsed());
        }
        done
    }
}

/// Appends the first `length` bytes of `response` as a message.
fn append(output: &mut Vec<u8>, response: &[u8], length: usize) {
    if let Some(message) = response.get(..length)
        && let Ok(length) = u16::try_from(length)
    {
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(message);
    }
}
