//! Random queries to Windrose, NSD, Knot and BIND with the same zones: what they say must be the same, but for what `reviewed` lists.
//!
//! A query is made from a seed and its number, so that a failure can be asked again: `WINDROSE_SEED=… cargo test --test it differential`.
//! 10,000 queries in the usual run, 100,000 with `WINDROSE_LONG=1`; a peer that is not installed is left out.

mod answer;
mod peers;
mod queries;
mod reviewed;
mod zones;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use answer::Answer;
use peers::{Peer, Server};
use queries::Asked;

use super::node::TestNode;
use super::raw::{Response, check};

const SEED: u64 = 20_261_121;
const QUERIES: u64 = 10_000;
const QUERIES_LONG: u64 = 100_000;
/// The usual run ends after this, however many queries it has made: machines are slow at times.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Differences shown.
const SHOWN_MAX: usize = 20;

/// Windrose with the zones.
fn windrose() -> TestNode {
    let zones: String = zones::all().iter().map(|(apex, _)| format!("[zone.\"{apex}\"]\nfile = \"{apex}.zone\"\n")).collect();
    let mut node = TestNode::prepare(&zones);
    for (apex, text) in zones::all() {
        std::fs::write(node.path(&format!("{apex}.zone")), text).expect("writable");
    }
    node.launch();
    node
}

/// A server's response, and over TCP what it cut.
struct Said {
    first: Response,
    whole: Option<Response>,
}

impl Said {
    /// `Err`: nothing, or what no reader takes.
    fn by(server: &mut Server, asked: &Asked) -> Result<Self, String> {
        let octets = asked.query.octets();
        let first = if asked.tcp { server.ask_tcp(&octets) } else { server.ask(&octets) };
        Ok(Self { first: read(server, &octets, first, asked.tcp)?, whole: None })
    }

    /// Asks again over TCP.
    fn make_whole(&mut self, server: &mut Server, asked: &Asked) -> Result<(), String> {
        if self.whole.is_none() {
            let octets = asked.query.octets();
            let whole = server.ask_tcp(&octets);
            self.whole = Some(read(server, &octets, whole, true)?);
        }
        Ok(())
    }

    fn text(&self) -> String {
        let told = |response: &Response| {
            let opt = response.opt.as_ref().map(|opt| format!("\n    {opt:?}")).unwrap_or_default();
            format!("{} octets\n    {}{opt}", response.octets.len(), response.text().replace('\n', "\n    "))
        };
        let whole = self.whole.as_ref().map(|whole| format!("\n   over TCP {}", told(whole))).unwrap_or_default();
        told(&self.first) + &whole
    }
}

/// Ours is read strictly.
fn read(server: &Server, query: &[u8], response: Option<Vec<u8>>, tcp: bool) -> Result<Response, String> {
    let response = response.ok_or("silence")?;
    if server.is_ours() { check(query, &response, tcp) } else { Response::read(&response) }
}

/// Both, in a form to compare: over TCP if one of them was truncated.
fn compared(asked: &Asked, us: (&mut Said, &mut Server), them: (&mut Said, &mut Server)) -> Result<(Answer, Answer), String> {
    if us.0.first.truncated() || them.0.first.truncated() {
        us.0.make_whole(us.1, asked)?;
        them.0.make_whole(them.1, asked)?;
        return Ok((Answer::of(asked, &us.0.first, us.0.whole.as_ref()), Answer::of(asked, &them.0.first, them.0.whole.as_ref())));
    }
    Ok((Answer::of(asked, &us.0.first, None), Answer::of(asked, &them.0.first, None)))
}

#[test]
fn random_queries_get_the_same_answers_from_nsd_knot_and_bind() {
    let long = std::env::var("WINDROSE_LONG").is_ok_and(|long| !long.is_empty());
    let seed = std::env::var("WINDROSE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut others: Vec<(Peer, Server)> = Peer::ALL.iter().filter_map(|peer| Some((*peer, Server::start(*peer)?))).collect();
    if others.is_empty() {
        return;
    }
    let node = windrose();
    let mut ours = Server::ours(node.dns);
    let began = Instant::now();
    let names = zones::names();
    let (mut count, mut failures, mut seen) = (0, Vec::new(), BTreeMap::<(Peer, &str), u64>::new());
    while count < if long { QUERIES_LONG } else { QUERIES } && (long || began.elapsed() < TIME_MAX) && failures.len() < SHOWN_MAX {
        let asked = Asked::nth(seed, count, &names);
        count += 1;
        let mut us = match Said::by(&mut ours, &asked) {
            Ok(said) => said,
            Err(why) => {
                failures.push(format!("{}\n  windrose: {why}", asked.text()));
                continue;
            }
        };
        for (peer, server) in &mut others {
            let mut them = match Said::by(server, &asked) {
                Ok(said) => said,
                Err(why) => {
                    failures.push(format!("{}\n  {peer:?}: {why}\n  windrose {}", asked.text(), us.text()));
                    continue;
                }
            };
            let known = match compared(&asked, (&mut us, &mut ours), (&mut them, server)) {
                Ok((a, b)) if a.agrees(&b) => continue,
                Ok((a, b)) => reviewed::difference(*peer, &asked, &a, &b),
                Err(_) => None,
            };
            match known {
                Some(known) => *seen.entry((*peer, known)).or_default() += 1,
                None => failures.push(format!("{}\n  windrose {}\n  {peer:?} {}", asked.text(), us.text(), them.text())),
            }
        }
    }
    let peers: Vec<Peer> = others.iter().map(|(peer, _)| *peer).collect();
    println!("measured: {count} queries to windrose and {peers:?} in {:?}, seed {seed}; reviewed differences:", began.elapsed());
    seen.iter().for_each(|((peer, why), count)| println!("  {count:6} {peer:?}: {why}"));
    assert!(failures.is_empty(), "seed {seed}: {} differences that nobody has reviewed\n\n{}", failures.len(), failures.join("\n\n"));
    if long && seed == SEED {
        for peer in peers {
            let unneeded = reviewed::unneeded(peer, |why| seen.contains_key(&(peer, why)));
            assert!(unneeded.is_empty(), "{peer:?} no longer differs; remove from the list: {unneeded:?}");
        }
    }
}
