//! `[monitor.NAME]`: what is tried, how often, and how many outcomes make a verdict.

mod composite;
mod dns;
mod exec;
mod grpc;
mod http;
mod icmp;
mod outcomes;
mod push;
mod tls;
mod url;

pub(super) use outcomes::factor_of;

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{Entry, Key, Named};
use crate::model::{AnyMonitor, Check, CompositeId, Estate, Monitor, MonitorId, Sources, TcpCheck, Thresholds, TlsCheck, duration_text};

use super::probing::Exec;
use super::{check_name, number};

/// Shortest time between two probes of a target.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest.
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// A longer text could not be found in what is read.
const EXPECT_OCTETS_MAX: usize = 1024;

/// Monitors by name.
pub(super) type Monitors = HashMap<String, AnyMonitor>;

/// Where files of monitors are looked for, and which were read.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub folder: &'a Path,
    pub files: &'a mut Vec<PathBuf>,
    /// What `exec` monitors may do.
    pub exec: Exec,
}

pub(super) fn check(tables: Named<Table>, mut cx: Context<'_>, estate: &mut Estate, sink: &mut Sink<'_>) -> Monitors {
    let mut monitors = Monitors::new();
    let mut composites = Vec::new();
    for entry in tables.0 {
        check_name(&entry.name, &entry.span, "monitor", sink);
        if composite::is_one(&entry.value) {
            monitors.insert(entry.name.clone(), AnyMonitor::Composite(CompositeId::at(composites.len())));
            composites.push(entry);
        } else {
            monitors.insert(entry.name.clone(), AnyMonitor::Simple(MonitorId::at(estate.monitors.len())));
            estate.monitors.push(monitor(entry, &mut cx, sink));
        }
    }
    // Last: their members may stand anywhere.
    composite::check(composites, &monitors, estate, sink);
    monitors
}

fn monitor(entry: Entry<Table>, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Monitor {
    let Entry { name, span, value: table } = entry;
    let path = format!("monitor.{name}");
    let check = what(&table, &span, &path, cx, sink);
    let source = sources(&table, &path, sink);
    let Table { interval, timeout, down_after, ok_after, up_after, .. } = table;
    if let Some(found) = interval.get().filter(|found| !(INTERVAL_MIN..=INTERVAL_MAX).contains(&found.value)) {
        sink.problem(&found.span, format_args!("{path}.interval"), "out of range", "from \"100ms\" to \"1day\"; \"10s\" by default");
    }
    let interval_written = interval.get().is_some();
    let timeout_span = timeout.get().map(|found| found.span.clone()).or(interval.get().map(|found| found.span.clone()));
    let (interval, timeout) = (interval.or(Duration::from_secs(10)), timeout.or(Duration::from_secs(3)));
    if let Some(span) = timeout_span.filter(|_| check.is_probed()) {
        if timeout.is_zero() {
            sink.problem(&span, format_args!("{path}.timeout"), "a probe needs time", "\"3s\" by default");
        } else if timeout >= interval {
            let interval_text = format!("{}{}", duration_text(interval), if interval_written { "" } else { ", the default" });
            let message = format!("timeout ({}) must be shorter than interval ({interval_text})", duration_text(timeout));
            sink.problem(&span, format_args!("{path}.timeout"), message, "one probe ends before the next begins: shorten the timeout or lengthen the interval");
        }
    }
    // What is told is believed: whoever tells has looked as often as it takes.
    let told = matches!(check, Check::Push(_));
    let default = if told { Thresholds { down_after: 1, ok_after: 1, up_after: 1 } } else { Thresholds::default() };
    let thresholds = OwnThresholds::check([&down_after, &ok_after, &up_after], default, &path, sink).over(default);
    // Nothing is due for what is told.
    let (interval, timeout) = if told { (INTERVAL_MAX, Duration::ZERO) } else { (interval, timeout) };
    Monitor { name, check, source, interval, timeout, thresholds }
}

/// Thresholds where they may be left out, each by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnThresholds {
    down_after: Option<u16>,
    ok_after: Option<u16>,
    up_after: Option<u16>,
}

impl OwnThresholds {
    /// From the keys `down_after`, `ok_after`, `up_after` of the table at `path`; `default`: what a problem says holds where they are left out.
    pub(super) fn check([down_after, ok_after, up_after]: [&Key<i64>; 3], default: Thresholds, path: &str, sink: &mut Sink<'_>) -> Self {
        let mut count = |key: &Key<i64>, default: u16, name: &str| {
            key.get()?;
            u16::try_from(number(key, 1..=1000, i64::from(default), format_args!("{path}.{name}"), sink)).ok()
        };
        Self {
            down_after: count(down_after, default.down_after, "down_after"),
            ok_after: count(ok_after, default.ok_after, "ok_after"),
            up_after: count(up_after, default.up_after, "up_after"),
        }
    }

