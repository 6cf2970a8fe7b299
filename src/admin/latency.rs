//! What outside measurers tell of latency: form is checked here, regions and room are the core's to know. The list of what is known.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use ipnet::IpNet;

use crate::control::{Event, LatencyTold, MICROS_MAX, MeasuredRegion, Measurement, SAMPLES_KNOWN, SAMPLES_MAX, network_key, network_of};

use super::App;
use super::api::{self, Fault, List};
use super::body::{Body, Query};
use super::pages::{PAGE_MAX, Which};
use super::problem::Refused;

/// Faults listed in one problem.
const FAULTS_MAX: usize = 16;

pub(super) async fn put(State(app): State<App>, Body(body): Body<api::LatencyPut>) -> Result<Json<api::LatencyReply>, Refused> {
    let api::LatencyPut { measurements, at } = body;
    let (mut faults, mut good) = (Vec::new(), Vec::with_capacity(measurements.len()));
    for (place, measurement) in measurements.into_iter().enumerate() {
        match read(place, measurement) {
            Ok(measurement) => good.push(measurement),
            Err(found) if faults.len() < FAULTS_MAX => faults.extend(found),
            Err(_) => {}
        }
    }
    let at = at.map(|at| at.0);
    if !faults.is_empty() {
        // With what the core finds wrong beside it: one wants to see all at once.
        let others = app.look(move |core, now| core.latency_faults(&good, at, now)).await?;
        faults.extend(others.into_iter().map(Fault::from));
        faults.truncate(FAULTS_MAX);
        return Err(Refused::invalid(faults));
    }
    tell(&app, LatencyTold::Measured { measurements: good, at }).await
}

pub(super) async fn withdraw(State(app): State<App>, Query(query): Query<api::LatencyWithdrawal>) -> Result<Json<api::LatencyReply>, Refused> {
    let api::LatencyWithdrawal { network, region } = query;
    if network.is_none() && region.is_none() {
        let hint = "name a network or a region; ?network=0.0.0.0/0 are all of IPv4";
        return Err(Refused::invalid(vec![fault("/network".to_string(), "it does not say what is to be known no more".to_string(), hint)]));
    }
    let network = network.map(|text| prefix(&text).ok_or_else(|| Refused::invalid(vec![no_network("/network", &text)]))).transpose()?;
    tell(&app, LatencyTold::Withdrawn { network: network.map(network_of), region }).await
}

pub(super) async fn list(State(app): State<App>, which: Which, Query(query): Query<api::LatencyQuery>) -> Result<Json<List<api::Latency>>, Refused> {
    let api::LatencyQuery { network, region, limit, cursor } = query;
    let page = which.page(limit, cursor.as_deref(), PAGE_MAX)?;
    let asked = network.map(|text| prefix(&text).ok_or_else(|| Refused::invalid(vec![no_network("/network", &text)]))).transpose()?;
    let asked = asked.map(network_of);
    app.look(move |core, now| {
        let about = |network: &IpNet| asked.is_none_or(|asked| asked.contains(network) || network.contains(&asked));
        let wanted = |measured: &MeasuredRegion| region.as_ref().is_none_or(|region| *region == *measured.region);
        let latency = core.latency();
        let networks = latency.prefixes().filter(about);
        let with_region = networks.filter(|network| region.is_none() || latency.of(*network, now).is_some_and(|rows| rows.iter().any(wanted)));
        let keyed = with_region.map(|network| (network_key(network).to_vec().into(), network));
        let show = |network: IpNet| api::Latency {
            network: network.to_string(),
            regions: latency.of(network, now).into_iter().flatten().filter(wanted).map(shown).collect(),
        };
        Json(page.of(core, keyed, show))
    })
    .await
}

fn shown(measured: MeasuredRegion) -> api::LatencyRegion {
    let MeasuredRegion { region, micros, age } = measured;
    api::LatencyRegion { region: region.to_string(), ms: f64::from(micros) / 1e3, age: api::Span(std::time::Duration::from_secs(age.as_secs())) }
}

async fn tell(app: &App, told: LatencyTold) -> Result<Json<api::LatencyReply>, Refused> {
    let applied = app.parts.door.ask(|ticket| Event::Latency { ticket, told }).await?;
    let known = app.look(|core, _| core.latency().len()).await?;
    let counts = applied.latency.unwrap_or_default();
    Ok(Json(api::LatencyReply { networks: counts.networks, reordered: counts.reordered, forgotten: counts.forgotten, known }))
}

/// A measurement, or everything that is wrong with its form.
fn read(place: usize, measurement: api::LatencyMeasurement) -> Result<Measurement, Vec<Fault>> {
    let api::LatencyMeasurement { network, region, ms, samples } = measurement;
    let at = |field: &str| format!("/measurements/{place}/{field}");
    let mut faults = Vec::new();
    let prefix = prefix(&network);
    if prefix.is_none() {
        faults.push(no_network(&at("network"), &network));
    }
    let micros = Some((ms * 1e3).round()).filter(|micros| (1.0..=f64::from(MICROS_MAX)).contains(micros));
    if micros.is_none() {
        faults.push(fault(at("ms"), format!("{ms} ms is no round trip"), "more than 0, at most 60000"));
    }
    let samples = samples.unwrap_or(SAMPLES_KNOWN);
    if !(1..=SAMPLES_MAX).contains(&samples) {
        faults.push(fault(at("samples"), format!("{samples} samples"), "from 1 to 1000000; leave it out for 10"));
    }
    match (prefix, micros) {
        (Some(prefix), Some(micros)) if faults.is_empty() => {
            Ok(Measurement { place, network: network_of(prefix), region: region.into(), micros: micros as u32, samples })
        }
        _ => Err(faults),
    }
}

/// A prefix or an address.
fn prefix(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn no_network(pointer: &str, text: &str) -> Fault {
    fault(pointer.to_string(), format!("`{}` is no network", text.escape_debug()), "a prefix or an address: 203.0.113.0/24, 2001:db8::/56, 203.0.113.9")
}

fn fault(pointer: String, message: String, hint: &str) -> Fault {
    Fault { pointer, code: "invalid-value".into(), message, hint: hint.into(), ..Fault::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(network: &str, ms: f64, samples: Option<u32>) -> api::LatencyMeasurement {
        api::LatencyMeasurement { network: network.into(), region: "prod".into(), ms, samples }
    }

    #[test]
    fn every_fault_of_a_measurement_has_its_pointer() {
        let pointers = |measurement| match read(7, measurement) {
            Ok(measurement) => vec![format!("{} {} {}", measurement.network, measurement.micros, measurement.samples)],
            Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
        };
        assert_eq!(pointers(measurement("203.0.113.9", 42.5, None)), ["203.0.113.0/24 42500 10"]);
        assert_eq!(pointers(measurement("2001:db8::1", 0.001, Some(1))), ["2001:db8::/56 1 1"]);
        assert_eq!(pointers(measurement("203.0.113.0/33", f64::NAN, Some(0))), ["/measurements/7/network", "/measurements/7/ms", "/measurements/7/samples"]);
        for ms in [0.0, -1.0, 60_000.1, f64::INFINITY] {
            assert_eq!(pointers(measurement("::1", ms, None)), ["/measurements/7/ms"], "{ms}");
        }
    }
}
