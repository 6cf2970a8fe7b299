//! `POST …/probe` and `GET …/probes`: a probe run now to be looked at, and the last ones.
//!
//! What is run has no effect: it goes to whoever asked and nowhere else. The probing itself is behind [`Doctor`], which `app` fills: this room knows
//! no sockets but its own. A monitor's secrets go to its own endpoints; elsewhere only an admin may send them.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Map, Value};

use crate::control::{Core, Scope};
use crate::health::{Examination, forecast};
use crate::model::{Check, Estate, Host, JudgementId, Monitor, ProbeRules};

use super::api::{Examined, Fault, List, PastProbe, ProbeNow, ProbePost, ProbesQuery, ProblemKind};
use super::auth::Caller;
use super::body::{Body, Query};
use super::pages::{Key, Which, newest_at};
use super::problem::Refused;
use super::{App, read};

/// How many past probes come unless told otherwise.
const LIMIT: usize = 50;

/// Targets of one endpoint that are probed for one request.
const TARGETS_MAX: usize = 8;

/// What examines, and what reads monitors.
#[derive(Clone)]
pub struct Doctor {
    /// Runs a probe without effect; `None`: too many are under way.
    pub examine: Examiner,
    /// From a monitor's keys, as in the file, to what they mean; or every problem, one sentence each. Reads no files.
    pub monitor: MonitorReader,
}

/// Runs a probe without effect; `None`: too many are under way.
pub type Examiner = Arc<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Option<Examination>> + Send>> + Send + Sync>;

/// See [`Doctor::monitor`].
pub type MonitorReader = Arc<dyn Fn(&Map<String, Value>) -> Result<Monitor, Vec<String>> + Send + Sync>;

/// What is to be examined.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How.
    pub monitor: Monitor,
    /// Where to.
    pub address: Host,
    /// Port, if it is not the monitor's.
    pub port: Option<u16>,
    /// Where probes may go.
    pub rules: Arc<ProbeRules>,
    /// `pool/name`; empty: nobody's.
    pub endpoint: String,
}

type Found<T> = Result<Json<T>, Refused>;

fn invalid(pointer: &str, message: String, hint: &str) -> Refused {
    Refused::invalid(vec![Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }])
}

