//! `windrose probe`: one probe now, without effect, with everything that it saw; `windrose probes`: the last ones of an endpoint.
//!
//! A URL is probed by the server, which is where probes come from. If there is none, this program probes by itself and says so: the same probe, from here.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::admin::api::{CertificateSeen, Endpoint, Examined, List, PastProbe, ProbeNow, ProbePhase, ProbePost, TlsSeen};
use crate::model::{Host, Monitor, ProbeRules};
use crate::probe::resolver::Resolver;
use crate::probe::{Doctor, EXAMINATION_MAX};

use super::args::{Global, ProbeArgs, ProbesArgs};
use super::client::{Client, Env, Got};
use super::exit::{Exit, Failure};
use super::report::Report;
use super::table::{Cell, Grid, Paint, Tone, clock};

/// Longest wait for the server: the probe ends before.
const WAIT_MAX: Duration = Duration::from_secs(EXAMINATION_MAX.as_secs() + 8);

/// `windrose probe`
pub async fn run(global: &Global, args: &ProbeArgs, paint: Paint, env: Env<'_>) -> Result<Report, Failure> {
    let ProbeArgs { what, monitor, address, local } = args;
    match (what.as_deref(), monitor) {
        (Some(url), None) if url.contains("://") => probe_url(global, url, address.as_deref(), *local, paint, env).await,
        _ if *local => Err(usage("--local is for URLs: monitors and endpoints are the server's", "windrose probe https://api.example.com/health --local")),
        (Some(url), Some(_)) if url.contains("://") => Err(usage("a URL and --monitor both say how to probe", "leave one of them away")),
        (Some(endpoint), None) => {
            if address.is_some() {
                return Err(usage("--address goes with a URL or with --monitor", "windrose probe --monitor gateway --address 192.0.2.10"));
            }
            self::endpoint(&Client::new(global, env)?, endpoint, paint).await
        }
        (endpoint, Some(monitor)) => {
            let client = Client::new(global, env)?;
            let address = match (address, endpoint) {
                (Some(address), _) => resolve(address, None).await?.0,
                (None, Some(endpoint)) => {
                    let (pool, name) = named(endpoint)?;
                    let got: Got<Endpoint> = client.get(&["endpoints", pool, name], &[]).await?;
                    got.value.address
                }
                (None, None) => return Err(usage("where to?", "windrose probe --monitor gateway --address 192.0.2.10")),
            };
            let post = ProbePost { monitor: json!(monitor), address };
            Ok(report(client.post_body_and_wait(&["probe"], Some(&post), WAIT_MAX).await?, paint, String::new()))
        }
        (None, None) => Err(usage("what is to be probed?", "an endpoint such as prod/192.0.2.10, a URL, or --monitor and --address")),
    }
}

/// An endpoint by its id, `pool/name`, by every monitor that it has.
pub async fn endpoint(client: &Client, id: &str, paint: Paint) -> Result<Report, Failure> {
    let (pool, name) = named(id)?;
    Ok(report(client.post_body_and_wait(&["endpoints", pool, name, "probe"], None::<&()>, WAIT_MAX).await?, paint, String::new()))
}

fn usage(what: &str, hint: &str) -> Failure {
    Failure::local(Exit::Usage, what).hint(hint)
}

fn named(endpoint: &str) -> Result<(&str, &str), Failure> {
    endpoint.split_once('/').ok_or_else(|| {
        usage(&format!("`{endpoint}` is neither an endpoint's id nor a URL"), "write pool/name (windrose get endpoints lists them) or https://host:port/path")
    })
}

