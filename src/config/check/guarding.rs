//! `[health]` and `[sentinel.NAME]`: how this node guards against its own mistakes (SEMANTICS, 26 and 27).

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use crate::config::file::{Health, Sentinel as Table};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named};
use crate::config::target_key::{definition, target_key};
use crate::model::{Estate, GuardRules, MonitorId, Sentinel, Target, TargetId, duration_text};

use super::monitors::Monitors;
use super::pools::never_answered;
use super::{check_name, number};

/// Longest window: a region is delayed for twice that.
const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// More sentinels say no more.
const SENTINELS_MAX: usize = 16;

/// Call it when the targets of endpoints are known: a sentinel with the same monitor and address is one of them.
pub(super) fn check(health: Health, sentinels: Named<Table>, monitors: &Monitors, estate: &mut Estate, sink: &mut Sink<'_>) {
    estate.guard = rules(health, estate, sink);
    let spans: Vec<Range<usize>> = sentinels.0.iter().map(|entry| entry.span.clone()).collect();
    for Entry { name, span, value: Table { monitor, address } } in sentinels.0 {
        check_name(&name, &span, "sentinel", sink);
        let path = format!("sentinel.{name}");
        let monitor = monitor_of(&monitor, &span, &path, monitors, estate, sink);
        let address = address_of(&address, &span, &path, sink);
        if let (Some(monitor), Some(address)) = (monitor, address) {
            let target = target(monitor, address, estate);
            if let Some(twin) = estate.sentinels.iter().find(|sentinel| sentinel.target == target) {
                sink.problem(
                    &span,
                    &path,
                    format!("asks the same as sentinel {}", twin.name),
                    "give it another address or monitor: two that fail together are one",
                );
            }
            estate.sentinels.push(Sentinel { name: name.as_str().into(), target });
        }
    }
    if let Some(span) = spans.get(SENTINELS_MAX) {
        sink.problem(span, "sentinel", format!("more than {SENTINELS_MAX} sentinels"), "two or three that fail independently of each other are plenty");
    }
}

fn rules(health: Health, estate: &Estate, sink: &mut Sink<'_>) -> GuardRules {
    let Health { window, blind_share } = health;
    let default = GuardRules::default();
    let share = number(&blind_share, 0..=100, i64::from(default.blind_share), "health.blind_share", sink);
    if let Some(found) = window.get().filter(|found| WINDOW_MAX < found.value) {
        sink.problem(&found.span, "health.window", "longer than an hour", "a second region waits for up to twice this: \"60s\" by default, \"0s\" for never");
    }
    let span = window.get().map(|found| found.span.clone()).unwrap_or_default();
    let window = window.or(default.window);
    // Endpoints of one outage are seen down as far apart as their probes stand.
    let slow = estate.monitors.iter().filter(|monitor| monitor.check.is_probed() && window < monitor.interval + monitor.timeout);
    if let Some(monitor) = slow.max_by_key(|monitor| monitor.interval).filter(|_| !window.is_zero()) {
        let message = format!(
            "what fails together is seen up to {} apart by monitor {}, which is longer than window ({})",
            duration_text(monitor.interval + monitor.timeout),
            monitor.name,
            duration_text(window)
        );
        sink.warning(
            &span,
            "health.window",
            message,
            format!("add to [health]: window = \"{}\", or probe more often", duration_text(monitor.interval + monitor.timeout)),
        );
    }
    GuardRules { window, blind_share: u8::try_from(share).unwrap_or(default.blind_share) }
}

fn monitor_of(key: &Key<String>, span: &Range<usize>, path: &str, monitors: &Monitors, estate: &Estate, sink: &mut Sink<'_>) -> Option<MonitorId> {
    if key.is_absent() {
        sink.missing(span, path, "`monitor` is missing", "add monitor = \"…\": how it is probed");
    }
    let At { value, span } = key.get()?;
    let Some(id) = monitors.get(value).copied() else {
        let help = sink.suggestion(value, monitors.keys().map(String::as_str), format!("add [monitor.{value}]"));
        sink.problem(span, format_args!("{path}.monitor"), format!("no monitor is called `{value}`"), help);
        return None;
    };
    if !estate.monitor(id).check.is_probed() {
        sink.problem(span, format_args!("{path}.monitor"), format!("`{value}` probes nothing"), "a sentinel must be able to fail: tcp = 53, or a url");
        return None;
    }
    Some(id)
}

fn address_of(key: &Key<IpAddr>, span: &Range<usize>, path: &str, sink: &mut Sink<'_>) -> Option<IpAddr> {
    if key.is_absent() {
        sink.missing(span, path, "`address` is missing", "add address = \"192.0.2.1\": what this node reaches as long as it sees the network");
    }
    let At { value, span } = key.get()?;
    if let Some(why) = never_answered(*value) {
        sink.problem(span, format_args!("{path}.address"), format!("`{value}` {why}"), "write the address that probes connect to");
        return None;
    }
    Some(*value)
}

/// The target that asks this, made if nobody asks it yet.
fn target(monitor: MonitorId, address: IpAddr, estate: &mut Estate) -> TargetId {
    let wanted = definition(estate.monitor(monitor));
    let same = |target: &Target| target.address == address && definition(estate.monitor(target.monitor)) == wanted;
    if let Some(found) = estate.targets.iter().position(same) {
        return TargetId::at(found);
    }
    let key = target_key(estate.monitor(monitor), address, None);
    estate.targets.push(Target { monitor, address, port: None, key: key.into(), endpoints: Vec::new() });
    TargetId::at(estate.targets.len() - 1)
}
