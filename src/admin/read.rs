//! Everything that only looks: the core is lent for a moment, what is seen is copied out as JSON types.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::control::{Core, Revision};
use crate::model::{EndpointId, Estate, Family, Now, PoolId, RegionId, ServiceId};
use crate::wire::Name;

use super::api::{self, Fault, List, ProblemKind};
use super::auth::Caller;
use super::body::Query;
use super::pages::{Key, PAGE_MAX, Page, Which, named, newest, numbered};
use super::problem::Refused;
use super::view::{self, Board};
use super::{App, etag};

/// The core answers a liveness question within this.
const ALIVE_MAX: std::time::Duration = std::time::Duration::from_secs(2);

type Found<T> = Result<Json<T>, Refused>;

impl App {
    /// Lends the core.
    pub(super) async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Core, Now) -> T + Send + 'static) -> Result<T, Refused> {
        Ok(self.parts.door.look(look).await?)
    }
}

/// Every service, by name.
fn services_of(core: &Core) -> impl Iterator<Item = (Key<'_>, ServiceId)> {
    core.estate().services.iter().enumerate().map(|(at, service)| (named(&service.name), ServiceId::at(at)))
}

/// The service called `name`, or a 404 with the nearest one.
pub(super) fn service_named(estate: &Estate, name: &str) -> Result<ServiceId, Refused> {
    estate.service_named(name).ok_or_else(|| Refused::not_found("service", name, estate.services.iter().map(|service| &*service.name)))
}

/// The region called `name`, or a 404 with the nearest one.
pub(super) fn region_named(estate: &Estate, name: &str) -> Result<RegionId, Refused> {
    estate.region_named(name).ok_or_else(|| Refused::not_found("region", name, estate.regions.iter().map(|region| &*region.name)))
}

pub(super) fn pool_named(estate: &Estate, name: &str) -> Result<PoolId, Refused> {
    estate.pool_named(name).ok_or_else(|| Refused::not_found("pool", name, estate.pools.iter().map(|pool| &*pool.name)))
}

/// The endpoint `name` of `pool`, or a 404 with the nearest one.
pub(super) fn endpoint_named(estate: &Estate, pool: &str, name: &str) -> Result<EndpointId, Refused> {
    let pool = pool_named(estate, pool)?;
    let names = estate.pool(pool).endpoints.iter().map(|id| &*estate.endpoint(*id).name);
    estate.endpoint_named(pool, name).ok_or_else(|| Refused::not_found("endpoint", name, names))
}

pub(super) async fn overview(State(app): State<App>) -> Found<api::Overview> {
    let parts = app.parts.clone();
    app.look(move |core, now| {
        let estate = core.estate();
        let board = Board::of(core);
        let overview = core.overview();
        let services: Vec<_> = (0..estate.services.len()).take(PAGE_MAX).map(|at| view::service(core, ServiceId::at(at), &parts.metrics, now)).collect();
        let pools: Vec<_> = (0..estate.pools.len()).map(|at| view::pool(core, &board, PoolId::at(at))).collect();
        let problems = view::concerns(core, &services, &pools, now);
        Json(api::Overview {
            node: parts.node.clone(),
            version: parts.version.to_string(),
            at: now.wall.into(),
            started: parts.started.into(),
            configured: overview.configured_at.into(),
            revision: overview.revision.0,
            config_hash: overview.config_hash.to_string(),
            generation: overview.generation,
            dns: parts.dns.get().into_iter().flatten().map(ToString::to_string).collect(),
            queries_per_second: parts.metrics.queries_per_second(now),
            store: api::StoreStatus { up: overview.store.up, why: overview.store.why },
            blind: view::blind(core),
            databases: view::databases(core),
            sentinels: view::sentinels(core),
            zones: core.zones().iter().map(|zone| view::zone(core, zone)).collect(),
            services_total: estate.services.len() as u64,
            services,
            overrides: core.overrides().iter().map(|kept| view::override_(estate, kept)).collect(),
            problems,
            needs_restart: overview.needs_restart,
        })
    })
    .await
}

pub(super) async fn services(State(app): State<App>, page: Page) -> Found<List<api::Service>> {
    let metrics = app.parts.metrics.clone();
    app.look(move |core, now| Json(page.of(core, services_of(core), |id| view::service(core, id, &metrics, now)))).await
}

