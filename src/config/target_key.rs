//! The identity of a target across reloads and restarts: monitor name, address, and a hash of what is asked.
//!
//! Times and thresholds are no part of it: who tunes them while a region is down keeps the verdict, and no dead endpoint answers meanwhile.
//!
//! The hash is written here, over a text written here: neither may change with a compiler or a library, because verdicts are stored under it.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::model::{
    Busy, Check, DegradedRule, DnsCheck, ExecCheck, ExitRule, Family, GrpcCheck, Header, Host, HttpCheck, HttpOutcomes, HttpVersion, Method, Monitor,
    PushCheck, ReportRule, Scheme, Silence, TcpCheck, Thresholds, TlsCheck, TlsTerms, Verify,
};

/// `gateway@192.0.2.10#9f3c52aa01b7d64e`, or `gateway@10.0.0.1:9000#…` if the endpoint has a port of its own for probes. A host name counts, not what it
/// resolves to: `gateway@gw.internal.example#…`, and `gateway@gw.internal.example/ipv6#…` where that family is asked for first, `…/both#…` where both are.
pub(super) fn target_key(monitor: &Monitor, host: &Host, port: Option<u16>) -> String {
    let family = match host {
        Host::Name(_, Family::V6) => "/ipv6",
        Host::Answered(_) => "/both",
        Host::Name(_, Family::V4) | Host::Address(_) => "",
    };
    let reached = host.with_port(port) + family;
    format!("{}@{reached}#{:016x}", monitor.name, fnv1a(question(&monitor.check).as_bytes()))
}

/// FNV-1a, 64 bits.
fn fnv1a(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

/// Everything that makes an outcome or a verdict, without the name: monitors that agree in it share their targets.
pub(super) fn definition(monitor: &Monitor) -> String {
    let Monitor { name, check, source, interval, timeout, thresholds: Thresholds { down_after, ok_after, up_after } } = monitor;
    let warned = check.tls().and_then(|tls| tls.expires_within).map_or(String::new(), |within| format!(" warned={}", within.as_secs()));
    let from = |address: Option<IpAddr>| address.map_or(String::new(), |address| format!(" from={address}"));
    let from = from(source.v4.map(IpAddr::V4)) + &from(source.v6.map(IpAddr::V6));
    let beside = match check {
        // Two who tell are never one, however alike they are.
        Check::Push(PushCheck { ttl, ttl_max, silence }) => {
            let silence = if *silence == Silence::Down { "down" } else { "unknown" };
            format!(" by={} ttl={} max={} silence={silence}", quoted(name), ttl.as_millis(), ttl_max.as_millis())
        }
        // All programs run as the same user, with the same limits.
        _ => check.outcomes().map_or(String::new(), beside),
    };
    format!("{}{warned}{from}{beside} interval={} timeout={} {down_after} {ok_after} {up_after}", question(check), interval.as_nanos(), timeout.as_nanos())
}

/// What a probe asks and expects. Texts carry their length, so that no two look the same.
fn question(check: &Check) -> String {
    match check {
        Check::Always => "always".to_string(),
        Check::Icmp => "icmp".to_string(),
        Check::Exec(ExecCheck { program, arguments, port, exit, terms: _ }) => {
            let arguments: String = arguments.iter().map(|argument| format!(" {}", quoted(argument))).collect();
            let exit = match exit {
                ExitRule::Zero => "zero",
                ExitRule::Nagios { warning_fails: false } => "nagios",
                ExitRule::Nagios { warning_fails: true } => "nagios-strict",
            };
            format!("exec {}{arguments} port={} exit={exit}", quoted(program), port.unwrap_or(0))
        }
        Check::Push(_) => "push".to_string(),
        Check::Tcp(TcpCheck { port, send, expect }) => {
            // A connection alone is written as it always was: what is stored under it stays found.
            let said = |word: &str, said: &Option<String>| said.as_ref().map_or(String::new(), |said| format!(" {word}={}", quoted(said)));
            format!("tcp {port}{}{}", said("send", send), said("expect", expect))
        }
        Check::Tls(TlsCheck { port, tls }) => format!("tls {port} sni={}{}", text(&tls.sni), terms(tls)),
        Check::Dns(DnsCheck { port, name, record_type: (record_type, _), rcode, address }) => {
            let address = address.map_or("-".to_string(), |address| address.to_string());
            format!("dns {port} {} {record_type} rcode={} address={address}", quoted(&name.to_string()), rcode.number())
        }
        Check::Grpc(GrpcCheck { port, service, host, tls }) => {
            let encrypted = tls.as_ref().map_or(String::new(), |tls| format!(" tls sni={}{}", text(&tls.sni), terms(tls)));
            format!("grpc {port} {} host={}{encrypted}", quoted(service), text(host))
        }
        Check::Http(HttpCheck { scheme, version, port, method, body_regex, json, path, host, headers, status, body, tls, outcomes }) => {
            let scheme = match scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
            };
            let headers: String = headers.iter().map(header).collect();
            let status: String = status.iter().map(|range: &RangeInclusive<u16>| format!("{}-{},", range.start(), range.end())).collect();
            let (path, terms) = (quoted(path), terms(tls));
            // What came later is written only where it is used, so that older keys stay found.
            let mut more = String::new();
            if *version != HttpVersion::One {
                more.push_str(&format!(" http={}", version.word()));
            }
            if *method != Method::Get {
                more.push_str(&format!(" method={}", method.word()));
            }
            if let Some(pattern) = body_regex {
                more.push_str(&format!(" regex={}", quoted(pattern.text())));
            }
            for test in json {
                more.push_str(&format!(" json={}", quoted(&test.to_string())));
            }
            if 0 < outcomes.redirects {
                more.push_str(&format!(" redirects={}", outcomes.redirects));
            }
            format!("{scheme} {port} {path} host={} sni={} headers={headers} status={status} body={}{terms}{more}", text(host), text(&tls.sni), text(body))
        }
    }
}