/// `GET /endpoints/{pool}/{name}/probes`
pub(super) async fn past(
    State(app): State<App>,
    which: Which,
    Path((pool, name)): Path<(String, String)>,
    Query(query): Query<ProbesQuery>,
) -> Found<List<PastProbe>> {
    let ProbesQuery { outcome, limit, cursor } = query;
    let page = which.page(limit, cursor.as_deref(), LIMIT)?;
    let failed = match outcome.as_deref() {
        None => None,
        Some("fail") => Some(true),
        Some("pass") => Some(false),
        Some(other) => return Err(invalid("/outcome", format!("`{}` is not an outcome", other.escape_debug()), "outcome is pass or fail")),
    };
    app.look(move |core, _| {
        let estate = core.estate();
        let endpoint = read::endpoint_named(estate, &pool, &name)?;
        let mut all: Vec<(Key<'_>, PastProbe)> = Vec::new();
        for target in estate.targets_of(endpoint).collect::<BTreeSet<_>>() {
            let monitor = &estate.monitor(estate.target(target).monitor).name;
            let past = core.probes(target).map(|history| history.newest()).unwrap_or_default();
            let wanted = past.iter().filter(|past| failed.is_none_or(|failed| failed == past.said.is_some()));
            all.extend(wanted.map(|past| (newest_at(past.moment.at(), &estate.target(target).key), PastProbe::of(past, monitor))));
        }
        Ok(Json(page.of(core, all.into_iter(), |probe| probe)))
    })
    .await?
}

/// `POST /endpoints/{pool}/{name}/probe`
pub(super) async fn endpoint(State(app): State<App>, Path((pool, name)): Path<(String, String)>) -> Found<ProbeNow> {
    let (label, asked) = app
        .look(move |core, _| {
            let estate = core.estate();
            let endpoint = read::endpoint_named(estate, &pool, &name)?;
            let label = estate.endpoint_label(endpoint);
            let asked = estate.judgements_on(endpoint).iter().filter(|id| estate.is_probed(estate.judgement(**id).target));
            let asked: Vec<(Arc<str>, Asked)> = asked.take(TARGETS_MAX).map(|id| asked_of(estate, *id, &label)).collect();
            if asked.is_empty() {
                return Err(Refused::new(
                    ProblemKind::NothingToProbe,
                    format!("{label} is not probed: its monitor is `always`, or told from outside (`push`), or it has none"),
                ));
            }
            Ok((label, asked))
        })
        .await??;
    let mut probes = Vec::new();
    for (key, asked) in asked {
        let address = place(&asked.address, asked.port, &asked.monitor);
        let monitor = asked.monitor.name.clone();
        let examination = (app.parts.doctor.examine)(asked).await.ok_or_else(busy)?;
        let passed = examination.report.outcome.passed();
        let (what, of) = (label.clone(), key.clone());
        // The verdict as it is now, if the target still exists.
        let verdict = app.look(move |core, _| standing(core, &of, &what, passed)).await?;
        probes.push(Examined::new(&examination, (Some(&monitor), address), Some(&label), verdict));
    }
    Ok(Json(ProbeNow { node: Some(app.parts.node.clone()), endpoint: Some(label), probes }))
}

/// The judgement's key, and what is asked for it.
fn asked_of(estate: &Estate, judgement: JudgementId, label: &str) -> (Arc<str>, Asked) {
    let judgement = estate.judgement(judgement);
    let target = estate.target(judgement.target);
    let (monitor, rules) = (estate.monitor(target.monitor).clone(), estate.probing.clone());
    (judgement.key.clone(), Asked { monitor, address: target.address.clone(), port: target.port, rules, endpoint: label.to_string() })
}

fn standing(core: &Core, key: &str, what: &str, passed: bool) -> Option<String> {
    let estate = core.estate();
    let id = estate.judgements.iter().position(|judgement| *judgement.key == *key).map(JudgementId::at)?;
    Some(forecast(what, core.health().judgement(id), &estate.judgement(id).thresholds, passed))
}

/// `POST /probe`
pub(super) async fn anything(State(app): State<App>, Extension(caller): Extension<Caller>, Body(post): Body<ProbePost>) -> Found<ProbeNow> {
    let ProbePost { monitor, address } = post;
    let (address, port) = match (address.parse::<IpAddr>(), address.parse::<SocketAddr>()) {
        (Ok(address), _) => (address, None),
        (_, Ok(place)) => (place.ip(), Some(place.port())),
        _ => {
            let hint = "write it like 192.0.2.10, 192.0.2.10:8080 or [2001:db8::1]:443; windrose probe looks names up by itself";
            return Err(invalid("/address", format!("`{}` is not an IP address", address.escape_debug()), hint));
        }
    };
    let (name, monitor, rules) = match monitor {
        Value::String(name) => {
            let (monitor, rules, own) = app
                .look(move |core, _| {
                    let estate = core.estate();
                    let known = || estate.monitors.iter().map(|monitor| monitor.name.as_str());
                    let at = estate.monitors.iter().position(|monitor| monitor.name == name);
                    let monitor = at.and_then(|at| estate.monitors.get(at)).ok_or_else(|| Refused::not_found("monitor", &name, known()))?;
                    // The same definition under another name is the same monitor.
                    let own = estate.targets.iter().any(|target| {
                        let of = estate.monitor(target.monitor);
                        target.address == Host::Address(address) && target.port == port && of.check == monitor.check
                    });
                    Ok::<_, Refused>((monitor.clone(), estate.probing.clone(), own))
                })
                .await??;
            if !own && has_secrets(&monitor.check) && caller.scope < Scope::Admin {
                let detail = format!("monitor `{}` sends secrets, and {address} is none of its endpoints: this needs the scope `admin`", monitor.name);
                return Err(Refused::new(ProblemKind::Forbidden, detail));
            }
            (Some(monitor.name.clone()), monitor, rules)
        }
        Value::Object(keys) => {
            let monitor = (app.parts.doctor.monitor)(&keys).map_err(|problems| {
                let fault = |message| Fault { pointer: "/monitor".into(), code: "config".into(), message, ..Fault::default() };
                Refused::invalid(problems.into_iter().map(fault).collect())
            })?;
            (None, monitor, app.look(|core, _| core.estate().probing.clone()).await?)
        }
        _ => return Err(invalid("/monitor", "a monitor is a name or a table".into(), "\"gateway\", or {\"url\": \"http://{address}:8080/\"}")),
    };
    if !monitor.check.is_probed() {
        return Err(Refused::new(ProblemKind::NothingToProbe, "a monitor that is always up, or told from outside, probes nothing"));
    }
    let host = Host::Address(address);
    let place = place(&host, port, &monitor);
    let examination = (app.parts.doctor.examine)(Asked { monitor, address: host, port, rules, endpoint: String::new() }).await.ok_or_else(busy)?;
    let probes = vec![Examined::new(&examination, (name.as_deref(), place), None, None)];
    Ok(Json(ProbeNow { node: Some(app.parts.node.clone()), endpoint: None, probes }))
}

fn place(host: &Host, port: Option<u16>, monitor: &Monitor) -> String {
    host.with_port(monitor.check.port_of(port))
}

/// Something that only the monitor's own endpoints should see.
fn has_secrets(check: &Check) -> bool {
    let headers = match check {
        Check::Http(check) => !check.headers.is_empty(),
        Check::Tcp(check) => check.send.is_some(),
        // Programs do as they like with an address, and arguments may hold passwords.
        Check::Exec(_) => true,
        _ => false,
    };
    headers || check.tls().is_some_and(|terms| terms.identity.is_some())
}

fn busy() -> Refused {
    Refused::new(ProblemKind::RateLimited, "this node is running as many probes for people as it may; try again in a second")
}
