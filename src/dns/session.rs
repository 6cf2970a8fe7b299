//! One stream of queries and responses (RFC 7766), whatever the stream is.
//!
//! ```text
//!            ┌── whole messages there ──▶ answer ──▶ write (deadline) ──┐
//!   read ────┤                                                          ├──▶ read …
//!            └── a part of one: its deadline runs ──────────────────────┘
//! ```
//!
//! Queries may be pipelined and cut anywhere; responses keep their order. A client that has sent its end still gets the
//! responses to what came before. Every wait has a deadline: [`Deadlines`].
//!
//! Never here: what an answer is, how many sessions there may be, an unbounded buffer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// A session without a query ends after this (RFC 7766, section 6.2.3: "of the order of a few seconds").
pub const IDLE_DEADLINE: Duration = Duration::from_secs(10);
/// A message must be complete this long after its first byte: slow drips hold no session.
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(5);
/// The client must take the responses to what it sent within this, at most some 128 KiB: one that never reads is cut.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// Room for a first read, bytes: idle sessions are many, and most queries are short.
const READ_BYTES_MIN: usize = 512;
/// Room for a read of a client that pipelines, bytes.
const READ_BYTES_MAX: usize = 16 << 10;
/// Buffers above this are given back when they are empty, bytes.
const KEEP_BYTES: usize = 4 << 10;

/// How long a session waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the last response (or the beginning) to the first byte of the next query.
    pub idle: Duration,
    /// From the first byte of a message to its last.
    pub message: Duration,
    /// For one write of responses.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { idle: IDLE_DEADLINE, message: MESSAGE_DEADLINE, write: WRITE_DEADLINE }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent its end, and has its responses.
    Closed,
    /// No query came.
    Idle,
    /// A message was begun and not finished.
    Drip,
    /// The client doesn't read.
    Unread,
    /// Its place was needed, or the daemon ends.
    Dismissed,
    /// The connection broke.
    Broken,
}

/// What may end a session from outside.
pub trait Dismissal {
    /// Whether to end now.
    fn is_due(&self) -> bool;
    /// Ready when a session that waits for a query should end.
    fn while_reading(&mut self) -> impl Future<Output = ()> + Send;
    /// Ready when even a session that writes should end.
    fn while_writing(&mut self) -> impl Future<Output = ()> + Send;
}

/// The first whole message of `input`, without its two bytes of length.
pub fn next_message(input: &[u8]) -> Option<&[u8]> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Runs a session to its end, from what has come already (`input`, where what is no whole message stays at the end). `answer` gets the bytes that came, appends responses to the other, and returns how many bytes
/// it is done with: 0 if there is no whole message. `answered` is told after each write.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut Vec<u8>,
    deadlines: Deadlines,
    mut dismissal: impl Dismissal,
    mut answer: impl FnMut(&[u8], &mut Vec<u8>) -> usize,
    mut answered: impl FnMut(),
) -> End {
    let Deadlines { idle, message, write } = deadlines;
    let mut output = Vec::new();
    let mut room = READ_BYTES_MIN;
    let mut is_over = false;
    // The client is due to send a query by `query_by`, and the message that it has begun, if any, by `whole_by`.
    let (mut query_by, mut whole_by) = (Instant::now() + idle, (!input.is_empty()).then(|| Instant::now() + message));
    loop {
        let done = answer(input, &mut output);
        if done > 0 {
            input.drain(..done);
            if !output.is_empty() {
                let written = tokio::select! {
                    biased;
                    written = timeout(write, stream.write_all(&output)) => written,
                    () = dismissal.while_writing() => return End::Dismissed,
                };
                match written {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return End::Broken,
                    Err(_) => return End::Unread,
                }
                output.clear();
                answered();
                // Only a response puts the idle deadline off: queries that deserve none don't keep a session.
                query_by = Instant::now() + idle;
            }
            whole_by = if input.is_empty() { None } else { Some(Instant::now() + message) };
            // `answer` stops when it has enough for one write: there may be more.
            if next_message(input).is_some() {
                continue;
            }
        }
        if is_over {
            // Nothing more can come, and what came is answered.
            let _peer_may_be_gone: Result<io::Result<()>, _> = timeout(write, stream.shutdown()).await;
            return End::Closed;
        }
        if dismissal.is_due() {
            return End::Dismissed;
        }
        make_room(input, &mut output, room);
        let read = tokio::select! {
            biased;
            read = timeout_at(whole_by.unwrap_or(query_by), stream.read_buf(input)) => read,
            () = dismissal.while_reading() => return End::Dismissed,
        };
        match read {
            Ok(Ok(0)) => is_over = true,
            Ok(Ok(_)) => {
                whole_by = whole_by.or_else(|| Some(Instant::now() + message));
                // A full buffer: this client sends more than most.
                room = if input.len() == input.capacity() { (room * 2).min(READ_BYTES_MAX) } else { room };
            }
            Ok(Err(_)) => return End::Broken,
            Err(_) if whole_by.is_some() => return End::Drip,
            Err(_) => return End::Idle,
        }
    }
}

