//! Configurations from text to meaning, as tables: every problem with its place, and what a good file comes to.

mod composites;
mod failback;
mod gitops;
mod kinds;
mod meant;
mod monitors;
mod order;
mod outcomes;
mod resolver;
mod secondaries;
mod told;

use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{AllDown, Check, Fading, Failback, Family, GuardRules, LatencyRules, Watch};

const ZONE: &str =
    "$TTL 1h\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 192.0.2.53\nold A 192.0.2.9\nalias CNAME b.test.\ncut NS ns.other.test.\nnear TXT x\n";

/// A folder with the files that tests name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("z"), ZONE).unwrap();
    std::fs::write(folder.path().join("broken"), format!("{ZONE}x A 1.2.3\n")).unwrap();
    std::fs::write(folder.path().join("names"), "a.example.com # first\n\n  # nothing\nb.example.com\n").unwrap();
    std::fs::write(folder.path().join("wrong-names"), "a.example.com\n a..b\nA.example.com\nx.other.test\n").unwrap();
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMAMCAQE=\n-----END {label}-----\n");
    std::fs::write(folder.path().join("cert.pem"), pem("CERTIFICATE").repeat(2)).unwrap();
    std::fs::write(folder.path().join("key.pem"), pem("PRIVATE KEY")).unwrap();
    std::fs::write(folder.path().join("cut.pem"), "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n").unwrap();
    std::fs::write(folder.path().join("encrypted.pem"), pem("ENCRYPTED PRIVATE KEY")).unwrap();
    std::fs::write(folder.path().join("no-names"), "# none\n").unwrap();
    folder
}

fn try_load(text: &str) -> Result<Loaded, Problems> {
    let folder = folder();
    load_text(text, &folder.path().join("w.toml"))
}

/// With the line that every file needs, if it is not there; lines move by one.
fn with_schema(text: &str) -> String {
    if text.starts_with("schema") { text.to_string() } else { format!("schema = 1\n{text}") }
}

