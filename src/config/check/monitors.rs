//! `[monitor.NAME]`: what is tried, how often, and how many outcomes make a verdict.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use crate::config::file::Monitor as Table;
use crate::config::problem::Sink;
use crate::config::read::{Entry, Key, Named};
use crate::model::{Check, Estate, HttpCheck, Monitor, MonitorId, Scheme, Thresholds, duration_text};

use super::{check_name, number};

/// Shortest time between two probes of a target.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Longest.
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// Monitors by name.
pub(super) type Monitors = HashMap<String, MonitorId>;

pub(super) fn check(tables: Named<Table>, estate: &mut Estate, sink: &mut Sink<'_>) -> Monitors {
    let mut monitors = Monitors::new();
    for entry in tables.0 {
        check_name(&entry.name, &entry.span, "monitor", sink);
        monitors.insert(entry.name.clone(), MonitorId::at(estate.monitors.len()));
        estate.monitors.push(monitor(entry, sink));
    }
    monitors
}

fn monitor(entry: Entry<Table>, sink: &mut Sink<'_>) -> Monitor {
    let Entry { name, span, value: table } = entry;
    let path = format!("monitor.{name}");
    let check = what(&table, &span, &path, sink);
    if check == Check::Always {
        refuse_beside("always", &timing_keys(&table), &path, sink);
    }
    if !matches!(check, Check::Http(_)) {
        refuse_beside(if check == Check::Always { "always" } else { "tcp" }, &http_keys(&table), &path, sink);
    }
    let Table { interval, timeout, down_after, ok_after, up_after, .. } = table;
    if let Some(found) = interval.get().filter(|found| !(INTERVAL_MIN..=INTERVAL_MAX).contains(&found.value)) {
        sink.problem(&found.span, format_args!("{path}.interval"), "out of range", "from \"100ms\" to \"1day\"; \"10s\" by default");
    }
    let interval_written = interval.get().is_some();
    let timeout_span = timeout.get().map(|found| found.span.clone()).or(interval.get().map(|found| found.span.clone()));
    let (interval, timeout) = (interval.or(Duration::from_secs(10)), timeout.or(Duration::from_secs(3)));
    if let Some(span) = timeout_span.filter(|_| check != Check::Always) {
        if timeout.is_zero() {
            sink.problem(&span, format_args!("{path}.timeout"), "a probe needs time", "\"3s\" by default");
        } else if timeout >= interval {
            let interval_text = format!("{}{}", duration_text(interval), if interval_written { "" } else { ", the default" });
            let message = format!("timeout ({}) must be shorter than interval ({interval_text})", duration_text(timeout));
            sink.problem(&span, format_args!("{path}.timeout"), message, "one probe ends before the next begins: shorten the timeout or lengthen the interval");
        }
    }
    let default = Thresholds::default();
    let mut count = |key: &Key<i64>, default: u16, name: &str| {
        u16::try_from(number(key, 1..=1000, i64::from(default), format_args!("{path}.{name}"), sink)).unwrap_or(default)
    };
    let thresholds = Thresholds {
        down_after: count(&down_after, default.down_after, "down_after"),
        ok_after: count(&ok_after, default.ok_after, "ok_after"),
        up_after: count(&up_after, default.up_after, "up_after"),
    };
    Monitor { name, check, interval, timeout, thresholds }
}

/// Exactly one of `url`, `tcp`, `always`.
fn what(table: &Table, span: &Range<usize>, path: &str, sink: &mut Sink<'_>) -> Check {
    let Table { url, tcp, always, .. } = table;
    let kinds = [("url", span_of(url), url.is_absent()), ("tcp", span_of(tcp), tcp.is_absent()), ("always", span_of(always), always.is_absent())];
    let given: Vec<_> = kinds.iter().filter(|(_, _, absent)| !absent).collect();
    match &given[..] {
        [] => sink.missing(span, path, "nothing to check", "add url = \"http://{address}:8080/healthcheck\", tcp = 3306 or always = \"up\""),
        [(first, ..), (second, at, _), ..] => {
            let at = at.clone().unwrap_or_else(|| span.clone());
            sink.problem(
                &at,
                format_args!("{path}.{second}"),
                format!("a monitor has one of url, tcp and always, not {first} and {second}"),
                "make two monitors",
            );
        }
        _ => {}
    }
    if let Some(always) = always.get() {
        if always.value != "up" {
            sink.problem(&always.span, format_args!("{path}.always"), format!("`{}` is not a state that can be set", always.value), "always = \"up\"");
        }
        Check::Always
    } else if !tcp.is_absent() {
        let port = number(tcp, 1..=65_535, 80, format_args!("{path}.tcp"), sink);
        Check::Tcp { port: u16::try_from(port).unwrap_or(80) }
    } else {
        Check::Http(http(table, path, sink))
    }
}

