//! What the text may say: every table and key, and nothing about what it means.
//!
//! A key that is absent, one that was refused and one that was read are told apart ([`Key`]); `check` turns the rest into meaning.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use toml::de::DeValue;

use crate::model::{Host, parse_duration};

use super::problem::{Route, Sink};
use super::read::{
    Capacity, HeaderValue, HostName, Key, Moment, NameServer, Named, Number, OneOrMany, Policy, PortOrYes, Reach, Read, Secret, StatusRange, StepWord,
    SubjectGrant, Value, WhenAllDown, parsed, refuse, table, unknown,
};

/// A table: its keys with their types, and the keys that a later Windrose will know.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$key_doc:meta])* $key:ident: $type:ty,)* } later $later:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name { $($(#[$key_doc])* pub $key: Key<$type>,)* }

        impl Read for $name {
            fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
                #[allow(unused_mut, reason = "a table may have no keys at all")]
                let mut read = Self::default();
                #[allow(unused_variables, reason = "a table may have no keys at all")]
                for (key, value) in table(value, at, sink)? {
                    let name: &str = key.get_ref();
                    match name {
                        $(stringify!($key) => read.$key = Key::read(value, &at.key(name), sink),)*
                        _ => unknown(&key.span(), &at.key(name), name, &[$(stringify!($key)),*], &$later, sink),
                    }
                }
                Some(read)
            }
        }
    };
}

/// No further keys.
const NONE: [&str; 0] = [];

table! {
    /// The whole file.
    File {
        /// Of this format; 1.
        schema: i64,
        node: Node,
        dns: Dns,
        admin: Admin,
        metrics: Metrics,
        store: Store,
        outcomes: Outcomes,
        audit: Audit,
        webhook: Named<WebhookTable>,
        health: Health,
        clients: Clients,
        resolver: Resolver,
        probe: Probe,
        key: Named<TsigKeyTable>,
        zone: Named<Zone>,
        region: Named<Region>,
        network: Named<Network>,
        geo: Geo,
        latency: Latency,
        monitor: Named<Monitor>,
        sentinel: Named<Sentinel>,
        pool: Named<Pool>,
        policy: Named<Policy>,
        service: Named<Service>,
        guards: Guards,
        gate: Named<Gate>,
        freeze: Vec<Key<Freeze>>,
        plan: Named<Plan>,
        analysis: Named<Analysis>,
    } later NONE
}

table! {
    /// `[node]`
    Node {
        name: String,
        stale_after: Duration,
    } later ["site"]
}

table! {
    /// `[dns]`
    Dns {
        listen: OneOrMany<SocketAddr>,
        workers: i64,
        reveal: OneOrMany<String>,
        explain: OneOrMany<String>,
        cookies: Cookies,
        rate_limit: RateLimit,
        ecs: Ecs,
    } later NONE
}

table! {
    /// `[dns.ecs]`
    Ecs {
        trusted: OneOrMany<String>,
        ipv4_prefix: i64,
        ipv6_prefix: i64,
    } later NONE
}

table! {
    /// `[dns.cookies]`
    Cookies {
        secret_file: String,
        required: bool,
    } later NONE
}

table! {
    /// `[dns.rate_limit]`
    RateLimit {
        per_second: i64,
        slip: i64,
        ipv4_prefix: i64,
        ipv6_prefix: i64,
        exempt: OneOrMany<String>,
    } later NONE
}

table! {
    /// `[admin]`
    Admin {
        listen: SocketAddr,
        socket: String,
        tls: Tls,
        hosts: OneOrMany<String>,
    } later NONE
}

table! {
    /// `tls = { cert = "…", key = "…" }`
    Tls {
        cert: String,
        key: String,
        client_ca: String,
        subjects: Named<SubjectGrant>,
    } later NONE
}

table! {
    /// `[metrics]`
    Metrics {
        listen: MetricsListen,
        services_max: i64,
        endpoints_max: i64,
    } later NONE
}

table! {
    /// `[store]`
    Store {
        path: String,
    } later ["etcd"]
}

