//! Probes: what they found, the last ones of an endpoint, and one run now to be looked at.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::{BodyDetail, CertificateDetail, DataAt, Examination, LoadRead, Outcome, Past, ProbeDetail, ProbeReport, Reason, Reported, TlsDetail};

use super::{Time, schema};

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// When it ended.
    pub at: Time,
    /// `pass`, `degraded`, `busy` or `fail`.
    pub outcome: String,
    /// Why it failed: `resolve`, `timeout`, `refused`, `unreachable`, `reset`, `tls`, `protocol`, `status`, `body`, `exit`, `pushed`, `silence`, `internal`.
    pub reason: Option<String>,
    /// One sentence: what was expected, what came.
    pub message: Option<String>,
    /// From start to end, milliseconds.
    pub took_ms: f64,
    /// Each phase that was entered, in order.
    pub phases: Vec<ProbePhase>,
    /// HTTP status code, if one came.
    pub status: Option<u16>,
    /// When the certificate expires, if TLS was spoken.
    pub certificate_expires: Option<Time>,
    /// What is not wrong yet and should be looked at: a certificate that ends within `expires_within`, a host name that can't be resolved any more, a told weight that can't be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What the target's host name was resolved to, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
}

/// The addresses of a host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// In the order in which they are tried.
    pub addresses: Vec<String>,
    /// When the resolver said so.
    pub at: Time,
}

impl From<&crate::health::Resolved> for Resolved {
    fn from(resolved: &crate::health::Resolved) -> Self {
        Self { addresses: resolved.addresses.iter().map(ToString::to_string).collect(), at: resolved.at.into() }
    }
}

/// A part of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbePhase {
    /// `resolve`, `connect`, `tls`, `request`, `body`.
    pub phase: String,
    /// Milliseconds.
    pub took_ms: f64,
}

/// With microseconds and no more.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

impl From<&ProbeReport> for Probe {
    fn from(report: &ProbeReport) -> Self {
        let ProbeReport { outcome, at, took, phases, status, certificate_expires, warning, resolved, reported, data_at, load } = report;
        let reason = if let Outcome::Fail { reason, .. } = outcome { Some(reason.word().to_string()) } else { None };
        let no_time = if let Some(DataAt::Useless(why)) = data_at { Some(why.clone()) } else { None };
        let no_load = if let Some(LoadRead::Useless(why)) = load { Some(why.clone()) } else { None };
        let untold = if let Some(Reported::Useless(why)) = reported { Some(why.clone()) } else { None };
        Self {
            at: (*at).into(),
            outcome: outcome.word().to_string(),
            reason,
            message: outcome.message().map(str::to_string),
            took_ms: milliseconds(*took),
            phases: phases.iter().map(|(phase, took)| ProbePhase { phase: phase.word().to_string(), took_ms: milliseconds(*took) }).collect(),
            status: *status,
            certificate_expires: certificate_expires.map(Time),
            warning: [warning.clone(), untold, no_time, no_load].into_iter().flatten().reduce(|first, second| format!("{first}; {second}")),
            resolved: resolved.as_deref().map(Resolved::from),
        }
    }
}

/// `GET /endpoints/{pool}/{name}/probes`: a probe of the past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PastProbe {
    /// When it ended.
    pub at: Time,
    /// Of which monitor.
    pub monitor: String,
    /// `pass` or `fail`.
    pub outcome: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// One sentence.
    pub message: Option<String>,
    /// HTTP status code of a fail, if one came.
    pub status: Option<u16>,
    /// From start to end, milliseconds; to a tenth.
    pub took_ms: f64,
}

impl PastProbe {
    /// For `monitor`.
    pub fn of(past: &Past<'_>, monitor: &str) -> Self {
        Self {
            at: past.moment.at().into(),
            monitor: monitor.to_string(),
            outcome: if past.said.is_some() { "fail" } else { "pass" }.to_string(),
            reason: past.said.map(|said| said.reason.word().to_string()),
            message: past.said.map(|said| said.message.to_string()),
            status: past.said.and_then(|said| said.status),
            took_ms: milliseconds(past.moment.took()),
        }
    }
}

/// `?outcome=fail&limit=50`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbesQuery {
    /// `pass` or `fail`; by default both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(pass|fail)$"))]
    pub outcome: Option<String>,
    /// Most entries; 50 by default, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `POST /probe`: any monitor and any address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbePost {
    /// A monitor's name, or its keys as in the file: `{"url": "http://{address}:8080/", "timeout": "2s"}`. Keys that read files are the file's alone.
    #[schemars(schema_with = "schema::monitor")]
    pub monitor: serde_json::Value,
    /// Where to: an IP address, perhaps with a port that stands for the monitor's.
    pub address: String,
}

