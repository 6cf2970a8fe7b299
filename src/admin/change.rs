//! Everything that writes: form and rights are checked here, the rest is the core's answer.
//!
//! A dry run takes the same way to the core and back; only its reply lacks `applied`.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::info;

use crate::control::{self, Actor, Applied, Change, OverrideRecord, OverrideTargetName, OverrideWord, RefusalKind, ReloadBy, Revision, Scope, TokenRecord};
use crate::model::{GuardKind, Moment};
use crate::policy::Forecast;

use super::api::{self, BASE, ChangeReply, Fault, ProblemKind, REASON_MAX, TOKEN_NAME_MAX, TOKEN_SERVICES_MAX, WriteQuery};
use super::auth::{self, Caller, Secret};
use super::body::{Body, Query};
use super::door::{ORIGIN, Wish};
use super::etag::{self, IfMatch};
use super::problem::Refused;
use super::read::{service_named, traffic_now};
use super::{App, ReloadOutcome, view};

pub(super) async fn traffic(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::TrafficPut>,
) -> Result<Response, Refused> {
    let api::TrafficPut { policy, reason, break_glass } = body;
    let expect = etag::required_if_match(&headers)?;
    let change = Change::Traffic { service: service.clone(), form: policy };
    on_service(app, caller, service, change, Why { reason, break_glass }, expect, query, Undo::Traffic).await
}

pub(super) async fn failover(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::Failover>,
) -> Result<Response, Refused> {
    let api::Failover { to, reason, break_glass } = body;
    let expect = etag::if_match(&headers)?.unwrap_or_default();
    let change = Change::Failover { service: service.clone(), to };
    on_service(app, caller, service, change, Why { reason, break_glass }, expect, query, Undo::Traffic).await
}

pub(super) async fn failback(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::Failback>,
) -> Result<Response, Refused> {
    let api::Failback { pool, reason, break_glass } = body;
    let expect = etag::if_match(&headers)?.unwrap_or_default();
    let change = Change::Failback { service: service.clone(), pool };
    on_service(app, caller, service, change, Why { reason, break_glass }, expect, query, Undo::Impossible).await
}

pub(super) async fn undo(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::Undo>,
) -> Result<Response, Refused> {
    let api::Undo { to, reason, break_glass } = body;
    let expect = etag::if_match(&headers)?.unwrap_or_default();
    let to = match to {
        None => control::UndoTo::Before,
        Some(api::UndoTo::File) => control::UndoTo::File,
        Some(api::UndoTo::Revision(number)) => control::UndoTo::Revision(Revision(number)),
    };
    let change = Change::Undo { service: service.clone(), to };
    on_service(app, caller, service, change, Why { reason, break_glass }, expect, query, Undo::Traffic).await
}

pub(super) async fn begin_override(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::OverridePost>,
) -> Result<Response, Refused> {
    let api::OverridePost { kind, target, services, expires_in, reason, break_glass } = body;
    let mut faults = Vec::new();
    let named = OverrideTargetName::parse(&target.to_string());
    if named.is_none() {
        faults.push(fault("/target", format!("`{target}` is not a target"), "name a region, pool or service, or an endpoint as POOL/NAME"));
    }
    let everybody = services.iter().any(|name| name == "*");
    if everybody && 1 < services.len() {
        faults.push(fault("/services", "`*` means all services and stands alone".into(), "send [\"*\"], or the services by name"));
    }
    faults.extend(too_short(expires_in));
    let (Some(target), true) = (named, faults.is_empty()) else { return Err(Refused::invalid(faults)) };
    let services = if everybody { Vec::new() } else { services };
    let services = limited_services(&app, &caller, &target, services).await?;
    let change = Change::Override { kind: kind.into(), target, services, lasts: expires_in.map(|span| span.0) };
    on_override(app, caller, None, change, Why { reason, break_glass }, etag::if_match(&headers)?.unwrap_or_default(), query).await
}

