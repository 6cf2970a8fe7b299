//! `[node] [dns] [admin] [metrics] [store] [outcomes] [decisions]`: how this node runs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::file::{Admin, Audit, Decisions, Dns, Metrics, Node, Outcomes, Store, Tls};
use crate::config::problem::Sink;
use crate::config::read::{At, Entry, Key, Named, SubjectGrant};
use crate::model::{AdminSettings, DecisionSettings, DnsSettings, MetricsSettings, NodeSettings, OutcomeSettings, Settings, StoreSettings, Subject, TlsFiles};

use super::number;

/// The tables as read.
pub(super) struct Tables {
    pub node: Key<Node>,
    pub dns: Key<Dns>,
    pub admin: Key<Admin>,
    pub metrics: Key<Metrics>,
    pub store: Key<Store>,
    pub outcomes: Key<Outcomes>,
    pub decisions: Key<Decisions>,
    pub audit: Key<Audit>,
}

pub(super) fn check(tables: Tables, folder: &Path, sink: &mut Sink<'_>) -> Settings {
    let Tables { node, dns, admin, metrics, store, outcomes, decisions, audit } = tables;
    let Metrics { listen, services_max, endpoints_max } = metrics.or_default();
    let Store { path } = store.or_default();
    let services_max = number(&services_max, 0..=1_000_000, 1000, "metrics.services_max", sink);
    let endpoints_max = number(&endpoints_max, 0..=1_000_000, 1000, "metrics.endpoints_max", sink);
    Settings {
        node: check_node(node.or_default(), sink),
        dns: check_dns(dns.or_default(), sink),
        admin: check_admin(admin.or_default(), folder, sink),
        metrics: MetricsSettings {
            listen: listen.take().map_or(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9153))), |listen| listen.0),
            services_max: usize::try_from(services_max).unwrap_or(1000),
            endpoints_max: usize::try_from(endpoints_max).unwrap_or(1000),
        },
        store: StoreSettings { path: folder.join(path.or("/var/lib/windrose".to_string())) },
        outcomes: check_outcomes(outcomes.or_default(), sink),
        decisions: check_decisions(decisions.or_default(), sink),
        audit: super::telling::audit(audit, sink),
    }
}

fn check_outcomes(outcomes: Outcomes, sink: &mut Sink<'_>) -> OutcomeSettings {
    let Outcomes { keep, mib_max } = outcomes;
    let OutcomeSettings { keep: days, octets_max } = OutcomeSettings::default();
    let (keep, octets_max) = check_log("outcomes", &keep, &mib_max, (days, octets_max), sink);
    OutcomeSettings { keep, octets_max }
}

fn check_decisions(decisions: Decisions, sink: &mut Sink<'_>) -> DecisionSettings {
    let Decisions { keep, mib_max } = decisions;
    let DecisionSettings { keep: days, octets_max } = DecisionSettings::default();
    let (keep, octets_max) = check_log("decisions", &keep, &mib_max, (days, octets_max), sink);
    DecisionSettings { keep, octets_max }
}

/// How long a log is kept, and how large it may become, octets.
fn check_log(table: &str, keep: &Key<Duration>, mib_max: &Key<i64>, default: (Duration, u64), sink: &mut Sink<'_>) -> (Duration, u64) {
    let sensible = |keep: Duration| keep.is_zero() || (Duration::from_secs(3_600)..=Duration::from_secs(400 * 86_400)).contains(&keep);
    if let Some(wrong) = keep.get().filter(|keep| !sensible(keep.value)) {
        sink.problem(&wrong.span, format!("{table}.keep"), "not between an hour and 400 days", "\"7d\" by default; \"0s\" records nothing");
    }
    let mib = number(mib_max, 1..=4_096, (default.1 >> 20) as i64, format!("{table}.mib_max"), sink);
    (keep.get().map_or(default.0, |keep| keep.value), u64::try_from(mib).unwrap_or(64) << 20)
}

