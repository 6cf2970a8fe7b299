//! A compact way to write estates in tests, used by the thinking rooms' tests.
//!
//! Statements end with a line or `;`, words stand between spaces:
//!
//! ```text
//! thresholds down_after=1 ok_after=1 up_after=1
//! pool prod: 10.0.0.1 10.0.0.2 2001:db8::1
//! pool dr: a=10.1.0.1 b=10.1.0.2@1 c=10.1.0.3*5 region=west min_up=2 min_active=2
//! pool sorry: 10.9.0.1 monitor=none            (or monitor=always)
//! pool saas: gw.vendor.example                 (or name=gw.vendor.example)
//! pool portal: 10.2.0.1 requires=prod,dr:2 down_after=1
//! pool busy: 10.2.0.1 shed=30                  (or shed=30:client; over 80, until 72)
//! composite both: all web !database ~disk
//! pool pair: 10.3.0.1 monitor=both
//! sentinel router: 192.0.2.1
//! health window=30s blind_share=50
//! outcomes factor=0.5 busy=ignore report=load min=0.1 max=8 load_from=X-Load       (makes the monitor an HTTP one; before the first pool)
//! region prod: 52.52,13.405 bias=-100
//! network office: 192.0.2.0/24,2001:db8::/48 at=52.52,13.405
//! policy world: geo network:office|network:lab!=prod *=dr        (`!`: strictly)
//! policy close: nearest prod dr ties=share unknown=share         (or `latency`, without ties)
//! policy europe: failover prod dr min_up=2
//! service orders: weighted prod=80 dr=20 failback=2s ttl=30 ttl_min=5 all_down=last_good max_answers=8 sticky cname
//! ```
//!
//! `name=address`, `@tier`, `*weight`. `failback` is a duration, `manual`, `one_way:1m`, or `staged:AFTER:5,20,100:HOLD`; `all_down` one of the words, or `pool:NAME`. Named policies may stand in any order.

use std::sync::Arc;

use crate::model::{
    Address, AllDown, Answering, AnyMonitor, Busy, By, Check, Choice, Combined, CombinedId, Composite, CompositeId, DegradedRule, Endpoint, EndpointId, Estate,
    Even, Factor, Failback, GeoRule, Host, HostId, HttpCheck, HttpOutcomes, JudgementId, Load, Mark, Member, Monitor, MonitorId, Nearest, Need, Network, Place,
    PolicyForm, Pool, PoolId, Region, RegionId, ReportKind, ReportPlace, ReportRule, Requirement, Scheme, Sentinel, Service, Share, Shed, ShedBy, Site, Stages,
    Steps, Sticky, TargetId, TcpCheck, Thresholds, Watch, Weight, parse_duration,
};
use crate::wire::Name;

/// Reads an estate; panics with the statement at fault.
pub(crate) fn estate(text: &str) -> Estate {
    let mut builder = Builder::default();
    let statements: Vec<&str> = text.split(['\n', ';']).map(str::trim).filter(|statement| !statement.is_empty() && !statement.starts_with('#')).collect();
    // Services last: their trees name the rest.
    for statement in statements.iter().filter(|statement| !statement.starts_with("service ")) {
        builder.statement(statement);
    }
    for statement in statements.iter().filter(|statement| statement.starts_with("service ")) {
        builder.service(statement);
    }
    builder.estate
}

/// A policy as in the statements: `weighted prod=80 dr=20`, `failover prod dr`, `multivalue a b min_up=2`; `weighted a b` means equal shares.
pub(crate) fn form(text: &str) -> PolicyForm {
    if let Some(rules) = text.strip_prefix("geo ") {
        return PolicyForm::new(Choice::Geo(rules.split_whitespace().map(rule).collect()));
    }
    let mut words = text.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let mut min_up = 1;
    let (mut ties, mut unknown) = (Even::First, Even::First);
    let mut children = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some(("min_up", number)) => min_up = number.parse().expect("min_up"),
            Some(("ties", word)) => ties = Even::from_word(word).expect("ties"),
            Some(("unknown", word)) => unknown = Even::from_word(word).expect("unknown"),
            Some((child, share)) => children.push((child.to_string(), Some(share.parse::<f64>().expect("a share in per cent")))),
            None => children.push((word.to_string(), None)),
        }
    }
    let names = || children.iter().map(|(name, _)| name.clone()).collect();
    let choice = match kind {
        "failover" => Choice::Failover(names()),
        "multivalue" => Choice::Multivalue(names()),
        "nearest" => Choice::Nearest(Nearest { by: By::Distance, among: names(), ties, unknown }),
        "latency" => Choice::Nearest(Nearest { by: By::Latency, among: names(), ties, unknown }),
        "weighted" => {
            let equal = Share(1_000_000 / children.len() as u32);
            let share = |share: &Option<f64>| share.map_or(equal, |percent| Share::from_percent(percent).expect("0 to 100"));
            Choice::Weighted(children.iter().map(|(name, percent)| (name.clone(), share(percent))).collect())
        }
        _ => panic!("not a policy: {text}"),
    };
    PolicyForm { choice, min_up }
}

