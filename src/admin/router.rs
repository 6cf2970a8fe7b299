//! Every route on one screen, by the scope that it needs.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;

use crate::control::Scope;

use super::api::BASE;
use super::problem::Refused;
use super::{App, change, feeds, middleware, read, upgrade};

/// The whole admin API.
pub(super) fn router(app: App) -> Router {
    let needs = |scope: Scope| from_fn_with_state(scope, middleware::scope);
    let read = Router::new()
        .route("/overview", get(read::overview))
        .route("/services", get(read::services))
        .route("/services/{service}", get(read::service))
        .route("/services/{service}/traffic", get(read::traffic))
        .route("/services/{service}/revisions", get(read::revisions))
        .route("/services/{service}/revisions/{revision}", get(read::revision))
        .route("/regions", get(read::regions))
        .route("/regions/{region}", get(read::region))
        .route("/pools", get(read::pools))
        .route("/pools/{pool}", get(read::pool))
        .route("/endpoints", get(read::endpoints))
        .route("/endpoints/{pool}/{*name}", get(read::endpoint))
        .route("/overrides", get(read::overrides))
        .route("/zones", get(read::zones))
        .route("/explain", get(read::explain))
        .route("/events", get(feeds::events))
        .route("/events/stream", get(feeds::stream))
        .route("/webhooks/deliveries", get(feeds::deliveries))
        .route("/whoami", get(read::whoami))
        .route_layer(needs(Scope::Read));
    let operate = Router::new()
        .route("/services/{service}/traffic", put(change::traffic))
        .route("/services/{service}/failover", post(change::failover))
        .route("/services/{service}/failback", post(change::failback))
        .route("/services/{service}/undo", post(change::undo))
        .route("/overrides", post(change::begin_override))
        .route("/overrides/{id}", patch(change::extend_override))
        .route("/overrides/{id}", delete(change::end_override))
        .route("/webhooks/{name}/test", post(feeds::test_webhook))
        .route_layer(needs(Scope::Operate));
    let admin = Router::new()
        .route("/config/reload", post(change::reload))
        .route("/upgrade", post(upgrade::begin))
        .route("/handover", post(upgrade::hand_over))
        .route("/audit", get(feeds::audit))
        .route("/tokens", get(read::tokens))
        .route("/tokens", post(change::create_token))
        .route("/tokens/{id}", delete(change::revoke_token))
        .route_layer(needs(Scope::Admin));
    let api = Router::new().nest(BASE, read.merge(operate).merge(admin)).fallback(nothing_here);
    let api = api.layer(from_fn_with_state(app.clone(), middleware::who));
    around(api.merge(open()), app)
}

/// What the metrics listener serves; the admin listener serves it, too. No token.
pub(super) fn metrics_router(app: App) -> Router {
    around(open().fallback(nothing_here), app)
}

fn open() -> Router<App> {
    Router::new().route("/metrics", get(read::metrics)).route("/healthz", get(read::healthz)).route("/readyz", get(read::readyz))
}

fn around(routes: Router<App>, app: App) -> Router {
    routes
        .layer(from_fn(middleware::deadline))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(app.clone(), middleware::watch))
        .with_state(app)
}

async fn nothing_here(request: Request) -> Refused {
    const PLACES: [&str; 16] = [
        "/api/v1/overview",
        "/api/v1/services",
        "/api/v1/regions",
        "/api/v1/pools",
        "/api/v1/endpoints",
        "/api/v1/overrides",
        "/api/v1/zones",
        "/api/v1/explain",
        "/api/v1/events",
        "/api/v1/audit",
        "/api/v1/webhooks/deliveries",
        "/api/v1/tokens",
        "/api/v1/whoami",
        "/metrics",
        "/healthz",
        "/readyz",
    ];
    Refused::not_found("page", request.uri().path(), PLACES.into_iter())
}
