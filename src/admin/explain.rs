//! `GET /explain`: why a name is answered as it is, or was at a moment of the past.
//!
//! The present is asked of the core, the past of the record of decisions. Never here: a decision.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::control::{Past, PastUnknown};
use crate::model::{Family, Moment, Timestamp};
use crate::wire::Name;

use super::api::{self, Fault, ProblemKind};
use super::body::Query;
use super::problem::Refused;
use super::{App, view};

/// What a service was explained by at a moment. Blocks.
pub type DecisionReader = Arc<dyn Fn(&str, Timestamp) -> Result<Past, PastUnknown> + Send + Sync>;

pub(super) async fn explain(State(app): State<App>, Query(query): Query<api::ExplainQuery>) -> Result<Json<api::Explain>, Refused> {
    let api::ExplainQuery { name, type_, client, ecs, at } = query;
    let (family, rtype) = match type_.as_deref().unwrap_or("A").to_ascii_uppercase().as_str() {
        "A" => (Family::V4, 1),
        "AAAA" => (Family::V6, 28),
        other => return Err(fault("/type", format!("`{}` can't be explained", other.escape_debug()), "type is A or AAAA")),
    };
    let name = Name::parse(&name).map_err(|why| fault("/name", format!("`{}` {why}", name.escape_debug()), "ask for a host name, such as www.example.com"))?;
    let asked = view::Asked { name, family, client: client_of(client, ecs)? };
    let at = match at {
        Some(at) => {
            let now = app.look(|_, now| now.wall).await?;
            let hint = "explain names a moment that has passed";
            let moment = Moment::past(&at, now).map_err(|why| fault("/at", why, hint))?;
            if now < moment {
                return Err(fault("/at", format!("{} has not come yet", moment.whole_seconds()), hint));
            }
            Some(moment)
        }
        None => None,
    };
    // A reload in between would give ids another meaning: then look again.
    loop {
        let client = asked.client.clone();
        let (estate, zones, client) =
            app.look(move |core, _| (core.estate().clone(), core.zones().to_vec(), client.and_then(|client| client.seen(core.subnets()).0))).await?;
        let (known, place_of) = (estate.clone(), asked.name.clone());
        let bug = |_| Refused::new(ProblemKind::Internal, "looking the name up failed; this is a bug");
        let place = tokio::task::spawn_blocking(move || {
            let place = view::place(&zones, &estate, &place_of, rtype);
            let networks = client.filter(|_| place.service.is_some()).and_then(|client| view::networks(&estate, client));
            view::Place { networks, ..place }
        });
        let place = place.await.map_err(bug)?;
        let past = match at.zip(place.service) {
            Some((at, service)) => {
                let (reader, service) = (app.parts.decisions.clone(), known.service(service).name.clone());
                let read = tokio::task::spawn_blocking(move || reader(&service, at)).await.map_err(bug)?;
                Some((at, read.map_err(|why| unknown(&why))?))
            }
            None => None,
        };
        if let Some((at, Past { then, .. })) = &past
            && then.account.is_none()
        {
            return Err(fault("/at", format!("at {} the configuration did not have the service", at.whole_seconds()), "windrose events tells of reloads"));
        }
        let asked = asked.clone();
        let told = app.look(move |core, now| {
            Arc::ptr_eq(core.estate(), &known).then(|| match past {
                Some((at, past)) => view::answer_then(core, place, &asked, &past, at),
                None => Ok(view::answer_of(core, place, &asked, now)),
            })
        });
        if let Some(told) = told.await? {
            let hint = "without client and ecs it is told for clients of whom nothing is known";
            return told.map(Json).map_err(|why| fault("/client", why, hint));
        }
    }
}

fn fault(pointer: &str, message: String, hint: &str) -> Refused {
    Refused::invalid(vec![Fault { pointer: pointer.into(), code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }])
}

fn client_of(client: Option<String>, ecs: Option<String>) -> Result<Option<view::Client>, Refused> {
    let address = client.map(|text| {
        // Of a prefix its first address.
        let address = text.split_once('/').map_or(text.as_str(), |(address, _)| address).parse::<std::net::IpAddr>();
        address.map_err(|_| fault("/client", format!("`{}` is no address", text.escape_debug()), "client is an IPv4 or IPv6 address, such as 203.0.113.9"))
    });
    let address = address.transpose()?;
    let Some(text) = ecs else { return Ok(address.map(view::Client::Address)) };
    let wrong = |_| fault("/ecs", format!("`{}` is no client subnet", text.escape_debug()), "ecs is a prefix, such as 203.0.113.0/24 or 2001:db8::/56");
    Ok(Some(view::Client::Subnet(address, text.parse().map_err(wrong)?)))
}

/// Why the past is not known.
fn unknown(why: &PastUnknown) -> Refused {
    let (message, hint) = match why {
        PastUnknown::Off => ("no decisions are recorded", "[decisions] keep says for how long they are; without a store there is no record"),
        PastUnknown::Before(Some(from)) => {
            let message = format!("what is recorded of this service begins at {}", from.whole_seconds());
            return fault("/at", message, "[decisions] keep and mib_max say how far back the record reaches");
        }
        PastUnknown::Before(None) => ("nothing is recorded of this service", "[decisions] keep says for how long decisions are recorded"),
        PastUnknown::Lost(from, until) => {
            let message = format!("decisions between {} and {} were not recorded", from.whole_seconds(), until.whole_seconds());
            return fault("/at", message, "they came too fast, or the disk refused them; what happened stands in `windrose events`");
        }
        PastUnknown::Unreadable(why) => return Refused::new(ProblemKind::StoreUnavailable, why.clone()),
    };
    fault("/at", message.to_string(), hint)
}
