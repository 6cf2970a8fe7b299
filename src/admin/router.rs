//! Every route on one screen: the table that the router is built from, and that the test of who may what is made from.
//!
//! A route is two lines: method, path below [`BASE`], the scope that it needs, what it touches, its handler; and what it says of itself
//! ([`super::describe`]), which OpenAPI and the page of all operations are made from.
//! A route that is not in [`ROUTES`] does not exist; one that changes something needs `operate` at least (`tests_access.rs` goes through the table).

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use tower_http::catch_panic::CatchPanicLayer;

use crate::control::Scope::{self, Admin, Operate, Read};

use super::api::{self, BASE, ChangeReply, CloudEvent, List, ProblemKind};
use super::config::Part;
use super::describe::{Condition, Reply, Words, gives, says};
use super::feeds::AuditQuery;
use super::pages::PageQuery;
use super::problem::Refused;
use super::{App, change, config, doctor, feeds, glass, latency, looks, manual, middleware, once, push, read, replay, schedule, shift, simulate, upgrade};

use Condition::{Optional, Required};
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
    /// What it says of itself.
    pub words: Words,
    handler: fn(MethodFilter) -> MethodRouter<App>,
}

impl Route {
    /// It changes something.
    pub fn mutating(&self) -> bool {
        self.touches != Nothing
    }

    /// It takes an `Idempotency-Key`.
    pub fn repeatable(&self) -> bool {
        self.mutating() && !UNREPEATABLE.contains(&self.path)
    }

    /// What it shows can be asked for in part, and only if it has changed.
    pub fn looks(&self) -> bool {
        self.method == "GET" && matches!(self.words.reply, Reply::Json(_))
    }
}

macro_rules! route {
    ($method:ident, $path:literal, $needs:ident, $touches:ident, $handler:expr, $words:expr) => {
        Route { method: stringify!($method), path: $path, needs: $needs, touches: $touches, words: $words, handler: |method| on(method, $handler) }
    };
}

/// What a change of traffic may be refused with.
const MOVES: &[ProblemKind] = &[
    ProblemKind::TargetNotUp,
    ProblemKind::NothingToUndo,
    ProblemKind::OverrideExists,
    ProblemKind::PolicyMismatch,
    ProblemKind::ManagedElsewhere,
    ProblemKind::GuardRefused,
    ProblemKind::ConfirmationNeeded,
    ProblemKind::RevisionMismatch,
    ProblemKind::ShiftInProgress,
];
const SHIFTS: &[ProblemKind] = &[
    ProblemKind::TargetNotUp,
    ProblemKind::NothingToUndo,
    ProblemKind::PolicyMismatch,
    ProblemKind::ManagedElsewhere,
    ProblemKind::GuardRefused,
    ProblemKind::ConfirmationNeeded,
    ProblemKind::RevisionMismatch,
    ProblemKind::ShiftInProgress,
    ProblemKind::ShiftOver,
];
const OVERRIDES: &[ProblemKind] = &[ProblemKind::NotFound, ProblemKind::OverrideExists, ProblemKind::GuardRefused, ProblemKind::ConfirmationNeeded];
const GUARDED: &[ProblemKind] = &[ProblemKind::GuardRefused];
const PROBES: &[ProblemKind] = &[ProblemKind::NotFound, ProblemKind::NothingToProbe];
const PUSHES: &[ProblemKind] = &[ProblemKind::NothingToProbe];
const FILES: &[ProblemKind] = &[ProblemKind::InvalidConfig];
const RELOADS: &[ProblemKind] = &[ProblemKind::InvalidConfig, ProblemKind::GuardRefused, ProblemKind::ConfirmationNeeded];
const UPGRADES: &[ProblemKind] = &[ProblemKind::UpgradeFailed, ProblemKind::InvalidConfig];
const EVENTS: Reply = Reply::Other("text/event-stream");

