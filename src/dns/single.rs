//! One datagram at a time, where there is no `recvmmsg`: the same door as `mmsg`, in the standard library's words.
//!
//! On a wildcard bind the system chooses the source address of responses here; bind each address by itself where that matters.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use super::udp::Wait;

/// Longest query taken, bytes.
const QUERY_BYTES_MAX: usize = 1_472;
/// Room for a response, bytes.
const RESPONSE_BYTES_MAX: usize = 1_232;

/// A query and its response.
#[derive(Debug)]
pub struct Batch {
    /// One byte longer than a query may be, so that a longer one shows.
    query: [u8; QUERY_BYTES_MAX + 1],
    response: [u8; RESPONSE_BYTES_MAX],
    /// Length and sender of the query, if one came.
    received: Option<(usize, SocketAddr)>,
    /// Length and receiver of the response, if there is one.
    queued: Option<(usize, SocketAddr)>,
}

impl Batch {
    /// An empty one. The system's own choice of source address is all there is: `_keeps_source` has no effect.
    pub fn new(_keeps_source: bool) -> Self {
        Self { query: [0; QUERY_BYTES_MAX + 1], response: [0; RESPONSE_BYTES_MAX], received: None, queued: None }
    }

    /// Waits for a datagram as `wait` says. 0: nothing came.
    ///
    /// # Errors
    /// What `recv_from` says, except that a timeout, a signal and a late ICMP report are 0 datagrams.
    pub fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> io::Result<usize> {
        (self.received, self.queued) = (None, None);
        socket.set_nonblocking(wait == Wait::No)?;
        match socket.recv_from(&mut self.query) {
            Ok(received) => {
                self.received = Some(received);
                Ok(1)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// Never: there is one query, and room for its response.
    pub const fn is_full(&self) -> bool {
        false
    }

    /// As in `mmsg`: `false` means that nobody was asked.
    pub fn respond(&mut self, _index: usize, decide: impl FnOnce(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) -> bool {
        let Some((length, client)) = self.received.take() else { return false };
        if length > QUERY_BYTES_MAX {
            return false;
        }
        let Some(query) = self.query.get(..length) else { return false };
        self.queued = decide(query, client, &mut self.response).map(|length| (length, client));
        true
    }

    /// Sends the response; returns 1 if it could not be sent.
    pub fn send(&mut self, socket: &UdpSocket) -> usize {
        let Some((length, client)) = self.queued.take() else { return 0 };
        let Some(response) = self.response.get(..length) else { return 0 };
        usize::from(socket.send_to(response, client).is_err())
    }
}

/// Nothing to set here.
///
/// # Errors
/// None.
pub fn prepare(_socket: &socket2::Socket, _is_v6: bool, _keeps_source: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_query_is_answered_a_long_one_is_not_and_a_timeout_is_nothing() {
        let server = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        prepare(&server, false, false).unwrap();
        let server = UdpSocket::from(server);
        server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        let mut batch = Batch::new(false);
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 0);
        assert_eq!(batch.receive(&server, Wait::No).unwrap(), 0);
        client.send(&[1; QUERY_BYTES_MAX + 1]).unwrap();
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
        assert!(!batch.respond(0, |_, _, _| panic!("it is too long")));
        assert!(!batch.is_full(), "the next query comes with the next receive");
        client.send(b"hello").unwrap();
        assert_eq!(batch.receive(&server, Wait::ForOne).unwrap(), 1);
        assert!(batch.respond(0, |query, from, out| {
            assert_eq!((query, from, out.len()), (&b"hello"[..], client.local_addr().unwrap(), RESPONSE_BYTES_MAX));
            out[..2].copy_from_slice(b"ok");
            Some(2)
        }));
        assert_eq!(batch.send(&server), 0);
        let mut response = [0; 10];
        assert_eq!(client.recv(&mut response).unwrap(), 2);
        assert_eq!(&response[..2], b"ok");
    }
}