table! {
    /// `[outcomes]`
    Outcomes {
        keep: Duration,
        mib_max: i64,
    } later NONE
}

table! {
    /// `[audit]`
    Audit {
        keep: Duration,
        entries_max: i64,
    } later NONE
}

table! {
    /// `[webhook.NAME]`
    WebhookTable {
        url: String,
        secret_file: String,
        events: OneOrMany<String>,
        template: String,
    } later NONE
}

table! {
    /// `[key.NAME]`
    TsigKeyTable {
        algorithm: String,
        secret: Secret,
        secret_file: String,
    } later NONE
}

table! {
    /// `{ address = "192.0.2.54:5353", key = "NAME" }`
    SecondaryTable {
        address: String,
        key: String,
    } later NONE
}

table! {
    /// `[zone."api.example.com"]`
    Zone {
        file: String,
        records: String,
        secondaries: OneOrMany<Secondary>,
    } later ["transfer", "notify"]
}

table! {
    /// `[region.NAME]`
    Region {
        capacity: Capacity,
        guards: Guards,
        location: Vec<Key<Number>>,
        bias_km: i64,
    } later NONE
}

table! {
    /// `[geo]`
    Geo {
        databases: OneOrMany<String>,
        check_every: Duration,
    } later NONE
}

table! {
    /// `[latency]`
    Latency {
        max_age: Duration,
        better_by: i64,
        and_by: Duration,
        networks_max: i64,
    } later NONE
}

table! {
    /// `[network.NAME]`
    Network {
        prefixes: OneOrMany<String>,
        file: String,
        location: Vec<Key<Number>>,
    } later NONE
}

table! {
    /// `[monitor.NAME]`
    Monitor {
        url: String,
        tcp: i64,
        tls: PortOrYes,
        dns: String,
        grpc: String,
        icmp: bool,
        exec: Vec<Key<String>>,
        push: bool,
        always: String,
        port: i64,
        rcode: String,
        address: IpAddr,
        send: String,
        expect: String,
        http: String,
        method: String,
        user_agent: String,
        body: String,
        body_regex: String,
        json: OneOrMany<String>,
        status: OneOrMany<StatusRange>,
        headers: Named<HeaderValue>,
        host: String,
        sni: String,
        verify: String,
        ca: String,
        cert: String,
        key: String,
        expires_within: Duration,
        expiry_down: bool,
        degraded: DegradedTable,
        report: ReportTable,
        data_at: DataAtTable,
        load_from: DataAtTable,
        busy: String,
        busy_max: Duration,
        redirects: i64,
        exit: String,
        warning: String,
        ttl: Duration,
        ttl_max: Duration,
        silence: String,
        source: OneOrMany<IpAddr>,
        interval: Duration,
        timeout: Duration,
        down_after: i64,
        ok_after: i64,
        up_after: i64,
        all: Vec<Key<Member>>,
        any: Vec<Key<Member>>,
        at_least: AtLeastTable,
    } later NONE
}

table! {
    /// `{ n = 2, of = ["a", "b", "c"] }`
    AtLeastTable {
        n: i64,
        of: Vec<Key<Member>>,
    } later NONE
}

table! {
    /// `{ monitor = "web", mark = "critical" }`
    MemberTable {
        monitor: String,
        mark: String,
    } later NONE
}

table! {
    /// `{ pool = "prod-db", up = 2 }`
    RequirementTable {
        pool: String,
        up: i64,
    } later NONE
}

table! {
    /// `degraded = { slower_than = "800ms", factor = 0.5 }`
    DegradedTable {
        slower_than: Duration,
        body: String,
        json: OneOrMany<String>,
        status: OneOrMany<StatusRange>,
        factor: Number,
    } later NONE
}

table! {
    /// `report = { header = "X-Load-Weight", min = 1, max = 100 }`
    ReportTable {
        header: String,
        json: String,
        kind: String,
        min: Number,
        max: Number,
    } later NONE
}

