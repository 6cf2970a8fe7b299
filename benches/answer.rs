//! What a query costs inside `answer()`, by kind of query and by number of services. Figures only: nothing is asserted.
//!
//! `cargo bench --bench answer`. Sockets are not part of it: `benches/peers` measures the whole beside other servers.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a bench fails by panicking, and reads the clock")]

mod estates;
#[path = "../tests/it/fuzzed/mod.rs"]
mod fuzzed;

use divan::Bencher;
use divan::counter::ItemsCount;
use windrose::answer::{Handled, Transport, UDP_OCTETS_MAX};

use fuzzed::world::{RICH, World};
use fuzzed::{Opt, query};

/// Client subnet 192.0.2.0/24.
const SUBNET: &[u8] = b"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02";
/// A client's cookie.
const COOKIE: &[u8] = b"\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08";
/// Queries in one measured step.
const STEP: usize = 100;

fn main() {
    divan::main();
}

/// Kind, name and type; all names are in `rich.toml`.
const KINDS: &[(&str, &str, u16)] = &[
    ("service, A, weighted of 2", "shop.example", 1),
    ("service, AAAA, weighted of 2", "shop.example", 28),
    ("service, A, weighted of 4 pools, 10 of 17 addresses", "ten.example", 1),
    ("service, 3 of 10 addresses", "many.example", 1),
    ("service, wildcard", "a.tenants.example", 1),
    ("service, SERVFAIL", "gone.example", 1),
    ("static, A, 3 records", "www.example", 1),
    ("static, MX with addresses", "example", 15),
    ("static, wildcard", "x.y.wild.example", 16),
    ("NODATA", "www.example", 28),
    ("NXDOMAIN", "nothing.example", 1),
    ("NXDOMAIN, six labels", "a.b.c.d.nothing.example", 1),
    ("referral with glue", "host.sub.example", 1),
    ("CNAME, one link", "alias.example", 1),
    ("CNAME, one link, to a service", "toservice.example", 1),
    ("CNAME, ten links", "c1.example", 1),
    ("ANY", "www.example", 255),
    ("REFUSED", "elsewhere.test", 1),
];

#[divan::bench(args = (0..KINDS.len()).map(Kind))]
fn kind(bencher: Bencher<'_, '_>, kind: &Kind) {
    let (_, name, qtype) = KINDS[kind.0];
    measure(bencher, &mut World::of_text(RICH), &[query(name, qtype, None)]);
}

#[divan::bench(args = ["none", "EDNS", "EDNS, client subnet", "EDNS, cookie", "malformed option"])]
fn edns(bencher: Bencher<'_, '_>, with: &str) {
    let opt = |options| Some(Opt { payload: 1232, version: 0, dnssec_ok: false, options });
    let opt = match with {
        "none" => None,
        "EDNS" => opt(b""),
        "EDNS, client subnet" => opt(SUBNET),
        "EDNS, cookie" => opt(COOKIE),
        _ => opt(b"\x00\x08\x00\x03\x00\x01\x18"),
    };
    measure(bencher, &mut World::of_text(RICH), &[query("shop.example", 1, opt)]);
}

#[divan::bench(args = [1, 1_000, 100_000])]
fn services(bencher: Bencher<'_, '_>, count: usize) {
    let mut world = World::of_text(&estates::weighted(count));
    // In an order that caches can't guess.
    let queries: Vec<Vec<u8>> = (0..count.max(STEP)).map(|at| query(&estates::name(at.wrapping_mul(7919) % count), 1, None)).collect();
    measure(bencher, &mut world, &queries);
}

/// Prefixes that clients are told apart by.
const PREFIXES: u32 = 1_000_000;

/// A client subnet in every query, each another one: what knowing the client costs beside the plain weighted answer.
#[divan::bench(args = ["weighted", "sticky", "geo", "nearest"])]
fn by_client(bencher: Bencher<'_, '_>, policy: &str) {
    let folder = tempfile::tempdir().expect("a folder for prefixes");
    let (policy, more) = match policy {
        "weighted" => ("{ weighted = { prod = 80, dr = 20 } }", ""),
        "sticky" => ("{ weighted = { prod = 80, dr = 20 } }", "sticky = true"),
        "geo" => ("{ geo = [{ when = [\"network:n0\", \"network:n5\", \"network:n9\"], then = \"dr\" }, { then = \"prod\" }] }", ""),
        _ => ("{ nearest = [\"prod\", \"dr\"] }", ""),
    };
    let mut world = World::of_text(&estates::by_client(policy, more, PREFIXES, folder.path()));
    let queries: Vec<Vec<u8>> = (0..1 << 16)
        .map(|at: u32| {
            let [_, a, b, c] = estates::scattered(at.wrapping_mul(7919)).to_be_bytes();
            let subnet = [0, 8, 0, 7, 0, 1, 24, 0, a, b, c];
            query(&estates::name(0), 1, Some(Opt { payload: 1232, version: 0, dnssec_ok: false, options: &subnet }))
        })
        .collect();
    measure(bencher, &mut world, &queries);
}

struct Kind(usize);

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(KINDS[self.0].0)
    }
}

/// [`STEP`] queries a step, one after the other.
fn measure(bencher: Bencher<'_, '_>, world: &mut World, queries: &[Vec<u8>]) {
    let mut out = [0; UDP_OCTETS_MAX];
    let mut next = 0;
    bencher.counter(ItemsCount::new(STEP)).bench_local(|| {
        let mut octets = 0;
        for _ in 0..STEP {
            match world.handle(&queries[next], Transport::Udp, &mut out) {
                Handled::Reply(length) => octets += length,
                other => panic!("{other:?}"),
            }
            next = (next + 1) % queries.len();
        }
        octets
    });
}
