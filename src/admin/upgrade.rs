//! A binary upgrade, as seen from outside: `POST /upgrade` begins one, `POST /handover` is how the new process asks the running one for its place.
//!
//! A hand-over begins as HTTP on the unix socket, so that there is one door and one rule of who may, and goes on as what both processes speak
//! (RFC 9110, section 7.8): HTTP has no words for descriptors. What is spoken then is `app`'s business.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tracing::warn;

use super::App;
use super::api::{self, Fault, ProblemKind};
use super::auth::Peer;
use super::patience::Patient;
use super::problem::Refused;

/// What both processes must speak. The number changes when a process of one release could not take over from one of the other.
pub const PROTOCOL: &str = "windrose-handover/1";

/// Path of the hand-over.
pub const HANDOVER: &str = "/api/v1/handover";

/// From our consent until the connection is free of HTTP.
const SWITCH_MAX: Duration = Duration::from_secs(5);

/// What an upgrade needs of the daemon.
#[derive(Clone)]
pub struct Upgrades {
    /// Starts a new process and waits until it has taken over, or has not.
    pub begin: Beginner,
    /// Consents to one hand-over at a time, or says why not.
    pub hand_over: Arc<dyn Fn() -> Result<Taker, String> + Send + Sync>,
}

/// Starts a new process and waits until it has taken over, or has not.
pub type Beginner = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<TakenOver, NotUpgraded>> + Send>> + Send + Sync>;

/// Takes the connection to the new process. Dropped uncalled, the consent is withdrawn.
pub type Taker = Box<dyn FnOnce(UnixStream) + Send>;

/// Who serves now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// Its process.
    pub pid: u32,
    /// Its release.
    pub version: String,
}

/// Why the old process serves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotUpgraded {
    /// The program on disk finds problems in the configuration, one sentence each.
    Problems(Vec<String>),
    /// Anything else, one sentence.
    Failed(String),
}

fn failed(why: impl Into<String>) -> Refused {
    Refused::new(ProblemKind::UpgradeFailed, why)
}

fn upgrades(app: &App) -> Result<&Upgrades, Refused> {
    app.parts.upgrades.as_ref().ok_or_else(|| failed("this server was not started by `windrose serve`, so no other can take over from it"))
}

/// `POST /upgrade`
pub(super) async fn begin(State(app): State<App>) -> Result<Json<api::UpgradeReply>, Refused> {
    // A task of its own: a client that goes away leaves no half of an upgrade.
    let outcome = tokio::spawn((upgrades(&app)?.begin)()).await;
    match outcome.map_err(|_| Refused::new(ProblemKind::Internal, "the upgrade failed by a bug; look at the log"))? {
        Ok(TakenOver { pid, version }) => Ok(Json(api::UpgradeReply { pid, version, before: app.parts.version.to_string() })),
        Err(NotUpgraded::Failed(why)) => Err(failed(why)),
        Err(NotUpgraded::Problems(problems)) => {
            let mut refused = Refused::new(ProblemKind::InvalidConfig, "the new program finds problems in the configuration; this process serves on as before");
            let fault = |message: String| Fault { code: "config".into(), message, ..Fault::default() };
            refused.problem.errors = problems.into_iter().map(fault).collect();
            Err(refused)
        }
    }
}

/// `POST /handover`
pub(super) async fn hand_over(State(app): State<App>, Extension(peer): Extension<Peer>, request: Request) -> Result<Response, Refused> {
    let wanted = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if peer.is_tcp() {
        return Err(failed("a hand-over goes over the unix socket alone"));
    }
    if wanted != PROTOCOL {
        let detail = format!("this server hands over by `{PROTOCOL}`, and `{}` was asked for; restart instead of upgrading", wanted.escape_debug());
        return Err(failed(detail));
    }
    let taker = (upgrades(&app)?.hand_over)().map_err(failed)?;
    let switched = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match tokio::time::timeout(SWITCH_MAX, switched).await {
            Ok(Ok(upgraded)) => match stream_of(upgraded) {
                Some(stream) => taker(stream),
                None => warn!("a hand-over began before it was consented to; it is not made"),
            },
            _ => warn!("the process that asked for a hand-over is gone; it is not made"),
        }
    });
    let headers = [(header::CONNECTION, HeaderValue::from_static("upgrade")), (header::UPGRADE, HeaderValue::from_static(PROTOCOL))];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The bare connection, if nothing was said on it too early.
fn stream_of(upgraded: Upgraded) -> Option<UnixStream> {
    let parts = upgraded.downcast::<TokioIo<Patient<UnixStream>>>().ok()?;
    parts.read_buf.is_empty().then(|| parts.io.into_inner().into_inner())
}