pub(super) async fn extend_override(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
    Body(body): Body<api::OverridePatch>,
) -> Result<Response, Refused> {
    let api::OverridePatch { expires_in, reason, break_glass } = body;
    let number = override_number(&id)?;
    if let Some(fault) = too_short(expires_in) {
        return Err(Refused::invalid(vec![fault]));
    }
    may_touch_override(&app, &caller, number).await?;
    let change = Change::Extend { id: number, lasts: expires_in.map(|span| span.0) };
    on_override(app, caller, Some(number), change, Why { reason, break_glass }, etag::if_match(&headers)?.unwrap_or_default(), query).await
}

pub(super) async fn end_override(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let number = override_number(&id)?;
    may_touch_override(&app, &caller, number).await?;
    let expect = etag::if_match(&headers)?.unwrap_or_default();
    on_override(app, caller, Some(number), Change::EndOverride { id: number }, Why::default(), expect, query).await
}

pub(super) async fn reload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
) -> Result<Json<api::ReloadReply>, Refused> {
    sound(&query)?;
    if query.at.is_some() {
        return Err(Refused::invalid(vec![fault("/at", "a reload can't be scheduled".to_string(), "leave `at` out")]));
    }
    if query.dry_run {
        let plan = super::config::dry_run(&app).await?;
        return Ok(Json(api::ReloadReply { plan: Some(plan), ..api::ReloadReply::default() }));
    }
    let WriteQuery { reason, break_glass, dry_run: _, end_shift: _, at: _ } = query;
    let words: Vec<&str> = break_glass.iter().flat_map(|list| list.split(',')).collect();
    let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
    let by = ReloadBy { actor: caller.actor.0, origin, reason: reason.unwrap_or_default(), break_glass: glass(&words)? };
    // A task of its own: a client that goes away does not leave half a reload.
    let outcome = tokio::spawn((app.parts.reload)(by)).await.map_err(|_| Refused::new(ProblemKind::Internal, "the reload failed by a bug; look at the log"))?;
    match outcome {
        ReloadOutcome::Taken(messages) => Ok(Json(api::ReloadReply { messages, ..api::ReloadReply::default() })),
        ReloadOutcome::Problems(problems) => Err(invalid_config(&problems, "nothing was changed, the old one serves on")),
        ReloadOutcome::Refused(refusal) => {
            if refusal.kind != RefusalKind::InvalidRequest {
                return Err(refusal.into());
            }
            let mut refused = Refused::new(ProblemKind::InvalidConfig, refusal.detail);
            refused.problem.errors = refusal.faults.into_iter().map(Fault::from).collect();
            Err(refused)
        }
    }
}

/// A configuration with problems, every one of them.
pub(super) fn invalid_config(problems: &[String], end: &str) -> Refused {
    let count = if problems.len() == 1 { "1 problem".to_string() } else { format!("{} problems", problems.len()) };
    let mut refused = Refused::new(ProblemKind::InvalidConfig, format!("the configuration has {count}; {end}"));
    refused.problem.errors = problems.iter().map(|problem| config_fault(problem)).collect();
    refused
}

/// `windrose.toml:12:5: sentence` apart.
fn config_fault(problem: &str) -> Fault {
    let numbers = |place: &str| place.rsplit(':').take(2).filter(|part| part.parse::<u32>().is_ok()).count() == 2;
    let (place, message) = match problem.split_once(": ").filter(|(place, _)| numbers(place)) {
        Some((place, message)) => (Some(place.to_string()), message),
        None => (None, problem),
    };
    Fault { place, code: "config".into(), message: message.to_string(), ..Fault::default() }
}

