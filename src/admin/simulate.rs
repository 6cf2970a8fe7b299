//! `POST /simulate`: what if. The core is lent for a picture of itself; all the reckoning happens on the picture, on another thread.
//!
//! Never here: a change of anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};

use crate::control::{Configuration, Core, Load, OverrideTargetName, Picture, Scope};
use crate::metrics::Metrics;
use crate::model::{Fading, Now};
use crate::policy::Forecast;

use super::api::{self, Fault, LoadAt, ProblemKind};
use super::auth::Caller;
use super::body::Body;
use super::config::{self, PlanOutcome};
use super::problem::Refused;
use super::{App, change, view};

/// Services whose rates are counted; the others count as at their peak.
const RATED_MAX: usize = 10_000;
/// Names of one request.
const DOWN_MAX: usize = 100;

/// What is asked of the picture.
struct Seen {
    picture: Picture,
    loads: HashMap<Arc<str>, Load>,
    /// Services whose peak is not known.
    peakless: usize,
    fading: Fading,
    now: Now,
}

pub(super) async fn simulate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<api::SimulatePost>,
) -> Result<Json<api::Simulation>, Refused> {
    let api::SimulatePost { down, at, text, path } = body;
    if DOWN_MAX < down.len() {
        return Err(refused("/down", format!("more than {DOWN_MAX} names"), "name regions or pools, or use a pattern such as region/eu-*"));
    }
    let next = other(&app, &caller, text, path).await?;
    let metrics = app.parts.metrics.clone();
    let seen = app
        .look(move |core, now| {
            let (picture, fading) = match &next {
                Some(next) => (core.picture_after(next, now), next.estate.fading),
                None => (core.picture(now), core.estate().fading),
            };
            let (loads, peakless) = loads(core, &metrics, &picture, at, now);
            Seen { picture, loads, peakless, fading, now }
        })
        .await?;
    let bug = |_| Refused::new(ProblemKind::Internal, "the simulation failed; this is a bug");
    tokio::task::spawn_blocking(move || reckon(seen, &down, at)).await.map_err(bug)?.map(Json)
}

/// Another configuration, if one is given. It may name any file of the server, so it needs `admin`.
pub(super) async fn other(app: &App, caller: &Caller, text: Option<String>, path: Option<String>) -> Result<Option<Configuration>, Refused> {
    if text.is_none() && path.is_none() {
        return Ok(None);
    }
    if caller.scope < Scope::Admin {
        return Err(Refused::scope(&caller.actor.0, caller.scope, Scope::Admin));
    }
    let outcome = (app.parts.files.read)(config::origin(caller, path, text)?).await;
    let configuration = outcome.map_err(|problems| match problems {
        PlanOutcome::Problems(problems) => change::invalid_config(&problems, "nothing was changed"),
        _ => Refused::new(ProblemKind::StoreUnavailable, "this server is stopping"),
    })?;
    Ok(Some(configuration))
}

fn reckon(seen: Seen, down: &[String], at: LoadAt) -> Result<api::Simulation, Refused> {
    let Seen { mut picture, loads, peakless, fading, now } = seen;
    let mut faults = Vec::new();
    let mut targets: Vec<OverrideTargetName> = Vec::new();
    for (place, name) in down.iter().enumerate() {
        match picture.named(name) {
            Ok(target) => targets.push(target),
            Err(why) => faults.push(fault(&format!("/down/{place}"), why, "see `windrose get regions` and `windrose get pools`")),
        }
    }
    if !faults.is_empty() {
        return Err(Refused::invalid(faults));
    }
    let load = |service: &str| loads.get(service).cloned().unwrap_or(Load { of_peak: 1.0, ..Load::default() });
    let mut found = picture.simulate(&targets, &load);
    if 0 < peakless && at == LoadAt::Now && found.regions.iter().any(|row| row.strain.is_some()) {
        found.messages.push(format!("{peakless} services have no known peak yet: for capacity they count as at their peak"));
    }
    let ttl = picture.longest_ttl(&found);
    let forecast = ttl.map(|ttl| view::forecast(Forecast { ttl: Duration::from_secs(u64::from(ttl)), fading }, now.wall));
    Ok(view::simulation(found, at, forecast))
}

/// How much each service is asked, and of how many the peak is not known.
fn loads(core: &Core, metrics: &Metrics, picture: &Picture, at: LoadAt, now: Now) -> (HashMap<Arc<str>, Load>, usize) {
    let mut peakless = 0;
    let asking = picture.asking();
    let of = |service: &Arc<str>| {
        let (rate, peak) = (metrics.answers_per_second(core, service, now), metrics.peak(service));
        let answered = if asking.contains(service) { metrics.answered(core, service) } else { Vec::new() };
        let (rate, of_peak) = match (at, rate, peak) {
            (LoadAt::Peak, _, peak) => (peak, 1.0),
            (LoadAt::Now, Some(rate), Some(peak)) => (Some(rate), rate / peak.max(rate)),
            (LoadAt::Now, rate, _) => (rate, 1.0),
        };
        let load = Load { rate, of_peak, answered };
        peakless += usize::from(peak.is_none());
        (service.clone(), load)
    };
    let loads = picture.services().take(RATED_MAX).map(of).collect();
    (loads, peakless)
}

fn fault(pointer: &str, message: String, hint: &str) -> Fault {
    Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }
}

fn refused(pointer: &str, message: String, hint: &str) -> Refused {
    Refused::invalid(vec![fault(pointer, message, hint)])
}