/// `POST /endpoints/{pool}/{name}/probe` and `POST /probe`: a probe was run, without effect on anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeNow {
    /// The node that has probed; `null`: the command's own machine.
    pub node: Option<String>,
    /// `pool/name`; `null`: an address was given.
    pub endpoint: Option<String>,
    /// One for each target that judges the endpoint, mostly one.
    pub probes: Vec<Examined>,
}

/// One probe with everything that it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Examined {
    /// Its monitor's name; `null`: the monitor was given with the request.
    pub monitor: Option<String>,
    /// Where to.
    pub address: String,
    /// As any probe.
    pub probe: Probe,
    /// Our address and port.
    pub source: Option<String>,
    /// The TLS handshake, as far as it came.
    pub tls: Option<TlsSeen>,
    /// What was sent, line by line; values that may be secret are hidden.
    pub sent: Vec<String>,
    /// What came before the body, line by line.
    pub head: Vec<String>,
    /// The first 256 octets of what came then, control characters made harmless.
    pub body: Option<String>,
    /// Octets that were read of it.
    pub body_read: Option<u64>,
    /// What had to come.
    pub expected: Vec<String>,
    /// What came.
    pub got: String,
    /// What more outcomes like this would do: `prod/a is down, 3 more passes make it up`; `null`: it is nobody's target.
    pub verdict: Option<String>,
    /// What to try next.
    #[serde(rename = "try")]
    pub advice: Vec<String>,
}

/// A TLS handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsSeen {
    /// The name that was sent and verified.
    pub name: String,
    /// `TLS 1.3`; `null`: the handshake was not completed.
    pub protocol: Option<String>,
    /// Cipher suite.
    pub cipher: Option<String>,
    /// What was agreed on by ALPN.
    pub alpn: Option<String>,
    /// What the peer showed, its own certificate first.
    pub chain: Vec<CertificateSeen>,
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateSeen {
    /// Common name, or organisation.
    pub subject: String,
    /// Of whoever signed it.
    pub issuer: String,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// Not valid before.
    pub from: Option<Time>,
    /// Not valid after.
    pub until: Option<Time>,
}

impl Examined {
    /// Of a monitor (`None`: given with the request), for an endpoint if there is one.
    pub fn new(examination: &Examination, (monitor, address): (Option<&str>, String), endpoint: Option<&str>, verdict: Option<String>) -> Self {
        let Examination { report, detail } = examination;
        let ProbeDetail { peer, source, tls, sent, head, body, expected } = detail.clone();
        let got = match &report.outcome {
            Outcome::Fail { message, .. } | Outcome::Degraded { message } | Outcome::Busy { message, .. } => message.clone(),
            Outcome::Pass => head.first().cloned().unwrap_or_else(|| "as expected".to_string()),
        };
        let (body, body_read) = body.map(|BodyDetail { text, read }| (text, read)).unzip();
        let reached = peer.map_or(address, |peer| peer.to_string());
        Self {
            monitor: monitor.map(str::to_string),
            advice: advice(report, &reached, tls.as_ref(), endpoint),
            address: reached,
            probe: report.into(),
            source: source.map(|source| source.to_string()),
            tls: tls.map(TlsSeen::from),
            sent,
            head,
            body,
            body_read,
            expected,
            got,
            verdict,
        }
    }
}

impl From<TlsDetail> for TlsSeen {
    fn from(detail: TlsDetail) -> Self {
        let TlsDetail { name, protocol, cipher, alpn, chain } = detail;
        let certificate = |CertificateDetail { subject, issuer, names, from, until }| CertificateSeen {
            subject,
            issuer,
            names,
            from: from.map(Time),
            until: until.map(Time),
        };
        Self { name, protocol, cipher, alpn, chain: chain.into_iter().map(certificate).collect() }
    }
}

