//! The room as a whole, on a real core and a real worker.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use super::*;
use crate::answer::{Asked, Cx, Handled, Limiter, Transport, answer};
use crate::control::{
    Actor, Change, Configuration, Effect, Effects, Event, LatencyTold, Measurement, OverrideTargetName, OverrideWord, Revision, Start, Ticket, Wanted,
};
use crate::health::testing::estate;
use crate::health::{Outcome, Phase, Reason, State};
use crate::snapshot::Snapshot;
use crate::wire::Name;
use crate::zone::{RecordSet, Zone};

const ORDERS: &str = "\
thresholds down_after=2 ok_after=1 up_after=1
pool prod: a=10.0.0.1 b=10.0.0.2
pool dr: a=10.1.0.1
service orders: weighted prod=80 dr=20 failback=manual ttl=30";

/// A daemon without IO: a core, its metrics, one worker.
struct World {
    core: Core,
    metrics: Arc<Metrics>,
    snapshot: Arc<Snapshot>,
    worker: Cx,
    now: Now,
    revision: Revision,
}

fn configuration(text: &str) -> Configuration {
    let apex: Name = "example.com".parse().unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap().wire().to_vec();
    let soa: Vec<u8> = [name("ns.example.com"), name("hostmaster.example.com"), [0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5].to_vec()].concat();
    let sets = vec![
        RecordSet { owner: apex.clone(), rtype: 6, ttl: 60, rdata: vec![soa.into()] },
        RecordSet { owner: apex.clone(), rtype: 2, ttl: 60, rdata: vec![name("ns.example.com").into()] },
    ];
    Configuration {
        estate: Arc::new(estate(text)),
        zones: vec![Arc::new(Zone { apex, sets })],
        answers: Arc::default(),
        clients: Arc::default(),
        databases: Default::default(),
        needs_restart: Vec::new(),
        hash: "0123456789abcdef".into(),
    }
}

impl World {
    /// Nothing probed yet.
    fn fresh(text: &str, services_max: usize) -> Self {
        Self::limited(text, services_max, 1000)
    }

    fn limited(text: &str, services_max: usize, endpoints_max: usize) -> Self {
        let now = Now { mono: Duration::ZERO, wall: Timestamp(1_800_000_000_000) };
        let start = Start {
            configuration: configuration(text),
            stored: Vec::new(),
            latency: Default::default(),
            revision: Revision(0),
            stale_after: Duration::from_secs(600),
            without_store: false,
        };
        let core = Core::start(start, now);
        let snapshot = Arc::new(Snapshot::build(0, &[], &Estate::default(), Vec::new(), &mut crate::snapshot::CellMap::default()));
        let metrics = Metrics::new("ns1", SeriesMax { services: services_max, endpoints: endpoints_max }, now.wall);
        let counters = Counters::new();
        metrics.register_worker(counters.clone());
        let mut world = Self { core, metrics, snapshot, worker: Cx::new(counters, Limiter::new(7), 7), now, revision: Revision(0) };
        world.carry_out(Effects::new());
        world
    }

    /// After a first round in which everything passed.
    fn new(text: &str) -> Self {
        let mut world = Self::fresh(text, 1000);
        for target in 0..world.core.estate().targets.len() {
            world.probe(TargetId::at(target), true);
        }
        world
    }