    /// Those that are written here, else those.
    pub(super) fn over(self, below: Thresholds) -> Thresholds {
        let Self { down_after, ok_after, up_after } = self;
        Thresholds {
            down_after: down_after.unwrap_or(below.down_after),
            ok_after: ok_after.unwrap_or(below.ok_after),
            up_after: up_after.unwrap_or(below.up_after),
        }
    }

    /// Those that are written here, else those that are written there.
    pub(super) fn or(self, below: Self) -> Self {
        Self { down_after: self.down_after.or(below.down_after), ok_after: self.ok_after.or(below.ok_after), up_after: self.up_after.or(below.up_after) }
    }
}

/// The kinds, by the key that makes them, with the keys that mean something beside it. Timing means something beside all that probe.
const KINDS: [(&str, &[&str]); 12] = [
    (
        "url",
        &[
            "http",
            "method",
            "user_agent",
            "body",
            "body_regex",
            "json",
            "status",
            "headers",
            "host",
            "sni",
            "verify",
            "ca",
            "cert",
            "key",
            "expires_within",
            "expiry_down",
            "degraded",
            "report",
            "data_at",
            "load_from",
            "busy",
            "busy_max",
            "redirects",
        ],
    ),
    ("tcp", &["send", "expect"]),
    // Before `tls`, which is a word of its own beside it.
    ("grpc", &["port", "tls", "host", "sni", "verify", "ca", "cert", "key", "expires_within", "expiry_down"]),
    ("tls", &["sni", "verify", "ca", "cert", "key", "expires_within", "expiry_down"]),
    ("dns", &["port", "rcode", "address"]),
    ("icmp", &[]),
    ("exec", &["port", "exit", "warning"]),
    ("push", &["ttl", "ttl_max", "silence"]),
    ("always", &[]),
    ("all", &[]),
    ("any", &[]),
    ("at_least", &[]),
];

/// Keys that mean something beside every kind but those of [`NO_TIMING`]: where from, and when.
const TIMING: [&str; 6] = ["source", "interval", "timeout", "down_after", "ok_after", "up_after"];

/// Of [`TIMING`], what means nothing beside a kind.
const NO_TIMING: [(&str, &[&str]); 6] =
    [("always", &TIMING), ("all", &TIMING), ("any", &TIMING), ("at_least", &TIMING), ("push", &["source", "interval", "timeout"]), ("exec", &["source"])];