pub(super) async fn create_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    Body(body): Body<api::TokenPost>,
) -> Result<Response, Refused> {
    let api::TokenPost { name, scope, services, expires_in } = body;
    let mut faults: Vec<Fault> = too_short(expires_in).into_iter().collect();
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
    if name.is_empty() || TOKEN_NAME_MAX < name.len() || !name.bytes().all(plain) {
        let message = format!("`{}` can't be a token's name", name.escape_debug());
        faults.push(fault("/name", message, "use 1 to 64 letters, digits, dots, hyphens and underscores"));
    }
    let glob = |name: &&String| name.is_empty() || TOKEN_NAME_MAX < name.len() || name.bytes().any(|octet| octet.is_ascii_control());
    if TOKEN_SERVICES_MAX < services.len() || services.iter().any(|name| glob(&name)) {
        let message = "a token is limited by 64 names at most, each of 1 to 64 characters".to_string();
        faults.push(fault("/services", message, "name services, or several with a glob such as \"shop-*\""));
    }
    if !faults.is_empty() {
        return Err(Refused::invalid(faults));
    }
    let no_chance = |error| Refused::new(ProblemKind::Internal, format!("this machine gives no random numbers: {error}"));
    let (id, secret) = (auth::random_id::<6>(), Secret::draw().map_err(no_chance)?);
    let at = app.look(|_, now| now.wall).await?;
    let ends = expires_in.map(|span| at.plus(span.0));
    let record = TokenRecord {
        name: name.clone(),
        hash: secret.hash(),
        scope: scope.into(),
        services: services.iter().map(|name| name.as_str().into()).collect(),
        at,
        ends,
    };
    let dry_run = query.dry_run;
    let change = Change::Token { id: id.as_str().into(), record };
    let Actor(actor) = caller.actor.clone();
    app.parts.door.change(wish(caller, change, Why::default(), IfMatch::default(), query)?).await?;
    if !dry_run {
        info!(actor, token.id = id, token.name = name, "token `{name}` with scope {scope} was made by {actor}");
    }
    let token = (!dry_run).then_some(secret.0);
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(api::TokenCreated { id, name, scope, services, token, ends: ends.map(api::Time) })).into_response())
}

pub(super) async fn revoke_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(query): Query<WriteQuery>,
) -> Result<Response, Refused> {
    let Actor(actor) = caller.actor.clone();
    let dry_run = query.dry_run;
    let applied = app.parts.door.change(wish(caller, Change::RevokeToken { id: id.clone() }, Why::default(), IfMatch::default(), query)?).await?;
    if !dry_run {
        info!(actor, token.id = id, "token `{id}` was revoked by {actor}");
    }
    Ok(Json(reply(&app, applied, None, None).await?).into_response())
}

/// For a caller that is limited: every service that the override would act on is inside, and it acts on these for ever, whatever the file adds.
async fn limited_services(app: &App, caller: &Caller, target: &OverrideTargetName, services: Vec<String>) -> Result<Vec<String>, Refused> {
    if caller.limit.is_empty() {
        return Ok(services);
    }
    let (about, named) = (target.clone(), services.iter().map(|name| name.as_str().into()).collect::<Vec<_>>());
    let acted_on = app.look(move |core, _| core.services_under(&about, &named)).await?;
    caller.may_touch(acted_on.iter().map(|name| &**name))?;
    match target {
        OverrideTargetName::Service(_) => Ok(services),
        // Nobody uses it yet: whom it would act on is not known.
        _ if acted_on.is_empty() => caller.may_touch_the_node().map(|()| services),
        _ => Ok(acted_on.iter().map(ToString::to_string).collect()),
    }
}

/// The same for an override that is there. One that isn't is the core's to refuse.
async fn may_touch_override(app: &App, caller: &Caller, number: u64) -> Result<(), Refused> {
    if caller.limit.is_empty() {
        return Ok(());
    }
    let acted_on = app.look(move |core, _| {
        let kept = core.overrides().into_iter().find(|kept| kept.id == number)?;
        Some(core.services_under(&kept.record.target, &kept.record.services))
    });
    match acted_on.await? {
        None => Ok(()),
        Some(acted_on) if acted_on.is_empty() => caller.may_touch_the_node(),
        Some(acted_on) => caller.may_touch(acted_on.iter().map(|name| &**name)),
    }
}