    fn carry_out(&mut self, mut effects: Effects) {
        self.core.settle(self.now, &mut effects);
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Publish(snapshot) => self.snapshot = snapshot,
                    Effect::Probe { estate, .. } => self.metrics.configured(&estate),
                    Effect::Tell(notice) => self.metrics.notice(&notice),
                    Effect::Happened(happening) => self.metrics.happened(&happening.kind),
                    Effect::Heard { target, report } => self.metrics.probed(target, &report),
                    Effect::Commit { commit, learned, .. } => {
                        self.revision.0 += u64::from(!learned);
                        self.metrics.store_operation(if learned { "learn" } else { "put" }, true, Duration::from_millis(2));
                        self.core.handle(self.now, Event::Committed { commit, revision: self.revision }, &mut effects);
                    }
                    Effect::Serve
                    | Effect::Measure { .. }
                    | Effect::Secondaries(_)
                    | Effect::Reply { .. }
                    | Effect::TellApart { .. }
                    | Effect::Classify
                    | Effect::WakeAt(_) => (),
                }
            }
            self.core.settle(self.now, &mut effects);
        }
        self.worker.begin(&self.snapshot, self.now);
    }

    fn event(&mut self, event: Event) {
        let mut effects = Effects::new();
        self.core.handle(self.now, event, &mut effects);
        self.carry_out(effects);
    }

    fn probe(&mut self, target: TargetId, passed: bool) {
        self.now.mono += Duration::from_millis(500);
        let outcome = if passed { Outcome::Pass } else { Outcome::Fail { reason: Reason::Timeout, message: "no answer".into() } };
        let phases = vec![(Phase::Connect, Duration::from_millis(3))];
        let report = ProbeReport {
            outcome,
            at: self.now.wall,
            took: Duration::from_millis(5),
            phases,
            status: None,
            certificate_expires: Some(Timestamp(1_900_000_000_000)),
            warning: None,
            resolved: None,
            reported: None,
            data_at: None,
            load: None,
        };
        let probing = self.metrics.probe();
        probing.started(Duration::from_millis(1));
        self.metrics.probed(target, &report);
        probing.finished();
        self.event(Event::Probed { plan: self.core.plan(), target, report });
    }

    /// Outcomes for every endpoint of a pool until its verdict is there.
    fn turn(&mut self, pool: &str, state: State) {
        let estate = self.core.estate().clone();
        let pool = estate.pool_named(pool).unwrap();
        for at in 0..estate.targets.len() {
            if estate.endpoints_of(TargetId::at(at)).any(|endpoint| estate.endpoint(endpoint).pool == pool) {
                while self.core.health().judgement(crate::model::JudgementId::at(at)).state != state {
                    self.probe(TargetId::at(at), state == State::Up);
                }
            }
        }
    }

    fn change(&mut self, change: Change) {
        self.event(Event::Change {
            ticket: Ticket(1),
            origin: crate::control::Origin::default(),
            actor: Actor("token:anna".into()),
            reason: "CHG-1".into(),
            change,
            expect: None,
            expect_file: None,
            // Some of these tests take the last region away.
            break_glass: vec![crate::model::GuardKind::MinServingRegions],
            dry_run: false,
        });
    }

    fn begin(&mut self, kind: OverrideWord, target: &str, lasts: Option<Duration>) {
        self.change(Change::Override { kind, target: OverrideTargetName::parse(target).unwrap(), services: Vec::new(), lasts });
    }

    fn reload(&mut self, text: &str) {
        self.event(Event::Reload { ticket: Ticket(2), configuration: configuration(text), by: Default::default() });
    }

    /// Asks for `name A` so many times.
    fn ask(&mut self, name: &str, times: usize) {
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(name.parse::<Name>().unwrap().wire());
        query.extend_from_slice(&[0, 1, 0, 1]);
        let asked = Asked { client: IpAddr::from([127, 0, 0, 1]), port: 4000, transport: Transport::Udp };
        let mut out = [0; 1232];
        for _ in 0..times {
            assert!(matches!(answer(&self.snapshot, &query, asked, &mut self.worker, &mut out), Handled::Reply(_)));
        }
    }

    fn render(&self) -> Text {
        Text(self.metrics.render(&self.core, self.now))
    }
}

/// An exposition, to look things up in.
struct Text(String);

