//! What outside systems tell of endpoints, of data and of loads: form is checked here, the rest is the core's answer.

use axum::Json;
use axum::extract::{Extension, Path, State};

use crate::control::{DataPush, DataTime, Event, LoadPush, Push};
use crate::model::PoolId;

use super::App;
use super::api::{self, ProblemKind};
use super::auth::Caller;
use super::body::Body;
use super::problem::Refused;
use super::read::{pool_named, region_named};

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

pub(super) async fn freshness(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(region): Path<String>,
    Body(body): Body<api::FreshnessPost>,
) -> Result<Json<api::FreshnessReply>, Refused> {
    let of = match body {
        api::FreshnessPost { at: Some(_), age: Some(_) } => {
            let hint = "send one of them, or none: then the data is of this moment".to_string();
            let fault =
                api::Fault { pointer: "/age".into(), code: "conflict".into(), message: "`at` and `age` say the same".into(), hint, ..api::Fault::default() };
            return Err(Refused::invalid(vec![fault]));
        }
        api::FreshnessPost { at: Some(at), age: None } => DataTime::At(at.0),
        api::FreshnessPost { at: None, age } => DataTime::Ago(age.map(|age| age.0).unwrap_or_default()),
    };
    let name = region.clone();
    app.look(move |core, _| region_named(core.estate(), &name).map(|_| ())).await??;
    let push = DataPush { actor: caller.actor, region: region.clone(), of };
    app.parts.door.ask(|ticket| Event::Synchronised { ticket, push }).await?;
    let found = app.look(move |core, now| {
        let estate = core.estate();
        let data = super::view::freshness(core, &region, now)?;
        let here = (0..estate.pools.len()).map(PoolId::at).filter(|pool| *estate.region(estate.pool(*pool).region).name == *region);
        let outdated = here.filter_map(|pool| Some(format!("{}: {}", estate.pool(pool).name, core.pool_freshness(pool)?.outdated?))).collect();
        Some(api::FreshnessReply { region: region.clone(), data, outdated })
    });
    found.await?.map(Json).ok_or_else(|| Refused::new(ProblemKind::NotFound, "a reload has just taken this region away"))
}

pub(super) async fn load(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(pool): Path<String>,
    Body(api::LoadPut { load }): Body<api::LoadPut>,
) -> Result<Json<api::LoadReply>, Refused> {
    let name = pool.clone();
    app.look(move |core, _| pool_named(core.estate(), &name).map(|_| ())).await??;
    let push = LoadPush { actor: caller.actor, pool: pool.clone(), load };
    app.parts.door.ask(|ticket| Event::Loaded { ticket, push }).await?;
    let found = app.look(move |core, _| {
        let shed = super::view::shed(core, core.estate().pool_named(&pool)?)?;
        Some(api::LoadReply { pool, shed })
    });
    found.await?.map(Json).ok_or_else(|| Refused::new(ProblemKind::NotFound, "a reload has just taken this pool, or its `shed`, away"))
}