async fn probe_url(global: &Global, url: &str, address: Option<&str>, local: bool, paint: Paint, env: Env<'_>) -> Result<Report, Failure> {
    let Subject { keys, host, port } = subject(url)?;
    let began = Instant::now();
    let (reached, looked_up) = resolve(address.unwrap_or(&host), Some(port)).await?;
    let took = began.elapsed();
    let mut note = String::new();
    let mut got = None;
    if !local {
        let post = ProbePost { monitor: Value::Object(keys.clone()), address: reached.clone() };
        match Client::new(global, env)?.post_body_and_wait::<ProbeNow>(&["probe"], Some(&post), WAIT_MAX).await {
            Ok(answer) => got = Some(answer),
            Err(Failure::Unreachable { place, why, .. }) if global.server.is_none() && global.socket.is_none() && why.starts_with("can't connect") => {
                note = format!("no server at {place}: this machine probes by itself, and the network may look otherwise from where the server runs\n");
            }
            Err(failure) => return Err(failure),
        }
    }
    let mut got = match got {
        Some(got) => got,
        None => by_itself(&keys, &reached).await?,
    };
    if let Some(probe) = got.value.probes.first_mut().filter(|_| looked_up) {
        probe.probe.phases.insert(0, ProbePhase { phase: "resolve".to_string(), took_ms: (took.as_secs_f64() * 1e6).round() / 1e3 });
        got.raw = serde_json::to_value(&got.value).unwrap_or(got.raw);
    }
    Ok(report(got, paint, note))
}

/// The probe from here.
async fn by_itself(keys: &Map<String, Value>, reached: &str) -> Result<Got<ProbeNow>, Failure> {
    let monitor: Monitor = crate::config::inline_monitor(keys).map_err(|problems| Failure::local(Exit::Usage, problems.join("; ")))?;
    let place: SocketAddr = reached.parse().map_err(|_| Failure::local(Exit::Failed, format!("`{reached}` is not an address")))?;
    let examined =
        Doctor::new(Resolver::start(Arc::default())).examine(&monitor, (&Host::Address(place.ip()), Some(place.port())), Arc::new(ProbeRules::default())).await;
    let examination = examined.map_err(|_| Failure::local(Exit::Failed, "too many probes at once"))?;
    let probes = vec![Examined::new(&examination, (None, place.to_string()), None, None)];
    let value = ProbeNow { node: None, endpoint: None, probes };
    let raw = serde_json::to_value(&value).map_err(|error| Failure::local(Exit::Failed, error.to_string()))?;
    Ok(Got { value, raw, etag: None })
}

/// What a URL asks for.
#[derive(Debug, PartialEq)]
struct Subject {
    /// Keys of a monitor.
    keys: Map<String, Value>,
    host: String,
    port: u16,
}

/// `http`, `https`, `tcp`, `tls`, `grpc`, `grpcs` and `dns` URLs as monitors.
fn subject(text: &str) -> Result<Subject, Failure> {
    let forms = "http://, https://, tcp://host:port, tls://host:port, grpc://host:port/service, grpcs://…, dns://server/name/type";
    let wrong = |why: &str| usage(&format!("`{text}` {why}"), forms);
    let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user name; that belongs into a header of a monitor"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("names no host"))?.trim_matches(['[', ']']).to_string();
    let literal = host.parse::<IpAddr>().ok();
    let default_port = match url.scheme() {
        "http" => Some(80),
        "https" | "tls" => Some(443),
        "dns" => Some(53),
        _ => None,
    };
    let port = url.port().or(default_port).ok_or_else(|| wrong("names no port"))?;
    let path = url.path().trim_start_matches('/');
    let keys = match url.scheme() {
        scheme @ ("http" | "https") => {
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let shown = if literal.is_some() { "{address}".to_string() } else { host.clone() };
            let mut keys = json!({ "url": format!("{scheme}://{shown}:{port}{}{query}", url.path()) });
            if let (Some(literal), "https") = (literal, scheme) {
                keys["sni"] = json!(literal.to_string());
            }
            keys
        }
        "tcp" => json!({ "tcp": port }),
        "tls" => json!({ "tls": port, "sni": host }),
        "grpc" => json!({ "grpc": path, "port": port }),
        "grpcs" => json!({ "grpc": path, "port": port, "tls": true, "host": host }),
        "dns" => {
            let (name, rtype) = path.split_once('/').unwrap_or((path, "A"));
            json!({ "dns": format!("{name} {}", rtype.to_ascii_uppercase()), "port": port })
        }
        _ => return Err(wrong("is of no kind that is probed")),
    };
    match keys {
        Value::Object(keys) => Ok(Subject { keys, host, port }),
        _ => Err(wrong("is of no kind that is probed")),
    }
}

