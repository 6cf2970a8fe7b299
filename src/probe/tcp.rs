//! TCP: a connection is accepted. Also how every probe connects.
//!
//! Never here: name resolution. Probes go to the endpoint's address.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use crate::health::Phase;

use super::fail::Failure;
use super::trace::Trace;

/// How our end of a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// With FIN: the peer sees an orderly end, and we keep a TIME_WAIT entry.
    Orderly,
    /// With RST: no TIME_WAIT here, no FIN retried for minutes towards a peer that vanished.
    Reset,
}

/// Passes when `peer` accepts.
///
/// Ends orderly: a server that is greeted by RST may log an error or, worse, count it against us. Such checks are few.
pub async fn check(peer: SocketAddr, trace: &mut Trace) -> Result<(), Failure> {
    connect(peer, Close::Orderly, trace).await.map(drop)
}

/// A connection to `peer`.
pub async fn connect(peer: SocketAddr, close: Close, trace: &mut Trace) -> Result<TcpStream, Failure> {
    trace.enter(Phase::Connect);
    dial(peer, close).await.map_err(|error| Failure::connect(&error, peer))
}

async fn dial(peer: SocketAddr, close: Close) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if close == Close::Reset {
        socket.set_zero_linger()?;
    }
    let stream = socket.connect(peer).await?;
    // A port of the ephemeral range on one of our own addresses, nobody listening: TCP can meet itself (RFC 9293 §3.5, simultaneous open).
    if stream.local_addr()? == peer {
        stream.set_zero_linger()?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}
