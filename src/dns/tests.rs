//! The whole room over real sockets.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::testing::{
    PATIENCE, Server, ask_tcp, ask_udp, bound, connect_from, framed, next_response, published, query, refused, serve, serve_tuned, udp_client, until,
};
use super::{BindError, Deadlines, Limits, Tuning, bind, bind_with};
#[cfg(target_os = "linux")]
use crate::answer::{HistogramOf, Transport, histogram};
use crate::model::DnsSettings;

fn short_deadlines() -> Deadlines {
    Deadlines { idle: Duration::from_millis(300), message: Duration::from_millis(300), write: Duration::from_millis(300) }
}

async fn has_ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end too.
    matches!(timeout(PATIENCE, stream.read_to_end(&mut rest)).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_response_leaves_from_the_address_that_was_asked() {
    let server = serve("0.0.0.0:0", 2).await;
    for asked in ["127.0.0.1", "127.0.0.5", "127.1.2.3"] {
        let client = udp_client("127.0.0.1:0", SocketAddr::new(asked.parse().unwrap(), server.address.port()));
        (0..20).for_each(|id| ask_udp(&client, id));
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_answers_over_udp_and_tcp_on_a_single_address_and_on_the_wildcard() {
    for listen in ["[::1]:0", "[::]:0"] {
        let server = serve(listen, 2).await;
        let asked = SocketAddr::new("::1".parse().unwrap(), server.address.port());
        ask_udp(&udp_client("[::1]:0", asked), 6);
        assert!(ask_tcp(&mut connect_from("::1", asked).await, 7).await);
        server.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_wildcards_share_a_port_number() {
    let first = bound("[::]:0", 2).await;
    let port = first.addresses()[0].port();
    drop(first);
    let listen = vec![SocketAddr::new("0.0.0.0".parse().unwrap(), port), SocketAddr::new("::".parse().unwrap(), port)];
    let bound = bind(&DnsSettings { listen: listen.clone(), workers: 2 }).await.unwrap();
    assert_eq!(bound.addresses(), listen);
    let running = bound.serve(published(), 1, &mut |_| {});
    ask_udp(&udp_client("127.0.0.1:0", SocketAddr::new("127.0.0.9".parse().unwrap(), port)), 1);
    ask_udp(&udp_client("[::1]:0", SocketAddr::new("::1".parse().unwrap(), port)), 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_queries_at_once_are_all_answered() {
    for (workers, listen) in [(1, "127.0.0.1:0"), (4, "127.0.0.1:0"), (2, "0.0.0.0:0")] {
        let server = serve(listen, workers).await;
        // 10 clients, so that the kernel spreads them over the workers' sockets.
        let clients: Vec<UdpSocket> =
            (0..10).map(|_| udp_client("127.0.0.1:0", SocketAddr::new("127.0.0.1".parse().unwrap(), server.address.port()))).collect();
        for id in 0..1000 {
            clients[usize::from(id) % 10].send(&query(id)).unwrap();
        }
        let mut missing: HashSet<u16> = (0..1000).collect();
        for id in 0..1000 {
            let mut response = [0; 1500];
            let length = clients[id % 10].recv(&mut response).expect("every query has a response");
            assert!(missing.remove(&refused(&response[..length])), "no response comes twice");
        }
        server.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_and_every_desk_registers_counters_of_its_own() {
    let server = serve("127.0.0.1:0", 3).await;
    let desks = std::thread::available_parallelism().unwrap().get().min(super::tcp::THREADS_MAX);
    assert_eq!(server.registered, 3 + desks);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_wait_in_the_sockets_are_answered_before_the_workers_end() {
    let bound = bound("127.0.0.1:0", 2).await;
    let address = bound.addresses()[0];
    let clients: Vec<UdpSocket> = (0..8).map(|_| udp_client("127.0.0.1:0", address)).collect();
    for id in 0..200 {
        clients[usize::from(id) % 8].send(&query(id)).unwrap();
    }
    bound.serve(published(), 1, &mut |_| {}).stop().await;
    for id in 0..200 {
        let mut response = [0; 1500];
        let length = clients[id % 8].recv(&mut response).expect("drained");
        refused(&response[..length]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_everything_at_once_and_frees_the_port() {
    let Server { address, running, .. } = serve("127.0.0.1:0", 2).await;
    let mut idle = connect_from("127.0.0.1", address).await;
    assert!(ask_tcp(&mut idle, 1).await);
    let began = Instant::now();
    running.stop().await;
    assert!(began.elapsed() < Duration::from_secs(1), "took {:?}", began.elapsed());
    assert!(has_ended(&mut idle).await);
    // Other tests take ports, too: a freed one may be somebody else's for a moment.
    let settings = DnsSettings { listen: vec![address], workers: 2 };
    let again = timeout(PATIENCE, async {
        loop {
            match bind(&settings).await {
                Ok(again) => break again,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert_eq!(again.await.expect("the port is free again").addresses(), [address]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_what_runs_ends_it_too() {
    let Server { address, running, .. } = serve("127.0.0.1:0", 1).await;
    drop(running);
    until("the UDP port is free", || UdpSocket::bind(address).is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oversize_and_tiny_datagrams_get_silence_and_do_no_harm() {
    let server = serve("127.0.0.1:0", 1).await;
    let client = udp_client("127.0.0.1:0", server.address);
    let mut long = query(1);
    long.resize(9000, 0);
    client.send(&long).unwrap();
    client.send(&[]).unwrap();
    client.send(&[1]).unwrap();
    ask_udp(&client, 2);
    assert_eq!(server.running.vitals().oversize.load(Ordering::Relaxed), 1);
    assert_eq!(server.running.vitals().panics.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_gone_does_not_hold_up_the_others() {
    let server = serve("127.0.0.1:0", 1).await;
    let client = udp_client("127.0.0.1:0", server.address);
    for id in 0..50 {
        udp_client("127.0.0.1:0", server.address).send(&query(id)).unwrap();
        ask_udp(&client, id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_pipelined_queries_are_answered_in_order() {
    let server = serve("127.0.0.1:0", 1).await;
    let mut stream = connect_from("127.0.0.1", server.address).await;
    let all: Vec<u8> = (0..100).flat_map(framed).collect();
    stream.write_all(&all).await.unwrap();
    for id in 0..100 {
        assert_eq!(next_response(&mut stream).await, Some(id));
    }
    assert!(ask_tcp(&mut stream, 100).await, "the connection is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_may_be_cut_anywhere() {
    let server = serve("127.0.0.1:0", 1).await;
    let mut stream = connect_from("127.0.0.1", server.address).await;
    stream.set_nodelay(true).unwrap();
    for byte in (0..3).flat_map(framed) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    for id in 0..3 {
        assert_eq!(next_response(&mut stream).await, Some(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_connection_gets_its_responses_and_then_the_end() {
    let server = serve("127.0.0.1:0", 1).await;
    let mut stream = connect_from("127.0.0.1", server.address).await;
    let mut all: Vec<u8> = (0..10).flat_map(framed).collect();
    // A part of one more, which never becomes whole.
    all.extend_from_slice(&framed(10)[..7]);
    stream.write_all(&all).await.unwrap();
    stream.shutdown().await.unwrap();
    for id in 0..10 {
        assert_eq!(next_response(&mut stream).await, Some(id));
    }
    assert!(has_ended(&mut stream).await);
    until("the connection is not counted any more", || server.running.tcp_connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_queries_put_that_off() {
    let server = serve_tuned("127.0.0.1:0", 1, Tuning { deadlines: short_deadlines(), ..Tuning::default() }).await;
    let mut silent = connect_from("127.0.0.1", server.address).await;
    let mut busy = connect_from("127.0.0.1", server.address).await;
    let began = Instant::now();
    let mut id = 0;
    while began.elapsed() < Duration::from_millis(700) {
        assert!(ask_tcp(&mut busy, id).await, "a busy connection stays");
        id += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(has_ended(&mut silent).await);
    assert!(has_ended(&mut busy).await);
    assert_eq!(server.running.vitals().tcp_evicted.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_drip_is_cut_however_steadily_it_drips() {
    let deadlines = Deadlines { message: Duration::from_millis(300), ..Deadlines::default() };
    let server = serve_tuned("127.0.0.1:0", 1, Tuning { deadlines, ..Tuning::default() }).await;
    let mut stream = connect_from("127.0.0.1", server.address).await;
    let began = Instant::now();
    let mut long = vec![0xff, 0xff];
    long.resize(60_000, 0);
    for byte in long {
        // Every 20 ms one byte: each alone is in time.
        if stream.write_all(&[byte]).await.is_err() || server.running.tcp_connections() == 0 && began.elapsed() > Duration::from_millis(100) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "cut after {:?}", began.elapsed());
    assert!(has_ended(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_is_cut_and_others_are_served_meanwhile() {
    let deadlines = Deadlines { write: Duration::from_millis(300), ..Deadlines::default() };
    let server = serve_tuned("127.0.0.1:0", 1, Tuning { deadlines, ..Tuning::default() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(server.address).await.unwrap();
    let many: Vec<u8> = (0..1000).flat_map(framed).collect();
    let talk = async { while deaf.write_all(&many).await.is_ok() {} };
    let mut other = connect_from("127.0.0.1", server.address).await;
    let others = async {
        let mut id = 0;
        loop {
            assert!(ask_tcp(&mut other, id).await);
            id = id.wrapping_add(1);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, async {
        tokio::select! { () = talk => {} () = others => {} }
    })
    .await
    .expect("cut in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_idle_longest_makes_room_when_all_seats_are_taken() {
    let server = serve_tuned("127.0.0.1:0", 1, Tuning { limits: Limits { total: 3, per_client: 3 }, ..Tuning::default() }).await;
    let mut streams = Vec::new();
    for id in 0..3 {
        let mut stream = connect_from(&format!("127.0.0.{}", id + 2), server.address).await;
        assert!(ask_tcp(&mut stream, id).await);
        streams.push(stream);
    }
    assert!(ask_tcp(&mut streams[0], 10).await, "the first one is active again");
    let mut newcomer = connect_from("127.0.0.9", server.address).await;
    assert!(ask_tcp(&mut newcomer, 11).await, "a new client is answered at once");
    assert!(has_ended(&mut streams[1]).await, "the second one was idle longest");
    assert!(ask_tcp(&mut streams[0], 12).await);
    assert!(ask_tcp(&mut streams[2], 13).await);
    until("the gauge is back at the limit", || server.running.tcp_connections() == 3).await;
    assert_eq!(server.running.vitals().tcp_evicted.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_its_own_limit_makes_room_itself() {
    let server = serve_tuned("127.0.0.1:0", 1, Tuning { limits: Limits { total: 100, per_client: 2 }, ..Tuning::default() }).await;
    let mut other = connect_from("127.0.0.3", server.address).await;
    assert!(ask_tcp(&mut other, 0).await);
    let mut streams = Vec::new();
    for id in 1..4 {
        let mut stream = connect_from("127.0.0.2", server.address).await;
        assert!(ask_tcp(&mut stream, id).await);
        streams.push(stream);
    }
    assert!(has_ended(&mut streams[0]).await);
    for stream in &mut streams[1..] {
        assert!(ask_tcp(stream, 9).await);
    }
    assert!(ask_tcp(&mut other, 10).await, "others are not touched, though idle longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_holds_is_reported_with_what_to_do() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let problem = bind(&DnsSettings { listen: vec![address], workers: 2 }).await.unwrap_err();
    assert!(matches!(problem, BindError::InUse { .. }), "{problem:?}");
    let text = problem.to_string();
    for part in [&address.to_string(), "(UDP)", "another program", "ss -ulnp", "dns.listen"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    drop(other);

    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let problem = bind(&DnsSettings { listen: vec![other.local_addr().unwrap()], workers: 2 }).await.unwrap_err().to_string();
    assert!(problem.contains("(TCP)") && problem.contains("ss -tlnp"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_never_shared_with_a_second_server_whatever_its_workers() {
    for workers in [1, 3] {
        let first = serve("127.0.0.1:0", workers).await;
        for (listen, workers) in [(first.address, 1), (first.address, 4), (SocketAddr::new("0.0.0.0".parse().unwrap(), first.address.port()), 2)] {
            let problem = bind(&DnsSettings { listen: vec![listen], workers }).await.unwrap_err();
            assert!(matches!(problem, BindError::InUse { .. }), "{problem:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_opened_all_or_none() {
    let free = bound("127.0.0.1:0", 1).await;
    let address = free.addresses()[0];
    drop(free);
    let listen = vec![address, "192.0.2.1:0".parse().unwrap()];
    let problem = bind(&DnsSettings { listen, workers: 2 }).await.unwrap_err();
    assert!(matches!(problem, BindError::NotOurs { .. }), "{problem:?}");
    assert!(problem.to_string().contains("192.0.2.1"), "{problem}");
    assert!(UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok(), "the first address is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_addresses_that_include_each_other_are_named() {
    for (first, second) in [("0.0.0.0:5353", "127.0.0.1:5353"), ("[::1]:5353", "[::]:5353"), ("127.0.0.1:5353", "127.0.0.1:5353")] {
        let listen = vec!["127.0.0.1:0".parse().unwrap(), first.parse().unwrap(), second.parse().unwrap()];
        let problem = bind(&DnsSettings { listen, workers: 1 }).await.unwrap_err();
        assert!(matches!(problem, BindError::Overlap { .. }), "{problem:?}");
        assert!(problem.to_string().contains(first) && problem.to_string().contains(second), "{problem}");
    }
    let problem = bind(&DnsSettings { listen: Vec::new(), workers: 1 }).await.unwrap_err();
    assert!(matches!(problem, BindError::NoAddress), "{problem:?}");
}

/// What a process that takes over gets: duplicates of all that is open.
fn left(running: &super::Running) -> Vec<super::Sockets> {
    let again = |descriptors: &[std::os::fd::OwnedFd]| descriptors.iter().map(|descriptor| descriptor.try_clone().unwrap()).collect();
    running.sockets().iter().map(|sockets| super::Sockets { address: sockets.address, udp: again(&sockets.udp), tcp: again(&sockets.tcp) }).collect()
}

fn settings(listen: &[SocketAddr], workers: usize) -> DnsSettings {
    DnsSettings { listen: listen.to_vec(), workers }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_the_sockets_of_a_server_that_ends_is_answered_by_the_one_that_takes_over() {
    for (before, after) in [(1, 1), (1, 3), (3, 1), (4, 2)] {
        let first = serve("127.0.0.1:0", before).await;
        let sockets = left(&first.running);
        assert_eq!(sockets.iter().map(|sockets| sockets.udp.len()).collect::<Vec<_>>(), [before]);
        first.running.stop().await;
        // Nobody reads now: queries wait, connections too.
        let clients: Vec<_> = (0..50).map(|_| udp_client("127.0.0.1:0", first.address)).collect();
        clients.iter().zip(0..).for_each(|(client, id)| assert_eq!(client.send(&query(id)).unwrap(), query(id).len()));
        let mut waiting = connect_from("127.0.0.1", first.address).await;
        let bound = bind_with(&settings(&[first.address], after), sockets).await.unwrap();
        assert_eq!(bound.addresses(), [first.address]);
        let mut second = bound.serve_tuned(published(), 1, &mut |_| {}, Tuning::default());
        second.retire_surplus();
        for (client, id) in clients.iter().zip(0..) {
            let mut response = [0; 1500];
            let length = client.recv(&mut response).unwrap_or_else(|error| panic!("{before} to {after}: query {id}: {error}"));
            assert_eq!(refused(&response[..length]), id);
        }
        assert!(ask_tcp(&mut waiting, 9).await);
        assert_eq!(second.sockets()[0].udp.len(), after);
        // Those that are left get everything from now on.
        let stay = second.threads.len() - before.saturating_sub(after);
        until("the surplus is gone", || second.threads.iter().filter(|thread| !thread.is_finished()).count() == stay).await;
        for id in 100..200 {
            ask_udp(&udp_client("127.0.0.1:0", first.address), id);
        }
        second.stop().await;
        assert!(std::net::UdpSocket::bind(first.address).is_ok(), "nobody holds the port any more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_may_become_one_of_its_addresses_and_back_while_the_other_still_listens() {
    let first = serve("0.0.0.0:0", 2).await;
    let port = first.address.port();
    let one = SocketAddr::from(([127, 0, 0, 1], port));
    let bound = bind_with(&settings(&[one], 1), left(&first.running)).await.unwrap();
    let second = bound.serve_tuned(published(), 1, &mut |_| {}, Tuning::default());
    first.running.stop().await;
    ask_udp(&udp_client("127.0.0.1:0", one), 1);
    assert!(ask_tcp(&mut connect_from("127.0.0.1", one).await, 2).await);
    let all = SocketAddr::from(([0, 0, 0, 0], port));
    let bound = bind_with(&settings(&[all], 2), left(&second)).await.unwrap();
    let third = bound.serve_tuned(published(), 1, &mut |_| {}, Tuning::default());
    second.stop().await;
    for from in ["127.0.0.1:0", "127.0.0.2:0"] {
        let to = SocketAddr::new(from.parse::<SocketAddr>().unwrap().ip(), port);
        ask_udp(&udp_client(from, to), 3);
    }
    assert!(ask_tcp(&mut connect_from("127.0.0.1", one).await, 4).await);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_wait_go_on_elsewhere_with_what_they_have_sent() {
    let (first, second) = (serve("127.0.0.1:0", 1).await, serve("127.0.0.1:0", 1).await);
    let mut idle = connect_from("127.0.0.1", first.address).await;
    let mut half = connect_from("127.0.0.1", first.address).await;
    assert!(ask_tcp(&mut idle, 1).await && ask_tcp(&mut half, 2).await);
    let framed = framed(3);
    half.write_all(&framed[..7]).await.unwrap();
    // It must have been read, not only sent.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let adopter = second.running.adopter();
    let (heir, mut parcels) = tokio::sync::mpsc::unbounded_channel::<super::Parcel>();
    let receive = async {
        let mut inputs = Vec::new();
        while let Some(parcel) = parcels.recv().await {
            inputs.push(parcel.input.len());
            adopter.adopt(parcel).unwrap();
        }
        inputs.sort();
        inputs
    };
    let ((), inputs) = tokio::join!(first.running.stop_for(heir), receive);
    assert_eq!(inputs, [0, 7]);
    assert!(ask_tcp(&mut idle, 4).await);
    half.write_all(&framed[7..]).await.unwrap();
    assert_eq!(next_response(&mut half).await, Some(3));
    assert_eq!(second.running.tcp_connections(), 2);
    // The way is of no use to a server that ends, and does not hold it up.
    second.running.stop().await;
    let parcel = super::Parcel::new(connect_from("127.0.0.1", serve("127.0.0.1:0", 1).await.address).await, Vec::new()).unwrap();
    assert!(adopter.adopt(parcel).is_err());
}

/// A resolver's burst: all of `ids` with one call.
#[cfg(target_os = "linux")]
fn burst(client: &UdpSocket, ids: std::ops::Range<u16>) {
    super::batch::set(client, libc::SOL_UDP, libc::UDP_SEGMENT, query(0).len() as i32).unwrap();
    let all: Vec<u8> = ids.flat_map(query).collect();
    assert_eq!(client.send(&all).unwrap(), all.len());
}

#[cfg(target_os = "linux")]
fn coalesces(socket: &impl std::os::fd::AsFd) -> bool {
    super::batch::get(socket, libc::SOL_UDP, libc::UDP_GRO).unwrap() != 0
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_a_burst_is_answered_and_counted() {
    for (listen, asked) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.7"), ("[::]:0", "::1")] {
        let bound = bound(listen, 1).await;
        let asked = SocketAddr::new(asked.parse().unwrap(), bound.addresses()[0].port());
        let mut counters = Vec::new();
        let running = bound.serve_tuned(published(), 7, &mut |counter| counters.push(counter), Tuning::default());
        assert!(coalesces(&running.sockets()[0].udp[0]));
        let clients: Vec<UdpSocket> = (0..3).map(|_| udp_client(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }, asked)).collect();
        for client in &clients {
            burst(client, 0..50);
        }
        for client in &clients {
            let mut missing: HashSet<u16> = (0..50).collect();
            for _ in 0..50 {
                let mut response = [0; 1500];
                let length = client.recv(&mut response).expect("every query has a response");
                assert!(missing.remove(&refused(&response[..length])), "no response comes twice");
            }
        }
        running.stop().await;
        assert_eq!(histogram(&counters, HistogramOf::QueryDuration(Transport::Udp)).counts.iter().sum::<u64>(), 150);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_the_process_before_gets_bursts_whole_only_once_nobody_else_reads_it() {
    let first = serve("127.0.0.1:0", 1).await;
    // It is of a release that takes what it receives for one query.
    super::batch::set(&first.running.sockets()[0].udp[0], libc::SOL_UDP, libc::UDP_GRO, 0).unwrap();
    let bound = bind_with(&settings(&[first.address], 2), left(&first.running)).await.unwrap();
    let second = bound.serve_tuned(published(), 1, &mut |_| {}, Tuning::default());
    let of_second = || second.sockets()[0].udp.iter().map(coalesces).collect::<Vec<_>>();
    assert_eq!(of_second(), [false, true], "the one that is new is ours alone");
    assert!(!coalesces(&first.running.sockets()[0].udp[0]));
    first.running.stop().await;
    super::alone_at(&second.sockets());
    assert_eq!(of_second(), [true, true]);
    let client = udp_client("127.0.0.1:0", first.address);
    burst(&client, 0..40);
    let mut missing: HashSet<u16> = (0..40).collect();
    for _ in 0..40 {
        let mut response = [0; 1500];
        let length = client.recv(&mut response).unwrap();
        assert!(missing.remove(&refused(&response[..length])));
    }
    second.stop().await;
}