/// What can take a change back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undo {
    /// `POST …/undo`
    Traffic,
    /// Nothing.
    Impossible,
}

/// A change of one service: the reply has the service's ETag, a stale `If-Match` gets the resource as it is.
#[allow(clippy::too_many_arguments, reason = "the parts of one request")]
async fn on_service(
    app: App,
    caller: Caller,
    service: String,
    change: Change,
    why: Why,
    expect: IfMatch,
    query: WriteQuery,
    undo: Undo,
) -> Result<Response, Refused> {
    let name = service.clone();
    app.look(move |core, _| service_named(core.estate(), &name).map(|_| ())).await??;
    match app.parts.door.change(wish(caller, change, why, expect, query)?).await {
        Ok(applied) => {
            let hint = (undo == Undo::Traffic).then(|| undo_of(&service));
            let etag = etag_after(&app, &service, &applied, undo).await;
            let body = Json(reply(&app, applied, Some(service), hint).await?);
            Ok(match etag {
                Some(etag) => ([(header::ETAG, etag)], body).into_response(),
                None => body.into_response(),
            })
        }
        Err(refusal) => {
            let stale = refusal.kind == RefusalKind::RevisionMismatch;
            let mut refused = Refused::from(refusal);
            if stale && let Ok((traffic, etag)) = traffic_now(&app, service).await {
                (refused.problem.current, refused.etag) = (serde_json::to_value(traffic).ok(), Some(etag));
            }
            Err(refused)
        }
    }
}

/// The ETag of what was just set: made from its own revision, so that a later change by somebody else does not slip in unseen.
async fn etag_after(app: &App, service: &str, applied: &Applied, undo: Undo) -> Option<HeaderValue> {
    if applied.dry_run {
        return None;
    }
    if undo == Undo::Traffic && applied.form.is_some() {
        return Some(etag::of_revision(applied.revision));
    }
    let (traffic, etag) = traffic_now(app, service.to_string()).await.ok()?;
    (undo == Undo::Impossible || traffic.revision == applied.revision.0).then_some(etag)
}

/// A change of one override. `number`: which, if it was there before.
async fn on_override(app: App, caller: Caller, number: Option<u64>, change: Change, why: Why, expect: IfMatch, query: WriteQuery) -> Result<Response, Refused> {
    let begins = matches!(change, Change::Override { .. });
    let ends = matches!(change, Change::EndOverride { .. });
    match app.parts.door.change(wish(caller, change, why, expect, query)?).await {
        Ok(applied) => {
            let status = if begins && !applied.dry_run { StatusCode::CREATED } else { StatusCode::OK };
            let hint = applied.override_.as_ref().filter(|_| begins).map(|(id, record)| end_of(*id, record));
            let etag = (!applied.dry_run && !ends && applied.schedule.is_none()).then(|| etag::of_revision(applied.revision));
            let body = (status, Json(reply(&app, applied, None, hint).await?));
            Ok(match etag {
                Some(etag) => ([(header::ETAG, etag)], body).into_response(),
                None => body.into_response(),
            })
        }
        Err(refusal) => {
            let stale = refusal.kind == RefusalKind::RevisionMismatch;
            let mut refused = Refused::from(refusal);
            if let (true, Some(number)) = (stale, number) {
                let look = move |core: &control::Core, _| {
                    core.overrides().iter().find(|kept| kept.id == number).map(|kept| (view::override_(core.estate(), kept), etag::of_revision(kept.revision)))
                };
                if let Some((kept, etag)) = app.look(look).await? {
                    (refused.problem.current, refused.etag) = (serde_json::to_value(kept).ok(), Some(etag));
                }
            }
            Err(refused)
        }
    }
}

