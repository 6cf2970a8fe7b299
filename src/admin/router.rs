//! Every route on one screen: the table that the router is built from, and that the test of who may what is made from.
//!
//! A route is one line: method, path below [`BASE`], the scope that it needs, what it touches, its handler.
//! A route that is not in [`ROUTES`] does not exist; one that changes something needs `operate` at least (`tests_access.rs` goes through the table).

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use tower_http::catch_panic::CatchPanicLayer;

use crate::control::Scope::{self, Admin, Operate, Read};

use super::api::BASE;
use super::problem::Refused;
use super::{App, change, config, doctor, feeds, glass, looks, middleware, once, push, read, upgrade};

use Touches::{Node, Nothing, Service, Services};

/// What a route changes: what a token that is limited to services may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    /// It only looks, or computes an answer. Whoever has the scope sees everything.
    Nothing,
    /// The service of the path's `{service}`, and no other: compared with the limit before the handler runs.
    Service,
    /// Services that only the body or the core knows: the handler compares them ([`super::auth::Caller::may_touch`]).
    Services,
    /// The node as a whole: never with a limited token.
    Node,
}

/// One route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// `GET` …
    pub method: &'static str,
    /// Below [`BASE`].
    pub path: &'static str,
    /// The smallest scope that may.
    pub needs: Scope,
    pub touches: Touches,
    handler: fn(MethodFilter) -> MethodRouter<App>,
}

impl Route {
    /// It changes something.
    pub fn mutating(&self) -> bool {
        self.touches != Nothing
    }
}

macro_rules! route {
    ($method:ident, $path:literal, $needs:ident, $touches:ident, $handler:expr) => {
        Route { method: stringify!($method), path: $path, needs: $needs, touches: $touches, handler: |method| on(method, $handler) }
    };
}

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    route!(GET, "/overview", Read, Nothing, read::overview),
    route!(GET, "/services", Read, Nothing, read::services),
    route!(GET, "/services/{service}", Read, Nothing, read::service),
    route!(GET, "/services/{service}/traffic", Read, Nothing, read::traffic),
    route!(PUT, "/services/{service}/traffic", Operate, Service, change::traffic),
    route!(GET, "/services/{service}/revisions", Read, Nothing, read::revisions),
    route!(GET, "/services/{service}/revisions/{revision}", Read, Nothing, read::revision),
    route!(POST, "/services/{service}/failover", Operate, Service, change::failover),
    route!(POST, "/services/{service}/failback", Operate, Service, change::failback),
    route!(POST, "/services/{service}/undo", Operate, Service, change::undo),
    route!(GET, "/regions", Read, Nothing, read::regions),
    route!(GET, "/regions/{region}", Read, Nothing, read::region),
    route!(GET, "/pools", Read, Nothing, read::pools),
    route!(GET, "/pools/{pool}", Read, Nothing, read::pool),
    route!(GET, "/endpoints", Read, Nothing, read::endpoints),
    route!(GET, "/endpoints/{pool}/{name}", Read, Nothing, read::endpoint),
    route!(GET, "/endpoints/{pool}/{name}/probes", Read, Nothing, doctor::past),
    route!(POST, "/endpoints/{pool}/{name}/probe", Operate, Nothing, doctor::endpoint),
    route!(POST, "/probe", Operate, Nothing, doctor::anything),
    route!(POST, "/endpoints/{pool}/{name}/push", Operate, Node, push::push),
    route!(POST, "/regions/{region}/freshness", Operate, Node, push::freshness),
    route!(PUT, "/regions/{region}/freshness", Operate, Node, push::freshness),
    route!(GET, "/overrides", Read, Nothing, read::overrides),
    route!(POST, "/overrides", Operate, Services, change::begin_override),
    route!(PATCH, "/overrides/{id}", Operate, Services, change::extend_override),
    route!(DELETE, "/overrides/{id}", Operate, Services, change::end_override),
    route!(GET, "/guards", Read, Nothing, read::guards),
    route!(GET, "/gates", Read, Nothing, read::gates),
    route!(PUT, "/gates/{gate}", Operate, Node, glass::gate),
    route!(GET, "/confirmations", Read, Nothing, read::confirmations),
    route!(POST, "/confirmations/{id}", Admin, Node, glass::confirm),
    route!(GET, "/zones", Read, Nothing, read::zones),
    route!(GET, "/explain", Read, Nothing, read::explain),
    route!(GET, "/events", Read, Nothing, feeds::events),
    route!(GET, "/events/stream", Read, Nothing, feeds::stream),
    route!(GET, "/audit", Admin, Nothing, feeds::audit),
    route!(GET, "/webhooks/deliveries", Read, Nothing, feeds::deliveries),
    route!(POST, "/webhooks/{name}/test", Operate, Node, feeds::test_webhook),
    route!(GET, "/whoami", Read, Nothing, read::whoami),
    route!(GET, "/tokens", Admin, Nothing, read::tokens),
    route!(POST, "/tokens", Admin, Node, change::create_token),
    route!(DELETE, "/tokens/{id}", Admin, Node, change::revoke_token),
    route!(GET, "/config", Read, Nothing, config::effective),
    route!(GET, "/config/diff", Read, Nothing, config::diff),
    route!(POST, "/config/plan", Admin, Nothing, config::plan),
    route!(POST, "/config/reload", Admin, Node, change::reload),
    route!(POST, "/upgrade", Admin, Node, upgrade::begin),
    route!(POST, "/handover", Admin, Node, upgrade::hand_over),
];