/// An address, with the port if one is given; and whether a name had to be looked up, here, with this machine's resolver.
async fn resolve(text: &str, port: Option<u16>) -> Result<(String, bool), Failure> {
    if let Ok(place) = text.parse::<SocketAddr>() {
        return Ok((place.to_string(), false));
    }
    let with_port = |address: IpAddr| port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string());
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((with_port(address), false));
    }
    let found = tokio::net::lookup_host((text, port.unwrap_or(0))).await;
    let found = found.map_err(|error| {
        let hint = format!("dig {text} A; or say where: --address 192.0.2.10");
        Failure::local(Exit::Condition, format!("resolve: `{text}` has no address that this machine can find: {error}")).hint(hint)
    })?;
    let first = found.map(|place| place.ip()).next();
    first.map(|address| (with_port(address), true)).ok_or_else(|| Failure::local(Exit::Condition, format!("resolve: `{text}` has no address")))
}

fn report(got: Got<ProbeNow>, paint: Paint, note: String) -> Report {
    let failed = got.value.probes.iter().any(|examined| examined.probe.outcome != "pass");
    Report::new(text(&got.value, paint), got.raw).note(note).condition(failed)
}

fn text(now: &ProbeNow, paint: Paint) -> String {
    let ProbeNow { node, endpoint, probes } = now;
    let mut out = String::new();
    for examined in probes {
        let what = endpoint.as_deref().map(|endpoint| format!("{endpoint}  ")).unwrap_or_default();
        let monitor = examined.monitor.as_deref().map(|monitor| format!("monitor {monitor}  ")).unwrap_or_default();
        let from = examined.source.as_deref().map(|source| format!(" from {source}")).unwrap_or_default();
        let by = node.as_deref().map_or("by this command".to_string(), |node| format!("by node {node}"));
        let _ = writeln!(out, "{what}{monitor}{}{from}  {by}", examined.address);
        one(examined, paint, &mut out);
    }
    let _ = writeln!(out, "nothing was changed: this probe counts for no verdict, metric or history");
    out
}

fn one(examined: &Examined, paint: Paint, out: &mut String) {
    let Examined { monitor: _, address: _, probe, source: _, tls, sent, head, body, body_read, expected, got, verdict, advice } = examined;
    let mut lines = Lines(out);
    for ProbePhase { phase, took_ms } in &probe.phases {
        let time = format!("{took_ms:.1} ms");
        match phase.as_str() {
            "tls" => {
                let seen = tls.as_ref().map(handshake).unwrap_or_default();
                lines.line(phase, &format!("{time:<10} {seen}"));
                for certificate in tls.iter().flat_map(|tls| &tls.chain) {
                    lines.line("", &self::certificate(certificate, probe.at.0));
                }
            }
            "request" => {
                lines.line(phase, &format!("{time:<10} {}", sent.first().map(String::as_str).unwrap_or_default()));
                sent.iter().skip(1).for_each(|line| lines.line("", &format!("> {line}")));
            }
            // Beside what it brought, below the status.
            "body" => {}
            _ => lines.line(phase, &time),
        }
    }
    if let Some((first, rest)) = head.split_first() {
        lines.line("status", first);
        rest.iter().for_each(|line| lines.line("", &format!("< {line}")));
    }
    if let Some(body) = body.as_ref().filter(|body| !body.is_empty()) {
        let read = body_read.unwrap_or(0);
        let took = probe.phases.iter().find(|phase| phase.phase == "body").map(|phase| format!("{:<10} ", format!("{:.1} ms", phase.took_ms)));
        let took = took.unwrap_or_default();
        lines.line("body", &format!("{took}the first {} of {read} octets read", read.min(256)));
        body.lines().for_each(|line| lines.line("", &format!("| {line}")));
    }
    for (at, expected) in expected.iter().enumerate() {
        lines.line(if at == 0 { "expected" } else { "" }, expected);
    }
    lines.line("got", got);
    if let Some(warning) = &probe.warning {
        lines.line("warning", &paint.tone(Tone::Warn, warning));
    }
    let passed = probe.outcome == "pass";
    let reason = probe.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let mark = if passed { paint.tone(Tone::Good, "✔ pass") } else { paint.tone(Tone::Bad, &format!("✖ fail{reason}")) };
    let verdict = verdict.as_deref().map(|verdict| format!("; {verdict}")).unwrap_or_default();
    lines.line("verdict", &format!("{mark} in {:.1} ms{verdict}", probe.took_ms));
    for (at, advice) in advice.iter().enumerate() {
        lines.line(if at == 0 { "try" } else { "" }, advice);
    }
}

