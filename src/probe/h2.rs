//! HTTP/2 (RFC 9113): one request on a connection of our own.
//!
//! h2's connection is a future, polled by hand beside what waits for it: a probe is one future, nothing is spawned, dropping it ends everything.
//! Never here: push, a second stream, more than a window of a body that nobody takes.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason as Code, RecvStream};
use hyper::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::health::{Phase, Reason};

use super::fail::{Failure, quotable};
use super::tls;

/// Headers together, and trailers together.
const HEAD_BYTES_MAX: u32 = 32 * 1024;

/// A connection with one request on it.
pub struct Exchange<S: AsyncRead + AsyncWrite + Unpin> {
    /// `None` when it has ended.
    connection: Option<Connection<S, Bytes>>,
    /// Kept until the end: a client that has dropped its handle says that it goes away.
    _sender: SendRequest<Bytes>,
    response: Option<ResponseFuture>,
    peer: SocketAddr,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Sends the request with this body.
    pub async fn begin(stream: S, request: Request<()>, body: Bytes, peer: SocketAddr) -> Result<Self, Failure> {
        let broken = |error: h2::Error| failure(&error, Phase::Request, peer);
        let shaken = Builder::new().enable_push(false).max_header_list_size(HEAD_BYTES_MAX).handshake(stream).await;
        let (sender, connection) = shaken.map_err(broken)?;
        let mut connection = Some(connection);
        let mut sender = drive(&mut connection, sender.ready()).await.map_err(broken)?;
        let (response, mut sending) = sender.send_request(request, body.is_empty()).map_err(broken)?;
        if !body.is_empty() {
            sending.send_data(body, true).map_err(broken)?;
        }
        Ok(Self { connection, _sender: sender, response: Some(response), peer })
    }

    /// Status and headers; the body is still to come.
    pub async fn response(&mut self) -> Result<Response<RecvStream>, Failure> {
        let peer = self.peer;
        let Some(response) = self.response.take() else { return Err(Failure::closed(Phase::Request, peer)) };
        drive(&mut self.connection, response).await.map_err(|error| failure(&error, Phase::Request, peer))
    }

    /// The next piece of the body; `None`: there is no more.
    pub async fn data(&mut self, body: &mut RecvStream) -> Result<Option<Bytes>, Failure> {
        let peer = self.peer;
        let broken = |error: h2::Error| failure(&error, Phase::Body, peer);
        let piece = drive(&mut self.connection, body.data()).await.transpose().map_err(broken)?;
        if let Some(piece) = &piece {
            body.flow_control().release_capacity(piece.len()).map_err(broken)?;
        }
        Ok(piece)
    }

    /// What comes after the body.
    pub async fn trailers(&mut self, body: &mut RecvStream) -> Result<Option<HeaderMap>, Failure> {
        let peer = self.peer;
        drive(&mut self.connection, poll_fn(|cx| body.poll_trailers(cx))).await.map_err(|error| failure(&error, Phase::Body, peer))
    }
}

/// Polls the connection until `wanted` is there.
async fn drive<S: AsyncRead + AsyncWrite + Unpin, W: Future>(connection: &mut Option<Connection<S, Bytes>>, wanted: W) -> W::Output {
    let mut wanted = pin!(wanted);
    poll_fn(|cx| {
        if let Poll::Ready(result) = wanted.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        // Its error, if any, is handed to `wanted`.
        if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            *connection = None;
        }
        wanted.as_mut().poll(cx)
    })
    .await
}

fn failure(error: &h2::Error, phase: Phase, peer: SocketAddr) -> Failure {
    if let Some(error) = error.get_io() {
        return match tls::cause(error) {
            Some(cause) => tls::broken(cause, phase, peer),
            None => Failure::io(error, phase, peer),
        };
    }
    let what = if error.is_remote() { "the peer said" } else { "got" };
    let why = match error.reason() {
        Some(Code::NO_ERROR) => return Failure::closed(phase, peer),
        Some(Code::HTTP_1_1_REQUIRED) => "the peer wants HTTP/1.1".to_string(),
        Some(code) => format!("{what}: {}", quotable(code.description())),
        None => format!("{what}: {}", quotable(&error.to_string())),
    };
    Failure::new(Reason::Protocol, format!("expected HTTP/2 from {peer}, {why}"))
}
