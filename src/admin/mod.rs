//! The admin API: HTTP in front of the core.
//!
//! ```text
//! TCP, TLS ─┐
//! socket ───┼─▶ connection ─▶ middleware (id, deadline, Host, who, scope) ─▶ read:   door.look ─▶ view ─▶ api (JSON)
//! metrics ──┘                                                            └─▶ change: door.change ─▶ Applied | Refusal
//! ```
//!
//! Three listeners: `admin.listen` (a token always), the unix socket (who can open it may operate), `metrics.listen` (`/metrics /healthz /readyz` alone).
//!
//! Never here: deciding anything about traffic or health. Form and rights are checked here, everything else in the core. DNS never waits for this room.

#![allow(clippy::disallowed_methods, reason = "an IO room: measures how long requests take, draws tokens")]

use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::control::{Refusal, ReloadBy};
use crate::metrics::Metrics;
use crate::model::{AdminSettings, MetricsSettings, Timestamp};

pub mod api;
pub mod config;
pub mod door;

mod attempts;
mod auth;
mod body;
mod certificate;
mod change;
mod connections;
mod describe;
pub mod doctor;
mod etag;
mod feeds;
mod glass;
mod latency;
mod listen;
mod looks;
mod manual;
mod middleware;
mod once;
mod openapi;
mod origin;
mod pages;
mod patience;
mod places;
mod problem;
mod push;
mod read;
mod replay;
mod router;
mod schedule;
mod shift;
mod simulate;
mod tls;
mod unix;
pub mod upgrade;
mod view;

pub use feeds::{AuditReader, Feeds, Tested, WebhookDesk};
pub use listen::BindError;
pub use replay::OutcomeReader;
pub use tls::{Certificates, Renewal};

use connections::{Listener, run};
use door::Door;

/// What the API stands in front of.
#[derive(Clone)]
pub struct Parts {
    /// To the core.
    pub door: Door,
    /// `node.name`
    pub node: String,
    /// When the process began.
    pub started: Timestamp,
    /// The program's version.
    pub version: &'static str,
    /// DNS addresses, for people; known when DNS answers.
    pub dns: Arc<OnceLock<Vec<SocketAddr>>>,
    /// For `/metrics`, request counts and answered shares.
    pub metrics: Arc<Metrics>,
    /// `POST /config/reload`
    pub reload: Reloader,
    /// `GET /config`, `GET /config/diff`, `POST /config/plan`
    pub files: config::Files,
    /// `POST …/probe`
    pub doctor: doctor::Doctor,
    /// `POST /upgrade`, `POST /handover`; `None`: this process can't be succeeded.
    pub upgrades: Option<upgrade::Upgrades>,
    /// Events, audit, webhooks.
    pub feeds: Feeds,
    /// `POST /replay`
    pub outcomes: OutcomeReader,
    /// `GET /readyz`: nothing, or why not, one sentence each.
    pub ready: Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>,
}

/// Reads the file again and hands it to the core.
pub type Reloader = Arc<dyn Fn(ReloadBy) -> Pin<Box<dyn Future<Output = ReloadOutcome> + Send>> + Send + Sync>;

/// How a reload ended.
#[derive(Clone, Debug)]
pub enum ReloadOutcome {
    /// The new configuration serves; what is worth reading, one sentence each.
    Taken(Vec<String>),
    /// The file has problems, `FILE:LINE:COLUMN: sentence` each; the old configuration serves on.
    Problems(Vec<String>),
    /// The core refused; the old configuration serves on.
    Refused(Refusal),
}

/// What every handler has.
#[derive(Clone)]
struct App {
    parts: Arc<Parts>,
    /// `admin.hosts`
    hosts: Arc<[String]>,
    /// Streams that may still begin.
    streams: Arc<tokio::sync::Semaphore>,
    /// The API ends: so must streams.
    stopping: watch::Receiver<bool>,
    /// TLS of `admin.listen`, if it has any.
    certificates: Option<Certificates>,
    /// Who was wrong about a token, and how often.
    attempts: Arc<attempts::Attempts>,
    /// Requests with an `Idempotency-Key`.
    under_way: Arc<once::UnderWay>,
    /// Replays that may still begin: one at a time.
    replays: Arc<tokio::sync::Semaphore>,
}

/// Duplicates of the listeners: what another process needs to take them over, with the connections that wait in them.
#[derive(Debug, Default)]
pub struct Sockets {
    /// `admin.listen` and `metrics.listen`.
    pub tcp: Vec<(SocketAddr, OwnedFd)>,
    /// `admin.socket`.
    pub unix: Option<(PathBuf, OwnedFd)>,
}

/// Everything is open, nothing is served yet. Connections wait.
pub struct Bound {
    admin: listen::Bound,
    tls: Option<Certificates>,
    metrics: Option<listen::Bound>,
    door: UnixListener,
    socket: PathBuf,
    hosts: Arc<[String]>,
    sockets: Sockets,
    takes_socket: bool,
}