table! {
    /// `data_at = { json = "$.replication.synced_at" }`, `load_from = { header = "X-Load" }`
    DataAtTable {
        header: String,
        json: String,
    } later NONE
}

table! {
    /// `[health]`
    Health {
        window: Duration,
        blind_share: i64,
    } later NONE
}

table! {
    /// `[clients]`
    Clients {
        stragglers: i64,
        stragglers_for: Duration,
    } later NONE
}

table! {
    /// `[resolver]`
    Resolver {
        servers: OneOrMany<NameServer>,
        timeout: Duration,
        attempts: i64,
    } later NONE
}

table! {
    /// `[probe]`
    Probe {
        allow: OneOrMany<String>,
        exec: Exec,
    } later NONE
}

table! {
    /// `exec = { user = "nobody", folders = ["/usr/lib/nagios/plugins"] }`
    Exec {
        user: String,
        folders: OneOrMany<String>,
        running_max: i64,
        processes_max: i64,
        memory_mib_max: i64,
    } later NONE
}

table! {
    /// `[sentinel.NAME]`
    Sentinel {
        monitor: String,
        address: Host,
    } later NONE
}

table! {
    /// `[pool.NAME]`
    Pool {
        region: String,
        monitor: String,
        min_up: i64,
        min_active: i64,
        requires: OneOrMany<Requirement>,
        down_after: i64,
        ok_after: i64,
        up_after: i64,
        tags: OneOrMany<String>,
        degraded_factor: Number,
        hold_if_older_than: Duration,
        shed: ShedTable,
        endpoints: Vec<Key<Endpoint>>,
    } later NONE
}

table! {
    /// `{ over = 80, until = 70, share = 30, by = "client" }`
    ShedTable {
        over: Number,
        until: Number,
        share: Number,
        by: String,
        hold: Duration,
        max_age: Duration,
    } later NONE
}

table! {
    /// `{ name = "dr-b", address = "198.51.100.11", tier = 1 }`
    EndpointTable {
        name: String,
        address: IpAddr,
        host: HostName,
        connect: Reach,
        weight: i64,
        tier: i64,
        tags: OneOrMany<String>,
        down_after: i64,
        ok_after: i64,
        up_after: i64,
    } later NONE
}

table! {
    /// `[service.NAME]`
    Service {
        name: OneOrMany<String>,
        names_file: String,
        policy: Policy,
        answer: String,
        traffic_from: String,
        ttl: Duration,
        ttl_min: Duration,
        max_answers: i64,
        failback: Failback,
        trickle: Number,
        when_all_down: WhenAllDown,
        sticky: Sticky,
        metrics: bool,
        guards: Guards,
    } later NONE
}

table! {
    /// `sticky = { … }`
    StickyPrefixes {
        ipv4_prefix: i64,
        ipv6_prefix: i64,
    } later NONE
}

/// `sticky = true`, `sticky = { ipv4_prefix = 24 }`
#[derive(Clone, Debug)]
pub(super) enum Sticky {
    Yes(bool),
    Prefixes(StickyPrefixes),
}

impl Read for Sticky {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(yes) => Some(Sticky::Yes(*yes)),
            DeValue::Table(_) => StickyPrefixes::read(value, at, sink).map(Sticky::Prefixes),
            _ => refuse(&value, at, sink, "true or a table", "sticky = true, or how many bits count: sticky = { ipv4_prefix = 24, ipv6_prefix = 56 }"),
        }
    }
}

table! {
    /// `[guards]`, `[service.NAME.guards]`, `[region.NAME.guards]`
    Guards {
        min_serving_regions: i64,
        max_step: i64,
        healthy_targets: bool,
        capacity: bool,
        require_reason: bool,
        rate: i64,
        gate: OneOrMany<String>,
        break_glass_confirm: bool,
    } later NONE
}

table! {
    /// `[plan.NAME]`
    Plan {
        steps: Vec<Key<StepWord>>,
        hold: Duration,
        abort_when: OneOrMany<String>,
        analyses: OneOrMany<String>,
    } later NONE
}