/// How to take a change of traffic back.
pub(super) fn undo_of(service: &str) -> api::UndoHint {
    api::UndoHint {
        method: "POST".to_string(),
        path: format!("{BASE}/services/{service}/undo"),
        body: serde_json::Value::Null,
        command: format!("windrose undo {service}"),
    }
}

/// How to end an override.
pub(super) fn end_of(id: u64, record: &OverrideRecord) -> api::UndoHint {
    api::UndoHint {
        method: "DELETE".to_string(),
        path: format!("{BASE}/overrides/o-{id}"),
        body: serde_json::Value::Null,
        command: end_command(record.kind, &record.target),
    }
}

/// What to type to end an override.
fn end_command(kind: OverrideWord, target: &OverrideTargetName) -> String {
    let verb = match kind {
        OverrideWord::Drain => "undrain",
        OverrideWord::ForceUp | OverrideWord::ForceDown => "unforce",
        OverrideWord::Freeze => "unfreeze",
        OverrideWord::Approve => "unapprove",
    };
    match target.to_string().split_once('/') {
        Some(("service", name)) => format!("windrose {verb} {name}"),
        Some((what, name)) => format!("windrose {verb} {what} {name}"),
        None => format!("windrose {verb} {target}"),
    }
}

/// What a body says beside what is to be done.
#[derive(Debug, Default)]
pub(super) struct Why {
    pub reason: String,
    /// Guards that need not hold, by their words.
    pub break_glass: Vec<String>,
}

/// A wish on its way to the core.
pub(super) fn wish(caller: Caller, change: Change, why: Why, expect: IfMatch, query: WriteQuery) -> Result<Wish, Refused> {
    let IfMatch { expect, expect_file } = expect;
    sound(&query)?;
    let WriteQuery { dry_run, reason: asked, end_shift, break_glass: listed, at } = query;
    let change = if end_shift { Change::EndingShift(Box::new(change)) } else { change };
    let change = match at.as_deref().map(moment).transpose()? {
        Some(moment) => Change::Schedule { moment, change: Box::new(change) },
        None => change,
    };
    let Why { reason, break_glass } = why;
    let reason = if reason.is_empty() { asked.unwrap_or_default() } else { reason };
    one_line(&reason)?;
    let listed = listed.iter().flat_map(|list| list.split(','));
    let words: Vec<&str> = break_glass.iter().map(String::as_str).chain(listed).collect();
    let break_glass = glass(&words)?;
    if !break_glass.is_empty() && caller.scope < Scope::Admin {
        return Err(Refused::scope(&caller.actor.0, caller.scope, Scope::Admin));
    }
    Ok(Wish { actor: caller.actor, reason, change, expect, expect_file, break_glass, dry_run })
}

/// A query string that says what can be meant, also where a body says it again or nothing goes by it.
fn sound(query: &WriteQuery) -> Result<(), Refused> {
    one_line(query.reason.as_deref().unwrap_or_default())?;
    let words: Vec<&str> = query.break_glass.iter().flat_map(|list| list.split(',')).collect();
    glass(&words)?;
    query.at.as_deref().map_or(Ok(()), |at| moment(at).map(|_| ()))
}

/// What `at` names.
fn moment(at: &str) -> Result<Moment, Refused> {
    Moment::parse(at).map_err(|why| Refused::invalid(vec![fault("/at", why, "in a query string `+` is written %2B; a span alone, such as 30m, will do")]))
}

fn one_line(reason: &str) -> Result<(), Refused> {
    if reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("the reason has more than {REASON_MAX} characters, or line breaks");
    Err(Refused::invalid(vec![fault("/reason", message, "one line, such as a ticket's number")]))
}

