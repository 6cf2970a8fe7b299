//! `[health]` and `[sentinel.NAME]`: how this node guards against its own mistakes (SEMANTICS, 26 and 27).

use std::ops::Range;
use std::time::Duration;

use crate::config::file::{Health, Sentinel as Table};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named};
use crate::config::target_key::{definition, target_key};
use crate::model::{AnyMonitor, Estate, GuardRules, Host, JudgementId, MonitorId, Sentinel, Target, TargetId, duration_text};

use super::monitors::Monitors;
use super::pools::never_answered;
use super::resolver::HostNames;
use super::{check_name, number};

/// Longest window: a region is delayed for twice that.
const WINDOW_MAX: Duration = Duration::from_secs(3600);
/// More sentinels say no more.
const SENTINELS_MAX: usize = 16;

/// Call it when the targets of endpoints are known: a sentinel with the same monitor and address is one of them.
pub(super) fn check(health: Health, sentinels: Named<Table>, monitors: &Monitors, host_names: &mut HostNames, estate: &mut Estate, sink: &mut Sink<'_>) {
    estate.guard = rules(health, estate, sink);
    let spans: Vec<Range<usize>> = sentinels.0.iter().map(|entry| entry.span.clone()).collect();
    for Entry { name, span, value: Table { monitor, address } } in sentinels.0 {
        check_name(&name, &span, "sentinel", sink);
        let path = format!("sentinel.{name}");
        let monitor = monitor_of(&monitor, &span, &path, monitors, estate, sink);
        let host = address_of(&address, &span, &path, sink);
        if let (Some(Host::Name(name, _)), Some(found)) = (&host, address.get()) {
            host_names.push((name.clone(), found.span.clone(), format!("{path}.address")));
        }
        if let (Some(monitor), Some(host)) = (monitor, host) {
            let judgement = judgement(monitor, host, estate);
            if let Some(twin) = estate.sentinels.iter().find(|sentinel| sentinel.judgement == judgement) {
                sink.problem(
                    &span,
                    &path,
                    format!("asks the same as sentinel {}", twin.name),
                    "give it another address or monitor: two that fail together are one",
                );
            }
            estate.sentinels.push(Sentinel { name: name.as_str().into(), judgement });
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
    let AnyMonitor::Simple(id) = id else {
        let help = "name one of its members: a sentinel is a single target, and there may be several sentinels";
        sink.problem(span, format_args!("{path}.monitor"), format!("`{value}` is a composite monitor"), help);
        return None;
    };
    if !estate.monitor(id).check.is_probed() {
        sink.problem(span, format_args!("{path}.monitor"), format!("`{value}` probes nothing"), "a sentinel must be able to fail: tcp = 53, or a url");
        return None;
    }
    Some(id)
}

fn address_of(key: &Key<Host>, span: &Range<usize>, path: &str, sink: &mut Sink<'_>) -> Option<Host> {
    if key.is_absent() {
        sink.missing(span, path, "`address` is missing", "add address = \"192.0.2.1\": what this node reaches as long as it sees the network");
    }
    let At { value, span } = key.get()?;
    if let Some(why) = value.address().and_then(never_answered) {
        sink.problem(span, format_args!("{path}.address"), format!("`{value}` {why}"), "write the address that probes connect to");
        return None;
    }
    Some(value.clone())
}

/// What asks this and judges as the monitor says, made if nobody asks it yet.
fn judgement(monitor: MonitorId, address: Host, estate: &mut Estate) -> JudgementId {
    let (wanted, thresholds) = (definition(estate.monitor(monitor)), estate.monitor(monitor).thresholds);
    let same = |target: &Target| target.address == address && target.port.is_none() && definition(estate.monitor(target.monitor)) == wanted;
    let target = match estate.targets.iter().position(same) {
        Some(found) => TargetId::at(found),
        None => {
            let key = target_key(estate.monitor(monitor), &address, None);
            estate.add_target(monitor, (address, None), key.into(), thresholds)
        }
    };
    estate.judge(target, thresholds)
}
