//! Queries with octets changed, cut and grown, against the running server: it stays alive, answers right, and keeps its memory.
//!
//! A million; ten million with `WINDROSE_LONG=1` (`tests/run --long`). The same packets in every run: their seed is below.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::dns::Client;
use super::fuzzed::{Opt, queries, query, world::RICH};
use super::http::over_tcp;
use super::node::TestNode;

/// Packets between two that prove that all before them were handled: few enough for the smallest receive queue.
const BATCH: usize = 100;
/// Packets before memory is first looked at: every path has been walked by then.
const WARM_UP: usize = 50_000;
/// What the resident memory may grow by afterwards: a page here and there, for the API and for probes. One octet lost per packet would be more, with `--long`.
const GROWTH_KIB_MAX: u64 = 4096;
/// Longest wait for one batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// The sequence of mutations.
const SEED: u64 = 0x5744_5253_6d75_7461;

#[test]
fn mutated_packets_change_nothing() {
    let count = if std::env::var("WINDROSE_LONG").is_ok_and(|long| !long.is_empty()) { 10_000_000 } else { 1_000_000 };
    let node = TestNode::start(RICH.trim_start_matches(|c| c != '[').trim_start());
    let mut stream = Stream::new(node.dns, SEED);
    stream.send(WARM_UP);
    let before = resident_kib(node.pid());
    let began = Instant::now();
    stream.send(count);
    let (took, after) = (began.elapsed(), resident_kib(node.pid()));
    println!("{count} mutated packets in {took:.1?}, {} responses, resident {before} KiB before, {after} KiB after", stream.responses);
    assert!(after <= before + GROWTH_KIB_MAX, "resident memory went from {before} to {after} KiB");
    // Most of them still have a header, which is all that a FORMERR takes.
    assert!(stream.responses > count as u64 / 2, "{} responses", stream.responses);
    let metrics = over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("an answer").body;
    assert!(metrics.lines().any(|line| line == "windrose_panics_total 0"), "panics were contained");
    answers_right(node.dns);
}

fn answers_right(server: SocketAddr) {
    let mut client = Client::new(server);
    let mut ask = |name: &str, rtype| client.ask(name, rtype).expect("an answer");
    assert_eq!(ask("www.example.", RecordType::A).answers.len(), 3);
    assert_eq!(ask("v4.example.", RecordType::A).answers.len(), 1);
    assert_eq!(ask("nothing.example.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(ask("gone.example.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    assert_eq!(ask("host.sub.example.", RecordType::A).authorities.len(), 3);
    assert_eq!(ask("elsewhere.test.", RecordType::A).metadata.response_code, ResponseCode::Refused);
}

/// Mutated queries to one server, over one socket: one worker gets them in order.
struct Stream {
    socket: UdpSocket,
    seeds: Vec<Vec<u8>>,
    dice: Dice,
    proofs: u32,
    responses: u64,
    packet: Vec<u8>,
}

impl Stream {
    fn new(server: SocketAddr, seed: u64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect(server).expect("loopback");
        Self { socket, seeds: queries(), dice: Dice(seed), proofs: 0, responses: 0, packet: Vec::new() }
    }

    fn send(&mut self, count: usize) {
        for batch in 0..count.div_ceil(BATCH) {
            for _ in 0..BATCH.min(count - batch * BATCH) {
                self.mutate();
                self.socket.send(&self.packet).expect("loopback takes it");
            }
            self.prove();
        }
    }

    /// A good query that nobody asked before: its answer means that everything sent earlier was handled. What else comes back is counted.
    fn prove(&mut self) {
        self.proofs += 1;
        let proof = query(&format!("p{}.tenants.example", self.proofs), 1, Some(Opt { payload: 1232, version: 0, dnssec_ok: false, options: b"" }));
        let question = &proof[12..proof.len() - 11];
        self.socket.send(&proof).expect("loopback takes it");
        self.socket.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
        let deadline = Instant::now() + PATIENCE;
        let mut response = [0; 4096];
        loop {
            match self.socket.recv(&mut response) {
                Ok(octets) => {
                    self.responses += 1;
                    assert!((12..=1232).contains(&octets) && response[2] & 0x80 != 0, "no response: {:?}", &response[..octets]);
                    if response[12..octets].starts_with(question) && response[..2] == proof[..2] {
                        assert_eq!(response[2..8], [0x85, 0, 0, 1, 0, 2], "proof {} is answered right", self.proofs);
                        return;
                    }
                }
                // A full receive queue on either side may have lost it.
                Err(why) if why.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => drop(self.socket.send(&proof).expect("loopback takes it")),
                Err(why) => panic!("no answer to proof {}: {why}", self.proofs),
            }
        }
    }

    /// A seed with one to six changes.
    fn mutate(&mut self) {
        let Self { seeds, dice, packet, .. } = self;
        packet.clear();
        packet.extend_from_slice(&seeds[dice.below(seeds.len())]);
        for _ in 0..=dice.below(6) {
            let at = dice.below(packet.len().max(1));
            let Some(octet) = packet.get_mut(at) else { return };
            match dice.below(10) {
                0 | 1 => *octet ^= 1 << dice.below(8),
                2 => *octet = dice.next() as u8,
                3 => *octet = [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff][dice.below(7)],
                // The header, where the counts are.
                4 => packet[at % 12] = [0, 1, 2, 0xff][dice.below(4)],
                5 => packet.truncate(at),
                6 => {
                    let more = dice.below(40);
                    packet.extend((0..more).map(|_| dice.next() as u8));
                }
                7 => {
                    let piece = packet[at..(at + 16).min(packet.len())].to_vec();
                    packet.splice(at..at, piece);
                }
                8 => drop(packet.drain(at..(at + dice.below(8)).min(packet.len()))),
                _ => {
                    let other = &seeds[dice.below(seeds.len())];
                    packet.truncate(at);
                    packet.extend_from_slice(&other[at.min(other.len())..]);
                }
            }
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// `VmRSS` of a process, in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