table! {
    /// `[analysis.NAME]`
    Analysis {
        prometheus: String,
        query: String,
        slo: bool,
        split: bool,
        max: Number,
        interval: Duration,
        failures: i64,
    } later NONE
}

table! {
    /// `[gate.NAME]`
    Gate {
        about: String,
    } later NONE
}

table! {
    /// `[[freeze]]`
    Freeze {
        from: Moment,
        to: Moment,
        services: OneOrMany<String>,
        allow: OneOrMany<String>,
        about: String,
    } later NONE
}

table! {
    /// `{ mode = "staged", steps = [5, 20, 100], hold = "5m" }`
    FailbackTable {
        mode: String,
        after: Duration,
        jitter: Duration,
        steps: Vec<Key<i64>>,
        hold: Duration,
    } later NONE
}

/// A time, `"manual"`, or a table with a mode.
#[derive(Clone, Debug)]
pub(super) enum Failback {
    Plain(crate::model::Failback),
    Table(FailbackTable),
}

impl Read for Failback {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        if let DeValue::Table(_) = value.get_ref() {
            return FailbackTable::read(value, at, sink).map(Failback::Table);
        }
        parsed(value, at, sink, "write a time like \"1m\" (\"0s\": at once), \"manual\", or a table with a mode", |text| match text {
            "manual" => Ok(Failback::Plain(crate::model::Failback::Manual)),
            _ => parse_duration(text)
                .map(|span| Failback::Plain(crate::model::Failback::After(span)))
                .map_err(|_| format!("`{text}` is neither a duration nor \"manual\"")),
        })
    }
}

/// An address, or a table with one, or with a host name.
#[derive(Clone, Debug)]
pub(super) struct Endpoint(pub EndpointTable);

impl Read for Endpoint {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => EndpointTable::read(value, at, sink).map(Endpoint),
            _ => match Key::read(value, at, sink) {
                Key::Is(address) => Some(Endpoint(EndpointTable { address: Key::Is(address), ..EndpointTable::default() })),
                Key::Absent | Key::Unreadable => None,
            },
        }
    }
}

/// An address, or a table with one.
#[derive(Clone, Debug)]
pub(super) struct Secondary(pub SecondaryTable);

impl Read for Secondary {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => SecondaryTable::read(value, at, sink).map(Secondary),
            _ => match Key::read(value, at, sink) {
                Key::Is(address) => Some(Secondary(SecondaryTable { address: Key::Is(address), ..SecondaryTable::default() })),
                Key::Absent | Key::Unreadable => None,
            },
        }
    }
}

/// A monitor's name, or a table with one.
#[derive(Clone, Debug)]
pub(super) struct Member(pub MemberTable);

impl Read for Member {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => MemberTable::read(value, at, sink).map(Member),
            _ => match Key::read(value, at, sink) {
                Key::Is(monitor) => Some(Member(MemberTable { monitor: Key::Is(monitor), ..MemberTable::default() })),
                Key::Absent | Key::Unreadable => None,
            },
        }
    }
}

/// A pool's name, or a table with one.
#[derive(Clone, Debug)]
pub(super) struct Requirement(pub RequirementTable);

impl Read for Requirement {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => RequirementTable::read(value, at, sink).map(Requirement),
            _ => match Key::read(value, at, sink) {
                Key::Is(pool) => Some(Requirement(RequirementTable { pool: Key::Is(pool), ..RequirementTable::default() })),
                Key::Absent | Key::Unreadable => None,
            },
        }
    }
}

/// An address with a port, or `"off"`.
#[derive(Clone, Debug)]
pub(super) struct MetricsListen(pub Option<SocketAddr>);

impl Read for MetricsListen {
    fn read(value: Value<'_>, at: &Route<'_>, sink: &mut Sink<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(off) if off == "off" => Some(MetricsListen(None)),
            _ => SocketAddr::read(value, at, sink).map(|listen| MetricsListen(Some(listen))),
        }
    }
}