fn check_node(node: Node, sink: &mut Sink<'_>) -> NodeSettings {
    let Node { name, stale_after } = node;
    if let Some(name) = name.get()
        && (name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(|octet| octet.is_ascii_graphic()))
    {
        sink.problem(&name.span, "node.name", "not a name for a node", "1 to 64 visible ASCII characters: it stands in logs, labels and NSID");
    }
    if let Some(stale) = stale_after.get().filter(|stale| stale.value > Duration::from_secs(7 * 86_400)) {
        sink.problem(&stale.span, "node.stale_after", "longer than a week", "stored verdicts get old: \"10m\" by default");
    }
    NodeSettings { name: name.take().unwrap_or_else(host_name), stale_after: stale_after.or(Duration::from_secs(600)) }
}

/// The host's name as Linux tells it in files.
pub(super) fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_string())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "windrose".to_string())
}

fn check_dns(dns: Dns, sink: &mut Sink<'_>) -> DnsSettings {
    // The others shape responses: see `answering`.
    let Dns { listen, workers, reveal: _, explain: _, cookies: _, rate_limit: _, ecs: _ } = dns;
    let workers = number(&workers, 0..=1024, 0, "dns.workers", sink);
    let mut addresses = Vec::new();
    for (index, listen) in listen.get().map(|listen| &listen.value.0[..]).unwrap_or_default().iter().enumerate() {
        let Some(At { value, span }) = listen.get() else { continue };
        // Port 0 is any free one; two of them are two.
        if value.port() != 0 && addresses.contains(value) {
            sink.problem(span, format_args!("dns.listen[{index}]"), format!("`{value}` stands twice"), "remove one");
        }
        addresses.push(*value);
    }
    if let Some(listen) = listen.get().filter(|listen| listen.value.0.is_empty()) {
        sink.problem(&listen.span, "dns.listen", "no address to listen on", "remove the key for [\"0.0.0.0:53\", \"[::]:53\"]");
    }
    if listen.is_absent() {
        addresses = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 53)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 53))];
    }
    DnsSettings { listen: addresses, workers: usize::try_from(workers).unwrap_or(0) }
}

/// Told by `check` rather than when the daemon starts.
fn pem_problem(path: &Path, span: &Range<usize>, key: &str, read: &dyn Fn(&[u8]) -> Result<(), Unusable>, sink: &mut Sink<'_>) {
    let at = format!("admin.tls.{key}");
    match std::fs::read(path) {
        Err(why) => {
            let help = "a path is relative to this file; the user that runs windrose must be allowed to read it";
            sink.problem(span, at, format!("`{}` can't be read: {why}", path.display()), help);
        }
        Ok(octets) => {
            if let Err((why, help)) = read(&octets) {
                sink.problem(span, at, format!("`{}` {why}", path.display()), help);
            }
        }
    }
}

/// What is wrong with a PEM file, and the way out.
type Unusable = (&'static str, &'static str);

fn pem_certificates(octets: &[u8]) -> Result<(), Unusable> {
    let found = CertificateDer::pem_slice_iter(octets).try_fold(0_usize, |count, item| item.map(|_| count + 1));
    match found {
        Ok(0) => Err(("has no certificate", "a PEM file with the server's certificate first, then its chain: -----BEGIN CERTIFICATE-----")),
        Ok(_) => Ok(()),
        Err(_) => Err(("is damaged: a PEM section is cut off or not base64", "copy the file again, from the first -----BEGIN to the last -----END line")),
    }
}

fn pem_key(octets: &[u8]) -> Result<(), Unusable> {
    match PrivateKeyDer::from_pem_slice(octets) {
        Ok(_) => Ok(()),
        Err(pem::Error::NoItemsFound) => Err(("has no private key", "a PEM file with the certificate's key, not encrypted: -----BEGIN PRIVATE KEY-----")),
        Err(_) => Err(("is damaged: a PEM section is cut off or not base64", "copy the file again, from the first -----BEGIN to the last -----END line")),
    }
}

/// `CN=…`, or `DNS:…` and its like.
fn subject_form(name: &str) -> bool {
    let of = |separator, words: &[&str]| name.split_once(separator).is_some_and(|(word, rest)| !rest.is_empty() && (words.is_empty() || words.contains(&word)));
    of(':', &["DNS", "URI", "EMAIL", "IP"]) || of('=', &[])
}

