//! `[network.NAME]` and the coordinates of regions: what policies may ask about clients.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::file::{Geo as GeoTable, Network as Table};
use crate::config::problem::{Problem, Sink};
use crate::config::read::{Entry, Key, Named, Number, OneOrMany};
use crate::model::{Estate, Network, Place, duration_text};

use super::check_name;

/// Prefixes of all networks together.
const PREFIXES_MAX: usize = 4_000_000;
/// Files of `[geo]`.
const DATABASES_MAX: usize = 8;
/// Of `[geo]`.
const CHECK_EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Lines of one file that are complained about.
const LINES_TOLD_MAX: usize = 20;

pub(super) fn check(tables: Named<Table>, folder: &Path, estate: &mut Estate, files: &mut Vec<PathBuf>, sink: &mut Sink<'_>) {
    let mut total = 0;
    for Entry { name, span, value: Table { prefixes, file, location } } in tables.0 {
        let path = format!("network.{name}");
        check_name(&name, &span, "network", sink);
        let mut network = Network { name: name.as_str().into(), prefixes: Vec::new(), place: place(&location, &format!("{path}.location"), sink) };
        if prefixes.is_absent() && file.is_absent() {
            sink.missing(&span, &path, "a network without prefixes", "add prefixes = [\"192.0.2.0/24\"], or file = \"…\" with one prefix a line");
        }
        written(&prefixes, &path, &mut network, sink);
        if let Some(found) = file.get() {
            let place = folder.join(&found.value);
            match std::fs::read_to_string(&place) {
                Ok(text) => {
                    // Told of that file, not of this one: what stands there is not for everybody who may name it.
                    let wrong = lines(&text, &mut network).into_iter().map(|(number, line)| Problem {
                        file: place.clone(),
                        line: number,
                        column: 1,
                        width: u32::try_from(line.chars().count()).unwrap_or(1),
                        excerpt: line.to_string(),
                        path: String::new(),
                        message: format!("`{line}` is not a prefix"),
                        help: "one prefix or address a line; # begins a comment".to_string(),
                    });
                    sink.problems.extend(wrong);
                }
                Err(why) => {
                    let message = format!("`{}` can't be read: {why}", place.display());
                    sink.problem(&found.span, format_args!("{path}.file"), message, "the path is relative to the file that names it");
                }
            }
            files.push(place);
        }
        network.prefixes.sort_unstable();
        network.prefixes.dedup();
        total += network.prefixes.len();
        if PREFIXES_MAX < total {
            sink.problem(&span, &path, format!("networks have more than {PREFIXES_MAX} prefixes together"), "write wider prefixes");
        }
        estate.networks.push(network);
    }
}

/// `[geo]`. Whether the files can be read is looked at when everything else is right: `load`.
pub(super) fn geo(table: GeoTable, folder: &Path, estate: &mut Estate, sink: &mut Sink<'_>) {
    let GeoTable { databases, check_every } = table;
    let files = databases.get().map(|list| &list.value.0[..]).unwrap_or_default();
    estate.geo.databases = files.iter().filter_map(|file| file.get()).map(|file| folder.join(&file.value)).collect();
    if let (Some(found), true) = (databases.get(), DATABASES_MAX < files.len()) {
        sink.problem(
            &found.span,
            "geo.databases",
            format!("{} databases; at most {DATABASES_MAX}", files.len()),
            "one for places and one for AS numbers are usual",
        );
    }
    if let Some(found) = check_every.get() {
        match CHECK_EVERY.contains(&found.value) {
            true => estate.geo.check_every = found.value,
            false => sink.problem(&found.span, "geo.check_every", format!("`{}` is out of range", duration_text(found.value)), "from \"1s\" to \"1day\""),
        }
    }
}

fn written(prefixes: &Key<OneOrMany<String>>, path: &str, network: &mut Network, sink: &mut Sink<'_>) {
    for (index, found) in prefixes.get().map(|list| &list.value.0[..]).unwrap_or_default().iter().enumerate() {
        let Some(found) = found.get() else { continue };
        match prefix(&found.value) {
            Some(prefix) => network.prefixes.push(prefix),
            None => {
                let help = "an address or a prefix: \"192.0.2.0/24\", \"2001:db8::/32\", \"::1\"";
                sink.problem(&found.span, format_args!("{path}.prefixes[{index}]"), format!("`{}` is not a prefix", found.value), help);
            }
        }
    }
}

/// Reads one prefix a line; gives the number and the text of lines that are none.
fn lines<'t>(text: &'t str, network: &mut Network) -> Vec<(u32, &'t str)> {
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        match prefix(line) {
            Some(prefix) => network.prefixes.push(prefix),
            None if line.is_empty() => {}
            None if wrong.len() < LINES_TOLD_MAX => wrong.push((number, line.get(..80).unwrap_or(line))),
            None => break,
        }
    }
    wrong
}

/// Host bits are cut off.
fn prefix(text: &str) -> Option<IpNet> {
    let prefix = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(prefix.trunc())
}

/// `[latitude, longitude]` in degrees.
pub(super) fn place(location: &Key<Vec<Key<Number>>>, path: &str, sink: &mut Sink<'_>) -> Option<Place> {
    let found = location.get()?;
    let degrees: Vec<f64> = found.value.iter().filter_map(|number| number.get().map(|number| number.value.0)).collect();
    let place = match degrees[..] {
        [latitude, longitude] => Place::from_degrees(latitude, longitude),
        _ => None,
    };
    // What could not be read has been told.
    if place.is_none() && found.value.iter().all(|number| number.get().is_some()) {
        let help = "latitude from -90 to 90, then longitude from -180 to 180: [52.52, 13.405]";
        sink.problem(&found.span, path, "not a place", help);
    }
    place
}