fn span_of<T>(key: &Key<T>) -> Option<Range<usize>> {
    key.get().map(|found| found.span.clone())
}

fn http_keys(table: &Table) -> [(&'static str, Option<Range<usize>>); 5] {
    let Table { body, status, headers, host, sni, .. } = table;
    [("body", span_of(body)), ("status", span_of(status)), ("headers", span_of(headers)), ("host", span_of(host)), ("sni", span_of(sni))]
}

fn timing_keys(table: &Table) -> [(&'static str, Option<Range<usize>>); 5] {
    let Table { interval, timeout, down_after, ok_after, up_after, .. } = table;
    [
        ("interval", span_of(interval)),
        ("timeout", span_of(timeout)),
        ("down_after", span_of(down_after)),
        ("ok_after", span_of(ok_after)),
        ("up_after", span_of(up_after)),
    ]
}

fn refuse_beside(kind: &str, keys: &[(&str, Option<Range<usize>>)], path: &str, sink: &mut Sink<'_>) {
    for (key, span) in keys {
        if let Some(span) = span {
            sink.problem(span, format_args!("{path}.{key}"), format!("`{key}` means nothing beside `{kind}`"), "remove it");
        }
    }
}

fn http(table: &Table, path: &str, sink: &mut Sink<'_>) -> HttpCheck {
    let Table { url, body, status, headers, host, sni, .. } = table;
    let mut parsed = Url { scheme: Scheme::Http, host: None, port: 80, path: "/".to_string() };
    if let Some(url) = url.get() {
        match Url::parse(&url.value) {
            Ok(url) => parsed = url,
            Err(why) => sink.problem(
                &url.span,
                format_args!("{path}.url"),
                why,
                "write it like \"http://{address}:8080/healthcheck\"; {address} stands for each endpoint's",
            ),
        }
        if parsed.scheme == Scheme::Https && parsed.host.is_none() && host.is_absent() {
            let help = "add host = \"api.example.com\": the name that the certificate is for";
            sink.problem(&url.span, format_args!("{path}.url"), "https with {address} needs a host name to verify", help);
        }
    }
    for (key, name) in [(host, "host"), (sni, "sni")] {
        if let Some(found) = key.get().filter(|found| !host_name(&found.value, name == "host")) {
            sink.problem(
                &found.span,
                format_args!("{path}.{name}"),
                format!("`{}` is not a host name", found.value),
                format!("write it like {name} = \"api.example.com\""),
            );
        }
    }
    let default_port = if parsed.scheme == Scheme::Https { 443 } else { 80 };
    let from_url = parsed.host.map(|name| if parsed.port == default_port { name } else { format!("{name}:{}", parsed.port) });
    let host = host.get().map(|host| host.value.clone()).or(from_url);
    // A port may stand in `Host`, never in a TLS server name.
    let name_alone = host.as_deref().and_then(|host| host.split_once(':')).map(|(name, _)| name.to_string());
    HttpCheck {
        scheme: parsed.scheme,
        port: parsed.port,
        path: parsed.path,
        host,
        sni: sni.get().map(|sni| sni.value.clone()).or(name_alone),
        headers: check_headers(headers, path, sink),
        status: match status.get() {
            Some(status) => {
                if status.value.0.is_empty() {
                    sink.problem(&status.span, format_args!("{path}.status"), "no status passes", "[\"200-299\"] by default");
                }
                status.value.0.iter().filter_map(|range| range.get()).map(|range| range.value.0.clone()).collect()
            }
            None => vec![200..=299],
        },
        body: body.get().map(|body| {
            if body.value.is_empty() {
                sink.problem(&body.span, format_args!("{path}.body"), "every body contains nothing", "write the text to look for, or remove the key");
            }
            body.value.clone()
        }),
    }
}

fn check_headers(headers: &Key<Named<String>>, path: &str, sink: &mut Sink<'_>) -> Vec<(String, String)> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for Entry { name, span, value } in headers.get().map(|headers| &headers.value.0[..]).unwrap_or_default() {
        let token = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet));
        let ours = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade"];
        let (wrong, help) = if !token {
            (Some("not a header's name"), "letters, digits and `-`")
        } else if ours.contains(&name.to_ascii_lowercase().as_str()) {
            (Some("this header is set by Windrose"), "for Host there is the key host = \"…\"")
        } else if checked.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            (Some("this header stands twice"), "names of headers have no case")
        } else if value.bytes().any(|octet| !(octet.is_ascii_graphic() || octet == b' ' || octet == b'\t')) {
            (Some("the value has a character that headers can't have"), "visible ASCII characters and spaces")
        } else {
            (None, "")
        };
        match wrong {
            Some(wrong) => sink.problem(span, format_args!("{path}.headers.{name}"), wrong, help),
            None => checked.push((name.clone(), value.trim().to_string())),
        }
    }
    checked
}