fn good(text: &str) -> Loaded {
    try_load(&with_schema(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Line, column, path, message; the folder's own path cut away. That texts here have no `schema` is not told: it would move their lines.
fn problems(text: &str) -> Vec<(u32, u32, String, String)> {
    let folder = folder();
    let found = match load_text(text, &folder.path().join("w.toml")) {
        Ok(_) => Vec::new(),
        Err(Problems(found)) => found,
    };
    let cut = format!("{}/", folder.path().display());
    let found = found.into_iter().filter(|problem| problem.message != "`schema` is missing");
    found.map(|problem| (problem.line, problem.column, problem.path, problem.message.replace(&cut, ""))).collect()
}

/// Lines 1 to 8 of most texts here.
const BASE: &str = "[zone.'example.com']
file = 'z'
[monitor.m]
url = 'http://{address}/'
[pool.a]
monitor = 'm'
endpoints = ['192.0.2.1']
[pool.b]\nmonitor = 'm'\nendpoints = ['192.0.2.2']
";

/// Line of the first line after [`BASE`].
const AFTER: u32 = 11;

#[test]
fn the_shipped_file_loads_without_a_warning() {
    let loaded = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/windrose.toml"))).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.estate.services.len(), 4);
    assert_eq!(loaded.zones.len(), 1);
    assert_eq!(loaded.files.len(), 2);
    println!("{}", summary(&loaded));
}

#[test]
fn what_the_shipped_file_shows_as_defaults_are_the_defaults() {
    let shipped = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/windrose.toml"))).unwrap();
    let none = good(&format!("{BASE}[service.orders]\nname = 'orders.example.com'\npolicy = {{ weighted = {{ a = 80, b = 20 }} }}\n"));
    let Settings { node, dns, admin, metrics, store, outcomes, audit } = shipped.settings;
    assert_eq!(node.stale_after, none.settings.node.stale_after);
    assert!(!none.settings.node.name.is_empty());
    assert_eq!((dns, admin, metrics, store), (none.settings.dns, none.settings.admin, none.settings.metrics, none.settings.store));
    assert_eq!((outcomes, audit), (none.settings.outcomes, none.settings.audit));
    let (gateway, default) = (&shipped.estate.monitors[0], &none.estate.monitors[0]);
    assert_eq!((gateway.interval, gateway.timeout, gateway.thresholds), (default.interval, default.timeout, default.thresholds));
    let status = |check: &Check| match check {
        Check::Http(http) => http.status.clone(),
        _ => vec![],
    };
    assert_eq!(status(&gateway.check), status(&default.check));
    let (orders, default) = (&shipped.estate.services[0], &none.estate.services[0]);
    assert_eq!((orders.ttl, orders.ttl_min, orders.max_answers), (default.ttl, default.ttl_min, default.max_answers));
    assert_eq!((shipped.estate.guard, shipped.estate.guard), (none.estate.guard, GuardRules::default()));
    assert_eq!((shipped.estate.latency, none.estate.latency), (LatencyRules::default(), LatencyRules::default()));
    assert_eq!((shipped.estate.fading, none.estate.fading), (Fading::default(), Fading::default()));
    assert_eq!((orders.failback, orders.when_all_down, orders.metrics), (default.failback, default.when_all_down, default.metrics));
    assert_eq!((orders.ttl, orders.ttl_min, orders.max_answers, orders.failback), (30, 5, 8, Failback::After(Duration::from_secs(60))));
}

#[test]
fn every_problem_is_told_with_its_place() {
    let service = |keys: &str| format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = 'a'\n{keys}\n");
    let policy = |policy: &str| format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = {policy}\n");
    let monitor = |keys: &str| format!("[monitor.m]\n{keys}\n");
    let pool = |keys: &str| format!("{BASE}[pool.p]\n{keys}\n");
    let named = |policies: &str| format!("{BASE}{policies}\n");
    let after = AFTER;
    let cases: Vec<(String, u32, u32, &str, &str)> = vec![
        // Syntax and keys.
        ("schema = 2\n".into(), 1, 10, "schema", "schema 2 is not known"),
        ("scheme = 1\n".into(), 1, 1, "scheme", "unknown key"),
        ("[node]\nnane = 'x'\n".into(), 2, 1, "node.nane", "unknown key"),
        ("[node]\nname = 1\n".into(), 2, 8, "node.name", "expected text in quotes, found a whole number"),
        ("[node]\nname = 'a'\nname = 'b'\n".into(), 3, 1, "", "duplicate key"),
        ("[node]\nname = x\n".into(), 2, 8, "", "string values must be quoted"),
        ("node = 1\n".into(), 1, 8, "node", "expected a table, found a whole number"),
        ("[[node]]\n".into(), 1, 1, "node", "expected one table, found a list"),
        // Not yet.
        ("[node]\nsite = 'x'\n".into(), 2, 1, "node.site", "`site` is not supported yet"),
        ("[store]\netcd = ['x']\n".into(), 2, 1, "store.etcd", "`etcd` is not supported yet"),
        (monitor("all = ['m']\nalways = 'up'"), 2, 7, "monitor.m.all", "a monitor is of one kind, not always and all"),
        ("[guards]\nmax_step = 0\n".into(), 2, 12, "guards.max_step", "0 is out of range"),
        ("[guards]\ngate = 'relase'\n[gate.release]\n".into(), 2, 8, "guards.gate", "no gate is called `relase`"),
        ("[region.x]\ncapacity = 101\n".into(), 2, 12, "region.x.capacity", "101 is out of range"),
        ("[region.x]\ncapacity = { nobody = 5 }\n".into(), 2, 14, "region.x.capacity.nobody", "no service is called `nobody`"),
        ("[region.x.guards]\nrate = 5\n".into(), 2, 8, "region.x.guards.rate", "`rate` counts for a service, not for a region"),
        ("[region.x.guards]\nbreak_glass_confirm = true\n".into(), 2, 23, "region.x.guards.break_glass_confirm", "`break_glass_confirm` counts for everything"),
        ("[[freeze]]\nfrom = 'fri 16:00'\nto = '2026-12-20T00:00:00Z'\n".into(), 3, 6, "freeze[0].to", "one end is a date, the other a day of the week"),
        ("[[freeze]]\nfrom = 2026-12-21T00:00:00Z\nto = 2026-12-20T00:00:00Z\n".into(), 3, 6, "freeze[0].to", "the freeze ends before it begins"),
        ("[plan.a]\nhold = '1m'\n".into(), 1, 7, "plan.a", "`steps` is missing"),
        ("[plan.a]\nsteps = [5, 'x', 100]\n".into(), 2, 13, "plan.a.steps", "`x` is not a step"),
        ("[plan.a]\nsteps = [50, 25, 100]\n".into(), 2, 9, "plan.a.steps", "step 25 % comes after 50 %; steps rise"),
        ("[plan.a]\nsteps = [100]\nabort_when = ['target_unhealhty']\n".into(), 3, 15, "plan.a.abort_when", "`target_unhealhty` does not end a shift"),
        ("[plan.a]\nsteps = [100]\nanalyses = 'errors'\n".into(), 3, 12, "plan.a.analyses", "no analysis is called `errors`"),
        ("[analysis.a]\nslo = true\n".into(), 1, 11, "analysis.a", "`max` is missing"),
        ("[analysis.a]\nmax = 1\n".into(), 1, 11, "analysis.a", "an analysis measures exactly one thing"),
        (
            "[analysis.a]\nprometheus = 'localhost'\nquery = 'up'\nmax = 1\n".into(),
            2,
            14,
            "analysis.a.prometheus",
            "`localhost` is not the address of a Prometheus",
        ),
        ("[analysis.a]\nsplit = true\nmax = 'much'\n".into(), 3, 7, "analysis.a.max", "expected a number"),
        ("[[freeze]]\nfrom = 'soon'\nto = 'mon 06:00'\n".into(), 2, 8, "freeze[0].from", "`soon` is not a moment"),
        ("[[freeze]]\nfrom = 'fri 16:00'\nto = 'mon 06:00'\nallow = ['drian']\n".into(), 4, 10, "freeze[0].allow", "`drian` is not a kind of change"),
        (service("sticky = 24"), after + 3, 10, "service.s.sticky", "expected true or a table, found a whole number"),
        (service("sticky = \"yes\""), after + 3, 10, "service.s.sticky", "expected true or a table, found text"),
        (service("sticky = { ipv4_prefix = 33 }"), after + 3, 26, "service.s.sticky.ipv4_prefix", "33 is out of range"),
        (service("sticky = { ipv6_prefix = 65 }"), after + 3, 26, "service.s.sticky.ipv6_prefix", "65 is out of range"),
        // Settings.
        ("[node]\nname = ''\n".into(), 2, 8, "node.name", "not a name for a node"),
        ("[node]\nstale_after = '8days'\n".into(), 2, 15, "node.stale_after", "longer than a week"),
        ("[node]\nstale_after = '10'\n".into(), 2, 15, "node.stale_after", "`10` is not a duration"),
        ("[dns]\nlisten = []\n".into(), 2, 10, "dns.listen", "no address to listen on"),
        ("[dns]\nlisten = ['127.0.0.1']\n".into(), 2, 11, "dns.listen[0]", "not an address with a port"),
        ("[dns]\nlisten = ['[::]:53', '[::]:53']\n".into(), 2, 22, "dns.listen[1]", "`[::]:53` stands twice"),
        ("[dns]\nworkers = -1\n".into(), 2, 11, "dns.workers", "-1 is out of range"),
        ("[dns]\nreveal = ['nsid', 'versoin']\n".into(), 2, 19, "dns.reveal[1]", "`versoin` can't be revealed"),
        ("[dns.cookies]\nsecret_file = 'none.such'\n".into(), 2, 15, "dns.cookies.secret_file", "`none.such` can't be read"),
        ("[dns.cookies]\nrequired = 1\n".into(), 2, 12, "dns.cookies.required", "expected true or false"),
        ("[dns.rate_limit]\nper_second = -1\n".into(), 2, 14, "dns.rate_limit.per_second", "-1 is out of range"),
        ("[dns.rate_limit]\nexempt = ['::1', 'home']\n".into(), 2, 18, "dns.rate_limit.exempt[1]", "`home` is not a network"),
        ("[dns.rate_limit]\nburst = 3\n".into(), 2, 1, "dns.rate_limit.burst", "unknown key"),
        ("[admin]\nlisten = '0.0.0.0:8090'\n".into(), 2, 10, "admin.listen", "beyond loopback the admin API needs TLS"),
        ("[admin]\ntls = { cert = 'cert.pem' }\n".into(), 2, 7, "admin.tls.key", "`key` is missing"),
        ("[admin]\ntls = { cert = 'nowhere', key = 'key.pem' }\n".into(), 2, 16, "admin.tls.cert", "`nowhere` can't be read: No such file"),
        ("[admin]\ntls = { cert = '.', key = 'key.pem' }\n".into(), 2, 16, "admin.tls.cert", "`.` can't be read: Is a directory"),
        ("[admin]\ntls = { cert = 'key.pem', key = 'key.pem' }\n".into(), 2, 16, "admin.tls.cert", "`key.pem` has no certificate"),
        ("[admin]\ntls = { cert = 'cut.pem', key = 'key.pem' }\n".into(), 2, 16, "admin.tls.cert", "`cut.pem` is damaged"),
        ("[admin]\ntls = { cert = 'cert.pem', key = 'nowhere' }\n".into(), 2, 34, "admin.tls.key", "`nowhere` can't be read: No such file"),
        ("[admin]\ntls = { cert = 'cert.pem', key = 'cert.pem' }\n".into(), 2, 34, "admin.tls.key", "`cert.pem` has no private key"),
        ("[admin]\ntls = { cert = 'cert.pem', key = 'encrypted.pem' }\n".into(), 2, 34, "admin.tls.key", "`encrypted.pem` has no private key"),
        ("[admin]\nhosts = ['https://x']\n".into(), 2, 10, "admin.hosts[0]", "not a host name"),
        ("[metrics]\nlisten = 'no'\n".into(), 2, 10, "metrics.listen", "not an address with a port"),
        ("[metrics]\nservices_max = 1.5\n".into(), 2, 16, "metrics.services_max", "expected a whole number, found a number"),
        ("[metrics]\nendpoints_max = -1\n".into(), 2, 17, "metrics.endpoints_max", "-1 is out of range"),
        ("[health]\nwindow = '2h'\n".into(), 2, 10, "health.window", "longer than an hour"),
        ("[health]\nblind_share = 101\n".into(), 2, 15, "health.blind_share", "101 is out of range"),
        ("[clients]\nstragglers = 101\n".into(), 2, 14, "clients.stragglers", "101 is out of range"),
        ("[clients]\nstragglers_for = '8d'\n".into(), 2, 18, "clients.stragglers_for", "longer than a week"),
        (monitor("tcp = 1\n[sentinel.x]\nmonitor = 'm'"), 3, 11, "sentinel.x", "`address` is missing"),
        (monitor("tcp = 1\n[sentinel.x]\naddress = '192.0.2.1'"), 3, 11, "sentinel.x", "`monitor` is missing"),
        (monitor("tcp = 1\n[sentinel.x]\nmonitor = 'n'\naddress = '192.0.2.1'"), 4, 11, "sentinel.x.monitor", "no monitor is called `n`"),
        (monitor("tcp = 1\n[sentinel.x]\nmonitor = 'm'\naddress = '0.0.0.0'"), 5, 11, "sentinel.x.address", "`0.0.0.0` is no host's address"),
        (monitor("always = 'up'\n[sentinel.x]\nmonitor = 'm'\naddress = '192.0.2.1'"), 4, 11, "sentinel.x.monitor", "`m` probes nothing"),
        (
            monitor("tcp = 1\n[sentinel.x]\nmonitor = 'm'\naddress = '192.0.2.1'\n[sentinel.y]\nmonitor = 'm'\naddress = '192.0.2.1'"),
            6,
            11,
            "sentinel.y",
            "asks the same as sentinel x",
        ),
        // Zones.
        ("[zone.'a..b']\nfile = 'z'\n".into(), 1, 7, "zone.\"a..b\"", "`a..b` has an empty label"),
        ("[zone.'.']\nfile = 'z'\n".into(), 1, 7, "zone.\".\"", "`.` can't be a zone"),
        ("[zone.x]\n".into(), 1, 7, "zone.\"x\"", "`file` is missing"),
        ("[zone.x]\nfile = 'nowhere'\n".into(), 2, 8, "zone.\"x\".file", "`nowhere` can't be read: "),
        (
            "[zone.'example.com']\nfile = 'z'\n[zone.'Example.com.']\nfile = 'z'\n".into(),
            3,
            7,
            "zone.\"Example.com.\"",
            "zone `example.com` stands twice; the first is at w.toml:1:7",
        ),
        ("[zone.'example.com']\nfile = 'broken'\n".into(), 9, 5, "", "A: expected IPv4 address"),
        // Monitors.
        (monitor(""), 1, 10, "monitor.m", "nothing to check"),
        (monitor("tcp = 80\nalways = 'up'"), 3, 10, "monitor.m.always", "a monitor is of one kind, not tcp and always"),
        (monitor("always = 'down'"), 2, 10, "monitor.m.always", "`down` is not a state that can be set"),
        (monitor("tcp = 0"), 2, 7, "monitor.m.tcp", "0 is out of range"),
        (monitor("tcp = 1\nbody = 'x'"), 3, 8, "monitor.m.body", "`body` means nothing beside `tcp`"),
        (monitor("url = 'http://x'\nmethod = 'GTE'"), 3, 10, "monitor.m.method", "`GTE` is not a method that probes use"),
        (monitor("url = 'http://x'\nmethod = 'HEAD'\njson = '$.a == 1'"), 4, 8, "monitor.m.json", "`json` means nothing beside `HEAD`"),
        (monitor("url = 'http://x'\nbody_regex = 'a(b'"), 3, 14, "monitor.m.body_regex", "unclosed group"),
        (monitor("url = 'http://x'\nbody_regex = 'a(?=b)'"), 3, 14, "monitor.m.body_regex", "look-around"),
        (monitor("url = 'http://x'\nbody_regex = '\\w{9}{9}{9}{9}'"), 3, 14, "monitor.m.body_regex", "the pattern is too large"),
        (monitor("url = 'http://x'\njson = ['$.a == 1', '$.a = 1']"), 3, 21, "monitor.m.json", "expected ==, !=, <, <=, > or >= before `= 1`"),
        (monitor("url = 'http://x'\nuser_agent = 'a'\nheaders = { user-agent = 'b' }"), 4, 13, "monitor.m.headers.user-agent", "this header stands twice"),
        (monitor("url = 'http://x'\nheaders = { A = { fil = 'x' } }"), 3, 19, "monitor.m.headers.A.fil", "unknown key"),
        (monitor("url = 'http://x'\nheaders = { A = { file = 'nowhere' } }"), 3, 26, "monitor.m.headers.A", "`nowhere` can't be read"),
        (monitor("tcp = 1\nsource = ['192.0.2.1', '192.0.2.2']"), 3, 24, "monitor.m.source", "`192.0.2.2` is the second IPv4 address"),
        (monitor("tcp = 1\nsource = '::'"), 3, 10, "monitor.m.source", "`::` is no address of a host"),
        (monitor("always = 'up'\nsource = '192.0.2.1'"), 3, 10, "monitor.m.source", "`source` means nothing beside `always`"),
        (pool("monitor = 'm'\nendpoints = [{ address = '192.0.2.3', connect = 'gw:0' }]"), after + 2, 49, "pool.p.endpoints[0].connect", "`0` is not a port"),
        (
            pool("monitor = 'm'\nendpoints = [{ address = '192.0.2.3', connect = '0.0.0.0:1' }]"),
            after + 2,
            49,
            "pool.p.endpoints[0].connect",
            "`0.0.0.0` is no host's address",
        ),
        (monitor("dns = 'a..b A'"), 2, 7, "monitor.m.dns", "`a..b` has an empty label"),
        (monitor("dns = 'example.com AA'"), 2, 7, "monitor.m.dns", "`AA` is not a type of records"),
        (monitor("dns = 'example.com AXFR'"), 2, 7, "monitor.m.dns", "`AXFR` is not a type of records"),
        (monitor("dns = 'a A b'"), 2, 7, "monitor.m.dns", "expected a name and a type"),
        (monitor("dns = 'a'\nrcode = 'NXDOMIAN'"), 3, 9, "monitor.m.rcode", "`NXDOMIAN` is not a response code"),
        (monitor("dns = 'a'\naddress = '2001:db8::1'"), 3, 11, "monitor.m.address", "`2001:db8::1` can't be an answer to a question for A"),
        (monitor("dns = 'a'\nrcode = 'NXDOMAIN'\naddress = '192.0.2.1'"), 4, 11, "monitor.m.address", "a response with NXDOMAIN has no addresses"),
        (monitor("dns = 'a'\nport = 0"), 3, 8, "monitor.m.port", "0 is out of range"),
        (monitor("tcp = 1\nport = 2"), 3, 8, "monitor.m.port", "`port` means nothing beside `tcp`"),
        (monitor("url = 'https://x'\nhttp = '3'"), 3, 8, "monitor.m.http", "`3` is not a version of HTTP"),
        (monitor("url = 'http://x'\nhttp = '2'"), 3, 8, "monitor.m.http", "without TLS there is HTTP/1.1 alone"),
        (monitor("grpc = 'a'"), 1, 10, "monitor.m", "`port` is missing"),
        (monitor("grpc = 'a b'\nport = 1"), 2, 8, "monitor.m.grpc", "`a b` is not the name of a service"),
        (monitor("grpc = 'a'\nport = 1\ntls = 443"), 4, 7, "monitor.m.tls", "beside `grpc` it is true or false"),
        (monitor("grpc = 'a'\nport = 1\ntls = true"), 1, 10, "monitor.m", "gRPC over TLS needs a name to verify"),
        (monitor("grpc = 'a'\nport = 1\nverify = 'none'"), 4, 10, "monitor.m.verify", "`verify` means nothing beside `grpc` without `tls = true`"),
        (monitor("grpc = 'a'\nport = 1\ntcp = 1"), 2, 8, "monitor.m.grpc", "a monitor is of one kind, not tcp and grpc"),
        (monitor("tcp = 1\nsend = ''"), 3, 8, "monitor.m.send", "nothing is no text"),
        (monitor("tcp = 1\nexpct = 'x'"), 3, 1, "monitor.m.expct", "unknown key"),
        (monitor("tcp = 1\nverify = 'none'"), 3, 10, "monitor.m.verify", "`verify` means nothing beside `tcp`"),
        (monitor(&format!("tcp = 1\nexpect = '{}'", "x".repeat(1025))), 3, 10, "monitor.m.expect", "the text is too long"),
        (monitor("tls = 443"), 1, 10, "monitor.m", "`tls` needs a name to verify"),
        (monitor("tls = 0\nsni = 'x'"), 2, 7, "monitor.m.tls", "0 is out of range"),
        (monitor("tls = true\nsni = 'x'"), 2, 7, "monitor.m.tls", "which port?"),
        (monitor("tls = 443\nsni = 'x:1'"), 3, 7, "monitor.m.sni", "`x:1` is not a host name"),
        (monitor("tls = 443\nverify = 'expiry-only'"), 3, 10, "monitor.m.verify", "`expiry-only` is not a way to verify"),
        (monitor("tls = 443\nverify = 'none'\nca = 'ca.pem'"), 4, 6, "monitor.m.ca", "`ca` means nothing beside verify = \"none\""),
        (monitor("tls = 443\nsni = 'x'\nca = 'nowhere'"), 4, 6, "monitor.m.ca", "`nowhere` can't be read"),
        (monitor("tls = 443\nsni = 'x'\ncert = 'c.pem'"), 4, 8, "monitor.m.cert", "`cert` needs `key`"),
        (monitor("tls = 443\nsni = 'x'\nkey = 'c.key'"), 4, 7, "monitor.m.key", "`key` needs `cert`"),
        (monitor("tls = 443\nsni = 'x'\nexpiry_down = true"), 4, 15, "monitor.m.expiry_down", "`expiry_down` needs `expires_within`"),
        (monitor("tls = 443\nsni = 'x'\nexpires_within = '0s'"), 4, 18, "monitor.m.expires_within", "out of range"),
        (monitor("tls = 443\nsni = 'x'\nbody = 'x'"), 4, 8, "monitor.m.body", "`body` means nothing beside `tls`"),
        (monitor("url = 'http://x'\nca = 'x'"), 3, 6, "monitor.m.ca", "`ca` means nothing beside `http://`"),
        (monitor("always = 'up'\ninterval = '1s'"), 3, 12, "monitor.m.interval", "`interval` means nothing beside `always`"),
        (monitor("url = 'gopher://x'"), 2, 7, "monitor.m.url", "`gopher` is not supported"),
        (monitor("url = 'https://{address}/'"), 2, 7, "monitor.m.url", "https with {address} needs a host name"),
        (monitor("url = 'http://x'\nhost = 'a b'"), 3, 8, "monitor.m.host", "`a b` is not a host name"),
        (monitor("url = 'http://x'\nsni = 'a:1'"), 3, 7, "monitor.m.sni", "`a:1` is not a host name"),
        (monitor("url = 'http://x'\nstatus = ['200-']"), 3, 11, "monitor.m.status[0]", "`200-` is not a status code"),
        (monitor("url = 'http://x'\nstatus = [600]"), 3, 11, "monitor.m.status[0]", "`600` is not a status code"),
        (monitor("url = 'http://x'\nstatus = []"), 3, 10, "monitor.m.status", "no status passes"),
        (monitor("url = 'http://x'\nbody = ''"), 3, 8, "monitor.m.body", "every body contains nothing"),
        (monitor("url = 'http://x'\nheaders = { Host = 'x' }"), 3, 13, "monitor.m.headers.Host", "this header is set by Windrose"),
        (monitor("url = 'http://x'\nheaders = { 'a b' = 'x' }"), 3, 13, "monitor.m.headers.a b", "not a header's name"),
        (monitor("url = 'http://x'\nheaders = { A = \"x\\n\" }"), 3, 13, "monitor.m.headers.A", "the value has a character"),
        (monitor("url = 'http://x'\ntimeout = '10s'"), 3, 11, "monitor.m.timeout", "timeout (10s) must be shorter than interval (10s, the default)"),
        (monitor("url = 'http://x'\ninterval = '2s'"), 3, 12, "monitor.m.timeout", "timeout (3s) must be shorter than interval (2s)"),
        (monitor("url = 'http://x'\ntimeout = '0s'"), 3, 11, "monitor.m.timeout", "a probe needs time"),
        (monitor("url = 'http://x'\ninterval = '50ms'\ntimeout = '1ms'"), 3, 12, "monitor.m.interval", "out of range"),
        (monitor("url = 'http://x'\ndown_after = 0"), 3, 14, "monitor.m.down_after", "0 is out of range"),
        ("[monitor.Gateway]\nalways = 'up'\n".into(), 1, 10, "monitor.Gateway", "`Gateway` can't be a name"),
        ("[monitor.'a/b']\nalways = 'up'\n".into(), 1, 10, "monitor.a/b", "`a/b` can't be a name"),
        // Pools.
        (pool("endpoints = ['192.0.2.3']"), after, 7, "pool.p", "`monitor` is missing"),
        (pool("monitor = 'mm'\nendpoints = ['192.0.2.3']"), after + 1, 11, "pool.p.monitor", "no monitor is called `mm`"),
        (pool("monitor = 'm'"), after, 7, "pool.p", "`endpoints` is missing"),
        (pool("monitor = 'm'\nendpoints = []"), after + 2, 13, "pool.p.endpoints", "a pool without endpoints"),
        (pool("monitor = 'm'\nregion = 'x'\nendpoints = ['192.0.2.3']"), after + 2, 10, "pool.p.region", "no region is called `x`"),
        (pool("monitor = 'm'\nendpoints = ['192.0.2.3', 'gw1', '192.0.2.4']"), after + 2, 27, "pool.p.endpoints[1]", "not an IP address"),
        (pool("monitor = 'm'\nendpoints = [{ address = '192.0.2.333' }]"), after + 2, 26, "pool.p.endpoints[0].address", "not an IP address"),
        (pool("monitor = 'm'\nendpoints = [{ name = 'x' }]"), after + 2, 14, "pool.p.endpoints[0].address", "`address` is missing"),
        (pool("monitor = 'm'\nendpoints = [{ adress = '192.0.2.3', address = '192.0.2.3' }]"), after + 2, 16, "pool.p.endpoints[0].adress", "unknown key"),
        (pool("monitor = 'm'\nendpoints = [{ address = '192.0.2.3', weight = 0 }]"), after + 2, 48, "pool.p.endpoints[0].weight", "0 is out of range"),
        (pool("monitor = 'm'\nendpoints = [{ address = '192.0.2.3', tier = -1 }]"), after + 2, 46, "pool.p.endpoints[0].tier", "-1 is out of range"),
        (
            pool("monitor = 'm'\nendpoints = ['192.0.2.3', { address = '192.0.2.3' }]"),
            after + 2,
            39,
            "pool.p.endpoints[1]",
            "`192.0.2.3` stands twice in this pool; the first is at w.toml:13:14",
        ),
        (
            pool("monitor = 'm'\nendpoints = [{ name = 'x', address = '192.0.2.3' }, { name = 'x', address = '192.0.2.4' }]"),
            after + 2,
            62,
            "pool.p.endpoints[1].name",
            "another endpoint of this pool is called `x`, at w.toml:13:23",
        ),
        (pool("monitor = 'm'\nendpoints = [{ name = 'a/b', address = '192.0.2.3' }]"), after + 2, 23, "pool.p.endpoints[0].a/b", "`a/b` can't be a name"),
        (pool("monitor = 'm'\nendpoints = ['0.0.0.0']"), after + 2, 14, "pool.p.endpoints[0].address", "`0.0.0.0` is no host's address"),
        (
            pool("monitor = 'm'\nendpoints = ['::ffff:192.0.2.1']"),
            after + 2,
            14,
            "pool.p.endpoints[0].address",
            "`::ffff:192.0.2.1` is an IPv4 address in disguise",
        ),
        (pool("monitor = 'm'\nmin_up = 2\nendpoints = ['192.0.2.3']"), after + 2, 10, "pool.p.min_up", "min_up = 2, but the pool has 1 endpoint"),
        (
            pool("monitor = 'm'\nmin_active = 3\nendpoints = ['192.0.2.3', '192.0.2.4']"),
            after + 2,
            14,
            "pool.p.min_active",
            "min_active = 3, but the pool has 2 endpoints",
        ),
        (
            format!("{BASE}[pool.p]\nendpoints = ['192.0.2.3']\n[service.s]\nname = 's.example.com'\npolicy = {{ failover = ['a', 'p'] }}\n"),
            after,
            7,
            "pool.p",
            "a pool that a policy uses needs a monitor",
        ),
        // Policies.
        (policy("{ failover = ['a', 'bb'] }"), after + 2, 29, "service.s.policy", "`bb` is neither a pool nor a policy"),
        (policy("{ weighted = { a = 50, c = 50 } }"), after + 2, 33, "service.s.policy", "`c` is neither a pool nor a policy"),
        (policy("{ weighted = { a = 50, b = 49 } }"), after + 2, 10, "service.s.policy", "shares are per cent and must sum to 100, not 99"),
        (policy("{ weighted = { a = 0, b = 0 } }"), after + 2, 10, "service.s.policy", "every share is 0"),
        (policy("{ weighted = { a = 150, b = 20 } }"), after + 2, 29, "service.s.policy", "a share is per cent from 0 to 100, not 150"),
        (policy("{ failover = [] }"), after + 2, 10, "service.s.policy", "`failover` needs at least one pool or policy"),
        (policy("{ failover = ['a', 'a'] }"), after + 2, 10, "service.s.policy", "`a` stands twice"),
        (policy("{ failover = ['a'], min_up = 2 }"), after + 2, 10, "service.s.policy", "min_up must be from 1 to 1"),
        (
            policy("{ failover = ['a'], weighted = ['b'] }"),
            after + 2,
            10,
            "service.s.policy",
            "a policy has one of failover, weighted, multivalue, geo, nearest, latency, not two",
        ),
        (
            policy("{ latency = ['a', 'b'], ties = 'share' }"),
            after + 2,
            10,
            "service.s.policy",
            "`ties` goes with nearest alone: what was measured has an order",
        ),
        (
            policy("{ failover = ['a', 'b'], unknown = 'share' }"),
            after + 2,
            10,
            "service.s.policy",
            "`ties` goes with nearest alone, `unknown` with nearest and latency",
        ),
        (policy("{ latency = ['a', 'b'], min_up = 2 }"), after + 2, 10, "service.s.policy", "min_up does not go with `latency`"),
        (policy("{ latency = ['a', 'b'], nearest = ['a'] }"), after + 2, 10, "service.s.policy", "a policy has one of"),
        (
            named("[policy.ab]\nfailover = ['a', 'b']\n[policy.x]\nlatency = ['ab', 'b']"),
            after + 3,
            12,
            "policy.x",
            "`ab` can't be near or far: it has pools in `a` and `b`; below latency a child is in one region",
        ),
        ("[latency]\nmax_age = '31days'\n".into(), 2, 11, "latency.max_age", "`1month 13h 26m 24s` is out of range"),
        ("[latency]\nmax_age = '500ms'\n".into(), 2, 11, "latency.max_age", "`500ms` is out of range"),
        ("[latency]\nbetter_by = 91\n".into(), 2, 13, "latency.better_by", "91 is out of range"),
        ("[latency]\nand_by = '11s'\n".into(), 2, 10, "latency.and_by", "`11s` is out of range"),
        ("[latency]\nnetworks_max = 0\n".into(), 2, 16, "latency.networks_max", "0 is out of range"),
        (policy("{ failovr = ['a'] }"), after + 2, 12, "service.s.policy.failovr", "unknown key"),
        (policy("7"), after + 2, 10, "service.s.policy", "invalid type"),
        (named("[policy.a]\nfailover = ['b']"), after, 9, "policy.a", "a pool is called `a` too, at w.toml:5:7"),
        (named("[policy.x]\nfailover = ['y']\n[policy.y]\nfailover = ['a', 'x']"), after + 3, 18, "policy.y", "policy `x` contains itself (x → y → x)"),
        (named("[policy.x]\nfailover = ['x']"), after + 1, 13, "policy.x", "policy `x` contains itself (x → x)"),
        (
            named("[policy.x]\nmultivalue = ['a', 'y']\n[policy.y]\nfailover = ['b', 'z']\n[policy.z]\nweighted = ['a', 'b']"),
            after,
            9,
            "policy.x",
            "`z` is weighted, and weighted can't stand below multivalue",
        ),
        (
            format!("{}[policy.z]\nweighted = ['a', 'b']\n", policy("{ multivalue = ['a', 'z'] }")),
            after + 2,
            31,
            "service.s.policy",
            "`z` is weighted, and weighted can't stand below multivalue",
        ),
        // Services.
        (format!("{BASE}[service.s]\npolicy = 'a'\n"), after, 10, "service.s", "a service needs a name"),
        (format!("{BASE}[service.s]\nname = []\npolicy = 'a'\n"), after + 1, 8, "service.s.name", "no name"),
        (format!("{BASE}[service.s]\nname = 's.example.com'\n"), after, 10, "service.s", "`policy` is missing"),
        (format!("{BASE}[service.s]\nname = ['s.example.com', 'b..c']\npolicy = 'a'\n"), after + 1, 26, "service.s.name[1]", "`b..c` has an empty label"),
        (
            format!("{BASE}[service.s]\nname = 'https://s.example.com'\npolicy = 'a'\n"),
            after + 1,
            8,
            "service.s.name",
            "`https://s.example.com` is not a host name",
        ),
        (format!("{BASE}[service.s]\nname = 'a.*.example.com'\npolicy = 'a'\n"), after + 1, 8, "service.s.name", "`a.*.example.com` is not a host name"),
        (format!("{BASE}[service.s]\nname = 's.other.test'\npolicy = 'a'\n"), after + 1, 8, "service.s.name", "`s.other.test` is in no zone"),
        (format!("{BASE}[service.s]\nname = 'cut.example.com'\npolicy = 'a'\n"), after + 1, 8, "service.s.name", "`cut.example.com` is not ours to answer"),
        (
            format!("{BASE}[service.s]\nname = 'x.cut.example.com'\npolicy = 'a'\n"),
            after + 1,
            8,
            "service.s.name",
            "`x.cut.example.com` is not ours to answer: `cut.example.com` is delegated",
        ),
        (
            format!("{BASE}[service.s]\nname = 'old.example.com'\npolicy = 'a'\n"),
            after + 1,
            8,
            "service.s.name",
            "`old.example.com` has a static A record at z:5:1",
        ),
        (
            format!("{BASE}[service.s]\nname = 'alias.example.com'\npolicy = 'a'\n"),
            after + 1,
            8,
            "service.s.name",
            "`alias.example.com` has a static CNAME record at z:6:1",
        ),
        (
            format!("{BASE}[service.s]\nname = ['s.example.com', 'S.example.com.']\npolicy = 'a'\n"),
            after + 1,
            26,
            "service.s.name[1]",
            "`s.example.com` stands twice; the first is at w.toml:12:9",
        ),
        (
            format!("{BASE}[service.s]\nname = 's.example.com'\npolicy = 'a'\n[service.t]\nname = 's.example.com'\npolicy = 'a'\n"),
            after + 4,
            8,
            "service.t.name",
            "`s.example.com` is a name of service `s` already; the first is at w.toml:12:8",
        ),
        (format!("{BASE}[service.s]\nnames_file = 'nowhere'\npolicy = 'a'\n"), after + 1, 14, "service.s.names_file", "`nowhere` can't be read"),
        (format!("{BASE}[service.s]\nnames_file = 'no-names'\npolicy = 'a'\n"), after + 1, 14, "service.s.names_file", "`no-names` has no names"),
        (service("ttl = '500ms'"), after + 3, 7, "service.s.ttl", "`500ms` can't be a TTL"),
        (service("ttl = '8days'"), after + 3, 7, "service.s.ttl", "`8days` can't be a TTL"),
        (service("ttl = 30"), after + 3, 7, "service.s.ttl", "expected text in quotes, found a whole number"),
        (service("ttl_min = '1m'"), after + 3, 11, "service.s.ttl_min", "ttl_min (60s) is above ttl (30s)"),
        (service("max_answers = 0"), after + 3, 15, "service.s.max_answers", "0 is out of range"),
        (service("failback = 'never'"), after + 3, 12, "service.s.failback", "`never` is neither a duration nor \"manual\""),
        (service("when_all_down = 'panic'"), after + 3, 17, "service.s.when_all_down", "`panic` is not a way to answer"),
        (service("when_all_down = { pool = 'c' }"), after + 3, 26, "service.s.when_all_down.pool", "no pool is called `c`"),
        (service("when_all_down = { poll = 'b' }"), after + 3, 19, "service.s.when_all_down.poll", "unknown key"),
        (service("metrics = 'yes'"), after + 3, 11, "service.s.metrics", "expected true or false, found text"),
    ];
    let mut wrong = String::new();
    for (text, line, column, path, message) in &cases {
        let found = problems(text);
        let same = |(l, c, p, m): &(u32, u32, String, String)| (l, c) == (line, column) && p == path && m.starts_with(message);
        if !found.iter().any(same) || found.len() > 1 {
            let _ = write!(wrong, "{}\nexpected {line}:{column} {path}: {message}\nfound    {found:?}\n\n", text.strip_prefix(BASE).unwrap_or(text));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_files_never_panic_and_always_say_where(cut in 0_usize..9000, at in 0_usize..9000, what in "([ \\t\\n\\[\\]{}\"'=#,.a-z0-9ü-]|\\[\\[|\"\"\"){0,6}", skip in 0_usize..60) {
        let text = include_str!("../../config/windrose.toml");
        let near = |mut at: usize| { at = at.min(text.len()); while !text.is_char_boundary(at) { at -= 1 } at };
        let (from, to) = (near(at), near(at.saturating_add(skip)));
        let end = near(cut.max(to));
        let mutated = format!("{}{what}{}", &text[..from], &text[to..end.max(to)]);
        if let Err(Problems(found)) = load_text(&mutated, Path::new("config/w.toml")) {
            prop_assert!(!found.is_empty());
            let lines = mutated.split('\n').count() as u32;
            for problem in &found {
                prop_assert!(problem.file != Path::new("config/w.toml") || (1..=lines).contains(&problem.line), "{problem}");
            }
            let _ = Problems(found).to_string();
        }
    }
}
