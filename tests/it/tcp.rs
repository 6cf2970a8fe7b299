//! DNS over TCP (RFC 7766) on the real binary: what a connection may do, and what crowds of them can't.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::dns::Client;
use super::http::over_tcp;
use super::node::{TestNode, signal, tool, wait_for};

/// A new client is answered "at once": within this, crowded machine and all.
const AT_ONCE: Duration = Duration::from_secs(1);
/// No test waits longer than this for anything else.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections of one address, as documented.
const PER_ADDRESS: usize = 250;

const SERVICES: &str = r#"
[monitor.trusted]
always = "up"
[pool.prod]
monitor = "trusted"
endpoints = ["192.0.2.1", "192.0.2.2"]
[service.orders]
name = "orders.api.example.com"
policy = "prod"
"#;

/// A query as TCP carries it.
fn framed(id: u16, name: &str) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&query);
    framed
}

fn orders(id: u16) -> Vec<u8> {
    framed(id, "orders.api.example.com")
}

/// A connection from an address of its own choice.
fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // What is left of a crowd afterwards (TIME_WAIT) keeps no other test from its port.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The ID and the number of answers of the next response.
fn response(stream: &mut TcpStream) -> std::io::Result<(u16, u16)> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    assert!(12 <= message.len() && message[2] & 0x80 != 0, "{message:02x?} is no response");
    Ok((u16::from_be_bytes([message[0], message[1]]), u16::from_be_bytes([message[6], message[7]])))
}

/// Asks on a connection and wants both addresses.
fn ask(stream: &mut TcpStream, id: u16) -> std::io::Result<()> {
    stream.write_all(&orders(id))?;
    assert_eq!(response(stream)?, (id, 2));
    Ok(())
}

/// A new client, from connecting to its answer.
fn newcomer(from: [u8; 4], to: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut stream = connect(from, to).expect("a new client may connect");
    ask(&mut stream, 7).expect("a new client is answered");
    began.elapsed()
}

