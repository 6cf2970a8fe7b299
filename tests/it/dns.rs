//! A DNS client for tests: one socket, one query at a time, parsed with hickory-proto.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

/// Asks one server.
pub struct Client {
    socket: UdpSocket,
    next_id: u16,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        Self::with_timeout(server, Duration::from_secs(2))
    }

    pub fn with_timeout(server: SocketAddr, timeout: Duration) -> Self {
        let from = if server.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let socket = UdpSocket::bind((from, 0)).expect("a socket");
        Self::with_socket(socket, server, timeout)
    }

    /// From one of this host's addresses.
    pub fn from_address(address: IpAddr, server: SocketAddr, timeout: Duration) -> Self {
        Self::with_socket(UdpSocket::bind((address, 0)).expect("a socket"), server, timeout)
    }

    fn with_socket(socket: UdpSocket, server: SocketAddr, timeout: Duration) -> Self {
        socket.connect(server).expect("a way");
        socket.set_read_timeout(Some(timeout)).expect("set");
        Self { socket, next_id: 1 }
    }

    /// The query's bytes.
    pub fn query(id: u16, name: &str, rtype: RecordType) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        // A resolver answers only who asks it to resolve; an authority copies the bit.
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_str(name).expect("a name"), rtype));
        message.to_vec().expect("encodes")
    }

    /// The response, or `None` if none came in time (or the port is closed).
    pub fn ask(&mut self, name: &str, rtype: RecordType) -> Option<Message> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        self.socket.send(&Self::query(id, name, rtype)).ok()?;
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let message = Message::from_vec(&buffer[..length]).expect("the response parses");
            if message.metadata.id == id {
                return Some(message);
            }
        }
    }

    /// IPv4 addresses of the answer, in its order.
    pub fn addresses(&mut self, name: &str) -> Option<Vec<IpAddr>> {
        self.ask(name, RecordType::A).map(|message| addresses(&message))
    }

    /// The first address.
    pub fn first(&mut self, name: &str) -> Option<IpAddr> {
        self.addresses(name)?.first().copied()
    }

    /// How many of `n` answers have `address` first.
    pub fn share(&mut self, name: &str, n: usize, address: &str) -> f64 {
        let address: IpAddr = address.parse().expect("an address");
        let hits = (0..n).filter(|_| self.first(name) == Some(address)).count();
        hits as f64 * 100.0 / n as f64
    }
}

/// Addresses in the answer section.
pub fn addresses(message: &Message) -> Vec<IpAddr> {
    message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        })
        .collect()
}
