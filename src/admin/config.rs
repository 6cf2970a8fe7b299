//! The configuration over the API: as it runs, what a reload would do, and where operators and the file differ.
//!
//! Never here: reading a file (that is `app`'s, handed in as [`Files`]), or taking one (`change::reload`).

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::control::{self, Became, Drift, ObjectChange, PreviewMove, ReloadPreview};
use crate::model::Settings;

use super::api::{self, Fault, ProblemKind};
use super::auth::Caller;
use super::body::{Body, Query};
use super::pages::{PAGE_MAX, Which};
use super::problem::Refused;
use super::{App, change};

/// Most entries of one list.
const SHOWN_MAX: usize = 1_000;

/// What the API needs of configuration files.
#[derive(Clone)]
pub struct Files {
    /// What a reload from there would do.
    pub plan: Planner,
    /// The configuration from there.
    pub read: Reader,
    /// What the process began with.
    pub settings: Arc<Settings>,
}

/// Reads a configuration and asks the core what taking it would do. Changes nothing.
pub type Planner = Arc<dyn Fn(From) -> Pin<Box<dyn Future<Output = PlanOutcome> + Send>> + Send + Sync>;

/// Reads a configuration and checks it. It never comes to [`PlanOutcome::Planned`].
pub type Reader = Arc<dyn Fn(From) -> Pin<Box<dyn Future<Output = Result<control::Configuration, PlanOutcome>> + Send>> + Send + Sync>;

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The file that the server runs from.
    Own,
    /// Another file of the server.
    File(PathBuf),
    /// A text, as if it stood in the file that the server runs from.
    Text(String),
}

/// What reading it came to.
#[derive(Clone, Debug)]
pub enum PlanOutcome {
    /// This.
    Planned(Box<Planned>),
    /// The file has problems, `FILE:LINE:COLUMN: sentence` each.
    Problems(Vec<String>),
    /// The server is stopping.
    Closed,
}

/// What taking it would do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Of what would be taken.
    pub hash: Arc<str>,
    /// Of what runs.
    pub running: Arc<str>,
    /// Objects that differ.
    pub changes: Vec<ObjectChange>,
    /// What the core says.
    pub preview: ReloadPreview,
    /// Operators against it.
    pub drift: Vec<Drift>,
    /// About the file.
    pub warnings: Vec<String>,
}

/// Which part of `GET /config`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Only objects of this kind: `pool`, `service`, `settings`, …
    kind: Option<String>,
    /// Only those of this name.
    name: Option<String>,
    /// Entries of one page; at most 1,000 come.
    limit: Option<usize>,
    /// `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

pub(super) async fn effective(State(app): State<App>, which: Which, Query(part): Query<Part>) -> Result<Json<api::Config>, Refused> {
    let Part { kind, name, limit, cursor } = part;
    let page = which.page(limit, cursor.as_deref(), PAGE_MAX)?;
    let (configuration, overview) = app.look(|core, _| (core.configuration().clone(), core.overview())).await?;
    let settings = app.parts.files.settings.clone();
    // A large one takes its time: not on the core's thread.
    let outline = tokio::task::spawn_blocking(move || {
        let mut outline = control::outline(&configuration);
        outline.extend(control::outline_of_settings(&settings));
        outline
    });
    let outline = outline.await.map_err(|_| Refused::new(ProblemKind::Internal, "showing the configuration failed; this is a bug"))?;
    let wanted = |(of, called): &control::ObjectName| kind.as_deref().is_none_or(|kind| kind == *of) && name.as_deref().is_none_or(|name| name == called);
    let found = outline.into_iter().filter(|(id, _)| wanted(id));
    // No kind has a character below the one between them, so that the order stays that of kind and name.
    let (found, next_cursor) = page.take(found.map(|(id, fields)| (format!("{}\0{}", id.0, id.1).into_bytes().into(), (id, fields))));
    let items = found.into_iter().map(|((kind, name), fields)| {
        let fields = fields.into_iter().map(|(field, value)| (field.to_string(), value)).collect();
        api::ConfigObject { kind: kind.to_string(), name, fields }
    });
    let items = items.collect();
    Ok(Json(api::Config {
        hash: overview.config_hash.to_string(),
        configured: overview.configured_at.into(),
        needs_restart: overview.needs_restart,
        items,
        next_cursor,
    }))
}