/// A key in a column of its own, and a text.
struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn line(&mut self, key: &str, text: &str) {
        let _ = writeln!(self.0, "{}", format!("  {key:<9} {text}").trim_end());
    }
}

fn handshake(TlsSeen { name, protocol, cipher, alpn, chain: _ }: &TlsSeen) -> String {
    let Some(protocol) = protocol else { return format!("for {name}, not completed") };
    let alpn = alpn.as_deref().map(|alpn| format!(", {alpn}")).unwrap_or_default();
    format!("{protocol}, {}{alpn}, for {name}", cipher.as_deref().unwrap_or("unknown cipher"))
}

fn certificate(seen: &CertificateSeen, now: crate::model::Timestamp) -> String {
    let CertificateSeen { subject, issuer, names, from: _, until } = seen;
    let names = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
    let until = until.map(|until| {
        let date: String = until.to_string().chars().take(10).collect();
        let days = (until.0.0 - now.0) / 86_400_000;
        if until.0 < now { format!(", expired on {date}") } else { format!(", until {date} ({days} days)") }
    });
    format!("certificate {}{names}, signed by {}{}", or(subject, "without a name"), or(issuer, "nobody"), until.unwrap_or_default())
}

fn or<'a>(text: &'a str, nothing: &'a str) -> &'a str {
    if text.is_empty() { nothing } else { text }
}