/// `network:office|network:lab!=prod`, `*=dr`.
fn rule(text: &str) -> GeoRule<String> {
    let (when, then) = text.rsplit_once('=').expect("conditions=child");
    let strict = when.ends_with('!');
    let when = when.trim_end_matches('!').split('|').filter(|condition| *condition != "*");
    GeoRule { when: when.map(|condition| condition.parse().expect("a condition")).collect(), then: then.to_string(), strict }
}

/// `30`, `30:client`
fn shedding(text: &str) -> Shed {
    let (percent, by) = text.split_once(':').unwrap_or((text, "random"));
    let load = |number: f64| Load::new(number).expect("a load");
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    Shed {
        over: load(80.0),
        until: load(72.0),
        share: Share::from_percent(percent.parse().expect("per cent")).expect("0 to 100"),
        by: ShedBy::ALL.into_iter().find(|known| known.word() == by).expect("random or client"),
        hold: minutes(1),
        max_age: minutes(5),
    }
}

/// `52.52,13.405`
fn place(text: &str) -> Place {
    let (latitude, longitude) = text.split_once(',').expect("latitude,longitude");
    Place::from_degrees(latitude.parse().expect("degrees"), longitude.parse().expect("degrees")).expect("a place")
}

#[derive(Default)]
struct Builder {
    estate: Estate,
    thresholds: Thresholds,
    outcomes: Option<HttpOutcomes>,
}

