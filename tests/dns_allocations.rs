//! A query costs no allocation, over UDP or over TCP: counted in the whole process, workers and runtime included.
//!
//! One test alone in its binary, since the counter sees every thread.

#![allow(unsafe_code, reason = "a counting allocator wraps the system's")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use windrose::dns::bind;
use windrose::model::{DnsSettings, Estate};
use windrose::snapshot::Snapshot;

#[allow(dead_code, reason = "the tests of other binaries use the rest")]
#[path = "it/fuzzed/world.rs"]
mod world;

/// Answers that depend on the client: by network, by place, and clients that keep to their region.
const STEERED: &str = r#"
schema = 1
[zone."example"]
records = """
@ 60 SOA ns host 1 2 3 4 60
@ 60 NS ns.example.net.
"""
[monitor.trusted]
always = "up"
[region.prod]
location = [52.5, 13.4]
[region.dr]
location = [40.7, -74.0]
[network.office]
prefixes = ["198.51.100.0/24", "203.0.113.128/25"]
location = [50.0, 8.0]
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1", "192.0.2.2"]
[pool.dr]
monitor = "trusted"
endpoints = ["192.0.2.3"]
[policy.both]
weighted = { prod = 80, dr = 20 }
[policy.near]
nearest = ["prod", "dr"]
[service.x]
name = "x.example"
sticky = true
policy = { geo = [{ when = ["network:office"], then = "near" }, { then = "both" }] }
"#;

/// `x.example. A`, for a client of 203.0.113.0/24 and of 192.0.2.0/24 (RFC 7871).
const FOR_CLIENTS: [[u8; 49]; 2] = [for_client([203, 0, 113]), for_client([192, 0, 2])];

const fn for_client([a, b, c]: [u8; 3]) -> [u8; 49] {
    let mut query = *b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01x\x07example\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x00\x00\x00\x00";
    query[46] = a;
    query[47] = b;
    query[48] = c;
    query
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is the system allocator's, counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// `x.example. A`; every response is REFUSED, since the snapshot is empty.
const QUERY: [u8; 27] = *b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x07example\x00\x00\x01\x00\x01";

fn ask(client: &UdpSocket, rounds: usize) {
    let mut response = [0; 1500];
    for _ in 0..rounds {
        for _ in 0..50 {
            client.send(&QUERY).unwrap();
        }
        for _ in 0..50 {
            let length = client.recv(&mut response).unwrap();
            assert!(length >= 12 && response[..2] == QUERY[..2]);
        }
    }
}

/// The same as bursts of a resolver: 50 queries with one call.
#[cfg(target_os = "linux")]
fn ask_in_bursts(client: &UdpSocket, rounds: usize) {
    use std::os::fd::AsRawFd;
    let segment = QUERY.len() as libc::c_int;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the option's value is an integer of the length given.
    let outcome = unsafe { libc::setsockopt(client.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const segment).cast(), length) };
    assert_eq!(outcome, 0);
    let mut response = [0; 1500];
    let mut all = [0; 50 * QUERY.len()];
    all.chunks_exact_mut(QUERY.len()).for_each(|place| place.copy_from_slice(&QUERY));
    for _ in 0..rounds {
        client.send(&all).unwrap();
        for _ in 0..50 {
            let length = client.recv(&mut response).unwrap();
            assert!(length >= 12 && response[..2] == QUERY[..2]);
        }
    }
}

/// The same over a TCP connection: one query at a time, then 30 pipelined and cut somewhere.
fn ask_stream(client: &mut TcpStream, rounds: usize) {
    let mut framed = [0; 2 + QUERY.len()];
    framed[1] = QUERY.len() as u8;
    framed[2..].copy_from_slice(&QUERY);
    let mut response = [0; 2 + QUERY.len()];
    let mut read = |client: &mut TcpStream| {
        client.read_exact(&mut response).unwrap();
        assert!(response[..4] == framed[..4], "a REFUSED response is as long as its query");
    };
    let mut pipelined = [0; 30 * (2 + QUERY.len())];
    pipelined.chunks_exact_mut(framed.len()).for_each(|place| place.copy_from_slice(&framed));
    for _ in 0..rounds {
        client.write_all(&framed).unwrap();
        read(client);
        let (one, other) = pipelined.split_at(333);
        client.write_all(one).unwrap();
        (0..333 / framed.len()).for_each(|_| read(client));
        client.write_all(other).unwrap();
        (333 / framed.len()..30).for_each(|_| read(client));
    }
}

fn ask_for_clients(client: &UdpSocket, rounds: usize) {
    let mut response = [0; 1500];
    for _ in 0..rounds {
        for query in FOR_CLIENTS.iter().cycle().take(50) {
            client.send(query).unwrap();
        }
        for _ in 0..50 {
            let length = client.recv(&mut response).unwrap();
            assert!(length > 49 && response[3] & 0xf == 0 && response[7] > 0, "an answer");
        }
    }
}

#[tokio::test]
async fn ten_thousand_queries_allocate_nothing() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let bound = bind(&DnsSettings { listen: vec![listen.parse().unwrap()], workers: 1 }).await.unwrap();
        let port = bound.addresses()[0].port();
        let snapshot = Snapshot::build(1, &[], &Estate::default(), Vec::new(), &mut windrose::snapshot::CellMap::default());
        let running = bound.serve(Arc::new(ArcSwap::from_pointee(snapshot)), 7, &mut |_| {});
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.connect(("127.0.0.1", port)).unwrap();
        // The thread's first load of the snapshot, and whatever else happens once.
        ask(&client, 2);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        ask(&client, 200);
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations during 10,000 queries on {listen}");
        #[cfg(target_os = "linux")]
        {
            ask_in_bursts(&client, 2);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            ask_in_bursts(&client, 200);
            assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations during 10,000 queries in bursts on {listen}");
        }
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ask_stream(&mut client, 2);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        ask_stream(&mut client, 200);
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations during 6,200 queries over TCP on {listen}");
        running.stop().await;
    }
    // What depends on the client costs a look-up and a table, and no memory either.
    let bound = bind(&DnsSettings { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 1 }).await.unwrap();
    let port = bound.addresses()[0].port();
    let snapshot = world::Started::of_text(STEERED).snapshot;
    let running = bound.serve(Arc::new(ArcSwap::new(snapshot)), 7, &mut |_| {});
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    ask_for_clients(&client, 2);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    ask_for_clients(&client, 200);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations during 10,000 queries for clients");
    running.stop().await;
}
