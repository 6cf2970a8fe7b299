//! A connection whose other end must take what is sent: one that reads nothing for a while is cut.
//!
//! hyper has deadlines for what it reads and none for what it writes.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream with a deadline for each write that makes no headway.
pub(super) struct Patient<S> {
    stream: S,
    most: Duration,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// A write that waits longer than `most` fails.
    pub(super) fn new(stream: S, most: Duration) -> Self {
        Self { stream, most, deadline: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn patient<T>(&mut self, context: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let most = self.most;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(most)));
        if deadline.deadline() < Instant::now() || deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client reads nothing")));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.patient(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, octets);
        self.patient(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.patient(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        ready!(self.patient(context, shut))?;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn one_who_reads_nothing_is_cut_and_one_who_reads_slowly_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let most = Duration::from_secs(1);
        let mut patient = Patient::new(ours, most);
        let reads = tokio::spawn(async move {
            let mut octets = [0; 16];
            for _ in 0..8 {
                sleep(most / 5).await;
                theirs.read_exact(&mut octets).await.unwrap();
            }
            theirs
        });
        let begun = Instant::now();
        patient.write_all(&[1; 128]).await.unwrap();
        assert!(begun.elapsed() > most, "in all it took longer than one write may");
        let _theirs = reads.await.unwrap();
        patient.write_all(&[1; 16]).await.unwrap();
        assert_eq!(patient.write_all(&[1; 16]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
