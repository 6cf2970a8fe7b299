//! Where the TCP sessions of one thread get their answers: a [`Cx`] of the thread's own.
//!
//! Never here: a lock, an allocation per query, an await, a second load of the snapshot for the queries of one read.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::clock::BatchClock;
use super::session::{Answered, Answers, Output, next_message};
use super::vitals::Vitals;
use crate::answer::{Asked, Counters, Cx, Handled, Transport, answer};
use crate::snapshot::Snapshot;

/// See the module.
#[derive(Debug)]
pub struct Desk {
    published: Arc<ArcSwap<Snapshot>>,
    vitals: Arc<Vitals>,
    cx: Cx,
    counters: Arc<Counters>,
    clock: BatchClock,
}

impl Desk {
    /// A desk with its own context; `counters` are those inside `cx`.
    pub fn new(published: Arc<ArcSwap<Snapshot>>, vitals: Arc<Vitals>, cx: Cx, counters: Arc<Counters>, clock: BatchClock) -> Self {
        Self { published, vitals, cx, counters, clock }
    }
}

impl Answers for Desk {
    fn answer(&mut self, input: &[u8], client: SocketAddr, output: &mut Output) -> Answered {
        let Self { published, vitals, cx, counters, clock } = self;
        let at = Instant::now();
        let (mut done, mut queries, mut slow) = (0, 0, None);
        let mut query = next_message(input);
        if query.is_none() {
            return Answered { done, at, slow };
        }
        let snapshot = published.load();
        let asked = Asked { client: client.ip(), port: client.port(), transport: Transport::Tcp };
        while let Some(message) = query {
            let Some(room) = output.room() else { break };
            let handled = catch_unwind(AssertUnwindSafe(|| {
                if queries == 0 {
                    cx.begin(&snapshot, clock.now(at));
                }
                answer(&snapshot, message, asked, cx, room)
            }));
            done += 2 + message.len();
            queries += 1;
            match handled {
                Ok(Handled::Reply(length)) => output.commit(length),
                // Silence is the answer; the connection stays.
                Ok(Handled::Drop(_)) => {}
                // The session does it when what was answered before is written; what came after waits.
                Ok(Handled::Slow(what)) => {
                    slow = Some(what);
                    break;
                }
                Err(_) => {
                    Vitals::add(&vitals.panics, 1);
                }
            }
            query = input.get(done..).and_then(next_message);
        }
        counters.batch(Transport::Tcp, queries, at.elapsed());
        Answered { done, at, slow }
    }
}
