//! One stream of queries and responses (RFC 7766), whatever the stream is.
//!
//! ```text
//!            ┌── whole messages came ──▶ answer ──▶ write ──▶ what the client doesn't take is kept (deadline) ──┐
//!   read ────┤                                                                                                  ├──▶ read …
//!            └── a part of one is kept: its deadline runs ───────────────────────────────────────────────────────┘
//! ```
//!
//! Reading, answering and writing are one step in the room that all sessions of a thread share ([`Table`]): a session that
//! waits holds no buffer, and a query costs two system calls. Queries may be pipelined and cut anywhere; responses keep
//! their order. A client that has sent its end still gets the responses to what came before. What a session waits for is
//! noted in its seat; whoever looks there ends it when that takes too long (`seats`).
//!
//! Never here: what an answer is, how many sessions there may be, a timer, an unbounded buffer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::kept::{Allowance, Crowded, KEPT_BYTES_MAX, Kept};
use super::seats::{Taken, Waits};
use crate::answer::Slow;

/// What one read takes, bytes.
const READ_BYTES: usize = 16 << 10;
/// Responses are written out before more are made beyond this, bytes: a client that doesn't read doesn't make us collect.
const OUTPUT_BYTES: usize = 16 << 10;
/// Longest message, bytes.
const MESSAGE_BYTES_MAX: usize = u16::MAX as usize;

/// Why a session ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent its end, and has its responses.
    Closed,
    /// The connection broke.
    Broken,
    /// It would keep more than the sessions of its thread may.
    Crowded,
    /// The daemon ends.
    Stopped,
}

impl From<std::io::Error> for End {
    fn from(_whatever: std::io::Error) -> Self {
        Self::Broken
    }
}

impl From<Crowded> for End {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

/// What gives the answers.
pub trait Answers {
    /// Answers the whole messages at the front of `input` in their order as long as `output` has room, and tells how far it came.
    fn answer(&mut self, input: &[u8], client: SocketAddr, output: &mut Output) -> Answered;
}

/// How far [`Answers::answer`] came.
#[derive(Debug)]
pub struct Answered {
    /// Bytes of the input that are done with; 0 if there was no whole message.
    pub done: usize,
    /// When it began.
    pub at: Instant,
    /// The last query that was done with needs more than one message or a wait: it comes next, before any other.
    pub slow: Option<Slow>,
}

/// Responses as they go out, each with its length before it (RFC 7766, section 8).
#[derive(Debug)]
pub struct Output {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Output {
    fn new() -> Self {
        Self { bytes: vec![0; OUTPUT_BYTES + 2 + MESSAGE_BYTES_MAX].into_boxed_slice(), filled: 0 }
    }

    /// Room for one message of any length; `None`: write out first.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        if self.filled >= OUTPUT_BYTES {
            return None;
        }
        self.bytes.get_mut(self.filled + 2..)?.get_mut(..MESSAGE_BYTES_MAX)
    }

    /// The first `length` bytes of the room are a message.
    pub fn commit(&mut self, length: usize) {
        if let Ok(prefix) = u16::try_from(length)
            && let Some(place) = self.bytes.get_mut(self.filled..).and_then(|rest| rest.first_chunk_mut())
        {
            *place = prefix.to_be_bytes();
            self.filled += 2 + length;
        }
    }