/// The running API. Dropped, it ends by itself; [`Self::stop`] waits for that and removes the socket file.
pub struct Admin {
    /// `admin.listen`, then `metrics.listen` if it is set.
    addresses: Vec<SocketAddr>,
    socket: PathBuf,
    listeners: Vec<connections::Running>,
    stop: watch::Sender<bool>,
    sockets: Arc<Sockets>,
    /// Looks at the files of `[admin] tls`; ends with this.
    _watch: tokio::task::JoinSet<()>,
}

/// Binds everything, then serves until [`Admin::stop`]. Nothing is served if something can't be bound.
pub async fn serve(settings: &AdminSettings, metrics: &MetricsSettings, parts: Parts) -> Result<Admin, BindError> {
    Ok(bind(settings, metrics, Sockets::default()).await?.serve(parts))
}

/// Opens everything, or nothing. Listeners that the process before had `left` are taken where address or path are the same.
pub async fn bind(settings: &AdminSettings, metrics: &MetricsSettings, left: Sockets) -> Result<Bound, BindError> {
    let AdminSettings { listen, socket, tls, hosts } = settings;
    let Sockets { mut tcp, unix } = left;
    let tls = listen::tls(*listen, tls.as_ref())?;
    let admin = listen::tcp(*listen, "[admin] listen", &mut tcp).await?;
    let metrics = match metrics.listen {
        Some(address) => Some(listen::tcp(address, "[metrics] listen", &mut tcp).await?),
        None => None,
    };
    // The socket last: a second daemon that fails above has not touched the first one's.
    let taken = unix.filter(|(path, _)| path == socket).and_then(|(path, left)| unix::taken(&path, left));
    let takes_socket = taken.is_some();
    let door = match taken {
        Some(door) => door,
        None => unix::bind(socket).await?,
    };
    let again = |listener: BorrowedFd<'_>| listener.try_clone_to_owned().map_err(|source| BindError::Socket { path: socket.clone(), source });
    let tcp = std::iter::once(&admin).chain(&metrics).map(|bound| Ok((bound.address, again(bound.listener.as_fd())?))).collect::<Result<_, _>>()?;
    let sockets = Sockets { tcp, unix: Some((socket.clone(), again(door.as_fd())?)) };
    Ok(Bound { admin, tls, metrics, door, socket: socket.clone(), hosts: hosts.clone().into(), sockets, takes_socket })
}

impl Bound {
    /// The unix socket is the one of the process before: its file must stay.
    pub fn takes_socket(&self) -> bool {
        self.takes_socket
    }

    /// TLS of `admin.listen`, if it has any: for reloads.
    pub fn certificates(&self) -> Option<Certificates> {
        self.tls.clone()
    }

    /// Serves until [`Admin::stop`].
    pub fn serve(self, parts: Parts) -> Admin {
        let Self { admin, tls, metrics, door, socket, hosts, sockets, takes_socket: _ } = self;
        let (stop, stopping) = watch::channel(false);
        let streams = Arc::new(tokio::sync::Semaphore::new(feeds::STREAMS_MAX));
        let (attempts, under_way) = (Arc::default(), Arc::default());
        let replays = Arc::new(tokio::sync::Semaphore::new(1));
        let app = App { parts: Arc::new(parts), hosts, streams, stopping, certificates: tls.clone(), attempts, under_way, replays };
        let mut watch = tokio::task::JoinSet::new();
        if let Some(certificates) = tls.clone() {
            watch.spawn(certificates.watch());
        }
        let addresses = std::iter::once(admin.address).chain(metrics.as_ref().map(|bound| bound.address)).collect();
        let routes = router::router(app.clone());
        let mut listeners = vec![run(Listener::Tcp(admin.listener, tls), routes.clone()), run(Listener::Unix(door), routes)];
        listeners.extend(metrics.map(|bound| run(Listener::Tcp(bound.listener, None), router::metrics_router(app))));
        Admin { addresses, socket, listeners, stop, sockets: Arc::new(sockets), _watch: watch }
    }
}

impl Admin {
    /// TCP addresses as bound: the admin API's, then the metrics listener's if there is one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What another process needs to take over. As long as somebody has it, the ports are not free.
    pub fn sockets(&self) -> Arc<Sockets> {
        self.sockets.clone()
    }

    /// Takes no more connections, lets requests in progress end (a few seconds at most), removes the socket file.
    pub async fn stop(self) {
        // Nobody finds the socket any more before its listener is gone.
        let _ = tokio::fs::remove_file(&self.socket).await;
        self.leave().await;
    }

    /// The same, but the socket file stays: it is another process's now.
    pub async fn leave(self) {
        let _ = self.stop.send(true);
        let ends: Vec<_> = self.listeners.into_iter().map(connections::Running::stop).collect();
        for end in ends {
            end.await;
        }
    }
}

#[cfg(test)]
mod tests;