fn host_name(text: &str, with_port: bool) -> bool {
    let name = match text.split_once(':') {
        Some((name, port)) if with_port && port.parse::<u16>().is_ok_and(|port| port > 0) => name,
        Some(_) => return false,
        None => text,
    };
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)))
}

/// The parts of a monitor's URL.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    scheme: Scheme,
    /// `None`: `{address}`.
    host: Option<String>,
    port: u16,
    /// With the query.
    path: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("a URL begins with http:// or https://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            other => return Err(format!("`{other}` is not supported: a URL begins with http:// or https://")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a URL with a user name is not supported; use headers = { Authorization = \"…\" }".to_string());
        }
        if authority.starts_with('[') {
            return Err("an address in the URL: probes go to each endpoint's own".to_string());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or(format!("`{port}` is not a port"))?),
            None => (authority, default_port),
        };
        if host != "{address}" && host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err("an address in the URL: probes go to each endpoint's own".to_string());
        }
        if host != "{address}" && !host_name(host, false) {
            return Err(format!("`{host}` is not a host name"));
        }
        if path.contains('#') {
            return Err("a fragment (#…) is never sent".to_string());
        }
        if path.contains(['{', '}']) {
            return Err("{address} can only stand as the host".to_string());
        }
        if !path.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("the path has a character that must be written as %XX".to_string());
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Self { scheme, host: (host != "{address}").then(|| host.to_ascii_lowercase()), port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://{address}:8080/healthcheck", Ok((Scheme::Http, None, 8080, "/healthcheck"))),
            ("https://API.example.com/a?b=c", Ok((Scheme::Https, Some("api.example.com"), 443, "/a?b=c"))),
            ("http://{address}", Ok((Scheme::Http, None, 80, "/"))),
            ("HTTP://{address}?x", Ok((Scheme::Http, None, 80, "/?x"))),
            ("{address}/x", Err("a URL begins with")),
            ("ftp://{address}/x", Err("`ftp` is not supported")),
            ("http://{adress}/", Err("`{adress}` is not a host name")),
            ("http://192.0.2.1/", Err("an address in the URL")),
            ("http://[::1]/", Err("an address in the URL")),
            ("http://a:b@c/", Err("a URL with a user name")),
            ("http://{address}:0/", Err("`0` is not a port")),
            ("http://{address}:70000/", Err("`70000` is not a port")),
            ("http://{address}/#a", Err("a fragment")),
            ("http://{address}/a b", Err("the path has")),
            ("http://{address}/{address}", Err("{address} can only")),
            ("http:///x", Err("`` is not a host name")),
        ];
        for (text, expected) in cases {
            match (Url::parse(text), expected) {
                (Ok(url), Ok((scheme, host, port, path))) => {
                    assert_eq!(url, Url { scheme, host: host.map(str::to_string), port, path: path.to_string() }, "{text}");
                }
                (Err(why), Err(begin)) => assert!(why.starts_with(begin), "{text}: {why}"),
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