/// All of them.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route!(GET, "/overview", Read, Nothing, read::overview,
        says::<api::Overview>("getOverview", "Everything that a home page needs")),
    route!(GET, "/services", Read, Nothing, read::services,
        says::<List<api::Service>>("listServices", "Services as they stand").query::<PageQuery>()),
    route!(GET, "/services/{service}", Read, Nothing, read::service,
        says::<api::Service>("getService", "One service as it stands")),
    route!(GET, "/services/{service}/traffic", Read, Nothing, read::traffic,
        says::<api::Traffic>("getTraffic", "Where the traffic of a service goes")),
    route!(PUT, "/services/{service}/traffic", Operate, Service, change::traffic,
        says::<ChangeReply>("setTraffic", "Sets where the traffic of a service goes").writes().body::<api::TrafficPut>().if_match(Required).refuses(MOVES)),
    route!(GET, "/services/{service}/revisions", Read, Nothing, read::revisions,
        says::<List<api::RevisionEntry>>("listRevisions", "Past changes of a service, newest first").query::<PageQuery>()),
    route!(GET, "/services/{service}/revisions/{revision}", Read, Nothing, read::revision,
        says::<api::RevisionEntry>("getRevision", "One past change of a service")),
    route!(POST, "/services/{service}/failover", Operate, Service, change::failover,
        says::<ChangeReply>("failOver", "Moves the traffic of a service to another child of its policy").writes().body::<api::Failover>().if_match(Optional).refuses(MOVES)),
    route!(POST, "/services/{service}/failback", Operate, Service, change::failback,
        says::<ChangeReply>("failBack", "Uses pools that have returned and wait").writes().body::<api::Failback>().if_match(Optional).refuses(MOVES)),
    route!(POST, "/services/{service}/undo", Operate, Service, change::undo,
        says::<ChangeReply>("undo", "Takes the last change of a service back, or goes to an older one").writes().body::<api::Undo>().if_match(Optional).refuses(MOVES)),
    route!(POST, "/services/{service}/shifts", Operate, Service, shift::begin,
        says::<ChangeReply>("beginShift", "Moves shares step by step, each one watched").writes().body::<api::ShiftPost>().if_match(Optional).makes().refuses(SHIFTS)),
    route!(POST, "/services/{service}/slo", Operate, Service, shift::slo,
        gives("countSlo", "Tells how many requests went well since the last time", Reply::Nothing).body::<api::SloPost>()),
    route!(GET, "/regions", Read, Nothing, read::regions,
        says::<List<api::Region>>("listRegions", "Regions as they stand").query::<PageQuery>()),
    route!(GET, "/regions/{region}", Read, Nothing, read::region,
        says::<api::Region>("getRegion", "One region as it stands")),
    route!(GET, "/pools", Read, Nothing, read::pools,
        says::<List<api::Pool>>("listPools", "Pools as they stand").query::<PageQuery>()),
    route!(GET, "/pools/{pool}", Read, Nothing, read::pool,
        says::<api::Pool>("getPool", "One pool as it stands")),
    route!(GET, "/endpoints", Read, Nothing, read::endpoints,
        says::<List<api::Endpoint>>("listEndpoints", "Endpoints as they stand").query::<PageQuery>()),
    route!(GET, "/endpoints/{pool}/{name}", Read, Nothing, read::endpoint,
        says::<api::Endpoint>("getEndpoint", "One endpoint as it stands")),
    route!(GET, "/endpoints/{pool}/{name}/probes", Read, Nothing, doctor::past,
        says::<List<api::PastProbe>>("listProbes", "The last probes of an endpoint, newest first").query::<api::ProbesQuery>()),
    route!(POST, "/endpoints/{pool}/{name}/probe", Operate, Nothing, doctor::endpoint,
        says::<api::ProbeNow>("probeEndpoint", "Probes an endpoint now, without effect").refuses(PROBES)),
    route!(POST, "/probe", Operate, Nothing, doctor::anything,
        says::<api::ProbeNow>("probeAddress", "Probes any address now, without effect").body::<api::ProbePost>().refuses(PROBES)),
    route!(POST, "/endpoints/{pool}/{name}/push", Operate, Node, push::push,
        says::<api::PushReply>("push", "Tells how an endpoint is").body::<api::PushPost>().refuses(PUSHES)),
    route!(PUT, "/regions/{region}/freshness", Operate, Node, push::freshness,
        says::<api::FreshnessReply>("tellFreshness", "Tells when the data of a region was last restored or synchronised").body::<api::FreshnessPost>()),
    route!(PUT, "/pools/{pool}/load", Operate, Node, push::load,
        says::<api::LoadReply>("tellLoad", "Tells how much is asked of a pool").body::<api::LoadPut>()),
    route!(GET, "/latency", Read, Nothing, latency::list,
        says::<List<api::Latency>>("listLatency", "How quick regions are for whom, as measured").query::<api::LatencyQuery>()),
    route!(PUT, "/latency", Operate, Node, latency::put,
        says::<api::LatencyReply>("tellLatency", "Tells how quick regions are for whom").body::<api::LatencyPut>()),
    route!(DELETE, "/latency", Operate, Node, latency::withdraw,
        says::<api::LatencyReply>("withdrawLatency", "Takes measurements back").query::<api::LatencyWithdrawal>()),
    route!(GET, "/overrides", Read, Nothing, read::overrides,
        says::<List<api::Override>>("listOverrides", "Overrides in force").query::<PageQuery>()),
    route!(POST, "/overrides", Operate, Services, change::begin_override,
        says::<ChangeReply>("beginOverride", "Drains, forces or freezes something").writes().body::<api::OverridePost>().if_match(Optional).makes().refuses(OVERRIDES)),
    route!(PATCH, "/overrides/{id}", Operate, Services, change::extend_override,
        says::<ChangeReply>("extendOverride", "Gives an override another end").writes().body::<api::OverridePatch>().if_match(Optional).refuses(OVERRIDES)),
    route!(DELETE, "/overrides/{id}", Operate, Services, change::end_override,
        says::<ChangeReply>("endOverride", "Ends an override").writes().if_match(Optional).refuses(OVERRIDES)),
    route!(GET, "/shifts", Read, Nothing, shift::list,
        says::<List<api::Shift>>("listShifts", "Shifts under way, and those of late, newest first").query::<PageQuery>()),
    route!(GET, "/shifts/{id}", Read, Nothing, shift::one,
        says::<api::Shift>("getShift", "One shift as it stands")),
    route!(POST, "/shifts/{id}/{order}", Operate, Services, shift::order,
        says::<ChangeReply>("orderShift", "Pauses, resumes, promotes, aborts or retries a shift").writes().body::<api::ShiftOrder>().refuses(SHIFTS)),
    route!(GET, "/schedules", Read, Nothing, schedule::list,
        says::<List<api::Schedule>>("listSchedules", "Changes that wait for their moment, and those of late, newest first").query::<PageQuery>()),
    route!(GET, "/schedules/{id}", Read, Nothing, schedule::one,
        says::<api::Schedule>("getSchedule", "One schedule as it stands")),
    route!(DELETE, "/schedules/{id}", Operate, Services, schedule::cancel,
        says::<ChangeReply>("cancelSchedule", "Keeps a scheduled change from being made, or dismisses one that has failed").writes()),
    route!(GET, "/guards", Read, Nothing, read::guards,
        says::<List<api::ServiceGuards>>("listGuards", "Guards in force, by service").query::<PageQuery>()),
    route!(GET, "/gates", Read, Nothing, read::gates,
        says::<List<api::Gate>>("listGates", "Gates and how they are switched").query::<PageQuery>()),
    route!(PUT, "/gates/{gate}", Operate, Node, glass::gate,
        says::<ChangeReply>("switchGate", "Switches a gate on or off").writes().body::<api::GatePut>().refuses(GUARDED)),
    route!(GET, "/confirmations", Read, Nothing, read::confirmations,
        says::<List<api::Confirmation>>("listConfirmations", "Changes that wait for a second person").query::<PageQuery>()),
    route!(POST, "/confirmations/{id}", Admin, Node, glass::confirm,
        says::<ChangeReply>("confirm", "Makes a change that waits for a second person").writes().refuses(MOVES)),
    route!(GET, "/zones", Read, Nothing, read::zones,
        says::<List<api::Zone>>("listZones", "Zones that are served").query::<PageQuery>()),
    route!(GET, "/explain", Read, Nothing, read::explain,
        says::<api::Explain>("explain", "Why a name is answered as it is").query::<api::ExplainQuery>()),
    route!(POST, "/simulate", Read, Nothing, simulate::simulate,
        says::<api::Simulation>("simulate", "What would happen if something fell").body::<api::SimulatePost>().refuses(FILES)),
    route!(POST, "/replay", Read, Nothing, replay::replay,
        says::<api::Replay>("replay", "What recorded probes would have come to").body::<api::ReplayPost>().refuses(FILES)),
    route!(GET, "/events", Read, Nothing, feeds::events,
        says::<List<CloudEvent>>("listEvents", "What has happened, oldest first").query::<api::EventQuery>()),
    route!(GET, "/events/stream", Read, Nothing, feeds::stream,
        gives("streamEvents", "What happens, as server-sent events", EVENTS).query::<api::EventQuery>()),
    route!(GET, "/audit", Admin, Nothing, feeds::audit,
        says::<api::AuditPage>("listAudit", "Who did what: entries of the chain, oldest first").query::<AuditQuery>()),
    route!(GET, "/webhooks/deliveries", Read, Nothing, feeds::deliveries,
        says::<List<api::Delivery>>("listDeliveries", "Messages to receivers of webhooks, newest first").query::<PageQuery>()),
    route!(POST, "/webhooks/{name}/test", Operate, Node, feeds::test_webhook,
        says::<api::WebhookTest>("testWebhook", "Sends a message to a receiver now")),
    route!(GET, "/whoami", Read, Nothing, read::whoami,
        says::<api::Whoami>("whoami", "Who you are, and what you may do")),
    route!(GET, "/tokens", Admin, Nothing, read::tokens,
        says::<List<api::Token>>("listTokens", "Tokens, without their secrets").query::<PageQuery>()),
    route!(POST, "/tokens", Admin, Node, change::create_token,
        says::<api::TokenCreated>("createToken", "Makes a token; its secret is shown once").writes().body::<api::TokenPost>().makes()),
    route!(DELETE, "/tokens/{id}", Admin, Node, change::revoke_token,
        says::<ChangeReply>("revokeToken", "Revokes a token by its id or name").writes()),
    route!(GET, "/config", Read, Nothing, config::effective,
        says::<api::Config>("getConfig", "The configuration that runs, secrets hidden").query::<Part>()),
    route!(GET, "/config/diff", Read, Nothing, config::diff,
        says::<api::ConfigDiff>("diffConfig", "The file on disk against what runs").refuses(FILES)),
    route!(POST, "/config/plan", Admin, Nothing, config::plan,
        says::<api::ConfigPlan>("planConfig", "What a reload would do").body::<api::ConfigPlanPost>().refuses(FILES)),
    route!(POST, "/config/reload", Admin, Node, change::reload,
        says::<api::ReloadReply>("reload", "Takes the file again").writes().refuses(RELOADS)),
    route!(POST, "/upgrade", Admin, Node, upgrade::begin,
        says::<api::UpgradeReply>("upgrade", "Starts the program on disk, which takes over").refuses(UPGRADES)),
    route!(POST, "/handover", Admin, Node, upgrade::hand_over,
        gives("handOver", "Hands the place over to another process, on the unix socket alone", Reply::Switch).refuses(UPGRADES)),
];

