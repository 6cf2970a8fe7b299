//! What a configuration comes to: how soon failures are seen and clients moved, how much is probed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AllDown, AnyMonitor, Check, Composite, Estate, Mark, Member, Need, Node, Service, duration_text};

use super::Loaded;

/// Lines that the text gives to services; the rest is counted.
const SERVICES_SHOWN_MAX: usize = 20;

/// Derived numbers, for `windrose check`.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Apexes.
    pub zones: Vec<String>,
    /// Record sets in them.
    pub record_sets: usize,
    /// In file order.
    pub monitors: Vec<MonitorSummary>,
    /// Composite monitors, in file order.
    pub composites: Vec<CompositeSummary>,
    /// In file order.
    pub services: Vec<ServiceSummary>,
    /// Regions, pools, endpoints.
    pub regions: usize,
    /// See `regions`.
    pub pools: usize,
    /// See `regions`.
    pub endpoints: usize,
    /// What is probed, once each.
    pub targets: usize,
    /// Names that services answer.
    pub names: usize,
    /// On average, all targets together.
    pub probes_per_second: f64,
}

/// One monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitorSummary {
    /// Its name.
    pub name: String,
    /// Longest time from a failure to the verdict (SEMANTICS, 14); `None`: never probed.
    pub detection: Option<Duration>,
    /// An outside system tells; silence counts after at most this.
    pub told: Option<Duration>,
    /// Targets probed by it.
    pub targets: usize,
    /// All its targets together.
    pub probes_per_second: f64,
}

/// One composite monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeSummary {
    /// Its name.
    pub name: Arc<str>,
    /// `all of web, database (critical)`
    pub listens_to: String,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSummary {
    /// Its name.
    pub name: Arc<str>,
    /// How many names it answers.
    pub names: usize,
    /// Pools of its policy, each once.
    pub pools: usize,
    /// The slowest monitor of its pools; `None`: none of them is probed.
    pub detection: Option<Duration>,
    /// Seconds.
    pub ttl: u32,
    /// `detection` + `ttl`: time until clients that obey TTLs have moved.
    pub clients_moved: Option<Duration>,
}

/// The numbers of a configuration.
pub fn summary(loaded: &Loaded) -> Summary {
    let estate = &loaded.estate;
    let mut per_monitor = vec![0_usize; estate.monitors.len()];
    for target in &estate.targets {
        if let Some(count) = per_monitor.get_mut(target.monitor.index()) {
            *count += 1;
        }
    }
    let monitors: Vec<MonitorSummary> = estate
        .monitors
        .iter()
        .zip(per_monitor)
        .map(|(monitor, targets)| MonitorSummary {
            name: monitor.name.clone(),
            detection: monitor.check.is_probed().then(|| monitor.detection(&monitor.thresholds)),
            told: if let Check::Push(check) = &monitor.check { Some(check.ttl_max) } else { None },
            targets,
            probes_per_second: if monitor.check.is_probed() { targets as f64 / monitor.interval.as_secs_f64() } else { 0.0 },
        })
        .collect();
    // Services with equal forms share one tree: each is walked once.
    let mut trees: HashMap<*const Node, (usize, Option<Duration>)> = HashMap::new();
    let services = estate.services.iter().map(|service| {
        let (pools, detection) = *trees.entry(Arc::as_ptr(&service.policy)).or_insert_with(|| tree(estate, &service.policy));
        service_summary(service, pools, detection)
    });
    Summary {
        zones: loaded.zones.iter().map(|zone| zone.apex.to_string()).collect(),
        record_sets: loaded.zones.iter().map(|zone| zone.sets.len()).sum(),
        composites: estate.composites.iter().map(|composite| composite_summary(estate, composite)).collect(),
        services: services.collect(),
        regions: estate.regions.len(),
        pools: estate.pools.len(),
        endpoints: estate.endpoints.len(),
        targets: estate.probed(),
        names: estate.services.iter().map(|service| service.names.len()).sum(),
        // From 0.0: the sum of nothing is -0.0.
        probes_per_second: monitors.iter().map(|monitor| monitor.probes_per_second).fold(0.0, std::ops::Add::add),
        monitors,
    }
}

