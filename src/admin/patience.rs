//! A connection whose peer must go on reading: what can't be written for [`WRITE_MAX`] ends it.
//!
//! Replies are small and streams endless; a client that never reads would otherwise keep its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Longest time in which not an octet can be written.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// A stream whose writes have a deadline.
pub(super) struct Patience<S> {
    stream: S,
    /// When it is over; armed while something waits to be written.
    over: Pin<Box<Sleep>>,
    waits: bool,
    most: Duration,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S) -> Self {
        Self::for_at_most(stream, WRITE_MAX)
    }

    fn for_at_most(stream: S, most: Duration) -> Self {
        Self { stream, over: Box::pin(sleep(most)), waits: false, most }
    }

    fn limited<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        if !self.waits {
            self.waits = true;
            self.over.as_mut().reset(Instant::now() + self.most);
        }
        ready!(self.over.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.limited(written, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.limited(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.limited(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limited(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn who_never_reads_is_cut_and_who_reads_slowly_is_not() {
        let (ours, _silent) = tokio::io::duplex(8);
        let mut ours = Patience::for_at_most(ours, Duration::from_millis(20));
        assert_eq!(ours.write_all(&[0; 64]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (ours, mut slow) = tokio::io::duplex(8);
        let mut ours = Patience::for_at_most(ours, Duration::from_secs(10));
        let reads = tokio::spawn(async move {
            let mut all = Vec::new();
            slow.read_to_end(&mut all).await.map(|_| all.len())
        });
        ours.write_all(&[0; 64]).await.unwrap();
        drop(ours);
        assert_eq!(reads.await.unwrap().unwrap(), 64);
    }
}
