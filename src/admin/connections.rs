//! Connections: accepted, counted, served, ended.
//!
//! Each listener has its own bound, so that nobody on TCP can keep operators from the unix socket. Who comes when all places are taken gets that of the
//! connection that is idle longest.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use super::auth::Peer;
use super::certificate::Presented;
use super::patience::Patient;
use super::places::{Busy, Place, Places};
use super::tls::Certificates;
use super::unix;

/// Connections of one listener at a time, where descriptors allow: ten thousand that idle keep nobody out.
const CONNECTIONS_MAX: usize = 12_288;
/// Of the descriptors of this process, one in so many may be one listener's.
const DESCRIPTORS_PART: u64 = 5;
/// Connections that there may be however few descriptors there are.
const CONNECTIONS_MIN: usize = 64;
/// A connection sends its whole head, or its next request, within this.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Size of a request's head. With all places taken by heads that never end, this is what memory is bounded by.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A reply that its reader does not take: so long.
const WRITE_MAX: Duration = Duration::from_secs(30);
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
    Tcp(TcpListener, Option<Certificates>),
    /// The unix socket.
    Unix(UnixListener),
}

/// A reply's body; as long as it is sent, the request is worked on.
struct Working {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Working {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection just accepted.
enum Accepted {
    Tcp(TcpStream, IpAddr, Option<Certificates>),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Accepted> {
        match self {
            Listener::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, from.ip().to_canonical(), tls.clone()))
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
    let places = Places::new(connections_max());
    let mut connections = JoinSet::new();
    loop {
        // Ended ones are taken away, so that the set stays as small as what runs.
        while connections.try_join_next().is_some() {}
        // First somebody to serve, then a place: nobody is sent away for nobody.
        let next = async {
            let accepted = listener.accept().await;
            (places.take().await, accepted)
        };
        tokio::select! {
            // The sender is dropped: stop.
            _ = stopping.changed() => break,
            (place, accepted) = next => match accepted {
                Ok(accepted) => {
                    let (routes, stopping) = (routes.clone(), stopping.clone());
                    connections.spawn(connection(accepted, routes, place, stopping));
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

/// Connections of one listener: probes, DNS and the store need descriptors, too.
fn connections_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let part = limit.and_then(|limit| usize::try_from(limit / DESCRIPTORS_PART).ok()).unwrap_or(CONNECTIONS_MAX);
    part.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}

async fn connection(accepted: Accepted, routes: Router, place: Place, mut stopping: watch::Receiver<()>) {
    match accepted {
        Accepted::Tcp(stream, address, None) => {
            if says_something(stream.readable(), &place, &mut stopping).await {
                Box::pin(serve(stream, Peer::Tcp { address, certificate: None }, routes, place, stopping)).await;
            }
        }
        Accepted::Tcp(stream, address, Some(tls)) => {
            let terms = tls.terms();
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(HANDSHAKE_MAX, terms.acceptor.accept(stream)) => shaken,
                () = place.needed() => return,
            };
            match shaken {
                Ok(Ok(stream)) => {
                    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                    let certificate = certificate.and_then(|certificate| Presented::read(certificate, terms.number));
                    Box::pin(serve(stream, Peer::Tcp { address, certificate }, routes, place, stopping)).await;
                }
                Ok(Err(error)) => debug!("a TLS handshake failed: {error}"),
                Err(_) => debug!("a TLS handshake took more than {HANDSHAKE_MAX:?}"),
            }
        }
        Accepted::Unix(stream) if !says_something(stream.readable(), &place, &mut stopping).await => (),
        Accepted::Unix(stream) => match unix::peer(&stream).await {
            Some(peer) => Box::pin(serve(stream, peer, routes, place, stopping)).await,
            None => warn!("the system does not say who is at the other end of the admin socket; not served"),
        },
    }
}

/// Waits for the first octet: until then a connection costs no more than its socket. `false`: it is not to be served.
async fn says_something(readable: impl Future<Output = std::io::Result<()>>, place: &Place, stopping: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        readable = tokio::time::timeout(HEAD_MAX, readable) => matches!(readable, Ok(Ok(()))),
        () = place.needed() => false,
        _ = stopping.changed() => false,
    }
}

/// HTTP/1.1 until the client leaves, a deadline passes, the place is needed, or the daemon stops.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, routes: Router, place: Place, mut stopping: watch::Receiver<()>) {
    // With each request, not as a layer: that would copy every route for each connection.
    let routes = TowerToHyperService::new(routes);
    let place = Arc::new(place);
    let works = place.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let busy = works.work();
        let reply = routes.call(request);
        // Until the last piece: a stream is work, too.
        async move { reply.await.map(|reply| reply.map(|body| Working { body, _busy: busy })) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_MAX)), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = place.needed() => return debug!("an idle connection made room for another"),
        _ = stopping.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection ended early: {error}");
    }
}
