//! Gates, and changes that a second person confirms.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::control::Change;

use super::App;
use super::api::{self, ProblemKind, WriteQuery};
use super::auth::Caller;
use super::body::{Body, Query};
use super::change::{Why, end_of, reply, undo_of, wish};
use super::etag::IfMatch;
use super::problem::Refused;

/// `PUT /gates/{gate}`
pub(super) async fn gate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(query): Query<WriteQuery>,
    Body(body): Body<api::GatePut>,
) -> Result<Response, Refused> {
    let api::GatePut { on, reason } = body;
    let why = Why { reason, ..Why::default() };
    let applied = app.parts.door.change(wish(caller, Change::Gate { name, on }, why, IfMatch::default(), query)?).await?;
    Ok(Json(reply(&app, applied, None, None).await?).into_response())
}

/// `POST /confirmations/{id}`
pub(super) async fn confirm(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
) -> Result<Response, Refused> {
    let number = id.strip_prefix("c-").unwrap_or(&id).parse().ok();
    let missing = || Refused::new(ProblemKind::NotFound, format!("nothing waits as `{}`; their ids look like c-7", id.escape_debug()));
    let id = number.ok_or_else(missing)?;
    let applied = app.parts.door.change(wish(caller, Change::Confirm { id }, Why::default(), IfMatch::default(), query)?).await?;
    let hint = match (&applied.override_, applied.moves.as_slice()) {
        (Some((id, record)), _) => Some(end_of(*id, record)),
        (None, [one]) => Some(undo_of(&one.name)),
        (None, _) => None,
    };
    Ok((StatusCode::OK, Json(reply(&app, applied, None, hint).await?)).into_response())
}
