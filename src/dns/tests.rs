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
use super::{BindError, Deadlines, Limits, Tuning, bind};
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