fn composite_summary(estate: &Estate, composite: &Composite) -> CompositeSummary {
    let member = |member: &Member| {
        let name = match member.monitor {
            AnyMonitor::Simple(id) => estate.monitor(id).name.as_str(),
            AnyMonitor::Composite(id) => &estate.composite(id).name,
        };
        if member.mark == Mark::Voting { name.to_string() } else { format!("{name} ({})", member.mark.word()) }
    };
    let members: Vec<String> = composite.members.iter().map(member).collect();
    let need = match composite.need {
        Need::All => "all of".to_string(),
        Need::Any => "any of".to_string(),
        Need::AtLeast(number) => format!("at least {number} of"),
    };
    CompositeSummary { name: composite.name.clone(), listens_to: format!("{need} {}", members.join(", ")) }
}

fn service_summary(service: &Service, pools: usize, detection: Option<Duration>) -> ServiceSummary {
    let Service { name, names, ttl, when_all_down, .. } = service;
    ServiceSummary {
        name: name.clone(),
        names: names.len(),
        pools: pools + usize::from(matches!(when_all_down, AllDown::Pool(_))),
        detection,
        ttl: *ttl,
        clients_moved: detection.map(|detection| detection + Duration::from_secs(u64::from(*ttl))),
    }
}

/// Pools below, and the slowest detection among them.
fn tree(estate: &Estate, node: &Node) -> (usize, Option<Duration>) {
    let mut pools = std::collections::HashSet::new();
    node.pools(&mut |pool| {
        pools.insert(pool);
    });
    let endpoints = pools.iter().flat_map(|pool| &estate.pool(*pool).endpoints);
    let judgements = endpoints.flat_map(|endpoint| estate.judgements_on(*endpoint));
    let slowest = judgements.filter(|id| estate.is_probed(estate.judgement(**id).target)).map(|id| estate.detection(*id)).max();
    (pools.len(), slowest)
}

fn counted(count: usize, one: &str) -> String {
    match one.strip_suffix('y') {
        Some(stem) if count != 1 => format!("{count} {stem}ies"),
        _ => format!("{count} {one}{}", if count == 1 { "" } else { "s" }),
    }
}

/// A few lines for people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zones.as_slice() {
            [] => writeln!(f, "0 zones")?,
            zones => writeln!(f, "{}: {} ({})", counted(zones.len(), "zone"), zones.join(", "), counted(self.record_sets, "record set"))?,
        }
        writeln!(f, "{}, {}, {}", counted(self.regions, "region"), counted(self.pools, "pool"), counted(self.endpoints, "endpoint"))?;
        writeln!(f, "{}, {} served", counted(self.services.len(), "service"), counted(self.names, "name"))?;
        writeln!(f, "{} probed, {:.1} probes per second", counted(self.targets, "target"), self.probes_per_second)?;
        if !self.monitors.is_empty() || !self.composites.is_empty() {
            writeln!(f, "\nmonitor              targets  a failure is seen within")?;
        }
        for MonitorSummary { name, detection, told, targets, .. } in &self.monitors {
            let seen = match (detection, told) {
                (Some(detection), _) => duration_text(*detection),
                (None, Some(told)) => format!("told from outside; silence counts after {} at most", duration_text(*told)),
                (None, None) => "never probed: counts as up".to_string(),
            };
            writeln!(f, "{name:<20} {targets:>7}  {seen}")?;
        }
        for CompositeSummary { name, listens_to } in &self.composites {
            writeln!(f, "{name:<20}       –  {listens_to}")?;
        }
        if !self.services.is_empty() {
            writeln!(f, "\nservice              pools  clients have moved within")?;
        }
        for ServiceSummary { name, pools, detection, ttl, clients_moved, .. } in self.services.iter().take(SERVICES_SHOWN_MAX) {
            let ttl = duration_text(Duration::from_secs(u64::from(*ttl)));
            match (clients_moved, detection) {
                (Some(moved), Some(detection)) => {
                    writeln!(f, "{name:<20} {pools:>5}  {} (seen in {}, TTL {ttl})", duration_text(*moved), duration_text(*detection))?
                }
                _ => writeln!(f, "{name:<20} {pools:>5}  nothing is probed (TTL {ttl})")?,
            }
        }
        if self.services.len() > SERVICES_SHOWN_MAX {
            let slowest = self.services.iter().filter_map(|service| service.clients_moved).max();
            let slowest = slowest.map(|slowest| format!("; the slowest takes {}", duration_text(slowest))).unwrap_or_default();
            writeln!(f, "and {} more{slowest}", self.services.len() - SERVICES_SHOWN_MAX)?;
        }
        Ok(())
    }
}
