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
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use crate::control::Refusal;
use crate::metrics::Metrics;
use crate::model::{AdminSettings, MetricsSettings, Timestamp};

pub mod api;
pub mod door;

mod auth;
mod body;
mod change;
mod connections;
mod etag;
mod listen;
mod middleware;
mod problem;
mod read;
mod router;
mod unix;
mod view;

pub use listen::BindError;

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
    /// `GET /readyz`: nothing, or why not, one sentence each.
    pub ready: Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>,
}

/// Reads the file again and hands it to the core.
pub type Reloader = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ReloadOutcome> + Send>> + Send + Sync>;

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
}

/// The running API. Dropped, it ends by itself; [`Self::stop`] waits for that and removes the socket file.
pub struct Admin {
    /// `admin.listen`, then `metrics.listen` if it is set.
    addresses: Vec<SocketAddr>,
    socket: PathBuf,
    listeners: Vec<connections::Running>,
}

/// Binds everything, then serves until [`Admin::stop`]. Nothing is served if something can't be bound.
pub async fn serve(settings: &AdminSettings, metrics: &MetricsSettings, parts: Parts) -> Result<Admin, BindError> {
    let AdminSettings { listen, socket, tls, hosts } = settings;
    let app = App { parts: Arc::new(parts), hosts: hosts.clone().into() };
    let tls = listen::tls(*listen, tls.as_ref())?;
    let admin = listen::tcp(*listen, "[admin] listen").await?;
    let metrics = match metrics.listen {
        Some(address) => Some(listen::tcp(address, "[metrics] listen").await?),
        None => None,
    };
    // The socket last: a second daemon that fails above has not touched the first one's.
    let door = unix::bind(socket).await?;
    let addresses = std::iter::once(admin.address).chain(metrics.as_ref().map(|bound| bound.address)).collect();
    let routes = router::router(app.clone());
    let mut listeners = vec![run(Listener::Tcp(admin.listener, tls), routes.clone()), run(Listener::Unix(door), routes)];
    listeners.extend(metrics.map(|bound| run(Listener::Tcp(bound.listener, None), router::metrics_router(app))));
    Ok(Admin { addresses, socket: socket.clone(), listeners })
}

impl Admin {
    /// TCP addresses as bound: the admin API's, then the metrics listener's if there is one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more connections, lets requests in progress end (a few seconds at most), removes the socket file.
    pub async fn stop(self) {
        let Self { socket, listeners, .. } = self;
        // Nobody finds the socket any more before its listener is gone.
        let _ = tokio::fs::remove_file(&socket).await;
        let ends: Vec<_> = listeners.into_iter().map(connections::Running::stop).collect();
        for end in ends {
            end.await;
        }
    }
}

#[cfg(test)]
mod tests;
