//! Shifts, and counters that their analyses look at.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::control::{Change, Core, Event, Order, Wanted};
use crate::model::{AbortWhen, Share, ShiftStep};

use super::api::{self, BASE, List, ProblemKind, UndoHint, WriteQuery};
use super::auth::Caller;
use super::body::{Body, Query};
use super::change::{Why, fault, reply, wish};
use super::etag::{self, IfMatch};
use super::pages::{Page, newest};
use super::problem::Refused;
use super::read::service_named;
use super::{App, view};

/// Hold of a step that names none.
const HOLD: Duration = Duration::from_secs(300);

/// `POST /services/{service}/shifts`
pub(super) async fn begin(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::ShiftPost>,
) -> Result<Response, Refused> {
    let api::ShiftPost { to, plan, steps, abort_when, analyses, short_holds, reason, break_glass } = body;
    let mut faults = Vec::new();
    let mut shares = Vec::new();
    for (name, percent) in to.0 {
        match Share::from_percent(percent) {
            Some(share) => shares.push((name, share)),
            None => faults.push(fault(&format!("/to/{name}"), format!("{percent} is not a share"), "per cent from 0 to 100")),
        }
    }
    let mut parsed = Vec::new();
    for (at, api::ShiftStepPost { percent, hold, pause }) in steps.into_iter().enumerate() {
        match Share::from_percent(percent).filter(|percent| Share::ZERO < *percent) {
            Some(percent) => parsed.push(ShiftStep { percent, hold: hold.map_or(HOLD, |hold| hold.0), pause }),
            None => faults.push(fault(&format!("/steps/{at}/percent"), format!("{percent} is not a step"), "per cent of the way, above 0, up to 100")),
        }
    }
    let mut ends = Vec::new();
    for (at, word) in abort_when.iter().enumerate() {
        match AbortWhen::parse(word) {
            Some(when) => ends.push(when),
            None => {
                let known = AbortWhen::ALL.map(AbortWhen::word).join(", ");
                faults.push(fault(&format!("/abort_when/{at}"), format!("`{}` does not end a shift", word.escape_debug()), &format!("there are {known}")));
            }
        }
    }
    if !faults.is_empty() {
        return Err(Refused::invalid(faults));
    }
    let wanted = Wanted { to: shares, plan, steps: parsed, abort_when: ends, analyses, short_holds };
    let change = Change::Shift { service: service.clone(), wanted };
    let name = service.clone();
    app.look(move |core, _| service_named(core.estate(), &name).map(|_| ())).await??;
    let expect = etag::if_match(&headers)?.unwrap_or_default();
    let applied = app.parts.door.change(wish(caller, change, Why { reason, break_glass }, expect, query)?).await?;
    let status = if applied.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let hint = applied.shift.as_ref().map(|(id, record)| abort_of(*id, &record.service));
    Ok((status, Json(reply(&app, applied, Some(service), hint).await?)).into_response())
}

/// `POST /shifts/{id}/{order}`
pub(super) async fn order(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((id, word)): Path<(String, String)>,
    Query(query): Query<WriteQuery>,
    Body(body): Body<api::ShiftOrder>,
) -> Result<Response, Refused> {
    let api::ShiftOrder { full, reason, break_glass } = body;
    let order = match word.as_str() {
        "pause" => Order::Pause,
        "resume" => Order::Resume,
        "promote" => Order::Promote { full },
        "abort" => Order::Abort,
        "retry" => Order::Retry,
        other => return Err(Refused::not_found("order", other, ["pause", "resume", "promote", "abort", "retry"].into_iter())),
    };
    if full && !matches!(order, Order::Promote { .. }) {
        return Err(Refused::invalid(vec![fault("/full", "only promote can go all the way".to_string(), "leave `full` out")]));
    }
    let (id, of) =
        app.look(move |core, now| shift_named(core, &id).map(|number| (number, core.shift(number, now).map(|shift| shift.record.service.clone())))).await??;
    // A shift that is not there any more is the core's to refuse.
    caller.may_touch(of.as_deref())?;
    let applied = app.parts.door.change(wish(caller, Change::ShiftOrder { id, order }, Why { reason, break_glass }, IfMatch::default(), query)?).await?;
    let service = applied.shift.as_ref().map(|(_, record)| record.service.to_string());
    let under_way = applied.shift.as_ref().filter(|(_, record)| record.phase.is_active());
    let hint = under_way.map(|(id, record)| abort_of(*id, &record.service));
    Ok(Json(reply(&app, applied, service, hint).await?).into_response())
}

/// `GET /shifts`, newest first
pub(super) async fn list(State(app): State<App>, page: Page) -> Result<Json<List<api::Shift>>, Refused> {
    app.look(move |core, now| Json(page.of(core, core.shifts(now).into_iter().map(|shift| (newest(shift.id), shift)), |shift| view::shift(&shift)))).await
}

/// `GET /shifts/{id}`
pub(super) async fn one(State(app): State<App>, Path(id): Path<String>) -> Result<Json<api::Shift>, Refused> {
    let found = app.look(move |core, now| shift_named(core, &id).map(|number| core.shift(number, now).map(|shift| view::shift(&shift)))).await??;
    found.map(Json).ok_or_else(|| Refused::new(ProblemKind::NotFound, "this shift is not kept any more"))
}

/// `POST /services/{service}/slo`
pub(super) async fn slo(State(app): State<App>, Path(service): Path<String>, Body(body): Body<api::SloPost>) -> Result<StatusCode, Refused> {
    let api::SloPost { good, bad } = body;
    let name = service.clone();
    app.look(move |core, _| service_named(core.estate(), &name).map(|_| ())).await??;
    app.parts.door.tell(Event::Counted { service, good, bad }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `s-7`, or a service: its newest shift.
fn shift_named(core: &Core, id: &str) -> Result<u64, Refused> {
    let number = id.strip_prefix("s-").filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit())).and_then(|digits| digits.parse().ok());
    let missing = || {
        let services = core.estate().services.iter().map(|service| &*service.name);
        match core.estate().service_named(id) {
            Some(_) => Refused::new(ProblemKind::NotFound, format!("`{id}` has had no shift; begin one: windrose shift {id} POOL=PCT…")),
            None => Refused::not_found("shift", id, services),
        }
    };
    number.or_else(|| core.shift_of(id)).ok_or_else(missing)
}

fn abort_of(id: u64, service: &str) -> UndoHint {
    UndoHint {
        method: "POST".to_string(),
        path: format!("{BASE}/shifts/s-{id}/abort"),
        body: serde_json::Value::Null,
        command: format!("windrose shift abort {service}"),
    }
}
