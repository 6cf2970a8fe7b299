//! Batches over real sockets.

use super::*;
use std::time::Duration;

fn pair() -> (UdpSocket, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    (server, client)
}

#[test]
fn a_timeout_is_no_datagram_and_no_error() {
    let (server, _client) = pair();
    let mut batch = Batch::new(false);
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 0);
    assert_eq!(batch.receive(&server, Wait::No).unwrap(), 0);
    assert!(!batch.respond(0, |_, _, _| panic!("there is no query")));
    assert_eq!(batch.send(&server), 0);
}

#[test]
fn more_datagrams_than_a_batch_come_in_several_and_silence_leaves_no_gap() {
    let (server, client) = pair();
    for number in 0..150_u8 {
        client.send(&[number; 20]).unwrap();
    }
    let mut batch = Batch::new(false);
    let mut sizes = Vec::new();
    loop {
        let count = batch.receive(&server, Wait::No).unwrap();
        if count == 0 {
            break;
        }
        sizes.push(count);
        for index in 0..count {
            let sender = client.local_addr().unwrap();
            // Every third query is met with silence; each response is as long as its number.
            assert!(batch.respond(index, |query, client, out| {
                assert_eq!((query.len(), client), (20, sender));
                let number = query[0];
                out[..usize::from(number)].fill(number);
                (!number.is_multiple_of(3)).then_some(usize::from(number))
            }));
        }
        assert_eq!(batch.send(&server), 0);
    }
    assert_eq!(sizes, [64, 64, 22]);
    // Within a batch they may come in another order.
    let mut numbers = Vec::new();
    for _ in 0..100 {
        let mut response = [0; 2000];
        let length = client.recv(&mut response).unwrap();
        assert_eq!(response[..length], vec![length as u8; length]);
        numbers.push(length as u8);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..150_u8).filter(|number| !number.is_multiple_of(3)).collect::<Vec<_>>());
}

#[test]
fn a_query_is_taken_up_to_its_limit_and_not_beyond() {
    let (server, client) = pair();
    client.send(&[1; QUERY_BYTES_MAX]).unwrap();
    client.send(&[2; QUERY_BYTES_MAX + 1]).unwrap();
    client.send(&[]).unwrap();
    let mut batch = Batch::new(false);
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 3);
    assert!(batch.respond(0, |query, _, _| {
        assert_eq!(query, [1; QUERY_BYTES_MAX]);
        None
    }));
    assert!(!batch.respond(1, |_, _, _| panic!("it was cut")));
    assert!(batch.respond(2, |query, _, _| {
        assert!(query.is_empty());
        None
    }));
}

#[test]
fn a_length_beyond_the_room_for_a_response_sends_nothing() {
    let (server, client) = pair();
    client.send(b"long").unwrap();
    client.send(b"right").unwrap();
    let mut batch = Batch::new(false);
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 2);
    assert!(batch.respond(0, |_, _, out| Some(out.len() + 1)));
    assert!(batch.respond(1, |_, _, out| Some(out.len())));
    assert_eq!(batch.send(&server), 0);
    let mut response = [0; 2000];
    assert_eq!(client.recv(&mut response).unwrap(), RESPONSE_BYTES_MAX);
}

#[test]
fn what_the_kernel_refuses_is_given_up_and_the_rest_is_sent() {
    let (server, client) = pair();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut batch = Batch::new(false);
    client.send(b"1").unwrap();
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
    // A connected socket may send to its peer only by an address it can reach: one of the other family is refused.
    other.send_to(b"2", server.local_addr().unwrap()).unwrap();
    assert!(batch.respond(0, |_, _, _| Some(1)));
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    assert_eq!(batch.send(&v6), 1, "an IPv4 receiver can't be reached from [::1]");
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
    assert!(batch.respond(0, |_, _, _| Some(1)));
    assert_eq!(batch.send(&server), 0);
    assert_eq!(other.recv(&mut [0; 10]).unwrap(), 1);
}

/// How a server's socket and its batches are.
#[derive(Clone, Copy, Debug)]
struct Kind {
    listen: &'static str,
    asked: &'static str,
    coalesces: bool,
    takes_segments: bool,
    /// The kernel refuses messages of several responses, which it said to take.
    refuses_runs: bool,
}

