//! TCP: a connection is accepted, and perhaps a few words are exchanged. Also how every probe connects.
//!
//! Never here: name resolution (`approach`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout_at;

use crate::health::Phase;
use crate::model::TcpCheck;

use super::fail::Failure;
use super::permit::Permit;
use super::trace::Trace;

/// How our end of a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// With FIN: the peer sees an orderly end, and we keep a TIME_WAIT entry.
    Orderly,
    /// With RST: no TIME_WAIT here, no FIN retried for minutes towards a peer that vanished.
    Reset,
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// Who is asked.
    pub peer: SocketAddr,
    /// Our own address; `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// The connection must stand by then; `None`: the probe's deadline is enough.
    pub connect_by: Option<Instant>,
    /// Asked before anything is sent.
    pub permit: &'a Permit,
}

/// The text must be within so much of what the peer says.
const SAID_BYTES_MAX: usize = 4096;

/// Passes when `peer` accepts, and then says what `check` expects.
///
/// Ends orderly: a server that is greeted by RST may log an error or, worse, count it against us. Such checks are few.
pub async fn check(check: &TcpCheck, way: Way<'_>, trace: &mut Trace) -> Result<(), Failure> {
    let peer = way.peer;
    let mut stream = connect(way, Close::Orderly, trace).await?;
    if check.send.is_none() && check.expect.is_none() {
        return Ok(());
    }
    trace.enter(Phase::Request);
    let broken = |error: io::Error| Failure::io(&error, Phase::Request, peer);
    if let Some(send) = &check.send {
        // It may be a password.
        trace.detail(|detail| detail.sent(&format!("{} octets", send.len())));
        stream.write_all(send.as_bytes()).await.map_err(broken)?;
    }
    let Some(expect) = &check.expect else { return Ok(()) };
    let mut said = Vec::new();
    while !contains(&said, expect.as_bytes()) {
        let before = said.len();
        let mut room = (&mut stream).take((SAID_BYTES_MAX - said.len()) as u64);
        let count = room.read_buf(&mut said).await.map_err(broken)?;
        trace.detail(|detail| detail.body(said.get(before..).unwrap_or_default()));
        if count == 0 {
            return Err(Failure::said(expect, &said, said.len() == SAID_BYTES_MAX, peer));
        }
    }
    Ok(())
}

/// Whether the text is there, whole.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

/// A connection.
pub async fn connect(way: Way<'_>, close: Close, trace: &mut Trace) -> Result<TcpStream, Failure> {
    trace.enter(Phase::Connect);
    way.permit.check(way.peer)?;
    let dialed = match way.connect_by {
        None => dial(way, close).await,
        Some(by) => timeout_at(by.into(), dial(way, close)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
    };
    let stream = dialed.map_err(|error| Failure::connect(&error, way.peer))?;
    trace.detail(|detail| (detail.shown.peer, detail.shown.source) = (Some(way.peer), stream.local_addr().ok()));
    Ok(stream)
}

async fn dial(Way { peer, source, .. }: Way<'_>, close: Close) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    if close == Close::Reset {
        socket.set_zero_linger()?;
    }
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(peer).await?;
    // A port of the ephemeral range on one of our own addresses, nobody listening: TCP can meet itself (RFC 9293 §3.5, simultaneous open).
    if stream.local_addr()? == peer {
        stream.set_zero_linger()?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_found_only_whole() {
        assert!(contains(b"xxok", b"ok") && contains(b"ok", b"ok") && contains(b"", b""));
        assert!(!contains(b"o", b"ok") && !contains(b"xxo", b"ok") && !contains(b"", b"ok"));
    }
}
