//! Schedules: looked at, cancelled. They are set by changes themselves, with `?at=`.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};

use crate::control::Change;

use super::api::{self, BASE, List, ProblemKind, UndoHint, WriteQuery};
use super::auth::Caller;
use super::body::Query;
use super::change::{Why, reply, wish};
use super::etag::IfMatch;
use super::pages::{Page, newest};
use super::problem::Refused;
use super::{App, view};

/// `GET /schedules`, newest first
pub(super) async fn list(State(app): State<App>, page: Page) -> Result<Json<List<api::Schedule>>, Refused> {
    app.look(move |core, now| Json(page.of(core, core.schedules(now).into_iter().map(|view| (newest(view.id), view)), |view| view::schedule(&view)))).await
}

/// `GET /schedules/{id}`
pub(super) async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<api::Schedule>, Refused> {
    let number = number(&id)?;
    let found = app.look(move |core, now| core.schedule(number, now).map(|view| view::schedule(&view))).await?;
    found.map(Json).ok_or_else(|| missing(&id))
}

/// `DELETE /schedules/{id}`: it is not made; one that has failed is dismissed.
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
) -> Result<Response, Refused> {
    let number = number(&id)?;
    let touched = app.look(move |core, now| core.schedule(number, now).map(|view| view.services)).await?;
    match touched.ok_or_else(|| missing(&id))? {
        // Whom it would move is not known.
        none if none.is_empty() => caller.may_touch_the_node()?,
        services => caller.may_touch(services.iter().map(|name| &**name))?,
    }
    let applied = app.parts.door.change(wish(caller, Change::CancelSchedule { id: number }, Why::default(), IfMatch::default(), query)?).await?;
    Ok(Json(reply(&app, applied, None, None).await?).into_response())
}

/// `t-9`, or `9`.
fn number(id: &str) -> Result<u64, Refused> {
    let digits = id.strip_prefix("t-").unwrap_or(id);
    let number = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Refused {
    Refused::new(ProblemKind::NotFound, format!("there is no schedule `{}`; their ids look like t-9, see `windrose schedule list`", id.escape_debug()))
}

/// How a schedule is taken back.
pub(super) fn cancel_of(id: u64) -> UndoHint {
    UndoHint {
        method: "DELETE".to_string(),
        path: format!("{BASE}/schedules/t-{id}"),
        body: serde_json::Value::Null,
        command: format!("windrose schedule cancel t-{id}"),
    }
}
