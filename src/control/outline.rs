//! What a configuration says, as words: each object with its fields, for `GET /config` and for telling two configurations apart.
//!
//! Secrets never stand here: where only a secret differs, the field `secret` says that it does. Never here: what a difference does to traffic
//! ([`preview`](super::preview)).

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::model::{
    AllDown, Analysis, AnyMonitor, Choice, Estate, Gauge, LatencyRules, Monitor, PolicyForm, PoolId, RegionId, Settings, Share, Thresholds, Watch,
    duration_text,
};

use super::event::Configuration;
use super::plan_traffic::policy_text;

/// Host names that are listed; the rest is counted.
const NAMES_SHOWN: usize = 10;
/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// Kind and name: `pool`, `prod`.
pub type ObjectName = (&'static str, String);
/// Field and value.
pub type Fields = BTreeMap<&'static str, String>;
/// Everything, ordered by kind and name.
pub type Outline = BTreeMap<ObjectName, Fields>;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed,
}

impl Became {
    /// The word in the API.
    pub fn word(self) -> &'static str {
        match self {
            Became::Added => "added",
            Became::Removed => "removed",
            Became::Changed => "changed",
        }
    }
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// What became of it.
    pub became: Became,
    /// `pool`, `service`, …
    pub kind: &'static str,
    /// Its name; `pool/name` for an endpoint.
    pub name: String,
    /// The fields that differ: name, before, after. All of them for one that is new or gone.
    pub fields: Vec<(&'static str, Option<String>, Option<String>)>,
}

/// What differs between two configurations, ordered by kind and name.
pub fn differences(from: &Configuration, to: &Configuration) -> Vec<ObjectChange> {
    let (mut before, mut after) = (outline(from), outline(to));
    // What words hide is compared as it is.
    let monitors: BTreeMap<&str, &Monitor> = from.estate.monitors.iter().map(|monitor| (monitor.name.as_str(), monitor)).collect();
    let mut secret = |name: ObjectName| {
        if before.get(&name).is_some_and(|fields| after.get(&name) == Some(fields)) {
            before.entry(name.clone()).or_default().insert("secret", HIDDEN.to_string());
            after.entry(name).or_default().insert("secret", format!("{HIDDEN} another one"));
        }
    };
    for monitor in &to.estate.monitors {
        if monitors.get(monitor.name.as_str()).is_some_and(|known| *known != monitor) {
            secret(("monitor", monitor.name.clone()));
        }
    }
    compared(before, after)
}

/// What differs between two outlines, ordered by kind and name.
pub fn compared(mut before: Outline, after: Outline) -> Vec<ObjectChange> {
    let mut changes = Vec::new();
    for ((kind, name), fields) in after {
        let change = match before.remove(&(kind, name.clone())) {
            None => ObjectChange { became: Became::Added, kind, name, fields: fields.into_iter().map(|(field, value)| (field, None, Some(value))).collect() },
            Some(known) => {
                let keys: std::collections::BTreeSet<&'static str> = known.keys().chain(fields.keys()).copied().collect();
                let differs = keys.into_iter().filter(|key| known.get(key) != fields.get(key));
                let fields = differs.map(|key| (key, known.get(key).cloned(), fields.get(key).cloned())).collect();
                ObjectChange { became: Became::Changed, kind, name, fields }
            }
        };
        if !change.fields.is_empty() || change.became == Became::Added {
            changes.push(change);
        }
    }
    changes.extend(before.into_iter().map(|((kind, name), fields)| ObjectChange {
        became: Became::Removed,
        kind,
        name,
        fields: fields.into_iter().map(|(field, value)| (field, Some(value), None)).collect(),
    }));
    changes.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    changes
}