impl Kind {
    /// All of them.
    fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for (listen, asked) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.3.2.1"), ("[::1]:0", "::1"), ("[::]:0", "::1")] {
            for (coalesces, takes_segments, refuses_runs) in
                [(true, true, false), (false, true, false), (true, false, false), (false, false, false), (true, true, true)]
            {
                all.push(Self { listen, asked, coalesces, takes_segments, refuses_runs });
            }
        }
        all
    }

    fn open(self) -> (UdpSocket, Batch) {
        let listen: SocketAddr = self.listen.parse().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::for_address(listen), socket2::Type::DGRAM, None).unwrap();
        prepare(&socket, listen.is_ipv6(), listen.ip().is_unspecified()).unwrap();
        if self.coalesces {
            coalesce(&socket).expect("every kernel from 5.0 on");
        }
        if self.refuses_runs {
            // Segments need checksums.
            options::set(&socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        }
        socket.bind(&listen.into()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut batch = Batch::new(listen.ip().is_unspecified());
        if !self.takes_segments {
            batch.takes_segments = Some(false);
        }
        (socket.into(), batch)
    }

    fn client(self, server: &UdpSocket) -> UdpSocket {
        let asked = SocketAddr::new(self.asked.parse().unwrap(), server.local_addr().unwrap().port());
        let client = UdpSocket::bind(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // From now on it hears nothing from another address than the one that it asks.
        client.connect(asked).unwrap();
        client
    }
}

/// Sends all `queries`, of which all but the last must be equally long, with one call.
fn burst(client: &UdpSocket, queries: &[Vec<u8>]) {
    options::set(client, libc::SOL_UDP, libc::UDP_SEGMENT, queries[0].len() as c_int).unwrap();
    let all = queries.concat();
    assert_eq!(client.send(&all).unwrap(), all.len());
    options::set(client, libc::SOL_UDP, libc::UDP_SEGMENT, 0).unwrap();
}

/// `count` different queries of `length` bytes.
fn queries(count: u16, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_be_bytes().into_iter().cycle().take(length).collect()).collect()
}

/// Answers `count` queries, each with `respond` of it, from as many batches as it takes. Returns how many slots they came in.
fn answer(server: &UdpSocket, batch: &mut Batch, count: usize, respond: impl Fn(&[u8]) -> Vec<u8>) -> usize {
    let (mut done, mut slots) = (0, 0);
    while done < count {
        let got = batch.receive(server, Wait::ForOne).unwrap();
        assert!(got > 0, "{done} of {count} came");
        slots += batch.received;
        for index in 0..got {
            if batch.is_full() {
                assert_eq!(batch.send(server), 0);
            }
            assert!(batch.respond(index, |query, _, out| {
                let response = respond(query);
                out[..response.len()].copy_from_slice(&response);
                Some(response.len())
            }));
        }
        assert_eq!(batch.send(server), 0);
        done += got;
    }
    assert_eq!(done, count);
    slots
}

/// What a client gets, sorted.
fn responses(client: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..count)
        .map(|number| {
            let mut response = [0; 2000];
            let length = client.recv(&mut response).unwrap_or_else(|error| panic!("response {number}: {error}"));
            response[..length].to_vec()
        })
        .collect();
    all.sort();
    all
}

fn sorted(mut all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    all.sort();
    all
}

/// An echo, backwards, longer by what the last byte says (of 0 to 3).
fn reply(query: &[u8]) -> Vec<u8> {
    let mut response: Vec<u8> = query.iter().rev().copied().collect();
    response.extend(std::iter::repeat_n(0xee, usize::from(response[0] % 4)));
    response
}

#[test]
fn each_query_of_a_burst_has_its_response_whatever_the_kernel_can() {
    for kind in Kind::each() {
        let (server, mut batch) = kind.open();
        let client = kind.client(&server);
        let mut asked = queries(45, 20);
        asked.push(vec![7; 3]);
        burst(&client, &asked);
        let slots = answer(&server, &mut batch, 46, reply);
        assert_eq!(slots, if kind.coalesces { 1 } else { 46 }, "{kind:?}");
        assert_eq!(responses(&client, 46), sorted(asked.iter().map(|query| reply(query)).collect()), "{kind:?}");
        assert_eq!(batch.takes_segments, Some(kind.takes_segments), "{kind:?}: only a device that can't ends it");
    }
}

#[test]
fn bursts_and_single_queries_of_many_clients_do_not_mix() {
    for kind in Kind::each() {
        let (server, mut batch) = kind.open();
        let clients: Vec<UdpSocket> = (0..6).map(|_| kind.client(&server)).collect();
        let asked = |client: usize, count| queries(count, 30 + client);
        // Interleaved: burst, one, burst, one, …
        for (number, client) in clients.iter().enumerate() {
            if number.is_multiple_of(2) {
                burst(client, &asked(number, 9));
            } else {
                client.send(&asked(number, 1)[0]).unwrap();
            }
            clients[0].send(&[99; 50]).unwrap();
        }
        answer(&server, &mut batch, 3 * 9 + 3 + 6, |query| query.to_vec());
        for (number, client) in clients.iter().enumerate() {
            let mut expected = asked(number, if number.is_multiple_of(2) { 9 } else { 1 });
            if number == 0 {
                expected.extend(vec![vec![99; 50]; 6]);
            }
            assert_eq!(responses(client, expected.len()), sorted(expected), "{kind:?}, client {number}");
            client.set_nonblocking(true).unwrap();
            assert!(client.recv(&mut [0; 10]).is_err(), "{kind:?}: nothing more");
        }
    }
}