impl Text {
    /// The value of a series written exactly like this: labels in the order of the catalogue.
    fn value(&self, series: &str) -> Option<f64> {
        self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[track_caller]
    fn is(&self, series: &str, value: f64) {
        let name = series.split('{').next().unwrap_or(series);
        let same: Vec<&str> = self.0.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(self.value(series), Some(value), "{series}; there is:\n{}", same.join("\n"));
    }

    #[track_caller]
    fn lacks(&self, text: &str) {
        let found: Vec<&str> = self.0.lines().filter(|line| line.contains(text)).collect();
        assert!(found.is_empty(), "`{text}` is still there:\n{}", found.join("\n"));
    }
}

/// Everything has happened once.
fn lively() -> World {
    let mut world = World::new(&format!("{ORDERS}\npool old: a=10.2.0.1 older_than=1h shed=30\nsentinel router: 192.0.2.1"));
    let push =
        crate::control::DataPush { actor: Actor("token:backup".into()), region: "old".into(), of: crate::control::DataTime::Ago(Duration::from_secs(7200)) };
    world.event(Event::Synchronised { ticket: Ticket(3), push });
    let push = crate::control::LoadPush { actor: Actor("token:ci".into()), pool: "old".into(), load: 85.5 };
    world.event(Event::Loaded { ticket: Ticket(3), push });
    let measured = Measurement { place: 0, network: "203.0.113.0/24".parse().unwrap(), region: "dr".into(), micros: 20_000, samples: 1 };
    world.event(Event::Latency { ticket: Ticket(4), told: LatencyTold::Measured { measurements: vec![measured], at: None } });
    world.ask("orders.api.example.com", 100);
    world.turn("prod", State::Down);
    let to = vec![("dr".to_string(), crate::model::Share::FULL)];
    world.change(Change::Shift { service: "orders".into(), wanted: Wanted { to, ..Wanted::default() } });
    world.begin(OverrideWord::Drain, "region/dr", Some(Duration::from_secs(600)));
    world.metrics.api_request("GET", "/api/v1/services", 200, Duration::from_millis(1));
    world.metrics.webhook("ops");
    let (file, kind, built) = ("country.mmdb".into(), "GeoLite2-Country".to_string(), Some(world.now.wall));
    world.metrics.databases(&[crate::client::DatabaseInfo { file, kind, built, networks: 1, problem: None }]);
    let mut estate = Estate::default();
    estate.secondaries.push(("example.com".parse().unwrap(), Arc::new([])));
    world.metrics.transfers().configured(&estate);
    let gateway = crate::model::Host::Name("gw.internal.example".parse().unwrap(), crate::model::Family::V4);
    world.metrics.probe().resolver.planned([(&gateway, (Some(world.now.wall), false))].into_iter());
    world
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    if Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: promtool is not installed (Debian's package `prometheus`)");
        return;
    }
    for world in [World::fresh(ORDERS, 1000), lively()] {
        let mut promtool =
            Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        promtool.stdin.take().unwrap().write_all(world.render().0.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn every_metric_of_the_catalogue_is_rendered_and_no_other() {
    let text = lively().render().0;
    let rendered: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let catalogued: BTreeSet<&str> = catalog::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(rendered, catalogued);
}

#[test]
fn no_series_stands_twice() {
    let text = lively().render().0;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series), "{series} stands twice");
    }
}

#[test]
fn counters_stand_at_zero_before_anything_happened() {
    let text = World::fresh(ORDERS, 1000).render();
    for reason in Reason::ALL {
        text.is(
            &format!("windrose_probe_failures_total{{monitor=\"gateway\",pool=\"prod\",endpoint=\"b\",region=\"prod\",reason=\"{}\"}}", reason.word()),
            0.0,
        );
    }
    text.is("windrose_probe_attempts_total{monitor=\"gateway\",pool=\"dr\",endpoint=\"a\",region=\"dr\",outcome=\"pass\"}", 0.0);
    text.is("windrose_endpoint_state_changes_total{pool=\"prod\",region=\"prod\",endpoint=\"a\",to=\"down\"}", 0.0);
    text.is("windrose_dns_answers_total{service=\"orders\",pool=\"dr\",region=\"dr\",reason=\"held\"}", 0.0);
    text.is("windrose_dns_queries_total{zone=\"example.com\",qtype=\"A\",proto=\"udp\",family=\"ipv4\"}", 0.0);
    text.is("windrose_failover_duration_seconds_count{service=\"orders\"}", 0.0);
    text.is("windrose_store_operations_total{store=\"embedded\",op=\"put\",outcome=\"fail\"}", 0.0);
    text.is("windrose_config_reloads_total{outcome=\"fail\"}", 0.0);
    text.is("windrose_events_total{type=\"endpoint.down\"}", 0.0);
    text.is("windrose_dns_dropped_total{reason=\"short\"}", 0.0);
    assert_eq!(text.value("windrose_probe_success{monitor=\"gateway\",pool=\"prod\",endpoint=\"b\",region=\"prod\"}"), None, "there was no probe yet");
}

#[test]
fn a_lost_region_is_seen_in_every_series_that_speaks_of_it() {
    let mut world = World::new(ORDERS);
    let before = world.render();
    before.is("windrose_region_up{region=\"prod\"}", 1.0);
    before.is("windrose_service_share_ratio{service=\"orders\",pool=\"prod\",region=\"prod\",kind=\"effective\"}", 0.8);
    before.is("windrose_failovers_total{service=\"orders\",from=\"dr+prod\",to=\"dr\",trigger=\"health\"}", 0.0);
    world.turn("prod", State::Down);
    let after = world.render();
    after.is("windrose_region_up{region=\"prod\"}", 0.0);
    after.is("windrose_region_up{region=\"dr\"}", 1.0);
    after.is("windrose_pool_up{pool=\"prod\",region=\"prod\"}", 0.0);
    after.is("windrose_pool_up_endpoints{pool=\"prod\",region=\"prod\"}", 0.0);
    after.is("windrose_endpoint_up{pool=\"prod\",region=\"prod\",endpoint=\"a\"}", 0.0);
    after.is("windrose_endpoint_serving{pool=\"prod\",region=\"prod\",endpoint=\"a\"}", 0.0);
    after.is("windrose_endpoint_state{pool=\"prod\",region=\"prod\",endpoint=\"a\",state=\"down\"}", 1.0);
    after.is("windrose_endpoint_state_changes_total{pool=\"prod\",region=\"prod\",endpoint=\"a\",to=\"down\"}", 1.0);
    after.is("windrose_service_share_ratio{service=\"orders\",pool=\"prod\",region=\"prod\",kind=\"desired\"}", 0.8);
    after.is("windrose_service_share_ratio{service=\"orders\",pool=\"dr\",region=\"dr\",kind=\"effective\"}", 1.0);
    after.is("windrose_service_pools_up{service=\"orders\"}", 1.0);
    after.is("windrose_service_available{service=\"orders\"}", 1.0);
    after.is("windrose_service_fallback_active{service=\"orders\"}", 0.0);
    after.is("windrose_service_pool_held{service=\"orders\",pool=\"prod\",region=\"prod\"}", 0.0);
    after.is("windrose_failovers_total{service=\"orders\",from=\"dr+prod\",to=\"dr\",trigger=\"health\"}", 1.0);
    after.is("windrose_failover_duration_seconds_count{service=\"orders\"}", 1.0);
    after.is("windrose_probe_failures_total{monitor=\"gateway\",pool=\"prod\",endpoint=\"a\",region=\"prod\",reason=\"timeout\"}", 2.0);
    after.is("windrose_events_total{type=\"failover.started\"}", 1.0);

    world.turn("prod", State::Up);
    let returned = world.render();
    returned.is("windrose_region_up{region=\"prod\"}", 1.0);
    returned.is("windrose_service_pool_held{service=\"orders\",pool=\"prod\",region=\"prod\"}", 1.0);
    returned.is("windrose_service_share_ratio{service=\"orders\",pool=\"prod\",region=\"prod\",kind=\"effective\"}", 0.0);
}

#[test]
fn the_all_down_rule_is_seen_and_a_last_resort_makes_no_region_look_down() {
    let mut world = World::new(
        "thresholds down_after=1 ok_after=1 up_after=1\npool prod: a=10.0.0.1\npool sorry: s=10.9.0.1 monitor=none\nservice orders: failover prod all_down=pool:sorry",
    );
    world.turn("prod", State::Down);
    let text = world.render();
    text.is("windrose_service_available{service=\"orders\"}", 0.0);
    text.is("windrose_service_fallback_active{service=\"orders\"}", 1.0);
    text.is("windrose_service_share_ratio{service=\"orders\",pool=\"sorry\",region=\"sorry\",kind=\"effective\"}", 1.0);
    text.is("windrose_endpoint_state{pool=\"sorry\",region=\"sorry\",endpoint=\"s\",state=\"unknown\"}", 1.0);
    text.lacks("windrose_region_up{region=\"sorry\"}");
    text.lacks("windrose_endpoint_up{pool=\"sorry\"");
}

#[test]
fn overrides_are_seen_and_leave_the_verdict_alone() {
    let mut world = World::new(ORDERS);
    world.begin(OverrideWord::Drain, "region/prod", None);
    world.begin(OverrideWord::ForceDown, "endpoint/dr/a", Some(Duration::from_secs(60)));
    let text = world.render();
    text.is("windrose_override_active{kind=\"drain\",target=\"region/prod\"}", 1.0);
    text.lacks("windrose_override_expiry_timestamp_seconds{kind=\"drain\"");
    text.is("windrose_override_start_timestamp_seconds{kind=\"drain\",target=\"region/prod\"}", 1_800_000_000.0);
    text.is("windrose_override_expiry_timestamp_seconds{kind=\"force_down\",target=\"endpoint/dr/a\"}", 1_800_000_060.0);
    text.is("windrose_region_drained{region=\"prod\"}", 1.0);
    text.is("windrose_region_drained{region=\"dr\"}", 0.0);
    text.is("windrose_endpoint_state{pool=\"prod\",region=\"prod\",endpoint=\"a\",state=\"drained\"}", 1.0);
    text.is("windrose_endpoint_state{pool=\"prod\",region=\"prod\",endpoint=\"a\",state=\"up\"}", 0.0);
    text.is("windrose_endpoint_up{pool=\"dr\",region=\"dr\",endpoint=\"a\"}", 1.0);
    text.is("windrose_endpoint_state{pool=\"dr\",region=\"dr\",endpoint=\"a\",state=\"force_down\"}", 1.0);
    // Nothing undrained is left, so prod answers by rung `drained`: it serves.
    text.is("windrose_endpoint_serving{pool=\"prod\",region=\"prod\",endpoint=\"a\"}", 1.0);
    text.is("windrose_endpoint_serving{pool=\"dr\",region=\"dr\",endpoint=\"a\"}", 0.0);
}

#[test]
fn a_removed_pool_takes_its_series_along_and_the_rest_count_on() {
    let mut world = World::new(ORDERS);
    world.ask("orders.api.example.com", 100);
    const PROD: &str = "windrose_dns_answers_total{service=\"orders\",pool=\"prod\",region=\"prod\",reason=\"policy\"}";
    let before = world.render().value(PROD).unwrap();
    assert!(before > 70.0);
    world.reload("thresholds down_after=2 ok_after=1 up_after=1\npool prod: a=10.0.0.1 b=10.0.0.2\nservice orders: failover prod ttl=30");
    let text = world.render();
    text.lacks("pool=\"dr\"");
    text.lacks("region=\"dr\"");
    text.is("windrose_probe_attempts_total{monitor=\"gateway\",pool=\"prod\",endpoint=\"a\",region=\"prod\",outcome=\"pass\"}", 1.0);
    text.is(PROD, before);
    world.reload("pool other: a=10.0.0.9\nservice shop: failover other");
    let text = world.render();
    text.lacks("orders");
    text.lacks("prod");
}

#[test]
fn answers_are_counted_by_pool_and_shown_as_shares() {
    let mut world = World::new(ORDERS);
    world.ask("orders.api.example.com", 1000);
    world.ask("nowhere.test", 3);
    let text = world.render();
    let count =
        |pool: &str| text.value(&format!("windrose_dns_answers_total{{service=\"orders\",pool=\"{pool}\",region=\"{pool}\",reason=\"policy\"}}")).unwrap();
    assert_eq!(count("prod") + count("dr"), 1000.0);
    assert!((count("prod") - 800.0).abs() <= 2.0, "{} of 1000", count("prod"));
    text.is("windrose_dns_queries_total{zone=\"example.com\",qtype=\"A\",proto=\"udp\",family=\"ipv4\"}", 1000.0);
    text.is("windrose_dns_responses_total{zone=\"_outside\",rcode=\"REFUSED\",proto=\"udp\"}", 3.0);
    text.is("windrose_dns_response_size_bytes_count{proto=\"udp\"}", 1003.0);
    assert_eq!(world.metrics.answered(&world.core, "orders"), [(Arc::from("dr"), count("dr") / 1000.0), (Arc::from("prod"), count("prod") / 1000.0)]);
    assert_eq!(world.metrics.answered(&world.core, "unheard-of"), []);
    assert_eq!(world.metrics.answers(&world.core, "orders"), [(Arc::from("dr"), count("dr") as u64), (Arc::from("prod"), count("prod") as u64)]);
    assert_eq!(world.metrics.answers(&world.core, "unheard-of"), []);
}

#[test]
fn services_beyond_the_limit_share_one_label_and_totals_stay_totals() {
    let text = "pool prod: a=10.0.0.1\nservice one: failover prod\nservice two: failover prod\nservice three: failover prod";
    let mut world = World::fresh(text, 1);
    world.probe(TargetId(0), true);
    for service in ["one", "two", "three"] {
        world.ask(&format!("{service}.api.example.com"), 10);
    }
    let text = world.render();
    text.is("windrose_dns_answers_total{service=\"one\",pool=\"prod\",region=\"prod\",reason=\"policy\"}", 10.0);
    text.is("windrose_dns_answers_total{service=\"_others\",pool=\"prod\",region=\"prod\",reason=\"policy\"}", 20.0);
    text.lacks("service=\"two\"");
    text.is("windrose_dns_queries_total{zone=\"example.com\",qtype=\"A\",proto=\"udp\",family=\"ipv4\"}", 30.0);
    world.turn("prod", State::Down);
    assert_eq!(world.metrics.answered(&world.core, "two"), [(Arc::from("prod"), 1.0)], "shares are known for every service");
}

#[test]
fn a_service_that_asks_for_metrics_has_them_beyond_the_limit() {
    let mut estate = estate("pool prod: a=10.0.0.1\nservice one: failover prod\nservice two: failover prod\nservice three: failover prod");
    estate.services[2].metrics = true;
    let tracked = Tracked::new(&estate, SeriesMax { services: 1, endpoints: 1000 });
    assert_eq!(tracked.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["one", "three"]);
    assert!(tracked.others() && !tracked.has("two"), "it is counted under {}", tracked::OTHERS);
}

#[test]
fn endpoints_beyond_the_limit_are_counted_together_and_totals_stay_totals() {
    let mut world = World::limited(ORDERS, 1000, 1);
    for _ in 0..2 {
        (0..3).for_each(|target| world.probe(TargetId(target), target != 1));
    }
    let text = world.render();
    text.is("windrose_probe_attempts_total{monitor=\"gateway\",pool=\"prod\",endpoint=\"a\",region=\"prod\",outcome=\"pass\"}", 2.0);
    text.is("windrose_probe_attempts_total{monitor=\"gateway\",pool=\"_others\",endpoint=\"_others\",region=\"prod\",outcome=\"fail\"}", 2.0);
    text.is("windrose_probe_attempts_total{monitor=\"gateway\",pool=\"_others\",endpoint=\"_others\",region=\"dr\",outcome=\"pass\"}", 2.0);
    text.is("windrose_probe_failures_total{monitor=\"gateway\",pool=\"_others\",endpoint=\"_others\",region=\"prod\",reason=\"timeout\"}", 2.0);
    text.is("windrose_endpoint_state_changes_total{pool=\"_others\",region=\"dr\",endpoint=\"_others\",to=\"up\"}", 1.0);
    text.is("windrose_pool_up_endpoints{pool=\"dr\",region=\"dr\"}", 1.0);
    text.lacks("endpoint=\"b\"");
    assert_eq!(
        text.value("windrose_probe_success{monitor=\"gateway\",pool=\"_others\",endpoint=\"_others\",region=\"dr\"}"),
        None,
        "a last probe is one endpoint's"
    );
}
