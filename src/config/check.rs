//! From what the text says to what it means: the only road to [`Estate`] and [`Settings`].
//!
//! Every part is looked at whatever is wrong with the others. What has a problem gets a stand-in, so that those who name it still find it;
//! stand-ins never leave, because an estate with problems is thrown away.

mod answering;
mod clients;
mod failback;
mod guarding;
mod guards;
mod keys;
mod latency;
mod monitors;
mod networks;
mod policies;
mod pools;
mod probing;
mod requires;
mod resolver;
mod services;
mod settings;
mod shedding;
mod shifts;
mod telling;
mod zones;

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use crate::model::{AnswerSettings, Estate, Settings};
use crate::zone::Zone;

use super::file::{File, Probe};
use super::problem::Sink;
use super::read::Key;

/// What a file means; of use only if the sink has no problems.
#[derive(Debug)]
pub(super) struct Meaning {
    pub settings: Settings,
    pub answers: AnswerSettings,
    pub estate: Estate,
    pub zones: Vec<Zone>,
    /// Further files that were read.
    pub files: Vec<PathBuf>,
}

/// Checks everything; relative paths are relative to `folder`.
pub(super) fn check(file: File, folder: &Path, sink: &mut Sink<'_>) -> Meaning {
    let File {
        schema,
        node,
        dns,
        admin,
        metrics,
        store,
        outcomes,
        audit,
        webhook,
        health,
        probe,
        clients,
        resolver,
        key,
        zone,
        region,
        network,
        geo,
        latency,
        monitor,
        sentinel,
        pool,
        policy,
        service,
        guards,
        gate,
        freeze,
        plan,
        analysis,
    } = file;
    if schema.is_absent() {
        sink.missing(&(0..0), "schema", "`schema` is missing", "add schema = 1 above the first [header]: it says of which format this file is");
    }
    if let Some(schema) = schema.get().filter(|schema| schema.value != 1) {
        sink.problem(&schema.span, "schema", format!("schema {} is not known", schema.value), "this Windrose reads schema = 1");
    }
    let mut files = Vec::new();
    let answers = answering::check(&node, &dns, folder, &mut files, sink);
    let settings = settings::check(settings::Tables { node, dns, admin, metrics, store, outcomes, audit }, folder, sink);
    let mut estate = Estate { webhooks: telling::webhooks(webhook.or_default(), folder, &mut files, sink), ..Estate::default() };
    let keys = keys::check(key.or_default(), folder, &mut estate, &mut files, sink);
    let zones = zones::check(zone.or_default(), folder, &keys, &mut files, sink);
    estate.secondaries = zones.secondaries().to_vec();
    let Probe { allow, exec } = probe.or_default();
    let exec = probing::exec(exec, sink);
    let monitors = monitors::check(monitor.or_default(), monitors::Context { folder, files: &mut files, exec }, &mut estate, sink);
    let written = probing::addresses(&pool, &sentinel);
    let (regions, mut services) = (region.or_default(), service.or_default());
    let rules = guards::Tables::take(guards, gate, freeze, &regions, &mut services);
    let mut pools = pools::check(regions, pool.or_default(), &monitors, &mut estate, sink);
    guarding::check(health.or_default(), sentinel.or_default(), &monitors, &mut pools.host_names, &mut estate, sink);
    estate.fading = clients::check(clients.or_default(), sink);
    probing::check(allow, &settings, &written, &mut estate, sink);
    networks::geo(geo.or_default(), folder, &mut estate, sink);
    estate.latency = latency::check(latency.or_default(), sink);
    networks::check(network.or_default(), folder, &mut estate, &mut files, sink);
    let policies = policies::check(policy.or_default(), &pools, &mut estate, sink);
    let last_resorts = services::check(services, services::Context { folder, zones: &zones, policies: &policies }, &mut estate, &mut files, sink);
    resolver::check(resolver, &settings.dns.listen, &pools.host_names, &zones, &mut estate, sink);
    pools::check_watched(&pools, &policies, &last_resorts, &estate, sink);
    guards::check(rules, &mut estate, sink);
    shifts::check(plan.or_default(), analysis.or_default(), &mut estate, sink);
    Meaning { settings, answers, estate, zones: zones.into_zones(), files }
}

/// The monitors of a text that is no configuration. Reads no file: keys that name some must have been refused before.
pub(super) fn inline_monitor(file: File, estate: &mut Estate, sink: &mut Sink<'_>) {
    let cx = monitors::Context { folder: Path::new(""), files: &mut Vec::new(), exec: probing::Exec::Off };
    monitors::check(file.monitor.or_default(), cx, estate, sink);
}

impl<T: Default> Key<T> {
    fn or_default(self) -> T {
        self.take().unwrap_or_default()
    }
}

/// A number in its range, or the default.
fn number(key: &Key<i64>, range: RangeInclusive<i64>, default: i64, at: impl Display, sink: &mut Sink<'_>) -> i64 {
    match key.get() {
        Some(found) if range.contains(&found.value) => found.value,
        Some(found) => {
            sink.problem(
                &found.span,
                at,
                format!("{} is out of range", found.value),
                format!("from {} to {}; {default} by default", range.start(), range.end()),
            );
            default
        }
        None => default,
    }
}

/// Names of regions, monitors, pools, policies and services: they stand in URLs, labels and commands.
fn check_name(name: &str, span: &Range<usize>, table: &str, sink: &mut Sink<'_>) {
    let sound = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._-".contains(&octet));
    if !sound {
        sink.problem(
            span,
            format!("{table}.{name}"),
            format!("`{name}` can't be a name"),
            "names begin with a letter or digit and have a-z, 0-9, `.`, `_` and `-`",
        );
    } else if name.len() > 100 {
        sink.problem(span, format!("{table}.{name}"), "the name is longer than 100 characters", "");
    }
}