pub(super) async fn service(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Refused> {
    let metrics = app.parts.metrics.clone();
    app.look(move |core, now| {
        let id = service_named(core.estate(), &name)?;
        let etag = etag::of_traffic(&core.service(id));
        Ok(([(header::ETAG, etag)], Json(view::service(core, id, &metrics, now))).into_response())
    })
    .await?
}

pub(super) async fn traffic(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Refused> {
    let (traffic, etag) = traffic_now(&app, name).await?;
    Ok(([(header::ETAG, etag)], Json(traffic)).into_response())
}

/// Traffic of a service as it is, with its ETag.
pub(super) async fn traffic_now(app: &App, name: String) -> Result<(api::Traffic, HeaderValue), Refused> {
    let metrics = app.parts.metrics.clone();
    app.look(move |core, now| {
        let id = service_named(core.estate(), &name)?;
        Ok((view::traffic(core, id, &metrics, now), etag::of_traffic(&core.service(id))))
    })
    .await?
}

pub(super) async fn revisions(State(app): State<App>, Path(name): Path<String>, page: Page) -> Found<List<api::RevisionEntry>> {
    app.look(move |core, _| {
        service_named(core.estate(), &name)?;
        Ok(Json(page.of(core, core.history(&name).into_iter().map(|entry| (newest(entry.0.0), entry)), view::revision)))
    })
    .await?
}

pub(super) async fn revision(State(app): State<App>, Path((name, number)): Path<(String, String)>) -> Found<api::RevisionEntry> {
    app.look(move |core, _| {
        service_named(core.estate(), &name)?;
        let wanted = number.parse().ok().map(Revision);
        let found = core.history(&name).into_iter().find(|(revision, _)| Some(*revision) == wanted);
        let missing = || Refused::new(ProblemKind::NotFound, format!("`{name}` has no revision {number}; see GET /api/v1/services/{name}/revisions"));
        found.map(view::revision).map(Json).ok_or_else(missing)
    })
    .await?
}

pub(super) async fn regions(State(app): State<App>, page: Page) -> Found<List<api::Region>> {
    app.look(move |core, now| {
        let board = Board::of(core);
        let all = core.estate().regions.iter().enumerate().map(|(at, region)| (named(&region.name), RegionId::at(at)));
        Json(page.of(core, all, |id| view::region(core, &board, id, now)))
    })
    .await
}

pub(super) async fn region(State(app): State<App>, Path(name): Path<String>) -> Found<api::Region> {
    app.look(move |core, now| {
        let estate = core.estate();
        let id = region_named(estate, &name)?;
        Ok(Json(view::region(core, &Board::of(core), id, now)))
    })
    .await?
}

pub(super) async fn pools(State(app): State<App>, page: Page) -> Found<List<api::Pool>> {
    app.look(move |core, _| {
        let board = Board::of(core);
        let all = core.estate().pools.iter().enumerate().map(|(at, pool)| (named(&pool.name), PoolId::at(at)));
        Json(page.of(core, all, |id| view::pool(core, &board, id)))
    })
    .await
}

pub(super) async fn pool(State(app): State<App>, Path(name): Path<String>) -> Found<api::Pool> {
    app.look(move |core, _| Ok(Json(view::pool(core, &Board::of(core), pool_named(core.estate(), &name)?)))).await?
}

/// Which endpoints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointsQuery {
    /// Only those of this pool.
    pool: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn endpoints(State(app): State<App>, which: Which, Query(query): Query<EndpointsQuery>) -> Found<List<api::Endpoint>> {
    let EndpointsQuery { pool, limit, cursor } = query;
    let page = which.page(limit, cursor.as_deref(), PAGE_MAX)?;
    app.look(move |core, _| {
        let board = Board::of(core);
        let estate = core.estate();
        let ids: Vec<EndpointId> = match pool {
            Some(name) => estate.pool(pool_named(estate, &name)?).endpoints.to_vec(),
            None => (0..estate.endpoints.len()).map(EndpointId::at).collect(),
        };
        let all = ids.into_iter().map(|id| (estate.endpoint_label(id).into_bytes().into(), id));
        Ok(Json(page.of(core, all, |id| view::endpoint(core, &board, id))))
    })
    .await?
}

pub(super) async fn endpoint(State(app): State<App>, Path((pool, name)): Path<(String, String)>) -> Found<api::Endpoint> {
    app.look(move |core, _| {
        let id = endpoint_named(core.estate(), &pool, &name)?;
        Ok(Json(view::endpoint(core, &Board::of(core), id)))
    })
    .await?
}

pub(super) async fn overrides(State(app): State<App>, page: Page) -> Result<Response, Refused> {
    app.look(move |core, _| {
        let etag = etag::of_revision(core.overview().revision);
        (
            [(header::ETAG, etag)],
            Json(page.of(core, core.overrides().into_iter().map(|kept| (numbered(kept.id), kept)), |kept| view::override_(core.estate(), &kept))),
        )
            .into_response()
    })
    .await
}

pub(super) async fn guards(State(app): State<App>, page: Page) -> Found<List<api::ServiceGuards>> {
    app.look(move |core, _| Json(page.of(core, services_of(core), |id| view::guards(core, id)))).await
}

pub(super) async fn gates(State(app): State<App>, page: Page) -> Found<List<api::Gate>> {
    app.look(move |core, _| Json(page.of(core, core.gates().into_iter().map(|gate| (named(gate.name), gate)), |gate| view::gate(&gate)))).await
}

pub(super) async fn confirmations(State(app): State<App>, page: Page) -> Found<List<api::Confirmation>> {
    app.look(move |core, now| {
        let show = |(id, actor, reason): (u64, &crate::control::Actor, &str)| api::Confirmation {
            id: format!("c-{id}"),
            by: actor.0.clone(),
            reason: reason.to_string(),
            at: now.wall.into(),
        };
        Json(page.of(core, core.confirmations(now).into_iter().map(|entry| (numbered(entry.0), entry)), show))
    })
    .await
}

pub(super) async fn zones(State(app): State<App>, page: Page) -> Found<List<api::Zone>> {
    app.look(move |core, _| {
        Json(page.of(core, core.zones().iter().map(|zone| (zone.apex.to_string().into_bytes().into(), zone)), |zone| view::zone(core, zone)))
    })
    .await
}

pub(super) async fn explain(State(app): State<App>, Query(query): Query<api::ExplainQuery>) -> Found<api::Explain> {
    let api::ExplainQuery { name, type_, client, at } = query;
    let fault = |pointer: &str, message: String, hint: &str| {
        let fault = Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() };
        Refused::invalid(vec![fault])
    };
    if at.is_some() {
        let hint = "leave `at` out; what happened then stands in `windrose events` and `windrose history SERVICE`";
        return Err(fault("/at", "only the present can be explained: no history of decisions is kept".to_string(), hint));
    }
    let (family, rtype) = match type_.as_deref().unwrap_or("A").to_ascii_uppercase().as_str() {
        "A" => (Family::V4, 1),
        "AAAA" => (Family::V6, 28),
        other => return Err(fault("/type", format!("`{}` can't be explained", other.escape_debug()), "type is A or AAAA")),
    };
    let asked = Name::parse(&name).map_err(|why| fault("/name", format!("`{}` {why}", name.escape_debug()), "ask for a host name, such as www.example.com"))?;
    let client = client.map(|text| {
        // Of a prefix its first address.
        let address = text.split_once('/').map_or(text.as_str(), |(address, _)| address).parse::<std::net::IpAddr>();
        address.map_err(|_| fault("/client", format!("`{}` is no address", text.escape_debug()), "client is an IPv4 or IPv6 address, such as 203.0.113.9"))
    });
    let client = client.transpose()?;
    // A reload in between would give ids another meaning: then look again.
    loop {
        let (estate, zones) = app.look(|core, _| (core.estate().clone(), core.zones().to_vec())).await?;
        let (known, place_of) = (estate.clone(), asked.clone());
        let place = tokio::task::spawn_blocking(move || {
            let place = view::place(&zones, &estate, &place_of, rtype);
            let networks = client.filter(|_| place.service.is_some()).and_then(|client| view::networks(&estate, client));
            view::Place { networks, ..place }
        });
        let place = place.await;
        let place = place.map_err(|_| Refused::new(ProblemKind::Internal, "looking the name up failed; this is a bug"))?;
        let asked = asked.clone();
        let told =
            app.look(move |core, now| std::sync::Arc::ptr_eq(core.estate(), &known).then(|| view::answer_of(core, place, &asked, family, client, now))).await?;
        if let Some(told) = told {
            return Ok(Json(told));
        }
    }
}

pub(super) async fn tokens(State(app): State<App>, page: Page) -> Found<List<api::Token>> {
    app.look(move |core, _| {
        let all = core.tokens().map(|(id, record)| (named(id), (id, record)));
        Json(page.of(core, all, |(id, record)| {
            let crate::control::TokenRecord { name, hash: _, scope, services, at, ends } = record;
            api::Token {
                id: id.to_string(),
                name: name.clone(),
                scope: (*scope).into(),
                services: services.iter().map(ToString::to_string).collect(),
                at: (*at).into(),
                ends: ends.map(api::Time),
                last_used: core.token_last_used(id).map(api::Time),
            }
        }))
    })
    .await
}

pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Json<api::Whoami> {
    let services = caller.limit.iter().map(ToString::to_string).collect();
    Json(api::Whoami { actor: caller.actor.0, scope: caller.scope.into(), services })
}

pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Refused> {
    let metrics = app.parts.metrics.clone();
    let text = app.look(move |core, now| metrics.render(core, now)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Alive: the core still takes questions.
pub(super) async fn healthz(State(app): State<App>) -> Response {
    let alive = tokio::time::timeout(ALIVE_MAX, app.parts.door.look(|_, _| ())).await;
    let reasons = match alive {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(closed)) => vec![closed.to_string()],
        Err(_) => vec![format!("the core has not answered for {ALIVE_MAX:?}")],
    };
    let alive = reasons.is_empty();
    (fine(alive), Json(api::Alive { alive, reasons })).into_response()
}

pub(super) async fn readyz(State(app): State<App>) -> Response {
    let (ready, reasons) = match (app.parts.ready)() {
        Ok(()) => (true, Vec::new()),
        Err(reasons) => (false, reasons),
    };
    (fine(ready), Json(api::Ready { ready, reasons })).into_response()
}

/// What probes go by.
fn fine(yes: bool) -> StatusCode {
    if yes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