    fn written(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

/// What the sessions of one thread use in turns.
#[derive(Debug)]
pub struct Table<A> {
    input: Box<[u8]>,
    output: Output,
    answers: A,
    allowance: Allowance,
}

impl<A> Table<A> {
    /// Sessions here are answered by `answers`.
    pub fn new(answers: A) -> RefCell<Self> {
        let input = vec![0; READ_BYTES].into_boxed_slice();
        RefCell::new(Self { input, output: Output::new(), answers, allowance: Allowance::new(KEPT_BYTES_MAX) })
    }
}

/// The first whole message of `input`, without its two bytes of length.
pub fn next_message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Runs a session until it ends by itself; whoever drops it ends it at once. Begins no more turns when `stopping` is set.
pub async fn run<S, A>(stream: S, client: SocketAddr, seat: &Taken, table: &RefCell<Table<A>>, stopping: &AtomicBool) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Answers,
{
    let kept = Kept::new(&table.borrow().allowance);
    let mut session = Session {
        outgoing: Outgoing { stream, seat, unsent: Kept::new(&table.borrow().allowance), is_unflushed: false },
        client,
        unanswered: kept,
        is_over: false,
    };
    loop {
        match session.turn(table, stopping).await {
            Ok(()) => {}
            Err(end) => return end,
        }
    }
}

struct Session<'a, S> {
    outgoing: Outgoing<'a, S>,
    client: SocketAddr,
    /// A query that has begun; whole ones too if there was no room for their responses.
    unanswered: Kept,
    /// The client has sent its end.
    is_over: bool,
}

/// What a step of a session brought.
struct Step {
    /// Something was answered (perhaps with silence) by queries that came at this time.
    answered: Option<Instant>,
    /// The read took all there was room for: this client sends more than most.
    was_full: bool,
    slow: Option<Slow>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    /// Queries, their responses, and the notes in the seat.
    async fn turn<A: Answers>(&mut self, table: &RefCell<Table<A>>, stopping: &AtomicBool) -> Result<(), End> {
        let had_begun = !self.unanswered.is_empty();
        let Step { answered: mut at, was_full, slow } = std::future::poll_fn(|cx| self.poll_step(cx, table)).await?;
        let seat = self.outgoing.seat;
        if self.outgoing.is_behind() {
            self.outgoing.flush().await?;
            let now = Instant::now();
            seat.answered(now);
            at = Some(now);
        }
        if let Some(slow) = slow {
            self.outgoing.slow(slow).await?;
        }
        if self.is_over && next_message(&self.unanswered).is_none() {
            // Nothing more can come, and what came is answered.
            seat.waits(Waits::Reader, Instant::now());
            self.outgoing.stream.shutdown().await?;
            return Err(End::Closed);
        }
        if stopping.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        match (at, self.unanswered.is_empty()) {
            (Some(at), true) => seat.waits(Waits::Query, at),
            (Some(at), false) => seat.waits(Waits::Rest, at),
            (None, false) if !had_begun => seat.waits(Waits::Rest, Instant::now()),
            // Its deadline runs.
            (None, _) => {}
        }
        if was_full {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Reads, answers and writes without a wait in between; waits for input alone.
    fn poll_step<A: Answers>(&mut self, cx: &mut Context<'_>, table: &RefCell<Table<A>>) -> Poll<Result<Step, End>> {
        let Self { outgoing, client, unanswered, is_over } = self;
        let Table { input, output, answers, .. } = &mut *table.borrow_mut();
        output.filled = 0;
        let mut was_full = false;
        let Answered { done, at, slow } = if next_message(unanswered).is_some() {
            let answered = answers.answer(unanswered, *client, output);
            unanswered.forget(answered.done);
            answered
        } else {
            let mut came = ReadBuf::new(input);
            ready!(Pin::new(&mut outgoing.stream).poll_read(cx, &mut came))?;
            was_full = came.remaining() == 0;
            *is_over = came.filled().is_empty();
            if unanswered.is_empty() {
                let came = came.filled();
                let answered = answers.answer(came, *client, output);
                unanswered.push(came.get(answered.done..).unwrap_or_default())?;
                answered
            } else {
                unanswered.push(came.filled())?;
                let answered = answers.answer(unanswered, *client, output);
                unanswered.forget(answered.done);
                answered
            }
        };
        if output.filled > 0 {
            // Before they are written: who has a response may count on it that others must go first.
            outgoing.seat.answered(at);
            outgoing.begin(cx, output.written())?;
        }
        Poll::Ready(Ok(Step { answered: (done > 0).then_some(at), was_full, slow }))
    }
}

/// The way to the client. Every wait of it is noted in the seat.
pub struct Outgoing<'a, S> {
    stream: S,
    seat: &'a Taken,
    /// What the client has not taken yet.
    unsent: Kept,
    /// The stream has taken what it has not passed on yet; TCP's own never does that.
    is_unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<'_, S> {
    /// Writes what the client takes at once and keeps the rest.
    fn begin(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Result<(), End> {
        let written = match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.unsent.push(bytes.get(written..).unwrap_or_default())?;
        self.is_unflushed = match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(flushed) => flushed.map(|()| false)?,
            Poll::Pending => true,
        };
        Ok(())
    }

    fn is_behind(&self) -> bool {
        !self.unsent.is_empty() || self.is_unflushed
    }

    /// Writes what was kept.
    async fn flush(&mut self) -> Result<(), End> {
        self.seat.waits(Waits::Reader, Instant::now());
        self.stream.write_all(&self.unsent).await?;
        self.unsent.forget(self.unsent.len());
        self.stream.flush().await?;
        self.is_unflushed = false;
        Ok(())
    }

    /// Does what can't be done at once, here and not elsewhere, so that back-pressure is the client's own: a zone transfer
    /// writes message after message, notes in the seat that it waits for its reader, and holds up no other session.
    #[allow(clippy::unused_async, reason = "what comes here writes and waits")]
    async fn slow(&mut self, slow: Slow) -> Result<(), End> {
        match slow {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, duplex};
    use tokio::time::timeout;

    use super::super::seats::{Deadlines, Limits, Seats};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Answers as a desk does: the lengths of messages of at least one byte, at most `most` at a time.
    struct Lengths {
        most: usize,
    }

    impl Answers for Lengths {
        fn answer(&mut self, input: &[u8], _: SocketAddr, output: &mut Output) -> Answered {
            let mut done = 0;
            for _ in 0..self.most {
                let Some(message) = next_message(&input[done..]) else { break };
                let Some(room) = output.room() else { break };
                done += 2 + message.len();
                if !message.is_empty() {
                    room[..2].copy_from_slice(&(message.len() as u16).to_be_bytes());
                    output.commit(2);
                }
            }
            Answered { done, at: Instant::now(), slow: None }
        }
    }

    /// A session that the seats' deadlines end, as in a thread of its own.
    async fn session(near: tokio::io::DuplexStream, most: usize, deadlines: Deadlines) -> Option<End> {
        let seats = Seats::new(Limits::default(), deadlines, Arc::default());
        let client = SocketAddr::from(([192, 0, 2, 1], 5353));
        let seat = seats.take(client.ip(), 0);
        let door = seat.door();
        let (table, stopping) = (Table::new(Lengths { most }), AtomicBool::new(false));
        let run = async move { run(near, client, &seat, &table, &stopping).await };
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let session = tokio::task::spawn_local(run);
                door.leads(session.abort_handle());
                let keep = async {
                    loop {
                        tokio::time::sleep(deadlines.look_every()).await;
                        seats.end_overdue();
                    }
                };
                tokio::select! { ended = session => ended.ok(), () = keep => None }
            })
            .await
    }