/// Routes that take no `Idempotency-Key`: a token is shown once (and its name is unique), a connection is handed over once.
const UNREPEATABLE: [&str; 2] = ["/tokens", "/handover"];

/// A page that needs no token.
pub(super) struct Open {
    /// From the root.
    pub path: &'static str,
    pub words: Words,
    handler: fn() -> MethodRouter<App>,
}

/// The metrics listener serves these and nothing else, the admin listener, too.
pub(super) const OPEN: [Open; 3] = [
    Open { path: "/metrics", words: gives("metrics", "Metrics for Prometheus", Reply::Other("text/plain")), handler: || on(MethodFilter::GET, read::metrics) },
    Open { path: "/healthz", words: says::<api::Alive>("healthz", "Does the server live").or_unavailable(), handler: || on(MethodFilter::GET, read::healthz) },
    Open { path: "/readyz", words: says::<api::Ready>("readyz", "Can the server serve").or_unavailable(), handler: || on(MethodFilter::GET, read::readyz) },
];

/// What the admin API says of itself: the same on every node, so no token is needed; `Host` is checked all the same.
pub(super) const PAGES: [Open; 2] = [
    Open {
        path: "/api/v1/openapi.json",
        words: gives("openapi", "This document", Reply::Other("application/vnd.oai.openapi+json")),
        handler: || on(MethodFilter::GET, manual::document),
    },
    Open {
        path: "/api/v1/docs",
        words: gives("docs", "All operations on one page", Reply::Other("text/html")),
        handler: || on(MethodFilter::GET, manual::page),
    },
];