pub(super) async fn plan(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<api::ConfigPlanPost>,
) -> Result<Json<api::ConfigPlan>, Refused> {
    let api::ConfigPlanPost { path, text } = body;
    let from = origin(&caller, path, text)?;
    Ok(Json(shown(planned(&app, from).await?).0))
}

/// The configuration that a request names: a path on the server, a text, or neither.
pub(super) fn origin(caller: &Caller, path: Option<String>, text: Option<String>) -> Result<From, Refused> {
    let refuse = |pointer: &str, message: &str, hint: &str| {
        let fault = Fault { pointer: pointer.into(), code: "invalid-value".into(), message: message.into(), hint: hint.into(), ..Fault::default() };
        Err(Refused::invalid(vec![fault]))
    };
    Ok(match (path, text) {
        (Some(_), Some(_)) => return refuse("/text", "`path` and `text` are two configurations", "send one of them"),
        // Whoever holds a token must not read the server's files with it, not even by their parse errors.
        (Some(_), None) if !caller.actor.0.starts_with("socket:") => {
            return Err(Refused::new(ProblemKind::Forbidden, "a path on the server is for its unix socket alone; send the file's text instead"));
        }
        (Some(path), None) if !path.starts_with('/') => return refuse("/path", "the path is not absolute", "where the server runs is not where you are"),
        (Some(path), None) => From::File(path.into()),
        (None, Some(text)) => From::Text(text),
        (None, None) => From::Own,
    })
}

pub(super) async fn diff(State(app): State<App>) -> Result<Json<api::ConfigDiff>, Refused> {
    let (plan, drift) = shown(planned(&app, From::Own).await?);
    Ok(Json(api::ConfigDiff { plan, drift }))
}

/// What a reload would do, for `POST /config/reload?dry_run=true`.
pub(super) async fn dry_run(app: &App) -> Result<api::ConfigPlan, Refused> {
    Ok(shown(planned(app, From::Own).await?).0)
}

async fn planned(app: &App, from: From) -> Result<Planned, Refused> {
    match (app.parts.files.plan)(from).await {
        PlanOutcome::Planned(planned) => Ok(*planned),
        PlanOutcome::Problems(problems) => Err(change::invalid_config(&problems, "nothing was changed")),
        PlanOutcome::Closed => Err(Refused::new(ProblemKind::StoreUnavailable, "this server is stopping")),
    }
}

fn shown(planned: Planned) -> (api::ConfigPlan, Vec<api::Drift>) {
    let Planned { hash, running, changes, preview, drift, warnings } = planned;
    let ReloadPreview { refusals, mut messages, moves } = preview;
    if changes.is_empty() && hash != running {
        messages.push("the files differ in nothing that can be seen here: in a comment, in their order, or in a secret".to_string());
    }
    let changed = |ObjectChange { became, kind, name, fields }: ObjectChange| api::ConfigChange {
        change: Became::word(became).to_string(),
        kind: kind.to_string(),
        name,
        fields: fields.into_iter().map(|(field, before, after)| api::FieldChange { field: field.to_string(), before, after }).collect(),
    };
    let moved = |PreviewMove { service, before, after, by_client }: PreviewMove| api::Move {
        service: service.to_string(),
        before: api::Shares::from_ratios(before),
        after: api::Shares::from_ratios(after),
        by_client: by_client.into_iter().map(super::view::client_move).collect(),
        answers_per_second: None,
        moves_per_second: None,
    };
    let drifts = |drift: Drift| {
        let Drift { service, file, operators, revision, actor, reason, at, set_aside } = drift;
        api::Drift { service: service.to_string(), file, operators, revision: revision.0, by: actor, reason, at: at.into(), set_aside }
    };
    let plan = api::ConfigPlan {
        same: changes.is_empty() && moves.is_empty() && refusals.is_empty() && hash == running,
        hash: hash.to_string(),
        running: running.to_string(),
        changes_total: changes.len() as u64,
        changes: changes.into_iter().take(SHOWN_MAX).map(changed).collect(),
        moves_total: moves.len() as u64,
        moves: moves.into_iter().take(SHOWN_MAX).map(moved).collect(),
        refusals: refusals.into_iter().map(|fault| fault.into()).collect(),
        messages,
        warnings,
    };
    (plan, drift.into_iter().take(SHOWN_MAX).map(drifts).collect())
}