    fn deadlines(idle: u64, message: u64, write: u64) -> Deadlines {
        Deadlines { idle: Duration::from_millis(idle), message: Duration::from_millis(message), write: Duration::from_millis(write) }
    }

    fn message(length: u16) -> Vec<u8> {
        let mut message = length.to_be_bytes().to_vec();
        message.resize(2 + usize::from(length), 0);
        message
    }

    #[tokio::test]
    async fn messages_of_every_size_pass_in_order_however_small_the_pipe() {
        let sizes = [1, 500, 509, 510, 511, 512, 513, 4096, 16382, 16383, 16384, 65535, 2, 65534, 1];
        for (pipe, most) in [(1, 1000), (7, 1), (600, 3), (100_000, 1000), (1 << 20, 1)] {
            let (near, far) = duplex(pipe);
            let (mut reader, mut writer) = tokio::io::split(far);
            let client = async move {
                for size in sizes {
                    writer.write_all(&message(size)).await.unwrap();
                }
                writer.shutdown().await.unwrap();
            };
            let read = async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await.unwrap();
                all.chunks(4).map(|answer| u16::from_be_bytes([answer[2], answer[3]])).collect::<Vec<_>>()
            };
            let all = async { tokio::join!(session(near, most, deadlines(5000, 5000, 5000)), client, read) };
            let (end, (), answers) = timeout(PATIENCE, all).await.unwrap();
            assert_eq!(end, Some(End::Closed));
            assert_eq!(answers, sizes);
        }
    }

    #[tokio::test]
    async fn each_kind_of_waiting_is_ended_by_its_own_deadline() {
        for (kind, sent, limits) in [
            ("idle", &[][..], deadlines(100, 5000, 5000)),
            ("drip", &[0, 9, 1], deadlines(5000, 100, 5000)),
            ("unread", &[0, 1, 1, 0, 1, 1], deadlines(5000, 5000, 100)),
        ] {
            // Responses don't fit into the pipe.
            let (near, mut far) = duplex(3);
            let talk = async {
                let _cut_before_the_end = far.write_all(sent).await;
                std::future::pending::<()>().await;
            };
            let end = timeout(PATIENCE, async {
                tokio::select! { end = session(near, 9, limits) => end, () = talk => None }
            });
            assert_eq!(end.await.expect(kind), None, "{kind}: it doesn't end by itself");
            assert!(far.write_all(&[0; 100]).await.is_err(), "{kind}: the stream is gone");
        }
    }

    #[tokio::test]
    async fn queries_that_deserve_no_response_do_not_keep_a_session() {
        // Empty messages, and messages each of which begins with the end of the one before.
        for noise in [&[0, 0][..], &[0, 0, 0]] {
            let (near, mut far) = duplex(64);
            let talk = async {
                while far.write_all(noise).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let (end, ()) = timeout(PATIENCE, async { tokio::join!(session(near, 9, deadlines(200, 100, 5000)), talk) }).await.unwrap();
            assert_eq!(end, None);
        }
    }

    #[tokio::test]
    async fn sessions_that_would_keep_more_than_their_thread_may_end_and_whole_queries_pass() {
        let seats = Seats::new(Limits::default(), Deadlines::default(), Arc::default());
        let client = SocketAddr::from(([192, 0, 2, 1], 5353));
        let table = Table::new(Lengths { most: 100 });
        table.borrow_mut().allowance = Allowance::new(1000);
        let stopping = AtomicBool::new(false);
        let (hoarding, mut hoarder) = duplex(4096);
        let (modest, mut other) = duplex(4096);
        let (first, second) = (seats.take(client.ip(), 0), seats.take(client.ip(), 0));
        hoarder.write_all(&message(2000)[..1500]).await.unwrap();
        assert_eq!(timeout(PATIENCE, run(hoarding, client, &first, &table, &stopping)).await.unwrap(), End::Crowded);
        let ask = async {
            other.write_all(&message(2000)).await.unwrap();
            let mut answer = [0; 4];
            other.read_exact(&mut answer).await.unwrap();
            other.shutdown().await.unwrap();
            answer
        };
        let (end, answer) = timeout(PATIENCE, async { tokio::join!(run(modest, client, &second, &table, &stopping), ask) }).await.unwrap();
        assert_eq!((end, answer), (End::Closed, [0, 2, 0x07, 0xd0]));
    }
}