/// `windrose probes`
pub async fn past(client: &Client, args: &ProbesArgs, paint: Paint) -> Result<Report, Failure> {
    let ProbesArgs { endpoint, failed, limit } = args;
    let (pool, name) = named(endpoint)?;
    let limit = limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    if *failed {
        query.push(("outcome", "fail"));
    }
    let got: Got<List<PastProbe>> = client.get(&["endpoints", pool, name, "probes"], &query).await?;
    let items = &got.value.items;
    if items.is_empty() {
        let what = if *failed { "no failed probe of" } else { "no probe of" };
        return Ok(Report::new("", got.raw).note(format!("{what} {endpoint} is known\n")));
    }
    let several = items.iter().any(|probe| items.first().is_some_and(|first| first.monitor != probe.monitor));
    let mut grid = Grid::new(if several { &["AT", "MONITOR", "OUTCOME", ">TOOK", "WHAT"] } else { &["AT", "OUTCOME", ">TOOK", "WHAT"] });
    for PastProbe { at, monitor, outcome: _, reason, message, status: _, took_ms } in items {
        let outcome = match reason {
            None => Cell::toned(Tone::Good, "✔ pass"),
            Some(reason) => Cell::toned(Tone::Bad, format!("✖ {reason}")),
        };
        let mut row: Vec<Cell> = vec![clock(*at, Default::default()).into()];
        if several {
            row.push(monitor.as_str().into());
        }
        row.extend([outcome, format!("{took_ms:.1} ms").into(), message.as_deref().unwrap_or_default().into()]);
        grid.row(row);
    }
    Ok(Report::new(grid.render(paint), got.raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_monitors() {
        let keys = |url: &str| {
            let Subject { keys, host, port } = subject(url).unwrap();
            format!("{} {host} {port}", Value::Object(keys))
        };
        assert_eq!(keys("https://api.example.com/a?b=1"), r#"{"url":"https://api.example.com:443/a?b=1"} api.example.com 443"#);
        assert_eq!(keys("http://192.0.2.10:8080/h"), r#"{"url":"http://{address}:8080/h"} 192.0.2.10 8080"#);
        assert_eq!(keys("https://192.0.2.10/"), r#"{"url":"https://{address}:443/","sni":"192.0.2.10"} 192.0.2.10 443"#);
        assert_eq!(keys("http://[2001:db8::1]:81/"), r#"{"url":"http://{address}:81/"} 2001:db8::1 81"#);
        assert_eq!(keys("tcp://db.example.com:3306"), r#"{"tcp":3306} db.example.com 3306"#);
        assert_eq!(keys("tls://api.example.com"), r#"{"tls":443,"sni":"api.example.com"} api.example.com 443"#);
        assert_eq!(keys("grpc://[::1]:50051/orders.v1"), r#"{"grpc":"orders.v1","port":50051} ::1 50051"#);
        assert_eq!(keys("dns://192.0.2.53/www.example.com/aaaa"), r#"{"dns":"www.example.com AAAA","port":53} 192.0.2.53 53"#);
        for wrong in ["tcp://host", "ftp://host/", "http://user:pw@host/", "://"] {
            assert_eq!(subject(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn every_url_is_a_monitor_that_the_file_would_take() {
        for url in [
            "https://api.example.com/a?b=1",
            "http://192.0.2.10:8080/h",
            "https://192.0.2.10/",
            "tcp://db:3306",
            "tls://api.example.com",
            "grpc://h:50051/",
            "grpcs://h:50051/orders.v1",
            "dns://192.0.2.53/www.example.com/aaaa",
        ] {
            let monitor = crate::config::inline_monitor(&subject(url).unwrap().keys);
            assert!(monitor.is_ok(), "{url}: {monitor:?}");
        }
    }

    #[test]
    fn the_phases_stand_in_order_and_the_verdict_last() {
        let now: ProbeNow = serde_json::from_value(json!({
            "node": "ns1", "endpoint": "prod/a",
            "probes": [{
                "monitor": "gateway", "address": "192.0.2.10:443", "source": "192.0.2.1:5555",
                "probe": {"at": "2026-11-21T12:00:00Z", "outcome": "fail", "reason": "status", "message": "expected status 200-299, got 503", "took_ms": 14.26,
                    "phases": [{"phase": "connect", "took_ms": 1.25}, {"phase": "tls", "took_ms": 8.0}, {"phase": "request", "took_ms": 4.0}, {"phase": "body", "took_ms": 0.5}],
                    "status": 503, "certificate_expires": null},
                "tls": {"name": "api.example.com", "protocol": "TLS 1.3", "cipher": "TLS13_AES_256_GCM_SHA384", "alpn": "http/1.1",
                    "chain": [{"subject": "gw", "issuer": "ca", "names": ["api.example.com"], "from": null, "until": "2026-12-01T12:00:00Z"}]},
                "sent": ["GET /healthcheck HTTP/1.1", "host: api.example.com", "authorization: (hidden)"],
                "head": ["HTTP/1.1 503 Service Unavailable", "content-length: 4"], "body": "down", "body_read": 4,
                "expected": ["status 200-299"], "got": "expected status 200-299, got 503",
                "verdict": "prod/a is up, 2 more fails make it down", "try": ["look at its log", "windrose probes prod/a --failed"]
            }]
        }))
        .unwrap();
        let wanted = "\
prod/a  monitor gateway  192.0.2.10:443 from 192.0.2.1:5555  by node ns1
  connect   1.2 ms
  tls       8.0 ms     TLS 1.3, TLS13_AES_256_GCM_SHA384, http/1.1, for api.example.com
            certificate gw for api.example.com, signed by ca, until 2026-12-01 (10 days)
  request   4.0 ms     GET /healthcheck HTTP/1.1
            > host: api.example.com
            > authorization: (hidden)
  status    HTTP/1.1 503 Service Unavailable
            < content-length: 4
  body      0.5 ms     the first 4 of 4 octets read
            | down
  expected  status 200-299
  got       expected status 200-299, got 503
  verdict   ✖ fail (status) in 14.3 ms; prod/a is up, 2 more fails make it down
  try       look at its log
            windrose probes prod/a --failed
nothing was changed: this probe counts for no verdict, metric or history
";
        assert_eq!(text(&now, Paint::PLAIN), wanted);
    }
}
