//! What keeps us from being used against others: the rate limit, and bounds on amplification.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::answer::{Asked, DropReason, Handled};
use crate::model::{AnswerSettings, CookieSecret, CookieSettings, RateLimit};

const ZONE: &str = "example 3600 SOA ns.example h.example 1 2 3 4 60
    example 3600 NS ns.example
    *.wild.example 60 A 192.0.2.9
    sub.example 60 NS ns.elsewhere.test
    www.example 300 A 192.0.2.1";

fn settings(slip: u32) -> AnswerSettings {
    let cookies = CookieSettings { secrets: vec![CookieSecret([7; 16])], required: false };
    AnswerSettings { cookies, rate_limit: Some(RateLimit { per_second: 10, slip, ..RateLimit::default() }), ..AnswerSettings::default() }
}

fn world(slip: u32) -> World {
    World::new(&[("example", ZONE)]).with(settings(slip))
}

/// Whole answers, empty ones with TC, and silences of 100 queries.
fn flood(world: &mut World, mut query: impl FnMut(usize) -> Vec<u8>) -> [usize; 3] {
    let mut seen = [0; 3];
    for number in 0..100 {
        match world.handle(&query(number), udp()) {
            Ok(response) if response[2] & 2 != 0 => {
                assert_eq!(response[6..12], [0, 0, 0, 0, 0, 0]);
                seen[1] += 1;
            }
            Ok(_) => seen[0] += 1,
            Err(handled) => {
                assert_eq!(handled, Handled::Drop(DropReason::RateLimit));
                seen[2] += 1;
            }
        }
    }
    seen
}

#[test]
fn too_many_equal_responses_are_silence_and_every_second_one_slips() {
    assert_eq!(flood(&mut world(2), |_| query("www.example", 1)), [10, 45, 45]);
    assert_eq!(flood(&mut world(1), |_| query("www.example", 1)), [10, 90, 0]);
    assert_eq!(flood(&mut world(0), |_| query("www.example", 1)), [10, 0, 90]);
}

#[test]
fn random_names_count_as_their_zone_their_wildcard_or_their_cut() {
    let mut world = world(0);
    assert_eq!(flood(&mut world, |number| query(&format!("r{number}.example"), 1)), [10, 0, 90], "NXDOMAIN");
    assert_eq!(flood(&mut world, |number| query(&format!("r{number}.wild.example"), 1)), [10, 0, 90], "a wildcard");
    assert_eq!(flood(&mut world, |number| query(&format!("r{number}.sub.example"), 1)), [10, 0, 90], "a referral");
    assert_eq!(flood(&mut world, |number| query(&format!("r{number}.test"), 1)), [10, 0, 90], "REFUSED");
    assert_eq!(flood(&mut world, |_| query("www.example", 1)), [10, 0, 90], "each apart from the others");
}

#[test]
fn the_rate_comes_back_with_time() {
    let mut world = world(0);
    flood(&mut world, |_| query("www.example", 1));
    world.pass(Duration::from_millis(500));
    assert_eq!(flood(&mut world, |_| query("www.example", 1)), [5, 0, 95]);
}

#[test]
fn a_cookie_a_connection_and_an_exemption_are_not_limited() {
    let mut world = world(0);
    flood(&mut world, |_| query("www.example", 1));
    for _ in 0..100 {
        assert!(world.handle(&query("www.example", 1), tcp()).is_ok());
        assert!(world.handle(&query("www.example", 1), Asked { client: IpAddr::from([127, 0, 0, 1]), ..udp() }).is_ok());
    }
    let fresh = Asked { client: IpAddr::from([203, 0, 113, 1]), ..udp() };
    let asked = ask("www.example", 1, Some((1232, b"\x00\x0a\x00\x0812345678")));
    let response = world.handle(&asked, fresh).unwrap();
    let cookie = response[response.len() - 24..].to_vec();
    let proven = ask("www.example", 1, Some((1232, &[&b"\x00\x0a\x00\x18"[..], &cookie].concat())));
    for _ in 0..100 {
        assert!(world.handle(&proven, fresh).is_ok());
    }
}

#[test]
fn answers_that_are_made_up_here_amplify_at_most_tenfold() {
    let addresses: Vec<String> = (1..=40).map(|n| format!("2001:db8::{n}")).collect();
    let many: Vec<(&str, u32)> = addresses.iter().map(|address| (address.as_str(), 1)).collect();
    let records = format!(
        "e 3600 SOA {0}.e {0}.e 1 2 3 4 60\ne 3600 NS ns.e\n{1}",
        vec!["l".repeat(60); 3].join("."),
        (1..=9).map(|n| format!("c.e 60 NS {n}{}.c.e\n{n}{0}.c.e 60 AAAA 2001:db8::{n}\n", "n".repeat(50))).collect::<String>().replace("{0}", &"n".repeat(50)),
    );
    let cookies = CookieSettings { secrets: vec![CookieSecret([7; 16])], required: false };
    let mut world =
        World::new(&[("e", &records)]).service(&["s.e"], 30, 40, &[("prod", 100.0, &many)]).with(AnswerSettings { cookies, ..AnswerSettings::default() });
    for (name, qtype) in [("s.e", 28), ("s.e", 1), ("s.e", 255), ("x.e", 1), ("e", 28), ("c.e", 1), ("x.c.e", 28), ("e", 255)] {
        for edns in [None, Some((4096, &[][..])), Some((4096, &b"\x00\x0a\x00\x0812345678"[..]))] {
            let asked = ask(name, qtype, edns);
            let response = world.handle(&asked, udp()).unwrap();
            assert!(response.len() <= 10 * asked.len(), "{name} {qtype} {edns:?}: {} for {}", response.len(), asked.len());
        }
        let whole = world.handle(&ask(name, qtype, None), tcp()).unwrap();
        assert_eq!(whole[2] & 2, 0, "over TCP there is no bound");
    }
    let plain = world.handle(&ask("s.e", 28, Some((4096, &[]))), udp()).unwrap();
    assert_eq!((plain[2] & 2, plain[7]), (2, 0), "TC rather than a part");
}