/// Guards by their words; every wrong one is told.
fn glass(words: &[&str]) -> Result<Vec<GuardKind>, Refused> {
    let mut faults = Vec::new();
    let mut guards = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let pointer = format!("/break_glass/{at}");
        match GuardKind::parse(word) {
            Some(GuardKind::RequireReason) => faults.push(fault(&pointer, "a reason can't be done without: give one".into(), "--reason \"…\"")),
            Some(guard) => guards.push(guard),
            None => {
                let known = GuardKind::ALL.map(GuardKind::word);
                let near = crate::model::did_you_mean(word, known.into_iter()).map(|near| format!("did you mean `{near}`?"));
                let hint = near.unwrap_or_else(|| format!("there are {}", known.join(", ")));
                faults.push(fault(&pointer, format!("`{}` is not a guard", word.escape_debug()), &hint));
            }
        }
    }
    if faults.is_empty() { Ok(guards) } else { Err(Refused::invalid(faults)) }
}

/// What was done, with the answers a second that go elsewhere.
pub(super) async fn reply(app: &App, applied: Applied, service: Option<String>, undo: Option<api::UndoHint>) -> Result<ChangeReply, Refused> {
    let Applied { dry_run, revision, moves, override_, form, messages, takers, guards, at, clients_follow_by, shift, schedule, latency: _ } = applied;
    let metrics = app.parts.metrics.clone();
    let undo = schedule.as_ref().map(|(id, _)| super::schedule::cancel_of(*id)).or(undo);
    let (moves, takers, shift, schedule, fading) = app
        .look(move |core, now| {
            let (moves, takers) = view::preflight(core, &metrics, moves, takers, now);
            let shift = shift.map(|(id, record)| match core.shift(id, now).filter(|_| !dry_run) {
                Some(known) => view::shift(&known),
                None => view::planned_shift(id, &record),
            });
            let schedule = schedule.map(|(id, record)| view::schedule(&core.planned_schedule(id, &record, now)));
            (moves, takers, shift, schedule, core.estate().fading)
        })
        .await?;
    let moving = schedule.is_none() && moves.iter().any(|change| change.before != change.after);
    let forecast = moving.then(|| view::forecast(Forecast { ttl: clients_follow_by.since(at), fading }, at));
    Ok(ChangeReply {
        dry_run,
        revision: revision.0,
        service,
        policy: form,
        moves,
        takers,
        guards: guards.into_iter().map(Into::into).collect(),
        messages,
        applied: (!dry_run).then(|| api::AppliedAt { node: app.parts.node.clone(), at: at.into() }),
        clients_follow_by: clients_follow_by.into(),
        forecast,
        override_: override_.map(|(id, record)| view::record(id, &record, true)),
        shift,
        schedule,
        undo,
    })
}

/// `o-12`, or `12`.
fn override_number(id: &str) -> Result<u64, Refused> {
    let digits = id.strip_prefix("o-").unwrap_or(id);
    let number = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.ok_or_else(|| Refused::new(ProblemKind::NotFound, format!("there is no override `{}`; their ids look like o-12", id.escape_debug())))
}

fn too_short(span: Option<api::Span>) -> Option<Fault> {
    span.filter(|span| span.0.is_zero()).map(|_| fault("/expires_in", "it would end before it begins".into(), "give a time such as \"2h\""))
}

pub(super) fn fault(pointer: &str, message: String, hint: &str) -> Fault {
    Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn override_ids_are_read_as_shown() {
        assert_eq!((override_number("o-12").unwrap(), override_number("12").unwrap()), (12, 12));
        for id in ["", "o-", "o-x", "o--1", "+1"] {
            assert_eq!(override_number(id).unwrap_err().problem.status, 404, "{id}");
        }
    }

    #[test]
    fn places_of_configuration_faults_are_taken_apart() {
        let found = config_fault("/etc/windrose.toml:12:5: pool.prod: unknown key `endpionts`; did you mean `endpoints`?");
        assert_eq!(found.place.as_deref(), Some("/etc/windrose.toml:12:5"));
        assert!(found.message.starts_with("pool.prod: unknown"));
        assert_eq!(config_fault("pool.prod: no endpoints").place, None);
    }
}