/// Room for the next read: for the rest of the message that has begun, at least `room`; an idle session keeps little.
fn make_room(input: &mut Vec<u8>, output: &mut Vec<u8>, room: usize) {
    for buffer in [&mut *input, output] {
        if buffer.is_empty() && buffer.capacity() > KEEP_BYTES {
            *buffer = Vec::new();
        }
    }
    let rest = input.first_chunk::<2>().map_or(0, |length| (2 + usize::from(u16::from_be_bytes(*length))).saturating_sub(input.len()));
    if input.capacity() - input.len() < rest.max(1) {
        input.reserve_exact(rest.max(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    struct Never;

    impl Dismissal for Never {
        fn is_due(&self) -> bool {
            false
        }
        fn while_reading(&mut self) -> impl Future<Output = ()> + Send {
            std::future::pending()
        }
        fn while_writing(&mut self) -> impl Future<Output = ()> + Send {
            std::future::pending()
        }
    }

    /// Answers as a desk does: the lengths of messages of at least one byte, at most `most` at a time.
    fn lengths(most: usize) -> impl FnMut(&[u8], &mut Vec<u8>) -> usize {
        move |input, output| {
            let mut done = 0;
            for _ in 0..most {
                let Some(message) = next_message(&input[done..]) else { break };
                done += 2 + message.len();
                if !message.is_empty() {
                    output.extend_from_slice(&(message.len() as u16).to_be_bytes());
                }
            }
            done
        }
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
        let sizes = [1, 500, 509, 510, 511, 512, 513, 4096, 16384, 65535, 2, 65534, 1];
        for (pipe, most) in [(1, 1000), (7, 1), (600, 3), (100_000, 1000), (1 << 20, 1)] {
            let (mut near, far) = duplex(pipe);
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
                all.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
            };
            let mut writes = 0;
            let session = async {
                let end = run(&mut near, &mut Vec::new(), deadlines(5000, 5000, 5000), Never, lengths(most), || writes += 1).await;
                drop(near);
                end
            };
            let (end, (), answers) = tokio::join!(session, client, read);
            assert_eq!(end, End::Closed);
            assert_eq!(answers, sizes);
            assert!(writes > 0);
        }
    }

    #[tokio::test]
    async fn each_kind_of_waiting_ends_by_its_own_deadline() {
        let (mut near, far) = duplex(64);
        assert_eq!(run(&mut near, &mut Vec::new(), deadlines(50, 5000, 5000), Never, lengths(9), || {}).await, End::Idle);
        drop(far);

        let (mut near, mut far) = duplex(64);
        far.write_all(&[0, 9, 1]).await.unwrap();
        assert_eq!(run(&mut near, &mut Vec::new(), deadlines(5000, 50, 5000), Never, lengths(9), || {}).await, End::Drip);
        drop(far);

        let (mut near, mut far) = duplex(1);
        let session = async {
            let end = run(&mut near, &mut Vec::new(), deadlines(5000, 5000, 50), Never, lengths(9), || {}).await;
            drop(near);
            end
        };
        let (end, sent) = tokio::join!(session, far.write_all(&[0, 1, 1, 0, 1, 1]));
        assert!(sent.is_err(), "the second query was not even taken");
        assert_eq!(end, End::Unread);
    }

    #[tokio::test]
    async fn queries_that_deserve_no_response_do_not_keep_a_session() {
        let (mut near, mut far) = duplex(64);
        let session = async {
            let end = run(&mut near, &mut Vec::new(), deadlines(200, 5000, 5000), Never, lengths(9), || {}).await;
            drop(near);
            end
        };
        let noise = async {
            // An empty message now and then.
            while far.write_all(&[0, 0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (end, ()) = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(session, noise) }).await.unwrap();
        assert_eq!(end, End::Idle);
    }

    #[test]
    fn idle_buffers_are_given_back_and_a_long_message_gets_its_room_at_once() {
        let (mut input, mut output) = (Vec::<u8>::with_capacity(60_000), Vec::<u8>::with_capacity(60_000));
        make_room(&mut input, &mut output, READ_BYTES_MIN);
        assert!(input.capacity() < 2 * READ_BYTES_MIN && output.capacity() == 0);
        input.extend_from_slice(&[0xff, 0xff, 1]);
        make_room(&mut input, &mut output, READ_BYTES_MIN);
        assert!(input.capacity() >= 65_537);
    }
}