/// Routes that take no `Idempotency-Key`: a token is shown once (and its name is unique), a connection is handed over once.
const UNREPEATABLE: [&str; 2] = ["/tokens", "/handover"];

/// Its handler.
type OpenPage = fn() -> MethodRouter<App>;

/// Pages that need no token: the metrics listener serves them and nothing else, the admin listener, too.
const OPEN: [(&str, OpenPage); 3] = [
    ("/metrics", || on(MethodFilter::GET, read::metrics)),
    ("/healthz", || on(MethodFilter::GET, read::healthz)),
    ("/readyz", || on(MethodFilter::GET, read::readyz)),
];

/// The whole admin API.
pub(super) fn router(app: App) -> Router {
    let api = ROUTES.iter().fold(Router::new(), |router, route| {
        let handler = (route.handler)(filter(route.method));
        let handler = match (route.method, route.mutating() && !UNREPEATABLE.contains(&route.path)) {
            ("GET", _) => handler.route_layer(from_fn(looks::looks)),
            (_, true) => handler.route_layer(from_fn_with_state(app.clone(), once::once)),
            _ => handler,
        };
        router.route(&format!("{BASE}{}", route.path), handler.route_layer(from_fn_with_state(*route, middleware::may)))
    });
    let api = api.fallback(nothing_here).layer(from_fn_with_state(app.clone(), middleware::who));
    around(api.merge(open()), app)
}

/// What the metrics listener serves.
pub(super) fn metrics_router(app: App) -> Router {
    around(open().fallback(nothing_here), app)
}

fn open() -> Router<App> {
    OPEN.iter().fold(Router::new(), |router, (path, handler)| router.route(path, handler()))
}

/// axum's word for a method. HEAD comes with GET.
fn filter(method: &str) -> MethodFilter {
    match method {
        "GET" => MethodFilter::GET,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::POST,
    }
}

fn around(routes: Router<App>, app: App) -> Router {
    routes
        .layer(from_fn(middleware::deadline))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn_with_state(app.clone(), middleware::watch))
        .with_state(app)
}

async fn nothing_here(request: Request) -> Refused {
    let plain = ROUTES.iter().filter(|route| route.method == "GET" && !route.path.contains('{'));
    let places: Vec<String> = plain.map(|route| format!("{BASE}{}", route.path)).chain(OPEN.iter().map(|(path, _)| path.to_string())).collect();
    Refused::not_found("page", request.uri().path(), places.iter().map(String::as_str))
}
