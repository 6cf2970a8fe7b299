//! What hardly ever happens: names of 255 octets, answers that don't fit, counters that are not there.

use std::collections::BTreeSet;

use super::*;
use crate::answer::outcome::Outcome;
use crate::answer::picks::{Pick, Picks};
use crate::answer::{CookieOutcome, Counters, HistogramOf, SubnetOutcome, Transport, histogram};
use crate::model::{AnswerSettings, Family, ServiceId};
use crate::snapshot::ZoneSlot;
use crate::wire::Rcode;

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    *.w.example 60 CNAME bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd.eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee.example
    *.v.example 60 A 192.0.2.1";

/// A name of 255 octets in wire form, below `suffix` (11 octets with the root's label).
fn longest(suffix: &str) -> String {
    let label = |octets: usize| "a".repeat(octets);
    let name = format!("{}.{}.{}.{}.{suffix}", label(63), label(63), label(63), label(51));
    assert_eq!(name.len() + 2, 255);
    name
}

#[test]
fn a_cname_that_does_not_fit_is_truncated_whole() {
    let mut world = World::new(&[("example", ZONE)]);
    let name = longest("w.example");
    assert_eq!(world.ask(&name, 1), format!("NOERROR aa tc rd\n? {name}. A"));
    let over_tcp = text(&world.handle(&query(&name, 1), tcp()).unwrap());
    assert!(over_tcp.starts_with("NOERROR aa rd\n") || over_tcp.starts_with("NXDOMAIN aa rd\n"), "{over_tcp}");
    assert!(over_tcp.contains("CNAME bbb"), "{over_tcp}");
}

#[test]
fn any_that_does_not_fit_is_truncated() {
    let nsid = "n".repeat(220);
    let mut world = World::new(&[("example", ZONE)]).with(AnswerSettings { nsid: Some(nsid.clone().into()), ..AnswerSettings::default() });
    let name = longest("v.example");
    let asked = ask(&name, 255, Some((512, b"\x00\x03\x00\x00")));
    assert_eq!(world.text(&asked), format!("NOERROR aa tc rd\n? {name}. TYPE255\nOPT 1232 nsid={nsid}"));
}

#[test]
fn a_sample_that_does_not_fit_is_truncated_whole() {
    let addresses: Vec<String> = (1..=60).map(|last| format!("192.0.2.{last}")).collect();
    let weighted: Vec<(&str, u32)> = addresses.iter().map(|address| (&**address, 1)).collect();
    let mut world = World::new(&[("example", ZONE)]).service(&["s.example"], 30, 40, &[("prod", 1.0, &weighted)]);
    assert_eq!(world.ask("s.example", 1), "NOERROR aa tc rd\n? s.example. A");
    assert_eq!(text(&world.handle(&query("s.example", 1), tcp()).unwrap()).matches("\nAN s.example. 30 A ").count(), 40);
}

#[test]
fn a_query_without_a_question_or_a_cookie_asks_for_nothing() {
    let mut world = World::new(&[("example", ZONE)]);
    assert_eq!(world.text(&[0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "FORMERR rd\n? -");
}

#[test]
fn a_service_that_no_snapshot_announced_has_a_pick_all_the_same() {
    let Pick { leaf, turn } = Picks::new(7).next(ServiceId(0), Family::V4);
    assert_eq!((leaf, turn), (0, 0));
}

#[test]
fn what_has_no_counter_yet_is_not_counted_and_hurts_nobody() {
    let counters = Counters::new();
    let outcome = Outcome { zone: ZoneSlot(5000), ..Outcome::default() };
    counters.count(&outcome, &tcp(), 60_000);
    let sizes = histogram(&[counters], HistogramOf::ResponseSize(Transport::Tcp));
    assert_eq!((sizes.counts, sizes.sum), (vec![0, 0, 0, 0, 0, 0, 1, 0], 60_000.0));
}

#[test]
fn label_words_differ() {
    fn differ<const N: usize>(words: [&str; N]) {
        assert_eq!(BTreeSet::from(words).len(), N, "{words:?}");
    }
    differ(Rcode::ALL.map(Rcode::word));
    differ(SubnetOutcome::ALL.map(SubnetOutcome::word));
    differ(CookieOutcome::ALL.map(CookieOutcome::word));
}
