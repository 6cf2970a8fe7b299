//! What outside systems tell of endpoints: form is checked here, the rest is the core's answer.

use axum::Json;
use axum::extract::{Extension, Path, State};

use crate::control::{Event, Push};

use super::App;
use super::api::{self, ProblemKind};
use super::auth::Caller;
use super::body::Body;
use super::problem::Refused;

pub(super) async fn push(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((pool, endpoint)): Path<(String, String)>,
    Body(body): Body<api::PushPost>,
) -> Result<Json<api::PushReply>, Refused> {
    let api::PushPost { monitor, outcome, message, ttl } = body;
    let named = monitor.clone();
    let push = Push {
        actor: caller.actor,
        pool: pool.clone(),
        endpoint: endpoint.clone(),
        monitor,
        passed: outcome == api::Told::Pass,
        message,
        ttl: ttl.map(|ttl| ttl.0),
    };
    app.parts.door.ask(|ticket| Event::Push { ticket, push }).await?;
    let found = app.look(move |core, now| {
        let estate = core.estate();
        let id = estate.pool_named(&pool).and_then(|pool| estate.endpoint_named(pool, &endpoint))?;
        let told = core.told(id, now).into_iter().find(|told| named.as_ref().is_none_or(|named| told.monitor == *named))?;
        let (endpoint, state) = (estate.endpoint_label(id), told.state.into());
        Some(api::PushReply { endpoint, monitor: told.monitor, state, holds_until: told.until.map(api::Time) })
    });
    found.await?.map(Json).ok_or_else(|| Refused::new(ProblemKind::NotFound, "a reload has just taken this endpoint away"))
}