/// What takes no part in a reload.
pub fn outline_of_settings(settings: &Settings) -> Outline {
    let Settings { node, dns, admin, metrics, store, outcomes, audit } = settings;
    let mut outline = Outline::new();
    let mut put = |name: &str, fields: Vec<(&'static str, String)>| drop(outline.insert(("settings", name.to_string()), fields.into_iter().collect()));
    put("node", vec![("name", node.name.clone()), ("stale_after", duration_text(node.stale_after))]);
    put("dns", vec![("listen", list(&dns.listen)), ("workers", dns.workers.to_string())]);
    let tls = admin.tls.as_ref().map_or_else(String::new, |tls| format!("cert {}, key {}", tls.cert.display(), tls.key.display()));
    put("admin", vec![("listen", admin.listen.to_string()), ("socket", admin.socket.display().to_string()), ("tls", tls), ("hosts", admin.hosts.join(" "))]);
    let listen = metrics.listen.map_or_else(|| "off".to_string(), |listen| listen.to_string());
    put("metrics", vec![("listen", listen), ("services_max", metrics.services_max.to_string()), ("endpoints_max", metrics.endpoints_max.to_string())]);
    put("store", vec![("path", store.path.display().to_string())]);
    put("outcomes", vec![("keep", duration_text(outcomes.keep)), ("mib_max", (outcomes.octets_max >> 20).to_string())]);
    put("audit", vec![("keep", duration_text(audit.keep)), ("entries_max", audit.entries_max.to_string())]);
    outline
}

/// What a reload can change.
pub fn outline(configuration: &Configuration) -> Outline {
    let Configuration { estate, zones, answers, clients: _, databases: _, needs_restart: _, hash: _ } = configuration;
    let mut outline = Outline::new();
    let mut put = |kind: &'static str, name: &str, fields: Vec<(&'static str, String)>| {
        let said = fields.into_iter().filter(|(_, value)| !value.is_empty());
        outline.insert((kind, name.to_string()), said.collect());
    };
    for zone in zones {
        // The content counts, not how it is written: a stable digest of it stands for the records.
        let records: usize = zone.sets.iter().map(|set| set.rdata.len()).sum();
        let secondaries = estate.secondaries_of(&zone.apex).iter();
        let secondaries =
            secondaries.map(|other| other.key.as_ref().map_or_else(|| other.address.to_string(), |key| format!("{} with key {}", other.address, key.name)));
        let fields = vec![
            ("serial", zone.serial().to_string()),
            ("records", records.to_string()),
            ("content", digest(&zone.sets.iter().map(|set| (set.owner.to_string(), set.rtype, set.ttl, &set.rdata)).collect::<Vec<_>>())),
            ("secondaries", secondaries.collect::<Vec<_>>().join(" ")),
        ];
        put("zone", &zone.apex.to_string(), fields);
    }
    for (at, region) in estate.regions.iter().enumerate() {
        let site = estate.sites.get(&RegionId::at(at));
        let fields = vec![
            ("location", site.map(|site| site.place.to_string()).unwrap_or_default()),
            ("bias_km", site.map(|site| site.bias_km.to_string()).unwrap_or_default()),
        ];
        put("region", &region.name, fields);
    }
    for network in &estate.networks {
        let fields = vec![
            ("prefixes", network.prefixes.len().to_string()),
            ("content", digest(&network.prefixes)),
            ("location", network.place.map(|place| place.to_string()).unwrap_or_default()),
        ];
        put("network", &network.name, fields);
    }
    for monitor in &estate.monitors {
        put("monitor", &monitor.name, monitor_fields(monitor));
    }
    for composite in &estate.composites {
        let members = composite.members.iter().map(|member| format!("{} ({})", monitor_name(estate, member.monitor), member.mark.word()));
        put("monitor", &composite.name, vec![("need", format!("{:?}", composite.need)), ("members", list(members))]);
    }
    for sentinel in &estate.sentinels {
        let target = estate.target(estate.judgement(sentinel.judgement).target);
        put("sentinel", &sentinel.name, vec![("monitor", estate.monitor(target.monitor).name.clone()), ("address", target.address.to_string())]);
    }
    for (at, pool) in estate.pools.iter().enumerate() {
        put("pool", &pool.name, pool_fields(estate, PoolId::at(at)));
    }
    let mut tags: BTreeMap<crate::model::EndpointId, Vec<&str>> = BTreeMap::new();
    for (tag, tagged) in &estate.tags {
        tagged.iter().for_each(|id| tags.entry(*id).or_default().push(tag));
    }
    for id in estate.pools.iter().flat_map(|pool| &pool.endpoints) {
        let endpoint = estate.endpoint(*id);
        let watched = match endpoint.watch {
            Watch::Always => "always".to_string(),
            Watch::Nothing => String::new(),
            Watch::Judgement(judgement) => estate.monitor(estate.target(estate.judgement(judgement).target).monitor).name.clone(),
            Watch::Combined(combined) => estate.composite(estate.combined(combined).composite).name.to_string(),
        };
        let judged = estate.judgements_on(*id).first().map(|judgement| thresholds(&estate.judgement(*judgement).thresholds));
        let connect = estate.probed_elsewhere(*id);
        let fields = vec![
            ("address", estate.address_text(*id)),
            ("connect", connect.map(|target| target.address.with_port(target.port)).unwrap_or_default()),
            ("weight", endpoint.weight.to_string()),
            ("tier", endpoint.tier.to_string()),
            ("monitor", watched),
            ("thresholds", judged.unwrap_or_default()),
            ("tags", tags.get(id).map(|tags| tags.join(" ")).unwrap_or_default()),
        ];
        put("endpoint", &estate.endpoint_label(*id), fields);
    }
    for (name, form) in &estate.policies {
        put("policy", name, vec![("policy", form_text(form))]);
    }
    for service in &estate.services {
        let total = service.names.len();
        let more = if total > NAMES_SHOWN { format!(" and {} more", total - NAMES_SHOWN) } else { String::new() };
        let shown = service.names.iter().take(NAMES_SHOWN).map(|name| name.to_string()).collect::<Vec<_>>().join(" ");
        let fields = vec![
            ("name", format!("{shown}{more}")),
            ("names", if more.is_empty() { String::new() } else { digest(&service.names.iter().map(|name| name.to_string()).collect::<Vec<_>>()) }),
            ("policy", form_text(&service.form)),
            ("answer", service.answer.word().to_string()),
            ("traffic_from", if estate.managed.contains_key(&service.name) { "file".to_string() } else { "operators".to_string() }),
            ("ttl", format!("{}s", service.ttl)),
            ("ttl_min", format!("{}s", service.ttl_min)),
            ("max_answers", service.max_answers.to_string()),
            ("failback", service.failback.to_string()),
            ("trickle", if service.trickle == Share::ZERO { String::new() } else { format!("{} %", service.trickle) }),
            ("when_all_down", all_down(estate, service.when_all_down)),
            ("sticky", service.sticky.map_or(String::new(), |sticky| format!("/{}, /{}", sticky.ipv4_prefix, sticky.ipv6_prefix))),
            ("metrics", service.metrics.to_string()),
        ];
        put("service", &service.name, fields);
    }
    for key in &estate.keys {
        put("key", &key.name.to_string(), vec![("algorithm", format!("{:?}", key.algorithm)), ("secret", HIDDEN.to_string())]);
    }
    for webhook in &estate.webhooks {
        // A receiver's address is as good as its password.
        let secret = webhook.secret.as_ref().map_or("", |_| HIDDEN);
        let fields = [("url", HIDDEN), ("secret", secret), ("template", webhook.template.word())].map(|(field, value)| (field, value.to_string()));
        put("webhook", &webhook.name, fields.into_iter().chain([("events", list(&webhook.events))]).collect());
    }
    for plan in &estate.shifts.plans {
        let steps = plan.steps.iter().map(|step| {
            let pause = if step.pause { "p" } else { "" };
            format!("{}%{pause}", step.percent)
        });
        // All steps of a plan have one hold.
        let hold = plan.steps.first().map_or_else(String::new, |step| format!(", hold {}", duration_text(step.hold)));
        let fields = vec![
            ("steps", steps.collect::<Vec<_>>().join(", ") + &hold),
            ("abort_when", list(plan.abort_when.iter().map(|when| when.word()))),
            ("analyses", list(&plan.analyses)),
        ];
        put("plan", &plan.name, fields);
    }
    for analysis in &estate.shifts.analyses {
        put("analysis", &analysis.name, analysis_fields(analysis));
    }
    put("guards", "guards", vec![("rules", if estate.rules == Default::default() { String::new() } else { format!("{:?}", estate.rules) })]);
    let files = estate.geo.databases.iter().map(|file| file.display());
    put("geo", "geo", vec![("databases", list(files)), ("check_every", duration_text(estate.geo.check_every))]);
    let LatencyRules { max_age, better_by, and_by, networks_max } = &estate.latency;
    let better = format!("{better_by} % and {}", duration_text(*and_by));
    put("latency", "latency", vec![("max_age", duration_text(*max_age)), ("better by", better), ("networks_max", networks_max.to_string())]);
    put("health", "guard", vec![("window", duration_text(estate.guard.window)), ("blind_share", estate.guard.blind_share.to_string())]);
    let fading = &estate.fading;
    put("clients", "clients", vec![("stragglers", fading.stragglers.to_string()), ("stragglers_for", duration_text(fading.stragglers_for))]);
    let resolver = &estate.resolver;
    put(
        "resolver",
        "resolver",
        vec![("servers", list(&resolver.servers)), ("timeout", duration_text(resolver.timeout)), ("attempts", resolver.attempts.to_string())],
    );
    let said = |what: &Option<std::sync::Arc<str>>| what.as_deref().unwrap_or_default().to_string();
    let reveals = [("nsid", said(&answers.nsid)), ("id", said(&answers.id)), ("version", said(&answers.version))];
    let reveals = reveals.into_iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word} ({text})"));
    let reveals = reveals.chain(answers.config.as_ref().map(|_| "config".to_string()));
    let limit = answers.rate_limit.as_ref();
    let fields = vec![
        ("reveal", list(reveals)),
        ("explain", list(&answers.explain)),
        ("cookies.required", answers.cookies.required.to_string()),
        ("ecs.trusted", answers.subnets.trusted.as_ref().map_or_else(|| "everybody".to_string(), list)),
        ("ecs.prefixes", format!("{} and {} bits", answers.subnets.ipv4_prefix, answers.subnets.ipv6_prefix)),
        ("rate_limit", limit.map_or_else(|| "off".to_string(), |limit| format!("{limit:?}"))),
    ];
    put("dns", "answers", fields);
    outline
}

