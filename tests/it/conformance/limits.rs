//! 63, 127 and 255; many at once; TCP in pieces and in crowds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::super::raw::{Query, Stream, Udp, name};
use super::zones::{LABEL_63, deepest_name, longest_name};
use super::{Check, prove};

const HOST: &str = "host.conf.test. A";

const CHECKS: &[Check] = &[
    ("a label of 63 octets is a label", |lab| assert_eq!(lab.rcode(&Query::new(&format!("{LABEL_63}.conf.test."), 1)), 3)),
    ("a name of 255 octets is answered", |lab| {
        assert_eq!(name(&longest_name()).len(), 255);
        assert_eq!(lab.ask(&Query::new(&longest_name(), 1)).sections[0][0].rdata, [192, 0, 2, 63]);
    }),
    ("a name of 255 octets is found whatever its case", |lab| {
        assert_eq!(lab.ask(&Query::new(&longest_name().to_ascii_uppercase(), 1)).sections[0][0].rdata, [192, 0, 2, 63]);
    }),
    ("a name of 127 labels is answered", |lab| {
        assert_eq!(name(&deepest_name()).len(), 255);
        assert_eq!(lab.ask(&Query::new(&deepest_name(), 1)).sections[0][0].rdata, [192, 0, 2, 127]);
    }),
    ("each of the 122 empty non-terminals above it exists", |lab| {
        for labels in 1..122 {
            let response = lab.ask(&Query::new(&format!("{}long.test.", "a.".repeat(labels)), 1));
            assert_eq!((response.rcode(), response.sections[1].len()), (0, 1), "{labels}");
        }
    }),
    ("beside each of them is nothing", |lab| {
        for labels in 1..121 {
            assert_eq!(lab.rcode(&Query::new(&format!("b.{}long.test.", "a.".repeat(labels)), 1)), 3, "{labels}");
        }
    }),
    ("a wildcard makes names up to 255 octets", |lab| {
        let name = format!("{}{}", format_args!("{}.", "z".repeat(63)), &longest_name()[64..]);
        assert_eq!(lab.ask(&Query::new(&name, 1)).sections[0][0].rdata, [192, 0, 2, 99]);
        let shorter = format!("z.{}", &longest_name()[64..]);
        assert_eq!(lab.ask(&Query::new(&shorter, 1)).sections[0][0].rdata, [192, 0, 2, 99]);
    }),
    ("a foreign name of 255 octets is refused", |lab| {
        let foreign = longest_name().replace("long.test.", "long.tesu.");
        assert_eq!(lab.rcode(&Query::new(&foreign, 1)), 5);
    }),
    ("a name of 255 octets that does not exist has a whole SOA", |lab| {
        let missing = format!("y{}", &longest_name()[1..]).replacen("ya", "yb", 1).replacen(LABEL_63, &LABEL_63.replace('b', "c"), 2);
        let response = lab.ask(&Query::new(&missing, 1).edns(512));
        assert!(response.rcode() == 3 && !response.truncated() && response.sections[1].len() == 1, "{}", response.text());
    }),
    ("the root alone is a name", |lab| assert_eq!(lab.ask_octets(&Query::of(". A").octets()).octets.len(), 12 + 5)),
    ("a thousand different names are a thousand answers", |lab| {
        let socket = Udp::to(lab.node.dns);
        for round in 0..10_u16 {
            let queries: Vec<Vec<u8>> = (0..100).map(|n| Query::new(&format!("n{}.wild.conf.test.", round * 100 + n), 1).id(n).octets()).collect();
            queries.iter().for_each(|query| socket.send(query));
            for query in &queries {
                let response = super::strict(query, &socket.next().expect("a response"), false);
                assert_eq!(response.sections[0][0].rdata, [192, 0, 2, 9]);
            }
        }
    }),
    ("TCP: many queries in one connection, one after the other", |lab| {
        let mut stream = Stream::to(lab.node.dns);
        for id in 0..200 {
            let query = Query::of(HOST).id(id).octets();
            stream.send(&query);
            assert_eq!(super::strict(&query, &stream.next().expect("a response"), true).rcode(), 0);
        }
    }),
    ("TCP: many queries at once are all answered (RFC 7766, section 6.2.1.1)", |lab| {
        let mut stream = Stream::to(lab.node.dns);
        (0..500).for_each(|id| stream.send(&Query::of(HOST).id(id).octets()));
        let mut ids: Vec<u16> = (0..500).map(|_| stream.next().expect("a response")).map(|octets| u16::from_be_bytes([octets[0], octets[1]])).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..500).collect::<Vec<_>>());
    }),
    ("TCP: a query may come octet by octet", |lab| {
        let query = Query::of(HOST).edns(1232).octets();
        let mut stream = TcpStream::connect(lab.node.dns).expect("it listens");
        stream.set_nodelay(true).expect("set");
        for octet in [&(query.len() as u16).to_be_bytes()[..], &query].concat() {
            stream.write_all(&[octet]).expect("sent");
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut response).expect("a response");
        assert_eq!(super::strict(&query, &response, true).rcode(), 0);
    }),
    ("TCP: a client that has said all still gets its answers", |lab| {
        let query = Query::of(HOST).octets();
        let mut stream = TcpStream::connect(lab.node.dns).expect("it listens");
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("answered, then closed");
        assert_eq!(super::strict(&query, &all[2..], true).rcode(), 0);
    }),
    ("TCP: a response in a query gets none, and the connection stays", |lab| {
        let mut stream = Stream::to(lab.node.dns);
        stream.send(&Query::of(HOST).flags(0x8000).octets());
        let query = Query::of(HOST).id(7).octets();
        stream.send(&query);
        assert_eq!(super::strict(&query, &stream.next().expect("a response"), true).id, 7);
    }),
    ("TCP: a message of 65,535 octets is taken", |lab| {
        let mut query = Query::of(HOST);
        let padding = 65_535 - query.octets().len() - 11 - 4;
        query = query.option(12, &vec![0; padding]);
        assert_eq!(query.octets().len(), 65_535);
        assert_eq!(lab.ask_tcp(&query).rcode(), 0);
    }),
];

#[test]
fn lengths_crowds_and_streams() {
    prove(&[], CHECKS);
}
