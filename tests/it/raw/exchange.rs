//! Sending octets and getting octets, over UDP and TCP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// A UDP socket of our own, connected to one server.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    pub fn to(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect(server).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("set");
        Self(socket)
    }

    pub fn send(&self, octets: &[u8]) {
        // A server that is gone shows at the next read.
        let _late_icmp = self.0.send(octets);
    }

    /// The next datagram; `None` if none comes.
    pub fn next(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let length = self.0.recv(&mut buffer).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    /// What comes within this time.
    pub fn ask_within(&self, octets: &[u8], patience: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(patience)).expect("set");
        self.send(octets);
        self.next()
    }

    /// What comes back for these octets. A socket of its own for each question: what comes is the response to it and to nothing else.
    pub fn ask(server: SocketAddr, octets: &[u8]) -> Option<Vec<u8>> {
        let socket = Self::to(server);
        socket.send(octets);
        socket.next()
    }
}

/// A TCP connection, message by message (RFC 7766, section 8).
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    pub fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self(stream)
    }

    pub fn send(&mut self, octets: &[u8]) {
        assert!(self.try_send(octets), "the connection is closed");
    }

    /// `false`: the server has closed the connection.
    pub fn try_send(&mut self, octets: &[u8]) -> bool {
        self.0.write_all(&[&(octets.len() as u16).to_be_bytes()[..], octets].concat()).is_ok()
    }

    pub fn next(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length).ok()?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut octets).ok()?;
        Some(octets)
    }

    pub fn ask(server: SocketAddr, octets: &[u8]) -> Option<Vec<u8>> {
        let mut stream = Self::to(server);
        stream.send(octets);
        stream.next()
    }
}
