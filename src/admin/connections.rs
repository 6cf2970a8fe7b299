//! Connections: accepted, counted, served, ended.
//!
//! Each listener has its own bound, so that nobody on TCP can keep operators from the unix socket.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::auth::Peer;
use super::patience::Patience;
use super::unix;

/// Connections of one listener at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// A connection sends its whole head, or its next request, within this.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Size of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// A TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Requests in progress have this long when the daemon stops.
const STOP_MAX: Duration = Duration::from_secs(3);
/// After a failed accept (no descriptors): not at once again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener at work. Dropping it lets it end by itself; [`Self::stop`] waits for that.
pub(super) struct Running {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// No new connections from now on; the returned future ends when the old ones have.
    pub(super) fn stop(self) -> impl Future<Output = ()> {
        let Self { stop, task } = self;
        drop(stop);
        async move { drop(task.await) }
    }
}

/// What is listened on.
pub(super) enum Listener {
    /// TCP, in clear text or TLS.
    Tcp(TcpListener, Option<TlsAcceptor>),
    /// The unix socket.
    Unix(UnixListener),
}

/// Where a connection comes from, for the audit: an IP address, or `socket`.
#[derive(Clone, Debug)]
pub(super) struct PeerAddress(pub String);

/// A connection just accepted.
enum Accepted {
    Tcp(TcpStream, PeerAddress, Option<TlsAcceptor>),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Accepted> {
        match self {
            Listener::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, PeerAddress(from.ip().to_canonical().to_string()), tls.clone()))
            }
            Listener::Unix(listener) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }
}

/// Serves `routes` on `listener` until stopped.
pub(super) fn run(listener: Listener, routes: Router) -> Running {
    let (stop, stopping) = watch::channel(());
    Running { stop, task: tokio::spawn(accept_all(listener, routes, stopping)) }
}

async fn accept_all(listener: Listener, routes: Router, mut stopping: watch::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Ended ones are taken away, so that the set stays as small as what runs.
        while connections.try_join_next().is_some() {}
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            // The sender is dropped: stop.
            _ = stopping.changed() => break,
            (place, accepted) = next => match accepted {
                Ok(accepted) => {
                    let (routes, stopping) = (routes.clone(), stopping.clone());
                    connections.spawn(async move {
                        connection(accepted, routes, stopping).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    debug!("a connection was not accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What has not ended by then is cut when the set is dropped.
    let _ = tokio::time::timeout(STOP_MAX, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(accepted: Accepted, routes: Router, stopping: watch::Receiver<()>) {
    match accepted {
        Accepted::Tcp(stream, from, None) => serve(stream, Peer::Tcp, from, routes, stopping).await,
        Accepted::Tcp(stream, from, Some(tls)) => match tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, Peer::Tcp, from, routes, stopping).await,
            Ok(Err(error)) => debug!("a TLS handshake failed: {error}"),
            Err(_) => debug!("a TLS handshake took more than {HANDSHAKE_MAX:?}"),
        },
        Accepted::Unix(stream) => match unix::peer(&stream).await {
            Some(peer) => serve(stream, peer, PeerAddress("socket".to_string()), routes, stopping).await,
            None => warn!("the system does not say who is at the other end of the admin socket; not served"),
        },
    }
}

/// HTTP/1.1 until the client leaves, a deadline passes, or the daemon stops.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, from: PeerAddress, routes: Router, mut stopping: watch::Receiver<()>) {
    let service = TowerToHyperService::new(routes.layer(Extension(peer)).layer(Extension(from)));
    let stream = Patience::new(stream);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection ended early: {error}");
    }
}