/// Whether the other side has ended it: nothing more comes but the end.
fn has_ended(stream: &mut TcpStream) -> bool {
    let mut more = [0; 512];
    loop {
        match stream.read(&mut more) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// Is it still open, now?
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let state = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    matches!(state, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// A client that asks as much as the server takes and never reads.
struct Deaf {
    stream: TcpStream,
    queries: Vec<u8>,
    sent: usize,
}

impl Deaf {
    fn new(from: [u8; 4], to: SocketAddr) -> Self {
        let stream = connect(from, to).expect("a new client may connect");
        stream.set_nonblocking(true).expect("a socket");
        Self { stream, queries: (0..2000).flat_map(orders).collect(), sent: 0 }
    }

    /// Whether the server took something now; an error: the connection has ended.
    fn ask_more(&mut self) -> std::io::Result<bool> {
        match self.stream.write(&self.queries[self.sent..]) {
            Ok(bytes) => {
                self.sent = (self.sent + bytes) % self.queries.len();
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn metric(node: &TestNode, name: &str) -> f64 {
    let page = over_tcp(node.metrics, "GET", "/metrics", &[], "").expect("answers").body;
    let line = page.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

/// A line of `/proc/PID/status`, in its unit.
fn status(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a known line");
    line.trim_start_matches(':').split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// CPU time used so far, in clock ticks (1/100 s).
fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = text.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn set_open_files(pid: u32, soft: usize) {
    let status = Command::new("prlimit").arg(format!("--pid={pid}")).arg(format!("--nofile={soft}:")).status().expect("prlimit runs");
    assert!(status.success());
}

/// Open files that a process may have: soft and hard.
fn open_files(pid: u32) -> (usize, usize) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a known line");
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    (numbers.next().expect("soft"), numbers.next().expect("hard"))
}

/// Raises the limit of this process, and of the servers that it starts, as far as the system lets it; gives the limit.
fn raised() -> usize {
    static RAISED: OnceLock<usize> = OnceLock::new();
    *RAISED.get_or_init(|| {
        let pid = std::process::id();
        let hard = open_files(pid).1.min(1 << 20);
        if tool("prlimit") {
            set_open_files(pid, hard);
        }
        open_files(pid).0
    })
}

/// Loopback addresses for crowds: each takes its share below the limit of one address.
fn crowd_address(block: u8, index: usize) -> [u8; 4] {
    [127, block, 0, 1 + (index / (PER_ADDRESS - 50)) as u8]
}

#[test]
fn a_connection_is_used_again_and_again_and_queries_may_be_pipelined_and_cut_anywhere() {
    let node = TestNode::start(SERVICES);
    let mut stream = connect([127, 0, 0, 1], node.dns).expect("listens");
    for id in 0..200 {
        ask(&mut stream, id).expect("reused");
    }
    // 3,000 at once: more than one read, more than one write.
    let all: Vec<u8> = (0..3000).flat_map(orders).collect();
    let mut writer = stream.try_clone().expect("a descriptor");
    let sent = std::thread::spawn(move || writer.write_all(&all));
    let mut missing: std::collections::BTreeSet<u16> = (0..3000).collect();
    while !missing.is_empty() {
        let (id, answers) = response(&mut stream).expect("every query is answered");
        assert!(missing.remove(&id) && answers == 2, "{id}");
    }
    sent.join().expect("no panic").expect("taken");
    // Byte by byte, each in a segment of its own; then two bytes of length, and the message and a half of the next later.
    for byte in orders(3) {
        stream.write_all(&[byte]).expect("open");
    }
    assert_eq!(response(&mut stream).expect("answered"), (3, 2));
    let two = [orders(4), orders(5)].concat();
    for part in [&two[..2], &two[2..50], &two[50..]] {
        stream.write_all(part).expect("open");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(response(&mut stream).expect("answered"), (4, 2));
    assert_eq!(response(&mut stream).expect("answered"), (5, 2));
    // The longest message there can be is a message, too.
    let mut long = orders(6)[2..].to_vec();
    long.resize(65_535, 0);
    stream.write_all(&[0xff, 0xff]).and_then(|()| stream.write_all(&long)).expect("open");
    assert_eq!(response(&mut stream).expect("answered"), (6, 0), "FORMERR: bytes after the question");
    ask(&mut stream, 8).expect("and the connection is good as before");
}

#[test]
fn a_client_that_has_sent_its_end_gets_its_responses_and_then_the_end() {
    let node = TestNode::start(SERVICES);
    for pipelined in [1, 10, 2000] {
        let mut stream = connect([127, 0, 0, 1], node.dns).expect("listens");
        let mut all: Vec<u8> = (0..pipelined).flat_map(orders).collect();
        // A part of one more, which never becomes whole.
        all.extend_from_slice(&orders(9999)[..7]);
        stream.write_all(&all).expect("open");
        stream.shutdown(Shutdown::Write).expect("open");
        for _ in 0..pipelined {
            assert_eq!(response(&mut stream).expect("answered").1, 2);
        }
        assert!(has_ended(&mut stream));
    }
    wait_for("no connection to be left", PATIENCE, || (metric(&node, "windrose_dns_tcp_connections") == 0.0).then_some(()));
}

#[test]
fn an_answer_too_long_for_udp_says_so_and_comes_whole_over_tcp() {
    let endpoints: Vec<String> = (1..=120).map(|host| format!("\"192.0.2.{host}\"")).collect();
    let node = TestNode::start(&format!(
        "[monitor.t]\nalways = \"up\"\n[pool.prod]\nmonitor = \"t\"\nendpoints = [{}]\n[service.big]\nname = \"big.api.example.com\"\npolicy = \"prod\"\nmax_answers = 32\n",
        endpoints.join(", ")
    ));
    let query = framed(1, "big.api.example.com");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket.send_to(&query[2..], node.dns).expect("sent");
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer).expect("answered");
    assert!(length <= 512 && answer[2] & 0x02 != 0, "TC without EDNS, {length} bytes");
    let mut stream = connect([127, 0, 0, 1], node.dns).expect("listens");
    stream.write_all(&query).expect("open");
    assert_eq!(response(&mut stream).expect("answered"), (1, 32));
}

#[test]
fn connections_without_queries_end_after_ten_seconds_and_not_before_nine_and_a_half() {
    let node = TestNode::start(SERVICES);
    let mut silent = connect([127, 0, 0, 1], node.dns).expect("listens");
    let mut asked = connect([127, 0, 0, 1], node.dns).expect("listens");
    let mut dripping = connect([127, 0, 0, 1], node.dns).expect("listens");
    let mut busy = connect([127, 0, 0, 1], node.dns).expect("listens");
    let began = Instant::now();
    ask(&mut asked, 1).expect("answered");
    dripping.write_all(&orders(1)[..1]).expect("open");
    let drip = std::thread::spawn(move || {
        // A byte now and then: each alone is in time.
        for byte in &orders(1)[1..25] {
            std::thread::park_timeout(Duration::from_millis(300));
            if dripping.write_all(&[*byte]).is_err() || !is_open(&dripping) {
                break;
            }
        }
        let cut = began.elapsed();
        assert!(has_ended(&mut dripping));
        cut
    });
    let mut ends = [None; 2];
    while ends.iter().any(Option::is_none) {
        assert!(began.elapsed() < PATIENCE, "{ends:?}");
        for (end, stream) in ends.iter_mut().zip([&silent, &asked]) {
            if end.is_none() && !is_open(stream) {
                *end = Some(began.elapsed());
            }
        }
        ask(&mut busy, 2).expect("queries put the end off");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    for end in ends.into_iter().flatten() {
        // A little more than 10 s: this machine's own delays.
        assert!(Duration::from_millis(9_500) <= end && end < Duration::from_millis(10_700), "{end:?}");
    }
    assert!(has_ended(&mut silent) && has_ended(&mut asked));
    let cut = drip.join().expect("ended");
    assert!(cut < Duration::from_secs(7), "a drip is cut after five seconds, not {cut:?}");
    ask(&mut busy, 3).expect("still open");
}

#[test]
fn a_new_client_is_answered_at_once_among_thousands_of_idle_dripping_and_never_reading_connections() {
    let limit = raised();
    let wanted = (10_000, 1_000, 100);
    // The server keeps 256 for the rest of itself; this process has other tests beside this one.
    let share = (limit.saturating_sub(1_000)).min(wanted.0 + wanted.1 + wanted.2);
    let (idle, drips, deaf) = if share == wanted.0 + wanted.1 + wanted.2 {
        wanted
    } else {
        println!("{limit} files may be open here: fewer connections than the {wanted:?} of this test's name");
        (share * 90 / 100, share * 9 / 100, share / 100)
    };
    let node = TestNode::start(SERVICES);
    let before = status(node.pid(), "VmRSS");
    let began = Instant::now();
    let mut crowd = Vec::with_capacity(idle);
    let mut slowest = Duration::ZERO;
    for index in 0..idle {
        crowd.push(connect(crowd_address(101, index), node.dns).expect("a descriptor and a port"));
        if index % 1000 == 999 {
            slowest = slowest.max(newcomer([127, 0, 0, 9], node.dns));
        }
    }
    let held = status(node.pid(), "VmRSS");
    println!("{idle} idle connections in {:?}: resident {before} kB before, {held} kB with them", began.elapsed());
    // Drips begin their message while the idle ones are there.
    let mut dripping: Vec<TcpStream> = (0..drips).map(|index| connect(crowd_address(102, index), node.dns).expect("a descriptor")).collect();
    for stream in &mut dripping {
        stream.write_all(&[0xff]).expect("open");
    }
    slowest = slowest.max(newcomer([127, 0, 0, 9], node.dns));
    // Never-reading ones have a query for each response that they don't read, as many as they can send.
    let mut never: Vec<Deaf> = (0..deaf).map(|index| Deaf::new(crowd_address(103, index), node.dns)).collect();
    let crowded = Instant::now();
    let mut alive = (deaf, drips);
    let mut asked = 0;
    while crowded.elapsed() < Duration::from_secs(8) && alive != (0, 0) {
        never.retain_mut(|client| client.ask_more().is_ok());
        dripping.retain_mut(|stream| stream.write_all(&[0]).is_ok());
        alive = (never.len(), dripping.len());
        slowest = slowest.max(newcomer([127, 0, 0, 9], node.dns));
        asked += 1;
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let most = status(node.pid(), "VmHWM");
    println!(
        "{idle} idle, {drips} dripping, {deaf} never reading: {asked} newcomers answered, the slowest after {slowest:?}; resident at most {most} kB, left {alive:?}"
    );
    assert!(slowest < AT_ONCE, "a newcomer waited {slowest:?}");
    assert_eq!(alive, (0, 0), "drips and those that never read are cut, newcomers are not");
    assert!(most < before + 120_000, "memory stays bounded: {before} kB before, {most} kB at most");
    assert!(metric(&node, "windrose_dns_tcp_connections") <= 10_000.0);
    // The crowd goes (by resets, which leave nothing in TIME_WAIT), and the server is as it was.
    crowd.iter().for_each(|stream| socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket"));
    drop(crowd);
    wait_for("the crowd to be gone", PATIENCE, || (metric(&node, "windrose_dns_tcp_connections") == 0.0).then_some(()));
    assert!(newcomer([127, 0, 0, 9], node.dns) < AT_ONCE);
}

#[test]
fn an_address_over_its_limit_makes_room_itself_by_the_connection_that_was_idle_longest() {
    let node = TestNode::start(SERVICES);
    let mut other = connect([127, 104, 0, 9], node.dns).expect("listens");
    ask(&mut other, 1).expect("answered");
    let mut streams: Vec<TcpStream> = (0..PER_ADDRESS).map(|_| connect([127, 104, 0, 1], node.dns).expect("listens")).collect();
    // All but the third are active again.
    for (id, stream) in streams.iter_mut().enumerate().filter(|(id, _)| *id != 3) {
        ask(stream, id as u16).expect("answered");
    }
    let mut newest = connect([127, 104, 0, 1], node.dns).expect("listens");
    ask(&mut newest, 1).expect("the newest is answered");
    assert!(has_ended(&mut streams[3]), "the one idle longest has made room");
    assert_eq!(streams.iter().filter(|stream| !is_open(stream)).count(), 1, "no other");
    ask(&mut streams[0], 2).expect("the oldest, which was not idle longest, is there");
    ask(&mut other, 2).expect("another address is not touched");
    assert_eq!(metric(&node, "windrose_dns_tcp_connections"), (PER_ADDRESS + 1) as f64);
}

#[test]
fn without_descriptors_accepting_pauses_and_does_not_spin_and_goes_on_afterwards() {
    if !tool("prlimit") {
        return;
    }
    let mut node = TestNode::prepare(SERVICES);
    node.launch();
    let pid = node.pid();
    let (soft, _) = open_files(pid);
    assert!(newcomer([127, 0, 0, 1], node.dns) < AT_ONCE);
    wait_for("no connection to be left", PATIENCE, || (metric(&node, "windrose_dns_tcp_connections") == 0.0).then_some(()));
    // Below what is open already: nobody can be accepted, and there is nobody who could make room.
    set_open_files(pid, 8);
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| connect([127, 0, 0, 1], node.dns).expect("the kernel's queue takes it")).collect();
    for stream in &mut waiting {
        stream.write_all(&orders(5)).expect("the kernel takes it");
    }
    node.wait_for_log("accepting DNS connections failed");
    let before = cpu_ticks(pid);
    let measured = Instant::now();
    std::thread::park_timeout(Duration::from_secs(2));
    let (used, over) = (cpu_ticks(pid) - before, measured.elapsed());
    println!("{used} hundredths of a second of CPU time in {over:?} without descriptors");
    // A spin would use a core: 200.
    assert!(used < 40, "{used} hundredths of a second of CPU time in {over:?}");
    assert_eq!(Client::new(node.dns).first("orders.api.example.com.").map(|address| matches!(address, IpAddr::V4(_))), Some(true), "UDP goes on");
    set_open_files(pid, soft);
    let began = Instant::now();
    for stream in &mut waiting {
        assert_eq!(response(stream).expect("who waited is answered"), (5, 2));
    }
    assert!(began.elapsed() < AT_ONCE, "after {:?}", began.elapsed());
    assert!(newcomer([127, 0, 0, 1], node.dns) < AT_ONCE);
}

#[test]
fn with_few_descriptors_connections_leave_some_to_the_rest_of_the_server() {
    if !tool("prlimit") {
        return;
    }
    let node = TestNode::start(SERVICES);
    let pid = node.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
    // Room for 30 connections; 200 come, each of which is answered, since older ones make room.
    set_open_files(pid, open + 30);
    let mut streams = Vec::new();
    for id in 0..200 {
        let mut stream = connect([127, 105, 0, 1 + (id % 4) as u8], node.dns).expect("listens");
        ask(&mut stream, id).expect("answered");
        streams.push(stream);
    }
    let open_now = streams.iter().filter(|stream| is_open(stream)).count();
    println!("of 200 connections with room for 30, {open_now} are open");
    assert!((1..=30).contains(&open_now), "{open_now}");
    ask(streams.last_mut().expect("200"), 999).expect("the newest is there");
}

#[test]
fn the_end_of_the_server_ends_idle_connections_at_once_and_is_not_held_up_by_a_client_that_does_not_read() {
    let mut node = TestNode::start(SERVICES);
    let mut idle = connect([127, 0, 0, 1], node.dns).expect("listens");
    ask(&mut idle, 1).expect("answered");
    let mut deaf = Deaf::new([127, 0, 0, 1], node.dns);
    // Until nothing moves any more: the server waits for this client to read.
    let mut moved = Instant::now();
    while moved.elapsed() < Duration::from_millis(500) {
        if deaf.ask_more().expect("open") {
            moved = Instant::now();
        } else {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    let began = Instant::now();
    signal(node.pid(), "TERM");
    assert!(has_ended(&mut idle));
    let idle_ended = began.elapsed();
    node.stop();
    println!("the idle connection ended after {idle_ended:?}, the server after {:?} with a client that did not read", began.elapsed());
    assert!(idle_ended < AT_ONCE);
    // Two seconds for clients that don't read, and the rest of the daemon.
    assert!(began.elapsed() < Duration::from_secs(6));
}