fn check_admin(admin: Admin, folder: &Path, sink: &mut Sink<'_>) -> AdminSettings {
    let Admin { listen, socket, tls, hosts } = admin;
    if let Some(listen) = listen.get().filter(|listen| !listen.value.ip().is_loopback() && tls.is_absent()) {
        sink.problem(
            &listen.span,
            "admin.listen",
            "beyond loopback the admin API needs TLS: tokens would cross the network in the clear",
            "add to [admin]: tls = { cert = \"/etc/windrose/admin.crt\", key = \"/etc/windrose/admin.key\" }",
        );
    }
    let tls_span = tls.get().map(|tls| tls.span.clone()).unwrap_or_default();
    let tls = tls.take().map(|Tls { cert, key, client_ca, subjects }| {
        let mut file = |key: Key<String>, name: &str| {
            if key.is_absent() {
                sink.missing(&tls_span, format_args!("admin.tls.{name}"), format!("`{name}` is missing"), "tls = { cert = \"chain.pem\", key = \"key.pem\" }");
            }
            let span = key.get().map(|key| key.span.clone());
            (folder.join(key.or_default()), span)
        };
        let ((cert, cert_span), (key, key_span)) = (file(cert, "cert"), file(key, "key"));
        if let Some(span) = &cert_span {
            pem_problem(&cert, span, "cert", &pem_certificates, sink);
        }
        if let Some(span) = &key_span {
            pem_problem(&key, span, "key", &pem_key, sink);
        }
        let subjects_span = subjects.get().map(|subjects| subjects.span.clone());
        let client_ca = client_ca.take_at().map(|At { value, span }| {
            let path = folder.join(value);
            pem_problem(&path, &span, "client_ca", &pem_certificates, sink);
            if subjects_span.is_none() {
                let help = "add [admin.tls.subjects] with lines such as \"CN=ci,O=Example\" = \"operate\"";
                sink.warning(&span, "admin.tls.client_ca", "nobody is named who may come with such a certificate", help);
            }
            path
        });
        if let (None, Some(span)) = (&client_ca, &subjects_span) {
            sink.problem(span, "admin.tls.subjects", "without client_ca nobody is asked for a certificate", "add client_ca = \"/etc/windrose/clients.pem\" to [admin.tls]");
        }
        let subjects = subjects.take().map(|Named(subjects)| subjects).unwrap_or_default();
        let subjects = subjects.into_iter().map(|Entry { name, span, value: SubjectGrant { scope, services } }| {
            if !subject_form(&name) {
                let help = "a subject as `windrose check` and openssl show it (\"CN=ci,O=Example\"), or a name: \"DNS:ci.example.com\", \"URI:spiffe://…\", \"EMAIL:…\", \"IP:192.0.2.1\"";
                sink.problem(&span, format_args!("admin.tls.subjects.{name:?}"), "not a subject or an alternative name", help);
            }
            Subject { name, scope, services: services.into_iter().map(Into::into).collect() }
        });
        TlsFiles { cert, key, client_ca, subjects: subjects.collect() }
    });
    let hosts = hosts.get().map(|hosts| &hosts.value.0[..]).unwrap_or_default();
    for (index, host) in hosts.iter().enumerate() {
        if let Some(host) = host.get().filter(|host| host.value.is_empty() || !host.value.bytes().all(|o| o.is_ascii_alphanumeric() || b".-_".contains(&o))) {
            sink.problem(&host.span, format_args!("admin.hosts[{index}]"), "not a host name", "write it without scheme and port: \"windrose.example.com\"");
        }
    }
    AdminSettings {
        listen: listen.or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8090))),
        socket: socket.take().map_or_else(|| PathBuf::from("/run/windrose/admin.sock"), |socket| folder.join(socket)),
        tls,
        hosts: hosts.iter().filter_map(|host| host.get()).map(|host| host.value.to_ascii_lowercase()).collect(),
    }
}