type Spans = Vec<(&'static str, Option<Range<usize>>)>;

/// Every key that was written, and where; `None`: what was written can't be read.
fn written(table: &Table) -> Spans {
    macro_rules! spans {
        ($($key:ident),* $(,)?) => {{
            // Whoever adds a key to the table must add it here.
            let Table { $($key),* } = table;
            vec![$((stringify!($key), (!$key.is_absent()).then(|| $key.get().map(|found| found.span.clone())))),*]
        }};
    }
    let all = spans![
        url,
        tcp,
        tls,
        dns,
        grpc,
        icmp,
        exec,
        push,
        always,
        port,
        rcode,
        address,
        send,
        expect,
        http,
        method,
        user_agent,
        body,
        body_regex,
        json,
        status,
        headers,
        host,
        sni,
        verify,
        ca,
        cert,
        key,
        expires_within,
        expiry_down,
        degraded,
        report,
        data_at,
        load_from,
        busy,
        busy_max,
        redirects,
        exit,
        warning,
        ttl,
        ttl_max,
        silence,
        source,
        interval,
        timeout,
        down_after,
        ok_after,
        up_after,
        all,
        any,
        at_least,
    ];
    all.into_iter().filter_map(|(key, written)| Some((key, written?))).collect()
}

/// Exactly one of the kinds, and beside it only what means something there.
fn what(table: &Table, span: &Range<usize>, path: &str, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Check {
    let Some(kind) = kind_of(table, span, path, sink) else { return Check::Tcp(TcpCheck::connect(80)) };
    match kind {
        "always" => {
            if let Some(always) = table.always.get().filter(|always| always.value != "up") {
                sink.problem(&always.span, format_args!("{path}.always"), format!("`{}` is not a state that can be set", always.value), "always = \"up\"");
            }
            Check::Always
        }
        "tcp" => Check::Tcp(tcp(table, path, sink)),
        "tls" => Check::Tls(TlsCheck { port: tls::port(table, path, sink), tls: tls::handshake(table, span, path, cx, sink) }),
        "dns" => Check::Dns(dns::dns(table, path, sink)),
        "grpc" => Check::Grpc(grpc::grpc(table, span, path, cx, sink)),
        "icmp" => icmp::icmp(table, path, sink),
        "exec" => Check::Exec(exec::exec(table, path, cx, sink)),
        "push" => Check::Push(push::push(table, path, sink)),
        _ => Check::Http(http::http(table, path, cx, sink)),
    }
}

/// The key that says of which kind a monitor is.
fn kind_of(table: &Table, span: &Range<usize>, path: &str, sink: &mut Sink<'_>) -> Option<&'static str> {
    let written = written(table);
    let grpc = written.iter().any(|(key, _)| *key == "grpc");
    let kind_of = |key: &str| KINDS.iter().any(|(kind, _)| *kind == key) && !(grpc && key == "tls");
    let given: Vec<_> = written.iter().filter(|(key, _)| kind_of(key)).collect();
    match given[..] {
        [] => {
            let help = "add url = \"http://{address}:8080/healthcheck\", tcp = 3306, tls = 443, dns = \"www.example.com A\", grpc = \"orders.v1.Orders\", icmp = true, exec = [\"/usr/lib/nagios/plugins/check_http\"], push = true, always = \"up\", or all = [\"one\", \"other\"]";
            sink.missing(span, path, "nothing to check", help);
        }
        [(first, _), (second, at), ..] => {
            let at = at.clone().unwrap_or_else(|| span.clone());
            sink.problem(&at, format_args!("{path}.{second}"), format!("a monitor is of one kind, not {first} and {second}"), "make two monitors");
        }
        [_] => {}
    }
    let (kind, _) = *given.first()?;
    let beside = KINDS.iter().find(|(known, _)| known == kind).map_or(&[][..], |(_, beside)| beside);
    let meaningless = written.iter().filter(|(key, _)| match TIMING.contains(key) {
        true => NO_TIMING.iter().any(|(of, keys)| of == kind && keys.contains(key)),
        false => !beside.contains(key) && !given.iter().any(|(kind, _)| kind == key),
    });
    if given.len() == 1 {
        refuse_beside(kind, &meaningless.cloned().collect::<Vec<_>>(), path, sink);
    }
    Some(kind)
}

/// At most one address of each family.
fn sources(table: &Table, path: &str, sink: &mut Sink<'_>) -> Sources {
    let mut sources = Sources::default();
    for found in table.source.get().map(|source| &source.value.0[..]).unwrap_or_default().iter().filter_map(Key::get) {
        let wrong = match found.value {
            address if address.is_unspecified() || address.is_multicast() => Some("is no address of a host"),
            IpAddr::V4(v4) => sources.v4.replace(v4).map(|_| "is the second IPv4 address"),
            IpAddr::V6(v6) => sources.v6.replace(v6).map(|_| "is the second IPv6 address"),
        };
        if let Some(wrong) = wrong {
            let help = "an address of this host, one for each family at most";
            sink.problem(&found.span, format_args!("{path}.source"), format!("`{}` {wrong}", found.value), help);
        }
    }
    sources
}

fn tcp(table: &Table, path: &str, sink: &mut Sink<'_>) -> TcpCheck {
    let text = |key: &Key<String>, name: &str, sink: &mut Sink<'_>| {
        let found = key.get()?;
        if found.value.is_empty() {
            sink.problem(&found.span, format_args!("{path}.{name}"), "nothing is no text", "write the text, or remove the key");
        }
        Some(found.value.clone())
    };
    let port = port(&table.tcp, 80, format_args!("{path}.tcp"), sink);
    let (send, expect) = (text(&table.send, "send", sink), text(&table.expect, "expect", sink));
    if let Some(found) = table.expect.get().filter(|found| found.value.len() > EXPECT_OCTETS_MAX) {
        let help = format!("at most {EXPECT_OCTETS_MAX} octets; the first 4 KiB are looked at");
        sink.problem(&found.span, format_args!("{path}.expect"), "the text is too long", help);
    }
    TcpCheck { port, send, expect }
}

fn port(key: &Key<i64>, default: u16, at: impl std::fmt::Display, sink: &mut Sink<'_>) -> u16 {
    u16::try_from(number(key, 1..=65_535, i64::from(default), at, sink)).unwrap_or(default)
}

fn refuse_beside(kind: &str, keys: &[(&str, Option<Range<usize>>)], path: &str, sink: &mut Sink<'_>) {
    for (key, span) in keys {
        if let Some(span) = span {
            sink.problem(span, format_args!("{path}.{key}"), format!("`{key}` means nothing beside `{kind}`"), "remove it");
        }
    }
}