impl Builder {
    fn statement(&mut self, text: &str) {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("thresholds", rest) => self.thresholds(rest),
            ("outcomes", rest) => self.outcomes(rest),
            ("pool", rest) => self.pool(rest),
            ("composite", rest) => self.composite(rest),
            ("tag", rest) => self.tag(rest),
            ("managed", rest) => drop(self.estate.managed.insert(rest.into(), format!("windrose.toml:{}:1", 10 + self.estate.managed.len()).into())),
            ("sentinel", rest) => self.sentinel(rest),
            ("health", rest) => self.guard(rest),
            ("network", rest) => {
                let (name, rest) = rest.split_once(": ").expect("name: prefixes");
                let (prefixes, at) = rest.split_once(" at=").map_or((rest, None), |(prefixes, at)| (prefixes, Some(place(at))));
                let prefixes = prefixes.split(',').map(|prefix| prefix.parse().expect("a prefix")).collect();
                self.estate.networks.push(Network { name: name.into(), prefixes, place: at });
            }
            ("region", rest) => {
                let (name, rest) = rest.split_once(": ").expect("name: place");
                let (at, bias) = rest.split_once(" bias=").unwrap_or((rest, "0"));
                let region = self.region(name);
                self.estate.sites.insert(region, Site { place: place(at), bias_km: bias.parse().expect("km") });
            }
            ("policy", rest) => {
                let (name, policy) = rest.split_once(": ").unwrap_or_else(|| panic!("no `: ` in {text}"));
                self.estate.policies.push((name.into(), form(policy)));
            }
            _ => panic!("not a statement: {text}"),
        }
    }

    fn thresholds(&mut self, text: &str) {
        for word in text.split_whitespace() {
            let (key, number) = word.split_once('=').expect("key=number");
            let number = number.parse().expect("a number");
            match key {
                "down_after" => self.thresholds.down_after = number,
                "ok_after" => self.thresholds.ok_after = number,
                "up_after" => self.thresholds.up_after = number,
                _ => panic!("not a threshold: {word}"),
            }
        }
    }

    fn outcomes(&mut self, text: &str) {
        let mut outcomes = HttpOutcomes::default();
        let number = |text: &str| text.parse::<f64>().expect("a number");
        let (mut report, mut min, mut max) = (None, Weight::LEAST, Weight::GREATEST);
        for word in text.split_whitespace() {
            match word.split_once('=').expect("key=value") {
                ("factor", factor) => {
                    outcomes.degraded = Some(DegradedRule { factor: Factor::new(number(factor)).expect("0.01 to 1"), ..DegradedRule::default() })
                }
                ("busy", word) => outcomes.busy = Busy::ALL.into_iter().find(|busy| busy.word() == word).expect("a rule"),
                ("report", word) => report = ReportKind::ALL.into_iter().find(|kind| kind.word() == word),
                ("load_from", header) => outcomes.load_from = Some(ReportPlace::Header(header.to_string())),
                ("min", weight) => min = Weight::new(number(weight)).expect("a weight"),
                ("max", weight) => max = Weight::new(number(weight)).expect("a weight"),
                _ => panic!("not an outcome: {word}"),
            }
        }
        outcomes.report = report.map(|kind| ReportRule { place: ReportPlace::Header("X-Weight".to_string()), kind, min, max });
        self.outcomes = Some(outcomes);
    }

    fn pool(&mut self, text: &str) {
        let (name, rest) = text.split_once(": ").unwrap_or_else(|| panic!("no `: ` in {text}"));
        let id = PoolId::at(self.estate.pools.len());
        let (mut region, mut min_up, mut min_active, mut monitor, mut endpoints) = (name, 1, None, "gateway", Vec::new());
        let (mut requires, mut own) = (Vec::new(), self.thresholds);
        let (mut degraded_factor, mut hold_if_older_than, mut shed) = (None, None, None);
        for word in rest.split_whitespace() {
            match word.split_once('=') {
                Some(("region", name)) => region = name,
                Some(("min_up", number)) => min_up = number.parse().expect("min_up"),
                Some(("min_active", number)) => min_active = Some(number.parse().expect("min_active")),
                Some(("monitor", word)) => monitor = word,
                Some(("requires", list)) => requires = list.split(',').map(|word| self.requirement(word)).collect(),
                Some(("down_after", number)) => own.down_after = number.parse().expect("down_after"),
                Some(("up_after", number)) => own.up_after = number.parse().expect("up_after"),
                Some(("older_than", span)) => hold_if_older_than = crate::model::parse_duration(span).ok(),
                Some(("shed", word)) => shed = Some(shedding(word)),
                Some(("factor", number)) => degraded_factor = number.parse().ok().and_then(Factor::new),
                Some((name, address)) => endpoints.push((Some(name), address)),
                None => endpoints.push((None, word)),
            }
        }
        let endpoints = endpoints.into_iter().map(|(name, word)| self.endpoint(id, name, word, monitor, own)).collect();
        let region = self.region(region);
        let (name, required_by, hold_if_older_than) = (name.into(), Vec::new(), hold_if_older_than);
        self.estate.pools.push(Pool { name, region, endpoints, min_up, min_active, requires, required_by, degraded_factor, hold_if_older_than, shed });
        for below in self.below(id) {
            self.estate.pools[below.index()].required_by.push(id);
        }
    }

    /// `db` or `db:2`; the pool stands above.
    fn requirement(&self, word: &str) -> Requirement {
        let (name, up) = word.split_once(':').map_or((word, None), |(name, up)| (name, Some(up.parse().expect("up"))));
        let pool = self.estate.pool_named(name).unwrap_or_else(|| panic!("no pool {name} above"));
        Requirement { pool, up: up.unwrap_or(self.estate.pool(pool).min_up) }
    }

    fn below(&self, pool: PoolId) -> std::collections::BTreeSet<PoolId> {
        let direct = self.estate.pool(pool).requires.iter().map(|requirement| requirement.pool);
        direct.flat_map(|pool| self.below(pool).into_iter().chain([pool])).collect()
    }

    /// `composite portal: all web !db ~disk`, `composite two: 2 a b c`: simple members become monitors where they are not composites above.
    fn composite(&mut self, text: &str) {
        let (name, rest) = text.split_once(": ").unwrap_or_else(|| panic!("no `: ` in {text}"));
        let mut words = rest.split_whitespace();
        let need = match words.next() {
            Some("all") => Need::All,
            Some("any") => Need::Any,
            number => Need::AtLeast(number.and_then(|number| number.parse().ok()).expect("all, any or a number")),
        };
        let members = words.map(|word| {
            let (mark, name) = match word.split_at(1) {
                ("!", name) => (Mark::Critical, name),
                ("~", name) => (Mark::Watch, name),
                _ => (Mark::Voting, word),
            };
            let composite = self.estate.composites.iter().position(|known| *known.name == *name);
            let monitor = composite.map(CompositeId::at).map_or_else(|| AnyMonitor::Simple(self.monitor(name)), AnyMonitor::Composite);
            Member { monitor, mark }
        });
        let members = members.collect();
        self.estate.composites.push(Composite { name: name.into(), need, members });
    }

    /// The first is `gateway`; others have a port of their own.
    fn monitor(&mut self, name: &str) -> MonitorId {
        let known = self.estate.monitors.iter().position(|monitor| monitor.name == name);
        MonitorId::at(known.unwrap_or_else(|| {
            let (interval, timeout) = (std::time::Duration::from_secs(10), std::time::Duration::from_secs(3));
            let check = match (name, self.outcomes.clone()) {
                ("always", _) => Check::Always,
                (_, None) => Check::Tcp(TcpCheck::connect(80 + self.estate.monitors.len() as u16)),
                (_, Some(outcomes)) => Check::Http(HttpCheck { outcomes: Box::new(outcomes), ..HttpCheck::get(Scheme::Http, 80, "/") }),
            };
            self.estate.monitors.push(Monitor { name: name.to_string(), check, source: Default::default(), interval, timeout, thresholds: self.thresholds });
            self.estate.monitors.len() - 1
        }))
    }

    fn members(&mut self, composite: CompositeId, address: &str, endpoint: EndpointId, own: Thresholds, found: &mut Vec<JudgementId>) {
        for member in self.estate.composite(composite).members.clone() {
            match member.monitor {
                AnyMonitor::Simple(id) if self.estate.monitor(id).check == Check::Always => {}
                AnyMonitor::Simple(id) => found.push(self.judgement(id, address, Some(endpoint), own)),
                AnyMonitor::Composite(id) => self.members(id, address, endpoint, own, found),
            }
        }
    }

    /// `tag az-1: prod/10.0.0.1 dr/a`; the pools stand above.
    fn tag(&mut self, text: &str) {
        let (name, endpoints) = text.split_once(": ").unwrap_or_else(|| panic!("no `: ` in {text}"));
        for word in endpoints.split_whitespace() {
            let (pool, endpoint) = word.split_once('/').unwrap_or_else(|| panic!("not pool/endpoint: {word}"));
            let endpoint = self.estate.pool_named(pool).and_then(|pool| self.estate.endpoint_named(pool, endpoint)).unwrap_or_else(|| panic!("no {word}"));
            self.estate.tags.entry(name.into()).or_default().insert(endpoint);
        }
    }

    fn sentinel(&mut self, text: &str) {
        let (name, address) = text.split_once(": ").unwrap_or_else(|| panic!("no `: ` in {text}"));
        let monitor = self.monitor("gateway");
        let judgement = self.judgement(monitor, address, None, self.thresholds);
        self.estate.sentinels.push(Sentinel { name: name.into(), judgement });
    }

    fn guard(&mut self, text: &str) {
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("window", span)) => self.estate.guard.window = parse_duration(span).expect("window"),
                Some(("blind_share", share)) => self.estate.guard.blind_share = share.parse().expect("per cent"),
                _ => panic!("not a rule: {word}"),
            }
        }
    }

    fn endpoint(&mut self, pool: PoolId, name: Option<&str>, word: &str, monitor: &str, own: Thresholds) -> EndpointId {
        let (word, weight) = word.split_once('*').map_or((word, 1), |(word, weight)| (word, weight.parse().expect("weight")));
        let (address, tier) = word.split_once('@').map_or((word, 0), |(word, tier)| (word, tier.parse().expect("tier")));
        let id = EndpointId::at(self.estate.endpoints.len());
        let watch = match monitor {
            "always" => Watch::Always,
            "none" => Watch::Nothing,
            _ => match self.estate.composites.iter().position(|known| *known.name == *monitor).map(CompositeId::at) {
                Some(composite) => {
                    let mut judgements = Vec::new();
                    self.members(composite, address, id, own, &mut judgements);
                    self.estate.combined.push(Combined { composite, judgements: judgements.into() });
                    Watch::Combined(CombinedId::at(self.estate.combined.len() - 1))
                }
                None => {
                    let monitor = self.monitor(monitor);
                    Watch::Judgement(self.judgement(monitor, address, Some(id), own))
                }
            },
        };
        let name: Arc<str> = name.map_or_else(|| address.to_string().into(), Into::into);
        let address = match address.parse() {
            Ok(fixed) => Address::Fixed(fixed),
            Err(_) => Address::Host(self.host(address)),
        };
        self.estate.endpoints.push(Endpoint { name, pool, address, weight, tier, watch });
        id
    }

    fn host(&mut self, name: &str) -> HostId {
        let name = Name::parse(name).unwrap_or_else(|_| panic!("neither an address nor a host name: {name}"));
        self.estate.host_named(&name).unwrap_or_else(|| {
            self.estate.hosts.push(name);
            HostId::at(self.estate.hosts.len() - 1)
        })
    }

    /// One target per monitor and address, as in a real estate.
    fn judgement(&mut self, monitor: MonitorId, address: &str, endpoint: Option<EndpointId>, own: Thresholds) -> JudgementId {
        let key = format!("{}@{address}#0", self.estate.monitor(monitor).name);
        let found = self.estate.targets.iter().position(|target| *target.key == *key);
        let reached = address.parse().map(Host::Address).unwrap_or_else(|_| Host::Answered(Name::parse(address).expect("a host name")));
        let target = found.map(TargetId::at).unwrap_or_else(|| self.estate.add_target(monitor, (reached, None), key.into(), own));
        let judgement = self.estate.judge(target, own);
        self.estate.judgements[judgement.index()].endpoints.extend(endpoint);
        judgement
    }

    fn region(&mut self, name: &str) -> RegionId {
        self.estate.region_named(name).unwrap_or_else(|| {
            self.estate.regions.push(Region { name: name.into() });
            RegionId::at(self.estate.regions.len() - 1)
        })
    }

    fn service(&mut self, text: &str) {
        let (name, rest) = text.strip_prefix("service ").and_then(|rest| rest.split_once(": ")).unwrap_or_else(|| panic!("no `: ` in {text}"));
        let mut trickle = crate::model::Share::ZERO;
        let (mut failback, mut ttl, mut ttl_min, mut max_answers, mut when_all_down) =
            (Failback::After(std::time::Duration::from_secs(60)), 30, 5, 8, AllDown::LastGood);
        let (mut sticky, mut answer) = (None, Answering::Addresses);
        let mut policy = Vec::new();
        for word in rest.split_whitespace() {
            match word.split_once('=') {
                Some(("failback", "manual")) => failback = Failback::Manual,
                Some(("failback", text)) if let Some(rest) = text.strip_prefix("staged:") => failback = staged(rest),
                Some(("failback", text)) if let Some(span) = text.strip_prefix("one_way:") => {
                    failback = Failback::OneWay(parse_duration(span).expect("failback"));
                }
                Some(("failback", span)) => failback = Failback::After(parse_duration(span).expect("failback")),
                Some(("ttl", number)) => ttl = number.parse().expect("ttl"),
                Some(("ttl_min", number)) => ttl_min = number.parse().expect("ttl_min"),
                Some(("max_answers", number)) => max_answers = number.parse().expect("max_answers"),
                None if word == "cname" => answer = Answering::Cname,
                None if word == "sticky" => sticky = Some(Sticky::default()),
                Some(("trickle", percent)) => trickle = percent.parse().ok().and_then(crate::model::Share::from_percent).expect("per cent"),
                Some(("all_down", word)) => when_all_down = self.all_down(word),
                _ => policy.push(word),
            }
        }
        let form = form(&policy.join(" "));
        let resolved = self.estate.resolve(&form).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let names = [Name::parse(&format!("{name}.api.example.com")).expect("a name")].into_iter().collect();
        self.estate.services.push(Service {
            name: name.into(),
            names,
            form: Arc::new(form),
            policy: resolved,
            answer,
            ttl,
            ttl_min,
            max_answers,
            failback,
            trickle,
            when_all_down,
            sticky,
            metrics: false,
        });
    }

    fn all_down(&self, word: &str) -> AllDown {
        match word {
            "last_good" => AllDown::LastGood,
            "serve_all" => AllDown::ServeAll,
            "first" => AllDown::First,
            "nodata" => AllDown::NoData,
            "servfail" => AllDown::ServFail,
            _ => AllDown::Pool(word.strip_prefix("pool:").and_then(|name| self.estate.pool_named(name)).unwrap_or_else(|| panic!("all_down={word}"))),
        }
    }
}

/// `60s:5,20,100:30s`
fn staged(text: &str) -> Failback {
    let parts: Vec<&str> = text.split(':').collect();
    let [after, steps, hold] = parts.as_slice() else { panic!("not AFTER:STEPS:HOLD: {text}") };
    let span = |text: &str| parse_duration(text).expect("a duration");
    let steps: Vec<i64> = steps.split(',').map(|step| step.parse().expect("per cent")).collect();
    Failback::Staged(Stages { after: span(after), jitter: std::time::Duration::ZERO, steps: Steps::new(&steps).expect("steps"), hold: span(hold) })
}
