//! `dns` against servers that answer, cut, lie and keep silent.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record};
use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;

use crate::model::DnsCheck;
use crate::wire::{Name, Rcode};

use super::*;

/// A server on UDP and TCP of one port; gone when dropped.
pub struct Server {
    pub address: SocketAddr,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Over UDP every packet of `udp` is sent for a query, over TCP the octets of `tcp` (with their length prefix).
pub async fn server(udp: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static, tcp: impl Fn(&Message) -> Vec<u8> + Send + 'static) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let over_udp = tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for packet in udp(&Message::from_vec(&buffer[..length]).unwrap()) {
                let _ = socket.send_to(&packet, from).await;
            }
        }
    });
    let over_tcp = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let _ = stream.write_all(&tcp(&Message::from_vec(&query).unwrap())).await;
        }
    });
    Server { address, tasks: vec![over_udp, over_tcp] }
}

pub fn reply(query: &Message, code: ResponseCode, addresses: &[[u8; 4]]) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.response_code = code;
    reply.add_queries(query.queries.iter().cloned());
    for address in addresses {
        reply.add_answer(Record::from_rdata(query.queries[0].name().clone(), 60, RData::A(A::new(address[0], address[1], address[2], address[3]))));
    }
    reply
}

fn framed(message: &Message) -> Vec<u8> {
    let packet = message.to_vec().unwrap();
    [&(packet.len() as u16).to_be_bytes()[..], &packet].concat()
}

async fn plain(code: ResponseCode, addresses: &'static [[u8; 4]]) -> Server {
    server(move |query| vec![reply(query, code, addresses).to_vec().unwrap()], |_| vec![]).await
}

async fn ask(server: SocketAddr, change: impl FnOnce(&mut DnsCheck), deadline: Duration) -> ProbeReport {
    let mut check = DnsCheck {
        port: server.port(),
        name: Name::parse("www.example.com").unwrap(),
        record_type: (1, "A".to_string()),
        rcode: Rcode::NoError,
        address: None,
    };
    change(&mut check);
    probe(&monitor(Check::Dns(check), deadline), server.ip(), &Trust::unused(), &Arc::default()).await
}

fn address(text: &str) -> impl FnOnce(&mut DnsCheck) {
    let address = text.parse().unwrap();
    move |check| check.address = Some(address)
}

#[tokio::test]
async fn code_and_address_are_judged() {
    let good = plain(ResponseCode::NoError, &[[192, 0, 2, 1], [192, 0, 2, 2]]).await;
    let report = ask(good.address, address("192.0.2.2"), AMPLE).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Request]);
    let at = good.address;
    let message = format!("expected 192.0.2.9 among the answers for www.example.com A from {at}, got 192.0.2.1, 192.0.2.2");
    assert_fail(&ask(at, address("192.0.2.9"), AMPLE).await, Reason::Body, &message);

    let empty = plain(ResponseCode::NoError, &[]).await;
    assert_pass(&ask(empty.address, |_| {}, AMPLE).await);
    let message = format!("expected 192.0.2.9 among the answers for www.example.com A from {}, got no address", empty.address);
    assert_fail(&ask(empty.address, address("192.0.2.9"), AMPLE).await, Reason::Body, &message);

    let refusing = plain(ResponseCode::Refused, &[]).await;
    let message = format!("expected NOERROR for www.example.com A from {}, got REFUSED", refusing.address);
    assert_fail(&ask(refusing.address, |_| {}, AMPLE).await, Reason::Status, &message);
    assert_pass(&ask(refusing.address, |check| check.rcode = Rcode::Refused, AMPLE).await);
}

#[tokio::test]
async fn a_truncated_response_is_asked_again_over_tcp() {
    let cut = |query: &Message| {
        let mut reply = reply(query, ResponseCode::NoError, &[]);
        reply.metadata.truncation = true;
        vec![reply.to_vec().unwrap()]
    };
    let good = server(cut, |query| framed(&reply(query, ResponseCode::NoError, &[[192, 0, 2, 7]]))).await;
    let report = ask(good.address, address("192.0.2.7"), AMPLE).await;
    assert_pass(&report);
    assert_eq!(phases(&report), [Phase::Request, Phase::Connect, Phase::Request]);
    let closing = server(cut, |_| vec![0, 99, 1]).await;
    let message = format!("connection closed by {} before a whole response came", closing.address);
    assert_fail(&ask(closing.address, |_| {}, AMPLE).await, Reason::Reset, &message);
    let garbled = server(cut, |_| vec![0, 3, 1, 2, 3]).await;
    let message = format!("expected a DNS response from {}, got 3 octets that are none", garbled.address);
    assert_fail(&ask(garbled.address, |_| {}, AMPLE).await, Reason::Protocol, &message);
}

#[tokio::test]
async fn strange_packets_are_not_heard_and_garbage_with_our_id_is_told() {
    // A foreign id, a foreign question, our own query mirrored, and then the truth.
    let noisy = server(
        |query| {
            let good = reply(query, ResponseCode::NoError, &[[192, 0, 2, 1]]);
            let mut foreign = good.clone();
            foreign.metadata.id = !query.metadata.id;
            let mut question = good.clone();
            question.queries[0].set_name("other.example.com.".parse().unwrap());
            let mut mirror = query.clone();
            mirror.metadata.message_type = MessageType::Query;
            vec![vec![], b"x".to_vec(), foreign.to_vec().unwrap(), question.to_vec().unwrap(), mirror.to_vec().unwrap(), good.to_vec().unwrap()]
        },
        |_| vec![],
    )
    .await;
    assert_pass(&ask(noisy.address, address("192.0.2.1"), AMPLE).await);
    let garbled = server(|query| vec![[&query.metadata.id.to_be_bytes()[..], &[0xff; 30]].concat()], |_| vec![]).await;
    let message = format!("expected a DNS response from {}, got 32 octets that are none", garbled.address);
    assert_fail(&ask(garbled.address, |_| {}, AMPLE).await, Reason::Protocol, &message);
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_closed_port_is_refused() {
    let silent = server(|_| vec![], |_| vec![]).await;
    let report = ask(silent.address, |_| {}, SHORT).await;
    assert_fail(&report, Reason::Timeout, &format!("no answer within 300ms while waiting for the response from {}", silent.address));
    let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_fail(&ask(address, |_| {}, AMPLE).await, Reason::Refused, &format!("connection refused by {address}"));
}
