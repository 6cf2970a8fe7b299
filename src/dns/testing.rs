//! For the tests of this room: a server that serves an empty snapshot (every query is REFUSED), and clients for it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Bound, Running, Tuning, bind};
use crate::model::{DnsSettings, Estate};
use crate::snapshot::Snapshot;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server at work on a port of its own.
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    /// The thing itself.
    pub running: Running,
    /// Counter sets that were registered.
    pub registered: usize,
}

/// What an empty configuration publishes.
pub fn published() -> Arc<ArcSwap<Snapshot>> {
    Arc::new(ArcSwap::from_pointee(Snapshot::build(1, &[], &Estate::default(), Vec::new(), &mut crate::snapshot::CellMap::default())))
}

/// Binds one address.
pub async fn bound(listen: &str, workers: usize) -> Bound {
    bind(&DnsSettings { listen: vec![listen.parse().unwrap()], workers }).await.unwrap()
}

/// Serves one address.
pub async fn serve(listen: &str, workers: usize) -> Server {
    serve_tuned(listen, workers, Tuning::default()).await
}

/// Serves one address with other limits.
pub async fn serve_tuned(listen: &str, workers: usize, tuning: Tuning) -> Server {
    let bound = bound(listen, workers).await;
    let address = bound.addresses()[0];
    let mut registered = 0;
    let running = bound.serve_tuned(published(), 7, &mut |_| registered += 1, tuning);
    Server { address, running, registered }
}

/// `x.example. A`, with this ID.
pub fn query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend_from_slice(&[0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend_from_slice(b"\x01x\x07example\x00\x00\x01\x00\x01");
    query
}

/// The ID of what must be a REFUSED response.
pub fn refused(response: &[u8]) -> u16 {
    assert!(response.len() >= 12, "{response:02x?} is no response");
    assert_eq!(response[2] & 0x80, 0x80, "QR is set");
    assert_eq!(response[3] & 0x0f, 5, "an empty server refuses");
    u16::from_be_bytes([response[0], response[1]])
}

/// A UDP client at `from` that hears `to` only.
pub fn udp_client(from: &str, to: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind(from).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(to).unwrap();
    client
}

/// Asks over UDP and waits for the response.
pub fn ask_udp(client: &UdpSocket, id: u16) {
    client.send(&query(id)).unwrap();
    let mut response = [0; 1500];
    let length = client.recv(&mut response).expect("a response from the address that was asked");
    assert_eq!(refused(&response[..length]), id);
}

/// A TCP connection from an address.
pub async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    // What is left of it afterwards (TIME_WAIT) keeps no other test from its port.
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// A query as TCP carries it.
pub fn framed(id: u16) -> Vec<u8> {
    let query = query(id);
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&query);
    framed
}

/// The next response; `None`: the connection has ended.
pub async fn next_response(stream: &mut TcpStream) -> Option<u16> {
    let read = async {
        let length = stream.read_u16().await.ok()?;
        let mut response = vec![0; usize::from(length)];
        stream.read_exact(&mut response).await.ok()?;
        Some(refused(&response))
    };
    tokio::time::timeout(PATIENCE, read).await.expect("a response or the end, in time")
}

/// Asks over TCP; whether a response came.
pub async fn ask_tcp(stream: &mut TcpStream, id: u16) -> bool {
    stream.write_all(&framed(id)).await.is_ok() && next_response(stream).await == Some(id)
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}
