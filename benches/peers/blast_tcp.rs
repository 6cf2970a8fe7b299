// blast_tcp: a closed-loop DNS load generator over TCP that costs the client little CPU,
// so that the server is what saturates. One thread, one epoll.
// One file, no crates: rustc -C opt-level=3 -C target-cpu=native blast_tcp.rs
//
// blast_tcp -s 127.0.0.1 -p PORT -d QUERYFILE [-c connections] [-q outstanding] [-l seconds]
//           [-e edns_percent] [-E ecs_percent] [-x queries_per_connection]
// Each connection keeps outstanding / connections queries (at least one) on their way: 1 is one query at a time, more is
// pipelining. What a read brought is followed by one write with as many new queries. `-x 1`: a new connection per query.
// QUERYFILE is dnsperf's format ("name type" a line). Output: one line of key=value, as blast's.
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}
extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(epoll: i32, op: i32, fd: i32, event: *mut Event) -> i32;
    fn epoll_wait(epoll: i32, events: *mut Event, most: i32, timeout_ms: i32) -> i32;
    fn setsockopt(fd: i32, level: i32, name: i32, value: *const u8, length: u32) -> i32;
}
const EPOLLIN: u32 = 1;

fn encode(name: &str, qtype: u16, edns: bool, ecs: Option<[u8; 3]>) -> Vec<u8> {
    // Two bytes of length, then the message.
    let mut w = vec![0u8, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for l in name.trim_end_matches('.').split('.') {
        w.push(l.len() as u8);
        w.extend_from_slice(l.as_bytes());
    }
    w.push(0);
    w.extend_from_slice(&qtype.to_be_bytes());
    w.extend_from_slice(&1u16.to_be_bytes());
    if edns || ecs.is_some() {
        w[13] = 1;
        w.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
        match ecs {
            Some(p) => {
                w.extend_from_slice(&[0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
                w.extend_from_slice(&p);
            }
            None => w.extend_from_slice(&[0, 0]),
        }
    }
    let length = (w.len() - 2) as u16;
    w[..2].copy_from_slice(&length.to_be_bytes());
    w
}

fn queries(text: &str, edns_percent: u64, ecs_percent: u64) -> Vec<Vec<u8>> {
    let mut rng = 0x9e3779b97f4a7c15u64;
    let mut all = vec![];
    for line in text.lines() {
        let mut f = line.split_whitespace();
        let (Some(name), Some(ty)) = (f.next(), f.next()) else { continue };
        let qt = match ty {
            "A" => 1,
            "AAAA" => 28,
            "TXT" => 16,
            "SOA" => 6,
            "NS" => 2,
            "HTTPS" => 65,
            _ => ty.trim_start_matches("TYPE").parse().unwrap(),
        };
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        let d = (rng >> 32) % 100;
        let ecs = (d < ecs_percent).then_some([203u8, rng as u8, (rng >> 8) as u8]);
        all.push(encode(name, qt, d < ecs_percent + edns_percent, ecs));
    }
    all
}

struct Conn {
    s: TcpStream,
    rest: Vec<u8>, // the part of a response that has come
    out: usize,
    next: u16,
    asked: u64,
    sent: Vec<u64>, // by ID, modulo its length
    last: Instant,
}

fn connect(addr: SocketAddr, epoll: RawFd, index: usize, window: usize) -> std::io::Result<Conn> {
    let s = TcpStream::connect(addr)?;
    s.set_nodelay(true)?;
    s.set_nonblocking(true)?;
    let mut event = Event { events: EPOLLIN, data: index as u64 };
    assert_eq!(unsafe { epoll_ctl(epoll, 1, s.as_raw_fd(), &mut event) }, 0);
    Ok(Conn { s, rest: vec![], out: 0, next: 0, asked: 0, sent: vec![0; (window * 4).next_power_of_two()], last: Instant::now() })
}

fn main() {
    let mut a: BTreeMap<String, String> = BTreeMap::new();
    let mut it = std::env::args().skip(1);
    while let Some(k) = it.next() {
        a.insert(k, it.next().expect("value"));
    }
    let get = |k: &str, d: &str| a.get(k).cloned().unwrap_or(d.to_string());
    let addr: SocketAddr = format!("{}:{}", get("-s", "127.0.0.1"), get("-p", "53")).parse().unwrap();
    let nconn: usize = get("-c", "4").parse().unwrap();
    let window = (get("-q", "192").parse::<usize>().unwrap() / nconn).max(1);
    let end = Duration::from_secs_f64(get("-l", "5").parse().unwrap());
    let per_conn: u64 = get("-x", "0").parse().unwrap();
    let all = queries(&std::fs::read_to_string(get("-d", "")).expect("query file"), get("-e", "0").parse().unwrap(), get("-E", "0").parse().unwrap());

    let epoll = unsafe { epoll_create1(0) };
    let mut conns: Vec<Conn> = (0..nconn).map(|i| connect(addr, epoll, i, window).expect("connect")).collect();
    let mut events = vec![Event { events: 0, data: 0 }; 256];
    let mut buffer = vec![0u8; 1 << 18];
    let mut line = Vec::with_capacity(1 << 16);
    let mut hist = vec![0u64; 4096]; // log-linear: 64 octaves x 64 steps on ns
    let bucket = |ns: u64| -> usize {
        let v = ns.max(64);
        let o = 63 - v.leading_zeros() as usize;
        ((o - 6) * 64 + ((v >> (o - 6)) & 63) as usize).min(4095)
    };
    let (mut sent, mut done, mut lost, mut bytes, mut resets) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut rcodes = [0u64; 16];
    let (mut withans, mut notaa) = (0u64, 0u64);
    let mut at = 0;
    let t0 = Instant::now();
    let mut now = t0;
    let mut looked = t0;
    let mut ready: Vec<usize> = (0..nconn).collect(); // all send first
    loop {
        for &i in &ready {
            let c = &mut conns[i];
            let ns = (now - t0).as_nanos() as u64;
            let mut broken = false;
            if c.out > 0 {
                let held = c.rest.len();
                buffer[..held].copy_from_slice(&c.rest);
                match c.s.read(&mut buffer[held..]) {
                    Ok(0) => broken = true,
                    Ok(n) => {
                        c.last = now;
                        let (mut p, length) = (0, held + n);
                        while p + 2 <= length {
                            let l = u16::from_be_bytes([buffer[p], buffer[p + 1]]) as usize;
                            if p + 2 + l > length {
                                break;
                            }
                            let m = &buffer[p + 2..p + 2 + l];
                            p += 2 + l;
                            if l < 12 || m[2] & 0x80 == 0 {
                                continue;
                            }
                            let id = u16::from_be_bytes([m[0], m[1]]) as usize;
                            hist[bucket(ns.saturating_sub(c.sent[id & (c.sent.len() - 1)]))] += 1;
                            rcodes[(m[3] & 15) as usize] += 1;
                            withans += (m[7] > 0) as u64;
                            notaa += (m[2] & 4 == 0) as u64;
                            bytes += l as u64;
                            done += 1;
                            c.out = c.out.saturating_sub(1);
                        }
                        c.rest.clear();
                        c.rest.extend_from_slice(&buffer[p..length]);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => broken = true,
                }
            }
            if broken || (per_conn > 0 && c.asked >= per_conn && c.out == 0) {
                lost += c.out as u64;
                resets += broken as u64;
                // The old one is closed, which also takes it out of the epoll.
                match connect(addr, epoll, i, window) {
                    Ok(new) => *c = new,
                    Err(e) => panic!("{}", e),
                }
            }
            line.clear();
            while c.out < window && (per_conn == 0 || c.asked < per_conn) {
                let start = line.len();
                line.extend_from_slice(&all[at]);
                at = (at + 1) % all.len();
                c.next = c.next.wrapping_add(1);
                line[start + 2..start + 4].copy_from_slice(&c.next.to_be_bytes());
                let slot = c.next as usize & (c.sent.len() - 1);
                c.sent[slot] = ns;
                c.out += 1;
                c.asked += 1;
                sent += 1;
            }
            let mut from = 0;
            while from < line.len() {
                match c.s.write(&line[from..]) {
                    Ok(n) => from += n,
                    // The windows are small against socket buffers: this passes.
                    Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    Err(_) => break,
                }
            }
        }
        if now - t0 >= end {
            break;
        }
        if now - looked > Duration::from_millis(200) {
            looked = now;
            for c in conns.iter_mut().filter(|c| c.out > 0 && now - c.last > Duration::from_secs(1)) {
                lost += c.out as u64;
                c.out = 0;
                c.last = now;
            }
        }
        let n = unsafe { epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, 100) };
        ready.clear();
        ready.extend(events[..n.max(0) as usize].iter().map(|e| e.data as usize));
        now = Instant::now();
    }
    let one: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
    for c in &conns {
        // SO_LINGER 0: no TIME_WAIT is left behind for the next run.
        unsafe { setsockopt(c.s.as_raw_fd(), 1, 13, one.as_ptr(), 8) };
    }
    let el = (now - t0).as_secs_f64();
    let pct = |p: f64| -> f64 {
        let want = (done as f64 * p) as u64;
        let mut s = 0;
        for (i, h) in hist.iter().enumerate() {
            s += h;
            if s > want {
                let o = i / 64 + 6;
                return ((1u64 << o) + (((i % 64) as u64) << (o - 6))) as f64 / 1000.0;
            }
        }
        0.0
    };
    println!(
        "sent={} done={} lost={} resets={} secs={:.3} qps={:.0} p50us={:.1} p99us={:.1} p999us={:.1} noerror={} nxdomain={} other={} with_answer={} not_aa={} avg_resp={:.1}",
        sent, done, lost, resets, el, done as f64 / el, pct(0.5), pct(0.99), pct(0.999),
        rcodes[0], rcodes[3], done - rcodes[0] - rcodes[3], withans, notaa, bytes as f64 / done.max(1) as f64
    );
}