/// The whole admin API.
pub(super) fn router(app: App) -> Router {
    let api = ROUTES.iter().fold(Router::new(), |router, route| {
        let handler = (route.handler)(filter(route.method));
        let handler = match (route.looks(), route.repeatable()) {
            (true, _) => handler.route_layer(from_fn_with_state(looks::Fields::of(route), looks::looks)),
            (_, true) => handler.route_layer(from_fn_with_state(app.clone(), once::once)),
            _ => handler,
        };
        router.route(&format!("{BASE}{}", route.path), handler.route_layer(from_fn_with_state(*route, middleware::may)))
    });
    let api = api.fallback(nothing_here).layer(from_fn_with_state(app.clone(), middleware::who));
    let pages = PAGES.iter().fold(Router::new(), |router, page| router.route(page.path, (page.handler)()));
    let pages = pages.route_layer(from_fn_with_state(app.clone(), middleware::host));
    around(api.merge(pages).merge(open()), app)
}

/// What the metrics listener serves.
pub(super) fn metrics_router(app: App) -> Router {
    around(open().fallback(nothing_here), app)
}

fn open() -> Router<App> {
    OPEN.iter().fold(Router::new(), |router, page| router.route(page.path, (page.handler)()))
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
    let places: Vec<String> = plain.map(|route| format!("{BASE}{}", route.path)).chain(OPEN.iter().chain(&PAGES).map(|page| page.path.to_string())).collect();
    Refused::not_found("page", request.uri().path(), places.iter().map(String::as_str))
}