fn monitor_fields(monitor: &Monitor) -> Vec<(&'static str, String)> {
    let Monitor { name: _, check, source, interval, timeout, thresholds: judged } = monitor;
    let source = [source.v4.map(|v4| v4.to_string()), source.v6.map(|v6| v6.to_string())];
    vec![
        // Secrets hide themselves in `Debug`.
        ("check", format!("{check:?}")),
        ("source", list(source.into_iter().flatten())),
        ("interval", duration_text(*interval)),
        ("timeout", duration_text(*timeout)),
        ("thresholds", thresholds(judged)),
    ]
}

fn analysis_fields(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let Analysis { name: _, gauge, max, interval, failures } = analysis;
    let (from, query) = match gauge {
        Gauge::Prometheus { url, query } => (format!("prometheus at {url}"), query.to_string()),
        Gauge::Slo => ("slo".to_string(), String::new()),
        Gauge::Split => ("split".to_string(), String::new()),
    };
    vec![("gauge", from), ("query", query), ("max", max.to_string()), ("interval", duration_text(*interval)), ("failures", failures.to_string())]
}

fn pool_fields(estate: &Estate, id: PoolId) -> Vec<(&'static str, String)> {
    let pool = estate.pool(id);
    let requires = pool.requires.iter().map(|required| format!("{} ({} up)", estate.pool(required.pool).name, required.up));
    vec![
        ("region", estate.region(pool.region).name.to_string()),
        ("min_up", pool.min_up.to_string()),
        ("min_active", pool.min_active.map(|count| count.to_string()).unwrap_or_default()),
        ("requires", list(requires)),
        ("hold_if_older_than", pool.hold_if_older_than.map(duration_text).unwrap_or_default()),
        ("shed", pool.shed.map(|shed| shed.to_string()).unwrap_or_default()),
        ("endpoints", list(pool.endpoints.iter().map(|id| &estate.endpoint(*id).name))),
    ]
}

