//! What is counted.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::answer::{Counters, DropReason, HistogramOf, Series, SubnetOutcome, Transport, cell_total, histogram, visit};
use crate::model::Family;
use crate::policy::Rung;
use crate::snapshot::ZoneSlot;
use crate::wire::{Name, Rcode};

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60\nexample 3600 NS ns.example\nalias.example 60 CNAME s.example";

fn world() -> World {
    World::new(&[("example", ZONE)]).service(&["s.example"], 30, 8, &[("prod", 0.8, &[("192.0.2.1", 1)]), ("dr", 0.2, &[("192.0.2.2", 1)])])
}

fn series(workers: &[Arc<Counters>]) -> std::collections::HashMap<Series, u64> {
    let mut all = std::collections::HashMap::new();
    visit(workers, &mut |series, count| assert_eq!(all.insert(series, count), None, "{series:?} twice"));
    all
}

#[test]
fn queries_responses_and_the_rest_by_zone() {
    let mut world = world();
    let zone = world.cells.zone(&Name::parse("example").unwrap());
    for _ in 0..3 {
        world.ask("s.example", 1);
    }
    world.ask("nx.example", 28);
    world.ask("x.test", 999);
    world.text(&ask("s.example", 1, Some((1232, b"\x00\x08\x00\x04\x00\x01\x00\x00"))));
    world.text(&ask("s.example", 1, Some((1232, b"\x00\x08\x00\x01\x00"))));
    world.handle(&query("s.example", 1), tcp()).unwrap();
    world.handle(b"", udp()).unwrap_err();
    let all = series(&[world.cx.counters().clone()]);
    let queries = |zone, qtype, transport| all.get(&Series::Queries { zone, qtype, transport, family: Family::V4 }).copied();
    assert_eq!(queries(zone, "A", Transport::Udp), Some(4));
    assert_eq!(queries(zone, "A", Transport::Tcp), Some(1));
    assert_eq!(queries(zone, "AAAA", Transport::Udp), Some(1));
    assert_eq!(queries(ZoneSlot::OUTSIDE, "other", Transport::Udp), Some(1));
    assert_eq!(queries(zone, "MX", Transport::Udp), None);
    let responses = |zone, rcode| all.get(&Series::Responses { zone, rcode, transport: Transport::Udp }).copied();
    assert_eq!(responses(zone, Rcode::NoError), Some(4));
    assert_eq!(responses(zone, Rcode::NxDomain), Some(1));
    assert_eq!(responses(zone, Rcode::ServFail), Some(0), "there from the start");
    assert_eq!(responses(ZoneSlot::OUTSIDE, Rcode::Refused), Some(1));
    assert_eq!(responses(ZoneSlot::OUTSIDE, Rcode::FormErr), Some(1));
    assert_eq!(all[&Series::ClientSubnet { zone, outcome: SubnetOutcome::Ignored }], 1);
    assert_eq!(all[&Series::ClientSubnet { zone: ZoneSlot::OUTSIDE, outcome: SubnetOutcome::Malformed }], 1);
    assert_eq!(all[&Series::Dropped { reason: DropReason::Short }], 1);
    assert_eq!(all[&Series::Truncated { zone }], 0);
    let sizes = histogram(&[world.cx.counters().clone()], HistogramOf::ResponseSize(Transport::Udp));
    assert_eq!(sizes.counts.iter().sum::<u64>(), 7);
    assert_eq!(world.cells.zone_name(zone), Some(&Name::parse("example").unwrap()));
}

#[test]
fn answers_by_leaf_also_behind_a_cname() {
    let mut world = world();
    for _ in 0..500 {
        world.ask("s.example", 1);
        world.ask("alias.example", 1);
        world.ask("s.example", 16);
    }
    let worker = [world.cx.counters().clone()];
    let cells: Vec<_> = world.cells.iter().map(|(service, pools, rung, cell)| (&**service, &*pools[0], rung, cell_total(&worker, cell))).collect();
    let count = |pool: &str| cells.iter().find(|cell| cell.1 == pool).map(|cell| cell.3).unwrap();
    assert_eq!(cells.len(), 2);
    assert!(cells.iter().all(|cell| cell.0 == "s.example" && cell.2 == Rung::Policy));
    assert_eq!(count("prod") + count("dr"), 1000);
    assert!(count("prod").abs_diff(800) <= 4, "{cells:?}");
}

#[test]
fn truncation_is_counted() {
    let many: String = (1..=40).map(|n| format!("\nmany.example 60 A 192.0.2.{n}")).collect();
    let mut world = World::new(&[("example", &format!("{ZONE}{many}"))]);
    world.ask("many.example", 1);
    let zone = world.cells.zone(&Name::parse("example").unwrap());
    assert_eq!(series(&[world.cx.counters().clone()])[&Series::Truncated { zone }], 1);
}

#[test]
fn durations_are_the_batchs_mean() {
    let workers = [Counters::new(), Counters::new()];
    workers[0].batch(Transport::Udp, 10, Duration::from_micros(20));
    workers[1].batch(Transport::Udp, 1, Duration::from_secs(5));
    workers[1].batch(Transport::Udp, 0, Duration::from_secs(5));
    let all = histogram(&workers, HistogramOf::QueryDuration(Transport::Udp));
    assert_eq!((all.counts[1], *all.counts.last().unwrap()), (10, 1));
    assert!((all.sum - 5.00002).abs() < 1e-9);
    assert_eq!(histogram(&workers, HistogramOf::QueryDuration(Transport::Tcp)).counts.iter().sum::<u64>(), 0);
}
