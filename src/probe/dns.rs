//! DNS: one query over UDP, over TCP if the response is truncated (RFC 7766 §5), and whether the response is as expected.
//!
//! The message is hickory's; a response counts if it comes from the peer with our id and question (RFC 5452 §9.1), others are not heard.
//! Never here: a second try. The next round is the retry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use crate::health::{Phase, Reason};
use crate::model::DnsCheck;
use crate::wire::{self, Rcode};

use super::fail::Failure;
use super::tcp::{self, Close, Way};
use super::trace::Trace;

/// Largest response that we say we take over UDP: what a path takes without fragments.
const UDP_BYTES_MAX: u16 = 1232;
/// Room for servers that send more than they were asked for.
const DATAGRAM_BYTES_MAX: usize = 4096;
/// Addresses that a sentence names.
const TOLD_MAX: usize = 5;

/// Passes when the response has the expected code, and the expected address if there is one.
pub async fn check(check: &DnsCheck, way: Way<'_>, trace: &mut Trace) -> Result<(), Failure> {
    trace.detail(|detail| detail.sent(&format!("{} {}", check.name, check.record_type.1)));
    let response = exchange(&check.name, check.record_type.0, way, trace).await?;
    trace.detail(|detail| {
        detail.shown.peer = Some(way.peer);
        detail.head(&format!("{}, {} answers", response.metadata.response_code, response.answers.len()));
        response.answers.iter().for_each(|record| detail.head(&record.to_string()));
    });
    judge(check, &response, way.peer)
}

/// One question, one response: over UDP, and again over TCP if it is truncated. No deadline of its own.
pub async fn exchange(name: &wire::Name, record_type: u16, way: Way<'_>, trace: &mut Trace) -> Result<Message, Failure> {
    let (query, packet) = query(name, record_type)?;
    trace.enter(Phase::Request);
    let over_udp = ask_udp(&query, &packet, way).await?;
    if over_udp.metadata.truncation { ask_tcp(&query, &packet, way, trace).await } else { Ok(over_udp) }
}

/// With a random id and EDNS; recursion is desired, because the peer may be a resolver.
fn query(name: &wire::Name, record_type: u16) -> Result<(Message, Vec<u8>), Failure> {
    let unfit = |why: String| Failure::new(Reason::Internal, format!("this node could not probe: the query can't be made: {why}"));
    let mut name = Name::from_ascii(name.to_string()).map_err(|why| unfit(why.to_string()))?;
    name.set_fqdn(true);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::from(record_type))).set_edns(edns);
    let packet = message.to_vec().map_err(|why| unfit(why.to_string()))?;
    Ok((message, packet))
}

async fn ask_udp(query: &Message, packet: &[u8], Way { peer, source, permit, .. }: Way<'_>) -> Result<Message, Failure> {
    let broken = |error: io::Error| match error.kind() {
        // An ICMP error for our query: nobody listens on the port, or there is no way.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::connect(&error, peer),
        _ => Failure::io(&error, Phase::Request, peer),
    };
    permit.check(peer)?;
    let any = if peer.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await.map_err(|error| Failure::connect(&error, peer))?;
    socket.connect(peer).await.map_err(|error| Failure::connect(&error, peer))?;
    socket.send(packet).await.map_err(broken)?;
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(broken)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        if datagram.get(..2) != packet.get(..2) {
            continue;
        }
        let response = Message::from_vec(datagram).map_err(|_| malformed(length, peer))?;
        if answers(query, &response) {
            return Ok(response);
        }
    }
}

async fn ask_tcp(query: &Message, packet: &[u8], way: Way<'_>, trace: &mut Trace) -> Result<Message, Failure> {
    let mut stream = tcp::connect(way, Close::Reset, trace).await?;
    trace.enter(Phase::Request);
    let broken = |error: io::Error| Failure::io(&error, Phase::Request, way.peer);
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.map_err(broken)?;
    match Message::from_vec(&buffer) {
        Ok(response) if response.metadata.id == query.metadata.id && answers(query, &response) => Ok(response),
        _ => Err(malformed(buffer.len(), way.peer)),
    }
}

/// Whether this is a response to that query. A server that does not understand the query may leave the question away.
fn answers(query: &Message, response: &Message) -> bool {
    let asked = query.queries.first();
    response.metadata.message_type == MessageType::Response
        && match response.queries.first() {
            None => true,
            Some(told) => asked.is_some_and(|asked| asked.query_type() == told.query_type() && asked.name() == told.name()),
        }
}

fn malformed(length: usize, peer: SocketAddr) -> Failure {
    Failure::new(Reason::Protocol, format!("expected a DNS response from {peer}, got {length} octets that are none"))
}

/// A response code as every tool writes it.
pub fn code_text(code: u16) -> String {
    Rcode::ALL.into_iter().find(|known| known.number() == code).map_or_else(|| format!("code {code}"), |known| known.word().to_string())
}

fn judge(check: &DnsCheck, response: &Message, peer: SocketAddr) -> Result<(), Failure> {
    let DnsCheck { name, record_type: (_, record_type), rcode, address, .. } = check;
    let got = u16::from(response.metadata.response_code);
    if got != rcode.number() {
        let got = code_text(got);
        return Err(Failure::new(Reason::Status, format!("expected {} for {name} {record_type} from {peer}, got {got}", rcode.word())));
    }
    let Some(address) = address else { return Ok(()) };
    let found = response.answers.iter().filter_map(|record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    });
    let found: Vec<IpAddr> = found.collect();
    if found.contains(address) {
        return Ok(());
    }
    let got = match found.len() {
        0 => "no address".to_string(),
        count => {
            let told: Vec<_> = found.iter().take(TOLD_MAX).map(IpAddr::to_string).collect();
            let more = if count > TOLD_MAX { format!(" and {} more", count - TOLD_MAX) } else { String::new() };
            told.join(", ") + &more
        }
    };
    Err(Failure::new(Reason::Body, format!("expected {address} among the answers for {name} {record_type} from {peer}, got {got}")))
}