#[test]
fn equally_long_responses_to_one_client_are_one_message_and_others_fewer_than_they_are() {
    for (count, lengths, messages) in [(1, [40, 40], 1), (40, [40, 40], 1), (40, [40, 41], 21), (150, [40, 40], 3)] {
        let (server, client) = pair();
        let mut batch = Batch::new(false);
        for query in queries(count, 20) {
            client.send(&query).unwrap();
        }
        let mut made = 0;
        for _ in 0..u32::from(count).div_ceil(64) {
            for index in 0..batch.receive(&server, Wait::No).unwrap() {
                assert!(batch.respond(index, |_, _, out| {
                    out.fill(index as u8);
                    Some(lengths[index % 2])
                }));
            }
            batch.bundle();
            made += batch.messages;
            assert_eq!(batch.send(&server), 0);
        }
        assert_eq!(made, messages, "{count} responses of {lengths:?} bytes");
        assert_eq!(responses(&client, usize::from(count)).len(), usize::from(count));
    }
}

#[test]
fn the_largest_burst_is_taken_whole_and_its_responses_are_sent_as_room_is_needed() {
    for kind in Kind::each() {
        let (server, mut batch) = kind.open();
        let client = kind.client(&server);
        // 64 × 1,020 bytes: nearly as long as a datagram may be. The responses don't fit in the memory for them at once.
        let asked = queries(64, 1_020);
        let reply = |query: &[u8]| [query, &[1; 212]].concat();
        for _ in 0..3 {
            burst(&client, &asked);
            answer(&server, &mut batch, 64, reply);
            assert!(responses(&client, 64) == sorted(asked.iter().map(|query| reply(query)).collect()), "{kind:?}");
        }
    }
}

#[test]
fn more_small_responses_than_a_batch_queues_are_sent_in_between() {
    let kind = Kind::each()[0];
    let (server, mut batch) = kind.open();
    let clients: Vec<UdpSocket> = (0..10).map(|_| kind.client(&server)).collect();
    let asked = queries(60, 20);
    clients.iter().for_each(|client| burst(client, &asked));
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 600);
    let mut flushed = 0;
    for index in 0..600 {
        if batch.is_full() {
            flushed += 1;
            assert_eq!(batch.send(&server), 0);
        }
        assert!(batch.respond(index, |query, _, out| {
            out[..20].copy_from_slice(query);
            Some(20)
        }));
    }
    assert_eq!(batch.send(&server), 0);
    assert_eq!(flushed, 2, "600 are {RESPONSES_MAX} twice and a rest");
    for client in &clients {
        assert_eq!(responses(client, 60), asked);
    }
}

#[test]
fn queries_of_a_burst_that_are_too_long_cost_themselves_only() {
    let kind = Kind::each()[0];
    let (server, mut batch) = kind.open();
    let client = kind.client(&server);
    let mut long = queries(5, QUERY_BYTES_MAX + 1);
    long.push(b"short".to_vec());
    burst(&client, &long);
    client.send(b"other").unwrap();
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 7);
    for index in 0..5 {
        assert!(!batch.respond(index, |_, _, _| panic!("it is too long")));
    }
    for (index, expected) in [(5, b"short"), (6, b"other")] {
        assert!(batch.respond(index, |query, _, out| {
            assert_eq!(query, expected);
            out[..5].copy_from_slice(query);
            Some(5)
        }));
    }
    assert!(!batch.respond(7, |_, _, _| panic!("there is no such query")));
    assert_eq!(batch.send(&server), 0);
    assert_eq!(responses(&client, 2), [b"other".to_vec(), b"short".to_vec()]);
}

#[test]
fn responses_of_a_burst_that_cannot_be_sent_are_counted_one_by_one() {
    let kind = Kind::each()[0];
    let (server, mut batch) = kind.open();
    let client = kind.client(&server);
    burst(&client, &queries(12, 20));
    assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 12);
    for index in 0..12 {
        assert!(batch.respond(index, |_, _, _| Some(if index < 10 { 20 } else { 30 })));
    }
    let v6 = UdpSocket::bind("[::1]:0").unwrap();
    assert_eq!(batch.send(&v6), 12, "an IPv4 receiver can't be reached from [::1]");
    assert_eq!(batch.send(&server), 0, "nothing is left");
}

#[test]
fn silence_within_a_burst_leaves_no_gap() {
    for kind in Kind::each() {
        let (server, mut batch) = kind.open();
        let client = kind.client(&server);
        let asked = queries(30, 25);
        burst(&client, &asked);
        // Also without a response to the first and the last.
        let mut left = 30;
        while left > 0 {
            let got = batch.receive(&server, Wait::ForOne).unwrap();
            for index in 0..got {
                assert!(batch.respond(index, |query, _, out| {
                    out[..25].copy_from_slice(query);
                    (query[1] % 3 == 1).then_some(25)
                }));
            }
            assert_eq!(batch.send(&server), 0);
            left -= got;
        }
        assert_eq!(responses(&client, 10), sorted(asked.into_iter().filter(|query| query[1] % 3 == 1).collect()), "{kind:?}");
    }
}