/// What makes degraded and busy outcomes, and what is believed of told weights: no part of the question, so who tunes them keeps the verdict.
fn beside(HttpOutcomes { degraded, report, data_at, load_from, busy, busy_max, redirects: _ }: &HttpOutcomes) -> String {
    let mut text = String::new();
    if let Some(DegradedRule { slower_than, body, json, status, factor }) = degraded {
        let slower_than = slower_than.map_or(0, |slow| slow.as_nanos());
        text.push_str(&format!(" degraded={slower_than},{},{status:?},{factor}", self::text(body)));
        json.iter().for_each(|test| text.push_str(&format!(",{}", quoted(&test.to_string()))));
    }
    if let Some(ReportRule { place, kind, min, max }) = report {
        text.push_str(&format!(" report={},{},{min},{max}", quoted(&place.to_string()), kind.word()));
    }
    if let Some(place) = data_at {
        text.push_str(&format!(" data_at={}", quoted(&place.to_string())));
    }
    if let Some(place) = load_from {
        text.push_str(&format!(" load_from={}", quoted(&place.to_string())));
    }
    if *busy != Busy::Fail {
        text.push_str(&format!(" busy={},{}", busy.word(), busy_max.as_nanos()));
    }
    text
}

/// What is asked of a certificate, beside the name; nothing if only what was always asked. Files count by their names: who replaces an authority
/// that ends, or a client certificate, keeps the verdict. When a certificate's end is warned of is no part of it; when it fails the probe, it is.
fn terms(TlsTerms { sni: _, verify, ca, identity, expires_within, expiry_down }: &TlsTerms) -> String {
    let mut terms = String::new();
    if *verify != Verify::Full {
        terms.push_str(&format!(" verify={}", verify.word()));
    }
    if let Some(ca) = ca {
        terms.push_str(&format!(" ca={}", quoted(&ca.file)));
    }
    if let Some(identity) = identity {
        terms.push_str(&format!(" cert={} key={}", quoted(&identity.cert), quoted(&identity.key)));
    }
    if let Some(within) = expires_within.filter(|_| *expiry_down) {
        terms.push_str(&format!(" lasts={}", within.as_secs()));
    }
    terms
}

/// A value from a file counts by the file's name: who renews a token keeps the verdict, and nothing stored depends on a secret that lay in a file.
fn header(Header { name, value, file }: &Header) -> String {
    match file {
        None => format!("{}:{},", quoted(name), quoted(value.expose())),
        Some(file) => format!("{}:file={},", quoted(name), quoted(file)),
    }
}

/// Length and text, or `-`.
fn text(text: &Option<String>) -> String {
    text.as_ref().map_or("-".to_string(), |text| quoted(text))
}

/// Length and text: `5:hello`.
fn quoted(text: &str) -> String {
    format!("{}:{text}", text.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn fnv1a_gives_the_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// Stored verdicts are found under this key: if it must change, stores must be migrated.
    #[test]
    fn the_key_of_a_definition_never_changes() {
        let http = HttpCheck {
            headers: vec![Header { name: "X-A".to_string(), value: crate::model::Secret::new("b".to_string()), file: None }],
            body: Some("<status>ok</status>".to_string()),
            ..HttpCheck::get(Scheme::Http, 8080, "/healthcheck")
        };
        let monitor = Monitor {
            name: "gateway".to_string(),
            check: Check::Http(http),
            source: Default::default(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            thresholds: Thresholds::default(),
        };
        let host = Host::Address("192.0.2.10".parse().unwrap());
        let key = target_key(&monitor, &host, None);
        assert_eq!(
            definition(&monitor),
            "http 8080 12:/healthcheck host=- sni=- headers=3:X-A:1:b, status=200-299, body=19:<status>ok</status> interval=10000000000 timeout=3000000000 3 5 5"
        );
        assert_eq!(key, format!("gateway@192.0.2.10#{:016x}", fnv1a(question(&monitor.check).as_bytes())));
        let tuned = Monitor { interval: Duration::from_secs(9), thresholds: Thresholds { down_after: 2, ..Thresholds::default() }, ..monitor.clone() };
        assert_eq!(target_key(&tuned, &host, None), key, "tuning keeps the verdict");
        assert_ne!(definition(&tuned), definition(&monitor), "but it is not the same monitor");
        let other = Monitor { check: Check::Tcp(TcpCheck::connect(8080)), ..monitor };
        assert_ne!(target_key(&other, &host, None), key);
    }
}