fn monitor_name(estate: &Estate, monitor: AnyMonitor) -> &str {
    match monitor {
        AnyMonitor::Simple(id) => &estate.monitor(id).name,
        AnyMonitor::Composite(id) => &estate.composite(id).name,
    }
}

fn thresholds(Thresholds { down_after, ok_after, up_after }: &Thresholds) -> String {
    format!("down_after {down_after}, ok_after {ok_after}, up_after {up_after}")
}

fn all_down(estate: &Estate, what: AllDown) -> String {
    match what {
        AllDown::LastGood => "last_good".to_string(),
        AllDown::ServeAll => "serve_all".to_string(),
        AllDown::First => "first".to_string(),
        AllDown::NoData => "nodata".to_string(),
        AllDown::ServFail => "servfail".to_string(),
        AllDown::Pool(pool) => format!("pool {}", estate.pool(pool).name),
    }
}

fn form_text(form: &PolicyForm) -> String {
    let min_up = if form.min_up == 1 { String::new() } else { format!(", min_up {}", form.min_up) };
    let rules = if let Choice::Geo(_) | Choice::Nearest(_) = form.choice { format!(" {}", digest(form)) } else { String::new() };
    format!("{}{min_up}{rules}", policy_text(form))
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// Short, and the same for equal things in every process of one build.
fn digest(what: &impl std::hash::Hash) -> String {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("#{:016x}", hasher.finish())
}