/// One or two things to try, by what failed.
fn advice(report: &ProbeReport, address: &str, tls: Option<&TlsDetail>, endpoint: Option<&str>) -> Vec<String> {
    let Outcome::Fail { reason, message } = &report.outcome else { return Vec::new() };
    let phase = report.phases.last().map_or("", |(phase, _)| phase.word());
    // An IPv6 address without a port has colons, too.
    let (host, port) = address.rsplit_once(':').filter(|_| address.parse::<IpAddr>().is_err()).unwrap_or((address, ""));
    let host = host.trim_matches(['[', ']']);
    let name = tls.map_or("NAME", |tls| tls.name.as_str());
    let mut all: Vec<String> = match (reason, phase) {
        (Reason::Resolve, _) => vec![
            format!("on the node that probes: getent hosts {host}; does the name exist, and has it an address?"),
            "do the servers that were asked answer? Others, or more time: `servers` and `timeout` in [resolver]".to_string(),
        ],
        (Reason::Timeout, _) if message.starts_with("no echo reply") => {
            vec![format!("a firewall may drop echoes on the way, or the host is down: ping {host}; traceroute {host}")]
        }
        (Reason::Timeout, _) if message.contains("and was killed") => {
            vec!["run the program by hand, as the user of [probe] exec: what does it wait for?".to_string(), "or give it more time: `timeout`".to_string()]
        }
        (Reason::Timeout, "connect") => vec![
            format!("a firewall may drop packets on the way, or the host is down: ping {host}; traceroute -T -p {port} {host}"),
            format!("on {host}: is anything listening? ss -ltn 'sport = :{port}'"),
        ],
        (Reason::Timeout, "tls") => vec![
            "the peer accepted and did not begin TLS: is this the TLS port, and is the process stuck?".to_string(),
            format!("openssl s_client -connect {address} -servername {name}"),
        ],
        (Reason::Timeout, _) => {
            vec![
                "the peer is there and slow: look at its load and at what its health check waits for".to_string(),
                "or give it more time: `timeout`".to_string(),
            ]
        }
        (Reason::Refused, _) => vec![
            format!("nothing listens there, or a firewall rejects: on {host}: ss -ltn 'sport = :{port}'"),
            "is the port of the monitor (or of the endpoint's `connect`) right?".to_string(),
        ],
        (Reason::Unreachable, _) => vec![format!("this node has no way there: ip route get {host}"), format!("ping {host}")],
        (Reason::Reset, "connect") => vec![format!("something on the way cuts connections: a firewall, or a full backlog on {host}")],
        (Reason::Reset, _) => vec![
            "the peer hung up: does it speak the protocol that the monitor speaks (http or https)?".to_string(),
            format!("its log says why; look for a request from {} at that time", crate_agent()),
        ],
        (Reason::Tls, _) if message.contains("expired") => {
            vec![
                "renew the certificate on the gateway and reload it there".to_string(),
                format!("openssl s_client -connect {address} -servername {name} | openssl x509 -noout -dates"),
            ]
        }
        (Reason::Tls, _) if message.contains("expected a certificate for") => {
            vec![format!("set `sni` or `host` of the monitor to a name on the certificate, or get one for {name}")]
        }
        (Reason::Tls, _) if message.contains("unknown issuer") => {
            vec![
                "does the gateway send its whole chain? The certificates above are all that came".to_string(),
                "an authority of your own: ca = \"FILE.pem\" in the monitor".to_string(),
            ]
        }
        (Reason::Tls, _) => vec![format!("openssl s_client -connect {address} -servername {name}")],
        (Reason::Protocol, _) => vec!["something else than expected listens there: is the port right, and http or https?".to_string()],
        (Reason::Status, _) if message.contains("location:") => {
            vec!["the peer redirects; probe the place it points to, or accept the status: status = [\"200-399\"]".to_string()]
        }
        (Reason::Status, _) => vec!["the gateway answers and says that it is not well: its own log knows why".to_string()],
        (Reason::Body, _) => vec!["the body above is what the gateway says; is that the page, and the text, that the monitor means?".to_string()],
        (Reason::Exit, _) => vec!["the program says so: run it by hand, as the user of [probe] exec and with the address that it is given".to_string()],
        (Reason::Pushed, _) => vec!["an outside system said so, and it alone knows why; it takes it back by telling that all is well".to_string()],
        (Reason::Silence, _) => vec![
            "does the outside system that tells still run, and does it reach this node's API? Its log, or the answer to its POST, says so".to_string(),
            "or let what it tells hold for longer: `ttl`".to_string(),
        ],
        (Reason::Internal, _) if message.contains("[probe] allow") => vec!["see docs/doctor.md, \"Where probes may go\"".to_string()],
        (Reason::Internal, _) => vec!["this is about the node that probes, not about the gateway: look at its limits and its log".to_string()],
    };
    all.extend(endpoint.map(|endpoint| format!("windrose probes {endpoint} --failed")));
    all
}

/// Who probes say they are.
fn crate_agent() -> &'static str {
    concat!("windrose/", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Phase;
    use crate::model::Timestamp;

    #[test]
    fn every_reason_has_something_to_try() {
        for reason in Reason::ALL {
            for phase in [Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Request, Phase::Body] {
                let outcome = Outcome::Fail { reason, message: "what happened".into() };
                let phases = vec![(phase, Duration::ZERO)];
                let report = ProbeReport { phases, ..ProbeReport::new(outcome, Timestamp(1), Duration::ZERO) };
                let all = advice(&report, "[2001:db8::1]:443", None, Some("prod/a"));
                assert!(all.len() >= 2 && all.last().is_some_and(|last| last == "windrose probes prod/a --failed"), "{reason:?} {phase:?}: {all:?}");
                assert!(!all.join(" ").contains("2001:db8::1]") || all.join(" ").contains("[2001:db8::1]:443"), "{all:?}");
            }
        }
    }
}
